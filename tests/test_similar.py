"""Municipalities alike: distances by hand, names by the table, and a sorted list as judge."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_facets import case

from corpus.municipalities import municipalities
from corpus.records import Case
from index.store import Index, load_current
from qa.similar import (
    BY_BAND,
    OTHER_KIND,
    OTHER_PREFECTURE,
    OTHER_REGION,
    UNKNOWN,
    Known,
    Profile,
    distance,
    known_of,
    nearest,
    profile_of,
    reason,
    similar_cases,
)

CASES = [
    case(1, "山形県酒田市", population=96_000, population_as_of="令和6年2月29日"),
    case(2, "山形県舟形町", population=5_000),
    case(3, "青森県八戸市", population=220_000),
    case(4, "福島県西会津町", population=6_000),
    case(5, "埼玉県上里町", population=31_000),
    case(6, "山形県", population=1_040_000),
    case(7, "岩手県", population=1_180_000),
    case(8, "秋田県五城目町", population_band="1万人未満"),
    case(9, "京都府伊根町"),
    case(10, "神奈川県横浜市", population=3_754_000),
    case(11, "長野県小布施町", population_band="1万人以上5万人未満"),
]


def an_index(cases: list[Case]) -> Index:
    return cast(Index, SimpleNamespace(cases={c.id: c for c in cases}))


INDEX = an_index(CASES)


def organizations(profile: Profile, most: int = 20) -> list[str]:
    return [found.case.organization for found in nearest(INDEX, profile, most)]


def test_nearest_by_population_and_kind() -> None:
    # 6,000 is five times away, 5,000 six times; a city of 96,000 three times, and twice for another kind: 6.4
    assert organizations(Profile(kind="町", population=30_000))[:5] == [
        "埼玉県上里町",
        "長野県小布施町",  # within its band: 1.5 times
        "京都府伊根町",  # nothing stated: four times
        "秋田県五城目町",  # three times as much as its band reaches to, and 1.5 times for the band: 4.5
        "福島県西会津町",
    ]


def test_by_kind_alone_prefectures_stand_among_themselves() -> None:
    assert organizations(Profile(kind="県")) == ["山形県", "岩手県"]
    assert organizations(Profile(kind="都道府県", population=1_150_000)) == ["岩手県", "山形県"]
    assert organizations(Profile(kind="中核市"))[0] == "青森県八戸市"
    assert "山形県" not in organizations(Profile(kind="町"))


@pytest.mark.parametrize(
    ("profile", "number", "expected"),
    [
        (Profile(population=6_000, kind="町"), 4, 0.0),
        (Profile(population=12_000, kind="町"), 4, math.log(2)),
        (Profile(population=12_000, kind="市"), 4, math.log(2) + OTHER_KIND),
        (Profile(population=6_000), 9, UNKNOWN),
        (Profile(population=6_000), 8, BY_BAND),
        (Profile(population=20_000), 8, BY_BAND + math.log(2)),
        (Profile(population=5_000), 11, BY_BAND + math.log(2)),
        (Profile(region="東北", prefecture="山形県"), 2, 0.0),
        (Profile(region="東北", prefecture="山形県"), 4, OTHER_PREFECTURE),
        (Profile(region="東北", prefecture="山形県"), 5, OTHER_REGION),
        (Profile(region="東北"), 4, 0.0),
        (Profile(), 1, 0.0),
    ],
)
def test_distances(profile: Profile, number: int, expected: float) -> None:
    assert distance(profile, CASES[number - 1]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("profile", "number", "words"),
    [
        (
            Profile(population=25_800, kind="町", prefecture="群馬県", region="関東"),
            5,
            "人口が約1.2倍・同じ町・同じ関東",
        ),
        (
            Profile(population=5_200, kind="町", prefecture="山形県", region="東北"),
            2,
            "人口がほぼ同じ・同じ町・同じ山形県",
        ),
        (Profile(population=20_000, kind="市"), 2, "人口が約0.25倍・種類は町"),
        (Profile(population=3_754_000, kind="政令指定都市"), 2, "人口が約751分の1・種類は町"),
        (Profile(population=5_000), 10, "人口が約751倍"),
        (Profile(population=5_000), 9, "人口の記載がない"),
        (Profile(population=5_000), 8, "人口は区分だけ記載（1万人未満）"),
        (Profile(kind="中核市"), 3, "同じ中核市"),
        (Profile(prefecture="沖縄県", region="九州"), 1, "近い条件は見つからない"),
    ],
)
def test_reasons(profile: Profile, number: int, words: str) -> None:
    assert reason(profile, CASES[number - 1]) == words


def test_beside_a_case_where_it_lies_is_said_and_does_not_count() -> None:
    found = similar_cases(INDEX, CASES[3])
    assert [s.case.organization for s in found][:2] == ["山形県舟形町", "秋田県五城目町"]
    assert found[0].reason == "人口が約0.83倍・同じ町・同じ東北"
    assert "福島県西会津町" not in [s.case.organization for s in found]
    assert len(found) == 5


POPULATIONS = st.one_of(st.none(), st.integers(1, 4_000_000))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(CASES), POPULATIONS), max_size=15),
    POPULATIONS,
    st.sampled_from([None, "市", "町", "県", "都道府県", "中核市"]),
    st.integers(0, 20),
)
def test_the_order_is_that_of_the_ratios(
    drawn: list[tuple[Case, int | None]], population: int | None, kind: str | None, most: int
) -> None:
    cases = [
        replace(c, id=f"x{i}", population=p, population_band=None, organization=f"{c.organization}")
        for i, (c, p) in enumerate(drawn)
    ]
    profile = Profile(population=population, kind=kind)
    found = nearest(an_index(cases), profile, most)

    def worse(c: Any) -> float:  # as a ratio, not as a logarithm
        ratio = 1.0
        if population:
            ratio *= max(c.population / population, population / c.population) if c.population else 4
        own = {c.organization_kind} | ({"都道府県"} if c.organization_kind == "県" else set())
        own |= {"中核市"} if c.organization == "青森県八戸市" else set()
        return ratio * (1 if kind is None or kind in own else 2)

    ratios = [worse(s.case) for s in found]
    assert all(a <= b * (1 + 1e-9) for a, b in itertools.pairwise(ratios))
    allowed = [
        c for c in cases if kind is None or (c.organization_kind == "県") == (kind in {"県", "都道府県"})
    ]
    assert len(found) == min(most, len(allowed))
    left = sorted(worse(c) for c in allowed)[: len(found)]
    assert ratios == pytest.approx(left)


# ---------------------------------------------------------------- names


def test_a_name_of_the_index_brings_its_population() -> None:
    profile = known_of(INDEX, "酒田市").profile
    assert profile == Profile("山形県酒田市", "市", "山形県", "東北", 96_000, "令和6年2月29日", "c1")
    assert profile == profile_of(CASES[0])


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("鶴岡市", "山形県鶴岡市"),
        ("山形県鶴岡市", "山形県鶴岡市"),
        (" 鶴岡 市役所", "山形県鶴岡市"),
        ("山形県最上郡舟形町", "山形県舟形町"),
        ("舟形町役場", "山形県舟形町"),
        ("最上郡舟形町", "山形県舟形町"),
        ("郡山市", "福島県郡山市"),
        ("茅ヶ崎市", "神奈川県茅ヶ崎市"),
        ("茅ケ崎市", "神奈川県茅ヶ崎市"),
        ("鶴岡", "山形県鶴岡市"),
        ("山形県庁", "山形県"),
        ("山形県", "山形県"),
        ("港区", "東京都港区"),
        ("横浜市", "神奈川県横浜市"),
    ],
)
def test_a_name_of_the_table(written: str, full: str) -> None:
    profile = known_of(INDEX, written).profile
    assert profile is not None
    assert profile.organization == full


def test_what_is_known_without_a_case() -> None:
    assert known_of(INDEX, "鶴岡市").profile == Profile("山形県鶴岡市", "市", "山形県", "東北")
    assert known_of(INDEX, "新潟市").profile == Profile("新潟県新潟市", "政令指定都市", "新潟県", "中部")


def test_names_of_several() -> None:
    assert known_of(INDEX, "府中市") == Known(None, ("東京都府中市", "広島県府中市"))
    assert known_of(INDEX, "府中市", "広島県").profile == Profile("広島県府中市", "市", "広島県", "中国")
    assert known_of(INDEX, "府中市", "大阪府") == Known(None, ())
    assert known_of(INDEX, "火星市") == Known(None, ())
    assert known_of(INDEX, "") == Known(None, ())


def test_every_municipality_is_found_by_its_full_name() -> None:
    for rows in municipalities().values():
        for row in rows:
            profile = known_of(INDEX, row.prefecture + row.name).profile
            assert profile is not None, row
            assert profile.organization == row.prefecture + row.name


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_name_is_answered(name: str) -> None:
    known = known_of(INDEX, name)
    assert known.profile is None or not known.candidates


def test_a_made_up_municipality_of_the_index(tmp_path: Path) -> None:
    from test_server import Service

    index = load_current(Service(tmp_path).root)
    profile = known_of(index, "若草市").profile
    assert profile is not None
    assert (profile.organization, profile.kind, profile.population) == ("つくし県若草市", "市", 32_000)
    assert profile.region is None
