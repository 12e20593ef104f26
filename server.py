"""The service: routes and error pages.

    python server.py [--documents DIR] [--index DIR] [--model NAME_OR_FOLDER] [--host 127.0.0.1] [--port 8000]

`create_app` is handed its parts; `main` makes them from the options, builds the index where there is none, and
serves. Pages are server-rendered and work without JavaScript; nothing is fetched from another host.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import sys
import threading
from argparse import ArgumentTypeError
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from access.accounts import Accounts
from access.file import AccessFile
from access.labels import Labels
from access.people import WrongNameError, group_keys
from build_index import (
    SAMPLES,
    Bar,
    UsageError,
    add_common_options,
    documents_folder,
    index_folder,
    load_encoder,
    outdated,
    summary,
    visible,
)
from database import DatabaseUnavailableError
from index.build import BuildRefusedError, NothingToIndexError, Progress, build
from index.current import Current, CurrentIndex
from index.encoder import Encoder, ModelNotFoundError
from index.jobs import Job, Jobs
from index.library import Library, Looking
from index.milvus import StoreAddressError
from index.open_files import raise_limit
from index.passages import model_record
from index.report import BuildReport
from index.reranker import Reranker
from index.store import StoreUnavailableError
from index.versions import NewerIndexError, WrongFolderError, named_version
from options import HOME, Parser, add_access, add_reranker, add_synonyms, add_usage, setting, whole
from qa.answer import Passages
from qa.catalog import (
    CaseEntry,
    DocumentDetail,
    DocumentEntry,
    case_entries,
    document_detail,
    document_entries,
)
from qa.similar import SimilarCase, similar_cases
from qa.synonyms import SynonymsError, SynonymsFile
from qa.usage import DEFAULT_DAYS, MAX_DAYS, Usage
from qa.written import MOST_WRITING_S, TIMEOUT_S, ModelSettingsError, Unsupported
from web import (
    VERSION,
    admin,
    admin_usage,
    admin_visibility,
    ask_api,
    asking,
    cases,
    compare,
    documents,
    export,
    feedback,
    gennai_door,
    login,
    openai_door,
    program_doors,
    similar,
    view,
)
from web.admission import Admission, Share
from web.checks import health_and_numbers
from web.contract import FilterRequest, Question, japanese
from web.deadlines import Deadlines
from web.described import describe, methods_of
from web.door import Door, unreadable
from web.entry import QUESTIONS_A_MINUTE, Entry
from web.examples import Examples
from web.gate import Gate
from web.guard import MCP, UPLOADS, Guard, for_programs, secured
from web.health import Health
from web.loading import current_of, reranker_of
from web.logs import DAYS, FORMS, MOST_DAYS, configure
from web.metrics import Metrics
from web.originals import Originals
from web.peers import Proxies, is_local
from web.protocol import TimedProtocol
from web.sign_on import SignOn
from web.site import Loaded, Site, case_of, document_of, environment
from web.visibility import Visibility
from web.watch import Watched
from web.writing import Writing

if TYPE_CHECKING:
    from web.mcp_http import Endpoint

MOST_CONNECTIONS = 800
"""Connections at a time, below the 1,024 files that a process may usually have open; beyond that uvicorn answers 503."""

STOPPING_S = 20
"""For replies under way when the server is told to stop: a question waits 8 s for the others at the most, and takes a second. With
what a build and the usage file need, the process ends within 45 s; systemd waits 90."""


# ---------------------------------------------------------------- the application


def create_app(
    *,
    current: Current,
    encoder: Encoder,
    rebuild: Callable[[Progress], BuildReport],
    admin_token: str = "",
    synonyms: SynonymsFile | None = None,
    reranker: Reranker | str | None = None,
    library: Library | None = None,
    samples: Path | None = None,
    usage: Usage | None = None,
    hosts: Collection[str] | None = (),
    access: AccessFile | None = None,
    entry: Entry | None = None,
    writing: Writing | None = None,
    mcp: bool = False,
    web: Path = HOME / "web",
) -> FastAPI:
    """The application over an index, an encoder and a function that rebuilds.

    Calls that change something need `admin_token` as a bearer token; without one they are taken from the loopback
    address only. `reranker` may be the message of why the one that was asked for cannot be used: replies say it.
    `library` is the folder that documents are added to, None where none can be; `samples` is what is indexed while it
    is empty, if anything. `usage` records what is asked and how it is rated, None where nothing is recorded. `hosts` are
    names, beside the local ones, that this server may be called by; None is any. `access` holds accounts and labels, None where there
    are none; `entry` says how people come in. `writing` writes answers, None where no language model is configured.
    `mcp` opens `/mcp` to programs with a language model of their own.
    """
    usage = usage if usage is not None else Usage(None, 0)
    entry = entry if entry is not None else Entry()
    jobs, admission, metrics = Jobs(rebuild), Admission(), Metrics(VERSION)
    health = Health(current, encoder, admission)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        _keep_threads()
        usage.start()
        health.begin()
        async with nullcontext() if endpoint is None else endpoint.running():
            yield
        await run_in_threadpool(jobs.close)
        await run_in_threadpool(usage.close)  # what was asked until now is written down

    # The pages of FastAPI's documentation load scripts from another host; /openapi.json stays.
    app = Watched(
        metrics=metrics,
        proxies=entry.proxies,
        title="DX資料アシスタント",
        version=VERSION,
        description="自治体のDX資料への質問に、確かめられる引用で答えます。位置はすべて資料の本文（canonical text）の文字数です。",
        docs_url=None,
        redoc_url=None,
        lifespan=running,
    )
    gate = Gate(admin_token, Accounts(access) if access is not None else None, entry.sign_on)
    app.state.current, app.state.gate, app.state.usage = current, gate, usage
    looking = Looking(library, current.get) if library is not None else None
    if looking is not None:
        looking.wake()  # what waited when the server was stopped

    # the samples are indexed while the folder is empty, and until the next build after that
    folders = ([library.folder] if library is not None else []) + ([samples] if samples is not None else [])
    originals = Originals(folders)
    labels = Labels(access) if access is not None else None
    visibility = Visibility(labels)
    # for as long as an answer is made, not for as long as somebody takes to read it
    share = Share(entry.questions_a_minute)
    admitted = [Depends(share), Depends(admission, scope="function")]
    site = app.state.site = Site(
        current,
        encoder,
        synonyms,
        reranker,
        environment(web / "templates"),
        usage,
        visibility,
        gate,
        metrics,
        writing,
    )
    app.mount("/static", StaticFiles(directory=web / "static"), name="static")

    parts_of_admin = admin.Parts(
        current=current,
        model=model_record(encoder),
        jobs=jobs,
        gate=gate,
        library=library,
        samples=samples,
        page=site.page,
    )
    if labels is not None and gate.accounts is not None:

        def label_of(path: str) -> str:
            table = labels.table()
            return table.words(table.of(path))

        parts_of_admin.label_of = label_of
        app.include_router(admin_visibility.pages(site, labels, gate.accounts, parts_of_admin.places))
    app.include_router(admin.api(parts_of_admin, looking))

    # ---- JSON

    app.include_router(ask_api.router(site, admitted))
    app.include_router(feedback.api(site))

    @app.get(
        "/api/search",
        summary="近い記述を探す",
        responses={503: {"description": "索引がまだない、または混み合っている（Retry-After 秒後に）"}},
        dependencies=admitted,
    )
    def api_search(
        q: Question,
        index: Loaded,
        given: Annotated[FilterRequest, Query()],
        top_k: Annotated[int, Query(ge=1, le=50)] = 10,
    ) -> Passages:
        return site.search(index, q, filters=given.filters(), top_k=top_k)

    @app.get("/api/documents", summary="資料の一覧")
    def api_documents(index: Loaded) -> dict[Literal["documents"], list[DocumentEntry]]:
        return {"documents": document_entries(index)}

    @app.get("/api/documents/{document_id}", summary="一つの資料と見出し")
    def api_document(document_id: str, index: Loaded) -> DocumentDetail:
        return document_detail(index, document_of(index, document_id))

    @app.get("/api/documents/{document_id}/text", summary="資料の本文")
    def api_document_text(
        document_id: str,
        index: Loaded,
        start: Annotated[int, Query(ge=0)] = 0,
        end: Annotated[int | None, Query(ge=0)] = None,
    ) -> dict[Literal["text"], str]:
        return {"text": document_of(index, document_id).text[start:end]}

    @app.get("/api/cases", summary="事例の一覧")
    def api_cases(
        index: Loaded, given: Annotated[FilterRequest, Query()]
    ) -> dict[Literal["cases"], list[CaseEntry]]:
        return {"cases": case_entries(index, given.filters())}

    @app.get("/api/cases/{case_id}", summary="一つの事例")
    def api_case(case_id: str, index: Loaded) -> CaseEntry:
        return case_of(index, case_id)

    @app.get("/api/cases/{case_id}/similar", summary="人口と種類の近い団体の事例")
    def api_similar(case_id: str, index: Loaded) -> dict[Literal["similar"], list[SimilarCase]]:
        return {"similar": similar_cases(index, index.cases[case_of(index, case_id).id])}

    app.include_router(similar.api())
    app.include_router(compare.api())

    @app.get("/api/index", summary="索引の状態")
    def api_index(index: Loaded) -> dict[str, Any]:
        return view.index_page(index) or {}

    @app.get("/api/index/jobs/{job_id}", summary="作り直しの進み具合")
    def api_job(job_id: str) -> Job:
        job = jobs.get(job_id)
        if job is None:
            raise HTTPException(404, "その番号の作業はありません。")
        return job

    # ---- doors of programs of others

    app.include_router(openai_door.router(site, admitted))
    app.include_router(gennai_door.router(site, admitted))

    app.include_router(health_and_numbers(health, metrics, admission, jobs, library))
    endpoint: Endpoint | None = None
    if mcp:
        # the SDK takes 25 MB and half a second: who does not offer it has none of it
        from web.mcp_http import Endpoint

        def call_failed() -> None:
            health.doubt()
            metrics.failure()

        endpoint = Endpoint(site, gate, share, admission, call_failed)
        app.router.routes.append(Route(MCP, endpoint, methods=["POST"]))

    # ---- pages

    examples = Examples(lambda index, question: site.ask(index, question, top_k=3))
    for routes in (asking.router(site, examples), export.router(site)):
        app.include_router(routes, dependencies=admitted)
    for routes in (
        admin.pages(parts_of_admin, looking),
        documents.router(site, parts_of_admin.recent, originals, admitted),
        cases.router(site),
        similar.router(site),
        compare.router(site),
        feedback.pages(site),
        admin_usage.pages(site),
        login.pages(site, gate),
    ):
        app.include_router(routes)

    app.openapi = describe(app)  # type: ignore[method-assign]  # FastAPI's own way to add to it

    # ---- errors, in one place

    def failure(request: Request, status: int, detail: Any, message: str, headers: Any = None) -> Response:
        door = program_doors.door_of(request.url.path)
        if door is not None:
            said = program_doors.refusal(door, status, detail, message)
            return JSONResponse(said, program_doors.status_of(door, status), headers=headers)
        if for_programs(request.url.path) or request.url.path in {
            "/healthz",
            "/readyz",
            "/metrics",
            "/openapi.json",
        }:
            said = {"detail": detail} | ({"request_id": request.state.request_id} if status >= 500 else {})
            return JSONResponse(said, status, headers=headers)
        title, action = _ERROR_PAGES.get(status, _ERROR_PAGES[500])
        number = request.state.request_id if status >= 500 else None
        shown = site.page(
            request, "error.html", status, title=title, message=message, action=action, number=number
        )
        shown.headers.update(headers or {})
        return shown

    @app.exception_handler(StarletteHTTPException)
    def on_http_error(request: Request, error: StarletteHTTPException) -> Response:
        if error.status_code == 303:
            return RedirectResponse((error.headers or {})["Location"], 303)
        message = _MESSAGES.get(str(error.detail), str(error.detail))
        if error.status_code == 400:  # a body that cannot be read at all (nested too deeply) is bad input too
            return failure(request, 422, [{"loc": ["body"], "msg": message, "type": "json_invalid"}], message)
        headers = error.headers
        if error.status_code == 405:  # of several routes at one address, the error knows the methods of one
            headers = {**(headers or {}), "Allow": methods_of(request)}
        about = error.about if isinstance(error, program_doors.RefusedError) else message
        return failure(request, error.status_code, about, message, headers)

    @app.exception_handler(ClientDisconnect)
    def on_gone(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody is there to read it, and nothing of ours has failed

    @app.exception_handler(StoreUnavailableError)
    def on_store_error(request: Request, error: StoreUnavailableError) -> Response:
        return failure(request, 503, str(error), str(error), {"Retry-After": "10"})

    @app.exception_handler(DatabaseUnavailableError)
    def on_database_error(request: Request, error: DatabaseUnavailableError) -> Response:
        message = unreadable(request, error)
        return failure(request, 503, message, message, {"Retry-After": "10"})

    def on_library_error(request: Request, error: Exception) -> Response:
        return failure(request, statuses[type(error)], str(error), str(error))

    statuses = dict(admin.failures())
    for kind in statuses:
        app.add_exception_handler(kind, on_library_error)

    @app.exception_handler(RequestValidationError)
    def on_invalid(request: Request, error: RequestValidationError) -> Response:
        detail = [{"loc": list(e["loc"]), "msg": japanese(e), "type": e["type"]} for e in error.errors()]
        return failure(request, 422, detail, " ".join(dict.fromkeys(d["msg"] for d in detail)))

    @app.exception_handler(Exception)
    def on_failure(request: Request, error: Exception) -> Response:
        health.doubt()  # what failed is logged by the watch around the application
        message = "処理の途中で問題が起きました。"
        shown = failure(request, 500, message, message)
        secured(shown.headers, request.url.path)  # the guard does not see this reply
        return shown

    # the last one stands outermost, and web.watch around it
    app.add_middleware(Door, gate=gate, refuse=failure, closed=entry.closed)
    app.add_middleware(Deadlines, refuse=failure, uploads=UPLOADS, limits=entry.limits)
    app.add_middleware(Guard, hosts=hosts)
    return app


def _keep_threads() -> None:
    """Lets the threads that answer stay, forty at the most, although they wait for more than ten seconds.

    What the analyser of words and the search of vectors keep for a thread (some 200 KB) is not given back when it ends; with
    threads that come and go with every quiet moment, a year of them would fill the memory.
    """
    from anyio._backends import _asyncio

    _asyncio.WorkerThread.MAX_IDLE_TIME = 10**9


_ERROR_PAGES = {
    401: ("入り直してください", "ログインのページか、管理のページから入り直してください。"),
    408: ("送信に時間がかかりすぎました", "回線を確かめて、送り直してください。"),
    403: (
        "この操作はできません",
        "管理者に相談してください。管理者の方は、管理者のアカウントでログインし、管理のページから操作し直してください。",
    ),
    405: ("この呼び出し方は使えません", "質問のページから操作し直してください。"),
    409: ("いまはこの操作ができません", "管理のページを開き直して、いまの状態を確かめてください。"),
    413: ("送信された内容が大きすぎます", "ファイルを減らすか分割して、送り直してください。"),
    429: ("しばらくお待ちください", "1分ほど待ってから、もう一度お試しください。"),
    507: ("保存できませんでした", "管理者に、空き容量と書き込みの許可を確かめてもらってください。"),
    404: ("ページが見つかりません", "資料一覧や事例一覧から探し直してください。"),
    422: ("指定が正しくありません", "アドレスや入力を確かめてください。"),
    503: ("ただいまお答えできません", "しばらく待ってから、ページを読み込み直してください。"),
    500: (
        "問題が起きました",
        "もう一度お試しください。続くときは、管理者に受付番号を知らせてください。",
    ),
}
_MESSAGES = {
    "Not Found": "指定されたページはありません。",
    "Method Not Allowed": "この呼び出し方（メソッド）は使えません。",
    "There was an error parsing the body": "送信された内容を読み取れません。JSON（UTF-8）の形を確かめてください。",
}


# ---------------------------------------------------------------- the command line


def _hosts(text: str) -> frozenset[str]:
    """Names in a list like 「dx.example.jp, 192.0.2.10」."""
    names = frozenset(name.strip().lower() for name in text.split(",") if name.strip())
    wrong = sorted(name for name in names if not re.fullmatch(r"[\w.-]+|[0-9a-f:.]+", name))
    if wrong:
        raise ArgumentTypeError(
            f"「{wrong[0]}」は名前ではありません。http:// やポート番号を付けずに、コンマで区切って指定してください"
        )
    return names


def _lacks_index(current: Current) -> bool:
    """Whether an index has to be made first; that of a store which does not answer now may be there."""
    if isinstance(current, CurrentIndex):
        return current.is_empty
    if current.get() is None and not current.is_empty:
        print(visible(current.problem or ""), file=sys.stderr)
    return current.is_empty


def _build_first(folder: Path, root: Path, encoder: Encoder, keep: int, reason: str) -> None:
    """Makes the first index, or one in the place of an older release's, with its progress shown."""
    print(f"{reason}（{folder}）。", flush=True)
    bar = Bar()
    try:
        report = build(folder, root, encoder, keep=keep, progress=bar)
    finally:
        bar.close()
    print(summary(report), flush=True)
    for path, message in report.errors:
        print(visible(f"読めなかった資料：{path}：{message}"), file=sys.stderr)


def _publish_first(current: Current) -> None:
    """Brings the first index to the store, if there is one; where that fails, the service says why until it is there."""
    bar = Bar()
    try:
        current.publish(bar)
    except StoreUnavailableError as error:
        print(visible(str(error)), file=sys.stderr)
    finally:
        bar.close()


def _proxies(text: str) -> Proxies:
    """Addresses in a list like 「127.0.0.1, 192.0.2.0/24」."""
    try:
        return Proxies(text)
    except ValueError as error:
        raise ArgumentTypeError(
            f"リバースプロキシは、アドレスか範囲（例：127.0.0.1、192.0.2.0/24）で指定してください：{text}"
        ) from error


def _groups(text: str) -> frozenset[str]:
    """Groups in a list like 「DX推進課, 情報係」."""
    try:
        return group_keys(text.split(","))
    except WrongNameError as error:
        raise ArgumentTypeError(str(error)) from error


def _header(text: str) -> str:
    """The name of a header, empty where there is none."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*|", text):
        raise ArgumentTypeError(
            f"見出し（ヘッダー）の名前は「X-Remote-User」のように指定してください：{text}"
        )
    return text.lower()


def _add_entry_options(parser: Parser) -> None:
    """The options that say who comes in how."""
    parser.add_argument(
        "--reading",
        choices=("open", "login"),
        default=setting("READING", "open"),
        help="資料を読める人（open：このサーバーに届く人すべて、login：ログインした人だけ。既定 open）",
    )
    add_access(parser)
    parser.add_argument(
        "--trusted-proxies",
        type=_proxies,
        default=setting("TRUSTED_PROXIES", ""),
        help="X-Forwarded-For と X-Forwarded-Proto、利用者の見出しを信じてよいリバースプロキシのアドレス（コンマ区切り。既定は信じない）",
    )
    parser.add_argument(
        "--sso-user-header",
        type=_header,
        default=setting("SSO_USER_HEADER", ""),
        help="シングルサインオンの利用者名が入る見出し（ヘッダー）の名前（例 X-Remote-User。既定は使わない）",
    )
    parser.add_argument(
        "--sso-groups-header",
        type=_header,
        default=setting("SSO_GROUPS_HEADER", ""),
        help="同じく、グループの一覧が入る見出しの名前（例 X-Remote-Groups）",
    )
    parser.add_argument(
        "--sso-administrators",
        type=_groups,
        default=setting("SSO_ADMINISTRATORS", ""),
        help="同じく、管理者とするグループ（コンマ区切り）",
    )
    parser.add_argument(
        "--questions-a-minute",
        type=whole(0, 1_000_000, "数"),
        default=setting("QUESTIONS_A_MINUTE", str(QUESTIONS_A_MINUTE)),
        help=f"一人（一つのアドレスかアカウント）が1分に送れる質問の数（既定 {QUESTIONS_A_MINUTE}。0 なら制限しない）",
    )


def _add_model_options(parser: Parser) -> None:
    """The options of the language model that writes answers; its key is a matter of the environment alone."""
    parser.add_argument(
        "--llm-url",
        default=setting("LLM_URL", ""),
        help="文章で答える言語モデルのアドレス（OpenAI 互換。例 http://127.0.0.1:11434/v1。既定は使わない。鍵は DXQA_LLM_KEY）",
    )
    parser.add_argument(
        "--llm-model", default=setting("LLM_MODEL", ""), help="言語モデルの名前（例 gemma3:12b）"
    )
    parser.add_argument(
        "--llm-timeout",
        type=whole(1, MOST_WRITING_S, "秒数"),
        default=setting("LLM_TIMEOUT", str(round(TIMEOUT_S))),
        help=f"言語モデルを待つ秒数（既定 {round(TIMEOUT_S)}。過ぎたら原文の引用で答える）",
    )
    parser.add_argument(
        "--llm-unsupported",
        choices=get_args(Unsupported),
        default=setting("LLM_UNSUPPORTED", "remove"),
        help="原文で確かめられない文を除く（remove）か、「原文未確認」と示す（mark）か（既定 remove）",
    )


def _writing(args: Any) -> Writing | None:
    """What writes answers, from the options; raises ModelSettingsError, and UsageError where its client is not installed."""
    if not args.llm_url:
        return None
    # OpenAI's client takes half a second and 30 MB: who writes no answers has none of it
    from qa.language_model import LanguageModel, ModelSettings

    settings = ModelSettings(
        args.llm_url, args.llm_model, os.environ.get("DXQA_LLM_KEY", ""), float(args.llm_timeout)
    )
    try:
        model = LanguageModel(settings)
    except ImportError as error:
        raise UsageError(
            "言語モデルを使うための部品がありません。「pip install openai」で入れてから起動してください。"
        ) from error
    return Writing(
        model, name=settings.model, on_unsupported=args.llm_unsupported, timeout_s=settings.timeout_s
    )


def _entry(args: Any, accounts: Accounts) -> Entry:
    """How people come in, from the options; raises UsageError where they do not go together."""
    sign_on = None
    if args.sso_user_header:
        if not args.trusted_proxies:
            raise UsageError(
                "シングルサインオンの見出し（--sso-user-header）を使うには、それを送るリバースプロキシのアドレスを "
                "--trusted-proxies で指定してください。"
            )
        sign_on = SignOn(
            args.trusted_proxies, args.sso_user_header, args.sso_groups_header, args.sso_administrators
        )
    elif args.sso_groups_header or args.sso_administrators:
        raise UsageError(
            "--sso-groups-header と --sso-administrators は、--sso-user-header と一緒に指定してください。"
        )
    closed = args.reading == "login"
    if closed and sign_on is None and not any(not account.disabled for account in accounts.all()):
        raise UsageError(
            "ログインした人だけが読む設定（--reading login）ですが、使えるアカウントがありません。"
            "先に「python -m access add 名前」で作ってください。"
        )
    return Entry(closed, args.trusted_proxies, sign_on, args.questions_a_minute)


def _why_not(error: OSError) -> str:
    """Why an address cannot be listened at."""
    return {
        errno.EADDRINUSE: "ほかのプログラムか、すでに動いているこのサーバーが使っています",
        errno.EACCES: "1024より小さい番号は、管理者（root）だけが使えます",
        errno.EADDRNOTAVAIL: "このコンピューターのアドレスではありません",
    }.get(error.errno or 0, error.strerror or str(error))


class _Server(uvicorn.Server):
    """A server that says when it listens, and that it was told to stop; it is told once: a key pressed again cuts nothing off, as the
    time is limited."""

    def __init__(self, config: uvicorn.Config, listening: str) -> None:
        """`listening` is what is said once whoever comes is heard."""
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens the port."""
        await super().startup(sockets)
        if self.started:
            print(self._listening, flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by a signal, in the main thread."""
        if self.should_exit:
            return
        with contextlib.suppress(OSError):  # a terminal that was closed
            print(
                "終えています。途中の返事が終わるまで、しばらくお待ちください（長くても1分ほど）。",
                flush=True,
            )
        super().handle_exit(sig, frame)


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(description="DX資料アシスタントを動かします。")
    add_common_options(parser)
    parser.add_argument(
        "--host", default=setting("HOST", "127.0.0.1"), help="待ち受けるアドレス（既定 127.0.0.1）"
    )
    parser.add_argument(
        "--port",
        type=whole(0, 65535, "番号"),
        default=setting("PORT", "8000"),
        help="待ち受けるポート（既定 8000）",
    )
    add_synonyms(parser)
    add_reranker(parser)
    add_usage(parser)
    parser.add_argument(
        "--usage-days",
        type=whole(0, MAX_DAYS, "日数"),
        default=setting("USAGE_DAYS", str(DEFAULT_DAYS)),
        help=f"利用の記録を残す日数（既定 {DEFAULT_DAYS}。0 なら記録しない）",
    )
    parser.add_argument(
        "--allowed-hosts",
        type=_hosts,
        default=setting("ALLOWED_HOSTS", ""),
        help="このサーバーを呼んでよい名前（コンマ区切り。localhost などは常に使える）",
    )
    _add_entry_options(parser)
    _add_model_options(parser)
    parser.add_argument(
        "--mcp",
        action="store_true",
        default=setting("MCP", "") == "1",
        help="言語モデルを持つほかのプログラムから /mcp で使えるようにする（MCP。既定はしない）",
    )
    parser.add_argument(
        "--log-format",
        choices=FORMS,
        default=setting("LOG_FORMAT", "text"),
        help="記録（ログ）の形（text か json。既定 text）",
    )
    parser.add_argument(
        "--log-file",
        default=setting("LOG_FILE", ""),
        help="記録（ログ）のファイル（既定は標準エラー出力）",
    )
    parser.add_argument(
        "--log-days",
        type=whole(1, MOST_DAYS, "日数"),
        default=setting("LOG_DAYS", str(DAYS)),
        help=f"記録（ログ）のファイルを残す日数（既定 {DAYS}）",
    )
    args = parser.parse_args(argv)
    raise_limit()
    try:
        configure(args.log_format, Path(args.log_file).absolute() if args.log_file else None, args.log_days)
    except OSError as error:
        print(
            f"記録（ログ）のファイル {visible(args.log_file)} に書けません（{error.strerror}）。--log-file で別の場所を指定してください。",
            file=sys.stderr,
        )
        return 2
    try:
        synonyms = SynonymsFile(Path(args.synonyms))
        access = AccessFile(Path(args.access))
        entry = _entry(args, Accounts(access))
        writing = _writing(args)
        folder, root = documents_folder(args.documents), index_folder(args)
        older = outdated(root, folder)
        encoder = load_encoder(args)
        current = current_of(args.store, root, model_record(encoder))
        if older is not None:
            reason = f"{older}いま作り直します。前の版は、新しい版ができるまで残します"
            _build_first(folder, root, encoder, args.keep, reason)
            _publish_first(current)
        elif _lacks_index(current):
            if named_version(root) is None:
                _build_first(folder, root, encoder, args.keep, "使える索引がないので作ります")
            _publish_first(current)
    except (
        UsageError,
        WrongFolderError,
        NothingToIndexError,
        ModelNotFoundError,
        SynonymsError,
        StoreAddressError,
        ModelSettingsError,
        DatabaseUnavailableError,
    ) as error:
        print(visible(str(error)), file=sys.stderr)
        return 2
    except (BuildRefusedError, NewerIndexError) as error:
        print(visible(str(error)), file=sys.stderr)
        return 1

    def rebuild(progress: Progress) -> BuildReport:
        report = build(documents_folder(args.documents), root, encoder, keep=args.keep, progress=progress)
        current.publish(progress)
        return report

    app = create_app(
        current=current,
        encoder=encoder,
        rebuild=rebuild,
        admin_token=setting("ADMIN_TOKEN", ""),
        synonyms=synonyms,
        reranker=reranker_of(args.reranker, args.allow_hub),
        library=Library(Path(args.documents) if args.documents else HOME / "documents"),
        samples=None if args.documents else SAMPLES,
        usage=Usage(Path(args.usage), args.usage_days),
        # on other addresses the names of this server are not known, unless they are given
        hosts=args.allowed_hosts if args.allowed_hosts or is_local(args.host) else None,
        access=access,
        entry=entry,
        writing=writing,
        mcp=args.mcp,
    )
    try:
        with socket.create_server((args.host, args.port)):
            pass
    except OSError as error:
        print(
            f"{args.host} のポート {args.port} で待ち受けられません（{_why_not(error)}）。"
            "--port で別の番号を指定してください（make serve では make serve PORT=8080 のように）。",
            file=sys.stderr,
        )
        return 1
    warming = threading.Thread(target=encoder.backend.warm, daemon=True)
    warming.start()
    # uvicorn ends its work and then gives the signal on: being told to stop is no failure
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    configuration = uvicorn.Config(
        app,
        host=args.host,
        port=args.port,
        log_level="warning",
        log_config=None,  # as all others (web.logs)
        access_log=False,  # web.watch writes it, without addresses and without what stands in them
        server_header=False,
        proxy_headers=False,  # the application does it, and keeps who it really was
        http=TimedProtocol,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=STOPPING_S,
    )
    server = _Server(configuration, f"http://{args.host}:{args.port}/ で動いています（終えるには Ctrl+C）。")
    try:
        server.run()
    except KeyboardInterrupt:
        if not server.should_exit:  # typed before the server listened to it
            raise
    finally:
        warming.join()  # ended in the middle of it, the model's library aborts the process
    if not server.started:
        return 1
    print("終えました。", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("起動を中断しました。索引と資料はそのままです。", file=sys.stderr)
        sys.exit(1)
