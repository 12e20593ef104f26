"""Dossiers: an answer, a case or a comparison as it is taken along on paper or in a file, with everything to check and repeat it.

In: an index and a reply, a case or a comparison made from it. Out: one neutral record in words for people. Whoever writes it
down (Word, Excel, Markdown) adds no words of content, so all of them say the same. Quotations are slices of the documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from corpus.records import Chunk, Document
from index.store import Index
from qa.answer import AppliedFilters, Reply
from qa.catalog import CaseEntry
from qa.cite import Citation, passage_url, place_of
from qa.comparison import Comparison

PRODUCT = "DX資料アシスタント"
ABSENT = "記載なし"
CITED, NEAR = "出典", "そのほかの近い記述"
REFERENCE = "参考：近い記述（答えではありません）"
PASSAGES = "資料の記述（出典）"
"""The parts of a list of sources."""
_HANDLING = {
    CITED: "回答に引用した記述",
    NEAR: "近い記述（回答には引用していません）",
    REFERENCE: "参考（答えではありません）",
}
MOST_SOURCES = 300
"""Sources of one dossier, about 100 pages of A4; the longest case of the real documents has 22."""
LINE_CHARS = 400
"""A field that stands in no passage is quoted with its line, and of a line beyond that so many characters on either side."""
CONDITION_LABELS = {
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
_FORMATS = {
    "txt": "テキスト",
    "md": "Markdown",
    "html": "HTML",
    "pdf": "PDF",
    "docx": "Word",
    "pptx": "PowerPoint",
    "xlsx": "Excel",
    "csv": "CSV",
}
_MODES = {
    "extractive": "次の各文は、資料の原文からの引用です（AIによる文章生成は行っていません）。角かっこの数字は出典の番号です。",
    "generated": "次の各文は、言語モデルが出典をもとに書いたものです。角かっこの数字の出典で確かめてください。",
}
_CASE_FIELDS = (
    ("organization", "団体"),
    ("prefecture", "都道府県"),
    ("region", "地方"),
    ("organization_kind", "団体の種類"),
    ("population", "人口"),
    ("population_as_of", "人口の時点"),
    ("population_band", "人口規模"),
    ("category", "分類"),
    ("page_start", "掲載ページ"),
    ("department", "担当部署"),
    ("phone", "電話"),
    ("email", "メール"),
)
"""What a case's page shows, in its order; other fields follow under their own names."""


# ---------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class Occasion:
    """When something is taken along (local time, with its zone), the address that shows it again, and the address of the
    service that stands before the addresses of documents."""

    when: datetime
    address: str
    base: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing about a source or a dossier, in words; lines are parted by a line break."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the answer, to the letter, with the numbers of its sources; `label` whose words they are, `why` why they are here."""

    text: str
    numbers: tuple[int, ...]
    label: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """What a document states of something, and the number of its source; None where it does not state it."""

    words: str | None
    note: str = ""
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A thing and what is stated of it, a value a column."""

    label: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of what is taken along: lines of ours, then sentences, then rows under `columns` (one, or one a case)."""

    heading: str
    lines: tuple[str, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """An entry of the list of sources: `quotation` is the document's text at `[char_start:char_end]`.

    `part` is the heading under which it stands (what is cited, what is only near). `quoted` are the spans of the quotation, from its beginning, that the answer quotes.
    """

    number: int
    part: str
    title: str
    place: str
    facts: tuple[Fact, ...]
    quotation: str
    quoted: tuple[tuple[int, int], ...]
    document_id: str
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class Dossier:
    """What is taken along: its kind in one word, its title, its sections, its sources, and how it came about.

    `reference` is true where the sources are only the nearest passages, not an answer.
    """

    kind: str
    title: str
    when: datetime
    sections: tuple[Section, ...]
    sources: tuple[Source, ...]
    facts: tuple[Fact, ...]
    reference: bool = False

    def mark(self, number: int) -> str:
        """How a source is referred to: 「[3]」, and 「参考3」 where it is no answer."""
        return f"参考{number}" if self.reference else f"[{number}]"

    def parts(self) -> list[tuple[str, tuple[Source, ...]]]:
        """The sources under their headings; a heading without any where there are none."""
        return [
            (part, tuple(sources)) for part, sources in groupby(self.sources, key=lambda source: source.part)
        ] or [(CITED, ())]


SOURCE_LABELS = (
    "資料",
    "発行者",
    "日付",
    "ファイル",
    "形式",
    "箇所",
    "本文の行",
    "見出し",
    "事例",
    "扱い",
    "参照日",
    "アドレス",
)
"""The labels of a source's facts in their order; 見出し, 事例 and 扱い only where there is something to say."""


# ---------------------------------------------------------------- the three kinds


def of_reply(
    index: Index,
    reply: Reply,
    occasion: Occasion,
    *,
    history: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Dossier:
    """The dossier of a reply; `history` are the earlier questions, `without` the names of conditions not to be read."""
    used = {number for sentence in reply.answer.sentences for number in sentence.citations}
    if reply.answer.contact:
        used.add(reply.answer.contact.citation)
    # what is cited comes first, as on the page
    sources = sorted(
        (
            _cited(index, c, occasion, CITED if c.id in used else NEAR if reply.answerable else REFERENCE)
            for c in reply.citations
        ),
        key=lambda source: source.part != CITED,
    )
    conditions = _conditions(index, reply.filters)
    facts = [Fact("質問", reply.question)]
    if history:
        facts.append(
            Fact("これまでの質問", "\n".join(f"{number}. {text}" for number, text in enumerate(history, 1)))
        )
    facts.append(Fact("探した条件", "\n".join(conditions) or "なし（すべての資料から探しました）"))
    if without:
        names = "、".join(CONDITION_LABELS.get(name, name) for name in without)
        facts.append(Fact("質問から読み取らなかった条件", names))
    return Dossier(
        kind="回答",
        title=reply.question,
        when=occasion.when,
        sections=_reply_sections(reply),
        sources=tuple(sources),
        facts=(
            *facts,
            *_origin(
                index,
                occasion,
                "アドレスを開くと、同じ質問と条件で答え直します。索引の版が同じなら、同じ答えになります。",
            ),
        ),
        reference=not reply.answerable,
    )


def of_case(index: Index, entry: CaseEntry, occasion: Occasion) -> Dossier:
    """The dossier of a case: every field with its source, and all its passages as sources."""
    found = _Sources(index, occasion, PASSAGES)
    passages = index.chunks_of_case(entry.id)
    for chunk in passages[:MOST_SOURCES]:
        found.passage(chunk)
    rows = [Row(label, (_case_value(entry, name, found),)) for name, label in _CASE_FIELDS]
    rows += [Row("関連URL", (Value(url, number=_url_number(entry, url, found)),)) for url in entry.urls]
    shown = {name for name, _ in _CASE_FIELDS} | {"title", "number"}
    rows += [
        Row(name, (Value(field.value, number=found.at(entry.document_id, field.char_start, field.char_end)),))
        for name, field in entry.fields.items()
        if name not in shown and not any(url in field.value for url in entry.urls)
    ]
    left_out = len(passages) - MOST_SOURCES
    lines = (
        (
            f"この事例の記述は全部で{len(passages)}件あり、はじめの{MOST_SOURCES}件を収めました。残りの{left_out}件はアドレスのページで確認できます。",
        )
        if left_out > 0
        else ()
    )
    return Dossier(
        kind="事例",
        title=_case_words(entry.number, entry.title, entry.organization),
        when=occasion.when,
        sections=(Section("基本情報", lines, columns=("内容",), rows=tuple(rows)),),
        sources=tuple(found.made),
        facts=(
            Fact("事例", _case_words(entry.number, entry.title, entry.organization)),
            *_origin(index, occasion, "アドレスを開くと、この事例のページを表示します。"),
        ),
    )


def of_comparison(index: Index, comparison: Comparison, occasion: Occasion) -> Dossier:
    """The dossier of a comparison: a row a thing, a column a case, and the passages in which the values stand."""
    found = _Sources(index, occasion, CITED)
    columns: list[list[Value]] = []
    for place, case in enumerate(comparison.cases):  # a case's sources follow each other
        title = case.fields.get("title")
        number = found.at(case.document_id, title.char_start, title.char_end) if title else None
        column = [Value(case.title, number=number)]
        for row in comparison.rows:
            cell = row.cells[place]
            column.append(
                Value(None)
                if cell is None
                else Value(
                    cell.value,
                    cell.reading or ("" if cell.complete else "続きは出典にあります"),
                    found.at(cell.document_id, cell.char_start, cell.char_end, case.id),
                )
            )
        columns.append(column)
    known = dict(_CASE_FIELDS)
    labels = ("事例名", *(known.get(row.label, row.label) for row in comparison.rows))
    names = tuple(f"{case.organization}（事例{case.number}）" for case in comparison.cases)
    return Dossier(
        kind="比較",
        title="事例の比較：" + "、".join(case.organization for case in comparison.cases),
        when=occasion.when,
        sections=(
            Section(
                "比較",
                ("表の言葉は資料の原文のままです。角かっこの数字は出典の番号です。",),
                columns=names,
                rows=tuple(
                    Row(label, tuple(column[line] for column in columns)) for line, label in enumerate(labels)
                ),
            ),
        ),
        sources=tuple(found.made),
        facts=(
            Fact(
                "比べた事例",
                "\n".join(_case_words(c.number, c.title, c.organization) for c in comparison.cases),
            ),
            *_origin(index, occasion, "アドレスを開くと、同じ事例を並べて表示します。"),
        ),
    )


# ---------------------------------------------------------------- the parts of a reply


def _reply_sections(reply: Reply) -> tuple[Section, ...]:
    if not reply.answerable:
        return (Section("資料の中に答えが見つかりませんでした", (reply.answer.text, *reply.notes)),)
    sentences = tuple(
        Sentence(s.text, s.citations, s.label or "", s.why or "") for s in reply.answer.sentences
    ) or (Sentence(reply.answer.text, ()),)
    answer = Section("回答", (_MODES[reply.answer.mode], *reply.notes), sentences)
    contact = reply.answer.contact
    if contact is None:
        return (answer,)
    stated = (
        ("団体", contact.organization),
        ("担当部署", contact.department),
        ("電話", contact.phone),
        ("メール", contact.email),
    )
    rows = tuple(Row(label, (Value(words, number=contact.citation),)) for label, words in stated if words)
    return (answer, Section("連絡先", columns=("内容",), rows=rows))


def _conditions(index: Index, filters: AppliedFilters) -> list[str]:
    """Each condition in a line: 「都道府県：山形県（質問から読み取り）」."""
    words: Mapping[str, Callable[[str], str]] = {
        "document_ids": lambda i: index.documents[i].title if i in index.documents else i,
        "case_ids": lambda i: (
            _case_words(index.cases[i].number, index.cases[i].title, index.cases[i].organization)
            if i in index.cases
            else i
        ),
    }
    lines = []
    for name, label in CONDITION_LABELS.items():
        value = getattr(filters, name)
        if value in ((), None):
            continue
        said = f"{value:,}人" if isinstance(value, int) else "、".join(map(words.get(name, str), value))
        lines.append(f"{label}：{said}" + ("（質問から読み取り）" if name in filters.from_question else ""))
    return lines


def _origin(index: Index, occasion: Occasion, how: str) -> Iterable[Fact]:
    """When and from what a dossier was made, and how to see the same again."""
    built = datetime.fromisoformat(index.manifest["built_at"]).astimezone(occasion.when.tzinfo)
    return (
        Fact("取り出した日時", moment_words(occasion.when)),
        Fact("索引の版", index.version),
        Fact("索引の作成日時", moment_words(built)),
        Fact("埋め込みモデル", index.manifest["model"]["name"]),
        Fact("アドレス", occasion.address),
        Fact("再現のしかた", how),
    )


# ---------------------------------------------------------------- values and their sources


def _case_value(entry: CaseEntry, name: str, found: _Sources) -> Value:
    """A field of a case as its page shows it, with the words it was read from where these are others."""
    value, field = getattr(entry, name), entry.fields.get(name)
    if value is None:
        return Value(None)
    if name == "population":
        words = f"{value:,}人"
    elif name == "page_start":
        words = f"p.{value}" if entry.page_end in (None, value) else f"p.{value}～{entry.page_end}"
    else:
        words = str(value)
    if field is None:
        return Value(words)
    # a page is a number of the file or of the contents; beside 「p.26～27」 it says nothing more
    note = "" if field.value == words or name == "page_start" else f"原文：{field.value}"
    return Value(words, note, found.at(entry.document_id, field.char_start, field.char_end, entry.id))


def _url_number(entry: CaseEntry, url: str, found: _Sources) -> int | None:
    field = next((field for field in entry.fields.values() if url in field.value), None)
    return None if field is None else found.at(entry.document_id, field.char_start, field.char_end, entry.id)


class _Sources:
    """Sources as they are needed, numbered from 1; what stands in the same passage or line is one source."""

    def __init__(self, index: Index, occasion: Occasion, part: str) -> None:
        self._index, self._occasion, self._part = index, occasion, part
        self._numbers: dict[tuple[str, int, int], int] = {}
        self.made: list[Source] = []

    def passage(self, chunk: Chunk) -> int:
        """The number of a passage."""
        document = self._index.documents[chunk.document_id]
        return self._number(
            document,
            chunk.start,
            chunk.end,
            chunk.case_id,
            place_of(document.format, chunk),
            chunk.heading_path,
            (chunk.line_start, chunk.line_end),
        )

    def at(self, document_id: str, start: int, end: int, case_id: str | None = None) -> int | None:
        """The number of the passage that holds a span, else of its line; None beyond `MOST_SOURCES`."""
        holding = [
            c for c in self._index.chunks_of_document(document_id) if c.start <= start and end <= c.end
        ]
        full = len(self.made) >= MOST_SOURCES
        if holding:
            chunk = min(holding, key=lambda c: (c.case_id != case_id, c.end - c.start))
            known = self._numbers.get((document_id, chunk.start, chunk.end))
            return known if known or full else self.passage(chunk)
        document = self._index.documents[document_id]
        begin, stop = _line(document.text, start, end)
        known = self._numbers.get((document_id, begin, stop))
        if known or full:
            return known
        lines = (document.text.count("\n", 0, begin) + 1, document.text.count("\n", 0, stop) + 1)
        return self._number(document, begin, stop, None, "", (), lines)

    def _number(
        self,
        document: Document,
        start: int,
        end: int,
        case_id: str | None,
        place: str,
        headings: Sequence[str],
        lines: tuple[int, int],
    ) -> int:
        key = (document.id, start, end)
        if key not in self._numbers:
            self._numbers[key] = len(self.made) + 1
            case = self._index.cases.get(case_id or "")
            words = "" if case is None else _case_words(case.number, case.title, case.organization)
            self.made.append(
                _source(
                    document,
                    self._occasion,
                    self._part,
                    len(self.made) + 1,
                    start,
                    end,
                    place,
                    headings,
                    lines,
                    words,
                )
            )
        return self._numbers[key]


def _line(text: str, start: int, end: int) -> tuple[int, int]:
    """The line, or the lines, in which a span stands, without their ends; of long ones what is near the span."""
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop
    return max(begin, start - LINE_CHARS), min(stop, end + LINE_CHARS)


def _cited(index: Index, citation: Citation, occasion: Occasion, part: str) -> Source:
    """The source of a citation, with the spans that the answer quotes."""
    case = citation.case
    return _source(
        index.documents[citation.document_id],
        occasion,
        part,
        citation.id,
        citation.char_start,
        citation.char_end,
        citation.place,
        citation.heading_path,
        (citation.line_start, citation.line_end),
        "" if case is None else _case_words(case.number, case.title, case.organization),
        _HANDLING[part],
        tuple(
            (h.char_start - citation.char_start, h.char_end - citation.char_start)
            for h in citation.highlights
        ),
    )


def _source(
    document: Document,
    occasion: Occasion,
    part: str,
    number: int,
    start: int,
    end: int,
    place: str,
    headings: Sequence[str],
    lines: tuple[int, int],
    case: str,
    handling: str = "",
    quoted: tuple[tuple[int, int], ...] = (),
) -> Source:
    first, last = lines
    values = (
        document.title,
        document.publisher or ABSENT,
        document.date or ABSENT,
        document.path,
        _FORMATS.get(document.format, document.format),
        place or ABSENT,
        f"{first}行目" if first == last else f"{first}行目～{last}行目",
        " ＞ ".join(headings),
        case,
        handling,
        day_words(occasion.when),
        occasion.base + passage_url(document.id, start, end),
    )
    return Source(
        number=number,
        part=part,
        title=document.title,
        place=place,
        facts=tuple(Fact(label, value) for label, value in zip(SOURCE_LABELS, values, strict=True) if value),
        quotation=document.text[start:end],
        quoted=quoted,
        document_id=document.id,
        char_start=start,
        char_end=end,
    )


# ---------------------------------------------------------------- words


def _case_words(number: int, title: str, organization: str) -> str:
    """「事例9　デジタル変革戦略室を設置（山形県酒田市）」"""
    return f"事例{number}　{title}（{organization}）"


def day_words(when: datetime) -> str:
    """「2026年11月21日」"""
    return f"{when.year}年{when.month}月{when.day}日"


def moment_words(when: datetime) -> str:
    """「2026年11月21日 19時05分」"""
    return f"{day_words(when)} {when.hour}時{when.minute:02}分"
