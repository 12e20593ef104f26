"""What several test files share: a fake encoder, the default one, and a model with random weights, made once."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import fire
import milvus_server
import numpy as np
import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from index.encoder import SentenceEncoder, best_precision
from index.late import TokenVectors
from web.logs import QUIET

# Generated input is the same in every run of CI, and new in every run elsewhere.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

REPOSITORY = Path(__file__).resolve().parent.parent

# the table of what was fired at the service, after the tests
pytest_terminal_summary = fire.pytest_terminal_summary


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Where models are kept between runs: making the default one takes 17 s and 470 MB."""
    return Path(os.environ.get("DXQA_MODELS") or REPOSITORY / "var" / "models")


@pytest.fixture(scope="session")
def encoder(models_dir: Path) -> SentenceEncoder:
    """The product's default encoder, with the real model; made by one process, if it is not there, while others wait."""
    models_dir.mkdir(parents=True, exist_ok=True)
    with (models_dir / ".made-by-one").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return SentenceEncoder.load(None, models_dir=models_dir, precision=best_precision())


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser; without one the test is left out, except in CI, where it fails.

    One a module: while it runs, its event loop is this thread's, and other tests need their own.
    """
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("chromium is not installed (make tools)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[milvus_server.MilvusServer]:
    """A real Milvus server; where the system allows it no network of its own, the test is left out.

    It starts in 3 s and takes 200 MB; a test that lets it fail leaves it running and well.
    """
    reason = milvus_server.refusal()
    if reason is not None:
        pytest.skip(reason)
    with milvus_server.MilvusServer(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A program that a test runs in this process may set up its log; the next test has the one that pytest looks at."""
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable
    levels = {name: logging.getLogger(name).level for name in ("dxqa", *QUIET)}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.disable(disabled)
    logging.captureWarnings(False)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


class FakeEncoder:
    """Counts character bigrams by their checksum into 8 numbers; a context counts half. Keeps what it encoded."""

    def __init__(self, name: str = "fake", fingerprint: str = "f0") -> None:
        self.name, self.model_fingerprint, self.dimension = name, fingerprint, 8
        self.prompts = {"query": "", "passage": ""}
        self.passages: list[str] = []
        self.headings: list[str] = []
        self.queries: list[str] = []

    def encode_passages(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> np.ndarray:
        self.headings.extend(texts)
        return self._vectors(texts, contexts)

    def _vectors(self, texts: Sequence[str], contexts: Sequence[str] | None) -> np.ndarray:
        pairs = zip(texts, contexts or [""] * len(texts), strict=True)
        return _unit([_bigrams(text) + 0.5 * _bigrams(context) for text, context in pairs])

    def encode_with_tokens(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors] | None]:
        self.passages.extend(texts)
        if progress is not None:
            progress(len(texts), len(texts))
        return self._vectors(texts, contexts), [characters(text) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        self.queries.extend(texts)
        return _unit([_bigrams(text) for text in texts])

    def encode_question(self, text: str) -> tuple[np.ndarray, TokenVectors | None]:
        return self.encode_queries([text])[0], characters(text)


def characters(text: str) -> TokenVectors:
    """A token a character; equal characters have equal vectors, of 8 directions."""
    ids = np.array([ord(c) for c in text], np.int32)
    return TokenVectors(ids, np.eye(8, dtype=np.float32)[ids % 8], np.arange(len(ids), dtype=np.int32))


def _bigrams(text: str) -> np.ndarray:
    counts = np.zeros(8, np.float32)
    for pair in itertools.pairwise(text):
        counts[zlib.crc32("".join(pair).encode()) % 8] += 1
    return counts


def _unit(rows: list[np.ndarray]) -> np.ndarray:
    vectors = np.array(rows, np.float32).reshape(-1, 8) + np.float32(1e-3)  # no text has length zero
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def fake() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights: 2 layers, 16 dimensions, a token a character, no prompts."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from index.e5_weights import quiet_and_offline

    root = tmp_path_factory.mktemp("tiny")
    words = ["[PAD]", "[UNK]", *"市町村課電話番号は何ですか窓口予算職員研修querypassage: QD"]
    vocabulary = {word: row for row, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    with quiet_and_offline():
        torch.manual_seed(7)
        BertModel(config).save_pretrained(root / "bert")
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
        ).save_pretrained(root / "bert")
        modules = [Transformer(str(root / "bert")), Pooling(16, pooling_mode="mean")]
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(
            str(root / "tiny"), create_model_card=False
        )
    return root / "tiny"
