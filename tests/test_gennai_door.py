"""The service as an app of 源内: requests in the form of its specification against a real server on the loopback address."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import docx
import httpx2 as httpx
import openpyxl
import pytest
from scripted_model import ScriptedModel
from test_openai_door import drafted
from town_hall import MARKS, TownHall, town_hall, writing_by

import web.gate
import web.gennai_jobs
from access.accounts import Accounts
from web.contract import MAX_QUESTION_CHARS
from web.entry import Entry
from web.gennai_door import Inputs
from web.gennai_jobs import Jobs, Made, Tell, TooManyError, Work

PHONE = "若草市の担当部署の電話番号は？"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.gate, "WRONG_DELAY_S", 0.0)


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TownHall]:
    with town_hall(tmp_path_factory.mktemp("hall")) as made:
        yield made


def posted(hall: TownHall, path: str, inputs: Any, key: str | None = "tanaka", **more: Any) -> httpx.Response:
    """As the platform sends it: its key in a header of its own, its user's number, the conversation's number beside the inputs."""
    headers = {"x-user-id": "a1b2c3"}
    if key is not None:
        headers["x-api-key"] = hall.keys.get(key, key)
    body = {"inputs": inputs, "sessionId": "0b0f7f3e-5d0c-4c55-9f58-3f3f2f1c9a10"} | more
    return httpx.post(hall.address + path, json=body, headers=headers, timeout=30)


def asked(hall: TownHall, inputs: Any, key: str | None = "tanaka") -> str:
    reply = posted(hall, "/gennai", inputs, key)
    assert reply.status_code == 200, reply.text
    assert set(reply.json()) == {"outputs"}
    outputs: str = reply.json()["outputs"]
    return outputs


def status(hall: TownHall, url: str, key: str | None = "tanaka") -> httpx.Response:
    headers = {} if key is None else {"x-api-key": hall.keys.get(key, key)}
    return httpx.get(hall.address + url, headers=headers, timeout=30)


def fetched(hall: TownHall, url: str, key: str | None = "tanaka") -> dict[str, Any]:
    """The state of an answer when it is over."""
    end = time.monotonic() + 30
    while True:
        reply = status(hall, url, key)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        if found["status"] in {"COMPLETED", "ERROR"}:
            return found
        assert found["status"] in {"PENDING", "IN_PROGRESS"}
        assert found["progress"]
        assert "outputs" not in found
        assert time.monotonic() < end
        time.sleep(0.02)


# ---------------------------------------------------------------- at once


def test_an_answer_in_markdown_with_links(hall: TownHall) -> None:
    outputs = asked(hall, {"question": PHONE})
    assert "0000-11-2222、メール：window@city.example.jp） [1]" in outputs
    links = re.findall(r"\[原文を開く\]\((.*?)\)", outputs)
    assert links
    for link in links:
        assert link.startswith(f"{hall.address}/documents/")
        assert httpx.get(link).status_code == 200
    page = re.search(r"\[同じ質問をDX資料アシスタントの画面で開く\]\((.*?)\)", outputs)
    assert page
    assert "0000-11-2222" in httpx.get(page[1]).text
    assert asked(hall, {"質問": PHONE}) == outputs


def test_a_refusal_is_an_answer_too(hall: TownHall) -> None:
    assert "索引にある資料の中に見当たりませんでした" in asked(hall, {"question": "大空市の電話番号は？"})


def test_conditions_as_its_form_sends_them(hall: TownHall) -> None:
    question = "窓口の取組を教えて"
    assert "若草市" in asked(hall, {"question": question})
    # several choices are one text with commas, a number that was typed is a number, an empty field is empty
    few = asked(
        hall,
        {"question": question, "organization_kinds": "村,町", "population_max": 5000, "prefectures": "", "regions": None},
    )  # fmt: skip
    assert "小石原村" in few
    assert "若草市" not in few
    page = re.search(r"画面で開く\]\((.*?)\)", few)
    assert page
    query = httpx.URL(page[1]).params
    assert query.get_list("organization_kinds") == ["村", "町"]
    assert query.get_list("population_max") == ["5000"]
    assert asked(hall, {"質問": question, "団体の種類": "村、町", "人口（以下）": "5千"}) == few
    none = asked(hall, {"question": question, "prefectures": "うみのはて県"})
    assert "条件（うみのはて県）に当てはまる" in none
    # a question that looks like a number or a truth value came as one
    for typed in (2025, True, 1.5):
        assert posted(hall, "/gennai", {"question": typed}).status_code == 200


def test_what_its_form_sends_beside_the_question(hall: TownHall) -> None:
    alone = asked(hall, {"question": PHONE})
    files = [{"key": "file", "files": [{"filename": "a.txt", "content": base64.b64encode(b"x").decode()}]}]
    with_files = asked(hall, {"question": PHONE, "files": files, "step": 35, "fruits": "apple,banana"})
    assert with_files == alone.replace(
        "\n\n[同じ質問",
        "\n\n注：添付ファイルは読んでいません。登録された資料だけから答えています。\n\n[同じ質問",
    )
    assert asked(hall, {"question": PHONE, "files": []}) == alone


def test_a_conversation_that_goes_on(hall: TownHall) -> None:
    def before(*inputs: Any) -> list[dict[str, Any]]:
        return [
            {"input": json.dumps(one, ensure_ascii=False), "output": "…", "createdDate": "1"}
            for one in inputs
        ]

    first = {"question": "若草市の窓口の取組を教えて"}
    question = "担当部署の電話番号は？"
    after = asked(hall, {"question": question, "conversation_histories": before(first)})
    assert "0000-11-2222" in after
    assert after != asked(hall, {"question": question})
    # what is no question of ours is passed over, however it looks
    odd = [
        *before({"question": "あ" * 501}, {"other": 1}, [1]),
        {"input": "{"},
        {"input": "[" * 90_000},
        {},
        "x",
        None,
    ]
    assert asked(hall, {"question": question, "conversation_histories": [*odd, *before(first)]}) == after
    assert asked(hall, {"question": question, "conversation_histories": "x"}) == asked(
        hall, {"question": question}
    )


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"question": "あ" * 501}, "500文字以内"),
        ({"question": ""}, "1文字以上"),
        ({}, "必要な項目がありません"),
        ({"question": "窓口\x01"}, "使えない文字"),
        ({"question": PHONE, "population_max": "たくさん"}, "人口は"),
        ({"question": PHONE, "answer": "poem"}, "次のいずれか"),
        ({"question": PHONE, "answer": "generated"}, "言語モデルが設定されていない"),
        ([], "オブジェクト"),
        ("x", "オブジェクト"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered(hall: TownHall, inputs: Any, words: str) -> None:
    for path in ("/gennai", "/gennai/requests"):
        refused = posted(hall, path, inputs)
        assert refused.status_code == 422
        said = refused.json()
        assert (set(said), said["status"]) == ({"outputs", "status", "error"}, "ERROR")
        assert words in said["outputs"]
        assert (said["error"]["message"], words in said["error"]["details"]) == (said["outputs"], True)


# ---------------------------------------------------------------- who asks


def test_keys(hall: TownHall, tmp_path: Path) -> None:
    for wrong in ("dxqa_x", "sk-abc"):
        refused = posted(hall, "/gennai", {"question": PHONE}, wrong)
        assert (refused.status_code, refused.json()["status"]) == (401, "ERROR")
        assert "使えません" in refused.json()["outputs"]
    for none in (None, "none", ""):
        assert "0000-11-2222" in asked(hall, {"question": PHONE}, none)
    with town_hall(tmp_path, entry=Entry(closed=True)) as closed:
        for none in (None, "none"):
            for path in ("/gennai", "/gennai/requests"):
                refused = posted(closed, path, {"question": PHONE}, none)
                assert (refused.status_code, refused.json()["outputs"]) == (401, "ログインが必要です。")
            assert status(closed, "/gennai/status/x", none).status_code == 401
        assert "0000-11-2222" in asked(closed, {"question": PHONE}, "suzuki")
        bearer = httpx.post(
            f"{closed.address}/gennai",
            json={"inputs": {"question": PHONE}},
            headers={"Authorization": f"Bearer {closed.keys['suzuki']}"},
        )
        assert bearer.status_code == 200


def test_who_may_see_a_document_hears_of_it_and_nobody_else(hall: TownHall) -> None:
    question = "紅葉谷町の評価面談はいつですか"
    assert "十二月三日" in asked(hall, {"question": question}, "tanaka")
    for key in ("suzuki", None):
        outputs = asked(hall, {"question": question}, key)
        assert not [mark for mark in MARKS if mark in outputs]


def test_who_asks_without_end_is_asked_to_wait(tmp_path: Path) -> None:
    with town_hall(tmp_path, entry=Entry(questions_a_minute=2)) as hall:
        assert posted(hall, "/gennai", {"question": PHONE}).status_code == 200
        later = posted(hall, "/gennai/requests", {"question": PHONE})
        assert later.status_code == 202
        for path in ("/gennai", "/gennai/requests"):
            refused = posted(hall, path, {"question": PHONE})
            assert (refused.status_code, refused.json()["status"]) == (429, "ERROR")
            assert int(refused.headers["retry-after"]) >= 1
        fetched(hall, later.json()["status_url"])  # to look is not to ask


def test_errors_of_every_kind_have_one_shape(hall: TownHall) -> None:
    replies = {
        404: httpx.get(f"{hall.address}/gennai/nothing"),
        405: httpx.get(f"{hall.address}/gennai"),
        413: httpx.post(f"{hall.address}/gennai", content=b" " * (2 * 1024 * 1024 + 1)),
        421: httpx.get(f"{hall.address}/gennai/status/x", headers={"Host": "evil.example"}),
        422: httpx.post(f"{hall.address}/gennai", content=b"{", headers={"Content-Type": "application/json"}),
    }
    for code, reply in replies.items():
        assert reply.status_code == code
        assert set(reply.json()) == {"outputs", "status", "error"}
        assert re.search("[ぁ-ん]", reply.json()["outputs"])


# ---------------------------------------------------------------- fetched later


def test_an_answer_that_is_fetched_later_with_its_files(hall: TownHall) -> None:
    for path in ("/gennai/requests", "/gennai/requests/"):  # the platform's guide ends it with a slash
        accepted = posted(hall, path, {"question": PHONE, "max_length": 512})
        assert accepted.status_code == 202
        said = accepted.json()
        assert set(said) == {"outputs", "request_id", "status", "status_url"}
        assert said["status"] == "PENDING"
        assert str(UUID(said["request_id"])) == said["request_id"]
        # the platform takes it as a path of the same server
        assert said["status_url"] == f"/gennai/status/{said['request_id']}"
        done = fetched(hall, said["status_url"])
        assert set(done) == {
            "request_id", "status", "progress", "created_at", "updated_at", "outputs", "artifacts",
        }  # fmt: skip
        assert (done["request_id"], done["status"]) == (said["request_id"], "COMPLETED")
        for when in ("created_at", "updated_at"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", done[when])
        assert done["created_at"] <= done["updated_at"]
        assert done["outputs"] == asked(hall, {"question": PHONE})
    word, book = done["artifacts"]
    assert re.fullmatch(r"回答_若草市の担当部署の電話番号は？_\d{4}-\d\d-\d\d\.docx", word["display_name"])
    assert book["display_name"] == word["display_name"].replace(".docx", ".xlsx")
    assert book["mime_type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    document = docx.Document(io.BytesIO(base64.b64decode(word["contents"], validate=True)))
    words = "\n".join(paragraph.text for paragraph in document.paragraphs)
    assert "若草市市民部窓口課（電話：0000-11-2222、メール：window@city.example.jp）" in words
    opened = openpyxl.load_workbook(io.BytesIO(base64.b64decode(book["contents"], validate=True)))
    cells = [str(cell.value) for sheet in opened for row in sheet.iter_rows() for cell in row if cell.value]
    assert any("0000-11-2222" in cell for cell in cells)
    opened.close()


def test_somebody_elses_answer_is_not_there(hall: TownHall) -> None:
    url = posted(hall, "/gennai/requests", {"question": PHONE}, "tanaka").json()["status_url"]
    fetched(hall, url, "tanaka")
    for other in ("suzuki", None):
        refused = status(hall, url, other)
        assert (refused.status_code, refused.json()["outputs"]) == (404, web.gennai_door.NO_JOB)
    open_one = posted(hall, "/gennai/requests", {"question": PHONE}, None).json()["status_url"]
    fetched(hall, open_one, None)
    assert status(hall, open_one, "tanaka").status_code == 404
    assert status(hall, "/gennai/status/x").status_code == 404


def told_within_s(hall: TownHall, url: str, code: int, seconds: float = 10) -> None:
    """The labels are looked at every so often, not with each request."""
    end = time.monotonic() + seconds
    while status(hall, url, "suzuki").status_code != code:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_was_closed_meanwhile_is_not_given_out(hall: TownHall) -> None:
    url = posted(hall, "/gennai/requests", {"question": PHONE}, "suzuki").json()["status_url"]
    assert fetched(hall, url, "suzuki")["status"] == "COMPLETED"
    hall.labels.set("事例集.txt", ["人事課"])
    try:
        told_within_s(hall, url, 404)
    finally:
        hall.labels.remove("事例集.txt")
    told_within_s(hall, url, 200)


def test_an_account_that_is_locked_fetches_nothing(tmp_path: Path) -> None:
    with town_hall(tmp_path) as hall:
        url = posted(hall, "/gennai/requests", {"question": PHONE}).json()["status_url"]
        fetched(hall, url)
        accounts: Accounts = hall.app.state.gate.accounts
        accounts.set_disabled("tanaka", True)
        assert status(hall, url).status_code == 401


def test_a_written_answer_both_ways(tmp_path: Path) -> None:
    with ScriptedModel(drafted) as model, town_hall(tmp_path, writing=writing_by(model.url)) as hall:
        inputs = {"question": PHONE, "answer": "generated"}
        outputs = asked(hall, inputs)
        assert outputs.startswith("若草市の担当は市民部窓口課で、電話番号は0000-11-2222です。[")
        assert "777人" not in outputs
        assert "注：原文で確かめられなかった文を1つ除きました。" in outputs
        done = fetched(hall, posted(hall, "/gennai/requests", inputs).json()["status_url"])
        assert done["outputs"] == outputs
        word = docx.Document(io.BytesIO(base64.b64decode(done["artifacts"][0]["contents"])))
        assert any("言語モデルが出典をもとに書いたものです" in one.text for one in word.paragraphs)


def test_a_failure_is_told_and_the_next_answer_is_made(
    hall: TownHall, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("秘密の質問")

    with monkeypatch.context() as patched:
        patched.setattr(web.gennai_door, "file_of", broken)
        done = fetched(hall, posted(hall, "/gennai/requests", {"question": PHONE}).json()["status_url"])
    assert done["status"] == "ERROR"
    assert set(done["error"]) == {"message", "details"}
    assert "秘密" not in json.dumps(done, ensure_ascii=False)
    assert "artifacts" not in done
    after = fetched(hall, posted(hall, "/gennai/requests", {"question": PHONE}).json()["status_url"])
    assert after["status"] == "COMPLETED"


# ---------------------------------------------------------------- what is kept


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(tell: Tell) -> Made:
    tell("…")
    return Made("答え")


def over(jobs: Jobs, id: str, owner: str) -> None:
    end = time.monotonic() + 10
    while (job := jobs.get(id, owner)) is not None and not job.is_over:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_answers_are_kept_for_their_time() -> None:
    clock = Clock()
    jobs = Jobs(kept_s=60, clock=clock)
    job = jobs.start("a", frozenset(), made)
    over(jobs, job.id, "a")
    clock.now += 60
    kept = jobs.get(job.id, "a")
    assert kept is not None
    assert (kept.state, kept.made) == ("COMPLETED", Made("答え"))
    assert jobs.get(job.id, "b") is None
    clock.now += 0.5
    assert jobs.get(job.id, "a") is None
    other = jobs.start("a", frozenset(), made)
    over(jobs, other.id, "a")
    clock.now -= 10  # set back: nothing is kept for ever
    assert jobs.get(other.id, "a") is None


def test_whoever_has_most_loses_the_oldest() -> None:
    clock = Clock()
    jobs = Jobs(most=4, clock=clock)
    ids = []
    for owner in ("a", "b", "b", "b", "a"):
        clock.now += 1
        ids.append((jobs.start(owner, frozenset(), made).id, owner))
        over(jobs, *ids[-1])
    assert [jobs.get(*one) is not None for one in ids] == [True, False, True, True, True]


def test_what_waits_is_bounded_and_is_not_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.gennai_jobs, "MOST_WAITING", 4)
    monkeypatch.setattr(web.gennai_jobs, "MOST_OF_ONE", 3)
    jobs, held = Jobs(most=2), threading.Event()

    def waits(tell: Tell) -> Made:
        held.wait(20)
        return Made("答え")

    begun = [jobs.start("a", frozenset(), waits) for _ in range(3)]
    with pytest.raises(TooManyError):
        jobs.start("a", frozenset(), waits)
    begun.append(jobs.start("b", frozenset(), waits))  # for whom a place was left
    with pytest.raises(TooManyError):
        jobs.start("c", frozenset(), waits)
    held.set()
    for one in begun:
        over(jobs, one.id, one.owner)
    jobs.start("a", frozenset(), made)


def test_what_an_answer_was_made_from_is_let_go_when_it_is_made() -> None:
    """It is a version of the index, whose files would stay open until the next question comes."""

    class Version:
        pass

    jobs, version = Jobs(), Version()
    gone = weakref.ref(version)

    def answered(from_what: Version) -> Work:
        def work(_: Tell) -> Made:
            return Made(type(from_what).__name__)

        return work

    job = jobs.start("a", frozenset(), answered(version))
    del version
    over(jobs, job.id, "a")
    end = time.monotonic() + 10
    while gone() is not None:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_too_many_is_said_in_the_platforms_form(hall: TownHall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.gennai_jobs, "MOST_WAITING", 0)
    refused = posted(hall, "/gennai/requests", {"question": PHONE})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert "いまは受け付けられません" in refused.json()["outputs"]


def test_the_form_in_the_readme_is_one_that_the_platform_takes() -> None:
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```json\n(\{\n  \"question\".*?)```", readme, re.DOTALL)
    assert block
    form = json.loads(block[1])
    assert set(form) - {"conversation_history"} <= set(Inputs.model_fields)
    for one in form.values():
        assert one["type"] in {"text", "number", "textarea", "select", "checkbox", "radio"}
        assert one["title"]
        assert all(set(item) == {"title", "value"} for item in one.get("items", []))
    assert form["question"]["max_length"] == MAX_QUESTION_CHARS


def test_it_is_described(hall: TownHall) -> None:
    described = httpx.get(f"{hall.address}/openapi.json").json()
    assert {"/gennai", "/gennai/requests", "/gennai/status/{request_id}"} <= set(described["paths"])
    assert "/gennai/requests/" not in described["paths"]
    call = described["paths"]["/gennai/requests"]["post"]
    assert "202" in call["responses"]
    for code in ("401", "422", "429", "503"):
        schema = call["responses"][code]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/GennaiError"}
    assert "inputs" in described["components"]["schemas"]["GennaiRequest"]["examples"][0]
