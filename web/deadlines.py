"""How long a request may take: to be sent, and to be answered.

In: requests. Out: the same; who sends too slowly is refused (408), and what takes too long to answer is answered with 503. How slowly a
request's head may come, and a reply be taken, is said to the server (`web.protocol`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.door import Refuse

BODY_S = 20.0
"""For a body of an ordinary request, 256 KB at the most."""
UPLOAD_S = 600.0
"""For an upload: 200 MB in ten minutes are 2.7 Mbit/s."""
ANSWER_S = 60.0
"""Until a reply begins; an answer takes hundredths of a second, and waits eight seconds at the most."""
UPLOAD_ANSWER_S = 300.0
"""The files of an upload are checked and written meanwhile."""
TOO_SLOW = "送信に時間がかかりすぎたので、途中でやめました。回線を確かめて、送り直してください。"
TOO_LONG = "時間内に終わりませんでした。しばらく待ってから、もう一度お試しください。"
_log = logging.getLogger("dxqa.server")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: for a body, an upload's body, the answer, an upload's answer."""

    body_s: float = BODY_S
    upload_s: float = UPLOAD_S
    answer_s: float = ANSWER_S
    upload_answer_s: float = UPLOAD_ANSWER_S


class Deadlines:
    """Holds every request to its time; `uploads` are the paths to which large bodies are posted."""

    def __init__(
        self, app: ASGIApp, refuse: Refuse, uploads: Collection[str], limits: Limits | None = None
    ) -> None:
        self._app, self._refuse = app, refuse
        self._uploads, self._limits = frozenset(uploads), limits or Limits()
        self._late: set[asyncio.Task[None]] = set()
        """What was answered with 503 and still computes: a thread cannot be stopped."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_upload = scope["method"] == "POST" and scope["path"] in self._uploads
        limits = self._limits
        body_s = limits.upload_s if is_upload else limits.body_s
        answer_s = limits.upload_answer_s if is_upload else limits.answer_s
        until = asyncio.get_running_loop().time() + body_s
        begun = asyncio.Event()
        taken = given_up = False

        async def received() -> Message:
            nonlocal taken
            if taken:
                return await receive()  # whether the client has gone
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, TOO_SLOW, headers={"Connection": "close"}) from error
            taken = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def sent(message: Message) -> None:
            if not given_up:
                begun.set()
                await send(message)

        async def answered() -> None:
            await self._app(scope, received, sent)

        work = asyncio.create_task(answered())
        waiting = asyncio.create_task(begun.wait())
        try:
            await asyncio.wait(
                {work, waiting}, timeout=body_s + answer_s, return_when=asyncio.FIRST_COMPLETED
            )
            if work.done() or begun.is_set():
                await work
                return
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            waiting.cancel()
        given_up = True
        self._late.add(work)
        work.add_done_callback(self._ended)
        request = Request(scope)
        _log.error("no reply in time: %s %s", request.method, request.url.path)
        reply = await run_in_threadpool(self._refuse, request, 503, TOO_LONG, TOO_LONG, {"Retry-After": "10"})
        await reply(scope, receive, send)

    def _ended(self, work: asyncio.Task[None]) -> None:
        self._late.discard(work)
        if not work.cancelled() and work.exception() is not None:
            _log.error("failed after its time was over", exc_info=work.exception())
