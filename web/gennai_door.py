"""The service as an app of 源内, the Digital Agency's platform: a form that its users fill in, and an answer in Markdown, with files.

In: `{"inputs": {…}}`, a question with conditions and the conversation before it. Out: `{"outputs": "…"}` at once; or the number of an answer
that is fetched later, with the answer as Word and Excel files beside it. The shapes are those of its published specification of March 2026
(docs/decisions.md says which). Files that come in are not read.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Request, params
from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from index.store import Index
from qa import dossier
from qa.answer import Reply
from qa.dossier import CONDITION_LABELS, Occasion
from qa.understand import Filters
from web.ask_api import NO_MODEL
from web.contract import MAX_HISTORY, Asked, FilterRequest, Names, Persons, Question
from web.export import base_of, file_of, occasion_of
from web.gate import person_of
from web.gennai_jobs import FAILED, TRY_AGAIN, Artifact, Job, Jobs, Made, State, Tell, TooManyError, moment
from web.program_doors import GENNAI
from web.reply_text import told
from web.site import Loaded, Site
from web.writing import Writing

FORMS = ("docx", "xlsx")
"""The files that come with an answer that is fetched later."""
ACCEPTED = "質問を受け付けました。答えができるまで、しばらくお待ちください。"
NO_JOB = "この番号の答えはありません。時間がたって消えたか、番号が違います。もう一度質問してください。"
CROWDED = (
    "作っている途中の答えが多いため、いまは受け付けられません。30秒ほど待ってから、もう一度お試しください。"
)
FILES_NOT_READ = "注：添付ファイルは読んでいません。登録された資料だけから答えています。"
_LABELS: Mapping[str, str] = {"質問": "question", "答え方": "answer"} | {
    label: name for name, label in CONDITION_LABELS.items()
}
_BETWEEN = re.compile("[,、]")


# ---------------------------------------------------------------- what comes in


def _words(value: Any) -> Any:
    """A text that was sent as a number or a truth value, as it was typed."""
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _names(value: Any) -> Any:
    """「市,町」 as a list."""
    value = _words(value)
    if not isinstance(value, str):
        return value
    return [name.strip() for name in _BETWEEN.split(value) if name.strip()]


_SCALARS: list[dict[str, Any]] = [{"type": "number"}, {"type": "boolean"}]
_CHOICES: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "items": {"type": "string", "maxLength": 200}, "maxItems": 200},
        {"type": "string", "maxLength": 200},
        *_SCALARS,
        {"type": "null"},
    ],
    "description": "一つか、コンマ区切りのいくつか",
}
Choices = Annotated[Names, BeforeValidator(_names), WithJsonSchema(_CHOICES)]
_QUESTION: dict[str, Any] = {"anyOf": [TypeAdapter(Question).json_schema(), *_SCALARS], "title": "質問"}


class Inputs(BaseModel):
    """A question with its conditions, by the names of our API or by their labels (「質問」「都道府県」…).

    The platform sends several choices as one text with commas, and what looks like a number as a number; an empty field is none.
    """

    question: Annotated[Question, BeforeValidator(_words), WithJsonSchema(_QUESTION)]
    answer: Annotated[
        Literal["extractive", "generated"],
        WithJsonSchema({"enum": ["extractive", "generated", "", None], "default": "extractive"}),
    ] = "extractive"
    document_ids: Choices = []
    case_ids: Choices = []
    organizations: Choices = []
    prefectures: Choices = []
    regions: Choices = []
    organization_kinds: Choices = []
    population_bands: Choices = []
    categories: Choices = []
    population_min: Persons = None
    population_max: Persons = None
    conversation_histories: Annotated[Any, Field(description="源内が付ける、これまでの入力と出力")] = None
    files: Annotated[Any, Field(description="読みません")] = None

    @model_validator(mode="before")
    @classmethod
    def _as_sent(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        named = {_LABELS.get(name, name): value for name, value in given.items()}
        # of the question it is said what is wrong with an empty one
        return {name: value for name, value in named.items() if value not in (None, "") or name == "question"}

    def filters(self) -> Filters:
        """The conditions alone."""
        conditions = {name: getattr(self, name) for name in FilterRequest.model_fields}
        return FilterRequest(**conditions).filters()


class GennaiRequest(BaseModel):
    """What the platform sends; its number of the conversation is not needed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "inputs": {
                        "question": "担当部署の電話番号は？",
                        "prefectures": "架空県",
                        "organization_kinds": "市,町",
                        "population_max": 100000,
                    }
                }
            ]
        }
    )
    inputs: Inputs


def _earlier(histories: Any) -> tuple[str, ...]:
    """The questions before this one, oldest first, of what the platform adds: `[{"input": "{…the inputs as JSON…}", "output": "…"}]`."""
    found = []
    for one in histories if isinstance(histories, list) else []:
        try:
            before = json.loads(one["input"])
        except (TypeError, KeyError, ValueError, RecursionError):
            continue  # what cannot be read was no question of ours
        if isinstance(before, dict):
            text = _words(before.get("question", before.get("質問", "")))
            if isinstance(text, str) and text.strip() and Asked(text.strip()).problem() is None:
                found.append(text.strip())
    return tuple(found[-MAX_HISTORY:])


# ---------------------------------------------------------------- what goes out


@dataclass(frozen=True, slots=True)
class Outputs:
    """An answer in Markdown."""

    outputs: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """An answer that will be made; `status_url` is where it is asked for."""

    outputs: str
    request_id: str
    status: State
    status_url: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer."""

    message: str
    details: str


@dataclass(frozen=True, slots=True)
class Status:
    """How far an answer is; with `outputs` and `artifacts` when it is there, with `error` where it failed."""

    request_id: str
    status: State
    progress: str
    created_at: str
    updated_at: str
    outputs: str | None = None
    artifacts: tuple[Artifact, ...] | None = None
    error: Failure | None = None


def _status(job: Job) -> Status:
    made = job.made
    return Status(
        job.id,
        job.state,
        job.progress,
        moment(job.created),
        moment(job.updated),
        outputs=made.outputs if made else None,
        artifacts=made.artifacts if made else None,
        error=Failure(FAILED, TRY_AGAIN) if job.state == "ERROR" else None,
    )


RequestId = Annotated[
    str, Path(max_length=64, description="受付の番号", examples=["0b0f7f3e-5d0c-4c55-9f58-3f3f2f1c9a10"])
]


def router(site: Site, admitted: Sequence[params.Depends], jobs: Jobs | None = None) -> APIRouter:
    """The routes; `admitted` lets questions in."""
    jobs = jobs if jobs is not None else Jobs()
    routes = APIRouter(prefix=GENNAI, tags=["源内"])

    def asked(body: GennaiRequest, index: Index) -> tuple[Asked, Reply, Writing | None]:
        """The question with the documents' own reply, and what writes another, if that is wanted."""
        inputs = body.inputs
        if inputs.answer == "generated" and site.writing is None:
            raise RequestValidationError(
                [{"type": "value_error", "loc": ("body", "inputs", "answer"), "msg": NO_MODEL, "input": ""}]
            )
        state = Asked(inputs.question, _earlier(inputs.conversation_histories), inputs.filters())
        reply = site.answered(index, state)
        site.given(reply, state.pairs(), "api")
        return state, reply, site.writing if inputs.answer == "generated" else None

    @routes.post("", summary="質問に答える（源内のAIアプリの形で）", dependencies=admitted)
    def gennai(request: Request, body: GennaiRequest, index: Loaded) -> Outputs:
        state, reply, writing = asked(body, index)
        if writing is not None:
            reply = writing.reply(request, reply, state.history)
        base = base_of(request)
        return Outputs(_markdown(reply, base, base + state.address(), bool(body.inputs.files)))

    @routes.post("/requests/", include_in_schema=False, status_code=202, dependencies=admitted)
    @routes.post(
        "/requests",
        summary="質問を受け付ける（源内の非同期の形で。ファイルつき）",
        status_code=202,
        dependencies=admitted,
    )
    def gennai_request(request: Request, body: GennaiRequest, index: Loaded) -> Accepted:
        state, reply, writing = asked(body, index)
        occasion, with_files = occasion_of(request, state.address()), bool(body.inputs.files)
        # answered here, within the limits of questions and as far as this person may see; written and put into files afterwards

        def work(tell: Tell) -> Made:
            return _made(index, state, reply, writing, occasion, tell, with_files=with_files)

        try:
            job = jobs.start(_owner(request), frozenset(one.path for one in reply.citations), work)
        except TooManyError as error:
            raise HTTPException(429, CROWDED, headers={"Retry-After": "30"}) from error
        root = request.scope.get("root_path", "")
        return Accepted(ACCEPTED, job.id, job.state, f"{root}{GENNAI}/status/{job.id}")

    @routes.get(
        "/status/{request_id}",
        summary="受け付けた質問の答え（源内の非同期の形で）",
        response_model=Status,
        response_model_exclude_none=True,
    )
    def gennai_status(request: Request, request_id: RequestId) -> Status:
        job = jobs.get(request_id, _owner(request))
        person = person_of(request)
        # what was closed to somebody since the question was asked is not given out any more
        if job is None or not all(site.visibility.sees_path(path, person) for path in job.paths):
            raise HTTPException(404, NO_JOB)
        return _status(job)

    return routes


def _owner(request: Request) -> str:
    """Whose an answer is: an account's; of those who read without one it is whoever knows its number."""
    name = person_of(request).name
    return "anybody" if name is None else f"account {name}"


def _made(
    index: Index,
    state: Asked,
    reply: Reply,
    writing: Writing | None,
    occasion: Occasion,
    tell: Tell,
    *,
    with_files: bool,
) -> Made:
    """An answer with its files."""
    steps = len(FORMS) + (writing is not None)
    if writing is not None:
        tell(f"文章を書いて、原文で確かめています（1/{steps}）")
        reply = next(one for one in writing.events(reply, state.history) if isinstance(one, Reply))
    artifacts = []
    made = dossier.of_reply(index, reply, occasion, history=state.history)
    for number, form in enumerate(FORMS, steps - len(FORMS) + 1):
        tell(f"ファイルを作っています（{number}/{steps}）")
        file = file_of(made, form)
        artifacts.append(Artifact(base64.b64encode(file.content).decode(), file.name, file.media))
    return Made(_markdown(reply, occasion.base, occasion.address, with_files), tuple(artifacts))


def _markdown(reply: Reply, base: str, page: str, with_files: bool) -> str:
    """The answer, and where it is seen in this service."""
    parts = [told(reply, base).text]
    if with_files:
        parts.append(FILES_NOT_READ)
    parts.append(f"[同じ質問をDX資料アシスタントの画面で開く]({page})")
    return "\n\n".join(parts)
