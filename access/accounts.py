"""Accounts of this server: made on the command line, recognised by a password, then by a secret that a browser or a program shows.

In: names, passwords, secrets. Out: `Person`s. Of a password its Argon2id hash is kept, of a secret (256 bits by chance) its SHA-256.
Nothing is known of requests here.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from access import passwords
from access.file import AccessFile
from access.people import Person, WrongNameError, account_key, group_keys, group_names

BROWSER_S = 12 * 3600
"""A working day: who signs in in the morning is not asked again before the evening."""
DAY_S = 24 * 3600
MAX_DAYS = 3660
"""Of a program's secret."""
PROGRAM_MARK = "dxqa_"
"""What a program's secret begins with, so that people and scanners know one when they see it."""
MAX_SECRETS = 50
"""Sign-ins of an account that are good at the same time; the oldest one ends then."""

Kind = Literal["browser", "program"]


class NoAccountError(LookupError):
    """There is no such account; the message is a Japanese sentence."""


class TakenError(ValueError):
    """There is such an account already; the message is a Japanese sentence."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is listed, its groups as they are spelt; times are UTC."""

    name: str
    groups: tuple[str, ...]
    administrator: bool
    disabled: bool
    created_at: str
    password_at: str


@dataclass(frozen=True, slots=True)
class Program:
    """A program's secret as it is listed: whose, what for, and until when (UTC); `mark` is the beginning of its digest."""

    mark: str
    account: str
    note: str
    ends_at: str


class Accounts:
    """The accounts of a file; all methods raise DatabaseUnavailableError where it cannot be used."""

    def __init__(self, file: AccessFile, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since 1970."""
        self._file, self._clock = file, clock

    # ---- looking

    @property
    def is_there(self) -> bool:
        """Whether accounts were ever made."""
        return self._file.exists

    def all(self) -> list[Account]:
        """Every account, by name."""
        if not self._file.exists:
            return []
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT id, name, administrator, disabled, created_at, password_at FROM accounts ORDER BY name"
            ).fetchall()
            return [
                Account(name, tuple(sorted(_groups(connection, row))), bool(admin), bool(off), made, changed)
                for row, name, admin, off, made, changed in rows
            ]

    def has_administrator(self) -> bool:
        """Whether somebody can sign in as an administrator."""
        if not self._file.exists:
            return False
        with self._file.reading() as connection:
            return bool(
                connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM accounts WHERE administrator AND NOT disabled)"
                ).fetchone()[0]
            )

    # ---- making and changing

    def add(
        self, name: str, password: str, *, groups: Collection[str] = (), administrator: bool = False
    ) -> str:
        """Makes an account and gives its name; raises WrongNameError, WeakPasswordError, TakenError."""
        key, own = account_key(name), group_names(groups)
        kept, now = passwords.hashed(passwords.checked(password, key)), self._now()
        with self._file.writing() as connection:
            try:
                row = connection.execute(
                    "INSERT INTO accounts (name, password, administrator, created_at, password_at) VALUES (?, ?, ?, ?, ?)",
                    (key, kept, administrator, now, now),
                ).lastrowid
            except sqlite3.IntegrityError as error:
                raise TakenError(f"アカウント「{key}」は、すでにあります。") from error
            connection.executemany(
                "INSERT INTO members VALUES (?, ?)", [(row, group) for group in own.values()]
            )
        return key

    def set_password(self, name: str, password: str) -> None:
        """Gives an account another password; whoever is signed in with the old one is signed out."""
        key = account_key(name)
        kept = passwords.hashed(passwords.checked(password, key))
        with self._file.writing() as connection:
            row = _row(connection, key)
            connection.execute(
                "UPDATE accounts SET password = ?, password_at = ? WHERE id = ?", (kept, self._now(), row)
            )
            connection.execute("DELETE FROM secrets WHERE account = ? AND kind = 'browser'", (row,))

    def set_groups(self, name: str, groups: Collection[str]) -> None:
        """Puts an account into these groups and no others, at once also where it is signed in."""
        key, own = account_key(name), group_names(groups)
        with self._file.writing() as connection:
            row = _row(connection, key)
            connection.execute("DELETE FROM members WHERE account = ?", (row,))
            connection.executemany(
                "INSERT INTO members VALUES (?, ?)", [(row, group) for group in own.values()]
            )

    def set_administrator(self, name: str, administrator: bool) -> None:
        """Says whether an account may change documents and the index."""
        with self._file.writing() as connection:
            row = _row(connection, account_key(name))
            connection.execute("UPDATE accounts SET administrator = ? WHERE id = ?", (administrator, row))

    def set_disabled(self, name: str, disabled: bool) -> None:
        """Locks an account, which ends all its sign-ins and secrets, or opens it again."""
        with self._file.writing() as connection:
            row = _row(connection, account_key(name))
            connection.execute("UPDATE accounts SET disabled = ? WHERE id = ?", (disabled, row))
            if disabled:
                connection.execute("DELETE FROM secrets WHERE account = ?", (row,))

    def remove(self, name: str) -> None:
        """Removes an account with all that belongs to it."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM accounts WHERE id = ?", (_row(connection, account_key(name)),))

    # ---- recognising

    def sign_in(self, name: str, password: str) -> str | None:
        """The secret for a browser, good for BROWSER_S; None where name and password do not belong together."""
        try:
            key = account_key(name)
        except WrongNameError:
            key = ""
        found = None
        if self._file.exists:
            with self._file.reading() as connection:
                found = connection.execute(
                    "SELECT id, password FROM accounts WHERE name = ? AND NOT disabled", (key,)
                ).fetchone()
        if not passwords.is_right(found[1] if found else None, password) or found is None:
            return None
        row, kept = found
        if passwords.is_outdated(kept):
            with self._file.writing() as connection:
                connection.execute(
                    "UPDATE accounts SET password = ? WHERE id = ? AND password = ?",
                    (passwords.hashed(password), row, kept),
                )
        return self._open(row, kept, "browser", BROWSER_S, "")

    def open_program(self, name: str, days: int, note: str = "") -> str:
        """A secret that a program shows as `Authorization: Bearer …` for some days; it is shown this once."""
        with self._file.reading() as connection:
            row = _row(connection, account_key(name))
            kept = connection.execute("SELECT password FROM accounts WHERE id = ?", (row,)).fetchone()[0]
        made = self._open(row, kept, "program", days * DAY_S, note[:200])
        if made is None:
            raise NoAccountError(f"アカウント「{name}」は使えません（停止中か、いま変えられたところです）。")
        return made

    def _open(self, row: int, password: str, kind: Kind, seconds: float, note: str) -> str | None:
        """A new secret, None where the account was locked, removed or given another password meanwhile."""
        secret = (PROGRAM_MARK if kind == "program" else "") + secrets.token_urlsafe(32)
        now = self._clock()
        with self._file.writing() as connection:
            is_good = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM accounts WHERE id = ? AND NOT disabled"
                " AND (password = ? OR ? = 'browser'))",
                (row, password, kind),
            ).fetchone()[0]
            if not is_good:
                return None
            connection.execute("DELETE FROM secrets WHERE ends_at <= ?", (now,))
            connection.execute(
                "DELETE FROM secrets WHERE digest IN (SELECT digest FROM secrets WHERE account = ? AND kind = ?"
                " ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
                (row, kind, MAX_SECRETS - 1),
            )
            connection.execute(
                "INSERT INTO secrets VALUES (?, ?, ?, ?, ?, ?)",
                (_digest(secret), row, kind, note, now, now + seconds),
            )
        return secret

    def recognised(self, secret: str, kind: Kind) -> Person | None:
        """Whose a secret is, None where it is nobody's or not good any more."""
        if not secret or not self._file.exists:
            return None
        now = self._clock()
        with self._file.reading() as connection:
            found = connection.execute(
                "SELECT a.id, a.name, a.administrator FROM secrets s JOIN accounts a ON a.id = s.account"
                # one that was made in the future was made before the clock was set back
                " WHERE s.digest = ? AND s.kind = ? AND s.ends_at > ? AND s.created_at <= ? AND NOT a.disabled",
                (_digest(secret), kind, now, now + DAY_S),
            ).fetchone()
            if found is None:
                return None
            row, name, administrator = found
            return Person(name, group_keys(_groups(connection, row)), bool(administrator))

    def end_sign_ins(self) -> int:
        """Signs everybody out of every browser; how many sign-ins that were. Secrets of programs stay."""
        if not self._file.exists:
            return 0
        with self._file.writing() as connection:
            return connection.execute("DELETE FROM secrets WHERE kind = 'browser'").rowcount

    def end(self, secret: str) -> None:
        """Ends a secret, wherever a copy of it may be."""
        if secret and self._file.exists:
            with self._file.writing() as connection:
                connection.execute("DELETE FROM secrets WHERE digest = ?", (_digest(secret),))

    def programs(self) -> list[Program]:
        """The secrets of programs that are good now, by account and end."""
        if not self._file.exists:
            return []
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT s.digest, a.name, s.note, s.ends_at FROM secrets s JOIN accounts a ON a.id = s.account"
                " WHERE s.kind = 'program' AND s.ends_at > ? ORDER BY a.name, s.ends_at",
                (self._clock(),),
            ).fetchall()
        return [Program(digest.hex()[:8], name, note, _utc(ends)) for digest, name, note, ends in rows]

    def end_program(self, mark: str) -> bool:
        """Ends the secret of a program by its `mark`; whether there was one."""
        with self._file.writing() as connection:
            rows = connection.execute("SELECT digest FROM secrets WHERE kind = 'program'").fetchall()
            own = [digest for (digest,) in rows if digest.hex()[:8] == mark]
            connection.executemany("DELETE FROM secrets WHERE digest = ?", [(digest,) for digest in own])
        return bool(own)

    def _now(self) -> str:
        return _utc(self._clock())


def _row(connection: sqlite3.Connection, key: str) -> int:
    found = connection.execute("SELECT id FROM accounts WHERE name = ?", (key,)).fetchone()
    if found is None:
        raise NoAccountError(f"アカウント「{key}」はありません。")
    return int(found[0])


def _groups(connection: sqlite3.Connection, row: int) -> list[str]:
    """The groups of an account, as they are spelt."""
    rows = connection.execute("SELECT member_of FROM members WHERE account = ?", (row,)).fetchall()
    return [group for (group,) in rows]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
