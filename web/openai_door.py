"""The service as a model with which programs talk that speak OpenAI's chat completions (Open WebUI, the `openai` client).

In: a conversation, whose last user message is the question and whose earlier ones are its history. Out: the reply of `qa.answer.ask` as a text
with its sources below, its sources as annotations too, and as a whole in the field `dxqa`; at once, or piece by piece.

What system and developer messages order is not done: nothing but the documents answers here, and no order could change how. Settings of models
(temperature, max_tokens, tools, …) have nothing to set and are passed over, but for those that would promise another kind of reply. Names and
shapes are OpenAI's; its package is not used here.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, params
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.concurrency import run_in_threadpool

from qa.answer import Reply
from web.contract import MAX_HISTORY, MAX_QUESTION_CHARS, NO_TRUTH_VALUE, Asked
from web.export import base_of
from web.program_doors import About, RefusedError
from web.reply_text import Told, told
from web.site import Loaded, Site
from web.writing import Writing, event_data

QUOTING, WRITING = "dxqa", "dxqa-written"
"""The models: the documents' own words; and the words of a language model, checked, where one is configured."""
OWNER = "dxqa"
KEEP_ALIVE_S = 10.0
"""Between two signs of life while a written answer is checked: proxies give up after thirty seconds of silence and more."""
KEEP_ALIVE = ": 書いた文を原文で確かめています\n\n".encode()
BYTES_A_TOKEN = 3
"""Of UTF-8: tokenizers take one token for a kana or kanji (three bytes) and for three or four Latin letters. An estimate, and said to be one."""
MOST_TITLE_CHARS = 30
MOST_MESSAGES = 5000

NO_QUESTION = "質問がありません。role が user のメッセージに、質問を入れてください。"
NO_PICTURES = "画像・音声・ファイルは読めません。質問を文字で送ってください。"
ONE_ANSWER = "答えは一度に一つだけです。n を 1 にするか、外してください。"
NO_TOOLS = "ツール（関数）は呼び出せません。{} を auto か none にするか、外してください。"
ONLY_TEXT = "答えは文章だけです。response_format を text にするか、外してください。"
NO_MODEL = "「{}」という名前のモデルはありません。GET /v1/models の名前から選んでください。"


# ---------------------------------------------------------------- what comes in


class Part(BaseModel):
    """A part of a message; only texts are read."""

    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    # the first wrong part is enough to say: a body has room for a million, and each of their errors takes two kilobytes
    content: str | Annotated[list[Part], Field(fail_fast=True)] | None = None

    def texts(self) -> str:
        """The text of a message, its parts under each other."""
        if isinstance(self.content, list):
            return "\n".join(part.text or "" for part in self.content if part.type == "text")
        return self.content or ""


class ResponseFormat(BaseModel):
    """In what form an answer is wanted."""

    type: str


class StreamOptions(BaseModel):
    """What is added to a stream."""

    include_usage: StrictBool | None = None


class ChatRequest(BaseModel):
    """A conversation, oldest message first; what is not named here is passed over."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": QUOTING,
                    "messages": [
                        {"role": "user", "content": "青葉野市の窓口改革について教えて"},
                        {"role": "assistant", "content": "…"},
                        {"role": "user", "content": "担当部署の電話番号は？"},
                    ],
                }
            ]
        }
    )
    model: Annotated[str, Field(max_length=200)]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MOST_MESSAGES, fail_fast=True)]
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int | None, NO_TRUTH_VALUE] = None
    tool_choice: str | dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None


# ---------------------------------------------------------------- what goes out


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it is listed."""

    id: str
    created: int
    object: str = "model"
    owned_by: str = OWNER


@dataclass(frozen=True, slots=True)
class Models:
    """The list of models."""

    data: tuple[Model, ...]
    object: str = "list"


@dataclass(frozen=True, slots=True)
class UrlCitation:
    """A source: `content[start_index:end_index]` is its line in the list of sources, in Unicode code points."""

    url: str
    title: str
    start_index: int
    end_index: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a message says of its text; the first one is [1], the second [2], and so on."""

    url_citation: UrlCitation
    type: str = "url_citation"


@dataclass(frozen=True, slots=True)
class Answered:
    """The message that answers."""

    content: str
    annotations: tuple[Annotation, ...]
    role: str = "assistant"
    refusal: None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The one answer."""

    message: Answered
    index: int = 0
    finish_reason: str = "stop"
    logprobs: None = None


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Estimated tokens: bytes of UTF-8 by three, of the question with the earlier ones that were read, and of the answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer; `dxqa` is the reply as `POST /api/ask` gives it, None where nothing was asked of the documents."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: TokenUsage
    dxqa: Reply | None
    object: str = "chat.completion"
    system_fingerprint: str | None = None


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "答え。stream が true なら chat.completion.chunk が順に届き、最後の chunk に dxqa と annotations が付く",
        "content": {
            "text/event-stream": {
                "example": 'data: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "…"}}]}\n\n'
                "data: [DONE]\n\n",
            }
        },
    },
    404: {"description": "その名前のモデルはない"},
}
ModelName = Annotated[str, Path(max_length=200, description="モデルの名前", examples=[QUOTING])]


def router(site: Site, admitted: Sequence[params.Depends]) -> APIRouter:
    """The routes; `admitted` lets questions in."""
    routes = APIRouter(prefix="/v1", tags=["OpenAI互換"])
    created = int(time.time())
    names = (QUOTING,) if site.writing is None else (QUOTING, WRITING)
    models = Models(tuple(Model(name, created) for name in names))

    def writing_of(name: str) -> Writing | None:
        """What writes for a model, None where the documents' own words answer; a RefusedError for a model that is none."""
        if name not in names:
            raise RefusedError(404, NO_MODEL.format(name), About("model_not_found", "model"))
        return site.writing if name == WRITING else None

    @routes.get("/models", summary="モデルの一覧")
    def list_models() -> Models:
        return models

    @routes.get("/models/{model}", summary="一つのモデル")
    def one_model(model: ModelName) -> Model:
        writing_of(model)
        return next(one for one in models.data if one.id == model)

    @routes.post(
        "/chat/completions",
        summary="質問に答える（OpenAI の形で）",
        response_model=Completion,
        responses=_RESPONSES,
        dependencies=admitted,
    )
    def complete(request: Request, body: ChatRequest, index: Loaded) -> Completion | StreamingResponse:
        writing = writing_of(body.model)
        _promises(body)
        question = _question(body.messages)
        talk = _Talk(body.model, bool(body.stream_options and body.stream_options.include_usage))
        aside = auxiliary(question)
        if aside is not None:
            talk.prompt = question
            return streamed(talk, Told(aside)) if body.stream else talk.completion(Told(aside), None)
        state = Asked(question.strip(), _earlier(body.messages))
        problem = NO_QUESTION if not state.question else state.problem()
        if problem:
            too_long = len(state.question) > MAX_QUESTION_CHARS
            raise RefusedError(
                422, problem, About("question_too_long" if too_long else "invalid_question", "messages")
            )
        reply = site.answered(index, state)
        site.given(reply, state.pairs(), "api")
        talk.prompt = "\n".join((*state.history, state.question))
        base = base_of(request)
        if body.stream and writing is not None:
            return _streamed(_checked(talk, writing, reply, state.history, base))
        if writing is not None:
            reply = writing.reply(request, reply, state.history)
        text = told(reply, base)
        return streamed(talk, text, reply) if body.stream else talk.completion(text, reply)

    return routes


# ---------------------------------------------------------------- reading a conversation


def _promises(body: ChatRequest) -> None:
    """Refuses what would promise a reply that is not given."""
    if body.n is not None and body.n != 1:
        raise RefusedError(422, ONE_ANSWER, About("unsupported_value", "n"))
    for name in ("tool_choice", "function_call"):
        if getattr(body, name) not in (None, "none", "auto"):
            raise RefusedError(422, NO_TOOLS.format(name), About("unsupported_value", name))
    if body.response_format is not None and body.response_format.type != "text":
        raise RefusedError(422, ONLY_TEXT, About("unsupported_value", "response_format"))


def _question(messages: Sequence[ChatMessage]) -> str:
    """The last user message; a RefusedError where there is none, or one that is not all text."""
    last = next((message for message in reversed(messages) if message.role == "user"), None)
    if last is None:
        raise RefusedError(422, NO_QUESTION, About("missing_required_parameter", "messages"))
    if isinstance(last.content, list) and any(part.type != "text" for part in last.content):
        raise RefusedError(422, NO_PICTURES, About("unsupported_content", "messages"))
    return last.texts()


def _earlier(messages: Sequence[ChatMessage]) -> tuple[str, ...]:
    """The user messages before the last one, oldest first: the last ones, and of these only what can be a question."""
    asked = [message.texts().strip() for message in messages if message.role == "user"][:-1]
    return tuple(text for text in asked if text and Asked(text).problem() is None)[-MAX_HISTORY:]


_TASK = re.compile(r"\s*###\s*Task:")
_WANTED = re.compile(r'\{\s*"(title|tags|follow_ups|queries|text|prompt)"\s*:')
_FIRST = re.compile(r"<chat_history>\s*USER:\s*(.*)")
_EMPTY: dict[str, Any] = {"tags": [], "follow_ups": [], "queries": [], "text": "", "prompt": ""}


def auxiliary(text: str) -> str | None:
    """What answers a message that is no question but a task of Open WebUI's own (a title for the conversation, tags, …); None for all others.

    It sends such a task to the same model, as a user's message that begins with 「### Task:」 and names the JSON that it wants. The title is
    the first question of the conversation that the task quotes; of all else there is nothing, in the form that is asked for.
    """
    wanted = _WANTED.search(text) if _TASK.match(text) else None
    if wanted is None:
        return None
    if wanted[1] != "title":
        return json.dumps({wanted[1]: _EMPTY[wanted[1]]})
    first = _FIRST.search(text)
    title = first[1].strip()[:MOST_TITLE_CHARS] if first else ""
    return json.dumps({"title": title or "資料への質問"}, ensure_ascii=False)


# ---------------------------------------------------------------- an answer in OpenAI's form


@dataclass(slots=True)
class _Talk:
    """What all that is said in one reply has in common."""

    model: str
    with_usage: bool
    prompt: str = ""
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def usage(self, answer: str) -> TokenUsage:
        asked, said = tokens(self.prompt), tokens(answer)
        return TokenUsage(asked, said, asked + said)

    def completion(self, text: Told, reply: Reply | None) -> Completion:
        return Completion(
            self.id,
            self.created,
            self.model,
            (Choice(Answered(text.text, _annotations(text))),),
            self.usage(text.text),
            reply,
            system_fingerprint=_fingerprint(reply),
        )

    def chunk(self, delta: dict[str, Any] | None, reason: str | None = None, **more: Any) -> bytes:
        """An event of a stream; without a delta it has no choice in it."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        said = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [] if delta is None else [choice],
            **({"usage": None} if self.with_usage else {}),
            **more,
        }
        return event_data(said)

    def beginning(self) -> bytes:
        """The first event: who speaks."""
        return self.chunk({"role": "assistant", "content": ""})

    def pieces(self, text: Told, reply: Reply | None) -> list[bytes]:
        """The events after it: the text line by line, the end with the sources and the whole reply, and what was used."""
        events = [self.chunk({"content": line}) for line in text.text.splitlines(keepends=True)]
        sources = [asdict(one) for one in _annotations(text)]
        events.append(
            self.chunk(
                {"annotations": sources} if sources else {},
                "stop",
                system_fingerprint=_fingerprint(reply),
                dxqa=None if reply is None else asdict(reply),
            )
        )
        if self.with_usage:
            events.append(self.chunk(None, usage=asdict(self.usage(text.text))))
        return [*events, b"data: [DONE]\n\n"]


def tokens(text: str) -> int:
    """About how many tokens a text has: bytes of UTF-8 by three, rounded up.

    >>> tokens("窓口は?")
    4
    """
    return -(-len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN)


def _annotations(text: Told) -> tuple[Annotation, ...]:
    return tuple(Annotation(UrlCitation(one.url, one.title, one.start, one.end)) for one in text.sources)


def _fingerprint(reply: Reply | None) -> str | None:
    return None if reply is None else reply.index_version


def streamed(talk: _Talk, text: Told, reply: Reply | None = None) -> StreamingResponse:
    """A text that is there already, as a stream."""

    async def events() -> AsyncIterator[bytes]:
        yield talk.beginning()
        for event in talk.pieces(text, reply):
            yield event

    return _streamed(events())


def _streamed(events: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(
        events,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _checked(
    talk: _Talk, writing: Writing, reply: Reply, history: Sequence[str], base: str
) -> AsyncIterator[bytes]:
    """A written answer as a stream: nothing of it is sent before all of it is checked.

    Whoever reads here cannot be told afterwards that a sentence was taken back, as a page of ours tells it: a chunk that was sent stays on the
    screen, and in what is copied from it. So the words come with the verdict; until then there are signs of life, which clients pass over.
    """
    yield talk.beginning()
    gone = threading.Event()
    work = asyncio.ensure_future(run_in_threadpool(_verdict, writing, reply, history, gone))
    try:
        while not (await asyncio.wait({work}, timeout=KEEP_ALIVE_S))[0]:
            yield KEEP_ALIVE
    finally:
        gone.set()  # whoever asked may have left
    final = work.result()
    for event in talk.pieces(told(final, base), final):
        yield event


def _verdict(writing: Writing, reply: Reply, history: Sequence[str], gone: threading.Event) -> Reply:
    """The written reply; the extractive one where nobody waits for it any more."""
    with closing(writing.events(reply, history)) as events:
        for one in events:
            if isinstance(one, Reply):
                return one
            if gone.is_set():
                break
    return reply
