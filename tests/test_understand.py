"""What a question asks for; every value here was read by hand from the question."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.names import Directory
from qa.understand import PARTLY, VALUES, Filters, regions_of, states_value, understand, years_of

NAMES = (
    "山形県酒田市",
    "三重県津市",
    "広島県広島市",
    "福島県",
    "福島県福島市",
    "大分県",
    "神奈川県横浜市",
    "みずほ県霧ヶ沢村",
)
KNOWN = Directory({f"c{number}": name for number, name in enumerate(NAMES)})


def set_filters(question: str) -> dict[str, Any]:
    """The conditions that are read from a question, without those that are not set."""
    filters = understand(question).filters
    return {
        name: v for name in Filters.__dataclass_fields__ if (v := getattr(filters, name)) not in ((), None)
    }


def test_full_width_and_half_width_are_one() -> None:
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
        ("関西の市の事例", {"regions": ("近畿",), "organization_kinds": ("市", "政令指定都市")}),
        ("県の取組だけ見たい", {"organization_kinds": ("都", "道", "府", "県")}),
        ("中核市の事例", {"organization_kinds": ("中核市",)}),
        ("山形県内の自治体の取組", {"prefectures": ("山形県",)}),
        ("福井の市町村の事例", {"prefectures": ("福井県",)}),
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
    ],
)
def test_population(question: str, low: int | None, high: int | None) -> None:
    filters = understand(question).filters
    assert (filters.population_min, filters.population_max) == (low, high)


@pytest.mark.parametrize(
    ("question", "near"),
    [
        ("うちは3万人の町です。似た団体の事例はありますか", 30_000),
        ("うちは人口2万人くらいの市です。参考になる事例は？", 20_000),
        ("当町は8,000人です。近い団体は？", 8_000),
        ("人口20万人前後の市の事例", 200_000),
        ("人口3万5千人の町の事例", 35_000),
        ("人口5万人以上の市の事例", None),
    ],
)
def test_a_population_that_is_no_limit_orders_cases(question: str, near: int | None) -> None:
    query = understand(question)
    assert query.near_population == near
    if near:
        assert (query.filters.population_min, query.filters.population_max) == (None, None)


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
    assert understand(question).near_population is None


def test_values_asked_for() -> None:
    assert understand("電話番号は？").values == ("phone",)
    assert understand("費用はいくら").values == ("amount",)
    assert understand("いつ始めましたか").values == ("date",)
    assert set(understand("問い合わせ先は").values) == {"phone", "email", "department"}
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


def test_a_follow_up_takes_organization_and_topic_from_what_was_asked_before() -> None:
    query = understand(
        "そこの電話番号は？", ["横浜市の窓口は？", "酒田市の窓口改革の進め方を詳しく教えて"], KNOWN
    )
    assert query.question == query.focus == "そこの電話番号は?"  # normalized
    assert query.organizations == ("山形県酒田市",)  # the latest that was named
    assert query.text.startswith("酒田市 ")
    assert {"窓口改革", "電話番号"} <= set(re.findall("窓口改革|電話番号|横浜", query.text))
    assert "横浜" not in query.text
    assert query.values == ("phone",)


def test_a_follow_up_that_names_another_organization_is_about_that_one() -> None:
    query = understand("横浜市では？", ["酒田市の窓口の費用"], KNOWN)
    assert query.organizations == ("神奈川県横浜市",)
    assert "窓口の費用" in query.text
    assert "酒田" not in query.text
    older = understand("その電話は？", ["酒田市の窓口", "詳しく教えて"], KNOWN)
    assert older.organizations == ("山形県酒田市",)


@pytest.mark.parametrize(
    "question",
    [
        "話は変わりますが、電子申請の電話番号は？",
        "横浜市の職員研修の講師と費用と会場と日程を教えて",
    ],
)
def test_a_question_that_stands_alone_leaves_what_was_asked_before(question: str) -> None:
    query = understand(question, ["酒田市の窓口"], KNOWN)
    assert query.focus is None
    assert "山形県酒田市" not in query.organizations
    assert "窓口" not in query.text


def test_whoever_answered_is_meant_where_nobody_was_named() -> None:
    asked: list[str] = []

    def answered_by(question: str, in_a_case: bool) -> tuple[str, ...]:
        asked.append(question)
        return ("山形県酒田市",)

    query = understand("そこの人口は？", ["書かない窓口を始めたのはどこの市？"], KNOWN, answered_by)
    assert query.organizations == ("山形県酒田市",)
    assert asked == ["書かない窓口を始めたのはどこの市?"]
    assert understand("酒田市の人口は？", ["窓口"], KNOWN, answered_by).organizations == ("山形県酒田市",)
    assert len(asked) == 1  # a name is enough


@pytest.mark.parametrize(
    ("before", "question", "year"),
    [
        ("2021年の寄附は？", "その前の年は？", "2020年"),
        ("令和5年度の件数は？", "翌年度は？", "令和6年度"),
        ("令和元年度の件数は？", "その次の年は？", "令和2年度"),
    ],
)
def test_the_year_before_and_the_year_after(before: str, question: str, year: str) -> None:
    assert year in understand(question, [before], KNOWN).text


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("令和5年度", (2023,)),
        ("R6.4", (2024,)),
        ("平成31年、令和元年", (2019,)),
        ("2024年度と2025年4月", (2024, 2025)),
        ("昭和64年", (1989,)),
        ("2024件", ()),
        ("R2D2", ()),
        ("", ()),
    ],
)
def test_years_in_every_way_of_counting(text: str, years: tuple[int, ...]) -> None:
    assert years_of(text) == years


def test_a_year_is_searched_for_in_both_ways() -> None:
    assert "令和8年" in understand("2026年度の費用は？").text
    assert "2024年" in understand("令和6年度の費用は？").text


@pytest.mark.parametrize(
    "question", ["そこの電話番号は？", "それはいつからですか？", "例の件、どうなりましたか"]
)
def test_a_word_that_points_at_nothing(question: str) -> None:
    assert understand(question, (), KNOWN).points_nowhere
    assert not understand(question, ["酒田市の窓口"], KNOWN).points_nowhere


def test_no_word_points_where_a_subject_is_named() -> None:
    assert not understand("その他の窓口改革の取組と工夫した点は何ですか", (), KNOWN).points_nowhere
    assert not understand("酒田市のそこの窓口は？", (), KNOWN).points_nowhere


@pytest.mark.parametrize(
    ("question", "shape"),
    [
        ("酒田市と横浜市の違いは？", "compare"),
        ("酒田市の事例を要約して", "summary"),
        ("受けられない手続を全部挙げて", "list"),
        ("酒田市の電話番号は？", "value"),
        ("酒田市が工夫した点", "text"),
        ("酒田市の違いは？", "text"),  # one side only
    ],
)
def test_the_form_of_the_answer(question: str, shape: str) -> None:
    assert understand(question, (), KNOWN).shape == shape


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("それはどこの県ですか", ("都", "道", "府", "県")),
        ("どこの町の話？", ("町",)),
        ("始めたのはどの市ですか", ("市", "政令指定都市")),
        ("どこで受け取れますか", ()),
    ],
)
def test_the_kind_of_municipality_that_is_asked_for(question: str, kinds: tuple[str, ...]) -> None:
    assert understand(question).kinds == kinds


def test_conditions_can_be_taken_back() -> None:
    query = understand("東北の人口1万人未満の町村の事例")
    assert query.filters == Filters(regions=("東北",), organization_kinds=("町", "村"), population_max=9_999)
    assert query.without(["regions", "population_max"]).filters == Filters(organization_kinds=("町", "村"))
    assert (
        understand("うちは3万人の町です。近い団体は？").without(["near_population"]).near_population is None
    )


def test_larger_than_an_organization_that_is_known() -> None:
    sized = Directory({"c": "山形県酒田市"}, populations={"山形県酒田市": 96_000})
    assert understand("酒田市より人口の多い市の事例", (), sized).filters.population_min == 96_001
    assert understand("酒田市より小さい団体の事例", (), sized).filters.population_max == 95_999


def test_conditions_need_cases_to_choose_from() -> None:
    assert not understand("東北の事例を見せて", (), Directory({})).filters


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


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=60)
    | st.text(alphabet="人口0123456789,.万千以上未満から～のうち市町村団体事例は？ ０９", max_size=40)
)
def test_any_text_is_understood(question: str) -> None:
    query = understand(question, [question], KNOWN)
    assert set(query.organizations) <= set(NAMES)
    assert set(query.values) <= set(VALUES)
    low, high = query.filters.population_min, query.filters.population_max
    assert low is None or low >= 0
    assert high is None or high >= -1


def test_what_was_asked_of_one_is_asked_of_another() -> None:
    query = understand("じゃあ横浜市は？", ["酒田市の事例", "そこの人口は？"], KNOWN)
    assert query.organizations == ("神奈川県横浜市",)
    assert "人口" in query.text
    assert query.values == ("persons",)
    own = understand("じゃあ横浜市の電話番号は？", ["酒田市の事例", "そこの人口は？"], KNOWN)
    assert own.values == ("phone",)
    assert (query.shape, query.asks_bodies) == ("value", False)  # 「横浜市は？」 asks for no list of cities
    assert understand("窓口を始めた市は？", (), KNOWN).asks_bodies


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("酒田市に連絡したい", {"phone", "email"}),
        ("酒田市に問い合わせたいのですが", {"phone", "email"}),
        ("酒田市に電話できますか", {"phone"}),
        ("酒田市にメールすればいいですか", {"email"}),
    ],
)
def test_who_wants_to_call_asks_for_a_number(question: str, values: set[str]) -> None:
    assert set(understand(question, (), KNOWN).values) == values


def test_a_kind_is_not_read_from_a_name() -> None:
    names = Directory({"a": "埼玉県さいたま市", "b": "みずほ県"})
    assert not understand("さいたま市の取組を見せて", (), names).filters.organization_kinds
    assert understand("みずほ県の町村の事例を見せて", (), names).filters.organization_kinds == ("町", "村")
    assert understand("埼玉県の町の担当部署のメールは？", (), names).filters.prefectures == ("埼玉県",)


@pytest.mark.parametrize("digits", ["9" * 400, "1" * 330, "0"])
def test_a_population_that_is_none(digits: str) -> None:
    understand(f"うちは人口{digits}人くらいの団体です。事例は？", (), KNOWN)


CATEGORIES = (
    "① 県が支えて市町村と進める体制",
    "② 若手職員の声を取り入れる体制",
    "③ 外部人材の知見を取り入れる体制",
)


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("若手の声を聞いている団体の一覧", CATEGORIES[1:2]),
        ("若手職員の声を取り入れている自治体", CATEGORIES[1:2]),
        ("外部人材の知見を生かしている団体", CATEGORIES[2:]),
        ("分類③の事例を見せて", CATEGORIES[2:]),
        ("分類9の事例を見せて", ()),
        ("体制を整えている団体", ()),  # said of all three
        ("若手が多い団体", ()),  # one word says too little
        ("市町村を支えている県は？", ()),
        ("若手の声を取り入れたのはなぜですか", ()),  # asks for a reason, not for cases
        ("酒田市の若手の声を取り入れる取組は？", ()),  # of one that is named
    ],
)
def test_a_category_is_meant_by_number_or_by_what_tells_it_from_the_others(
    question: str, meant: tuple[str, ...]
) -> None:
    names = Directory({"c": "山形県酒田市"}, categories=CATEGORIES)
    assert understand(question, (), names).filters.categories == meant


@pytest.mark.parametrize(
    ("question", "text", "how_well"),
    [
        ("何件ありましたか", "相談は87件でした", 1.0),
        ("何件ありましたか", "3社が相談しました", PARTLY),
        ("何件ありましたか", "相談がありました", 0.0),
        ("市町村の数は？", "県内45市町村を訪ねた", 1.0),
        ("市町村の数は？", "令和5年に訪ねた", PARTLY),
        ("課はいくつですか", "21 の課で使う", 1.0),
        ("何人が出席しましたか", "38名が参加", 1.0),
        ("何人が出席しましたか", "三十八人が参加", 1.0),
        ("何時間減りましたか", "約１，２００時間の減", 1.0),
        ("何曜日ですか", "毎週木曜日に出る", 1.0),
        ("何曜日ですか", "毎月3日に出る", PARTLY),
        ("電話番号は？", "電話 03-1234-5678", 1.0),  # nothing is counted
        ("工夫した点は？", "3つの工夫", 0.0),  # no value is asked for
    ],
)
def test_a_number_counts_what_was_asked_for(question: str, text: str, how_well: float) -> None:
    assert understand(question).states(text) == how_well


def test_tokyo_is_not_kyoto_and_a_kind_with_a_size_is_a_condition() -> None:
    names = Directory({"c": "山形県舟形町"})
    assert understand("東京都の取組は？", (), names).filters.prefectures == ("東京都",)
    assert understand("京都の取組は？", (), names).filters.prefectures == ("京都府",)
    sized = understand("人口10万人以上の市は？", (), names).filters
    assert (sized.population_min, sized.organization_kinds) == (100_000, ("市", "政令指定都市"))
    assert understand("人口1万人未満の団体は？", (), names).filters.organization_kinds == ()
