"""Which documents are alike: the same words in another file, or an older and a newer edition of one document.

In: the texts of documents. Out: fingerprints of a text, which share of one text another holds, and which of two editions
is the older. Fingerprints are hashes of all runs of `RUN` characters, of which those are kept that are divisible by
`SAMPLE` (Manber 1994, "Finding similar files in a large file system"): the same in both texts wherever the runs are the
same, whatever the line breaks, pages and formats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from corpus.records import Document
from corpus.text import normalize, squeeze

RUN = 20
"""Characters of a run: longer than any phrase of office that two documents share by chance."""
SAMPLE = 16
LEAST = 12
"""Fingerprints below which a text is too short to be called like another: about 200 characters."""
SAME, EDITION, EDITION_OF_TITLE = 0.9, 0.6, 0.3
"""Share of the shorter text that the other holds: from which they are nearly the same, or two editions, also with one title."""

Fingerprints = npt.NDArray[np.uint64]

_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "r": 2018, "h": 1988, "s": 1925}
# 「令和6年4月24日」「令和6年度」「R6.4」
_ERA_DATE = re.compile(
    r"(?P<era>令和|平成|昭和|(?<![a-z])[rhs](?=\d))\s*(?P<year>\d{1,2}|元)\s*[年.\-_/]?\s*度?(?:\s*(?P<month>\d{1,2})\s*[月.\-_/](?:\s*(?P<day>\d{1,2})\s*日?)?)?"
)
# 「2024年4月15日」「2024.04.15」「20240415」「2024年度」
_DATE = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?:\s*[年.\-_/]\s*度?\s*(?P<month>\d{1,2})(?:\s*[月.\-_/]\s*(?P<day>\d{1,2}))?|(?P<month2>\d\d)(?P<day2>\d\d)?)?(?!\d)"
)
# 「第2版」「ver.1.3」「v2」「改訂第3版」
_VERSION = re.compile(
    r"第\s*(?P<kanji>\d+(?:\.\d+)*)\s*版|(?<![a-z])v(?:er(?:sion)?)?[.\s_]*(?P<number>\d+(?:\.\d+)*)"
)
_REVISED = re.compile(
    r"改訂|改定|改正|更新|最新|最終|確定|修正|暫定|案|版|年度?|月|日|号|ver(?:sion)?|v|copy|コピー|\d|元|[rhs](?=\d)|令和|平成|昭和"
)


@dataclass(frozen=True, slots=True)
class Alike:
    """Two documents that say the same for a good part.

    `relation` is "same" (nearly the same words), "older" (the document is an older edition of `other`), "newer", or
    "edition" (which one is older is not known); `share` of the shorter one's words stands in the longer one.
    """

    path: str
    other: str
    relation: str
    share: float


def fingerprints(text: str) -> Fingerprints:
    """The fingerprints of a text, ascending, each once."""
    codes = np.frombuffer(squeeze(text).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(
        np.uint64
    )
    size = len(codes) - RUN + 1
    if size <= 0:
        return np.zeros(0, np.uint64)
    hashes = np.zeros(size, dtype=np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        for place in range(RUN):
            hashes = hashes * np.uint64(0x100000001B3) + codes[place : place + size]
        # neighbouring texts have neighbouring hashes; mixing (splitmix64) makes the sample one by chance
        hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        hashes ^= hashes >> np.uint64(31)
    return np.unique(hashes[hashes % np.uint64(SAMPLE) == 0])


def share(common: int, own: int, other: int) -> float:
    """How much of the shorter of two texts the longer holds, 0..1, by the number of their common and own fingerprints."""
    shorter = min(own, other)
    return common / shorter if shorter >= LEAST else 0.0


def relation(document: Document, other: Document, common: float) -> str | None:
    """How `document` stands to `other` by the share of `common` words; None where they are only alike in part."""
    shorter, longer = sorted((len(document.text), len(other.text)))
    if common >= SAME and shorter >= 0.8 * longer:
        order = _order(document, other)
        return (
            "same" if order == 0 or _issued(document) == _issued(other) else "older" if order < 0 else "newer"
        )
    same_title = _base(document) == _base(other)
    if common >= (EDITION_OF_TITLE if same_title else EDITION):
        order = _order(document, other)
        return "edition" if order == 0 else "older" if order < 0 else "newer"
    return None


def _order(document: Document, other: Document) -> int:
    """Below 0 where `document` was issued before `other`, above where after, 0 where that is not known."""
    for own, others in zip(_issued(document), _issued(other), strict=True):
        if own and others and own != others:
            return -1 if own < others else 1
    return 0


def _issued(document: Document) -> tuple[tuple[int, ...], ...]:
    """The version and the date that a document's name and title say, and the date of its cover."""
    named = normalize(f"{document.title} {PurePath(document.path).stem}").lower()
    version = next(
        (tuple(map(int, (m["kanji"] or m["number"]).split("."))) for m in _VERSION.finditer(named)), ()
    )
    return version, date_of(named), date_of(normalize(document.date or "").lower())


def date_of(text: str) -> tuple[int, ...]:
    """The first date of a normalized text as (year[, month[, day]]), empty where there is none.

    >>> date_of("令和6年4月24日"), date_of("2024.04"), date_of("令和元年度")
    ((2024, 4, 24), (2024, 4), (2019,))
    """
    found = [
        (match.start(), match) for match in (_ERA_DATE.search(text), _DATE.search(text)) if match is not None
    ]
    if not found:
        return ()
    match = min(found, key=lambda item: item[0])[1]
    parts = match.groupdict()
    era = parts.get("era")
    year = int(parts["year"].replace("元", "1")) + (_ERAS[era] if era else 0)
    month, day = parts["month"] or parts.get("month2"), parts["day"] or parts.get("day2")
    date = [year]
    if month and 1 <= int(month) <= 12:
        date.append(int(month))
        if day and 1 <= int(day) <= 31:
            date.append(int(day))
    return tuple(date)


def _base(document: Document) -> str:
    """A title without what changes from edition to edition: dates, numbers and words for a revision."""
    return re.sub(r"\W+", "", _REVISED.sub("", squeeze(document.title)))
