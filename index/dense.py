"""Nearest vectors: inner product in FAISS, exact, and beyond `EXACT_BELOW` rows by a coarse look at all of them first.

In: vectors of unit length, one a row. Out: rows with their cosines, best first. Rows are positions in the order
given to `build`; what they stand for is the store's knowledge. The vectors are kept whole, in one file. Of many rows a
second file keeps four bits for each two numbers (product quantization in registers: André, Kermarrec and Le Scouarnec 2017):
all of these codes are looked through, and the best `TAKEN` times as many as are asked for are ordered by their whole vectors,
of which only those are read. So every cosine is exact, and of the rows at most the last ones of a list may be others than an
exact search finds (benchmarks/scale.py). Unlike lists and graphs this costs the same however the rows are parted into
segments, leaves the hardest questions no worse than the others, and a million rows are made in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]

EXACT_BELOW = 10_000
"""Below so many rows there are no codes: an exact search of all takes a millisecond. An index of a million rows has some
twenty parts, each with its headings, so this is asked of a part and not of the whole."""
TAKEN = 20
"""Rows taken by their codes for each that is asked for: of a million, 4,000 hold 99.8 % of the nearest 200."""
AT_LEAST = 4
"""Of many parts each gives a fourth of the rows that are taken of all, if it has them."""
ENOUGH = 10
"""Of the rows taken so many must be allowed for each that is asked for; else all allowed rows are compared."""
COMPARED = 50_000
"""Up to so many allowed rows are compared one by one."""
TRAINED = 20_000
"""Rows that codes are learned from, evenly chosen; more change nothing (FAISS itself takes 4,096 of them)."""


class DenseIndex:
    """An index over unit vectors: the vectors, and their codes where they are many."""

    def __init__(self, exact: faiss.Index, codes: faiss.Index | None = None) -> None:
        if codes is not None and (codes.ntotal, codes.d) != (exact.ntotal, exact.d):
            raise ValueError(
                f"vectors {exact.ntotal} × {exact.d}, but codes {codes.ntotal} × {codes.d}: build the index anew"
            )
        self._exact, self._codes = exact, codes

    @classmethod
    def build(cls, vectors: Vectors) -> DenseIndex:
        """An index of `vectors`  # (n, dim) float32, unit length."""
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        exact = faiss.IndexFlatIP(vectors.shape[1])
        exact.add(vectors)
        if len(vectors) < EXACT_BELOW:
            return cls(exact)
        pieces = vectors.shape[1] // 2 if vectors.shape[1] % 2 == 0 else vectors.shape[1]
        codes = faiss.IndexPQFastScan(vectors.shape[1], pieces, 4, faiss.METRIC_INNER_PRODUCT)
        # hundreds of small problems: two threads wait for each other longer than they compute, minutes on a busy machine
        with threadpool_limits(limits=1, user_api="openmp"):
            codes.train(np.ascontiguousarray(vectors[:: -(-len(vectors) // TRAINED)]))
        codes.add(vectors)
        return cls(exact, codes)

    @classmethod
    def load(cls, path: Path, *, mapped: bool = False) -> DenseIndex:
        """The index written by `save`; `mapped` reads only the pages that are asked for.

        Vectors that have codes are always mapped: few of them are asked for.
        """
        beside = _codes_file(path)
        codes = faiss.read_index(str(beside)) if beside.exists() else None
        flags = faiss.IO_FLAG_MMAP_IFC if mapped or codes is not None else 0
        return cls(faiss.read_index(str(path), flags), codes)

    def save(self, path: Path) -> None:
        """Writes the vectors to one file and their codes, where there are, to one beside it."""
        # not by FAISS itself: where the disk is full it ends the process
        path.write_bytes(faiss.serialize_index(self._exact).data)
        if self._codes is not None:
            _codes_file(path).write_bytes(faiss.serialize_index(self._codes).data)

    def __len__(self) -> int:
        return int(self._exact.ntotal)

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self._exact.d)

    def vectors(self) -> Vectors:
        """All vectors in row order  # (n, dim) float32."""
        return np.asarray(self._exact.reconstruct_n(0, len(self)), dtype=np.float32).reshape(
            len(self), self.dimension
        )

    def vector(self, row: int) -> Vectors:
        """The vector of a row  # (dim,) float32."""
        return np.asarray(self._exact.reconstruct(row), dtype=np.float32)

    def search(self, vector: Vectors, k: int, rows: Rows | Marks | None = None) -> list[tuple[int, float]]:
        """(row, cosine) of the k nearest to `vector`  # (dim,), best first; only among `rows` where given.

        `rows` are rows, or a mark for each  # (n,) bool. Up to COMPARED of them are compared exactly.
        """
        allowed = self._marks(rows)
        count = len(self) if allowed is None else int(np.count_nonzero(allowed))
        k = min(k, count)
        if k <= 0:
            return []
        vector = np.ascontiguousarray(vector, dtype=np.float32)
        if self._codes is None:
            return self._by_all(vector, k, allowed)
        if allowed is not None and count <= COMPARED:
            return self._nearest(vector, k, np.flatnonzero(allowed))
        # of the rows taken by their codes as many are allowed as of all, where both have nothing to do with each other
        taken, _ = self._by_codes(vector, min(len(self), TAKEN * k * len(self) // count))
        if allowed is not None:
            taken = taken[allowed[taken]]
            if len(taken) < min(ENOUGH * k, count):
                taken = np.flatnonzero(allowed)
        return self._nearest(vector, k, np.sort(taken))

    def _marks(self, rows: Rows | Marks | None) -> Marks | None:
        """Which rows are allowed  # (n,) bool; None where all are."""
        if rows is None or rows.dtype == bool:
            return rows  # type: ignore[return-value]
        marks = np.zeros(len(self), dtype=bool)
        marks[rows[(rows >= 0) & (rows < len(self))]] = True
        return marks

    def _by_all(self, vector: Vectors, k: int, allowed: Marks | None) -> list[tuple[int, float]]:
        """The k nearest by FAISS's own exact search."""
        parameters = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            # a bit a row: a set of rows (IDSelectorBatch) takes longer to make than the search itself
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg, arg-type]
        scores, found = self._exact.search(vector[None], k, params=parameters)
        # FAISS fills up with -1 where it finds fewer than k
        both = zip(found[0].tolist(), scores[0].tolist(), strict=True)
        return [(row, score) for row, score in both if row >= 0]

    def _by_codes(self, vector: Vectors, k: int) -> tuple[Rows, Vectors]:
        """The k nearest as far as their codes say, and the cosines that these tell roughly, best first."""
        assert self._codes is not None
        scores, found = self._codes.search(vector[None], k)
        held = found[0] >= 0
        return found[0][held], scores[0][held]

    def _nearest(self, vector: Vectors, k: int, rows: Rows) -> list[tuple[int, float]]:
        """The k nearest of `rows` (ascending: in this order they are read) by their whole vectors."""
        scores = self._cosines(vector, rows)
        if k < len(rows):
            best = np.flatnonzero(scores >= np.partition(scores, len(rows) - k)[len(rows) - k])
            rows, scores = rows[best], scores[best]
        order = np.argsort(-scores, kind="stable")[:k]
        return list(zip(rows[order].tolist(), scores[order].tolist(), strict=True))

    def _cosines(self, vector: Vectors, rows: Rows) -> Vectors:
        """The cosines of some rows by their whole vectors."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        scores = np.empty(len(rows), dtype=np.float32)
        if len(rows):
            self._exact.compute_distance_subset(  # type: ignore[attr-defined]
                1, faiss.swig_ptr(vector), len(rows), faiss.swig_ptr(scores), faiss.swig_ptr(rows)
            )
        return scores


def search_parts(
    parts: Sequence[DenseIndex], vector: Vectors, k: int, allowed: Sequence[Marks]
) -> list[list[tuple[int, float]]]:
    """For each part (row, cosine) of those of its k nearest rows, best first, that can be among the k nearest of all.

    `allowed` marks for each part the rows that may be found. Of parts with codes together as many whole vectors are compared
    as of one with all of their rows: those that the codes say are nearest, in whichever part these are.
    """
    marks = [None if own.all() else own for own in allowed]
    coded = [number for number, part in enumerate(parts) if part._codes is not None]
    size = sum(len(parts[number]) for number in coded)
    count = sum(int(np.count_nonzero(allowed[number])) for number in coded)
    if len(coded) < 2 or count <= COMPARED or count < len(coded) * ENOUGH * k:
        return [part.search(vector, k, own) for part, own in zip(parts, marks, strict=True)]
    vector = np.ascontiguousarray(vector, dtype=np.float32)
    wanted = TAKEN * k * size // count
    taken: list[tuple[int, Rows, Vectors]] = []
    for number in coded:
        # twice what is expected of so large a part, and more where it is small: its rows may be of one matter
        own_wanted = max(wanted // AT_LEAST, 2 * wanted * len(parts[number]) // size)
        rows, scores = parts[number]._by_codes(vector, min(len(parts[number]), wanted, own_wanted))
        if (own := marks[number]) is not None:
            held = own[rows]
            rows, scores = rows[held], scores[held]
        taken.append((number, rows, scores))
    rough = np.concatenate([scores for _, _, scores in taken])
    if len(rough) < min(ENOUGH * k, count):
        return [part.search(vector, k, own) for part, own in zip(parts, marks, strict=True)]
    least = _kth(rough, TAKEN * k)
    chosen = [(number, np.sort(rows[scores >= least])) for number, rows, scores in taken]
    cosines = [parts[number]._cosines(vector, rows) for number, rows in chosen]
    least = _kth(np.concatenate(cosines), k)
    found: list[list[tuple[int, float]]] = [
        [] if part._codes is not None else part.search(vector, k, own)
        for part, own in zip(parts, marks, strict=True)
    ]
    for (number, rows), scores in zip(chosen, cosines, strict=True):
        best = np.flatnonzero(scores >= least)
        best = best[np.argsort(-scores[best], kind="stable")]
        found[number] = list(zip(rows[best].tolist(), scores[best].tolist(), strict=True))
    return found


def _kth(scores: Vectors, k: int) -> float:
    """The k-th best score, or the worst where there are fewer."""
    k = min(k, len(scores))
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])


def _codes_file(path: Path) -> Path:
    return path.with_suffix(".codes")
