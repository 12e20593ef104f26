"""Putting a backup back: everything or nothing, and what was there before is never deleted.

In: an archive (`ops.archive`), which may be damaged or hostile, and the places its parts go to. Out: a report.

First every byte of the archive is checked. Then it is written beside the places, under hidden names, onto the disk. Only then
what stands in the places is renamed (`index.before-20261122-031500`) and what was written takes its place: renames within one
folder, written down before in a journal (`.dxqa-restore.json`, beside the index). Where anything fails the renames are taken
back; where the process is ended in between, the next restore reads the journal and takes them back first.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from access.accounts import Accounts
from access.file import AccessFile
from database import DatabaseUnavailableError
from index.versions import BuildingError, alone, sync
from ops.archive import Archive, ArchiveError, Member, opened
from ops.places import ACCESS, FILE_NAMES, FOLDERS, INDEX, PARTS, USAGE, Places

JOURNAL = ".dxqa-restore.json"
_BESIDE = ("-wal", "-shm", "-journal")
"""What lies beside a database of SQLite and belongs to it alone."""
_NOTHING = frozenset({".gitkeep", ".gitignore", ".DS_Store", "lost+found"})
"""What stands in a folder that nobody has put anything into."""


class RestoreRefusedError(ValueError):
    """A restore that must not be done as it was asked for; the message is for people, and nothing was touched."""


@dataclass(frozen=True, slots=True)
class Move:
    """One place: `new` (None for what only goes) comes to `target`, and what was there to `aside`.

    `inode` is that of `new` once it is written, by which it is known again wherever it stands; 0 before.
    """

    target: str
    new: str | None
    aside: str
    inode: int = 0


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was restored: the archive's own time, files by part, and where what was there before is now, by part."""

    made_at: str
    counts: dict[str, int]
    aside: dict[str, Path]
    notes: tuple[str, ...]


def check(file: Path) -> list[str]:
    """What an archive holds, a line each, after every byte of it was read; raises ArchiveError, OSError."""
    with opened(file) as archive:
        archive.check()
        listing = archive.listing
        lines = [f"控え「{file}」は壊れていません（{_when(listing.made_at)} に作成）。"]
        lines += [
            f"{PARTS[part]}：{len(own)}件・{sum(member.bytes for member in own):,}バイト"
            for part in PARTS
            if (own := listing.of_part(part))
        ]
        return lines


def restore(
    file: Path, places: Places, *, only: Collection[str] = (), replace: bool = False
) -> RestoreReport:
    """Puts the parts of an archive (or `only` some) into their places.

    Raises RestoreRefusedError, ArchiveError, OSError: then everything stands as it stood.
    """
    with opened(file) as archive:
        parts = [part for part in PARTS if archive.listing.of_part(part) and (not only or part in only)]
        lacking = [PARTS[part] for part in only if part not in parts]
        if lacking or not parts:
            raise RestoreRefusedError(
                f"控え「{file}」に、{'・'.join(lacking) or '戻せるもの'}は入っていません。何もしていません。"
            )
        archive.check()
        with _journal(places) as journal:
            # only now: what a restore that was cut off has moved stands in its place again
            if not replace:
                _refuse_existing([places.of_part(part) for part in parts])
            return _restored(archive, places, parts, journal)


def _restored(archive: Archive, places: Places, parts: Sequence[str], journal: _Journal) -> RestoreReport:
    stamp = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    moves: dict[str, Move] = {}
    beside: list[Move] = []
    for part in parts:
        target = _real(places.of_part(part))
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f"{target.name}.before-{stamp}")
        new = target.with_name(f".dxqa-restore-{stamp}-{part}")
        moves[part] = Move(str(target), str(new), str(aside))
        if part in (USAGE, ACCESS):
            beside += [
                Move(f"{target}{end}", None, f"{aside}{end}")
                for end in _BESIDE
                if os.path.lexists(f"{target}{end}")
            ]
    _refuse_lack_of_room(archive, moves)
    journal.write(list(moves.values()))  # nothing was moved yet: what is written goes again
    for part, move in list(moves.items()):
        _write_part(archive, archive.listing.of_part(part), Path(move.new or ""), Path(move.target))
        if part == ACCESS:
            _sign_everybody_out(Path(move.new or ""))
        moves[part] = dataclasses.replace(move, inode=Path(move.new or "").lstat().st_ino)
    order = [*beside, *moves.values()]
    with ExitStack() as held:
        if INDEX in parts and Path(moves[INDEX].target).is_dir():
            try:
                held.enter_context(alone(Path(moves[INDEX].target)))
            except BuildingError as error:
                raise RestoreRefusedError(
                    "索引を作っている途中なので、いまは戻せません。終わってから実行してください。何も変えていません。"
                ) from error
        journal.write(order)
        for move in order:
            _swap(move)
    journal.done()
    notes = []
    kept: dict[str, Path] = {}
    for part, move in moves.items():
        left = Path(move.aside)
        if _is_nothing(left):
            shutil.rmtree(left, ignore_errors=True)
        elif os.path.lexists(left):
            kept[part] = left
    if ACCESS in parts:
        notes.append(
            "アカウントを戻しました。サーバーが動いているときは、起動し直してください。ログインしていた人は、入り直しになります。"
            "控えの後で変えたパスワードや、無効にした合言葉は、控えのときのものに戻っています。"
            "「python -m access list」と「tokens」で確かめてください。"
        )
    if INDEX not in parts:
        notes.append("索引は戻していません。build_index.py を動かすと、資料から作られます。")
    counts = {part: len(archive.listing.of_part(part)) for part in parts}
    return RestoreReport(archive.listing.made_at, counts, kept, tuple(notes))


def _when(moment: str) -> str:
    """When a backup was made, in the time of this computer; as written where that cannot be read."""
    with suppress(ValueError):
        return f"{datetime.fromisoformat(moment).astimezone():%Y年%m月%d日 %H:%M}"
    return moment


def told(report: RestoreReport) -> list[str]:
    """What a restore did, a line each, for people."""
    parts = "・".join(f"{PARTS[part]} {count}件" for part, count in report.counts.items())
    lines = [f"控え（{_when(report.made_at)} に作成）から戻しました：{parts}"]
    lines += [
        f"前の{PARTS[part]}は「{path}」にあります。確かめ終わったら消してください。"
        for part, path in report.aside.items()
    ]
    lines += [f"注意：{note}" for note in report.notes]
    return lines


# ---------------------------------------------------------------- before


def _real(place: Path) -> Path:
    """A place itself where it is a link: the link stays, what it leads to is replaced."""
    return place.resolve() if place.is_symlink() else place.absolute()


def _refuse_existing(places: Sequence[Path]) -> None:
    there = [place for place in places if os.path.lexists(place) and not _is_nothing(place)]
    if there:
        raise RestoreRefusedError(
            f"「{there[0]}」がもうあります。前の内容を残したまま置き換えるときは --replace を、"
            "別の場所に戻すときは --to フォルダー を付けてください。何もしていません。"
        )


def _is_nothing(place: Path) -> bool:
    """Whether a place is a folder that nobody has put anything into."""
    if not place.is_dir() or place.is_symlink():
        return False
    return {path.name for path in place.iterdir()} <= _NOTHING


def _refuse_lack_of_room(archive: Archive, moves: dict[str, Move]) -> None:
    needed: dict[int, int] = {}
    where: dict[int, Path] = {}
    for part, move in moves.items():
        parent = Path(move.target).parent
        device = parent.stat().st_dev
        where[device] = parent
        needed[device] = needed.get(device, 0) + sum(m.bytes for m in archive.listing.of_part(part))
    for device, size in needed.items():
        free = shutil.disk_usage(where[device]).free
        if size > free:
            raise RestoreRefusedError(
                f"「{where[device]}」の空きが足りません（必要 {size / 2**20:,.1f}MB・空き {free / 2**20:,.1f}MB）。"
                "空けてから、もう一度実行してください。何もしていません。"
            )


# ---------------------------------------------------------------- writing beside


def _write_part(archive: Archive, members: Sequence[Member], new: Path, target: Path) -> None:
    """Writes the files of a part under its hidden name, onto the disk, for the owner of what they replace."""
    owner = _owner(target)
    folders = [new] if members[0].part in FOLDERS else []
    for folder in folders:
        folder.mkdir()
    known = set(folders)
    for member in members:
        file = new / member.path if member.part in FOLDERS else new
        for folder in reversed(file.relative_to(new).parents if member.part in FOLDERS else ()):
            if new / folder not in known:
                (new / folder).mkdir()
                known.add(new / folder)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as written:
            for block in archive.blocks(member):
                written.write(block)
            written.flush()
            os.fchmod(handle, member.mode if member.part not in FILE_NAMES or _is_public(member) else 0o600)
            if owner is not None:
                os.fchown(handle, *owner)
            os.utime(handle, ns=(member.time_ns, member.time_ns))
            os.fsync(handle)
    for folder in sorted(known, reverse=True):
        if owner is not None:
            os.chown(folder, *owner)
        sync(folder)
    sync(new.parent)


def _sign_everybody_out(file: Path) -> None:
    """Ends the sign-ins of restored accounts: who signed out, or was signed out, after the backup would else be in again."""
    # what is no file of accounts that we know is restored as it is: whoever opens it says so
    with suppress(DatabaseUnavailableError):
        Accounts(AccessFile(file)).end_sign_ins()
        sync(file)


def _is_public(member: Member) -> bool:
    """Whether others may read a single file: the table of synonyms, but no database."""
    return not member.name.endswith(".sqlite3")


def _owner(target: Path) -> tuple[int, int] | None:
    """Whose a restored file is to be where root restores: whose that is which it replaces, or the folder it comes to."""
    if os.geteuid() != 0:
        return None
    state = (target if target.exists() else target.parent).stat()
    return state.st_uid, state.st_gid


# ---------------------------------------------------------------- the renames


def _swap(move: Move) -> None:
    target = Path(move.target)
    if os.path.lexists(target):
        target.rename(move.aside)
    if move.new is not None:
        Path(move.new).rename(target)
    sync(target.parent)


def _take_back(moves: Sequence[Move]) -> None:
    """Puts back what was there before; what was written of the archive goes. May be done twice.

    What somebody else has put into a place meanwhile stays there, and what was moved aside keeps that name.
    """
    for move in reversed(moves):
        target, aside = Path(move.target), Path(move.aside)
        there = os.path.lexists(target)
        if move.new is not None and move.inode and there and target.lstat().st_ino == move.inode:
            target.rename(move.new)
        if os.path.lexists(aside) and not os.path.lexists(target):
            aside.rename(target)
        if target.parent.is_dir():
            sync(target.parent)
    for move in moves:
        if move.new is not None:
            _delete(Path(move.new))


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Journal:
    """What a restore is about to rename, on the disk while it does."""

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_name(f"{path.name}.new")
        self.moves: list[Move] = []

    def write(self, moves: Sequence[Move]) -> None:
        """Notes the moves before the first of them."""
        self._temporary.write_text(json.dumps([asdict(move) for move in moves]), encoding="utf-8")
        sync(self._temporary)
        self._temporary.replace(self._path)
        self.moves = list(moves)
        sync(self._path.parent)

    def read(self) -> list[Move]:
        """The moves of a restore that was cut off."""
        try:
            content: list[dict[str, Any]] = json.loads(self._path.read_bytes())
            return [Move(**entry) for entry in content]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise ArchiveError(
                f"前の復元の記録「{self._path}」を読めません。「.before-」の付いた名前のものを確かめ、必要なら元の名前に戻してから、"
                "この記録を消してください。"
            ) from error

    def done(self) -> None:
        """The moves are done, or taken back."""
        self.moves = []
        self._temporary.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        sync(self._path.parent)


@contextmanager
def _journal(places: Places) -> Iterator[_Journal]:
    folder = _real(places.index).parent
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RestoreRefusedError("別の復元が実行中です。終わってから実行してください。") from error
        journal = _Journal(folder / JOURNAL)
        _take_back(journal.read())
        journal.done()
        try:
            yield journal
        except BaseException as error:
            _take_back(journal.moves)
            journal.done()
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise RestoreRefusedError(
                    "ディスクがいっぱいになったので、戻せませんでした。空けてから、もう一度実行してください。前の内容はそのままです。"
                ) from error
            raise
    finally:
        with suppress(OSError):
            os.close(handle)


def cut_off(places: Places) -> Path | None:
    """The journal of a restore that was cut off and not taken back yet, None where there is none."""
    path = _real(places.index).parent / JOURNAL
    return path if path.exists() else None
