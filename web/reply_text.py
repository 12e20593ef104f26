"""A reply as one text with its sources below, for programs that show text and no pages of ours.

In: a reply, and where this service is for the one who asks. Out: Markdown in which nothing of the documents' words is active (no picture, tag or
hidden address of theirs can become one on somebody else's page), and the places of its sources in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qa.answer import AnswerSentence, Reply
from qa.cite import Citation
from qa.dossier import CITED, NEAR

UNSUPPORTED = "（原文未確認）"
WRITTEN = "言語モデルが出典をもとに書いた文章です。数や名前は、番号の出典の原文で確かめてください。"
REFERENCE = "参考（お答えではありません）"

# what makes emphasis, code, links, pictures, tags, tables, headings, formulas or named characters of words
_ACTIVE = re.compile(r"[\\`*\[\]<>|~#$]|&(?=#?\w+;)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# 「- 」「+ 」「=」「1.」「1)」 at the beginning of a line make lists and headings
_OPENING = re.compile(r"^(?:(?P<sign>[-+=])|(?P<number>[0-9]{1,9})(?P<mark>[.)]))")


@dataclass(frozen=True, slots=True)
class Listed:
    """A source below an answer: its number, its name, its address, and its span `text[start:end]`."""

    number: int
    title: str
    url: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Told:
    """A text, and the sources of its answer from 1 on without a gap: what numbers them by their order finds [3] under 3."""

    text: str
    sources: tuple[Listed, ...] = ()


def told(reply: Reply, base: str) -> Told:
    """The text of a reply; `base` stands before the addresses of passages (「https://dx.example.jp」)."""
    parts = [*_answer(reply), *(f"注：{inactive(note)}" for note in reply.notes)]
    text = "\n\n".join(parts)
    listed: list[Listed] = []
    for heading, citations in _lists(reply):
        text += f"\n\n**{heading}**\n"
        for citation in citations:
            mark = f"[{citation.id}]" if reply.answerable else f"参考{citation.id}"
            line = f"- {mark} {_source(citation)}　[原文を開く]({base}{citation.url})"
            start = len(text) + 1
            text += f"\n{line}"
            listed.append(Listed(citation.id, _title(citation), base + citation.url, start, len(text)))
    sources = sorted(listed, key=lambda one: one.number) if reply.answerable else ()
    return Told(text, tuple(sources))


def inactive(text: str) -> str:
    """Words of a document in which nothing is active, line by line.

    >>> inactive("![図](http://x.jp/a_b)")
    '!\\\\[図\\\\](http://x.jp/a_b)'
    """
    return "  \n".join(_line(line) for line in text.splitlines() if line.strip())


def _line(line: str) -> str:
    return _OPENING.sub(
        lambda found: f"\\{found['sign']}" if found["sign"] else f"{found['number']}\\{found['mark']}",
        _ACTIVE.sub(lambda found: "\\" + found[0], line.strip()),
    )


# ---------------------------------------------------------------- the answer


def _answer(reply: Reply) -> Iterator[str]:
    answer = reply.answer
    if not reply.answerable or not answer.sentences:
        yield inactive(answer.text)
        return
    if answer.mode == "generated":
        # parted by a blank: a mark before a bracket, 「[1](…」, would be a link
        yield " ".join(_sentence(one, "") for one in answer.sentences)
        yield WRITTEN
        return
    before: tuple[str | None, str | None] = (None, None)
    for one in answer.sentences:
        if one.label and (one.label, one.why) != before:
            yield f"**{inactive(one.label)}**" + (f"（{inactive(one.why)}）" if one.why else "")
        before = (one.label, one.why)
        yield _sentence(one, " ")


def _sentence(one: AnswerSentence, before_marks: str) -> str:
    marks = "".join(f"[{number}]" for number in one.citations)
    unsupported = UNSUPPORTED if one.supported is False else ""
    return inactive(one.text) + (f"{before_marks}{marks}" if marks else "") + unsupported


# ---------------------------------------------------------------- the sources


def _lists(reply: Reply) -> Iterator[tuple[str, Sequence[Citation]]]:
    """Headings with their citations: what the answer cites, then what is only near, so far that no number is missing."""
    if not reply.answerable:
        if reply.citations:
            yield REFERENCE, reply.citations
        return
    used = {number for one in reply.answer.sentences for number in one.citations}
    yield CITED, [citation for citation in reply.citations if citation.id in used]
    near = [one for one in reply.citations if one.id not in used and one.id < max(used, default=0)]
    if near:
        yield NEAR, near


def _source(citation: Citation) -> str:
    """A source in words: 「取組事例集（山形県酒田市）　1.体制整備 ＞ 9 外部人材　27ページ」."""
    organization = f"（{citation.case.organization}）" if citation.case else ""
    parts = (f"{citation.document_title}{organization}", " ＞ ".join(citation.heading_path), _place(citation))
    return inactive(" ".join("　".join(part for part in parts if part).splitlines()))


def _title(citation: Citation) -> str:
    return f"{citation.document_title} {_place(citation)}"


def _place(citation: Citation) -> str:
    first, last = citation.line_start, citation.line_end
    return citation.place or (f"{first}行目" if first == last else f"{first}〜{last}行目")
