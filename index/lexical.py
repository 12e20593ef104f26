"""Matching words and their grams: BM25 over the product's own tokens, in parts that are never changed.

In: lists of tokens, one a row. Out: rows with their scores, best first, never one with the score zero. What is kept of
a part is how often each token stands in each row (`Postings`); how rare a token is among all rows is counted when it is
asked for. So a part that is added, or a row that is left out, changes the scores of the others as it should, and none
of the others' files. (bm25s, which judges this module in the tests, writes the rareness into its matrix: there every
new document means a pass over all.)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from index.scope import Scope
from index.vocabulary import Vocabulary

WHOLE_WEIGHT = 2 / 3
K1 = 1.2
B = 0.75
"""Lucene's BM25 and its constants (Robertson and Zaragoza 2009, with Lucene's idf)."""
REMEMBERED = 50_000
"""Tokens of which it is kept how many rows hold them."""
KEPT_PLACES = 2_000
"""Tokens of which a part keeps where their rows stand, 0.3 MB."""
FREQUENT = 10
"""A token that more than one of so many rows hold is frequent: its idf is below 2.4, that of a rare one above 10."""
ROUNDING = 1e-4
"""Sums of the same 32-bit numbers differ by less than this part."""
LOOKED_UP = 12
"""Looking one row up among those of a token takes as long as going through so many of these."""
BLOCKS = 16
"""Blocks that rows are parted into for each of the k best, to find out what score these have at least."""
MOST = np.iinfo(np.uint16).max

Fields = tuple[tuple[str, float], ...]
WORDS: Fields = (("whole", WHOLE_WEIGHT), ("near", 1 - WHOLE_WEIGHT))
GRAMS: Fields = (("grams", 1.0),)
"""What an index is made of: the fields of `Tokens` and their weights."""
FIELDS: tuple[str, ...] = tuple(name for name, _ in (*WORDS, *GRAMS))


@dataclass(frozen=True, slots=True)
class Tokens:
    """A row's tokens: with the whole way to the passage, with the near part of it only, and the grams of the latter."""

    whole: Sequence[str]
    near: Sequence[str]
    grams: Sequence[str] = ()


class TokenPostings(Protocol):
    """How often each token stands in each row of one field of one part, wherever that is kept."""

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Tokens of each row  # (n,)."""
        ...

    def __len__(self) -> int: ...

    def holding(self, token: str) -> int:
        """How many rows hold a token."""
        ...

    def of(self, token: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16]]:
        """The rows that hold a token, ascending, and how often each holds it."""
        ...


class Postings:
    """How often each token stands in each row of one field.

    The rows of token t are `rows[starts[t]:starts[t + 1]]`, ascending, and `counts` likewise; `lengths` are the tokens
    of each row.  # rows (m,) int32; counts (m,) uint16; starts (tokens + 1,) int64; lengths (n,) int32
    """

    def __init__(
        self,
        tokens: Sequence[str],
        starts: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int32],
        counts: npt.NDArray[np.uint16],
        lengths: npt.NDArray[np.int32],
    ) -> None:
        if len(starts) != len(tokens) + 1 or not len(rows) == len(counts) == starts[-1]:
            raise ValueError(f"postings of different size: {len(tokens)}, {len(starts)}, {len(rows)}")
        self.tokens = tokens if isinstance(tokens, Vocabulary) else Vocabulary(tokens)
        self.starts, self.rows, self.counts, self.lengths = starts, rows, counts, lengths
        self._parts: dict[str, slice] = {}

    @classmethod
    def build(cls, rows: Sequence[Sequence[str]]) -> Postings:
        """The postings of the tokens of each row."""
        number: dict[str, int] = {}
        found: list[tuple[int, int, int]] = []
        for row, tokens in enumerate(rows):
            found.extend(
                (number.setdefault(token, len(number)), row, min(times, MOST))
                for token, times in Counter(tokens).items()
            )
        triples = np.array(found, dtype=np.int64).reshape(-1, 3)
        lengths = np.array([len(row) for row in rows], dtype=np.int32)
        order = np.argsort(triples[:, 0], kind="stable")  # rows stay ascending within a token
        starts = np.zeros(len(number) + 1, dtype=np.int64)
        np.cumsum(np.bincount(triples[:, 0], minlength=len(number)), out=starts[1:])
        rows_of, counts = triples[order, 1].astype(np.int32), triples[order, 2].astype(np.uint16)
        return cls(list(number), starts, rows_of, counts, lengths)

    @classmethod
    def joined(cls, parts: Sequence[tuple[Postings, npt.NDArray[np.int64]]]) -> Postings:
        """The postings of the given rows (ascending) of each part, one part after the other."""
        # two passes, first of how many rows each token has: so nothing but the postings themselves is held, 1.7 GB of a
        # million rows' grams
        number: dict[str, int] = {}
        found: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
        for part, kept in parts:
            before = np.concatenate([np.zeros(1, np.int64), np.cumsum(part._among(kept))])
            holding = np.diff(before[part.starts])
            used = np.flatnonzero(holding)
            words = list(part.tokens)
            known = [number.setdefault(words[t], len(number)) for t in used.tolist()]
            found.append((np.array(known, dtype=np.int32), holding[used].astype(np.int32)))
        starts = np.zeros(len(number) + 1, dtype=np.int64)
        for known_tokens, holding in found:
            starts[known_tokens + 1] += holding
        np.cumsum(starts, out=starts)
        rows, counts = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.uint16)
        free, size = starts[:-1].copy(), 0  # where the next row of each token goes
        for (part, kept), (known_tokens, holding) in zip(parts, found, strict=True):
            inside = part._among(kept)
            own_starts = np.cumsum(holding, dtype=np.int64) - holding
            places = np.repeat(free[known_tokens] - own_starts, holding)
            places += np.arange(len(places))
            rows[places] = size + np.searchsorted(kept, part.rows[inside])
            counts[places] = part.counts[inside]
            free[known_tokens] += holding
            size += len(kept)
        lengths = np.concatenate([np.zeros(0, np.int32), *(part.lengths[kept] for part, kept in parts)])
        return cls(list(number), starts, rows, counts, lengths)

    def _among(self, kept: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which postings are of the given rows  # (m,) bool."""
        marks = np.zeros(len(self.lengths), dtype=bool)
        marks[kept] = True
        return marks.take(self.rows)

    @classmethod
    def load(cls, folder: Path) -> Postings:
        """The postings written by `save`."""
        # mapped: of a million rows only the postings of the tokens asked for come into memory
        arrays = [
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
            for name in _ARRAYS
        ]
        return cls(Vocabulary.load(folder), *arrays)

    def save(self, folder: Path) -> None:
        """Writes the postings into a folder (numpy arrays and JSON)."""
        folder.mkdir(parents=True)
        self.tokens.save(folder)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    def __len__(self) -> int:
        return len(self.lengths)

    def holding(self, token: str) -> int:
        """How many rows hold a token."""
        part = self._part(token)
        return int(part.stop - part.start)

    def of(self, token: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16]]:
        """The rows that hold a token, ascending, and how often each holds it."""
        part = self._part(token)
        return self.rows[part], self.counts[part]

    def _part(self, token: str) -> slice:
        """Where the rows of a token stand; the places of tokens that were asked for are kept: a question asks five times."""
        part = self._parts.get(token)
        if part is None:
            number = self.tokens.number(token)
            part = (
                slice(0, 0)
                if number is None
                else slice(int(self.starts[number]), int(self.starts[number + 1]))
            )
            if len(self._parts) >= KEPT_PLACES:
                self._parts.clear()
            self._parts[token] = part
        return part


_ARRAYS = ("starts", "rows", "counts", "lengths")


class LexicalIndex:
    """BM25 over the rows of several parts, one part after the other; a row's score is the weighted sum of its fields.

    The names above a passage help to find it (the case's title) and hide it (a book's title stands over all of its
    passages alike). Neither with nor without them is best; the sum is, for every weight of the vectors tried.
    """

    def __init__(
        self,
        parts: Sequence[Mapping[str, TokenPostings]],
        fields: Fields = WORDS,
        live: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """`live`  # (n,) says which rows count, all where it is None; the others are as if they were not there."""
        sizes = [len(part[fields[0][0]]) for part in parts]
        self._size = sum(sizes)
        self._live = np.ones(self._size, dtype=bool) if live is None else live
        self._all = bool(self._live.all())
        self._dead = np.flatnonzero(~self._live)
        self._count = self._size - len(self._dead)
        offsets = np.cumsum([0, *sizes])[:-1].tolist()
        self._fields = [
            _Field(
                weight,
                [(offset, part[name]) for offset, part in zip(offsets, parts, strict=True)],
                self._live,
            )
            for name, weight in fields
        ]

    @classmethod
    def build(cls, rows: Sequence[Tokens], fields: Fields = WORDS) -> LexicalIndex:
        """An index of the tokens of each row, in one part."""
        return cls([postings_of(rows)], fields)

    def __len__(self) -> int:
        return self._size

    def scores(self, tokens: Sequence[str]) -> npt.NDArray[np.float32]:
        """The score of every row  # (n,) float32, 0 where no token matches."""
        return self._added(self._terms(tokens), np.zeros(self._size, dtype=np.float32))

    def _terms(self, tokens: Sequence[str]) -> list[_Term]:
        """What is asked of each field, the rarest first: in this order scores are summed."""
        terms = [
            _Term(field, token, holding, field.weight * _idf(self._count, holding))
            for field in self._fields
            for token in dict.fromkeys(tokens)
            if (holding := self._holding(field, token))
        ]
        return sorted(terms, key=lambda term: term.holding)

    def _added(self, terms: Sequence[_Term], total: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """`total` with what the terms give every row  # (n,) float32."""
        for term in terms:
            for places, counts in term.field.places(term.token):
                np.add.at(total, places, np.float32(term.weight) * term.field.shares(places, counts))
        total[self._dead] = 0
        return total

    def full_score(self, tokens: Sequence[str]) -> float:
        """What a row would score at most that holds every token without end: the sum of their idf.

        A token that no row holds counts too, as the rarest: a question in other words than the documents' stays low.
        """
        return sum(
            field.weight
            * sum(_idf(self._count, self._holding(field, token)) for token in dict.fromkeys(tokens))
            for field in self._fields
        )

    def holds(self, token: str) -> bool:
        """Whether any row that counts has a token, in any field."""
        return any(self._holding(field, token) for field in self._fields)

    def _holding(self, field: _Field, token: str) -> int:
        """How many rows that count hold a token: each is asked for twice a question, and many by the next ones again."""
        holding = field.held.get(token)
        if holding is None:
            holding = (
                sum(postings.holding(token) for _, postings in field.parts)
                if self._all
                else sum(self._counted(places) for places, _ in field.places(token))
            )
            if len(field.held) >= REMEMBERED:
                field.held.clear()
            field.held[token] = holding
        return holding

    def _counted(self, places: npt.NDArray[np.int64]) -> int:
        """How many of these rows (ascending) count."""
        if LOOKED_UP * len(self._dead) > len(places):
            return int(np.count_nonzero(self._live.take(places)))
        at = np.searchsorted(places, self._dead)
        at[at == len(places)] = 0
        return len(places) - int(np.count_nonzero(places[at] == self._dead))

    def search(
        self,
        tokens: Sequence[str],
        k: int,
        rows: npt.NDArray[np.int64] | None = None,
        scope: Scope | None = None,
    ) -> list[tuple[int, float]]:
        """(row, score) of the k best, best first; only among `rows` where given; rows without a match are left out.

        `scope` are the same rows in ids, for an index whose rows are elsewhere.
        """
        if k <= 0:
            return []
        terms = self._terms(tokens)
        frequent = [term for term in terms if term.holding * FREQUENT > self._size]
        rare = terms[: len(terms) - len(frequent)]
        scores = self._added(rare, np.zeros(self._size, dtype=np.float32))
        mask = None
        if rows is not None:
            mask = np.zeros(self._size, dtype=bool)
            mask[rows] = True
            scores *= mask
        # What frequent tokens can add is little. A row that lacks more than that of what k rows have without them is not
        # among the best; so they are looked up for the others, where these are few. (MaxScore, Turtle and Flood 1995)
        more = sum(term.weight for term in frequent)
        least = _reached(scores, k) * (1 - ROUNDING) - more * (1 + ROUNDING)
        near = np.flatnonzero(scores >= least) if frequent and least > 0 else None
        if near is not None and LOOKED_UP * len(near) * len(frequent) < sum(
            term.holding for term in frequent
        ):
            values = scores[near]
            for term in frequent:
                term.add_to(values, near)
        else:
            scores = self._added(frequent, scores)
            if mask is not None:
                scores *= mask
            least = _reached(scores, k)
            near = np.flatnonzero(scores >= least if least > 0 else scores)
            values = scores[near]
        # by score, then by row, so that equal scores always come in one order
        order = np.argsort(-values, kind="stable")[:k]
        return list(zip(near[order].tolist(), values[order].tolist(), strict=True))


class _Field:
    """One field over all parts; `norms` is what BM25 adds to the count, by the length of each row  # (n,) float32."""

    def __init__(
        self, weight: float, parts: Sequence[tuple[int, TokenPostings]], live: npt.NDArray[np.bool_]
    ) -> None:
        self.weight, self.parts = weight, parts
        self.held: dict[str, int] = {}
        lengths = np.concatenate([np.zeros(0, np.int32), *(postings.lengths for _, postings in parts)])
        # a row without a token counts as one of one token, so that an average is never zero
        lengths = np.maximum(lengths, 1).astype(np.float64)
        average = float(lengths[live].mean()) if live.any() else 1.0
        self.norms = (K1 * (1 - B + B * lengths / average)).astype(np.float32)

    def places(self, token: str) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]]:
        """For each part that holds a token, the rows that hold it, ascending, and how often."""
        found = []
        for offset, postings in self.parts:
            if postings.holding(token):
                rows, counts = postings.of(token)
                # NumPy converts what it indexes with to int64, each time anew
                places = rows.astype(np.int64)
                places += offset
                found.append((places, counts))
        return found

    def shares(
        self, places: npt.NDArray[np.int64], counts: npt.NDArray[np.uint16]
    ) -> npt.NDArray[np.float32]:
        """What BM25 makes of a token's counts in rows: from 0 to 1, to be multiplied with its idf."""
        times = counts.astype(np.float32)
        below = self.norms.take(places)
        below += times
        times /= below
        return times


@dataclass(frozen=True, slots=True)
class _Term:
    """A token asked of a field: how many rows hold it, and what a row scores at most for it."""

    field: _Field
    token: str
    holding: int
    weight: float

    def add_to(self, values: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]) -> None:
        """Adds to the values of some rows (ascending) what this term gives them."""
        for offset, postings in self.field.parts:
            holding, counts = postings.of(self.token)
            if not len(holding):
                continue
            first, end = np.searchsorted(rows, [offset, offset + len(postings)]).tolist()
            own = (rows[first:end] - offset).astype(
                np.int32
            )  # as the postings: else all of these are converted
            at = np.searchsorted(holding, own)
            at[at == len(holding)] = 0
            hit = np.flatnonzero(holding[at] == own)
            places = rows[first:end][hit]
            values[first + hit] += np.float32(self.weight) * self.field.shares(places, counts[at[hit]])


def postings_of(rows: Sequence[Tokens]) -> dict[str, Postings]:
    """The postings of every field of rows, by the field's name."""
    return {name: Postings.build([getattr(row, name) for row in rows]) for name in FIELDS}


def _reached(scores: npt.NDArray[np.float32], k: int) -> float:
    """A score that k rows reach, as high as one can say quickly: that of the best rows of k of many blocks.

    The k best of a million scores are then looked for among those that reach it, which takes a tenth of the time.
    """
    size = len(scores) // (BLOCKS * k)
    best = scores[: len(scores) // size * size].reshape(-1, size).max(axis=1) if size > 1 else scores
    return float(np.partition(best, len(best) - k)[len(best) - k]) if len(best) > k else 0.0


def _idf(size: int, holding: int) -> float:
    """Lucene's idf: ln(1 + (N - n + 0.5) / (n + 0.5))."""
    return math.log1p((size - holding + 0.5) / (holding + 0.5))
