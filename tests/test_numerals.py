"""Numerals of lists, against values worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.readers.numerals import numeral


@pytest.mark.parametrize(
    ("system", "printed"),
    [
        ("decimal", {1: "1", 12: "12"}),
        ("decimalZero", {1: "01", 12: "12"}),
        ("decimalFullWidth", {10: "１０"}),
        ("decimalEnclosedCircle", {1: "①", 20: "⑳", 21: "21"}),
        ("decimalEnclosedParen", {3: "⑶"}),
        ("aiueoFullWidth", {1: "ア", 6: "カ", 46: "ン", 47: "47"}),
        ("aiueo", {1: "ｱ", 6: "ｶ", 46: "ﾝ"}),
        ("irohaFullWidth", {1: "イ", 3: "ハ", 48: "ン"}),
        (
            "japaneseCounting",
            {1: "一", 10: "十", 11: "十一", 20: "二十", 110: "百十", 1002: "千二", 10000: "一万"},
        ),
        ("japaneseLegal", {1: "壱", 10: "壱拾", 23: "弐拾参"}),
        ("ideographDigital", {10: "一〇", 203: "二〇三"}),
        ("ideographTraditional", {1: "甲", 10: "癸", 11: "11"}),
        ("upperRoman", {4: "IV", 9: "IX", 14: "XIV", 40: "XL", 1994: "MCMXCIV"}),
        ("lowerRoman", {3: "iii"}),
        ("upperLetter", {1: "A", 26: "Z", 27: "AA", 28: "BB"}),
        ("lowerLetter", {2: "b"}),
        ("unknown", {7: "7"}),
    ],
)
def test_numerals(system, printed):
    assert {number: numeral(number, system) for number in printed} == printed


@given(
    st.integers(-(10**9), 10**9),
    st.sampled_from(["aiueo", "lowerRoman", "japaneseCounting", "upperLetter", "x"]),
)
def test_any_number_is_printed_shortly(number, system):
    assert 0 < len(numeral(number, system)) <= 45


@given(st.integers(1, 3999))
def test_roman_numbers_come_back(number):
    values = dict(zip("IVXLCDM", (1, 5, 10, 50, 100, 500, 1000), strict=True))
    digits = [values[sign] for sign in numeral(number, "upperRoman")]
    pairs = zip(digits, [*digits[1:], 0], strict=True)
    assert sum(-one if one < other else one for one, other in pairs) == number
