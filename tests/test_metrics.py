"""The numbers: counted by hand, read by Prometheus' own parser, and for the administrator alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made import FakeEncoder
from prometheus_client.parser import text_string_to_metric_families
from served import serving
from test_server import Service

import server
from index.build import build
from index.current import CurrentIndex
from index.passages import model_record
from qa.stopwatch import STAGES, Stopwatch
from qa.usage import Usage
from web.admission import Admission
from web.metrics import Metrics

HOME = Path(__file__).resolve().parents[1]
ALERTS = HOME / "deploy" / "alerts.yml"
TOKEN = "a-token-of-the-tests"
PROMTOOL = shutil.which("promtool")


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


def numbers(service: Service) -> Numbers:
    """Every number by its name and labels."""
    reply = service.client.get("/metrics")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def value(found: Numbers, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_questions_are_counted_by_way_and_outcome(service: Service) -> None:
    before = numbers(service)
    assert value(before, "dxqa_questions_total", way="api", outcome="answered") == 0
    service.ask("若草市の担当部署の電話番号は？")
    service.ask("若草市の担当部署の電話番号は？")
    assert service.ask("札幌市の担当部署の電話番号は？")["reason"] == "unknown_organization"
    for path in ("/", "/export/answer.md", "/export/answer.docx"):
        reply = service.client.get(path, params={"q": "若草市の担当部署の電話番号は？"})
        assert reply.status_code == 200, path
    after = numbers(service)
    counted = {
        (dict(labels)["way"], dict(labels)["outcome"]): number
        for (name, labels), number in after.items()
        if name == "dxqa_questions_total" and number
    }
    assert counted == {
        ("api", "answered"): 2,
        ("api", "unknown_organization"): 1,
        ("page", "answered"): 1,
        ("export", "answered"): 2,
    }
    requests = ("dxqa_request_seconds_count", frozenset({("method", "POST"), ("route", "/api/ask"), ("status", "200")}))  # fmt: skip
    assert after[requests] == 3
    assert requests not in before


def test_the_stages_of_an_answer_add_up(service: Service) -> None:
    took = [
        service.ask(q)["took_ms"] / 1000
        for q in ("若草市の担当部署の電話番号は？", "窓口の費用", "札幌市の人口は？")
    ]
    found = numbers(service)
    whole = value(found, "dxqa_answer_stage_seconds_sum", stage="whole")
    parts = {stage: value(found, "dxqa_answer_stage_seconds_sum", stage=stage) for stage in STAGES}
    assert {value(found, "dxqa_answer_stage_seconds_count", stage=s) for s in (*STAGES, "whole")} == {3}
    assert sum(parts.values()) == pytest.approx(whole)
    assert sum(took) == pytest.approx(whole, rel=0.1, abs=0.002)
    assert all(part > 0 for part in parts.values())
    assert parts["search"] > parts["encode"] * 0.01


def test_a_stopwatch_gives_every_moment_to_a_stage() -> None:
    started = time.perf_counter()
    watch = Stopwatch()
    time.sleep(0.02)
    watch.lap("search")
    watch.lap("select")
    time.sleep(0.01)
    watch.lap("search")
    taken = time.perf_counter() - started
    assert watch.seconds["search"] >= 0.03
    assert watch.seconds["select"] < 0.01
    assert sum(watch.seconds.values()) == pytest.approx(taken, abs=0.002)


def test_two_applications_count_apart(tmp_path: Path) -> None:
    one, two = Service(tmp_path / "1"), Service(tmp_path / "2")
    one.ask("窓口の費用")
    counted = [
        sum(n for (name, _), n in numbers(service).items() if name == "dxqa_questions_total")
        for service in (one, two)
    ]
    assert counted == [1, 0]


def test_what_people_send_makes_the_list_no_longer(service: Service) -> None:
    for path in ("/x", "/cases/x", "/static/x", "/documents/x"):
        service.client.get(path)
    service.client.request("BREW", "/x")
    before = set(numbers(service))
    for number in range(20):
        for path in (
            f"/x{number}",
            f"/cases/{number}",
            f"/static/{number}",
            f"/documents/{number}",
            f"/cases/{number}%0a",
        ):
            service.client.get(path, params={"q": f"窓口{number}"}, headers={"User-Agent": f"{number}"})
        service.client.request(f"BREW{number}", f"/x{number}")
    after = set(numbers(service))
    assert {
        name for name in after - before if "route" in dict(name[1]) and dict(name[1])["route"] != "/metrics"
    } == set()
    assert len(after) < 2000


def test_the_index_is_described(service: Service) -> None:
    service.client.get("/readyz")
    found = numbers(service)
    shown = service.client.get("/api/index").json()
    for name in ("documents", "cases", "chunks"):
        assert value(found, f"dxqa_{name}") == shown[name] > 0
    assert 0 < value(found, "dxqa_index_age_seconds") < 60
    assert value(found, "dxqa_index_info", version=shown["version"], model="fake") == 1
    assert value(found, "dxqa_build_info", version="0.1.0") == 1
    assert value(found, "dxqa_ready") == 1
    assert {part: value(found, "dxqa_check", part=part) for part in ("index", "encoder", "store", "questions")} == dict.fromkeys(("index", "encoder", "store", "questions"), 1.0)  # fmt: skip
    resident = value(found, "process_resident_memory_bytes")
    assert resident > 20e6
    assert value(found, "process_open_fds") == pytest.approx(len(os.listdir("/proc/self/fd")), abs=3)  # noqa: PTH208
    assert value(found, "process_cpu_seconds_total") > 0


def wait_for(check: Callable[[], Any]) -> Any:
    end = time.monotonic() + 20
    while not (found := check()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def test_rebuilds_and_uploads_are_counted(service: Service) -> None:
    files = {"files": ("新しい資料.md", "# 予算\n\n予算は前の年度より一割ほど増えました。\n".encode())}
    service.client.post("/api/uploads", files=files)
    service.client.post("/api/index/rebuild")
    wait_for(lambda: value(numbers(service), "dxqa_jobs_ended_total", outcome="succeeded") == 1)
    for path in service.documents.iterdir():
        if path.is_file():
            path.unlink()  # nothing to index: refused
    service.client.post("/api/index/rebuild")
    wait_for(lambda: value(numbers(service), "dxqa_jobs_ended_total", outcome="failed") == 1)
    found = numbers(service)
    assert value(found, "dxqa_uploads_waiting") == 1
    assert (value(found, "dxqa_jobs", status="queued"), value(found, "dxqa_jobs", status="running")) == (0, 0)
    for outcome in ("succeeded", "failed"):
        assert 0 < value(found, "dxqa_job_last_seconds", outcome=outcome) < 20
        ended = value(found, "dxqa_job_last_end_timestamp_seconds", outcome=outcome)
        assert time.time() - 30 < ended <= time.time()


def test_failures_and_wrong_tries_are_counted(tmp_path: Path) -> None:
    service = Service(tmp_path, token=TOKEN)
    same = {"Origin": "http://127.0.0.1:8000"}
    service.client.get("/api/uploads", headers={"Authorization": "Bearer wrong"})
    service.client.post("/admin/login", data={"token": "wrong"}, headers=same)
    service.client.post("/admin/login", data={"token": TOKEN}, headers=same, follow_redirects=False)
    service.client.cookies.clear()
    service.client.get("/api/uploads")  # no try at all

    def fails(text: str) -> Any:
        raise ValueError(text)

    service.encoder.encode_question = fails  # type: ignore[method-assign]
    service.client.post("/api/ask", json={"question": "窓口の費用"})
    found = numbers(service)
    assert value(found, "dxqa_errors_total") == 1
    assert value(found, "dxqa_sign_ins_total", outcome="wrong") == 2
    assert value(found, "dxqa_sign_ins_total", outcome="right") == 1
    assert value(found, "dxqa_sign_ins_total", outcome="limited") == 0


def test_questions_that_are_turned_away_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # nobody is patient here
    monkeypatch.setattr(server, "Admission", lambda: Admission(patience_s=0.0))
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text(
        "# 窓口\n\n受付は平日の午前九時からです。\n", encoding="utf-8"
    )
    encoder = FakeEncoder()
    build(tmp_path / "documents", tmp_path / "index", encoder)
    app = server.create_app(
        current=CurrentIndex(tmp_path / "index", model_record(encoder)),
        encoder=encoder,
        rebuild=lambda progress: pytest.fail("no build is asked for"),
    )
    go_on, working = threading.Event(), encoder.encode_question

    def waits(text: str) -> Any:
        assert go_on.wait(20)
        return working(text)

    encoder.encode_question = waits  # type: ignore[method-assign]

    def ask(address: str) -> int:
        body = json.dumps({"question": "窓口は何時から"}).encode()
        request = urllib.request.Request(f"{address}/api/ask", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def read(address: str, name: str) -> float:
        with urllib.request.urlopen(f"{address}/metrics", timeout=20) as reply:
            text = reply.read().decode()
        families = text_string_to_metric_families(text)
        return next(s.value for family in families for s in family.samples if s.name == name)

    with serving(app) as address:
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda: statuses.append(ask(address))) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: read(address, "dxqa_questions_waiting") == 1)
        assert ask(address) == 503
        assert read(address, "dxqa_questions_refused_total") == 1
        go_on.set()
        for thread in threads:
            thread.join(20)
        assert statuses == [200] * 4
        assert read(address, "dxqa_questions_waiting") == 0


# ---------------------------------------------------------------- who may read them


@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize(
    ("address", "headers", "direct"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("127.0.0.1", {"Host": "localhost:8000"}, True),
        ("127.0.0.1", {"Host": "dx.example.jp"}, False),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, False),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, False),
        ("127.0.0.1", {"X-Real-IP": "127.0.0.1"}, False),
        ("127.0.0.1", {"X-Forwarded-For": ""}, False),
        ("127.0.0.1", {"Via": "1.1 proxy"}, False),
        ("10.0.0.5", {}, False),
        ("10.0.0.5", {"X-Forwarded-For": "127.0.0.1"}, False),
    ],
)
def test_the_numbers_are_for_this_computer_and_the_administrator(
    tmp_path_factory: pytest.TempPathFactory, token: str, address: str, headers: dict[str, str], direct: bool
) -> None:
    service = _shared(tmp_path_factory, token)
    client = service.from_address(address)
    reply = client.get("/metrics", headers=headers)
    assert reply.status_code == (200 if direct else 401 if token else 403)
    if not direct:
        assert "dxqa_" not in reply.text
        assert re.search("[ぁ-ん]", reply.json()["detail"])
    key = client.get("/metrics", headers={**headers, "Authorization": f"Bearer {TOKEN}"})
    assert key.status_code == (200 if direct or token else 403)
    wrong = client.get("/metrics", headers={**headers, "Authorization": "Bearer wrong"})
    # a wrong one is refused wherever it comes from, and counted
    assert wrong.status_code in ({401, 429} if token else {reply.status_code})


_SERVICES: dict[str, Service] = {}


def _shared(factory: pytest.TempPathFactory, token: str) -> Service:
    if token not in _SERVICES:
        _SERVICES[token] = Service(factory.mktemp("numbers"), token=token, hosts=("dx.example.jp",))
    return _SERVICES[token]


@pytest.fixture(autouse=True, scope="module")
def _forget() -> Iterator[None]:
    yield
    _SERVICES.clear()


# ---------------------------------------------------------------- judged by others' tools


def test_every_alert_is_about_a_number_that_there_is(service: Service) -> None:
    names = {name for name, _ in numbers(service)}
    named = set(re.findall(r"\b(?:dxqa|process)_\w+", ALERTS.read_text(encoding="utf-8")))
    assert len(named) >= 3
    assert named <= names | {"dxqa_job_last_end_timestamp_seconds"}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong(service: Service) -> None:
    service.ask("窓口の費用")
    text = service.client.get("/metrics").text
    for arguments, given in ((["check", "metrics"], text), (["check", "rules", str(ALERTS)], "")):
        done = subprocess.run(
            [PROMTOOL or "", *arguments], input=given, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, ""), arguments


def test_a_question_that_was_asked_is_recorded_and_one_taken_along_is_not(tmp_path: Path) -> None:
    usage = Usage(tmp_path / "usage.sqlite3", 30)
    service = Service(tmp_path / "service", usage=usage)
    service.ask("窓口の費用")
    service.client.get("/export/answer.docx", params={"q": "窓口の費用"})
    usage.flush(10)
    assert usage.file is not None
    with usage.file.reading() as connection:
        assert connection.execute("SELECT count(*) FROM questions").fetchone()[0] == 1
    usage.close()


def test_an_outcome_that_nobody_knows_yet_is_counted_as_another() -> None:
    metrics = Metrics("1")
    metrics.question("a new reason", "api")
    assert b'dxqa_questions_total{outcome="other",way="api"} 1.0' in metrics.text()
