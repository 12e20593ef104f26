"""The catalogue: documents and cases as records of the HTTP contract, narrowed and in an order.

In: an index. Out: what `/api/documents` and `/api/cases` tell of it. Nothing is searched here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from corpus.municipalities import PREFECTURES, REGION_OF, municipalities, parse_organization
from corpus.records import Case, Document, DocumentInfo
from corpus.text import squeeze
from index.store import Index
from qa.select import case_passes
from qa.understand import Filters


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


def document_entries(index: Index) -> list[DocumentEntry]:
    """All documents in the order of their paths."""
    cases = Counter(case.document_id for case in index.cases.values())
    return [_entry(index, info, cases[info.id]) for info in index.listing.values()]


def document_detail(index: Index, document: Document) -> DocumentDetail:
    """One document with its outline."""
    cases = sum(case.document_id == document.id for case in index.cases.values())
    entry = _entry(index, index.listing[document.id], cases)
    values = {name: getattr(entry, name) for name in DocumentEntry.__dataclass_fields__}
    outline = tuple(OutlineEntry(h.text, h.level, h.start, h.end) for h in document.headings)
    return DocumentDetail(**values, outline=outline)


def _entry(index: Index, document: DocumentInfo, cases: int) -> DocumentEntry:
    return DocumentEntry(
        id=document.id,
        path=document.path,
        paths=document.paths,
        title=document.title,
        format=document.format,
        sha256=document.sha256,
        characters=document.characters,
        pages=document.pages,
        chunks=index.chunk_counts[document.id],
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
    entries = _all_cases(index)
    return [entry for entry in entries if case_passes(entry, filters)] if filters else list(entries)


_entries: WeakKeyDictionary[Index, tuple[CaseEntry, ...]] = WeakKeyDictionary()


def _all_cases(index: Index) -> tuple[CaseEntry, ...]:
    """Every case of an index in order, made once."""
    found = _entries.get(index)
    if found is None:
        cases = sorted(index.cases.values(), key=lambda c: (index.listing[c.document_id].path, c.number))
        found = _entries[index] = tuple(case_entry(case) for case in cases)
    return found


# ---------------------------------------------------------------- narrowing and order


def found_in(entries: Iterable[CaseEntry], words: str) -> list[CaseEntry]:
    """The cases whose title, organization, category or department holds every one of the words.

    Width, case and spaces do not count: 「ＤＸ 推進」 finds 「DX推進本部」.
    """
    asked = [folded for word in words.split() if (folded := squeeze(word))]
    return [entry for entry in entries if all(word in _words_of(entry) for word in asked)]


def _words_of(entry: CaseEntry) -> str:
    parts = (entry.title, entry.organization, entry.category, entry.department)
    return "\n".join(squeeze(part) for part in parts if part)


def in_order(entries: Iterable[CaseEntry], order: str, titles: Mapping[str, str]) -> list[CaseEntry]:
    """The cases in an order of ORDERS; `titles` are the documents' by id. What states no population comes last in both ways."""
    by_document = sorted(
        entries, key=lambda e: (titles.get(e.document_id, ""), e.document_id, e.number, e.char_start)
    )
    if order == "number":
        return sorted(by_document, key=lambda e: e.number)
    if order == "organization":
        return sorted(by_document, key=lambda e: _organization_place(e.organization))
    if order in {"population", "population_desc"}:
        sign = 1 if order == "population" else -1
        return sorted(by_document, key=lambda e: (e.population is None, sign * (e.population or 0)))
    return by_document


ORDERS = {
    "document": "資料・番号の順",
    "number": "番号の順",
    "organization": "団体の順",
    "population": "人口の少ない順",
    "population_desc": "人口の多い順",
}
"""The orders of the catalogue, the usual one first."""


def _organization_place(name: str) -> tuple[int, bool, str, str]:
    """By prefecture in the order of the national code, the prefecture itself before its municipalities by their reading."""
    own = parse_organization(name)
    place = PREFECTURES.index(own.prefecture) if own.prefecture in PREFECTURES else len(PREFECTURES)
    rows = [
        row for row in municipalities().get(own.municipality or "", ()) if row.prefecture == own.prefecture
    ]
    # one of a prefecture that is not in the table stands with its neighbours of the same prefecture
    reading = rows[0].reading if rows else ""
    return place, own.municipality is not None or own.prefecture is None, reading, name
