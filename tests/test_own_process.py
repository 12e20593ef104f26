"""The surroundings of a process that runs one of our modules: ours come first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from index.own_process import HOME, surroundings


def test_what_is_there_stays_and_what_is_asked_for_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXQA_MARK", "1")
    assert surroundings(PYTHONUTF8="1").items() >= {"DXQA_MARK": "1", "PYTHONUTF8": "1"}.items()


def test_our_modules_come_first_whatever_folder_it_is_begun_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "__init__.py").write_text("raise SystemExit(9)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import corpus.text; print(corpus.text.__file__)"
    # -P, so that the folder it is begun in is not looked in before all others
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=surroundings(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == HOME / "corpus" / "text.py"
