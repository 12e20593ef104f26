"""Forms for matching: what is equal becomes equal, what says nothing goes, and nothing breaks on odd input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.text import letters, normalize, searchable, sentence_spans, squeeze


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ＣＤＯ　ｶﾞｲﾄﾞ", "CDO ガイド"),
        ("  人口\t９．６万人\n（現在）  ", "人口 9.6万人 (現在)"),
        ("㈱①", "(株)1"),
        ("", ""),
    ],
)
def test_normalize_folds_width_and_white_space(text, expected):
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("知事（ＣＸＯ） のもと", "知事(CXO)のもと"),
        ("**今後の展望**", "今後の 展望"),
        ("| DX | 推進 |", "ＤＸ推進"),
        ("## Point", "ｐｏｉｎｔ"),
    ],
)
def test_squeeze_makes_two_spellings_one(one, other):
    assert squeeze(one) == squeeze(other)


def test_squeeze_keeps_different_words_apart():
    assert squeeze("年額800万円") != squeeze("年額300万円")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**太字**と__下線__", "太字と下線"),
        ("[要綱](https://example.jp/a(1).pdf)を見る", "要綱を見る"),
        ("![図](x.png)", "図"),
        ("一行目<br>二行目", "一行目 二行目"),
        ("| 区分 | 金額 |\n|------|:---:|\n| 研修 | 31,415千円 |", "区分 金額\n研修 31,415千円"),
        ("| 初期 | － 円 | 5千円 |", "初期 5千円"),
        ("| (内訳) | 役務費 |", "役務費"),
        (r"\text{費用} \quad \mathrm{DX}", "費用 DX"),
        ("項目\t値\n\n\n次", "項目 値\n次"),
        ("前\x00後", "前 後"),
        ("前\ud800後", "前 後"),
    ],
)
def test_searchable_keeps_the_words_only(text, expected):
    assert searchable(text) == expected


@pytest.mark.parametrize("text", ["3 < 5 かつ 7 > 2", "a -- b", "－5度", "価格は－円ではない"])
def test_searchable_leaves_words_that_only_look_like_markup(text):
    assert letters(searchable(text)) == letters(text)


@given(st.text(alphabet=st.characters(codec=None)))
def test_searchable_can_always_be_encoded_and_has_no_blank_lines(text):
    found = searchable(text)
    found.encode("utf-8")
    assert all(line.strip() for line in found.split("\n")) or found == ""


@given(st.text())
def test_normalize_twice_is_normalize_once(text):
    assert normalize(normalize(text)) == normalize(text)


def test_letters_counts_what_is_not_a_mark_or_a_space():
    assert letters("→ 効果、A1！ ①") == 5


def test_a_question_mark_for_a_lost_wave_ends_no_sentence() -> None:
    text = "時間は9時?17時?18時。受付は?はい"
    assert [text[s:e] for s, e in sentence_spans(text)] == ["時間は9時?17時?18時。", "受付は?", "はい"]
