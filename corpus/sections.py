"""Sections: what stands under one innermost heading, with all the headings above it.

In: the blocks and cases of a text. Out: sections in order. A section never crosses a case or a heading; a new
printed page of a case begins a new section, as does a new slide or sheet. A record is a section of its own. Blocks
that are not searched stay out of `blocks`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from corpus.cases import CaseBook
from corpus.records import Case
from corpus.structure import COLON_LABEL, PICTURE_GAP, QUESTION_MARK, Block, Line, is_deck, plain, rank

COVER = "表紙"
INTERVIEW = "インタビュー"
POINT = "Point"
CLOSING = "参考情報"
"""Names of the places whose heading the conversion lost (it was a picture) or that never have one."""
COVER_BLOCKS = 12
DEEPEST = 20
"""Most headings one in another: lines in brackets, each with nothing under it but the next, would be so without end."""
# 「【1.体制整備】」 on a cover: the volume of a series
_VOLUME = re.compile(r"^【\s*(\d+\s*[.．].{1,30})】$")
# 「【担当部署】 …」「担当部署 …」 names its section by its label
_LABEL_NAME = re.compile(
    r"^(?:[☆★※◎]\s*)?(?:【(?P<bracket>[^【】]{1,20})】|(?P<word>(?!http)[^\s:：]{2,12})[\s:：])"
)
# 「➤ 現場の声を吸い上げる」 the lead of a case
_LEAD = re.compile(r"^\s*[➤►▶➢]|^Point\b")

# Forms that may stand directly under any other heading without being its sibling: 「【窓口】」 then 「Q1 …」
_INNER = frozenset({"plain", "bracketed", "question", "parenthesised", "numbered item"})


@dataclass(frozen=True, slots=True)
class Section:
    """`path` holds the headings from the outermost in; `heading` is the innermost one's block, or None where
    there is none in the text. `openers` are the headings right above that have nothing else under them, and
    whose words therefore belong to this section's first chunk."""

    path: tuple[str, ...]
    heading: Block | None
    openers: tuple[Block, ...]
    blocks: tuple[Block, ...]
    case: Case | None
    form: str

    @property
    def start(self) -> int:
        """Where the section begins, its heading and openers included."""
        first = self.openers[0] if self.openers else self.heading or self.blocks[0]
        return min(first.start, self.blocks[0].start) if self.blocks else first.start

    @property
    def end(self) -> int:
        """Where its last searched block ends."""
        return self.blocks[-1].end if self.blocks else (self.heading.end if self.heading else self.start)


@dataclass(slots=True)
class _Open:
    """A heading that is open while the blocks below it are read."""

    rank: int
    block: Block
    used: bool = False


def heading_words(block: Block) -> str:
    """A heading's words as a reader names it: without emphasis and Markdown's marks.

    「**今後の展望を教えてください。**」 → 「今後の展望を教えてください。」
    """
    return re.sub(r"^#{1,6}\s+|(?<!\s)\s++#++$", "", plain(block.text))


def find_sections(
    blocks: list[Block], book: CaseBook, title: str, breaks: Sequence[int] = ()
) -> list[Section]:
    """The sections of a document; `title` is left out of their paths (the document has it).

    `breaks` are the places, ascending, where a slide or sheet begins: no heading stands over both of its sides.
    """
    return _Reader(blocks, book, title, breaks).read()


class _Reader:
    """Reads the blocks in order, with the headings that are open; built for one document."""

    def __init__(self, blocks: list[Block], book: CaseBook, title: str, breaks: Sequence[int]) -> None:
        titles = {start for start, _ in book.title_lines}
        self.titles = sorted(titles)
        self.blocks = [part for block in blocks for part in _titles_apart(block, titles)]
        self.book, self.title, self.breaks = book, title, deque(breaks)
        self.sections: list[Section] = []
        self.open: list[_Open] = []
        self.pending: list[Block] = []
        self.openers: list[Block] = []
        self.case: Case | None = None
        self.leading = False  # between a case's title and its first heading
        self.volume: str | None = None
        self.deck = is_deck(blocks)

    def read(self) -> list[Section]:
        """All sections in order."""
        cover = self._read_cover()
        for block in self.blocks[cover:]:
            if self.breaks and block.start >= self.breaks[0]:
                self._close()
                self.open.clear()
                self.openers = []
                while self.breaks and block.start >= self.breaks[0]:
                    self.breaks.popleft()
            if any(start <= block.start < end for start, end in self.book.examples):
                # what stands before an example and what stands after it are not one slice
                self._close()
                for open_ in self.open:
                    open_.used = True
                self.openers = []
                continue
            here = self.book.case_at(block.start)
            opens_page = bisect_left(self.titles, block.start) < bisect_left(self.titles, block.end)
            if here is not self.case or opens_page:
                self._close()
                self.open.clear()
                self.openers = []
                if here is not self.case:
                    self.case, self.leading = here, here is not None
                    self.openers = [block] if opens_page else []
                if opens_page:
                    continue
            if not block.searched:
                self._close()  # furniture ends a stretch of text but not the section
            elif block.kind == "heading":
                self._open_heading(block)
            elif block.kind == "record":
                self._take_record(block)
            else:
                if block.kind == "list" and block.form:
                    self._leave(rank(block))
                self._take(block)
        self._close()
        return self.sections

    def _read_cover(self) -> int:
        front = sum(block.why == "front matter" for block in self.blocks)
        cover = front + _cover(self.blocks[front:], self.book)
        members = tuple(b for b in self.blocks[:cover] if b.searched)
        if members:
            self.sections.append(Section((COVER,), None, (), members, None, "cover"))
        self.volume = next((m[1] for b in members if (m := _VOLUME.match(plain(b.text)))), None)
        return cover

    def _open_heading(self, block: Block) -> None:
        self._close()
        self.leading = False
        if (
            self.deck
            and self.case is None
            and block.gap >= PICTURE_GAP
            and block.form in _INNER
            and self.open
            and self.open[-1].used
        ):
            # On slides, what follows a lost picture may be a slide that lost its heading: no parent is better
            # than a wrong one.
            self.open.clear()
        if not (
            self.open
            and not self.open[-1].used
            and block.form in _INNER
            and self.open[-1].rank >= rank(block)
            and len(self.open) < DEEPEST
        ):
            same = [
                place
                for place, open_ in enumerate(self.open)
                if open_.block.form == block.form and open_.rank == rank(block)
            ]
            if same:
                # a sibling of the last of its form; outside a case, where no page ends a chain, of the first
                del self.open[same[-1] if self.case is not None else same[0] :]
            else:
                while self.open and self.open[-1].rank >= rank(block):
                    self.open.pop()
        held = [open_.block for open_ in self.open if not open_.used]
        if not held and self.openers and any(o.used for o in self.open):
            self.openers = []
        reached = self.openers[-1].start if self.openers else -1
        self.openers = [*self.openers, *[b for b in held if b.start > reached]]
        self.open.append(_Open(rank(block), block))

    def _leave(self, inner: int) -> None:
        """Before an item that was written as a heading: 「５　閉会」 is no part of 「４　報告」."""
        if self.open and self.open[-1].rank >= inner:
            self._close()
            while self.open and self.open[-1].rank >= inner:
                self.open.pop()

    def _take(self, block: Block) -> None:
        closing = bool(self.pending) and self.pending[0].kind == "label"
        if closing and not _stays_in_closing(block):
            self._close()
        elif block.kind == "label" and self.case is not None and not closing:
            self._close()
            if self.open and self.open[-1].used:
                self.open.clear()  # closing lines belong to the case, not to the last answer
        elif (
            self.leading
            and self.pending
            and _LEAD.match(self.pending[0].text)
            and not _LEAD.match(block.text)
        ):
            self._close()
            self.leading = False
        self.pending.append(block)

    def _take_record(self, block: Block) -> None:
        self._close()
        path = (*self._path(), block.title) if block.title else self._path()
        self.sections.append(Section(path, None, tuple(self.openers), (block,), self.case, "record"))
        for open_ in self.open:
            open_.used = True
        self.openers = []

    def _close(self) -> None:
        """Makes a section of what is pending."""
        if not self.pending:
            return
        heading = self.open[-1].block if self.open else None
        fresh = heading is not None and not self.open[-1].used
        path = self._path()
        if heading is None and self.case is not None:
            label = (
                _LABEL_NAME.match(plain(self.pending[0].text)) if self.pending[0].kind == "label" else None
            )
            if label:
                path = (*path, label["bracket"] or label["word"] or CLOSING)
            elif self.leading and (_LEAD.match(self.pending[0].text) or self.pending[0].kind == "list"):
                path = (*path, POINT)
        self.sections.append(
            Section(
                path,
                heading if fresh else None,
                tuple(self.openers) if fresh or heading is None else (),
                tuple(self.pending),
                self.case,
                "label" if self.pending[0].kind == "label" else heading.form if heading else "",
            )
        )
        for open_ in self.open:
            open_.used = True
        self.openers = []
        self.pending = []

    def _path(self) -> tuple[str, ...]:
        names: list[str] = []
        if self.case is not None:
            if self.volume:
                names.append(self.volume)
            if self.case.category:
                names.append(self.case.category)
            names.append(f"{self.case.number} {self.case.title}【{self.case.organization}】")
            if self.open and self.open[0].block.form == "question":
                names.append(INTERVIEW)
        names.extend(heading_words(open_.block) for open_ in self.open)
        return tuple(name for name in names if name != self.title)


def _titles_apart(block: Block, titles: set[int]) -> list[Block]:
    """A block with the title lines of cases as blocks of their own: text may follow one without a blank line."""
    runs: list[list[Line]] = []
    for line in block.lines:
        if not runs or line.start in titles or runs[-1][-1].start in titles:
            runs.append([])
        runs[-1].append(line)
    if len(runs) == 1:
        return [block]
    return [
        replace(
            block,
            start=run[0].start,
            end=run[-1].end,
            lines=tuple(run),
            gap=block.gap if place == 0 else 0,
            gap_after=block.gap_after if place == len(runs) - 1 else 0,
        )
        for place, run in enumerate(runs)
    ]


def _stays_in_closing(block: Block) -> bool:
    """Closing lines of a case: labels, addresses, telephone and mail, one under the other."""
    words = plain(block.text)
    return (
        block.kind == "label"
        or "://" in words
        or "@" in words
        or bool(COLON_LABEL.match(words) or re.match(r"^(?:電話|TEL|メール|E-?mail|FAX|[（(])", words))
    )


def _cover(blocks: list[Block], book: CaseBook) -> int:
    """How many blocks the cover has: title, names and date before the first contents, case or real section."""
    first_case = book.cases[0].start if book.cases else None
    for index, block in enumerate(blocks[:COVER_BLOCKS]):
        if not block.searched and block.why == "contents":
            return index
        if first_case is not None and block.start >= first_case:
            return index
        if index == 0:
            first_part = block.form in {"styled", "numbered", "chapter"} or block.kind == "record"
            if first_part or (block.form == "question" and QUESTION_MARK.match(plain(block.text))):
                return 0
            continue
        following = blocks[index + 1] if index + 1 < len(blocks) else None
        if (
            block.form in {"numbered", "chapter", "marked", "styled", "question"}
            or block.kind == "record"
            or (len(block.text) >= 80 and block.kind == "paragraph")
        ):
            return index
        if (
            block.kind == "heading"
            and following is not None
            and (len(following.text) >= 60 or following.form in {"marked", "chapter", "numbered"})
        ):
            return index
    return min(3, len(blocks)) if len(blocks) > COVER_BLOCKS else 0
