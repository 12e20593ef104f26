"""What many people asking at once get: throughput, waiting, errors and memory of the running service.

    python benchmarks/load.py [--index DIR] [--documents DIR] [--questions FILE.jsonl] [--clients 1 8 32 128]
                              [--requests 400] [--soak 10000] [--json]

Starts `server.py` on a free port of the loopback address over an index (made of the documents where it is not there yet) and asks
`POST /api/ask` in a closed loop: each client has one question under way, and asks the next when it has the reply. A client that is told
to come later (503) waits as long as it was told, as a browser's reader would; such replies are counted apart and are no errors.
Prints a line for each number of clients, then the server's memory before and after `--soak` questions by eight clients. Every question
is asked with a number of its own, so that none is remembered from before. Requests and time are bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1]
START_S, REPLY_S, ROUND_S = 300, 60, 1800


@dataclass(slots=True)
class Found:
    """What the replies to one round of questions were; seconds."""

    times: list[float] = field(default_factory=list)
    later: int = 0
    errors: int = 0
    seconds: float = 0.0

    def line(self, clients: int) -> dict[str, float]:
        """The figures of a round."""
        cuts = statistics.quantiles(self.times, n=100) if len(self.times) > 1 else [0.0] * 99
        return {
            "clients": clients,
            "replies": len(self.times),
            "per_s": round(len(self.times) / self.seconds, 1),
            "p50_ms": round(cuts[49] * 1000, 1),
            "p95_ms": round(cuts[94] * 1000, 1),
            "p99_ms": round(cuts[98] * 1000, 1),
            "later": self.later,
            "errors": self.errors,
        }


async def _reply(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
) -> tuple[int, dict[str, str]]:
    """Sends one question over an open connection; the status and headers of the reply, whose body is read."""
    head = (
        "POST /api/ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode("ascii") + body)
    await writer.drain()
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
    }
    await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split()[1]), headers


async def _client(port: int, bodies: Iterator[bytes], found: Found) -> None:
    """One person: asks until there are no more questions."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for body in bodies:
            while True:
                started = time.perf_counter()
                try:
                    status, headers = await asyncio.wait_for(_reply(reader, writer, body), REPLY_S)
                except (OSError, asyncio.IncompleteReadError, TimeoutError):
                    found.errors += 1
                    writer.close()
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                if status == 503 and "retry-after" in headers:
                    found.later += 1
                    await asyncio.sleep(int(headers["retry-after"]))
                    continue
                if status == 200:
                    found.times.append(time.perf_counter() - started)
                else:
                    found.errors += 1
                break
    finally:
        writer.close()


async def _round(port: int, bodies: Iterator[bytes], clients: int) -> Found:
    """All clients at once, until there are no more questions."""
    found = Found()
    started = time.perf_counter()
    async with asyncio.timeout(ROUND_S):
        await asyncio.gather(*(_client(port, bodies, found) for _ in range(clients)))
    found.seconds = time.perf_counter() - started
    return found


def _bodies(questions: list[dict[str, Any]]) -> Iterator[bytes]:
    """Questions without end, each a new text: 「…（12）」."""
    for number in itertools.count(1):
        asked = questions[number % len(questions)]
        yield json.dumps(
            {"question": f"{asked['question']}（{number}）", "history": asked["history"]}
        ).encode()


def memory_mb(process: int) -> float:
    """Resident memory of a process, in MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError("no VmRSS")


def _wait(port: int, server: subprocess.Popen[bytes]) -> float:
    """Seconds until the server answers; raises RuntimeError where it does not."""
    started = time.perf_counter()
    while time.perf_counter() - started < START_S:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with {server.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return time.perf_counter() - started
        except (OSError, urllib.error.URLError):
            time.sleep(0.02)
    raise RuntimeError("the server did not start")


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 errors in replies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=Path, default=None, help="索引のフォルダー（既定は一時的に作る）")
    parser.add_argument("--documents", type=Path, default=HOME / "corpus" / "samples")
    parser.add_argument(
        "--questions", type=Path, default=HOME / "benchmarks" / "sample_questions.jsonl", help="質問の JSONL"
    )
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 32, 128])
    parser.add_argument("--requests", type=int, default=400, help="一回ごとの質問の数")
    parser.add_argument("--soak", type=int, default=10_000, help="記憶を測るための質問の数（0 なら測らない）")
    parser.add_argument("--json", action="store_true", help="最後の行に JSON だけを出す")
    args = parser.parse_args(argv)
    lines = [
        json.loads(line) for line in args.questions.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    questions = [{"question": line["question"], "history": line.get("history") or []} for line in lines]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            *[sys.executable, str(HOME / "server.py"), "--port", str(port), "--usage-days", "0"],
            *["--documents", str(args.documents), "--index", str(args.index or Path(scratch) / "index")],
        ]
        server = subprocess.Popen(  # noqa: S603  (our own program)
            command, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            figures: dict[str, Any] = {"start_s": round(_wait(port, server), 2)}
            bodies = _bodies(questions)
            asyncio.run(_round(port, itertools.islice(bodies, 40), 4))  # the first ones warm caches
            figures["rounds"] = []
            for clients in args.clients:
                found = asyncio.run(_round(port, itertools.islice(bodies, args.requests), clients))
                figures["rounds"].append(found.line(clients))
                if not args.json:
                    print(json.dumps(figures["rounds"][-1]), flush=True)
            if args.soak:
                before = memory_mb(server.pid)
                found = asyncio.run(_round(port, itertools.islice(bodies, args.soak), 8))
                figures["soak"] = {
                    **found.line(8),
                    "before_mb": before,
                    "after_mb": memory_mb(server.pid),
                }
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
    print(json.dumps(figures))
    rounds = [*figures["rounds"], *([figures["soak"]] if "soak" in figures else [])]
    return 1 if any(line["errors"] for line in rounds) else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    sys.exit(main())
