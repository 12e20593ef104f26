"""Municipalities like one's own: the form of an officer, the cases that are near, and the same as JSON.

In: a name, a population, a kind, a place, all as people write them. Out: a page, or records. Who is near, `qa.similar` says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse

from corpus.municipalities import PREFECTURES, REGION_OF, REGIONS
from corpus.numbers import whole_number
from index.store import Index
from qa.places import places
from qa.similar import KINDS, Known, Profile, SimilarCase, known_of, nearest
from web import view
from web.site import Loaded, Site
from web.view import population_text

MOST = 20
"""Cases on the page: what can be looked through."""
MOST_PERSONS = 200_000_000
_KINDS = (*KINDS, "都", "道", "府", "県")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wrote of their own municipality, trimmed; empty where nothing was written."""

    organization: str = ""
    population: str = ""
    kind: str = ""
    prefecture: str = ""
    region: str = ""

    def __bool__(self) -> bool:
        return any((self.organization, self.population, self.kind, self.prefecture, self.region))

    def address(self) -> str:
        """The address of the page of it."""
        return f"/similar?{urlencode([(k, v) for k, v in asdict(self).items() if v])}"


def wanted(
    organization: Annotated[
        str,
        Query(
            max_length=100,
            description="団体の名前。種類・都道府県と、事例にあれば人口を補います",
            examples=["酒田市"],
        ),
    ] = "",
    population: Annotated[
        str, Query(max_length=100, description="人口。「30000」「3万」「三万五千」", examples=["30000"])
    ] = "",
    kind: Annotated[
        str, Query(max_length=100, description=f"団体の種類（{'・'.join(KINDS)}）", examples=["町"])
    ] = "",
    prefecture: Annotated[str, Query(max_length=100, description="都道府県", examples=["山形県"])] = "",
    region: Annotated[str, Query(max_length=100, description=f"地方（{'・'.join(REGIONS)}）")] = "",
) -> Wanted:
    """What an address asks for."""
    return Wanted(*(part.strip() for part in (organization, population, kind, prefecture, region)))


@dataclass(frozen=True, slots=True)
class Read:
    """What was wanted, read: the profile, or by field why it cannot be used. `candidates` bear the name that was written."""

    profile: Profile
    problems: dict[str, str]
    candidates: tuple[str, ...] = ()


def read(index: Index, asked: Wanted) -> Read:
    """The profile of what somebody wrote; what they wrote themselves counts before what is known of the name."""
    problems: dict[str, str] = {}
    known = Known(Profile())
    if asked.organization:
        known = known_of(index, asked.organization, asked.prefecture or None)
        if known.profile is None and known.candidates:
            problems["organization"] = (
                f"「{asked.organization}」は{len(known.candidates)}つあります。どれか選んでください。"
            )
        elif known.profile is None:
            where = f"{asked.prefecture}の" if asked.prefecture else ""
            problems["organization"] = (
                f"「{asked.organization}」は{where}市区町村・都道府県の名前に見つかりません。"
                "名前を確かめるか、空けて人口か種類を入れてください。"
            )
    profile = known.profile or Profile()
    if asked.population:
        number = whole_number(asked.population)
        if number is None or not 0 < number <= MOST_PERSONS:
            problems["population"] = (
                "人口は「30000」「3万」「三万五千」のように、1人以上の数で入力してください。"
            )
        else:
            profile = replace(profile, population=number, population_as_of=None, population_case_id=None)
    if asked.kind:
        if asked.kind in _KINDS:
            profile = replace(profile, kind=asked.kind)
        else:
            problems["kind"] = f"団体の種類は次から選んでください：{'、'.join(KINDS)}。"
    if asked.prefecture:
        profile = replace(profile, prefecture=asked.prefecture, region=REGION_OF.get(asked.prefecture))
        if asked.prefecture not in _prefectures(index):
            problems["prefecture"] = "都道府県は「山形県」のように、名前を最後まで入れてください。"
    if asked.region:
        profile = replace(profile, region=asked.region)
        if asked.region not in REGIONS:
            problems["region"] = f"地方は次から選んでください：{'、'.join(REGIONS)}。"
    if not problems and profile.population is None and profile.kind is None:
        problems["population"] = "人口か団体の種類を入れてください。"
    return Read(profile, problems, known.candidates)


def _prefectures(index: Index) -> list[str]:
    """All prefectures, and those of the cases that are in no table."""
    return list(dict.fromkeys([*PREFECTURES, *(c.prefecture for c in index.cases.values() if c.prefecture)]))


# ---------------------------------------------------------------- JSON


@dataclass(frozen=True, slots=True)
class SimilarReply:
    """What the ranking stands on, and the cases, nearest first."""

    profile: Profile
    similar: tuple[SimilarCase, ...]


_EXAMPLE = {
    "profile": {
        "organization": None,
        "kind": "町",
        "prefecture": "山形県",
        "region": "東北",
        "population": 30000,
        "population_as_of": None,
        "population_case_id": None,
    },
    "similar": [
        {
            "case": {
                "id": "4c9a559e312f63fe",
                "number": 5,
                "organization": "青葉県若草町",
                "population": 25000,
            },
            "reason": "人口が約0.83倍・同じ町",
        }
    ],
}


def api() -> APIRouter:
    """The route of programs."""
    routes = APIRouter()

    @routes.get(
        "/api/similar",
        summary="人口と種類の近い団体の事例（団体・人口・種類のどれかから）",
        responses={
            200: {"content": {"application/json": {"example": _EXAMPLE}}},
            503: {"description": "索引がまだない"},
        },
    )
    def api_similar_to(
        index: Loaded,
        asked: Annotated[Wanted, Depends(wanted)],
        limit: Annotated[int, Query(ge=1, le=100, description="事例の数")] = 10,
    ) -> SimilarReply:
        found = read(index, asked)
        if found.problems:
            raise RequestValidationError(
                [
                    {
                        "type": "value_error",
                        "loc": ("query", name),
                        "msg": f"{message}{_candidates(found) if name == 'organization' else ''}",
                        "input": getattr(asked, name),
                    }
                    for name, message in found.problems.items()
                ]
            )
        return SimilarReply(found.profile, tuple(nearest(index, found.profile, limit)))

    return routes


def _candidates(found: Read) -> str:
    return f"（{'、'.join(found.candidates)}）" if found.candidates else ""


# ---------------------------------------------------------------- the page


def router(site: Site) -> APIRouter:
    """The route of the page."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/similar")
    def page_similar(
        request: Request, index: Loaded, asked: Annotated[Wanted, Depends(wanted)]
    ) -> HTMLResponse:
        found = read(index, asked) if asked else Read(Profile(), {})
        shown = similar_page(index, asked, found)
        status: Literal[200, 422] = 422 if found.problems else 200
        return site.page(request, "similar.html", status, **shown, index=view.index_page(index))

    return routes


def similar_page(index: Index, asked: Wanted, found: Read) -> dict[str, Any]:
    """The form with what was written, what is known, and the near cases by organization."""
    near = nearest(index, found.profile, MOST) if asked and not found.problems else []
    groups = []
    for organization, items in groupby(near, key=lambda item: (item.case.organization, item.reason)):
        cases = [item.case for item in items]
        groups.append(
            {
                "organization": organization[0],
                "reason": organization[1],
                "population": population_text(cases[0].population),
                "population_as_of": cases[0].population_as_of,
                "cases": [asdict(case) for case in cases],
            }
        )
    return {
        "asked": asked,
        "problems": found.problems,
        "candidates": [
            {"label": name, "url": replace(asked, organization=name, prefecture="").address()}
            for name in found.candidates
        ]
        if found.problems.get("organization")
        else [],
        "known": _known(index, asked, found.profile) if near or (asked and not found.problems) else [],
        "own_case": _own_case(index, found.profile),
        "groups": groups,
        "near": [{"id": item.case.id, "label": item.case.organization} for item in near],
        "kinds": KINDS,
        "prefectures": _prefectures(index),
        "regions": list(REGIONS),
        "most": MOST,
        "cases_in_all": len(index.cases),
    }


def _known(index: Index, asked: Wanted, profile: Profile) -> list[dict[str, Any]]:
    """What the ranking stands on, in words, each with where it comes from."""
    named = "市区町村の一覧（全国地方公共団体コード）" if asked.organization else None
    rows: list[dict[str, Any]] = []
    if profile.organization:
        rows.append({"label": "団体", "value": profile.organization, "from": None, "source": None})
    rows.append(
        {"label": "種類", "value": profile.kind, "from": None if asked.kind else named, "source": None}
    )
    source = None
    if profile.population_case_id is not None:
        case = index.cases[profile.population_case_id]
        stated = case.fields.get("population")
        if stated is not None:
            source = asdict(places(index).of(case.document_id, stated.start, stated.end))
    as_of = f"（{profile.population_as_of}）" if profile.population_as_of else ""
    rows.append(
        {
            "label": "人口",
            "value": None if profile.population is None else f"{profile.population:,}人{as_of}",
            "from": "事例の記載" if source else None,
            "source": source,
        }
    )
    rows.append(
        {
            "label": "都道府県",
            "value": profile.prefecture,
            "from": None if asked.prefecture else named,
            "source": None,
        }
    )
    rows.append({"label": "地方", "value": profile.region, "from": None, "source": None})
    return rows


def _own_case(index: Index, profile: Profile) -> dict[str, Any] | None:
    own = next((c for c in index.cases.values() if c.organization == profile.organization), None)
    return None if own is None else {"id": own.id, "title": own.title, "number": own.number}
