"""Late interaction: how well every word of a question is met by some word of a passage (MaxSim).

In: the encoder's token vectors of each passage, and of a question. Out: a score per row, for the few rows that the
other engines found. score = Σᵢ wᵢ maxⱼ cos(qᵢ, pⱼ) / Σᵢ wᵢ over the question's tokens i and the passage's tokens j
(Khattab and Zaharia 2020, ColBERT); the weight wᵢ is the idf of the token, so that 「ください」 counts little. The vectors
are those of the same model that makes the passages' vectors, nothing is trained for it.

A token is kept as `dimension` signed bytes and a scale, in files that are mapped and not read: only the pages of the
rows that are scored come into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

_FILES = ("vectors.i8", "scales.f4", "ids.i4")


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The tokens of one text: their numbers in the model's vocabulary and their vectors.

    ids  # (n,) int32; vectors  # (n, dim) float32, unit length
    """

    ids: npt.NDArray[np.int32]
    vectors: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """Tokens as they are kept: a vector is `vectors[i] * scales[i]`.

    ids  # (n,) int32; vectors  # (n, dim) int8; scales  # (n,) float32
    """

    ids: npt.NDArray[np.int32]
    vectors: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]


def pack(tokens: TokenVectors) -> PackedTokens:
    """Token vectors in a quarter of the space; a component errs by at most 1/254 of the vector's largest."""
    largest = np.abs(tokens.vectors).max(axis=1, initial=0.0)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return PackedTokens(tokens.ids, np.rint(tokens.vectors / scales[:, None]).astype(np.int8), scales)


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

    def add(self, key: str, tokens: PackedTokens) -> None:
        """Keeps a passage's tokens under its key; a key that is there already is left as it is."""
        if key in self._places:
            return
        for file, values in zip(self._files, (tokens.vectors, tokens.scales, tokens.ids), strict=True):
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


class LateIndex:
    """Token vectors by row, mapped from a folder."""

    def __init__(self, folder: Path) -> None:
        self._places = np.load(folder / "places.npy", allow_pickle=False)
        self.dimension = int(np.load(folder / "dimension.npy", allow_pickle=False))
        self._vectors = _mapped(folder / "vectors.i8", np.int8).reshape(-1, self.dimension)
        self._scales = _mapped(folder / "scales.f4", np.float32)
        self._ids = _mapped(folder / "ids.i4", np.int32)
        tokens, rows = np.load(folder / "frequencies.npy", allow_pickle=False)
        self._frequency = dict(zip(tokens.tolist(), rows.tolist(), strict=True))
        if len(self._vectors) != len(self._ids) or len(self._scales) != len(self._ids):
            raise ValueError(f"token files of different length: {len(self._vectors)} and {len(self._ids)}")

    def __len__(self) -> int:
        return len(self._places)

    def row(self, row: int) -> PackedTokens:
        """The tokens of a row, for the next version of the index."""
        start, count = self._places[row]
        part = slice(int(start), int(start + count))
        return PackedTokens(
            np.array(self._ids[part]), np.array(self._vectors[part]), np.array(self._scales[part])
        )

    def weights(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """The idf of tokens, as Lucene's BM25 has it: ln(1 + (N - n + 0.5) / (n + 0.5)) of n rows in N."""
        holding = np.array([self._frequency.get(int(i), 0) for i in ids], dtype=np.float64)
        idf = np.log1p((len(self) - holding + 0.5) / (holding + 0.5))
        weights: npt.NDArray[np.float32] = idf.astype(np.float32)
        return weights

    def scores(self, question: TokenVectors, rows: Sequence[int]) -> list[tuple[int, float]]:
        """(row, score) of `rows` in their order, scores up to 1; rows without tokens and an empty question give none."""
        weights = self.weights(question.ids)
        places = [(row, *map(int, self._places[row])) for row in rows if self._places[row][1]]
        if not places or not len(question) or weights.sum() <= 0:
            return []
        # one product for all rows: many small ones cost more than they compute
        parts = [slice(start, start + count) for _, start, count in places]
        tokens = np.concatenate([self._vectors[part] for part in parts]).astype(np.float32)
        cosines = tokens @ question.vectors.T  # (tokens of all rows, tokens of the question)
        cosines *= np.concatenate([self._scales[part] for part in parts])[:, None]
        starts = np.cumsum([0, *(count for _, _, count in places)])[:-1]
        best = np.maximum.reduceat(cosines, starts, axis=0)  # (rows, tokens of the question)
        found = best @ weights / weights.sum()
        return [(row, float(score)) for (row, _, _), score in zip(places, found, strict=True)]


def _mapped(path: Path, kind: type[np.generic]) -> npt.NDArray[np.generic]:
    # an empty file cannot be mapped
    return np.zeros(0, kind) if path.stat().st_size == 0 else np.memmap(path, dtype=kind, mode="r")
