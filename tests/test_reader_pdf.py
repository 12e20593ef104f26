"""PDF: files made by LibreOffice, chromium and reportlab give the cases, headings and pages of the text they came from."""

from __future__ import annotations

import functools
import html
import io
import os
import re
import shutil
import subprocess
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

import docx
import pypdf
import pytest
from docx.oxml.ns import qn
from docx.shared import Pt
from reportlab.lib import pdfencrypt
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from corpus.documents import Parsed, parse
from corpus.readers import ReadError, Source, pdf, pdf_process, read
from corpus.readers.pdf_glyphs import shown
from corpus.records import Case

SAMPLES = Path(__file__).parent.parent / "corpus" / "samples"
SOFFICE = shutil.which("soffice")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FONT, VERTICAL = "HeiseiKakuGo-W5", "HeiseiMin-W3"
pdfmetrics.registerFont(UnicodeCIDFont(FONT))
pdfmetrics.registerFont(UnicodeCIDFont(VERTICAL, isVertical=True))

office = pytest.mark.skipif(
    SOFFICE is None and not os.environ.get("CI"), reason="LibreOffice (soffice) is not installed"
)
browser = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed"
)


# ---------------------------------------------------------------- samples rendered by real tools


@functools.cache
def sample(number: int) -> Parsed:
    (path,) = SAMPLES.glob(f"{number:02}_*")
    return parse(path.name, path.read_bytes())


Element = tuple[str, int, str, list[list[str]]]


def elements(number: int) -> Iterator[Element]:
    """A sample as (kind, level, words, rows): what an author would give a word processor."""
    document = sample(number).document
    levels = {heading.start: heading.level for heading in document.headings}
    titles = {heading.text: heading.level for heading in document.headings if heading.text.endswith("】")}
    rows: list[list[str]] = []
    start = 0
    for line in [*document.text.split("\n"), ""]:
        words = re.sub(r"^(?:#+|>)\s+", "", line.replace("**", "").strip())
        words = re.sub(r"\[([^\]]+)\]\((http[^)]+)\)", r"\1", words)
        cells = words.strip("|").split("|") if words.startswith("|") else words.split("\t")
        if len(cells) >= 3:
            if not re.fullmatch(r"[\s|:-]*", words) or not words:
                rows.append([cell.strip() for cell in cells])
        else:
            if rows:
                yield "table", 0, "", rows
                rows = []
            if start in levels or words in titles:
                yield "heading", min(6, levels.get(start, titles.get(words, 1))), words, []
            elif re.match(r"- (?![・※])", words):
                yield "item", 0, words[2:], []
            elif words:
                yield "paragraph", 0, words.removeprefix("- "), []
        start += len(line) + 1


def by_office(numbers: tuple[int, ...], folder: Path) -> dict[int, bytes]:
    """Samples as PDF: written with heading styles and tables by python-docx, printed by LibreOffice."""
    assert SOFFICE is not None
    for number in numbers:
        document = docx.Document()
        for name in ("Normal", "List Bullet", *(f"Heading {level}" for level in range(1, 7))):
            style = document.styles[name]
            style.font.name = "Noto Sans CJK JP"
            style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), "Noto Sans CJK JP")
        document.styles["Normal"].font.size = Pt(10.5)
        for kind, level, words, rows in elements(number):
            if kind == "heading":
                document.add_heading(words, level)
            elif kind == "table":
                table = document.add_table(rows=0, cols=max(map(len, rows)), style="Table Grid")
                for row in rows:
                    for cell, text in zip(table.add_row().cells, row, strict=False):
                        cell.text = text
            else:
                document.add_paragraph(words, style="List Bullet" if kind == "item" else None)
        document.save(str(folder / f"{number}.docx"))
    subprocess.run(
        [
            SOFFICE,
            f"-env:UserInstallation=file://{folder}/profile",
            "--headless",
            "--convert-to",
            "pdf",
            "--outdir",
            str(folder),
            *(str(folder / f"{number}.docx") for number in numbers),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return {number: (folder / f"{number}.pdf").read_bytes() for number in numbers}


def by_browser(body: str, style: str, folder: Path) -> bytes:
    assert CHROMIUM is not None
    source, made = folder / "page.html", folder / "page.pdf"
    source.write_text(
        '<!doctype html><html lang="ja"><meta charset="utf-8"><style>'
        'body{font:11pt/1.6 "Noto Sans CJK JP"} table{border-collapse:collapse} td,th{border:1px solid;padding:2px 6px}'
        f"@page{{size:A4;margin:20mm}}{style}</style>{body}",
        encoding="utf-8",
    )
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    subprocess.run(
        [*command, f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}", str(source)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return made.read_bytes()


def as_html(number: int) -> str:
    out = []
    for kind, level, words, rows in elements(number):
        words = html.escape(words)
        if kind == "table":
            cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
            out.append(f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>")
        else:
            out.append(
                {"heading": f"<h{level}>{words}</h{level}>", "item": f"<ul><li>{words}</ul>"}.get(
                    kind, f"<p>{words}</p>"
                )
            )
    return "".join(out)


def bare(words: str) -> str:
    """Words without spaces and the marks that formats differ in."""
    return re.sub(r"[\s|*・‧•\-]", "", unicodedata.normalize("NFKC", words))


def told(case: Case) -> tuple[object, ...]:
    own = (case.title, case.organization, case.department or "", case.phone or "", case.email or "")
    return (case.number, case.population, *map(bare, own))


def assert_same(data: bytes, number: int, least: float = 1.0) -> Parsed:
    """A PDF says what the sample says: its cases, its headings in order, its sentences, each on the page that a second
    implementation finds it on."""
    expected, found = sample(number), parse("見本.pdf", data)
    assert [told(case) for case in found.cases] == [told(case) for case in expected.cases]
    outline = iter([bare(heading.text) for heading in found.document.headings])
    lost = [h.text for h in expected.document.headings if not any(bare(h.text) == own for own in outline)]
    assert lost == []
    lines = "\n".join(bare(line) for line in found.document.text.split("\n"))
    sentences = [
        bare(line.removeprefix("> "))
        for chunk in expected.chunks
        for line in chunk.text.split("\n")
        if len(bare(line)) > 5 and "](" not in line and not re.fullmatch(r"[\s|:-]*", line)
    ]
    sentences = [re.sub(r"^[>#]+", "", sentence) for sentence in sentences]
    whole = [sentence for sentence in sentences if sentence in lines]
    assert len(whole) >= least * len(sentences), sorted(set(sentences) - set(whole))
    reader = pypdf.PdfReader(io.BytesIO(data))
    assert found.document.pages == len(reader.pages)
    pages = [bare("".join(map(shown, page.extract_text()))) for page in reader.pages]
    for case in found.cases:
        assert case.page_start is not None
        assert bare(case.title)[:8] in pages[case.page_start - 1]
    for chunk in found.chunks:
        assert chunk.page is not None
        # a table's row may be cut in its cells there
        words = bare(re.split(r"[|\n]", chunk.text.strip("| "))[0])[:8]
        assert words[:4] in pages[chunk.page - 1], chunk.text
    return found


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    return by_office((1, 2, 6), tmp_path_factory.mktemp("office"))


@office
@pytest.mark.parametrize("number", [1, 2, 6])
def test_what_libreoffice_prints_says_what_the_text_says(printed: dict[int, bytes], number: int) -> None:
    found = assert_same(printed[number], number)
    if number == 1:
        assert len(found.cases) == 6
        assert [case.page_start for case in found.cases] == sorted(
            case.page_start or 0 for case in found.cases
        )


@browser
@pytest.mark.parametrize(
    ("style", "least"),
    [
        ("", 1.0),
        (
            "body{column-count:2;column-gap:9mm;overflow-wrap:anywhere} h1{column-span:all} tr{break-inside:avoid}",
            0.99,
        ),
        ("html{writing-mode:vertical-rl}", 1.0),
    ],
    ids=["one column", "two columns", "vertical"],
)
def test_what_a_browser_prints_says_what_the_text_says(style: str, least: float, tmp_path: Path) -> None:
    assert_same(by_browser(as_html(1), style, tmp_path), 1, least)


# ---------------------------------------------------------------- pages drawn line by line


def drawn(pages: list[Callable[[Canvas], None]], **options: object) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, A4, **options)
    for page in pages:
        page(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def write(
    canvas: Canvas, x: float, y: float, lines: list[str], size: float = 10.5, pitch: float = 1.7
) -> None:
    """Lines one under the other, the first at y points from the top."""
    canvas.setFont(FONT, size)
    for at, line in enumerate(lines):
        canvas.drawString(x, A4[1] - y - at * pitch * size, line)


def wrapped(words: str, length: int) -> list[str]:
    return [words[at : at + length] for at in range(0, len(words), length)]


def text_of(*pages: Callable[[Canvas], None]) -> Source:
    return read("資料.pdf", drawn(list(pages)))


LONG = (
    "転入の手続をする人が窓口で待つ時間を減らすため、職員が話を聞きながら申請書を作り、住民は内容を確かめて署名するだけの窓口を設けた。"
    "設けた月から待つ時間は半分になり、書き損じも減った。来年度は出張所にも広げ、休みの日にも開く予定である。"
)
SECOND = (
    "霧ヶ沢村では車で集落を回る窓口を始め、月に二回、証明書を渡している。雨の日は家を訪ねて用事を聞いている。"
)


def test_lines_that_only_the_width_broke_are_one_paragraph() -> None:
    def page(canvas: Canvas) -> None:
        write(canvas, 60, 100, wrapped(LONG, 40))
        write(canvas, 60, 175, wrapped(SECOND, 40))
        write(canvas, 60, 300, wrapped(LONG, 40))

    # where a picture has room, three blank lines stand for it
    assert text_of(page).text == f"{LONG}\n\n{SECOND}\n\n\n\n{LONG}\n"


def test_a_page_of_short_paragraphs_is_not_one_paragraph() -> None:
    # articles 2.3 sizes apart, of which two wrap at 1.4; more lines end where the short ones do than at the margin
    articles = [
        LONG[:58] + "。",
        "様式は市長が定めるものとする。",
        "期間は四十五日以内とする。ただし",
        "様式は規則で定めるものとする。",
        "様式は課長が定めるものとする。",
        "様式は別に市長が定めて示すこととし、窓口と市のホームページに置くものとする。",
        SECOND[:45] + "。",
    ]

    def page(canvas: Canvas) -> None:
        y = 100.0
        for article in articles:
            write(canvas, 60, y, wrapped(article, 40), pitch=1.4)
            y += 10.5 * (2.3 + 1.4 * (len(wrapped(article, 40)) - 1))

    assert text_of(page).text == "\n\n".join(articles) + "\n"


def test_a_full_stop_that_hangs_out_of_the_column_moves_no_margin() -> None:
    # 38 of the 40 places of a line, and 「【青」 is not cut
    words = f"1 {LONG.replace('、', '')[:37]}"
    lines = [*wrapped(LONG, 40), *wrapped(SECOND, 40)]

    def page(canvas: Canvas) -> None:
        write(canvas, 60, 100, [words, "【青葉野市】"])
        write(canvas, 60, 160, [line + "。" if len(line) == 40 else line for line in lines] * 4)

    assert text_of(page).text.startswith(f"{words}【青葉野市】\n\n")


def test_rows_written_with_bars_end_with_a_bar() -> None:
    rows = [
        "| 4 市役所の窓口で書く用紙をなくす取組を始める | 【青葉野市】 | 12 |",
        "| 5 車で集落を回る | 【霧ヶ沢村】 | 14 |",
    ]

    def page(canvas: Canvas) -> None:
        write(canvas, 60, 100, wrapped(LONG, 40))
        write(canvas, 60, 175, [rows[0][:30], rows[0][30:], rows[1]])

    assert text_of(page).text == f"{LONG}\n\n{rows[0]}\n{rows[1]}\n"


def test_short_lines_stay_lines_and_items_stand_under_one_another() -> None:
    def page(canvas: Canvas) -> None:
        write(canvas, 60, 100, wrapped(LONG, 40))
        write(canvas, 60, 200, ["青葉野市窓口課", "電話 0000-11-0001"])
        write(canvas, 60, 260, ["・用紙をなくす", "・" + LONG[:39], "  " + LONG[39:60], "・車で回る"])

    text = text_of(page).text
    assert "\n\n青葉野市窓口課\n電話 0000-11-0001\n\n" in text
    assert text.endswith(f"・用紙をなくす\n・{LONG[:60]}\n・車で回る\n")


def test_latin_words_keep_their_space_and_addresses_do_not_get_one() -> None:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        for at, line in enumerate(
            [
                "The office helps those who move to the town with all of the forms",
                "they need and sends them to no other place, as it had before.",
            ]
        ):
            canvas.drawString(60, 700 - 15 * at, line)
        for at, line in enumerate(
            ["See https://www.city.aobano.example.jp/madoguchi/tetsuzuki/uke-", "tsuke/index.html"]
        ):
            canvas.drawString(60, 600 - 15 * at, line)

    text = text_of(page).text
    assert "of the forms they need and sends" in text
    assert "https://www.city.aobano.example.jp/madoguchi/tetsuzuki/uke-tsuke/index.html" in text


def test_two_columns_under_a_title_are_read_one_after_the_other() -> None:
    def page(canvas: Canvas) -> None:
        write(canvas, 60, 80, ["窓口を変えた二つの町の記録をまとめて比べる"], size=20)
        left, right = wrapped(LONG, 20), wrapped(SECOND * 2, 20)
        for at, (one, other) in enumerate(zip_longest(left, right, fillvalue="")):  # drawn line by line
            write(canvas, 60, 130 + 18 * at, [one])
            write(canvas, 320, 139 + 18 * at, [other])

    source = text_of(page)
    assert source.text == f"窓口を変えた二つの町の記録をまとめて比べる\n\n{LONG}\n\n{SECOND * 2}\n"
    assert [(mark.start, mark.end, mark.level) for mark in source.marks] == [(0, 21, 1)]


def test_vertical_writing_goes_from_right_to_left() -> None:
    def page(canvas: Canvas) -> None:
        canvas.setFont(VERTICAL, 12)
        for at, line in enumerate(wrapped(LONG, 30)):
            canvas.drawString(500 - 21 * at, 760, line)

    assert text_of(page).text == f"{LONG}\n"


def ruled(canvas: Canvas, x: float, y: float, rows: list[list[str]], width: float = 120) -> None:
    height = 20
    for at in range(len(rows) + 1):
        canvas.line(x, A4[1] - y - at * height, x + width * len(rows[0]), A4[1] - y - at * height)
    for at in range(len(rows[0]) + 1):
        canvas.line(x + at * width, A4[1] - y, x + at * width, A4[1] - y - height * len(rows))
    for at, row in enumerate(rows):
        for column, words in enumerate(row):
            write(canvas, x + column * width + 4, y + at * height + 14, [words])


def test_a_ruled_table_stands_in_its_place_and_goes_on_over_the_page() -> None:
    head, rows = (
        ["区分", "点数", "目安"],
        [["緊急", "80点以上", "3日以内"], ["優先", "50点以上", "3か月以内"]],
    )

    def first(canvas: Canvas) -> None:
        write(canvas, 60, 100, wrapped(LONG, 40))
        ruled(canvas, 60, 200, [head, rows[0]])

    def second(canvas: Canvas) -> None:
        ruled(canvas, 60, 80, [head, rows[1]])
        write(canvas, 60, 200, wrapped(SECOND, 40))

    source = text_of(first, second)
    table = "| 区分 | 点数 | 目安 |\n| 緊急 | 80点以上 | 3日以内 |\n| 優先 | 50点以上 | 3か月以内 |"
    assert source.text == f"{LONG}\n\n{table}\n\n{SECOND}\n"
    assert [page.start for page in source.pages] == [0, source.text.index("| 優先")]


def test_merged_cells_speak_once_and_open_sides_are_sides() -> None:
    def page(canvas: Canvas) -> None:
        top = A4[1] - 100
        for y, x0 in ((0, 60), (20, 160), (40, 60), (60, 60)):  # 「費用」 reaches over two rows
            canvas.line(x0, top - y, 360, top - y)
        for x in (160, 260):
            canvas.line(x, top, x, top - 60)
        for x, y, words in (
            (64, 14, "費用"),
            (164, 14, "初年度"),
            (264, 14, "840千円"),
            (164, 34, "次年度"),
            (264, 34, "210千円"),
            (64, 54, "職員"),
            (264, 54, "2名"),
        ):
            write(canvas, x, 100 + y, [words])

    assert text_of(page).text == "| 費用 | 初年度 | 840千円 |\n|  | 次年度 | 210千円 |\n| 職員 |  | 2名 |\n"


def test_headings_by_size_and_weight_but_not_numbers_furniture_or_cells() -> None:
    def page(canvas: Canvas) -> None:
        write(canvas, 60, 80, ["第1章 窓口のこれから"], size=20)
        write(canvas, 60, 130, ["来庁する人の待つ時間を短くして職員の手間も"], size=15)
        write(canvas, 60, 156, ["へらす"], size=15)
        write(canvas, 60, 200, wrapped(LONG * 3, 40))
        write(canvas, 60, 380, ["1,230"], size=30)
        write(canvas, 60, 420, ["出張所の窓口"], size=15)
        write(canvas, 60, 450, wrapped(SECOND * 3, 40))
        ruled(canvas, 60, 600, [["区分", "点数"], ["緊急", "80点"]])

    source = text_of(page)
    found = [(source.text[mark.start : mark.end], mark.level) for mark in source.marks]
    assert found == [
        ("第1章 窓口のこれから", 1),
        ("来庁する人の待つ時間を短くして職員の手間も", 2),
        ("へらす", 2),
        ("出張所の窓口", 2),
    ] or found == [
        ("第1章 窓口のこれから", 1),
        ("来庁する人の待つ時間を短くして職員の手間もへらす", 2),
        ("出張所の窓口", 2),
    ]


def running(number: int, head: str, body: list[str], foot: str) -> Callable[[Canvas], None]:
    def page(canvas: Canvas) -> None:
        write(canvas, 60, 40, ["みずほ県窓口改善計画"], size=9)
        write(canvas, 400, 40, [head], size=9)
        write(canvas, 60, 100, body)
        write(canvas, 280, 810, [foot], size=9)

    return page


def test_running_heads_and_page_numbers_leave_and_sentences_go_on() -> None:
    lines = wrapped(LONG * 8, 40)
    parts = [lines[:7], lines[7:13], lines[13:18], lines[18:]]
    heads = ["第1章 現状", "第1章 現状", "第2章 方針", "第2章 方針"]
    pages = [
        running(at, head, part, f"- {at + 5} -")
        for at, (head, part) in enumerate(zip(heads, parts, strict=True))
    ]
    text = text_of(*pages).text
    assert "みずほ県窓口改善計画" not in text
    assert not re.search(r"- \d+ -", text)
    assert [text.count(head) for head in ("第1章 現状", "第2章 方針")] == [1, 1]
    assert text.replace("第1章 現状", "").replace("第2章 方針", "").replace("\n", "") == LONG * 8
    assert lines[6] + lines[7] in text


def test_the_title_line_of_a_case_stays_where_it_changes() -> None:
    def book(number: int, organization: str, body: str) -> Callable[[Canvas], None]:
        def page(canvas: Canvas) -> None:
            write(canvas, 60, 40, [f"{number} 窓口の取組その{number}を始める【{organization}】"], size=10.5)
            write(canvas, 60, 100, wrapped(body, 40))
            write(canvas, 290, 810, [str(number + 20)], size=9)

        return page

    names = ["みずほ県青葉野市", "みずほ県霧ヶ沢村", "みずほ県月見坂町"]
    pages = [book(at // 2 + 1, names[at // 2], LONG if at % 2 else SECOND) for at in range(6)]
    found = parse("事例.pdf", drawn(pages))
    assert [(case.number, case.organization) for case in found.cases] == list(enumerate(names, start=1))
    assert [(case.page_start, case.page_end) for case in found.cases] == [(1, 2), (3, 4), (5, 6)]


def test_a_label_with_half_a_character_is_passed_over() -> None:
    data = drawn([lambda canvas: write(canvas, 60, 100, ["頁の題", "", *wrapped(LONG, 40)])] * 2)
    writer = pypdf.PdfWriter(io.BytesIO(data))
    writer.set_page_label(0, 0, prefix="x")
    writer.set_page_label(1, 1, "/D", prefix="付-")
    out = io.BytesIO()
    writer.write(out)
    spoilt = out.getvalue().replace(b"(x)", b"<FEFFD8000041>")
    assert b"D8000041" in spoilt
    assert [page.label for page in read("計画.pdf", spoilt).pages] == ["", "付-1"]


def test_pages_have_their_number_and_the_label_that_is_printed() -> None:
    lines = wrapped(LONG, 40)
    data = drawn(
        [lambda canvas, at=at: write(canvas, 60, 100, [f"頁{at}の題", "", *lines]) for at in range(4)]
    )
    writer = pypdf.PdfWriter(io.BytesIO(data))
    writer.set_page_label(0, 1, "/r")
    writer.set_page_label(2, 2, "/D", start=3)
    writer.set_page_label(3, 3, "/D", prefix="付-", start=1)
    out = io.BytesIO()
    writer.write(out)
    source = read("計画.pdf", out.getvalue())
    assert [(page.number, page.label) for page in source.pages] == [(1, "i"), (2, "ii"), (3, ""), (4, "付-1")]
    assert [source.text[page.start :].startswith(f"頁{at}の題") for at, page in enumerate(source.pages)] == [
        True
    ] * 4


def test_a_sentence_over_a_page_break_lies_on_both_pages() -> None:
    lines = wrapped(LONG, 40)
    source = text_of(
        lambda canvas: write(canvas, 60, 700, lines[:2]), lambda canvas: write(canvas, 60, 100, lines[2:])
    )
    assert source.text == f"{LONG}\n"
    assert [page.start for page in source.pages] == [0, 80]


# ---------------------------------------------------------------- what cannot be read, or not all of it


def picture(canvas: Canvas) -> None:
    canvas.rect(60, 200, 400, 500, fill=1)


def words(canvas: Canvas) -> None:
    write(canvas, 60, 100, wrapped(LONG, 40))


def test_pictures_without_text_are_reported_and_not_read_as_empty() -> None:
    with pytest.raises(ReadError, match=r"文字情報がありません.*OCR"):
        text_of(picture, picture)
    source = text_of(words, picture, words, picture)
    (warning,) = source.warnings
    assert warning.startswith("2・4ページに文字情報がありません")
    assert [page.number for page in source.pages] == [1, 2, 3, 4]
    assert source.pages[1].start == source.pages[2].start
    assert text_of(words, lambda canvas: None).warnings == ()  # an empty page says nothing and shows nothing


def test_a_password_is_named() -> None:
    locked = pdfencrypt.StandardEncryption("secret", ownerPassword="owner", strength=128)
    with pytest.raises(ReadError, match="パスワード"):
        read("資料.pdf", drawn([words], encrypt=locked))
    open_to_read = pdfencrypt.StandardEncryption("", ownerPassword="owner", canPrint=0, strength=128)
    assert read("資料.pdf", drawn([words], encrypt=open_to_read)).text == f"{LONG}\n"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.98])
def test_a_file_cut_off_is_refused(share: float) -> None:
    data = drawn([words] * 3)
    with pytest.raises(ReadError, match="切れて"):
        read("資料.pdf", data[: int(share * len(data))])


def test_damaged_and_misnamed_files_are_refused() -> None:
    with pytest.raises(ReadError, match="PDFではありません"):
        read("資料.pdf", "これはテキストです。".encode())
    with pytest.raises(ReadError, match="0バイト"):
        read("資料.pdf", b"")
    with pytest.raises(ReadError, match="壊れて"):
        read("資料.pdf", b"%PDF-1.7\n" + b"\x00\xff" * 5000 + b"\nstartxref\n9\n%%EOF")
    with pytest.raises(ReadError):
        read("資料.pdf", b"%PDF-1.7\n%%EOF")


def raw_pdf(content: bytes, entries: str = "", count: int = 1) -> bytes:
    """A file written by hand: one page (named `count` times) with a content stream."""
    kids = " ".join(["3 0 R"] * count)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(content)} {entries} >>\nstream\n".encode() + content + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        out
        + b"xref\n0 6\n0000000000 65535 f \n%strailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
        % (
            table,
            len(out),
        )
    )


def test_a_small_file_that_inflates_to_much_is_refused() -> None:
    packer = zlib.compressobj(5)
    chunk = b"0 0 1 1 re f " * 80_000
    content = b"".join(packer.compress(chunk) for _ in range(250)) + packer.flush()  # 260 MB of rectangles
    assert len(content) < 1_000_000
    begun = time.monotonic()
    with pytest.raises(ReadError, match="展開"):
        read("資料.pdf", raw_pdf(content, "/Filter /FlateDecode"))
    assert time.monotonic() - begun < 20


def test_a_crowded_page_is_read_without_its_layout() -> None:
    lines = "".join(f"1 0 0 1 {x} {y} Tm (word) Tj " for x in range(10, 580, 6) for y in range(10, 830, 6))
    begun = time.monotonic()
    source = read("資料.pdf", raw_pdf(f"BT /F1 1 Tf {lines} ET".encode()))
    assert time.monotonic() - begun < 10
    assert source.text.count("word") == 95 * 137
    assert "1ページは文字や線が多すぎる" in source.warnings[0]


def test_a_page_of_rulings_takes_no_minutes() -> None:
    grid = "".join(f"{x} 10 m {x} 830 l S 10 {x + 100} m 580 {x + 100} l S " for x in range(10, 580))
    dense = "".join(f"{10 + at * 0.1:.1f} 10 m {10 + at * 0.1:.1f} 830 l S " for at in range(5000))
    begun = time.monotonic()
    text = "BT /F1 10 Tf 1 0 0 1 60 835 Tm (The words of a page with a drawing) Tj ET "
    for lines in (grid, dense):
        assert "The words of a page" in read("資料.pdf", raw_pdf((text + lines).encode())).text
    assert time.monotonic() - begun < 15


def test_too_many_pages_are_refused() -> None:
    with pytest.raises(ReadError, match="ページが多すぎます"):
        read("資料.pdf", raw_pdf(b"", count=5001))


def test_a_process_that_dies_or_hangs_takes_nothing_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_SECONDS", 0.01)
    with pytest.raises(ReadError, match="読み終わりません"):
        read("資料.pdf", drawn([words]))
    monkeypatch.undo()
    monkeypatch.setattr(pdf.sys, "executable", "/bin/false")
    with pytest.raises(ReadError, match="壊れている"):
        read("資料.pdf", drawn([words]))


def test_the_same_file_gives_the_same_source_in_and_out_of_the_process() -> None:
    data = drawn([words, picture, words])
    one, other = read("資料.pdf", data), read("資料.pdf", data)
    assert one == other
    inside = pdf_process.read(data)
    assert inside["text"] == one.text


def test_forms_of_characters_are_written_as_characters() -> None:
    assert "".join(map(shown, "⼤⻑︒ﬁ①Ａ")) == "大長。fi①Ａ"
