"""Reading segments byte for byte beside a server's work, where they were taken up by the stamps of their files.

In: segments in use that were not read. Out: a call for each that is not as it was written. Nothing waits for it: it runs at
the lowest priority, and what it reads does not push out of the system's memory what questions need.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from index.segment import Segment, SegmentDamagedError, StoredSegment

_log = logging.getLogger("dxqa.index")


class BackgroundCheck:
    """Reads segments one after the other, each once; ends when there are no more."""

    def __init__(self, root: Path, damaged: Callable[[str, SegmentDamagedError], None]) -> None:
        """`damaged` is called with the name of a segment that is not whole, and what is wrong with it."""
        self._root, self._damaged = root, damaged
        self._lock = threading.Lock()
        self._wanted: dict[str, None] = {}
        self._whole: set[str] = set()
        self._thread: threading.Thread | None = None

    def of(self, segments: Iterable[Segment]) -> None:
        """These are in use now: reads those that were not read, and nothing else any more."""
        with self._lock:
            self._wanted = {
                one.name: None for one in segments if not one.checked and one.name not in self._whole
            }
            if self._wanted and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checking", daemon=True)
                self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Waits until what was wanted is read."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # on Linux a thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while True:
            with self._lock:
                name = next(iter(self._wanted), None)
                if name is None:
                    self._thread = None
                    return
            try:
                stored = StoredSegment(self._root / "segments" / name)
                stored.check(keep=False)
            except SegmentDamagedError as error:
                with self._lock:
                    in_use = name in self._wanted  # else a build has removed it meanwhile
                    self._wanted.pop(name, None)
                if in_use:
                    self._damaged(name, error)
            else:
                _log.info("segment %s read: whole (%d MB)", name, stored.bytes / 2**20)
                with self._lock:
                    self._whole.add(name)
                    self._wanted.pop(name, None)
