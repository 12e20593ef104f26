"""What is recorded of questions and ratings, against a recount in plain Python; nothing disturbs an answer."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import database
from database import DatabaseUnavailableError
from qa import usage as usage_module
from qa.answer import AnswerSentence, AnswerText, AppliedFilters, Reply, Understood
from qa.cite import Citation, Scores
from qa.masking import PHONE, cleaned, folded, masked
from qa.usage import RATINGS_A_MINUTE, WAITING_MOST, Rating, TooManyRatingsError, Usage, key_of
from qa.usage_file import UsageFile
from qa.usage_report import UsageReport, asking, report

REPOSITORY = Path(__file__).resolve().parent.parent
NOON = datetime(2026, 11, 21, 12, 0)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def citation(number: int, document: str) -> Citation:
    return Citation(
        id=number, rank=number, score=0.5, scores=Scores(None, None), chunk_id=f"{number:016x}",
        document_id=document, document_title=f"資料{document}", path=f"{document}.txt", format="txt", case=None,
        heading_path=(), page=None, page_label="", row=None, place="", line_start=1, line_end=1, char_start=0,
        char_end=1, text="x", highlights=(), url="/",
    )  # fmt: skip


def reply(
    question: str,
    *,
    reason: str | None = None,
    quoted: tuple[str, ...] = ("a",),
    shown: tuple[str, ...] = (),
    took_ms: float = 10.0,
    organizations: tuple[str, ...] = (),
) -> Reply:
    """A reply that quotes some documents and shows others."""
    documents = [*quoted, *shown]
    sentences = tuple(AnswerSentence("x", (number,)) for number in range(1, len(quoted) + 1))
    none: tuple[str, ...] = ()
    filters = AppliedFilters(
        none, none, organizations, none, none, none, none, none, None, None, None, ("organizations",)
    )
    return Reply(
        question, reason is None, reason, AnswerText("x", "extractive", () if reason else sentences),
        tuple(citation(number, name) for number, name in enumerate(documents, 1)), filters,
        Understood("text", question, (), (), (), ()), "v1", took_ms,
    )  # fmt: skip


def pairs(question: str, *history: str) -> list[tuple[str, str]]:
    return [*(("h", text) for text in history), ("q", question)]


def ask(usage: Usage, question: str, *history: str, **more: object) -> None:
    usage.record(reply(question, **more), pairs(question, *history), "page")  # type: ignore[arg-type]


def rate(usage: Usage, question: str, useful: bool, comment: str = "", ticket: str = "") -> str:
    return usage.rate(Rating(question, tuple(pairs(question)), useful, comment, True, "v1", ("0a",), ticket))


def read(usage: Usage, since: str = "") -> UsageReport:
    usage.flush(10)
    assert usage.file is not None
    with usage.file.reading() as connection:
        return report(connection, since)


def rows(usage: Usage, table: str = "questions") -> list[dict[str, object]]:
    usage.flush(10)
    assert usage.file is not None
    with usage.file.reading() as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY id")]


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that stands still for some seconds, under other tests, is not what these look at."""
    monkeypatch.setattr(database, "BUSY_S", 30.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def usage(tmp_path: Path, clock: Clock) -> Iterator[Usage]:
    made = Usage(tmp_path / "records" / "usage.sqlite3", 30, clock=clock)
    yield made
    made.close()


def wait_for(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end, "nothing happened in 20 s"
        time.sleep(0.005)


# ---------------------------------------------------------------- what is kept


def test_a_question_as_it_is_kept(usage: Usage) -> None:
    usage.record(
        reply("ＣＤＯの電話は？", quoted=("a", "b", "a"), shown=("c",), organizations=("つくし県",)),
        pairs("ＣＤＯの電話は？", "前の質問"),
        "api",
    )
    (row,) = rows(usage)
    assert json.loads(str(row.pop("state"))) == [["h", "前の質問"], ["q", "ＣＤＯの電話は？"]]
    assert row == {
        "id": 1, "at": "2026-11-21T12:00", "key": "前の質問\ncdoの電話は", "question": "ＣＤＯの電話は？", "way": "api",
        "answerable": 1, "reason": None, "index_version": "v1", "took_ms": 10.0, "citations": 4,
        "top_document": "a", "filters": "organizations",
    }  # fmt: skip
    found = read(usage)
    assert [(d.path, d.title, d.times) for d in found.quoted] == [
        ("a.txt", "資料a", 1),
        ("b.txt", "資料b", 1),
    ]


def test_what_had_no_answer_quotes_nothing(usage: Usage) -> None:
    ask(usage, "火星の予算", reason="unknown_organization", quoted=("a",))
    found = read(usage)
    assert found.quoted == ()
    assert [(q.question, q.reason, q.answered_since) for q in found.unanswered] == [
        ("火星の予算", "unknown_organization", False)
    ]


def test_personal_data_is_masked_before_it_is_kept(usage: Usage, tmp_path: Path) -> None:
    secret = "090-1234-5678"
    usage.record(
        reply(f"{secret}は誰"),
        [("h", f"前に{secret}"), ("q", f"{secret}は誰"), ("organizations", secret)],
        "page",
    )
    rate(usage, f"{secret}は誰", False, f"{secret}に電話して taro@example.jp")
    assert {row["question"] for row in rows(usage)} == {f"{PHONE}は誰"}
    assert read(usage).rated[0].comment == f"{PHONE}に電話して 〔メールアドレス〕"
    usage.close()
    assert secret.encode() not in everything(tmp_path)
    assert b"taro" not in everything(tmp_path)


def test_a_page_that_is_loaded_again_counts_once(usage: Usage, clock: Clock) -> None:
    for minutes in (0, 4, 9, 10, 12, 25):
        clock.now = NOON + timedelta(minutes=minutes)
        ask(
            usage, "窓口は？" if minutes != 4 else "窓口は"
        )  # another way of typing is another page, of the same question
    assert [str(row["at"])[-5:] for row in rows(usage)] == ["12:00", "12:04", "12:10", "12:25"]
    assert [(q.question, q.times) for q in read(usage).often] == [("窓口は？", 4)]


def test_the_same_words_after_other_questions_are_another_question(usage: Usage) -> None:
    ask(usage, "そこの人口は？", "若草市")
    ask(usage, "そこの人口は？", "小石原村")
    ask(usage, "そこの人口は？")
    assert sorted(q.times for q in read(usage).often) == [1, 1, 1]


def test_a_rating_with_a_ticket_takes_the_place_of_the_first(usage: Usage) -> None:
    ticket = rate(usage, "窓口は", True)
    assert rate(usage, "窓口は", False, "やはり", ticket) == ticket
    assert [(r.useful, r.comment) for r in read(usage).rated] == [(False, "やはり")]
    other = rate(usage, "別の質問", True, "", ticket)  # of another question it is no ticket
    assert other != ticket
    assert len(read(usage).rated) == 2


def test_a_long_state_is_kept_without_what_came_before(usage: Usage) -> None:
    ask(usage, "問い", *["長い質問" * 100] * 20)
    assert json.loads(str(rows(usage)[0]["state"])) == [["q", "問い"]]


# ---------------------------------------------------------------- against a recount

TEXTS = st.text(max_size=40)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 4000),  # minutes after the event before
        st.sampled_from(["窓口は？", "窓口は", "ＣＤＯ", "cdo？", "費用"])
        | TEXTS.filter(lambda text: cleaned(text) != ""),
        st.sampled_from([None, "no_match", "value_not_stated"]),
        st.lists(st.sampled_from("abc"), unique=True, max_size=3),
        st.none() | st.tuples(st.booleans(), TEXTS),
        st.floats(0, 1000, width=32),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_the_report_is_a_plain_recount(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[int, str, str | None, list[str], tuple[bool, str] | None, float]],
) -> None:
    clock = Clock()
    usage = Usage(tmp_path_factory.mktemp("u") / "u", 3000, clock=clock)
    counted: list[tuple[datetime, str, str, str | None, tuple[str, ...], float]] = []
    rated: list[tuple[datetime, str, bool, str]] = []
    for minutes, question, reason, documents, rating, took in events:
        clock.now += timedelta(minutes=minutes)
        ask(usage, question, reason=reason, quoted=tuple(documents), took_ms=took)
        clean = masked(cleaned(question))
        repeated = any(
            clock.now - when < timedelta(minutes=10) and masked(cleaned(other)) == clean
            for when, other, *_ in counted
        )
        if not repeated:
            quoted = tuple(documents) if reason is None else ()
            counted.append((clock.now, question, clean, reason, quoted, took))
        if rating is not None:
            try:
                rate(usage, question, *rating)
            except TooManyRatingsError:
                continue
            rated.append((clock.now, clean, rating[0], masked(cleaned(rating[1]))))
    since = (clock.now - timedelta(days=2)).date()
    found = read(usage, since.isoformat())
    usage.close()

    within = [entry for entry in counted if entry[0].date() >= since]
    opinions = [entry for entry in rated if entry[0].date() >= since]
    assert found.numbers.questions == len(within)
    assert found.numbers.answered == sum(entry[3] is None for entry in within)
    assert (found.numbers.ratings, found.numbers.useful) == (
        len(opinions),
        sum(entry[2] for entry in opinions),
    )
    times = sorted(entry[5] for entry in within)
    if times:
        assert found.numbers.median_ms == pytest.approx(
            (times[(len(times) - 1) // 2] + times[len(times) // 2]) / 2
        )
    days = Counter((entry[0].date().isoformat(), entry[3] is None) for entry in within)
    assert [(d.day, d.answered, d.unanswered) for d in found.days] == [
        (day, days[day, True], days[day, False]) for day in sorted({day for day, _ in days})
    ]
    keys = Counter(folded(entry[2]) for entry in within)
    assert Counter({folded(q.question): q.times for q in found.often}) == keys
    assert [q.times for q in found.often] == sorted(keys.values(), reverse=True)
    for q in found.often:
        assert q.question == [entry[2] for entry in within if folded(entry[2]) == folded(q.question)][-1]
        assert (q.useful, q.not_useful) == (
            sum(o[2] for o in opinions if folded(o[1]) == folded(q.question)),
            sum(not o[2] for o in opinions if folded(o[1]) == folded(q.question)),
        )
    missing = Counter(folded(entry[2]) for entry in within if entry[3] is not None)
    assert Counter({folded(q.question): q.times for q in found.unanswered}) == missing
    for gap in found.unanswered:
        same = [entry for entry in counted if folded(entry[2]) == folded(gap.question)]
        assert gap.answered_since == (same[-1][3] is None)
        assert gap.reason == [entry[3] for entry in same if entry[3] is not None and entry in within][-1]
    documents_used = Counter(name for entry in within for name in entry[4])
    assert {d.document_id: d.times for d in found.quoted} == documents_used
    assert Counter((r.question, r.useful, r.comment) for r in found.rated) == Counter(o[1:] for o in opinions)


def test_the_key_of_a_question() -> None:
    assert key_of("ＣＤＯ は？", pairs("x", "前 の")) == "前の\ncdoは"
    assert key_of("090-1234-5678は", []) == key_of("03-1234-5678は？", [])


# ---------------------------------------------------------------- off, old, removed


def test_off_leaves_no_file(tmp_path: Path) -> None:
    for usage in (Usage(tmp_path / "u", 0), Usage(None, 180)):
        usage.start()
        ask(usage, "窓口は")
        with pytest.raises(DatabaseUnavailableError):
            rate(usage, "窓口は", True)
        usage.flush()
        usage.close()
        assert not usage.on
    assert list(tmp_path.iterdir()) == []
    assert not any(thread.name == "usage" for thread in threading.enumerate())


def test_old_records_are_removed_at_the_start_and_are_nowhere(tmp_path: Path) -> None:
    clock = Clock(NOON - timedelta(days=31))
    usage = Usage(tmp_path / "u", 30, clock=clock)
    ask(usage, "とても古い質問")
    rate(usage, "とても古い質問", False, "とても古いひとこと")
    clock.now = NOON - timedelta(days=30)
    ask(usage, "まだ残る質問", quoted=("b",))
    usage.close()
    assert "とても古い".encode() in everything(tmp_path)
    later = Usage(tmp_path / "u", 30, clock=Clock())
    later.start()
    wait_for(lambda: "とても古い".encode() not in everything(tmp_path))
    assert [q.question for q in read(later).often] == ["まだ残る質問"]
    assert read(later).rated == ()
    later.close()
    assert "資料a".encode() not in everything(tmp_path)  # nor the document that only it quoted


def test_old_records_are_removed_every_day(
    usage: Usage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_module, "_DAY_S", 0.05)
    ask(usage, "窓口は")
    assert read(usage).numbers.questions == 1
    clock.now += timedelta(days=31)
    wait_for(lambda: read(usage).numbers.questions == 0)


def test_removing(usage: Usage, clock: Clock, tmp_path: Path) -> None:
    ask(usage, "消す質問")
    clock.now += timedelta(hours=1)
    ask(usage, "消す質問？")
    ask(usage, "残す質問")
    rate(usage, "消す質問", False, "消す評価")
    rate(usage, "残す質問", False, "消すひとこと")
    found = read(usage)
    row = next(q.id for q in found.often if q.question == "消す質問？")
    assert usage.remove_question(row)
    assert not usage.remove_question(row)
    assert [q.question for q in read(usage).often] == ["残す質問"]
    (rating,) = read(usage).rated
    assert usage.remove_rating(rating.id)
    assert not usage.remove_rating(rating.id)
    assert "消す".encode() not in everything(tmp_path)
    usage.clear()
    assert read(usage) == report_of_nothing()
    assert "残す".encode() not in everything(tmp_path)


def report_of_nothing() -> UsageReport:
    from qa.usage_report import EMPTY

    return EMPTY


# ---------------------------------------------------------------- trouble


def test_trouble_with_the_file_is_said_and_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_module, "RETRY_S", 0.02)
    path = tmp_path / "u"
    path.write_bytes(b"this is no database" * 500)
    usage = Usage(path, 30, clock=Clock())
    with caplog.at_level(logging.WARNING, "dxqa.usage"):
        for number in range(20):
            ask(usage, f"質問{number}")
        wait_for(lambda: usage.problem is not None)
        usage.flush(0.2)
        time.sleep(0.2)
    assert usage.problem is not None
    assert usage.problem.kind == "damaged"
    assert len(caplog.records) == 1  # said once, not with every question
    assert "質問" not in caplog.records[0].getMessage()
    with pytest.raises(DatabaseUnavailableError):
        rate(usage, "質問", True)
    assert usage.set_aside().startswith("u.")
    wait_for(lambda: usage.problem is None and not usage._waiting)
    assert read(usage).numbers.questions == 20  # nothing was lost meanwhile
    usage.close()


def test_a_locked_file_is_written_once_it_is_free(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    monkeypatch.setattr(usage_module, "RETRY_S", 0.05)
    assert usage.file is not None
    with usage.file.writing():
        started = time.monotonic()
        for number in range(50):
            ask(usage, f"質問{number}")
        assert time.monotonic() - started < 1  # nobody waits for the lock
        wait_for(lambda: usage.problem is not None)
        assert usage.problem is not None
        assert usage.problem.kind == "busy"
        with pytest.raises(DatabaseUnavailableError):
            rate(usage, "質問", True)
    wait_for(lambda: usage.problem is None and not usage._waiting)
    assert read(usage).numbers.questions == 50


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_module, "RETRY_S", 0.02)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    usage = Usage(tmp_path / "file" / "u", 30)
    for number in range(WAITING_MOST + 25):
        ask(usage, f"質問{number}")
    assert len(usage._waiting) == WAITING_MOST
    assert usage.lost == 25
    usage.close()


def test_a_full_file_lets_its_oldest_rows_go(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    usage = Usage(UsageFile(tmp_path / "u", max_bytes=400 * 4096), 30, clock=clock)
    for number in range(2000):
        ask(usage, f"質問{number}" + "長" * 100)
        if number % 100 == 0:
            usage.flush(10)
    usage.flush(10)
    assert usage.problem is None
    assert (tmp_path / "u").stat().st_size <= 400 * 4096
    kept = [int(str(row["question"]).removeprefix("質問").rstrip("長")) for row in rows(usage)]
    assert kept == list(range(kept[0], 2000))  # the newest, without a gap
    assert 0 < kept[0] < 1500
    assert "full" in caplog.text
    usage.close()


def test_ratings_are_bounded(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(usage_module.time, "monotonic", lambda: now[0])
    for _ in range(RATINGS_A_MINUTE):
        rate(usage, "窓口は", True)
    with pytest.raises(TooManyRatingsError):
        rate(usage, "窓口は", True)
    now[0] += 61
    rate(usage, "窓口は", True)
    assert len(rows(usage, "ratings")) == RATINGS_A_MINUTE + 1


# ---------------------------------------------------------------- many at once, and the end


def test_many_write_while_others_read_and_remove(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_module, "RATINGS_A_MINUTE", 10_000)
    wrong: list[BaseException] = []
    done = threading.Event()

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def asker(name: int) -> Callable[[], None]:
        return lambda: [ask(usage, f"質問{name}-{number}") for number in range(40)] and None

    def rater(name: int) -> Callable[[], None]:
        return lambda: [rate(usage, f"評価{name}", number % 2 == 0) for number in range(15)] and None

    def reader() -> None:
        while not done.is_set():
            found = read(usage)
            assert sum(d.answered + d.unanswered for d in found.days) == found.numbers.questions
            assert sum(q.times for q in found.often) == found.numbers.questions
            usage.remove_rating(10**9)

    writers = [guarded(work(name)) for name in range(4) for work in (asker, rater)]
    readers = [guarded(reader) for _ in range(2)]
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    found = read(usage)
    assert (found.numbers.questions, found.numbers.ratings) == (160, 60)


_SERVICE = """
import sys, time
sys.path.insert(0, "tests")
from pathlib import Path
from qa.usage import Usage
from test_usage import ask
usage = Usage(Path(sys.argv[1]), 30)
number = 0
while True:
    ask(usage, f"質問{sys.argv[2]}-{number}")
    number += 1
    if number % 20 == 0:
        usage.flush(10)
        print(number, flush=True)
"""


def test_a_service_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    path, said = tmp_path / "u", 0
    for turn in range(3):
        running = subprocess.Popen(
            [sys.executable, "-c", _SERVICE, str(path), str(turn)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert running.stdout is not None
        for _ in range(5):
            last = int(running.stdout.readline())
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        running.stdout.close()
        said += last
        usage = Usage(path, 30)
        assert usage.file is not None
        with usage.file.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert read(usage).numbers.questions >= said
        usage.close()


def test_closing_loses_nothing_and_opens_again(usage: Usage) -> None:
    for turn in range(3):
        for number in range(200):
            ask(usage, f"質問{turn}-{number}")
        usage.close()
        assert not usage._waiting
        assert usage._thread is None
    assert read(usage).numbers.questions == 600


def test_every_question_as_a_list(usage: Usage) -> None:
    ask(usage, "一つ目", "前")
    ask(usage, "二つ目", reason="no_match", quoted=("b",))
    usage.flush(10)
    assert usage.file is not None
    with usage.file.reading() as connection:
        found = list(asking(connection, ""))
    assert [(q.question, q.way, q.answerable, q.reason, q.top_document) for q in found] == [
        ("一つ目", "page", True, None, "a.txt"),
        ("二つ目", "page", False, "no_match", "b"),
    ]


def test_nothing_is_taken_for_old_by_a_clock_that_has_just_leapt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three years ahead, back again: all is there. Three years ahead for a day: then it is three years later."""
    passed = [0.0]
    monkeypatch.setattr("qa.usage.time.monotonic", lambda: passed[0])
    clock = Clock()
    usage = Usage(tmp_path / "u", 30, clock=clock)
    usage.rate(Rating("窓口は？", (("q", "窓口は？"),), True))
    usage.purge()
    clock.now += timedelta(days=3 * 365)
    usage.purge()
    assert "leapt" in caplog.text
    again = Usage(tmp_path / "u", 30, clock=clock)  # started with the wrong clock
    again.purge()
    assert count(usage) == 1
    clock.now += timedelta(days=1)
    passed[0] += 24 * 3600
    again.purge()
    assert count(usage) == 0


def count(usage: Usage) -> int:
    assert usage.file is not None
    with usage.file.reading() as connection:
        return int(connection.execute("SELECT count(*) FROM ratings").fetchone()[0])
