"""An SQLite database file of ours on this machine: what is asked (`qa.usage_file`), and who may do what (`access.file`).

In: a path, its tables, and what it is called. Out: connections that are set up alike, and one exception with a Japanese sentence for
whatever keeps them from being made or used. Every use opens the file anew: one that was moved, deleted, locked or mended while the
server runs is met as it is now. Nothing is known of what stands in the tables.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAX_BYTES = 256 * 2**20
"""Of a file, unless it says another size."""
BUSY_S = 2.0
"""How long a connection waits for another one that writes; ours write for milliseconds."""
_MADE_S = 0.5
"""How long a new file may stand there empty."""
_PAGE_BYTES = 4096

Kind = Literal["busy", "closed", "full", "damaged", "newer", "foreign"]


class DatabaseUnavailableError(OSError):
    """The file cannot be used now; the message is a Japanese sentence, `kind` what it is."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


@dataclass(frozen=True, slots=True)
class Kept:
    """What a file keeps: its `name` and the `option` that says where it is, for people; its `tables` (SQL) and their version.

    `application` is the file's mark: a file of another program that is named by mistake is left alone. Where `durable`, what was
    written is on the disk before the writer goes on; else a power cut may take the last seconds. `if_full` and `if_damaged` say what to do then.
    """

    name: str
    option: str
    tables: str
    schema: int
    application: int
    if_full: str
    if_damaged: str
    durable: bool = False


class DatabaseFile:
    """A path, and the way to it."""

    def __init__(self, path: Path, kept: Kept, *, max_bytes: int = MAX_BYTES) -> None:
        self.path, self.max_bytes, self._kept = path, max_bytes, kept

    @property
    def exists(self) -> bool:
        """Whether there is such a file."""
        return self.path.is_file()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment of the file, also where it may only be read; raises DatabaseUnavailableError."""
        with self._said(), closing(self._readable()) as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, done when the block ends and undone when it fails; raises DatabaseUnavailableError."""
        with self._said(), closing(self._connected()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:  # SQLite undoes it by itself where there is no more room
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def shrink(self) -> None:
        """Gives what was deleted back to the disk, where its words are nowhere to be found; raises DatabaseUnavailableError."""
        with self._said(), closing(self._connected()) as connection:
            connection.executescript("PRAGMA incremental_vacuum")  # execute would take one page only
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def bytes(self) -> int:
        """The size of the file with what lies beside it."""
        return sum(path.stat().st_size for path in self._paths() if path.exists())

    def set_aside(self) -> Path:
        """Gives a file that cannot be used another name, so that a new one can begin; raises DatabaseUnavailableError."""
        aside = self.path.with_name(f"{self.path.name}.{time.strftime('%Y%m%d%H%M%S')}.old")
        with self._said():
            for path in self._paths():
                if path.exists():
                    path.rename(aside.with_name(aside.name + path.name.removeprefix(self.path.name)))
        return aside

    def _paths(self) -> list[Path]:
        return [self.path.with_name(self.path.name + end) for end in ("", "-wal", "-shm")]

    # ---- connections

    def _readable(self) -> sqlite3.Connection:
        try:
            with self._said():
                return self._connected()
        except DatabaseUnavailableError as error:
            if error.kind != "closed" or not os.access(self.path, os.R_OK):
                raise
        # beside a file in WAL mode readers write too, unless they are told that nobody changes it
        address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        return sqlite3.connect(address, uri=True, isolation_level=None)

    def _connected(self) -> sqlite3.Connection:
        self._refuse_emptied()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # for the service's own account only
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._kept.durable else 'NORMAL'}")
            connection.execute("PRAGMA trusted_schema = OFF")
            self._checked(connection)
            connection.execute(f"PRAGMA max_page_count = {self.max_bytes // _PAGE_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_emptied(self) -> None:
        """Where it is durable, a file that was cut to nothing is not taken for a new one: what it kept would be gone without a word."""
        until = time.monotonic() + _MADE_S
        while self._kept.durable and self.path.is_file() and not self.path.stat().st_size:
            if time.monotonic() > until:
                raise DatabaseUnavailableError(*self._words(sqlite3.SQLITE_CORRUPT, "中身が空になっています"))
            time.sleep(0.01)  # another may be making it

    def _checked(self, connection: sqlite3.Connection) -> None:
        """Makes the tables in an empty file; raises DatabaseUnavailableError for a file that is not ours or is newer."""
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            # outside a transaction, and before there is a table
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("BEGIN IMMEDIATE")  # another may be making them
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    connection.execute("ROLLBACK")
                    raise self._foreign()
                for statement in self._kept.tables.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {self._kept.application}")
                connection.execute(f"PRAGMA user_version = {self._kept.schema}")
                version = self._kept.schema
            connection.execute("COMMIT")
            self._to_wal(connection)
        if connection.execute("PRAGMA application_id").fetchone()[0] != self._kept.application:
            raise self._foreign()
        if version != self._kept.schema:
            raise DatabaseUnavailableError(
                "newer",
                f"{self._kept.name}「{self.path}」は、このソフトウェアより新しい版で作られています（形式 {version}、"
                f"読めるのは {self._kept.schema}）。新しい版のソフトウェアを使うか、このファイルを別の名前にしてください。",
            )

    @staticmethod
    def _to_wal(connection: sqlite3.Connection) -> None:
        """Lets readers and a writer be at work beside each other from now on; SQLite does not wait here for who reads or writes just now."""
        until = time.monotonic() + BUSY_S
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in {
                    sqlite3.SQLITE_BUSY,
                    sqlite3.SQLITE_LOCKED,
                }
                if not busy or time.monotonic() > until:
                    raise
            time.sleep(0.005)

    def _foreign(self) -> DatabaseUnavailableError:
        return DatabaseUnavailableError(
            "foreign",
            f"「{self.path}」は{self._kept.name}ではありません。{self._kept.option}に別のファイル名を指定してください。",
        )

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Says in one kind of exception what the system or SQLite says."""
        try:
            yield
        except DatabaseUnavailableError:
            raise
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise DatabaseUnavailableError(*self._words(code, str(error))) from error
        except OSError as error:
            raise DatabaseUnavailableError(
                *self._words(sqlite3.SQLITE_CANTOPEN, str(error.strerror))
            ) from error

    def _words(self, code: int, detail: str) -> tuple[Kind, str]:
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return "busy", f"{self._kept.name}「{self.path}」を、ほかのプログラムが使っています（{detail}）。"
        if code == sqlite3.SQLITE_FULL:
            return (
                "full",
                f"{self._kept.name}「{self.path}」を書く場所がありません（{detail}）。{self._kept.if_full}",
            )
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return (
                "damaged",
                f"{self._kept.name}「{self.path}」が壊れています（{detail}）。{self._kept.if_damaged}",
            )
        return (
            "closed",
            f"{self._kept.name}「{self.path}」を開けないか、書き込めません（{detail}）。フォルダーの書き込みの許可とディスクを確かめてください。",
        )
