"""Which questions a list of passages answers, by the evidence written down with each question.

In come a question's record (see benchmarks/questions.py for its fields) and the passages that a system showed, best first;
out come the figures hit@k, mrr and read@1000. Needs only the standard library, so that any system can be judged the same way.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HITS = (1, 5, 10)
READ_CHARS = 1000


def fold(text: str) -> str:
    """A text without what does not tell words apart: width, white space, emphasis, table bars."""
    return re.sub(r"[\s*|]+", "", unicodedata.normalize("NFKC", text))


def read_gold(path: Path) -> list[dict[str, Any]]:
    """The questions of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def evidence_groups(item: dict[str, Any]) -> list[list[str]]:
    """The evidence as groups, of each of which one string must be found."""
    if item.get("evidence_groups"):
        groups: list[list[str]] = item["evidence_groups"]
        return groups
    return [[text] for text in item["evidence"]] if item["need"] == "all" else [item["evidence"]]


def evidence_ranks(item: dict[str, Any], passages: Sequence[tuple[str, str]]) -> list[int | None]:
    """For each group of evidence the rank (from 1) of the first passage that holds it, None where none does.

    `passages` are (file name, text folded by `fold`), best first; only passages of the question's own files count.
    """
    files = tuple(item.get("docs") or [item["doc"]])
    ranks: list[int | None] = []
    for group in evidence_groups(item):
        wanted = [fold(text) for text in group]
        holding = (
            rank
            for rank, (name, text) in enumerate(passages, 1)
            if name.startswith(files) and any(evidence in text for evidence in wanted)
        )
        ranks.append(next(holding, None))
    return ranks


def found(item: dict[str, Any], passages: Sequence[tuple[str, str]]) -> dict[str, float]:
    """hit@1, hit@5, hit@10, mrr and read@1000 of one question that has evidence.

    hit@k is the share of the groups found in the first k passages, out of as many as k passages could hold; mrr is
    1 / rank of the first passage that holds any; read@1000 is the share found in the first 1,000 characters in order.
    """
    ranks = evidence_ranks(item, passages)
    figures = {
        f"hit@{k}": min(1.0, sum(1 for rank in ranks if rank and rank <= k) / min(len(ranks), k))
        for k in HITS
    }
    figures["mrr"] = max((1 / rank for rank in ranks if rank), default=0.0)
    read = "\n".join(text for _, text in passages)[:READ_CHARS]
    groups = evidence_groups(item)
    figures["read@1000"] = sum(any(fold(e) in read for e in group) for group in groups) / len(groups)
    return figures
