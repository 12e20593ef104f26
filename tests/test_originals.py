"""Originals found again in real folders: only what was indexed is given out, and nothing from elsewhere."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from corpus.records import Document
from index.plan import MAX_FILE_BYTES
from web.originals import FileChangedError, Original, Originals

DATA = "窓口の手引".encode()


def document(path: str, data: bytes = DATA, paths: tuple[str, ...] = ()) -> Document:
    return Document("d", path, "題", "txt", hashlib.sha256(data).hexdigest(), "", paths=paths)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    (made / "計画").mkdir(parents=True)
    (made / "計画" / "手引.txt").write_bytes(DATA)
    return made


def test_a_file_is_given_out_while_it_is_what_was_indexed(folder: Path) -> None:
    originals = Originals([folder])
    held = document("計画/手引.txt")
    assert (originals.state(held), originals.read(held)) == ("same", DATA)
    (folder / "計画" / "手引.txt").write_bytes(b"other")
    assert (originals.state(held), originals.read(held)) == ("changed", "changed")
    (folder / "計画" / "手引.txt").unlink()
    assert (originals.state(held), originals.read(held)) == ("missing", "missing")


def test_another_path_with_the_same_content_will_do(folder: Path) -> None:
    (folder / "写し.txt").write_bytes(DATA)
    (folder / "計画" / "手引.txt").write_bytes(b"other")
    held = document("計画/手引.txt", paths=("計画/手引.txt", "写し.txt"))
    assert Originals([folder]).read(held) == DATA
    assert Originals([folder]).state(held) == "same"


def test_the_samples_are_a_second_folder(folder: Path, tmp_path: Path) -> None:
    assert Originals([tmp_path / "gone", folder]).read(document("計画/手引.txt")) == DATA
    assert Originals([]).state(document("計画/手引.txt")) == "missing"


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "/etc/passwd", "計画/../../secret.txt", ".removed/a.txt", "out.txt", "outside/secret.txt", "loop.txt", "", ".", "..",
     "計画", "a\0b", "\\xff.txt", "計画/" + "あ" * 300, "\udcff.txt", "pipe"],
)  # fmt: skip
def test_nothing_leads_out_of_the_folder(folder: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.txt").write_bytes(DATA)
    (folder / ".removed").mkdir()
    (folder / ".removed" / "a.txt").write_bytes(DATA)
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "outside").symlink_to(tmp_path)
    (folder / "loop.txt").symlink_to(folder / "loop.txt")
    os.mkfifo(folder / "pipe")
    assert Originals([folder]).state(document(path)) == "missing"
    assert Originals([folder]).read(document(path)) == "missing"


def test_a_link_within_the_folder_is_a_file_of_it(folder: Path) -> None:
    (folder / "link.txt").symlink_to("計画/手引.txt")
    assert Originals([folder]).read(document("link.txt")) == DATA


def test_a_file_that_grew_beyond_what_is_indexed_is_another_one(folder: Path) -> None:
    with (folder / "large.txt").open("wb") as handle:
        handle.truncate(MAX_FILE_BYTES + 1)
    assert Originals([folder]).state(document("large.txt")) == "changed"


def test_a_file_is_hashed_once_while_nothing_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    bytes_of = __import__("web.originals", fromlist=["_bytes"])._bytes
    monkeypatch.setattr("web.originals._bytes", lambda file: read.append(file) or bytes_of(file))
    originals = Originals([folder])
    for _ in range(3):
        assert originals.state(document("計画/手引.txt")) == "same"
    assert len(read) == 1


def test_a_file_is_given_out_piece_by_piece_and_no_further_than_it_is_what_was_indexed(folder: Path) -> None:
    data = os.urandom(700_000)
    path = folder / "計画" / "手引.txt"
    path.write_bytes(data)
    originals, held = Originals([folder]), document("計画/手引.txt", data)
    original = originals.opened(held)
    assert isinstance(original, Original)
    pieces = list(original.pieces())
    assert (b"".join(pieces), original.size, max(map(len, pieces)) < 300_000) == (data, 700_000, True)
    assert original._handle.closed
    original = originals.opened(held)
    assert isinstance(original, Original)
    given = original.pieces()
    assert data.startswith(next(given))
    with path.open("r+b") as file:  # the same file, not one in its place
        file.seek(600_000)
        file.write(b"secret")
    with pytest.raises(FileChangedError):
        list(given)
    assert original._handle.closed
    assert originals.opened(held) == "changed"
    path.unlink()
    assert originals.opened(held) == "missing"


def test_a_file_that_is_replaced_while_it_is_given_out_is_given_out_as_it_was(folder: Path) -> None:
    path = folder / "計画" / "手引.txt"
    original = Originals([folder]).opened(document("計画/手引.txt"))
    assert isinstance(original, Original)
    other = path.with_name("new")
    other.write_bytes(b"other")
    other.replace(path)
    assert list(original.pieces()) == [DATA]
