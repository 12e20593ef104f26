"""What is labelled reaches nobody outside its groups: every page, list, count, refusal and file is as if it were not there.

The judge is a second service over an index that was built without the labelled documents: its replies are the same to the letter.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from made import CASE_BOOK, FAQ, MINUTES, FakeEncoder

from access.accounts import Accounts
from access.file import AccessFile
from access.labels import Labels
from index.build import build
from index.current import CurrentIndex
from index.library import Library
from index.passages import model_record
from index.store import load_current
from qa import names
from qa.answer import ask
from qa.names import directory
from server import create_app

PASSWORD = "かえるの池に三つの石がある"
SECRET = (
    "# 紅葉谷町の人事評価\n\n紅葉谷町（つくし県）の取組です。\n\n## 面談の予定\n\n"
    "紅葉谷町の評価面談は十二月三日に第五会議室で行います。担当は人事係の秘密太郎で、電話番号は0000-99-8888です。\n\n"
    "## 昇任の候補\n\n窓口の係長の候補は、窓口研修の成績で選びます。研修の費用は年額987万円です。\n"
)
HIDDEN_BOOK = CASE_BOOK.replace("若草市", "紅葉谷市").replace("0000-11-2222", "0000-77-6666")
MARKS = (
    "紅葉谷",
    "秘密太郎",
    "0000-99-8888",
    "0000-77-6666",
    "987万円",
    "第五会議室",
    "人事/",
    "評価.md",
    "控え.csv",
)
QUESTIONS = (
    "若草市の担当部署の電話番号は？", "紅葉谷町の面談はいつですか", "紅葉谷市の担当部署の電話番号は？", "昇任の候補はどう選びますか",
    "窓口の研修の費用はいくらですか", "秘密太郎とはだれですか", "人口5万人未満の団体の事例を見せて", "市の事例を一覧で",
    "若草市と紅葉谷市の取組を比べて", "第五会議室", "評価面談の予定を教えて", "次回の会議はいつですか", "紅葉谷のとりくみ", "もみじだに町",
)  # fmt: skip


class Kept:
    """A service over documents of which a folder is labelled, and one over the same without that folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.encoder = folder, FakeEncoder()
        self.access = AccessFile(folder / "access.sqlite3")
        self.labels, accounts = Labels(self.access), Accounts(self.access)
        accounts.add("tanaka", PASSWORD, groups=["人事課"])
        accounts.add("suzuki", PASSWORD, groups=["総務課"])
        accounts.add("chief", PASSWORD, administrator=True)
        self.tokens = {name: accounts.open_program(name, 30) for name in ("tanaka", "suzuki", "chief")}
        self.labels.set("人事", ["人事課"])
        whole, part = folder / "whole", folder / "part"
        for documents in (whole, part):
            documents.mkdir()
            for name, text in (("事例集.txt", CASE_BOOK), ("議事録.txt", MINUTES), ("faq.md", FAQ)):
                (documents / name).write_text(text, encoding="utf-8")
        (whole / "人事").mkdir()
        (whole / "人事" / "評価.md").write_text(SECRET, encoding="utf-8")
        (whole / "人事" / "事例集.txt").write_text(HIDDEN_BOOK, encoding="utf-8")
        (whole / "人事" / "控え.csv").write_bytes(b"\x00\x01binary, unreadable")
        (whole / "人事" / "faqの写し.md").write_text(FAQ, encoding="utf-8")  # the same content as an open one
        self.whole, self.part = (
            self._client(whole, folder / "index"),
            self._client(part, folder / "part-index"),
        )
        self.documents = whole

    def _client(self, documents: Path, root: Path) -> TestClient:
        build(documents, root, self.encoder)
        app = create_app(
            current=CurrentIndex(root, model_record(self.encoder)),
            encoder=self.encoder,
            rebuild=lambda progress: build(documents, root, self.encoder, progress=progress),
            admin_token="ひみつ",
            library=Library(documents),
            access=self.access,
        )
        return TestClient(app, base_url="http://127.0.0.1:8000", client=("10.0.0.7", 1))

    def headers(self, name: str | None) -> dict[str, str]:
        return {} if name is None else {"Authorization": f"Bearer {self.tokens[name]}"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept"))


def plain(text: str) -> str:
    """A reply without what differs between two builds: versions, times, and the ticket of a page's rating."""
    text = re.sub(r"[0-9]{8}T[0-9]{12}Z-[0-9a-f]{6}", "VERSION", text)
    text = re.sub(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|\+00:00)?", "TIME", text)
    text = re.sub(r"[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日 [0-9]{1,2}:[0-9]{2}", "TIME", text)
    text = re.sub(r'"took_ms":[0-9.]+', "TOOK", text)
    text = re.sub(r"[0-9.,]+ ?ミリ秒|[0-9.]+秒", "TOOK", text)
    return re.sub(r'name="id" value="[^"]*"', "TICKET", text)


def addresses(kept: Kept) -> list[str]:
    """Everything that can be read, of the whole and of the part."""
    listed = kept.part.get("/api/documents").json()["documents"]
    cases = [case["id"] for case in kept.part.get("/api/cases").json()["cases"]]
    found = [
        "/",
        "/cases",
        "/documents",
        "/help",
        "/similar?name=若草市",
        "/api/documents",
        "/api/cases",
        "/api/index",
        "/compare",
    ]
    found += [f"/documents/{d['id']}" for d in listed] + [f"/api/documents/{d['id']}" for d in listed]
    found += [f"/cases/{case}" for case in cases] + [f"/api/cases/{case}/similar" for case in cases]
    found += [f"/?q={question}" for question in QUESTIONS] + [
        f"/api/search?q={q}&top_k=50" for q in QUESTIONS
    ]
    found += [f"/export/answer.md?q={question}" for question in QUESTIONS[:4]]
    found += [
        "/cases?find=紅葉谷",
        "/similar?population=32000&kind=市",
        f"/compare?case={cases[0]}&case={cases[1]}",
    ]
    return found


@pytest.mark.parametrize("who", [None, "suzuki"])
def test_whoever_may_not_see_it_sees_what_there_would_be_without_it(kept: Kept, who: str | None) -> None:
    for address in ("/", "/documents", "/cases"):  # somebody who sees all was there before
        assert "紅葉谷" in kept.whole.get(address, headers=kept.headers("chief")).text or address == "/"
    for address in addresses(kept):
        seen = kept.whole.get(address, headers=kept.headers(who))
        judge = kept.part.get(address, headers=kept.headers(who))
        assert (seen.status_code, plain(seen.text)) == (judge.status_code, plain(judge.text)), address
        said = seen.text
        for question in QUESTIONS:
            said = said.replace(question, "")  # what one asks stands on the page
        assert [mark for mark in MARKS if mark in said.replace("find=紅葉谷", "").replace('value="紅葉谷"', "")
                and mark != "紅葉谷"] == [], address  # fmt: skip


@pytest.mark.parametrize("who", [None, "suzuki"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_the_same_to_the_last_digit(kept: Kept, who: str | None, question: str) -> None:
    asked = {"question": question, "top_k": 50, "history": []}
    seen = kept.whole.post("/api/ask", json=asked, headers=kept.headers(who)).json()
    judge = kept.part.post("/api/ask", json=asked, headers=kept.headers(who)).json()
    for reply in (seen, judge):
        del reply["took_ms"], reply["index_version"]
    assert seen == judge


@pytest.mark.parametrize("who", ["tanaka", "chief"])
def test_whoever_may_see_it_does(kept: Kept, who: str) -> None:
    reply = kept.whole.post(
        "/api/ask", json={"question": "紅葉谷町の面談はいつですか"}, headers=kept.headers(who)
    ).json()
    assert "十二月三日" in str(reply["citations"])
    listed = kept.whole.get("/api/documents", headers=kept.headers(who)).json()["documents"]
    assert {"人事/評価.md", "人事/事例集.txt"} <= {d["path"] for d in listed}
    page = kept.whole.get("/documents", headers=kept.headers(who)).text
    assert "控え.csv" in page
    assert page.count("紅葉谷") >= 1
    assert kept.whole.get("/documents", headers=kept.headers(who)).headers["cache-control"] == "no-store"


def test_what_is_hidden_is_not_found_by_its_id(kept: Kept) -> None:
    listed = kept.whole.get("/api/documents", headers=kept.headers("tanaka")).json()["documents"]
    cases = kept.whole.get("/api/cases", headers=kept.headers("tanaka")).json()["cases"]
    hidden = [d["id"] for d in listed if d["path"].startswith("人事/")]
    own = [c["id"] for c in cases if c["document_id"] in hidden]
    assert (len(hidden), len(own) > 0) == (2, True)
    routes = [
        route.format(document)
        for document in hidden
        for route in ("/documents/{}", "/documents/{}/file", "/api/documents/{}", "/api/documents/{}/text", "/documents/{}/pages/1.png")
    ] + [route.format(case) for case in own for route in ("/cases/{}", "/api/cases/{}", "/api/cases/{}/similar", "/export/case.md?case={}")]  # fmt: skip
    for route in routes:
        assert kept.whole.get(route, headers=kept.headers("tanaka")).status_code in {200, 404}, route
        seen = kept.whole.get(route)
        nothing = kept.whole.get(route.replace(hidden[0], "0" * 64).replace(hidden[1], "0" * 64))
        assert seen.status_code == 404, route
        assert nothing.status_code == 404
        assert not [mark for mark in MARKS if mark in seen.text]
    for name in ("document_ids", "case_ids"):
        for value in (hidden[0], own[0]):
            filtered = {"question": "窓口", "filters": {name: [value]}}
            seen, judge = (
                client.post("/api/ask", json=filtered).json() for client in (kept.whole, kept.part)
            )
            assert (seen["reason"], seen["citations"]) == (judge["reason"], judge["citations"])
    compared = kept.whole.get(f"/compare?case={own[0]}&case={own[-1]}")
    assert compared.status_code in {404, 422}
    assert not [mark for mark in MARKS if mark in compared.text]


def test_a_copy_in_an_open_folder_is_open_and_names_no_hidden_place(kept: Kept) -> None:
    seen = kept.whole.get("/api/documents").text
    assert "faq.md" in seen
    assert "写し" not in seen
    assert "写し" in kept.whole.get("/api/documents", headers=kept.headers("tanaka")).text


def test_the_labels_of_a_running_server_change(kept: Kept, tmp_path: Path) -> None:
    own = Kept(tmp_path)
    asked = {"question": "紅葉谷町の面談はいつですか"}

    def finds(name: str | None) -> bool:
        return "第五会議室" in own.whole.post("/api/ask", json=asked, headers=own.headers(name)).text

    running = own.whole.app.state.site.visibility._labels  # type: ignore[attr-defined]
    assert [finds(name) for name in (None, "suzuki", "tanaka")] == [False, False, True]
    running.set("人事", ["総務課"])
    assert [finds(name) for name in (None, "suzuki", "tanaka")] == [False, True, False]
    running.set("人事", [])
    assert [finds(name) for name in (None, "suzuki", "tanaka", "chief")] == [False, False, False, True]
    running.set("人事/評価.md", ["人事課"])  # nearer than that of the folder
    assert [finds(name) for name in (None, "suzuki", "tanaka")] == [False, False, True]
    running.remove("人事/評価.md")
    running.remove("人事")
    assert finds(None)
    # a new version, of a document that is in the labelled folder from its first moment
    running.set("人事", ["人事課"])
    (own.documents / "人事" / "新しい.md").write_text(
        "# 新しい記録\n\n極秘の計画は白鳥計画と呼びます。\n", encoding="utf-8"
    )
    build(own.documents, tmp_path / "index", own.encoder)
    for name, seen in ((None, False), ("suzuki", False), ("tanaka", True)):
        found = own.whole.get("/api/search?q=白鳥計画", headers=own.headers(name)).text
        assert ("極秘" in found) == seen
    # what cannot be known to be open is not shown
    shutil.move(tmp_path / "access.sqlite3", tmp_path / "elsewhere")
    running._looked = float("-inf")
    for address in ("/", "/documents", "/api/documents", "/api/search?q=x", "/?q=x", "/cases"):
        closed = own.whole.get(address)
        assert closed.status_code == 503, address
        assert not [mark for mark in MARKS if mark in closed.text]
        assert "管理者に知らせてください" in closed.text
        assert "access.sqlite3" not in closed.text  # where it lies is for administrators
    told = own.whole.get("/admin", headers={"Authorization": "Bearer ひみつ".encode()})
    assert (told.status_code, "access.sqlite3" in told.text, "控え" in told.text) == (503, True, True)
    assert own.whole.get("/healthz").status_code == 200


def test_everything_hidden(kept: Kept, tmp_path: Path) -> None:
    own = Kept(tmp_path)
    own.whole.app.state.site.visibility._labels.set(".", ["人事課"])  # type: ignore[attr-defined]
    for address in (
        "/",
        "/documents",
        "/cases",
        "/?q=窓口",
        "/api/search?q=窓口",
        "/api/documents",
        "/api/cases",
    ):
        assert own.whole.get(address).status_code == 200, address
    reply: dict[str, Any] = own.whole.post("/api/ask", json={"question": "窓口の電話番号は？"}).json()
    assert (reply["answerable"], reply["citations"]) == (False, [])
    assert own.whole.get("/api/documents").json() == {"documents": []}
    assert own.whole.get("/api/index").json()["chunks"] == 0


def test_a_part_is_forgotten_with_its_version(kept: Kept) -> None:
    visibility, index = kept.whole.app.state.site.visibility, kept.whole.app.state.current.get()  # type: ignore[attr-defined]
    kept.whole.get("/documents")
    assert index in visibility._parts
    assert len(visibility._parts) == 1


def test_names_of_a_part_are_its_own(kept: Kept) -> None:
    """What is read of whose documents are is kept for the whole; a part neither uses nor overwrites it."""
    index = load_current(kept.folder / "index", model_record(kept.encoder))
    part = index.narrowed(lambda path: not path.startswith("人事/"))
    directory(index)
    kept_names = dict(names._readings._read or {})
    directory(part)
    assert names._readings._read == kept_names  # and the whole need not be read again
    assert any("紅葉谷" in name for name in directory(index).organizations)
    assert not any("紅葉谷" in name for name in directory(part).organizations)
    reply = ask(part, kept.encoder, "紅葉谷市の担当部署の電話番号は？")
    assert (reply.answerable, "紅葉谷" in str(reply.citations)) == (False, False)


@pytest.mark.parametrize("fate", ["removed", "moved"])
def test_what_was_hidden_and_is_gone_is_not_named_by_the_last_changes(tmp_path: Path, fate: str) -> None:
    """Nothing of the version in use is hidden then: its list of changes still tells of what was."""
    own = Kept(tmp_path)
    if fate == "moved":
        shutil.move(own.documents / "人事" / "評価.md", own.documents / "公表.md")
    shutil.rmtree(own.documents / "人事")
    build(own.documents, tmp_path / "index", own.encoder)
    assert "人事/" in own.whole.get("/documents", headers=own.headers("chief")).text
    for who in (None, "suzuki"):
        page = own.whole.get("/documents", headers=own.headers(who)).text
        assert [mark for mark in ("人事/", "評価.md", "控え.csv", "0000-77-6666") if mark in page] == []
        assert ("公表.md" in page) == (fate == "moved")
