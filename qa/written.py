"""An answer in a language model's own words over the evidence of a reply, each sentence checked against the passages that it cites.

In: an extractive reply, and what writes. Out: first the words as they come, unchecked, then a reply: the written one, or the extractive one
with a note that says why. Nothing unchecked is ever in a reply without being marked so. Which model writes is known by `qa.language_model`.
"""

from __future__ import annotations

import logging
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from index.tokenizer import tokenize
from qa.answer import AnswerSentence, AnswerText, Reply
from qa.cite import Citation
from qa.claims import folded
from qa.draft import LONGEST_DRAFT, LONGEST_SENTENCE, Drafted, Quoted, drafted, is_japanese, messages, within
from qa.support import Evidence, unsupported

Unsupported = Literal["remove", "mark"]
"""What becomes of a sentence that could not be checked: it is left out, or shown as 「原文未確認」."""
MOST_PASSAGES = 8
KEPT_SHARE = 0.5
"""Of the sentences of a draft: where fewer can be checked, what is left is no answer any more."""
TIMEOUT_S, MOST_WRITING_S = 30.0, 50
"""How long a model may take, and at the most: a minute after it was asked, a request is answered with 503 (`web.deadlines`)."""

_INSTEAD = "原文の引用で答えます。"
NOT_REACHED = f"言語モデルを使えなかったので、{_INSTEAD}"
TOO_SLOW = f"言語モデルの返事が時間内に終わらなかったので、{_INSTEAD}"
UNUSABLE = f"言語モデルの返事が文章になっていなかったので、{_INSTEAD}"
TOO_LITTLE = f"言語モデルの書いた文の多くを原文で確かめられなかったので、{_INSTEAD}"
LEFT_OUT = "原文で確かめられなかった文を{}つ除きました。"
MARKED = "「原文未確認」とある文は、引用した原文で確かめられませんでした。"

_log = logging.getLogger("dxqa.written")


class WriterError(RuntimeError):
    """A model that gave no whole text; the message is for the log, `note` for the reader."""

    def __init__(self, message: str, note: str = NOT_REACHED) -> None:
        super().__init__(message)
        self.note = note


class ModelSettingsError(ValueError):
    """Settings of a language model that cannot be; the message is one Japanese sentence."""


class Writer(Protocol):
    """Something that writes."""

    def write(self, told: Sequence[dict[str, str]], until: float) -> Iterator[str]:
        """The pieces of a text as they come, until `until` (of `time.monotonic`) at the latest; raises WriterError."""
        ...


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of a draft that nobody has checked yet."""

    text: str


def write(
    reply: Reply,
    writer: Writer,
    *,
    history: Sequence[str] = (),
    on_unsupported: Unsupported = "remove",
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Words | Reply]:
    """Words as they come, and at the end, within the time, one reply. A question without an answer gets none from a model either."""
    if not reply.answerable or not reply.citations:
        yield reply
        return
    until = time.monotonic() + timeout_s
    quoted = within([_quoted(citation) for citation in reply.citations[:MOST_PASSAGES]])
    told = messages(reply.question, history, quoted)
    text = ""
    try:
        for piece in writer.write(told, until):
            text += piece
            if len(text) > LONGEST_DRAFT:
                raise WriterError(f"the draft is longer than {LONGEST_DRAFT} characters", UNUSABLE)
            yield Words(piece)
    except WriterError as error:
        _log.warning("%s", error)
        yield instead(reply, error.note)
        return
    yield checked(reply, text, on_unsupported)


def checked(reply: Reply, text: str, on_unsupported: Unsupported = "remove") -> Reply:
    """The reply with a draft in the place of its answer, as far as the draft is borne out by those of the reply's passages that it cites."""
    # halves of characters, which some models send one by one, are put together; one alone is no character
    own = drafted(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    evidence = evidence_of(reply)
    judged = [_judged(one, evidence) for one in own]
    right = sum(bool(sentence.supported) for sentence in judged)
    if not right and not any(is_japanese(one.text) for one in own):
        return instead(reply, UNUSABLE)
    if not right or right < KEPT_SHARE * len(judged):
        return instead(reply, TOO_LITTLE)
    kept = tuple(s for s in judged if s.supported or on_unsupported == "mark")
    notes = reply.notes
    if right < len(judged):
        notes = (*notes, MARKED if on_unsupported == "mark" else LEFT_OUT.format(len(judged) - right))
    answer = AnswerText("".join(s.text for s in kept), "generated", kept)
    return replace(reply, answer=answer, notes=notes)


def _judged(one: Drafted, evidence: dict[int, Evidence]) -> AnswerSentence:
    """A drafted sentence with those of its citations that exist, and whether they bear it out; who cites what is not there is not borne out."""
    cited = [number for number in one.citations if number in evidence]
    borne_out = (
        bool(cited)
        and len(cited) == len(one.citations)
        and len(one.text) <= LONGEST_SENTENCE
        and not unsupported(one.text, [evidence[number] for number in cited])
        # a row of a table may have no kana; then its words have to be those of a passage
        and (is_japanese(one.text) or any(_quotes(evidence[number], one.text) for number in cited))
        # what nobody sees, and what turns the direction of writing, may stand between what is read and what is shown
        and not any(unicodedata.category(c) == "Cf" for c in one.text)
    )
    return AnswerSentence(one.text, tuple(cited), supported=borne_out)


def _quotes(evidence: Evidence, text: str) -> bool:
    if folded(text).rstrip("。") in evidence.folded:
        return True
    known = set(tokenize("\n".join((evidence.text, *evidence.around))))
    return all(word in known or word[:1].isdigit() for word in tokenize(text))


def instead(reply: Reply, note: str) -> Reply:
    """The extractive reply, with a note that says why there is no written one."""
    return replace(reply, notes=(*reply.notes, note))


def _quoted(citation: Citation) -> Quoted:
    return Quoted(citation.id, " ＞ ".join(_around(citation)), citation.text)


def evidence_of(reply: Reply) -> dict[int, Evidence]:
    """The passages of a reply by the numbers under which they are cited."""
    return {citation.id: Evidence(citation.text, _around(citation)) for citation in reply.citations}


def _around(citation: Citation) -> tuple[str, ...]:
    """What stands around a passage in its document."""
    case = citation.case
    own: tuple[str, ...] = ()
    if case is not None:
        persons = f"人口 {case.population:,}人（{case.population_as_of or ''}）" if case.population else ""
        own = (case.organization, case.title, persons)
    return tuple(part for part in (citation.document_title, *own, *citation.heading_path) if part)
