"""Whether a new segment finds its own rows: one question to each engine, answered by the files as they were written.

In: a segment's folder. Out: its digest, or SegmentDamagedError and SelfQueryError. Nothing is changed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index.engines import Engines, Probe
from index.late import LateIndex, TokenFile, TokenVectors
from index.lexical import Postings
from index.segment import Segment

NEAR = 0.9999
"""Cosine from which two rows have one vector: the same words under the same headings."""
DEPTH = 50


class SelfQueryError(RuntimeError):
    """An engine does not find a row by what the row is made of; the message is for people."""


def check_segment(folder: Path) -> str:
    """The digest of a segment that is whole and finds one of its rows by vector, words, grams and token vectors.

    Raises SegmentDamagedError where a file is not as it was written, SelfQueryError where an engine does not answer.
    """
    segment = Segment.load(folder)
    part = segment.part
    if not len(part):
        return segment.digest
    engines = Engines([part])
    # the middle row, or the first after it that has words: 「あああ」 is a text without content words
    order = [*range(len(part) // 2, len(part)), *range(len(part) // 2)]
    row = next((row for row in order if part.postings["whole"].lengths[row]), order[0])
    asked = Probe(
        part.dense.vector(row),
        _tokens_at(part.postings["whole"], row),
        _tokens_at(part.postings["grams"], row),
    )
    vectors = part.dense.vectors()
    twins = {row, *np.flatnonzero(vectors @ vectors[row] > NEAR).tolist()}
    answers = {
        "ベクトル": twins & {found for found, _ in engines.by_vector(asked, 3)},
        "単語": not asked.words or twins & {found for found, _ in engines.by_word(asked, DEPTH)},
        "文字の並び": not asked.grams or twins & {found for found, _ in engines.by_gram(asked, DEPTH)},
        "語ごとのベクトル": part.late is None or _finds_itself(part.late, row),
    }
    silent = [name for name, found in answers.items() if not found]
    if silent:
        raise SelfQueryError(
            f"新しい索引が自分の本文を見つけられません（{'・'.join(silent)}）。前の索引を使い続けます。"
            "build_index.py --full をもう一度実行してください。"
        )
    return segment.digest


def _tokens_at(postings: Postings, row: int) -> list[str]:
    """The tokens of a row, each once."""
    places = np.flatnonzero(postings.rows == row)
    numbers = np.searchsorted(postings.starts, places, side="right") - 1
    return [postings.tokens[number] for number in numbers.tolist()]


def _finds_itself(late: TokenFile, row: int) -> bool:
    """Whether every token of a row meets itself in it: MaxSim of a row with its own tokens is 1."""
    packed = late.row(row)
    if not len(packed.ids):
        return True
    vectors = packed.vectors.astype(np.float32) * packed.scales[:, None]
    own = TokenVectors(packed.ids, vectors, np.arange(len(packed.ids), dtype=np.int32))
    (found,) = LateIndex([late]).scores(own, vectors.mean(axis=0), [row])
    return found.maxsim > 0.98
