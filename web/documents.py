"""The pages of documents: the list, and one document as it is read, with the passage that a citation leads to.

In: an index, and the folders that its documents were read from. Out: pages, pictures of a PDF's pages, and files as they were indexed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response, params
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from corpus.records import Document
from index.store import Index
from qa.catalog import document_detail, document_entries
from qa.cite import page_name, place_of
from web import document_view as shown
from web import finding, view
from web.contract import Asked, asked
from web.document_view import Reading
from web.finding import MAX_WORDS
from web.gate import person_of
from web.originals import Original, Originals, State
from web.page_pictures import MOST_WORDS, PagePictures, PictureError, Wanted
from web.parts import part_of, parts
from web.site import Loaded, Site, document_of

CHANGED = "資料が差し替えられています。索引を作り直すと、新しい内容を読めます。"
MISSING = "元のファイルが見つかりません。資料のフォルダーから移されたか、いまは開けない場所にあります。"
# What a file is given out as: everything else is bytes, so that no browser shows it
_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_FILE_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
_PICTURE_S = 3600  # a browser keeps a page of a file that never changes under its address


class _Given(StreamingResponse):
    """A file as it is given out, piece by piece as it is taken."""

    def __init__(self, original: Original, **more: Any) -> None:
        super().__init__(original.pieces(), **more)
        self._original = original

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it; lets go of it also where its reader has gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._original.close()


def router(
    site: Site,
    recent: Callable[[Index | None, Callable[[str], bool]], Any],
    originals: Originals,
    admitted: Sequence[params.Depends] = (),
) -> APIRouter:
    """The routes of the pages; `recent` gives the last changes of an index, of the files whose paths it is told to show. `admitted` lets in
    who comes with a question: the page of a document answers it, to show its passages."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    pictures = PagePictures()

    @routes.get("/documents")
    def page_documents(request: Request) -> HTMLResponse:
        index, person = site.seen(request), person_of(request)
        listed = documents_page(index)
        changes = recent(index, lambda path: site.visibility.sees_path(path, person))
        return site.page(request, "documents.html", **listed, recent=changes)

    @routes.get("/documents/{document_id}", dependencies=admitted)
    def page_document(
        request: Request,
        document_id: str,
        index: Loaded,
        state: Annotated[Asked, Depends(asked)],
        start: Annotated[int | None, Query(ge=0)] = None,
        end: Annotated[int | None, Query(ge=0)] = None,
        find: str = "",
        at: Annotated[int, Query(ge=0)] = 0,
        part: Annotated[int | None, Query(ge=1)] = None,
        page: Annotated[int | None, Query(ge=1)] = None,
    ) -> HTMLResponse:
        document = document_of(index, document_id)
        given = Reading(document.id, state, start, end, find.strip(), at, part, page)
        return site.page(
            request,
            "document.html",
            document=asdict(document_detail(index, document)),
            **document_page(site, index, document, given, originals),
            index=view.index_page(index),
        )

    @routes.get("/documents/{document_id}/pages/{number}.png", response_class=Response)
    def picture(
        document_id: str,
        number: int,
        index: Loaded,
        start: Annotated[int, Query(ge=0)] = 0,
        end: Annotated[int, Query(ge=0)] = 0,
        size: Annotated[str, Query(pattern="^(large)?$")] = "",
    ) -> Response:
        document = document_of(index, document_id)
        if document.format != "pdf" or not 1 <= number <= (document.pages or 0):
            raise HTTPException(404, "そのページの紙面はありません。")
        state = originals.state(document)
        if state != "same":
            raise _not_there(state)
        try:
            wanted = wanted_picture(document, number, start, end, size)
            drawn = pictures.drawn(lambda: _original(originals, document), wanted)
        except PictureError as error:
            raise HTTPException(503 if error.busy else 422, str(error)) from error
        return Response(
            drawn, media_type="image/png", headers={"Cache-Control": f"private, max-age={_PICTURE_S}"}
        )

    @routes.get("/documents/{document_id}/file", response_class=Response)
    def file(document_id: str, index: Loaded) -> Response:
        document = document_of(index, document_id)
        original = originals.opened(document)
        if not isinstance(original, Original):
            raise _not_there(original)
        # never the whole of it in memory: many who take it slowly would fill that
        return _Given(
            original,
            media_type=_TYPES.get(document.format, "application/octet-stream"),
            headers={
                "Content-Length": str(original.size),
                "Content-Disposition": view.disposition(PurePosixPath(document.path).name, "document"),
                "Content-Security-Policy": _FILE_POLICY,
                "Cache-Control": "private, no-store",
            },
        )

    return routes


def documents_page(index: Index | None) -> dict[str, Any]:
    """The list of documents and of the files that could not be read."""
    if index is None:
        return {"documents": [], "errors": []}
    return {"documents": [asdict(d) for d in document_entries(index)], "errors": index.manifest["errors"]}


def document_page(
    site: Site, index: Index, document: Document, given: Reading, originals: Originals
) -> dict[str, Any]:
    """What the page of a document shows for a state of it."""
    span = given.span(len(document.text))
    hits: list[tuple[int, int]] = []
    back: dict[str, str] | None = None
    if given.asked.question and given.asked.problem() is None:
        reply = site.answered(index, given.asked)
        hits = shown.hits_of(document, reply.citations)
        card = next(
            (
                c
                for c in reply.citations
                if (c.document_id, c.char_start, c.char_end) == (document.id, *(span or ()))
            ),
            None,
        )
        back = {
            "question": given.asked.question,
            "address": given.asked.address() + (f"#c{card.id}" if card is not None else ""),
        }
    found = finding.find(document.text, given.find) if given.find and len(given.find) <= MAX_WORDS else None
    number = 0
    if found is not None and found.spans:
        number = given.at if found.at(given.at) is not None else found.number_from(span[0] if span else 0)
    match = None if found is None else found.at(number)
    all_parts, part = shown.shown_part(document, given, span, match)
    if found is not None and not given.at and given.part is not None:
        # in a part that was turned to, the first match of it
        number = found.number_from(part.start)
        match = found.at(number)
    focus = match if match is not None and (given.at or span is None) else span
    return {
        "reading": given,
        "blocks": shown.text_blocks(document, part, span, hits, found, number),
        "outline": shown.outline(document, all_parts, part, given),
        "passage": passage_bar(index, document, *span) if span else None,
        "passage_address": given.address("passage", part=None, at=0)
        if span and not part.start <= span[0] < part.end
        else "#passage",
        "parts": [
            {
                "number": p.number,
                "title": p.title,
                "address": given.address("text-title", part=p.number, at=0),
            }
            for p in all_parts
        ]
        if len(all_parts) > 1
        else [],
        "part": part,
        "hits": shown.hit_step(given, span, hits) if given.asked.question else None,
        "back": back,
        "found": found,
        "too_long": len(given.find) > MAX_WORDS,
        "find": shown.find_step(given, found, number) if found is not None else None,
        "kept": [(n, v) for n, v in given.pairs() if n not in {"find", "at", "part", "page"}],
        "original": original_panel(document, given, originals, focus, part.start),
    }


def passage_bar(index: Index, document: Document, start: int, end: int) -> dict[str, Any]:
    """Where a passage stands, as a person looks for it: the lines of a text, the page, sheet or slide of a file, else the
    heading that it stands under."""
    chunk = next((c for c in index.chunks_of_document(document.id) if c.start <= start < c.end), None)
    place = "" if chunk is None else place_of(document.format, chunk)
    page = shown.page_at(document, start)
    if not place and page is not None:
        place = page_name(document.format, page.number, page.label)
    where = [place] if place else []
    if document.format in {"txt", "md"}:
        first = document.text.count("\n", 0, start) + 1
        last = document.text.count("\n", 0, max(start, end - 1)) + 1
        where.insert(0, f"{first}行目" if first == last else f"{first}行目～{last}行目")
    if not where and chunk is not None and chunk.heading_path:
        where = [f"見出し「{chunk.heading_path[-1]}」"]
    return {"start": start, "end": end, "where": where}


# ---------------------------------------------------------------- the original


def original_panel(
    document: Document, given: Reading, originals: Originals, focus: tuple[int, int] | None, begin: int
) -> dict[str, Any]:
    """The original file beside the text: whether it is there, and of a PDF the page that belongs to what is shown.

    `focus` is what the reader came for; without one it is where the text that is shown begins.
    """
    state = originals.state(document)
    panel: dict[str, Any] = {
        "state": state,
        "file": f"/documents/{document.id}/file" if state == "same" else None,
        "name": PurePosixPath(document.path).name,
        "picture": None,
    }
    count = document.pages or 0
    if state != "same" or document.format != "pdf" or count < 1:
        return panel
    here = shown.page_at(document, focus[0] if focus is not None else begin)
    number = min(given.page or (here.number if here is not None else 1), count)
    page = next((p for p in document.page_starts if p.number == number), None)
    marked = ""
    if focus is not None:
        start, end = shown.page_span(document, number)
        if focus[0] < end and focus[1] > start:
            marked = urlencode({"start": focus[0], "end": focus[1]})
    address = f"/documents/{document.id}/pages/{number}.png"

    def turned(to: int) -> str | None:
        if not 1 <= to <= count:
            return None
        start, _ = shown.page_span(document, to)
        part = part_of(parts(document), start).number if given.part is not None else None
        return given.address(f"p{to}", page=to, part=part)

    panel["picture"] = {
        "number": number,
        "count": count,
        "name": page_name("pdf", number, page.label if page is not None else ""),
        "address": f"{address}?{marked}" if marked else address,
        "large": f"{address}?size=large{'&' if marked else ''}{marked}",
        "marked": bool(marked),
        "before": turned(number - 1),
        "after": turned(number + 1),
    }
    return panel


def wanted_picture(document: Document, number: int, start: int, end: int, size: str) -> Wanted:
    """The picture of a page with a span of the document's text marked on it, as far as it stands there."""
    first, last = shown.page_span(document, number)
    begin, stop = max(start, first), min(end, last)
    if begin >= stop or last - first > MOST_WORDS:
        return Wanted(document.sha256, number, size)
    return Wanted(document.sha256, number, size, document.text[first:last], begin - first, stop - first)


def _original(originals: Originals, document: Document) -> bytes:
    """The bytes of a document's file; an HTTPException where it is gone or another one."""
    data = originals.read(document)
    if not isinstance(data, bytes):
        raise _not_there(data)
    return data


def _not_there(state: State) -> HTTPException:
    """What is said of a document whose file is gone or another one."""
    return HTTPException(409, CHANGED) if state == "changed" else HTTPException(404, MISSING)
