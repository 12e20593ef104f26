"""The pages of cases: the catalogue with its facets, and one case with the place each of its fields was read from.

In: an index. Out: pages. Nothing is searched here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from index.store import Index
from qa.catalog import CaseEntry, case_entries, similar_cases
from qa.cite import passage_url, place_of
from qa.understand import Filters
from web import view
from web.export import links
from web.site import Loaded, Site, case_of
from web.view import dialled, population_text

FACETS = {
    "categories": "category",
    "prefectures": "prefecture",
    "organization_kinds": "organization_kind",
    "population_bands": "population_band",
}
_ROWS = (
    ("団体", "organization"),
    ("都道府県", "prefecture"),
    ("団体の種類", "organization_kind"),
    ("人口", "population"),
    ("人口の時点", "population_as_of"),
    ("人口規模", "population_band"),
    ("分類", "category"),
    ("掲載ページ", "page_start"),
    ("担当部署", "department"),
    ("電話", "phone"),
    ("メール", "email"),
)


def router(site: Site) -> APIRouter:
    """The routes of the pages."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/cases")
    def page_cases(request: Request) -> HTMLResponse:
        index = site.current.get()
        chosen = {name: request.query_params.getlist(name)[:50] for name in FACETS}
        everything = case_entries(index, Filters()) if index else []
        shown = cases_page(index, Filters())
        kept = {entry.id for entry in everything if matches(entry, chosen)}
        cases = [case for case in shown["cases"] if case["id"] in kept]
        return site.page(request, "cases.html", cases=cases, facets=facets(everything, chosen))

    @routes.get("/cases/{case_id}")
    def page_case(request: Request, case_id: str, index: Loaded) -> HTMLResponse:
        return site.page(
            request,
            "case.html",
            **case_page(index, case_of(index, case_id)),
            taking=links(request, "case", [("case", case_id)], f"/cases/{quote(case_id, safe='')}"),
            index=view.index_page(index),
        )

    return routes


def cases_page(index: Index | None, filters: Filters) -> dict[str, Any]:
    """The cases that meet the filters, with facets: how many cases each value would leave."""
    if index is None:
        return {"cases": [], "facets": {}}
    shown = []
    for entry in case_entries(index, filters):
        case = asdict(entry)
        case["population_text"] = population_text(entry.population)
        case["document_title"] = index.documents[entry.document_id].title
        shown.append(case)
    return {"cases": shown}


def facets(entries: list[CaseEntry], chosen: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    """By facet: value, count within the other facets' choice, whether it is chosen, and the address to toggle it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, attribute in FACETS.items():
        others = {key: values for key, values in chosen.items() if key != name}
        counts = Counter(
            getattr(e, attribute) for e in entries if matches(e, others) and getattr(e, attribute)
        )
        for value in chosen.get(name, []):
            counts.setdefault(value, 0)
        found[name] = [
            {
                "value": value,
                "count": count,
                "selected": value in chosen.get(name, []),
                "url": _toggled(chosen, name, value),
            }
            for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ]
    return {name: values for name, values in found.items() if values}


def matches(entry: CaseEntry, chosen: dict[str, list[str]]) -> bool:
    """Whether a case meets every facet that is chosen."""
    return all(not values or getattr(entry, FACETS[name]) in values for name, values in chosen.items())


def _toggled(chosen: dict[str, list[str]], name: str, value: str) -> str:
    values = [v for v in chosen.get(name, []) if v != value]
    if value not in chosen.get(name, []):
        values.append(value)
    query = urlencode([(key, v) for key in FACETS for v in (values if key == name else chosen.get(key, []))])
    return f"/cases?{query}" if query else "/cases"


def case_page(index: Index, entry: CaseEntry) -> dict[str, Any]:
    """One case: every field with the place it was read from, its passages, and municipalities like it."""
    case = index.cases[entry.id]
    rows = [_row(entry, label, name) for label, name in _ROWS]
    rows += [{"label": "関連URL", "value": url, "href": None, "link": url} for url in entry.urls]
    shown = [name for _, name in _ROWS] + ["title", "number"]
    rows += [
        {
            "label": name,
            "value": field.value,
            "href": passage_url(entry.document_id, field.char_start, field.char_end),
            "link": None,
        }
        for name, field in entry.fields.items()
        if name not in shown and not any(url in field.value for url in entry.urls)
    ]
    sections = [
        {
            "heading_path": list(chunk.heading_path),
            "text": chunk.text,
            "place": place_of(index.documents[chunk.document_id].format, chunk),
            "url": passage_url(chunk.document_id, chunk.start, chunk.end),
        }
        for chunk in index.chunks
        if chunk.case_id == entry.id
    ]
    similar = [{"case": asdict(item.case), "reason": item.reason} for item in similar_cases(index, case)]
    return {"case": asdict(entry), "rows": rows, "similar": similar, "sections": sections}


def _row(entry: CaseEntry, label: str, name: str) -> dict[str, Any]:
    field = entry.fields.get(name)
    value = getattr(entry, name)
    if name == "population" and value is not None:
        value = f"{population_text(value)}（原文：{field.value}）" if field else population_text(value)
    if name == "page_start" and value is not None:
        value = f"p.{value}" if entry.page_end in (None, value) else f"p.{value}～{entry.page_end}"
    link = {"phone": f"tel:{dialled(str(value))}", "email": f"mailto:{value}"}.get(name) if value else None
    href = passage_url(entry.document_id, field.char_start, field.char_end) if field else None
    return {"label": label, "value": None if value is None else str(value), "href": href, "link": link}
