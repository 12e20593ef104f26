"""Building: what is read, what is encoded again, and that a failure leaves the old version in use."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeEncoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from build_index import summary
from corpus.chunks import passage_of
from corpus.records import Passage
from index.build import BuildRefusedError, NothingToIndexError, build
from index.checking import SelfQueryError, check_segment
from index.engines import Probe, probe
from index.late import Nearness, TokenVectors
from index.passages import model_record, vector_key
from index.plan import RACY_NS, find_files
from index.previous import lasting_stamps
from index.reading import ReaderProcess
from index.report import read_report
from index.segment import StoredSegment
from index.store import Index, Scope, current_version, load_current, load_version
from index.tokenizer import tokenize
from index.versions import IndexUnusableError, history, read_manifest


def book(place: str, fee: str = "三百円") -> str:
    """A document of three chunks, one a heading."""
    return (
        f"# {place}の手引き\n\n## 受付\n\n{place}の受付は平日の午前九時から午後五時までです。\n\n"
        f"## 手数料\n\n{place}の手数料は一通につき{fee}です。\n\n"
        f"## 問い合わせ\n\n電話は{place}の窓口担当におかけください。\n"
    )


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    for place in ("市民課", "税務課", "福祉課", "教育課"):
        put(tmp_path / "documents", f"{place}.md", book(place))
    return tmp_path / "documents"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "index"


def leftovers(root: Path) -> list[str]:
    return [p.name for p in root.rglob(".*") if p.name != ".lock"]


def test_the_first_build(documents: Path, root: Path, fake: FakeEncoder) -> None:
    report = build(documents, root, fake)
    assert (report.documents, report.chunks, report.cases) == (4, 12, 0)
    assert (report.added, report.changed, report.removed, report.unchanged) == (4, 0, 0, 0)
    assert (report.encoded, report.reused) == (12, 0) == (len(fake.passages), 0)
    assert (report.errors, leftovers(root)) == ((), [])
    index = load_current(root, model_record(fake))
    assert index.version == report.version == current_version(root)
    for chunk in index.chunks:
        assert index.documents[chunk.document_id].text[chunk.start : chunk.end] == chunk.text


def test_row_i_is_row_i(documents: Path, root: Path, fake: FakeEncoder) -> None:
    """A chunk's vector and words find that chunk, also after a build that took most vectors over."""
    build(documents, root, fake)
    put(documents, "市民課.md", book("市民課", "四百円"))
    put(documents, "あ.md", book("戸籍課"))  # comes first: all rows move
    build(documents, root, fake)
    index = load_current(root)
    titles = {document.id: document.title for document in index.documents.values()}
    for chunk in index.chunks:
        passage = passage_of(titles[chunk.document_id], chunk, None)
        vectors, tokens = fake.encode_with_tokens([passage.words], contexts=[passage.where])
        asked = Probe(vectors[0], [], (), tokens[0] if tokens else None)
        found = {hit.chunk.id: hit.dense for hit in index.search(asked, len(index.chunks))}
        assert found[chunk.id] == pytest.approx(1.0, abs=1e-5)
        place = chunk.text.split("の")[0].split()[-1]
        by_word = index.search(replace(asked, words=tokenize(passage.words)), 1)[0]
        assert by_word.chunk.id == chunk.id, place


def test_nothing_changed(documents: Path, root: Path, fake: FakeEncoder) -> None:
    first = build(documents, root, fake)
    before = load_current(root)
    fake.passages.clear()
    second = build(documents, root, fake)
    assert fake.passages == []
    assert (second.encoded, second.reused, second.unchanged, second.added) == (0, 12, 4, 0)
    assert (second.documents, second.chunks, second.changes) == (4, 12, ())
    assert second.version == first.version == current_version(root)
    assert load_current(root).chunks == before.chunks


def test_full_encodes_everything_and_still_counts_what_changed(
    documents: Path, root: Path, fake: FakeEncoder
) -> None:
    build(documents, root, fake)
    report = build(documents, root, fake, full=True)
    assert (report.encoded, report.reused, report.unchanged, report.added) == (12, 0, 4, 0)


def test_one_document_of_four_changed(documents: Path, root: Path, fake: FakeEncoder) -> None:
    build(documents, root, fake)
    fake.passages.clear()
    put(documents, "税務課.md", book("税務課", "五百円"))
    report = build(documents, root, fake)
    assert len(fake.passages) == 1
    assert "五百円" in fake.passages[0]
    assert (report.changed, report.unchanged, report.added, report.removed) == (1, 3, 0, 0)
    assert (report.encoded, report.reused) == (1, 11)
    assert any("五百円" in chunk.text for chunk in load_current(root).chunks)


def test_added_changed_removed_unchanged(documents: Path, root: Path, fake: FakeEncoder) -> None:
    build(documents, root, fake)
    (documents / "教育課.md").unlink()
    put(documents, "福祉課.md", book("福祉課", "無料"))
    put(documents, "新しい課.md", book("新しい課"))
    report = build(documents, root, fake)
    assert (report.added, report.changed, report.removed, report.unchanged) == (1, 1, 1, 2)
    assert {d.path for d in load_current(root).documents.values()} == {
        "市民課.md",
        "税務課.md",
        "福祉課.md",
        "新しい課.md",
    }


def test_a_removed_document_that_comes_back(documents: Path, root: Path, fake: FakeEncoder) -> None:
    build(documents, root, fake)
    words = (documents / "教育課.md").read_text(encoding="utf-8")
    (documents / "教育課.md").unlink()
    build(documents, root, fake)
    put(documents, "教育課.md", words)
    report = build(documents, root, fake)
    assert (report.added, report.removed, report.encoded) == (1, 0, 0)  # its rows were still there


def test_the_same_content_under_two_names(documents: Path, root: Path, fake: FakeEncoder) -> None:
    put(documents, "写し/税務課のコピー.md", book("税務課"))
    report = build(documents, root, fake)
    assert (report.documents, report.chunks, report.errors) == (4, 12, ())
    assert len(report.warnings) == 1
    kept, note = report.warnings[0]
    names = {"写し/税務課のコピー.md", "税務課.md"}
    assert kept in names
    assert (names - {kept}).pop() in note


def test_the_same_words_under_one_heading_are_encoded_once(
    documents: Path, root: Path, fake: FakeEncoder
) -> None:
    text = "# 同じ題\n\n## 受付\n\n受付は平日の午前九時から午後五時までです。\n\n## 費用\n\n費用は{}が出します。\n"
    put(documents, "x.md", text.format("国と県"))
    put(documents, "y.md", text.format("市と町"))
    report = build(documents, root, fake)
    assert (report.chunks, report.encoded, len(fake.passages)) == (16, 15, 15)
    assert len({chunk.id for chunk in load_current(root).chunks}) == 16


def test_a_vector_is_kept_for_its_words_and_its_place() -> None:
    keys = {
        vector_key(Passage(where, "", "", words))
        for where, words in [("a", "b"), ("ab", ""), ("", "ab"), ("a\0", "b")]
    }
    assert len(keys) == 4
    # neither `near` nor the heading alone is embedded
    assert vector_key(Passage("a", "x", "h", "b")) == vector_key(Passage("a", "y", "i", "b"))


def test_unreadable_files_are_reported_and_the_others_indexed(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (documents / "空.txt").write_bytes(b"")
    (documents / "表.xlsx").write_bytes(b"PK\x03\x04")
    put(documents, "大きい.txt", "あ" * 2000)
    monkeypatch.setattr("index.plan.MAX_FILE_BYTES", 5000)
    real = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "禁止.txt":
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments, **options)

    put(documents, "禁止.txt", "読めない")
    monkeypatch.setattr(Path, "open", refuse)
    report = build(documents, root, fake)
    assert report.documents == 4
    errors = dict(report.errors)
    assert set(errors) == {"空.txt", "表.xlsx", "大きい.txt", "禁止.txt"}
    assert all(message.endswith("ください。") for message in errors.values())
    assert ".xlsx" in errors["表.xlsx"]
    assert {e["path"] for e in load_current(root).manifest["errors"]} == set(errors)


@pytest.mark.parametrize("left", ["nothing", "unreadable", "no words"])
def test_nothing_to_index_leaves_the_old_version(
    documents: Path, root: Path, fake: FakeEncoder, left: str
) -> None:
    first = build(documents, root, fake).version
    for path in documents.iterdir():
        path.unlink()
    if left == "unreadable":
        (documents / "空.txt").write_bytes(b"")
    elif left == "no words":
        put(documents, "線.txt", "-----\n")
    with pytest.raises(NothingToIndexError) as raised:
        build(documents, root, fake)
    assert ("空.txt" in str(raised.value)) == (left == "unreadable")
    assert str(raised.value).endswith("ください。")
    assert load_current(root).version == first
    assert leftovers(root) == []


def test_a_second_build_at_the_same_time_is_refused(documents: Path, root: Path, fake: FakeEncoder) -> None:
    build(documents, root, fake)
    with (root / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BuildRefusedError, match="実行中"):
            build(documents, root, fake)
    build(documents, root, fake)  # and free again after


def test_two_threads_do_not_build_at_once(documents: Path, root: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(FakeEncoder):
        def encode_with_tokens(
            self,
            texts: Sequence[str],
            progress: Callable[[int, int], None] | None = None,
            contexts: Sequence[str] | None = None,
        ) -> tuple[np.ndarray, list[TokenVectors] | None]:
            inside.set()
            assert go_on.wait(10)
            return super().encode_with_tokens(texts, progress, contexts)

    reports: list[object] = []
    thread = threading.Thread(target=lambda: reports.append(build(documents, root, Slow())))
    thread.start()
    assert inside.wait(10)
    with pytest.raises(BuildRefusedError):
        build(documents, root, FakeEncoder())
    go_on.set()
    thread.join(10)
    assert len(reports) == 1


@pytest.mark.parametrize("error", [RuntimeError("broken model"), KeyboardInterrupt()])
@pytest.mark.parametrize("stage", ["encoding", "writing"])
def test_a_failure_leaves_the_old_version_and_nothing_else(
    documents: Path,
    root: Path,
    fake: FakeEncoder,
    error: BaseException,
    stage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = build(documents, root, fake).version
    put(documents, "税務課.md", book("税務課", "五百円"))

    def fail(*arguments: object, **options: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        if stage == "encoding":
            patch.setattr(fake, "encode_with_tokens", fail)
        else:
            patch.setattr("index.segment.Postings.joined", fail)
        with pytest.raises(type(error)):
            build(documents, root, fake)
    assert load_current(root, model_record(fake)).version == first
    assert [p.name for p in (root / "versions").iterdir()] == [first]
    assert leftovers(root) == []
    assert build(documents, root, fake).changed == 1


def test_a_new_version_that_does_not_find_itself_is_not_taken(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(documents, root, fake).version
    put(documents, "税務課.md", book("税務課", "五百円"))
    with monkeypatch.context() as patch:
        patch.setattr("index.lexical.LexicalIndex.search", lambda *arguments: [])
        with pytest.raises(BuildRefusedError, match="見つけられません"):
            build(documents, root, fake)
    with monkeypatch.context() as patch:
        patch.setattr("index.dense.DenseIndex.search", lambda *arguments: [])
        with pytest.raises(BuildRefusedError, match="見つけられません"):
            build(documents, root, fake)
    with monkeypatch.context() as patch:
        patch.setattr(
            "index.late.LateIndex.scores", lambda self, question, vector, rows: [Nearness(rows[0], 0.9, None)]
        )
        with pytest.raises(BuildRefusedError, match="語ごと"):
            build(documents, root, fake)
    assert current_version(root) == first
    assert leftovers(root) == []


def test_a_text_without_any_content_word(documents: Path, root: Path, fake: FakeEncoder) -> None:
    for path in documents.iterdir():
        path.unlink()
    put(documents, "叫び.txt", "あ" * 20 + "。\n")
    assert build(documents, root, fake).chunks == 1
    put(documents, "受付.md", book("受付"))
    assert build(documents, root, fake).chunks == 4


def test_hidden_and_temporary_files_and_links_that_leave_the_folder(documents: Path, tmp_path: Path) -> None:
    for name in (".隠し.md", ".git/x.md", "~$開いている.md", "下/.隠し/y.md"):
        put(documents, name, "見えない")
    secret = put(tmp_path / "elsewhere", "秘密.md", "外の資料")
    (documents / "外への矢印.md").symlink_to(secret)
    (documents / "外のフォルダー").symlink_to(secret.parent, target_is_directory=True)
    (documents / "切れた矢印.md").symlink_to(tmp_path / "no")
    (documents / "中の矢印.md").symlink_to(documents / "市民課.md")
    put(documents, "下/見える.md", "見える")
    names = [path.relative_to(documents).as_posix() for path in find_files(documents)]
    assert names == sorted(names)
    assert set(names) == {"下/見える.md", "中の矢印.md", "市民課.md", "教育課.md", "福祉課.md", "税務課.md"}


def test_a_folder_that_is_itself_hidden_or_a_link(tmp_path: Path) -> None:
    put(tmp_path / ".資料", "a.md", "見える")
    (tmp_path / "矢印").symlink_to(tmp_path / ".資料", target_is_directory=True)
    assert [path.name for path in find_files(tmp_path / ".資料")] == ["a.md"]
    assert [path.name for path in find_files(tmp_path / "矢印")] == ["a.md"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_file_name_that_is_not_utf8(documents: Path, root: Path, fake: FakeEncoder) -> None:
    path = os.fsencode(documents) + b"/\x8e\x8e.md"
    with open(path, "wb") as file:  # noqa: PTH123 - a Path cannot be made of such bytes
        file.write(book("試験課").encode())
    assert build(documents, root, fake).added == 5
    assert build(documents, root, fake).unchanged == 5


@pytest.mark.parametrize(("name", "fingerprint"), [("other", "f0"), ("fake", "f1")])
def test_another_model_encodes_everything_again(
    documents: Path, root: Path, fake: FakeEncoder, name: str, fingerprint: str
) -> None:
    build(documents, root, fake)
    other = FakeEncoder(name, fingerprint)
    report = build(documents, root, other)
    assert (report.encoded, report.reused, report.unchanged, report.added) == (12, 0, 4, 0)
    assert len(other.passages) == 12
    assert load_current(root, model_record(other)).version == report.version


@pytest.mark.parametrize(
    "damage", ["segment gone", "segment cut off", "manifest empty", "manifest is a list", "no such version"]
)
def test_a_damaged_old_version_is_built_over(
    documents: Path, root: Path, fake: FakeEncoder, damage: str
) -> None:
    version = build(documents, root, fake).version
    manifest = root / "versions" / version / "manifest.json"
    if damage == "segment gone":
        shutil.rmtree(root / "segments" / f"{version}-text")
    elif damage == "segment cut off":
        file = root / "segments" / f"{version}-text" / "vectors.faiss"
        file.write_bytes(file.read_bytes()[:-5])
    elif damage == "no such version":
        (root / "CURRENT").write_text("gone\n")
    else:
        manifest.write_text("{}" if damage == "manifest empty" else "[]")
    report = build(documents, root, fake)
    assert (report.encoded, report.reused) == (12, 0)
    assert load_current(root, model_record(fake)).version == report.version


def flip(file: Path) -> None:
    """Damages a file without a change of its size: one bit in its middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        "vectors.faiss",
        "keys.npy",
        "heading_keys.npy",
        "sorted/fingerprints.npy",
        "late/*.npy",
        "documents.jsonl",
        "texts.utf8",
        "chunks.jsonl",
        "segment.json",
    ],
)
@pytest.mark.parametrize("step", ["nothing changed", "one added", "full"])
def test_a_damaged_segment_is_never_carried_over(
    documents: Path, root: Path, fake: FakeEncoder, name: str, step: str
) -> None:
    """A bit that tips over under a build: the documents of that segment are read and encoded anew, those of the other not."""
    first = build(documents, root, fake).version
    put(
        documents, "一覧.csv", "題名,本文\n" + "".join(f"第{n}号,窓口の{n}番の記事です。\n" for n in range(5))
    )
    build(documents, root, fake)
    damaged = root / "segments" / f"{first}-text"
    flip(sorted(damaged.glob(name))[0])
    with pytest.raises(IndexUnusableError):
        load_current(root)
    if step == "one added":
        put(documents, "新しい課.md", book("新しい課"))
    report = build(documents, root, fake, full=step == "full")
    index = load_current(root, model_record(fake))
    assert index.version == report.version
    assert first not in "".join(index.segments)
    assert report.encoded == {"nothing changed": 12, "one added": 15, "full": 17}[step]
    assert "索引は最新です" not in summary(report)
    assert same(index, fresh(documents, root.parent / "fresh", fake))


def test_what_was_found_whole_is_not_read_again(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.previous.RACY_NS", 0)
    first = build(documents, root, fake).version
    put(
        documents, "一覧.csv", "題名,本文\n" + "".join(f"第{n}号,窓口の{n}番の記事です。\n" for n in range(5))
    )
    read: list[str] = []
    check = StoredSegment.check

    def checked(stored: StoredSegment) -> None:
        read.append(stored.name.removeprefix(".building-"))
        check(stored)

    monkeypatch.setattr(StoredSegment, "check", checked)
    second = build(documents, root, fake).version
    assert read == [f"{second}-list"]  # the new one; the other is as it was when it was written
    text = root / "segments" / f"{first}-text" / "keys.npy"
    text.write_bytes(text.read_bytes())  # written to, though nothing changed
    put(documents, "新しい課.md", book("新しい課"))
    read.clear()
    third = build(documents, root, fake)
    assert sorted(read) == sorted([f"{first}-text", f"{third.version}-text"])
    assert third.encoded == 3
    (root / "versions" / third.version / "checked.json").write_text("[", encoding="utf-8")
    read.clear()
    (documents / "新しい課.md").rename(documents / "もっと新しい課.md")
    build(documents, root, fake)
    assert set(read) >= set(read_manifest(root, third.version)["segments"])  # nothing is known of them


def test_a_stamp_counts_only_when_it_has_settled() -> None:
    written = {"a": {"x": [1, 1_000, 7], "y": [1, 5_000_000_000, 8]}, "b": {"x": [1, 1_000, 9]}}
    assert list(lasting_stamps(written, 5_000_000_001)) == ["b"]
    assert list(lasting_stamps(written, 5_000_000_000 + RACY_NS + 1)) == ["a", "b"]


def test_progress_goes_through_the_stages(documents: Path, root: Path, fake: FakeEncoder) -> None:
    calls: list[tuple[str, int, int]] = []
    build(documents, root, fake, progress=lambda *call: calls.append(call))
    assert list(dict.fromkeys(stage for stage, _, _ in calls)) == [
        "reading",
        "encoding",
        "writing",
        "checking",
    ]
    assert ("reading", 4, 4) in calls
    assert ("encoding", 12, 12) in calls
    assert calls[-1] == ("checking", 1, 1)
    assert all(0 <= done <= total for _, done, total in calls)


def test_only_what_changed_is_read_and_written(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(documents, root, fake)
    for path in documents.iterdir():
        os.utime(path, (1, 1))
    build(documents, root, fake)
    segment = root / "segments" / f"{current_version(root)}-text"
    before = {path: path.stat().st_mtime_ns for path in segment.rglob("*")}
    put(documents, "新しい課.md", book("新しい課"))
    parsed: list[str] = []
    ask = ReaderProcess.ask
    monkeypatch.setattr(
        ReaderProcess, "ask", lambda reader, path, *rest: parsed.append(path) or ask(reader, path, *rest)
    )
    fake.passages.clear()
    report = build(documents, root, fake)
    assert parsed == ["新しい課.md"]
    assert len(fake.passages) == 3
    assert (report.added, report.unchanged, report.encoded, report.reused) == (1, 4, 3, 12)
    assert {path: path.stat().st_mtime_ns for path in segment.rglob("*")} == before or not segment.exists()


def test_a_renamed_document_is_neither_read_nor_encoded(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(documents, root, fake)
    before = load_current(root)
    (documents / "税務課.md").rename(documents / "あたらしい名.md")
    monkeypatch.setattr(ReaderProcess, "ask", lambda *arguments: pytest.fail("read again"))
    fake.passages.clear()
    report = build(documents, root, fake)
    assert fake.passages == []
    assert (report.renamed, report.unchanged, report.added, report.removed) == (1, 3, 0, 0)
    (change,) = report.changes
    assert (change.change, change.path, change.before) == ("renamed", "あたらしい名.md", "税務課.md")
    after = load_current(root)
    assert after.documents.keys() == before.documents.keys()
    assert {d.path for d in after.documents.values()} == {
        "あたらしい名.md",
        "市民課.md",
        "教育課.md",
        "福祉課.md",
    }
    monkeypatch.undo()
    assert same(after, fresh(documents, root.parent / "fresh", fake))


def test_a_name_with_another_suffix_is_read_again(documents: Path, root: Path, fake: FakeEncoder) -> None:
    build(documents, root, fake)
    (documents / "税務課.md").rename(documents / "税務課.txt")
    assert build(documents, root, fake).renamed == 1
    assert {d.format for d in load_current(root).documents.values() if d.path == "税務課.txt"} == {"txt"}


def test_the_same_content_gets_and_loses_a_second_name(
    documents: Path, root: Path, fake: FakeEncoder
) -> None:
    build(documents, root, fake)
    copy = put(documents, "写し/税務課.md", book("税務課"))
    report = build(documents, root, fake)
    assert (report.documents, report.unchanged, report.encoded) == (4, 4, 0)
    assert [(c.change, c.path) for c in report.changes] == [("copied", "写し/税務課.md")]
    (document,) = [d for d in load_current(root).documents.values() if "税務課.md" in d.paths]
    assert document.paths == ("写し/税務課.md", "税務課.md")
    copy.unlink()
    build(documents, root, fake)
    (document,) = [d for d in load_current(root).documents.values() if d.title == "税務課の手引き"]
    assert (document.path, document.paths) == ("税務課.md", ("税務課.md",))


def test_a_file_that_cannot_be_read_for_now_keeps_its_document(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(documents, root, fake)
    put(documents, "税務課.md", book("税務課", "五百円"))
    real = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "税務課.md":
            raise OSError(5, "Input/output error")
        return real(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        report = build(documents, root, fake)
    assert (report.documents, report.unchanged, report.removed) == (4, 4, 0)
    assert [path for path, _ in report.errors] == ["税務課.md"]
    assert any("三百円" in chunk.text and "税務課" in chunk.text for chunk in load_current(root).chunks)
    assert build(documents, root, fake).changed == 1


def test_a_document_that_became_unreadable_leaves_the_index_and_is_named(
    documents: Path, root: Path, fake: FakeEncoder
) -> None:
    build(documents, root, fake)
    (documents / "税務課.md").write_bytes(b"")
    report = build(documents, root, fake)
    assert (report.documents, report.changed, report.unchanged) == (3, 0, 3)
    assert [path for path, _ in report.errors] == ["税務課.md"]
    assert not any("税務課" in chunk.text for chunk in load_current(root).chunks)
    again = build(documents, root, fake)  # nothing changed since: the file is named still, and not read again
    assert (again.version, again.errors) == (report.version, report.errors)


def test_small_segments_are_written_anew_together(documents: Path, root: Path, fake: FakeEncoder) -> None:
    build(documents, root, fake)
    for number in range(12):
        put(documents, f"{number:02}.md", book(f"第{number}課"))
        build(documents, root, fake)
    index = load_current(root)
    assert len(index.segments) <= 6
    assert same(index, fresh(documents, root.parent / "fresh", fake))
    # what nobody needs any more is gone, what the kept versions need is there
    kept = {path.name for path in (root / "segments").iterdir()}
    needed: set[str] = set()
    for entry in history(root):
        needed.update(read_manifest(root, entry.name)["segments"])
        load_version(root, entry.name, model_record(fake))
    assert kept == needed


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments have the sizes below 4, to 8, to 16 and 20 rows, and two documents at most are kept in memory."""
    monkeypatch.setattr("index.merging.SMALL", 4)
    monkeypatch.setattr("index.merging.STEP", 2)
    monkeypatch.setattr("index.merging.FULL", 20)
    monkeypatch.setattr("index.spool.IN_MEMORY", 6)


@pytest.mark.usefixtures("few_rows")
def test_many_documents_are_written_in_several_segments(
    documents: Path, root: Path, fake: FakeEncoder
) -> None:
    for number in range(30):
        put(documents, f"{number:02}.md", book(f"第{number}課"))
    calls: list[tuple[str, int, int]] = []
    report = build(documents, root, fake, progress=lambda *call: calls.append(call))
    manifest = read_manifest(root, report.version)
    assert [name.removeprefix(report.version) for name in manifest["segments"]] == [
        "-text", *(f"-text-{number}" for number in range(2, 6))
    ]  # fmt: skip
    assert [len(StoredSegment(root / "segments" / name)) for name in manifest["segments"]] == [21] * 4 + [18]
    assert len(fake.passages) == report.encoded == report.chunks == 34 * 3
    encoding = [(done, total) for stage, done, total in calls if stage == "encoding"]
    assert encoding == sorted(encoding)
    assert encoding[-1] == (102, 102)
    index = load_current(root, model_record(fake))
    fake.passages.clear()
    put(documents, "31.md", book("第31課"))
    assert build(documents, root, fake).encoded == len(fake.passages) == 3
    # whole documents are the same words in another segment: none of them is encoded twice
    put(documents, "写し.md", "前書き\n\n" + (documents / "00.md").read_text(encoding="utf-8"))
    build(documents, root, fake)
    assert index.documents.keys() < load_current(root).documents.keys()


@pytest.mark.usefixtures("few_rows")
def test_words_of_an_earlier_portion_are_not_encoded_again(
    documents: Path, root: Path, fake: FakeEncoder
) -> None:
    for path in documents.iterdir():
        path.unlink()
    for number in range(40):
        put(
            documents,
            f"{number:02}.md",
            f"# 同じ題\n\n## 受付\n\n受付は平日の午前九時から午後五時までです。\n\n## 費用\n\n第{number}の費用は県が出します。\n",
        )
    report = build(documents, root, fake)
    assert len(load_current(root).segments) == 4
    assert (report.chunks, report.encoded) == (80, 41)


@pytest.mark.usefixtures("few_rows")
def test_segments_are_written_anew_once_the_new_version_is_in_use(
    documents: Path, root: Path, fake: FakeEncoder
) -> None:
    build(documents, root, fake)
    merges, most = 0, 0
    for number in range(25):
        put(documents, f"{number:02}.md", book(f"第{number}課"))
        seen: list[tuple[str, int, set[str]]] = []

        def watch(stage: str, done: int, total: int, seen: list[Any] = seen) -> None:
            if stage == "merging":
                paths = {document.path for document in load_current(root).documents.values()}
                seen.append((done, total, paths))

        report = build(documents, root, fake, progress=watch)
        if seen:
            merges += 1
            # who asks meanwhile is answered from the new document, from a version that nobody sees afterwards
            assert all(f"{number:02}.md" in paths for _, _, paths in seen)
            counts = [done for done, _, _ in seen]
            assert counts == sorted(counts)
            assert (counts[0], counts[-1]) == (0, seen[0][1])
        assert report.version == current_version(root)
        assert report.added == 1
        kept = read_report(root / "versions" / report.version)
        assert kept is not None
        assert (kept.version, kept.added) == (report.version, 1)
        assert leftovers(root) == []
        entries = history(root)
        assert [entry.documents for entry in entries] == sorted(
            {entry.documents for entry in entries}, reverse=True
        )  # one version for each state of the folder
        index = load_current(root, model_record(fake))
        most = max(most, len(index.segments))
    assert merges >= 3
    assert most <= 9
    assert build(documents, root, fake).changes == ()
    assert same(index, fresh(documents, root.parent / "fresh", fake))


@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize("trouble", ["no room", "disk error", "does not answer"])
def test_what_cannot_be_written_anew_stays_as_it_is(
    documents: Path, root: Path, fake: FakeEncoder, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in documents.iterdir():
        path.unlink()
    real = StoredSegment.contents

    def fail(*arguments: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    def refuse(folder: Path) -> str:
        if folder.name.endswith("-text") and len(StoredSegment(folder)) > 6:
            raise SelfQueryError("見つけられません")
        return check_segment(folder)

    for number in range(6):
        put(documents, f"{number:02}.md", book(f"第{number}課"))
        put(documents, f"{number:02}b.md", book(f"第{number}係"))
        with monkeypatch.context() as patch:
            if trouble == "no room":
                patch.setattr("index.build.ROOM", 1e9)
            elif trouble == "disk error":
                patch.setattr(StoredSegment, "contents", fail)
            else:
                patch.setattr("index.build.check_segment", refuse)
            report = build(documents, root, fake)
        assert report.version == current_version(root)
        assert leftovers(root) == []
        assert len(load_current(root, model_record(fake)).documents) == 2 * number + 2
    assert len(load_current(root).segments) == 6
    assert StoredSegment.contents is real
    before = current_version(root)
    report = build(documents, root, fake)  # nothing changed, and now it can be done
    assert report.version == current_version(root) != before
    assert len(load_current(root).segments) < 6
    assert same(load_current(root), fresh(documents, root.parent / "fresh", fake))


def test_a_segment_mostly_left_behind_is_written_anew(
    documents: Path, root: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.merging.SMALL", 0)
    build(documents, root, fake)
    (documents / "税務課.md").unlink()
    build(documents, root, fake)
    (segment,) = load_current(root).segments.values()
    assert len(segment.records) == 12
    (documents / "教育課.md").unlink()
    (documents / "福祉課.md").unlink()
    build(documents, root, fake)
    (segment,) = load_current(root).segments.values()
    assert len(segment.records) == 3


def test_the_report_is_kept_beside_its_version(documents: Path, root: Path, fake: FakeEncoder) -> None:
    build(documents, root, fake)
    (documents / "教育課.md").unlink()
    put(documents, "福祉課.md", book("福祉課", "無料"))
    put(documents, "新しい課.md", book("新しい課"))
    (documents / "空.txt").write_bytes(b"")
    report = build(documents, root, fake)
    assert {(change.change, change.path, change.chunks) for change in report.changes} == {
        ("added", "新しい課.md", 3),
        ("changed", "福祉課.md", 3),
        ("removed", "教育課.md", 0),
    }
    kept = read_report(root / "versions" / report.version)
    assert kept is not None
    assert replace(kept, seconds=report.seconds) == report


def test_editions_and_copies_are_told(documents: Path, root: Path, fake: FakeEncoder) -> None:
    body = "".join(
        f"第{n}条　窓口の受付は{n}時に始め、{n * 7}人までを順に案内することとします。\n\n" for n in range(60)
    )
    put(documents, "計画_第1版.md", f"# 窓口計画 第1版\n\n令和5年4月1日\n\n{body}")
    build(documents, root, fake)
    put(documents, "計画_第2版.md", f"# 窓口計画 第2版\n\n令和6年4月1日\n\n{body}新しい条を加える。\n")
    put(documents, "計画の写し.txt", f"窓口計画 第1版\n\n令和5年4月1日\n\n{body}")
    report = build(documents, root, fake)
    told = {(pair.path, pair.other): pair.relation for pair in report.alike}
    assert told[("計画_第2版.md", "計画_第1版.md")] == "newer"
    assert told[("計画の写し.txt", "計画_第1版.md")] == "same"
    assert ("計画の写し.txt", "計画_第2版.md") in told or ("計画_第2版.md", "計画の写し.txt") in told
    assert not any("市民課.md" in pair for pair in told)


def test_two_headings_that_become_one_of_a_kind_again(documents: Path, root: Path, fake: FakeEncoder) -> None:
    """A heading counts for its row while no other row has it, whichever segments they stand in."""
    build(documents, root, fake)
    put(documents, "別.md", "# 別の題\n\n## 珍しい見出し\n\n受付は平日の午前九時から午後五時までです。\n")
    build(documents, root, fake)
    put(documents, "又.md", "# 又の題\n\n## 珍しい見出し\n\n手数料は一通につき三百円で、現金で払います。\n")
    build(documents, root, fake)
    assert same(load_current(root), fresh(documents, root.parent / "1", fake))
    (documents / "又.md").unlink()
    build(documents, root, fake)
    assert same(load_current(root), fresh(documents, root.parent / "2", fake))


def fresh(documents: Path, root: Path, encoder: FakeEncoder) -> Index:
    """The index of a folder as it is built from nothing."""
    build(documents, root, encoder)
    return load_current(root)


def same(index: Index, other: Index) -> bool:
    """Whether two indexes hold the same and answer alike, whatever their segments."""
    assert {d.id: d for d in index.documents.values()} == {d.id: d for d in other.documents.values()}
    assert index.cases == other.cases
    assert sorted(index.chunks, key=lambda c: c.id) == sorted(other.chunks, key=lambda c: c.id)
    asker = FakeEncoder()
    for question in (
        "窓口の受付は何時から？",
        "手数料は五百円ですか",
        "税務課の電話",
        "珍しい見出し",
        "第3条",
    ):
        asked = probe(asker, question)
        for among in (None, Scope(chunks=[chunk.id for chunk in index.chunks][::2])):
            one = {hit.chunk.id: hit for hit in index.search(asked, 500, among)}
            two = {hit.chunk.id: hit for hit in other.search(asked, 500, among)}
            assert one.keys() == two.keys()
            for key, hit in one.items():
                assert hit.score == pytest.approx(two[key].score, abs=1e-6)
                assert hit.lexical == pytest.approx(two[key].lexical, abs=1e-6)
                assert hit.late == pytest.approx(two[key].late, abs=1e-6)
    return True


NAMES = ["a.md", "b.md", "c.txt", "下/d.md", "下/e.txt"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "remove", "rename", "copy", "break"]),
            st.sampled_from(NAMES),
            st.sampled_from(NAMES),
            st.sampled_from(["市民課", "税務課", "三百円", "無料"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_step_by_step_is_as_all_at_once(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    step_by_step(tmp_path_factory.mktemp("steps"), steps)


def step_by_step(folder: Path, steps: list[Any]) -> None:
    documents, root, fake = folder / "documents", folder / "index", FakeEncoder()
    put(documents, "いつも.md", book("総務課"))
    build(documents, root, fake)
    for kind, name, other, words in steps:
        path, target = documents / name, documents / other
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == "write":
            put(documents, name, book(words, words))
        elif kind == "break":
            put(documents, name, "")
        elif path.exists() and kind == "remove":
            path.unlink()
        elif path.exists() and kind == "rename":
            path.replace(target)
        elif path.exists() and kind == "copy" and path != target:
            shutil.copy(path, target)
        build(documents, root, fake)
    index = load_current(root)
    assert same(index, fresh(documents, folder / "fresh", fake))
    assert index.manifest["errors"] == load_current(folder / "fresh").manifest["errors"]
    assert leftovers(root) == []
