"""Versions of an index on disk: which one is in use, what each is made of, switching, going back, clearing away.

In: an index folder. Out: manifests, and the one step that makes a version the one in use. What is in the segments is not
known here.

    CURRENT                       the name of the version in use (replaced in one step)
    versions/<name>/manifest.json format, model, tokenizer, documents with their paths and segments, counts, a checksum
                    report.json   what the build did (index.report)
                    files.json    size, time and hash of the files that were read (index.plan)
                    checked.json  how the files of its segments were when they were found whole (index.previous)
    segments/<name>/              written once, shared by versions (index.segment)
    names.json                    what a server read of whose each document is (qa.names); made anew where it is missing
    .lock                         held by the build that runs
    PUBLISHED                     which version was last brought to which store (index.milvus_publish)

A version or segment is written under a name that begins with a dot and renamed when it is whole and on the disk. So a
power cut leaves nothing that looks whole and is not, and what is left over is removed by the next build. Only what has a
name that this module gives is ever removed: whatever else stands in the folder is somebody's.

Errors: IndexMissingError (none built yet), IndexUnusableError (damaged, or of another format, model or tokenizer; the
message names both values and the way out; OlderIndexError and NewerIndexError where it is the format of another release),
NothingToRollBackError, WrongFolderError (no folder for an index).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FORMAT_VERSION = 4
KEEP_VERSIONS = 5
REBUILD = "build_index.py --full で作り直してください。"
_TIME = "%Y%m%dT%H%M%S%fZ"
_NAME = re.compile(r"[0-9]{8}T[0-9]{12}Z-[0-9a-f]{6}")
"""Of a version: 「20261121T090000000000Z-ab12cd」."""
_SEGMENT = re.compile(rf"{_NAME.pattern}(-[a-z]+(-[0-9]+)?)?")
"""Of a segment: 「20261121T090000000000Z-ab12cd-text」, and where a build writes several of a kind 「…-text-2」."""
_LEFT = re.compile(rf"\.(building|old)-{_SEGMENT.pattern}")
"""Of a folder that a build which was cut off wrote or was removing."""
_LEFT_SWITCH = re.compile(r"\.CURRENT-[0-9]+")
_OWN = frozenset({"CURRENT", "PUBLISHED", "versions", "segments", ".lock", "names.json", ".names.json"})
_SYSTEM = frozenset({"lost+found", ".gitkeep", ".gitignore", ".DS_Store"})
"""What stands in a folder that nobody has put anything into."""
_MANIFEST_KEYS = (
    "version", "built_at", "model", "tokenizer", "rules", "max_chars", "counts", "errors", "documents", "segments",
)  # fmt: skip


class IndexMissingError(RuntimeError):
    """No index has been built in this folder."""


class IndexUnusableError(RuntimeError):
    """An index that cannot be used; the message says why, with both values, and what to do."""


class OlderIndexError(IndexUnusableError):
    """A version of an older format, which a build makes anew; `manifest` is what it says, unchecked."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        super().__init__(
            f"索引の形式が古いものです（索引 {manifest['format_version']}・このプログラム {FORMAT_VERSION}）。"
            "build_index.py か server.py を動かすと、資料から作り直されます。"
        )
        self.manifest = manifest


class NewerIndexError(IndexUnusableError):
    """A version that a newer release of this program has made: nothing of it is touched; `manifest` as above."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        super().__init__(
            f"索引の形式が、このプログラムより新しいものです（索引 {manifest['format_version']}・このプログラム {FORMAT_VERSION}）。"
            "新しいほうのプログラムで動かすか、--rollback でこのプログラムの作った版に戻すか、--index に別のフォルダーを"
            "指定してください。索引には何もしていません。"
        )
        self.manifest = manifest


class NothingToRollBackError(RuntimeError):
    """There is no version to go back to; the message is for people."""


class BuildingError(RuntimeError):
    """Another build holds the index folder; the message is for people."""


class WrongFolderError(RuntimeError):
    """A folder that no index may be written to; the message is for people."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What of the model must agree between build and serve."""

    name: str
    fingerprint: str
    dimension: int
    prompts: dict[str, str]


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """One version of the history; `problem` says why it cannot be used, None where nothing is known against it."""

    name: str
    built_at: str
    documents: int
    cases: int
    chunks: int
    current: bool
    problem: str | None = None


def check_place(root: Path, documents: Path) -> None:
    """Raises WrongFolderError where an index must not be written: over documents, or among what belongs to somebody."""
    own, others = root.resolve(), documents.resolve()
    if own == others or own in others.parents or others in own.parents:
        raise WrongFolderError(
            f"索引のフォルダー「{root}」と資料のフォルダー「{documents}」は、同じにすることも、一方を他方の中に置くこともできません。"
            "--index に別のフォルダーを指定してください。"
        )
    try:
        foreign = [path.name for path in own.iterdir() if not _is_own(path)]
    except FileNotFoundError:
        return
    except OSError as error:
        raise WrongFolderError(
            f"索引のフォルダー「{root}」を開けません（{error.strerror}）。--index を確かめてください。"
        ) from error
    if foreign and not _names(own):
        raise WrongFolderError(
            f"索引のフォルダー「{root}」に、索引ではないもの（{'、'.join(sorted(foreign)[:3])}）があります。"
            "--index に、空のフォルダーか、まだないフォルダーを指定してください。"
        )


def _is_own(path: Path) -> bool:
    """Whether an entry of an index folder may stand there: our own, or what systems put there by themselves."""
    if path.name in {"versions", "segments"}:
        try:
            return all(
                _SEGMENT.fullmatch(entry.name) or _LEFT.fullmatch(entry.name) for entry in path.iterdir()
            )
        except OSError:
            return False
    return path.name in _OWN | _SYSTEM or _LEFT_SWITCH.fullmatch(path.name) is not None


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Holds the index folder's lock; raises BuildingError where another process or thread holds it.

    The system lets go of the lock when the process ends, however it ends.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildingError(
                "ほかの索引作成が実行中です。終わってからもう一度実行してください。"
            ) from error
        yield


def new_name(root: Path) -> str:
    """A name for a new version: the time and a part by chance. It is greater than all names that are there, so that names
    are in the order in which they were made, also where the clock was set back."""
    now = f"{datetime.now(UTC):{_TIME}}"
    last = max(_names(root), default="")[: len(now)]
    return f"{_after(last) if now <= last else now}-{secrets.token_hex(3)}"


def _after(time: str) -> str:
    """The microsecond after a time in a name; 「20991231T235959999999Z」 → 「21000101T000000000000Z」."""
    try:
        return f"{datetime.strptime(time, _TIME) + timedelta(microseconds=1):{_TIME}}"
    except (ValueError, OverflowError):  # digits that are no time
        return time


def current_version(root: Path) -> str | None:
    """The name of the version in use, None where none was built; raises IndexUnusableError where it cannot be read."""
    try:
        return (root / "CURRENT").read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise IndexUnusableError(
            "使用中の版を示すファイル（CURRENT）を読めません。索引を作り直すか、残っている版に戻してください。"
        ) from error


def named_version(root: Path) -> str | None:
    """The name of the version in use, None also where it cannot be read."""
    try:
        return current_version(root)
    except IndexUnusableError:
        return None


def older_version(root: Path) -> OlderIndexError | None:
    """What is said of the version in use where it is of an older format; raises NewerIndexError where it is of a newer one."""
    try:
        name = named_version(root)
        if name is not None:
            read_manifest(root, name)
    except OlderIndexError as error:
        return error
    except NewerIndexError:
        raise
    except IndexUnusableError:  # damaged: the formats say nothing of it
        return None
    return None


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as it is written, with the checksum of all the rest of it."""
    # without indentation, which takes ten times as long: of 20,000 documents half a second
    return json.dumps({**manifest, "checksum": _checksum(manifest)}, ensure_ascii=False).encode()


def _checksum(manifest: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def read_manifest(root: Path, name: str) -> dict[str, Any]:
    """A version's manifest; raises IndexUnusableError where it is not there, damaged or of another format."""
    unreadable = f"索引の版「{name}」の目録（manifest.json）を読めません。{REBUILD}"
    if "/" in name or name.startswith("."):
        raise IndexUnusableError(unreadable)
    try:
        content = json.loads((root / "versions" / name / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IndexUnusableError(unreadable) from error
    manifest: dict[str, Any] = content if isinstance(content, dict) else {}
    found = manifest.get("format_version")
    if not isinstance(found, int):
        raise IndexUnusableError(
            f"索引の形式が違います（索引 {found}・このプログラム {FORMAT_VERSION}）。{REBUILD}"
        )
    if found != FORMAT_VERSION:
        raise (OlderIndexError if found < FORMAT_VERSION else NewerIndexError)(manifest)
    lacking = [key for key in _MANIFEST_KEYS if key not in manifest]
    if lacking:
        raise IndexUnusableError(
            f"索引の版「{name}」の目録（manifest.json）に {'・'.join(lacking)} がありません。{REBUILD}"
        )
    if manifest.get("checksum") != _checksum(manifest) or manifest["version"] != name:
        raise IndexUnusableError(
            f"索引の版「{name}」が壊れています（manifest.json の内容が変わっています）。{REBUILD}"
        )
    return manifest


def history(root: Path) -> list[VersionEntry]:
    """The versions that are kept, newest first; none of them is current where it cannot be read which one is."""
    current = named_version(root)
    found = []
    for name in sorted(_names(root), reverse=True):
        try:
            manifest = read_manifest(root, name)
        except IndexUnusableError as error:
            found.append(VersionEntry(name, "", 0, 0, 0, name == current, str(error)))
            continue
        counts = manifest["counts"]
        found.append(
            VersionEntry(
                name,
                manifest["built_at"],
                counts["documents"],
                counts["cases"],
                counts["chunks"],
                name == current,
            )
        )
    return found


def earlier_version(root: Path, name: str | None = None) -> str:
    """The version to go back to: the named one, else the one made before the one in use, or the newest where none is known.

    Raises NothingToRollBackError where there is none.
    """
    names, current = _names(root), named_version(root)
    if name is not None:
        if name not in names:
            raise NothingToRollBackError(
                f"版「{name}」はありません。残っている版：{'、'.join(sorted(names, reverse=True)) or 'なし'}。"
            )
        return name
    before = sorted(other for other in names if current is None or other < current)
    if not before:
        raise NothingToRollBackError("戻れる前の版がありません。索引はいまの版のままです。")
    return before[-1]


def switch(root: Path, name: str) -> None:
    """Makes a version the one in use, in a single step."""
    temporary = root / f".CURRENT-{os.getpid()}"
    try:
        temporary.write_text(name + "\n", encoding="utf-8")
        sync(temporary)
        _set_aside(root / "CURRENT")
        temporary.replace(root / "CURRENT")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(root)


def _set_aside(current: Path) -> None:
    """Takes a folder out of the place where the name of the version in use belongs; what is in it is kept."""
    if current.is_dir() and not current.is_symlink():
        current.rename(current.with_name(f"CURRENT.{secrets.token_hex(3)}"))


def clear(root: Path, keep: int = KEEP_VERSIONS) -> None:
    """Removes versions beyond the last few, segments that no version needs, and what cut-off builds left behind.

    The version in use is kept whatever its name, and whatever has no name of ours. Call only while holding the lock.
    """
    current = current_version(root)
    for path in _entries(root):
        if _LEFT_SWITCH.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
    for path in [*_entries(root / "versions"), *_entries(root / "segments")]:
        if _LEFT.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
    others = [name for name in sorted(_names(root)) if name != current]
    for name in others[: max(0, len(others) - (keep - 1))]:
        _remove(root / "versions" / name)
    needed: set[str] = set()
    for name in _names(root):
        try:
            needed.update(read_manifest(root, name)["segments"])
        except (
            OlderIndexError,
            NewerIndexError,
        ) as error:  # whoever goes back to that release finds it whole
            needed.update(error.manifest.get("segments") or ())
        except IndexUnusableError:
            continue
    for folder in _entries(root / "segments"):
        if _SEGMENT.fullmatch(folder.name) and folder.name not in needed:
            _remove(folder)


def forget(root: Path, name: str) -> None:
    """Removes a version that another one holds the same as, but not the one in use. Call only while holding the lock."""
    if name in _names(root) and name != current_version(root):
        _remove(root / "versions" / name)


def _remove(folder: Path) -> None:
    """Removes a version or segment, under another name first: half of one must not look whole."""
    hidden = folder.with_name(f".old-{folder.name}")
    folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _names(root: Path) -> list[str]:
    """The names of the versions that are there."""
    return [path.name for path in _entries(root / "versions") if _NAME.fullmatch(path.name) and path.is_dir()]


def publish(building: Path, target: Path) -> None:
    """Gives a finished folder its name, once every byte of it is on the disk."""
    for path in sorted(building.rglob("*"), reverse=True):
        sync(path)
    sync(building)
    building.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Makes a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
