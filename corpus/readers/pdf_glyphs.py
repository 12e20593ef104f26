"""The characters and ruled lines of a PDF's pages, as PDFium gives them.

In: the bytes of a file. Out: its pages in order, each with its glyphs in the order in which the file draws them, its
ruled lines and its printed label. Places are in points from the upper left corner of the page as it is shown. Knows
nothing of lines, columns or tables.
"""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from corpus.readers.source import ReadError

MAX_PAGES = 5_000
"""The longest budget of a prefecture has two thousand."""
MAX_GLYPHS = 50_000
"""Glyphs of one page; a page of a newspaper has 12,000. Beyond, the page's words are taken as the file has them."""
MAX_RULINGS = 4_000
"""Ruled lines of one page; a calendar of a year has 800, a map 100,000 that are no table."""
MAX_OBJECTS = 50_000
"""Drawn objects of one page that are looked at for ruled lines and pictures."""
_MAX_SEGMENTS = 200  # of one path: longer ones are drawings
_MAX_DEPTH = 8  # of forms within forms, and (times 8) of the tree of tags
_MAX_ELEMENTS = 20_000  # tags of one page
_THIN = 3.0  # points: a filled bar thinner than this is a ruled line
_PICTURE_SHARE = 0.4  # of the page, from which a picture may be a scan

# Fonts whose mapping names a radical for the ideograph that looks the same: NFKC knows those of U+2F00 only.
_RADICALS = str.maketrans("⺠⻁⻄⻆⻑⻘⻝⻤⻨⻩⻫⻭⻯⻲", "民虎西角長青食鬼麦黄斉歯竜亀")
_COMPATIBLE = re.compile("[\u2f00-\u2fdf\ufb00-\ufb06\ufe10-\ufe19\ufe30-\ufe48]")
_BOLD = re.compile(r"bold|black|heavy|[-,]w[6-9]\b|[-,][bhu]\b|demi", re.IGNORECASE)
# Elements of a tagged file that are lines of their own; the others (Span, Link) stand within one.
_BLOCK_TAG = re.compile(r"^(?:P|H[1-6]?|Title|LI|LBody|TD|TH|Caption|TOCI|Note|BlockQuote|Formula|Form)$")

RIGHT, DOWN, LEFT, UP = range(4)
"""The direction in which a glyph's line goes on."""


@dataclass(slots=True)
class Glyph:
    """One character in the frame of its direction: `u` grows along the line, `v` from line to line.

    For RIGHT, u is x and v is y, both from the upper left corner. `order` is its place in the file, `tag` is the level of the heading that the file says it
    belongs to (0 for none), `element` the paragraph or cell, 0 where the file says nothing.
    """

    char: str
    u0: float
    u1: float
    v0: float
    v1: float
    size: float
    direction: int
    bold: bool
    order: int = 0
    tag: int = 0
    element: int = 0


@dataclass(slots=True)
class PageGlyphs:
    """A page; `rows` are horizontal ruled lines as (y, x0, x1), `bars` vertical ones as (x, y0, y1).

    `drawn` says whether anything is drawn, `pictured` whether a picture fills much of it. Of a `crowded` page `plain` has the
    words and `glyphs` is empty, or its ruled lines are left out; a `damaged` one has nothing.
    """

    width: float = 0.0
    height: float = 0.0
    label: str = ""
    glyphs: list[Glyph] = field(default_factory=list)
    rows: list[tuple[float, float, float]] = field(default_factory=list)
    bars: list[tuple[float, float, float]] = field(default_factory=list)
    drawn: bool = False
    pictured: bool = False
    damaged: bool = False
    crowded: bool = False
    plain: str = ""


def pages_of(data: bytes) -> Iterator[PageGlyphs]:
    """The pages of a file, one after the other; raises ReadError where it cannot be opened."""
    document = opened(data)
    for index in range(len(document)):
        yield glyphs_of(document, index)


def opened(data: bytes) -> pdfium.PdfDocument:
    """A file's document, which has a page at least; raises ReadError where it cannot be opened."""
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        code = error.err_code
        if code in {raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY}:
            raise ReadError(
                "パスワードで保護されています。パスワードを外して保存し直してください。"
            ) from error
        raise ReadError("PDFが壊れていて開けません。元のファイルから作り直してください。") from error
    count = len(document)
    if count == 0:
        raise ReadError("PDFにページがありません。元のファイルから作り直してください。")
    if count > MAX_PAGES:
        raise ReadError(
            f"ページが多すぎます（{count:,}ページ、上限{MAX_PAGES:,}ページ）。ファイルを分けてください。"
        )
    return document


def glyphs_of(document: pdfium.PdfDocument, index: int) -> PageGlyphs:
    """A page, counted from 0."""
    try:
        page = document[index]
    except pdfium.PdfiumError:
        return PageGlyphs(label=_label(document, index), damaged=True)
    try:
        return _page(page, _label(document, index))
    except pdfium.PdfiumError:
        return PageGlyphs(label=_label(document, index), damaged=True)
    finally:
        page.close()


def shown(char: str) -> str:
    """A character as it is written, whatever code the font gives its form: 「⼤」 → 「大」, 「︒」 → 「。」."""
    return unicodedata.normalize("NFKC", char) if _COMPATIBLE.match(char) else char.translate(_RADICALS)


def frame(direction: int, width: float, height: float) -> Callable[[float, float], tuple[float, float]]:
    """How a place (x, y) of a page is told in the frame of a direction, and for RIGHT and LEFT back."""
    if direction == DOWN:
        return lambda x, y: (y, width - x)
    if direction == LEFT:
        return lambda x, y: (width - x, height - y)
    if direction == UP:
        return lambda x, y: (height - y, x)
    return lambda x, y: (x, y)


def _label(document: pdfium.PdfDocument, index: int) -> str:
    try:
        label = document.get_page_label(index) or ""
    except UnicodeDecodeError:  # half a character
        return ""
    return "".join(c for c in label if c.isprintable()).strip()[:40]


def _page(page: pdfium.PdfPage, label: str) -> PageGlyphs:
    left, bottom, right, top = page.get_cropbox(fallback_ok=True) or page.get_mediabox()
    turn = (page.get_rotation() // 90) % 4
    width, height = right - left, top - bottom
    if turn % 2:
        width, height = height, width

    def place(x: float, y: float) -> tuple[float, float]:
        if turn == 1:
            return y - bottom, x - left
        if turn == 2:
            return right - x, y - bottom
        if turn == 3:
            return top - y, right - x
        return x - left, top - y

    found = PageGlyphs(width=width, height=height, label=label)
    textpage = page.get_textpage()
    try:
        count = raw.FPDFText_CountChars(textpage.raw)
        if count > MAX_GLYPHS:
            found.crowded = found.drawn = True
            found.plain = textpage.get_text_range(0, min(count, 20 * MAX_GLYPHS)).replace("\r\n", "\n")
            return found
        _read_objects(page, found, place)
        found.glyphs = _glyphs(page, textpage, count, found, place, turn)
    finally:
        textpage.close()
    return found


# ---------------------------------------------------------------- glyphs


@dataclass(slots=True)
class _Style:
    """What all glyphs of one text object share."""

    size: float
    advance: float
    direction: int | None
    bold: bool
    tag: int
    element: int


def _glyphs(
    page: pdfium.PdfPage,
    textpage: pdfium.PdfTextPage,
    count: int,
    found: PageGlyphs,
    place: Callable[[float, float], tuple[float, float]],
    turn: int,
) -> list[Glyph]:
    text = textpage.raw
    x, y, box = ctypes.c_double(), ctypes.c_double(), raw.FS_RECTF()
    px, py, pbox = ctypes.byref(x), ctypes.byref(y), ctypes.byref(box)
    frames = [frame(direction, found.width, found.height) for direction in range(4)]
    tags = _tags(page)
    styles: dict[int, _Style] = {}
    glyphs: list[Glyph] = []
    high = 0
    for index in range(count):
        code = raw.FPDFText_GetUnicode(text, index)
        if raw.FPDFText_IsGenerated(text, index):
            continue
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000 and high:
            code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00
        high = 0
        char = _char(code)
        if not char:
            continue
        handle = raw.FPDFText_GetTextObject(text, index)
        key = ctypes.cast(handle, ctypes.c_void_p).value or 0
        style = styles.get(key)
        if style is None:
            style = styles[key] = _style(text, index, handle, tags, turn)
        if style.direction is None:
            continue  # a watermark across the page
        raw.FPDFText_GetCharOrigin(text, index, px, py)
        raw.FPDFText_GetLooseCharBox(text, index, pbox)
        at, size = style.direction, style.size
        ou, ov = frames[at](*place(x.value, y.value))
        au, _ = frames[at](*place(box.left, box.bottom))
        bu, _ = frames[at](*place(box.right, box.top))
        end = max(au, bu)
        if unicodedata.east_asian_width(char[0]) in "WF":
            end = max(end, ou + style.advance)
        if not -2 <= ou <= (found.height if at % 2 else found.width) + 2:
            continue  # beyond the page's edge: a printer's note
        glyphs.append(
            Glyph(
                char,
                ou,
                max(end, ou),
                ov - 0.88 * size,
                ov + 0.12 * size,
                size,
                at,
                style.bold,
                index,
                style.tag,
                style.element,
            )
        )
    return glyphs


def _char(code: int) -> str:
    """The character of a code; empty for what is no part of the words (control codes)."""
    if code in {0, 0xFFFE, 0xFFFF} or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        return "\ufffd"
    char = chr(code)
    if code == 2:
        return "-"  # so PDFium tells a hyphen at a line's end: of an address it is a part
    if char in "\t\u00a0":
        return " "
    if unicodedata.category(char) in {"Cc", "Cf"}:
        return ""
    return shown(char)


def _style(
    text: raw.FPDF_TEXTPAGE,
    index: int,
    handle: raw.FPDF_PAGEOBJECT,
    tags: dict[int, tuple[int, int]],
    turn: int,
) -> _Style:
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(text, index, matrix)
    points = raw.FPDFText_GetFontSize(text, index)
    across, up = math.hypot(matrix.a, matrix.b), math.hypot(matrix.c, matrix.d)
    angle = math.degrees(math.atan2(matrix.b, matrix.a)) - 90 * turn
    quarter = round(angle / 90)
    direction = (-quarter) % 4 if abs(angle - 90 * quarter) < 10 else None
    name, flags = ctypes.create_string_buffer(256), ctypes.c_int()
    raw.FPDFText_GetFontInfo(text, index, name, 256, flags)
    font = name.value.decode("utf-8", errors="replace").partition("+")
    bold = raw.FPDFText_GetFontWeight(text, index) >= 600 or bool(_BOLD.search(font[2] or font[0]))
    tag, element = tags.get(raw.FPDFPageObj_GetMarkedContentID(handle), (0, 0)) if handle else (0, 0)
    return _Style(max(0.1, abs(points) * up), max(0.1, abs(points) * across), direction, bold, tag, element)


def _tags(page: pdfium.PdfPage) -> dict[int, tuple[int, int]]:
    """Of a tagged file: for each marked content of a page the level of its heading and the number of its paragraph."""
    tree = raw.FPDF_StructTree_GetForPage(page.raw)
    tags: dict[int, tuple[int, int]] = {}
    if not tree:
        return tags
    buffer = ctypes.create_string_buffer(128)
    left = _MAX_ELEMENTS
    try:
        # (element, the heading's level, the paragraph's number, how deep)
        waiting = [
            (raw.FPDF_StructTree_GetChildAtIndex(tree, place), 0, 0, 0)
            for place in range(min(raw.FPDF_StructTree_CountChildren(tree), left))
        ]
        while waiting and left > 0:
            element, level, number, depth = waiting.pop()
            if not element or depth > 8 * _MAX_DEPTH:
                continue
            left -= 1
            size = raw.FPDF_StructElement_GetType(element, buffer, 128)
            kind = buffer.raw[: max(0, min(size, 128) - 2)].decode("utf-16-le", errors="replace")
            if _BLOCK_TAG.match(kind):
                number = left + 1
                if kind[0] in "HT" and kind not in {"TD", "TH", "TOCI"}:
                    level = int(kind[1]) if kind[1:].isdigit() else 1
            for place in range(min(max(0, raw.FPDF_StructElement_GetMarkedContentIdCount(element)), left)):
                content = raw.FPDF_StructElement_GetMarkedContentIdAtIndex(element, place)
                if content >= 0:
                    tags[content] = (level, number)
            children = min(max(0, raw.FPDF_StructElement_CountChildren(element)), left)
            for place in range(children):
                content = raw.FPDF_StructElement_GetChildMarkedContentID(element, place)
                if content >= 0:
                    tags[content] = (level, number)
                child = raw.FPDF_StructElement_GetChildAtIndex(element, place)
                if child:
                    waiting.append((child, level, number, depth + 1))
    finally:
        raw.FPDF_StructTree_Close(tree)
    return tags


# ---------------------------------------------------------------- what is drawn


def _read_objects(
    page: pdfium.PdfPage, found: PageGlyphs, place: Callable[[float, float], tuple[float, float]]
) -> None:
    """Ruled lines and pictures of a page; without lines where there are too many of them."""
    identity = raw.FS_MATRIX(1, 0, 0, 1, 0, 0)
    left = MAX_OBJECTS
    # (how many children, which one, the matrix of the form, how deep)
    waiting: list[tuple[Callable[[int], raw.FPDF_PAGEOBJECT], int, raw.FS_MATRIX, int]] = [
        (lambda at: raw.FPDFPage_GetObject(page.raw, at), raw.FPDFPage_CountObjects(page.raw), identity, 0)
    ]
    while waiting:
        child, count, outer, depth = waiting.pop()
        found.drawn = found.drawn or count > 0
        for at in range(count):
            left -= 1
            if left <= 0 or len(found.rows) + len(found.bars) > MAX_RULINGS:
                found.crowded = True
                found.rows, found.bars = [], []
                return
            item = child(at)
            kind = raw.FPDFPageObj_GetType(item)
            if kind == raw.FPDF_PAGEOBJ_TEXT:
                continue
            matrix = raw.FS_MATRIX()
            if not raw.FPDFPageObj_GetMatrix(item, matrix):
                matrix = identity
            matrix = _times(matrix, outer)
            if kind == raw.FPDF_PAGEOBJ_IMAGE:
                corners = [place(*_apply(matrix, x, y)) for x, y in ((0, 0), (1, 1))]
                area = abs((corners[1][0] - corners[0][0]) * (corners[1][1] - corners[0][1]))
                if area >= _PICTURE_SHARE * found.width * found.height:
                    found.pictured = True
            elif kind == raw.FPDF_PAGEOBJ_PATH:
                _read_path(item, matrix, found, place)
            elif kind == raw.FPDF_PAGEOBJ_FORM and depth < _MAX_DEPTH:
                waiting.append(
                    (
                        lambda at, form=item: raw.FPDFFormObj_GetObject(form, at),  # type: ignore[misc]
                        max(0, raw.FPDFFormObj_CountObjects(item)),
                        matrix,
                        depth + 1,
                    )
                )


def _read_path(
    item: raw.FPDF_PAGEOBJECT,
    matrix: raw.FS_MATRIX,
    found: PageGlyphs,
    place: Callable[[float, float], tuple[float, float]],
) -> None:
    segments = raw.FPDFPath_CountSegments(item)
    if not 2 <= segments <= _MAX_SEGMENTS:
        return
    mode, stroked = ctypes.c_int(), ctypes.c_int()
    raw.FPDFPath_GetDrawMode(item, mode, stroked)
    if not mode.value and not stroked.value:
        return
    x, y = ctypes.c_float(), ctypes.c_float()
    outlines: list[list[tuple[float, float]]] = []
    closed: list[bool] = []
    for at in range(segments):
        segment = raw.FPDFPath_GetPathSegment(item, at)
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == raw.FPDF_SEGMENT_BEZIERTO:
            return
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        point = place(*_apply(matrix, x.value, y.value))
        if kind == raw.FPDF_SEGMENT_MOVETO or not outlines:
            outlines.append([point])
            closed.append(False)
        else:
            outlines[-1].append(point)
        closed[-1] = closed[-1] or bool(raw.FPDFPathSegment_GetClose(segment))
    for points, is_closed in zip(outlines, closed, strict=True):
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        low, high, top, bottom = min(xs), max(xs), min(ys), max(ys)
        if min(high - low, bottom - top) <= _THIN:
            if high - low > bottom - top:
                found.rows.append(((top + bottom) / 2, low, high))
            elif bottom > top:
                found.bars.append(((low + high) / 2, top, bottom))
        elif stroked.value:
            if is_closed:
                points = [*points, points[0]]
            for (x0, y0), (x1, y1) in pairwise(points):
                if abs(y1 - y0) <= 0.5:
                    found.rows.append(((y0 + y1) / 2, min(x0, x1), max(x0, x1)))
                elif abs(x1 - x0) <= 0.5:
                    found.bars.append(((x0 + x1) / 2, min(y0, y1), max(y0, y1)))


def _apply(matrix: raw.FS_MATRIX, x: float, y: float) -> tuple[float, float]:
    return matrix.a * x + matrix.c * y + matrix.e, matrix.b * x + matrix.d * y + matrix.f


def _times(inner: raw.FS_MATRIX, outer: raw.FS_MATRIX) -> raw.FS_MATRIX:
    """The matrix that applies `inner` first."""
    return raw.FS_MATRIX(
        inner.a * outer.a + inner.b * outer.c,
        inner.a * outer.b + inner.b * outer.d,
        inner.c * outer.a + inner.d * outer.c,
        inner.c * outer.b + inner.d * outer.d,
        inner.e * outer.a + inner.f * outer.c + outer.e,
        inner.e * outer.b + inner.f * outer.d + outer.f,
    )
