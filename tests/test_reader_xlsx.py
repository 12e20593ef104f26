"""Excel workbooks to records and tables. openpyxl makes the files; LibreOffice judges what a cell shows."""

from __future__ import annotations

import csv
import datetime
import os
import shutil
import subprocess
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from openpyxl import Workbook
from test_reader_fuzz import in_time

from corpus.documents import parse
from corpus.readers import ReadError, read
from corpus.readers.number_formats import shown

FAQ = [
    ["番号", "質問", "回答"],
    [1, "印鑑は要りますか", "要りません。\n署名で足ります。"],
    [2, "手数料はいくらですか", "300円です。"],
    [3, "いつ届きますか", "一週間ほどで届きます。"],
]
DAY = datetime.datetime(2024, 4, 15)


def saved(book):
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def book_of(rows, name="一覧", merged=(), formats=None):
    book = Workbook()
    sheet = book.active
    sheet.title = name
    for row in rows:
        sheet.append(row)
    for area in merged:
        sheet.merge_cells(area)
    for cell, code in (formats or {}).items():
        sheet[cell].number_format = code
    return book


def records(source):
    return [
        (m.row, m.title, source.text[m.start : m.end].split("\n")) for m in source.marks if m.kind == "record"
    ]


def test_a_faq_sheet_gives_a_chunk_a_row_with_its_sheet():
    parsed = parse("質問.xlsx", saved(book_of(FAQ, "よくある質問")))
    assert [(c.row, c.page, c.page_label, c.heading_path[-1]) for c in parsed.chunks] == [
        (2, 1, "よくある質問", "印鑑は要りますか"),
        (3, 1, "よくある質問", "手数料はいくらですか"),
        (4, 1, "よくある質問", "いつ届きますか"),
    ]
    assert parsed.chunks[0].text == "番号：1\n質問：印鑑は要りますか\n回答：要りません。\n署名で足ります。"


def test_merged_cells_dates_and_figures_as_shown():
    rows = [
        ["令和6年度 事業一覧", None, None, None, None],
        ["課", "事業名", "予算", None, "開始"],
        [None, None, "当初", "執行率", None],
        ["福祉課", "見守り", 1200, 0.5, DAY],
        [None, "配食", 300.0, 0.125, datetime.datetime(2024, 5, 1)],
        ["総務課", "研修", 45, None, None],
    ]
    book = book_of(rows, merged=["A1:E1", "A2:A3", "B2:B3", "C2:D2", "E2:E3", "A4:A5"])
    sheet = book.active
    for row in (4, 5, 6):
        sheet.cell(row, 3).number_format = '#,##0"千円"'
        sheet.cell(row, 4).number_format = "0%" if row == 4 else "0.0%"
        sheet.cell(row, 5).number_format = 'yyyy"年"m"月"d"日"'
    source = read("事業.xlsx", saved(book))
    assert source.title == "令和6年度 事業一覧"
    assert records(source) == [
        (
            4,
            "見守り",
            [
                "課：福祉課",
                "事業名：見守り",
                "予算／当初：1,200千円",
                "予算／執行率：50%",
                "開始：2024年4月15日",
            ],
        ),
        (
            5,
            "配食",
            [
                "課：福祉課",
                "事業名：配食",
                "予算／当初：300千円",
                "予算／執行率：12.5%",
                "開始：2024年5月1日",
            ],
        ),
        (6, "研修", ["課：総務課", "事業名：研修", "予算／当初：45千円"]),
    ]


def test_sheets_are_pages_and_hidden_ones_are_told():
    book = book_of(FAQ, "質問")
    book.create_sheet("控え").append(["見せない表"])
    book["控え"].sheet_state = "hidden"
    book.create_sheet("空")
    for row in (
        ["窓口", "場所", "電話"],
        ["市民課", "1階", "0123-45-0001"],
        ["税務課", "2階", "0123-45-0002"],
    ):
        (book["窓口"] if "窓口" in book.sheetnames else book.create_sheet("窓口")).append(row)
    source = read("案内.xlsx", saved(book))
    assert [(p.number, p.label) for p in source.pages] == [(1, "質問"), (4, "窓口")]
    assert "見せない表" not in source.text
    assert any("控え" in warning for warning in source.warnings)
    parsed = parse("案内.xlsx", saved(book))
    assert {(c.page, c.page_label, c.heading_path[0]) for c in parsed.chunks} == {
        (1, "質問", "質問"),
        (4, "窓口", "窓口"),
    }


def test_a_table_of_figures_is_rows_under_their_header():
    rows = [["地区", 2022, 2023, 2024], ["東", 1200, 1180, 1175.5], ["合計", 2400, 2360, 2351]]
    assert read("人口.xlsx", saved(book_of(rows))).text == (
        "| 地区 | 2022 | 2023 | 2024 |\n| 東 | 1200 | 1180 | 1175.5 |\n| 合計 | 2400 | 2360 | 2351 |"
    )


def test_the_value_of_a_formula_and_not_the_formula():
    data = saved(book_of([["品目", "単価", "計"], ["鉛筆", "十円", "=1+2"], ["紙", "百円", "=B2"]]))
    # as Excel saves it: with the last result
    held = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(held, "w") as new:
        for part in old.infolist():
            words = old.read(part)
            if part.filename == "xl/worksheets/sheet1.xml":
                words = words.replace(b"<f>1+2</f><v></v>", b"<f>1+2</f><v>3</v>").replace(
                    b"<f>1+2</f><v/>", b"<f>1+2</f><v>3</v>"
                )
            new.writestr(part, words)
    source = read("品目.xlsx", held.getvalue())
    assert records(source)[0][2] == ["品目：鉛筆", "単価：十円", "計：3"]
    assert records(source)[1][2] == ["品目：紙", "単価：百円"]
    assert "数式が1個" in source.warnings[0]


def test_a_macro_workbook():
    assert records(read("一覧.xlsm", saved(book_of(FAQ))))[1][0] == 3


def test_a_sheet_that_is_formatted_far_down_is_read_to_its_last_value(monkeypatch):
    monkeypatch.setattr("corpus.readers.xlsx.EMPTY_ROWS", 10)
    monkeypatch.setattr("corpus.readers.xlsx.MAX_CELLS", 500)
    book = book_of(FAQ)
    for row in range(5, 105):
        for column in range(1, 11):
            book.active.cell(row, column).number_format = "0%"
    assert len(records(read("一覧.xlsx", saved(book)))) == 3


def test_what_stands_after_many_empty_rows_is_read():
    book = book_of(FAQ)
    book.active.cell(20_010, 1).number_format = "0%"
    book.active["A30000"] = "窓口は九時に開きます。"
    book.active["XFD1048576"] = "夜間は木曜だけ開きます。"
    source = read("一覧.xlsx", saved(book))
    assert len(records(source)) == 3
    assert source.text.endswith("窓口は九時に開きます。\n\n夜間は木曜だけ開きます。")


@pytest.mark.parametrize(
    ("hide", "told"),
    [
        (lambda sheet: sheet.row_dimensions[2], True),
        (lambda sheet: sheet.column_dimensions["B"], True),
        (lambda sheet: sheet.row_dimensions[9], False),  # nothing stands there
        (lambda sheet: sheet.column_dimensions["F"], False),
    ],
)
def test_hidden_rows_and_columns_are_read_and_told(hide, told):
    book = book_of(FAQ, "質問")
    hide(book.active).hidden = True
    source = read("一覧.xlsx", saved(book))
    assert len(records(source)) == 3
    assert [
        words for words in source.warnings if "非表示の行や列（シート「質問」）も読みました" in words
    ] == list(source.warnings)
    assert bool(source.warnings) is told


def with_parts(data, **changes):
    """A workbook with pieces of its parts replaced: the part's stem with (old, new)."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            words = old.read(part).decode()
            if Path(part).stem in changes:
                before, after = changes[Path(part).stem]
                assert before in words
                words = words.replace(before, after)
            new.writestr(part, words)
    return out.getvalue()


@pytest.mark.parametrize(
    ("cell", "shown_as"),
    [
        (f"<c r='A2'><v>{'9' * 5_000}</v></c>", "9" * 5_000),
        ("<c r='A2'><v>1e400</v></c>", "1e400"),
        ("<c r='A2' t='d'><v>9999-99-99</v></c>", "9999-99-99"),
        ("<c r='A2'><v>ten</v></c>", "ten"),
        ("<c r='A2' s='99'><v>7</v></c>", "7"),
        ("<c r='A2' t='s'><v>99</v></c>", ""),
    ],
)
def test_a_cell_that_cannot_be_is_read_as_it_is_written(cell, shown_as):
    data = with_parts(saved(book_of(FAQ)), sheet1=('<c r="A2" t="n"><v>1</v></c>', cell))
    source = read("一覧.xlsx", data)
    assert records(source)[0][2][0] == (f"番号：{shown_as}" if shown_as else "質問：印鑑は要りますか")
    assert records(source)[1][2][0] == "番号：2"
    assert len(source.warnings) == 1
    assert "読めないセルが1個" in source.warnings[0]


def test_a_number_too_large_for_its_format_is_read_as_it_is_written():
    book = book_of([["名称", "開始"], ["見守り", 10**12], ["配食", 45397], ["研修", 45398]])
    for row in (2, 3, 4):
        book.active.cell(row, 2).number_format = "yyyy/m/d"
    source = read("一覧.xlsx", saved(book))
    assert [lines[1] for _, _, lines in records(source)] == [
        "開始：1000000000000",
        "開始：2024/4/15",
        "開始：2024/4/16",
    ]
    assert "1個" in source.warnings[0]


@pytest.mark.parametrize("piece", ["#,##0.", "[$", "yyyy", "&quot;"])
def test_an_endless_format_code_is_passed_over(piece):
    data = saved(book_of(FAQ, formats={"A2": '0"番"', "A3": '0"番"'}))
    data = with_parts(data, styles=("0&quot;番&quot;", piece * (1_000_000 // len(piece))))
    with in_time(8):
        source = read("一覧.xlsx", data)
    assert [lines[0] for _, _, lines in records(source)] == ["番号：1", "番号：2", "番号：3"]
    assert shown(1.5, piece * 200) == "1.5"


@pytest.mark.parametrize("piece", ["<f ", "<mergeCell ", "</f>" + " " * 50_000])
def test_a_comment_like_the_sheets_own_marks_is_seen_through(piece):
    data = saved(book_of(FAQ))
    data = with_parts(data, sheet1=("</sheetData>", f"</sheetData><!--{piece * (300_000 // len(piece))}-->"))
    with in_time(8):
        assert len(records(read("一覧.xlsx", data))) == 3


def test_many_rows_are_read_in_time():
    book = Workbook(write_only=True)
    sheet = book.create_sheet("一覧")
    sheet.append(["番号", "名称", "説明"])
    for number in range(20_000):
        sheet.append([number, f"名称{number}", "説明文です。"])
    started = time.perf_counter()
    source = read("一覧.xlsx", saved(book))
    assert len(records(source)) == 20_000
    assert time.perf_counter() - started < 20  # 2 s on a free core


# ---------------------------------------------------------------- what is refused


def zipped(parts, packing=zipfile.ZIP_DEFLATED):
    out = BytesIO()
    with zipfile.ZipFile(out, "w", packing) as file:
        for name, words in parts.items():
            file.writestr(name, words)
    return out.getvalue()


def _bomb():
    return zipped({"[Content_Types].xml": b"<Types/>", "xl/worksheets/sheet1.xml": bytes(200 << 20)})


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: OLE + "EncryptedPackage".encode("utf-16-le") + bytes(100), "パスワード"),
        (lambda: OLE + "Workbook".encode("utf-16-le"), r"古い形式.*\.xlsx"),
        (lambda: saved(book_of(FAQ))[:-600], "壊れて"),
        (lambda: saved(book_of(FAQ))[:200], "壊れて"),
        (lambda: zipped({"[Content_Types].xml": b"<Types/>"}), "壊れています"),
        (lambda: zipped({"[Content_Types].xml": b"", "word/document.xml": b""}), r"Word.*\.docx"),
        (lambda: zipped({"[Content_Types].xml": b"", "xl/workbook.bin": b""}), "xlsb"),
        (lambda: "件名,本文\r\n".encode(), "拡張子"),
        (_bomb, "大きすぎ"),
        (lambda: saved(Workbook()), "文字情報がありません"),
    ],
)
def test_what_is_refused_is_told_in_a_sentence(data, words):
    with pytest.raises(ReadError, match=words) as error:
        read("一覧.xlsx", data())
    assert str(error.value).endswith("。")


def test_broken_xml_is_told():
    parts = {}
    with zipfile.ZipFile(BytesIO(saved(book_of(FAQ)))) as file:
        parts = {part: file.read(part) for part in file.namelist()}
    for name in ("xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml"):
        broken = {**parts, name: parts[name][: len(parts[name]) // 2]}
        with pytest.raises(ReadError, match="壊れています"):
            read("一覧.xlsx", zipped(broken))


def test_too_many_cells(monkeypatch):
    monkeypatch.setattr("corpus.readers.xlsx.MAX_CELLS", 5)
    with pytest.raises(ReadError, match="セルが多すぎます"):
        read("一覧.xlsx", saved(book_of(FAQ)))


# ---------------------------------------------------------------- what a cell shows

SHOWN = [
    (DAY, 'yyyy"年"m"月"d"日"', "2024年4月15日"),
    (DAY, "yyyy/m/d", "2024/4/15"),
    (DAY, "yyyy-mm-dd", "2024-04-15"),
    (DAY, '[$-411]ggge"年"m"月"d"日"', "令和6年4月15日"),
    (DAY, "[$-411]ge.m.d", "R6.4.15"),
    (DAY, 'm"月"d"日"', "4月15日"),
    (DAY, "yyyy/m/d(aaa)", "2024/4/15(月)"),
    (datetime.datetime(2024, 4, 15, 9, 5, 30), "yyyy/m/d h:mm", "2024/4/15 9:05"),
    (datetime.time(13, 5), "h:mm AM/PM", "1:05 PM"),
    (datetime.time(9, 5, 7), "h:mm:ss", "9:05:07"),
    (0.5, "0%", "50%"),
    (0.1234, "0.0%", "12.3%"),
    (1234567, "#,##0", "1,234,567"),
    (1234567, '#,##0,"千円"', "1,235千円"),
    (-1234.5, "#,##0.00", "-1,234.50"),
    (-5, "0;△0", "△5"),
    (0, '0;-0;"－"', "－"),
    (7, "000", "007"),
    (3.0, "General", "3"),
    (2.5, "General", "2.5"),
    (0.1 + 0.2, "General", "0.3"),
    (1500, '"約"#,##0"人"', "約1,500人"),
    (1.5, "0.##", "1.5"),
    (12, "@", "12"),
]


@pytest.mark.parametrize(("value", "code", "words"), SHOWN)
def test_a_value_as_its_format_shows_it(value, code, words):
    assert shown(value, code) == words


def test_other_values():
    assert [shown(v, "General") for v in (None, "0123", True, datetime.timedelta(hours=26, minutes=3))] == [
        "",
        "0123",
        "TRUE",
        "26:03",
    ]


def _soffice():
    found = shutil.which("soffice")
    if found is None and not os.environ.get("CI"):
        pytest.skip("LibreOffice (soffice) is not installed")
    return found


def _converted(path: Path, kind: str) -> Path:
    subprocess.run(
        [
            _soffice(),
            f"-env:UserInstallation=file://{path.parent}/office",
            "--headless",
            "--convert-to",
            kind,
            "--outdir",
            str(path.parent / "out"),
            str(path),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return path.parent / "out" / f"{path.stem}.{kind.partition(':')[0]}"


def test_libreoffice_shows_the_same_values_and_its_files_are_read_alike(tmp_path):
    book = Workbook()
    sheet = book.active
    sheet.append(["名称", "値"])
    for value, code, _ in SHOWN:
        sheet.append([f"形式「{code}」", value])
        sheet.cell(sheet.max_row, 2).number_format = code
    path = tmp_path / "形式.xlsx"
    path.write_bytes(saved(book))
    # 76 is UTF-8, the last word says: cells as shown
    table = _converted(path, "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true")
    theirs = [row[1].strip() for row in csv.reader(table.read_text(encoding="utf-8").splitlines())][1:]
    # days of the week are in the language of the office that converts
    ours = [(t, words) for t, (_, code, words) in zip(theirs, SHOWN, strict=True) if "aaa" not in code]
    assert [t for t, _ in ours] == [words for _, words in ours]
    again = _converted(path, "ods")
    back = _converted(again, "xlsx")
    read_again = [
        lines for _, _, lines in records(read("a.xlsx", back.read_bytes())) if "aaa" not in lines[0]
    ]
    assert read_again == [
        lines for _, _, lines in records(read("a.xlsx", path.read_bytes())) if "aaa" not in lines[0]
    ]
