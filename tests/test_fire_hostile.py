"""Hostile inputs (tests/hostile.py) against a real server: refused or escaped, nothing else; the service is well afterwards."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import openpyxl
import pytest
from fire import BEARER, FULL, Reply, Server, measured, size, statuses
from hostile import CLOSED, INPUTS, SECRETS, XSS, Hostile
from made import CASE_BOOK
from test_reader_fuzz import word

SECONDS = 5
"""Longest time for one input, of which most take milliseconds."""
SILENCE_S = 0.5
"""After which a server that says nothing on a socket is taken to wait for more, as it may; that it does not wait for ever is another test."""
KINDS = list(dict.fromkeys(one.kind for one in INPUTS))
# a folder that is filled by hand may hold such names; none of them can come by HTTP
NAMES = [
    '引用"符.md',
    "改行\r\nX-Evil: 1.md",
    "<img src=x onerror=alert(1)>.md",
    "=1+1.md",
    "百%0d%0a分率.md",
    "'; DROP TABLE documents; --.md",
]
DOCUMENT = "".join(
    f"## {text}\n\n窓口の手数料は{number}円です。{text}\n\n| 区分 | {text.replace('|', '')} |\n|---|---|\n| {text.replace('|', '')} | {number} |\n\n"
    for number, text in enumerate(XSS)
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service over documents with hostile words, tables, headings and names, in full size with the real model."""
    folder = tmp_path_factory.mktemp("hostile") / "service"
    documents = folder / "documents"
    documents.mkdir(parents=True)
    (documents / "事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
    (documents / "文書.docx").write_bytes(word())
    (documents / "題.md").write_text(f"# {XSS[0]}\n\n{DOCUMENT}", encoding="utf-8")
    (documents / "頁.html").write_text(
        f"<title>{XSS[5]}</title><h1>窓口</h1><p>窓口は九時からです。</p><script>alert(1)</script>",
        encoding="utf-8",
    )
    for number, name in enumerate(NAMES):
        (documents / name).write_text(
            f"# 資料{number}\n\n資料{number}の窓口は九時に開きます。\n", encoding="utf-8"
        )
    synonyms = folder / "synonyms.csv"
    synonyms.write_text(
        '窓口,<script>alert(1)</script>,=1+1\n"手数料","\'; DROP TABLE questions; --"\n', encoding="utf-8"
    )
    with Server(folder, real_model=FULL, environment={"DXQA_SYNONYMS": str(synonyms)}) as started:
        yield started


@pytest.fixture(scope="module")
def ids(server: Server) -> dict[str, str]:
    """What stands for the names in an address."""
    listed = server.call("GET", "/api/documents").json()["documents"]
    return {
        "document": next(d["id"] for d in listed if d["path"] == "題.md"),
        "case": server.call("GET", "/api/cases").json()["cases"][0]["id"],
        "version": server.call("GET", "/api/index").json()["version"],
    }


def sent(server: Server, one: Hostile, ids: dict[str, str]) -> tuple[list[int], bytes]:
    """The statuses of what came back, in order, and all of it."""
    if one.raw is not None:
        got = server.raw(one.raw, SILENCE_S)
        return statuses(got) or [CLOSED], got
    path = one.path
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", value)
    reply = server.call(one.method, path, one.body, {**one.headers, **(BEARER if one.admin else {})})
    _looked_at(reply)
    return [reply.status], reply.body


def _looked_at(reply: Reply) -> None:
    """What holds for every reply: a policy that lets no script in, no header of somebody else's, no type that may be guessed."""
    assert "x-evil" not in reply.headers
    assert not any("\r" in value or "\n" in value for value in reply.headers.values())
    # what the server refuses before the application sees it has no headers of the application's
    if reply.status != 400 or "content-security-policy" in reply.headers:
        assert reply.headers["x-content-type-options"] == "nosniff", reply
        assert "default-src 'none'" in reply.headers["content-security-policy"]


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_inputs(server: Server, ids: dict[str, str], kind: str) -> None:
    met: Counter[int] = Counter()
    longest = 0.0
    wrong: list[str] = []
    with measured(f"hostile inputs: {kind}") as told:
        for one in (one for one in INPUTS if one.kind == kind):
            started = time.monotonic()
            found, body = sent(server, one, ids)
            took = time.monotonic() - started
            longest = max(longest, took)
            met.update(found)
            said = [f"status {status}" for status in found if status not in one.allowed]
            said += [f"{len(found)} replies"] if len(found) > one.most_replies else []
            said += [f"{word!r} in the reply" for word in (*one.never, *SECRETS) if word in body]
            said += [f"{took:.1f} s"] if took > SECONDS else []
            if said:
                wrong.append(f"{one.name}: {', '.join(said)}: {body[:150]!r}")
        assert wrong == [], "\n".join(wrong)
        assert server.call("GET", "/readyz").status == 200
        assert "九時" in server.ask("資料1の窓口は何時に開きますか").text
        assert "request failed" not in server.said()
        told |= {"count": met.total(), "longest_s": round(longest, 2)}
        told["result"] = ", ".join(f"{status or 'closed'}: {n}" for status, n in sorted(met.items()))


def test_there_are_enough_of_them() -> None:
    assert len(INPUTS) >= 200
    assert len({(one.kind, one.name) for one in INPUTS}) == len(INPUTS)


def test_no_file_came_to_lie_outside(server: Server) -> None:
    top = server.folder.parent
    assert [path.name for path in top.iterdir()] == ["service"]
    assert {path.name for path in server.folder.iterdir()} <= {
        "documents", "index", "server.log", "synonyms.csv", "usage.sqlite3", "usage.sqlite3-wal", "usage.sqlite3-shm",
    }  # fmt: skip
    names = {path.name for path in server.documents.iterdir()}
    assert names - {".inbox", ".removed"} == {"事例集.txt", "文書.docx", "題.md", "頁.html", *NAMES}
    for waiting in (server.documents / ".inbox").glob("*"):
        assert {path.name for path in waiting.iterdir()} <= {"data", "entry.json", "parsed.json"}
        assert "evil" not in json.loads((waiting / "entry.json").read_text(encoding="utf-8"))["name"].replace(
            "evil.md", ""
        )
    assert not any(Path(path).exists() for path in ("/etc/evil.md", "/tmp/evil.md", "evil.md", "../evil.md"))


def test_hostile_names_of_files_by_hand_are_sent_as_names_only(server: Server) -> None:
    listed = {d["path"]: d["id"] for d in server.call("GET", "/api/documents").json()["documents"]}
    for name in NAMES:
        if name not in listed:
            continue  # a name with a line break is none that a build takes
        reply = server.call("GET", f"/documents/{listed[name]}/file")
        assert reply.status == 200
        _looked_at(reply)
        assert reply.headers["content-disposition"].startswith(
            "attachment; filename=document.md; filename*=UTF-8''"
        )
        assert "'" not in reply.headers["content-disposition"].split("UTF-8''")[1].replace("%27", "")
    assert len(set(NAMES) & set(listed)) >= 4


FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "=cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "\n=1+1",
    '=HYPERLINK("http://evil.example")',
]


def test_no_cell_of_an_exported_table_is_a_formula(server: Server) -> None:
    with measured("hostile inputs: formulas in exports") as told:
        for number, text in enumerate(FORMULAS):
            server.ask(f"{text} 窓口")
            server.post(
                "/api/feedback", {"question": f"{text} 窓口{number}", "useful": False, "comment": text}
            )
        cells = 0
        time.sleep(1.5)
        for name in (
            "questions",
            "often",
            "unanswered",
            "documents",
            "ratings",
            "comments",
            "days",
            "not-useful",
        ):
            reply = server.call("GET", f"/admin/usage/{name}.csv?days=all", headers=BEARER)
            if reply.status == 404:
                continue
            assert reply.status == 200
            for row in csv.reader(io.StringIO(reply.body.decode("utf-8-sig"))):
                for cell in row:
                    cells += 1
                    assert not cell.lstrip(" \u3000").startswith(tuple("=+@\t\r＝＋＠")), cell
                    assert not cell.startswith(("-1+", "－")), cell
        books = [server.call("GET", "/admin/usage/records.xlsx?days=all", headers=BEARER)]
        books += [
            server.call("GET", "/export/answer.xlsx?" + urlencode({"q": text + "窓口"})) for text in FORMULAS
        ]
        for reply in books:
            assert reply.status == 200
            for sheet in openpyxl.load_workbook(io.BytesIO(reply.body)):
                for row in sheet.iter_rows():
                    for cell in row:
                        cells += 1
                        assert cell.data_type != "f", cell.value
        told |= {"count": len(FORMULAS), "cells": cells, "result": "no cell is a formula"}
        assert cells > 500


def _bomb(name: str, entry: str, length: int) -> bytes:
    """A package whose one part is `length` bytes of nothing."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("[Content_Types].xml", "<Types/>")
        with package.open(entry, "w", force_zip64=True) as part:
            for _ in range(length >> 20):
                part.write(bytes(1 << 20))
    return made.getvalue()


def _with_entries(*names: str) -> bytes:
    """A Word file with further entries."""
    made = io.BytesIO(word())
    with zipfile.ZipFile(made, "a") as package:
        for name in names:
            package.writestr(name, "evil")
    return made.getvalue()


def _laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "笑" * 10}">' for n in range(10))
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word())) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "word/document.xml":
                content = f'<?xml version="1.0"?><!DOCTYPE d [{entities}<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&l9;&x;</d>'.encode()
            new.writestr(name, content)
    return made.getvalue()


def test_files_that_burst(server: Server) -> None:
    """Sent over HTTP, read as in the product: the file is refused with a reason, or read without what is wrong with it."""
    bytes_of_nothing = size(30, 2000) << 20
    files = {
        "袋.docx": _bomb("袋", "word/document.xml", bytes_of_nothing),
        "袋.xlsx": _bomb("袋", "xl/workbook.xml", bytes_of_nothing),
        "笑.docx": _laughs(),
        "外.docx": _with_entries("../../evil.txt", "/etc/evil.txt", "..\\evil.txt", "C:\\evil.txt"),
        "多.docx": _with_entries(*(f"word/x{n}.xml" for n in range(5000))),
        "深.html": ("<div>" * 20_000 + "窓口は九時に開きます。").encode(),
        "実体.html": b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><p>&x;</p><p>\xe7\xaa\x93</p>",
        "列.csv": b"a,b\n" + b'"' + b"x" * 2_000_000,
    }
    with measured("hostile inputs: files that burst") as told:
        outcomes: Counter[str] = Counter()
        for name, data in files.items():
            reply = server.upload(name, data, "/api/uploads", timeout=60)
            if reply.status != 201:
                assert reply.status == 422, reply.text
                outcomes["refused at once"] += 1
                continue
            identity = next(one["id"] for one in reply.json()["uploads"])
            end = time.monotonic() + 60
            while (one := server.call("GET", f"/api/uploads/{identity}", headers=BEARER).json())["upload"][
                "state"
            ] == "waiting":
                assert time.monotonic() < end, f"{name} is still being read"
                time.sleep(0.05)
            outcomes[one["upload"]["state"]] += 1
            assert "root:x:" not in json.dumps(one)
            if one["upload"]["state"] == "refused":
                assert one["upload"]["message"].endswith("。")
            assert server.call("DELETE", f"/api/uploads/{identity}", headers=BEARER).status == 200
        told |= {
            "count": len(files),
            "result": ", ".join(f"{name}: {n}" for name, n in sorted(outcomes.items())),
        }
        assert server.ask("資料1の窓口は何時に開きますか").status == 200
        assert not list(server.folder.parent.rglob("evil.txt"))


def test_whoever_guesses_the_token_waits(server: Server) -> None:
    """Two wrong ones; what comes after more of them is tested with the gate."""
    started = time.monotonic()
    for _ in range(2):
        assert (
            server.call("POST", "/api/index/rebuild", headers={"Authorization": "Bearer wrong"}).status == 401
        )
    assert time.monotonic() - started > 0.5
    assert server.call("GET", "/api/uploads", headers=BEARER).status == 200
    assert hashlib.sha256(server.call("GET", "/static/app.js").body).hexdigest()
