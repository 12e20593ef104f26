"""Markdown (CommonMark with tables): a dossier as text for wikis, chats and editors.

In: a readable dossier. Out: UTF-8 bytes. Words of documents that are quoted stand in fenced blocks, where no letter means
anything but itself; all others are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from qa.dossier import ABSENT, PRODUCT, Dossier, Section, Source, Value, moment_words

# what makes emphasis, code, links, tags, tables, headings and formulas of words
_ACTIVE = re.compile(r"[\\`*_\[\]<>&|~#$]")
# 「- 」「+ 」「=」「1.」「1)」 at the beginning make lists and headings
_OPENING = re.compile(r"^(?:(?P<sign>[-+=])|(?P<number>[0-9]{1,9})(?P<mark>[.)]))")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]+/[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
_NOTE = "枠の中は、資料の原文のままです。"


def write(dossier: Dossier) -> bytes:
    """The file's bytes."""
    return ("\n".join(_lines(dossier)).rstrip("\n") + "\n").encode("utf-8")


def _lines(dossier: Dossier) -> Iterator[str]:
    yield from (f"# {_inline(dossier.title)}", "")
    yield from (f"{PRODUCT}（{dossier.kind}）　{moment_words(dossier.when)}", "", _NOTE, "")
    for section in dossier.sections:
        yield from _section(dossier, section)
    for part, sources in dossier.parts():
        yield from (f"## {_inline(part)}", "")
        for source in sources:
            yield from _source(dossier, source)
        if not sources:
            yield from (ABSENT, "")
    yield from ("## 条件と再現のしかた", "")
    yield from _table(
        ("項目", "内容"), ((f.label, _address(f.value) or _inline(f.value)) for f in dossier.facts)
    )


def _section(dossier: Dossier, section: Section) -> Iterator[str]:
    yield from (f"## {_inline(section.heading)}", "")
    for line in section.lines:
        yield from (_paragraph(line), "")
    before: tuple[str, str] | None = None
    for sentence in section.sentences:
        if sentence.label and (sentence.label, sentence.why) != before:
            why = f"　{_inline(sentence.why)}" if sentence.why else ""
            yield from (f"**{_inline(sentence.label)}**{why}", "")
        before = (sentence.label, sentence.why)
        yield from fenced(sentence.text)
        yield ""
        if sentence.numbers:
            yield from ("出典：" + " ".join(dossier.mark(number) for number in sentence.numbers), "")
    if section.rows:
        rows = (
            (_inline(row.label), *(_cell(dossier, value) for value in row.values)) for row in section.rows
        )
        yield from _table(("項目", *map(_inline, section.columns)), rows)
        yield ""


def _source(dossier: Dossier, source: Source) -> Iterator[str]:
    place = f"　{_inline(source.place)}" if source.place else ""
    yield from (f"### {dossier.mark(source.number)} {_inline(source.title)}{place}", "")
    for fact in source.facts:
        yield f"- {fact.label}：{_address(fact.value) or _inline(fact.value)}"
    yield ""
    yield from fenced(source.quotation)
    yield ""


def _cell(dossier: Dossier, value: Value) -> str:
    words = ABSENT if value.words is None else _inline(value.words)
    note = f"（{_inline(value.note)}）" if value.note else ""
    return words + note + ("" if value.number is None else f" {dossier.mark(value.number)}")


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


# ---------------------------------------------------------------- letters


def fenced(text: str) -> Iterator[str]:
    """The lines of a block that holds a text to the letter: its fence is longer than any in the text.

    >>> list(fenced("a ``` b"))
    ['````text', 'a ``` b', '````']
    """
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    if text:
        yield text
    yield fence


def _inline(text: str) -> str:
    """Words in which nothing is active, in one line.

    >>> _inline("*注* <b>|")
    '\\\\*注\\\\* \\\\<b\\\\>\\\\|'
    """
    lines = [_ACTIVE.sub(lambda found: "\\" + found[0], line) for line in text.split("\n")]
    return "<br>".join(lines)


def _paragraph(text: str) -> str:
    """Words as a paragraph of their own, whatever they begin with."""
    return _OPENING.sub(
        lambda found: f"\\{found['sign']}" if found["sign"] else f"{found['number']}\\{found['mark']}",
        _inline(text.lstrip()),
    )


def _address(text: str) -> str:
    """An address as a link, else nothing."""
    return f"<{text}>" if _ADDRESS.fullmatch(text) else ""
