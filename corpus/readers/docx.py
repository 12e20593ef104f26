"""Word documents (.docx): the body in its order, as it would be printed.

In: the bytes of a file. Out: a Source with headings by style or outline level, automatic numbers, tables in their place, text
boxes and notes after the paragraph they belong to. Left out: what is not printed in the body (deleted and hidden text, comments,
headers, footers, the automatic table of contents). Knows nothing about what the words mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import docx
from docx.oxml import parse_xml
from lxml import etree

from corpus.readers.assembly import PAGE_BREAK, REPEATED_CHARS, Assembly, one_line
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
from corpus.readers.word_lists import BULLET_SIGN, W, WordLists, number, value

NOTE_SIGN = "※"
"""Before a note's number, in the sentence and before the note: a raised number would read as part of the words."""
_ADVICE = "画像だけの文書なら、文字認識（OCR）をしてから保存し直してください。"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
# elements around blocks or words that say nothing themselves
_WRAPPERS = frozenset(
    W + name
    for name in (
        "ins",
        "moveTo",
        "customXml",
        "smartTag",
        "sdtContent",
        "hyperlink",
        "dir",
        "bdo",
        "ruby",
        "rubyBase",
    )
)
_SKIPPED = frozenset(
    W + name
    for name in (
        "del",
        "moveFrom",
        "delText",
        "rt",
        "pPr",
        "rPr",
        "instrText",
        "commentReference",
        "annotationRef",
    )
)
# fields whose result is not part of the text: page numbers, contents, entries of an index
_UNPRINTED_FIELDS = frozenset({"PAGE", "NUMPAGES", "SECTIONPAGES", "TOC", "INDEX", "XE", "TC", "TA", "RD"})
_SIGNS = {
    W + "tab": "\t",
    W + "ptab": "\t",
    W + "br": "\n",
    W + "cr": "\n",
    W + "noBreakHyphen": "-",
    W + "lastRenderedPageBreak": PAGE_BREAK,
}
# signs of the font Wingdings, which have no words: check marks, boxes, bullets, arrows
_SYMBOLS = {
    0xFC: "✓", 0xFE: "☑", 0xA8: "□", 0x6F: "□", 0x6C: "●", 0x6E: "■", 0xD8: "➢", 0xE0: "→", 0xE8: "➔", 0x9F: "・",
}  # fmt: skip
_DEEPEST_STYLE = 30
"""Styles that are looked at for what a style takes over from those that it is based on; templates have five."""
_DEEPEST_FIELD = 50
"""Fields one in another above which their signs are no fields; Word nests a few."""
_HEADING_NAME = re.compile(r"^(?:heading|見出し)\s*([1-9])$", re.IGNORECASE)
_CONTENTS_NAME = re.compile(r"^(?:toc|目次)\s*(?:[1-9]|heading|の見出し)$|^table of figures$", re.IGNORECASE)


def read(data: bytes) -> Source:
    """The canonical text of a Word document's bytes; raises ReadError for what cannot be read as one."""
    lost: list[str] = []
    package = open_package(data, "docx", lost)
    try:
        document = docx.Document(package)
        body = document.element.body
        reader = _Reader(document)
        reader.warnings += lost
        reader.blocks(body)
        return reader.source(body)
    except (ReadError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # the library raises many kinds for parts that are missing or not what they say
        raise broken("docx") from error


@dataclass(frozen=True, slots=True)
class _Style:
    """What a paragraph style says, its ancestors' word included."""

    level: int | None = None
    title: bool = False
    contents: bool = False
    hidden: bool = False
    list_number: str = ""
    list_level: int | None = None
    list_style: str = ""


@dataclass(slots=True)
class _Words:
    """What a paragraph or cell holds: its words, and what is drawn or noted beside them."""

    text: list[str] = field(default_factory=list)
    drawn: list[Element] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Field:
    """A field that is open: its instruction, and whether its result has begun."""

    code: str = ""
    in_result: bool = False
    unprinted: bool = False


class _Reader:
    """Reads the body of one document into an assembly."""

    def __init__(self, document: Any) -> None:
        self.part = document.part
        self.out = Assembly()
        self.lists = WordLists(self._related("numbering"))
        self.styles_by_id = {
            style.get(f"{W}styleId", ""): style for style in document.styles.element.iterchildren(f"{W}style")
        }
        self.default_style = next(
            (
                identity
                for identity, style in self.styles_by_id.items()
                if style.get(f"{W}type") == "paragraph" and style.get(f"{W}default") in {"1", "true", "on"}
            ),
            "",
        )
        self.styles: dict[str, _Style] = {}
        self.notes = {kind: self._notes(kind) for kind in ("footnote", "endnote")}
        self.noted = {"footnote": 0, "endnote": 0}
        self.note_systems = {
            kind: self._note_system(document.element.body, kind, default)
            for kind, default in (("footnote", "decimal"), ("endnote", "lowerRoman"))
        }
        self.fields: list[_Field] = []
        # a field without an end would swallow the rest of the document
        ends = document.element.body.xpath("count(.//w:fldChar[@w:fldCharType='end'][not(ancestor::w:del)])")
        begins = document.element.body.xpath(
            "count(.//w:fldChar[@w:fldCharType='begin'][not(ancestor::w:del)])"
        )
        self.trust_fields = ends == begins
        self.titles: list[str] = []
        self.title_open = True
        self.warnings: list[str] = []

    def source(self, body: Element) -> Source:
        """What was read, as a Source."""
        return self.out.source(
            format="docx",
            title=" ".join(self.titles),
            warnings=tuple(self.warnings),
            page_breaks=self._paginated(body),
            advice=_ADVICE,
        )

    # ------------------------------------------------------------ parts

    def _related(self, name: str) -> Element | None:
        try:
            return parse_xml(self.part.part_related_by(_OFFICE + name).blob)
        except KeyError:
            return None

    def _notes(self, kind: str) -> dict[str, Element]:
        root = self._related(f"{kind}s")
        if root is None:
            return {}
        return {
            note.get(f"{W}id", ""): note
            for note in root.iterchildren(f"{W}{kind}")
            if note.get(f"{W}type", "normal") == "normal"
        }

    def _note_system(self, body: Element, kind: str, default: str) -> str:
        settings = self._related("settings")
        for found in (
            body.find(f".//{W}sectPr/{W}{kind}Pr/{W}numFmt"),
            None if settings is None else settings.find(f"{W}{kind}Pr/{W}numFmt"),
        ):
            if found is not None:
                return str(found.get(f"{W}val", default))
        return default

    def _paginated(self, body: Element) -> bool:
        """Whether the page breaks that Word left when it last saved the file are all there.

        They are hints: other programs write none or some. So they count only where they make as many pages as the file's properties state.
        """
        breaks = sum(1 for _ in body.iter(f"{W}lastRenderedPageBreak"))
        try:
            properties = parse_xml(self.part.package.part_related_by(_OFFICE + "extended-properties").blob)
        except (KeyError, etree.XMLSyntaxError):
            return False
        stated = next((p.text for p in properties.iter("{*}Pages")), None)
        return breaks > 0 and number(stated, 0) == breaks + 1

    def _style(self, identity: str) -> _Style:
        if identity not in self.styles:
            chain: list[Element] = []
            at, seen = identity, set[str]()
            while at in self.styles_by_id and at not in seen and len(seen) < _DEEPEST_STYLE:
                seen.add(at)
                chain.append(self.styles_by_id[at])
                at = value(chain[-1], "basedOn")
            self.styles[identity] = _style(chain)
        return self.styles[identity]

    # ------------------------------------------------------------ blocks

    def blocks(self, container: Element) -> None:
        """Everything in a body, a text box or a framed cell, in order."""
        for child in container:
            tag = child.tag
            if tag == f"{W}p":
                self._paragraph(child)
            elif tag == f"{W}tbl":
                self._table(child)
            elif tag == f"{W}sdt":
                if not _is_contents(child):
                    for content in child.iterchildren(f"{W}sdtContent"):
                        self.blocks(content)
            elif tag in _WRAPPERS:
                self.blocks(child)
            elif tag == ALTERNATE:
                for content in chosen(child):
                    self.blocks([content])
            elif tag == f"{W}altChunk":
                self.warnings.append(
                    "別の文書を埋め込んだ部分があり、その部分は読んでいません。Wordで開いて保存し直すと読めます。"
                )

    def _paragraph(self, paragraph: Element) -> None:
        words = _Words()
        style, label = self._words_of(paragraph, words)
        text = "".join(words.text)
        level = _outline_level(paragraph, style)
        heading = level is not None or style.title
        if style.contents:
            text = ""
        if text.replace(PAGE_BREAK, "").strip():
            text = _labelled(label, text)
            if heading:
                # a note's mark stays out of a heading: it would be searched and shown as part of its name
                for sign, _ in words.notes:
                    text = text.replace(sign, "", 1)
                self.out.heading(text, level or 1)
                if style.title and self.title_open:
                    self.titles.append(one_line(text).replace(PAGE_BREAK, ""))
            elif label:
                self.out.item(text)
            else:
                self.out.paragraph(text)
            self.title_open = style.title and self.title_open
        elif PAGE_BREAK in text:
            self.out.paragraph(text)
        self._beside(words)

    def _beside(self, words: _Words) -> None:
        for sign, note in words.notes:
            self.out.line(f"{sign} {note}")
        for drawn in words.drawn:
            if drawn.tag == DIAGRAM:
                for line in self._diagram(drawn):
                    self.out.item(BULLET_SIGN + line)
            elif drawn.tag == CHART:
                title, rows = self._chart(drawn)
                self.out.paragraph(title)
                self.out.table(rows)
            else:
                self.blocks(drawn)

    def _words_of(self, paragraph: Element, words: _Words) -> tuple[_Style, str]:
        """Reads a paragraph into `words`; gives its style and the label of its automatic number."""
        properties = paragraph.find(f"{W}pPr")
        identity = (
            value(properties, "pStyle", self.default_style) if properties is not None else self.default_style
        )
        style = self._style(identity)
        self._inline(paragraph, words, style.hidden)
        return style, self._label(properties, style)

    def _label(self, properties: Element | None, style: _Style) -> str:
        own = properties.find(f"{W}numPr") if properties is not None else None
        num, place = style.list_number, style.list_level
        if own is not None:
            num = value(own, "numId", num)
            place = number(value(own, "ilvl"), place or 0)
        if not num or num == "0":
            return ""
        if place is None:
            place = self.lists.level_of_style(num, style.list_style) or 0
        return self.lists.label(num, place)

    # ------------------------------------------------------------ words

    def _inline(self, element: Element, words: _Words, hidden: bool) -> None:
        for child in element:
            tag = child.tag
            if tag == f"{W}r":
                self._inline(child, words, hidden or self._is_hidden(child))
            elif tag == f"{W}t" or tag == _MATH_TEXT:
                if not hidden and self._printed():
                    words.text.append(child.text or "")
            elif tag == f"{W}fldChar":
                self._field(child)
            elif tag == f"{W}instrText":
                if self.fields and not self.fields[-1].in_result:
                    self.fields[-1].code += (child.text or "")[:100]
            elif tag in _SKIPPED or not isinstance(tag, str):
                continue
            elif tag in _SIGNS:
                if tag == f"{W}lastRenderedPageBreak" or (not hidden and self._printed()):
                    words.text.append(_SIGNS[tag])
            elif tag == f"{W}sym":
                code = child.get(f"{W}char", "")
                if not hidden and self._printed() and re.fullmatch(r"[0-9A-Fa-f]{1,4}", code):
                    words.text.append(_SYMBOLS.get(int(code, 16) & 0xFF, ""))
            elif tag in (f"{W}footnoteReference", f"{W}endnoteReference"):
                if not hidden and self._printed():
                    self._note(child, tag.removeprefix(W).removesuffix("Reference"), words)
            elif tag == f"{W}fldSimple":
                if _first_word(child.get(f"{W}instr", "")) not in _UNPRINTED_FIELDS:
                    self._inline(child, words, hidden)
            elif tag == f"{W}sdt":
                for content in child.iterchildren(f"{W}sdtContent"):
                    self._inline(content, words, hidden)
            elif tag == ALTERNATE:
                for content in chosen(child):
                    self._inline([content], words, hidden)
            elif tag in (f"{W}drawing", f"{W}pict", f"{W}object"):
                if not hidden:
                    words.drawn.extend(_drawn(child))
            elif tag in _WRAPPERS or tag.startswith(_MATH_TEXT[:-1]):
                self._inline(child, words, hidden)

    def _is_hidden(self, run: Element) -> bool:
        properties = run.find(f"{W}rPr")
        if properties is None:
            return False
        own = properties.find(f"{W}vanish")
        if own is not None:
            return _on(own)
        style = value(properties, "rStyle")
        return bool(style) and self._style(style).hidden

    def _printed(self) -> bool:
        return not any(open_.unprinted or not open_.in_result for open_ in self.fields)

    def _field(self, sign: Element) -> None:
        if not self.trust_fields:
            return
        kind = sign.get(f"{W}fldCharType")
        if kind == "begin" and len(self.fields) >= _DEEPEST_FIELD:
            # every word would ask each of them whether it is printed
            self.trust_fields = False
            self.fields.clear()
        elif kind == "begin":
            self.fields.append(_Field())
        elif kind == "separate" and self.fields:
            self.fields[-1].in_result = True
            self.fields[-1].unprinted = _first_word(self.fields[-1].code) in _UNPRINTED_FIELDS
        elif kind == "end" and self.fields:
            self.fields.pop()

    def _note(self, reference: Element, kind: str, words: _Words) -> None:
        note = self.notes[kind].pop(reference.get(f"{W}id", ""), None)
        if note is None:
            return
        if reference.get(f"{W}customMarkFollows") in {"1", "true", "on"}:
            sign = NOTE_SIGN  # its own mark stands in the words that follow
        else:
            self.noted[kind] += 1
            sign = NOTE_SIGN + numeral(self.noted[kind], self.note_systems[kind])
            words.text.append(sign)
        inner = _Words()
        held, self.fields = self.fields, []  # a field that the note leaves open ends with it
        text = one_line(self._cell(note, inner)).replace(PAGE_BREAK, "")
        self.fields = held
        if text:
            words.notes.append((sign, text))

    # ------------------------------------------------------------ tables

    def _table(self, table: Element) -> None:
        rows = [list(_cells(row)) for row in _rows(table)]
        if _is_layout(rows):
            for row in rows:
                for cell in row:
                    if _merge(cell) != "continue":
                        self.blocks(cell)
            return
        beside = _Words()
        self.out.table(self._grid(rows, beside))
        self._beside(beside)

    def _grid(self, rows: list[list[Element]], beside: _Words) -> list[list[str]]:
        """The texts of a table's rows: a cell merged downwards in each of its rows, one merged sideways once.

        Where the table has a row without merged cells, empty cells keep the columns in line; a form's grid has more columns
        than anything in it.
        """
        spans = [[_span(cell) for cell in row] for row in rows]
        columns = max((len(row) for row in rows), default=0)
        in_line = all(sum(row) <= columns for row in spans)
        above: dict[int, str] = {}
        grid: list[list[str]] = []
        for row, widths in zip(rows, spans, strict=True):
            texts: list[str] = []
            at = 0
            for cell, width in zip(row, widths, strict=True):
                merge = _merge(cell)
                if merge == "continue":
                    text = above.get(at, "")
                else:
                    text = self._cell(cell, beside)
                    above.pop(at, None)
                    if merge == "restart" and len(text) <= REPEATED_CHARS:
                        above[at] = text.replace(PAGE_BREAK, "")
                texts += [text, *[""] * (width - 1 if in_line else 0)]
                at += width
            grid.append(texts)
        return grid

    def _cell(self, container: Element, beside: _Words) -> str:
        """The words of a cell or note on one line; notes and drawings go to `beside`, texts of boxes stay here."""
        pieces: list[str] = []
        for child in container:
            if child.tag == f"{W}p":
                words = _Words()
                style, label = self._words_of(child, words)
                text = "".join(words.text)
                if text.strip() and not style.contents:
                    pieces.append(_labelled(label, text))
                for drawn in words.drawn:
                    if drawn.tag == DIAGRAM:
                        pieces.extend(self._diagram(drawn))
                    elif drawn.tag == CHART:
                        beside.drawn.append(drawn)
                    else:
                        pieces.append(self._cell(drawn, beside))
                beside.notes.extend(words.notes)
            elif child.tag == f"{W}tbl":
                for row in self._grid([list(_cells(row)) for row in _rows(child)], beside):
                    pieces.extend(cell for cell in row if cell.strip())
            elif child.tag == f"{W}sdt":
                pieces.extend(self._cell(content, beside) for content in child.iterchildren(f"{W}sdtContent"))
            elif child.tag in _WRAPPERS:
                pieces.append(self._cell(child, beside))
        return one_line(" ".join(piece for piece in pieces if piece.strip(" \t\n")))

    # ------------------------------------------------------------ drawings

    def _drawing_part(self, drawing: Element) -> bytes | None:
        related = self.part.related_parts.get(relationship(drawing))
        return None if related is None else related.blob

    def _diagram(self, drawing: Element) -> list[str]:
        blob = self._drawing_part(drawing)
        try:
            return diagram_lines(blob) if blob else []
        except etree.XMLSyntaxError:
            self.warnings.append("SmartArt の一つが壊れていて、読めませんでした。")
            return []

    def _chart(self, drawing: Element) -> tuple[str, list[list[str]]]:
        blob = self._drawing_part(drawing)
        try:
            return chart_table(blob) if blob else ("", [])
        except etree.XMLSyntaxError:
            self.warnings.append("グラフの一つが壊れていて、読めませんでした。")
            return "", []


# ---------------------------------------------------------------- styles


def _style(chain: list[Element]) -> _Style:
    """What a style says; `chain` goes from it to its outermost ancestor, and the nearest word counts."""
    level: int | None = None
    num, place, own = "", None, ""
    hidden: bool | None = None
    for style in chain:
        properties = style.find(f"{W}pPr")
        stated = value(properties, "outlineLvl") if properties is not None else ""
        named = _HEADING_NAME.match(value(style, "name"))
        if level is None and stated:
            level = number(stated, 9)
        elif level is None and named:
            level = int(named[1]) - 1
        numbering = properties.find(f"{W}numPr") if properties is not None else None
        if numbering is not None:
            if place is None and value(numbering, "ilvl"):
                place = number(value(numbering, "ilvl"), 0)
            if not num and value(numbering, "numId"):
                num, own = value(numbering, "numId"), style.get(f"{W}styleId", "")
        vanish = style.find(f"{W}rPr/{W}vanish")
        if hidden is None and vanish is not None:
            hidden = _on(vanish)
    name = value(chain[0], "name") if chain else ""
    return _Style(
        level=level + 1 if level is not None and 0 <= level < 9 else None,
        title=name.lower() in {"title", "表題"},
        contents=bool(_CONTENTS_NAME.match(name)),
        hidden=bool(hidden),
        list_number=num,
        list_level=place,
        list_style=own,
    )


def _outline_level(paragraph: Element, style: _Style) -> int | None:
    """The level of a heading from 1, None for body text; a paragraph's own word goes before its style's."""
    own = paragraph.find(f"{W}pPr/{W}outlineLvl")
    if own is None:
        return style.level
    level = number(own.get(f"{W}val"), 9)
    return level + 1 if 0 <= level < 9 else None


def _labelled(label: str, text: str) -> str:
    """A paragraph with its automatic number; a page that begins with the paragraph begins before the number."""
    stripped = text.lstrip(" \t\n" + PAGE_BREAK)
    breaks = text[: len(text) - len(stripped)].count(PAGE_BREAK)
    return PAGE_BREAK * breaks + label + stripped


def _on(element: Element) -> bool:
    return element.get(f"{W}val", "1") not in {"0", "false", "off"}


def _first_word(code: str) -> str:
    return (code.split() or [""])[0].upper()


# ---------------------------------------------------------------- what stands in what


def _is_contents(control: Element) -> bool:
    """Whether a content control is the automatic table of contents."""
    gallery = control.find(f"{W}sdtPr/{W}docPartObj/{W}docPartGallery")
    return gallery is not None and gallery.get(f"{W}val") == "Table of Contents"


def _drawn(element: Element) -> Iterator[Element]:
    """Text boxes, diagrams and charts in a drawing, each once."""
    for child in element:
        if child.tag in (f"{W}txbxContent", DIAGRAM, CHART):
            yield child
        elif child.tag == ALTERNATE:
            for content in chosen(child):
                yield from _drawn([content])
        elif isinstance(child.tag, str):
            yield from _drawn(child)


def _rows(table: Element) -> Iterator[Element]:
    for child in table:
        if child.tag == f"{W}tr":
            if child.find(f"{W}trPr/{W}del") is None:
                yield child
        elif child.tag in _WRAPPERS or child.tag == f"{W}sdt":
            yield from _rows(child)


def _cells(row: Element) -> Iterator[Element]:
    for child in row:
        if child.tag == f"{W}tc":
            properties = child.find(f"{W}tcPr")
            if properties is not None:
                # an older way to merge sideways leaves the merged cells in the row
                merged = properties.find(f"{W}hMerge")
                if merged is not None and merged.get(f"{W}val") != "restart":
                    continue
                if properties.find(f"{W}cellDel") is not None:
                    continue
            yield child
        elif child.tag in _WRAPPERS or child.tag == f"{W}sdt":
            yield from _cells(child)


def _span(cell: Element) -> int:
    properties = cell.find(f"{W}tcPr")
    return max(1, number(value(properties, "gridSpan"), 1)) if properties is not None else 1


def _merge(cell: Element) -> str:
    """restart, continue, or empty: a cell's place in one merged downwards."""
    merged = cell.find(f"{W}tcPr/{W}vMerge")
    return "" if merged is None else str(merged.get(f"{W}val", "continue"))


def _is_layout(rows: list[list[Element]]) -> bool:
    """Whether a table only places things: one cell a row, or tables of several columns inside its cells."""
    if all(len(row) <= 1 for row in rows):
        return True
    inner = (table for row in rows for cell in row for table in cell.iter(f"{W}tbl"))
    return any(sum(1 for _ in _cells(row)) > 1 for table in inner for row in _rows(table))
