"""Rebuilds in the background: their states, one at a time, and what a failure says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from index.build import BuildBusyError, BuildRefusedError, BuildReport, NothingToIndexError, Progress
from index.jobs import KEPT, STOPPED, Job, JobError, Jobs, remaining_s
from web.view import about

REPORT = BuildReport(
    version="v1", documents=4, cases=2, chunks=30, added=1, changed=2, renamed=5, removed=3, unchanged=4,
    encoded=5, reused=6, seconds=0.1, errors=(("b.pdf", "読めません"),),
)  # fmt: skip


def wait_for(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not check():
        assert time.monotonic() < end, "nothing happened in 10 s"
        time.sleep(0.002)


def finished(jobs: Jobs, job: Job) -> Job:
    def ended() -> bool:
        now = jobs.get(job.id)
        return now is not None and now.status in {"succeeded", "failed"}

    wait_for(ended)
    last = jobs.get(job.id)
    assert last is not None
    return last


def test_a_job_from_begin_to_end() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def build(progress: Progress) -> BuildReport:
        progress("encoding", 3, 10)
        inside.set()
        assert go_on.wait(10)
        return REPORT

    jobs = Jobs(build)
    job = jobs.start()
    assert (job.status, job.errors) == ("queued", ())
    assert inside.wait(10)
    assert jobs.get(job.id) == Job(job.id, "running", "encoding", 3, 10)
    go_on.set()
    last = finished(jobs, job)
    assert (last.status, last.added, last.changed, last.removed, last.unchanged) == ("succeeded", 1, 2, 3, 4)
    assert (last.renamed, last.version) == (5, "v1")
    assert (last.done, last.total) == (30, 30)
    assert last.errors == (JobError("b.pdf", "読めません"),)


def test_an_unknown_id() -> None:
    assert Jobs(lambda progress: REPORT).get("no") is None


@pytest.mark.parametrize("error", [BuildRefusedError("実行中です。"), NothingToIndexError("実行中です。")])
def test_a_refused_build_says_why(error: Exception) -> None:
    def build(progress: Progress) -> BuildReport:
        raise error

    jobs = Jobs(build)
    last = finished(jobs, jobs.start())
    assert (last.status, last.errors) == ("failed", (JobError("", "実行中です。"),))


def test_an_unexpected_error_shows_no_insides_and_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def build(progress: Progress) -> BuildReport:
        raise KeyError("/secret/path")

    jobs = Jobs(build)
    last = finished(jobs, jobs.start())
    assert last.status == "failed"
    assert "secret" not in last.errors[0].message
    assert last.errors[0].message.endswith("確かめてください。")
    assert "/secret/path" in caplog.text


def test_one_build_at_a_time_and_one_waiting() -> None:
    go_on = threading.Event()
    running, most, calls = 0, 0, 0

    def build(progress: Progress) -> BuildReport:
        nonlocal running, most, calls
        running, calls = running + 1, calls + 1
        most = max(most, running)
        assert go_on.wait(10)
        running -= 1
        return REPORT

    jobs = Jobs(build)
    first = jobs.start()
    wait_for(lambda: calls == 1)
    second = jobs.start()  # what changed after the first began needs another build …
    third = jobs.start()  # … and that one is enough
    assert first.id != second.id == third.id
    waiting = jobs.get(second.id)
    assert waiting is not None
    assert waiting.status == "queued"
    go_on.set()
    assert {finished(jobs, first).status, finished(jobs, second).status} == {"succeeded"}
    assert (most, calls) == (1, 2)


def test_a_failed_build_does_not_stop_the_next() -> None:
    answers = iter([RuntimeError("first"), None])

    def build(progress: Progress) -> BuildReport:
        error = next(answers)
        if error is not None:
            raise error
        return REPORT

    jobs = Jobs(build)
    assert finished(jobs, jobs.start()).status == "failed"
    assert finished(jobs, jobs.start()).status == "succeeded"


def test_old_jobs_are_forgotten() -> None:
    jobs = Jobs(lambda progress: REPORT)
    ids = [finished(jobs, jobs.start()).id for _ in range(KEPT + 5)]
    assert [jobs.get(job_id) is None for job_id in ids] == [True] * 5 + [False] * KEPT


def test_a_job_waits_while_another_build_holds_the_index() -> None:
    tries = 0

    def build(progress: Progress) -> BuildReport:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise BuildBusyError("実行中です。")
        return REPORT

    jobs = Jobs(build)
    job = jobs.start()
    wait_for(lambda: (now := jobs.get(job.id)) is not None and now.stage == "waiting")
    assert jobs.get(job.id) == Job(job.id, "running", "waiting")
    assert (finished(jobs, job).status, tries) == ("succeeded", 3)


def test_a_wait_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(progress: Progress) -> BuildReport:
        raise BuildBusyError("実行中です。")

    monkeypatch.setattr("index.jobs.LONGEST_WAIT_S", -1.0)
    jobs = Jobs(build)
    assert finished(jobs, jobs.start()).errors == (JobError("", "実行中です。"),)
    monkeypatch.undo()
    job = jobs.start()
    wait_for(lambda: (now := jobs.get(job.id)) is not None and now.stage == "waiting")
    jobs.close()
    assert "サーバーが止められました" in finished(jobs, job).errors[0].message


def test_a_build_ends_when_the_server_does() -> None:
    calls = 0

    def build(progress: Progress) -> BuildReport:
        nonlocal calls
        calls += 1
        while True:
            progress("encoding", 1, 2)
            time.sleep(0.01)

    jobs = Jobs(build)
    running = jobs.start()
    wait_for(lambda: (now := jobs.get(running.id)) is not None and now.stage == "encoding")
    queued = jobs.start()
    assert jobs.close(10)
    for job in (running, queued):
        assert finished(jobs, job).errors == (JobError("", STOPPED),)
    assert calls == 1
    deaf = threading.Event()
    jobs = Jobs(lambda progress: (deaf.wait(20), REPORT)[1])
    job = jobs.start()
    wait_for(lambda: (now := jobs.get(job.id)) is not None and now.status == "running")
    assert not jobs.close(0.05), "one that does not look is not waited for"
    deaf.set()
    finished(jobs, job)


def test_the_time_that_remains() -> None:
    assert remaining_s(20.0, 100, 400) == 60
    assert remaining_s(20.0, 400, 400) == 0
    assert remaining_s(20.0, 0, 400) is None
    assert remaining_s(2.9, 100, 400) is None  # that early it would be a guess
    words = [about(seconds) for seconds in (0, 10, 11, 41, 60, 61, 3541, 3600, 4000, 9100)]
    assert words == [
        "10秒以内",
        "10秒以内",
        "約20秒",
        "約50秒",
        "約1分",
        "約2分",
        "約1時間",
        "約1時間",
        "約1時間10分",
        "約2時間40分",
    ]


def test_a_job_says_how_long_its_stage_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.jobs.KNOWN_S", 0.05)
    seen: list[tuple[str, int | None]] = []

    def slow(progress: Progress) -> BuildReport:
        for done in range(4):
            progress("encoding", done, 4)
            job = jobs.latest()[0]
            seen.append((job.stage, job.remaining_s))
            time.sleep(0.6)
        progress("writing", 0, 1)
        seen.append((jobs.latest()[0].stage, jobs.latest()[0].remaining_s))
        raise BuildRefusedError("終わり")

    jobs = Jobs(slow)
    jobs.start()
    end = time.monotonic() + 20
    while jobs.latest()[0].status not in {"succeeded", "failed"}:
        assert time.monotonic() < end
        time.sleep(0.02)
    # 0.6 s each: after one 1.8 s are left, after two 1.2, after three 0.6; another stage begins anew
    assert seen == [("encoding", None), ("encoding", 2), ("encoding", 1), ("encoding", 1), ("writing", None)]
    assert jobs.latest()[0].remaining_s is None
