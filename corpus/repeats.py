"""Passages that a document holds twice, and which copy is searched.

In: sections. Out: the blocks to leave out of the search. A converted deck shows some slides twice: once as a
slide, once as a small picture of it inside another slide, whose words were misread. Two forms of repeat:

1. Two slides outside cases with the same outermost heading and alike words are one slide twice. One is kept whole.
2. Two blocks alike for the most part, under other headings: one of them is kept.

Kept is the copy whose words the rest of the document supports. Misread words (「官民共創」 read as 「協働推進」 in a
name) are those that stand nowhere else; where both copies are supported alike, the fuller one is kept, and of
equals the first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations

from corpus.sections import Section, heading_words
from corpus.structure import PICTURE_GAP, Block
from corpus.text import squeeze

SAME_HEADING = 0.35
"""Share of the shorter copy's 3-grams that the longer holds, from which two slides of one heading are one slide.
A misread copy keeps about 0.6; different slides under a recurring heading share at most 0.25."""
SAME_WORDS = 0.75
"""The same for two blocks under different headings: a summary and its text share up to 0.7."""
LEAST_CHARS = 40
COMMON = 20
"""A 3-gram in more blocks than this, or a heading on more slides, tells no two of them apart."""


def repeated_blocks(text: str, sections: list[Section]) -> set[int]:
    """Start offsets of the blocks that repeat another and are the worse copy."""
    grams = Counter(_grams(squeeze(text)))
    # the rows of a list are alike because they are of one kind, and each stands for itself
    slides = _slides([s for s in sections if s.case is None and s.blocks and s.form != "record"])
    dropped: set[int] = set()
    by_heading: dict[str, list[_Slide]] = defaultdict(list)
    for slide in slides:
        if slide.heading:
            by_heading[slide.heading].append(slide)
    for first, second in (pair for same in by_heading.values() for pair in combinations(same[:COMMON], 2)):
        if any(b.start in dropped for b in (*first.blocks, *second.blocks)):
            continue
        words = _words(first.blocks), _words(second.blocks)
        if _alike(*words, SAME_HEADING):
            dropped.update(b.start for b in (first, second)[_worse(*words, grams)].blocks)
    blocks = [b for slide in slides for b in slide.blocks if b.start not in dropped]
    for one, other in _candidates([b.text for b in blocks]):
        block, later = blocks[one], blocks[other]
        if block.start in dropped or later.start in dropped:
            continue
        if _alike(block.text, later.text, SAME_WORDS):
            dropped.add((block, later)[_worse(block.text, later.text, grams)].start)
    return dropped


def _candidates(texts: list[str]) -> list[tuple[int, int]]:
    """Pairs of texts, in order, that share a 3-gram which few others hold: only these can be alike.

    Comparing all pairs would take a long document minutes.
    """
    holders: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        squeezed = squeeze(text)
        if len(squeezed) >= LEAST_CHARS:
            for gram in set(_grams(squeezed)):
                holders[gram].append(place)
    shared: Counter[tuple[int, int]] = Counter()
    for places in holders.values():
        if len(places) <= COMMON:
            shared.update(combinations(places, 2))
    return sorted(pair for pair, count in shared.items() if count >= LEAST_CHARS // 4)


@dataclass(frozen=True, slots=True)
class _Slide:
    """Neighbouring sections under one outermost heading."""

    heading: str
    blocks: tuple[Block, ...]


def _slides(sections: list[Section]) -> list[_Slide]:
    """Slides in order: a new one begins where the outermost heading changes or stands in the text again."""
    slides: list[tuple[str, list[Block]]] = []
    for section in sections:
        heading = squeeze(section.path[0]) if section.path else ""
        opened = [*section.openers, *([section.heading] if section.heading else [])]
        again = bool(opened) and squeeze(heading_words(opened[0])) == heading
        if not slides or slides[-1][0] != heading or again:
            slides.append((heading, []))
        slides[-1][1].extend(_until_gap(section.blocks))
    return [_Slide(heading, tuple(blocks)) for heading, blocks in slides]


def _alike(one: str, other: str, share: float) -> bool:
    return min(len(squeeze(one)), len(squeeze(other))) >= LEAST_CHARS and _overlap(one, other) >= share


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
    support, lone = [], []
    for own, twin in ((a, b), (b, a)):
        only = [gram for gram in own if gram not in twin]
        # how many of the words that only this copy has stand elsewhere in the document too
        support.append(sum(grams[g] > own[g] for g in only) / max(1, len(only)))
        lone.append(len(only))
    if min(lone) >= 5 and abs(support[0] - support[1]) > 0.05:
        return 0 if support[0] < support[1] else 1
    return 0 if len(squeeze(one)) < len(squeeze(other)) else 1
