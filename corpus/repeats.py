"""Passages that a document holds twice, and which copy is searched.

In: sections. Out: the blocks to leave out of the search. A converted deck shows some slides twice: once as a
slide, once as a small picture of it inside another slide, whose words were misread. Two forms of repeat:

1. Two sections outside cases with the same headings and alike words are one slide twice. One copy is kept whole.
2. Two blocks alike for the most part, under other headings: one of them is kept.

Kept is the copy whose words the rest of the document supports. Misread words (「官民共創」 read as 「協働推進」 in a
name) are those that stand nowhere else; where both copies are supported alike, the fuller one is kept, and of
equals the first.
"""

from __future__ import annotations

from collections import Counter

from corpus.sections import Section
from corpus.structure import PICTURE_GAP, Block
from corpus.text import squeeze

SAME_HEADING = 0.2
"""Share of the shorter copy's 3-grams that the longer holds, from which two sections of one heading are one
slide: misread tables keep about a quarter."""
SAME_WORDS = 0.5
"""The same for two blocks under different headings."""
LEAST_CHARS = 40


def repeated_blocks(text: str, sections: list[Section]) -> set[int]:
    """Start offsets of the blocks that repeat another and are the worse copy."""
    grams = Counter(_grams(squeeze(text)))
    outside = [s for s in sections if s.case is None and s.blocks]
    dropped: set[int] = set()
    for place, first in enumerate(outside):
        for second in outside[place + 1 :]:
            if any(b.start in dropped for b in (*first.blocks, *second.blocks)):
                continue
            if _same_slide(first, second):
                worse = _worse(_words(first.blocks), _words(second.blocks), grams)
                dropped.update(b.start for b in _until_gap((first, second)[worse].blocks))
    blocks = [b for s in outside for b in s.blocks if b.start not in dropped and len(squeeze(b.text)) >= LEAST_CHARS]
    for place, one in enumerate(blocks):
        for other in blocks[place + 1 :]:
            if one.start in dropped or other.start in dropped:
                continue
            if _overlap(one.text, other.text) >= SAME_WORDS:
                dropped.add((one, other)[_worse(one.text, other.text, grams)].start)
    return dropped


def _same_slide(first: Section, second: Section) -> bool:
    if not first.path or not second.path or squeeze(first.path[-1]) != squeeze(second.path[-1]):
        return False
    if len(first.path) > 1 and len(second.path) > 1 and squeeze(first.path[-2]) != squeeze(second.path[-2]):
        return False
    words = _words(first.blocks), _words(second.blocks)
    return min(map(len, words)) >= LEAST_CHARS and _overlap(*words) >= SAME_HEADING


def _until_gap(blocks: tuple[Block, ...]) -> list[Block]:
    """A slide's blocks as far as the next lost picture: what follows may be another slide."""
    kept: list[Block] = []
    for block in blocks:
        if kept and block.gap >= PICTURE_GAP:
            break
        kept.append(block)
    return kept


def _words(blocks: tuple[Block, ...]) -> str:
    return "\n".join(b.text for b in blocks)


def _grams(squeezed: str, n: int = 3) -> list[str]:
    return [squeezed[i : i + n] for i in range(len(squeezed) - n + 1)]


def _overlap(one: str, other: str) -> float:
    """Share of the shorter text's distinct 3-grams that stand in the longer, 0 to 1."""
    a, b = set(_grams(squeeze(one))), set(_grams(squeeze(other)))
    return len(a & b) / max(1, min(len(a), len(b)))


def _worse(one: str, other: str, grams: Counter[str]) -> int:
    """0 or 1: the copy to leave out."""
    a, b = Counter(_grams(squeeze(one))), Counter(_grams(squeeze(other)))
    support = []
    for own, twin in ((a, b), (b, a)):
        only = [gram for gram in own if gram not in twin]
        # how many of the words that only this copy has stand elsewhere in the document too
        support.append(sum(grams[g] > own[g] for g in only) / len(only) if len(only) >= 5 else 1.0)
    if abs(support[0] - support[1]) > 0.05:
        return 0 if support[0] < support[1] else 1
    return 0 if len(squeeze(one)) < len(squeeze(other)) else 1
