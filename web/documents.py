"""The pages of documents: the list, and one document's whole text with the passage that a citation leads to.

In: an index. Out: pages. The pieces of a document, put together, are its canonical text to the letter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from corpus.records import Document
from index.store import Index
from qa.catalog import document_detail, document_entries
from qa.cite import place_of
from web import view
from web.site import Loaded, Site, document_of


def router(site: Site, recent: Callable[[], Any]) -> APIRouter:
    """The routes of the pages; `recent` gives the last changes of the index."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/documents")
    def page_documents(request: Request) -> HTMLResponse:
        shown = documents_page(site.current.get())
        return site.page(request, "documents.html", **shown, recent=recent())

    @routes.get("/documents/{document_id}")
    def page_document(
        request: Request,
        document_id: str,
        index: Loaded,
        start: Annotated[int | None, Query(ge=0)] = None,
        end: Annotated[int | None, Query(ge=0)] = None,
    ) -> HTMLResponse:
        document = document_of(index, document_id)
        size = len(document.text)
        span = (
            (start, min(end, size))
            if start is not None and end is not None and start < min(end, size)
            else None
        )
        return site.page(
            request,
            "document.html",
            document=asdict(document_detail(index, document)),
            segments=document_segments(document, *(span or (None, None))),
            passage=passage_bar(index, document, *span) if span else None,
            index=view.index_page(index),
        )

    return routes


def documents_page(index: Index | None) -> dict[str, Any]:
    """The list of documents and of the files that could not be read."""
    if index is None:
        return {"documents": [], "errors": []}
    return {"documents": [asdict(d) for d in document_entries(index)], "errors": index.manifest["errors"]}


def document_segments(document: Document, start: int | None, end: int | None) -> list[dict[str, Any]]:
    """A document's whole text in pieces: headings with their ids, and the passage, marked.

    A piece that is both belongs to the passage and keeps the heading's id.
    """
    cuts: dict[int, tuple[int, str, int]] = {
        h.start: (h.end, f"h{h.start}", h.level) for h in document.headings
    }
    marks = {0, len(document.text), *(p for h in document.headings for p in (h.start, h.end))}
    passage = (start, end) if start is not None and end is not None and start < end else None
    if passage:
        marks.update(passage)
    points = sorted(marks)
    segments: list[dict[str, Any]] = []
    heading: tuple[int, str, int] | None = None
    for begin, stop in itertools.pairwise(points):
        heading = cuts.get(begin, heading)
        if heading is not None and begin >= heading[0]:
            heading = None
        marked = passage is not None and passage[0] <= begin < passage[1]
        own_id = heading[1] if heading is not None and begin in cuts else None
        segments.append(
            {
                "text": document.text[begin:stop],
                "kind": "mark" if marked else "heading" if heading is not None else "plain",
                "id": own_id,
                "level": heading[2] if heading is not None else None,
            }
        )
    return segments


def passage_bar(index: Index, document: Document, start: int, end: int) -> dict[str, Any]:
    """Where a passage stands: lines from 1, and the place in the file where a chunk of it knows one."""
    place = next(
        (
            place_of(document.format, c)
            for c in index.chunks
            if c.document_id == document.id and c.start <= start < c.end
        ),
        "",
    )
    return {
        "start": start,
        "end": end,
        "line_start": document.text.count("\n", 0, start) + 1,
        "line_end": document.text.count("\n", 0, max(start, end - 1)) + 1,
        "place": place,
    }
