"""What a build has to do: which files are new, changed, renamed, gone or as they were, told by their content.

In: a documents folder, and the manifest and file list of the version in use. Out: a `Plan`. Files are not parsed here, and
those that the file system shows as untouched are not read either.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

MAX_FILE_BYTES = 50 * 1024 * 1024
RACY_NS = 3 * 10**9
"""A file that was changed so shortly before it was read may change again without a trace in its times."""
_LIKE_A_BYTE = re.compile(r"\\(?=x[0-9a-f]{2})")
Change = str
"""added, changed, renamed, unchanged; of what is gone: removed, replaced"""


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was read: by `stamp` (size, times, inode) it is known again without being read."""

    path: str
    stamp: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file that cannot be indexed, and why, in Japanese.

    `sha256` is empty where it was not read. `passing` may be over at the next build: what was indexed under the path stays.
    """

    path: str
    message: str
    sha256: str = ""
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One document of the plan; `before` are its paths in the version in use.

    A changed document has the id of its new content; the old one, `replaces`, is another document.
    """

    id: str
    sha256: str
    paths: tuple[str, ...]
    change: Change
    before: tuple[str, ...] = ()
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, documents in the order of their paths.

    `removed` are documents of the version in use that are nowhere now ("replaced" where a changed one has their path).
    `files` are the states to keep for the next plan, `places` where the files are, by path.
    """

    items: tuple[Item, ...]
    removed: tuple[Item, ...]
    problems: tuple[FileProblem, ...]
    files: tuple[FileState, ...]
    places: Mapping[str, Path]

    @property
    def changes(self) -> bool:
        """Whether anything is other than in the version in use."""
        return bool(self.removed) or any(
            item.change != "unchanged" or item.paths != item.before for item in self.items
        )


def find_files(folder: Path) -> list[Path]:
    """The files to read, sorted by path; hidden and temporary ones and links that leave the folder are left out."""
    return _walk(folder)[0]


def _walk(folder: Path) -> tuple[list[Path], list[OSError]]:
    """The files to read, sorted, and the errors of the folders below that could not be looked into."""
    root = folder.resolve()
    found: list[Path] = []
    errors: list[OSError] = []
    for directory, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not name.startswith((".", "~$"))]
        for name in names:
            path = Path(directory, name)
            if name.startswith((".", "~$")):
                continue
            try:
                # folders that are links are not walked into, so only the file itself may lead elsewhere
                inside = path.is_file() and (not path.is_symlink() or root in path.resolve().parents)
            except OSError:
                inside = True  # what may not even be looked at: the plan names it
            if inside:
                found.append(path)
    # by the parts of their paths, as paths compare themselves, a few times slower
    return sorted(found, key=lambda path: path.parts), [
        error for error in errors if not isinstance(error, FileNotFoundError)
    ]


def relative(file: Path, folder: Path) -> str:
    """The path that names a file: relative to the folder, with `/`; bytes that are no UTF-8 stand as 「\\xff」.

    No two files have one: a backslash that looks like the begin of such a byte stands as the byte that it is,
    「\\xff.txt」 → 「\\x5cxff.txt」.
    """
    name = _LIKE_A_BYTE.sub(r"\\x5c", file.relative_to(folder).as_posix())
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def make_plan(
    folder: Path,
    manifest: Mapping[str, Any] | None,
    known_files: Mapping[str, FileState],
    refused: Mapping[tuple[str, str], str] | None = None,
) -> Plan:
    """The plan for a folder; `manifest` is that of the version in use, None where there is none that can serve.

    `refused` are messages of contents, by hash and suffix, that were found unreadable under the same rules.
    """
    found, errors = _walk(folder)
    places = {relative(file, folder): file for file in found}
    files, problems = _scan(places, known_files)
    documents = {entry["id"]: entry for entry in manifest["documents"]} if manifest is not None else {}
    old_paths = {path: entry["id"] for entry in documents.values() for path in entry["paths"]}
    by_hash: dict[str, list[str]] = {}
    for state in files:
        message = refused.get((state.sha256, suffix(state.path))) if refused else None
        if message is None:
            by_hash.setdefault(state.sha256, []).append(state.path)
        else:
            problems.append(FileProblem(state.path, message, state.sha256))
    for error in errors:
        closed = relative(Path(error.filename), folder)
        message = f"フォルダーを開けません（{error.strerror}）。読み取りの許可を確かめてください。"
        problems.append(FileProblem(f"{closed}/", message, passing=True))
        for path, identity in old_paths.items():
            if path.startswith(f"{closed}/"):
                by_hash.setdefault(documents[identity]["sha256"], []).append(path)
    problems.sort(key=lambda problem: problem.path)
    # What cannot be read at the moment stays as it was: an answer does not vanish with a network drive.
    for problem in problems:
        entry = documents.get(old_paths.get(problem.path, ""))
        if entry is not None and problem.passing:
            by_hash.setdefault(entry["sha256"], []).append(problem.path)
    items = []
    for sha256, paths in by_hash.items():
        identity = sha256[:16]
        entry = documents.get(identity)
        paths = sorted(paths)
        if entry is None:
            replaced = next((old_paths[path] for path in paths if path in old_paths), None)
            change = "added" if replaced is None else "changed"
            items.append(Item(identity, sha256, tuple(paths), change, (), replaced))
            continue
        before = tuple(entry["paths"])
        change = "unchanged" if before[0] in paths else "renamed"
        items.append(Item(identity, sha256, tuple(paths), change, before))
    items.sort(key=lambda item: item.paths[0])
    present = {item.id for item in items}
    replaced_ids = {item.replaces for item in items}
    removed = [
        Item(
            identity,
            entry["sha256"],
            (),
            "replaced" if identity in replaced_ids else "removed",
            tuple(entry["paths"]),
        )
        for identity, entry in documents.items()
        if identity not in present
    ]
    return Plan(tuple(items), tuple(removed), tuple(problems), tuple(files), places)


def _scan(
    places: Mapping[str, Path], known: Mapping[str, FileState]
) -> tuple[list[FileState], list[FileProblem]]:
    files, problems = [], []
    for path, file in places.items():
        try:
            found = file.stat()
            if found.st_size > MAX_FILE_BYTES:
                message = f"ファイルが大きすぎます（{found.st_size // 2**20}MB。上限は{MAX_FILE_BYTES // 2**20}MB）。分割してください。"
                problems.append(FileProblem(path, message))
                continue
            stamp = _stamp(found)
            state = known.get(path)
            if state is None or state.stamp != stamp:
                state = FileState(path, stamp, _sha256(file))
                if _stamp(file.stat()) != stamp:
                    message = "書き込みの途中のようです。書き終わってから、もう一度実行してください。"
                    problems.append(FileProblem(path, message, passing=True))
                    continue
            files.append(state)
        except OSError as error:
            message = f"ファイルを開けません（{error.strerror}）。読み取りの許可を確かめてください。"
            problems.append(FileProblem(path, message, passing=True))
    return files, problems


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def lasting(files: tuple[FileState, ...], now_ns: int | None = None) -> list[FileState]:
    """The states that may be trusted at the next build; `now_ns` is when the files were read."""
    now = time.time_ns() if now_ns is None else now_ns
    return [state for state in files if max(state.stamp[1:3]) < now - RACY_NS]


def suffix(path: str) -> str:
    """A path's suffix in lower case, with its dot."""
    return PurePath(path).suffix.lower()
