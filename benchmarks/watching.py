"""What it costs to be seen: `POST /api/ask` with log, numbers and stages, and without them, by turns in one process.

    python benchmarks/watching.py --index DIR [--questions FILE.jsonl] [--repeat 5] [--json]

Serves an index that is there twice on the loopback address, as the product does: once as it is, once with everything of `web.watch` and
`web.metrics` taken out. Each question is asked of both, one after the other, who is first by turns, and each of them has answered it before: so
the model's vectors are remembered, and what is compared is the least that an answer takes. Prints the medians, the median of the
differences of a pair, and what share of an answer that is.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import statistics
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvicorn
from fastapi import FastAPI

from index.build import build
from index.current import CurrentIndex
from index.encoder import SentenceEncoder, best_precision, process_threads
from index.passages import model_record
from server import create_app
from web.logs import configure
from web.metrics import Metrics

HOME = Path(__file__).resolve().parents[1]


class Silent(Metrics):
    """Numbers that nobody counts."""

    def stages(self, seconds: Any) -> None:
        """Nothing."""

    def question(self, reason: Any, way: Any) -> None:
        """Nothing."""


def unseen(app: FastAPI) -> FastAPI:
    """The application without its outermost layer and without its numbers."""
    object.__setattr__(app.state.site, "metrics", Silent("none"))

    class Numbered:
        """The one thing that error pages ask for."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("state", {})["request_id"] = ""
            await stack(scope, receive, send)

    stack: Any = FastAPI.build_middleware_stack(app)
    app.middleware_stack = Numbered()
    return app


def serve(app: FastAPI) -> tuple[int, uvicorn.Server, threading.Thread]:
    """Serves from a thread, by uvicorn's own socket; gives the port."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            log_level="warning",
            log_config=None,
            access_log=False,
            timeout_keep_alive=300,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    return server.servers[0].sockets[0].getsockname()[1], server, thread


def ask(connection: http.client.HTTPConnection, body: bytes) -> float:
    """Seconds of a question."""
    started = time.perf_counter()
    connection.request("POST", "/api/ask", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    if reply.status != 200:
        raise SystemExit(f"/api/ask: {reply.status}")
    return time.perf_counter() - started


def processor_s(port: int) -> float:
    """Seconds of the processor that the process of the servers has used."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return next(
        float(line.split()[1]) for line in text.split("\n") if line.startswith("process_cpu_seconds_total ")
    )


def asked(
    ports: list[int], bodies: list[bytes], repeat: int
) -> tuple[list[tuple[float, float]], list[float]]:
    """Seconds of every question, and processor seconds of all, of the first server and of the second; from a process of its own."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for port in ports]
    for body in bodies:
        for connection in connections:
            ask(connection, body)
    pairs: list[tuple[float, float]] = []
    used = [0.0, 0.0]
    for turn in range(repeat):
        times: dict[int, list[float]] = {}
        for number in (0, 1) if turn % 2 else (1, 0):
            before = processor_s(ports[0])
            times[number] = [ask(connections[number], body) for body in bodies]
            used[number] += processor_s(ports[0]) - before
        pairs += zip(times[0], times[1], strict=True)
    for connection in connections:
        connection.close()
    return pairs, used


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=Path, required=True, help="できている索引のフォルダー")
    parser.add_argument("--documents", type=Path, default=HOME / "corpus" / "samples")
    parser.add_argument("--questions", type=Path, default=HOME / "benchmarks" / "sample_questions.jsonl")
    parser.add_argument(
        "--models", type=Path, default=Path(os.environ.get("DXQA_MODELS") or HOME / "var" / "models")
    )
    parser.add_argument("--count", type=int, default=100, help="質問の数")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--log", type=Path, default=Path("/dev/null"), help="記録（ログ）のファイル")
    parser.add_argument("--json", action="store_true", help="最後の行に JSON だけを出す")
    args = parser.parse_args(argv)
    if args.log == Path("/dev/null"):
        configure("json").setStream(args.log.open("w"))  # type: ignore[attr-defined]
    else:
        configure("json", args.log.absolute())
    encoder = SentenceEncoder.load(
        None, models_dir=args.models, threads=process_threads(), precision=best_precision()
    )
    encoder.backend.warm()
    if not args.index.exists():
        build(args.documents, args.index, encoder)
    lines = [
        json.loads(line) for line in args.questions.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    bodies = [
        json.dumps({"question": line["question"], "history": line.get("history") or []}).encode()
        for line in lines[: args.count]
    ]
    apps = [
        create_app(
            current=CurrentIndex(args.index, model_record(encoder)),
            encoder=encoder,
            rebuild=lambda progress: build(args.documents, args.index, encoder),
        )
        for _ in range(2)
    ]
    unseen(apps[1])
    served = [serve(app) for app in apps]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        clock, used = apart.submit(asked, [port for port, _, _ in served], bodies, args.repeat).result()
    for _, server, thread in served:
        server.should_exit = True
        thread.join(timeout=10)
    figures = {
        "pairs": len(clock),
        "processor_ms": [round(one / len(clock) * 1000, 3) for one in used],
        "processor_ratio": round(used[0] / used[1], 4),
        "p50_ms": [round(statistics.median(one) * 1000, 3) for one in zip(*clock, strict=True)],
        "difference_p50_ms": round(statistics.median(a - b for a, b in clock) * 1000, 3),
    }
    figures["difference_share"] = round(figures["difference_p50_ms"] / figures["p50_ms"][1], 4)  # type: ignore[index]
    if not args.json:
        for name, value in figures.items():
            print(f"{name:20}{value}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
