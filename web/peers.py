"""From where a request comes: whose connection it is, whether a proxy stands between, and whether it is this computer's own.

In: requests. Out: addresses. What a proxy says of its client is believed of the configured ones only, which uvicorn's middleware does (in
`web.watch`, which keeps whose connection it was before that).
"""

from __future__ import annotations

import ipaddress
import re

from starlette.requests import Request

FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""What proxies write into a request: who sends one of these does not come from this computer alone."""
# a name or an address with a port, and nothing that another program may read otherwise (「localhost#@evil.example」)
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")


class Proxies:
    """The addresses and networks of the proxies that are believed: 「127.0.0.1, 192.0.2.0/24」."""

    def __init__(self, names: str = "") -> None:
        """Raises ValueError where a name is neither an address nor a network."""
        self.names = [name.strip() for name in names.split(",") if name.strip()]
        self._networks = [ipaddress.ip_network(name) for name in self.names]

    def __bool__(self) -> bool:
        return bool(self.names)

    def __contains__(self, host: str) -> bool:
        try:
            known = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(known in network for network in self._networks)


def peer(request: Request) -> str:
    """The address at the other end of the connection: a proxy's where one stands between, empty where it is unknown."""
    known = getattr(request.state, "peer", None)
    if isinstance(known, str):
        return known
    return request.client.host if request.client else ""


def address(request: Request) -> str:
    """Whose requests are counted together: an address, or the network of one that has 2^64 of them (IPv6)."""
    host = request.client.host if request.client else ""
    try:
        known = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if known.version == 4 else str(ipaddress.ip_network((int(known), 64), strict=False))


def is_forwarded(request: Request) -> bool:
    """Whether a proxy passed a request on."""
    return any(name in request.headers for name in FORWARDING)


def is_this_computer(request: Request) -> bool:
    """Whether a request comes from this computer, by no proxy, and was meant for it: a name of another site may lead here."""
    return (
        is_loopback(peer(request))
        and not is_forwarded(request)
        and is_local(host_name(request.headers.get("host", "")))
    )


def host_name(header: str) -> str:
    """The name in a Host header, in small letters; 「LocalHost:8000」 → 「localhost」, empty where it is anything but a name."""
    found = _HOST.fullmatch(header)
    return (found[1] or found[2]).lower() if found else ""


def is_local(name: str) -> bool:
    """Whether a name can only lead to the computer that it is called on: 「localhost」, 「127.0.0.1」, 「::1」."""
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


def is_loopback(host: str) -> bool:
    """Whether an address is this computer's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
