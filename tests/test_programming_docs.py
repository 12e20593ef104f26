"""docs/programming.md does what it says: every example is run as it stands there, against a real service, and prints what stands below it.

The blocks of a section are one program, in their order. What differs is where the service is. `…` in an output stands for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import running, surroundings
from scripted_model import Messages, ScriptedModel

from access.accounts import Accounts
from access.file import AccessFile
from access.labels import Labels
from build_index import SAMPLES
from options import HOME

TEXT = (HOME / "docs" / "programming.md").read_text(encoding="utf-8")
WRITTEN = "http://127.0.0.1:8000"
PASSWORD = "かえるの池に三つの石がある"
END = "~~~ the end of a block ~~~"
LANGUAGES = ("python", "sh")


@dataclass(frozen=True, slots=True)
class Example:
    """A block of code, and the output that stands below it."""

    language: str
    code: str
    output: str


def sections() -> dict[str, list[Example]]:
    """The examples by the section they stand in."""
    found: dict[str, list[Example]] = {}
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
        examples = [
            Example(language, code, blocks[at + 1][1])
            for at, (language, code) in enumerate(blocks)
            if language in LANGUAGES and blocks[at + 1 : at + 2] and blocks[at + 1][0] == "text"
        ]
        assert 2 * len(examples) == len(blocks), f"{section.splitlines()[0]}: a block without its output"
        assert len({example.language for example in examples}) == 1
        found[section.splitlines()[0]] = examples
    return found


SECTIONS = sections()


@dataclass(frozen=True)
class Place:
    """A folder to work in, and what the examples find in the environment."""

    folder: Path
    url: str
    environment: dict[str, str]


def wrote(_: Messages) -> str:
    """An honest model."""
    return "青葉野市の担当部署の電話番号は0000-11-2345です。[1]"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("programming")
    shutil.copytree(SAMPLES, folder / "documents")
    (folder / "documents" / "人事").mkdir()
    (folder / "documents" / "人事" / "評価.md").write_text(
        "# 紅葉谷町の人事評価\n\n紅葉谷町の評価面談は十二月三日に行います。\n", encoding="utf-8"
    )
    access = AccessFile(folder / "access.sqlite3")
    Labels(access).set("人事", ["人事課"])
    accounts = Accounts(access)
    accounts.add("tanaka", PASSWORD, groups=["人事課"])
    settings = {
        "index": str(folder / "index"),
        "documents": str(folder / "documents"),
        "models": str(models_dir),
        "admin_token": "a-token-of-the-tests",
        "access": str(folder / "access.sqlite3"),
    }
    with ScriptedModel(wrote) as model:
        written = {"llm_url": model.url, "llm_model": "scripted"}
        with running(folder, **settings, **written) as server:
            environment = surroundings(
                index=settings["index"],
                models=settings["models"],
                admin_token=settings["admin_token"],
                key=accounts.open_program("tanaka", 30),
            )
            yield Place(folder, f"http://127.0.0.1:{server.port}", environment)


def test_there_are_examples_of_everything() -> None:
    assert list(SECTIONS) == ["Python: Assistant", "HTTP: curl", "LangChain", "LlamaIndex", "In English"]
    together = "".join(example.code for examples in SECTIONS.values() for example in examples)
    for call in ("/api/ask", "/api/ask/stream", "/api/search", "/api/cases", "/api/documents", "/api/index/rebuild", "/text?",
                 "assistant.ask(", ".search(", ".cases(", ".case(", ".similar(", ".document(", ".text("):  # fmt: skip
        assert call in together, call


@pytest.mark.parametrize("section", SECTIONS)
def test_the_examples_print_what_stands_below_them(place: Place, section: str) -> None:
    examples = SECTIONS[section]
    is_shell = examples[0].language == "sh"
    if is_shell and shutil.which("curl") is None and not os.environ.get("CI"):
        pytest.skip("curl is not installed (make tools)")
    end = f"\necho '{END}'\n" if is_shell else f"\nprint({END!r}, flush=True)\n"
    program = "".join(example.code + end for example in examples).replace(WRITTEN, place.url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", program] if is_shell else [sys.executable, "-c", program],
        cwd=place.folder,
        env=place.environment | {"PYTHONPATH": str(HOME), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = done.stdout.replace(place.url, WRITTEN).split(f"{END}\n")[:-1]
    for example, output in zip(examples, outputs, strict=True):
        expected = ".*?".join(map(re.escape, example.output.strip().split("…")))
        assert re.fullmatch(expected, output.strip(), flags=re.DOTALL), (
            f"{example.code}\n--- prints\n{output}\n--- and not\n{example.output}"
        )
