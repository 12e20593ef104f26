"""How a slice of a canonical text is shown to people: headings, strong words, lists and tables instead of the marks for them.

In: a slice, spans of it to be marked, and places in it that have a name (headings, pages). Out: blocks of runs for the macros of
`templates/_rich.html`. No letter is lost: the runs of all blocks, put together in order, are the slice; a pipe or a `**` is a run that
is not seen. Only the form of lines decides, whatever the format of the file: what a converter wrote in Markdown, rows with pipes or
tabs, long runs of dots. Nothing is known of documents.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from corpus.structure import MARKDOWN, PAGE_NUMBER

MAX_COLUMNS = 100
"""Of a table that is shown as one: a wider one is shown as the lines it has."""
_MAX_LEVEL = 6
_MAX_DEPTH = 3
_HEADING_LINES = 4  # of one heading; a longer one is a whole record of a list
_HEAD_CHARS = 40  # of a cell that names a column
_HEAD_COLUMNS = (
    3  # from which the first row may name them though no figure stands below: fewer are a label and its value
)


class Marked(NamedTuple):
    """A span of the slice to be marked, with what it is (a class of the style sheet) and the name that an address leads to."""

    start: int
    end: int
    kind: str = ""
    id: str = ""


class Stop(NamedTuple):
    """A place in the slice that has a name; with a label it is shown there (「12ページ」) without being part of the text."""

    offset: int
    id: str
    label: str = ""


class Headline(NamedTuple):
    """A heading that is known of the slice; `level` 1 is the outermost."""

    start: int
    end: int
    level: int
    id: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Letters that look alike.

    `look` is "" for what is simply shown; "mk" for a mark that is not seen, "br" for one that begins a new line, "dots" for a long run of
    dots, "sep" for a pipe between cells of a row that stands alone. `marks` are the kinds of all marked spans over it, None outside of them.
    `id` is the name of a marked span that begins here, `stops` are the places with a name right before it.
    """

    text: str
    look: str = ""
    strong: bool = False
    marks: tuple[str, ...] | None = None
    id: str = ""
    stops: tuple[Stop, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table; `head` names its column, `span` is how many columns it is wide."""

    runs: tuple[Run, ...]
    head: bool = False
    span: int = 1
    align: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a list; `own` where its sign is among the letters that are shown, `depth` from 0."""

    runs: tuple[Run, ...]
    own: bool = False
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one kind.

    paragraph, heading (with its `level` from 1) and rule have `runs`; list has `items`, table `rows`; gap is line breaks between
    blocks, which are not seen; stop has no letters and says that a place with the name `id` begins.
    """

    kind: Literal["paragraph", "heading", "rule", "list", "table", "gap", "stop"]
    runs: tuple[Run, ...] = ()
    items: tuple[Item, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    level: int = 0
    id: str = ""
    label: str = ""
    number: int = 0

    @property
    def head(self) -> bool:
        """Whether a table's first row names its columns."""
        return bool(self.rows) and any(cell.head for cell in self.rows[0])

    def all_runs(self) -> Iterator[Run]:
        """The runs in the order of the text."""
        yield from self.runs
        for item in self.items:
            yield from item.runs
        for row in self.rows:
            for cell in row:
                yield from cell.runs

    @property
    def text(self) -> str:
        """All letters of it, seen or not."""
        return "".join(run.text for run in self.all_runs())


def blocks(
    text: str,
    marks: Sequence[tuple[int, int] | Marked] = (),
    *,
    headings: Sequence[Headline] = (),
    stops: Sequence[Stop] = (),
) -> tuple[Block, ...]:
    """The blocks of a slice in order; all offsets are into the slice, and spans that reach beyond it are cut.

    A heading's level is never more than one deeper than the one before it. `"".join(block.text …) == text`, always.

    >>> [block.kind for block in blocks("# 手数料\\n\\n| 区分 | 額 |\\n|---|---|\\n| 窓口 | 300円 |\\n")]
    ['heading', 'gap', 'table', 'gap']
    """
    found = list(_Reader(text, [Marked(*mark) for mark in marks], headings, stops).blocks())
    shown: list[Block] = []
    level = tables = 0
    for block in found:
        if block.kind == "heading":
            level = min(block.level, level + 1)
            block = replace(block, level=level)
        elif block.kind == "table":
            tables += 1
            block = replace(block, number=tables)
        shown.append(block)
    return tuple(shown)


# ---------------------------------------------------------------- letters


class _Piece(NamedTuple):
    """A span of the slice with its look."""

    start: int
    end: int
    look: str = ""
    strong: bool = False


_INLINE = re.compile(
    # 「**全庁的な推進体制**」
    r"\*\*(?P<strong>[^\s*](?:[^*]{0,400}[^\s*])?)\*\*"
    # 「配置する。**」: what is left of one that begins or ends outside of the slice
    r"|(?P<cut>(?<![^\n|])\*\*(?=\S)|(?<=\S)\*\*(?=\s*\Z))"
    # 「<br>」「<ul style="list-style-type: none">」 in a cell, where a converter found no other way to break a line
    r"|(?P<tag></?(?:br|ul|ol|li|p)(?:\s{1,3}[a-z-]{1,20}=\"[^\"<>\n]{0,200}\")*\s{0,3}/?>)"
    # 「……… 12」「. . . . . . 4」
    r"|(?P<dots>(?:[.．・·･] ?){6,}+|(?:[…‥] ?){4,}+|[-─━―_＿]{8,}+)",
    re.IGNORECASE,
)


class _Painter:
    """Cuts spans of a text into runs, where a mark begins or ends and where a name stands."""

    def __init__(self, text: str, marks: Sequence[Marked], stops: Iterable[Stop]) -> None:
        self.text = text
        size = len(text)
        spans = [
            mark._replace(start=max(0, mark.start), end=min(size, mark.end))
            for mark in marks
            if max(0, mark.start) < min(size, mark.end)
        ]
        self._ids: dict[int, str] = {}
        self._stops: dict[int, tuple[Stop, ...]] = {}
        for stop in stops:
            self._stops[stop.offset] = (*self._stops.get(stop.offset, ()), stop)
        for mark in spans:
            if mark.id and self._ids.setdefault(mark.start, mark.id) != mark.id:
                self._stops[mark.start] = (
                    *self._stops.get(mark.start, ()),
                    Stop(mark.start, mark.id),
                )
        points = {0, size, *self._stops}
        for mark in spans:
            points |= {mark.start, mark.end}
        self._points = sorted(points)
        begin: dict[int, list[str]] = {}
        end: dict[int, list[str]] = {}
        for mark in spans:
            begin.setdefault(mark.start, []).append(mark.kind)
            end.setdefault(mark.end, []).append(mark.kind)
        open_kinds: Counter[str] = Counter()
        self._open: list[tuple[str, ...] | None] = []
        for point in self._points:
            open_kinds.subtract(end.get(point, []))
            open_kinds.update(begin.get(point, []))
            kinds = tuple(sorted(kind for kind, count in open_kinds.items() if count > 0))
            self._open.append(kinds or None)

    def runs(self, pieces: Iterable[_Piece]) -> tuple[Run, ...]:
        """The runs of neighbouring pieces."""
        found: list[Run] = []
        for start, end, look, strong in pieces:
            at = start
            place = bisect_right(self._points, at) - 1
            while at < end:
                stop = min(end, self._points[place + 1])
                found.append(
                    Run(
                        self.text[at:stop],
                        look,
                        strong,
                        self._open[place],
                        self._ids.get(at, ""),
                        self._stops.get(at, ()),
                    )
                )
                at, place = stop, place + 1
        return tuple(found)

    def without(self, offset: int) -> tuple[Stop, ...]:
        """The names at a place, which are then no longer part of a run."""
        return self._stops.pop(offset, ())


def _words(text: str, start: int, end: int, strong: bool = False) -> Iterator[_Piece]:
    """The pieces of the words of a line, a cell or a paragraph."""
    at = start
    for found in _INLINE.finditer(text, start, end):
        if at < found.start():
            yield _Piece(at, found.start(), "", strong)
        at = found.end()
        if found["strong"]:
            yield _Piece(found.start(), found.start("strong"), "mk", strong)
            yield from _words(text, *found.span("strong"), strong=True)
            yield _Piece(found.end("strong"), at, "mk", strong)
        elif found["cut"]:
            yield _Piece(found.start(), at, "mk", strong)
        elif found["tag"]:
            breaks = found["tag"][1:3].lower() in {"br", "li"}
            yield _Piece(found.start(), at, "br" if breaks else "mk", strong)
        else:
            yield _Piece(found.start(), at, "dots", strong)
    if at < end:
        yield _Piece(at, end, "", strong)


# ---------------------------------------------------------------- lines

_SPACE = " \t\u3000\xa0"
# 「- 項目」「- ・ 項目」「・項目」「　・項目」
_ITEM = re.compile(
    r"(?P<indent>[ \t\u3000]{0,40})(?:(?P<dash>[-*+][ \t]{1,8})(?P<inner>[・○●◎◦■◆□◇▪➤►▶➢※☆★✓‣•–①-⑳])?|[・•‣◦▪])(?=[^\n]{0,8}[^\s])"
)
# 「---」「* * *」
_RULE = re.compile(r"[ \t]{0,3}(?:(?:-[ \t]?){3,200}|(?:\*[ \t]?){3,200}|(?:_[ \t]?){3,200})[ \t]*")
# 「|」 and 「- |」 before the first cell
_BAR = re.compile(r"[ \t\u3000]{0,40}(?:[-*+][ \t]{1,8})?\|")
_PIPE = re.compile(r"(?<!\\)\|")
_DELIMITER = re.compile(r"\s*:?-{1,1000}:?\s*")
_CLOSING = re.compile(r"[ \t]{1,40}#{1,40}[ \t]*$")


class _Line(NamedTuple):
    """A line: its words are `start:end`, its line break ends at `after`."""

    start: int
    end: int
    after: int


class _Reader:
    """Reads the lines of a slice from the first to the last."""

    def __init__(
        self, text: str, marks: Sequence[Marked], headings: Sequence[Headline], stops: Sequence[Stop]
    ) -> None:
        self.text = text
        self.lines: list[_Line] = []
        at = 0
        for piece in text.split("\n"):
            after = min(len(text), at + len(piece) + 1)
            if at < after:
                self.lines.append(_Line(at, at + len(piece), after))
            at += len(piece) + 1
        self._starts = [line.start for line in self.lines]
        self._tables: dict[
            int, int
        ] = {}  # how many lines of a table begin with a line, of the lines looked at
        self._ragged: set[int] = set()  # lines of rows that are not one table
        self.headings = {h.start: h for h in headings}
        at_start = set(self._starts)
        for h in headings:
            if 0 <= h.start < len(text) and h.start not in at_start and h.id:
                stops = [*stops, Stop(h.start, h.id)]
        self._at_start = {s.offset for s in stops if s.offset in at_start}
        self._painter = _Painter(text, marks, [s for s in stops if 0 <= s.offset < len(text)])

    def blocks(self) -> Iterator[Block]:
        """The blocks in order."""
        place = 0
        while place < len(self.lines):
            line = self.lines[place]
            for stop in self._painter.without(line.start) if line.start in self._at_start else ():
                yield Block("stop", id=stop.id, label=stop.label)
            heading = self.headings.get(line.start)
            if self._blank(line):
                if heading is not None and heading.id:
                    yield Block("stop", id=heading.id)
                after = self._after_blanks(place + 1)
                yield self._gap(line.start, self.lines[after - 1].after)
                place = after
                continue
            found: Block | None = None
            count = 0
            if heading is not None:
                found, count = self._known_heading(place, heading)
                if found is None and heading.id:
                    yield Block("stop", id=heading.id)
            if found is None:
                found, count = self._form(place)
            yield found
            last = self.lines[place + count - 1]
            place = self._after_blanks(place + count)
            if last.end < self.lines[place - 1].after:
                yield self._gap(last.end, self.lines[place - 1].after)

    # ---- what a line is

    def _blank(self, line: _Line) -> bool:
        return not self.text[line.start : line.end].strip()

    def _after_blanks(self, place: int) -> int:
        """The first line from one on that is not blank, or that something with a name begins with."""
        while place < len(self.lines) and self._blank(self.lines[place]) and not self._cut(place):
            place += 1
        return place

    def _cut(self, place: int) -> bool:
        """Whether something with a name begins with a line, so that no block goes on over it."""
        start = self.lines[place].start
        return start in self._at_start or start in self.headings

    def _following(self, place: int) -> bool:
        """Whether a line may go on with the block before it."""
        return place < len(self.lines) and not self._blank(self.lines[place]) and not self._cut(place)

    def _form(self, place: int) -> tuple[Block, int]:
        """The block that begins with a line, and how many lines it has."""
        line = self.lines[place]
        words = self.text[line.start : line.end]
        if MARKDOWN.match(words):
            return self._heading(place, 1), 1
        if _RULE.fullmatch(words):
            return Block("rule", self._painter.runs([_Piece(line.start, line.end, "mk")])), 1
        table = self._table(place)
        if table is not None:
            return table
        if self._item(line) is not None:
            return self._list(place)
        after = place + 1
        while self._following(after) and self._goes_on(after):
            after += 1
        pieces: list[_Piece] = []
        if self.text.find("|", line.start, self.lines[after - 1].end) < 0:
            # together: 「**地域\nコイン**」 goes over a line break
            pieces += _words(self.text, line.start, self.lines[after - 1].end)
        else:
            for number in range(place, after):
                pieces += self._plain(self.lines[number])
                if number + 1 < after:
                    pieces.append(_Piece(self.lines[number].end, self.lines[number].after))
        return Block("paragraph", self._painter.runs(pieces)), after - place

    def _goes_on(self, place: int) -> bool:
        """Whether a line is nothing but words."""
        line = self.lines[place]
        words = self.text[line.start : line.end]
        return not (
            MARKDOWN.match(words)
            or _RULE.fullmatch(words)
            or self._item(line) is not None
            or self._table_lines(place)
        )

    def _plain(self, line: _Line) -> Iterator[_Piece]:
        """A line of words; the pipes of a row that stands alone are kept, as lines between its cells."""
        if not _BAR.match(self.text, line.start, line.end) or self.text.count("|", line.start, line.end) < 2:
            yield from _words(self.text, line.start, line.end)
            return
        at = line.start
        for found in _PIPE.finditer(self.text, line.start, line.end):
            yield from _words(self.text, at, found.start())
            yield _Piece(found.start(), found.end(), "sep")
            at = found.end()
        yield from _words(self.text, at, line.end)

    # ---- headings

    def _known_heading(self, place: int, heading: Headline) -> tuple[Block | None, int]:
        """A heading as it is known; None where it names a row of a table or all lines of a record."""
        last = bisect_left(self._starts, heading.end)
        count = max(1, last - place)
        if count > _HEADING_LINES or _BAR.match(self.text, heading.start) or self._table_lines(place):
            return None, 0
        if not all(self._following(number) for number in range(place + 1, last)):
            return None, 0
        return self._heading(place, count, heading.level, heading.id), count

    def _heading(self, place: int, count: int, level: int = 0, name: str = "") -> Block:
        pieces: list[_Piece] = []
        for number in range(place, place + count):
            line = self.lines[number]
            begin, end = line.start, line.end
            found = MARKDOWN.match(self.text[begin:end])
            item = None if found else self._item(line)
            if found:
                level = level or len(found[1])
                pieces.append(_Piece(begin, begin + found.end() - 1, "mk"))
                begin += found.end() - 1
                closing = _CLOSING.search(self.text, begin, end)
                if closing:
                    end = closing.start()
            elif item is not None and item["dash"]:
                pieces.append(_Piece(begin, item.end("dash"), "mk"))
                begin = item.end("dash")
            pieces += _words(self.text, begin, end)
            if end < line.end:
                pieces.append(_Piece(end, line.end, "mk"))
            if number + 1 < place + count:
                pieces.append(_Piece(line.end, line.after))
        runs = self._painter.runs(pieces)
        return Block("heading", runs, level=min(max(level, 1), _MAX_LEVEL), id=name)

    # ---- lists

    def _item(self, line: _Line) -> re.Match[str] | None:
        found = _ITEM.match(self.text, line.start, line.end)
        if found is None or PAGE_NUMBER.match(self.text[line.start : line.end].strip()):
            return None
        if _BAR.match(self.text, line.start, line.end):
            return None
        return found

    def _list(self, place: int) -> tuple[Block, int]:
        """Items that stand together, one blank line between two of them at most; a line without a sign goes on with its item."""
        items: list[Item] = []
        at = place
        first = self._item(self.lines[place])
        dash = bool(first and first["dash"])
        while True:
            line = self.lines[at]
            found = self._item(line)
            assert found is not None
            own = not found["dash"] or bool(found["inner"])
            begin = found.end("dash") if found["dash"] else found.end("indent")
            pieces = [_Piece(line.start, begin, "mk")] if begin > line.start else []
            pieces += _words(self.text, begin, line.end)
            at += 1
            while self._following(at) and self._goes_on(at):
                pieces.append(_Piece(self.lines[at - 1].end, self.lines[at - 1].after))
                pieces += self._plain(self.lines[at])
                at += 1
            again = at
            if again < len(self.lines) and self._blank(self.lines[again]) and not self._cut(again):
                again += 1
            following = (
                self._item(self.lines[again])
                if self._following(again) and not self._table_lines(again)
                else None
            )
            goes_on = following is not None and bool(following["dash"]) == dash
            if goes_on:  # the line break, and a blank line, belong to the item before
                pieces.append(_Piece(self.lines[at - 1].end, self.lines[again].start, "mk"))
            items.append(Item(self._painter.runs(pieces), own, _depth(found["indent"])))
            if not goes_on:
                return Block("list", items=tuple(items)), at - place
            at = again

    # ---- tables

    def _row_kind(self, place: int) -> str:
        """bar: `| a | b |`; tab: cells with tabs between; inner: `a | b`; "" for no row."""
        line = self.lines[place]
        if _BAR.match(self.text, line.start, line.end):
            return "bar" if self.text.count("|", line.start, line.end) >= 2 else ""
        if self.text.find("\t", line.start, line.end) >= 0:
            return "tab"
        return "inner" if self.text.find("|", line.start, line.end) >= 0 else ""

    def _table_lines(self, place: int) -> int:
        """How many lines from this one on form a table; 0 for none."""
        known = self._tables.get(place)
        if known is not None:
            return known
        kind = self._row_kind(place)
        count = 0
        if kind:
            rows = self._alike(place, kind)
            count = self._tabular(kind, rows)
            if not count and len(rows) > 1 and place not in self._ragged:
                self._ragged.update(range(place, place + len(rows)))
                return self._table_lines(place)
            # rows that form no table form none from a later one on: each line is looked at a few times at the most
            self._tables.update((number, 0) for number in range(place + 1, place + len(rows)))
        self._tables[place] = count
        return count

    def _alike(self, place: int, kind: str) -> list[list[tuple[int, int]]]:
        """The rows of one kind from a line on; with equally many cells where pipes stand only between cells, and where rows that
        stand together differ too much to be one table."""
        rows = [self._cells(place, kind)]
        equal = kind == "inner" or place in self._ragged
        for after in range(place + 1, len(self.lines)):
            if not self._following(after) or self._row_kind(after) != kind:
                break
            row = self._cells(after, kind)
            if equal and len(row) != len(rows[0]):
                break
            rows.append(row)
        return rows

    def _tabular(self, kind: str, rows: list[list[tuple[int, int]]]) -> int:
        """How many rows of one kind form a table: all of them, where half have equally many cells, or none."""
        widths = Counter(len(row) for row in rows)
        width, often = max(widths.items(), key=lambda pair: (pair[1], pair[0]))
        if often < 2 or 2 * often < len(rows) or max(widths) > MAX_COLUMNS:
            return 0
        if kind != "bar" and (width < 2 or not any(self._filled(row) >= 2 for row in rows)):
            return 0  # 「\t文」: an indented line has no cells
        return len(rows) if any(self._filled(row) and not self._delimits(row) for row in rows) else 0

    def _filled(self, row: Sequence[tuple[int, int]]) -> int:
        return sum(bool(self.text[start:end].strip()) for start, end in row)

    def _delimits(self, row: Sequence[tuple[int, int]]) -> bool:
        """`|---|:--:|`"""
        return all(_DELIMITER.fullmatch(self.text, start, end) for start, end in row)

    def _cells(self, place: int, kind: str) -> list[tuple[int, int]]:
        """The spans of a row's cells, without what stands between them."""
        line = self.lines[place]
        start, end = line.start, line.end
        if kind == "tab":
            cuts = [at for at in range(start, end) if self.text[at] == "\t"]
        else:
            cuts = [found.start() for found in _PIPE.finditer(self.text, start, end)]
        if kind == "bar" and cuts:
            start = cuts.pop(0) + 1
            if cuts and not self.text[cuts[-1] + 1 : end].strip():
                end = cuts.pop()
        cells = []
        for cut in cuts:
            cells.append((start, cut))
            start = cut + 1
        return [*cells, (start, end)]

    def _table(self, place: int) -> tuple[Block, int] | None:
        count = self._table_lines(place)
        if not count:
            return None
        kind = self._row_kind(place)
        rows = [self._cells(number, kind) for number in range(place, place + count)]
        kinds = [
            "rule" if kind != "tab" and self._delimits(row) else "row" if self._filled(row) else "empty"
            for row in rows
        ]
        if "row" not in kinds:
            return None
        first = kinds.index("row")
        ruled = first + 1 < count and kinds[first + 1] == "rule" and "row" in kinds[first + 1 :]
        head = ruled or ("rule" not in kinds and self._names_columns([r for r in rows if self._filled(r)]))
        align = self._alignment(rows[kinds.index("rule")]) if "rule" in kinds else []
        width = max(len(row) for row, what in zip(rows, kinds, strict=True) if what == "row")
        shown: list[tuple[Cell, ...]] = []
        at = self.lines[place].start
        for number in range(first, count):
            if kinds[number] != "row":
                continue
            after = number + 1
            while after < count and kinds[after] != "row":
                after += 1
            # rules and empty rows are kept unseen at the end of the row before them
            stop = self.lines[place + count - 1].end if after == count else self.lines[place + after].start
            cells: list[Cell] = []
            row = rows[number]
            for column, (begin, end) in enumerate(row):
                last = column + 1 == len(row)
                until = stop if last else row[column + 1][0]
                pieces = [_Piece(at, begin, "mk")] if at < begin else []
                pieces += _words(self.text, begin, end)
                if end < until:
                    pieces.append(_Piece(end, until, "mk"))
                at = until
                cells.append(
                    Cell(
                        self._painter.runs(pieces),
                        head and number == first and bool(self.text[begin:end].strip()),
                        width - column if last else 1,
                        align[column] if column < len(align) else "",
                    )
                )
            shown.append(tuple(cells))
        return Block("table", rows=tuple(shown)), count

    def _alignment(self, rule: Sequence[tuple[int, int]]) -> list[str]:
        words = [self.text[start:end].strip() for start, end in rule]
        return [("center" if word.startswith(":") else "end") if word.endswith(":") else "" for word in words]

    def _names_columns(self, rows: Sequence[Sequence[tuple[int, int]]]) -> bool:
        """Whether the first row names the columns, where no rule under it says so.

        Its cells are short, all there, all different and without figures, and below one of them stand figures only; or
        there are many columns and what stands below is much longer.
        """
        table = [[self.text[start:end].strip() for start, end in row] for row in rows]
        names, body = table[0], table[1:]
        if not body or len(set(names)) < len(names) or len(names) < 2:
            return False
        if any(not name or len(name) > _HEAD_CHARS or _FIGURE.search(name) for name in names):
            return False
        for column in range(len(names)):
            values = [row[column] for row in body if column < len(row) and row[column]]
            if values and all(_FIGURE.search(value) for value in values):
                return True
        lengths = sorted(len(value) for row in body for value in row if value)
        middle = lengths[len(lengths) // 2] if lengths else 0
        return len(names) >= _HEAD_COLUMNS and middle >= 2 * max(len(name) for name in names)

    # ---- what is not seen

    def _gap(self, start: int, end: int) -> Block:
        return Block("gap", self._painter.runs([_Piece(start, end, "mk")]))


_FIGURE = re.compile(r"[0-9０-９]")


def _depth(indent: str) -> int:
    """How deep an item stands, by the width of the space before it."""
    width = sum({"\t": 4, "\u3000": 2}.get(sign, 1) for sign in indent)
    return min(width // 2, _MAX_DEPTH)
