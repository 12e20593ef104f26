"""Where the time of one answer goes: seconds by stage, added up lap by lap.

In: the name of the stage that has just ended. Out: seconds by stage. One stopwatch is made for each answer and handed down; nothing is
known of who reads it.
"""

from __future__ import annotations

import time

STAGES = ("understand", "encode", "search", "select", "evidence", "quote", "cite")
"""In their order. "encode" is the question's vectors and words, "search" all engines with late interaction, "select" what is done with the
hits; the searches of the sides of a comparison are in it."""


class Stopwatch:
    """Runs from its making; every moment belongs to the stage whose end is told next."""

    __slots__ = ("_at", "seconds")

    def __init__(self) -> None:
        self._at = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Ends a stage (one of `STAGES`); a second lap of the same name adds to the first."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._at
        self._at = now
