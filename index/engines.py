"""The engines together: vectors of passages and of headings, words, grams, and late interaction, over the same rows.

In: what a question is for each engine (a `Probe`), and the parts (segments) that the rows stand in. Out: rows, best
first, with the fused score and what the engines gave. The first four find candidates, each by its own list; the best of these are then compared with the question token
by token. What rows stand for is the store's knowledge.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from corpus.text import searchable
from index.dense import DenseIndex, Vectors, search_parts
from index.encoder import Encoder
from index.fusion import Ranked, fuse, normalized
from index.late import Compared, LateIndex, Nearness, TokenFile, TokenRows, TokenVectors
from index.lexical import FIELDS, GRAMS, Fields, LexicalIndex, Postings, TokenPostings, Tokens, postings_of
from index.lexical import WORDS as WORD_FIELDS
from index.scope import Scope
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

    vector  # (dim,) float32, unit length; `tokens` is None where the model gives no token vectors. What was compared with it
    token by token is kept with it, by engines and rows: it is searched for more than once, and its sentences are asked for.
    """

    vector: Vectors
    words: Sequence[str]
    grams: Sequence[str] = ()
    tokens: TokenVectors | None = None
    compared: dict[object, dict[int, Compared]] = field(default_factory=dict, repr=False, compare=False)


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


def heading_key(heading: str) -> int:
    """A number that tells headings apart; 0 where there is no heading."""
    if not heading:
        return 0
    digest = hashlib.blake2b(heading.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


Marks = npt.NDArray[np.bool_]


class Rows(Protocol):
    """What the engines know of the rows of one segment, but for the vectors, wherever it is kept; never changed."""

    @property
    def heading_rows(self) -> npt.NDArray[np.int64]:
        """The rows whose heading stands over no other row of their document, ascending  # (m,)."""
        ...

    @property
    def heading_keys(self) -> npt.NDArray[np.uint64]:
        """The keys of the headings of all rows  # (n,)."""
        ...

    @property
    def postings(self) -> Mapping[str, TokenPostings]:
        """How often each token stands in each row, by field."""
        ...

    @property
    def late(self) -> TokenRows | None:
        """The token vectors, None where the model gives none."""
        ...

    def __len__(self) -> int: ...


class Finder(Protocol):
    """Finds rows by their vectors and tokens, in memory or elsewhere."""

    def lexical(
        self, postings: Sequence[Mapping[str, TokenPostings]], fields: Fields, live: Marks | None
    ) -> LexicalIndex:
        """What ranks the rows of parts by their tokens in some fields (`index.lexical.LexicalIndex`)."""
        ...

    def nearest(
        self, probe: Probe, k: int, allowed: Marks, own: Marks, scope: Scope | None
    ) -> tuple[Ranked, Ranked]:
        """(row, cosine) of the k nearest by the vectors of rows, and by those of their headings; best first, equal ones by row.

        `allowed`  # (n,) marks the rows that may be found, `own` those of them with a heading of their own; they are those of
        `scope`, all where it is None.
        """
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What the engines know of the rows of one segment, never changed.

    `heading_rows`  # (m,) int64, ascending, are the rows whose heading stands over no other row of their document;
    `headings` holds its vectors in that order. `heading_keys`  # (n,) uint64 are those of the headings of all rows.
    """

    dense: DenseIndex
    headings: DenseIndex
    heading_rows: npt.NDArray[np.int64]
    heading_keys: npt.NDArray[np.uint64]
    postings: Mapping[str, Postings]
    late: TokenFile | None

    def __post_init__(self) -> None:
        sizes = {len(self.dense), len(self.heading_keys), *map(len, self.postings.values())}
        if self.late is not None:
            sizes.add(len(self.late))
        if len(sizes) != 1 or len(self.heading_rows) != len(self.headings):
            raise ValueError(f"engines of different size: {sorted(sizes)}, {len(self.heading_rows)} headings")

    def __len__(self) -> int:
        return len(self.dense)

    def save(self, folder: Path) -> None:
        """Writes all but the token vectors, which are written where they are made (`LateWriter`)."""
        self.dense.save(folder / "vectors.faiss")
        self.headings.save(folder / "headings.faiss")
        np.save(folder / "heading_rows.npy", self.heading_rows, allow_pickle=False)
        np.save(folder / "heading_keys.npy", self.heading_keys, allow_pickle=False)
        for name in FIELDS:
            self.postings[name].save(folder / "lexical" / name)

    @classmethod
    def load(cls, folder: Path) -> Part:
        """What was written by `save`."""
        late = folder / "late"
        return cls(
            DenseIndex.load(folder / "vectors.faiss"),
            DenseIndex.load(folder / "headings.faiss"),
            np.load(folder / "heading_rows.npy", allow_pickle=False),
            np.load(folder / "heading_keys.npy", allow_pickle=False),
            {name: Postings.load(folder / "lexical" / name) for name in FIELDS},
            TokenFile(late) if late.is_dir() else None,
        )


class Engines:
    """The engines over the rows of several parts, one part after the other, in memory and never changed."""

    def __init__(
        self, parts: Sequence[Rows], live: Marks | None = None, finder: Finder | None = None
    ) -> None:
        """`live`  # (n,) says which rows count, all where it is None; the others are as if they were not there.

        `finder` is over the parts themselves where it is None.
        """
        self._parts = tuple(parts)
        self._offsets = np.cumsum([0, *map(len, parts)]).tolist()
        self._live = np.ones(len(self), dtype=bool) if live is None else live
        if len(self._live) != len(self):
            raise ValueError(f"{len(self)} rows, {len(self._live)} marks of what counts")
        dead = None if self._live.all() else self._live
        postings = [part.postings for part in parts]
        self._own_heading = _own(parts, self._offsets, self._live)
        self._finder = finder or _PartFinder([p for p in parts if isinstance(p, Part)], self._own_heading)
        self._words = self._finder.lexical(postings, WORD_FIELDS, dead)
        self._grams = self._finder.lexical(postings, GRAMS, dead)
        token_files = [part.late for part in parts if part.late is not None]
        self._late = LateIndex(token_files, dead) if token_files and len(token_files) == len(parts) else None

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        heading_vectors: Vectors,
        heading_rows: Sequence[int],
        tokens: Sequence[Tokens],
        late: TokenFile | None,
    ) -> Engines:
        """Engines of one part: vectors  # (n, dim), heading_vectors  # (m, dim), heading_rows  # (m,) ascending."""
        keys = np.zeros(len(vectors), dtype=np.uint64)
        keys[list(heading_rows)] = np.arange(1, len(heading_rows) + 1, dtype=np.uint64)
        return cls(
            [
                Part(
                    DenseIndex.build(vectors),
                    DenseIndex.build(heading_vectors),
                    np.array(heading_rows, dtype=np.int64),
                    keys,
                    postings_of(tokens),
                    late,
                )
            ]
        )

    def __len__(self) -> int:
        return int(self._offsets[-1])

    @property
    def parts(self) -> tuple[Rows, ...]:
        """The parts in order."""
        return self._parts

    def by_vector(self, probe: Probe, k: int) -> Ranked:
        """(row, cosine) of the k nearest vectors, best first."""
        return self._finder.nearest(probe, k, self._live, self._own_heading, None)[0]

    def by_word(self, probe: Probe, k: int) -> Ranked:
        """(row, BM25) of the k best by words, best first."""
        return self._words.search(probe.words, k)

    def by_gram(self, probe: Probe, k: int) -> Ranked:
        """(row, BM25) of the k best by grams, best first."""
        return self._grams.search(probe.grams, k)

    def search(
        self,
        probe: Probe,
        k: int,
        rows: npt.NDArray[np.int64] | None = None,
        scope: Scope | None = None,
    ) -> list[Found]:
        """The k best rows, best first; only among `rows` (ascending) where given, which are those of `scope`."""
        if rows is not None and not len(rows):
            return []
        depth, candidates = max(DEPTH, k), max(CANDIDATES, k)
        allowed = self._allowed(rows)
        own = self._own_heading if rows is None else allowed & self._own_heading
        by_vector, by_heading = self._finder.nearest(probe, depth, allowed, own, scope)
        by_word = self._words.search(probe.words, depth, rows, scope)
        by_gram = self._grams.search(probe.grams, depth, rows, scope)
        near = normalized(by_vector)
        parts = [
            (DENSE, near),
            (HEADING, self._by_heading(by_heading, near)),
            (WORDS, _scaled(by_word, self._words.full_score(probe.words), FULL_WORDS)),
            (SPELLING, _scaled(by_gram, self._grams.full_score(probe.grams), FULL_GRAMS)),
        ]
        fused = fuse(parts)[:candidates]
        late: dict[int, Nearness] = {}
        if self._late is not None and probe.tokens is not None:
            late = {
                near.row: near
                for near in self._late.scores(
                    probe.tokens, probe.vector, [r for r, _ in fused], probe.compared.setdefault(self, {})
                )
            }
        if late:
            chosen = [row for row, _ in fused]
            found = [(weight, {r: scores[r] for r in chosen if r in scores}) for weight, scores in parts]
            maxsim = normalized([(row, n.maxsim) for row, n in late.items()])
            sentence = normalized([(row, n.sentence) for row, n in late.items() if n.sentence is not None])
            fused = fuse([*found, (LATE, maxsim), (SENTENCE, sentence)])
        cosine, bm25 = dict(by_vector), dict(by_word)
        return [
            Found(row, score, cosine.get(row), bm25.get(row), late[row].maxsim if row in late else None)
            for row, score in fused[:k]
        ]

    def holds_word(self, word: str) -> bool:
        """Whether any row has a word, in its text or in what stands above it."""
        return self._words.holds(word)

    def holds_gram(self, gram: str) -> bool:
        """Whether any row has a gram."""
        return self._grams.holds(gram)

    def sentences(self, probe: Probe, row: int) -> dict[int, tuple[float, float]]:
        """(MaxSim, cosine) of each sentence of a row by its number; empty where the model gives no token vectors."""
        if self._late is None or probe.tokens is None:
            return {}
        return self._late.sentences(probe.tokens, probe.vector, row, probe.compared.setdefault(self, {}))

    def _allowed(self, rows: npt.NDArray[np.int64] | None) -> npt.NDArray[np.bool_]:
        """Which rows may be found  # (n,) bool."""
        if rows is None:
            return self._live
        allowed = np.zeros(len(self), dtype=bool)
        allowed[rows] = True
        return allowed & self._live

    def _by_heading(self, found: Ranked, near: dict[int, float]) -> dict[int, float]:
        """Normalized nearness of the rows' headings; a row without one of its own counts by its own vector."""
        scores = {row: score for row, score in near.items() if not self._own_heading[row]}
        return {**scores, **normalized(found)}


class _PartFinder:
    """Finds rows in the parts themselves; `own`  # (n,) marks the rows with a heading of their own."""

    def __init__(self, parts: Sequence[Part], own: Marks) -> None:
        self._parts = tuple(parts)
        self._offsets = np.cumsum([0, *map(len, parts)]).tolist()
        # without conditions always the same: made once, not for each question
        self._own, self._own_headings = own, self._of_headings(own)

    def lexical(
        self, postings: Sequence[Mapping[str, TokenPostings]], fields: Fields, live: Marks | None
    ) -> LexicalIndex:
        """What ranks the rows of parts by their tokens in some fields."""
        return LexicalIndex(postings, fields, live)

    def nearest(
        self, probe: Probe, k: int, allowed: Marks, own: Marks, scope: Scope | None
    ) -> tuple[Ranked, Ranked]:
        """(row, cosine) of the k nearest by the vectors of rows, and by those of their headings."""
        marks = [
            allowed[offset : offset + len(part)]
            for offset, part in zip(self._offsets, self._parts, strict=False)
        ]
        texts = search_parts([part.dense for part in self._parts], probe.vector, k, marks)
        usable = self._own_headings if own is self._own else self._of_headings(own)
        headings = search_parts([part.headings for part in self._parts], probe.vector, k, usable)
        by_text: Ranked = []
        by_heading: Ranked = []
        for offset, part, rows, places in zip(self._offsets, self._parts, texts, headings, strict=False):
            by_text.extend((offset + row, score) for row, score in rows)
            heading_rows = part.heading_rows[[place for place, _ in places]] + offset
            by_heading.extend(zip(heading_rows.tolist(), (score for _, score in places), strict=True))
        return best_first(by_text, k), best_first(by_heading, k)

    def _of_headings(self, allowed: Marks) -> list[Marks]:
        """For each part, which of its headings may be found."""
        return [
            allowed[offset + part.heading_rows]
            for offset, part in zip(self._offsets, self._parts, strict=False)
        ]


def best_first(found: Ranked, k: int) -> Ranked:
    """The k best of (row, score), best first, equal ones by row."""
    return sorted(found, key=lambda item: (-item[1], item[0]))[:k]


def _own(parts: Sequence[Rows], offsets: Sequence[int], live: Marks) -> Marks:
    """Rows whose heading stands over no other row that counts  # (n,) bool."""
    keys = np.concatenate([np.zeros(0, np.uint64), *(part.heading_keys for part in parts)])
    rows = np.concatenate(
        [np.zeros(0, np.int64)]
        + [offset + part.heading_rows for offset, part in zip(offsets, parts, strict=False)]
    )
    counted = np.flatnonzero(live)
    # one pass for all parts: each would otherwise sort the keys of all
    order = counted[np.argsort(keys[counted])]
    ordered = keys[order]
    new = np.flatnonzero(np.concatenate([np.ones(min(1, len(ordered)), bool), ordered[1:] != ordered[:-1]]))
    alone = new[np.diff(np.append(new, len(ordered))) == 1]
    once = np.zeros(len(keys), dtype=bool)
    once[order[alone]] = ordered[alone] != 0
    own = np.zeros(len(keys), dtype=bool)
    own[rows] = once[rows]
    return own


def _scaled(ranked: Ranked, full: float, enough: float) -> dict[int, float]:
    """Normalized scores, less where even the best row has little of the `full` score."""
    if not ranked or full <= 0:
        return {}
    share = min(1.0, ranked[0][1] / full / enough)
    return {row: share * score for row, score in normalized(ranked).items()}
