"""Markdown (.md): the file as decoded is the canonical text; its marks are read as structure later."""

from __future__ import annotations

from corpus.readers import plain_text
from corpus.readers.source import Source


def read(data: bytes) -> Source:
    """The canonical text of a Markdown file's bytes; raises ReadError for what is not text, or too long."""
    return plain_text.read(data, "md")
