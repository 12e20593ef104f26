"""Lists and tables in a text, told by the marks of their lines; every case was read by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.enumerations import runs


def items(text: str) -> list[list[str]]:
    return [[text[start:end] for start, end in run.items] for run in runs(text)]


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("約束\n・早く\n・安く\n", [["・早く", "・安く"]]),
        ("- 甲\n- 乙", [["- 甲", "- 乙"]]),
        ("1 始める\n2 やめる。理由も書く\n3 残す", [["1 始める", "2 やめる。理由も書く", "3 残す"]]),
        ("- ① 甲\n- ② 乙", [["- ① 甲", "- ② 乙"]]),
        ("(1) 甲\n（2）乙", [["(1) 甲", "（2）乙"]]),
        ("ア 甲\nイ 乙", [["ア 甲", "イ 乙"]]),
        ("・甲\n\n・乙", [["・甲", "・乙"]]),
        ("・甲\nつづき\n・乙", [["・甲\nつづき", "・乙"]]),  # a line that was broken
        ("・甲\n\n別の段落\n・乙\n・丙", [["・乙", "・丙"]]),
        ("・甲\nあとの行", []),  # one thing is no list
        ("1 甲\n2 乙\n1 丙\n2 丁", [["1 甲", "2 乙"], ["1 丙", "2 丁"]]),  # counted anew
        ("1 甲\n3 乙", []),  # not counted on
        ("- 甲\n  ・小\n  ・少\n- 乙", [["- 甲\n  ・小\n  ・少", "- 乙"], ["・小", "・少"]]),
        ("・甲\n※注", []),
        ("名\t数\n甲\t1\n乙\t2", [["名\t数", "甲\t1", "乙\t2"]]),
        ("| 名 | 数 |\n|---|---|\n| 甲 | 1 |\n| 乙 | 2 |", [["| 名 | 数 |", "| 甲 | 1 |", "| 乙 | 2 |"]]),
        (
            "| | |\n|---|---|\n| 名 | 数 |\n| 甲 | 1 |\n| 乙 | 2 |",
            [["| 名 | 数 |", "| 甲 | 1 |", "| 乙 | 2 |"]],
        ),
        ("名\t数\n甲\t1", []),  # a head and one row
        ("甲\t1\n乙\t2\n丙\t3\n\n丁\t4", [["甲\t1", "乙\t2", "丙\t3"]]),  # an empty line ends a table
        ("令和5年の話。\n2024年の話。", []),
        ("3.5倍になった\n4.5倍になった", []),
        ("", []),
    ],
)
def test_runs(text: str, listed: list[list[str]]) -> None:
    assert items(text) == listed


def test_the_head_of_a_table_is_none_of_its_things() -> None:
    (table,) = runs("名\t数\n甲\t1\n乙\t2")
    assert (table.head, len(table), table.start, table.end) == ((0, 3), 2, 0, 11)
    (plain,) = runs("・甲\n・乙")
    assert (plain.head, len(plain)) == (None, 2)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["・甲", "- 乙", "1 丙", "2 丁", "", "本文。", "名\t数", "| 表 |", "①戊", "|---|"]),
        max_size=15,
    )
)
def test_items_stand_in_order_and_do_not_overlap(lines: list[str]) -> None:
    text = "\n".join(lines)
    for run in runs(text):
        assert len(run) >= 2
        at = 0
        for start, end in run.items:
            assert at <= start < end <= len(text)
            assert text[start:end] == text[start:end].strip()
            at = end
