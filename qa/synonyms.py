"""Words that mean the same: a table that the staff edits, one group a line, in a CSV file.

In: a CSV file (UTF-8, or CP932 as Excel saves it). Out: for a question, the other words of each group that it says a word
of. They are searched for too; what is quoted stays what the documents say.

    書かない窓口,窓口DX,ワンストップ窓口
    # a line that begins with # is a remark

A word stands in one group only: in two, it would make one group of both, and the file is refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.readers.decoding import decode
from corpus.readers.source import ReadError
from corpus.text import normalize

SHORTEST = 2
"""Characters of a word: a single one is part of too many others."""
MOST_GROUPS = 5000


class SynonymsError(ValueError):
    """A table that cannot be used; the message says in which line and what to do."""


@dataclass(frozen=True, slots=True)
class Synonyms:
    """Groups of words that mean the same, in normalized form."""

    groups: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def load(cls, path: Path) -> Synonyms:
        """The table of a file; none where there is no file. Raises SynonymsError."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise SynonymsError(
                f"同義語の表 {path} を開けません（{error.strerror}）。読み取りの許可を確かめてください。"
            ) from error
        if not data.strip():
            return cls()
        try:
            text, _ = decode(data)
        except ReadError as error:
            raise SynonymsError(f"同義語の表 {path}：{error}") from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str = "同義語の表") -> Synonyms:
        """The table of a text in CSV. Raises SynonymsError."""
        groups: list[tuple[str, ...]] = []
        line_of: dict[str, int] = {}
        reader = csv.reader(io.StringIO(text))
        for row in reader:
            line = reader.line_num
            words = [word for cell in row if (word := normalize(cell).lower())]
            if not words or words[0].startswith("#"):
                continue
            words = list(dict.fromkeys(words))
            if len(words) < 2:
                raise SynonymsError(
                    f"{name} の{line}行目：「{words[0]}」だけでは同義語になりません。同じ意味の言葉をコンマで区切って並べてください。"
                )
            for word in words:
                if len(word) < SHORTEST:
                    raise SynonymsError(
                        f"{name} の{line}行目：「{word}」は短すぎます。{SHORTEST}文字以上にしてください。"
                    )
                if word in line_of:
                    raise SynonymsError(
                        f"{name} の{line}行目：「{word}」は{line_of[word]}行目にもあります。一つの行にまとめるか、片方を消してください。"
                    )
                line_of[word] = line
            groups.append(tuple(words))
        if len(groups) > MOST_GROUPS:
            raise SynonymsError(f"{name} の行が多すぎます（{len(groups)}行。上限は{MOST_GROUPS}行）。")
        return cls(tuple(groups))

    def others(self, text: str) -> Sequence[str]:
        """The words that mean the same as words of a text and that it does not say itself, in the table's order.

        Of two words, one inside the other, only the longer one is meant: 「窓口DX」 is not 「窓口」.
        """
        said = normalize(text).lower()
        taken = [False] * len(said)
        found: dict[int, None] = {}
        table = [(word, number) for number, words in enumerate(self.groups) for word in words]
        for word, number in sorted(table, key=lambda item: -len(item[0])):
            at = said.find(word)
            while at >= 0:
                if not any(taken[at : at + len(word)]):
                    taken[at : at + len(word)] = [True] * len(word)
                    found[number] = None
                at = said.find(word, at + 1)
        return [word for group in sorted(found) for word in self.groups[group] if word not in said]


class SynonymsFile:
    """A table in a file that may be edited while the service runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._look()
        self._table = Synonyms.load(path)
        self.problem: str | None = None

    def get(self) -> Synonyms:
        """The table as the file is now; the last good one while the file has a mistake, which `problem` tells."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._table, self.problem = Synonyms.load(self._path), None
            except SynonymsError as error:
                self.problem = str(error)
        return self._table

    def _look(self) -> tuple[int, int] | None:
        try:
            state = self._path.stat()
        except OSError:
            return None
        return state.st_mtime_ns, state.st_size
