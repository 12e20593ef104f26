"""Power cuts beside those of the index: what was not flushed is lost, and what is left is whole or is cleared away.

A process is ended for good at a chosen change to the file system; what it had written and not flushed by then is cut to half.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from test_faults import counted

from index.library import Library, Staged
from qa.usage_file import UsageFile

OLD, NEW = "# 案内\n\n受付は九時からです。\n".encode(), "# 案内\n\n受付は十時からです。\n".encode() * 50


def power_cut_at(step: int, folder: Path, action: Callable[[], object]) -> bool:
    """Whether the power was cut at a change number `step` below a folder; the action may end before."""
    flushed = folder.with_name(f"{folder.name}.flushed")
    before = {path.stat().st_ino for path in folder.rglob("*")}
    pid = os.fork()
    if pid == 0:
        real, log = os.fsync, flushed.open("a", encoding="ascii")

        def fsync(handle: int) -> None:
            real(handle)
            log.write(f"{os.fstat(handle).st_ino}\n")
            log.flush()

        def strike(number: int) -> None:
            if number == step:
                os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = fsync
        counted(strike, folder)
        try:
            action()
        finally:
            os._exit(0)
    cut = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    lasting = before | set(map(int, flushed.read_text(encoding="ascii").split()))
    for path in folder.rglob("*"):
        if cut and path.is_file() and path.stat().st_ino not in lasting:
            os.truncate(path, path.stat().st_size // 2)
    return cut


def documents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_power_cut_while_a_document_is_replaced(tmp_path: Path) -> None:
    seen = set()
    for step in range(1, 40):
        folder = tmp_path / str(step)
        library = Library(folder)
        library.store("案内.md", io.BytesIO(OLD))
        cut = power_cut_at(step, folder, lambda library=library: library.store("案内.md", io.BytesIO(NEW)))  # type: ignore[misc]
        [now] = documents(folder).values()
        assert now in {OLD, NEW}
        kept = [path.read_bytes() for path in (folder / ".removed").rglob("*.md")]
        assert now == OLD or OLD in kept
        seen.add(now)
        if not cut:
            break
    assert not cut
    assert step >= 5
    assert seen == {OLD, NEW}


def test_a_power_cut_while_an_upload_is_received_or_taken(tmp_path: Path) -> None:
    def staged(folder: Path) -> list[Staged]:
        found = Library(folder).staged()
        for entry in found:
            assert (folder / ".inbox" / entry.id / "data").read_bytes() == NEW
        return found

    for step in range(1, 60):
        folder = tmp_path / f"in{step}"
        library = Library(folder)
        cut = power_cut_at(step, folder, lambda library=library: library.stage("案内.md", io.BytesIO(NEW)))  # type: ignore[misc]
        assert not folder.is_dir() or documents(folder) == {}
        assert len(staged(folder)) <= 1
        Library(folder).stage("案内.md", io.BytesIO(NEW))
        assert len(staged(folder)) == 1
        if not cut:
            break
    assert step >= 5
    for step in range(1, 60):
        folder = tmp_path / f"out{step}"
        library = Library(folder)
        library.store("案内.md", io.BytesIO(OLD))
        entry = library.stage("案内.md", io.BytesIO(NEW))
        cut = power_cut_at(step, folder, lambda library=library, entry=entry: library.remove(["案内.md"]))  # type: ignore[misc]
        kept = [path.read_bytes() for path in (folder / ".removed").rglob("*.md")]
        assert [*documents(folder).values(), *kept] == [OLD], "in one place or the other, never in none"
        assert [one.id for one in staged(folder)] == [entry.id]
        if not cut:
            break
    assert step >= 2


@pytest.mark.parametrize("part", [0.0, 0.1, 0.35, 0.5, 0.77, 0.99, 1.0])
def test_a_usage_file_whose_last_writes_did_not_reach_the_disk(tmp_path: Path, part: float) -> None:
    """What was not yet carried over into the file itself is cut: whole transactions are left, the first ones."""
    path = tmp_path / "usage.sqlite3"
    with UsageFile(path).writing():
        pass
    left = tmp_path / "left"
    left.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA synchronous = NORMAL")
        for number in range(40):
            writer.execute(
                "INSERT INTO questions (at, key, question, state, way, answerable, index_version, took_ms, citations, filters)"
                " VALUES ('2026-11-22T09:00', ?, ?, '[]', 'api', 1, 'v', 1.0, 1, '')",
                (str(number), "質" * 300),
            )
        for end in ("", "-wal"):
            shutil.copyfile(f"{path}{end}", left / f"usage.sqlite3{end}")
    log = left / "usage.sqlite3-wal"
    assert log.stat().st_size > 40_000
    os.truncate(log, int(log.stat().st_size * part))
    with UsageFile(left / "usage.sqlite3").writing() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        keys = [row[0] for row in connection.execute("SELECT key FROM questions ORDER BY id")]
    assert keys == [str(number) for number in range(len(keys))]
    assert len(keys) == 40 if part == 1.0 else len(keys) < 40
