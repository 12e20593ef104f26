"""The documents folder over HTTP: names, whole files or none, what waits, and what a crash leaves."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import CASE_BOOK, FAQ, MINUTES, FakeEncoder

from corpus.documents import parse
from corpus.records import Document
from index import library as module
from index.build import build
from index.library import (
    Library,
    Looking,
    NotReadError,
    NotStagedError,
    Staged,
    StorageError,
    Stored,
    UploadRefusedError,
    checked_name,
    shown_name,
)
from index.plan import find_files
from index.reading import ReaderProcess
from index.records import Records
from index.store import Index, load_current

OLD, NEW = ("# 案内\n\n窓口は三階です。\n".encode(), "# 案内\n\n窓口は一階に移りました。\n".encode())


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "documents")


def stream(content: bytes | str) -> io.BytesIO:
    return io.BytesIO(content.encode() if isinstance(content, str) else content)


def inside(folder: Path) -> dict[str, bytes]:
    """What a build sees."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in find_files(folder)}


def removed(folder: Path) -> list[bytes]:
    return sorted(file.read_bytes() for file in (folder / ".removed").rglob("*") if file.is_file())


# ---------------------------------------------------------------- names

HOSTILE = [
    "", ".", "..", "...", "/", "\\", "../x.txt", "..\\x.txt", "/etc/passwd.txt", "a/b.txt", "a\\b.txt",
    "C:\\a.txt", "C:a.txt", "a:b.txt", "x.txt:stream", "a<b.txt", "a>b.txt", 'a"b.txt', "a|b.txt", "a?b.txt",
    "a*b.txt", ".hidden.txt", ".txt", "~$報告書.docx", " a.txt", "a.txt ", "\u3000a.txt", "a.txt\u3000", "a.txt.", "a.txt. .",
    "a\0.txt", "a\n.txt", "a\r.txt", "a\t.txt", "a\x1b[31m.txt", "a\x7f.txt", "a\x85.txt",
    "a\u202etxt.exe.txt", "a\u2066b.txt", "a\u200bb.txt", "a\u200fb.txt", "a\ufeffb.txt", "a\u00adb.txt", "a\u2028b.txt",
    "a\U000e0041b.txt", "a\u3164b.txt", "a\u115fb.txt", "a\u2800b.txt", "a\ud800b.txt", "a\ue000b.txt", "a\uffffb.txt",
    "a\U0010fffeb.txt", "a\u0378b.txt",
    "CON", "CON.txt", "con.txt", "Nul.tar.txt", "aux .txt", "PRN.md", "COM1.txt", "lpt9.txt", "COM¹.txt", "conout$.txt",
    "あ" * 66 + ".txt", "a" * 197 + ".txt", "名前", "a.exe", "a.txt.lnk", "a.doc", "a.XLS", "a.ppt", "txt",
]  # fmt: skip
GOOD = [
    "a.txt", "A.TXT", "報告書.docx", "報告 書（第2版）.pdf", "令和7年度.md", "a.b.c.txt", "$a.txt", "-rf.txt", "a'b.txt",
    "a;b&c.txt", "葛\U000e0100城市.txt", "contents.txt", "COM10.txt", "窓口\u3000案内.txt", "%2e%2e%2f.txt", "{{7-7}}.txt",
    "a" * 196 + ".txt", "あ" * 65 + ".txt", "🏛.txt",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_is_refused_with_a_sentence(name: str, library: Library) -> None:
    with pytest.raises(UploadRefusedError) as refused:
        library.store(name, stream(OLD))
    assert str(refused.value).endswith("。")
    assert any("\u3041" <= letter <= "\u3096" for letter in str(refused.value))
    assert str(refused.value).isprintable()
    assert not library.folder.exists()  # refused before anything is written
    assert shown_name(name).isprintable()
    assert len(shown_name(name)) <= 100


@pytest.mark.parametrize("name", GOOD, ids=ascii)
def test_an_ordinary_name_is_kept(name: str) -> None:
    assert checked_name(name) == name


def test_there_are_enough_hostile_names() -> None:
    assert len(set(HOSTILE)) >= 40


def test_a_name_is_composed_and_an_old_format_says_how_to_convert() -> None:
    assert checked_name(unicodedata.normalize("NFD", "ガイド.txt")) == "ガイド.txt"
    with pytest.raises(UploadRefusedError, match=r"Excelで開き、.*\.xlsx"):
        checked_name("集計.xls")


LETTERS = st.characters() | st.sampled_from(list("./\\:~$ \0\u202e\u200bCONaé。"))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(LETTERS, max_size=30), st.sampled_from(["", ".txt", ".md", "/a.txt", ".TXT"]))
def test_any_name_is_refused_or_names_a_file_right_in_the_folder(
    library: Library, start: str, end: str
) -> None:
    before = set(library.folder.parent.rglob("*"))
    try:
        stored = library.store(start + end, stream(OLD))
    except UploadRefusedError:
        assert {path for path in library.folder.parent.rglob("*") if ".upload" in path.name} == set()
        assert set(library.folder.parent.rglob("*")) == before
        return
    file = library.folder / stored.path
    assert file.parent == library.folder
    assert file.name == stored.path == unicodedata.normalize("NFC", start + end)
    assert file.read_bytes() == OLD
    assert library.remove([stored.path]) == [stored.path]


# ---------------------------------------------------------------- storing


def test_a_file_comes_is_replaced_and_is_never_lost(library: Library) -> None:
    first = library.store("案内.md", stream(OLD))
    assert (first.path, first.bytes, first.replaced) == ("案内.md", len(OLD), False)
    state = (library.folder / "案内.md").stat()
    assert library.store("案内.md", stream(OLD)) == first  # the same again changes nothing
    after = (library.folder / "案内.md").stat()
    assert (after.st_mtime_ns, after.st_ino) == (state.st_mtime_ns, state.st_ino)
    assert removed(library.folder) == []
    second = library.store("案内.md", stream(NEW))
    assert second.replaced
    assert second.sha256 != first.sha256
    assert inside(library.folder) == {"案内.md": NEW}
    assert removed(library.folder) == [OLD]
    assert not list(library.folder.glob(".upload*"))


def test_a_file_can_be_read_by_the_account_that_builds(library: Library) -> None:
    old = os.umask(0o022)
    try:
        library.store("案内.md", stream(OLD))
    finally:
        os.umask(old)
    assert (library.folder / "案内.md").stat().st_mode & 0o777 == 0o644


def test_a_name_composed_otherwise_is_the_same_name(library: Library) -> None:
    library.folder.mkdir()
    (library.folder / unicodedata.normalize("NFD", "ガイド.md")).write_bytes(OLD)
    assert library.store("ガイド.md", stream(NEW)).replaced
    assert inside(library.folder) == {"ガイド.md": NEW}
    assert removed(library.folder) == [OLD]


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"", "0バイト"),
        ("a.pdf", OLD, "中身は"),
        ("a.txt", b"%PDF-1.7\n", "PDF"),
        ("a.docx", b"PK\x03\x04 xl/workbook.xml", "Excel"),
        ("a.docx", OLE + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"), "パスワード"),
        ("a.md", b"\x89PNG\r\n", "PNG"),
    ],
)
def test_a_content_that_is_not_what_the_name_says(
    library: Library, name: str, content: bytes, says: str
) -> None:
    for take in (library.store, library.stage):
        with pytest.raises(UploadRefusedError, match=says):
            take(name, stream(content))
    assert inside(library.folder) == {}
    assert library.staged() == []
    assert not list(library.folder.glob(".upload*"))


def test_what_is_too_large_is_not_read_to_its_end(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 3 * 2**20)

    class Endless:
        read_bytes = 0

        def read(self, size: int, /) -> bytes:
            self.read_bytes += size
            return b"a" * size

    source = Endless()
    with pytest.raises(UploadRefusedError, match="上限は3MB"):
        library.store("a.txt", source)
    assert source.read_bytes == 4 * 2**20
    assert list(library.folder.iterdir()) == []


def test_links_are_not_followed_out_of_the_folder(library: Library, tmp_path: Path) -> None:
    library.folder.mkdir()
    outside = tmp_path / "secret.txt"
    outside.write_bytes(OLD)
    (library.folder / "案内.txt").symlink_to(outside)
    assert library.store("案内.txt", stream(NEW)).replaced
    assert outside.read_bytes() == OLD
    assert not (library.folder / "案内.txt").is_symlink()
    (library.folder / "同じ.txt").symlink_to(outside)
    library.store("同じ.txt", stream(OLD))  # the same words, but not a file of this folder
    assert not (library.folder / "同じ.txt").is_symlink()
    library.remove(["同じ.txt"])
    (library.folder / "他.txt").symlink_to(outside)
    assert library.remove(["他.txt", "../secret.txt", str(outside)]) == []
    assert outside.exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in (".removed", ".inbox"):
        (library.folder / name).rename(tmp_path / f"was{name}") if (library.folder / name).exists() else None
        (library.folder / name).symlink_to(elsewhere)
    with pytest.raises(StorageError, match="リンク"):
        library.store("案内.txt", stream(OLD))
    with pytest.raises(StorageError, match="リンク"):
        library.stage("案内.txt", stream(OLD))
    assert list(elsewhere.iterdir()) == []
    assert inside(library.folder) == {"案内.txt": NEW}
    assert library.staged() == []


def test_a_folder_of_that_name_stays(library: Library) -> None:
    (library.folder / "案内.txt").mkdir(parents=True)
    with pytest.raises(UploadRefusedError, match="フォルダー"):
        library.store("案内.txt", stream(OLD))
    assert (library.folder / "案内.txt").is_dir()


def test_where_there_are_no_second_names_a_copy_is_kept(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.store("案内.md", stream(OLD))

    def refuse(*arguments: object, **more: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert library.store("案内.md", stream(NEW)).replaced
    assert removed(library.folder) == [OLD]


def test_a_full_disk_is_said_and_changes_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.store("案内.md", stream(OLD))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for take in (library.store, library.stage):
        with pytest.raises(StorageError, match="空き容量"):
            take("案内.md", stream(NEW))
    assert inside(library.folder) == {"案内.md": OLD}
    assert library.staged() == []
    assert not list(library.folder.glob(".upload*"))


def test_concurrent_stores_leave_one_whole_file_and_keep_the_others(library: Library) -> None:
    contents = [f"# 案内 {number}\n\n{'窓口です。' * 40_000}{number}\n".encode() for number in range(8)]
    start = threading.Barrier(len(contents))

    def put(content: bytes) -> None:
        start.wait()
        library.store("案内.md", stream(content))

    threads = [threading.Thread(target=put, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [left] = inside(library.folder).values()
    assert left in contents
    assert removed(library.folder) == sorted(set(contents) - {left})
    assert not list(library.folder.glob(".upload*"))


def test_removing(library: Library, tmp_path: Path) -> None:
    (library.folder / "下" / "中").mkdir(parents=True)
    (library.folder / "下" / "中" / "a.md").write_bytes(OLD)
    (library.folder / "b.md").write_bytes(NEW)
    (tmp_path / "c.md").write_bytes(OLD)
    entry = library.stage("d.md", stream(OLD))
    hidden = f".inbox/{entry.id}/data"
    asked = ["下/中/a.md", "b.md", "nothing.md", "../c.md", "下", hidden, ".inbox", "", "b.md"]
    assert library.remove(asked) == ["下/中/a.md", "b.md"]
    assert inside(library.folder) == {}
    assert sorted(
        path.relative_to(path.parents[2 if path.name == "a.md" else 0]).as_posix()
        for path in (library.folder / ".removed").rglob("*.md")
    ) == ["b.md", "下/中/a.md"]
    assert (tmp_path / "c.md").exists()
    assert library.staged() == [entry]
    assert library.remove(["b.md"]) == []


# ---------------------------------------------------------------- crashes

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "shutil.rmtree", "os.truncate"}


def killed_at(step: int, folder: Path, action: Callable[[], object]) -> bool:
    """Whether a child process was killed at its change number `step` below a folder; it may end before."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event == "open":
                path, flags = arguments[0], arguments[2]
                changes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
            else:
                path, changes = (arguments[0] if arguments else ""), event in CHANGES
            if changes and isinstance(path, str | os.PathLike) and os.fspath(path).startswith(str(folder)):
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            action()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_a_crash_while_storing_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    seen = set()
    for step in range(1, 40):
        folder = tmp_path / str(step)
        library = Library(folder)
        library.store("案内.md", stream(OLD))
        killed = killed_at(step, folder, lambda library=library: library.store("案内.md", stream(NEW)))  # type: ignore[misc]
        now = inside(folder)
        assert list(now) == ["案内.md"]
        assert now["案内.md"] in {OLD, NEW}
        seen.add(now["案内.md"])
        assert OLD in removed(folder) or now["案内.md"] == OLD
        assert Library(folder).store("案内.md", stream(NEW)).path == "案内.md"
        if not killed:
            break
    assert step >= 5  # it was killed at several places
    assert not killed
    assert seen == {OLD, NEW}


def test_a_crash_while_staging_or_approving_leaves_whole_entries(tmp_path: Path) -> None:
    for step in range(1, 60):
        folder = tmp_path / f"s{step}"
        library = Library(folder)
        killed = killed_at(step, folder, lambda library=library: library.stage("案内.md", stream(NEW)))  # type: ignore[misc]
        assert inside(folder) == {}
        for entry in Library(folder).staged():
            assert (folder / ".inbox" / entry.id / "data").read_bytes() == NEW
        assert Library(folder).stage("案内.md", stream(NEW)).state == "waiting"
        assert len(Library(folder).staged()) == 1
        if not killed:
            break
    assert step >= 5
    for step in range(1, 60):
        folder = tmp_path / f"a{step}"
        library = Library(folder)
        library.store("案内.md", stream(OLD))
        entry = library.stage("案内.md", stream(NEW))
        made_read(library, entry)
        killed = killed_at(step, folder, lambda library=library, entry=entry: library.approve(entry.id))  # type: ignore[misc]
        [now] = inside(folder).values()
        waiting = Library(folder).staged()
        assert now in {OLD, NEW}
        assert now == NEW or [one.id for one in waiting] == [entry.id]
        for one in waiting:
            Library(folder).approve(one.id)
        assert inside(folder) == {"案内.md": NEW}
        if not killed:
            break
    assert step >= 5


def made_read(library: Library, entry: Staged) -> None:
    with ReaderProcess() as reader:
        reader.ask = lambda path, file, max_chars: module_answer(path, file)  # type: ignore[method-assign]
        library.look(entry.id, reader)


def module_answer(path: str, file: Path) -> dict[str, object]:
    from corpus.worker import answer

    return answer(path, file, 400)


def test_what_a_crash_left_is_cleared_once_it_is_old(library: Library) -> None:
    whole = library.stage("案内.md", stream(OLD))
    inbox = library.folder / ".inbox"
    left = [
        library.folder / f".upload-{0:016x}",
        inbox / f".new-{1:016x}",
        inbox / f".gone-{2:016x}",
        inbox / ("0" * 16),
        inbox / ("1" * 16),
    ]
    left[0].write_bytes(OLD)
    for folder in left[1:]:
        folder.mkdir()
    (inbox / ("1" * 16) / "entry.json").write_text("{")
    theirs = [
        library.folder / ".upload-notes",
        library.folder / ".upload-1",
        inbox / ".new-ideas",
        inbox / "own notes",
    ]
    for folder in theirs:
        folder.mkdir()
    Library(library.folder).tidy()
    assert all(path.exists() for path in left)  # they may be at work
    assert [entry.id for entry in library.staged()] == [whole.id]
    for path in left + theirs:
        os.utime(path, (time.time() - 2 * module.STALE_S,) * 2)
    Library(library.folder)
    assert not any(path.exists() for path in left)
    assert all(path.is_dir() for path in theirs)
    assert [entry.id for entry in library.staged()] == [whole.id]


# ---------------------------------------------------------------- what waits


@pytest.fixture
def index(tmp_path: Path, library: Library) -> Index:
    library.folder.mkdir()
    for name, text in (("事例集.txt", CASE_BOOK), ("faq.md", FAQ), ("議事録.txt", MINUTES)):
        (library.folder / name).write_text(text, encoding="utf-8")
    build(library.folder, tmp_path / "index", FakeEncoder())
    return load_current(tmp_path / "index")


def test_an_upload_waits_is_read_and_is_taken(library: Library, index: Index) -> None:
    entry = library.stage("事例集.txt", stream(CASE_BOOK.replace("40分", "50分")))
    assert (entry.state, entry.bytes) == ("waiting", len(CASE_BOOK.encode()))
    assert inside(library.folder)["事例集.txt"].decode() == CASE_BOOK
    with pytest.raises(NotReadError, match="途中"):
        library.approve(entry.id)
    assert library.preview(entry.id) is None
    with ReaderProcess() as reader:
        read = library.look(entry.id, reader, index)
        assert read is not None
        assert library.look(entry.id, reader, index) == read  # read once
    expected = parse("事例集.txt", CASE_BOOK.replace("40分", "50分").encode())
    assert library.preview(entry.id) == expected
    assert (read.state, read.title, read.format) == ("read", "窓口の事例集", "txt")
    assert (read.cases, read.chunks, read.pages) == (3, len(expected.chunks), 6)
    assert read.headings == len(expected.document.headings)
    assert read.characters == len(CASE_BOOK)
    [shown] = library.staged(index)
    document = next(d for d in index.documents.values() if d.path == "事例集.txt")
    assert (shown.replaces, shown.replaces_document, shown.same_as) == (True, document.id, ())
    assert [(pair.other, pair.relation) for pair in shown.alike] == [("事例集.txt", "same")]
    stored = library.approve(entry.id)
    assert stored == Stored("事例集.txt", entry.sha256, entry.bytes, True)
    assert "50分" in inside(library.folder)["事例集.txt"].decode()
    assert removed(library.folder) == [CASE_BOOK.encode()]
    assert library.staged() == []
    with pytest.raises(NotStagedError):
        library.approve(entry.id)


def test_what_an_upload_is_beside_the_index(library: Library, index: Index) -> None:
    copy = library.stage("写し.txt", stream(MINUTES))
    later = library.stage("議事録 第2版.txt", stream(MINUTES.replace("20名", "21名") + "\n追記しました。\n"))
    other = library.stage("別.md", stream("# 別の話\n\n水道の検針は二か月に一度です。\n"))
    with ReaderProcess() as reader:
        for entry in (copy, later, other):
            library.look(entry.id, reader, index)
    found = {entry.name: entry for entry in library.staged(index)}
    assert found["写し.txt"].same_as == ("議事録.txt",)
    assert not found["写し.txt"].replaces
    assert [(p.other, p.relation) for p in found["議事録 第2版.txt"].alike] == [("議事録.txt", "same")]
    assert (found["別.md"].alike, found["別.md"].same_as, found["別.md"].replaces_document) == ((), (), None)


def test_likeness_is_told_without_reading_the_texts(
    library: Library, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the segments keep of each text: only of documents that are alike a text is read."""
    read: list[str] = []
    real = Records.document

    def watched(records: Records, number: int) -> Document:
        found = real(records, number)
        read.append(found.path)
        return found

    monkeypatch.setattr(Records, "document", watched)
    for name, words in (
        ("議事録2.txt", MINUTES + "\nおわり。\n"),
        ("別.md", "# 別の話\n\n水道の検針は二か月に一度です。\n"),
    ):
        entry = library.stage(name, stream(words))
        with ReaderProcess() as reader:
            read_one = library.look(entry.id, reader, index)
        assert read_one is not None
        assert [pair.other for pair in read_one.alike] == ["議事録.txt"] * (name == "議事録2.txt")
    assert read == ["議事録.txt"]


def test_what_cannot_be_read_says_why_and_is_not_taken(library: Library) -> None:
    broken = library.stage("壊れ.docx", stream(b"PK\x03\x04 word/document.xml" + b"\0" * 100))
    empty = library.stage("空白.txt", stream(" \n \n"))
    with ReaderProcess() as reader:
        for entry in (broken, empty):
            seen = library.look(entry.id, reader)
            assert seen is not None
            assert seen.state == "refused"
            assert seen.message.endswith("。")
            with pytest.raises(NotReadError, match="登録できません"):
                library.approve(entry.id)
            assert library.preview(entry.id) is None
    library.discard(broken.id)
    assert [entry.id for entry in library.staged()] == [empty.id]
    assert inside(library.folder) == {}


def test_the_process_that_reads_may_stop(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = library.stage("案内.md", stream(OLD))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with ReaderProcess() as reader:
        seen = library.look(entry.id, reader)
    assert seen is not None
    assert (seen.state, "止まりました" in seen.message) == ("refused", True)


def test_a_later_upload_of_the_same_name_takes_the_place(library: Library) -> None:
    first = library.stage("案内.md", stream(OLD))
    second = library.stage("案内.md", stream(NEW))
    assert [entry.id for entry in library.staged()] == [second.id]
    with pytest.raises(NotStagedError):
        library.one(first.id)


def test_what_is_gone_while_it_is_read_stays_gone(library: Library) -> None:
    entry = library.stage("案内.md", stream(OLD))
    with ReaderProcess() as reader:
        real = reader.ask

        def ask(path: str, file: Path, max_chars: int) -> dict[str, object]:
            found = real(path, file, max_chars)
            library.discard(entry.id)
            return found

        reader.ask = ask  # type: ignore[method-assign]
        assert library.look(entry.id, reader) is None
    assert library.staged() == []
    assert list((library.folder / ".inbox").iterdir()) == []


@pytest.mark.parametrize(
    "identity", ["", "..", "../..", "x" * 16, "0" * 15, "0" * 17, "0" * 16, "０" * 16, "0" * 15 + "\n"]
)
def test_an_id_from_outside_is_checked_by_form(library: Library, identity: str) -> None:
    entry = library.stage("案内.md", stream(OLD))
    # a folder elsewhere that looks like an entry
    (library.folder / "data").write_bytes(OLD)
    found = (library.folder / ".inbox" / entry.id / "entry.json").read_text().replace(entry.id, "..")
    (library.folder / "entry.json").write_text(found)
    for call in (library.one, library.preview, library.approve, library.discard):
        with pytest.raises(NotStagedError):
            call(identity)
    assert len(library.staged()) == 1


def test_not_too_many_wait(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STAGED", 3)
    for number in range(3):
        library.stage(f"{number}.md", stream(OLD))
    with pytest.raises(UploadRefusedError, match="3件"):
        library.stage("4.md", stream(OLD))
    library.stage("2.md", stream(NEW))  # one that takes the place of another is no more
    assert len(library.staged()) == 3


def test_looking_reads_all_and_one_that_fails_keeps_nobody_waiting(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.md" for number in range(4)]
    for name in names:
        library.stage(name, stream(f"# {name}\n\nこれは{name}の本文です。\n"))
    real = library.look

    def look(identity: str, reader: ReaderProcess, index: Index | None = None) -> Staged | None:
        if library.one(identity).name == "1.md":
            raise RuntimeError("a bug")
        return real(identity, reader, index)

    monkeypatch.setattr(library, "look", look)
    looking = Looking(library, lambda: None)
    for _ in range(5):
        looking.wake()

    def wait() -> dict[str, str]:
        end = time.monotonic() + 15
        while any(entry.state == "waiting" for entry in library.staged()) and time.monotonic() < end:
            time.sleep(0.02)
        return {entry.name: entry.state for entry in library.staged()}

    assert wait() == {"0.md": "read", "1.md": "refused", "2.md": "read", "3.md": "read"}
    library.stage("5.md", stream("# 五\n\n五つ目の本文です。\n"))
    looking.wake()
    assert wait()["5.md"] == "read"
