"""The product's own `server.py`, options and all, with an encoder to see through in the place of the model.

    python fire_server.py [options of server.py]

In: the options of `server.py`. Out: the same service, which starts in two seconds instead of twenty, since no model is loaded.
Everything else is the real thing: the process, its network, its files, its readers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the product
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from made import FakeEncoder

import server
from index.late import TokenVectors


class Bigrams(FakeEncoder):
    """Counts character bigrams; a token a character, so that an index has all of its files."""

    backend = SimpleNamespace(warm=lambda: None)

    def encode_with_tokens(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors] | None]:
        return self.encode_passages(texts, progress, contexts), [_characters(text) for text in texts]

    def encode_question(self, text: str) -> tuple[np.ndarray, TokenVectors | None]:
        return self._vector(text), _characters(text[:64])  # a model reads so much and no more


def _characters(text: str) -> TokenVectors:
    ids = np.array([ord(letter) for letter in text], np.int32)
    return TokenVectors(ids, np.eye(64, dtype=np.float32)[ids % 64], np.arange(len(ids), dtype=np.int32))


def _load(_: Any) -> Bigrams:
    return Bigrams()


if __name__ == "__main__":
    server.load_encoder = _load  # type: ignore[assignment]
    sys.exit(server.main(sys.argv[1:]))
