"""How often something may be done: at most so many times in any span of time, for each address, account or whatever is the key.

In: keys. Out: yes or no. The counting is that of the `limits` library, in memory: what was counted is forgotten when the process ends.
What may come to count is kept a place for while it is looked at, so that many at once get no further than one after the other.
"""

from __future__ import annotations

import threading
import time
from collections import Counter

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter


class Rate:
    """At most `most` in any `window_s` seconds for each key; of the event loop, but for `hit` and `used`."""

    def __init__(self, most: int, window_s: int) -> None:
        self.most, self.window_s = most, window_s
        self._limit = RateLimitItemPerSecond(most, window_s)
        self._storage = MemoryStorage()
        self._window = MovingWindowRateLimiter(self._storage)
        self._offset = _clock_offset()
        self._swept = time.monotonic()
        self._lock = threading.Lock()
        self._begun: Counter[str] = Counter()
        """What is looked at now, of which it is not known yet whether it counts."""

    def begin(self, key: str) -> bool:
        """Keeps a place for one that may come to count; False where there is none. Whatever began has to `end`."""
        if not self.is_open(key):
            return False
        self._begun[key] += 1
        return True

    def end(self, key: str, *, counts: bool) -> None:
        """Gives a place back that was kept, and counts one if it came to count."""
        self._begun[key] -= 1
        if not self._begun[key]:
            del self._begun[key]
        if counts:
            self.hit(key)

    def hit(self, key: str) -> bool:
        """Counts one for a key; False where it has had all it may have, which is then not counted."""
        self._steady()
        return self._window.hit(self._limit, key)

    def is_open(self, key: str) -> bool:
        """Whether a key may have one more."""
        return self.used(key) + self._begun.get(key, 0) < self.most

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
            if time.monotonic() > self._swept + self.window_s:
                self._swept = time.monotonic()
                self._sweep()

    def _sweep(self) -> None:
        """Forgets the keys of which nothing counts any more: the library keeps each one for ever, and whoever asks chooses some."""
        events = self._storage.events
        for key in list(events):
            with self._storage.locks[key]:
                if not events.get(key) or events[key][0].expiry <= time.time():
                    events.pop(key, None)
                    self._storage.locks.pop(key, None)


def _clock_offset() -> float:
    """How far the time of day is from the clock that never jumps, in seconds."""
    return time.time() - time.monotonic()
