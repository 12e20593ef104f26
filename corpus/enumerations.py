"""Enumerations: runs of items and rows of tables in a text, told by the marks at the beginning of their lines.

In: a text. Out: runs with the spans of their items, in order. Whoever quotes one item can tell whether more belong to it, and
which row heads the row it quotes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from corpus.text import letters

_MARK = re.compile(
    r"\s*(?:[-*+]\s+)?(?:"
    r"(?P<circled>[①-⑳㉑-㉟])|(?P<bracketed>[（(]\d{1,2}[)）])|(?P<number>\d{1,2})(?:[.．)）、](?!\d)|[\s\u3000])|"
    r"(?P<kana>[ア-ン])[.．)）\s\u3000]|(?P<sign>[・○●◎■◆□◇▪➤►▶➢※☆★✓‣•–]))"
    r"|\s*(?P<dash>[-*+])\s"
)


@dataclass(frozen=True, slots=True)
class Run:
    """Items of one list, or the rows of one table, that stand together.

    `items` are (start, end) in the text, without the space around them; a table's first row, its head, is one of them.
    """

    items: tuple[tuple[int, int], ...]
    table: bool

    @property
    def start(self) -> int:
        """Where the first item begins."""
        return self.items[0][0]

    @property
    def end(self) -> int:
        """Where the last item ends."""
        return self.items[-1][1]

    @property
    def head(self) -> tuple[int, int] | None:
        """The first row of a table, which names its columns."""
        return self.items[0] if self.table else None

    def __len__(self) -> int:
        """How many things are listed: the head of a table is none of them."""
        return len(self.items) - self.table


def runs(text: str) -> list[Run]:
    """The runs of two things or more, in the order of their first lines.

    Lines with another mark between two items belong to the first of them (a list inside a list, which is a run of its own too);
    so does a line without a mark that follows without an empty line. After the last item neither is taken.

    >>> [len(run) for run in runs("決まり\\n1 早く\\n2 安く\\n\\n名|数\\n|甲|1|\\n|乙|2|\\n|丙|3|")]
    [2, 2]
    """
    lines = list(_lines(text))
    found: list[Run] = []
    taken: set[int] = set()
    for first, line in enumerate(lines):
        if first in taken or line.kind is None:
            continue
        members = _members(lines, first)
        taken.update(members)
        starts = [*members, members[-1] + 1]
        items = tuple(
            _trimmed(text, lines[this].start, lines[after - 1].end)
            for this, after in itertools.pairwise(starts)
        )
        run = Run(items, line.kind.startswith("row"))
        if len(run) >= 2:
            found.append(run)
    return found


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    kind: str | None
    number: int | None
    empty: bool


def _lines(text: str) -> Iterator[_Line]:
    at = 0
    for line in text.splitlines(keepends=True):
        kind, number = _kind(line)
        # neither 「|---|---|」 nor a row of empty cells is a row
        if letters(line) or not line.strip():
            yield _Line(at, at + len(line), kind, number, not line.strip())
        at += len(line)


def _kind(line: str) -> tuple[str | None, int | None]:
    """The kind of mark that a line begins with (None for none), and its number."""
    stripped = line.strip()
    if stripped.startswith("|") or "\t" in stripped:
        return "row|" if stripped.startswith("|") else "row", None
    found = _MARK.match(line)
    if found is None:
        return None, None
    kind = str(found.lastgroup)
    if kind == "circled":
        code = ord(found["circled"])
        return kind, code - ord("①") + 1 if code <= ord("⑳") else code - ord("㉑") + 21
    if kind in {"number", "bracketed"}:
        return kind, int(found[kind].strip("（()）"))
    return kind + (found["sign"] if kind == "sign" else ""), None


def _members(lines: list[_Line], first: int) -> list[int]:
    """The numbers of the lines that begin the items of the run that begins at `first`."""
    kind, number = lines[first].kind, lines[first].number
    rows = kind in {"row", "row|"}
    members, gap = [first], False
    for at in range(first + 1, len(lines)):
        line = lines[at]
        if rows and line.kind != kind:
            break
        if line.empty:
            gap = True
        elif line.kind == kind and line.number == (None if number is None else number + len(members)):
            members.append(at)
            gap = False
        elif line.kind == kind or (line.kind is None and gap):
            break
    return members


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    words = text[start:end]
    return start + len(words) - len(words.lstrip()), end - (len(words) - len(words.rstrip()))
