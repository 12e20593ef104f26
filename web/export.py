"""Taking along: an answer, a case or a comparison as a file, and what a page needs to offer it and to be printed.

In: the state of a page as its address gives it. Out: a file to keep, in the same words as the page. The libraries that write
files are loaded with the first of them, not at the start.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response

from qa import dossier
from qa.comparison import LEAST, MOST, compare
from qa.dossier import Dossier, Occasion
from web.contract import Asked, asked
from web.site import Loaded, Site, case_of
from web.view import disposition
from web.writers.letters import readable

Form = Literal["docx", "xlsx", "md"]
_FORMS: dict[str, tuple[str, str]] = {
    "docx": (
        "web.writers.word",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    "xlsx": ("web.writers.excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "md": ("web.writers.markdown", "text/markdown; charset=utf-8"),
}
NAME_CHARS, NAME_BYTES = 80, 240
"""Of a file's name with its ending: what can be read in a window, and what any file system takes."""
_KINDS = {"回答": "answer", "事例": "case", "比較": "comparison"}
# what Windows, browsers and shells take for something else
_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|%~;]+')
_HOST = re.compile(r"https?://(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/\-]*)?")
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}} for _, media in _FORMS.values()
        },
        "description": "ファイル。引用は資料の原文のまま、出典・条件・索引の版つき。",
    },
    404: {"description": "事例が索引にない"},
    503: {"description": "索引がまだない"},
}


# ---------------------------------------------------------------- what a page offers


@dataclass(frozen=True, slots=True)
class Links:
    """What a page offers to take along: addresses of the files, and for paper its own address and when it was shown."""

    word: str
    excel: str
    markdown: str
    address: str
    shown_at: str


def links(
    request: Request,
    kind: Literal["answer", "case", "compare"],
    pairs: Sequence[tuple[str, str]],
    address: str,
) -> Links:
    """The links of a page at an address (`/cases/…`); `pairs` are the query of the files: `Asked.pairs()`, or case=…, once or
    several times."""
    word, excel, markdown = (f"/export/{kind}.{form}?{urlencode(pairs)}" for form in _FORMS)
    return Links(word, excel, markdown, base_of(request) + address, dossier.moment_words(_now()))


def base_of(request: Request) -> str:
    """Where this service is for the one who asks, without a slash at the end; empty where the request says it unclearly."""
    base = str(request.base_url).rstrip("/")
    return base if _HOST.fullmatch(base) else ""


# ---------------------------------------------------------------- the files


def router(site: Site) -> APIRouter:
    """The routes of the files."""
    routes = APIRouter(prefix="/export", tags=["持ち出し"], default_response_class=Response)

    @routes.get(
        "/answer.{form}",
        summary="質問への答えをファイルで",
        description="質問のページと同じ問い合わせ（q、h、without、絞り込み）に答え、回答・出典・条件を一つのファイルにします。",
        responses={status: said for status, said in _RESPONSES.items() if status != 404},
    )
    def export_answer(
        form: Form, request: Request, index: Loaded, state: Annotated[Asked, Depends(asked)]
    ) -> Response:
        problem = (
            state.problem()
            if state.question
            else "質問がありません。質問のページで尋ねてから、持ち出してください。"
        )
        if problem:
            raise HTTPException(422, problem)
        reply = site.answered(index, state)
        site.given(reply, state.pairs(), "export")
        made = dossier.of_reply(
            index,
            reply,
            occasion_of(request, state.address()),
            history=state.history,
            without=state.without,
        )
        return _file(made, form)

    @routes.get(
        "/case.{form}",
        summary="一つの事例をファイルで",
        description="事例の基本情報と、その記述のすべてを、出典つきで一つのファイルにします。",
        responses=_RESPONSES,
    )
    def export_case(form: Form, request: Request, index: Loaded, case: CaseId) -> Response:
        entry = case_of(index, case)
        return _file(
            dossier.of_case(index, entry, occasion_of(request, f"/cases/{quote(entry.id, safe='')}")), form
        )

    @routes.get(
        "/compare.{form}",
        summary="事例の比較をファイルで",
        description=f"{LEAST}件から{MOST}件の事例を並べた表を、出典つきで一つのファイルにします。",
        responses=_RESPONSES,
    )
    def export_comparison(form: Form, request: Request, index: Loaded, case: CaseIds) -> Response:
        ids = list(dict.fromkeys(case))
        if not LEAST <= len(ids) <= MOST:
            raise HTTPException(
                422, f"比べる事例は{LEAST}件から{MOST}件で指定してください（いま{len(ids)}件）。"
            )
        ids = [case_of(index, case_id).id for case_id in ids]
        address = "/compare?" + urlencode([("case", case_id) for case_id in ids])
        return _file(dossier.of_comparison(index, compare(index, ids), occasion_of(request, address)), form)

    return routes


CaseId = Annotated[
    str, Query(max_length=200, description="事例の番号（/api/cases の id）", examples=["54f5dd903281c06d"])
]
CaseIds = Annotated[
    list[Annotated[str, Query(max_length=200)]],
    Query(
        max_length=50,
        description="事例の番号を、並べる順に、case=…&case=… のように",
        examples=[["54f5dd903281c06d", "0d1f7b3c5a9e2468"]],
    ),
]


def _now() -> datetime:
    """The local time of the server, with its zone."""
    return datetime.now().astimezone()


def occasion_of(request: Request, address: str) -> Occasion:
    """When something is taken along in a request, and the address that shows it again."""
    base = base_of(request)
    return Occasion(_now(), base + address, base)


@dataclass(frozen=True, slots=True)
class File:
    """A file to keep: its name, a name in plain letters, its kind, its bytes."""

    name: str
    plain: str
    media: str
    content: bytes


def file_of(made: Dossier, form: str) -> File:
    """A dossier as a file."""
    module, media = _FORMS[form]
    write: Callable[[Dossier], bytes] = import_module(module).write
    shown = readable(made)
    day = made.when.date().isoformat()
    name = file_name(shown.kind, shown.title, day, form)
    return File(name, f"{_KINDS[made.kind]}-{day}", media, write(shown))


def _file(made: Dossier, form: str) -> Response:
    """A dossier as a file that a browser keeps."""
    file = file_of(made, form)
    return Response(
        file.content,
        media_type=file.media,
        headers={
            "Content-Disposition": disposition(file.name, file.plain),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


def file_name(kind: str, title: str, day: str, ending: str) -> str:
    """A name that every file system takes: 「回答_酒田市の電話番号は？_2026-11-21.docx」; a title too long is cut.

    >>> file_name("回答", "../a:b\\u202e?.exe ", "2026-11-21", "md")
    '回答_a_b_.exe_2026-11-21.md'
    """
    # marks of direction and joiners are left out, line breaks and other controls become blanks
    seen = (c for c in title if unicodedata.category(c) != "Cf")
    words = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in seen)
    words = _NOT_IN_NAMES.sub("_", " ".join(words.split())).strip("._ ")
    around = f"{kind}__{day}.{ending}"
    words = words[: NAME_CHARS - len(around)]
    while len((words + around).encode()) > NAME_BYTES:
        words = words[:-1]
    words = words.rstrip("._ ")
    return f"{kind}_{words}_{day}.{ending}" if words else f"{kind}_{day}.{ending}"
