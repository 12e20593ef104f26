"""The file of the records: made once, opened alike, and every trouble with it said in one kind of exception."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import database
from database import DatabaseUnavailableError
from qa.usage_file import APPLICATION, SCHEMA, UsageFile

REPOSITORY = Path(__file__).resolve().parent.parent
ROW = "INSERT INTO ratings (ticket, at, key, question, state, useful, comment, index_version, citations) VALUES (?, '2026-11-21T09:00', 'k', 'q', '[]', 1, ?, '', '[]')"


def comments(file: UsageFile) -> list[str]:
    with file.reading() as connection:
        return [row[0] for row in connection.execute("SELECT comment FROM ratings ORDER BY id")]


def kind(file: UsageFile) -> tuple[str, str]:
    with pytest.raises(DatabaseUnavailableError) as raised, file.writing() as connection:
        connection.execute(ROW, ("t", "x"))
    assert str(raised.value).endswith("。")
    return raised.value.kind, str(raised.value)


def test_a_new_file(tmp_path: Path) -> None:
    file = UsageFile(tmp_path / "deep" / "usage.sqlite3")
    assert not file.exists
    with file.writing() as connection:
        connection.execute(ROW, ("t", "窓口\n👪"))
    assert comments(file) == ["窓口\n👪"]
    assert file.exists
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600  # nobody else reads what was asked
    with sqlite3.connect(file.path) as plain:
        found = [
            plain.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("user_version", "application_id", "journal_mode", "auto_vacuum", "integrity_check")
        ]
    plain.close()
    assert found == [SCHEMA, APPLICATION, "wal", 2, "ok"]


def test_a_transaction_is_done_or_undone(tmp_path: Path) -> None:
    file = UsageFile(tmp_path / "u")

    def broken() -> None:
        with file.writing() as connection:
            connection.execute(ROW, ("t", "x"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert comments(file) == []


def test_what_is_deleted_is_nowhere(tmp_path: Path) -> None:
    file = UsageFile(tmp_path / "u")
    with file.writing() as connection:
        for number in range(300):
            connection.execute(ROW, (str(number), f"秘密の言葉{number}" * 20))
    size = file.bytes()
    assert "秘密の言葉".encode() in b"".join(p.read_bytes() for p in tmp_path.iterdir())
    with file.writing() as connection:
        connection.execute("DELETE FROM ratings")
    file.shrink()
    assert "秘密の言葉".encode() not in b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert file.bytes() < size / 3


def test_what_is_deleted_is_nowhere_even_while_another_has_it_open(tmp_path: Path) -> None:
    file = UsageFile(tmp_path / "u")
    with file.reading() as other:  # its end would cut the log by itself
        other.execute("COMMIT")
        with file.writing() as connection:
            connection.execute(ROW, ("t", "秘密の言葉"))
        with file.writing() as connection:
            connection.execute("DELETE FROM ratings")
        assert "秘密の言葉".encode() in b"".join(p.read_bytes() for p in tmp_path.iterdir())
        file.shrink()
        assert "秘密の言葉".encode() not in b"".join(p.read_bytes() for p in tmp_path.iterdir())


def test_many_make_it_at_once(tmp_path: Path) -> None:
    file, wrong = UsageFile(tmp_path / "u"), []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        try:
            start.wait()
            with file.writing() as connection:
                connection.execute(ROW, (str(number), str(number)))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(comments(file)) == [str(number) for number in range(8)]


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, but long enough to be looked at" * 40, b"SQLite format 3\0" + b"\xff" * 5000],
)
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    file = UsageFile(tmp_path / "u")
    file.path.write_bytes(content)
    found, message = kind(file)
    assert found == "damaged"
    assert str(file.path) in message
    assert file.path.read_bytes() == content  # nothing was done to it
    aside = file.set_aside()
    assert aside.read_bytes() == content
    with file.writing() as connection:
        connection.execute(ROW, ("t", "新しい"))
    assert comments(file) == ["新しい"]


def test_damage_in_the_middle(tmp_path: Path) -> None:
    file = UsageFile(tmp_path / "u")
    with file.writing() as connection:
        for number in range(500):
            connection.execute(ROW, (str(number), "x" * 200))
    data = bytearray(file.path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    file.path.write_bytes(data)
    assert kind(file)[0] == "damaged"


def test_a_newer_file(tmp_path: Path) -> None:
    file = UsageFile(tmp_path / "u")
    assert comments(file) == []
    with sqlite3.connect(file.path) as plain:
        plain.execute(f"PRAGMA user_version = {SCHEMA + 3}")
    plain.close()
    found, message = kind(file)
    assert found == "newer"
    assert str(SCHEMA + 3) in message
    assert str(SCHEMA) in message


@pytest.mark.parametrize("version", [0, 1])
def test_a_file_of_another_program(tmp_path: Path, version: int) -> None:
    file = UsageFile(tmp_path / "u")
    with sqlite3.connect(file.path) as plain:
        plain.execute("CREATE TABLE addresses (name TEXT)")
        plain.execute(f"PRAGMA user_version = {version}")
    plain.close()
    before = file.path.read_bytes()
    assert kind(file)[0] == "foreign"
    assert file.path.read_bytes() == before


def test_a_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    file = UsageFile(tmp_path / "u")
    with file.writing() as connection:
        connection.execute(ROW, ("t", "davor"))
        assert kind(file)[0] == "busy"
        assert comments(file) == []  # who reads does not wait
    assert comments(file) == ["davor"]


def test_a_full_file(tmp_path: Path) -> None:
    file = UsageFile(tmp_path / "u", max_bytes=40 * 4096)

    def much() -> None:
        with file.writing() as connection:
            for number in range(1000):
                connection.execute(ROW, (str(number), "x" * 1000))

    with pytest.raises(DatabaseUnavailableError) as raised:
        much()
    assert raised.value.kind == "full"
    assert comments(file) == []
    assert file.path.stat().st_size <= 40 * 4096


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert kind(UsageFile(tmp_path / "file" / "u"))[0] == "closed"
    (tmp_path / "folder").mkdir()
    assert kind(UsageFile(tmp_path / "folder"))[0] == "closed"


_AS_NOBODY = """
import os, sys
from pathlib import Path
from database import DatabaseUnavailableError
from qa.usage_file import UsageFile
file = UsageFile(Path(sys.argv[1]))
if os.geteuid() == 0:
    os.setuid(65534)
try:
    with file.writing() as connection:
        connection.execute("DELETE FROM ratings")
except DatabaseUnavailableError as error:
    print(error.kind)
with file.reading() as connection:
    print(connection.execute("SELECT count(*) FROM ratings").fetchone()[0])
"""


def test_a_folder_that_may_only_be_read() -> None:
    import tempfile

    folder = Path(tempfile.mkdtemp())  # every folder above it lets others through, unlike pytest's
    try:
        file = UsageFile(folder / "u")
        with file.writing() as connection:
            connection.execute(ROW, ("t", "x"))
        file.path.chmod(0o444)
        folder.chmod(0o555)
        said = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, str(file.path)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.split() == ["closed", "1"]  # it can still be read
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


_WRITER = """
import sys
from pathlib import Path
from qa.usage_file import UsageFile
file = UsageFile(Path(sys.argv[1]))
for number in range(10**9):
    with file.writing() as connection:
        for part in range(3):
            connection.execute(sys.argv[2], (f"{number}-{part}", str(number)))
    print(number, flush=True)
"""


def test_a_process_that_is_killed_leaves_whole_transactions(tmp_path: Path) -> None:
    path = tmp_path / "u"
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), ROW], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(15):
            last = int(writer.stdout.readline())
        time.sleep(0.003)
        writer.kill()
        writer.wait()
        rest = writer.stdout.read().split()
        writer.stdout.close()
        file = UsageFile(path)
        with file.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        found = comments(file)
        assert len(found) % 3 == 0
        assert {str(number) for number in range(last + 1)} <= set(found)  # what was said to be done is there
        assert set(map(int, found)) <= set(range(int(rest[-1] if rest and rest[-1].isdigit() else last) + 2))
        with file.writing() as connection:
            connection.execute("DELETE FROM ratings")


def test_many_begin_with_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    """Who makes the tables and who comes right after: none is told that the file is in use."""
    for number in range(30):
        file, problems = UsageFile(tmp_path / str(number)), []

        def write(file: UsageFile = file, problems: list[Exception] = problems) -> None:
            try:
                with file.writing() as connection:
                    connection.execute("INSERT OR IGNORE INTO documents VALUES ('a', 'b', 'c')")
            except DatabaseUnavailableError as error:
                problems.append(error)

        threads = [threading.Thread(target=write) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        with file.reading() as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
