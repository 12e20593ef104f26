"""The benchmark of quality, on a folder in BEIR's shape that is small enough to work out by hand."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PROGRAM = REPOSITORY / "benchmarks" / "quality.py"
MEASURES = ["nDCG@10", "Recall@5", "Recall@10", "MRR@10"]

CORPUS = [
    {"id": "d1", "title": "窓口", "text": "電話番号は市の窓口にあります。電話番号。"},
    {"id": "d2", "title": "予算", "text": "電話の予算です。職員の研修の費用も入ります。"},
    {"id": "d3", "title": "研修", "text": "町の職員が受けます。"},
]
QUERIES = [{"id": "q1", "text": "電話"}, {"id": "q2", "text": "住民票"}]
# q1: 電話 is in d1 (twice, in a shorter text) before d2; only d2 is right. q2: no row has the word.
QRELS = [("q1", "d2", 1), ("q2", "d3", 1)]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    for name, lines in (("corpus", CORPUS), ("queries", QUERIES)):
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(content, encoding="utf-8")
    (folder / "qrels.tsv").write_text("".join(f"{q}\t{d}\t{g}\n" for q, d, g in QRELS), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def quality() -> ModuleType:
    specification = importlib.util.spec_from_file_location("quality", PROGRAM)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(
    quality: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: object
) -> dict[str, dict[str, float]]:
    assert quality.main([str(argument) for argument in arguments]) == 0
    figures: dict[str, dict[str, float]] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return figures


def test_the_last_line_and_a_value_by_hand(
    quality: ModuleType, dataset: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(quality, capsys, "--dataset", dataset, "--model", tiny_folder, "--json")
    assert list(figures) == ["dense", "lexical", "fused"]
    assert all(list(values) == MEASURES for values in figures.values())
    # q1's answer is at rank 2: 1/2, and 1/log2(3) of an ideal 1; q2 finds nothing: 0. The mean of both.
    assert figures["lexical"] == {
        "nDCG@10": round(1 / math.log2(3) / 2, 4),
        "Recall@5": 0.5,
        "Recall@10": 0.5,
        "MRR@10": 0.25,
    }
    assert (
        figures["dense"]["Recall@10"] == figures["fused"]["Recall@10"] == 1.0
    )  # vectors rank all three rows


def test_fewer_questions(
    quality: ModuleType, dataset: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(quality, capsys, "--dataset", dataset, "--model", tiny_folder, "--json", "--limit", 1)
    assert (figures["lexical"]["MRR@10"], figures["lexical"]["Recall@5"]) == (0.5, 1.0)


def test_the_table_for_people(
    quality: ModuleType, dataset: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quality.main(["--dataset", str(dataset), "--model", str(tiny_folder)]) == 0
    shown = capsys.readouterr().out
    assert "made: 3 documents, 2 queries, model tiny" in shown
    assert all(label in shown for label in [*MEASURES, "dense", "lexical", "fused"])


def test_no_dataset(quality: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quality.main(["--dataset", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "corpus.jsonl" in error
    assert error.endswith("確かめてください。\n")


def test_as_a_program_from_another_folder(dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    arguments = [
        sys.executable,
        str(PROGRAM),
        "--dataset",
        str(dataset),
        "--model",
        str(tiny_folder),
        "--json",
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert set(json.loads(done.stdout.splitlines()[-1])) == {"dense", "lexical", "fused"}
    assert len(done.stdout.splitlines()) == 1
