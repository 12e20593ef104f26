"""What is asked and how answers are rated, kept so that documents and answers can be mended.

In: replies as they are given, ratings as they come in. Out: rows of `qa.usage_file`. Nothing of who asked: no address, no
browser, no name. A question waits in memory for a thread that writes it, so that no answer waits for a disk; a rating is
written at once, because who gives it is told whether it was kept. Whatever is wrong with the file disturbs neither.
"""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Literal

from database import DatabaseUnavailableError
from qa.answer import AppliedFilters, Reply
from qa.masking import cleaned, folded, masked
from qa.usage_file import UsageFile

_log = logging.getLogger("dxqa.usage")

DEFAULT_DAYS = 180
"""Half a year: long enough to see what a season's questions are, short enough to say so on the page."""
MAX_DAYS = 3650
REPEAT_MINUTES = 10
"""The same question within this time counts once: a page that is loaded again, a way back, a link that is passed on."""
WAITING_MOST = 1000
"""Questions that wait to be written, 5 MB at most; beyond that the oldest are lost, and the administrator is told how many."""
GATHER_S = 1.0
"""How long a question waits for others to be written with it: to open and close the file costs 2.4 ms, a row 0.05 ms."""
RETRY_S = 30.0
RATINGS_A_MINUTE = 30
"""Of everybody together, since nobody is told from anybody: 500 people who rate ten answers a day make 10 in a busy minute."""
MAX_COMMENT_CHARS = 500
MAX_STATE_CHARS = 4000
"""Of a page's address that is kept; a longer one is kept without its conditions and earlier questions."""
_FULL_SHARE, _OLDEST_SHARE = 0.9, 0.1
_BATCH = 100  # questions of a transaction: 2 MB at most, far less than is free when the oldest go
_DAY_S = 24 * 3600.0
LEAP = timedelta(days=30)
"""A clock that stands so much later than the newest record, or than it did, may be a wrong one: before anything is taken for too
old by it, a day goes by in which it can be set right."""

Pairs = Sequence[tuple[str, str]]
Way = Literal["page", "api", "mcp"]


class TooManyRatingsError(RuntimeError):
    """More ratings came in a minute than are taken."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was answered; `documents` are (id, title, path) of what the answer quotes, `pairs` the page's address."""

    at: str
    question: str
    pairs: tuple[tuple[str, str], ...]
    way: Way
    answerable: bool
    reason: str | None
    index_version: str
    took_ms: float
    citations: int
    top_document: str | None
    documents: tuple[tuple[str, str, str], ...]
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rating:
    """What somebody thinks of an answer; `citations` are ids of the passages that were shown.

    `ticket` is that of the page on which it was shown: a second rating with it takes the place of the first.
    """

    question: str
    pairs: tuple[tuple[str, str], ...]
    useful: bool
    comment: str = ""
    answerable: bool | None = None
    index_version: str = ""
    citations: tuple[str, ...] = ()
    ticket: str = ""


def new_ticket() -> str:
    """A name that no other page has and that says nothing of anybody."""
    return secrets.token_urlsafe(12)


def key_of(question: str, pairs: Pairs) -> str:
    """What makes two questions one: their masked words however they were typed, and those of the questions before them."""
    texts = [text for name, text in pairs if name == "h"] + [question]
    return "\n".join(folded(masked(cleaned(text))) for text in texts)


def state_of(question: str, pairs: Pairs) -> str:
    """The address of a page to keep: JSON of its pairs, masked; without the rest where it is too long."""
    kept = json.dumps([[name, masked(cleaned(text))] for name, text in pairs], ensure_ascii=False)
    if len(kept) > MAX_STATE_CHARS:
        kept = json.dumps([["q", masked(cleaned(question))]], ensure_ascii=False)
    return kept


class Usage:
    """Records what is asked for `days` days; with 0 days it records nothing and makes no file."""

    def __init__(
        self, file: UsageFile | Path | None, days: int, *, clock: Callable[[], datetime] = datetime.now
    ) -> None:
        self.file = UsageFile(file) if isinstance(file, Path) else file
        self.days = days if file is not None else 0
        self.problem: DatabaseUnavailableError | None = None
        self.lost = 0  # questions that could not be kept
        self._clock = clock
        self._waiting: deque[Asked] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = self._hurry = False
        self._writing = threading.Lock()
        self._rated: deque[float] = deque()
        self._read: tuple[datetime, float] | None = None
        """What the clock said when something was last to be removed, and what a clock that nobody sets said then (s)."""

    @property
    def on(self) -> bool:
        """Whether anything is recorded."""
        return self.days > 0

    def today(self) -> date:
        """The day by the clock that records are dated by."""
        return self._clock().date()

    @staticmethod
    def ticket() -> str:
        """A name for the page that is being shown."""
        return new_ticket()

    # ---- questions

    def record(self, reply: Reply, pairs: Pairs, way: Way) -> None:
        """Keeps a question that was answered; returns at once, and never fails."""
        if not self.on:
            return
        row = self._row(reply, pairs, way)
        with self._changed:
            if len(self._waiting) >= WAITING_MOST:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(row)
            self._start()
            self._changed.notify_all()

    def _row(self, reply: Reply, pairs: Pairs, way: Way) -> Asked:
        quoted = {number for sentence in reply.answer.sentences for number in sentence.citations}
        documents = {
            c.document_id: (c.document_id, c.document_title, c.path)
            for c in reply.citations
            if reply.answerable and c.id in quoted
        }
        return Asked(
            at=self._now(),
            question=reply.question,
            pairs=tuple(pairs),
            way=way,
            answerable=reply.answerable,
            reason=reply.reason,
            index_version=reply.index_version,
            took_ms=reply.took_ms,
            citations=len(reply.citations),
            top_document=reply.citations[0].document_id if reply.citations else None,
            documents=tuple(documents.values()),
            filters=tuple(
                field.name
                for field in fields(AppliedFilters)
                if field.name != "from_question" and getattr(reply.filters, field.name) not in ((), None)
            ),
        )

    def _now(self, *, minus: timedelta = timedelta()) -> str:
        return (self._clock() - minus).isoformat(timespec="minutes")

    # ---- the thread that writes

    def start(self) -> None:
        """Begins to write and to remove what is too old, where anything is recorded."""
        if self.on:
            with self._changed:
                self._start()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._closing = False
            self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Writes what waits, and ends; what cannot be written now is lost and said in the log."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        if self._waiting:
            _log.warning("%d questions could not be recorded", len(self._waiting))

    def flush(self, timeout_s: float = 2.0) -> None:
        """Waits until nothing waits, unless the file is in trouble."""
        with self._changed:
            self._hurry = bool(self._waiting)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting or self.problem is not None, timeout_s)

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                due = time.monotonic() + (_DAY_S if self._tried(self.purge) else RETRY_S)
            with self._changed:
                self._pause(due)
                batch, closing = list(islice(self._waiting, _BATCH)), self._closing
            if batch and self._tried(lambda rows=batch: self._write(rows)):  # type: ignore[misc]
                with self._changed:
                    for row in batch:
                        if self._waiting and self._waiting[0] is row:  # else it has been dropped meanwhile
                            self._waiting.popleft()
            with self._changed:
                self._hurry = self._hurry and bool(self._waiting)
                self._changed.notify_all()
                if closing and (self.problem is not None or not self._waiting):
                    self._thread = None
                    return

    def _pause(self, due: float) -> None:
        """Waits until there is something to write and what comes with it has come too, or something is to be tried again."""
        if self.problem is None:
            self._changed.wait_for(lambda: self._closing or self._waiting, max(due - time.monotonic(), 0.0))
            self._changed.wait_for(
                lambda: self._closing or self._hurry or not 0 < len(self._waiting) < _BATCH, GATHER_S
            )
        else:
            self._changed.wait_for(lambda: self._closing or self.problem is None, RETRY_S)

    def _tried(self, work: Callable[[], object]) -> bool:
        """Whether something was done with the file; what is wrong with it is kept for the administrator and logged once."""
        try:
            work()
        except DatabaseUnavailableError as error:
            self._noticed(error)
            return False
        except Exception:  # what cannot be written must not keep what comes after it from being written
            _log.exception("usage could not be recorded")
            return True
        self._mended()
        return True

    def _mended(self) -> None:
        if self.problem is not None:
            _log.info("usage is recorded again")
        with self._changed:
            self.problem = None
            self._changed.notify_all()

    def _noticed(self, error: DatabaseUnavailableError) -> None:
        if self.problem is None or str(self.problem) != str(error):
            _log.warning("%s", error)
        self.problem = error

    def _write(self, rows: Sequence[Asked]) -> None:
        assert self.file is not None
        with self._writing, self.file.writing() as connection:
            self._bounded(connection)
            for row in rows:
                self._insert(connection, row)

    def _insert(self, connection: sqlite3.Connection, row: Asked) -> None:
        key, state = key_of(row.question, row.pairs), state_of(row.question, row.pairs)
        earliest = (datetime.fromisoformat(row.at) - timedelta(minutes=REPEAT_MINUTES)).isoformat(
            timespec="minutes"
        )
        repeated = connection.execute(
            "SELECT 1 FROM questions WHERE key = ? AND at > ? AND state = ?", (key, earliest, state)
        ).fetchone()
        if repeated:
            return
        added = connection.execute(
            "INSERT INTO questions (at, key, question, state, way, answerable, reason, index_version, took_ms,"
            " citations, top_document, filters) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.at,
                key,
                masked(cleaned(row.question)),
                state,
                row.way,
                row.answerable,
                row.reason,
                row.index_version,
                row.took_ms,
                row.citations,
                row.top_document,
                ",".join(row.filters),
            ),
        ).lastrowid
        for document in row.documents:
            connection.execute(
                "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title, path = excluded.path",
                [cleaned(text) for text in document],
            )
            connection.execute("INSERT OR IGNORE INTO quoted VALUES (?, ?)", (added, document[0]))

    def _bounded(self, connection: sqlite3.Connection) -> None:
        """Lets the oldest tenth go early where the file is nearly as large as it may be."""
        assert self.file is not None
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size < self.file.max_bytes * _FULL_SHARE:
            return
        for table in ("questions", "ratings"):
            count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  # nosec B608  # names of our own tables; values are bound
            connection.execute(
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT ?)",  # noqa: S608  # nosec B608  # names of our own tables; values are bound
                (int(count * _OLDEST_SHARE) + 1,),
            )
        _log.warning("the usage file is full: its oldest rows were removed early (%s)", self.file.path)

    # ---- ratings

    def rate(self, rating: Rating) -> str:
        """The ticket under which a rating was kept; raises DatabaseUnavailableError or TooManyRatingsError."""
        if not self.on or self.file is None:
            raise DatabaseUnavailableError("closed", "このサーバーでは、質問と評価を記録していません。")
        with self._changed:
            now = time.monotonic()
            while self._rated and self._rated[0] <= now - 60:
                self._rated.popleft()
            if len(self._rated) >= RATINGS_A_MINUTE:
                raise TooManyRatingsError(
                    "評価が続けて届いているため、いまは受け付けられません。1分ほど待ってからお試しください。"
                )
            self._rated.append(now)
        try:
            ticket = self._rate(self.file, rating)
        except DatabaseUnavailableError as error:
            self._noticed(error)
            raise
        self._mended()
        return ticket

    def _rate(self, file: UsageFile, rating: Rating) -> str:
        key = key_of(rating.question, rating.pairs)
        with self._writing, file.writing() as connection:
            self._bounded(connection)
            ticket = rating.ticket or new_ticket()
            other = connection.execute("SELECT key FROM ratings WHERE ticket = ?", (ticket,)).fetchone()
            if other is not None and other[0] != key:
                ticket = new_ticket()
            connection.execute(
                "INSERT INTO ratings (ticket, at, key, question, state, useful, comment, answerable, index_version, citations)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ticket) DO UPDATE SET at = excluded.at,"
                " useful = excluded.useful, comment = excluded.comment",
                (
                    ticket,
                    self._now(),
                    key,
                    masked(cleaned(rating.question)),
                    state_of(rating.question, rating.pairs),
                    rating.useful,
                    masked(cleaned(rating.comment)),
                    rating.answerable,
                    rating.index_version,
                    json.dumps(rating.citations),
                ),
            )
        return ticket

    # ---- removing

    def purge(self) -> None:
        """Removes what is older than is kept, unless the clock has just leapt ahead; raises DatabaseUnavailableError."""
        if self.file is None or not self.on:
            return
        if self._leapt():
            _log.warning(
                "the clock leapt ahead to %s: records are looked through tomorrow, should it be right",
                self._now(),
            )
            return
        before = (self._now(minus=timedelta(days=self.days)),)
        with self._removing() as connection:
            for table in ("questions", "ratings"):
                connection.execute(f"DELETE FROM {table} WHERE at < ?", before)  # noqa: S608  # nosec B608  # names of our own tables; values are bound

    def _leapt(self) -> bool:
        """Whether the clock stands far later than the newest record (of the first look), or than the time that has gone by."""
        assert self.file is not None
        now, passed = self._clock(), time.monotonic()
        if self._read is not None:
            leap = now - self._read[0] - timedelta(seconds=passed - self._read[1])
        else:
            with self.file.writing() as connection:
                newest = connection.execute(
                    "SELECT max(at) FROM (SELECT at FROM questions UNION ALL SELECT at FROM ratings)"
                ).fetchone()[0]
            leap = now - datetime.fromisoformat(newest) if newest else timedelta()
        self._read = now, passed
        return leap > LEAP

    def remove_question(self, row: int) -> bool:
        """Whether the question of a row was there; it is removed with all its repetitions and ratings."""
        with self._removing() as connection:
            found = connection.execute("SELECT key FROM questions WHERE id = ?", (row,)).fetchone()
            for table in ("questions", "ratings"):
                connection.execute(f"DELETE FROM {table} WHERE key = ?", found or (None,))  # noqa: S608  # nosec B608  # names of our own tables; values are bound
        return found is not None

    def remove_rating(self, row: int) -> bool:
        """Whether the rating of a row was there; it is removed with its comment."""
        with self._removing() as connection:
            return connection.execute("DELETE FROM ratings WHERE id = ?", (row,)).rowcount > 0

    def clear(self) -> None:
        """Removes everything."""
        with self._changed:
            self._waiting.clear()
        with self._removing() as connection:
            for table in ("questions", "ratings", "documents"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608  # nosec B608  # names of our own tables; values are bound

    def set_aside(self) -> str:
        """The new name of a file that cannot be used; a new one begins."""
        assert self.file is not None
        with self._writing:
            aside = self.file.set_aside()
        self._mended()
        return aside.name

    @contextmanager
    def _removing(self) -> Iterator[sqlite3.Connection]:
        """A transaction after which nothing is left of what was deleted in it."""
        assert self.file is not None
        with self._writing:
            with self.file.writing() as connection:
                yield connection
                connection.execute("DELETE FROM documents WHERE id NOT IN (SELECT document FROM quoted)")
            self.file.shrink()
