"""Matching words and their grams: BM25 by bm25s over the product's own tokens.

In: lists of tokens, one a row. Out: rows with their scores, best first, never one with the score zero. Built once;
nothing is counted when a question comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bm25s
import numpy as np
import numpy.typing as npt

WHOLE_WEIGHT = 2 / 3
K1 = 1.2
B = 0.75
"""Lucene's BM25 and its constants (Robertson and Zaragoza 2009, with Lucene's idf)."""
# bm25s wants at least one word in its vocabulary; this one is no token of any text.
_NOTHING = "\x00"


Parts = tuple[tuple[str, float], ...]
WORDS: Parts = (("whole", WHOLE_WEIGHT), ("near", 1 - WHOLE_WEIGHT))
GRAMS: Parts = (("grams", 1.0),)
"""What an index is made of: the fields of `Tokens` and their weights."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A row's tokens: with the whole way to the passage, with the near part of it only, and the grams of the latter."""

    whole: Sequence[str]
    near: Sequence[str]
    grams: Sequence[str] = ()


class LexicalIndex:
    """BM25 indexes over the same rows; a row's score is the weighted sum of its parts.

    The names above a passage help to find it (the case's title) and hide it (a book's title stands over all of its
    passages alike). Neither with nor without them is best; the sum is, for every weight of the vectors tried.
    """

    def __init__(self, parts: Sequence[tuple[str, float, bm25s.BM25]], size: int) -> None:
        self._parts = tuple(parts)
        self._size = size

    @classmethod
    def build(cls, rows: Sequence[Tokens], parts: Parts = WORDS) -> LexicalIndex:
        """An index of the tokens of each row."""
        built = [(name, weight, _bm25([getattr(row, name) for row in rows])) for name, weight in parts]
        return cls(built, len(rows))

    @classmethod
    def load(cls, folder: Path, size: int, parts: Parts = WORDS) -> LexicalIndex:
        """The index written by `save`, of `size` rows."""
        loaded = [
            (name, weight, bm25s.BM25.load(str(folder / name), load_corpus=False, allow_pickle=False))
            for name, weight in parts
        ]
        return cls(loaded, size)

    def save(self, folder: Path) -> None:
        """Writes the index into a folder (numpy arrays and JSON)."""
        for name, _, part in self._parts:
            part.save(str(folder / name), show_progress=False, allow_pickle=False)

    def __len__(self) -> int:
        return self._size

    def scores(self, tokens: Sequence[str]) -> npt.NDArray[np.float32]:
        """The score of every row  # (n,) float32, 0 where no token matches."""
        total = np.zeros(self._size, dtype=np.float32)
        for _, weight, part in self._parts:
            known = [t for t in dict.fromkeys(tokens) if t in part.vocab_dict and t not in ("", _NOTHING)]
            if known:
                total += weight * np.asarray(part.get_scores(known), dtype=np.float32)
        return total

    def full_score(self, tokens: Sequence[str]) -> float:
        """What a row would score at most that holds every token without end: the sum of their idf.

        A token that no row holds counts too, as the rarest: a question in other words than the documents' stays low.
        """
        return sum(
            weight * sum(_idf(self._size, _holding(part, token)) for token in dict.fromkeys(tokens))
            for _, weight, part in self._parts
        )

    def search(
        self, tokens: Sequence[str], k: int, rows: npt.NDArray[np.int64] | None = None
    ) -> list[tuple[int, float]]:
        """(row, score) of the k best, best first; only among `rows` where given; rows without a match are left out."""
        scores = self.scores(tokens)
        if rows is not None:
            mask = np.zeros(self._size, dtype=bool)
            mask[rows] = True
            scores = np.where(mask, scores, 0)
        k = min(k, int(np.count_nonzero(scores)))
        if k <= 0:
            return []
        best = np.argpartition(-scores, k - 1)[:k]
        # by score, then by row, so that equal scores always come in one order
        best = best[np.lexsort((best, -scores[best]))]
        return [(int(row), float(scores[row])) for row in best]


def _holding(part: bm25s.BM25, token: str) -> int:
    """How many rows hold a token: bm25s keeps a column of scores for each token."""
    column = part.vocab_dict.get(token)
    if column is None:
        return 0
    places = part.scores["indptr"]
    return int(places[column + 1] - places[column])


def _idf(size: int, holding: int) -> float:
    """Lucene's idf: ln(1 + (N - n + 0.5) / (n + 0.5))."""
    return math.log1p((size - holding + 0.5) / (holding + 0.5))


def _bm25(rows: Sequence[Sequence[str]]) -> bm25s.BM25:
    index = bm25s.BM25(method="lucene", k1=K1, b=B)
    index.index([list(row) or [_NOTHING] for row in rows], show_progress=False)
    return index
