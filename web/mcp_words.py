"""What the tools for language models answer, in words: Japanese text with citations and addresses, for a model or a person to read.

In: records of the JSON API, and the address of the service where there is one. Out: text. Words of documents stand in fences, to the
letter, and sentences of an answer are items of a list, so that they are not mistaken for ours. Nothing is known of the protocol that carries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from qa.answer import AppliedFilters, Passages, Reply
from qa.catalog import CaseEntry
from qa.cite import Citation, passage_url
from qa.comparison import FIELD_LABELS
from qa.dossier import CITED, CONDITION_LABELS, NEAR, REFERENCE
from web.similar import SimilarReply
from web.writers.markdown import fenced

NOTE = "枠の中は、資料の原文のままです。"
_NOT_FIELDS = frozenset({"title", "number", "page_start", "page_end"})
"""What a case's first lines say already."""


# ---------------------------------------------------------------- records that the JSON API does not have


@dataclass(frozen=True, slots=True)
class CasesPart:
    """A part of the cases that meet conditions, in their order: from `offset` on; `found` counts all, `next_offset` is where the rest begins."""

    cases: tuple[CaseEntry, ...]
    found: int
    offset: int
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class DocumentText:
    """A part of a document: its text at `[char_start:char_end]`, to the letter; `next_start` is where the rest begins."""

    document_id: str
    document_title: str
    path: str
    characters: int
    char_start: int
    char_end: int
    text: str
    next_start: int | None
    url: str


# ---------------------------------------------------------------- answers and passages


def reply_words(reply: Reply, base: str) -> str:
    """An answer with its sources; of a refusal, why, and what is near."""
    return _joined(_reply(reply, base))


def _reply(reply: Reply, base: str) -> Iterator[str]:
    if reply.answerable:
        yield "答え（どの文も資料の原文の引用。角かっこの数字は出典の番号）："
        for sentence in reply.answer.sentences:
            label = f"【{sentence.label}】" if sentence.label else ""
            why = f"（{sentence.why}）" if sentence.why else ""
            # an item each, whose further lines stand in: no line of a document begins one of ours (「出典」, 「場所：」)
            words = sentence.text.replace("\n", "\n  ")
            yield f"- {label}{why}{words} {''.join(f'[{number}]' for number in sentence.citations)}"
    else:
        yield f"答えはありません（{reply.reason}）：{reply.answer.text}"
    yield from _notes(reply.notes)
    read = _read_conditions(reply.filters)
    if read:
        yield f"質問から読み取った条件：{read}"
    quoted = {number for sentence in reply.answer.sentences for number in sentence.citations}
    cited = [one for one in reply.citations if one.id in quoted]
    others = [one for one in reply.citations if one.id not in quoted]
    yield from _sources(CITED, cited, base)
    yield from _sources(NEAR if reply.answerable else REFERENCE, others, base)


def passages_words(found: Passages, base: str) -> str:
    """The passages of a search, best first."""
    lines = list(_sources("近い記述（近い順）", found.citations, base))
    return _joined([*(lines or ["近い記述はありません。"]), *_notes(found.notes)])


def _sources(heading: str, citations: Sequence[Citation], base: str) -> Iterator[str]:
    if not citations:
        return
    yield from ("", f"{heading}　{NOTE}")
    for citation in citations:
        yield from ("", *_source(citation, base))


def _source(citation: Citation, base: str) -> Iterator[str]:
    place = f"　{citation.place}" if citation.place else ""
    lines = (
        f"{citation.line_start}行"
        if citation.line_start == citation.line_end
        else f"{citation.line_start}〜{citation.line_end}行"
    )
    yield f"[{citation.id}] {citation.document_title}（{citation.path}）{place}　{lines}"
    if citation.case is not None:
        case = citation.case
        yield f"事例{case.number}：{case.title}【{case.organization}】（case_id: {case.id}）"
    if citation.heading_path:
        yield f"見出し：{' ＞ '.join(citation.heading_path)}"
    yield f"場所：{base}{citation.url}"
    yield from fenced(citation.text)


def _notes(notes: Iterable[str]) -> Iterator[str]:
    return (f"注意：{note}" for note in notes)


def _read_conditions(filters: AppliedFilters) -> str:
    parts = []
    for name in filters.from_question:
        value = getattr(filters, name)
        words = "、".join(value) if isinstance(value, tuple) else f"{value:,}人"
        parts.append(f"{CONDITION_LABELS[name]} {words}（{name}）")
    return "・".join(parts)


# ---------------------------------------------------------------- cases and municipalities


def case_words(case: CaseEntry, base: str) -> str:
    """A case with every field that it states."""
    return _joined(_case(case, base))


def _case(case: CaseEntry, base: str) -> Iterator[str]:
    yield f"事例{case.number}：{case.title}（case_id: {case.id}）"
    for name, label in FIELD_LABELS.items():
        value = getattr(case, name)
        if value is not None:
            yield f"- {label}：{f'{value:,}人' if name == 'population' else value}"
    for name, field in case.fields.items():
        if name not in FIELD_LABELS and name not in _NOT_FIELDS:
            yield f"- {name}：{field.value}"
    if case.page_start is not None:
        last = "" if case.page_end in (None, case.page_start) else f"〜{case.page_end}"
        yield f"- 掲載ページ：{case.page_start}{last}"
    said = [field.value for field in case.fields.values()]
    yield from (f"- 関連URL：{url}" for url in case.urls if not any(url in value for value in said))
    yield f"本文の場所：{base}{passage_url(case.document_id, case.char_start, case.char_end)}"
    yield f"事例のページ：{base}/cases/{case.id}"


def cases_words(part: CasesPart, base: str) -> str:
    """Cases, a line each, and where the rest begins."""
    if not part.cases:
        return f"条件に当てはまる事例は{part.found}件です。{'' if part.found else '条件を減らしてお試しください。'}"
    first, last = part.offset + 1, part.offset + len(part.cases)
    lines = [f"条件に当てはまる事例 {part.found}件のうち、{first}〜{last}件目："]
    lines += [f"- {_case_line(case, base)}" for case in part.cases]
    if part.next_offset is not None:
        lines.append(f"続きは offset を {part.next_offset} にして呼び出してください。")
    return _joined(lines)


def similar_words(reply: SimilarReply, base: str) -> str:
    """The profile that cases were compared with, and the cases, nearest first, with the reasons."""
    own = reply.profile
    known = (own.organization, own.kind, f"人口{own.population:,}人" if own.population else None)
    lines = [f"比べたもと：{'・'.join(part for part in (*known, own.prefecture or own.region) if part)}"]
    lines += [f"- {_case_line(item.case, base)}　近さ：{item.reason}" for item in reply.similar]
    return _joined(lines if reply.similar else [*lines, "近い団体の事例はありません。"])


def _case_line(case: CaseEntry, base: str) -> str:
    persons = f"・人口{case.population:,}人" if case.population is not None else ""
    category = f"・分類 {case.category}" if case.category else ""
    return (
        f"事例{case.number}：{case.title}【{case.organization}】{persons}{category}"
        f"（case_id: {case.id}）{base}/cases/{case.id}"
    )


# ---------------------------------------------------------------- documents


def document_words(part: DocumentText, base: str) -> str:
    """A part of a document, and where the rest begins."""
    lines = [
        f"{part.document_title}（{part.path}）全{part.characters:,}文字のうち {part.char_start}〜{part.char_end}　{NOTE}",
        f"場所：{base}{part.url}",
        *fenced(part.text),
    ]
    if part.next_start is not None:
        lines.append(f"続きは start を {part.next_start} にして呼び出してください。")
    return _joined(lines)


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines).strip("\n")
