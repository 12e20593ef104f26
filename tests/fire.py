"""What the tests under fire share: their size, a server to fire at, raw requests, and the table of figures.

In: DXQA_FIRE, `small` (the ordinary run) or `full` (`make fire`), or a number by which the small sizes are multiplied. Out: a
`Server`, a real process on a free port of the loopback address, which a test may starve, kill and start again; and a line of
figures for each thing that was tried, printed at the end and written to var/fire.json.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
SIZE = os.environ.get("DXQA_FIRE", "small")
FULL = SIZE == "full"
TOKEN = "an-administrator-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def size(small: int, full: int) -> int:
    """How many of something are tried: `small` in the ordinary run, `full` in `make fire`, between them for a number."""
    if SIZE == "small":
        return small
    return full if FULL else min(full, round(max(1, small) * float(SIZE)))


# ---------------------------------------------------------------- figures


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was tried, how many of it, seconds, and what came out."""

    what: str
    count: int
    seconds: float
    result: str
    more: Mapping[str, Any] = field(default_factory=dict)


FIGURES: list[Figure] = []


@contextmanager
def measured(what: str) -> Iterator[dict[str, Any]]:
    """Times a block and notes its line, also where it fails; the block says `count`, `result` and what else it counted."""
    told: dict[str, Any] = {"count": 0, "result": "did not end"}
    started = time.perf_counter()
    try:
        yield told
    except BaseException as error:
        told["result"] = f"FAILED: {type(error).__name__}: {error}".splitlines()[0][:200]
        raise
    finally:
        seconds = round(time.perf_counter() - started, 1)
        FIGURES.append(Figure(what, told.pop("count"), seconds, told.pop("result"), told))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the table where anything was fired, and writes it down unless the run was a small one."""
    if not FIGURES:
        return
    terminalreporter.section(f"under fire ({SIZE})")
    for line in FIGURES:
        more = " ".join(f"{name}={value}" for name, value in line.more.items())
        terminalreporter.write_line(
            f"{line.what:<48} {line.count:>7} {line.seconds:>8.1f} s  {line.result} {more}"
        )
    if SIZE != "small":
        target = REPOSITORY / "var" / "fire.json"
        target.parent.mkdir(exist_ok=True)
        record = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "size": SIZE,
            "machine": {
                "processors": os.cpu_count(),
                "system": platform.platform(),
                "python": platform.python_version(),
            },
            "figures": [asdict(line) for line in FIGURES],
        }
        target.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- the server


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `headers` in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8")


class Server:
    """A process of `server.py` over folders of its own; `stop` and `start` as often as wanted."""

    def __init__(
        self,
        folder: Path,
        *,
        real_model: bool = False,
        documents: Path | None = None,
        index: Path | None = None,
        usage: Path | None = None,
        before: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`before` is a command that runs the server (`unshare … --`); `environment` is added to ours."""
        self.folder = folder
        self.documents = documents or folder / "documents"
        self.index = index or folder / "index"
        self.usage = usage or folder / "usage.sqlite3"
        self.log = folder / "server.log"
        self.port = free_port()
        self._program = REPOSITORY / "server.py" if real_model else REPOSITORY / "tests" / "fire_server.py"
        self._before, self._environment = tuple(before), dict(environment or {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, wait_s: float = 120) -> None:
        """Starts the process and waits until it answers; a RuntimeError with its log where it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self._before,
                    *(sys.executable, str(self._program), "--port", str(self.port)),
                    *(
                        "--documents",
                        str(self.documents),
                        "--index",
                        str(self.index),
                        "--usage",
                        str(self.usage),
                    ),
                ],
                env=os.environ
                | {"DXQA_ADMIN_TOKEN": TOKEN, "PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "ignore"}
                | self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + wait_s
        while not self.alive():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"the server did not start: {self.said()[-2000:]}")
            time.sleep(0.02)

    def alive(self) -> bool:
        """Whether the process answers at all."""
        try:
            return self.call("GET", "/healthz", timeout=5).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def kill(self) -> None:
        """Ends the process for good, and the one that led to it."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.process = None

    def stop(self) -> int:
        """Asks the process to end; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        finally:
            self.kill()
        return status

    def said(self) -> str:
        """What the process printed."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # ---- requests

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> Reply:
        """One request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            got = connection.getresponse()
            return Reply(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def post(
        self, path: str, content: Any, headers: Mapping[str, str] | None = None, timeout: float = 30
    ) -> Reply:
        """JSON, as an administrator where the headers say so."""
        given = {"Content-Type": "application/json", **(headers or {})}
        return self.call("POST", path, json.dumps(content).encode(), given, timeout)

    def ask(self, question: str, timeout: float = 30, **more: Any) -> Reply:
        """`POST /api/ask`."""
        return self.post("/api/ask", {"question": question, **more}, timeout=timeout)

    def upload(self, name: str, data: bytes, path: str = "/api/documents", timeout: float = 30) -> Reply:
        """One file, as an administrator."""
        body, kind = multipart([("files", name, data)])
        return self.call("POST", path, body, {"Content-Type": kind, **BEARER}, timeout)

    def rebuilt(self, job: str, wait_s: float = 60) -> dict[str, Any]:
        """The state of a job once it has ended."""
        end = time.monotonic() + wait_s
        while time.monotonic() < end:
            state: dict[str, Any] = self.call("GET", f"/api/index/jobs/{job}", headers=BEARER).json()
            if state["status"] in {"succeeded", "failed"}:
                return state
            time.sleep(0.02)
        raise AssertionError(f"the job {job} did not end")

    def raw(self, sent: bytes, wait_s: float = 10, *, more_s: float = 0.2) -> bytes:
        """What comes back for bytes on a socket: until the server closes, is silent for `wait_s`, or for `more_s` after a whole
        reply; b"" where it only closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as client:
            got = b""
            with suppress(TimeoutError, ConnectionError):
                client.sendall(sent)
                while part := client.recv(1 << 16):
                    got += part
                    if complete(got):
                        client.settimeout(more_s)
            return got

    # ---- what it takes

    @property
    def pid(self) -> int:
        """The process that serves: where another command leads to it, the last one below."""
        assert self.process is not None
        found = self.process.pid
        while children := _children(found):
            names = [child for child in children if b"server.py" in _command(child)]
            if not names:
                break
            found = names[0]
        return found

    def anonymous_kb(self) -> int:
        """Memory of the process that is no file's (KiB): what a leak would add to."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1])
        raise RuntimeError("the kernel does not say")

    def descriptors(self) -> list[str]:
        """What the process has open."""
        found = []
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                found.append(str(entry.readlink()))
            except OSError:
                continue
        return found

    def threads(self) -> int:
        """Threads of the process."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def multipart(
    files: Sequence[tuple[str, str, bytes]], boundary: str = "a-boundary-of-tests"
) -> tuple[bytes, str]:
    """A body of (field, file name, bytes), as it stands: nothing in a name is escaped; with its content type."""
    parts = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for field, name, data in files
    )
    return parts + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def complete(got: bytes) -> bool:
    """Whether a reply with a Content-Length is all there."""
    head, found, body = got.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n")[1:] if found else ():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return False


def statuses(got: bytes) -> list[int]:
    """The statuses of the replies in what a socket gave, in order."""
    found = []
    for part in got.split(b"HTTP/1.1 ")[1:]:
        found.append(int(part[:3]))
    return found


def _children(process: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
