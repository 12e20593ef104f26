"""Choosing passages: from a query to the hits that are shown, best first.

In: an index, an encoder, a query, and the filters a person set. Out: hits and which filters were applied. What is known about
a passage beside its words (whose it is, whether it states the value asked for) is added to the engines' score. Where a
question asks for cases, each is shown once before any is shown twice; where it compares, the sides take turns.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Protocol

from corpus.cases import band_limits
from corpus.municipalities import CORE_CITIES, REGION_OF, parse_organization
from corpus.records import Case, Chunk
from corpus.text import searchable, sentence_spans, squeeze
from index.encoder import Encoder
from index.engines import Probe, probe
from index.reranker import Reranker
from index.store import Hit, Index, Scope
from index.tokenizer import tokenize
from qa.names import Directory, directory
from qa.stopwatch import Stopwatch
from qa.synonyms import Synonyms
from qa.understand import CALLED, CONTACT, PREFECTURE_KINDS, Filters, Query

POOL = 60
"""Hits that are looked at before the first ones are shown."""
NEAREST = 8
"""Hits in which the answer is looked for."""
OWN_POOL = 20
"""Passages of a named organization that are looked at in any case."""
RERANKED, RERANKER_WEIGHT = 20, 0.7
"""Hits that an optional cross-encoder reads again, and what its score counts beside the hit's own."""
NO_SYNONYMS = Synonyms()


@dataclass(frozen=True, slots=True)
class Weights:
    """What is added to the engines' score, which is from 0 to 1, for what is known about a passage.

    Chosen by cross-validation over three sets of questions (docs/decisions.md).
    """

    own: float = 0.15
    """It is about an organization that is named."""
    others: float = -0.15
    """It stands in the case, or in the section, of another organization than the one named."""
    mentions: float = 0.08
    """It says the name of a body that has no document of its own."""
    states: float = 0.15
    """It states a value of the kind asked for (an amount, a telephone number)."""
    kind: float = 0.05
    """It is about a county where 「どこの県」 is asked, about a village where 「どこの村」 is."""
    other_kind: float = -0.15
    """It is about a city where 「どこの県」 is asked."""
    contact: float = 0.2
    """It states the telephone number or mail address of a case's organization that is named, and that is asked for."""
    case: float = 0.1
    """It stands in a case, and municipalities that do something are asked for."""
    imprint: float = -0.2
    """It only says whom to call and how many people live there, which was not asked."""
    opening: float = -0.15
    """It opens a case, which sums up what the passages after it tell, and one thing is asked for."""


WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Selection:
    """Hits best first, the filters that were applied, which of them came from the question, and how it was searched.

    `sides` says, where a question compares, which organization (or document) each of the first hits stands for. `cases` is how
    many cases meet the conditions, where all of them are asked for. `near` are at least the first NEAREST hits, however few are
    shown: whether there is an answer does not depend on that.
    """

    hits: tuple[Hit, ...]
    filters: Filters
    from_question: tuple[str, ...]
    filtered_out: bool = False
    probe: Probe | None = None
    sides: tuple[str, ...] = ()
    cases: int = 0
    near: tuple[Hit, ...] = ()


def select(
    index: Index,
    encoder: Encoder,
    query: Query,
    given: Filters,
    k: int,
    *,
    synonyms: Synonyms = NO_SYNONYMS,
    reranker: Reranker | None = None,
    most: int = 0,
    stopwatch: Stopwatch | None = None,
) -> Selection:
    """The k best passages for a query; `filtered_out` where the filters leave nothing.

    Where all cases that meet conditions are asked for, up to `most` passages, one a case, where that is more.

    `stopwatch` gets the time by stage: encode, search, select. Raises RerankerError where the reranker fails.
    """
    stopwatch = stopwatch or Stopwatch()
    filters, from_question = join(given, query.filters)
    scope = scope_of(index, filters)
    names = directory(index)
    stopwatch.lap("select")
    asked = probe(encoder, query.text, query.focus, synonyms.others(query.text))
    stopwatch.lap("encode")
    if scope is not None and not scope:
        # what is nearest without the conditions that were read from the question is shown, but does not answer
        within = scope_of(index, given)
        nearest = (
            ranked(index, names, query, asked, within, max(POOL, k), stopwatch)
            if within is None or within
            else []
        )
        stopwatch.lap("select")
        return Selection(tuple(nearest[:k]), filters, from_question, filtered_out=True, probe=asked)
    hits = ranked(index, names, query, asked, scope, max(POOL, k), stopwatch)
    if reranker is not None:
        hits = _reranked(index, query, hits, reranker)
    hits = _once(index, names, hits)
    sides: tuple[str, ...] = ()
    cases = 0
    if query.shape == "compare":
        hits, sides = _sides(index, encoder, names, query, hits, scope, k)
    elif query.shape == "summary":
        hits = _case_first(index, query, hits)
        if hits and hits[0].chunk.case_id is not None:
            hits = _openings_first(index, hits, 1)
    elif query.near_population is not None:
        hits = _once(index, names, _openings_first(index, _and_all_cases(index, hits, scope)), again=False)
        hits = _nearest_first(index, hits, query.near_population)
    elif (from_question and query.lists) or (
        query.lists and query.asks_bodies and query.everything and not query.organizations
    ):
        hits = _once(index, names, _openings_first(index, _and_all_cases(index, hits, scope)), again=False)
        cases = len({hit.chunk.case_id for hit in hits} - {None})
        k = max(k, min(cases, most))
    elif query.shape in {"text", "value"}:
        hits = _with_table_head(index, _with_correction(hits))
    elif query.lists and query.asks_bodies:
        hits = _many_cases(index, hits)
    stopwatch.lap("select")
    return Selection(
        tuple(hits[:k]),
        filters,
        from_question,
        probe=asked,
        sides=sides[:k],
        cases=cases,
        near=tuple(hits[: max(k, NEAREST)]),
    )


def ranked(
    index: Index,
    names: Directory,
    query: Query,
    asked: Probe,
    scope: Scope | None,
    k: int,
    stopwatch: Stopwatch | None = None,
) -> list[Hit]:
    """Hits with what is known about them added to their scores, best first."""
    hits = index.search(asked, k, scope)
    if stopwatch is not None:
        stopwatch.lap("search")
    if query.organizations:
        own = _own(index, names, query.organizations, scope)
        found = {hit.chunk.id for hit in hits}
        # mostly they are among the hits already, and a search costs as much as the first one
        if len(own & found) < min(OWN_POOL, len(own)):
            least = hits[-1].score if hits else 0.0
            hits += [
                hit.scored(least)
                for hit in index.search(asked, OWN_POOL, Scope(chunks=own))
                if hit.chunk.id not in found
            ]
    scored = [hit.scored(hit.score + _known(index, names, query, hit.chunk)) for hit in hits]
    return sorted(scored, key=lambda hit: -hit.score)


def _own(index: Index, names: Directory, organizations: Sequence[str], scope: Scope | None) -> set[str]:
    """Ids of the chunks that are about one of some organizations."""
    asked = set(organizations)
    return {
        chunk.id
        for document_id in names.documents_of(organizations)
        for chunk in index.chunks_of_document(document_id)
        if set(names.of(chunk)) & asked and (scope is None or scope.holds(chunk))
    }


# 「表の誤りを訂正（500箱から400箱に）」「正しくは12名です」「先月の回答を取り消します」
CORRECTS = re.compile(
    r"訂正|正しくは|誤り(?:を|で|が|のため)|(?:記載|回答|発言|数値|表)を(?:修正|改め|取り消)|取り消しま"
)
SHARED = 3
"""Content words that the sentence of a correction and what it corrects have in common, at least."""


def corrections(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text stand that correct something."""
    if not CORRECTS.search(text):  # as nearly all
        return []
    return [(start, end) for start, end in sentence_spans(text) if CORRECTS.search(text[start:end])]


def _with_correction(hits: Sequence[Hit]) -> list[Hit]:
    """Hits with the passage that corrects the first one, later in the same document, right after it."""
    if not hits:
        return []
    first = hits[0]
    words: set[str] | None = None
    for hit in hits[1:]:
        if hit.chunk.document_id != first.chunk.document_id or hit.chunk.start <= first.chunk.start:
            continue
        for start, end in corrections(hit.chunk.text):
            if words is None:
                words = set(tokenize(searchable(first.chunk.text)))
            if len(words & set(tokenize(searchable(hit.chunk.text[start:end])))) >= SHARED:
                others = [other for other in hits[1:] if other.chunk.id != hit.chunk.id]
                return [first, hit.scored(first.score), *others]
    return list(hits)


SAME, SAME_GRAMS = 0.9, 4
"""Two passages say the same where they share this part of their runs of so many letters, and every number."""
_DIGITS = re.compile(r"\d+")


def _once(index: Index, names: Directory, hits: Sequence[Hit], again: bool = True) -> list[Hit]:
    """Hits with those that say again what one of another document said put last, or where not `again` left out.

    Two editions that differ in a number are two: 「上限は80万円」 beside 「上限は90万円」. Of a PDF file, whose lines break in the
    middle of words, and another one the other is shown.
    """
    kept: list[Hit] = []
    repeated: list[Hit] = []
    # the places of those kept, by whom they are of and by their numbers: only these may say the same
    seen: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[int, _Said]]] = {}
    for hit in hits:
        words = _letters(hit.chunk.text)
        own = _Said(hit.chunk.document_id, words)
        alike = seen.setdefault((names.of(hit.chunk), _numbers(words)), [])
        place = next((place for place, other in alike if own.again(other)), None)
        if place is None:
            alike.append((len(kept), own))
            kept.append(hit)
            continue
        first = kept[place]
        formats = [index.documents[h.chunk.document_id].format for h in (first, hit)]
        if formats[0] == "pdf" != formats[1]:
            kept[place], hit = hit.scored(first.score), first
        repeated.append(hit)
    if not again or not repeated:
        return kept
    least = kept[-1].score
    return [*kept, *(hit.scored(min(hit.score, least)) for hit in repeated)]


@dataclass(frozen=True, slots=True)
class _Said:
    """What a passage says, its letters, in which document."""

    document_id: str
    words: str

    def again(self, other: _Said) -> bool:
        """Whether it says again what one of another document says, of the same body with the same numbers."""
        if self.document_id == other.document_id:
            return False
        short, long = sorted((self.words, other.words), key=len)
        if len(short) < SAME * len(long):
            return False
        one, two = (
            {words[i : i + SAME_GRAMS] for i in range(max(1, len(words) - SAME_GRAMS + 1))}
            for words in (short, long)
        )
        return len(one & two) >= SAME * len(one | two)


def _with_table_head(index: Index, hits: Sequence[Hit]) -> list[Hit]:
    """Hits with the passage that holds the head of the first one's table right after it, where that only goes on with it."""
    first = hits[0].chunk if hits else None
    if first is None or not first.context or not first.text.lstrip().startswith(("|", "\t")):
        return list(hits)
    head = _letters(first.context.split("\n")[-1])
    before = [
        chunk
        for chunk in index.chunks_of_document(first.document_id)
        if chunk.start < first.start and any(_letters(line) == head for line in chunk.text.split("\n"))
    ]
    if not before:
        return list(hits)
    found = next((hit for hit in hits if hit.chunk.id == before[-1].id), Hit(before[-1], 0.0, None, None))
    others = [hit for hit in hits[1:] if hit.chunk.id != found.chunk.id]
    return [hits[0], found.scored(hits[0].score), *others]


@lru_cache(maxsize=10_000)
def _letters(line: str) -> str:
    """The letters and digits of a text, as they are compared."""
    return "".join(c for c in squeeze(line) if c.isalnum())


@lru_cache(maxsize=10_000)
def _numbers(words: str) -> tuple[str, ...]:
    """The numbers in a text, in order of their digits."""
    return tuple(sorted(_DIGITS.findall(words)))


def _reranked(index: Index, query: Query, hits: Sequence[Hit], reranker: Reranker) -> list[Hit]:
    """The best hits in the order of a cross-encoder's score, mixed with their own; the others after them."""
    best, rest = hits[:RERANKED], hits[RERANKED:]
    texts = []
    for hit in best:
        title = index.documents[hit.chunk.document_id].title
        texts.append(searchable(" ＞ ".join([title, *hit.chunk.heading_path]) + "\n" + hit.chunk.text))
    opinions = reranker.scores(searchable(query.text), texts)
    mixed = [
        hit.scored((1 - RERANKER_WEIGHT) * hit.score + RERANKER_WEIGHT * opinion)
        for hit, opinion in zip(best, opinions, strict=True)
    ]
    least = min((hit.score for hit in mixed), default=0.0)
    behind = [hit.scored(min(hit.score, least)) for hit in rest]
    return [*sorted(mixed, key=lambda hit: -hit.score), *behind]


# what an imprint says and may be asked for
_SAID_OF_BODIES = CONTACT | {"persons", "address"}


def _known(index: Index, names: Directory, query: Query, chunk: Chunk) -> float:
    """What is added to the score of a passage for what is known about it."""
    w = WEIGHTS
    case = index.cases.get(chunk.case_id or "")
    added = 0.0
    if query.organizations:
        if not set(query.organizations).isdisjoint(names.of(chunk)):
            added += w.own
        elif names.own(chunk) is not None:
            added += w.others
    if query.unknown:
        said = "\n".join([chunk.text, *chunk.heading_path])
        if any(names.says(said, name) for name in query.unknown):
            added += w.mentions
    added += w.states * query.states(chunk.text)
    if (
        case is not None
        and CALLED & set(query.values)
        and case.organization in query.organizations
        and any(chunk.start <= case.fields[name].start < chunk.end for name in CALLED if name in case.fields)
    ):
        added += w.contact
    if case is not None and query.lists and query.asks_bodies:
        added += w.case
    if query.kinds:
        if case is not None and case.organization_kind in query.kinds:
            added += w.kind
        kinds = {parse_organization(name).kind for name in names.of(chunk)}
        if kinds and None not in kinds and not kinds & set(query.kinds):
            added += w.other_kind
    if (
        case is not None
        and _SAID_OF_BODIES.isdisjoint(query.values)
        and not (query.lists and query.asks_bodies)
        and _is_imprint(case, chunk)
    ):
        added += w.imprint
    if case is not None and query.shape in {"text", "value"}:
        opening = index.opening_of_case(case.id)
        if opening is not None and opening.id == chunk.id:
            added += w.opening
    return added


# fields that are read from the title of a case
_TITLE = frozenset({"title", "number", "organization", "prefecture", "organization_kind", "category"})


def _is_imprint(case: Case, chunk: Chunk) -> bool:
    """Whether a passage is what a case says of its organization: population, addresses, whom to call."""
    stated = [
        field
        for name, field in case.fields.items()
        if name not in _TITLE and chunk.start <= field.start and field.end <= chunk.end
    ]
    return sum(field.end - field.start for field in stated) * 4 > len(chunk.text)


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


# ---------------------------------------------------------------- conditions on cases


def scope_of(index: Index, filters: Filters) -> Scope | None:
    """What the filters let through, None where there is no filter."""
    if not filters:
        return None
    on_cases = replace(filters, document_ids=())
    if not on_cases:
        return Scope(documents=frozenset(filters.document_ids))
    return Scope(cases=frozenset(case.id for case in index.cases.values() if case_passes(case, filters)))


class Described(Protocol):
    """What conditions look at in a case: a record of the corpus, or one of the contract."""

    @property
    def id(self) -> str:
        """Made of its document, number and organization."""

    @property
    def document_id(self) -> str:
        """The document it stands in."""

    @property
    def organization(self) -> str:
        """In full: 「山形県酒田市」."""

    @property
    def prefecture(self) -> str | None:
        """None where the name does not show it."""

    @property
    def organization_kind(self) -> str | None:
        """市, 町, 県, 政令指定都市 …"""

    @property
    def population(self) -> int | None:
        """In persons, where it is stated."""

    @property
    def population_band(self) -> str | None:
        """In the words of the contents."""

    @property
    def category(self) -> str | None:
        """The part of the book."""


def case_passes(case: Described, filters: Filters) -> bool:
    """Whether a case meets all conditions; one that does not state a value does not meet a condition on it."""
    return all(_conditions(case, filters))


def _conditions(case: Described, filters: Filters) -> Iterator[bool]:
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
        core = parse_organization(case.organization).municipality in CORE_CITIES
        yield case.organization_kind in filters.organization_kinds or (
            core and "中核市" in filters.organization_kinds
        )
    if filters.population_bands:
        yield case.population_band in filters.population_bands
    if filters.categories:
        yield case.category in filters.categories
    if filters.population_min is not None or filters.population_max is not None:
        low, high = _population(case)
        yield low is not None and low >= (filters.population_min or 0)
        yield high is not None and high <= (
            math.inf if filters.population_max is None else filters.population_max
        )


def _population(case: Described) -> tuple[float | None, float | None]:
    """The least and the greatest population a case can have: its own, else the ends of its band (「1万人未満」)."""
    if case.population is not None:
        return case.population, case.population
    if case.population_band is None:
        return None, None
    low, high = band_limits(case.population_band)
    return (None, None) if (low, high) == band_limits("") else (low, high - 1)


# ---------------------------------------------------------------- the order of cases


REPEAT = 0.1
"""What every passage of a case costs the next one of the same case, where several cases are asked for."""
NEAR = 0.8
"""A case is shown by its opening where that has this part of the score of the case's best passage."""


def _and_all_cases(index: Index, hits: Sequence[Hit], scope: Scope | None) -> list[Hit]:
    """The hits and, after them, the opening of every allowed case that has none among them."""
    found = {hit.chunk.case_id for hit in hits}
    least = min((hit.score for hit in hits), default=0.0)
    return [
        *hits,
        *(
            Hit(chunk, least, None, None)
            for case_id in index.cases
            if case_id not in found
            and (chunk := index.opening_of_case(case_id)) is not None
            and (scope is None or scope.holds(chunk))
        ),
    ]


def _case_first(index: Index, query: Query, hits: Sequence[Hit]) -> list[Hit]:
    """Hits with the first one of a named organization's case before the others, which may be of its other documents."""
    cases = {case.id for case in index.cases.values() if case.organization in query.organizations}
    first = next((hit for hit in hits if hit.chunk.case_id in cases), None)
    if first is None:
        return list(hits)
    others = [hit for hit in hits if hit.chunk.id != first.chunk.id]
    return [first.scored(max(hit.score for hit in hits)), *others]


def _openings_first(index: Index, hits: Sequence[Hit], most: int | None = None) -> list[Hit]:
    """The opening of each case (of the first `most`) in the order of its best hit, whose score it takes, then the others."""
    found = {hit.chunk.id: hit for hit in hits}
    firsts: dict[str, Hit] = {}
    for hit in hits:
        if hit.chunk.case_id is not None and hit.chunk.case_id not in firsts and len(firsts) != most:
            opening = index.opening_of_case(hit.chunk.case_id) or hit.chunk
            own = found.get(opening.id) or Hit(opening, 0.0, None, None)
            firsts[hit.chunk.case_id] = own.scored(hit.score)
    taken = {hit.chunk.id for hit in firsts.values()}
    return [*firsts.values(), *(hit for hit in hits if hit.chunk.id not in taken)]


def _many_cases(index: Index, hits: Sequence[Hit]) -> list[Hit]:
    """Hits of many cases before many hits of one; a case comes in with its opening where that is nearly as good."""
    found = {hit.chunk.id: hit for hit in hits}
    times: dict[str, int] = {}
    scored: list[Hit] = []
    for hit in hits:
        case_id = hit.chunk.case_id
        if case_id is None:
            scored.append(hit)
            continue
        if case_id not in times:
            first = index.opening_of_case(case_id)
            opening = None if first is None else found.get(first.id)
            if opening is not None and opening.score >= NEAR * hit.score:
                scored.append(opening.scored(hit.score))
                times[case_id] = 1
                if opening.chunk.id == hit.chunk.id:
                    continue
        elif any(shown.chunk.id == hit.chunk.id for shown in scored):
            continue
        scored.append(hit.scored(hit.score - REPEAT * times.get(case_id, 0)))
        times[case_id] = times.get(case_id, 0) + 1
    return sorted(scored, key=lambda hit: -hit.score)


def _nearest_first(index: Index, hits: Sequence[Hit], population: int) -> list[Hit]:
    """Cases by how near their population is, as a ratio; passages without one after them."""

    def distance(hit: Hit) -> float:
        case = index.cases.get(hit.chunk.case_id or "")
        if case is None or not case.population or not population:
            return math.inf
        # whoever asks for municipalities of a size is one
        far = math.log(1_000) if case.organization_kind in PREFECTURE_KINDS else 0.0
        return far + abs(math.log(case.population) - math.log(population))

    seen: set[str] = set()
    firsts: list[Hit] = []
    rest: list[Hit] = []
    for hit in hits:
        case_id = hit.chunk.case_id
        (rest if case_id is None or case_id in seen else firsts).append(hit)
        seen.add(case_id or "")
    return [*sorted(firsts, key=distance), *rest]


# ---------------------------------------------------------------- comparing

# 「議事録と講演資料では」: a document by its kind
_DOCUMENT_KINDS = re.compile(
    r"議事録|事例集|講演資料|研修資料|説明資料|計画|よくある質問|FAQ|提言|報告書|手引|要綱|マニュアル"
)


def _sides(
    index: Index,
    encoder: Encoder,
    names: Directory,
    query: Query,
    hits: Sequence[Hit],
    scope: Scope | None,
    k: int,
) -> tuple[list[Hit], tuple[str, ...]]:
    """The best passages of each side by turns, then the other hits; and the side of each of the first."""
    sides: dict[str, list[Hit]] = {}
    asked = probe(encoder, query.topic)
    alone = replace(query, organizations=(), unknown=())
    for name, documents, belongs in _compared(index, names, query):
        own = Scope(
            chunks={
                chunk.id
                for document_id in documents
                for chunk in index.chunks_of_document(document_id)
                if belongs(chunk) and (scope is None or scope.holds(chunk))
            }
        )
        sides[name] = ranked(index, names, alone, asked, own, max(1, k))
    if len([found for found in sides.values() if found]) < 2:
        return list(hits), ()
    turns: list[tuple[str, Hit]] = []
    taken: set[str] = set()
    for place in range(max(map(len, sides.values()))):
        for name, found in sides.items():
            if place < len(found) and found[place].chunk.id not in taken:
                taken.add(found[place].chunk.id)
                turns.append((name, found[place]))
    turns = turns[:k]
    # scores of different searches do not compare: they fall with the place
    best = max(hit.score for _, hit in turns)
    shown = [hit.scored(best * (1 - place / (2 * k))) for place, (_, hit) in enumerate(turns)]
    return [*shown, *(hit for hit in hits if hit.chunk.id not in taken)], tuple(name for name, _ in turns)


def _compared(
    index: Index, names: Directory, query: Query
) -> Iterator[tuple[str, Collection[str], Callable[[Chunk], bool]]]:
    """The sides of a comparison: a name, documents to look through, and whether a passage of these belongs to it."""
    covered: set[str] = set()
    for name in query.organizations:
        covered |= {d for d in index.documents if name in names.of_document(d)}

        def of_organization(chunk: Chunk, name: str = name) -> bool:
            return name in names.of(chunk)

        yield name, names.documents_of([name]), of_organization
    for name in query.unknown:

        def says(chunk: Chunk, name: str = name) -> bool:
            return names.says(chunk.text, name)

        yield name, names.saying(name), says
    for kind in dict.fromkeys(_DOCUMENT_KINDS.findall(query.question)):
        ids = {d.id for d in index.listing.values() if kind in f"{d.title} {d.path}"}
        if ids and not ids & covered and len(ids) == 1:
            yield kind, ids, lambda chunk: True
