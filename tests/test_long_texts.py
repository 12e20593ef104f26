"""Texts of one piece again and again: the time grows with the length and not with its square, and no chunk is endless."""

from __future__ import annotations

import pytest
from test_reader_fuzz import TooSlowError, in_time

from corpus.chunks import LONGEST_UNIT, MOST_WASTE
from corpus.documents import Parsed, parse
from corpus.readers import ReadError

SECONDS = 8
"""Processor time for one of these files: the slowest takes two seconds."""


def parsed(name: str, text: str) -> Parsed:
    try:
        with in_time(SECONDS):
            return parse(name, text.encode())
    except TooSlowError:
        pytest.fail(f"more than {SECONDS} s for {len(text):,} characters")


PIECES = {
    "http://a?": 300_000,  # an address bar's beginning, on one line
    "https://a.jp/ ": 60_000,
    "● 未 ": 60_000,  # widgets that no line ends with
    "？": 60_000,
    "【あ】\n": 30_000,  # headings, each with nothing under it but the next
    "# あ\n\n## い\n\n": 60_000,
    "1. 項目\n": 60_000,
    "目次\n\nあ…… 1\nい…… 2\n\n": 60_000,
    "１　日時　7月8日\n\n": 30_000,
    "あ。": 30_000,
    "あ": 60_000,
    "| ": 60_000,
    "-": 60_000,
    "\\text{": 60_000,
    "[](": 60_000,
    "人口": 60_000,
    "a@": 60_000,
    "\n\n\n\nあい": 60_000,
}


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_a_piece_again_and_again_is_read_at_once_and_in_bounded_chunks(piece: str) -> None:
    text = piece * (PIECES[piece] // len(piece)) + "終わり x"
    found = parsed("a.md", text)
    for chunk in found.chunks:
        assert found.document.text[chunk.start : chunk.end] == chunk.text
        assert len(chunk.text) <= MOST_WASTE + LONGEST_UNIT


def test_lines_that_page_breaks_cut_are_not_read_again_and_again() -> None:
    # each paragraph goes on with the one before it
    found = parsed(
        "a.txt", ("住民が窓口で書く用紙をなくし職員が聞き取って手続を進めるようにした町と村と\n\n") * 8_000
    )
    assert all(len(chunk.text) <= MOST_WASTE + LONGEST_UNIT for chunk in found.chunks)


def test_a_book_of_more_cases_than_any_is_a_text() -> None:
    text = "".join(f"{at} 窓口を改める【霧ヶ沢{at}村】\n\n早くしました。\n\n" for at in range(1, 12_000))
    assert not parsed("a.txt", text).cases
    assert len(parsed("a.txt", text[: text.index("101 窓口")]).cases) == 100


@pytest.mark.parametrize("opening", ["資料", "---\ntitle: a"])
def test_spaces_in_the_first_line_are_seen_through(opening: str) -> None:
    parsed("a.md", f"{opening}{' ' * 100_000}b\n---\n\n窓口は九時に開き五時に閉まります。\n")


def test_a_name_that_is_nearly_a_class_of_bodies_is_seen_through() -> None:
    # 「全国」 is one word or two: forty of them could be read in 2 to the power of 40 ways
    parsed("a.txt", f"1 窓口を開く【{'全国' * 40}x】\n\n本文です。\n")


@pytest.mark.parametrize(
    "text",
    [
        f'件名,本文\n"{"@." * 50_000} ",窓口は九時に開き五時に閉まります。\n'
        * 2,  # nearly an address of mail
        f"{'9' * 5_000},{'9' * 5_000}\n1,2\n3,4\n",  # a number of more digits than Python reads
    ],
    ids=["mail", "digits"],
)
def test_endless_cells_are_read(text: str) -> None:
    assert parsed("a.csv", text).chunks


@pytest.mark.parametrize(
    "text",
    [
        "," * 16_000 + "x\n" + "a\n" * 190_000,  # one value far to the right
        ",".join(f"n{place}" for place in range(16_000)) + "\n" + "a\n" * 150_000,
    ],
    ids=["stray", "named"],
)
def test_a_table_of_more_places_than_can_be_looked_through_is_refused(text: str) -> None:
    with pytest.raises(
        ReadError, match=r"表が大きすぎます（1行目からの表は1\d0,001行、16,00[01]列）.*ください。"
    ):
        parsed("a.csv", text)


def test_a_wide_table_of_few_rows_is_read() -> None:
    text = (
        ",".join(f"n{place}" for place in range(16_000))
        + "\n"
        + "九時に開きます,五時に閉まります,木曜だけ\n" * 100
    )
    assert "| 九時に開きます | 五時に閉まります | 木曜だけ |" in parsed("a.csv", text).chunks[-1].text
