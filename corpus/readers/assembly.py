"""Canonical text put together from the pieces that a format gives: headings, paragraphs, list items, rows of tables.

In: pieces in reading order. Out: a Source whose text has one blank line between blocks, with a mark for every heading and the
pages. Knows nothing about any format; which lines of a list stand together is decided here, alike for all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

from corpus.readers.source import ReadError, Source
from corpus.records import Mark, Page
from corpus.structure import BULLET
from corpus.text import letters

PAGE_BREAK = "\x0c"
"""Stands in the words of a piece where a new page begins; it is taken out of the text. XML and HTML cannot hold it."""
MAX_CHARS = 20_000_000
"""Longest canonical text, about 20,000 pages: what is longer is no document, or one cell repeated in a million rows."""
REPEATED_CHARS = 100
"""Longest text of a cell, merged over several rows, that is repeated in each of them, so that a row stands for itself."""

# separators that other parts of the program would take for line breaks, and characters that are not seen
_BREAKS = re.compile(r"\r\n?|[\x0b\x1c-\x1e\x85\u2028\u2029]")
_UNSEEN = re.compile(r"[\u200b\ufeff\u00ad\x00-\x08\x0e-\x1b\x1f]")
_NUMBER = re.compile(r"[0-9０-９]+")
_SPACE = re.compile(r"[^\S\x0c]+")
_EMPTY_LINE = re.compile(r"\n[^\S\x0c]*\n")
# the first sign of a number, by which the numbers of one list are alike
_SYSTEMS = (
    ("0", "[0-9０-９]"),
    ("①", "[①-⑳㉑-㉟]"),
    ("⑴", "[⑴-⒛]"),
    ("ア", "[ァ-ンｱ-ﾝ]"),
    ("a", "[a-zA-Z]"),
    ("一", "[一二三四五六七八九十百]"),
    ("甲", "[甲乙丙丁戊己庚辛壬癸]"),
    ("ⅰ", "[ⅰ-ⅿⅠ-Ⅻ]"),
)
_EDGE = " \t\u3000\xa0"


def one_line(words: str) -> str:
    """Words on one line: every run of white space is one space; an ideographic space in the words stays.

    >>> one_line(" 第1章\\n 目的 ")
    '第1章 目的'
    """
    return _SPACE.sub(lambda space: "\u3000" if set(space[0]) == {"\u3000"} else " ", words).strip(" \u3000")


def _lines(words: str) -> str:
    """Words without empty lines and without space at the ends of lines."""
    return "\n".join(line for part in _BREAKS.sub("\n", words).split("\n") if (line := part.strip(_EDGE)))


def row_text(cells: list[str]) -> str:
    """A row of a table.

    >>> row_text(["人口", "3.3万\\n人"])
    '| 人口 | 3.3万 人 |'
    """
    return "|" + "".join(f" {words} |" if (words := one_line(cell)) else " |" for cell in cells)


@dataclass(slots=True)
class _Piece:
    kind: str  # heading, paragraph, item, row, line
    text: str
    level: int = 0
    alone: bool = False  # the first row of a table, the first item of a list


@dataclass(slots=True)
class Assembly:
    """Collects the pieces of one document; `source` gives the text. Pieces without a word are left out."""

    _pieces: list[_Piece] = field(default_factory=list)
    _pages: list[tuple[int, int, str]] = field(default_factory=list)
    _size: int = 0
    _carried: str = ""

    def heading(self, words: str, level: int) -> None:
        """A heading of the format's own, on one line; `level` from 1 to 9."""
        self._add(_Piece("heading", one_line(words), level))

    def paragraph(self, words: str) -> None:
        """A paragraph; a line break in it stays one, an empty line in it begins another."""
        for part in _EMPTY_LINE.split(_BREAKS.sub("\n", words)):
            kind = "item" if BULLET.match(part.replace(PAGE_BREAK, "")) else "paragraph"
            self._add(_Piece(kind, _lines(part)))

    def block(self, words: str) -> None:
        """Lines that stand together, as in a box on a slide; an empty line begins another block."""
        for part in _EMPTY_LINE.split(_BREAKS.sub("\n", words)):
            self._add(_Piece("paragraph", _lines(part)))

    def item(self, words: str, *, first: bool = False) -> None:
        """An item of a list, its number or 「・」 included; `first` where the format says that a list begins."""
        self._add(_Piece("item", _lines(words), alone=first))

    def line(self, words: str) -> None:
        """A line that belongs to the piece before it and follows it without a blank line."""
        self._add(_Piece("line", one_line(words)))

    def table(self, rows: list[list[str]]) -> None:
        """The rows of a table; empty ones are left out."""
        first = True
        for cells in rows:
            if any(letters(cell) or cell.strip() for cell in cells):
                self._add(_Piece("row", row_text(cells), alone=first))
                first = False

    def page(self, number: int, label: str = "") -> None:
        """A page or slide begins here."""
        self._pages.append((len(self._pieces), number, label))

    def __len__(self) -> int:
        """How many pieces were added."""
        return len(self._pieces)

    def source(
        self,
        *,
        format: str,
        encoding: str = "utf-8",
        title: str | None = None,
        warnings: tuple[str, ...] = (),
        page_breaks: bool = False,
        advice: str = "",
    ) -> Source:
        """The text, its marks and its pages; page breaks inside words count where `page_breaks`.

        Raises ReadError, with `advice` on what to do, where no piece holds a letter.
        """
        if not any(letters(piece.text) for piece in self._pieces):
            raise ReadError(f"文字情報がありません。{advice}")
        joined = self._joined()
        parts: list[str] = []
        starts: list[int] = []
        marks: list[Mark] = []
        pages = [Page(0, 1)] if page_breaks else []
        at = 0
        for place, piece in enumerate(self._pieces):
            separator = "" if place == 0 else "\n" if joined[place] else "\n\n"
            at += len(separator)
            starts.append(at)
            pieces = piece.text.split(PAGE_BREAK)
            words = "".join(pieces)
            if page_breaks:
                offset = at
                for before in pieces[:-1]:
                    offset += len(before)
                    pages.append(Page(offset, len(pages) + 1))
            if piece.kind == "heading":
                marks.append(Mark("heading", at, at + len(words), level=min(9, max(1, piece.level))))
            parts += [separator, words]
            at += len(words)
        if page_breaks:
            pages += [Page(at, len(pages) + 1 + extra) for extra in range(len(self._carried))]
        pages += [Page((*starts, at)[place], number, label) for place, number, label in self._pages]
        return Source(
            text="".join(parts) + "\n",
            format=format,
            encoding=encoding,
            warnings=warnings,
            pages=tuple(pages),
            marks=tuple(marks),
            title=title or None,
        )

    def _add(self, piece: _Piece) -> None:
        piece.text = _UNSEEN.sub("", _BREAKS.sub("\n", piece.text)).replace("\xa0", " ")
        if not piece.text.replace(PAGE_BREAK, "").strip():
            # a page that begins in an empty paragraph begins with the next words
            self._carried += PAGE_BREAK * piece.text.count(PAGE_BREAK)
            return
        piece.text, self._carried = self._carried + piece.text, ""
        self._size += len(piece.text) + 2
        if self._size > MAX_CHARS:
            raise ReadError(
                f"文章が長すぎます（{MAX_CHARS // 10_000:,}万文字まで）。資料を分けて保存し直してください。"
            )
        if piece.kind == "line" and (not self._pieces or self._pieces[-1].kind == "heading"):
            piece.kind = "paragraph"
        self._pieces.append(piece)

    def _joined(self) -> list[bool]:
        """For each piece whether it follows the one before it without a blank line."""
        joined = [piece.kind == "line" or (piece.kind == "row" and not piece.alone) for piece in self._pieces]
        pages = {place for place, _, _ in self._pages}
        run: list[int] = []
        for place, piece in enumerate([*self._pieces, _Piece("paragraph", "")]):
            if piece.kind == "line":
                continue
            if piece.kind == "item" and not piece.alone and place not in pages:
                run.append(place)
                continue
            for one, other in pairwise(self._list(run)):
                joined[other] = one != other
            run = [place] if piece.kind == "item" else []
        return joined

    def _list(self, run: list[int]) -> list[int]:
        """The items of a run that are one list, without the numbers before it that head it.

        「1. 概要」「(1) 目的」 or 「1. 概要」「・一つ目」「・二つ目」: the first number stands over what follows.
        """
        kinds = [_mark_kind(self._pieces[place].text) for place in run]
        first = 0
        while first < len(run) and kinds[first][-1:] == "#" and kinds.count(kinds[first]) == 1:
            first += 1
        return run[first:]


def _mark_kind(text: str) -> str:
    """The kind of mark an item begins with; that of a numbered one ends in 「#」.

    >>> _mark_kind("(12) 目的"), _mark_kind("③ 方法"), _mark_kind("・一つ"), _mark_kind("ア 目的")
    ('(0)#', '①#', '・', 'ア#')
    """
    head = text.replace(PAGE_BREAK, "").lstrip()[:8]
    found = re.match(
        r"(?P<open>[（(〔\[第]?)\s*(?P<number>[0-9０-９]+(?:[.．-][0-9０-９]+)*|[①-⑳㉑-㉟⑴-⒛]|[ivxlcdm]{1,7}|[IVXLCDM]{1,7}|[a-zA-Z]{1,2}|[一二三四五六七八九十百]{1,4}|[ア-ンｱ-ﾝ甲乙丙丁戊己庚辛壬癸ⅰ-ⅿⅠ-Ⅻ])"
        r"(?P<close>[章節項条款]|[）)〕\].．、]|(?=[\s\u3000])|(?<=[①-⑳㉑-㉟⑴-⒛]))",
        head,
    )
    if not found:
        return head[:1]
    number = found["number"]
    system = next((sign for sign, pattern in _SYSTEMS if re.match(pattern, number)), number)
    depth = len(_NUMBER.findall(number)) if system == "0" else 1
    return f"{found['open']}{'.'.join([system] * max(1, depth))}{found['close']}#"
