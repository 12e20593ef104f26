"""The process that reads one PDF: bytes on standard input, JSON on standard output (`corpus.readers.pdf` starts it).

The JSON is {"text", "warnings", "pages": [[start, number, label]], "marks": [[start, end, level]]} or {"error"}. It sets its
own limits before it looks into the file, and knows nothing of layout.
"""

from __future__ import annotations

import json
import sys

from corpus.limits import limit
from corpus.readers.pdf_glyphs import PageGlyphs, pages_of
from corpus.readers.pdf_layout import Habits, PageLines, lines_of
from corpus.readers.pdf_text import text_of
from corpus.readers.source import ReadError

MAX_MEMORY = 2**30
"""Bytes of address space beside the file's own: the fullest ordinary page takes a quarter of it, an inflating stream all."""
MAX_SECONDS = 290
"""Seconds of processor time, should the process that asked be gone."""
MAX_CHARACTERS = 20_000_000
"""Forty times the longest plan of a city; more is a list that belongs into a spreadsheet."""
_NAMED_PAGES = 10


def main() -> None:
    """Reads standard input, writes standard output."""
    data = sys.stdin.buffer.read()
    limit(MAX_MEMORY + 2 * len(data), MAX_SECONDS)
    try:
        answer = read(data)
    except ReadError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "PDFを展開すると大きくなりすぎます。ページを分けて保存し直してください。"}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=True).encode("ascii"))


def read(data: bytes) -> dict[str, object]:
    """The parts of a Source, as they go over to the process that asked; raises ReadError."""
    pages: list[PageLines] = []
    labels: list[str] = []
    unread: list[int] = []
    pictures: list[int] = []
    crowded: list[int] = []
    habits = Habits()
    characters = 0
    for number, page in enumerate(pages_of(data), start=1):
        labels.append("" if page.label == str(number) else page.label)
        pages.append(lines_of(page, habits))
        characters += len(page.glyphs)
        if characters > MAX_CHARACTERS:
            raise ReadError(f"文字が多すぎます（上限{MAX_CHARACTERS:,}字）。ファイルを分けてください。")
        if page.damaged:
            unread.append(number)
        elif _is_picture(page):
            pictures.append(number)
        if page.crowded:
            crowded.append(number)
    text, starts, marks = text_of(pages)
    if not text.strip():
        if len(unread) == len(pages):
            raise ReadError("PDFのページが壊れていて読めません。元のファイルから作り直してください。")
        raise ReadError(
            "文字情報がありません（画像だけのPDFです）。OCR（文字認識）で文字を付けたPDFにしてください。"
        )
    warnings = []
    if pictures:
        warnings.append(
            f"{_named(pictures)}に文字情報がありません（画像だけのページ）。検索するにはOCRが必要です。"
        )
    if unread:
        warnings.append(f"{_named(unread)}は壊れていて読めませんでした。")
    if crowded:
        warnings.append(f"{_named(crowded)}は文字や線が多すぎるため、段組みや表を調べずに読みました。")
    return {
        "text": text,
        "warnings": warnings,
        "pages": [
            [start, number, label]
            for number, (start, label) in enumerate(zip(starts, labels, strict=True), start=1)
        ],
        "marks": marks,
    }


def _is_picture(page: PageGlyphs) -> bool:
    """Whether a page shows something but says (nearly) nothing: a scan may have its number printed over it."""
    letters = sum(not glyph.char.isspace() for glyph in page.glyphs)
    return not page.plain and ((letters == 0 and page.drawn) or (letters < 10 and page.pictured))


def _named(numbers: list[int]) -> str:
    """「3・4・8ページ」, cut off where there are many."""
    words = "・".join(map(str, numbers[:_NAMED_PAGES]))
    return words + (f"ページほか全{len(numbers)}ページ" if len(numbers) > _NAMED_PAGES else "ページ")


if __name__ == "__main__":
    main()
