"""Facets of cases: which values a person may choose from, and how many cases each would leave.

In: cases and the conditions that are chosen. Out: for each facet its values in an order that people expect, each with
the number of cases under the choice of the other facets. What an address looks like, the caller knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from corpus.cases import band_limits
from corpus.municipalities import CORE_CITIES, PREFECTURES, REGION_OF, REGIONS, parse_organization
from qa.select import Described, case_passes
from qa.understand import Filters

CORE_CITY = "中核市"


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value of a facet: how many cases it would leave, and whether it is chosen. `label` is what people read."""

    value: str
    label: str
    count: int
    selected: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """One facet, named as the filter that its values set; `unstated` cases do not state it, so no value leaves them."""

    name: str
    label: str
    values: tuple[FacetValue, ...]
    unstated: int

    @property
    def chosen(self) -> tuple[FacetValue, ...]:
        """The values that are chosen."""
        return tuple(value for value in self.values if value.selected)


def facets(
    cases: Iterable[Described], filters: Filters, titles: Mapping[str, str] | None = None
) -> tuple[Facet, ...]:
    """The facets that have a value, in the order of FACETS; `titles` are the documents' by id.

    A value's count is that of the cases which meet the other facets' choice and every other condition, and have this
    value: what choosing it alone in its facet would leave. A value that would leave none is given only where it is chosen.
    """
    chosen = {name: frozenset(getattr(filters, name)) for name in FACETS}
    emptied: dict[str, Any] = dict.fromkeys(FACETS, ())
    rest = replace(filters, **emptied)
    limited = bool(rest)
    counts: dict[str, Counter[str]] = {name: Counter() for name in FACETS}
    shown: dict[str, set[str]] = {name: set(values) for name, values in chosen.items()}
    unstated: Counter[str] = Counter()
    for case in cases:
        if limited and not case_passes(case, rest):
            continue
        values = {name: answers_to(case) for name, (_, answers_to) in FACETS.items()}
        missed = [name for name in FACETS if chosen[name] and not chosen[name].intersection(values[name])]
        if len(missed) > 1:
            continue
        for name in missed or FACETS:
            counts[name].update(values[name])
            # 「酒田市」 will do for 「山形県酒田市」, and is given only where somebody chose it
            shown[name].update(values[name][:1] if name == "organizations" else values[name])
            unstated[name] += not values[name]
    found = []
    for name, (label, _) in FACETS.items():
        names = titles if titles is not None and name == "document_ids" else {}
        order = sorted(shown[name], key=lambda v: (_place(name, v), -counts[name][v], names.get(v, v), v))
        values_of_facet = tuple(
            FacetValue(value, names.get(value, value), counts[name][value], value in chosen[name])
            for value in order
        )
        if values_of_facet:
            found.append(Facet(name, label, values_of_facet, unstated[name]))
    return tuple(found)


def toggled(filters: Filters, name: str, value: str) -> Filters:
    """The filters with a value of a facet taken out where it is chosen, and added where it is not."""
    values: tuple[str, ...] = getattr(filters, name)
    without = tuple(v for v in values if v != value)
    anew: dict[str, Any] = {name: without if value in values else (*values, value)}
    return replace(filters, **anew)


# ---------------------------------------------------------------- the facets


def _organizations(case: Described) -> tuple[str, ...]:
    return _stated(case.organization, case.organization.removeprefix(case.prefecture or ""))


def _kinds(case: Described) -> tuple[str, ...]:
    return _stated(case.organization_kind, CORE_CITY if _is_core_city(case.organization) else None)


@lru_cache(maxsize=8192)
def _is_core_city(organization: str) -> bool:
    return parse_organization(organization).municipality in CORE_CITIES


def _stated(*values: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


FACETS: dict[str, tuple[str, Callable[[Described], tuple[str, ...]]]] = {
    "categories": ("分類", lambda case: _stated(case.category)),
    "population_bands": ("人口規模", lambda case: _stated(case.population_band)),
    "organization_kinds": ("団体の種類", _kinds),
    "regions": ("地方", lambda case: _stated(REGION_OF.get(case.prefecture or ""))),
    "prefectures": ("都道府県", lambda case: _stated(case.prefecture)),
    "organizations": ("団体", _organizations),
    "document_ids": ("資料", lambda case: (case.document_id,)),
}
"""By the name of its filter: what a facet is called, and every value of it that a case answers to."""
_REGION_PLACES = {name: place for place, name in enumerate(REGIONS)}
_PREFECTURE_PLACES = {name: place for place, name in enumerate(PREFECTURES)}


def _place(name: str, value: str) -> tuple[int, int]:
    """Where a value stands by nature: bands by size, regions and prefectures by the national code; else (0, 0)."""
    if name == "population_bands":
        return band_limits(value)
    if name == "regions":
        return _REGION_PLACES.get(value, len(REGIONS)), 0
    if name == "prefectures":
        return _PREFECTURE_PLACES.get(value, len(PREFECTURES)), 0
    return 0, 0
