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
    WrongFolderError,
    alone,
    check_place,
    clear,
    current_version,
    earlier_version,
    history,
    manifest_bytes,
    named_version,
    new_name,
    publish,
    read_manifest,
    switch,
)


def named(letter: str) -> str:
    """A version's name as they are given, in the order of the letters."""
    return f"202611{ord(letter) - 96:02}T090000000000Z-ab12cd"


A, B, C, D = (named(letter) for letter in "abcd")


def write(root: Path, name: str, **changes: Any) -> str:
    """A version of one segment, both empty but for what this module reads."""
    manifest = {key: [] for key in versions._MANIFEST_KEYS} | {
        "format_version": versions.FORMAT_VERSION,
        "version": name,
        "built_at": f"built {name}",
        "counts": {"documents": 1, "cases": 2, "chunks": 3},
        "segments": {f"{name}-text": "0"},
    }
    folder = root / "versions" / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(manifest_bytes(manifest | changes))
    (root / "segments" / f"{name}-text").mkdir(parents=True)
    return name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (A, B, C):
        switch(tmp_path / "index", write(tmp_path / "index", name))
    return tmp_path / "index"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def edit(root: Path, name: str, **changes: Any) -> None:
    path = root / "versions" / name / "manifest.json"
    path.write_bytes(manifest_bytes(json.loads(path.read_text(encoding="utf-8")) | changes))


def test_a_switch_and_its_history(root: Path) -> None:
    assert current_version(root) == C
    assert [(entry.name, entry.current, entry.chunks, entry.problem) for entry in history(root)] == [
        (C, True, 3, None),
        (B, False, 3, None),
        (A, False, 3, None),
    ]
    assert history(root / "no") == []


def test_another_format(root: Path) -> None:
    edit(root, C, format_version=99)
    with pytest.raises(IndexUnusableError, match=f"索引 99・このプログラム {versions.FORMAT_VERSION}"):
        read_manifest(root, C)
    assert "99" in (history(root)[0].problem or "")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", "\udcff"])
def test_a_damaged_manifest(root: Path, content: str) -> None:
    (root / "versions" / C / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(IndexUnusableError, match="--full"):
        read_manifest(root, C)


def test_any_changed_letter_of_a_manifest_is_seen(root: Path) -> None:
    path = root / "versions" / C / "manifest.json"
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
                read_manifest(root, C)


@pytest.mark.parametrize("key", versions._MANIFEST_KEYS)
def test_a_manifest_that_lacks_something(root: Path, key: str) -> None:
    path = root / "versions" / C / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content[key]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(IndexUnusableError, match=f"{key} がありません"):
        read_manifest(root, C)


@pytest.mark.parametrize("name", ["z", f"../versions/{C}", f".{C}", ""])
def test_no_such_version(root: Path, name: str) -> None:
    with pytest.raises(IndexUnusableError, match="読めません"):
        read_manifest(root, name)


def test_a_manifest_under_another_name(root: Path) -> None:
    (root / "versions" / C).rename(root / "versions" / D)
    with pytest.raises(IndexUnusableError, match="壊れています"):
        read_manifest(root, D)


def test_going_back(root: Path) -> None:
    assert earlier_version(root) == B
    switch(root, B)
    assert earlier_version(root) == A
    assert earlier_version(root, C) == C  # and forth again, by name
    switch(root, A)
    with pytest.raises(NothingToRollBackError, match="ありません"):
        earlier_version(root)
    with pytest.raises(NothingToRollBackError, match=f"{C}、{B}、{A}"):
        earlier_version(root, "../b")


def test_a_name_is_greater_than_all_before_whatever_the_clock_says(root: Path) -> None:
    assert new_name(root) > C
    for ahead, after in (
        ("20991231T235959999999Z-ffffff", "21000101T000000000000Z-"),
        ("29001121T090000000007Z-ab12cd", "29001121T090000000008Z-"),
    ):
        write(root, ahead)  # made while the clock was ahead
        name = new_name(root)
        assert name.startswith(after)
        switch(root, write(root, name))
        assert earlier_version(root) == ahead  # the one before it in the order in which they were made
        assert history(root)[0].name == name
    write(root, "99999999T999999999999Z-000000")  # digits that are no time
    assert len(new_name(root)) == len(C)


def spoil(root: Path, how: str) -> None:
    """Makes CURRENT unreadable."""
    (root / "CURRENT").unlink()
    if how == "no UTF-8":
        (root / "CURRENT").write_bytes(b"\xff\xfe")
    else:
        (root / "CURRENT").mkdir()
        (root / "CURRENT" / "theirs").write_text("theirs")


@pytest.mark.parametrize("how", ["no UTF-8", "a folder"])
def test_current_that_cannot_be_read(root: Path, how: str) -> None:
    spoil(root, how)
    with pytest.raises(IndexUnusableError, match="CURRENT"):
        current_version(root)
    assert named_version(root) is None
    assert [(entry.name, entry.current) for entry in history(root)] == [(C, False), (B, False), (A, False)]
    assert earlier_version(root) == C
    switch(root, B)
    assert current_version(root) == B
    assert [file.read_text() for file in root.glob("CURRENT.*/theirs")] == ["theirs"] * (how == "a folder")


def test_only_the_last_versions_are_kept_with_their_segments(root: Path) -> None:
    for letter in "defgh":
        switch(root, write(root, named(letter)))
        clear(root)
    assert KEEP_VERSIONS == 5
    assert names(root / "versions") == [named(letter) for letter in "defgh"]
    assert names(root / "segments") == [f"{named(letter)}-text" for letter in "defgh"]
    clear(root, keep=2)
    assert names(root / "versions") == [named(letter) for letter in "gh"]
    assert names(root / "segments") == [f"{named(letter)}-text" for letter in "gh"]


def test_the_version_in_use_is_kept_whatever_its_name(root: Path) -> None:
    switch(root, A)
    clear(root, keep=2)
    assert names(root / "versions") == [A, C]
    clear(root, keep=1)
    assert names(root / "versions") == [A]
    assert names(root / "segments") == [f"{A}-text"]


def test_a_segment_that_a_kept_version_shares_stays(root: Path) -> None:
    edit(root, C, segments={f"{A}-text": "0", f"{C}-text": "0"})
    clear(root, keep=1)
    assert names(root / "segments") == [f"{A}-text", f"{C}-text"]


def test_what_a_cut_off_build_left_is_removed(root: Path) -> None:
    left = [
        root / "versions" / f".building-{D}",
        root / "versions" / f".old-{A}",
        root / "segments" / f".building-{D}-list",
    ]
    for folder in left:
        folder.mkdir()
        (folder / "part").write_text("{}")
    (root / ".CURRENT-123").write_text("b")
    (root / "segments" / f"{D}-text").mkdir()
    with alone(root):
        clear(root)
    assert not any(path.exists() for path in [*left, root / ".CURRENT-123", root / "segments" / f"{D}-text"])
    assert (root / ".lock").exists()


def test_what_is_not_ours_is_never_removed(root: Path) -> None:
    theirs = [
        root / ".ssh" / "id_ed25519",
        root / ".git" / "HEAD",
        root / ".removed" / "x.txt",
        root / ".CURRENT-old" / "x",
        root / "versions" / ".git" / "HEAD",
        root / "versions" / ".old-photos" / "1.jpg",
        root / "versions" / "1.0" / "notes.txt",
        root / "segments" / "customers" / "list.csv",
        root / "segments" / ".building-plans" / "house.pdf",
    ]
    for file in theirs:
        file.parent.mkdir(parents=True)
        file.write_text("theirs")
    (root / ".bashrc").write_text("theirs")
    (root / "segments" / "notes.txt").write_text("theirs")
    clear(root, keep=1)
    assert {file.read_text() for file in [*theirs, root / ".bashrc", root / "segments" / "notes.txt"]} == {
        "theirs"
    }
    assert [entry.name for entry in history(root)] == [C]


def test_no_index_over_or_around_or_inside_the_documents(tmp_path: Path) -> None:
    documents = tmp_path / "資料"
    documents.mkdir()
    (tmp_path / "link").symlink_to(documents, target_is_directory=True)
    for root in (
        documents,
        tmp_path,
        documents / "索引",
        tmp_path / "link" / "索引",
        tmp_path / "link",
        Path("/"),
    ):
        with pytest.raises(WrongFolderError, match="一方を他方の中"):
            check_place(root, documents)
    check_place(tmp_path / "資料2", documents)  # a longer name is no place inside
    assert names(tmp_path) == ["link", "資料"]


def test_no_index_among_what_belongs_to_somebody(root: Path, tmp_path: Path) -> None:
    documents, home = tmp_path / "documents", tmp_path / "home"
    check_place(root, documents)
    (root / "notes.txt").touch()  # put beside an index of ours: left alone
    check_place(root, documents)
    home.mkdir()
    check_place(home, documents)
    for own in (".lock", "CURRENT", ".CURRENT-12", "lost+found"):
        (home / own).touch()
    (home / "segments" / f".building-{A}-text").mkdir(parents=True)  # of a first build that was cut off
    check_place(home, documents)
    for name in (".bashrc", "写真.jpg"):
        (home / name).touch()
        with pytest.raises(WrongFolderError, match=f"{name}.*空のフォルダー"):
            check_place(home, documents)
        (home / name).unlink()
    for name in ("versions/1.0", "segments/customers"):
        (home / name).mkdir(parents=True)
        with pytest.raises(WrongFolderError, match=name.split("/")[0]):
            check_place(home, documents)
        (home / name).rmdir()
    (tmp_path / "file").touch()
    with pytest.raises(WrongFolderError, match="開けません"):
        check_place(tmp_path / "file", documents)


def test_a_switch_that_fails_leaves_the_old_version(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="Input/output"):
            switch(root, A)
    assert current_version(root) == C
    assert names(root) == ["CURRENT", "segments", "versions"]
    switch(root, A)
    assert current_version(root) == A


def test_current_is_replaced_and_never_written_in_place(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []
    real = Path.replace

    def watch(self: Path, target: Path) -> Path:
        seen.append((self.read_text().strip(), Path(target).read_text().strip()))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    switch(root, A)
    assert seen == [(A, C)]


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
