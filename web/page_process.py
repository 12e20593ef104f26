"""The process that draws one page of a PDF: the asking and the bytes on standard input, a picture on standard output.

In: a line of JSON (`page` from 1, `width` in pixels, `words` of the page as they were read, and which of them, `start:end`, are to be
marked), then the file. Out: a line of JSON ({"width", "height", "marked"} or {"error"}), then a PNG. `web.page_pictures` starts it. It sets
its own limits before it looks into the file: PDFium is native code, and a small file can inflate to gigabytes.
"""

from __future__ import annotations

import json
import struct
import sys
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium

from corpus.limits import end_with_parent, limit
from corpus.readers.pdf_glyphs import DOWN, RIGHT, PageGlyphs, glyphs_of, opened
from corpus.readers.pdf_layout import Habits, Line, lines_of
from corpus.readers.source import ReadError

MAX_MEMORY = 2**30
"""Bytes of address space beside the file's own, as for reading one."""
MAX_SECONDS = 15
"""Seconds of processor time: an ordinary page takes a third of one."""
MAX_PIXELS = 6_000_000
MAX_SIDE = 4_000
LEAST_SHARE = 0.6
"""Share of the marked words that must be found on the page: of fewer it is better to mark none."""
_SHORT = 4  # letters: fewer are looked for only right after the line before
_MARK = np.array([255, 238, 156], np.uint16)
_MARK_LINE = np.array([183, 143, 0], np.uint8)

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]


def main() -> None:
    """Reads standard input, writes standard output."""
    asked = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    _limit(len(data))
    picture = b""
    try:
        answer, picture = draw(data, **asked)
    except ReadError as error:
        answer = {"error": str(error)}
    except (pdfium.PdfiumError, MemoryError, ValueError) as error:
        answer = {"error": type(error).__name__}
    sys.stdout.buffer.write(json.dumps(answer).encode("ascii") + b"\n" + picture)


def draw(
    data: bytes, page: int, width: int, words: str = "", start: int = 0, end: int = 0
) -> tuple[dict[str, Any], bytes]:
    """What is said of the picture, and the picture."""
    document = opened(data)
    if not 1 <= page <= len(document):
        return {"error": "page"}, b""
    sheet = document[page - 1]
    across, down = sheet.get_size()
    scale = min(
        width / max(across, 1e-3),
        MAX_SIDE / max(across, down, 1e-3),
        (MAX_PIXELS / max(across * down, 1e-3)) ** 0.5,
    )
    bitmap = sheet.render(scale=scale, rev_byteorder=True, prefer_bgrx=True, fill_color=(255, 255, 255, 255))
    pixels: Pixels = np.array(bitmap.to_numpy()[:, :, :3])
    boxes: list[Box] = []
    if start < end:
        glyphs = glyphs_of(document, page - 1)
        boxes = places(glyphs, words, start, end)
        shape = (pixels.shape[1] / max(glyphs.width, 1e-3), pixels.shape[0] / max(glyphs.height, 1e-3))
        for box in boxes:
            _mark(pixels, box, shape)
    answer = {"width": pixels.shape[1], "height": pixels.shape[0], "marked": len(boxes)}
    return answer, png(pixels)


# ---------------------------------------------------------------- where words stand


def places(page: PageGlyphs, words: str, start: int, end: int) -> list[Box]:
    """The boxes of `words[start:end]` on a page, in points from its upper left corner; none where they cannot be told surely.

    `words` are those of the page in the order in which they were read, and so are the lines that are found here again: each
    is looked for behind the one before it. Lines that were left out as furniture are not found, or where they are too short to
    be sure of are not looked for.
    """
    letters = "".join(letter for _, letter in _letters(words))
    of_letter = [at for at, _ in _letters(words)]
    first = sum(at < start for at in of_letter)
    last = sum(at < end for at in of_letter)
    if first == last:
        return []
    boxes: list[Box] = []
    found = 0
    cursor = 0
    for line in lines_of(page, Habits()).lines:
        text = " ".join(line.cells) if line.cells else line.text
        placed = list(_letters(text))
        own = "".join(letter for _, letter in placed)
        if not own:
            continue
        at = letters.find(own, cursor, cursor + len(own) if len(own) < _SHORT else None)
        if at < 0 and len(own) >= 2 * _SHORT:
            at = letters.find(own)
        if at < 0:
            continue
        cursor = at + len(own)
        begin, stop = max(first, at) - at, min(last, cursor) - at
        if begin < stop:
            found += stop - begin
            # with what stands before the first letter of the line and after its last: 「。」
            start_at = placed[begin][0] if begin else 0
            end_at = placed[stop - 1][0] + 1 if stop < len(own) else len(text)
            boxes.append(_part(line, _share(text, start_at), _share(text, end_at)))
    return boxes if found >= LEAST_SHARE * (last - first) else []


def _share(text: str, place: int) -> float:
    """How far along a line a place is, where letters of Japanese are twice as wide as others."""
    widths = [2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text]
    return sum(widths[:place]) / sum(widths)


def _letters(text: str) -> Iterator[tuple[int, str]]:
    """Letters and digits of a text in one form, each with the place of the letter that it comes from."""
    for at, sign in enumerate(text):
        for letter in unicodedata.normalize("NFKC", sign).casefold():
            if letter.isalnum():
                yield at, letter


def _part(line: Line, begin: float, stop: float) -> Box:
    """The box of a part of a line, told by shares of its length; of a row of a table, and of what is turned, the whole box."""
    x0, y0, x1, y1 = line.box
    if line.cells is None and line.direction == RIGHT:
        return x0 + begin * (x1 - x0), y0, x0 + stop * (x1 - x0), y1
    if line.cells is None and line.direction == DOWN:
        return x0, y0 + begin * (y1 - y0), x1, y0 + stop * (y1 - y0)
    return line.box


# ---------------------------------------------------------------- pixels


def _mark(pixels: Pixels, box: Box, shape: Sequence[float]) -> None:
    """Lays a marker's colour over a box, with a line under it that is seen on grey paper too."""
    height, width = pixels.shape[:2]
    x0, x1 = (round(min(max(x * shape[0], 0), width)) for x in (box[0] - 1, box[2] + 1))
    y0, y1 = (round(min(max(y * shape[1], 0), height)) for y in (box[1] - 1, box[3] + 1.5))
    if x0 >= x1 or y0 >= y1:
        return
    area = pixels[y0:y1, x0:x1]
    area[:] = (area.astype(np.uint16) * _MARK // 255).astype(np.uint8)
    pixels[max(y0, y1 - 2) : y1, x0:x1] = _MARK_LINE


def png(pixels: Pixels) -> bytes:
    """A picture  # (height, width, 3) uint8, as a PNG; one without colours has a byte a pixel."""
    height, width = pixels.shape[:2]
    grey = bool((pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 1] == pixels[:, :, 2]).all())
    rows = (pixels[:, :, 0] if grey else pixels.reshape(height, width * 3)).astype(np.uint8)
    # each row as its difference to the one above: blank paper becomes nothing
    above = np.vstack([np.zeros((1, rows.shape[1]), np.uint8), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), 2, np.uint8), rows - above])

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0 if grey else 2, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)),
            chunk(b"IEND", b""),
        ]
    )


def _limit(size: int) -> None:
    limit(MAX_MEMORY + 3 * size, MAX_SECONDS, writes=False)  # nothing is written but the answer
    end_with_parent()


if __name__ == "__main__":
    main()
