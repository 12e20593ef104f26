"""From the lines of all pages to one canonical text: paragraphs, headings, what recurs on every page.

In: the lines of each page in reading order. Out: the text, where each page begins in it, and its headings. Lines that
only the width of a column broke are joined, over columns and pages too; page numbers and running heads leave. All rules
speak of place, size and form. Knows nothing of PDF.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from corpus.readers.pdf_layout import EDGE, Line, PageLines, glue
from corpus.structure import BULLET, DATE_ONLY, LABELLED, NUMBERED, PICTURE_GAP, QUESTION_MARK

MAX_LEVEL = 9
"""Depth of headings that a Mark may have."""
_EDGE_LINES = 4
_LARGER = 1.15  # times the size of the text, from which a line is clearly larger
_LINE_CHARS = 12  # of a line that may tell where lines end
_HEADING_CHARS = 90
_HEADING_SHARE = 0.3  # of all characters: what is set larger than this much is text
_COVER_CHARS = 250

_BULLET_MARK = re.compile("^[•‣◦▪⁃∙\u00b7\uf06c\uf06e\uf071\uf076\uf09f\uf0a7\uf0a8\uf0b7\uf0d8\uf0fc]\\s*")
# 「- 3 -」「3 / 40」「p. 5」「３ページ」「12」「iv」
_PAGE_NUMBER = re.compile(
    r"^(?:[-–—―－‐~〜]\s*)?(?:[pPｐＰ][.．]?\s*)?(?:第\s*)?(?P<number>[0-9０-９]{1,4}|[ivxlc]{1,7})(?:\s*[-–—―－‐~〜]|\s*[/／]\s*[0-9０-９]{1,4}|\s*(?:ページ|頁))?$"
)
# 「2.1 方針 . . . . . . 4」 a row of the contents
_LEADER = re.compile(r"(?:[.．・…‥·]\s*){3,}[0-9０-９ivxlc]{1,4}$")
_SPACED_DOTS = re.compile(r"(?:[.．・…‥·] ){3,}[.．・…‥·]")
_HANGING = ("。", "、", "．", "，")
# 「| 4 市役所の窓口 | 【青葉野市】 | 12 |」 a row that is written with bars
_BAR = "|"
_NUMBERS = re.compile(r"[0-9０-９]+")
_PITCH = 1.8
"""The distance from line to line, in sizes, where a file does not show it."""
_END = re.compile(r"[。．！？!?」』）)】〕》>＞:：]$")
# 「ア 計画」「(ア) 計画」「注1 …」 begin a line of their own, though they are no bullets
_OPENS = re.compile(r"^(?:[■◆□◇▼▽●○◎▶►➤➢★☆※→⇒]|[（(][ア-ンa-z0-9０-９]{1,2}[)）]|注\s*\d)")


@dataclass(slots=True)
class _Part:
    """A paragraph, an item, a heading or a row of a table: one line of the text.

    `breaks` are the places in `text` at which a new page begins, with the page. `head` is the first row of the table
    that a row goes on with. `key` is None for what is no heading; the smaller one is the outer heading.
    """

    text: str
    lines: list[Line]
    page: int
    item: bool
    breaks: list[tuple[int, int]]
    head: _Part | None = None
    key: tuple[float, ...] | None = None

    @property
    def first(self) -> Line:
        return self.lines[0]

    @property
    def last(self) -> Line:
        return self.lines[-1]


def text_of(pages: Sequence[PageLines]) -> tuple[str, list[int], list[list[int]]]:
    """The text, the offset at which each page begins, and the headings as [start, end, level] in order."""
    kept = _without_furniture(pages)
    body = _body_size(kept)
    margins = _margins(kept, body)
    pitch = _pitch(kept, margins)
    parts: list[_Part] = []
    for number, lines in enumerate(kept):
        parts.extend(_parts(lines, number, margins, pitch, body, parts))
    _mark_headings(parts, body, pages)
    return _write(parts, len(pages), pitch)


# ---------------------------------------------------------------- what recurs on every page


def _without_furniture(pages: Sequence[PageLines]) -> list[list[Line]]:
    """The lines of each page without page numbers, without what stands in the same place on most pages, and without
    a head that the page before had (its first one stays: it may name a chapter)."""
    edges = [_edge_lines(page) for page in pages]
    numbers = _page_numbers(edges, [page.label for page in pages])
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for page, lines in enumerate(edges):
        for line in lines:
            if id(line) not in numbers:
                places[_place(line, pages[page]), _words(line)].append(page)
    often = max(3, (len(pages) + 1) // 2)
    # the same words with another number: 「第3回会議 資料2  3」
    masked: Counter[tuple[str, str]] = Counter()
    for (place, words), where in places.items():
        masked[place, _NUMBERS.sub("#", words)] += len(where)
    gone = set(numbers)
    body = _body_size([page.lines for page in pages])
    for (place, words), where in places.items():
        own = set(where)
        recurs = len(where) >= often
        counts = (
            bool(_NUMBERS.search(words))
            and masked[place, _NUMBERS.sub("#", words)] >= often
            and _counts_pages(edges, pages, place, words)
        )
        for page in where:
            line = next(x for x in edges[page] if _place(x, pages[page]) == place and _words(x) == words)
            repeated = (page - 1 in own or page - 2 in own) and line.size <= 1.05 * body and not line.tag
            # 「事例1」「事例2」 at the top of each page is a title and no page number
            small = place.startswith("bottom") or line.size <= 0.95 * body
            if recurs or repeated or (counts and small):
                gone.add(id(line))
    return [_rejoined([line for line in page.lines if id(line) not in gone]) for page in pages]


def _rejoined(lines: list[Line]) -> list[Line]:
    """Lines beside one another are one line where both stay."""
    out: list[Line] = []
    for line in lines:
        last = out[-1] if out else None
        if (
            line.beside
            and last is not None
            and last.cells is None
            and abs(last.v1 - line.v1) < 0.5 * line.size
        ):
            last.text += " " + line.text
            last.u1 = max(last.u1, line.u1)
        else:
            out.append(line)
    return out


def _edge_lines(page: PageLines) -> list[Line]:
    """The first and last lines of a page by place, where these stand near its edge."""
    lines = [line for line in page.lines if line.text and line.box[3] > 0]
    top = sorted(lines, key=lambda line: line.box[1])[:_EDGE_LINES]
    bottom = sorted(lines, key=lambda line: -line.box[3])[:_EDGE_LINES]
    found = [line for line in top if line.box[3] <= EDGE * page.height]
    found += [line for line in bottom if line.box[1] >= (1 - EDGE) * page.height and line not in found]
    return found


def _place(line: Line, page: PageLines) -> str:
    """The height at which a line stands, from the edge that it is near to."""
    if line.box[1] < page.height / 2:
        return f"top {round(line.box[1] / 4)}"
    return f"bottom {round((page.height - line.box[3]) / 4)}"


def _words(line: Line) -> str:
    return "".join(line.text.split())


def _page_numbers(edges: list[list[Line]], labels: list[str]) -> set[int]:
    """Lines that are the number of their page: they go up by one from page to page, say what the file calls the page, or
    are a number in dashes."""
    candidates: list[tuple[int, Line, int]] = []
    for page, lines in enumerate(edges):
        for line in lines:
            found = _PAGE_NUMBER.match(line.text.strip())
            if found:
                number = _value(found["number"])
                if number is not None:
                    candidates.append((page, line, number - page))
    offsets = Counter(offset for _, _, offset in candidates)
    usual = {offset for offset, count in offsets.items() if count >= 2}
    return {
        id(line)
        for page, line, offset in candidates
        if offset in usual
        or line.text.strip() == (labels[page] or str(page + 1))
        or not line.text.strip().isalnum()
    }


def _value(number: str) -> int | None:
    if number.isdigit():
        return int(number)
    values = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
    total = 0
    for char, following in zip(number, [*number[1:], ""], strict=True):
        value = values[char]
        total += -value if following and values[following] > value else value
    return total


def _counts_pages(edges: list[list[Line]], pages: Sequence[PageLines], place: str, words: str) -> bool:
    """Whether the number in lines of one place goes up with the pages: a page number with words around it."""
    pattern = _NUMBERS.sub("#", words)
    offsets: Counter[tuple[int, int]] = Counter()
    seen = 0
    for page, lines in enumerate(edges):
        for line in lines:
            own = _words(line)
            if _place(line, pages[page]) == place and _NUMBERS.sub("#", own) == pattern:
                seen += 1
                offsets.update((at, int(n) - page) for at, n in enumerate(_NUMBERS.findall(own)))
    return bool(offsets) and offsets.most_common(1)[0][1] * 3 >= seen * 2


# ---------------------------------------------------------------- measures of the whole file


def _body_size(pages: Iterable[Sequence[Line]]) -> float:
    """The size in which most of the text is set, tables apart."""
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            if line.cells is None:
                sizes[round(2 * line.size) / 2] += len(line.text)
    return max(sizes, key=lambda size: (sizes[size], -size)) if sizes else 10.0


def _margins(pages: Sequence[Sequence[Line]], body: float) -> dict[tuple[int, str, int], float]:
    """For each kind of column the end of its full lines: the furthest that several lines of text reach."""
    ends: dict[tuple[int, str, int], list[float]] = defaultdict(list)
    others: dict[tuple[int, str, int], list[float]] = defaultdict(list)
    for lines in pages:
        for line in lines:
            if line.cells is None:
                text = line.size <= _LARGER * body and len(line.text) >= _LINE_CHARS
                # a full stop may hang out of the column
                hangs = line.size if line.text.endswith(_HANGING) else 0.0
                (ends if text else others)[_column(line)].append(line.u1 - hangs)
    margins = {key: max(reached) for key, reached in others.items()}
    for key, reached in ends.items():
        reached.sort(reverse=True)
        few = min(len(reached), max(3, len(reached) // 50))
        # where more than a few lines go beyond it, an end that several short lines have is none of the column's
        beyond = 2 + len(reached) // 10
        margins[key] = next(
            (
                end
                for end, other in zip(reached[:beyond], reached[few - 1 :], strict=False)
                if end - other <= 0.4 * body
            ),
            reached[0],
        )
    return margins


def _column(line: Line) -> tuple[int, str, int]:
    """Lines of one column: of one direction and place among columns, for columns side by side of like beginning."""
    return line.direction, line.slot, round(line.u0 / 60) if line.slot else 0


def _full(line: Line, following: Line, end: float) -> bool:
    """Whether the beginning of the next line had no room on this one."""
    unit = min(following.first, 0.5 * (end - line.u0))
    return end - line.u1 < unit + 0.6 * line.size


def _pitch(pages: Sequence[Sequence[Line]], margins: dict[tuple[int, str, int], float]) -> float:
    """The usual distance, in sizes, from a full line to the line that goes on with it.

    Best told by lines that end inside a sentence: on a page of short paragraphs more full lines end one than go on.
    """
    found: list[float] = []
    inside: list[float] = []
    for lines in pages:
        for line, following in pairwise(lines):
            if _beside(line, following) and _full(line, following, margins[_column(line)]):
                distance = (following.v1 - line.v1) / line.size
                if 0.9 < distance < 2.6:
                    found.append(distance)
                    if not _END.search(line.text):
                        inside.append(distance)
    if len(inside) >= 3:
        return median(inside)
    if inside:
        return min(median(inside), _PITCH)
    return median(found) if len(found) >= 3 else _PITCH


def _beside(line: Line, following: Line) -> bool:
    """Whether two lines of one size stand one under the other."""
    return (
        line.cells is None
        and following.cells is None
        and line.region == following.region
        and line.direction == following.direction
        and abs(line.size - following.size) <= 0.08 * line.size
    )


# ---------------------------------------------------------------- paragraphs


def _parts(
    lines: Sequence[Line],
    page: int,
    margins: dict[tuple[int, str, int], float],
    pitch: float,
    body: float,
    before: list[_Part],
) -> list[_Part]:
    """The paragraphs, items and rows of a page; the last paragraph of the page before (the last of `before`) may go on."""
    parts: list[_Part] = []
    ends = _local_ends(lines, margins, pitch)
    for at, line in enumerate(lines):
        last = parts[-1] if parts else before[-1] if before else None
        if line.cells is not None:
            row = "| " + " | ".join(line.cells) + " |"
            row = _SPACED_DOTS.sub(lambda dots: dots[0].replace(" ", ""), row)
            table = last if last is not None and _same_table(last, line, page) else None
            if table is not None and not parts:
                if row == (table.head or table).text:
                    continue  # the head of a table that goes on over a page
                if _row_goes_on(table.last, line):
                    _join_rows(table, line, page)
                    continue
            parts.append(_Part(row, [line], page, False, [], table and (table.head or table)))
            continue
        text = _SPACED_DOTS.sub(lambda dots: dots[0].replace(" ", ""), line.text)
        if last is not None and _goes_on(last, line, lines, at, ends, margins, pitch, page, bool(parts)):
            joint = glue(last.text, text)
            if not parts and last.page != page and (not last.breaks or last.breaks[-1][1] != page):
                last.breaks.append((len(last.text) + len(joint), page))
            last.text += joint + text
            last.lines.append(line)
            continue
        bullet = _BULLET_MARK.match(text)
        if bullet and text[bullet.end() :]:
            text = "・" + text[bullet.end() :]
        parts.append(_Part(text, [line], page, bool(bullet or BULLET.match(text)), []))
    return parts


def _local_ends(
    lines: Sequence[Line], margins: dict[tuple[int, str, int], float], pitch: float
) -> dict[int, float]:
    """The end of full lines where several lines in a row end short of the column's, all alike: a box, a quotation."""
    ends: dict[int, float] = {}
    run: list[Line] = []

    def close() -> None:
        if len(run) >= 4:
            end = max(line.u1 for line in run)
            near = sum(end - line.u1 <= 1.5 * line.size for line in run)
            if near * 10 >= len(run) * 6:
                ends.update((id(line), end) for line in run)

    for line in lines:
        if run and _beside(run[-1], line) and (line.v1 - run[-1].v1) / line.size <= 1.2 * pitch:
            run.append(line)
        else:
            close()
            run = [line]
    close()
    return ends


def _goes_on(
    last: _Part,
    line: Line,
    lines: Sequence[Line],
    at: int,
    ends: dict[int, float],
    margins: dict[tuple[int, str, int], float],
    pitch: float,
    page: int,
    same_page: bool,
) -> bool:
    """Whether a line goes on with the paragraph before it, which only the column's width broke."""
    before = last.last
    if before.cells is not None or before.direction != line.direction:
        return False
    if _LEADER.search(before.text) and not last.text.startswith(_BAR):
        return False
    if abs(before.size - line.size) > 0.08 * before.size or bool(before.tag) != bool(line.tag):
        return False
    same = same_page and before.element == line.element
    if before.element and line.element and same_page and not same:
        return False
    adjacent = same_page and before.region == line.region
    if adjacent and not 0.7 < (line.v1 - before.v1) / line.size <= 1.2 * pitch + 0.1:
        return False
    if last.text.startswith(_BAR) and (line.text.startswith(_BAR) or line.text.endswith(_BAR)):
        # a row ends with a bar: what follows one is the next row, unless it goes on without a bar before it
        return not (line.text.startswith(_BAR) and last.text.endswith(_BAR))
    if line.tag and same and line.element:
        return True
    end = min(ends.get(id(before), float("inf")), margins[_column(before)])
    if not _full(before, line, end):
        return False
    if before.bold != line.bold and len(last.lines) == 1 and before.text.endswith(("。", "？", "?")):
        return False
    if not same or not line.element:
        text = line.text
        if (
            _BULLET_MARK.match(text)
            or LABELLED.match(text)
            or _OPENS.match(text)
            or QUESTION_MARK.match(text)
        ):
            return False
        if BULLET.match(text) and not _inside_sentence(last.text, text):
            return False
        # the first line of a paragraph is set in
        if adjacent and not last.item and line.u0 - before.u0 > 0.7 * line.size and len(last.lines) > 1:
            return False
        if adjacent and len(last.lines) == 1 and line.u0 - before.u0 > 0.7 * line.size and not last.item:
            # only an item hangs; a paragraph of one line before one that is set in is a paragraph of its own
            return not re.search(r"[。！？!?]$", before.text)
    if not adjacent:
        # over a column or a page only a sentence that is not at its end
        return (same and line.element > 0) or (
            not _END.search(last.text)
            and len(last.text) >= 12
            and not NUMBERED.match(line.text)
            and not (line.bold and not before.bold)
        )
    return True


def _inside_sentence(before: str, text: str) -> bool:
    """Whether what looks like an item's mark at a line's beginning is a part of the sentence: 「…は、\\n1.6倍に」."""
    return bool(re.match(r"^[0-9０-９]{1,2}[.．][0-9０-９]", text)) and not re.search(r"[。：:]$", before)


def _same_table(part: _Part, line: Line, page: int) -> bool:
    """Whether a row goes on with a table: the same one, or one of as many columns at the beginning of the next page."""
    cells = part.last.cells
    if cells is None or len(cells) != len(line.cells or ()):
        return False
    return part.page != page or part.last.table == line.table


def _row_goes_on(last: Line, line: Line) -> bool:
    """Whether the first row of a page is the rest of a row that the page's end cut: 「防災無線を聞ける電」「話」."""
    cells, before = line.cells or (), last.cells or ()
    return (
        len(cells) == len(before)
        and not cells[0]
        and all(full for cell, full in zip(cells, last.full, strict=True) if cell)
    )


def _join_rows(part: _Part, line: Line, page: int) -> None:
    cells = zip(part.last.cells or (), line.cells or (), strict=True)
    joined = tuple(one + (glue(one, rest) if rest else "") + rest for one, rest in cells)
    part.lines[-1] = replace(part.last, cells=joined, full=line.full)
    part.text = "| " + " | ".join(joined) + " |"
    part.breaks.append((len(part.text), page))


# ---------------------------------------------------------------- headings


def _mark_headings(parts: list[_Part], body: float, pages: Sequence[PageLines]) -> None:
    """Gives the headings their key: by the file's own tags, else by size and weight."""
    lines = [part for part in parts if part.first.cells is None]
    tagged = [part for part in lines if part.first.tag and _could_head(part)]
    if len(tagged) >= 2:
        for part in tagged:
            part.key = (part.first.tag,)
        return
    total = sum(len(part.text) for part in lines) or 1
    bold = sum(len(part.text) for part in lines if part.first.bold) / total
    groups: dict[tuple[float, bool], list[_Part]] = defaultdict(list)
    for part in lines:
        size = round(2 * part.first.size) / 2
        larger = part.first.size >= _LARGER * body
        if larger or (part.first.bold and bold <= _HEADING_SHARE and part.first.size >= 0.95 * body):
            groups[size if larger else body, part.first.bold].append(part)
    covers = _covers(parts, body)
    following = {id(part): after for part, after in pairwise(parts)}
    for (size, is_bold), members in groups.items():
        heads = [part for part in members if _could_head(part)]
        chars = sum(len(part.text) for part in members)
        if len(heads) * 10 < len(members) * 6 or (chars > _HEADING_SHARE * total and len(members) > 3):
            continue
        for part in heads:
            if part.page in covers and part is not covers[part.page]:
                continue
            if size == body and not _alone(part, following.get(id(part))):
                continue
            part.key = (-size, 0.0 if is_bold else 1.0)


def _could_head(part: _Part) -> bool:
    words = part.text
    letters = re.sub(r"[\W\d_]", "", words)
    return (
        len(letters) >= 2
        and len(words) <= _HEADING_CHARS
        and len(part.lines) <= 4
        and not (words.endswith("。") and len(words) > 45)
        and not words.startswith(("・", "※"))
        and not _LEADER.search(words)
        and not DATE_ONLY.match(words)
        and not LABELLED.match(words)
    )


def _covers(parts: list[_Part], body: float) -> dict[int, _Part]:
    """Of a first page that has few words and no running text the one part that is the title: its largest."""
    first = [part for part in parts if part.page == 0 and part.first.cells is None]
    if (
        not first
        or sum(len(part.text) for part in first) > _COVER_CHARS
        or all(part.page == 0 for part in parts)
        or any(len(part.lines) > 1 and part.text.endswith("。") for part in first)
    ):
        return {}
    able = [part for part in first if _could_head(part)]
    return {0: max(able or first, key=lambda part: part.first.size)}


def _alone(part: _Part, following: _Part | None) -> bool:
    """Whether a bold line of the text's size heads something, and is not one of several bold items or bold text."""
    if len(part.lines) > 1 or len(part.text) > 60 or following is None:
        return False
    return not (
        following.first.bold and (part.item or following.page == part.page) and part.item == following.item
    )


# ---------------------------------------------------------------- the text


def _write(parts: list[_Part], count: int, pitch: float) -> tuple[str, list[int], list[list[int]]]:
    levels = _levels(parts)
    starts: list[int | None] = [None] * count
    marks: list[list[int]] = []
    out: list[str] = []
    size = 0
    for at, part in enumerate(parts):
        if at:
            between = "\n" * (
                1 if _together(parts[at - 1], part, pitch) else 1 + _blank(parts[at - 1], part, pitch)
            )
            out.append(between)
            size += len(between)
        if starts[part.page] is None:
            starts[part.page] = size
        for place, page in part.breaks:
            if starts[page] is None:
                starts[page] = size + place
        if part.key is not None:
            marks.append([size, size + len(part.text), levels[part.key]])
        out.append(part.text)
        size += len(part.text)
    if out:
        out.append("\n")
        size += 1
    # a page without text begins where the next one does
    following = size
    filled: list[int] = []
    for start in reversed(starts):
        following = following if start is None else start
        filled.append(following)
    return "".join(out), filled[::-1], marks


def _levels(parts: list[_Part]) -> dict[tuple[float, ...], int]:
    keys = sorted({part.key for part in parts if part.key is not None})
    if keys and len(keys[0]) == 1:
        return {key: min(MAX_LEVEL, max(1, int(key[0]))) for key in keys}
    return {key: min(MAX_LEVEL, number) for number, key in enumerate(keys, start=1)}


def _blank(one: _Part, other: _Part, pitch: float) -> int:
    """Blank lines between two parts: one, or three where there is room for a picture between them (`PICTURE_GAP`)."""
    last, first = one.last, other.first
    if one.page != other.page or last.region != first.region or last.direction != first.direction:
        return 1
    if last.cells is not None or first.cells is not None:
        return 1
    lines = (first.v1 - last.v1) / (first.size * pitch)
    return PICTURE_GAP if lines >= PICTURE_GAP + 0.2 else 1


def _together(one: _Part, other: _Part, pitch: float) -> bool:
    """Whether two parts stand in one block: rows of a table, items of a list, short lines under one another."""
    if one.key is not None or other.key is not None:
        return False
    if one.first.cells is not None or other.first.cells is not None:
        return other.first.cells is not None and _same_table(one, other.first, other.page)
    last, first = one.last, other.first
    if last.direction != first.direction:
        return False
    near = (
        last.region == first.region
        and one.page == other.page
        and (first.v1 - last.v1) / first.size <= 1.2 * pitch + 0.1
    )
    if one.item and other.item:
        return (
            near
            or one.page != other.page
            or last.region != first.region
            or ((first.v1 - last.v1) / first.size <= 2.2 * pitch and one.text[:1] == other.text[:1])
        )
    if near and one.text.startswith(_BAR) and other.text.startswith(_BAR):
        return True
    short = len(one.lines) == 1 and len(other.lines) == 1 and not re.search(r"[。！？!?]$", one.text)
    return near and short and abs(last.size - first.size) <= 0.08 * first.size and last.bold == first.bold
