"""Grids of cells to text: which rows are records, figures, titles, notes and forms."""

from __future__ import annotations

import pytest

from corpus.readers.rows import Area, Grid, lay_out
from corpus.readers.source import ReadError
from corpus.records import Mark

FAQ = [
    ["番号", "質問", "回答", "担当課"],
    ["1", "住民票はどこで取れますか", "市民課の窓口か、コンビニで取れます。", "市民課"],
    [
        "2",
        "転入の届けはいつまでですか",
        "引っ越した日から14日以内です。\n本人確認書類をお持ちください。",
        "市民課",
    ],
    ["3", "粗大ごみはどう出しますか", "電話で申し込みます。", "環境課"],
]


def grid(rows, merged=(), first=1, **kwargs):
    """A grid as a reader makes it: rows without a value are left out, and counted."""
    kept = [(number, row) for number, row in enumerate(rows, first) if any(row)]
    return Grid([row for _, row in kept], [number for number, _ in kept], merged, **kwargs)


def laid(rows, merged=(), **kwargs):
    return lay_out([grid(rows, merged, **kwargs)], paged=False)


def records(result):
    return [
        (m.row, m.title, result.text[m.start : m.end].split("\n")) for m in result.marks if m.kind == "record"
    ]


def headings(result):
    return [(result.text[m.start : m.end], m.level) for m in result.marks if m.kind == "heading"]


def test_each_row_of_a_faq_is_a_record_of_its_question():
    assert records(laid(FAQ)) == [
        (
            2,
            "住民票はどこで取れますか",
            [
                "番号：1",
                "質問：住民票はどこで取れますか",
                "回答：市民課の窓口か、コンビニで取れます。",
                "担当課：市民課",
            ],
        ),
        (
            3,
            "転入の届けはいつまでですか",
            [
                "番号：2",
                "質問：転入の届けはいつまでですか",
                "回答：引っ越した日から14日以内です。",
                "本人確認書類をお持ちください。",
                "担当課：市民課",
            ],
        ),
        (
            4,
            "粗大ごみはどう出しますか",
            ["番号：3", "質問：粗大ごみはどう出しますか", "回答：電話で申し込みます。", "担当課：環境課"],
        ),
    ]


def test_marks_are_in_order_and_hold_whole_lines():
    result = laid([["よくある質問"], [], *FAQ, [], ["※回答は令和6年4月のものです。"]])
    last = -1
    for mark in result.marks:
        assert last < mark.start < mark.end
        assert mark.start == 0 or result.text[mark.start - 1] == "\n"
        assert mark.end == len(result.text) or result.text[mark.end] == "\n"
        last = mark.end


def test_empty_cells_are_left_out_and_ragged_rows_read():
    result = laid([["名称", "住所", "電話"], ["青葉館", "", "0123-45-6789"], ["霧ヶ沢館", "霧ヶ沢村1"]])
    assert [lines for _, _, lines in records(result)] == [
        ["名称：青葉館", "電話：0123-45-6789"],
        ["名称：霧ヶ沢館", "住所：霧ヶ沢村1"],
    ]


def test_title_lines_over_the_header_and_notes_under_the_table():
    result = laid(
        [
            ["令和6年度 事業一覧"],
            ["令和6年4月1日現在"],
            ["事業名", "担当", "概要"],
            *[[f"事業{c}", f"{c}課", f"{c}を進める"] for c in "甲乙丙"],
            ["※一部を除く。"],
        ]
    )
    assert headings(result) == [("令和6年度 事業一覧", 2)]
    assert result.title == "令和6年度 事業一覧"
    assert [row for row, _, _ in records(result)] == [4, 5, 6]
    assert result.text.startswith("令和6年度 事業一覧\n\n令和6年4月1日現在\n\n事業名：事業甲")
    assert result.text.endswith("\n\n※一部を除く。")


def test_rows_after_an_empty_row_go_on_under_the_same_header():
    result = laid([*FAQ[:3], [], FAQ[3]])
    assert [(row, title) for row, title, _ in records(result)][-1] == (5, "粗大ごみはどう出しますか")
    assert records(result)[-1][2][1] == "質問：粗大ごみはどう出しますか"


def test_a_header_that_is_repeated_is_no_record():
    assert len(records(laid([*FAQ[:3], [], FAQ[0], FAQ[3]]))) == 3


def test_several_tables_on_a_sheet():
    result = laid(
        [
            ["窓口の一覧"],
            ["窓口", "場所", "電話"],
            ["市民課", "1階", "0123-45-0001"],
            ["税務課", "2階", "0123-45-0002"],
            [],
            ["職員数の推移"],
            ["区分", "令和4年", "令和5年"],
            ["正職員", "120", "118"],
            ["合計", "150", "149"],
        ]
    )
    assert headings(result) == [("窓口の一覧", 2), ("職員数の推移", 2)]
    assert [row for row, _, _ in records(result)] == [3, 4]
    assert "| 区分 | 令和4年 | 令和5年 |\n| 正職員 | 120 | 118 |\n| 合計 | 150 | 149 |" in result.text
    assert result.title is None


def test_figures_with_heads_of_rows_are_a_table():
    rows = [["地区", "人口", "世帯", "面積"], ["東", "1,200", "480", "3.2"], ["西", "980", "-", "4.1"]]
    result = laid(rows)
    assert result.marks == (Mark("table", 0, len(result.text), row=1),)
    assert result.text == "| 地区 | 人口 | 世帯 | 面積 |\n| 東 | 1,200 | 480 | 3.2 |\n| 西 | 980 | - | 4.1 |"


def test_a_list_with_some_figures_stays_a_list():
    rows = [
        ["名称", "所在地", "緯度", "経度", "定員"],
        ["青葉館", "青葉野市本町1", "35.1", "139.2", "120"],
        ["霧館", "霧ヶ沢村2", "35.2", "139.3", "80"],
    ]
    assert [title for _, title, _ in records(laid(rows))] == ["青葉館", "霧館"]


def test_two_levels_of_header_by_merged_cells():
    rows = [
        ["課", "事業名", "予算", "", "備考"],
        ["", "", "当初", "補正", ""],
        ["福祉課", "見守り", "100円", "20円", "継続"],
        ["", "配食", "50円", "", "新規"],
        ["総務課", "職員研修", "10円", "", ""],
    ]
    merged = [Area(0, 1, 0, 0), Area(0, 1, 1, 1), Area(0, 0, 2, 3), Area(0, 1, 4, 4), Area(2, 3, 0, 0)]
    assert records(laid(rows, merged)) == [
        (
            3,
            "見守り",
            ["課：福祉課", "事業名：見守り", "予算／当初：100円", "予算／補正：20円", "備考：継続"],
        ),
        (4, "配食", ["課：福祉課", "事業名：配食", "予算／当初：50円", "備考：新規"]),
        (5, "職員研修", ["課：総務課", "事業名：職員研修", "予算／当初：10円"]),
    ]


def test_two_levels_of_header_without_merged_cells():
    rows = [
        ["地区", "人口", "", "世帯"],
        ["", "男", "女", ""],
        ["東", "10", "12", "9"],
        ["西", "8", "7", "5"],
    ]
    assert laid(rows).text.split("\n")[0] == "| 地区 | 人口／男 | 人口／女 | 世帯 |"


def test_a_value_merged_across_columns_stands_once():
    rows = [
        ["項目", "内容", "備考"],
        ["対象", "市内に住む人", ""],
        ["期間", "4月から", "延長あり"],
        ["費用", "無料", "なし"],
    ]
    assert records(laid(rows, [Area(1, 1, 1, 2)]))[0][2] == ["項目：対象", "内容：市内に住む人"]


def test_a_row_that_only_names_a_group_heads_the_rows_after_it():
    rows = [["質問", "回答", "担当"], ["◆届出"], *[row[1:] for row in FAQ[1:3]], ["◆ごみ"], FAQ[3][1:]]
    result = laid(rows, [Area(1, 1, 0, 2), Area(4, 4, 0, 2)])
    assert headings(result) == [("◆届出", 3), ("◆ごみ", 3)]
    assert len(records(result)) == 3


def test_a_list_without_header():
    rows = [["1", "青葉館", "0123-45-0001"], ["2", "霧館", "0123-45-0002"], ["3", "沢館", "0123-45-0003"]]
    assert records(laid(rows))[0] == (1, "青葉館", ["1", "青葉館", "0123-45-0001"])


def test_a_form_is_rows_and_lines_in_reading_order():
    rows = [
        ["利用申請書"],
        [],
        ["氏名", "", "青葉花子"],
        ["住所", "", "青葉野市本町1"],
        [],
        ["次のとおり申請します。"],
    ]
    result = laid(rows)
    assert not [m for m in result.marks if m.kind == "record"]
    assert result.text == (
        "利用申請書\n\n| 氏名 | 青葉花子 |\n| 住所 | 青葉野市本町1 |\n\n次のとおり申請します。"
    )


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (["分類", "件名", "本文"], "件名"),
        (["自治体名", "記事タイトル", "カテゴリ"], "記事タイトル"),
        (["担当課名", "事業名", "概要"], "事業名"),
        (["Category", "Question", "Answer"], "Question"),
        (["氏名", "施設の名称", "区分"], "施設の名称"),
    ],
)
def test_the_column_that_names_a_row(header, named):
    place = header.index(named)
    rows = [
        [f"{'あいう'[c]}{r}番" if c == place else "共通" + "のこと" * (c + r % 2) for c in range(3)]
        for r in range(4)
    ]
    assert [t for _, t, _ in records(laid([header, *rows]))] == [row[place] for row in rows]


def test_without_a_word_for_it_the_form_names_the_row():
    rows = [["年月日", "だれ", "どうした"], *[[f"2024/4/{d}", f"人物{d}", "来た"] for d in range(1, 6)]]
    assert [t for _, t, _ in records(laid(rows))] == [f"人物{d}" for d in range(1, 6)]


def test_the_title_of_the_whole_list_by_a_column_that_says_it():
    rows = [["発行号タイトル", "記事タイトル"], *[["広報あおばの 6月号", f"記事の{c}"] for c in "甲乙丙"]]
    assert laid(rows).title == "広報あおばの 6月号"
    rows[2][0] = "広報あおばの 7月号"
    assert laid(rows).title is None


def test_sheets_are_pages_and_headings():
    sheets = [
        grid(FAQ, name="質問", place=1),
        grid([], name="空", place=2),
        grid([["窓口は1階です。"]], name="案内", place=3),
    ]
    result = lay_out(sheets, paged=True)
    assert [(p.number, p.label) for p in result.pages] == [(1, "質問"), (3, "案内")]
    assert [result.text[p.start :].split("\n")[0] for p in result.pages] == ["質問", "案内"]
    assert headings(result) == [("質問", 1), ("案内", 1)]
    one = lay_out(sheets[:2], paged=True)
    assert headings(one) == []
    assert [p.start for p in one.pages] == [0]


def test_a_bar_inside_a_cell_does_not_end_it():
    rows = [["区分", "甲|乙", "丙", "丁"], ["計", "1", "2", "3"], ["他", "4", "5", "6"]]
    assert laid(rows).text.split("\n")[0] == "| 区分 | 甲｜乙 | 丙 | 丁 |"


def test_nothing_to_read_and_too_many_merged_cells():
    with pytest.raises(ReadError, match=r"文字情報がありません.*。$"):
        laid([["", ""], [" ", "―"]])
    tall = [Area(0, 2_000_000, 0, 0)] * 3
    assert laid(
        [["名称", "住所"], ["青葉館", "本町1"], ["霧館", "本町2"]], tall
    ).text  # cut to the rows there are


def test_time_grows_with_the_rows_only():
    rows = [["番号", "名称", "説明"], *[[str(n), f"名称{n}", "説明文です。" * 3] for n in range(20_000)]]
    assert len(records(laid(rows))) == 20_000


def test_a_wide_name_alone_means_that_the_next_row_names_columns_too():
    rows = [
        ["事業名", "経費", ""],
        ["", "当初の額", "内訳の説明"],
        ["見守り", "百円", "用紙"],
        ["配食", "二百円", "弁当"],
    ]
    assert records(laid(rows, [Area(0, 0, 1, 2)]))[0] == (
        3,
        "見守り",
        ["事業名：見守り", "経費／当初の額：百円", "経費／内訳の説明：用紙"],
    )


def test_a_title_merged_over_two_rows_stands_once():
    rows = [["地域の行事", "", ""], ["", "", ""], *[row[1:] for row in FAQ]]
    sheet = Grid(rows, list(range(1, 7)), [Area(0, 1, 0, 2)])
    result = lay_out([sheet], paged=False)
    assert result.text.count("地域の行事") == 1
    assert headings(result) == [("地域の行事", 2)]


def test_a_sheet_without_a_name_has_no_heading():
    grids = [grid([["件名", "本文"], ["窓口", "九時"]], name=name) for name in (" ", "夜間")]
    laid = lay_out(grids, paged=True)
    assert [laid.text[mark.start : mark.end] for mark in laid.marks if mark.kind == "heading"] == ["夜間"]


def test_the_word_for_a_total_is_no_value_of_its_column():
    rows = [
        ["名称", "期限", "経費"],
        ["甲", "令和7年3月", "10"],
        ["乙", "令和8年3月", "20"],
        ["丙", "令和9年3月", "30"],
    ]
    total = records(laid([*rows, ["", "合計", "60"]]))[-1]
    assert total == (5, "", ["合計", "経費：60"])
    assert len(records(laid([*rows, ["", "合計", ""]]))) == 3  # a formula without its result says nothing
