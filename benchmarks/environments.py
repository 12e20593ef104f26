"""Environments of their own for what is compared with this project: made once, with the versions that a benchmark names.

In: a folder and requirements. Out: a virtual environment there, and its interpreter. Needs only Python's own library and pip.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 3600


class EnvironmentNotMadeError(RuntimeError):
    """An environment cannot be made; the message is a Japanese sentence for people."""


def python_of(environment: Path) -> Path:
    """The interpreter of an environment."""
    return environment / "bin" / "python"


def prepare(environment: Path, requirements: Sequence[str]) -> None:
    """Makes the environment unless one with these requirements is there. Raises EnvironmentNotMadeError."""
    stamp = environment / "requirements.txt"
    wanted = "\n".join(requirements) + "\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"{environment.name} の環境を作っています（数分かかります）…", file=sys.stderr, flush=True)
    venv.create(environment, with_pip=True, clear=True)
    command = [str(python_of(environment)), "-m", "pip", "install", "-q", *requirements]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise EnvironmentNotMadeError(
            f"{environment.name} の環境が {TIMEOUT_S} 秒でできませんでした。"
        ) from error
    if done.returncode:
        raise EnvironmentNotMadeError(
            f"{environment.name} の環境にパッケージを入れられません（{last_line(done.stderr)}）。"
            "ネットワークと pip の設定を確かめてください。"
        )
    stamp.write_text(wanted, encoding="utf-8")


def last_line(text: str) -> str:
    """The last line that a command complains with."""
    return (text.strip() or "理由は不明です").splitlines()[-1][:300]
