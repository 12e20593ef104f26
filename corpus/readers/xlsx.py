"""Excel (.xlsx, .xlsm): the visible sheets of a workbook.

In: a file's bytes. Out: its text, a page a sheet, one record a row of a list (`corpus.readers.rows`). Cells are read as a
stream (openpyxl, read-only), as they are shown: the last result of a formula, dates and numbers in their formats. Sizes are
checked before anything is unpacked.
"""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from typing import IO, Any

from openpyxl import load_workbook
from openpyxl.utils import range_boundaries
from openpyxl.utils.datetime import from_excel

from corpus.readers.number_formats import JAPANESE_BUILTIN, shown
from corpus.readers.packages import broken, open_package
from corpus.readers.rows import MAX_CELLS, MAX_ROWS, Area, Grid, lay_out
from corpus.readers.source import ReadError, Source

MAX_MERGED = 100_000
EMPTY_ROWS = 10_000
"""A sheet ends where so many rows in a row are empty: some are formatted down to the last of 1,048,576 rows."""
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^<>]*?ref=[\"']([A-Z]{1,3}\d{1,7}(?::[A-Z]{1,3}\d{1,7})?)[\"']")
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
    uncalculated = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"openpyxl\.")  # extensions it does not keep
        book = load_workbook(package, read_only=True, data_only=True, keep_links=False)
        try:
            left = [MAX_ROWS, MAX_CELLS]
            for place, sheet in enumerate(book.worksheets, 1):
                if sheet.sheet_state != "visible":
                    hidden.append(sheet.title)
                    continue
                grid = _grid(sheet, place, left)
                with sheet._get_source() as part:
                    grid.merged, missing = _merged(part)
                uncalculated += missing
                grids.append(grid)
        finally:
            book.close()
    if hidden:
        notes.append(f"非表示のシート（{'、'.join(hidden)}）は読んでいません。")
    if uncalculated:
        notes.append(
            f"計算結果が保存されていない数式が{uncalculated}個あり、読めていません。{_OPEN_AND_SAVE}"
        )
    return grids, notes


def _grid(sheet: Any, place: int, left: list[int]) -> Grid:
    """The rows of a sheet that hold something; `left` are the rows and cells that the file may still have."""
    sheet.reset_dimensions()  # what it says of its size may be wrong
    grid = Grid([], [], name=sheet.title, place=place)
    empty = 0
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [_words(cell, sheet.parent.epoch) for cell in row]
        left[1] -= len(cells)
        if any(cells):
            grid.cells.append(cells)
            grid.numbers.append(number)
            left[0] -= 1
            empty = 0
        else:
            empty += 1
        if min(left) < 0:
            raise ReadError(
                f"セルが多すぎます（上限は{MAX_ROWS:,}行、{MAX_CELLS:,}セル）。ファイルを分けるか、不要な行や列を消してください。"
            )
        if empty >= EMPTY_ROWS:
            break
    return grid


def _words(cell: Any, epoch: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return value.replace("_x000D_", "").replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    style = cell.style_array.numFmtId
    code = JAPANESE_BUILTIN.get(style)
    if code is None:
        code = cell.number_format
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = from_excel(value, epoch)  # openpyxl does not know the numbers of these formats
    return shown(value, code or "General")


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
