"""A file as a whole: title, publisher and date of its cover, outline, warnings, and what stays the same."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import pytest
from made import CASE_BOOK, FAQ, MINUTES

from corpus import documents
from corpus.documents import parse, recognise, renamed, rules
from corpus.readers import ReadError, Source
from corpus.records import Mark, Page

BODY = (
    "住民が窓口で書く用紙をなくし、職員が聞き取って手続を進めるようにしました。待つ時間は半分になりました。"
)


def document(text, path="folder/plan.txt"):
    return parse(path, text.encode()).document


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (f"窓口改善計画\n\n{BODY}", "窓口改善計画"),
        (f"\n\n　窓口改善計画　\n\n{BODY}", "窓口改善計画"),
        (f"# 窓口改善計画 #\n\n{BODY}", "窓口改善計画"),
        (f"**窓口改善計画**\n\n{BODY}", "窓口改善計画"),
        (
            f"みずほ大学\n業務改善講座\n～小さな町の挑戦～\n\n{BODY}",
            "みずほ大学 業務改善講座 ～小さな町の挑戦～",
        ),
        ("議事の録\n" + "\n".join(f"発言{i}です" for i in range(9)), "議事の録"),
        ("あ" * 200, "あ" * 80),
        (f"短い行\n{BODY}", "短い行"),
        (f"1. パスワードの管理\n\n{BODY}", "plan"),
        (f"# 第１章　総則\n\n{BODY}", "plan"),
        (f"問１　何歳から作れますか。\n\n答　{BODY}", "plan"),
        (f"第1回　推進会議　議事録\n\n{BODY}", "第1回　推進会議　議事録"),
        ("| 年度 | 件数 |\n|---|---|\n| 令和5年度 | 120 |", "plan"),
        (
            f"７企第１２３号\n\n令和７年６月２日\n\n各所属長　様\n\n企画課長\n\n研修の開催について（通知）\n\n{BODY}",
            "研修の開催について（通知）",
        ),
        (f"事務連絡\n令和7年6月2日\n関係各位\n研修の開催について\n\n{BODY}", "研修の開催について"),
        (f"広報青葉野第123号\n\n令和7年6月2日\n\n{BODY}", "広報青葉野第123号"),
        (f"資料１\n\n窓口改善計画\n\n{BODY}", "窓口改善計画"),
        (f"第123号\n\n令和7年6月2日\n\n{BODY}", BODY),
        (f'---\ntitle: "窓口の方針"\ntags:\n  - 窓口\n\n---\n\n# はじめに\n\n{BODY}', "窓口の方針"),
        (f"---\ndate: 2025-04-01\n---\n\n# 窓口改善計画\n\n{BODY}", "窓口改善計画"),
        (f"---\n\n窓口の計画は次のとおり。\n\n---\n\n{BODY}", "窓口の計画は次のとおり。"),
    ],
)
def test_the_title(text, title):
    assert document(text).title == title


def test_front_matter_is_no_passage():
    text = f"---\ntitle: 窓口の方針\n---\n# はじめに\n\n{BODY}\n"
    parsed = parse("plan.md", text.encode())
    assert [(chunk.heading_path, chunk.text) for chunk in parsed.chunks] == [
        (("はじめに",), text[text.index("# は") :].rstrip())
    ]


@pytest.mark.parametrize(
    ("cover", "publisher", "date"),
    [
        ("総務省\n\n令和6年4月24日", "総務省", "令和6年4月24日"),
        ("みずほ県青葉野市\n\n２０２５年７月２３日（水）", "みずほ県青葉野市", "２０２５年７月２３日"),
        ("青葉広域行政組合\n\n平成31年3月", "青葉広域行政組合", "平成31年3月"),
        ("令和元年5月1日 みずほ県", None, "令和元年5月1日"),
        ("都道府県\n\n令和6年度版", None, None),
        ("この資料は、みずほ県が作りました。", None, None),
    ],
)
def test_publisher_and_date_of_the_cover(cover, publisher, date):
    found = document(f"取組の事例集\n\n{cover}\n\n# はじめに\n\n{BODY}\n")
    assert (found.publisher, found.date) == (publisher, date)


def test_what_stands_far_below_the_cover_is_neither_publisher_nor_date():
    found = document("取組の事例集\n\n" + f"{BODY}\n\n" * 12 + "総務省\n\n令和6年4月24日\n")
    assert (found.publisher, found.date) == (None, None)


def test_identity_is_that_of_the_bytes():
    data = f"窓口改善計画\r\n\r\n{BODY}\r\n".encode("cp932")
    found = parse("a/b.txt", data).document
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.id == found.sha256[:16]
    assert (found.path, found.format) == ("a/b.txt", "txt")
    assert found.text == f"窓口改善計画\n\n{BODY}\n"


def test_the_outline_has_words_levels_and_offsets():
    text = f"計画の題\n\n第1章 **体制**\n\n{BODY}\n\n1. 目的\n\n{BODY}\n\n1.1 現状\n\n{BODY}\n\n2. 方針\n\n{BODY}\n\n第2章 費用\n\n{BODY}\n"
    found = document(text)
    outline = [(heading.text, heading.level) for heading in found.headings]
    expected = [("第1章 体制", 1), ("1. 目的", 2), ("1.1 現状", 3), ("2. 方針", 2), ("第2章 費用", 1)]
    assert [entry for entry in outline if entry[0] != "計画の題"] == expected
    for heading in found.headings:
        assert text[heading.start : heading.end].replace("**", "").strip() == heading.text


def test_the_outline_leaves_out_contents_and_examples():
    text = f"""\
事例集

目次

1 書かない窓口を始める【みずほ県青葉野市】 …… 3
2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】 …… 4

# 事例集の構成

事例集は次のページで構成しています。

2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】

■見本の見出し

{BODY}

【担当部署】 見本課（電話：9999-99-9999）

1 書かない窓口を始める【みずほ県青葉野市】

■効果

{BODY}

2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】

■効果

{BODY}
"""
    words = [heading.text for heading in document(text).headings]
    assert "事例集の構成" in words
    assert "■見本の見出し" not in words
    assert words.count("■効果") == 2
    assert not [word for word in words if "……" in word]


def test_pages_are_the_last_page_of_the_cases():
    text = f"題\n\n目次\n\n1 窓口を改める【みずほ県】 …… 3\n2 車で回る【霧ヶ沢村】 …… 7\n\n1 窓口を改める【みずほ県】\n\n{BODY}\n\n2 車で回る【霧ヶ沢村】\n\n{BODY}\n\n2 車で回る【霧ヶ沢村】\n\n{BODY}\n"
    assert document(text).pages == 8
    assert document(f"題\n\n{BODY}").pages is None


def test_warnings_of_cases_reach_the_document():
    text = f"題\n\n目次\n\n1 窓口を改める【みずほ県】 …… 3\n2 車で回る【霧ヶ沢村】 …… 7\n\n1 窓口を改める【みずほ県】\n\n{BODY}\n\n2 車で回る【霧ヶ沢村】\n\n{BODY}\n"
    (warning,) = document(text).warnings
    assert "事例1" in warning
    assert "7ページ" in warning


def test_a_document_in_which_nothing_can_be_searched_says_so():
    found = parse("a.txt", b"- 3 -\n")
    assert found.chunks == ()
    assert found.document.warnings == ("検索できる本文が見つかりませんでした。",)
    assert document(f"題\n\n{BODY}").warnings == ()


def test_cases_and_chunks_know_their_document():
    text = f"題\n\n1 窓口を改める【みずほ県】\n\n{BODY}\n\n2 車で回る【霧ヶ沢村】\n\n{BODY}\n"
    found = parse("a.txt", text.encode())
    assert {case.document_id for case in found.cases} == {found.document.id}
    assert {chunk.document_id for chunk in found.chunks} == {found.document.id}
    assert {chunk.case_id for chunk in found.chunks if chunk.case_id} == {case.id for case in found.cases}


def test_an_unreadable_file_is_refused():
    with pytest.raises(ReadError):
        parse("a.txt", b"")


def test_the_same_file_gives_the_same_records():
    data = f"題\n\n# 章\n\n{BODY}\n".encode()
    assert parse("a.txt", data) == parse("a.txt", data)


def source_of(blocks, **options):
    """A source of paragraphs, each (text, mark kind or None), as a reader gives it."""
    text, marks = "", []
    for words, mark in blocks:
        text += "\n\n" if text else ""
        if mark:
            marks.append(Mark(start=len(text), end=len(text) + len(words), **mark))
        text += words
    return Source(text=text, format="xlsx", encoding="", marks=tuple(marks), **options)


def test_records_are_chunks_with_their_row_title_and_sheet():
    heading = {"kind": "heading", "level": 1}
    blocks = [
        ("窓口", heading),
        (
            "質問：印鑑は要りますか。\n回答：要りません。署名だけで受け付けます。",
            {"kind": "record", "row": 2, "title": "印鑑は要りますか。"},
        ),
        (
            "質問：手数料は。\n回答：一通につき三百円です。証紙ではなく現金で。",
            {"kind": "record", "row": 3, "title": "手数料は。"},
        ),
        ("税", heading),
        (
            "質問：納期は。\n回答：六月、八月、十月、一月の末日です。",
            {"kind": "record", "row": 2, "title": "納期は。"},
        ),
    ]
    source = source_of(blocks)
    starts = [source.text.index("窓口"), source.text.index("税")]
    source = replace(source, pages=(Page(starts[0], 1, "窓口"), Page(starts[1], 2, "税")))
    parsed = recognise("faq.xlsx", source, "ab" * 32)
    assert [(c.heading_path, c.row, c.page, c.page_label) for c in parsed.chunks] == [
        (("窓口", "印鑑は要りますか。"), 2, 1, "窓口"),
        (("窓口", "手数料は。"), 3, 1, "窓口"),
        (("税", "納期は。"), 2, 2, "税"),
    ]
    assert parsed.document.pages == 2
    assert [(h.text, h.level) for h in parsed.document.headings] == [
        ("窓口", 1), ("印鑑は要りますか。", 2), ("手数料は。", 2), ("税", 1), ("納期は。", 2),
    ]  # fmt: skip
    assert all(parsed.document.text[c.start : c.end] == c.text for c in parsed.chunks)


def test_a_list_of_records_alone_is_named_by_its_file():
    row = (
        "質問：手数料は。\n回答：一通につき三百円です。",
        {"kind": "record", "row": 2, "title": "手数料は。"},
    )
    assert recognise("窓口/よくある質問.csv", source_of([row]), "ab" * 32).document.title == "よくある質問"


def test_a_long_record_becomes_chunks_of_whole_lines_that_keep_its_title():
    lines = [f"{n}行目：{BODY}" for n in range(60)]
    record = ("\n".join(lines), {"kind": "record", "row": 7, "title": "長い記事"})
    chunks = recognise("a.csv", source_of([record]), "ab" * 32).chunks
    assert len(chunks) > 1
    assert {c.row for c in chunks} == {7}
    assert {c.heading_path for c in chunks} == {("長い記事",)}
    assert [c.context for c in chunks] == ["", *["長い記事"] * (len(chunks) - 1)]
    assert "\n".join(c.text for c in chunks) == "\n".join(lines)


def test_slides_do_not_share_headings_and_the_pages_of_a_pdf_do():
    blocks = [("第一の題", {"kind": "heading", "level": 1}), (BODY, None), (f"次の頁の文。{BODY}", None)]
    source = source_of(blocks)
    pages = (Page(0, 1), Page(source.text.index("次の頁"), 2, "ii"))
    slides = recognise("a.pptx", replace(source, format="pptx", pages=pages), "ab" * 32, max_chars=60)
    paper = recognise("a.pdf", replace(source, format="pdf", pages=pages), "ab" * 32, max_chars=60)
    assert [(c.heading_path, c.page, c.page_label) for c in slides.chunks if "次の頁" in c.text] == [
        ((), 2, "ii")
    ]
    assert {c.heading_path for c in paper.chunks} <= {("第一の題",), ()}
    assert slides.document.pages == paper.document.pages == 2


def test_a_case_on_pages_of_a_file_has_those_pages():
    first, second = (
        "1 書かない窓口を始める【みずほ県青葉野市】",
        "2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】",
    )
    source = source_of([(first, None), (BODY, None), (BODY + "つづき。", None), (second, None), (BODY, None)])
    starts = [0, source.text.index("つづき") - 20, source.text.index(second)]
    pages = tuple(Page(start, number) for number, start in enumerate(starts, 11))
    parsed = recognise("a.pdf", replace(source, format="pdf", pages=pages), "ab" * 32)
    assert [(c.number, c.page_start, c.page_end) for c in parsed.cases] == [(1, 11, 12), (2, 13, 13)]
    assert parsed.document.pages == 13


def test_renamed_is_what_would_be_read_under_the_other_name():
    for name in ("case_book.txt", "meeting.txt", "faq.md"):
        text = {"case_book.txt": CASE_BOOK, "meeting.txt": MINUTES, "faq.md": FAQ}[name]
        one = parse(f"folder/{name}", text.encode())
        other = f"other/new_{name}"
        assert renamed(one, other) == parse(other, text.encode())
        assert {c.id for c in renamed(one, other).chunks}.isdisjoint(c.id for c in one.chunks)


def test_renamed_takes_the_title_that_was_the_files_name():
    row = (
        "質問：手数料は。\n回答：一通につき三百円です。",
        {"kind": "record", "row": 2, "title": "手数料は。"},
    )
    one = recognise("a/よくある質問.csv", source_of([row]), "ab" * 32)
    assert renamed(one, "b/FAQ.csv") == recognise("b/FAQ.csv", source_of([row]), "ab" * 32)


def test_the_rules_are_the_same_each_time_and_change_with_the_package(monkeypatch, tmp_path):
    assert rules() == rules()
    before = rules()
    monkeypatch.setattr(documents, "LIBRARIES", ("numpy",))
    assert rules() != before


@pytest.mark.parametrize(
    "text",
    [
        " " * 60_000 + "終",
        "（" + " " * 60_000 + "終",
        "- " + " " * 60_000 + "終",
        "- " + "\\" * 60_000 + "終",
        "|" * 60_000 + "終",
        "\u2028" * 60_000 + "終",
        "# " + "#" * 60_000 + "終",
        "（" + "あ。" * 40_000,
        "- \n" * 20_000 + "終",
        "1. " + "　" * 60_000 + "終",
        CASE_BOOK + "\n\n" + "あ" * 60_000,
        CASE_BOOK + "\n\n" + "a" * 60_000,
        CASE_BOOK + "\n\n電話" + " " * 60_000 + "終",
    ],
    ids=range(13),
)
def test_an_endless_line_of_marks_takes_no_endless_time(text: str) -> None:
    started = time.process_time()
    parsed = parse("a.txt", text.encode())
    assert time.process_time() - started < 8  # 1 to 2 s; each took half a minute and more
    for chunk in parsed.chunks:
        assert parsed.document.text[chunk.start : chunk.end] == chunk.text


def test_the_rows_of_tables_and_their_parts():
    rows = "\n".join(f"令和{n}年度,{1_000 + n},{2_000 + n},{3_000 + n}" for n in range(1, 60))
    parsed = parse("推移.csv", f"申請の件数の推移\n\n年度,窓口,郵送,オンライン\n{rows}\n".encode())
    assert len(parsed.chunks) > 2
    assert [chunk.rows for chunk in parsed.chunks if chunk.row is not None] == []
    for chunk in parsed.chunks:
        assert chunk.rows is not None
        first, last = chunk.rows
        table = [line for line in chunk.text.splitlines() if line.startswith("|")]
        # the file's third row is the header, the fourth 令和1年度
        shown = [3 if "窓口" in line else int(line.split("令和")[1].split("年")[0]) + 3 for line in table]
        assert shown == list(range(first, last + 1))


def test_values_that_a_spreadsheet_had_no_room_to_print_are_reported():
    text = f"台帳\n\n| 電子決裁 | ### | 7,920,000 |\n\n人事 ##### 88%\n\n{BODY}\n"
    for format, count in (("pdf", 1), ("md", 0)):
        found = recognise(f"a.{format}", Source(text, format, "utf-8"), "ab" * 32).document.warnings
        assert sum("「###」と印刷された値が2か所" in warning for warning in found) == count
