"""Places: lines counted by hand, pages of the made-up case book, and a slow judge."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import CASE_BOOK
from test_server import Service

from index.store import Index, load_current
from qa.places import Places, line_words, places


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return load_current(Service(tmp_path_factory.mktemp("places")).root)


def book(index: Index) -> str:
    return next(d.id for d in index.documents.values() if d.path == "事例集.txt")


def test_a_place_in_a_case_has_its_printed_page_and_lines(index: Index) -> None:
    start = CASE_BOOK.index("0000-11-2222")
    place = places(index).of(book(index), start, start + 12)
    line = CASE_BOOK[:start].count("\n") + 1
    assert (place.line_start, place.line_end, place.words) == (line, line, f"p.4・{line}行目")
    assert place.url == f"/documents/{book(index)}?start={start}&end={start + 12}"


def test_the_contents_are_found_by_their_lines(index: Index) -> None:
    start = CASE_BOOK.index("① 待たせない窓口")
    assert places(index).of(book(index), start, start + 8).words == "18行目"
    assert CASE_BOOK.splitlines()[17] == "① 待たせない窓口"


@settings(deadline=None)
@given(st.integers(0, len(CASE_BOOK) - 1), st.integers(1, 300))
def test_lines_are_those_that_a_reader_counts(index: Index, start: int, length: int) -> None:
    end = min(start + length, len(CASE_BOOK))
    place = places(index).of(book(index), start, end)
    lines = CASE_BOOK.split("\n")
    assert "\n".join(lines[place.line_start - 1 : place.line_end]).count(CASE_BOOK[start:end].rstrip("\n"))
    assert place.line_end == CASE_BOOK[: end - 1].count("\n") + 1
    chunk = next((c for c in index.chunks if c.document_id == book(index) and c.start <= start < c.end), None)
    page = "" if chunk is None or chunk.page is None else f"p.{chunk.page}・"
    assert place.words == page + line_words(place.line_start, place.line_end)


def test_they_are_made_once_an_index(index: Index) -> None:
    first, second = places(index), places(index)
    assert isinstance(first, Places)
    first.of(next(iter(index.documents)), 0, 1)
    assert second._lines is first._lines  # the lines of a document are counted once
    assert len(second._lines) >= 1


def test_a_row_of_a_sheet_is_named_by_its_number(tmp_path: Path) -> None:
    service = Service(tmp_path, built=False)
    (service.documents / "質問.csv").write_text(
        "質問,回答\n手数料はいくらですか,無料です。窓口でも同じです。\n受付はいつですか,平日の9時から17時までです。\n休みはありますか,年末年始は休みます。\n",
        encoding="utf-8",
    )
    from index.build import build

    build(service.documents, service.root, service.encoder)
    own = load_current(service.root)
    document = next(d for d in own.documents.values() if d.path == "質問.csv")
    start = document.text.index("平日の9時")
    assert places(own).of(document.id, start, start + 5).words == "表の3行目"
