"""Choosing passages: from a query to the hits that are shown, best first.

In: an index, an encoder, a query, and the filters a person set. Out: hits and which filters were applied. A named
organization's case is preferred, not required. Where a question sets conditions on cases, every case that meets
them is shown once, by its opening passage, before any is shown twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from corpus.municipalities import REGION_OF
from corpus.records import Case, Chunk
from index.encoder import Encoder
from index.engines import probe
from index.store import Hit, Index
from qa.understand import Filters, Query, states_value

PREFERENCE = 0.1
"""Added to the fused score (0..1) of a passage of a named organization's own case."""
STATES = 0.06
"""Added to the score of a passage that states a value of the kind asked for (an amount, a telephone number)."""
POOL = 60
"""Hits that are looked at before the first ones are shown."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Hits best first, the filters that were applied, and which of them came from the question."""

    hits: tuple[Hit, ...]
    filters: Filters
    from_question: tuple[str, ...]
    filtered_out: bool = False


def select(index: Index, encoder: Encoder, query: Query, given: Filters, k: int) -> Selection:
    """The k best passages for a query; `filtered_out` where the person's own filters leave nothing."""
    filters, from_question = join(given, query.filters)
    allowed = allowed_chunks(index, filters)
    if allowed is not None and not allowed and from_question:
        # Conditions read from the question are a reading, not an order: none fits, so search without them.
        filters, from_question = given, ()
        allowed = allowed_chunks(index, filters)
    if allowed is not None and not allowed:
        return Selection((), filters, from_question, filtered_out=True)
    hits = index.search(probe(encoder, query.text), max(POOL, k), allowed)
    if query.organizations:
        hits = _prefer(index, hits, query.organizations)
    if query.values:
        hits = _prefer_stating(hits, query.values)
    if from_question:
        hits = _each_case_once(index, hits)
    return Selection(tuple(hits[:k]), filters, from_question)


def join(given: Filters, understood: Filters) -> tuple[Filters, tuple[str, ...]]:
    """Both sets of filters joined with AND, and the names of those that the question added."""
    added: list[str] = []
    joined = given
    for item in fields(Filters):
        own, read = getattr(given, item.name), getattr(understood, item.name)
        if read in ((), None) or read == own:
            continue
        if own in ((), None):
            value = read
        elif item.name == "population_min":
            value = max(own, read)
        elif item.name == "population_max":
            value = min(own, read)
        else:
            value = tuple(v for v in own if v in read) or own
        if value != own:
            joined = replace(joined, **{item.name: value})
            added.append(item.name)
    return joined, tuple(added)


def allowed_chunks(index: Index, filters: Filters) -> set[str] | None:
    """Ids of the chunks that the filters let through, None where there is no filter."""
    if not filters:
        return None
    return {
        chunk.id for chunk in index.chunks if _passes(chunk, index.cases.get(chunk.case_id or ""), filters)
    }


def _passes(chunk: Chunk, case: Case | None, filters: Filters) -> bool:
    if filters.document_ids and chunk.document_id not in filters.document_ids:
        return False
    on_cases = replace(filters, document_ids=())
    return not on_cases or (case is not None and case_passes(case, on_cases))


def case_passes(case: Case, filters: Filters) -> bool:
    """Whether a case meets all conditions; one that does not state a value does not meet a condition on it."""
    return all(_conditions(case, filters))


def _conditions(case: Case, filters: Filters) -> Iterator[bool]:
    if filters.document_ids:
        yield case.document_id in filters.document_ids
    if filters.case_ids:
        yield case.id in filters.case_ids
    if filters.organizations:
        # 「酒田市」 is 「山形県酒田市」; 「津市」 is not 「滋賀県草津市」
        own = (case.organization, case.organization.removeprefix(case.prefecture or ""))
        yield any(name in own for name in filters.organizations)
    if filters.prefectures:
        yield case.prefecture in filters.prefectures
    if filters.regions:
        yield REGION_OF.get(case.prefecture or "") in filters.regions
    if filters.organization_kinds:
        yield case.organization_kind in filters.organization_kinds
    if filters.population_bands:
        yield case.population_band in filters.population_bands
    if filters.population_min is not None:
        yield case.population is not None and case.population >= filters.population_min
    if filters.population_max is not None:
        yield case.population is not None and case.population <= filters.population_max


def _prefer(index: Index, hits: list[Hit], organizations: tuple[str, ...]) -> list[Hit]:
    def preferred(hit: Hit) -> bool:
        case = index.cases.get(hit.chunk.case_id or "")
        return case is not None and case.organization in organizations

    raised = [replace(hit, score=hit.score + PREFERENCE) if preferred(hit) else hit for hit in hits]
    return sorted(raised, key=lambda hit: -hit.score)


def _prefer_stating(hits: list[Hit], values: tuple[str, ...]) -> list[Hit]:
    raised = [
        replace(hit, score=hit.score + STATES) if states_value(hit.chunk.text, values) else hit
        for hit in hits
    ]
    return sorted(raised, key=lambda hit: -hit.score)


def _each_case_once(index: Index, hits: list[Hit]) -> list[Hit]:
    """The opening passage of each case in the order of its best hit, then the other hits."""
    opening: dict[str, Chunk] = {}
    for chunk in index.chunks:
        if chunk.case_id is not None:
            opening.setdefault(chunk.case_id, chunk)
    found = {hit.chunk.id: hit for hit in hits}
    firsts: list[Hit] = []
    for hit in hits:
        first = opening.get(hit.chunk.case_id or "")
        if first is not None and all(first.id != f.chunk.id for f in firsts):
            own = found.get(first.id) or Hit(first, hit.score, None, None)
            firsts.append(replace(own, score=hit.score))
    # Scores fall with the rank: a case's opening stands for the case and takes its best hit's score.
    rest = [hit for hit in hits if all(hit.chunk.id != f.chunk.id for f in firsts)]
    return firsts + rest
