"""One version of the index in memory, to be searched.

In: an index folder (`index.versions`, `index.segment`). Out: an `Index` that answers with chunks and scores. Rows of the
engines are known only in this package; outside, a chunk is known by its id. Segments that an older `Index` has in memory
are taken over as they are: taking up a new version costs what is new in it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from corpus.records import Case, Chunk, Document
from index.engines import Engines, Part, Probe
from index.segment import LIST, TEXT, Segment, SegmentDamagedError
from index.tokenizer import tokenizer_name
from index.versions import (
    REBUILD,
    IndexMissingError,
    IndexUnusableError,
    ModelRecord,
    current_version,
    read_manifest,
)

LIST_COST = 0.05
"""What a row of a list lacks against a text of the same score, where both are there: of many short rows one is near by
chance (docs/decisions.md)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found: the fused score (0..1), and the cosine, BM25 and MaxSim, None where there is none."""

    chunk: Chunk
    score: float
    dense: float | None
    lexical: float | None
    late: float | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of the corpus: the chunks of some documents, of some cases, and single ones, by their ids."""

    documents: Collection[str] = frozenset()
    cases: Collection[str] = frozenset()
    chunks: Collection[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.documents or self.cases or self.chunks)

    def holds(self, chunk: Chunk) -> bool:
        """Whether a chunk belongs to it."""
        return chunk.document_id in self.documents or chunk.case_id in self.cases or chunk.id in self.chunks


class Store(Protocol):
    """What an engine must do to stand behind the product: hold the records and find chunks.

    `Index` does it in memory; a distributed engine would do it over a network with the same words.
    """

    manifest: Mapping[str, Any]
    version: str
    documents: Mapping[str, Document]
    """In the order of their paths."""
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

    def sentences(self, probe: Probe, chunk_id: str) -> dict[int, tuple[float, float]]:
        """(MaxSim, cosine) of the sentences of a chunk by their number."""
        ...

    def holds_word(self, word: str) -> bool:
        """Whether any chunk has a word."""
        ...

    def holds_gram(self, gram: str) -> bool:
        """Whether any chunk has a gram."""
        ...


class Index:
    """One version of the index, in memory and never changed."""

    def __init__(self, manifest: Mapping[str, Any], segments: Sequence[Segment]) -> None:
        self.manifest = manifest
        self.version: str = manifest["version"]
        self.segments = {segment.name: segment for segment in segments}
        of_segment = {entry["id"]: entry for entry in manifest["documents"]}
        self.documents: dict[str, Document] = {}
        self.indexed_at: dict[str, str] = {
            entry["id"]: entry["indexed_at"] for entry in manifest["documents"]
        }
        self.cases: dict[str, Case] = {}
        collections: dict[str, _Rows] = {}
        for segment in segments:
            own = {
                identity
                for identity in segment.documents
                if of_segment.get(identity, {}).get("segment") == segment.name
            }
            for identity in own:
                self.documents[identity] = _named(segment.documents[identity], of_segment[identity]["paths"])
            self.cases.update({case.id: case for case in segment.cases if case.document_id in own})
            rows = collections.setdefault(segment.kind, _Rows())
            rows.parts.append(segment.part)
            rows.chunks.extend(segment.chunks)
            rows.live.extend(chunk.document_id in own for chunk in segment.chunks)
        # in the order of their paths, whichever segment they stand in
        self.documents = dict(sorted(self.documents.items(), key=lambda item: item[1].path))
        self._collections = [
            _Collection(
                rows.chunks,
                Engines(rows.parts, np.array(rows.live, dtype=bool)),
                LIST_COST if kind == LIST and TEXT in collections else 0.0,
            )
            for kind, rows in collections.items()
        ]
        # where a chunk stands: in which collection, in which row
        self._place: dict[str, tuple[_Collection, int]] = {}
        # the chunks of a document and of a case, by where they stand in the text
        self._of_document: dict[str, list[Chunk]] = {}
        self._of_case: dict[str, list[Chunk]] = {}
        for collection, rows in zip(self._collections, collections.values(), strict=True):
            for row, (chunk, own_row) in enumerate(zip(rows.chunks, rows.live, strict=True)):
                if own_row:
                    self._place[chunk.id] = (collection, row)
                    self._of_document.setdefault(chunk.document_id, []).append(chunk)
                    if chunk.case_id is not None:
                        self._of_case.setdefault(chunk.case_id, []).append(chunk)
        for held in (*self._of_document.values(), *self._of_case.values()):
            held.sort(key=lambda chunk: chunk.start)
        self.chunk_counts = Counter({name: len(held) for name, held in self._of_document.items()})
        """How many chunks a document has, by its id; 0 for one without."""
        counts = {"documents": len(self.documents), "cases": len(self.cases), "chunks": len(self._place)}
        for name, count in counts.items():
            if manifest["counts"][name] != count:
                raise IndexUnusableError(
                    f"索引の件数が合いません（{name}：目録{manifest['counts'][name]}・実際{count}）。{REBUILD}"
                )

    def chunk(self, chunk_id: str) -> Chunk | None:
        """The chunk of an id, None where there is none."""
        place = self._place.get(chunk_id)
        return None if place is None else place[0].chunks[place[1]]

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """All chunks, in the order of their rows."""
        return tuple(collection.chunks[row] for collection, row in self._place.values())

    def chunks_of_document(self, document_id: str) -> Sequence[Chunk]:
        """The chunks of a document in the order of its text."""
        return self._of_document.get(document_id, ())

    def chunks_of_case(self, case_id: str) -> Sequence[Chunk]:
        """The chunks of a case in the order of its text."""
        return self._of_case.get(case_id, ())

    def _rows(self, scope: Scope) -> dict[int, list[int]]:
        """The rows of a scope, by the identity of their collection."""
        chunks = [
            *(chunk.id for name in scope.documents for chunk in self.chunks_of_document(name)),
            *(chunk.id for name in scope.cases for chunk in self.chunks_of_case(name)),
            *scope.chunks,
        ]
        rows: dict[int, set[int]] = {}
        for chunk_id in chunks:
            place = self._place.get(chunk_id)
            if place is not None:
                rows.setdefault(id(place[0]), set()).add(place[1])
        return {collection: sorted(held) for collection, held in rows.items()}

    def search(self, probe: Probe, k: int, scope: Scope | None = None) -> list[Hit]:
        """The k best chunks for a question, best first; only those of `scope` where given.

        Texts and lists are searched apart, and their scores compared: each says how well the best of its own is met.
        """
        rows = None if scope is None else self._rows(scope)
        hits = []
        for collection in self._collections:
            own: npt.NDArray[np.int64] | None = None
            if rows is not None:
                own = np.array(rows.get(id(collection), []), dtype=np.int64)
            hits += [
                Hit(
                    collection.chunks[found.row],
                    max(0.0, found.score - collection.cost),
                    found.dense,
                    found.lexical,
                    found.late,
                )
                for found in collection.engines.search(probe, k, own)
            ]
        return sorted(hits, key=lambda hit: -hit.score)[:k]

    def holds_word(self, word: str) -> bool:
        """Whether any chunk has a word (`index.tokenizer.tokenize`), in its text or in what stands above it."""
        return any(collection.engines.holds_word(word) for collection in self._collections)

    def holds_gram(self, gram: str) -> bool:
        """Whether any chunk has a gram (`index.tokenizer.grams`)."""
        return any(collection.engines.holds_gram(gram) for collection in self._collections)

    def sentences(self, probe: Probe, chunk_id: str) -> dict[int, tuple[float, float]]:
        """(MaxSim, cosine) of the sentences of a chunk by their number in `corpus.text.sentence_spans` of its text."""
        collection, row = self._place[chunk_id]
        return collection.engines.sentences(probe, row)


@dataclass(slots=True)
class _Rows:
    """What a collection is made of while segments are gathered."""

    parts: list[Part] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    live: list[bool] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Collection:
    """Documents of one kind, searched together with statistics of their own; row i is `chunks[i]`."""

    chunks: Sequence[Chunk]
    engines: Engines
    cost: float


def _named(document: Document, paths: Sequence[str]) -> Document:
    """A document with all paths under which its content stands now."""
    others = tuple(twin_note(path) for path in paths[1:])
    return replace(document, paths=tuple(paths), warnings=(*document.warnings, *others))


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
    root: Path, name: str, model: ModelRecord | None = None, known: Index | None = None
) -> Index:
    """One version; segments that `known` holds are taken from it, the others are read and checked file by file.

    Raises IndexUnusableError where it is damaged or does not fit the encoder or the tokenizer.
    """
    manifest = read_manifest(root, name)
    check_agreement(manifest, model)
    held = {} if known is None else known.segments
    segments = []
    try:
        for segment_name, digest in manifest["segments"].items():
            segment = held.get(segment_name)
            if segment is None or segment.digest != digest:
                segment = Segment.load(root / "segments" / segment_name)
            if segment.digest != digest:
                raise SegmentDamagedError(f"segments/{segment_name}/segment.json の内容が変わっています")
            segments.append(segment)
        return Index(manifest, segments)
    except SegmentDamagedError as error:
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
    "Store",
    "check_agreement",
    "current_version",
    "load_current",
    "load_version",
]
