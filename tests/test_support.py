"""Whether passages bear out a sentence: each case by hand."""

from __future__ import annotations

import pytest

from build_index import SAMPLES
from corpus.text import sentence_spans
from qa.support import Evidence, unsupported

SAKATA = Evidence(
    "昨年度の予算は300万円、今年度の予算は500万円です。利用者は５人以上で、令和６年４月１日に始めました。\n"
    "受付は月～金の午後５時１５分まで。4月下旬に「窓口の「今」を知る」会を開き、3分の1が来た。電話は023-123-4567。「書かない\n窓口」と呼んでいます。\n"
    "| 区分 | 人口（人） |\n| 合計 | 96,000 |\n| うち65歳以上 | 31,000 |\n単位：千円\n| 委託料 | 8,000 |",
    ("山形県酒田市", "デジタル変革戦略室"),
)
TSURUOKA = Evidence("鶴岡市の予算は700万円で、2025年に始めた。担当は佐藤氏です。", ("山形県鶴岡市",))


@pytest.mark.parametrize(
    "sentence",
    [
        "今年度の予算は500万円です。",
        "今年度の予算は5,000千円です。",
        "予算は、昨年度が三百万円、今年度が五百万円です。",
        "2024年4月1日に始めました。",
        "4月に始めました。",
        "利用者は5名以上です。",
        "受付は17:15までです。",
        "「書かない窓口」と呼んでいます。",
        "酒田市の人口は96,000人です。",
        "委託料は800万円です。",
        "酒田市のデジタル変革戦略室が担当です。",
        "電話は（023）123-4567です。",
        "鶴岡市の予算は700万円です。",
        "酒田市は500万円、鶴岡市は700万円です。",
        "すばらしい取組です。",
        "受付は金曜日までです。",
        "4月下旬に「窓口の「今」を知る」会を開き、1/3が来た。",
        "4月に会を開きました。",
    ],
)
def test_borne_out(sentence: str) -> None:
    assert unsupported(sentence, [SAKATA, TSURUOKA]) == []


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("今年度の予算は800万円です。", "800万円"),
        ("今年度の予算は300万円です。", "300万円"),
        ("予算は500億円です。", "500億円"),
        ("利用者は5人です。", "5人"),
        ("利用者は5人未満です。", "5人未満"),
        ("利用者は5件です。", "5件"),
        ("令和5年4月1日に始めました。", "令和5年4月1日"),
        ("2024年度に始めました。", "2024年度"),
        ("受付は午前5時15分までです。", "午前5時15分"),
        ("「書く窓口」と呼んでいます。", "「書く窓口」"),
        ("「書かない窓口です」と呼んでいます。", "「書かない窓口です」"),
        ("電話は023-123-4568です。", "023-123-4568"),
        ("dx@example.jp に連絡します。", "dx@example.jp"),
        ("酒田市の予算は700万円です。", "700万円"),
        ("鶴岡市の予算は500万円です。", "500万円"),
        ("山形市の取組です。", "山形市"),
        ("担当は鈴木氏です。", "鈴木"),
        ("Slackを使います。", "Slack"),
        ("酒田市の佐々木さんです。", "佐々木"),
        ("受付は土曜日もします。", "土曜日"),
        ("4月上旬に会を開きました。", "4月上旬"),
        ("「窓口の「昔」を知る」会です。", "「窓口の「昔」を知る」"),
        ("「窓口を知らない。", "「窓口を知らない。"),
        ("2/3が来ました。", "2/3"),
        ("利用者は5,000,000でした。", "5,000,000"),
    ],
)
def test_not_borne_out(sentence: str, wrong: str) -> None:
    assert wrong in [claim.text for claim in unsupported(sentence, [SAKATA, TSURUOKA])]


def test_only_what_is_cited_bears_out() -> None:
    assert unsupported("鶴岡市の予算は700万円です。", [SAKATA]) != []
    assert unsupported("予算は700万円です。", []) != []


def test_what_a_passage_says_itself_is_borne_out_by_it() -> None:
    count = 0
    for sample in sorted(SAMPLES.iterdir()):
        text = sample.read_text(encoding="utf-8-sig")
        for place in range(0, len(text), 400):
            passage = text[place : place + 400]
            for start, end in sentence_spans(passage):
                count += 1
                assert unsupported(passage[start:end], [Evidence(passage)]) == [], passage[start:end]
    assert count > 900


@pytest.mark.parametrize(
    ("passage", "sentence", "wrong"),
    [
        ("窓口の職員は3人である。", "窓口の職員は二人です。", "2人"),
        ("締切は6月30日である。", "締切は6月30日（土）です。", "(土"),
        ("定員は112人です。", "定員は「12人」です。", "「12人」"),
        ("申請は2,400件です。", "申請は「400件」です。", "「400件」"),
        ("防災の話です。", "小国町が導入しました。", "小国町"),
        ("防災の話です。", "みどり市が導入しました。", "みどり市"),
        ("若葉町の防災の話です。", "担当は渚市です。", "渚市"),  # in no list of municipalities
        ("若葉町の防災の話です。", "相談会はみなと町で開きます。", "みなと町"),
        ("若葉町の防災の話です。", "渚町役場が担当します。", "渚町"),
        ("窓口はsecurity@city.example.jpです。", "ITを使います。", "IT"),
        ("6月30日までです。", "6月30日から受け付けます。", "6月30日"),
        ("担当課に聞きます。", "行政課に聞きます。", "行政課"),
        ("委託先は株式会社アイネスです。", "委託先は株式会社みらいです。", "株式会社みらい"),
        ("受付は午後1時から3時まで。", "受付は13時から3時までです。", "3時"),
        ("研修は1時間です。", "研修は1時間半です。", "1時間半"),
        ("職員は12人です。", "作業は12人月です。", "12人月"),
        ("職員は2人です。", "窓口は2つです。", "2つ"),
        ("令和6年4月1日に始めた。", "来年度に始めます。", "来年度"),
        ("費用は300円です。", "費用は無料です。", "無料"),
        ("費用は3万円です。", "費用は金壱百万円です。", "100万円"),
        ("市は会議を開いた。", "市は〈職員全員を解雇する〉としました。", "〈職員全員を解雇する〉"),
        ("広域DX推進会議", "広域総務課推進会議です。", "広域総務課"),
    ],
)
def test_what_an_attacker_got_through_before(passage: str, sentence: str, wrong: str) -> None:
    assert wrong in [claim.text for claim in unsupported(sentence, [Evidence(passage)])]


@pytest.mark.parametrize(
    ("passage", "sentence"),
    [
        ("平日：8:30～17:15", "平日は8時30分から17時15分までです。"),
        (
            "若葉町が県内の自治体と始めた。",
            "若葉町は、近隣市や構成市町村、小規模村と協力し、当町の取組を始めました。",
        ),
        ("会場は渚町の公民館です。", "渚町の公民館で開きます。"),
        (
            "令和4年度の申請件数は1,200件、令和5年度は1,850件、令和6年度は2,400件であった。",
            "令和5年度の申請件数は1,850件です。",
        ),
        ("4/1(月)に稼働。", "4月1日に稼働しました。"),
        ("職員一人当たり月3時間です。", "職員1人当たり月3時間です。"),
        ("午後1時から3時まで。", "13時から15時までです。"),
        ("上限は500万円以内です。", "上限は500万円以下です。"),
        ("研修は1時間半です。", "研修は1.5時間です。"),
        ("窓口は2か所です。", "窓口は二つです。"),
        ("取組は二つある。", "第一に、取組は一つ目から始まります。"),
    ],
)
def test_what_was_true_and_refused_before(passage: str, sentence: str) -> None:
    assert unsupported(sentence, [Evidence(passage)]) == []


def test_a_passage_about_a_municipality_comes_before_one_that_names_it() -> None:
    sakata = Evidence("職員は12人、事業費は500万円です。", ("山形県酒田市",))
    tsuruoka = Evidence("事業費は1,200万円です。酒田市の取組を参考にした。", ("山形県鶴岡市",))
    assert unsupported("酒田市の事業費は500万円です。", [sakata, tsuruoka]) == []
    assert unsupported("酒田市の事業費は1,200万円です。", [sakata, tsuruoka]) != []


TABLE = Evidence(
    "（単位：千円）\n| 事業 | 予算額 | 決算額 |\n| --- | --- | --- |\n| 書かない窓口 | 8,000 | 7,540 |\n| 電子申請 | 3,200 | 2,980 |"
)


@pytest.mark.parametrize(
    ("sentence", "right"),
    [
        ("電子申請の予算額は3,200千円です。", True),
        ("電子申請の決算額は298万円です。", True),
        ("書かない窓口の予算額は800万円、決算額は754万円です。", True),
        ("電子申請の予算額は2,980千円です。", False),
        ("書かない窓口の決算額は8,000千円です。", False),
        ("書かない窓口の予算額は3,200千円です。", False),
    ],
)
def test_the_columns_of_a_table_have_the_words_at_their_head(sentence: str, right: bool) -> None:
    assert (unsupported(sentence, [TABLE]) == []) == right
