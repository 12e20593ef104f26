"""Records of the corpus as JSON: on disk, and between processes.

In: a record of `corpus.records`, or a document with all of its own. Out: a plain dictionary, and back. A document's text is
not part of it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from corpus.documents import Parsed
from corpus.records import Case, Chunk, Document, Field, Heading


def document_line(document: Document) -> dict[str, Any]:
    """A document without its text."""
    line = asdict(document)
    del line["text"]
    return line


def read_document(line: dict[str, Any], text: str) -> Document:
    """The document of a line, with its text."""
    return Document(
        text=text,
        headings=tuple(Heading(**heading) for heading in line["headings"]),
        warnings=tuple(line["warnings"]),
        paths=tuple(line["paths"]),
        **{name: value for name, value in line.items() if name not in {"headings", "warnings", "paths"}},
    )


def read_case(line: dict[str, Any]) -> Case:
    """The case of a line, which `dataclasses.asdict` writes."""
    fields = {name: Field(**value) for name, value in line["fields"].items()}
    return Case(**{**line, "urls": tuple(line["urls"]), "fields": fields})


def read_chunk(line: dict[str, Any]) -> Chunk:
    """The chunk of a line, which `dataclasses.asdict` writes."""
    rows = tuple(line["rows"]) if line.get("rows") else None
    return Chunk(**{**line, "heading_path": tuple(line["heading_path"]), "rows": rows})


def record_of(parsed: Parsed) -> dict[str, Any]:
    """A document with its cases and chunks, without its text."""
    return {
        "document": document_line(parsed.document),
        "cases": [asdict(case) for case in parsed.cases],
        "chunks": [asdict(chunk) for chunk in parsed.chunks],
    }


def parsed_of(record: dict[str, Any]) -> Parsed:
    """The document of a record to which its text was added as "text"."""
    return Parsed(
        read_document(record["document"], record["text"]),
        tuple(read_case(line) for line in record["cases"]),
        tuple(read_chunk(line) for line in record["chunks"]),
    )
