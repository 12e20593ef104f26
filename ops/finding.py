"""What a check found, and how it is told.

In: nothing but words. Out: `Finding`, a line of it, and its form in JSON. What is checked is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["well", "notice", "wrong", "skipped"]
MARKS: dict[State, str] = {"well": "○", "notice": "△", "wrong": "×", "skipped": "－"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, its state, what was found, and what to do (empty where nothing is to be done).

    "skipped" is what could not be looked at, since something else is wrong that has a finding of its own.
    """

    name: str
    state: State
    found: str
    advice: str = ""

    @property
    def line(self) -> str:
        """The finding for people: 「○ 空き容量: 12.3GB — …」."""
        return f"{MARKS[self.state]} {self.name}: {self.found}" + (f" — {self.advice}" if self.advice else "")


def well(name: str, found: str) -> Finding:
    """All is as it should be."""
    return Finding(name, "well", found)


def notice(name: str, found: str, advice: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(name, "notice", found, advice)


def wrong(name: str, found: str, advice: str) -> Finding:
    """It does not work, or will not for long."""
    return Finding(name, "wrong", found, advice)


def skipped(name: str, why: str) -> Finding:
    """It could not be looked at."""
    return Finding(name, "skipped", f"{why}ので、調べていません")
