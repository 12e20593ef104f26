"""The log: a record is a line whatever is in it, nothing that people ask or keep secret is in it, and files come and go by days."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_server import Service

from access.people import Person
from build_index import visible
from qa.usage import Usage
from web import logs
from web.logs import NOW, WITHHELD, DayFiles, JsonLines, Now, TextLines, audit, configure

HOSTILE = [
    "a\nb", "a\r\nb", "\x1b[2J\x1b[1;31mred", "\x00", "\x7f", "\x85", "\u2028\u2029", "\u202egnp.exe", "\ud800", "\ufeff",
    "2026-11-22T00:00:00.000+09:00 INFO dxqa.audit change action=remove", 'x" action=remove person="y', "\\n", "{'a': 1}", "%s %d",
]  # fmt: skip
_HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (?:DEBUG|INFO|WARNING|ERROR) [\w.]+ ")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a test configures ends with it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    quiet = {name: logging.getLogger(name).level for name in (*logs.QUIET, "httpx2")}
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    for name, own in quiet.items():
        logging.getLogger(name).setLevel(own)
    logging.captureWarnings(False)


def lines_of(form: logging.Formatter, write: Callable[[logging.Logger], None]) -> list[str]:
    """What a logger of its own writes in a form."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form)
    logger = logging.Logger("dxqa.test", logging.DEBUG)
    logger.addHandler(handler)
    write(logger)
    return stream.getvalue().split("\n")[:-1]


def pairs(line: str) -> dict[str, Any]:
    """The values at the end of a line, read again: bare words, numbers, or JSON."""
    found, decoder = {}, json.JSONDecoder()
    while match := re.search(r" (\w+)=", line):
        rest = line[match.end() :]
        bare = re.match(r"[\w./{}:*+-]+", rest)
        if bare:
            found[match[1]], line = bare[0], rest[bare.end() :]
        else:
            found[match[1]], end = decoder.raw_decode(rest)
            line = rest[end:]
    return found


@given(st.one_of(st.sampled_from(HOSTILE), st.text()), st.one_of(st.sampled_from(HOSTILE), st.text()))
def test_a_record_is_one_line_whatever_is_in_it(message: str, value: str) -> None:
    def write(logger: logging.Logger) -> None:
        logger.info("%s", message, extra={"fields": {"name": value, "files": [value, "b.docx"]}})

    (line,) = lines_of(TextLines(), write)
    assert _HEAD.match(line)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029\u202e\ud800" for c in line)
    own = line[len(_HEAD.match(line)[0]) :].removeprefix(visible(message))  # type: ignore[index]
    assert pairs(own) == {"name": visible(value), "files": [visible(value), "b.docx"]}

    (line,) = lines_of(JsonLines(), write)
    assert line.isprintable() or visible(line) == line.replace("\u3000", "\\u3000") or "\\" in line
    read = json.loads(line)
    assert (read["message"], read["name"], read["files"]) == (visible(message), visible(value), [visible(value), "b.docx"])  # fmt: skip
    assert (read["level"], read["logger"]) == ("INFO", "dxqa.test")


def raised(make: Callable[[], object]) -> Callable[[logging.Logger], None]:
    def write(logger: logging.Logger) -> None:
        try:
            make()
        except BaseException as error:
            logger.error("it failed", exc_info=error)

    return write


@pytest.mark.parametrize("text", HOSTILE)
def test_the_lines_of_a_traceback_cannot_be_taken_for_records(text: str) -> None:
    def fails() -> None:
        raise ValueError(text)

    lines = lines_of(TextLines(), raised(fails))
    assert _HEAD.match(lines[0])
    assert len(lines) > 3
    assert all(line.startswith("  | ") and line.isprintable() for line in lines[1:])
    assert lines[-1] == f"  | builtins.ValueError: {visible(text)}"
    (line,) = lines_of(JsonLines(), raised(fails))
    assert json.loads(line)["traceback"].split("\n") == [one.removeprefix("  | ") for one in lines[1:]]


def test_in_a_request_messages_of_exceptions_that_may_hold_a_question_are_left_out() -> None:
    secret = "ひみ" + "つ"  # the source lines of a traceback are shown

    def chained() -> None:
        try:
            {}[secret]
        except KeyError as error:
            raise RuntimeError(secret) from error

    def group() -> None:
        raise ExceptionGroup(secret, [ValueError(secret), OSError(28, "No space left", "/var/x")])

    def database() -> None:
        sqlite3.connect(":memory:").execute("SELECT 1 FROM missing_table")

    token = NOW.set(Now("0123456789ab", {}))
    try:
        shown = "\n".join(lines_of(TextLines(), raised(chained)) + lines_of(TextLines(), raised(group)))
        told = "\n".join(lines_of(JsonLines(), raised(database)))
    finally:
        NOW.reset(token)
    assert secret not in shown
    assert shown.count(WITHHELD) == 4
    assert "because of it" in shown
    assert "KeyError" in shown
    assert "in chained" in shown
    assert "[Errno 28] No space left: '/var/x'" in shown
    assert "no such table: missing_table" in told
    assert secret in "\n".join(lines_of(TextLines(), raised(chained)))  # beside a request


def test_an_audit_line_says_who_did_what_from_where(tmp_path: Path) -> None:
    configure("json", tmp_path / "log")
    scope = {"client": ("10.0.0.7", 5), "state": {"person": Person("佐藤\n花子")}}
    token = NOW.set(Now("0123456789ab", scope))
    audit("remove", files=["a\x1b[2J.docx"])
    NOW.reset(token)
    audit("rollback", version="v1")
    first, second = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert {key: first[key] for key in ("action", "person", "address", "files", "request_id", "logger")} == {
        "action": "remove", "person": "佐藤\\u000a花子", "address": "10.0.0.7", "files": ["a\\u001b[2J.docx"],
        "request_id": "0123456789ab", "logger": "dxqa.audit",
    }  # fmt: skip
    assert (second["action"], second["version"], "person" in second, "request_id" in second) == (
        "rollback",
        "v1",
        False,
        False,
    )


# ---------------------------------------------------------------- files


def record(text: str = "x") -> logging.LogRecord:
    return logging.LogRecord("dxqa", logging.INFO, "", 0, text, None, None)


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("before\n")
    (tmp_path / "there").chmod(0o666)
    before = os.umask(0)
    try:
        for name in ("there", "new/log"):
            handler = configure("text", tmp_path / name)
            handler.emit(record())
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
    assert (tmp_path / "there").read_text().startswith("before\n")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for name in ("link", "pipe", "folder"):
        with pytest.raises(OSError, match=name):
            DayFiles(tmp_path / name, 3)
    os.close(reading)


def test_files_are_closed_at_the_end_of_the_day_and_removed_after_their_days(tmp_path: Path) -> None:
    today = date.today()
    old = {n: tmp_path / f"log.{today - timedelta(n)}" for n in (1, 3, 4, 400)}
    others = [
        tmp_path / name for name in ("log.txt", "log.2020-01-01.gz", "blog.2020-01-01", "log.2020-13-01")
    ]
    for path in [*old.values(), *others]:
        path.write_text("old")
    handler = DayFiles(tmp_path / "log", 3)
    assert [n for n, path in old.items() if path.exists()] == [1, 3]  # at the start
    assert all(path.exists() for path in others)
    handler.emit(record("first"))
    yesterday = handler.rolloverAt - 24 * 3600
    handler.rolloverAt = yesterday  # midnight has passed
    handler.emit(record("second"))
    assert old[1].read_text() == "old"
    assert (tmp_path / f"{old[1].name}.1").read_text() == "first\n"
    assert (tmp_path / "log").read_text() == "second\n"
    handler.close()


def test_a_day_that_fills_a_file_goes_on_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 100)
    monkeypatch.setattr(logs, "MOST_FILES", 3)
    handler = DayFiles(tmp_path / "log", 3)
    for number in range(60):  # 10 bytes each, 10 a file
        handler.emit(record(f"line {number:04d}"))
    handler.close()
    kept = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert [len(path.read_text().splitlines()) for path in kept] == [10] * 4
    assert [line for path in kept for line in path.read_text().split("\n") if line] == [
        f"line {number:04d}" for number in range(20, 60)
    ]


def test_a_full_disk_is_said_once_and_does_not_stop_anything(tmp_path: Path) -> None:
    """A limit of the system on the size of files stands for the disk."""
    program = """
import logging, resource, sys
from pathlib import Path
from web.logs import configure
handler = configure("text", Path(sys.argv[1]))
log = logging.getLogger("dxqa")
for number in range(200):
    log.info("x" * 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("again")
print("goes on")
"""
    limit = 8 * 1024
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "log")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(logs.__file__).parents[1],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
    )
    assert (done.returncode, done.stdout) == (0, "goes on\n")
    assert done.stderr.count("\n") == 1
    assert "書けません（File too large）" in done.stderr
    assert (tmp_path / "log").read_text().splitlines()[-1].endswith("dxqa again")


# ---------------------------------------------------------------- what is never in it

TOKEN = "himitsu-token-4711"
SECRETS = {
    "token": TOKEN,
    "wrong token": "himitsu-wrong-token",
    "question": "himitsuno窓口の電話番号はいくつですか",
    "page question": "himitsupage予算",
    "history": "himitsuhistory若草市",
    "filter": "himitsufilter市",
    "search": "himitsusearch窓口",
    "comment": "himitsucomment",
    "cookie": "himitsucookie",
    "header": "himitsuheader",
    "path": "himitsupath",
    "words of a file": "himitsufile",
    "failing question": "himitsufails",
    "visitor's address": "10.20.30.40",
    "host": "himitsuhost",
}


def tour(service: Service) -> None:
    """Every kind of request, with something secret in it."""
    visitor = service.from_address(SECRETS["visitor's address"])
    secret = {
        "X-Api-Key": SECRETS["header"],
        "User-Agent": SECRETS["header"],
        "Referer": f"http://127.0.0.1:8000/?q={SECRETS['header']}",
        "Cookie": f"dxqa_admin={SECRETS['cookie']}; other={SECRETS['cookie']}",
    }
    key = {"Authorization": f"Bearer {TOKEN}"}
    asked = {
        "question": SECRETS["question"],
        "history": [SECRETS["history"]],
        "filters": {"organizations": [SECRETS["filter"]]},
    }
    assert visitor.post("/api/ask", json=asked, headers=secret).status_code == 200
    assert visitor.post("/api/ask", json={"question": SECRETS["question"]}).status_code == 200
    for path in ("/", "/api/search", "/export/answer.docx", "/cases", "/api/cases", "/documents", "/similar", "/compare"):  # fmt: skip
        for name in ("q", "h", "organizations", "case"):
            visitor.get(path, params={name: SECRETS["page question"]}, headers=secret)
    visitor.get("/api/search", params={"q": SECRETS["search"], "regions": SECRETS["filter"]}, headers=secret)
    visitor.post("/api/ask", content=b'{"question": "' + SECRETS["question"].encode())  # not JSON
    visitor.post("/api/ask", json={"question": [SECRETS["question"]]})
    visitor.post("/api/ask", json={"question": SECRETS["question"] * 200})
    visitor.post("/api/ask", content=SECRETS["question"].encode() * 20_000)  # 413
    visitor.post("/feedback", data={"q": SECRETS["question"], "useful": "no", "comment": SECRETS["comment"]})
    visitor.get(f"/{SECRETS['path']}", params={"q": SECRETS["question"]})
    visitor.get(f"/documents/{SECRETS['path']}")
    visitor.get(f"/static/{SECRETS['path']}%0d%0aX: {SECRETS['path']}")
    visitor.request(SECRETS["path"].upper(), f"/cases/{SECRETS['path']}")
    visitor.get("/", headers={"Host": f"{SECRETS['host']}.example.jp"})
    visitor.get("/api/uploads", headers={"Authorization": f"Bearer {SECRETS['wrong token']}"})
    visitor.get("/metrics", headers={"Authorization": f"Basic {SECRETS['wrong token']}"})
    client = service.from_address("127.0.0.1")
    same = {"Origin": "http://127.0.0.1:8000"}
    client.post("/admin/login", data={"token": SECRETS["wrong token"]}, headers=same)
    assert client.post("/admin/login", data={"token": TOKEN}, headers=same, follow_redirects=False).status_code == 303  # fmt: skip
    client.post("/admin/logout", headers=same)
    files = {"files": ("予算の資料.txt", f"見出し\n\n{SECRETS['words of a file']}の本文です。".encode())}
    assert client.post("/api/uploads", files=files, headers=key).status_code == 201
    (waiting,) = client.get("/api/uploads", headers=key).json()["uploads"]
    assert client.delete(f"/api/uploads/{waiting['id']}", headers=key).status_code == 200
    assert client.post("/api/documents", files=files, headers=key).status_code in {202, 422}
    assert client.post("/api/index/rebuild", headers=key).status_code == 202

    def fails(text: str) -> Any:
        raise ValueError(f"cannot encode {text!r}")

    working, service.encoder.encode_question = service.encoder.encode_question, fails  # type: ignore[method-assign]
    assert visitor.post("/api/ask", json={"question": SECRETS["failing question"]}).status_code == 500
    assert visitor.get("/", params={"q": SECRETS["failing question"]}).status_code == 500
    service.encoder.encode_question = working  # type: ignore[method-assign]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_in_the_log_of_a_whole_tour(form: logs.Form, tmp_path: Path) -> None:
    configure(form, tmp_path / "log", level=logging.DEBUG)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # the visitor's own log
    usage = Usage(tmp_path / "usage.sqlite3", 30)
    service = Service(tmp_path / "service", token=TOKEN, usage=usage)
    tour(service)
    usage.close()
    logged = (tmp_path / "log").read_text(encoding="utf-8")
    found = [name for name, secret in SECRETS.items() if secret.lower() in logged.lower()]
    assert found == []
    for line in logged.splitlines():
        if form == "json":
            json.loads(line)
        else:
            assert _HEAD.match(line) or line.startswith("  | "), line
    # and what should be in it is
    for word in (
        "action",
        "sign-in",
        "upload",
        "discard",
        "rebuild",
        "/api/ask",
        "ValueError",
        "予算",
        "DEBUG",
    ):
        assert word in logged, word
    assert "\x1b" not in logged
