"""BM25: worked by hand on three rows, and by a second implementation on made-up ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from index.lexical import K1, WHOLE_WEIGHT, B, LexicalIndex, Tokens


def alike(*rows: list[str]) -> list[Tokens]:
    """Rows whose way to the passage is empty: both halves are the same, and the sum is plain BM25."""
    return [Tokens(row, row) for row in rows]


def bm25(rows: list[list[str]], query: list[str], row: int) -> float:
    """Lucene's BM25 as it stands in the paper: idf = ln(1 + (N - n + 0.5) / (n + 0.5))."""
    average = sum(map(len, rows)) / len(rows)
    total = 0.0
    for word in query:
        holding = sum(word in other for other in rows)
        times = rows[row].count(word)
        idf = math.log(1 + (len(rows) - holding + 0.5) / (holding + 0.5))
        total += idf * times / (times + K1 * (1 - B + B * len(rows[row]) / average))
    return total


THREE = [["窓口", "予算", "窓口", "電話"], ["予算"], ["職員"]]


def test_three_rows_by_hand() -> None:
    index = LexicalIndex.build(alike(*THREE))
    # N = 3, average length 2. 窓口 is in one row (twice, length 4): ln(1 + 2.5/1.5) * 2 / (2 + 1.2 * (0.25 + 0.75 * 2))
    assert index.search(["窓口"], 3) == [(0, pytest.approx(0.980829 * 2 / 4.1, abs=1e-5))]
    # 予算 is in two: ln(1 + 1.5/2.5) = 0.470004; length 1: 1 / (1 + 1.2 * 0.625), length 4: 1 / (1 + 1.2 * 1.75)
    assert index.search(["予算"], 3) == [
        (1, pytest.approx(0.470004 / 1.75, abs=1e-5)),
        (0, pytest.approx(0.470004 / 3.1, abs=1e-5)),
    ]


def test_the_two_halves_are_weighed() -> None:
    rows = [
        Tokens(["市", "窓口", "予算"], ["窓口", "予算"]),
        Tokens(["市", "職員"], ["職員"]),
        Tokens(["課"], ["課"]),
    ]
    index = LexicalIndex.build(rows)
    whole, near = [list(row.whole) for row in rows], [list(row.near) for row in rows]
    for query in (["窓口"], ["市"], ["市", "予算"], ["課", "職員", "窓口"]):
        expected = [
            WHOLE_WEIGHT * bm25(whole, query, row) + (1 - WHOLE_WEIGHT) * bm25(near, query, row)
            for row in range(3)
        ]
        assert index.scores(query) == pytest.approx(expected, abs=1e-5)
    assert pytest.approx(2 / 3) == WHOLE_WEIGHT


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_formula(seed: int) -> None:
    random = np.random.default_rng(seed)
    words = [f"語{number}" for number in range(30)]
    rows = [[words[i] for i in random.integers(0, 30, random.integers(0, 20))] for _ in range(40)]
    query = [words[i] for i in random.choice(30, 4, replace=False)]
    index = LexicalIndex.build(alike(*rows))
    # an empty row holds one word that nobody asks for
    counted = [row or ["\x00"] for row in rows]
    assert index.scores(query) == pytest.approx([bm25(counted, query, row) for row in range(40)], abs=1e-4)
    found = index.search(query, 10)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    best = sorted(range(40), key=lambda row: (-index.scores(query)[row], row))[:10]
    assert [row for row, _ in found] == [row for row in best if index.scores(query)[row] > 0]


def test_rows_without_a_match_are_never_found() -> None:
    index = LexicalIndex.build(alike(*THREE))
    assert [row for row, _ in index.search(["職員"], 50)] == [2]
    assert all(score > 0 for _, score in index.search(["窓口", "予算", "職員"], 50))


@pytest.mark.parametrize("query", [[], ["未知"], ["\x00"], [""], ["未知", "語"]])
def test_words_that_no_row_holds(query: list[str]) -> None:
    index = LexicalIndex.build(alike(*THREE, []))
    assert index.search(query, 5) == []
    assert index.scores(query).tolist() == [0, 0, 0, 0]


def test_an_unknown_word_changes_nothing() -> None:
    index = LexicalIndex.build(alike(*THREE))
    assert index.search(["予算", "未知"], 5) == index.search(["予算"], 5)


def test_a_word_said_twice_counts_once() -> None:
    index = LexicalIndex.build(alike(*THREE))
    assert index.search(["予算", "予算"], 5) == index.search(["予算"], 5)


def test_a_word_of_one_half_only() -> None:
    index = LexicalIndex.build([Tokens(["市", "予算"], ["予算"]), Tokens(["予算"], ["予算"])])
    assert [row for row, _ in index.search(["市"], 5)] == [0]


def test_empty_rows() -> None:
    index = LexicalIndex.build(alike([], ["予算"], []))
    assert [row for row, _ in index.search(["予算"], 5)] == [1]
    nothing = LexicalIndex.build(alike([], []))
    assert (len(nothing), nothing.search(["予算"], 5)) == (2, [])


def test_only_among_the_rows_given() -> None:
    index = LexicalIndex.build(alike(*THREE))
    assert [row for row, _ in index.search(["予算"], 5, np.array([0, 2], np.int64))] == [0]
    assert index.search(["予算"], 5, np.array([2], np.int64)) == []
    assert index.search(["予算"], 5, np.array([], np.int64)) == []


def test_equal_scores_come_by_row_also_where_k_cuts() -> None:
    index = LexicalIndex.build(alike(["予算"], ["職員"], ["予算"], ["予算"]))
    assert [row for row, _ in index.search(["予算"], 5)] == [0, 2, 3]
    many = LexicalIndex.build(alike(*[["予算"]] * 50, ["職員"]))
    assert [row for row, _ in many.search(["予算"], 3)] == [0, 1, 2]


def test_k_of_nothing() -> None:
    assert LexicalIndex.build(alike(*THREE)).search(["予算"], 0) == []


@pytest.mark.parametrize("rows", [THREE, [[], ["予算"]], [[], []]])
def test_saved_and_loaded(rows: list[list[str]], tmp_path: Path) -> None:
    built = LexicalIndex.build(alike(*rows))
    built.save(tmp_path / "lexical")
    loaded = LexicalIndex.load(tmp_path / "lexical", len(rows))
    for query in (["予算"], ["窓口", "職員"], ["未知"]):
        assert loaded.search(query, 5) == built.search(query, 5)
    assert len(loaded) == len(rows)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".pkl", ".pickle"}]
