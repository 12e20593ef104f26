"""Fusion: worked by hand on three rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.fusion import fuse, normalized

DENSE = [(0, 0.9), (1, 0.85), (2, 0.8)]
LEXICAL = [(2, 12.0), (0, 3.0)]
ranked = st.lists(st.tuples(st.integers(0, 20), st.floats(0.01, 50)), unique_by=lambda item: item[0])


def both(
    dense: list[tuple[int, float]], lexical: list[tuple[int, float]], weight: float
) -> list[tuple[int, float]]:
    return fuse([(weight, normalized(dense)), (1 - weight, normalized(lexical))])


def test_three_rows_by_hand() -> None:
    # dense 1, 0.5, 0; lexical 0 (the least of its list), none, 1
    assert normalized(DENSE) == {0: pytest.approx(1.0), 1: pytest.approx(0.5), 2: pytest.approx(0.0)}
    assert normalized(LEXICAL) == {2: 1.0, 0: 0.0}
    assert both(DENSE, LEXICAL, 0.7) == [
        (0, pytest.approx(0.7)),
        (1, pytest.approx(0.35)),
        (2, pytest.approx(0.3)),
    ]
    assert [row for row, _ in both(DENSE, LEXICAL, 0.3)] == [2, 0, 1]


def test_weights_are_shares() -> None:
    lists = [(3.0, {1: 1.0, 2: 0.5}), (1.0, {2: 1.0})]
    assert fuse(lists) == [(1, pytest.approx(0.75)), (2, pytest.approx(0.625))]
    assert fuse(lists) == fuse([(weight / 7, scores) for weight, scores in lists])


def test_empty_lists() -> None:
    assert fuse([]) == []
    assert both([], [], 0.5) == []
    assert both([(4, 0.9), (5, 0.8)], [], 0.7) == [(4, pytest.approx(0.7)), (5, 0.0)]
    assert both([], [(4, 9.0)], 0.7) == [(4, pytest.approx(0.3))]


def test_one_score_or_equal_scores_count_full() -> None:
    assert normalized([(3, 0.2)]) == {3: 1.0}
    assert normalized([(3, 0.2), (1, 0.2)]) == {3: 1.0, 1: 1.0}


def test_equal_fused_scores_come_by_row() -> None:
    assert [row for row, _ in both([(9, 0.5), (2, 0.5), (5, 0.5)], [], 0.6)] == [2, 5, 9]
    assert both([(1, 0.9)], [(0, 3.0)], 0.5) == [(0, 0.5), (1, 0.5)]


@given(ranked, ranked, st.floats(0, 1))
def test_each_row_once_from_0_to_1_best_first(
    dense: list[tuple[int, float]], lexical: list[tuple[int, float]], weight: float
) -> None:
    fused = both(dense, lexical, weight)
    assert sorted(row for row, _ in fused) == sorted({row for row, _ in dense} | {row for row, _ in lexical})
    assert all(0 <= score <= 1 + 1e-9 for _, score in fused)
    assert fused == sorted(fused, key=lambda item: (-item[1], item[0]))
    scaled = both(dense, [(row, score * 8) for row, score in lexical], weight)
    assert dict(scaled) == pytest.approx(dict(fused), abs=1e-6)  # the unit of BM25 does not matter
