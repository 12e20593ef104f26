"""All formats side by side in one folder, from files that real tools made: built, asked, and cited with their place.

The case book is printed to PDF by LibreOffice; which page a citation must name is what pypdf, a second reader, finds.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from pathlib import Path

import docx
import openpyxl
import pptx
import pypdf
import pytest
from office_made import SAMPLES, converter, needs_soffice

from index.build import build
from index.encoder import SentenceEncoder
from index.report import BuildReport
from index.store import Index, load_current
from qa.answer import Reply, ask

pytestmark = needs_soffice
ROWS = [
    (
        "粗大ごみはどう申し込みますか。",
        "収集日の一週間前までに、環境課へ電話で申し込みます。料金は一点につき四百円です。",
        "環境課",
    ),
    ("犬の登録はどこでできますか。", "保健課の窓口で登録します。鑑札の交付に三千円かかります。", "保健課"),
    (
        "公民館の予約はいつからできますか。",
        "使う月の三か月前の一日から、生涯学習課で受け付けます。",
        "生涯学習課",
    ),
]
ARTICLES = [
    (
        "図書館が日曜も開きます",
        "来月から中央図書館は日曜日も午後六時まで開館します。自習室は予約が要ります。",
    ),
    ("水道の検針が変わります", "検針は二か月に一度になり、検針票は電子メールでも受け取れます。"),
    ("雪下ろしの補助が始まります", "七十歳以上だけの世帯を対象に、一回につき八千円を上限に補助します。"),
]


def squeezed(text: str) -> str:
    return re.sub(r"[\s|]", "", unicodedata.normalize("NFKC", text))


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    convert = converter(tmp_path_factory.mktemp("office"))
    (book,) = SAMPLES.glob("01_*.txt")
    # as staff would: the text into the word processor, and printed
    word = docx.Document()
    for line in book.read_text(encoding="utf-8").split("\n"):
        word.add_paragraph(line.replace("**", ""))
    (folder / "事例集.pdf").write_bytes(convert(_saved(word), "docx", "pdf"))

    minutes = docx.Document()
    minutes.add_heading("第5回 情報化推進会議", 1)
    minutes.add_heading("公用車の更新", 2)
    minutes.add_paragraph("公用車のうち十二台を、来年度から電気自動車に替えることを決めた。")
    table = minutes.add_table(rows=0, cols=2)
    for row in (("車庫", "充電器の数"), ("本庁", "8基"), ("東出張所", "3基")):
        for cell, words in zip(table.add_row().cells, row, strict=True):
            cell.text = words
    (folder / "会議録.docx").write_bytes(convert(_saved(minutes), "docx", "docx"))

    deck = pptx.Presentation()
    for title, body in (
        ("町の公共交通", "乗合タクシーを三つの地区で走らせています。"),
        ("予約のしかた", "前の日の午後五時までに電話で予約します。運賃は一回三百円です。"),
    ):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
    (folder / "説明会.pptx").write_bytes(convert(_saved(deck), "pptx", "pptx"))

    workbook = openpyxl.Workbook()
    first = workbook.active
    first.title = "表紙"
    first["A1"] = "暮らしのよくある質問。担当の課に確かめた答えをまとめています。"
    sheet = workbook.create_sheet("質問")
    sheet.append(["質問", "回答", "担当"])
    for row in ROWS:
        sheet.append(row)
    (folder / "よくある質問.xlsx").write_bytes(convert(_saved(workbook), "xlsx", "xlsx"))

    written = io.StringIO()
    csv.writer(written).writerows([("見出し", "本文"), *ARTICLES])
    (folder / "広報.csv").write_bytes(written.getvalue().encode("cp932"))

    (folder / "案内.html").write_text(
        "<!doctype html><html lang=ja><head><meta charset=utf-8><title>移住の案内</title></head><body>"
        "<nav><ul><li><a href=/>ホーム</a><li><a href=/a>くらし</a></ul></nav><main><h1>移住の案内</h1>"
        "<h2>お試し住宅</h2><p>お試し住宅には一か月まで住めます。家賃は二万五千円で、光熱費を含みます。</p></main>"
        "<footer>問い合わせは総務課へ</footer></body></html>",
        encoding="utf-8",
    )
    (folder / "計画.md").write_text(
        "# 森林計画\n\n## 間伐\n\n間伐は毎年四十ヘクタールを目安に進めます。\n", encoding="utf-8"
    )
    (folder / "通知.txt").write_text(
        "防災無線の通知\n\n試験放送は毎月一日の正午に行います。\n", encoding="utf-8"
    )
    return folder


def _saved(made: object) -> bytes:
    stream = io.BytesIO()
    made.save(stream)  # type: ignore[attr-defined]
    return stream.getvalue()


@pytest.fixture(scope="module")
def built(
    documents: Path, tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder
) -> tuple[BuildReport, Index]:
    root = tmp_path_factory.mktemp("index")
    return build(documents, root, encoder), load_current(root)


def asked(index: Index, encoder: SentenceEncoder, question: str) -> Reply:
    reply = ask(index, encoder, question, top_k=5)
    for citation in reply.citations:
        text = index.documents[citation.document_id].text
        assert text[citation.char_start : citation.char_end] == citation.text
    return reply


def test_every_file_is_read_without_a_warning(built: tuple[BuildReport, Index], documents: Path) -> None:
    report, index = built
    assert report.errors == ()
    assert report.warnings == ()
    assert {d.path for d in index.documents.values()} == {path.name for path in documents.iterdir()}


@pytest.mark.parametrize(
    ("question", "path", "place", "words"),
    [
        ("電気自動車に替えるのは何台ですか", "会議録.docx", "", "十二台"),
        ("東出張所の充電器は何基ですか", "会議録.docx", "", "3基"),
        ("予約のしかたと、一回の運賃はいくらですか", "説明会.pptx", "スライド2", "三百円"),
        ("粗大ごみの料金はいくらですか", "よくある質問.xlsx", "シート「質問」の2行目", "四百円"),
        ("犬の鑑札の交付にいくらかかりますか", "よくある質問.xlsx", "シート「質問」の3行目", "三千円"),
        ("雪下ろしの補助の上限はいくらですか", "広報.csv", "表の4行目", "八千円"),
        ("図書館は日曜日に何時まで開いていますか", "広報.csv", "表の2行目", "午後六時"),
        ("お試し住宅の家賃はいくらですか", "案内.html", "", "二万五千円"),
        ("間伐は毎年何ヘクタールですか", "計画.md", "", "四十ヘクタール"),
        ("試験放送はいつですか", "通知.txt", "", "正午"),
    ],
)
def test_a_question_is_answered_from_its_file_and_place(
    built: tuple[BuildReport, Index],
    encoder: SentenceEncoder,
    question: str,
    path: str,
    place: str,
    words: str,
) -> None:
    reply = asked(built[1], encoder, question)
    first = reply.citations[0]
    assert (first.path, first.place) == (path, place)
    assert words in first.text
    assert reply.answerable
    assert any(words in sentence.text for sentence in reply.answer.sentences)


def test_what_is_no_content_is_not_found(built: tuple[BuildReport, Index]) -> None:
    (page,) = [d for d in built[1].documents.values() if d.path == "案内.html"]
    assert page.title == "移住の案内"
    assert "ホーム" not in page.text
    assert "総務課" not in page.text


def test_the_printed_case_book_has_the_cases_of_its_text_on_their_pages(
    built: tuple[BuildReport, Index], documents: Path, encoder: SentenceEncoder
) -> None:
    from corpus.documents import parse

    _, index = built
    (path,) = SAMPLES.glob("01_*.txt")
    text = parse(path.name, path.read_bytes())
    pages = [squeezed(page.extract_text()) for page in pypdf.PdfReader(documents / "事例集.pdf").pages]
    (printed,) = [d for d in index.documents.values() if d.path == "事例集.pdf"]
    assert printed.pages == len(pages) > 3

    def told(cases: object) -> list[tuple[object, ...]]:
        return [
            (c.number, c.title, c.organization, c.population, c.department, c.phone, c.email)
            for c in cases  # type: ignore[attr-defined]
        ]

    own = sorted((c for c in index.cases.values()), key=lambda c: c.number)
    assert told(own) == told(text.cases)
    for case in own:
        assert case.page_start is not None
        assert squeezed(case.title)[:20] in pages[case.page_start - 1]
    checked = 0
    for case in own:
        reply = asked(index, encoder, f"{case.organization}の取組の効果と担当部署")
        for citation in reply.citations:
            if citation.path != "事例集.pdf":
                continue
            begins = squeezed(citation.text)[:20]
            on = [number for number, words in enumerate(pages, 1) if begins in words]
            if on:
                checked += 1
                assert citation.page in on, (citation.page, on, begins)
                assert citation.place == f"{citation.page}ページ"
    assert checked >= 10
