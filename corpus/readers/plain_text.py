"""Plain text (.txt): the file as decoded is the canonical text."""

from __future__ import annotations

from corpus.readers.assembly import MAX_CHARS
from corpus.readers.decoding import decode
from corpus.readers.source import ReadError, Source


def read(data: bytes, format: str = "txt") -> Source:
    """The canonical text of a text file's bytes; raises ReadError for what is not text, or too long."""
    text, encoding = decode(data)
    if len(text) > MAX_CHARS:
        raise ReadError(
            f"文章が長すぎます（{MAX_CHARS // 10_000:,}万文字まで）。資料を分けて保存し直してください。"
        )
    return Source(text=text, format=format, encoding=encoding)
