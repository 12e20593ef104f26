"""Office files made of texts, and LibreOffice to save them again: shared by the tests of their readers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import strategies as st

from corpus.documents import Parsed, parse
from corpus.sections import heading_words
from corpus.structure import plain, split_blocks

SAMPLES = Path(__file__).resolve().parent.parent / "corpus" / "samples"
SOFFICE = shutil.which("soffice")
needs_soffice = pytest.mark.skipif(
    SOFFICE is None and not os.environ.get("CI"), reason="LibreOffice (soffice) is not installed"
)

Convert = Callable[[bytes, str, str], bytes]


def converter(folder: Path) -> Convert:
    """A function (bytes, suffix, suffix wanted) that lets LibreOffice open a file and save it again."""

    def convert(data: bytes, suffix: str, wanted: str) -> bytes:
        assert SOFFICE is not None, "LibreOffice (soffice) is not installed"
        source, out = folder / f"made.{suffix}", folder / "out"
        source.write_bytes(data)
        subprocess.run(
            [
                SOFFICE,
                f"-env:UserInstallation=file://{folder / 'profile'}",
                *("--headless", "--convert-to", wanted, "--outdir", str(out), str(source)),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        return (out / f"made.{wanted.partition(':')[0]}").read_bytes()

    return convert


@dataclass(frozen=True)
class Piece:
    """A heading with its level, a list item, a table's rows, or a paragraph; `gap` where a picture was before it."""

    kind: str
    words: str = ""
    level: int = 0
    rows: tuple[tuple[str, ...], ...] = ()
    gap: bool = False


def without_pictures(text: str) -> str:
    """A text without the empty lines that stand for lost pictures: what no other format has."""
    return re.sub(r"\n(?:[ \t]*\n)+", "\n\n", text)


def pieces(path: str, text: str) -> list[Piece]:
    """What a text consists of, as the corpus itself reads it; the headings are those of its outline."""
    levels = {heading.start: heading.level for heading in parse(path, text.encode()).document.headings}
    found: list[Piece] = []
    for block in split_blocks(text):
        gap = block.gap >= 3
        if block.kind == "heading" and block.start in levels:
            found.append(Piece("heading", heading_words(block), levels[block.start], gap=gap))
        elif block.kind == "table":
            rows = [_cells(line.text) for line in block.lines]
            rows = [row for row in rows if any(cell.strip("-: ") for cell in row)]
            width = max(map(len, rows))
            padded = tuple((*row, *[""] * (width - len(row))) for row in rows)
            found.append(Piece("table", rows=padded, gap=gap))
        else:
            for line in block.lines:
                item = (
                    re.match(r"^[-・](?:\s*・)?\s*(.+)$", plain(line.text)) if block.kind == "list" else None
                )
                found.append(
                    Piece("item" if item else "paragraph", item[1] if item else plain(line.text), gap=gap)
                )
                gap = False
    return found


def _cells(line: str) -> tuple[str, ...]:
    if "|" not in line:
        return tuple(cell.strip() for cell in line.split("\t"))
    return tuple(plain(cell) for cell in line.strip().lstrip("- ").strip("|").split("|"))


def cases(parsed: Parsed) -> list[tuple[object, ...]]:
    """What must come out alike whatever the format of a case book."""
    return [
        (case.number, case.title, case.organization, case.population, case.department, case.phone)
        for case in parsed.cases
    ]


def outline(parsed: Parsed) -> list[tuple[str, int]]:
    """The headings with their levels."""
    return [(heading.text, heading.level) for heading in parsed.document.headings]


# a first letter that is no list's mark
WORD = st.builds(
    str.__add__,
    st.sampled_from("あいう漢字語ab"),
    st.text("あいう漢字語ＡＢ01ab（）「」、。＆<>&\"'", max_size=12),
)
PIECES = st.one_of(
    st.builds(lambda words, level: Piece("heading", words, level), WORD, st.integers(1, 9)),
    st.builds(lambda words: Piece("paragraph", words), WORD),
    st.builds(lambda words: Piece("item", words), WORD),
    st.integers(2, 4).flatmap(
        lambda width: st.builds(
            lambda rows: Piece("table", rows=tuple(map(tuple, rows))),
            st.lists(st.lists(WORD, min_size=width, max_size=width), min_size=1, max_size=3),
        )
    ),
)


def expected(found: Sequence[Piece]) -> str:
    """The canonical text of pieces, by the contract."""
    blocks: list[list[str]] = []
    for place, piece in enumerate(found):
        if piece.kind == "table":
            blocks.append([f"| {' | '.join(row)} |" for row in piece.rows])
        elif piece.kind == "item" and place and found[place - 1].kind == "item":
            blocks[-1].append(f"・{piece.words}")
        else:
            blocks.append([f"・{piece.words}" if piece.kind == "item" else piece.words])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"
