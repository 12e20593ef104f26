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
