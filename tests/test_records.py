"""Records on disk: what is written comes back to the letter, one by one, and only what was asked for is held."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import CASE_BOOK, FAQ, MINUTES, FakeEncoder

from corpus.documents import Parsed, parse
from corpus.records import Case, Chunk, Document, DocumentInfo, Field
from corpus.text import squeeze
from index import store
from index.build import build
from index.records import NO_CASE, Records, chunk_key, write_records
from index.store import Index, load_current

ANY = st.text(
    st.characters(codec=None), max_size=30
)  # any code point: lone surrogates and line separators too


def made(number: int, text: str, title: str) -> Parsed:
    """A document with a case, and three chunks, of which the middle one is the case's."""
    document = Document(f"d{number}", f"{title}.txt", title, "txt", "0" * 64, text, warnings=(title,))
    case = Case(f"c{number}", document.id, 1, title, "村", 0, len(text), fields={"電話": Field(title, 0, 1)})
    chunks = [
        Chunk(
            f"{title}{number}-{n}",
            document.id,
            case.id if n == 1 else None,
            (title, "\u2028"),
            None,
            1,
            2,
            0,
            1,
            text,
        )
        for n in range(3)
    ]
    return Parsed(document, (case,), tuple(chunks))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ANY, ANY), max_size=4))
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("records")
    parsed = [made(number, text, title) for number, (text, title) in enumerate(texts)]
    write_records(folder, parsed)
    records = Records.load(folder)
    assert len(records) == 3 * len(parsed)
    for number, one in enumerate(parsed):
        assert records.document(number) == one.document
        assert records.parsed(number, range(3 * number, 3 * number + 3)) == one
        info, cases = records.listed(number)
        assert cases == one.cases
        assert (info.characters, info.headings) == (len(one.document.text), 0)
        for field in fields(DocumentInfo):
            if field.name not in {"characters", "headings"}:
                assert getattr(info, field.name) == getattr(one.document, field.name)
    chunks = [chunk for one in parsed for chunk in one.chunks]
    assert [records.chunk(row) for row in range(len(chunks))] == chunks
    assert records.keys.tolist() == [chunk_key(chunk.id) for chunk in chunks]
    assert records.case_numbers.tolist() == [
        n for number in range(len(parsed)) for n in (NO_CASE, number, NO_CASE)
    ]


def test_files_that_do_not_agree(tmp_path: Path) -> None:
    write_records(tmp_path, [made(0, "本文", "題")])
    Records.load(tmp_path)
    np.save(tmp_path / "chunk_keys.npy", np.zeros(2, np.uint64))
    with pytest.raises(ValueError, match="different number"):
        Records.load(tmp_path)
    with (tmp_path / "texts.utf8").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"texts\.utf8: 7 bytes, 6 expected"):
        Records.load(tmp_path)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    documents = tmp_path / "documents"
    documents.mkdir()
    for name, text in (("事例集.txt", CASE_BOOK), ("議事録.txt", MINUTES), ("faq.md", FAQ)):
        (documents / name).write_text(text, encoding="utf-8")
    build(documents, tmp_path / "index", FakeEncoder())
    return load_current(tmp_path / "index")


def test_lookups_are_as_going_through_everything(index: Index) -> None:
    chunks = index.chunks
    assert len(chunks) == sum(index.chunk_counts.values()) > 10
    for chunk in chunks:
        assert index.chunk(chunk.id) == chunk
    assert index.chunk("no such id") is None
    for document_id in index.documents:
        own = sorted((c for c in chunks if c.document_id == document_id), key=lambda c: c.start)
        assert list(index.chunks_of_document(document_id)) == own
        assert index.chunks_of_document(document_id) is index.chunks_of_document(document_id)
        assert index.chunk_counts[document_id] == len(own)
    assert index.cases
    for case_id in index.cases:
        own = sorted((c for c in chunks if c.case_id == case_id), key=lambda c: c.start)
        assert own
        assert list(index.chunks_of_case(case_id)) == own
    assert list(index.chunks_of_case("none")) == list(index.chunks_of_document("none")) == []


def test_texts_are_read_when_asked_for_and_not_all_held(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    monkeypatch.setattr(
        Records,
        "document",
        lambda self, number, own=Records.document: read.append(number) or own(self, number),
    )
    assert [info.path for info in index.listing.values()] == ["faq.md", "事例集.txt", "議事録.txt"]
    assert list(index.documents) == list(index.listing)
    assert "none" not in index.documents
    assert index.documents.get("none") is None
    assert read == []
    first, second, third = index.documents
    assert index.documents[first] is index.documents[first]
    assert len(read) == 1
    # two at most fit: the one that was asked for longest ago goes
    sizes = [index.listing[name].characters for name in (first, second, third)]
    monkeypatch.setattr(store, "KEPT_LETTERS", sum(sizes) - 1)
    kept = index.documents[second]
    assert index.documents[third].text
    assert len(read) == 3
    assert index.documents[second] is kept
    assert len(read) == 3
    assert index.documents[first].text
    assert len(read) == 4


def test_a_document_says_the_paths_it_has_now(tmp_path: Path, index: Index) -> None:
    documents = tmp_path / "documents"
    (documents / "写し.md").write_text(FAQ, encoding="utf-8")
    build(documents, tmp_path / "index", FakeEncoder())
    now = load_current(tmp_path / "index")
    info = next(info for info in now.listing.values() if "faq.md" in info.paths)
    document = now.documents[info.id]
    assert document.paths == info.paths == ("faq.md", "写し.md")
    assert document.warnings == info.warnings
    assert replace(document, paths=(), warnings=()) == replace(
        index.documents[info.id], paths=(), warnings=()
    )


def test_every_passage_of_samples_is_a_slice_of_its_text(index: Index) -> None:
    for chunk in index.chunks:
        assert index.documents[chunk.document_id].text[chunk.start : chunk.end] == chunk.text
    parsed = parse("faq.md", FAQ.encode())
    assert [c.text for c in index.chunks_of_document(parsed.document.id)] == [c.text for c in parsed.chunks]


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY, max_size=5), ANY, st.integers(1, 40))
def test_who_says_words(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], words: str, block: int
) -> None:
    """As going through all texts without spaces, from the file and from an index that has no such file."""
    folder = tmp_path_factory.mktemp("records")
    texts = [*texts, *(text + words for text in texts)]
    write_records(folder, [made(number, text, str(number)) for number, text in enumerate(texts)])
    words = squeeze(words)
    expected = [number for number, text in enumerate(texts) if words in squeeze(text)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("index.records.BLOCK", block)
        for _ in range(2):
            records = Records.load(folder)
            assert records.saying(words) == expected
            assert [number for number in range(len(texts)) if records.says(number, words)] == expected
            (folder / "squeezed.utf8").unlink(missing_ok=True)


def test_an_index_says_which_documents_count(tmp_path: Path, index: Index) -> None:
    said = index.documents_saying(squeeze("小石原村"))
    everywhere = [d.id for d in index.documents.values() if "小石原村" in squeeze(d.text)]
    assert said == everywhere
    assert 0 < len(said) < len(index.documents)
    assert all(index.document_says(name, "小石原村") == (name in said) for name in index.documents)
    assert not index.document_says("none", "小石原村")
    (tmp_path / "documents" / index.documents[said[0]].path).unlink()
    build(tmp_path / "documents", tmp_path / "index", FakeEncoder())
    assert said[0] not in load_current(tmp_path / "index").documents_saying("小石原村")
