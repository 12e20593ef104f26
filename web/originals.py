"""The original files of documents: found in the documents folder again, and given out only while they are what was indexed.

In: folders and documents of the index. Out: bytes whose SHA-256 is the document's, at once or piece by piece, or the reason why there are
none. A path that
leads out of the folders, by `..` or by a link, is no original; the folders may be gone.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Literal

from corpus.records import Document
from index.plan import MAX_FILE_BYTES

State = Literal["same", "changed", "missing"]
_PIECE_BYTES = 256 * 1024
_REMEMBERED = 10_000  # hashes of files as they were, by size, times and inode


class FileChangedError(Exception):
    """A file was written to while it was given out."""


class Original:
    """An open file that is what was indexed; of one thread at a time."""

    def __init__(self, handle: BufferedReader) -> None:
        self._handle, self._seen = handle, _stamp(handle)

    @property
    def size(self) -> int:
        """In bytes."""
        return self._seen[0]

    def sha256(self) -> str:
        """Of what it holds; empty where it is larger than any that is indexed."""
        if self.size > MAX_FILE_BYTES:
            return ""
        self._handle.seek(0)
        digest = hashlib.file_digest(self._handle, "sha256").hexdigest()
        self._handle.seek(0)
        return digest

    def pieces(self) -> Iterator[bytes]:
        """What it holds, piece by piece, then closed; raises FileChangedError where it is written to meanwhile."""
        with closing(self):
            while piece := self._handle.read(_PIECE_BYTES):
                if _stamp(self._handle) != self._seen:
                    raise FileChangedError("written to while it is given out")
                yield piece

    def close(self) -> None:
        """Lets go of the file; may be done twice."""
        self._handle.close()


class Originals:
    """The folders that documents were read from, the nearest first. May be used from several threads."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._known: OrderedDict[tuple[object, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def state(self, document: Document) -> State:
        """Whether the file is there as it was indexed, is another one now, or cannot be found."""
        changed = False
        for file in self._files(document):
            if self._hash(file) == document.sha256:
                return "same"
            changed = True
        return "changed" if changed else "missing"

    def read(self, document: Document) -> bytes | Literal["changed", "missing"]:
        """The bytes that were indexed, or why they cannot be had."""
        state: Literal["changed", "missing"] = "missing"
        for file in self._files(document):
            data = _bytes(file)
            if data is not None and hashlib.sha256(data).hexdigest() == document.sha256:
                return data
            state = "changed"
        return state

    def opened(self, document: Document) -> Original | Literal["changed", "missing"]:
        """The same, open at its beginning and not in memory; whoever is given it closes it."""
        state: Literal["changed", "missing"] = "missing"
        for file in self._files(document):
            handle = _handle(file)
            if handle is not None:
                original = Original(handle)
                if original.sha256() == document.sha256:
                    return original
                original.close()
            state = "changed"
        return state

    def _files(self, document: Document) -> list[Path]:
        """The files of a document's paths that are there and lie in a folder."""
        found = []
        for folder in self._folders:
            for path in document.paths or (document.path,):
                file = _inside(folder, path)
                if file is not None:
                    found.append(file)
        return found

    def _hash(self, file: Path) -> str:
        """A file's SHA-256, computed once as long as nothing tells that it was changed; empty where it cannot be read."""
        try:
            seen = file.stat()
        except OSError:
            return ""
        key = (file, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        data = _bytes(file)
        digest = "" if data is None else hashlib.sha256(data).hexdigest()
        with self._lock:
            self._known[key] = digest
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return digest


def _inside(folder: Path, path: str) -> Path | None:
    """The file of a path below a folder; None where there is none, or where it lies outside or is hidden."""
    parts = PurePosixPath(path).parts
    if not parts or any(part.startswith((".", "/")) or "\0" in part or "\\" in part for part in parts):
        return None
    try:
        root = folder.resolve(strict=True)
        file = root.joinpath(*parts).resolve(strict=True)
        if root not in file.parents or not file.is_file():
            return None
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links that lead round in a circle
        return None
    return file


def _handle(file: Path) -> BufferedReader | None:
    """A file, open; None where it cannot be read."""
    try:
        return os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except (OSError, UnicodeEncodeError):
        return None


def _stamp(handle: BufferedReader) -> tuple[int, int]:
    """What tells that an open file was written to; where another one takes its name, it was not."""
    state = os.fstat(handle.fileno())
    return state.st_size, state.st_mtime_ns


def _bytes(file: Path) -> bytes | None:
    """A file's bytes; None where it cannot be read or is larger than any that is indexed."""
    handle = _handle(file)
    if handle is None:
        return None
    try:
        with handle:
            data = handle.read(MAX_FILE_BYTES + 1)
    except OSError:
        return None
    return data if len(data) <= MAX_FILE_BYTES else None
