"""One version of the index on a Milvus server, and the version that is in use there.

In: a store (`index.milvus`) that `index.milvus_publish` wrote to. Out: the same `Index` as over local files: Milvus searches the vectors, with
the conditions on documents and cases as its filter; postings, token vectors and records are fetched by page and kept for a
while. So answers are those of the local store, and a server needs no files of its own. In memory are, of each chunk,
some 60 bytes (lengths, keys of headings and of the chunk, its case, where its line and its tokens begin).
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index.current import Progress, prepared
from index.dense import Vectors
from index.engines import Marks, Probe, best_first
from index.fusion import Ranked
from index.lexical import FIELDS, GRAMS, WORDS, Fields, LexicalIndex, TokenPostings
from index.likeness import Fingerprints, fingerprints
from index.milvus import MISSING, MOST_HITS, Milvus, quoted
from index.milvus_pages import Pages, StoredFile, StoredLines, array_of, read_whole
from index.milvus_rows import StoredPostings, StoredTokens, prefetch
from index.milvus_words import SparseIndex, SparseSearch
from index.records import Records
from index.scope import Scope
from index.store import (
    HeldSegment,
    Index,
    IndexMissingError,
    IndexUnusableError,
    ModelRecord,
    StoreUnavailableError,
    check_agreement,
)
from index.versions import REBUILD

LAYOUT = 1
"""How an index is written to a store; another number cannot be read."""
THREADS = 8
"""Calls under way beside those of the requests themselves: two for each of the questions that are answered at once, and some."""
LOOK_S = 1.0
"""Between two looks whether another version is in use, and whether the store answers."""
_WHOLE = (
    "segment.json", "documents_at.npy", "texts_at.npy", "chunks_at.npy", "chunk_keys.npy", "chunk_cases.npy", "heading_rows.npy",
    "heading_keys.npy", *(f"lexical/{field}/{name}.npy" for field in FIELDS for name in ("lengths", "starts", "tokens")),
)  # fmt: skip
_LATE = ("late/places.npy", "late/dimension.npy", "late/frequencies.npy")
_log = logging.getLogger("dxqa.index")


@dataclass(frozen=True, slots=True)
class StoredRows:
    """What engines know of the rows of a segment but for its vectors (`index.engines.Rows`)."""

    heading_rows: npt.NDArray[np.int64]
    heading_keys: npt.NDArray[np.uint64]
    postings: Mapping[str, StoredPostings]
    late: StoredTokens | None

    def __len__(self) -> int:
        return len(self.heading_keys)


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment on the server (`index.store.SearchedSegment`)."""

    name: str
    kind: str
    digest: str
    rows: Mapping[str, tuple[int, int]]
    case_counts: Mapping[str, int]
    records: Records
    part: StoredRows
    prints: dict[str, Fingerprints] = field(default_factory=dict)

    def common(self, prints: Fingerprints) -> dict[str, tuple[int, int]]:
        """Of each document that has some of these fingerprints: how many of them, and how many it has itself."""
        found = {}
        for number, name in enumerate(self.rows):
            if name not in self.prints:  # they are not published: made of the texts, once
                self.prints[name] = fingerprints(self.records.document(number).text)
            own = self.prints[name]
            count = len(np.intersect1d(prints, own, assume_unique=True))
            if count:
                found[name] = count, len(own)
        return found


@dataclass(frozen=True, slots=True)
class Head:
    """What a version says of itself: its name, the sizes in bytes of its own files, and whether tokens are sparse vectors, too."""

    version: str
    layout: int
    files: Mapping[str, int]
    sparse: bool = False


class MilvusFinder:
    """Finds rows of the segments of a collection on the server (`index.engines.Finder`)."""

    def __init__(
        self,
        milvus: Milvus,
        dimension: int,
        held: Sequence[HeldSegment],
        pages: Pages,
        threads: ThreadPoolExecutor,
        sparse: bool,
    ) -> None:
        """`pages` hold the postings of the segments; `sparse` says whether their tokens are sparse vectors, too."""
        self._sparse = sparse
        self._milvus, self._pages, self._threads = milvus, pages, threads
        self._rows = [one.segment.part for one in held]
        self._texts = milvus.collection(f"vectors_{dimension}")
        self._headings = milvus.collection(f"headings_{dimension}")
        self._offsets = {one.segment.name: one.offset for one in held}
        self._condition = _condition(held)

    def lexical(
        self,
        postings: Sequence[Mapping[str, TokenPostings]],
        fields: Fields,
        live: npt.NDArray[np.bool_] | None,
    ) -> LexicalIndex:
        """What ranks rows by tokens: the server where it can, our own over postings that are fetched."""
        if not self._sparse:
            return LexicalIndex(postings, fields, live)
        collection = self._milvus.collection("words" if fields == WORDS else "grams")
        return SparseIndex(postings, fields, live, _Sparse(self, collection))

    def nearest(
        self, probe: Probe, k: int, allowed: Marks, own: Marks, scope: Scope | None
    ) -> tuple[Ranked, Ranked]:
        """(row, cosine) of the k nearest by the vectors of rows, and by those of their headings.

        The three calls that a question needs are under way together: the third fetches what words and grams will look up.
        """
        headings = self._threads.submit(self._found, self._headings, probe.vector, k, own, scope)
        postings = self._threads.submit(self._prefetch, probe)
        texts = self._found(self._texts, probe.vector, k, allowed, scope)
        postings.result()
        return texts, headings.result()

    def _prefetch(self, probe: Probe) -> None:
        if self._sparse:
            return  # what is counted of a token stays in memory
        asked = dict.fromkeys((name for name, _ in WORDS), probe.words)
        asked |= dict.fromkeys((name for name, _ in GRAMS), probe.grams)
        postings = [(rows.postings[name], tokens) for rows in self._rows for name, tokens in asked.items()]
        prefetch(self._pages, [(one, tokens) for one, tokens in postings if isinstance(one, StoredPostings)])

    def _found(self, collection: str, vector: Vectors, k: int, allowed: Marks, scope: Scope | None) -> Ranked:
        limit = k
        while True:
            hits = [
                (self._row(hit), float(hit["distance"]))
                for hit in self._hits(collection, vector.tolist(), min(limit, MOST_HITS), scope)
            ]
            # whose heading is the only one of its words, the server does not know: it depends on the version
            found = [(row, score) for row, score in hits if allowed[row]]
            if len(found) >= k or len(hits) < limit or limit >= MOST_HITS:
                return best_first(found, k)
            limit *= 4

    def sparse(
        self, collection: str, vector: Mapping[int, float], limit: int, scope: Scope | None
    ) -> list[tuple[int, float, Mapping[int, float]]]:
        """(row, score, its vector) of the best rows by a sparse vector."""
        hits = self._hits(collection, dict(vector), limit, scope, ["vector"])
        return [(self._row(hit), float(hit["distance"]), hit["entity"]["vector"]) for hit in hits]

    def _hits(
        self, collection: str, vector: Any, limit: int, scope: Scope | None, fields: Sequence[str] = ()
    ) -> list[Any]:
        condition = self._condition if scope is None else f"({self._condition}) and ({_of_scope(scope)})"
        (hits,) = self._milvus.call(
            "search",
            collection,
            data=[vector],
            anns_field="vector",
            limit=limit,
            filter=condition,
            output_fields=list(fields),
            search_params={"metric_type": "IP"},
            consistency_level="Bounded",
        )
        return list(hits)

    def _row(self, hit: Mapping[str, Any]) -> int:
        segment, row = hit["id"].rsplit("/", 1)
        return self._offsets[segment] + int(row)


class _Sparse(SparseSearch):
    """Searches the sparse vectors of a collection of the server."""

    def __init__(self, finder: MilvusFinder, collection: str) -> None:
        self._finder, self._collection = finder, collection

    def search(
        self, vector: Mapping[int, float], limit: int, scope: Scope | None
    ) -> list[tuple[int, float, Mapping[int, float]]]:
        """The best rows of the version, those of `scope` where it is given."""
        return self._finder.sparse(self._collection, vector, limit, scope)


def _condition(held: Sequence[HeldSegment]) -> str:
    """The rows of the segments whose documents count."""
    whole = [one.segment.name for one in held if len(one.own) == len(one.segment.rows)]
    parts = [f"segment in {quoted(whole)}"] if whole else []
    for one in held:
        gone = [name for name in one.segment.rows if name not in one.own]
        if gone:
            parts.append(f"(segment in {quoted([one.segment.name])} and document_id not in {quoted(gone)})")
    return " or ".join(parts)


def _of_scope(scope: Scope) -> str:
    """The rows of a scope."""
    parts = [
        # no id of ours has control characters, which a condition could not hold
        f"{field} in {quoted(sorted(value for value in values if value.isprintable()))}"
        for field, values in (
            ("document_id", scope.documents),
            ("case_id", scope.cases),
            ("chunk_id", scope.chunks),
        )
        if values
    ]
    return " or ".join(parts) or "id in []"


# ---------------------------------------------------------------- loading


class MilvusStore:
    """The versions of a store, each an `Index` over the server."""

    def __init__(self, milvus: Milvus) -> None:
        self.milvus = milvus
        self._pages = Pages(milvus, milvus.collection("pages"))
        self._tokens = Pages(milvus, milvus.collection("tokens"))
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")

    def head(self) -> Head:
        """The version in use; raises IndexMissingError where none was published, StoreUnavailableError."""
        name = self.milvus.address.name
        try:
            rows = self.milvus.query(name, 'id in ["head"]', ["data"])
        except StoreUnavailableError as error:
            # one that cannot be reached, or is late, is not asked again
            unknown = getattr(error.__cause__, "code", None) in MISSING or self.milvus.address.is_file
            if unknown and name not in self.milvus.aliases():
                raise IndexMissingError(
                    f"検索の保存先（{self.milvus.address.shown}）に索引がまだありません。build_index.py --store で作ってください。"
                ) from None
            raise
        return read_head(rows)

    def check(self, dimension: int, sparse: bool) -> None:
        """Raises StoreUnavailableError where a collection cannot be asked: after a crash they come back one by one."""
        self.milvus.failed = False
        parts = ["pages", "tokens", f"vectors_{dimension}", f"headings_{dimension}"]
        for part in [*parts, *(("words", "grams") if sparse else ())]:
            self.milvus.query(self.milvus.collection(part), 'id in ["nothing"]', ["id"])

    def sizes_of(self, head: Head) -> dict[str, dict[str, int]]:
        """How many bytes each file of each segment of a version has."""
        pages = Pages(self.milvus, self.milvus.version_collection(head.version))
        (data,) = read_whole(pages, [StoredFile("segments.json", head.files["segments.json"])])
        found: dict[str, dict[str, int]] = json.loads(data)
        return found

    def load(self, head: Head, model: ModelRecord | None = None, known: Index | None = None) -> Index:
        """A version; segments that `known` holds are taken from it.

        Raises IndexUnusableError where it does not fit the encoder or this program, StoreUnavailableError.
        """
        if head.layout != LAYOUT:
            raise IndexUnusableError(
                f"保存先の索引の形式が違います（索引 {head.layout}・このプログラム {LAYOUT}）。{REBUILD}"
            )
        pages = Pages(self.milvus, self.milvus.version_collection(head.version))
        files = [StoredFile(name, head.files[name]) for name in ("manifest.json", "segments.json")]
        manifest, layouts = (json.loads(data) for data in read_whole(pages, files))
        check_agreement(manifest, model)
        held = {} if known is None else known.segments
        new = [
            name
            for name, digest in manifest["segments"].items()
            if name not in held or held[name].digest != digest
        ]
        loaded = {name: segment for name, segment in held.items() if name in manifest["segments"]}
        for name in new:
            loaded[name] = self._segment(name, layouts[name])
            if loaded[name].digest != manifest["segments"][name]:
                raise IndexUnusableError(f"索引の版「{head.version}」が壊れています（{name}）。{REBUILD}")
        dimension = int(manifest["model"]["dimension"])
        return Index(
            manifest,
            [loaded[name] for name in manifest["segments"]],
            lambda held: MilvusFinder(self.milvus, dimension, held, self._pages, self._threads, head.sparse),
        )

    def _segment(self, name: str, sizes: Mapping[str, int]) -> StoredSegment:
        files = {file: StoredFile(f"{name}/{file}", size) for file, size in sizes.items()}
        wanted = [*_WHOLE, *(_LATE if _LATE[0] in files else ())]
        data = dict(zip(wanted, read_whole(self._pages, [files[file] for file in wanted]), strict=True))
        meta = json.loads(data["segment.json"])
        arrays = {file: array_of(content) for file, content in data.items() if file.endswith(".npy")}

        def lines(file: str, starts: str) -> StoredLines:
            return StoredLines(self._pages, files[file], arrays[starts])

        documents = lines("documents.jsonl", "documents_at.npy")
        documents.prefetch(range(len(documents)))  # a list shows all of them
        records = Records(
            documents,
            lines("texts.utf8", "texts_at.npy"),
            lines("chunks.jsonl", "chunks_at.npy"),
            arrays["chunk_keys.npy"],
            arrays["chunk_cases.npy"],
        )
        postings = {
            field: StoredPostings(
                self._pages,
                files[f"lexical/{field}/buckets"],
                *(arrays[f"lexical/{field}/{part}.npy"] for part in ("starts", "tokens", "lengths")),
            )
            for field in FIELDS
        }
        late = None
        if _LATE[0] in files:
            places, dimension, frequencies = (arrays[file] for file in _LATE)
            ids = self._pages, files["late/ids.i4"]
            late = StoredTokens(self._tokens, name, places, int(dimension), frequencies, ids)
        return StoredSegment(
            name,
            meta["kind"],
            hashlib.sha256(data["segment.json"]).hexdigest(),
            {
                identity: (int(entry["rows"][0]), int(entry["rows"][1]))
                for identity, entry in meta["documents"].items()
            },
            {identity: int(entry["cases"]) for identity, entry in meta["documents"].items()},
            records,
            StoredRows(arrays["heading_rows.npy"], arrays["heading_keys.npy"], postings, late),
        )


def read_head(rows: Sequence[Mapping[str, Any]]) -> Head:
    """What the first row of a version says; raises StoreUnavailableError where it cannot be read."""
    try:
        found = json.loads(rows[0]["data"])
        return Head(str(found["version"]), int(found["layout"]), dict(found["files"]), bool(found["sparse"]))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise StoreUnavailableError(f"検索の保存先にある索引の目録を読めません。{REBUILD}") from error


class CurrentMilvus:
    """Holds the version in use on a server (`index.current.Current`); `root` is the folder where versions are built."""

    def __init__(
        self,
        store: MilvusStore,
        root: Path,
        model: ModelRecord,
        prepare: Callable[[Index], object] | None = None,
    ) -> None:
        """`prepare` makes of a version what its first question would else wait for, as for `index.current.CurrentIndex`."""
        self.root, self._store, self._model, self._prepare = root, store, model, prepare
        self._index: Index | None = None
        self._well = False
        self._looked: float | None = None
        self._refused: str | None = None
        self._looking = threading.Lock()
        self.problem: str | None = None
        self.is_empty = False
        """Whether the store answered that it has no version."""

    def get(self) -> Index | None:
        """The index to answer with, None while there is none or the store does not answer; `problem` then says why."""
        # one looks; the others go on with what is known, but for the first
        if self._is_due() and self._looking.acquire(blocking=self._looked is None):
            try:
                if self._is_due():
                    self._look()
                    self._looked = time.monotonic()
            finally:
                self._looking.release()
        return self._index if self._well else None

    def _is_due(self) -> bool:
        return self._looked is None or time.monotonic() >= self._looked + LOOK_S

    def publish(self, progress: Progress | None = None, *, take_over: bool = False) -> None:
        """Brings the version in use of the folder to the server (`index.milvus_publish.publish_version`)."""
        from index.milvus_publish import publish_version  # it stands on this module

        publish_version(self.root, self._store.milvus, progress, take_over=take_over)
        self._looked = None  # another version was published just now

    def _look(self) -> None:
        try:
            head = self._store.head()
            self.is_empty = False
            if not self._well or self._store.milvus.failed:
                self._store.check(self._model.dimension, head.sparse)
            if self._index is None or self._index.version != head.version:
                if head.version != self._refused:
                    loaded = self._store.load(head, self._model, self._index)
                    if self._index is None:
                        threading.Thread(target=prepared, args=(loaded, self._prepare), daemon=True).start()
                    else:
                        prepared(loaded, self._prepare)
                    self._index = loaded
                    _log.info("index version %s of the store loaded", head.version)
                    self.problem = None
            else:
                self.problem = self._refused = None
            self._well = self._index is not None
        except IndexUnusableError as error:
            # the version that was in use is still there and goes on answering
            self.problem, self._refused = str(error), head.version
            self._well = self._index is not None
            _log.error("index version %s of the store refused: %s", head.version, error)
        except (StoreUnavailableError, IndexMissingError) as error:
            if self.problem != str(error):
                _log.error("%s", error)
            self.problem, self._well = str(error), False
            self.is_empty = isinstance(error, IndexMissingError)
        except (ValueError, KeyError, TypeError) as error:
            self.problem, self._well = f"索引の版を読めません（{type(error).__name__}）。{REBUILD}", False
            _log.exception("the version of the store cannot be read")
