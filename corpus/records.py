"""The records of the corpus: what was read, what was recognised in it, and what will be searched.

Everything here is plain, frozen data. A position is always an offset in Unicode code points into
`Document.text`, the canonical text, and `start:end` is a Python slice of it. A value that the document
does not state is None, never guessed. This module knows nothing about files, models or indexes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Page:
    """A page, slide or sheet: where it starts in the text, its place in the file (from 1), and its printed label or name.

    The label is empty where it says no more than the number does.
    """

    start: int
    number: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the format itself says of whole lines, `text[start:end]`, first character to last.

    heading: one line, `level` from 1 (outermost) to 9. record: the lines of one row of a list of records, `row` as a
    spreadsheet counts it (from 1), `title` what the row is about. table: the lines of a table whose first line is `row`, each
    further line the next row.
    """

    kind: Literal["heading", "record", "table"]
    start: int
    end: int
    level: int = 0
    row: int = 0
    title: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a document's outline: its words, its depth (1 is the outermost) and where it stands."""

    text: str
    level: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Field:
    """One value as the document states it: `document.text[start:end] == value`."""

    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Case:
    """One case (事例) of a case book.

    Population is in persons; pages are those of the file, in a text the printed page numbers. `fields` holds, by field name, the words
    each value was read from; the attributes hold the same values in a form to compute with.
    """

    id: str
    document_id: str
    number: int
    title: str
    organization: str
    start: int
    end: int
    prefecture: str | None = None
    organization_kind: str | None = None
    population: int | None = None
    population_as_of: str | None = None
    population_band: str | None = None
    category: str | None = None
    page_start: int | None = None
    page_end: int | None = None
    department: str | None = None
    phone: str | None = None
    email: str | None = None
    urls: tuple[str, ...] = ()
    fields: dict[str, Field] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as read: `text` is canonical and never changes; `headings` is its outline in order.

    `path` names it in the documents folder; `paths`, once it is indexed, are all files with its content, `path` first.
    `page_starts` are the pages, slides or sheets of the file in order, of a text the printed pages that it tells of.
    """

    id: str
    path: str
    title: str
    format: str
    sha256: str
    text: str
    headings: tuple[Heading, ...] = ()
    publisher: str | None = None
    date: str | None = None
    pages: int | None = None
    warnings: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    page_starts: tuple[Page, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """What a list says of a document: a `Document` without its text; `headings` is how many it has."""

    id: str
    path: str
    title: str
    format: str
    sha256: str
    characters: int
    headings: int
    publisher: str | None = None
    date: str | None = None
    pages: int | None = None
    warnings: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of the index: a slice of one document, `document.text[start:end] == text`.

    `heading_path` goes from the outermost heading to the innermost. `context` is what is embedded and
    tokenized before the slice (the question an answer belongs to, a table's header row); it is never
    quoted. Lines count from 1. `page` is the page, slide or sheet of the file (from 1), in a text the printed page,
    None where it is unknown; `page_label` is how it is printed or named, empty where that is its number. `row` is
    the row of a spreadsheet or CSV file (from 1) that the chunk is a record of; `rows` are the first and last of those that
    a part of a table there holds.
    """

    id: str
    document_id: str
    case_id: str | None
    heading_path: tuple[str, ...]
    page: int | None
    line_start: int
    line_end: int
    start: int
    end: int
    text: str
    context: str = ""
    page_label: str = ""
    row: int | None = None
    rows: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded and tokenized for a chunk, in searchable form (never quoted).

    `where` is the whole way to it (document ＞ category ＞ case ＞ heading), `near` the part of the way that tells
    it from its neighbours (organization ＞ headings inside the case), `heading` the innermost heading, `words` its own
    words with their context. `sentences[i]` is where the i-th sentence of the chunk's text starts in `words`
    (`corpus.text.sentence_spans` gives the sentences).
    """

    where: str
    near: str
    heading: str
    words: str
    sentences: tuple[int, ...] = (0,)
