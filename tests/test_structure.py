"""Blocks of a text: headings form by form, lists and tables, and what is furniture of the page."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.records import Mark
from corpus.structure import WIDGETS, is_deck, rank, split_blocks, split_lines

BODY = (
    "住民が窓口で書く用紙をなくし、職員が聞き取って手続を進めるようにしました。待つ時間は半分になりました。"
)


def block_with(text, words):
    """The one block whose first line holds these words."""
    (found,) = [block for block in split_blocks(text) if words in block.lines[0].text]
    return found


# ---------------------------------------------------------------- lines and blocks


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["", " ", "　", "# 見出し", "- 項目", "| 列 | 列 |", BODY, "■目的", "a\tb\tc", "… 3", "（県）"]
        ),
        max_size=40,
    )
)
def test_blocks_are_spans_in_order_and_hold_every_line_with_words(lines):
    text = "\n".join(lines)
    blocks = split_blocks(text)
    held = [line.number for block in blocks for line in block.lines]
    assert held == [number for number, line in enumerate(lines) if line.strip()]
    for block in blocks:
        assert (block.start, block.end) == (block.lines[0].start, block.lines[-1].end)
        assert all(text[line.start : line.end] == line.text for line in block.lines)
        assert block.searched == (not block.why)
    for before, after in pairwise(blocks):
        assert before.end < after.start
        assert before.gap_after == after.gap == text.count("\n", before.end, after.start) - 1


def test_lines_have_their_offsets():
    assert [(line.number, line.start, line.end) for line in split_lines("一\n\n三")] == [
        (0, 0, 1),
        (1, 2, 2),
        (2, 3, 4),
    ]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("- 一つ目\n- 二つ目\n  続きの行\n", ["list"]),
        ("・一つ目\n※注意\n① 二つ目", ["list"]),
        ("| 列 | 列 |\n|---|---|\n| 値 | 値 |", ["table"]),
        ("区分\t件数\n図書\t49\n水道\t10", ["table"]),
        ("前の文章です。\n- 項目\n| 列 | 列 |", ["paragraph", "list", "table"]),
        ("【担当部署】 窓口課（電話：000-000-0000）", ["label"]),
        ("関連URL：https://example.jp/", ["label"]),
        ("担当部署 窓口課", ["label"]),
        (f"{BODY}\n続きの行です。", ["paragraph"]),
    ],
)
def test_kinds_of_blocks(text, kinds):
    assert [block.kind for block in split_blocks(text)] == kinds


# ---------------------------------------------------------------- headings


AGENDA = f"""会議の次第

{BODY}

１　開会

２　本部長あいさつ

３　議題
（１）手続のオンライン化について
　　　事務局が説明した。

４　報告

（１）標準化について

　　　事務局が説明した。

５　閉会
"""


def test_numbered_lines_with_nothing_under_them_are_items_and_the_others_head_what_follows():
    forms = {block.lines[0].text: (block.kind, block.form) for block in split_blocks(AGENDA)}
    assert forms["１　開会"] == forms["２　本部長あいさつ"] == forms["５　閉会"] == ("list", "numbered")
    assert forms["３　議題"] == forms["４　報告"] == ("heading", "numbered")


@pytest.mark.parametrize(
    "text",
    [
        f"1 概要\n\n{BODY}\n\n9 別の題\n\n1 経緯\n\n{BODY}",  # no sibling: a heading of its own
        f"1 概要\n\n2 体制\n\n{BODY}\n\n1 概要\n\n{BODY}\n\n2 体制\n\n{BODY}",  # announced: contents
    ],
)
def test_a_numbered_heading_alone_or_announced_is_no_item(text):
    assert [block.lines[0].text for block in split_blocks(text) if block.kind == "list"] == []


def test_a_numbered_first_line_heads_a_block_only_where_the_numbers_go_on():
    text = f"1 概要\n\n{BODY}\n\n2 月1日から\n開く。\n\n3 体制\n副市長の下に置く。\n\n2 費用\n県の補助を使う。\n\n3 体制\n4 費用\n"
    headings = [block.text for block in split_blocks(text) if block.kind == "heading"]
    assert headings == ["1 概要", "2 費用"]


def test_marked_lines_one_under_the_other_are_a_list():
    text = f"■ねらい\n\n■書かない窓口\n■オンライン申請\n\n■ 費用 1,320万円\n\n■体制\n\n{BODY}"
    found = [(block.kind, block.text) for block in split_blocks(text)]
    assert found == [
        ("heading", "■ねらい"),
        ("list", "■書かない窓口"),
        ("list", "■オンライン申請"),
        ("list", "■ 費用 1,320万円"),
        ("heading", "■体制"),
        ("paragraph", BODY),
    ]


def test_items_in_brackets_head_no_other_item():
    text = f"第2条　次の者とする。\n\n（1）課長\n\n（2）係長\n\n附　則\n\n{BODY}\n\n（1）方法\n\n{BODY}"
    forms = [(block.text, block.form) for block in split_blocks(text) if block.kind == "heading"]
    assert forms == [("附　則", "plain"), ("（1）方法", "numbered item")]


def test_what_somebody_asks_in_minutes_is_no_heading():
    text = f"会議の記録\n\n石田委員：利用はどうですか。\n\n事務局：{BODY}\n\n佐伯委員　件数は何件ですか。\n\n{BODY}\n\n質問：利用はどうですか。\n\n{BODY}"
    headings = [block.text for block in split_blocks(text) if block.form == "question"]
    assert headings == ["質問：利用はどうですか。"]


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("# 計画の全体", "styled"),
        ("### 3.1 方針 ###", "styled"),
        ("第3章 推進体制", "chapter"),
        ("第２節　方針", "chapter"),
        ("Ⅱ 現状", "chapter"),
        ("2. ありたい姿", "numbered"),
        ("1.2 現状と課題", "numbered"),
        ("３．ありたい姿", "numbered"),
        ("（3）進める方法", "numbered item"),
        ("一、町民のために", "numbered item"),
        ("① 窓口の改善", "numbered item"),
        ("■広域連携の必要性", "marked"),
        ("◆ねらい", "marked"),
        ("【推進体制の全体像】", "bracketed"),
        ("＜先進地の視察＞", "bracketed"),
        ("[体制の図]", "bracketed"),
        ("（システム標準化支援）", "parenthesised"),
        ("(みずほ県)", "parenthesised"),
        ("今後の展望を教えてください。", "question"),
        ("取組にコストはかかりましたか。", "question"),
        ("費用はいくらですか？また、国の支援策は使いましたか？", "question"),
        ("Q1 費用はいくらですか", "question"),
        ("問2　受付の時間を教えてほしい", "question"),
        ("事業の概要", "plain"),
        ("**事業の概要**", "plain"),
        ("事業効果（令和5年度）", "plain"),
    ],
)
def test_headings_of_each_form(line, form):
    block = block_with(f"文書の題\n\n{BODY}\n\n{line}\n\n{BODY}\n", line)
    assert (block.kind, block.form) == ("heading", form)


@pytest.mark.parametrize(
    "line",
    [
        "この文は句点で終わる。",
        "文の途中で読点、があるもの",
        "令和6年4月24日",
        "2023年9月12日（火）",
        "窓口課 000-111-2222",
        "https://www.example.jp/",
        "mado@example.jp",
        "・一つ目の項目",
        "※注意すること",
        "人を増やすのではなく今いる職員の時間を生み出す必要がある",
        "【担当部署】 窓口課",
        "A1",
        "→ 効果",
    ],
)
def test_what_is_no_heading(line):
    block = block_with(f"文書の題\n\n{BODY}\n\n{line}\n\n{BODY}\n", line)
    assert block.kind != "heading"


def test_a_short_line_with_nothing_under_it_is_no_heading():
    assert block_with(f"文書の題\n\n{BODY}\n\n事業の概要\n", "事業の概要").kind == "paragraph"
    assert block_with(f"文書の題\n\n{BODY}\n\n（写真）\n\n# 次の章\n\n{BODY}", "写真").kind == "paragraph"


def test_a_question_answered_by_a_list_or_a_heading_is_a_heading():
    assert block_with(f"題\n\n{BODY}\n\n費用は？\n\n- 月に8千円", "費用は").form == "question"
    assert block_with("題\n\n費用は？\n\n期間は？\n\n効果は？", "費用は").kind == "paragraph"


def test_what_a_speaker_asks_is_no_heading():
    text = f"題\n\n■費用\n\n(青葉野市)\n\nこの先の利用料はいくらになるのか教えてほしい。\n\n(みずほ県)\n\n{BODY}\n"
    assert block_with(text, "利用料").kind == "paragraph"
    assert block_with(text, "(青葉野市)").form == "parenthesised"
    portrait = text.replace("(青葉野市)", "\n\n\n(青葉野市)")
    assert block_with(portrait, "利用料").form == "question"


def test_a_slides_title_may_hold_a_comma():
    gap = "\n\n\n\n"
    title, rows = "やめたもの、続けているもの", "年\t取組\n令和5年\t予約\n令和6年\t巡回"
    slides = gap.join(f"話の題その{number}\n\n{BODY}" for number in range(6))
    deck = f"{slides}{gap}{title}\n\n{rows}{gap}{BODY}"
    assert is_deck(split_blocks(deck))
    assert block_with(deck, title).form == "plain"
    assert block_with(deck.replace(rows, BODY), title).kind == "paragraph"  # over a paragraph
    assert block_with(deck.replace(f"{gap}{title}", f"\n\n{title}"), title).kind == "paragraph"
    assert block_with(f"題\n\n{BODY}{gap}{title}\n\n{rows}", title).kind == "paragraph"  # no deck


def test_a_question_that_nobody_answers_before_the_next_item_is_no_heading():
    text = f"題\n\n{BODY}\n\n利用料はいくらになりますか。\n\n■時期\n\n{BODY}\n"
    assert block_with(text, "利用料").kind == "paragraph"


def test_where_headings_are_marked_a_plain_one_names_a_part():
    text = f"題\n\n意見交換\n\n■一\n\n{BODY}\n\n■二\n\n{BODY}\n\n■三\n\n{BODY}\n"
    part = block_with(text, "意見交換")
    assert part.form == "part"
    assert rank(part) < rank(block_with(text, "■一"))
    assert block_with(text.replace("■三", "三つ目の話"), "意見交換").form != "part"


def test_which_heading_stands_over_which():
    forms = ["第1章 体制", "1. 目的", "1.2 現状", "■ねらい", "事業の概要", "【全体像】", "（みずほ県）"]
    ranks = [rank(block_with(f"題\n\n{BODY}\n\n{form}\n\n{BODY}", form)) for form in forms]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)
    assert rank(split_blocks("## 章")[0]) == 2
    section = block_with(f"題\n\n{BODY}\n\n第1節 方針\n\n{BODY}", "第1節")
    assert rank(section) > ranks[0]


# ---------------------------------------------------------------- furniture


def searched(text):
    return "\n".join(block.text for block in split_blocks(text) if block.searched)


def why(text, words):
    return block_with(text, words).why


@pytest.mark.parametrize(
    "contents",
    [
        "目次\n\n1. 目的 …… 3\n2. 方針 …… 5\n3. 体制 …… 9\n",
        "もくじ\n\n- 目的 ････ 3\n- 方針 ・・・・ 5\n",
        "目 次\n\n| 目的 | … | 3 |\n| 方針 | … | 5 |\n",
        "CONTENTS\n\n目的 ------ 3\n方針 ------ 5\n",
        "1. 目的 …… 3\n2. 方針 …… 5\n3. 体制 …… 9\n",
    ],
)
def test_a_table_of_contents_is_not_searched(contents):
    text = f"計画の題\n\n{contents}\n# 目的\n\n{BODY}\n\n# 方針\n\n{BODY}\n"
    assert "…… 3" not in searched(text)
    assert "方針 " not in searched(text).replace("# 方針", "")
    assert searched(text).count(BODY) == 2


def test_the_legend_and_categories_inside_the_contents_are_not_searched():
    text = f"題\n\n目次\n\n【凡例】\n① : 人口1万人未満の団体\n\n① 窓口の改善\n\n1 窓口 …… 3\n2 移動 …… 5\n\n# 本文\n\n{BODY}\n"
    assert searched(text) == f"題\n# 本文\n{BODY}"


def test_one_row_with_a_leader_is_no_table_of_contents():
    text = f"題\n\n{BODY}\n\n続きは別の資料 …… 12\n\n{BODY}\n"
    assert "別の資料" in searched(text)


@pytest.mark.parametrize("line", ["- 3 -", "－３－", "12 / 40", "P.5", "ｐ．１２"])
def test_a_page_number_is_not_searched(line):
    text = f"題\n\n{BODY}\n\n{line}\n\n{BODY}\n"
    assert why(text, line) == "page number"


@pytest.mark.parametrize("line", ["Copyright(c) 2024 Mizuho", "© みずほ県 2024", "(C) Mizuho 2024"])
def test_a_copyright_line_is_not_searched(line):
    assert why(f"題\n\n{BODY}\n\n{line}\n\n{BODY}\n", line) == "copyright"


def test_captions_next_to_lost_pictures_are_not_searched():
    gap = "\n\n\n\n"
    assert why(f"題\n\n{BODY}{gap}(みずほ県)\n\n今後の展望を教えてください。\n\n{BODY}", "(みずほ県)")
    assert why(f"題\n\n{BODY}\n\n（青葉野市）{gap}{BODY}", "（青葉野市）") == "picture label"
    labels = f"題\n\n{BODY}\n\n＜視察＞{gap}＜体験＞{gap}{BODY}"
    assert why(labels, "＜視察＞") == "picture label"
    assert not why(f"題\n\n{BODY}\n\n（青葉野市）\n\n{BODY}", "（青葉野市）")


SCREEN = """\
担当者一覧 - 青葉野市 x +

https://tool.example.com/k/109/show#record=85&id=1 A

キャンセル 保存

● 未 ● 作業中 ● 完了済み

調査票の写し

● 未 ● 作業中 ● 完了済み
"""


def test_the_text_of_a_screenshot_is_not_searched():
    text = f"題\n\n{BODY}\n\n{SCREEN}\n\n# 次の章\n\n{BODY}\n"
    assert searched(text) == f"題\n{BODY}\n# 次の章\n{BODY}"


def test_an_address_alone_is_no_screenshot():
    text = f"題\n\n{BODY}\n\nhttps://www.example.jp/show?id=1\n\n{BODY}\n"
    assert "id=1" in searched(text)


def test_a_slide_that_lists_the_headings_to_come_is_not_searched():
    slides = "".join(
        f"{i}. {name}\n\n{BODY}\n\n" for i, name in enumerate(["背景と目的", "現状の問題", "提案の中身"], 1)
    )
    text = f"題\n\n前置きです。\n1. 背景と目的\n2. 現状の問題\n3. 提案の中身\n\n{slides}"
    assert searched(text).count("背景と目的") == 1


def test_a_line_of_marks_is_seen_through_at_once():
    started = time.perf_counter()
    assert not WIDGETS.search("○" * 2000 + " 説明の文が続きます。")
    assert time.perf_counter() - started < 1
    assert WIDGETS.search("● 未 ● 作業中 ● 完了済み ●")


def test_a_deck_is_known_by_its_lost_pictures():
    slide = f"見出し\n\n{BODY}\n\n\n\n\n"
    assert is_deck(split_blocks(slide * 6))
    assert not is_deck(split_blocks(f"見出し\n\n{BODY}\n\n" * 6))


def test_a_heading_of_the_format_has_its_level_and_stands_over_headings_by_form():
    text = "資料の名\n\n概要\n\n■目的\n\n町民のために窓口を一つにする。\n\n本文として置かれた短い行\n\n続きの文。"
    marks = [Mark("heading", 0, 4, level=1), Mark("heading", 6, 8, level=2)]
    blocks = split_blocks(text, marks)
    assert [(b.kind, b.form, b.level) for b in blocks[:3]] == [
        ("heading", "styled", 1),
        ("heading", "styled", 2),
        ("heading", "marked", 0),
    ]
    assert rank(blocks[0]) < rank(blocks[1]) < rank(blocks[2])


def test_a_record_is_one_block_whatever_its_lines_look_like():
    record = "質問：窓口は？\n\n■回答\n| a | b |\n\n\n\n12/40"
    text = f"一覧\n\n{record}\n\n質問：次は？\n回答：はい。"
    start = text.index(record)
    marks = [
        Mark("record", start, start + len(record), row=2, title="窓口は？"),
        Mark("record", start + len(record) + 2, len(text), row=3, title="次は？"),
    ]
    blocks = split_blocks(text, marks)
    assert [(b.kind, b.row, b.title, b.gap, b.gap_after) for b in blocks] == [
        ("heading", 0, "", 0, 1),
        ("record", 2, "窓口は？", 1, 1),
        ("record", 3, "次は？", 1, 1),
    ]
    assert text[blocks[1].start : blocks[1].end] == record
    assert [line.text for line in blocks[1].lines] == ["質問：窓口は？", "■回答", "| a | b |", "12/40"]
    assert all(b.searched for b in blocks)
