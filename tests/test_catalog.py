"""The catalogue: what a word finds, and the orders, against a plain sort."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_facets import case

from qa.catalog import ORDERS, case_entry, found_in, in_order

ENTRIES = [
    case_entry(c)
    for c in (
        case(2, "山形県酒田市", title="ＤＸ推進本部をつくる", population=96_000, department="企画部 デジタル変革戦略室"),
        case(1, "山形県", title="研修", category="② 人材", population=1_000_000),
        case(3, "青森県八戸市", title="窓口"),
        case(1, "山形県遊佐町", title="dx の講座", document_id="d2", population=13_000),
        case(9, "つくし県若草市", title="総合窓口", document_id="d2"),
        case(4, "北海道", title="広報", document_id="d2", population=5_000_000),
    )
]  # fmt: skip
TITLES = {"d1": "事例集", "d2": "あたらしい事例集"}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", 6),
        ("dx", 2),
        ("ＤＸ　推進", 1),
        ("デジタル変革", 1),
        ("戦略 酒田", 1),
        ("人材", 1),
        ("山形県", 3),
        ("窓口", 2),
        ("本部 山形県酒", 1),
        ("つくる山形県", 0),  # no words across two fields
        ("広報 窓口", 0),
        ("　", 6),
    ],
)
def test_words(words: str, found: int) -> None:
    assert len(found_in(ENTRIES, words)) == found


def order(name: str) -> list[str]:
    return [entry.organization for entry in in_order(ENTRIES, name, TITLES)]


def test_orders() -> None:
    assert order("document")[:3] == ["山形県遊佐町", "北海道", "つくし県若草市"]
    assert order("number") == [
        "山形県遊佐町",
        "山形県",
        "山形県酒田市",
        "青森県八戸市",
        "北海道",
        "つくし県若草市",
    ]
    # as the national code orders prefectures, each before its municipalities, those by their reading
    assert order("organization") == [
        "北海道",
        "青森県八戸市",
        "山形県",
        "山形県酒田市",
        "山形県遊佐町",
        "つくし県若草市",
    ]
    assert order("population")[:4] == ["山形県遊佐町", "山形県酒田市", "山形県", "北海道"]
    assert order("population_desc")[:4] == ["北海道", "山形県", "山形県酒田市", "山形県遊佐町"]
    # what states none is last in both ways
    assert order("population")[4:] == order("population_desc")[4:] == ["つくし県若草市", "青森県八戸市"]


@given(
    st.lists(st.tuples(st.sampled_from(ENTRIES), st.integers(1, 30), st.none() | st.integers(0, 10**7))),
    st.sampled_from(sorted(ORDERS)),
)
def test_an_order_loses_nothing(drawn: list[tuple[object, int, int | None]], name: str) -> None:
    entries = [replace(e, id=str(i), number=n, population=p) for i, (e, n, p) in enumerate(drawn)]  # type: ignore[type-var]
    found = in_order(entries, name, TITLES)
    assert sorted(e.id for e in found) == sorted(e.id for e in entries)
    stated = [e.population for e in found if e.population is not None]
    if name == "number":
        assert [e.number for e in found] == sorted(e.number for e in entries)
    if name == "population":
        assert stated == sorted(stated)
    if name == "population_desc":
        assert stated == sorted(stated, reverse=True)
    if name.startswith("population"):
        assert all(e.population is None for e in found[len(stated) :])
