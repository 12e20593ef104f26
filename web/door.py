"""The door: finds out who asks before anything else is done, and lets nobody in who must sign in first.

In: requests. Out: the same, with `request.state.person`; or a reply that leads to the sign-in. Every path is behind it but the few that
are named here, so that a new page is behind it too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from access.people import ANYBODY
from database import DatabaseUnavailableError
from web.gate import Gate, person_of
from web.guard import for_programs
from web.program_doors import door_of

OPEN = frozenset({"/login", "/logout", "/admin/login", "/healthz", "/readyz", "/metrics"})
"""Paths that are open to whoever reaches the server; those of metrics and of the administrator look for themselves."""
LOGIN = "ログインが必要です。"
UNREADABLE = "資料を読める人の記録を確かめられないため、いまは資料を示せません。管理者に知らせてください。"
_log = logging.getLogger("dxqa.server")

Refuse = Callable[[Request, int, Any, str, Any], Response]
"""Makes the page or the JSON of an error: request, status, detail, message, headers."""


def unreadable(request: Request, error: DatabaseUnavailableError) -> str:
    """What is said where accounts or labels cannot be read: administrators and the log are told why, others nothing of the server."""
    _log.error("%s", error)
    return str(error) if person_of(request).administrator else UNREADABLE


class Door:
    """Stands around the application; where `closed`, nobody reads who was not recognised."""

    def __init__(self, app: ASGIApp, gate: Gate, refuse: Refuse, *, closed: bool) -> None:
        self._app, self._gate, self._refuse, self._closed = app, gate, refuse, closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        is_open = path in OPEN or path.startswith("/static/")
        request = Request(scope, receive)
        request.state.person, request.state.may_read = ANYBODY, False
        reply: Response | None = None
        if not path.startswith("/static/"):
            try:
                person = await self._gate.person(request)
                request.state.person = person
                request.state.may_read = not self._closed or person.name is not None
            except HTTPException as error:
                reply = await self._refused(request, error.status_code, str(error.detail), error.headers)
            except DatabaseUnavailableError as error:
                if not is_open:
                    reply = await self._refused(
                        request, 503, unreadable(request, error), {"Retry-After": "10"}
                    )
            if reply is None and not is_open and not request.state.may_read:
                reply = await self._to_login(request)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and request.state.person.name is not None:
                # of somebody's own; the next one at the same computer shall not find it
                MutableHeaders(scope=message)["Cache-Control"] = "no-store"
            await send(message)

        await (reply or self._app)(scope, receive, sent)

    async def _to_login(self, request: Request) -> Response:
        path = request.url.path
        if request.method in {"GET", "HEAD"} and not for_programs(path) and door_of(path) is None:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/login?next={quote(request.url.path + query, safe='')}", 303)
        return await self._refused(request, 401, LOGIN, {"WWW-Authenticate": "Bearer"})

    async def _refused(self, request: Request, status: int, message: str, headers: Any) -> Response:
        return await run_in_threadpool(self._refuse, request, status, message, message, headers)
