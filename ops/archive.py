"""The file that a backup is: a ZIP archive with a list of what is in it.

In: files with the part and the path that each belongs to. Out: an archive that only its owner may read; and from an archive,
which may come from anywhere, its list, and its files once they are found to be what the list says. What the parts mean is
not known here.

    index/… documents/… usage.sqlite3 …     files, whole; no links, no folders, nothing above
    dxqa-backup.json                        the list: for each file its name here, part, path, bytes, SHA-256, time, mode

The list is written last and covers every other file, so an archive that ends early is never taken for a whole one.
Errors: ArchiveError, with a sentence for people.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ops.places import FILE_NAMES, FOLDERS

LIST = "dxqa-backup.json"
FORMAT = 1
MOST_LIST_BYTES = 256 * 2**20
"""Of the list: a million files."""
_BLOCK = 1 << 20
_PACKED = frozenset(
    (
        ".i8",
        ".f4",
        ".npy",
        ".faiss",
        ".pdf",
        ".docx",
        ".xlsx",
        ".pptx",
        ".zip",
        ".gz",
        ".png",
        ".jpg",
        ".jpeg",
    )
)  # vectors and what is packed already: a third of the time, a sixth of the size at the most
_EARLIEST = 1980, 1, 1, 0, 0, 0  # that a ZIP archive can say; times stand in the list
_ENCRYPTED = 0x1


class ArchiveError(RuntimeError):
    """An archive that cannot be used; the message says why, in Japanese."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; `path` is below the part's folder, with `/`, empty where the part is a file itself.

    Bytes of a path that are no UTF-8 stand as lone surrogates, as Python has them.
    """

    name: str
    part: str
    path: str
    bytes: int
    sha256: str
    time_ns: int
    mode: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What an archive says of itself: when it was made, what of (`about`, for people and checks), and its files."""

    made_at: str
    about: Mapping[str, Any]
    members: tuple[Member, ...]

    def of_part(self, part: str) -> list[Member]:
        """The files of one part."""
        return [member for member in self.members if member.part == part]


# ---------------------------------------------------------------- writing


class ArchiveWriter:
    """Writes a new archive; it is whole once `finish` has returned."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file is there or cannot be made."""
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
        try:
            self._zip = zipfile.ZipFile(self._file, "w", allowZip64=True)
        except BaseException:
            self._file.close()
            raise
        self.members: list[Member] = []

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.fp = None  # what was not finished gets no end
        self._file.close()

    def add(self, part: str, path: str, file: Path) -> Member:
        """Copies a file in; gives what was written. Raises OSError."""
        name = member_name(part, path)
        with file.open("rb") as source:
            state = os.fstat(source.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise OSError(0, "ふつうのファイルではありません", str(file))
            digest, size = hashlib.sha256(), 0
            with self._opened(name, stored=file.suffix.lower() in _PACKED) as target:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
                    target.write(block)
        member = Member(
            name, part, path, size, digest.hexdigest(), state.st_mtime_ns, stat.S_IMODE(state.st_mode) & 0o777
        )
        self.members.append(member)
        return member

    def finish(self, about: Mapping[str, Any]) -> None:
        """Writes the list, and everything to the disk."""
        content = {
            "format": FORMAT,
            "made_at": datetime.now().astimezone().isoformat(timespec="seconds"),
            "about": dict(about),
            "files": [asdict(member) for member in self.members],
        }
        with self._opened(LIST, stored=False) as target:
            target.write(json.dumps(content).encode("ascii"))
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        # what is read back then comes from the disk
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _opened(self, name: str, *, stored: bool) -> IO[bytes]:
        entry = zipfile.ZipInfo(name, _EARLIEST)
        entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        entry._compresslevel = 1  # type: ignore[attr-defined]  # ZipFile.open takes it from nowhere else
        entry.external_attr = (stat.S_IFREG | 0o600) << 16
        return self._zip.open(entry, "w", force_zip64=True)


def member_name(part: str, path: str) -> str:
    """What a file is called in the archive; a path that is no text is spelt in hexadecimal digits."""
    if part not in FOLDERS:
        return FILE_NAMES[part]
    try:
        path.encode()
    except UnicodeEncodeError:
        path = f".bytes-{os.fsencode(path).hex()}"
    return f"{part}/{path}"


# ---------------------------------------------------------------- reading


class Archive:
    """An archive that was opened; nothing of it is believed before `check`."""

    def __init__(self, path: Path, opened: zipfile.ZipFile, listing: Listing) -> None:
        self.path, self._zip, self.listing = path, opened, listing

    def check(self) -> None:
        """Reads every file; raises ArchiveError where one is not what the list says."""
        for member in self.listing.members:
            for _ in self.blocks(member):
                pass

    def blocks(self, member: Member) -> Iterator[bytes]:
        """The bytes of a file; raises ArchiveError, at the end, where they are not what the list says."""
        digest, size = hashlib.sha256(), 0
        with _said(self.path), self._zip.open(member.name) as source:
            while block := source.read(_BLOCK):
                size += len(block)
                if size > member.bytes:
                    break
                digest.update(block)
                yield block
        if size != member.bytes or digest.hexdigest() != member.sha256:
            raise ArchiveError(
                f"控え「{self.path}」が壊れています（{shown(member)} の内容が目録と違います）。別の控えを使ってください。"
            )


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """An archive whose list and names are as they must be; raises ArchiveError."""
    with _said(path), path.open("rb") as file, zipfile.ZipFile(file) as found:
        yield Archive(path, found, _listing(path, found))


def shown(member: Member) -> str:
    """The name of a file as it may be shown, in one line."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in member.name)[:200]


def _listing(path: Path, found: zipfile.ZipFile) -> Listing:
    entries = found.infolist()
    if LIST not in {entry.filename for entry in entries}:
        raise ArchiveError(
            f"「{path}」は、このソフトウェアの控えではありません（目録 {LIST} がありません）。"
        )
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir() or kind not in {0, stat.S_IFREG} or entry.flag_bits & _ENCRYPTED:
            raise _unfit(path, entry.filename, "ふつうのファイルではありません")
    content = _list_content(path, found)
    if content.get("format") != FORMAT:
        raise ArchiveError(
            f"控え「{path}」の形式が違います（控え {content.get('format')}・このプログラム {FORMAT}）。"
            "控えを作ったときと同じか、新しいプログラムで戻してください。"
        )
    try:
        members = tuple(Member(**entry) for entry in content["files"])
        listing = Listing(str(content["made_at"]), dict(content["about"]), members)
        for member in members:
            _check_member(path, member)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(f"控え「{path}」の目録を読めません。別の控えを使ってください。") from error
    names = sorted(entry.filename for entry in entries)
    if names != sorted([LIST, *(member.name for member in members)]):
        raise ArchiveError(
            f"控え「{path}」の中身が目録と違います（目録 {len(members)}件・中身 {len(names) - 1}件）。別の控えを使ってください。"
        )
    targets = {(member.part, member.path) for member in members}
    above = {
        (part, "/".join(path.split("/")[:depth]))
        for part, path in targets
        for depth in range(1, path.count("/") + 1)
    }
    if len(targets) != len(members) or targets & above:
        raise ArchiveError(f"控え「{path}」に、同じ場所に戻るファイルがあります。この控えは使えません。")
    return listing


def _list_content(path: Path, found: zipfile.ZipFile) -> dict[str, Any]:
    with found.open(LIST) as source:
        data = source.read(MOST_LIST_BYTES + 1)
    try:
        content = json.loads(data) if len(data) <= MOST_LIST_BYTES else None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ArchiveError(f"控え「{path}」の目録を読めません。別の控えを使ってください。")
    return content


def _check_member(path: Path, member: Member) -> None:
    """Raises where a file would be restored anywhere but below its own part."""
    numbers = (member.bytes, member.time_ns, member.mode)
    if not all(type(value) is int and 0 <= value < 2**62 for value in numbers) or member.mode & ~0o777:
        raise ValueError("no number of its kind")
    if member.part in FOLDERS:
        parts = member.path.split("/")
        fits = all(
            part not in {"", ".", ".."} and "\0" not in part and len(os.fsencode(part)) <= 255
            for part in parts
        )
    else:
        fits = member.part in FILE_NAMES and member.path == ""
    if not fits or member.name != member_name(member.part, member.path):
        raise _unfit(path, member.name, "フォルダーの外に出る名前か、使えない名前です")


def _unfit(path: Path, name: str, why: str) -> ArchiveError:
    letters = "".join(letter if letter.isprintable() else "\ufffd" for letter in str(name))[:200]
    return ArchiveError(
        f"控え「{path}」に、戻してはいけないものがあります（{letters}：{why}）。何もしていません。"
    )


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Says in one kind of exception what the library and the system say of an archive."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RecursionError) as error:
        raise ArchiveError(
            f"控え「{path}」を読めません（途中で切れているか、壊れているか、控えではありません）。別の控えを使ってください。"
        ) from error
