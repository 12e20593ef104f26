"""Recognises documents in a process of its own, for a parent that must not be brought down by a file.

In, on standard input: a line of JSON for each document with its path below the documents folder, the file, and the longest
chunk. Out, on standard output: a line of JSON with the document, its cases and chunks and text, or with the message for
people. The parent ends the process where a file takes too long; the system ends it where a file takes too much memory.
Nothing is written and nothing is connected to.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from corpus.documents import parse
from corpus.limits import end_with_parent
from corpus.lines import record_of
from corpus.readers import ReadError

MEMORY_BYTES = 4 * 2**30
"""Address space that reading one document may take: ordinary files take a tenth of it."""
TOO_LARGE = "読み取りに必要なメモリーが上限を超えました。ファイルを分割するか、不要な部分を除いて保存し直してください。"
UNREADABLE = (
    "読み取りの途中で問題が起きました（{}）。元のソフトで開いて保存し直してから、もう一度置いてください。"
)


def answer(path: str, file: Path, max_chars: int) -> dict[str, Any]:
    """What a document is, or why it cannot be read, as JSON."""
    try:
        parsed = parse(path, file.read_bytes(), max_chars=max_chars)
    except ReadError as error:
        return {"message": str(error)}
    except OSError as error:
        return {"unopened": error.strerror or "不明"}
    except MemoryError:
        return {"message": TOO_LARGE}
    except Exception as error:
        # a library's own error on a hostile file: the file is named, the build goes on
        return {"message": UNREADABLE.format(type(error).__name__)}
    return {**record_of(parsed), "text": parsed.document.text}


def main() -> None:
    """Answers line by line until standard input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    with contextlib.suppress(OSError):
        os.nice(5)  # those who ask come first
    end_with_parent()
    # what a library prints must not stand among the answers
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        asked = json.loads(line)
        answers.write(json.dumps(answer(asked["path"], Path(asked["file"]), asked["max_chars"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
