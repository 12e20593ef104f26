"""What a text states: every value by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.claims import Amount, Claim, Moment, claims, folded, readable


def values(text: str) -> list[tuple[str, object]]:
    return [(claim.kind, claim.value) for claim in claims(text)]


def number(value: str, unit: str = "", bound: str = "") -> tuple[str, object]:
    return "number", Amount(Decimal(value), unit, bound)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("年額800万円", [number("8000000", "円")]),
        ("８，０００千円", [number("8000000", "円")]),
        ("八百万円", [number("8000000", "円")]),
        ("1億2,000万円", [number("120000000", "円")]),
        ("3万5千人", [number("35000", "人")]),
        ("5名と3人", [number("5", "人"), number("3", "人")]),
        ("5～10人", [number("5", "人"), number("10", "人")]),
        ("3割5分", [number("35", "%")]),
        ("３５パーセント", [number("35", "%")]),
        ("▲2.5％", [number("-2.5", "%")]),
        ("5万人以上", [number("50000", "人", "以上")]),
        ("100件を超える", [number("100", "件", "超")]),
        ("三年間で四ヶ所", [number("3", "年"), number("4", "か所")]),
        ("3か月", [number("3", "か月")]),
        ("第３回", [number("3", "第回")]),
        ("3回目", [number("3", "第回")]),
        ("三分の一", [("number", Amount(Decimal(1), "/3"))]),
        ("1/3", [("number", Amount(Decimal(1), "/3"))]),
        ("4月下旬", [("date", Moment(month=4, part="下旬"))]),
        ("毎週火曜日", [("weekday", "火")]),
        ("「外の「内」側」", [("quotation", "外の「内」側")]),
        ("「閉じない。", [("quotation", "閉じない")]),
        ("“a b”", [("quotation", "ab")]),
        ("￥500", [number("500", "円")]),
        ("令和六年四月一日", [("date", Moment(2024, None, False, 4, 1))]),
        ("R6.4.1", [("date", Moment(2024, None, False, 4, 1))]),
        ("2024/04/01", [("date", Moment(2024, None, False, 4, 1))]),
        ("平成31年", [("date", Moment(2019))]),
        ("令和元年度", [("date", Moment(2019, None, True))]),
        ("6年度", [("date", Moment(None, 6, True))]),
        ("4月1日", [("date", Moment(month=4, day=1))]),
        ("午後5時15分", [("time", 17 * 60 + 15)]),
        ("17:15", [("time", 17 * 60 + 15)]),
        ("８時半", [("time", 8 * 60 + 30)]),
        ("２時間", [number("120", "分")]),
        ("1時間30分", [number("90", "分")]),
        ("月に一度", [number("1", "回")]),
        ("内線415番", [number("415", "")]),
        ("上限は500万円", [number("5000000", "円", "以下")]),
        ("少なくとも3社", [number("3", "社", "以上")]),
        ("20人に満たない", [number("20", "人", "未満")]),
        ("65歳から", [number("65", "歳", "以上")]),
        ("０２３－１２３－４５６７", [("code", "023-123-4567")]),
        ("(023)123-4567", [("code", "023-123-4567")]),
        ("dx＠City.Example.lg.jp", [("email", "dx@city.example.lg.jp")]),
        ("https://www.example.jp/a?b=1。", [("url", "https://www.example.jp/a?b=1")]),
        ("「書かない\n窓口」", [("quotation", "書かない窓口")]),
        ("kintoneを使う", [("name", "kintone")]),
        ("Windows11で", [("name", "windows11")]),
        ("一部の職員は十分に", []),
        ("数十人", [("name", "数十人")]),
        ("各課の担当課", []),
        ("青葉市", [("name", "青葉市")]),
        ("四日市市", [("name", "四日市市")]),
    ],
)
def test_values_in_every_spelling(text: str, expected: list[tuple[str, object]]) -> None:
    found = values(text)
    assert all(one in found for one in expected), found
    assert [one for one in found if one[0] != "name"] == [one for one in expected if one[0] != "name"]
    assert bool(found) == bool(expected)


def test_names_in_a_sentence() -> None:
    found = {
        claim.text
        for claim in claims("山形県酒田市デジタル推進課の佐藤氏が、LoGoフォームを富士通に頼んだ。")
        if claim.kind == "name"
    }
    assert {"山形県", "酒田市", "デジタル推進課", "佐藤", "LoGo", "富士通"} <= found


@given(st.text(max_size=200))
def test_any_text_is_read_and_claims_stand_where_they_say(text: str) -> None:
    plain = readable(text)
    for claim in claims(text):
        assert isinstance(claim, Claim)
        assert plain[claim.start : claim.end] == claim.text
    assert not any(c.isspace() for c in folded(text))
