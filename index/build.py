"""Building: from a folder of documents to a new current version of the index.

In: a documents folder and an encoder. Out: a report of what changed. Unchanged words are not encoded twice: a
vector is kept by the hash of the text it was made from. A build writes beside the version in use, checks what it
wrote by loading and asking it, and switches last; whatever goes wrong before leaves the old version in use.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from corpus.chunks import MAX_CHARS, passage_of
from corpus.documents import Parsed, parse
from corpus.readers import ReadError
from corpus.records import Passage
from index.dense import Vectors
from index.encoder import Encoder
from index.engines import Probe, own_headings
from index.late import LateWriter, PackedTokens, pack
from index.lexical import Tokens
from index.store import (
    EngineParts,
    Index,
    IndexMissingError,
    IndexUnusableError,
    ModelRecord,
    current_version,
    load_version,
    read_manifest,
    switch,
    write_version,
)
from index.tokenizer import grams, tokenize

MAX_FILE_BYTES = 50 * 1024 * 1024
BLOCK = 2048
"""Passages that are encoded before their token vectors are written."""
Progress = Callable[[str, int, int], None]
"""Called with the stage (reading, encoding, writing, checking), how much is done, and how much there is."""


class BuildRefusedError(RuntimeError):
    """A build that cannot begin or must not be used; the message is for people."""


class NothingToIndexError(BuildRefusedError):
    """The folder holds no document that can be read."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. Documents are counted by content: added, changed (same path, other words), removed."""

    version: str
    documents: int
    cases: int
    chunks: int
    added: int
    changed: int
    removed: int
    unchanged: int
    encoded: int
    reused: int
    seconds: float
    warnings: tuple[tuple[str, str], ...]
    errors: tuple[tuple[str, str], ...]


def model_record(encoder: Encoder) -> ModelRecord:
    """What the manifest keeps of an encoder."""
    return ModelRecord(encoder.name, encoder.model_fingerprint, encoder.dimension, dict(encoder.prompts))


def vector_key(passage: Passage) -> str:
    """The key of the vector of a passage: passages of one key have one vector."""
    return hashlib.sha256(f"{passage.where}\x00{passage.words}".encode("utf-8", "surrogatepass")).hexdigest()[
        :32
    ]


def tokens_of(passage: Passage) -> Tokens:
    """The tokens of a passage for the parts of the lexical index."""
    words = tokenize(passage.words)
    return Tokens(
        [*tokenize(passage.where), *words],
        [*tokenize(passage.near), *words],
        grams(f"{passage.near}\n{passage.words}"),
    )


def encode(
    encoder: Encoder,
    passages: Mapping[str, Passage],
    keep: Callable[[str, PackedTokens], None],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Vectors], bool]:
    """The vectors of passages by their keys, and whether the model gives token vectors; these go to `keep`.

    They are handed on in blocks, since all of them together may be larger than the memory.
    """
    vectors: dict[str, Vectors] = {}
    keys, gives = list(passages), True
    for start in range(0, len(keys), BLOCK):
        part = [passages[key] for key in keys[start : start + BLOCK]]
        found, tokens = encoder.encode_with_tokens(
            [p.words for p in part],
            None if progress is None else lambda done, _, start=start: progress(start + done, len(keys)),  # type: ignore[misc]
            [p.where for p in part],
        )
        vectors.update(zip(keys[start : start + BLOCK], found, strict=True))
        if tokens is None:
            gives = False
            continue
        for key, own in zip(keys[start : start + BLOCK], tokens, strict=True):
            keep(key, pack(own, passages[key].sentences))
    return vectors, gives


def find_files(folder: Path) -> list[Path]:
    """The files to read, sorted by path; hidden and temporary ones and links that leave the folder are left out."""
    root = folder.resolve()
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith((".", "~$")) for part in parts) or not path.is_file():
            continue
        if root in path.resolve().parents:
            found.append(path)
    return found


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Holds the index folder's lock; a second build is refused, and says so."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildRefusedError(
                "ほかの索引作成が実行中です。終わってからもう一度実行してください。"
            ) from error
        yield


def build(
    documents: Path,
    root: Path,
    encoder: Encoder,
    *,
    full: bool = False,
    max_chars: int = MAX_CHARS,
    progress: Progress | None = None,
) -> BuildReport:
    """Builds the index of a folder and makes it current; `full` encodes everything anew.

    Raises NothingToIndexError where no file can be read (the old version stays), BuildRefusedError where another
    build runs or the new version does not answer.
    """
    report = progress or (lambda stage, done, total: None)
    with _alone(root):
        return _build(documents, root, encoder, full=full, max_chars=max_chars, progress=report)


def _build(
    documents: Path, root: Path, encoder: Encoder, *, full: bool, max_chars: int, progress: Progress
) -> BuildReport:
    started = time.perf_counter()
    model = model_record(encoder)
    parsed, errors = _read_all(documents, max_chars, progress)
    if not parsed:
        named = "、".join(f"{path}：{message}" for path, message in errors[:3])
        raise NothingToIndexError(
            f"読める資料が一つもありません（{documents}）。"
            + (named or "文書のファイルを置いてから、もう一度実行してください。")
        )
    chunks = [chunk for one in parsed for chunk in one.chunks]
    if not chunks:
        raise NothingToIndexError(
            "どの資料からも検索できる本文が見つかりませんでした。ファイルの内容を確かめてください。"
        )
    organizations = {case.id: case.organization for one in parsed for case in one.cases}
    passages = [
        passage_of(one.document.title, chunk, organizations.get(chunk.case_id or ""))
        for one in parsed
        for chunk in one.chunks
    ]
    keys = [vector_key(passage) for passage in passages]
    tokens = [tokens_of(passage) for passage in passages]

    old = _previous(root, None if full else model)
    reusable = None if full else old
    known = {} if reusable is None else reusable.vectors_by_key()
    packed = {} if reusable is None else reusable.tokens_by_key()
    missing = {key: passage for key, passage in zip(keys, passages, strict=True) if key not in known}
    progress("encoding", 0, len(missing))
    with tempfile.TemporaryDirectory(prefix=".encoding-", dir=root) as folder:
        late: Path | None = Path(folder) / "late"
        with LateWriter(Path(folder) / "late", encoder.dimension) as writer:
            fresh, gives = encode(
                encoder, missing, writer.add, lambda done, total: progress("encoding", done, total)
            )
            if (gives if missing else packed) and all(key in packed for key in keys if key not in missing):
                for key in dict.fromkeys(keys):
                    if key in packed:
                        writer.add(key, packed[key]())
                writer.close(keys)
            else:
                late = None
        known = {**known, **fresh}
        headings = [passage.heading for passage in passages]
        heading_rows = own_headings(headings)
        heading_vectors = _encode_headings(
            encoder,
            [headings[row] for row in heading_rows],
            {} if reusable is None else reusable.heading_vectors(),
        )
        parts = EngineParts(
            np.stack([known[key] for key in keys]).astype(np.float32),
            keys,
            heading_vectors,
            heading_rows,
            tokens,
            late,
        )
        progress("writing", 0, 1)
        name = write_version(
            root,
            [one.document for one in parsed],
            [case for one in parsed for case in one.cases],
            chunks,
            parts,
            model,
            max_chars=max_chars,
            errors=errors,
        )
    progress("checking", 0, 1)
    _check(load_version(root, name, model), tokens, parts.vectors)
    before = {} if old is None else {d.path: d.sha256 for d in old.documents.values()}
    now = {one.document.path: one.document.sha256 for one in parsed}
    switch(root, name)
    progress("checking", 1, 1)
    return BuildReport(
        version=name,
        documents=len(parsed),
        cases=sum(len(one.cases) for one in parsed),
        chunks=len(chunks),
        added=sum(path not in before for path in now),
        changed=sum(path in before and before[path] != sha256 for path, sha256 in now.items()),
        removed=sum(path not in now for path in before),
        unchanged=sum(before.get(path) == sha256 for path, sha256 in now.items()),
        encoded=len(missing),
        reused=len(chunks) - sum(key in missing for key in keys),
        seconds=time.perf_counter() - started,
        warnings=tuple((one.document.path, warning) for one in parsed for warning in one.document.warnings),
        errors=tuple(errors),
    )


def _encode_headings(encoder: Encoder, headings: list[str], known: dict[str, Vectors]) -> Vectors:
    """Vectors of headings, in their order  # (n, dim) float32."""
    missing = [heading for heading in headings if heading not in known]
    fresh = dict(zip(missing, encoder.encode_passages(missing), strict=True)) if missing else {}
    rows = [known[heading] if heading in known else fresh[heading] for heading in headings]
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, encoder.dimension), np.float32)


def _read_all(folder: Path, max_chars: int, progress: Progress) -> tuple[list[Parsed], list[tuple[str, str]]]:
    parsed: dict[str, Parsed] = {}
    errors: list[tuple[str, str]] = []
    files = find_files(folder)
    for number, file in enumerate(files):
        progress("reading", number, len(files))
        path = file.relative_to(folder).as_posix().encode("utf-8", "replace").decode()
        try:
            size = file.stat().st_size
            if size > MAX_FILE_BYTES:
                raise ReadError(
                    f"ファイルが大きすぎます（{size // 2**20}MB。上限は{MAX_FILE_BYTES // 2**20}MB）。分割してください。"
                )
            one = parse(path, file.read_bytes(), max_chars=max_chars)
        except ReadError as error:
            errors.append((path, str(error)))
            continue
        except OSError as error:
            errors.append(
                (path, f"ファイルを開けません（{error.strerror}）。読み取りの許可を確かめてください。")
            )
            continue
        twin = parsed.get(one.document.id)
        if twin is not None:
            note = f"「{path}」は同じ内容なので、一つの資料として扱います。"
            document = replace(twin.document, warnings=(*twin.document.warnings, note))
            parsed[one.document.id] = replace(twin, document=document)
            continue
        parsed[one.document.id] = one
    progress("reading", len(files), len(files))
    return list(parsed.values()), errors


def _previous(root: Path, model: ModelRecord | None) -> Index | None:
    """The version in use, for its vectors and its list of documents; None where it cannot serve for that."""
    name = current_version(root)
    if name is None:
        return None
    try:
        manifest = read_manifest(root, name)
        same = model is None or ModelRecord(**manifest["model"]) == model
        return load_version(root, name, None) if same else None
    except (IndexMissingError, IndexUnusableError):
        return None


def _check(index: Index, tokens: list[Tokens], vectors: Vectors) -> None:
    """A self-query for each engine: a chunk must be found by its own vector and by its own words."""
    # the middle row, or the first after it that has words: 「あああ」 is a text without content words
    rows = [*range(len(tokens) // 2, len(tokens)), *range(len(tokens) // 2)]
    row = next((row for row in rows if tokens[row].whole), rows[0])
    twins = {other for other, vector in enumerate(vectors) if vector @ vectors[row] > 0.9999}
    asked = Probe(vectors[row], tokens[row].whole)
    by_vector = {found for found, _ in index.engines.by_vector(asked, 3)}
    by_word = {found for found, _ in index.engines.by_word(asked, 10)}
    if not twins & by_vector or (tokens[row].whole and not (twins | {row}) & by_word):
        raise BuildRefusedError(
            "新しい索引が自分の本文を見つけられません。前の索引を使い続けます。build_index.py --full をもう一度実行してください。"
        )


def process_threads() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))
