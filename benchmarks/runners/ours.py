"""This project, asked in the process (`Core`), over HTTP on the loopback address (`Service`), or for passages alone (`Retrieval`).

The first two do all that a visitor's question does: conditions, retrieval, the answer's sentences, the decision whether there is an
answer. The third does what its peers do: a question in, the best passages out (`GET /api/search`, which knows no conversation).
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runners.measure import TOP_K, Passage, run, with_history
from build_index import load_encoder
from index.build import build
from index.current import CurrentIndex
from index.encoder import DEFAULT_MODEL
from index.passages import model_record
from index.store import Index, load_current
from options import HOME
from qa.answer import ask, search
from qa.synonyms import Synonyms, SynonymsFile
from server import create_app

PACKAGES = ("sentence-transformers", "transformers", "torch", "openvino", "faiss-cpu", "fugashi")
SUFFIXES = (".txt", ".md", ".csv", ".tsv", ".html", ".docx", ".pptx", ".xlsx", ".pdf")
SYNONYMS = HOME / "synonyms.csv"


def _encoder(model: Path, precision: str) -> Any:
    """The encoder that the server would take for this model, or the one of a precision."""
    default = model.name == DEFAULT_MODEL
    return load_encoder(
        argparse.Namespace(
            model=None if default else str(model),
            models=str(model.parent),
            allow_hub=False,
            precision=precision or "auto",
        )
    )


class Core:
    """The index and `qa.answer.ask`."""

    def __init__(self, model: Path, precision: str) -> None:
        self._encoder = _encoder(model, precision)
        self._synonyms = Synonyms.load(SYNONYMS)
        self._folder = tempfile.TemporaryDirectory()
        self._root = Path(self._folder.name) / "index"
        self._index: Index | None = None

    def build(self, documents: Path, files: Sequence[Path]) -> None:
        """Builds the index on the disk, checks it and loads it."""
        build(documents, self._root, self._encoder)
        self._index = load_current(self._root)

    def passages(self) -> list[Passage]:
        """All chunks."""
        index = self._loaded()
        return [(Path(index.documents[c.document_id].path).name, c.text) for c in index.chunks]

    def ask(self, question: str, history: Sequence[str]) -> list[Passage]:
        """The passages of the reply."""
        reply = ask(
            self._loaded(),
            self._encoder,
            question,
            history=list(history),
            top_k=TOP_K,
            synonyms=self._synonyms,
        )
        return [(Path(citation.path).name, citation.text) for citation in reply.citations]

    def encode(self, question: str) -> None:
        """The vector of a question."""
        self._encoder.encode_question(question)

    def _loaded(self) -> Index:
        if self._index is None:
            raise RuntimeError("build() comes first")
        return self._index


class Retrieval(Core):
    """The same without an answer."""

    def ask(self, question: str, history: Sequence[str]) -> list[Passage]:
        """The passages nearest to the question, in which the earlier ones stand too."""
        text = with_history(question, history)
        found = search(self._loaded(), self._encoder, text, top_k=TOP_K, synonyms=self._synonyms)
        return [(Path(citation.path).name, citation.text) for citation in found.citations]


class Service(Core):
    """`Core` behind `POST /api/ask`, served in a thread of this process, over one connection, as clients keep it."""

    def build(self, documents: Path, files: Sequence[Path]) -> None:
        """Builds the index and starts serving it."""
        import uvicorn

        super().build(documents, files)
        current = CurrentIndex(self._root, model_record(self._encoder))
        current.get()
        app = create_app(
            current=current,
            encoder=self._encoder,
            rebuild=lambda progress: build(documents, self._root, self._encoder),
            synonyms=SynonymsFile(SYNONYMS),
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=self._port, log_level="warning"))
        threading.Thread(target=server.run, daemon=True).start()
        while not server.started:
            time.sleep(0.02)
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

    def ask(self, question: str, history: Sequence[str]) -> list[Passage]:
        """The citations of the reply, as a client reads them."""
        body = {"question": question, "history": list(history), "top_k": TOP_K}
        self._connection.request(
            "POST", "/api/ask", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        reply = json.load(self._connection.getresponse())
        return [(Path(citation["path"]).name, citation["text"]) for citation in reply["citations"]]


if __name__ == "__main__":
    ways = {"--http": Service, "--passages": Retrieval}
    way = next((ways[argument] for argument in sys.argv if argument in ways), Core)
    rest = [argument for argument in sys.argv[1:] if argument not in ways]
    sys.exit(run(way, PACKAGES, SUFFIXES, rest))
