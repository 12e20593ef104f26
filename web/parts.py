"""A very long text in parts that a browser shows at once, cut where a reader would turn the page.

In: a text with its headings and pages. Out: spans that follow one another and are together the text. Nothing is known of HTML.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from corpus.records import Document

WHOLE_CHARS = 200_000
"""Longest text that is shown at once: 300 pages of a plan. The page has 1 to 2 MB then, and a slow computer lays it out in a second."""
PART_CHARS = 150_000
"""Longest part of a longer text."""
_SEARCHED = 0.5
"""Share of a part, at its end, in which the best place to cut is looked for."""


@dataclass(frozen=True, slots=True)
class Part:
    """`number` counts from 1; `title` is the heading that it begins with, or stands under."""

    number: int
    start: int
    end: int
    title: str = ""


def parts(document: Document, *, whole: int = WHOLE_CHARS, most: int = PART_CHARS) -> tuple[Part, ...]:
    """The parts of a document's text in order: one up to `whole` letters, else several of at most `most`.

    Each is cut at the outermost heading in its second half, the last of these; else where a page begins, a line, or anywhere.
    """
    text = document.text
    if len(text) <= whole:
        return (Part(1, 0, len(text)),)
    headings = [(h.start, h.level, h.text.strip()) for h in document.headings]
    places = [start for start, _, _ in headings]
    pages = [page.start for page in document.page_starts]
    found: list[Part] = []
    at = 0
    while at < len(text):
        end = len(text)
        if end - at > most:
            least, last = at + int(most * (1 - _SEARCHED)), at + most
            near = headings[bisect_right(places, least) : bisect_right(places, last)]
            if near:
                end = min(near, key=lambda h: (h[1], -h[0]))[0]
            else:
                end = _last(pages, least, last) or text.rfind("\n", least, last) + 1 or last
        standing = bisect_right(places, at) - 1
        found.append(Part(len(found) + 1, at, end, headings[standing][2] if standing >= 0 else ""))
        at = end
    return tuple(found)


def part_of(found: Sequence[Part], offset: int) -> Part:
    """The part that a place of the text stands in; the last one for its end."""
    return found[max(0, bisect_right([part.start for part in found], offset) - 1)]


def _last(places: Sequence[int], least: int, last: int) -> int:
    """The last of the places after `least`, up to `last`; 0 where there is none."""
    place = bisect_right(places, last) - 1
    return places[place] if place >= 0 and places[place] > least else 0
