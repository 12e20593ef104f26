"""txtai as its documentation sets it up: a hybrid index over the passages of its own text extractor.

- Index: `Embeddings(hybrid=True)`, vectors and BM25 fused half and half: https://neuml.github.io/txtai/embeddings/configuration/general/
- Passages: Textractor with a chunker of chonkie, as in
  https://github.com/neuml/txtai/blob/master/examples/73_Chunking_your_data_for_RAG.ipynb, told to end sentences at 「。」.
  800 characters, which is what the model reads: on the samples hit@1 0.554, with 400 0.507.
- Embeddings: `instructions`, which its page names for e5: https://neuml.github.io/txtai/embeddings/configuration/vectors/
- BM25: the scoring index's `tokenizer` with its setting `ngrams`. Its default follows the Unicode rules of word boundaries, which
  take kanji and hiragana apart into single letters (hit@1 0.483 to 0.507 at 400 characters):
  https://neuml.github.io/txtai/pipeline/data/tokenizer/
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runners.measure import TOP_K, Passage, run, with_history

PACKAGES = ("txtai", "chonkie", "transformers", "faiss-cpu", "torch")
SUFFIXES = (".txt", ".md", ".html")


class Txtai:
    """A hybrid index; rows of the index are places in the list of passages."""

    def __init__(self, model: Path, precision: str) -> None:
        from txtai import Embeddings

        dtype = {"bf16": "bfloat16", "fp32": "float32"}.get(precision)
        self._embeddings = Embeddings(
            path=str(model),
            instructions={"query": "query: ", "data": "passage: "},
            hybrid=True,
            scoring={"method": "bm25", "terms": True, "normalize": True, "tokenizer": {"ngrams": 2}},
            gpu=False,
            **({"vectors": {"dtype": dtype}} if dtype else {}),
        )
        self._embeddings.batchtransform(["準備"], "query")  # the model is loaded with the first vector
        self._passages: list[Passage] = []

    def build(self, documents: Path, files: Sequence[Path]) -> None:
        """Reads, splits and indexes the files."""
        from txtai.pipeline import Textractor

        extract = Textractor(
            chunker="sentence", tokenizer="character", chunk_size=800, chunk_overlap=0, delim=["。", "\n"]
        )
        self._passages = [(path.name, text) for path in files for text in extract(str(path))]
        self._embeddings.index((row, text, None) for row, (_, text) in enumerate(self._passages))

    def passages(self) -> list[Passage]:
        """All passages."""
        return self._passages

    def ask(self, question: str, history: Sequence[str]) -> list[Passage]:
        """The best passages."""
        hits: Any = self._embeddings.search(with_history(question, history), TOP_K)
        return [self._passages[row] for row, _ in hits]

    def encode(self, question: str) -> None:
        """The vector of a question."""
        self._embeddings.batchtransform([question], "query")


if __name__ == "__main__":
    sys.exit(run(Txtai, PACKAGES, SUFFIXES))
