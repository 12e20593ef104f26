"""Index versions on disk: round trips, refusals that name both values, and the switch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.records import Case, Chunk, Document, Field, Heading
from index import store
from index.engines import DENSE, HEADING, SPELLING, WORDS, Probe
from index.lexical import Tokens
from index.store import (
    KEEP_VERSIONS,
    EngineParts,
    Index,
    IndexMissingError,
    IndexUnusableError,
    ModelRecord,
    current_version,
    load_current,
    load_version,
    read_manifest,
    switch,
    write_version,
)

MODEL = ModelRecord("fake", "f0", 3, {"query": "Q: ", "passage": ""})
# a quotation mark, a line separator, a tab, a character of two UTF-16 units, a combining mark, a line of its own
ODD = '「"\\u2028」\u2028\t𠮷野家\n葛󠄀城市 e\u0301 \x85 ﾃﾞｼﾞﾀﾙ\n'
DOCUMENTS = [
    Document(
        "d1",
        "事例/一 覧.txt",
        "事例集",
        "txt",
        "a" * 64,
        ODD,
        headings=(Heading("窓口", 1, 0, 2), Heading("予\u2028算", 2, 3, 5)),
        publisher="総務省",
        date="令和6年4月",
        pages=12,
        warnings=("注意\u2028一", "二"),
    ),
    Document("d2", "空.md", "空", "md", "b" * 64, "\ufeff本文"),
]
CASES = [
    Case(
        "c1",
        "d1",
        9,
        "窓口\u2028改革",
        "山形県酒田市",
        0,
        4,
        prefecture="山形県",
        organization_kind="市",
        population=96000,
        urls=("https://example.jp/?a=1&b=2",),
        fields={"電話": Field("0000", 1, 5), "人口": Field("9.6万人", 6, 9)},
    ),
    Case("c2", "d1", 10, "", "町", 4, 8),
]
CHUNKS = [
    Chunk("k1", "d1", "c1", ("一", "二\u2028三"), 27, 1, 2, 0, 5, ODD[:5], "見出し行"),
    Chunk("k2", "d1", None, (), None, 2, 3, 5, len(ODD), ODD[5:]),
    Chunk("k3", "d2", None, ("本文",), None, 1, 1, 0, 3, "\ufeff本文"),
]
VECTORS = np.eye(3, dtype=np.float32)
TOKENS = [Tokens(["窓口"], ["窓口"]), Tokens(["予算", "窓口"], ["予算"]), Tokens([], [])]
# the second row has no heading of its own
PARTS = EngineParts(VECTORS, ["1", "2", "3"], VECTORS[[1, 2]], [0, 2], TOKENS, None)


def write(root: Path, **changes: Any) -> str:
    given: dict[str, Any] = {
        "documents": DOCUMENTS,
        "cases": CASES,
        "chunks": CHUNKS,
        "parts": PARTS,
        "model": MODEL,
        "max_chars": 400,
        "errors": [("悪い.pdf", "読めません")],
    }
    return write_version(root, **(given | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    switch(tmp_path, write(tmp_path))
    return tmp_path


def folder_of(root: Path) -> Path:
    return root / "versions" / (current_version(root) or "")


def edit_manifest(root: Path, **changes: Any) -> None:
    path = folder_of(root) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_every_record_comes_back(root: Path) -> None:
    index = load_current(root, MODEL)
    assert list(index.documents.values()) == DOCUMENTS
    assert list(index.cases.values()) == CASES
    assert list(index.chunks) == CHUNKS
    assert index.chunk("k2") == CHUNKS[1]
    assert index.chunk("k9") is None
    assert index.version == current_version(root)
    assert [index.documents[c.document_id].text[c.start : c.end] for c in index.chunks] == [
        c.text for c in CHUNKS
    ]
    assert {key: vector.tolist() for key, vector in index.vectors_by_key().items()} == {
        "1": [1, 0, 0],
        "2": [0, 1, 0],
        "3": [0, 0, 1],
    }


def test_the_manifest_says_what_must_agree(root: Path) -> None:
    manifest = read_manifest(root, current_version(root) or "")
    assert manifest["model"] == {
        "name": "fake",
        "fingerprint": "f0",
        "dimension": 3,
        "prompts": {"query": "Q: ", "passage": ""},
    }
    assert (manifest["documents"], manifest["cases"], manifest["chunks"]) == (2, 2, 3)
    assert manifest["errors"] == [{"path": "悪い.pdf", "message": "読めません"}]
    listed = {p.relative_to(folder_of(root)).as_posix() for p in folder_of(root).rglob("*") if p.is_file()}
    assert set(manifest["files"]) == listed - {"manifest.json"}


def test_search_by_hand(root: Path) -> None:
    index = load_current(root, MODEL)
    hits = index.search(Probe(np.array([0.8, 0.6, 0], np.float32), ["予算"]), 3)
    # vectors 0.8, 0.6, 0 become 1, 0.75, 0; headings 0.6 and 0 of the rows 0 and 2 become 1 and 0, row 1 has none and
    # counts by its vector; 予算 is in row 1 only: its one score counts 1; nothing is misspelt, no tokens
    total = DENSE + HEADING + WORDS + SPELLING
    assert [(h.chunk.id, h.score) for h in hits] == [
        ("k2", pytest.approx((DENSE * 0.75 + HEADING * 0.75 + WORDS) / total)),
        ("k1", pytest.approx((DENSE + HEADING) / total)),
        ("k3", pytest.approx(0.0)),
    ]
    assert [h.dense for h in hits] == pytest.approx([0.6, 0.8, 0.0])
    assert hits[0].lexical is not None
    assert [h.lexical for h in hits[1:]] == [None, None]
    assert [h.late for h in hits] == [None, None, None]
    assert index.search(Probe(VECTORS[0], ["窓口"]), 1)[0].chunk.id == "k1"


def test_search_only_among_the_chunks_allowed(root: Path) -> None:
    index = load_current(root, MODEL)
    probe = Probe(VECTORS[0], ["窓口"])
    assert [h.chunk.id for h in index.search(probe, 3, {"k2", "k9"})] == ["k2"]
    assert index.search(probe, 3, set()) == []
    assert index.search(probe, 3, ["k9"]) == []


def test_what_the_next_build_takes_over(root: Path) -> None:
    index = load_current(root, MODEL)
    assert {heading: vector.tolist() for heading, vector in index.heading_vectors().items()} == {
        "二 三": [0, 1, 0],
        "本文": [0, 0, 1],
    }
    assert index.tokens_by_key() == {}


def test_none_built_yet(tmp_path: Path) -> None:
    assert current_version(tmp_path / "no") is None
    with pytest.raises(IndexMissingError, match=r"build_index\.py"):
        load_current(tmp_path)


FILES = [
    "documents.jsonl",
    "cases.jsonl",
    "chunks.jsonl",
    "texts/d1.txt",
    "vectors.faiss",
    "lexical/whole/vocab.index.json",
]


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file(root: Path, file: str) -> None:
    path = folder_of(root) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(IndexUnusableError, match=f"{file} が内容が変わっています") as raised:
        load_current(root, MODEL)
    assert "--full" in str(raised.value)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file(root: Path, file: str) -> None:
    (folder_of(root) / file).unlink()
    with pytest.raises(IndexUnusableError, match=f"{file} がありません"):
        load_current(root, MODEL)


def test_another_format(root: Path) -> None:
    edit_manifest(root, format_version=99)
    with pytest.raises(IndexUnusableError, match=f"索引 99・このプログラム {store.FORMAT_VERSION}"):
        load_current(root, MODEL)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", "\udcff"])
def test_a_damaged_manifest(root: Path, content: str) -> None:
    (folder_of(root) / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(IndexUnusableError, match="--full"):
        load_current(root, MODEL)


@pytest.mark.parametrize("key", store._MANIFEST_KEYS)
def test_a_manifest_that_lacks_something(root: Path, key: str) -> None:
    path = folder_of(root) / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content[key]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(IndexUnusableError, match=f"{key} がありません"):
        load_current(root, MODEL)


def test_no_folder_for_the_version_in_use(root: Path) -> None:
    (root / "CURRENT").write_text("20200101T000000Z-000000\n")
    with pytest.raises(IndexUnusableError, match="20200101T000000Z-000000"):
        load_current(root, MODEL)


def test_another_tokenizer(root: Path) -> None:
    edit_manifest(root, tokenizer="whitespace 1")
    with pytest.raises(IndexUnusableError, match="whitespace 1") as raised:
        load_current(root, MODEL)
    assert store.tokenizer_name() in str(raised.value)


@pytest.mark.parametrize(
    ("key", "value", "own"),
    [
        ("name", "other", "fake"),
        ("fingerprint", "f1", "f0"),
        ("dimension", 4, "3"),
        ("prompts", {"query": "", "passage": ""}, "Q: "),
    ],
)
def test_another_model(root: Path, key: str, value: Any, own: str) -> None:
    with pytest.raises(IndexUnusableError, match=f"{key}：") as raised:
        load_current(root, replace(MODEL, **{key: value}))
    assert f"指定「{value}」" in str(raised.value)
    assert own in str(raised.value)


def test_counts_that_do_not_agree(root: Path) -> None:
    path = folder_of(root) / "chunks.jsonl"
    path.write_bytes(path.read_bytes() + path.read_bytes().split(b"\n")[0] + b"\n")
    files = read_manifest(root, folder_of(root).name)["files"]
    edit_manifest(root, files=files | {"chunks.jsonl": hashlib.sha256(path.read_bytes()).hexdigest()})
    with pytest.raises(IndexUnusableError, match="本文4・検索3"):
        load_current(root, MODEL)


def test_records_of_another_shape(root: Path) -> None:
    path = folder_of(root) / "cases.jsonl"
    path.write_text('{"id": "c1"}\n')
    files = read_manifest(root, folder_of(root).name)["files"]
    edit_manifest(root, files=files | {"cases.jsonl": hashlib.sha256(path.read_bytes()).hexdigest()})
    with pytest.raises(IndexUnusableError, match="--full"):
        load_current(root, MODEL)


def test_a_version_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_sync", refuse)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path)
    assert list((tmp_path / "versions").iterdir()) == []
    assert current_version(tmp_path) is None


def test_a_version_that_is_written_is_not_yet_in_use(root: Path) -> None:
    first = current_version(root)
    second = write(root)
    assert current_version(root) == first != second
    switch(root, second)
    assert current_version(root) == second
    assert isinstance(load_version(root, first or "", MODEL), Index)  # who still reads the old one may


def test_only_the_last_versions_are_kept(root: Path) -> None:
    assert KEEP_VERSIONS == 3
    for number in range(2, 7):  # names sort by time, and a test is faster than a second
        name = f"2090010{number}T000000Z-000000"
        (root / "versions" / write(root)).rename(root / "versions" / name)
        switch(root, name)
    names = sorted(p.name for p in (root / "versions").iterdir())
    assert names == [f"2090010{number}T000000Z-000000" for number in (4, 5, 6)]


def test_the_version_in_use_is_kept_whatever_its_name(root: Path) -> None:
    first = current_version(root) or ""
    for _ in range(5):
        write(root)
    (root / "versions" / first).rename(root / "versions" / "20000101T000000Z-000000")
    switch(root, "20000101T000000Z-000000")
    assert (root / "versions" / "20000101T000000Z-000000").is_dir()
    assert len(list((root / "versions").iterdir())) == KEEP_VERSIONS


def test_what_a_cut_off_build_left_is_removed_at_the_switch(root: Path) -> None:
    left = root / "versions" / ".building-20200101T000000Z-abcdef"
    left.mkdir()
    (left / "documents.jsonl").write_text("{}")
    switch(root, write(root))
    assert not left.exists()


def test_a_switch_that_fails_leaves_the_old_version(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = current_version(root), write(root)

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="Input/output"):
            switch(root, second)
    assert current_version(root) == first
    assert load_current(root, MODEL).version == first
    assert [p.name for p in root.iterdir() if p.name.startswith("CURRENT")] == ["CURRENT"]
    switch(root, second)
    assert current_version(root) == second


def test_current_is_replaced_and_never_written_in_place(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []
    first, second = current_version(root), write(root)
    real = Path.replace

    def watch(self: Path, target: Path) -> Path:
        seen.append((self.read_text().strip(), Path(target).read_text().strip()))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    switch(root, second)
    assert seen == [(second, first)]
