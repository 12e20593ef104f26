"""Which segments are written anew together, so that few of them stand beside each other and no row is rewritten often.

In: how many rows of each segment of one kind count. Out: names. Nothing is read or written here.

As in engines that keep their data as a log of sorted runs (O'Neil, Cheng, Gawlick and O'Neil 1996), segments have sizes in
steps: below SMALL rows, and then up to STEP times as many each, until they are FULL and stay as they are. STEP segments of
one size become one of the next. A row is so written anew about nine times until it stands in a full segment, however large
the index becomes, and a million rows stand in 16 segments where they came at once, in 25 or so where they came one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

SMALL = 1024
"""Segments of fewer rows are written anew with what is added, in the same go: 40 MB, a few tenths of a second."""
STEP = 4
FULL = 65_536
"""Rows from which a segment stays as it is. Everything about so many rows fits into a gigabyte of memory while they are
written, and to write them anew takes a minute."""
MOST_DEAD = 0.5
"""A segment of which more than this no longer counts is written anew."""


def beside(fresh: int, live: Mapping[str, int]) -> list[str]:
    """Segments that are written anew together with `fresh` rows: small ones, the smallest first, while each has no more than
    twice as many rows as there are already, and until they are no longer small. One much larger waits until more has come."""
    chosen: list[str] = []
    size = fresh
    for name, rows in sorted(live.items(), key=lambda item: (item[1], item[0])):
        if rows >= SMALL or size >= SMALL or rows > max(size, 1) * 2:
            break
        chosen.append(name)
        size += rows
    return chosen if fresh or len(chosen) > 1 else []


def groups(live: Mapping[str, int], rows: Mapping[str, int]) -> list[list[str]]:
    """Segments to be written anew, each group as one: STEP of one size, and those of which most rows no longer count.

    `live` are the rows of each that count, `rows` all of them.
    """
    sizes = dict(live)
    parts: dict[str, list[str]] = {name: [name] for name in live}
    while chosen := _too_many(sizes):
        first = chosen[0]
        parts[first] = [name for one in chosen for name in parts.pop(one)]
        sizes[first] = sum(sizes.pop(one) for one in chosen)
    dead = {name for name, count in live.items() if count < (1 - MOST_DEAD) * rows[name]}
    return [group for group in parts.values() if len(group) > 1 or group[0] in dead]


def portions(sizes: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """The names of what has these sizes, in order, parted so that each part but the last just reaches FULL."""
    part: list[str] = []
    total = 0
    for name, size in sizes:
        part.append(name)
        total += size
        if total >= FULL:
            yield part
            part, total = [], 0
    if part:
        yield part


def _too_many(sizes: Mapping[str, int]) -> list[str]:
    """Segments of one size that are to become one of the next, none where no size has too many.

    No more of them than are needed for a full one: what is made of them has less than twice FULL.
    """
    for lower, upper in _steps():
        own = sorted((rows, name) for name, rows in sizes.items() if lower <= rows < upper)
        if len(own) < STEP:
            continue
        chosen, total = [], 0
        for rows, name in own:
            if total >= FULL:
                break
            chosen.append(name)
            total += rows
        return chosen
    return []


def _steps() -> Iterator[tuple[int, int]]:
    """The sizes, from the rows with which each begins to those with which the next does; the smallest merge by `beside`."""
    lower = SMALL
    while 0 < lower < FULL:
        yield lower, min(lower * STEP, FULL)
        lower *= STEP
