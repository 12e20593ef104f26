"""Which passages are chosen: filters, preferences, each case once, sides; on three made-up cases."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import FakeEncoder
from made import CASE_BOOK, MINUTES

from corpus.records import Case
from index.build import build
from index.engines import probe
from index.store import Hit, Index, load_current
from qa.names import directory
from qa.select import Selection, Weights, case_passes, join, ranked, scope_of, select
from qa.synonyms import Synonyms
from qa.understand import Filters, understand

CITY, VILLAGE, PREFECTURE = "つくし県若草市", "つくし県小石原村", "つくし県"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("select")
    (folder / "documents").mkdir()
    (folder / "documents" / "1_事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
    (folder / "documents" / "2_議事録.txt").write_text(MINUTES, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    return load_current(folder / "index")


def chosen(index: Index, question: str, given: Filters | None = None, k: int = 5) -> Selection:
    query = understand(question, (), directory(index))
    return select(index, FakeEncoder(), query, given or Filters(), k)


def organizations(index: Index, selection: Selection) -> list[str | None]:
    cases = [index.cases.get(hit.chunk.case_id or "") for hit in selection.hits]
    return [case.organization if case else None for case in cases]


CASE = Case(
    "c1", "d1", 1, "題", "滋賀県草津市", 0, 9, prefecture="滋賀県", organization_kind="市", population=50_000,
    population_band="5万人以上10万人未満", category="① 窓口",
)  # fmt: skip
UNSTATED = Case("c2", "d1", 2, "題", "連携協議会", 9, 18)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (Filters(), True),
        (Filters(document_ids=("d1",)), True),
        (Filters(document_ids=("d2",)), False),
        (Filters(case_ids=("c2", "c1")), True),
        (Filters(case_ids=("c2",)), False),
        (Filters(organizations=("滋賀県草津市",)), True),
        (Filters(organizations=("草津市",)), True),
        (Filters(organizations=("津市",)), False),
        (Filters(organizations=("市",)), False),
        (Filters(organizations=("",)), False),
        (Filters(prefectures=("滋賀県",)), True),
        (Filters(prefectures=("滋賀",)), False),
        (Filters(regions=("近畿",)), True),
        (Filters(regions=("東北", "関東")), False),
        (Filters(organization_kinds=("町", "市")), True),
        (Filters(organization_kinds=("町",)), False),
        (Filters(organization_kinds=("中核市",)), False),
        (Filters(population_bands=("5万人以上10万人未満",)), True),
        (Filters(population_bands=("1万人未満",)), False),
        (Filters(categories=("② 別の分類", "① 窓口")), True),
        (Filters(categories=("窓口",)), False),
        (Filters(population_min=50_000), True),
        (Filters(population_min=50_001), False),
        (Filters(population_max=50_000), True),
        (Filters(population_max=49_999), False),
        (Filters(population_min=0), True),
        (Filters(prefectures=("滋賀県",), organization_kinds=("町",)), False),  # AND
        (Filters(prefectures=("滋賀県",), organization_kinds=("市",), population_max=60_000), True),
    ],
)
def test_conditions_on_a_case(filters: Filters, passes: bool) -> None:
    assert case_passes(CASE, filters) is passes


@pytest.mark.parametrize(
    "filters",
    [
        Filters(population_min=0),
        Filters(population_max=10**9),
        Filters(regions=("近畿",)),
        Filters(prefectures=("滋賀県",)),
        Filters(organization_kinds=("市",)),
        Filters(categories=("① 窓口",)),
    ],
)
def test_a_case_that_does_not_state_a_value_does_not_meet_a_condition_on_it(filters: Filters) -> None:
    assert not case_passes(UNSTATED, filters)


@pytest.mark.parametrize(
    ("given", "understood", "joined", "added"),
    [
        (Filters(), Filters(), Filters(), ()),
        (Filters(), Filters(regions=("東北",)), Filters(regions=("東北",)), ("regions",)),
        (Filters(regions=("東北",)), Filters(regions=("東北",)), Filters(regions=("東北",)), ()),
        (
            Filters(organization_kinds=("市", "町")),
            Filters(organization_kinds=("町", "村")),
            Filters(organization_kinds=("町",)),
            ("organization_kinds",),
        ),
        # what a person set outweighs what was read from the words
        (Filters(regions=("東北",)), Filters(regions=("四国",)), Filters(regions=("東北",)), ()),
        (Filters(population_min=100), Filters(population_min=50), Filters(population_min=100), ()),
        (
            Filters(population_min=100, population_max=900),
            Filters(population_min=200, population_max=800),
            Filters(population_min=200, population_max=800),
            ("population_min", "population_max"),
        ),
        (
            Filters(prefectures=("山形県",)),
            Filters(population_max=9_999),
            Filters(prefectures=("山形県",), population_max=9_999),
            ("population_max",),
        ),
    ],
)
def test_filters_are_joined_with_and(
    given: Filters, understood: Filters, joined: Filters, added: tuple[str, ...]
) -> None:
    assert join(given, understood) == (joined, added)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (Filters(population_min=50_000), True),
        (Filters(population_max=299_999), True),
        (Filters(population_min=60_000), False),  # may be 50,000
        (Filters(population_max=200_000), False),  # may be more
    ],
)
def test_a_band_stands_for_the_population_where_all_of_it_meets_the_condition(
    filters: Filters, passes: bool
) -> None:
    case = Case("c3", "d1", 3, "題", "つくし県浜市", 18, 20, population_band="5万人以上30万人未満")
    assert case_passes(case, filters) is passes


def test_a_core_city_is_one_by_the_table() -> None:
    city = Case("c", "d", 1, "題", "滋賀県大津市", 0, 1, organization_kind="市")
    assert case_passes(city, Filters(organization_kinds=("中核市",)))
    assert case_passes(city, Filters(organization_kinds=("市",)))


def test_no_filter_allows_everything_and_a_filter_only_what_meets_it(index: Index) -> None:
    assert scope_of(index, Filters()) is None

    def let_through(filters: Filters) -> set[str]:
        scope = scope_of(index, filters)
        assert scope is not None
        return {chunk.id for chunk in index.chunks if scope.holds(chunk)}

    village = {c.id for c in index.chunks if c.case_id and index.cases[c.case_id].organization == VILLAGE}
    assert village
    assert let_through(Filters(organization_kinds=("村",))) == village
    minutes = next(d.id for d in index.documents.values() if "議事録" in d.path)
    assert let_through(Filters(document_ids=(minutes,), organization_kinds=("村",))) == set()
    assert let_through(Filters(document_ids=(minutes,))) == {
        c.id for c in index.chunks if c.document_id == minutes
    }


def test_a_persons_filters_hold(index: Index) -> None:
    for question in ("工夫している点を教えてください", "月額はいくらですか", "若草市の電話番号は？"):
        found = organizations(index, chosen(index, question, Filters(organization_kinds=("村",))))
        assert set(found) == {VILLAGE}, question


def test_conditions_that_leave_nothing_are_said(index: Index) -> None:
    nothing = chosen(index, "窓口の事例", Filters(prefectures=("沖縄県",)))
    assert (nothing.hits, nothing.filtered_out, nothing.from_question) == ((), True, ())
    read = chosen(index, "九州の窓口の事例を見せて")
    assert (read.filtered_out, read.from_question, read.filters.regions) == (True, ("regions",), ("九州",))
    assert read.hits  # what is nearest without them


def test_every_case_that_meets_the_question_opens_before_any_is_shown_twice(index: Index) -> None:
    found = chosen(index, "人口5万人未満の団体の事例を見せて", k=20)
    assert found.from_question == ("population_max",)
    assert set(organizations(index, found)[:2]) == {CITY, VILLAGE}
    assert set(organizations(index, found)) == {CITY, VILLAGE}
    for hit in found.hits[:2]:
        assert hit.chunk == next(c for c in index.chunks if c.case_id == hit.chunk.case_id)
    ids = [hit.chunk.id for hit in found.hits]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("persons", "first"), [("3万人", CITY), ("5千人", VILLAGE)])
def test_the_nearest_population_comes_first(index: Index, persons: str, first: str) -> None:
    found = chosen(index, f"うちは{persons}の団体です。近い事例は？")
    assert organizations(index, found)[0] == first
    assert set(organizations(index, found)[:3]) == {CITY, VILLAGE, PREFECTURE}


def test_the_sides_of_a_comparison_take_turns(index: Index) -> None:
    found = chosen(index, "小石原村と若草市の事業の違いは？", k=6)
    assert found.sides[:4] == (VILLAGE, CITY, VILLAGE, CITY)
    assert tuple(organizations(index, found)[:4]) == found.sides[:4]
    assert [hit.score for hit in found.hits] == sorted((h.score for h in found.hits), reverse=True)


def test_one_side_is_no_comparison(index: Index) -> None:
    assert chosen(index, "小石原村と京都市の違いは？").sides == ()


def test_a_summary_opens_with_the_opening(index: Index) -> None:
    first = chosen(index, "小石原村の事例を要約して").hits[0].chunk
    assert first == next(
        c for c in index.chunks if c.case_id and index.cases[c.case_id].organization == VILLAGE
    )


def test_a_named_organization_comes_first(index: Index) -> None:
    for name in (CITY, VILLAGE):
        short = name.removeprefix(PREFECTURE)
        assert organizations(index, chosen(index, f"{short}の事業の概要"))[0] == name


def test_a_named_organization_is_looked_at_wherever_it_ranks(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qa.select.POOL", 1)
    found = chosen(index, "小石原村について、待ち時間はどれくらい短くなりましたか", k=1)
    assert organizations(index, found) == [VILLAGE]


@pytest.mark.parametrize(("pool", "searches"), [(60, 1), (1, 2)])
def test_a_named_organization_is_searched_for_apart_where_it_is_not_among_the_hits(
    index: Index, monkeypatch: pytest.MonkeyPatch, pool: int, searches: int
) -> None:
    asked: list[int] = []
    search = Index.search

    def noted(self: Index, *arguments: Any) -> list[Hit]:
        asked.append(1)
        return search(self, *arguments)

    monkeypatch.setattr("qa.select.POOL", pool)
    monkeypatch.setattr(Index, "search", noted)
    chosen(index, "小石原村について、待ち時間はどれくらい短くなりましたか", k=1)
    assert len(asked) == searches


def test_a_value_asked_for_brings_the_passage_that_states_it(index: Index) -> None:
    assert "0000-22-3333" in chosen(index, "小石原村の電話番号は？").hits[0].chunk.text
    assert "8千円" in chosen(index, "利用料は月額いくら？").hits[0].chunk.text


def test_k_limits_what_is_shown_best_first(index: Index) -> None:
    for k in (1, 2, 50):
        hits = chosen(index, "窓口", k=k).hits
        assert len(hits) <= k
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_synonyms_are_searched_for_too(index: Index) -> None:
    query = understand("コスト負担", (), directory(index))
    table = Synonyms.parse("コスト負担,費用の分担")
    with_table = select(index, FakeEncoder(), query, Filters(), 1, synonyms=table)
    assert "費用の分担" in with_table.hits[0].chunk.heading_path[-1]
    assert with_table.probe is not None
    assert {"費用", "分担"} <= set(with_table.probe.words)


WEIGHT = 0.5
NO_WEIGHTS = Weights(**{field.name: 0.0 for field in fields(Weights)})


# the beginnings of the passages of each case, its opening first
IN_CITY = ("1 用紙", "事業効果", "工夫", "今後", "【参考情報】 若草市")
IN_VILLAGE = ("2 車で", "担当部署", "【参考情報】 つくし県人口")
IN_PREFECTURE = ("3 研修",)
OPENINGS = ("1 用紙", "2 車で", "3 研修")


@pytest.mark.parametrize(
    ("name", "question", "begins"),
    [
        ("own", "小石原村の人口は？", IN_VILLAGE),
        ("own", "集落を回る車は？", ()),
        ("others", "小石原村の集落は？", IN_CITY + IN_PREFECTURE),
        ("states", "月額はいくらですか", ("■費用の分担",)),
        ("contact", "小石原村の電話番号は？", ("担当部署",)),
        ("contact", "小石原村の人口は？", ()),
        ("contact", "電話番号は？", ()),
        ("case", "手続を進める団体は？", IN_CITY + IN_VILLAGE + IN_PREFECTURE),
        ("case", "手続の進め方は？", ()),
        ("other_kind", "窓口を減らしたのはどこの県？", IN_CITY + IN_VILLAGE),
        ("other_kind", "窓口を減らしたのは？", ()),
        ("imprint", "予約の手順は？", ("【参考情報】 若草市", "担当部署")),
        ("imprint", "予約を受けている団体の一覧は？", ()),
        ("imprint", "予約の担当の電話番号は？", ()),
        ("opening", "予約の手順は？", OPENINGS),
        ("opening", "予約を受けている団体の一覧は？", ()),
    ],
)
def test_what_is_known_about_a_passage_is_added_to_its_score(
    index: Index, monkeypatch: pytest.MonkeyPatch, name: str, question: str, begins: tuple[str, ...]
) -> None:
    def scores(weight: float) -> dict[str, float]:
        monkeypatch.setattr("qa.select.WEIGHTS", replace(NO_WEIGHTS, **{name: weight}))
        query = understand(question, (), directory(index))
        hits = ranked(index, directory(index), query, probe(FakeEncoder(), query.text), None, 60)
        return {hit.chunk.text: hit.score for hit in hits}

    plain, weighted = scores(0.0), scores(WEIGHT)
    assert len(plain) == len(index.chunks)
    for text, score in plain.items():
        added = WEIGHT if text.startswith(begins or "\0") else 0.0
        assert weighted[text] == pytest.approx(score + added), text[:20]


@pytest.mark.parametrize(
    "question", ["人口" + "9" * 400 + "人くらいの団体の事例", "人口" + "1" * 330 + "人規模の自治体"]
)
def test_a_population_beyond_all_numbers(index: Index, question: str) -> None:
    assert chosen(index, question).hits


def test_prefectures_come_after_municipalities_of_any_size(index: Index) -> None:
    order = organizations(index, chosen(index, "うちは人口80万人の市です。近い規模の団体は？", k=3))
    assert order[:2] == [CITY, VILLAGE]


def test_a_summary_is_of_the_case_not_of_another_document(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("summary")
    (folder / "documents").mkdir()
    plan = f"# 小石原村の事例の要約と計画\n\n小石原村の事例を要約した計画です。\n\n## 方針\n\n{'計画の方針を述べます。' * 5}"
    (folder / "documents" / "1_計画.md").write_text(plan, encoding="utf-8")
    (folder / "documents" / "2_事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    index = load_current(folder / "index")
    first = chosen(index, "小石原村の事例を要約して").hits[0].chunk
    assert first.case_id is not None
    assert index.cases[first.case_id].organization == VILLAGE


RULES = """# 補助の要綱

## 上限

補助金の上限は、1件につき80万円とし、申請する者は、見積書の写しと機器の置き場所を示す図面を添えて、受付の期間のうちに企画課の窓口へ申請書を出すものとする。
"""


def test_what_another_document_says_again_comes_last(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    other = "# 別の案内\n\n## 時間\n\n窓口は9時に開く。\n"
    newer = RULES.replace("80万円", "90万円")
    copy = RULES.replace("、1件につき", " 1件につき")
    texts = {"1_要綱.md": RULES, "2_写し.md": copy, "3_改正.md": newer, "4_案内.md": other}
    for name, text in texts.items():
        (tmp_path / "documents" / name).write_text(text, encoding="utf-8")
    build(tmp_path / "documents", tmp_path / "index", FakeEncoder())
    index = load_current(tmp_path / "index")
    found = chosen(index, "補助金の上限は", k=4).hits
    paths = [index.documents[hit.chunk.document_id].path for hit in found]
    # one of the two that say the same is last; the edition with another number is none of them
    assert set(paths[:3]) in (
        {"1_要綱.md", "3_改正.md", "4_案内.md"},
        {"2_写し.md", "3_改正.md", "4_案内.md"},
    )
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
