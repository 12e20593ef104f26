"""What is measured of a system, the same way for each: its time, its memory, and the passages it shows.

In come a folder of documents, questions and a model's folder; out goes one JSON record. A runner hands `run` the function that
makes its system. Needs only the standard library, for it runs in each one's environment.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

TOP_K = 10
WARM_UP = (
    "お問い合わせの窓口はどちらですか。",
    "費用は？",
    "どのような取組が、いつから、どこで行われているのか、理由と効果もあわせて教えてください。",
    "担当の課の名前と、参加した人の数を知りたい",
    "今後の予定はどうなっていますか？",
)
"""Asked before the clock counts, for the first questions start threads; none of them is in a set, as a system may remember answers."""

Passage = tuple[str, str]  # the file's name, and the words that are shown of it


class System(Protocol):
    """A search system with its model loaded."""

    def build(self, documents: Path, files: Sequence[Path]) -> None:
        """Makes everything that a question needs of the files, which are those of the folder that it reads."""
        ...

    def passages(self) -> list[Passage]:
        """All passages of the index."""
        ...

    def ask(self, question: str, history: Sequence[str]) -> list[Passage]:
        """The `TOP_K` best passages, best first."""
        ...

    def encode(self, question: str) -> None:
        """Makes the vector of a question and nothing else: what no answer can be faster than."""
        ...


class Load(Protocol):
    """Loads a system: the folder of the model, and the precision asked for ("" is the system's own choice)."""

    def __call__(self, model: Path, precision: str, /) -> System:
        """The system, ready to build."""
        ...


def with_history(question: str, history: Sequence[str]) -> str:
    """What a system without follow-up questions is asked: the earlier questions and this one."""
    return " ".join([*history, question])


def document_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder that a system reads, in order of their paths; hidden ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds."""
    return {
        "p50_ms": round(statistics.median(times), 2),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1], 2) if len(times) > 1 else round(times[0], 2),
    }


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def measure(
    load: Load, files: Sequence[Path], questions: Sequence[dict[str, Any]], options: argparse.Namespace
) -> dict[str, Any]:
    """The record of one system."""
    started = time.perf_counter()
    system = load(options.model, options.precision)
    loaded = time.perf_counter()
    system.build(options.documents, files)
    built = time.perf_counter()

    asked = [(str(item["question"]), list(item.get("history") or [])) for item in questions]
    for question in WARM_UP:
        system.ask(question, [])
        system.encode(question)
    shown: list[list[Passage]] = []
    worked = time.process_time()
    times = [_timed(lambda q=q, h=h: shown.append(system.ask(q, h))) for q, h in asked]  # type: ignore[misc]
    worked = time.process_time() - worked
    again = [
        _timed(lambda q=q, h=h: system.ask(q, h))  # type: ignore[misc]
        for _ in range(options.repeat - 1)
        for q, h in asked
    ]
    # A word more makes it a text that was not asked, whose vector nobody can have kept.
    texts = [with_history(f"{question} 確認", history) for question, history in asked]
    encoding = [_timed(lambda t=text: system.encode(t)) for text in texts]  # type: ignore[misc]
    passages = system.passages()
    return {
        "files": [path.name for path in files],
        "model_s": round(loaded - started, 2),
        "build_s": round(built - loaded, 2),
        "passages": len(passages),
        "passage_chars": round(statistics.mean(len(text) for _, text in passages)),
        "ask": percentiles(times),
        "again": percentiles(again) if again else None,
        "ask_cpu_ms": round(worked * 1000 / len(times), 2),
        "encode": percentiles(encoding),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "load_average": round(os.getloadavg()[0], 2),
        "shown": shown,
        "index": passages,
    }


def run(load: Load, packages: Sequence[str], suffixes: Sequence[str], argv: list[str] | None = None) -> int:
    """Measures a system as the driver asks, and writes the record. Exit status: 0 done."""
    parser = argparse.ArgumentParser(
        description="計測用。benchmarks/peers.py から、それぞれの環境で呼ばれます。"
    )
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--precision", default="")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repeat", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    questions = [
        json.loads(line) for line in options.questions.read_text(encoding="utf-8").splitlines() if line
    ]
    record = measure(load, document_files(options.documents, suffixes), questions, options)
    record["versions"] = {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in packages
    }
    options.out.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    return 0
