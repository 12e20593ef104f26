"""Automatic numbers of Word: 「第1章」「(2)」「③」 or a bullet before a paragraph, as Word shows them.

In: the numbering part of a document, then its numbered paragraphs in order. Out: each one's label. Knows nothing about styles
or words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from corpus.readers.drawings import Element
from corpus.readers.numerals import numeral

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
BULLET_SIGN = "・"
_LEVELS = 9
_PLACE = re.compile(r"%([1-9])")


@dataclass(frozen=True, slots=True)
class _Level:
    start: int
    system: str
    pattern: str
    suffix: str
    restart: int | None
    digits_only: bool


@dataclass(slots=True)
class _List:
    """One abstract numbering: its levels, and the number that each level has reached."""

    levels: dict[int, _Level]
    styles: dict[str, int]
    reached: dict[int, int] = field(default_factory=dict)


def value(element: Element, name: str, default: str = "") -> str:
    """The w:val of a child."""
    child = element.find(W + name)
    return default if child is None else str(child.get(f"{W}val", default))


def number(text: str | None, default: int) -> int:
    """A whole number that a file states; the default where it states none, or an absurd one."""
    return int(text) if text and re.fullmatch(r"-?[0-9]{1,9}", text) else default


class WordLists:
    """The lists of one document; `label` must be asked for every numbered paragraph, in order."""

    def __init__(self, numbering: Element | None) -> None:
        self._lists: dict[str, _List] = {}
        self._numbers: dict[str, tuple[str, dict[int, _Level], dict[int, int]]] = {}
        self._restarted: set[tuple[str, int]] = set()
        if numbering is None:
            return
        linked: dict[str, str] = {}
        by_style: dict[str, str] = {}
        for abstract in numbering.iterchildren(f"{W}abstractNum"):
            identity = abstract.get(f"{W}abstractNumId", "")
            if value(abstract, "numStyleLink"):
                linked[identity] = value(abstract, "numStyleLink")
            if value(abstract, "styleLink"):
                by_style[value(abstract, "styleLink")] = identity
            levels = dict(_level(level) for level in abstract.iterchildren(f"{W}lvl"))
            styles = {
                value(level, "pStyle"): number(level.get(f"{W}ilvl"), 0)
                for level in abstract.iterchildren(f"{W}lvl")
                if value(level, "pStyle")
            }
            self._lists[identity] = _List(levels, styles)
        for identity, style in linked.items():
            if by_style.get(style) in self._lists:
                self._lists[identity] = self._lists[by_style[style]]
        for num in numbering.iterchildren(f"{W}num"):
            starts: dict[int, int] = {}
            own: dict[int, _Level] = {}
            for override in num.iterchildren(f"{W}lvlOverride"):
                place = number(override.get(f"{W}ilvl"), 0)
                start = override.find(f"{W}startOverride")
                if start is not None:
                    starts[place] = number(start.get(f"{W}val"), 1)
                for level in override.iterchildren(f"{W}lvl"):
                    own[place] = _level(level)[1]
            self._numbers[num.get(f"{W}numId", "")] = (value(num, "abstractNumId"), own, starts)

    def level_of_style(self, num: str, style: str) -> int | None:
        """The level that a paragraph style has in a numbering, None where it has none."""
        known = self._lists.get(self._numbers.get(num, ("", {}, {}))[0])
        return known.styles.get(style) if known else None

    def label(self, num: str, place: int) -> str:
        """The label of the next paragraph of a numbering's level (from 0), with the space after it.

        「・」 for a bullet, empty where the level prints nothing.
        """
        abstract, own, starts = self._numbers.get(num, ("", {}, {}))
        known = self._lists.get(abstract)
        if known is None or not 0 <= place < _LEVELS:
            return ""
        levels = {**known.levels, **own}
        level = levels.get(place)
        if level is None:
            return ""
        reached = known.reached
        if place in starts and (num, place) not in self._restarted:
            self._restarted.add((num, place))
            reached[place] = starts[place]
        else:
            reached[place] = reached[place] + 1 if place in reached else level.start
        for deeper in [deeper for deeper in reached if deeper > place]:
            # without a restart of its own a level begins anew under every one above it; 0 is never
            restart = levels[deeper].restart if deeper in levels else None
            if restart is None or place < restart:
                del reached[deeper]
        if level.system == "bullet":
            return BULLET_SIGN
        if level.system == "none" and not level.pattern:
            return ""

        def shown(found: re.Match[str]) -> str:
            at = int(found[1]) - 1
            other = levels.get(at)
            if other is None:
                return ""
            system = "decimal" if level.digits_only and other.system != "bullet" else other.system
            return "" if system in {"none", "bullet"} else numeral(reached.get(at, other.start), system)

        label = _PLACE.sub(shown, level.pattern)
        return label + level.suffix if label.strip() else ""


def _level(level: Element) -> tuple[int, _Level]:
    suffix = value(level, "suff", "tab")
    restart = level.find(f"{W}lvlRestart")
    legal = level.find(f"{W}isLgl")
    # newer systems stand in an AlternateContent, with a plain one to fall back on
    system = next(
        (str(found.get(f"{W}val", "")) for found in reversed(list(level.iter(f"{W}numFmt")))), "decimal"
    )
    return number(level.get(f"{W}ilvl"), 0), _Level(
        start=number(value(level, "start"), 0),
        system=system,
        pattern=value(level, "lvlText"),
        suffix="" if suffix == "nothing" else " ",
        restart=None if restart is None else number(restart.get(f"{W}val"), 0),
        digits_only=legal is not None and legal.get(f"{W}val", "1") not in {"0", "false", "off"},
    )
