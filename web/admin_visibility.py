"""The administrator's page of who may see which documents.

In: a place of the documents folder and the groups that may see it, from a form. Out: a label, and the page that shows all of them. What a
label does is known by `access.labels` and `web.visibility`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from access.accounts import Accounts
from access.labels import MAX_PATH_CHARS, Labels, Table, WrongPathError, label_path, matching
from access.people import WrongNameError, group_names
from web.admin import visitor
from web.logs import audit
from web.site import Site

EVERYBODY, SOME, NOBODY = "everybody", "groups", "administrators"
NO_GROUP = "グループを選ぶか、書いてください。だれにも見せないときは「管理者だけ」を選びます。"


def pages(site: Site, labels: Labels, accounts: Accounts, paths: Callable[[], Iterable[str]]) -> APIRouter:
    """The routes; `paths` gives the files of the index and of the uploads that wait."""
    routes = APIRouter(
        prefix="/admin/visibility",
        include_in_schema=False,
        default_response_class=HTMLResponse,
        dependencies=[Depends(visitor)],
    )

    def show(
        request: Request, place: str, status: int = 200, message: str = "", **given: Any
    ) -> HTMLResponse:
        shown = visibility_page(labels.table(), accounts, list(paths()), place)
        return site.page(request, "admin_visibility.html", status, message=message, **{**shown, **given})

    @routes.get("")
    def visibility(
        request: Request, path: Annotated[str, Query(max_length=MAX_PATH_CHARS)] = ""
    ) -> HTMLResponse:
        return show(request, _place(path) if path else "")

    @routes.post("")
    async def change(request: Request) -> Response:
        async with request.form(max_fields=300, max_files=0) as form:
            path, who = str(form.get("path", "")), str(form.get("who", ""))
            more = str(form.get("more", ""))
            groups = [*map(str, form.getlist("group")), *more.split(",")]

        def done() -> Response:
            place = _place(path)
            try:
                _set(labels, place, who, groups)
            except (WrongNameError, ValueError) as error:
                return show(request, place, 422, str(error), who=who, more=more)
            audit("visibility", path=place, groups=_own_words(labels, place))
            return RedirectResponse(f"/admin/visibility?path={quote(place, safe='')}#labels", 303)

        return await run_in_threadpool(done)

    return routes


def _set(labels: Labels, place: str, who: str, groups: list[str]) -> None:
    """Does what a form says; raises ValueError with a Japanese sentence where it says nothing that could be done."""
    if who == EVERYBODY:
        labels.remove(place)
    elif who == NOBODY:
        labels.set(place, [])
    elif who == SOME and any(group.strip() for group in groups):
        labels.set(place, groups)
    else:
        raise ValueError(NO_GROUP)


def visibility_page(table: Table, accounts: Accounts, paths: Iterable[str], place: str) -> dict[str, Any]:
    """All labels with the files that they are over, and the one that is to be changed."""
    files = sorted(set(paths))
    own = table.own(place) if place else None
    around = [str(parent) for parent in PurePosixPath(place).parents] if place else []
    known = table.names | group_names(sorted(group for account in accounts.all() for group in account.groups))
    return {
        "labels": [
            {"path": path, "words": table.words(label), "count": len(matching(path, files))}
            for path, label in table.labels.items()
        ],
        "place": place,
        "files": matching(place, files) if place else [],
        "folders": [folder for folder in around if folder != "."],
        "who": EVERYBODY if own is None else SOME if own else NOBODY,
        "groups": [
            {"name": name, "chosen": key in (own or ())}
            for key, name in sorted(known.items(), key=lambda one: one[1])
        ],
        "more": "",
        "inherited": table.words(table.of(place)) if place and own is None else "",
    }


def _own_words(labels: Labels, place: str) -> str:
    table = labels.table()
    return table.words(table.own(place))


def _place(path: str) -> str:
    try:
        return label_path(path)
    except WrongPathError as error:
        raise HTTPException(422, str(error)) from error
