"""Nearest vectors: FAISS judged by numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index.dense import DenseIndex

BASIS = np.eye(3, dtype=np.float32)


def unit(n: int, dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute(vectors: np.ndarray, query: np.ndarray, k: int, rows: list[int]) -> list[int]:
    scores = vectors @ query
    return sorted(rows, key=lambda row: -scores[row])[:k]


def test_by_hand() -> None:
    index = DenseIndex.build(BASIS)
    found = index.search(np.array([0.8, 0.0, 0.6], np.float32), 2)
    assert [row for row, _ in found] == [0, 2]
    assert [score for _, score in found] == pytest.approx([0.8, 0.6])
    assert (len(index), index.dimension) == (3, 3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 10, 300])
def test_agrees_with_numpy(seed: int, k: int) -> None:
    vectors, query = unit(300, 24, seed), unit(1, 24, seed + 100)[0]
    found = DenseIndex.build(vectors).search(query, k)
    assert [row for row, _ in found] == brute(vectors, query, k, list(range(300)))
    assert [score for _, score in found] == pytest.approx(
        [float(vectors[row] @ query) for row, _ in found], abs=1e-5
    )


@pytest.mark.parametrize("seed", range(5))
def test_only_among_the_rows_given(seed: int) -> None:
    vectors, query = unit(200, 8, seed), unit(1, 8, seed + 100)[0]
    rows = np.sort(np.random.default_rng(seed).choice(200, 30, replace=False)).astype(np.int64)
    index = DenseIndex.build(vectors)
    for k in (1, 10, 30, 31, 1000):
        assert [row for row, _ in index.search(query, k, rows)] == brute(vectors, query, k, rows.tolist())


def test_never_a_row_that_is_not_there() -> None:
    index = DenseIndex.build(BASIS)
    for rows, expected in (
        (None, {0, 1, 2}),
        (np.array([1], np.int64), {1}),
        (np.array([1, 1, 1], np.int64), {1}),  # a row given thrice: FAISS fills up with -1
        (np.array([2, 7, 99], np.int64), {2}),  # rows beyond the end
    ):
        found = index.search(BASIS[0], 50, rows)
        assert {row for row, _ in found} == expected
        assert len(found) == len(expected)


def test_nothing_to_find() -> None:
    index = DenseIndex.build(BASIS)
    assert index.search(BASIS[0], 0) == []
    assert index.search(BASIS[0], 5, np.array([], np.int64)) == []
    empty = DenseIndex.build(np.zeros((0, 3), np.float32))
    assert (len(empty), empty.search(BASIS[0], 5)) == (0, [])
    assert empty.vectors().shape[0] == 0


def test_saved_and_loaded(tmp_path: Path) -> None:
    vectors = unit(50, 8, 3)
    built = DenseIndex.build(vectors)
    built.save(tmp_path / "vectors.faiss")
    loaded = DenseIndex.load(tmp_path / "vectors.faiss")
    assert loaded.vectors().tobytes() == built.vectors().tobytes() == vectors.tobytes()
    assert loaded.vectors().dtype == np.float32
    assert loaded.search(vectors[7], 5) == built.search(vectors[7], 5)
    assert (len(loaded), loaded.dimension) == (50, 8)


def test_vectors_in_another_memory_layout() -> None:
    vectors = unit(20, 8, 4)
    turned = DenseIndex.build(np.asfortranarray(vectors.astype(np.float64)))  # type: ignore[arg-type]
    assert turned.search(vectors[3], 1)[0][0] == 3
