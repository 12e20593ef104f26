"""The page on which people ask: the question, its answer and evidence, the conditions that were read from it.

In: a state of the page as its address gives it. Out: the page. What is shown is the reply of `qa.answer.ask`, to the letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from index.store import Index
from qa.answer import Reply
from qa.cite import Citation
from web import view
from web.contract import Asked, asked
from web.site import NO_INDEX, Site

EXAMPLES = 4
_CONDITIONS = {
    "organizations": "団体",
    "prefectures": "都道府県",
    "regions": "地方",
    "organization_kinds": "団体の種類",
    "population_bands": "人口規模",
    "categories": "分類",
    "population_min": "人口（以上）",
    "population_max": "人口（以下）",
    "near_population": "人口が近い順",
    "document_ids": "資料",
    "case_ids": "事例",
}


def router(site: Site) -> APIRouter:
    """The routes of the page."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/")
    def page_ask(request: Request, state: Annotated[Asked, Depends(asked)]) -> HTMLResponse:
        index = site.current.get()
        shown: dict[str, Any] = {
            "question": state.question,
            "history": list(state.history),
            "reply": None,
            "error": None,
        }
        shown["examples"] = example_questions(index)
        if not state.question:
            return site.page(request, "ask.html", **shown)
        if index is None:
            return site.page(request, "ask.html", 503, **{**shown, "error": site.current.problem or NO_INDEX})
        problem = state.problem()
        if problem:
            return site.page(request, "ask.html", 422, **{**shown, "history": [], "error": problem})
        reply = site.answered(index, state)
        return site.page(
            request,
            "ask.html",
            **{**shown, "reply": reply_page(reply)},
            chips=chips(reply, state.question, state.history, state.without),
            taken_back=list(state.without),
            state=state,
            index=view.index_page(index),
        )

    return routes


def reply_page(reply: Reply) -> dict[str, Any]:
    """A reply with each citation's text cut into marked and plain segments."""
    page = asdict(reply)
    for shown, citation in zip(page["citations"], reply.citations, strict=True):
        shown["segments"] = _marked(citation)
    return page


def _marked(citation: Citation) -> list[dict[str, Any]]:
    segments, at = [], citation.char_start
    for highlight in citation.highlights:
        start, end = max(highlight.char_start, at), min(highlight.char_end, citation.char_end)
        if start >= end:
            continue
        segments += [_segment(citation, at, start, False), _segment(citation, start, end, True)]
        at = end
    segments.append(_segment(citation, at, citation.char_end, False))
    return [s for s in segments if s["text"]]


def _segment(citation: Citation, start: int, end: int, marked: bool) -> dict[str, Any]:
    return {"text": citation.text[start - citation.char_start : end - citation.char_start], "marked": marked}


def chips(
    reply: Reply, question: str, history: Sequence[str], taken_back: Sequence[str] = ()
) -> list[dict[str, str | None]]:
    """The conditions that were applied: label, value, and for one read from the question the address without it."""
    shown = []
    for name, label in _CONDITIONS.items():
        value = getattr(reply.filters, name)
        if value in ((), None):
            continue
        if isinstance(value, int):
            words = f"{value:,}人"
        else:
            words = f"{len(value)}件に限定" if name.endswith("_ids") else "、".join(value)
        url = None
        if name in reply.filters.from_question:
            pairs = [("h", text) for text in history] + [("q", question)]
            pairs += [("without", other) for other in (*taken_back, name)]
            url = f"/?{urlencode(pairs)}"
        shown.append({"label": label, "value": words, "url": url})
    return shown


def example_questions(index: Index | None) -> list[str]:
    """Questions that the indexed documents answer, made from the forms of what they hold."""
    if index is None:
        return []
    examples: list[str] = []
    cases = list(index.cases.values())
    short = [case.organization.removeprefix(case.prefecture or "") or case.organization for case in cases]
    asked = [
        (name, chunk.heading_path[-1])
        for name, case in zip(short, cases, strict=True)
        for chunk in index.chunks
        if chunk.case_id == case.id and chunk.heading_path[-1].endswith(("ください。", "か。"))
    ]
    if cases and (phone := next((n for n, c in zip(short, cases, strict=True) if c.phone), None)):
        examples.append(f"{phone}の担当部署の電話番号は？")
    if asked:
        name, heading = asked[len(asked) // 2]
        examples.append(f"{name}：{heading}")
    if sum(case.population is not None and case.population < 50_000 for case in cases) >= 2:
        examples.append("人口5万人未満の団体の事例を見せて")
    for document in index.documents.values():
        headings = [h.text for h in document.headings if h.text.endswith(("？", "?")) and len(h.text) <= 40]
        if headings:
            examples.append(headings[len(headings) // 2])
    return examples[:EXAMPLES]
