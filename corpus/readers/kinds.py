"""What kind of file some bytes are, whatever the file is called.

In: a file's bytes, or its name with them. Out: the kind, and sentences for people where name and content disagree or no
reader exists. Texts have no signature: which kind of text a file is, only its name says.
"""

from __future__ import annotations

from pathlib import PurePath

# the kind that a suffix promises; texts of every kind are None
KIND_OF_SUFFIX: dict[str, str | None] = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".html": "html",
    ".htm": "html",
    ".txt": None,
    ".text": None,
    ".md": None,
    ".markdown": None,
    ".csv": None,
    ".tsv": None,
}
NAMES: dict[str, str] = {
    "pdf": "PDF",
    "docx": "Word文書（.docx）",
    "pptx": "PowerPoint（.pptx）",
    "xlsx": "Excelブック（.xlsx）",
    "html": "HTML",
    "doc": "古い形式のWord文書（.doc）",
    "xls": "古い形式のExcelブック（.xls）",
    "ppt": "古い形式のPowerPoint（.ppt）",
    "locked": "パスワード付きのOffice文書",
    "ole": "古い形式のWord・Excel・PowerPointなど",
    "odf": "OpenDocument（.odt・.ods・.odp）",
    "zip": "ZIP",
    "rtf": "リッチテキスト（RTF）",
    "png": "PNG画像",
    "jpeg": "JPEG画像",
    "gif": "GIF画像",
    "tiff": "TIFF画像",
    "mp4": "動画・音声（MP4）",
    "font": "フォント",
    "gzip": "gzip",
    "7z": "7-Zip",
    "rar": "RAR",
    "sqlite": "データベース（SQLite）",
    "program": "プログラム",
}
OLD: dict[str, tuple[str, str]] = {
    ".doc": ("Word", ".docx"),
    ".dot": ("Word", ".docx"),
    ".xls": ("Excel", ".xlsx"),
    ".ppt": ("PowerPoint", ".pptx"),
    ".pps": ("PowerPoint", ".pptx"),
}
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "pdf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"{\\rtf", "rtf"),
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x00\x01\x00\x00\x00", "font"),
    (b"OTTO\x00", "font"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"\x7fELF", "program"),
)
# names of parts, which stand in a package uncompressed
_PACKAGES: tuple[tuple[bytes, str], ...] = (
    (b"word/document", "docx"),
    (b"ppt/presentation", "pptx"),
    (b"xl/workbook", "xlsx"),
    (b"mimetypeapplication/vnd.oasis.opendocument", "odf"),
)
# names of streams in an OLE container's directory, which are UTF-16
_STREAMS: tuple[tuple[bytes, str], ...] = tuple(
    (name.encode("utf-16-le"), kind)
    for name, kind in (
        ("EncryptedPackage", "locked"),
        ("WordDocument", "doc"),
        ("PowerPoint Document", "ppt"),
        ("Workbook", "xls"),
    )
)
_PICTURES = frozenset({"png", "jpeg", "gif", "tiff"})


def kind_of(data: bytes) -> str | None:
    """The kind by content, a key of NAMES; None for what may be a text."""
    kind = next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), None)
    if kind == "zip":
        return next((kind for part, kind in _PACKAGES if part in data), "zip")
    if kind == "ole":
        return next((kind for stream, kind in _STREAMS if stream in data), "ole")
    if kind is None and data[4:8] == b"ftyp" and data.startswith(b"\x00"):
        return "mp4"
    if kind is None and data.startswith(b"MZ") and b"PE\x00\x00" in data[:1024]:
        return "program"
    if kind is not None:
        return kind
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith(b"%pdf-"):
        return "pdf"
    return "html" if head.startswith((b"<!doctype html", b"<html")) else None


def mismatch(name: str, data: bytes) -> str | None:
    """A sentence where the content is of another kind than the name's suffix says, None where it fits."""
    suffix = PurePath(name).suffix.lower()
    found, promised = kind_of(data), KIND_OF_SUFFIX.get(suffix)
    if suffix not in KIND_OF_SUFFIX or found == promised or (found is None and promised == "html"):
        return None
    if found is not None and found not in KIND_OF_SUFFIX.values():
        return unreadable(found, suffix, tuple(KIND_OF_SUFFIX))
    what = "テキストなど別の形式" if found is None else NAMES[found]
    return f"拡張子は「{suffix}」ですが、中身は{what}です。正しい拡張子に直すか、保存し直してください。"


def unreadable(kind: str, suffix: str, known: tuple[str, ...]) -> str:
    """A sentence for content that no reader has, in a file of this suffix; `known` are the suffixes that can be read."""
    if kind == "locked":
        return (
            f"パスワードで保護されています。{_APPLICATIONS.get(KIND_OF_SUFFIX.get(suffix) or '', 'Office')}で開き、"
            "「ファイル」→「情報」→「保護」→「パスワードを使用して暗号化」でパスワードを空にして、保存し直してください。"
        )
    if f".{kind}" in OLD:
        return f"{NAMES[kind]}です。{_convert(f'.{kind}')}"
    if kind == "ole" and suffix in OLD:
        return unreadable_suffix(suffix, known)
    what = (
        f"拡張子は「{suffix}」ですが、中身は{NAMES[kind]}です。"
        if suffix in known
        else f"{NAMES[kind]}のファイルです。"
    )
    if kind in _PICTURES:
        return f"{what}画像の文字は読めません。文字認識（OCR）をしたPDFなどにしてください。"
    if kind in {"zip", "7z", "rar", "gzip"}:
        return f"{what}中のファイルを取り出して置いてください。"
    return f"{what}{'・'.join(known)} のいずれかで保存し直してください。"


def unreadable_suffix(suffix: str, known: tuple[str, ...]) -> str:
    """A sentence for a suffix that no reader has; `known` are those that have one."""
    if suffix in OLD:
        return f"古い形式（{suffix}）は読めません。{_convert(suffix)}"
    return (
        f"形式「{suffix or '拡張子なし'}」は読めません。{'・'.join(known)} のいずれかで保存し直してください。"
    )


_APPLICATIONS = {"docx": "Word", "pptx": "PowerPoint", "xlsx": "Excel"}


def _convert(suffix: str) -> str:
    application, new = OLD[suffix]
    return f"{application}で開き、「名前を付けて保存」で「{new}」を選んで保存し直してください。"
