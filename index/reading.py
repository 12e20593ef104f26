"""Reading documents for a build, in a process apart, and what went wrong with each.

In: files with the paths that name them. Out: for each what was recognised in it, or a problem in words. Every file, a plain
text too, is read by `corpus.worker` in a process of its own: one that runs too long, takes too much memory or brings a
library down costs its own document and nothing else, and whoever asks a question meanwhile does not wait for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess  # nosec B404  # it starts modules of ours only
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from corpus.documents import Parsed
from corpus.lines import parsed_of
from index.own_process import surroundings
from index.plan import FileProblem

TIMEOUT_S = 300.0
"""Longest time for one document: a PDF of a thousand pages takes about a minute."""
TIMED_OUT = "読み取りに時間がかかりすぎるため中止しました（{:.0f}秒）。ファイルを分割するか、PDFなら印刷し直したものに置き換えてください。"
BROKE_DOWN = "読み取りの途中でプログラムが止まりました。ファイルが壊れている可能性があります。元のソフトで開いて保存し直してください。"


class _Stopped(Exception):
    """The process ended or ran too long; the message is for people."""


class ReaderProcess:
    """A process that recognises documents one after the other; begun when it is first needed, and anew after a stop."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ReaderProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, path: str, file: Path, max_chars: int) -> dict[str, object]:
        """The worker's answer for one file, a message where it stopped."""
        process = self._process or self._begin()
        asked = json.dumps({"path": path, "file": os.fspath(file), "max_chars": max_chars})
        try:
            found: dict[str, object] = json.loads(self._exchange(process, asked.encode() + b"\n"))
            return found
        except (_Stopped, OSError, ValueError) as error:
            self._end()
            return {"message": str(error) if isinstance(error, _Stopped) else BROKE_DOWN}

    def _begin(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(  # nosec B603  # a list of arguments of ours, no shell
            [sys.executable, "-m", "corpus.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=surroundings(),
            process_group=0,  # a PDF is read by a process of this one, which ends with it
        )
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], line: bytes) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        received: list[bytes] = []
        end = time.monotonic() + self._timeout_s
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not waiting.select(max(0.0, end - time.monotonic())):
                    raise _Stopped(TIMED_OUT.format(self._timeout_s))
                part = os.read(process.stdout.fileno(), 1 << 20)
                if not part:
                    raise _Stopped(BROKE_DOWN)
                received.append(part)
                if part.endswith(b"\n"):
                    return b"".join(received)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # what was left to be written to it is lost with it


def read_documents(
    files: Mapping[str, Path],
    paths: Collection[str],
    max_chars: int,
    progress: Callable[[str, int, int], None],
    timeout_s: float = TIMEOUT_S,
) -> Iterator[tuple[str, Parsed | FileProblem]]:
    """(path, what was recognised or why it cannot be read) of each path, in the order given; `files` are where they are."""
    with ReaderProcess(timeout_s) as process:
        for number, path in enumerate(paths):
            progress("reading", number, len(paths))
            found = (
                process.ask(path, files[path], max_chars) if path in files else {"unopened": "なくなりました"}
            )
            if "message" in found:
                yield path, FileProblem(path, str(found["message"]))
            elif "unopened" in found:
                message = f"ファイルを開けません（{found['unopened']}）。読み取りの許可を確かめてください。"
                yield path, FileProblem(path, message, passing=True)
            else:
                yield path, parsed_of(found)
    progress("reading", len(paths), len(paths))
