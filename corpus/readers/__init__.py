"""Readers: from the bytes of one file to its canonical text, one module a format.

`read` chooses the module by the file's suffix. A reader returns a `Source` and raises `ReadError`, whose
message is a Japanese sentence for people that says what is wrong with the file and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from corpus.readers import csv, markdown, plain_text, xlsx
from corpus.readers.source import ReadError, Source

__all__ = ["SUFFIXES", "ReadError", "Source", "read"]

_READERS: dict[str, Callable[[bytes], Source]] = {
    ".txt": plain_text.read,
    ".text": plain_text.read,
    ".md": markdown.read,
    ".markdown": markdown.read,
    ".csv": csv.read,
    ".tsv": csv.read,
    ".xlsx": xlsx.read,
    ".xlsm": xlsx.read,
}
SUFFIXES: tuple[str, ...] = tuple(_READERS)


def read(path: str, data: bytes) -> Source:
    """The canonical text of a file's bytes; `path` gives the format by its suffix."""
    suffix = PurePath(path).suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None:
        raise ReadError(
            f"形式「{suffix or '拡張子なし'}」はまだ読めません。{'・'.join(SUFFIXES)} のいずれかで保存し直してください。"
        )
    if not data:
        raise ReadError("ファイルが空です（0バイト）。内容のあるファイルに置き換えてください。")
    return reader(data)
