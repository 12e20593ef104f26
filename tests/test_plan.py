"""The plan of a build: what is told from contents, times and names, by hand."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from index import plan as plan_module
from index.plan import FileState, Plan, lasting, make_plan


def put(folder: Path, name: str, words: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words, encoding="utf-8")
    return hashlib.sha256(words.encode()).hexdigest()


def manifest(**documents: list[str]) -> dict[str, Any]:
    """A version that holds, for the words of each keyword, these paths."""
    entries = []
    for words, paths in documents.items():
        sha256 = hashlib.sha256(words.encode()).hexdigest()
        entries.append({"id": sha256[:16], "sha256": sha256, "paths": paths})
    return {"documents": entries}


def told(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    gone = [(item.change, item.before) for item in plan.removed]
    return [(item.change, item.paths) for item in plan.items] + gone


def test_added_changed_renamed_removed_unchanged(tmp_path: Path) -> None:
    for name, words in {"a": "same", "b": "new words", "d": "moved", "e": "fresh"}.items():
        put(tmp_path, f"{name}.txt", words)
    old = manifest(same=["a.txt"], words=["b.txt"], moved=["c.txt"], gone=["f.txt"])
    plan = make_plan(tmp_path, old, {})
    assert told(plan) == [
        ("unchanged", ("a.txt",)),
        ("changed", ("b.txt",)),
        ("renamed", ("d.txt",)),
        ("added", ("e.txt",)),
        ("replaced", ("b.txt",)),
        ("removed", ("f.txt",)),
    ]
    assert plan.items[2].before == ("c.txt",)
    assert plan.changes
    assert [state.path for state in plan.files] == ["a.txt", "b.txt", "d.txt", "e.txt"]


def test_one_content_under_two_names(tmp_path: Path) -> None:
    put(tmp_path, "b.txt", "same")
    put(tmp_path, "写し/a.txt", "same")
    assert told(make_plan(tmp_path, None, {})) == [("added", ("b.txt", "写し/a.txt"))]
    again = make_plan(tmp_path, manifest(same=["b.txt"]), {})
    assert (told(again), again.changes) == ([("unchanged", ("b.txt", "写し/a.txt"))], True)
    assert not make_plan(tmp_path, manifest(same=["b.txt", "写し/a.txt"]), {}).changes


def test_nothing_changed_nothing_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.txt", "same")
    first = make_plan(tmp_path, None, {})
    known = {state.path: state for state in first.files}
    monkeypatch.setattr(plan_module, "_sha256", lambda file: pytest.fail("read"))
    assert make_plan(tmp_path, None, known).files == first.files
    monkeypatch.undo()
    time.sleep(0.01)
    put(tmp_path, "a.txt", "diff")  # as long as before
    assert make_plan(tmp_path, None, known).files != first.files


def test_a_changed_file_with_its_old_time_is_seen(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "same")
    before = (tmp_path / "a.txt").stat()
    known = {state.path: state for state in make_plan(tmp_path, None, {}).files}
    time.sleep(0.01)
    put(tmp_path, "a.txt", "diff")
    os.utime(tmp_path / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    (item,) = make_plan(tmp_path, manifest(same=["a.txt"]), known).items
    assert item.change == "changed"


def test_a_time_that_is_too_near_is_not_trusted() -> None:
    old, young = FileState("a", (1, 1000, 1000, 1), ""), FileState("b", (1, 1000, 10**10, 1), "")
    assert lasting((old, young), now_ns=10**10 + 10**9) == [old]
    assert lasting((old, young), now_ns=10**10 + 4 * 10**9) == [old, young]


def test_a_file_that_is_being_written_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.txt", "old")
    old = manifest(old=["a.txt"])
    put(tmp_path, "a.txt", "half")
    real = plan_module._sha256

    def grows(file: Path) -> str:
        found = real(file)
        put(tmp_path, "a.txt", "half and more")
        return found

    monkeypatch.setattr(plan_module, "_sha256", grows)
    plan = make_plan(tmp_path, old, {})
    assert told(plan) == [("unchanged", ("a.txt",))]
    assert [(p.path, p.passing) for p in plan.problems] == [("a.txt", True)]
    assert "書き込みの途中" in plan.problems[0].message


def test_a_file_grown_too_large_is_not_read_and_leaves_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.txt", "あ" * 100)
    monkeypatch.setattr(plan_module, "MAX_FILE_BYTES", 200)
    monkeypatch.setattr(plan_module, "_sha256", lambda file: pytest.fail("read"))
    plan = make_plan(tmp_path, manifest(old=["a.txt"]), {})
    assert told(plan) == [("removed", ("a.txt",))]
    assert "大きすぎます" in plan.problems[0].message


def test_a_content_that_was_refused_is_not_planned_again(tmp_path: Path) -> None:
    sha256 = put(tmp_path, "a.txt", "bad")
    put(tmp_path, "b.md", "bad")
    plan = make_plan(tmp_path, None, {}, {(sha256, ".txt"): "読めません。"})
    assert told(plan) == [("added", ("b.md",))]  # another format may read it
    assert [(p.path, p.message, p.sha256) for p in plan.problems] == [("a.txt", "読めません。", sha256)]


def test_a_folder_that_cannot_be_opened_keeps_its_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.txt", "same")
    put(tmp_path, "課/b.txt", "inside")
    put(tmp_path, "課/下/c.txt", "deeper")
    old = manifest(same=["a.txt"], inside=["課/b.txt"], deeper=["課/下/c.txt"], other=["課外/d.txt"])
    real = os.scandir

    def refuse(path: str) -> Any:
        if os.fspath(path) == str(tmp_path / "課"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    plan = make_plan(tmp_path, old, {})
    assert told(plan) == [
        ("unchanged", ("a.txt",)),
        ("unchanged", ("課/b.txt",)),
        ("unchanged", ("課/下/c.txt",)),
        ("removed", ("課外/d.txt",)),
    ]
    assert [(p.path, p.passing) for p in plan.problems] == [("課/", True)]
    assert "フォルダーを開けません" in plan.problems[0].message


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_bytes_that_are_no_text_and_a_name_that_looks_like_them_are_two_documents(tmp_path: Path) -> None:
    names = {
        b"\xff\xfe.txt": "\\xff\\xfe.txt",
        b"\\xff\\xfe.txt": "\\x5cxff\\x5cxfe.txt",
        b"\\x5cxff.txt": "\\x5cx5cxff.txt",
        b"\\\xff.txt": "\\\\xff.txt",
        b"\\\\xff.txt": "\\\\x5cxff.txt",
        b"a\\b.txt": "a\\b.txt",
        "窓口.txt".encode(): "窓口.txt",
    }
    for number, name in enumerate(names):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:  # noqa: PTH123 - a Path cannot be made of such bytes
            file.write(f"第{number}番".encode())
    plan = make_plan(tmp_path, None, {})
    assert sorted(item.paths for item in plan.items) == sorted((path,) for path in names.values())
    for number, (name, path) in enumerate(names.items()):
        assert plan.places[path].read_text() == f"第{number}番", name
