"""The retrievers of LangChain and LlamaIndex over a service in a process of its own: what they give is what the service gives, to whom it may.

The judge is `GET /api/search` itself, asked without them. Services that refuse, lead elsewhere or never end are real ones on the loopback address.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from fire import Server, free_port
from langchain_core.documents import Document
from langchain_core.load import dumps
from llama_index.core.schema import MetadataMode, NodeWithScore
from made import CASE_BOOK, FAQ, MINUTES
from pydantic import SecretStr, ValidationError

from access.accounts import Accounts
from access.file import AccessFile
from access.labels import Labels
from integrations import client
from integrations.client import CONDITIONS, MOST_BYTES, Client, ServiceError
from integrations.langchain import DxqaRetriever as LangChain
from integrations.llamaindex import DxqaRetriever as LlamaIndex
from qa import limits
from web.contract import FilterRequest

SECRET = "# 紅葉谷町の人事評価\n\n紅葉谷町（つくし県）の取組です。\n\n## 面談の予定\n\n紅葉谷町の評価面談は十二月三日に第五会議室で行います。\n"
PASSWORD = "かえるの池に三つの石がある"
HIDDEN = "紅葉谷町の面談はいつですか"
QUERIES = ("窓口の研修", HIDDEN, "手数料はどのように払いますか？ & 50円=安く #1")
KEY = "a-key-that-nobody-must-read"


class Service:
    """A server with a folder that only one group may see, and a program's key of somebody in that group."""

    def __init__(self, folder: Path, **environment: str) -> None:
        documents = folder / "documents"
        (documents / "人事").mkdir(parents=True)
        for name, text in (
            ("事例集.txt", CASE_BOOK),
            ("議事録.txt", MINUTES),
            ("faq.md", FAQ),
            ("人事/評価.md", SECRET),
        ):
            (documents / name).write_text(text, encoding="utf-8")
        access = AccessFile(folder / "access.sqlite3")
        Labels(access).set("人事", ["人事課"])
        accounts = Accounts(access)
        accounts.add("tanaka", PASSWORD, groups=["人事課"])
        self.key = accounts.open_program("tanaka", 30)
        self.server = Server(
            folder, environment={"DXQA_ACCESS": str(folder / "access.sqlite3"), **environment}
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def citations(self, query: str, key: str = "", **more: Any) -> list[dict[str, Any]]:
        """What the service itself says."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        address = f"/api/search?{urlencode({'q': query, **more}, doseq=True)}"
        found: list[dict[str, Any]] = self.server.call("GET", address, headers=headers).json()["citations"]
        return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("service"))
    with made.server:
        yield made


def from_langchain(url: str, query: str, **more: Any) -> list[Document]:
    found: list[Document] = LangChain(url=url, **more).invoke(query)
    return found


def from_langchain_later(url: str, query: str, **more: Any) -> list[Document]:
    found: list[Document] = asyncio.run(LangChain(url=url, **more).ainvoke(query))
    return found


def from_llamaindex(url: str, query: str, **more: Any) -> list[NodeWithScore]:
    found: list[NodeWithScore] = LlamaIndex(url, **more).retrieve(query)
    return found


def from_llamaindex_later(url: str, query: str, **more: Any) -> list[NodeWithScore]:
    found: list[NodeWithScore] = asyncio.run(LlamaIndex(url, **more).aretrieve(query))
    return found


WAYS: list[Callable[..., list[Any]]] = [
    from_langchain,
    from_langchain_later,
    from_llamaindex,
    from_llamaindex_later,
]


def told(found: Any, url: str) -> dict[str, Any]:
    """A document or a node as the citation it was made from."""
    text = found.page_content if isinstance(found, Document) else found.node.text
    assert found.metadata["url"].startswith(f"{url}/documents/")
    return {**found.metadata, "text": text, "url": found.metadata["url"].removeprefix(url)}


# ---------------------------------------------------------------- what comes


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_is_what_the_service_says(service: Service, way: Callable[..., list[Any]]) -> None:
    for query in QUERIES:
        expected = service.citations(query)
        assert len(expected) == 10
        assert [told(one, service.url) for one in way(service.url, query)] == expected
    few = way(f"{service.url}/", QUERIES[0], top_k=3)
    assert [told(one, service.url) for one in few] == service.citations(QUERIES[0], top_k=3)


@pytest.mark.parametrize("way", WAYS)
def test_filters_are_the_services_own(service: Service, way: Callable[..., list[Any]]) -> None:
    for filters in (
        {"organization_kinds": ["村", "市"], "population_max": 50_000},
        {"prefectures": "つくし県", "population_min": None},
        {"regions": ["東北"]},
    ):
        given = {name: value for name, value in filters.items() if value is not None}
        expected = service.citations("窓口", **given)
        assert [told(one, service.url) for one in way(service.url, "窓口", filters=filters)] == expected
        assert bool(expected) == ("regions" not in filters)
        assert all(one["case"] is not None for one in expected)


def test_a_passage_is_a_slice_of_its_document_and_its_address_opens_it(service: Service) -> None:
    documents = from_langchain(service.url, QUERIES[0])
    nodes = from_llamaindex(service.url, QUERIES[0])
    for document, node in zip(documents, nodes, strict=True):
        own = document.metadata
        text = service.server.call("GET", f"/api/documents/{own['document_id']}/text").json()["text"]
        assert document.page_content == node.node.text == text[own["char_start"] : own["char_end"]]
        assert (node.node.start_char_idx, node.node.end_char_idx) == (own["char_start"], own["char_end"])
        assert document.id == node.node.node_id == own["chunk_id"]
        assert node.node.ref_doc_id == own["document_id"]
        assert node.score == own["score"]
        page = service.server.call("GET", own["url"].removeprefix(service.url))
        assert (page.status, own["document_title"] in page.text) == (200, True)


def test_a_model_reads_where_a_node_is_from_and_no_numbers(service: Service) -> None:
    node = from_llamaindex(service.url, QUERIES[0])[0].node
    read = node.get_content(MetadataMode.LLM)
    assert node.text.strip() in read
    assert node.metadata["document_title"] in read
    assert node.metadata["url"] in read
    assert "chunk_id" not in read
    assert "scores" not in read
    assert node.get_content(MetadataMode.EMBED) == read
    assert ("place:" in read) == bool(node.metadata["place"])


# ---------------------------------------------------------------- who may see what


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_is_hidden_comes_with_the_key_only(
    service: Service, way: Callable[..., list[Any]], wrapped: bool
) -> None:
    open_to_all = [told(one, service.url) for one in way(service.url, HIDDEN, top_k=50)]
    assert open_to_all
    assert "紅葉谷" not in str(open_to_all)
    key = SecretStr(service.key) if wrapped else service.key
    seen = [told(one, service.url) for one in way(service.url, HIDDEN, top_k=50, api_key=key)]
    assert seen == service.citations(HIDDEN, service.key, top_k=50)
    assert "第五会議室" in seen[0]["text"]
    assert len(seen) > len(open_to_all)


def test_a_service_for_those_who_signed_in(tmp_path: Path) -> None:
    closed = Service(tmp_path, DXQA_READING="login")
    with closed.server:
        for way in WAYS:
            with pytest.raises(ServiceError, match="ログイン") as caught:
                way(closed.url, QUERIES[0])
            assert caught.value.status == 401
            assert len(way(closed.url, QUERIES[0], api_key=closed.key)) == 10
        with pytest.raises(ServiceError) as caught:
            from_langchain(closed.url, QUERIES[0], api_key=KEY)
        assert caught.value.status == 401
        assert KEY not in "".join(traceback.format_exception(caught.value))


# ---------------------------------------------------------------- what goes wrong


@contextmanager
def speaking(
    reply: Callable[[BaseHTTPRequestHandler], None], certificate: Path | None = None
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Another server on the loopback address: its address, and the headers of those who came."""
    came: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked has gone
                reply(self)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secure.load_cert_chain(certificate, certificate.with_suffix(".key"))
        server.socket = secure.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}", came
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def saying(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def test_bad_input_is_said_in_the_services_words(service: Service) -> None:
    for way in WAYS:
        for query, said in (
            ("あ" * 501, "500文字以内で入力してください。"),
            (" ", "1文字以上で入力してください。"),
        ):
            with pytest.raises(ServiceError, match=said) as caught:
                way(service.url, query)
            assert caught.value.status == 422
            assert service.url in str(caught.value)


def test_nobody_there() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for way in WAYS:
        with pytest.raises(ServiceError, match=r"つながりません.*サービスが動いているか") as caught:
            way(url, "窓口", api_key=KEY)
        assert (caught.value.status, caught.value.retry_after_s) == (None, None)
        assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_service_that_does_not_speak_tls(service: Service) -> None:
    with pytest.raises(ServiceError, match=r"暗号化.*http か https か"):
        Client(service.url.replace("http://", "https://")).search("窓口")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_it_goes_nowhere_else_wherever_it_is_sent(status: int) -> None:
    with speaking(saying(200, b'{"citations": []}')) as (elsewhere, came):
        leads = saying(status, b"", Location=f"{elsewhere}/api/search?q=1")
        with speaking(leads) as (url, asked):
            for way in WAYS:
                with pytest.raises(ServiceError, match="従いません") as caught:
                    way(url, "窓口", api_key=KEY)
                assert caught.value.status == status
            assert [one["authorization"] for one in asked] == [f"Bearer {KEY}"] * len(WAYS)
        assert came == []


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, {"detail": "索引を作っています。"}, "索引を作っています。（状態 503）"),
        (
            429,
            {"detail": "しばらく待ってください。\n\x1b[31m赤"},
            "しばらく待ってください。  [31m赤（状態 429）",
        ),
        (422, {"detail": [{"msg": "一つ目。"}, {"msg": "二つ目。"}, "x"]}, "一つ目。 二つ目。（状態 422）"),
        (500, {"detail": "長" * 900}, f"：{'長' * 500}（状態 500）"),
        (502, "<html>Bad Gateway</html>", "返事を読み取れません（状態 502）"),
        (404, {"detail": {"a": 1}}, "返事を読み取れません（状態 404）"),
        (200, "<html>hello</html>", "返事を読み取れません（状態 200）"),
        (200, "[" * 200_000, "返事を読み取れません（状態 200）"),
        (200, {"hello": 1}, "返事の形が違います"),
        (200, {"citations": [{"text": "窓口"}]}, "返事の形が違います"),
        (200, [], "返事の形が違います"),
        (200, {"citations": 5}, "返事の形が違います"),
    ],
)
def test_replies_that_are_no_citations(status: int, body: Any, said: str) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    with speaking(saying(status, content.encode(), Retry_After="17")) as (url, _):
        for way in (from_langchain, from_llamaindex):
            with pytest.raises(ServiceError) as caught:
                way(url, "窓口", api_key=KEY)
            assert said in str(caught.value)
            assert caught.value.status == status
            assert caught.value.retry_after_s == (None if said.startswith("返事の形") else 17)
            assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_reply_without_end_is_cut_off_in_size() -> None:
    sent: list[int] = []

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for megabyte in range(64):
            handler.wfile.write(b" " * (1 << 20))
            sent.append(megabyte)

    with speaking(reply) as (url, _), pytest.raises(ServiceError, match="返事が大きすぎます"):
        Client(url).search("窓口")
    assert MOST_BYTES >> 20 <= len(sent) < 48


@pytest.mark.parametrize("at_first", [b"", b"HTTP/1.0 200 OK\r\nX: ", b"HTTP/1.0 200 OK\r\n\r\n[1"])
def test_a_reply_without_end_is_cut_off_in_time(at_first: bytes) -> None:
    """Each letter comes in time, the reply never ends: before, in and after its head."""
    ended = threading.Event()

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(at_first)
        end = time.monotonic() + 25  # so that the test ends, too, where nothing else ends it
        while not ended.wait(0.05) and time.monotonic() < end:
            if at_first:
                handler.wfile.write(b"1")

    with speaking(reply) as (url, _):
        started = time.monotonic()
        with pytest.raises(ServiceError, match=r"0\.5秒待っても返事がありません"):
            from_langchain(url, "窓口", timeout_s=0.5)
        assert time.monotonic() - started < 20  # it would never end
        ended.set()


def test_a_connection_is_secure_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that nobody vouches for is refused before the key is sent; the time of a call holds here, too."""
    if shutil.which("openssl") is None and not os.environ.get("CI"):
        pytest.skip("openssl is not installed (make tools)")
    certificate, ended = tmp_path / "own.pem", threading.Event()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate,
         "-keyout", certificate.with_suffix(".key")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip

    def reply(handler: BaseHTTPRequestHandler) -> None:
        if "slow" not in handler.path:
            return saying(200, b'{"citations": []}')(handler)
        end = time.monotonic() + 25
        while not ended.wait(0.05) and time.monotonic() < end:
            handler.wfile.write(b"1")
        return None

    with speaking(reply, certificate) as (url, came):
        with pytest.raises(ServiceError, match="証明書を確かめられません"):
            from_langchain(url, "窓口", api_key=KEY)
        assert came == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert from_langchain(url, "窓口", api_key=KEY) == []
        with pytest.raises(ServiceError, match="待っても返事がありません"):
            Client(url, timeout_s=1.0).search("slow")
        ended.set()


@pytest.mark.parametrize("way", ["langchain", "llamaindex"])
def test_who_waits_does_not_hold_the_loop(way: str) -> None:
    """The reply comes once something else on the same loop has run."""
    ran = threading.Event()

    def reply(handler: BaseHTTPRequestHandler) -> None:
        assert ran.wait(30)
        saying(200, b'{"citations": []}')(handler)

    async def both(url: str) -> list[Any]:
        async def other() -> None:
            await asyncio.sleep(0.05)
            ran.set()

        asked = (
            LangChain(url=url).ainvoke("窓口") if way == "langchain" else LlamaIndex(url).aretrieve("窓口")
        )
        found, _ = await asyncio.gather(asked, other())
        return list(found)

    with speaking(reply) as (url, _):
        assert asyncio.run(both(url)) == []


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "url",
    [
        "", "dx.example.jp", "ftp://dx.example.jp", "http://", "http://dx.example.jp/?q=1", "http://dx.example.jp/#a",
        "http://dx.example.jp:port", "http://dx.example.jp:99999", "http://a b/", "http://a/\r\nX: 1", f"http://{'a' * 70}.jp",
        "http://[::1", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Client(url)
    for made in (lambda: LangChain(url=url, api_key=KEY), lambda: LlamaIndex(url, api_key=KEY)):
        with pytest.raises(ValueError, match="url") as caught:
            made()
        assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_key_is_never_shown(service: Service) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        Client(f"http://tanaka:{KEY}@127.0.0.1/")
    assert KEY not in str(caught.value)
    for wrong in (f"{KEY}\r\nX-Evil: 1", f"{KEY}鍵", f"{KEY} b"):
        for made in (
            lambda wrong=wrong: Client(service.url, wrong),
            lambda wrong=wrong: LangChain(url=service.url, api_key=wrong),
            lambda wrong=wrong: LlamaIndex(service.url, api_key=wrong),
        ):
            with pytest.raises(ValueError, match="合言葉") as caught:
                made()
            assert KEY not in "".join(traceback.format_exception(caught.value))
    for settings in ({"top_k": 0}, {"top_k": "x"}, {"timeout_s": "x"}, {"url": 5}, {"timeout_s": -1.0}):
        with pytest.raises((ValidationError, ValueError)) as refused:
            LangChain(**{"url": service.url, "api_key": KEY, **settings})
        assert KEY not in "".join(traceback.format_exception(refused.value))
    for wrong_kind in ({"api_key": KEY}, {"url": service.url, "api_key": [KEY]}):
        with pytest.raises(ValidationError) as refused:
            LangChain(**wrong_kind)
        assert KEY not in "".join(traceback.format_exception(refused.value))
    retriever = LangChain(url=service.url, api_key=KEY)
    assert KEY not in repr(retriever) + str(retriever) + dumps(retriever) + str(retriever.model_dump())
    other = LlamaIndex(service.url, api_key=KEY)
    assert KEY not in repr(other) + str(vars(other)) + repr(Client(service.url, KEY))


def test_filters_that_the_service_does_not_know_are_refused_at_once(service: Service) -> None:
    assert set(CONDITIONS) == set(FilterRequest.model_fields)
    assert client.MOST_PASSAGES == limits.MOST_PASSAGES  # the service asks for no more
    for made in (
        lambda: LangChain(url=service.url, filters={"region": ["東北"]}),
        lambda: LlamaIndex(service.url, filters={"region": ["東北"]}),
        lambda: Client(service.url).search("窓口", filters={"region": ["東北"]}),
    ):
        with pytest.raises(ValueError, match="「region」はありません"):
            made()


@pytest.mark.parametrize("top_k", [0, 51])
def test_a_number_of_passages_that_the_service_does_not_give_is_refused_at_once(top_k: int) -> None:
    for made in (
        lambda: LangChain(url="http://127.0.0.1:1", top_k=top_k),
        lambda: LlamaIndex("http://127.0.0.1:1", top_k=top_k),
        lambda: Client("http://127.0.0.1:1").search("窓口", top_k=top_k),
    ):
        with pytest.raises(ValueError, match="1から50までの整数"):
            made()


def test_a_setting_by_another_name_is_refused() -> None:
    for wrong in ({"filter": {"regions": ["東北"]}}, {"k": 3}):
        with pytest.raises(ValidationError):
            LangChain(url="http://127.0.0.1:1", **wrong)


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan"), float("inf")])
def test_waiting_has_an_end(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="timeout_s"):
        Client("http://127.0.0.1:1", timeout_s=timeout_s)


def test_a_service_below_a_folder_of_a_proxy() -> None:
    citation = {"chunk_id": "c", "document_id": "d", "text": " 窓口\n", "url": "/documents/d?start=0&end=4", "score": 0.5,
                "char_start": 0, "char_end": 4}  # fmt: skip
    body = json.dumps({"citations": [citation], "notes": ["同義語の表に間違いがあります。"]}).encode()
    with speaking(saying(200, body)) as (url, came):
        found = from_langchain(f"{url}/dx/資料/", "窓口")
        assert [one["path"] for one in came] == [
            f"/dx/{quote('資料')}/api/search?{urlencode({'q': '窓口', 'top_k': 10})}"
        ]
        assert found[0].metadata["url"] == f"{url}/dx/資料/documents/d?start=0&end=4"
        assert found[0].page_content == from_llamaindex(url, "窓口")[0].node.text == " 窓口\n"
        assert "authorization" not in came[0]


def test_what_a_part_of_the_service_could_not_do_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"citations": [], "notes": ["同義語の表に間違いがあります。"]}).encode()
    with speaking(saying(200, body)) as (url, _):
        assert Client(url).search("窓口") == []
    assert "同義語の表に間違いがあります。" in caplog.text


def test_nothing_is_asked_through_a_proxy_of_the_environment(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert len(Client(service.url).search("窓口", top_k=1)) == 1
