"""Faults: a build that is killed, loses power or finds the disk full at any step leaves the old version answering.

Each build runs in a child process that is ended for good (SIGKILL) at a chosen change to the file system, counted by an
audit hook of the interpreter. For a power cut, what was not flushed to the disk by then is cut off afterwards.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from conftest import FakeEncoder
from fire import size

from index import versions
from index.build import BuildRefusedError, build
from index.current import CurrentIndex
from index.passages import model_record
from index.store import Index, current_version, load_current
from qa.answer import ask

POINTS = {"one segment": 40, "segments that become one": size(20, 40)}
"""At how many changes a build is ended; the second kind is the first with more at its end."""
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.truncate"}


def book(place: str, fee: str) -> str:
    return (
        f"# {place}の手引き\n\n## 受付\n\n{place}の受付は平日の午前九時から午後五時までです。\n\n"
        f"## 手数料\n\n{place}の手数料は一通につき{fee}です。\n"
    )


class Place:
    """A folder of documents with an index of it, and a second state of the folder that the killed build is to take up."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.documents, self.root, self.saved = folder / "documents", folder / "index", folder / "saved"
        self.kind = kind
        self.documents.mkdir()
        for name in ("市民課", "税務課", "福祉課"):
            (self.documents / f"{name}.md").write_text(book(name, "三百円"), encoding="utf-8")
        # more versions than are kept, so that the build also clears away
        for number in range(versions.KEEP_VERSIONS + 1):
            (self.documents / "回数.md").write_text(book(f"第{number}課", "百円"), encoding="utf-8")
            build(self.documents, self.root, FakeEncoder())
        shutil.copytree(self.root, self.saved, symlinks=True)
        self.old = load_current(self.root).version
        (self.documents / "税務課.md").write_text(book("税務課", "五百円"), encoding="utf-8")
        (self.documents / "福祉課.md").unlink()
        (self.documents / "新しい課.md").write_text(book("新しい課", "無料"), encoding="utf-8")

    def restore(self) -> None:
        """The index as it was before the build."""
        shutil.rmtree(self.root)
        shutil.copytree(self.saved, self.root, symlinks=True)

    def run(self, prepare: Callable[[], None]) -> int:
        """Builds in a child process, prepared by `prepare`; its wait status."""
        pid = os.fork()
        if pid == 0:
            try:
                prepare()
                build(self.documents, self.root, FakeEncoder())
                os._exit(0)
            except (OSError, BuildRefusedError, RuntimeError):
                os._exit(1)
            except BaseException:
                os._exit(2)
        return os.waitpid(pid, 0)[1]


@pytest.fixture(scope="module", params=["one segment", "segments that become one"])
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "one segment":
            # the build that is struck writes segments anew after its switch
            patch.setattr("index.merging.SMALL", 2)
            patch.setattr("index.merging.STEP", 2)
            patch.setattr("index.merging.FULL", 8)
        yield Place(tmp_path_factory.mktemp("faults"), request.param)


def counted(action: Callable[[int], None], root: Path) -> None:
    """Calls `action` with the number of each change to files below `root` that this process is about to make."""
    count = 0
    inside = os.fspath(root)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event == "open":
            path, _, flags = arguments[:3]
            changes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
        else:
            path, changes = (arguments[0] if arguments else ""), event in CHANGES
        if changes and isinstance(path, str | os.PathLike) and os.fspath(path).startswith(inside):
            count += 1
            action(count)

    sys.addaudithook(hook)


def fee_of(index: Index) -> str:
    """What the service answers of the document that the build was to change."""
    reply = ask(index, FakeEncoder(), "税務課の手数料はいくらですか")
    assert reply.citations
    for citation in reply.citations:
        text = index.documents[citation.document_id].text
        assert text[citation.char_start : citation.char_end] == citation.text
    texts = [c.text for c in reply.citations if "税務課の手数料" in c.text]
    assert texts
    return "五百円" if "五百円" in texts[0] else "三百円"


def right(place: Place, held: CurrentIndex) -> str:
    """Checks all that must hold after a fault; gives "old" or "new" by what is answered."""
    index = load_current(place.root, model_record(FakeEncoder()))
    state = "old" if index.version == place.old else "new"
    fee, paths = fee_of(index), {document.path for document in index.documents.values()}
    assert fee == ("三百円" if state == "old" else "五百円")
    assert ("福祉課.md" in paths) == (state == "old")
    assert ("新しい課.md" in paths) == (state == "new")
    served = held.get()  # a server that ran all the time
    assert served is not None
    assert (served.version, held.problem) == (index.version, None)
    assert fee_of(served) == fee
    # and the next build is clean
    build(place.documents, place.root, FakeEncoder())
    after = load_current(place.root, model_record(FakeEncoder()))
    assert fee_of(after) == "五百円"
    assert len(after.documents) == 4
    assert [path for path in place.root.rglob(".*") if path.name != ".lock"] == []
    needed = set()
    for entry in versions.history(place.root):
        assert entry.problem is None
        needed.update(versions.read_manifest(place.root, entry.name)["segments"])
    assert {path.name for path in (place.root / "segments").iterdir()} == needed
    return state


def total(place: Place) -> int:
    """How many changes to files a whole build makes."""
    place.restore()
    log = place.root.parent / "count"

    def prepare() -> None:
        counted(lambda number: log.write_text(str(number)), place.root)

    assert place.run(prepare) == 0
    return int(log.read_text())


def points(place: Place) -> list[int]:
    """Where to strike: evenly over the build, its very beginning and end among them."""
    last = total(place)
    count = POINTS[place.kind]
    assert last > count, "the build makes fewer changes than points are asked for"
    return sorted({1 + round(step * (last - 1) / (count - 1)) for step in range(count)})


def strike_at(root: Path, point: int, log: Path) -> None:
    """Ends this process at the given change, and writes down what was flushed to the disk until then."""
    flushed = log.open("a", encoding="utf-8")
    real = versions.sync

    def sync(path: Path) -> None:
        real(path)
        flushed.write(f"{path.stat().st_ino}\n")
        flushed.flush()

    def strike(number: int) -> None:
        if number == point:
            os.kill(os.getpid(), signal.SIGKILL)

    versions.sync = sync
    counted(strike, root)


@pytest.mark.parametrize("fault", ["killed", "power cut"])
def test_a_build_that_is_ended_at_any_step(place: Place, fault: str, tmp_path: Path) -> None:
    states = []
    chosen = points(place)
    assert len(chosen) >= POINTS[place.kind] - 5
    for point in chosen:
        place.restore()
        held = CurrentIndex(place.root, model_record(FakeEncoder()))
        assert held.get() is not None
        before = set(place.root.rglob("*"))
        log = tmp_path / f"{point}.log"
        log.touch()

        status = place.run(partial(strike_at, place.root, point, log))
        assert os.WIFSIGNALED(status), f"the build was not ended at {point}: {status}"
        if fault == "power cut":
            lasting = set(map(int, log.read_text().split()))
            for path in set(place.root.rglob("*")) - before:
                if path.is_file() and path.stat().st_ino not in lasting:
                    os.truncate(path, path.stat().st_size // 2)
        states.append(right(place, held))
    assert states == sorted(states, reverse=True), "once new, always new"
    assert set(states) == {"old", "new"}


@pytest.mark.parametrize("part", [0.01, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.97, 1.0])
def test_a_disk_that_is_full_from_some_step_on(place: Place, part: float) -> None:
    first = max(1, round(total(place) * part))
    place.restore()
    held = CurrentIndex(place.root, model_record(FakeEncoder()))
    assert held.get() is not None

    def prepare() -> None:
        def refuse(number: int) -> None:
            if number >= first:
                raise OSError(28, "No space left on device")

        counted(refuse, place.root)

    status = place.run(prepare)
    assert os.waitstatus_to_exitcode(status) in {0, 1}
    right(place, held)


@pytest.mark.parametrize("size", [0, 100, 500, 1000, 2000, 3000])
def test_files_that_cannot_grow(place: Place, size: int) -> None:
    """Writes that fail in the middle of a file, those of FAISS too: the system refuses more than `size` bytes."""
    place.restore()
    held = CurrentIndex(place.root, model_record(FakeEncoder()))
    assert held.get() is not None
    status = place.run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    assert os.waitstatus_to_exitcode(status) == 1
    assert current_version(place.root) == place.old
    assert right(place, held) == "old"
