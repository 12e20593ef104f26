"""Rebuilds asked for over HTTP: one at a time, each with its state while it runs and after.

In: a function that builds. Out: job records by id. Jobs live in memory; a restart forgets them, the index does not. While
somebody else builds (the command line) or goes back to a version, a job waits for its turn: what was accepted is indexed.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from index.build import BuildBusyError, BuildRefusedError, Progress
from index.report import BuildReport
from index.store import StoreUnavailableError
from index.versions import WrongFolderError

_log = logging.getLogger("dxqa.jobs")
KEPT = 50
POLL_S = 0.5
"""Between two looks whether the other build has ended: nobody sees half a second beside a build."""
KNOWN_S = 3.0
"""Time after which the pace of a stage is known."""
CLOSING_S = 20.0
"""For a build to end when the server does: it looks between two files, batches and segments."""
STOPPED = "索引を作っている間に、サーバーが止められました。前の索引はそのままです。もう一度、索引を作り直してください。"
LONGEST_WAIT_S = 6 * 3600.0
"""For the other build: a full one of 100,000 chunks takes two hours on two cores; beyond that it hangs."""


def remaining_s(taken: float, done: int, total: int) -> int | None:
    """Seconds that the rest takes at the pace so far; None before `KNOWN_S`, when that is a guess.

    >>> remaining_s(20.0, 100, 400), remaining_s(1.0, 100, 400)
    (60, None)
    """
    return round(taken / done * (total - done)) if done and taken >= KNOWN_S else None


@dataclass(frozen=True, slots=True)
class JobError:
    """A file that could not be read, or (path empty) why the whole build failed."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """State of a rebuild: queued, running, succeeded or failed; `done` of `total` in the present stage.

    Stages are those of a build, before them "waiting" while another build holds the index, and after them "publishing" to a store elsewhere.

    `remaining_s` is how long the present stage will still take at the pace so far, None where that is not known yet.
    `version` is the one in use after it, empty until then.
    """

    id: str
    status: str = "queued"
    stage: str = ""
    done: int = 0
    total: int = 0
    remaining_s: int | None = None
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    renamed: int = 0
    version: str = ""
    errors: tuple[JobError, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """Rebuilds that ended in one way: how many, how many seconds the last one took, and when it ended (seconds since 1970)."""

    count: int = 0
    seconds: float = 0.0
    at: float = 0.0


class Jobs:
    """Runs builds one after another in the background."""

    def __init__(self, build: Callable[[Progress], BuildReport]) -> None:
        self._build = build
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._ordered: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._done = {"succeeded": Ended(), "failed": Ended()}

    def close(self, timeout_s: float = CLOSING_S) -> bool:
        """Lets jobs end, since the server is shutting down, and waits for the one that runs; whether none runs any more.

        A build that is stopped leaves the version in use as it is, and nothing half written behind.
        """
        self._ending.set()
        ended = self._one_at_a_time.acquire(timeout=timeout_s)
        if ended:
            self._one_at_a_time.release()
        return ended

    def start(self) -> Job:
        """A new job, or the one that is already waiting: a second request before it begins adds nothing."""
        with self._lock:
            waiting = next((job for job in self._jobs.values() if job.status == "queued"), None)
            if waiting is not None:
                return waiting
            job = Job(secrets.token_hex(8))
            self._jobs[job.id] = job
            while len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)
            self._ordered.put(job.id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="rebuild", daemon=True)
                self._thread.start()
        return job

    def _work(self) -> None:
        """Runs jobs in their order, in one thread for good: what libraries keep for a thread that builds (200 KB) is not given
        back when it ends."""
        while True:
            self._run(self._ordered.get())

    def get(self, job_id: str) -> Job | None:
        """The job of an id as it is now, None where there is none."""
        with self._lock:
            return self._jobs.get(job_id)

    def latest(self) -> list[Job]:
        """All jobs that are remembered, newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def waiting(self) -> dict[str, int]:
        """How many are queued and running now."""
        jobs = self.latest()
        return {status: sum(job.status == status for job in jobs) for status in ("queued", "running")}

    def done(self) -> dict[str, Ended]:
        """What ended since the start, by "succeeded" and "failed"."""
        with self._lock:
            return dict(self._done)

    def _set(self, job_id: str, job: Job) -> None:
        with self._lock:
            if job_id in self._jobs:
                self._jobs[job_id] = job

    def _end(self, job: Job, started: float) -> None:
        taken = time.monotonic() - started
        with self._lock:
            self._done[job.status] = Ended(self._done[job.status].count + 1, taken, time.time())
        self._set(job.id, job)
        fields = {"job": job.id, "status": job.status, "seconds": round(taken, 1)}
        if job.status == "succeeded":
            fields |= {
                "version": job.version,
                "added": job.added,
                "changed": job.changed,
                "removed": job.removed,
                "unreadable": len(job.errors),
            }
            _log.info("rebuild ended", extra={"fields": fields})
        else:
            _log.error(
                "rebuild ended: %s", " ".join(one.message for one in job.errors), extra={"fields": fields}
            )

    def _run(self, job_id: str) -> None:
        with self._one_at_a_time:
            state, started = Job(job_id, "running"), time.monotonic()
            if self._ending.is_set():
                self._end(replace(state, status="failed", errors=(JobError("", STOPPED),)), started)
                return
            self._set(job_id, state)
            _log.info("rebuild begins", extra={"fields": {"job": job_id}})

            begun: dict[str, float] = {}

            def progress(stage: str, done: int, total: int) -> None:
                taken = time.monotonic() - begun.setdefault(stage, time.monotonic())
                remaining = remaining_s(taken, done, total)
                self._set(job_id, replace(state, stage=stage, done=done, total=total, remaining_s=remaining))
                if self._ending.is_set() and stage != "waiting":
                    raise BuildRefusedError(STOPPED)

            try:
                report = self._built(progress)
            except (BuildRefusedError, WrongFolderError, StoreUnavailableError) as error:
                self._end(replace(state, status="failed", errors=(JobError("", str(error)),)), started)
            except Exception:
                _log.exception("rebuild %s failed", job_id)
                message = (
                    "索引を作り直せませんでした。前の索引を使い続けます。記録（ログ）を確かめてください。"
                )
                self._end(replace(state, status="failed", errors=(JobError("", message),)), started)
            else:
                self._end(
                    Job(
                        job_id,
                        "succeeded",
                        stage="checking",
                        done=report.chunks,
                        total=report.chunks,
                        added=report.added,
                        changed=report.changed,
                        removed=report.removed,
                        unchanged=report.unchanged,
                        renamed=report.renamed,
                        version=report.version,
                        errors=tuple(JobError(path, message) for path, message in report.errors),
                    ),
                    started,
                )

    def _built(self, progress: Progress) -> BuildReport:
        """Builds, as soon as no other build holds the index; raises BuildBusyError where that does not end."""
        end = time.monotonic() + LONGEST_WAIT_S
        while True:
            try:
                return self._build(progress)
            except BuildBusyError:
                if time.monotonic() > end:
                    raise
            progress("waiting", 0, 0)
            if self._ending.wait(POLL_S):
                raise BuildBusyError(
                    "ほかの索引作成を待っている間に、サーバーが止められました。もう一度、索引を作り直してください。"
                )
