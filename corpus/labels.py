"""Labels and their values: what a case says of itself in the rows of a table or in lines.

In: blocks. Out: values with their spans, by what their labels ask for, in order. The forms, by example: 「| 人口 | 5.6万人 |」, two
pairs in a row 「| 団体名 | みずほ県青葉野市 | 人口 | 5万人 |」, a row of labels over one row of values, and lines 「人口：5.6万人」,
「人口　5.6万人」, 「【人口】 5.6万人」. Nothing here knows about cases.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from corpus.structure import Block, Line

# the words of labels; what stands in brackets after one is a note to it: 「人口（令和6年4月1日現在）」
LABELS: dict[str, str] = {
    "organization": r"(?:団体|自治体|市区?町村|都市|地方公共団体|実施(?:団体|主体|自治体)|取組(?:団体|主体|自治体))名?称?",
    "population": r"(?:総|住民基本台帳)?人口(?:規模)?",
    "department": r"(?:(?:担当|所管)(?:部署|課室?|部局|部課|窓口|組織)?|お?問い?合わ?せ先?|連絡先)名?",
    "phone": r"(?:電話|連絡先)(?:番号)?|TEL|Tel|℡|お?問い?合わ?せ先",
    "email": r"(?:電子|E|Ｅ|e)?-?メール(?:アドレス)?|(?i:e-?mail)|連絡先|お?問い?合わ?せ先",
}
_ANY = "|".join(LABELS.values())
_NOTE = r"(?:\s*[（(][^（）()]{1,30}[)）])?"
_LABEL = re.compile(rf"(?:{_ANY}){_NOTE}")
_LINE = re.compile(
    rf"\s*(?:[・○●■◆□◇-]\s*)?(?:【(?P<bracketed>(?:{_ANY}){_NOTE})】\s*[：:]?|(?P<label>(?:{_ANY}){_NOTE})(?:\s*[：:]|[ \t\u3000]))\s*(?P<value>\S.*?)\s*$"
)
# 「団体名：青葉野市　人口：5万人」 between two pairs on one line
_NEXT = re.compile(rf"[ \u3000](?=(?:{_ANY}){_NOTE}\s*[：:])")
_RULE = re.compile(r"[\s|:\-]+")
LONGEST_LINE = 500
"""Characters of a line above which it is no label with its value."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label's words, which begin at `place`, its value, and where that stands, `text[start:end] == value`."""

    label: str
    place: int
    value: str
    start: int
    end: int

    def asks(self, what: str) -> bool:
        """Whether the label is one of those for `what`, a key of LABELS."""
        return bool(re.fullmatch(rf"(?:{LABELS[what]}){_NOTE}", self.label))


def labelled(blocks: Sequence[Block]) -> Iterator[Labelled]:
    """The labels of blocks with their values, in order."""
    for block in blocks:
        if block.kind == "table":
            yield from _in_table(block)
            continue
        for line in block.lines:
            if len(line.text) > LONGEST_LINE:
                continue
            at = line.start
            for piece in _NEXT.split(line.text):
                found = _LINE.match(piece)
                if found:
                    name = "bracketed" if found["bracketed"] else "label"
                    start, end = at + found.start("value"), at + found.end("value")
                    yield Labelled(found[name], at + found.start(name), found["value"], start, end)
                at += len(piece) + 1


def _in_table(block: Block) -> Iterator[Labelled]:
    rows = [_cells(line) for line in block.lines if not _RULE.fullmatch(line.text)]
    pairs = [pair for cells in rows for pair in itertools.pairwise(cells)]
    if len(rows) == 2 and any(
        _is_label(one) and _is_label(other) for one, other in itertools.pairwise(rows[0])
    ):
        pairs = list(zip(rows[0], rows[1], strict=False))  # labels side by side head the row below
    for one, (value, start, end) in pairs:
        if value and _is_label(one):
            yield Labelled(one[0], one[1], value, start, end)


def _is_label(cell: tuple[str, int, int]) -> bool:
    return bool(_LABEL.fullmatch(cell[0]))


def _cells(line: Line) -> list[tuple[str, int, int]]:
    """The cells of a row with their places in the text, without space and emphasis around them."""
    if len(line.text) > LONGEST_LINE:
        return []
    cells, at = [], line.start
    for piece in re.split(r"[|\t]", line.text):
        words = piece.strip(" \u3000*")
        start = at + piece.find(words) if words else at
        cells.append((words, start, start + len(words)))
        at += len(piece) + 1
    bars = line.text.strip().startswith("|")
    return cells[1:-1] if bars else cells
