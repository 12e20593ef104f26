"""What every route stands on: the index in use, how a question is answered, and how a page is made.

In: the parts that `create_app` was handed. Out: one record, given to the routers of the pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from build_index import local_time
from corpus.records import Document
from database import DatabaseUnavailableError
from index.current import Current
from index.encoder import Encoder
from index.reranker import Reranker
from index.store import Index
from qa import answer
from qa.catalog import CaseEntry, case_entry
from qa.quote import LIST_CASES
from qa.stopwatch import Stopwatch
from qa.synonyms import Synonyms, SynonymsFile
from qa.understand import Filters
from qa.usage import Pairs, Usage
from web import rich, view
from web.contract import TOP_K, Asked
from web.gate import Gate, person_of
from web.metrics import Metrics, Way
from web.visibility import Visibility
from web.writing import Writing

NO_INDEX = "索引がまだありません。資料を置いて build_index.py を実行するか、しばらく待ってからもう一度お試しください。"


def loaded(request: Request) -> Index:
    """The index to answer this request with, as far as its sender may see it; 503 while there is none."""
    site: Site = request.app.state.site
    index = site.seen(request)
    if index is None:
        raise HTTPException(503, site.current.problem or NO_INDEX, headers={"Retry-After": "10"})
    return index


Loaded = Annotated[Index, Depends(loaded)]


@dataclass(frozen=True)
class Site:
    """The parts of a running service; `reranker` may be the message of why it cannot be used."""

    current: Current
    encoder: Encoder
    synonyms: SynonymsFile | None
    reranker: Reranker | str | None
    templates: Environment
    usage: Usage
    visibility: Visibility
    gate: Gate
    metrics: Metrics
    writing: Writing | None = None

    def seen(self, request: Request) -> Index | None:
        """The index in use as far as the sender of a request may see it, None while there is none."""
        index = self.current.get()
        return None if index is None else self.visibility.seen(index, person_of(request))

    def given(self, reply: answer.Reply, pairs: Pairs, way: Way) -> None:
        """Keeps that a question was answered: counted, and recorded where it was asked and not only taken along."""
        self.metrics.question(reply.reason, way)
        if way != "export":
            self.usage.record(reply, pairs, way)

    def page(self, request: Request, name: str, status: int = 200, **context: Any) -> HTMLResponse:
        """A rendered template; the foot shows the index in use unless `index` says another."""
        may_read = getattr(request.state, "may_read", True)
        if "index" not in context:
            context["index"] = view.index_page(self._foot(request)) if may_read else None
        context |= {
            "person": person_of(request),
            "by_cookie": getattr(request.state, "by_cookie", False),
            "may_read": may_read,
            "writes": self.writing is not None,
            "may_sign_in": self.gate.has_accounts and not self.gate.has_sign_on,
        }
        context.setdefault("status", status)
        return HTMLResponse(self.templates.get_template(name).render(**context), status_code=status)

    def _foot(self, request: Request) -> Index | None:
        try:
            return self.seen(request)
        except DatabaseUnavailableError:
            return None  # the page says what is wrong

    def answered(self, index: Index, asked: Asked) -> answer.Reply:
        """The reply that the page shows to a state of it: that of `POST /api/ask` to a client that names no `top_k`."""
        return self.ask(
            index,
            asked.question,
            history=asked.history,
            filters=asked.filters,
            top_k=TOP_K,
            most=LIST_CASES,
            without=asked.without,
        )

    def ask(self, index: Index, question: str, **more: Any) -> answer.Reply:
        """`qa.answer.ask` with the parts of this service."""
        stopwatch = Stopwatch()
        reply = answer.ask(index, self.encoder, question, **more, **self._parts(), stopwatch=stopwatch)
        self.metrics.stages(stopwatch.seconds)
        return reply

    def search(
        self, index: Index, text: str, *, filters: Filters | None = None, top_k: int
    ) -> answer.Passages:
        """`qa.answer.search` with the parts of this service."""
        return answer.search(index, self.encoder, text, filters=filters, top_k=top_k, **self._parts())

    def _parts(self) -> dict[str, Any]:
        table = self.synonyms.get() if self.synonyms is not None else Synonyms()
        problems: Sequence[str | None] = (
            self.synonyms.problem if self.synonyms is not None else None,
            self.reranker if isinstance(self.reranker, str) else None,
        )
        return {
            "synonyms": table,
            "reranker": None if isinstance(self.reranker, str) else self.reranker,
            "notes": tuple(problem for problem in problems if problem),
        }


def environment(folder: Path) -> Environment:
    """The templates of a folder, everything in them escaped."""
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html"]),
        trim_blocks=False,
        auto_reload=False,
    )
    filters: dict[str, Callable[..., Any]] = {
        "dialled": view.dialled,
        "exact": view.exact,
        "size": view.size_text,
        "local_time": local_time,
        "blocks": rich.blocks,
    }
    made.filters |= filters
    return made


def document_of(index: Index, document_id: str) -> Document:
    """A document of the index; 404 where it is none."""
    document = index.documents.get(document_id)
    if document is None:
        raise HTTPException(404, "この資料は見つかりません。差し替えられたか、取り除かれた可能性があります。")
    return document


def case_of(index: Index, case_id: str) -> CaseEntry:
    """A case of the index; 404 where it is none."""
    case = index.cases.get(case_id)
    if case is None:
        raise HTTPException(404, "この事例は見つかりません。資料が差し替えられた可能性があります。")
    return case_entry(case)
