"""Answers: the best sentences of the best passages, word for word, each with its citation.

In: an index, an encoder and a question. Out: the reply of `POST /api/ask`. No sentence is written here: an answer's
sentence is a slice of a cited passage, and a municipality's name beside it is a label of its own.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from corpus.municipalities import REGION_OF
from corpus.records import Chunk
from corpus.structure import QUESTION_END
from corpus.text import letters, searchable, sentence_spans, squeeze
from index.encoder import Encoder
from index.reranker import Reranker, RerankerError
from index.store import Hit, Index
from index.tokenizer import tokenize
from qa.cite import Citation, cite
from qa.evidence import Refusal, is_about, refusal
from qa.names import directory
from qa.select import CORRECTS, NO_SYNONYMS, Selection, select
from qa.synonyms import Synonyms
from qa.understand import Filters, Query, understand

WHOLE_CHARS = 150
"""A passage this short, in characters, is the answer as it stands."""
ANSWER_CHARS, LIST_CHARS = 350, 400
SENTENCES, FURTHER = 5, 2
"""Sentences of an answer, and those that may follow whole passages or lists."""
PASSAGES = 6
"""Passages whose sentences may be quoted."""
SHARE = 0.5
"""A further sentence must weigh at least this part of what the best one weighs."""
LIST_CASES = 10
SIDE_PASSAGES, SIDE_SENTENCES = 3, 3
NEAR_TOKENS, NEAR_WHOLE, SAYS, STATES, RANK = 0.4, 0.3, 0.3, 0.3, 0.9
"""Weights of what makes a sentence the answer (docs/decisions.md)."""

_log = logging.getLogger("dxqa.qa")
# the marks of an item, a heading or a row, which a quoted sentence does not need
_LEAD = re.compile(r"^[\s\-・○●■◆➤►▶※☆★|]+")


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """A sentence of the answer and the citations it stands in.

    `label` is the organization shown before it, `why` the reason for which a case is in a list.
    """

    text: str
    citations: tuple[int, ...]
    label: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerText:
    """The short answer."""

    text: str
    mode: str
    sentences: tuple[AnswerSentence, ...]


@dataclass(frozen=True, slots=True)
class AppliedFilters:
    """The filters that were applied, and the names of those that were understood from the question.

    Cases come in the order of how near their population is to `near_population`, where that is set.
    """

    document_ids: tuple[str, ...]
    case_ids: tuple[str, ...]
    organizations: tuple[str, ...]
    prefectures: tuple[str, ...]
    regions: tuple[str, ...]
    organization_kinds: tuple[str, ...]
    population_bands: tuple[str, ...]
    categories: tuple[str, ...]
    population_min: int | None
    population_max: int | None
    near_population: int | None
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
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passages:
    """The reply to a search."""

    citations: tuple[Citation, ...]
    index_version: str
    took_ms: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sentence:
    chunk_id: str
    start: int
    end: int
    text: str
    weight: float


_NO = {
    "no_match": "資料の中に、この質問に当たる記述は見当たりませんでした。言葉を変えるか、条件を減らしてお試しください。",
    "unknown_organization": "{missing}は、索引にある資料の中に見当たりませんでした。",
    "value_not_stated": "{missing}は、資料の中に見当たりませんでした。",
    "filtered_out": "条件（{missing}）に当てはまる事例がありません。条件を減らしてお試しください。",
    "nothing_pointed_at": "{missing}が分かりませんでした。団体や事業の名前を入れてお尋ねください。",
}


def ask(
    index: Index,
    encoder: Encoder,
    question: str,
    *,
    history: Sequence[str] = (),
    filters: Filters | None = None,
    top_k: int = 5,
    synonyms: Synonyms = NO_SYNONYMS,
    reranker: Reranker | None = None,
    notes: Sequence[str] = (),
    without: Collection[str] = (),
) -> Reply:
    """The reply to a question; `history` are the earlier questions of the conversation, oldest first.

    `without` are names of conditions that must not be read from the question (fields of `Filters`, near_population).
    `notes` say what a part of the service could not do, for the reader of the reply.
    """
    started = time.perf_counter()
    names = directory(index)

    def answered_by(earlier: str) -> tuple[str, ...]:
        found = select(index, encoder, understand(earlier, (), names), filters or Filters(), 1).hits
        return names.of(found[0].chunk.document_id, found[0].chunk.case_id) if found else ()

    query = understand(question, history, names, answered_by).without(without)
    selection, notes = _select(index, encoder, query, filters or Filters(), top_k, synonyms, reranker, notes)
    refused: Refusal | None
    if selection.filtered_out:
        refused = Refusal("filtered_out", conditions_text(selection.filters))
    elif not selection.hits:
        refused = Refusal("no_match", "")
    else:
        refused = refusal(index, names, query, selection.hits)
    chosen = [] if refused else _choose(index, query, selection)
    return _reply(index, question, query, selection, chosen, refused, notes, started)


def search(
    index: Index,
    encoder: Encoder,
    text: str,
    *,
    filters: Filters | None = None,
    top_k: int = 10,
    synonyms: Synonyms = NO_SYNONYMS,
    reranker: Reranker | None = None,
    notes: Sequence[str] = (),
) -> Passages:
    """The passages nearest to a text, best first, without an answer."""
    started = time.perf_counter()
    understood = understand(text, (), directory(index))
    query = replace(understood, filters=Filters(), shape="text", near_population=None)
    selection, notes = _select(index, encoder, query, filters or Filters(), top_k, synonyms, reranker, notes)
    return Passages(cite(index, selection.hits), index.version, _ms(started), tuple(notes))


def _select(
    index: Index,
    encoder: Encoder,
    query: Query,
    filters: Filters,
    k: int,
    synonyms: Synonyms,
    reranker: Reranker | None,
    notes: Sequence[str],
) -> tuple[Selection, Sequence[str]]:
    """The selection; where the reranker fails, the one without it and a note that says so."""
    try:
        return select(index, encoder, query, filters, k, synonyms=synonyms, reranker=reranker), notes
    except RerankerError as error:
        _log.warning("%s", error, exc_info=error)
        return select(index, encoder, query, filters, k, synonyms=synonyms), (*notes, str(error))


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def _reply(
    index: Index,
    question: str,
    query: Query,
    selection: Selection,
    chosen: Sequence[_Sentence],
    refused: Refusal | None,
    notes: Sequence[str],
    started: float,
) -> Reply:
    number = {hit.chunk.id: rank for rank, hit in enumerate(selection.hits, 1)}
    sentences = tuple(
        AnswerSentence(
            s.text,
            (number[s.chunk_id],),
            _label(index, s.chunk_id),
            _why(index, s.chunk_id, query, selection),
        )
        for s in chosen
    )
    text = refused_text(refused, bool(selection.hits)) if refused else "\n".join(s.text for s in sentences)
    applied = {
        name: getattr(selection.filters, name)
        for name in AppliedFilters.__dataclass_fields__
        if name not in {"from_question", "near_population"}
    }
    return Reply(
        question=question,
        answerable=refused is None,
        reason=refused.reason if refused else None,
        answer=AnswerText(text, "extractive", sentences),
        citations=cite(index, selection.hits, ((s.chunk_id, s.start, s.end) for s in chosen)),
        filters=AppliedFilters(
            **applied,
            near_population=query.near_population,
            from_question=(
                *selection.from_question,
                *(["near_population"] if query.near_population is not None else []),
            ),
        ),
        index_version=index.version,
        took_ms=_ms(started),
        notes=tuple(notes),
    )


def refused_text(refused: Refusal, shows_nearest: bool) -> str:
    """The sentence for people that says no: what was looked for, and what follows it."""
    key = "nothing_pointed_at" if refused.reason == "no_match" and refused.missing else refused.reason
    said = _NO[key].format(missing=refused.missing)
    return said + ("近い記述を下に示しますが、お答えではありません。" if shows_nearest else "")


def conditions_text(filters: Filters) -> str:
    """Conditions in words: 「東北・町・人口1万人以上」."""
    low, high = filters.population_min, filters.population_max
    parts = [
        *filters.organizations,
        *filters.prefectures,
        *filters.regions,
        *filters.organization_kinds,
        *filters.population_bands,
        *filters.categories,
        *([f"人口{low:,}人以上"] if low is not None else []),
        *([f"人口{high:,}人以下"] if high is not None else []),
    ]
    return "・".join(parts) or "指定された条件"


def _why(index: Index, chunk_id: str, query: Query, selection: Selection) -> str | None:
    """Why a case is in a list that conditions made: its region, its kind, its population as far as they were asked for."""
    chunk = index.chunk(chunk_id)
    case = index.cases.get(chunk.case_id or "") if chunk else None
    asked = selection.filters
    if case is None or not (selection.from_question or query.near_population is not None):
        return None
    parts = []
    if asked.regions:
        parts.append(REGION_OF.get(case.prefecture or "", ""))
    if asked.prefectures:
        parts.append(case.prefecture or "")
    if asked.organization_kinds:
        parts.append(case.organization_kind or "")
    if asked.categories:
        parts.append(case.category or "")
    if query.near_population is not None or {asked.population_min, asked.population_max} != {None}:
        parts.append(
            f"人口{case.population:,}人" if case.population is not None else case.population_band or ""
        )
    return "・".join(part for part in parts if part) or None


def _label(index: Index, chunk_id: str) -> str | None:
    chunk = index.chunk(chunk_id)
    case = index.cases.get(chunk.case_id or "") if chunk else None
    return case.organization if case else None


# ---------------------------------------------------------------- choosing sentences


def _choose(index: Index, query: Query, selection: Selection) -> list[_Sentence]:
    """The sentences that are quoted: the best one's passage first, inside a passage as they stand there."""
    first = selection.hits[0].chunk
    if selection.sides:
        return _one_a_side(index, query, selection)
    asks_cases = selection.from_question or query.near_population is not None or query.asks_bodies
    if query.lists and asks_cases and first.case_id is not None:
        return _one_a_case(index, query, selection)
    sentences = _weighed(index, query, selection, _about(index, query, selection.hits[:PASSAGES]))
    if not sentences:
        return []
    # a value is asked for: what states one comes first, what stands around it may follow
    most_stated = max(query.states(s.text) for s in sentences)
    best = max((s for s in sentences if query.states(s.text) == most_stated), key=lambda s: s.weight)
    own = [s for s in sentences if s.chunk_id == best.chunk_id]
    chosen: list[_Sentence] = []
    if query.shape in {"list", "summary"}:
        # what is listed stands in one passage, item by item
        chosen = _within([s for s in sentences if s.chunk_id == first.id], LIST_CHARS)
    else:
        top = [s for s in sentences if s.chunk_id == first.id]
        for whole in (top, own):  # a short passage is an answer as it stands
            if sum(len(s.text) for s in whole) <= WHOLE_CHARS:
                chosen += [s for s in whole if s not in chosen]
        if best not in chosen:
            chosen.append(best)
    size = sum(len(s.text) for s in chosen)
    most = max(SENTENCES, len(chosen) + (SENTENCES if query.shape in {"list", "summary"} else FURTHER))
    for sentence in sorted(sentences, key=lambda s: -s.weight):
        if sentence in chosen or len(chosen) >= most or sentence.weight < SHARE * best.weight:
            continue
        if chosen and size + len(sentence.text) > ANSWER_CHARS:
            continue
        chosen.append(sentence)
        size += len(sentence.text)
    if query.shape in {"text", "value"}:
        chosen += [s for s in sentences if s not in chosen and _corrects(s, chosen, selection)]
    return _in_order(chosen, first.id if query.shape in {"list", "summary"} else None)


def _corrects(sentence: _Sentence, chosen: Sequence[_Sentence], selection: Selection) -> bool:
    """Whether a sentence of the second passage corrects what is quoted from the first (`qa.select` has put it there)."""
    first, *others = selection.hits
    if not others or sentence.chunk_id != others[0].chunk.id or not CORRECTS.search(sentence.text):
        return False
    return others[0].score == first.score and any(s.chunk_id == first.chunk.id for s in chosen)


def _about(index: Index, query: Query, hits: Sequence[Hit]) -> Sequence[Hit]:
    """The passages that may be quoted: where organizations are named, theirs, so that nobody else's value is taken."""
    names = directory(index)
    own = [hit for hit in hits if is_about(names, query, hit)] or list(hits)
    if query.values and own:
        # nor may the value of a neighbour stand beside the one that answers
        owner = names.of(own[0].chunk.document_id, own[0].chunk.case_id)
        own = [hit for hit in own if names.of(hit.chunk.document_id, hit.chunk.case_id) == owner]
    return own


def _in_order(chosen: Sequence[_Sentence], first: str | None = None) -> list[_Sentence]:
    """By passage, that of the weightiest sentence (or `first`) before the others, and inside a passage as they stand."""
    weight: dict[str, float] = {}
    for sentence in chosen:
        weight[sentence.chunk_id] = max(weight.get(sentence.chunk_id, -math.inf), sentence.weight)
    if first is not None:
        weight[first] = math.inf
    return sorted(chosen, key=lambda s: (-weight[s.chunk_id], s.chunk_id, s.start))


def _within(sentences: Sequence[_Sentence], chars: int) -> list[_Sentence]:
    """The first sentences that together have so many characters, one at least."""
    kept: list[_Sentence] = []
    for sentence in sentences:
        if kept and sum(len(s.text) for s in kept) + len(sentence.text) > chars:
            break
        kept.append(sentence)
    return kept


def _one_a_case(index: Index, query: Query, selection: Selection) -> list[_Sentence]:
    """For a question that several cases answer: the best sentence of each one's first passage, in the order of the hits.

    Where conditions chose the cases, it is the lead of the passage that opens the case.
    """
    firsts: dict[str, Hit] = {}
    for hit in selection.hits:
        if hit.chunk.case_id is not None:
            firsts.setdefault(hit.chunk.case_id, hit)
    chosen = []
    for hit in list(firsts.values())[:LIST_CASES]:
        own = _weighed(index, query, selection, [hit])
        if own:
            by_condition = selection.from_question or query.near_population is not None or query.everything
            chosen.append(own[0] if by_condition else max(own, key=lambda s: s.weight))
    return chosen


def _one_a_side(index: Index, query: Query, selection: Selection) -> list[_Sentence]:
    """For a comparison: the best sentences of each side, side by side."""
    chosen: list[_Sentence] = []
    for side in dict.fromkeys(selection.sides):
        own = [hit for hit, name in zip(selection.hits, selection.sides, strict=False) if name == side]
        sentences = sorted(_weighed(index, query, selection, own[:SIDE_PASSAGES]), key=lambda s: -s.weight)
        chosen += _in_order(_within(sentences, ANSWER_CHARS)[:SIDE_SENTENCES])
    return chosen


def _weighed(index: Index, query: Query, selection: Selection, hits: Sequence[Hit]) -> list[_Sentence]:
    """The sentences of passages with their weights, in the order of the passages.

    A weight is the sum of how near the sentence is to the question (token by token, and as a whole), how much of the
    question's words it says, whether it states a value of the kind asked for, and how its passage ranks.
    """
    asked = query.focus or query.topic
    wanted = frozenset(tokenize(searchable(asked)))
    found = [(hit, number, start, end) for hit in hits for number, (start, end) in _body(hit.chunk)]
    near = {
        (hit.chunk.id, number): values
        for hit in hits
        if selection.probe is not None
        for number, values in index.sentences(selection.probe, hit.chunk.id).items()
    }
    own = [near.get((hit.chunk.id, number), (0.0, 0.0)) for hit, number, _, _ in found]
    maxsim, cosine = _spread([m for m, _ in own]), _spread([c for _, c in own])
    tokens = [frozenset(tokenize(searchable(hit.chunk.text[start:end]))) for hit, _, start, end in found]
    worth = _rarity(tokens)
    total = sum(worth.get(token, math.log(len(tokens) + 1)) for token in wanted) or 1.0
    best = max((hit.score for hit in hits), default=0.0)
    sentences = []
    for place, (hit, _, start, end) in enumerate(found):
        words = hit.chunk.text[start:end]
        said = sum(worth[token] for token in wanted & tokens[place]) / total
        weight = (
            NEAR_TOKENS * maxsim[place]
            + NEAR_WHOLE * cosine[place]
            + SAYS * said
            + STATES * query.states(words)
            - RANK * (best - hit.score)
        )
        lead = _LEAD.match(words)
        skip = lead.end() if lead and lead.end() < len(words) else 0
        sentences.append(
            _Sentence(
                hit.chunk.id, hit.chunk.start + start + skip, hit.chunk.start + end, words[skip:], weight
            )
        )
    return sentences


def _body(chunk: Chunk) -> list[tuple[int, tuple[int, int]]]:
    """The numbers and spans of a passage's sentences; its heading lines and the question it answers only alone."""
    spans = [
        (n, s) for n, s in enumerate(sentence_spans(chunk.text)) if letters(chunk.text[s[0] : s[1]]) >= 2
    ]
    headings = {squeeze(name) for name in chunk.heading_path}
    body = [(n, s) for n, s in spans if squeeze(chunk.text[s[0] : s[1]]) not in headings]
    # in minutes a passage may begin with the question that it answers
    told = [(n, s) for n, s in body if not QUESTION_END.search(chunk.text[s[0] : s[1]])]
    return told or body or spans


def _spread(values: Sequence[float]) -> list[float]:
    """Values brought to 0..1 by their least and greatest."""
    if not values or max(values) <= min(values):
        return [0.0] * len(values)
    low, high = min(values), max(values)
    return [(value - low) / (high - low) for value in values]


def _rarity(sentences: Sequence[Collection[str]]) -> dict[str, float]:
    """How much a token tells these sentences apart: log((n + 1) / df), as in idf."""
    counts = Counter(token for tokens in sentences for token in tokens)
    return {token: math.log((len(sentences) + 1) / count) for token, count in counts.items()}
