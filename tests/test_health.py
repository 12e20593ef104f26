"""Is it alive, and can it answer: with parts that are away, broken, hanging, or being replaced."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from made import FakeEncoder
from served import serving
from test_server import Service

from index.build import build
from index.current import CurrentIndex
from index.encoder import SentenceEncoder
from index.passages import model_record
from server import create_app
from web import health
from web.admission import Admission
from web.health import Health

PARTS = {"index", "encoder", "store", "questions"}
QUICK_S = 0.05


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are checked at every look."""
    for name in ("INDEX_EVERY_S", "STORE_EVERY_S", "ENCODER_EVERY_S"):
        monkeypatch.setattr(health, name, 0.0)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "窓口.md").write_text(
        "# 窓口\n\n受付は平日の午前九時から午後五時までです。\n", encoding="utf-8"
    )
    return folder


def application(documents: Path, root: Path, encoder: Any, **more: Any) -> FastAPI:
    current = CurrentIndex(root, model_record(encoder), **more)
    return create_app(
        current=current,
        encoder=encoder,
        rebuild=lambda progress: build(documents, root, encoder, progress=progress),
    )


def wait_for(check: Callable[[], Any]) -> Any:
    end = time.monotonic() + 20
    while not (found := check()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def ready(client: Any, status: int, **parts: str) -> dict[str, Any]:
    """What is said once the status and the parts are as they are expected; parts are checked beside the looks."""
    end = time.monotonic() + 20
    while True:
        reply = client.get("/readyz")
        said: dict[str, Any] = reply.json()
        states = {name: said["checks"][name]["status"] for name in parts}
        if (reply.status_code, states) == (status, parts):
            return said
        assert time.monotonic() < end, said
        time.sleep(0.01)


def test_all_is_well(tmp_path: Path) -> None:
    service = Service(tmp_path)
    reply = service.client.get("/readyz")
    version = service.client.get("/api/index").json()["version"]
    assert (reply.status_code, reply.json()) == (
        200,
        {
            "status": "ready",
            "index_version": version,
            "detail": None,
            "checks": {name: {"status": "ok", "message": None} for name in PARTS},
        },
    )
    assert service.client.get("/healthz").json() == {"status": "ok"}


def test_without_an_index_it_is_alive_and_not_ready_until_there_is_one(tmp_path: Path) -> None:
    service = Service(tmp_path, built=False)
    said = ready(service.client, 503, index="failed", store="failed", encoder="ok", questions="ok")
    assert (said["status"], said["index_version"]) == ("not_ready", None)
    assert "索引がまだありません" in said["detail"]
    assert service.client.get("/readyz").headers["retry-after"] == "10"
    assert service.client.get("/healthz").status_code == 200
    version = build(service.documents, service.root, service.encoder).version
    assert ready(service.client, 200, index="ok", store="ok")["index_version"] == version


def test_an_index_whose_folder_is_gone_goes_on_answering_and_says_so(tmp_path: Path) -> None:
    service = Service(tmp_path)
    version = ready(service.client, 200)["index_version"]
    shutil.rmtree(service.root)
    said = ready(service.client, 200, index="warning")
    assert (said["status"], said["index_version"]) == ("ready", version)
    assert "build_index.py" in said["checks"]["index"]["message"]
    assert service.ask("若草市の担当部署の電話番号は？")["answerable"]  # it does
    build(service.documents, service.root, service.encoder)
    ready(service.client, 200, index="ok")


def test_a_damaged_index_is_not_ready_and_a_damaged_new_version_is_a_warning(tmp_path: Path) -> None:
    service = Service(tmp_path)
    first = ready(service.client, 200)["index_version"]
    second = build(service.documents, service.root, service.encoder, full=True).version
    for segment in (service.root / "segments").glob(f"{second}*"):
        (segment / "keys.npy").write_bytes(b"damaged")
    said = ready(service.client, 200, index="warning")
    assert said["index_version"] == first
    assert "keys.npy" in said["checks"]["index"]["message"]
    started = Service.__new__(Service)  # a server that starts with it
    started.app = create_app(
        current=CurrentIndex(service.root, model_record(service.encoder)),
        encoder=service.encoder,
        rebuild=lambda progress: pytest.fail("no build is asked for"),
    )
    said = ready(started.from_address("127.0.0.1"), 503, index="failed")
    assert said["index_version"] is None
    assert "keys.npy" in said["detail"]


def test_a_passage_that_cannot_be_read_is_found(tmp_path: Path) -> None:
    """The files of the version in use are overwritten while the server runs."""
    service = Service(tmp_path)
    ready(service.client, 200)
    for path in (service.root / "segments").rglob("chunks.jsonl"):
        size = path.stat().st_size
        with path.open("r+b") as file:  # in place: it is mapped
            file.write(b"\xff" * size)
    for _ in range(3):  # and it stays so
        said = ready(service.client, 503, store="failed", index="ok")
    assert "記録（ログ）" in said["detail"]


# ---------------------------------------------------------------- the model


@pytest.fixture
def tiny(tiny_folder: Path, tmp_path: Path) -> tuple[SentenceEncoder, Path]:
    """A real model with random weights, in a folder of its own."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    return SentenceEncoder.load(str(folder), models_dir=tmp_path, precision="fp32"), folder


def test_a_model_whose_folder_is_gone_still_encodes_and_one_that_gives_no_numbers_does_not(
    tiny: tuple[SentenceEncoder, Path], documents: Path, tmp_path: Path
) -> None:
    import torch

    encoder, folder = tiny
    build(documents, tmp_path / "index", encoder)
    with (
        serving(application(documents, tmp_path / "index", encoder)) as address,
        httpx2.Client(base_url=address, timeout=20) as client,
    ):
        ready(client, 200)
        shutil.rmtree(folder)  # it is in memory
        ready(client, 200, encoder="ok")
        assert client.post("/api/ask", json={"question": "窓口は何時から"}).status_code == 200
        weights = next(encoder.backend.model.parameters())  # type: ignore[attr-defined]
        kept = weights.detach().clone()
        with torch.no_grad():
            weights.fill_(float("nan"))
        said = ready(client, 503, encoder="failed", index="ok")
        assert "埋め込みモデルが計算できません（ValueError）" in said["detail"]
        assert client.get("/healthz").status_code == 200
        assert client.post("/api/ask", json={"question": "予算は"}).status_code == 500
        with torch.no_grad():
            weights.copy_(kept)
        ready(client, 200, encoder="ok")


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (np.zeros((2, 64), np.float32), "ベクトルの長さ"),
        (np.tile(np.eye(1, 64, dtype=np.float32), (2, 1)), "違う文に同じ結果"),
        (np.eye(2, 32, dtype=np.float32), "正しくありません"),
    ],
)
def test_vectors_that_cannot_be_right_are_found(
    vectors: np.ndarray, words: str, documents: Path, tmp_path: Path
) -> None:
    encoder = FakeEncoder()
    build(documents, tmp_path / "index", encoder)
    encoder.encode_queries = lambda texts: vectors  # type: ignore[method-assign]
    looked = Health(CurrentIndex(tmp_path / "index", model_record(encoder)), encoder, Admission())
    found = asyncio.run(looked.look())
    assert found.problem is not None
    assert words in found.problem


def test_a_model_that_worked_is_asked_again_only_after_a_while_or_a_failure(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ENCODER_EVERY_S", 60.0)
    encoder = FakeEncoder()
    build(documents, tmp_path / "index", encoder)
    asked: list[int] = []
    working = encoder.encode_queries
    encoder.encode_queries = lambda texts: asked.append(len(texts)) or working(texts)  # type: ignore[method-assign,func-returns-value]
    looked = Health(CurrentIndex(tmp_path / "index", model_record(encoder)), encoder, Admission())
    for _ in range(5):
        assert asyncio.run(looked.look()).problem is None
    assert asked == [2]
    looked.doubt()
    for _ in range(5):
        asyncio.run(looked.look())
    assert asked == [2, 2]


def test_a_failed_answer_has_the_model_checked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ENCODER_EVERY_S", 60.0)
    service = Service(tmp_path)
    ready(service.client, 200)

    def fails(*_: Any) -> Any:
        raise RuntimeError("the model is gone")

    service.encoder.encode_queries = service.encoder.encode_question = fails  # type: ignore[method-assign]
    time.sleep(0.05)
    ready(service.client, 200, encoder="ok")  # not asked again yet
    assert service.client.post("/api/ask", json={"question": "窓口の費用"}).status_code == 500
    ready(service.client, 503, encoder="failed")


# ---------------------------------------------------------------- quick, whatever happens


def probes(address: str, count: int) -> list[tuple[float, int, float]]:
    """Seconds of `/healthz`, status and seconds of `/readyz`, again and again, each over a connection of its own."""
    found = []
    for _ in range(count):
        started = time.perf_counter()
        assert _status(f"{address}/healthz") == 200
        between = time.perf_counter()
        status = _status(f"{address}/readyz")
        found.append((between - started, status, time.perf_counter() - between))
        time.sleep(0.01)
    return found


def quick(found: list[tuple[float, int, float]], status: int) -> bool:
    """Whether replies came in time: the usual one, and nearly all where the machine does other things too."""
    alive, looked = (sorted(one[place] for one in found) for place in (0, 2))
    assert {one[1] for one in found} == {status}
    return max(alive[len(alive) // 2], looked[len(looked) // 2]) < QUICK_S and looked[-2] < 5 * QUICK_S


def test_a_part_that_hangs_is_not_waited_for(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "STUCK_S", 1.0)
    encoder, go_on = FakeEncoder(), threading.Event()
    build(documents, tmp_path / "index", encoder)
    with serving(application(documents, tmp_path / "index", encoder)) as address:
        wait_for(lambda: _status(f"{address}/readyz") == 200)
        working = encoder.encode_queries
        encoder.encode_queries = lambda texts: go_on.wait(20) and working(texts)  # type: ignore[method-assign,return-value]
        threads = threading.active_count()
        found = probes(address, 6)
        assert quick(found, 200)  # what was known
        time.sleep(1.0)
        found = probes(address, 8)
        assert quick(found, 503)
        assert threading.active_count() <= threads + 3  # one that hangs, not one a look
        go_on.set()
        wait_for(lambda: _status(f"{address}/readyz") == 200)


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture
def swapping(
    documents: Path, tmp_path: Path
) -> Iterator[tuple[str, Path, str, threading.Event, FakeEncoder]]:
    """A server whose next versions wait for an event before they are taken up."""
    encoder, go_on = FakeEncoder(), threading.Event()
    first = build(documents, tmp_path / "index", encoder).version
    prepared: list[str] = []

    def prepare(index: Any) -> None:
        prepared.append(index.version)
        if index.version != first:
            assert go_on.wait(30)

    with serving(application(documents, tmp_path / "index", encoder, prepare=prepare)) as address:
        wait_for(lambda: _status(f"{address}/readyz") == 200)
        try:
            yield address, tmp_path / "index", first, go_on, encoder
        finally:
            go_on.set()


def test_during_a_swap_the_version_before_is_ready(
    swapping: tuple[str, Path, str, threading.Event, FakeEncoder], documents: Path
) -> None:
    address, root, first, go_on, encoder = swapping
    second = build(documents, root, encoder, full=True).version
    found = probes(address, 10)
    assert quick(found, 200)
    said = httpx2.get(f"{address}/readyz").json()
    assert (said["index_version"], said["checks"]["index"]["status"]) == (first, "ok")
    go_on.set()
    wait_for(lambda: httpx2.get(f"{address}/readyz").json()["index_version"] == second)


def test_while_a_build_holds_its_lock_and_people_ask(documents: Path, tmp_path: Path) -> None:
    encoder, inside, go_on = FakeEncoder(), threading.Event(), threading.Event()
    build(documents, tmp_path / "index", encoder)
    (documents / "予算.md").write_text("# 予算\n\n予算は前の年度より一割ほど増えました。\n", encoding="utf-8")
    app = application(documents, tmp_path / "index", encoder)
    working = encoder.encode_with_tokens

    def waits(*arguments: Any, **options: Any) -> Any:
        inside.set()
        assert go_on.wait(30)
        return working(*arguments, **options)

    encoder.encode_with_tokens = waits  # type: ignore[method-assign]
    done = threading.Event()

    def ask(client: int) -> int:
        with httpx2.Client(base_url=address, timeout=20) as visitor:
            count = 0
            while not done.is_set():
                count += 1
                reply = visitor.post("/api/ask", json={"question": f"窓口{client}の{count}は何時から"})
                assert reply.status_code == 200
        return count

    with serving(app) as address, ThreadPoolExecutor(4) as pool:
        wait_for(lambda: _status(f"{address}/readyz") == 200)
        try:
            httpx2.post(f"{address}/api/index/rebuild")
            assert inside.wait(20)  # the lock is held
            asking = [pool.submit(ask, client) for client in range(4)]
            found = probes(address, 25)
        finally:
            done.set()
            go_on.set()
        assert quick(found, 200)
        assert all(client.result() > 0 for client in asking)


def test_too_many_questions_are_a_warning_and_no_reason_to_take_it_away() -> None:
    admission = Admission()
    admission.waiting = 1000
    looked = Health(CurrentIndex(Path("/nonexistent"), model_record(FakeEncoder())), FakeEncoder(), admission)
    found = asyncio.run(looked.look())
    assert found.checks["questions"].status == "warning"
    assert "混み合って" in (found.checks["questions"].message or "")
    assert found.checks["encoder"].status == "ok"
