"""The file in which it is kept what is asked and how answers are rated: an SQLite database of one machine.

In: a path. Out: connections that are set up alike, and one exception with a Japanese sentence for whatever keeps them from
being made or used. Every use opens the file anew: one that was moved, deleted, locked or mended while the server runs is met as it
is now. Nothing is known of questions here but the names of their columns.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

MAX_BYTES = 256 * 2**20
"""Of the file: 180 days of 2,000 questions a day."""
BUSY_S = 2.0
"""How long a connection waits for another one that writes; ours write for milliseconds."""
SCHEMA = 1
APPLICATION = 0x44585141
"""The file's mark, 「DXQA」: a file of another program that is named by mistake is left alone."""
_PAGE_BYTES = 4096

Kind = Literal["busy", "closed", "full", "damaged", "newer", "foreign"]

_TABLES = """
CREATE TABLE questions (
  id INTEGER PRIMARY KEY,
  at TEXT NOT NULL,              -- local time to the minute, 2026-11-21T09:05
  key TEXT NOT NULL,             -- what counts as the same question
  question TEXT NOT NULL,        -- as asked, masked
  state TEXT NOT NULL,           -- JSON: the pairs of the page's address, masked
  way TEXT NOT NULL,             -- page or api
  answerable INTEGER NOT NULL,
  reason TEXT,
  index_version TEXT NOT NULL,
  took_ms REAL NOT NULL,
  citations INTEGER NOT NULL,
  top_document TEXT,
  filters TEXT NOT NULL          -- names of the conditions that were applied, with commas
);
CREATE INDEX questions_at ON questions (at);
CREATE INDEX questions_key ON questions (key, at);
CREATE TABLE documents (id TEXT PRIMARY KEY, title TEXT NOT NULL, path TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE quoted (          -- documents whose words stood in an answer
  question INTEGER NOT NULL REFERENCES questions (id) ON DELETE CASCADE,
  document TEXT NOT NULL,
  PRIMARY KEY (question, document)
) WITHOUT ROWID;
CREATE TABLE ratings (
  id INTEGER PRIMARY KEY,
  ticket TEXT NOT NULL UNIQUE,   -- of the page that was shown: who rates it twice has changed his mind
  at TEXT NOT NULL,
  key TEXT NOT NULL,
  question TEXT NOT NULL,
  state TEXT NOT NULL,
  useful INTEGER NOT NULL,
  comment TEXT NOT NULL,
  answerable INTEGER,
  index_version TEXT NOT NULL,
  citations TEXT NOT NULL        -- JSON: ids of the passages that were shown
);
CREATE INDEX ratings_at ON ratings (at);
CREATE INDEX ratings_key ON ratings (key);
"""


class UsageUnavailableError(OSError):
    """The file cannot be used now; the message is a Japanese sentence, `kind` what it is."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


class UsageFile:
    """A path, and the way to it."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path, self.max_bytes = path, max_bytes

    @property
    def exists(self) -> bool:
        """Whether there is such a file."""
        return self.path.is_file()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment of the file, also where it may only be read; raises UsageUnavailableError."""
        with self._said(), closing(self._readable()) as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, done when the block ends and undone when it fails; raises UsageUnavailableError."""
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
        """Gives what was deleted back to the disk, where its words are nowhere to be found; raises UsageUnavailableError."""
        with self._said(), closing(self._connected()) as connection:
            connection.executescript("PRAGMA incremental_vacuum")  # execute would take one page only
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def bytes(self) -> int:
        """The size of the file with what lies beside it."""
        return sum(path.stat().st_size for path in self._paths() if path.exists())

    def set_aside(self) -> Path:
        """Gives a file that cannot be used another name, so that a new one can begin; raises UsageUnavailableError."""
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
        except UsageUnavailableError as error:
            if error.kind != "closed" or not os.access(self.path, os.R_OK):
                raise
        # beside a file in WAL mode readers write too, unless they are told that nobody changes it
        address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        return sqlite3.connect(address, uri=True, isolation_level=None)

    def _connected(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # for the service's own account only
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA trusted_schema = OFF")
            self._checked(connection)
            connection.execute(f"PRAGMA max_page_count = {self.max_bytes // _PAGE_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _checked(self, connection: sqlite3.Connection) -> None:
        """Makes the tables in an empty file; raises UsageUnavailableError for a file that is not ours or is newer."""
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
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
                version = SCHEMA
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise self._foreign()
        if version != SCHEMA:
            raise UsageUnavailableError(
                "newer",
                f"利用の記録「{self.path}」は、このソフトウェアより新しい版で作られています（形式 {version}、"
                f"読めるのは {SCHEMA}）。新しい版のソフトウェアを使うか、記録のファイルを別の名前にしてください。",
            )

    def _foreign(self) -> UsageUnavailableError:
        return UsageUnavailableError(
            "foreign",
            f"「{self.path}」は利用の記録ではありません。--usage（DXQA_USAGE）に別のファイル名を指定してください。",
        )

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Says in one kind of exception what the system or SQLite says."""
        try:
            yield
        except UsageUnavailableError:
            raise
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise UsageUnavailableError(*self._words(code, str(error))) from error
        except OSError as error:
            raise UsageUnavailableError(*self._words(sqlite3.SQLITE_CANTOPEN, str(error.strerror))) from error

    def _words(self, code: int, detail: str) -> tuple[Kind, str]:
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return "busy", f"利用の記録「{self.path}」を、ほかのプログラムが使っています（{detail}）。"
        if code == sqlite3.SQLITE_FULL:
            return (
                "full",
                f"利用の記録「{self.path}」を書く場所がありません（{detail}）。ディスクの空きを確かめるか、古い記録を消してください。",
            )
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return (
                "damaged",
                f"利用の記録「{self.path}」が壊れています（{detail}）。控えから戻すか、別の名前にして新しく始めてください。",
            )
        return (
            "closed",
            f"利用の記録「{self.path}」を開けないか、書き込めません（{detail}）。フォルダーの書き込みの許可とディスクを確かめてください。",
        )
