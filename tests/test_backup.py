"""Backups: made while the service works, checked, put back whole or not at all; nothing is lost where anything fails."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shlex
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import FakeEncoder
from fastapi.testclient import TestClient
from running import running, surroundings
from test_faults import counted

from access.accounts import Accounts
from access.file import AccessFile
from index.build import build
from index.current import CurrentIndex
from index.encoder import SentenceEncoder
from index.passages import model_record
from index.report import BuildReport
from index.store import load_current
from index.versions import alone, current_version
from ops import restore as restoring
from ops.__main__ import main
from ops.archive import LIST, ArchiveError, ArchiveWriter, Member, opened
from ops.backup import TRIES, BackupError, BackupReport, WrongTargetError, backup
from ops.places import PARTS, Places
from ops.restore import RestoreRefusedError, check, restore
from options import HOME
from qa.usage_file import UsageFile
from server import create_app

UNSHARED = ("unshare", "--user", "--map-root-user", "--mount", "--")


def book(place: str, fee: str) -> str:
    return f"# {place}の手引き\n\n## 手数料\n\n{place}の手数料は一通につき{fee}です。\n"


def ask_once(path: Path, question: str) -> None:
    """A row of the usage file, as a server writes one."""
    with UsageFile(path).writing() as connection:
        connection.execute(
            "INSERT INTO questions (at, key, question, state, way, answerable, index_version, took_ms, citations, filters)"
            " VALUES ('2026-11-22T09:00', ?, ?, '[]', 'api', 1, 'v', 1.0, 1, '')",
            (question, question),
        )


def questions(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in connection.execute("SELECT question FROM questions ORDER BY id")]


def office_in(folder: Path, fee: str = "三百円") -> Places:
    """A service's places with something in each of them."""
    places = Places.inside(folder)
    places.documents.mkdir(parents=True)
    for name in ("市民課", "税務課"):
        (places.documents / f"{name}.md").write_text(book(name, fee), encoding="utf-8")
    (places.documents / "下" / "二").mkdir(parents=True)
    (places.documents / "下" / "二" / "福祉課.md").write_text(book("福祉課", fee), encoding="utf-8")
    build(places.documents, places.index, FakeEncoder())
    ask_once(places.usage, f"手数料は{fee}ですか")
    with closing(sqlite3.connect(places.access)) as connection, connection:
        connection.execute("CREATE TABLE people (name TEXT)")
        connection.execute("INSERT INTO people VALUES (?)", (fee,))
    places.synonyms.write_text(f"手数料,料金,{fee}\n", encoding="utf-8")
    return places


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a service's places, never changed by a test."""
    folder = tmp_path_factory.mktemp("made")
    office_in(folder)
    return folder


@pytest.fixture
def office(made: Path, tmp_path: Path) -> Places:
    shutil.copytree(made, tmp_path / "office")
    return Places.inside(tmp_path / "office")


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


def contents(folder: Path) -> dict[str, str]:
    """What a service's folder holds: every file but those that come and go, a database by what is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name == ".lock" or path.name.endswith(("-wal", "-shm")):
            continue
        data = path.read_bytes()
        if ".sqlite3" in path.name:
            with closing(sqlite3.connect(path)) as connection:
                data = "\n".join(connection.iterdump()).encode()
        found[name] = hashlib.sha256(data).hexdigest()
    return found


def names(folder: Path) -> list[str]:
    """What stands in a folder, by name."""
    return sorted(path.name for path in folder.iterdir())


def without_asides(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in contents(folder).items() if ".before-" not in name}


# ---------------------------------------------------------------- round trips


def test_everything_comes_back(office: Places, shelf: Path, tmp_path: Path) -> None:
    folder = office.index.parent
    (office.documents / ".removed" / "20261101").mkdir(parents=True)
    (office.documents / ".removed" / "20261101" / "古い.md").write_text("古い", encoding="utf-8")
    (office.documents / ".upload-0123456789abcdef").write_text("half", encoding="utf-8")
    (office.documents / "外.md").symlink_to("/etc/hostname")
    odd = os.fsdecode("窓口".encode("cp932") + b".md")
    (office.documents / odd).write_text("# 名前\n", encoding="utf-8")
    os.utime(office.documents / "市民課.md", ns=(10**18, 10**18 + 7))
    report = backup(office, shelf)
    assert stat.S_IMODE(report.path.stat().st_mode) == 0o600
    assert report.problems == ()
    assert {part: files for part, (files, _) in report.counts.items()} == {
        "index": report.counts["index"][0],
        "documents": 5,
        "usage": 1,
        "access": 1,
        "synonyms": 1,
    }
    assert names(shelf) == [report.path.name]
    restored = tmp_path / "restored"
    restore(report.path, Places.inside(restored))
    expected = contents(folder)
    left_out = {"documents/.upload-0123456789abcdef", "documents/外.md"}
    assert contents(restored) == {name: digest for name, digest in expected.items() if name not in left_out}
    assert (restored / "documents" / odd).is_file()
    assert (restored / "documents" / "市民課.md").stat().st_mtime_ns == 10**18 + 7
    assert stat.S_IMODE((restored / "usage.sqlite3").stat().st_mode) == 0o600
    assert sorted(path.name for path in restored.iterdir()) == sorted(
        ["index", "documents", "usage.sqlite3", "access.sqlite3", "synonyms.csv"]
    )
    index = load_current(restored / "index", model_record(FakeEncoder()))
    assert (
        "市民課の手数料は一通につき三百円です。" in index.documents[next(iter(index.documents))].text
        or index.chunks
    )
    build(restored / "documents", restored / "index", FakeEncoder())  # and it goes on from there


def test_a_service_at_work(tmp_path: Path, tiny_folder: Path, shelf: Path) -> None:
    """The real program serves, records and builds while its backup is made; what is restored answers to the letter."""
    folder = tmp_path / "service"
    places = Places.inside(folder)
    places.documents.mkdir(parents=True)
    settings = {"model": str(tiny_folder), "precision": "fp32", "admin_token": "a-token", "keep": "2"}
    key = {"Authorization": "Bearer a-token"}
    (places.documents / "窓口.md").write_text(book("窓口", "零円"), encoding="utf-8")
    known: dict[tuple[str, str], Any] = {}
    asked = ["窓口の手数料はいくらですか", "手引きはありますか"]
    over = threading.Event()
    failures: list[BaseException] = []
    with running(folder, documents=str(places.documents), **settings) as server:

        def asking() -> None:
            try:
                while not over.is_set():
                    for question in asked:
                        reply = server.ask(question)
                        known[question, reply["index_version"]] = reply
            except BaseException as error:  # is shown below
                failures.append(error)

        def building() -> None:
            try:
                for number in range(1, 1000):
                    (places.documents / "窓口.md").write_text(book("窓口", f"{number}円"), encoding="utf-8")
                    status, reply = server.call("POST", "/api/index/rebuild", **key)
                    assert status == 202, reply
                    job = f"/api/index/jobs/{json.loads(reply)['job_id']}"
                    while json.loads(server.call("GET", job)[1])["status"] in {"queued", "running"}:
                        time.sleep(0.02)
                    if over.is_set():
                        return
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=asking), threading.Thread(target=building)]
        for thread in threads:
            thread.start()
        first = current_version(places.index)
        try:
            end = time.monotonic() + 60
            while current_version(places.index) == first and time.monotonic() < end:
                time.sleep(0.01)
            reports = [backup(places, shelf / f"{number}.zip") for number in range(4)]
        finally:
            time.sleep(0.3)  # what was in use last has been asked
            over.set()
            for thread in threads:
                thread.join(60)
        assert failures == []
        recorded = len(known)
    assert recorded > len(asked)
    versions = set()
    for number, report in enumerate(reports):
        assert report.problems == ()
        restored = tmp_path / f"restored-{number}"
        restore(report.path, Places.inside(restored))
        versions.add(current_version(restored / "index"))
        assert set(questions(restored / "usage.sqlite3")) <= set(asked)
    restored = next(
        tmp_path / f"restored-{number}"
        for number in range(4)
        if (asked[0], current_version(tmp_path / f"restored-{number}" / "index")) in known
    )
    encoder = SentenceEncoder.load(str(tiny_folder), models_dir=tmp_path)
    current = CurrentIndex(restored / "index", model_record(encoder))
    app = create_app(current=current, encoder=encoder, rebuild=_never)
    with TestClient(app, base_url="http://localhost") as client:
        for question in asked:
            reply = client.post("/api/ask", json={"question": question}).json()
            reply.pop("took_ms")
            assert (question, reply["index_version"]) in known
            assert reply == known[question, reply["index_version"]]


def _never(_: object) -> BuildReport:
    raise AssertionError("nothing is to be built")


@pytest.mark.parametrize("times", [2, 99])
def test_a_version_that_is_cleared_away_while_it_is_copied(
    office: Places, shelf: Path, tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one version is kept, and a build ends in the middle of the copying: it begins anew, and gives up where that goes on."""
    real, builds = ArchiveWriter.add, 0

    def add(self: ArchiveWriter, part: str, path: str, file: Path) -> Member:
        nonlocal builds
        if len(self.members) == 5 and builds < times:
            builds += 1
            (office.documents / "税務課.md").write_text(book("税務課", f"{builds}円"), encoding="utf-8")
            build(office.documents, office.index, FakeEncoder(), keep=1)
        return real(self, part, path, file)

    monkeypatch.setattr(ArchiveWriter, "add", add)
    if times > TRIES:
        with pytest.raises(BackupError, match="しばらくして"):
            backup(office, shelf)
        assert names(shelf) == []
        return
    made = backup(office, shelf)
    assert (builds, made.problems) == (2, ())
    restore(made.path, Places.inside(tmp_path / "to"))
    index = load_current(tmp_path / "to" / "index", model_record(FakeEncoder()))
    assert index.version == current_version(office.index)
    assert any("一通につき2円" in document.text for document in index.documents.values())


def test_all_versions_or_the_one_in_use(office: Places, shelf: Path, tmp_path: Path) -> None:
    (office.documents / "税務課.md").write_text(book("税務課", "五百円"), encoding="utf-8")
    build(office.documents, office.index, FakeEncoder())
    versions = names(office.index / "versions")
    assert len(versions) == 2
    for every, expected in ((False, versions[-1:]), (True, versions)):
        target = tmp_path / f"to-{every}"
        restore(backup(office, shelf / f"{every}.zip", all_versions=every).path, Places.inside(target))
        assert sorted(path.name for path in (target / "index" / "versions").iterdir()) == expected
        assert load_current(target / "index", model_record(FakeEncoder())).version == versions[-1]


def test_only_some_parts(office: Places, shelf: Path, tmp_path: Path) -> None:
    made = backup(office, shelf, documents=False)
    assert any("--no-documents" in note for note in made.notes)
    restore(made.path, Places.inside(tmp_path / "to"), only=["usage", "synonyms"])
    assert sorted(names(tmp_path / "to")) == ["synonyms.csv", "usage.sqlite3"]
    with pytest.raises(RestoreRefusedError, match="資料は入っていません"):
        restore(made.path, Places.inside(tmp_path / "other"), only=["documents"])
    assert not (tmp_path / "other").exists()


def test_who_signed_out_after_the_backup_is_not_in_again(office: Places, shelf: Path, tmp_path: Path) -> None:
    office.access.unlink()
    accounts = Accounts(AccessFile(office.access))
    accounts.add("tanaka", "ながい合言葉のかわりです１２３", groups=["総務課"])
    in_browser = accounts.sign_in("tanaka", "ながい合言葉のかわりです１２３")
    of_program = accounts.open_program("tanaka", 3)
    made = backup(office, shelf)
    assert in_browser
    accounts.end(in_browser)
    to = Places.inside(tmp_path / "to")
    report = restore(made.path, to)
    restored = Accounts(AccessFile(to.access))
    assert restored.recognised(in_browser, "browser") is None
    person = restored.recognised(of_program, "program")
    assert person is not None
    assert (person.name, person.groups) == ("tanaka", {"総務課"})
    assert restored.sign_in("tanaka", "ながい合言葉のかわりです１２３")
    assert any("入り直し" in note for note in report.notes)
    assert stat.S_IMODE(to.access.stat().st_mode) == 0o600


# ---------------------------------------------------------------- what is wrong with the service


def test_a_damaged_index_does_not_keep_the_rest_from_being_saved(office: Places, shelf: Path) -> None:
    file = next((office.index / "segments").rglob("vectors.faiss"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    made = backup(office, shelf)
    assert len(made.problems) == 1
    assert "索引は控えに入っていません" in made.problems[0]
    assert "vectors.faiss" in made.problems[0]
    assert set(made.counts) == {"documents", "usage", "access", "synonyms"}
    file.unlink()
    assert "vectors.faiss" in backup(office, shelf).problems[0]


def test_a_damaged_database_is_told_of(
    office: Places, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(office.usage.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    office.usage.write_bytes(data)
    made = backup(office, shelf)
    assert [problem for problem in made.problems if "利用の記録" in problem]
    assert set(made.counts) == {"index", "documents", "access", "synonyms"}
    assert main(["backup", str(shelf), *options(office)]) == 1
    shown = capsys.readouterr()
    assert "利用の記録" in shown.err
    assert "控えを作り、読み返して確かめました" in shown.out


def test_a_service_that_has_nothing_yet(shelf: Path, tmp_path: Path) -> None:
    places = Places.inside(tmp_path / "new")
    places.documents.mkdir(parents=True)
    made = backup(places, shelf)
    assert made.counts == {}
    assert any("索引はまだありません" in note for note in made.notes)
    assert not places.usage.exists()
    assert not places.index.exists()


# ---------------------------------------------------------------- where to, and how many


def options(places: Places) -> list[str]:
    """The options that name the places."""
    return [text for name in PARTS for text in (f"--{name}", str(places.of_part(name)))]


def test_the_newest_are_kept_and_only_ours_removed(office: Places, shelf: Path) -> None:
    older = [f"dxqa-backup-2026010{day}-030000.zip" for day in range(1, 6)]
    later = "dxqa-backup-20990101-030000.zip"  # by a clock that was wrong
    other = ["dxqa-backup.zip", "dxqa-backup-20260101-030000.zip.old", "写真.zip"]
    for name in [*older, later, *other]:
        (shelf / name).write_bytes(b"x")
    made = backup(office, shelf, documents=False, keep=3)
    assert made.removed == tuple(older[:4])
    assert sorted(names(shelf)) == sorted([older[4], later, made.path.name, *other])
    again = backup(office, shelf, documents=False, keep=1)
    assert sorted(names(shelf)) == sorted([again.path.name, *other])


def test_a_target_that_cannot_be(office: Places, shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside = office.documents / "控え"
    inside.mkdir()
    (shelf / "there.zip").write_bytes(b"x")
    wrong = [shelf / "no" / "folder", shelf / "there.zip", inside, office.index, shelf / "no" / "a.zip"]
    for target in wrong:
        with pytest.raises(WrongTargetError):
            backup(office, target)
        assert main(["backup", str(target), *options(office)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(WrongTargetError, match="--keep"):
        backup(office, shelf / "new.zip", keep=2)
    shutil.rmtree(office.documents)
    with pytest.raises(WrongTargetError, match="資料のフォルダー"):
        backup(office, shelf)
    assert backup(office, shelf, documents=False).counts["index"]
    assert (shelf / "there.zip").read_bytes() == b"x"


def test_the_command_line(
    office: Places,
    shelf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DXQA_KEEP", "1")  # of versions of the index: backups are not meant
    for _ in range(3):
        assert main(["backup", str(shelf), *options(office)]) == 0
    assert len(names(shelf)) == 3
    assert main(["backup", str(shelf), "--keep", "2", *options(office)]) == 0
    assert "古い控えを2件消しました" in capsys.readouterr().out
    file = str(shelf / sorted(names(shelf))[-1])
    assert main(["restore", "--check", file]) == 0
    assert "壊れていません" in capsys.readouterr().out
    assert main(["restore", file, *options(office)]) == 2
    assert "--replace" in capsys.readouterr().err
    capsys.readouterr()
    assert main(["restore", file, "--to", str(tmp_path / "to")]) == 0
    assert contents(tmp_path / "to") == contents(office.index.parent)
    started = shlex.split(capsys.readouterr().out.split("ここで動かすには：")[1])
    assert started[:2] == [sys.executable, str(HOME / "server.py")]
    given = dict(zip(started[2::2], started[3::2], strict=True))
    assert given == {f"--{part}": str(Places.inside(tmp_path / "to").of_part(part)) for part in PARTS}
    assert main(["restore", str(shelf / "no.zip"), "--to", str(tmp_path / "other")]) == 2
    for arguments in (
        ["backup"],
        ["restore", file, "--only", "model"],
        ["backup", str(shelf), "--keep", "0"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


# ---------------------------------------------------------------- restoring over what is there


def test_what_was_there_is_kept_beside(office: Places, shelf: Path) -> None:
    folder = office.index.parent
    made = backup(office, shelf)
    expected = contents(folder)
    (office.documents / "市民課.md").write_text(book("市民課", "九百円"), encoding="utf-8")
    build(office.documents, office.index, FakeEncoder())
    ask_once(office.usage, "あとの質問")
    changed = contents(folder)
    assert changed != expected
    with pytest.raises(RestoreRefusedError):
        restore(made.path, office)
    assert contents(folder) == changed
    report = restore(made.path, office, replace=True)
    assert without_asides(folder) == expected
    for part, path in report.aside.items():
        shutil.rmtree(office.of_part(part)) if path.is_dir() else office.of_part(part).unlink()
        path.rename(office.of_part(part))
    assert without_asides(folder) == changed


def test_a_build_that_runs_is_not_disturbed(office: Places, shelf: Path) -> None:
    made = backup(office, shelf)
    before = contents(office.index.parent)
    with alone(office.index), pytest.raises(RestoreRefusedError, match="作っている途中"):
        restore(made.path, office, replace=True)
    assert contents(office.index.parent) == before
    assert not restoring.cut_off(office)
    restore(made.path, office, replace=True)


def test_an_empty_folder_is_no_obstacle(office: Places, shelf: Path, tmp_path: Path) -> None:
    made = backup(office, shelf)
    places = Places.inside(tmp_path / "to")
    places.documents.mkdir(parents=True)
    (places.documents / ".gitkeep").touch()
    report = restore(made.path, places)
    assert report.aside == {}
    assert contents(tmp_path / "to") == contents(office.index.parent)


# ---------------------------------------------------------------- archives that are not what they should be


def test_a_damaged_archive_at_any_place(office: Places, shelf: Path, tmp_path: Path) -> None:
    made = backup(office, shelf)
    data = made.path.read_bytes()
    bad = tmp_path / "bad.zip"
    found = 0
    for place in range(0, len(data), len(data) // 60):
        bad.write_bytes(data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :])
        try:
            restore(bad, Places.inside(tmp_path / "to"))
        except ArchiveError:
            found += 1
            assert not (tmp_path / "to").exists()
        else:  # a byte that says nothing: of a date, of the archive's own names for systems
            assert contents(tmp_path / "to") == contents(office.index.parent)
            shutil.rmtree(tmp_path / "to")
    assert found >= 35
    for length in (0, 10, len(data) // 2, len(data) - 1):
        bad.write_bytes(data[:length])
        with pytest.raises(ArchiveError):
            restore(bad, Places.inside(tmp_path / "to"))
        assert main(["restore", "--check", str(bad)]) == 1
    assert not (tmp_path / "to").exists()


def forged(target: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """An archive as somebody else might make it: a list and members that agree, after `change`."""
    members = {"documents/a.md": b"# a\n", "synonyms.csv": b"x,y\n"}
    files = [
        {
            "name": name,
            "part": name.split("/")[0].removesuffix(".csv"),
            "path": name.partition("/")[2],
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "time_ns": 10**18,
            "mode": 0o644,
        }
        for name, data in members.items()
    ]
    content: dict[str, Any] = {"format": 1, "made_at": "2026-11-22", "about": {}, "files": files}
    change(content, members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = content.get("attributes", {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
        archive.writestr(LIST, json.dumps(content))
    return target


def moved(path: str) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    """Lets the document of a forged archive be restored to another path."""

    def change(content: dict[str, Any], members: dict[str, bytes]) -> None:
        members[f"documents/{path}"] = members.pop("documents/a.md")
        content["files"][0] |= {"name": f"documents/{path}", "path": path}

    return change


def entry(**values: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    return lambda content, _: content["files"][0].update(values)


def whole(**values: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    return lambda content, _: content.update(values)


def twice(content: dict[str, Any], members: dict[str, bytes]) -> None:
    members["documents/a.md/b.md"] = b"x"
    content["files"].append(
        content["files"][0]
        | {
            "name": "documents/a.md/b.md",
            "path": "a.md/b.md",
            "bytes": 1,
            "sha256": hashlib.sha256(b"x").hexdigest(),
        }
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(moved("../../b.md"), id="out of the folder"),
        pytest.param(moved("/tmp/b.md"), id="an absolute name"),
        pytest.param(moved("x/../../b.md"), id="out in the middle"),
        pytest.param(moved("./b.md"), id="a point"),
        pytest.param(moved("x//b.md"), id="a part without a name"),
        pytest.param(moved("x" * 300), id="a name that no disk takes"),
        pytest.param(entry(path="b.md"), id="another path than its name says"),
        pytest.param(entry(part="secrets"), id="an unknown part"),
        pytest.param(entry(part=["index"]), id="a part that is a list"),
        pytest.param(entry(path=None), id="no path"),
        pytest.param(entry(bytes=-1), id="a negative size"),
        pytest.param(entry(bytes=5), id="another size"),
        pytest.param(entry(sha256="0" * 64), id="another checksum"),
        pytest.param(entry(mode="rwx"), id="a mode that is no number"),
        pytest.param(entry(mode=0o4755), id="a mode that gives the owner's rights away"),
        pytest.param(entry(time_ns=10**30), id="a time that no disk takes"),
        pytest.param(whole(attributes={"documents/a.md": stat.S_IFLNK | 0o777}), id="a link"),
        pytest.param(whole(attributes={"documents/a.md": stat.S_IFIFO | 0o777}), id="a pipe"),
        pytest.param(whole(format=2), id="a later format"),
        pytest.param(whole(files=[]), id="files that are not listed"),
        pytest.param(whole(files="x"), id="a list that is none"),
        pytest.param(lambda content, members: members.pop("synonyms.csv"), id="a file that is not there"),
        pytest.param(
            lambda content, members: content["files"].append(content["files"][0]), id="listed twice"
        ),
        pytest.param(twice, id="a file that is also a folder"),
    ],
)
def test_a_hostile_archive_touches_nothing(
    change: Callable[[dict[str, Any], dict[str, bytes]], None], tmp_path: Path
) -> None:
    bad = forged(tmp_path / "bad.zip", change)
    target = tmp_path / "place" / "to"
    target.mkdir(parents=True)
    with pytest.raises(ArchiveError):
        restore(bad, Places.inside(target))
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["bad.zip", "place", "to"])
    with pytest.raises(ArchiveError):
        check(bad)


def test_a_forged_archive_that_is_well_made_is_taken(tmp_path: Path) -> None:
    """So that the refusals above are for what they name."""
    restore(forged(tmp_path / "good.zip", lambda *_: None), Places.inside(tmp_path / "to"))
    assert (tmp_path / "to" / "documents" / "a.md").read_bytes() == b"# a\n"
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(ArchiveError, match="控えではありません"), opened(other):
        pass


def test_an_archive_that_unpacks_to_more_than_it_says(tmp_path: Path) -> None:
    """Ten megabytes of nothing where four bytes are listed: reading ends where the list says."""

    def change(content: dict[str, Any], members: dict[str, bytes]) -> None:
        members["documents/a.md"] = b"\0" * 10 * 2**20

    bad = forged(tmp_path / "bomb.zip", change)
    with opened(bad) as archive:
        blocks = archive.blocks(archive.listing.of_part("documents")[0])
        with pytest.raises(ArchiveError):
            next(blocks)


# ---------------------------------------------------------------- disks that are full, processes that are ended


def run(prepare: Callable[[], None], work: Callable[[], object]) -> int:
    """Does something in a child process, prepared by `prepare`; its wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            prepare()
            work()
            os._exit(0)
        except (OSError, BackupError, ArchiveError, RestoreRefusedError):
            os._exit(1)
        except BaseException:
            os._exit(2)
    return os.waitpid(pid, 0)[1]


def strikes(folder: Path, work: Callable[[], object], count: int, log: Path) -> list[int]:
    """Where to strike: evenly over the changes to files that something makes, the first and the last among them."""
    assert run(lambda: counted(lambda number: log.write_text(str(number)), folder), work) == 0
    last = int(log.read_text())
    assert last > count
    return sorted({1 + round(step * (last - 1) / (count - 1)) for step in range(count)})


def kill_at(folder: Path, point: int) -> Callable[[], None]:
    def strike(number: int) -> None:
        if number == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: counted(strike, folder)


def full_from(folder: Path, point: int) -> Callable[[], None]:
    def refuse(number: int) -> None:
        if number >= point:
            raise OSError(28, "No space left on device")

    return lambda: counted(refuse, folder)


@pytest.mark.parametrize("fault", ["killed", "full"])
def test_a_backup_that_is_cut_off_at_any_step(office: Places, tmp_path: Path, fault: str) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    before = backup(office, shelf / "dxqa-backup-20260101-000000.zip").path.read_bytes()
    saved = contents(office.index.parent)
    # everything of it lies on the shelf, the working folder too
    points = strikes(shelf, lambda: backup(office, shelf), 7, tmp_path / "log")
    for point in points:
        for name in names(shelf):
            if name != "dxqa-backup-20260101-000000.zip" and not name.startswith("."):
                (shelf / name).unlink()
        prepare = (kill_at if fault == "killed" else full_from)(shelf, point)
        status = run(prepare, lambda: backup(office, shelf, keep=2))
        assert os.WIFSIGNALED(status) if fault == "killed" else os.waitstatus_to_exitcode(status) in {0, 1}
        assert (shelf / "dxqa-backup-20260101-000000.zip").read_bytes() == before
        assert contents(office.index.parent) == saved
        for name in names(shelf):
            if not name.startswith("."):
                check(shelf / name)  # what has a name is whole
        after = backup(office, shelf)
        assert [name for name in names(shelf) if name.startswith(".")] == []  # and what was left is cleared
        after.path.unlink()


@pytest.mark.parametrize("fault", ["killed", "full"])
def test_a_restore_that_is_cut_off_at_any_step(office: Places, tmp_path: Path, fault: str) -> None:
    folder = office.index.parent
    made = backup(office, tmp_path / "new.zip")
    new = contents(folder)
    shutil.rmtree(folder)
    office_in(folder, "九百円")
    old = contents(folder)
    saved = tmp_path / "saved"
    shutil.copytree(folder, saved)

    def again() -> None:
        shutil.rmtree(folder)
        shutil.copytree(saved, folder)

    def work() -> object:
        return restore(made.path, office, replace=True)

    points = strikes(folder, work, 12, tmp_path / "log")
    seen = set()
    for point in points:
        again()
        status = run((kill_at if fault == "killed" else full_from)(folder, point), work)
        assert os.WIFSIGNALED(status) if fault == "killed" else os.waitstatus_to_exitcode(status) in {0, 1, 2}
        # whatever happened, what was there before is there still, in its place or beside it
        everything = set(contents(folder).values())
        assert set(old.values()) <= everything
        with restoring._journal(office):
            pass  # as the next restore begins
        state = without_asides(folder)
        assert state in (old, new), point
        seen.add("old" if state == old else "new")
        assert not restoring.cut_off(office)
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
        work()
        assert without_asides(folder) == new
    assert seen == {"old"}, "the very last change is that the journal goes"


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_files_that_cannot_grow(office: Places, shelf: Path, tmp_path: Path) -> None:
    made = backup(office, shelf)
    target = tmp_path / "to"
    target.mkdir()
    for size in (0, 100, 5000, 30_000):
        assert run(limited(size), lambda: backup(office, shelf)) == 1 << 8
        assert names(shelf) == [made.path.name]
        if size < 5000:
            assert run(limited(size), lambda: restore(made.path, Places.inside(target))) == 1 << 8
            assert names(target) == []


@pytest.mark.parametrize("said_before", [True, False])
def test_a_real_disk_that_is_full(office: Places, shelf: Path, tmp_path: Path, said_before: bool) -> None:
    """A file system of 64 KB: it is seen before anything is written; and if it only fills meanwhile, nothing is left."""
    if (
        shutil.which("unshare") is None
        or subprocess.run([*UNSHARED, "true"], check=False, timeout=20).returncode
    ):
        pytest.skip("no file systems of one's own here")
    made = backup(office, shelf)
    small = tmp_path / "small"
    small.mkdir()
    room = (
        ""
        if said_before
        else "import shutil; shutil.disk_usage = lambda _: shutil._ntuple_diskusage(0, 0, 2**40); "
    )
    program = f"import os, sys; from ops.__main__ import main; {room}status = main(sys.argv[1:]); print(os.listdir({str(small)!r})); sys.exit(status)"
    for arguments in (
        ["backup", str(small), *options(office)],
        ["restore", str(made.path), "--to", str(small)],
    ):
        done = subprocess.run(
            [
                *UNSHARED,
                "sh",
                "-c",
                'mount -t tmpfs -o size=64k none "$0" && exec "$@"',
                str(small),
                sys.executable,
                "-c",
                program,
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=HOME,
            env=surroundings(),
        )
        assert done.returncode in {1, 2}, done.stderr
        assert ("足りません" in done.stderr) == said_before, done.stderr
        assert "空" in done.stderr
        assert done.stdout.splitlines()[-1] == "[]", "nothing is left on the disk"


def test_two_backups_at_once(office: Places, shelf: Path) -> None:
    """Neither takes the other's working folder for one that was left behind."""
    reports: list[BackupReport] = []
    threads = [threading.Thread(target=lambda: reports.append(backup(office, shelf))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({report.path for report in reports}) == 4
    for report in reports:
        check(report.path)


@pytest.fixture(autouse=True)
def _left_behind(tmp_path: Path) -> Iterator[None]:
    """No test leaves files outside of what it was given."""
    before = set(names(Path.cwd()))
    yield
    assert set(names(Path.cwd())) - before <= {".pytest_cache", ".hypothesis"}
