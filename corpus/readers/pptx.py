"""PowerPoint presentations (.pptx): one page a slide, in the order of the slides.

In: the bytes of a file. Out: a Source with each slide's title as its heading, its words in reading order, its tables and charts as
rows, and its notes under a heading of their own. Left out: hidden slides (with a warning), slide numbers, dates, footers, and
what stands on the master. Knows nothing about what the words mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pptx
from lxml import etree

from corpus.readers.assembly import REPEATED_CHARS, Assembly
from corpus.readers.drawings import (
    ALTERNATE,
    CHART,
    DIAGRAM,
    Element,
    chart_table,
    chosen,
    diagram_lines,
    relationship,
)
from corpus.readers.numerals import numeral
from corpus.readers.packages import broken, open_package
from corpus.readers.source import ReadError, Source
from corpus.structure import BULLET

NOTES = "ノート"
"""Heading of what a slide's notes say: they were spoken, or not even that, and are no words of the slide."""
_ADVICE = "画像だけのスライドなら、文字認識（OCR）をしてから保存し直してください。"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_TITLES = frozenset({"title", "ctrTitle"})
_FURNITURE = frozenset({"sldNum", "ftr", "dt", "hdr", "sldImg"})
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_BULLETS = frozenset(_A + name for name in ("buNone", "buChar", "buAutoNum", "buBlip"))
_LEVELS = 9
"""Levels that a list has."""
_MOST_CUT = 300
"""Shapes on a slide above which they are read by their place alone: finding columns compares them again and again."""
# automatic numbers: (system, what stands around the number)
_SYSTEMS = {
    "arabic": "decimal",
    "arabicDb": "decimalFullWidth",
    "circleNumDb": "decimalEnclosedCircle",
    "circleNumWdWhite": "decimalEnclosedCircle",
    "circleNumWdBlack": "decimalEnclosedCircle",
    "alphaLc": "lowerLetter",
    "alphaUc": "upperLetter",
    "romanLc": "lowerRoman",
    "romanUc": "upperRoman",
    "ea1Jpn": "japaneseCounting",
    "ea1JpnKor": "japaneseCounting",
    "ea1JpnChsDb": "japaneseCounting",
    "ea1Chs": "japaneseCounting",
    "ea1Cht": "japaneseCounting",
}
_AROUND = (("ParenBoth", "({})"), ("ParenR", "{})"), ("Period", "{}."), ("Plain", "{}"))


def read(data: bytes) -> Source:
    """The canonical text of a presentation's bytes; raises ReadError for what cannot be read as one."""
    reader = _Reader()
    package = open_package(data, "pptx", reader.warnings)
    try:
        for number, slide in enumerate(pptx.Presentation(package).slides, start=1):
            reader.slide(number, slide)
    except (ReadError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # the library raises many kinds for parts that are missing or not what they say
        raise broken("pptx") from error
    return reader.source()


@dataclass(frozen=True, slots=True)
class _Box:
    """A shape with its place on the slide, in the file's units, and the levels of bullets that it inherits."""

    shape: Element
    styles: tuple[Element, ...]
    left: int
    top: int
    right: int
    bottom: int


class _Reader:
    """Reads the slides of one presentation into an assembly."""

    def __init__(self) -> None:
        self.out = Assembly()
        self.hidden: list[int] = []
        self.pictures: list[int] = []
        self.warnings: list[str] = []

    def source(self) -> Source:
        """What was read, as a Source."""
        if self.hidden:
            self.warnings.append(
                f"非表示のスライド（{_listed(self.hidden)}枚目）は読んでいません。読ませるには、PowerPointで再表示して保存します。"
            )
        if self.pictures:
            self.warnings.append(
                f"画像だけで文字情報がないスライドがあります（{_listed(self.pictures)}枚目）。"
            )
        return self.out.source(format="pptx", warnings=tuple(self.warnings), advice=_ADVICE)

    def slide(self, number: int, slide: Any) -> None:
        """Reads one slide; `number` is its place in the file."""
        if slide.element.get("show") in {"0", "false"}:
            self.hidden.append(number)
            return
        self.out.page(number)
        before = len(self.out)
        boxes = _boxes(_tree(slide), _Inherited(slide))
        titles = [box for box in boxes if _placeholder(box.shape)[0] in _TITLES]
        for box in titles[:1]:
            self.out.heading(" ".join(_paragraphs(box.shape)), 1)
        rest = [box for box in boxes if box not in titles[:1]]
        # what the layout has a place for comes before what was put beside it
        for placed in (True, False):
            for box in _in_order([b for b in rest if (_placeholder(b.shape)[1] is not None) == placed]):
                self._shape(box, slide.part)
        if len(self.out) == before and any(True for _ in slide.element.iter(f"{_P}pic")):
            self.pictures.append(number)
        if slide.has_notes_slide:
            self._notes(slide.notes_slide)

    def _notes(self, notes: Any) -> None:
        frames = [s for s in _shapes(_tree(notes)) if _placeholder(s)[0] == "body"]
        lines = [line for frame in frames for line in _lines(frame, ())]
        if any(line.strip() for line in lines):
            self.out.heading(NOTES, 2)
            self.out.block("\n".join(lines))

    def _shape(self, box: _Box, part: Any) -> None:
        shape = box.shape
        if shape.tag == f"{_P}grpSp":
            for inner in _in_order(_boxes(shape, None)):
                self._shape(inner, part)
        elif shape.tag == f"{_P}sp":
            self.out.block("\n".join(_lines(shape, box.styles)))
        elif shape.tag == f"{_P}graphicFrame":
            for drawn in shape.iter(f"{_A}tbl", CHART, DIAGRAM):
                if drawn.tag == f"{_A}tbl":
                    self._table(drawn)
                else:
                    self._drawing(drawn, part)

    def _table(self, table: Element) -> None:
        rows = [list(row.iterchildren(f"{_A}tc")) for row in table.iterchildren(f"{_A}tr")]
        if all(len(row) <= 1 for row in rows):
            for row in rows:
                for cell in row:
                    self.out.block("\n".join(_lines(cell, ())))
            return
        above: dict[int, str] = {}
        grid: list[list[str]] = []
        for row in rows:
            texts: list[str] = []
            for at, cell in enumerate(row):
                if _true(cell.get("hMerge")):
                    text = ""  # the words stand once, and the columns stay in line
                elif _true(cell.get("vMerge")):
                    text = above.get(at, "")
                else:
                    text = " ".join(line for line in _lines(cell, ()) if line)
                    above[at] = text if len(text) <= REPEATED_CHARS else ""
                texts.append(text)
            grid.append(texts)
        self.out.table(grid)

    def _drawing(self, drawing: Element, part: Any) -> None:
        try:
            blob = part.related_part(relationship(drawing)).blob
            if drawing.tag == DIAGRAM:
                self.out.block("\n".join(f"・{line}" for line in diagram_lines(blob)))
            else:
                title, rows = chart_table(blob)
                self.out.block(title)
                self.out.table(rows)
        except (KeyError, etree.XMLSyntaxError):
            self.warnings.append("図の一つが壊れていて、読めませんでした。")


# ---------------------------------------------------------------- shapes


class _Inherited:
    """What the placeholders of a slide take over from its layout and master."""

    def __init__(self, slide: Any) -> None:
        layout = slide.slide_layout
        master = layout.slide_master
        self.by_index = {
            _placeholder(s)[1]: s for s in _shapes(_tree(layout)) if _placeholder(s)[1] is not None
        }
        self.by_type = {
            _placeholder(s)[0]: s for s in _shapes(_tree(master)) if _placeholder(s)[1] is not None
        }
        self.body = master.element.find(f"{_P}txStyles/{_P}bodyStyle")

    def of(self, shape: Element) -> list[Element]:
        """The shapes that a placeholder inherits from, nearest first."""
        kind, index = _placeholder(shape)
        if index is None:
            return []
        near = self.by_index.get(index)
        if near is not None:
            kind = _placeholder(near)[0]
        far = self.by_type.get("title" if kind in _TITLES else kind)
        if far is None:
            far = self.by_type.get("body")
        return [found for found in (near, far) if found is not None]


def _tree(slide: Any) -> Element:
    return slide.element.find(f"{_P}cSld/{_P}spTree")


def _shapes(tree: Element | None) -> Iterator[Element]:
    """The visible shapes of a slide or group, in the order of the file; newer kinds stand in an AlternateContent."""
    for child in () if tree is None else tree:
        if child.tag == ALTERNATE:
            yield from _shapes(chosen(child))
        elif isinstance(child.tag, str) and child.tag.startswith(_P):
            named = child.find(f"./*/{_P}cNvPr")
            if _placeholder(child)[0] not in _FURNITURE and (named is None or not _true(named.get("hidden"))):
                yield child


def _placeholder(shape: Element) -> tuple[str, str | None]:
    """A placeholder's type and index; (\"\", None) for another shape."""
    found = shape.find(f"./*/{_P}nvPr/{_P}ph")
    return ("", None) if found is None else (found.get("type", "obj"), found.get("idx", "0"))


def _boxes(tree: Element | None, inherited: _Inherited | None) -> list[_Box]:
    boxes = []
    for shape in _shapes(tree):
        parents = inherited.of(shape) if inherited else []
        place = next((p for s in (shape, *parents) if (p := _place(s))), (0, 0, 0, 0))
        styles = [s.find(f"{_P}txBody/{_A}lstStyle") for s in (shape, *parents)]
        if inherited and _placeholder(shape)[1] is not None and _placeholder(shape)[0] not in _TITLES:
            styles.append(inherited.body)
        boxes.append(_Box(shape, tuple(s for s in styles if s is not None), *place))
    return boxes


def _place(shape: Element) -> tuple[int, int, int, int] | None:
    """left, top, right, bottom, where the shape states them."""
    frame = next((f for path in _FRAMES if (f := shape.find(path)) is not None), None)
    if frame is None:
        return None
    offset, extent = frame.find(f"{_A}off"), frame.find(f"{_A}ext")
    if offset is None or extent is None:
        return None
    left, top = _whole(offset.get("x")), _whole(offset.get("y"))
    return left, top, left + max(0, _whole(extent.get("cx"))), top + max(0, _whole(extent.get("cy")))


_FRAMES = (f"{_P}spPr/{_A}xfrm", f"{_P}grpSpPr/{_A}xfrm", f"{_P}xfrm")


def _in_order(boxes: list[_Box]) -> list[_Box]:
    """Shapes from top to bottom and from left to right: cut into rows where nothing stands across the cut, then into
    columns, and so on (recursive XY cut)."""
    if len(boxes) <= 1:
        return boxes
    if len(boxes) <= _MOST_CUT:
        for upright in (True, False):
            groups = _cut(boxes, upright)
            if len(groups) > 1:
                return [box for group in groups for box in _in_order(group)]
    return sorted(boxes, key=lambda box: (box.top, box.left))


def _cut(boxes: list[_Box], upright: bool) -> list[list[_Box]]:
    """Groups that overlap by less than a fifth of a shape: people place shapes by eye."""
    spans = sorted(
        ((b.top, b.bottom, place) if upright else (b.left, b.right, place)) for place, b in enumerate(boxes)
    )
    groups: list[list[_Box]] = []
    reach = 0
    for start, end, place in spans:
        slack = (end - start) // 10
        if not groups or start + slack >= reach:
            groups.append([])
            reach = end - slack
        groups[-1].append(boxes[place])
        reach = max(reach, end - slack)
    return groups


# ---------------------------------------------------------------- words


def _lines(shape: Element, styles: tuple[Element, ...]) -> list[str]:
    """The paragraphs of a text frame, with 「・」 or their number; an empty line where the list ends or the author left one."""
    lines: list[str] = []
    counts: dict[int, tuple[str, int]] = {}
    listed = False
    for paragraph in shape.iterfind(f"{_BODY[shape.tag]}/{_A}p"):
        text = _text(paragraph).strip()
        if not text:
            lines.append("")
            listed = False
            continue
        level = _whole(paragraph.find(f"{_A}pPr").get("lvl")) if paragraph.find(f"{_A}pPr") is not None else 0
        level = min(max(level, 0), _LEVELS - 1)
        sign = _bullet(paragraph, level, styles)
        for deeper in [
            deeper for deeper in counts if deeper > level or (deeper == level and sign.tag != _NUMBER)
        ]:
            del counts[deeper]
        if sign.tag == _NUMBER:
            kind = sign.get("type", "")
            start = max(1, _whole(sign.get("startAt", "1")))
            same = counts.get(level, ("", 0))
            counts[level] = (kind, same[1] + 1 if same[0] == kind else start)
            label = _numbered(kind, counts[level][1])
        else:
            label = "" if sign.tag == f"{_A}buNone" or BULLET.match(text) else "・"
        if listed and not label and not BULLET.match(text):
            lines.append("")  # else the line would go on with the item above
        listed = bool(label or BULLET.match(text))
        lines.append(label + text)
    return lines


_BODY = {f"{_P}sp": f"{_P}txBody", f"{_A}tc": f"{_A}txBody"}
_NUMBER = f"{_A}buAutoNum"


def _paragraphs(shape: Element) -> list[str]:
    return [text for p in shape.iterfind(f"{_BODY[shape.tag]}/{_A}p") if (text := _text(p).strip())]


def _text(element: Element) -> str:
    """The words of a paragraph; a field that numbers the slides has none."""
    parts: list[str] = []
    for child in element:
        if child.tag == f"{_A}br":
            parts.append("\n")
        elif child.tag == f"{_A}r" or (child.tag == f"{_A}fld" and child.get("type") != "slidenum"):
            parts.extend(t.text or "" for t in child.iterchildren(f"{_A}t"))
        elif child.tag == ALTERNATE:
            parts.extend(
                t.text or "" for content in chosen(child) for t in content.iter(_MATH_TEXT, f"{_A}t")
            )
    return "".join(parts).replace("\v", "\n")


def _bullet(paragraph: Element, level: int, styles: tuple[Element, ...]) -> Element:
    """The nearest word on a paragraph's bullet: its own, then those of the styles at its level."""
    own = paragraph.find(f"{_A}pPr")
    inherited = (style.find(f"{_A}lvl{level + 1}pPr") for style in styles)
    for properties in (own, *inherited):
        for child in () if properties is None else properties:
            if child.tag in _BULLETS:
                return child
    return _NO_BULLET


_NO_BULLET = etree.Element(f"{_A}buNone")


def _numbered(kind: str, number: int) -> str:
    """An automatic number as it is shown: 「(2) 」 for arabicParenBoth."""
    for name, around in _AROUND:
        if kind.endswith(name):
            return around.format(numeral(number, _SYSTEMS.get(kind.removesuffix(name), "decimal"))) + " "
    return f"{number}. "


def _true(flag: str | None) -> bool:
    return flag in {"1", "true"}


def _whole(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"-?[0-9]{1,12}", text) else 0


def _listed(numbers: list[int]) -> str:
    shown = "、".join(map(str, numbers[:10]))
    return shown if len(numbers) <= 10 else f"{shown}ほか{len(numbers) - 10}"
