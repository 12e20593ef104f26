"""The comparison's own rules: how passages are judged, how the table and the verdict are made, what is read and asked.

The peers themselves are not installed here; their runners are only looked at.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import peers
from benchmarks.judging import evidence_ranks, fold, found
from benchmarks.runners import measure

RUNNERS = sorted((peers.HOME / "benchmarks" / "runners").glob("*.py"))


def question(**fields: Any) -> dict[str, Any]:
    return {
        "id": "q",
        "question": "？",
        "type": "lookup",
        "doc": "01",
        "need": "any",
        "evidence": ["甲"],
    } | fields


def folded(*passages: tuple[str, str]) -> list[tuple[str, str]]:
    return [(name, fold(text)) for name, text in passages]


def test_evidence_is_found_whatever_its_width_spaces_and_table_bars() -> None:
    item = question(evidence=["| 人口 | 5.6万人 |"])
    assert evidence_ranks(item, folded(("01_a.txt", "人口\n５.６万人"))) == [1]


def test_a_passage_of_another_document_does_not_count() -> None:
    shown = folded(("02_b.txt", "甲"), ("01_a.txt", "乙"), ("01_a.txt", "甲"))
    assert found(question(), shown) == {
        "hit@1": 0.0,
        "hit@5": 1.0,
        "hit@10": 1.0,
        "mrr": 1 / 3,
        "read@1000": 1.0,
    }
    assert evidence_ranks(question(docs=["01", "02"]), shown) == [1]


def test_of_several_groups_as_many_count_as_passages_could_hold() -> None:
    item = question(need="all", evidence=["甲", "乙", "丙"])
    figures = found(item, folded(("01", "甲"), ("01", "丁"), ("01", "乙")))
    assert figures["hit@1"] == 1.0  # one of the one that a single passage could hold
    assert figures["hit@5"] == pytest.approx(2 / 3)
    assert figures["mrr"] == 1.0
    assert figures["read@1000"] == pytest.approx(2 / 3)


def test_long_passages_use_up_the_first_thousand_characters() -> None:
    late = folded(("01", "あ" * 1000), ("01", "甲"))
    assert found(question(), late)["read@1000"] == 0.0
    assert found(question(), late)["hit@5"] == 1.0
    assert found(question(), folded(("01", "あ" * 998), ("01", "甲")))["read@1000"] == 1.0


def test_a_system_is_judged_by_the_questions_that_have_evidence() -> None:
    items = [
        question(),
        question(type="list", evidence=["乙"]),
        question(type="unanswerable", evidence=[], doc=""),
    ]
    record = {
        "shown": [[["01_a.txt", "甲"]], [["01_a.txt", "丙"]], [["01_a.txt", "甲"]]],
        "index": [["01_a.txt", "甲"], ["01_a.txt", "丙"], ["01_a.txt", "乙の前半"]],
    }
    assert peers.judged(items, record) == {
        "hit@1": 0.5,
        "hit@5": 0.5,
        "hit@10": 0.5,
        "mrr": 0.5,
        "read@1000": 0.5,
        "reach": 1.0,  # 「乙」 stands in the index, but was not shown
        "single": 1.0,  # without the list
    }


def result(name: str, environment: str, hit: float, p50: float) -> dict[str, Any]:
    return {
        "name": name,
        "environment": environment,
        "quality": {"hit@1": hit, "hit@5": 1.0},
        "installed_mb": 1234,
        "record": {
            "ask": {"p50_ms": p50, "p95_ms": 2 * p50},
            "again": {"p50_ms": 1.0, "p95_ms": 2.0},
            "ask_cpu_ms": 2 * p50,
            "encode": {"p50_ms": 4.0, "p95_ms": 5.0},
            "build_s": 9.96,
            "model_s": 1.0,
            "peak_mb": 1500,
            "passages": 36,
            "passage_chars": 700,
        },
    }


def test_the_table_has_a_row_a_system_and_a_cell_a_figure() -> None:
    rows = peers.table([result("甲", peers.OWN, 0.75, 10), result("乙", "b", 0.5, 30)]).splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert rows[0].startswith("|  | hit@1 | hit@5 | 質問 p50/p95 ms |")
    assert (
        rows[2]
        == "| 甲 | 0.750 | 1.000 | 10.0 / 20.0 | 1.0 | 20.0 | 4.0 | 10.0 | 1.0 | 1,500 | 1,234 | 36 | 700 |"
    )


def test_the_verdict_compares_each_peer_with_each_way_of_asking() -> None:
    rows = [result("甲", peers.OWN, 0.75, 10), result("甲2", peers.OWN, 0.75, 12), result("乙", "b", 0.5, 25)]
    assert peers.verdict(rows) == [
        f"乙 と {name}：hit@1 の差 +0.250、質問の中央値の比 {times} 倍、質問の CPU 時間の比 {times} 倍（大きいほどこの製品が速い）"
        for name, times in (("甲", "2.50"), ("甲2", "2.08"))
    ]


def test_packages_count_once_and_pip_and_links_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "python3.11" / "site-packages"
    (folder / "a").mkdir(parents=True)
    (folder / "pip").mkdir()
    (folder / "a" / "weights").write_bytes(b"x" * 3_000_000)
    (folder / "a" / "again").hardlink_to(folder / "a" / "weights")
    (tmp_path / "elsewhere").write_bytes(b"x" * 7_000_000)
    (folder / "a" / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "pip" / "big").write_bytes(b"x" * 5_000_000)
    assert peers.installed_mb(tmp_path) == 3


def test_every_peer_has_exact_versions_and_a_runner() -> None:
    for system in peers.all_systems():
        runner = peers.HOME / (system.arguments[0].replace(".", "/") + ".py")
        assert runner in RUNNERS
        if system.environment != peers.OWN:
            assert all("==" in each or each == peers.TORCH for each in system.requirements)
    assert peers.TORCH in peers.own_requirements()


@pytest.mark.parametrize("path", RUNNERS, ids=lambda path: path.stem)
def test_a_runner_needs_nothing_of_this_project_but_the_measuring(path: Path) -> None:
    if path.stem in {"ours", "encoder_engines"}:
        return
    own = {folder.name for folder in peers.HOME.iterdir() if folder.is_dir()} | {"server", "build_index"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        for name in names:
            assert name == "benchmarks.runners.measure" or name.split(".")[0] not in own, name


class Parrot:
    """Shows the question back."""

    def __init__(self, model: Path, precision: str) -> None:
        self.asked: list[str] = []

    def build(self, documents: Path, files: Sequence[Path]) -> None:
        self.files = [path.relative_to(documents).as_posix() for path in files]

    def passages(self) -> list[measure.Passage]:
        return [(name, "四文字だ") for name in self.files]

    def ask(self, question: str, history: Sequence[str]) -> list[measure.Passage]:
        return [("01_a.txt", measure.with_history(question, history))]

    def encode(self, question: str) -> None:
        self.asked.append(question)


def test_a_runner_writes_one_record(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    (folder / "b").mkdir(parents=True)
    for name in ("b/01_a.txt", "02_b.MD", ".hidden.txt", "03.zip"):
        (folder / name).write_text("…", encoding="utf-8")
    lines = [{"question": "人口は？"}, {"question": "そこは？", "history": ["甲市は？"]}]
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    out = tmp_path / "out.json"
    options = {"documents": folder, "questions": tmp_path / "q.jsonl", "model": tmp_path, "out": out}
    argv = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    assert measure.run(Parrot, ["numpy"], (".txt", ".md"), [*argv, "--threads", "2", "--repeat", "3"]) == 0
    record = json.loads(out.read_text(encoding="utf-8"))
    assert record["files"] == ["02_b.MD", "01_a.txt"]
    assert record["shown"] == [[["01_a.txt", "人口は？"]], [["01_a.txt", "甲市は？ そこは？"]]]
    assert (record["passages"], record["passage_chars"]) == (2, 4)
    assert record["ask"]["p50_ms"] <= record["ask"]["p95_ms"]
    assert record["peak_mb"] > 0
    assert record["ask_cpu_ms"] >= 0
    assert record["again"]["p50_ms"] >= 0
    assert set(record["versions"]) == {"python", "numpy"}


def test_what_is_timed_was_not_asked_before(tmp_path: Path) -> None:
    seen: list[str] = []

    class Remembers(Parrot):
        def ask(self, question: str, history: Sequence[str]) -> list[measure.Passage]:
            seen.append(question)
            return []

        def encode(self, question: str) -> None:
            seen.append(question)

    file = tmp_path / "a.txt"
    file.touch()
    items = [{"question": "甲"}, {"question": "乙"}]
    options = argparse.Namespace(documents=tmp_path, model=tmp_path, precision="", repeat=1)
    assert measure.measure(Remembers, [file], items, options)["again"] is None
    own = {item["question"] for item in peers.read_gold(peers.QUESTIONS)}
    assert not own & set(measure.WARM_UP)
    assert seen[len(measure.WARM_UP) * 2 :] == ["甲", "乙", "甲 確認", "乙 確認"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--systems", "llama"], "「llama」はありません"),
        (["--questions", "no.jsonl"], "質問のファイルを読めません"),
        (["--documents", "no"], "資料のフォルダー"),
        (["--model", "no"], "モデルのフォルダー"),
    ],
)
def test_wrong_use_is_said_before_anything_is_installed(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "prepare", lambda *_: pytest.fail("nothing is to be installed"))
    assert peers.main(argv) == 2
    assert words in capsys.readouterr().err


def test_percentiles_of_known_times() -> None:
    assert measure.percentiles([1.0, 2.0, 3.0])["p50_ms"] == 2.0
    assert measure.percentiles([4.0]) == {"p50_ms": 4.0, "p95_ms": 4.0}
    assert measure.percentiles([float(n) for n in range(1, 101)])["p95_ms"] == pytest.approx(95.95)


def test_the_surroundings_of_a_system_call_nobody() -> None:
    assert peers.QUIET["HF_HUB_OFFLINE"] == "1"
    assert peers.QUIET["HAYSTACK_TELEMETRY_ENABLED"] == "False"
