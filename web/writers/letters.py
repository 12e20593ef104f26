"""Letters that no file format takes: control characters, shown by a mark of their own instead of being lost.

In: a dossier, to the letter. Out: the same with each such letter replaced by one mark, and a line that says so.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import Any

from qa.dossier import Dossier, Fact

# what XML 1.0 cannot hold, and the carriage return, which every reader of XML turns into a line feed
_UNWRITABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NOTE_LABEL = "表示できない文字"
_NOTE = "制御文字など、文書ファイルに書けない文字を、記号（「␀」など、1文字を1文字で）に置き換えました。"


def writable(text: str) -> str:
    """A text of the same length that any format can hold.

    >>> writable("a\\x00b\\tc")
    'a␀b\\tc'
    """
    return _UNWRITABLE.sub(lambda found: _mark(found[0]), text)


def _mark(letter: str) -> str:
    return chr(0x2400 + ord(letter)) if ord(letter) < 0x20 else "\N{REPLACEMENT CHARACTER}"


def readable(dossier: Dossier) -> Dossier:
    """The dossier with marks for what cannot be written, and a fact that says so where there are any."""
    shown: Dossier = _mapped(dossier)
    return dossier if shown == dossier else replace(shown, facts=(*shown.facts, Fact(NOTE_LABEL, _NOTE)))


def _mapped(value: Any) -> Any:
    """A value with every text in it writable."""
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, tuple):
        return tuple(map(_mapped, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _mapped(getattr(value, f.name)) for f in fields(value)})
    return value
