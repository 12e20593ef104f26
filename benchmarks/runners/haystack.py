"""Haystack as its documentation sets it up: embeddings and BM25 over an in-memory store, joined.

- Pipeline: SentenceTransformersTextEmbedder ▶ InMemoryEmbeddingRetriever beside InMemoryBM25Retriever ▶ DocumentJoiner, without the
  ranker at the end: https://haystack.deepset.ai/tutorials/33_hybrid_retrieval, joined by reciprocal rank fusion:
  https://docs.haystack.deepset.ai/docs/documentjoiner
- Passages: RecursiveDocumentSplitter by characters, with 「。」 for the English sentence splitter, which has no Japanese:
  https://docs.haystack.deepset.ai/docs/recursivesplitter. 800 characters, which is what the model reads: on the samples hit@1 0.615,
  with the page's 400 0.514 (fusion by distribution 0.534; 0.568 at 800).
- Embeddings: `prefix`, which its page shows for e5: https://docs.haystack.deepset.ai/docs/sentencetransformersdocumentembedder
- BM25: `bm25_tokenization_regex` of the store: https://docs.haystack.deepset.ai/docs/inmemorydocumentstore. The default takes Japanese
  apart into single letters; pairs of letters find a little more (hit@1 0.615 to 0.605).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runners.measure import TOP_K, Passage, run, with_history

PACKAGES = ("haystack-ai", "sentence-transformers-haystack", "sentence-transformers", "torch")
SUFFIXES = (".txt", ".md")
PAIRS_OF_LETTERS = r"(?u)(?=(\w\w))"


class Haystack:
    """An indexing and a query pipeline over one store."""

    def __init__(self, model: Path, precision: str) -> None:
        from haystack.utils import ComponentDevice
        from haystack_integrations.components.embedders.sentence_transformers import (
            SentenceTransformersDocumentEmbedder,
            SentenceTransformersTextEmbedder,
        )

        dtype = {"bf16": "bfloat16", "fp32": "float32"}.get(precision)
        shared: dict[str, Any] = {
            "model": str(model),
            "device": ComponentDevice.from_str("cpu"),
            "progress_bar": False,
            "model_kwargs": {"torch_dtype": dtype} if dtype else None,
        }
        self._documents = SentenceTransformersDocumentEmbedder(prefix="passage: ", **shared)
        self._questions = SentenceTransformersTextEmbedder(prefix="query: ", **shared)
        self._documents.warm_up()
        self._questions.warm_up()
        self._store: Any = None
        self._pipeline: Any = None

    def build(self, documents: Path, files: Sequence[Path]) -> None:
        """Reads, splits, embeds and stores the files."""
        from haystack import Pipeline
        from haystack.components.converters import TextFileToDocument
        from haystack.components.joiners import DocumentJoiner
        from haystack.components.preprocessors import RecursiveDocumentSplitter
        from haystack.components.retrievers.in_memory import (
            InMemoryBM25Retriever,
            InMemoryEmbeddingRetriever,
        )
        from haystack.components.writers import DocumentWriter
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        self._store = InMemoryDocumentStore(
            embedding_similarity_function="cosine",
            bm25_tokenization_regex=PAIRS_OF_LETTERS,
            return_embedding=False,
        )
        indexing = Pipeline()
        indexing.add_component("reader", TextFileToDocument())
        indexing.add_component(
            "splitter",
            RecursiveDocumentSplitter(
                split_length=800, split_overlap=0, split_unit="char", separators=["\n\n", "\n", "。"]
            ),
        )
        indexing.add_component("embedder", self._documents)
        indexing.add_component("writer", DocumentWriter(self._store))
        indexing.connect("reader", "splitter")
        indexing.connect("splitter", "embedder")
        indexing.connect("embedder", "writer")
        indexing.run({"reader": {"sources": list(files)}})

        query = Pipeline()
        query.add_component("embedder", self._questions)
        query.add_component("vectors", InMemoryEmbeddingRetriever(self._store, top_k=TOP_K))
        query.add_component("words", InMemoryBM25Retriever(self._store, top_k=TOP_K))
        query.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=TOP_K))
        query.connect("embedder.embedding", "vectors.query_embedding")
        query.connect("vectors", "joiner")
        query.connect("words", "joiner")
        self._pipeline = query

    def passages(self) -> list[Passage]:
        """All stored documents."""
        return [_passage(document) for document in self._store.filter_documents()]

    def ask(self, question: str, history: Sequence[str]) -> list[Passage]:
        """The best documents."""
        text = with_history(question, history)
        reply = self._pipeline.run({"embedder": {"text": text}, "words": {"query": text}})
        return [_passage(document) for document in reply["joiner"]["documents"]]

    def encode(self, question: str) -> None:
        """The vector of a question."""
        self._questions.run(text=question)


def _passage(document: Any) -> Passage:
    return Path(document.meta["file_path"]).name, document.content


if __name__ == "__main__":
    sys.exit(run(Haystack, PACKAGES, SUFFIXES))
