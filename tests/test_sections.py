"""Sections: what stands under which headings, and that no section crosses a case, a heading or an example."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.cases import find_cases
from corpus.sections import COVER, INTERVIEW, POINT, find_sections, heading_words
from corpus.structure import split_blocks

BODY = (
    "住民が窓口で書く用紙をなくし、職員が聞き取って手続を進めるようにしました。待つ時間は半分になりました。"
)
GAP = "\n\n\n\n\n"
ONE = "1 書かない窓口を始める【みずほ県青葉野市】"
TWO = "2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】"


def sections_of(text, title=""):
    blocks = split_blocks(text)
    return find_sections(blocks, find_cases(text, blocks, "a.txt"), title)


def section_with(text, words, title=""):
    """The one section that holds these words."""
    (found,) = [s for s in sections_of(text, title) if any(words in b.text for b in s.blocks)]
    return found


def path_of(text, words, title=""):
    return section_with(text, words, title).path


# ---------------------------------------------------------------- paths


def test_paths_go_from_the_outermost_heading_in():
    text = f"# 計画\n\n前文{BODY}\n\n## 方針\n\n### 窓口\n\n窓口{BODY}\n\n### 費用\n\n費用{BODY}\n\n## 体制\n\n体制{BODY}\n"
    assert path_of(text, "前文", "計画") == ()
    assert path_of(text, "窓口住民", "計画") == ("方針", "窓口")
    assert path_of(text, "費用住民", "計画") == ("方針", "費用")
    assert path_of(text, "体制住民", "計画") == ("体制",)
    assert path_of(text, "体制住民", "別の題") == ("計画", "体制")


def test_a_heading_without_body_opens_the_section_below_it():
    text = f"# 計画\n\n{BODY}\n\n## 方針\n\n### 窓口\n\n窓口{BODY}\n"
    section = section_with(text, "窓口住民")
    assert [heading_words(b) for b in section.openers] == ["方針"]
    assert text[section.start :].startswith("## 方針")
    assert text[: section.end].endswith(f"窓口{BODY}")


def test_an_item_written_as_a_heading_is_no_part_of_the_section_above_it():
    text = f"会議の次第\n\n{BODY}{BODY}\n\n１　開会\n\n２　報告\n\n報告{BODY}\n\n３　閉会\n"
    assert path_of(text, "１　開会") == path_of(text, "３　閉会") == ()
    assert path_of(text, "報告住民") == ("２　報告",)


def test_marked_documents_have_parts():
    text = f"議事の録\n\n{BODY}{BODY}\n\n説明（みずほ県 課長）\n\n■目的\n\n一{BODY}\n\n■経緯\n\n二{BODY}\n\n意見交換\n\n■費用\n\n三{BODY}\n"
    assert path_of(text, "一住民") == ("説明（みずほ県 課長）", "■目的")
    assert path_of(text, "二住民") == ("説明（みずほ県 課長）", "■経緯")
    assert path_of(text, "三住民") == ("意見交換", "■費用")


def test_speakers_stand_under_their_heading_and_not_under_one_another():
    text = f"# 議事の録\n\n■費用\n\n(青葉野市)\n\n一{BODY}\n\n(みずほ県)\n\n二{BODY}\n\n■時期\n\n(青葉野市)\n\n三{BODY}\n"
    assert path_of(text, "一住民")[-2:] == ("■費用", "(青葉野市)")
    assert path_of(text, "二住民")[-2:] == ("■費用", "(みずほ県)")
    assert path_of(text, "三住民")[-2:] == ("■時期", "(青葉野市)")


def test_furniture_ends_a_stretch_and_not_the_section():
    text = f"# 計画\n\n## 方針\n\n一{BODY}\n\n- 3 -\n\n二{BODY}\n"
    assert path_of(text, "一住民") == path_of(text, "二住民") == ("計画", "方針")
    assert section_with(text, "一住民") is not section_with(text, "二住民")
    assert not any("- 3 -" in b.text for s in sections_of(text) for b in s.blocks)


# ---------------------------------------------------------------- decks


def deck(last_gap):
    slides = "".join(f"{i}. 章の{name}\n\n{BODY}{GAP}" for i, name in enumerate("東西南北中", 1))
    return f"講演の題\n\nみずほ町 講師\n\n{slides}6. 体制づくり\n\n体制{BODY}{last_gap}予算のこと\n\n予算{BODY}\n"


def test_after_a_lost_picture_a_heading_does_not_inherit_a_stale_parent():
    assert path_of(deck(GAP), "体制住民") == ("6. 体制づくり",)
    assert path_of(deck(GAP), "予算住民") == ("予算のこと",)


def test_without_a_picture_between_them_the_heading_keeps_its_parent():
    assert path_of(deck("\n\n"), "予算住民") == ("6. 体制づくり", "予算のこと")


def test_outside_decks_a_lost_picture_does_not_end_a_chapter():
    text = f"計画の題\n\n{BODY}{BODY}\n\n1. 体制づくり\n\n{BODY}{GAP}予算のこと\n\n予算{BODY}\n"
    assert path_of(text, "予算住民") == ("1. 体制づくり", "予算のこと")


# ---------------------------------------------------------------- cover


def test_the_cover_is_a_section_of_its_own():
    text = f"取組の事例集\n\n【1.窓口】\n\n総務省\n\n令和6年4月24日\n\n1. はじめに\n\n{BODY}\n"
    cover, *rest = sections_of(text)
    assert (cover.path, cover.form) == ((COVER,), "cover")
    assert [b.text for b in cover.blocks] == ["取組の事例集", "【1.窓口】", "総務省", "令和6年4月24日"]
    assert [s.path for s in rest] == [("1. はじめに",)]


def test_a_markdown_document_has_no_cover():
    assert all(s.form != "cover" for s in sections_of(f"# 題\n\n令和6年4月24日\n\n## 章\n\n{BODY}\n"))


def test_the_contents_end_the_cover_and_are_in_no_section():
    text = f"題\n\n総務省\n\n目次\n\n1. 目的 …… 3\n2. 方針 …… 5\n\n1. 目的\n\n{BODY}\n"
    cover, body = sections_of(text)
    assert [b.text for b in cover.blocks] == ["題", "総務省"]
    assert [b.text for b in body.blocks] == [BODY]


# ---------------------------------------------------------------- cases

BOOK = f"""\
取組の事例集

【1.窓口】

目次

① やさしい窓口

{ONE} …… 3
{TWO} …… 5

{ONE}

➤ 待つ時間を半分に

事業の概要

一{BODY}

{ONE}

今後の展望を教えてください。

二{BODY}

【参考情報】 青葉野市人口：9.6万人

【担当部署】 窓口課（電話：000-000-0000）

{TWO}

事業の概要

三{BODY}
"""
CASE_ONE = ("1.窓口", "① やさしい窓口", ONE)


def test_paths_inside_a_case():
    assert path_of(BOOK, "待つ時間を半分に") == (*CASE_ONE, POINT)
    assert path_of(BOOK, "一住民") == (*CASE_ONE, "事業の概要")
    assert path_of(BOOK, "二住民") == (*CASE_ONE, INTERVIEW, "今後の展望を教えてください。")
    assert path_of(BOOK, "青葉野市人口") == (*CASE_ONE, "参考情報")
    assert path_of(BOOK, "三住民") == ("1.窓口", "① やさしい窓口", TWO, "事業の概要")


def test_the_first_section_of_a_case_begins_with_its_title():
    assert BOOK[section_with(BOOK, "待つ時間を半分に").start :].startswith(ONE)
    assert BOOK[section_with(BOOK, "三住民").start :].startswith(TWO)
    assert BOOK[section_with(BOOK, "二住民").start :].startswith("今後の展望")


def test_what_follows_after_the_last_case_is_in_no_case():
    text = f"{BOOK}\n【2.人材確保】\n\n続く{BODY}\n"
    section = section_with(text, "続く住民")
    assert section.case is None
    assert section.path == ("【2.人材確保】",)
    assert section_with(text, "三住民").case.number == 2


def test_text_right_under_a_title_is_not_lost():
    text = f"事例集\n\n{ONE}\n一枚目{BODY}\n\n{ONE}\n二枚目{BODY}\n\n{ONE}\n三枚目{BODY}\n{TWO}\n別の{BODY}\n"
    found = sections_of(text)
    for words, number in (("一枚目", 1), ("二枚目", 1), ("三枚目", 1), ("別の", 2)):
        section = section_with(text, words)
        assert section.case.number == number
    assert not any(ONE in b.text or TWO in b.text for s in found for b in s.blocks)


def test_an_example_stands_in_no_section_and_between_no_two_blocks_of_one():
    example = f"{TWO}\n\n見本の{BODY}\n\n【担当部署】 見本課（電話：9999-99-9999）\n"
    text = BOOK.replace(f"\n{ONE}\n\n➤", f"\n# 構成\n\n前の{BODY}\n\n{example}\n後の{BODY}\n\n{ONE}\n\n➤")
    assert path_of(text, "前の住民") == path_of(text, "後の住民") == ("構成",)
    at = text.index("見本の")
    assert not [s for s in sections_of(text) if s.start <= at < s.end]
    bare = text.replace(f"前の{BODY}\n\n", "")
    assert not [s for s in sections_of(bare) if s.start <= bare.index("見本の") < s.end]


LINES = [
    "",
    "",
    "",
    ONE,
    TWO,
    "3 別の取組を始める【みずほ県】",
    "# 大見出し",
    "## 中見出し",
    "■目的",
    "事業の概要",
    "今後の展望を教えてください。",
    "（みずほ県）",
    "- 項目を一つ挙げます",
    "| 列 | 列 |",
    "- 3 -",
    "【担当部署】 窓口課",
    BODY,
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=40))
def test_sections_are_in_order_and_cross_no_case_and_no_heading(lines):
    text = "\n".join(lines)
    blocks = split_blocks(text)
    book = find_cases(text, blocks, "a.txt")
    found = find_sections(blocks, book, "")
    for before, after in pairwise(found):
        assert before.end <= after.start
    headings = [b.start for b in blocks if b.kind == "heading" and b.searched]
    titles = {start for start, _ in book.title_lines}
    for section in found:
        starts = [b.start for b in section.blocks]
        assert starts == sorted(starts)
        assert all(b.searched for b in section.blocks)
        if section.form == "cover":
            continue
        assert not [h for h in headings if starts[0] < h < starts[-1]]
        assert not [t for t in titles if starts[0] <= t <= starts[-1]]
        assert all(book.case_at(start) == section.case for start in starts)
        if section.heading:
            assert section.path[-1] == heading_words(section.heading)
            assert section.heading.start < starts[0]
