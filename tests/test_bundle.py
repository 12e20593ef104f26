"""The bundle and its installer: half a gigabyte of real packages once, and small bundles for what must be refused.

The real one is made, its installation killed half way and begun again beside an older one, all in a network of its own that has
nobody else in it; then what was installed is started there and asked a question.
"""

from __future__ import annotations

import ensurepip
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import isolated
import pytest

from deploy import bundle

HOME = Path(__file__).resolve().parents[1]
MOMENT = datetime(2026, 11, 22, 3, tzinfo=UTC)
PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
UNABLE = "raise SystemExit('このコンピューターでは動きません')"

ANSWERS = """
import http.server, json, pathlib, sys
home = pathlib.Path(__file__).resolve().parent
(home / "var" / "trace").write_text("of a trial")
assert list((home / "var").glob("own*")) == []  # what is in use
CITED = {"document_id": "d", "char_start": 0, "char_end": 2, "text": "本文"}
REPLIES = {"readyz": {}, "ask": {"answerable": True, "answer": {"text": ""}, "citations": [CITED]}, "text": {"text": "本文"}}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps(REPLIES[self.path.partition("?")[0].rpartition("/")[2]]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""
"""A server that gives the trial what it asks for."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the installer is for Linux")


def environment(**more: str) -> dict[str, str]:
    """What somebody who installs has: nothing of this checkout, of its environment or of pip's settings."""
    ours = ("DXQA_", "PIP_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | more


def small_bundle(folder: Path, server: str = UNABLE, change: Callable[[Path], None] | None = None) -> Path:
    """An unpacked bundle of a program whose server does one thing, with pip as the only package. `change` is made to the wheels."""
    home, wheels = folder / "checkout", folder / "wheels"
    for name in ("docs", "deploy"):
        shutil.copytree(HOME / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "synonyms.csv", "build_index.py"):
        shutil.copy(HOME / name, home / name)
    (home / "pyproject.toml").write_text(
        '[project]\nversion = "9.8"\n[tool.setuptools]\npackages = []\npy-modules = ["server", "build_index"]\n'
    )
    (home / "server.py").write_text(server, encoding="utf-8")
    wheels.mkdir()
    for wheel in (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"):
        shutil.copy(wheel, wheels)
    if change is not None:
        change(wheels)
    return unpacked(bundle.write_bundle(home, wheels, folder / "made", MOMENT), folder)


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    return folder / "unpacked" / archive.stem


def install(root: Path, *arguments: str | Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the installer of an unpacked bundle; its two outputs come as one."""
    command = shlex.join(["sh", str(root / "install.sh"), "--python", str(PYTHON), *map(str, arguments)])
    return subprocess.run(
        ["sh", "-c", f"{before}{command}"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )


def older(prefix: Path, name: str = "old") -> Path:
    """An installation that is in use."""
    release = prefix / "releases" / name
    release.mkdir(parents=True)
    (release / ".whole").touch()
    (prefix / "current").unlink(missing_ok=True)
    (prefix / "current").symlink_to(f"releases/{name}")
    return release


# ---------------------------------------------------------------- the archive


def test_an_archive_names_its_contents_and_tells_nothing_of_its_maker(tmp_path: Path) -> None:
    root = small_bundle(tmp_path)
    archive = tmp_path / "made" / f"{root.name}.tar"
    assert re.fullmatch(r"dxqa-9\.8-20261122-linux-\w+-py3\d+", root.name)
    said, name = (tmp_path / "made" / f"{root.name}.tar.sha256").read_text().split()
    assert (said, name) == (hashlib.sha256(archive.read_bytes()).hexdigest(), archive.name)
    sums = dict(line.split("  ")[::-1] for line in (root / "SHA256SUMS").read_text().splitlines())
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert set(sums) == files - {"SHA256SUMS"}
    assert all(
        hashlib.sha256((root / path).read_bytes()).hexdigest() == digest for path, digest in sums.items()
    )
    with tarfile.open(archive) as tar:
        assert {(entry.uname, entry.uid) for entry in tar} == {("root", 0)}
    assert [path.name for path in (tmp_path / "made").iterdir() if path.name.startswith(".")] == []


def test_secrets_beside_the_program_stay_at_home(tmp_path: Path) -> None:
    secret = HOME / "deploy" / "made-by-a-test.env"
    secret.write_text("DXQA_ADMIN_TOKEN=secret\n")
    try:
        root = small_bundle(tmp_path)
    finally:
        secret.unlink()
    assert (root / "program" / "deploy" / "dxqa.env.example").exists()
    assert list(root.rglob("*.env")) == []


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("place", ["wheels", "program/server.py", "install.sh", "bundle.txt"])
def test_one_changed_byte_is_found_before_anything_is_done(tmp_path: Path, place: str) -> None:
    root = small_bundle(tmp_path)
    damaged = root / place
    if damaged.is_dir():
        damaged = next(damaged.iterdir())
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2 if place == "wheels" else -1] ^= 1
    damaged.write_bytes(content)
    done = install(root, "--prefix", tmp_path / "dxqa")
    assert done.returncode == 1
    assert "アーカイブが壊れています" in done.stdout
    assert damaged.relative_to(root).as_posix() in done.stdout
    assert not (tmp_path / "dxqa").exists()


@pytest.mark.parametrize("option", ["--prefix", "--data"])
def test_a_full_disk_is_said_with_both_numbers(tmp_path: Path, option: str) -> None:
    reason = isolated.refusal()
    if reason is not None:
        pytest.skip(reason)
    root, disk = small_bundle(tmp_path), tmp_path / "disk"
    disk.mkdir()
    places = {"--prefix": tmp_path / "dxqa", "--data": tmp_path / "data", option: disk / "dxqa"}
    mount = f"mount -t tmpfs -o size=64m own {shlex.quote(str(disk))}"
    given = [str(word) for pair in places.items() for word in pair]
    script = shlex.join(["sh", str(root / "install.sh"), "--python", str(PYTHON), *given])
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{mount} && {script}; exit $?"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    said = re.search(r"空き容量が足りません（(.*)：空き (\d+)MB、必要 (\d+)MB）.*(--\w+) で", done.stderr)
    assert said is not None, done.stderr
    assert (said[1], said[4]) == (str(disk / "dxqa"), option)
    assert int(said[2]) <= 64 < bundle.MADE_THERE // 2**20 <= int(said[3])
    assert done.stdout.splitlines()[-1].startswith("2/6")  # nothing was made


def test_another_python_is_refused(tmp_path: Path) -> None:
    root = small_bundle(tmp_path)
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\n[ $1 = --version ] && echo Python 3.6.8 && exit\nexit 1\n")
    other.chmod(0o755)
    done = install(root, "--prefix", tmp_path / "dxqa", "--python", other)
    assert done.returncode == 1
    assert re.search(r"Python 3\.\d+ が要ります（見つかったもの：Python 3\.6\.8）", done.stdout)


def test_wrong_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    root = small_bundle(tmp_path)
    for wrong in (["--prefix"], ["--nowhere"], ["--data", ""]):
        done = install(root, *wrong)
        assert (done.returncode, done.stdout.count("\n")) == (2, 1)
        assert "使い方" in done.stdout


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    root, prefix = small_bundle(tmp_path), tmp_path / "dxqa"
    prefix.mkdir()
    with (prefix / ".installing").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = install(root, "--prefix", prefix)
    assert done.returncode == 1
    assert "ほかのインストールが動いています" in done.stdout


def broken_wheel(wheels: Path) -> None:
    (wheels / "lonely-1.0-py3-none-any.whl").write_bytes(b"PK\5\6" + bytes(18))  # an archive without a file


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            None,
            "試しに動かしたサーバーが、状態 1 で終わりました。サーバーの最後の出力： このコンピューターでは動きません",
        ),
        (broken_wheel, "部品（パッケージ）を入れられませんでした"),
    ],
)
def test_what_ran_before_stays_where_the_new_one_fails(
    tmp_path: Path, change: Callable[[Path], None] | None, said: str
) -> None:
    root, prefix = small_bundle(tmp_path, change=change), tmp_path / "d x"
    release = older(prefix)
    done = install(root, "--prefix", prefix)
    assert done.returncode == 1
    assert said in done.stdout
    assert "これまで使っていたものは、そのまま動きます" in done.stdout
    assert (prefix / "current").resolve() == release
    assert list((prefix / "releases").iterdir()) == [release]


def test_citations_that_are_not_in_the_document_end_the_trial(tmp_path: Path) -> None:
    root = small_bundle(
        tmp_path, server=ANSWERS.replace('"text": {"text": "本文"}', '"text": {"text": "本分"}')
    )
    done = install(root, "--prefix", tmp_path / "dxqa")
    assert (done.returncode, "引用が原文と合いません：本文" in done.stdout) == (1, True), done.stdout
    assert not (tmp_path / "dxqa" / "current").exists()


# ---------------------------------------------------------------- what is kept


def test_the_one_before_and_one_that_still_runs_are_kept(tmp_path: Path) -> None:
    root, prefix = small_bundle(tmp_path, server=ANSWERS), tmp_path / "d x"
    (prefix / "var").mkdir(parents=True)
    (prefix / "var" / "own").write_text("a record")
    older(prefix, "gone")
    serving, before = older(prefix, "serving"), older(prefix, "before")
    shutil.copy(shutil.which("sleep") or "/bin/sleep", serving / "server")
    server = subprocess.Popen([serving / "server", "300"])  # nobody has started it anew since
    try:
        done = install(root, "--prefix", prefix)
        assert done.returncode == 0, done.stdout
        release = (prefix / "current").resolve()
        assert set((prefix / "releases").iterdir()) == {serving, before, release}
        assert {path.name for path in (release / "var").iterdir()} == {"own", "models"}
    finally:
        server.kill()
        server.wait()
    [back] = re.findall(r"前の版に戻すには：(.*)", done.stdout)
    assert back == f"ln -sfn releases/before '{prefix}/current'"
    assert subprocess.run(["sh", "-c", back], check=False, timeout=20).returncode == 0
    assert (prefix / "current").resolve() == before

    again = install(root, "--prefix", prefix)
    assert again.returncode == 0, again.stdout
    assert set((prefix / "releases").iterdir()) == {before, (prefix / "current").resolve()}


# ---------------------------------------------------------------- all of it


def wheels_of_the_program() -> Path:
    """The packages, fetched once and kept beside this checkout's models."""
    import torch

    if torch.version.cuda is not None:
        pytest.skip("the PyTorch of this environment is one for GPUs; a bundle takes the one for processors")
    kept = HOME / "var" / "bundle" / "wheels"
    try:
        bundle.collect_wheels(HOME, kept, shlex.split(os.environ.get("PIP_ARGS", "")))
    except bundle.BundleError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no packages: {error}")
    return kept


def interrupted(root: Path, prefix: Path) -> None:
    """An installation that is killed while it brings in the packages."""
    process = subprocess.Popen(
        ["sh", root / "install.sh", "--python", PYTHON, "--prefix", prefix],
        env=environment(),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while len(list(prefix.glob("releases/dxqa-*/venv/lib/python*/site-packages/*.dist-info"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def call(port: int, path: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed whatever comes: three gigabytes are not for pytest to keep."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_a_bundle_is_installed_and_answers_without_any_network(roomy: Path, models_dir: Path) -> None:
    reason = isolated.refusal()
    if reason is not None:
        pytest.skip(reason)
    archive = bundle.write_bundle(HOME, wheels_of_the_program(), roomy, MOMENT)
    root, prefix, data = unpacked(archive, roomy), roomy / "dxqa", roomy / "data"
    archive.unlink()
    # what an older installation and its users left: two versions of the program, a document, a record, synonyms
    gone, before = older(prefix, "older"), older(prefix)
    kept = {
        data / "documents" / "窓口.md": "# 窓口\n\n住民票は総務課の一番窓口で受け付けます。\n",
        data / "var" / "own": "a record",
        data / "synonyms.csv": "一番窓口,総合窓口\n",
    }
    for path, content in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    interrupted(root, prefix)
    left = [path for path in (prefix / "releases").iterdir() if path not in (gone, before)]
    assert len(left) == 1
    assert (prefix / "current").resolve() == before

    one_command = shlex.join(
        [
            "sh",
            str(root / "install.sh"),
            "--python",
            str(PYTHON),
            "--prefix",
            str(prefix),
            "--data",
            str(data),
        ]
    )
    # exec: what is ended with the network is the server, not a shell that waits for it
    start = f"{one_command} && exec {shlex.quote(str(prefix / 'start.sh'))} --port 8000"
    alone = environment(DXQA_MODELS=str(models_dir))
    with isolated.running(["sh", "-c", start], {8000: 0}, roomy, alone) as (process, ports):
        log = roomy / "output.log"
        end = time.monotonic() + 400
        while True:
            try:
                assert call(ports[8000], "/readyz")["status"] == "ready"
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
        question = json.dumps({"question": "住民票はどこで受け付けますか"}).encode()
        reply = call(ports[8000], "/api/ask", question)
    said = log.read_text(encoding="utf-8")
    assert reply["answerable"], said
    assert "一番窓口" in reply["answer"]["text"]
    cited = reply["citations"][0]
    text = kept[data / "documents" / "窓口.md"]
    assert (cited["path"], cited["text"]) == ("窓口.md", text[cited["char_start"] : cited["char_end"]])

    assert [path.read_text(encoding="utf-8") for path in kept] == list(kept.values())
    assert {"index", "own"} <= {
        path.name for path in (data / "var").iterdir()
    }  # the new program's index lies outside it
    assert set((prefix / "releases").iterdir()) == {before, (prefix / "current").resolve()}
    assert f"戻すには：ln -sfn releases/old '{prefix}/current'" in said
    assert f"起動するには：{prefix}/start.sh" in said
    assert (prefix / "dxqa.env").stat().st_mode & 0o777 == 0o600


def test_a_table_of_synonyms_that_cannot_be_used_is_told_of_before_anything_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundle, "HOME", tmp_path)
    (tmp_path / "synonyms.csv").write_text("手数料\n", encoding="utf-8")
    assert bundle.main(["--to", str(tmp_path / "to"), "--wheels", str(tmp_path / "wheels")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "synonyms.csv" in err
    assert "1行目" in err
    assert [path.name for path in tmp_path.iterdir()] == ["synonyms.csv"]
