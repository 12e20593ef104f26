"""What the records of a period say: how much was asked, what most, what without an answer, what was found useful.

In: a connection to `qa.usage_file` and the day from which it counts. Out: one record of lists, each in the order in which a
person wants to read it. Everything is counted in SQL over one moment of the file; where rows are grouped, SQLite takes the columns
that are not counted from the row of max().
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """The period in figures; `median_ms` is None where nothing was asked, `first_at` the oldest record's time."""

    questions: int
    answered: int
    by_page: int
    median_ms: float | None
    ratings: int
    useful: int
    first_at: str | None


@dataclass(frozen=True, slots=True)
class Day:
    """A day with questions."""

    day: str
    answered: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class OftenAsked:
    """A question with all its repetitions; `id` is the row of the latest."""

    id: int
    question: str
    pairs: Pairs
    times: int
    unanswered: int
    useful: int
    not_useful: int
    last_at: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that had no answer `times` times; `answered_since` where its latest reply had one."""

    id: int
    question: str
    pairs: Pairs
    times: int
    reason: str | None
    last_at: str
    answered_since: bool


@dataclass(frozen=True, slots=True)
class Rated:
    """A rating with its comment."""

    id: int
    at: str
    question: str
    pairs: Pairs
    useful: bool
    comment: str
    answerable: bool | None
    index_version: str
    citations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quoted:
    """A document by its path, and in how many answers its words stood."""

    path: str
    title: str
    document_id: str
    times: int


@dataclass(frozen=True, slots=True)
class Asking:
    """One question as it was asked."""

    at: str
    question: str
    pairs: Pairs
    way: str
    answerable: bool
    reason: str | None
    index_version: str
    took_ms: float
    citations: int
    top_document: str | None
    filters: str


@dataclass(frozen=True, slots=True)
class UsageReport:
    """All lists of a period; ratings are newest first, those that were not useful before the others."""

    numbers: Numbers
    days: tuple[Day, ...]
    often: tuple[OftenAsked, ...]
    unanswered: tuple[Unanswered, ...]
    rated: tuple[Rated, ...]
    quoted: tuple[Quoted, ...]


EMPTY = UsageReport(Numbers(0, 0, 0, None, 0, 0, None), (), (), (), (), ())


def report(connection: sqlite3.Connection, since: str) -> UsageReport:
    """The lists of everything from `since` (an ISO day; the empty text is the beginning) to now."""
    return UsageReport(
        _numbers(connection, since),
        tuple(
            Day(*row)
            for row in connection.execute(
                "SELECT substr(at, 1, 10), sum(answerable), sum(NOT answerable) FROM questions WHERE at >= ?"
                " GROUP BY 1 ORDER BY 1",
                (since,),
            )
        ),
        tuple(_often(connection, since)),
        tuple(_unanswered(connection, since)),
        tuple(_rated(connection, since)),
        tuple(
            Quoted(*row[:4])
            for row in connection.execute(
                "SELECT d.path, d.title, d.id, count(*), max(q.id) FROM quoted JOIN documents AS d ON d.id = quoted.document"
                " JOIN questions AS q ON q.id = quoted.question WHERE q.at >= ?"
                " GROUP BY d.path ORDER BY count(*) DESC, d.path",
                (since,),
            )
        ),
    )


def asking(connection: sqlite3.Connection, since: str) -> Iterator[Asking]:
    """Every question of the period as it was asked, oldest first."""
    for at, question, state, way, answerable, *rest in connection.execute(
        "SELECT q.at, question, state, way, answerable, reason, index_version, took_ms, citations,"
        " coalesce(d.path, q.top_document), filters FROM questions AS q LEFT JOIN documents AS d ON d.id = q.top_document"
        " WHERE q.at >= ? ORDER BY q.id",
        (since,),
    ):
        yield Asking(at, question, _pairs(state), way, bool(answerable), *rest)


def question_of(connection: sqlite3.Connection, row: int) -> tuple[str, int] | None:
    """The words of a row's question and how many rows are the same, None where there is no such row."""
    found: tuple[str, int] | None = connection.execute(
        "SELECT question, (SELECT count(*) FROM questions AS same WHERE same.key = q.key) FROM questions AS q WHERE id = ?",
        (row,),
    ).fetchone()
    return found


def rating_of(connection: sqlite3.Connection, row: int) -> tuple[str, str] | None:
    """The question and the comment of a rating, None where there is no such row."""
    found: tuple[str, str] | None = connection.execute(
        "SELECT question, comment FROM ratings WHERE id = ?", (row,)
    ).fetchone()
    return found


def _numbers(connection: sqlite3.Connection, since: str) -> Numbers:
    questions, answered, by_page, first = connection.execute(
        "SELECT count(*), coalesce(sum(answerable), 0), coalesce(sum(way = 'page'), 0), min(at) FROM questions WHERE at >= ?",
        (since,),
    ).fetchone()
    ratings, useful = connection.execute(
        "SELECT count(*), coalesce(sum(useful), 0) FROM ratings WHERE at >= ?", (since,)
    ).fetchone()
    middle = [
        row[0]
        for row in connection.execute(
            "SELECT took_ms FROM questions WHERE at >= ? ORDER BY took_ms LIMIT ? OFFSET ?",
            (since, 2 - questions % 2, max(questions - 1, 0) // 2),
        )
    ]
    median = sum(middle) / len(middle) if middle else None
    return Numbers(questions, answered, by_page, median, ratings, useful, first)


def _often(connection: sqlite3.Connection, since: str) -> Iterator[OftenAsked]:
    rated = {
        key: (useful, other)
        for key, useful, other in connection.execute(
            "SELECT key, sum(useful), sum(NOT useful) FROM ratings WHERE at >= ? GROUP BY key", (since,)
        )
    }
    for row, key, question, state, times, unanswered, last in connection.execute(
        "SELECT max(id), key, question, state, count(*), sum(NOT answerable), at FROM questions WHERE at >= ?"
        " GROUP BY key ORDER BY count(*) DESC, max(id) DESC",
        (since,),
    ):
        yield OftenAsked(row, question, _pairs(state), times, unanswered, *rated.get(key, (0, 0)), last)


def _unanswered(connection: sqlite3.Connection, since: str) -> Iterator[Unanswered]:
    latest = "SELECT answerable FROM questions AS later WHERE later.key = q.key ORDER BY id DESC LIMIT 1"
    for row, question, state, times, reason, last, since_then in connection.execute(
        f"SELECT max(id), question, state, count(*), reason, at, ({latest}) AS since_then"  # noqa: S608  # nosec B608  # names of our own tables; values are bound
        " FROM questions AS q WHERE at >= ? AND NOT answerable GROUP BY key ORDER BY since_then, count(*) DESC, max(id) DESC",
        (since,),
    ):
        yield Unanswered(row, question, _pairs(state), times, reason, last, bool(since_then))


def _rated(connection: sqlite3.Connection, since: str) -> Iterator[Rated]:
    for row, at, question, state, useful, comment, answerable, version, citations in connection.execute(
        "SELECT id, at, question, state, useful, comment, answerable, index_version, citations FROM ratings"
        " WHERE at >= ? ORDER BY useful, at DESC, id DESC",
        (since,),
    ):
        shown = None if answerable is None else bool(answerable)
        yield Rated(
            row, at, question, _pairs(state), bool(useful), comment, shown, version,
            tuple(json.loads(citations)),
        )  # fmt: skip


def _pairs(state: str) -> Pairs:
    return tuple((name, text) for name, text in json.loads(state))
