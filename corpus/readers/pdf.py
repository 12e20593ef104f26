"""PDF (.pdf): the file is read in a process of its own, so that no file can harm the one that asks.

In: the bytes of a file. Out: a Source, or a ReadError. PDFium is native code that is not safe with threads, and a small
file can inflate to gigabytes: the process has limits of memory and time, and where it dies the file is refused.
This module knows nothing of what stands in a PDF.
"""

from __future__ import annotations

import json
import os
import subprocess  # nosec B404  # it starts modules of ours only
import sys
from typing import Any

from corpus.readers.source import ReadError, Source
from corpus.records import Mark, Page

MAX_BYTES = 500 * 2**20
"""A larger file is pictures; its text alone never is."""
MAX_SECONDS = 300
"""Two thousand ordinary pages take about a minute."""

_HEAD = 1024
"""Bytes within which a PDF's first and last words stand, as viewers look for them."""


def read(data: bytes) -> Source:
    """The canonical text of a PDF's text layer, its pages with their printed labels, and its headings.

    Raises ReadError for what is no PDF, is cut off, damaged, locked by a password, without text, or beyond the limits.
    """
    if b"%PDF-" not in data[:_HEAD]:
        raise ReadError("PDFではありません。正しい拡張子に直すか、PDFとして保存し直してください。")
    if b"startxref" not in data[-_HEAD:] and b"%%EOF" not in data[-_HEAD:]:
        raise ReadError(
            "PDFが途中で切れています（終わりの印がありません）。元のファイルをもう一度取得してください。"
        )
    if len(data) > MAX_BYTES:
        raise ReadError(f"PDFが大きすぎます（上限{MAX_BYTES // 2**20}MB）。分割してください。")
    answer = _ask(data)
    if "error" in answer:
        raise ReadError(answer["error"])
    return Source(
        text=answer["text"],
        format="pdf",
        encoding="pdf",
        warnings=tuple(answer["warnings"]),
        pages=tuple(Page(start, number, label) for start, number, label in answer["pages"]),
        marks=tuple(Mark("heading", start, end, level=level) for start, end, level in answer["marks"]),
    )


def _ask(data: bytes) -> dict[str, Any]:
    """What the process of its own says of a file: the parts of a Source, or an error for people."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(  # nosec B603  # a list of arguments of ours, no shell
            [sys.executable, "-m", "corpus.readers.pdf_process"],
            input=data,
            capture_output=True,
            timeout=MAX_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ReadError(
            f"{MAX_SECONDS}秒かけても読み終わりません。ページを分けるか、別のソフトで保存し直してください。"
        ) from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise ReadError(
            "PDFを読む途中で、壊れているか展開すると大きすぎるデータがありました。別のソフトで保存し直してください。"
        ) from error
    return dict(answer)
