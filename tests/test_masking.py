"""What may be somebody's is masked, told by its form; what is not stays to the letter."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.masking import MAIL, NUMBER, PHONE, cleaned, folded, masked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("090-1234-5678に電話", f"{PHONE}に電話"),
        ("03（1234）5678", PHONE),
        ("03(1234)5678の件", f"{PHONE}の件"),
        ("０９０－１２３４－５６７８", PHONE),
        ("０２３４ー２６ー５７０１", PHONE),
        ("電話09012345678です", f"電話{PHONE}です"),
        ("+81 90 1234 5678", PHONE),
        ("＋81-3-1234-5678", PHONE),
        ("090 1234 5678", PHONE),
        ("内線は26-5701", f"内線は{PHONE}"),
        ("5253-1111まで", f"{PHONE}まで"),
        ("taro.yamada+1@city.example.lg.jpへ", f"{MAIL}へ"),
        ("ｔａｒｏ＠ｅｘａｍｐｌｅ．ｊｐ", MAIL),
        ("taro@localhost", MAIL),
        ("123456789012", NUMBER),
        ("1234 5678 9012", NUMBER),
        ("1234-5678-9012-3456", NUMBER),
        ("１２３４　５６７８　９０１２", NUMBER),
        ("口座1234567の", f"口座{NUMBER}の"),
        ("19800101生まれ", f"{NUMBER}生まれ"),
        (
            "私は090-1234-5678、a@b.jp、123456789012です",
            f"私は{PHONE}、{MAIL}、{NUMBER}です",
        ),
    ],
)
def test_what_is_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "人口1234567人の市は？",
        "予算は12345678円ですか",
        "￥12345678の内訳",
        "1,234,567,890円",
        "30,000千円",
        "2024-2026年度の計画",
        "2023 2024 2025 年度",
        "2026-11-21 09:30の会議",
        "令和5年4月1日",
        "事例番号 062049",
        "人口5万人未満",
        "第3-2号",
        "5-10歳",
        "0.123456789",
        "@city の窓口",
        "3.141592653589793",
        "",
    ],
)
def test_what_stays(text: str) -> None:
    assert masked(text) == text


@given(st.text(max_size=200))
def test_masking_twice_is_masking_once_and_leaves_no_long_number(text: str) -> None:
    once = masked(text)
    assert masked(once) == once
    plain = unicodedata.normalize("NFKC", once)
    assert not re.search(r"[A-Za-z0-9]@[A-Za-z0-9]", once)
    assert not re.search(r"(?<![0-9])0[0-9]{9,10}(?![0-9])", once), plain


@given(st.from_regex(r"\A0[0-9]{1,3}-[0-9]{2,4}-[0-9]{4}\Z"), st.text(alphabet="窓口の。 あ", max_size=9))
def test_every_telephone_number_goes(number: str, words: str) -> None:
    if 9 <= len(number.replace("-", "")) <= 11:  # 12 are an individual number
        assert masked(words + number + words) == words + PHONE + words


@given(st.text(max_size=300))
def test_cleaning_takes_what_nobody_sees_and_nothing_else(text: str) -> None:
    clean = cleaned(text)
    assert cleaned(clean) == clean
    clean.encode("utf-8")  # no half characters
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in clean)
    kept = [c for c in clean if not c.isspace()]
    rest = iter(c for c in text if not c.isspace())
    assert all(any(c == other for other in rest) for c in kept)  # in their order, none added


def test_cleaning() -> None:
    assert cleaned(" a\r\nb\rc\x00\x1b[31m\u202e逆\u2066\ud800\ufffe\t終 \n") == "a\nb\nc[31m逆\t終"
    assert cleaned("👨‍👩‍👧 か\u3099") == "👨‍👩‍👧 か\u3099"  # joined and composed characters stay as typed


def test_folding() -> None:
    assert folded("ＣＤＯ とは？") == folded("cdoとは。") == "cdoとは"
    assert folded("？？") == "??"
    assert folded("窓口\n費用") == "窓口費用"


def test_hostile_lengths_take_no_time() -> None:
    started = time.process_time()
    for unit in ("0", "0-", "a", "a.", "@", "1-", "1234-", "０（", "+1", "9 "):
        masked(unit * (20_000 // len(unit)))
    assert time.process_time() - started < 5
