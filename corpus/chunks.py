"""Chunks: slices of a document small enough to be read as an answer, whole enough to be one.

In: a document's text and its sections. Out: chunks in order. A chunk never crosses a case or a heading, a record
(one row of a list) is one chunk as far as it can be, sentences, list items and table rows stay whole, and what a slice leaves behind that its words need (the
table's header row, the question that is answered) goes along as `context`, embedded but never quoted.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from corpus.cases import CaseBook
from corpus.records import Chunk, Mark, Page, Passage
from corpus.sections import Section
from corpus.structure import BULLET, SENTENCE_END, Block, Line, plain
from corpus.text import letters, searchable, sentence_spans

MAX_CHARS = 400
"""Longest chunk in searchable characters, chosen by measuring 200 to 400 (docs/decisions.md)."""
TAIL = 1.3
"""A last piece may make a chunk this much longer, rather than stand alone."""
LEAST_LETTERS = 12
"""Below this what stands under no heading is a fragment of a picture (「→ 効果」) and not a passage."""
RECORD_CHARS = 700
"""A record longer than this, in searchable characters, becomes several chunks: with its headings it fills the encoder's 512 tokens."""
LONGEST_UNIT = 1200
"""Above this many characters a sentence or a row is cut: the encoder reads 512 tokens."""
MOST_WASTE = 4_000
"""Longest chunk as it is written: addresses, empty cells and marks do not count for its size, and a file may hold nothing else.
A row of a list with the addresses of its pictures reaches 2,000."""
MAX_CONTEXT = 160

_ADDRESS = re.compile(r"<?https?://\S+")
# the end of a sentence inside a line: 「…です。次に」; a bracket that closes after it still belongs to it
_SENTENCE = re.compile(r"[。！？!?]+[」』）)】\"”]*")
# 「…でよい。」と述べた」: the full stop is the quotation's, and the sentence goes on
_QUOTED = re.compile(r"[」』）)][ぁ-ん、]")
_SPEAKER_ASKS = re.compile(r"(?:か|ください|ほしい|欲しい|願いたい|伺いたい|ききたい|聞きたい|質問)[。？?]?$")


@dataclass(frozen=True, slots=True)
class _Unit:
    """A span that is never split: a sentence, an item, a row. `header` heads the table that it is a row of."""

    start: int
    end: int
    block: Block
    header: str = ""


def make_chunks(
    text: str,
    sections: list[Section],
    book: CaseBook,
    *,
    document_id: str,
    path: str,
    repeated: set[int] | None = None,
    pages: Sequence[Page] = (),
    tables: Sequence[Mark] = (),
    max_chars: int = MAX_CHARS,
) -> list[Chunk]:
    """The chunks of a document in order; `path` goes into their ids, `repeated` are blocks to leave out.

    `pages` are those of the file; without them a chunk has the printed page that the contents of a case book give. `tables` say
    which rows of a spreadsheet stand where.
    """
    places = _Places(text, book, pages, tables)
    chunks: list[Chunk] = []
    carried: _Turn | None = None
    for section in sections:
        if section.form == "record":
            if carried is not None:
                chunks.extend(_emit(carried.pieces, text, carried.section, places, document_id))
                carried = None
            pieces = _record_pieces(text, section, max_chars)
            chunks.extend(_emit(pieces, text, section, places, document_id))
            continue
        for stretch in _stretches(section, repeated or set()):
            units = _units(text, stretch)
            if not units:
                continue
            opening = [b.start for b in (*section.openers, *([section.heading] if section.heading else []))]
            start = units[0].start
            if stretch[0] is section.blocks[0] and opening:
                start = min(opening[0], start)
            question, carried = carried, None
            if question is not None and (not section.path or section.path[:-1] != question.section.path[:-1]):
                chunks.extend(_emit(question.pieces, text, question.section, places, document_id))
                question = None
            answers = ""
            if question is not None:
                answers = _shorten(text[question.start : question.end])
                units = [*question.units, *units]
                start = question.start
            # a question is never cut off from the first words of its answer
            whole = units[len(question.units)].end if question is not None else start
            pieces = _pack(text, start, units, max_chars, whole)
            if question is not None:
                pieces = [
                    (s, e, h if s <= question.start else f"{answers}\n{h}".strip()) for s, e, h in pieces
                ]
            elif section.form == "parenthesised" and _SPEAKER_ASKS.search(
                plain(text[units[-1].start : units[-1].end])
            ):
                # A speaker asks: the question is not a passage of its own, it goes with what is answered. Of a
                # long speech this is the last piece.
                *before, last = pieces
                chunks.extend(_emit(before, text, section, places, document_id))
                asked = [unit for unit in units if unit.start >= last[0]]
                carried = _Turn(section, asked or units, last[0], units[-1].end, [last])
                continue
            chunks.extend(_emit(pieces, text, section, places, document_id))
    if carried is not None:
        chunks.extend(_emit(carried.pieces, text, carried.section, places, document_id))
    return with_ids(path, chunks)


def with_ids(path: str, chunks: Iterable[Chunk]) -> list[Chunk]:
    """The chunks of a document with their ids: made of its path, their headings, context and words.

    So a chunk keeps its id where other parts of its document change. Equal ones are told apart by their order.
    """
    seen: Counter[str] = Counter()
    named = []
    for chunk in chunks:
        identity = "\n".join([path, *chunk.heading_path, chunk.context, chunk.text])
        seen[identity] += 1
        digest = hashlib.sha256(f"{identity}\n{seen[identity]}".encode("utf-8", "surrogatepass"))
        named.append(replace(chunk, id=digest.hexdigest()[:16]))
    return named


@dataclass(frozen=True, slots=True)
class _Turn:
    """A speaker's question that waits for its answer."""

    section: Section
    units: list[_Unit]
    start: int
    end: int
    pieces: list[tuple[int, int, str]]


class _Places:
    """Which line, which page and which rows of a document an offset stands on."""

    def __init__(self, text: str, book: CaseBook, pages: Sequence[Page], tables: Sequence[Mark]) -> None:
        self._breaks = [i for i, c in enumerate(text) if c == "\n"]
        self._book, self._pages = book, pages
        self._starts = [page.start for page in pages]
        self._tables = tables
        self._table_starts = [table.start for table in tables]
        self._table_ends = [table.end for table in tables]

    def line(self, offset: int) -> int:
        """The line, from 1, of the character before an end or at a start."""
        return bisect_right(self._breaks, offset - 1) + 1

    def page(self, offset: int) -> tuple[int | None, str]:
        """The page's number and label."""
        if not self._pages:
            return self._book.page_at(offset), ""
        page = self._pages[max(0, bisect_right(self._starts, offset) - 1)]
        return page.number, page.label

    def rows(self, start: int, end: int) -> tuple[int, int] | None:
        """The first and last row of a spreadsheet that stand in a span as parts of tables."""
        inside = self._tables[bisect_right(self._table_ends, start) : bisect_left(self._table_starts, end)]
        if not inside:
            return None
        (top, first), (bottom, last) = (
            (inside[0], max(start, inside[0].start)),
            (inside[-1], min(end, inside[-1].end) - 1),
        )
        return (
            top.row + self.line(first + 1) - self.line(top.start + 1),
            bottom.row + self.line(last + 1) - self.line(bottom.start + 1),
        )


def _record_pieces(text: str, section: Section, max_chars: int) -> list[tuple[int, int, str]]:
    """A record as one piece; in several only where it is too long to be read as one, each with the record's title."""
    (block,) = section.blocks
    start = (
        min(block.start, *(opener.start for opener in section.openers)) if section.openers else block.start
    )
    if _size(text[start : block.end]) <= RECORD_CHARS:
        return [(start, block.end, "")]
    return _pack(text, start, _parts(text, block), max_chars, start)


def _parts(text: str, block: Block) -> list[_Unit]:
    """A long record's paragraphs (what stands between two blank lines in a cell), one that is too long in lines."""
    runs: list[list[Line]] = []
    for line in block.lines:
        if runs and runs[-1][-1].number + 1 == line.number:
            runs[-1].append(line)
        else:
            runs.append([line])
    units: list[_Unit] = []
    for run in runs:
        whole = _Unit(run[0].start, run[-1].end, block, block.title)
        if _size(text[whole.start : whole.end]) <= MAX_CHARS:
            units.append(whole)
        else:
            lines = [_Unit(line.start, line.end, block, block.title) for line in run]
            units += [part for line in lines for part in _cut(text, line)]
    return units


def _stretches(section: Section, repeated: set[int]) -> list[list[Block]]:
    """A section's blocks that follow one another without a repeated one between them."""
    stretches: list[list[Block]] = [[]]
    for block in section.blocks:
        if block.start in repeated:
            stretches.append([])
        else:
            stretches[-1].append(block)
    return [s for s in stretches if s]


def _shorten(text: str) -> str:
    words = searchable(text).replace("\n", " ")
    return words if len(words) <= MAX_CONTEXT else words[: MAX_CONTEXT - 1] + "…"


# ---------------------------------------------------------------- units


def _units(text: str, blocks: list[Block]) -> list[_Unit]:
    units: list[_Unit] = []
    for block in blocks:
        if block.kind == "table":
            own = _rows(block)
        elif block.kind == "list":
            own = _items(text, block)
        elif block.kind == "label":
            own = [_Unit(block.start, block.end, block)]
        else:
            own = _sentences(text, block.start, block.end, block)
        if units and own and _goes_on(text, units[-1], own[0]):
            own[0] = _Unit(units.pop().start, own[0].end, block, own[0].header)
        units.extend(own)
    return [part for unit in units for part in _cut(text, unit)]


def _cut(text: str, unit: _Unit) -> list[_Unit]:
    """A unit in parts where it is too long for any encoder: at commas, cells and line breaks, else anywhere.

    A sentence of two thousand characters is a list without line breaks or a broken conversion.
    """
    if unit.end - unit.start <= LONGEST_UNIT:
        return [unit]
    parts: list[_Unit] = []
    start = unit.start
    while unit.end - start > LONGEST_UNIT:
        window = text[start : start + LONGEST_UNIT]
        places = [window.rfind(mark) for mark in ("\n", "。", "、", "|", "\t", " ")]
        best = max(places)
        stop = start + (best + 1 if best > LONGEST_UNIT // 3 else LONGEST_UNIT)
        parts.append(_Unit(start, stop, unit.block, unit.header))
        start = stop
    return [*parts, _Unit(start, unit.end, unit.block, unit.header)]


def _goes_on(text: str, last: _Unit, first: _Unit) -> bool:
    """Whether a page break cut a sentence: 「…確保し（人」 「材プール）、市町村を…」."""
    if (
        first.block.kind != "paragraph"
        or last.block.kind not in {"paragraph", "list"}
        or last.block is first.block
    ):
        return False
    # its end says it: what page breaks cut again and again is not read again and again
    words = plain(text[max(last.start, last.end - MAX_CHARS) : last.end])
    line = words.rsplit("\n", 1)[-1]
    if len(line) < 30 or SENTENCE_END.search(words) or first.block.gap >= 3:
        return False
    return not re.search(r"(?:です|ます|した|する|こと|もの|など|等)$", words)


def _rows(block: Block) -> list[_Unit]:
    lines = [line for line in block.lines if letters(line.text)]
    header = next((line.text for line in lines[:2] if _is_header(line.text, lines)), "")
    units: list[_Unit] = []
    for line in block.lines:
        if not letters(line.text):
            if units:
                units[-1] = _Unit(units[-1].start, line.end, block, units[-1].header)
            continue
        units.append(_Unit(line.start, line.end, block, "" if line.text == header else header))
    if len(units) >= 2 and text_of(units[0], block) == header:
        # a header is no passage without its first row
        units[:2] = [_Unit(units[0].start, units[1].end, block)]
    return units


def text_of(unit: _Unit, block: Block) -> str:
    """The words of a one-line unit."""
    return next((line.text for line in block.lines if line.start == unit.start), "")


def _is_header(line: str, lines: list) -> bool:  # type: ignore[type-arg]
    """The first row, where it names columns: short cells, several of them, few digits."""
    cells = [c.strip() for c in re.split(r"[|\t]+", line) if c.strip()]
    return (
        len(lines) >= 2
        and len(cells) >= 2
        and max(map(len, cells)) <= 24
        and sum(bool(re.search(r"\d", c)) and not re.search(r"[年月期次]", c) for c in cells) * 2
        <= len(cells)
    )


def _items(text: str, block: Block) -> list[_Unit]:
    """A bullet with the lines that go on under it; a long one is split into sentences."""
    groups: list[list[int]] = []
    for line in block.lines:
        if groups and not BULLET.match(line.text):
            groups[-1][1] = line.end
        else:
            groups.append([line.start, line.end])
    units: list[_Unit] = []
    for start, end in groups:
        if len(searchable(text[start:end])) > MAX_CHARS:
            units.extend(_sentences(text, start, end, block))
        else:
            units.append(_Unit(start, end, block))
    return units


def _sentences(text: str, start: int, end: int, block: Block) -> list[_Unit]:
    units: list[_Unit] = []
    at = start
    for found in _SENTENCE.finditer(text, start, end):
        stop = found.end()
        # a bracket that is open for so long is never closed
        inside = stop - at < LONGEST_UNIT and _inside_brackets(text[at:stop])
        if inside or _QUOTED.match(text, stop - 1, end):
            continue
        units.append(_Unit(at, stop, block))
        at = stop
        while at < end and text[at] in " \u3000\n*":
            at += 1
    if at < end and text[at:end].strip():
        units.append(_Unit(at, end, block))
    # emphasis that closes after the full stop belongs before it: 「…です。**」
    return units or [_Unit(start, end, block)]


def _inside_brackets(piece: str) -> bool:
    return any(piece.count(a) > piece.count(b) for a, b in ("「」", "『』", "（）", "()"))


# ---------------------------------------------------------------- packing


def _size(text: str) -> int:
    """Characters that count for a chunk's size: addresses are long and say little."""
    return len(searchable(_ADDRESS.sub("", text)))


def _pack(
    text: str, start: int, units: list[_Unit], max_chars: int, whole: int
) -> list[tuple[int, int, str]]:
    """(start, end, header) of each chunk; the first begins at `start`, where the section's heading stands, and
    reaches at least to `whole`."""
    pieces: list[tuple[int, int, str]] = []
    begin, end, header = start, start, ""
    size = 0  # the sum of the sizes of what is held, each with a line break: only where it is too much all is measured
    for unit in units:
        size += _size(text[end : unit.end]) + 1
        full = unit.end - begin > MOST_WASTE
        if not full and size > max_chars:
            size = _size(text[begin : unit.end])
            full = size > max_chars and _size(text[begin:end]) >= max_chars // 4
        if end > begin and end >= whole and full:
            pieces.append((begin, end, header))
            begin, header = unit.start, unit.header
            size = _size(text[begin : unit.end])
        end = unit.end
    pieces.append((begin, end, header))
    if len(pieces) > 1 and pieces[-1][1] - pieces[-2][0] <= MOST_WASTE:
        (s1, _e1, h1), (s2, e2, _) = pieces[-2:]
        fragment = letters(searchable(text[s2:e2])) < LEAST_LETTERS  # it would be left out on its own
        if fragment or (_size(text[s2:e2]) < max_chars // 4 and _size(text[s1:e2]) <= max_chars * TAIL):
            pieces[-2:] = [(s1, e2, h1)]
    return pieces


def _bounded(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A piece in parts no longer than a chunk may be: headings over headings, an address without end."""
    parts: list[tuple[int, int]] = []
    while end - start > MOST_WASTE:
        stop = text.rfind("\n", start + 1, start + MOST_WASTE)
        stop = stop if stop > 0 else start + MOST_WASTE
        parts.append((start, stop))
        start = stop
    return [*parts, (start, end)]


def _emit(
    pieces: list[tuple[int, int, str]],
    text: str,
    section: Section,
    places: _Places,
    document_id: str,
) -> list[Chunk]:
    chunks: list[Chunk] = []
    for start, end, header in [
        (s, e, h) for first, last, h in pieces for s, e in _bounded(text, first, last)
    ]:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        words = text[start:end]
        if section.form not in {"cover", "record"} and _is_fragment(words, start, section):
            continue
        page, label = places.page(start)
        chunks.append(
            Chunk(
                id="",
                document_id=document_id,
                case_id=section.case.id if section.case else None,
                heading_path=section.path,
                page=page,
                line_start=places.line(start),
                line_end=places.line(end),
                start=start,
                end=end,
                text=words,
                context=_shorten(header) if header else "",
                page_label=label,
                row=section.blocks[0].row if section.form == "record" else None,
                rows=places.rows(start, end),
            )
        )
    return chunks


def _is_fragment(words: str, start: int, section: Section) -> bool:
    """Whether a piece says too little to be a passage: 「→ 効果」 of a picture.

    A value or a sentence says enough (「45%」「中止します。」), and so does anything under a heading of its own (「担当課」「企画課」);
    in brackets a value is a note to what the picture showed: 「(2割)」.
    """
    said = letters(searchable(words))
    if said == 0 or said >= LEAST_LETTERS:
        return said == 0
    headed = section.heading is not None and start <= section.heading.start
    if headed or any(block.kind == "list" and block.form for block in section.blocks):
        return not any(letters(searchable(block.text)) for block in section.blocks)
    return words.startswith(("（", "(")) or not re.search(r"\d|。$", words)


def passage_of(title: str, chunk: Chunk, organization: str | None) -> Passage:
    """What is embedded and tokenized for a chunk; `organization` is its case's."""
    path = list(chunk.heading_path)
    inside = path
    if organization is not None:
        case = next((place for place, name in enumerate(path) if name.endswith(f"【{organization}】")), -1)
        inside = [organization, *path[case + 1 :]]
    words, sentences = sentence_lines(chunk.text, chunk.context)
    return Passage(
        where=searchable(" ＞ ".join([title, *path])),
        near=searchable(" ＞ ".join(inside)),
        heading=heading_of(chunk),
        words=words,
        sentences=sentences,
    )


def sentence_lines(text: str, context: str = "") -> tuple[str, tuple[int, ...]]:
    """A text in searchable form, a sentence a line after its context, and where in it each sentence starts.

    So the words of a sentence are known in both forms of the text, though offsets are lost between them.
    """
    lines, starts, size = [context] if context else [], [], len(context) + 1 if context else 0
    for start, end in sentence_spans(text):
        words = searchable(text[start:end]).replace("\n", " ")
        starts.append(size)
        if words:
            lines.append(words)
            size += len(words) + 1
    return "\n".join(lines), tuple(starts)


def heading_of(chunk: Chunk) -> str:
    """The innermost heading above a chunk in searchable form, empty where there is none."""
    return searchable(chunk.heading_path[-1]).replace("\n", " ") if chunk.heading_path else ""
