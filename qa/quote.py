"""Choosing the sentences that are quoted from the selected passages: the best ones, whole lists, one a case, one a side.

In: an index, a query, the selected hits. Out: slices of passages with their weights, in the order in which they are shown.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from corpus.enumerations import Run, runs
from corpus.records import Chunk
from corpus.structure import QUESTION_END
from corpus.text import letters, normalize, remembered, searchable, sentence_spans, squeeze
from index.store import Hit, Index
from index.tokenizer import tokenize
from qa.evidence import is_about
from qa.names import directory
from qa.select import CORRECTS, Selection
from qa.understand import CALLED, CONTACT, Query, states_value

WHOLE_CHARS = 150
"""A passage this short, in characters, is the answer as it stands."""
ANSWER_CHARS, LIST_CHARS = 350, 400
SENTENCES, FURTHER = 5, 2
"""Sentences of an answer, and those that may follow whole passages or lists."""
PASSAGES = 6
"""Passages whose sentences may be quoted."""
SHARE = 0.5
"""A further sentence must weigh at least this part of what the best one weighs."""
LIST_CASES = 20
RUN_CHARS, PART_CHARS = 1_200, 900
"""A list is quoted whole up to so many characters, where lists are asked for and where two of its items are quoted."""
NEARBY = 100
"""Characters around what is quoted in which a telephone number belongs to it."""
CONTACT_FIELDS = ("department", "phone", "email")
SIDE_PASSAGES, SIDE_SENTENCES = 3, 3
NEAR_TOKENS, NEAR_WHOLE, SAYS, STATES, RANK = 0.4, 0.3, 0.3, 0.3, 0.9
"""Weights of what makes a sentence the answer (docs/decisions.md)."""


_SPEAKER = re.compile(r"\((?P<name>[^()]{1,20})\)")
# 「単位：千円」「金額の単位は円です」
_UNIT = re.compile(r"単位\s*[:は]")
# The marks of an item or a heading, which a quoted sentence does not need. 「-3%」 keeps its sign, 「●」 and 「○」 may say
# done and planned, and a row keeps its bar, by which it is seen to be one.
_LEAD = re.compile(r"^(?:#{1,6}\s|>\s|-\s|[\s・■◆➤►▶])+")


_STATED = re.compile(r"\d[\d,.]*\s*(?:%|円|人|名|件|回|台)")
# 「0599-25-1131」「1,320万円」: a value, and no word of what it is
_WORDLESS = re.compile(r"[\d\s,.:()/~%+-]*[十百千万億]*(?:円|人|件|台|%)?(?:\(内線 ?\d+\))?")


@dataclass(frozen=True, slots=True)
class Quotation:
    """A slice of a passage, with its offsets in the document and how much it answers."""

    chunk_id: str
    start: int
    end: int
    text: str
    weight: float


def choose(index: Index, query: Query, selection: Selection) -> list[Quotation]:
    """The sentences that are quoted: the best one's passage first, inside a passage as they stand there."""
    if selection.sides:
        chosen = _one_a_side(index, query, selection)
    elif query.lists and _asks_bodies(query, selection) and _body_of(selection.hits[0].chunk) is not None:
        chosen = _one_a_body(index, query, selection)
    else:
        chosen = _best(index, query, selection)
        if query.shape in {"text", "value"}:
            chosen = with_the_row(index, query, chosen)
        chosen = with_whole_lists(index, query, chosen)
    if CALLED & set(query.values) and not selection.sides:
        chosen = with_contact(index, query, chosen)
    if query.shape in {"list", "compare"}:
        chosen = _with_speakers(index, chosen)
    seen: set[tuple[str, str]] = set()
    once = []
    chosen = with_names(index, query, chosen)
    for sentence in with_heads(index, chosen, [hit.chunk for hit in selection.hits]):
        if (sentence.chunk_id, sentence.text) not in seen:
            once.append(sentence)
            seen.add((sentence.chunk_id, sentence.text))
    return once


def speaker(chunk: Chunk, at: int | None = None) -> str | None:
    """Who speaks in a passage of minutes, 「A市」 under the line 「(A市)」; at an offset of the document, where several do."""
    found = _SPEAKER.fullmatch(normalize(chunk.heading_path[-1])) if chunk.heading_path else None
    if found is None:
        return None
    line = None if at is None else _speaker_line(chunk, at)
    if line is None:
        return found["name"]
    named = _SPEAKER.fullmatch(normalize(line.text))
    return named["name"] if named else None


def _speaker_line(chunk: Chunk, at: int) -> Quotation | None:
    """The last line before an offset that names a speaker and nothing else."""
    lines = [line for line in all_sentences(chunk) if _SPEAKER.fullmatch(normalize(line.text))]
    return next((line for line in reversed(lines) if line.start < at), None)


def _asks_bodies(query: Query, selection: Selection) -> bool:
    return bool(selection.from_question) or query.near_population is not None or query.asks_bodies


def _body_of(chunk: Chunk) -> str | None:
    return chunk.case_id or speaker(chunk)


def _best(index: Index, query: Query, selection: Selection) -> list[Quotation]:
    """The best sentence, what stands around it in a short passage, and others that are nearly as good."""
    first = selection.hits[0].chunk
    hits = _about(index, query, selection.hits[:PASSAGES])
    if query.shape == "summary":
        hits = [
            h for h in hits if (h.chunk.document_id, h.chunk.case_id) == (first.document_id, first.case_id)
        ]
    sentences = _weighed(index, query, selection, hits)
    if not sentences:
        return []
    # a value is asked for: what states one comes first, what stands around it may follow
    most_stated = max(query.states(s.text) for s in sentences)
    best = max((s for s in sentences if query.states(s.text) == most_stated), key=lambda s: s.weight)
    own = [s for s in sentences if s.chunk_id == best.chunk_id]
    chosen: list[Quotation] = []
    asked_for = _headed(query, hits)
    if asked_for is not None:
        return _within([s for s in sentences if s.chunk_id == asked_for.id], LIST_CHARS)
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
    # 「予約率が92%の部屋は」 is answered by the record that says the number, and by no other
    numbers = set(_STATED.findall(normalize(query.question)))
    other_records = {
        hit.chunk.id
        for hit in hits
        if numbers
        and hit.chunk.row is not None
        and not numbers & set(_STATED.findall(normalize(hit.chunk.text)))
    }
    size = sum(len(s.text) for s in chosen)
    most = max(SENTENCES, len(chosen) + (SENTENCES if query.shape in {"list", "summary"} else FURTHER))
    for sentence in sorted(sentences, key=lambda s: -s.weight):
        if sentence in chosen or len(chosen) >= most or sentence.weight < SHARE * best.weight:
            continue
        if sentence.chunk_id in other_records:
            continue
        if chosen and size + len(sentence.text) > ANSWER_CHARS:
            continue
        chosen.append(sentence)
        size += len(sentence.text)
    if query.shape in {"text", "value"}:
        chosen += [s for s in sentences if s not in chosen and _corrects(s, chosen, selection)]
    return _in_order(chosen, first.id if query.shape in {"list", "summary"} else None)


HEADING_LETTERS = 3
"""A heading of so many letters is asked for where a question ends in it."""
LONG, NAMES_ROW = 8, 3
"""Of a table of so many rows one is quoted alone, where the question says so many letters of it and fewer of all others."""


def with_the_row(index: Index, query: Query, chosen: Sequence[Quotation]) -> list[Quotation]:
    """What is quoted, of a long table only the row that the question names: 「機器23号の補助率は」.

    A table may go on over several passages: where one holds the row, of the others none is quoted.
    """
    shown = list(chosen)
    tables = [
        (chunk, run)
        for chunk_id in dict.fromkeys(s.chunk_id for s in chosen)
        if (chunk := index.chunk(chunk_id)) is not None
        for run in runs(chunk.text)
        if run.table
    ]
    named = {
        _columns(chunk, run): (chunk, row) for chunk, run in tables for row in _row_named(chunk, run, query)
    }
    for chunk, run in tables:
        if _columns(chunk, run) not in named:
            continue
        holder, row = named[_columns(chunk, run)]
        start, end = chunk.start + run.start, chunk.start + run.end
        inside = [s for s in shown if s.chunk_id == chunk.id and start <= s.start < end]
        if not inside:
            continue
        at = shown.index(inside[0])
        kept = [
            replace(line, weight=max(s.weight for s in inside))
            for line in all_sentences(chunk)
            if chunk.id == holder.id and row[0] <= line.start - chunk.start < row[1]
        ]
        shown = [*shown[:at], *kept, *(s for s in shown[at:] if s not in inside)]
    return shown


def _columns(chunk: Chunk, run: Run) -> str:
    """The row that names the columns of a table, which may stand in the passage before."""
    return squeeze(
        chunk.context.split("\n")[-1] if _continues(chunk, run) else chunk.text[slice(*run.items[0])]
    )


def _row_named(chunk: Chunk, run: Run, query: Query) -> list[tuple[int, int]]:
    """The one row of a long table that shares more of the question's words, letter by letter, than all others do, if any."""
    if not run.table or len(run) < LONG:
        return []
    asked = squeeze(query.topic)
    rows = run.items if _continues(chunk, run) else run.items[1:]
    longest = {span: _in_common(squeeze(chunk.text[slice(*span)]), asked) for span in rows}
    most = max(longest.values())
    named = [span for span, length in longest.items() if length == most]
    return named if most >= NAMES_ROW and len(named) == 1 else []


def _continues(chunk: Chunk, run: Run) -> bool:
    """Whether a table is the rest of one whose head stands in the passage before."""
    return bool(chunk.context) and run.start == len(chunk.text) - len(chunk.text.lstrip())


def _in_common(one: str, other: str) -> int:
    """The length of the longest run of letters that two texts share."""
    return SequenceMatcher(None, one, other, autojunk=False).find_longest_match().size


def with_whole_lists(index: Index, query: Query, chosen: Sequence[Quotation]) -> list[Quotation]:
    """What is quoted, with all items of a list, all rows of a table, and the line before them.

    Where no list is asked for, only where two of them are quoted: some rows of a table look like all of it.
    """
    least, most = (1, RUN_CHARS) if query.shape == "list" else (2, PART_CHARS)
    shown: list[Quotation] = []
    for chunk_id in dict.fromkeys(s.chunk_id for s in chosen):
        chunk = index.chunk(chunk_id)
        assert chunk is not None
        lines = all_sentences(chunk)
        own = [s for s in chosen if s.chunk_id == chunk_id]
        for run in runs(chunk.text):
            start, end = chunk.start + run.start, chunk.start + run.end
            if sum(start <= s.start < end for s in own) < least:
                continue
            if query.shape in {"text", "value"} and _row_named(chunk, run, query):
                continue
            lead = [line for line in lines if line.end <= start][-1:] if query.shape == "list" else []
            whole = lead + [line for line in lines if start <= line.start < end]
            if sum(len(line.text) for line in whole) <= most:
                quoted = {s.end for s in own}
                own = sorted(
                    [*own, *(line for line in whole if line.end not in quoted)], key=lambda s: s.start
                )
        shown += own
    return shown


def _corrects(sentence: Quotation, chosen: Sequence[Quotation], selection: Selection) -> bool:
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
        owner = names.of(own[0].chunk)
        own = [hit for hit in own if names.of(hit.chunk) == owner]
    return own


def _in_order(chosen: Sequence[Quotation], first: str | None = None) -> list[Quotation]:
    """By passage, that of the weightiest sentence (or `first`) before the others, and inside a passage as they stand."""
    weight: dict[str, float] = {}
    for sentence in chosen:
        weight[sentence.chunk_id] = max(weight.get(sentence.chunk_id, -math.inf), sentence.weight)
    if first is not None:
        weight[first] = math.inf
    return sorted(chosen, key=lambda s: (-weight[s.chunk_id], s.chunk_id, s.start))


def _within(sentences: Sequence[Quotation], chars: int) -> list[Quotation]:
    """The first sentences that together have so many characters, one at least."""
    kept: list[Quotation] = []
    for sentence in sentences:
        if kept and sum(len(s.text) for s in kept) + len(sentence.text) > chars:
            break
        kept.append(sentence)
    return kept


def _one_a_body(index: Index, query: Query, selection: Selection) -> list[Quotation]:
    """For a question that several cases (or speakers) answer: the best sentence of each one's first passage, in their order.

    Where conditions chose the cases, it is the lead of the passage that opens the case.
    """
    firsts: dict[str, Hit] = {}
    names = directory(index)
    # of one that is named, no other is listed; a prefecture's municipalities are not the prefecture
    own = [hit for hit in selection.hits if is_about(names, query, hit)] or selection.hits
    for hit in own:
        body = _body_of(hit.chunk)
        if body is not None:
            firsts.setdefault(body, hit)
    chosen = []
    for hit in firsts.values():
        sentences = _weighed(index, query, selection, [hit])
        if sentences:
            by_condition = selection.from_question or query.near_population is not None or query.everything
            chosen.append(sentences[0] if by_condition else max(sentences, key=lambda s: s.weight))
    return chosen


def _one_a_side(index: Index, query: Query, selection: Selection) -> list[Quotation]:
    """For a comparison: the best sentences of each side, side by side."""
    chosen: list[Quotation] = []
    for side in dict.fromkeys(selection.sides):
        own = [hit for hit, name in zip(selection.hits, selection.sides, strict=False) if name == side]
        sentences = sorted(_weighed(index, query, selection, own[:SIDE_PASSAGES]), key=lambda s: -s.weight)
        chosen += _in_order(_within(sentences, ANSWER_CHARS)[:SIDE_SENTENCES])
    return chosen


def with_contact(index: Index, query: Query, chosen: Sequence[Quotation]) -> list[Quotation]:
    """What is quoted from the passage that says whom to call: its lines with department, telephone and mail together.

    Where something else is asked for too, what is quoted from other passages stays, after it.
    """
    calls = [s for s in chosen if states_value(s.text, CALLED)]
    if not calls:
        return list(chosen)
    chunk = index.chunk(max(calls, key=lambda s: s.weight).chunk_id)
    assert chunk is not None
    case = index.cases.get(chunk.case_id or "")
    fields = [case.fields[name] for name in CONTACT_FIELDS if case and name in case.fields]
    near = [s for s in chosen if s.chunk_id == chunk.id]
    low, high = min(s.start for s in near) - NEARBY, max(s.end for s in near) + NEARBY
    lines = [
        line
        for line in all_sentences(chunk)
        if any(line.start < field.end and field.start < line.end for field in fields)
        or (states_value(line.text, CALLED) and low <= line.start and line.end <= high)
    ]
    ends = {s.end for s in near}
    own = sorted([*near, *(line for line in lines if line.end not in ends)], key=lambda s: s.start)
    only_contact = set(query.values) <= CONTACT
    return [*own, *(s for s in chosen if s.chunk_id != chunk.id and not only_contact)]


def _with_speakers(index: Index, chosen: Sequence[Quotation]) -> list[Quotation]:
    """What is quoted, each passage after the line that names its speaker."""
    shown: list[Quotation] = []
    for sentence in chosen:
        chunk = index.chunk(sentence.chunk_id)
        line = _speaker_line(chunk, sentence.start) if chunk is not None and speaker(chunk) else None
        if line is not None and line not in shown:
            shown.append(line)
        shown.append(sentence)
    return shown


def with_heads(index: Index, chosen: Sequence[Quotation], others: Sequence[Chunk] = ()) -> list[Quotation]:
    """What is quoted, each row of a table after the row that names its columns and with the line that names the unit.

    `others` are the passages that may be quoted: one of them may hold the head of a table that goes on in the next.
    """
    shown: list[Quotation] = []
    tables: dict[str, list[Run]] = {}
    for sentence in chosen:
        chunk = index.chunk(sentence.chunk_id)
        assert chunk is not None
        if chunk.id not in tables:
            tables[chunk.id] = [run for run in runs(chunk.text) if run.table]
        at = sentence.start - chunk.start
        for run in tables[chunk.id]:
            if run.head is None or not run.start <= at < run.end:
                continue
            lines = all_sentences(chunk)
            head = [line for line in lines if run.head[0] <= line.start - chunk.start < run.head[1]]
            continues = _continues(chunk, run)
            if continues:
                head = []  # the rest of a table whose head stands in the passage before
            units = [line for line in lines if _UNIT.search(normalize(line.text))]
            before = [line for line in units if line.end <= chunk.start + run.start]
            units = before[-1:] or units[:1]
            quoted = {s.end for s in (*shown, *chosen) if s.chunk_id == chunk.id}
            shown += [line for line in (*units, *head) if line.end not in quoted]
            if continues:
                shown += [line for line in _head_before(chunk, others) if line not in (*shown, *chosen)]
        shown.append(sentence)
    return shown


def _head_before(chunk: Chunk, others: Sequence[Chunk]) -> list[Quotation]:
    """The row that names the columns of a table that goes on in a passage, from the one of the others that holds it."""
    head = squeeze(chunk.context.split("\n")[-1])
    for other in others:
        if other.document_id == chunk.document_id and other.start < chunk.start:
            found = [line for line in all_sentences(other) if squeeze(line.text) == head]
            if found:
                return found[:1]
    return []


def with_names(index: Index, query: Query, chosen: Sequence[Quotation]) -> list[Quotation]:
    """What is quoted, with what a value is of: the line of a record that names it, the heading over a line without words.

    「予約率：92%」 is of 「室：会議室１」, 「0599-25-1131」 of 「税務課」. What the question says need not be said again.
    """
    shown: list[Quotation] = []
    asked = squeeze(query.question)
    for chunk_id in dict.fromkeys(s.chunk_id for s in chosen):
        chunk = index.chunk(chunk_id)
        assert chunk is not None
        own = [s for s in chosen if s.chunk_id == chunk_id]
        title = squeeze(chunk.heading_path[-1]) if chunk.heading_path else ""
        wordless = any(_WORDLESS.fullmatch(normalize(s.text)) for s in own)
        if title and (wordless or (chunk.row is not None and title not in asked)):
            lines = [
                line
                for line in all_sentences(chunk)
                if squeeze(line.text) == title
                or (chunk.row is not None and squeeze(line.text).partition(":")[2] == title)
            ]
            names = [line for line in lines[:1] if line.end not in {s.end for s in own}]
            own = sorted([*own, *names], key=lambda s: s.start)
        shown += own
    return shown


def all_sentences(chunk: Chunk) -> list[Quotation]:
    """All sentences, items and rows of a passage, headings too, without weight."""
    return [_quotation(chunk, start, end, 0.0) for start, end in sentence_spans(chunk.text)]


def _quotation(chunk: Chunk, start: int, end: int, weight: float) -> Quotation:
    """A slice of a passage, without the marks of an item before it."""
    while chunk.text[start - 1 : start] == "\t":
        start -= 1  # the empty first cells of a row
    lead = _LEAD.match(chunk.text[start:end]) if chunk.text[start] != "\t" else None
    skip = lead.end() if lead and lead.end() < end - start else 0
    return Quotation(
        chunk.id, chunk.start + start + skip, chunk.start + end, chunk.text[start + skip : end], weight
    )


@remembered
def _words_of(sentence: str) -> frozenset[str]:
    """The content words of a sentence."""
    return frozenset(tokenize(searchable(sentence)))


def _weighed(index: Index, query: Query, selection: Selection, hits: Sequence[Hit]) -> list[Quotation]:
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
    tokens = [_words_of(hit.chunk.text[start:end]) for hit, _, start, end in found]
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
        sentences.append(_quotation(hit.chunk, start, end, weight))
    return sentences


# 「第3条 」「2 」 before the words of a heading; what stands after them in a question that asks for what is under it
_NUMBERED = re.compile(r"^[第\d一二三四五六七八九十章節条項().．、\s-]+")
_ASKS_FOR = re.compile(
    r"(?:は|とは|って|を(?:教えて|知りたい).*)?(?:何|なに|だれ|誰|どこ|いつ)?(?:ですか|でしょうか)?[?？。]*$"
)


def _headed(query: Query, hits: Sequence[Hit]) -> Chunk | None:
    """The first passage whose heading the question ends in: 「補助の対象者は？」 for what stands under 「対象者」."""
    if query.shape not in {"text", "value"}:
        return None
    asked = _ASKS_FOR.sub("", squeeze(query.focus or query.topic))
    for hit in hits:
        heading = (
            squeeze(_NUMBERED.sub("", normalize(hit.chunk.heading_path[-1])))
            if hit.chunk.heading_path
            else ""
        )
        if len(heading) >= HEADING_LETTERS and asked.endswith(heading):
            return hit.chunk if not query.values or query.states(hit.chunk.text) == 1.0 else None
    return None


def _body(chunk: Chunk) -> list[tuple[int, tuple[int, int]]]:
    """The numbers and spans of a passage's sentences; its heading lines and the question it answers only alone."""
    spans = [
        (n, s) for n, s in enumerate(sentence_spans(chunk.text)) if letters(chunk.text[s[0] : s[1]]) >= 2
    ]
    headings = {squeeze(name) for name in chunk.heading_path}
    body = [(n, s) for n, s in spans if not _repeats_heading(chunk, s, headings)]
    # in minutes a passage may begin with the question that it answers
    told = [(n, s) for n, s in body if not QUESTION_END.search(chunk.text[s[0] : s[1]])]
    return told or body or spans


def _repeats_heading(chunk: Chunk, span: tuple[int, int], headings: Collection[str]) -> bool:
    """Whether a sentence says a heading again, in a record also as a part of a line 「件名：学習会！春の部」."""
    if squeeze(chunk.text[span[0] : span[1]]) in headings:
        return True
    start, end = chunk.text.rfind("\n", 0, span[0]) + 1, chunk.text.find("\n", span[0])
    line = squeeze(chunk.text[start : end if end >= 0 else len(chunk.text)])
    return chunk.row is not None and line.partition(":")[2] in headings


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
