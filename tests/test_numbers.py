"""Numbers as people write them: by hand, and a writer of its own as judge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.numbers import LONGEST, whole_number
from corpus.readers.numerals import numeral


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("30000", 30_000),
        ("３００００", 30_000),
        ("30,000人", 30_000),
        ("３万", 30_000),
        ("3.2万人", 32_000),
        ("三万五千", 35_000),
        ("三万五千四百二十一", 35_421),
        ("3万5千", 35_000),
        ("3万5000", 35_000),
        ("3万500", 30_500),
        ("人口約3万人くらい", 30_000),
        ("1億2千万", 120_000_000),
        ("三〇〇〇", 3_000),
        ("二十五", 25),
        ("百五", 105),
        ("千二百", 1_200),
        ("0", 0),
    ],
)
def test_numbers(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "人", "約", "多い", "-5", "1.5", "1万2万", "三百千", "万", "3万5", "三万五", "3千5", "3百5", "5人と3人", "3 万 人 市"),
        *("3..2万", "１万円", "٣", "1e5", "0x10", "9" * 31),
    ],
)  # fmt: skip
def test_what_is_no_number_or_could_be_two(text: str) -> None:
    assert whole_number(text) is None


@given(st.integers(0, 29_999))
def test_kanji_that_lists_are_numbered_with(number: int) -> None:
    written = numeral(number, "japaneseCounting") if number else "〇"
    assert whole_number(written) in {number, None}
    # 「一万五」 may be meant as 15,000
    assert whole_number(written) == number or (number > 10_000 and number % 10_000 < 10)


@given(st.integers(0, 10**9))
def test_digits_with_and_without_commas(number: int) -> None:
    assert whole_number(str(number)) == whole_number(f"{number:,}") == number


@given(st.integers(1, 9_999), st.integers(0, 9))
def test_ten_thousands_with_a_fraction(ten_thousands: int, tenth: int) -> None:
    assert whole_number(f"{ten_thousands}.{tenth}万人") == ten_thousands * 10_000 + tenth * 1_000


@given(st.text(alphabet="0123456789.,０３万千百十億一二三人口約 　-", max_size=LONGEST + 5))
def test_anything_is_a_number_or_none(text: str) -> None:
    found = whole_number(text)
    assert found is None or found >= 0
