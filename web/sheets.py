"""Lists as files that a spreadsheet opens: CSV, and a workbook of several lists.

In: heads and rows of plain values. Out: bytes. No cell is ever taken for a formula, whoever wrote it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import Response

from qa.masking import cleaned
from web.view import disposition

Cell = str | int | float | None
Rows = Iterable[Sequence[Cell]]
CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""What a spreadsheet may take for the beginning of a formula."""
_MAX_WIDTH = 60
_MAX_CELL_CHARS = 32_767


def guarded(value: Cell) -> Cell:
    """A cell of a CSV file; a text that could be taken for a formula has an apostrophe before it.

    >>> guarded("=1+1"), guarded("窓口"), guarded(-3)
    ("'=1+1", '窓口', -3)
    """
    if isinstance(value, str) and value.lstrip(" \u3000").startswith(_FORMULA):
        return f"'{value}"
    return value


def csv_file(head: Sequence[str], rows: Rows) -> bytes:
    """A list as CSV in UTF-8 with a byte order mark, by which a spreadsheet knows the encoding."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([guarded(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig", "replace")


def workbook(sheets: Mapping[str, tuple[Sequence[str], Rows]]) -> bytes:
    """Lists as a workbook, one a sheet, with a head that stays when the sheet is scrolled."""
    from openpyxl import Workbook  # half a second, which the start need not wait for

    book = Workbook(write_only=True)
    for name, (head, rows) in sheets.items():
        sheet = book.create_sheet(name)
        sheet.freeze_panes = "A2"
        listed = [[*row] for row in rows]
        for column, title in enumerate(head):
            widest = max([_width(title), *(_width(row[column]) for row in listed[:200])])
            sheet.column_dimensions[chr(ord("A") + column)].width = min(widest + 2, _MAX_WIDTH)
        sheet.append([_text(sheet, title, bold=True) for title in head])
        for row in listed:
            sheet.append([_text(sheet, value) if isinstance(value, str) else value for value in row])
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _text(sheet: Any, value: str, *, bold: bool = False) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    cell = WriteOnlyCell(sheet, cleaned(value)[:_MAX_CELL_CHARS])  # XML has no control characters
    cell.data_type = "s"  # a text, whatever it begins with
    if bold:
        cell.font = Font(bold=True)
    return cell


def _width(value: Cell) -> int:
    """Columns that a value takes: a kanji takes two."""
    return sum(2 if ord(c) > 0xFF else 1 for c in str(value or "").split("\n")[0])


def attachment(content: bytes, name: str, media_type: str) -> Response:
    """A reply that a browser saves under a name."""
    headers = {"Content-Disposition": disposition(name, "usage")}
    return Response(content, media_type=media_type, headers=headers)
