"""Publishing: the version in use of an index folder becomes the one in use on a Milvus server.

In: an index folder, where versions are built and checked, and a store. Out: on the server the segments that were not there,
the version, and its name. Nothing that a version names is ever changed, and the alias moves last, in one step: a server
that answers from the version before goes on with it. What a publication that was cut off left behind, the next one removes.
Nothing is removed that another folder's versions may need: where the version in use was built elsewhere, only `take_over` replaces it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index.build import BuildRefusedError
from index.dense import DenseIndex
from index.late import TokenFile
from index.lexical import FIELDS, GRAMS, WORDS, Fields, Postings
from index.milvus import SLOW_S, Milvus, quoted
from index.milvus_index import LAYOUT, Head, MilvusStore
from index.milvus_pages import FIELDS as PAGE_FIELDS
from index.milvus_pages import PAGE, PAGE_BYTES, ROW_BYTES, pages_of
from index.milvus_rows import bucket_bytes, bucket_starts, row_bytes
from index.milvus_words import sparse_rows
from index.records import Records
from index.segment import StoredSegment
from index.store import IndexMissingError, IndexUnusableError, StoreUnavailableError
from index.versions import alone, current_version, history, read_manifest

BEGUN, COMPLETE = "begun", "complete"
"""Roles of the row that says how far a segment was written."""
WITHOUT_SPARSE = "without sparse"
"""State of a segment that was complete before the server had sparse vectors."""
SPARSE = "sparse"
"""What the row of a complete segment says whose tokens are sparse vectors, too."""
FLUSHED = 5_000
"""Rows of a segment in a collection from which on the server is made to write them out at once."""
COUNTED = 50_000
"""After so many rows what was written is counted: a publication that is cut off begins again there."""
SETTLED_S = 60
"""So long rows that were taken may be missing in a count: a server that came back from a crash shows them only after a while."""
MESSAGE_BYTES = 8 * 2**20
"""Of one insertion: a server takes 64 MB."""
VECTOR_FIELDS: Mapping[str, int | None] = {
    "id": 255, "segment": 100, "document_id": 100, "case_id": 100, "chunk_id": 100, "organization": 300, "prefecture": 60,
    "organization_kind": 60, "population": None, "population_band": 200, "category": 300,
}  # fmt: skip
"""Of a vector: where it stands, and the fields of its case; a population that is not known is -1."""
_FILES = (
    "segment.json", "documents.jsonl", "documents_at.npy", "texts.utf8", "texts_at.npy", "chunks.jsonl", "chunks_at.npy", "chunk_keys.npy",
    "chunk_cases.npy", "heading_rows.npy", "heading_keys.npy", *(f"lexical/{field}/lengths.npy" for field in FIELDS),
)  # fmt: skip
_LATE = ("late/places.npy", "late/dimension.npy", "late/frequencies.npy", "late/ids.i4")
Progress = Callable[[str, int, int], None]
Row = dict[str, Any]


class ForeignVersionError(BuildRefusedError):
    """The version in use on the server was built in another folder; the message is for people."""


def publish_version(
    root: Path, milvus: Milvus, progress: Progress | None = None, *, take_over: bool = False
) -> bool:
    """Makes the version in use in a folder the one in use on the server; False where it is already.

    Raises StoreUnavailableError where the server does not answer (what was in use there stays), ForeignVersionError,
    IndexMissingError where the folder has no version, BuildingError while one is built.
    """
    with alone(root):
        name = current_version(root)
        if name is None:
            raise IndexMissingError("索引がまだありません。build_index.py で作ってください。")
        milvus.check()
        store = MilvusStore(milvus)
        try:
            head: Head | None = store.head()
        except IndexMissingError:
            head = None
        if head is not None and head.version == name and head.layout == LAYOUT:
            return False
        own = {entry.name for entry in history(root)}
        address = milvus.address.shown
        if head is not None and head.version not in {*own, _published(root).get(address)} and not take_over:
            raise ForeignVersionError(
                f"検索の保存先（{milvus.address.shown}）で使われている版「{head.version}」は、この索引のフォルダー（{root}）で作ったものではありません。"
                "別の保存名を指定するか、置き換えてよければ build_index.py --full で作り直してください。"
            )
        _Publication(root, name, store, progress or _silent).run(own, head)
        _note(root, address, name)
        return True


def _published(root: Path) -> dict[str, str]:
    """The version that was last brought to each store, by its address; the folder may have it no longer."""
    try:
        found = json.loads((root / "PUBLISHED").read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _note(root: Path, address: str, name: str) -> None:
    temporary = root / f".CURRENT-{os.getpid()}"  # a name that a build clears away
    temporary.write_text(
        json.dumps({**_published(root), address: name}, ensure_ascii=False), encoding="utf-8"
    )
    temporary.replace(root / "PUBLISHED")


def _silent(stage: str, done: int, total: int) -> None:
    """No progress is shown."""


class _Publication:
    """One publication, from the first row to the alias."""

    def __init__(self, root: Path, name: str, store: MilvusStore, progress: Progress) -> None:
        self._root, self._name, self._progress = root, name, progress
        self._store, self._milvus = store, (milvus := store.milvus)
        self._manifest = read_manifest(root, name)
        self._dimension = int(self._manifest["model"]["dimension"])
        self._pages, self._tokens = milvus.collection("pages"), milvus.collection("tokens")
        self._texts = milvus.collection(f"vectors_{self._dimension}")
        self._headings = milvus.collection(f"headings_{self._dimension}")
        self._all = [self._pages, self._tokens, self._texts, self._headings]
        # tokens as sparse vectors, where the server has such
        self._sparse = {milvus.collection("words"): WORDS, milvus.collection("grams"): GRAMS}
        if not milvus.has_sparse():
            self._sparse = {}
        self._all += self._sparse

    def run(self, own: Iterable[str], before: Head | None) -> None:
        """All of it; `own` are the versions of the folder, `before` the one that was in use on the server."""
        self._make_collections()
        states = self._states()
        segments = {
            name: StoredSegment(self._root / "segments" / name) for name in self._manifest["segments"]
        }
        missing = [segment for name, segment in segments.items() if states.get(name, BEGUN) == BEGUN]
        total = sum(len(segment) for segment in missing)
        self._progress("publishing", 0, total)
        again = [segment.name for segment in missing if segment.name in states]
        if again:
            self._remove(again)
        done = 0
        written: dict[str, dict[str, int]] = {}
        for segment in missing:
            written[segment.name] = self._write(
                segment,
                lambda rows, done=done: self._progress("publishing", done + rows, total),  # type: ignore[misc]
            )
            done += len(segment)
            if done >= total or sum(written[name][self._texts] for name in written) >= COUNTED:
                self._complete(written)
                written = {}
        for name, segment in segments.items():
            if states.get(name) == WITHOUT_SPARSE:  # all else of it may be in use just now
                self._write_sparse(segment)
        known = self._store.sizes_of(before) if before is not None and before.layout == LAYOUT else {}
        self._write_version({name: known.get(name) or _sizes(one) for name, one in segments.items()})
        self._switch()
        if before is not None:
            own = {*own, before.version}  # servers answer from it for a moment yet
        self._clear(set(own), set(known), states)
        self._progress("publishing", total, total)

    # ---- collections

    def _make_collections(self) -> None:
        there = set(self._milvus.call("list_collections", timeout_s=SLOW_S))
        kinds: dict[str, tuple[Mapping[str, int | None], int | None]] = {
            self._pages: (PAGE_FIELDS, 2),
            self._tokens: (PAGE_FIELDS, 2),
            self._texts: (VECTOR_FIELDS, self._dimension),
            self._headings: (VECTOR_FIELDS, self._dimension),
            **dict.fromkeys(self._sparse, (VECTOR_FIELDS, None)),
        }
        self._at_once(
            lambda collection: self._milvus.make(collection, *kinds[collection]),
            [collection for collection in self._all if collection not in there],
        )

    def _at_once(self, step: Callable[[str], object], collections: Sequence[str]) -> None:
        """A step for several collections: most of its time is waiting for the server."""
        with ThreadPoolExecutor(len(self._all)) as threads:
            list(threads.map(step, collections))

    def _states(self) -> dict[str, str]:
        """How far each segment on the server was written."""
        rows = self._milvus.query(
            self._pages,
            f"role in {quoted([BEGUN, COMPLETE])}",
            ["segment", "role", "data"],
            consistency_level="Strong",
            timeout_s=SLOW_S,
        )
        whole = {row["segment"]: row["data"] == SPARSE for row in rows if row["role"] == COMPLETE}
        return {row["segment"]: BEGUN for row in rows} | {
            name: COMPLETE if sparse or not self._sparse else WITHOUT_SPARSE for name, sparse in whole.items()
        }

    def _remove(self, segments: Sequence[str]) -> None:
        """Takes segments out of every collection."""
        for collection in reversed(self._all):  # that they were here is known to the last
            self._milvus.call("delete", collection, filter=f"segment in {quoted(segments)}", timeout_s=SLOW_S)

    # ---- a segment

    def _write(self, segment: StoredSegment, report: Callable[[int], None]) -> dict[str, int]:
        """Writes a segment; gives how many rows of it are in each collection."""
        name = segment.name
        self._insert(self._pages, [_page_row(f"{name}/{BEGUN}", name, "", BEGUN)])
        return {
            self._pages: self._insert(self._pages, self._file_rows(segment)) + 1,
            self._tokens: self._insert(self._tokens, _token_rows(segment)),
            self._texts: self._insert(self._texts, self._vector_rows(segment, report)),
            self._headings: self._insert(self._headings, self._heading_rows(segment)),
            **self._insert_sparse(segment),
        }

    def _insert_sparse(self, segment: StoredSegment) -> dict[str, int]:
        """Writes the tokens of a segment as sparse vectors; gives how many rows are in each collection."""
        return {
            collection: self._insert(collection, _sparse_rows(segment, fields))
            for collection, fields in self._sparse.items()
        }

    def _write_sparse(self, segment: StoredSegment) -> None:
        """Writes the tokens of a segment that was complete before the server had sparse vectors."""
        name = segment.name
        for collection in self._sparse:
            self._milvus.call("delete", collection, filter=f"segment in {quoted([name])}", timeout_s=SLOW_S)
        self._complete({name: self._insert_sparse(segment)})

    def _complete(self, written: Mapping[str, Mapping[str, int]]) -> None:
        """Notes that segments are complete, once all of their rows can be counted by whoever asks."""
        # what was taken is in the server's log, which survives a crash; written out it is searched faster, and takes seconds
        large = {name for counts in written.values() for name, count in counts.items() if count >= FLUSHED}
        self._at_once(
            lambda collection: self._milvus.call("flush", collection, timeout_s=SLOW_S), sorted(large)
        )
        for name, counts in written.items():
            for collection, count in counts.items():
                self._await_rows(collection, f"segment in {quoted([name])}", count)
        # in one step: a segment in use that only gets its sparse vectors must at no time look as if it were half written
        marks = [
            _page_row(f"{name}/{COMPLETE}", name, SPARSE if self._sparse else "", COMPLETE)
            for name in written
        ]
        if marks:
            self._milvus.call("upsert", self._pages, marks, timeout_s=SLOW_S)

    def _await_rows(self, collection: str, condition: str, written: int) -> None:
        """Returns once all rows that were written can be counted; raises StoreUnavailableError where they do not come."""
        end = time.monotonic() + SETTLED_S
        while (found := self._milvus.count(collection, condition)) != written:
            if found > written or time.monotonic() >= end:
                raise _lacking(collection, written, found)
            time.sleep(0.5)

    def _insert(self, collection: str, rows: Iterable[Row]) -> int:
        """Inserts rows in messages of bounded size; gives how many there were."""
        message: list[Row] = []
        size = count = 0
        for row in rows:
            message.append(row)
            # texts and vectors; the rest is short
            size += 300 + len(row.get("data", "")) + 4 * len(row["vector"])
            count += 1
            if size >= MESSAGE_BYTES:
                self._milvus.call("insert", collection, message, timeout_s=SLOW_S)
                message, size = [], 0
        if message:
            self._milvus.call("insert", collection, message, timeout_s=SLOW_S)
        return count

    def _file_rows(self, segment: StoredSegment) -> Iterator[Row]:
        for name, data in _files_of(segment):
            for key, text in pages_of(f"{segment.name}/{name}", data):
                yield _page_row(key, segment.name, text)
        for field in FIELDS:
            for number, data in enumerate(_cut(_buckets(segment, field))):
                (page,) = pages_of("", data)
                yield _page_row(f"{segment.name}/lexical/{field}/buckets/{number}", segment.name, page[1])

    def _vector_rows(self, segment: StoredSegment, report: Callable[[int], None]) -> Iterator[Row]:
        dense, fields = segment.dense, _Fields(segment)
        for row in range(len(segment)):
            yield {**fields.of(row), "vector": dense.vector(row)}
            report(row + 1)

    def _heading_rows(self, segment: StoredSegment) -> Iterator[Row]:
        vectors = DenseIndex.load(segment.folder / "headings.faiss", mapped=True)
        rows = np.load(segment.folder / "heading_rows.npy", allow_pickle=False)
        fields = _Fields(segment)
        for place, row in enumerate(rows.tolist()):
            yield {**fields.of(row), "vector": vectors.vector(place)}

    # ---- the version

    def _write_version(self, sizes_of: Mapping[str, Mapping[str, int]]) -> None:
        """Writes the collection of the version anew: one of its name can only be what a publication left that was cut off."""
        collection = self._milvus.version_collection(self._name)
        if collection in self._milvus.call("list_collections", timeout_s=SLOW_S):
            if self._is_current(collection):
                return
            self._milvus.call("drop_collection", collection, timeout_s=SLOW_S)
        self._milvus.make(collection, PAGE_FIELDS, 2)
        files = {
            "manifest.json": json.dumps(self._manifest, ensure_ascii=False).encode(),
            "segments.json": json.dumps(sizes_of).encode(),
        }
        sizes = {name: len(data) for name, data in files.items()}
        head = asdict(Head(self._name, LAYOUT, sizes, bool(self._sparse)))
        rows = [_page_row("head", "", json.dumps(head))]
        for name, data in files.items():
            rows += [_page_row(key, "", text) for key, text in pages_of(name, data)]
        self._insert(collection, rows)
        self._await_rows(collection, 'id != ""', len(rows))

    def _is_current(self, collection: str) -> bool:
        alias = self._milvus.address.name
        return alias in self._milvus.aliases() and (
            self._milvus.call("describe_alias", alias, timeout_s=SLOW_S)["collection_name"] == collection
        )

    def _switch(self) -> None:
        alias = self._milvus.address.name
        method = "alter_alias" if alias in self._milvus.aliases() else "create_alias"
        self._milvus.call(method, self._milvus.version_collection(self._name), alias, timeout_s=SLOW_S)

    def _clear(self, own: set[str], needed: set[str], states: Mapping[str, str]) -> None:
        """Removes all versions but `own`, and the segments that neither these nor `needed` names."""
        needed = needed.union(*(_segments(self._root, version) for version in own))
        kept = {self._milvus.version_collection(version) for version in own}
        prefix = self._milvus.collection("v_")
        for collection in self._milvus.call("list_collections", timeout_s=SLOW_S):
            if collection.startswith(prefix) and collection not in kept:
                self._milvus.call("drop_collection", collection, timeout_s=SLOW_S)
        gone = sorted(set(states) - needed)
        if gone:
            self._remove(gone)


def _lacking(collection: str, written: int, found: int) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"保存先に書いた行が揃いません（{collection}：書いた {written}・ある {found}）。もう一度、索引を作り直してください。"
    )


def _segments(root: Path, version: str) -> list[str]:
    try:
        return list(read_manifest(root, version)["segments"])
    except IndexUnusableError:
        return []  # the folder has it no longer, or cannot use it


def _page_row(key: str, segment: str, text: str, role: str = PAGE) -> Row:
    # a collection needs a vector, and pages have none
    return {"id": key, "segment": segment, "role": role, "data": text, "vector": [0.0, 0.0]}


def _sizes(segment: StoredSegment) -> dict[str, int]:
    """How many bytes each file of a segment has, as it is published."""
    sizes = {name: (segment.folder / name).stat().st_size for name in _plain(segment)}
    for field in FIELDS:
        starts, tokens, _ = bucket_starts(Postings.load(segment.folder / "lexical" / field))
        sizes[f"lexical/{field}/starts.npy"] = len(_array_bytes(starts))
        sizes[f"lexical/{field}/tokens.npy"] = len(_array_bytes(tokens))
        sizes[f"lexical/{field}/buckets"] = int(starts[-1])
    return sizes


def _plain(segment: StoredSegment) -> tuple[str, ...]:
    """The files of a segment that are published as they are."""
    return (*_FILES, *(_LATE if segment.tokens is not None else ()))


def _files_of(segment: StoredSegment) -> Iterator[tuple[str, bytes]]:
    """The files of a segment that are published as they are, and where the buckets of its postings are."""
    for name in _plain(segment):
        yield name, (segment.folder / name).read_bytes()
    for field in FIELDS:
        starts, tokens, _ = bucket_starts(Postings.load(segment.folder / "lexical" / field))
        yield f"lexical/{field}/starts.npy", _array_bytes(starts)
        yield f"lexical/{field}/tokens.npy", _array_bytes(tokens)


def _buckets(segment: StoredSegment, field: str) -> Iterator[bytes]:
    postings = Postings.load(segment.folder / "lexical" / field)
    _, tokens, hashes = bucket_starts(postings)
    return bucket_bytes(postings, hashes, len(tokens))


def _array_bytes(values: npt.NDArray[Any]) -> bytes:
    file = BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _cut(parts: Iterable[bytes], size: int = PAGE_BYTES) -> Iterator[bytes]:
    """A stream of bytes in pages of one size, the last one shorter."""
    held = b""
    for part in parts:
        held += part
        whole = len(held) // size * size
        for start in range(0, whole, size):
            yield held[start : start + size]
        held = held[whole:]
    if held:
        yield held


def _token_rows(segment: StoredSegment) -> Iterator[Row]:
    """The token vectors of each row; twins have their own, as each is asked for by its row."""
    tokens: TokenFile | None = segment.tokens
    if tokens is None:
        return
    for row in range(len(tokens)):
        (packed,) = tokens.packed([row])
        for key, text in pages_of(f"{segment.name}/{row}", row_bytes(packed), ROW_BYTES):
            yield _page_row(key, segment.name, text)


def _sparse_rows(segment: StoredSegment, fields: Fields) -> Iterator[Row]:
    """The tokens of each row that has some, as a sparse vector."""
    postings = {name: Postings.load(segment.folder / "lexical" / name) for name, _ in fields}
    own = _Fields(segment)
    for row, vector in sparse_rows(postings, fields):
        yield {**own.of(row), "vector": vector}


class _Fields:
    """The fields of a vector's row: where it stands, and what is known of its case."""

    def __init__(self, segment: StoredSegment) -> None:
        self._name, self._records = segment.name, segment.records
        self._cases = {
            case.id: case for number in range(len(segment.rows)) for case in _cases(segment.records, number)
        }

    def of(self, row: int) -> Row:
        """All fields but the vector."""
        chunk = self._records.chunk(row)
        case = self._cases.get(chunk.case_id or "")
        fields: dict[str, str | int | None] = {
            "id": f"{self._name}/{row}",
            "segment": self._name,
            "document_id": chunk.document_id,
            "case_id": chunk.case_id,
            "chunk_id": chunk.id,
            "organization": case.organization if case else None,
            "prefecture": case.prefecture if case else None,
            "organization_kind": case.organization_kind if case else None,
            "population": case.population if case else None,
            "population_band": case.population_band if case else None,
            "category": case.category if case else None,
        }
        return {name: _fitting(fields[name], size) for name, size in VECTOR_FIELDS.items()}


def _cases(records: Records, number: int) -> Iterable[Any]:
    return records.listed(number)[1]


def _fitting(value: str | int | None, size: int | None) -> str | int:
    """A value as a field of `size` bytes takes it: old servers know no missing values."""
    if size is None:
        return -1 if value is None else int(value)
    return str("" if value is None else value).encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
