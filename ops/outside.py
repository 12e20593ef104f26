"""Refuses every way out of this computer for a while, and remembers who tried.

In: a block of code. Out: the addresses that Python code in it asked for. Addresses of this computer itself are left alone. The
hook is the interpreter's own (`sys.addaudithook`), so nothing in Python gets past it; what a library does in its own machine code
without Python it does not see.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ASKING = frozenset({"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"})


class RefusedError(PermissionError):
    """An address outside of this computer was asked for."""


class _Hook:
    """Installed once, since a hook cannot be taken away; it acts while there is a list to write to."""

    def __init__(self) -> None:
        self.tried: list[str] | None = None
        self._installed = False

    def install(self) -> None:
        if not self._installed:
            self._installed = True
            sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.tried is None or event not in _ASKING:
            return
        address = arguments[0] if event.startswith("socket.get") else arguments[1]
        host = address[0] if isinstance(address, tuple) else address
        # an address that is no pair is a socket of this computer (AF_UNIX), and no name is this computer
        if host in (None, "", b"") or (
            event in {"socket.connect", "socket.sendto"} and not isinstance(address, tuple)
        ):
            return
        name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
        if not _is_here(name):
            self.tried.append(name)
            raise RefusedError(f"{name} への通信は、点検の間は止めています")


_hook = _Hook()


def _is_here(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


@contextmanager
def nothing_goes_out() -> Iterator[list[str]]:
    """While it lasts, whoever asks for an address elsewhere gets RefusedError, and the address is in the list."""
    _hook.install()
    before = _hook.tried
    tried: list[str] = []
    _hook.tried = tried
    try:
        yield tried
    finally:
        _hook.tried = before
