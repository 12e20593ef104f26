"""Environments of benchmarks: made once, and anew where other versions are asked for. Nothing is installed here."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks import environments


def test_an_environment_with_these_requirements_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(
        environments.venv, "create", lambda folder, **_: (made.append(folder), folder.mkdir(exist_ok=True))
    )
    done = argparse.Namespace(returncode=0, stderr="")
    monkeypatch.setattr(environments.subprocess, "run", lambda *_, **__: done)
    for requirements in (["a==1"], ["a==1"], ["a==2"]):
        environments.prepare(tmp_path / "a", requirements)
    assert len(made) == 2
    done.returncode, done.stderr = 1, "…\nno matching distribution"
    with pytest.raises(environments.EnvironmentNotMadeError, match="no matching distribution"):
        environments.prepare(tmp_path / "b", ["b==1"])
    assert not (tmp_path / "b" / "requirements.txt").exists()
