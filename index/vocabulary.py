"""The tokens of postings by number, and the number of a token.

In: different tokens. Out: a sequence of them that also says at which place a token stands. In a folder they are a list
(JSON), and beside it their hashes in order, which are mapped: the five million grams of a million rows would take 600 MB
as a dictionary and seconds to read, and a question asks for forty. The list is read only by who wants the words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

IN_MEMORY = 20_000
"""Tokens that are read at once: 2 MB, and a number is found in a tenth of a microsecond instead of three. An index of a
million rows has some twenty parts with three vocabularies each."""


class Vocabulary(Sequence[str]):
    """Tokens in memory."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """The tokens written by `save`."""
        # a segment that was written before there were hashes has none
        if not (folder / "hashes.npy").exists():
            return Vocabulary(_read(folder))
        mapped = _Mapped(folder)
        return Vocabulary(_read(folder)) if len(mapped) <= IN_MEMORY else mapped

    def save(self, folder: Path) -> None:
        """Writes the tokens into a folder that is there."""
        (folder / "tokens.json").write_text(json.dumps(list(self)), encoding="ascii")
        hashes = np.array([token_hash(token) for token in self], dtype=np.uint64)
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        np.save(folder / "hashes.npy", hashes[order], allow_pickle=False)
        np.save(folder / "numbers.npy", order, allow_pickle=False)

    def number(self, token: str) -> int | None:
        """At which place a token stands; None where it is not there."""
        return self._numbers.get(token)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self._tokens)}

    def __len__(self) -> int:
        return len(self._tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        return self._tokens[place]


class _Mapped(Vocabulary):
    """Tokens of a folder, of which only what is asked for is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes = np.load(folder / "hashes.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
        self._places: npt.NDArray[np.int32] = np.load(
            folder / "numbers.npy", mmap_mode="r", allow_pickle=False
        ).view(np.ndarray)

    @cached_property
    def _tokens(self) -> Sequence[str]:  # type: ignore[override]
        return _read(self._folder)

    def number(self, token: str) -> int | None:
        """At which place a token stands; None where it is not there.

        That another token has the same 64 bits happens once in a million indexes of five million tokens.
        """
        wanted = _asked(token)
        at = int(np.searchsorted(self._hashes, wanted))
        return int(self._places[at]) if at < len(self._hashes) and self._hashes[at] == wanted else None

    def __len__(self) -> int:
        return len(self._hashes)


def _read(folder: Path) -> Sequence[str]:
    tokens: list[str] = json.loads((folder / "tokens.json").read_text(encoding="ascii"))
    return tokens


def token_hash(token: str) -> int:
    """64 bits that stand for a token."""
    digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@lru_cache(maxsize=4096)
def _asked(token: str) -> np.uint64:
    """The hash of a token, which is asked of one part after the other."""
    return np.uint64(token_hash(token))
