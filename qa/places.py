"""Where words of a document stand, as a person looks for them: page, slide or sheet, and lines.

In: an index and a span. Out: a place in words, and the address that opens it. Made once an index: a page of fifty fields asks
fifty times.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from corpus.records import Chunk
from index.store import Index
from qa.cite import passage_url, place_of


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a document: lines from 1, the place in words (「p.27・1203行目」) and the address that opens it."""

    document_id: str
    char_start: int
    char_end: int
    line_start: int
    line_end: int
    words: str
    url: str


class Places:
    """The places of one index."""

    def __init__(self, index: Index, lines: dict[str, list[int]]) -> None:
        """`lines` are where the lines of documents begin, by id; what is looked up is kept in it."""
        self._documents = index.documents
        self._index = index
        self._lines = lines

    def of(self, document_id: str, start: int, end: int) -> Place:
        """The place of a span. What no passage holds, such as a table of contents, is found by its lines."""
        lines = self._line_starts(document_id)
        first, last = bisect_right(lines, start), bisect_right(lines, max(start, end - 1))
        chunk = self._chunk_at(document_id, start)
        page = "" if chunk is None else place_of(self._documents[document_id].format, chunk)
        # a row of a sheet is found by its number in the file; the lines are those of the text that was read from it
        counted = "" if chunk is not None and chunk.row is not None else line_words(first, last)
        return Place(
            document_id,
            start,
            end,
            first,
            last,
            "・".join(part for part in (page, counted) if part),
            passage_url(document_id, start, end),
        )

    def _chunk_at(self, document_id: str, offset: int) -> Chunk | None:
        own = self._index.chunks_of_document(document_id)
        row = bisect_right(own, offset, key=lambda chunk: chunk.start) - 1
        chunk = own[row] if row >= 0 else None
        return chunk if chunk is not None and offset < chunk.end else None

    def _line_starts(self, document_id: str) -> list[int]:
        if document_id not in self._lines:
            text, starts, at = self._documents[document_id].text, [0], 0
            while (at := text.find("\n", at)) >= 0:
                at += 1
                starts.append(at)
            self._lines[document_id] = starts
        return self._lines[document_id]


_line_starts: WeakKeyDictionary[Index, dict[str, list[int]]] = WeakKeyDictionary()


def places(index: Index) -> Places:
    """The places of an index; the lines of a document are counted once."""
    return Places(index, _line_starts.setdefault(index, {}))


def line_words(first: int, last: int) -> str:
    """Lines in words.

    >>> line_words(3, 3), line_words(3, 5)
    ('3行目', '3～5行目')
    """
    return f"{first}行目" if first == last else f"{first}～{last}行目"
