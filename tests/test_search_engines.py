"""Vectors, words and their fusion, each against values worked by hand or a second implementation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from index.dense import DenseIndex
from index.fusion import fuse, normalized
from index.lexical import K1, WHOLE_WEIGHT, B, LexicalIndex, Tokens
from index.tokenizer import tokenize


def test_dense_against_numpy(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = DenseIndex.build(vectors)
    index.save(tmp_path / "v.faiss")
    for loaded in (index, DenseIndex.load(tmp_path / "v.faiss")):
        for row in (0, 17, 49):
            scores = vectors @ vectors[row]
            found = loaded.search(vectors[row], 5)
            assert [r for r, _ in found] == list(np.argsort(-scores)[:5])
            assert [s for _, s in found] == pytest.approx(sorted(scores, reverse=True)[:5], abs=1e-5)
    assert np.allclose(index.vectors(), vectors)


def test_more_than_there_is_gives_no_row_minus_one() -> None:
    vectors = np.eye(3, dtype=np.float32)
    index = DenseIndex.build(vectors)
    assert sorted(r for r, _ in index.search(vectors[0], 99)) == [0, 1, 2]
    assert [r for r, _ in index.search(vectors[0], 99, np.array([2]))] == [2]
    assert index.search(vectors[0], 5, np.array([], dtype=np.int64)) == []


def rows(*lists: str) -> list[Tokens]:
    return [Tokens(words.split(), words.split()) for words in lists]


def test_bm25_by_hand() -> None:
    index = LexicalIndex.build(rows("窓口 窓口 予約", "窓口 電話", "道路 補修 予算 計画"))
    # Lucene: idf * tf / (tf + k1 (1 - b + b |d| / avgdl)); 2 of 3 rows hold 窓口, lengths 3, 2, 4
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    expected = [idf * tf / (tf + K1 * (1 - B + B * size / 3)) for tf, size in ((2, 3), (1, 2))]
    assert index.scores(["窓口"])[:2] == pytest.approx(expected, rel=1e-4)
    assert index.scores(["窓口"])[2] == 0


def test_both_halves_count_by_their_weight() -> None:
    index = LexicalIndex.build([Tokens(["市", "窓口"], ["窓口"]), Tokens(["道路"], ["道路"])])
    only_whole = LexicalIndex.build([Tokens(["市", "窓口"], []), Tokens(["道路"], [])])
    assert index.scores(["市"])[0] == pytest.approx(only_whole.scores(["市"])[0])
    assert 0 < WHOLE_WEIGHT < 1
    assert index.scores(["窓口"])[0] > only_whole.scores(["窓口"])[0]


def test_rows_without_a_match_are_never_returned(tmp_path: Path) -> None:
    index = LexicalIndex.build(rows("窓口 予約", "道路", ""))
    index.save(tmp_path / "lexical")
    for loaded in (index, LexicalIndex.load(tmp_path / "lexical", 3)):
        assert [r for r, _ in loaded.search(["窓口"], 10)] == [0]
        assert loaded.search(["宇宙"], 10) == []
        assert loaded.search([], 10) == []
        assert loaded.search(["窓口"], 10, np.array([1, 2])) == []


def test_fusion_by_hand() -> None:
    dense = [(0, 0.9), (1, 0.8), (2, 0.7)]
    lexical = [(2, 4.0), (1, 3.0), (3, 2.0)]
    # dense → 1, .5, 0; lexical → 1, .5, 0; the sum of halves
    assert dict(fuse(dense, lexical, dense_weight=0.5)) == pytest.approx({0: 0.5, 1: 0.5, 2: 0.5, 3: 0.0})
    assert fuse([(4, 0.9), (2, 0.9)], [], dense_weight=0.5) == [(2, 0.5), (4, 0.5)]  # equal scores by row
    assert fuse(dense, lexical, dense_weight=0.7)[0] == (0, 0.7)
    assert fuse([], lexical)[0][0] == 2
    assert fuse([], []) == []
    assert normalized([(5, 3.0)]) == {5: 1.0}


@pytest.mark.parametrize(
    ("text", "held", "absent"),
    [
        ("窓口の手続を進めた", {"窓口", "手続き", "進める"}, {"の", "を", "た"}),
        ("ＤＸの推進", {"dx", "推進"}, {"の"}),
        ("システムを導入する", {"システム", "導入"}, {"為る", "する"}),
        ("令和5年度は3件", {"5", "3"}, {"は"}),
    ],
)
def test_tokens_are_content_words_as_lemmas(text: str, held: set[str], absent: set[str]) -> None:
    tokens = set(tokenize(text))
    assert held <= tokens, tokens
    assert not absent & tokens
    assert tokenize("") == []
    assert tokenize("\x00。、") == []
