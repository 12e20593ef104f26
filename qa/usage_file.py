"""The file in which it is kept what is asked and how answers are rated.

In: a path. Out: a `database.DatabaseFile` with the tables of questions and ratings. Nothing is known of questions here but the names of their
columns.
"""

from __future__ import annotations

from pathlib import Path

from database import DatabaseFile, Kept

MAX_BYTES = 256 * 2**20
"""Of the file: 180 days of 2,000 questions a day."""
SCHEMA = 1
APPLICATION = 0x44585141
"""The file's mark, 「DXQA」."""

_TABLES = """
CREATE TABLE questions (
  id INTEGER PRIMARY KEY,
  at TEXT NOT NULL,              -- local time to the minute, 2026-11-21T09:05
  key TEXT NOT NULL,             -- what counts as the same question
  question TEXT NOT NULL,        -- as asked, masked
  state TEXT NOT NULL,           -- JSON: the pairs of the page's address, masked
  way TEXT NOT NULL,             -- page, api or mcp
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

_KEPT = Kept(
    "利用の記録",
    "--usage（DXQA_USAGE）",
    _TABLES,
    SCHEMA,
    APPLICATION,
    if_full="ディスクの空きを確かめるか、古い記録を消してください。",
    if_damaged="控えから戻すか、別の名前にして新しく始めてください。",
)


class UsageFile(DatabaseFile):
    """The file of questions and ratings."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(path, _KEPT, max_bytes=max_bytes)
