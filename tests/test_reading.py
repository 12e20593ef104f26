"""Reading in a process apart: the same as in this one, and what happens where the process stops."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from made import CASE_BOOK, FAQ, MINUTES

from corpus.documents import Parsed, parse
from corpus.worker import answer
from index import reading
from index.plan import FileProblem, find_files, relative
from index.reading import ReaderProcess, read_documents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"事例.txt": CASE_BOOK, "下/議事録.txt": MINUTES, "よくある.md": FAQ}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "空.txt").touch()
    return tmp_path


def places(folder: Path) -> dict[str, Path]:
    return {relative(file, folder): file for file in find_files(folder)}


def silent(stage: str, done: int, total: int) -> None:
    pass


def test_what_is_read_is_what_is_parsed(folder: Path) -> None:
    paths = ["下/議事録.txt", "空.txt", "事例.txt", "なくなった.txt", "よくある.md"]
    calls: list[tuple[str, int, int]] = []
    found = dict(read_documents(places(folder), paths, 300, lambda *call: calls.append(call)))
    assert list(found) == paths
    for path in ("下/議事録.txt", "事例.txt", "よくある.md"):
        assert found[path] == parse(path, (folder / path).read_bytes(), max_chars=300)
    empty, gone = found["空.txt"], found["なくなった.txt"]
    assert isinstance(empty, FileProblem)
    assert "0バイト" in empty.message
    assert not empty.passing
    assert isinstance(gone, FileProblem)
    assert gone.passing
    assert calls[0] == ("reading", 0, 5)
    assert calls[-1] == ("reading", 5, 5)


def test_nothing_is_read_in_the_process_that_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(*arguments: object, **options: object) -> None:
        raise AssertionError("read here")

    monkeypatch.setattr("corpus.documents.read", here)
    (folder / "表.csv").write_text("件名,本文\n窓口,九時に開きます。\n", encoding="utf-8")
    paths = ["よくある.md", "事例.txt", "表.csv"]
    assert all(isinstance(found, Parsed) for _, found in read_documents(places(folder), paths, 300, silent))


def test_letters_that_no_encoding_can_write_come_through(folder: Path) -> None:
    words = "窓口\u2028の\x85案内\x0b改行\x1e文字🀀葛󠄀城市です。\n" * 5
    (folder / "変.txt").write_text(words, encoding="utf-8")
    ((_, found),) = read_documents(places(folder), ["変.txt"], 300, silent)
    assert isinstance(found, Parsed)
    assert found.document.text == words


def test_a_process_that_breaks_down_costs_one_document(folder: Path) -> None:
    with ReaderProcess() as process:
        assert "document" in process.ask("よくある.md", folder / "よくある.md", 300)
        assert process._process is not None
        pid = process._process.pid
        os.kill(pid, signal.SIGKILL)
        stopped = process.ask("事例.txt", folder / "事例.txt", 300)
        assert stopped == {"message": reading.BROKE_DOWN}
        assert "document" in process.ask("事例.txt", folder / "事例.txt", 300)
        again = process._process
        assert again is not None
        assert again.pid != pid
    assert again.poll() is not None  # nothing is left running


def test_a_document_that_takes_too_long_is_given_up(folder: Path) -> None:
    started = time.monotonic()
    with ReaderProcess(timeout_s=0.01) as process:
        # the process alone needs longer to begin
        stopped = process.ask("事例.txt", folder / "事例.txt", 300)
    assert "時間がかかりすぎる" in str(stopped["message"])
    assert time.monotonic() - started < 5


def test_an_error_of_a_library_is_an_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("corpus.worker.parse", broken)
    message = str(answer("よくある.md", folder / "よくある.md", 300)["message"])
    assert "RecursionError" in message
    assert message.endswith("ください。")
