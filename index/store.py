"""One version of the index in memory, to be searched.

In: an index folder (`index.versions`, `index.segment`). Out: an `Index` that answers with chunks and scores. Rows of the
engines are known only in this package; outside, a chunk is known by its id. Segments that an older `Index` has in memory
are taken over as they are: taking up a new version costs what is new in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from corpus.records import Case, Chunk, Document
from index.engines import Engines, Probe
from index.segment import Segment, SegmentDamagedError
from index.tokenizer import tokenizer_name
from index.versions import (
    REBUILD,
    IndexMissingError,
    IndexUnusableError,
    ModelRecord,
    current_version,
    read_manifest,
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found: the fused score (0..1), and the cosine, BM25 and MaxSim, None where there is none."""

    chunk: Chunk
    score: float
    dense: float | None
    lexical: float | None
    late: float | None = None


class Store(Protocol):
    """What an engine must do to stand behind the product: hold the records and find chunks.

    `Index` does it in memory; a distributed engine would do it over a network with the same words.
    """

    version: str
    documents: dict[str, Document]
    cases: dict[str, Case]

    def search(self, probe: Probe, k: int, allowed: Collection[str] | None = None) -> list[Hit]:
        """The k best chunks, best first; only among the chunk ids `allowed` where given."""
        ...

    def chunk(self, chunk_id: str) -> Chunk | None:
        """The chunk of an id, None where there is none."""
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
        self._rows: list[Chunk] = []
        self.cases: dict[str, Case] = {}
        live: list[bool] = []
        for segment in segments:
            own = {
                identity
                for identity in segment.documents
                if of_segment.get(identity, {}).get("segment") == segment.name
            }
            for identity in own:
                self.documents[identity] = _named(segment.documents[identity], of_segment[identity]["paths"])
            self.cases.update({case.id: case for case in segment.cases if case.document_id in own})
            self._rows.extend(segment.chunks)
            live.extend(chunk.document_id in own for chunk in segment.chunks)
        # in the order of their paths, whichever segment they stand in
        self.documents = dict(sorted(self.documents.items(), key=lambda item: item[1].path))
        self._live = np.array(live, dtype=bool)
        self.chunks = tuple(chunk for chunk, own in zip(self._rows, live, strict=True) if own)
        self._engines = Engines([segment.part for segment in segments], self._live)
        self._row_of = {
            chunk.id: row for row, (chunk, own) in enumerate(zip(self._rows, live, strict=True)) if own
        }
        counts = {"documents": len(self.documents), "cases": len(self.cases), "chunks": len(self.chunks)}
        for name, count in counts.items():
            if manifest["counts"][name] != count:
                raise IndexUnusableError(
                    f"索引の件数が合いません（{name}：目録{manifest['counts'][name]}・実際{count}）。{REBUILD}"
                )

    def chunk(self, chunk_id: str) -> Chunk | None:
        """The chunk of an id, None where there is none."""
        row = self._row_of.get(chunk_id)
        return None if row is None else self._rows[row]

    def search(self, probe: Probe, k: int, allowed: Collection[str] | None = None) -> list[Hit]:
        """The k best chunks for a question, best first; only among the chunk ids `allowed` where given."""
        rows: npt.NDArray[np.int64] | None = None
        if allowed is not None:
            rows = np.array(sorted(self._row_of[i] for i in allowed if i in self._row_of), dtype=np.int64)
        return [
            Hit(self._rows[found.row], found.score, found.dense, found.lexical, found.late)
            for found in self._engines.search(probe, k, rows)
        ]

    def sentences(self, probe: Probe, chunk_id: str) -> dict[int, tuple[float, float]]:
        """(MaxSim, cosine) of the sentences of a chunk by their number in `corpus.text.sentence_spans` of its text."""
        return self._engines.sentences(probe, self._row_of[chunk_id])


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
    "Store",
    "check_agreement",
    "current_version",
    "load_current",
    "load_version",
]
