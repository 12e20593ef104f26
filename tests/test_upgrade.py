"""An index of another release: an older one is made anew from the documents, a newer one is left as it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import build_index
import server
from build_index import SAMPLES, outdated
from index import versions
from index.build import BuildRefusedError, build
from index.current import CurrentIndex
from index.passages import model_record
from index.store import load_current
from index.versions import FORMAT_VERSION, NewerIndexError, current_version, manifest_bytes
from qa.usage_file import SCHEMA, UsageFile

SENTENCES = re.compile(r"^[^\n]*[ぁ-ん][^\n]*。\n$")


@pytest.fixture
def office(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with documents and a real index of them, which the options name."""
    for name in [name for name in os.environ if name.startswith("DXQA_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "MODEL": tiny_folder,
        "PRECISION": "fp32",
        "INDEX": tmp_path / "index",
        "DOCUMENTS": tmp_path / "documents",
        "USAGE": tmp_path / "usage.sqlite3",
    }.items():
        monkeypatch.setenv(f"DXQA_{name}", str(value))
    (tmp_path / "documents").mkdir()
    words = "# 窓口\n\n受付は平日の午前九時から午後五時までです。\n"
    (tmp_path / "documents" / "窓口.md").write_text(words, encoding="utf-8")
    assert build_index.main([]) == 0
    return tmp_path


def made_by_another_release(root: Path, number: int) -> str:
    """Rewrites the manifest of the version in use, with its checksum, as one of another format; gives the version."""
    name = current_version(root)
    assert name is not None
    path = root / "versions" / name / "manifest.json"
    path.write_bytes(manifest_bytes(json.loads(path.read_bytes()) | {"format_version": number}))
    return name


def bytes_of(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_building_over_an_older_format(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = office / "index"
    old = made_by_another_release(root, 3)
    before = bytes_of(root)
    capsys.readouterr()
    assert build_index.main([]) == 0
    shown = capsys.readouterr().out
    assert f"索引 3・このプログラム {FORMAT_VERSION}" in shown
    assert "索引を作りました：資料 1件" in shown
    index = load_current(root)
    assert index.version != old
    assert [document.path for document in index.documents.values()] == ["窓口.md"]
    # whoever goes back to the older release finds what it made
    assert {
        name: digest for name, digest in bytes_of(root).items() if name in before and name != "CURRENT"
    } == {name: digest for name, digest in before.items() if name != "CURRENT"}


@pytest.mark.parametrize("documents", ["missing", "empty", "unreadable"])
def test_an_older_format_stays_where_there_is_nothing_to_build_from(
    office: Path, documents: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = office / "index"
    made_by_another_release(root, 3)
    before = bytes_of(root)
    file = office / "documents" / "窓口.md"
    file.unlink()
    if documents == "missing":
        file.parent.rmdir()
    if documents == "unreadable":
        file.with_name("窓口.pdf").write_bytes(b"%PDF-1.7 half")
    for program in (build_index.main, server.main):
        capsys.readouterr()
        assert program([]) == 2
        assert "資料" in capsys.readouterr().err
        assert bytes_of(root) == before


def test_samples_never_take_the_place_of_documents(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = office / "index"
    made_by_another_release(root, 3)
    monkeypatch.delenv("DXQA_DOCUMENTS")
    monkeypatch.setattr(build_index, "HOME", office / "home")  # its documents/ is not there
    before = bytes_of(root)
    for program in (build_index.main, server.main):
        assert program([]) == 2
        assert bytes_of(root) == before


def test_an_index_of_the_samples_is_made_anew_from_them(office: Path) -> None:
    root = office / "samples"
    name = versions.new_name(root)
    folder = root / "versions" / name
    folder.mkdir(parents=True)
    listed = {"format_version": 1, "documents": [{"paths": [path.name]} for path in SAMPLES.iterdir()]}
    (folder / "manifest.json").write_text(json.dumps(listed), encoding="utf-8")
    versions.switch(root, name)
    assert outdated(root, SAMPLES) is not None
    listed["documents"] = [{"paths": ["計画.pdf"]}]
    (folder / "manifest.json").write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(build_index.UsageError):
        outdated(root, SAMPLES)
    assert outdated(root, office / "documents") is not None


def test_a_newer_format_is_left_as_it_is(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = office / "index"
    made_by_another_release(root, 99)
    before = bytes_of(root)
    for program, arguments in (
        (build_index.main, []),
        (build_index.main, ["--full"]),
        (server.main, []),
    ):
        capsys.readouterr()
        assert program(arguments) == 1
        said = capsys.readouterr().err
        assert SENTENCES.match(said), said
        assert f"索引 99・このプログラム {FORMAT_VERSION}" in said
        assert bytes_of(root) == before


def test_a_server_that_runs_keeps_its_version_beside_a_newer_one(
    office: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody builds with a newer release while this one serves: it answers on, and its builds are refused."""
    root = office / "index"
    arguments = build_index.Parser()
    build_index.add_common_options(arguments)
    encoder = build_index.load_encoder(arguments.parse_args([]))
    current = CurrentIndex(root, model_record(encoder))
    first = current.get()
    assert first is not None
    (office / "documents" / "新.md").write_text("# 新しい窓口\n\n受付は土曜日です。\n", encoding="utf-8")
    build(office / "documents", root, encoder)
    newer = made_by_another_release(root, 99)
    assert current.get() is first
    assert "索引 99" in (current.problem or "")
    with pytest.raises(BuildRefusedError, match="索引 99"):
        build(office / "documents", root, encoder)
    with pytest.raises(NewerIndexError):
        versions.older_version(root)
    # going back to a version of this release is the way out, and the newer one stays whole
    segments = bytes_of(root / "segments")
    assert build_index.main(["--rollback"]) == 0
    assert current_version(root) == first.version
    (office / "documents" / "新.md").unlink()
    (office / "documents" / "別.md").write_text("# 別の窓口\n\n受付は日曜日です。\n", encoding="utf-8")
    build(office / "documents", root, encoder)
    assert bytes_of(root / "segments").items() >= segments.items()
    assert (root / "versions" / newer).is_dir()


def test_a_usage_file_of_a_newer_release_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite3"
    with UsageFile(path).writing():
        pass
    with closing(sqlite3.connect(path)) as plain:
        plain.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    with pytest.raises(OSError, match=f"形式 {SCHEMA + 1}、読めるのは {SCHEMA}"), UsageFile(path).writing():
        pass
    assert path.read_bytes() == before
