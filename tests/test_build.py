"""Builds and versions: what is encoded, what is kept, and that a failure leaves the version in use alone."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from made import CASE_BOOK, FAQ, MINUTES, FakeEncoder

import index.store as store
from index.build import BuildRefusedError, NothingToIndexError, build, model_record
from index.current import CurrentIndex
from index.jobs import Jobs
from index.store import (
    IndexMissingError,
    IndexUnusableError,
    ModelRecord,
    current_version,
    load_current,
    switch,
)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    (folder / "会議").mkdir(parents=True)
    (folder / "事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
    (folder / "会議" / "議事録.txt").write_bytes(MINUTES.encode("cp932"))
    (folder / "faq.md").write_text(FAQ, encoding="utf-8")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "index"


def test_a_version_comes_back_as_it_was_written(documents: Path, root: Path) -> None:
    encoder = FakeEncoder()
    report = build(documents, root, encoder)
    index = load_current(root, model_record(encoder))
    assert (report.documents, report.cases, report.added) == (3, 3, 3)
    assert report.chunks == len(index.chunks) == len(encoder.encoded) == report.encoded
    assert {d.path for d in index.documents.values()} == {"事例集.txt", "会議/議事録.txt", "faq.md"}
    minutes = next(d for d in index.documents.values() if d.path.startswith("会議"))
    assert minutes.text == MINUTES
    for row, chunk in enumerate(index.chunks):
        assert index.documents[chunk.document_id].text[chunk.start : chunk.end] == chunk.text
        # row i is row i: a chunk is found by its own vector
        vector = index._dense.vectors()[row]
        assert chunk.id in [hit.chunk.id for hit in index.search(vector, [], 3)]


def test_an_unchanged_rebuild_encodes_nothing(documents: Path, root: Path) -> None:
    build(documents, root, FakeEncoder())
    encoder = FakeEncoder()
    report = build(documents, root, encoder)
    assert encoder.encoded == []
    assert (report.added, report.changed, report.removed, report.unchanged) == (0, 0, 0, 3)
    assert (report.encoded, report.reused) == (0, report.chunks)
    assert build(documents, root, encoder, full=True).encoded == report.chunks


def test_a_changed_document_encodes_only_its_changed_chunks(documents: Path, root: Path) -> None:
    build(documents, root, FakeEncoder())
    before = load_current(root)
    (documents / "faq.md").write_text(FAQ.replace("24時間", "平日の日中に"), encoding="utf-8")
    encoder = FakeEncoder()
    report = build(documents, root, encoder)
    assert (report.changed, report.unchanged, report.encoded) == (1, 2, 1)
    assert "平日の日中" in encoder.encoded[0]
    after = load_current(root)
    kept = {c.id for c in before.chunks} & {c.id for c in after.chunks}
    assert len(kept) == len(after.chunks) - 1


def test_removed_and_unreadable_files(documents: Path, root: Path) -> None:
    build(documents, root, FakeEncoder())
    (documents / "faq.md").unlink()
    (documents / "空.txt").write_bytes(b"")
    (documents / "絵.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (documents / "表.xlsx").write_bytes(b"PK\x03\x04")
    (documents / ".隠れ.txt").write_text("見ない", encoding="utf-8")
    (documents / "写し.txt").write_text(CASE_BOOK, encoding="utf-8")
    report = build(documents, root, FakeEncoder())
    assert (report.documents, report.removed) == (2, 1)
    assert {path for path, _ in report.errors} == {"空.txt", "絵.txt", "表.xlsx"}
    assert all(message.endswith("。") for _, message in report.errors)
    assert any("同じ内容" in warning for _, warning in report.warnings)
    assert load_current(root).manifest["errors"] == [
        {"path": path, "message": message} for path, message in report.errors
    ]


def test_links_that_leave_the_folder_are_not_read(documents: Path, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("秘密の文書です。外には出しません。", encoding="utf-8")
    (documents / "link.txt").symlink_to(secret)
    assert build(documents, root, FakeEncoder()).documents == 3


def test_nothing_readable_leaves_the_old_version(documents: Path, root: Path, tmp_path: Path) -> None:
    build(documents, root, FakeEncoder())
    name = current_version(root)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NothingToIndexError, match="読める資料が一つもありません"):
        build(empty, root, FakeEncoder())
    assert current_version(root) == name


class Breaking(FakeEncoder):
    def encode_passages(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> np.ndarray:
        raise MemoryError("no room")


def test_a_failure_leaves_the_old_version_and_no_rubbish(
    documents: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(documents, root, FakeEncoder())
    name = current_version(root)
    with pytest.raises(MemoryError):
        build(documents, root, Breaking(), full=True)
    monkeypatch.setattr(
        store.DenseIndex, "save", lambda self, path: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        build(documents, root, FakeEncoder(), full=True)
    assert current_version(root) == name
    assert load_current(root).version == name
    assert [p.name for p in (root / "versions").iterdir()] == [name]


def test_a_second_build_is_refused(documents: Path, root: Path) -> None:
    build(documents, root, FakeEncoder())
    with (root / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BuildRefusedError, match="実行中"):
            build(documents, root, FakeEncoder())


def test_another_model_encodes_everything_anew(documents: Path, root: Path) -> None:
    build(documents, root, FakeEncoder())
    encoder = FakeEncoder(dimension=32)
    report = build(documents, root, encoder)
    assert report.encoded == report.chunks
    assert load_current(root, model_record(encoder)).manifest["model"]["dimension"] == 32
    with pytest.raises(IndexUnusableError, match=r"dimension：索引「32」・指定「64」"):
        load_current(root, model_record(FakeEncoder()))


@pytest.mark.parametrize("file", ["chunks.jsonl", "vectors.faiss", "lexical/whole/params.index.json"])
def test_damage_is_seen_and_named(documents: Path, root: Path, file: str) -> None:
    build(documents, root, FakeEncoder())
    path = root / "versions" / str(current_version(root)) / file
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(IndexUnusableError, match=rf"{file} が内容が変わっています"):
        load_current(root)
    path.unlink()
    with pytest.raises(IndexUnusableError, match=rf"{file} がありません"):
        load_current(root)


def test_another_format_or_tokenizer_is_refused(documents: Path, root: Path) -> None:
    build(documents, root, FakeEncoder())
    path = root / "versions" / str(current_version(root)) / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "format_version": 99}), encoding="utf-8")
    with pytest.raises(IndexUnusableError, match=f"索引 99・このプログラム {store.FORMAT_VERSION}"):
        load_current(root)
    path.write_text(json.dumps({**manifest, "tokenizer": "other"}), encoding="utf-8")
    with pytest.raises(IndexUnusableError, match="索引「other」"):
        load_current(root)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(IndexUnusableError, match=r"manifest\.json"):
        load_current(root)


def test_no_index_at_all(root: Path) -> None:
    with pytest.raises(IndexMissingError):
        load_current(root)


def test_few_versions_are_kept(documents: Path, root: Path) -> None:
    names = [build(documents, root, FakeEncoder()).version for _ in range(5)]
    left = sorted(p.name for p in (root / "versions").iterdir())
    assert len(left) == store.KEEP_VERSIONS
    assert names[-1] in left


def test_the_switch_is_one_step(documents: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(documents, root, FakeEncoder()).version

    def refuse(self: Path, target: Path) -> Path:
        raise OSError("power cut")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="power cut"):
        switch(root, "another")
    assert current_version(root) == first


def test_a_server_takes_up_a_new_version_and_keeps_the_old_if_it_is_damaged(
    documents: Path, root: Path
) -> None:
    encoder = FakeEncoder()
    current = CurrentIndex(root, model_record(encoder))
    assert current.get() is None
    first = build(documents, root, encoder).version
    index = current.get()
    assert index is not None
    assert index.version == first
    second = build(documents, root, encoder).version
    newer = current.get()
    assert newer is not None
    assert newer.version == second
    assert index.version == first  # a reader of the old version finishes with it
    third = build(documents, root, encoder).version
    (root / "versions" / third / "vectors.faiss").write_bytes(b"broken")
    kept = current.get()
    assert kept is not None
    assert kept.version == second
    assert current.problem is not None
    assert "vectors.faiss" in current.problem


def test_jobs_tell_how_a_rebuild_ended(documents: Path, root: Path) -> None:
    def finished(jobs: Jobs) -> object:
        job = jobs.start()
        for _ in range(400):
            state = jobs.get(job.id)
            assert state is not None
            if state.status in {"succeeded", "failed"}:
                return state
            __import__("time").sleep(0.02)
        raise AssertionError("the job did not end")

    good = finished(Jobs(lambda progress: build(documents, root, FakeEncoder(), progress=progress)))
    assert (good.status, good.added, good.errors) == ("succeeded", 3, ())  # type: ignore[attr-defined]
    bad = finished(
        Jobs(lambda progress: build(documents / "会議" / "議事録.txt", root, Breaking(), progress=progress))
    )
    assert bad.status == "failed"  # type: ignore[attr-defined]
    assert bad.errors[0].message.endswith("。")  # type: ignore[attr-defined]


def test_a_model_record_holds_what_must_agree() -> None:
    assert model_record(FakeEncoder()) == ModelRecord(
        "fake", "0" * 16, 64, {"query": "q: ", "passage": "p: "}
    )
