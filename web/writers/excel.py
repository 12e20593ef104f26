"""Excel: a dossier as a .xlsx, a sheet for what is taken along, one for its sources, one for its conditions.

In: a readable dossier. Out: the bytes of a workbook in which every cell is text: nothing of a document can become a formula,
a date or a number, and text that no cell can hold goes on in the row below.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from qa.dossier import ABSENT, PRODUCT, SOURCE_LABELS, Dossier, Fact, Section, Value, moment_words

CELL_UNITS = 32_767
"""What a cell can hold, in units of UTF-16."""
CELL_LINES = 22
"""Lines of a cell that can be seen: a row is at most 409 points high, and a line of Yu Gothic of 10 points takes 17 to 18."""
_LINE_POINTS, _PADDING_POINTS = 17.5, 4
_TITLE_CHARS = 300
"""Of a longer title the sheets show the beginning; among the conditions it stands whole."""
CONTINUED = "（続き）"
_FONT = "Yu Gothic"
_QUOTATION = "引用（原文のまま）"
# in characters of half width: a list of sources on an A4 page on its side is printed at two thirds of its size
_WIDTHS = {
    "番号": 7,
    "資料": 20,
    _QUOTATION: 62,
    "発行者": 10,
    "日付": 11,
    "ファイル": 14,
    "形式": 9,
    "箇所": 9,
    "本文の行": 10,
    "見出し": 24,
    "事例": 20,
    "扱い": 12,
    "参照日": 11,
    "アドレス": 20,
    "区分": 12,
    "項目": 18,
    "内容": 80,
    "補足": 20,
    "出典": 7,
    "値": 90,
}
_COMPARED = 34
_WRAPPED = Alignment(wrap_text=True, vertical="top")
_LINE = Side(style="thin", color="D5D7DE")
_FRAME = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
_HEAD = PatternFill("solid", start_color="EEEEEE")
# Excel reads 「_x0041_」 in a cell as 「A」; the first character written so keeps it from doing that
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\]")


def write(dossier: Dossier) -> bytes:
    """The file's bytes."""
    book = Workbook()
    book.remove(book.active)
    listed = [section for section in dossier.sections if len(section.columns) < 2]
    if listed:
        _fill(book, dossier.kind, dossier, ("区分", "項目", "内容", "補足", "出典"), _listed(dossier, listed))
    for section in dossier.sections:
        if section not in listed:
            _compared(book, dossier, section)
    labels = [label for label in SOURCE_LABELS if any(_fact(s.facts, label) for s in dossier.sources)]
    before, after = labels[:1], labels[1:]  # what is quoted stands beside what it is quoted from
    _fill(
        book,
        "参考（答えではありません）" if dossier.reference else "出典",
        dossier,
        ("番号", *before, _QUOTATION, *after),
        (
            (
                dossier.mark(source.number),
                *(_fact(source.facts, label) for label in before),
                source.quotation,
                *(_fact(source.facts, label) for label in after),
            )
            for source in dossier.sources
        ),
    )
    _fill(book, "条件", dossier, ("項目", "値"), ((fact.label, fact.value) for fact in dossier.facts))
    about = book.properties
    about.title, about.subject, about.creator, about.language = (
        dossier.title[:255],
        dossier.kind,
        PRODUCT,
        "ja-JP",
    )
    about.created = about.modified = dossier.when.astimezone(UTC).replace(tzinfo=None)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


# ---------------------------------------------------------------- rows


def _listed(dossier: Dossier, sections: Sequence[Section]) -> Iterator[tuple[str, ...]]:
    for section in sections:
        for line in section.lines:
            yield section.heading, "", line, "", ""
        for sentence in section.sentences:
            marks = " ".join(dossier.mark(number) for number in sentence.numbers)
            yield section.heading, sentence.label, sentence.text, sentence.why, marks
        for row in section.rows:
            (value,) = row.values
            yield section.heading, row.label, _words(value), value.note, _mark(dossier, value)


def _compared(book: Workbook, dossier: Dossier, section: Section) -> None:
    """A sheet with a column a case, and beside it the numbers of the sources."""
    head = ["項目"]
    for column in section.columns:
        head += [column, "出典"]
    rows = [["説明", line, *[""] * (len(head) - 2)] for line in section.lines]
    for row in section.rows:
        cells = [row.label]
        for value in row.values:
            note = f"（{value.note}）" if value.note else ""
            cells += [_words(value) + note, _mark(dossier, value)]
        rows.append(cells)
    _fill(book, section.heading, dossier, head, rows)


def _words(value: Value) -> str:
    return ABSENT if value.words is None else value.words


def _mark(dossier: Dossier, value: Value) -> str:
    return "" if value.number is None else dossier.mark(value.number)


def _fact(facts: Sequence[Fact], label: str) -> str:
    return next((fact.value for fact in facts if fact.label == label), "")


# ---------------------------------------------------------------- cells


def _fill(
    book: Workbook,
    name: str,
    dossier: Dossier,
    head: Sequence[str],
    rows: Iterator[Sequence[str]] | Sequence[Sequence[str]],
) -> None:
    """A sheet: the title, the head, the rows; ready to be filtered and printed."""
    sheet = book.create_sheet(_NOT_IN_NAMES.sub("", name)[:31])
    widths = [_WIDTHS.get(label, _COMPARED) for label in head]
    _title(sheet, dossier, len(head), sum(widths))
    for column, label in enumerate(head, 1):
        sheet.column_dimensions[get_column_letter(column)].width = widths[column - 1]
        _write(sheet, 2, column, label, bold=True, framed=True).fill = _HEAD
    line = 2
    for row in rows:
        for part, lines in _parts(row, widths):
            line += 1
            for column, words in enumerate(part, 1):
                _write(sheet, line, column, words, framed=True)
            # not every program makes a row as high as its words when it opens a file
            sheet.row_dimensions[line].height = _LINE_POINTS * lines + _PADDING_POINTS
    sheet.freeze_panes = "B3"
    sheet.auto_filter.ref = f"A2:{get_column_letter(len(head))}{max(line, 3)}"
    sheet.print_title_rows = "1:2"
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", sheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.page_margins.left = sheet.page_margins.right = 0.4
    sheet.oddFooter.center.text = "&A　&P / &N"


def _title(sheet: Worksheet, dossier: Dossier, columns: int, width: int) -> None:
    """The title over all columns, so that it is not cut where the first column ends."""
    words = dossier.title if len(dossier.title) <= _TITLE_CHARS else dossier.title[:_TITLE_CHARS] + "…"
    words = f"{' '.join(words.split())}　{PRODUCT}（{dossier.kind}）　{moment_words(dossier.when)}"
    _write(sheet, 1, 1, words, bold=True).alignment = _WRAPPED
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=columns)
    sheet.row_dimensions[1].height = _LINE_POINTS * (1 + 2 * len(words) // width)


def _write(
    sheet: Worksheet, line: int, column: int, words: str, *, bold: bool = False, framed: bool = False
) -> Any:
    cell = sheet.cell(line, column)
    if words:
        cell.value = _ESCAPE.sub("_x005F_", words)
        cell.data_type = "s"  # the library takes 「=…」 for a formula and 「#N/A」 for an error
        cell.quotePrefix = True  # and so does Excel, when somebody edits the cell
    cell.font = Font(name=_FONT, size=10, bold=bold)
    if framed:
        cell.alignment, cell.border = _WRAPPED, _FRAME
    return cell


def _parts(row: Sequence[str], widths: Sequence[int]) -> Iterator[tuple[list[str], int]]:
    """A row, and below it rows that go on with what its cells cannot hold; put together, a column is the text again.

    With each its lines.
    """
    cut = [list(pieces(words, width)) for words, width in zip(row, widths, strict=True)]
    for place in range(max(map(len, cut))):
        part = [cells[place] if place < len(cells) else ("", 1) for cells in cut]
        words = [text for text, _ in part]
        if place and not words[0]:
            words[0] = row[0] + CONTINUED
        yield words, max(lines for _, lines in part)


def pieces(text: str, width: int) -> Iterator[tuple[str, int]]:
    """A text in pieces that a cell can hold and show, each as long as can be, with the lines it takes; `width` counts
    letters of half width.

    >>> [(len(piece), lines) for piece, lines in pieces("あ" * 2400, 100)]
    [(1100, 22), (1100, 22), (200, 4)]
    """
    begin = units = used = 0
    line = 1
    for at, letter in enumerate(text):
        # a letter beyond the first plane is two units; an underscore may be written as seven letters
        size = 7 if letter == "_" else 2 if letter > "\uffff" else 1
        wide = 0 if letter == "\n" else 2 if unicodedata.east_asian_width(letter) in "WFA" else 1
        wraps = letter == "\n" or used + wide > width
        if (wraps and line == CELL_LINES) or units + size > CELL_UNITS:
            yield text[begin:at], line
            begin, line, units, used, wraps = at, 1, 0, 0, letter == "\n"
        if wraps:
            line, used = line + 1, 0
        units += size
        used += wide
    yield text[begin:], line
