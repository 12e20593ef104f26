"""Coverage-guided fuzzing of what reads plain text, in pure Python: decoding, Markdown, CSV, HTML, structure, cases, chunks.

    python fire_guided.py KIND [options of libFuzzer: -runs=1000 -max_total_time=60 CORPUS_FOLDER]

In: bytes that atheris makes, guided by which branches they reach. Out: exit status 0, or a crash where a reader raises another
error than its own, or a chunk is no slice.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import atheris

with atheris.instrument_imports(include=["corpus"]):
    from corpus.documents import parse
    from corpus.readers import ReadError, csv, html, markdown, plain_text  # noqa: F401  each is imported where it is needed

_KIND = sys.argv.pop(1)


def _one(data: bytes) -> None:
    try:
        parsed = parse(f"a.{_KIND}", data)
    except ReadError:
        return
    text = parsed.document.text
    end = 0
    for chunk in parsed.chunks:
        if text[chunk.start : chunk.end] != chunk.text or chunk.start < end:
            raise AssertionError(f"{chunk} is no slice after {end}")
        end = chunk.end


if __name__ == "__main__":
    atheris.Setup(sys.argv, _one)
    atheris.Fuzz()
