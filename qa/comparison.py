"""Cases side by side: for each thing that a case may state, what each of them states and where.

In: an index and the ids of two to five cases. Out: a table whose cells are words of the documents with their spans; what a
case does not state is None, never guessed. Beside the fields, there is a row for what at least two of the cases say under the
same heading.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from corpus.records import Chunk
from corpus.text import sentence_spans, squeeze
from index.store import Index
from index.tokenizer import tokenize
from qa.catalog import CaseEntry, case_entry
from qa.places import Place, places

LEAST, MOST = 2, 5
"""Cases in a comparison: more columns than five cannot be read on paper or on a screen."""
FIELD_LABELS = {
    "organization": "団体",
    "prefecture": "都道府県",
    "organization_kind": "団体の種類",
    "population": "人口",
    "population_as_of": "人口の時点",
    "population_band": "人口規模",
    "category": "分類",
    "department": "担当部署",
    "phone": "電話",
    "email": "メール",
}
"""The names of a case's fields in the order of the pages; fields of other names follow under their own."""
_NO_ROW = frozenset({"title", "number", "page_start", "page_end"})
"""Fields that stand at the head of a case's column."""
SHORT, FIRST, LONGEST = 240, 160, 400
"""Characters: of a passage that a cell holds whole, up to which the first sentences are taken, and of a sentence without end."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Words of a document: its text at `[char_start:char_end]` is `value`, to the letter.

    `reading` is what was read from them where that is another thing (「9.6万人」: 「96,000人」). `complete` is False where the
    passage goes on: `url` opens all of it, `place` says where it stands, `heading` is its own heading.
    """

    value: str
    document_id: str
    char_start: int
    char_end: int
    place: str
    url: str
    complete: bool = True
    reading: str | None = None
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One thing, and what each case states of it, in the order of the cases; None where it states nothing.

    `kind` is what the thing is: a field of the cases, or a heading that they share. `differs` unless all state the same.
    """

    label: str
    cells: tuple[Cell | None, ...]
    kind: Literal["field", "section"] = "field"
    differs: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two to five cases, in the order asked for, and the rows in which at least one of them states something."""

    cases: tuple[CaseEntry, ...]
    rows: tuple[Row, ...]


def compare(index: Index, case_ids: Sequence[str]) -> Comparison:
    """The comparison of cases; KeyError where an id is not in the index."""
    cases = tuple(case_entry(index.cases[case_id]) for case_id in case_ids)
    return Comparison(cases, (*_field_rows(index, cases), *_section_rows(index, cases)))


# ---------------------------------------------------------------- fields


def _field_rows(index: Index, cases: Sequence[CaseEntry]) -> list[Row]:
    names = dict.fromkeys(name for case in cases for name in case.fields)
    known = [name for name in FIELD_LABELS if name in names]
    other = [name for name in names if name not in FIELD_LABELS and name not in _NO_ROW]
    return [
        _row(FIELD_LABELS.get(name, name), "field", [_field_cell(index, case, name) for case in cases])
        for name in (*known, *other)
    ]


def _field_cell(index: Index, case: CaseEntry, name: str) -> Cell | None:
    field = case.fields.get(name)
    if field is None:
        return None
    place = places(index).of(case.document_id, field.char_start, field.char_end)
    return _cell(field.value, place, reading=_reading(case, name, field.value))


def _reading(case: CaseEntry, name: str, words: str) -> str | None:
    """What was read from a field's words, where it is not the words themselves."""
    if name == "population" and case.population is not None:
        return f"{case.population:,}人"
    read = {"organization_kind": case.organization_kind, "population_band": case.population_band}.get(name)
    return read if read and read != words else None


def _cell(
    value: str,
    place: Place,
    *,
    whole: Place | None = None,
    reading: str | None = None,
    heading: str | None = None,
) -> Cell:
    return Cell(
        value,
        place.document_id,
        place.char_start,
        place.char_end,
        (whole or place).words,
        (whole or place).url,
        whole is None,
        reading,
        heading,
    )


def _row(label: str, kind: Literal["field", "section"], cells: Sequence[Cell | None]) -> Row:
    stated = {None if cell is None else squeeze(cell.reading or cell.value) for cell in cells}
    return Row(label, tuple(cells), kind, len(stated) > 1)


# ---------------------------------------------------------------- what stands under the same heading


@dataclass(frozen=True, slots=True)
class _Section:
    """What a case says under one heading: its words with their marks, `key` what the heading is about."""

    heading: str
    key: frozenset[str]
    chunks: tuple[Chunk, ...]


def _section_rows(index: Index, cases: Sequence[CaseEntry]) -> list[Row]:
    sections = [_sections(index, case) for case in cases]
    rows: list[tuple[float, Row]] = []
    for members in _shared(sections):
        cells = [
            None if s is None else _section_cell(index, case, s)
            for case, s in zip(cases, members, strict=True)
        ]
        found = [s for s in members if s is not None]
        if sum(cell is not None for cell in cells) < LEAST:
            continue
        # where it stands in the cases, from 0 (their beginning) to 1
        at = [own.index(s) / len(own) for own, s in zip(sections, members, strict=True) if s is not None]
        rows.append((sum(at) / len(at), _row(_label(found), "section", cells)))
    return [row for _, row in sorted(rows, key=lambda item: (item[0], item[1].label))]


def _sections(index: Index, case: CaseEntry) -> list[_Section]:
    """The sections of a case in order, without those that its title opens and those that hold its contact."""
    own = index.chunks_of_case(case.id)
    closing = [
        case.fields[name] for name in ("department", "phone", "email", "population") if name in case.fields
    ]
    found = []
    for path, group in groupby(own, key=lambda chunk: chunk.heading_path):
        chunks = tuple(group)
        heading = path[-1] if path else ""
        key = heading_key(heading)
        if not key or squeeze(case.title) in squeeze(heading):
            continue
        if any(chunks[0].start <= field.char_start < chunks[-1].end for field in closing):
            continue
        found.append(_Section(heading, key, chunks))
    return found


# 「(1) 費用」「① 費用」「【費用】」: a number or a sign before a heading's words
_NUMBERING = re.compile(
    r"^[\s(（\[【<＜〈■◆●○・]*(?:第?[0-9０-９一二三四五六七八九十]{1,3}[章節項)）.．、\s]+|[①-⑳]\s*)?"
)
# headings that ask: 「費用はかかりましたか。」「近況を教えてください。」
_ASKS = re.compile(r"(?:か|ください|下さい)[。．?？]*$|[?？]$")
# words that any heading of a case may have
_GENERAL = frozenset(tokenize("取組 取り組み 事業 点 こと"))


def heading_key(heading: str) -> frozenset[str]:
    """What a heading is about: its content words without its number and without words that any heading may have.

    >>> heading_key("(2) 工夫した点") == heading_key("工夫している点を教えてください。")
    True
    """
    words = frozenset(tokenize(_NUMBERING.sub("", heading)))
    return words - _GENERAL or words


def _shared(sections: Sequence[Sequence[_Section]]) -> list[list[_Section | None]]:
    """Groups of sections about the same, one a case: equal keys, and questions about what another heading names.

    「取組にコストはかかりましたか。」 stands beside 「コスト」, unless several cases ask it.
    """
    held = Counter(key for own in sections for key in {s.key for s in own})
    keys = sorted(held, key=lambda key: (len(key), sorted(key)))
    asked = {s.key for own in sections for s in own if _ASKS.search(s.heading)}
    groups: list[list[frozenset[str]]] = []
    for key in keys:
        wider = next((g for g in groups if g[0] < key and key in asked and held[key] == 1), None)
        if wider is not None:
            wider.append(key)
        else:
            groups.append([key])
    found = []
    for group in groups:
        members = [_first(own, group) for own in sections]
        if sum(member is not None for member in members) >= LEAST:
            found.append(members)
    return found


def _first(sections: Iterable[_Section], group: Sequence[frozenset[str]]) -> _Section | None:
    """The first section of a group, one whose heading names the thing before one that asks about it."""
    own = [s for s in sections if s.key in group]
    return min(own, key=lambda s: group.index(s.key), default=None)


def _label(sections: Sequence[_Section]) -> str:
    """The heading that most of the sections have, of these the shortest."""
    counted = Counter(s.heading for s in sections)
    return min(counted, key=lambda heading: (-counted[heading], len(heading), heading))


def _section_cell(index: Index, case: CaseEntry, section: _Section) -> Cell | None:
    """The words under a heading: all of them where they are short, else the first sentences; None where there are none."""
    first, last = section.chunks[0], section.chunks[-1]
    text = index.documents[case.document_id].text
    start = _after_headings(text, first, case)
    spans = [
        (start + a, start + b)
        for a, b in sentence_spans(text[start : first.end])
        if squeeze(text[start + a : start + b]).strip("-:")
    ]
    if not spans:
        return None
    start, end = spans[0][0], spans[-1][1]
    whole = last.end
    if len(section.chunks) > 1 or end - start > SHORT:
        end = max((b for _, b in spans if b - start <= FIRST), default=min(spans[0][1], start + LONGEST))
    complete = len(section.chunks) == 1 and end == spans[-1][1]
    found = places(index)
    return _cell(
        text[start:end],
        found.of(case.document_id, start, end),
        whole=None if complete else found.of(case.document_id, start, whole),
        heading=section.heading,
    )


def _after_headings(text: str, chunk: Chunk, case: CaseEntry) -> int:
    """Where a chunk's own words begin, after the lines that repeat its headings and its case's title."""
    headings = {squeeze(heading) for heading in chunk.heading_path}
    at = chunk.start
    while at < chunk.end:
        stop = text.find("\n", at, chunk.end)
        stop = chunk.end if stop < 0 else stop
        line = squeeze(text[at:stop])
        if line and line not in headings and not _is_title(line, case):
            break
        at = stop + 1
    return min(at, chunk.end)


def _is_title(line: str, case: CaseEntry) -> bool:
    return squeeze(case.title) in line and line.rstrip("】]").endswith(squeeze(case.organization))
