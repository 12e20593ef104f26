"""Whether a text looks garbled: letters that no Japanese text holds, from a wrong encoding or a broken font.

In: a canonical text. Out: a warning for people, or None. Nothing is repaired: a citation stays what the file gave.
"""

from __future__ import annotations

import re
import unicodedata

GARBLED = "文字化けの疑い"
"""Every warning of this module begins with it."""
# 「(cid:12)」: a PDF's font without a table of characters; U+FFFD: a byte that fits no encoding
_SURE = re.compile(r"\(cid:\d+\)|\ufffd")
# UTF-8 read as CP932 (「縺ゅ→」), UTF-8 read as Latin-1 (「ã‚ã¨」), CP932 read as Latin-1 (「‚ ‚Æ」)
_MOJIBAKE = re.compile(
    r"(?:[縺繧繝荳蜿螳譁逕遘][\u0080-\uffff]){3,}|(?:[ãåäæçèéï][\u0080-\u00ff\u0152-\u0178\u02c6-\u02dc\u2013-\u203a\u20ac\u2122]{2}){2,}|(?:[‚ƒ][\u0020-\u00ff]){4,}"
)
# runs of half-width katakana with marks between them: EUC-JP read as CP932 (「､ﾈ､ﾏ」)
_HALF_WIDTH = re.compile(r"(?:[､｡･][ｦ-ﾟ]){4,}")
RARE_SHARE = 0.005
"""Share of rare letters from which a text is called garbled: names bring single ones."""
LEAST = 2


def garbled(text: str) -> str | None:
    """A warning that names how many letters look wrong, with an example; None where nothing does.

    >>> garbled("窓口の案内") is None
    True
    """
    sure = [found.span() for pattern in (_SURE, _MOJIBAKE, _HALF_WIDTH) for found in pattern.finditer(text)]
    strange = {character for character in set(text) if _rare(character)}
    rare = [(place, place + 1) for place, character in enumerate(text) if character in strange]
    places = [*sure, *rare]
    count = sum(end - start for start, end in places)
    visible = len("".join(text.split()))
    if (
        len(sure) < LEAST
        and not _MOJIBAKE.search(text)
        and (len(rare) < LEAST or count < RARE_SHARE * visible)
    ):
        return None
    start, end = min(places)
    example = " ".join(text[max(0, start - 6) : end + 10].split())
    return f"{GARBLED}：読めない文字が{count}字あります（例「{example}」）。元のファイルの文字コードやフォントを確かめてください。"


def _rare(character: str) -> bool:
    """Letters that hardly stand in a document, but where a broken font's table puts kana: 「䛾」 for 「の」."""
    if character < "\u0080":
        return False
    if character == "\x85":
        return False  # a line break
    return "\u3400" <= character <= "\u4dbf" or unicodedata.category(character) in {"Cc", "Co", "Cn", "Cs"}
