"""Slow clients and slow handlers, before a real server on a socket: each is cut off, and the others are served meanwhile."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from web.deadlines import Deadlines, Limits
from web.protocol import TimedProtocol


class Quick(TimedProtocol):
    """The product's protocol with times that a test can wait for."""

    head_s, take_s = 0.6, 0.6


def refuse(_: Request, status: int, detail: Any, message: str, headers: Any) -> Response:
    return JSONResponse({"detail": detail}, status, headers=headers)


def application(released: threading.Event) -> FastAPI:
    app = FastAPI()

    @app.post("/body")
    async def body(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.post("/upload")
    async def upload(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.get("/slow")
    def slow() -> str:
        released.wait(10)
        return "done"

    @app.get("/slow-and-wrong")
    def slow_and_wrong() -> str:
        released.wait(10)
        raise HTTPException(418)

    @app.get("/waits")
    async def waits() -> str:
        await asyncio.sleep(10)
        return "done"

    @app.get("/large")
    def large() -> StreamingResponse:
        return StreamingResponse((b"x" * 2**16 for _ in range(1600)), media_type="text/plain")

    @app.get("/quick")
    def quick() -> str:
        return "done"

    app.add_middleware(
        Deadlines,
        refuse=refuse,
        uploads={"/upload"},
        limits=Limits(body_s=0.6, upload_s=3.0, answer_s=0.6, upload_answer_s=0.6),
    )
    return app


@contextmanager
def served(app: FastAPI) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="critical", http=Quick, timeout_keep_alive=2, timeout_graceful_shutdown=1
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            end = time.monotonic() + 10
            while not server.started:
                assert time.monotonic() < end
                time.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture(scope="module")
def released() -> threading.Event:
    return threading.Event()


@pytest.fixture(scope="module")
def port(released: threading.Event) -> Iterator[int]:
    with served(application(released)) as number:
        yield number
        released.set()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=8)


def all_of(connection: socket.socket, most: int = 2**30) -> bytes:
    """What comes until the other side ends it, or `most` bytes of it."""
    found = bytearray()
    with suppress(ConnectionResetError):
        while len(found) < most and (piece := connection.recv(2**18)):
            found += piece
    return bytes(found)


def one_of(connection: socket.socket) -> bytes:
    """What comes of a short reply, the connection staying open."""
    found = b""
    while b'"done"' not in found and (piece := connection.recv(65536)):
        found += piece
    return found


def ended_after(connection: socket.socket) -> tuple[float, bytes]:
    started = time.monotonic()
    found = all_of(connection)
    return time.monotonic() - started, found


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1]) if reply else 0


def asks(port: int, request: bytes) -> bytes:
    with connected(port) as connection:
        connection.sendall(request)
        return all_of(connection)


QUICK = b"GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_a_connection_that_says_nothing(port: int) -> None:
    with connected(port) as silent:
        took, found = ended_after(silent)
    assert (0.4 < took < 3, found) == (True, b"")


def test_a_head_that_comes_in_drops(port: int) -> None:
    with connected(port) as slow:
        slow.sendall(b"GET /quick HTTP/1.1\r\n")
        started, dropped = time.monotonic(), False
        while time.monotonic() < started + 5 and not dropped:
            time.sleep(0.1)
            try:
                slow.sendall(b"X-A: b\r\n")
                dropped = slow.recv(1, socket.MSG_DONTWAIT) == b""
            except BlockingIOError:
                continue
            except OSError:
                dropped = True
        took = time.monotonic() - started
    assert dropped
    assert 0.4 < took < 3


def test_a_second_head_on_the_same_connection(port: int) -> None:
    with connected(port) as kept:
        kept.sendall(QUICK.replace(b"Connection: close\r\n", b""))
        assert b'"done"' in one_of(kept)
        time.sleep(1.0)  # uvicorn keeps it longer than a head may take
        kept.sendall(QUICK.replace(b"Connection: close\r\n", b""))
        assert b'"done"' in one_of(kept)
        kept.sendall(b"GET /qu")
        took, found = ended_after(kept)
    assert (0.4 < took < 1.7, found) == (True, b"")


def test_a_body_that_comes_in_drops(port: int) -> None:
    with connected(port) as slow:
        slow.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        took, found = ended_after(slow)
    assert (status(found), 0.4 < took < 3) == (408, True)
    assert "途中でやめました" in found.decode()


def test_an_upload_has_more_time(port: int) -> None:
    with connected(port) as slow:
        slow.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\n\r\nabc")
        time.sleep(1.0)
        slow.sendall(b"def")
        found = all_of(slow)
    assert (status(found), b'"bytes":6' in found) == (200, True)


@pytest.mark.parametrize("path", ["/slow", "/slow-and-wrong", "/waits"])
def test_a_handler_that_does_not_end(port: int, path: str, released: threading.Event) -> None:
    started = time.monotonic()
    found = asks(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    took = time.monotonic() - started
    assert (status(found), 0.9 < took < 5) == (503, True)
    assert "時間内に終わりませんでした" in found.decode()
    assert b"retry-after: 10" in found
    released.set()  # what ends later says nothing any more
    time.sleep(0.1)
    assert b'"done"' in asks(port, QUICK)
    released.clear()


def test_a_reply_that_nobody_takes(port: int) -> None:
    with connected(port) as slow:
        slow.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(2.0)
        found = all_of(slow, 30 * 2**20)
    assert 0 < len(found) < 30 * 2**20  # what the system holds of it; the rest was cut off


def test_whoever_takes_it_gets_all_of_it(port: int) -> None:
    found = asks(port, b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert found.count(b"x") >= 1600 * 2**16


def test_many_slow_ones_keep_nobody_out(port: int) -> None:
    slow = [connected(port) for _ in range(150)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(
                b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" if number % 2 else b"GET / HT"
            )
        started = time.monotonic()
        assert b'"done"' in asks(port, QUICK)
        assert time.monotonic() - started < 3
        for connection in slow:
            all_of(connection)  # each is ended by the server
    finally:
        for connection in slow:
            connection.close()
