"""A document as it is read: what its page shows for an address, put together from the text, its outline, hits and pages.

In: a document of the index and a state of its page. Out: plain records for the template, and the addresses that lead on from there.
Nothing is searched and no file is opened here. What is shown of the text is, put together, the text to the letter.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from corpus.records import Document, Heading, Page
from corpus.text import squeeze
from qa.cite import Citation, page_name
from web.contract import Asked
from web.finding import Found
from web.parts import Part, part_of, parts
from web.rich import Block, Headline, Marked, Stop, blocks

SHOWN_MARKS = 1_000
"""Matches that are marked at once, those nearest to the one that is shown."""
OUTLINE_MOST = 800
"""Headings of an outline; of a longer one, other parts of the text are represented by their outermost headings."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A state of a document's page: the passage, the question it was found by, words to find and which match of them
    (from 1, 0 for the next one), the part of a long text, and the page of the file that is shown beside it."""

    document_id: str
    asked: Asked = field(default_factory=Asked)
    start: int | None = None
    end: int | None = None
    find: str = ""
    at: int = 0
    part: int | None = None
    page: int | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """The state as the pairs of an address's query, in one order."""
        own: tuple[tuple[str, int | str | None], ...] = (
            ("start", self.start),
            ("end", self.end),
            ("find", self.find),
            ("at", self.at or None),
            ("part", self.part),
            ("page", self.page),
        )
        return [(name, str(value)) for name, value in own if value not in (None, "")] + self.asked.pairs()

    def address(self, anchor: str = "", **changes: Any) -> str:
        """The address of this state with some of it changed."""
        query = urlencode(replace(self, **changes).pairs())
        return f"/documents/{self.document_id}{'?' if query else ''}{query}{'#' if anchor else ''}{anchor}"

    def span(self, size: int) -> tuple[int, int] | None:
        """The passage in a text of `size` letters; None where the state has none that is in it."""
        if self.start is None or self.end is None or self.start >= min(self.end, size):
            return None
        return self.start, min(self.end, size)


@dataclass(frozen=True, slots=True)
class Step:
    """One of several places that can be gone through: its number from 1 (0 before all of them), and the addresses around it."""

    number: int
    count: int
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class OutlineLine:
    """A heading of the outline with its address, and the page that it stands on."""

    text: str
    level: int
    address: str
    page: str = ""


# ---------------------------------------------------------------- the text


def shown_part(
    document: Document,
    reading: Reading,
    span: tuple[int, int] | None,
    match: tuple[int, int] | None,
) -> tuple[tuple[Part, ...], Part]:
    """All parts of a text, and the one that an address asks for: by its number, else that of the match or the passage."""
    found = parts(document)
    if reading.part is not None:
        return found, found[min(max(reading.part, 1), len(found)) - 1]
    target = match if match is not None and (reading.at or span is None) else span
    return found, found[0] if target is None else part_of(found, target[0])


def text_blocks(
    document: Document,
    part: Part,
    span: tuple[int, int] | None,
    hits: Sequence[tuple[int, int]],
    found: Found | None,
    number: int,
) -> tuple[Block, ...]:
    """The blocks of a part of the text, with the passage, what else the question found, and the words to find marked."""
    marks = [Marked(*span, "passage", "passage")] if span is not None else []
    marks += [Marked(*hit, "hit", f"hit{n}") for n, hit in enumerate(hits, 1) if hit != span]
    if found is not None and found.spans:
        inside = [n for n, (_, end) in enumerate(found.spans, 1) if end > part.start]
        inside = [n for n in inside if found.spans[n - 1][0] < part.end]
        if len(inside) > SHOWN_MARKS:
            middle = bisect_right(inside, number)
            first = min(max(0, middle - SHOWN_MARKS // 2), len(inside) - SHOWN_MARKS)
            inside = inside[first : first + SHOWN_MARKS]
        for n in inside:
            now = n == number
            marks.append(Marked(*found.spans[n - 1], "find now" if now else "find", "found" if now else ""))
    shift = part.start
    here = [
        mark._replace(start=max(mark.start, part.start) - shift, end=min(mark.end, part.end) - shift)
        for mark in marks
        if mark.start < part.end and mark.end > part.start
    ]
    headings, stops = [], _stops(document, part)
    for h in document.headings:
        if part.start <= h.start < part.end:
            if _is_line(document.text, h):
                headings.append(Headline(h.start - shift, h.end - shift, h.level, f"h{h.start}"))
            else:
                stops.append(Stop(h.start - shift, f"h{h.start}"))
    return blocks(document.text[part.start : part.end], here, headings=headings, stops=stops)


def _is_line(text: str, heading: Heading) -> bool:
    """Whether a heading is what stands there, and not the title of a record, whose lines all belong to it."""
    words = text[heading.start : heading.end]
    return "\n" not in words.strip() or len(squeeze(words)) <= 1.5 * len(squeeze(heading.text))


def _stops(document: Document, part: Part) -> list[Stop]:
    """The pages that begin in a part, each once."""
    found: list[Stop] = []
    seen: set[int] = set()
    for page in document.page_starts:
        if part.start <= page.start < part.end and page.number not in seen:
            seen.add(page.number)
            label = page_name(document.format, page.number, page.label)
            found.append(Stop(page.start - part.start, f"p{page.number}", label))
    return found


# ---------------------------------------------------------------- around the text


def outline(document: Document, found: Sequence[Part], part: Part, reading: Reading) -> list[OutlineLine]:
    """The headings of the whole document, each with the way to it."""
    headings: Sequence[Heading] = document.headings
    if len(headings) > OUTLINE_MOST:
        own = [h for h in headings if part.start <= h.start < part.end]
        top = [h for h in headings if h.level == 1 and not part.start <= h.start < part.end]
        step = -(-len(top) // OUTLINE_MOST) or 1
        headings = sorted([*own[:OUTLINE_MOST], *top[::step]], key=lambda h: h.start)
    lines = []
    for heading in headings:
        name = f"h{heading.start}"
        place = part_of(found, heading.start)
        address = f"#{name}" if place == part else reading.address(name, part=place.number, at=0)
        # sheets are headings themselves
        page = None if document.format == "xlsx" else page_at(document, heading.start)
        label = "" if page is None else (page.label or str(page.number))
        lines.append(OutlineLine(heading.text.strip(), heading.level, address, label))
    return lines


def page_at(document: Document, offset: int) -> Page | None:
    """The page that a place of the text stands on; None where the file has none, or before the first that is known."""
    place = bisect_right([page.start for page in document.page_starts], offset) - 1
    return document.page_starts[place] if place >= 0 else None


def page_span(document: Document, number: int) -> tuple[int, int]:
    """The part of the text that stands on a page; empty for a page without text or one that there is not."""
    starts = document.page_starts
    for place, page in enumerate(starts):
        if page.number == number:
            end = starts[place + 1].start if place + 1 < len(starts) else len(document.text)
            return page.start, end
    return 0, 0


def hits_of(document: Document, citations: Sequence[Citation]) -> list[tuple[int, int]]:
    """What a reply cites of a document, in the order of its text."""
    return sorted({(c.char_start, c.char_end) for c in citations if c.document_id == document.id})


def hit_step(reading: Reading, span: tuple[int, int] | None, hits: Sequence[tuple[int, int]]) -> Step:
    """Where the passage stands among the hits; one that it is a part of is the same place."""
    same = [n for n, hit in enumerate(hits, 1) if hit == span]
    same += [n for n, hit in enumerate(hits, 1) if span and hit[0] < span[1] and span[0] < hit[1]]
    if same:
        number = same[0]
        before, after = number - 1, number + 1
    else:
        number = 0
        before = 0 if span is None else sum(hit[0] < span[0] for hit in hits)
        after = before + 1

    def address(to: int) -> str | None:
        if not 1 <= to <= len(hits):
            return None
        start, end = hits[to - 1]
        return reading.address("passage", start=start, end=end, find="", at=0, part=None, page=None)

    return Step(number, len(hits), address(before), address(after))


def find_step(reading: Reading, found: Found, number: int) -> Step:
    """Where a match stands among all of them; after the last comes the first."""
    count = len(found.spans)
    if count == 0:
        return Step(0, 0, None, None)

    def address(to: int) -> str:
        return reading.address("found", at=(to - 1) % count + 1, part=None, page=None)

    return Step(number, count, address(number - 1), address(number + 1))
