"""One version of the index in memory, to be searched.

In: an index folder (`index.versions`, `index.segment`). Out: an `Index` that answers with chunks and scores. Rows of the
engines are known only in this package; outside, a chunk is known by its id. Segments that an older `Index` has in memory
are taken over as they are: taking up a new version costs what is new in it.
"""

from __future__ import annotations

import dataclasses
import threading
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from corpus.records import Case, Chunk, Document, DocumentInfo
from index.engines import Engines, Finder, Probe, Rows
from index.previous import forget_stamps, read_stamps
from index.records import Records, chunk_key
from index.scope import Scope
from index.segment import LIST, TEXT, Segment, SegmentDamagedError, Stamps, StoredSegment
from index.tokenizer import tokenizer_name
from index.versions import (
    REBUILD,
    IndexMissingError,
    IndexUnusableError,
    ModelRecord,
    current_version,
    read_manifest,
)


class StoreUnavailableError(RuntimeError):
    """The store cannot be asked now; the message says what is wrong and what to do, in Japanese."""


LIST_COST = 0.05
"""What a row of a list lacks against a text of the same score, where both are there: of many short rows one is near by
chance (docs/decisions.md)."""

KEPT_CHUNKS = 8192
"""Chunks that are kept once they were read, some 10 MB: those of a small index all."""
KEPT_LISTS = 128
"""Documents and cases whose chunks are kept together: a page of one asks for them fifty times."""
KEPT_LETTERS = 20_000_000
"""Letters of documents that are kept once they were read, 40 MB."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found: the fused score (0..1), and the cosine, BM25 and MaxSim, None where there is none."""

    chunk: Chunk
    score: float
    dense: float | None
    lexical: float | None
    late: float | None = None

    def scored(self, score: float) -> Hit:
        """The same with another score."""
        return Hit(self.chunk, score, self.dense, self.lexical, self.late)


class Store(Protocol):
    """What an engine must do to stand behind the product: hold the records and find chunks.

    `Index` does it over mapped files; a distributed engine would do it over a network with the same words.
    """

    manifest: Mapping[str, Any]
    version: str
    listing: Mapping[str, DocumentInfo]
    """What a list says of each document, in the order of their paths."""
    documents: Mapping[str, Document]
    """Documents with their texts, read when one is asked for."""
    cases: Mapping[str, Case]
    indexed_at: Mapping[str, str]
    chunk_counts: Mapping[str, int]

    def search(self, probe: Probe, k: int, scope: Scope | None = None) -> list[Hit]:
        """The k best chunks, best first; only those of `scope` where given."""
        ...

    def chunk(self, chunk_id: str) -> Chunk | None:
        """The chunk of an id, None where there is none."""
        ...

    def chunks_of_document(self, document_id: str) -> Sequence[Chunk]:
        """The chunks of a document in the order of its text."""
        ...

    def chunks_of_case(self, case_id: str) -> Sequence[Chunk]:
        """The chunks of a case in the order of its text."""
        ...

    def opening_of_case(self, case_id: str) -> Chunk | None:
        """The first chunk of a case in the order of its text, None where it has none."""
        ...

    def sentences(self, probe: Probe, chunk_id: str) -> dict[int, tuple[float, float]]:
        """(MaxSim, cosine) of the sentences of a chunk by their number."""
        ...

    def documents_saying(self, words: str) -> Sequence[str]:
        """The documents whose text says words, both without spaces, in the order of their paths."""
        ...

    def document_says(self, document_id: str, words: str) -> bool:
        """Whether the text of a document says words, both without spaces."""
        ...

    def sharing(self, fingerprints: npt.NDArray[np.uint64]) -> Iterator[tuple[str, int, int]]:
        """(document, how many of these fingerprints it has, how many it has itself), those that have some."""
        ...

    def holds_word(self, word: str) -> bool:
        """Whether any chunk has a word."""
        ...

    def holds_gram(self, gram: str) -> bool:
        """Whether any chunk has a gram."""
        ...


class Index:
    """One version of the index, over mapped files, never changed."""

    def __init__(
        self,
        manifest: Mapping[str, Any],
        segments: Sequence[SearchedSegment],
        finder_of: FinderOf | None = None,
    ) -> None:
        """`finder_of` says what finds rows of some segments, where these are not here."""
        self.manifest, self._finder_of = manifest, finder_of
        self.version: str = manifest["version"]
        self.segments = {segment.name: segment for segment in segments}
        entries = {entry["id"]: entry for entry in manifest["documents"]}
        self.indexed_at: dict[str, str] = {name: entry["indexed_at"] for name, entry in entries.items()}
        self._collections = _collections(segments, entries, finder_of)
        listing: dict[str, DocumentInfo] = {}
        self.cases: dict[str, Case] = {}
        self.chunk_counts: Counter[str] = Counter()
        """How many chunks a document has, by its id; 0 for one without."""
        # where the rows of a document are, and those of a case with its number in its segment
        self._of_document: dict[str, _Place] = {}
        self._of_case: dict[str, tuple[_Place, int]] = {}
        for collection, members in enumerate(self._collections):
            for held in members.held:
                case_number = 0
                for number, (identity, (first, end)) in enumerate(held.segment.rows.items()):
                    if identity in held.own:
                        info, cases = held.segment.records.listed(number)
                        listing[identity] = _named(info, entries[identity]["paths"])
                        place = _Place(collection, held, number, held.offset + first, held.offset + end)
                        self._of_document[identity] = place
                        self.chunk_counts[identity] = end - first
                        for own_number, case in enumerate(cases, case_number):
                            self.cases[case.id] = case
                            self._of_case[case.id] = place, own_number
                    case_number += held.segment.case_counts[identity]
        # in the order of their paths, whichever segment they stand in
        self.listing: dict[str, DocumentInfo] = dict(sorted(listing.items(), key=lambda item: item[1].path))
        self.documents: Mapping[str, Document] = _Documents(self._of_document, self.listing)
        self._key_order, self._keys = _key_table(self._collections)
        # of functions that do not know the index: it would else hold itself in memory when it is no longer in use
        self._chunk_at = lru_cache(maxsize=KEPT_CHUNKS)(partial(_read_chunk, self._collections))
        self._in_order = lru_cache(maxsize=KEPT_LISTS)(
            partial(_read_in_order, self._collections, self._chunk_at)
        )
        self._openings: dict[str, tuple[int, int] | None] = {}
        counts = {"documents": len(self.listing), "cases": len(self.cases), "chunks": len(self._keys)}
        for name, count in counts.items():
            if manifest["counts"][name] != count:
                raise IndexUnusableError(
                    f"索引の件数が合いません（{name}：目録{manifest['counts'][name]}・実際{count}）。{REBUILD}"
                )

    @property
    def is_narrowed(self) -> bool:
        """Whether it is a part of a version (`narrowed`)."""
        return bool(self.manifest.get("narrowed"))

    def narrowed(self, visible: Callable[[str], bool]) -> Index:
        """This version as if there were only the files whose paths are `visible`.

        What is hidden counts nowhere: not in hits, not in how rare a word is, not in the manifest's counts and errors. The
        segments are shared.
        """
        documents, own = [], set()
        for entry in self.manifest["documents"]:
            paths = [path for path in entry["paths"] if visible(path)]
            if paths:
                documents.append({**entry, "paths": paths})
                own.add(entry["id"])
        used = {entry["segment"] for entry in documents}
        manifest = {
            **self.manifest,
            "documents": documents,
            "errors": [problem for problem in self.manifest["errors"] if visible(problem["path"])],
            "counts": {
                "documents": len(own),
                "cases": sum(case.document_id in own for case in self.cases.values()),
                "chunks": sum(self.chunk_counts[name] for name in own),
            },
            "narrowed": True,
        }
        segments = [segment for name, segment in self.segments.items() if name in used]
        return Index(manifest, segments, self._finder_of)

    def chunk(self, chunk_id: str) -> Chunk | None:
        """The chunk of an id, None where there is none."""
        place = self._place(chunk_id)
        return None if place is None else self._chunk_at(*place)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """All chunks, in the order of their rows: for looks at a small index."""
        return tuple(
            self._chunk_at(number, row)
            for number, collection in enumerate(self._collections)
            for row in np.flatnonzero(collection.live).tolist()
        )

    def chunks_of_document(self, document_id: str) -> Sequence[Chunk]:
        """The chunks of a document in the order of its text."""
        place = self._of_document.get(document_id)
        return () if place is None else self._in_order(place.collection, range(place.first, place.end))

    def chunks_of_case(self, case_id: str) -> Sequence[Chunk]:
        """The chunks of a case in the order of its text."""
        found = self._of_case.get(case_id)
        if found is None:
            return ()
        return self._in_order(found[0].collection, tuple(found[0].rows_of_case(found[1])))

    def opening_of_case(self, case_id: str) -> Chunk | None:
        """The first chunk of a case in the order of its text, None where it has none."""
        if case_id not in self._openings:
            first = next(iter(self.chunks_of_case(case_id)), None)
            self._openings[case_id] = None if first is None else self._place(first.id)
        place = self._openings[case_id]
        return None if place is None else self._chunk_at(*place)

    def _place(self, chunk_id: str) -> tuple[int, int] | None:
        """In which collection and row a chunk that counts is."""
        key = np.uint64(chunk_key(chunk_id))
        at = int(np.searchsorted(self._keys, key))
        if at == len(self._keys) or self._keys[at] != key:
            return None
        row = int(self._key_order[at])
        for number, collection in enumerate(self._collections):
            if row < len(collection.live):
                return number, row
            row -= len(collection.live)
        raise AssertionError("a key without a row")

    def _rows(self, scope: Scope) -> list[npt.NDArray[np.int64]]:
        """The rows of a scope in each collection, ascending."""
        rows: list[set[int]] = [set() for _ in self._collections]
        for name in scope.documents:
            if (place := self._of_document.get(name)) is not None:
                rows[place.collection].update(range(place.first, place.end))
        for name in scope.cases:
            if (found := self._of_case.get(name)) is not None:
                rows[found[0].collection].update(found[0].rows_of_case(found[1]))
        for chunk_id in scope.chunks:
            if (at := self._place(chunk_id)) is not None:
                rows[at[0]].add(at[1])
        return [np.array(sorted(own), dtype=np.int64) for own in rows]

    def search(self, probe: Probe, k: int, scope: Scope | None = None) -> list[Hit]:
        """The k best chunks for a question, best first; only those of `scope` where given.

        Texts and lists are searched apart, and their scores compared: each says how well the best of its own is met.
        """
        rows = None if scope is None else self._rows(scope)
        found = [
            (max(0.0, one.score - collection.cost), number, one)
            for number, collection in enumerate(self._collections)
            for one in collection.engines.search(probe, k, None if rows is None else rows[number], scope)
        ]
        found.sort(key=lambda item: -item[0])
        for number, collection in enumerate(self._collections):
            collection.prefetch([one.row for _, of, one in found[:k] if of == number])
        return [
            Hit(self._chunk_at(number, one.row), score, one.dense, one.lexical, one.late)
            for score, number, one in found[:k]
        ]

    def documents_saying(self, words: str) -> list[str]:
        """The documents whose text says words, both without spaces (`corpus.text.squeeze`), in the order of their paths."""
        found = []
        for collection in self._collections:
            for held in collection.held:
                names = list(held.segment.rows)
                found += [
                    names[number]
                    for number in held.segment.records.saying(words)
                    if names[number] in held.own
                ]
        return sorted(found, key=lambda name: self.listing[name].path)

    def document_says(self, document_id: str, words: str) -> bool:
        """Whether the text of a document says words, both without spaces."""
        place = self._of_document.get(document_id)
        return place is not None and place.held.segment.records.says(place.number, words)

    def sharing(self, fingerprints: npt.NDArray[np.uint64]) -> Iterator[tuple[str, int, int]]:
        """(document, how many of these fingerprints (index.likeness) it has, how many it has itself), those that have some."""
        for collection in self._collections:
            for held in collection.held:
                for name, (count, size) in held.segment.common(fingerprints).items():
                    if name in held.own:
                        yield name, count, size

    def holds_word(self, word: str) -> bool:
        """Whether any chunk has a word (`index.tokenizer.tokenize`), in its text or in what stands above it."""
        return any(collection.engines.holds_word(word) for collection in self._collections)

    def holds_gram(self, gram: str) -> bool:
        """Whether any chunk has a gram (`index.tokenizer.grams`)."""
        return any(collection.engines.holds_gram(gram) for collection in self._collections)

    def sentences(self, probe: Probe, chunk_id: str) -> dict[int, tuple[float, float]]:
        """(MaxSim, cosine) of the sentences of a chunk by their number in `corpus.text.sentence_spans` of its text."""
        place = self._place(chunk_id)
        return {} if place is None else self._collections[place[0]].engines.sentences(probe, place[1])


class _Documents(Mapping[str, Document]):
    """The documents of an index by their ids; texts are read when one is asked for, and the last ones are kept.

    To go through all of them reads all of them: what a list says of a document is in `Index.listing`.
    """

    def __init__(self, places: Mapping[str, _Place], listing: Mapping[str, DocumentInfo]) -> None:
        self._places, self._listing = places, listing
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._letters = 0
        self._lock = threading.Lock()

    def __getitem__(self, document_id: str) -> Document:
        with self._lock:
            if document_id in self._kept:
                self._kept.move_to_end(document_id)
                return self._kept[document_id]
        place, info = self._places[document_id], self._listing[document_id]
        read = place.held.segment.records.document(place.number)
        found = replace(read, paths=info.paths, warnings=info.warnings)
        with self._lock:
            if document_id not in self._kept:
                self._kept[document_id] = found
                self._letters += len(found.text)
            while self._letters > KEPT_LETTERS and len(self._kept) > 1:
                self._letters -= len(self._kept.popitem(last=False)[1].text)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._listing)

    def __len__(self) -> int:
        return len(self._listing)

    def __contains__(self, document_id: object) -> bool:
        return document_id in self._listing


class SearchedSegment(Protocol):
    """A segment as an index needs it, wherever it is kept (`index.segment.Segment`)."""

    @property
    def name(self) -> str:
        """Under which a version names it."""
        ...

    @property
    def kind(self) -> str:
        """Texts or lists."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of its list of files."""
        ...

    @property
    def rows(self) -> Mapping[str, tuple[int, int]]:
        """The rows of each document, in order."""
        ...

    @property
    def case_counts(self) -> Mapping[str, int]:
        """How many cases each document has."""
        ...

    @property
    def records(self) -> Records:
        """Its documents, cases and chunks."""
        ...

    def common(self, fingerprints: npt.NDArray[np.uint64]) -> Mapping[str, tuple[int, int]]:
        """Of each document that has some of these fingerprints: how many of them, and how many it has itself."""
        ...

    @property
    def part(self) -> Rows:
        """What the engines know of its rows."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class HeldSegment:
    """A segment in a collection: where its rows begin there, and which of its documents count."""

    segment: SearchedSegment
    offset: int
    own: Collection[str]


FinderOf = Callable[[Sequence[HeldSegment]], Finder]
"""What finds the rows of the segments of a collection."""


@dataclass(frozen=True, slots=True, eq=False)
class _Collection:
    """Documents of one kind, searched together with statistics of their own; `live`  # (n,) says which rows count."""

    held: Sequence[HeldSegment]
    offsets: Sequence[int]
    live: npt.NDArray[np.bool_]
    engines: Engines
    cost: float

    def at(self, row: int) -> HeldSegment:
        """The segment that a row is of."""
        return self.held[bisect_right(self.offsets, row) - 1]

    def prefetch(self, rows: Iterable[int]) -> None:
        """Says which chunks will be asked for."""
        asked: dict[int, list[int]] = {}
        for row in rows:
            number = bisect_right(self.offsets, row) - 1
            asked.setdefault(number, []).append(row - self.offsets[number])
        for number, own in asked.items():
            self.held[number].segment.records.prefetch(own)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a document is: its number in its segment, and its rows `first:end` in a collection."""

    collection: int
    held: HeldSegment
    number: int
    first: int
    end: int

    def rows_of_case(self, number: int) -> list[int]:
        """The rows of a case of the document, by its number in the segment."""
        offset = self.held.offset
        cases = self.held.segment.records.case_numbers[self.first - offset : self.end - offset]
        rows: list[int] = (self.first + np.flatnonzero(cases == number)).tolist()
        return rows


def _collections(
    segments: Sequence[SearchedSegment],
    entries: Mapping[str, Mapping[str, Any]],
    finder_of: FinderOf | None,
) -> list[_Collection]:
    """The segments by their kind; of each, the documents that `entries` says stand in it."""
    kinds: dict[str, list[HeldSegment]] = {}
    sizes: Counter[str] = Counter()
    for segment in segments:
        own = {name for name in segment.rows if entries.get(name, {}).get("segment") == segment.name}
        kinds.setdefault(segment.kind, []).append(HeldSegment(segment, sizes[segment.kind], own))
        sizes[segment.kind] += len(segment.records)
    made = []
    for kind, held in kinds.items():
        live = np.zeros(sizes[kind], dtype=bool)
        for one in held:
            for name in one.own:
                first, end = one.segment.rows[name]
                live[one.offset + first : one.offset + end] = True
        finder = finder_of(held) if finder_of is not None else None
        engines = Engines([one.segment.part for one in held], live, finder)
        cost = LIST_COST if kind == LIST and TEXT in kinds else 0.0
        made.append(_Collection(held, [one.offset for one in held], live, engines, cost))
    return made


def _read_chunk(collections: Sequence[_Collection], number: int, row: int) -> Chunk:
    held = collections[number].at(row)
    return held.segment.records.chunk(row - held.offset)


def _read_in_order(
    collections: Sequence[_Collection],
    chunk_at: Callable[[int, int], Chunk],
    number: int,
    rows: range | tuple[int, ...],
) -> tuple[Chunk, ...]:
    collections[number].prefetch(rows)
    return tuple(sorted((chunk_at(number, row) for row in rows), key=lambda chunk: chunk.start))


def _key_table(
    collections: Sequence[_Collection],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """The keys of the chunks that count, in order, and the row of each, counted through all collections  # (n,), (n,)."""
    nothing = np.zeros(0, np.uint64)
    keys = np.concatenate([nothing, *(held.segment.records.keys for one in collections for held in one.held)])
    live = np.concatenate([np.zeros(0, bool), *(one.live for one in collections)])
    rows = np.flatnonzero(live)
    rows = rows[np.argsort(keys[rows], kind="stable")]
    return rows, keys[rows]


def _named(info: DocumentInfo, paths: Sequence[str]) -> DocumentInfo:
    """A document with all paths under which its content stands now."""
    others = tuple(twin_note(path) for path in paths[1:])
    return replace(info, paths=tuple(paths), warnings=(*info.warnings, *others))


def twin_note(path: str) -> str:
    """What is said of a document whose content stands under another path too."""
    return f"「{path}」は同じ内容なので、一つの資料として扱います。"


def load_current(root: Path, model: ModelRecord | None = None) -> Index:
    """The version in use, checked file by file; `model` is the encoder that questions will be encoded with."""
    name = current_version(root)
    if name is None:
        raise IndexMissingError("索引がまだありません。build_index.py で作ってください。")
    return load_version(root, name, model)


def load_version(
    root: Path,
    name: str,
    model: ModelRecord | None = None,
    known: Index | None = None,
    at_once: int | None = None,
) -> Index:
    """One version; segments that `known` holds are taken from it, the others are read and checked file by file.

    Where these have more than `at_once` bytes, those are not read whose files are as a build found them whole: they are not
    `checked`, and whoever loads them has to (`index.background`).

    Raises IndexUnusableError where it is damaged or does not fit the encoder or the tokenizer.
    """
    manifest = read_manifest(root, name)
    check_agreement(manifest, model)
    held = {} if known is None else known.segments
    segments: list[SearchedSegment] = []
    stamps: Mapping[str, Stamps] = {}
    try:
        fresh = [
            StoredSegment(root / "segments" / other) for other in manifest["segments"] if other not in held
        ]
        large = at_once is not None and sum(segment.bytes for segment in fresh) > at_once
        stamps = read_stamps(root, name) if large else {}
        for segment_name, digest in manifest["segments"].items():
            segment = held.get(segment_name)
            if segment is None or segment.digest != digest:
                segment = Segment.load(root / "segments" / segment_name, stamps.get(segment_name))
            if segment.digest != digest:
                raise SegmentDamagedError(f"segments/{segment_name}/segment.json の内容が変わっています")
            segments.append(segment)
        return Index(manifest, segments)
    except SegmentDamagedError as error:
        if stamps:
            forget_stamps(root, name)
        raise IndexUnusableError(f"索引の版「{name}」が壊れています（{error}）。{REBUILD}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexUnusableError(
            f"索引の版「{name}」を読めません（{type(error).__name__}）。{REBUILD}"
        ) from error


def check_agreement(manifest: Mapping[str, Any], model: ModelRecord | None) -> None:
    """Raises IndexUnusableError where an index was made with another tokenizer or another model."""
    if manifest["tokenizer"] != tokenizer_name():
        raise IndexUnusableError(
            f"索引の単語分割が違います（索引「{manifest['tokenizer']}」・このプログラム「{tokenizer_name()}」）。{REBUILD}"
        )
    if model is None:
        return
    for key, value in dataclasses.asdict(model).items():
        if manifest["model"].get(key) != value:
            raise IndexUnusableError(
                f"索引を作ったモデルが違います（{key}：索引「{manifest['model'].get(key)}」・指定「{value}」）。"
                f"--model を索引に合わせるか、{REBUILD}"
            )


__all__ = [
    "Hit",
    "Index",
    "IndexMissingError",
    "IndexUnusableError",
    "ModelRecord",
    "Scope",
    "SearchedSegment",
    "Store",
    "StoreUnavailableError",
    "check_agreement",
    "current_version",
    "load_current",
    "load_version",
]
