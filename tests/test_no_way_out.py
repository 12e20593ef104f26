"""No connection goes out, whatever is done: every program runs in a network of its own, and the kernel's calls are written down.

The judge is strace: an attempt counts, whether it could succeed or not, in Python or in any library or child process.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docx
import isolated
import openpyxl
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from reportlab.pdfgen.canvas import Canvas

from build_index import SAMPLES
from options import HOME

STRACE = ("strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-s", "32")
HOST, TOKEN = "http://127.0.0.1:8000", "a-token-of-the-tests"
OUTSIDE = "http://dx.example.jp"
LURE = f"""<!DOCTYPE html><html><head><link rel="stylesheet" href="{OUTSIDE}/a.css"><script src="{OUTSIDE}/a.js"></script>
<meta http-equiv="refresh" content="0;url={OUTSIDE}"></head><body><h1>窓口の案内</h1><img src="{OUTSIDE}/a.png">
<iframe src="{OUTSIDE}"></iframe><p>窓口は平日の午前九時から受け付けます。<a href="{OUTSIDE}">くわしく</a></p></body></html>"""


def tried(trace: Path) -> list[str]:
    """The calls that would reach another computer, as strace wrote them."""
    found = []
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        family = re.search(r"sa_family=(AF_\w+)", line)
        if family is None or family[1] in {"AF_UNIX", "AF_NETLINK", "AF_UNSPEC"}:
            continue
        if not re.search(r'inet_addr\("127\.|inet_pton\(AF_INET6, "(?:::1|::ffff:127\.[0-9.]+)"', line):
            found.append(line)
    return found


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    reason = isolated.refusal() or ("" if shutil.which("strace") else "strace is not installed (make tools)")
    if reason and not os.environ.get("CI"):
        pytest.skip(reason)
    assert not reason


def alone(folder: Path, *command: str, settings: dict[str, str]) -> tuple[int, str, list[str]]:
    """A program in a network without anything: its status, what it says, and what it tried to reach."""
    trace = folder / "trace"
    done = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--net",
            "--",
            *STRACE,
            "-o",
            str(trace),
            sys.executable,
            *command,
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        cwd=HOME,
        env=os.environ | settings,
    )
    return done.returncode, done.stdout + done.stderr, tried(trace)


def test_the_judge_sees_what_tries_to_get_out(tmp_path: Path) -> None:
    for attempt in (
        "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import socket; socket.create_connection((\"2001:db8::1\", 80), 1)'])",
    ):
        assert alone(tmp_path, "-c", attempt, settings={})[2], attempt
    quiet = "import socket; a = socket.create_server(('127.0.0.1', 0)); socket.socket().connect_ex(a.getsockname())"
    assert alone(tmp_path, "-c", quiet, settings={})[2] == []


def test_the_programs_of_the_command_line(tmp_path: Path, models_dir: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    shutil.copy(next(SAMPLES.glob("*.md")), documents)
    (documents / "案内.html").write_text(LURE, encoding="utf-8")
    settings = {
        "DXQA_MODELS": str(models_dir),
        "DXQA_DOCUMENTS": str(documents),
        "DXQA_INDEX": str(tmp_path / "index"),
        "DXQA_USAGE": str(tmp_path / "usage.sqlite3"),
        "DXQA_ACCESS": str(tmp_path / "access.sqlite3"),
    }
    (tmp_path / "backups").mkdir()
    for command, statuses in (
        (("build_index.py",), {0}),
        (("build_index.py", "--history"), {0}),
        (("-m", "access", "add", "tanaka", "--generate"), {0}),
        (("-m", "ops", "doctor"), {0, 1}),
        (("-m", "ops", "backup", str(tmp_path / "backups")), {0}),
    ):
        status, said, outside = alone(tmp_path, *command, settings=settings)
        assert (status in statuses, outside) == (True, []), said


def word() -> bytes:
    """A document that leads outside: by a link, a picture and a template that lie elsewhere."""
    document, out = docx.Document(), io.BytesIO()
    document.add_heading("窓口の手引き", 1)
    document.add_paragraph("受付は平日の午前九時からです。")
    template = RELATIONSHIP_TYPE.HYPERLINK.replace("hyperlink", "attachedTemplate")
    for kind in (RELATIONSHIP_TYPE.HYPERLINK, RELATIONSHIP_TYPE.IMAGE, template):
        document.part.relate_to(f"{OUTSIDE}/x", kind, is_external=True)
    document.save(out)
    return out.getvalue()


def workbook() -> bytes:
    """A workbook with a formula and a link that lead outside."""
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in (
        ("質問", "回答"),
        ("受付は何時から？", "午前九時からです。"),
        ("場所は？", f'=WEBSERVICE("{OUTSIDE}")'),
    ):
        book.active.append(row)
    book.active["A2"].hyperlink = OUTSIDE
    book.save(out)
    return out.getvalue()


def plan() -> bytes:
    """A PDF file with a link that leads outside."""
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(72, 720, "The counter opens at nine in the morning on weekdays.")
    canvas.linkURL(OUTSIDE, (72, 700, 300, 740))
    canvas.save()
    return out.getvalue()


class Visitor:
    """Asks the server in its network, through the port that is led out of it."""

    def __init__(self, port: int) -> None:
        self._port = port

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            named = {"Host": "127.0.0.1:8000", "Authorization": f"Bearer {TOKEN}"} | {
                name.replace("_", "-"): value for name, value in headers.items()
            }
            connection.request(method, path, body, named)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: object = None) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        status, reply = self.call(method, path, sent, Content_Type="application/json")
        assert status < 300, (path, reply)
        return json.loads(reply)

    def upload(self, files: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
        parts = [
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="'
            + name.encode()
            + b'"\r\nContent-Type: application/octet-stream\r\n\r\n'
            + content
            + b"\r\n"
            for name, content in files
        ]
        status, reply = self.call(
            "POST",
            "/api/uploads",
            b"".join(parts) + b"--x--\r\n",
            Content_Type="multipart/form-data; boundary=x",
        )
        assert status == 201, reply
        uploads: list[dict[str, Any]] = json.loads(reply)["uploads"]
        return uploads

    def wait(self, check: Any, timeout_s: float = 120.0) -> None:
        end = time.monotonic() + timeout_s
        while True:
            try:
                if check():
                    return
            except OSError:
                pass
            assert time.monotonic() < end
            time.sleep(0.2)


def test_a_server_and_all_that_it_does(tmp_path: Path, models_dir: Path) -> None:
    documents, trace = tmp_path / "documents", tmp_path / "trace"
    documents.mkdir()
    for sample in sorted(SAMPLES.iterdir())[:3]:
        shutil.copy(sample, documents)
    settings = {
        "DXQA_MODELS": str(models_dir),
        "DXQA_DOCUMENTS": str(documents),
        "DXQA_INDEX": str(tmp_path / "index"),
        "DXQA_USAGE": str(tmp_path / "usage.sqlite3"),
        "DXQA_ACCESS": str(tmp_path / "access.sqlite3"),
        "DXQA_ADMIN_TOKEN": TOKEN,
    }
    command = [*STRACE, "-o", str(trace), sys.executable, str(HOME / "server.py")]
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("DXQA_")} | settings
    with isolated.running(command, {8000: 0}, tmp_path, surroundings) as (process, ports):
        visitor = Visitor(ports[8000])
        visitor.wait(lambda: process.poll() is None and visitor.call("GET", "/readyz")[0] == 200)
        uploads = visitor.upload(
            [
                ("案内.html", LURE.encode()),
                ("手引き.docx", word()),
                ("一覧.xlsx", workbook()),
                ("計画.pdf", plan()),
            ]
        )
        assert len(uploads) == 4
        visitor.wait(
            lambda: all(u["state"] != "waiting" for u in visitor.json("GET", "/api/uploads")["uploads"])
        )
        job = visitor.json("POST", "/api/uploads/approve")["job_id"]
        visitor.wait(
            lambda: visitor.json("GET", f"/api/index/jobs/{job}")["status"] in {"succeeded", "failed"}
        )
        assert visitor.json("GET", f"/api/index/jobs/{job}")["status"] == "succeeded"
        listed = visitor.json("GET", "/api/documents")["documents"]
        pdf = next(d["id"] for d in listed if d["path"] == "計画.pdf")
        cases = [case["id"] for case in visitor.json("GET", "/api/cases")["cases"]][:2]
        asked = quote("窓口は何時から受け付けますか")
        for path in (
            "/", f"/?q={asked}", f"/api/search?q={asked}", "/cases", "/documents", "/help", "/similar?population=30000", "/admin",
            "/admin/usage", "/admin/visibility", "/metrics", "/healthz", "/openapi.json", f"/documents/{pdf}", f"/documents/{pdf}/pages/1.png",
            f"/documents/{pdf}/file", *(f"/export/answer.{kind}?q={asked}" for kind in ("docx", "xlsx", "md")),
            *(f"/cases/{case}" for case in cases), f"/compare?case={'&case='.join(cases)}",
        ):  # fmt: skip
            assert visitor.call("GET", path)[0] == 200, path
        assert visitor.json("POST", "/api/ask", {"question": "窓口は何時から受け付けますか"})["citations"]
        visitor.json("POST", "/api/feedback", {"question": "窓口", "useful": True, "comment": OUTSIDE})
        assert visitor.call("POST", "/login", b"name=x&password=y", Origin=HOST)[0] == 401
        visitor.json("POST", "/api/index/rollback")
    assert tried(trace) == []


RETRIEVERS = """
import json, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import isolated

class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        citation = {"chunk_id": "c", "document_id": "d", "text": "窓口の研修。", "url": "/documents/d", "score": 0.5, "char_start": 0, "char_end": 6}
        self.wfile.write(json.dumps({"citations": [citation]}).encode())

isolated._raise_loopback()
server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

import asyncio
from llama_index.core.schema import MetadataMode
from integrations import langchain, llamaindex

chain = langchain.DxqaRetriever(url=url)
nodes = llamaindex.DxqaRetriever(url).retrieve("窓口") + asyncio.run(llamaindex.DxqaRetriever(url).aretrieve("窓口"))
documents = chain.invoke("窓口") + asyncio.run(chain.ainvoke("窓口"))
texts = {document.page_content for document in documents} | {node.get_content(MetadataMode.NONE) for node in nodes}
assert texts == {"窓口の研修。"}, texts
assert "窓口の研修。" in nodes[0].get_content(MetadataMode.LLM)
server.shutdown()
"""


def test_the_retrievers_and_the_frameworks_they_are_of(tmp_path: Path) -> None:
    """LlamaIndex has code that fetches NLTK's data, LangChain code that reports to its makers: neither is reached."""
    settings = {
        "HOME": str(tmp_path),  # where nothing was fetched before
        "PYTHONPATH": os.pathsep.join((str(HOME), str(HOME / "tests"))),
    }
    status, said, outside = alone(tmp_path, "-c", RETRIEVERS, settings=settings)
    assert (status, outside) == (0, []), said
    assert [path for path in tmp_path.rglob("*") if "nltk" in path.name.lower()] == []
