"""The tokenizer: which words of a text are searched, and in which form."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tokenizer import STOP, grams, in_digits, tokenize, tokenizer_name


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("DXを進めた", ["dx", "進める"]),  # no lemma for DX: it stands for itself
        ("ＤＸを進める", ["dx", "進める"]),
        ("システムの更新をする", ["システム", "更新"]),  # not 「システム-system」; する says nothing
        ("ガイドブック ｶﾞｲﾄﾞﾌﾞｯｸ", ["ガイドブック", "ガイドブック"]),
        ("令和5年10月", ["令和", "5", "年", "5年", "10", "月", "10月"]),  # a number, and with its counter
        ("第5条第6項", ["第", "5", "条", "5条", "第", "6", "項", "6項"]),
        (
            "約1,250万円、16.2万人",
            ["約", "1250", "万", "円", "12500000円", "16", "2", "万", "人", "162000人"],
        ),
        ("三つの課", ["三", "つ", "3つ", "課"]),
        ("3 割", ["3", "割"]),  # what stands apart is no counter
        ("電話番号は何ですか", ["電話", "番号"]),
        ("Wi-Fi", ["wi", "fi"]),
        ("電話\0番号", ["電話", "番号"]),
        ("、。！", []),
        ("あああああああああ。", []),
        (" \n\u3000", []),
        ("", []),
    ],
)
def test_words(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


def test_what_is_asked_has_the_form_of_what_is_written() -> None:
    written, asked = tokenize("窓口の改革を進めました。"), tokenize("窓口改革は進んでいますか")
    assert {"窓口", "改革"} <= set(written) & set(asked)


def test_words_of_every_sentence_are_left_out() -> None:
    assert tokenize("それを教えてください。どのような事ができるのですか。") == []
    assert not STOP & set(tokenize("この物は、ある場所でできる事のために、こういう様になっている。"))


def test_the_name_holds_what_must_agree() -> None:
    assert tokenizer_name().startswith("fugashi 1 + unidic-lite 1.")
    assert tokenizer_name() == tokenizer_name()


def test_threads_have_their_own_tagger() -> None:
    texts = [f"{number}番の窓口で住民票の写しを受け取りました。" * 5 for number in range(200)]
    alone = [tokenize(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tokenize, texts)) == alone


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_gives_words_in_lower_case(text: str) -> None:
    for token in tokenize(text):
        assert token
        assert token == token.lower()
        assert token not in STOP


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("書類", ["書類", "ショル", "ョルイ"]),
        ("しょるい", ["ショル", "ョルイ"]),  # only hiragana: the reading alone
        ("書 類の", ["書類", "類の", "ショル", "ョルイ"]),  # particles are not read
        ("ＤＸ", ["dx", "dx"]),
        ("課", ["カ"]),
        ("、。", []),
        ("", []),
    ],
)
def test_grams_by_hand(text: str, pieces: list[str]) -> None:
    assert grams(text) == pieces


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("しょるいのほかん", "書類の保管"),
        ("ﾃﾞｼﾞﾀﾙ化", "デジタル化"),
        ("総合まどぐち", "総合窓口"),
        ("補助金の申誠", "補助金の申請"),
    ],
)
def test_misspelt_words_share_pieces(wrong: str, right: str) -> None:
    shared = set(grams(wrong)) & set(grams(right))
    assert len(shared) >= len(set(grams(right))) / 4
    assert shared - set(grams("天気予報"))


@pytest.mark.parametrize(
    "amount", ["3千万円", "３．０千万円", "30,000千円", "30,000,000円", "三千万円", "3,000万円", "0.3億円"]
)
def test_an_amount_is_one_token_in_any_unit(amount: str) -> None:
    assert "30000000円" in tokenize(f"事業費は{amount}です。")


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 10**13 - 1))
def test_numbers_are_read_as_they_are_written(number: int) -> None:
    """Against a writer of numbers made for this test."""

    def below_myriad(part: int) -> str:
        written = ""
        for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
            digit = part // unit % 10
            written += (
                "" if not digit else name if digit == 1 and name else "〇一二三四五六七八九"[digit] + name
            )
        return written

    kanji = mixed = ""
    for unit, name in ((10**12, "兆"), (10**8, "億"), (10**4, "万"), (1, "")):
        part = number // unit % 10**4
        if part:
            kanji += below_myriad(part) + name
            mixed += f"{part}{name}"
    assert in_digits(kanji) == in_digits(mixed) == in_digits(str(number)) == str(number)


@settings(max_examples=100, deadline=None)
@given(st.text("0123456789.〇一二三十百千万億兆", max_size=12))
def test_any_number_gives_some_text(number: str) -> None:
    assert isinstance(in_digits(number), str)
