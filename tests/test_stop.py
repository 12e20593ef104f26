"""Stopping a real server that is at work: replies under way are finished, what was asked is recorded, the index stays."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from running import Running, running
from test_upgrade import made_by_another_release

import build_index
from index.store import load_current
from index.versions import FORMAT_VERSION, current_version
from server import STOPPING_S

KEY = {"Authorization": "Bearer a-token"}
CLIENTS = 12


def section(number: int) -> str:
    return f"## {number}番の窓口\n\n{number}番の窓口の受付は平日の午前九時から午後五時までです。電話番号は次のとおりです。\n\n"


@pytest.fixture
def office(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with documents and a real index of them."""
    for name in [name for name in os.environ if name.startswith("DXQA_")]:
        monkeypatch.delenv(name)
    (tmp_path / "documents").mkdir()
    words = "# 窓口の手引き\n\n" + "".join(section(number) for number in range(40))
    (tmp_path / "documents" / "窓口.md").write_text(words, encoding="utf-8")
    named = {"documents": tmp_path / "documents", "index": tmp_path / "index", "model": tiny_folder}
    options = [text for name, value in named.items() for text in (f"--{name}", str(value))]
    assert build_index.main([*options, "--precision", "fp32"]) == 0
    return tmp_path


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


def test_an_older_index_is_made_anew_and_a_stop_loses_nothing(office: Path, tiny_folder: Path) -> None:
    """The program was replaced by a newer release: it is started, says what it found, builds, and answers. Then it is told to
    stop in the middle of answers: these are finished, new ones refused, all are recorded."""
    old = made_by_another_release(office / "index", 3)
    with running(
        office, documents=str(office / "documents"), model=str(tiny_folder), precision="fp32"
    ) as server:
        version = current_version(office / "index")
        assert version != old
        assert f"索引 3・このプログラム {FORMAT_VERSION}" in server.log.read_text()
        assert (office / "index" / "versions" / old).is_dir()
        _stopped_in_the_middle(server, office, version)


def _stopped_in_the_middle(server: Running, office: Path, version: str | None) -> None:
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
    assert server.process.wait(3 * STOPPING_S) == 0, server.log.read_text()
    assert [answer["index_version"] for answer in answers] == [version] * CLIENTS
    assert all(answer["citations"] for answer in answers)
    assert recorded(office) == {f"{number}番の窓口の受付は何時からですか" for number in range(CLIENTS)}
    assert "Traceback" not in server.log.read_text()


def test_keys_that_are_pressed_again_cut_nothing_off(office: Path, tiny_folder: Path) -> None:
    """Ctrl+C three times in the middle of answers: it says that it is ending, and all are finished and recorded."""
    with running(
        office, documents=str(office / "documents"), model=str(tiny_folder), precision="fp32"
    ) as server:
        connections = [begun(server, number) for number in range(CLIENTS)]
        time.sleep(0.3)
        for _ in range(3):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert server.process.poll() is None
        for connection in connections:
            connection.send(b"}")
        assert [connection.getresponse().status for connection in connections] == [200] * CLIENTS
        for connection in connections:
            connection.close()
        assert server.process.wait(3 * STOPPING_S) == 0
        said = server.log.read_text()
        assert said.count("終えています") == 1
        assert "終えました" in said
        assert "Traceback" not in said
        assert len(recorded(office)) == CLIENTS


def test_a_build_and_somebody_who_never_ends_do_not_hold_it_up(office: Path, tiny_folder: Path) -> None:
    """One request stands still in its middle, others go on coming, and the index is being built: the time is limited, and
    nothing is left of the build."""
    for number in range(24):
        words = f"# {number}課\n\n" + "".join(section(number * 1000 + part) for part in range(60))
        (office / "documents" / f"{number}.md").write_text(words, encoding="utf-8")
    ended = threading.Event()
    finished: list[str] = []
    with running(
        office,
        documents=str(office / "documents"),
        model=str(tiny_folder),
        precision="fp32",
        admin_token="a-token",
        stopping_s=1,
    ) as server:
        version = current_version(office / "index")
        still = begun(server, 1)

        def asking(number: int) -> None:
            while not ended.is_set():
                try:
                    finished.append(server.ask(f"{number}番の窓口の電話番号は")["index_version"])
                except (OSError, http.client.HTTPException):
                    return  # refused: it is stopping

        threads = [threading.Thread(target=asking, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        status, reply = server.call("POST", "/api/index/rebuild", **KEY)
        assert status == 202
        job = f"/api/index/jobs/{json.loads(reply)['job_id']}"
        end = time.monotonic() + 60
        while (now := json.loads(server.call("GET", job)[1]))["stage"] not in {
            "reading",
            "encoding",
        } or not now["done"]:
            assert now["status"] in {"queued", "running"}, now
            assert time.monotonic() < end
            time.sleep(0.02)
        begins = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        try:
            assert server.process.wait(60) == 0, server.log.read_text()
        finally:
            ended.set()
            for thread in threads:
                thread.join(30)
            still.close()
        assert 0.9 < time.monotonic() - begins < 60
        said = server.log.read_text()
    assert "graceful shutdown exceeded" in said, "of the one that stood still"
    assert "Traceback" not in said.split("rebuild ended")[0], (
        "a build that is stopped is no failure of the program"
    )
    assert "status=failed" in said
    assert finished
    assert recorded(office)
    assert current_version(office / "index") == version
    assert len(load_current(office / "index").documents) == 1
    hidden = [path.name for path in (office / "index").rglob(".*") if path.name != ".lock"]
    assert hidden == [], "what it had begun to write is gone"
