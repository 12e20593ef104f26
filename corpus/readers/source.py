"""What every reader gives back, and the one error that it raises."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.records import Mark, Page


class ReadError(ValueError):
    """A file that cannot be read; the message is a Japanese sentence for people."""


@dataclass(frozen=True, slots=True)
class Source:
    """The canonical text of one file, its format, the encoding it was read in, and what the format says of the text.

    Blocks (paragraphs, headings, lists, tables, records) stand apart by one blank line; list items and table rows follow
    one another without one. A list item begins with its number or with 「・」; a table row is `| a | b |`. `pages` and
    `marks` are in the order of the text, do not overlap, and are empty where the format says nothing. `title` is None
    where the text itself must say it.
    """

    text: str
    format: str
    encoding: str
    warnings: tuple[str, ...] = ()
    pages: tuple[Page, ...] = ()
    marks: tuple[Mark, ...] = ()
    title: str | None = None
