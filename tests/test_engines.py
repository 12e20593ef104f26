"""The engines together: each part by hand on a few rows, and what happens where a part is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder

from index.dense import DenseIndex
from index.engines import (
    CANDIDATES,
    DENSE,
    HEADING,
    LATE,
    SENTENCE,
    SPELLING,
    WORDS,
    Engines,
    Part,
    Probe,
    heading_key,
    own_headings,
    probe,
)
from index.late import LateWriter, TokenFile, TokenVectors, pack
from index.lexical import Tokens, postings_of

EYE = np.eye(4, dtype=np.float32)
NOTHING = np.zeros((0, 4), np.float32)


def rows(*words: str) -> list[Tokens]:
    return [Tokens(w.split(), w.split(), [w[i : i + 2] for i in range(len(w) - 1)]) for w in words]


def token(number: int, vector: list[float]) -> TokenVectors:
    return TokenVectors(np.array([number], np.int32), np.array([vector], np.float32), np.zeros(1, np.int32))


def late_of(folder: Path, *vectors: list[float]) -> TokenFile:
    with LateWriter(folder, 4) as writer:
        for row, vector in enumerate(vectors):
            writer.add(str(row), pack(token(row, vector), [0]))
        writer.close([str(row) for row in range(len(vectors))])
    return TokenFile(folder)


def test_the_weights_are_shares() -> None:
    assert pytest.approx(1.0) == DENSE + HEADING + WORDS + SPELLING + LATE + SENTENCE


def test_every_engine_has_its_share(tmp_path: Path) -> None:
    engines = Engines.build(
        EYE,
        EYE[[1]],
        [3],
        rows("窓口", "予算", "職員", "研修"),
        late_of(tmp_path, *(EYE[[2, 2, 2, 0]].tolist())),
    )

    def score_of(row: int, asked: Probe) -> float:
        return next(found.score for found in engines.search(asked, 4) if found.row == row)

    one = np.array([0.9, 0.3, 0.2, 0.1], np.float32)
    # the vector is nearest row 0; the only heading is row 3's, which counts 1 among headings
    total = DENSE + HEADING + WORDS + SPELLING
    assert score_of(0, Probe(one, [])) == pytest.approx((DENSE + HEADING) / total)
    assert score_of(3, Probe(one, [])) == pytest.approx(HEADING / total)
    # words and grams of row 1
    assert score_of(1, Probe(one, ["予算"], ["予算"])) == pytest.approx(
        ((DENSE + HEADING) * 0.25 + WORDS + SPELLING) / total
    )
    # token by token row 3 is nearest, 1 against 0, and so is its one sentence, 0.9 against 0.2
    one_token = token(99, EYE[0].tolist())
    assert score_of(3, Probe(one, [], [], one_token)) == pytest.approx(HEADING + LATE + SENTENCE)
    assert score_of(0, Probe(one, [], [], one_token)) == pytest.approx(DENSE + HEADING)


def test_only_the_best_are_compared_token_by_token(tmp_path: Path) -> None:
    size = CANDIDATES + 5
    vectors = np.array([[1 - row / 1000, 0, 0, 0] for row in range(size)], np.float32)
    late = late_of(tmp_path, *([[0, 0, 0, 1.0]] * (size - 1)), [1.0, 0, 0, 0])
    engines = Engines.build(vectors, NOTHING, [], rows(*["窓"] * size), late)
    one_token = token(7, EYE[0].tolist())
    found = engines.search(Probe(EYE[0], [], [], one_token), 3)
    assert [f.row for f in found] == [
        0,
        1,
        2,
    ]  # the last row would be nearest, but was not among the candidates
    wide = engines.search(Probe(EYE[0], [], [], one_token), size)  # more are asked for: all are compared
    assert next(f.late for f in wide if f.row == size - 1) == pytest.approx(1.0, abs=0.01)


def test_found_says_what_each_engine_gave(tmp_path: Path) -> None:
    engines = Engines.build(EYE[:2], NOTHING, [], rows("窓口", "予算"), late_of(tmp_path, *EYE[:2].tolist()))
    one_token = token(5, EYE[1].tolist())
    first, second = engines.search(Probe(EYE[0], ["予算"], [], one_token), 2)
    assert (first.row, second.row) == (1, 0)
    assert (first.dense, second.dense) == (pytest.approx(0), pytest.approx(1))
    assert first.lexical is not None
    assert second.lexical is None
    assert (first.late, second.late) == (pytest.approx(1, abs=0.01), pytest.approx(0, abs=0.01))


def test_a_heading_counts_only_where_it_stands_over_one_row() -> None:
    assert own_headings(["目的", "効果", "", "目的", "費用", ""]) == [1, 4]
    assert own_headings([]) == []


def test_headings_among_allowed_rows_only() -> None:
    engines = Engines.build(EYE, EYE[[0, 1]], [1, 2], rows("", "", "", ""), None)
    found = engines.search(Probe(EYE[0], []), 4, np.array([2, 3]))
    assert {f.row for f in found} == {2, 3}
    assert found[0].row == 2  # its heading is the only one left, and counts full
    assert engines.search(Probe(EYE[0], []), 4, np.array([], dtype=np.int64)) == []


def test_saved_and_loaded(tmp_path: Path) -> None:
    late = late_of(tmp_path / "late", *EYE.tolist())
    engines = Engines.build(EYE, EYE[[2]], [1], rows("窓口", "予算", "職員", ""), late)
    (part,) = engines.parts
    part.save(tmp_path)
    loaded = Engines([Part.load(tmp_path)])
    asked = Probe(EYE[2], ["予算"], ["職員"], token(1, EYE[3].tolist()))
    assert loaded.search(asked, 4) == engines.search(asked, 4)
    assert len(loaded) == 4


def random_part(folder: Path, seed: int, headings: list[str]) -> Part:
    """A part of random rows with these headings, as a build makes it of one document."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(len(headings), 4)).astype(np.float32)
    heading_rows = own_headings(headings)
    words = [" ".join(random.choice(["窓口", "予算", "職員", "研修", "電話"], 3)) for _ in headings]
    return Part(
        DenseIndex.build(vectors),
        DenseIndex.build(np.array([heading_vector(headings[row]) for row in heading_rows]).reshape(-1, 4)),
        np.array(heading_rows, dtype=np.int64),
        np.array([heading_key(heading) for heading in headings], dtype=np.uint64),
        postings_of(rows(*words)),
        late_of(folder, *random.normal(size=(len(headings), 4)).astype(np.float32).tolist()),
    )


def heading_vector(heading: str) -> np.ndarray:
    return np.random.default_rng(heading_key(heading)).normal(size=4).astype(np.float32)


def test_a_heading_over_two_parts_is_nobodys_own_until_one_of_them_is_left_out(tmp_path: Path) -> None:
    parts = [
        random_part(tmp_path / "1", 1, ["目的", "費用", ""]),
        random_part(tmp_path / "2", 2, ["目的", "効果", "効果"]),
    ]
    both, every = Engines(parts), np.ones(6, dtype=bool)
    assert both._own_heading.tolist() == [False, True, False, False, False, False]
    every[0] = False
    assert Engines(parts, every)._own_heading.tolist() == [False, True, False, True, False, False]


def test_rows_left_out_are_as_if_never_there(tmp_path: Path) -> None:
    headings = ["目的", "費用", "", "効果", "費用", "体制", "", "研修"]
    whole = random_part(tmp_path / "whole", 3, headings)
    other = random_part(tmp_path / "other", 4, ["目的", "窓口", "体制"])
    live = np.array([True] * 8 + [False] * 3)
    first, second = Engines([whole, other], live), Engines([whole])
    for seed in range(20):
        random = np.random.default_rng(seed)
        asked = Probe(
            random.normal(size=4).astype(np.float32),
            ["予算", "電話"],
            ["予算"],
            token(seed % 9, random.normal(size=4).tolist()),
        )
        some = np.flatnonzero(random.random(8) < 0.5)
        for among in (None, some):
            assert first.search(asked, 5, among) == second.search(asked, 5, among)
        assert first.by_vector(asked, 3) == second.by_vector(asked, 3)
        assert first.by_word(asked, 3) == second.by_word(asked, 3)
    with pytest.raises(ValueError, match="11 rows"):
        Engines([whole, other], live[:5])


def test_parts_of_different_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different size"):
        Engines.build(EYE, NOTHING, [], rows("窓口"), None)
    with pytest.raises(ValueError, match="different size"):
        Engines.build(EYE, NOTHING, [], rows("", "", "", ""), late_of(tmp_path, [1.0, 0, 0, 0]))


def test_a_probe_is_the_question_for_every_engine(fake: FakeEncoder) -> None:
    asked = probe(fake, "**窓口**の｜予算")
    assert fake.queries == ["窓口の 予算"]
    assert asked.words == ["窓口", "予算"]
    assert {"窓口", "予算"} <= set(asked.grams)
    assert asked.tokens is not None
    assert len(asked.tokens) == 6
