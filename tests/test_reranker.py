"""The optional cross-encoder, with a tiny one made here; its absence and its failure are said in the reply."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeEncoder
from made import CASE_BOOK

from corpus.text import searchable
from index.build import build
from index.e5_weights import quiet_and_offline
from index.reranker import Reranker, RerankerError
from index.store import Index, load_current
from qa.answer import ask, search


@pytest.fixture(scope="module")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder with random weights: 1 layer, 16 dimensions, a token a character."""
    import torch
    from sentence_transformers import CrossEncoder
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    root = tmp_path_factory.mktemp("cross")
    words = ["[PAD]", "[UNK]", "[SEP]", *"市町村課電話番号窓口予算職員研修"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=1,
    )
    with quiet_and_offline():
        torch.manual_seed(3)
        BertForSequenceClassification(config).save_pretrained(root / "bert")
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            pad_token="[PAD]",
            unk_token="[UNK]",
            sep_token="[SEP]",
            model_max_length=64,
        ).save_pretrained(root / "bert")
        CrossEncoder(str(root / "bert"), device="cpu", local_files_only=True).save_pretrained(
            str(root / "tiny")
        )
    return root / "tiny"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("reranked")
    (folder / "documents").mkdir()
    (folder / "documents" / "a.txt").write_text(CASE_BOOK, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    return load_current(folder / "index")


def test_a_real_cross_encoder_gives_a_score_per_passage(tiny_cross_encoder: Path) -> None:
    reranker = Reranker.load(str(tiny_cross_encoder))
    assert reranker.name == "tiny"
    scores = reranker.scores("窓口", ["窓口の電話番号", "職員研修", "予算"])
    assert len(scores) == 3
    assert all(0 <= score <= 1 for score in scores)
    assert scores == pytest.approx(reranker.scores("窓口", ["窓口の電話番号", "職員研修", "予算"]))
    assert scores[1] == pytest.approx(reranker.scores("窓口", ["職員研修"])[0], abs=1e-5)
    assert reranker.scores("窓口", []) == []


class Model:
    """Predicts what it is given; counts its calls."""

    def __init__(self, values: Any) -> None:
        self.values, self.asked = values, []  # type: ignore[var-annotated]

    def predict(self, pairs: Sequence[tuple[str, str]], **options: object) -> np.ndarray:
        self.asked.append(pairs)
        if isinstance(self.values, Exception):
            raise self.values
        if callable(self.values):
            return np.array([self.values(text) for _, text in pairs])
        return np.asarray(self.values)


@pytest.mark.parametrize(
    ("raw", "scores"),
    [
        ([0.2, 0.9], [0.2, 0.9]),
        ([[0.2], [0.9]], [0.2, 0.9]),
        ([0.0, 2.0], [0.5, 0.880797]),  # logits
        ([[-1.0, 0.0], [3.0, 2.0]], [0.5, 0.880797]),  # the last of several outputs
    ],
)
def test_outputs_of_every_kind(raw: list[Any], scores: list[float]) -> None:
    assert Reranker(Model(raw), "m").scores("q", ["a", "b"]) == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize("raw", [[float("nan"), 0.1], RuntimeError("broken")])
def test_a_model_that_fails(raw: Any) -> None:
    with pytest.raises(RerankerError, match="使わずに答えています"):
        Reranker(Model(raw), "m").scores("q", ["a", "b"])


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(RerankerError, match="--reranker"):
        Reranker.load(str(tmp_path / "none"))


def test_its_order_counts(index: Index) -> None:
    question = "窓口で工夫している点"
    plain = search(index, FakeEncoder(), question, top_k=10).citations
    wanted = plain[4].text
    model = Model(lambda text: 1.0 if searchable(wanted) in text else 0.0)
    reply = search(index, FakeEncoder(), question, top_k=10, reranker=Reranker(model, "m"))
    assert reply.citations[0].text == wanted
    assert reply.notes == ()
    assert [c.score for c in reply.citations] == sorted((c.score for c in reply.citations), reverse=True)
    assert {c.chunk_id for c in reply.citations} >= {plain[0].chunk_id}
    assert model.asked[0][0][0] == question
    assert len(model.asked[0]) <= 20


def test_a_failure_is_said_and_the_answer_comes_without_it(index: Index) -> None:
    broken = Reranker(Model(RuntimeError("broken")), "壊れたモデル")
    reply = ask(index, FakeEncoder(), "窓口で工夫している点", reranker=broken)
    plain = ask(index, FakeEncoder(), "窓口で工夫している点")
    assert [c.chunk_id for c in reply.citations] == [c.chunk_id for c in plain.citations]
    assert len(reply.notes) == 1
    assert "壊れたモデル" in reply.notes[0]
    assert plain.notes == ()
