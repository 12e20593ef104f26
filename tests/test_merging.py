"""Which segments are written anew together: their number stays small, and no row is written often."""

from __future__ import annotations

import math
import random
from collections import Counter

from index.merging import FULL, SMALL, STEP, beside, groups, portions


def test_small_ones_go_with_what_is_added() -> None:
    assert beside(50, {"a": 50, "b": 120, "c": 800}) == [
        "a",
        "b",
    ]  # the third is more than twice the others together
    assert beside(500, {"a": 500, "b": SMALL - 1, "c": SMALL - 1}) == [
        "a",
        "b",
    ]  # then they are small no more
    assert beside(5000, {"a": 50}) == []
    assert beside(1000, {"a": SMALL}) == []
    assert beside(0, {"a": 50}) == []  # alone there is nothing to gain
    assert beside(0, {"a": 50, "b": 60}) == []  # nothing is added, and 50 rows are more than twice of none
    assert beside(2, {}) == []


def test_four_of_a_size_become_one_of_the_next() -> None:
    same = dict.fromkeys("abcd", SMALL)
    assert [sorted(group) for group in groups(same, same)] == [list("abcd")]
    assert groups({**same, "d": SMALL - 1}, same) == []
    full = dict.fromkeys("abcdef", FULL)
    assert groups(full, full) == []
    # what four become may be the fourth of the next size
    more = same | dict.fromkeys("xyz", SMALL * STEP)
    assert [sorted(group) for group in groups(more, more)] == [list("abcdxyz")]


def test_no_more_than_needed_for_a_full_one() -> None:
    large = dict.fromkeys("abcd", FULL - 1)
    assert [sorted(group) for group in groups(large, large)] == [["a", "b"]]


def test_mostly_dead_ones_are_written_anew() -> None:
    assert groups({"a": 40, "b": 50}, {"a": 100, "b": 100}) == [["a"]]


def test_portions_reach_the_full_size() -> None:
    sizes = [(str(number), FULL // 3 + 1) for number in range(7)]
    assert [len(part) for part in portions(sizes)] == [3, 3, 1]
    assert [one for part in portions(sizes) for one in part] == [name for name, _ in sizes]
    assert list(portions([])) == []


def test_a_million_rows_that_came_one_document_at_a_time() -> None:
    """Fewer than thirty segments at any time, and each row written some ten times."""
    chance = random.Random(5)
    sizes: dict[str, int] = {}
    written = number = most = rows = largest = 0
    while rows < 1_000_000:
        fresh = chance.choice([3, 20, 50, 50, 50, 120, 400])
        rows += fresh
        chosen = beside(fresh, sizes)
        size = fresh + sum(sizes.pop(name) for name in chosen)
        number += 1
        sizes[str(number)] = size
        written += size
        for group in groups(sizes, sizes):
            size = sum(sizes.pop(name) for name in group)
            number += 1
            sizes[str(number)] = size
            written += size
            largest = max(largest, size)
        most = max(most, len(sizes))
        assert sum(sizes.values()) == rows
    assert most <= 30, Counter(int(math.log2(size)) for size in sizes.values())
    assert largest < 2 * FULL
    assert written / rows < 12
