"""Citations: a passage with everything a reader needs to find it and check it to the letter.

In: hits and the spans of the answer. Out: the records of the HTTP contract. `text` is the slice of the canonical
text at `char_start:char_end`; nothing is trimmed, joined or normalized.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corpus.records import Case
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
    """A cited passage; `id` is the number shown as [1], `rank` counts from 1."""

    id: int
    rank: int
    score: float
    scores: Scores
    chunk_id: str
    document_id: str
    document_title: str
    path: str
    case: CaseLabel | None
    heading_path: tuple[str, ...]
    page: int | None
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
                case=None if case is None else case_label(case),
                heading_path=chunk.heading_path,
                page=chunk.page,
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
