"""How fast an index is built and a question answered, over the real model and real HTTP on the loopback address.

    python benchmarks/speed.py [--documents DIR] [--questions FILE.jsonl] [--repeat N] [--json]

Builds an index of the folder into a temporary one, serves it on a free port, and asks each question of the file
({"question": …, "history": […]} a line; without a file, the headings of the documents that are questions), one at a
time. Prints chunks/s of the build (all of it, and of the encoding alone), the median and the 95th percentile of
`POST /api/ask` as a client sees it. Figures of different machines or days do not compare; ratios in one run do.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvicorn

from build_index import SAMPLES
from index.build import build
from index.current import CurrentIndex
from index.encoder import PRECISIONS, SentenceEncoder, best_precision, process_threads
from index.passages import model_record
from server import create_app

HOME = Path(__file__).resolve().parents[1]


def _questions(file: Path | None, current: CurrentIndex) -> list[dict[str, Any]]:
    if file is not None:
        items = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [{"question": item["question"], "history": item.get("history") or []} for item in items]
    index = current.get()
    if index is None:
        return []
    headings = {
        h.text for d in index.documents.values() for h in d.headings if h.text.endswith(("。", "？", "?"))
    }
    return [{"question": heading[:500], "history": []} for heading in sorted(headings)][:100]


def _ask(port: int, body: dict[str, Any]) -> float:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/ask", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as response:
        json.load(response)
    return (time.perf_counter() - started) * 1000


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=Path, default=SAMPLES, help="資料のフォルダー（既定は見本）")
    parser.add_argument("--questions", type=Path, default=None, help="質問の JSONL ファイル")
    parser.add_argument("--models", type=Path, default=HOME / "var" / "models")
    parser.add_argument("--repeat", type=int, default=3, help="質問を何回ずつ聞くか")
    parser.add_argument("--json", action="store_true", help="最後の行に JSON だけを出す")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=best_precision(), help="モデルの計算の精度"
    )
    args = parser.parse_args(argv)

    started = time.perf_counter()
    encoder = SentenceEncoder.load(
        None, models_dir=args.models, threads=process_threads(), precision=args.precision
    )
    load_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "index"
        stages: dict[str, float] = {}

        def note(stage: str, done: int, total: int) -> None:
            stages.setdefault(stage, time.perf_counter())

        build_report = build(
            args.documents,
            root,
            encoder,
            progress=note,
        )
        encoding_s = stages["writing"] - stages["encoding"]
        current = CurrentIndex(root, model_record(encoder))
        current.get()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        app = create_app(
            current=current, encoder=encoder, rebuild=lambda progress: build(args.documents, root, encoder)
        )
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        bodies = _questions(args.questions, current)
        for body in bodies[:3]:
            _ask(port, body)  # the first ones warm caches
        times = [_ask(port, body) for _ in range(args.repeat) for body in bodies]
        server.should_exit = True
        thread.join(timeout=10)
    figures = {
        "model_load_s": round(load_s, 2),
        "documents": build_report.documents,
        "chunks": build_report.chunks,
        "build_s": round(build_report.seconds, 2),
        "build_chunks_per_s": round(build_report.chunks / build_report.seconds, 1),
        "encoding_chunks_per_s": round(build_report.encoded / encoding_s, 1),
        "questions": len(times),
        "ask_p50_ms": round(statistics.median(times), 1),
        "ask_p95_ms": round(statistics.quantiles(times, n=20)[-1], 1),
    }
    if not args.json:
        for name, value in figures.items():
            print(f"{name:24}{value}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
