"""What a person typed, made fit to be kept: without telephone numbers, mail addresses, long numbers and control characters.

In: a question or a comment. Out: the same text with a word in the place of each of those. What is masked is told by its form
alone, so a name or a postal address in words stays: people are asked not to write them. Nothing is known of documents here.
"""

from __future__ import annotations

import re
import unicodedata

PHONE, MAIL, NUMBER = "〔電話番号〕", "〔メールアドレス〕", "〔番号〕"

_D = "[0-9０-９]"
# 「ー」 and 「－」 are typed for a hyphen as often as the hyphen itself
_HYPHEN = r"[-‐‑‒–—―−ーｰ－]"
_BETWEEN = r"[-‐‑‒–—―−ーｰ－ 　()（）・/／]"
_WORD = "[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]"
_MAIL = re.compile(rf"(?:{_WORD}|[._%+\-＿．＋－]){{1,64}}[@＠]{_WORD}(?:{_WORD}|[.\-．－]){{0,252}}")
# 「1234 5678 9012」: an individual number (12 digits) or a card (16) in groups; 「2023 2024 2025」 are years
_GROUPS = re.compile(rf"(?<!{_D}){_D}{{4}}(?:(?:{_HYPHEN}|[ 　]){_D}{{4}}){{2,3}}(?!{_D})")
# 「03（1234）5678」, 「090-1234-5678」, 「+81 90 1234 5678」: a nought or a country, then nine digits or more in all
_PHONE = re.compile(rf"(?<!{_D})(?:0|０|[+＋]{_D})(?:{_BETWEEN}{{0,2}}{_D}){{8,13}}(?!{_D})")
# 「26-5701」, 「5253-1111」: a number without its area; 「2024-2026」 are years
_LOCAL = re.compile(rf"(?<!{_D})(?<!{_D}{_HYPHEN}){_D}{{1,4}}{_HYPHEN}{_D}{{4}}(?!{_D})(?!{_HYPHEN}{_D})")
# 「1234567」: seven digits and more that count nothing; 「1234567円」 and 「￥1234567」 are amounts
_LONG = re.compile(
    rf"(?<![0-9０-９,，.．¥￥]){_D}{{7,}}"
    rf"(?![0-9０-９,，.．])(?![ 　]?(?:円|人|名|世帯|戸|件|回|台|枚|部|冊|個|か所|箇所|千|万|億|兆|㎡|%|％|ドル))"
)
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
# they turn the direction of the words around them, so that a list shows other words than were typed
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def masked(text: str) -> str:
    """A text without telephone numbers, mail addresses and numbers that may be somebody's.

    >>> masked("090-1234-5678 の山田です。人口1234567人")
    '〔電話番号〕 の山田です。人口1234567人'
    """
    text = _MAIL.sub(MAIL, text)
    text = _GROUPS.sub(lambda found: _unless_years(found, NUMBER), text)
    text = _PHONE.sub(PHONE, text)
    text = _LONG.sub(NUMBER, text)
    return _LOCAL.sub(lambda found: _unless_years(found, PHONE), text)


def _unless_years(found: re.Match[str], word: str) -> str:
    groups = re.findall(r"[0-9]+", unicodedata.normalize("NFKC", found[0]))
    return found[0] if all(_YEAR.fullmatch(group) for group in groups) else word


def cleaned(text: str) -> str:
    """A text without what no reader sees: control characters, halves of characters, marks that turn the direction.

    Line breaks are single and tabs stay; space at both ends goes.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or not _unseen(c)).strip()


def _unseen(character: str) -> bool:
    code = ord(character)
    nothing = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # no characters, and no XML either
    return nothing or character in _TURNING or unicodedata.category(character) in {"Cc", "Cs"}


def folded(text: str) -> str:
    """The form in which two ways of typing a question are one: width, case, spaces and the mark at the end do not count.

    >>> folded("ＣＤＯ とは？") == folded("cdoとは")
    True
    """
    plain = "".join(unicodedata.normalize("NFKC", text).casefold().split())
    return plain.rstrip("?!。.、,") or plain
