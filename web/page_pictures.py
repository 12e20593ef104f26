"""Pictures of a PDF's pages, each drawn by a process of its own and kept for a while.

In: the bytes of a file, a page, and what is to be marked on it. Out: a PNG, or a PictureError whose message is for people. A hostile
file can cost its own process and nothing else: memory, time, pixels and the number of processes at once are limited.
"""

from __future__ import annotations

import json
import subprocess  # nosec B404  # it starts modules of ours only
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from index.own_process import surroundings
from web.page_process import MAX_SECONDS

WIDTHS = {"": 900, "large": 1800}
"""Pixels across: beside the text, and to read small print by."""
CACHE_BYTES = 64 * 2**20
"""Some two hundred pages."""
AT_ONCE = 2
"""Processes at once: those who wait are answered in turn, and a question still has a processor."""
WAITING = 6
"""Requests that wait for a process: each holds a thread of the server, and questions need some too."""
WAIT_S = 20.0
FAILURES, RETRY_S = 1000, 600.0
"""Pages that could not be drawn are remembered for a while: a view of one may cost 15 s of a processor."""
MOST_WORDS = 50_000  # of a page, over to the process: a page of a newspaper has 12,000
_BROKEN = "この紙面は描けません。元のファイルを保存して確かめてください。"
_BUSY = "紙面を描く順番を待っています。しばらくしてから、もう一度開いてください。"


class PictureError(RuntimeError):
    """A page that cannot be drawn; `busy` where it may be later."""

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture: the page from 1, its size (of `WIDTHS`), and of the page's `words` the part to be marked."""

    sha256: str
    page: int
    size: str = ""
    words: str = ""
    start: int = 0
    end: int = 0


class PagePictures:
    """Draws pages and keeps the last ones. May be used from several threads."""

    def __init__(self, *, cache_bytes: int = CACHE_BYTES, timeout_s: float = MAX_SECONDS + 5.0) -> None:
        self._cache_bytes, self._timeout_s = cache_bytes, timeout_s
        self._kept: OrderedDict[Wanted, bytes] = OrderedDict()
        self._failed: OrderedDict[tuple[str, int, str], float] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)
        self._places = threading.Semaphore(AT_ONCE + WAITING)

    def kept(self, wanted: Wanted) -> bytes | None:
        """A picture that was drawn before, None where it was not or is no longer kept."""
        with self._lock:
            if wanted in self._kept:
                self._kept.move_to_end(wanted)
            return self._kept.get(wanted)

    def drawn(self, read: Callable[[], bytes], wanted: Wanted) -> bytes:
        """The picture of a page of a file, whose bytes are read only when it is drawn; raises PictureError."""
        found = self.kept(wanted)
        if found is not None:
            return found
        place = (wanted.sha256, wanted.page, wanted.size)
        with self._lock:
            if time.monotonic() < self._failed.get(place, float("-inf")) + RETRY_S:
                raise PictureError(_BROKEN)
        if not self._places.acquire(blocking=False):
            raise PictureError(_BUSY, busy=True)
        try:
            if not self._turns.acquire(timeout=WAIT_S):
                raise PictureError(_BUSY, busy=True)
            try:
                picture = self.kept(wanted) or self._ask(read(), wanted)
            except PictureError:
                with self._lock:
                    self._failed[place] = time.monotonic()
                    self._failed.move_to_end(place)
                    while len(self._failed) > FAILURES:
                        self._failed.popitem(last=False)
                raise
            finally:
                self._turns.release()
        finally:
            self._places.release()
        with self._lock:
            if wanted not in self._kept and _size(wanted, picture) <= self._cache_bytes:
                self._kept[wanted] = picture
                self._size += _size(wanted, picture)
            while self._size > self._cache_bytes:
                self._size -= _size(*self._kept.popitem(last=False))
        return picture

    def _ask(self, data: bytes, wanted: Wanted) -> bytes:
        asked: dict[str, object] = {"page": wanted.page, "width": WIDTHS[wanted.size]}
        if len(wanted.words) <= MOST_WORDS and wanted.start < wanted.end:
            asked |= {"words": wanted.words, "start": wanted.start, "end": wanted.end}
        # numpy's own threads take address space and do nothing there
        environment = surroundings(PYTHONUTF8="1", OPENBLAS_NUM_THREADS="1")
        try:
            done = subprocess.run(  # nosec B603  # a list of arguments of ours, no shell
                [sys.executable, "-m", "web.page_process"],
                input=json.dumps(asked).encode("ascii") + b"\n" + data,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=self._timeout_s,
                env=environment,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise PictureError(_BROKEN) from error
        head, _, picture = done.stdout.partition(b"\n")
        try:
            answer = json.loads(head)
        except ValueError as error:
            raise PictureError(_BROKEN) from error
        if "error" in answer or not picture:
            raise PictureError(_BROKEN)
        return picture


def _size(wanted: Wanted, picture: bytes) -> int:
    """What a kept picture takes, with the words by which it is known (2 bytes each)."""
    return len(picture) + 2 * len(wanted.words)
