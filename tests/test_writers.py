"""The writers: one dossier in three formats, read back by other libraries, with the same words to the letter in all of them."""

from __future__ import annotations

import csv
import doctest
import io
import re
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import docx
import openpyxl
import pytest
from docx.oxml.ns import qn
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from markdown_it import MarkdownIt
from office_made import SOFFICE, converter, needs_soffice

from qa.dossier import CITED, SOURCE_LABELS, Dossier, Fact, Row, Section, Sentence, Source, Value
from web import export
from web.writers import excel, letters, markdown, word
from web.writers.letters import NOTE_LABEL, readable, writable

WHEN = datetime(2026, 11, 21, 9, 5, tzinfo=timezone(timedelta(hours=9)))
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2",
    "@SUM(A1)",
    "#N/A",
    "\t=1+1",
    "0123",
    "2026-11-21",
    "_x0041_ と _x005F_",
    "<script>alert(1)</script>",
    "]]> <!-- & &amp; -->",
    "\x00\x07\x0b\x0c\x1b\r終わり\ufffe\uffff",
    "👩‍👩‍👧‍👦 😀 𠮷野家",
    "\u202eevil\u202c \u200f\u200e\u2066x\u2069 \ufeff",
    "行\n\n  字下げ\n\t段\n末尾は空白 \n",
    "```\n~~~~\n````text\n| a | b |\n# 見出し\n[1]: http://example.invalid/",
    "[リンク](javascript:alert(1)) **太字** $x$ ![絵](http://example.invalid/a.png)",
    "\u2028\u2029\x85\xa0 \u3000",
    "",
    " ",
    "1. 一\n2) 二\n- 三\n===",
    "あ" * 700,
    "a" * 70_000 + "終",
    "行\n" * 600,
]


def dossier(words: list[str], *, reference: bool = False, columns: int = 1) -> Dossier:
    """A dossier in which every text is one of some words; the longest are only quoted."""
    at = iter(range(10**6))
    short = [text for text in words if len(text) < 700] or words

    def some() -> str:
        return short[next(at) % len(short)]

    sources = tuple(
        Source(
            number=number,
            part=CITED,
            title=some(),
            place=some(),
            facts=tuple(Fact(label, some()) for label in SOURCE_LABELS),
            quotation=text,
            quoted=((1, 3), (2, 4)) if len(text) > 4 else (),
            document_id="d",
            char_start=0,
            char_end=len(text),
        )
        for number, text in enumerate(words, 1)
    )
    sentences = tuple(
        Sentence(text, (1, number)[: 1 + number % 2], label=some(), why=some())
        for number, text in enumerate(words, 1)
    )
    rows = tuple(
        Row(
            some(),
            tuple(Value(None) if column == 1 else Value(some(), some(), 1) for column in range(columns)),
        )
        for _ in words
    )
    return Dossier(
        kind="比較" if columns > 1 else "回答",
        title=some(),
        when=WHEN,
        sections=(
            Section("回答", (some(),), () if reference else sentences),
            Section("比較" if columns > 1 else "連絡先", (), (), tuple(some() for _ in range(columns)), rows),
        ),
        sources=sources,
        facts=(Fact("質問", some()), Fact("条件", some()), Fact("索引の版", some())),
        reference=reference,
    )


@dataclass(frozen=True)
class Told:
    """What a file holds: sentences, quotations, and all of its texts."""

    sentences: list[str]
    quotations: list[str]
    texts: list[str]


# ---------------------------------------------------------------- reading back, with other libraries


def read_word(data: bytes) -> Told:
    opened = docx.Document(io.BytesIO(data))
    sentences: list[str] = []
    quotations: list[str] = []
    in_sources = False
    texts = [p.text for p in opened.paragraphs]
    for paragraph in opened.paragraphs:
        style = paragraph.style.style_id if paragraph.style is not None else ""
        in_sources = in_sources or style == "Heading2"
        if style == "Quote":
            marks = "".join(" " + link.text for link in paragraph.hyperlinks)
            text = paragraph.text.removesuffix(marks) if marks else paragraph.text
            (quotations if in_sources else sentences).append(text)
    for table in opened.tables:
        texts += [cell.text for row in table.rows for cell in row.cells]
    return Told(sentences, quotations, texts)


def read_excel(data: bytes) -> Told:
    book = openpyxl.load_workbook(io.BytesIO(data))
    tables = {sheet.title: joined(sheet) for sheet in book}
    sources = next(rows for name, rows in tables.items() if name.startswith(("出典", "参考")))
    column = sources[0].index("引用（原文のまま）")
    first = tables.get("回答", [])
    numbered = [row for row in first[1:] if row[0] == "回答"][1:]  # the first is a line of ours
    texts = [*tables, *(cell for rows in tables.values() for row in rows for cell in row)]
    return Told([row[2] for row in numbered], [row[column] for row in sources[1:]], texts)


def joined(sheet: Any) -> list[list[str]]:
    """The rows of a sheet without its title, each put together with the rows that go on with it."""
    found: list[list[str]] = []
    for row in sheet.iter_rows(min_row=2, values_only=True):
        cells = ["" if cell is None else str(cell).replace("_x005F_", "_") for cell in row]
        if cells[0].endswith(excel.CONTINUED) and found and cells[0].startswith(found[-1][0][:5]):
            cells[0] = ""
            found[-1] = [before + cell for before, cell in zip(found[-1], cells, strict=True)]
        else:
            found.append(cells)
    return found


def read_markdown(data: bytes) -> Told:
    tokens = MarkdownIt("commonmark").enable("table").parse(data.decode("utf-8"))
    sentences: list[str] = []
    quotations: list[str] = []
    texts: list[str] = []
    in_sources = False
    for token in tokens:
        in_sources = in_sources or (token.type == "heading_open" and token.tag == "h3")
        if token.type == "fence":
            assert token.info == "text"
            (quotations if in_sources else sentences).append(token.content[:-1])
        elif token.type == "inline":
            assert not {child.type for child in token.children or []} & {"image", "code_inline", "em_open"}
            texts.append("".join("\n" if c.content == "<br>" else c.content for c in token.children or []))
        else:
            assert token.type != "html_block"
            assert token.type != "code_block"
    return Told(sentences, quotations, texts)


WRITERS: dict[str, tuple[Callable[[Dossier], bytes], Callable[[bytes], Told]]] = {
    "docx": (word.write, read_word),
    "xlsx": (excel.write, read_excel),
    "md": (markdown.write, read_markdown),
}
each_format = pytest.mark.parametrize("form", WRITERS)


def told(form: str, made: Dossier) -> Told:
    write, read = WRITERS[form]
    return read(write(readable(made)))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def all_words(made: Dossier) -> list[str]:
    """Every text that a reader must find."""
    shown = readable(made)
    found = [shown.title, *(fact.value for fact in shown.facts)]
    for source in shown.sources:
        found += [fact.value for fact in source.facts]
    for section in shown.sections:
        found += [section.heading, *section.lines, *section.columns]
        found += [words for s in section.sentences for words in (s.label, s.why)]
        for row in section.rows:
            found += [row.label, *(words for v in row.values for words in (v.words or "", v.note))]
    return found


# ---------------------------------------------------------------- the same words everywhere


@each_format
def test_quotations_and_sentences_to_the_letter(form: str) -> None:
    made = dossier(HOSTILE)
    found = told(form, made)
    assert found.quotations == [writable(text) for text in HOSTILE]
    assert found.sentences == [writable(text) for text in HOSTILE]


@each_format
@pytest.mark.parametrize("columns", [1, 2, 5])
@pytest.mark.parametrize("reference", [False, True])
def test_every_word_is_in_every_format(form: str, columns: int, reference: bool) -> None:
    made = dossier(HOSTILE, columns=columns, reference=reference)
    whole = squeezed("\n".join(told(form, made).texts))
    missing = [words for words in all_words(made) if squeezed(words) not in whole]
    # a sheet's first line shows the beginning of a long title, and the conditions of a real dossier all of it
    assert [words for words in missing if form != "xlsx" or words != readable(made).title] == []


TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=60),
        st.text("=+-@_x0041`~|*[]<>&#$\\\n\t\r \x00\x0c‮😀あ行「」1.)", max_size=60),
        st.sampled_from(HOSTILE[:-3]),
    ),
    min_size=1,
    max_size=5,
)


@each_format
@given(words=TEXTS)
@settings(max_examples=40, deadline=None)
def test_any_text_comes_back_to_the_letter(form: str, words: list[str]) -> None:
    found = told(form, dossier(words))
    assert found.quotations == [writable(text) for text in words]
    assert found.sentences == [writable(text) for text in words]
    whole = squeezed("\n".join(found.texts))
    assert all(squeezed(text) in whole for text in all_words(dossier(words)))


@pytest.mark.parametrize("module", [excel, markdown, letters, export])
def test_the_examples_in_the_documentation(module: ModuleType) -> None:
    done = doctest.testmod(module)
    assert done.attempted
    assert done.failed == 0


# ---------------------------------------------------------------- letters


def test_what_cannot_be_written_is_shown_and_said() -> None:
    made = dossier(["a\x00b\x0cc\rd\ufffee", "x"])
    shown = readable(made)
    assert shown.sources[0].quotation == "a␀b␌c␍d\N{REPLACEMENT CHARACTER}e"
    assert [fact for fact in shown.facts if fact.label == NOTE_LABEL]
    plain = dossier(["そのまま\n\t"])
    assert readable(plain) is plain


@given(st.text(st.characters()))
def test_what_is_writable_is_xml_of_the_same_length(text: str) -> None:
    shown = writable(text)
    assert len(shown) == len(text)
    element = etree.Element("a")
    element.text = shown
    assert (etree.fromstring(etree.tostring(element)).text or "") == shown


# ---------------------------------------------------------------- the packages


@pytest.mark.parametrize("form", ["docx", "xlsx"])
def test_a_package_is_whole_names_nobody_and_leads_nowhere(form: str) -> None:
    data = WRITERS[form][0](readable(dossier(HOSTILE)))
    package = zipfile.ZipFile(io.BytesIO(data))
    assert package.testzip() is None
    names = package.namelist()
    assert len(names) == len(set(names))
    types = etree.fromstring(package.read("[Content_Types].xml"))
    named = {element.get("PartName") for element in types} - {None}
    endings = {element.get("Extension") for element in types} - {None}
    assert all(f"/{name}" in named or name.rpartition(".")[2] in endings for name in names)
    assert all(name.removeprefix("/") in names for name in named)
    for name in names:
        root = etree.fromstring(package.read(name))
        if name.endswith(".rels"):
            folder = Path(name).parent.parent
            for relation in root:
                assert relation.get("TargetMode") != "External"
                target = relation.get("Target")
                path = target.removeprefix("/") if target.startswith("/") else (folder / target).as_posix()
                assert path in names, f"{name}: {target}"
    assert not [n for n in names if "vba" in n.lower() or "custom" in n.lower() or "thumbnail" in n]
    core = {etree.QName(e).localname: e.text for e in etree.fromstring(package.read("docProps/core.xml"))}
    assert (core["creator"], core["language"], core["created"]) == (
        "DX資料アシスタント",
        "ja-JP",
        "2026-11-21T00:05:00Z",
    )
    assert not core.get("lastModifiedBy")
    assert not core.get("description")
    assert str(Path.cwd()) not in "".join(package.read(n).decode("utf-8", "replace") for n in names)


def test_nothing_in_a_workbook_is_anything_but_text() -> None:
    book = openpyxl.load_workbook(io.BytesIO(excel.write(readable(dossier(HOSTILE, columns=2)))))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s"}
    assert all(cell.quotePrefix for cell in cells)
    assert max(len(str(cell.value).encode("utf-16-le")) // 2 for cell in cells) <= excel.CELL_UNITS
    assert max(str(cell.value).count("\n") for cell in cells) < 253
    for sheet in book:
        assert sheet.freeze_panes == "B3"
        assert sheet.print_title_rows == "$1:$2"
        assert sheet.page_setup.paperSize == 9
        assert sheet.page_setup.fitToHeight == 0
        assert all(0 < d.height <= 409 for d in sheet.row_dimensions.values() if d.height is not None)


def test_the_sheets_are_named_for_what_they_hold() -> None:
    def names(made: Dossier) -> list[str]:
        return openpyxl.load_workbook(io.BytesIO(excel.write(made))).sheetnames

    assert names(dossier(["a"])) == ["回答", "出典", "条件"]
    assert names(dossier(["a"], reference=True)) == ["回答", "参考（答えではありません）", "条件"]
    only = dossier(["a"], columns=3)
    assert names(replace(only, sections=only.sections[1:])) == ["比較", "出典", "条件"]


def test_pieces_put_together_are_the_text() -> None:
    for text in ["", "a", "\n" * 500, "あ" * 100_000, "😀" * 40_000, "_" * 40_000]:
        for width in (7, 80):
            cut = [piece for piece, _ in excel.pieces(text, width)]
            assert "".join(cut) == text
            assert all(
                len(p.replace("_", "_x005F_").encode("utf-16-le")) // 2 <= excel.CELL_UNITS for p in cut
            )
            assert all(lines <= excel.CELL_LINES for _, lines in excel.pieces(text, width))


def test_a_word_document_has_headings_language_fonts_and_heads_that_repeat() -> None:
    opened = docx.Document(io.BytesIO(word.write(dossier(["甲", "乙"]))))
    outline = [
        (p.style.name, p.text)
        for p in opened.paragraphs
        if p.style and p.style.name.startswith(("Title", "Head"))
    ]
    assert [name for name, _ in outline] == ["Title", *["Heading 1"] * 3, *["Heading 2"] * 2, "Heading 1"]
    assert outline[4][1].startswith("[1] ")
    page = opened.sections[0]
    assert (page.page_width.mm, page.page_height.mm) == (pytest.approx(210, 0.1), pytest.approx(297, 0.1))
    assert [field.get(qn("w:instr")) for field in page.footer._element.iter(qn("w:fldSimple"))] == [
        "PAGE",
        "NUMPAGES",
    ]
    for table in opened.tables:
        assert table.rows[0]._tr.trPr.find(qn("w:tblHeader")) is not None
    styles = opened.styles.element
    defaults = styles.find(f"{qn('w:docDefaults')}/{qn('w:rPrDefault')}/{qn('w:rPr')}")
    assert defaults.find(qn("w:lang")).get(qn("w:eastAsia")) == "ja-JP"
    assert defaults.find(qn("w:rFonts")).get(qn("w:eastAsia")) == word.FONT
    for name in ("Title", "Heading 1", "Heading 2", "Quote", "Normal"):
        fonts = opened.styles[name].element.rPr.rFonts
        assert fonts.get(qn("w:eastAsia")) == word.FONT
        assert not [key for key in fonts.attrib if key.endswith("Theme")]
    assert opened.core_properties.language == "ja-JP"
    mode = [
        s.get(qn("w:val"))
        for s in opened.settings.element.iter(qn("w:compatSetting"))
        if s.get(qn("w:name")) == "compatibilityMode"
    ]
    assert mode == ["15"]


def test_numbers_in_word_lead_to_their_sources() -> None:
    opened = docx.Document(io.BytesIO(word.write(dossier(["甲", "乙", "丙"]))))
    marks = {b.get(qn("w:name")) for b in opened.element.iter(qn("w:bookmarkStart"))}
    links = [link.get(qn("w:anchor")) for link in opened.element.iter(qn("w:hyperlink"))]
    assert marks == {"source1", "source2", "source3"}
    assert set(links) <= marks
    assert len(links) >= 3


def test_many_columns_turn_the_page() -> None:
    page = docx.Document(io.BytesIO(word.write(dossier(["甲"], columns=4)))).sections[0]
    assert page.page_width > page.page_height


def test_quoted_words_are_marked_without_colour() -> None:
    made = dossier(["あいうえおかきくけこ"])
    source = replace(made.sources[0], quoted=((2, 4), (3, 6), (4, 5), (6, 6)))
    opened = docx.Document(io.BytesIO(word.write(replace(made, sources=(source,)))))
    paragraph = [p for p in opened.paragraphs if p.style and p.style.style_id == "Quote"][-1]
    assert paragraph.text == "あいうえおかきくけこ"
    assert "".join(r.text for r in paragraph.runs if r.underline and r.bold) == "うえおか"


def test_markdown_opens_nothing() -> None:
    html = (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .render(markdown.write(readable(dossier(HOSTILE, columns=2))).decode())
    )
    assert "javascript:" not in re.sub(r">[^<]*<", "><", html)
    assert "<script" not in html
    assert "<img" not in html
    addressed = replace(dossier(["甲"]), facts=(Fact("アドレス", "http://10.0.0.1:8000/?q=%E7%94%B2&h=a_b"),))
    assert "<http://10.0.0.1:8000/?q=%E7%94%B2&h=a_b>" in markdown.write(addressed).decode()


# ---------------------------------------------------------------- LibreOffice

OFFICE_WORDS = [text for text in HOSTILE if len(text) < 1_000]


@needs_soffice
def test_libreoffice_opens_the_word_document_and_finds_the_words(tmp_path: Path) -> None:
    made = dossier(OFFICE_WORDS, columns=2)
    text = converter(tmp_path)(word.write(readable(made)), "docx", "txt:Text (encoded):UTF8").decode(
        "utf-8-sig"
    )
    whole = squeezed(text)
    expected = all_words(made) + [writable(t) for t in OFFICE_WORDS]
    assert [words for words in expected if squeezed(words) not in whole] == []


@needs_soffice
def test_libreoffice_opens_the_workbook_and_finds_the_cells(tmp_path: Path) -> None:
    assert SOFFICE is not None
    made = readable(dossier(OFFICE_WORDS))
    (tmp_path / "made.xlsx").write_bytes(excel.write(made))
    # every sheet, comma, double quotes, UTF-8, all cells quoted as shown
    options = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
    done = subprocess.run(
        [
            SOFFICE,
            f"-env:UserInstallation=file://{tmp_path / 'profile'}",
            *("--headless", "--convert-to", options, "--outdir", str(tmp_path), str(tmp_path / "made.xlsx")),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert b"rror" not in done.stderr
    cells: set[str] = set()
    whole = ""
    for name in ("回答", "出典", "条件"):
        with (tmp_path / f"made-{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
            cells |= {cell for row in rows for cell in row}
            whole += squeezed("".join("".join(row) for row in rows))
    assert [w for w in all_words(made) if squeezed(w) not in whole] == []
    short = [writable(t) for t in OFFICE_WORDS if t.count("\n") < 20]
    assert [t for t in short if t.replace("\x85", "") not in {c.replace("\x85", "") for c in cells}] == []
