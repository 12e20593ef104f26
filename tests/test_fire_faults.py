"""A running server on a computer that fails it: killed at any moment, disks that are full, read-only or slow, clocks that jump.

After each fault the data are whole, and the service serves or says why not; when the fault is over, everything works again. What a
build that is killed or loses power leaves behind, step by step, is tested in tests/test_faults.py.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlencode

import isolated
import pytest
from fire import BEARER, TOKEN, Reply, Server, measured, size
from fire_server import Bigrams

from index.build import build
from qa.usage import Rating, Usage

FEE = "三百円"
_ALONE = ("unshare", "--user", "--map-root-user", "--mount", "--")
_ON_A_DISK_OF_ITS_OWN = 'mount -t tmpfs -o size=24m,mode=755 own "$0" && cp -r "$0.from/." "$0/" && exec "$@"'
_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def write(documents: Path) -> None:
    """Three small documents."""
    documents.mkdir(parents=True)
    for place in ("市民課", "税務課", "福祉課"):
        (documents / f"{place}.md").write_text(
            f"# {place}の手引き\n\n## 手数料\n\n{place}の手数料は一通につき{FEE}です。\n", encoding="utf-8"
        )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three documents and an index of them, to be copied: a server that finds one is there sooner."""
    folder = tmp_path_factory.mktemp("prepared")
    write(folder / "documents")
    build(folder / "documents", folder / "index", Bigrams())
    return folder


def copied(prepared: Path, folder: Path) -> None:
    """The documents and their index in another folder."""
    for name in ("documents", "index"):
        shutil.copytree(prepared / name, folder / name)


def answers(server: Server, place: str = "税務課", fee: str = FEE) -> None:
    """A question is answered, rightly, by a slice."""
    reply = server.ask(f"{place}の手数料はいくらですか")
    assert reply.status == 200, reply.text
    assert fee in reply.json()["answer"]["text"], reply.text
    for citation in reply.json()["citations"]:
        text = server.call("GET", f"/api/documents/{citation['document_id']}/text").json()["text"]
        assert text[citation["char_start"] : citation["char_end"]] == citation["text"]


def in_japanese(reply: Reply) -> None:
    """What is said is a sentence for people."""
    assert re.search("[ぁ-ん].*。", str(reply.json()["detail"])), reply.text


def everything_works(server: Server, number: int) -> None:
    """A document can be added, found and taken out again; what is asked is rated."""
    text = f"# 水道課の手引き\n\n## 手数料\n\n水道課の手数料は一通につき{number}円です。\n"
    reply = server.upload("水道課.md", text.encode())
    assert reply.status == 202, reply.text
    state = server.rebuilt(reply.json()["job_id"])
    assert state["status"] == "succeeded", state
    answers(server, "水道課", f"{number}円")
    own = hashlib.sha256(text.encode()).hexdigest()[:16]
    reply = server.call("DELETE", f"/api/documents/{own}", headers=BEARER)
    assert reply.status == 202, reply.text
    assert server.rebuilt(reply.json()["job_id"])["status"] == "succeeded"
    answers(server)


# ---------------------------------------------------------------- killed


def test_a_server_that_is_killed_while_it_answers_and_builds(prepared: Path, tmp_path: Path) -> None:
    copied(prepared, tmp_path)
    rounds = size(1, 40)
    dice = random.Random(7)
    met: Counter[str] = Counter()
    with measured("killed while it answers and builds") as told:
        server = Server(tmp_path)
        server.start()
        for number in range(rounds):
            done = threading.Event()

            def ask(over: threading.Event = done, server: Server = server) -> None:
                while not over.is_set():
                    with suppress(OSError, HTTPException, ValueError):
                        met["replies"] += server.ask("税務課の手数料はいくらですか").status == 200

            clients = [threading.Thread(target=ask) for _ in range(2)]
            for client in clients:
                client.start()
            text = f"# 教育課の手引き\n\n## 手数料\n\n教育課の手数料は{number}円です。\n".encode()
            body_sent = dice.random() < 0.7
            with suppress(OSError, HTTPException):
                if body_sent:
                    met["uploads taken"] += server.upload("教育課.md", text).status == 202
                else:  # in the middle of an upload
                    server.raw(
                        b"POST /api/documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n--a",
                        0.05,
                    )
            time.sleep(dice.random() * 0.4)
            end = time.monotonic() + 30
            while (
                met["replies"] <= number and time.monotonic() < end
            ):  # it is killed while it answers, however slow that is
                time.sleep(0.01)
            server.kill()
            done.set()
            for client in clients:
                client.join(30)
            server.start()  # on the same port
            assert server.call("GET", "/readyz").status == 200
            answers(server)
            there = tmp_path / "documents" / "教育課.md"
            assert not there.exists() or re.fullmatch(
                r"# 教育課の手引き\n\n## 手数料\n\n教育課の手数料は\d+円です。\n",
                there.read_text(encoding="utf-8"),
            )
            with sqlite3.connect(server.usage) as usage:
                assert usage.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        everything_works(server, 1)
        assert server.stop() == 0  # it ends as it was asked to, after what was under way
        assert met["replies"] >= rounds
        told |= {"count": rounds, "result": "data whole, serves again", **met}


# ---------------------------------------------------------------- disks


@contextmanager
def on_a_disk_of_its_own(prepared: Path, folder: Path) -> Iterator[tuple[Server, Path]]:
    """A server whose folders all lie on a disk of 24 MB that only it has; with the way there from outside."""
    reason = isolated.refusal()
    if reason is not None:
        pytest.skip(reason)
    disk = folder / "disk"
    disk.mkdir()
    copied(prepared, folder / "disk.from")
    (folder / "disk.from" / "temporary").mkdir()
    server = Server(
        folder,
        documents=disk / "documents",
        index=disk / "index",
        usage=disk / "usage.sqlite3",
        before=(*_ALONE, "sh", "-c", _ON_A_DISK_OF_ITS_OWN, str(disk)),
        environment={"TMPDIR": str(disk / "temporary")},
    )
    with server:
        yield server, Path(f"/proc/{server.pid}/root{disk}")


def fill(disk: Path, left: int) -> None:
    """Fills a disk but for so many bytes."""
    with (disk / "filler").open("ab", buffering=0) as filler:
        while True:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            if free <= left:
                return
            filler.write(b"x" * min(1 << 20, free - left))


@pytest.mark.parametrize("left", [150_000, 0, *(2**n for n in range(12, 22))][: size(1, 12)])
def test_a_full_disk(prepared: Path, tmp_path: Path, left: int) -> None:
    outcomes: Counter[str] = Counter()
    with (
        measured(f"a disk with {left} bytes left") as told,
        on_a_disk_of_its_own(prepared, tmp_path) as (server, disk),
    ):
        answers(server)
        fill(disk, left)
        answers(server)
        page = server.call("GET", "/?" + urlencode({"q": "税務課の手数料は？"}))
        assert page.status == 200
        for name, data in (
            ("小.md", b"# a\n\n" + "小さな課の受付は九時です。\n".encode()),
            ("大.md", "大きな課の受付です。\n".encode() * 80_000),
        ):
            reply = server.upload(name, data)
            outcomes[f"upload {reply.status}"] += 1
            assert reply.status in {202, 507}, reply.text
            if reply.status == 507:
                in_japanese(reply)
                assert not (disk / "documents" / name).exists()
        reply = server.post("/api/index/rebuild", {}, BEARER)
        assert reply.status == 202, reply.text
        state = server.rebuilt(reply.json()["job_id"])
        outcomes[f"build {state['status']}"] += 1
        if state["status"] == "failed":
            assert re.search("[ぁ-ん].*。", state["errors"][0]["message"]), state
        reply = server.post("/api/feedback", {"question": "税務課の手数料は？", "useful": True})
        outcomes[f"rating {reply.status}"] += 1
        assert reply.status in {201, 503}, reply.text
        for path in ("/admin", "/admin/usage", "/admin/usage.csv", "/documents"):
            assert server.call("GET", path, headers=BEARER).status in {200, 404, 503}, path
        answers(server)
        assert server.call("GET", "/readyz").status == 200
        # and when there is room again
        (disk / "filler").unlink()
        everything_works(server, 7)
        assert server.post("/api/feedback", {"question": "税務課の手数料は？", "useful": True}).status == 201
        assert not [path.name for path in (disk / "documents").iterdir() if path.name.startswith(".upload")]
        assert not list((disk / "temporary").iterdir())
        assert "request failed" not in server.said()
        told |= {"count": 1, "result": ", ".join(f"{name}: {count}" for name, count in outcomes.items())}


def test_a_disk_that_becomes_read_only(prepared: Path, tmp_path: Path) -> None:
    with (
        measured("a disk that becomes read-only") as told,
        on_a_disk_of_its_own(prepared, tmp_path) as (server, disk),
    ):
        answers(server)

        def mounted(how: str) -> None:
            command = [
                "nsenter",
                "--target",
                str(server.pid),
                "--user",
                "--preserve-credentials",
                "--mount",
                "mount",
                "-o",
                f"remount,{how}",
                str(tmp_path / "disk"),
            ]
            for _ in range(50):  # while somebody writes it cannot be
                tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
                if tried.returncode == 0:
                    return
                time.sleep(0.1)
            raise AssertionError(tried.stderr)

        mounted("ro")
        with pytest.raises(OSError, match="Read-only"):
            (disk / "documents" / "x").touch()
        answers(server)
        reply = server.upload("新しい課.md", "# 新しい課\n\n受付は九時です。\n".encode())
        assert reply.status == 507
        in_japanese(reply)
        job = server.post("/api/index/rebuild", {}, BEARER).json()["job_id"]
        state = server.rebuilt(job)
        assert state["status"] == "failed"
        assert re.search("[ぁ-ん].*。", state["errors"][0]["message"]), state
        assert server.post("/api/feedback", {"question": "税務課", "useful": True}).status == 503
        assert server.call("GET", "/admin", headers=BEARER).status == 200
        answers(server)
        mounted("rw")
        everything_works(server, 8)
        assert server.post("/api/feedback", {"question": "税務課", "useful": True}).status == 201
        assert "request failed" not in server.said()
        told |= {"count": 1, "result": "answers, refuses changes in words, goes on afterwards"}


FLUSH_MS = size(30, 300)
_SLOW = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static void wait_a_moment(void) { struct timespec t = {0, FLUSH_MS * 1000000L}; nanosleep(&t, 0); }
int fsync(int fd) { int (*real)(int) = dlsym(RTLD_NEXT, "fsync"); wait_a_moment(); return real(fd); }
int fdatasync(int fd) { int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync"); wait_a_moment(); return real(fd); }
"""


def test_a_disk_that_is_slow(prepared: Path, tmp_path: Path) -> None:
    """Every flush takes long, as on a disk that is worn or shared: nobody who asks waits for it."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    (tmp_path / "slow.c").write_text(_SLOW, encoding="ascii")
    library = tmp_path / "slow.so"
    subprocess.run(
        [
            compiler,
            "-shared",
            "-fPIC",
            f"-DFLUSH_MS={FLUSH_MS}",
            "-o",
            str(library),
            str(tmp_path / "slow.c"),
            "-ldl",
        ],
        check=True,
        timeout=60,
    )
    copied(prepared, tmp_path)
    with measured(f"a disk whose every flush takes {FLUSH_MS} ms") as told:
        server = Server(tmp_path, environment={"LD_PRELOAD": str(library)})
        with server:
            answers(server)
            started = time.monotonic()
            reply = server.upload(
                "水道課.md", "# 水道課\n\n## 手数料\n\n水道課の手数料は五円です。\n".encode()
            )
            assert reply.status == 202
            waited: list[float] = []
            state = {"status": "running"}
            while state["status"] not in {"succeeded", "failed"}:
                before = time.monotonic()
                answers(server)
                waited.append(time.monotonic() - before)
                state = server.call("GET", f"/api/index/jobs/{reply.json()['job_id']}", headers=BEARER).json()
                assert time.monotonic() < started + 120
            took = time.monotonic() - started
            assert state["status"] == "succeeded", state
            answers(server, "水道課", "五円")
            assert took > 20 * FLUSH_MS / 1000, "the flushes were not slow"
            assert max(waited) < 2
            told |= {
                "count": len(waited),
                "build_s": round(took, 1),
                "longest_s": round(max(waited), 2),
                "result": "questions do not wait for the disk",
            }


# ---------------------------------------------------------------- clocks


def test_a_clock_that_jumps_by_years(prepared: Path, tmp_path: Path) -> None:
    if _FAKETIME is None:
        pytest.skip("libfaketime is not installed (make tools)")
    copied(prepared, tmp_path)
    clock = tmp_path / "clock"
    clock.write_text("+0", encoding="ascii")
    environment = {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "NO_FAKE_STAT": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    jumps = ["-20y", "+3y", "+0", "+90d", "-1d", "+40y", "-1y", "+0"][: size(2, 8)]
    server = Server(tmp_path, environment=environment)
    with measured("a clock that jumps by years") as told:
        Usage(server.usage, 180).rate(Rating("税務課", (("q", "税務課"),), True))  # by the right clock
        # started with a clock that is far ahead: what was recorded is not taken for old because of that
        clock.write_text("+3y", encoding="ascii")
        with server:
            answers(server)
            time.sleep(1.5)
            with sqlite3.connect(server.usage) as usage:
                assert usage.execute("SELECT count(*) FROM ratings").fetchone()[0] == 1
            names: list[str] = []
            for number, jump in enumerate(jumps):
                clock.write_text(jump, encoding="ascii")
                time.sleep(1.2)  # the library looks at it once a second
                answers(server)
                job = server.post("/api/index/rebuild", {}, BEARER).json()["job_id"]
                if number % 3 == 0:
                    everything_works(server, 10 + number)
                assert server.rebuilt(job)["status"] == "succeeded"
                version = server.call("GET", "/api/index").json()["version"]
                assert version >= max(names, default=""), (
                    "versions are not in the order in which they were made"
                )
                names.append(version)
                assert (
                    server.post("/api/feedback", {"question": f"税務課{number}", "useful": True}).status
                    == 201
                )
                assert _signed_in(server) == 200
                listed = server.call("GET", "/api/index/versions", headers=BEARER).json()["versions"]
                assert [entry["current"] for entry in listed] == [True] + [False] * (len(listed) - 1)
            for path in ("/admin", "/admin/usage"):
                assert server.call("GET", path, headers=BEARER).status == 200
            with sqlite3.connect(server.usage) as usage:
                assert usage.execute("SELECT count(*) FROM ratings").fetchone()[0] == len(jumps) + 1
        told |= {"count": len(jumps) + 1, "result": "versions in order, sign-in works, nothing deleted"}


def _signed_in(server: Server) -> int:
    """The status of the administrator's page for who signs in now."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": f"http://127.0.0.1:{server.port}",
    }
    reply = server.call("POST", "/admin/login", urlencode({"token": TOKEN}).encode(), headers)
    assert reply.status == 303, reply.text[:500]
    cookie = reply.headers["set-cookie"].split(";")[0]
    return server.call("GET", "/admin", headers={"Cookie": cookie}).status
