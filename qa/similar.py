"""Municipalities alike: the cases of those that are nearest to a population and a kind, each with its reason.

In: an index, and what is known of somebody's own municipality: its name, population, kind, prefecture. Out: cases, nearest
first, and why. A name is looked up in the table of all municipalities; a population is known only where a case states it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from corpus.cases import band_limits
from corpus.municipalities import (
    CORE_CITIES,
    PREFECTURES,
    REGION_OF,
    Municipality,
    municipalities,
    parse_organization,
)
from corpus.records import Case
from index.store import Index
from qa.catalog import CaseEntry, case_entry
from qa.facets import CORE_CITY
from qa.understand import PREFECTURE_KINDS

SIMILAR = 5
"""Cases beside a case."""
ANY_PREFECTURE = "都道府県"
KINDS = (ANY_PREFECTURE, "政令指定都市", CORE_CITY, "特別区", "市", "町", "村")
"""The kinds to choose from; 都, 道, 府 and 県 are one."""
OTHER_KIND, UNKNOWN, BY_BAND = math.log(2), math.log(4), math.log(1.5)
"""What counts beside the ratio of the populations, as a ratio: another kind of municipality as much as twice the population,
a population that is not stated as four times, one that is known by its band only as 1.5 times."""
OTHER_REGION, OTHER_PREFECTURE = math.log(1.25), math.log(1.1)
"""Where a prefecture or a region is given: another region counts as 1.25 times the population, another prefecture as 1.1 times."""
ABOUT_EQUAL = 1.1
"""Populations up to a tenth apart are called about the same."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a municipality; None where it is not. `population_case_id` is the case that states its population."""

    organization: str | None = None
    kind: str | None = None
    prefecture: str | None = None
    region: str | None = None
    population: int | None = None
    population_as_of: str | None = None
    population_case_id: str | None = None


@dataclass(frozen=True, slots=True)
class SimilarCase:
    """A case whose organization is alike, with the reason in words."""

    case: CaseEntry
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a name was found to be: the one profile, or several candidates in full where others bear the name too."""

    profile: Profile | None
    candidates: tuple[str, ...] = ()


# ---------------------------------------------------------------- who is alike


def similar_cases(index: Index, case: Case) -> list[SimilarCase]:
    """Cases of organizations of like population and kind, nearest first; where they lie does not count."""
    own = profile_of(case)
    return nearest(index, own, SIMILAR, by=replace(own, prefecture=None, region=None))


def nearest(index: Index, profile: Profile, most: int, *, by: Profile | None = None) -> list[SimilarCase]:
    """Up to `most` cases of other organizations, nearest first; `by` is what they are ranked by, if not all of the profile.

    Nearness is the ratio of the populations (its logarithm) and what is said at OTHER_KIND and OTHER_REGION.
    Prefectures are compared with prefectures only.
    """
    asked = by or profile
    ranked = sorted(
        (
            (distance(asked, case), case)
            for case in index.cases.values()
            if case.organization != profile.organization and _comparable(asked, case)
        ),
        key=lambda item: (item[0], item[1].organization, item[1].number, item[1].id),
    )
    return [SimilarCase(case_entry(case), reason(profile, case)) for _, case in ranked[:most]]


def distance(profile: Profile, case: Case) -> float:
    """How far a case's organization is from a profile, from 0; what the profile does not say does not count."""
    far = 0.0
    if profile.population:
        far += _population_distance(profile.population, case)
    if profile.kind and not _same_kind(profile.kind, case):
        far += OTHER_KIND
    if profile.region and REGION_OF.get(case.prefecture or "") != profile.region:
        far += OTHER_REGION
    elif profile.prefecture and case.prefecture != profile.prefecture:
        far += OTHER_PREFECTURE
    return far


def reason(profile: Profile, case: Case) -> str:
    """Why a case is near, in words: 「人口が約1.2倍・同じ町・同じ東北」."""
    parts = []
    if profile.population:
        parts.append(_population_words(profile.population, case))
    if profile.kind and _same_kind(profile.kind, case):
        parts.append(f"同じ{profile.kind}")
    elif profile.kind and case.organization_kind:
        parts.append(f"種類は{case.organization_kind}")
    region = REGION_OF.get(case.prefecture or "")
    if profile.prefecture and case.prefecture == profile.prefecture:
        parts.append(f"同じ{case.prefecture}")
    elif profile.region and region == profile.region:
        parts.append(f"同じ{region}")
    return "・".join(parts) or "近い条件は見つからない"


def profile_of(case: Case) -> Profile:
    """What a case states of its organization."""
    return Profile(
        case.organization,
        case.organization_kind,
        case.prefecture,
        REGION_OF.get(case.prefecture or ""),
        case.population,
        case.population_as_of,
        case.id if case.population is not None else None,
    )


def _comparable(profile: Profile, case: Case) -> bool:
    if profile.kind is None:
        return True
    return _is_prefecture(profile.kind) == _is_prefecture(case.organization_kind)


def _is_prefecture(kind: str | None) -> bool:
    return kind == ANY_PREFECTURE or kind in PREFECTURE_KINDS


def _same_kind(kind: str, case: Case) -> bool:
    if kind == ANY_PREFECTURE:
        return _is_prefecture(case.organization_kind)
    if kind == CORE_CITY:
        return parse_organization(case.organization).municipality in CORE_CITIES
    return case.organization_kind == kind


def _population_distance(population: int, case: Case) -> float:
    if case.population:
        return abs(math.log(population) - math.log(case.population))
    if case.population_band is None:
        return UNKNOWN
    low, high = band_limits(case.population_band)
    if low <= population < high:
        return BY_BAND
    return BY_BAND + abs(math.log(population) - math.log(high if population >= high else max(low, 1)))


def _population_words(population: int, case: Case) -> str:
    if not case.population:
        return f"人口は区分だけ記載（{case.population_band}）" if case.population_band else "人口の記載がない"
    ratio = case.population / population
    if 1 / ABOUT_EQUAL <= ratio <= ABOUT_EQUAL:
        return "人口がほぼ同じ"
    if ratio < 0.1:
        return f"人口が約{round(1 / ratio):,}分の1"
    if ratio < 1:
        return f"人口が約{ratio:.2f}倍"
    return f"人口が約{ratio:.1f}倍" if ratio < 10 else f"人口が約{round(ratio):,}倍"


# ---------------------------------------------------------------- whose municipality


def known_of(index: Index, name: str, prefecture: str | None = None) -> Known:
    """What is known of a municipality or prefecture by its name, in full or without its prefecture.

    Names that several prefectures have (府中市) are told apart by `prefecture`. What the table does not have may be an
    organization of the index.
    """
    words = _folded(name)
    words = re.sub(r"(?<=[市区町村])役[所場]$|(?<=[都道府県])庁$", "", words)
    found = [
        full
        for full in _in_table(words) or _in_index(index, words)
        if prefecture in (None, parse_organization(full).prefecture)
    ]
    if len(found) != 1:
        return Known(None, tuple(found))
    return Known(_known_profile(index, found[0]))


def _known_profile(index: Index, full: str) -> Profile:
    own = [case for case in index.cases.values() if case.organization == full]
    stating = [case for case in own if case.population is not None]
    parsed = parse_organization(full)
    return Profile(
        full,
        parsed.kind,
        parsed.prefecture,
        REGION_OF.get(parsed.prefecture or ""),
        stating[0].population if stating else None,
        stating[0].population_as_of if stating else None,
        stating[0].id if stating else None,
    )


def _in_table(words: str) -> list[str]:
    """The full names of the public bodies that a folded name means."""
    if words in PREFECTURES:
        return [words]
    prefecture = next((p for p in PREFECTURES if words.startswith(p)), None)
    rest = words[len(prefecture) :] if prefecture else words
    table = _by_folded_name()
    # 「最上郡舟形町」, but 「郡山市」 is a city
    without_district = re.sub(r"^.{1,4}?郡(?=.+[町村]$)", "", rest)
    rows = table.get(rest) or table.get(without_district) or ()
    if not rows and len(rest) >= 2 and rest[-1] not in "市区町村":
        rows = tuple(row for kind in "市区町村" for row in table.get(rest + kind, ()))
    return [row.prefecture + row.name for row in rows if prefecture in (None, row.prefecture)]


def _in_index(index: Index, words: str) -> list[str]:
    names: Iterable[str] = dict.fromkeys(case.organization for case in index.cases.values())
    return [
        name
        for name in names
        if words in {_folded(name), _folded(parse_organization(name).municipality or name)}
    ]


@lru_cache(maxsize=1)
def _by_folded_name() -> dict[str, tuple[Municipality, ...]]:
    table: dict[str, tuple[Municipality, ...]] = {}
    for name, rows in municipalities().items():
        table[_folded(name)] = table.get(_folded(name), ()) + rows
    return table


def _folded(name: str) -> str:
    """A name as it is compared: 「茅ヶ崎市」 and 「茅ケ崎市」 are one, so are 「竜ヶ崎」 and 「 竜ケ崎 」."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", name)).replace("ヶ", "ケ")
