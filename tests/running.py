"""A server as staff start it, a process of its own on a free port of this computer, and what it says."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from options import HOME


def surroundings(**settings: str) -> dict[str, str]:
    """The environment of this process without the product's own variables, and with the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DXQA_")}
    return kept | {f"DXQA_{name.upper()}": value for name, value in settings.items()}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@dataclass
class Running:
    """A server that was started; `log` is what it says."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def call(
        self, method: str, path: str, body: object = None, timeout_s: float = 30.0, **headers: str
    ) -> tuple[int, bytes]:
        """(status, reply) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def ask(self, question: str) -> Any:
        """The reply of the API, without what no two replies share."""
        status, reply = self.call("POST", "/api/ask", {"question": question})
        assert status == 200, reply
        found = json.loads(reply)
        found.pop("took_ms")
        return found

    def wait_until_ready(self, timeout_s: float = 90.0) -> None:
        """Waits until it answers; fails with what it said where it ends before."""
        end = time.monotonic() + timeout_s
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.call("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)


@contextmanager
def running(
    folder: Path, *arguments: str, stopping_s: int | None = None, **settings: str
) -> Iterator[Running]:
    """A server with its index, usage and log in `folder`; ended for good when the block ends.

    `stopping_s` takes the place of the time that it has for replies under way when it is told to stop.
    """
    log, port = folder / "server.log", free_port()
    program = [str(HOME / "server.py")]
    if stopping_s is not None:
        program = ["-c", f"import sys, server; server.STOPPING_S = {stopping_s}; sys.exit(server.main())"]
    settings = {"index": str(folder / "index"), "usage": str(folder / "usage.sqlite3"), **settings}
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, *program, "--port", str(port), *arguments],
            env=surroundings(**settings) | {"PYTHONPATH": str(HOME)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    server = Running(process, port, log)
    try:
        server.wait_until_ready()
        yield server
    finally:
        process.kill()
        process.wait(20)
