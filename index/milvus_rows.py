"""What engines ask about rows, answered out of pages: postings in buckets of tokens, and token vectors by row.

In: the postings of a segment. Out: a file in which the tokens with the same part of their hash stand together, so that a question's tokens
are found by two fetches for all segments at once: of the buckets' directories, and of the rows of the tokens.

    a bucket    for each of its tokens, in the order of their hashes: hash (uint64); rows that hold it (uint32);
                then for each its rows (int32, ascending) and how often each holds it (uint16)
    a row       ids (int32), scales (float32), norms (float32), numbers of sentences (uint16), vectors (int8, dimension)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from index.late import PackedTokens
from index.lexical import Postings
from index.milvus_pages import ROW_BYTES, Pages, Span, StoredFile, read_spans
from index.vocabulary import token_hash

IN_A_BUCKET = 100
"""Tokens: their directory is a tenth of a page."""
REMEMBERED = 20_000
"""Tokens of which it is kept where they are."""
_ENTRY = np.dtype([("hash", "<u8"), ("rows", "<u4")])


def bucket_starts(
    postings: Postings,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Where each bucket begins  # (buckets + 1,), how many tokens it has  # (buckets,), and the tokens' hashes  # (tokens,)."""
    hashes = np.array([token_hash(token) for token in postings.tokens], dtype=np.uint64)
    count = max(1, len(hashes) // IN_A_BUCKET)
    bucket = (hashes % np.uint64(count)).astype(np.int64)
    tokens = np.bincount(bucket, minlength=count)
    rows = np.bincount(bucket, weights=np.diff(postings.starts), minlength=count).astype(np.int64)
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(tokens * _ENTRY.itemsize + rows * 6, out=starts[1:])
    return starts, tokens, hashes


def bucket_bytes(postings: Postings, hashes: npt.NDArray[np.uint64], count: int) -> Iterator[bytes]:
    """The buckets one after another."""
    bucket = hashes % np.uint64(count)
    order = np.lexsort((hashes, bucket))
    ends = np.searchsorted(bucket[order], np.arange(count, dtype=np.uint64), side="right")
    held = np.diff(postings.starts)
    first = 0
    for end in ends.tolist():
        own = order[first:end]
        directory = np.zeros(len(own), _ENTRY)
        directory["hash"], directory["rows"] = hashes[own], held[own]
        parts = [directory.tobytes()]
        for token in own.tolist():
            part = slice(int(postings.starts[token]), int(postings.starts[token + 1]))
            parts += [
                postings.rows[part].astype("<i4").tobytes(),
                postings.counts[part].astype("<u2").tobytes(),
            ]
        yield b"".join(parts)
        first = end


class StoredPostings:
    """The postings of one field of a segment, in buckets of a file in pages."""

    def __init__(
        self,
        pages: Pages,
        file: StoredFile,
        starts: npt.NDArray[np.int64],
        tokens: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int32],
    ) -> None:
        """`starts` and `tokens` as `bucket_starts` gives them; lengths  # (n,) are the tokens of each row."""
        self._pages, self._file, self._starts, self._tokens = pages, file, starts, tokens
        self.lengths = lengths
        # of a token, where its rows begin and how many there are
        self._place = lru_cache(maxsize=REMEMBERED)(self._find)

    def __len__(self) -> int:
        return len(self.lengths)

    def holding(self, token: str) -> int:
        """How many rows hold a token."""
        return self._place(token)[1]

    def of(self, token: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16]]:
        """The rows that hold a token, ascending, and how often each holds it."""
        count = self._place(token)[1]
        if not count:
            return np.zeros(0, np.int32), np.zeros(0, np.uint16)
        (data,) = read_spans(self._pages, [self.rows_at(token)])
        return np.frombuffer(data, "<i4", count), np.frombuffer(data, "<u2", count, offset=4 * count)

    def directory_at(self, token: str) -> Span:
        """Where the directory of a token's bucket is."""
        bucket = token_hash(token) % len(self._tokens)
        start = int(self._starts[bucket])
        return self._file, start, start + int(self._tokens[bucket]) * _ENTRY.itemsize

    def rows_at(self, token: str) -> Span:
        """Where the rows of a token are."""
        start, count = self._place(token)
        return self._file, start, start + 6 * count

    def _find(self, token: str) -> tuple[int, int]:
        span = self.directory_at(token)
        (data,) = read_spans(self._pages, [span])
        directory = np.frombuffer(data, _ENTRY)
        wanted = np.uint64(token_hash(token))
        at = int(np.searchsorted(directory["hash"], wanted))
        if at == len(directory) or directory["hash"][at] != wanted:
            return span[2], 0
        return span[2] + 6 * int(directory["rows"][:at].sum(dtype=np.int64)), int(directory["rows"][at])


def prefetch(pages: Pages, asked: Iterable[tuple[StoredPostings, Sequence[str]]]) -> None:
    """Fetches what some postings will be asked of some tokens: two calls, or none where all of it is here."""
    wanted = [(postings, token) for postings, tokens in asked for token in tokens]
    for spans in (
        (postings.directory_at(token) for postings, token in wanted),
        (postings.rows_at(token) for postings, token in wanted),
    ):
        pages.get(key for file, start, end in spans for key in file.keys(start, end))


def row_bytes(tokens: PackedTokens) -> bytes:
    """The tokens of a row as they are stored."""
    return b"".join(
        [
            tokens.ids.astype("<i4").tobytes(),
            tokens.scales.astype("<f4").tobytes(),
            tokens.norms.astype("<f4").tobytes(),
            tokens.sentences.astype("<u2").tobytes(),
            np.ascontiguousarray(tokens.vectors).tobytes(),
        ]
    )


class StoredTokens:
    """The token vectors of the rows of a segment, each row in pages of its own."""

    def __init__(
        self,
        pages: Pages,
        segment: str,
        places: npt.NDArray[np.int64],
        dimension: int,
        frequencies: npt.NDArray[np.int64],
        ids: tuple[Pages, StoredFile],
    ) -> None:
        """places  # (n, 2) where the tokens of each row begin in the file of `ids`, and how many there are."""
        self._pages, self._segment, self._places, self._dimension = pages, segment, places, dimension
        self.frequencies = frequencies
        self._ids = ids

    def __len__(self) -> int:
        return len(self._places)

    def packed(self, rows: Sequence[int]) -> list[PackedTokens]:
        """The tokens of some rows, all fetched at once."""
        counts = self._places[list(rows), 1].tolist() if rows else []
        spans = [
            (StoredFile(f"{self._segment}/{row}", size := count * (14 + self._dimension), ROW_BYTES), 0, size)
            for row, count in zip(rows, counts, strict=True)
        ]
        return [
            self._unpacked(data, count)
            for data, count in zip(read_spans(self._pages, spans), counts, strict=True)
        ]

    def _unpacked(self, data: bytes, count: int) -> PackedTokens:
        return PackedTokens(
            np.frombuffer(data, "<i4", count),
            np.frombuffer(data, np.int8, count * self._dimension, 14 * count).reshape(count, self._dimension),
            np.frombuffer(data, "<f4", count, 4 * count),
            np.frombuffer(data, "<u2", count, 12 * count),
            np.frombuffer(data, "<f4", count, 8 * count),
        )

    def ids(self, rows: Sequence[int]) -> list[npt.NDArray[np.int32]]:
        """Only the numbers of the tokens of some rows."""
        pages, file = self._ids
        places = self._places[list(rows)].tolist() if rows else []
        spans = [(file, 4 * start, 4 * (start + count)) for start, count in places]
        return [np.frombuffer(data, "<i4") for data in read_spans(pages, spans)]
