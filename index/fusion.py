"""One ranking out of several: the weighted sum of min-max-normalized scores.

In: (row, score) lists of the engines, best first. Out: rows with the fused score from 0 to 1, best first. Cosines of
this model lie between 0.75 and 0.95, BM25 scores anywhere; each list is brought to 0..1 by its own least and greatest
score (Lee 1997, CombSUM over normalized scores), a row that a list does not hold counts 0.
"""

from __future__ import annotations

from collections.abc import Sequence

Ranked = list[tuple[int, float]]


def normalized(ranked: Ranked) -> dict[int, float]:
    """Scores brought to 0..1 by the list's least and greatest; all 1 where they are equal."""
    if not ranked:
        return {}
    values = [score for _, score in ranked]
    low, high = min(values), max(values)
    if high <= low:
        return {row: 1.0 for row, _ in ranked}
    return {row: (score - low) / (high - low) for row, score in ranked}


def fuse(lists: Sequence[tuple[float, dict[int, float]]]) -> Ranked:
    """(row, fused score 0..1) of (weight, normalized scores), best first, equal scores by row.

    The weights are brought to the sum 1, so that a score means the same where an engine is left out.
    """
    total = sum(weight for weight, _ in lists)
    sums: dict[int, float] = {}
    for weight, scores in lists:
        for row, score in scores.items():
            sums[row] = sums.get(row, 0.0) + weight * score
    fused = [(row, score / total if total else 0.0) for row, score in sums.items()]
    return sorted(fused, key=lambda item: (-item[1], item[0]))
