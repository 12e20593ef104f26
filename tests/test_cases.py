"""Cases: a made-up case book form by form, and the real one against values read from it by eye."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from corpus.cases import CaseBook, band_limits, find_cases
from corpus.documents import parse
from corpus.structure import split_blocks

DOCUMENTS = Path(__file__).parents[2] / "shared" / "documents"
EXPECTED = json.loads((Path(__file__).parent / "data" / "expected_cases.json").read_text(encoding="utf-8"))

CONTENTS = """\
みずほ県取組事例集【架空】

1. 取組事例集 目次

【凡例】
① : 人口1万人未満の団体
⑤ : 人口1万人以上5万人未満の団体
⑤⑩ : 人口5万人以上の団体
無し : 都道府県

① 窓口をやさしくする取組

| | | | | |
|---|---|---|---|---|
| 1 書かない窓口を始め、待ち時間を半分に | 【みずほ県青葉野市】 | ⑤⑩ | … | 3 |
| 2 移動窓口車で集落を巡回 | 【みずほ県霧ヶ沢村】 | ① | … | 5 |

② 知事（ＣＤＯ）のもとでの取組

3 知事（ＣＸＯ）のもと データを共有【みずほ県】 …… ８
"""
ONE = """\
1 書かない窓口を始め、待ち時間を半分に【みずほ県青葉野市】

事業の概要

転入の届を職員が聞き取って作る窓口を始めました。みずほ県人口：80.1万人のうち一部が使っています。

1 書かない窓口を始め、待ち時間を半分に【みずほ県青葉野市】

今後の展望を教えてください。

他の課にも広げます。

【参考情報】 青葉野市人口：9.6万人（令和6年2月29日現在）

関連URL：青葉野市の窓口（<https://www.city.aobano.example.jp/mado/index.html>）

【担当部署】 青葉野市市民部窓口課（電話：0000-11-0001、メール：mado@city.aobano.example.jp）
"""
TWO = """\
2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】

事業の概要

車で集落を回り、証明書を渡します。

2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】

担当部署

霧ヶ沢村住民課（戸籍係）

電話 0000-22-0002

メール juumin@vill.kirigasawa.example.jp

2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】

今後の展望を教えてください。

続けます。

☆担当：霧ヶ沢村 住民課☆
"""
THREE = """\
3 知事(CXO)のもとデータを共有【みずほ県】

事業の概要

県と市町村でデータの置き場所を一つにまとめました。
"""
BOOK = "\n".join([CONTENTS, ONE, TWO, THREE])


def book_of(text):
    return find_cases(text, split_blocks(text), "book.txt")


def one_case(body, organization="みずほ県青葉野市"):
    """The case that this body makes, in a book of two cases."""
    text = f"事例集\n\n1 書かない窓口を始める【{organization}】\n\n{body}\n\n2 移動窓口を始める【みずほ県霧ヶ沢村】\n\n本文です。\n"
    found = book_of(text)
    assert [case.number for case in found.cases] == [1, 2]
    return assert_spans(text, found).cases[0]


def assert_spans(text, book):
    for case in book.cases:
        assert 0 <= case.start < case.end <= len(text)
        for name, field in case.fields.items():
            assert text[field.start : field.end] == field.value, name
            in_case = case.start <= field.start and field.end <= case.end
            assert in_case or name in {"page_start", "category", "population_band"}, name
    for before, after in pairwise(book.cases):
        assert before.end <= after.start
    return book


def test_the_cases_of_a_book_and_all_they_say_of_themselves():
    book = assert_spans(BOOK, book_of(BOOK))
    one, two, three = book.cases
    assert (one.number, one.title) == (1, "書かない窓口を始め、待ち時間を半分に")
    assert (one.organization, one.prefecture, one.organization_kind) == ("みずほ県青葉野市", "みずほ県", "市")
    assert (one.population, one.population_as_of) == (96_000, "令和6年2月29日")
    assert (one.population_band, one.category) == ("5万人以上", "① 窓口をやさしくする取組")
    assert (one.page_start, one.page_end) == (3, 4)
    assert (one.department, one.phone) == ("青葉野市市民部窓口課", "0000-11-0001")
    assert one.email == "mado@city.aobano.example.jp"
    assert one.urls == ("https://www.city.aobano.example.jp/mado/index.html",)
    assert (two.population, two.population_as_of) == (None, None)
    assert (two.population_band, two.organization_kind) == ("1万人未満", "村")
    assert (two.page_start, two.page_end) == (5, 7)
    assert two.urls == ()
    assert (three.organization, three.prefecture, three.organization_kind) == ("みずほ県", "みずほ県", "県")
    assert (three.department, three.phone, three.email) == (None, None, None)
    assert book.warnings == ()


def test_a_case_goes_from_its_title_to_the_next_ones():
    one, two, three = book_of(BOOK).cases
    assert BOOK[one.start : two.start] == ONE + "\n"
    assert BOOK[two.start : three.start] == TWO + "\n"
    assert BOOK[three.start : three.end] == THREE
    assert (one.end, two.end) == (two.start, three.start)


def test_the_last_case_ends_where_the_next_part_of_the_book_begins():
    text = f"{BOOK}\n【2.人材確保】\n\n2. 人材確保 目次\n"
    assert text[book_of(text).cases[-1].end :].startswith("【2.人材確保】")


def test_width_and_spaces_may_differ_between_contents_and_title():
    three = book_of(BOOK).cases[2]
    assert three.title == "知事(CXO)のもとデータを共有"
    assert three.category == "② 知事（ＣＤＯ）のもとでの取組"
    assert (three.page_start, three.fields["page_start"].value) == (8, "８")


def test_pages_are_counted_by_the_repeated_titles():
    book = book_of(BOOK)
    assert book.page_at(BOOK.index("転入の届")) == 3
    assert book.page_at(BOOK.index("他の課にも")) == 4
    assert book.page_at(BOOK.index("霧ヶ沢村住民課（戸籍係）")) == 6
    assert book.page_at(BOOK.index("続けます")) == 7
    assert book.page_at(0) is None


def test_a_number_of_pages_that_contradicts_the_contents_is_told():
    book = book_of(BOOK.replace("…… ８", "…… ７"))
    assert (book.cases[1].page_start, book.cases[1].page_end) == (5, 6)  # never beyond the next case
    (warning,) = book.warnings
    assert warning.startswith("事例2のページ数")
    assert "7ページまで" in warning


def test_a_population_that_contradicts_its_band_is_told():
    book = book_of(BOOK.replace("人口：9.6万人", "人口：3.3万人"))
    assert [w for w in book.warnings if "33,000人" in w and "5万人以上" in w]


def test_without_contents_page_band_and_category_are_unknown():
    book = book_of("\n".join(["事例集\n", ONE, TWO, THREE]))
    assert [case.number for case in book.cases] == [1, 2, 3]
    for case in book.cases:
        assert (case.page_start, case.page_end, case.population_band, case.category) == (None,) * 4
        assert book.page_at(case.start) is None


def test_contents_lead_mark_of_full_width_digits_and_other_leaders():
    contents = "目次\n\n１ 書かない窓口を始める【みずほ県青葉野市】……１２\n２ 移動窓口を始める【みずほ県霧ヶ沢村】・・・・１４\n"
    body = "\n１ 書かない窓口を始める【みずほ県青葉野市】\n\n本文です。\n\n２ 移動窓口を始める【みずほ県霧ヶ沢村】\n\n本文です。\n"
    assert [(c.number, c.page_start) for c in book_of(contents + body).cases] == [(1, 12), (2, 14)]


# ---------------------------------------------------------------- examples

EXAMPLE = """\
事例集の構成

事例集は次のページで構成しています。

<事業概要>

2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】

見本の頁の本文は読み取りが誤っている。

担当部署 霧ヶ沢村住氏課 電話 9999-99-9999

【参考情報】 霧ヶ沢村人口：7.7万人（令和6年2月29日現在）

① 団体名・人口

- 団体名と人口を記載しています。

② 担当部署

- 担当部署を記載しています。
"""


def test_an_example_before_the_first_case_is_not_the_case():
    text = "\n".join([CONTENTS, EXAMPLE, ONE, TWO, THREE])
    book = assert_spans(text, book_of(text))
    assert [case.number for case in book.cases] == [1, 2, 3]
    assert book.cases[1].start == text.rindex(TWO)
    assert (book.cases[1].population, book.cases[1].phone) == (None, "0000-22-0002")
    assert [case.page_start for case in book.cases] == [3, 5, 8]
    ((start, end),) = book.examples
    assert text[start:].startswith("<事業概要>")
    assert text[end:].startswith("① 団体名・人口")
    assert all(not start <= title < end for title, _ in book.title_lines)


def test_an_example_of_the_first_case_is_not_the_case():
    example = EXAMPLE.replace(
        "2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】",
        "1 書かない窓口を始め、待ち時間を半分に【みずほ県青葉野市】",
    )
    text = "\n".join([CONTENTS, example, ONE, TWO, THREE])
    book = book_of(text)
    assert book.cases[0].page_start == 3
    assert book.cases[0].population == 96_000
    assert book.cases[0].phone == "0000-11-0001"
    assert book.case_at(text.index("団体名と人口を記載")) is None


# ---------------------------------------------------------------- contact


@pytest.mark.parametrize(
    ("body", "department", "phone", "email"),
    [
        (
            "【担当部署】 窓口課（電話：000-111-2222、メール：a.b@example.jp）",
            "窓口課",
            "000-111-2222",
            "a.b@example.jp",
        ),
        (
            "担当部署 窓口課 電話 000-111-2222 メール a@example.jp",
            "窓口課",
            "000-111-2222",
            "a@example.jp",
        ),
        (
            "担当部署\n\n窓口課（市民係）\n\n電話 000-111-2222\n\nメール a@example.jp",
            "窓口課（市民係）",
            "000-111-2222",
            "a@example.jp",
        ),
        ("本文です。\n\n☆担当：青葉野市 窓口課☆", "青葉野市 窓口課", None, None),
        (
            "【お問い合わせ先】 窓口課（TEL：０００－１１１－２２２２）",
            "窓口課",
            "０００－１１１－２２２２",
            None,
        ),
        ("問合せ先：窓口課 ℡ 000-111-2222(内線12)", "窓口課", "000-111-2222(内線12)", None),
        ("窓口の課が担当部署の意見を聞いて決めます。", None, None, None),
        ("本文です。", None, None, None),
        ("| 担当部署 | 窓口課 |\n| 電話番号 | 000-111-2222 |", "窓口課", "000-111-2222", None),
        ("| 担当部署 | 窓口課 | 連絡先 | 000(111)2222 |", "窓口課", "000(111)2222", None),
        ("連絡先：000-111-2222", None, "000-111-2222", None),
        (
            "窓口システムの会社（電話：999-999-9999）と組みました。\n\n【担当部署】 窓口課（電話：000-111-2222）",
            "窓口課",
            "000-111-2222",
            None,
        ),
        (
            "【担当部署】 窓口課（電話：000-111-2222）\n\n☆担当：別の課☆",
            "窓口課",
            "000-111-2222",
            None,
        ),
    ],
)
def test_contact_in_every_form(body, department, phone, email):
    case = one_case(body)
    assert (case.department, case.phone, case.email) == (department, phone, email)


# ---------------------------------------------------------------- population


@pytest.mark.parametrize(
    ("line", "population", "as_of"),
    [
        ("【参考情報】 青葉野市人口：9.6万人（令和6年2月29日現在）", 96_000, "令和6年2月29日"),
        ("【参考情報】 青葉野市人口：5千人（令和6年1月1日時点）", 5_000, "令和6年1月1日"),
        ("【参考情報】 青葉野市人口：96,123人", 96_123, None),
        ("【参考情報】 青葉野市人口：０．５万人（令和５年１月１日現在）", 5_000, "令和５年１月１日"),
        ("【参考情報】 青葉野市人口 約375.4万人", 3_754_000, None),
        ("【参考情報】 みずほ県青葉野市人口：9.6万人", 96_000, None),
        ("【参考情報】 人口:0.3万人、関連URL: https://example.jp/", 3_000, None),
        ("人口：9.6万人", 96_000, None),
        ("| 人口 | 5万7,330人 |", 57_330, None),
        ("人口：5万7,330人", 57_330, None),
        ("人口：12 340人", None, None),
        ("| 人口（令和6年4月1日現在） | 9,874人 |", 9_874, "令和6年4月1日"),
        ("| 人口（千人） | 48.2 |", 48_200, None),
        ("| 人口 | 65歳以上は3割 |", None, None),
        ("【参考情報】 みずほ県人口：80.1万人", None, None),
        ("【参考情報】 霧ヶ沢村人口：0.3万人", None, None),
        ("隣の朝霧町人口：3.3万人", None, None),
        ("これは人口10万人の団体に向いた取組です。", None, None),
        ("【参考情報】 受賞歴等：なし", None, None),
    ],
)
def test_population_in_every_form(line, population, as_of):
    case = one_case(line)
    assert (case.population, case.population_as_of) == (population, as_of)
    assert ("population" in case.fields) == (population is not None)


@pytest.mark.parametrize(
    "organization", ["青葉広域行政組合", "みずほ県青葉広域行政組合", "みずほ県青葉野市ほか"]
)
def test_a_population_is_not_that_of_a_body_of_another_name(organization):
    assert one_case("【参考情報】 みずほ県人口：80.1万人", organization).population is None
    assert one_case("【参考情報】 霧ヶ沢村人口：0.3万人", organization).population is None


@pytest.mark.parametrize(
    ("band", "limits"),
    [
        ("1万人未満", (0, 10_000)),
        ("5万人以上10万人未満", (50_000, 100_000)),
        ("３０万人以上の団体・都道府県", (300_000, 10**10)),
        ("5千人以上1万人未満", (5_000, 10_000)),
        ("500人未満", (0, 500)),
        (",,,,人以上..万人未満", (0, 10**10)),
    ],
)
def test_the_limits_of_a_band(band, limits):
    assert band_limits(band) == limits


# ---------------------------------------------------------------- titles and what only looks like them


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("1 窓口の改善を始める【みずほ県青葉野市】", "窓口の改善を始める"),
        ("**1 窓口の改善を始める【みずほ県青葉野市】**", "窓口の改善を始める"),
        ("1 窓口の**改善**を始める【みずほ県青葉野市】", "窓口の改善を始める"),
        ("1 窓口の改善を始める【**みずほ県**青葉野市】", "窓口の改善を始める"),
        ("1 窓口の改善を始める【 みずほ県青葉野市 】", "窓口の改善を始める"),
        ("## 1 窓口の改善を始める【みずほ県青葉野市】", "窓口の改善を始める"),
        ("１．窓口の改善を始める 【みずほ県青葉野市】", "窓口の改善を始める"),
        ("事例1 窓口の改善を始める【みずほ県青葉野市】", "窓口の改善を始める"),
        ("New 1 窓口の改善を始める【みずほ県青葉野市】⑤⑩", "窓口の改善を始める"),
    ],
)
def test_forms_of_a_title_line(line, title):
    text = f"事例集\n\n{line}\n\n本文です。\n\n2 移動窓口を始める【みずほ県霧ヶ沢村】\n\n本文です。\n"
    case = assert_spans(text, book_of(text)).cases[0]
    assert (case.number, case.title, case.organization) == (1, title, "みずほ県青葉野市")


@pytest.mark.parametrize(
    "text",
    [
        "計画\n\n1 目的\n\n本文です。\n\n2 方針\n\n本文です。\n",
        "手引き\n\n1 計画の案を作る【都道府県】\n\n本文です。\n\n2 申請を受け付ける【市町村】\n\n本文です。\n",
        "手引き\n\n1 様式を使う【別紙】\n\n本文です。\n\n2 様式を出す【様式第2号】\n\n本文です。\n",
        "講演\n\n3 全庁で進める体制【みずほ県青葉野市】\n\nほかの町の事例を一つだけ示します。\n",
        "本文だけの文書です。",
    ],
)
def test_other_documents_have_no_cases(text):
    assert book_of(text) == CaseBook()


def test_ids_depend_on_document_number_and_organization_only():
    again = BOOK.replace("待ち時間を半分に", "待ち時間を三分の一に")
    ids = [case.id for case in book_of(BOOK).cases]
    assert [case.id for case in book_of(again).cases] == ids
    assert len(set(ids)) == 3
    assert find_cases(BOOK, split_blocks(BOOK), "other.txt").cases[0].id not in ids


# ---------------------------------------------------------------- titles in other forms, fields in tables


def other_book(one, two, fields=("", "")):
    """Two cases under titles of these forms, with what stands right below each."""
    parts = [
        f"{title}\n\n{field}\n\n取組の内容\n\n職員が聞き取って書類を作ります。待つ時間が短くなりました。\n"
        for title, field in zip((one, two), fields, strict=True)
    ]
    text = (
        "取組の事例集\n\nはじめに\n\nこの冊子は、会員の団体から集めた取組をまとめたものです。参考にしてください。\n\n"
        + "\n".join(parts)
    )
    return assert_spans(text, book_of(text))


@pytest.mark.parametrize(
    "form",
    [
        "事例{n}　{title}（{name}）",
        "事例{n}：{title}({name})",
        "## 事例{n} {title}（{name}）",
        "【事例{n}】{title}（{name}）",
        "{n}. {title}（{name}）",
        "## {n} {title}（{name}）",
    ],
)
def test_titles_with_the_organization_in_round_brackets(form):
    names = ("みずほ県青葉野市", "青葉広域連合")
    titles = [
        form.format(n=n, title=title, name=name)
        for n, title, name in zip((1, 2), ("窓口を改める", "電算を分け合う"), names, strict=True)
    ]
    found = [(case.number, case.title, case.organization) for case in other_book(*titles).cases]
    assert found == [(1, "窓口を改める", names[0]), (2, "電算を分け合う", names[1])]


TABLES = (
    "| 団体名 | みずほ県青葉野市 |\n| 人口 | 4万8,213人 |\n| 担当部署 | 総務部情報課 |\n| 連絡先 | 0000-11-0001 |\n| メール | a@example.jp |",
    "自治体名：つくし県小石原村\n人口（令和6年4月1日現在）：2,315人\n担当課：住民課\n電話番号：0000-22-0002",
)


def test_titles_with_the_organization_below_and_fields_in_tables_and_lines():
    book = other_book("事例1　窓口を改める", "事例2　車で回る", TABLES)
    one, two = book.cases
    assert (one.organization, one.prefecture, one.population) == ("みずほ県青葉野市", "みずほ県", 48_213)
    assert (one.department, one.phone, one.email) == ("総務部情報課", "0000-11-0001", "a@example.jp")
    assert (two.organization, two.population, two.population_as_of) == (
        "つくし県小石原村",
        2_315,
        "令和6年4月1日",
    )
    assert (two.department, two.phone, two.email) == ("住民課", "0000-22-0002", None)


def test_a_table_gives_the_prefecture_that_the_title_leaves_out():
    book = other_book("事例①　窓口を改める（青葉野市）", "事例②　車で回る（小石原村）", TABLES)
    assert [(case.number, case.organization) for case in book.cases] == [
        (1, "みずほ県青葉野市"),
        (2, "つくし県小石原村"),
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("1. 窓口を改める（本市）", "2. 車で回る（各町）"),
        ("1. 窓口を改める（青葉野市）", "2. 車で回る（青葉野市）"),  # a plan of one town
        ("1. 窓口を改める（市町村）", "2. 車で回る（総務課）"),
        ("1. 窓口を改める（中央地区）", "2. 車で回る（第2市）"),
        ("1. 窓口を改める（青葉野市）", "2. 車で回る"),
        ("事例1　窓口を改める", "事例2　車で回る"),
        ("1. 開会", "2. 説明（青葉野市）"),
    ],
)
def test_headings_that_only_look_like_titles(one, two):
    assert other_book(one, two).cases == ()


def test_an_agenda_of_speakers_has_no_cases():
    parts = ("1. 開会", "2. 県の説明（みずほ県）", "3. 市の報告（青葉野市）", "4. 町の報告（月見坂町）")
    body = "職員が聞き取って書類を作ります。待つ時間が短くなりました。"
    assert book_of("会議の記録\n\n" + "".join(f"{part}\n\n{body}\n\n" for part in parts)).cases == ()


def test_a_list_of_titles_before_the_cases_is_no_case():
    rows = "事例1　窓口を改める（青葉野市）\n\n事例2　車で回る（小石原村）\n\n"
    body = "取組の内容\n\n職員が聞き取って書類を作ります。待つ時間が短くなりました。\n\n"
    text = (
        "取組の一覧\n\n"
        + rows
        + "本文\n\n"
        + "".join(f"{row}\n\n{body}" for row in rows.split("\n\n") if row)
    )
    found = book_of(text)
    assert [(case.number, text.count("取組の内容", case.start, case.end)) for case in found.cases] == [
        (1, 1),
        (2, 1),
    ]


def test_the_last_case_ends_at_the_next_heading_of_its_level():
    text = "# 事例集\n\n## 事例1 窓口を改める（青葉野市）\n\n### 効果\n\n手続に要する時間が半分に短くなりました。\n\n## 事例2 車で回る（小石原村）\n\n### 効果\n\n遠い集落でも証明書を受け取れるようになりました。\n\n## おわりに\n\n次の冊子は来年に出します。\n"
    assert book_of(text).cases[-1].end == text.index("## おわりに")


def test_the_last_case_ends_at_a_heading_of_its_form_that_no_other_case_has():
    body = "■背景\n職員が聞き取って書類を作ります。\n\n■費用\n待つ時間が短くなりました。\n\n■効果\n便利になりました。\n\n"
    titles = ("事例1　窓口を改める（青葉野市）", "事例2　車で回る（小石原村）")
    text = (
        "事例集\n\n"
        + "".join(f"{title}\n\n{body}" for title in titles)
        + "参考資料\n\n言葉の意味を次に示します。窓口とは、市役所の受付のことです。\n"
    )
    assert book_of(text).cases[-1].end == text.index("参考資料")


# ---------------------------------------------------------------- the real document

CATEGORIES = (
    "① 県が中心となって管内市町村とともにDXを推進する体制の整備",
    "② 若手や現場の職員の声をDX推進に取り入れる体制の整備",
    "③ 外部デジタル人材の知見を積極的に取り入れながらDXを推進する体制の整備",
    "④ 住民目線でのデザイン思考や職員の働き方改革に着目した全庁的な体制の整備",
)
real = pytest.mark.skipif(not DOCUMENTS.is_dir(), reason=f"no real documents at {DOCUMENTS}")


@pytest.fixture(scope="module")
def real_book():
    (path,) = DOCUMENTS.glob("000_*.txt")
    return parse(path.name, path.read_bytes())


@real
@pytest.mark.parametrize("place", range(13))
def test_the_real_case_book(real_book, place):
    case, expected = real_book.cases[place], EXPECTED[place]
    found = {name: getattr(case, name) for name in expected}
    found["urls"] = list(found["urls"])
    assert case.category in CATEGORIES
    found["category"] = case.category.split()[0]
    assert found == expected


@real
def test_the_real_case_book_as_a_whole(real_book):
    text = real_book.document.text
    assert len(real_book.cases) == len(EXPECTED) == 13
    for case in real_book.cases:
        assert text[case.start :].startswith(f"{case.number} {case.title}【{case.organization}】")
        for name, field in case.fields.items():
            assert text[field.start : field.end] == field.value, name
    assert real_book.document.pages == 37


@real
@pytest.mark.parametrize("name", ["001", "003", "004"])
def test_the_other_real_documents_have_no_cases(name):
    (path,) = DOCUMENTS.glob(f"{name}_*.txt")
    assert parse(path.name, path.read_bytes()).cases == ()


OFFICE_BOOK = """1 電話の受付をまとめた例【つくし県若草市】

事業の概要

- 相談は受付センター（電話 0000-77-0000）で受けています。

{population}

{contact}

2 車で回る例【つくし県小石原村】

事業の概要

- 車が集落を回ります。
"""


@pytest.mark.parametrize(
    ("words", "persons"),
    [
        ("【参考情報】 若草市人口：9万6千人（令和7年1月1日現在）", 96_000),
        ("【参考情報】 若草市の人口：9.6万人（令和7年1月1日現在）", 96_000),
        ("【参考情報】 若草市人口：96,012人", 96_012),
        ("【参考情報】 つくし県人口：80万人", None),
    ],
)
def test_populations_in_other_words(words: str, persons: int | None) -> None:
    text = OFFICE_BOOK.format(population=words, contact="")
    case = find_cases(text, split_blocks(text), "a.txt").cases[0]
    assert case.population == persons
    if persons is not None:
        field = case.fields["population"]
        assert text[field.start : field.end] == field.value
        assert field.value.endswith("人")


def test_a_number_in_the_running_text_is_not_the_offices_own() -> None:
    text = OFFICE_BOOK.format(population="", contact="")
    assert find_cases(text, split_blocks(text), "a.txt").cases[0].phone is None
    text = OFFICE_BOOK.format(population="", contact="【担当部署】 窓口課（ＴＥＬ：0000-11-2222）")
    assert find_cases(text, split_blocks(text), "a.txt").cases[0].phone == "0000-11-2222"


def test_a_misread_page_number_makes_no_example() -> None:
    rows = "| 1 電話の受付をまとめた例 | 【つくし県若草市】 | … | 3 |\n| 2 車で回る例 | 【つくし県小石原村】 | … | 4 |"
    title = "1 電話の受付をまとめた例【つくし県若草市】"
    text = (
        f"事例集\n\n目次\n\n{rows}\n\n{title}\n\n事業効果\n\n- 待つ時間が短くなりました。\n\n"
        + OFFICE_BOOK.format(population="", contact="")
    )
    found = find_cases(text, split_blocks(text), "a.txt")
    assert found.examples == ()
    assert "待つ時間が短く" in text[found.cases[0].start : found.cases[0].end]
