"""Many questions while documents come and go: no error, no reply of two versions, nothing that grows.

Clients ask without a pause; meanwhile documents are uploaded, replaced and removed, the index is built, and earlier versions are
gone back to. Every citation is compared with the text of the very document it names, and every reply's documents with those of
the version it names. After a third and at the end, when all is still, memory, open files, threads and temporary files are counted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fire import BEARER, FULL, REPOSITORY, Server, measured, size

CLIENTS = 6
QUESTIONS = [
    json.loads(line)
    for line in (REPOSITORY / "benchmarks" / "sample_questions.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
GROWTH_KB = 40 * 1024 if FULL else 80 * 1024
"""What the process may have more at the end than after a third: in a short run, caches are still filling."""


@dataclass
class Seen:
    """What came back, and what is known of what was there."""

    texts: dict[str, str] = field(default_factory=dict)
    """Every document that was ever in the folder, by its id."""
    versions: dict[str, set[str]] = field(default_factory=dict)
    """The documents of every version."""
    replies: list[tuple[str, set[str]]] = field(default_factory=list)
    """Of each reply the version it names, and the documents it cites."""
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def document(self, text: str) -> bytes:
        """The bytes of a document, remembered by its id."""
        data = text.encode()
        self.texts[hashlib.sha256(data).hexdigest()[:16]] = text
        return data

    def version(self, root: Path) -> None:
        """Remembers the documents of every version that is there."""
        for manifest in (root / "versions").glob("*/manifest.json"):
            if manifest.parent.name not in self.versions:
                listed = json.loads(manifest.read_text(encoding="utf-8"))["documents"]
                ids = {entry["id"] if isinstance(entry, dict) else entry for entry in listed}
                self.versions[manifest.parent.name] = ids

    def judge(self, reply: dict[str, Any]) -> None:
        """Looks at one reply."""
        for citation in reply["citations"]:
            text = self.texts.get(citation["document_id"], "")
            if text[citation["char_start"] : citation["char_end"]] != citation["text"]:
                self.problems.append(f"no slice: {citation['document_id']} {citation['char_start']}")
        self.replies.append((reply["index_version"], {c["document_id"] for c in reply["citations"]}))


def _ask(server: Server, seen: Seen, numbers: itertools.count[int], most: int) -> None:
    """One client: questions, and now and then a page, until there were `most` together."""
    while (number := next(numbers)) < most:
        asked = QUESTIONS[number % len(QUESTIONS)]
        try:
            if number % 20 == 7:
                reply = server.call("GET", "/?" + urlencode({"q": asked["question"]}))
                seen.counts["pages"] += 1
                if reply.status != 200:
                    seen.problems.append(f"page {reply.status}")
                continue
            # each a text that was never asked before; the changing document is asked for too
            question = (
                f"変わる資料の手数料はいくらですか（{number}）"
                if number % 5 == 3
                else f"{asked['question']}（{number}）"
            )
            while (
                reply := server.ask(question, history=asked.get("history", []))
            ).status == 503 and "retry-after" in reply.headers:
                seen.counts["told to come later"] += 1
                time.sleep(int(reply.headers["retry-after"]))
            seen.counts["questions"] += 1
            if reply.status != 200:
                seen.problems.append(f"{reply.status} {reply.text[:200]}")
                continue
            found = reply.json()
            seen.judge(found)
            if number % 20 == 11 and found["citations"]:
                status = server.call("GET", found["citations"][0]["url"]).status
                seen.counts["documents"] += 1
                if status not in {200, 404}:  # between the two calls it may have been replaced
                    seen.problems.append(f"document {status}")
        except Exception as error:
            seen.problems.append(f"{number}: {error!r}")


def _change(server: Server, seen: Seen, done: threading.Event, numbers: itertools.count[int]) -> None:
    """Changes the documents and the index until `done`."""
    try:
        while not done.is_set():
            number = next(numbers)
            seen.counts["changes"] += 1
            text = f"# 変わる資料\n\n## 手数料\n\n変わる資料の手数料は第{number}版では{number}円です。\n"
            reply = server.upload("変わる資料.md", seen.document(text), timeout=60)
            assert reply.status == 202, reply.text
            state = server.rebuilt(reply.json()["job_id"], 120)
            assert state["status"] == "succeeded", state
            seen.version(server.index)
            if number % 3 == 1:
                # its own content, so that it is there to be removed; who is quicker, the next build or we, does not matter
                own = hashlib.sha256(text.encode()).hexdigest()[:16]
                reply = server.call("DELETE", f"/api/documents/{own}", headers=BEARER, timeout=60)
                assert reply.status == 202, reply.text
                assert server.rebuilt(reply.json()["job_id"], 120)["status"] == "succeeded"
                seen.counts["removals"] += 1
                seen.version(server.index)
            if number % 4 == 2:
                reply = server.post("/api/index/rollback", {"version": None}, BEARER, 60)
                assert reply.status == 200, reply.text
                seen.counts["rollbacks"] += 1
                time.sleep(0.05)
                reply = server.post("/api/index/rebuild", {}, BEARER, 60)
                assert server.rebuilt(reply.json()["job_id"], 120)["status"] == "succeeded"
                seen.version(server.index)
    except Exception as error:
        seen.problems.append(f"change: {error!r}")


def _still(server: Server, temporary: Path) -> dict[str, int]:
    """What the process takes once nobody asks."""
    for _ in range(3):  # what the last version still held goes with the next questions
        assert server.ask("窓口").status == 200
    time.sleep(size(1, 3))
    return {
        "memory_kb": server.anonymous_kb(),
        "files": sum("/segments/" not in name for name in server.descriptors()),
        "threads": server.threads(),
        "temporary": sum(1 for _ in temporary.rglob("*")),
    }


def _version(server: Server) -> Path:
    """The folder of the version in use."""
    return server.index / "versions" / (server.index / "CURRENT").read_text(encoding="utf-8").strip()


def _segments(server: Server) -> set[str]:
    """The segments whose files the process has open."""
    return {
        name.split("/segments/")[1].split("/")[0] for name in server.descriptors() if "/segments/" in name
    }


def test_questions_while_documents_come_and_go(tmp_path: Path) -> None:
    documents, temporary = tmp_path / "documents", tmp_path / "temporary"
    temporary.mkdir()
    shutil.copytree(REPOSITORY / "corpus" / "samples", documents)
    seen = Seen()
    for file in documents.iterdir():
        data = seen.document(file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
        assert file.read_bytes() == data, f"{file.name} is not as it is read"
    most = size(300, 30_000)
    server = Server(tmp_path, real_model=FULL, environment={"TMPDIR": str(temporary)})
    with server, measured("soak: questions while documents change") as told:
        seen.version(server.index)
        changes = itertools.count(1)
        after: list[dict[str, int]] = []
        numbers = itertools.count()
        for part in (most // 3, 2 * most // 3, most):
            done = threading.Event()
            clients = [
                threading.Thread(target=_ask, args=(server, seen, numbers, part)) for _ in range(CLIENTS)
            ]
            changing = threading.Thread(target=_change, args=(server, seen, done, changes))
            for thread in (*clients, changing):
                thread.start()
            for thread in clients:
                thread.join()
            done.set()
            changing.join(300)
            numbers = itertools.count(part)
            after.append(_still(server, temporary))
        first, last = after[0], after[-1]
        told |= {"count": seen.counts["questions"], **seen.counts, "after_a_third": first, "at_the_end": last}
        assert seen.problems == [], seen.problems[:20]
        mixed = [reply for reply in seen.replies if not reply[1] <= seen.versions[reply[0]]]
        assert mixed == []
        assert len({version for version, _ in seen.replies}) > 3
        assert last["memory_kb"] - first["memory_kb"] < GROWTH_KB
        assert last["files"] <= first["files"] + 10
        used = set(json.loads((_version(server) / "manifest.json").read_text(encoding="utf-8"))["segments"])
        assert _segments(server) <= used, "files of segments that no version in use has are open"
        assert last["threads"] <= first["threads"] + 2
        assert last["temporary"] <= first["temporary"] + 1
        assert "request failed" not in server.said()
        told["result"] = "no error, no reply of two versions, no growth"


def test_quiet_moments_between_many_who_ask(tmp_path: Path) -> None:
    """Threads that answer do not come and go: what libraries keep for a thread is not given back when it ends."""
    rounds = size(0, 30)
    if not rounds:
        pytest.skip("each quiet moment takes 11 s: make fire")
    documents = tmp_path / "documents"
    shutil.copytree(REPOSITORY / "corpus" / "samples", documents)
    with Server(tmp_path) as server, measured("quiet moments between many who ask") as told:

        def many() -> None:
            asking = [
                threading.Thread(target=server.ask, args=("窓口の取組について教えて",)) for _ in range(8)
            ]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join()

        for _ in range(5):
            many()
        time.sleep(11)
        many()
        before = server.anonymous_kb()
        for _ in range(rounds):
            time.sleep(11)
            many()
        grown = server.anonymous_kb() - before
        told |= {"count": rounds, "grown_kb": grown, "result": "no growth"}
        assert grown < 100 * rounds + 500
