"""Documents, cases and chunks of a segment on disk: written once, mapped, and read one by one when they are asked for.

In: documents as they were recognised. Out: files of one line a record, with where each line starts, and from them single records.
A million chunks are a gigabyte in memory and a question looks at a hundred.

    documents.jsonl documents_at.npy    a document without its text, with its cases
    texts.utf8 texts_at.npy             the canonical texts
    squeezed.utf8 squeezed_at.npy       the same as names are looked for in them (corpus.text.squeeze), a line each
    chunks.jsonl chunks_at.npy          a chunk a line, in the order of the rows
    chunk_keys.npy                      the key of each chunk's id  # (n,) uint64
    chunk_cases.npy                     the case of each chunk, by its number in the segment, -1 without  # (n,) int32
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from corpus.documents import Parsed
from corpus.lines import document_line, read_case, read_chunk, read_document
from corpus.records import Case, Chunk, Document, DocumentInfo
from corpus.text import squeeze

NO_CASE = -1
BLOCK = 1 << 24
"""Bytes that are looked through at once."""


def chunk_key(chunk_id: str) -> int:
    """A number that stands for a chunk's id: 64 bits, so that two of a million differ but once in 10^7 corpora."""
    digest = hashlib.blake2b(chunk_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def write_records(folder: Path, parsed: Sequence[Parsed]) -> None:
    """Writes the records of documents, whose chunks are the rows in this order."""
    chunks = [chunk for one in parsed for chunk in one.chunks]
    numbers = {case.id: number for number, case in enumerate(case for one in parsed for case in one.cases)}
    _write(
        folder / "documents.jsonl",
        (
            _line(
                {"document": document_line(one.document), "characters": len(one.document.text)}
                | {"cases": [asdict(case) for case in one.cases]}
            )
            for one in parsed
        ),
    )
    _write(folder / "texts.utf8", (one.document.text.encode("utf-8", "surrogatepass") for one in parsed))
    # white space is what a squeezed text has none of
    _write(folder / "squeezed.utf8", (_utf8(squeeze(one.document.text)) + b"\n" for one in parsed))
    _write(folder / "chunks.jsonl", (_line(asdict(chunk)) for chunk in chunks))
    keys = np.array([chunk_key(chunk.id) for chunk in chunks], dtype=np.uint64)
    cases = np.array([numbers.get(chunk.case_id or "", NO_CASE) for chunk in chunks], dtype=np.int32)
    np.save(folder / "chunk_keys.npy", keys, allow_pickle=False)
    np.save(folder / "chunk_cases.npy", cases, allow_pickle=False)


def _line(record: dict[str, Any]) -> bytes:
    return (
        json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
    )


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _write(path: Path, parts: Iterable[bytes]) -> None:
    starts = [0]
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
            starts.append(starts[-1] + len(part))
    np.save(path.with_name(f"{path.stem}_at.npy"), np.array(starts, dtype=np.int64), allow_pickle=False)


class Lines(Protocol):
    """The lines of a file by their number, wherever it is kept."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> bytes:
        """One line."""
        ...

    def prefetch(self, numbers: Sequence[int]) -> None:
        """Says which lines will be asked for, so that they can be had at once."""
        ...


class MappedLines:
    """The lines of a mapped file by their number."""

    def __init__(self, path: Path) -> None:
        self._starts = np.load(path.with_name(f"{path.stem}_at.npy"), mmap_mode="r", allow_pickle=False)
        size = path.stat().st_size
        if int(self._starts[-1]) != size:
            raise ValueError(f"{path.name}: {size} bytes, {int(self._starts[-1])} expected")
        # an empty file cannot be mapped
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r") if size else np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> bytes:
        return self._bytes[int(self._starts[number]) : int(self._starts[number + 1])].tobytes()

    def prefetch(self, numbers: Sequence[int]) -> None:
        """Nothing: the file is here."""

    def holding(self, words: bytes) -> Iterator[int]:
        """The numbers of the lines that hold some words, which hold no line break; 0.4 s a gigabyte."""
        at = 0
        while at < len(self._bytes):
            block = self._bytes[at : at + BLOCK + len(words) - 1].tobytes()
            place = block.find(words)
            if place < 0:
                at += BLOCK
                continue
            number = int(np.searchsorted(self._starts, at + place, side="right")) - 1
            yield number
            at = int(self._starts[number + 1])


class Records:
    """The records of one segment; documents by their number in it, chunks by their row."""

    def __init__(
        self,
        documents: Lines,
        texts: Lines,
        chunks: Lines,
        keys: npt.NDArray[np.uint64],
        case_numbers: npt.NDArray[np.int32],
        squeezed: MappedLines | None = None,
    ) -> None:
        """`squeezed` are the texts without spaces; where it is None they are made of the texts when they are asked for.

        keys  # (n,) of the chunks' ids; case_numbers  # (n,) the case of each chunk, by its number in the segment."""
        self._documents, self._texts, self._chunks = documents, texts, chunks
        self.keys, self.case_numbers = keys, case_numbers
        self._squeezed = squeezed
        self._made: dict[int, str] = {}
        self._listed: dict[int, tuple[DocumentInfo, tuple[Case, ...]]] = {}
        sizes = {len(self._chunks), len(self.keys), len(self.case_numbers)}
        if len(sizes) != 1 or len(self._documents) != len(self._texts):
            raise ValueError(
                f"records of different number: {sorted(sizes)}, {len(self._documents)} documents"
            )

    @classmethod
    def load(cls, folder: Path) -> Records:
        """Maps the files; any error of reading them may come."""
        return cls(
            MappedLines(folder / "documents.jsonl"),
            MappedLines(folder / "texts.utf8"),
            MappedLines(folder / "chunks.jsonl"),
            np.load(folder / "chunk_keys.npy", mmap_mode="r", allow_pickle=False),
            np.load(folder / "chunk_cases.npy", mmap_mode="r", allow_pickle=False),
            # a segment that was written before there were such has none
            MappedLines(folder / "squeezed.utf8") if (folder / "squeezed.utf8").exists() else None,
        )

    def __len__(self) -> int:
        return len(self._chunks)

    def prefetch(self, rows: Sequence[int]) -> None:
        """Says which chunks will be asked for."""
        self._chunks.prefetch(rows)

    def chunk(self, row: int) -> Chunk:
        """The chunk of a row."""
        return read_chunk(json.loads(self._chunks[row].decode("utf-8", "surrogatepass")))

    def document(self, number: int) -> Document:
        """A document with its text."""
        return read_document(
            self._line(number)["document"], self._texts[number].decode("utf-8", "surrogatepass")
        )

    def listed(self, number: int) -> tuple[DocumentInfo, tuple[Case, ...]]:
        """What a list says of a document, and its cases; kept, since every version of an index asks for it."""
        if number in self._listed:
            return self._listed[number]
        line = self._line(number)
        document = line["document"]
        info = DocumentInfo(
            characters=int(line["characters"]),
            headings=len(document["headings"]),
            warnings=tuple(document["warnings"]),
            paths=tuple(document["paths"]),
            **{name: document[name] for name in _PLAIN},
        )
        self._listed[number] = info, tuple(read_case(case) for case in line["cases"])
        return self._listed[number]

    def saying(self, words: str) -> list[int]:
        """The documents whose text says words, both without spaces (`corpus.text.squeeze`)."""
        if self._squeezed is None or not words:
            return [number for number in range(len(self._documents)) if self.says(number, words)]
        return list(self._squeezed.holding(_utf8(words)))

    def says(self, number: int, words: str) -> bool:
        """Whether the text of a document says words, both without spaces."""
        if self._squeezed is not None:
            return _utf8(words) in self._squeezed[number]
        if number not in self._made:
            self._made[number] = squeeze(self._texts[number].decode("utf-8", "surrogatepass"))
        return words in self._made[number]

    def parsed(self, number: int, rows: Iterable[int]) -> Parsed:
        """A document with its cases and the chunks of its rows, as it was written."""
        line = self._line(number)
        document = read_document(line["document"], self._texts[number].decode("utf-8", "surrogatepass"))
        cases = tuple(read_case(case) for case in line["cases"])
        return Parsed(document, cases, tuple(self.chunk(row) for row in rows))

    def _line(self, number: int) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self._documents[number].decode("utf-8", "surrogatepass"))
        return line


_PLAIN = ("id", "path", "title", "format", "sha256", "publisher", "date", "pages")
