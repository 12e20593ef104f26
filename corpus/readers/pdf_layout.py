"""From the glyphs of a page to its lines in reading order: columns, vertical writing, ruled tables.

In: the glyphs and ruled lines of one page. Out: its lines in the order in which they are read, each with its place, size
and weight; a row of a table is one line of cells. Knows nothing of PDF, of other pages, of paragraphs or headings.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from corpus.readers.pdf_glyphs import DOWN, RIGHT, Glyph, PageGlyphs, frame

NO_START = frozenset(
    "、。，．,.!?！？)）]］}｝」』】〉》〕’”ー々・：；:;ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ％%℃…‥"
)
"""What no line begins with: it goes along with the character before it."""
NO_END = frozenset("(（[［{｛「『【〈《〔‘“")
"""What no line ends with."""

_GAP = 1.25  # sizes of blank within a line, from which its two sides may be two columns or cells
_GUTTER = 1.0  # least width, in sizes, of the blank between two columns
EDGE = 0.14
"""Share of a page's height, above and below, in which running heads and page numbers stand."""
_SNAP = 2.5  # points within which ruled lines are one, meet or reach
_MAX_CELLS = 20_000  # of one table: a sheet of 100 × 200
_MAX_CROSSINGS = 250_000  # pairs of ruled lines that are looked at on one page
_MAX_DEPTH = 6  # of columns within columns
_MAX_TRIES = 40  # beginnings of columns that are tried on a page
_CHAIN = 3  # characters that stand one under the other, from which they are vertical writing


@dataclass(slots=True)
class Line:
    """One line, or one row of a table (then `cells` are its cells and `text` is empty).

    u and v are the frame of its direction (see Glyph); `box` is (x0, y0, x1, y1) on the page. `first` is the width of
    what could not be broken at its beginning. `full` says of each cell of a row whether its last line reaches its end. `slot` names its column ("" for none), lines of one `region` stand one under
    the other, rows of one table have its number. Near the edge of a page what stands far apart on one line is several
    lines, all but the first `beside` the one before: a book's name and a chapter's.
    """

    text: str
    u0: float
    u1: float
    v0: float
    v1: float
    size: float
    bold: bool = False
    tag: int = 0
    element: int = 0
    direction: int = RIGHT
    first: float = 0.0
    slot: str = ""
    region: int = 0
    cells: tuple[str, ...] | None = None
    full: tuple[bool, ...] = ()
    table: int = 0
    beside: bool = False
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(slots=True)
class PageLines:
    """The lines of a page in reading order, the page's size in points, and its printed label where that says more than
    its number."""

    width: float
    height: float
    label: str = ""
    lines: list[Line] = field(default_factory=list)


@dataclass(slots=True)
class _Span:
    """Neighbouring glyphs of one line, or a table; `order` is its place in the file."""

    u0: float
    u1: float
    v0: float
    v1: float
    size: float
    order: int
    glyphs: list[Glyph] = field(default_factory=list)
    rows: list[Line] | None = None


@dataclass(slots=True)
class Habits:
    """What a file does alike on all its pages, learned page by page.

    `gaps` is how far apart it sets Japanese and Latin characters that no space divides, in hundredths of a size: word
    processors leave a fifth to a quarter of a size there, browsers nothing; a space that the file does not draw is wider.
    `columns` are the places at which the left and the right one of two columns begin.
    """

    gaps: dict[int, int] = field(default_factory=dict)
    columns: set[tuple[int, int]] = field(default_factory=set)

    def learn(self, page: PageGlyphs) -> None:
        """Takes a page's distances into account."""
        for before, glyph in pairwise(page.glyphs):
            if before.direction == glyph.direction and is_wide(before.char) != is_wide(glyph.char):
                gap = (glyph.u0 - before.u1) / glyph.size
                beside = -0.02 <= gap < 0.5 and abs(glyph.v1 - before.v1) < 0.3 * glyph.size
                if beside and not (before.char.isspace() or glyph.char.isspace()):
                    key = max(0, round(gap * 100))
                    self.gaps[key] = self.gaps.get(key, 0) + 1

    @property
    def mixed(self) -> float:
        """The least blank, in sizes, that is a space between a Japanese and a Latin character."""
        count = sum(self.gaps.values())
        if count < 8:
            return 0.3
        seen = 0
        for gap in sorted(self.gaps):
            seen += self.gaps[gap]
            if 2 * seen >= count:
                return gap / 100 + (0.14 if gap < 8 else 0.025)
        return 0.3


def lines_of(page: PageGlyphs, habits: Habits) -> PageLines:
    """The lines of a page in reading order; `habits` goes from page to page of one file."""
    found = PageLines(page.width, page.height, page.label)
    if page.plain:
        found.lines = [
            Line(text.strip(), 0.0, 0.0, 14.0 * at, 14.0 * at + 10.0, 10.0)
            for at, text in enumerate(page.plain.split("\n"))
            if text.strip()
        ]
        return found
    _stand_up(page)
    habits.learn(page)
    mixed = habits.mixed
    main = _main_direction(page)
    tables, glyphs = _tables(page, main, mixed)
    directions = {glyph.direction for glyph in glyphs} | ({main} if tables else set())
    flows: list[tuple[int, list[Line]]] = []
    for direction in sorted(directions):
        own = [glyph for glyph in glyphs if glyph.direction == direction]
        lines = _flow(
            _spans(own) + (tables if direction == main else []),
            len(flows),
            habits,
            page.height if direction == RIGHT else 0.0,
        )
        for line in lines:
            line.direction = direction
            line.box = _box(line, page)
        if lines:
            flows.append((sum(len(line.text) for line in lines), lines))
    # What is written in another direction than most of the page comes before it where it stands above.
    flows.sort(key=lambda flow: -flow[0])
    if flows:
        most = flows[0][1]
        top = min(line.box[1] for line in most)
        middle = top + 0.2 * (max(line.box[3] for line in most) - top)
        for _, lines in flows[1:]:
            above = [line for line in lines if line.box[3] <= middle]
            below = [line for line in lines if line.box[3] > middle]
            most = [*above, *most, *below]
        found.lines = most
    return found


def is_wide(char: str) -> bool:
    """Whether a character needs no space beside it: Japanese letters, their punctuation, marks and symbols."""
    return char >= "\u2e80" or "\u2010" <= char <= "\u2bff"


def _box(line: Line, page: PageGlyphs) -> tuple[float, float, float, float]:
    if line.direction in {DOWN, 3}:
        x0, x1 = line.v0, line.v1
        y0, y1 = line.u0, line.u1
        if line.direction == DOWN:
            x0, x1 = page.width - line.v1, page.width - line.v0
        else:
            y0, y1 = page.height - line.u1, page.height - line.u0
        return x0, y0, x1, y1
    back = frame(line.direction, page.width, page.height)
    (xa, ya), (xb, yb) = back(line.u0, line.v0), back(line.u1, line.v1)
    return min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)


# ---------------------------------------------------------------- vertical writing


def _stand_up(page: PageGlyphs) -> None:
    """Upright characters that stand one under the other become glyphs of direction DOWN."""
    upright = [glyph for glyph in page.glyphs if glyph.direction == RIGHT and not glyph.char.isspace()]
    chains: list[list[Glyph]] = []
    for before, glyph in zip([None, *upright], upright, strict=False):
        if before is not None and _under(before, glyph):
            chains[-1].append(glyph)
        else:
            chains.append([glyph])
    standing = [
        chain
        for chain in chains
        if len(chain) >= _CHAIN and sum(is_wide(g.char) for g in chain) * 2 > len(chain)
    ]
    if not standing:
        return
    for chain in standing:
        for glyph in chain:
            _turn(glyph, page.width, glyph.v0)
    rest = [glyph for glyph in upright if glyph.direction == RIGHT]
    if sum(glyph.direction == DOWN for glyph in page.glyphs) <= len(rest):
        return
    # On a page of vertical writing, one or two characters in a column, and numbers of two digits set across it.
    runs: list[list[Glyph]] = []
    for glyph in rest:
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and abs(glyph.v0 - last.v0) < 0.2 * last.size
            and 0 <= glyph.u0 - last.u0 < 2 * last.size
        ):
            runs[-1].append(glyph)
        else:
            runs.append([glyph])
    for run in runs:
        size = max(glyph.size for glyph in run)
        if len(run) == 1 or (len(run) <= 4 and run[-1].u1 - run[0].u0 <= 1.3 * size):
            top, left = min(glyph.v0 for glyph in run), run[0].u0
            middle = (left + run[-1].u1 - size) / 2 if len(run) > 1 else left
            for place, glyph in enumerate(run):
                glyph.u0 = middle
                _turn(glyph, page.width, top + place * size / len(run), size / len(run))


def _under(before: Glyph, glyph: Glyph) -> bool:
    size = before.size
    return (
        abs(glyph.size - size) <= 0.1 * size
        and abs((glyph.u0 + glyph.u1) - (before.u0 + before.u1)) <= 0.8 * size
        and abs(glyph.u0 - before.u0) <= 0.5 * size
        and 0.75 * size <= glyph.v0 - before.v0 <= 1.6 * size
    )


def _turn(glyph: Glyph, width: float, top: float, length: float | None = None) -> None:
    left = glyph.u0
    glyph.u0, glyph.u1 = top, top + (glyph.size if length is None else length)
    glyph.v0, glyph.v1 = width - left - glyph.size, width - left
    glyph.direction = DOWN


# ---------------------------------------------------------------- spans and lines


def _spans(glyphs: Iterable[Glyph]) -> list[_Span]:
    """Runs of glyphs that follow one another on a line, in the order of the file."""
    spans: list[_Span] = []
    held: list[Glyph] = []  # spaces, which count only between words
    for glyph in glyphs:
        if glyph.char.isspace():
            held.append(glyph)
            continue
        span = spans[-1] if spans else None
        if span is not None and _follows(span, glyph):
            last = span.glyphs[-1]
            if glyph.char == last.char and abs(glyph.u0 - last.u0) < 0.2 * glyph.size:
                continue  # drawn twice, to look bold
            span.glyphs.extend(space for space in held if span.u0 < space.u0 < glyph.u0)
            span.glyphs.append(glyph)
            span.u1 = max(span.u1, glyph.u1)
            span.v0, span.v1 = min(span.v0, glyph.v0), max(span.v1, glyph.v1)
            span.size = max(span.size, glyph.size)
        else:
            spans.append(_Span(glyph.u0, glyph.u1, glyph.v0, glyph.v1, glyph.size, glyph.order, [glyph]))
        held = []
    return spans


def _follows(span: _Span, glyph: Glyph) -> bool:
    last = span.glyphs[-1]
    shared = min(last.v1, glyph.v1) - max(last.v0, glyph.v0)
    size = max(last.size, glyph.size)
    return (
        shared >= 0.5 * min(last.size, glyph.size)
        and glyph.u0 >= last.u0 - 0.1 * size
        and glyph.u0 - span.u1 <= _GAP * size
        and glyph.u0 - last.u1 >= -1.2 * size
    )


def _rows_of(spans: Sequence[_Span]) -> list[list[_Span]]:
    """Spans that stand beside one another, from the first line to the last, each from its beginning."""
    rows: list[list[_Span]] = []
    heads: list[_Span] = []  # the tallest span of each row
    for span in sorted(spans, key=lambda s: ((s.v0 + s.v1) / 2, s.u0)):
        if rows and span.rows is None and heads[-1].rows is None:
            head = heads[-1]
            shared = min(head.v1, span.v1) - max(head.v0, span.v0)
            if shared >= 0.5 * min(head.v1 - head.v0, span.v1 - span.v0):
                rows[-1].append(span)
                if span.v1 - span.v0 > head.v1 - head.v0:
                    heads[-1] = span
                continue
        rows.append([span])
        heads.append(span)
    return [sorted(row, key=lambda s: s.u0) for row in rows]


def _line(row: Sequence[_Span], mixed: float) -> tuple[Line, list[str]]:
    """A line of spans, and the words of each of its parts that stand far apart."""
    kept: list[_Span] = []
    for span in row:
        twin = kept[-1] if kept else None
        if (
            twin is not None
            and abs(twin.u0 - span.u0) < 0.3 * span.size
            and [g.char for g in twin.glyphs] == [g.char for g in span.glyphs]
        ):
            continue  # a shadow
        kept.append(span)
    parts: list[str] = []
    words, ends = "", 0.0
    # of spans that lie within one another (a raised mark) the glyphs are read by place
    glyphs = [glyph for span in kept for glyph in span.glyphs]
    if any(after.u0 < before.u1 - 0.5 * before.size for before, after in pairwise(kept)):
        glyphs.sort(key=lambda glyph: glyph.u0)
    stretch = _stretch(glyphs)
    last: Glyph | None = None
    space = ""
    for glyph in glyphs:
        if glyph.char.isspace():
            space = space or glyph.char
            continue
        if last is not None:
            gap = glyph.u0 - ends
            size = max(last.size, glyph.size)
            if gap > _GAP * size:
                parts.append(words)
                words = ""
            elif space:
                words += space
            elif gap > _space_width(last.char, glyph.char, mixed, stretch) * size:
                words += " "
        words += glyph.char
        ends = glyph.u1 if last is None else max(ends, glyph.u1)
        last, space = glyph, ""
    parts.append(words)
    visible = [glyph for glyph in glyphs if not glyph.char.isspace()]
    size = _usual(visible)
    line = Line(
        " ".join(parts),
        min(span.u0 for span in kept),
        max(span.u1 for span in kept),
        min(glyph.v0 for glyph in visible if glyph.size >= 0.9 * size),
        max(glyph.v1 for glyph in visible if glyph.size >= 0.9 * size),
        size,
        bold=sum(glyph.bold for glyph in visible) * 2 > len(visible),
        tag=visible[0].tag,
        element=visible[0].element,
        first=_first_width(visible),
    )
    return line, parts


def _stretch(glyphs: Sequence[Glyph]) -> float:
    """How far apart, in sizes, a line sets its Japanese characters to fill its width."""
    gaps = [
        (after.u0 - before.u1) / after.size
        for before, after in pairwise(glyphs)
        if is_wide(before.char) and is_wide(after.char) and not before.char.isspace()
    ]
    return min(0.4, max(0.0, median(gaps))) if gaps else 0.0


def _space_width(before: str, after: str, mixed: float, stretch: float) -> float:
    """The least blank, in sizes, that is a space between two characters and not their usual distance."""
    wide = is_wide(before) + is_wide(after)
    if wide == 0:
        return 0.16 + stretch
    if wide == 1:
        return mixed + stretch
    return 0.7 if before in "、。，．" else 0.16 + stretch


def _usual(glyphs: Sequence[Glyph]) -> float:
    """The size of most glyphs."""
    sizes: dict[float, int] = {}
    for glyph in glyphs:
        key = round(glyph.size, 1)
        sizes[key] = sizes.get(key, 0) + 1
    return max(sizes, key=lambda key: (sizes[key], key))


def _first_width(glyphs: Sequence[Glyph]) -> float:
    """The width of what stands at a line's beginning and could not have been cut: a word, or a character with its marks."""
    at = 0
    while at < len(glyphs) - 1 and glyphs[at].char in NO_END:
        at += 1
    if not is_wide(glyphs[at].char):
        while (
            at + 1 < len(glyphs)
            and not is_wide(glyphs[at + 1].char)
            and glyphs[at + 1].u0 - glyphs[at].u1 < 0.16 * glyphs[at].size
        ):
            at += 1
    while at + 1 < len(glyphs) and glyphs[at + 1].char in NO_START:
        at += 1
    return glyphs[at].u1 - glyphs[0].u0


# ---------------------------------------------------------------- reading order


def _flow(spans: list[_Span], first_region: int, habits: Habits, height: float) -> list[Line]:
    """The lines of one direction in reading order; `height` is the page's, 0 where v does not run along it."""
    if not spans:
        return []
    em = median(span.size for span in spans)
    lines: list[Line] = []
    known = len(habits.columns)
    regions = _regions(spans, em, "", 0, habits.columns)
    if len(habits.columns) > known:  # a few lines side by side are columns where longer ones are
        regions = _regions(spans, em, "", 0, habits.columns)
    for number, (slot, members) in enumerate(regions):
        region = 1000 * first_region + number
        for made in _aligned(_rows_of(members), habits.mixed, height):
            made.slot, made.region = slot, region
            lines.append(made)
    return lines


def _aligned(rows: list[list[_Span]], mixed: float, height: float) -> list[Line]:
    """The lines of a region; rows of three cells and more under one another, which no lines divide, are a table too."""
    read: list[tuple[Line, list[str], list[_Span]] | Line] = []
    for row in rows:
        if row[0].rows is not None:
            read.extend(row[0].rows)
        else:
            line, parts = _line(row, mixed)
            read.append((line, parts, row))
    lines: list[Line] = []
    at = 0
    while at < len(read):
        entry = read[at]
        if isinstance(entry, Line):
            lines.append(entry)
            at += 1
            continue
        stop = at + 1
        while stop < len(read):
            following = read[stop]
            if isinstance(following, Line) or not _same_columns(entry, following):
                break
            stop += 1
        for place in range(at, stop):
            member = read[place]
            if not isinstance(member, Line):
                if stop - at >= 2:
                    member[0].cells, member[0].text = tuple(member[1]), ""
                    member[0].table = -1 - round(entry[0].v0)
                elif member[0].v1 <= EDGE * height or member[0].v0 >= (1 - EDGE) * height > 0:
                    lines.extend(_apart(member[2], mixed))
                    continue
                lines.append(member[0])
        at = stop
    return lines


def _apart(row: Sequence[_Span], mixed: float) -> list[Line]:
    """The parts of a line that stand far apart, each as a line of its own."""
    groups: list[list[_Span]] = []
    end = 0.0
    for span in row:
        if groups and span.u0 - end <= _GAP * span.size:
            groups[-1].append(span)
        else:
            groups.append([span])
        end = span.u1 if len(groups[-1]) == 1 else max(end, span.u1)
    lines = [_line(group, mixed)[0] for group in groups]
    for line in lines[1:]:
        line.beside = True
    return lines


def _same_columns(
    one: tuple[Line, list[str], list[_Span]], other: tuple[Line, list[str], list[_Span]]
) -> bool:
    if len(one[1]) < 3 or len(one[1]) != len(other[1]) or len(one[2]) != len(other[2]):
        return False
    size = one[0].size
    met = sum(
        min(abs(a.u0 - b.u0), abs(a.u1 - b.u1), abs(a.u0 + a.u1 - b.u0 - b.u1) / 2) < 0.6 * size
        for a, b in zip(one[2], other[2], strict=True)
    )
    return met == len(one[2]) and abs(other[0].size - size) < 0.1 * size


def _regions(
    spans: list[_Span], em: float, slot: str, depth: int, known: set[tuple[int, int]]
) -> list[tuple[str, list[_Span]]]:
    """Spans in regions in reading order: bands over the whole width, and columns side by side."""
    if len(spans) < 2 or depth > _MAX_DEPTH:
        return [(slot, spans)]
    bands = _bands(spans)
    found: list[tuple[str, list[_Span]]] = []
    single: list[_Span] = []
    at, tries = 0, 0
    while at < len(bands):
        cut = None
        if tries < _MAX_TRIES:
            cut = _columns(bands, at, em, known)
        if cut is None:
            single.extend(bands[at])
            at += 1
            tries += 1
            continue
        start, stop, middle = cut
        for band in bands[at:start]:
            single.extend(band)
        if single:
            found.append((slot, single))
            single = []
        members = [span for band in bands[start:stop] for span in band]
        left = [span for span in members if span.u1 <= middle]
        right = [span for span in members if span.u1 > middle]
        found.extend(_regions(left, em, slot + "L", depth + 1, known))
        found.extend(_regions(right, em, slot + "R", depth + 1, known))
        at = stop
    if single:
        found.append((slot, single))
    return found


def _bands(spans: list[_Span]) -> list[list[_Span]]:
    """Spans that overlap along v, from the first band to the last; a blank across the whole width divides two."""
    bands: list[list[_Span]] = []
    end = 0.0
    for span in sorted(spans, key=lambda s: s.v0):
        inset = 0.1 * min(span.size, span.v1 - span.v0)
        if bands and span.v0 + inset < end:
            bands[-1].append(span)
        else:
            bands.append([span])
            end = span.v1 - inset
        end = max(end, span.v1 - inset)
    return bands


def _columns(
    bands: list[list[_Span]], start: int, em: float, known: set[tuple[int, int]]
) -> tuple[int, int, float] | None:
    """Whether columns begin with a band: from which band to which, and a place in the blank between them."""
    everything = [span for band in bands[start:] for span in band]
    low, high = min(span.u0 for span in everything), max(span.u1 for span in everything)
    free = [(low, high)]
    stop = start
    while stop < len(bands):
        blank = _without(free, bands[stop], _GUTTER * em)
        # a blank at the edge of all that stands here divides nothing
        members = [span for band in bands[start : stop + 1] for span in band]
        first, last = min(span.u0 for span in members), max(span.u1 for span in members)
        if not any(first < a and b < last for a, b in blank) and stop > start + 1:
            break
        if not blank:
            break
        free = blank
        stop += 1
    members = [span for band in bands[start:stop] for span in band]
    if not members:
        return None
    first, last = min(span.u0 for span in members), max(span.u1 for span in members)
    for a, b in sorted(free, key=lambda gap: gap[0] - gap[1]):
        if not first < a <= b < last:
            continue
        middle = (a + b) / 2
        begin, end = start, stop
        # a line on the right that the file has first stands above both columns: a date
        first_left = min(span.order for span in members if span.u1 <= middle)
        while _one_sided(bands[begin], middle) == 1 and max(s.order for s in bands[begin]) < first_left:
            begin += 1
        # a line on the left that the file has after what stands right above it ends the columns: a title
        last_right = -1
        for number in range(begin, end):
            band = bands[number]
            if 0 <= last_right < min(span.order for span in band) and _one_sided(band, middle) == 0:
                end = number
                break
            last_right = max([last_right, *(span.order for span in band if span.u1 > middle)])
        for last, in_turn in ((end, True), (stop, False)):
            rest = [span for band in bands[begin:last] for span in band]
            left = [span for span in rest if span.u1 <= middle]
            right = [span for span in rest if span.u1 > middle]
            if (
                left
                and right
                and (_follow(left, right, em, known) if in_turn else _fill_both(left, right, em))
            ):
                return begin, last, middle
    return None


def _one_sided(band: list[_Span], middle: float) -> int | None:
    """0 for a band that stands left of a place only, 1 for right of it only, None for both."""
    sides = {int(span.u1 > middle) for span in band}
    return sides.pop() if len(sides) == 1 else None


def _without(free: list[tuple[float, float]], band: list[_Span], least: float) -> list[tuple[float, float]]:
    """What a band leaves free of some intervals, at least so wide."""
    taken = sorted((span.u0, span.u1) for span in band)
    left = []
    for a, b in free:
        for u0, u1 in taken:
            if u1 <= a or u0 >= b:
                continue
            if u0 - a >= least:
                left.append((a, u0))
            a = max(a, u1)
        if b - a >= least:
            left.append((a, b))
    return left


def _follow(left: list[_Span], right: list[_Span], em: float, known: set[tuple[int, int]]) -> bool:
    """Whether two sides are columns because the file has one after the other."""
    sides = [side for _, side in sorted([(s.order, 0) for s in left] + [(s.order, 1) for s in right])]
    least = min(_count(left), _count(right))
    if sum(a != b for a, b in pairwise(sides)) > 1 + least // 10:
        return False
    place = round(min(s.u0 for s in left)), round(min(s.u0 for s in right))
    if any(abs(place[0] - a) <= em and abs(place[1] - b) <= em for a, b in known):
        return True
    if least < 2 or min(_width(left), _width(right)) < 5 * em:
        return False
    if least >= 4:
        known.add(place)
    return True


def _fill_both(left: list[_Span], right: list[_Span], em: float) -> bool:
    """Whether two sides are columns because the lines of both fill their width, as the cells of rows do not."""
    for side in (left, right):
        width, rows = _width(side), _rows_of(side)
        if width < 8 * em or len(rows) < 4:
            return False
        if sum(_width(row) >= 0.85 * width for row in rows) * 10 < 6 * len(rows):
            return False
    return True


def _count(side: list[_Span]) -> int:
    return sum(len(row[0].rows) if row[0].rows is not None else 1 for row in _rows_of(side))


def _width(spans: Sequence[_Span]) -> float:
    return max(span.u1 for span in spans) - min(span.u0 for span in spans)


# ---------------------------------------------------------------- ruled tables


def _main_direction(page: PageGlyphs) -> int:
    """The direction, RIGHT or DOWN, in which most of a page is written."""
    down = sum(glyph.direction == DOWN for glyph in page.glyphs)
    return DOWN if down > sum(glyph.direction == RIGHT for glyph in page.glyphs) else RIGHT


def _tables(page: PageGlyphs, main: int, mixed: float) -> tuple[list[_Span], list[Glyph]]:
    """The ruled tables of a page as spans of its main direction, and the glyphs that stand outside them."""
    rows, bars = page.rows, page.bars
    if main == DOWN:
        rows, bars = bars, [(y, page.width - x1, page.width - x0) for y, x0, x1 in rows]
        rows = [(page.width - x, y0, y1) for x, y0, y1 in rows]
    grids = _grids(rows, bars)
    if not grids:
        return [], page.glyphs
    inside: list[dict[int, list[Glyph]]] = [{} for _ in grids]
    owners: list[int] = []
    for glyph in page.glyphs:
        u, v = (glyph.u0 + glyph.u1) / 2, (glyph.v0 + glyph.v1) / 2
        if glyph.direction != main:  # DOWN tells RIGHT's (x, y) as (y, width - x)
            u, v = (v, page.width - u) if main == DOWN else (page.width - v, u)
        owner = -1
        if glyph.direction in {RIGHT, DOWN}:
            for number, grid in enumerate(grids):
                cell = grid.cell_at(u, v)
                if cell is not None:
                    inside[number].setdefault(cell, []).append(glyph)
                    owner = number
                    break
        owners.append(owner)
    tables: list[_Span] = []
    refused = {-1}
    for number, (grid, cells) in enumerate(zip(grids, inside, strict=True)):
        lines = grid.lines(cells, number + 1, mixed)
        most = max((sum(bool(cell) for cell in line.cells or ()) for line in lines), default=0)
        if most < 2 or len(lines) + most < 4:  # a frame; of one row three cells make a table
            refused.add(number)
            continue
        order = min(glyph.order for own in cells.values() for glyph in own)
        tables.append(
            _Span(grid.xs[0], grid.xs[-1], grid.ys[0], grid.ys[-1], lines[0].size, order, [], lines)
        )
    return tables, [glyph for glyph, owner in zip(page.glyphs, owners, strict=True) if owner in refused]


@dataclass(slots=True)
class _Grid:
    """Ruled lines that hang together: columns between `xs`, rows between `ys`; `owner` gives the cell of each field."""

    xs: list[float]
    ys: list[float]
    owner: list[int]

    def cell_at(self, x: float, y: float) -> int | None:
        if not (self.xs[0] <= x <= self.xs[-1] and self.ys[0] <= y <= self.ys[-1]):
            return None
        column = min(max(bisect_right(self.xs, x) - 1, 0), len(self.xs) - 2)
        row = min(max(bisect_right(self.ys, y) - 1, 0), len(self.ys) - 2)
        return self.owner[row * (len(self.xs) - 1) + column]

    def lines(self, glyphs: dict[int, list[Glyph]], number: int, mixed: float) -> list[Line]:
        """The rows that say something; a cell over several fields speaks in the first of them."""
        width = len(self.xs) - 1
        words: dict[int, tuple[str, bool]] = {}
        for cell, members in glyphs.items():
            column = cell % width
            last = column
            while last + 1 < width and self.owner[cell + last + 1 - column] == cell:
                last += 1
            words[cell] = _cell_text(members, self.xs[column], self.xs[last + 1], mixed)
        used = sorted({cell % width for cell, (text, _) in words.items() if text})
        sizes = [glyph.size for members in glyphs.values() for glyph in members]
        size = median(sizes) if sizes else 1.0
        lines = []
        for row in range(len(self.ys) - 1):
            own = [words.get(row * width + column, ("", False)) for column in used]
            cells = tuple(text for text, _ in own)
            if any(cells):
                lines.append(
                    Line(
                        "",
                        self.xs[0],
                        self.xs[-1],
                        self.ys[row],
                        self.ys[row + 1],
                        size,
                        cells=cells,
                        full=tuple(full for _, full in own),
                        table=number,
                    )
                )
        return lines


def _cell_text(glyphs: list[Glyph], left: float, right: float, mixed: float) -> tuple[str, bool]:
    """The words of a cell, its wrapped lines joined, and whether the last line reaches its end."""
    words: list[str] = []
    full = False
    for direction in (RIGHT, DOWN):
        rows = _rows_of(_spans(glyph for glyph in glyphs if glyph.direction == direction))
        lines = [_line(row, mixed)[0] for row in rows]
        if not lines:
            continue
        padding = min(max(0.0, min(line.u0 for line in lines) - left), 2 * lines[0].size)
        # the words of another direction know nothing of the cell's sides
        end = min(right - padding, max(right - 2 * padding, max(line.u1 for line in lines)))
        if not left <= end <= right:
            end = max(line.u1 for line in lines)
        own = lines[0].text
        for before, line in pairwise(lines):
            full = end - before.u1 < line.first + 0.7 * line.size
            own += (glue(own, line.text) if full else " ") + line.text
        full = end - lines[-1].u1 < 1.7 * lines[-1].size
        words.append(own)
    return " ".join(words).replace("|", "｜"), full


def glue(before: str, after: str) -> str:
    """What stands between two lines of one paragraph: a space between Latin words, else nothing."""
    if not before or not after or is_wide(before[-1]) or is_wide(after[0]):
        return ""
    word = before.rsplit(None, 1)[-1]
    if "://" in word or "@" in word or before[-1] in "-/_" or (before[-1] in ")]" and after[0] in "(["):
        return ""
    return " "


def _grids(rows: list[tuple[float, float, float]], bars: list[tuple[float, float, float]]) -> list[_Grid]:
    rows, bars = _merged(rows), _merged(bars)
    if len(rows) < 2 or len(bars) < 1 or len(rows) * len(bars) > _MAX_CROSSINGS:
        return []
    parent = list(range(len(rows) + len(bars)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    xs = [bar[0] for bar in bars]
    for at, (y, x0, x1) in enumerate(rows):
        for other in range(bisect_left(xs, x0 - _SNAP), bisect_right(xs, x1 + _SNAP)):
            _, y0, y1 = bars[other]
            if y0 - _SNAP <= y <= y1 + _SNAP:
                parent[root(len(rows) + other)] = root(at)
    groups: dict[int, tuple[list[tuple[float, float, float]], list[tuple[float, float, float]]]] = {}
    for at, line in enumerate([*rows, *bars]):
        groups.setdefault(root(at), ([], []))[at >= len(rows)].append(line)
    grids = []
    for lying, standing in groups.values():
        if len(lying) < 2 or not standing:
            continue
        grid = _grid(lying, standing)
        if grid is not None:
            grids.append(grid)
    return grids


def _merged(lines: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Ruled lines in order, those of one place that touch made one."""
    out: list[tuple[float, float, float]] = []
    places: list[list[tuple[float, float, float]]] = []
    for line in sorted(lines):
        if places and line[0] - places[-1][0][0] <= _SNAP:
            places[-1].append(line)
        else:
            places.append([line])
    for group in places:
        at = group[0][0]
        start, end = float("nan"), float("nan")
        for _, a, b in sorted(group, key=lambda line: line[1]):
            if a <= end + _SNAP:
                end = max(end, b)
            else:
                if start == start:
                    out.append((at, start, end))
                start, end = a, b
        out.append((at, start, end))
    return out


def _grid(
    lying: list[tuple[float, float, float]], standing: list[tuple[float, float, float]]
) -> _Grid | None:
    """The grid of ruled lines that hang together; the sides of a table may be open."""
    xs = _distinct([bar[0] for bar in standing] + [row[1] for row in lying] + [row[2] for row in lying])
    ys = _distinct([row[0] for row in lying] + [bar[1] for bar in standing] + [bar[2] for bar in standing])
    width, height = len(xs) - 1, len(ys) - 1
    if width < 2 or height < 1 or width * height > _MAX_CELLS:
        return None
    owner = list(range(width * height))

    def root(at: int) -> int:
        while owner[at] != at:
            owner[at] = owner[owner[at]]
            at = owner[at]
        return at

    def join(one: int, other: int) -> None:
        a, b = root(one), root(other)
        owner[max(a, b)] = min(a, b)

    across = [[False] * width for _ in ys]
    for y, x0, x1 in lying:
        row = _nearest(ys, y)
        for column in range(width):
            across[row][column] |= x0 <= xs[column] + _SNAP and xs[column + 1] - _SNAP <= x1
    along = [[False] * height for _ in xs]
    for x, y0, y1 in standing:
        column = _nearest(xs, x)
        for row in range(height):
            along[column][row] |= y0 <= ys[row] + _SNAP and ys[row + 1] - _SNAP <= y1
    for row in range(height):
        for column in range(width):
            at = row * width + column
            if column + 1 < width and not along[column + 1][row]:
                join(at, at + 1)
            if row + 1 < height and not across[row + 1][column]:
                join(at, at + width)
    return _Grid(xs, ys, [root(at) for at in range(width * height)])


def _distinct(values: list[float]) -> list[float]:
    out: list[float] = []
    for value in sorted(values):
        if not out or value - out[-1] > _SNAP:
            out.append(value)
    return out


def _nearest(values: list[float], value: float) -> int:
    at = bisect_left(values, value)
    if at > 0 and (at == len(values) or value - values[at - 1] <= values[at] - value):
        at -= 1
    return at
