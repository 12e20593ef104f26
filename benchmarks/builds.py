"""What adding one document costs beside a corpus of many chunks, and what a running server needs to take it up.

    python benchmarks/builds.py [--chunks 100000] [--short] [--folder DIR]

The corpus is made up, the encoder a fake of the real one's shapes (384 dimensions, 90 tokens a passage), so that what is
measured is everything but the encoder: that one's time depends on the new document alone. With `--short` a passage is one
sentence and the encoder gives no token vectors: 4 KB a chunk instead of 40, so that a million fit on a disk of 30 GB.
Prints one line a size, the last line as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

from index.build import build  # noqa: E402
from index.current import CurrentIndex  # noqa: E402
from index.late import TokenVectors  # noqa: E402
from index.passages import model_record  # noqa: E402
from qa.answer import ask  # noqa: E402

DIMENSION, TOKENS, PER_DOCUMENT = 384, 90, 50
WORDS = [
    "窓口",
    "手続",
    "申請",
    "予約",
    "電話",
    "職員",
    "研修",
    "予算",
    "条例",
    "住民",
    "証明書",
    "手数料",
    "税務",
    "福祉",
    "教育",
    "防災",
    "道路",
    "水道",
    "図書館",
    "公園",
    "介護",
    "保育",
    "健診",
    "広報",
    "統計",
    "契約",
    "監査",
    "選挙",
    "議会",
    "農業",
    "林業",
    "漁業",
    "観光",
    "交通",
    "環境",
    "廃棄物",
    "消防",
    "病院",
    "学校",
    "給食",
    "住宅",
    "都市",
    "計画",
    "推進",
    "体制",
    "人材",
    "育成",
    "共同",
    "調達",
    "標準化",
]


class ShapeOnly:
    """An encoder of the right shapes: vectors by the words' checksum, the same each time."""

    name, model_fingerprint, dimension = "shape-only", "0", DIMENSION
    prompts = {"query": "", "passage": ""}  # noqa: RUF012 - the shape that an encoder has

    def __init__(self, tokens: bool = True) -> None:
        self._gives = tokens
        self._bank = np.random.default_rng(0).normal(size=(5000, DIMENSION)).astype(np.float32)
        self._bank /= np.linalg.norm(self._bank, axis=1, keepdims=True)

    def _rows(self, text: str, count: int) -> np.ndarray:
        first = zlib.crc32(text.encode())
        return (first + 7919 * np.arange(count)) % len(self._bank)

    def _vector(self, text: str) -> np.ndarray:
        mean: np.ndarray = self._bank[self._rows(text, 5)].sum(axis=0)
        mean /= np.linalg.norm(mean)
        return mean

    def encode_passages(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Vectors of texts."""
        return (
            np.stack([self._vector(text) for text in texts])
            if texts
            else np.zeros((0, DIMENSION), np.float32)
        )

    def _tokens(self, text: str, count: int) -> TokenVectors:
        rows = self._rows(text, count)
        starts = np.linspace(0, max(0, len(text) - 1), count).astype(np.int32)
        return TokenVectors(rows.astype(np.int32), self._bank[rows], starts)

    def encode_with_tokens(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors] | None]:
        """Vectors and token vectors of texts."""
        if progress is not None:
            progress(len(texts), len(texts))
        tokens = [self._tokens(text, TOKENS) for text in texts] if self._gives else None
        return self.encode_passages(texts), tokens

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of questions."""
        return self.encode_passages(texts)

    def encode_question(self, text: str) -> tuple[np.ndarray, TokenVectors | None]:
        """The vector and token vectors of a question."""
        return self._vector(text), self._tokens(text, 12) if self._gives else None


def document(seed: int, sentences: int = 6) -> str:
    """A made-up plan of PER_DOCUMENT sections of so many sentences of 50 characters."""
    chosen = random.Random(seed)  # noqa: S311 - made-up words need no secrecy
    parts = [f"# 第{seed}号{chosen.choice(WORDS)}計画\n"]
    for number in range(PER_DOCUMENT):
        parts.append(f"\n## {number + 1}の{chosen.choice(WORDS)}と{chosen.choice(WORDS)}\n\n")
        for _ in range(sentences):
            picked = "と".join(chosen.choices(WORDS, k=5))
            parts.append(
                f"{picked}について、{chosen.randrange(1, 999)}件を{chosen.choice(WORDS)}課が受け持ち進める。"
            )
        parts.append("\n")
    return "".join(parts)


def timed(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def resident(name: str) -> float:
    """MB of this process in memory: now (`VmRSS`), what of it is its own (`RssAnon`), or at most (`VmHWM`)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {name}")


def peak_of(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds that an action takes, and the MB that it has in memory at most."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    return timed(action), resident("VmHWM")


def measure(folder: Path, chunks: int, short: bool) -> dict[str, float]:
    """Seconds of each step for a corpus of so many chunks."""
    documents, root, encoder = folder / "documents", folder / "index", ShapeOnly(tokens=not short)
    sentences = 1 if short else 6
    documents.mkdir(parents=True)
    count = max(1, chunks // PER_DOCUMENT)
    for number in range(count):
        (documents / f"{number:05}.md").write_text(document(number, sentences), encoding="utf-8")
    found: dict[str, float] = {"chunks": count * PER_DOCUMENT}
    found["first build"], found["first build, MB"] = peak_of(lambda: build(documents, root, encoder))
    time.sleep(3.1)  # a file changed just now is read again
    # the first to go through all files again: it knows how the segments' files were, and says so to those after it
    (documents / "a.md").write_text(document(10**6 - 1, sentences), encoding="utf-8")
    found["first add"] = timed(lambda: build(documents, root, encoder))
    time.sleep(3.1)
    build(documents, root, encoder)
    current = CurrentIndex(root, model_record(encoder))
    found["load"] = timed(current.get)
    index = current.get()
    if index is None:
        raise RuntimeError(current.problem)
    question = f"第7号の{WORDS[3]}と{WORDS[9]}は何件ですか"
    found["first ask"] = timed(lambda: ask(index, encoder, question))
    found["ask"] = min(timed(lambda: ask(index, encoder, question)) for _ in range(5))
    adds, takes, asks = [], [], []
    for number in range(5):
        (documents / f"new{number}.md").write_text(document(10**6 + number, sentences), encoding="utf-8")
        adds.append(timed(lambda: build(documents, root, encoder)))
        takes.append(timed(current.get))
        taken = current.get()
        if taken is None:
            raise RuntimeError(current.problem)
        asks.append(timed(lambda taken=taken: ask(taken, encoder, question)))  # type: ignore[misc]
    found["add one"] = sorted(adds)[2]
    found["add one, worst"] = max(adds)
    found["take up"] = sorted(takes)[2]
    found["first ask after"] = sorted(asks)[2]
    found["nothing changed"] = timed(lambda: build(documents, root, encoder))
    (documents / "00000.md").unlink()
    found["remove one"] = timed(lambda: build(documents, root, encoder))
    found["take up removal"] = timed(current.get)
    (documents / "00001.md").rename(documents / "renamed.md")
    found["rename one"] = timed(lambda: build(documents, root, encoder))
    found["MB"] = sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) / 2**20
    return found


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--short", action="store_true", help="short passages, no token vectors")
    parser.add_argument("--folder", type=Path, help="where to build (a temporary folder by default)")
    args = parser.parse_args()
    results = []
    for chunks in args.chunks:
        folder = Path(tempfile.mkdtemp(prefix="builds-", dir=args.folder))
        try:
            results.append(measure(folder, chunks, args.short))
        finally:
            shutil.rmtree(folder)
        print(" · ".join(f"{name} {value:,.3f}" for name, value in results[-1].items()), flush=True)
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
