"""Records of the corpus as JSON: one object a line on disk, and between processes.

In: a record of `corpus.records`. Out: a plain dictionary, and back. A document's text is not part of its line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
    return Chunk(**{**line, "heading_path": tuple(line["heading_path"])})


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Writes one JSON object a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects written by `write_lines`."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
