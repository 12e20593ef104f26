"""Every file of an index damaged in turn, before it is loaded: right answers, or a reason in words; and the next build mends it.

Each file is flipped by one bit (at its beginning, in its middle, at its end), cut in half, emptied and removed. What a reader
of the index then says must be what was said before the damage, to the letter, or why it says nothing; a build takes the damaged
for lost, reads the documents of it anew, and answers as before.
"""

from __future__ import annotations

import gc
import logging
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import FakeEncoder
from fire import FULL, measured

from index.build import build
from index.current import CurrentIndex
from index.passages import model_record
from index.store import Index
from qa.answer import ask

QUESTIONS = ("税務課の手数料はいくらですか", "福祉課の受付はいつですか", "窓口の電話番号は？")


def _flipped(share: float) -> Callable[[Path], None]:
    def flip(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[min(len(data) - 1, int(len(data) * share))] ^= 0x10
        file.write_bytes(bytes(data))

    return flip


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


DAMAGE: dict[str, Callable[[Path], None]] = {
    "flipped at its beginning": _flipped(0.0),
    "flipped in its middle": _flipped(0.5),
    "flipped at its end": _flipped(1.0),
    "cut in half": _cut,
    "emptied": _emptied,
    "removed": Path.unlink,
}


def _said(index: Index) -> list[object]:
    """What is answered, without what it took."""
    said: list[object] = []
    for question in QUESTIONS:
        reply = ask(index, FakeEncoder(), question)
        said.append(
            (reply.answer.text, [(c.path, c.char_start, c.char_end, c.text) for c in reply.citations])
        )
    said.append(sorted((d.path, d.title, d.text) for d in index.documents.values()))
    return said


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of documents, a text and a list, with an index of two versions and several segments."""
    folder = tmp_path_factory.mktemp("damage")
    documents = folder / "documents"
    documents.mkdir()
    for place in ("市民課", "税務課", "福祉課"):
        (documents / f"{place}.md").write_text(
            f"# {place}の手引き\n\n## 受付\n\n{place}の受付は平日の午前九時からです。\n\n## 手数料\n\n{place}の手数料は三百円です。\n",
            encoding="utf-8",
        )
    (documents / "質問.csv").write_text(
        "質問,回答\n" + "".join(f"窓口{n}の電話番号は？,0000-00-{n:04}です。\n" for n in range(9)),
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("index.merging.SMALL", 2)  # so that what comes later is a segment of its own
        build(documents, folder / "index", FakeEncoder())
        (documents / "水道課.md").write_text(
            "# 水道課の手引き\n\n水道課の手数料は五円です。\n\n## 他\n\n受付は十時です。\n", encoding="utf-8"
        )
        build(documents, folder / "index", FakeEncoder())
    return folder


def test_every_file_damaged_in_turn(made: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root, documents = tmp_path / "index", made / "documents"
    held = CurrentIndex(made / "index", model_record(FakeEncoder()))
    index = held.get()
    assert index is not None
    right, version = _said(index), index.version
    files = sorted(
        path.relative_to(made / "index")
        for path in (made / "index").rglob("*")
        if path.is_file()
        and path.name != ".lock"
        and (path.name == "CURRENT" or {version, *index.segments} & set(path.parts))
    )
    assert len(files) > 60
    outcomes: Counter[str] = Counter()
    # pytest keeps what is logged, and with each reason the frames it came from, and with these the files of damaged indexes
    logging.disable(logging.ERROR)
    request.addfinalizer(lambda: logging.disable(logging.NOTSET))
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with measured("every file of an index, damaged") as told:
        # in the ordinary run each eighteenth file in one way
        for number, file in enumerate(files if FULL else files[::18]):
            for how in DAMAGE if FULL else [list(DAMAGE)[number % len(DAMAGE)]]:
                gc.collect()  # indexes of before, with their open files
                if (made / "index" / file).stat().st_size == 0 and how != "removed":
                    continue
                shutil.rmtree(root, ignore_errors=True)
                shutil.copytree(made / "index", root, copy_function=shutil.copy)
                DAMAGE[how](root / file)
                where = f"{file} {how}"
                server = CurrentIndex(root, model_record(FakeEncoder()))
                taken = server.get()
                if taken is None and server.is_empty:
                    # without the name of a version: "there is no index yet", and a server that is started makes one
                    assert file.name == "CURRENT", where
                    outcomes["said why not"] += 1
                elif taken is None:
                    assert server.problem, f"{where}: no index and no reason"
                    assert "。" in server.problem, where
                    outcomes["said why not"] += 1
                else:
                    assert _said(taken) == right, where
                    outcomes["answered rightly"] += 1
                assert len(list(Path("/proc/self/fd").iterdir())) < before + 600, "files stay open"
                # the service that runs meanwhile, and one that is started afterwards
                build(documents, root, FakeEncoder())
                for reader in (server, CurrentIndex(root, model_record(FakeEncoder()))):
                    mended = reader.get()
                    assert mended is not None, f"{where}: {reader.problem}"
                    assert reader.problem is None, where
                    assert _said(mended) == right, where
        told |= {
            "count": sum(outcomes.values()),
            "files": len(files),
            **outcomes,
            "result": "right or a reason; mended by the next build",
        }
        assert outcomes["said why not"] > outcomes["answered rightly"]
