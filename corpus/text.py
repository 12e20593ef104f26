"""Forms of a text made for matching; what comes out is never shown and never cited.

In: a piece of canonical text. Out: the same words without what keeps equal words from being equal
(width, markup, table rules, placeholders). Offsets are lost here on purpose: only spans of the canonical
text are quoted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import TypeVar

Found = TypeVar("Found")

_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\((?:[^()\n]|\([^()\n]*\))*\)")
# possessive, and begun once in a run of spaces or rules: a line of 10,000 of them must not take 10,000 times 10,000 steps
_TABLE_RULE = re.compile(r"(?:\|[ \t]*+|(?<![ \t|:-])[ \t]*+):?-{2,}+:?[ \t]*+(?=\||$)", re.MULTILINE)
# 「\text{費用} \quad」 → 「費用」: converters write formulas of slides as LaTeX.
_LATEX_GROUP = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}")
_LATEX_FRAME = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}(?:\{[^{}]*\})?")
_LATEX_WORD = re.compile(r"\\(?:[a-zA-Z]+|\\|[,;! ])|\$\$")
# An empty cell: 「－円」「—」「(内訳)」 alone between two separators says nothing.
_EMPTY_CELL = re.compile(
    r"(?m)(?:^|(?<=[|\t]))[ ]*+(?:[-ー－—–―]++[^\S\n\t]*+円?+|\((?:内訳|備考)\))[ ]*+(?=$|[|\t])"
)
_SPACES = re.compile(r"[ \t\u3000]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_LETTERS = re.compile(r"[\W_]+")


REMEMBERED, SHORT = 1 << 13, 1000
"""Results that `remembered` keeps of each function, and the longest text they are kept of: 10 MB where all are passages."""


def remembered(function: Callable[[str], Found]) -> Callable[[str], Found]:
    """A function of a text alone, whose results for the short texts asked for last are kept; they must not be changed.

    Every question looks at passages that others looked at before.
    """
    kept = lru_cache(maxsize=REMEMBERED)(function)

    @wraps(function)
    def found(text: str) -> Found:
        return kept(text) if len(text) <= SHORT else function(text)

    return found


@remembered
def normalize(text: str) -> str:
    """NFKC with white space folded to single spaces: the form in which two spellings are one.

    >>> normalize("ＣＤＯ　ｶﾞｲﾄﾞ")
    'CDO ガイド'
    """
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip()


@remembered
def squeeze(text: str) -> str:
    """NFKC, lower case, without white space and emphasis marks: for comparing titles and headings.

    >>> squeeze("知事（ＣＸＯ） のもと") == squeeze("知事(CXO)のもと")
    True
    """
    return re.sub(r"[\s*|#]+", "", unicodedata.normalize("NFKC", text)).lower()


def searchable(text: str) -> str:
    """The words of a passage for the encoder and the tokenizer: markup, rules and empty cells removed.

    Line breaks stay single (they separate items of a list), spaces are folded.
    """
    text = unicodedata.normalize("NFKC", text.replace("\x00", " "))
    # most sentences have none of these, and a file may have a hundred thousand sentences
    if "\\" in text or "$$" in text:
        text = _LATEX_FRAME.sub(" ", text)
        text = _LATEX_GROUP.sub(r"\1", text)
        text = _LATEX_WORD.sub(" ", text)
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    text = text.replace("**", "").replace("__", "")
    if "--" in text:
        text = _TABLE_RULE.sub(" ", text)
    text = _EMPTY_CELL.sub(" ", text)
    text = text.replace("|", " ").replace("\t", " ")
    # Lone surrogates cannot be encoded as UTF-8 and mean nothing.
    text = _SURROGATE.sub(" ", text)
    lines = (line.strip() for line in _SPACES.sub(" ", text).splitlines())
    return "\n".join(line for line in lines if line)


# 「。」 ends a sentence unless a bracket closes after it; a line break ends an item or a row. 「10時?15時」 has a 「～」 that
# was lost in a conversion.
_SENTENCE = re.compile(r"(?:[^。！？!?\n]++|\?(?=[0-9０-９]))*+(?:[。！？!?]+[」』）)*]*|\n|$)")


@remembered
def sentence_spans(text: str) -> Sequence[tuple[int, int]]:
    """Where the sentences, items and rows of a text stand, (start, end) in order, without the space around them.

    >>> sentence_spans("一つ目。二つ目。")
    [(0, 4), (4, 8)]
    >>> sentence_spans("10時?15時")
    [(0, 7)]
    """
    spans: list[tuple[int, int]] = []
    for found in _SENTENCE.finditer(text):
        start, end = found.span()
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if letters(text[start:end]):
            spans.append((start, end))
    return spans


def letters(text: str) -> int:
    """How many letters and digits a text holds: what is left when marks and spaces are not counted."""
    return len(_NO_LETTERS.sub("", text))
