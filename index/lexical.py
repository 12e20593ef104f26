"""Matching words: BM25 by bm25s over the product's own tokens.

In: lists of tokens, one a row. Out: rows with their scores, best first, never one with the score zero. Built once;
nothing is counted when a question comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import numpy.typing as npt

K1 = 1.2
B = 0.75
"""Lucene's BM25 and its constants (Robertson and Zaragoza 2009, with Lucene's idf)."""
# bm25s wants at least one word in its vocabulary; this one is no token of any text.
_NOTHING = "\x00"


class LexicalIndex:
    """A BM25 index over tokens."""

    def __init__(self, index: bm25s.BM25, size: int) -> None:
        self._index, self._size = index, size

    @classmethod
    def build(cls, tokens: Sequence[Sequence[str]]) -> LexicalIndex:
        """An index of one token list a row."""
        index = bm25s.BM25(method="lucene", k1=K1, b=B)
        rows = [list(row) or [_NOTHING] for row in tokens]
        index.index(rows, show_progress=False)
        return cls(index, len(rows))

    @classmethod
    def load(cls, folder: Path, size: int) -> LexicalIndex:
        """The index written by `save`, of `size` rows."""
        return cls(bm25s.BM25.load(str(folder), load_corpus=False, allow_pickle=False), size)

    def save(self, folder: Path) -> None:
        """Writes the index into a folder (numpy arrays and JSON)."""
        self._index.save(str(folder), show_progress=False, allow_pickle=False)

    def __len__(self) -> int:
        return self._size

    def scores(self, tokens: Sequence[str]) -> npt.NDArray[np.float32]:
        """The score of every row  # (n,) float32, 0 where no token matches."""
        known = [t for t in dict.fromkeys(tokens) if t in self._index.vocab_dict and t != _NOTHING]
        if not known:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._index.get_scores(known), dtype=np.float32)

    def search(self, tokens: Sequence[str], k: int, rows: npt.NDArray[np.int64] | None = None) -> list[tuple[int, float]]:
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
