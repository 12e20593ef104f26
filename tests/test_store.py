"""An index in memory: round trips, search over segments, and refusals that name both values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.documents import Parsed
from corpus.records import Case, Chunk, Document, Field, Heading
from index.engines import DENSE, HEADING, SPELLING, WORDS, Probe, heading_key
from index.lexical import Tokens, postings_of
from index.segment import LIST, TEXT, Content, SegmentWriter, StoredSegment
from index.store import LIST_COST, Scope, load_current, load_version
from index.tokenizer import tokenizer_name
from index.versions import (
    FORMAT_VERSION,
    IndexMissingError,
    IndexUnusableError,
    ModelRecord,
    current_version,
    manifest_bytes,
    new_name,
    publish,
    read_manifest,
    switch,
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


def content(number: int, rows: slice, headings: dict[int, np.ndarray]) -> Content:
    """What a segment holds of a document; `rows` are those of CHUNKS."""
    document, own = DOCUMENTS[number], CHUNKS[rows]
    return Content(
        Parsed(document, tuple(c for c in CASES if c.document_id == document.id), tuple(own)),
        [f"{row:032}" for row in range(rows.start, rows.stop)],
        VECTORS[rows],
        headings,
        np.array([heading_key("".join(c.heading_path)) for c in own], np.uint64),
        {name: (part, np.arange(len(own))) for name, part in postings_of(TOKENS[rows]).items()},
        np.array([number], np.uint64),
    )


# the second row has a heading of its own, and the third; the first one's is not its own
CONTENTS = [content(0, slice(0, 2), {}), content(1, slice(2, 3), {0: VECTORS[2]})]


def write(
    root: Path,
    segments: list[list[Content]] | None = None,
    kinds: Sequence[str] = (TEXT, TEXT),
    **changes: Any,
) -> str:
    """A version of the given segments of these kinds, made current by hand."""
    name = new_name(root)
    parts = [CONTENTS] if segments is None else segments
    digests, documents = {}, []
    for number, contents in enumerate(parts):
        segment = f"{name}-{number}"
        temporary = root / "segments" / f".{segment}"
        with SegmentWriter(temporary, 3) as writer:
            writer.finish(contents, with_tokens=False, kind=kinds[number])
        digests[segment] = StoredSegment(temporary).digest
        publish(temporary, root / "segments" / segment)
        documents += [
            {
                "id": one.parsed.document.id,
                "sha256": one.parsed.document.sha256,
                "paths": [one.parsed.document.path],
                "segment": segment,
                "indexed_at": "2026-01-01T00:00:00+00:00",
            }
            for one in contents
        ]
    manifest = {
        "format_version": FORMAT_VERSION,
        "version": name,
        "built_at": "2026-01-01T00:00:00+00:00",
        "model": {"name": "fake", "fingerprint": "f0", "dimension": 3, "prompts": MODEL.prompts},
        "tokenizer": tokenizer_name(),
        "rules": "r",
        "max_chars": 400,
        "counts": {"documents": 2, "cases": 2, "chunks": 3},
        "errors": [],
        "documents": documents,
        "segments": digests,
    } | changes
    folder = root / "versions" / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    switch(root, name)
    return name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def segment_of(root: Path) -> Path:
    (name,) = read_manifest(root, current_version(root) or "")["segments"]
    return root / "segments" / name


def edit_manifest(root: Path, **changes: Any) -> None:
    name = current_version(root) or ""
    path = root / "versions" / name / "manifest.json"
    path.write_bytes(manifest_bytes(json.loads(path.read_text(encoding="utf-8")) | changes))


def edit_segment(root: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Changes a segment's list of files and documents, and the digests that depend on it."""
    path = segment_of(root) / "segment.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    edit(meta)
    path.write_text(json.dumps(meta), encoding="utf-8")
    edit_manifest(root, segments={path.parent.name: StoredSegment(path.parent).digest})


def without_paths(document: Document) -> Document:
    return replace(document, paths=())


def test_every_record_comes_back(root: Path) -> None:
    index = load_current(root, MODEL)
    assert [without_paths(document) for document in index.documents.values()] == DOCUMENTS
    assert [document.paths for document in index.documents.values()] == [("事例/一 覧.txt",), ("空.md",)]
    assert list(index.cases.values()) == CASES
    assert list(index.chunks) == CHUNKS
    assert index.chunk("k2") == CHUNKS[1]
    assert index.chunk("k9") is None
    assert index.version == current_version(root)
    assert [index.documents[c.document_id].text[c.start : c.end] for c in index.chunks] == [
        c.text for c in CHUNKS
    ]


@pytest.mark.parametrize("segments", [[CONTENTS], [[CONTENTS[0]], [CONTENTS[1]]]])
def test_search_by_hand(tmp_path: Path, segments: list[list[Content]]) -> None:
    write(tmp_path, segments)
    index = load_current(tmp_path, MODEL)
    hits = index.search(Probe(np.array([0.8, 0.6, 0], np.float32), ["予算"]), 3)
    # vectors 0.8, 0.6, 0 become 1, 0.75, 0; of headings only row 2's is its own, and counts 1; rows 0 and 1 count by
    # their vectors; 予算 is in row 1 only: its one score counts 1; nothing is misspelt, no tokens
    total = DENSE + HEADING + WORDS + SPELLING
    assert [(h.chunk.id, h.score) for h in hits] == [
        ("k2", pytest.approx((DENSE * 0.75 + HEADING * 0.75 + WORDS) / total)),
        ("k1", pytest.approx((DENSE + HEADING) / total)),
        ("k3", pytest.approx(HEADING / total)),
    ]
    assert [h.dense for h in hits] == pytest.approx([0.6, 0.8, 0.0])
    assert hits[0].lexical is not None
    assert [h.lexical for h in hits[1:]] == [None, None]
    assert [h.late for h in hits] == [None, None, None]
    assert index.search(Probe(VECTORS[0], ["窓口"]), 1)[0].chunk.id == "k1"


def test_search_only_among_the_chunks_allowed(root: Path) -> None:
    index = load_current(root, MODEL)
    probe = Probe(VECTORS[0], ["窓口"])
    assert [h.chunk.id for h in index.search(probe, 3, Scope(chunks={"k2", "k9"}))] == ["k2"]
    assert index.search(probe, 3, Scope()) == []
    assert index.search(probe, 3, Scope(chunks=["k9"])) == []
    # the document of a chunk, its case, and both at once: each chunk once
    chunk = index.chunk("k2")
    assert chunk is not None
    document = Scope(documents={chunk.document_id, "none"})
    of_document = [c.id for c in index.chunks if c.document_id == chunk.document_id]
    assert sorted(h.chunk.id for h in index.search(probe, 9, document)) == sorted(of_document)
    assert [c.id for c in index.chunks_of_document(chunk.document_id)] == of_document
    assert not index.chunks_of_document("none")
    with_case = next(c for c in index.chunks if c.case_id is not None)
    case = Scope(cases={with_case.case_id}, chunks={"k2"})
    held = {c.id for c in index.chunks if c.case_id == with_case.case_id} | {"k2"}
    assert {h.chunk.id for h in index.search(probe, 9, case)} == held
    assert {c.id for c in index.chunks if case.holds(c)} == held
    assert {c.id for c in index.chunks_of_case(with_case.case_id)} == held - {"k2"} | (held & {with_case.id})


def test_texts_and_lists_are_searched_apart_and_merged(tmp_path: Path) -> None:
    write(tmp_path, [[CONTENTS[0]], [CONTENTS[1]]], (TEXT, LIST))
    index = load_current(tmp_path, MODEL)
    # of the texts row 0 is nearest and has no words; the list's only row is the best of its own in every engine
    hits = index.search(Probe(np.array([0.8, 0.6, 0], np.float32), ["予算"]), 3)
    total = DENSE + HEADING + WORDS + SPELLING
    assert {h.chunk.id: h.score for h in hits} == {
        "k2": pytest.approx(WORDS / total),
        "k1": pytest.approx((DENSE + HEADING) / total),
        "k3": pytest.approx((DENSE + HEADING) / total - LIST_COST),
    }
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert [h.chunk.id for h in index.search(Probe(VECTORS[0], []), 3, Scope(chunks=["k3", "k2"]))] == [
        "k2",
        "k3",
    ]
    assert [chunk.id for chunk in index.chunks] == ["k1", "k2", "k3"]


def test_a_list_alone_costs_nothing(tmp_path: Path) -> None:
    write(tmp_path, [CONTENTS], (LIST,))
    best = load_current(tmp_path, MODEL).search(Probe(VECTORS[0], []), 1)[0]
    assert best.score == pytest.approx((DENSE + HEADING) / (DENSE + HEADING + WORDS + SPELLING))


def test_a_document_that_no_longer_counts_is_nowhere(tmp_path: Path) -> None:
    name = write(tmp_path)
    documents = [e for e in read_manifest(tmp_path, name)["documents"] if e["id"] == "d2"]
    edit_manifest(tmp_path, documents=documents, counts={"documents": 1, "cases": 0, "chunks": 1})
    index = load_current(tmp_path, MODEL)
    assert [d.id for d in index.documents.values()] == ["d2"]
    assert (index.cases, [c.id for c in index.chunks]) == ({}, ["k3"])
    assert index.chunk("k1") is None
    assert [h.chunk.id for h in index.search(Probe(VECTORS[0], ["窓口", "予算"]), 3)] == ["k3"]
    assert [h.chunk.id for h in index.search(Probe(VECTORS[0], ["窓口"]), 3, Scope(chunks=["k1", "k3"]))] == [
        "k3"
    ]


def test_a_segment_in_memory_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_current(root, MODEL)
    name = current_version(root) or ""
    monkeypatch.setattr("index.store.Segment.load", lambda *_: pytest.fail("read again"))
    again = load_version(root, name, MODEL, first)
    assert list(again.segments.values()) == list(first.segments.values())


def test_none_built_yet(tmp_path: Path) -> None:
    assert current_version(tmp_path / "no") is None
    with pytest.raises(IndexMissingError, match=r"build_index\.py"):
        load_current(tmp_path)


FILES = [
    "documents.jsonl",
    "documents_at.npy",
    "texts.utf8",
    "chunks.jsonl",
    "chunk_keys.npy",
    "chunk_cases.npy",
    "vectors.faiss",
    "headings.faiss",
    "heading_rows.npy",
    "keys.npy",
    "sorted/fingerprints.npy",
    "lexical/whole/tokens.json",
    "lexical/grams/rows.npy",
]


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file(root: Path, file: str) -> None:
    path = segment_of(root) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(IndexUnusableError, match=f"{file} の内容が変わっています") as raised:
        load_current(root, MODEL)
    assert "--full" in str(raised.value)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file(root: Path, file: str) -> None:
    (segment_of(root) / file).unlink()
    with pytest.raises(IndexUnusableError, match=f"{file} がありません"):
        load_current(root, MODEL)


def test_a_damaged_list_of_a_segment(root: Path) -> None:
    path = segment_of(root) / "segment.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"aaaa", b"aaab", 1) if b"aaaa" in content else content + b" ")
    with pytest.raises(IndexUnusableError, match=r"segment\.json の内容が変わっています"):
        load_current(root, MODEL)
    path.write_bytes(b"{")
    with pytest.raises(IndexUnusableError, match=r"segment\.json を読めません"):
        load_current(root, MODEL)


def test_another_tokenizer(root: Path) -> None:
    edit_manifest(root, tokenizer="whitespace 1")
    with pytest.raises(IndexUnusableError, match="whitespace 1") as raised:
        load_current(root, MODEL)
    assert tokenizer_name() in str(raised.value)


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


@pytest.mark.parametrize("name", ["documents", "cases", "chunks"])
def test_counts_that_do_not_agree(root: Path, name: str) -> None:
    counts = {"documents": 2, "cases": 2, "chunks": 3}
    edit_manifest(root, counts=counts | {name: 9})
    with pytest.raises(IndexUnusableError, match=f"{name}：目録9・実際{counts[name]}"):
        load_current(root, MODEL)


def test_rows_that_do_not_agree(root: Path) -> None:
    edit_segment(root, lambda meta: meta["documents"].pop("d2"))
    with pytest.raises(IndexUnusableError, match="本文2・検索3"):
        load_current(root, MODEL)


@pytest.mark.parametrize(
    "record", ['{"document": {}}', '{"document": {"id": "d1"}, "characters": 1, "cases": []}', "[]"]
)
def test_records_of_another_shape(root: Path, record: str) -> None:
    path = segment_of(root) / "documents.jsonl"
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(record.encode().ljust(len(first)) + b"\n" + rest)  # each line where it was
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_segment(root, lambda meta: meta["files"].update({"documents.jsonl": [path.stat().st_size, digest]}))
    with pytest.raises(IndexUnusableError, match="--full"):
        load_current(root, MODEL)
