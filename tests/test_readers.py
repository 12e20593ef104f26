"""Bytes to canonical text: encodings, line breaks, what is refused and in which words."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corpus.readers import SUFFIXES, ReadError, Source, markdown, plain_text, read
from corpus.readers.decoding import decode
from corpus.records import Mark, Page

TEXT = "事例集　第１章\n窓口の「キャッシュレス決済」を、令和5年10月に始めました。\nTEL：０２３４-43-8336\n"
# name given back, bytes before the text, codec
ENCODINGS = [
    ("utf-8", b"", "utf-8"),
    ("utf-8", b"\xef\xbb\xbf", "utf-8"),
    ("cp932", b"", "cp932"),
    ("euc_jp", b"", "euc_jp"),
    ("utf-16-le", b"\xff\xfe", "utf-16-le"),
    ("utf-16-be", b"\xfe\xff", "utf-16-be"),
    ("utf-16-le", b"", "utf-16-le"),
    ("utf-16-be", b"", "utf-16-be"),
    ("utf-32-le", b"\xff\xfe\x00\x00", "utf-32-le"),
    ("utf-32-be", b"\x00\x00\xfe\xff", "utf-32-be"),
    ("iso-2022-jp", b"", "iso2022_jp"),
]


def assert_sentence_for_people(error):
    message = str(error.value)
    assert re.search(r"[ぁ-ん]", message)
    assert message.endswith("。")
    assert "Error" not in message


@pytest.mark.parametrize(("name", "mark", "codec"), ENCODINGS)
def test_every_encoding_gives_the_same_text(name, mark, codec):
    assert decode(mark + TEXT.encode(codec)) == (TEXT, name)


@pytest.mark.parametrize(("name", "mark", "codec"), ENCODINGS)
def test_mostly_ascii_text(name, mark, codec):
    text = "1. DX (Digital Transformation)\nhttps://www.example.jp/dx?id=1\nメール: dx@example.jp\n"
    assert decode(mark + text.encode(codec))[0] == text


_KANA = [chr(c) for c in (*range(0x3041, 0x3094), *range(0x30A1, 0x30F7))]
_KANJI = list("一二三人市区町村県事例団体推進年月日電話窓口課題効果費用研修職員住民情報政策能予表申欺噂①②■→…")
_MARKS = list("、。「」（）・ー【】～！？：　０９ＡＺａｚ")
_ASCII = [chr(c) for c in range(0x20, 0x7F)] + ["\t"]
_BREAKS = ["\n", "\r\n", "\r"]


@pytest.mark.parametrize(("name", "mark", "codec"), ENCODINGS)
@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.sampled_from([*_KANA, *_KANJI, *_MARKS, *_ASCII, *_BREAKS]), max_size=60))
def test_any_japanese_text_comes_back(name, mark, codec, pieces):
    # A line of kana, as every Japanese text has: bytes of two kanji alone are valid in several encodings.
    text = "この資料は見本です。\n" + "".join(pieces)
    try:
        data = mark + text.encode(codec)
    except UnicodeEncodeError:
        assume(False)
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert decode(data)[0] == expected


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Z"]), min_size=1))
def test_any_text_of_any_language_comes_back_from_utf8(text):
    assume(text.strip())
    assume(not text.startswith("\ufeff"))
    assume(not text.startswith(("%PDF-", "GIF8")))
    assert decode(text.encode()) == (text, "utf-8")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_a_read_error(data):
    for suffix in (".txt", ".md"):
        try:
            source = read(f"a{suffix}", data)
        except ReadError:
            continue
        assert source.text.strip()
        assert "\r" not in source.text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("一\r\n二\r\n", "一\n二\n"),
        ("一\r二\r", "一\n二\n"),
        ("一\r\n二\r三\n四", "一\n二\n三\n四"),
        ("一\r\r\n二", "一\n\n二"),
        ("一\n\r二", "一\n\n二"),
    ],
)
def test_line_breaks_are_folded(written, expected):
    assert decode(written.encode())[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "最後の行に改行がない",
        "\n\n　先頭の空行と字下げ  \n行末の空白   \t\n\n\n",
        "ＡＢＣ１２３ｶﾅ①㈱と①",
        "表\tの\t列\n頁送り\f次の頁",
        "が（結合文字）と が",
        "# 見出し #\n<br>&amp;\\",
        "－―‐−～〜",
    ],
)
def test_nothing_else_is_changed(text):
    assert plain_text.read(text.encode()).text == text
    assert markdown.read(text.encode()).text == text


@pytest.mark.parametrize(
    ("path", "format"),
    [("a.txt", "txt"), ("a.TXT", "txt"), ("b/c.text", "txt"), ("a.md", "md"), ("a.v2.Markdown", "md")],
)
def test_the_suffix_chooses_the_reader(path, format):
    source = read(path, TEXT.encode())
    assert (source.format, source.text, source.encoding) == (format, TEXT, "utf-8")


@pytest.mark.parametrize("path", ["a.exe", "a", ".txt", "a.txt.bak", "a.gif"])
def test_other_suffixes_are_refused_and_the_readable_ones_named(path):
    with pytest.raises(ReadError) as error:
        read(path, TEXT.encode())
    assert_sentence_for_people(error)
    assert all(suffix in str(error.value) for suffix in SUFFIXES)


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", "　　\n".encode(), b"\xef\xbb\xbf", b"\xff\xfe\n\x00"])
def test_a_file_without_words_is_refused(data):
    with pytest.raises(ReadError) as error:
        read("a.txt", data)
    assert_sentence_for_people(error)
    assert re.search("空です|空白だけ", str(error.value))


def zip_bytes():
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF"),
        (zip_bytes(), "Word"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "Excel"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "PNG"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG"),
        (b"GIF89a" + bytes(20), "GIF"),
        (b"\x1f\x8b\x08\x00" + bytes(20), "gzip"),
    ],
)
def test_a_known_binary_file_is_named(data, named):
    with pytest.raises(ReadError) as error:
        read("名前だけテキスト.txt", data)
    assert_sentence_for_people(error)
    assert named in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 4,
        bytes(1000),
        b"\x7fELF\x02\x01\x01" + bytes(200),
        b"\x01\x02\x03\x04\x05 abc \x06\x07\x08",
        TEXT.encode() + b"\xff\xfe\x80",
        "窓口の改善".encode("cp932") + b"\xfd\xff\xa0",
        b"\xff\xfe" + "窓口".encode("utf-16-le") + b"\x00",
        b"\xff\xfe\x00\xd8a\x00",
        b"\x1b$B\xff\xff\x1b(B",
    ],
)
def test_binary_or_broken_bytes_are_refused(data):
    with pytest.raises(ReadError) as error:
        read("a.txt", data)
    assert_sentence_for_people(error)


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-32-be"])
def test_a_file_cut_off_inside_a_character_is_refused_and_not_garbled(codec):
    mark = {"utf-8": b"", "utf-16-le": b"\xff\xfe", "utf-32-be": b"\x00\x00\xfe\xff"}[codec]
    with pytest.raises(ReadError, match=r"壊れています（\d+バイト目）"):
        read("a.txt", mark + "窓口の改善".encode(codec)[:-1])


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_kana_and_digits_in_the_wrong_byte_order_are_not_taken_for_rare_kanji(codec):
    text = "ありがとうございました12345はいそうです67890" * 3 + "\n"
    wrong = {"utf-16-le": "utf-16-be", "utf-16-be": "utf-16-le"}[codec]
    assert all("\u3000" <= c <= "\u9fff" for c in text[:-1].encode(codec).decode(wrong))
    assert decode(text.encode(codec)) == (text, codec)


@pytest.mark.parametrize("codec", ["ascii", "utf-8", "cp932", "euc_jp"])
@pytest.mark.parametrize("zeros", [1, 2, 511, 512])
def test_zeros_that_fill_up_the_end_make_no_text_utf16(codec, zeros):
    text = "Opening hours: 9 to 5, closed on 30 and 31.\n"
    if codec != "ascii":
        text += "窓口は九時に開き、五時に閉まります。木曜だけは夜の七時まで開いています。\n" * 3
    assert decode(text.encode(codec) + bytes(zeros)) == (text, "utf-8" if codec == "ascii" else codec)
    padded = (text + "x").encode(codec) + bytes(zeros)
    assert decode(padded)[0] == text + "x"


@pytest.mark.parametrize(("name", "mark", "codec"), ENCODINGS)
def test_a_second_byte_order_mark_is_none_of_the_text(name, mark, codec):
    if codec.startswith("utf"):
        assert decode(mark + ("\ufeff" + TEXT).encode(codec))[0] == TEXT


def test_words_that_are_turned_round_are_told():
    found = read("a.txt", "窓口は\u202e時九\u202cに開きます。\n".encode())
    assert "\u202e時九\u202c" in found.text
    assert [words for words in found.warnings if "文字の向きを変える見えない文字があります" in words] == list(
        found.warnings
    )
    assert len(found.warnings) == 1
    assert read("a.txt", TEXT.encode()).warnings == ()


def test_half_a_character_is_a_sign_wherever_a_reader_gives_one(monkeypatch):
    given = Source(
        "窓\ud800口",
        "txt",
        "utf-8",
        (),
        (Page(0, 1, "\udc00"),),
        (Mark("heading", 0, 3, 1, 0, "\ud800"),),
        "\ud800題",
    )
    monkeypatch.setattr("corpus.readers.plain_text.read", lambda data: given)
    found = read("a.txt", b"a")
    assert (found.text, found.pages[0].label, found.marks[0].title, found.title) == (
        "窓\ufffd口",
        "\ufffd",
        "\ufffd",
        "\ufffd題",
    )


def test_one_stray_control_character_does_not_make_a_text_binary():
    assert decode(f"窓口の\x0c改善\x08{TEXT}".encode())[0].startswith("窓口の\x0c改善\x08")
