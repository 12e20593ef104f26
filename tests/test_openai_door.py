"""The service as a model: the official client talks to a real server on the loopback address."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest
from made import FakeEncoder
from markdown_it import MarkdownIt
from pydantic import ValidationError
from scripted_model import ScriptedModel, Slowly
from town_hall import MARKS, TOKEN, TownHall, town_hall, writing_by

import web.gate
import web.openai_door
from qa.answer import ask
from web.contract import MAX_QUESTION_CHARS
from web.entry import Entry
from web.openai_door import ChatRequest, auxiliary, tokens
from web.reply_text import told

PHONE = "若草市の担当部署の電話番号は？"
DIRECT = "紅葉谷町の評価面談はいつですか"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.gate, "WRONG_DELAY_S", 0.0)


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TownHall]:
    with town_hall(tmp_path_factory.mktemp("hall")) as made:
        yield made


def client_of(hall: TownHall, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{hall.address}/v1", api_key=key, max_retries=0, timeout=30)


def asked(hall: TownHall, *questions: str, key: str = "none", model: str = "dxqa", **more: Any) -> Any:
    """The completion of a conversation of a user's messages with answers between them."""
    messages: list[Any] = []
    for question in questions:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": "…"}]
    with client_of(hall, key) as client:
        return client.chat.completions.create(model=model, messages=messages[:-1], **more)


def text_of(completion: Any) -> str:
    content: str = completion.choices[0].message.content
    return content


def posted(hall: TownHall, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(
        f"{hall.address}/v1/chat/completions",
        content=content,
        headers={"Content-Type": "application/json", **headers},
        timeout=30,
    )


def untimed(reply: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reply.items() if name != "took_ms"}


# ---------------------------------------------------------------- models


def test_the_models(hall: TownHall) -> None:
    with client_of(hall) as client:
        assert [model.id for model in client.models.list()] == ["dxqa"]  # nothing writes here
        one = client.models.retrieve("dxqa")
        assert (one.id, one.object, one.owned_by) == ("dxqa", "model", "dxqa")
        for name in ("dxqa-written", "gpt-4o"):
            with pytest.raises(openai.NotFoundError) as refused:
                client.models.retrieve(name)
            assert refused.value.code == "model_not_found"
            assert refused.value.param == "model"
            assert name in str(refused.value)
    with pytest.raises(openai.NotFoundError):
        asked(hall, PHONE, model="dxqa-written")


# ---------------------------------------------------------------- an answer


def test_an_answer_with_its_sources(hall: TownHall) -> None:
    completion = asked(hall, PHONE)
    text = text_of(completion)
    ours = httpx.post(f"{hall.address}/api/ask", json={"question": PHONE}).json()
    assert untimed(completion.dxqa) == untimed(ours)
    first = next(s for s in ours["answer"]["sentences"] if "0000-11-2222" in s["text"])
    number = first["citations"][0]
    assert f"0000-11-2222、メール：window@city.example.jp） [{number}]" in text
    source = next(line for line in text.splitlines() if line.startswith(f"- [{number}] "))
    citation = ours["citations"][number - 1]
    address = hall.address + citation["url"]
    assert "（つくし県若草市）" in source
    assert source.endswith(f"　p.{citation['page']}　[原文を開く]({address})")
    assert text.index("**出典**") < text.index(source)
    shown = httpx.get(address.replace("&amp;", "&"))
    assert shown.status_code == 200
    assert "0000-11-2222" in shown.text
    assert (completion.object, completion.model, completion.choices[0].finish_reason) == (
        "chat.completion", "dxqa", "stop",
    )  # fmt: skip
    assert completion.system_fingerprint == ours["index_version"]


def test_annotations_are_the_lines_of_the_sources_in_the_order_of_their_numbers(hall: TownHall) -> None:
    message = asked(hall, "市の事例を一覧で").choices[0].message
    assert len(message.annotations) >= 1
    for number, one in enumerate(message.annotations, 1):
        cited = one.url_citation
        line = message.content[cited.start_index : cited.end_index]
        assert line.startswith(f"- [{number}] ")
        assert line.endswith(f"[原文を開く]({cited.url})")
        assert cited.url.startswith(f"{hall.address}/documents/")
        assert cited.title


def test_numbers_have_no_gap_where_an_answer_cites_only_the_third(hall: TownHall) -> None:
    """A client that numbers sources by their order must find [3] under 3."""
    index = hall.app.state.site.current.get()
    reply = ask(index, FakeEncoder(), PHONE)
    sentence = replace(reply.answer.sentences[0], citations=(3,))
    text = told(replace(reply, answer=replace(reply.answer, sentences=(sentence,))), "http://x")
    assert [one.number for one in text.sources] == [1, 2, 3]
    own, _, near = text.text.partition("**そのほかの近い記述**")
    assert re.findall(r"^- \[(\d)\]", own, re.MULTILINE) == ["3"]
    assert re.findall(r"^- \[(\d)\]", near, re.MULTILINE) == ["1", "2"]
    for one in text.sources:
        assert text.text[one.start : one.end].startswith(f"- [{one.number}] ")


def test_a_refusal_is_its_sentence_and_what_is_near_is_no_source(hall: TownHall) -> None:
    completion = asked(hall, "大空市の電話番号は？")
    message, reply = completion.choices[0].message, completion.dxqa
    assert (reply["answerable"], reply["reason"]) == (False, "unknown_organization")
    assert message.content.startswith(reply["answer"]["text"])
    assert "**参考（お答えではありません）**" in message.content
    assert "- 参考1 " in message.content
    assert "出典" not in message.content
    assert message.annotations == []


def test_words_of_a_document_do_nothing_on_somebody_elses_page(hall: TownHall) -> None:
    completion = asked(hall, "ひばり園の印は何ですか")
    text, sentences = text_of(completion), completion.dxqa["answer"]["sentences"]
    assert "<img src=http://evil.example/q.png>" in completion.dxqa["answer"]["text"]  # it is quoted
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<img" not in rendered
    links = re.findall(r'<a href="([^"]*)"', rendered)
    assert links
    assert all(link.startswith(f"{hall.address}/documents/") for link in links)
    # what the reader sees are the document's own words, to the letter
    shown = html.unescape(re.sub(r"<[^>]*>", "", rendered))
    assert all(sentence["text"] in shown for sentence in sentences)


def test_tokens_are_counted_by_a_simple_rule(hall: TownHall) -> None:
    assert (tokens(""), tokens("窓口"), tokens("abcd"), tokens("abc")) == (0, 2, 2, 1)
    completion = asked(hall, "若草市の窓口について", PHONE)
    prompt = f"若草市の窓口について\n{PHONE}"
    assert completion.usage.prompt_tokens == tokens(prompt) == 26
    assert completion.usage.completion_tokens == tokens(text_of(completion))
    assert completion.usage.total_tokens == 26 + completion.usage.completion_tokens


# ---------------------------------------------------------------- a stream


def test_a_stream_says_the_same(hall: TownHall) -> None:
    whole = asked(hall, PHONE)
    with client_of(hall) as client:
        chunks = list(
            client.chat.completions.create(
                model="dxqa",
                messages=[{"role": "user", "content": PHONE}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    assert chunks[0].choices[0].delta.role == "assistant"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == text_of(whole)
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 3
    *_, last, used = chunks
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert untimed(last.dxqa) == untimed(whole.dxqa)
    annotations = [one.model_dump() for one in whole.choices[0].message.annotations]
    assert last.choices[0].delta.annotations == annotations
    assert (used.choices, used.usage) == ([], whole.usage)
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in chunks[:-1])
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    raw = posted(hall, {"model": "dxqa", "messages": [{"role": "user", "content": PHONE}], "stream": True})
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert raw.text.endswith("data: [DONE]\n\n")
    assert '"usage"' not in raw.text  # nobody asked for it


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/ask/stream"])
def test_no_letter_of_a_document_ends_a_line_of_a_stream(tmp_path: Path, path: str) -> None:
    """U+2028, U+2029 and U+0085 are ends of lines to `httpx`, by which many programs read streams."""
    question = "つばめ園の会費は？"
    body = {"question": question, "messages": [{"role": "user", "content": question}], "stream": True}
    with (
        ScriptedModel(lambda _: "つばめ\u2028園です。") as model,
        town_hall(tmp_path, writing=writing_by(model.url)) as hall,
        httpx.stream("POST", hall.address + path, json=body | {"model": "dxqa"}, timeout=30) as reply,
    ):
        assert reply.status_code == 200
        lines = [line for line in reply.iter_lines() if line]
    said = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert len(said) == sum(line.startswith("data: ") and line != "data: [DONE]" for line in lines) >= 3
    assert all(line.startswith(("data: ", "event: ")) for line in lines)
    assert "会費は\u2029月に\x85三千円" in json.dumps(said, ensure_ascii=False)


# ---------------------------------------------------------------- conversations


def test_earlier_questions_are_the_history(hall: TownHall) -> None:
    after = asked(hall, "若草市の窓口の取組を教えて", "担当部署の電話番号は？")
    assert "0000-11-2222" in text_of(after)
    ours = httpx.post(
        f"{hall.address}/api/ask",
        json={"question": "担当部署の電話番号は？", "history": ["若草市の窓口の取組を教えて"]},
    ).json()
    assert untimed(after.dxqa) == untimed(ours)
    alone = asked(hall, "担当部署の電話番号は？")
    assert untimed(alone.dxqa) != untimed(after.dxqa)


def test_of_the_history_the_last_twenty_and_what_can_be_a_question(hall: TownHall) -> None:
    long = "あ" * (MAX_QUESTION_CHARS + 1)
    many = [f"{number}番目の質問" for number in range(30)]
    completion = asked(
        hall, *many, long, "制御\x00文字", "若草市の窓口の取組を教えて", "担当部署の電話番号は？"
    )
    kept = [*many[11:], "若草市の窓口の取組を教えて"]
    assert len(kept) == 20
    assert completion.usage.prompt_tokens == tokens("\n".join([*kept, "担当部署の電話番号は？"]))
    assert "0000-11-2222" in text_of(completion)


def test_orders_change_nothing_and_settings_are_passed_over(hall: TownHall) -> None:
    plain = asked(hall, PHONE)
    with client_of(hall) as client:
        ordered = client.chat.completions.create(
            model="dxqa",
            messages=[
                {"role": "system", "content": "英語で、出典なしで答えてください。" * 100},
                {"role": "developer", "content": "質問に答えないでください。"},
                {"role": "user", "content": [{"type": "text", "text": PHONE}]},
            ],
            temperature=1.5,
            max_tokens=1,
            n=1,
            tools=[{"type": "function", "function": {"name": "x", "parameters": {}}}],
            tool_choice="auto",
            response_format={"type": "text"},
            extra_body={"chat_id": "a", "unknown": {"deep": [1]}},
        )
    assert text_of(ordered) == text_of(plain)


def test_tasks_of_open_webui_are_answered_without_asking_the_documents(hall: TownHall) -> None:
    def task(wanted: str) -> str:
        """As Open WebUI words them: a heading, rules, the JSON that it wants, and the conversation."""
        return (
            "### Task:\nDo something with the chat history.\n### Guidelines:\n- Keep it short.\n"
            f"### Output:\nJSON format: {wanted}\n### Chat History:\n<chat_history>\nUSER: {PHONE}\nASSISTANT: …\n</chat_history>"
        )

    counted = httpx.get(f"{hall.address}/metrics", headers={"Authorization": f"Bearer {TOKEN}".encode()}).text
    for wanted, given in (
        ('{ "title": "your concise title here" }', {"title": PHONE}),
        ('{ "tags": ["tag1", "tag2"] }', {"tags": []}),
        ('{ "follow_ups": ["Question 1?"] }', {"follow_ups": []}),
        ('{\n  "queries": ["query1"]\n}', {"queries": []}),
    ):
        assert len(task(wanted)) < 600
        completion = asked(hall, task(wanted) + " " * 500)
        assert json.loads(text_of(completion)) == given
        assert completion.dxqa is None
    again = httpx.get(f"{hall.address}/metrics", headers={"Authorization": f"Bearer {TOKEN}".encode()}).text
    questions = [re.findall(r"^dxqa_questions_total.*", text, re.MULTILINE) for text in (counted, again)]
    assert questions[0] == questions[1] != []
    # what only begins like one is a question
    assert auxiliary("### Task:\n若草市の電話番号は？") is None
    assert auxiliary(f'{PHONE} {{"title": ""}}') is None


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("messages", "more", "param", "code", "words"),
    [
        ([{"role": "user", "content": "あ" * 501}], {}, "messages", "question_too_long", "いま501文字"),
        ([{"role": "user", "content": "  \n"}], {}, "messages", "invalid_question", "質問がありません"),
        ([{"role": "user", "content": "窓口\x01"}], {}, "messages", "invalid_question", "使えない文字"),
        ([{"role": "system", "content": PHONE}], {}, "messages", "missing_required_parameter", "user のメッセージ"),
        (
            [{"role": "user", "content": [
                {"type": "text", "text": PHONE}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]}],
            {}, "messages", "unsupported_content", "画像",
        ),
        ([], {}, "messages", "invalid_value", "1件以上"),
        ([{"role": "robot", "content": PHONE}], {}, "messages[0].role", "invalid_value", "次のいずれか"),
        ([{"role": "user", "content": PHONE}], {"n": 2}, "n", "unsupported_value", "一つだけ"),
        ([{"role": "user", "content": PHONE}], {"tool_choice": "required"}, "tool_choice", "unsupported_value", "ツール"),
        (
            [{"role": "user", "content": PHONE}],
            {"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice", "unsupported_value", "ツール",
        ),
        (
            [{"role": "user", "content": PHONE}],
            {"functions": [{"name": "x"}], "function_call": {"name": "x"}}, "function_call", "unsupported_value", "function_call を",
        ),
        (
            [{"role": "user", "content": PHONE}],
            {"response_format": {"type": "json_object"}}, "response_format", "unsupported_value", "文章だけ",
        ),
        (
            [{"role": "user", "content": PHONE}],
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
            "response_format", "unsupported_value", "文章だけ",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_answered(
    hall: TownHall, messages: Any, more: dict[str, Any], param: str, code: str, words: str
) -> None:
    for stream in (False, True):
        with client_of(hall) as client, pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="dxqa", messages=messages, stream=stream, **more)
        error = refused.value
        assert (error.status_code, error.type) == (400, "invalid_request_error")
        assert (error.param, error.code) == (param, code)
        assert words in str(error)


def test_of_a_million_wrong_parts_the_first_one_is_told(hall: TownHall) -> None:
    """Each was an error of its own: one body of 2 MB took nine seconds of the loop that serves everybody, and 1.8 GB."""
    for messages in (
        [{"role": "user", "content": [1] * 50_000}],
        [{"role": "user", "content": [1] * 50}] * 1000,
        [{"role": "robot", "content": [1]}] * 4000,
    ):
        with pytest.raises(ValidationError) as wrong:
            ChatRequest.model_validate({"model": "dxqa", "messages": messages})
        assert wrong.value.error_count() <= 3
        refused = posted(hall, {"model": "dxqa", "messages": messages})
        assert (refused.status_code, refused.json()["error"]["param"][:12]) == (400, "messages[0].")
    assert posted(hall, {"model": "dxqa", "messages": 5}).json()["error"]["param"] == "messages"


def test_no_word_of_another_language_in_a_refusal(hall: TownHall) -> None:
    refused = posted(hall, {"model": "dxqa", "messages": [{"role": "robot", "content": PHONE}]})
    names = "system、developer、user、assistant、tool、function"
    assert refused.json()["error"]["message"] == f"次のいずれかで指定してください：{names}。"


def test_errors_of_every_kind_have_one_shape(hall: TownHall) -> None:
    calls = {
        400: posted(hall, b'{"model": '),
        401: posted(hall, {}, Authorization="Bearer dxqa_wrong"),
        404: httpx.get(f"{hall.address}/v1/embeddings"),
        405: httpx.get(f"{hall.address}/v1/chat/completions"),
        413: posted(hall, b" " * (2 * 1024 * 1024 + 1)),
        421: httpx.get(f"{hall.address}/v1/models", headers={"Host": "evil.example"}),
    }
    for status, reply in calls.items():
        assert reply.status_code == status
        assert set(reply.json()) == {"error"}
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
        assert re.search("[ぁ-ん]", reply.json()["error"]["message"]), status
    assert calls[401].json()["error"]["code"] == "invalid_api_key"
    assert calls[405].headers["allow"] == "POST"
    missing = posted(hall, {"messages": [{"role": "user", "content": PHONE}]}).json()["error"]
    assert (missing["param"], missing["code"]) == ("model", "missing_required_parameter")
    # a conversation with its answers is longer than a question may be elsewhere
    long = [{"role": "assistant", "content": "あ" * 300_000}, {"role": "user", "content": PHONE}]
    assert posted(hall, {"model": "dxqa", "messages": long}).status_code == 200


def test_without_an_index_it_says_so(tmp_path: Path) -> None:
    with town_hall(tmp_path) as hall:
        hall.app.state.current.get = lambda: None
        with pytest.raises(openai.InternalServerError) as refused:
            asked(hall, PHONE)
        assert (refused.value.status_code, refused.value.code) == (503, "service_unavailable")
        assert refused.value.response.headers["retry-after"] == "10"
        with client_of(hall) as client:
            assert [model.id for model in client.models.list()] == ["dxqa"]


# ---------------------------------------------------------------- who asks


def test_a_key_that_means_none_reads_what_is_open_and_a_wrong_one_is_refused(hall: TownHall) -> None:
    for key in ("none", "dummy", "No-Key"):
        assert "0000-11-2222" in text_of(asked(hall, PHONE, key=key))
    assert posted(hall, {}, Authorization="Bearer").status_code == 400  # not 401: no key is shown
    for key in ("sk-abc", "dxqa_x", "dummy2"):
        with pytest.raises(openai.AuthenticationError) as refused:
            asked(hall, PHONE, key=key)
        assert refused.value.code == "invalid_api_key"
    # only at these doors: elsewhere such a word is a wrong key
    for path in ("/api/documents", "/"):
        assert httpx.get(hall.address + path, headers={"Authorization": "Bearer dummy"}).status_code == 401
    # and 源内's header is looked at there alone
    assert httpx.get(f"{hall.address}/v1/models", headers={"x-api-key": "dxqa_x"}).status_code == 200


def test_a_wrong_key_is_refused_where_nobody_administers_by_one(tmp_path: Path) -> None:
    with town_hall(tmp_path, token="") as hall:
        for key in ("sk-abc", "dxqa_x"):
            with pytest.raises(openai.AuthenticationError):
                asked(hall, PHONE, key=key)
            wrong = {"x-api-key": key}
            asked_there = httpx.post(
                f"{hall.address}/gennai", json={"inputs": {"question": PHONE}}, headers=wrong
            )
            assert asked_there.status_code == 401
        assert "0000-11-2222" in text_of(asked(hall, PHONE, key="none"))
        # a page may come with what a proxy put there
        assert httpx.get(f"{hall.address}/", headers={"Authorization": "Bearer sk-abc"}).status_code == 200


def test_a_closed_service_wants_a_key(tmp_path: Path) -> None:
    with town_hall(tmp_path, entry=Entry(closed=True)) as hall:
        for key in ("none", "dummy", "sk-abc"):
            with pytest.raises(openai.AuthenticationError) as refused:
                asked(hall, PHONE, key=key)
            assert refused.value.code == "invalid_api_key"
        listed = httpx.get(f"{hall.address}/v1/models")  # a program is led to no page
        assert (listed.status_code, listed.json()["error"]["message"]) == (401, "ログインが必要です。")
        assert "0000-11-2222" in text_of(asked(hall, PHONE, key=hall.keys["suzuki"]))


def test_who_may_see_a_document_hears_of_it_and_nobody_else(hall: TownHall) -> None:
    assert "十二月三日" in text_of(asked(hall, DIRECT, key=hall.keys["tanaka"]))
    for key in ("none", hall.keys["suzuki"]):
        for question in (DIRECT, "秘密太郎とはだれですか", "第五会議室"):
            completion = asked(hall, question, key=key)
            said = text_of(completion) + json.dumps(completion.dxqa["citations"], ensure_ascii=False)
            for mark in MARKS:
                assert mark not in said.replace(question, ""), (question, mark)
            streamed = posted(
                hall,
                {"model": "dxqa", "stream": True, "messages": [{"role": "user", "content": question}]},
                Authorization=f"Bearer {key}",
            )
            assert "十二月三日" not in streamed.text
            assert "0000-99-8888" not in streamed.text


def test_who_asks_without_end_is_asked_to_wait(tmp_path: Path) -> None:
    with town_hall(tmp_path, entry=Entry(questions_a_minute=2)) as hall:
        for _ in range(2):
            asked(hall, PHONE, key=hall.keys["suzuki"])
        with pytest.raises(openai.RateLimitError) as refused:
            asked(hall, PHONE, key=hall.keys["suzuki"])
        assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "rate_limit_error")
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60
        asked(hall, PHONE, key=hall.keys["tanaka"])  # each for himself


# ---------------------------------------------------------------- written answers


def number_of(messages: list[dict[str, str]], words: str) -> int:
    """The number of the quoted passage in which words stand."""
    passages = re.findall(r"<引用 番号=(\d+).*?</引用", messages[1]["content"], re.DOTALL)
    whole = re.findall(r"<引用 番号=\d+.*?</引用", messages[1]["content"], re.DOTALL)
    return int(next(n for n, text in zip(passages, whole, strict=True) if words in text))


def drafted(messages: list[dict[str, str]]) -> list[str]:
    """A draft in pieces: a sentence that a passage bears out, and one that none does."""
    number = number_of(messages, "0000-11-2222")
    return [
        "若草市の担当は市民部窓口課で、", f"電話番号は0000-11-2222です。[{number}]", f"職員は777人います。[{number}]",
    ]  # fmt: skip


def test_a_written_answer_is_checked_and_says_what_could_not_be(tmp_path: Path) -> None:
    with (
        ScriptedModel(drafted) as model,
        town_hall(tmp_path, writing=writing_by(model.url, on_unsupported="mark")) as hall,
    ):
        with client_of(hall) as client:
            assert [one.id for one in client.models.list()] == ["dxqa", "dxqa-written"]
        completion = asked(hall, PHONE, model="dxqa-written")
        text, reply = text_of(completion), completion.dxqa
        assert reply["answer"]["mode"] == "generated"
        number = reply["answer"]["sentences"][0]["citations"][0]
        assert text.startswith(
            f"若草市の担当は市民部窓口課で、電話番号は0000-11-2222です。[{number}] 職員は777人います。[{number}]（原文未確認）"
        )
        assert "言語モデルが出典をもとに書いた文章です。" in text
        assert "注：「原文未確認」とある文は、引用した原文で確かめられませんでした。" in text
        assert f"- [{number}] " in text
        # the other model does without
        before = len(model.asked)
        assert "777人" not in text_of(asked(hall, PHONE))
        assert len(model.asked) == before


def test_nothing_unchecked_is_ever_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.openai_door, "KEEP_ALIVE_S", 0.02)

    seen = threading.Event()

    def held(messages: list[dict[str, str]]) -> Iterator[str]:
        """The first sentence at once, the rest when somebody has waited for it."""
        *first, last = drafted(messages)
        yield from first
        assert seen.wait(20)
        yield last

    with ScriptedModel(held) as model, town_hall(tmp_path, writing=writing_by(model.url)) as hall:
        body = {"model": "dxqa-written", "stream": True, "messages": [{"role": "user", "content": PHONE}]}
        events: list[str] = []
        with httpx.stream("POST", f"{hall.address}/v1/chat/completions", json=body, timeout=30) as reply:
            for line in reply.iter_lines():
                events += [line] if line else []
                if len(events) == 4:
                    seen.set()
        assert "777人" not in "".join(events)  # neither in a piece, nor in the reply at the end
        first = next(at for at, event in enumerate(events) if "若草市の担当は" in event)
        # who speaks, then signs of life alone until all of it is checked
        assert '"role": "assistant"' in events[0]
        assert first >= 4
        assert all(event.startswith(": ") for event in events[1:first])
        with client_of(hall) as client:
            chunks = list(
                client.chat.completions.create(
                    model="dxqa-written", messages=[{"role": "user", "content": PHONE}], stream=True
                )
            )
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert said.startswith("若草市の担当は市民部窓口課で、電話番号は0000-11-2222です。[")
        assert "原文で確かめられなかった文を1つ除きました。" in said
        assert chunks[-1].dxqa["answer"]["mode"] == "generated"


def test_who_leaves_stops_the_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.openai_door, "KEEP_ALIVE_S", 0.02)
    with ScriptedModel(lambda _: Slowly(("あ",) * 200, 0.05)) as model:
        writing = writing_by(model.url, at_once=1)
        with town_hall(tmp_path, writing=writing) as hall:
            body = {"model": "dxqa-written", "stream": True, "messages": [{"role": "user", "content": PHONE}]}
            with httpx.stream("POST", f"{hall.address}/v1/chat/completions", json=body, timeout=30) as reply:
                next(line for line in reply.iter_lines() if line.startswith(": "))  # it is being written
                assert not writing._free.acquire(blocking=False)
            end = time.monotonic() + 8  # the whole draft would take ten seconds, and twenty are its time
            while not writing._free.acquire(blocking=False):
                assert time.monotonic() < end, "it is still written for nobody"
                time.sleep(0.02)


def test_a_model_that_fails_leaves_the_quotations(tmp_path: Path) -> None:
    with town_hall(tmp_path, writing=writing_by("http://127.0.0.1:9/v1")) as hall:
        for stream in (False, True):
            body = {
                "model": "dxqa-written",
                "stream": stream,
                "messages": [{"role": "user", "content": PHONE}],
            }
            said = posted(hall, body).text
            assert "0000-11-2222" in said
            assert "注：言語モデルを使えなかったので、原文の引用で答えます。" in said
            assert "書いた文章です" not in said


# ---------------------------------------------------------------- what it is made of


def test_the_doors_need_nothing_of_openai() -> None:
    program = "import sys, server; sys.exit('openai' in sys.modules)"
    home = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", program], cwd=home, check=False, timeout=120).returncode == 0


def test_it_is_described(hall: TownHall) -> None:
    described = httpx.get(f"{hall.address}/openapi.json").json()
    call = described["paths"]["/v1/chat/completions"]["post"]
    assert "422" not in call["responses"]
    for status in ("400", "401", "413", "429", "503"):
        schema = call["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/OpenAIError"}
    assert "text/event-stream" in call["responses"]["200"]["content"]
    assert described["components"]["schemas"]["ChatRequest"]["examples"][0]["model"] == "dxqa"
    assert "422" not in described["paths"]["/v1/models/{model}"]["get"]["responses"]
