"""What a question names and asks for; every value here was read by hand from the question."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.municipalities import PREFECTURES
from qa.understand import VALUES, Filters, named_organizations, regions_of, states_value, understand

KNOWN = (
    "山形県酒田市",
    "三重県津市",
    "広島県広島市",
    "福島県",
    "福島県福島市",
    "大分県",
    "神奈川県横浜市",
    "みずほ県霧ヶ沢村",
)


def set_filters(question: str) -> dict[str, Any]:
    """The conditions that are read from a question, without those that are not set."""
    filters = understand(question).filters
    return {
        name: v for name in Filters.__dataclass_fields__ if (v := getattr(filters, name)) not in ((), None)
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("山形県酒田市の担当は？", ["山形県酒田市"]),
        ("酒田市の担当は？", ["山形県酒田市"]),
        ("酒田の担当は？", ["山形県酒田市"]),
        ("霧ヶ沢の車", ["みずほ県霧ヶ沢村"]),
        ("横浜の取組", ["神奈川県横浜市"]),
        ("津市は？", ["三重県津市"]),
        ("三重県津市は？", ["三重県津市"]),
        ("横浜市と酒田市を比べたい", ["神奈川県横浜市", "山形県酒田市"]),
        ("酒田市と横浜市を比べたい", ["山形県酒田市", "神奈川県横浜市"]),
        ("福島市の窓口", ["福島県福島市"]),
        ("福島県の支援", ["福島県"]),
        ("窓口の取組は？", []),
        ("", []),
    ],
)
def test_organizations_with_and_without_prefecture_and_suffix(text: str, named: list[str]) -> None:
    assert list(named_organizations(text, KNOWN)) == named


@pytest.mark.parametrize(
    "text",
    [
        "草津市の窓口",
        "木更津市は",
        "北広島市の件",
        "東広島市",
        "東福島駅",
        "酒田町",
        "津の取組",
        "だいぶ良くなった",
    ],
)
def test_a_name_inside_another_name_is_not_named(text: str) -> None:
    assert named_organizations(text, KNOWN) == ()


def test_of_a_city_and_its_namesake_prefecture_the_stem_names_both() -> None:
    assert set(named_organizations("福島の取組", KNOWN)) == {"福島県", "福島県福島市"}


def test_full_width_and_half_width_are_one() -> None:
    assert understand("ＡＢＣ市の電話", (), ["みずほ県ABC市"]).organizations == ("みずほ県ABC市",)
    assert set_filters("人口１万人未満の団体の事例") == {"population_max": 9999}


@pytest.mark.parametrize(
    ("question", "filters"),
    [
        ("政令指定都市の事例", {"organization_kinds": ("政令指定都市",)}),
        ("指定都市の取組を知りたい", {"organization_kinds": ("政令指定都市",)}),
        ("町村の取組を教えて", {"organization_kinds": ("町", "村")}),
        ("市町村の取組を教えて", {}),  # all kinds of municipality, and no condition
        ("市区町村の事例", {}),
        ("町村会の事例", {}),
        ("東北の事例を見せて", {"regions": ("東北",)}),
        ("四国地方の自治体", {"regions": ("四国",)}),
        ("中国・四国の事例", {"regions": ("中国", "四国")}),
        ("中国地方の事例", {"regions": ("中国",)}),
        ("中国の事例", {}),  # may be the country
        ("北陸の自治体", {"regions": ("中部",)}),
        ("関西の市の事例", {"regions": ("近畿",)}),
        ("九州の事例", {"regions": ("九州",)}),
        ("北九州市の事例", {}),
        ("東北大学との事例", {}),
        ("東北の町村の事例", {"regions": ("東北",), "organization_kinds": ("町", "村")}),
    ],
)
def test_kinds_and_regions(question: str, filters: dict[str, Any]) -> None:
    assert set_filters(question) == filters


@pytest.mark.parametrize(
    ("question", "low", "high"),
    [
        ("人口1万人未満の団体の事例", None, 9_999),
        ("人口1万人以下の団体の事例", None, 10_000),
        ("人口1万人までの団体の事例", None, 10_000),
        ("人口5千人以下の村は？", None, 5_000),
        ("人口30,000人以上の団体は？", 30_000, None),
        ("人口3万5千人以上の市の事例", 35_000, None),
        ("人口1.5万人以上の町の事例", 15_000, None),
        ("人口5万人以上10万人未満の市の事例", 50_000, 99_999),
        ("人口5万人以上10万人以下の市の事例", 50_000, 100_000),
        ("人口5万人以上で10万人未満の市の事例", 50_000, 99_999),
        ("人口5万～10万人の団体", 50_000, 100_000),
        ("人口5～10万人の団体", 50_000, 100_000),
        ("人口5千人以上1万人未満の町の事例", 5_000, 9_999),
        ("人口5000人以上1万人未満の町の事例", 5_000, 9_999),
        ("人口500人以上1千人未満の村の事例", 500, 999),
        ("人口3万から5万人の自治体", 30_000, 50_000),
        ("人口3万5千人から4万2千人の自治体", 35_000, 42_000),
        # 「くらい」 is from half to double
        ("うちは3万人の町です。似た団体の事例はありますか", 15_000, 60_000),
        ("うちは人口2万人くらいの市です。参考になる事例は？", 10_000, 40_000),
        ("当町は8,000人です。近い団体は？", 4_000, 16_000),
        ("人口20万人前後の市の事例", 100_000, 400_000),
        ("人口3万5千人の町の事例", 17_500, 70_000),
    ],
)
def test_population(question: str, low: int | None, high: int | None) -> None:
    filters = understand(question).filters
    assert (filters.population_min, filters.population_max) == (low, high)


@pytest.mark.parametrize(
    "question",
    [
        "職員3人の取組",  # persons, not a population
        "人口1万人未満の団体は月額いくらですか",  # one value is asked for, not cases
        "人口5万人の団体の電話番号は？",
        "人口はどのように変わりましたか",
        "うちのパソコンが3台あります",
    ],
)
def test_what_is_no_condition_on_cases(question: str) -> None:
    assert not understand(question).filters


def test_values_asked_for() -> None:
    assert understand("電話番号は？").values == ("phone",)
    assert understand("費用はいくら").values == ("amount",)
    assert understand("いつ始めましたか").values == ("date",)
    assert set(understand("問い合わせ先は").values) == {"phone", "email"}
    assert understand("工夫した点は").values == ()


@pytest.mark.parametrize(
    ("kind", "stated", "not_stated"),
    [
        ("phone", "電話：０２３４－２６－５７０４", "電話は窓口で"),
        ("email", "メール dx@city.example.jp", "メールで送る"),
        ("date", "令和5年10月から", "来年度から"),
        ("amount", "改造費は約420万円です。", "費用は県が負担"),
        ("persons", "38名が参加", "多くの人が参加"),
        ("share", "3割少なくなった", "少なくなった"),
        ("count", "14の集落", "多くの集落"),
        ("address", "https://www.example.jp/", "市のサイト"),
    ],
)
def test_a_text_states_a_value(kind: str, stated: str, not_stated: str) -> None:
    assert states_value(stated, [kind])
    assert not states_value(not_stated, [kind])
    assert not states_value(stated, [])


def test_lists_are_asked_for() -> None:
    for question in ("移動窓口の事例を見せて", "どこの団体が始めましたか", "取組の一覧", "町村の団体は？"):
        assert understand(question).lists, question
    for question in ("酒田市の電話番号は？", "どこで受け取れますか", "工夫した点は？"):
        assert not understand(question).lists, question


def test_a_follow_up_searches_with_the_question_before_it() -> None:
    query = understand("そこの電話番号は？", ["横浜市の窓口は？", "酒田市の窓口について教えて"], KNOWN)
    assert query.question == "そこの電話番号は?"  # normalized
    assert query.text == "酒田市の窓口について教えて そこの電話番号は?"
    assert query.organizations == ("山形県酒田市",)  # the latest that was named
    assert query.values == ("phone",)


def test_a_follow_up_that_names_another_organization_is_about_that_one() -> None:
    assert understand("横浜市では？", ["酒田市の窓口"], KNOWN).organizations == ("神奈川県横浜市",)
    older = understand("その電話は？", ["酒田市の窓口", "詳しく教えて"], KNOWN)
    assert older.organizations == ("山形県酒田市",)


def test_conditions_of_earlier_questions_are_not_applied_again() -> None:
    assert not understand("工夫した点は？", ["東北の事例を見せて"]).filters


def test_filters_are_true_where_one_is_set() -> None:
    assert not Filters()
    assert Filters(population_min=0)
    assert Filters(regions=("東北",))


@pytest.mark.parametrize(
    ("prefecture", "region"), [("山形県", "東北"), ("沖縄県", "九州"), ("みずほ県", None), (None, None)]
)
def test_region_of_a_prefecture(prefecture: str | None, region: str | None) -> None:
    assert regions_of(prefecture) == region


def test_every_prefecture_is_named_by_its_own_name() -> None:
    for name in PREFECTURES:
        assert name in named_organizations(f"{name}の取組", PREFECTURES), name


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=60)
    | st.text(alphabet="人口0123456789,.万千以上未満から～のうち市町村団体事例は？ ０９", max_size=40)
)
def test_any_text_is_understood(question: str) -> None:
    query = understand(question, [question], KNOWN)
    assert set(query.organizations) <= set(KNOWN)
    assert set(query.values) <= set(VALUES)
    low, high = query.filters.population_min, query.filters.population_max
    assert low is None or low >= 0
    assert high is None or high >= -1
