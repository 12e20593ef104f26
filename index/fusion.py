"""One ranking out of two: the weighted sum of min-max-normalized scores.

In: (row, score) lists of the two engines, best first. Out: rows with the fused score from 0 to 1, best first.
Cosines of this model lie between 0.75 and 0.95, BM25 scores anywhere; each list is brought to 0..1 by its own
least and greatest score (Lee 1997, CombSUM over normalized scores), a row that a list does not hold counts 0.
"""

from __future__ import annotations

DENSE_WEIGHT = 0.55
"""Weight of the vectors; the words have the rest (docs/decisions.md)."""
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


def fuse(dense: Ranked, lexical: Ranked, *, dense_weight: float = DENSE_WEIGHT) -> Ranked:
    """(row, fused score 0..1), best first, equal scores by row."""
    by_vector, by_word = normalized(dense), normalized(lexical)
    fused = [
        (row, dense_weight * by_vector.get(row, 0.0) + (1 - dense_weight) * by_word.get(row, 0.0))
        for row in by_vector.keys() | by_word.keys()
    ]
    return sorted(fused, key=lambda item: (-item[1], item[0]))
