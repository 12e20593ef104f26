"""BM25: worked by hand on three rows, and by a second implementation on made-up ones."""

from __future__ import annotations

import math
from pathlib import Path

import bm25s
import numpy as np
import pytest

from index import lexical
from index.lexical import (
    GRAMS,
    K1,
    WHOLE_WEIGHT,
    WORDS,
    B,
    Fields,
    LexicalIndex,
    Postings,
    Tokens,
    postings_of,
)


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


@pytest.mark.parametrize("rows", [THREE, [[], ["予算"]], [[], []], []])
def test_saved_and_loaded(rows: list[list[str]], tmp_path: Path) -> None:
    built = Postings.build(rows)
    built.save(tmp_path / "words")
    loaded = Postings.load(tmp_path / "words")
    assert list(loaded.tokens) == list(built.tokens)
    for token in ("予算", "窓口", "未知"):
        assert [a.tolist() for a in loaded.of(token)] == [a.tolist() for a in built.of(token)]
    assert len(loaded) == len(rows)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".pkl", ".pickle"}]


def test_postings_by_hand() -> None:
    postings = Postings.build([["予算", "窓口", "予算"], [], ["窓口"]])
    assert [a.tolist() for a in postings.of("予算")] == [[0], [2]]
    assert [a.tolist() for a in postings.of("窓口")] == [[0, 2], [1, 1]]
    assert [a.tolist() for a in postings.of("職員")] == [[], []]
    assert postings.lengths.tolist() == [3, 0, 1]
    with pytest.raises(ValueError, match="different size"):
        Postings(["予算"], np.array([0, 2]), np.array([0]), np.array([1]), np.array([1]))


def made_rows(seed: int, count: int) -> list[Tokens]:
    random = np.random.default_rng(seed)

    def some(most: int) -> list[str]:
        return [f"語{number}" for number in random.zipf(1.4, random.integers(0, most)) if number < 60]

    return [Tokens(some(30), some(20), some(40)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_bm25s(seed: int) -> None:
    rows = made_rows(seed, 50)
    index = LexicalIndex.build(rows)
    query = ["語1", "語2", "語5", "語17", "語59", "未知"]
    expected = np.zeros(len(rows), np.float32)
    for weight, field in ((WHOLE_WEIGHT, "whole"), (1 - WHOLE_WEIGHT, "near")):
        judge = bm25s.BM25(method="lucene", k1=K1, b=B)
        judge.index([list(getattr(row, field)) or ["\x00"] for row in rows], show_progress=False)
        expected += weight * judge.get_scores([word for word in query if word in judge.vocab_dict])
    assert index.scores(query) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("fields", [WORDS, GRAMS])
def test_parts_are_as_one_and_rows_left_out_as_if_never_there(fields: Fields) -> None:
    rows = made_rows(7, 60)
    query = ["語1", "語3", "語8", "語30", "未知"]
    parts = [postings_of(part) for part in (rows[:10], rows[10:11], [], rows[11:])]
    joined, whole = LexicalIndex(parts, fields), LexicalIndex.build(rows, fields)
    assert joined.scores(query).tolist() == whole.scores(query).tolist()
    assert joined.full_score(query) == whole.full_score(query)
    live = np.random.default_rng(3).random(60) < 0.6
    left = LexicalIndex(parts, fields, live)
    without = LexicalIndex.build([row for row, kept in zip(rows, live, strict=True) if kept], fields)
    assert left.scores(query)[live].tolist() == without.scores(query).tolist()
    assert not left.scores(query)[~live].any()
    assert left.full_score(query) == without.full_score(query)
    assert len(left.search(query, 60)) == len(without.search(query, 60))
    said = {
        token
        for row, kept in zip(rows, live, strict=True)
        if kept
        for name, _ in fields
        for token in getattr(row, name)
    }
    everything = {f"語{number}" for number in range(60)} | {"未知"}
    assert {token for token in everything if left.holds(token)} == said


def test_joined_postings_are_those_of_the_rows_kept() -> None:
    rows = made_rows(11, 40)
    first, second = rows[:15], rows[15:]
    kept = [np.array([0, 3, 14]), np.arange(0, 25, 2)]
    expected = [first[i].whole for i in kept[0]] + [second[i].whole for i in kept[1]]
    joined = Postings.joined(
        [
            (Postings.build([row.whole for row in part]), own)
            for part, own in zip((first, second), kept, strict=True)
        ]
    )
    judge = Postings.build(expected)
    assert sorted(joined.tokens) == sorted(judge.tokens)
    for token in judge.tokens:
        assert [a.tolist() for a in joined.of(token)] == [a.tolist() for a in judge.of(token)]
    assert joined.lengths.tolist() == judge.lengths.tolist()
    assert len(Postings.joined([])) == 0


@pytest.mark.parametrize("seed", range(6))
def test_frequent_tokens_looked_up_for_the_best_rows_give_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.lexical.LOOKED_UP", 0)  # wherever it is possible
    looked_up = []
    add_to = lexical._Term.add_to
    monkeypatch.setattr(
        lexical._Term, "add_to", lambda term, *given: (looked_up.append(term.token), add_to(term, *given))[1]
    )
    rows = made_rows(seed, 3000)
    parts = [postings_of(part) for part in (rows[:2000], rows[2000:2001], rows[2001:])]
    random = np.random.default_rng(seed)
    for live in (None, random.random(3000) < 0.8):
        index = LexicalIndex(parts, WORDS, live)
        for query in (["語1", "語40", "語55"], ["語2", "語1", "語33", "語59", "未知"], ["語1"], ["語58"]):
            for allowed in (None, np.flatnonzero(random.random(3000) < 0.5)):
                scores = index.scores(query)
                if allowed is not None:
                    scores[np.setdiff1d(np.arange(3000), allowed)] = 0
                expected = [row for row in np.argsort(-scores, kind="stable").tolist() if scores[row] > 0]
                for k in (1, 5, 3000):
                    assert index.search(query, k, allowed) == [
                        (row, float(scores[row])) for row in expected[:k]
                    ]
    assert looked_up
