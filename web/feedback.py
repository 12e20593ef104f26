"""How people say whether an answer was of use: a form under it, and a call of the HTTP contract.

In: a question's state with 役に立った or 役に立たなかった and a word of comment. Out: a page that says thank you, or JSON. Everybody
may rate, as everybody may ask; forms are taken from pages of this server only.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from database import DatabaseUnavailableError
from qa.masking import cleaned
from qa.usage import MAX_COMMENT_CHARS, Rating, TooManyRatingsError
from web.contract import MAX_HISTORY, Asked, ConditionName, Earlier, FilterRequest, Question, asked
from web.gate import Gate
from web.site import Site

OFF = "このサーバーでは、質問と評価を記録していません。"
UNAVAILABLE = "いまは評価を記録できません。答えはそのままご覧になれます。"
_FIELDS_MOST = 2000  # a state with all conditions that are taken


def _one_kind_of_line_break(text: Any) -> Any:
    # a form sends two characters for each line break, which a person counts as one
    return text.replace("\r\n", "\n").replace("\r", "\n") if isinstance(text, str) else text


def _no_longer(text: str) -> str:
    if len(text) > MAX_COMMENT_CHARS:
        raise ValueError(f"コメントは{MAX_COMMENT_CHARS}文字以内で入力してください（いま{len(text)}文字）。")
    return cleaned(text)


def _true_or_false(given: Any) -> Any:
    # a form can only send words; 1, 「on」 and the like are no answer
    if given is None or isinstance(given, bool) or given in ("true", "false"):
        return given
    raise ValueError("true か false で指定してください。")


Truth = Annotated[bool, BeforeValidator(_true_or_false)]
Comment = Annotated[str, BeforeValidator(_one_kind_of_line_break), AfterValidator(_no_longer)]


class FeedbackRequest(BaseModel):
    """Whether the answer to a question was useful, with a word of comment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "question": "青葉野市の担当部署の電話番号は？",
                    "useful": False,
                    "comment": "番号が古いようです",
                    "index_version": "20261121T090000000000Z-ab12cd",
                    "citations": ["3f2a9c0d1e5b6a78"],
                }
            ]
        }
    )
    question: Question
    useful: Truth
    comment: Annotated[Comment, Field(description=f"{MAX_COMMENT_CHARS}文字まで。個人情報は書かない")] = ""
    history: Annotated[list[Earlier], Field(max_length=MAX_HISTORY)] = []
    filters: FilterRequest = FilterRequest()
    without: Annotated[list[ConditionName], Field(max_length=20)] = []
    answerable: Truth | None = None
    index_version: Annotated[str, Field(max_length=100, pattern=r"^[0-9A-Za-z._-]*$")] = ""
    citations: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]],
        Field(max_length=50, description="示された記述の番号（chunk_id）"),
    ] = []
    id: Annotated[
        str | None,
        Field(pattern=r"^[0-9A-Za-z_-]{16}$", description="前の評価の id。あれば、それに代わる評価になる"),
    ] = None

    def asked(self) -> Asked:
        """The state of the page that was rated."""
        history = tuple(text for text in self.history if text)
        return Asked(self.question, history, self.filters.filters(), tuple(self.without))

    def rating(self) -> Rating:
        """The same as the record that is kept."""
        return Rating(
            question=self.question,
            pairs=tuple(self.asked().pairs()),
            useful=self.useful,
            comment=self.comment,
            answerable=self.answerable,
            index_version=self.index_version,
            citations=tuple(self.citations),
            ticket=self.id or "",
        )


class FeedbackReply(BaseModel):
    """The rating as it was kept; its `id` lets a later one take its place."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "q3J0x8-1aB_cD9eF", "useful": False}]})
    id: str
    useful: bool


def _kept(site: Site, given: FeedbackRequest) -> FeedbackReply:
    """Keeps a rating; raises an HTTPException where that cannot be."""
    if not site.usage.on:
        raise HTTPException(409, OFF)
    try:
        return FeedbackReply(id=site.usage.rate(given.rating()), useful=given.useful)
    except TooManyRatingsError as error:
        raise HTTPException(429, str(error), headers={"Retry-After": "60"}) from error
    except DatabaseUnavailableError as error:
        raise HTTPException(503, UNAVAILABLE, headers={"Retry-After": "60"}) from error


def _same_site(request: Request) -> None:
    gate: Gate = request.app.state.gate
    gate.check_origin(request, needed=False)


def _says(status: int, message: str) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": message, "content": {"application/json": {"example": {"detail": message}}}}
    }


def api(site: Site) -> APIRouter:
    """The call of the contract."""
    routes = APIRouter(prefix="/api", dependencies=[Depends(_same_site)])

    @routes.post(
        "/feedback",
        status_code=201,
        summary="答えが役に立ったかを伝える",
        responses=_says(409, OFF)
        | _says(429, "評価が続けて届いているため、いまは受け付けられません。")
        | _says(503, UNAVAILABLE),
    )
    def give_feedback(body: FeedbackRequest) -> FeedbackReply:
        return _kept(site, body)

    return routes


# ---------------------------------------------------------------- pages


def pages(site: Site) -> APIRouter:
    """The form's way, and the page that thanks."""
    # what the form in the templates asks: whether anything is recorded, for how long, and a page's own name
    site.templates.globals["usage"] = site.usage
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.post("/feedback", dependencies=[Depends(_same_site)])
    async def take(request: Request) -> Response:
        async with request.form(max_fields=_FIELDS_MOST, max_files=0) as form:
            given = _of_form(form)
        state = given.asked()
        try:
            await run_in_threadpool(_kept, site, given)
        except HTTPException as error:
            shown = {"problem": error.detail, "back": state.address()}
            page = await run_in_threadpool(site.page, request, "feedback.html", error.status_code, **shown)
            page.headers.update(error.headers or {})
            return page
        return RedirectResponse(state.address("/feedback"), 303)

    @routes.get("/feedback")
    def thanks(request: Request, state: Annotated[Asked, Depends(asked)]) -> HTMLResponse:
        return site.page(
            request, "feedback.html", problem=None, back=state.address() if state.question else "/"
        )

    return routes


def _of_form(form: FormData) -> FeedbackRequest:
    """What a form says; raises a RequestValidationError as a body of JSON does."""
    names: dict[Literal["many", "one"], set[str]] = {"many": set(), "one": set()}
    for name, condition in FilterRequest.model_fields.items():
        names["many" if condition.default == [] else "one"].add(name)
    given: dict[str, Any] = {
        "history": form.getlist("h"),
        "without": form.getlist("without"),
        "filters": {name: form.getlist(name) for name in names["many"]}
        | {name: form[name] for name in names["one"] if name in form},
        "citations": form.getlist("citations"),
    }
    given |= {
        name: form[name]
        for name in ("useful", "comment", "answerable", "index_version", "id")
        if name in form
    }
    given |= {"question": form["q"]} if "q" in form else {}
    try:
        return FeedbackRequest.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in error.errors()]) from error
