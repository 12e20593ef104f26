"""Mutated real files in the process that reads them for a build: read or refused in Japanese, in time, within its memory.

What single readers make of mutants is tested in tests/test_reader_fuzz.py, in the tests' own process; here they go where hostile
files go in the product, and in full size they are mutants of files that LibreOffice and a browser wrote. Readers of plain text are
also fuzzed with coverage as the guide (atheris).
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import test_reader_fuzz as fuzz
from fire import FULL, REPOSITORY, measured, size
from office_made import SOFFICE, converter

from corpus.chunks import MAX_CHARS
from corpus.lines import parsed_of
from corpus.worker import MEMORY_BYTES
from index.reading import ReaderProcess

SECONDS = 20
"""After which the process is ended here; in the product it is five minutes."""
PDF_SHARE = 3
KINDS = ("txt", "md", "csv", "html")


def _real(folder: Path) -> dict[str, bytes]:
    """Files as programs of people write them: an office, a browser."""
    assert SOFFICE is not None, "LibreOffice (soffice) is not installed"
    convert = converter(folder)
    made = {
        f"office-{name}": convert(fuzz.FILES[name], name.rpartition(".")[2], name.rpartition(".")[2])
        for name in ("手引き.docx", "説明.pptx", "質問.xlsx")
    }
    made |= {
        f"office-{name}.pdf": convert(fuzz.FILES[name], name.rpartition(".")[2], "pdf")
        for name in ("手引き.docx", "説明.pptx", "質問.xlsx")
    }
    page = folder / "page.html"
    page.write_bytes(fuzz.HTML)
    from conftest import CHROMIUM

    assert CHROMIUM is not None, "chromium is not installed"
    out = folder / "browser.pdf"
    subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--print-to-pdf={out}", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return made | {"browser-案内.pdf": out.read_bytes()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        if FULL:
            patch.setattr(fuzz, "FILES", fuzz.FILES | _real(tmp_path_factory.mktemp("real")))
        yield fuzz.FILES


def test_mutants_in_the_process_that_reads(files: dict[str, bytes], tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    longest = peak = 0.0
    file = tmp_path / "mutant"
    # the seeds of the other test, so that the mutants are others
    with measured("mutated files, in the reading process") as told, ReaderProcess(SECONDS) as reader:
        for path in files:
            for data in fuzz.mutants(
                path,
                size(3 if path.endswith("pdf") else 8, 1000 // (PDF_SHARE if path.endswith("pdf") else 1)),
            ):
                file.write_bytes(data)
                started = time.monotonic()
                found = reader.ask(path, file, MAX_CHARS)
                longest = max(longest, time.monotonic() - started)
                if "message" in found:
                    message = str(found["message"])
                    assert re.search("[ぁ-ん].*(?:ください|です|できます)。$", message, re.DOTALL), message
                    # a process that broke down or had to be ended is a fault of ours, although it costs one file only
                    outcomes[
                        "broke"
                        if "途中でプログラムが" in message or "時間がかかりすぎる" in message
                        else "refused"
                    ] += 1
                    outcomes["error"] += "途中で問題が起きました" in message
                else:
                    outcomes["read"] += 1
                    parsed = parsed_of(found)
                    for chunk in parsed.chunks:
                        assert parsed.document.text[chunk.start : chunk.end] == chunk.text
                    assert all(a.end <= b.start for a, b in pairwise(parsed.chunks))
                if reader._process is not None:
                    peak = max(peak, _peak_kb(reader._process.pid))
        told |= {
            "count": outcomes["read"] + outcomes["refused"] + outcomes["broke"],
            "longest_s": round(longest, 1),
            "peak_mb": round(peak / 1024),
            "result": ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items())),
        }
        assert outcomes["broke"] == 0
        assert outcomes["read"] > outcomes["refused"] / 3
        assert 0 < peak < MEMORY_BYTES / 1024


def _peak_kb(process: int) -> float:
    """The most memory that a process had at once."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmPeak:"):
            return float(line.split()[1])
    return 0.0


def test_readers_of_text_guided_by_coverage(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed (Linux only)")
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for name, data in fuzz.FILES.items():
        if name.endswith(KINDS):
            (seeds / name).write_bytes(data)
    for sample in (REPOSITORY / "corpus" / "samples").iterdir():
        (seeds / sample.name).write_bytes(sample.read_bytes()[:6000])
    with measured("readers of text, guided by coverage") as told:
        running = []
        for kind in KINDS:
            folder = tmp_path / kind
            folder.mkdir()
            command = [
                sys.executable,
                str(REPOSITORY / "tests" / "fire_guided.py"),
                kind,
                f"-runs={size(100, 10**9)}",
            ]
            command += [
                f"-max_total_time={size(6, 600)}",
                "-timeout=10",
                "-rss_limit_mb=2048",
                "-seed=7",
                "-max_len=8000",
                ".",
                str(seeds),
            ]
            running.append(
                subprocess.Popen(
                    command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
            )
        runs = 0
        for kind, process in zip(KINDS, running, strict=True):
            try:
                _, said = process.communicate(timeout=size(60, 1200))
            finally:
                process.kill()
            assert process.returncode == 0, f"{kind}: {said[-3000:]}"
            done = re.search(r"Done (\d+) runs", said)
            assert done, said[-500:]
            runs += int(done[1])
        told |= {"count": runs, "result": "slices or a sentence, nothing else"}
        assert runs >= len(KINDS) * size(100, 5000)
