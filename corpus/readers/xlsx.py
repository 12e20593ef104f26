"""Excel (.xlsx, .xlsm): the visible sheets of a workbook.

In: a file's bytes. Out: its text, a page a sheet, one record a row of a list (`corpus.readers.rows`). Cells are read as a
stream (openpyxl, read-only), as they are shown: the last result of a formula, dates and numbers in their formats. Sizes are
checked before anything is unpacked.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from io import BytesIO
from typing import IO, Any

from openpyxl import load_workbook
from openpyxl.utils import range_boundaries
from openpyxl.utils.datetime import from_excel

from corpus.readers.number_formats import JAPANESE_BUILTIN, shown
from corpus.readers.rows import MAX_CELLS, MAX_ROWS, Area, Grid, lay_out
from corpus.readers.source import ReadError, Source

MAX_UNPACKED = 512 << 20
"""Bytes of all parts of a workbook: a sheet of 100,000 rows by 20 columns has 120 MiB."""
MAX_SHARED = 128 << 20
"""Bytes of the table of strings, which is held in memory as a whole."""
MAX_FOLD = 200
"""How many times smaller a large part may be packed; sheets reach 30, a bomb 1,000."""
FOLD_FROM = 32 << 20
MAX_MERGED = 100_000
MAX_PARTS = 5_000
EMPTY_ROWS = 10_000
"""A sheet ends where so many rows in a row are empty: some are formatted down to the last of 1,048,576 rows."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?ref=[\"']([A-Z]{1,3}\d{1,7}(?::[A-Z]{1,3}\d{1,7})?)[\"']")
# a formula whose cell ends without a result
_UNCALCULATED = re.compile(rb"(?:</f>|<f\b[^>]*/>)\s*(?:<v\s*/>|<v></v>)?\s*</c>")
_OPEN_AND_SAVE = "Excelで開いて保存し直してください。"
_DAMAGED = f"Excelブック（.xlsx）が壊れています（途中で切れているか、中身が欠けています）。元のファイルを確かめるか、{_OPEN_AND_SAVE}"
_OTHERS = (("word/", "Word", ".docx"), ("ppt/", "PowerPoint", ".pptx"))


def read(data: bytes) -> Source:
    """The canonical text of a workbook's bytes; raises ReadError for what is no workbook, is locked, damaged or too large."""
    _check(data)
    try:
        grids, notes = _sheets(data)
    except ReadError:
        raise
    # what openpyxl and zipfile raise on parts that are missing, cut off or not XML
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        SyntaxError,
        NotImplementedError,
        OSError,
    ) as error:
        raise ReadError(_DAMAGED) from error
    laid = lay_out(grids, paged=True)
    return Source(laid.text, "xlsx", "utf-8", tuple(notes), laid.pages, laid.marks, laid.title)


def _check(data: bytes) -> None:
    """Raises ReadError for what must not be opened."""
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise ReadError(
                "パスワードで保護されています。Excelで開き、パスワードを外して保存し直してください。"
            )
        raise ReadError(
            "古い形式のExcel（.xls）です。Excelで開き、「名前を付けて保存」で「Excelブック（.xlsx）」を選んで保存し直してください。"
        )
    if not data.startswith(b"PK"):
        raise ReadError(
            f"Excelブック（.xlsx）ではありません（拡張子だけが変えられています）。正しい拡張子に直すか、{_OPEN_AND_SAVE}"
        )
    try:
        parts = zipfile.ZipFile(BytesIO(data)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise ReadError(_DAMAGED) from error
    names = {part.filename for part in parts}
    for folder, program, suffix in _OTHERS:
        if any(name.startswith(folder) for name in names):
            raise ReadError(
                f"ExcelではなくWordやPowerPointなど（{program}）のファイルです。拡張子を{suffix}に直してください。"
            )
    if "xl/workbook.bin" in names:
        raise ReadError(
            "バイナリ形式のExcel（.xlsb）です。Excelで開き、「Excelブック（.xlsx）」で保存し直してください。"
        )
    if "[Content_Types].xml" not in names:
        raise ReadError(_DAMAGED)
    large = [
        part
        for part in parts
        if (part.file_size > MAX_SHARED and part.filename.endswith("sharedStrings.xml"))
        or (part.file_size > FOLD_FROM and part.file_size > MAX_FOLD * max(1, part.compress_size))
    ]
    if large or len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise ReadError(
            "展開すると大きすぎるExcelファイルです。シートを分けるか、不要な行や書式を消して保存し直してください。"
        )
    if any(part.flag_bits & 1 for part in parts):
        raise ReadError("パスワードで保護されています。パスワードを外して保存し直してください。")


def _sheets(data: bytes) -> tuple[list[Grid], list[str]]:
    """The grids of the visible sheets, and what people should know."""
    notes: list[str] = []
    grids: list[Grid] = []
    hidden: list[str] = []
    uncalculated = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"openpyxl\.")  # extensions it does not keep
        book = load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
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
    areas += _areas(rest)
    missing += len(_UNCALCULATED.findall(rest))
    return areas, missing


def _areas(xml: bytes) -> list[Area]:
    areas = []
    for found in _MERGED.finditer(xml):
        first, top, last, bottom = range_boundaries(found[1].decode())
        areas.append(Area(top - 1, bottom - 1, first - 1, last - 1))
        if len(areas) > MAX_MERGED:
            raise ReadError("結合されたセルが多すぎます。結合を減らして保存し直してください。")
    return areas
