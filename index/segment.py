"""Segments: whole documents with their rows in every engine, written once and never changed.

In: documents as they were recognised, with what the engines need (`Content`). Out: a folder, and from it a `Segment` to be
searched, or single documents to be carried into another segment. A version of the index is a list of segments and of the
documents in them that count; adding a document writes a segment and touches no other.

    segment.json                kind, documents with their rows, dimension, size and SHA-256 of every other file
    documents.* texts.* chunks.* chunk_*.npy      documents, texts, cases and chunks (index.records)
    keys.npy                    the key of each row's vector  # (n,) S32
    sorted/*.npy                keys, heading keys and fingerprints of texts (index.likeness) in order, each with what it
                                belongs to: what a new document has in common is looked up, not searched for
    vectors.faiss headings.faiss heading_rows.npy heading_keys.npy lexical/ late/      the engines (index.engines)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.documents import Parsed
from index.dense import DenseIndex, Vectors
from index.engines import Part
from index.late import LateWriter, PackedTokens, TokenFile
from index.lexical import FIELDS, Postings
from index.records import Records, write_records

KEY_BYTES = 32
Rows = npt.NDArray[np.int64]


TEXT, LIST = "text", "list"
"""Kinds of segments: documents that are read on, and lists of records (articles, questions with their answers). They are
searched apart, each with its own statistics: a thousand short articles say nothing of how rare a word is in a plan."""


def kind_of(parsed: Parsed) -> str:
    """Whether a document is a text or a list: of which most of its chunks are."""
    records = sum(chunk.row is not None for chunk in parsed.chunks)
    return LIST if 2 * records > len(parsed.chunks) else TEXT


class SegmentDamagedError(RuntimeError):
    """A segment's file that is missing or not as it was written; the message names it, in Japanese."""


@dataclass(frozen=True, slots=True)
class Content:
    """One document as a segment holds it; row i of everything is `parsed.chunks[i]`.

    keys: of the vectors, hexadecimal; vectors  # (n, dim) float32; headings: the vector of each row whose heading stands
    over no other row of the document; heading_keys  # (n,) uint64; postings: for each field, where the rows are taken
    from; fingerprints  # (s,) uint64, of the document's text
    """

    parsed: Parsed
    keys: Sequence[str]
    vectors: Vectors
    headings: Mapping[int, Vectors]
    heading_keys: npt.NDArray[np.uint64]
    postings: Mapping[str, tuple[Postings, Rows]]
    fingerprints: npt.NDArray[np.uint64]


class SegmentWriter:
    """Writes one segment into a new folder: first token vectors by their keys, then everything else at once."""

    def __init__(self, folder: Path, dimension: int) -> None:
        folder.mkdir(parents=True)
        self._folder, self._dimension = folder, dimension
        self._late = LateWriter(folder / "late", dimension)

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._late.__exit__(kind, error, trace)

    def keep(self, key: str, tokens: PackedTokens) -> None:
        """Keeps the token vectors of a passage; a key that is there already is left as it is."""
        self._late.add(key, tokens)

    def finish(self, contents: Sequence[Content], *, with_tokens: bool, kind: str = TEXT) -> None:
        """Writes the documents, all of one kind, in the given order.

        `with_tokens` is False where the model gives no token vectors.
        """
        folder = self._folder
        keys = [key for content in contents for key in content.keys]
        if with_tokens:
            self._late.close(keys)
        else:
            self._late.discard()
        write_records(folder, [content.parsed for content in contents])
        rows: dict[str, dict[str, Any]] = {}
        first = 0
        for content in contents:
            parsed = content.parsed
            rows[parsed.document.id] = {
                "rows": [first, first + len(parsed.chunks)],
                "cases": len(parsed.cases),
                "fingerprints": len(content.fingerprints),
            }
            first += len(parsed.chunks)
        part = _part(contents, self._dimension)
        part.save(folder)
        key_array = np.array(keys, dtype=f"S{KEY_BYTES}")
        np.save(folder / "keys.npy", key_array, allow_pickle=False)
        (folder / "sorted").mkdir()
        _write_sorted(folder, "keys", key_array, np.arange(len(keys)))
        own = part.heading_keys[part.heading_rows]
        _write_sorted(folder, "headings", own, np.arange(len(own)))
        prints = [content.fingerprints for content in contents]
        numbers = np.repeat(np.arange(len(prints)), [len(one) for one in prints])
        _write_sorted(folder, "fingerprints", np.concatenate([np.zeros(0, np.uint64), *prints]), numbers)
        meta = {
            "kind": kind,
            "documents": rows,
            "chunks": first,
            "cases": sum(len(content.parsed.cases) for content in contents),
            "dimension": self._dimension,
            "files": {name: [size, digest] for name, size, digest in _files(folder)},
        }
        (folder / "segment.json").write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")


def _part(contents: Sequence[Content], dimension: int) -> Part:
    starts = np.cumsum([0, *(len(content.keys) for content in contents)]).tolist()
    headings = [
        (start + row, vector)
        for start, content in zip(starts, contents, strict=False)
        for row, vector in sorted(content.headings.items())
    ]
    nothing = np.zeros((0, dimension), np.float32)
    return Part(
        DenseIndex.build(np.concatenate([nothing, *(content.vectors for content in contents)])),
        DenseIndex.build(np.concatenate([nothing, *(vector[None] for _, vector in headings)])),
        np.array([row for row, _ in headings], dtype=np.int64),
        np.concatenate([np.zeros(0, np.uint64), *(content.heading_keys for content in contents)]),
        {name: Postings.joined(_runs([content.postings[name] for content in contents])) for name in FIELDS},
        None,
    )


def _runs(taken: Sequence[tuple[Postings, Rows]]) -> list[tuple[Postings, Rows]]:
    """What is taken, with the rows of documents that follow one another in the same postings in one: all of these are gone
    through for each."""
    runs: list[tuple[Postings, list[Rows]]] = []
    for postings, rows in taken:
        if runs and runs[-1][0] is postings:
            runs[-1][1].append(rows)
        else:
            runs.append((postings, [rows]))
    return [(postings, np.concatenate(rows)) for postings, rows in runs]


def _write_sorted(folder: Path, name: str, values: npt.NDArray[Any], places: npt.NDArray[np.int64]) -> None:
    """Writes values in order, and beside them what each belongs to: a row, a heading, a document of the segment."""
    order = np.argsort(values, kind="stable")
    np.save(folder / "sorted" / f"{name}.npy", values[order], allow_pickle=False)
    np.save(folder / "sorted" / f"{name}_of.npy", places[order].astype(np.int32), allow_pickle=False)


def _files(folder: Path, *, keep: bool = True) -> Iterator[tuple[str, int, str]]:
    """(name, size, SHA-256) of each file; with `keep` false what nobody else has mapped leaves the system's memory again."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "segment.json"):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not keep:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield path.relative_to(folder).as_posix(), path.stat().st_size, digest


Stamps = dict[str, list[int]]
"""By name, what tells that a file of a segment was not written to since: size, time in ns, inode."""


class StoredSegment:
    """A segment on disk, of which only what is asked for is read."""

    def __init__(self, folder: Path) -> None:
        """Reads the list of its documents; raises SegmentDamagedError where that cannot be read."""
        self.folder, self.name = folder, folder.name
        try:
            data = (folder / "segment.json").read_bytes()
            self.meta: dict[str, Any] = json.loads(data)
            self.rows: dict[str, tuple[int, int]] = {
                identity: (int(entry["rows"][0]), int(entry["rows"][1]))
                for identity, entry in self.meta["documents"].items()
            }
            self._files: dict[str, list[Any]] = dict(self.meta["files"])
            self.kind: str = self.meta["kind"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise SegmentDamagedError(f"segments/{folder.name}/segment.json を読めません") from error
        self.digest = hashlib.sha256(data).hexdigest()
        self._maps: dict[str, tuple[npt.NDArray[Any], npt.NDArray[np.int32]]] = {}

    def __len__(self) -> int:
        return max((end for _, end in self.rows.values()), default=0)

    @property
    def bytes(self) -> int:
        """How large its files are together, as they were written."""
        return sum(int(size) for size, _ in self._files.values())

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each of its files by name, as they were written; `segment.json` itself has `digest`."""
        return {name: digest for name, (_, digest) in self._files.items()}

    def check_sizes(self) -> Stamps:
        """Size, time (ns) and inode of each file; SegmentDamagedError where one is missing or of another size. Nothing is read."""
        stamps: Stamps = {}
        for name, (size, _) in self._files.items():
            try:
                found = (self.folder / name).stat()
            except OSError as error:
                raise SegmentDamagedError(f"segments/{self.name}/{name} がありません") from error
            if found.st_size != size:
                raise SegmentDamagedError(
                    f"segments/{self.name}/{name} の大きさが変わっています（{size}→{found.st_size}バイト）"
                )
            stamps[name] = [found.st_size, found.st_mtime_ns, found.st_ino]
        return stamps

    def check(self, *, keep: bool = True) -> None:
        """Raises SegmentDamagedError where a file is missing or not as it was written; `keep` as for `_files`."""
        self.check_sizes()
        try:
            found = {name: digest for name, _, digest in _files(self.folder, keep=keep)}
        except OSError as error:
            raise SegmentDamagedError(f"segments/{self.name} を読めません（{error.strerror}）") from error
        for name, (_, digest) in self._files.items():
            if found.get(name) != digest:
                raise SegmentDamagedError(f"segments/{self.name}/{name} の内容が変わっています")

    def document(self, identity: str) -> Parsed:
        """A document with its cases and chunks, as it was written."""
        return self.records.parsed(self.numbers[identity], range(*self.rows[identity]))

    @cached_property
    def records(self) -> Records:
        """The documents, cases and chunks, mapped."""
        return Records.load(self.folder)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Which document of the segment each is, by its id."""
        return {identity: number for number, identity in enumerate(self.rows)}

    @cached_property
    def keys(self) -> npt.NDArray[np.bytes_]:
        """The keys of the rows' vectors  # (n,) S32, mapped."""
        found: npt.NDArray[np.bytes_] = np.load(self.folder / "keys.npy", mmap_mode="r", allow_pickle=False)
        return found

    @cached_property
    def dense(self) -> DenseIndex:
        """The vectors of the rows, mapped."""
        return DenseIndex.load(self.folder / "vectors.faiss", mapped=True)

    @cached_property
    def tokens(self) -> TokenFile | None:
        """The token vectors of the rows, mapped; None where the model gave none."""
        folder = self.folder / "late"
        return TokenFile(folder) if folder.is_dir() else None

    def vectors_of(self, keys: npt.NDArray[np.bytes_]) -> dict[str, int]:
        """A row that holds the vector of each of these keys that is here, by key."""
        asked, rows = self._look_up("keys", keys)
        return dict(zip((key.decode("ascii") for key in keys[asked].tolist()), rows.tolist(), strict=True))

    def headings_of(self, keys: npt.NDArray[np.uint64]) -> dict[int, Vectors]:
        """The vectors of some of these headings, by heading key."""
        asked, places = self._look_up("headings", keys)
        if not len(asked):
            return {}
        vectors = DenseIndex.load(self.folder / "headings.faiss", mapped=True)
        return {
            int(key): vectors.vector(place)
            for key, place in zip(keys[asked].tolist(), places.tolist(), strict=True)
        }

    def common(self, fingerprints: npt.NDArray[np.uint64]) -> dict[str, int]:
        """How many of these fingerprints each document holds, by document id; those that hold none are left out."""
        names = list(self.rows)
        return {names[number]: count for _, number, count in self.shared([fingerprints])}

    def shared(self, texts: Sequence[npt.NDArray[np.uint64]]) -> Iterator[tuple[int, int, int]]:
        """(text, document, count) of each of these texts, by its number, and each document here, by its own, that have
        fingerprints in common; texts are given by their fingerprints."""
        lengths = [len(text) for text in texts]
        values = np.concatenate([np.zeros(0, np.uint64), *texts])
        owners = np.repeat(np.arange(len(texts)), lengths)
        order = np.argsort(values, kind="stable")  # in the order of the file
        asked, numbers = self._look_up("fingerprints", values[order], every=True)
        pairs = owners[order][asked] * len(self.rows) + numbers
        found, counts = np.unique(pairs, return_counts=True)
        for pair, count in zip(found.tolist(), counts.tolist(), strict=True):
            yield *divmod(pair, len(self.rows)), count

    def _look_up(
        self, name: str, asked: npt.NDArray[Any], *, every: bool = False
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Which of the values asked for are here, and what each belongs to (the first, or every one)."""
        values, places = self._sorted(name)
        first = np.searchsorted(values, asked, side="left")
        count = np.searchsorted(values, asked, side="right") - first
        held = np.flatnonzero(count)
        if not every:
            return held, np.asarray(places[first[held]], dtype=np.int64)
        first, count = first[held], count[held]
        # the places first, first + 1, … of each, in one go
        chosen = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
        return np.repeat(held, count), np.asarray(places[chosen], dtype=np.int64)

    def _sorted(self, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Values in order, and what each belongs to, mapped."""
        if name not in self._maps:
            values, places = (
                np.load(self.folder / "sorted" / file, mmap_mode="r", allow_pickle=False).view(np.ndarray)
                for file in (f"{name}.npy", f"{name}_of.npy")
            )
            self._maps[name] = values, places
        return self._maps[name]

    def fingerprints(self) -> dict[str, npt.NDArray[np.uint64]]:
        """The fingerprints of each document's text, ascending."""
        values, of = self._sorted("fingerprints")
        order = np.argsort(of, kind="stable")
        ends = np.cumsum(np.bincount(of, minlength=len(self.rows)))
        parts = np.split(values[order], ends[:-1]) if len(ends) else []
        return dict(zip(self.rows, parts, strict=True))

    def contents(self, identities: Collection[str]) -> list[Content]:
        """The given documents of this segment, in its order, as another segment takes them."""
        part = Part.load(self.folder)
        vectors = part.dense.vectors()
        headings = dict(zip(part.heading_rows.tolist(), part.headings.vectors(), strict=True))
        prints = self.fingerprints()
        found = []
        for identity, (first, end) in self.rows.items():
            if identity not in identities:
                continue
            rows = np.arange(first, end)
            found.append(
                Content(
                    self.document(identity),
                    [key.decode("ascii") for key in self.keys[first:end]],
                    vectors[first:end],
                    {row - first: headings[row] for row in range(first, end) if row in headings},
                    part.heading_keys[first:end],
                    {name: (part.postings[name], rows) for name in FIELDS},
                    prints[identity],
                )
            )
        return found


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment to be searched; row i of `part` is chunk i of `records`, `rows` are those of each document, in order;
    `case_counts` how many cases each has, `checked` says whether its files were read and found whole."""

    name: str
    kind: str
    digest: str
    rows: Mapping[str, tuple[int, int]]
    case_counts: Mapping[str, int]
    records: Records
    part: Part
    stored: StoredSegment
    checked: bool = True

    @classmethod
    def load(cls, folder: Path, stamps: Stamps | None = None) -> Segment:
        """A segment with every file checked; raises SegmentDamagedError where one is not as it was written.

        Where the files have these stamps they were found whole before, and are not read again.
        """
        stored = StoredSegment(folder)
        checked = stamps is None or stored.check_sizes() != stamps
        if checked:
            stored.check()
        try:
            # everything is mapped now: a build may clear the folder away while the segment is in use
            records, part, _ = stored.records, Part.load(folder), stored._sorted("fingerprints")
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            if not checked:
                stored.check()  # says which file it is
            raise SegmentDamagedError(
                f"segments/{folder.name} を読めません（{type(error).__name__}）"
            ) from error
        if not len(records) == len(part) == len(stored):
            raise SegmentDamagedError(
                f"segments/{folder.name} の件数が合いません（本文{min(len(records), len(stored))}・検索{len(part)}）"
            )
        counts = {name: int(entry["cases"]) for name, entry in stored.meta["documents"].items()}
        return cls(
            folder.name, stored.kind, stored.digest, stored.rows, counts, records, part, stored, checked
        )

    def common(self, fingerprints: npt.NDArray[np.uint64]) -> dict[str, tuple[int, int]]:
        """Of each document that has some of these fingerprints: how many of them, and how many it has itself."""
        documents = self.stored.meta["documents"]
        return {
            name: (count, int(documents[name]["fingerprints"]))
            for name, count in self.stored.common(fingerprints).items()
        }
