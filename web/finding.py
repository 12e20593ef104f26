"""Words found in a text as a person looks for them: width, case, spaces and line breaks do not matter.

In: a text and words. Out: the exact spans of the text where they stand, in order. Every letter of the folded text knows the letters it
was made from, so a match is never a letter too long or too short. Nothing is known of documents or pages.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache

MAX_WORDS = 200
"""Longest words to look for: a line of a page."""
MAX_FOUND = 10_000
"""Matches that are counted: one letter of a long list stands in it a hundred thousand times, and nobody goes through them."""
_CACHED = 4  # folded texts that are kept: about as large as the text each

# letters that are their own folded form: kanji, kana, digits, small Latin letters, common marks
_SAME = "0-9a-z\u3041-\u3096\u30a1-\u30fa\u30fc-\u30fe\u4e00-\u9fff、。「」・"
# what joins the letter before it: accents, the voicing marks of kana in full and half width, parts of Korean syllables
_JOINS = "\u0300-\u036f\u1160-\u11ff\u3099\u309a\uff9e\uff9f"
_PIECE = re.compile(
    f"([{_SAME}]++(?![{_JOINS}])|[{_SAME}]+(?=[{_SAME}][{_JOINS}]))|(.[{_JOINS}]{{0,30}})", re.DOTALL
)
# dashes and waves that look alike; the long vowel is a letter
_ALIKE = {ord(sign): "-" for sign in "‐‑‒–—―−"} | {ord(sign): "~" for sign in "〜∼"}


@dataclass(frozen=True, slots=True)
class Found:
    """Where words stand in a text: (start, end), in order, none over another; `more` where there are more than `MAX_FOUND`."""

    words: str
    spans: tuple[tuple[int, int], ...]
    more: bool = False

    def at(self, number: int) -> tuple[int, int] | None:
        """The match of a number from 1, None where there is none."""
        return self.spans[number - 1] if 1 <= number <= len(self.spans) else None

    def number_from(self, offset: int) -> int:
        """The number of the first match from an offset on, going round at the end; 0 where there is none."""
        if not self.spans:
            return 0
        place = bisect_left(self.spans, (offset, offset))
        return 1 if place == len(self.spans) else place + 1


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A text as it is searched, in pieces: piece i begins at `firsts[i]` of `text` and was made from the source's letters from
    `starts[i]` on, one by one where `ends[i]` is 0, else all of it from the letters `starts[i]:ends[i]`."""

    text: str
    firsts: list[int]
    starts: list[int]
    ends: list[int]

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The source's letters that `text[start:end]` was made from."""
        first, last = bisect_right(self.firsts, start) - 1, bisect_right(self.firsts, end - 1) - 1
        begin = self.starts[first] + (0 if self.ends[first] else start - self.firsts[first])
        return begin, self.ends[last] or self.starts[last] + end - self.firsts[last]


def find(text: str, words: str) -> Found:
    """Where words stand in a text.

    >>> find("担当：Ｄ Ｘ推進課（ﾃﾞｼﾞﾀﾙ）", "dx推進").spans
    ((3, 8),)
    """
    shown = words.strip()
    wanted = _fold(shown[:MAX_WORDS]).text
    if not wanted:
        return Found(shown, ())
    folded = _folded(text)
    spans: list[tuple[int, int]] = []
    at = folded.text.find(wanted)
    while at >= 0:
        start, end = folded.source(at, at + len(wanted))
        if not spans or start >= spans[-1][1]:
            if len(spans) == MAX_FOUND:
                return Found(shown, tuple(spans), True)
            spans.append((start, end))
        at = folded.text.find(wanted, at + len(wanted))
    return Found(shown, tuple(spans))


@lru_cache(maxsize=_CACHED)
def _folded(text: str) -> Folded:
    return _fold(text)


def _fold(text: str) -> Folded:
    """A text in NFKC, without case, white space, invisible letters and 「**」; dashes that look alike are one."""
    words: list[str] = []
    folded = Folded("", [], [], [])
    size = 0
    for found in _PIECE.finditer(text):
        letters, end = found[1], 0
        if letters is None:
            letters, end = _letters(found[2]), found.end()
            if letters == "*" and "*" in (text[found.start() - 1 : found.start()], text[end : end + 1]):
                continue
        if letters:
            words.append(letters)
            folded.firsts.append(size)
            folded.starts.append(found.start())
            folded.ends.append(end)
            size += len(letters)
    return replace(folded, text="".join(words))


@lru_cache(maxsize=4096)
def _letters(cluster: str) -> str:
    """What one letter, with what joins it, is searched as; empty for what is not looked at."""
    made = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).casefold())
    return "".join(
        sign
        for sign in made.translate(_ALIKE)
        if not sign.isspace() and unicodedata.category(sign) not in {"Cf", "Cc"}
    )
