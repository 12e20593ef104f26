"""An OpenAI-compatible server that writes what a test tells it to: an honest model, a careless one, a hostile, slow or broken one.

In: a script, a function of the messages that came, which gives the pieces of a reply, or `Broken`. Out: a real server on the loopback
address, which speaks `/v1/chat/completions` with streaming, and remembers what it was asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Broken:
    """A reply that is none: a status with a body, bytes in the place of a stream, or a stream that ends in the middle."""

    status: int = 200
    body: bytes = b""
    pieces: tuple[str, ...] = ()
    ends: str | None = None
    """The reason for which the model says that it ended; None where it says nothing."""
    location: str = ""
    kind: str = "text/event-stream"
    """What a body says that it is."""
    marked: bool = False
    """Whether the mark stands after pieces that end without a reason."""


@dataclass(frozen=True)
class Slowly:
    """A reply whose pieces come one after the other with a pause before each."""

    pieces: tuple[str, ...]
    pause_s: float


Messages = list[dict[str, str]]
Script = Callable[[Messages], "str | Iterable[str] | Broken | Slowly"]


@dataclass
class ScriptedModel:
    """The server; `script` may be changed while it runs."""

    script: Script
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def __enter__(self) -> ScriptedModel:
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked.append(body)
                model.headers.append(dict(self.headers))
                self.close_connection = True
                with suppress(BrokenPipeError, ConnectionResetError):  # who asked has gone
                    _answer(self, model.script(body["messages"]))

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What `--llm-url` is set to."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"


def _answer(handler: BaseHTTPRequestHandler, told: str | Iterable[str] | Broken | Slowly) -> None:
    broken = told if isinstance(told, Broken) else None
    if broken is not None and (broken.status != 200 or broken.body):
        handler.send_response(broken.status)
        if broken.location:
            handler.send_header("Location", broken.location)
        handler.send_header("Content-Type", broken.kind if broken.status == 200 else "application/json")
        handler.send_header("Content-Length", str(len(broken.body)))
        handler.end_headers()
        handler.wfile.write(broken.body)
        return
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Connection", "close")
    handler.end_headers()
    pause_s, ends = 0.0, "stop" if broken is None else broken.ends
    if isinstance(told, Slowly):
        pieces: Iterable[str] = told.pieces
        pause_s = told.pause_s
    elif broken is not None:
        pieces = broken.pieces
    else:
        assert not isinstance(told, Broken)
        pieces = [told] if isinstance(told, str) else told
    for piece in pieces:
        time.sleep(pause_s)
        _chunk(handler, {"content": piece}, None)
    if ends is not None:
        _chunk(handler, {}, ends)
    if ends is not None or (broken is not None and broken.marked):
        handler.wfile.write(b"data: [DONE]\n\n")
    handler.wfile.flush()


def _chunk(handler: BaseHTTPRequestHandler, delta: dict[str, str], ends: str | None) -> None:
    chunk = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": ends}],
    }  # fmt: skip
    handler.wfile.write(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode())
    handler.wfile.flush()
