"""How slices of texts are shown: what the form of lines makes of them, and that no letter is lost."""

from __future__ import annotations

import doctest
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import CASE_BOOK, FAQ, MINUTES
from playwright.sync_api import Browser, Page
from served import screenshot, violations

from web import documents, finding, rich, view
from web.rich import Block, Headline, Marked, Stop, blocks
from web.site import environment

WEB = Path(__file__).resolve().parents[1] / "web"
SAMPLES = sorted((WEB.parent / "corpus" / "samples").iterdir())


def text_of(found: Sequence[Block]) -> str:
    return "".join(block.text for block in found)


def kinds(text: str) -> list[str]:
    return [block.kind for block in blocks(text) if block.kind != "gap"]


def seen(runs: Sequence[rich.Run]) -> str:
    return "".join(run.text for run in runs if run.look not in {"mk", "br"})


def cells(block: Block) -> list[list[str]]:
    return [[seen(cell.runs).strip() for cell in row] for row in block.rows]


def heads(block: Block) -> list[bool]:
    return [cell.head for cell in block.rows[0]]


# ---------------------------------------------------------------- what the form makes of lines


def test_a_table_in_markdown_has_the_head_that_its_rule_says() -> None:
    (table, _) = blocks("| 区分 | 手数料 |\n|:---|---:|\n| 窓口 | 300円 |\n| 郵送 | 350円 |\n")
    assert table.kind == "table"
    assert cells(table) == [["区分", "手数料"], ["窓口", "300円"], ["郵送", "350円"]]
    assert heads(table) == [True, True]
    assert [cell.align for cell in table.rows[1]] == ["", "end"]
    assert not any(cell.head for row in table.rows[1:] for cell in row)


def test_an_empty_head_is_no_head_and_a_dash_before_a_table_is_unseen() -> None:
    (table,) = blocks("- | | |\n|--|----|\n| 1 窓口 | 3 |\n| 2 車 | 5 |")
    assert (table.kind, cells(table)) == ("table", [["1 窓口", "3"], ["2 車", "5"]])
    assert not table.head


def test_short_rows_are_filled_and_long_ones_kept() -> None:
    (table,) = blocks("| a | b | c |\n|---|---|---|\n| 1 |\n| 1 | 2 | 3 |\n| 1 | 2 | 3 | 4 |")
    assert [[cell.span for cell in row] for row in table.rows] == [[1, 1, 2], [4], [1, 1, 2], [1, 1, 1, 1]]


def test_rows_with_tabs_are_a_table_and_an_indented_line_is_none() -> None:
    (table,) = blocks("市区町村数\t子育て\t介護\n\t1,564団体\t225団体\n実施済\t950団体\t83団体")
    assert cells(table)[1] == ["", "1,564団体", "225団体"]
    assert heads(table) == [True, True, True]  # figures below words
    assert kinds("\t字下げした文です。\n\t次の文です。") == ["paragraph"]
    assert kinds("一行だけ\tの表は表ではない") == ["paragraph"]
    (names,) = blocks("若草市\t青葉 花子\n小石原村\t月見 太郎")
    assert (names.kind, names.head) == ("table", False)


def test_pipes_without_a_frame_need_rows_of_equal_length() -> None:
    assert kinds("担当 | 電話\n窓口課 | 0000") == ["table"]
    assert kinds("担当 | 電話\n窓口課 | 0000 | 内線") == ["paragraph"]
    assert kinds("SIGMA 50mm F1.4 DG HSM | Art\n撮影の記録") == ["paragraph"]
    assert kinds("A||B\n本文") == ["paragraph"]


def test_a_row_alone_keeps_its_pipes() -> None:
    (row,) = blocks("| 窓口 | 300円 |")
    assert row.kind == "paragraph"
    assert [(run.text, run.look) for run in row.runs if run.look] == [("|", "sep")] * 3


def test_tables_that_differ_are_two_tables() -> None:
    found = blocks("| 1 | 2 |\n| 1 | 2 |\n| 1 | 2 | 3 |\n| 1 | 2 | 3 |\n| 1 | 2 | 3 | 4 |\n| 5 | 6 | 7 | 8 |")
    assert [(block.kind, len(block.rows)) for block in found if block.kind != "gap"] == [("table", 2)] * 3


def test_an_escaped_pipe_stands_in_its_cell() -> None:
    (table,) = blocks("| a\\|b | c |\n|---|---|\n| d | e |")
    assert cells(table)[0] == ["a\\|b", "c"]


def test_headings_and_strong_words() -> None:
    heading, _, paragraph = blocks("## 手続 ##\n**まず**窓口へ。** 空き **は違う。")
    assert (heading.kind, heading.level, seen(heading.runs)) == ("heading", 1, "手続")
    assert [run.text for run in paragraph.runs if run.strong] == ["まず"]
    assert seen(paragraph.runs) == "まず窓口へ。** 空き **は違う。"


def test_strong_words_go_over_a_line_break_and_never_over_a_blank_line() -> None:
    (paragraph,) = blocks("**地域\nコイン**を使う")
    assert [run.text for run in paragraph.runs if run.strong] == ["地域\nコイン"]
    assert not any(run.strong for block in blocks("**地域\n\nコイン**") for run in block.all_runs())
    assert not any(run.strong for block in blocks("- **一\n- 二**") for run in block.all_runs())


def test_levels_of_headings_go_down_one_by_one() -> None:
    found = blocks("# 一\n\n### 三\n\n#### 四\n\n# 一\n\n本文")
    assert [block.level for block in found if block.kind == "heading"] == [1, 2, 3, 1]


def test_lists() -> None:
    (found, _) = blocks(
        "- 一つ目\n- 二つ目の項目が\n次の行へ続く\n  - 中の項目\n- ・ 印のある項目\n\n- 空行の後\n"
    )
    assert found.kind == "list"
    assert [seen(item.runs) for item in found.items] == [
        "一つ目",
        "二つ目の項目が\n次の行へ続く",
        "中の項目",
        "・ 印のある項目",
        "空行の後",
    ]
    assert [(item.own, item.depth) for item in found.items] == [
        (False, 0),
        (False, 0),
        (False, 1),
        (True, 0),
        (False, 0),
    ]
    assert kinds("・項目\n・項目") == ["list"]
    assert kinds("- 3 -") == ["paragraph"]  # a page number
    assert kinds("- \n本文") == ["paragraph"]
    assert kinds("-5度になった") == ["paragraph"]


def test_rules_dots_and_tags() -> None:
    assert kinds("上\n\n---\n\n下") == ["paragraph", "rule", "paragraph"]
    (contents,) = blocks("第1章 窓口 .......... 12")
    assert [(run.text, run.look) for run in contents.runs] == [
        ("第1章 窓口 ", ""),
        (".......... ", "dots"),
        ("12", ""),
    ]
    assert [run.look for run in blocks("沈黙……が続いた...")[0].runs] == [""]
    (tagged,) = blocks('分野<br><ul style="list-style-type: none">・一つ<script>alert(1)</script>')
    assert seen(tagged.runs) == "分野・一つ<script>alert(1)</script>"
    assert [run.look for run in tagged.runs] == ["", "br", "mk", ""]


def test_known_headings_and_places() -> None:
    text = "はじめに\n本文の一行目。\n事例\n続きの題\n本文。\n| a | b |\n| c | d |\n終わり"
    second = text.index("事例")
    row = text.index("| c")
    found = blocks(
        text,
        headings=[Headline(0, 4, 1, "h0"), Headline(second, text.index("\n本文。"), 2, "h1"), Headline(row, row + 9, 3, "h2")],
        stops=[Stop(text.index("一行目"), "p2", "2ページ"), Stop(second, "p3", "3ページ")],
    )  # fmt: skip
    assert [(b.kind, b.id) for b in found if b.kind != "gap"] == [
        ("heading", "h0"), ("paragraph", ""), ("stop", "p3"), ("heading", "h1"), ("paragraph", ""),
        ("stop", "h2"), ("paragraph", ""),
    ]  # fmt: skip
    inline = next(run for b in found for run in b.runs if run.stops)
    assert (inline.text, inline.stops[0].label) == ("一行目。", "2ページ")
    assert text_of(found) == text


def test_marks_go_over_cells_and_what_is_not_seen() -> None:
    text = "| 区分 | 額 |\n|---|---|\n| **窓口** | 300円 |"
    start, end = text.index("額"), text.index("00円")
    (table,) = blocks(text, [Marked(start, end, "passage", "passage"), (start, start + 1)])
    runs = list(table.all_runs())
    assert "".join(run.text for run in runs if run.marks is not None) == text[start:end]
    assert [run.id for run in runs if run.id] == ["passage"]
    assert next(run for run in runs if run.text == "額").marks == ("", "passage")
    assert next(run for run in runs if run.text == "窓口").strong


def test_spans_beyond_the_slice_are_cut() -> None:
    (block,) = blocks("本文", [(-5, 1), (1, 99), (7, 9), (2, 1)])
    assert [(run.text, run.marks) for run in block.runs] == [("本", ("",)), ("文", ("",))]
    assert blocks("") == ()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name[:2])
def test_the_samples(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text_of(blocks(text)) == text


# ---------------------------------------------------------------- nothing is lost

LINES = st.one_of(
    st.sampled_from(
        ["", " ", "本文です。", "# 題", "## 題 ##", "- 項目", "- ・項目", "　・項目", "| a | b |", "|---|---|", "| | |", "- | a |",
         "a\tb", "\ta", "a | b", "---", "1 章 ........ 3", "**強**い", "<br>", "||", "|", "- 3 -", "a\\|b | c", "\x0c", "a\rb"]
    ),
    st.text(alphabet="ab窓。#-*|\t .…<>br/\"=\\\r\x0b\x00 　", max_size=14),
)  # fmt: skip
TEXTS = st.lists(LINES, max_size=14).map("\n".join)
SPANS = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), max_size=4)


@settings(max_examples=300, deadline=None)
@given(TEXTS, SPANS, st.lists(st.integers(0, 80), max_size=3), st.data())
def test_no_letter_is_lost_and_marks_are_where_they_were(
    text: str, spans: list[tuple[int, int]], places: list[int], data: st.DataObject
) -> None:
    starts = [0, *(at + 1 for at, sign in enumerate(text) if sign == "\n")]
    known = sorted(set(data.draw(st.lists(st.sampled_from(starts), max_size=3))))
    headings = [Headline(at, at + data.draw(st.integers(1, 20)), 2, f"h{at}") for at in known]
    stops = [Stop(at, f"s{at}", "頁") for at in sorted(set(places))]
    found = blocks(text, spans, headings=headings, stops=stops)
    assert text_of(found) == text
    runs = [run for block in found for run in block.all_runs()]
    assert all(run.text for run in runs)
    # a second way to say which letters are marked
    expected = [any(start <= at < end for start, end in spans) for at in range(len(text))]
    assert [run.marks is not None for run in runs for _ in run.text] == expected
    ids = [b.id for b in found if b.id] + [s.id for run in runs for s in run.stops]
    wanted = [s.id for s in stops if s.offset < len(text)] + [h.id for h in headings if h.start < len(text)]
    assert sorted(i for i in ids if i) == sorted(wanted)
    for before, after in pairwise([b for b in found if b.kind == "heading"]):
        assert after.level <= before.level + 1


@pytest.mark.parametrize(
    "unit", ["|\n", "\t\n", "a\tb\n|\n", "a | b\n", "|a|\n|a|b|\n|\n", "|a|\n||\n||||\n", "- a\n\n"]
)
def test_each_line_is_looked_at_a_few_times_only(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    row_kind = rich._Reader._row_kind

    def counted(reader: rich._Reader, place: int) -> str:
        nonlocal looked
        looked += 1
        return row_kind(reader, place)

    monkeypatch.setattr(rich._Reader, "_row_kind", counted)
    text = (unit * 3000)[:6000]
    assert text_of(blocks(text)) == text
    assert looked <= 10 * (text.count("\n") + 1)


# ---------------------------------------------------------------- on the page


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 900, "height": 800}, locale="ja-JP")
    yield opened
    opened.close()


def shown(page: Page, found: Sequence[Block], base: int = 2) -> str:
    """What a browser makes of the blocks; gives the element's textContent."""
    template = environment(WEB / "templates").from_string(
        "{% import '_rich.html' as rich %}<!doctype html><html lang='ja'><title>見本</title><main><h1>見本</h1><h2>原文</h2>"
        '<div class="rich" id="text">{{ rich.blocks(found, base) }}</div></main>'
    )
    page.set_content(template.render(found=found, base=base))
    content: str = page.evaluate("document.getElementById('text').textContent")
    return content


@settings(max_examples=60, deadline=None)
@given(TEXTS.map(lambda text: text.replace("\x00", "")), SPANS)
def test_a_browser_gives_the_slice_back_to_the_letter(
    page: Page, text: str, spans: list[tuple[int, int]]
) -> None:
    assert shown(page, blocks(text, spans, stops=[Stop(3, "s", "3ページ")])) == text
    marked = page.evaluate("[...document.querySelectorAll('mark')].map(m => m.textContent).join('')")
    assert marked == "".join(
        sign for at, sign in enumerate(text) if any(start <= at < end for start, end in spans)
    )


@pytest.mark.parametrize("text", [CASE_BOOK, MINUTES, FAQ, *(p.read_text(encoding="utf-8") for p in SAMPLES)])
def test_whole_documents_in_a_browser(page: Page, text: str) -> None:
    assert shown(page, blocks(text)) == text


def test_what_html_cannot_hold_has_a_letter_in_its_place(page: Page) -> None:
    assert shown(page, blocks("a\x00b\ud800c")) == "a\ufffdb\ufffdc"


STYLED = """# 電子申請の手引

**まず**窓口の予約を取ります。次の表を見てください。

| 区分 | 手数料 | 備考 |
|---|---:|---|
| 窓口 | 300円 | **現金のみ**<br>おつりなし |
| 郵送 | 350円 | 定額小為替 |

## 手順

- 申込書を書く
  - 署名する
- ・ 窓口に出す
・ 印のある項目が二行にわたって続くときの字下げを確かめるための、とても長い項目です。とても長い項目です。とても長い項目です。

第1章 窓口 ........................ 12
第2章 郵送 ……………………………… 15

| 一行だけ | の表 |

市区町村\t件数\t割合
若草市\t120\t35%
小石原村\t8\t2%
"""


def test_it_looks_like_a_document(page: Page) -> None:
    start = STYLED.index("350円")
    shown(page, blocks(STYLED, [Marked(start, STYLED.index("## 手順"), "passage", "passage")]))
    for name in ("style.css", "rich.css"):
        page.add_style_tag(path=WEB / "static" / name)
    screenshot(page, "rich")
    assert page.get_by_role("table").count() == 2
    assert page.get_by_role("columnheader").all_inner_texts() == [
        "区分",
        "手数料",
        "備考",
        "市区町村",
        "件数",
        "割合",
    ]
    assert page.get_by_role("heading", level=3).inner_text() == "電子申請の手引"
    assert page.get_by_role("heading", level=4).inner_text() == "手順"
    assert page.get_by_role("listitem").count() == 4
    visible = page.locator("#text").inner_text()
    assert "|---|" not in visible
    assert "**" not in visible
    assert violations(page) == []


def test_the_examples_in_the_docstrings_hold() -> None:
    for module in (rich, documents, finding, view):
        assert doctest.testmod(module).failed == 0


def test_half_of_a_strong_mark_is_not_seen() -> None:
    for text, unseen in (
        ("兼務職員を配置する。**", 1),
        ("**新しく置いた", 1),
        ("1 ** 2 は 1", 0),
        ("注** を見る", 0),
    ):
        runs = [run for block in blocks(text) for run in block.all_runs()]
        assert "".join(run.text for run in runs) == text
        assert [run.text for run in runs if run.look == "mk"] == ["**"] * unseen


@pytest.mark.parametrize("piece", ["\tx\n", "||\n", "a|\n", "\t文\n", "|---|\n", "|" * 120 + "\n"])
def test_rows_that_form_no_table_are_looked_at_a_few_times(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    cells = rich._Reader._cells

    def counted(reader: Any, *arguments: Any) -> Any:
        nonlocal looked
        looked += 1
        return cells(reader, *arguments)

    monkeypatch.setattr(rich._Reader, "_cells", counted)
    assert "".join(block.text for block in blocks(piece * 500)) == piece * 500
    assert looked <= 6 * 500
