"""What the administrator's pages show: what a build did, uploads that wait, and what was recognised in one of them.

In: records of `index` and `corpus`. Out: plain dictionaries for the templates.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from corpus.documents import Parsed
from corpus.records import Document
from index.library import Staged
from index.likeness import Alike
from index.report import BuildReport
from qa.cite import place_of
from web.view import population_text

PREVIEW_ROWS = 150
"""Rows of a preview's page: a page of 300 KB, which a browser shows at once."""


def report_page(
    report: BuildReport, changes: Mapping[str, str], relations: Mapping[str, str], most: int | None = None
) -> dict[str, Any]:
    """What a build did; `changes` and `relations` are their words, and of the changes at most `most` are listed."""
    names = ("added", "changed", "renamed", "removed", "unchanged")
    listed = report.changes if most is None else report.changes[:most]
    return {
        "version": report.version,
        "seconds": report.seconds,
        "encoded": report.encoded,
        "reused": report.reused,
        "counts": [{"label": changes[name], "count": getattr(report, name)} for name in names],
        "changes": [
            {**asdict(change), "label": changes.get(change.change, change.change)} for change in listed
        ],
        "more": len(report.changes) - len(listed),
        "alike": [{"path": pair.path, "words": alike_words(pair, relations)} for pair in report.alike],
        "errors": [{"path": path, "message": message} for path, message in report.errors],
    }


def alike_words(pair: Alike, relations: Mapping[str, str]) -> str:
    """How a document stands to another, in a sentence."""
    return f"「{pair.other}」{relations.get(pair.relation, 'と内容が似ています')}（{pair.share:.0%}が共通）。"


def staged_page(entry: Staged, relations: Mapping[str, str]) -> dict[str, Any]:
    """An upload that waits, with what there is to know before it is taken."""
    notes = [f"「{path}」と同じ内容です。登録しても、一つの資料として扱います。" for path in entry.same_as]
    notes += [alike_words(pair, relations) for pair in entry.alike if pair.other not in entry.same_as]
    return {**asdict(entry), "notes": notes}


def preview_page(parsed: Parsed, page: int) -> dict[str, Any]:
    """What was recognised in a document: its text row by row, each beside the passage that it will be found by.

    `page` counts from 1; one beyond the last is the last.
    """
    document = parsed.document
    rows = list(_preview_rows(parsed))
    pages = max(1, -(-len(rows) // PREVIEW_ROWS))
    page = min(max(page, 1), pages)
    page_of = {
        piece["id"]: number // PREVIEW_ROWS + 1
        for number, row in enumerate(rows)
        for piece in row["pieces"]
        if piece["id"]
    }
    outline = [
        {
            "text": heading.text,
            "level": heading.level,
            "id": f"h{heading.start}",
            "page": page_of.get(f"h{heading.start}", 1),
        }
        for heading in document.headings
    ]
    cases = [{**asdict(case), "population_text": population_text(case.population)} for case in parsed.cases]
    first = (page - 1) * PREVIEW_ROWS
    return {
        "rows": rows[first : first + PREVIEW_ROWS],
        "page": page,
        "pages": pages,
        "outline": outline,
        "cases": cases,
    }


def _preview_rows(parsed: Parsed) -> Iterator[dict[str, Any]]:
    """The text in order: passages, and between them what stands in none."""
    document, at = parsed.document, 0
    for number, chunk in enumerate(sorted(parsed.chunks, key=lambda chunk: chunk.start), 1):
        if document.text[at : chunk.start].strip():
            yield {"number": None, "pieces": _pieces(document, at, chunk.start)}
        yield {
            "number": number,
            "pieces": _pieces(document, chunk.start, chunk.end),
            "heading_path": list(chunk.heading_path),
            "place": place_of(document.format, chunk) or f"{chunk.line_start}行目～{chunk.line_end}行目",
            "characters": len(chunk.text),
            "context": chunk.context,
        }
        at = max(at, chunk.end)
    if document.text[at:].strip():
        yield {"number": None, "pieces": _pieces(document, at, len(document.text))}


def _pieces(document: Document, start: int, end: int) -> list[dict[str, Any]]:
    """A slice of a text, without empty lines around it, cut where headings begin and end."""
    text = document.text
    while start < end and text[start] in "\n\f":
        start += 1
    while end > start and text[end - 1] in "\n\f":
        end -= 1
    pieces: list[dict[str, Any]] = []
    first = bisect.bisect_left(document.headings, start, key=lambda heading: heading.end)
    for heading in itertools.islice(document.headings, first, None):
        if heading.start >= end:
            break
        begin, stop = max(heading.start, start), min(heading.end, end)
        if begin >= stop:
            continue
        pieces.append({"text": text[start:begin], "heading": False, "id": None})
        pieces.append({"text": text[begin:stop], "heading": True, "id": f"h{heading.start}"})
        start = stop
    pieces.append({"text": text[start:end], "heading": False, "id": None})
    return [piece for piece in pieces if piece["text"]]
