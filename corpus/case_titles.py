"""Title lines of cases: the number, the title and the organization that each names.

In: blocks. Out: the lines that have the form of a case's title, in order. Two kinds:

1. A line that ends in an organization in square brackets: 「9 外部人材の下に…を設置【山形県酒田市】」.
2. In a document without such lines, headings of one form, numbered, whose organization stands in round brackets at their end or
   right below them after a label: 「事例1　窓口を改める（みずほ県青葉野市）」, 「事例1　窓口を改める」 over 「| 団体名 | 青葉野市 |」. There
   must be two of them at least; if they do not call themselves cases, all of them name an organization, not all the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from corpus.labels import labelled
from corpus.municipalities import is_public_body, looks_like_organization
from corpus.structure import LEADER, Block, Line, plain
from corpus.text import letters, squeeze

TITLE = re.compile(
    r"^(?:[^\w【「『]*(?:New|NEW|新規?)\W+)?(?:事例|取組)?\s*(?P<number>\d{1,3})\s*[.．、:：)）]?\s*"
    r"(?P<title>\S.*?)\s*【\s*(?P<organization>[^【】]+?)\s*】\s*(?:[①-⑳]+)?\s*$"
)
# 「事例1　窓口を改める（みずほ県青葉野市）」「【事例①】窓口を改める」「1. 窓口を改める（青葉野市）」
_HEADING = re.compile(
    r"^[【<＜\[]?\s*(?P<word>(?:取組|活用|導入|先進|優良)?事例|取組|(?i:case))?\s*(?:No\.?\s*)?(?P<number>\d{1,3}|[①-⑳])(?!\d|[.．-]\d)"
    r"(?P<space>\s*)[】>＞\]]?\s*(?P<mark>[.．、:：)）])?\s*(?P<title>\S.*?)\s*(?:[（(]\s*(?P<organization>[^（）()]{2,40}?)\s*[)）])?$"
)
LONGEST_TITLE = 150
NEAR_BLOCKS, NEAR_CHARS = 6, 800
"""How far below its heading a case says whose it is."""
LEAST_LETTERS = 20
"""Letters under a title below which it is a row of a list: 「事例1　窓口を改める（青葉野市）」 right above 「事例2　…」."""
# 「本市」「各町」: no name
_NO_NAME = re.compile(r"^(?:本|当|全|各|他|同|両|近隣|市内|県内)[都道府県市区町村]$")
_UNION = re.compile(r"\S{2,25}(?:広域連合|組合|連合|協議会|機構)")

# Digits and marks of full width, one character for one, so that offsets stay what they are.
NARROW = str.maketrans("０１２３４５６７８９．，（）：＠－ＴＥＬ", "0123456789.,():@-TEL")


@dataclass(frozen=True, slots=True)
class CaseTitle:
    """A title line; `below` is where the organization stands, (start, end), if not in the line itself."""

    line: Line
    number: int
    title: str
    organization: str
    bracket: str = "【"
    below: tuple[int, int] | None = None

    @property
    def key(self) -> tuple[int, str]:
        """What tells one case of a book from another."""
        return self.number, squeeze(self.organization)


def bracketed_titles(block: Block) -> Iterator[CaseTitle]:
    """The lines of a block that end in an organization in square brackets."""
    for line in block.lines:
        words = _words(line)
        found = TITLE.match(words) if len(words) <= LONGEST_TITLE else None
        if found and not LEADER.search(words):
            yield CaseTitle(line, int(found["number"]), found["title"], found["organization"])


def headed_titles(blocks: Sequence[Block], contents: Collection[int]) -> list[CaseTitle]:
    """The headings that are the titles of cases, of that form of which there are most; `contents` are blocks to leave out."""
    forms: dict[tuple[str, str, int], list[tuple[int, CaseTitle]]] = defaultdict(list)
    for index, block in enumerate(blocks):
        if index in contents or len(block.lines) != 1:
            continue
        words = _words(block.lines[0])
        found = _HEADING.match(words) if len(words) <= LONGEST_TITLE else None
        if not found or LEADER.search(words):
            continue
        word = found["word"] or ""
        if not word and (block.kind != "heading" or not (found["mark"] or found["space"])):
            continue
        forms[word, "" if word else block.form, block.level].append((index, _title(block.lines[0], found)))
    best: list[CaseTitle] = []
    for (word, _, _), headings in forms.items():
        ends = [*[index for index, _ in headings[1:]], len(blocks)]
        titles = []
        for (index, title), end in zip(headings, ends, strict=True):
            below = blocks[index + 1 : end]
            if sum(letters(block.text) for block in below[:NEAR_BLOCKS]) >= LEAST_LETTERS:
                titles.append(_with_body(title, below[:NEAR_BLOCKS]))
        named = [title for title in titles if title.organization]
        several = len({title.number if word else squeeze(title.organization) for title in named}) >= 2
        # without the word, one heading that names nobody (「1 開会」) makes them parts of something else
        most = len(named) * 2 > len(titles) if word else len(named) == len(titles)
        if several and most and len(named) > len(best):
            best = named
    return best


def _title(line: Line, found: re.Match[str]) -> CaseTitle:
    sign, name = found["number"], found["organization"] or ""
    number = int(sign) if sign.isdecimal() else ord(sign) - ord("①") + 1
    if _is_body(name):
        return CaseTitle(line, number, found["title"], name, "(")
    return CaseTitle(line, number, found.string[found.start("title") :], "", "(")


def _words(line: Line) -> str:
    # 「## 3 移動窓口を始める【青葉県】」: Markdown's marks are no part of a title
    return re.sub(r"^#{1,6}\s+|(?<!\s)\s++#++$", "", plain(line.text)).translate(NARROW)


def _with_body(title: CaseTitle, below: Sequence[Block]) -> CaseTitle:
    """A title with the organization that stands after a label below it: 「| 団体名 | みずほ県青葉野市 |」.

    One in the title itself is the same, perhaps without its prefecture.
    """
    near = [block for block in below if block.start - title.line.end <= NEAR_CHARS]
    for pair in labelled(near):
        name = pair.value
        if (
            pair.asks("organization")
            and _is_body(name)
            and (not title.organization or (name != title.organization and name.endswith(title.organization)))
        ):
            return replace(title, organization=name, below=(pair.start, pair.end))
    return title


def _is_body(name: str) -> bool:
    """Whether a name is that of one body, also of one that is in no table: 「みずほ県青葉野市」「青葉広域連合」."""
    if _NO_NAME.match(name) or re.search(r"\d", name):
        return False
    return is_public_body(name) or bool(_UNION.fullmatch(name) and looks_like_organization(name))
