"""What several test files share: the folder of models, and the default encoder, made once for all of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from index.encoder import SentenceEncoder

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Where models are kept between runs: making the default one takes 17 s and 470 MB."""
    return Path(os.environ.get("DXQA_MODELS") or REPOSITORY / "var" / "models")


@pytest.fixture(scope="session")
def encoder(models_dir: Path) -> SentenceEncoder:
    """The product's default encoder, with the real model."""
    return SentenceEncoder.load(None, models_dir=models_dir)
