"""When the answer is no: every check on made-up cases and minutes, worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import FakeEncoder

from index.build import build
from index.store import Hit, Index, load_current
from qa.answer import Reply, ask
from qa.evidence import CHECKED, refusal
from qa.names import directory
from qa.understand import VALUES, Filters, understand

BOOK = """窓口の事例集

この資料は架空の見本です。

目次

1 用紙をなくした総合窓口 【つくし県若草市】 … 3
2 車で回る窓口 【つくし県小石原村】 … 5

1 用紙をなくした総合窓口【つくし県若草市】

事業の概要

- 令和5年度に総合窓口を始め、初期費用は1,250万円だった。職員は12名である。

- 若草市のCIOは副市長である。デジタル推進監は佐藤花子が務める。

- 機械の点検は、みずほ機械株式会社に年18万円で、株式会社みずほ機械 本店にも頼む。

| 予約 | 令和5年度 |
|---|---|
| 電話で | 411 |
| 窓口で | 96 |

【参考情報】 若草市人口：3.2万人（令和7年1月1日現在）

【担当部署】 若草市市民部窓口課（電話：0000-11-2222、メール：window@city.example.jp）

2 車で回る窓口【つくし県小石原村】

事業の概要

- 役場の車が年に24回、11の集落を回り、証明書を交付します。

- 横瀬町とは共同で車を使い、町からは職員3名が来ます。神戸市の例を見て決めました。
"""
MINUTES = """第2回つくし県連携会議議事録

日時	2025年6月2日(月) 10:00~11:00

■費用の分担

利用料は人口1万人未満の団体で月額8千円です。第3回の会議は10月に開きます。
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("evidence")
    (folder / "documents").mkdir()
    (folder / "documents" / "1_事例集.txt").write_text(BOOK, encoding="utf-8")
    (folder / "documents" / "2_議事録.txt").write_text(MINUTES, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    index = load_current(folder / "index")
    assert len(index.cases) == 2
    return index


def reason(index: Index, question: str, *history: str) -> str | None:
    names = directory(index)
    everything = [Hit(chunk, 1.0, None, None) for chunk in index.chunks]
    found = refusal(index, names, understand(question, history, names), everything)
    return found.reason if found else None


@pytest.mark.parametrize(
    "question",
    [
        "若草市の総合窓口の初期費用はいくら？",
        "若草市の電話番号は？",
        "若草市の窓口課のメールアドレスは？",
        "若草市の人口は何人？",
        "令和5年度の若草市の費用はいくら？",
        "2023年度の若草市の費用はいくら？",
        "小石原村の車は年に何回回る？",
        "小石原村の車は何か所の集落を回る？",  # 「11の集落」
        "若草市のデジタル推進監の氏名は？",
        "横瀬町からは職員が何人来る？",
        "第2回の会議の利用料はいくら？",
        "第3回の会議はいつ？",
        "窓口で工夫した点は？",
        "若草市の職員は何人？",
        "若草市の電話での予約は何件ですか",  # a table's cells say no counter
        "みずほ機械株式会社の点検の費用はいくら？",
        "株式会社みずほ機械の点検の費用はいくら？",
        "若草の市の窓口",
        "レインボーの集落",  # one known word is enough
        "てんてこ舞いの季節に零した手間と集落",
        "宇宙エレベーターのラーメンの窓口",  # three words describe, and 窓口 is there
        "集楽",  # a slip: read as a word of the documents is
    ],
)
def test_what_may_be_there_is_not_refused(index: Index, question: str) -> None:
    assert reason(index, question) is None


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("会津若松市の窓口は？", "unknown_organization"),  # nobody speaks of it
        ("白樺台市の窓口は？", "unknown_organization"),  # in no table either
        ("青森県横浜町の窓口は？", "unknown_organization"),
        ("小石原村の費用はいくら？", "value_not_stated"),
        ("小石原村の電話番号は？", "value_not_stated"),
        ("小石原村の人口は？", "value_not_stated"),
        ("令和6年度の若草市の費用はいくら？", "value_not_stated"),
        ("2024年度の若草市の費用はいくら？", "value_not_stated"),
        ("第5回の会議の利用料はいくら？", "value_not_stated"),
        ("若草市のCIOの氏名は？", "value_not_stated"),  # an office, and no name beside it
        ("若草市長の氏名は？", "value_not_stated"),
        ("若草市の副市長の報酬はいくら？", "value_not_stated"),  # money of another kind
        ("横瀬町の費用はいくら？", "value_not_stated"),
        ("神戸市の職員は何人？", "value_not_stated"),
        ("明日の若草市の天気は？", "value_not_stated"),
        ("小石原村の車は何台ありますか", "value_not_stated"),  # numbers, and none of machines
        ("架空情報株式会社の費用はいくら？", "value_not_stated"),
        ("そこの電話番号は？", "no_match"),
        ("？？？", "no_match"),
        ("こんにちは。", "no_match"),
        ("どうも ありがとうございました！", "no_match"),
        ("はい、分かりました", "no_match"),
        ("🎌", "no_match"),
        ("それはいつからですか？", "no_match"),
        ("今日の天気は？", "no_match"),  # no word of the documents, and nothing spelt or read like one
        ("ラーメンのスープ", "no_match"),
        ("ラーメンのスープを比べて", "no_match"),
        ("おすすめのラーメン屋は？", "no_match"),
        ("宇宙エレベーターの費用は？", "no_match"),  # 費用 is there, and goes with any subject
    ],
)
def test_what_is_not_there_is_refused(index: Index, question: str, why: str) -> None:
    assert reason(index, question) == why


def test_a_follow_up_is_judged_with_what_was_asked_before(index: Index) -> None:
    assert reason(index, "電話番号は？", "小石原村の窓口について") == "value_not_stated"
    assert reason(index, "電話番号は？", "若草市の窓口について") is None
    assert reason(index, "そこの電話番号は？", "若草市の窓口について") is None


def test_of_an_unknown_and_a_known_one_the_known_one_is_answered(index: Index) -> None:
    assert reason(index, "若草市と会津若松市の窓口を比べて") is None


def test_every_checked_kind_is_one_that_can_be_asked_for() -> None:
    assert set(CHECKED) <= set(VALUES)


def answered(index: Index, question: str, filters: Filters | None = None) -> Reply:
    return ask(index, FakeEncoder(), question, filters=filters)


def test_the_sentence_names_what_was_looked_for_and_the_nearest_follow(index: Index) -> None:
    reply = answered(index, "会津若松市の窓口は？")
    assert (reply.answerable, reply.reason) == (False, "unknown_organization")
    assert "会津若松市についての資料" in reply.answer.text
    assert "お答えではありません" in reply.answer.text
    assert reply.answer.sentences == ()
    assert reply.citations
    assert all(not citation.highlights for citation in reply.citations)
    assert "電話番号" in answered(index, "小石原村の電話番号は？").answer.text
    assert "2024年" in answered(index, "2024年度の若草市の費用はいくら？").answer.text
    assert "架空情報株式会社" in answered(index, "架空情報株式会社の費用はいくら？").answer.text
    assert "お尋ねの数" in answered(index, "小石原村の車は何台ありますか").answer.text
    assert "第5回" in answered(index, "第5回の会議の利用料はいくら？").answer.text
    assert "何を指すか" in answered(index, "そこの電話番号は？").answer.text


def test_conditions_that_leave_nothing(index: Index) -> None:
    reply = answered(index, "人口30万人以上の団体の事例を見せて")
    assert (reply.answerable, reply.reason) == (False, "filtered_out")
    assert "人口300,000人以上" in reply.answer.text
    assert reply.filters.from_question == ("population_min",)
    assert reply.citations  # the nearest without the condition
    own = answered(index, "窓口の事例", Filters(prefectures=("沖縄県",)))
    assert (own.reason, own.citations) == ("filtered_out", ())
    assert "沖縄県" in own.answer.text


def test_an_index_folder_of_minutes_only_has_no_cases_to_filter(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.txt").write_text(MINUTES, encoding="utf-8")
    build(tmp_path / "documents", tmp_path / "index", FakeEncoder())
    assert ask(load_current(tmp_path / "index"), FakeEncoder(), "東北の会議の費用を見せて").answerable
