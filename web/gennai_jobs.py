"""Answers that are made after the request for them has ended, kept until whoever asked has fetched them.

In: work to be done, and whose it is. Out: its state under a number that nobody can guess. Kept in memory, a bounded number for a bounded time;
a restart forgets them. What is answered is not known here.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

State = Literal["PENDING", "IN_PROGRESS", "COMPLETED", "ERROR"]
KEPT_S = 3600.0
"""For how long an answer can be fetched: 源内 looks every thirty seconds at first, and every quarter of an hour at the end."""
MOST_KEPT = 200
"""Of some 100 KB each; where there are more, those go first that were made for whoever has most."""
MOST_WAITING = 40
"""Not yet done; with two at a time, the last one waits for minutes where a language model writes."""
MOST_OF_ONE = 30
"""Of these, of one owner: somebody who asks without end leaves places to others."""
AT_ONCE = 2
WAITING, BEGUN, DONE = "順番を待っています", "答えを作っています", "できました"
FAILED = "処理の途中で問題が起きました。"
TRY_AGAIN = "しばらく待ってから、もう一度お試しください。続くときは、管理者に知らせてください。"

_log = logging.getLogger("dxqa.server")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that was made, in Base64."""

    contents: str
    display_name: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class Made:
    """What came out: Markdown, and files."""

    outputs: str
    artifacts: tuple[Artifact, ...] = ()


Tell = Callable[[str], None]
Work = Callable[[Tell], Made]
"""Makes an answer, and tells how far it is."""


@dataclass(frozen=True, slots=True)
class Job:
    """An answer that is being made; `owner` is whose it is, `paths` the documents that it quotes. Times are seconds since 1970."""

    id: str
    owner: str
    paths: frozenset[str]
    created: float
    updated: float
    state: State = "PENDING"
    progress: str = WAITING
    made: Made | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("COMPLETED", "ERROR")


class TooManyError(RuntimeError):
    """Too many answers wait to be made."""


class Jobs:
    """Makes answers one after another, in threads of its own that end with the process."""

    def __init__(
        self, *, kept_s: float = KEPT_S, most: int = MOST_KEPT, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives seconds since 1970."""
        self._kept_s, self._most, self._clock = kept_s, most, clock
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = 0

    def start(self, owner: str, paths: frozenset[str], work: Work) -> Job:
        """A job that will be done; raises TooManyError where too many wait, of all or of this owner."""
        now = self._clock()
        job = Job(str(uuid.uuid4()), owner, paths, now, now)
        with self._lock:
            self._forget(now)
            self._make_room()
            waiting = [one.owner for one in self._jobs.values() if not one.is_over]
            if len(waiting) >= MOST_WAITING or waiting.count(owner) >= MOST_OF_ONE:
                raise TooManyError
            self._jobs[job.id] = job
            # the request's number goes along, so that a failure is found in the log by it
            self._waiting.put(_within(contextvars.copy_context(), self._do, job.id, work))
            if self._threads < AT_ONCE:
                self._threads += 1
                threading.Thread(target=self._work, name="answers", daemon=True).start()
        return job

    def get(self, id: str, owner: str) -> Job | None:
        """A job of an owner, None where there is none any more or it is somebody else's."""
        with self._lock:
            self._forget(self._clock())
            job = self._jobs.get(id)
        return job if job is not None and job.owner == owner else None

    def _work(self) -> None:
        while True:
            # not by a name, which would keep what was answered from, an old version of the index, until the next one comes
            self._waiting.get()()

    def _do(self, id: str, work: Work) -> None:
        self._change(id, state="IN_PROGRESS", progress=BEGUN)
        try:
            made = work(lambda progress: self._change(id, progress=progress))
        except Exception as error:  # whatever it is: whoever asked is told, and the next one is made
            _log.error("an answer to fetch later failed", exc_info=error)
            self._change(id, state="ERROR", progress=FAILED)
        else:
            self._change(id, state="COMPLETED", progress=DONE, made=made)

    def _change(self, id: str, **what: object) -> None:
        with self._lock:
            if id in self._jobs:
                self._jobs[id] = replace(self._jobs[id], updated=self._clock(), **what)  # type: ignore[arg-type]

    def _forget(self, now: float) -> None:
        """Forgets what is too old; a clock that was set back keeps nothing for ever."""
        for job in list(self._jobs.values()):
            if job.is_over and not 0 <= now - job.updated <= self._kept_s:
                del self._jobs[job.id]

    def _make_room(self) -> None:
        """Makes room for one more: the oldest ones of whoever has most go, but nothing that is still to be made."""
        while len(self._jobs) >= self._most:
            over = [job for job in self._jobs.values() if job.is_over]
            if not over:
                return
            counts = Counter(job.owner for job in over)
            del self._jobs[min(over, key=lambda job: (-counts[job.owner], job.updated)).id]


def _within(
    context: contextvars.Context, do: Callable[[str, Work], None], id: str, work: Work
) -> Callable[[], None]:
    return lambda: context.run(do, id, work)


def moment(seconds: float) -> str:
    """A time as programs read it.

    >>> moment(1764547200.5)
    '2025-12-01T00:00:00.500Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
