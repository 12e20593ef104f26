"""Index versions on disk, and one version in memory to be searched.

In: documents, cases, chunks and their vectors. Out: a folder per version, written whole before it is used, and an
`Index` that answers with chunks and scores. Rows of the engines are known only in this package; outside, a chunk
is known by its id.

Layout of an index folder:

    CURRENT                     the name of the version in use (replaced in one step)
    versions/<name>/manifest.json   format, model, prompts, tokenizer, counts, checksums of the other files
                    documents.jsonl  cases.jsonl  chunks.jsonl   records; line i of chunks.jsonl is row i
                    texts/<document id>.txt                      canonical texts, UTF-8
                    vectors.faiss  headings.faiss  heading_rows.npy  lexical/  late/     the engines

Errors: IndexMissingError (none built yet), IndexUnusableError (damaged, or of another format, model or
tokenizer; the message names both values and the way out).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from corpus.chunks import heading_of
from corpus.records import Case, Chunk, Document, Field, Heading
from index.dense import Vectors
from index.engines import Engines, Probe
from index.late import PackedTokens
from index.lexical import Tokens
from index.tokenizer import tokenizer_name

FORMAT_VERSION = 2
KEEP_VERSIONS = 3
_MANIFEST_KEYS = ("version", "built_at", "model", "tokenizer", "chunks", "errors", "vector_keys", "files")


class IndexMissingError(RuntimeError):
    """No index has been built in this folder."""


class IndexUnusableError(RuntimeError):
    """An index that cannot be used; the message says why, with both values, and what to do."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found: the fused score (0..1), and the cosine, BM25 and MaxSim, None where there is none."""

    chunk: Chunk
    score: float
    dense: float | None
    lexical: float | None
    late: float | None = None


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What of the model must agree between build and serve."""

    name: str
    fingerprint: str
    dimension: int
    prompts: dict[str, str]


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

    def __init__(
        self,
        manifest: dict[str, Any],
        documents: Sequence[Document],
        cases: Sequence[Case],
        chunks: Sequence[Chunk],
        engines: Engines,
    ) -> None:
        if len(chunks) != len(engines):
            raise IndexUnusableError(
                f"索引の件数が合いません（本文{len(chunks)}・検索{len(engines)}）。build_index.py --full で作り直してください。"
            )
        self.manifest = manifest
        self.version: str = manifest["version"]
        self.documents = {document.id: document for document in documents}
        self.cases = {case.id: case for case in cases}
        self.chunks = tuple(chunks)
        self._engines = engines
        self._row_of = {chunk.id: row for row, chunk in enumerate(self.chunks)}

    def chunk(self, chunk_id: str) -> Chunk | None:
        """The chunk of an id, None where there is none."""
        row = self._row_of.get(chunk_id)
        return None if row is None else self.chunks[row]

    def search(self, probe: Probe, k: int, allowed: Collection[str] | None = None) -> list[Hit]:
        """The k best chunks for a question, best first; only among the chunk ids `allowed` where given."""
        rows: npt.NDArray[np.int64] | None = None
        if allowed is not None:
            rows = np.array(sorted(self._row_of[i] for i in allowed if i in self._row_of), dtype=np.int64)
        return [
            Hit(self.chunks[found.row], found.score, found.dense, found.lexical, found.late)
            for found in self._engines.search(probe, k, rows)
        ]

    def sentences(self, probe: Probe, chunk_id: str) -> dict[int, tuple[float, float]]:
        """(MaxSim, cosine) of the sentences of a chunk by their number in `corpus.text.sentence_spans` of its text."""
        return self._engines.sentences(probe, self._row_of[chunk_id])

    @property
    def engines(self) -> Engines:
        """What finds the rows; row i is `chunks[i]`."""
        return self._engines

    def vectors_by_key(self) -> dict[str, npt.NDArray[np.float32]]:
        """Vector of each embedded text by its key, for reuse in the next build."""
        return dict(zip(self._keys(), self._engines.vectors(), strict=True))

    def tokens_by_key(self) -> dict[str, Callable[[], PackedTokens]]:
        """How to read the token vectors of each embedded text, by its key; empty where the model gave none."""
        late = self._engines.late
        return {} if late is None else {key: partial(late.row, row) for row, key in enumerate(self._keys())}

    def heading_vectors(self) -> dict[str, npt.NDArray[np.float32]]:
        """Vector of each heading that stands over one chunk only, by the heading in searchable form."""
        found = self._engines.heading_vectors()
        return {heading_of(self.chunks[row]): vector for row, vector in found.items()}

    def _keys(self) -> list[str]:
        keys: list[str] = self.manifest["vector_keys"]
        return keys


# ---------------------------------------------------------------- records as JSON


def _document_line(document: Document) -> dict[str, Any]:
    line = asdict(document)
    del line["text"]
    return line


def _read_document(line: dict[str, Any], text: str) -> Document:
    line["headings"] = tuple(Heading(**heading) for heading in line["headings"])
    line["warnings"] = tuple(line["warnings"])
    return Document(text=text, **line)


def _read_case(line: dict[str, Any]) -> Case:
    line["urls"] = tuple(line["urls"])
    line["fields"] = {name: Field(**value) for name, value in line["fields"].items()}
    return Case(**line)


def _read_chunk(line: dict[str, Any]) -> Chunk:
    line["heading_path"] = tuple(line["heading_path"])
    return Chunk(**line)


def _write_lines(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


# ---------------------------------------------------------------- versions on disk


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json")
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _sync(folder: Path) -> None:
    """Makes files and their folder survive a power cut."""
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync_one(path)
    _sync_one(folder)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What the engines of a version are made of, in the order of its chunks.

    vectors  # (n_chunks, dim); heading_vectors  # (m, dim) of the rows heading_rows; `late` is a folder written by
    `LateWriter`, which is moved into the version, None where the model gives no token vectors
    """

    vectors: Vectors
    vector_keys: Sequence[str]
    heading_vectors: Vectors
    heading_rows: Sequence[int]
    tokens: Sequence[Tokens]
    late: Path | None


def write_version(
    root: Path,
    documents: Sequence[Document],
    cases: Sequence[Case],
    chunks: Sequence[Chunk],
    parts: EngineParts,
    model: ModelRecord,
    *,
    max_chars: int,
    errors: Sequence[tuple[str, str]] = (),
) -> str:
    """Writes a version beside the others and returns its name; nothing uses it before `switch`."""
    versions = root / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    folder = versions / f".building-{name}"
    folder.mkdir()
    try:
        (folder / "texts").mkdir()
        for document in documents:
            (folder / "texts" / f"{document.id}.txt").write_bytes(
                document.text.encode("utf-8", "surrogatepass")
            )
        _write_lines(folder / "documents.jsonl", (_document_line(document) for document in documents))
        _write_lines(folder / "cases.jsonl", (asdict(case) for case in cases))
        _write_lines(folder / "chunks.jsonl", (asdict(chunk) for chunk in chunks))
        Engines.build(parts.vectors, parts.heading_vectors, parts.heading_rows, parts.tokens, None).save(
            folder
        )
        if parts.late is not None:
            shutil.copytree(parts.late, folder / "late", copy_function=shutil.move)
        manifest = {
            "format_version": FORMAT_VERSION,
            "version": name,
            "built_at": now.isoformat(timespec="seconds"),
            "model": dataclasses.asdict(model),
            "tokenizer": tokenizer_name(),
            "max_chars": max_chars,
            "documents": len(documents),
            "cases": len(cases),
            "chunks": len(chunks),
            "errors": [{"path": path, "message": message} for path, message in errors],
            "vector_keys": list(parts.vector_keys),
            "files": _checksums(folder),
        }
        (folder / "manifest.json").write_text(
            json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8"
        )
        _sync(folder)
        folder.rename(versions / name)
        _sync_one(versions)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return name


def switch(root: Path, name: str) -> None:
    """Makes a version the current one in a single step, and removes versions beyond the last few."""
    temporary = root / f"CURRENT.{os.getpid()}"
    try:
        temporary.write_text(name + "\n", encoding="utf-8")
        _sync_one(temporary)
        temporary.replace(root / "CURRENT")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_one(root)
    folders = sorted(p for p in (root / "versions").iterdir() if p.is_dir())
    for folder in [p for p in folders if not p.name.startswith(".") and p.name != name][
        : -(KEEP_VERSIONS - 1)
    ]:
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (p for p in folders if p.name.startswith(".building-")):
        shutil.rmtree(folder, ignore_errors=True)  # left behind by a build that was cut off


def current_version(root: Path) -> str | None:
    """The name of the version in use, None where none was built."""
    try:
        return (root / "CURRENT").read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def read_manifest(root: Path, name: str) -> dict[str, Any]:
    """A version's manifest; raises IndexUnusableError where it is not there or of another format."""
    try:
        content = json.loads((root / "versions" / name / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IndexUnusableError(
            f"索引の版「{name}」の目録（manifest.json）を読めません。build_index.py --full で作り直してください。"
        ) from error
    manifest: dict[str, Any] = content if isinstance(content, dict) else {}
    if manifest.get("format_version") != FORMAT_VERSION:
        raise IndexUnusableError(
            f"索引の形式が違います（索引 {manifest.get('format_version')}・このプログラム {FORMAT_VERSION}）。"
            "build_index.py --full で作り直してください。"
        )
    lacking = [key for key in _MANIFEST_KEYS if key not in manifest]
    if lacking:
        raise IndexUnusableError(
            f"索引の版「{name}」の目録（manifest.json）に {'・'.join(lacking)} がありません。"
            "build_index.py --full で作り直してください。"
        )
    return manifest


def load_current(root: Path, model: ModelRecord | None = None) -> Index:
    """The version in use, checked file by file; `model` is the encoder that questions will be encoded with."""
    name = current_version(root)
    if name is None:
        raise IndexMissingError("索引がまだありません。build_index.py で作ってください。")
    return load_version(root, name, model)


def load_version(root: Path, name: str, model: ModelRecord | None = None) -> Index:
    """One version; raises IndexUnusableError where it is damaged or does not fit the encoder or the tokenizer."""
    manifest = read_manifest(root, name)
    folder = root / "versions" / name
    rebuild = "build_index.py --full で作り直してください。"
    if manifest["tokenizer"] != tokenizer_name():
        raise IndexUnusableError(
            f"索引の単語分割が違います（索引「{manifest['tokenizer']}」・このプログラム「{tokenizer_name()}」）。{rebuild}"
        )
    if model is not None:
        for key, value in dataclasses.asdict(model).items():
            if manifest["model"].get(key) != value:
                raise IndexUnusableError(
                    f"索引を作ったモデルが違います（{key}：索引「{manifest['model'].get(key)}」・指定「{value}」）。"
                    f"--model を索引に合わせるか、{rebuild}"
                )
    try:
        found = _checksums(folder)
    except OSError as error:
        raise IndexUnusableError(f"索引の版「{name}」を読めません（{error.strerror}）。{rebuild}") from error
    for file, checksum in manifest["files"].items():
        if found.get(file) != checksum:
            state = "内容が変わっています" if file in found else "ありません"
            raise IndexUnusableError(f"索引の版「{name}」が壊れています（{file} が{state}）。{rebuild}")
    try:
        return _read_version(folder, manifest)
    except IndexUnusableError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise IndexUnusableError(
            f"索引の版「{name}」を読めません（{type(error).__name__}）。{rebuild}"
        ) from error


def _read_version(folder: Path, manifest: dict[str, Any]) -> Index:
    documents = [
        _read_document(
            line, (folder / "texts" / f"{line['id']}.txt").read_bytes().decode("utf-8", "surrogatepass")
        )
        for line in _read_lines(folder / "documents.jsonl")
    ]
    cases = [_read_case(line) for line in _read_lines(folder / "cases.jsonl")]
    chunks = [_read_chunk(line) for line in _read_lines(folder / "chunks.jsonl")]
    return Index(
        manifest,
        documents,
        cases,
        chunks,
        Engines.load(folder),
    )
