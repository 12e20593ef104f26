"""Written answers over HTTP: in one reply, and word by word.

In: an extractive reply, and a configured language model. Out: what `qa.written` makes of both, within the model's time; where too many are
written at once, the extractive reply with a note. While a model writes, no place is held of those in which questions are answered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from qa.answer import Reply
from qa.written import TIMEOUT_S, Unsupported, Words, Writer, instead, write

AT_ONCE = 4
"""Answers written at the same time: a model on one graphics card writes some side by side, and each waits in a thread here."""
BUSY = "言語モデルが混み合っているので、原文の引用で答えます。"


class Writing:
    """The written answers of a service."""

    def __init__(
        self,
        writer: Writer,
        *,
        name: str = "",
        on_unsupported: Unsupported = "remove",
        timeout_s: float = TIMEOUT_S,
        at_once: int = AT_ONCE,
    ) -> None:
        """`name` is what the model is called, for people and metrics."""
        self._writer, self.name = writer, name
        self._on_unsupported, self._timeout_s = on_unsupported, timeout_s
        self._free = threading.BoundedSemaphore(at_once)

    def events(self, reply: Reply, history: Sequence[str] = ()) -> Generator[Words | Reply, None, None]:
        """Words as they come, and one reply at the end; whoever leaves before closes it."""
        if not self._free.acquire(blocking=False):
            yield instead(reply, BUSY)
            return
        try:
            yield from write(
                reply,
                self._writer,
                history=history,
                on_unsupported=self._on_unsupported,
                timeout_s=self._timeout_s,
            )
        finally:
            self._free.release()

    def reply(self, request: Request, reply: Reply, history: Sequence[str] = ()) -> Reply:
        """The written reply; called in a thread, with the place of the question that it answers."""
        leave(request)
        with closing(self.events(reply, history)) as events:
            return next(one for one in events if isinstance(one, Reply))


def leave(request: Request) -> None:
    """Gives back the place that a request holds, if it holds one."""
    place = getattr(request.state, "place", None)
    if place is not None:
        place.leave_soon()


def streamed(events: Iterator[Words | Reply], reply: Reply) -> StreamingResponse:
    """Server-sent events: `citations` (the extractive reply), then `words` ({"text"}), then `verdict` (the reply that counts)."""

    def lines() -> Iterator[bytes]:
        yield _event("citations", asdict(reply))
        for one in events:
            yield (
                _event("words", {"text": one.text})
                if isinstance(one, Words)
                else _event("verdict", asdict(one))
            )

    return StreamingResponse(
        lines(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\n".encode() + event_data(data)


_ENDS = {ord(letter): f"\\u{ord(letter):04x}" for letter in "\x85\u2028\u2029"}
"""What ends a line to some clients (`httpx`), although not to the standard; documents may hold it. JSON escapes all others itself."""


def event_data(data: Any) -> bytes:
    """The data of an event, as JSON in one line, with the event's end."""
    said = json.dumps(data, ensure_ascii=False).translate(_ENDS)
    return f"data: {said}\n\n".encode("utf-8", "replace")
