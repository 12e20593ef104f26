"""Excel (.xlsx, .xlsm): the visible sheets of a workbook.

In: a file's bytes. Out: its text, a page a sheet, one record a row of a list (`corpus.readers.rows`). Cells are read as a
stream (openpyxl, read-only), as they are shown: the last result of a formula, dates and numbers in their formats. Sizes are
checked before anything is unpacked.
"""

from __future__ import annotations

import math
import re
import warnings
from io import BytesIO
from typing import IO, Any

from openpyxl import load_workbook
from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.utils import range_boundaries
from openpyxl.utils.datetime import from_excel
from openpyxl.worksheet._reader import VALUE_TAG, WorkSheetParser

from corpus.readers.number_formats import JAPANESE_BUILTIN, shown
from corpus.readers.packages import broken, open_package
from corpus.readers.rows import MAX_CELLS, MAX_ROWS, Area, Grid, lay_out
from corpus.readers.source import ReadError, Source

MAX_MERGED = 100_000
EMPTY_ROWS = 10_000
"""After so many empty rows it is looked whether a value is left: some sheets are formatted down to the last row."""
LAST_ROW = 1_048_576
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^<>]*?ref=[\"']([A-Z]{1,3}\d{1,7}(?::[A-Z]{1,3}\d{1,7})?)[\"']")
# a row with its number, or the value of a cell
_ROW_OR_VALUE = re.compile(rb"<(?:\w+:)?(?:(?P<row>row)\b(?P<said>[^<>]*)|(?:v|is)\b)")
_ROW_NUMBER = re.compile(rb"\br=[\"'](\d{1,7})[\"']")
# a formula whose cell ends without a result
_UNCALCULATED = re.compile(rb"(?:</f>|<f\b[^<>]*/>)\s*+(?:(?:<v\s*+/>|<v></v>)\s*+)?</c>")
_OPEN_AND_SAVE = "Excelで開いて保存し直してください。"


def read(data: bytes) -> Source:
    """The canonical text of a workbook's bytes; raises ReadError for what is no workbook, is locked, damaged or too large."""
    package = open_package(data, "xlsx")
    try:
        grids, notes = _sheets(package)
    except (ReadError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # the library raises many kinds for parts that are missing or not what they say
        raise broken("xlsx") from error
    laid = lay_out(grids, paged=True)
    return Source(laid.text, "xlsx", "utf-8", tuple(notes), laid.pages, laid.marks, laid.title)


def _sheets(package: BytesIO) -> tuple[list[Grid], list[str]]:
    """The grids of the visible sheets, and what people should know."""
    notes: list[str] = []
    grids: list[Grid] = []
    hidden: list[str] = []
    partly: list[str] = []
    uncalculated, odd = 0, 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"openpyxl\.")  # extensions it does not keep
        book = load_workbook(package, read_only=True, data_only=True, keep_links=False)
        try:
            left = [MAX_ROWS, MAX_CELLS]
            for place, sheet in enumerate(book.worksheets, 1):
                if sheet.sheet_state != "visible":
                    hidden.append(sheet.title)
                    continue
                with sheet._get_source() as part:
                    parser = _Parser(sheet, part)
                    grid = _grid(parser, place, left)
                odd += parser.odd
                if parser.concealed:
                    partly.append(sheet.title)
                with sheet._get_source() as part:
                    grid.merged, missing = _merged(part)
                uncalculated += missing
                grids.append(grid)
        finally:
            book.close()
    if hidden:
        notes.append(f"非表示のシート（{'、'.join(hidden)}）は読んでいません。")
    if partly:
        notes.append(
            f"非表示の行や列（シート「{'」「'.join(partly)}」）も読みました。読ませないときは、それらを消して保存し直してください。"
        )
    if odd:
        notes.append(
            f"日付や数として読めないセルが{odd}個あり、保存されたままの文字で読みました。{_OPEN_AND_SAVE}"
        )
    if uncalculated:
        notes.append(
            f"計算結果が保存されていない数式が{uncalculated}個あり、読めていません。{_OPEN_AND_SAVE}"
        )
    return grids, notes


class _Parser(WorkSheetParser):  # type: ignore[misc]
    """The rows of a sheet from a stream, cells as they are shown.

    `odd` counts the cells that are not what they say (a number of 5,000 digits, the 99th of the 99th month), which are read as
    they are written; `concealed` says whether a row or column with a value is hidden.
    """

    def __init__(self, sheet: Any, part: IO[bytes]) -> None:
        book = sheet.parent
        super().__init__(
            part,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        self.sheet = sheet
        self.odd = 0
        self.concealed = False
        self.hidden_columns: list[tuple[int, int]] = []

    def parse_cell(self, element: Any) -> tuple[int, str]:
        """A cell's column, from 1, and its words."""
        try:
            cell = super().parse_cell(element)
            if cell["data_type"] == "e" and element.get("t", "n") == "n":
                raise ValueError("no date")
            return cell["column"], _words(ReadOnlyCell(self.sheet, **cell), self.epoch)
        except (ValueError, OverflowError, IndexError):
            self.odd += 1
            # the number of a shared text that is not there says nothing
            raw = "" if element.get("t") == "s" else element.findtext(VALUE_TAG) or ""
            return max(1, self.col_counter), _clean(raw)

    def parse_row(self, row: Any) -> tuple[int, list[str]]:
        """A row's number, from 1, and its words up to the last cell."""
        number, cells = super().parse_row(row)
        self.row_dimensions.clear()  # a sheet may have a million
        words = [""] * max((column for column, _ in cells), default=0)
        for column, said in cells:
            words[column - 1] = said
        if any(words) and not self.concealed:
            self.concealed = row.get("hidden") in {"1", "true"} or any(
                any(words[first - 1 : last]) for first, last in self.hidden_columns
            )
        return number, words

    def parse_column_dimensions(self, col: Any) -> None:
        """Remembers columns that are hidden."""
        if col.get("hidden") in {"1", "true"} and len(self.hidden_columns) < MAX_MERGED:
            self.hidden_columns.append((int(col.get("min")), int(col.get("max"))))


def _grid(parser: _Parser, place: int, left: list[int]) -> Grid:
    """The rows of a sheet that hold something; `left` are the rows and cells that the file may still have."""
    grid = Grid([], [], name=parser.sheet.title, place=place)
    last: int | None = None
    since = 0
    for number, cells in parser.parse():
        left[1] -= len(cells)
        if any(cells):
            # a number that does not go up is wrong
            since = max(number, since + 1)
            if since > LAST_ROW:
                raise broken("xlsx")
            grid.cells.append(cells)
            grid.numbers.append(since)
            left[0] -= 1
        if min(left) < 0:
            raise ReadError(
                f"セルが多すぎます（上限は{MAX_ROWS:,}行、{MAX_CELLS:,}セル）。ファイルを分けるか、不要な行や列を消してください。"
            )
        if number - since >= EMPTY_ROWS:
            if last is None:
                with parser.sheet._get_source() as part:
                    last = _last_row(part)
            if number >= last:
                break
    return grid


def _last_row(part: IO[bytes]) -> int:
    """The number of the last row with a value in a sheet's XML, or of the last row that there can be, where it is not written."""
    last, row, rest = 0, LAST_ROW, b""
    while block := part.read(1 << 20):
        block = rest + block
        # what may go on in the next block waits for it
        cut = block.rfind(b"<")
        cut = cut if cut > 0 and len(block) - cut < 1 << 20 else len(block)
        for found in _ROW_OR_VALUE.finditer(block, 0, cut):
            if found["row"] is None:
                last = max(last, row)
                continue
            number = _ROW_NUMBER.search(found["said"])
            row = int(number[1]) if number else LAST_ROW
        rest = block[cut:]
    return last


def _words(cell: Any, epoch: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("no number")
    style = cell.style_array.numFmtId
    code = JAPANESE_BUILTIN.get(style)
    if code is None:
        code = cell.number_format
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = from_excel(value, epoch)  # openpyxl does not know the numbers of these formats
    return shown(value, code or "General")


def _clean(words: str) -> str:
    return words.replace("_x000D_", "").replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def _merged(part: IO[bytes]) -> tuple[list[Area], int]:
    """Merged cells of a sheet, and how many formulas have no result. openpyxl reads neither from a stream."""
    areas: list[Area] = []
    missing, rest = 0, b""
    while block := part.read(1 << 20):
        block = rest + block
        cut = block.rfind(b"<c ") if b"<mergeCell" not in block else block.rfind(b"<")
        cut = cut if cut > 0 else len(block)
        if len(block) - cut > 1 << 20:
            cut = len(block)
        whole, rest = block[:cut], block[cut:]
        missing += len(_UNCALCULATED.findall(whole))
        areas += _areas(whole)
        if len(areas) > MAX_MERGED:
            raise ReadError("結合されたセルが多すぎます。結合を減らして保存し直してください。")
    areas += _areas(rest)
    missing += len(_UNCALCULATED.findall(rest))
    return areas, missing


def _areas(xml: bytes) -> list[Area]:
    areas = []
    for found in _MERGED.finditer(xml):
        first, top, last, bottom = range_boundaries(found[1].decode())
        areas.append(Area(top - 1, bottom - 1, first - 1, last - 1))
    return areas
