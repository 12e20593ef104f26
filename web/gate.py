"""Who may change something, by which names this server is called, how much may be sent, and what every reply says to a browser.

In: requests. Out: an HTTPException with a Japanese sentence, or nothing. Nothing is known of documents or of the index.

An administrator is whoever sends the token (`Authorization: Bearer …`), a browser that signed in with it (a cookie, and
then only from pages of this server), or, where no token is set, this computer. Cookies are good until their owner signs out
or this process ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.library import MAX_REQUEST_BYTES

MAX_BODY_BYTES = 256 * 1024
"""Of an ordinary request: a question with 20 earlier ones has 30 KB."""
MAX_UPLOAD_BYTES = MAX_REQUEST_BYTES + 1024 * 1024
"""Of an upload: its files, and what stands between them."""
LINGER_BYTES = 1 << 30
"""Of a body that was refused so much is still let in, so that a browser comes to read why; a longer one, and one without an end in
sight, ends the connection."""
UPLOADS = frozenset({"/api/documents", "/api/uploads", "/admin/uploads"})
SESSION_COOKIE = "dxqa_admin"
SESSION_S = 12 * 3600
"""A working day: who signs in in the morning is not asked again before the evening."""
WRONG_WINDOW_S, WRONG_DELAY_S, WRONG_LONGEST_S, WRONG_MOST = 60.0, 0.5, 2.0, 20
"""Wrong tries of one address within the window: each makes the next answer later, and the last of them closes the door. A
closed door opens for one bearer token every `WRONG_LONGEST_S`: whoever has the right one gets in beside a stranger who guesses
from the same address (a common proxy), and guessing stays below one a second."""
MISDIRECTED = (
    "この名前（ホスト名）では利用できません。サーバーのコンピューターで http://localhost を開くか、"
    "管理者に --allowed-hosts へこの名前を加えてもらってください。"
)
TWO_LENGTHS = "送信された内容の長さが、二通り（Content-Length と Transfer-Encoding）に書かれています。一方だけにしてください。"
"""Of such a request a proxy may take another part for its end than this server, and what is inside for a request of somebody else."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# a name or an address with a port, and nothing that another program may read otherwise (「localhost#@evil.example」)
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")

# No script, style, font or image from anywhere but here; nothing may frame these pages.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # other hosts learn nothing; under no-referrer a browser sends `Origin: null` with a form, even to the server of the form
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
ADMIN_HEADERS = SECURITY_HEADERS | {"Cache-Control": "no-store"}


def secured(headers: MutableHeaders, path: str) -> None:
    """Adds to a reply's headers what a browser is told with every reply."""
    for name, value in (ADMIN_HEADERS if private(path) else SECURITY_HEADERS).items():
        headers.setdefault(name, value)


def private(path: str) -> bool:
    """Whether a path belongs to the administrator's pages and uploads, which are kept nowhere."""
    return path == "/admin" or path.startswith(("/admin/", "/api/uploads"))


class Guard:
    """Counts what is read of each request's body, whether its length is announced or not, and secures every reply.

    Refuses requests to a name that is neither local nor one of `hosts`: a page elsewhere may have a name of its own lead
    here, and would read what is here as its own (DNS rebinding). Where `hosts` is None, any name will do.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None = ()) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; reading too much of it raises an HTTPException where it is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        most = MAX_UPLOAD_BYTES if path in UPLOADS and scope["method"] == "POST" else MAX_BODY_BYTES
        given = Headers(scope=scope)
        announced = given.get("content-length", "0")
        size = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
        too_much = size > most
        may_end = "transfer-encoding" not in given and size <= LINGER_BYTES
        size = 0

        async def counted() -> Message:
            nonlocal size, may_end
            if too_much:
                raise too_large(most)
            message = await receive()
            may_end = may_end or not message.get("more_body", False)
            size += len(message.get("body", b""))
            if size > most:
                raise too_large(most)
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                secured(headers, path)
                if not may_end:
                    headers["Connection"] = "close"
            await send(message)

        refusal: tuple[int, str] | None = None
        if not self._is_ours(given.getlist("host")):
            refusal = 421, MISDIRECTED
        elif {"content-length", "transfer-encoding"} <= set(given):
            refusal = 400, TWO_LENGTHS
        if refusal is not None:
            status, message = refusal
            closing = {"Connection": "close"} if status == 400 else None
            reply = (
                JSONResponse({"detail": message}, status, closing)
                if path.startswith("/api/")
                else PlainTextResponse(message, status, closing)
            )
            await reply(scope, receive, sent)
            return
        await self._app(scope, counted, sent)

    def _is_ours(self, named: list[str]) -> bool:
        """Whether a request is meant for this server, by its Host headers."""
        if self._hosts is None:
            return True
        names = [_host_name(header) for header in named]
        return bool(names) and all(is_local(name) or name in self._hosts for name in names)


def too_large(most: int) -> HTTPException:
    """What is said of a body beyond `most` bytes."""
    limit = f"{MAX_REQUEST_BYTES // 2**20}MB" if most > MAX_BODY_BYTES else f"{most // 1024}KB"
    return HTTPException(413, f"送信された内容が大きすぎます（上限 {limit}）。分けて送ってください。")


@dataclass(slots=True)
class _Tries:
    """The wrong tries of an address: when, and when a bearer token was last looked at behind the closed door."""

    moments: list[float] = field(default_factory=list)
    looked: float = float("-inf")


class Gate:
    """Tells administrators from others; `token` may be empty."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._key = secrets.token_bytes(
            32
        )  # of this process: what was signed out before a restart is not good after it
        self._wrong: OrderedDict[str, _Tries] = OrderedDict()
        self._ended: dict[str, int] = {}
        """Sessions that were signed out, and when they would have ended."""

    @property
    def needs_token(self) -> bool:
        """Whether a token is set."""
        return bool(self._token)

    async def check(self, request: Request) -> None:
        """Lets an administrator through; raises an HTTPException for others and for what another site sends."""
        if self._token:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() == "bearer":
                await self._check_bearer(request, given.encode("latin-1", "replace"))
                return  # no browser sends this by itself
            if not self.signed_in(request):
                raise _no_token()
        elif not _this_computer(request):
            raise HTTPException(
                403,
                "この操作は、管理者の合言葉（DXQA_ADMIN_TOKEN）を設定していない間は、このコンピューターからだけ行えます。",
            )
        if request.method not in SAFE_METHODS:
            self.check_origin(request, needed=bool(self._token))

    async def _check_bearer(self, request: Request, given: bytes) -> None:
        address = _address(request)
        tries = self._tries(address)
        if len(tries.moments) >= WRONG_MOST:
            now = time.monotonic()
            if now < tries.looked + WRONG_LONGEST_S:
                raise _too_many(int(WRONG_LONGEST_S))
            tries.looked = now
        # a right one does not forgive the wrong ones: they may be somebody else's
        if not self._is_token(given):
            await self._count(address, tries)
            raise _no_token()

    def check_origin(self, request: Request, *, needed: bool) -> None:
        """Raises an HTTPException where a page of another site sends; `needed` where a request must say where it is from."""
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        site = request.headers.get("sec-fetch-site")
        foreign = (
            origin not in {f"http://{host}", f"https://{host}"}
            if origin is not None
            else needed and site is None
        )
        if foreign or site not in {None, "same-origin", "none"}:
            raise HTTPException(403, "ほかのサイトからの操作は受け付けません。")

    # ---- signing in

    async def sign_in(self, request: Request, given: str) -> str:
        """The cookie for the right token; raises an HTTPException, a little later each time, for a wrong one."""
        address = _address(request)
        tries = self._tries(address)
        if len(tries.moments) >= WRONG_MOST:
            raise _too_many(int(WRONG_WINDOW_S))
        if self._is_token(given.strip().encode("utf-8", "replace")):
            self._wrong.pop(address, None)
            return self.session(time.time())
        await self._count(address, tries)
        raise HTTPException(401, "合言葉が違います。大文字・小文字や前後の空白も確かめてください。")

    def _tries(self, address: str) -> _Tries:
        """The wrong tries of an address within the window."""
        tries = self._wrong.get(address) or _Tries()
        begin = time.monotonic() - WRONG_WINDOW_S
        tries.moments = [moment for moment in tries.moments if moment > begin]
        return tries

    async def _count(self, address: str, tries: _Tries) -> None:
        """Counts a wrong try, and waits a little longer each time; a closed door stays closed no longer for it."""
        if len(tries.moments) < WRONG_MOST:
            tries.moments.append(time.monotonic())
        self._wrong[address] = tries
        self._wrong.move_to_end(address)
        while len(self._wrong) > 1000:
            self._wrong.popitem(last=False)
        await asyncio.sleep(min(WRONG_DELAY_S * len(tries.moments), WRONG_LONGEST_S))

    def _is_token(self, given: bytes) -> bool:
        return bool(self._token) and hmac.compare_digest(given, self._token.encode())

    def session(self, now: float) -> str:
        """A cookie's value that is good for `SESSION_S` seconds from `now` (seconds since 1970)."""
        words = f"{int(now) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{words}.{self._sign(words)}"

    def signed_in(self, request: Request) -> bool:
        """Whether a request's cookie is ours and still good."""
        words = self._session_of(request)
        return words is not None and words not in self._ended

    def sign_out(self, request: Request) -> None:
        """Ends the session of a request's cookie, wherever a copy of it may be."""
        words, now = self._session_of(request), time.time()
        self._ended = {other: end for other, end in self._ended.items() if end > now}
        if words is not None:
            self._ended[words] = int(words.split(".")[0])

    def _session_of(self, request: Request) -> str | None:
        """The signed words of a request's cookie, None where they are not ours or too old."""
        words, _, signature = request.cookies.get(SESSION_COOKIE, "").rpartition(".")
        if not self._token or not hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._sign(words).encode()
        ):
            return None
        return words if int(words.split(".")[0]) > time.time() else None

    def _sign(self, words: str) -> str:
        return hmac.new(self._key, words.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def keep(self, request: Request, response: Response, session: str) -> None:
        """Gives a browser its cookie; an empty one takes it away."""
        response.set_cookie(
            SESSION_COOKIE,
            session,
            max_age=SESSION_S if session else 0,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )


async def administrator(request: Request) -> None:
    """A route's dependency: lets through who may change something."""
    gate: Gate = request.app.state.gate
    await gate.check(request)


def _no_token() -> HTTPException:
    return HTTPException(
        401, "管理者の合言葉（トークン）が必要です。", headers={"WWW-Authenticate": "Bearer"}
    )


def _too_many(seconds: int) -> HTTPException:
    return HTTPException(
        429,
        "合言葉の間違いが続いています。1分ほど待ってから、もう一度お試しください。",
        headers={"Retry-After": str(seconds)},
    )


def _address(request: Request) -> str:
    """Whose tries are counted together: an address, or the network of one that has 2^64 of them (IPv6)."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network((int(address), 64), strict=False))


def _this_computer(request: Request) -> bool:
    """Whether a request comes from this computer and was meant for it: a name of another site may be made to lead here."""
    host = request.client.host if request.client else ""
    return _is_loopback(host) and is_local(_host_name(request.headers.get("host", "")))


def _host_name(header: str) -> str:
    """The name in a Host header, in small letters; 「LocalHost:8000」 → 「localhost」, empty where it is anything but a name."""
    found = _HOST.fullmatch(header)
    return (found[1] or found[2]).lower() if found else ""


def is_local(name: str) -> bool:
    """Whether a name can only lead to the computer that it is called on: 「localhost」, 「127.0.0.1」, 「::1」."""
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
