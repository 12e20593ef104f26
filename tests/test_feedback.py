"""Rating as a visitor and as a program do it; what is wrong with the records disturbs no answer."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_server import Service
from test_usage import everything, read, rows

import database
from qa.masking import cleaned, masked
from qa.usage import RATINGS_A_MINUTE, Usage
from server import main
from web.feedback import FeedbackRequest

QUESTION = "若草市の担当部署の電話番号は？"
HERE = {"Origin": "http://127.0.0.1:8000"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path, usage=Usage(tmp_path / "u" / "usage.sqlite3", 30))
    yield made
    used(made).close()


def used(service: Service) -> Usage:
    found = service.app.state.usage
    assert isinstance(found, Usage)
    return found


def file_of(service: Service) -> Path:
    file = used(service).file
    assert file is not None
    return file.path


def form_of(page: str) -> dict[str, Any]:
    """The fields that a page's form sends by itself."""
    form = re.search(r'<form class="feedback".*?</form>', page, re.DOTALL)
    assert form, "there is no form"
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form[0]):
        fields.setdefault(name, []).append(html.unescape(value))
    return fields


def test_from_a_page_to_a_rating(service: Service) -> None:
    address = f"/?h=若草市について&q={QUESTION}&organization_kinds=市&organization_kinds=村&population_max=100000&without=organizations"
    shown = service.client.get(address).text
    sent = form_of(shown) | {"useful": "false", "comment": " 番号が\r\n古い\x00 "}
    thanked = service.client.post("/feedback", data=sent, headers=HERE, follow_redirects=False)
    assert thanked.status_code == 303
    page = service.client.get(thanked.headers["location"]).text
    assert "ありがとうございました" in page
    back = html.unescape(re.findall(r'href="(/\?[^"]*)"', page)[0])
    assert sorted(parse_qsl(urlsplit(back).query)) == sorted(parse_qsl(urlsplit(address).query))
    (rating,) = rows(used(service), "ratings")
    assert (rating["question"], rating["useful"], rating["comment"]) == (QUESTION, 0, "番号が\n古い")
    assert json.loads(str(rating["citations"])) == re.findall(r"<code>([0-9a-f]{16})</code>", shown)
    assert rating["index_version"] == service.client.get("/api/index").json()["version"]
    assert rating["answerable"] == 1
    assert parse_qsl(urlsplit(back).query) == [tuple(pair) for pair in json.loads(str(rating["state"]))]


def test_each_page_has_a_ticket_of_its_own(service: Service) -> None:
    first, second = (form_of(service.client.get(f"/?q={QUESTION}").text) for _ in range(2))
    assert first["id"] != second["id"]
    for useful in ("true", "false"):
        service.client.post("/feedback", data=first | {"useful": useful})
    assert [row["useful"] for row in rows(used(service), "ratings")] == [0]
    service.client.post("/feedback", data=second | {"useful": "true"})
    assert [row["useful"] for row in rows(used(service), "ratings")] == [0, 1]


def test_the_call_of_the_contract(service: Service) -> None:
    given = {
        "question": QUESTION,
        "useful": False,
        "comment": "古い",
        "filters": {"prefectures": ["つくし県"]},
    }
    first = service.client.post("/api/feedback", json=given)
    assert (first.status_code, first.json()["useful"]) == (201, False)
    again = service.client.post("/api/feedback", json=given | {"useful": True, "id": first.json()["id"]})
    assert (again.status_code, again.json()) == (201, {"id": first.json()["id"], "useful": True})
    (rating,) = read(used(service)).rated
    assert (rating.useful, rating.comment, rating.answerable) == (True, "古い", None)
    assert rating.pairs == (("q", QUESTION), ("prefectures", "つくし県"))
    described = service.client.get("/openapi.json").json()
    call = described["paths"]["/api/feedback"]["post"]
    assert {"201", "409", "422", "429", "503"} <= set(call["responses"])
    for example in described["components"]["schemas"]["FeedbackRequest"]["examples"]:
        assert FeedbackRequest.model_validate(example)
        assert service.client.post("/api/feedback", json=example).status_code == 201


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"useful": None}, "true か false"),
        ({"useful": "x"}, "true か false"),
        ({"question": "  "}, "1文字以上"),
        ({"question": "あ" * 501}, "500文字以内"),
        ({"question": "a\x00"}, "制御文字"),
        ({"comment": "あ" * 501}, "コメントは500文字以内で入力してください（いま501文字）"),
        ({"comment": 5}, "文字列"),
        ({"history": ["x"] * 21}, "20件以内"),
        ({"citations": ["x"]}, "使えない文字"),
        ({"citations": ["0a"] * 51}, "50件以内"),
        ({"id": "短い"}, "使えない文字"),
        ({"index_version": "a b"}, "使えない文字"),
        ({"index_version": "a" * 101}, "100文字以内"),
        ({"without": ["nothing"]}, "次のいずれか"),
        ({"filters": {"population_max": -1}}, "0以上"),
    ],
)
def test_bad_input(service: Service, wrong: dict[str, Any], words: str) -> None:
    refused = service.client.post("/api/feedback", json={"question": QUESTION, "useful": True} | wrong)
    assert refused.status_code == 422
    assert words in refused.json()["detail"][0]["msg"]
    assert not file_of(service).exists()


def test_a_comment_is_counted_as_a_person_counts(service: Service) -> None:
    comment = "あ\r\n" * 250
    sent = service.client.post("/feedback", data={"q": QUESTION, "useful": "true", "comment": comment})
    assert sent.status_code == 200
    assert len(read(used(service)).rated[0].comment) == 499


@pytest.mark.parametrize(
    "data", [{}, {"q": QUESTION}, {"useful": "true"}, {"q": QUESTION, "useful": "perhaps"}]
)
def test_a_form_that_lacks_something(service: Service, data: dict[str, str]) -> None:
    refused = service.client.post("/feedback", data=data)
    assert refused.status_code == 422
    assert "<h1>指定が正しくありません" in refused.text


def test_what_is_no_form(service: Service) -> None:
    for sent in (
        service.client.post(
            "/feedback",
            content=b"\xff\xfe=\x00",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ),
        service.client.post("/feedback", json={"q": QUESTION, "useful": True}),
        service.client.post("/feedback", files={"q": ("a.txt", b"x")}, data={"useful": "true"}),
        service.client.post("/feedback", data={"h": ["x"] * 2500, "q": QUESTION, "useful": "true"}),
    ):
        assert sent.status_code == 422
    large = service.client.post("/feedback", data={"q": QUESTION, "useful": "true", "comment": "x" * 300_000})
    assert large.status_code == 413


@pytest.mark.parametrize("path", ["/feedback", "/api/feedback"])
def test_other_sites_are_refused(service: Service, path: str) -> None:
    def send(headers: dict[str, str]) -> int:
        if path.startswith("/api"):
            body: dict[str, Any] = {"json": {"question": QUESTION, "useful": True}}
        else:
            body = {"data": {"q": QUESTION, "useful": "true"}}
        return service.client.post(path, headers=headers, **body).status_code

    for foreign in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Sec-Fetch-Site": "cross-site"},
        HERE | {"Sec-Fetch-Site": "same-site"},
    ):
        assert send(foreign) == 403
    assert not file_of(service).exists()
    assert send(HERE | {"Sec-Fetch-Site": "same-origin"}) in {200, 201}


def test_too_many(service: Service) -> None:
    for _ in range(RATINGS_A_MINUTE):
        assert (
            service.client.post("/api/feedback", json={"question": QUESTION, "useful": True}).status_code
            == 201
        )
    refused = service.client.post("/api/feedback", json={"question": QUESTION, "useful": True})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    page = service.client.post("/feedback", data={"q": QUESTION, "useful": "true"})
    assert page.status_code == 429
    assert "評価を受け付けられませんでした" in page.text
    assert "答えに戻る" in page.text


def test_off_has_no_form_and_no_file(tmp_path: Path) -> None:
    own = Service(tmp_path, usage=Usage(tmp_path / "usage.sqlite3", 0))
    with own.client as client:
        page = client.get(f"/?q={QUESTION}").text
        assert "0000-11-2222" in page
        assert "feedback" not in page
        client.post("/api/ask", json={"question": QUESTION})
        refused = client.post("/api/feedback", json={"question": QUESTION, "useful": True})
        assert (refused.status_code, refused.json()["detail"]) == (
            409,
            "このサーバーでは、質問と評価を記録していません。",
        )
        assert client.post("/feedback", data={"q": QUESTION, "useful": "true"}).status_code == 409
        assert "記録していません" in client.get("/admin/usage").text
    assert not list(tmp_path.glob("usage*"))


def test_nobody_can_be_told_from_the_records(service: Service, tmp_path: Path) -> None:
    visitor = service.from_address("203.0.113.77")
    headers = {
        "User-Agent": "Mozilla/9.9 (Sentakki)",
        "Cookie": "name=himitsu-cookie",
        "X-Forwarded-For": "198.51.100.23",
        "Authorization": "Bearer himitsu-token",
        "Referer": "http://127.0.0.1:8000/himitsu-page",
    }
    visitor.get(f"/?q={QUESTION}", headers=headers)
    visitor.post("/api/ask", json={"question": "窓口の費用は"}, headers=headers)
    visitor.post(
        "/api/feedback", json={"question": QUESTION, "useful": False, "comment": "古い"}, headers=headers
    )
    visitor.post("/feedback", data={"q": QUESTION, "useful": "true"}, headers=headers)
    assert len(rows(used(service))) == 2
    used(service).close()
    with sqlite3.connect(tmp_path / "u" / "usage.sqlite3") as connection:  # what the bytes hold, in the open
        told = "\n".join(connection.iterdump())
    connection.close()
    for trace in ("203.0.113.77", "198.51.100.23", "Mozilla", "Sentakki", "himitsu"):
        assert trace.encode() not in everything(tmp_path / "u")
        assert trace not in told


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXT, st.booleans())
def test_any_comment_comes_back(service: Service, comment: str, as_form: bool) -> None:
    used(service)._rated.clear()
    if as_form:
        service.client.post("/feedback", data={"q": QUESTION, "useful": "true", "comment": comment})
    else:
        service.client.post("/api/feedback", json={"question": QUESTION, "useful": True, "comment": comment})
    last = rows(used(service), "ratings")[-1]
    assert last["comment"] == masked(cleaned(comment))


@pytest.mark.parametrize("trouble", ["damaged", "locked", "no folder"])
def test_an_answer_comes_whatever_is_wrong_with_the_file(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    path = tmp_path / "u" / "usage.sqlite3"
    path.parent.mkdir()
    holding = None
    if trouble == "damaged":
        path.write_bytes(b"no database " * 1000)
    elif trouble == "locked":
        Usage(path, 30).purge()
        holding = sqlite3.connect(path, isolation_level=None)
        holding.execute("BEGIN IMMEDIATE")
    else:
        path.parent.rmdir()
        path.parent.write_text("a file where the folder should be", encoding="utf-8")
    own = Service(tmp_path / "service", usage=Usage(path, 30))
    with own.client as client:
        for _ in range(3):
            assert "0000-11-2222" in client.get(f"/?q={QUESTION}").text
            assert client.post("/api/ask", json={"question": QUESTION}).json()["answerable"]
        refused = client.post("/api/feedback", json={"question": QUESTION, "useful": True})
        assert (refused.status_code, refused.json()["detail"][:14]) == (503, "いまは評価を記録できません。")
        page = client.post("/feedback", data={"q": QUESTION, "useful": "true"})
        assert (page.status_code, "評価を受け付けられませんでした" in page.text) == (503, True)
        seen = client.get("/admin/usage")
        assert seen.status_code == 200
        assert ("記録を読めません" in seen.text) == (trouble != "locked")
        assert "質問への答えには影響ありません" in seen.text
        if holding is not None:
            holding.close()
        if trouble == "damaged":
            assert client.post("/admin/usage/set-aside", follow_redirects=True).status_code == 200
            assert len(list(path.parent.glob("*.old"))) == 1
            assert (
                client.post("/api/feedback", json={"question": QUESTION, "useful": True}).status_code == 201
            )


def test_stopping_the_service_loses_no_question(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite3"
    own = Service(tmp_path / "service", usage=Usage(path, 30))
    with TestClient(own.app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 1)) as client:
        for number in range(30):
            client.post("/api/ask", json={"question": f"窓口{number}の費用は"})
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM questions").fetchone()[0] == 30
    connection.close()


@pytest.mark.parametrize("days", ["x", "-1", "3651", "1.5", ""])
def test_days_that_are_none(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--usage-days", days])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "0から3650までの日数で指定してください" in said
    assert said.count("\n") == 1
