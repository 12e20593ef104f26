"""Zip packages of Office (DOCX, PPTX, XLSX): whether one may be opened, before any library parses it.

In: the bytes of a file and the kind it should be. Out: a copy of the package that holds its XML parts only, each read
and checked, for a library to open; or a ReadError that says what the file is instead. Knows nothing about what the parts say.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Collection
from io import BytesIO
from typing import Literal

from lxml import etree

from corpus.readers.source import ReadError

Kind = Literal["docx", "pptx", "xlsx"]

MAX_ENTRIES = 20_000
"""Most files in a package: a deck of 500 slides has about 5,000."""
MAX_XML_BYTES = 256 * 1024 * 1024
"""Most bytes of XML in a package, unpacked: a table of 100,000 rows in Word takes about 100 MB."""
MAX_NODES = 16_000_000
"""Most elements and attributes (counted by their signs, so about half as many elements) of the parts that are held as trees,
at about 100 bytes each: 1 to 2 GB at worst."""
MAX_FOLD = 200
"""How many times smaller a part that is read as a stream may be packed; sheets reach 30, a bomb 1,000."""
FOLD_FROM = 32 * 1024 * 1024

# a format of numbers that is longer than any (255 characters), which a library would look through again and again
_LONG_CODE = re.compile(rb"(?<=formatCode=)(?:\"[^\"<]{2000,}+\"|'[^'<]{2000,}+')")

_NAMES: dict[Kind, tuple[str, str, str]] = {
    "docx": ("Word", "Word 文書（.docx）", "wordprocessingml"),
    "pptx": ("PowerPoint", "PowerPoint プレゼンテーション（.pptx）", "presentationml"),
    "xlsx": ("Excel", "Excel ブック（.xlsx）", "spreadsheetml"),
}
_FOLDERS = ("word/", "ppt/", "xl/")
# content types of the part that holds what the library reads; a workbook's macros and those of its template are left out
_MAIN: dict[Kind, tuple[str, ...]] = {
    "docx": ("wordprocessingml.document.main",),
    "pptx": ("presentationml.presentation.main",),
    "xlsx": ("spreadsheetml.sheet.main", "spreadsheetml.template.main", "ms-excel.sheet.macroEnabled.main"),
}
# parts that a package may lack, with what stands in them where that is read: without one the rest is as good as before
_OWN_PARTS = {
    "footnotes": "脚注",
    "endnotes": "文末脚注",
    "numbering": "段落番号",
    "styles": "スタイル",
    "chart": "グラフ",
    "diagramData": "SmartArt",
    "notesSlide": "ノート",
    "settings": "",
    "extended-properties": "",
    "core-properties": "",
}


def open_package(data: bytes, kind: Kind, lost: list[str] | None = None) -> BytesIO:
    """A copy of a package with its XML parts stored as they are and everything else (pictures, fonts, macros) empty.

    Relations to parts that are not in the package are left out, since a library would refuse all of it; `lost` gets a warning for
    what should stand in them.

    Raises ReadError for what is not a package of this kind, is damaged, is protected by a password, or is too large.
    """
    application, name, _ = _NAMES[kind]
    if not data.startswith(b"PK"):
        raise ReadError(
            f"{name}ではありません（拡張子が違うか、壊れています）。{application}で開けるか確かめ、{name}として保存し直してください。"
        )
    if data.count(b"PK\x01\x02") > MAX_ENTRIES:
        raise ReadError(
            f"中のファイルが多すぎます（{MAX_ENTRIES:,}個まで）。資料を分けて保存し直してください。"
        )
    damaged = f"ファイルが壊れているか、途中で切れています。{application}で開けるか確かめ、{name}として保存し直してください。"
    copy = BytesIO()
    try:
        with zipfile.ZipFile(BytesIO(data)) as package, zipfile.ZipFile(copy, "w") as slim:
            entries = {entry.filename: entry for entry in package.infolist()}
            if any(entry.flag_bits & 1 for entry in entries.values()):
                raise ReadError(_protected(application))
            texts = [entry for entry in entries.values() if _is_xml(entry.filename)]
            _check_sizes(texts)
            _check_kind(package, entries, kind)
            nodes = 0
            gone: set[str] = set()
            for entry in entries.values():
                part = package.read(entry) if _is_xml(entry.filename) else b""
                if not _is_streamed(entry.filename):
                    part = _LONG_CODE.sub(b'"General"', part)
                    nodes += part.count(b"<") + part.count(b"=")
                if nodes > MAX_NODES:
                    raise ReadError("内容が多すぎて読めません。資料を分けて保存し直してください。")
                # Office writes no document type; entities that multiply need one.
                if b"<!DOCTYPE" in part or "<!DOCTYPE".encode("utf-16-le") in part:
                    raise ReadError(
                        f"{application}が作らない記述（DOCTYPE）が含まれています。安全のため読みません。{application}で保存し直してください。"
                    )
                if entry.filename.endswith(".rels"):
                    part = _without_lost(entry.filename, part, entries, gone)
                slim.writestr(zipfile.ZipInfo(entry.filename), part)
    # the zip module raises these and others for broken directories, sizes, names and unknown methods
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(damaged) from error
    if lost is not None and gone:
        lost.append(
            f"ファイルの一部（{'、'.join(sorted(gone))}）が見つからず、その部分は読めていません。{application}で開いて保存し直してください。"
        )
    copy.seek(0)
    return copy


def broken(kind: Kind) -> ReadError:
    """The error for a package whose zip is whole and whose parts are not what they should be."""
    application, name, _ = _NAMES[kind]
    return ReadError(
        f"ファイルの中身が壊れています。{application}で開けるか確かめ、{name}として保存し直してください。"
    )


def _without_lost(name: str, part: bytes, entries: Collection[str], gone: set[str]) -> bytes:
    """Relations without those to parts that are not there; `gone` gets what should stand in them."""
    try:
        relations = etree.fromstring(part)
    except etree.XMLSyntaxError:
        return part
    folder = posixpath.dirname(posixpath.dirname(name))
    dangling = []
    for relation in relations:
        what = relation.get("Type", "").rpartition("/")[2]
        if relation.get("TargetMode") == "External":
            if what in _OWN_PARTS:
                dangling.append((relation, what))
        elif posixpath.normpath(posixpath.join("/", folder, relation.get("Target", "")))[1:] not in entries:
            dangling.append((relation, what))
    for relation, what in dangling:
        relations.remove(relation)
        gone.update(filter(None, [_OWN_PARTS.get(what)]))
    return etree.tostring(relations) if dangling else part


def _is_xml(name: str) -> bool:
    return name.lower().endswith((".xml", ".rels"))


def _is_streamed(name: str) -> bool:
    """Whether a part is a sheet, which is read row by row."""
    return name.lstrip("/").startswith("xl/worksheets/")


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    """Refuses a zip bomb by what it declares; the zip module gives no more than is declared."""
    total = sum(entry.file_size for entry in entries)
    folded = any(
        entry.file_size > max(FOLD_FROM, MAX_FOLD * entry.compress_size) and _is_streamed(entry.filename)
        for entry in entries
    )
    if total > MAX_XML_BYTES or folded:
        raise ReadError(
            f"展開すると大きすぎます（{total / 2**20:,.0f}MB、上限は{MAX_XML_BYTES // 2**20}MB）。資料を分けて保存し直してください。"
        )


def _check_kind(package: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], kind: Kind) -> None:
    application, name, own = _NAMES[kind]
    if "[Content_Types].xml" not in entries and any(name.startswith(_FOLDERS) for name in entries):
        raise broken(kind)
    if "[Content_Types].xml" not in entries:
        what = "OpenDocument（LibreOffice など）" if "mimetype" in entries else "ZIP"
        raise ReadError(
            f"{name}ではなく、{what}のファイルです。正しい拡張子に直すか、{name}として保存し直してください。"
        )
    if "_rels/.rels" in entries and b"purl.oclc.org/ooxml" in package.read("_rels/.rels"):
        raise ReadError(
            f"「完全（Strict）Open XML」形式は読めません。{application}の「名前を付けて保存」で、ふつうの{name}として保存し直してください。"
        )
    if "xl/workbook.bin" in entries:
        raise ReadError(
            "バイナリ形式のExcel（.xlsb）です。Excelで開き、「Excelブック（.xlsx）」で保存し直してください。"
        )
    types = package.read("[Content_Types].xml").decode("utf-8", errors="replace")
    if any(main in types for main in _MAIN[kind]):
        return
    for other, (_, what, family) in _NAMES.items():
        if other != kind and f"{family}." in types and f"{own}." not in types:
            raise ReadError(
                f"{name}ではなく、{what}のファイルです。正しい拡張子（.{other}）に直してください。"
            )
    if "main+xml" not in types:
        raise broken(kind)
    raise ReadError(
        f"{name}の本文が見つかりません（テンプレート・マクロ有効・スライドショーの形式かもしれません）。{application}の「名前を付けて保存」で、{name}として保存し直してください。"
    )


def _protected(application: str) -> str:
    return (
        f"パスワードで保護されています。{application}で開き、「ファイル」→「情報」→「保護」→「パスワードを使用して暗号化」でパスワードを"
        "空にして、保存し直してください。"
    )
