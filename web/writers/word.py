"""Word: a dossier as a .docx of A4 pages, with headings, numbered sources, tables whose heads repeat, and page numbers.

In: a readable dossier. Out: the bytes of a package that names nobody, leads nowhere outside, and holds the dossier's words.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

import docx
from docx.document import Document
from docx.enum.section import WD_ORIENT
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Length, Mm, Pt, RGBColor
from docx.styles.style import ParagraphStyle
from docx.text.paragraph import Paragraph

from qa.dossier import ABSENT, PRODUCT, Dossier, Row, Section, Sentence, Source, Value, moment_words

FONT = "Yu Gothic"
"""On every Windows and Mac with Office; elsewhere another Japanese font stands in for it."""
LANGUAGE = "ja-JP"
QUOTE, FACTS = "Quote", "SourceFacts"
FACTS_CHARS = 50
"""Short facts of a source share a line of so many characters: twelve lines a source would fill the paper."""
_WIDTH, _HEIGHT, _MARGIN, _LABELS = Mm(210), Mm(297), Mm(20), Mm(34)
_UPRIGHT_COLUMNS = 2
"""More cases than these stand side by side on a page turned on its side."""
_INK, _GREY, _LINK = RGBColor(0, 0, 0), RGBColor(0x4D, 0x4D, 0x4D), RGBColor(0, 0x17, 0xC1)
# parts of the library's template that say where it was made, or that Word takes for damage once the styles are changed
_TEMPLATE_PARTS = ("/thumbnail", "/extended-properties", "/customXml", "/stylesWithEffects")
_TEMPLATE_SETTINGS = ("w:rsids", "w:savePreviewPicture", "w:proofState", "w:doNotAutoCompressPictures")


def write(dossier: Dossier) -> bytes:
    """The file's bytes."""
    document = _blank(dossier)
    _paragraph(document, "Title", dossier.title)
    _paragraph(document, "Subtitle", f"{PRODUCT}（{dossier.kind}）　{moment_words(dossier.when)}")
    for section in dossier.sections:
        _section(document, dossier, section)
    for part, sources in dossier.parts():
        _paragraph(document, "Heading1", part)
        for source in sources:
            _source(document, dossier, source)
        if not sources:
            _paragraph(document, "Normal", ABSENT)
    _paragraph(document, "Heading1", "条件と再現のしかた")
    _table(document, dossier, ("項目", "内容"), [Row(f.label, (Value(f.value),)) for f in dossier.facts])
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


# ---------------------------------------------------------------- the parts


def _paragraph(document: Document, style: str, words: str = "") -> Paragraph:
    """A paragraph with the style of an id; looking styles up by name takes the library most of its time."""
    paragraph = document.add_paragraph(words)
    paragraph._p.style = style
    return paragraph


def _section(document: Document, dossier: Dossier, section: Section) -> None:
    _paragraph(document, "Heading1", section.heading)
    for line in section.lines:
        _paragraph(document, "Normal", line)
    before: tuple[str, str] | None = None
    for sentence in section.sentences:
        if sentence.label and (sentence.label, sentence.why) != before:
            label = _paragraph(document, "Normal")
            label.paragraph_format.keep_with_next = True
            label.add_run(sentence.label).bold = True
            label.add_run(f"　{sentence.why}" if sentence.why else "")
        before = (sentence.label, sentence.why)
        _sentence(document, dossier, sentence)
    if section.rows:
        _table(document, dossier, ("項目", *section.columns), section.rows)


def _sentence(document: Document, dossier: Dossier, sentence: Sentence) -> None:
    paragraph = _paragraph(document, QUOTE, sentence.text)
    _marks(paragraph, dossier, sentence.numbers)


def _source(document: Document, dossier: Dossier, source: Source) -> None:
    place = f"　{source.place}" if source.place else ""
    heading = _paragraph(document, "Heading2", f"{dossier.mark(source.number)} {source.title}{place}")
    _bookmark(heading, source.number)
    facts = _paragraph(document, FACTS)
    used = 0
    for fact in source.facts:
        size = len(fact.label) + len(fact.value) + 3
        if used:
            facts.add_run("　" if used + size <= FACTS_CHARS else "\n")
        used = used + size if used + size <= FACTS_CHARS else size
        facts.add_run(f"{fact.label}：").bold = True
        facts.add_run(fact.value)
    paragraph = _paragraph(document, QUOTE)
    at = 0
    for start, end in source.quoted:
        paragraph.add_run(source.quotation[at : max(at, start)])
        quoted = paragraph.add_run(source.quotation[max(at, start) : max(at, end)])
        quoted.bold = quoted.underline = True
        at = max(at, end)
    paragraph.add_run(source.quotation[at:])


def _table(document: Document, dossier: Dossier, head: Sequence[str], rows: Iterable[Row]) -> None:
    """A table whose first row stands again at the top of each page."""
    rows = list(rows)
    table = document.add_table(len(rows) + 1, len(head), document.styles["Table Grid"])
    table.autofit = False
    page = document.sections[0]
    whole = (page.page_width or _WIDTH) - (page.left_margin or _MARGIN) - (page.right_margin or _MARGIN)
    widths = [_LABELS] + [Length((whole - _LABELS) // (len(head) - 1))] * (len(head) - 1)
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    cells = [row.cells for row in table.rows]
    for cell, words in zip(cells[0], head, strict=True):
        cell.paragraphs[0].add_run(words).bold = True
        _shade(cell)
    table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    for line in table.rows:
        line._tr.get_or_add_trPr().insert(0, OxmlElement("w:cantSplit"))
    for line, row in zip(cells[1:], rows, strict=True):
        line[0].paragraphs[0].add_run(row.label).bold = True
        for cell, value in zip(line[1:], row.values, strict=True):
            paragraph = cell.paragraphs[0]
            paragraph.add_run(ABSENT if value.words is None else value.words)
            paragraph.add_run(f"（{value.note}）" if value.note else "")
            _marks(paragraph, dossier, () if value.number is None else (value.number,))
    for line in cells:
        for cell, width in zip(line, widths, strict=True):
            cell.width = width
            cell.paragraphs[0].paragraph_format.space_after = Pt(2)
    _paragraph(document, "Normal").paragraph_format.space_after = Pt(
        0
    )  # tables one after the other would become one


# ---------------------------------------------------------------- references


def _marks(paragraph: Paragraph, dossier: Dossier, numbers: Sequence[int]) -> None:
    """Puts the numbers of sources behind words; each leads to its source in the same file."""
    for number in numbers:
        paragraph.add_run(" ")
        link = OxmlElement("w:hyperlink")
        link.set(qn("w:anchor"), f"source{number}")
        run = paragraph.add_run(dossier.mark(number))
        run.font.color.rgb = _LINK
        link.append(run._r)
        paragraph._p.append(link)


def _bookmark(paragraph: Paragraph, number: int) -> None:
    start, end = OxmlElement("w:bookmarkStart"), OxmlElement("w:bookmarkEnd")
    for mark in (start, end):
        mark.set(qn("w:id"), str(number))
    start.set(qn("w:name"), f"source{number}")
    paragraph._p.insert_element_before(start, "w:r")
    paragraph._p.append(end)


# ---------------------------------------------------------------- the empty file


def _blank(dossier: Dossier) -> Document:
    """A document without words: pages, styles, language, footer, properties."""
    document = docx.Document()
    for rels in (document.part.package.rels, document.part.rels):
        for name in [name for name, rel in rels.items() if rel.reltype.endswith(_TEMPLATE_PARTS)]:
            del rels[name]
    _settings(document.settings.element)
    _styles(document)
    page = document.sections[0]
    turned = any(len(section.columns) > _UPRIGHT_COLUMNS for section in dossier.sections)
    page.orientation = WD_ORIENT.LANDSCAPE if turned else WD_ORIENT.PORTRAIT
    page.page_width, page.page_height = (_HEIGHT, _WIDTH) if turned else (_WIDTH, _HEIGHT)
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = _MARGIN
    page.header_distance = page.footer_distance = Mm(10)
    _footer(page.footer.paragraphs[0], f"{PRODUCT}　{moment_words(dossier.when)}　")
    about = document.core_properties
    moment = dossier.when.astimezone(UTC).replace(tzinfo=None)
    about.title, about.subject, about.author = dossier.title[:255], dossier.kind, PRODUCT
    about.language, about.comments, about.last_modified_by = LANGUAGE, "", ""
    about.created = about.modified = moment
    return document


def _settings(settings: Any) -> None:
    for name in _TEMPLATE_SETTINGS:
        for element in settings.findall(qn(name)):
            settings.remove(element)
    zoom = settings.find(qn("w:zoom"))
    zoom.attrib.clear()
    zoom.set(qn("w:percent"), "100")
    # below 15 Word opens a file in its mode for older versions and says so
    for setting in settings.iter(qn("w:compatSetting")):
        if setting.get(qn("w:name")) == "compatibilityMode":
            setting.set(qn("w:val"), "15")
    language = settings.find(qn("w:themeFontLang"))
    for kind in ("w:val", "w:eastAsia"):
        language.set(qn(kind), LANGUAGE)


def _styles(document: Document) -> None:
    styles = document.styles
    for style in list(styles):
        if style.type == WD_STYLE_TYPE.TABLE and style.name not in {"Normal Table", "Table Grid"}:
            style.delete()  # a hundred looks of tables, half of the file
    defaults = styles.element.find(f"{qn('w:docDefaults')}/{qn('w:rPrDefault')}/{qn('w:rPr')}")
    _fonts(defaults.find(qn("w:rFonts")))
    language = defaults.find(qn("w:lang"))
    for kind in ("w:val", "w:eastAsia"):
        language.set(qn(kind), LANGUAGE)
    _style(styles["Normal"], 10.5, after=6)
    _style(styles["Title"], 18, bold=True, after=4)
    _style(styles["Subtitle"], 9, after=12, colour=_GREY)
    _style(styles["Heading 1"], 14, bold=True, before=18, after=6)
    _style(styles["Heading 2"], 11, bold=True, before=14, after=4)
    _style(styles["Footer"], 9, colour=_GREY)
    _style(styles[QUOTE], 10.5, before=4, after=8)
    styles[QUOTE].paragraph_format.left_indent = Mm(5)
    _line_beside(styles[QUOTE].element.get_or_add_pPr())
    facts = styles.add_style("Source Facts", WD_STYLE_TYPE.PARAGRAPH)
    facts.base_style = styles["Normal"]
    _style(facts, 9, after=0)
    facts.paragraph_format.left_indent = Mm(5)
    facts.paragraph_format.keep_with_next = facts.paragraph_format.keep_together = True
    for borders in styles["Title"].element.iter(qn("w:pBdr")):
        borders.getparent().remove(borders)
        break


def _style(
    style: ParagraphStyle,
    points: float,
    *,
    bold: bool = False,
    before: float = 0,
    after: float = 0,
    colour: RGBColor = _INK,
) -> None:
    style.font.size, style.font.bold, style.font.italic = Pt(points), bold, False
    style.font.color.rgb = colour
    spacing = style.element.rPr.find(qn("w:spacing"))
    if spacing is not None:
        style.element.rPr.remove(spacing)
    _fonts(style.element.rPr.get_or_add_rFonts())
    style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(before), Pt(after)
    style.paragraph_format.line_spacing = 1.3


def _fonts(fonts: Any) -> None:
    """Names the font for letters of every kind; without `eastAsia` Japanese comes in whatever the computer thinks of."""
    fonts.attrib.clear()
    for kind in ("ascii", "hAnsi", "eastAsia", "cs"):
        fonts.set(qn(f"w:{kind}"), FONT)


def _line_beside(properties: Any) -> None:
    """A line to the left of a paragraph, which shows a quotation without colour."""
    borders, left = OxmlElement("w:pBdr"), OxmlElement("w:left")
    for name, value in (("val", "single"), ("sz", "18"), ("space", "8"), ("color", "8C8F98")):
        left.set(qn(f"w:{name}"), value)
    borders.append(left)
    properties.insert_element_before(borders, "w:shd", "w:spacing", "w:ind", "w:jc")


def _shade(cell: Any) -> None:
    shade = OxmlElement("w:shd")
    for name, value in (("val", "clear"), ("color", "auto"), ("fill", "EEEEEE")):
        shade.set(qn(f"w:{name}"), value)
    cell._tc.get_or_add_tcPr().append(shade)


def _footer(paragraph: Paragraph, words: str) -> None:
    """Words and 「3 / 7」, which Word counts itself."""
    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    paragraph.add_run(words)
    for place, field in enumerate(("PAGE", "NUMPAGES")):
        if place:
            paragraph.add_run(" / ")
        counted = OxmlElement("w:fldSimple")
        counted.set(qn("w:instr"), field)
        counted.append(paragraph.add_run("1")._r)
        paragraph._p.append(counted)
