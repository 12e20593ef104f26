"""The administrator's calls and pages: what is right, who is let in, what is refused, and what is never a 500."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from made import CASE_BOOK, FAQ, FakeEncoder
from test_server import Service
from test_versions import spoil

import web.gate
import web.guard
from corpus.documents import Parsed
from corpus.records import Chunk, Document, Heading
from index.build import build
from index.current import CurrentIndex
from index.library import MAX_REQUEST_BYTES, Library
from index.passages import model_record
from index.plan import find_files
from index.store import current_version
from index.versions import alone, history
from server import create_app
from web import admin_view
from web.gate import TOKEN_COOKIE, Gate
from web.guard import MAX_BODY_BYTES, MAX_UPLOAD_BYTES, Guard
from web.rates import Rate

WATER = "# 水道の手引き\n\n## 検針\n\n水道の検針は二か月に一度、係員がご自宅に伺って行います。\n"
HERE = {"Origin": "http://127.0.0.1:8000"}
THERE = {"Origin": "https://elsewhere.example.jp"}


@pytest.fixture
def own(tmp_path: Path) -> Service:
    return Service(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """One whose documents and index no test changes; it may be called by any name."""
    return Service(tmp_path_factory.mktemp("shared"), hosts=None)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(tmp_path_factory.mktemp("guarded"), token="ひみつ-token", hosts=("dx.example.jp",))


def files(**contents: str | bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [
        ("files", (name, content.encode() if isinstance(content, str) else content))
        for name, content in contents.items()
    ]


def named(name: str, content: str | bytes = WATER) -> list[tuple[str, tuple[str, bytes]]]:
    return files(**{name: content})


def finished(service: Service, job_id: str) -> dict[str, Any]:
    def ended() -> bool:
        return job()["status"] not in {"queued", "running"}

    def job() -> dict[str, Any]:
        state: dict[str, Any] = service.client.get(f"/api/index/jobs/{job_id}").json()
        return state

    wait_for(ended)
    return job()


def wait_for(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end, "nothing happened in 20 s"
        time.sleep(0.02)


def read(service: Service) -> list[dict[str, Any]]:
    """The uploads once all of them were looked at."""

    def uploads() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = service.client.get("/api/uploads").json()["uploads"]
        return found

    wait_for(lambda: all(entry["state"] != "waiting" for entry in uploads()))
    return uploads()


def said(response: Any) -> str:
    """The Japanese sentence of a refusal, in whichever form it is given."""
    detail = response.json()["detail"]
    words = detail if isinstance(detail, str) else " ".join(item["msg"] for item in detail)
    assert re.search(r"[ぁ-ん]", words), words
    return words


# ---------------------------------------------------------------- documents


def test_documents_come_are_found_are_replaced_and_go(own: Service) -> None:
    sent = own.client.post("/api/documents", files=named("水道.md") + named("古い.doc", "x"))
    assert sent.status_code == 202, sent.text
    body = sent.json()
    assert [(d["path"], d["bytes"], d["replaced"]) for d in body["documents"]] == [
        ("水道.md", len(WATER.encode()), False)
    ]
    assert [error["path"] for error in body["errors"]] == ["古い.doc"]
    assert "Word" in body["errors"][0]["message"]
    job = finished(own, body["job_id"])
    assert (job["status"], job["added"], job["unchanged"]) == ("succeeded", 1, 4)
    first = own.ask("水道の検針は何か月に一度？")["citations"][0]
    assert first["path"] == "水道.md"

    again = own.client.post("/api/documents", files=named("水道.md", WATER.replace("二か月", "三か月")))
    assert again.json()["documents"][0]["replaced"]
    assert finished(own, again.json()["job_id"])["changed"] == 1
    gone = own.client.get(first["url"])  # an address on paper can never lead to other words
    assert (gone.status_code, "差し替えられた" in gone.text) == (404, True)

    identity = own.ask("水道の検針")["citations"][0]["document_id"]
    address = f"/api/documents/{identity}"
    dropped = own.client.delete(address)
    assert (dropped.status_code, dropped.json()["paths"]) == (202, ["水道.md"])
    assert finished(own, dropped.json()["job_id"])["removed"] == 1
    assert own.client.delete(address).status_code == 404
    assert "取り除かれた" in said(own.client.get(address))
    assert "水道.md" not in {c["path"] for c in own.ask("水道の検針")["citations"]}
    kept = sorted((own.documents / ".removed").rglob("水道.md"))
    assert {file.read_text() for file in kept} == {WATER, WATER.replace("二か月", "三か月")}


@pytest.mark.parametrize("route", ["/api/documents", "/api/uploads"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../外.txt", "本文です。"),
        ("..\\外.txt", "本文です。"),
        ("/etc/外.txt", "本文です。"),
        (".隠し.txt", "本文です。"),
        ("CON.txt", "本文です。"),
        ("a\u202etxt.exe.txt", "本文です。"),
        ("実行.exe", "MZ"),
        ("表.xls", "x"),
        ("偽.pdf", "これはPDFではありません。"),
        ("偽.txt", "%PDF-1.7"),
        ("空.txt", ""),
        ("長" * 100 + ".txt", "本文です。"),
    ],
)
def test_nothing_right_is_422_and_changes_nothing(
    shared: Service, route: str, name: str, content: str
) -> None:
    before = sorted(path for path in shared.documents.parent.rglob("*") if "index" not in path.parts)
    refused = shared.client.post(route, files=named(name, content))
    assert refused.status_code == 422
    assert said(refused).endswith("。")
    assert {item["loc"][-1] for item in refused.json()["detail"]} == {"files"}
    assert shared.client.get("/api/index/jobs").json() == {"jobs": []}
    after = sorted(path for path in shared.documents.parent.rglob("*") if "index" not in path.parts)
    assert after == before


@pytest.mark.parametrize("route", ["/api/documents", "/api/uploads"])
def test_of_two_files_of_one_name_sent_together_the_first_is_kept(own: Service, route: str) -> None:
    """The second took its place without a word, and the reply named a waiting file that was gone."""
    files = [
        ("files", (name, text.encode()))
        for name, text in (("が.txt", "一つ目です。"), ("か\u3099.txt", "二つ目です。"))
    ]
    reply = own.client.post(route, files=files).json()
    assert [error["message"] for error in reply["errors"]] == [
        "同じ名前のファイルが一緒に送られています。名前を変えて、もう一度送ってください。"
    ]
    if route == "/api/uploads":
        (kept,) = reply["uploads"]
        assert own.client.get(f"/api/uploads/{kept['id']}").json()["upload"]["bytes"] == len(
            "一つ目です。".encode()
        )
    else:
        assert [one["path"] for one in reply["documents"]] == ["が.txt"]
        assert (own.documents / "が.txt").read_text(encoding="utf-8") == "一つ目です。"


# the parser lets go of a part that was cut off without closing its file
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("route", ["/api/documents", "/api/uploads"])
def test_what_is_no_upload(guarded: Service, route: str) -> None:
    client, key = guarded.client, {"Authorization": "Bearer ひみつ-token".encode()}
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
    bodies: list[dict[str, Any]] = [
        {},
        {"json": {"files": ["a"]}},
        {"data": {"files": "a"}},
        {"files": [("other", ("a.txt", b"a"))]},
        {"files": [("files", ("", b"a"))]},
        {"content": b"", "headers": boundary},
        {"content": b"nonsense", "headers": boundary},
        {"content": part + b"cut off", "headers": boundary},
        {"content": part, "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n", "headers": boundary},
        {
            "content": part.replace(b"a.txt", b"\\ud800.txt") + b"a\r\n--x--\r\n",
            "headers": {"Content-Type": "multipart/form-data; boundary=x; charset=unicode_escape"},
        },
        {"files": [("files", (f"{number}.txt", b"a")) for number in range(51)]},
    ]
    for body in bodies:
        response = client.post(route, **{**body, "headers": {**body.get("headers", {}), **key}})
        assert response.status_code == 422, (body, response.text)
        said(response)
    assert "50件" in said(client.post(route, **bodies[-1], headers=key))
    good = ("files", ("a.txt", b"a"))
    long = client.post(route, files=[good, ("note", (None, "x" * (2**20 + 1)))], headers=key)
    assert (long.status_code, "長すぎる項目" in said(long)) == (422, True)
    fields = [(f"n{number}", (None, "x")) for number in range(51)]
    many = client.post(route, files=[good, *fields], headers=key)
    assert (many.status_code, "項目が多すぎます" in said(many)) == (422, True)
    assert client.get("/api/uploads", headers=key).json()["uploads"] == []


def test_fifty_files_are_taken_at_once(own: Service) -> None:
    sent = own.client.post(
        "/api/uploads",
        files=[
            ("files", (f"{number}.md", f"# {number}\n\n本文{number}です。\n".encode()))
            for number in range(50)
        ],
    )
    assert sent.status_code == 201
    assert len(sent.json()["uploads"]) == 50
    assert {entry["state"] for entry in read(own)} == {"read"}


def sized(total: int) -> Iterator[bytes]:
    """A body of this many bytes in pieces, so that its length is not announced."""
    block = b"a" * 65536
    for _ in range(total // len(block)):
        yield block
    yield block[: total % len(block)]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large(shared: Service, announced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.guard, "MAX_UPLOAD_BYTES", 2 * 2**20)

    def post(route: str, size: int, kind: str) -> int:
        content: Any = b"a" * size if announced else sized(size)
        response = shared.client.post(route, content=content, headers={"Content-Type": kind} | HERE)
        if response.status_code == 413:
            assert "大きすぎます" in response.text
            assert response.headers["x-content-type-options"] == "nosniff"
        return response.status_code

    form = "multipart/form-data; boundary=x"
    for route in ("/api/documents", "/api/uploads", "/admin/uploads"):
        assert post(route, 2 * 2**20 + 1, form) == 413
        assert post(route, 2 * 2**20, form) == 422
    assert post("/api/ask", MAX_BODY_BYTES + 1, "application/json") == 413
    assert post("/api/ask", MAX_BODY_BYTES, "application/json") == 422
    assert post("/api/index/rollback", MAX_BODY_BYTES + 1, "application/json") == 413
    assert not list(shared.documents.glob(".upload*"))


def test_a_body_that_is_announced_as_too_large_is_not_read_at_all() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(HTTPException) as refused:
            await receive()
        assert (refused.value.status_code, "200MB" in refused.value.detail) == (413, True)

    async def receive() -> Any:
        pytest.fail("the body was read")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/uploads",
        "headers": [(b"host", b"localhost"), (b"content-length", str(MAX_UPLOAD_BYTES + 1).encode())],
    }
    asyncio.run(Guard(app)(scope, receive, receive))


def test_files_that_are_too_large_together(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < MAX_UPLOAD_BYTES - MAX_REQUEST_BYTES <= 2**20
    monkeypatch.setattr("web.admin.MAX_REQUEST_BYTES", 2**20)
    refused = shared.client.post(
        "/api/documents", files=named("a.txt", "あ" * 2**18) + named("b.txt", "い" * 2**18)
    )
    assert refused.status_code == 413
    assert "合計1MB" in said(refused)


def test_an_odd_length_is_no_error(shared: Service) -> None:
    for length in ("9" * 30, "-1", "x"):
        response = shared.client.post("/api/index/rollback", content=b"", headers={"Content-Length": length})
        assert response.status_code < 500


def test_the_samples_cannot_be_removed_and_the_last_document_stays(tmp_path: Path) -> None:
    samples, documents, encoder = tmp_path / "samples", tmp_path / "documents", FakeEncoder()
    samples.mkdir()
    (samples / "見本.md").write_text(FAQ, encoding="utf-8")

    def folder() -> Path:
        return documents if documents.is_dir() and find_files(documents) else samples

    build(samples, tmp_path / "index", encoder)

    def app(standby: Path | None) -> TestClient:
        return TestClient(
            create_app(
                current=CurrentIndex(tmp_path / "index", model_record(encoder)),
                encoder=encoder,
                rebuild=lambda progress: build(folder(), tmp_path / "index", encoder, progress=progress),
                library=Library(documents),
                samples=standby,
            ),
            base_url="http://127.0.0.1:8000",
            client=("127.0.0.1", 1),
        )

    client = app(samples)
    [sample] = client.get("/api/documents").json()["documents"]
    refused = client.delete(f"/api/documents/{sample['id']}")
    assert (refused.status_code, "見本は取り除けません" in said(refused)) == (409, True)
    assert "同梱の見本" in client.get("/admin").text
    assert "取り除く<" not in client.get("/admin").text
    sent = client.post("/api/documents", files=named("水道.md")).json()
    wait_for(lambda: client.get(f"/api/index/jobs/{sent['job_id']}").json()["status"] == "succeeded")
    [document] = client.get("/api/documents").json()["documents"]
    assert document["path"] == "水道.md"
    only = app(None).delete(f"/api/documents/{document['id']}")
    assert (only.status_code, "最後の一つ" in said(only)) == (409, True)
    dropped = client.delete(f"/api/documents/{document['id']}").json()
    wait_for(lambda: client.get(f"/api/index/jobs/{dropped['job_id']}").json()["status"] == "succeeded")
    assert [d["path"] for d in client.get("/api/documents").json()["documents"]] == ["見本.md"]


def test_a_document_that_was_replaced_is_not_removed_by_its_old_id(own: Service) -> None:
    finished(own, own.client.post("/api/documents", files=named("水道.md")).json()["job_id"])
    old = own.ask("水道の検針")["citations"][0]["document_id"]
    with alone(own.root):  # the new content is in the folder and not yet in the index
        job = own.client.post("/api/documents", files=named("水道.md", WATER + "新しい文です。\n")).json()[
            "job_id"
        ]
        refused = own.client.delete(f"/api/documents/{old}")
        assert (refused.status_code, "差し替えられています" in said(refused)) == (409, True)
        page = own.client.post(f"/admin/documents/{old}/remove", headers=HERE)
        assert (page.status_code, "差し替えられています" in page.text) == (409, True)
        assert own.client.get(f"/admin/documents/{old}/remove").status_code == 409
    assert (own.documents / "水道.md").read_text() == WATER + "新しい文です。\n"
    assert finished(own, job)["changed"] == 1


def test_only_the_copies_that_are_still_the_document_are_removed(own: Service) -> None:
    for name in ("水道.md", "写し.md"):
        (own.documents / name).write_text(WATER)
    finished(own, own.client.post("/api/index/rebuild").json()["job_id"])
    identity = own.ask("水道の検針")["citations"][0]["document_id"]
    (own.documents / "写し.md").write_text("# 別の資料\n\n別の資料の本文です。\n")
    dropped = own.client.delete(f"/api/documents/{identity}").json()
    assert dropped["paths"] == ["水道.md"]
    job = finished(own, dropped["job_id"])
    assert (job["changed"], job["removed"]) == (1, 0)
    assert (own.documents / "写し.md").exists()


def test_removing_everything_at_once_leaves_the_last_document(own: Service) -> None:
    """Nothing is built in between: what remains is told by the folder, and each document goes once."""
    documents = own.client.get("/api/documents").json()["documents"]
    assert len(documents) == 4
    with alone(own.root):
        replies = [own.client.delete(f"/api/documents/{document['id']}") for document in documents]
        assert [reply.status_code for reply in replies] == [202, 202, 202, 409]
        assert "最後の一つ" in said(replies[3])
        again = own.client.delete(f"/api/documents/{documents[0]['id']}")
        assert (again.status_code, "もうありません" in said(again)) == (409, True)
    assert finished(own, replies[2].json()["job_id"])["status"] == "succeeded"
    left = own.client.get("/api/documents").json()["documents"]
    assert [document["id"] for document in left] == [documents[3]["id"]]
    assert own.client.delete(f"/api/documents/{documents[0]['id']}").status_code == 404


@pytest.mark.parametrize("rest", ["unreadable", "not yet indexed", "replaced"])
def test_what_cannot_stand_in_for_the_last_document(own: Service, rest: str) -> None:
    *others, last = own.client.get("/api/documents").json()["documents"]
    for document in others[1:]:
        (own.documents / document["path"]).unlink()
    if rest == "replaced":
        (own.documents / others[0]["path"]).write_text("")
    else:
        (own.documents / others[0]["path"]).unlink()
        (own.documents / "新.txt").write_text("" if rest == "unreadable" else "新しい資料の本文です。\n")
    refused = own.client.delete(f"/api/documents/{last['id']}")
    assert (refused.status_code, "最後の一つ" in said(refused)) == (409, True)
    assert (own.documents / last["path"]).exists()


def test_two_who_remove_the_last_two_at_the_same_moment(own: Service) -> None:
    first, second, *others = own.client.get("/api/documents").json()["documents"]
    for document in others:
        (own.documents / document["path"]).unlink()
    finished(own, own.client.post("/api/index/rebuild").json()["job_id"])
    for _ in range(5):
        together = threading.Barrier(2)
        found: list[int] = []

        def drop(document: dict[str, Any], together: Any = together, found: Any = found) -> None:
            together.wait(10)
            found.append(own.client.delete(f"/api/documents/{document['id']}").status_code)

        with alone(own.root):
            threads = [threading.Thread(target=drop, args=(document,)) for document in (first, second)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            assert sorted(found) == [202, 409]
            for file in (own.documents / ".removed").rglob("*"):
                if file.is_file():
                    file.rename(own.documents / file.name)


def test_without_a_folder_nothing_can_be_added(tmp_path: Path) -> None:
    service = Service(tmp_path)
    app = create_app(
        current=CurrentIndex(service.root, model_record(service.encoder)),
        encoder=service.encoder,
        rebuild=lambda progress: pytest.fail("no build is asked for"),
    )
    client = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))
    assert client.post("/api/documents", files=named("水道.md")).status_code == 409
    assert client.get("/api/uploads").status_code == 409
    assert client.get("/admin").status_code == 200


def test_a_full_disk_is_507(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    refused = shared.client.post("/api/documents", files=named("水道.md"))
    assert (refused.status_code, "空き容量" in said(refused)) == (507, True)
    page = shared.client.post("/admin/uploads", files=named("水道.md"), headers=HERE)
    assert (page.status_code, "空き容量" in page.text) == (507, True)


def test_what_comes_while_another_build_runs_is_indexed_after_it(own: Service) -> None:
    """The lock of the index is held as by the command line or by a step back, while a document is sent."""
    with alone(own.root):
        sent = own.client.post("/api/documents", files=named("水道.md"))
        assert sent.status_code == 202
        address = f"/api/index/jobs/{sent.json()['job_id']}"
        wait_for(lambda: own.client.get(address).json()["stage"] == "waiting")
        assert own.client.get(address).json()["status"] == "running"
        assert "ほかの作成を待っています" in own.client.get("/admin").text
    assert finished(own, sent.json()["job_id"])["added"] == 1
    assert own.ask("水道の検針は何か月に一度？")["citations"][0]["path"] == "水道.md"


def test_a_server_that_stops_does_not_wait_for_another_build(own: Service) -> None:
    with alone(own.root):
        with own.client as client:  # its end is that of the server
            job = client.post("/api/index/rebuild").json()["job_id"]
            wait_for(lambda: client.get(f"/api/index/jobs/{job}").json()["stage"] == "waiting")
        assert "サーバーが止められました" in finished(own, job)["errors"][0]["message"]


# ---------------------------------------------------------------- uploads


def test_an_upload_is_looked_at_and_registered(own: Service) -> None:
    changed = CASE_BOOK.replace("平均40分", "平均50分")
    sent = own.client.post("/api/uploads", files=named("事例集.txt", changed) + named("a.exe", "x"))
    assert sent.status_code == 201
    assert [error["path"] for error in sent.json()["errors"]] == ["a.exe"]
    assert sent.json()["uploads"][0]["state"] == "waiting"
    [entry] = read(own)
    assert (entry["state"], entry["cases"], entry["replaces"]) == ("read", 3, True)
    assert [pair["other"] for pair in entry["alike"]] == ["事例集.txt"]
    detail = own.client.get(f"/api/uploads/{entry['id']}").json()
    assert detail["upload"] == entry
    preview = detail["preview"]
    assert preview["text"] == changed
    assert len(preview["chunks"]) == entry["chunks"]
    for chunk in preview["chunks"]:
        assert preview["text"][chunk["start"] : chunk["end"]] == chunk["text"]
    for heading in preview["outline"]:
        assert heading["text"] in preview["text"][heading["char_start"] : heading["char_end"]]
    assert [case["number"] for case in preview["cases"]] == [1, 2, 3]
    assert (
        "平均40分" in own.ask("若草市の待ち時間は？")["citations"][0]["text"]
    )  # not before it is registered

    taken = own.client.post(f"/api/uploads/{entry['id']}/approve")
    assert taken.status_code == 202
    assert taken.json()["documents"][0]["replaced"]
    assert finished(own, taken.json()["job_id"])["changed"] == 1
    assert "平均50分" in own.ask("若草市の待ち時間は？")["citations"][0]["text"]
    assert own.client.get("/api/uploads").json()["uploads"] == []
    for call in ("approve", ""):
        method = "POST" if call else "DELETE"
        missing = own.client.request(method, f"/api/uploads/{entry['id']}/{call}".rstrip("/"))
        assert missing.status_code == 404
        said(missing)


def test_all_that_were_read_are_registered_at_once(own: Service) -> None:
    assert own.client.post("/api/uploads/approve").status_code == 409
    broken = b"PK\x03\x04 word/document.xml"
    own.client.post(
        "/api/uploads",
        files=named("水道.md")
        + named("道路.md", "# 道路\n\n道路の穴は係が直します。\n")
        + named("壊れ.docx", broken),
    )
    states = {entry["name"]: entry for entry in read(own)}
    assert states["壊れ.docx"]["state"] == "refused"
    refused = own.client.post(f"/api/uploads/{states['壊れ.docx']['id']}/approve")
    assert (refused.status_code, "登録できません" in said(refused)) == (409, True)
    taken = own.client.post("/api/uploads/approve").json()
    assert sorted(d["path"] for d in taken["documents"]) == ["水道.md", "道路.md"]
    assert finished(own, taken["job_id"])["added"] == 2
    [left] = own.client.get("/api/uploads").json()["uploads"]
    assert own.client.delete(f"/api/uploads/{left['id']}").json() == {"id": left["id"]}
    assert own.client.get("/api/uploads").json()["uploads"] == []


@pytest.mark.parametrize("identity", ["nothing", "0" * 16, "..%2f..%2fx", "%00", "あ"])
def test_an_id_that_is_none(shared: Service, identity: str) -> None:
    for method, address in (
        ("GET", f"/api/uploads/{identity}"),
        ("DELETE", f"/api/uploads/{identity}"),
        ("POST", f"/api/uploads/{identity}/approve"),
        ("GET", f"/admin/uploads/{identity}"),
        ("DELETE", f"/api/documents/{identity}"),
        ("GET", f"/api/index/versions/{identity}/report"),
        ("GET", f"/admin/versions/{identity}"),
        ("GET", f"/admin/versions/{identity}/restore"),
        ("GET", f"/admin/documents/{identity}/remove"),
        ("GET", f"/admin/unreadable?path={identity}"),
    ):
        response = shared.client.request(method, address)
        assert response.status_code in {404, 405}, address
        assert re.search(r"[ぁ-ん]", response.text), address


def test_what_waited_is_read_after_a_restart(own: Service) -> None:
    Library(own.documents).stage("水道.md", open_bytes(WATER))
    own.app = create_app(
        current=CurrentIndex(own.root, model_record(own.encoder)),
        encoder=own.encoder,
        rebuild=lambda progress: pytest.fail("no build is asked for"),
        library=Library(own.documents),
    )
    own.client = own.from_address("127.0.0.1")
    assert [entry["state"] for entry in read(own)] == ["read"]


def open_bytes(text: str) -> Any:
    import io

    return io.BytesIO(text.encode())


# ---------------------------------------------------------------- versions


def test_versions_reports_and_the_way_back(own: Service) -> None:
    first = own.client.get("/api/index").json()["version"]
    lone = own.client.post("/api/index/rollback")
    assert (lone.status_code, "戻れる前の版がありません" in said(lone)) == (409, True)
    job = own.client.post("/api/documents", files=named("水道.md")).json()["job_id"]
    second = finished(own, job)["version"]
    assert [j["id"] for j in own.client.get("/api/index/jobs").json()["jobs"]] == [job]
    versions = own.client.get("/api/index/versions").json()["versions"]
    assert [(v["name"], v["documents"], v["current"], v["problem"]) for v in versions] == [
        (second, 5, True, None),
        (first, 4, False, None),
    ]
    report = own.client.get(f"/api/index/versions/{second}/report").json()
    assert [(c["path"], c["change"]) for c in report["changes"]] == [("水道.md", "added")]
    shutil.copytree(own.root / "versions" / second, own.root / "versions" / ".building-x")
    for name in ("nothing", ".building-x", "%2e%2e"):
        assert own.client.get(f"/api/index/versions/{name}/report").status_code == 404

    assert own.ask("水道の検針")["citations"][0]["path"] == "水道.md"
    back = own.client.post("/api/index/rollback", json={"version": None})
    assert (back.status_code, back.json()) == (200, {"version": first})
    assert own.client.get("/api/index").json()["version"] == first
    assert "水道.md" not in {c["path"] for c in own.ask("水道の検針")["citations"]}
    assert own.client.post("/api/index/rollback", json={"version": second}).json() == {"version": second}
    assert own.ask("水道の検針")["citations"][0]["path"] == "水道.md"
    for name in ("nothing", "../x", ""):
        refused = own.client.post("/api/index/rollback", json={"version": name})
        assert (refused.status_code, name in said(refused)) == (409, True)
    half = b'{"version": "\\ud800"}'  # half of a character
    odd = own.client.post("/api/index/rollback", content=half, headers={"Content-Type": "application/json"})
    assert (odd.status_code, "文字として正しくない" in said(odd)) == (422, True)
    for bad in ({"version": 5}, {"version": "x" * 201}, [], "x"):
        assert own.client.post("/api/index/rollback", json=bad).status_code == 422
    with alone(own.root):
        busy = own.client.post("/api/index/rollback", json={"version": first})
    assert (busy.status_code, "実行中" in said(busy)) == (409, True)
    assert current_version(own.root) == second


def test_a_version_of_another_model_is_not_gone_back_to(own: Service) -> None:
    other = FakeEncoder(32)
    build(own.documents, own.root, other)
    build(own.documents, own.root, own.encoder)
    wrong = history(own.root)[1].name
    refused = own.client.post("/api/index/rollback", json={"version": wrong})
    assert (refused.status_code, "モデルが違います" in said(refused)) == (409, True)
    assert current_version(own.root) != wrong


# ---------------------------------------------------------------- who is let in

CALLS = [
    ("POST", "/api/documents"),
    ("DELETE", "/api/documents/x"),
    ("POST", "/api/uploads"),
    ("GET", "/api/uploads"),
    ("GET", "/api/uploads/x"),
    ("DELETE", "/api/uploads/x"),
    ("POST", "/api/uploads/x/approve"),
    ("POST", "/api/uploads/approve"),
    ("POST", "/api/index/rebuild"),
    ("GET", "/api/index/jobs"),
    ("GET", "/api/index/versions"),
    ("GET", "/api/index/versions/x/report"),
    ("POST", "/api/index/rollback"),
]
PAGES = [
    ("GET", "/admin"),
    ("POST", "/admin/uploads"),
    ("POST", "/admin/uploads/approve"),
    ("POST", "/admin/uploads/discard"),
    ("GET", "/admin/uploads/x"),
    ("POST", "/admin/uploads/x/approve"),
    ("POST", "/admin/uploads/x/discard"),
    ("GET", "/admin/documents/x/remove"),
    ("POST", "/admin/documents/x/remove"),
    ("GET", "/admin/unreadable?path=x"),
    ("POST", "/admin/unreadable?path=x"),
    ("POST", "/admin/rebuild"),
    ("GET", "/admin/versions/x"),
    ("GET", "/admin/versions/x/restore"),
    ("POST", "/admin/versions/x/restore"),
    ("GET", "/admin/usage"),
    ("GET", "/admin/usage/records.xlsx"),
    ("GET", "/admin/usage/x.csv"),
    ("GET", "/admin/usage/questions/x/remove"),
    ("POST", "/admin/usage/questions/x/remove"),
    ("GET", "/admin/usage/ratings/x/remove"),
    ("POST", "/admin/usage/ratings/x/remove"),
    ("GET", "/admin/usage/clear"),
    ("POST", "/admin/usage/clear"),
    ("POST", "/admin/usage/set-aside"),
]


def test_the_lists_hold_every_route_of_the_administrator(guarded: Service) -> None:
    described = guarded.client.get("/openapi.json").json()["paths"]
    listed = {(method, re.sub(r"/x\b", "/{}", path).split("?")[0]) for method, path in CALLS + PAGES}
    open_to_all = {
        "/api/ask",
        "/api/ask/stream",
        "/api/search",
        "/v1/chat/completions",
        "/gennai",
        "/gennai/requests",
        "/gennai/requests/",
        "/admin/login",
        "/login",
        "/logout",
        "/api/feedback",
        "/feedback",
    }
    routes = set()
    for route in _routes(guarded.app):
        for method in route.methods - {"HEAD", "OPTIONS"}:
            path = re.sub(r"\{[^}]*\}", "{}", route.path)
            if path not in open_to_all and (method != "GET" or path.startswith("/admin")):
                routes.add((method, path))
    assert routes <= listed
    for method, path in CALLS:
        known = {re.sub(r"\{[^}]*\}", "x", name): name for name in described}
        call = described[known[path]][method.lower()]
        assert call["summary"]
        assert {"401", "403"} <= set(call["responses"])
    for schema in (
        "StoredReply",
        "RemovedReply",
        "StagedReply",
        "UploadDetail",
        "VersionsReply",
        "RollBackRequest",
    ):
        assert guarded.client.get("/openapi.json").json()["components"]["schemas"][schema]["examples"]
    body = described["/api/documents"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["properties"]["files"]["maxItems"] == 50


def _routes(app: Any) -> Iterator[Any]:
    """All routes, also those of included routers."""
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop()
        if hasattr(route, "methods"):
            yield route
        waiting += list(getattr(getattr(route, "original_router", route), "routes", None) or [])


@pytest.mark.parametrize(("method", "path"), CALLS + PAGES)
def test_who_is_no_administrator(
    guarded: Service, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.gate, "WRONG_DELAY_S", 0.0)
    monkeypatch.setattr(guarded.app.state.gate, "_wrong", Rate(10**6, 60))
    client, session_at = guarded.from_address("10.2.2.2"), guarded.app.state.gate.session
    wrong: list[dict[str, Any]] = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "ひみつ-token".encode()},
        {"Authorization": "Basic ひみつ-token".encode()},
        {"Authorization": "Bearer ひみつ-toke".encode()},
        {"Cookie": f"{TOKEN_COOKIE}=9999999999.0.{'0' * 64}"},
        {"Cookie": f"{TOKEN_COOKIE}=x"},
        {"Cookie": f"{TOKEN_COOKIE}={Gate('another').session(time.time())}"},
        {"Cookie": f"{TOKEN_COOKIE}={Gate('ひみつ-token').session(time.time())}"},  # of before a restart
        {"Cookie": f"{TOKEN_COOKIE}={session_at(time.time() - 13 * 3600)}"},
    ]
    for headers in wrong:
        refused = client.request(method, path, headers=headers | HERE, follow_redirects=False)
        by_program = "Bearer" in str(headers.get("Authorization"))  # no browser is to be led to a form
        if path.startswith("/admin") and not by_program:
            assert (refused.status_code, refused.headers["location"]) == (303, "/admin/login"), headers
        else:
            assert refused.status_code == 401, headers
            assert path.startswith("/admin") or said(refused)
    session = {"Cookie": f"{TOKEN_COOKIE}={session_at(time.time())}"}
    good = client.request(method, path, headers=session | HERE, follow_redirects=False)
    assert good.status_code not in {401, 403}
    assert good.headers.get("location") != "/admin/login"
    if method == "GET":
        return
    # the cookie alone is never enough: another site's page sends it too, or would in an old browser
    foreign = (
        THERE,
        {},
        {"Origin": "null"},
        HERE | {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "ftp://127.0.0.1:8000"},
    )
    for headers in foreign:
        refused = client.request(method, path, headers=session | headers, follow_redirects=False)
        assert refused.status_code == 403, headers
    assert (
        client.request(
            method, path, headers=session | {"Sec-Fetch-Site": "same-origin"}, follow_redirects=False
        ).status_code
        != 403
    )


@pytest.mark.parametrize(("method", "path"), CALLS + PAGES)
def test_without_a_token_only_this_computer(shared: Service, method: str, path: str) -> None:
    for address, headers in (
        ("10.0.0.5", {}),
        ("testclient", {}),
        ("127.0.0.1", {"Host": "dx.example.jp"}),  # a name of elsewhere that was made to lead here
        ("127.0.0.1", {"Host": "127.0.0.1.example.jp"}),
        ("127.0.0.1", {"Host": "[::1"}),
    ):
        refused = shared.from_address(address).request(method, path, headers=headers, follow_redirects=False)
        assert refused.status_code == 403, (address, headers)
        assert "このコンピューターからだけ" in refused.text
    if method != "GET":
        for headers in (
            THERE,
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            assert (
                shared.client.request(method, path, headers=headers, follow_redirects=False).status_code
                == 403
            )
    for address, host in (("127.0.0.1", "localhost:8000"), ("::1", "[::1]:8000"), ("127.0.0.2", "127.0.0.1")):
        headers = {"Host": host, "Origin": f"http://{host}"}
        met = shared.from_address(address).request(method, path, headers=headers, follow_redirects=False)
        assert met.status_code != 403


def test_signing_in_and_out(guarded: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.gate, "WRONG_DELAY_S", 0.0)
    client = guarded.from_address("10.1.1.1")
    assert 'type="password"' in client.get("/admin").text
    wrong = client.post("/admin/login", data={"token": "ひみつ"}, headers=HERE)
    assert (wrong.status_code, "合言葉が違います" in wrong.text) == (401, True)
    assert client.post("/admin/login", data={"token": "ひみつ-token"}, headers=THERE).status_code == 403
    assert client.post("/admin/login", data={"token": "ひみつ-token"}).status_code == 403
    for odd in (
        {"content": b"\xff"},
        {"data": {}},
        {"files": {"token": b"x"}},
        {"json": {"token": "ひみつ-token"}},
    ):
        assert client.post("/admin/login", **odd, headers=HERE).status_code == 401  # type: ignore[arg-type]
    entered = client.post(
        "/admin/login", data={"token": " ひみつ-token "}, headers=HERE, follow_redirects=False
    )
    assert (entered.status_code, entered.headers["location"]) == (303, "/admin")
    cookie = entered.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Max-Age=43200", "Path=/"):
        assert part in cookie
    assert "ひみつ" not in cookie
    assert "使用中の索引" in client.get("/admin").text
    assert client.get("/api/uploads").status_code == 200
    assert client.post("/logout").status_code == 403  # not without saying where from
    assert client.post("/logout", headers=HERE).status_code == 200
    assert "使用中の索引" not in client.get("/admin").text
    stolen = {"Cookie": cookie.split(";")[0]}  # a copy of what was signed out
    other = guarded.from_address("10.1.1.1")
    assert other.get("/admin", headers=stolen, follow_redirects=False).status_code == 303
    assert other.get("/api/uploads", headers=stolen).status_code == 401
    encrypted = TestClient(guarded.app, base_url="https://dx.example.jp", client=("10.1.1.1", 1))
    cookie = encrypted.post(
        "/admin/login",
        data={"token": "ひみつ-token"},
        headers={"Origin": "https://dx.example.jp"},
        follow_redirects=False,
    ).headers["set-cookie"]
    assert "Secure" in cookie


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a wrong try is made to wait, which nobody waits for."""
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr("web.gate.asyncio.sleep", sleep)
    return seconds


def forget(guarded: Service) -> None:
    """As if all wrong tries were long ago."""
    guarded.app.state.gate._wrong = Rate(web.gate.WRONG_MOST, web.gate.WRONG_WINDOW_S)


def test_wrong_tries_are_slowed_down_and_then_refused(guarded: Service, waited: list[float]) -> None:
    client = guarded.from_address("10.9.9.9")
    for _ in range(web.gate.WRONG_MOST):
        assert client.post("/admin/login", data={"token": "x"}, headers=HERE).status_code == 401
    assert waited[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    closed = client.post("/admin/login", data={"token": "ひみつ-token"}, headers=HERE)
    assert (closed.status_code, "1分ほど" in closed.text) == (429, True)
    other = guarded.from_address("10.9.9.8").post(
        "/admin/login", data={"token": "ひみつ-token"}, headers=HERE
    )
    assert other.status_code == 200
    forget(guarded)
    assert client.post("/admin/login", data={"token": "ひみつ-token"}, headers=HERE).status_code == 200


def test_wrong_bearer_tokens_count_as_wrong_tries_and_do_not_lock_out_the_right_one(
    guarded: Service, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.gate, "WRONG_LONGEST_S", 1)
    monkeypatch.setattr(guarded.app.state.gate, "_looks", Rate(1, 1))
    client, right = guarded.from_address("10.8.8.8"), {"Authorization": "Bearer ひみつ-token".encode()}

    def bearer(token: str) -> int:
        status: int = client.get(
            "/api/uploads", headers={"Authorization": f"Bearer {token}".encode()}
        ).status_code
        return status

    login = {"data": {"token": "x"}, "headers": HERE}
    assert [client.post("/admin/login", **login).status_code for _ in range(10)] == [401] * 10
    assert [bearer(f"wrong{number}") for number in range(5)] == [401] * 5
    assert (
        bearer("ひみつ-token") == 200
    )  # forgives nothing: who guesses may be another behind the same address
    assert [bearer(f"wrong{number}") for number in range(5)] == [401] * 5
    assert len(waited) == 20
    assert waited[:3] == [0.5, 1.0, 1]
    assert client.post("/admin/login", data={"token": "ひみつ-token"}, headers=HERE).status_code == 429
    assert bearer("ひみつ-token") == 200  # the closed door opens for one at a time
    closed = client.get("/api/uploads", headers=right)
    assert (closed.status_code, closed.headers["retry-after"], "1秒ほど" in said(closed)) == (429, "1", True)
    assert client.get("/admin", headers=right).status_code == 429
    assert guarded.from_address("10.8.8.9").get("/api/uploads", headers=right).status_code == 200
    time.sleep(1.05)
    assert [bearer("wrong"), bearer("ひみつ-token")] == [401, 429]
    time.sleep(1.05)
    assert [bearer("ひみつ-token"), bearer("wrong")] == [200, 429]
    forget(guarded)
    assert bearer("ひみつ-token") == 200


def test_addresses_of_one_network_are_counted_together(
    guarded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.gate, "WRONG_DELAY_S", 0.0)
    for number in range(web.gate.WRONG_MOST):
        client = guarded.from_address(f"2001:db8:1:2::{number:x}")
        assert client.get("/api/uploads", headers={"Authorization": "Bearer x"}).status_code == 401
    wrong = {"data": {"token": "x"}, "headers": HERE}
    assert guarded.from_address("2001:db8:1:2:ffff::1").post("/admin/login", **wrong).status_code == 429
    assert guarded.from_address("2001:db8:1:3::1").post("/admin/login", **wrong).status_code == 401


def test_a_body_is_not_read_before_it_is_known_whose_it_is(
    guarded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"a" * 65536

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    monkeypatch.setattr("web.admin.uploaded", lambda request: pytest.fail("the body was read"))
    assert guarded.client.post("/api/documents", content=body(), headers=kind).status_code == 401


# ---------------------------------------------------------------- pages


def test_the_page_from_upload_to_removal_without_a_script(own: Service) -> None:
    client = own.client
    assert "確認待ちのファイルはありません" in client.get("/admin").text
    sent = client.post("/admin/uploads", files=named("水道.md"), headers=HERE, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, "/admin#waiting")
    [entry] = read(own)
    shown = client.get("/admin").text
    assert "水道.md" in shown
    assert "登録する" in shown
    preview = client.get(f"/admin/uploads/{entry['id']}").text
    assert "水道の検針は二か月に一度" in preview
    assert "確かめて" not in preview  # nothing to warn of
    done = client.post(f"/admin/uploads/{entry['id']}/approve", headers=HERE, follow_redirects=False)
    assert done.headers["location"] == "/admin#progress"
    finished(own, client.get("/api/index/jobs").json()["jobs"][0]["id"])
    page = client.get("/admin").text
    assert "索引を作り直しました" in page
    address = html.unescape(
        re.search(r'href="(/admin/documents/[0-9a-f]+/remove)">取り除く<span[^>]*>（水道', page)[1]
    )  # type: ignore[index]
    confirm = client.get(address).text
    assert "この資料を取り除きますか" in confirm
    assert "水道.md" in confirm
    assert (own.documents / "水道.md").exists()  # looking removes nothing
    client.post(address, headers=HERE)
    finished(own, client.get("/api/index/jobs").json()["jobs"][0]["id"])
    assert not (own.documents / "水道.md").exists()
    older = history(own.root)[1].name
    restore = f"/admin/versions/{older}/restore"
    assert "フォルダーのいまの内容に戻ります" in client.get(restore).text
    client.post(restore, headers=HERE)
    assert current_version(own.root) == older
    assert "水道.md" in client.get(f"/admin/versions/{older}").text
    assert "水道.md" in client.get("/documents").text
    assert "最近の変更" in client.get("/documents").text


def test_a_running_build_is_shown(own: Service) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def rebuild(progress: Any) -> Any:
        progress("encoding", 3, 10)
        inside.set()
        assert go_on.wait(20)
        return build(own.documents, own.root, own.encoder, progress=progress)

    app = create_app(
        current=CurrentIndex(own.root, model_record(own.encoder)),
        encoder=own.encoder,
        rebuild=rebuild,
        library=Library(own.documents),
    )
    client = TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 1))
    client.post("/admin/rebuild", headers=HERE)
    assert inside.wait(10)
    page = client.get("/admin").text
    go_on.set()
    assert "ベクトル化 3／10件" in page
    assert '<progress id="job-bar" value="3" max="10">' in page
    assert re.search(r'<noscript><meta http-equiv="refresh"', page)


def test_what_was_refused_is_said_on_the_page(own: Service) -> None:
    page = own.client.post("/admin/uploads", files=named("水道.md") + named("a'<b>.exe", "x"), headers=HERE)
    assert page.status_code == 422
    assert "受け付けられなかったファイル" in page.text
    assert html.escape("a'<b>.exe").replace("&#x27;", "&#39;") in page.text
    assert [entry["name"] for entry in read(own)] == ["水道.md"]
    nothing = own.client.post("/admin/uploads", headers=HERE)
    assert (nothing.status_code, "ファイルを選んで" in nothing.text) == (422, True)


def test_a_file_that_cannot_be_read_is_taken_out_on_the_page(own: Service) -> None:
    (own.documents / "空.txt").write_text("", encoding="utf-8")
    finished(own, own.client.post("/api/index/rebuild").json()["job_id"])
    page = own.client.get("/admin").text
    assert "読み取れなかったファイル（1件）" in page
    address = html.unescape(re.search(r'href="(/admin/unreadable\?path=[^"]+)"', page)[1])  # type: ignore[index]
    assert "空.txt" in own.client.get(address).text
    assert own.client.post("/admin/unreadable?path=faq.md", headers=HERE).status_code == 409
    assert own.client.post(address, headers=HERE).status_code == 200
    assert not (own.documents / "空.txt").exists()
    assert (own.documents / "faq.md").exists()


def test_hostile_words_in_an_upload_are_shown_and_never_run(own: Service) -> None:
    words = (
        "# <script>alert(1)</script>\n\n## {{ 7*7 }}<b>\n\n<img src=x onerror=alert(2)>と書いた本文です。\n"
    )
    own.client.post("/api/uploads", files=named("{{7-7}}'.md", words))
    [entry] = read(own)
    for path in ("/admin", f"/admin/uploads/{entry['id']}"):
        body = own.client.get(path).text
        assert "<script>alert" not in body
        assert "<img src=x" not in body
        assert "<b>" not in body
        assert ">0'.md" not in body


def test_the_preview_of_a_long_document_has_pages(own: Service) -> None:
    text = "# 長い資料\n\n" + "".join(
        f"## 第{number}の節\n\n第{number}節の本文です。{'説明を続けます。' * 12}\n\n" for number in range(400)
    )
    own.client.post("/api/uploads", files=named("長い.md", text))
    [entry] = read(own)
    first = own.client.get(f"/admin/uploads/{entry['id']}").text
    pages = int(re.search(r"<span>1／(\d+)</span>", first)[1])  # type: ignore[index]
    assert pages > 1
    assert len(first) < 600_000
    together = "".join(
        own.client.get(f"/admin/uploads/{entry['id']}?page={page}").text for page in range(1, pages + 1)
    )
    for number in range(400):
        assert f"第{number}節の本文です。" in together
    last = own.client.get(f"/admin/uploads/{entry['id']}?page=9999")
    assert (last.status_code, f"{pages}／{pages}" in last.text) == (200, True)
    linked = re.findall(rf'href="\?page=({pages})#(h\d+)"', first)
    assert linked
    assert f'id="{linked[-1][1]}"' in last.text


def test_a_preview_shows_the_text_once_in_its_order() -> None:
    text = "題名\n\nああああ\n\nいいいい\n\n3\n\nうううう\n"
    document = Document("d", "a.txt", "題名", "txt", "0" * 64, text, (Heading("題名", 1, 0, 2),))

    def chunk(start: int, end: int) -> Chunk:
        return Chunk(f"c{start}-{end}", "d", None, ("題名",), None, 1, 2, start, end, text[start:end])

    # the second stands inside the first
    parsed = Parsed(document, (), (chunk(4, 14), chunk(10, 14), chunk(19, 23)))
    page = admin_view.preview_page(parsed, 1)
    shown = [(row["number"], "".join(piece["text"] for piece in row["pieces"])) for row in page["rows"]]
    assert shown == [
        (None, "題名"),
        (1, "ああああ\n\nいいいい"),
        (2, "いいいい"),
        (None, "3"),
        (3, "うううう"),
    ]
    assert page["rows"][0]["pieces"] == [{"text": "題名", "heading": True, "id": "h0"}]
    assert page["outline"] == [{"text": "題名", "level": 1, "id": "h0", "page": 1}]


def test_the_page_with_two_hundred_waiting(own: Service) -> None:
    library = Library(own.documents)
    for number in range(200):
        library.stage(f"{'長い名前の資料' * 8}{number}.md", open_bytes(f"# {number}\n\n本文{number}です。\n"))
    start = time.perf_counter()
    page = own.client.get("/admin").text
    assert time.perf_counter() - start < 3
    assert page.count("読み取っています…") == 200


def test_no_index_yet(tmp_path: Path) -> None:
    empty = Service(tmp_path, built=False)
    page = empty.client.get("/admin")
    assert (page.status_code, "索引はまだありません" in page.text) == (200, True)
    assert empty.client.get("/api/index/versions").json() == {"versions": []}
    assert empty.client.post("/api/index/rollback").status_code == 409
    assert empty.client.get("/documents").status_code == 200


def test_a_damaged_index_says_so_with_the_way_out(own: Service) -> None:
    build(own.documents, own.root, own.encoder, full=True)
    name = current_version(own.root)
    manifest = own.root / "versions" / str(name) / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "built_at": "x"}))
    app = create_app(
        current=CurrentIndex(own.root, model_record(own.encoder)),
        encoder=own.encoder,
        rebuild=lambda progress: pytest.fail("no build is asked for"),
        library=Library(own.documents),
    )
    client = TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 1))
    page = client.get("/admin").text
    assert "索引に問題があります" in page
    assert "壊れています" in page
    older = history(own.root)[1].name
    assert f"/admin/versions/{older}/restore" in page
    assert client.post("/api/index/rollback").json() == {"version": older}
    assert "索引に問題があります" not in client.get("/admin").text


@pytest.mark.parametrize("how", ["no UTF-8", "a folder"])
@pytest.mark.parametrize("way_out", ["rebuild", "rollback", "restore"])
def test_a_current_that_cannot_be_read_is_said_and_mended(own: Service, how: str, way_out: str) -> None:
    before = own.client.get("/api/index").json()["version"]
    spoil(own.root, how)
    assert own.ask("若草市の電話番号は？")["index_version"] == before
    for path in ("/", "/documents", "/cases", "/api/documents", "/api/index/versions", "/readyz"):
        assert own.client.get(path).status_code == 200, path
    page = own.client.get("/admin")
    assert (page.status_code, "索引に問題があります" in page.text) == (200, True)
    assert "CURRENT）を読めません。索引を作り直すか、残っている版に戻してください。" in page.text
    if way_out == "rebuild":
        done = finished(own, own.client.post("/api/index/rebuild").json()["job_id"])
        assert (done["status"], done["version"] > before) == ("succeeded", True)
    elif way_out == "rollback":
        assert own.client.post("/api/index/rollback").json() == {"version": before}
    else:
        assert f"/admin/versions/{before}/restore" in page.text
        assert own.client.post(f"/admin/versions/{before}/restore", headers=HERE).status_code == 200
    assert "索引に問題があります" not in own.client.get("/admin").text
    assert own.ask("若草市の電話番号は？")["index_version"] == current_version(own.root)


def test_every_reply_of_the_administrator_is_secured(shared: Service) -> None:
    for path in ("/admin", "/admin/login", "/admin/nothing", "/api/uploads", "/api/uploads/x"):
        headers = shared.client.get(path).headers
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"  # no-referrer would make a form's Origin null


def test_a_failure_is_secured_too(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.documents.documents_page", lambda index: 1 / 0)
    failed = shared.client.get("/documents")
    assert failed.status_code == 500
    assert "script-src 'self'" in failed.headers["content-security-policy"]


def test_what_cannot_be_read_is_discarded_at_once(own: Service) -> None:
    broken = b"PK\x03\x04 word/document.xml"
    own.client.post(
        "/api/uploads", files=named("水道.md") + named("壊れ.docx", broken) + named("これも.docx", broken)
    )
    read(own)
    assert "読み取れないものを取り消す（2件）" in own.client.get("/admin").text
    assert own.client.post("/admin/uploads/discard", follow_redirects=False).status_code == 303
    left = own.client.get("/api/uploads").json()["uploads"]
    assert [entry["name"] for entry in left] == ["水道.md"]


def test_the_page_says_that_an_earlier_version_is_in_use(own: Service) -> None:
    assert "前の版に戻して使っています" not in own.client.get("/admin").text
    (own.documents / "水道.md").write_text("# 水道\n\n検針は二か月に一度です。\n", encoding="utf-8")
    job = own.client.post("/api/index/rebuild").json()["job_id"]
    finished(own, job)
    assert "追加 1件" in own.client.get("/admin").text
    assert own.client.post("/api/index/rollback").status_code == 200
    page = own.client.get("/admin").text
    assert "前の版に戻して使っています" in page
    assert "索引を作り直しました" not in page  # what was built is not what is in use
