"""Where the time of an answer goes: every step of `POST /api/ask` with its share, over real HTTP on the loopback address.

    python benchmarks/steps.py --index DIR [--documents DIR] [--questions FILE.jsonl] [--repeat 3] [--json]

Serves an index that is there from a thread of this process, with a clock around the functions named below, and asks each question
`--repeat` times, each time with a text of its own. A step's time is without the steps inside it; what no step has is "Python between
the steps" inside an answer, and "HTTP, JSON, records" around it. Prints milliseconds a question and the share of what the client waits.
"""

from __future__ import annotations

import argparse
import http.client
import importlib
import json
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvicorn

from index.build import build
from index.current import CurrentIndex
from index.encoder import SentenceEncoder, best_precision, process_threads
from index.passages import model_record
from server import create_app

HOME = Path(__file__).resolve().parents[1]
ANSWER = "Python between the steps"
# where a function is looked up when it is called: module, and the name there
STEPS: tuple[tuple[str, str, str], ...] = (
    ("understanding the question", "qa.answer", "understand"),
    ("conditions to cases", "qa.select", "scope_of"),
    ("words and grams of the question", "index.engines", "tokenize"),
    ("words and grams of the question", "index.engines", "grams"),
    ("model: the question's vectors", "index.encoder", "SentenceEncoder._encode"),
    ("nearest vectors and headings (FAISS)", "index.engines", "_PartFinder.nearest"),
    ("words and grams (BM25)", "index.lexical", "LexicalIndex.search"),
    ("words and grams (BM25)", "index.lexical", "LexicalIndex.full_score"),
    ("fusion", "index.engines", "fuse"),
    ("late interaction", "index.late", "LateIndex.scores"),
    ("what is known about a passage", "qa.select", "_known"),
    ("what is said twice", "qa.select", "_once"),
    ("may it be answered", "qa.answer", "refusal"),
    ("choosing the sentences", "qa.answer", "choose"),
    ("late interaction, sentences", "index.late", "LateIndex.sentences"),
    ("citations", "qa.answer", "cite"),
    (ANSWER, "web.site", "answer.ask"),
)


class Clock:
    """Time by step, without the steps inside it; a clock for each thread."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._local = threading.local()

    def around(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            inside: list[float] = self._local.__dict__.setdefault("inside", [])
            inside.append(0.0)
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                taken = time.perf_counter() - started
                self.seconds[step] += taken - inside.pop()
                if inside:
                    inside[-1] += taken

        return timed

    def install(self) -> None:
        """Puts the clock around every step; raises AttributeError where a name is no longer there."""
        for step, module, name in STEPS:
            owner, last = placed(module, name)
            setattr(owner, last, self.around(step, getattr(owner, last)))


def placed(module: str, name: str) -> tuple[Any, str]:
    """What holds a function of a module, and the function's name there."""
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    return owner, last


def _ask(connection: http.client.HTTPConnection, body: dict[str, Any]) -> float:
    started = time.perf_counter()
    connection.request("POST", "/api/ask", json.dumps(body).encode(), {"Content-Type": "application/json"})
    connection.getresponse().read()
    return time.perf_counter() - started


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=Path, required=True, help="できている索引のフォルダー")
    parser.add_argument("--documents", type=Path, default=HOME / "corpus" / "samples")
    parser.add_argument("--questions", type=Path, default=HOME / "benchmarks" / "sample_questions.jsonl")
    parser.add_argument("--models", type=Path, default=HOME / "var" / "models")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="最後の行に JSON だけを出す")
    args = parser.parse_args(argv)
    encoder = SentenceEncoder.load(
        None, models_dir=args.models, threads=process_threads(), precision=best_precision()
    )
    encoder.backend.warm()
    clock = Clock()
    clock.install()
    app = create_app(
        current=CurrentIndex(args.index, model_record(encoder)),
        encoder=encoder,
        rebuild=lambda progress: build(args.documents, args.index, encoder),
    )
    # by uvicorn's own socket, as the product: one that is handed to it waits 40 ms for each reply over a connection that stays
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    lines = [
        json.loads(line) for line in args.questions.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    bodies = [
        {
            "question": f"{line['question']}{' ' * (n % 2)}{'？' * (n // 2)}",
            "history": line.get("history") or [],
        }
        for n in range(args.repeat)
        for line in lines
    ]
    for body in bodies[:10]:
        _ask(connection, body)
    encoder._remembered.clear()
    clock.seconds.clear()
    times = [_ask(connection, body) for body in bodies]
    connection.close()
    server.should_exit = True
    thread.join(timeout=10)
    count, waited = len(times), sum(times)
    steps = dict(clock.seconds)
    steps["HTTP, JSON, records"] = waited - sum(steps.values())
    figures: dict[str, Any] = {
        "questions": count,
        "p50_ms": round(statistics.median(times) * 1000, 1),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1] * 1000, 1),
        "mean_ms": round(waited / count * 1000, 1),
        "steps": {
            step: {"ms": round(seconds / count * 1000, 2), "share": round(seconds / waited, 3)}
            for step, seconds in sorted(steps.items(), key=lambda item: -item[1])
        },
    }
    if not args.json:
        print("| step | ms | share |\n|---|---|---|")
        for step, found in figures["steps"].items():
            print(f"| {step} | {found['ms']:.2f} | {found['share']:.0%} |")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
