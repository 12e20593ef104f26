"""The administrator's page of what is asked: numbers, a plot and lists of a period, as files too, and ways to remove records.

In: requests of an administrator. Out: pages, CSV, a workbook. Everything is counted by `qa.usage_report`; whatever is wrong with the
records' file is said on the page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, RedirectResponse

from database import DatabaseUnavailableError
from qa.catalog import DocumentEntry, document_entries
from qa.usage import REPEAT_MINUTES, Usage
from qa.usage_file import UsageFile
from qa.usage_report import EMPTY, UsageReport, asking, question_of, rating_of, report
from web import admin_usage_view, sheets
from web.admin import visitor
from web.logs import audit
from web.site import Site
from web.view import size_text

PERIODS = {"7": "7日間", "30": "30日間", "90": "90日間", "all": "すべて"}
Period = Annotated[Literal["7", "30", "90", "all"], Query()]
FLUSH_S = 1.0
"""How long the page waits for questions that are being written down."""
GONE = "この記録は、もうありません。"
Found = TypeVar("Found")
Row = Annotated[int, PathParameter(ge=0, le=2**63 - 1)]


def pages(site: Site) -> APIRouter:
    """The routes of the page."""
    usage = site.usage
    routes = APIRouter(
        prefix="/admin/usage",
        include_in_schema=False,
        default_response_class=HTMLResponse,
        dependencies=[Depends(visitor)],
    )

    def documents() -> list[DocumentEntry]:
        index = site.current.get()
        return document_entries(index) if index is not None else []

    @routes.get("")
    def overview(request: Request, days: Period = "30") -> HTMLResponse:
        problem = None
        try:
            found = _report(usage, days)
        except DatabaseUnavailableError as error:
            found, problem = EMPTY, error
        today = usage.today()
        first, last = _first(days, today, found), today
        return site.page(
            request,
            "admin_usage.html",
            **admin_usage_view.usage_page(found, documents(), first, last),
            days=days,
            periods=PERIODS,
            first=first,
            last=last,
            shown=admin_usage_view.SHOWN,
            problem=problem,
            trouble=usage.problem if problem is None and usage.on else None,
            kept=_kept(usage),
        )

    @routes.get("/records.xlsx")
    def workbook(days: Period = "30") -> Response:
        with _opened(usage, days) as (connection, since):
            lists = admin_usage_view.lists(
                report(connection, since), documents(), lambda: asking(connection, since)
            )
            made = sheets.workbook({title: (head, rows) for title, head, rows in lists.values()})
        return sheets.attachment(made, f"usage-{_named(days)}.xlsx", sheets.XLSX)

    @routes.get("/{name}.csv")
    def one_list(name: str, days: Period = "30") -> Response:
        with _opened(usage, days) as (connection, since):
            lists = admin_usage_view.lists(
                report(connection, since), documents(), lambda: asking(connection, since)
            )
            if name not in lists:
                raise HTTPException(404, "この一覧はありません。")
            _, head, rows = lists[name]
            made = sheets.csv_file(head, rows)
        return sheets.attachment(made, f"usage-{name}-{_named(days)}.csv", sheets.CSV)

    # ---- removing

    def confirm(request: Request, heading: str, lines: list[str], note: str, words: str) -> HTMLResponse:
        return site.page(
            request,
            "admin_confirm.html",
            heading=heading,
            lines=lines,
            names=[],
            note=note,
            words=words,
            action=request.url.path,
            back="/admin/usage",
        )

    @routes.get("/questions/{row}/remove")
    def remove_question_page(request: Request, row: Row) -> HTMLResponse:
        found = _found(usage, question_of, row)
        return confirm(
            request,
            "この質問の記録を消しますか",
            [found[0]],
            f"同じ質問の記録{found[1]}件と、その評価を、すべて消します。元には戻せません。",
            "消す",
        )

    @routes.post("/questions/{row}/remove")
    def remove_question(row: Row) -> Response:
        return _removed(usage, lambda: usage.remove_question(row), "#often", "question")

    @routes.get("/ratings/{row}/remove")
    def remove_rating_page(request: Request, row: Row) -> HTMLResponse:
        found = _found(usage, rating_of, row)
        return confirm(
            request,
            "この評価を消しますか",
            [line for line in (found[0], found[1] and f"ひとこと：{found[1]}") if line],
            "評価とひとことを消します。質問の記録は残ります。元には戻せません。",
            "消す",
        )

    @routes.post("/ratings/{row}/remove")
    def remove_rating(row: Row) -> Response:
        return _removed(usage, lambda: usage.remove_rating(row), "#not-useful", "rating")

    @routes.get("/clear")
    def clear_page(request: Request) -> HTMLResponse:
        with _opened(usage, "all") as (connection, since):
            numbers = report(connection, since).numbers
        return confirm(
            request,
            "すべての記録を消しますか",
            [f"質問 {numbers.questions:,}件・評価 {numbers.ratings:,}件"],
            "質問と評価の記録を、すべて消します。元には戻せません。必要なら、先にファイルに書き出してください。",
            "すべての記録を消す",
        )

    @routes.post("/clear")
    def clear() -> Response:
        return _removed(usage, usage.clear, "", "all")

    @routes.post("/set-aside")
    def set_aside() -> Response:
        _there(usage)
        try:
            _report(usage, "7")
        except DatabaseUnavailableError as error:
            if error.kind in {"damaged", "newer"}:
                return _removed(usage, usage.set_aside, "", "file")
        raise HTTPException(409, "この記録のファイルは、別の名前にする必要がないか、できません。")

    return routes


@contextmanager
def _opened(usage: Usage, days: str = "all") -> Iterator[tuple[sqlite3.Connection, str]]:
    """A moment of the records with the day from which a period counts; an HTTPException where they cannot be read."""
    file = _there(usage)
    usage.flush(FLUSH_S)
    try:
        with file.reading() as connection:
            yield connection, _since(days, usage.today())
    except DatabaseUnavailableError as error:
        raise HTTPException(503, str(error)) from error


def _found(usage: Usage, read: Callable[[sqlite3.Connection, int], Found | None], row: int) -> Found:
    """A record by its row; 404 where it is there no more."""
    with _opened(usage) as (connection, _):
        found = read(connection, row)
    if found is None:
        raise HTTPException(404, GONE)
    return found


def _there(usage: Usage) -> UsageFile:
    """The records' file; 404 where nothing is recorded and nothing is left."""
    if usage.file is None or not (usage.on or usage.file.exists):
        raise HTTPException(404, "利用の記録はありません。")
    return usage.file


def _report(usage: Usage, days: str) -> UsageReport:
    """What a period's records say; raises DatabaseUnavailableError."""
    if usage.file is None or not (usage.on or usage.file.exists):
        return EMPTY
    usage.flush(FLUSH_S)
    with usage.file.reading() as connection:
        return report(connection, _since(days, usage.today()))


def _removed(usage: Usage, work: Callable[[], object], place: str, what: str) -> Response:
    """Back to the page once something (`what`, for the log) was removed; an HTTPException where it could not be."""
    _there(usage)
    usage.flush(FLUSH_S)
    try:
        if work() is False:
            raise HTTPException(404, GONE)
    except DatabaseUnavailableError as error:
        raise HTTPException(503, str(error)) from error
    audit("forget-usage", what=what)
    return RedirectResponse(f"/admin/usage{place}", 303)


def _since(days: str, today: date) -> str:
    return "" if days == "all" else (today - timedelta(int(days) - 1)).isoformat()


def _first(days: str, today: date, found: UsageReport) -> date:
    """The first day that the plot shows."""
    if days != "all":
        return date.fromisoformat(_since(days, today))
    return date.fromisoformat(found.numbers.first_at[:10]) if found.numbers.first_at else today


def _named(days: str) -> str:
    return "all" if days == "all" else f"{days}days"


def _kept(usage: Usage) -> dict[str, Any]:
    """What the page says of how records are kept."""
    there = usage.file is not None and usage.file.exists
    return {
        "on": usage.on,
        "days": usage.days,
        "there": there,
        "size": size_text(usage.file.bytes()) if usage.file is not None and there else None,
        "most": size_text(usage.file.max_bytes) if usage.file is not None else None,
        "minutes": REPEAT_MINUTES,
        "lost": usage.lost,
    }
