"""`make check` against published flaws: a flaw fails it, a service that is not there does not; bandit sees what is wrong.

That bandit finds nothing in our own code, `make check` itself says.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fire import REPOSITORY, free_port

AUDIT = REPOSITORY / ".ci" / "audit.py"


class _Flaws(BaseHTTPRequestHandler):
    """Answers as the service of OSV: one version of one package has a flaw."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        flawed = asked["package"]["name"].lower() == "jinja2" and asked["version"] == "2.4.1"
        flaw = {
            "id": "PYSEC-0000-1", "summary": "made up", "details": "made up", "modified": "2026-01-01T00:00:00Z",
            "affected": [{"package": {"name": "jinja2", "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}], "versions": ["2.4.1"]}],
        }  # fmt: skip
        body = json.dumps({"vulns": [flaw]} if flawed else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Flaws) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/v1/query"
        served.shutdown()


def audited(folder: Path, service: str, package: str) -> tuple[int, str]:
    """Exit status and words of `packages` alone over one package."""
    (folder / "requirements.txt").write_text(f"{package}\n", encoding="ascii")
    code = f"import runpy, sys; sys.exit(runpy.run_path({str(AUDIT)!r})['packages'](sys.argv[1:]))"
    options = [
        "-r",
        str(folder / "requirements.txt"),
        "--no-deps",
        "--disable-pip",
        "-s",
        "osv",
        "--osv-url",
        service,
        "--cache-dir",
        str(folder / "cache"),
    ]
    run = subprocess.run(
        [sys.executable, "-c", code, *options], capture_output=True, text=True, check=False, timeout=60
    )
    return run.returncode, run.stdout + run.stderr


def test_a_published_flaw_fails(service: str, tmp_path: Path) -> None:
    status, said = audited(tmp_path, service, "jinja2==2.4.1")
    assert status == 1, said
    assert "jinja2 2.4.1: PYSEC-0000-1（直った版：9.9）" in said


def test_no_flaw_passes_in_silence(service: str, tmp_path: Path) -> None:
    assert audited(tmp_path, service, "jinja2==3.1.6") == (0, "")


def test_a_service_that_is_not_there_is_said_and_fails_nothing(tmp_path: Path) -> None:
    status, said = audited(tmp_path, f"http://127.0.0.1:{free_port()}/v1/query", "jinja2==2.4.1")
    assert (status, said) == (0, "パッケージの脆弱性は調べていません（情報を配るサービスに届きません）。\n")


def test_any_other_trouble_fails(service: str, tmp_path: Path) -> None:
    status, said = audited(tmp_path, service, "jinja2>=")
    assert status == 1
    assert said


def test_bandit_sees_what_is_wrong(tmp_path: Path) -> None:
    code = "import runpy, sys, pathlib; own = runpy.run_path(sys.argv[1])['patterns']; own.__globals__['HOME'] = pathlib.Path(sys.argv[2]); sys.exit(own())"
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.py").write_text(
        "import subprocess\nsubprocess.call(input(), shell=True)\n", encoding="ascii"
    )
    command = [sys.executable, "-c", code, str(AUDIT)]
    bad = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60)
    assert bad.returncode == 1
    assert "B602" in bad.stdout
