"""Who asks: a name, groups, and whether it is an administrator; and what a label lets whom see.

In: nothing but these. Out: records. How a person was recognised is known by `web.door`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

MAX_NAME_CHARS = 64
"""Of the name of an account or of a group."""

Label = frozenset[str]
"""The groups that may see something, as `group_key` writes them; empty: administrators only."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who asks; `name` is None for whoever was not recognised. `groups` are as `group_key` writes them."""

    name: str | None = None
    groups: frozenset[str] = frozenset()
    administrator: bool = False

    def may_see(self, label: Label | None) -> bool:
        """Whether somebody may see what has a label; None is what everybody may see who may read at all."""
        return label is None or self.administrator or not self.groups.isdisjoint(label)


ANYBODY = Person()


class WrongNameError(ValueError):
    """A name that no account or group can have; the message is a Japanese sentence."""


def account_key(name: str) -> str:
    """The form in which an account is known: 「Ｔａｎａｋａ」 and 「tanaka」 are one. Raises WrongNameError."""
    return _spelling(name, "アカウントの名前", " ,、;:|/\\").casefold()


def group_key(name: str) -> str:
    """The form by which a group is told from others: 「ＤＸ推進課」 and 「dx推進課」 are one. Raises WrongNameError."""
    return group_name(name).casefold()


def group_name(name: str) -> str:
    """The form in which a group is kept and shown: 「ＤＸ推進課」 is 「DX推進課」. Raises WrongNameError."""
    return _spelling(name, "グループの名前", ",、;|")


def group_keys(names: Iterable[str]) -> frozenset[str]:
    """Several groups as `group_key` writes them; empty words are none. Raises WrongNameError."""
    return frozenset(group_key(name) for name in names if name.strip())


def group_names(names: Iterable[str]) -> dict[str, str]:
    """Several groups as `group_name` writes them, each once, by their keys; empty words are none. Raises WrongNameError."""
    found: dict[str, str] = {}
    for name in names:
        if name.strip():
            found.setdefault(group_key(name), group_name(name))
    return found


def _spelling(name: str, what: str, without: str) -> str:
    # what is far too long is not looked at: one letter may become eighteen
    words = " ".join(unicodedata.normalize("NFKC", name).split()) if len(name) <= 16 * MAX_NAME_CHARS else ""
    if not words or len(words.casefold()) > MAX_NAME_CHARS:
        raise WrongNameError(f"{what}は、1文字以上{MAX_NAME_CHARS}文字以内にしてください。")
    # control and format characters, half characters, and what separates names in a list
    wrong = next((c for c in words if unicodedata.category(c)[0] == "C" or c in without), None)
    if wrong is not None:
        raise WrongNameError(f"{what}に使えない文字（{wrong!a}）が含まれています：{words!a}")
    return words
