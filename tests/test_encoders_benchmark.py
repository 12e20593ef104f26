"""The benchmark of encoder engines: what it draws, counts and shows, by values worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.encoders import Recorder, cosines, every, passages_of, pieces_of, plain_ndcg, table


def test_every_is_drawn_in_equal_steps() -> None:
    assert every(list("abcdefg"), 3) == ["a", "c", "e"]
    assert every(list("ab"), 3) == ["a", "b"]


def test_pieces_are_of_one_length() -> None:
    assert pieces_of(["あ" * 500, "い" * 200], 9) == ["あ" * 300, "あ" * 200 + "\n" + "い" * 99]


def test_passages_are_what_a_build_hands_to_its_encoder(tmp_path: Path) -> None:
    text = "# 窓口の手引き\n\n## 受付\n\n住民票の写しは、平日の午前9時から午後5時まで受け付けます。\n"
    (tmp_path / "guide.md").write_text(text, encoding="utf-8")
    [passage] = passages_of(tmp_path, 9)
    where, _, words = passage.partition("\n")
    assert "受付" in where
    assert words.endswith("住民票の写しは、平日の午前9時から午後5時まで受け付けます。")


def test_what_stands_before_the_words_may_be_nothing() -> None:
    recorder = Recorder()
    recorder.encode_with_tokens(["予算", "人口"], contexts=["手引き", ""])
    assert recorder.passages == ["手引き\n予算", "人口"]


def test_cosines_are_over_all_passages() -> None:
    right, up = [1.0, 0.0], [0.0, 1.0]
    own = {"pieces": np.array([right, right]), "documents": np.array([up, up])}
    other = {"pieces": np.array([right, up]), "documents": np.array([up, up])}
    assert cosines(own, other) == (0.0, 0.75)


def test_plain_ndcg_of_one_query(tmp_path: Path) -> None:
    documents = [{"id": name, "title": "", "text": name} for name in "abc"]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text(json.dumps({"id": "q", "text": "?"}), encoding="utf-8")
    (tmp_path / "qrels.tsv").write_text("q\tb\t1\n", encoding="utf-8")
    passages = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    found = plain_ndcg(tmp_path, passages, np.array([[1.0, 0.0]]))
    assert found == pytest.approx(1 / np.log2(3))  # the only relevant one comes second


def test_an_engine_that_fails_has_a_line_that_says_so() -> None:
    row = {
        "title": "A",
        "quality": {"faq": {"plain": 0.5}},
        "sets": {"pieces": {"batch_size": 8}, "documents": {"batch_size": 1}},
        "per_s": {"pieces": 70.04, "documents": 31.0},
        "tokens_per_s": 12345.6,
        "cpu_ms": 27.3,
        "query_p50_ms": 4.0,
        "query_p95_ms": 6.0,
        "query_first_ms": 30.0,
        "start_s": 1.0,
        "start_mb": 200.0,
        "peak_mb": 1234.0,
        "make_s": None,
        "model_mb": 0,
        "install_mb": 100.0,
        "install_and_make_mb": 100.0,
        "cosine": (0.99, 0.999),
    }
    head, rule, good, bad = table([row, {"title": "B", "error": "ない|もの"}], ["faq"]).splitlines()
    assert head.count("|") == rule.count("|") == good.count("|") == bad.count("|")
    assert good.startswith("| A | 70.0 [8] | 31.0 [1] | 12,346 | 27.3 | 4.0 / 6.0 / 30.0 |")
    assert good.endswith("| 100 | 0.9900 / 0.9990 | 0.5000 |  |")
    assert bad.startswith("| B | 測れません：ない／もの |")
