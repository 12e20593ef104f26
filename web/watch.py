"""Watches every request from outside of everything else: its number, its line in the log, its time in the metrics.

In: requests and the replies to them, also those that no route makes. Out: the header `X-Request-ID`, lines in the log, counts. What is asked
and answered is not looked at.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any, cast

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from web.gate import SAFE_METHODS
from web.logs import NOW, Now, audit
from web.metrics import Metrics
from web.peers import Proxies
from web.program_doors import KEY_HEADER

HEADER = "X-Request-ID"
_HEADER = HEADER.lower().encode()
_KEYS = {b"authorization", KEY_HEADER.encode()}
METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
NO_ROUTE = "-"
GONE = 499
"""Stands for the status of a reply that nobody waited for."""
_GIVEN = re.compile(r"[A-Za-z0-9-]{8,64}")
_CHANGES = ("/admin", "/api/documents", "/api/uploads", "/api/index")
_log = logging.getLogger("dxqa.server")
_access = logging.getLogger("dxqa.access")


class Watch:
    """The outermost layer of the application.

    `proxies` are those whose headers are believed: where the visitor is (X-Forwarded-For, -Proto), and the number that the proxy gave the
    request. Whose connection it was before that stays in `request.state.peer`.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, proxies: Proxies) -> None:
        self._metrics, self._proxies = metrics, proxies
        self._app: Any = app
        if proxies:
            # its ASGI types are uvicorn's own, the protocol is one
            self._app = ProxyHeadersMiddleware(cast(Any, app), proxies.names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; what it raises is logged and raised again."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        now = Now(self._number(scope), scope)
        client = scope.get("client")
        scope.setdefault("state", {}).update(request_id=now.id, peer=client[0] if client else "")
        status, size, started = GONE, 0, time.perf_counter()

        async def sent(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_HEADER, now.id.encode())]
            elif message["type"] == "http.response.body" and scope["method"] != "HEAD":
                size += len(message.get("body", b""))
            await send(message)

        token = NOW.set(now)
        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            status = max(status, 500)
            fields = {"method": _method(scope), "route": route_of(scope)}
            _log.error("request failed", exc_info=error, extra={"fields": fields})
            raise
        finally:
            self._end(now, scope, status, size, time.perf_counter() - started)
            NOW.reset(token)

    def _number(self, scope: Scope) -> str:
        """The number that a trusted proxy gave the request, or a new one."""
        if scope.get("client") and scope["client"][0] in self._proxies:
            given = Headers(scope=scope).getlist(HEADER)
            if len(given) == 1 and _GIVEN.fullmatch(given[0]):
                return given[0]
        return secrets.token_hex(6)

    def _end(self, now: Now, scope: Scope, status: int, size: int, seconds: float) -> None:
        method, route = _method(scope), route_of(scope)
        self._metrics.request(method, route, status, seconds)
        if status in {401, 429} and (
            route in {"/login", "/admin/login"} or _KEYS & {name for name, _ in scope["headers"]}
        ):
            self._metrics.sign_in("limited" if status == 429 else "wrong")
        # who is refused at the door comes to no route
        asked = next((begin for begin in _CHANGES if scope["path"].startswith(begin)), None)
        if status >= 400 and not now.audited and method not in SAFE_METHODS and asked is not None:
            audit("refused", method=method, route=asked if route == NO_ROUTE else route, status=status)
        fields = {
            "method": method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "bytes": size,
        }
        _access.info("request", extra={"fields": fields})


class Watched(FastAPI):
    """An application with the watch around all of it: around its error pages, too."""

    def __init__(self, *, metrics: Metrics, proxies: Proxies, **more: Any) -> None:
        self._metrics, self._proxies = metrics, proxies
        super().__init__(**more)
        self.state.metrics = metrics

    def build_middleware_stack(self) -> ASGIApp:
        """What a request passes through, the watch first."""
        return Watch(super().build_middleware_stack(), self._metrics, self._proxies)


def _method(scope: Scope) -> str:
    """A method that HTTP knows: whoever asks may send any word."""
    return scope["method"] if scope["method"] in METHODS else "OTHER"


def route_of(scope: Scope) -> str:
    """The template of the route that answered (「/cases/{case_id}」), never what stands in the address; 「-」 where there is none."""
    route = scope.get("route")
    if route is not None:
        return str(getattr(route, "path", NO_ROUTE))
    if scope.get("app_root_path") is not None and scope.get("endpoint") is not None:  # a mounted folder
        return f"{scope['root_path']}/*"
    if scope.get("endpoint") is not None and not scope.get("path_params"):  # a route of one address
        return str(scope["path"])
    return NO_ROUTE
