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
    "ole": "古い形式のOffice文書、またはパスワード付きのOffice文書",
    "zip": "ZIP",
    "rtf": "リッチテキスト（RTF）",
    "png": "PNG画像",
    "jpeg": "JPEG画像",
    "gif": "GIF画像",
    "gzip": "gzip",
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
    (b"{\\rtf", "rtf"),
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"\x1f\x8b", "gzip"),
)
_PACKAGES: tuple[tuple[bytes, str], ...] = (
    (b"word/document", "docx"),
    (b"ppt/presentation", "pptx"),
    (b"xl/workbook", "xlsx"),
)


def kind_of(data: bytes) -> str | None:
    """The kind by content, a key of NAMES; None for what may be a text."""
    if data.startswith(b"PK\x03\x04") or data.startswith(b"PK\x05\x06"):
        # the names of a package's parts stand in it uncompressed
        return next((kind for part, kind in _PACKAGES if part in data), "zip")
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
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
    what = "テキストなど別の形式" if found is None else NAMES[found]
    return f"拡張子は「{suffix}」ですが、中身は{what}です。正しい拡張子に直すか、保存し直してください。"


def unreadable_suffix(suffix: str, known: tuple[str, ...]) -> str:
    """A sentence for a suffix that no reader has; `known` are those that have one."""
    if suffix in OLD:
        application, new = OLD[suffix]
        return f"古い形式（{suffix}）は読めません。{application}で開き、「名前を付けて保存」で「{new}」を選んで保存し直してください。"
    return (
        f"形式「{suffix or '拡張子なし'}」は読めません。{'・'.join(known)} のいずれかで保存し直してください。"
    )
