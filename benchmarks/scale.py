"""What ways to search many rows cost and find: vectors (FAISS) and words (BM25), at 10,000, 100,000 and a million rows.

    python benchmarks/scale.py --dataset DIR [--dataset DIR …] --work DIR [--sizes N …] [--parts vectors words] [--ways NAME …]

The datasets are folders in BEIR's shape; the rows are made from them (`scale_data`), and kept in the working folder, which
takes 20 GB for a million rows and all ways. Each way is built in one process and asked in another, whose memory is what
counts; each question three times, of which the fastest counts: what else runs on the machine is not to be measured. One line
a way as JSON. One thread, 200 rows a question, as in the product.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faiss
import numpy as np

from benchmarks import scale_data, scale_vectors, scale_words
from index.encoder import SentenceEncoder, best_precision
from index.lexical import Postings
from index.tokenizer import grams, tokenize

HOME = Path(__file__).resolve().parents[1]
KINDS = {"vectors": ("real", "clusters"), "words": ("words", "grams")}
REPEATED = 3
FILTERS = (0.5, 0.1, 0.01)
WHOLE_GRAMS = {"ours", "tantivy"}
"""Ways that are asked grams too: with the others these take longer than anybody waits."""


def prepare_vectors(work: Path, kind: str, size: int) -> None:
    """Writes the rows, the questions, and which rows are the nearest."""
    real, questions = np.load(work / "real.npy"), np.load(work / "questions.npy")
    random = np.random.default_rng(9)
    questions = questions[random.permutation(len(questions))[:300]]
    if kind == "clusters":
        questions = next(scale_data.clustered_vectors(real.shape[1], 300, seed=77))
        blocks = scale_data.clustered_vectors(real.shape[1], size)
    else:
        blocks = scale_data.real_vectors(real, size)
    np.save(work / f"{kind}-questions.npy", questions)
    shape = (size, real.shape[1])
    rows = np.lib.format.open_memmap(work / f"{kind}-{size}.npy", "w+", np.float32, shape)
    best, near, first = np.zeros((len(questions), 0), np.int64), np.zeros((len(questions), 0), np.float32), 0
    for block in blocks:
        rows[first : first + len(block)] = block
        near = np.concatenate([near, questions @ block.T], axis=1)
        own = np.broadcast_to(np.arange(first, first + len(block)), (len(questions), len(block)))
        best = np.concatenate([best, own], axis=1)
        order = np.argsort(-near, axis=1, kind="stable")[:, : scale_vectors.K]
        near, best = np.take_along_axis(near, order, 1), np.take_along_axis(best, order, 1)
        first += len(block)
    np.save(work / f"{kind}-{size}-nearest.npy", best)


def prepare_words(work: Path, datasets: Sequence[Path], size: int) -> None:
    """Writes the postings of words and grams, and the questions' tokens."""
    _, sentences, questions = scale_data.read_texts(datasets)
    for kind, of in (("words", tokenize), ("grams", grams)):
        if (work / f"{kind}-{size}").exists():
            continue
        (work / f"{kind}-questions.json").write_text(json.dumps([of(q) for q in questions]), encoding="ascii")
        texts = [of(sentence) for sentence in sentences]
        scale_data.write_postings(work / f"{kind}-{size}", texts, size)


def ask_vectors(work: Path, kind: str, size: int, way: str, count: int) -> Iterable[dict[str, Any]]:
    """Figures of each setting of a way."""
    faiss.omp_set_num_threads(1)
    questions = np.load(work / f"{kind}-questions.npy")[:count]
    nearest = np.load(work / f"{kind}-{size}-nearest.npy")
    before, started = scale_vectors.resident(), time.perf_counter()
    index = scale_vectors.Asked(way, work / f"{kind}-{size}.{way}", work / f"{kind}-{size}.flat")
    loaded = time.perf_counter() - started
    for setting in scale_vectors.SETTINGS.get(way, (None,)):
        times, found = asked(questions, lambda q, setting=setting: index.search(q, setting))  # type: ignore[misc]
        yield {
            "setting": setting,
            **figures(times),
            "recall@10": mean(scale_vectors.recall(f, e, 10) for f, e in zip(found, nearest, strict=False)),
            "recall@200": mean(scale_vectors.recall(f, e, 200) for f, e in zip(found, nearest, strict=False)),
            "load s": loaded,
            **memory(before),
        }
    if way == "product":
        vectors = np.load(work / f"{kind}-{size}.npy", mmap_mode="r")
        for part in FILTERS:
            marks = np.random.default_rng(1).random(size) < part
            times, found = asked(questions, lambda q, marks=marks: index.search(q, None, marks))  # type: ignore[misc]
            allowed = np.flatnonzero(marks)
            exact = [
                allowed[np.argsort(-(vectors[allowed] @ q), kind="stable")[:200]] for q in questions[:20]
            ]
            yield {
                "setting": f"{part:.0%} allowed",
                **figures(times),
                "recall@10": mean(scale_vectors.recall(f, e, 10) for f, e in zip(found, exact, strict=False)),
                "recall@200": mean(
                    scale_vectors.recall(f, e, 200) for f, e in zip(found, exact, strict=False)
                ),
            }


def ask_words(work: Path, kind: str, size: int, way: str, count: int) -> Iterable[dict[str, Any]]:
    """Figures of a way, and of a document that is added."""
    tokens = Postings.load(work / f"{kind}-{size}").tokens
    questions = []
    for question in json.loads((work / f"{kind}-questions.json").read_text(encoding="ascii")):
        known = [n for token in question if (n := tokens.number(token)) is not None]
        if known:
            questions.append([f"t{n}" for n in known])
    questions = questions[:: max(1, len(questions) // count)][:count]
    del tokens
    before, started = scale_vectors.resident(), time.perf_counter()
    index = scale_words.WAYS[way](work / f"{kind}-{size}.{way}")
    loaded = time.perf_counter() - started
    times, found = asked(questions, index.search)
    ours = work / f"{kind}-{size}-ours.json"
    if way == "ours":
        ours.write_text(json.dumps(found), encoding="ascii")
    exact = json.loads(ours.read_text(encoding="ascii"))
    result = {**figures(times), "load s": loaded, **memory(before)}
    for k in (10, 200):
        shared = [len({*f[:k]} & {*e[:k]}) / len(e[:k]) for f, e in zip(found, exact, strict=True) if e]
        result[f"as ours@{k}"] = mean(shared)
    if way != "bm25s":
        rows = [questions[number % len(questions)] * 5 for number in range(scale_words.ADDED)]
        started = time.perf_counter()
        index.add(rows)
        index.search(questions[0])
        result["add s"] = time.perf_counter() - started
    yield result


def asked(
    questions: Iterable[Any], search: Callable[[Any], Any], repeated: int = REPEATED
) -> tuple[list[float], list[Any]]:
    """Milliseconds of each question, the fastest time of several, and what it found."""
    times, found = [], []
    for question in questions:
        fastest = float("inf")
        for _ in range(repeated):
            started = time.perf_counter()
            answer = search(question)
            fastest = min(fastest, 1000 * (time.perf_counter() - started))
        times.append(fastest)
        found.append(answer)
    return times, found


def figures(times: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile of milliseconds."""
    return {"p50 ms": float(np.percentile(times, 50)), "p95 ms": float(np.percentile(times, 95))}


def memory(before: tuple[float, float]) -> dict[str, float]:
    """MB that came into memory since then: the process's own, and of mapped files."""
    own, mapped = scale_vectors.resident()
    return {"own MB": own - before[0], "mapped MB": mapped - before[1]}


def mean(values: Iterable[float]) -> float:
    """The mean of values."""
    return float(np.mean(list(values)))


def one(step: str, part: str, kind: str, size: int, way: str, work: Path, count: int) -> None:
    """What a process apart does: builds, or asks; prints JSON lines."""
    if step == "build" and part == "vectors":
        print(
            json.dumps(scale_vectors.build(way, work / f"{kind}-{size}.npy", work / f"{kind}-{size}.{way}"))
        )
    elif step == "build":
        print(json.dumps(scale_words.build(way, work / f"{kind}-{size}", work / f"{kind}-{size}.{way}")))
    else:
        for result in (ask_vectors if part == "vectors" else ask_words)(work, kind, size, way, count):
            print(json.dumps(result))


def measured(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The lines of a process apart; what it cannot do is a line too."""
    done = subprocess.run(  # noqa: S603 - this program itself
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return [{"failed": (done.stderr.strip().splitlines() or ["?"])[-1]}]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, action="append", default=[], help="BEIR の形のフォルダー")
    parser.add_argument("--work", type=Path, required=True, help="作業用のフォルダー")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--parts", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--kinds", nargs="+", help="real clusters words grams（既定はすべて）")
    parser.add_argument("--ways", nargs="+", help="調べる方法（既定はすべて）")
    parser.add_argument("--questions", type=int, default=60, help="質問の数")
    parser.add_argument("--models", type=Path, default=HOME / "var" / "models")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        step, part, kind, size, way = args.one
        one(step, part, kind, int(size), way, args.work, args.questions)
        return 0
    args.work.mkdir(parents=True, exist_ok=True)
    if "vectors" in args.parts and not (args.work / "real.npy").exists():
        encoder = SentenceEncoder.load(None, models_dir=args.models, precision=best_precision())
        scale_data.encode_once(args.work, encoder, args.dataset)
    for part in args.parts:
        for size in args.sizes:
            for kind in args.kinds or KINDS[part]:
                if kind in KINDS[part]:
                    compare(part, kind, size, args)
    return 0


def compare(part: str, kind: str, size: int, args: argparse.Namespace) -> None:
    """Prepares the rows of one kind and size, and prints a line for each way."""
    if part == "vectors" and not (args.work / f"{kind}-{size}-nearest.npy").exists():
        prepare_vectors(args.work, kind, size)
    if part == "words" and not (args.work / f"{kind}-{size}" / "numbers.npy").exists():
        prepare_words(args.work, args.dataset, size)
    ways = scale_vectors.WAYS if part == "vectors" else scale_words.WAYS
    for way in args.ways or ways:
        if way not in ways or (kind == "grams" and way not in WHOLE_GRAMS):
            continue
        common = ["--work", str(args.work), "--questions", str(args.questions), "--one"]
        built = measured([*common, "build", part, kind, str(size), way])[-1]
        for result in measured([*common, "ask", part, kind, str(size), way]):
            line = {"kind": kind, "rows": size, "way": way, **built, **result}
            shown = {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}
            print(json.dumps(shown, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    sys.exit(main())
