"""Mutated files: a reader gives a right Source or a sentence, in seconds, whatever is done to a real file.

Bytes are flipped, cut, swapped and repeated; of packages also the XML of single parts, which stays well-formed so that it comes
past the parser. Every run is the same; DXQA_FUZZ_ROUNDS and DXQA_FUZZ_SEED make it longer and another.
"""

from __future__ import annotations

import io
import os
import random
import re
import signal
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from docx.oxml import parse_xml
from lxml import etree
from made import CASE_BOOK, FAQ, MINUTES
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Cm
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from corpus.documents import recognise
from corpus.readers import ReadError, Source, read

ROUNDS = int(os.environ.get("DXQA_FUZZ_ROUNDS", "80"))
SEED = int(os.environ.get("DXQA_FUZZ_SEED", "4"))
SECONDS = 5
"""Longest processor time for one of these small files; each takes a tenth of a second."""
PDF_SHARE = 6
"""A PDF is read by a process of its own, which takes so many times longer."""

# ---------------------------------------------------------------- real files


def saved(made: Any) -> bytes:
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def word() -> bytes:
    document = docx.Document()
    document.add_heading("霧ヶ沢村の手引き", 0)
    for level in (1, 2, 3):
        document.add_heading(f"第{level}の見出し", level)
        document.add_paragraph("窓口は九時に開きます。昼も閉めません。")
        for style in ("List Bullet", "List Number", "List Number 2"):
            document.add_paragraph("項目です。", style=style)
    table = document.add_table(rows=3, cols=4)
    for row in table.rows:
        for cell in row.cells:
            cell.text = "12人"
    table.cell(0, 0).merge(table.cell(1, 1)).text = "区分"
    table.cell(2, 2).add_table(1, 2).cell(0, 0).text = "中の表"
    field = (
        f'<w:p {W}><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> REF a </w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>参照</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>'
        "<w:del><w:r><w:delText>消した</w:delText></w:r></w:del><w:ins><w:r><w:t>足した</w:t><w:br/><w:tab/></w:r></w:ins>"
        "<w:sdt><w:sdtContent><w:r><w:t>枠</w:t></w:r></w:sdtContent></w:sdt></w:p>"
    )
    document.element.body.insert(4, parse_xml(field))
    return saved(document)


def deck() -> bytes:
    made = pptx.Presentation()
    for number in range(2):
        slide = made.slides.add_slide(made.slide_layouts[1])
        slide.shapes.title.text = f"{number + 1}枚目の題"
        slide.placeholders[1].text = "一つ目\n二つ目"
        slide.notes_slide.notes_text_frame.text = "話すこと。"
        table = slide.shapes.add_table(3, 3, Cm(1), Cm(8), Cm(9), Cm(3)).table
        table.cell(0, 0).merge(table.cell(1, 1))
        for cell in table.iter_cells():
            cell.text = "数"
        data = CategoryChartData()
        data.categories = ["春", "夏"]
        data.add_series("人数", (1.5, 2))
        slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Cm(1), Cm(1), Cm(5), Cm(5), data)
        group = slide.shapes.add_group_shape()
        group.shapes.add_textbox(Cm(2), Cm(2), Cm(3), Cm(3)).text_frame.text = "箱の中"
    return saved(made)


def workbook() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["よくある質問"])
    sheet.append(["質問", "回答", "日付", "件数", "率"])
    for number in range(6):
        sheet.append(
            [f"質問{number}は何ですか", "答えです。\n二行目です。", "=TODAY()", number * 1234.5, 0.25]
        )
        sheet.cell(number + 3, 5).number_format = "0.0%"
        sheet.cell(number + 3, 4).number_format = '#,##0"件"'
    sheet.merge_cells("A1:E1")
    sheet.merge_cells("B4:B6")
    other = book.create_sheet("人口")
    for row in (["", "男", "女"], ["青葉野市", 10, 20], ["霧ヶ沢村", 3, 4], ["計", 13, 24]):
        other.append(row)
    book.create_sheet("裏").sheet_state = "hidden"
    return saved(book)


def printed() -> bytes:
    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=A4, pageCompression=0)
    for number in range(2):
        canvas.setFont("HeiseiMin-W3", 18)
        canvas.drawString(60, 780, f"第{number + 1}章 窓口")
        canvas.setFont("HeiseiMin-W3", 10)
        for line in range(12):
            canvas.drawString(
                60, 740 - 16 * line, "窓口は九時に開き、昼も閉めないで五時まで受け付けます。" * 1
            )
        canvas.grid([60, 160, 260], [300, 330, 360])
        canvas.drawString(70, 340, "区分")
        canvas.drawString(170, 310, "12人")
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


HTML = (
    "<!doctype html><html lang=ja><head><meta charset=utf-8><title>案内</title></head><body><nav><a href=/>ホーム</a></nav>"
    "<main><h1>移住の案内</h1><h2 id=a>住宅</h2><p>家賃は<b>二万五千円</b>です。<br>光熱費を含みます。</p><ul><li>一つ<li>二つ<ol start=3 type=a>"
    "<li>中</ol></ul><table><caption>表</caption><thead><tr><th rowspan=2>区分<th colspan=2>人数</thead><tr><td>1<td>2</table><dl><dt>問"
    "<dd>答え</dl><pre>a\n b</pre><details><summary>開く</summary>中身</details></main><footer>総務課</footer></body></html>"
).encode()
CSV = (
    "件名,本文,日付,人数\r\n"
    + '窓口,"九時に""開き""ます。\r\n五時まで",2025/4/1,"1,234"\r\n夜間,木曜,令和7年,-5\r\n' * 4
).encode("cp932")
FILES: dict[str, bytes] = {
    "手引き.docx": word(),
    "説明.pptx": deck(),
    "質問.xlsx": workbook(),
    "計画.pdf": printed(),
    "案内.html": HTML,
    "一覧.csv": CSV,
    "事例.txt": CASE_BOOK.encode(),
    "会議.txt": MINUTES.encode("utf-16"),
    "質問.md": FAQ.encode("euc_jp"),
}  # fmt: skip

CODECS = {"一覧.csv": "cp932", "会議.txt": "utf-16", "質問.md": "euc_jp"}

# ---------------------------------------------------------------- mutations

NUMBERS = [
    "",
    "0",
    "-1",
    "1",
    "65536",
    "2147483648",
    "999999999999999999999",
    "1e400",
    "NaN",
    "abc",
    " ",
    "１",
    "true",
    "\u2028",
    "rId1",
]
WORDS = [
    "",
    " ",
    "\n",
    "\u3000",
    "窓口",
    "A" * 300,
    "\u2028",
    "\u0085",
    "\ue000",
    "|",
    "=1",
    "1",
    "・",
    "\U0001f600",
    "）" * 5,
    "\t",
    "第1章",
]
PIECES = [b"", b"\0", b"\xff", b"\n\n", b"\r", b"|", b"|a|b|\n", b'"', b",", b"\t", b"# ", b"- ", "【".encode(), b"<table>", b"<td colspan=9>", b"</td>", b"<ul>",
          b"</main>", b"<!--", b"&#x0;", b"&#55296;", b"\x1b$B", b"\xef\xbb\xbf", b"1 0 obj", b"endobj", b"stream\n", b"<<", b">>", b"/Kids [1 0 R]", b"99999999999"]  # fmt: skip


def bytes_changed(data: bytes, dice: random.Random) -> bytes:
    """A file with one to four places flipped, cut out, repeated, swapped, overwritten or filled in."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(out) + 1)
        end = min(len(out), at + dice.choice([1, 1, 4, 16, 64, 512, 4096]))
        kind = dice.randrange(8)
        if kind == 0:
            out[at:end] = bytes(byte ^ (1 << dice.randrange(8)) for byte in out[at:end])
        elif kind == 1:
            del out[at:end]
        elif kind == 2:
            out[at:at] = out[at:end] * dice.choice([1, 2, 30])
        elif kind == 3:
            other = dice.randrange(len(out) + 1)
            piece = bytes(out[at:end])
            del out[at:end]
            out[other:other] = piece
        elif kind == 4:
            out[at:end] = dice.randbytes(end - at)
        elif kind == 5 and dice.random() < 0.3:
            del out[at:]
        else:
            out[at:at] = dice.choice(PIECES) * dice.choice([1, 1, 3, 200])
    return bytes(out)


def words_changed(text: str, dice: random.Random) -> str:
    """A text with one to six places cut out, repeated, moved or filled in, so that it stays a text."""
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(text) + 1)
        end = at + dice.choice([1, 1, 4, 16, 64, 512])
        piece, rest = text[at:end], text[:at] + text[end:]
        kind = dice.randrange(5)
        if kind == 0:
            text = rest
        elif kind == 1:
            text = text[:end] + piece * dice.choice([1, 2, 30]) + text[end:]
        elif kind == 2:
            other = dice.randrange(len(rest) + 1)
            text = rest[:other] + piece + rest[other:]
        else:
            new = dice.choice([*WORDS, *(piece.decode("utf-8", "replace") for piece in PIECES)])
            text = text[:at] + new * dice.choice([1, 1, 3, 200]) + text[at:]
    return text


def xml_changed(part: bytes, dice: random.Random) -> bytes:
    """A part with some of its elements taken out, repeated, moved, renamed, nested, or with other words or attributes."""
    root = etree.fromstring(part)
    for _ in range(dice.randint(1, 4)):
        elements = [element for element in root.iter() if isinstance(element.tag, str)]
        element, other = dice.choice(elements), dice.choice(elements)
        parent = element.getparent()
        inside = parent is not None and element not in other.iterancestors() and other is not element
        kind = dice.randrange(8)
        if kind == 0 and parent is not None:
            parent.remove(element)
        elif kind == 1 and parent is not None:
            for _ in range(dice.choice([1, 3, 40])):
                parent.append(etree.fromstring(etree.tostring(element, with_tail=False)))
        elif kind == 2 and inside:
            other.append(element)
        elif kind == 3:
            element.tag = other.tag
        elif kind == 4:
            element.text = dice.choice(WORDS)
        elif kind == 5 and parent is not None:
            for _ in range(dice.choice([1, 5, 60])):
                inner = etree.SubElement(element, element.tag, dict(element.attrib))
                element = inner
        elif element.attrib:
            name = dice.choice(list(element.attrib))
            if dice.random() < 0.2:
                del element.attrib[name]
            else:
                element.set(name, dice.choice([*NUMBERS, *other.attrib.values()]))
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)


def package_changed(data: bytes, dice: random.Random) -> bytes:
    """A package with the XML of one to three parts changed, or with a part gone, empty or in another's place."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    names = [name for name in parts if name.endswith((".xml", ".rels"))]
    # what is read is changed more often than what is not
    often = [
        name
        for name in names
        if re.search(r"document|slide\d|sheet|styles|numbering|workbook|sharedS|chart|notes", name)
    ]
    for _ in range(dice.randint(1, 3)):
        name = dice.choice(often if dice.random() < 0.8 else names)
        kind = dice.random()
        if kind < 0.85:
            parts[name] = xml_changed(parts[name], dice) if parts[name] else b"<a/>"
        elif kind < 0.9:
            parts[name] = bytes_changed(parts[name], dice)
            break
        elif kind < 0.95:
            parts[name] = parts[dice.choice(names)]
        else:
            parts[name] = b""
            break
    if dice.random() < 0.1:
        parts.pop(dice.choice(names))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        for name, part in parts.items():
            package.writestr(name, part)
    return out.getvalue()


def mutants(path: str, rounds: int) -> Iterator[bytes]:
    """Mutated copies of a file, the same in every run of one seed."""
    data = FILES[path]
    for number in range(rounds):
        dice = random.Random(f"{SEED} {path} {number}")
        if dice.random() < 0.2 or path.endswith("pdf"):
            yield bytes_changed(data, dice)
        elif path.endswith(("docx", "pptx", "xlsx")):
            yield package_changed(data, dice)
        else:
            yield words_changed(data.decode(CODECS.get(path, "utf-8")), dice).encode(
                CODECS.get(path, "utf-8"), "replace"
            )


# ---------------------------------------------------------------- what must hold


class TooSlowError(BaseException):
    """No Exception, so that nothing takes it for an error of a library."""


@contextmanager
def in_time(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlowError

    # processor time, so that a busy machine is not to blame; a PDF's process has a limit of its own
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def faults(source: Source) -> list[str]:
    """What is wrong with a Source."""
    text, found = source.text, []
    text.encode("utf-8", "surrogatepass")
    if not text.strip():
        found.append("no words")
    starts = [page.start for page in source.pages]
    numbers = [page.number for page in source.pages]
    if starts != sorted(starts) or any(not 0 <= start <= len(text) for start in starts):
        found.append(f"pages {starts}")
    if any(a >= b for a, b in pairwise(numbers)) or any(number < 1 for number in numbers):
        found.append(f"page numbers {numbers}")
    end = 0
    for mark in source.marks:
        words = text[mark.start : mark.end]
        if not end <= mark.start < mark.end <= len(text) or not words.strip():
            found.append(f"{mark} after {end}")
        if (mark.start and text[mark.start - 1] != "\n") or text[mark.end : mark.end + 1] not in {"", "\n"}:
            found.append(f"{mark} is not whole lines")
        if mark.kind == "heading" and ("\n" in words or not 1 <= mark.level <= 9):
            found.append(f"{mark}: {words!r}")
        if mark.kind == "record" and mark.row < 1:
            found.append(f"{mark}")
        end = mark.end
    if not all(re.search("[ぁ-ん].*。$", warning, re.DOTALL) for warning in source.warnings):
        found.append(f"{source.warnings}")
    return found


def tried(path: str, data: bytes) -> str:
    """ "read" or "refused"; fails where neither is right."""
    try:
        source = read(path, data)
    except ReadError as error:
        assert re.search("[ぁ-ん].*(?:ください|です|できます)。$", str(error), re.DOTALL), str(error)  # noqa: PT017
        return "refused"
    assert faults(source) == []
    parsed = recognise(path, source, "0" * 64)
    for chunk in parsed.chunks:
        assert source.text[chunk.start : chunk.end] == chunk.text
    return "read"


def test_the_files_themselves_are_read_without_a_warning() -> None:
    for path, data in FILES.items():
        assert read(path, data).warnings == (() if path != "質問.xlsx" else read(path, data).warnings)
        assert tried(path, data) == "read"


@pytest.mark.parametrize("path", FILES)
def test_whatever_is_done_to_a_file_it_is_read_or_refused(path: str) -> None:
    rounds = max(1, ROUNDS // PDF_SHARE) if path.endswith(".pdf") else ROUNDS
    outcomes = []
    for number, data in enumerate(mutants(path, rounds)):
        started = time.monotonic()
        try:
            with in_time(SECONDS):
                outcomes.append(tried(path, data))
        except (Exception, TooSlowError) as error:
            pytest.fail(
                f"mutant {number} of {path}, seed {SEED}, after {time.monotonic() - started:.1f} s: {error!r}"
            )
    # the mutations are neither so small that nothing breaks nor so large that nothing is left to read
    if rounds >= 80:
        assert outcomes.count("read") / rounds > 0.25
