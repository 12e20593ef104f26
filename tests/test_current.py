"""The index in use: taken up anew after a switch, kept where the new version cannot be used."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from conftest import FakeEncoder
from test_versions import spoil

from index import current as current_module
from index.build import build
from index.current import CurrentIndex
from index.passages import model_record
from index.segment import StoredSegment
from index.store import Index, ModelRecord, current_version, load_version


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text(
        "# 窓口\n\n受付は平日の午前九時から午後五時までです。\n", encoding="utf-8"
    )
    return tmp_path / "documents"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "index"


def test_none_then_the_first_then_the_next(documents: Path, root: Path, fake: FakeEncoder) -> None:
    held = CurrentIndex(root, model_record(fake))
    assert held.get() is None
    first = build(documents, root, fake).version
    index = held.get()
    assert index is not None
    assert index.version == first
    assert held.get() is index  # loaded once
    (documents / "b.md").write_text("# 予算\n\n予算は前の年度より一割ほど増えました。\n", encoding="utf-8")
    second = build(documents, root, fake).version
    taken = held.get()
    assert taken is not None
    assert (taken.version, len(taken.documents)) == (second, 2)
    assert len(index.documents) == 1  # who holds the old one goes on with it
    assert held.problem is None


def test_a_damaged_new_version_keeps_the_old_one(documents: Path, root: Path, fake: FakeEncoder) -> None:
    held = CurrentIndex(root, model_record(fake))
    build(documents, root, fake)
    first = held.get()
    second = build(documents, root, fake, full=True).version
    (root / "segments" / f"{second}-text" / "keys.npy").unlink()
    assert held.get() is first
    assert held.problem is not None
    assert "keys.npy" in held.problem
    assert held.get() is first
    third = build(documents, root, fake).version
    index = held.get()
    assert index is not None
    assert (index.version, held.problem) == (third, None)


def test_a_refused_version_is_not_tried_at_every_question(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = build(documents, root, fake).version
    (root / "segments" / f"{version}-text" / "keys.npy").unlink()
    tried: list[str] = []

    def watch(root: Path, name: str, model: ModelRecord | None, known: Index | None, at_once: int) -> Index:
        tried.append(name)
        return load_version(root, name, model, known, at_once)

    monkeypatch.setattr(current_module, "load_version", watch)
    held = CurrentIndex(root, model_record(fake))
    assert [held.get() for _ in range(3)] == [None] * 3
    assert tried == [version]
    assert held.problem is not None


def test_a_version_of_another_model_is_refused(documents: Path, root: Path, fake: FakeEncoder) -> None:
    build(documents, root, FakeEncoder("other", "f9"))
    held = CurrentIndex(root, model_record(fake))
    assert held.get() is None
    assert held.problem is not None
    assert "other" in held.problem
    assert "fake" in held.problem


def test_a_problem_is_over_when_the_old_version_is_put_back(
    documents: Path, root: Path, fake: FakeEncoder
) -> None:
    held = CurrentIndex(root, model_record(fake))
    first = build(documents, root, fake).version
    held.get()
    second = build(documents, root, fake, full=True).version
    (root / "segments" / f"{second}-text" / "keys.npy").unlink()
    held.get()
    assert held.problem is not None
    (root / "CURRENT").write_text(first + "\n")
    assert current_version(root) == first
    held.get()
    assert held.problem is None


def test_questions_are_answered_while_a_new_version_loads(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = CurrentIndex(root, model_record(fake))
    first_version = build(documents, root, fake).version
    first = held.get()
    second_version = build(documents, root, fake, full=True).version
    loading, go_on = threading.Event(), threading.Event()

    def slow(root: Path, name: str, model: ModelRecord | None, known: Index | None, at_once: int) -> Index:
        loading.set()
        assert go_on.wait(10)
        return load_version(root, name, model, known, at_once)

    monkeypatch.setattr(current_module, "load_version", slow)
    thread = threading.Thread(target=held.get)
    thread.start()
    assert loading.wait(10)
    assert held.get() is first
    assert first is not None
    assert first.version == first_version
    go_on.set()
    thread.join(10)
    index = held.get()
    assert index is not None
    assert index.version == second_version


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything is too large to be read at once, and stamps count as soon as they are written; gives what is read."""
    monkeypatch.setattr(current_module, "READ_AT_ONCE", 0)
    monkeypatch.setattr("index.previous.RACY_NS", 0)
    read: list[str] = []
    check = StoredSegment.check

    def checked(stored: StoredSegment, *, keep: bool = True) -> None:
        read.append(("" if keep else "beside ") + stored.name)
        check(stored, keep=keep)

    monkeypatch.setattr(StoredSegment, "check", checked)
    return read


def flip(file: Path, *, unseen: bool) -> None:
    """Changes one bit; `unseen` is as a disk does it that goes bad, without a trace in the file's times."""
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    with file.open("r+b") as handle:
        handle.seek(file.stat().st_size // 2)
        byte = handle.read(1)
        handle.seek(-1, 1)
        handle.write(bytes([byte[0] ^ 1]))
    if unseen:
        os.utime(file, ns=times)


def test_a_large_index_answers_before_it_was_read(
    documents: Path, root: Path, fake: FakeEncoder, large: list[str]
) -> None:
    first = build(documents, root, fake).version
    large.clear()
    held = CurrentIndex(root, model_record(fake))
    index = held.get()
    assert index is not None
    held.wait_until_checked(10)
    assert large == [f"beside {first}-text"]
    assert (held.get(), held.problem) == (index, None)
    (documents / "b.csv").write_text("題名,本文\n窓口,平日の午前九時から受け付けます。\n", encoding="utf-8")
    second = build(documents, root, fake).version
    large.clear()
    assert held.get() is not index
    held.wait_until_checked(10)
    assert large == [f"beside {second}-list"]  # each once


def test_files_that_were_written_to_are_read_first(
    documents: Path, root: Path, fake: FakeEncoder, large: list[str]
) -> None:
    first = build(documents, root, fake).version
    flip(root / "segments" / f"{first}-text" / "vectors.faiss", unseen=False)
    held = CurrentIndex(root, model_record(fake))
    assert held.get() is None
    assert "vectors.faiss" in (held.problem or "")
    assert not [name for name in large if name.startswith("beside")]


def test_a_small_index_is_read_first(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.previous.RACY_NS", 0)
    first = build(documents, root, fake).version
    flip(root / "segments" / f"{first}-text" / "vectors.faiss", unseen=True)
    held = CurrentIndex(root, model_record(fake))
    assert held.get() is None
    assert "vectors.faiss" in (held.problem or "")


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("name", ["vectors.faiss", "texts.utf8", "late/vectors.i8", "lexical/grams/rows.npy"])
def test_damage_that_is_found_afterwards_takes_the_index_out_of_use(
    documents: Path, root: Path, fake: FakeEncoder, name: str
) -> None:
    """Nobody is answered from it any more, whoever asks is told why, and the next build makes it whole."""
    (documents / "b.csv").write_text("題名,本文\n窓口,平日の午前九時から受け付けます。\n", encoding="utf-8")
    first = build(documents, root, fake).version
    flip(root / "segments" / f"{first}-text" / name, unseen=True)
    held = CurrentIndex(root, model_record(fake))
    held.get()
    held.wait_until_checked(10)
    for _ in range(2):
        assert held.get() is None
        assert f"{first}-text/{name} の内容が変わっています" in (held.problem or "")
        assert "--full" in (held.problem or "")
    late = CurrentIndex(root, model_record(fake))  # a server that is started now does not begin with it
    assert late.get() is None
    assert name in (late.problem or "")
    fake.passages.clear()
    report = build(documents, root, fake)
    assert len(fake.passages) == report.encoded == 1  # what the damaged segment held, and nothing else
    index = held.get()
    assert index is not None
    assert (index.version, held.problem, len(index.documents)) == (report.version, None, 2)
    held.wait_until_checked(10)
    assert held.get() is index


@pytest.mark.usefixtures("large")
def test_a_segment_that_is_gone_is_no_damage(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that clears away what was to be read."""
    inside, go_on = threading.Event(), threading.Event()
    check = StoredSegment.check

    def slow(stored: StoredSegment, *, keep: bool = True) -> None:
        if not keep:
            inside.set()
            assert go_on.wait(10)
        check(stored, keep=keep)

    monkeypatch.setattr(StoredSegment, "check", slow)
    build(documents, root, fake)
    held = CurrentIndex(root, model_record(fake))
    assert held.get() is not None
    assert inside.wait(10)
    second = build(documents, root, fake, full=True, keep=1).version
    index = held.get()
    go_on.set()
    held.wait_until_checked(10)
    assert held.get() is index is not None
    assert (index.version, held.problem) == (second, None)


@pytest.mark.parametrize("how", ["no UTF-8", "a folder"])
def test_a_current_that_cannot_be_read_keeps_the_loaded_version_and_a_build_mends_it(
    documents: Path, root: Path, fake: FakeEncoder, how: str
) -> None:
    held = CurrentIndex(root, model_record(fake))
    build(documents, root, fake)
    first = held.get()
    spoil(root, how)
    assert held.get() is first
    assert "CURRENT" in (held.problem or "")
    late = CurrentIndex(root, model_record(fake))
    assert late.get() is None
    assert "戻してください" in (late.problem or "")
    fake.passages.clear()
    report = build(documents, root, fake)
    assert fake.passages == []  # what the newest version holds is not made again
    assert (report.version, report.unchanged, report.reused) == (current_version(root), 1, 1)
    for one in (held, late):
        index = one.get()
        assert index is not None
        assert (index.version, one.problem) == (report.version, None)


def test_whoever_waited_for_a_build_is_answered_from_it(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visitor's request is loading the new version when the build is done: the build's end waits for it."""
    held = CurrentIndex(root, model_record(fake))
    build(documents, root, fake)
    old = held.get()
    begun, go_on = threading.Event(), threading.Event()

    def slowly(*given: object) -> Index:
        begun.set()
        assert go_on.wait(20)
        return load_version(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(current_module, "load_version", slowly)
    second = build(documents, root, fake, full=True).version
    visitor = threading.Thread(target=held.get)
    visitor.start()
    assert begun.wait(20)
    assert held.get() is old  # nobody else who asks waits
    threading.Timer(0.2, go_on.set).start()
    held.publish()
    taken = held.get()
    visitor.join(20)
    assert taken is not None
    assert taken.version == second
