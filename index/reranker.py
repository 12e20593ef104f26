"""An optional second opinion on the best hits: a cross-encoder that reads question and passage together.

In: a sentence-transformers cross-encoder, by folder or name, from this computer. Out: a score per passage, 0 to 1. It is slow
(one pass of the model for each passage) and off unless asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from index.e5_weights import quiet_and_offline


class RerankerError(RuntimeError):
    """The cross-encoder is not there, cannot be read or failed; the message is one Japanese sentence."""


class Reranker:
    """A cross-encoder; threads may share it."""

    def __init__(self, model: Any, name: str) -> None:
        self.name = name
        self._model = model
        self._lock = threading.Lock()  # a fast tokenizer refuses two threads at once

    @classmethod
    def load(cls, name: str, *, allow_hub: bool = False) -> Reranker:
        """The cross-encoder of a folder or a name. Raises RerankerError."""
        from sentence_transformers import CrossEncoder

        with quiet_and_offline(allow_hub=allow_hub):
            try:
                model = CrossEncoder(name, device="cpu", local_files_only=not allow_hub)
            except Exception as error:  # a model is other people's code and files: any error may come
                reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
                raise RerankerError(
                    f"再順位付けのモデル「{name}」を読めないので（{reason}）、使わずに答えています。"
                    "--reranker のフォルダーを確かめてください。"
                ) from error
        return cls(model, Path(name).name)

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """How well each passage answers, 0 to 1, in their order. Raises RerankerError."""
        if not passages:
            return []
        try:
            with self._lock:
                raw = self._model.predict([(question, text) for text in passages], show_progress_bar=False)
        except Exception as error:
            raise RerankerError(
                f"再順位付けのモデル「{self.name}」が途中で失敗したので、使わずに答えています。"
            ) from error
        values = np.asarray(raw, dtype=np.float64).reshape(len(passages), -1)[:, -1]
        if not np.isfinite(values).all():
            raise RerankerError(
                f"再順位付けのモデル「{self.name}」の値が正しくないので、使わずに答えています。"
            )
        # models with one output give logits or, where their activation is a sigmoid, 0..1
        if values.min() < 0 or values.max() > 1:
            values = 1 / (1 + np.exp(-values))
        return [float(value) for value in values]
