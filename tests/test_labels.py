"""Labels and their values, form by form, with the places of the values."""

from __future__ import annotations

import pytest

from corpus.labels import LABELS, labelled
from corpus.structure import split_blocks


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("| 人口 | 5.6万人 |\n| 担当部署 | 市民課 |", [("人口", "5.6万人"), ("担当部署", "市民課")]),
        (
            "| 団体名 | 青葉野市 | 人口 | 5万人 |\n| 担当部署 | 市民課 | 連絡先 | 0000-11-0001 |",
            [("団体名", "青葉野市"), ("人口", "5万人"), ("担当部署", "市民課"), ("連絡先", "0000-11-0001")],
        ),
        (
            "| 団体名 | 人口 | 分野 |\n|---|---|---|\n| **青葉野市** | 5万人 | 窓口 |",
            [("団体名", "青葉野市"), ("人口", "5万人")],
        ),
        (
            "人口\t5万人\n担当課\t市民課\n電話\t0000-11-0001",
            [("人口", "5万人"), ("担当課", "市民課"), ("電話", "0000-11-0001")],
        ),
        ("団体名：青葉野市\n人口：5万人", [("団体名", "青葉野市"), ("人口", "5万人")]),
        ("団体名：青葉野市　人口：5万人", [("団体名", "青葉野市"), ("人口", "5万人")]),
        ("・担当課　市民課", [("担当課", "市民課")]),
        ("【連絡先】 市民課", [("連絡先", "市民課")]),
        ("人口（令和6年4月1日現在）：9,874人", [("人口（令和6年4月1日現在）", "9,874人")]),
        ("| 人口 |  |\n| 事業費 | 5万円 |", []),
        ("人口は5万人です。", []),
        ("市民課の担当は三人です。", []),
    ],
)
def test_pairs_in_every_form(text, pairs):
    found = list(labelled(split_blocks(text)))
    assert [(pair.label, pair.value) for pair in found] == pairs
    assert all(text[pair.start : pair.end] == pair.value for pair in found)


@pytest.mark.parametrize(
    ("label", "what"),
    [
        ("団体名", {"organization"}),
        ("市町村名", {"organization"}),
        ("総人口（人）", {"population"}),
        ("担当部署", {"department"}),
        ("連絡先", {"department", "phone", "email"}),
        ("電話番号", {"phone"}),
        ("メールアドレス", {"email"}),
    ],
)
def test_what_a_label_asks_for(label, what):
    (pair,) = labelled(split_blocks(f"| {label} | 値 |"))
    assert {name for name in LABELS if pair.asks(name)} == what
