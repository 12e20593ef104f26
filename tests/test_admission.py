"""Many questions at once: few at a time, in their order, and where too many wait they are told when to come again."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import HTTPException, Request
from made import CASE_BOOK, FakeEncoder
from served import serving

from index.build import build
from index.current import CurrentIndex
from index.passages import model_record
from server import create_app
from web.admission import Admission


def request(method: str = "POST", query: bytes = b"") -> Request:
    return Request({"type": "http", "method": method, "path": "/", "query_string": query, "headers": []})


def test_few_at_a_time_in_the_order_in_which_they_came() -> None:
    async def run() -> tuple[list[int], int]:
        admitted = Admission(at_once=2)
        order: list[int] = []
        inside = most = 0

        async def ask(number: int) -> None:
            nonlocal inside, most
            async with asynccontextmanager(admitted)(request()):
                inside += 1
                most = max(most, inside)
                order.append(number)
                await asyncio.sleep(0.002)
                inside -= 1

        await asyncio.gather(*(ask(number) for number in range(20)))
        assert admitted.waiting == 0
        return order, most

    assert asyncio.run(run()) == (list(range(20)), 2)


def test_who_would_wait_too_long_is_told_when_to_come() -> None:
    async def run() -> tuple[list[str], int]:
        # 0.05 s an answer, two at once: the fifth that waits expects 0.1 s, the sixth 0.125 s
        admitted = Admission(at_once=2, patience_s=0.11)
        refused: list[str] = []
        answered = 0

        async def ask() -> None:
            nonlocal answered
            try:
                async with asynccontextmanager(admitted)(request()):
                    await asyncio.sleep(0.05)
                    answered += 1
            except HTTPException as error:
                refused.append(f"{error.status_code} {(error.headers or {})['Retry-After']}")

        await asyncio.gather(*(ask() for _ in range(10)))
        return refused, answered

    assert asyncio.run(run()) == (["503 1"] * 3, 7)


def test_a_failed_answer_makes_room_and_a_page_without_question_does_not_wait() -> None:
    async def run() -> None:
        admitted = Admission(at_once=1)
        for _ in range(3):
            with pytest.raises(RuntimeError):
                async with asynccontextmanager(admitted)(request()):
                    raise RuntimeError("broken")
        async with asynccontextmanager(admitted)(request()):
            async with asyncio.timeout(1):
                async with asynccontextmanager(admitted)(request("GET")):
                    pass
                async with asynccontextmanager(admitted)(request("GET", b"q=")):
                    pass
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), asynccontextmanager(admitted)(request("GET", b"q=x")):
                    pass
        # who gave up waiting has left no trace
        assert admitted.waiting == 0
        async with asynccontextmanager(admitted)(request()):
            pass

    asyncio.run(run())


class SlowEncoder(FakeEncoder):
    """Takes a while for each question, and counts how many it has at once."""

    inside = most = 0
    lock = threading.Lock()

    def encode_question(self, text: str) -> Any:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.05)
        with self.lock:
            self.inside -= 1
        return super().encode_question(text)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, SlowEncoder]]:
    monkeypatch.setattr(Admission.__init__, "__defaults__", (2, 0.4))
    documents, root, encoder = tmp_path / "documents", tmp_path / "index", SlowEncoder()
    documents.mkdir()
    (documents / "事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
    build(documents, root, encoder)
    app = create_app(
        current=CurrentIndex(root, model_record(encoder)),
        encoder=encoder,
        rebuild=lambda progress: build(documents, root, encoder, progress=progress),
    )
    with serving(app) as address:
        yield address, encoder


def _get(address: str, body: dict[str, Any] | None = None) -> tuple[int, str, str]:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=30) as reply:
            return reply.status, reply.read().decode(), ""
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers["Retry-After"] or ""


def test_a_crowd_of_questions_over_http(served: tuple[str, SlowEncoder]) -> None:
    address, encoder = served
    assert _get(f"{address}/")[0] == 200  # its examples ask questions of their own, once an index
    encoder.most = 0
    with ThreadPoolExecutor(60) as pool:
        asked = [
            pool.submit(_get, f"{address}/api/ask", {"question": f"窓口の工夫は？（{n}）"}) for n in range(60)
        ]
        time.sleep(0.2)
        started = time.monotonic()
        assert _get(f"{address}/healthz")[0] == 200
        assert _get(f"{address}/")[0] == 200
        assert time.monotonic() - started < 2  # while the others wait
        page = _get(f"{address}/?q={quote('窓口の工夫は？')}")
        replies = [future.result() for future in asked]
    statuses = [status for status, _, _ in replies]
    assert set(statuses) == {200, 503}
    assert encoder.most <= 2
    for status, text, later in replies:
        if status == 503:
            assert int(later) >= 1
            assert "混み合って" in json.loads(text)["detail"]
        else:
            assert json.loads(text)["citations"]
    assert page[0] in {200, 503}
    # and afterwards everything is as before
    assert _get(f"{address}/api/ask", {"question": "窓口の工夫は？"})[0] == 200


def test_the_page_says_so_in_words(served: tuple[str, SlowEncoder]) -> None:
    address, _ = served
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(_get, f"{address}/?q={quote('窓口')}{n}") for n in range(40)]
        replies = [future.result() for future in asked]
    busy = [(text, later) for status, text, later in replies if status == 503]
    assert busy
    for text, later in busy:
        assert "混み合って" in text
        assert f"{later}秒ほど" in text
        assert "<title>" in text
