"""CSV and TSV (.csv, .tsv): the rows of a text file whose cells are separated by a comma, a tab or a semicolon.

In: a file's bytes. Out: its text, one record a row (`corpus.readers.rows`). Which mark separates is told by the form of the
rows. Python's csv module reads the cells.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

from corpus.readers.decoding import decode
from corpus.readers.rows import MAX_CELLS, MAX_ROWS, Grid, lay_out
from corpus.readers.source import ReadError, Source

DELIMITERS = (",", "\t", ";")
"""In the order in which they are taken where two fit alike."""
MAX_COLUMNS = 16_384
"""Cells of a row, as in Excel."""
_SAMPLE_ROWS = 50
_SAMPLE_CHARS = (
    1 << 17
)  # the csv module's own limit of a cell, which no cell of Excel (32,767 characters) reaches
# 「sep=;」 a first line for Excel, which does not show it
_SEP_LINE = re.compile(r"sep=(.)\n", re.IGNORECASE)
_OPEN_QUOTE = (
    '引用符（"）が閉じられていない箇所があります。その先が一つのセルとして読まれているかもしれません。'
)


def read(data: bytes) -> Source:
    """The canonical text of a CSV file's bytes; raises ReadError for what is not text, and for too many cells."""
    text, encoding = decode(data)
    text = text.replace("\x00", "")
    named = _SEP_LINE.match(text)
    if named:
        text = text[named.end() :]
    delimiter = named[1] if named else delimiter_of(text)
    cells: list[list[str]] = []
    numbers: list[int] = []
    count = 0
    try:
        for number, row in enumerate(_rows(text, delimiter), 1):
            if any(map(str.strip, row)):
                cells.append(row)
                numbers.append(number)
                count += len(row)
            if len(row) > MAX_COLUMNS:
                raise ReadError(
                    f"列が多すぎます（上限は{MAX_COLUMNS:,}列）。区切り文字と改行を確かめるか、列を分けてください。"
                )
            if len(cells) > MAX_ROWS or count > MAX_CELLS:
                raise ReadError(
                    f"行が多すぎます（上限は{MAX_ROWS:,}行、{MAX_CELLS:,}セル）。ファイルを分けてください。"
                )
    except csv.Error as error:
        raise ReadError(
            'CSVとして読めません（引用符（"）が閉じられていないか、一つのセルが長すぎます）。表計算ソフトで開いて保存し直してください。'
        ) from error
    laid = lay_out([Grid(cells, numbers)], paged=False)
    warnings = (_OPEN_QUOTE,) if _ends_in_quotes(text, delimiter) else ()
    return Source(laid.text, "csv", encoding, warnings, marks=laid.marks, title=laid.title)


def delimiter_of(text: str) -> str:
    """The mark that separates cells: the one that gives most rows the same number of cells, two at least."""
    best, chosen = (0.0, 0), DELIMITERS[0]
    for delimiter in DELIMITERS:
        widths: Counter[int] = Counter()
        try:
            for number, row in enumerate(_rows(text[:_SAMPLE_CHARS], delimiter)):
                if number == _SAMPLE_ROWS:
                    break
                if row:
                    widths[len(row)] += 1
        except csv.Error:
            continue
        wide = {width: rows for width, rows in widths.items() if width >= 2}
        if wide:
            width, rows = max(wide.items(), key=lambda item: (item[1], item[0]))
            score = (round(rows / widths.total(), 1), width)
            if score > best:
                best, chosen = score, delimiter
    return chosen


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _ends_in_quotes(text: str, delimiter: str) -> bool:
    """Whether the last cell began with a quotation mark that never closes."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False
