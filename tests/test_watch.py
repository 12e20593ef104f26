"""Every request has a number and a line, whatever becomes of it."""

from __future__ import annotations

import json
import logging
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from served import serving
from test_server import ROUTES, Service

NUMBER = re.compile(r"[0-9a-f]{12}")
GIVEN = "abcDEF-0123456789"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(
        tmp_path_factory.mktemp("watch"), token="a-token-of-the-tests", proxies="10.9.0.1, 10.8.0.0/16"
    )


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def fields(said: pytest.LogCaptureFixture, logger: str = "dxqa.access") -> list[dict[str, Any]]:
    return [getattr(record, "fields", {}) for record in said.records if record.name == logger]


@pytest.mark.parametrize("path", [*ROUTES, "/metrics", "/api/cases/x", "/documents/%E3%81%82"])
def test_every_reply_has_a_number_of_its_own(service: Service, path: str) -> None:
    numbers = set()
    for headers in ({}, {"X-Request-ID": GIVEN}, {"Host": "elsewhere.example.jp"}):
        numbers.add(service.client.get(path, headers=headers).headers["x-request-id"])
    assert len(numbers) == 3
    assert all(NUMBER.fullmatch(number) for number in numbers)


def test_a_number_is_taken_from_a_proxy_that_is_trusted_and_from_nobody_else(service: Service) -> None:
    def number(address: str, given: str = GIVEN, **more: str) -> str:
        client = service.from_address(address)
        return str(
            client.get("/healthz", headers={"X-Request-ID": given.encode(), **more}).headers["x-request-id"]
        )

    assert number("10.9.0.1") == number("10.8.7.6") == GIVEN
    forwarded = {"X-Forwarded-For": "192.0.2.5"}
    assert number("10.9.0.1", **forwarded) == GIVEN
    for address in ("127.0.0.1", "10.9.0.2", "192.0.2.5"):
        assert NUMBER.fullmatch(number(address))
        assert NUMBER.fullmatch(number(address, **{"X-Forwarded-For": "10.9.0.1"}))
    for wrong in ("short", "x" * 65, "has space-", "under_score1", "a" * 8 + "\t", "ＡＢＣＤＥＦＧＨ", ""):  # fmt: skip
        assert NUMBER.fullmatch(number("10.9.0.1", wrong)), wrong
    assert number("10.9.0.1", "a" * 8) == "a" * 8
    assert number("10.9.0.1", "a" * 64) == "a" * 64
    twice = service.from_address("10.9.0.1").get(
        "/healthz", headers=[("X-Request-ID", GIVEN), ("X-Request-ID", GIVEN)]
    )
    assert NUMBER.fullmatch(twice.headers["x-request-id"])


def test_a_trusted_proxy_says_where_a_visitor_is(service: Service, said: pytest.LogCaptureFixture) -> None:
    for address, counted in (("10.9.0.1", "192.0.2.5"), ("10.7.0.1", "10.7.0.1")):
        said.clear()
        service.from_address(address).post(
            "/api/index/rebuild", headers={"X-Forwarded-For": "192.0.2.5", "Authorization": "Bearer wrong"}
        )
        assert fields(said, "dxqa.audit") == [
            {
                "action": "refused",
                "address": counted,
                "method": "POST",
                "route": "/api/index",  # where it would have gone is not looked at
                "status": 401,
            }
        ]


def test_a_line_says_the_route_and_not_the_address(service: Service, said: pytest.LogCaptureFixture) -> None:
    document = service.client.get("/api/documents").json()["documents"][0]["id"]
    said.clear()
    for method, path, route, status in (
        ("GET", f"/api/documents/{document}/text?start=1&end=3", "/api/documents/{document_id}/text", 200),
        ("GET", "/?q=窓口", "/", 200),
        ("GET", "/static/style.css", "/static/*", 200),
        ("GET", "/static/%1b[31m", "/static/*", 404),
        ("GET", "/openapi.json", "/openapi.json", 200),
        ("GET", "/nothing/%0aforged", "-", 404),
        ("PUT", "/api/ask", "/api/ask", 405),
        ("BREW", "/api/ask", "/api/ask", 405),
        ("POST", "/api/ask", "/api/ask", 422),
        ("GET", "/cases/x", "/cases/{case_id}", 404),
        ("HEAD", "/healthz", "/healthz", 405),
    ):
        said.clear()
        reply = service.client.request(method, path)
        (line,) = fields(said)
        assert (line["route"], line["status"]) == (route, status), path
        assert reply.status_code == status
        assert line["method"] == ("OTHER" if method == "BREW" else method)
        assert line["bytes"] == len(reply.content)
        assert 0 < line["ms"] < 60_000
        assert set(line) == {"method", "route", "status", "ms", "bytes"}


def test_too_much_and_a_wrong_name_have_their_line_too(
    service: Service, said: pytest.LogCaptureFixture
) -> None:
    big = service.client.post("/api/ask", content=b"x" * 300_000)
    elsewhere = service.client.get("/api/cases", headers={"Host": "elsewhere.example.jp"})
    assert [(line["route"], line["status"]) for line in fields(said)] == [("/api/ask", 413), ("-", 421)]
    assert all(NUMBER.fullmatch(reply.headers["x-request-id"]) for reply in (big, elsewhere))


def test_a_failure_is_told_by_its_number(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    service = Service(tmp_path)

    def fails(text: str) -> Any:
        raise ValueError(text)

    service.encoder.encode_question = fails  # type: ignore[method-assign]
    said.clear()
    program = service.client.post("/api/ask", json={"question": "窓口の費用"})
    page = service.client.get("/", params={"q": "窓口の費用"})
    assert program.json() == {
        "detail": "処理の途中で問題が起きました。",
        "request_id": program.headers["x-request-id"],
    }
    assert f"受付番号 <code>{page.headers['x-request-id']}</code>" in page.text
    errors = [record for record in said.records if record.name == "dxqa.server"]
    assert [record.levelname for record in errors] == ["ERROR", "ERROR"]
    assert all(record.exc_info for record in errors)
    assert [(line["route"], line["status"]) for line in fields(said)] == [("/api/ask", 500), ("/", 500)]
    assert fields(said, "dxqa.server") == [
        {"method": "POST", "route": "/api/ask"},
        {"method": "GET", "route": "/"},
    ]


def test_where_nothing_can_be_answered_the_page_has_the_number(tmp_path: Path) -> None:
    empty = Service(tmp_path, built=False)
    shown = empty.client.get("/documents/x")
    assert shown.status_code == 503
    assert f"受付番号 <code>{shown.headers['x-request-id']}</code>" in shown.text
    assert empty.client.get("/api/cases").json()["request_id"]
    assert "request_id" not in empty.client.get("/api/nothing").json()


def test_lines_of_threads_have_the_number_of_their_request(service: Service) -> None:
    """Questions are answered by threads of a pool, several at a time."""
    from web.logs import JsonLines

    class Lines(logging.Handler):
        made: list[dict[str, Any]] = []  # noqa: RUF012

        def emit(self, record: logging.LogRecord) -> None:
            self.made.append(json.loads(self.format(record)))

    handler = Lines()
    handler.setFormatter(JsonLines())
    log, working = logging.getLogger("dxqa.threads"), service.encoder.encode_question

    def tells(text: str) -> Any:
        log.warning("encoding", extra={"fields": {"text": text}})
        return working(text)

    log.addHandler(handler)
    service.encoder.encode_question = tells  # type: ignore[method-assign]
    try:

        def ask(number: int) -> tuple[str, str]:
            text = f"窓口{number}番の費用"
            body = json.dumps({"question": text}).encode()
            request = urllib.request.Request(f"{address}/api/ask", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=20) as reply:
                return text, reply.headers["x-request-id"]

        with serving(service.app) as address, ThreadPoolExecutor(4) as pool:
            numbers = dict(pool.map(ask, range(12)))
    finally:
        service.encoder.encode_question = working  # type: ignore[method-assign]
        log.removeHandler(handler)
    assert len(set(numbers.values())) == 12
    told = {line["text"]: line["request_id"] for line in handler.made}
    assert {text: told[text] for text in numbers} == numbers


def test_changes_have_a_line_that_says_what(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    token = "another-token"
    service, key = Service(tmp_path, token=token), {"Authorization": f"Bearer {token}"}
    client = service.client
    files = {"files": ("新しい資料.md", "# 予算\n\n予算は前の年度より一割ほど増えました。\n".encode())}
    added = client.post("/api/documents", files=files, headers=key).json()
    staged = client.post("/api/uploads", files=files, headers=key).json()["uploads"][0]["id"]
    client.delete(f"/api/uploads/{staged}", headers=key)
    rebuilt = client.post("/api/index/rebuild", headers=key).json()["job_id"]
    document = next(d for d in client.get("/api/documents").json()["documents"] if d["path"] == "faq.md")
    client.delete(f"/api/documents/{document['id']}", headers=key)
    client.delete("/api/documents/none", headers=key)
    assert added["job_id"]
    assert {line["person"] for line in fields(said, "dxqa.audit")} == {"管理者（合言葉）"}
    shown = {"address", "person"}
    assert [{k: v for k, v in line.items() if k not in shown} for line in fields(said, "dxqa.audit")] == [
        {"action": "add", "files": ["新しい資料.md"]},
        {"action": "upload", "files": ["新しい資料.md"]},
        {"action": "discard", "upload": staged, "files": ["新しい資料.md"]},
        {"action": "rebuild", "job": rebuilt},
        {"action": "remove", "document": document["id"], "files": ["faq.md"]},
        {"action": "refused", "method": "DELETE", "route": "/api/documents/{document_id}", "status": 404},
    ]
    assert {line["address"] for line in fields(said, "dxqa.audit")} == {"127.0.0.1"}
