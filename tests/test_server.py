"""The service as a visitor and as a program see it."""

from __future__ import annotations

import html
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from made import CASE_BOOK, FAQ, MINUTES, FakeEncoder

from index.build import build
from index.current import CurrentIndex
from index.library import Library
from index.passages import model_record
from qa.synonyms import SynonymsFile
from qa.usage import Usage
from server import create_app
from web.entry import Entry
from web.peers import Proxies
from web.writing import Writing

HOSTILE = "<script>alert(1)</script>\"'{{ 7*7 }}の説明\n\n■<b>太字</b>\n\n<img src=x onerror=alert(2)> を書いた本文です。とても危ない文章です。\n"


class Service:
    """A service over its own documents folder, and clients that come from different addresses."""

    def __init__(
        self,
        folder: Path,
        *,
        token: str = "",
        built: bool = True,
        usage: Usage | None = None,
        hosts: tuple[str, ...] | None = (),
        proxies: str = "",
        writing: Writing | None = None,
    ) -> None:
        self.documents, self.root, self.encoder = folder / "documents", folder / "index", FakeEncoder()
        self.documents.mkdir(parents=True)
        for name, text in (
            ("事例集.txt", CASE_BOOK),
            ("議事録.txt", MINUTES),
            ("faq.md", FAQ),
            ("a'<b>.txt", HOSTILE),
        ):
            (self.documents / name).write_text(text, encoding="utf-8")
        if built:
            build(self.documents, self.root, self.encoder)
        self.app = create_app(
            current=CurrentIndex(self.root, model_record(self.encoder)),
            encoder=self.encoder,
            rebuild=lambda progress: build(self.documents, self.root, self.encoder, progress=progress),
            admin_token=token,
            library=Library(self.documents),
            usage=usage,
            hosts=hosts,
            entry=Entry(proxies=Proxies(proxies)),
            writing=writing,
        )
        self.client = self.from_address("127.0.0.1")

    def from_address(self, host: str) -> TestClient:
        return TestClient(
            self.app,
            base_url="http://127.0.0.1:8000",
            raise_server_exceptions=False,
            client=(host, 50000),
        )

    def ask(self, question: str, **more: Any) -> dict[str, Any]:
        response = self.client.post("/api/ask", json={"question": question, **more})
        assert response.status_code == 200, response.text
        reply: dict[str, Any] = response.json()
        return reply


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(tmp_path_factory.mktemp("service"))


@pytest.fixture
def own(tmp_path: Path) -> Service:
    return Service(tmp_path)


def texts(service: Service) -> dict[str, str]:
    listed = service.client.get("/api/documents").json()["documents"]
    return {d["id"]: service.client.get(f"/api/documents/{d['id']}/text").json()["text"] for d in listed}


def test_the_shape_of_a_reply(service: Service) -> None:
    reply = service.ask("若草市の担当部署の電話番号は？", top_k=3)
    assert set(reply) >= {
        "question",
        "answerable",
        "reason",
        "answer",
        "citations",
        "filters",
        "index_version",
        "took_ms",
    }
    assert reply["answer"]["mode"] == "extractive"
    assert "0000-11-2222" in reply["answer"]["text"]
    assert len(reply["citations"]) == 3
    first = reply["citations"][0]
    assert set(first) >= {
        "id", "rank", "score", "scores", "chunk_id", "document_id", "document_title", "path", "case", "heading_path",
        "page", "line_start", "line_end", "char_start", "char_end", "text", "highlights", "url",
    }  # fmt: skip
    assert set(first["case"]) >= {
        "id", "number", "title", "organization", "prefecture", "organization_kind", "population", "population_as_of",
        "population_band",
    }  # fmt: skip
    assert (first["case"]["organization"], first["case"]["population"], first["page"]) == (
        "つくし県若草市",
        32000,
        4,
    )
    assert (
        first["url"]
        == f"/documents/{first['document_id']}?start={first['char_start']}&end={first['char_end']}"
    )


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="窓口市村県電話費用研修の？ aZ1０Ａ<>'\"{}【】\n", min_size=1, max_size=60))
def test_every_citation_is_a_slice_and_every_sentence_stands_in_one(service: Service, question: str) -> None:
    if not question.strip():
        return
    reply = service.ask(question, top_k=8)
    sources = texts(service)
    by_id = {citation["id"]: citation for citation in reply["citations"]}
    for citation in reply["citations"]:
        assert (
            sources[citation["document_id"]][citation["char_start"] : citation["char_end"]]
            == citation["text"]
        )
        for mark in citation["highlights"]:
            assert citation["char_start"] <= mark["char_start"] < mark["char_end"] <= citation["char_end"]
    for sentence in reply["answer"]["sentences"]:
        assert sentence["citations"]
        assert any(sentence["text"] in by_id[number]["text"] for number in sentence["citations"])


def test_filters_are_joined_and_conditions_are_read(service: Service) -> None:
    reply = service.ask("人口1万人未満の団体の事例を見せて")
    assert reply["filters"]["from_question"] == ["population_max"]
    assert {c["case"]["organization"] for c in reply["citations"]} == {"つくし県小石原村"}
    narrowed = service.ask("窓口", filters={"organization_kinds": ["市"]})
    assert {c["case"]["organization"] for c in narrowed["citations"]} == {"つくし県若草市"}
    nothing = service.ask("窓口", filters={"prefectures": ["ないない県"]})
    assert (nothing["answerable"], nothing["reason"], nothing["citations"]) == (False, "filtered_out", [])
    assert nothing["answer"]["text"].endswith("。")
    price = service.ask("人口1万人未満の団体の利用料はいくらですか")
    assert price["filters"]["from_question"] == []
    assert "8千円" in price["answer"]["text"]


def test_a_contact_is_a_card_in_json_and_on_the_page(service: Service) -> None:
    question = "若草市の問い合わせ先は？"
    reply = service.ask(question)
    assert reply["answer"]["contact"] == {
        "organization": "つくし県若草市",
        "department": "若草市市民部窓口課",
        "phone": "0000-11-2222",
        "email": "window@city.example.jp",
        "citation": 1,
    }
    page = service.client.get("/", params={"q": question}).text
    assert '<a href="tel:0000112222">0000-11-2222</a>' in page
    assert '<a href="mailto:window@city.example.jp">window@city.example.jp</a>' in page
    assert service.ask("若草市の待ち時間は？")["answer"]["contact"] is None
    assert "tel:" not in service.client.get("/", params={"q": "若草市の待ち時間は？"}).text


def test_a_follow_up_knows_what_was_asked_before(service: Service) -> None:
    reply = service.ask("そこの電話番号は？", history=["小石原村の車で回る窓口について教えて"])
    assert "0000-22-3333" in reply["answer"]["text"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": ""},
        {"question": "　 \n"},
        {"question": "あ" * 501},
        {"question": "窓口\x07は"},
        {"question": 5},
        {"question": None},
        {"question": ["窓口"]},
        {"question": "窓口", "top_k": 0},
        {"question": "窓口", "top_k": 51},
        {"question": "窓口", "top_k": "多い"},
        {"question": "窓口", "history": "前"},
        {"question": "窓口", "history": ["あ" * 501]},
        {"question": "窓口", "filters": []},
        {"question": "窓口", "filters": {"organizations": "市"}},
        {"question": "窓口", "filters": {"population_min": -1}},
        {"question": "窓口", "answer": "generated"},
        {"question": "窓口", "answer": "詩"},
        [],
        "窓口",
    ],
)
def test_bad_input_gets_422_in_japanese(service: Service, body: Any) -> None:
    response = service.client.post("/api/ask", json=body)
    assert response.status_code == 422, response.text
    for item in response.json()["detail"]:
        assert set(item) >= {"loc", "msg", "type"}
        assert re.search(r"[ぁ-ん]", item["msg"]), item


def test_bad_input_says_what_to_do(service: Service) -> None:
    (form,) = service.client.post("/api/ask", content=b'{"question": "a"}').json()["detail"]
    assert "Content-Type: application/json" in form["msg"]
    (inner,) = service.client.post("/api/ask", json={"question": "a", "filters": []}).json()["detail"]
    assert inner["msg"] == "項目の組（オブジェクト）で指定してください。"
    (poem,) = service.client.post("/api/ask", json={"question": "a", "answer": "poem"}).json()["detail"]
    assert poem["msg"] == "次のいずれかで指定してください：extractive、generated。"
    empty = service.client.post("/v1/chat/completions", json={"model": "dxqa", "messages": []})
    assert empty.json()["error"]["message"] == "1件以上で指定してください。"


@pytest.mark.parametrize("raw", [b"{", b"", b"\xff\xfe", b'{"question": "\\ud800"}', b"null"])
def test_bytes_that_are_no_question(service: Service, raw: bytes) -> None:
    response = service.client.post("/api/ask", content=raw, headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 422}
    assert re.search(r"[ぁ-ん]", response.text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(
    st.fixed_dictionaries(
        {}, optional={"question": JSON, "history": JSON, "top_k": JSON, "filters": JSON, "answer": JSON}
    )
)
def test_whatever_comes_there_is_never_a_500(service: Service, body: dict[str, Any]) -> None:
    import json

    raw = json.dumps(body).encode("utf-8", "surrogatepass")
    response = service.client.post("/api/ask", content=raw, headers={"Content-Type": "application/json"})
    assert response.status_code in {200, 422, 400}


def test_a_huge_body_is_refused(service: Service) -> None:
    response = service.client.post("/api/ask", json={"question": "窓口", "history": ["あ" * 400] * 1000})
    assert response.status_code == 413
    assert "大きすぎます" in response.json()["detail"]


def test_documents_and_cases(service: Service) -> None:
    listed = service.client.get("/api/documents").json()["documents"]
    assert {d["path"] for d in listed} == {"事例集.txt", "議事録.txt", "faq.md", "a'<b>.txt"}
    book = next(d for d in listed if d["path"] == "事例集.txt")
    assert set(book) >= {
        "id", "path", "title", "format", "sha256", "characters", "pages", "chunks", "cases", "publisher", "date",
        "indexed_at", "warnings",
    }  # fmt: skip
    assert (book["publisher"], book["date"], book["pages"], book["cases"]) == (
        "つくし県",
        "令和7年5月1日",
        6,
        3,
    )
    detail = service.client.get(f"/api/documents/{book['id']}").json()
    for heading in detail["outline"]:
        assert heading["text"] in CASE_BOOK[heading["char_start"] : heading["char_end"]]
    assert service.client.get(f"/api/documents/{book['id']}/text").json()["text"] == CASE_BOOK
    part = service.client.get(f"/api/documents/{book['id']}/text?start=3&end=9").json()["text"]
    assert part == CASE_BOOK[3:9]
    cases = service.client.get("/api/cases").json()["cases"]
    assert [case["number"] for case in cases] == [1, 2, 3]
    for case in cases:
        for field in case["fields"].values():
            assert CASE_BOOK[field["char_start"] : field["char_end"]] == field["value"]
    villages = service.client.get("/api/cases", params={"organization_kinds": "村"}).json()["cases"]
    assert [case["organization"] for case in villages] == ["つくし県小石原村"]
    assert service.client.get(f"/api/cases/{cases[0]['id']}").json() == cases[0]
    similar = service.client.get(f"/api/cases/{cases[0]['id']}/similar").json()["similar"]
    assert [(s["case"]["organization"], "人口が約0.13倍" in s["reason"]) for s in similar] == [
        ("つくし県小石原村", True)
    ]


def test_search(service: Service) -> None:
    reply = service.client.get("/api/search", params={"q": "集落を回る車", "top_k": 2}).json()
    assert set(reply) == {"citations", "index_version", "took_ms", "notes"}
    assert len(reply["citations"]) == 2
    assert "集落を回り" in reply["citations"][0]["text"]
    assert service.client.get("/api/search").status_code == 422


@pytest.mark.parametrize(
    "path", ["/api/documents/x", "/api/cases/x", "/api/cases/x/similar", "/api/index/jobs/x", "/api/no"]
)
def test_what_is_not_there_is_404_in_japanese(service: Service, path: str) -> None:
    response = service.client.get(path)
    assert response.status_code == 404
    assert re.search(r"[ぁ-ん]", response.json()["detail"])


def test_without_an_index_there_is_503_with_a_sentence(tmp_path: Path) -> None:
    empty = Service(tmp_path, built=False)
    for path in ("/api/documents", "/api/cases", "/api/index", "/readyz", "/api/search?q=a"):
        response = empty.client.get(path)
        assert response.status_code == 503, path
        assert "索引" in response.json()["detail"]
    assert empty.client.post("/api/ask", json={"question": "窓口"}).status_code == 503
    assert empty.client.get("/healthz").json() == {"status": "ok"}
    assert empty.client.get("/").status_code == 200
    page = empty.client.get("/?q=窓口")
    assert (page.status_code, "索引がまだありません" in page.text) == (503, True)
    for path in ("/documents", "/cases"):
        assert empty.client.get(path).status_code == 200


def test_who_may_rebuild(own: Service) -> None:
    assert own.from_address("10.0.0.5").post("/api/index/rebuild").status_code == 403
    foreign = own.client.post("/api/index/rebuild", headers={"Origin": "https://elsewhere.example.jp"})
    assert foreign.status_code == 403
    before = own.client.get("/api/index").json()["version"]
    (own.documents / "new.txt").write_text(
        "新しい資料\n\n水道の検針を自動で行う試みを始めました。\n", encoding="utf-8"
    )
    started = own.client.post("/api/index/rebuild")
    assert started.status_code == 202
    job = f"/api/index/jobs/{started.json()['job_id']}"
    for _ in range(500):
        state = own.client.get(job).json()
        if state["status"] not in {"queued", "running"}:
            break
        time.sleep(0.02)
    assert (state["status"], state["added"], state["unchanged"], state["errors"]) == ("succeeded", 1, 4, [])
    assert own.client.get("/api/index").json()["version"] != before
    assert "検針を自動" in own.ask("水道の検針")["citations"][0]["text"]


def test_with_a_token_only_its_holder_may_rebuild(tmp_path: Path) -> None:
    guarded = Service(tmp_path, token="ひみつ-token")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "ひみつ".encode()}):
        assert guarded.client.post("/api/index/rebuild", headers=headers).status_code == 401
    given = {"Authorization": "Bearer ひみつ-token".encode()}
    assert guarded.from_address("10.0.0.5").post("/api/index/rebuild", headers=given).status_code in {
        202,
        401,
    }


def test_every_route_is_described_with_an_example(service: Service) -> None:
    described = service.client.get("/openapi.json").json()
    paths = {route.path for route in service.app.routes if getattr(route, "include_in_schema", False)}
    assert paths <= set(described["paths"])
    assert {
        "/api/ask",
        "/api/search",
        "/api/documents",
        "/api/cases",
        "/api/index",
        "/healthz",
        "/readyz",
        "/metrics",
    } <= set(described["paths"])
    assert described["components"]["schemas"]["AskRequest"]["examples"]


class Page(HTMLParser):
    """The text inside the element that holds the canonical text, and the marked part of it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.depth, self.text, self.marked, self.marks = 0, "", "", 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.depth or dict(attrs).get("id") == "canonical":
            self.depth += tag not in {"br", "img", "input"}
        if tag == "mark":
            self.marks += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "mark":
            self.marks -= 1
        if self.depth:
            self.depth -= 1

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.text += data
            if self.marks:
                self.marked += data


def test_the_document_page_holds_the_text_to_the_letter(service: Service) -> None:
    for document_id, text in texts(service).items():
        start, end = len(text) // 3, len(text) // 2
        page = Page()
        response = service.client.get(f"/documents/{document_id}?start={start}&end={end}")
        page.feed(response.text)
        assert page.text.lstrip("\n") == text.lstrip("\n")
        assert page.marked == text[start:end]
        assert "引用された箇所" in response.text


@pytest.mark.parametrize(
    "query", ["?start=5&end=2", "?start=0&end=99999999", "?start=9999999&end=99999999", "?start=3", "?end=3"]
)
def test_odd_spans_still_open_the_document(service: Service, query: str) -> None:
    document_id = next(iter(texts(service)))
    assert service.client.get(f"/documents/{document_id}{query}").status_code == 200


@pytest.mark.parametrize("query", ["?start=-1&end=4", "?start=a&end=4"])
def test_what_is_no_span_is_said(service: Service, query: str) -> None:
    response = service.client.get(f"/documents/{next(iter(texts(service)))}{query}")
    assert response.status_code == 422
    assert "指定が正しくありません" in response.text


def test_hostile_words_are_shown_and_never_run(service: Service) -> None:
    hostile = next(
        d for d in service.client.get("/api/documents").json()["documents"] if d["path"] == "a'<b>.txt"
    )
    pages = [
        "/documents",
        f"/documents/{hostile['id']}",
        "/?q=危ない文章",
        "/?q=<script>alert(3)</script>&h=<b>x</b>",
    ]
    for path in pages:
        body = service.client.get(path).text
        assert "<script>alert" not in body, path
        assert "<img src=x" not in body, path
        assert "<b>" not in body.replace("</b>", ""), path
        assert "49の説明" not in body, path


def test_pages_for_people(service: Service) -> None:
    home = service.client.get("/").text
    assert 'name="q"' in home
    assert "質問の例" in home
    answer = service.client.get("/", params={"q": "若草市の電話番号は？", "h": ["前の質問"]}).text
    assert "0000-11-2222" in answer
    assert "[1]" in answer
    assert 'name="h" value="前の質問"' in answer
    cases = service.client.get("/cases").text
    assert "車で回る窓口" in cases
    only = service.client.get("/cases", params={"organization_kinds": "市"}).text
    assert "車で回る窓口" not in only
    case_id = service.client.get("/api/cases").json()["cases"][2]["id"]
    assert "記載なし" in service.client.get(f"/cases/{case_id}").text
    missing = service.client.get("/documents/nothing")
    assert (missing.status_code, "資料は見つかりません" in missing.text) == (404, True)
    assert "500文字以内" in service.client.get("/", params={"q": "あ" * 501}).text


def test_every_reply_carries_the_security_headers(service: Service) -> None:
    for path in ("/", "/cases", "/api/index", "/static/style.css", "/nothing"):
        headers = service.client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


FOREIGN = [
    "dx.example.jp",
    "127.0.0.1.example.jp",
    "example.jp:8000",
    "localhost.example.jp",
    "[::1",
    "10.0.0.5",
    "",
]
LOCAL = ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "127.1.2.3", "[::1]:8000", "dx.localhost"]
ROUTES = [
    "/", "/documents", "/cases", "/api/documents", "/api/search?q=a", "/api/index", "/healthz", "/readyz",
    "/openapi.json", "/static/style.css", "/admin", "/api/uploads", "/nothing", "/api/nothing",
]  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
def test_a_name_of_elsewhere_that_leads_here_is_refused(service: Service, path: str) -> None:
    """DNS rebinding: to the browser this server would be the other page's own."""
    for host in FOREIGN:
        refused = service.client.get(path, headers={"Host": host})
        assert refused.status_code == 421, host
        words = refused.json()["detail"] if path.startswith("/api/") else refused.text
        assert "--allowed-hosts" in words
        assert "script-src 'self'" in refused.headers["content-security-policy"]
    for host in LOCAL:
        assert service.client.get(path, headers={"Host": host}).status_code != 421, host
    asked = service.client.post("/api/ask", json={"question": "窓口"}, headers={"Host": FOREIGN[0]})
    assert asked.status_code == 421


def test_names_that_are_allowed(service: Service) -> None:
    def status(hosts: tuple[str, ...] | None, host: str) -> int:
        app = create_app(
            current=CurrentIndex(service.root, model_record(service.encoder)),
            encoder=service.encoder,
            rebuild=lambda progress: pytest.fail("no build is asked for"),
            hosts=hosts,
        )
        return TestClient(app).get("/healthz", headers={"Host": host}).status_code

    allowed = ("dx.example.jp", "192.0.2.10")
    for host in ("dx.example.jp", "DX.example.jp:8443", "192.0.2.10:8000", "localhost"):
        assert status(allowed, host) == 200, host
    for host in ("example.jp", "a.dx.example.jp", "192.0.2.11", "dx.example.jp@elsewhere.example.jp"):
        assert status(allowed, host) == 421, host
    assert status(None, "whatever.example.jp") == 200


def test_what_was_understood_is_shown_and_can_be_taken_back(service: Service) -> None:
    question = "人口5万人未満の団体の事例を見せて"
    body = service.client.post("/api/ask", json={"question": question}).json()
    assert body["filters"]["from_question"] == ["population_max"]
    free = service.client.post("/api/ask", json={"question": question, "without": ["population_max"]}).json()
    assert (free["filters"]["population_max"], free["filters"]["from_question"]) == (None, [])
    assert service.client.post("/api/ask", json={"question": "窓口", "without": ["何か"]}).status_code == 422

    page = service.client.get("/", params={"q": question}).text
    address = html.unescape(re.search(r'class="chip__remove" href="([^"]+)"', page)[1])  # type: ignore[index]
    assert "without=population_max" in address
    without = service.client.get(address).text
    assert "chip__remove" not in without
    assert "条件を戻す" in without


def test_a_broken_part_is_said_in_the_reply_and_on_the_page(service: Service, tmp_path: Path) -> None:
    table = tmp_path / "表.csv"
    table.write_text("窓口,受付\n", encoding="utf-8")
    app = create_app(
        current=CurrentIndex(service.root, model_record(service.encoder)),
        encoder=service.encoder,
        rebuild=lambda progress: pytest.fail("no build is asked for"),
        synonyms=SynonymsFile(table),
        reranker="再順位付けのモデル「なし」を読めません。",
    )
    client = TestClient(app, base_url="http://127.0.0.1:8000")
    assert client.post("/api/ask", json={"question": "窓口"}).json()["notes"] == [
        "再順位付けのモデル「なし」を読めません。"
    ]
    table.write_text("窓口\n", encoding="utf-8")
    notes = client.post("/api/ask", json={"question": "窓口"}).json()["notes"]
    assert len(notes) == 2
    assert "1行目" in notes[0]
    assert "再順位付けのモデル" in client.get("/", params={"q": "窓口"}).text
    assert client.get("/api/search", params={"q": "窓口"}).json()["notes"] == notes
