"""A quantized model run by OpenVINO: 8-bit integers on any x86 processor, without PyTorch in memory.

In: a folder that `index.quantize` wrote. Out: a `Backend`. Word embeddings are read from a mapped file, row by row: a table
of 250,000 rows would else be most of the memory and of the start. A question is read by all threads together; many
batches are read side by side, a thread each, which wastes none of them on waiting.
"""

from __future__ import annotations

import importlib
import json
import queue
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index.backend import TokenStates

RECORD = "made-from-model.json"
MODEL, EMBEDDINGS, TOKENIZER = "model.xml", "embeddings.npy", "tokenizer.json"
FORMAT = 1
LENGTH_STEP, LENGTH_STEP_MANY = 4, 8
"""Texts are filled up to a multiple of this: a length that was never seen costs 25 ms of preparation."""
WARM_LENGTH = 64
"""Tokens of a long question: a hundred characters."""
SIDE_BY_SIDE = 4
"""From this number of batches on they are read side by side."""
MIN_COSINE = 0.99
"""Between a vector that a quantized model gives and the one it should give, at the least."""


class QuantizedModelError(RuntimeError):
    """A quantized model that cannot be made or used; the message is for people."""


def openvino() -> Any:
    """The library, kept from reporting its use to its makers: it would when it is imported."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def is_whole(folder: Path) -> bool:
    """Whether every file of a quantized model is there at its size, in the form that is read here."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        sizes = {name: (folder / name).stat().st_size for name in record["sizes"]}
        return bool(record["format"] == FORMAT and sizes == record["sizes"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


class OpenVinoBackend:
    """A quantized model in memory; threads may share it."""

    pools_tokens = True
    name = "OpenVINO int8"

    def __init__(self, folder: Path, threads: int, settings: Mapping[str, str] | None = None) -> None:
        """Reads the folder; any error of the libraries may come, QuantizedModelError where it gives other vectors.

        `settings` are OpenVINO's own, beside those that are needed here.
        """
        from tokenizers import Tokenizer

        self.record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        self.max_length = int(self.record["max_length"])
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.enable_truncation(self.max_length)
        self._tokenizer.no_padding()
        self._embeddings = np.load(folder / EMBEDDINGS, mmap_mode="r", allow_pickle=False)
        self.dimension = int(self._embeddings.shape[1])
        self._folder, self._threads, self._settings = folder, threads, dict(settings or {})
        self._request = self._compiled(1).create_infer_request()
        self._lock = threading.Lock()
        self._many_lock = threading.Lock()
        self._many: Any = None
        self._check()

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """The tokens that would be read of each text."""
        return [len(encoding.ids) for encoding in self._read(texts)]

    def states(self, batches: Sequence[Sequence[str]]) -> Iterator[tuple[int, list[TokenStates]]]:
        """(number of the batch, the states of its texts), as they are done."""
        if len(batches) < SIDE_BY_SIDE or self._threads == 1:
            for number, texts in enumerate(batches):
                encodings = self._read(texts)
                with self._lock:
                    values = self._request.infer(self._inputs(encodings, LENGTH_STEP))[0]
                yield number, _states(encodings, values)
            return
        with self._many_lock:
            yield from self._side_by_side(batches)

    def warm(self) -> None:
        """Prepares for questions of usual length, which takes a third of a second; the first ones would wait for it."""
        for length in range(LENGTH_STEP, WARM_LENGTH + 1, LENGTH_STEP):
            inputs = [np.zeros((1, length, self.dimension), np.float32), np.ones((1, length), np.int64)]
            with self._lock:
                self._request.infer(inputs)

    def vectors(self, texts: Sequence[str], prompt: str) -> npt.NDArray[np.float32]:
        """The means of the texts' tokens  # (n, dim)."""
        [(_, found)] = self.states([[prompt + text for text in texts]])
        return np.stack([states.values.mean(axis=0) for states in found])

    def _check(self) -> None:
        """Refuses a processor that computes otherwise than the one the model was made on."""
        check = self.record.get("check")
        if check is None:
            return  # it is only just being made
        asked = np.array(check["vector"], np.float32)
        given = self.vectors([check["text"]], "")[0]
        cosine = float(asked @ given / np.linalg.norm(asked) / np.linalg.norm(given))
        if not cosine >= MIN_COSINE:  # also refuses NaN
            raise QuantizedModelError(
                f"変換したモデルが、このコンピューターでは違うベクトルを返します（類似度 {cosine:.4f}）。"
            )

    def _side_by_side(self, batches: Sequence[Sequence[str]]) -> Iterator[tuple[int, list[TokenStates]]]:
        if self._many is None:
            self._many = openvino().AsyncInferQueue(self._compiled(self._threads), self._threads)
        done: queue.SimpleQueue[tuple[int, list[TokenStates]]] = queue.SimpleQueue()

        def keep(request: Any, batch: tuple[int, list[Any]]) -> None:
            number, encodings = batch
            done.put((number, _states(encodings, request.get_output_tensor(0).data)))

        self._many.set_callback(keep)
        waiting = len(batches)
        try:
            for number, texts in enumerate(batches):
                encodings = self._read(texts)
                self._many.start_async(self._inputs(encodings, LENGTH_STEP_MANY), (number, encodings))
                while not done.empty():
                    waiting -= 1
                    yield done.get()
        finally:
            self._many.wait_all()
        for _ in range(waiting):
            yield done.get_nowait()

    def _compiled(self, streams: int) -> Any:
        """The model, to be run by so many requests at a time, which share the threads."""
        # threads held to one core each would wait there while another program runs on it; what is not in 8 bits is computed in
        # 32: processors with bfloat16 would else round it between the others (docs/decisions.md)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,
        }
        return openvino().Core().compile_model(self._folder / MODEL, "CPU", settings | self._settings)

    def _read(self, texts: Sequence[str]) -> list[Any]:
        found: list[Any] = self._tokenizer.encode_batch(list(texts))
        return found

    def _inputs(self, encodings: Sequence[Any], step: int) -> list[npt.NDArray[Any]]:
        """The tokens' embeddings  # (n, t, dim) float32, and which are there  # (n, t) int64; t a multiple of `step`."""
        longest = max(len(encoding.ids) for encoding in encodings)
        longest = min(-(-longest // step) * step, self.max_length)
        mask = np.zeros((len(encodings), longest), np.int64)
        embeddings = np.zeros((len(encodings), longest, self.dimension), np.float32)
        for row, encoding in enumerate(encodings):
            mask[row, : len(encoding.ids)] = 1
            embeddings[row, : len(encoding.ids)] = self._embeddings[encoding.ids]
        return [embeddings, mask]


def _states(encodings: Sequence[Any], values: npt.NDArray[np.float32]) -> list[TokenStates]:
    """The states of each text, copied: the request's memory is used again."""
    return [
        TokenStates(
            np.array(values[row, : len(encoding.ids)], np.float32),
            np.array(encoding.ids, np.int32),
            np.array(encoding.offsets, np.int32).reshape(-1, 2),
        )
        for row, encoding in enumerate(encodings)
    ]
