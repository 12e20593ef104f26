"""Answers: the best sentences of the best passages, word for word, each with its citation.

In: an index, an encoder and a question. Out: the reply of `POST /api/ask`. No sentence is written here: an answer's
sentence is a slice of a cited passage, and a municipality's name beside it is a label of its own.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from corpus.structure import QUESTION_END
from corpus.text import letters, searchable, squeeze
from index.encoder import Encoder
from index.store import Hit, Index
from index.tokenizer import tokenize
from qa.cite import Citation, cite
from qa.names import directory
from qa.select import Selection, select
from qa.understand import Filters, Query, states_value, understand

WHOLE_CHARS = 140
"""A passage this short, in characters, is the answer as it stands."""
SENTENCES = 3
LIST_CASES = 8
LIST_ITEMS = 8
SHARE = 0.75
"""A further sentence must match at least this part of what the best one matches."""

# the marks of an item, a heading or a row, which a quoted sentence does not need
_LEAD = re.compile(r"^[\s\-・○●■◆➤►▶※☆★|]+")


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """A sentence of the answer, the citations it stands in, and a label (an organization) shown before it."""

    text: str
    citations: tuple[int, ...]
    label: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerText:
    """The short answer."""

    text: str
    mode: str
    sentences: tuple[AnswerSentence, ...]


@dataclass(frozen=True, slots=True)
class AppliedFilters:
    """The filters that were applied, and the names of those that were understood from the question."""

    document_ids: tuple[str, ...]
    case_ids: tuple[str, ...]
    organizations: tuple[str, ...]
    prefectures: tuple[str, ...]
    regions: tuple[str, ...]
    organization_kinds: tuple[str, ...]
    population_bands: tuple[str, ...]
    population_min: int | None
    population_max: int | None
    from_question: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a question."""

    question: str
    answerable: bool
    reason: str | None
    answer: AnswerText
    citations: tuple[Citation, ...]
    filters: AppliedFilters
    index_version: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class Passages:
    """The reply to a search."""

    citations: tuple[Citation, ...]
    index_version: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class _Sentence:
    chunk_id: str
    start: int
    end: int
    text: str
    tokens: tuple[str, ...]


_NO = {
    "no_match": "資料の中に、この質問に当たる記述は見当たりませんでした。言葉を変えるか、条件を減らしてお試しください。",
    "filtered_out": "指定された条件に当てはまる資料がありません。条件を減らしてお試しください。",
}


def ask(
    index: Index,
    encoder: Encoder,
    question: str,
    *,
    history: Sequence[str] = (),
    filters: Filters | None = None,
    top_k: int = 5,
) -> Reply:
    """The reply to a question; `history` are the earlier questions of the conversation, oldest first."""
    started = time.perf_counter()
    names = directory(index)

    def answered_by(earlier: str) -> tuple[str, ...]:
        found = select(index, encoder, understand(earlier, (), names), filters or Filters(), 1).hits
        return names.of(found[0].chunk.document_id, found[0].chunk.case_id) if found else ()

    query = understand(question, history, names, answered_by)
    selection = select(index, encoder, query, filters or Filters(), top_k)
    if selection.filtered_out or not selection.hits:
        return _reply(
            index, question, selection, (), "filtered_out" if selection.filtered_out else "no_match", started
        )
    return _reply(index, question, selection, _choose(index, query, selection), None, started)


def search(
    index: Index, encoder: Encoder, text: str, *, filters: Filters | None = None, top_k: int = 10
) -> Passages:
    """The passages nearest to a text, best first, without an answer."""
    started = time.perf_counter()
    query = replace(
        understand(text, (), directory(index)), filters=Filters(), shape="text", near_population=None
    )
    selection = select(index, encoder, query, filters or Filters(), top_k)
    return Passages(cite(index, selection.hits), index.version, _ms(started))


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def _reply(
    index: Index,
    question: str,
    selection: Selection,
    chosen: Sequence[_Sentence],
    reason: str | None,
    started: float,
) -> Reply:
    number = {hit.chunk.id: rank for rank, hit in enumerate(selection.hits, 1)}
    sentences = tuple(
        AnswerSentence(s.text, (number[s.chunk_id],), _label(index, s.chunk_id)) for s in chosen
    )
    text = _NO[reason] if reason else "\n".join(s.text for s in sentences)
    applied = {
        name: getattr(selection.filters, name)
        for name in AppliedFilters.__dataclass_fields__
        if name != "from_question"
    }
    return Reply(
        question=question,
        answerable=reason is None,
        reason=reason,
        answer=AnswerText(text, "extractive", sentences),
        citations=cite(index, selection.hits, ((s.chunk_id, s.start, s.end) for s in chosen)),
        filters=AppliedFilters(**applied, from_question=selection.from_question),
        index_version=index.version,
        took_ms=_ms(started),
    )


def _label(index: Index, chunk_id: str) -> str | None:
    chunk = index.chunk(chunk_id)
    case = index.cases.get(chunk.case_id or "") if chunk else None
    return case.organization if case else None


# ---------------------------------------------------------------- choosing sentences


def _choose(index: Index, query: Query, selection: Selection) -> list[_Sentence]:
    """The sentences that are quoted, in the order of their passages and within a passage as they stand there."""
    if query.lists and selection.hits[0].chunk.case_id is not None:
        return _one_a_case(index, query, selection.hits)
    top = list(selection.hits[:3])
    if query.lists and len(items := _sentences(index, top[0])) > 1:
        return items[:LIST_ITEMS]
    wanted = frozenset(tokenize(searchable(query.text)))
    candidates = [s for hit in top for s in _sentences(index, hit)]
    weights = _weights(candidates)

    def worth(sentence: _Sentence) -> float:
        found = sum(weights.get(token, 0.0) for token in wanted & set(sentence.tokens))
        return found + (2.0 if states_value(sentence.text, query.values) else 0.0)

    own = [s for s in candidates if s.chunk_id == top[0].chunk.id]
    stating = [s for s in own if states_value(s.text, query.values)]
    if stating and len(stating) < len(own):
        # a value is asked for: what states one answers, what stands around it does not
        chosen = sorted(stating, key=worth, reverse=True)[:SENTENCES]
    elif own and sum(len(s.text) for s in own) <= WHOLE_CHARS:
        chosen = own
    else:
        chosen = sorted(own, key=worth, reverse=True)[:SENTENCES]
        least = SHARE * worth(chosen[0]) if chosen else 0.0
        chosen = [s for s in chosen if worth(s) >= least] or own[:1]
    best = max((worth(s) for s in chosen), default=0.0)
    others = sorted((s for s in candidates if s.chunk_id != top[0].chunk.id), key=worth, reverse=True)
    chosen += [s for s in others[: SENTENCES - 1] if worth(s) > max(best, 1.0)]
    order = {hit.chunk.id: rank for rank, hit in enumerate(top)}
    return sorted(chosen, key=lambda s: (order[s.chunk_id], s.start))


def _one_a_case(index: Index, query: Query, hits: Sequence[Hit]) -> list[_Sentence]:
    """For a question that several cases answer: one sentence of each.

    Where conditions chose the cases, it is the lead of the case's opening passage, else the best match.
    """
    per_case: dict[str, list[_Sentence]] = {}
    for hit in hits:
        case_id = hit.chunk.case_id
        if case_id is not None and not (query.filters and case_id in per_case):
            per_case.setdefault(case_id, []).extend(_sentences(index, hit))
    groups = [group for group in per_case.values() if group][:LIST_CASES]
    if query.filters:
        return [group[0] for group in groups]
    wanted = frozenset(tokenize(searchable(query.text)))
    weights = _weights([s for group in per_case.values() for s in group])
    return [
        max(group, key=lambda s: sum(weights.get(t, 0.0) for t in wanted & set(s.tokens))) for group in groups
    ]


def _weights(sentences: Sequence[_Sentence]) -> dict[str, float]:
    """How much a token tells these sentences apart: log((n + 1) / df), as in idf."""
    counts = Counter(token for s in sentences for token in set(s.tokens))
    return {token: math.log((len(sentences) + 1) / count) for token, count in counts.items()}


def _sentences(index: Index, hit: Hit) -> list[_Sentence]:
    """The sentences, items and rows of a passage; its heading lines are not, where there is more."""
    text = index.documents[hit.chunk.document_id].text
    found: list[_Sentence] = []
    # 「。」 ends a sentence unless a bracket closes after it; a line break ends an item or a row
    for piece in re.finditer(
        r"[^。！？!?\n]*(?:[。！？!?]+[」』）)*]*|\n|$)", text[hit.chunk.start : hit.chunk.end]
    ):
        start, end = hit.chunk.start + piece.start(), hit.chunk.start + piece.end()
        lead = _LEAD.match(text[start:end])
        start += lead.end() if lead else 0
        while end > start and text[end - 1].isspace():
            end -= 1
        if letters(text[start:end]) >= 2:
            words = text[start:end]
            found.append(_Sentence(hit.chunk.id, start, end, words, tuple(tokenize(searchable(words)))))
    headings = {squeeze(name) for name in hit.chunk.heading_path}
    body = [s for s in found if squeeze(s.text) not in headings]
    # in minutes a passage may begin with the question that it answers
    told = [s for s in body if not QUESTION_END.search(s.text)]
    return told or body or found
