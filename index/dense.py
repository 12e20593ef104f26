"""Nearest vectors: exact inner product in FAISS.

In: vectors of unit length, one a row. Out: rows with their cosines, best first. Rows are positions in the order
given to `build`; what they stand for is the store's knowledge. Exact search is 100 % recall and under a
millisecond for ten thousand rows.
"""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


class DenseIndex:
    """An exact FAISS index over unit vectors."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: Vectors) -> DenseIndex:
        """An index of `vectors`  # (n, dim) float32, unit length."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index)

    @classmethod
    def load(cls, path: Path, *, mapped: bool = False) -> DenseIndex:
        """The index written by `save`; `mapped` reads only the pages that are asked for."""
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0))

    def save(self, path: Path) -> None:
        """Writes the index to one file."""
        # not by FAISS itself: where the disk is full it ends the process
        path.write_bytes(faiss.serialize_index(self._index).tobytes())

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self._index.d)

    def vectors(self) -> Vectors:
        """All vectors in row order  # (n, dim) float32."""
        return np.asarray(self._index.reconstruct_n(0, len(self)), dtype=np.float32).reshape(
            len(self), self.dimension
        )

    def vector(self, row: int) -> Vectors:
        """The vector of a row  # (dim,) float32."""
        return np.asarray(self._index.reconstruct(row), dtype=np.float32)

    def search(
        self, vector: Vectors, k: int, rows: npt.NDArray[np.int64] | None = None
    ) -> list[tuple[int, float]]:
        """(row, cosine) of the k nearest to `vector`  # (dim,), best first; only among `rows` where given."""
        if rows is not None:
            rows = rows[(rows >= 0) & (rows < len(self))]
        k = min(k, len(self) if rows is None else len(rows))
        if k <= 0:
            return []
        parameters = None
        if rows is not None:
            mask = np.zeros(len(self), dtype=bool)
            mask[rows] = True
            bits = np.packbits(mask, bitorder="little")
            # a bit a row: a set of rows (IDSelectorBatch) takes longer to make than the search itself
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg, arg-type]
        scores, found = self._index.search(vector.reshape(1, -1).astype(np.float32), k, params=parameters)
        # FAISS fills up with -1 where it finds fewer than k
        return [(int(row), float(score)) for row, score in zip(found[0], scores[0], strict=True) if row >= 0]
