"""Questions of programs: `POST /api/ask`, and the same word by word where a language model writes the answer.

In: a question with its conversation and conditions. Out: the reply of `qa.answer.ask`, or what `web.writing` makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, params
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse

from index.store import Index
from qa.answer import Reply
from qa.quote import LIST_CASES
from web.contract import Asked, AskRequest
from web.site import Loaded, Site
from web.writing import Writing, streamed

NO_MODEL = "言語モデルが設定されていないため、generated は選べません。"
_BUSY: dict[int | str, dict[str, Any]] = {
    503: {"description": "索引がまだない、または混み合っている（Retry-After 秒後に）"}
}
_EVENTS: dict[int | str, dict[str, Any]] = _BUSY | {
    200: {
        "description": "`citations`（原文の引用による返事）、`words`（書かれたままの語。未確認）、`verdict`（確かめた返事）の順に届く",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: words\ndata: {"text": "担当は"}\n\n',
            }
        },
    }
}


def router(site: Site, admitted: Sequence[params.Depends]) -> APIRouter:
    """The routes; `admitted` lets questions in."""
    routes = APIRouter()

    @routes.post("/api/ask", summary="質問に答える", responses=_BUSY, dependencies=admitted)
    def api_ask(request: Request, body: AskRequest, index: Loaded) -> Reply:
        writing = _writing(site, body) if body.answer == "generated" else None
        state, reply = _replied(site, index, body)
        return reply if writing is None else writing.reply(request, reply, state.history)

    @routes.post(
        "/api/ask/stream",
        summary="文章で答える（言語モデルがあるとき。届いた順に）",
        response_class=StreamingResponse,
        responses=_EVENTS,
        dependencies=admitted,
    )
    def api_ask_stream(body: AskRequest, index: Loaded) -> StreamingResponse:
        writing = _writing(site, body)
        state, reply = _replied(site, index, body)
        return streamed(writing.events(reply, state.history), reply)

    return routes


def _replied(site: Site, index: Index, body: AskRequest) -> tuple[Asked, Reply]:
    state = Asked(
        body.question,
        tuple(text for text in body.history if text),
        body.filters.filters(),
        tuple(body.without),
    )
    reply = site.ask(
        index,
        state.question,
        history=state.history,
        filters=state.filters,
        top_k=body.top_k,
        # a client that says how many passages it wants gets no more
        most=0 if "top_k" in body.model_fields_set else LIST_CASES,
        without=state.without,
    )
    site.given(reply, state.pairs(), "api")
    return state, reply


def _writing(site: Site, body: AskRequest) -> Writing:
    """What writes; a RequestValidationError where nothing does."""
    if site.writing is None:
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("body", "answer"), "msg": NO_MODEL, "input": body.answer}]
        )
    return site.writing
