"""Answers: the best sentences of the best passages, word for word, each with its citation.

In: an index, an encoder and a question. Out: the reply of `POST /api/ask`. No sentence is written here: an answer's
sentence is a slice of a cited passage, and a municipality's name beside it is a label of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from corpus.municipalities import REGION_OF
from corpus.records import Chunk
from corpus.text import searchable
from index.encoder import Encoder
from index.reranker import Reranker, RerankerError
from index.store import Index
from index.tokenizer import tokenize
from qa.cite import Citation, cite
from qa.evidence import Refusal, refusal
from qa.names import directory
from qa.quote import CONTACT_FIELDS, Quotation, choose, speaker
from qa.select import NO_SYNONYMS, Selection, select
from qa.stopwatch import Stopwatch
from qa.synonyms import Synonyms
from qa.understand import ASKING_WORDS, CALLED, CONTACT, Filters, Query, understand

_log = logging.getLogger("dxqa.qa")


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """A sentence of the answer and the citations it stands in.

    `label` is the organization (in minutes, the speaker) shown before it, `why` the reason for which a case is in a list. Of a written
    answer, `supported` says whether its quotations, numbers and names stand in a passage that it cites; None where it is a quotation itself.
    """

    text: str
    citations: tuple[int, ...]
    label: str | None = None
    why: str | None = None
    supported: bool | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to call, as a case states it, with the citation that holds all of it; what it does not state is None."""

    organization: str
    department: str | None
    phone: str | None
    email: str | None
    citation: int


@dataclass(frozen=True, slots=True)
class AnswerText:
    """The short answer; `contact` where a contact was asked for and a case states it."""

    text: str
    mode: str
    sentences: tuple[AnswerSentence, ...]
    contact: Contact | None = None


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
class Understood:
    """How a question was read, for people to check.

    `form` is the form of the answer: "value", "list", "compare", "summary" or "text". `searched` are the words searched for,
    which hold what was asked before where the question goes on from there. `organizations` are the indexed ones it names,
    `unknown` the others; `values` the kinds of value asked for (names of `qa.understand.VALUES`), `years` the years it names.
    """

    form: str
    searched: str
    organizations: tuple[str, ...]
    unknown: tuple[str, ...]
    values: tuple[str, ...]
    years: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a question."""

    question: str
    answerable: bool
    reason: str | None
    answer: AnswerText
    citations: tuple[Citation, ...]
    filters: AppliedFilters
    understood: Understood
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


_MORE = "当てはまる事例は{all}件あり、そのうち{shown}件を示しています。条件を足すと絞り込めます。"
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
    most: int = 0,
    stopwatch: Stopwatch | None = None,
) -> Reply:
    """The reply to a question; `history` are the earlier questions of the conversation, oldest first.

    `without` are names of conditions that must not be read from the question (fields of `Filters`, near_population).
    Where all cases that meet conditions are asked for, the reply has up to `most` passages, one a case, where that is more than
    `top_k`. `notes` say what a part of the service could not do, for the reader of the reply. `stopwatch` gets the time by stage.
    """
    started = time.perf_counter()
    stopwatch = stopwatch or Stopwatch()
    names = directory(index)

    def answered_by(other: str, in_a_case: bool) -> tuple[str, ...]:
        found = select(index, encoder, understand(other, (), names), filters or Filters(), 1).hits
        if not found or (in_a_case and not _tells_of(found[0].chunk, other)):
            return ()
        return names.of(found[0].chunk)

    query = understand(question, history, names, answered_by).without(without)
    stopwatch.lap("understand")
    selection, notes = _select(
        index, encoder, query, filters or Filters(), top_k, synonyms, reranker, notes, stopwatch, most
    )
    if selection.cases > len(selection.hits):
        notes = (*notes, _MORE.format(all=selection.cases, shown=len(selection.hits)))
    refused: Refusal | None
    if selection.filtered_out:
        refused = Refusal("filtered_out", conditions_text(selection.filters))
    elif not selection.hits:
        refused = Refusal("no_match", "")
    else:
        refused = refusal(index, names, query, selection.near)
    stopwatch.lap("evidence")
    chosen = [] if refused else choose(index, query, selection)
    stopwatch.lap("quote")
    reply = _reply(index, question, query, selection, chosen, refused, notes, started)
    stopwatch.lap("cite")
    return reply


def _tells_of(chunk: Chunk, topic: str) -> bool:
    """Whether a passage of a case says most of the words of a topic: a case that is only nearest is not the one meant."""
    words = set(tokenize(searchable(topic))) - ASKING_WORDS
    said = set(tokenize(searchable(" ".join([*chunk.heading_path, chunk.text]))))
    return chunk.case_id is not None and len(words & said) * 2 > len(words)


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
    selection, notes = _select(
        index, encoder, query, filters or Filters(), top_k, synonyms, reranker, notes, Stopwatch()
    )
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
    stopwatch: Stopwatch,
    most: int = 0,
) -> tuple[Selection, Sequence[str]]:
    """The selection; where the reranker fails, the one without it and a note that says so."""
    selected = partial(
        select, index, encoder, query, filters, k, synonyms=synonyms, most=most, stopwatch=stopwatch
    )
    try:
        return selected(reranker=reranker), notes
    except RerankerError as error:
        _log.warning("%s", error, exc_info=error)
        return selected(), (*notes, str(error))


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def _reply(
    index: Index,
    question: str,
    query: Query,
    selection: Selection,
    chosen: Sequence[Quotation],
    refused: Refusal | None,
    notes: Sequence[str],
    started: float,
) -> Reply:
    number = {hit.chunk.id: rank for rank, hit in enumerate(selection.hits, 1)}
    sentences = tuple(
        AnswerSentence(
            s.text,
            (number[s.chunk_id],),
            _label(index, s),
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
        answer=AnswerText(text, "extractive", sentences, _contact(index, query, chosen, number)),
        citations=cite(index, selection.hits, ((s.chunk_id, s.start, s.end) for s in chosen)),
        filters=AppliedFilters(
            **applied,
            near_population=query.near_population,
            from_question=(
                *selection.from_question,
                *(["near_population"] if query.near_population is not None else []),
            ),
        ),
        understood=Understood(
            query.shape, query.text, query.organizations, query.unknown, query.values, query.years
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


def _contact(
    index: Index, query: Query, chosen: Sequence[Quotation], number: dict[str, int]
) -> Contact | None:
    """The contact that the first quoted passage holds, where one is asked for."""
    chunk = index.chunk(chosen[0].chunk_id) if chosen and CONTACT & set(query.values) else None
    case = index.cases.get(chunk.case_id or "") if chunk else None
    if chunk is None or case is None:
        return None
    stated = {
        name: getattr(case, name)
        for name, field in case.fields.items()
        if name in CONTACT_FIELDS and chunk.start <= field.start and field.end <= chunk.end
    }
    if not CALLED & set(stated):
        return None
    return Contact(
        case.organization,
        stated.get("department"),
        stated.get("phone"),
        stated.get("email"),
        number[chunk.id],
    )


def _label(index: Index, quoted: Quotation) -> str | None:
    """Whose the words are: who speaks, or whose case or section it is in a document that is not all its own."""
    chunk = index.chunk(quoted.chunk_id)
    if chunk is None:
        return None
    names = directory(index)
    own = names.own(chunk)
    if own is not None and (chunk.case_id is not None or own not in names.of_document(chunk.document_id)):
        return own
    return speaker(chunk, quoted.end)
