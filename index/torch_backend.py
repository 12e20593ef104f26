"""A sentence-transformers model as it is, run by PyTorch in 32 or 16 bits.

In: a model's folder. Out: a `Backend`. It takes every model that sentence-transformers takes, whatever its pooling.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from index.backend import TokenStates

TorchPrecision = Literal["fp32", "bf16"]


class TorchBackend:
    """A sentence-transformers model; threads may share it."""

    def __init__(self, model: Any, name: str = "torch") -> None:
        self.name = name
        self.model = model
        self.pools_tokens = pools_tokens(model)
        self.max_length = int(getattr(model, "max_seq_length", 0) or 0)
        self._lock = threading.Lock()  # a fast tokenizer refuses two threads at once ("Already borrowed")
        self.dimension = int(self.vectors(["次元"], "").shape[1])

    @classmethod
    def load(
        cls, folder: Path, precision: TorchPrecision = "fp32", threads: int | None = None
    ) -> TorchBackend:
        """The model of a folder; any error of other people's code and files may come."""
        # Torch's threads spin while they wait for each other. Where other programs want the same cores, they
        # wait on a thread that cannot run: a question took 960 ms in that state, and 34 ms with sleeping
        # threads, which cost 2 ms where the cores are free. Read once, when torch is first imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch
        from sentence_transformers import SentenceTransformer

        if threads is not None:
            torch.set_num_threads(threads)
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        model.to(torch.bfloat16 if precision == "bf16" else torch.float32).eval()
        return cls(model, f"torch {precision}")

    def states(self, batches: Sequence[Sequence[str]]) -> Iterator[tuple[int, list[TokenStates]]]:
        """(number of the batch, the states of its texts), in order."""
        for number, texts in enumerate(batches):
            # One batch at a time, so that a question waits for a batch of a rebuild, not for all of it.
            with self._lock:
                found = self.model.encode(
                    list(texts),
                    prompt="",
                    batch_size=len(texts),
                    show_progress_bar=False,
                    output_value="token_embeddings",
                )
                read = self.model.tokenizer(
                    list(texts),
                    truncation=True,
                    max_length=self.max_length,
                    return_offsets_mapping=True,
                )
            yield (
                number,
                [
                    TokenStates(
                        np.asarray(values.float().cpu(), np.float32),
                        np.array(ids, np.int32),
                        np.array(spans, np.int32).reshape(-1, 2),
                    )
                    for values, ids, spans in zip(
                        found, read["input_ids"], read["offset_mapping"], strict=True
                    )
                ],
            )

    def vectors(self, texts: Sequence[str], prompt: str) -> npt.NDArray[np.float32]:
        """The model's own vectors  # (n, dim)."""
        with self._lock:
            raw = self.model.encode(
                list(texts), prompt=prompt, batch_size=len(texts), show_progress_bar=False
            )
        return np.asarray(raw, np.float32)

    def warm(self) -> None:
        """Reads a question once: the library loads parts of itself then."""
        self.vectors(["次元"], "")


def pools_tokens(model: Any) -> bool:
    """Whether a model's vector is the plain mean of its token vectors."""
    modules = [type(module).__name__ for module in model]
    if modules[:2] != ["Transformer", "Pooling"] or modules[2:] not in ([], ["Normalize"]):
        return False
    pools = model[1].pooling_mode in ("mean", ("mean",), ["mean"]) and model[1].include_prompt
    return bool(pools and model.tokenizer.is_fast)  # a slow tokenizer does not tell where its tokens stand
