"""Late interaction: worked by hand on three rows, and by plain loops on made-up ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from index.late import (
    BLOCK,
    LEAST_BLOCK,
    NO_SENTENCE,
    Compared,
    LateIndex,
    LateWriter,
    PackedTokens,
    TokenFile,
    TokenVectors,
    _block,
    pack,
)

X, Y, XY = [1.0, 0.0], [0.0, 1.0], [0.6, 0.8]


def tokens(*pairs: tuple[int, list[float]]) -> TokenVectors:
    """Tokens of two characters each."""
    return made(
        np.array([i for i, _ in pairs], np.int32),
        np.array([v for _, v in pairs], np.float32).reshape(len(pairs), -1),
    )


def made(ids: np.ndarray, vectors: np.ndarray) -> TokenVectors:
    return TokenVectors(ids, vectors, np.arange(0, 2 * len(ids), 2, dtype=np.int32))


QUESTION = np.array(XY, np.float32)


def write(folder: Path, rows: dict[str, TokenVectors], keys: list[str], dimension: int = 2) -> LateIndex:
    with LateWriter(folder, dimension) as writer:
        for key, row in rows.items():
            writer.add(key, pack(row, [0]))
        writer.close(keys)
    return LateIndex.load(folder)


def test_three_rows_by_hand(tmp_path: Path) -> None:
    index = write(
        tmp_path,
        {
            "a": tokens((1, X), (2, Y)),
            "b": tokens((1, XY)),
            "c": made(np.zeros(0, np.int32), np.zeros((0, 2))),
        },
        ["a", "b", "c"],
    )
    # N = 3: token 1 is in two rows, token 2 in one, token 9 in none
    one, two, nine = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5), math.log(1 + 3.5 / 0.5)
    assert index.weights(np.array([1, 2, 9], np.int32)) == pytest.approx([one, two, nine], rel=1e-6)
    # question: token 1 along X, token 9 along Y; row a has both exactly, row b has 0.6 and 0.8, row c has no token
    first, second = index.scores(tokens((1, X), (9, Y)), QUESTION, [2, 1, 0])
    assert (first.row, second.row) == (1, 0)
    assert first.maxsim == pytest.approx((one * 0.6 + nine * 0.8) / (one + nine), abs=0.005)
    assert second.maxsim == pytest.approx(1.0, abs=0.005)
    # each row is one sentence: (0.6, 0.8) with itself, and with the mean of X and Y, 1.4 / sqrt(2)
    assert first.sentence == pytest.approx(1.0, abs=0.005)
    assert second.sentence == pytest.approx(1.4 / math.sqrt(2), abs=0.005)
    assert (len(index), TokenFile(tmp_path).dimension) == (3, 2)


def test_agrees_with_plain_loops(tmp_path: Path) -> None:
    random = np.random.default_rng(3)

    def some(count: int) -> TokenVectors:
        vectors = random.normal(size=(count, 24)).astype(np.float32)
        return made(
            random.integers(0, 40, count).astype(np.int32),
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        )

    rows = [some(int(count)) for count in random.integers(1, 30, 25)]
    question = some(7)
    vector = some(1).vectors[0]
    index = write(tmp_path, {str(i): row for i, row in enumerate(rows)}, [str(i) for i in range(25)], 24)
    held = [set(row.ids.tolist()) for row in rows]
    idf = [
        math.log(1 + (25 - n + 0.5) / (n + 0.5))
        for n in (sum(int(i) in ids for ids in held) for i in question.ids)
    ]
    expected = {
        i: sum(w * max(float(q @ v) for v in row.vectors) for w, q in zip(idf, question.vectors, strict=True))
        / sum(idf)
        for i, row in enumerate(rows)
    }
    found = index.scores(question, vector, range(25))
    assert {near.row: near.maxsim for near in found} == pytest.approx(expected, abs=0.004)
    for near, row in zip(found, rows, strict=True):
        mean = row.vectors.mean(axis=0)
        assert near.sentence == pytest.approx(float(mean @ vector / np.linalg.norm(mean)), abs=0.01)


def test_a_byte_a_number_keeps_the_direction() -> None:
    random = np.random.default_rng(5)
    vectors = random.normal(size=(50, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    packed = pack(made(np.arange(50, dtype=np.int32), vectors), [0])
    restored = packed.vectors * packed.scales[:, None]
    assert packed.vectors.dtype == np.int8
    assert (np.abs(restored - vectors) <= np.abs(vectors).max(axis=1, keepdims=True) / 254 + 1e-7).all()
    assert (np.einsum("ij,ij->i", restored, vectors) > 0.998).all()


def test_nothing_to_compare(tmp_path: Path) -> None:
    index = write(tmp_path, {"a": tokens((1, X))}, ["a"])
    nothing = made(np.zeros(0, np.int32), np.zeros((0, 2), np.float32))
    assert index.scores(nothing, QUESTION, [0]) == []
    assert index.scores(tokens((1, X)), QUESTION, []) == []
    assert pack(nothing, [0]).vectors.shape == (0, 2)
    empty = write(tmp_path / "empty", {"a": nothing}, ["a"])
    assert empty.scores(tokens((1, X)), QUESTION, [0]) == []


def test_rows_of_one_text_share_their_tokens(tmp_path: Path) -> None:
    index = write(tmp_path, {"a": tokens((1, X)), "b": tokens((2, Y))}, ["b", "a", "b"])
    assert [n.row for n in index.scores(tokens((2, Y)), QUESTION, [0, 1, 2]) if n.maxsim > 0.9] == [0, 2]
    with LateWriter(tmp_path / "again", 2) as writer:
        writer.add("a", pack(tokens((1, X)), [0]))
        writer.add("a", pack(tokens((2, Y)), [0]))  # a key that is there stays as it is
        writer.close(["a"])
    assert LateIndex.load(tmp_path / "again").packed([0])[0].ids.tolist() == [1]


def test_a_row_is_taken_over_as_it_is(tmp_path: Path) -> None:
    first = write(tmp_path / "1", {"a": tokens((1, XY)), "b": tokens((2, Y), (3, X))}, ["a", "b"])
    with LateWriter(tmp_path / "2", 2) as writer:
        writer.add("b", first.packed([1])[0])
        writer.close(["b"])
    (taken,) = LateIndex.load(tmp_path / "2").packed([0])
    for name in PackedTokens.__slots__:
        assert getattr(taken, name).tobytes() == getattr(first.packed([1])[0], name).tobytes()


def test_files_that_do_not_fit_together(tmp_path: Path) -> None:
    write(tmp_path, {"a": tokens((1, X), (2, Y))}, ["a"])
    (tmp_path / "ids.i4").write_bytes(b"\0\0\0\0")
    with pytest.raises(ValueError, match="different length"):
        LateIndex.load(tmp_path)


def test_the_sentences_of_a_row(tmp_path: Path) -> None:
    # context (no sentence), sentence 0 of two tokens, sentence 1 of one; sentence 2 has no token
    row = tokens((1, X), (2, Y), (3, X), (4, Y))
    with LateWriter(tmp_path, 2) as writer:
        packed = pack(row, [2, 6, 8])
        assert packed.sentences.tolist() == [NO_SENTENCE, 0, 0, 1]
        writer.add("a", packed)
        writer.close(["a"])
    index = LateIndex.load(tmp_path)
    found = index.sentences(tokens((9, Y)), np.array(Y, np.float32), 0)
    assert set(found) == {0, 1}
    assert found[0] == (pytest.approx(1.0, abs=0.01), pytest.approx(1 / math.sqrt(2), abs=0.01))
    assert found[1] == (pytest.approx(1.0, abs=0.01), pytest.approx(1.0, abs=0.01))
    (near,) = index.scores(tokens((9, X)), np.array(X, np.float32), [0])
    assert near.maxsim == pytest.approx(1.0, abs=0.01)  # also the context's tokens are compared
    assert near.sentence == pytest.approx(1 / math.sqrt(2), abs=0.01)  # but they are no sentence


def test_a_row_is_compared_once_for_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"a": tokens((1, X), (2, Y)), "b": tokens((1, XY)), "c": tokens((3, Y), (4, XY))}
    index = write(tmp_path, rows, ["a", "b", "c"])
    asked = tokens((1, X), (9, Y))
    fresh = index.scores(asked, QUESTION, [0, 1, 2]), index.sentences(asked, QUESTION, 1)
    read: list[list[int]] = []
    packed = LateIndex.packed

    def noted(self: LateIndex, rows: list[int]) -> list[PackedTokens]:
        read.append(rows)
        return packed(self, rows)

    monkeypatch.setattr(LateIndex, "packed", noted)
    compared: dict[int, Compared] = {}
    first = index.scores(asked, QUESTION, [1, 0], compared)
    both = index.scores(asked, QUESTION, [0, 1, 2], compared)
    assert ([both[1], both[0]], both, index.sentences(asked, QUESTION, 1, compared)) == (first, *fresh)
    assert [rows for rows in read if rows] == [[1, 0], [2]]


@pytest.mark.parametrize("size", [BLOCK, LEAST_BLOCK])
def test_more_tokens_than_are_compared_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("index.late._block", lambda vectors, dimension: size)
    random = np.random.default_rng(7)
    vectors = random.normal(size=(2 * BLOCK + 3, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sizes = [1, BLOCK - 1, BLOCK + 2, 1]
    ends = np.cumsum(sizes).tolist()
    rows = {
        str(n): made(np.zeros(size, np.int32), vectors[end - size : end])
        for n, (size, end) in enumerate(zip(sizes, ends, strict=True))
    }
    index = write(tmp_path, rows, list(rows), 8)
    question = made(np.array([0], np.int32), vectors[5:6])
    found = index.scores(question, vectors[5], [0, 1, 2, 3])
    expected = [float((row.vectors @ vectors[5]).max()) for row in rows.values()]
    assert [near.maxsim for near in found] == pytest.approx(expected, abs=0.02)


def test_blocks_are_small_for_few_vectors() -> None:
    assert [_block(vectors, 384) for vectors in (1, 19, 26, 40, 60)] == [BLOCK, 128, 96, 64, BLOCK]


def test_a_row_of_context_only_has_no_sentence(tmp_path: Path) -> None:
    with LateWriter(tmp_path, 2) as writer:
        writer.add("a", pack(tokens((1, X)), []))
        writer.add("b", pack(tokens((1, X)), [0]))
        writer.close(["a", "b"])
    first, second = LateIndex.load(tmp_path).scores(tokens((1, X)), QUESTION, [0, 1])
    assert first.sentence is None
    assert second.sentence is not None


def test_parts_one_after_the_other_are_as_one_and_rows_left_out_as_if_never_there(tmp_path: Path) -> None:
    rows = {
        "a": tokens((1, X), (2, Y)),
        "b": tokens((1, XY), (1, Y)),
        "c": tokens((3, X)),
        "d": tokens((2, XY)),
    }
    write(tmp_path / "1", {key: rows[key] for key in "ab"}, ["a", "b"])
    write(tmp_path / "2", {key: rows[key] for key in "cd"}, ["c", "d"])
    parts = [TokenFile(tmp_path / "1"), TokenFile(tmp_path / "2")]
    whole = write(tmp_path / "3", rows, ["a", "b", "c", "d"])
    asked, every = tokens((1, X), (2, Y), (9, X)), [3, 0, 2, 1]
    joined = LateIndex(parts)
    assert joined.scores(asked, QUESTION, every) == whole.scores(asked, QUESTION, every)
    assert [joined.sentences(asked, QUESTION, row) for row in every] == [
        whole.sentences(asked, QUESTION, row) for row in every
    ]
    left = LateIndex(parts, np.array([True, False, True, True]))
    without = write(tmp_path / "4", {key: rows[key] for key in "acd"}, ["a", "c", "d"])
    ids = np.array([1, 2, 3, 9], np.int32)
    assert left.weights(ids).tolist() == without.weights(ids).tolist()
    assert [n.maxsim for n in left.scores(asked, QUESTION, [0, 2, 3])] == [
        n.maxsim for n in without.scores(asked, QUESTION, [0, 1, 2])
    ]


def test_rows_that_do_not_count_are_counted_once_and_again_after_a_step_back(tmp_path: Path) -> None:
    """The weights over the rows that count, whichever rows were left out before."""
    random = np.random.default_rng(3)
    rows = {
        str(number): made(random.integers(0, 9, 5).astype(np.int32), np.tile(np.float32(X), (5, 1)))
        for number in range(20)
    }
    write(tmp_path, rows, list(rows))
    part, asked = TokenFile(tmp_path), np.arange(11, dtype=np.int32)
    read: list[int] = []

    class Watched(TokenFile):
        def ids(self, rows: Sequence[int]) -> list[np.ndarray]:
            read.extend(rows)
            return list(super().ids(rows))

    watched = Watched(tmp_path)
    for left_out, expected in (({3, 4}, {3, 4}), ({3, 4, 9}, {9}), ({3, 4, 9}, set()), ({9}, {9})):
        live = np.array([number not in left_out for number in range(20)])
        read.clear()
        found = LateIndex([watched], live).weights(asked)
        assert set(read) == expected
        holding = [sum(token in part.row(row).ids for row in np.flatnonzero(live)) for token in asked]
        count = int(live.sum())
        assert found == pytest.approx([math.log1p((count - n + 0.5) / (n + 0.5)) for n in holding], rel=1e-6)
