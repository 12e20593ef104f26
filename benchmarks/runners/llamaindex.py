"""LlamaIndex as its documentation sets it up: a vector index and BM25, fused, without a language model.

- Retriever: QueryFusionRetriever in mode "relative_score" with weights 0.6 (vectors) and 0.4 (BM25), `num_queries=1` so that no
  language model is asked, over a vector index and BM25Retriever:
  https://docs.llamaindex.ai/en/stable/examples/retrievers/relative_score_dist_fusion/
- Passages: SentenceSplitter, whose own second pattern knows 「。」「？」「！」, with the sizes of
  https://docs.llamaindex.ai/en/stable/optimizing/basic_strategies/basic_strategies/ (chunk_size 512, chunk_overlap 50), counted by the
  model's own tokenizer (`Settings.tokenizer`): https://docs.llamaindex.ai/en/stable/module_guides/models/llms/. On the samples hit@1
  0.611; with 256 and 20 0.527, with 256 and 200 0.561, with 128 and 20 0.412.
- Embeddings: HuggingFaceEmbedding with `query_instruction` and `text_instruction`, for e5 "query: " and "passage: ":
  https://docs.llamaindex.ai/en/stable/examples/embeddings/huggingface/
- BM25: `BM25Retriever` with `token_pattern` and `skip_stemming`, which its documentation names for other languages than English. Its
  default pattern makes one word of a whole Japanese clause; pairs of letters are the form of Japanese that a pattern can find:
  https://docs.llamaindex.ai/en/stable/api_reference/retrievers/bm25/. hit@1 0.611, with its default 0.524, with words of fugashi put
  in and asked by a retriever of one's own 0.598. (The embedded text begins with the file's whole path, LlamaIndex's own way, so that
  these figures move by 0.02 with the folder the files are in.)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runners.measure import TOP_K, Passage, run, with_history

PACKAGES = (
    "llama-index-core",
    "llama-index-embeddings-huggingface",
    "llama-index-retrievers-bm25",
    "sentence-transformers",
    "torch",
)
SUFFIXES = (".txt", ".md", ".csv", ".html", ".docx", ".pptx", ".pdf")
PAIRS_OF_LETTERS = r"(?u)(?=(\w\w))"


class LlamaIndex:
    """A vector index and BM25 over the nodes of a folder."""

    def __init__(self, model: Path, precision: str) -> None:
        from llama_index.core import Settings
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding
        from transformers import AutoTokenizer

        dtype = {"bf16": "bfloat16", "fp32": "float32"}.get(precision)
        self._embedding = HuggingFaceEmbedding(
            model_name=str(model),
            query_instruction="query: ",
            text_instruction="passage: ",
            device="cpu",
            **({"model_kwargs": {"torch_dtype": dtype}} if dtype else {}),
        )
        Settings.embed_model = self._embedding
        Settings.tokenizer = AutoTokenizer.from_pretrained(str(model)).encode
        self._nodes: list[Any] = []
        self._retriever: Any = None

    def build(self, documents: Path, files: Sequence[Path]) -> None:
        """Reads, splits, embeds and indexes the files."""
        from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
        from llama_index.core.llms import MockLLM
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.core.retrievers import QueryFusionRetriever
        from llama_index.retrievers.bm25 import BM25Retriever

        documents = SimpleDirectoryReader(input_files=[str(path) for path in files]).load_data()
        splitter = SentenceSplitter(chunk_size=512, chunk_overlap=50)
        self._nodes = splitter.get_nodes_from_documents(documents)
        index = VectorStoreIndex(self._nodes)
        words = BM25Retriever.from_defaults(
            nodes=self._nodes,
            similarity_top_k=TOP_K,
            token_pattern=PAIRS_OF_LETTERS,
            skip_stemming=True,
        )
        self._retriever = QueryFusionRetriever(
            [index.as_retriever(similarity_top_k=TOP_K), words],
            llm=MockLLM(),  # never asked: it only has to be there
            retriever_weights=[0.6, 0.4],
            similarity_top_k=TOP_K,
            num_queries=1,
            mode="relative_score",
            use_async=False,
        )

    def passages(self) -> list[Passage]:
        """All nodes."""
        return [_passage(node) for node in self._nodes]

    def ask(self, question: str, history: Sequence[str]) -> list[Passage]:
        """The best nodes."""
        return [_passage(hit.node) for hit in self._retriever.retrieve(with_history(question, history))]

    def encode(self, question: str) -> None:
        """The vector of a question."""
        self._embedding.get_query_embedding(question)


def _passage(node: Any) -> Passage:
    return node.metadata["file_name"], node.get_content()


if __name__ == "__main__":
    sys.exit(run(LlamaIndex, PACKAGES, SUFFIXES))
