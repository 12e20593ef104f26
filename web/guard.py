"""By which names this server is called, how much may be sent, and what every reply says to a browser.

In: requests, as they come. Out: the same, counted while they are read; replies with their headers. Who asks is not known here.
"""

from __future__ import annotations

from collections.abc import Collection

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.library import MAX_REQUEST_BYTES
from web.peers import host_name, is_local
from web.program_doors import CONVERSATIONS, door_of
from web.program_doors import refusal as refusal_at

MAX_BODY_BYTES = 256 * 1024
"""Of an ordinary request: a question with 20 earlier ones has 30 KB."""
MAX_CONVERSATION_BYTES = 2 * 1024 * 1024
"""Of a whole conversation, answers and their sources included: some two hundred questions."""
MAX_UPLOAD_BYTES = MAX_REQUEST_BYTES + 1024 * 1024
"""Of an upload: its files, and what stands between them."""
LINGER_BYTES = 1 << 30
"""Of a body that was refused so much is still let in, so that a browser comes to read why; a longer one, and one without an end in
sight, ends the connection."""
MCP = "/mcp"
"""Where programs with a language model of their own ask (`web.mcp_http`)."""
UPLOADS = frozenset({"/api/documents", "/api/uploads", "/admin/uploads"})
MISDIRECTED = (
    "この名前（ホスト名）では利用できません。サーバーのコンピューターで http://localhost を開くか、"
    "管理者に --allowed-hosts へこの名前を加えてもらってください。"
)
TWO_LENGTHS = "送信された内容の長さが、二通り（Content-Length と Transfer-Encoding）に書かれています。一方だけにしてください。"
"""Of such a request a proxy may take another part for its end than this server, and what is inside for a request of somebody else."""

# No script, style, font or image from anywhere but here; nothing may frame these pages.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # other hosts learn nothing; under no-referrer a browser sends `Origin: null` with a form, even to the server of the form
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",  # for what does not know frame-ancestors
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
ADMIN_HEADERS = SECURITY_HEADERS | {"Cache-Control": "no-store"}


def secured(headers: MutableHeaders, path: str) -> None:
    """Adds to a reply's headers what a browser is told with every reply."""
    for name, value in (ADMIN_HEADERS if private(path) else SECURITY_HEADERS).items():
        headers.setdefault(name, value)


def for_programs(path: str) -> bool:
    """Whether programs call a path: they are answered in JSON, and led to no page."""
    return path.startswith("/api/") or path == MCP


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
        most = _most(path) if scope["method"] == "POST" else MAX_BODY_BYTES
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
            door = door_of(path)
            reply: Response = PlainTextResponse(message, status, closing)
            if door is not None:
                reply = JSONResponse(refusal_at(door, status, message, message), status, closing)
            elif for_programs(path):
                reply = JSONResponse({"detail": message}, status, closing)
            await reply(scope, receive, sent)
            return
        await self._app(scope, counted, sent)

    def _is_ours(self, named: list[str]) -> bool:
        """Whether a request is meant for this server, by its Host headers."""
        if self._hosts is None:
            return True
        names = [host_name(header) for header in named]
        return bool(names) and all(is_local(name) or name in self._hosts for name in names)


def _most(path: str) -> int:
    """Bytes that may be posted to a path."""
    if path in UPLOADS:
        return MAX_UPLOAD_BYTES
    return MAX_CONVERSATION_BYTES if path in CONVERSATIONS else MAX_BODY_BYTES


def too_large(most: int) -> HTTPException:
    """What is said of a body beyond `most` bytes."""
    limit = f"{MAX_REQUEST_BYTES // 2**20}MB" if most == MAX_UPLOAD_BYTES else f"{most // 1024}KB"
    return HTTPException(413, f"送信された内容が大きすぎます（上限 {limit}）。分けて送ってください。")
