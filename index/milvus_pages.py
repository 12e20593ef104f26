"""Files of an index as rows of a Milvus collection, and reading parts of them.

In: bytes under a name. Out: the same bytes, any spans of many files at once, each page fetched once and kept for a while.
A page is a text field: 4 bytes of CRC-32 and the bytes, in Base64 (of the ways to carry bytes the quickest, benchmarks/README.md).
A file is never changed under its name, so what is kept is never out of date.
"""

from __future__ import annotations

import base64
import binascii
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from index.milvus import Milvus, quoted
from index.store import StoreUnavailableError

PAGE_BYTES = 12_000
"""Of a file, a page: a question reads a kilobyte here and there."""
ROW_BYTES = 49_000
"""The most that a page can hold: 65,535 bytes in Base64."""
FETCHED = 500
"""Pages of one call: 8 MB."""
KEPT_BYTES = 256 * 2**20
"""Of pages that are kept in memory."""
FIELDS: Mapping[str, int | None] = {"id": 255, "segment": 100, "role": 10, "data": 65_535}
"""Of a collection of pages; the role is 「page」, or says how far a segment was written."""
PAGE = "page"


class PageDamagedError(StoreUnavailableError):
    """A page that is missing or not as it was written; the message names it, in Japanese."""


def pages_of(name: str, data: bytes, size: int = PAGE_BYTES) -> Iterator[tuple[str, str]]:
    """The key and the text of each page of a file; an empty file has none."""
    for number, start in enumerate(range(0, len(data), size)):
        yield f"{name}/{number}", _packed(data[start : start + size])


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "little") + data).decode("ascii")


def _unpacked(key: str, text: str) -> bytes:
    try:
        whole = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise PageDamagedError(_damaged(key)) from error
    if zlib.crc32(whole[4:]) != int.from_bytes(whole[:4], "little"):
        raise PageDamagedError(_damaged(key))
    return whole[4:]


def _damaged(key: str) -> str:
    return f"検索の保存先にある索引の一部（{key}）が、書いたときと違います。build_index.py --full で作り直してください。"


class Pages:
    """The pages of one collection, some of them in memory. May be used from several threads."""

    def __init__(self, milvus: Milvus, collection: str, kept_bytes: int = KEPT_BYTES) -> None:
        self._milvus, self._collection, self._most = milvus, collection, kept_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Pages by their keys; raises PageDamagedError where one is not there."""
        found: dict[str, bytes] = {}
        missing: list[str] = []
        # outside of the lock: to know the keys, others may have to be read first
        wanted = list(dict.fromkeys(keys))
        with self._lock:
            for key in wanted:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    found[key] = self._kept[key]
                else:
                    missing.append(key)
        for first in range(0, len(missing), FETCHED):
            found |= self._fetched(missing[first : first + FETCHED])
        return found

    def _fetched(self, keys: Sequence[str]) -> dict[str, bytes]:
        rows = self._milvus.query(self._collection, f"id in {quoted(keys)}", ["id", "data"])
        read = {row["id"]: _unpacked(row["id"], row["data"]) for row in rows}
        lacking = next((key for key in keys if key not in read), None)
        if lacking is not None:
            raise PageDamagedError(_damaged(lacking))
        with self._lock:
            for key, data in read.items():
                if key not in self._kept:
                    self._kept[key] = data
                    self._size += len(data)
            while self._size > self._most and self._kept:
                self._size -= len(self._kept.popitem(last=False)[1])
        return read


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in pages: its name, how many bytes it has, and how many a page holds."""

    name: str
    size: int
    page: int = PAGE_BYTES

    def keys(self, start: int, end: int) -> list[str]:
        """The keys of the pages that hold the bytes from `start` to `end`."""
        if end <= start:
            return []
        return [f"{self.name}/{number}" for number in range(start // self.page, -(-end // self.page))]

    def cut(self, pages: Mapping[str, bytes], start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, out of the pages that hold them."""
        first = start // self.page * self.page
        return b"".join(pages[key] for key in self.keys(start, end))[start - first : end - first]


Span = tuple[StoredFile, int, int]


def read_spans(pages: Pages, spans: Sequence[Span]) -> list[bytes]:
    """Parts of files, in their order, all pages at once."""
    found = pages.get(key for file, start, end in spans for key in file.keys(start, end))
    return [file.cut(found, start, end) for file, start, end in spans]


def read_whole(pages: Pages, files: Sequence[StoredFile]) -> list[bytes]:
    """Whole files, in their order, all pages at once."""
    return read_spans(pages, [(file, 0, file.size) for file in files])


def array_of(data: bytes) -> npt.NDArray[Any]:
    """The array of a file written by NumPy."""
    found: npt.NDArray[Any] = np.load(BytesIO(data), allow_pickle=False)
    return found


class StoredLines:
    """The lines of a file in pages by their number; `starts`  # (n + 1,) int64 says where each begins."""

    def __init__(self, pages: Pages, file: StoredFile, starts: npt.NDArray[np.int64]) -> None:
        if int(starts[-1]) != file.size:
            raise ValueError(f"{file.name}: {file.size} bytes, {int(starts[-1])} expected")
        self._pages, self._file, self._starts = pages, file, starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> bytes:
        (line,) = read_spans(self._pages, [self._span(number)])
        return line

    def prefetch(self, numbers: Sequence[int]) -> None:
        """Fetches the pages of some lines at once, where they are not here."""
        spans = [self._span(number) for number in numbers]
        self._pages.get(key for file, start, end in spans for key in file.keys(start, end))

    def _span(self, number: int) -> Span:
        return self._file, int(self._starts[number]), int(self._starts[number + 1])
