"""A citation is a slice of its document, with everything to find it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import FakeEncoder
from made import CASE_BOOK, MINUTES

from corpus.records import Chunk
from index.build import build
from index.store import Hit, Index, load_current
from qa.cite import Citation, Highlight, Scores, cite, passage_url, place_of


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("cite")
    (folder / "documents").mkdir()
    (folder / "documents" / "1_事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
    (folder / "documents" / "2_議事録.txt").write_text(MINUTES, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    return load_current(folder / "index")


def everything(index: Index) -> list[Hit]:
    return [Hit(chunk, 0.5, None, None) for chunk in index.chunks]


def cited(index: Index, words: str) -> Citation:
    return next(c for c in cite(index, everything(index)) if words in c.text)


def test_every_citation_is_its_documents_slice(index: Index) -> None:
    citations = cite(index, everything(index))
    assert len(citations) == len(index.chunks)
    for citation, chunk in zip(citations, index.chunks, strict=True):
        text = index.documents[citation.document_id].text
        assert citation.text == text[citation.char_start : citation.char_end] == chunk.text
        assert text.count("\n", 0, citation.char_start) + 1 == citation.line_start
        assert text.count("\n", 0, citation.char_end) + 1 == citation.line_end


def test_the_words_come_from_the_document_and_not_from_the_chunk(index: Index) -> None:
    chunk = replace(index.chunks[0], text="資料にない言葉")
    (citation,) = cite(index, [Hit(chunk, 0.5, None, None)])
    assert citation.text == index.chunks[0].text


def test_a_citation_says_where_it_stands(index: Index) -> None:
    citation = cited(index, "年に24回")
    start = CASE_BOOK.rindex("2 車で回る窓口【つくし県小石原村】")
    assert citation.char_start == start
    assert (citation.page, citation.path, citation.document_title) == (5, "1_事例集.txt", "窓口の事例集")
    assert citation.line_start == CASE_BOOK.count("\n", 0, start) + 1
    assert citation.url == f"/documents/{citation.document_id}?start={start}&end={citation.char_end}"
    assert citation.heading_path[-1] == "事業の概要"
    assert citation.case is not None
    assert (citation.case.number, citation.case.organization, citation.case.organization_kind) == (
        2,
        "つくし県小石原村",
        "村",
    )
    assert (citation.case.population, citation.case.population_as_of) == (4_210, "令和7年1月1日")


def test_outside_a_case_the_case_and_the_page_are_null(index: Index) -> None:
    citation = cited(index, "月額8千円")
    assert (citation.case, citation.page) == (None, None)


def test_numbers_and_scores(index: Index) -> None:
    chunks = index.chunks
    hits = [Hit(chunks[0], 1.0812345, 0.87654321, 11.23456789), Hit(chunks[1], 0.31415926, None, 2.0)]
    first, second = cite(index, hits)
    assert (first.id, first.rank, second.id, second.rank) == (1, 1, 2, 2)
    assert (first.score, second.score) == (
        1.0,
        0.3142,
    )  # what is known beside the words may lift the sum over 1
    assert first.scores == Scores(0.8765, 11.2346)
    assert second.scores == Scores(None, 2.0)


def test_highlights_are_those_of_the_chunk_in_order(index: Index) -> None:
    one, two = index.chunks[1], index.chunks[2]
    spans = [
        (one.id, one.start + 9, one.start + 12),
        (two.id, two.start, two.end),
        (one.id, one.start, one.start + 3),
    ]
    first, second = cite(index, [Hit(one, 1, None, None), Hit(two, 1, None, None)], spans)
    assert first.highlights == (Highlight(one.start, one.start + 3), Highlight(one.start + 9, one.start + 12))
    assert second.highlights == (Highlight(two.start, two.end),)
    assert cite(index, [Hit(two, 1, None, None)])[0].highlights == ()


def test_no_hits_no_citations(index: Index) -> None:
    assert cite(index, []) == ()


def test_the_address_of_a_passage() -> None:
    assert passage_url("ab12", 3, 9) == "/documents/ab12?start=3&end=9"


@pytest.mark.parametrize(
    ("kind", "page", "label", "row", "words"),
    [
        ("txt", 27, "", None, "p.27"),
        ("txt", None, "", None, ""),
        ("pdf", 12, "iii", None, "12ページ（紙面の表示 iii）"),
        ("pdf", 12, "", None, "12ページ"),
        ("docx", None, "", None, ""),
        ("pptx", 3, "", None, "スライド3"),
        ("xlsx", 2, "一覧", 12, "シート「一覧」の12行目"),
        ("xlsx", 2, "", None, "シート2"),
        ("csv", None, "", 12, "表の12行目"),
    ],
)
def test_a_place_in_the_words_of_who_looks_for_it(
    kind: str, page: int | None, label: str, row: int | None, words: str
) -> None:
    chunk = Chunk("k", "d", None, (), page, 1, 1, 0, 1, "あ", page_label=label, row=row)
    assert place_of(kind, chunk) == words


def test_the_rows_of_a_part_of_a_table() -> None:
    chunk = Chunk("k", "d", None, (), None, 1, 1, 0, 1, "あ", rows=(1, 5))
    assert place_of("csv", chunk) == "表の1〜5行目"
    assert place_of("xlsx", replace(chunk, page=2, rows=(7, 7))) == "シート2の7行目"
