"""The server as staff start it: a process of its own with options and environment, asked over a socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import server
from options import HOME
from web.gate import WRONG_MOST

TOKEN = "a-token-of-the-tests"


class Process:
    """A server that runs; `call` gives the status and the reply."""

    def __init__(self, folder: Path, model: Path, *arguments: str) -> None:
        self.folder = folder
        (folder / "documents").mkdir()
        self.write(0)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DXQA_")}
        environment |= {
            "DXQA_MODEL": str(model),
            "DXQA_INDEX": str(folder / "index"),
            "DXQA_DOCUMENTS": str(folder / "documents"),
            "DXQA_ADMIN_TOKEN": TOKEN,
            "DXQA_KEEP": "2",
            "DXQA_PRECISION": "fp32",  # the tiny model need not be converted
        }
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(HOME / "server.py"), "--port", str(self.port), *arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def write(self, number: int) -> None:
        words = f"# 窓口\n\n受付は平日の午前九時から、第{number}窓口です。\n"
        (self.folder / "documents" / "窓口.md").write_text(words, encoding="utf-8")

    def call(self, method: str, path: str, **headers: str) -> tuple[int, Any]:
        address = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(
            address, method=method, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def wait_for(self, check: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                if check():
                    return
            except OSError:
                pass
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("main")
    log = ("--log-format", "json", "--log-file", str(folder / "var" / "server.log"))
    process = Process(folder, tiny_folder, *log)
    try:
        process.wait_for(lambda: process.call("GET", "/readyz")[0] == 200)
        yield process
    finally:
        process.end()


def test_the_server_keeps_as_many_versions_as_it_is_told(started: Process) -> None:
    key = {"Authorization": f"Bearer {TOKEN}"}
    for number in range(1, 4):
        started.write(number)
        _, reply = started.call("POST", "/api/index/rebuild", **key)
        job = f"/api/index/jobs/{reply['job_id']}"
        started.wait_for(lambda job=job: started.call("GET", job)[1]["status"] == "succeeded")  # type: ignore[misc]
    kept = sorted(path.name for path in (started.folder / "index" / "versions").iterdir())
    assert len(kept) == 2


def test_on_a_local_address_only_local_names(started: Process) -> None:
    assert started.call("GET", "/api/documents", Host="dx.example.jp")[0] == 421
    assert started.call("GET", "/api/documents", Host=f"localhost:{started.port}")[0] == 200


def test_nobody_says_by_a_header_that_he_is_another(started: Process) -> None:
    """The tries come at once, so that the waits of all of them are one."""

    def guess(number: int) -> int:
        return started.call(
            "GET", "/api/uploads", Authorization=f"Bearer {number}", X_Forwarded_For=f"10.0.0.{number}"
        )[0]

    with ThreadPoolExecutor(WRONG_MOST + 5) as pool:
        statuses = list(pool.map(guess, range(WRONG_MOST + 5)))
    assert statuses.count(401) in {WRONG_MOST, WRONG_MOST + 1}  # behind the closed door one more is looked at
    assert statuses.count(429) >= 4


def test_the_log_of_a_server_is_a_file_of_objects(started: Process) -> None:
    """What uvicorn itself says is among them, and bytes that are no HTTP leave no trace of themselves."""
    with socket.create_connection(("127.0.0.1", started.port), timeout=20) as strange:
        strange.sendall(b"\x1b[31mGET himitsu\r\n\r\n")
        assert strange.recv(100).startswith(b"HTTP/1.1 400")
    started.call("GET", "/api/search?q=himitsu", X_Request_ID="abcdefgh-1234", User_Agent="himitsu")
    started.call("GET", f"/{'himitsu' * 10}%0a%1b")
    path = started.folder / "var" / "server.log"
    text = path.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert path.stat().st_mode & 0o777 == 0o600
    assert "himitsu" not in text
    assert TOKEN not in text
    assert "127.0.0.1" not in "".join(line for line in text.splitlines() if "dxqa.access" in line)
    assert {"dxqa.access", "dxqa.index", "uvicorn.error"} <= {line["logger"] for line in lines}
    asked = [line for line in lines if line.get("route") == "/api/search"]
    assert (asked[-1]["status"], asked[-1]["method"]) == (200, "GET")
    assert asked[-1]["request_id"] != "abcdefgh-1234"  # no proxy is trusted
    moments = [line["time"] for line in lines]
    assert moments == sorted(moments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--log-days", "0"],
        ["--log-format", "xml"],
        ["--allowed-hosts", "http://dx.example.jp"],
        ["--allowed-hosts", "dx.example.jp:8000"],
        ["--keep", "0"],
    ],
)
def test_wrong_use_is_said_in_one_sentence(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        server.main(["--index", str(tmp_path / "index"), *arguments])
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert (shown.count("\n"), "正しくありません" in shown) == (1, True)


def test_a_log_that_cannot_be_written_is_said_before_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").write_text("a file")
    for name in ("there/server.log", "."):
        assert server.main(["--index", str(tmp_path / "index"), "--log-file", str(tmp_path / name)]) == 2
        shown = capsys.readouterr().err
        assert (shown.count("\n"), "--log-file" in shown) == (1, True)


def test_names_may_be_given_in_one_list() -> None:
    assert server._hosts(" DX.example.jp,192.0.2.10 , ::1,") == {"dx.example.jp", "192.0.2.10", "::1"}
    assert server._hosts("") == frozenset()
