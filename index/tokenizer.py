"""Texts to search words: fugashi with UniDic, content words by their lemma; and their grams, for misspelt words.

In: text in searchable form. Out: lists of tokens, the same for building and for asking. A lemma makes one word
of 「進める」 and 「進めた」; a word that the dictionary does not know has no lemma and stands for itself (「DX」).
A number and its counter are also one token (「第5条」 and 「5人」 share more than 「5」), in digits, so that 「3千万円」 is
「30,000千円」 and 「三千万円」. Grams are pieces of the spelling
and of the reading: 「しょるい」 and 「書類」 share a reading, 「磐悌町」 and 「磐梯町」 most of the spelling.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import fugashi

CONTENT = frozenset({"名詞", "動詞", "形容詞", "形状詞", "副詞", "接頭辞", "接尾辞"})
"""Parts of speech that carry meaning (UniDic's pos1)."""
# Words of content form that nearly every sentence has. UniDic's lemmas: する, いる, ある, なる, できる, こと …
STOP = frozenset(
    [
        "為る",
        "居る",
        "有る",
        "成る",
        "出来る",
        "事",
        "物",
        "為",
        "様",
        "等",
        "付く",
        "つく",
        "依る",
        "因る",
        "於く",
        "言う",
        "教える",
        "下さる",
        "何",
        "どの",
        "何処",
    ]
)

SPELLING = 2
READING = 3
"""Characters in a gram of the spelling, and of the reading (docs/decisions.md)."""
LONGEST_NUMBER = 32
"""Signs of a number that is read as one: more than any amount has, and within the precision of Decimal."""
SHORT, REMEMBERED = 200, 1 << 11
"""Texts up to so many characters are remembered with their tokens, and so many of them: a megabyte."""
_COUNTERS = frozenset({"名詞", "接尾辞"})
_NO_READING = frozenset({"助詞", "助動詞", "補助記号", "記号", "空白"})
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")  # 「1,250万円」 is one number
_HIRAGANA = re.compile(r"[ぁ-ん]+")
_KATAKANA = {code: code + 0x60 for code in range(ord("ぁ"), ord("ん") + 1)}

_local = threading.local()  # a Tagger is not for two threads at once


def tokenizer_name() -> str:
    """What must agree between build and serve: analyser, dictionary, and the rules of this module."""
    return f"fugashi {version('fugashi').split('.')[0]} + unidic-lite {version('unidic-lite')} / lemmas and grams 3"


def _tagger() -> Any:
    tagger = getattr(_local, "tagger", None)
    if tagger is None:
        tagger = _local.tagger = fugashi.Tagger()
    return tagger


def _words(text: str) -> Any:
    text = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text.replace("\x00", " ")))
    return _tagger()(text)


_DIGITS = {digit: str(number) for number, digit in enumerate("〇一二三四五六七八九")}
_TENS = {"十": 10, "百": 100, "千": 1_000}
_MYRIADS = {"万": 10**4, "億": 10**8, "兆": 10**12}


def in_digits(number: str) -> str:
    """A number of digits, a decimal point and 十百千万億兆 in digits alone; what is no number stays as it is.

    >>> in_digits("3.0千万"), in_digits("30000千"), in_digits("三億二千万"), in_digits("5.")
    ('30000000', '30000000', '320000000', '5.')
    """
    if len(number) > LONGEST_NUMBER:
        return number
    total, below, digits = Decimal(0), Decimal(0), ""
    try:
        for sign in number:
            if sign in _TENS:
                below += Decimal(digits or "1") * _TENS[sign]
            elif sign in _MYRIADS:
                total += (below + Decimal(digits or "0") or 1) * _MYRIADS[sign]
                below = Decimal(0)
            else:
                digits += _DIGITS.get(sign, sign)
                continue
            digits = ""
        if digits == number:
            return number
        return f"{(total + below + Decimal(digits or '0')).normalize():f}"
    except InvalidOperation:
        return number


def tokenize(text: str) -> list[str]:
    """The content words of a text as lemmas, in order, NFKC and lower case; numbers also with their counter.

    >>> tokenize("職員5人が進めた")
    ['職員', '5', '人', '5人', '進める']
    """
    return list(_kept(text)) if len(text) <= SHORT else _tokens(text)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    number = ""  # the digits and 万, 千 that end where we stand
    for word in _words(text):
        feature = word.feature
        numeral = feature.pos2 == "数詞"
        if number and word.white_space:
            number = ""
        if feature.pos1 in CONTENT:
            # UniDic writes the origin of a loan word into its lemma: 「システム-system」
            lemma = (feature.lemma or word.surface).split("-")[0] or word.surface
            if numeral:
                lemma = word.surface
            if lemma not in STOP:
                tokens.append(lemma.lower())
            if number and not numeral and feature.pos1 in _COUNTERS:
                tokens.append((in_digits(number) + word.surface).lower())
        number = number + word.surface if numeral or (number and word.surface == ".") else ""
    return tokens


@lru_cache(maxsize=REMEMBERED)
def _kept(text: str) -> tuple[str, ...]:
    """The tokens of a question or a part of one, which is cut into words by each who looks at it."""
    return tuple(_tokens(text))


@dataclass(frozen=True, slots=True)
class Word:
    """A word where it stands in a text, with UniDic's parts of speech; `known` where the dictionary has it."""

    text: str
    start: int
    pos1: str
    pos2: str
    pos3: str
    known: bool

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)


def words(text: str) -> list[Word]:
    """The words of a text that is NFKC already, in order; numbers keep their commas.

    >>> [(word.text, word.pos3) for word in words("田中さん")][0]
    ('田中', '人名')
    """
    found: list[Word] = []
    at = 0
    for word in _tagger()(text.replace("\x00", " ")):
        at += len(word.white_space)
        feature = word.feature
        known = feature.lemma is not None
        found.append(Word(word.surface, at, feature.pos1, feature.pos2, feature.pos3, known))
        at += len(word.surface)
    return found


def holds_person(text: str) -> bool:
    """Whether a text holds a person's name, as the dictionary knows family and given names."""
    return any(word.feature.pos3 == "人名" for word in _words(text))


def grams(text: str) -> list[str]:
    """Pieces of the spelling and of the reading of a text, in order; what is only hiragana is left out of the first.

    >>> grams("書類")
    ['書類', 'ショル', 'ョルイ']
    """
    spelling = "".join(unicodedata.normalize("NFKC", text).lower().split())
    pieces = [spelling[i : i + SPELLING] for i in range(len(spelling) - SPELLING + 1)]
    pieces = [piece for piece in pieces if not _HIRAGANA.fullmatch(piece) and any(c.isalnum() for c in piece)]
    for part in readings(text):
        pieces.extend(part[i : i + READING] for i in range(max(1, len(part) - READING + 1)))
    return pieces


def readings(text: str) -> list[str]:
    """How the words between particles are read, in katakana, in order.

    >>> readings("書類のほかん")
    ['ショルイ', 'ホカン']
    """
    parts = [""]
    for word in _words(text):
        feature = word.feature
        if feature.pos1 in _NO_READING:
            parts.append("")
            continue
        reading = feature.kana if feature.kana and feature.kana != "*" else word.surface.lower()
        parts[-1] += reading.translate(_KATAKANA)
    return [part for part in parts if part]
