"""What the command lines of this program have in common: a parser that speaks Japanese, and how an option's value is read.

In: the words of a command line and the environment. Out: parsed options; wrong use ends with status 2 and one Japanese sentence on
standard error. The options that several commands take are here; which others there are is each command's own matter.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

HOME = Path(__file__).resolve().parent

# argparse has no Japanese of its own; its sentences are those of Python 3.11 to 3.14
_SAID = (
    (r"the following arguments are required: (.+)", "{0} を指定してください"),
    (r"one of the arguments (.+) is required", "{0} のどれか一つを指定してください"),
    (r"unrecognized arguments: (.+)", "{0} は使えません"),
    (r"argument (.+?): expected (?:one argument|at least one argument)", "{0} の後に値がありません"),
    (r"argument (.+?): ignored explicit argument (.+)", "{0} に値は付けられません：{1}"),
    (r"argument (.+?): not allowed with argument (.+)", "{0} と {1} は一緒に使えません"),
    (
        r"argument (.+?): invalid choice: (.+?) \(choose from (.+)\)",
        "{0} に {1} は使えません。使えるもの：{2}",
    ),
    (r"argument (.+?): (.+)", "{0}：{1}"),
)


class _Help(argparse.HelpFormatter):
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        """Begins with 「使い方」."""
        super().add_usage(usage, actions, groups, "使い方: " if prefix is None else prefix)


class Parser(argparse.ArgumentParser):
    """An argument parser whose help and errors are Japanese; so are those of its commands."""

    def __init__(self, **more: Any) -> None:
        # what begins like an option is not taken for it: 「--allow」 is not 「--allow-hub」
        super().__init__(add_help=False, formatter_class=_Help, allow_abbrev=False, **more)
        self._positionals.title, self._optionals.title = "対象", "指定"
        self.add_argument("-h", "--help", action="help", help="この説明を示して終わる")

    def error(self, message: str) -> NoReturn:
        """Exit status 2, with the sentence on standard error."""
        said = japanese(message)
        print(f"指定が正しくありません（{said}）。--help で使い方を確かめてください。", file=sys.stderr)
        sys.exit(2)


def japanese(message: str) -> str:
    """What argparse says of wrong use, in Japanese; as it is where it is no sentence of argparse.

    >>> japanese("argument --keep: expected one argument")
    '--keep の後に値がありません'
    """
    for pattern, words in _SAID:
        found = re.fullmatch(pattern, message, re.DOTALL)
        if found:
            return words.format(*found.groups())
    return message


def setting(name: str, default: str) -> str:
    """The environment variable of an option, or its default."""
    return os.environ.get(f"DXQA_{name}") or default


def whole(least: int, most: int, what: str) -> Callable[[str], int]:
    """Reads a whole number between two from an option; `what` it counts is said where it is none."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{least}から{most}までの{what}で指定してください：{text}")
        return int(text)

    return read


# ---------------------------------------------------------------- options of several commands


def add_access(parser: argparse.ArgumentParser) -> None:
    """`--access`: the file of accounts and labels."""
    parser.add_argument(
        "--access",
        default=setting("ACCESS", str(HOME / "var" / "access.sqlite3")),
        help="アカウントと閲覧の範囲の記録のファイル（python -m access で作る。既定 var/access.sqlite3）",
    )


def add_usage(parser: argparse.ArgumentParser) -> None:
    """`--usage`: the file of questions and ratings."""
    parser.add_argument(
        "--usage",
        default=setting("USAGE", str(HOME / "var" / "usage.sqlite3")),
        help="利用の記録（質問と評価）のファイル",
    )


def add_synonyms(parser: argparse.ArgumentParser) -> None:
    """`--synonyms`: the table of synonyms."""
    parser.add_argument(
        "--synonyms",
        default=setting("SYNONYMS", str(HOME / "synonyms.csv")),
        help="同義語の表（CSV。1行に同じ意味の言葉をコンマ区切りで）",
    )


def add_reranker(parser: argparse.ArgumentParser) -> None:
    """`--reranker`: the cross-encoder, if any."""
    parser.add_argument(
        "--reranker",
        default=setting("RERANKER", ""),
        help="再順位付けのモデル（sentence-transformers の CrossEncoder のフォルダーか名前。既定は使わない）",
    )
