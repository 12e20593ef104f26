"""The index in use: taken up anew after a switch, kept where the new version cannot be used."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import FakeEncoder
from test_versions import spoil

from index import current as current_module
from index.build import build
from index.current import CurrentIndex
from index.passages import model_record
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

    def watch(root: Path, name: str, model: ModelRecord | None, known: Index | None) -> Index:
        tried.append(name)
        return load_version(root, name, model, known)

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

    def slow(root: Path, name: str, model: ModelRecord | None, known: Index | None) -> Index:
        loading.set()
        assert go_on.wait(10)
        return load_version(root, name, model, known)

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
