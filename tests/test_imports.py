"""Imports go one way: corpus, index, qa, web, server.py; build_index.py stands on corpus and index; ops looks at all but the pages."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
OURS = {
    "access",
    "database",
    "options",
    "corpus",
    "index",
    "integrations",
    "ops",
    "qa",
    "web",
    "server",
    "build_index",
    "mcp_stdio",
    "benchmarks",
    "deploy",
    "tests",
    "conftest",
}
ALLOWED = {
    "database": set(),
    "options": set(),
    "access": {"access", "database", "options"},
    "corpus": {"corpus"},
    "index": {"corpus", "index"},
    "qa": {"corpus", "database", "index", "options", "qa"},
    # they may be taken along to a computer that has nothing else of ours
    "integrations": {"integrations"},
    "build_index": {"corpus", "index", "options"},
    "web": {"access", "corpus", "database", "index", "qa", "web", "build_index"},
    "server": {"access", "corpus", "database", "index", "options", "qa", "web", "build_index"},
    "mcp_stdio": {"access", "corpus", "database", "index", "options", "qa", "web", "build_index"},
    "ops": {"access", "corpus", "database", "index", "ops", "options", "qa", "build_index"},
    # it stands outside the program, and starts it as a process; what goes into a bundle is looked at before
    "deploy": {"qa"},
    "benchmarks": {
        "access",
        "corpus",
        "database",
        "index",
        "options",
        "qa",
        "web",
        "build_index",
        "server",
        "benchmarks",
    },  # they measure the product from outside
}


def imported(source: str, package: str) -> set[str]:
    """The top-level names that a source imports anywhere in it, of ours only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(package if node.level else (node.module or "").split(".")[0])
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name | ast.Attribute)
            and (node.func.id if isinstance(node.func, ast.Name) else node.func.attr)
            in {"import_module", "__import__"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            names.add(str(node.args[0].value).split(".")[0])
    return names & OURS


def files() -> list[Path]:
    found = [
        REPOSITORY / name
        for name in ("server.py", "build_index.py", "mcp_stdio.py", "database.py", "options.py")
    ]
    for folder in ("access", "corpus", "index", "integrations", "ops", "qa", "web", "benchmarks", "deploy"):
        found += sorted((REPOSITORY / folder).rglob("*.py"))
    return found


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    part = path.relative_to(REPOSITORY).parts[0].removesuffix(".py")
    others = imported(path.read_text(encoding="utf-8"), part) - ALLOWED[part]
    assert others == set(), f"{path.name} imports {others}; {part} may import {ALLOWED[part]}"


def test_the_rules_themselves() -> None:
    assert [part for part, may in ALLOWED.items() if "server" in may] == ["benchmarks"]
    assert [part for part, may in ALLOWED.items() if "build_index" in may] == [
        "web",
        "server",
        "mcp_stdio",
        "ops",
        "benchmarks",
    ]
    assert {path.parts[-2] for path in files()} >= {"corpus", "readers", "index", "qa"}


def test_the_judge_sees_every_form() -> None:
    source = "import os, qa.answer as a\ndef f():\n    from index import build\n    import_module('server')\nfrom . import x\n"
    assert imported(source, "corpus") == {"qa", "index", "server", "corpus"}
