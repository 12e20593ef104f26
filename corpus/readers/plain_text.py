"""Plain text (.txt): the file as decoded is the canonical text."""

from __future__ import annotations

from corpus.readers.decoding import decode
from corpus.readers.source import Source


def read(data: bytes) -> Source:
    """The canonical text of a text file's bytes; raises ReadError for what is not text."""
    text, encoding = decode(data)
    return Source(text=text, format="txt", encoding=encoding)
