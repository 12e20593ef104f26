"""The documentation against the code: every option, variable, route, target and module is where it is said to be."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
README = (HOME / "README.md").read_text(encoding="utf-8")
DESIGN = (HOME / "docs" / "design.md").read_text(encoding="utf-8")


PROGRAMS = ("options.py", "build_index.py", "server.py", "mcp_stdio.py", "ops/__main__.py")
"""Where options and environment variables are read."""


def _source(name: str) -> str:
    return (HOME / name).read_text(encoding="utf-8")


def test_every_option_is_in_the_readme() -> None:
    options = re.findall(r'add_argument\(\s*"(--[a-z-]+)"', "".join(map(_source, PROGRAMS)))
    assert len(options) >= 9
    assert [option for option in options if f"`{option}`" not in README] == []


def test_every_environment_variable_is_in_the_readme() -> None:
    names = re.findall(r'setting\("([A-Z_]+)"', "".join(map(_source, PROGRAMS)))
    assert len(names) >= 6
    assert [name for name in names if f"DXQA_{name}" not in README] == []


def test_the_readme_commands_are_make_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", _source("Makefile"), flags=re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)", README, flags=re.MULTILINE))
    assert {"serve", "test"} <= named
    assert named <= targets


def test_the_first_screen_holds_both_commands() -> None:
    first_screen = "\n".join(README.splitlines()[:32])
    assert "make serve" in first_screen
    assert "make test" in first_screen


def test_ci_runs_the_readme_test_command() -> None:
    assert re.search(r"^make test$", _source(".ci/run"), flags=re.MULTILINE)


def test_every_module_is_in_the_design() -> None:
    modules = [
        path.stem
        for package in ("access", "corpus", "deploy", "index", "integrations", "ops", "qa", "web")
        for path in (HOME / package).glob("*.py")
        if path.stem != "__init__"
    ]
    assert len(modules) >= 20
    assert [name for name in modules if f"`{name}`" not in DESIGN] == []


def test_relative_links_lead_somewhere() -> None:
    for page in (HOME / "README.md", *(HOME / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_dependency_is_listed_with_its_licence() -> None:
    block = re.search(
        r"^dependencies = \[(.*?)^\]", _source("pyproject.toml"), flags=re.DOTALL | re.MULTILINE
    )
    assert block
    names = re.findall(r'"([A-Za-z0-9-]+)', block[1])
    shown = README.lower().replace("pytorch", "pytorch torch").replace("faiss", "faiss faiss-cpu")
    assert [name for name in names if name.lower() not in shown] == []


def test_what_can_be_added_is_listed_with_its_licence() -> None:
    extras = tomllib.loads(_source("pyproject.toml"))["project"]["optional-dependencies"]
    own = [name for extra, names in extras.items() if extra != "dev" for name in names]
    assert len(own) >= 3
    assert set(own) <= set(extras["dev"]), "what is not installed for the tests is not tested"
    table = README[README.index("## 第三者のライセンス") :]
    assert [name for name in own if (bare := re.match(r"[A-Za-z0-9-]+", name)) and bare[0] not in table] == []
