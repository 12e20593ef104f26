"""Whole numbers as people write them: 「30,000」「３万５千」「三万五千」「約3.2万人」.

In: a short text that is a number and nothing else. Out: the number, or None where it is none or could be two. Numbers inside
sentences are the business of those who read sentences.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

_DIGIT = {kanji: str(number) for number, kanji in enumerate("〇一二三四五六七八九")} | {"零": "0"}
_SMALL = {"十": 10, "百": 100, "千": 1_000}
_LARGE = {"万": 10_000, "億": 100_000_000}
_AROUND = re.compile(
    r"^(?:総?人口)?[はが:]?(?:約|およそ|だいたい)?(?P<number>.*?)(?:人|名)?(?:くらい|ぐらい|程度|ほど|前後)?$"
)
_TOKEN = re.compile(r"(?P<digits>[0-9]+(?:\.[0-9]+)?|[〇零一二三四五六七八九]+)|(?P<unit>[十百千万億])")
LONGEST = 30
"""Characters of a number; more are no number of persons."""


def whole_number(text: str) -> int | None:
    """The number that a text states, None where it states none or leaves open which.

    「3万5」 is 35,000 in speech and 30,005 on paper, so it is neither.

    >>> whole_number("３万５千人"), whole_number("約9.6万人"), whole_number("十二万三千"), whole_number("30,000")
    (35000, 96000, 123000, 30000)
    >>> whole_number("3万5") is None, whole_number("多い") is None
    (True, True)
    """
    if len(text) > LONGEST:
        return None
    words = re.sub(r"[\s,、，]", "", unicodedata.normalize("NFKC", text))
    found = _AROUND.match(words)
    return _parsed(found["number"]) if found else None


def _parsed(words: str) -> int | None:
    total, section, at = Decimal(0), Decimal(0), 0
    digits: str | None = None
    least_large, least_small = 10**12, 10**4  # units go down: 「三千万」, not 「三万千万」 and not 「三百千」
    while at < len(words):
        token = _TOKEN.match(words, at)
        if token is None or (token["digits"] and digits is not None):
            return None
        at = token.end()
        if token["digits"]:
            digits = "".join(_DIGIT.get(c, c) for c in token["digits"])
            continue
        unit = token["unit"]
        if unit in _SMALL:
            if _SMALL[unit] >= least_small:
                return None
            section += Decimal(digits or 1) * _SMALL[unit]
            least_small = _SMALL[unit]
        else:
            section += Decimal(digits or 0)
            if not section or _LARGE[unit] >= least_large:
                return None
            total += section * _LARGE[unit]
            section, least_large, least_small = Decimal(0), _LARGE[unit], 10**4
        digits = None
    # 「3万5」: 5 could be meant of the next smaller unit; 「百五」 is how 105 is written in kanji
    unit = next((c for c in reversed(words) if c in _SMALL or c in _LARGE), None)
    open_digit = digits is not None and len(digits) == 1 and unit not in {None, "十"}
    if not words or (open_digit and (unit in _LARGE or words[-1].isascii())):
        return None
    number = total + section + Decimal(digits or 0)
    return int(number) if number == int(number) else None
