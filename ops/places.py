"""Where the things lie that are to be kept: what the options and the environment of the server name.

In: parsed options. Out: `Places`. Nothing is opened or made here.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from options import HOME

INDEX, DOCUMENTS, USAGE, ACCESS, SYNONYMS = "index", "documents", "usage", "access", "synonyms"
FOLDERS = frozenset({INDEX, DOCUMENTS})
FILE_NAMES = {USAGE: "usage.sqlite3", ACCESS: "access.sqlite3", SYNONYMS: "synonyms.csv"}
"""Parts that are one file, and what it is called in a backup and in a folder that all is restored into."""
PARTS = {
    INDEX: "索引",
    DOCUMENTS: "資料",
    USAGE: "利用の記録",
    ACCESS: "アカウントと閲覧の範囲",
    SYNONYMS: "同義語の表",
}
"""What is kept, in the order in which it is told of, and what people call it."""


@dataclass(frozen=True, slots=True)
class Places:
    """The folders and files of one service."""

    index: Path
    documents: Path
    usage: Path
    access: Path
    synonyms: Path

    @classmethod
    def of(cls, args: argparse.Namespace) -> Places:
        """The places that options name; documents come to `documents/` where no folder is named."""
        return cls(
            Path(args.index),
            Path(args.documents) if args.documents else HOME / "documents",
            Path(args.usage),
            Path(args.access),
            Path(args.synonyms),
        )

    @classmethod
    def inside(cls, folder: Path) -> Places:
        """The places that everything has in one folder."""
        return cls(
            folder / INDEX,
            folder / DOCUMENTS,
            *(folder / FILE_NAMES[part] for part in (USAGE, ACCESS, SYNONYMS)),
        )

    def of_part(self, part: str) -> Path:
        """The place of one part."""
        found: Path = getattr(self, part)
        return found
