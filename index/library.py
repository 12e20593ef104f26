"""The documents folder as people change it: files that come, go, or wait to be looked at first.

In: names and streams of bytes. Out: files in the folder, whole or not at all, and entries of what waits. Nothing is known of
HTTP, and nothing is indexed here: a build finds what has changed.

    <name>                        documents
    .removed/<time>-<chance>/     what was replaced or taken out, under its own path; nothing here is ever deleted
    .inbox/<id>/data              an upload that waits, as it came
                 entry.json       what is known of it (`Staged`)
                 parsed.json      what was recognised in it (corpus.worker), once it was read
    .upload-… .inbox/.…           being written; what a crash leaves of it is cleared away later

Hidden folders are ignored by builds. All of it lies in one folder, so that every last step is one rename on one file system.
Errors: UploadRefusedError (a file that cannot be taken), NotRemovableError (a document that must stay, or went before),
StorageError (the disk refuses); messages are for people.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Protocol

from corpus.chunks import MAX_CHARS
from corpus.documents import Parsed
from corpus.garbled import GARBLED
from corpus.lines import parsed_of
from corpus.readers import SUFFIXES
from corpus.readers.kinds import mismatch, unreadable_suffix
from corpus.records import Document, DocumentInfo
from index.likeness import Alike, fingerprints, relation, share
from index.plan import MAX_FILE_BYTES, find_files, relative
from index.reading import ReaderProcess
from index.store import Index
from index.versions import sync

MAX_FILES = 50
"""Files of one request: more than a person checks in one go."""
MAX_REQUEST_BYTES = 200 * 1024 * 1024
"""All files of one request: four of the largest; a minute on a line of 30 Mbit/s."""
MAX_NAME_BYTES = 200
"""Of a name in UTF-8: file systems take 255, and copies get 「 - コピー (2)」 and the like added."""
MAX_STAGED = 200
"""Uploads that wait at once: a list that can still be looked through, 10 GB at the most."""
STALE_S = 3600.0
"""What is being written is taken for left behind by a crash after this long without a change."""
LEAST_SHARE = 0.3
"""Documents that share less are not compared further, as in a build."""
MOST_ALIKE = 5
_BLOCK = 1 << 20
_log = logging.getLogger("dxqa.library")


class UploadRefusedError(ValueError):
    """A file or name that cannot be taken; the message says in Japanese what is wrong and what to do."""


class NotStagedError(LookupError):
    """No upload of that id waits; the message is for people."""


class NotReadError(RuntimeError):
    """An upload that was not read, or could not be, cannot be taken; the message is for people."""


class NotRemovableError(RuntimeError):
    """A document that cannot be taken out now; the message is for people."""


class StorageError(RuntimeError):
    """The folder cannot be written; the message is for people."""


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A file as it stands in the folder now; `replaced` where another content had its name."""

    path: str
    sha256: str
    bytes: int
    replaced: bool


@dataclass(frozen=True, slots=True)
class Staged:
    """An upload that waits (「確認待ち」): state waiting (to be read), read, or refused with a message.

    What follows `message` is known once it is read. The last three are as of now: whether a file of its name is in the
    folder, the id of the document of that path in the index, and other paths of the index with the same content.
    """

    id: str
    name: str
    sha256: str
    bytes: int
    uploaded_at: str
    state: str = "waiting"
    message: str = ""
    title: str = ""
    format: str = ""
    pages: int | None = None
    characters: int = 0
    cases: int = 0
    headings: int = 0
    chunks: int = 0
    garbled: bool = False
    warnings: tuple[str, ...] = ()
    alike: tuple[Alike, ...] = ()
    replaces: bool = False
    replaces_document: str | None = None
    same_as: tuple[str, ...] = ()


# ---------------------------------------------------------------- names

_ID = re.compile(r"[0-9a-f]{16}")
_LEFT = re.compile(rf"\.(upload|new|gone)-{_ID.pattern}")
"""Of what a crash leaves half written; a hidden file of any other name is somebody's."""
_FORBIDDEN = '<>:"/\\|?*'
_RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}
# letters without a visible form that are no format characters: joiners, fillers, blank patterns
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def checked_name(name: str) -> str:
    """A file's name as it is stored (NFC); raises UploadRefusedError where it cannot be one on every system."""
    name = unicodedata.normalize("NFC", name)
    if not name or name in {".", ".."}:
        raise UploadRefusedError("ファイルの名前がありません。名前を付けてから、もう一度送ってください。")
    found = next((character for character in name if character in _FORBIDDEN), None)
    if found is not None:
        raise UploadRefusedError(
            f"名前に使えない記号「{found}」があります。記号 {' '.join(_FORBIDDEN)} を取り除いてください。"
        )
    for character in name:
        category = unicodedata.category(character)
        if category[0] == "C" or category in {"Zl", "Zp"} or character in _INVISIBLE:
            raise UploadRefusedError(
                f"名前に、見えない文字や使えない文字（U+{ord(character):04X}）があります。名前を付け直してください。"
            )
    if name.startswith((".", "~$")):
        raise UploadRefusedError(
            "「.」や「~$」で始まる名前は、隠しファイルや作業中のファイルとして扱われます。名前を付け直してください。"
        )
    if name != name.strip() or name.endswith("."):
        raise UploadRefusedError("名前の前後に空白や「.」があります。取り除いてください。")
    if name.split(".")[0].rstrip().upper() in _RESERVED:
        raise UploadRefusedError(
            f"「{name.split('.')[0]}」は Windows で使えない名前です。名前を付け直してください。"
        )
    size = len(name.encode())
    if size > MAX_NAME_BYTES:
        raise UploadRefusedError(
            f"名前が長すぎます（{size}バイト。上限は{MAX_NAME_BYTES}バイト、漢字やかなで約{MAX_NAME_BYTES // 3}字）。短くしてください。"
        )
    suffix = PurePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise UploadRefusedError(unreadable_suffix(suffix, SUFFIXES))
    return name


def shown_name(name: str) -> str:
    """A name that was refused, fit to be shown: without invisible letters, not longer than a line."""
    safe = "".join(character if character.isprintable() else "\ufffd" for character in name)
    return safe if len(safe) <= 100 else safe[:99] + "…"


# ---------------------------------------------------------------- the folder


class Library:
    """The documents folder, and what waits to come into it. May be used from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._tidied = time.monotonic()
        self.tidy()

    # ---- documents

    def store(self, name: str, source: Readable) -> Stored:
        """Puts a file into the folder under its name; one that had the name goes to `.removed`.

        Raises UploadRefusedError for a name or content that cannot be taken.
        """
        name = checked_name(name)
        with self._received(name, source) as (file, sha256, size):
            return self._take(file, name, sha256, size)

    def paths(self) -> set[str]:
        """The paths of all files of the folder that a build reads."""
        return set(self._files())

    def removable(self, document: Document, others: Iterable[DocumentInfo], *, samples: bool) -> list[str]:
        """The paths at which a document's own content stands; raises NotRemovableError where it cannot be taken out.

        `others` are the other documents of the index with something to be found in them: one of them must stand in the
        folder as it was indexed, or the index could not be built without this one. `samples` says that samples are
        indexed while the folder is empty.
        """
        with self._lock, _storing():
            files = self._files()
            there = [path for path in document.paths if path in files]
            own = [path for path in there if _sha256(files[path]) == document.sha256]
            if not own:
                raise NotRemovableError(
                    "この資料は差し替えられています。索引が作り直されるのを待って、資料の一覧を開き直してください。"
                    if there
                    else "この資料のファイルは、フォルダーにもうありません。索引を作り直すと、答えにも出なくなります。"
                )
            rest = {path: file for path, file in files.items() if path not in own}
            if not (samples and not rest) and not any(
                path in rest and _is_content(rest[path], other.sha256)
                for other in others
                for path in other.paths
            ):
                raise NotRemovableError(
                    "最後の一つの資料は取り除けません。先にほかの資料を加え、索引に入ってから取り除いてください。"
                )
            return own

    def remove_document(
        self, document: Document, others: Iterable[DocumentInfo], *, samples: bool
    ) -> list[str]:
        """Takes a document out of the folder, as `removable` allows; gives its paths."""
        with self._lock:
            return self.remove(self.removable(document, others, samples=samples))

    def remove(self, paths: Sequence[str]) -> list[str]:
        """Takes documents out of the folder; they go to `.removed`. Gives the paths that were there."""
        with self._lock, _storing():
            files = self._files()
            found = [path for path in dict.fromkeys(paths) if path in files]
            if not found:
                return []
            shelf = self._shelf()
            for path in found:
                file = files[path]
                target = shelf / file.relative_to(self.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.rename(target)
                sync(file.parent)
            sync(shelf)
            return found

    def _files(self) -> dict[str, Path]:
        if not self.folder.is_dir():
            return {}
        return {relative(file, self.folder): file for file in find_files(self.folder)}

    @contextmanager
    def _received(self, name: str, source: Readable) -> Iterator[tuple[Path, str, int]]:
        """A file with the bytes of a stream, on the disk, with its SHA-256 and size; gone afterwards if it was not moved."""
        with _storing():
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self.folder / f".upload-{secrets.token_hex(8)}"
            try:
                digest, size = hashlib.sha256(), 0
                with file.open("xb") as target:
                    while block := source.read(_BLOCK):
                        size += len(block)
                        if size > MAX_FILE_BYTES:
                            raise UploadRefusedError(
                                f"ファイルが大きすぎます（上限は{MAX_FILE_BYTES // 2**20}MB）。分割してから送ってください。"
                            )
                        digest.update(block)
                        target.write(block)
                    target.flush()
                    os.fsync(target.fileno())
                if not size:
                    raise UploadRefusedError(
                        "ファイルが空です（0バイト）。内容のあるファイルを送ってください。"
                    )
                wrong = mismatch(name, file.read_bytes())
                if wrong is not None:
                    raise UploadRefusedError(wrong)
                yield file, digest.hexdigest(), size
            finally:
                file.unlink(missing_ok=True)

    def _take(self, file: Path, name: str, sha256: str, size: int) -> Stored:
        """Gives a received file its name in the folder. At every moment either the old or the new file has it."""
        with self._lock, _storing():
            target = self.folder / name
            if target.is_dir() and not target.is_symlink():
                raise UploadRefusedError(
                    f"「{name}」という名前のフォルダーがあります。ファイルの名前を変えてください。"
                )
            old = [other for other in self._named(name) if other.is_symlink() or other.is_file()]
            if old == [target] and not target.is_symlink() and _sha256(target) == sha256:
                file.unlink()
                return Stored(name, sha256, size, False)
            if old:
                shelf = self._shelf()
                for other in old:
                    _keep(other, shelf / other.name)
                sync(shelf)
            file.replace(target)
            for other in old:
                if other != target:
                    other.unlink()
            sync(self.folder)
            return Stored(name, sha256, size, bool(old))

    def _named(self, name: str) -> list[Path]:
        """The entries of the folder that a person reads as this name: other systems compose letters otherwise (NFD)."""
        return [entry for entry in self.folder.iterdir() if unicodedata.normalize("NFC", entry.name) == name]

    def _shelf(self) -> Path:
        """A new folder in `.removed`."""
        shelf = self._own(".removed") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        shelf.mkdir()
        return shelf

    def _own(self, name: str) -> Path:
        """A hidden folder of the library's own, made where it is missing; a link is not followed."""
        folder = self.folder / name
        if folder.is_symlink():
            raise StorageError(f"「{name}」がリンクになっています。取り除いてから、もう一度お試しください。")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # ---- what waits

    def stage(self, name: str, source: Readable) -> Staged:
        """Keeps a file to be looked at; one of the same name that waits is replaced by it.

        Raises UploadRefusedError for a name or content that cannot be taken, or where too many wait.
        """
        name = checked_name(name)
        if time.monotonic() > self._tidied + STALE_S:
            self._tidied = time.monotonic()
            self.tidy()
        with self._received(name, source) as (file, sha256, size), self._lock, _storing():
            waiting = self.staged()
            same = [entry.id for entry in waiting if entry.name == name]
            if len(waiting) - len(same) >= MAX_STAGED:
                raise UploadRefusedError(
                    f"確認待ちが{MAX_STAGED}件あります。登録するか取り消してから、もう一度送ってください。"
                )
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            entry = Staged(secrets.token_hex(8), name, sha256, size, now)
            inbox = self._own(".inbox")
            building = inbox / f".new-{entry.id}"
            building.mkdir()
            file.rename(building / "data")
            _write_json(building / "entry.json", asdict(entry))
            sync(building)
            building.rename(inbox / entry.id)
            sync(inbox)
            for identity in same:
                self.discard(identity)
            return entry

    def staged(self, index: Index | None = None) -> list[Staged]:
        """What waits, in the order it came; beside `index` where given."""
        inbox = self.folder / ".inbox"
        if inbox.is_symlink() or not inbox.is_dir():
            return []
        found = [
            entry
            for folder in inbox.iterdir()
            if _ID.fullmatch(folder.name) and (entry := self._entry(folder.name)) is not None
        ]
        files = {unicodedata.normalize("NFC", name) for name in self._names()}
        return [
            _beside(entry, files, index) for entry in sorted(found, key=lambda e: (e.uploaded_at, e.name))
        ]

    def waiting(self) -> int:
        """How many wait, by their folders alone."""
        inbox = self.folder / ".inbox"
        if inbox.is_symlink() or not inbox.is_dir():
            return 0
        return sum(_ID.fullmatch(folder.name) is not None for folder in inbox.iterdir())

    def one(self, identity: str, index: Index | None = None) -> Staged:
        """One that waits; raises NotStagedError where there is none of this id."""
        entry = self._entry(identity)
        if entry is None:
            raise NotStagedError(
                "この確認待ちのファイルはありません。登録されたか、取り消された可能性があります。"
            )
        return _beside(entry, {unicodedata.normalize("NFC", name) for name in self._names()}, index)

    def look(self, identity: str, reader: ReaderProcess, index: Index | None = None) -> Staged | None:
        """Reads one that waits, in the process of `reader`, and keeps what it is; None where it is gone meanwhile."""
        entry = self._entry(identity)
        if entry is None or entry.state != "waiting":
            return entry
        folder = self.folder / ".inbox" / identity
        found = reader.ask(entry.name, folder / "data", MAX_CHARS)
        if "document" not in found:
            message = found.get("message") or f"ファイルを開けません（{found.get('unopened', '不明')}）。"
            return self._note(replace(entry, state="refused", message=str(message)))
        parsed = parsed_of(found)
        if parsed.document.sha256 != entry.sha256:
            return self._note(
                replace(entry, state="refused", message="内容が変わりました。もう一度送ってください。")
            )
        document = parsed.document
        read = replace(
            entry,
            state="read",
            title=document.title,
            format=document.format,
            pages=document.pages,
            characters=len(document.text),
            cases=len(parsed.cases),
            headings=len(document.headings),
            chunks=len(parsed.chunks),
            garbled=any(warning.startswith(GARBLED) for warning in document.warnings),
            warnings=document.warnings,
            alike=tuple(self._alike(parsed, index)) if index is not None else (),
        )
        return self._note(read, found)

    def refuse(self, identity: str, message: str) -> None:
        """Marks one that waits as one that cannot be read; nothing where it is gone."""
        entry = self._entry(identity)
        if entry is not None:
            self._note(replace(entry, state="refused", message=message))

    def preview(self, identity: str) -> Parsed | None:
        """What was recognised in one that waits, None where it was not read (yet)."""
        if self.one(identity).state != "read":
            return None
        try:
            text = (self.folder / ".inbox" / identity / "parsed.json").read_text(encoding="utf-8")
            return parsed_of(json.loads(text))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def approve(self, identity: str) -> Stored:
        """Puts one that was read into the folder; raises NotStagedError, NotReadError or UploadRefusedError."""
        with self._lock, _storing():
            entry = self.one(identity)
            if entry.state != "read":
                raise NotReadError(
                    "まだ読み取りの途中です。終わってから、もう一度お試しください。"
                    if entry.state == "waiting"
                    else "読み取れなかったファイルは登録できません。直したファイルを送り直してください。"
                )
            stored = self._take(
                self.folder / ".inbox" / identity / "data", entry.name, entry.sha256, entry.bytes
            )
            self.discard(identity)
            return stored

    def discard(self, identity: str) -> None:
        """Forgets one that waits; raises NotStagedError where there is none of this id."""
        with self._lock, _storing():
            folder = self.folder / ".inbox" / identity
            if not _ID.fullmatch(identity) or folder.is_symlink() or not folder.is_dir():
                raise NotStagedError(
                    "この確認待ちのファイルはありません。登録されたか、取り消された可能性があります。"
                )
            gone = folder.with_name(f".gone-{identity}")
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def tidy(self) -> None:
        """Clears away what a crash left half written: received files, and entries without their data."""
        inbox = self.folder / ".inbox"
        left = [path for path in self.folder.glob(".upload-*") if _LEFT.fullmatch(path.name)]
        if inbox.is_dir() and not inbox.is_symlink():
            left += [
                folder
                for folder in inbox.iterdir()
                if _LEFT.fullmatch(folder.name)
                or (_ID.fullmatch(folder.name) and self._entry(folder.name) is None)
            ]
        for path in left:
            try:
                old = path.lstat().st_mtime < time.time() - STALE_S
            except OSError:
                continue  # another thread was quicker
            if old:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def _names(self) -> list[str]:
        return [entry.name for entry in self.folder.iterdir()] if self.folder.is_dir() else []

    def _entry(self, identity: str) -> Staged | None:
        """The entry of an id, None where there is none that is whole."""
        folder = self.folder / ".inbox" / identity
        if not _ID.fullmatch(identity) or folder.is_symlink() or not (folder / "data").is_file():
            return None
        try:
            found = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
            alike = tuple(Alike(**pair) for pair in found["alike"])
            entry = Staged(
                **{
                    **found,
                    "alike": alike,
                    "warnings": tuple(found["warnings"]),
                    "same_as": tuple(found["same_as"]),
                }
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return entry if entry.id == identity else None

    def _note(self, entry: Staged, found: dict[str, Any] | None = None) -> Staged | None:
        """Keeps what is known of one that waits now; None where it is gone."""
        folder = self.folder / ".inbox" / entry.id
        with self._lock, _storing():
            if self._entry(entry.id) is None:
                return None
            if found is not None:
                _write_json(folder / "parsed.json", found)
            _write_json(folder / "entry.json", asdict(entry))
            return entry

    def _alike(self, parsed: Parsed, index: Index) -> Iterator[Alike]:
        """How a document stands to those of the index, most alike first."""
        own = fingerprints(parsed.document.text)
        pairs = [
            (share(count, len(own), size), index.listing[name])
            for name, count, size in index.sharing(own)
            if name != parsed.document.id
        ]
        found = 0
        for part, other in sorted(pairs, key=lambda pair: (-pair[0], pair[1].path)):
            kind = None
            if part >= LEAST_SHARE:
                kind = relation(parsed.document, index.documents[other.id], part)
            if kind is not None and found < MOST_ALIKE:
                found += 1
                yield Alike(parsed.document.path, other.path, kind, round(part, 3))


class Looking:
    """Reads what waits, one file after the other, small ones first, in the background; ends when nothing waits any more."""

    def __init__(self, library: Library, index: Callable[[], Index | None]) -> None:
        self._library, self._index = library, index
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Begins to read if something waits and nobody reads."""
        with self._lock:
            if self._thread is None and self._next() is not None:
                self._thread = threading.Thread(target=self._run, name="looking", daemon=True)
                self._thread.start()

    def _next(self) -> str | None:
        """The smallest that waits: one that takes minutes must not hold up those that take a moment."""
        waiting = [entry for entry in self._library.staged() if entry.state == "waiting"]
        return min(waiting, key=lambda entry: entry.bytes).id if waiting else None

    def _run(self) -> None:
        with ReaderProcess() as reader:
            while True:
                with self._lock:
                    identity = self._next()
                    if identity is None:
                        self._thread = None
                        return
                try:
                    self._library.look(identity, reader, self._index())
                except Exception:
                    # one file must not keep the others waiting; where not even that can be written, the next call tries
                    _log.exception("upload %s could not be looked at", identity)
                    if not self._refused(identity):
                        return

    def _refused(self, identity: str) -> bool:
        message = "読み取りの途中で問題が起きました。取り消してから、もう一度送ってください。"
        try:
            self._library.refuse(identity, message)
        except StorageError:
            with self._lock:
                self._thread = None
            return False
        return True


def _beside(entry: Staged, files: set[str], index: Index | None) -> Staged:
    """What an entry is beside the folder and the index as they are now."""
    if index is None:
        return replace(entry, replaces=entry.name in files)
    own = [d for d in index.listing.values() if entry.name in d.paths]
    same = index.listing.get(entry.sha256[:16])
    return replace(
        entry,
        replaces=entry.name in files,
        replaces_document=own[0].id if own else None,
        same_as=tuple(path for path in same.paths if path != entry.name) if same is not None else (),
    )


@contextmanager
def _storing() -> Iterator[None]:
    """The system's errors in the words of a reader."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        _log.error("the documents folder cannot be written: %s", error)
        raise StorageError(
            "空き容量が足りないため、保存できませんでした。容量を空けてから、もう一度お試しください。"
            if full
            else f"資料のフォルダーに保存できませんでした（{error.strerror or '不明'}）。書き込みの許可を確かめてください。"
        ) from error


def _keep(file: Path, target: Path) -> None:
    """A second name for a file, so that the first can be given to another; a copy where there are no second names."""
    try:
        os.link(file, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(file, target, follow_symlinks=False)


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _is_content(file: Path, sha256: str) -> bool:
    """Whether a file has this content, as far as it can be read."""
    try:
        return _sha256(file) == sha256
    except OSError:
        return False


def _write_json(file: Path, content: Any) -> None:
    """Replaces a file in one step."""
    temporary = file.with_name(f".{file.name}")
    with temporary.open("w", encoding="utf-8") as target:
        json.dump(content, target, ensure_ascii=True)
        target.flush()
        os.fsync(target.fileno())
    temporary.replace(file)
