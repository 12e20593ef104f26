"""Stopping a real server that is at work: replies under way are finished, what was asked is recorded, the index stays."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from running import Running, running

from index.store import load_current
from index.versions import current_version
from server import STOPPING_S

KEY = {"Authorization": "Bearer a-token"}
CLIENTS = 12


def section(number: int) -> str:
    return f"## {number}番の窓口\n\n{number}番の窓口の受付は平日の午前九時から午後五時までです。電話番号は次のとおりです。\n\n"


@pytest.fixture
def server(tmp_path: Path, tiny_folder: Path) -> Iterator[Running]:
    (tmp_path / "documents").mkdir()
    words = "# 窓口の手引き\n\n" + "".join(section(number) for number in range(40))
    (tmp_path / "documents" / "窓口.md").write_text(words, encoding="utf-8")
    with running(
        tmp_path,
        documents=str(tmp_path / "documents"),
        model=str(tiny_folder),
        precision="fp32",
        admin_token="a-token",
    ) as started:
        yield started


def begun(server: Running, number: int) -> http.client.HTTPConnection:
    """A question that has been sent all but its last byte: the server is in the middle of it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = json.dumps({"question": f"{number}番の窓口の受付は何時からですか"}).encode()
    connection.putrequest("POST", "/api/ask")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:-1])
    return connection


def recorded(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "usage.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {row[0] for row in connection.execute("SELECT question FROM questions")}


def test_questions_under_way_are_answered_and_recorded(server: Running, tmp_path: Path) -> None:
    version = current_version(tmp_path / "index")
    connections = [begun(server, number) for number in range(CLIENTS)]
    idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    idle.request("GET", "/healthz")
    assert (
        idle.getresponse().read() == b'{"status":"ok"}'
    )  # a connection that is kept open does not hold it up
    time.sleep(0.3)  # the server has read what was sent
    asked = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    refused = False
    while not refused and time.monotonic() < asked + 10:
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
            time.sleep(0.02)
        except OSError:
            refused = True
    assert refused, "new connections are refused"
    assert server.process.poll() is None, "and those under way are not cut off"
    for connection in connections:
        connection.send(b"}")
    answers = []
    for connection in connections:
        reply = connection.getresponse()
        assert reply.status == 200
        answers.append(json.loads(reply.read()))
        connection.close()
    idle.close()
    assert server.process.wait(STOPPING_S) == 0, server.log.read_text()
    assert [answer["index_version"] for answer in answers] == [version] * CLIENTS
    assert all(answer["citations"] for answer in answers)
    assert recorded(tmp_path) == {f"{number}番の窓口の受付は何時からですか" for number in range(CLIENTS)}
    assert "Traceback" not in server.log.read_text()


def test_somebody_who_never_ends_does_not_hold_it_up_for_ever(server: Running, tmp_path: Path) -> None:
    """One request stands still in the middle, and load goes on until the end: the time is limited."""
    still = begun(server, 1)
    ended = threading.Event()
    finished = []

    def asking(number: int) -> None:
        while not ended.is_set():
            try:
                finished.append(server.ask(f"{number}番の窓口の電話番号は")["index_version"])
            except (OSError, http.client.HTTPException):
                return  # refused: it is stopping

    threads = [threading.Thread(target=asking, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    begins = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    try:
        assert server.process.wait(STOPPING_S + 15) == 0, server.log.read_text()
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)
        still.close()
    took = time.monotonic() - begins
    assert STOPPING_S - 1 < took < STOPPING_S + 15
    assert len(finished) > 6
    assert recorded(tmp_path)


def test_a_build_that_runs_is_stopped_and_the_index_stays(server: Running, tmp_path: Path) -> None:
    version = current_version(tmp_path / "index")
    for number in range(60):
        words = f"# {number}課\n\n" + "".join(section(number * 1000 + part) for part in range(60))
        (tmp_path / "documents" / f"{number}.md").write_text(words, encoding="utf-8")
    status, reply = server.call("POST", "/api/index/rebuild", **KEY)
    assert status == 202
    job = f"/api/index/jobs/{json.loads(reply)['job_id']}"
    end = time.monotonic() + 60
    while (now := json.loads(server.call("GET", job)[1]))["stage"] != "encoding" or not now["done"]:
        assert now["status"] in {"queued", "running"}, now
        assert time.monotonic() < end
        time.sleep(0.02)
    begins = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0, server.log.read_text()
    assert time.monotonic() - begins < 15
    assert current_version(tmp_path / "index") == version
    assert len(load_current(tmp_path / "index").documents) == 1
    hidden = [path.name for path in (tmp_path / "index").rglob(".*") if path.name != ".lock"]
    assert hidden == [], "what it had begun to write is gone"
    assert "Traceback" not in server.log.read_text()


def test_ctrl_c_is_no_failure_either(server: Running) -> None:
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(STOPPING_S) == 0, server.log.read_text()
    assert "Traceback" not in server.log.read_text()
