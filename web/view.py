"""Small things that several pages show: the state of the index, sizes, populations, telephone numbers.

In: values. Out: words or plain dictionaries for the templates.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from index.store import Index


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
        "chunks": sum(index.chunk_counts.values()),
        "status": "ready",
    }


def population_text(population: int | None) -> str | None:
    """「約9.6万人」 for 96000; below ten thousand in full: 「5,000人」."""
    if population is None:
        return None
    return f"約{population / 10_000:.1f}万人" if population >= 10_000 else f"{population:,}人"


def dialled(phone: str) -> str:
    """The digits of a telephone number for a link, without an extension.

    >>> dialled("03（1234）5678（内線12）")
    '0312345678'
    """
    return re.sub(r"[^0-9]", "", unicodedata.normalize("NFKC", phone).split("内線")[0])


def size_text(size: int) -> str:
    """A file's size for people.

    >>> size_text(900), size_text(20_480), size_text(5 * 2**20)
    ('900バイト', '20KB', '5.0MB')
    """
    if size < 1024:
        return f"{size}バイト"
    return f"{size // 1024}KB" if size < 2**20 else f"{size / 2**20:.1f}MB"


# HTML has no way to write these two; each has one letter in its place, so that places in a text stay the same
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


def exact(text: str) -> Markup:
    """A text escaped so that a browser gives it back to the letter: a carriage return would become a line break.

    >>> exact("a<b" + chr(13))
    Markup('a&lt;b&#13;')
    """
    return escape(_UNWRITABLE.sub("\ufffd", text)).replace("\r", Markup("&#13;"))


def disposition(name: str, plain: str) -> str:
    """The header that makes a browser save a file under a name, whatever letters it has; `plain` is for what reads ASCII only.

    >>> disposition("第1版.pdf", "document")
    "attachment; filename=document.pdf; filename*=UTF-8''%E7%AC%AC1%E7%89%88.pdf"
    """
    ending = re.sub(r"[^.0-9A-Za-z]", "", PurePosixPath(name).suffix)
    return f"attachment; filename={plain}{ending}; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"


def about(seconds: int) -> str:
    """A time to wait, as roughly as it is known.

    >>> about(0), about(41), about(100), about(4000), about(9100)
    ('10秒以内', '約50秒', '約2分', '約1時間10分', '約2時間40分')
    """
    if seconds <= 10:
        return "10秒以内"
    if seconds < 60:
        return f"約{-(-seconds // 10) * 10}秒"
    minutes = -(-seconds // 60)
    if minutes < 60:
        return f"約{minutes}分"
    hours, rest = divmod(-(-minutes // 10) * 10, 60)
    return f"約{hours}時間{f'{rest}分' if rest else ''}"
