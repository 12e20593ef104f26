"""The tools for language models at `/mcp` of the running service (streamable HTTP).

In: requests that came through the same doors as all others (`web.guard`, `web.deadlines`, `web.door`). Out: one JSON reply each; no stream
and no session stays open, so nothing of a request outlives it. The tools themselves are `web.mcp_tools`'.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import Request
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import Message, Receive, Scope, Send

from web.admission import Admission, Share
from web.door import unreadable
from web.export import base_of
from web.gate import Gate, person_of
from web.guard import MCP
from web.mcp_tools import Caller, mcp_server
from web.site import Site


class Endpoint:
    """Answers what is posted to `/mcp`; `share` and `admission` let questions in, `failed` is told where something fails."""

    def __init__(
        self, site: Site, gate: Gate, share: Share, admission: Admission, failed: Callable[[], None]
    ) -> None:
        self._gate = gate

        @asynccontextmanager
        async def admitted(request: Request) -> AsyncIterator[None]:
            await share(request)
            async with asynccontextmanager(admission.__call__)(request):
                yield

        def caller_of(request: Any) -> Caller:
            return Caller(
                person_of(request),
                base_of(request),
                partial(admitted, request),
                partial(unreadable, request),
                failed,
            )

        self._server = mcp_server(site, caller_of)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers while the application runs; the SDK's sessions can be begun once, so each run has its own."""
        self._server.streamable_http_app(
            streamable_http_path=MCP,
            stateless_http=True,
            json_response=True,
            # by which names this server is called, from which sites and with how much, is decided for every request alike:
            # `web.guard` and `check_origin` below
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=sys.maxsize,
        )
        async with self._server.session_manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        request = Request(scope, receive)
        self._gate.check_origin(request, needed=getattr(request.state, "by_cookie", False))
        # before the SDK sees it: what is too large, too slow or gone is answered as everywhere else
        body = await request.body()
        given = False

        async def received() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._server.session_manager.handle_request(scope, received, send)
