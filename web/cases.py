"""The pages of cases: the catalogue with its facets, and one case with the place each of its fields was read from.

In: an index, and a state of the catalogue as its address gives it. Out: pages. Nothing is searched here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from corpus.records import Document
from index.store import Index
from qa.catalog import ORDERS, CaseEntry, case_entries, found_in, in_order
from qa.comparison import FIELD_LABELS, LEAST, MOST
from qa.dossier import CONDITION_LABELS
from qa.facets import Facet, facets, toggled
from qa.places import places
from qa.select import case_passes
from qa.similar import similar_cases
from qa.understand import Filters
from web import view
from web.contract import Asked, FilterRequest, few, filter_pairs
from web.export import links
from web.site import Loaded, Site, case_of
from web.view import dialled, population_text

PAGE = 50
"""Cases on a page of the catalogue."""
FACET_VALUES = 8
"""Values of a facet that are shown at once; the others stand behind a fold."""
MAX_FIND = 100
Order = Literal["document", "number", "organization", "population", "population_desc"]


@dataclass(frozen=True, slots=True)
class Listing:
    """A state of the catalogue; its address gives the same page to whoever opens it. `chosen` are cases to compare."""

    filters: Filters = field(default_factory=Filters)
    find: str = ""
    order: str = "document"
    page: int = 1
    chosen: tuple[str, ...] = ()

    def pairs(self) -> list[tuple[str, str]]:
        """The state as the pairs of an address's query, in one order; what is usual is left out."""
        pairs = [("find", self.find)] if self.find else []
        pairs += filter_pairs(self.filters)
        pairs += [("sort", self.order)] if self.order != "document" else []
        pairs += [("page", str(self.page))] if self.page > 1 else []
        return pairs + [("case", name) for name in self.chosen]

    def address(self) -> str:
        """The address of this state."""
        query = urlencode(self.pairs())
        return f"/cases?{query}" if query else "/cases"

    def filtered(self, filters: Filters) -> Listing:
        """The first page with other filters."""
        return replace(self, filters=filters, page=1)


def listing(
    given: Annotated[FilterRequest, Query()],
    find: Annotated[str, Query(max_length=MAX_FIND)] = "",
    sort: Order = "document",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    case: Annotated[list[Annotated[str, Query(max_length=200)]] | None, Query(max_length=50)] = None,
) -> Listing:
    """The state that an address asks for."""
    return Listing(few(given.filters()), find.strip(), sort, page, tuple(dict.fromkeys(case or [])))


def router(site: Site) -> APIRouter:
    """The routes of the pages."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/cases")
    def page_cases(request: Request, state: Annotated[Listing, Depends(listing)]) -> HTMLResponse:
        index = site.seen(request)
        return site.page(
            request, "cases.html", **cases_page(index, state), index=view.index_page(index), page_size=PAGE
        )

    @routes.get("/cases/{case_id}")
    def page_case(request: Request, case_id: str, index: Loaded) -> HTMLResponse:
        shown = case_page(index, case_of(index, case_id))
        taking = links(request, "case", [("case", case_id)], f"/cases/{quote(case_id, safe='')}")
        return site.page(request, "case.html", **shown, taking=taking, index=view.index_page(index))

    return routes


# ---------------------------------------------------------------- the catalogue


def cases_page(index: Index | None, state: Listing) -> dict[str, Any]:
    """One page of the catalogue: the cases that meet the state, in its order, and what else could be chosen."""
    documents = {} if index is None else index.documents
    titles = {name: document.title for name, document in documents.items()}
    everything = [] if index is None else case_entries(index, Filters())
    found = found_in(everything, state.find)
    kept = [c for c in found if case_passes(c, state.filters)] if state.filters else found
    cases = in_order(kept, state.order, titles)
    pages = max(1, -(-len(cases) // PAGE))
    page = min(state.page, pages)
    by_id = {c.id: c for c in everything}
    chosen = [by_id[name] for name in state.chosen if name in by_id]
    shown = cases[(page - 1) * PAGE : page * PAGE]
    return {
        "cases": [_listed(case, titles, case.id in state.chosen) for case in shown],
        "found": len(cases),
        "everything": len(everything),
        "first": (page - 1) * PAGE + 1,
        "facets": [
            _facet_page(f, state) for f in facets(found, state.filters, titles) if _helps(f, len(cases))
        ],
        "chips": chips(state, titles, by_id),
        "orders": [
            {
                "label": label,
                "url": replace(state, order=order, page=1).address(),
                "selected": order == state.order,
            }
            for order, label in ORDERS.items()
        ],
        "state": state,
        "kept": [pair for pair in state.pairs() if pair[0] not in _IN_FORM],
        "cleared": replace(state, filters=Filters(), find="", page=1).address(),
        "pager": [
            {"number": number, "url": replace(state, page=number or 1).address(), "selected": number == page}
            for number in _numbers(page, pages)
        ],
        "pages": pages,
        "beyond": state.page if state.page > pages else None,
        # chosen cases that this page does not list stay chosen
        "elsewhere": [{"id": c.id, "label": _name(c)} for c in chosen if c.id not in {s.id for s in shown}],
        "least": LEAST,
        "most": MOST,
    }


_IN_FORM = frozenset({"find", "population_min", "population_max", "page"})
"""What the form of the catalogue sends itself; the rest goes with it unseen."""


def _listed(case: CaseEntry, titles: dict[str, str], chosen: bool) -> dict[str, Any]:
    return {
        **asdict(case),
        "population_text": population_text(case.population),
        "document_title": titles[case.document_id],
        "chosen": chosen,
    }


def _helps(facet: Facet, cases: int) -> bool:
    """Whether choosing from a facet can change anything."""
    return bool(facet.chosen) or len(facet.values) > 1 or any(value.count < cases for value in facet.values)


def _facet_page(facet: Facet, state: Listing) -> dict[str, Any]:
    values = [
        {**asdict(v), "url": state.filtered(toggled(state.filters, facet.name, v.value)).address()}
        for v in facet.values
    ]
    # what is chosen is never folded away
    ahead = [v for place, v in enumerate(values) if place < FACET_VALUES or v["selected"]]
    rest = [v for v in values if v not in ahead]
    if len(rest) == 1:
        ahead, rest = values, []
    return {
        "name": facet.name,
        "label": facet.label,
        "ahead": ahead,
        "rest": rest,
        "unstated": facet.unstated,
    }


def chips(state: Listing, titles: dict[str, str], cases: dict[str, CaseEntry]) -> list[dict[str, str]]:
    """What was chosen, each with the address that takes it back."""
    shown = []
    if state.find:
        shown.append({"label": "言葉", "value": state.find, "url": replace(state, find="", page=1).address()})
    for name, value in filter_pairs(state.filters):
        if name in {"population_min", "population_max"}:
            words = f"{int(value):,}人"
            emptied: dict[str, Any] = {name: None}
            without = replace(state.filters, **emptied)
        else:
            words = titles.get(value, value) if name == "document_ids" else value
            words = _name(cases[value]) if name == "case_ids" and value in cases else words
            without = toggled(state.filters, name, value)
        shown.append(
            {"label": CONDITION_LABELS[name], "value": words, "url": state.filtered(without).address()}
        )
    return shown


def _numbers(page: int, pages: int) -> list[int | None]:
    """The pages to go to: the first, the last, and those around this one; None where some are left out."""
    near = sorted({1, pages, *range(max(1, page - 2), min(pages, page + 2) + 1)})
    numbers: list[int | None] = []
    for number in near:
        if numbers and numbers[-1] is not None and number > numbers[-1] + 1:
            numbers.append(None)
        numbers.append(number)
    return numbers if pages > 1 else []


def _name(case: CaseEntry) -> str:
    return f"事例{case.number} {case.organization}"


# ---------------------------------------------------------------- one case


def case_page(index: Index, entry: CaseEntry) -> dict[str, Any]:
    """One case: every field with the place it was read from, its passages, its neighbours and municipalities like it."""
    document = index.documents[entry.document_id]
    sections = _sections(index, document, entry)
    before, after = _neighbours(index, entry)
    return {
        "case": asdict(entry),
        "document": {"id": document.id, "title": document.title, "path": document.path},
        "rows": _rows(index, document, entry),
        "contact": [_row(index, entry, name, label) for name, label in _CONTACT],
        "sections": sections,
        "outline": [{"id": s["id"], "label": s["heading"], "count": len(s["passages"])} for s in sections],
        "similar": [
            {"case": asdict(s.case), "reason": s.reason} for s in similar_cases(index, index.cases[entry.id])
        ],
        "before": None
        if before is None
        else {"url": f"/cases/{before.id}", "label": _name(before), "title": before.title},
        "after": None
        if after is None
        else {"url": f"/cases/{after.id}", "label": _name(after), "title": after.title},
        "ask_url": Asked(filters=Filters(case_ids=(entry.id,))).address(),
        "compare_url": Listing(chosen=(entry.id,)).address(),
        "similar_url": f"/similar?{urlencode({'organization': entry.organization})}",
        "source": asdict(places(index).of(document.id, entry.char_start, entry.char_end)),
    }


_CONTACT = (("department", "担当部署"), ("phone", "電話"), ("email", "メール"))
_FIELDS = tuple((name, label) for name, label in FIELD_LABELS.items() if (name, label) not in _CONTACT)


def _rows(index: Index, document: Document, entry: CaseEntry) -> list[dict[str, Any]]:
    rows = []
    for name, label in _FIELDS:
        rows.append(_row(index, entry, name, label))
        if name == "prefecture":  # the region is not stated: it follows from the prefecture
            rows.append(
                {**rows[-1], "name": "region", "label": "地方", "value": entry.region, "original": None}
            )
    pages = _row(index, entry, "page_start", "掲載ページ")
    if entry.page_start is not None:
        unit = (
            "" if document.format in {"txt", "md"} else "スライド" if document.format == "pptx" else "ページ"
        )
        ends = [str(entry.page_start)] + (
            [str(entry.page_end)] if entry.page_end not in (None, entry.page_start) else []
        )
        pages["value"] = f"p.{'～'.join(ends)}" if not unit else f"{unit} {'～'.join(ends)}"
    rows.append(pages)
    named = {*FIELD_LABELS, "title", "number", "page_start", "page_end"}
    rows += [
        {
            **_row(index, entry, name, name),
            "value": stated.value,
            "original": None,
            "parts": _parts(stated.value, entry.urls),
        }
        for name, stated in entry.fields.items()
        if name not in named
    ]
    shown = "\n".join(str(row["value"]) for row in rows)
    rows += [
        {
            "name": "url",
            "label": "関連URL",
            "value": url,
            "parts": [],
            "original": None,
            "link": url,
            "source": _url_place(index, document, entry, url),
        }
        for url in entry.urls
        if url not in shown
    ]
    return rows


def _row(index: Index, entry: CaseEntry, name: str, label: str) -> dict[str, Any]:
    """A field as it is shown: the value, the words it was read from where they are others, and their place."""
    stated = entry.fields.get(name)
    value = getattr(entry, name, None)
    if name == "population" and value is not None:
        value = f"{value:,}人"
    link = {"phone": f"tel:{dialled(str(value))}", "email": f"mailto:{value}"}.get(name) if value else None
    return {
        "name": name,
        "label": label,
        "value": None if value is None else str(value),
        "parts": [],
        "original": stated.value
        if stated is not None and stated.value != str(value) and name != "page_start"
        else None,
        "link": link,
        "source": None
        if stated is None
        else asdict(places(index).of(entry.document_id, stated.char_start, stated.char_end)),
    }


def _parts(value: str, urls: Sequence[str]) -> list[dict[str, str | None]]:
    """A field's words cut at the addresses in them, which become links."""
    known = "|".join(re.escape(url) for url in sorted(urls, key=len, reverse=True))
    pieces = re.split(f"({known})", value) if known else [value]
    return [{"text": piece, "url": piece if piece in urls else None} for piece in pieces if piece]


def _url_place(index: Index, document: Document, entry: CaseEntry, url: str) -> dict[str, Any] | None:
    at = document.text.find(url, entry.char_start, entry.char_end)
    return None if at < 0 else asdict(places(index).of(document.id, at, at + len(url)))


def _sections(index: Index, document: Document, entry: CaseEntry) -> list[dict[str, Any]]:
    """What the case says, by heading in its order: each with its passages and their places."""
    sections: list[dict[str, Any]] = []
    for chunk in index.chunks_of_case(entry.id):
        # the way to the heading, from the case's own title on
        path = list(chunk.heading_path)
        inside = next((i + 1 for i, part in enumerate(path) if entry.title and entry.title in part), None)
        tail = path[inside:] if inside is not None else path[-1:]
        heading = " ＞ ".join(tail) or "事例のはじめ"
        if not sections or sections[-1]["heading"] != heading:
            sections.append({"id": f"s{len(sections) + 1}", "heading": heading, "passages": []})
        sections[-1]["passages"].append(
            {
                "text": document.text[chunk.start : chunk.end],
                "heading_path": path,
                "source": asdict(places(index).of(document.id, chunk.start, chunk.end)),
            }
        )
    return sections


def _neighbours(index: Index, entry: CaseEntry) -> tuple[CaseEntry | None, CaseEntry | None]:
    """The cases before and after one in its document, as it prints them."""
    own = sorted(case_entries(index, Filters(document_ids=(entry.document_id,))), key=lambda c: c.char_start)
    at = next(place for place, case in enumerate(own) if case.id == entry.id)
    return own[at - 1] if at else None, own[at + 1] if at + 1 < len(own) else None
