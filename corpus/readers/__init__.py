"""Readers: from the bytes of one file to its canonical text, one module a format.

`read` chooses the module by what the file holds, and among the kinds of text by the file's suffix. A reader returns a
`Source` and raises `ReadError`, whose message is a Japanese sentence for people that says what is wrong with the file
and what to do.
"""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from pathlib import PurePath

from corpus.readers.kinds import KIND_OF_SUFFIX, NAMES, kind_of, unreadable, unreadable_suffix
from corpus.readers.source import ReadError, Source

__all__ = ["LIBRARIES", "SUFFIXES", "ReadError", "Source", "read"]

# by name, so that a library is loaded only where a file needs it
_READERS: dict[str, str] = {
    ".txt": "plain_text",
    ".text": "plain_text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".tsv": "csv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
LIBRARIES: tuple[str, ...] = ("pypdfium2", "python-docx", "python-pptx", "lxml", "openpyxl")
"""The packages whose version decides what is read from a file."""
SUFFIXES: tuple[str, ...] = tuple(_READERS)
_HALF = re.compile("[\ud800-\udfff]")
# signs that are not seen and turn the words after them round: what is shown is not what is searched and cited
_TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TURNS = "文字の向きを変える見えない文字があります。見た目と並びが違うことがあるので、元のファイルを確かめてください。"


def read(path: str, data: bytes) -> Source:
    """The canonical text of a file's bytes; its content gives the format, among texts its suffix does.

    A file that is called another than it is gets a warning.
    """
    suffix, warnings = suffix_of(path, data)
    source: Source = import_module(f"corpus.readers.{_READERS[suffix]}").read(data)
    if _TURNED.search(source.text):
        warnings = (*warnings, _TURNS)
    return _whole(replace(source, warnings=(*warnings, *source.warnings)))


def suffix_of(path: str, data: bytes) -> tuple[str, tuple[str, ...]]:
    """The suffix whose reader will read a file, and warnings; ReadError where none will. Nothing is read yet."""
    if not data:
        raise ReadError("ファイルが空です（0バイト）。内容のあるファイルに置き換えてください。")
    suffix = PurePath(path).suffix.lower()
    kind = kind_of(data)
    if f".{kind}" in _READERS and KIND_OF_SUFFIX.get(suffix, "") != kind:
        note = f"拡張子は「{suffix or 'なし'}」ですが、中身の{NAMES[kind or '']}として読みました。拡張子を直してください。"
        return f".{kind}", (note,)
    if kind is not None and f".{kind}" not in _READERS and not _may_be_damaged(kind, suffix):
        raise ReadError(unreadable(kind, suffix, SUFFIXES))
    if suffix not in _READERS:
        raise ReadError(unreadable_suffix(suffix, SUFFIXES))
    return suffix, ()


def _whole(source: Source) -> Source:
    """A source with a sign for each half of a character (a surrogate), which could be written nowhere."""
    if _HALF.search(source.text):
        source = replace(source, text=_HALF.sub("\ufffd", source.text))
    return replace(
        source,
        title=source.title and _HALF.sub("\ufffd", source.title),
        pages=tuple(replace(page, label=_HALF.sub("\ufffd", page.label)) for page in source.pages),
        marks=tuple(replace(mark, title=_HALF.sub("\ufffd", mark.title)) for mark in source.marks),
    )


def _may_be_damaged(kind: str, suffix: str) -> bool:
    """Whether a zip may be the Office file that it is called, with its parts lost: its reader says what is wrong."""
    return kind == "zip" and KIND_OF_SUFFIX.get(suffix) in {"docx", "pptx", "xlsx"}
