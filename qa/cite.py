"""Citations: a passage with everything a reader needs to find it and check it to the letter.

In: hits and the spans of the answer. Out: the records of the HTTP contract. `text` is the slice of the canonical
text at `char_start:char_end`; nothing is trimmed, joined or normalized.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corpus.records import Case, Chunk
from index.store import Hit, Index


@dataclass(frozen=True, slots=True)
class CaseLabel:
    """What a citation says of the case it stands in."""

    id: str
    number: int
    title: str
    organization: str
    prefecture: str | None
    organization_kind: str | None
    population: int | None
    population_as_of: str | None
    population_band: str | None


@dataclass(frozen=True, slots=True)
class Scores:
    """The engines' own scores: cosine, and BM25; None where the engine did not find the passage."""

    dense: float | None
    lexical: float | None


@dataclass(frozen=True, slots=True)
class Highlight:
    """A span of the document's canonical text that answers."""

    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class Citation:
    """A cited passage; `id` is the number shown as [1], `rank` counts from 1.

    `page` is the page, slide or sheet of the file, of a text the printed page; `page_label` how it is printed or named
    where that is another than its number; `row` the row of a spreadsheet or CSV file; `place` all of it in words.
    """

    id: int
    rank: int
    score: float
    scores: Scores
    chunk_id: str
    document_id: str
    document_title: str
    path: str
    format: str
    case: CaseLabel | None
    heading_path: tuple[str, ...]
    page: int | None
    page_label: str
    row: int | None
    place: str
    line_start: int
    line_end: int
    char_start: int
    char_end: int
    text: str
    highlights: tuple[Highlight, ...]
    url: str


def case_label(case: Case) -> CaseLabel:
    """The part of a case that stands beside a citation."""
    return CaseLabel(
        id=case.id,
        number=case.number,
        title=case.title,
        organization=case.organization,
        prefecture=case.prefecture,
        organization_kind=case.organization_kind,
        population=case.population,
        population_as_of=case.population_as_of,
        population_band=case.population_band,
    )


def passage_url(document_id: str, start: int, end: int) -> str:
    """Where a span of a document can be opened."""
    return f"/documents/{document_id}?start={start}&end={end}"


def place_of(kind: str, chunk: Chunk) -> str:
    """Where in its file a chunk stands, as a person looks for it; empty where only the lines are known.

    PDF: 「12ページ（紙面の表示 iii）」; PPTX: 「スライド3」; XLSX: 「シート「一覧」の12行目」; CSV: 「表の12行目」, of a table
    「表の1〜5行目」; text: 「p.27」.
    """
    first, last = (chunk.row, chunk.row) if chunk.row is not None else chunk.rows or (None, None)
    row = "" if first is None else f"{first}行目" if first == last else f"{first}〜{last}行目"
    if kind == "xlsx":
        sheet = f"シート「{chunk.page_label}」" if chunk.page_label else f"シート{chunk.page or 1}"
        return f"{sheet}の{row}" if row else sheet
    if row:
        return f"表の{row}"
    if chunk.page is None:
        return ""
    if kind == "pptx":
        return f"スライド{chunk.page}"
    if kind in {"txt", "md"}:
        return f"p.{chunk.page}"
    label = f"（紙面の表示 {chunk.page_label}）" if chunk.page_label else ""
    return f"{chunk.page}ページ{label}"


def cite(
    index: Index, hits: Sequence[Hit], spans: Iterable[tuple[str, int, int]] = ()
) -> tuple[Citation, ...]:
    """The citations of hits, in their order; `spans` are (chunk id, start, end) of what the answer quotes."""
    quoted: dict[str, list[Highlight]] = {}
    for chunk_id, start, end in spans:
        quoted.setdefault(chunk_id, []).append(Highlight(start, end))
    citations = []
    for rank, hit in enumerate(hits, 1):
        chunk = hit.chunk
        document = index.documents[chunk.document_id]
        case = index.cases.get(chunk.case_id or "")
        citations.append(
            Citation(
                id=rank,
                rank=rank,
                score=round(min(hit.score, 1.0), 4),
                scores=Scores(
                    None if hit.dense is None else round(hit.dense, 4),
                    None if hit.lexical is None else round(hit.lexical, 4),
                ),
                chunk_id=chunk.id,
                document_id=document.id,
                document_title=document.title,
                path=document.path,
                format=document.format,
                case=None if case is None else case_label(case),
                heading_path=chunk.heading_path,
                page=chunk.page,
                page_label=chunk.page_label,
                row=chunk.row,
                place=place_of(document.format, chunk),
                line_start=chunk.line_start,
                line_end=chunk.line_end,
                char_start=chunk.start,
                char_end=chunk.end,
                # cut here, from the document, so that a citation cannot differ from its source
                text=document.text[chunk.start : chunk.end],
                highlights=tuple(sorted(quoted.get(chunk.id, []), key=lambda h: h.char_start)),
                url=passage_url(document.id, chunk.start, chunk.end),
            )
        )
    return tuple(citations)
