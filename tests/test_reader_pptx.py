"""Presentations made with python-pptx and saved again by LibreOffice: slides, titles, reading order, lists, tables, notes."""

from __future__ import annotations

import re
import time
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO

import pptx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from office_made import (
    PIECES,
    SAMPLES,
    WORD,
    Convert,
    Piece,
    cases,
    converter,
    needs_soffice,
    outline,
    pieces,
)
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.util import Cm
from test_reader_fuzz import in_time

from corpus.case_titles import TITLE
from corpus.documents import parse
from corpus.readers import ReadError, Source, read
from corpus.readers import pptx as reader
from corpus.structure import LEADER

TITLE_ONLY, BLANK, CONTENT, TWO = 5, 6, 1, 3
A = "http://schemas.openxmlformats.org/drawingml/2006/main"


def saved(deck) -> bytes:
    file = BytesIO()
    deck.save(file)
    return file.getvalue()


def slide_of(deck, layout=BLANK, title=None):
    slide = deck.slides.add_slide(deck.slide_layouts[layout])
    if title is not None:
        slide.shapes.title.text = title
    return slide


def box(slide, words, left=1.0, top=5.0, width=8.0, height=1.0):
    shape = slide.shapes.add_textbox(Cm(left), Cm(top), Cm(width), Cm(height))
    shape.text_frame.text = words
    return shape


def one(fill: Callable, layout=BLANK, title=None) -> Source:
    deck = pptx.Presentation()
    fill(slide_of(deck, layout, title))
    return reader.read(saved(deck))


def headings(source: Source):
    return [(source.text[mark.start : mark.end], mark.level) for mark in source.marks]


def on_page(source: Source) -> dict[int, str]:
    """The text of each slide by its number."""
    ends = [page.start for page in source.pages[1:]] + [len(source.text)]
    return {p.number: source.text[p.start : end].strip() for p, end in zip(source.pages, ends, strict=True)}


# ---------------------------------------------------------------- made of the pieces of a text


def begins_slide(piece: Piece) -> bool:
    """After a lost picture, or with the title line of a case."""
    return piece.gap or bool(TITLE.match(piece.words) and not LEADER.search(piece.words))


def made_of(found: Sequence[Piece]) -> tuple[bytes, list[tuple[int, str]]]:
    """A deck with a box for every piece, and its slides' numbers with their titles."""
    deck = pptx.Presentation()
    titles: list[tuple[int, str]] = []
    slide, top = None, 0.0
    for piece in found:
        if slide is None or begins_slide(piece):
            titled = piece.kind == "heading" or (piece.kind == "paragraph" and TITLE.match(piece.words))
            slide, top = slide_of(deck, TITLE_ONLY if titled else BLANK), 5.0
            if titled:
                slide.shapes.title.text = piece.words
                titles.append((len(deck.slides), piece.words))
                continue
        if piece.kind == "table":
            size = len(piece.rows), len(piece.rows[0])
            table = slide.shapes.add_table(*size, Cm(1), Cm(top), Cm(20), Cm(len(piece.rows))).table
            for cells, row in zip(piece.rows, table.rows, strict=True):
                for words, cell in zip(cells, row.cells, strict=True):
                    cell.text = words
            top += len(piece.rows)
        else:
            box(slide, ("・" if piece.kind == "item" else "") + piece.words, top=top)
            top += 1
    return saved(deck), titles


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    return converter(tmp_path_factory.mktemp("office"))


@pytest.mark.parametrize("file", sorted(SAMPLES.iterdir()), ids=lambda file: file.name[:2])
def test_a_sample_as_deck_gives_the_same_cases_titles_and_slides(file):
    text = file.read_text(encoding="utf-8")
    data, titles = made_of(pieces(file.name, text))
    source = reader.read(data)
    assert headings(source) == [(words, 1) for _, words in titles]
    shown = on_page(source)
    assert all(shown[number].startswith(words) for number, words in titles)
    found, original = parse("made.pptx", data), parse(file.name, text.encode())
    assert cases(found) == cases(original)
    assert found.document.pages == len(shown)
    for case in found.cases:
        own = [number for number, words in titles if f"【{case.organization}】" in words]
        assert case.page_start in own
        assert (case.page_end or 0) >= own[-1]
    for chunk in found.chunks:
        assert chunk.page is not None
        assert chunk.text.split("\n")[0] in shown[chunk.page]
    known = {words for words, _ in outline(original)}
    assert known & {words for _, words in titles} <= {words for words, _ in outline(found)}


@needs_soffice
def test_libreoffice_saves_the_decks_again_and_nothing_changes(convert):
    for name in ("01", "04"):
        (file,) = SAMPLES.glob(f"{name}*")
        data, _ = made_of(pieces(file.name, file.read_text(encoding="utf-8")))
        again = convert(data, "pptx", "pptx:Impress MS PowerPoint 2007 XML")
        before, after = reader.read(data), reader.read(again)
        assert after.text == before.text
        assert (after.marks, after.pages) == (before.marks, before.pages)
        assert cases(parse("a.pptx", again)) == cases(parse("a.pptx", data))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(WORD, st.lists(PIECES, max_size=3)), min_size=1, max_size=4))
def test_any_slides_come_back(slides):
    deck = pptx.Presentation()
    expected: dict[int, str] = {}
    for number, (title, found) in enumerate(slides, start=1):
        slide, blocks = slide_of(deck, TITLE_ONLY, title), [title]
        for place, piece in enumerate(found):
            if piece.kind == "table":
                shape = slide.shapes.add_table(
                    len(piece.rows), len(piece.rows[0]), Cm(1), Cm(5 + 5 * place), Cm(9), Cm(4)
                )
                for cells, row in zip(piece.rows, shape.table.rows, strict=True):
                    for words, cell in zip(cells, row.cells, strict=True):
                        cell.text = words
                blocks.append("\n".join(f"| {' | '.join(row)} |" for row in piece.rows))
            else:
                box(slide, piece.words, top=5 + 5 * place)
                blocks.append(piece.words)
        expected[number] = "\n\n".join(blocks)
    source = reader.read(saved(deck))
    assert on_page(source) == expected
    assert headings(source) == [(title, 1) for title, _ in slides]


# ---------------------------------------------------------------- slides


def test_a_slide_without_a_title_does_not_stand_under_the_one_before():
    deck = pptx.Presentation()
    box(slide_of(deck, TITLE_ONLY, "費用"), "紙の文書の倉庫に、年に96万円を払っています。")
    box(slide_of(deck, BLANK), "題のないスライドには、担当の連絡先だけが書かれています。")
    box(slide_of(deck, TITLE_ONLY, "効果"), "待ち時間が半分になりました。")
    parsed = parse("a.pptx", saved(deck))
    assert [(chunk.page, chunk.heading_path) for chunk in parsed.chunks] == [(1, ()), (2, ()), (3, ("効果",))]
    assert parsed.document.title == "費用"
    assert parsed.document.pages == 3


def test_hidden_slides_are_left_out_and_named():
    deck = pptx.Presentation()
    for words in ("一枚目", "隠した二枚目", "三枚目"):
        box(slide_of(deck), words)
    deck.slides[1].element.set("show", "0")
    source = reader.read(saved(deck))
    assert on_page(source) == {1: "一枚目", 3: "三枚目"}
    (warning,) = source.warnings
    assert "（2枚目）" in warning


def test_a_slide_of_pictures_keeps_its_number_and_is_named():
    from PIL import Image

    picture = BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "PNG")
    deck = pptx.Presentation()
    box(slide_of(deck), "一枚目")
    slide_of(deck).shapes.add_picture(picture, 0, 0)
    box(slide_of(deck), "三枚目")
    slide_of(deck)
    source = reader.read(saved(deck))
    assert on_page(source) == {1: "一枚目", 2: "", 3: "三枚目", 4: ""}
    assert source.warnings == ("画像だけで文字情報がないスライドがあります（2枚目）。",)
    assert parse("a.pptx", saved(deck)).document.pages == 4


def test_notes_have_a_heading_of_their_own_and_the_slides_page():
    deck = pptx.Presentation()
    slide = slide_of(deck, CONTENT, "費用")
    slide.placeholders[1].text = "年に96万円"
    slide.notes_slide.notes_text_frame.text = "倉庫の賃借のことです。\n来年は半分になります。"
    box(slide_of(deck, TITLE_ONLY, "効果"), "待ち時間が半分になりました。")
    source = reader.read(saved(deck))
    assert source.text == (
        "費用\n\n・年に96万円\n\nノート\n\n倉庫の賃借のことです。\n来年は半分になります。\n\n効果\n\n待ち時間が半分になりました。\n"
    )
    assert headings(source) == [("費用", 1), ("ノート", 2), ("効果", 1)]
    noted = [c for c in parse("a.pptx", saved(deck)).chunks if "倉庫" in c.text]
    assert [(c.page, c.heading_path[-1]) for c in noted] == [(1, "ノート")]


def test_numbers_dates_and_footers_of_slides_are_left_out():
    def fill(slide):
        for kind in ("sldNum", "dt", "ftr"):
            shape = box(slide, f"飾り {kind}")
            shape._element.nvSpPr.nvPr.append(
                etree.fromstring(
                    f'<p:ph xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" type="{kind}" idx="12"/>'
                )
            )
        shape = box(slide, "全体で")
        paragraph = shape.text_frame.paragraphs[0]._p
        paragraph.append(
            etree.fromstring(f'<a:fld xmlns:a="{A}" id="{{B}}" type="slidenum"><a:t>7</a:t></a:fld>')
        )
        box(slide, "見えない", top=9)._element.nvSpPr.cNvPr.set("hidden", "1")

    assert one(fill).text == "全体で\n"


# ---------------------------------------------------------------- reading order


def test_title_then_placeholders_then_rows_then_columns():
    def fill(slide):
        box(slide, "右下", 13, 12)
        box(slide, "左下", 1, 12.3)
        box(slide, "右上", 13, 8)
        box(slide, "左上", 1, 8.2)
        box(slide, "題の上の飾り", 1, 0, height=0.5)
        slide.placeholders[1].text = "本文"
        slide.placeholders[1].left, slide.placeholders[1].top = Cm(1), Cm(16)
        slide.placeholders[1].width, slide.placeholders[1].height = Cm(8), Cm(1)

    assert one(fill, CONTENT, "題").text.split("\n\n") == [
        "題", "・本文", "題の上の飾り", "左上", "右上", "左下", "右下\n",
    ]  # fmt: skip


def test_two_columns_are_read_one_after_the_other():
    def fill(slide):
        box(slide, "左一", 1, 3, 8, 4)
        box(slide, "右", 13, 3, 8, 9)
        box(slide, "左二", 1, 8, 8, 4)

    assert one(fill).text == "左一\n\n左二\n\n右\n"


def test_the_columns_of_a_layout_have_their_place_from_it():
    def fill(slide):
        slide.placeholders[2].text = "右"
        slide.placeholders[1].text = "左"

    assert one(fill, TWO, "二段").text == "二段\n\n・左\n\n・右\n"


def test_groups_are_read_as_one_and_inside_by_place():
    def fill(slide):
        group = slide.shapes.add_group_shape()
        box(group, "組の下", 1, 12)
        inner = group.shapes.add_group_shape()
        box(inner, "組の中の組", 1, 8)
        box(slide, "組の後", 1, 15)
        box(slide, "組の前", 1, 2)

    source = one(lambda slide: fill(slide))
    assert source.text == "組の前\n\n組の中の組\n\n組の下\n\n組の後\n"


# ---------------------------------------------------------------- words


def paragraphs(slide, *rows):
    """A box with paragraphs (words, properties)."""
    frame = box(slide, "").text_frame
    for place, (words, properties) in enumerate(rows):
        paragraph = frame.paragraphs[0] if place == 0 else frame.add_paragraph()
        paragraph.text = words
        if properties:
            paragraph._p.insert(0, etree.fromstring(f'<a:pPr xmlns:a="{A}" {properties}</a:pPr>'))


def number(kind, more="", lvl=0):
    return f'lvl="{lvl}"><a:buAutoNum type="{kind}" {more}/>'


def test_bullets_and_numbers_of_paragraphs():
    bullet = '><a:buChar char="➢"/>'
    source = one(
        lambda slide: paragraphs(
            slide,
            ("前置き", ""),
            ("点", bullet),
            ("・打った点", bullet),
            ("地の文", ""),
            ("早く", number("arabicPeriod")),
            ("安く", number("arabicPeriod")),
            ("内", number("circleNumDbPlain", lvl=1)),
            ("確かに", number("arabicPeriod")),
            ("", ""),
            ("五から", number("arabicParenBoth", 'startAt="5"')),
            ("六", number("arabicParenBoth", 'startAt="5"')),
        )
    )
    assert source.text == (
        "前置き\n・点\n・打った点\n\n地の文\n1. 早く\n2. 安く\n① 内\n3. 確かに\n\n(5) 五から\n(6) 六\n"
    )


def test_levels_without_end_are_read_in_time():
    inner = "".join(
        f'<a:p><a:pPr lvl="{at}"><a:buAutoNum type="arabicPeriod"/></a:pPr><a:r><a:t>項</a:t></a:r></a:p>'
        for at in range(20_000)
    )
    frame = etree.fromstring(
        f'<p:sp xmlns:a="{A}" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"><p:txBody>{inner}</p:txBody></p:sp>'
    )
    with in_time(6):
        lines = reader._lines(frame, ())
    assert lines[:10] == ["1. 項"] * 9 + ["2. 項"]


def test_the_bullets_of_a_placeholder_come_from_the_master_and_can_be_taken_off():
    def fill(slide):
        frame = slide.placeholders[1].text_frame
        frame.text = "外"
        inner = frame.add_paragraph()
        inner.text, inner.level = "内", 2
        off = frame.add_paragraph()
        off.text = "点なし"
        off._p.insert(0, etree.fromstring(f'<a:pPr xmlns:a="{A}"><a:buNone/></a:pPr>'))

    assert one(fill, CONTENT, "題").text == "題\n\n・外\n・内\n\n点なし\n"


def test_a_break_in_a_title_is_a_space_and_in_a_box_a_line():
    assert one(lambda slide: box(slide, "一行目\v二行目"), TITLE_ONLY, "小さな町の\vデジタル").text == (
        "小さな町の デジタル\n\n一行目\n二行目\n"
    )


def test_a_shape_of_a_newer_kind_is_read_once():
    def fill(slide):
        shape = box(slide, "新しい図形")._element
        mc = "http://schemas.openxmlformats.org/markup-compatibility/2006"
        alternate = etree.SubElement(shape.getparent(), f"{{{mc}}}AlternateContent")
        choice = etree.SubElement(alternate, f"{{{mc}}}Choice", Requires="a14")
        fallback = etree.SubElement(alternate, f"{{{mc}}}Fallback")
        fallback.append(etree.fromstring(etree.tostring(shape)))
        choice.append(shape)

    assert one(fill).text == "新しい図形\n"


# ---------------------------------------------------------------- tables, charts, diagrams


def test_a_table_with_merged_cells():
    def fill(slide):
        table = slide.shapes.add_table(3, 3, Cm(1), Cm(5), Cm(20), Cm(5)).table
        for row, words in zip(
            table.rows, (("区分", "費用", ""), ("", "初期\n税抜", "運用"), ("窓口", "5", "1")), strict=True
        ):
            for cell, text in zip(row.cells, words, strict=True):
                cell.text = text
        table.cell(0, 1).merge(table.cell(0, 2))
        table.cell(0, 0).merge(table.cell(1, 0))

    assert one(fill).text == "| 区分 | 費用 | |\n| 区分 | 初期 税抜 | 運用 |\n| 窓口 | 5 | 1 |\n"


def test_a_chart_is_a_table():
    def fill(slide):
        data = CategoryChartData()
        data.categories = ["令和5年", "令和6年"]
        data.add_series("件数", (120, 0.1 + 0.2))
        data.add_series("割合", (0.5, None), number_format="0%")
        chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Cm(1), Cm(5), Cm(9), Cm(9), data).chart
        chart.has_title = True
        chart.chart_title.text_frame.text = "申請のようす"

    assert (
        one(fill).text == "申請のようす\n\n| | 件数 | 割合 |\n| 令和5年 | 120 | 50% |\n| 令和6年 | 0.3 | |\n"
    )


def test_a_diagram_is_a_list():
    dgm = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
    point = "<d:pt modelId='{}'><d:t><a:p><a:r><a:t>{}</a:t></a:r></a:p></d:t></d:pt>"
    data = (
        f"<d:dataModel xmlns:d='{dgm}' xmlns:a='{A}'><d:ptLst><d:pt modelId='0' type='doc'/>"
        + point.format(1, "検討") + point.format(2, "導入") + point.format(3, "聞き取り")
        + "<d:pt modelId='9' type='pres'/></d:ptLst><d:cxnLst>"
        "<d:cxn srcId='0' destId='2' srcOrd='1'/><d:cxn srcId='0' destId='1' srcOrd='0'/><d:cxn srcId='1' destId='3' srcOrd='0'/>"
        "<d:cxn srcId='3' destId='1' srcOrd='0'/><d:cxn type='presOf' srcId='1' destId='9' srcOrd='0'/></d:cxnLst></d:dataModel>"
    )  # fmt: skip

    def fill(slide):
        part = Part(
            PackURI("/ppt/diagrams/data1.xml"),
            "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml",
            slide.part.package,
            data.encode(),
        )
        known = slide.part.relate_to(
            part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/diagramData"
        )
        frame = slide.shapes.add_table(1, 1, Cm(1), Cm(5), Cm(5), Cm(5))._element
        graphic = frame.graphic.graphicData
        graphic.remove(graphic.tbl)
        etree.SubElement(
            graphic,
            f"{{{dgm}}}relIds",
            {"{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm": known},
        )

    assert one(fill).text == "・検討\n・聞き取り\n・導入\n"


# ---------------------------------------------------------------- refusals and size


def test_what_cannot_be_read_is_said():
    deck = pptx.Presentation()
    slide_of(deck)
    empty = saved(deck)
    box(deck.slides[0], "言葉")
    good = saved(deck)
    without = BytesIO()
    with zipfile.ZipFile(BytesIO(good)) as old, zipfile.ZipFile(without, "w") as new:
        for entry in old.infolist():
            if "slideLayout" not in entry.filename:
                new.writestr(entry.filename, old.read(entry))
    for data, words in (
        (empty, "文字情報がありません"),
        (saved(pptx.Presentation()), "文字情報がありません"),
        (good[:-3000], "途中で切れて"),
        (without.getvalue(), "壊れて"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "PowerPoint Document".encode("utf-16-le"), ".ppt）"),
    ):
        with pytest.raises(ReadError) as error:
            read("a.PPTX", data)
        assert words in str(error.value)
        assert re.search("[ぁ-ん].*。$", str(error.value))


def test_many_shapes_and_rows_in_bounded_time():
    deck = pptx.Presentation()
    slide = slide_of(deck)
    shape = box(slide, "図形")._element
    tree = slide.shapes._spTree
    xml = etree.tostring(shape)
    for _ in range(5000):
        tree.append(etree.fromstring(xml))
    start = time.process_time()
    source = reader.read(saved(deck))
    assert source.text.count("図形") == 5001
    assert time.process_time() - start < 10
