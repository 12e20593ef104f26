"""Garbled text: made by real wrong decodings of Japanese sentences, and told apart from sound texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.documents import parse
from corpus.garbled import GARBLED, garbled

SENTENCE = "市民課の窓口は平日の午前九時から午後五時まで開いています。手数料は一通につき三百円です。\n"
SAMPLES = Path(__file__).parent.parent / "corpus" / "samples"


@pytest.mark.parametrize(
    ("written", "read"),
    [("utf-8", "cp932"), ("utf-8", "latin-1"), ("utf-8", "cp1252"), ("euc_jp", "cp932"), ("utf-8", "euc_jp")],
)
def test_a_wrong_decoding_is_seen(written: str, read: str) -> None:
    text = (SENTENCE * 5).encode(written).decode(read, errors="replace")
    told = garbled(text)
    assert told is not None
    assert told.startswith(GARBLED)
    assert told.endswith("ください。")


@pytest.mark.parametrize(
    "broken",
    [
        SENTENCE.replace("の", "䛾").replace("は", "䛿"),  # a font whose table puts kana among rare kanji
        SENTENCE.replace("窓口", "(cid:1234)(cid:987)").replace("円", "(cid:3)"),
        SENTENCE.replace("市", "\ue000").replace("民", "\ue001").replace("課", "\ue002"),
        SENTENCE.replace("時", "\ufffd"),
    ],
)
def test_a_broken_font_is_seen_in_one_sentence_of_many(broken: str) -> None:
    assert garbled(broken) is not None
    assert garbled(SENTENCE * 10 + broken) is not None


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        "",
        "ASCII only, with 100% plain words.",
        "ﾊﾝｶｸｶﾀｶﾅ ﾉ ﾃﾞｰﾀ､ﾃﾞｼﾞﾀﾙ｡",
        "葛󠄀城市と𠮷野家、髙橋さん、﨑、①②③、㈱、Ⅳ、℡、→、★、😀、café、naïve、Größe",
        "縺れる糸を繧繝（うんげん）の縁で螳る",
        SENTENCE * 200 + "䛾",  # one strange letter is no garbled text
    ],
)
def test_sound_texts_are_left_alone(text: str) -> None:
    assert garbled(text) is None


def test_the_samples_are_sound() -> None:
    for path in SAMPLES.iterdir():
        if path.suffix in {".txt", ".md"}:
            assert garbled(path.read_text(encoding="utf-8")) is None, path.name


def test_a_document_says_it() -> None:
    text = f"窓口の案内\n\n{SENTENCE * 3}".replace("の", "䛾")
    (warning,) = parse("a.txt", text.encode()).document.warnings
    assert warning.startswith(GARBLED)
    assert "䛾" in warning
