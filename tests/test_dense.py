"""Nearest vectors: FAISS judged by numpy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from index import dense
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


def alike(n: int, dim: int, seed: int) -> np.ndarray:
    """Vectors as an encoder gives them: around a mean that all share, and around topics."""
    random = np.random.default_rng(seed)
    topics = random.normal(size=(40, dim))
    rows = 2 + topics[random.integers(40, size=n)] + random.normal(size=(n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few thousand rows are handled as many are."""
    monkeypatch.setattr(dense, "EXACT_BELOW", 1000)
    monkeypatch.setattr(dense, "COMPARED", 500)


def shared(found: list[tuple[int, float]], expected: list[int]) -> float:
    return len({row for row, _ in found} & set(expected)) / len(expected)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("seed", range(3))
def test_of_many_rows_nearly_all_nearest_are_found(seed: int) -> None:
    vectors = alike(3000, 128, seed)
    index = DenseIndex.build(vectors)
    first, whole = [], []
    for query in alike(10, 128, seed + 100):
        found = index.search(query, 100)
        expected = brute(vectors, query, 100, list(range(3000)))
        first.append(shared(found[:10], expected[:10]))
        whole.append(shared(found, expected))
        # what is found has its exact cosine, and comes in order
        assert [score for _, score in found] == pytest.approx(
            [float(vectors[row] @ query) for row, _ in found], abs=1e-6
        )
        assert sorted(found, key=lambda hit: (-hit[1], hit[0])) == found
    assert np.mean(first) >= 0.98
    assert np.mean(whole) >= 0.95


@pytest.mark.usefixtures("many")
def test_few_allowed_of_many_rows_are_compared_exactly() -> None:
    vectors, query = alike(3000, 32, 5), alike(1, 32, 6)[0]
    index = DenseIndex.build(vectors)
    # the rows farthest from the question: none of them is near by its codes
    rows = np.sort(np.argsort(vectors @ query)[:400]).astype(np.int64)
    expected = brute(vectors, query, 30, rows.tolist())
    assert [row for row, _ in index.search(query, 30, rows)] == expected
    marks = np.zeros(3000, dtype=bool)
    marks[rows] = True
    assert index.search(query, 30, marks) == index.search(query, 30, rows)


@pytest.mark.usefixtures("many")
def test_many_allowed_of_many_rows_never_give_too_few() -> None:
    vectors, query = alike(3000, 32, 7), alike(1, 32, 8)[0]
    index = DenseIndex.build(vectors)
    far = np.sort(np.argsort(vectors @ query)[:1500]).astype(np.int64)
    # all that is near is not allowed: too few are left of what was taken, so all allowed ones are compared
    assert [row for row, _ in index.search(query, 20, far)] == brute(vectors, query, 20, far.tolist())
    half = np.arange(0, 3000, 2)
    found = index.search(query, 20, half)
    assert len(found) == 20
    assert all(row % 2 == 0 for row, _ in found)
    assert shared(found, brute(vectors, query, 20, half.tolist())) >= 0.9
    for k in (2999, 3000, 5000):
        assert len({row for row, _ in index.search(query, k)}) == min(k, 3000)
        assert len({row for row, _ in index.search(query, k, half)}) == 1500


@pytest.mark.usefixtures("many")
def test_many_rows_saved_loaded_and_mapped(tmp_path: Path) -> None:
    vectors = alike(2000, 32, 9)
    built = DenseIndex.build(vectors)
    built.save(tmp_path / "vectors.faiss")
    assert {path.name for path in tmp_path.iterdir()} == {"vectors.faiss", "vectors.codes"}
    for mapped in (False, True):
        loaded = DenseIndex.load(tmp_path / "vectors.faiss", mapped=mapped)
        assert loaded.vectors().tobytes() == vectors.tobytes()
        assert loaded.vector(7).tobytes() == vectors[7].tobytes()
        assert loaded.search(vectors[7], 50) == built.search(vectors[7], 50)
    # without the codes the same rows are searched exactly
    (tmp_path / "vectors.codes").unlink()
    alone = DenseIndex.load(tmp_path / "vectors.faiss")
    assert [row for row, _ in alone.search(vectors[7], 50)] == brute(
        vectors, vectors[7], 50, list(range(2000))
    )


@pytest.mark.usefixtures("many")
def test_codes_of_other_rows_are_refused(tmp_path: Path) -> None:
    DenseIndex.build(alike(2000, 32, 1)).save(tmp_path / "vectors.faiss")
    DenseIndex.build(alike(1999, 32, 1)).save(tmp_path / "others.faiss")
    (tmp_path / "others.codes").replace(tmp_path / "vectors.codes")
    with pytest.raises(ValueError, match="1999 × 32"):
        DenseIndex.load(tmp_path / "vectors.faiss")


@pytest.mark.usefixtures("many")
def test_equal_and_empty_vectors_among_many() -> None:
    vectors = alike(2000, 32, 2)
    vectors[100:160] = vectors[100]
    vectors[300] = 0
    found = DenseIndex.build(vectors).search(vectors[100], 40)
    assert [row for row, _ in found] == list(range(100, 140))


def test_few_rows_have_no_codes(tmp_path: Path) -> None:
    DenseIndex.build(alike(300, 32, 3)).save(tmp_path / "vectors.faiss")
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.faiss"]


@pytest.mark.parametrize("part", ["all", "half", "few"])
def test_parts_are_searched_as_one(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts with codes and without: together as many whole vectors are compared as of one index, and as well chosen."""
    monkeypatch.setattr(dense, "EXACT_BELOW", 500)
    monkeypatch.setattr(dense, "COMPARED", 300)
    # rows of a part are alike, as those of one document are: the nearest of all may stand in one part
    centres = unit(6, 32, 8)
    sizes = [1500, 1200, 400, 900, 0, 1000]
    rows = [
        (centre + 0.6 * unit(size, 32, seed)).astype(np.float32)
        for seed, (centre, size) in enumerate(zip(centres, sizes, strict=True))
    ]
    rows = [own / np.linalg.norm(own, axis=1, keepdims=True) for own in rows]
    whole, offsets = np.concatenate(rows), np.cumsum([0, *sizes])
    parts = [DenseIndex.build(own) for own in rows]
    allowed = np.random.default_rng(2).random(len(whole)) < {"all": 1.1, "half": 0.5, "few": 0.02}[part]
    compared: list[int] = []
    real = DenseIndex._nearest

    def watch(index: DenseIndex, vector: np.ndarray, k: int, rows: np.ndarray) -> list[tuple[int, float]]:
        compared.append(len(rows))
        return real(index, vector, k, rows)

    monkeypatch.setattr(DenseIndex, "_nearest", watch)
    met = []
    for query in unit(20, 32, 99):
        compared.clear()
        marks = [allowed[a:b] for a, b in pairwise(offsets)]
        found = [
            (int(offset) + row, score)
            for offset, own in zip(offsets, dense.search_parts(parts, query, 10, marks), strict=False)
            for row, score in own
        ]
        assert all(allowed[row] for row, _ in found)
        assert [score for _, score in found] == pytest.approx(
            [float(whole[r] @ query) for r, _ in found], abs=1e-5
        )
        best = [row for row, _ in sorted(found, key=lambda item: -item[1])[:10]]
        expected = brute(whole, query, 10, np.flatnonzero(allowed).tolist())
        met.append(len({*best} & {*expected}) / 10)
        assert sum(compared) <= dense.TAKEN * 10 + 10 + (part == "few") * 300  # equal codes
    assert np.mean(met) >= 0.97
