"""From passages to what the engines need of them: vectors, token vectors, tokens, and the key that says which are the same.

In: passages (`corpus.records.Passage`) and an encoder. Out: arrays and tokens. Where they are kept is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from corpus.records import Passage
from index.dense import Vectors
from index.encoder import Encoder
from index.late import PackedTokens, pack
from index.lexical import Tokens
from index.tokenizer import grams, tokenize
from index.versions import ModelRecord

BLOCK = 2048
"""Passages that are encoded before their token vectors are written."""


def model_record(encoder: Encoder) -> ModelRecord:
    """What the manifest keeps of an encoder."""
    return ModelRecord(encoder.name, encoder.model_fingerprint, encoder.dimension, dict(encoder.prompts))


def vector_key(passage: Passage) -> str:
    """The key of the vector of a passage: passages of one key have one vector."""
    return hashlib.sha256(f"{passage.where}\x00{passage.words}".encode("utf-8", "surrogatepass")).hexdigest()[
        :32
    ]


def tokens_of(passage: Passage) -> Tokens:
    """The tokens of a passage for the fields of the lexical index."""
    words = tokenize(passage.words)
    return Tokens(
        [*tokenize(passage.where), *words],
        [*tokenize(passage.near), *words],
        grams(f"{passage.near}\n{passage.words}"),
    )


def encode(
    encoder: Encoder,
    passages: Mapping[str, Passage],
    keep: Callable[[str, PackedTokens], None],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Vectors], bool]:
    """The vectors of passages by their keys, and whether the model gives token vectors; these go to `keep`.

    They are handed on in blocks, since all of them together may be larger than the memory.
    """
    vectors: dict[str, Vectors] = {}
    keys, gives = list(passages), True
    for start in range(0, len(keys), BLOCK):
        part = [passages[key] for key in keys[start : start + BLOCK]]
        found, tokens = encoder.encode_with_tokens(
            [p.words for p in part],
            None if progress is None else lambda done, _, start=start: progress(start + done, len(keys)),  # type: ignore[misc]
            [p.where for p in part],
        )
        vectors.update(zip(keys[start : start + BLOCK], found, strict=True))
        if tokens is None:
            gives = False
            continue
        for key, own in zip(keys[start : start + BLOCK], tokens, strict=True):
            keep(key, pack(own, passages[key].sentences))
    return vectors, gives
