"""Words found in a text: worked by hand, and against a judge that tries every span."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.finding import MAX_FOUND, find


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("窓口の事例と窓口の改革", "窓口", ["窓口", "窓口"]),
        ("ＤＸ推進課とdx推進課", "DX推進", ["ＤＸ推進", "dx推進"]),
        ("デジタル化、ﾃﾞｼﾞﾀﾙ化", "デジタル", ["デジタル", "ﾃﾞｼﾞﾀﾙ"]),
        ("か\u3099っこう", "がっこう", ["か\u3099っこう"]),
        ("オンライン申\n請と 申 請", "申請", ["申\n請", "申 請"]),
        ("**全庁的な体制**として", "体制として", ["体制**として"]),
        ("5*3は15", "5*3", ["5*3"]),
        ("電話 ０１２３‐４５−６７", "0123-45-67", ["０１２３‐４５−６７"]),
        ("㍿みどり", "会社", ["㍿"]),
        ("㍿㍿", "株式会社", ["㍿", "㍿"]),
        ("㍻㍻", "平", ["㍻", "㍻"]),
        ("幅5㎜", "m", ["㎜"]),
        ("9:00〜17:00", "9:00～17:00", ["9:00〜17:00"]),
        ("窓\u200b口\u00ad案内", "窓口案内", ["窓\u200b口\u00ad案内"]),
        ("Straße", "STRASSE", ["Straße"]),
        ("ああああ", "ああ", ["ああ", "ああ"]),
        ("本文", "ない言葉", []),
        ("本文", "　 ", []),
        ("", "本文", []),
    ],
)
def test_what_is_found(text: str, words: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in find(text, words).spans] == found


def test_numbers_of_matches() -> None:
    found = find("a窓b窓c窓", "窓")
    assert [found.at(number) for number in (0, 1, 3, 4)] == [None, (1, 2), (5, 6), None]
    assert [found.number_from(offset) for offset in (0, 1, 2, 5, 6)] == [1, 1, 2, 3, 1]
    assert find("a", "窓").number_from(0) == 0


def test_very_many_matches_are_cut_off() -> None:
    found = find("あ" * (MAX_FOUND + 5), "あ")
    assert (len(found.spans), found.more) == (MAX_FOUND, True)
    assert not find("あ" * MAX_FOUND, "あ").more


def simple(text: str) -> str:
    made = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(sign for sign in made if not sign.isspace())


def judge(text: str, words: str) -> list[tuple[int, int]]:
    """The first shortest span that folds to the words, and so on behind it; every span is tried."""
    wanted, spans, at = simple(words), [], 0
    while wanted and at < len(text):
        ends = [end for end in range(at + 1, len(text) + 1) if simple(text[at:end]) == wanted]
        joined = [
            end
            for end in ends
            if end == len(text) or simple(text[at : end + 1]) == wanted + simple(text[end])
        ]  # a voicing mark is part of its letter
        if joined and simple(text[at]):
            spans.append((at, joined[0]))
            at = joined[0]
        else:
            at += 1
    return spans


# without letters that fold to several, into which a match may begin
UNITS = st.sampled_from(["あ", "カ", "ｶ", "ｶﾞ", "ガ", "か", "か\u3099", "が", *"aAＡａ1１ 　\n申-－"])


@settings(max_examples=400, deadline=None)
@given(st.lists(UNITS, max_size=14).map("".join), st.lists(UNITS, min_size=1, max_size=3).map("".join))
def test_against_a_judge_that_tries_every_span(text: str, words: str) -> None:
    assert list(find(text, words).spans) == judge(text, words)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.integers(0, 39), st.integers(1, 8))
def test_a_piece_of_any_text_is_found_in_it(text: str, start: int, size: int) -> None:
    piece = text[start : start + size]
    found = find(text, piece)
    ends = [0, *(end for _, end in found.spans)]
    assert all(before <= begin < end for before, (begin, end) in zip(ends, found.spans, strict=False))
    assert ends[-1] <= len(text)
    if piece.isalnum() and all(unicodedata.combining(sign) == 0 for sign in text) and text.isascii():
        assert found.spans
