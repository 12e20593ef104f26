"""Late interaction: how well every word of a question is met by some word of a passage, and its best sentence.

In: the encoder's token vectors of each passage, and of a question. Out: two scores per row, for the few rows that the
other engines found.
MaxSim = Σᵢ wᵢ maxⱼ cos(qᵢ, pⱼ) / Σᵢ wᵢ over the question's tokens i and the passage's tokens j (Khattab and Zaharia 2020,
ColBERT); the weight wᵢ is the idf of the token, so that 「ください」 counts little. The vectors are those of the same model
that makes the passages' vectors, nothing is trained for it.
The nearness of a sentence is the cosine of the question's vector and the mean of the sentence's tokens.

A token is kept as `dimension` signed bytes and a scale, in files that are mapped and not read: only the pages of the
rows that are scored come into memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from index.dense import Vectors

Number = TypeVar("Number", bound=np.generic)
_FILES = ("vectors.i8", "scales.f4", "ids.i4", "sentences.u2", "norms.f4")
NO_SENTENCE = 65535
"""The number of the sentence of a token that belongs to none: of a passage's context."""
BLOCK = 512
"""Tokens that are compared at once, at the most: as floats of 384 dimensions 0.8 MB."""
AT_ONCE, LEAST_BLOCK, BLOCK_STEP = 1_000_000, 64, 32
"""OpenBLAS does not copy what has so few products first, which takes a quarter less time; in fewer tokens nothing is gained."""


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The tokens of one text: their numbers in the model's vocabulary, their vectors, and where in the text they start.

    ids  # (n,) int32; vectors  # (n, dim) float32, unit length; starts  # (n,) int32, characters
    """

    ids: npt.NDArray[np.int32]
    vectors: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """Tokens as they are kept: a vector is `vectors[i] * scales[i]`, and stands in the sentence `sentences[i]`.

    ids  # (n,) int32; vectors  # (n, dim) int8; scales  # (n,) float32; sentences  # (n,) uint16, ascending; norms  # (n,)
    float32, the length of the sum of the vectors of a token's sentence, which makes a cosine of a dot product
    """

    ids: npt.NDArray[np.int32]
    vectors: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    sentences: npt.NDArray[np.uint16]
    norms: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near a row is: MaxSim of its tokens, and the cosine of its nearest sentence (None where it has none)."""

    row: int
    maxsim: float
    sentence: float | None


def pack(tokens: TokenVectors, sentences: Sequence[int]) -> PackedTokens:
    """Token vectors in a quarter of the space; a component errs by at most 1/254 of the vector's largest.

    `sentences` are the places where the text's sentences start; tokens before the first are context.
    """
    largest = np.abs(tokens.vectors).max(axis=1, initial=0.0)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    number = np.searchsorted(np.asarray(sentences, np.int64), tokens.starts, side="right") - 1
    number = np.where((number < 0) | (number >= NO_SENTENCE), NO_SENTENCE, number)
    vectors = np.rint(tokens.vectors / scales[:, None]).astype(np.int8)
    norms = np.zeros(len(number), np.float32)
    if len(number):
        starts = np.flatnonzero(np.diff(number, prepend=-1))
        sums = np.add.reduceat(vectors * scales[:, None], starts, axis=0)
        norms = np.repeat(np.linalg.norm(sums, axis=1), np.diff([*starts, len(number)])).astype(np.float32)
    return PackedTokens(tokens.ids, vectors, scales, number.astype(np.uint16), norms)


class LateWriter:
    """Writes rows one after another into a folder; `close` writes where each row stands."""

    def __init__(self, folder: Path, dimension: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._dimension = folder, dimension
        self._files = [(folder / name).open("wb") for name in _FILES]
        self._places: dict[str, tuple[int, int]] = {}
        self._size = 0

    def __enter__(self) -> LateWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()

    def discard(self) -> None:
        """Removes the folder: there are no token vectors to keep."""
        for file in self._files:
            file.close()
        shutil.rmtree(self._folder)

    def add(self, key: str, tokens: PackedTokens) -> None:
        """Keeps a passage's tokens under its key; a key that is there already is left as it is."""
        if key in self._places:
            return
        for file, values in zip(
            self._files,
            (tokens.vectors, tokens.scales, tokens.ids, tokens.sentences, tokens.norms),
            strict=True,
        ):
            file.write(np.ascontiguousarray(values).tobytes())
        self._places[key] = (self._size, len(tokens.ids))
        self._size += len(tokens.ids)

    def close(self, keys: Sequence[str]) -> None:
        """Ends the files; `keys` are the keys of the rows in row order, several rows may share one."""
        for file in self._files:
            file.flush()
        places = np.array([self._places[key] for key in keys], dtype=np.int64).reshape(-1, 2)
        np.save(self._folder / "places.npy", places, allow_pickle=False)
        np.save(self._folder / "dimension.npy", np.array(self._dimension), allow_pickle=False)
        ids = np.fromfile(self._folder / "ids.i4", dtype=np.int32)
        held = [np.unique(ids[start : start + count]) for start, count in places]
        tokens, rows = np.unique(np.concatenate([*held, np.zeros(0, np.int32)]), return_counts=True)
        np.save(
            self._folder / "frequencies.npy", np.stack([tokens, rows]).astype(np.int64), allow_pickle=False
        )


class TokenRows(Protocol):
    """The token vectors of the rows of one part, wherever they are kept."""

    @property
    def frequencies(self) -> npt.NDArray[np.int64]:
        """Tokens, and how many rows hold each  # (2, m)."""
        ...

    def __len__(self) -> int: ...

    def packed(self, rows: Sequence[int]) -> list[PackedTokens]:
        """The tokens of some rows."""
        ...

    def ids(self, rows: Sequence[int]) -> list[npt.NDArray[np.int32]]:
        """Only the numbers of the tokens of some rows."""
        ...


class TokenFile:
    """The token vectors of the rows of one part, mapped from a folder written by `LateWriter`."""

    def __init__(self, folder: Path) -> None:
        self._places = np.load(folder / "places.npy", allow_pickle=False)
        self.dimension = int(np.load(folder / "dimension.npy", allow_pickle=False))
        self.vectors = _mapped(folder / "vectors.i8", np.int8).reshape(-1, self.dimension)
        self.scales = _mapped(folder / "scales.f4", np.float32)
        self._ids = _mapped(folder / "ids.i4", np.int32)
        self.sentences = _mapped(folder / "sentences.u2", np.uint16)
        self.norms = _mapped(folder / "norms.f4", np.float32)
        # (2, m) int64: tokens, and how many rows hold each
        self.frequencies = np.load(folder / "frequencies.npy", allow_pickle=False)
        each = (self.vectors, self.scales, self._ids, self.sentences, self.norms)
        sizes = {len(values) for values in each}
        if len(sizes) != 1:
            raise ValueError(f"token files of different length: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self._places)

    def place(self, row: int) -> tuple[int, int]:
        """Where the tokens of a row start, and how many there are."""
        start, count = self._places[row]
        return int(start), int(count)

    def row(self, row: int) -> PackedTokens:
        """The tokens of a row, for another part."""
        (found,) = self.packed([row])
        return PackedTokens(
            np.array(found.ids),
            np.array(found.vectors),
            np.array(found.scales),
            np.array(found.sentences),
            np.array(found.norms),
        )

    def packed(self, rows: Sequence[int]) -> list[PackedTokens]:
        """The tokens of some rows, as they stand in the mapped files."""
        parts = [slice(start, start + count) for start, count in map(self.place, rows)]
        return [
            PackedTokens(
                self._ids[part],
                self.vectors[part],
                self.scales[part],
                self.sentences[part],
                self.norms[part],
            )
            for part in parts
        ]

    def ids(self, rows: Sequence[int]) -> list[npt.NDArray[np.int32]]:
        """Only the numbers of the tokens of some rows."""
        return [self._ids[start : start + count] for start, count in map(self.place, rows)]


class LateIndex:
    """The token vectors of all rows, one part after the other."""

    def __init__(self, parts: Sequence[TokenRows], live: npt.NDArray[np.bool_] | None = None) -> None:
        """`live`  # (n,) says which rows count, all where it is None."""
        self._parts = tuple(parts)
        self._offsets = np.cumsum([0, *map(len, parts)])
        self._count = len(self) if live is None else int(live.sum())
        held = [part.frequencies for part in parts]
        largest = max((int(tokens.max(initial=-1)) for tokens, _ in held), default=-1)
        self._holding = np.zeros(largest + 1, dtype=np.int64)
        for tokens, rows in held:
            self._holding[tokens] += rows
        dead = np.zeros(0, np.int64) if live is None else np.flatnonzero(~live)
        for part, offset in zip(self._parts, self._offsets.tolist(), strict=False):
            own = dead[(dead >= offset) & (dead < offset + len(part))] - offset
            if len(own):
                tokens, rows = _held_by(part, own)
                self._holding[tokens] -= rows

    @classmethod
    def load(cls, folder: Path) -> LateIndex:
        """The index of one part, all of whose rows count."""
        return cls([TokenFile(folder)])

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def packed(self, rows: Sequence[int]) -> list[PackedTokens]:
        """The tokens of some rows, in their order."""
        asked = np.asarray(rows, dtype=np.int64)
        number = np.searchsorted(self._offsets, asked, side="right") - 1
        found: dict[int, PackedTokens] = {}
        # each part once: one that is not on this machine is asked for all of its rows at the same time
        for part in np.unique(number).tolist():
            own = asked[number == part]
            packed = self._parts[part].packed((own - self._offsets[part]).tolist())
            found.update(zip(own.tolist(), packed, strict=True))
        return [found[row] for row in rows]

    def weights(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """The idf of tokens, as Lucene's BM25 has it: ln(1 + (N - n + 0.5) / (n + 0.5)) of n rows in N."""
        known = (ids >= 0) & (ids < len(self._holding))
        holding = np.zeros(len(ids), dtype=np.float64)
        holding[known] = self._holding[ids[known]]
        idf = np.log1p((self._count - holding + 0.5) / (holding + 0.5))
        weights: npt.NDArray[np.float32] = idf.astype(np.float32)
        return weights

    def scores(
        self,
        question: TokenVectors,
        vector: Vectors,
        rows: Sequence[int],
        compared: dict[int, Compared] | None = None,
    ) -> list[Nearness]:
        """The nearness of `rows` to a question, in their order; rows without tokens and an empty question give none.

        `vector`  # (dim,) is the question's; `compared` are rows that were compared with it before, by their numbers: those
        that are new are put into it.
        """
        weights = self.weights(question.ids)
        if not len(question) or weights.sum() <= 0:
            return []
        known = self._all_compared(question, vector, rows, compared)
        if not known:
            return []
        best = np.array([one.best for _, one in known])  # (rows, tokens of the question)
        maxsim = (best @ weights / weights.sum()).tolist()
        return [Nearness(row, score, one.nearest) for (row, one), score in zip(known, maxsim, strict=True)]

    def sentences(
        self,
        question: TokenVectors,
        vector: Vectors,
        row: int,
        compared: dict[int, Compared] | None = None,
    ) -> dict[int, tuple[float, float]]:
        """(MaxSim, cosine) of each sentence of a row by its number; a sentence too short to have a token is missing."""
        weights = self.weights(question.ids)
        if not len(question) or weights.sum() <= 0:
            return {}
        known = self._all_compared(question, vector, [row], compared)
        if not known:
            return {}
        one = known[0][1]
        maxsim = (one.sentences @ weights / weights.sum()).tolist()
        return {
            number: (score, cosine)
            for number, score, cosine in zip(one.numbers.tolist(), maxsim, one.cosines.tolist(), strict=True)
            if number != NO_SENTENCE
        }

    def _all_compared(
        self,
        question: TokenVectors,
        vector: Vectors,
        rows: Sequence[int],
        compared: dict[int, Compared] | None,
    ) -> list[tuple[int, Compared]]:
        """Each of the rows that has tokens, compared with a question."""
        known = {} if compared is None else compared
        new = [row for row in dict.fromkeys(rows) if row not in known]
        read = self.packed(new) if new else []
        packed = [(row, one) for row, one in zip(new, read, strict=True) if len(one.ids)]
        if packed:
            found = _compared([one for _, one in packed], question, vector)
            known.update(zip([row for row, _ in packed], found, strict=True))
        return [(row, known[row]) for row in rows if row in known]


_Held = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
_counted: WeakKeyDictionary[TokenRows, tuple[npt.NDArray[np.int64], _Held]] = WeakKeyDictionary()
"""Of parts in use: rows whose tokens were counted last, and the counts. The next version leaves out the same rows and a few more."""


def _held_by(part: TokenRows, rows: npt.NDArray[np.int64]) -> _Held:
    """The tokens that rows (ascending) hold, ascending, and how many of the rows hold each."""
    before, (tokens, counts) = _counted.get(part, (rows[:0], (rows[:0], rows[:0])))
    if len(np.setdiff1d(before, rows, assume_unique=True)):
        before, tokens, counts = rows[:0], rows[:0], rows[:0]
    more = [np.unique(ids) for ids in part.ids(np.setdiff1d(rows, before, assume_unique=True).tolist())]
    every, place = np.unique(np.concatenate([tokens, *more]), return_inverse=True)
    weights = np.concatenate([counts, np.ones(len(place) - len(tokens), np.int64)])
    found = every.astype(np.int64), np.bincount(place, weights, len(every)).astype(np.int64)
    _counted[part] = rows, found
    return found


@dataclass(frozen=True, slots=True)
class Compared:
    """A row, compared with a question.

    numbers  # (s,) uint16, its sentences, NO_SENTENCE for its context; sentences  # (s, tokens of the question), for each of
    these tokens the cosine of the nearest one of the sentence; cosines  # (s,) of the sentences and the whole question; best
    # (tokens of the question,) over all sentences; nearest: the best of the cosines, None where there is only context
    """

    numbers: npt.NDArray[np.uint16]
    sentences: Vectors
    cosines: Vectors
    best: Vectors
    nearest: float | None


def _compared(rows: Sequence[PackedTokens], question: TokenVectors, vector: Vectors) -> list[Compared]:
    """Rows with tokens, each compared with the tokens of a question and with its vector."""
    sizes = np.array([len(one.ids) for one in rows])
    products = _products(rows, np.concatenate([question.vectors, vector[None]]))
    # after the product, where there is less of it
    products *= np.concatenate([one.scales for one in rows])[:, None]
    numbers = np.concatenate([one.sentences for one in rows])
    first = np.cumsum(sizes) - sizes
    begins = np.empty(len(numbers), dtype=bool)
    np.not_equal(numbers[1:], numbers[:-1], out=begins[1:])
    begins[first] = True
    starts = np.flatnonzero(begins)  # tokens of one sentence stand together
    sentences = np.maximum.reduceat(products[:, :-1], starts, axis=0)
    # the mean of a sentence has the direction of its sum, and a product with a sum is the sum of the products
    norms = np.concatenate([one.norms for one in rows])[starts]
    cosines = np.add.reduceat(products[:, -1], starts) / np.maximum(norms, 1e-9)
    own = np.searchsorted(starts, first)  # the first sentence of each row
    best = np.maximum.reduceat(sentences, own, axis=0)
    numbers = numbers[starts]
    inside = np.where(numbers == NO_SENTENCE, -np.inf, cosines)
    nearest = np.maximum.reduceat(inside, own).tolist()
    return [
        Compared(
            numbers[begin:end],
            sentences[begin:end],
            cosines[begin:end],
            best[place],
            nearest[place] if nearest[place] > -np.inf else None,
        )
        for place, (begin, end) in enumerate(pairwise([*own.tolist(), len(starts)]))
    ]


def _products(rows: Sequence[PackedTokens], question: Vectors) -> Vectors:
    """The products of the tokens of rows, without their scales, with vectors of a question  # (n, vectors)."""
    # block by block: converted at once, the tokens of sixty rows are 10 MB, which do not stay in the processor's cache
    size = _block(len(question), question.shape[1])
    turned = np.ascontiguousarray(question.T)
    products = np.empty((sum(len(one.ids) for one in rows), len(question)), np.float32)
    block = np.empty((size, question.shape[1]), np.float32)
    filled = done = 0
    for one in rows:
        at = 0
        while at < len(one.vectors):
            taken = min(size - filled, len(one.vectors) - at)
            block[filled : filled + taken] = one.vectors[at : at + taken]
            filled, at = filled + taken, at + taken
            if filled == size:
                np.matmul(block, turned, out=products[done : done + size])
                filled, done = 0, done + size
    np.matmul(block[:filled], turned, out=products[done:])
    return products


def _block(vectors: int, dimension: int) -> int:
    """How many tokens are best compared at once with so many vectors of a question."""
    small = AT_ONCE // (vectors * dimension) // BLOCK_STEP * BLOCK_STEP
    return min(small, BLOCK) if small >= LEAST_BLOCK else BLOCK


def _mapped(path: Path, kind: type[Number]) -> npt.NDArray[Number]:
    # an empty file cannot be mapped; a slice of the plain view costs a third of a slice of the mapping
    return (
        np.zeros(0, kind)
        if path.stat().st_size == 0
        else np.memmap(path, dtype=kind, mode="r").view(np.ndarray)
    )
