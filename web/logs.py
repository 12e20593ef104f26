"""The log of a running server: how a line looks, where it goes, how long it is kept, and what never gets into it.

In: records of Python's logging, from this program and its libraries. Out: a line each, on standard error or in a file that is changed
every day. Nothing is known of documents or of the index; of a request only its number, who an administrator is and from where.

    2026-11-22T17:01:50.123+09:00 INFO dxqa.access [5f0c2a9be413] request method=GET route=/cases/{case_id} status=200 ms=3.1 bytes=5320

A record is one line whatever is in it: control characters, line breaks and marks that turn the direction of writing stand as
「\\u000a」, and the lines of a traceback begin with 「  | 」 (text) or are one field (JSON). Values stand as `key=value`, in quotation marks
where they could be mistaken for something else.

What people ask is not for the log. Messages of exceptions may hold it (「KeyError: '…'」), so during a request only their types and
places are written, with the message where it can only be about files, the memory or the databases, or where the exception is ours.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import sqlite3
import stat
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import TextIOWrapper
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any, Literal

from pythonjsonlogger.json import JsonFormatter

from build_index import visible

Form = Literal["text", "json"]
FORMS: tuple[Form, ...] = ("text", "json")
DAYS, MOST_DAYS = 30, 3650
"""How long a log file is kept: long enough to look back over a month's end."""
MOST_BYTES = 100 * 2**20
"""Of one file: a day of 600,000 requests. A file that reaches it is closed and the day goes on in another."""
MOST_FILES = 50
"""Closed files, however young: a flood must not fill the disk."""
QUIET = ("httpx2", "openai", "httpx", "bm25s", "sentence_transformers", "mcp")
"""Libraries that tell every step."""
_PLAIN = re.compile(r"[\w./{}:*+-]+")
_OURS = frozenset({"corpus", "index", "qa", "web", "server", "build_index", "database", "access", "ops"})
_SPEAKING = (OSError, MemoryError, sqlite3.Error)
WITHHELD = "(message withheld: it may hold what was asked)"

_audit = logging.getLogger("dxqa.audit")


# ---------------------------------------------------------------- what is going on


@dataclass(slots=True)
class Now:
    """The request that is being answered: its number (「受付番号」), and the server's own record of it, which may name who asks."""

    id: str
    scope: Mapping[str, Any]
    audited: bool = False

    @property
    def person(self) -> str | None:
        """The name of who was recognised (`access.people.Person`)."""
        name = getattr((self.scope.get("state") or {}).get("person"), "name", None)
        return None if name is None else str(name)

    @property
    def address(self) -> str | None:
        """Where the request comes from."""
        return self.scope["client"][0] if self.scope.get("client") else None


NOW: ContextVar[Now | None] = ContextVar("request", default=None)
"""Set for each request; threads that answer it see it too."""


def audit(action: str, **what: Any) -> None:
    """Writes who changed something, from where, and what: a line of 「dxqa.audit」.

    Only these lines say who and from where: those who read and ask are not written down.
    """
    now = NOW.get()
    who: dict[str, Any] = {}
    if now is not None:
        now.audited = True
        who = {"person": now.person, "address": now.address}
    fields = {"action": action} | {key: value for key, value in who.items() if value} | what
    _audit.info("change", extra={"fields": fields})


# ---------------------------------------------------------------- how a line looks


def _plain(value: Any) -> Any:
    """A value with every text in it made visible."""
    if isinstance(value, str):
        return value if value.isprintable() else visible(value)
    if isinstance(value, Mapping):
        return {str(_plain(str(key))): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return value


def _pair(key: str, value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return f"{key}={value}"
    return f"{key}={json.dumps(value, ensure_ascii=False, default=str)}"


def told(error: BaseException, withhold: bool, seen: frozenset[int] = frozenset()) -> Iterator[str]:
    """The lines of a traceback, what happened first at the top; messages left out where `withhold` and they may hold a question."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    seen |= {id(error)}
    if before is not None and id(before) not in seen:
        yield from told(before, withhold, seen)
        yield "then" if error.__cause__ is None else "because of it"
    for entry in traceback.extract_tb(error.__traceback__):
        yield f'File "{entry.filename}", line {entry.lineno}, in {entry.name}'
        yield f"  {entry.line}"
    kind = type(error)
    speaks = not withhold or isinstance(error, _SPEAKING) or kind.__module__.split(".")[0] in _OURS
    yield f"{kind.__module__}.{kind.__qualname__}: {str(error) if speaks else WITHHELD}"
    if isinstance(error, BaseExceptionGroup):
        for number, one in enumerate(error.exceptions, 1):
            yield from (f"  {number}: {line}" for line in told(one, withhold, seen))


def _traceback(record: logging.LogRecord) -> list[str]:
    """The lines of a record's exception, each of them visible."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return []
    return [_plain(line) for line in told(error, withhold=NOW.get() is not None)]


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


class TextLines(logging.Formatter):
    """A record as a line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the lines of a traceback."""
        now = NOW.get()
        words = [_moment(record), record.levelname, _plain(record.name)]
        if now is not None:
            words.append(f"[{now.id}]")
        words.append(_plain(record.getMessage()))
        fields = getattr(record, "fields", {})
        words += [_pair(key, _plain(value)) for key, value in fields.items()]
        return "\n  | ".join([" ".join(words), *_traceback(record)])


class JsonLines(JsonFormatter):
    """A record as a JSON object: time, level, logger, message, request_id during a request, the record's own fields, and traceback."""

    def __init__(self) -> None:
        super().__init__(json_ensure_ascii=False)

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fills in what the object says; what libraries add to their records is left out."""
        now, lines = NOW.get(), _traceback(record)
        log_data |= {"time": _moment(record), "level": record.levelname, "logger": record.name}
        log_data["message"] = record.getMessage()
        if now is not None:
            log_data["request_id"] = now.id
        log_data |= getattr(record, "fields", {})
        if lines:
            log_data["traceback"] = "\n".join(lines)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """The object with every text visible; a traceback keeps its line breaks, which JSON writes as 「\\n」."""
        lines = log_data.pop("traceback", None)
        made: dict[str, Any] = _plain(log_data)
        return made if lines is None else made | {"traceback": lines}


# ---------------------------------------------------------------- where it goes


class DayFiles(TimedRotatingFileHandler):
    """A file for each day, readable by its owner only; those older than `days` are removed.

    「server.log」 is today's, 「server.log.2026-11-21」 yesterday's, 「server.log.2026-11-21.1」 where a day filled a file.
    """

    def __init__(self, path: Path, days: int) -> None:
        """Raises OSError where the file cannot be written."""
        self.days, self._silent = days, False
        super().__init__(path, when="midnight", backupCount=days, encoding="utf-8", errors="backslashreplace")
        for old in self.getFilesToDelete():  # a server that stood still for long
            Path(old).unlink(missing_ok=True)

    def _open(self) -> TextIOWrapper:
        opened = os.open(
            self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise OSError(errno.EINVAL, "ふつうのファイルではありません", self.baseFilename)
        os.fchmod(opened, 0o600)  # one that was there
        return TextIOWrapper(os.fdopen(opened, "ab"), encoding=self.encoding, errors=self.errors)

    def shouldRollover(self, record: logging.LogRecord) -> int:
        """Whether the day is over, or the file full."""
        if super().shouldRollover(record):
            return 1
        return int(self.stream is not None and os.fstat(self.stream.fileno()).st_size >= MOST_BYTES)

    def rotation_filename(self, default_name: str) -> str:
        """The name that a closed file gets, behind those that its day has already."""
        numbers = [number for _, number, path in self.closed_files() if path.startswith(default_name)]
        return f"{default_name}.{max(numbers) + 1}" if numbers else default_name

    def getFilesToDelete(self) -> list[str]:
        """Closed files that are older than `days`, and the oldest beyond `MOST_FILES`."""
        closed = self.closed_files()
        first = date.fromtimestamp(time.time()) - timedelta(self.days)
        beyond = max(0, len(closed) - MOST_FILES)
        return [path for place, (day, _, path) in enumerate(closed) if day < first or place < beyond]

    def closed_files(self) -> list[tuple[date, int, str]]:
        """The closed files, oldest first: their day, their number in it, and their path."""
        base = Path(self.baseFilename)
        form = re.compile(re.escape(base.name) + r"\.(\d{4}-\d\d-\d\d)(?:\.(\d{1,6}))?")
        dated: list[tuple[date, int, str]] = []
        for path in base.parent.iterdir():
            found = form.fullmatch(path.name)
            if found and path.is_file() and not path.is_symlink():
                try:
                    dated.append((date.fromisoformat(found[1]), int(found[2] or 0), str(path)))
                except ValueError:  # 2026-02-31 is no name of ours
                    continue
        return sorted(dated)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record; where that fails the server goes on, and standard error says so once."""
        try:
            if self.shouldRollover(record):
                self.doRollover()
            logging.FileHandler.emit(self, record)
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Says once that nothing can be written, and again after it could be."""
        if not self._silent:
            self._silent = True
            error = sys.exc_info()[1]
            reason = visible(getattr(error, "strerror", None) or type(error).__name__)
            message = f"記録（ログ）を {visible(self.baseFilename)} に書けません（{reason}）。空き容量と書き込みの許可を確かめてください。"
            print(message, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Hands what was written to the system."""
        super().flush()
        self._silent = False


def configure(
    form: Form = "text", file: Path | None = None, days: int = DAYS, level: int = logging.INFO
) -> logging.Handler:
    """Sends all records to standard error, or to a file kept for `days`; what was configured before ends.

    Raises OSError where the file cannot be written.
    """
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler()
    else:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = DayFiles(file, days)
    handler.setFormatter(TextLines() if form == "text" else JsonLines())
    root = logging.getLogger()
    for other in list(root.handlers):
        if isinstance(other.formatter, TextLines | JsonLines):
            root.removeHandler(other)
            other.close()
    root.addHandler(handler)
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    # what fails in a request is written where its number is known (web.watch)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    return handler


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Exception in ASGI application")
