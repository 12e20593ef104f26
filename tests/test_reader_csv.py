"""CSV and TSV files to records: encodings, separators, what is refused. Python's csv module writes, and judges."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.documents import parse
from corpus.readers import ReadError, read
from corpus.readers.csv import delimiter_of

ROWS = [
    ["件名", "本文", "連絡先"],
    ["学習会「はじめの一歩」", "一日目は、午前から。\n二日目は、午後から。", "0123-45-6789"],
    ["花の会, 春", 'だれでも"自由"に来られます。', "0123-45-6780"],
    ["ごみの日", "毎週火曜日です。", "0123-45-6781"],
]


def made(rows=ROWS, delimiter=",", codec="utf-8", mark=b"", end="\r\n"):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(rows)
    return mark + out.getvalue().encode(codec)


def records(source):
    return [(m.row, m.title, source.text[m.start : m.end]) for m in source.marks if m.kind == "record"]


EXPECTED = [
    (
        2,
        "学習会「はじめの一歩」",
        "件名：学習会「はじめの一歩」\n本文：一日目は、午前から。\n二日目は、午後から。\n連絡先：0123-45-6789",
    ),
    (3, "花の会, 春", '件名：花の会, 春\n本文：だれでも"自由"に来られます。\n連絡先：0123-45-6780'),
    (4, "ごみの日", "件名：ごみの日\n本文：毎週火曜日です。\n連絡先：0123-45-6781"),
]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize(
    ("codec", "mark"),
    [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("cp932", b""), ("euc_jp", b""), ("utf-16-le", b"\xff\xfe")],
)
def test_every_encoding_and_separator_gives_the_same_records(codec, mark, delimiter):
    source = read("一覧.csv", made(codec=codec, mark=mark, delimiter=delimiter))
    assert records(source) == EXPECTED
    assert (source.format, source.pages, source.warnings) == ("csv", (), ())


def test_a_tsv_file():
    assert records(read("一覧.tsv", made(delimiter="\t", end="\n"))) == EXPECTED


def test_rows_are_counted_as_a_spreadsheet_does():
    source = read("一覧.csv", made([["地域の行事"], [], *ROWS, ["", " "], ["※変わることがあります。"]]))
    assert [(row, title) for row, title, _ in records(source)] == [
        (row + 2, title) for row, title, _ in EXPECTED
    ]
    assert source.title == "地域の行事"


def test_a_first_line_that_names_the_separator():
    assert records(read("一覧.csv", b"sep=;\r\n" + made(delimiter=";"))) == EXPECTED


def test_each_record_is_a_chunk_with_its_row():
    parsed = parse("一覧.csv", made())
    assert [(c.row, c.heading_path[-1]) for c in parsed.chunks] == [(r, t) for r, t, _ in EXPECTED]
    assert all(parsed.document.text[c.start : c.end] == c.text for c in parsed.chunks)
    assert parsed.document.title == "一覧"


def test_a_quotation_that_never_closes_is_told():
    source = read("一覧.csv", made() + '"開いたまま,0123-45-0000\r\n'.encode())
    assert "引用符" in source.warnings[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "空です"),
        (b",,\r\n,,\r\n", "文字情報がありません"),
        (b"PK\x03\x04rest", "ZIP"),
        (("件名,本文\r\n" + "あ" * 200_000 + ",\r\n").encode(), "長すぎます"),
    ],
)
def test_what_is_refused_is_told_in_a_sentence(data, words):
    with pytest.raises(ReadError, match=words) as error:
        read("一覧.csv", data)
    assert str(error.value).endswith("。")


def test_too_many_rows(monkeypatch):
    monkeypatch.setattr("corpus.readers.csv.MAX_ROWS", 3)
    with pytest.raises(ReadError, match="行が多すぎます"):
        read("一覧.csv", made())


_CELL = st.text(alphabet=st.sampled_from('あ市,;\t"\n 1。|'), min_size=1, max_size=8).map(
    lambda s: f"語{s}語"
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_CELL, min_size=3, max_size=3), min_size=1, max_size=5))
def test_every_value_stands_in_the_text_to_the_letter(rows):
    # the header has words that no cell has, so that it is one
    source = read("一覧.csv", made([["名称", "住所", "備考"], *rows]))
    assert [text for _, _, text in records(source)] == [
        "\n".join(f"{name}：{value}" for name, value in zip(("名称", "住所", "備考"), row, strict=True))
        for row in rows
    ]


def test_a_comma_inside_the_cells_of_a_tab_file_does_not_separate():
    assert delimiter_of("名称\t説明\n甲\t一つ、二つ,三つ\n乙\t四つ,五つ\n") == "\t"
    assert delimiter_of("名称,説明;備考\n甲,一つ;なし\n") == ","
    assert delimiter_of("一列だけ\n値\n") == ","


ARTICLES = [
    ["団体名", "公開日", "発行号タイトル", "記事タイトル", "記事本文"],
    *[
        [
            "みずほ県青葉野市",
            "2024.06.01",
            "広報あおばの 2024年6月号",
            f"記事の{n}",
            f"記事{n}の本文は、地域の集まりを知らせます。",
        ]
        for n in range(10)
    ],
]


def test_what_is_said_of_the_whole_list_stands_once_before_it():
    document = parse("a.csv", made(ARTICLES)).document
    assert (document.title, document.publisher, document.date) == (
        "広報あおばの 2024年6月号",
        "みずほ県青葉野市",
        "2024.06.01",
    )
    assert document.text.startswith(
        "団体名：みずほ県青葉野市\n公開日：2024.06.01\n発行号タイトル：広報あおばの 2024年6月号\n\n記事タイトル：記事の0\n"
    )
    assert document.text.count("みずほ県青葉野市") == 1
    # a short list keeps it in each row
    assert parse("a.csv", made(ARTICLES[:6])).document.text.count("みずほ県青葉野市") == 5


def test_the_nearer_of_two_bodies_is_whose_list_it_is():
    rows = [["都道府県名", "市区町村名", "区分", "名称"]]
    rows += [["みずほ県", "青葉野市", "地区センター", f"第{n}集会所"] for n in range(12)]
    parsed = parse("a.csv", made(rows))
    assert parsed.document.publisher == "青葉野市"
    assert parsed.chunks[-1].text == "区分：地区センター\n名称：第11集会所"


def test_what_differs_in_one_row_stands_in_all_of_them():
    rows = [list(row) for row in ARTICLES]
    rows[4][0] = "みずほ県霧ヶ沢村"
    parsed = parse("a.csv", made(rows))
    assert parsed.document.publisher is None
    assert parsed.document.text.count("団体名：") == 10


def test_a_long_row_becomes_chunks_of_its_paragraphs():
    paragraphs = [
        f"■催し{n}\n" + f"催し{n}は、午前十時に公民館で始まります。" * 9 + f"\n申込先{n}：0123-45-678{n}"
        for n in range(6)
    ]
    rows = [
        ["件名", "本文"],
        ["短い知らせ", "一行だけの知らせをお届けします。"],
        ["催しの案内", "\n\n".join(paragraphs)],
    ]
    chunks = parse("a.csv", made(rows)).chunks
    assert [c.row for c in chunks] == [2, *[3] * (len(chunks) - 1)]
    assert len(chunks) > 3
    # a paragraph stands whole in one chunk, with whom to call
    assert all(any(paragraph in c.text for c in chunks) for paragraph in paragraphs)
    assert {c.heading_path for c in chunks[1:]} == {("催しの案内",)}
