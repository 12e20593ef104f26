"""Facets: counts worked by hand, the order of values, and the filter itself as judge."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.municipalities import parse_organization
from corpus.records import Case
from qa.facets import FACETS, Facet, facets, toggled
from qa.select import case_passes
from qa.understand import Filters


def case(number: int, organization: str, **more: object) -> Case:
    own = parse_organization(organization)
    made = Case(
        f"c{number}",
        "d1",
        number,
        f"事例{number}",
        organization,
        0,
        1,
        prefecture=own.prefecture,
        organization_kind=own.kind,
    )
    return replace(made, **more)  # type: ignore[arg-type]


CASES = [
    case(1, "山形県酒田市", category="② 窓口", population=96_000, population_band="5万人以上10万人未満"),
    case(2, "山形県舟形町", category="① 人材", population=5_000, population_band="1万人未満"),
    case(3, "青森県八戸市", category="② 窓口", document_id="d2", population_band="10万人以上30万人未満"),
    case(4, "沖縄県", document_id="d2", population=1_468_000),
    case(5, "つくし県若草市", category="② 窓口"),
]


def of(name: str, found: tuple[Facet, ...]) -> list[tuple[str, int]]:
    return [(v.value, v.count) for facet in found if facet.name == name for v in facet.values]


def test_without_a_choice_each_value_has_its_cases() -> None:
    found = facets(CASES, Filters(), {"d1": "事例集", "d2": "別の事例集"})
    assert [facet.name for facet in found] == list(FACETS)
    assert of("categories", found) == [("② 窓口", 3), ("① 人材", 1)]
    assert of("population_bands", found) == [
        ("1万人未満", 1),
        ("5万人以上10万人未満", 1),
        ("10万人以上30万人未満", 1),
    ]
    # 八戸市 is a core city too
    assert of("organization_kinds", found) == [("市", 3), ("中核市", 1), ("町", 1), ("県", 1)]
    assert of("regions", found) == [("東北", 3), ("九州", 1)]
    assert of("prefectures", found) == [("青森県", 1), ("山形県", 2), ("沖縄県", 1), ("つくし県", 1)]
    documents = next(facet for facet in found if facet.name == "document_ids")
    assert [(v.value, v.label, v.count) for v in documents.values] == [
        ("d1", "事例集", 3),
        ("d2", "別の事例集", 2),
    ]
    assert {facet.name: facet.unstated for facet in found} == {
        **dict.fromkeys(FACETS, 0),
        "categories": 1,
        "population_bands": 2,
        "regions": 1,
    }


def test_a_choice_counts_for_the_other_facets_only() -> None:
    found = facets(CASES, Filters(categories=("② 窓口",), prefectures=("山形県", "岩手県")))
    assert of("categories", found) == [("① 人材", 1), ("② 窓口", 1)]
    # a chosen value stays where it leaves nothing
    assert of("prefectures", found) == [("青森県", 1), ("岩手県", 0), ("山形県", 1), ("つくし県", 1)]
    assert of("organizations", found) == [("山形県酒田市", 1)]
    assert [v.value for facet in found for v in facet.chosen] == ["② 窓口", "岩手県", "山形県"]


def test_conditions_that_are_no_facet_count_everywhere() -> None:
    # a band of population stands for a population that is not stated
    found = facets(CASES, Filters(population_min=50_000))
    assert of("prefectures", found) == [("青森県", 1), ("山形県", 1), ("沖縄県", 1)]
    assert of("prefectures", facets(CASES, Filters(case_ids=("c2",)))) == [("山形県", 1)]


def test_an_organization_by_its_short_name() -> None:
    found = facets(CASES, Filters(organizations=("酒田市",)))
    assert ("酒田市", 1) in of("organizations", found)
    assert of("categories", found) == [("② 窓口", 1)]


def test_choosing_and_taking_back() -> None:
    once = toggled(Filters(regions=("東北",)), "regions", "九州")
    assert once == Filters(regions=("東北", "九州"))
    assert toggled(once, "regions", "東北") == Filters(regions=("九州",))


def test_nothing_has_no_facets() -> None:
    assert facets([], Filters()) == ()
    assert of("regions", facets([], Filters(regions=("東北",)))) == [("東北", 0)]


NAMES = st.sampled_from(
    ["山形県酒田市", "酒田市", "山形県", "青森県八戸市", "東京都港区", "つくし県若草市", "北広島市", "連合"]
)
BANDS = st.sampled_from([None, "1万人未満", "5万人以上10万人未満", "30万人以上の団体・都道府県"])
CATEGORIES = st.sampled_from([None, "甲", "乙"])
MADE = st.lists(
    st.builds(
        lambda name, band, category, document, population: case(
            0,
            name,
            population_band=band,
            category=category,
            document_id=document,
            population=population,
        ),
        NAMES,
        BANDS,
        CATEGORIES,
        st.sampled_from(["d1", "d2"]),
        st.sampled_from([None, 3_000, 70_000]),
    ),
    max_size=12,
)
CHOICES = st.builds(
    Filters,
    organizations=st.lists(NAMES, max_size=2, unique=True).map(tuple),
    prefectures=st.lists(st.sampled_from(["山形県", "青森県", "岩手県"]), max_size=2, unique=True).map(tuple),
    regions=st.lists(st.sampled_from(["東北", "関東"]), max_size=2, unique=True).map(tuple),
    organization_kinds=st.lists(st.sampled_from(["市", "県", "中核市"]), max_size=2, unique=True).map(tuple),
    population_bands=st.lists(BANDS.filter(bool), max_size=2, unique=True).map(tuple),
    categories=st.lists(CATEGORIES.filter(bool), max_size=1).map(tuple),
    document_ids=st.lists(st.sampled_from(["d1", "d3"]), max_size=1).map(tuple),
    population_min=st.sampled_from([None, 5_000]),
    population_max=st.sampled_from([None, 60_000]),
)


@settings(max_examples=300, deadline=None)
@given(MADE, CHOICES)
def test_a_count_is_what_the_filter_leaves(cases: list[Case], filters: Filters) -> None:
    found = {facet.name: facet for facet in facets(cases, filters)}
    for name in FACETS:
        facet = found.get(name)
        given_counts = {v.value: v.count for v in facet.values} if facet else {}
        chosen = set(getattr(filters, name))
        assert {v.value for v in facet.chosen} == chosen if facet else not chosen
        for value, count in given_counts.items():
            assert count == sum(case_passes(c, replace(filters, **{name: (value,)})) for c in cases)
            assert count or value in chosen
        # every case that only this facet may keep out is under one of its values, or states none
        left = [c for c in cases if case_passes(c, replace(filters, **{name: ()}))]
        for c in left:
            alone = [v for v in given_counts if case_passes(c, replace(Filters(), **{name: (v,)}))]
            assert alone or (facet is None or facet.unstated)


@given(CHOICES, st.sampled_from(sorted(FACETS)), st.sampled_from(["東北", "市", "甲", "山形県", "x"]))
def test_toggling_twice_changes_nothing(filters: Filters, name: str, value: str) -> None:
    twice = toggled(toggled(filters, name, value), name, value)
    for field in fields(Filters):
        assert (
            set(getattr(twice, field.name)) == set(getattr(filters, field.name))
            if isinstance(getattr(filters, field.name), tuple)
            else getattr(twice, field.name) == getattr(filters, field.name)
        )


@pytest.mark.parametrize("name", sorted(FACETS))
def test_every_facet_is_a_filter(name: str) -> None:
    assert getattr(Filters(), name) == ()
