"""Written answers as programs and people get them: JSON, events, and the page with and without JavaScript; the model is a real server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fire import Server
from playwright.sync_api import Browser
from scripted_model import Broken, Messages, ScriptedModel, Slowly
from served import screenshot, serving, violations, watched
from test_server import CASE_BOOK, Service

from options import HOME
from qa.language_model import LanguageModel, ModelSettings
from qa.written import LEFT_OUT, MARKED, NOT_REACHED, TOO_LITTLE
from web.writing import BUSY, Writing

QUESTION = "若草市の担当部署の電話番号は？"
LIE = "費用は987654円です[1]。"


def honest(messages: Messages) -> list[str]:
    """The telephone number as the first passage that has one states it, cited."""
    told = messages[1]["content"]
    for number, text in re.findall(r"<引用 番号=(\d+) [^>]*>\n(.*?)\n</引用 印=", told, re.DOTALL):
        if "0000-11-2222" in text:
            return ["電話番号は", "0000-11-2222", f"です[{number}]。"]
    return ["わかりません。"]


def careless(messages: Messages) -> list[str]:
    return [*honest(messages), LIE]


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(honest) as started:
        yield started


@pytest.fixture(scope="module")
def writer(model: ScriptedModel) -> Iterator[LanguageModel]:
    with closing(LanguageModel(ModelSettings(model.url, "scripted"))) as made:
        yield made


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, writer: LanguageModel) -> Service:
    return Service(
        tmp_path_factory.mktemp("removing"), writing=Writing(writer, name="scripted", timeout_s=3.0)
    )


@pytest.fixture(scope="module")
def marking(tmp_path_factory: pytest.TempPathFactory, writer: LanguageModel) -> Service:
    writing = Writing(writer, name="<b>印</b>", on_unsupported="mark", timeout_s=3.0)
    return Service(tmp_path_factory.mktemp("marking"), writing=writing)


def events(body: str) -> list[tuple[str, Any]]:
    parts = [part.split("\n") for part in body.split("\n\n") if part]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


def test_a_written_answer_in_one_reply(service: Service, model: ScriptedModel) -> None:
    model.script = honest
    quoted = service.ask(QUESTION)
    written = service.ask(QUESTION, answer="generated")
    assert quoted["answer"]["mode"] == "extractive"
    assert written["answer"]["mode"] == "generated"
    (sentence,) = written["answer"]["sentences"]
    assert (sentence["text"], sentence["supported"]) == ("電話番号は0000-11-2222です。", True)
    cited = written["citations"][sentence["citations"][0] - 1]
    assert "0000-11-2222" in cited["text"]
    same = {"citations", "filters", "answerable", "index_version", "understood", "question", "notes"}
    assert {key: written[key] for key in same} == {key: quoted[key] for key in same}
    assert all(sentence["supported"] is None for sentence in quoted["answer"]["sentences"])


def test_what_is_false_is_left_out_or_marked(
    service: Service, marking: Service, model: ScriptedModel
) -> None:
    model.script = careless
    removed = service.ask(QUESTION, answer="generated")
    assert removed["answer"]["text"] == "電話番号は0000-11-2222です。"
    assert removed["notes"] == [LEFT_OUT.format(1)]
    marked = marking.ask(QUESTION, answer="generated")
    assert [sentence["supported"] for sentence in marked["answer"]["sentences"]] == [True, False]
    assert marked["notes"] == [MARKED]


def test_citations_then_words_then_the_verdict(service: Service, model: ScriptedModel) -> None:
    model.script = careless
    with service.client.stream("POST", "/api/ask/stream", json={"question": QUESTION}) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["cache-control"] == "no-store"
        came = events("".join(reply.iter_text()))
    assert [name for name, _ in came] == ["citations", *["words"] * 4, "verdict"]
    assert came[0][1]["answer"] == service.ask(QUESTION)["answer"]
    assert "".join(data["text"] for name, data in came if name == "words").endswith(LIE)
    assert came[-1][1]["answer"] == service.ask(QUESTION, answer="generated")["answer"]


def test_a_model_that_fails_costs_a_note_and_nothing_else(service: Service, model: ScriptedModel) -> None:
    quoted = service.ask(QUESTION)
    for script, note in ((Broken(500, b"{}"), NOT_REACHED), (LIE, TOO_LITTLE)):
        model.script = lambda _, script=script: script  # type: ignore[misc]
        told = service.ask(QUESTION, answer="generated")
        assert (told["answer"], told["notes"]) == (quoted["answer"], [note])
        body = service.client.post("/api/ask/stream", json={"question": QUESTION}).text
        assert events(body)[-1][1]["notes"] == [note]


def test_without_a_model_it_cannot_be_asked_for(tmp_path: Path) -> None:
    own = Service(tmp_path)
    for path, more in (("/api/ask", {"answer": "generated"}), ("/api/ask/stream", {})):
        refused = own.client.post(path, json={"question": QUESTION, **more})
        assert refused.status_code == 422
        assert "言語モデルが設定されていない" in refused.text
    page = own.client.get("/", params={"q": QUESTION, "answer": "generated"}).text
    assert 'id="written"' not in page
    assert "written.js" not in page
    assert "AIによる文章生成は行わず" in page


def test_who_waits_for_a_model_holds_no_place_and_too_many_are_told(
    tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel, writer: LanguageModel
) -> None:
    """More wait than may be answered at once; questions go on meanwhile."""
    own = Service(tmp_path_factory.mktemp("many"), writing=Writing(writer, timeout_s=20.0))
    go_on = threading.Event()

    def waits(messages: Messages) -> list[str]:
        go_on.wait(20)
        return honest(messages)

    model.script = waits
    model.asked.clear()
    replies: list[dict[str, Any]] = []
    with serving(own.app) as address:

        def ask(answer: str) -> dict[str, Any]:
            body = json.dumps({"question": QUESTION, "answer": answer}).encode()
            request = urllib.request.Request(f"{address}/api/ask", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as reply:
                found: dict[str, Any] = json.load(reply)
                return found

        threads = [threading.Thread(target=lambda: replies.append(ask("generated"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(model.asked) < 4:
            assert all(thread.is_alive() for thread in threads)
        assert ask("extractive")["answer"]["mode"] == "extractive"
        assert ask("generated")["notes"] == [BUSY]
        go_on.set()
        for thread in threads:
            thread.join(30)
        model.script = honest
        assert ask("generated")["answer"]["mode"] == "generated"
    assert [reply["answer"]["mode"] for reply in replies] == ["generated"] * 4


# ---------------------------------------------------------------- the page


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_page(marking: Service, model: ScriptedModel, browser: Browser, scripts: bool) -> None:
    more = "つくし県若草市の番号です[1]。", "<script>alert(1)</script>です[1]。"
    model.script = lambda messages: Slowly((*careless(messages), *more), 0.05)
    with serving(marking.app) as address, watched(browser, address, scripts=scripts) as page:
        page.goto(f"{address}/?q={QUESTION}")
        assert "0000-11-2222" in page.locator("#answer").inner_text()
        assert "<b>印</b>" in page.locator("#written").inner_text()
        assert "確かめたもの" not in page.locator("#written").inner_text()  # nothing is there yet
        screenshot(page, f"written-before-{scripts}")
        page.get_by_role("link", name="文章でまとめる").click()
        page.locator(".written__sentence").first.wait_for()
        lines = page.locator(".written__sentence").all_inner_texts()
        assert len(lines) == 4
        assert re.fullmatch(r"電話番号は0000-11-2222です。 \[\d\]", lines[0].strip())
        assert ["原文未確認" in line for line in lines] == [False, True, False, True]
        assert "<script>alert(1)</script>" in lines[3]
        assert MARKED in page.locator(".written__notes").inner_text()
        assert page.locator(".written__draft").count() == 0
        screenshot(page, f"written-{scripts}")
        if scripts:
            assert violations(page) == []
        page.locator(".written__sentence").first.get_by_role("link").click()
        page.wait_for_url("**#c*")
        assert "0000-11-2222" in page.locator(page.url[page.url.index("#") :]).inner_text()


def test_the_page_of_a_model_that_fails(service: Service, model: ScriptedModel, browser: Browser) -> None:
    model.script = lambda _: Broken(500, b"{}")
    with serving(service.app) as address, watched(browser, address) as page:
        page.goto(f"{address}/?q={QUESTION}")
        page.get_by_role("link", name="文章でまとめる").click()
        page.get_by_text(NOT_REACHED).wait_for()
        assert page.locator(".written__sentence").count() == 0
        assert "0000-11-2222" in page.locator("#answer").inner_text()


def test_the_help_says_what_is_checked_where_a_model_writes(service: Service, tmp_path: Path) -> None:
    assert "言語モデルの文章の読み方" in service.client.get("/help").text
    assert "言語モデル" not in Service(tmp_path).client.get("/help").text


def test_a_follow_up_of_a_written_page_is_written_too(service: Service, model: ScriptedModel) -> None:
    model.script = honest
    page = service.client.get("/", params={"q": QUESTION, "answer": "generated"}).text
    assert "電話番号は0000-11-2222です。" in page
    assert '<input type="hidden" name="answer" value="generated">' in page


# ---------------------------------------------------------------- as a program


def program(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | environment,
    )


def test_without_a_model_nothing_of_it_is_loaded() -> None:
    code = "import sys, server; print(sorted({'openai', 'mcp', 'httpx'} & set(sys.modules)), 'qa.language_model' in sys.modules)"
    done = program("-c", code)
    assert (done.stdout, done.stderr) == ("[] False\n", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--llm-url", "127.0.0.1:11434/v1", "--llm-model", "m"], "http://127.0.0.1:11434/v1"),
        (["--llm-url", "http://me:himitsu@127.0.0.1/v1", "--llm-model", "m"], "DXQA_LLM_KEY"),
        (["--llm-url", "http://127.0.0.1:11434/v1"], "DXQA_LLM_MODEL"),
        (
            ["--llm-url", "http://127.0.0.1/v1", "--llm-model", "m", "--llm-timeout", "51"],
            "1から50までの秒数",
        ),
        (["--llm-unsupported", "show"], "remove"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, options: list[str], said: str) -> None:
    done = program("server.py", "--index", str(tmp_path / "index"), *options, DXQA_LLM_KEY="geheim")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "himitsu" not in done.stderr
    assert "geheim" not in done.stderr


def test_a_real_server_writes_and_its_log_holds_neither_key_nor_question(
    tmp_path: Path, model: ScriptedModel
) -> None:
    model.script = honest
    model.headers.clear()
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
    key = {"DXQA_LLM_URL": model.url, "DXQA_LLM_MODEL": "scripted", "DXQA_LLM_KEY": "geheim"}
    with Server(tmp_path, real_model=True, environment=key) as server:
        reply = server.ask(QUESTION, answer="generated").json()
        assert (reply["answer"]["text"], reply["answer"]["mode"]) == (
            "電話番号は0000-11-2222です。",
            "generated",
        )
        model.script = lambda _: Broken(500, b"{}")
        assert server.ask(QUESTION, answer="generated").json()["notes"] == [NOT_REACHED]
    assert {name.lower(): value for name, value in model.headers[0].items()}[
        "authorization"
    ] == "Bearer geheim"
    said = server.said()
    assert "the model failed: InternalServerError" in said
    assert "geheim" not in said
    assert model.url not in said  # nor where the model is
    assert "若草市の担当部署" not in said
