"""Documents between their reading and their writing: the last few in memory, where they are many the others in a file.

In: documents as they are recognised, one after the other. Out: each of them when it is written, and what a plan needs of all.
All of a million chunks would take some gigabytes. The file has no name, so that nothing is left of it however a build ends.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from corpus.documents import Parsed
from corpus.lines import parsed_of, record_of
from index.segment import kind_of

IN_MEMORY = 20_000
"""Chunks that are kept as they are: 50 MB."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What a report says of a document, and the kind of segment that it goes into."""

    kind: str
    title: str
    pages: int | None
    cases: int
    headings: int
    chunks: int
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, parsed: Parsed) -> Outline:
        """The outline of a document."""
        document = parsed.document
        return cls(
            kind_of(parsed),
            document.title,
            document.pages,
            len(parsed.cases),
            len(document.headings),
            len(parsed.chunks),
            document.warnings,
        )


class Spool(Mapping[str, Parsed]):
    """Documents by their ids, in the order in which they came; closed, it holds none any more."""

    def __init__(self, folder: Path) -> None:
        """`folder` has room for a copy of the texts."""
        self._folder = folder
        self.outlines: dict[str, Outline] = {}
        self._kept: dict[str, Parsed] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._chunks = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, parsed: Parsed) -> None:
        """Keeps a document."""
        identity = parsed.document.id
        self.outlines[identity] = Outline.of(parsed)
        self._chunks += len(parsed.chunks)
        if self._chunks <= IN_MEMORY:
            self._kept[identity] = parsed
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed with the spool
        line = json.dumps({**record_of(parsed), "text": parsed.document.text}).encode("ascii")
        self._places[identity] = (self._file.seek(0, 2), len(line))
        self._file.write(line)

    def close(self) -> None:
        """Lets go of everything but the outlines."""
        self._kept.clear()
        self._places.clear()
        if self._file is not None:
            self._file.close()

    def __getitem__(self, identity: str) -> Parsed:
        if identity in self._kept:
            return self._kept[identity]
        start, size = self._places[identity]
        assert self._file is not None
        self._file.seek(start)
        return parsed_of(json.loads(self._file.read(size)))

    def __contains__(self, identity: object) -> bool:
        return identity in self.outlines

    def __iter__(self) -> Iterator[str]:
        return iter(self.outlines)

    def __len__(self) -> int:
        return len(self.outlines)
