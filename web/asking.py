"""The page on which people ask, and its help: the question, its answer and evidence, the conditions that were read from it.

In: a state of the page as its address gives it. Out: the page. What is shown is the reply of `qa.answer.ask`, to the letter.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from corpus.records import Document
from corpus.text import squeeze
from index.store import Index
from qa.answer import AnswerSentence, Reply
from qa.cite import Citation
from qa.dossier import CONDITION_LABELS
from qa.facets import facets, toggled
from qa.understand import Filters
from web import rich, view
from web.contract import Asked, asked
from web.examples import Examples
from web.export import links
from web.site import NO_INDEX, Site

VALUES = {
    "phone": "電話番号",
    "email": "メールアドレス",
    "person": "氏名",
    "company": "会社の名前",
    "department": "担当部署",
    "date": "時期",
    "amount": "金額",
    "persons": "人数",
    "share": "割合",
    "count": "数",
    "address": "ホームページのアドレス",
}
"""The kinds of value that a question may ask for (`qa.understand.VALUES`), in words."""
CONTEXT_CHARS = 300
"""Of the text before and after a passage, opened on demand: half a printed page together."""
FACET_VALUES = 12
"""Of a facet on this page; all of them stand in the catalogue."""
_BETWEEN = re.compile(r"(?:\s|\||[-・*](?=\s)|:?-{2,}+:?)*+")
"""What stands between two quoted sentences that follow each other: white space, a bullet, the bars and the rule of a table."""


def router(site: Site, examples: Examples) -> APIRouter:
    """The routes of the page."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/")
    def page_ask(request: Request, state: Annotated[Asked, Depends(asked)]) -> HTMLResponse:
        index = site.seen(request)
        problem = state.problem()
        shown: dict[str, Any] = {
            "state": state,
            "question": state.question,
            "history": [] if problem else conversation(state),
            "kept": [] if problem else kept(state),
            "chips": [],
            "reply": None,
            "error": None,
            "index": view.index_page(index),
        }
        if problem:
            return site.page(request, "ask.html", 422, **{**shown, "error": problem})
        if not state.question:
            shown |= {"chips": chips(index, None, state), "scope": scope(index, None, state)}
            return site.page(request, "ask.html", **shown, examples=examples.of(index))
        if index is None:
            return site.page(request, "ask.html", 503, **{**shown, "error": site.current.problem or NO_INDEX})
        reply = site.answered(index, state)
        site.given(reply, state.pairs(), "page")
        return site.page(
            request,
            "ask.html",
            **{**shown, "chips": chips(index, reply, state), "reply": reply_page(index, reply)},
            scope=scope(index, reply, state),
            written=written_page(site, request, reply, state),
            taking=links(request, "answer", state.pairs(), state.address()),
            with_conditions=replace(state, without=()).address() if state.without else None,
        )

    @routes.get("/help")
    def page_help(request: Request) -> HTMLResponse:
        return site.page(request, "help.html")

    return routes


def written_page(site: Site, request: Request, reply: Reply, state: Asked) -> dict[str, Any] | None:
    """The written answer beside the quoted one; while it was not asked for, the way to it. None where nothing writes."""
    if site.writing is None or not reply.answerable:
        return None
    shown: dict[str, Any] = {"model": site.writing.name, "reply": None}
    if not state.written:
        body = {
            "question": state.question,
            "history": list(state.history),
            "filters": {
                name: value for name, value in asdict(state.filters).items() if value not in ((), None)
            },
            "without": list(state.without),
        }
        return shown | {
            "url": replace(state, written=True).address(),
            "body": json.dumps(body, ensure_ascii=False),
        }
    made = site.writing.reply(request, reply, state.history)
    notes = [note for note in made.notes if note not in reply.notes]
    return shown | {"reply": made if made.answer.mode == "generated" else None, "notes": notes}


# ---------------------------------------------------------------- the state of the page


def conversation(state: Asked) -> list[dict[str, str]]:
    """The earlier questions, oldest first, each with the address of the page as it was."""
    return [
        {
            "text": text,
            "url": replace(state, question=text, history=state.history[:number], without=()).address(),
        }
        for number, text in enumerate(state.history)
    ]


def kept(state: Asked) -> list[tuple[str, str]]:
    """What a follow-up carries along in hidden fields: the conversation with this question, and the person's filters."""
    history = (*state.history, state.question) if state.question else state.history
    return replace(state, question="", history=history, without=()).pairs()


@dataclass(frozen=True, slots=True)
class Chip:
    """A condition of the search: what it is, its value in words, who set it, and the address of the page without it."""

    label: str
    value: str
    from_question: bool
    url: str | None


def chips(index: Index | None, reply: Reply | None, state: Asked) -> list[Chip]:
    """The conditions that were applied: the person's own, value by value, then those that were read from the question."""
    shown: list[Chip] = []
    for name, label in CONDITION_LABELS.items():
        own = getattr(state.filters, name, None)
        values = own if isinstance(own, tuple) else () if own is None else (own,)
        for value in values:
            rest = tuple(v for v in values if v != value) if isinstance(own, tuple) else None
            shown.append(Chip(label, _words(index, name, value), False, state.filtered(name, rest).address()))
    if reply is None:
        return shown
    for name in reply.filters.from_question:
        value = getattr(reply.filters, name)
        words = "、".join(value) if isinstance(value, tuple) else _words(index, name, value)
        without = replace(state, without=(*state.without, name)).address()
        shown.append(Chip(CONDITION_LABELS[name], words, True, without))
    return shown


def scope(index: Index | None, reply: Reply | None, state: Asked) -> list[dict[str, Any]]:
    """The facets under which a person narrows what is searched, each value with its count and the address that toggles it.

    Counts are of cases under the conditions in force, those read from the question too; of passages for documents.
    """
    if index is None:
        return []
    in_force = state.filters
    if reply is not None:
        in_force = Filters(**{f.name: getattr(reply.filters, f.name) for f in fields(Filters)})
    shown = []
    for facet in facets(index.cases.values(), in_force):
        if facet.name != "document_ids":
            values = [(v.value, v.label, v.count, v.selected) for v in facet.values]
            shown.append(_group(facet.name, facet.label, values, "/cases", reply, state))
    documents = [
        (d.id, d.title, index.chunk_counts[d.id], d.id in in_force.document_ids)
        for d in sorted(index.listing.values(), key=lambda d: (-index.chunk_counts[d.id], d.title))
    ]
    shown.append(_group("document_ids", "資料", documents, "/documents", reply, state))
    return shown


def _group(
    name: str,
    label: str,
    values: Sequence[tuple[str, str, int, bool]],
    all_of_them: str,
    reply: Reply | None,
    state: Asked,
) -> dict[str, Any]:
    """One facet of at most FACET_VALUES, the chosen ones first in any case; `all_of_them` is where the others stand."""
    listed = [v for number, v in enumerate(values) if number < FACET_VALUES or v[3]]
    read = reply is not None and name in reply.filters.from_question
    return {
        "name": name,
        "label": label,
        "unit": "記述" if name == "document_ids" else "事例",
        "more": len(values) - len(listed),
        "all": all_of_them,
        "values": [
            {
                "label": words,
                "count": count,
                "selected": selected,
                "url": replace(state, without=(*state.without, name)).address()
                if selected and read and value not in getattr(state.filters, name)
                else replace(state, filters=toggled(state.filters, name, value)).address(),
            }
            for value, words, count, selected in listed
        ],
    }


def _words(index: Index | None, name: str, value: Any) -> str:
    if isinstance(value, int):
        # 「5万人未満」 is kept as at most 49,999
        below = name == "population_max" and value % 1000 == 999
        return f"{value + 1:,}人未満" if below else f"{value:,}人"
    if name == "document_ids" and index is not None and value in index.documents:
        return index.documents[value].title
    if name == "case_ids" and index is not None and value in index.cases:
        return index.cases[value].title
    return str(value)


# ---------------------------------------------------------------- the answer and its evidence


def reply_page(index: Index, reply: Reply) -> dict[str, Any]:
    """A reply as the page shows it: the answer in groups, how the question was read, each citation with its surroundings."""
    page = asdict(reply)
    for shown, citation in zip(page["citations"], reply.citations, strict=True):
        document = index.documents[citation.document_id]
        marks = [
            (h.char_start - citation.char_start, h.char_end - citation.char_start)
            for h in citation.highlights
        ]
        shown["blocks"] = rich.blocks(citation.text, marks)
        shown["publisher"], shown["date"] = document.publisher, document.date
        shown["before"], shown["after"] = surroundings(document, citation)
    cited = {number for sentence in reply.answer.sentences for number in sentence.citations}
    page["cited"] = [c for c in page["citations"] if c["id"] in cited]
    page["near"] = [c for c in page["citations"] if c["id"] not in cited]
    page["groups"] = groups(reply)
    page["as_table"] = reply.understood.form in {"list", "compare"} and len(page["groups"]) > 1
    page["read_as"] = read_as(reply)
    page["compared"] = compared(reply)
    return page


def surroundings(document: Document, citation: Citation) -> tuple[str, str]:
    """What stands right before and after a passage: whole lines where lines are short, at most CONTEXT_CHARS each."""
    before = document.text[max(0, citation.char_start - CONTEXT_CHARS) : citation.char_start]
    after = document.text[citation.char_end : citation.char_end + CONTEXT_CHARS]
    if citation.char_start > CONTEXT_CHARS and "\n" in before:
        before = before[before.index("\n") + 1 :]
    if citation.char_end + CONTEXT_CHARS < len(document.text) and "\n" in after:
        after = after[: after.rindex("\n")]
    return before.strip("\n\f"), after.strip("\n\f")


def groups(reply: Reply) -> list[dict[str, Any]]:
    """The answer's sentences by whose words they are: one group a label, in the order of the answer.

    Sentences that follow each other in one passage (the rows of a table) are one slice of it.
    """
    made: list[dict[str, Any]] = []
    for (label, why), sentences in itertools.groupby(reply.answer.sentences, key=lambda s: (s.label, s.why)):
        items = _joined(list(sentences), reply.citations)
        case = reply.citations[items[0]["citations"][0] - 1].case if label and items else None
        made.append(
            {
                "label": label,
                "why": why,
                "case": case if case is not None and case.organization == label else None,
                "items": items,
            }
        )
    return made


def _joined(sentences: Sequence[AnswerSentence], citations: Sequence[Citation]) -> list[dict[str, Any]]:
    spans: list[tuple[int, int, int]] = []  # number of the citation, start and end in its text
    for sentence in sentences:
        number = sentence.citations[0]
        passage = citations[number - 1].text
        last = spans[-1] if spans and spans[-1][0] == number else None
        at = passage.find(sentence.text, last[2] if last else 0)
        at = passage.find(sentence.text) if at < 0 else at
        if last and _BETWEEN.fullmatch(passage, last[2], at):
            spans[-1] = (number, last[1], at + len(sentence.text))
        else:
            spans.append((number, at, at + len(sentence.text)))
    items = []
    for number, start, end in spans:
        passage = citations[number - 1].text
        begin = passage.rfind("\n", 0, start) + 1
        stop = passage.find("\n", end) if "\n" in passage[end:] else len(passage)
        # a row is shown with its bars, an item with its bullet: what belongs to the line and says nothing
        start = begin if _BETWEEN.fullmatch(passage, begin, start) else start
        end = stop if _BETWEEN.fullmatch(passage, end, stop) else end
        items.append(
            {"text": passage[start:end], "blocks": rich.blocks(passage[start:end]), "citations": (number,)}
        )
    return items


def read_as(reply: Reply) -> list[tuple[str, str]]:
    """How the question was read, in words: whom it names, what it asks for, of which year, and what was searched for."""
    understood = reply.understood
    said = []
    if squeeze(understood.searched) != squeeze(reply.question):
        said.append(("探した言葉", understood.searched))
    if understood.organizations:
        said.append(("団体", "、".join(understood.organizations)))
    if understood.unknown:
        said.append(("資料にない団体", "、".join(understood.unknown)))
    if understood.values:
        said.append(("求める内容", "、".join(VALUES[name] for name in understood.values)))
    if understood.years:
        said.append(("年", "、".join(f"{year}年" for year in understood.years)))
    return said


def compared(reply: Reply) -> list[str]:
    """The cases of an answer that compares or lists, two to five of them, to be set side by side."""
    if reply.understood.form not in {"list", "compare"} or not reply.answerable:
        return []
    quoted = [reply.citations[number - 1] for s in reply.answer.sentences for number in s.citations]
    cases = list(dict.fromkeys(c.case.id for c in quoted if c.case is not None))
    return cases if 2 <= len(cases) <= 5 else []
