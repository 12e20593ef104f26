"""What the pages show: records turned into the plain dictionaries that the templates take.

In: an index and records of the HTTP contract. Out: JSON-shaped dictionaries. Marks and headings are cut from the
canonical text; the pieces of a document, put together, are its text to the letter.
"""

from __future__ import annotations

import bisect
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from corpus.documents import Parsed
from corpus.records import Document
from index.library import Staged
from index.likeness import Alike
from index.report import BuildReport
from index.store import Index
from qa.answer import Reply
from qa.catalog import CaseEntry, case_entries, document_entries, similar_cases
from qa.cite import Citation, passage_url, place_of
from qa.understand import Filters

FACETS = {
    "categories": "category",
    "prefectures": "prefecture",
    "organization_kinds": "organization_kind",
    "population_bands": "population_band",
}
EXAMPLES = 4
_ROWS = (
    ("団体", "organization"),
    ("都道府県", "prefecture"),
    ("団体の種類", "organization_kind"),
    ("人口", "population"),
    ("人口の時点", "population_as_of"),
    ("人口規模", "population_band"),
    ("分類", "category"),
    ("掲載ページ", "page_start"),
    ("担当部署", "department"),
    ("電話", "phone"),
    ("メール", "email"),
)


def reply_page(reply: Reply) -> dict[str, Any]:
    """A reply with each citation's text cut into marked and plain segments."""
    page = asdict(reply)
    for shown, citation in zip(page["citations"], reply.citations, strict=True):
        shown["segments"] = _marked(citation)
    return page


_CONDITIONS = {
    "organizations": "団体",
    "prefectures": "都道府県",
    "regions": "地方",
    "organization_kinds": "団体の種類",
    "population_bands": "人口規模",
    "categories": "分類",
    "population_min": "人口（以上）",
    "population_max": "人口（以下）",
    "near_population": "人口が近い順",
    "document_ids": "資料",
    "case_ids": "事例",
}


def dialled(phone: str) -> str:
    """The digits of a telephone number for a link, without an extension.

    >>> dialled("03（1234）5678（内線12）")
    '0312345678'
    """
    return re.sub(r"[^0-9]", "", unicodedata.normalize("NFKC", phone).split("内線")[0])


def chips(
    reply: Reply, question: str, history: Sequence[str], taken_back: Sequence[str] = ()
) -> list[dict[str, str | None]]:
    """The conditions that were applied: label, value, and for one read from the question the address without it."""
    shown = []
    for name, label in _CONDITIONS.items():
        value = getattr(reply.filters, name)
        if value in ((), None):
            continue
        if isinstance(value, int):
            words = f"{value:,}人"
        else:
            words = f"{len(value)}件に限定" if name.endswith("_ids") else "、".join(value)
        url = None
        if name in reply.filters.from_question:
            pairs = [("h", text) for text in history] + [("q", question)]
            pairs += [("without", other) for other in (*taken_back, name)]
            url = f"/?{urlencode(pairs)}"
        shown.append({"label": label, "value": words, "url": url})
    return shown


def _marked(citation: Citation) -> list[dict[str, Any]]:
    segments, at = [], citation.char_start
    for highlight in citation.highlights:
        start, end = max(highlight.char_start, at), min(highlight.char_end, citation.char_end)
        if start >= end:
            continue
        segments += [_segment(citation, at, start, False), _segment(citation, start, end, True)]
        at = end
    segments.append(_segment(citation, at, citation.char_end, False))
    return [s for s in segments if s["text"]]


def _segment(citation: Citation, start: int, end: int, marked: bool) -> dict[str, Any]:
    return {"text": citation.text[start - citation.char_start : end - citation.char_start], "marked": marked}


def index_page(index: Index | None) -> dict[str, Any] | None:
    """The state of the index as the footer shows it."""
    if index is None:
        return None
    return {
        "version": index.version,
        "built_at": index.manifest["built_at"],
        "model": index.manifest["model"]["name"],
        "dimension": index.manifest["model"]["dimension"],
        "documents": len(index.documents),
        "cases": len(index.cases),
        "chunks": len(index.chunks),
        "status": "ready",
    }


def document_segments(document: Document, start: int | None, end: int | None) -> list[dict[str, Any]]:
    """A document's whole text in pieces: headings with their ids, and the passage, marked.

    A piece that is both belongs to the passage and keeps the heading's id.
    """
    cuts: dict[int, tuple[int, str, int]] = {
        h.start: (h.end, f"h{h.start}", h.level) for h in document.headings
    }
    marks = {0, len(document.text), *(p for h in document.headings for p in (h.start, h.end))}
    passage = (start, end) if start is not None and end is not None and start < end else None
    if passage:
        marks.update(passage)
    points = sorted(marks)
    segments: list[dict[str, Any]] = []
    heading: tuple[int, str, int] | None = None
    for begin, stop in itertools.pairwise(points):
        heading = cuts.get(begin, heading)
        if heading is not None and begin >= heading[0]:
            heading = None
        marked = passage is not None and passage[0] <= begin < passage[1]
        own_id = heading[1] if heading is not None and begin in cuts else None
        segments.append(
            {
                "text": document.text[begin:stop],
                "kind": "mark" if marked else "heading" if heading is not None else "plain",
                "id": own_id,
                "level": heading[2] if heading is not None else None,
            }
        )
    return segments


def passage_bar(index: Index, document: Document, start: int, end: int) -> dict[str, Any]:
    """Where a passage stands: lines from 1, and the place in the file where a chunk of it knows one."""
    place = next(
        (
            place_of(document.format, c)
            for c in index.chunks
            if c.document_id == document.id and c.start <= start < c.end
        ),
        "",
    )
    return {
        "start": start,
        "end": end,
        "line_start": document.text.count("\n", 0, start) + 1,
        "line_end": document.text.count("\n", 0, max(start, end - 1)) + 1,
        "place": place,
    }


def documents_page(index: Index | None) -> dict[str, Any]:
    """The list of documents and of the files that could not be read."""
    if index is None:
        return {"documents": [], "errors": []}
    return {"documents": [asdict(d) for d in document_entries(index)], "errors": index.manifest["errors"]}


def population_text(population: int | None) -> str | None:
    """「約9.6万人」 for 96000; below ten thousand in full: 「5,000人」."""
    if population is None:
        return None
    return f"約{population / 10_000:.1f}万人" if population >= 10_000 else f"{population:,}人"


def cases_page(index: Index | None, filters: Filters) -> dict[str, Any]:
    """The cases that meet the filters, with facets: how many cases each value would leave."""
    if index is None:
        return {"cases": [], "facets": {}}
    shown = []
    for entry in case_entries(index, filters):
        case = asdict(entry)
        case["population_text"] = population_text(entry.population)
        case["document_title"] = index.documents[entry.document_id].title
        shown.append(case)
    return {"cases": shown}


def facets(entries: list[CaseEntry], chosen: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    """By facet: value, count within the other facets' choice, whether it is chosen, and the address to toggle it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, attribute in FACETS.items():
        others = {key: values for key, values in chosen.items() if key != name}
        counts = Counter(
            getattr(e, attribute) for e in entries if matches(e, others) and getattr(e, attribute)
        )
        for value in chosen.get(name, []):
            counts.setdefault(value, 0)
        found[name] = [
            {
                "value": value,
                "count": count,
                "selected": value in chosen.get(name, []),
                "url": _toggled(chosen, name, value),
            }
            for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ]
    return {name: values for name, values in found.items() if values}


def matches(entry: CaseEntry, chosen: dict[str, list[str]]) -> bool:
    """Whether a case meets every facet that is chosen."""
    return all(not values or getattr(entry, FACETS[name]) in values for name, values in chosen.items())


def _toggled(chosen: dict[str, list[str]], name: str, value: str) -> str:
    values = [v for v in chosen.get(name, []) if v != value]
    if value not in chosen.get(name, []):
        values.append(value)
    query = urlencode([(key, v) for key in FACETS for v in (values if key == name else chosen.get(key, []))])
    return f"/cases?{query}" if query else "/cases"


def case_page(index: Index, entry: CaseEntry) -> dict[str, Any]:
    """One case: every field with the place it was read from, its passages, and municipalities like it."""
    case = index.cases[entry.id]
    rows = [_row(entry, label, name) for label, name in _ROWS]
    rows += [{"label": "関連URL", "value": url, "href": None, "link": url} for url in entry.urls]
    shown = [name for _, name in _ROWS] + ["title", "number"]
    rows += [
        {
            "label": name,
            "value": field.value,
            "href": passage_url(entry.document_id, field.char_start, field.char_end),
            "link": None,
        }
        for name, field in entry.fields.items()
        if name not in shown and not any(url in field.value for url in entry.urls)
    ]
    sections = [
        {
            "heading_path": list(chunk.heading_path),
            "text": chunk.text,
            "place": place_of(index.documents[chunk.document_id].format, chunk),
            "url": passage_url(chunk.document_id, chunk.start, chunk.end),
        }
        for chunk in index.chunks
        if chunk.case_id == entry.id
    ]
    similar = [{"case": asdict(item.case), "reason": item.reason} for item in similar_cases(index, case)]
    return {"case": asdict(entry), "rows": rows, "similar": similar, "sections": sections}


def _row(entry: CaseEntry, label: str, name: str) -> dict[str, Any]:
    field = entry.fields.get(name)
    value = getattr(entry, name)
    if name == "population" and value is not None:
        value = f"{population_text(value)}（原文：{field.value}）" if field else population_text(value)
    if name == "page_start" and value is not None:
        value = f"p.{value}" if entry.page_end in (None, value) else f"p.{value}～{entry.page_end}"
    link = {"phone": f"tel:{dialled(str(value))}", "email": f"mailto:{value}"}.get(name) if value else None
    href = passage_url(entry.document_id, field.char_start, field.char_end) if field else None
    return {"label": label, "value": None if value is None else str(value), "href": href, "link": link}


def example_questions(index: Index | None) -> list[str]:
    """Questions that the indexed documents answer, made from the forms of what they hold."""
    if index is None:
        return []
    examples: list[str] = []
    cases = list(index.cases.values())
    short = [case.organization.removeprefix(case.prefecture or "") or case.organization for case in cases]
    asked = [
        (name, chunk.heading_path[-1])
        for name, case in zip(short, cases, strict=True)
        for chunk in index.chunks
        if chunk.case_id == case.id and chunk.heading_path[-1].endswith(("ください。", "か。"))
    ]
    if cases and (phone := next((n for n, c in zip(short, cases, strict=True) if c.phone), None)):
        examples.append(f"{phone}の担当部署の電話番号は？")
    if asked:
        name, heading = asked[len(asked) // 2]
        examples.append(f"{name}：{heading}")
    if sum(case.population is not None and case.population < 50_000 for case in cases) >= 2:
        examples.append("人口5万人未満の団体の事例を見せて")
    for document in index.documents.values():
        headings = [h.text for h in document.headings if h.text.endswith(("？", "?")) and len(h.text) <= 40]
        if headings:
            examples.append(headings[len(headings) // 2])
    return examples[:EXAMPLES]


# ---------------------------------------------------------------- for administrators

PREVIEW_ROWS = 150
"""Rows of a preview's page: a page of 300 KB, which a browser shows at once."""


def report_page(
    report: BuildReport, changes: Mapping[str, str], relations: Mapping[str, str], most: int | None = None
) -> dict[str, Any]:
    """What a build did; `changes` and `relations` are their words, and of the changes at most `most` are listed."""
    names = ("added", "changed", "renamed", "removed", "unchanged")
    listed = report.changes if most is None else report.changes[:most]
    return {
        "version": report.version,
        "seconds": report.seconds,
        "encoded": report.encoded,
        "reused": report.reused,
        "counts": [{"label": changes[name], "count": getattr(report, name)} for name in names],
        "changes": [
            {**asdict(change), "label": changes.get(change.change, change.change)} for change in listed
        ],
        "more": len(report.changes) - len(listed),
        "alike": [{"path": pair.path, "words": alike_words(pair, relations)} for pair in report.alike],
        "errors": [{"path": path, "message": message} for path, message in report.errors],
    }


def alike_words(pair: Alike, relations: Mapping[str, str]) -> str:
    """How a document stands to another, in a sentence."""
    return f"「{pair.other}」{relations.get(pair.relation, 'と内容が似ています')}（{pair.share:.0%}が共通）。"


def staged_page(entry: Staged, relations: Mapping[str, str]) -> dict[str, Any]:
    """An upload that waits, with what there is to know before it is taken."""
    notes = [f"「{path}」と同じ内容です。登録しても、一つの資料として扱います。" for path in entry.same_as]
    notes += [alike_words(pair, relations) for pair in entry.alike if pair.other not in entry.same_as]
    return {**asdict(entry), "notes": notes}


def size_text(size: int) -> str:
    """A file's size for people.

    >>> size_text(900), size_text(20_480), size_text(5 * 2**20)
    ('900バイト', '20KB', '5.0MB')
    """
    if size < 1024:
        return f"{size}バイト"
    return f"{size // 1024}KB" if size < 2**20 else f"{size / 2**20:.1f}MB"


def preview_page(parsed: Parsed, page: int) -> dict[str, Any]:
    """What was recognised in a document: its text row by row, each beside the passage that it will be found by.

    `page` counts from 1; one beyond the last is the last.
    """
    document = parsed.document
    rows = list(_preview_rows(parsed))
    pages = max(1, -(-len(rows) // PREVIEW_ROWS))
    page = min(max(page, 1), pages)
    page_of = {
        piece["id"]: number // PREVIEW_ROWS + 1
        for number, row in enumerate(rows)
        for piece in row["pieces"]
        if piece["id"]
    }
    outline = [
        {
            "text": heading.text,
            "level": heading.level,
            "id": f"h{heading.start}",
            "page": page_of.get(f"h{heading.start}", 1),
        }
        for heading in document.headings
    ]
    cases = [{**asdict(case), "population_text": population_text(case.population)} for case in parsed.cases]
    first = (page - 1) * PREVIEW_ROWS
    return {
        "rows": rows[first : first + PREVIEW_ROWS],
        "page": page,
        "pages": pages,
        "outline": outline,
        "cases": cases,
    }


def _preview_rows(parsed: Parsed) -> Iterator[dict[str, Any]]:
    """The text in order: passages, and between them what stands in none."""
    document, at = parsed.document, 0
    for number, chunk in enumerate(sorted(parsed.chunks, key=lambda chunk: chunk.start), 1):
        if document.text[at : chunk.start].strip():
            yield {"number": None, "pieces": _pieces(document, at, chunk.start)}
        yield {
            "number": number,
            "pieces": _pieces(document, chunk.start, chunk.end),
            "heading_path": list(chunk.heading_path),
            "place": place_of(document.format, chunk) or f"{chunk.line_start}行目～{chunk.line_end}行目",
            "characters": len(chunk.text),
            "context": chunk.context,
        }
        at = max(at, chunk.end)
    if document.text[at:].strip():
        yield {"number": None, "pieces": _pieces(document, at, len(document.text))}


def _pieces(document: Document, start: int, end: int) -> list[dict[str, Any]]:
    """A slice of a text, without empty lines around it, cut where headings begin and end."""
    text = document.text
    while start < end and text[start] in "\n\f":
        start += 1
    while end > start and text[end - 1] in "\n\f":
        end -= 1
    pieces: list[dict[str, Any]] = []
    first = bisect.bisect_left(document.headings, start, key=lambda heading: heading.end)
    for heading in itertools.islice(document.headings, first, None):
        if heading.start >= end:
            break
        begin, stop = max(heading.start, start), min(heading.end, end)
        if begin >= stop:
            continue
        pieces.append({"text": text[start:begin], "heading": False, "id": None})
        pieces.append({"text": text[begin:stop], "heading": True, "id": f"h{heading.start}"})
        start = stop
    pieces.append({"text": text[start:end], "heading": False, "id": None})
    return [piece for piece in pieces if piece["text"]]
