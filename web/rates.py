"""How often something may be done: at most so many times in any span of time, for each address, account or whatever is the key.

In: keys. Out: yes or no. The counting is that of the `limits` library, in memory: what was counted is forgotten when the process ends.
"""

from __future__ import annotations

import threading
import time

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter


class Rate:
    """At most `most` in any `window_s` seconds for each key."""

    def __init__(self, most: int, window_s: int) -> None:
        self.most, self.window_s = most, window_s
        self._limit = RateLimitItemPerSecond(most, window_s)
        self._storage = MemoryStorage()
        self._window = MovingWindowRateLimiter(self._storage)
        self._offset = _clock_offset()
        self._lock = threading.Lock()

    def hit(self, key: str) -> bool:
        """Counts one for a key; False where it has had all it may have, which is then not counted."""
        self._steady()
        return self._window.hit(self._limit, key)

    def is_open(self, key: str) -> bool:
        """Whether a key may have one more."""
        self._steady()
        return self._window.test(self._limit, key)

    def used(self, key: str) -> int:
        """How many a key has had within the window."""
        self._steady()
        return self.most - self._window.get_window_stats(self._limit, key).remaining

    def wait_s(self, key: str) -> int:
        """After how many seconds a key that has had all may have the next one."""
        until = self._window.get_window_stats(self._limit, key).reset_time
        return max(1, min(self.window_s, round(until - time.time())))

    def clear(self, key: str) -> None:
        """Forgets what a key has had."""
        self._window.clear(self._limit, key)

    def _steady(self) -> None:
        """The library counts by the time of day: where that was set anew, what was counted would end much too late or never."""
        offset = _clock_offset()
        with self._lock:
            if abs(offset - self._offset) > self.window_s:
                self._offset = offset
                self._storage.reset()


def _clock_offset() -> float:
    """How far the time of day is from the clock that never jumps, in seconds."""
    return time.time() - time.monotonic()
