"""What a file is by its content: signatures, packages, old Office files, and what is said where the name differs."""

from __future__ import annotations

import io
import re
import sqlite3
import zipfile
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from office_made import converter, needs_soffice
from reportlab.pdfgen.canvas import Canvas

from corpus.readers import SUFFIXES, ReadError, kinds, read


def saved(made: object) -> bytes:
    stream = io.BytesIO()
    made.save(stream)  # type: ignore[attr-defined]
    return stream.getvalue()


def pdf() -> bytes:
    stream = io.BytesIO()
    canvas = Canvas(stream)
    canvas.drawString(72, 700, "The desk opens at nine and closes at five.")
    canvas.save()
    return stream.getvalue()


def word() -> bytes:
    document = docx.Document()
    document.add_paragraph("窓口は九時に開きます。")
    return saved(document)


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["窓口は九時に開きます。"])
    return saved(book)


def deck() -> bytes:
    made = pptx.Presentation()
    made.slides.add_slide(made.slide_layouts[5]).shapes.title.text = "窓口は九時に開きます。"
    return saved(made)


def archive(**parts: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return stream.getvalue()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table a (b)")
    connection.commit()
    return connection.serialize()


MADE = {"pdf": pdf(), "docx": word(), "xlsx": workbook(), "pptx": deck()}
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


def stream(name: str) -> bytes:
    return OLE + name.encode("utf-16-le") + bytes(100)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        *((data, kind) for kind, data in MADE.items()),
        (b"\r\n\r\n" + MADE["pdf"], "pdf"),
        (b"<!DOCTYPE HTML><p>a", "html"),
        (b"\xef\xbb\xbf\n <HTML lang=ja>", "html"),
        (stream("WordDocument"), "doc"),
        (stream("Workbook"), "xls"),
        (stream("PowerPoint Document"), "ppt"),
        (stream("EncryptedPackage"), "locked"),
        (OLE, "ole"),
        (archive(**{"メモ.txt": b"a"}), "zip"),
        (archive(), "zip"),
        (archive(mimetype=b"application/vnd.oasis.opendocument.text", **{"content.xml": b""}), "odf"),
        (b"{\\rtf1\\ansi a}", "rtf"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"II*\x00\x08\x00\x00\x00", "tiff"),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "mp4"),
        (b"MZ\x90\x00" + bytes(124) + b"PE\x00\x00", "program"),
        (b"\x7fELF\x02\x01\x01", "program"),
        (database(), "sqlite"),
        ("窓口は九時に開きます。".encode(), None),
        ("MZ世代への案内".encode(), None),
        (b"PK", None),
        (b"BM: memo", None),
        (b"<p>a piece of a page</p>", None),
        (b"", None),
    ],
)
def test_the_kind_by_content(data: bytes, kind: str | None) -> None:
    assert kinds.kind_of(data) == kind


def test_a_package_is_known_by_its_first_half() -> None:
    for kind in ("docx", "pptx"):
        assert kinds.kind_of(MADE[kind][: len(MADE[kind]) * 2 // 3]) == kind


@needs_soffice
def test_what_a_real_office_saves_in_the_old_formats(tmp_path: Path) -> None:
    convert = converter(tmp_path)
    for new, old in (("docx", "doc"), ("xlsx", "xls"), ("pptx", "ppt")):
        data = convert(MADE[new], new, old)
        assert kinds.kind_of(data) == old
        for name in (f"a.{old}", f"a.{new}", "a.txt", "a.pdf"):
            with pytest.raises(ReadError) as error:
                read(name, data)
            assert "古い形式" in str(error.value)
            assert f"「.{new}」を選んで保存し直してください。" in str(error.value)
    for new, other, kind in (("docx", "odt", "odf"), ("xlsx", "ods", "odf"), ("docx", "rtf", "rtf")):
        data = convert(MADE[new], new, other)
        assert kinds.kind_of(data) == kind
        with pytest.raises(ReadError, match=r"RTF|OpenDocument"):
            read(f"a.{other}", data)


@pytest.mark.parametrize("kind", MADE)
def test_a_file_under_another_name_is_read_as_what_it_is(kind: str) -> None:
    plain = read(f"a.{kind}", MADE[kind])
    assert plain.warnings == ()
    for suffix in [*(s for s in SUFFIXES if kinds.KIND_OF_SUFFIX[s] != kind), ".doc", ".bin", ""]:
        found = read(f"a{suffix}", MADE[kind])
        assert (found.text, found.pages, found.marks) == (plain.text, plain.pages, plain.marks)
        assert found.format == kind
        (warning,) = found.warnings
        assert warning.endswith("。")
        assert f"「{suffix or 'なし'}」" in warning
        assert kinds.NAMES[kind] in warning


def test_a_workbook_with_macros_is_no_mismatch() -> None:
    assert read("a.XLSM", MADE["xlsx"]).warnings == ()
    assert kinds.mismatch("a.XLSM", MADE["xlsx"]) is None


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.pdf", MADE["docx"], ("「.pdf」", "Word")),
        ("a.docx", MADE["pdf"], ("「.docx」", "PDF")),
        ("a.txt", b"\x89PNG\r\n\x1a\n", ("「.txt」", "PNG")),
        ("a.pdf", "窓口".encode(), ("「.pdf」", "テキスト")),
        ("a.docx", stream("EncryptedPackage"), ("パスワード",)),
        ("A.CSV", MADE["xlsx"], ("「.csv」", "Excel")),
    ],
)
def test_a_mismatch_names_both(name: str, data: bytes, words: tuple[str, ...]) -> None:
    found = kinds.mismatch(name, data)
    assert found is not None
    assert found.endswith("。")
    assert all(word in found for word in words)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        *((f"a.{kind}", data) for kind, data in MADE.items()),
        ("a.txt", "窓口".encode()),
        ("a.html", b"<p>no doctype"),
        ("a.HTM", b"<!doctype html>"),
        ("a.csv", "件名,本文".encode("cp932")),
        ("a.png", b"\x89PNG"),  # no suffix that promises anything
        ("a", MADE["pdf"]),
    ],
)
def test_no_mismatch(name: str, data: bytes) -> None:
    assert kinds.mismatch(name, data) is None


@pytest.mark.parametrize("kind", sorted(kinds.NAMES.keys() - {*MADE, "html"}))
@pytest.mark.parametrize("suffix", [".txt", ".docx", ".doc", ".abc", ""])
def test_every_kind_without_a_reader_has_a_sentence(kind: str, suffix: str) -> None:
    message = kinds.unreadable(kind, suffix, SUFFIXES)
    assert re.search("(?:ください|置いてください)。$", message)
    assert "「」" not in message
    if suffix == ".txt" and kind not in {"locked", "doc", "xls", "ppt"}:
        assert "「.txt」" in message


def test_a_password_names_the_program_to_open_it_with() -> None:
    for suffix, application in (
        (".docx", "Word"),
        (".xlsx", "Excel"),
        (".pptx", "PowerPoint"),
        (".x", "Office"),
    ):
        assert f"{application}で開き" in kinds.unreadable("locked", suffix, SUFFIXES)


@pytest.mark.parametrize("suffix", [".doc", ".dot", ".xls", ".ppt", ".pps"])
def test_an_old_suffix_says_how_to_convert(suffix: str) -> None:
    message = kinds.unreadable_suffix(suffix, SUFFIXES)
    assert suffix in message
    assert re.search(
        r"(Word|Excel|PowerPoint)で開き、「名前を付けて保存」で「\.(docx|xlsx|pptx)」を選んで", message
    )


def test_another_suffix_names_those_that_can_be_read() -> None:
    for suffix in (".zip", ""):
        message = kinds.unreadable_suffix(suffix, SUFFIXES)
        assert all(known in message for known in SUFFIXES)
    assert "拡張子なし" in kinds.unreadable_suffix("", SUFFIXES)


def test_every_kind_has_a_name() -> None:
    promised = {kind for kind in kinds.KIND_OF_SUFFIX.values() if kind}
    assert promised <= kinds.NAMES.keys()
    assert set(SUFFIXES) == kinds.KIND_OF_SUFFIX.keys()
