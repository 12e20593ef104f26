"""Passages of a running service over HTTP, for the retrievers beside this.

In: where the service is, a key, a text. Out: the citations of `GET /api/search`, with addresses that can be opened from anywhere. The standard
library is all it stands on; it knows nothing of the service's own code, nor of any framework. Who may see what is decided by the service.
"""

from __future__ import annotations

import http.client
import json
import logging
import math
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

CONDITIONS = (
    "document_ids",
    "case_ids",
    "organizations",
    "prefectures",
    "regions",
    "organization_kinds",
    "population_bands",
    "categories",
    "population_min",
    "population_max",
)
"""Names of filters. The service passes over others, and would find more than was meant."""
TIMEOUT_S = 30.0
MOST_PASSAGES = 50
MOST_BYTES = 16 << 20
"""Of a reply: fifty passages have less than one megabyte."""
MOST_SAID = 500
_log = logging.getLogger("dxqa.client")


class ServiceError(RuntimeError):
    """The service refused, failed or could not be reached; the message is its own, in Japanese.

    `status` is that of HTTP, None where there was no reply; `retry_after_s` where it said when to come again.
    """

    def __init__(self, message: str, status: int | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def checked(filters: Mapping[str, Any] | None) -> dict[str, Any]:
    """The filters that say something: names of CONDITIONS, each with a value or a list of them. Raises ValueError for other names."""
    unknown = sorted(set(filters or {}) - set(CONDITIONS))
    if unknown:
        raise ValueError(
            f"絞り込み（filters）に「{'・'.join(unknown)}」はありません。使えるもの：{'、'.join(CONDITIONS)}。"
        )
    return {name: value for name, value in (filters or {}).items() if value is not None}


def counted(top_k: int) -> int:
    """How many passages are asked for; raises ValueError where the service gives no such number."""
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= MOST_PASSAGES:
        raise ValueError(f"top_k は1から{MOST_PASSAGES}までの整数で指定してください（いま{top_k!r}）。")
    return top_k


@dataclass(frozen=True, slots=True)
class Client:
    """A service at an address like 「https://dx.example.jp」; threads may share it. The key stands in no representation and no message."""

    url: str
    key: str = field(default="", repr=False)
    timeout_s: float = TIMEOUT_S
    """For a whole call, whatever the other side does."""

    def __post_init__(self) -> None:
        """Raises ValueError."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
            (parts.hostname or "").encode("idna")
        except ValueError:  # a port, a name or an address that is none
            usable = False
        if not usable or parts.query or parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", self.url):
            raise ValueError("サービスのアドレス（url）は「https://dx.example.jp」のように指定してください。")
        if parts.username is not None or parts.password is not None:
            raise ValueError("サービスのアドレス（url）に名前や合言葉を書かず、api_key で渡してください。")
        if not re.fullmatch(r"[!-~]*", self.key):
            raise ValueError("合言葉（api_key）に使えない文字が含まれています。")
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0):
            raise ValueError("待つ秒数（timeout_s）は0より大きい数で指定してください。")

    def search(
        self, text: str, *, top_k: int = 10, filters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The citations of the passages nearest to a text, best first; raises ServiceError, and ValueError as `counted` and `checked` do."""
        asked = {"q": text, "top_k": counted(top_k), **checked(filters)}
        query = urlencode(asked, doseq=True, errors="replace")
        reply = self._get(f"/api/search?{query}")
        try:
            citations = [{**one, "url": self._base() + one["url"]} for one in reply["citations"]]
            for note in reply.get("notes", ()):
                _log.warning("%s", note)
        except (AttributeError, KeyError, TypeError):
            raise ServiceError(self._said("返事の形が違います。アドレスを確かめてください。"), 200) from None
        return citations

    def _base(self) -> str:
        """Where the service is, without a slash at the end."""
        return self.url.rstrip("/")

    def _get(self, target: str) -> Any:
        """The JSON of a reply; no other address is asked, wherever the reply points to."""
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout_s)
        headers = {"Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        late = threading.Event()
        timer: threading.Timer | None = None
        try:
            connection.connect()
            # a time of each read would let a reply that comes letter by letter take for ever
            timer = threading.Timer(self.timeout_s, _cut, (connection.sock, late))
            timer.daemon = True
            timer.start()
            connection.request("GET", quote(parts.path.rstrip("/"), safe="/%") + target, headers=headers)
            with connection.getresponse() as reply:
                body = reply.read(MOST_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                raise ServiceError(self._said(f"{self.timeout_s:g}秒待っても返事がありません。")) from None
            if isinstance(error, ssl.SSLCertVerificationError):
                why = f"証明書を確かめられません：{error.verify_message}"
                do = "認証局の証明書は、環境変数 SSL_CERT_FILE で示します。"
            elif isinstance(error, ssl.SSLError):
                why = f"暗号化された通信になりません：{error.reason or type(error).__name__}"
                do = "アドレスが http か https かを確かめてください。"
            else:
                why = getattr(error, "strerror", None) or type(error).__name__
                do = "サービスが動いているか、アドレス（http か https か、ポート）が正しいかを確かめてください。"
            raise ServiceError(self._said(f"つながりません（{why}）。{do}")) from None
        finally:
            if timer is not None:
                timer.cancel()
            connection.close()
        if late.is_set():
            raise ServiceError(self._said(f"{self.timeout_s:g}秒待っても返事がありません。"))
        if len(body) > MOST_BYTES:
            raise ServiceError(self._said("返事が大きすぎます。"), reply.status)
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        if reply.status == 200 and content is not None:
            return content
        after = reply.getheader("Retry-After") or ""
        raise ServiceError(
            self._said(_reason(reply.status, content)),
            reply.status,
            int(after) if re.fullmatch(r"[0-9]{1,6}", after) else None,
        )

    def _said(self, message: str) -> str:
        """A message with the service it is about."""
        return f"DX資料アシスタント（{self._base()}）：{message}"


def _cut(connected: socket.socket, late: threading.Event) -> None:
    """Ends a connection that takes too long, while it is read in another thread."""
    late.set()
    with suppress(OSError):
        socket.socket.shutdown(
            connected, socket.SHUT_RDWR
        )  # also under TLS, whose own one is not for two threads


def _reason(status: int, content: Any) -> str:
    """Why there is no answer: what the service says, as far as it is the service."""
    if 300 <= status < 400:
        return f"別のアドレスへ移るように言われましたが、従いません（状態 {status}）。アドレス（http か https か）を確かめてください。"
    detail = content.get("detail") if isinstance(content, dict) else None
    if isinstance(detail, list):  # of bad input, one message a place
        detail = " ".join(str(one.get("msg", "")) for one in detail if isinstance(one, dict))
    if not isinstance(detail, str) or not detail.strip():
        return f"返事を読み取れません（状態 {status}）。アドレスを確かめてください。"
    shown = "".join(letter if letter.isprintable() else " " for letter in detail)[:MOST_SAID]
    return f"{shown}（状態 {status}）"
