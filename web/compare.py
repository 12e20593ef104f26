"""Cases side by side: the page and the JSON of a comparison.

In: the ids of two to five cases, as an address gives them. Out: a table whose cells lead to the words in the document. What is
compared, `qa.comparison` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse

from index.store import Index
from qa.catalog import CaseEntry, case_entry
from qa.comparison import LEAST, MOST, Comparison, Row, compare
from qa.similar import SimilarCase, similar_cases
from web import view
from web.cases import Listing
from web.export import links
from web.site import Loaded, Site
from web.view import dialled, population_text

CaseIds = Annotated[
    list[Annotated[str, Query(max_length=200)]] | None,
    Query(
        max_length=100,
        description=f"事例の番号（id）。{LEAST}件から{MOST}件",
        examples=[["4c9a559e312f63fe"]],
    ),
]
_GONE = "この事例は見つかりません。資料が差し替えられた可能性があります。"
_EXAMPLE = {
    "cases": [
        {
            "id": "4c9a559e312f63fe",
            "number": 1,
            "title": "用紙をなくした総合窓口",
            "organization": "青葉県若草市",
        }
    ],
    "rows": [
        {
            "label": "人口",
            "cells": [
                {
                    "value": "3.2万人",
                    "document_id": "9f2b…",
                    "char_start": 812,
                    "char_end": 817,
                    "place": "p.4・61行目",
                    "url": "/documents/9f2b…?start=812&end=817",
                    "complete": True,
                    "reading": "32,000人",
                    "heading": None,
                },
                None,
            ],
            "kind": "field",
            "differs": True,
        }
    ],
}


def few_or_many(count: int) -> str | None:
    """Why so many cases cannot be compared, in words; None where they can."""
    if count < LEAST:
        return f"比べる事例を{LEAST}件から{MOST}件選んでください（いま{count}件）。"
    if count > MOST:
        return f"比べられるのは{MOST}件までです（いま{count}件）。{count - MOST}件外してください。"
    return None


def api() -> APIRouter:
    """The route of programs."""
    routes = APIRouter()

    @routes.get(
        "/api/compare",
        summary="事例を並べて比べる",
        responses={
            200: {"content": {"application/json": {"example": _EXAMPLE}}},
            404: {"description": "その事例はない"},
            503: {"description": "索引がまだない"},
        },
    )
    def api_compare(
        index: Loaded,
        case: CaseIds = None,
        differences: Annotated[bool, Query(description="違うところだけ")] = False,
    ) -> Comparison:
        ids = list(dict.fromkeys(case or []))
        problem = few_or_many(len(ids))
        if problem:
            raise RequestValidationError(
                [{"type": "value_error", "loc": ("query", "case"), "msg": problem, "input": ids}]
            )
        missing = [name for name in ids if name not in index.cases]
        if missing:
            raise HTTPException(404, _GONE)
        found = compare(index, ids)
        return Comparison(found.cases, shown_rows(found, differences))

    return routes


def shown_rows(comparison: Comparison, differences: bool) -> tuple[Row, ...]:
    """The rows of a comparison; where only differences are wanted, those that differ."""
    return tuple(row for row in comparison.rows if row.differs or not differences)


def router(site: Site) -> APIRouter:
    """The route of the page."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/compare")
    def page_compare(
        request: Request, index: Loaded, case: CaseIds = None, differences: bool = False
    ) -> HTMLResponse:
        ids = list(dict.fromkeys(case or []))
        known = [name for name in ids if name in index.cases]
        problem = few_or_many(len(ids))
        status = 422 if problem else 200
        if len(known) < len(ids):
            status, problem = (
                404,
                f"選んだ事例のうち{len(ids) - len(known)}件が見つかりません。資料が差し替えられた可能性があります。",
            )
        shown: dict[str, Any] = {"problem": problem, "index": view.index_page(index)}
        shown["chosen"] = [_chosen(index, name, known, differences) for name in known]
        shown["choose_url"] = Listing(chosen=tuple(known)).address()
        if problem:
            shown["enough_url"] = address(known, differences) if few_or_many(len(known)) is None else None
            return site.page(request, "compare.html", status, **shown)
        taking = links(request, "compare", [("case", name) for name in known], address(known, differences))
        return site.page(
            request, "compare.html", **shown, **compare_page(index, known, differences), taking=taking
        )

    return routes


def address(ids: Sequence[str], differences: bool = False) -> str:
    """The address of a comparison."""
    pairs = [("case", name) for name in ids] + ([("differences", "1")] if differences else [])
    return f"/compare?{urlencode(pairs)}" if pairs else "/compare"


def _chosen(index: Index, case_id: str, ids: Sequence[str], differences: bool) -> dict[str, Any]:
    entry = case_entry(index.cases[case_id])
    return {
        **asdict(entry),
        "document_title": index.documents[entry.document_id].title,
        "population_text": population_text(entry.population),
        "without": address([name for name in ids if name != entry.id], differences),
    }


def compare_page(index: Index, ids: Sequence[str], differences: bool) -> dict[str, Any]:
    """The table: fields first, then what stands under shared headings, each cell with its link."""
    found = compare(index, ids)
    rows = [
        {**asdict(row), "cells": [_cell(row, cell) for cell in asdict(row)["cells"]]}
        for row in shown_rows(found, differences)
    ]
    return {
        "rows": rows,
        "parts": [
            {"kind": kind, "label": label, "rows": part}
            for kind, label in (("field", "基本情報"), ("section", "同じ見出しの記述"))
            if (part := [row for row in rows if row["kind"] == kind])
        ],
        "differences": differences,
        "same": sum(not row.differs for row in found.rows),
        "switch_url": address(ids, not differences),
        "others": [
            {
                "label": _name(entry),
                "title": entry.title,
                "reason": near.reason,
                "url": address([*ids, entry.id], differences),
            }
            for near in _near(index, ids)
            for entry in (near.case,)
        ],
    }


def _near(index: Index, ids: Sequence[str]) -> list[SimilarCase]:
    """Cases that may be added: those alike to the first of the chosen; none where the comparison is full."""
    if len(ids) >= MOST:
        return []
    return [near for near in similar_cases(index, index.cases[ids[0]]) if near.case.id not in ids]


def _name(entry: CaseEntry) -> str:
    return f"事例{entry.number} {entry.organization}"


def _cell(row: Row, cell: dict[str, Any] | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    link = {"電話": f"tel:{dialled(cell['value'])}", "メール": f"mailto:{cell['value']}"}.get(row.label)
    return {**cell, "link": link if row.kind == "field" else None}
