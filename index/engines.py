"""The engines together: vectors of passages and of headings, words, grams, and late interaction, over the same rows.

In: what a question is for each engine (a `Probe`). Out: rows, best first, with the fused score and what the engines
gave. The first four find candidates, each by its own list; the best of these are then compared with the question token
by token. What rows stand for is the store's knowledge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.text import searchable
from index.dense import DenseIndex, Vectors
from index.encoder import Encoder
from index.fusion import Ranked, fuse, normalized
from index.late import LateIndex, Nearness, TokenVectors
from index.lexical import GRAMS, LexicalIndex, Tokens
from index.tokenizer import grams, tokenize

DENSE, HEADING, WORDS, SPELLING, LATE, SENTENCE = 0.13, 0.13, 0.27, 0.14, 0.25, 0.08
"""Weights of the engines, one setting for all documents (docs/decisions.md)."""
FULL_WORDS, FULL_GRAMS = 0.25, 0.2
"""Where the best row has this part of the score it could have, words (grams) count with their whole weight; below, less.

The best of a list always has 1 after normalization, also where it shares one common word with the question. A question in
other words than the documents' would be answered by that word.
"""
DEPTH = 200
"""Candidates taken from each engine."""
CANDIDATES = 60
"""Rows that are compared token by token."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A question as the engines see it.

    vector  # (dim,) float32, unit length; `tokens` is None where the model gives no token vectors
    """

    vector: Vectors
    words: Sequence[str]
    grams: Sequence[str] = ()
    tokens: TokenVectors | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A row that was found: the fused score (0..1), the cosine, BM25 of the words, and MaxSim; None where not found."""

    row: int
    score: float
    dense: float | None
    lexical: float | None
    late: float | None


def probe(encoder: Encoder, text: str, focus: str | None = None, also: Sequence[str] = ()) -> Probe:
    """What a question's text is for each engine.

    `focus` is the part of it that is asked, where the text also says what was asked before: the vector is the mean of both.
    `also` are words of the same meaning, which are searched for as words.
    """
    words = searchable(text)
    vector, tokens = encoder.encode_question(words)
    if focus is not None:
        vector = vector + encoder.encode_question(searchable(focus))[0]
        vector = vector / np.linalg.norm(vector)
    others = [token for word in also for token in tokenize(word)]
    return Probe(vector, [*tokenize(words), *others], grams(words), tokens)


def own_headings(headings: Sequence[str]) -> list[int]:
    """Rows whose heading stands over no other row; such a heading says what the row is about.

    「インタビュー」 or an interview's questions stand over a passage of every case and say nothing of one of them.
    """
    count = Counter(headings)
    return [row for row, heading in enumerate(headings) if heading and count[heading] == 1]


class Engines:
    """The engines over one set of rows, in memory and never changed."""

    def __init__(
        self,
        dense: DenseIndex,
        headings: DenseIndex | None,
        heading_rows: npt.NDArray[np.int64],
        words: LexicalIndex,
        grams: LexicalIndex,
        late: LateIndex | None,
    ) -> None:
        sizes = {len(dense), len(words), len(grams), len(dense) if late is None else len(late)}
        if len(sizes) != 1 or len(heading_rows) != (0 if headings is None else len(headings)):
            raise ValueError(f"engines of different size: {sorted(sizes)}, {len(heading_rows)} headings")
        self._dense, self._headings, self._heading_rows = dense, headings, heading_rows
        self._heading_row_set = frozenset(heading_rows.tolist())
        self._words, self._grams, self._late = words, grams, late

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        heading_vectors: Vectors,
        heading_rows: Sequence[int],
        tokens: Sequence[Tokens],
        late: LateIndex | None,
    ) -> Engines:
        """Engines of rows: vectors  # (n, dim), heading_vectors  # (m, dim), heading_rows  # (m,) ascending."""
        rows = np.array(heading_rows, dtype=np.int64)
        return cls(
            DenseIndex.build(vectors),
            DenseIndex.build(heading_vectors) if len(rows) else None,
            rows,
            LexicalIndex.build(tokens),
            LexicalIndex.build(tokens, GRAMS),
            late,
        )

    def save(self, folder: Path) -> None:
        """Writes all but the token vectors, which are written where they are made (`LateWriter`)."""
        self._dense.save(folder / "vectors.faiss")
        np.save(folder / "heading_rows.npy", self._heading_rows, allow_pickle=False)
        if self._headings is not None:
            self._headings.save(folder / "headings.faiss")
        self._words.save(folder / "lexical")
        self._grams.save(folder / "lexical")

    @classmethod
    def load(cls, folder: Path) -> Engines:
        """The engines written by `save`."""
        rows = np.load(folder / "heading_rows.npy", allow_pickle=False)
        late = folder / "late"
        dense = DenseIndex.load(folder / "vectors.faiss")
        size = len(dense)
        return cls(
            dense,
            DenseIndex.load(folder / "headings.faiss") if len(rows) else None,
            rows,
            LexicalIndex.load(folder / "lexical", size),
            LexicalIndex.load(folder / "lexical", size, GRAMS),
            LateIndex(late) if late.is_dir() else None,
        )

    def __len__(self) -> int:
        return len(self._dense)

    @property
    def late(self) -> LateIndex | None:
        """The token vectors, None where the model gives none."""
        return self._late

    def vectors(self) -> Vectors:
        """Vectors of all rows  # (n, dim) float32."""
        return self._dense.vectors()

    def heading_vectors(self) -> dict[int, Vectors]:
        """Vector of the heading of each row that has one of its own."""
        if self._headings is None:
            return {}
        return dict(zip(self._heading_rows.tolist(), self._headings.vectors(), strict=True))

    def by_vector(self, probe: Probe, k: int) -> Ranked:
        """(row, cosine) of the k nearest vectors, best first."""
        return self._dense.search(probe.vector, k)

    def by_word(self, probe: Probe, k: int) -> Ranked:
        """(row, BM25) of the k best by words, best first."""
        return self._words.search(probe.words, k)

    def search(self, probe: Probe, k: int, rows: npt.NDArray[np.int64] | None = None) -> list[Found]:
        """The k best rows, best first; only among `rows` (ascending) where given."""
        depth, candidates = max(DEPTH, k), max(CANDIDATES, k)
        by_vector = self._dense.search(probe.vector, depth, rows)
        by_word = self._words.search(probe.words, depth, rows)
        by_gram = self._grams.search(probe.grams, depth, rows)
        near = normalized(by_vector)
        parts = [
            (DENSE, near),
            (HEADING, self._by_heading(probe, depth, rows, near)),
            (WORDS, _scaled(by_word, self._words.full_score(probe.words), FULL_WORDS)),
            (SPELLING, _scaled(by_gram, self._grams.full_score(probe.grams), FULL_GRAMS)),
        ]
        fused = fuse(parts)[:candidates]
        late: dict[int, Nearness] = {}
        if self._late is not None and probe.tokens is not None:
            late = {
                near.row: near
                for near in self._late.scores(probe.tokens, probe.vector, [r for r, _ in fused])
            }
        if late:
            chosen = {row for row, _ in fused}
            found = [(weight, {r: s for r, s in scores.items() if r in chosen}) for weight, scores in parts]
            maxsim = normalized([(row, n.maxsim) for row, n in late.items()])
            sentence = normalized([(row, n.sentence) for row, n in late.items() if n.sentence is not None])
            fused = fuse([*found, (LATE, maxsim), (SENTENCE, sentence)])
        cosine, bm25 = dict(by_vector), dict(by_word)
        return [
            Found(row, score, cosine.get(row), bm25.get(row), late[row].maxsim if row in late else None)
            for row, score in fused[:k]
        ]

    def sentences(self, probe: Probe, row: int) -> dict[int, tuple[float, float]]:
        """(MaxSim, cosine) of each sentence of a row by its number; empty where the model gives no token vectors."""
        if self._late is None or probe.tokens is None:
            return {}
        return self._late.sentences(probe.tokens, probe.vector, row)

    def _by_heading(
        self, probe: Probe, depth: int, rows: npt.NDArray[np.int64] | None, near: dict[int, float]
    ) -> dict[int, float]:
        """Normalized nearness of the rows' headings; a row without one of its own counts by its own vector."""
        scores = {row: score for row, score in near.items() if row not in self._heading_row_set}
        if self._headings is not None:
            places = None if rows is None else np.flatnonzero(np.isin(self._heading_rows, rows))
            for place, score in normalized(self._headings.search(probe.vector, depth, places)).items():
                scores[int(self._heading_rows[place])] = score
        return scores


def _scaled(ranked: Ranked, full: float, enough: float) -> dict[int, float]:
    """Normalized scores, less where even the best row has little of the `full` score."""
    if not ranked or full <= 0:
        return {}
    share = min(1.0, ranked[0][1] / full / enough)
    return {row: share * score for row, score in normalized(ranked).items()}
