"""Versions on disk: the switch, what is kept, what is cleared away, going back, and refusals."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from index import versions
from index.versions import (
    KEEP_VERSIONS,
    BuildingError,
    IndexUnusableError,
    NothingToRollBackError,
    alone,
    clear,
    current_version,
    earlier_version,
    history,
    manifest_bytes,
    publish,
    read_manifest,
    switch,
)


def write(root: Path, name: str, **changes: Any) -> str:
    """A version of one segment, both empty but for what this module reads."""
    manifest = {key: [] for key in versions._MANIFEST_KEYS} | {
        "format_version": versions.FORMAT_VERSION,
        "version": name,
        "built_at": f"built {name}",
        "counts": {"documents": 1, "cases": 2, "chunks": 3},
        "segments": {f"s-{name}": "0"},
    }
    folder = root / "versions" / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(manifest_bytes(manifest | changes))
    (root / "segments" / f"s-{name}").mkdir(parents=True)
    return name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in "abc":
        switch(tmp_path, write(tmp_path, name))
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def edit(root: Path, name: str, **changes: Any) -> None:
    path = root / "versions" / name / "manifest.json"
    path.write_bytes(manifest_bytes(json.loads(path.read_text(encoding="utf-8")) | changes))


def test_a_switch_and_its_history(root: Path) -> None:
    assert current_version(root) == "c"
    assert [(entry.name, entry.current, entry.chunks, entry.problem) for entry in history(root)] == [
        ("c", True, 3, None),
        ("b", False, 3, None),
        ("a", False, 3, None),
    ]
    assert history(root / "no") == []


def test_another_format(root: Path) -> None:
    edit(root, "c", format_version=99)
    with pytest.raises(IndexUnusableError, match=f"索引 99・このプログラム {versions.FORMAT_VERSION}"):
        read_manifest(root, "c")
    assert "99" in (history(root)[0].problem or "")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", "\udcff"])
def test_a_damaged_manifest(root: Path, content: str) -> None:
    (root / "versions" / "c" / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(IndexUnusableError, match="--full"):
        read_manifest(root, "c")


def test_any_changed_letter_of_a_manifest_is_seen(root: Path) -> None:
    path = root / "versions" / "c" / "manifest.json"
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            same = json.loads(changed) == json.loads(content)
        except ValueError:
            same = False
        if not same:
            with pytest.raises(IndexUnusableError):
                read_manifest(root, "c")


@pytest.mark.parametrize("key", versions._MANIFEST_KEYS)
def test_a_manifest_that_lacks_something(root: Path, key: str) -> None:
    path = root / "versions" / "c" / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content[key]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(IndexUnusableError, match=f"{key} がありません"):
        read_manifest(root, "c")


@pytest.mark.parametrize("name", ["z", "../versions/c", ".c", ""])
def test_no_such_version(root: Path, name: str) -> None:
    with pytest.raises(IndexUnusableError, match="読めません"):
        read_manifest(root, name)


def test_a_manifest_under_another_name(root: Path) -> None:
    (root / "versions" / "c").rename(root / "versions" / "d")
    with pytest.raises(IndexUnusableError, match="壊れています"):
        read_manifest(root, "d")


def test_going_back(root: Path) -> None:
    assert earlier_version(root) == "b"
    switch(root, "b")
    assert earlier_version(root) == "a"
    assert earlier_version(root, "c") == "c"  # and forth again, by name
    switch(root, "a")
    with pytest.raises(NothingToRollBackError, match="ありません"):
        earlier_version(root)
    with pytest.raises(NothingToRollBackError, match="c、b、a"):
        earlier_version(root, "../b")


def test_only_the_last_versions_are_kept_with_their_segments(root: Path) -> None:
    for name in "defgh":
        switch(root, write(root, name))
        clear(root)
    assert KEEP_VERSIONS == 5
    assert names(root / "versions") == list("defgh")
    assert names(root / "segments") == [f"s-{name}" for name in "defgh"]
    clear(root, keep=2)
    assert names(root / "versions") == list("gh")
    assert names(root / "segments") == ["s-g", "s-h"]


def test_the_version_in_use_is_kept_whatever_its_name(root: Path) -> None:
    switch(root, "a")
    clear(root, keep=2)
    assert names(root / "versions") == ["a", "c"]
    clear(root, keep=1)
    assert names(root / "versions") == ["a"]
    assert names(root / "segments") == ["s-a"]


def test_a_segment_that_a_kept_version_shares_stays(root: Path) -> None:
    edit(root, "c", segments={"s-a": "0", "s-c": "0"})
    clear(root, keep=1)
    assert names(root / "segments") == ["s-a", "s-c"]


def test_what_a_cut_off_build_left_is_removed(root: Path) -> None:
    left = [
        root / "versions" / ".building-x",
        root / "versions" / ".old-y",
        root / "segments" / ".building-z",
    ]
    for folder in left:
        folder.mkdir()
        (folder / "part").write_text("{}")
    (root / ".CURRENT-123").write_text("b")
    (root / "segments" / "nobody").mkdir()
    with alone(root):
        clear(root)
    assert not any(path.exists() for path in [*left, root / ".CURRENT-123", root / "segments" / "nobody"])
    assert (root / ".lock").exists()


def test_a_switch_that_fails_leaves_the_old_version(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="Input/output"):
            switch(root, "a")
    assert current_version(root) == "c"
    assert names(root) == ["CURRENT", "segments", "versions"]
    switch(root, "a")
    assert current_version(root) == "a"


def test_current_is_replaced_and_never_written_in_place(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []
    real = Path.replace

    def watch(self: Path, target: Path) -> Path:
        seen.append((self.read_text().strip(), Path(target).read_text().strip()))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    switch(root, "a")
    assert seen == [("a", "c")]


def test_a_folder_has_its_name_only_once_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    building, target = tmp_path / ".building", tmp_path / "done"
    (building / "inner").mkdir(parents=True)
    (building / "inner" / "file").write_text("x")
    synced: list[tuple[str, bool]] = []
    real = versions.sync
    monkeypatch.setattr(
        versions, "sync", lambda path: (synced.append((path.name, target.exists())), real(path))
    )
    publish(building, target)
    before = [name for name, renamed in synced if not renamed]
    assert before == ["file", "inner", ".building"]
    assert synced[-1] == (tmp_path.name, True)
    assert (target / "inner" / "file").read_text() == "x"


def test_one_at_a_time(root: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with alone(root):
            inside.set()
            assert go_on.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    with pytest.raises(BuildingError, match="実行中"), alone(root):
        pass
    go_on.set()
    thread.join(10)
    with alone(root):
        pass
