"""Hot swap: clients ask without a pause while version after version is built, over HTTP and in threads of a real server."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from made import FakeEncoder
from served import serving

from index.build import build
from index.current import CurrentIndex
from index.passages import model_record
from server import create_app

CLIENTS, SWAPS = 8, 20
PLACES = ("市民課", "税務課", "福祉課", "教育課", "水道課")


def write(documents: Path, number: int) -> None:
    """Every document says the number of its state, so that a reply of two states shows."""
    for place in PLACES:
        words = f"# {place}の手引き\n\n## 手数料\n\n{place}の手数料は一通につき三百円です。状態は第{number}番です。\n"
        (documents / f"{place}.md").write_text(words, encoding="utf-8")


def application(documents: Path, root: Path) -> FastAPI:
    encoder = FakeEncoder()
    return create_app(
        current=CurrentIndex(root, model_record(encoder)),
        encoder=encoder,
        rebuild=lambda progress: build(documents, root, FakeEncoder(), progress=progress),
    )


def call(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


def test_no_error_and_no_mixed_reply_during_twenty_swaps(tmp_path: Path) -> None:
    documents, root = tmp_path / "documents", tmp_path / "index"
    documents.mkdir()
    write(documents, 0)
    number_of = {build(documents, root, FakeEncoder()).version: 0}
    replies: list[dict[str, Any]] = []
    problems: list[str] = []
    done = threading.Event()

    def ask(url: str, client: int) -> None:
        place, turn = PLACES[client % len(PLACES)], 0
        while not done.is_set():
            turn += 1
            try:
                body = {"question": f"{place}の手数料はいくらですか", "top_k": 20}
                replies.append(call(f"{url}/api/ask", body))
                for document in call(f"{url}/api/documents")["documents"][turn % 5 : turn % 5 + 1]:
                    # between two calls the version may change: then the document may be gone, and says so
                    status = _status(f"{url}/documents/{document['id']}")
                    assert status in {200, 404}, status
            except Exception as error:
                problems.append(f"client {client}: {error!r}")

    with serving(application(documents, root)) as url:
        clients = [threading.Thread(target=ask, args=(url, client)) for client in range(CLIENTS)]
        for client in clients:
            client.start()
        for number in range(1, SWAPS + 1):
            seen = len(replies)
            write(documents, number)
            if number % 2:
                number_of[build(documents, root, FakeEncoder()).version] = number
            else:
                job = call(f"{url}/api/index/rebuild", {})["job_id"]
                state = {"status": "queued"}
                while state["status"] not in {"succeeded", "failed"}:
                    time.sleep(0.01)
                    state = call(f"{url}/api/index/jobs/{job}")
                assert state["status"] == "succeeded", state
                number_of[state["version"]] = number
            end = time.monotonic() + 20
            while len(replies) < seen + CLIENTS:  # each swap is met by clients that ask
                assert time.monotonic() < end
                time.sleep(0.002)
        done.set()
        for client in clients:
            client.join(30)
        last = call(f"{url}/api/ask", {"question": "市民課の手数料はいくらですか"})

    assert problems == []
    assert len(number_of) == SWAPS + 1
    assert number_of[last["index_version"]] == SWAPS
    met = set()
    for reply in replies:
        number = number_of[reply["index_version"]]
        met.add(number)
        assert len(reply["citations"]) == len(PLACES)
        for citation in reply["citations"]:
            assert f"第{number}番" in citation["text"], (number, citation["text"])
        assert all(
            "番" not in s["text"] or f"第{number}番" in s["text"] for s in reply["answer"]["sentences"]
        )
    assert len(met) >= SWAPS // 2  # the clients did ask between the swaps
    assert len(replies) >= SWAPS * CLIENTS


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
