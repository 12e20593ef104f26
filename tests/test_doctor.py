"""The doctor: every fault that is planted is found by its own check, the others stay quiet, and nothing is changed."""

from __future__ import annotations

import argparse
import hashlib
import http.server
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from running import free_port, surroundings

import build_index
from index.versions import current_version, manifest_bytes
from ops import doctor
from ops.__main__ import main, parser
from ops.examined import Examined
from ops.finding import Finding, well
from ops.outside import RefusedError, nothing_goes_out
from options import HOME
from qa.usage_file import SCHEMA, UsageFile

UNSHARED = ("unshare", "--user", "--map-root-user", "--mount", "--")
ALWAYS = {"動かす利用者"} if os.geteuid() == 0 else set()
"""What is told of wherever the tests themselves run."""


def book(place: str) -> str:
    return f"# {place}の手引き\n\n## 受付\n\n{place}の受付は平日の午前九時からです。\n\n## 電話\n\n電話番号は次のとおりです。\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A service in good health, never changed by a test: two versions of a real index, model, databases, table."""
    folder = tmp_path_factory.mktemp("doctor")
    shutil.copytree(tiny_folder, folder / "model")
    (folder / "models").mkdir()
    (folder / "documents").mkdir()
    arguments = ["--model", str(folder / "model"), "--precision", "fp32", "--models", str(folder / "models")]
    arguments += ["--documents", str(folder / "documents"), "--index", str(folder / "index")]
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DXQA_")]:
            patch.delenv(name)
        for place in ("市民課", "税務課"):
            (folder / "documents" / f"{place}.md").write_text(book(place), encoding="utf-8")
            assert build_index.main([*arguments, "--full"]) == 0
    with UsageFile(folder / "usage.sqlite3").writing():
        pass
    with closing(sqlite3.connect(folder / "access.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE people (name TEXT)")
    (folder / "access.sqlite3").chmod(0o600)
    (folder / "synonyms.csv").write_text("窓口,受付\n", encoding="utf-8")
    return folder


@pytest.fixture
def service(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "service", symlinks=True)
    return tmp_path / "service"


def options(service: Path, port: int) -> list[str]:
    named = {
        "documents": service / "documents",
        "index": service / "index",
        "model": service / "model",
        "models": service / "models",
        "usage": service / "usage.sqlite3",
        "access": service / "access.sqlite3",
        "synonyms": service / "synonyms.csv",
        "port": port,
        "precision": "fp32",
    }
    return [text for name, value in named.items() for text in (f"--{name}", str(value))]


def arguments(service: Path, port: int | None = None) -> argparse.Namespace:
    return parser().parse_args(["doctor", *options(service, port or free_port())])


def state_of(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything that could be changed of a folder: names, bytes, times, modes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([folder, *folder.rglob("*")]):
        state = path.lstat()
        data = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (state.st_mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns, data)
    return found


def crying(findings: list[Finding]) -> dict[str, Finding]:
    return {one.name: one for one in findings if one.state in {"notice", "wrong"} and one.name not in ALWAYS}


def test_a_service_in_good_health(service: Path) -> None:
    before = state_of(service)
    findings = doctor.examine(arguments(service))
    assert crying(findings) == {}
    assert [one for one in findings if one.state == "skipped"] == []
    assert len(findings) == len(doctor.CHECKS) + 1 >= 25
    assert len({one.name for one in findings}) == len(findings)
    assert state_of(service) == before


# ---------------------------------------------------------------- faults


def version_of(service: Path) -> str:
    name = current_version(service / "index")
    assert name is not None
    return name


def rewritten(service: Path, **changes: Any) -> None:
    """Changes the manifest of the version in use, with its checksum."""
    path = service / "index" / "versions" / version_of(service) / "manifest.json"
    content = json.loads(path.read_bytes())
    content["model"] |= changes.pop("model", {})
    path.write_bytes(manifest_bytes(content | changes))


def segment_of(service: Path) -> Path:
    manifest = service / "index" / "versions" / version_of(service) / "manifest.json"
    return service / "index" / "segments" / next(iter(json.loads(manifest.read_bytes())["segments"]))


def flip(file: Path, place: int, bits: int = 1) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= bits
    file.write_bytes(data)


def damaged_vectors(service: Path) -> None:
    file = segment_of(service) / "vectors.faiss"
    flip(file, file.stat().st_size // 2)


def missing_postings(service: Path) -> None:
    next((segment_of(service) / "lexical").rglob("*.npy")).unlink()


def damaged_older_version(service: Path) -> None:
    own = segment_of(service)
    other = next(path for path in own.parent.iterdir() if path != own)
    flip(other / "vectors.faiss", 100)


def truncated_manifest(service: Path) -> None:
    path = service / "index" / "versions" / version_of(service) / "manifest.json"
    path.write_bytes(path.read_bytes()[:-40])


def changed_manifest(service: Path) -> None:
    path = service / "index" / "versions" / version_of(service) / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace("市民課.md", "市民科.md"), encoding="utf-8")


def missing_weights(service: Path) -> None:
    next((service / "model").rglob("model.safetensors")).unlink()


def missing_model(service: Path) -> None:
    (service / "model").rename(service / "model-elsewhere")


def changed_weights(service: Path) -> None:
    flip(next((service / "model").rglob("model.safetensors")), -4)  # the least bit of the last number


def damaged_usage(service: Path) -> None:
    file = service / "usage.sqlite3"
    data = bytearray(file.read_bytes())
    data[4096 : 4096 + 512] = b"\xff" * 512
    file.write_bytes(data)


def usage_of_nothing(service: Path) -> None:
    (service / "usage.sqlite3").write_bytes(b"not a database at all, but long enough" * 200)


def newer_usage(service: Path) -> None:
    with closing(sqlite3.connect(service / "usage.sqlite3")) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")


def foreign_usage(service: Path) -> None:
    with closing(sqlite3.connect(service / "usage.sqlite3")) as connection:
        connection.execute("PRAGMA application_id = 77")


def damaged_access(service: Path) -> None:
    data = bytearray((service / "access.sqlite3").read_bytes())
    data[100:200] = b"\xff" * 100
    (service / "access.sqlite3").write_bytes(data)


def no_documents(service: Path) -> None:
    (service / "documents").rename(service / "elsewhere")


def new_document(service: Path) -> None:
    (service / "documents" / "新しい課.md").write_text(book("新しい課"), encoding="utf-8")


def changed_document(service: Path) -> None:
    (service / "documents" / "税務課.md").write_text(book("税務課") + "\n変わりました。\n", encoding="utf-8")


def unreadable_document(service: Path) -> None:
    """As a build found it."""
    data = b"%PDF-1.7 half"
    (service / "documents" / "計画.pdf").write_bytes(data)
    message = {"path": "計画.pdf", "message": "壊れています。", "sha256": hashlib.sha256(data).hexdigest()}
    rewritten(service, errors=[message])


def wrong_quotations(service: Path) -> None:
    """A document's text that is another than was indexed, with every checksum right: an engine that writes amiss."""
    folder = segment_of(service)
    file = folder / "texts.utf8"
    data = file.read_bytes()
    at = data.index("受付は平日".encode())
    file.write_bytes(data[:at] + "受理は平日".encode() + data[at + len("受付は平日".encode()) :])
    content = json.loads((folder / "segment.json").read_bytes())
    content["files"]["texts.utf8"][1] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "segment.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    path = service / "index" / "versions" / version_of(service) / "manifest.json"
    segments = json.loads(path.read_bytes())["segments"]
    rewritten(
        service,
        segments=segments | {folder.name: hashlib.sha256((folder / "segment.json").read_bytes()).hexdigest()},
    )


def left_behind(service: Path) -> None:
    (service / "index" / "segments" / f".building-{segment_of(service).name}").mkdir()


def half_restored(service: Path) -> None:
    (service / ".dxqa-restore.json").write_text("[]", encoding="utf-8")


FAULTS: list[tuple[str, Callable[[Path], object], str, str, str]] = [
    ("damaged vectors", damaged_vectors, "索引の中身", "wrong", "--full"),
    ("a file of the index is gone", missing_postings, "索引の中身", "wrong", "--full"),
    ("an older version is damaged", damaged_older_version, "前の版", "notice", "作り直し"),
    ("truncated manifest", truncated_manifest, "索引", "wrong", "--full"),
    ("changed manifest", changed_manifest, "索引", "wrong", "--full"),
    ("CURRENT names nothing", lambda s: (s / "index" / "CURRENT").write_text("20260101T000000000000Z-abcdef\n"), "索引", "wrong", "--rollback"),
    ("CURRENT is gone", lambda s: (s / "index" / "CURRENT").unlink(), "索引", "wrong", "--rollback"),
    ("no index yet", lambda s: shutil.rmtree(s / "index"), "索引", "notice", "build_index.py"),
    ("an older format", lambda s: rewritten(s, format_version=3), "索引", "notice", "build_index.py"),
    ("a newer format", lambda s: rewritten(s, format_version=99), "索引", "wrong", "新しいほう"),
    ("another dictionary", lambda s: rewritten(s, tokenizer="fugashi 1 + ipadic"), "索引と単語分割", "wrong", "--full"),
    ("another model", lambda s: rewritten(s, model={"name": "other"}), "索引とモデル", "wrong", "--model"),
    ("changed weights", changed_weights, "索引とモデル", "wrong", "--full"),
    ("no weights", missing_weights, "モデル", "wrong", "写し直して"),
    ("no model", missing_model, "モデル", "wrong", "--model"),
    ("wrong quotations", wrong_quotations, "引用", "wrong", "--full"),
    ("the clock far back", lambda s: rewritten(s, built_at="2999-01-01T00:00:00+00:00"), "時計", "wrong", "時刻を直して"),
    ("damaged usage file", damaged_usage, "利用の記録", "wrong", "restore"),
    ("a usage file that is none", usage_of_nothing, "利用の記録", "wrong", "restore"),
    ("a newer usage file", newer_usage, "利用の記録", "wrong", "新しいほう"),
    ("another program's usage file", foreign_usage, "利用の記録", "wrong", "ファイル名"),
    ("damaged accounts", damaged_access, "アカウントと閲覧の範囲", "wrong", "restore"),
    ("accounts that all can read", lambda s: (s / "access.sqlite3").chmod(0o644), "記録を読める人", "wrong", "chmod 600"),
    ("no documents folder", no_documents, "資料のフォルダー", "wrong", "--documents"),
    ("a document that is not indexed", new_document, "索引の新しさ", "notice", "build_index.py"),
    ("a document that has changed", changed_document, "索引の新しさ", "notice", "build_index.py"),
    ("a document that cannot be read", unreadable_document, "読めない資料", "notice", "理由のとおり"),
    ("a word in two groups", lambda s: (s / "synonyms.csv").write_text("窓口,受付\n窓口,係\n"), "同義語の表", "wrong", "行を直して"),
    ("no table where one is named", lambda s: (s / "synonyms.csv").unlink(), "同義語の表", "notice", "--synonyms"),
    ("a build was killed", left_behind, "途中で終わった作業", "notice", "build_index.py"),
    ("a restore was killed", half_restored, "途中で終わった作業", "wrong", "restore"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("plant", "name", "state", "advice"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_a_fault_is_found_by_its_own_check(
    plant: Callable[[Path], object], name: str, state: str, advice: str, service: Path
) -> None:
    plant(service)
    before = state_of(service)
    found = crying(doctor.examine(arguments(service)))
    assert set(found) == {name}, [one.line for one in found.values()]
    assert found[name].state == state, found[name].line
    assert advice in found[name].advice
    assert state_of(service) == before


def test_much_that_was_taken_out(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = service / "documents" / ".removed" / "20261101"
    shelf.mkdir(parents=True)
    with (shelf / "大.pdf").open("wb") as file:
        file.truncate(2**30 + 1)  # a hole, which takes no room
    found = crying([check(Examined(arguments(service))) for check in (doctor.file_checks.check_removed,)])
    assert "1,024MB" in found["取り除いた資料"].found


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ("Name: numpy\nVersion: 1.0\n", "numpy 1.0（必要"),
        (
            'Name: fugashi\nVersion: 1.5.0\nProvides-Extra: unidic-lite\nRequires-Dist: unidic-missing ; extra == "unidic-lite"\n',
            "unidic-missing がありません",
        ),
    ],
)
def test_packages_that_do_not_fit(
    service: Path, tmp_path: Path, metadata: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is installed is told by folders of this form: one that stands before the real one counts."""
    name = metadata.split()[1]
    folder = tmp_path / "packages" / f"{name}-0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\n{metadata}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    told = crying([doctor.machine_checks.check_packages(Examined(arguments(service)))])
    assert found in told["パッケージ"].found
    assert "make setup" in told["パッケージ"].advice


@contextmanager
def answering(replies: dict[str, tuple[int, bytes]]) -> Iterator[int]:
    """A server on a free port that gives these replies."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = replies.get(self.path, (404, b"no"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


@pytest.mark.parametrize(
    ("replies", "state", "found"),
    [
        ({}, "wrong", "別のプログラム"),
        ({"/healthz": (200, b"[]")}, "wrong", "別のプログラム"),
        (
            {"/healthz": (200, b'{"status": "ok"}'), "/readyz": (503, '{"detail": "索引がない"}'.encode())},
            "wrong",
            "索引がない",
        ),
        (
            {"/healthz": (200, b'{"status": "ok"}'), "/readyz": (200, b'{"status": "ready"}')},
            "well",
            "答えられます",
        ),
    ],
)
def test_who_is_on_the_port(
    service: Path, replies: dict[str, tuple[int, bytes]], state: str, found: str
) -> None:
    with answering(replies) as port:
        findings = doctor.examine(arguments(service, port))
        assert set(crying(findings)) == ({"ポート"} if state == "wrong" else set())
        (told,) = [one for one in findings if one.name == "ポート"]
        assert (told.state, found in told.found) == (state, True), told.line


def test_a_stranger_that_says_nothing(service: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: listening.accept()[0].close())
        thread.start()
        told = doctor.machine_checks.check_port(Examined(arguments(service, listening.getsockname()[1])))
        thread.join(10)
    assert (told.state, "別のプログラム" in told.found) == ("wrong", True)


def test_disks(service: Path, tmp_path: Path) -> None:
    """A real file system that is nearly full and may only be read, and the command line with JSON."""
    if (
        shutil.which("unshare") is None
        or subprocess.run([*UNSHARED, "true"], check=False, timeout=20).returncode
    ):
        pytest.skip("no file systems of one's own here")
    index, saved = service / "index", tmp_path / "saved"
    missing_model(service)  # it would be loaded, which is tried above
    shutil.copytree(index, saved)
    mount = (
        f"mount -t tmpfs -o size=8m none {index} && cp -a {saved}/. {index} && mount -o remount,ro {index}"
    )
    command = [sys.executable, "-m", "ops", "doctor", "--json", *options(service, free_port())]
    done = subprocess.run(
        [*UNSHARED, "sh", "-c", f'{mount} && exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=HOME,
        env=surroundings(),
    )
    assert done.returncode == 1, done.stderr
    findings = [Finding(**one) for one in json.loads(done.stdout)["findings"]]
    found = {one.name: one for one in crying(findings).values() if one.name != "動かす利用者"}
    assert set(found) == {"空き容量", "書き込みの許可", "モデル"}, done.stdout
    assert "消す" in found["空き容量"].advice
    assert str(index) in found["書き込みの許可"].found


def test_the_default_model_without_one_of_its_files(service: Path, models_dir: Path, tmp_path: Path) -> None:
    """Its list of files says what is missing; nothing is made in its place, and nothing else is blamed."""
    source = models_dir / "multilingual-e5-small"
    if not source.is_dir():
        pytest.skip("the default model was not made yet")
    models = tmp_path / "own-models"
    for file in source.rglob("*"):
        if file.is_file() and file.name != "tokenizer.json":
            target = models / source.name / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
    args = arguments(service)
    args.model, args.models = "multilingual-e5-small", str(models)
    before = state_of(models)
    found = crying(doctor.examine(args))
    assert set(found) == {"モデル"}
    assert "作り直されます" in found["モデル"].advice
    assert state_of(models) == before
    args.models = str(tmp_path / "nowhere")
    assert set(crying(doctor.examine(args))) == {"モデル"}
    assert not (tmp_path / "nowhere").exists()


def test_a_quantized_model_that_is_cut_off(service: Path) -> None:
    args = arguments(service)
    args.precision = "int8"
    assert crying(doctor.examine(args)).keys() == {"8ビットのモデル"}
    folder = Examined(args).quantized_folder
    assert folder is not None
    folder.mkdir(parents=True)
    (folder / "model.xml").write_text("<half", encoding="utf-8")
    found = crying(doctor.examine(args))
    assert found.keys() == {"8ビットのモデル"}
    assert found["8ビットのモデル"].state == "wrong"
    assert sorted(path.name for path in folder.iterdir()) == ["model.xml"]


# ---------------------------------------------------------------- the doctor itself


def test_a_check_that_fails_is_a_finding(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check_moon(_: Examined) -> Finding:
        """The moon is there."""
        raise ZeroDivisionError("no moon\nsecond line")

    monkeypatch.setattr(doctor, "CHECKS", (check_moon, doctor.file_checks.check_synonyms))
    found = doctor.examine(arguments(service))
    assert [one.state for one in found] == ["wrong", "well", "well"]
    assert found[0].name == "点検（moon）"
    assert "ZeroDivisionError: no moon" in found[0].found
    assert "\n" not in found[0].line


def test_whoever_reaches_out_is_named(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check_news(_: Examined) -> Finding:
        """There is news."""
        with pytest.raises(OSError, match="点検の間"):
            urllib.request.urlopen("http://news.example.jp/", timeout=5)
        with pytest.raises(RefusedError), closing(socket.socket()) as plain:
            plain.connect(("192.0.2.7", 80))
        return well("ニュース", "")

    monkeypatch.setattr(doctor, "CHECKS", (check_news,))
    found = crying(doctor.examine(arguments(service)))
    assert set(found) == {"外への通信"}
    assert "news.example.jp、192.0.2.7" in found["外への通信"].found


def test_the_way_out_is_open_again_afterwards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as here:
        with nothing_goes_out() as tried:
            socket.create_connection(here.getsockname(), 5).close()
            with pytest.raises(RefusedError):
                socket.getaddrinfo("example.jp", 80)
        assert tried == ["example.jp"]
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as plain:
        plain.connect(("192.0.2.7", 9))  # of a datagram socket: nothing is sent
    assert tried == ["example.jp"]


def test_lines_and_exit_status(service: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["doctor", *options(service, free_port())]
    assert main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(doctor.CHECKS) + 2
    assert all(line[0] in "○△×－" for line in lines[:-1])
    assert lines[-1].startswith("点検：")
    damaged_vectors(service)
    assert main(given) == 1
    shown = capsys.readouterr().out
    assert "× 索引の中身: 壊れています（" in shown
    assert "×が1件" in shown
    assert main([*given, "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert content["counts"]["wrong"] == 1
    assert {"name", "state", "found", "advice"} == set(content["findings"][0])
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--port", "eighty"])
    assert ended.value.code == 2
