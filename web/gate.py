"""Who may change something, how much may be sent, and what every reply says to a browser.

In: requests. Out: an HTTPException with a Japanese sentence, or nothing. Nothing is known of documents or of the index.

An administrator is whoever sends the token (`Authorization: Bearer …`), a browser that signed in with it (a cookie, and
then only from pages of this server), or, where no token is set, this computer.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.library import MAX_REQUEST_BYTES

MAX_BODY_BYTES = 256 * 1024
"""Of an ordinary request: a question with 20 earlier ones has 30 KB."""
MAX_UPLOAD_BYTES = MAX_REQUEST_BYTES + 1024 * 1024
"""Of an upload: its files, and what stands between them."""
UPLOADS = frozenset({"/api/documents", "/api/uploads", "/admin/uploads"})
SESSION_COOKIE = "dxqa_admin"
SESSION_S = 12 * 3600
"""A working day: who signs in in the morning is not asked again before the evening."""
WRONG_WINDOW_S, WRONG_DELAY_S, WRONG_LONGEST_S, WRONG_MOST = 60.0, 0.5, 2.0, 20
"""Wrong tries of one address within the window: each makes the next answer later, and the last of them closes the door."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

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
    """Counts what is read of each request's body, whether its length is announced or not, and secures every reply."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; reading too much of it raises an HTTPException where it is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        most = MAX_UPLOAD_BYTES if path in UPLOADS and scope["method"] == "POST" else MAX_BODY_BYTES
        announced = Headers(scope=scope).get("content-length", "0")
        size = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
        too_much = size > most
        size = 0

        async def counted() -> Message:
            nonlocal size
            if too_much:
                raise too_large(most)
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                raise too_large(most)
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                secured(MutableHeaders(scope=message), path)
            await send(message)

        await self._app(scope, counted, sent)


def too_large(most: int) -> HTTPException:
    """What is said of a body beyond `most` bytes."""
    limit = f"{MAX_REQUEST_BYTES // 2**20}MB" if most > MAX_BODY_BYTES else f"{most // 1024}KB"
    return HTTPException(413, f"送信された内容が大きすぎます（上限 {limit}）。分けて送ってください。")


class Gate:
    """Tells administrators from others; `token` may be empty."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._key = hashlib.sha256(b"dxqa session\0" + token.encode()).digest()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    @property
    def needs_token(self) -> bool:
        """Whether a token is set."""
        return bool(self._token)

    def check(self, request: Request) -> None:
        """Lets an administrator through; raises an HTTPException for others and for what another site sends."""
        if self._token:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() == "bearer" and self._is_token(given.encode("latin-1", "replace")):
                return  # no browser sends this by itself
            if scheme.lower() == "bearer" or not self.signed_in(request):
                raise HTTPException(
                    401, "管理者の合言葉（トークン）が必要です。", headers={"WWW-Authenticate": "Bearer"}
                )
        elif not _this_computer(request):
            raise HTTPException(
                403,
                "この操作は、管理者の合言葉（DXQA_ADMIN_TOKEN）を設定していない間は、このコンピューターからだけ行えます。",
            )
        if request.method not in SAFE_METHODS:
            self.check_origin(request, needed=bool(self._token))

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
        host = request.client.host if request.client else ""
        tries = self._tries(host)
        if len(tries) >= WRONG_MOST:
            raise HTTPException(
                429,
                "合言葉の間違いが続いています。1分ほど待ってから、もう一度お試しください。",
                headers={"Retry-After": "60"},
            )
        if self._is_token(given.strip().encode("utf-8", "replace")):
            self._wrong.pop(host, None)
            return self.session(time.time())
        tries.append(time.monotonic())
        await asyncio.sleep(min(WRONG_DELAY_S * len(tries), WRONG_LONGEST_S))
        raise HTTPException(401, "合言葉が違います。大文字・小文字や前後の空白も確かめてください。")

    def _tries(self, host: str) -> list[float]:
        """The wrong tries of an address within the window."""
        now = time.monotonic()
        tries = [moment for moment in self._wrong.pop(host, []) if moment > now - WRONG_WINDOW_S]
        self._wrong[host] = tries
        while len(self._wrong) > 1000:
            self._wrong.popitem(last=False)
        return tries

    def _is_token(self, given: bytes) -> bool:
        return bool(self._token) and hmac.compare_digest(given, self._token.encode())

    def session(self, now: float) -> str:
        """A cookie's value that is good for `SESSION_S` seconds from `now` (seconds since 1970)."""
        words = f"{int(now) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{words}.{self._sign(words)}"

    def signed_in(self, request: Request) -> bool:
        """Whether a request's cookie is ours and still good."""
        words, _, signature = request.cookies.get(SESSION_COOKIE, "").rpartition(".")
        if not self._token or not hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._sign(words).encode()
        ):
            return False
        return int(words.split(".")[0]) > time.time()

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


def administrator(request: Request) -> None:
    """A route's dependency: lets through who may change something."""
    gate: Gate = request.app.state.gate
    gate.check(request)


def _this_computer(request: Request) -> bool:
    """Whether a request comes from this computer and was meant for it: a name of another site may be made to lead here."""
    try:
        name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return False
    return _is_loopback(request.client.host if request.client else "") and (
        name == "localhost" or name.endswith(".localhost") or _is_loopback(name)
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
