"""The catalogue: documents and cases as records of the HTTP contract, and which municipalities are alike.

In: an index. Out: what `/api/documents` and `/api/cases` tell of it. Nothing is searched here.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from corpus.municipalities import REGION_OF
from corpus.records import Case, Document
from index.store import Index
from qa.select import case_passes
from qa.understand import Filters

SIMILAR = 5


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """One document of the list; `path` is relative to the documents folder, `paths` are all with its content."""

    id: str
    path: str
    paths: tuple[str, ...]
    title: str
    format: str
    sha256: str
    characters: int
    pages: int | None
    chunks: int
    cases: int
    publisher: str | None
    date: str | None
    indexed_at: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutlineEntry:
    """A heading of a document, its depth (1 is the outermost), and where it stands."""

    text: str
    level: int
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class DocumentDetail(DocumentEntry):
    """A document with its outline."""

    outline: tuple[OutlineEntry, ...]


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """The words a value was read from: the document's text at `[char_start:char_end]`."""

    value: str
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """One case with every field; `fields` gives, by name, the words each value was read from."""

    id: str
    document_id: str
    number: int
    title: str
    organization: str
    prefecture: str | None
    region: str | None
    organization_kind: str | None
    population: int | None
    population_as_of: str | None
    population_band: str | None
    category: str | None
    page_start: int | None
    page_end: int | None
    char_start: int
    char_end: int
    department: str | None
    phone: str | None
    email: str | None
    urls: tuple[str, ...]
    fields: dict[str, FieldEntry]


@dataclass(frozen=True, slots=True)
class SimilarCase:
    """A case whose organization is alike, with the reason in words."""

    case: CaseEntry
    reason: str


def document_entries(index: Index) -> list[DocumentEntry]:
    """All documents in the order of their paths."""
    chunks = Counter(chunk.document_id for chunk in index.chunks)
    cases = Counter(case.document_id for case in index.cases.values())
    return [
        _entry(index, d, chunks[d.id], cases[d.id])
        for d in sorted(index.documents.values(), key=lambda d: d.path)
    ]


def document_detail(index: Index, document: Document) -> DocumentDetail:
    """One document with its outline."""
    chunks = sum(chunk.document_id == document.id for chunk in index.chunks)
    cases = sum(case.document_id == document.id for case in index.cases.values())
    entry = _entry(index, document, chunks, cases)
    values = {name: getattr(entry, name) for name in DocumentEntry.__dataclass_fields__}
    outline = tuple(OutlineEntry(h.text, h.level, h.start, h.end) for h in document.headings)
    return DocumentDetail(**values, outline=outline)


def _entry(index: Index, document: Document, chunks: int, cases: int) -> DocumentEntry:
    return DocumentEntry(
        id=document.id,
        path=document.path,
        paths=document.paths,
        title=document.title,
        format=document.format,
        sha256=document.sha256,
        characters=len(document.text),
        pages=document.pages,
        chunks=chunks,
        cases=cases,
        publisher=document.publisher,
        date=document.date,
        indexed_at=index.indexed_at[document.id],
        warnings=document.warnings,
    )


def case_entry(case: Case) -> CaseEntry:
    """A case as a record of the contract."""
    return CaseEntry(
        id=case.id,
        document_id=case.document_id,
        number=case.number,
        title=case.title,
        organization=case.organization,
        prefecture=case.prefecture,
        region=REGION_OF.get(case.prefecture or ""),
        organization_kind=case.organization_kind,
        population=case.population,
        population_as_of=case.population_as_of,
        population_band=case.population_band,
        category=case.category,
        page_start=case.page_start,
        page_end=case.page_end,
        char_start=case.start,
        char_end=case.end,
        department=case.department,
        phone=case.phone,
        email=case.email,
        urls=case.urls,
        fields={name: FieldEntry(f.value, f.start, f.end) for name, f in case.fields.items()},
    )


def case_entries(index: Index, filters: Filters) -> list[CaseEntry]:
    """The cases that meet the filters, by document and number."""
    cases = sorted(index.cases.values(), key=lambda c: (index.documents[c.document_id].path, c.number))
    return [case_entry(case) for case in cases if not filters or case_passes(case, filters)]


def similar_cases(index: Index, case: Case) -> list[SimilarCase]:
    """Cases of organizations of like population and kind, nearest first.

    Nearness is the ratio of the populations (its logarithm); another kind of municipality counts as much as twice
    the population. Prefectures are compared with prefectures only.
    """
    ranked: list[tuple[float, Case]] = []
    prefecture = case.organization_kind in {"都", "道", "府", "県"}
    for other in index.cases.values():
        if other.id == case.id or other.organization == case.organization:
            continue
        if (other.organization_kind in {"都", "道", "府", "県"}) != prefecture:
            continue
        distance = 0.0 if other.organization_kind == case.organization_kind else math.log(2)
        if case.population and other.population:
            distance += abs(math.log(case.population) - math.log(other.population))
        else:
            distance += math.log(4)
        ranked.append((distance, other))
    ranked.sort(key=lambda item: (item[0], item[1].organization))
    return [SimilarCase(case_entry(other), _reason(case, other)) for _, other in ranked[:SIMILAR]]


def _reason(case: Case, other: Case) -> str:
    parts = []
    if case.population and other.population:
        ratio = other.population / case.population
        parts.append(
            "人口がほぼ同じ"
            if 0.8 <= ratio <= 1.25
            else f"人口が約{ratio:.1f}倍"
            if ratio > 1
            else f"人口が約{ratio:.2f}倍"
        )
    else:
        parts.append("人口の記載がない")
    if case.organization_kind and case.organization_kind == other.organization_kind:
        parts.append(f"同じ{case.organization_kind}")
    if case.prefecture and case.prefecture == other.prefecture:
        parts.append(f"同じ{case.prefecture}")
    return "・".join(parts)
