"""Tokens by number: the same in memory and mapped from a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import vocabulary
from index.vocabulary import Vocabulary

TOKENS = ["窓口", "dx", "", "ショル", "第5条", "\ud800"]


@pytest.fixture(autouse=True, params=[0, 1000])
def in_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The same for few tokens, which are read, and for many, which are mapped."""
    monkeypatch.setattr(vocabulary, "IN_MEMORY", request.param)
    return int(request.param)


def test_each_token_stands_at_its_place(tmp_path: Path) -> None:
    built = Vocabulary(TOKENS)
    built.save(tmp_path)
    for found in (built, Vocabulary.load(tmp_path)):
        assert len(found) == len(TOKENS)
        assert [found.number(token) for token in TOKENS] == list(range(len(TOKENS)))
        assert found.number("未知") is None
        assert list(found) == TOKENS
        assert found[1:3] == TOKENS[1:3]


def test_looking_up_reads_no_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "IN_MEMORY", 0)
    Vocabulary(TOKENS).save(tmp_path)
    loaded = Vocabulary.load(tmp_path)
    (tmp_path / "tokens.json").unlink()
    assert loaded.number("dx") == 1
    with pytest.raises(FileNotFoundError):
        list(loaded)


def test_a_folder_without_hashes(tmp_path: Path) -> None:
    Vocabulary(TOKENS).save(tmp_path)
    (tmp_path / "hashes.npy").unlink()
    assert Vocabulary.load(tmp_path).number("第5条") == 4


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokens=st.lists(st.text(max_size=6), unique=True, max_size=50), asked=st.text(max_size=6))
def test_mapped_is_as_in_memory(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[str], asked: str
) -> None:
    folder = tmp_path_factory.mktemp("vocabulary")
    built = Vocabulary(tokens)
    built.save(folder)
    loaded = Vocabulary.load(folder)
    assert [loaded.number(token) for token in [*tokens, asked]] == [built.number(t) for t in [*tokens, asked]]
