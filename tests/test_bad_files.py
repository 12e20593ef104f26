"""Bad files of every kind in one folder: the build goes on, each is named with what is wrong, and the good ones answer.

REFUSED files must be in the report's errors, FLAGGED ones are read with a warning, HARMLESS ones look dangerous and are read
as they should be. What is no regular file (a folder called x.pdf, a FIFO, a device, links that lead nowhere, in a circle or
out of the folder) is no document and is not named.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import resource
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pypdf
import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from index.plan import find_files, make_plan
from index.reading import ReaderProcess

HOME = Path(__file__).resolve().parent.parent
SECONDS = 150.0
"""Longest time of the first build: 25 s on a free core."""
MEMORY = 6 * 2**30
"""Address space of every process of the build."""
RESIDENT = 1_500 * 2**20
"""Most memory that any of its processes really takes."""

# what a sentence must name
EMPTY, NO_WORDS, CUT, BROKEN = "0バイト", "文字情報がありません", "切れて", "壊れ"
TOO_LARGE, LOCKED, OLD, SUFFIX = "大きすぎ|多すぎ|長すぎ|深すぎ", "パスワード", "古い形式", "拡張子"
ENCODING, BINARY = "文字コード", "バイナリ"

# ---------------------------------------------------------------- good files, to be spoilt


def saved(made: Any) -> bytes:
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def word(*paragraphs: str) -> bytes:
    document = docx.Document()
    for words in paragraphs:
        document.add_paragraph(words)
    return saved(document)


def workbook(*rows: tuple[object, ...]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    return saved(book)


def deck(*titles: str) -> bytes:
    made = pptx.Presentation()
    for title in titles:
        made.slides.add_slide(made.slide_layouts[5]).shapes.title.text = title
    return saved(made)


def drawn(*pages: Callable[[Canvas], object]) -> bytes:
    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=A4)
    for page in pages:
        page(canvas)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def sentence(canvas: Canvas) -> None:
    canvas.drawString(72, 700, "The desk of the village opens at nine and closes at five.")


def picture(canvas: Canvas) -> None:
    canvas.rect(60, 100, 450, 600, fill=1)


def raw_pdf(*objects: bytes, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A file written by hand; objects are numbered from 1."""
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d %s >>\n" % (size, table, size, trailer)
        + b"startxref\n%d\n%%%%EOF" % len(out)
    )


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
CATALOG, TREE = b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def mapped_pdf(mapping: str) -> bytes:
    """A page of twenty glyphs whose font says of each that it is the next character of a mapping."""
    pairs = "".join(f"<{at:04X}> <{ord(c):04X}>\n" for at, c in enumerate(mapping, start=1))
    table = f"/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <0000> <FFFF> endcodespacerange {len(mapping)} beginbfchar\n{pairs}endbfchar endcmap end end"
    shown = "".join(f"{1 + at % len(mapping):04X}" for at in range(20))
    return raw_pdf(
        CATALOG,
        TREE,
        PAGE,
        stream(f"BT /F1 12 Tf 72 700 Td <{shown}> Tj ET".encode()),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /Made /Encoding /Identity-H /DescendantFonts [6 0 R] /ToUnicode 7 0 R >>",
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Made /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /DW 1000 >>",
        stream(table.encode()),
    )


WORD = word("窓口は九時に開きます。", "昼も閉めません。")
BOOK = workbook(("件名", "本文"), ("窓口", "九時に開きます。"), ("夜間", "木曜だけ開きます。"))
DECK = deck("窓口の案内", "夜間の窓口")
PDF = drawn(sentence, sentence, sentence)
HTML = "<!doctype html><meta charset=utf-8><title>案内</title><main><h1>案内</h1><p>窓口は九時に開きます。</p></main>".encode()
TEXT = "窓口の案内\n\n窓口は九時に開き、五時に閉まります。木曜だけは夜の七時まで開いています。\n" * 3


def parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return {name: package.read(name) for name in package.namelist()}


def zipped(contents: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as file:
        for name, data in contents.items():
            file.writestr(name, data)
    return out.getvalue()


def changed(data: bytes, **changes: bytes | None) -> bytes:
    """A package with parts (named by their last word) replaced, or left out (None)."""
    out = {}
    for name, part in parts(data).items():
        new = part if name.endswith(".rels") else changes.get(Path(name).stem.strip("[]"), part)
        if new is not None:
            out[name] = new
    return zipped(out)


def body(xml: str, head: str = "", before: str = "") -> bytes:
    """A Word document with this body."""
    name = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    return changed(
        WORD, document=f"{head}<w:document {name}><w:body>{before}{xml}</w:body></w:document>".encode()
    )


def p(words: str) -> str:
    return f"<w:p><w:r><w:t>{words}</w:t></w:r></w:p>"


def sheet(xml: str, head: str = "") -> bytes:
    name = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    return changed(BOOK, sheet1=f"{head}<worksheet {name}>{xml}</worksheet>".encode())


def flipped(data: bytes, at: int, length: int = 4) -> bytes:
    return data[:at] + bytes(b ^ 0xFF for b in data[at : at + length]) + data[at + length :]


def container(*names: str) -> bytes:
    """An OLE container with empty streams of these names, as Office writes it around an encrypted document."""

    def entry(name: str, kind: int, child: int, right: int = -1) -> bytes:
        written = name.encode("utf-16-le") + b"\0\0"
        return struct.pack(
            "<64sHBBiii16sIQQiQ",
            written, len(written), kind, 1, -1, right, child, bytes(16), 0, 0, 0, -2, 0,
        )  # fmt: skip

    entries = entry("Root Entry", 5, 1) + b"".join(
        entry(name, 2, -1, at + 2 if at + 1 < len(names) else -1) for at, name in enumerate(names)
    )
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIiIiI", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 62, 3, 0xFFFE, 9, 6,
        bytes(6), 0, 1, 1, 0, 4096, -2, 0, -2, 0,
    )  # fmt: skip
    header += struct.pack("<i", 0) + struct.pack("<i", -1) * 108
    table = struct.pack("<iii", -3, -2, -2) + struct.pack("<i", -1) * 125
    return header + table + entries.ljust(512, b"\0") + random.Random(5).randbytes(2048)


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table a (b)")
    connection.commit()
    return bytes(connection.serialize())


def laughs(depth: int = 9) -> str:
    lines = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha" * 10}">' for i in range(depth))
    return f"<!DOCTYPE a [{lines}]>"


def external(address: str) -> str:
    return f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "{address}"><!ENTITY % y SYSTEM "{address}"> %y;]>'


def bomb_pdf() -> bytes:
    packer = zlib.compressobj(5)
    chunk = b"0 0 1 1 re f " * 80_000
    content = b"".join(packer.compress(chunk) for _ in range(200)) + packer.flush()
    return raw_pdf(CATALOG, TREE, PAGE, stream(content, b"/Filter /FlateDecode"), HELVETICA)


def locked_pdf() -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(PDF))
    writer.encrypt("秘密", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def flagged_zip(data: bytes) -> bytes:
    """A package whose first entry says that it is encrypted."""
    at = data.index(b"PK\x01\x02") + 8
    return data[:at] + bytes([data[at] | 1]) + data[at + 1 :]


def lying_zip(data: bytes) -> bytes:
    """A package with a part of 20 MB that declares 100 bytes."""
    size = (20_000_003).to_bytes(4, "little")
    bomb = changed(data, document=b" " * 20_000_003)
    assert bomb.count(size) == 2
    return bomb.replace(size, (100).to_bytes(4, "little"))


def overlapped_zip() -> bytes:
    """A thousand entries that are all the same data: 10 MB that unpack to 10 GB."""
    single = zipped({"word/a.xml": b"<a/>" * 2_500_000, "[Content_Types].xml": b"", "word/document.xml": b""})
    at = single.index(b"PK\x01\x02")
    entry = single[at : single.index(b"PK\x01\x02", at + 4)]
    count, rest = 1000, single[at + len(entry) : single.index(b"PK\x05\x06")]
    names = [entry.replace(b"word/a.xml", b"w/%04d.xml" % n) for n in range(count)]
    directory = b"".join(names) + rest
    return (
        single[:at]
        + directory
        + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count + 2, count + 2, len(directory), at, 0)
    )


def nested_zip(depth: int = 12) -> bytes:
    data = zipped({"a.txt": bytes(10**6)})
    for _ in range(depth):
        data = zipped({f"{n}.zip": data for n in range(4)}, zipfile.ZIP_STORED)[: 2**20]
    return data


def wide_sheet() -> bytes:
    row = '<row r="{0}"><c r="XFD{0}"><v>1</v></c></row>'
    return sheet("<sheetData>" + "".join(row.format(n) for n in range(1, 101)) + "</sheetData>")


def merged_sheet() -> bytes:
    cells = "".join(f'<mergeCell ref="A{2 * n}:A{2 * n + 1}"/>' for n in range(1, 100_003))
    row = '<row r="1"><c r="A1" t="inlineStr"><is><t>窓口</t></is></c></row>'
    return sheet(f"<sheetData>{row}</sheetData><mergeCells>{cells}</mergeCells>")


NOISE = random.Random(4).randbytes(6_000)
MAIL = "From: a@example.jp\r\nTo: b@example.jp\r\nSubject: =?utf-8?B?5qGI5YaF?=\r\n\r\n窓口の件です。\r\n".encode()
EVENT = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:窓口の説明会\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode()
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 8, 8, 8, 2, 0, 0, 0) + NOISE[:500]
ADDRESS = "http://127.0.0.1:{port}/"

Made = bytes | Callable[[], bytes]


@dataclass(frozen=True)
class Bad:
    """A bad file and what its sentence must name."""

    path: str
    data: Made
    words: str

    def bytes(self, port: int) -> bytes:
        data = self.data() if callable(self.data) else self.data
        return data.replace(b"{port}", str(port).encode())


GOOD = {
    "手引き.md": "# 手引き\n\n## 手数料\n\n住民票の手数料は一通につき三百円です。\n",
    "通知.txt": "防災無線の通知\n\n試験放送は毎月一日の正午に行います。\n",
    "案内.html": "<!doctype html><meta charset=utf-8><main><h1>移住の案内</h1><p>お試し住宅の家賃は二万五千円です。</p></main>",
}
R = partial(Bad)
REFUSED = [
    # nothing in it
    R("空.txt", b"", EMPTY),
    R("空.pdf", b"", EMPTY),
    R("空.docx", b"", EMPTY),
    R("空白だけ.txt", " \n\t\r\n　　\n".encode() * 50, "空白だけ"),
    R("印だけ.txt", b"\xef\xbb\xbf", "空白だけ"),
    R("印だけ16.csv", b"\xff\xfe\r\x00\n\x00", "空白だけ"),
    R("見出しなし.csv", b",,\r\n,,\r\n", NO_WORDS),
    R("記号だけ.csv", "―,※\r\n…,・\r\n".encode(), NO_WORDS),
    R("空の文書.docx", word(), NO_WORDS),
    R("空のブック.xlsx", workbook(), NO_WORDS),
    R("空の発表.pptx", deck(), NO_WORDS),
    R("題のない発表.pptx", deck("", ""), NO_WORDS),
    R("空のページ.html", b"<html><body></body></html>", NO_WORDS),
    R("案内板だけ.html", "<html><nav><ul><li><a href=/>ホーム</a><li><a href=/b>暮らし</a></ul></nav><footer>青葉野市</footer>".encode(), NO_WORDS),
    R("枠だけ.html", b"<html><frameset><frame src=a.html></frameset></html>", NO_WORDS),
    R("動くだけ.html", b"<!doctype html><script>document.write('a')</script><div id=app></div>", NO_WORDS),
    R("隠れている.html", "<!doctype html><div style='display:none'>見えません</div>".encode(), NO_WORDS),
    R("白紙.pdf", drawn(lambda c: None, lambda c: None), NO_WORDS),
    R("スキャン.pdf", drawn(picture, picture), f"{NO_WORDS}.*OCR"),
    # texts that are none
    R("乱数.txt", NOISE, f"{ENCODING}|{BINARY}"),
    R("乱数.md", NOISE[::-1], f"{ENCODING}|{BINARY}"),
    R("乱数.csv", NOISE[1:], f"{ENCODING}|{BINARY}"),
    R("乱数.html", NOISE[2:], f"{ENCODING}|{BINARY}"),
    R("零だけ.txt", bytes(5000), BINARY),
    R("制御文字.txt", "窓口\x01\x02\x03の\x07\x08案\x0e\x0f内\x1a".encode() * 20, BINARY),
    R("文字の途中.txt", TEXT.encode()[:-2], f"{BROKEN}.*バイト目"),
    R("文字の途中16.txt", b"\xff\xfe" + TEXT.encode("utf-16-le")[:-1], f"{BROKEN}.*バイト目"),
    R("文字の途中32.txt", b"\xff\xfe\0\0" + TEXT.encode("utf-32-le")[:-3], f"{BROKEN}.*バイト目"),
    R("片割れ16.txt", b"\xff\xfe" + "窓口".encode("utf-16-le") + b"\x00\xd8a\x00", BROKEN),
    R("片割れ8.txt", (TEXT + "\ud83d").encode("utf-8", "surrogatepass"), BROKEN),
    R("二つの文字コード.txt", TEXT.encode() + "夜間".encode("cp932"), BROKEN),
    R("乱れた日本語.txt", "窓口".encode("cp932") + b"\xfd\xfe\xff\xa0\x80" * 9, ENCODING),
    R("一行.txt", lambda: b"a" * 49_000_000, TOO_LARGE),
    R("巨大.txt", lambda: b"", TOO_LARGE),  # made as a hole below
    # other things under these names
    R("写真.pdf", PNG, "PNG"),
    R("写真.docx", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + NOISE[:400], "JPEG"),
    R("写真.txt", b"GIF89a" + NOISE[:100], "GIF"),
    R("写真.tif", b"II*\x00" + NOISE[:100], "TIFF"),
    R("束.pdf", zipped({"メモ.txt": b"a"}), "ZIP.*取り出し"),
    R("束.docx", zipped({"メモ.txt": b"b"}), "ZIP"),
    R("束.txt", zipped({"メモ.txt": b"c"}), "ZIP.*取り出し"),
    R("束.zip", zipped({"メモ.txt": b"d"}), "ZIP.*取り出し"),
    R("入れ子.zip", nested_zip, "ZIP"),
    R("束.gz", b"\x1f\x8b\x08\x00" + NOISE[:100], "gzip"),
    R("束.md", b"7z\xbc\xaf\x27\x1c" + NOISE[:100], "7-Zip"),
    R("束.csv", b"Rar!\x1a\x07\x01\x00" + NOISE[:100], "RAR"),
    R("実行.pdf", b"MZ\x90\x00" + bytes(124) + b"PE\x00\x00" + NOISE[:500], "プログラム"),
    R("実行.txt", b"\x7fELF\x02\x01\x01" + bytes(9) + NOISE[:500], "プログラム"),
    R("実行.exe", b"MZ" + NOISE[:500], "読めません"),
    R("データ.csv", database, "データベース"),
    R("動画.html", b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00" + NOISE[:500], "動画"),
    R("書体.pptx", b"\x00\x01\x00\x00\x00\x0f\x00\x80" + NOISE[:500], "フォント"),
    R("手紙.pdf", MAIL, "PDFではありません"),
    R("予定.docx", EVENT, SUFFIX),
    R("予定.xlsx", EVENT, SUFFIX),
    R("予定.ics", EVENT, "読めません"),
    R("名前だけ", TEXT.encode(), "拡張子なし"),
    R("文章.pdf", TEXT.encode(), "PDFではありません"),
    R("文章.pptx", TEXT.encode(), SUFFIX),
    R("書式付き.rtf", b"{\\rtf1\\ansi\\deff0 {\\fonttbl{\\f0 Arial;}} The desk.}", "RTF"),
    R("書式付き.docx", b"{\\rtf1\\ansi\\deff0 The desk.}", "RTF"),
    R("別の事務.odt", zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<a/>"}, 0), "OpenDocument"),
    R("通知.pdf", GOOD["通知.txt"].encode(), "PDFではありません"),  # a copy must not take the good one with it
    # locked
    R("鍵.docx", container("EncryptionInfo", "EncryptedPackage"), f"{LOCKED}.*Word"),
    R("鍵.xlsx", container("EncryptionInfo", "EncryptedPackage", "\x06DataSpaces"), f"{LOCKED}.*Excel"),
    R("鍵.pptx", container("EncryptedPackage", "EncryptionInfo"), f"{LOCKED}.*PowerPoint"),
    R("鍵.pdf", locked_pdf, LOCKED),
    R("鍵の印.docx", flagged_zip(WORD), LOCKED),
    R("鍵の印.xlsx", flagged_zip(BOOK), LOCKED),
    # old
    R("古い.doc", container("WordDocument", "1Table"), f"{OLD}.*「.docx」"),
    R("古い.docx", container("1Table", "WordDocument"), f"{OLD}.*「.docx」"),
    R("古い.xls", container("Workbook"), f"{OLD}.*「.xlsx」"),
    R("古い.ppt", container("PowerPoint Document"), f"{OLD}.*「.pptx」"),
    R("とても古い.xls", b"\x09\x08\x08\x00\x00\x05\x10\x00" + NOISE[:200], f"{OLD}.*「.xlsx」"),
    R("知らない箱.txt", container("Unknown"), OLD),
    # cut off or damaged packages
    *(
        R(f"切れた{kind}{share}.{kind}", data[: int(share * len(data))], f"{CUT}|{BROKEN}")
        for kind, data in (("docx", WORD), ("xlsx", BOOK), ("pptx", DECK))
        for share in (0.03, 0.5, 0.99)
    ),
    R("目録が壊れた.docx", flipped(WORD, WORD.index(b"PK\x01\x02") + 24, 8), f"{BROKEN}|ZIP"),
    R("目録が壊れた.xlsx", flipped(BOOK, BOOK.rindex(b"PK\x05\x06") + 10, 8), BROKEN),
    R("中が壊れた.docx", flipped(WORD, WORD.index(b"word/document.xml") + 60, 40), BROKEN),
    R("中が壊れた.xlsx", flipped(BOOK, BOOK.index(b"xl/worksheets/sheet1.xml") + 60, 40), BROKEN),
    R("中が壊れた.pptx", flipped(DECK, DECK.index(b"ppt/slides/slide1.xml") + 60, 40), BROKEN),
    R("本文がない.docx", changed(WORD, document=None), BROKEN),
    R("型がない.docx", changed(WORD, Content_Types=None), BROKEN),
    R("関係がない.xlsx", changed(BOOK, workbook=None), BROKEN),
    R("ひな型がない.pptx", zipped({n: d for n, d in parts(DECK).items() if "slideLayout" not in n}), BROKEN),
    R("閉じていない.docx", changed(WORD, document=b"<w:document><w:body>"), BROKEN),
    R("閉じていない.xlsx", changed(BOOK, sheet1=b"<worksheet><sheetData><row>"), BROKEN),
    R("違う文書.docx", changed(WORD, document=b"<html><body>a</body></html>"), f"{BROKEN}|{NO_WORDS}"),
    R("ひな型.docx", zipped({**parts(WORD), "[Content_Types].xml": parts(WORD)["[Content_Types].xml"].replace(b"document.main+xml", b"template.main+xml")}), "テンプレート"),
    R("厳密.docx", zipped({**parts(WORD), "_rels/.rels": parts(WORD)["_rels/.rels"].replace(b"schemas.openxmlformats.org/officeDocument", b"purl.oclc.org/ooxml/officeDocument")}), "Strict"),
    R("二進.xlsx", zipped({"[Content_Types].xml": b"", "xl/workbook.bin": b"a"}), "xlsb"),
    # bombs
    R("爆弾.docx", lambda: changed(WORD, document=b" " * 300_000_000), TOO_LARGE),
    R("爆弾.xlsx", lambda: changed(BOOK, sheet1=bytes(100_000_000)), TOO_LARGE),
    R("嘘の爆弾.docx", lambda: lying_zip(WORD), BROKEN),
    R("重なる爆弾.docx", overlapped_zip, TOO_LARGE),
    R("部品だらけ.pptx", lambda: zipped({**parts(DECK), **{f"a{n}": b"" for n in range(20_001)}}, 0), TOO_LARGE),
    R("笑い.docx", body(p("&a8;"), laughs()), "DOCTYPE"),
    R("笑い16.docx", changed(WORD, document=(laughs() + "<a>&a8;</a>").encode("utf-16")), "DOCTYPE"),
    R("笑い.xlsx", sheet("<sheetData><row><c t='inlineStr'><is><t>&a8;</t></is></c></row></sheetData>", laughs()), "DOCTYPE"),
    R("笑い.pptx", changed(DECK, slide1=(laughs() + "<a>&a8;</a>").encode()), "DOCTYPE"),
    R("外を読む.docx", body(p("&x;"), external("file:///etc/passwd")), "DOCTYPE"),
    R("外へ行く.docx", body(p("&x;"), external(ADDRESS)), "DOCTYPE"),
    R("外へ行く.xlsx", sheet("<sheetData/>", external(ADDRESS)), "DOCTYPE"),
    # absurd sizes and depths
    R("広すぎる.xlsx", wide_sheet, TOO_LARGE),
    R("結合だらけ.xlsx", merged_sheet, TOO_LARGE),
    R("行が多い.csv", lambda: b"a,b\r\n" * 200_001, TOO_LARGE),
    R("列が多い.csv", lambda: b"1," * 1_000_000, TOO_LARGE),
    R("セルが多い.csv", lambda: (b"1," * 16_000 + b"\r\n") * 100, TOO_LARGE),
    R("長いセル.csv", lambda: "件名,本文\r\n窓口,".encode() + b"a" * 10_000_000, TOO_LARGE),
    R("深い.html", lambda: b"<html>" + b"<div>" * 100_000 + "深い".encode(), TOO_LARGE),
    R("深い.docx", lambda: body("<w:tbl><w:tr><w:tc>" * 5000 + p("深い") + "</w:tc></w:tr></w:tbl>" * 5000), BROKEN),
    R("深い.pptx", lambda: changed(DECK, slide1=b"<a>" * 100_000 + b"</a>" * 100_000), BROKEN),
    R("字が多い.html", lambda: b"<html>" + b"<p>" + b"a" * 20_100_000, TOO_LARGE),
    # PDF
    *(R(f"切れた{share}.pdf", PDF[: int(share * len(PDF))], CUT) for share in (0.1, 0.5, 0.98)),
    R("頭だけ.pdf", b"%PDF-1.7\n", CUT),
    R("頭と尾.pdf", b"%PDF-1.7\n%%EOF", BROKEN),
    R("中は乱数.pdf", b"%PDF-1.7\n" + NOISE + b"\nstartxref\n9\n%%EOF", BROKEN),
    R("木が回る.pdf", raw_pdf(CATALOG, b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"), f"{BROKEN}|{NO_WORDS}"),
    R("木がない.pdf", raw_pdf(b"<< /Type /Catalog >>"), f"{BROKEN}|ページがありません"),
    R("根がない.pdf", raw_pdf(CATALOG, TREE, trailer=b""), BROKEN),
    R("頁が零.pdf", raw_pdf(CATALOG, b"<< /Type /Pages /Kids [] /Count 0 >>"), f"{BROKEN}|ページがありません"),
    R("頁が十億.pdf", raw_pdf(CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count 1000000000 >>", PAGE, stream(b"")), f"{TOO_LARGE}|{BROKEN}|{NO_WORDS}"),
    R("頁が負.pdf", raw_pdf(CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count -5 >>", b"null"), f"{BROKEN}|ページがありません"),
    R("白紙六千.pdf", lambda: raw_pdf(CATALOG, b"<< /Type /Pages /Kids [%s] /Count 6000 >>" % (b"3 0 R " * 6000), PAGE, stream(b"")), TOO_LARGE),
    R("深い木.pdf", lambda: raw_pdf(CATALOG, *(b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (n + 3) for n in range(3000)), b"null"), f"{BROKEN}|{NO_WORDS}"),
    R("爆弾.pdf", bomb_pdf, "展開|メモリー"),
    R("頁が壊れた.pdf", raw_pdf(CATALOG, TREE, b"(no page)"), BROKEN),
    # at the moment only
    R("消える.html", HTML.replace("窓口".encode(), "消える窓口".encode()), "開けません"),
    R("変わる.html", HTML.replace("窓口".encode(), "変わる窓口".encode()), "変わりました"),
    R("長い行き先.txt", b"", "開けません"),  # made as a link below
]  # fmt: skip

GARBLED = "文字化けの疑い"
FLAGGED = [
    R("化けた1.txt", TEXT.encode().decode("cp932", "replace").encode(), GARBLED),
    R("化けた2.md", TEXT.encode().decode("latin-1").encode(), GARBLED),
    R("化けた3.txt", TEXT.encode("euc_jp").decode("cp932", "replace").encode(), GARBLED),
    R("化けた4.html", (HTML.decode().replace("窓口は", TEXT.encode("cp932").decode("latin-1"))).encode(), GARBLED),
    R("化けた5.csv", ("件名,本文\n" + f"窓口,{TEXT.encode().decode('cp932', 'replace')[:60]!r}\n" * 3).encode(), GARBLED),
    R("番号の字.txt", "窓口は(cid:12)(cid:345)時に(cid:7)きます。\n".encode() * 3, GARBLED),
    R("置き換え.txt", "窓口は\ufffd\ufffd時に\ufffd\ufffdきます。\n".encode(), GARBLED),
    R("外字.txt", "窓口は\ue000\ue001\ue002に\ue003きます。\n".encode(), GARBLED),
    R("外字.docx", word("窓口は\ue000\ue001\ue002に\ue003きます。"), GARBLED),
    R("のが化けた.pdf", mapped_pdf("窓口䛾案内䛿九時䛛䜙"), GARBLED),
    R("外字.pdf", mapped_pdf("窓\ue000口\ue001の\ue002案内"), GARBLED),
    R("表のない字.pdf", mapped_pdf("\ufffd窓\ufffd口\ufffd"), GARBLED),
    R("半分スキャン.pdf", drawn(sentence, picture), f"2ページに{NO_WORDS}"),
    R("一頁壊れた.pdf", raw_pdf(CATALOG, b"<< /Type /Pages /Kids [3 0 R 6 0 R] /Count 2 >>", PAGE, stream(b"BT /F1 12 Tf 72 700 Td (The desk of the village opens at nine.) Tj ET"), HELVETICA, b"(no page)"), BROKEN),
    R("閉じない.csv", '件名,本文\r\n窓口,九時に開きます。\r\n夜間,"木曜だけ\r\n休日,開きません\r\n'.encode(), "引用符"),
    R("乱れ.html", HTML.replace(b"</p>", ("窓口の案内です。" * 40).encode() + b"\xff</p>"), "置き換え"),
    R("名違い.docx", PDF + b"\n% a", f"{SUFFIX}.*PDF"),
    R("名違い.pdf", word("窓口は十時に開きます。"), f"{SUFFIX}.*Word"),
    R("名違い.csv", workbook(("窓口", "十時に開きます。")), f"{SUFFIX}.*Excel"),
    R("名違い.txt", deck("窓口は十時"), f"{SUFFIX}.*PowerPoint"),
    R("名違い.xls", HTML.replace(b"<h1>", b"<h1 id=x>"), f"{SUFFIX}.*HTML"),
    R("埋め込み.docx", body('<w:altChunk r:id="rId99"/>' + p("窓口は十一時に開きます。")), "埋め込んだ"),
    R("式だけ.xlsx", sheet('<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>窓口</t></is></c><c r="B1"><f>WEBSERVICE("http://127.0.0.1:{port}/")</f></c></row></sheetData>'), "数式"),
    R("番号なし.md", "# \n\n―――\n\n…\n".encode(), "見つかりません"),
]  # fmt: skip

HARMLESS = [
    R("幅十億.html", "<html><table><tr><td colspan=1000000000 rowspan=1000000000>窓口<td>一階<tr><td>二階</table>".encode(), "窓口"),
    R("幅十億.docx", body('<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="1000000000"/></w:tcPr>' + p("窓口") + "</w:tc><w:tc>" + p("一階") + "</w:tc></w:tr><w:tr><w:tc>" + p("二階") + "</w:tc></w:tr></w:tbl>"), "窓口"),
    R("広さの嘘.xlsx", sheet('<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>窓口は一つです。</t></is></c></row><row r="1048576"><c r="A1048576" t="inlineStr"><is><t>底</t></is></c></row></sheetData>'), "窓口は一つ"),
    R("よじ登る.docx", zipped({**parts(word("窓口は登りません。")), "../../../etc/cron.d/a.xml": b"<a/>", "/etc/passwd.xml": b"<a/>", "C:\\a.xml": b"<a/>"}), "登りません"),
    R("抱えた束.docx", zipped({**parts(word("窓口は束を抱えます。")), "word/media/a.zip": zipped({"a": bytes(10**6)})}), "束を抱えます"),
    R("外の部品.docx", zipped({**parts(word("窓口は外を見ません。")), "word/_rels/document.xml.rels": parts(WORD)["word/_rels/document.xml.rels"].replace(b"</Relationships>", b'<Relationship Id="rId77" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" Target="http://127.0.0.1:{port}/a.png" TargetMode="External"/><Relationship Id="rId78" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate" Target="file:///etc/passwd" TargetMode="External"/></Relationships>')}), "外を見ません"),
    R("外の部品.html", '<!doctype html><base href="http://127.0.0.1:{port}/"><link rel=stylesheet href=a.css><script src=http://127.0.0.1:{port}/a.js></script><meta http-equiv=refresh content="0;url=http://127.0.0.1:{port}/"><p>窓口は外を呼びません。<img src=http://127.0.0.1:{port}/a.png><iframe src=file:///etc/passwd></iframe>'.encode(), "外を呼びません"),
    R("外の字.html", (external(ADDRESS) + "<html><p>窓口は外の字を読みません。&x;").encode(), "外の字を読みません"),
    R("笑い.html", (laughs() + "<html><p>窓口は笑いません。&a8;").encode(), "笑いません"),
    R("外へ行く.pdf", raw_pdf(b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /URI /URI (http://127.0.0.1:{port}/) >> /AA << /O << /S /JavaScript /JS (app.launchURL\\('http://127.0.0.1:{port}/'\\)) >> >> >>", TREE, PAGE, stream(b"BT /F1 12 Tf 72 700 Td (The desk calls nobody at all.) Tj ET"), HELVETICA), "calls nobody"),
    R("長さの嘘.pdf", raw_pdf(CATALOG, TREE, PAGE, b"<< /Length 999999999 >>\nstream\nBT /F1 12 Tf 72 700 Td (The desk is longer than it is.) Tj ET\nendstream", HELVETICA), "longer than"),
    R("表が回る.pdf", PDF[: PDF.rindex(b"startxref")].replace(b"/Size", b"/Prev 9 /Size") + b"startxref\n9\n%%EOF", "The desk of the village"),
    R("括弧.md", ("窓口\n\n" + "[" * 50_000 + "{" * 50_000 + "\n").encode(), "窓口"),
    R(f"{'あ' * 83}ab.txt", "窓口の名は長いです。\n".encode(), "名は長い"),
    R("行の\n折れ\r\tた名.txt", "窓口の名は折れます。\n".encode(), "名は折れ"),
    R("絵😀🏢文字.txt", "窓口の名は絵です。\n".encode(), "名は絵"),
    R("\u202e向き\u200f.txt", "窓口の名は逆です。\n".encode(), "名は逆"),
    R(";rm -rf $(x) `y` '\"<b>&.txt", "窓口の名は命令です。\n".encode(), "名は命令"),
    R(os.fsdecode(b"\xff\xfe.txt"), "窓口の名は読めません。\n".encode(), "名は読めません"),
    R(os.fsdecode(b"\xff\xfd.txt"), "窓口の名も読めません。\n".encode(), "名も読めません"),
]  # fmt: skip

QUESTIONS = {
    "住民票の手数料はいくらですか": ("手引き.md", "三百円"),
    "試験放送はいつですか": ("通知.txt", "正午"),
    "お試し住宅の家賃はいくらですか": ("案内.html", "二万五千円"),
}

# ---------------------------------------------------------------- the build

SCRIPT = """
import json, re, resource, sys
from pathlib import Path
from conftest import FakeEncoder
from index import build as building
from index.store import load_current
from qa.answer import ask

documents, root = map(Path, sys.argv[1:3])
asked = []
read_documents = building.read_documents

def noted(folder, paths, *others):
    asked.extend(paths)
    return read_documents(folder, paths, *others)

def spoil(stage, done, total):
    if stage == "reading" and total and done == 0:
        (documents / "消える.html").unlink(missing_ok=True)
        (documents / "変わる.html").write_text("<html><p>変わった窓口です。", encoding="utf-8")

building.read_documents = noted
report = building.build(documents, root, FakeEncoder(), progress=spoil if sys.argv[3] == "first" else None)
index = load_current(root)
# Not RUSAGE_SELF: its maximum outlives exec(), so it would tell the size of the test run that started this program.
own = int(re.search(r"VmHWM:[^0-9]*([0-9]+) kB", Path("/proc/self/status").read_text())[1])
replies = {}
for question in sys.argv[4:]:
    replies[question] = [(c.path, c.text) for c in ask(index, FakeEncoder(), question).citations]
print(json.dumps({
    "errors": report.errors, "warnings": report.warnings, "version": report.version, "asked": asked,
    "texts": {d.path: d.text for d in index.documents.values()}, "replies": replies,
    "unchanged": report.unchanged, "documents": report.documents,
    "resident": max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024,
}))
"""


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@dataclass
class Built:
    documents: Path
    root: Path
    first: dict[str, Any]
    second: dict[str, Any]
    seconds: float
    stderr: str
    connections: int
    left: list[str]


def built_in_child(documents: Path, root: Path, mode: str) -> tuple[dict[str, Any], str, list[str]]:
    """What the script printed, what stood on standard error, and the processes that it left behind."""
    mark = f"DXQA_TEST_{os.getpid()}_{mode}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(documents), str(root), mode, *QUESTIONS],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        preexec_fn=limited,
        env={**os.environ, "PYTHONPATH": f"{HOME}{os.pathsep}{HOME / 'tests'}", "DXQA_MARK": mark},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), done.stderr, list(processes(mark).values())


def processes(mark: str) -> dict[int, str]:
    """The command lines of running processes with a mark in their environment, by their ids; this one is left out."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        try:
            if (
                mark.encode() in (folder / "environ").read_bytes()
                and b"State:\tZ" not in (folder / "status").read_bytes()
            ):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, listening: socket.socket) -> Built:
    folder = tmp_path_factory.mktemp("bad")
    documents, root = folder / "documents", folder / "index"
    documents.mkdir()
    for name, words in GOOD.items():
        (documents / name).write_text(words, encoding="utf-8")
    port = listening.getsockname()[1]
    for bad in (*REFUSED, *FLAGGED, *HARMLESS):
        (documents / bad.path).write_bytes(bad.bytes(port))
    os.truncate(documents / "巨大.txt", 50 * 2**20 + 1)
    (documents / "長い行き先.txt").unlink()
    (documents / "長い行き先.txt").symlink_to("a" * 300)
    no_documents(documents, folder)
    started = time.monotonic()
    first, stderr, left = built_in_child(documents, root, "first")
    seconds = time.monotonic() - started
    second, more, still = built_in_child(documents, root, "second")
    connections = 0
    try:
        while True:
            listening.accept()[0].close()
            connections += 1
    except BlockingIOError:
        pass
    return Built(documents, root, first, second, seconds, stderr + more, connections, left + still)


def no_documents(documents: Path, outside: Path) -> None:
    """What has the name of a document and is no regular file of the folder."""
    (documents / "フォルダー.pdf").mkdir()
    os.mkfifo(documents / "管.txt")
    (documents / "装置.txt").symlink_to("/dev/zero")
    (documents / "行き先なし.pdf").symlink_to(documents / "ない.pdf")
    (documents / "輪1.txt").symlink_to(documents / "輪2.txt")
    (documents / "輪2.txt").symlink_to(documents / "輪1.txt")
    (outside / "外.txt").write_text("外の秘密です。", encoding="utf-8")
    (documents / "外へ.txt").symlink_to(outside / "外.txt")
    (documents / "上へ").symlink_to(outside)
    (documents / ".隠れた.txt").write_text("隠れた秘密です。", encoding="utf-8")
    (documents / "~$開いた.docx").write_bytes(b"\x05lock")


NO_DOCUMENTS = {
    "フォルダー.pdf", "管.txt", "装置.txt", "行き先なし.pdf", "輪1.txt", "輪2.txt", "外へ.txt", ".隠れた.txt", "~$開いた.docx",
}  # fmt: skip


def shown(path: str) -> str:
    """A path as the report names it."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


# ---------------------------------------------------------------- what must hold


def test_there_are_enough_of_them() -> None:
    paths = [bad.path for bad in (*REFUSED, *FLAGGED, *HARMLESS)]
    assert len(paths) == len(set(paths))
    assert len(REFUSED) >= 100
    assert len(FLAGGED) >= 20


def test_each_bad_file_is_named_with_what_is_wrong_and_what_to_do(built: Built) -> None:
    messages = dict(map(tuple, built.first["errors"]))
    wrong = {
        bad.path: messages.get(bad.path, "is not named")
        for bad in REFUSED
        if not re.search(bad.words, messages.get(bad.path, ""))
        or not re.search("[ぁ-ん].*(?:ください|できます)。$", messages[bad.path])
        or re.search(
            "問題が起きました|プログラムが止まりました", messages[bad.path]
        )  # nobody had thought of it
    }
    assert wrong == {}


def test_each_doubtful_file_is_read_and_flagged(built: Built) -> None:
    wrong = {}
    for bad in FLAGGED:
        warnings = [message for path, message in built.first["warnings"] if path == bad.path]
        if not any(re.search(bad.words, message) and message.endswith("。") for message in warnings):
            wrong[bad.path] = warnings or dict(map(tuple, built.first["errors"])).get(bad.path)
    assert wrong == {}


def test_each_file_that_only_looks_dangerous_is_read(built: Built) -> None:
    wrong = {}
    for bad in HARMLESS:
        text = built.first["texts"].get(shown(bad.path), "")
        if bad.words not in text or "root:" in text or text.count("ha") > 1000:
            wrong[bad.path] = text[:100] or dict(map(tuple, built.first["errors"])).get(shown(bad.path))
    assert wrong == {}


def test_nothing_else_is_wrong(built: Built) -> None:
    assert {path for path, _ in built.first["errors"]} == {bad.path for bad in REFUSED}
    expected = {bad.path for bad in (*FLAGGED, *HARMLESS)} | GOOD.keys()
    assert built.first["texts"].keys() == set(map(shown, expected))


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_good_files_answer(built: Built, question: str) -> None:
    path, words = QUESTIONS[question]
    assert any(found == path and words in text for found, text in built.first["replies"][question])


def test_what_is_no_file_of_the_folder_is_no_document(built: Built) -> None:
    named = {path for path, _ in built.first["errors"]} | built.first["texts"].keys()
    assert not named & NO_DOCUMENTS
    assert not any("秘密です" in text for text in built.first["texts"].values())
    names = {path.name for path in built.documents.iterdir()}
    assert names >= NO_DOCUMENTS


def test_the_build_is_bounded_and_leaves_nothing(built: Built) -> None:
    assert built.stderr == ""
    assert built.left == []
    assert built.connections == 0
    assert built.seconds < SECONDS
    assert built.first["resident"] < RESIDENT


def test_a_second_build_reads_no_bad_file_again(built: Built) -> None:
    # only what was bad for the moment is looked at again: one is gone, one has its new words
    assert built.second["asked"] == ["変わる.html"]
    first, second = (dict(map(tuple, build["errors"])) for build in (built.first, built.second))
    assert second == {
        path: message for path, message in first.items() if path not in {"消える.html", "変わる.html"}
    }
    assert built.second["texts"] == {**built.first["texts"], "変わる.html": "変わった窓口です。\n"}
    assert built.second["unchanged"] == built.first["documents"]


def test_a_file_that_takes_too_long_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"DXQA_TEST_{os.getpid()}_slow"
    monkeypatch.setenv("DXQA_MARK", mark)
    # the process that reads a PDF sleeps before it begins
    slow = "import sys, time\nif 'corpus.readers.pdf_process' in sys.orig_argv:\n    time.sleep(60)\n"
    (tmp_path / "sitecustomize.py").write_text(slow)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "遅い.pdf").write_bytes(PDF)
    answers: list[dict[str, object]] = []

    def ask() -> None:
        with ReaderProcess(timeout_s=5) as process:
            answers.append(process.ask("遅い.pdf", tmp_path / "遅い.pdf", 300))

    asking = threading.Thread(target=ask)
    asking.start()
    begun = False
    while asking.is_alive():
        begun = begun or any("pdf_process" in command for command in processes(mark).values())
        time.sleep(0.05)
    assert begun
    assert "時間がかかりすぎる" in str(answers[0]["message"])
    deadline = time.monotonic() + 5
    while processes(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes(mark) == {}


def test_a_file_without_permission_is_named_and_its_document_stays() -> None:
    # as root nothing is forbidden: another user looks
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("閉じた.txt", "開いた.txt"):
            (folder / file).write_text(TEXT, encoding="utf-8")
        (folder / "閉じた.txt").chmod(0)
        for shut, mode in (("見えるだけ", 0o744), ("閉じた棚", 0o700)):
            (folder / shut).mkdir()
            (folder / shut / "中.txt").write_text(TEXT, encoding="utf-8")
            (folder / shut).chmod(mode if os.getuid() == 0 else mode & 0o477)
        try:
            if os.getuid() == 0:
                os.seteuid(65534)
            plan = make_plan(folder, None, {})
            found = [file.name for file in find_files(folder)]
        finally:
            os.seteuid(os.getuid())
            for shut in ("見えるだけ", "閉じた棚"):
                (folder / shut).chmod(0o755)
    assert sorted(found) == ["中.txt", "閉じた.txt", "開いた.txt"]
    assert [problem.path for problem in plan.problems] == ["見えるだけ/中.txt", "閉じた.txt", "閉じた棚/"]
    assert all(problem.passing and "開けません" in problem.message for problem in plan.problems)
    assert [item.paths for item in plan.items] == [("開いた.txt",)]
