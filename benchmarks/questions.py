"""Answers to a set of questions with known evidence, through the product's own code.

    python benchmarks/questions.py [--gold FILE] [--documents DIR] [--misses N] [--json]

Without options it asks the 343 questions of benchmarks/sample_questions.jsonl on the samples in corpus/samples/, so that
anyone can measure with no other files. A line of the file is one question:

    id, question, type, history (earlier questions), doc (beginning of the file's name; "docs" where it is several),
    evidence (strings of the document), need ("any" one of them, or "all"), evidence_groups (one of each group),
    answer_keys (strings that the answer must hold), bad_evidence (strings that must not come first)

Prints for each type: hit@k (the share of the evidence that stands in the first k passages, out of as many groups as k
passages could hold), read@1000 (the same in the first 1,000 characters, white space not counted), answer (all keys
stand in the answer; for filter, list and compare the organizations of the passages count too), trap (something it must not
be comes first or is quoted), abstained (no evidence exists, and it said no), false_abstain (evidence exists, and it said no).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.judging import fold, found, read_gold
from build_index import SAMPLES
from index.build import build
from index.encoder import PRECISIONS, Encoder, SentenceEncoder, best_precision
from index.store import Index, load_current
from options import HOME, setting
from qa.answer import Reply, ask
from qa.synonyms import Synonyms

GOLD = Path(__file__).resolve().parent / "sample_questions.jsonl"
FIGURES = ("hit@1", "hit@5", "hit@10", "read@1000", "answer", "trap", "abstained", "false_abstain")
NAMED = {"filter", "list", "compare"}
"""Types whose answer is also told by the organizations that the passages show."""


def score(item: dict[str, Any], reply: Reply) -> dict[str, float]:
    """The figures of one reply; those that do not apply to its type are left out."""
    if item["type"] == "unanswerable":
        return {"abstained": float(not reply.answerable)}
    passages = [(Path(c.path).name, fold(c.text)) for c in reply.citations]
    figures = found(item, passages)
    figures["false_abstain"] = float(not reply.answerable)
    answer = fold(reply.answer.text)
    if item["answer_keys"]:
        labels = (
            fold(" ".join(c.case.organization for c in reply.citations if c.case))
            if item["type"] in NAMED
            else ""
        )
        figures["answer"] = float(all(fold(key) in answer + labels for key in item["answer_keys"]))
    if item.get("bad_evidence"):
        first = passages[0][1] if passages else ""
        figures["trap"] = float(
            any(fold(text) in first or fold(text) in answer for text in item["bad_evidence"])
        )
    return figures


def measure(
    index: Index, encoder: Encoder, items: Sequence[dict[str, Any]], synonyms: Synonyms
) -> tuple[list[tuple[dict[str, Any], dict[str, float]]], list[float]]:
    """(item, figures) of every question in order, and the milliseconds of each."""
    scored, times = [], []
    for item in items:
        started = time.perf_counter()
        reply = ask(
            index, encoder, item["question"], history=item.get("history") or [], top_k=10, synonyms=synonyms
        )
        times.append((time.perf_counter() - started) * 1000)
        scored.append((item, score(item, reply)))
    return scored, times


def means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over the rows that have it, four decimals."""
    return {
        name: round(statistics.fmean(values), 4)
        for name in FIGURES
        if (values := [row[name] for row in rows if name in row])
    }


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 an unusable file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gold", type=Path, default=GOLD, help="質問と根拠のファイル（JSON Lines）")
    parser.add_argument("--documents", type=Path, default=SAMPLES, help="資料のフォルダー")
    parser.add_argument(
        "--model", default=setting("MODEL", "") or None, help="sentence-transformers の名前かフォルダー"
    )
    parser.add_argument("--models", type=Path, default=Path(setting("MODELS", str(HOME / "var" / "models"))))
    parser.add_argument(
        "--synonyms", type=Path, default=Path(setting("SYNONYMS", str(HOME / "synonyms.csv")))
    )
    parser.add_argument("--misses", type=int, default=0, help="外れた質問を何件まで出すか")
    parser.add_argument("--json", action="store_true", help="最後の行に JSON だけを出す")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=best_precision(), help="モデルの計算の精度"
    )
    args = parser.parse_args(argv)
    try:
        items = read_gold(args.gold)
    except (OSError, ValueError) as error:
        print(f"質問のファイルを読めません（{error}）。--gold を確かめてください。", file=sys.stderr)
        return 2
    encoder = SentenceEncoder.load(args.model, models_dir=args.models, precision=args.precision)
    with tempfile.TemporaryDirectory() as folder:
        build(args.documents, Path(folder), encoder)
        scored, times = measure(load_current(Path(folder)), encoder, items, Synonyms.load(args.synonyms))

    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for item, figures in scored:
        rows[item["type"]].append(figures)
    total = means([figures for _, figures in scored])
    if not args.json:
        print(f"{'type':24}{'n':>5}" + "".join(f"{name:>14}" for name in FIGURES))
        for kind, own in [*sorted(rows.items()), ("ALL", [figures for _, figures in scored])]:
            found = means(own)
            cells = "".join(f"{found[name]:>14.3f}" if name in found else f"{'-':>14}" for name in FIGURES)
            print(f"{kind:24}{len(own):>5}{cells}")
        missed = [
            i for i, f in scored if f.get("hit@5", 1) < 1 or f.get("false_abstain") or f.get("abstained") == 0
        ]
        for item in missed[: args.misses]:
            print("miss", item["id"], item["type"], item["question"])
    print(json.dumps({**total, "questions": len(items), "p50_ms": round(statistics.median(times), 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
