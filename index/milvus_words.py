"""BM25 by the server: tokens as the numbers of a sparse vector, with the scores that our own postings give.

In: the postings of segments, and for each row a sparse vector. Out: the same best rows with the same scores. A vector holds for each token what
BM25 makes of its count by the mean length of its segment; a question weighs the tokens by their rareness in the version.
The server finds the candidates; from what their vectors hold the counts are had back, and the scores are made with the mean
length of the version. Rows that were not found score at most what the last one found scores, times the largest ratio of the
two; more are asked for until that is less than the last of the best.

A token's number is 32 bits of a hash, all that a server takes: of five million tokens, another one has the number of one of a
question's hundred in one of ten questions, and lends it its rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from index.fusion import Ranked
from index.lexical import K1, MOST, B, Fields, LexicalIndex, Postings, TokenPostings
from index.milvus import MOST_HITS
from index.scope import Scope

NUMBERS = 2**32 - 1
DEEPER = 4
"""Times as many rows are asked for where the best may lie deeper."""
CERTAIN = 1 + 1e-4
"""Sums of 32-bit numbers differ by less."""


def token_number(field: str, token: str) -> int:
    """The number of a token of a field in sparse vectors."""
    text = f"{field}\0{token}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little") % NUMBERS


def norms_of(lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """What BM25 adds to a count in each row, by the mean length of these rows  # (n,)."""
    found = np.maximum(lengths, 1).astype(np.float64)
    average = float(found.mean()) if len(found) else 1.0
    norms: npt.NDArray[np.float32] = (K1 * (1 - B + B * found / average)).astype(np.float32)
    return norms


def sparse_rows(postings: Mapping[str, Postings], fields: Fields) -> Iterator[tuple[int, dict[int, float]]]:
    """(row, its sparse vector) of each row of a segment that has tokens in these fields."""
    numbers, rows, values = [], [], []
    for field, _ in fields:
        own = postings[field]
        number = np.array([token_number(field, token) for token in own.tokens], dtype=np.int64)
        norms = norms_of(own.lengths)
        counts = own.counts.astype(np.float32)
        numbers.append(np.repeat(number, np.diff(own.starts)))
        rows.append(np.asarray(own.rows, dtype=np.int64))
        values.append(counts / (counts + norms[own.rows]))
    row, number_of, value = np.concatenate(rows), np.concatenate(numbers), np.concatenate(values)
    order = np.argsort(row, kind="stable")
    row, number_of, value = row[order], number_of[order], value[order]
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(row)], strict=False):
        yield (
            int(row[start]),
            dict(zip(number_of[start:end].tolist(), value[start:end].tolist(), strict=True)),
        )


class SparseSearch:
    """Finds rows by a sparse vector: (row, score, what the row's vector holds), best first; at most `limit`."""

    def search(
        self, vector: Mapping[int, float], limit: int, scope: Scope | None
    ) -> list[tuple[int, float, Mapping[int, float]]]:
        """The best rows of the version, those of `scope` where it is given."""
        raise NotImplementedError


class SparseIndex(LexicalIndex):
    """BM25 over rows whose vectors are elsewhere; how many rows hold a token is asked of the postings."""

    def __init__(
        self,
        parts: Sequence[Mapping[str, TokenPostings]],
        fields: Fields,
        live: npt.NDArray[np.bool_] | None,
        elsewhere: SparseSearch,
    ) -> None:
        super().__init__(parts, fields, live)
        self._elsewhere = elsewhere
        self._names = [name for name, _ in fields]
        self._stored = [
            np.concatenate([np.zeros(0, np.float32), *(norms_of(part[name].lengths) for part in parts)])
            for name in self._names
        ]
        ratios = [
            float((stored / field.norms).max(initial=1.0))
            for stored, field in zip(self._stored, self._fields, strict=True)
        ]
        self._ratio = max(1.0, *ratios) * CERTAIN

    def search(
        self,
        tokens: Sequence[str],
        k: int,
        rows: npt.NDArray[np.int64] | None = None,
        scope: Scope | None = None,
    ) -> Ranked:
        """(row, score) of the k best, best first; only among `rows` where given, which are those of `scope`."""
        asked = []
        for term in self._terms(tokens):
            at = self._fields.index(term.field)
            asked.append((token_number(self._names[at], term.token), at, term.weight))
        if k <= 0 or not asked or (rows is not None and not len(rows)):
            return []
        vector = {number: weight for number, _, weight in asked}
        limit = min(2 * k, MOST_HITS)
        while True:
            hits = self._elsewhere.search(vector, limit, scope)
            found = [(row, self._score(row, own, asked)) for row, _, own in hits if self._live[row]]
            found.sort(key=lambda item: (-item[1], item[0]))
            if len(hits) < limit or limit == MOST_HITS:
                return found[:k]
            if len(found) >= k and found[k - 1][1] >= hits[-1][1] * self._ratio:
                return found[:k]
            limit = min(limit * DEEPER, MOST_HITS)

    def _score(self, row: int, own: Mapping[int, float], asked: Sequence[tuple[int, int, float]]) -> float:
        total = np.float32(0)
        for number, at, weight in asked:
            value = own.get(number)
            if not value:
                continue
            times = np.float32(min(MOST, max(1, round(value * float(self._stored[at][row]) / (1 - value)))))
            total += np.float32(weight) * (times / (times + self._fields[at].norms[row]))
        return float(total)
