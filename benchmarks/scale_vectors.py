"""Ways to find the nearest of many vectors, built and asked alike, for `benchmarks/scale.py`.

In: a way's name and a file of vectors. Out: what it costs and what it finds, against the exact answer. FAISS's own indexes
are asked through one function; the ways that end in `+exact` take more rows from a coarse index and order them by their whole
vectors, which stay in a mapped file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from index.dense import DenseIndex

K = 200
"""Rows that the product takes from each engine."""
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
IP = faiss.METRIC_INNER_PRODUCT


def hnsw(links: int, quantizer: int | None = None) -> Callable[[int, int], Any]:
    """A graph with `links` a row, over whole vectors or quantized ones."""

    def make(dimension: int, count: int) -> Any:
        index: Any
        if quantizer is None:
            index = faiss.IndexHNSWFlat(dimension, links, IP)
        else:
            index = faiss.IndexHNSWSQ(dimension, quantizer, links, IP)  # type: ignore[arg-type]
        index.hnsw.efConstruction = 100
        return index

    return make


def by_factory(text: str) -> Callable[[int, int], Any]:
    """An index by FAISS's own short description; LISTS becomes four times the root of the number of rows."""

    def make(dimension: int, count: int) -> Any:
        return faiss.index_factory(dimension, text.replace("LISTS", str(int(4 * count**0.5))), IP)

    return make


WAYS: dict[str, Callable[[int, int], Any]] = {
    "flat": lambda dimension, count: faiss.IndexFlatIP(dimension),
    "fp16": by_factory("SQfp16"),
    "sq8": by_factory("SQ8"),
    "hnsw32": hnsw(32),
    "hnsw16 sq8": hnsw(16, faiss.ScalarQuantizer.QT_8bit),
    "ivf": by_factory("IVFLISTS,Flat"),
    "ivf sq8": by_factory("IVFLISTS,SQ8"),
    "pq96 +exact": by_factory("PQ96x4fs"),
    "pq192 +exact": by_factory("PQ192x4fs"),
    "product": lambda dimension, count: None,
    "rabitq +exact": lambda dimension, count: faiss.IndexRaBitQFastScan(dimension, IP),
    "ivf rabitq +exact": by_factory("IVFLISTS,RaBitQfs"),
}
SETTINGS: dict[str, tuple[int, ...]] = {
    "hnsw32": (200, 400, 800),
    "hnsw16 sq8": (200, 400, 800),
    "ivf": (16, 64, 128),
    "ivf sq8": (16, 64, 128),
    "pq96 +exact": (1000, 2000, 4000),
    "pq192 +exact": (1000, 2000, 4000),
    "rabitq +exact": (1000, 2000, 4000),
    "ivf rabitq +exact": (32, 128, 256),
}
"""What is varied: the breadth of the search in a graph, the lists that are read, the rows taken to be ordered exactly."""
MAPPED = faiss.IO_FLAG_MMAP_IFC
IVF_TAKEN = 2000
TRAINED = 100_000
"""Rows that an index that learns is shown at most."""


def build(way: str, vectors: Path, file: Path) -> dict[str, float]:
    """Makes an index and writes it; seconds and bytes a row."""
    rows = np.load(vectors, mmap_mode="r")
    started = time.perf_counter()
    if way == "product":
        DenseIndex.build(rows).save(file)
        size = sum(path.stat().st_size for path in (file, file.with_suffix(".codes")) if path.exists())
        return {"build s": time.perf_counter() - started, "bytes": size / len(rows)}
    index = WAYS[way](rows.shape[1], len(rows))
    if not index.is_trained:
        # as in the product: many small problems are no work for two threads
        with threadpool_limits(limits=1 if way.startswith("pq") else None, user_api="openmp"):
            index.train(np.ascontiguousarray(rows[:: -(-len(rows) // TRAINED)]))
    for first in range(0, len(rows), 50_000):
        index.add(np.ascontiguousarray(rows[first : first + 50_000]))
    faiss.write_index(index, str(file))
    return {"build s": time.perf_counter() - started, "bytes": file.stat().st_size / len(rows)}


class Asked:
    """A built index, asked in one way; `flat` is the file of the whole vectors."""

    def __init__(self, way: str, file: Path, flat: Path) -> None:
        self._way = way
        self._product = DenseIndex.load(file) if way == "product" else None
        self._index = None if self._product else faiss.read_index(str(file), MAPPED if way == "flat" else 0)
        self._exact: Any = faiss.read_index(str(flat), MAPPED) if way.endswith("+exact") else None

    def search(self, question: Vectors, setting: int | None, marks: Any = None) -> Rows:
        """Rows of the K nearest, best first; only the marked ones, where the way knows how."""
        if self._product is not None:
            return np.array([row for row, _ in self._product.search(question, K, marks)], dtype=np.int64)
        index, one, parameters = self._index, question.reshape(1, -1), None
        assert index is not None
        if self._way.startswith("hnsw"):
            parameters = faiss.SearchParametersHNSW(efSearch=setting)  # type: ignore[attr-defined]
        elif self._way.startswith("ivf"):
            parameters = faiss.SearchParametersIVF(nprobe=setting)  # type: ignore[call-arg]
        if self._exact is None:
            found: Rows = index.search(one, K, params=parameters)[1][0]
            return found
        taken = index.search(one, IVF_TAKEN if parameters else int(setting or K), params=parameters)[1][0]
        taken = np.sort(taken[taken >= 0])
        scores = np.empty(len(taken), np.float32)
        self._exact.compute_distance_subset(
            1, faiss.swig_ptr(question), len(taken), faiss.swig_ptr(scores), faiss.swig_ptr(taken)
        )
        return taken[np.argsort(-scores, kind="stable")[:K]]


def recall(found: Rows, exact: Rows, k: int) -> float:
    """Which part of the k nearest was among the first k found."""
    return len(np.intersect1d(found[:k], exact[:k])) / min(k, len(exact))


def resident() -> tuple[float, float]:
    """MB of memory of this process: its own, and of mapped files."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    own, mapped = (int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return own, mapped
