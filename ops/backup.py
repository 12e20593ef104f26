"""Making a backup: everything that cannot be made again, in one archive, while the service runs.

In: where things lie (`ops.places`) and where the archive shall be. Out: an archive (`ops.archive`) that was read back and found whole before it
got its name, and a report. Documents are in it unless they are left out: the index can be made from them, they from nothing.

Nothing is locked and nothing waits. A version of the index never changes; where a build clears one away while it is copied, the
copying begins anew with the version that is then in use. Databases are copied by SQLite itself, as of one moment.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from index.segment import SegmentDamagedError, StoredSegment
from index.versions import (
    IndexUnusableError,
    NewerIndexError,
    OlderIndexError,
    current_version,
    history,
    read_manifest,
    sync,
)
from ops.archive import ArchiveError, ArchiveWriter, Member, opened
from ops.places import ACCESS, DOCUMENTS, INDEX, PARTS, SYNONYMS, USAGE, Places

NAME = re.compile(r"dxqa-backup-[0-9]{8}-[0-9]{6}(-[0-9]+)?\.zip")
"""Of an archive in a folder of backups, by local time: only what is called so is ever removed."""
_WORKING = re.compile(r"\.dxqa-backup-[0-9a-f]{16}")
_HALF_WRITTEN = re.compile(r"\.(upload|new|gone)-[0-9a-f]{16}")
"""Of what is being received at this moment (`index.library`)."""
TRIES = 5
"""For a version that stays while it is copied: a build that clears it away has taken longer than the copying goes on."""


class BackupError(RuntimeError):
    """A backup that could not be made; earlier ones stay. The message is for people."""


class WrongTargetError(ValueError):
    """No place for a backup; the message is for people."""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was written where; `notes` are for people, `problems` what should be in it and is not."""

    path: Path
    bytes: int
    counts: dict[str, tuple[int, int]]
    """By part: files, and their bytes."""
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    removed: tuple[str, ...]


def backup(
    places: Places,
    target: Path,
    *,
    documents: bool = True,
    all_versions: bool = False,
    keep: int | None = None,
) -> BackupReport:
    """Writes a backup into a folder, or to a new file; `keep` older ones stay in the folder, all where it is None.

    Raises WrongTargetError, BackupError, OSError; then there is no new file, and every older one is still there.
    """
    path = _target(places, target, documents, keep)
    folder = path.parent
    _clear_left(folder)
    with _working(folder) as working:
        wanted = _Wanted(places, working, documents, all_versions)
        needed, free = wanted.bytes(), shutil.disk_usage(folder).free
        if needed > free:
            raise BackupError(
                f"控えを置く場所「{folder}」の空きが足りません（必要 約{_mb(needed)}・空き {_mb(free)}）。"
                "古い控えを消すか、別の場所を指定してください。前の控えはそのままです。"
            )
        made = wanted.written(working / "archive.zip")
        with opened(made) as archive:
            archive.check()
        size = made.stat().st_size
        path = _free_name(path) if target.is_dir() else path
        try:
            os.link(made, path)  # unlike a rename it never takes the place of another file
        except OSError:  # a drive that knows no second name of a file
            made.rename(path)
        sync(folder)
    counts = {
        part: (len(own), sum(member.bytes for member in own))
        for part in PARTS
        if (own := [member for member in wanted.members if member.part == part])
    }
    removed = _remove_older(folder, path, keep) if keep is not None else []
    return BackupReport(path, size, counts, tuple(wanted.notes), tuple(wanted.problems), tuple(removed))


# ---------------------------------------------------------------- where to


def _target(places: Places, target: Path, documents: bool, keep: int | None) -> Path:
    if target.is_dir():
        path = target / f"dxqa-backup-{datetime.now():%Y%m%d-%H%M%S}.zip"
    elif target.exists():
        raise WrongTargetError(f"「{target}」はもうあります。別の名前か、フォルダーを指定してください。")
    elif target.suffix.lower() != ".zip":
        # a drive that is away must not become a folder on the disk that is to be saved
        raise WrongTargetError(
            f"控えのフォルダー「{target}」がありません。フォルダーを作るか、ドライブをつないでから実行してください"
            "（一つのファイルに書くときは、名前を .zip で終えてください）。"
        )
    elif not target.parent.is_dir():
        raise WrongTargetError(f"フォルダー「{target.parent}」がありません。作ってから実行してください。")
    elif keep is not None:
        raise WrongTargetError("--keep は、控えのフォルダーを指定したときだけ使えます。")
    else:
        path = target
    folder = path.parent.resolve()
    sources = [places.index, *([places.documents] if documents else [])]
    for source in sources:
        if source.resolve() in [folder, *folder.parents]:
            raise WrongTargetError(
                f"控えは「{source}」の中に置けません（控えの中に控えが入ります）。別の場所を指定してください。"
            )
    if documents and not places.documents.is_dir():
        raise WrongTargetError(
            f"資料のフォルダー「{places.documents}」がありません。--documents を確かめるか、資料を除くときは --no-documents を付けてください。"
        )
    return path


def _free_name(path: Path) -> Path:
    """The name, or the first one after it that is not taken."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


@contextmanager
def _working(folder: Path) -> Iterator[Path]:
    """A hidden folder to work in, which another backup does not take for one that was left behind."""
    working = folder / f".dxqa-backup-{secrets.token_hex(8)}"
    with ExitStack() as stack:
        with _held(folder, fcntl.LOCK_SH):  # until it is locked itself, it looks like one that was left
            working.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, working, ignore_errors=True)
            lock = stack.enter_context((working / "lock").open("w"))
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield working


@contextmanager
def _held(folder: Path, kind: int) -> Iterator[None]:
    """Holds a folder against those who look for what was left in it."""
    opened_folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(opened_folder, kind)
        yield
    finally:
        os.close(opened_folder)


def _clear_left(folder: Path) -> None:
    """Removes what backups left behind that were cut off."""
    with _held(folder, fcntl.LOCK_EX):
        left = list(_left(folder))
    for path in left:
        shutil.rmtree(path, ignore_errors=True)


def _left(folder: Path) -> Iterator[Path]:
    """What nobody works in any more."""
    for path in folder.iterdir():
        if not _WORKING.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        try:
            with (path / "lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            pass  # it was cut off before it had one
        except OSError:
            continue  # one that is being made
        yield path


def _remove_older(folder: Path, newest: Path, keep: int) -> list[str]:
    """Removes backups but the newest `keep`, by their names, the one just made always among those that stay."""
    others = sorted(
        path.name for path in folder.iterdir() if NAME.fullmatch(path.name) and path.name != newest.name
    )
    gone = others[: max(0, len(others) - (keep - 1))]
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    return gone


# ---------------------------------------------------------------- what


class _VersionGoneError(RuntimeError):
    """A version was cleared away while it was copied."""


class _Wanted:
    """What goes into one archive; `notes` and `problems` are known once it is written."""

    def __init__(self, places: Places, working: Path, documents: bool, all_versions: bool) -> None:
        self._places, self._working = places, working
        self._documents, self._all_versions = documents, all_versions
        self._with_index = True
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.members: list[Member] = []

    def bytes(self) -> int:
        """About how large it will be at the most."""
        files = [self._places.usage, self._places.access]
        total = sum(file.stat().st_size for file in files if file.is_file())
        if self._documents:
            total += sum(file.lstat().st_size for file, _ in _walk(self._places.documents))
        with suppress(IndexUnusableError, SegmentDamagedError, OSError):
            names = {name for version in self._versions() for name in _segments(self._places.index, version)}
            total += sum(StoredSegment(self._places.index / "segments" / name).bytes for name in names)
        return total

    def written(self, path: Path) -> Path:
        """Writes the archive; raises BackupError, OSError."""
        for _ in range(TRIES):
            path.unlink(missing_ok=True)
            self.notes, self.problems = [], []
            try:
                with ArchiveWriter(path) as writer:
                    about = self._write(writer)
                    writer.finish(about)
                    self.members = writer.members
                return path
            except _VersionGoneError:
                continue
            except (IndexUnusableError, SegmentDamagedError) as error:
                # the rest is worth more than nothing, and the index can be made again
                self._with_index = False
                self._damage = str(error)
        raise BackupError("索引の作り直しが続いていて、控えを作れません。しばらくしてから実行してください。")

    _damage = ""

    def _write(self, writer: ArchiveWriter) -> dict[str, object]:
        about: dict[str, object] = {"documents": self._documents, "all_versions": self._all_versions}
        if self._with_index:
            about["index_version"] = self._add_index(writer)
        else:
            self.problems.append(f"索引は控えに入っていません：{self._damage}")
        for part in (USAGE, ACCESS):
            self._add_database(writer, part)
        if self._places.synonyms.is_file():
            writer.add(SYNONYMS, "", self._places.synonyms)
        if self._documents:
            self._add_documents(writer)
        else:
            self.notes.append(
                "資料は控えに入れていません（--no-documents）。資料のフォルダーは別に控えてください。"
            )
        self.notes.append(
            "環境変数や起動の指定（合言葉など）とモデルは控えに入りません。設定は書き留め、モデルは作り直せます。"
        )
        return about

    # ---- the index

    def _versions(self) -> list[str]:
        """The versions to be kept, the one in use last; none where there is no index."""
        current = current_version(self._places.index)
        if current is None:
            return []
        others = [entry.name for entry in history(self._places.index) if entry.problem is None]
        return [*(name for name in others if self._all_versions and name != current), current]

    def _add_index(self, writer: ArchiveWriter) -> str | None:
        """Copies the versions with what they are made of, every byte compared with what was written; gives the one in use."""
        root = self._places.index
        versions = self._versions()
        if not versions:
            self.notes.append("索引はまだありません。")
            return None
        try:
            seen: set[str] = set()
            for name in versions:
                for segment, digest in _segments(root, name).items():
                    if segment not in seen:
                        seen.add(segment)
                        self._add_segment(writer, root / "segments" / segment, digest)
                for file in sorted((root / "versions" / name).iterdir()):
                    writer.add(INDEX, f"versions/{name}/{file.name}", file)
        except (FileNotFoundError, IndexUnusableError, SegmentDamagedError) as error:
            if any(not (root / "versions" / name).is_dir() for name in versions):
                raise _VersionGoneError from error
            if isinstance(error, FileNotFoundError):
                raise SegmentDamagedError(f"{error.filename} がありません") from error
            raise
        current = self._working / "CURRENT"
        current.write_text(versions[-1] + "\n", encoding="utf-8")
        writer.add(INDEX, "CURRENT", current)
        return versions[-1]

    def _add_segment(self, writer: ArchiveWriter, folder: Path, digest: str) -> None:
        stored = StoredSegment(folder)
        if digest and stored.digest != digest:
            raise SegmentDamagedError(f"segments/{folder.name}/segment.json の内容が変わっています")
        for name, sha256 in {**stored.digests, "segment.json": stored.digest}.items():
            member = writer.add(INDEX, f"segments/{folder.name}/{name}", folder / name)
            if member.sha256 != sha256:
                raise SegmentDamagedError(f"segments/{folder.name}/{name} の内容が変わっています")

    # ---- databases

    def _add_database(self, writer: ArchiveWriter, part: str) -> None:
        """Copies a database as of one moment, also while it is written to; one that is damaged is left out and told of."""
        source: Path = self._places.of_part(part)
        if not source.is_file():
            return
        copy = self._working / f"{part}.sqlite3"
        try:
            copy_database(source, copy)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(copy)) from error
            self.problems.append(
                f"{PARTS[part]}「{source}」は控えに入っていません（{error}）。壊れているか、開けません。"
                "前の控えは消さずに、ファイルを確かめてください。"
            )
            return
        writer.add(part, "", copy)
        copy.unlink()

    # ---- documents

    def _add_documents(self, writer: ArchiveWriter) -> None:
        """Copies the folder as it is, with what waits and what was taken out; what cannot be read is told of."""
        folder = self._places.documents
        for file, path in _walk(folder, self.problems):
            try:
                before = file.stat()
                member = writer.add(DOCUMENTS, path, file)
                after = file.stat()
            except FileNotFoundError:
                continue  # it was taken out meanwhile
            except OSError as error:
                self.problems.append(
                    f"資料「{_shown(path)}」を読めないので、控えに入っていません（{error.strerror}）。"
                )
                continue
            if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size) or (
                member.bytes != after.st_size
            ):
                self.notes.append(f"資料「{_shown(path)}」は、書き込みの途中だったかもしれません。")


def _segments(root: Path, name: str) -> dict[str, str]:
    """The segments of a version with their digests; of a version of another release too, as it says itself."""
    try:
        found: dict[str, str] = read_manifest(root, name)["segments"]
    except (OlderIndexError, NewerIndexError) as error:
        found = error.manifest.get("segments") or {}
    return dict(found)


def copy_database(source: Path, target: Path) -> None:
    """Copies a database by SQLite's own means, to a file that only its owner may read; raises sqlite3.Error, OSError."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    address = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(address, uri=True, timeout=10.0)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, without what would lie beside it
        (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).replace("\n", " "))


def _walk(folder: Path, problems: list[str] | None = None) -> Iterator[tuple[Path, str]]:
    """The files below a folder with their paths, in order, hidden ones too; links that lead out of it, and what is only
    just being received, are left out."""
    root = folder.resolve()

    def closed(error: OSError) -> None:
        if problems is not None and not isinstance(error, FileNotFoundError):
            name = os.path.relpath(str(error.filename), folder)
            problems.append(
                f"資料のフォルダー「{_shown(name)}」を開けないので、控えに入っていません（{error.strerror}）。"
            )

    for directory, folders, names in os.walk(folder, onerror=closed):
        folders.sort()
        for name in sorted(names):
            file = Path(directory, name)
            try:
                if _HALF_WRITTEN.fullmatch(name) or not file.is_file():
                    continue
                if file.is_symlink() and root not in file.resolve().parents:
                    continue
            except OSError:
                pass  # what may not even be looked at is told of where it is to be read
            yield file, file.relative_to(folder).as_posix()


def _shown(path: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in path)


def _mb(size: int) -> str:
    return f"{size / 2**20:,.0f}MB" if size >= 2**20 else f"{size / 2**10:,.0f}KB"


def told(report: BackupReport) -> Sequence[str]:
    """What a backup did, a line each, for people."""
    parts = "・".join(
        f"{PARTS[part]} {files}件（{_mb(size)}）" for part, (files, size) in report.counts.items()
    )
    lines = [
        f"控えを作り、読み返して確かめました：{report.path}（{_mb(report.bytes)}）",
        f"中身：{parts or 'なし'}",
    ]
    lines += [f"注意：{note}" for note in report.notes]
    if report.removed:
        lines.append(f"古い控えを{len(report.removed)}件消しました（{'、'.join(report.removed)}）。")
    return lines


__all__ = [
    "NAME",
    "ArchiveError",
    "BackupError",
    "BackupReport",
    "WrongTargetError",
    "backup",
    "copy_database",
    "told",
]
