"""What an index costs on a Milvus server beside local files: bytes, publishing, and the time of a search.

    python tests/milvus_server.py FOLDER        # a server to try it on, in a network of its own; prints its address
    python benchmarks/store.py --store ADDRESS [--index DIR --questions FILE | --chunks 10000 100000 [--short]] [--server-pid PID]

In: an index with questions (JSON lines, `question`), or made-up corpora as `benchmarks/builds.py` makes them. Out: a line of figures for
each, the last line as JSON. The same questions go to the local index and to the store: first ones with nothing kept of what
was read before, then again. Answers are compared, too.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

from benchmarks.builds import PER_DOCUMENT, ShapeOnly, document, timed  # noqa: E402
from index.build import build  # noqa: E402
from index.encoder import Encoder, SentenceEncoder, process_threads  # noqa: E402
from index.engines import Probe, probe  # noqa: E402
from index.milvus import Address, Milvus  # noqa: E402
from index.milvus_index import MilvusStore  # noqa: E402
from index.milvus_publish import publish_version  # noqa: E402
from index.store import Index, load_current  # noqa: E402

ASKED = 60
FOUND = 20
AT_ONCE = 4


def resident_mb(pid: int) -> float:
    """MB of a process in memory."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no process {pid}")


def times(index: Index, probes: Sequence[Probe]) -> list[float]:
    """Milliseconds of each search, in order of size."""
    return sorted(1000 * timed(lambda one=one: index.search(one, FOUND)) for one in probes)  # type: ignore[misc]


def told(found: dict[str, float], name: str, each: list[float]) -> None:
    """Notes median and 95th percentile."""
    found[f"{name}, p50 ms"] = statistics.median(each)
    found[f"{name}, p95 ms"] = each[int(0.95 * (len(each) - 1))]


def measure(root: Path, address: str, probes: Sequence[Probe], pid: int | None) -> dict[str, float]:
    """Figures of one index."""
    milvus = Milvus(Address.read(f"{address.rstrip('/')}_{secrets.token_hex(3)}"), timeout_s=30)
    local = load_current(root)
    found: dict[str, float] = {"chunks": local.manifest["counts"]["chunks"], "segments": len(local.segments)}
    before = resident_mb(pid) if pid is not None else 0.0
    found["publish s"] = timed(lambda: publish_version(root, milvus))
    if pid is not None:
        found["server MB more"] = resident_mb(pid) - before
    store = MilvusStore(milvus)
    started = time.perf_counter()
    remote = store.load(store.head())
    found["load s"] = time.perf_counter() - started
    told(found, "local", times(local, probes))
    told(found, "store, first", times(remote, probes))
    told(found, "store", times(remote, probes))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        started = time.perf_counter()
        list(threads.map(lambda one: remote.search(one, FOUND), [*probes, *probes]))
        found[f"store, searches/s of {AT_ONCE} at once"] = 2 * len(probes) / (time.perf_counter() - started)
    same = sum(
        [hit.chunk.id for hit in local.search(one, FOUND)]
        == [hit.chunk.id for hit in remote.search(one, FOUND)]
        for one in probes
    )
    found["same of all"] = same / len(probes)
    if pid is not None:
        found["server MB more, then"] = resident_mb(pid) - before
    return found


def made_up(folder: Path, chunks: int, short: bool) -> tuple[Path, list[Probe]]:
    """An index of a made-up corpus, and questions for it."""
    documents, encoder = folder / "documents", ShapeOnly(tokens=not short)
    documents.mkdir()
    count = max(1, chunks // PER_DOCUMENT)
    for number in range(count):
        (documents / f"{number:05}.md").write_text(document(number, 1 if short else 6), encoding="utf-8")
    build(documents, folder / "index", encoder)
    lines = document(10**6, 2).split("。")
    return folder / "index", [probe(encoder, line[-40:]) for line in lines[:ASKED]]


def asked(questions: Path, encoder: Encoder) -> list[Probe]:
    """The questions of a file, each once."""
    lines = [json.loads(line)["question"] for line in questions.read_text(encoding="utf-8").splitlines()]
    return [probe(encoder, question) for question in dict.fromkeys(lines)]


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True, help="milvus://127.0.0.1:19530/name")
    parser.add_argument("--index", type=Path, help="an index that is there, with --questions")
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--chunks", type=int, nargs="+", default=[10_000])
    parser.add_argument("--short", action="store_true", help="short passages, no token vectors")
    parser.add_argument("--server-pid", type=int, help="the server's process, whose memory is then stated")
    parser.add_argument("--models", type=Path, default=HOME / "var" / "models")
    args = parser.parse_args()
    results = []
    if args.index is not None:
        encoder = SentenceEncoder.load(None, models_dir=args.models, threads=process_threads())
        probes = asked(args.questions, encoder)
        results.append(measure(args.index, args.store, probes, args.server_pid))
        print(" · ".join(f"{name} {value:,.2f}" for name, value in results[-1].items()), flush=True)
    else:
        for chunks in args.chunks:
            with tempfile.TemporaryDirectory(prefix="store-") as folder:
                root, probes = made_up(Path(folder), chunks, args.short)
                results.append(measure(root, args.store, probes, args.server_pid))
            print(" · ".join(f"{name} {value:,.2f}" for name, value in results[-1].items()), flush=True)
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
