"""The file in which accounts, sign-ins and labels are kept.

In: a path. Out: a `database.DatabaseFile` with their tables. What a name, a password or a label may be is not known here.
"""

from __future__ import annotations

from pathlib import Path

from database import DatabaseFile, Kept

SCHEMA = 1
APPLICATION = 0x44584143
"""The file's mark, 「DXAC」."""

_TABLES = """
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,     -- access.people.account_key
  password TEXT NOT NULL,        -- Argon2id
  administrator INTEGER NOT NULL,
  disabled INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,      -- UTC
  password_at TEXT NOT NULL
);
CREATE TABLE members (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  member_of TEXT NOT NULL,       -- access.people.group_name
  PRIMARY KEY (account, member_of)
) WITHOUT ROWID;
CREATE TABLE secrets (           -- what a browser or a program shows instead of the password
  digest BLOB PRIMARY KEY,       -- SHA-256
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,            -- browser or program
  note TEXT NOT NULL,
  created_at REAL NOT NULL,      -- seconds since 1970
  ends_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX secrets_account ON secrets (account);
CREATE TABLE labels (path TEXT PRIMARY KEY) WITHOUT ROWID;  -- a file, or a folder with all in it
CREATE TABLE labelled (
  path TEXT NOT NULL REFERENCES labels (path) ON DELETE CASCADE,
  visible_to TEXT NOT NULL,      -- access.people.group_name
  PRIMARY KEY (path, visible_to)
) WITHOUT ROWID;
"""

_KEPT = Kept(
    "アカウントと閲覧の範囲の記録",
    "--access（DXQA_ACCESS）",
    _TABLES,
    SCHEMA,
    APPLICATION,
    if_full="ディスクの空きを確かめてください。",
    if_damaged="控え（バックアップ）から戻してください。戻すまで、資料は表示しません。",
    durable=True,
)


class AccessFile(DatabaseFile):
    """The file of accounts and labels."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _KEPT)
