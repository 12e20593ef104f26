"""Rows for `benchmarks/scale.py`: as many vectors and token lists as are asked for, made from real text.

In: folders in BEIR's shape. Out: files in a working folder. Encoding a million passages would take half a day, so:

vectors  The passages and their sentences are encoded once; further rows are copies of them, each moved by the scaled
         difference of two other real vectors. A difference has the directions in which real vectors differ, which noise of
         equal size in all directions has not (a quantizer that drops rare directions would look better than it is). The
         scale is chosen so that the median cosine of two copies is the median cosine of a real row and its tenth nearest.
clusters Points around random centres, the plain test set of this field, to compare with.
tokens   A row is as many sentences drawn from the real ones as give the length of a chunk. A token that stands in at most
         three real sentences is a name as a rule: half of its occurrences are replaced by a variant of it, out of more
         variants the more rows there are, so that the vocabulary grows on (Heaps' law).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.text import searchable, sentence_spans
from index.encoder import Encoder
from index.lexical import Postings

Vectors = npt.NDArray[np.float32]
SENTENCES = 4
"""Sentences in a row: 60 content words, what a passage of 300 characters has."""
RARE = 3
"""Real sentences that hold a name at most."""
SHORTEST = 20
"""Characters of a sentence that is encoded by itself."""
BLOCK = 50_000


def read_texts(datasets: Sequence[Path]) -> tuple[list[str], list[str], list[str]]:
    """Passages, their sentences, and questions of folders in BEIR's shape, each once."""
    passages, sentences, questions = [], [], []
    for folder in datasets:
        for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
            text = json.loads(line)["text"]
            passages.append(searchable(text))
            sentences += [searchable(text[a:b]) for a, b in sentence_spans(text) if b - a >= SHORTEST]
        for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines():
            questions.append(searchable(json.loads(line)["text"]))
    return list(dict.fromkeys(passages)), list(dict.fromkeys(sentences)), list(dict.fromkeys(questions))


def encode_once(folder: Path, encoder: Encoder, datasets: Sequence[Path]) -> None:
    """Writes `real.npy` and `questions.npy`  # (n, dim) float32, unit length."""
    passages, sentences, questions = read_texts(datasets)
    np.save(folder / "questions.npy", encoder.encode_queries(questions))
    np.save(folder / "real.npy", encoder.encode_passages([*passages, *sentences]))


def real_vectors(real: Vectors, count: int) -> Iterator[Vectors]:
    """`count` rows in blocks: first the real ones in an order of chance, then copies moved as said above."""
    random = np.random.default_rng(1)
    real = real[random.permutation(len(real))]
    scale = moving_scale(real)
    yield real[:count]
    for first in range(len(real), count, BLOCK):
        size = min(BLOCK, count - first)
        yield moved(real, random.integers(len(real), size=size), scale, random)


def moving_scale(real: Vectors) -> float:
    """By how much copies are moved, so that two copies are as near as a real row and its tenth nearest."""
    random = np.random.default_rng(2)
    sample = random.choice(len(real), min(500, len(real)), replace=False)
    wanted = float(np.median(np.sort(real[sample] @ real.T, axis=1)[:, -11]))
    low, high = 0.0, 2.0
    for _ in range(30):
        middle = (low + high) / 2
        one, other = (moved(real, sample, middle, random) for _ in range(2))
        low, high = (middle, high) if float(np.median((one * other).sum(axis=1))) > wanted else (low, middle)
    return low


def moved(real: Vectors, rows: npt.NDArray[np.int64], scale: float, random: np.random.Generator) -> Vectors:
    """Copies of rows, each moved by `scale` times the difference of two other rows, of unit length again."""
    one, other = random.integers(len(real), size=(2, len(rows)))
    copies: Vectors = real[rows] + np.float32(scale) * (real[one] - real[other])
    copies /= np.linalg.norm(copies, axis=1, keepdims=True)
    return copies


def clustered_vectors(dimension: int, count: int, seed: int = 3) -> Iterator[Vectors]:
    """`count` rows in blocks, around a thousand random centres."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(4).normal(size=(1000, dimension)).astype(np.float32)
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        rows = centres[random.integers(1000, size=size)]
        rows = rows + random.normal(size=rows.shape).astype(np.float32) * 0.7
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write_postings(folder: Path, texts: Sequence[Sequence[str]], count: int, seed: int = 5) -> None:
    """Writes postings of `count` rows, drawn from `texts` as said above."""
    number: dict[str, int] = {}
    numbered = [[number.setdefault(token, len(number)) for token in text] for text in texts]
    names, size = list(number), len(number)
    standing = np.zeros(size, dtype=np.int64)
    for text in numbered:
        standing[list(set(text))] += 1
    variants = max(1, count // len(texts))
    blocks = [
        _counted(tokens, rows, count)
        for tokens, rows in _drawn(numbered, standing <= RARE, count, variants, seed)
    ]
    holding = np.zeros(size * (1 + variants), dtype=np.int64)
    for tokens, _, _ in blocks:
        holding += np.bincount(tokens, minlength=len(holding))
    used = np.flatnonzero(holding)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(holding[used])])
    place = np.full(len(holding), -1, dtype=np.int64)
    place[used] = np.arange(len(used))
    free = starts[:-1].copy()
    rows_of, counts = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.uint16)
    lengths = np.zeros(count, dtype=np.int64)
    for tokens, rows, times in blocks:
        own, first, many = np.unique(place[tokens], return_index=True, return_counts=True)
        goes = np.repeat(free[own] - first, many) + np.arange(len(tokens))
        rows_of[goes], counts[goes] = rows, times
        free[own] += many
        lengths += np.bincount(rows, weights=times, minlength=count).astype(np.int64)
    words = [names[n % size] + (f"#{n // size}" if n >= size else "") for n in used.tolist()]
    Postings(words, starts, rows_of, counts, lengths.astype(np.int32)).save(folder)


Integers = npt.NDArray[np.int64]


def _drawn(
    texts: Sequence[Sequence[int]],
    rare: npt.NDArray[np.bool_],
    count: int,
    variants: int,
    seed: int,
) -> Iterator[tuple[Integers, Integers]]:
    """For each block of rows, all tokens that stand in them, and the row of each."""
    random = np.random.default_rng(seed)
    lengths = np.array([len(text) for text in texts])
    flat, starts = np.concatenate([np.array(text, np.int64) for text in texts]), np.cumsum(lengths) - lengths
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        drawn = random.integers(len(lengths), size=size * SENTENCES)
        each = lengths[drawn]
        place = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
        tokens = flat[np.repeat(starts[drawn], each) + place]
        change = rare[tokens] & (random.random(len(tokens)) < 0.5)
        # a variant more often the lower its number
        tokens[change] += len(rare) * (
            1 + (random.random(int(change.sum())) ** 2 * variants).astype(np.int64)
        )
        yield tokens, np.repeat(first + np.repeat(np.arange(size), SENTENCES), each)


def _counted(
    tokens: Integers, rows: Integers, count: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint16]]:
    """Each token of each row once, by token and row, and how often it stands there."""
    both, times = np.unique(tokens * count + rows, return_counts=True)
    return (both // count).astype(np.int32), (both % count).astype(np.int32), times.astype(np.uint16)
