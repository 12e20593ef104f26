"""Labels: which groups may see a document, by where its file stands in the documents folder.

In: paths, as the index has them (relative, with `/`). Out: the groups of the nearest label: that of the file itself, else that of the
folder it is in, else that of the folder around that. What has no label, everybody sees who may read at all. A label stays when a
file is replaced: it belongs to the place, not to the bytes.
"""

from __future__ import annotations

import threading
import time
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import PurePosixPath

from access.file import AccessFile
from access.people import Label, group_key, group_names
from database import DatabaseUnavailableError

FRESH_S = 1.0
"""For how long labels are used without looking again: what the command line changes takes effect within it."""
MAX_PATH_CHARS = 1000


class WrongPathError(ValueError):
    """A path that no file of the documents folder can have; the message is a Japanese sentence."""


class Labels:
    """The labels of a file; where it cannot be read, nothing is shown (DatabaseUnavailableError)."""

    def __init__(self, file: AccessFile, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back."""
        self._file, self._clock = file, clock
        self._known: Table | None = None
        self._looked = float("-inf")
        self._seen = file.exists
        self._lock = threading.Lock()

    def table(self) -> Table:
        """The labels as they are now (FRESH_S ago at the earliest)."""
        known = self._known
        if known is not None and self._clock() < self._looked + FRESH_S:
            return known
        with self._lock:
            now = self._clock()
            if self._known is None or now >= self._looked + FRESH_S:
                read = self._read()
                if self._known is None or read != self._known:
                    self._known = read
                self._looked = now
            return self._known

    def set(self, path: str, groups: Collection[str]) -> None:
        """Lets only these groups see a file, or all in a folder; none are administrators only.

        Raises WrongPathError, WrongNameError.
        """
        place, own = label_path(path), group_names(groups)
        with self._file.writing() as connection:
            connection.execute("DELETE FROM labels WHERE path = ?", (place,))
            connection.execute("INSERT INTO labels VALUES (?)", (place,))
            connection.executemany(
                "INSERT INTO labelled VALUES (?, ?)", [(place, group) for group in own.values()]
            )
        self._seen, self._looked = True, float("-inf")

    def remove(self, path: str) -> bool:
        """Takes the label of a path away; whether there was one."""
        with self._file.writing() as connection:
            gone = connection.execute("DELETE FROM labels WHERE path = ?", (label_path(path),)).rowcount
        self._looked = float("-inf")
        return bool(gone)

    def _read(self) -> Table:
        if not self._file.exists:
            if self._seen:
                raise DatabaseUnavailableError(
                    "closed",
                    f"アカウントと閲覧の範囲の記録「{self._file.path}」が見つかりません。"
                    "控え（バックアップ）から戻すか、閲覧の範囲を決め直してから、動かし直してください。",
                )
            return Table({})
        with self._file.reading() as connection:
            labels: dict[str, set[str]] = {
                path: set() for (path,) in connection.execute("SELECT path FROM labels")
            }
            spelt: list[str] = []
            for path, group in connection.execute("SELECT path, visible_to FROM labelled"):
                labels[path].add(group_key(group))
                spelt.append(group)
        self._seen = True
        return Table({path: frozenset(groups) for path, groups in labels.items()}, group_names(sorted(spelt)))


class Table:
    """All labels of one moment, by path."""

    def __init__(self, labels: Mapping[str, Label], names: Mapping[str, str] | None = None) -> None:
        """`names` are how groups are spelt, by their keys."""
        self.labels, self.names = dict(sorted(labels.items())), dict(names or {})
        self.groups: frozenset[str] = frozenset().union(*self.labels.values())
        """Every group that some label names."""
        self._of: dict[str, Label | None] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and (self.labels, self.names) == (other.labels, other.names)

    def __hash__(self) -> int:
        return hash(tuple(self.labels.items()))

    def __bool__(self) -> bool:
        return bool(self.labels)

    def of(self, path: str) -> Label | None:
        """Who may see a file: the label nearest to it, None where there is none."""
        if path not in self._of:
            place = PurePosixPath(_composed(path))
            self._of[path] = next(
                (
                    self.labels[str(around)]
                    for around in (place, *place.parents)
                    if str(around) in self.labels
                ),
                None,
            )
        return self._of[path]

    def words(self, label: Label | None) -> str:
        """Who may see something, in words; empty where everybody may."""
        if label is None:
            return ""
        return "・".join(sorted(self.names.get(group, group) for group in label)) or "管理者だけ"

    def own(self, path: str) -> Label | None:
        """The label of a path itself."""
        return self.labels.get(label_path(path))


def label_path(path: str) -> str:
    """The form in which a labelled path is kept: relative, without 「./」 and a last 「/」; 「.」 is the whole folder.

    Raises WrongPathError.
    """
    place = PurePosixPath(_composed(path.strip()))
    if (
        not path.strip()
        or len(path) > MAX_PATH_CHARS
        or place.is_absolute()
        or ".." in place.parts
        or any(unicodedata.category(c) in {"Cc", "Cs"} for c in path)
    ):
        raise WrongPathError(
            f"「{path[:80]!r}」は指定できません。資料のフォルダーから見た場所（例：人事/手引き.docx、人事）で指定してください。"
        )
    return str(place)


def matching(path: str, files: Iterable[str]) -> list[str]:
    """The files that a label of a path is over, itself or the folder around them."""
    place = PurePosixPath(label_path(path))
    return [file for file in files if place in {(own := PurePosixPath(_composed(file))), *own.parents}]


def _composed(path: str) -> str:
    """Some systems keep 「が」 as 「か」 and its mark."""
    return unicodedata.normalize("NFC", path)
