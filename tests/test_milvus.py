"""An index on a real Milvus server: pages, publication, versions, and a server that is gone, slow or of another kind."""

from __future__ import annotations

import http.server
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import numpy as np
import pytest
from conftest import FakeEncoder
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from made import CASE_BOOK, FAQ
from milvus_server import MilvusServer

import build_index
import server
from index import milvus as milvus_module
from index import milvus_index, milvus_publish
from index.build import build
from index.engines import probe
from index.lexical import FIELDS
from index.milvus import Address, Milvus, StoreAddressError, quoted
from index.milvus_index import CurrentMilvus, MilvusStore
from index.milvus_pages import PAGE, PageDamagedError, Pages, StoredFile, pages_of
from index.milvus_publish import ForeignVersionError, publish_version
from index.milvus_rows import StoredPostings, StoredTokens
from index.passages import model_record
from index.segment import Segment
from index.store import Index, IndexMissingError, StoreUnavailableError
from index.versions import current_version
from options import HOME

RECOVERY_S = 90


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("text", "uri", "name", "user"),
    [
        ("milvus://192.0.2.10:19531/dxqa", "http://192.0.2.10:19531", "dxqa", ""),
        ("milvus://db.example.jp/town_2", "http://db.example.jp:19530", "town_2", ""),
        ("milvus+tls://reader@db.example.jp/dxqa", "https://db.example.jp:19530", "dxqa", "reader"),
        ("milvus://[::1]:19530/dxqa", "http://[::1]:19530", "dxqa", ""),
        ("milvus:///srv/dxqa/store.db", "/srv/dxqa/store.db", "dxqa", ""),
    ],
)
def test_addresses(text: str, uri: str, name: str, user: str) -> None:
    address = Address.read(text)
    assert (address.uri, address.name, address.user, address.shown) == (uri, name, user, text)
    assert address.is_file == uri.startswith("/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://192.0.2.10:19530/dxqa", "保存先として使えません"),
        ("milvus://192.0.2.10", "保存名を読めません"),
        ("milvus://192.0.2.10/a-b", "保存名を読めません"),
        ("milvus://192.0.2.10:port/dxqa", "番号を読めません"),
        ("milvus:///store.txt", "名前またはアドレスがありません"),
        ("milvus://user:secret@192.0.2.10/dxqa", "DXQA_STORE_PASSWORD"),
    ],
)
def test_addresses_that_are_none(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreAddressError, match=said):
        Address.read(text)
    assert server.main(["--store", text, "--model", "nothing"]) == 2


@given(st.text())
def test_texts_in_conditions_stay_texts(text: str) -> None:
    written = quoted([text])
    assert written.startswith('["')
    assert json.loads(written, strict=False) == [text]  # JSON has the same escapes


@given(st.binary(max_size=300), st.integers(1, 50), st.data())
def test_any_part_of_a_file_out_of_its_pages(data: bytes, page: int, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    file = StoredFile("a/b", len(data), page)
    keys = dict(pages_of("a/b", data, page))
    assert set(file.keys(0, len(data))) == set(keys)
    pages = {key: milvus_unpacked(key, text) for key, text in keys.items()}
    assert file.cut(pages, start, end) == data[start:end]
    assert set(file.keys(start, end)) <= set(keys)


def milvus_unpacked(key: str, text: str) -> bytes:
    from index.milvus_pages import _unpacked

    return _unpacked(key, text)


# ---------------------------------------------------------------- a server


class Shop:
    """Documents, the folder their index is built in, and a store of its own on the server."""

    def __init__(self, folder: Path, address: str) -> None:
        self.documents, self.root, self.encoder = folder / "documents", folder / "index", FakeEncoder()
        self.documents.mkdir(parents=True)
        (self.documents / "事例.txt").write_text(CASE_BOOK, encoding="utf-8")
        self.address = address
        self.milvus = Milvus(Address.read(self.address), timeout_s=2)

    def build(self, full: bool = False) -> str:
        return build(self.documents, self.root, self.encoder, full=full).version

    def publish(self, *, take_over: bool = False) -> bool:
        return publish_version(self.root, self.milvus, take_over=take_over)

    def add(self, name: str, text: str) -> str:
        (self.documents / name).write_text(text, encoding="utf-8")
        return self.build()

    def index(self) -> Index:
        store = MilvusStore(self.milvus)
        return store.load(store.head())

    def current(self) -> CurrentMilvus:
        return CurrentMilvus(MilvusStore(self.milvus), self.root, model_record(self.encoder))

    def rows(self, collection: str, segment: str) -> int:
        return self.milvus.count(self.milvus.collection(collection), f"segment in {quoted([segment])}")


@pytest.fixture(scope="module")
def shared(milvus: MilvusServer) -> str:
    """A store that most tests use one after the other: to make its collections takes a server 5 s."""
    return f"milvus://{milvus.address}/t{secrets.token_hex(4)}"


@pytest.fixture
def shop(tmp_path: Path, shared: str) -> Shop:
    """What was in use in the store before is replaced."""
    return Shop(tmp_path, shared)


@pytest.fixture
def new_shop(tmp_path: Path, milvus: MilvusServer) -> Shop:
    return Shop(tmp_path, f"milvus://{milvus.address}/t{secrets.token_hex(4)}")


def test_all_of_a_segment_is_read_back(shop: Shop) -> None:
    shop.add("faq.md", FAQ)
    shop.publish(take_over=True)
    index = shop.index()
    for name, remote in index.segments.items():
        local = Segment.load(shop.root / "segments" / name)
        assert remote.digest == local.digest
        assert remote.part.heading_keys.tolist() == local.part.heading_keys.tolist()
        for field in FIELDS:
            postings, stored = local.part.postings[field], remote.part.postings[field]
            assert isinstance(stored, StoredPostings)
            assert stored.lengths.tolist() == postings.lengths.tolist()
            for token in [*postings.tokens, "無い語", ""]:
                assert stored.holding(token) == postings.holding(token)
                for one, other in zip(stored.of(token), postings.of(token), strict=True):
                    assert one.tolist() == other.tolist()
        assert local.part.late is not None
        assert isinstance(remote.part.late, StoredTokens)
        rows = range(len(local.part))
        for one, other in zip(remote.part.late.packed(rows), local.part.late.packed(rows), strict=True):
            for array in ("ids", "vectors", "scales", "sentences", "norms"):
                assert np.array_equal(getattr(one, array), getattr(other, array))
        for one, other in zip(remote.part.late.ids(rows), local.part.late.ids(rows), strict=True):
            assert one.tolist() == other.tolist()


def test_versions_by_alias(new_shop: Shop) -> None:
    shop = new_shop
    current = shop.current()
    assert current.get() is None
    assert current.is_empty
    assert current.problem is not None
    assert "索引がまだありません" in current.problem
    with pytest.raises(IndexMissingError):
        shop.publish()
    first = shop.build()
    assert shop.publish()
    assert not shop.publish()  # it is there
    current.publish()
    index = current.get()
    assert index is not None
    assert (index.version, current.problem, current.is_empty) == (first, None, False)
    second = shop.add("faq.md", FAQ)
    shop.publish()
    wait_for(lambda: version_of(current) == second)
    assert len(index.listing) == 1  # who holds the old one goes on with it
    assert index.chunks
    new = current.get()
    assert new is not None
    assert (
        new.segments[next(iter(index.segments))] in index.segments.values()
    )  # what is there is not read again
    build_index.roll_back(shop.root, first)
    assert shop.publish()
    wait_for(lambda: version_of(current) == first)
    # versions beyond the last and the one before are cleared away, with what only they had
    for number in range(2):
        (shop.documents / "faq.md").write_text(FAQ + f"\n\n第{number}版の追記です。\n", encoding="utf-8")
        build(shop.documents, shop.root, shop.encoder, keep=1)
        shop.publish()
    there = [
        name
        for name in shop.milvus.call("list_collections", timeout_s=60)
        if name.startswith(shop.milvus.collection("v_"))
    ]
    assert len(there) == 2
    assert shop.milvus.version_collection(str(current_version(shop.root))) in there
    for segment in [*index.segments, *new.segments]:
        if segment not in shop.index().segments:
            assert [shop.rows(part, segment) for part in ("pages", "tokens", "vectors_8", "headings_8")] == [
                0
            ] * 4


def version_of(current: CurrentMilvus) -> str | None:
    index = current.get()
    return None if index is None else index.version


def wait_for(true: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


def test_fields_of_cases_can_be_asked_for(shop: Shop) -> None:
    shop.build()
    shop.publish(take_over=True)
    index = shop.index()
    rows = shop.milvus.query(
        shop.milvus.collection("vectors_8"),
        f'prefecture == "つくし県" and organization_kind == "市" and population > 30000 and segment in {quoted(list(index.segments))}',
        ["case_id", "organization", "population", "chunk_id"],
    )
    case = next(case for case in index.cases.values() if case.organization == "つくし県若草市")
    assert {row["case_id"] for row in rows} == {case.id}
    assert {row["population"] for row in rows} == {case.population}
    assert sorted(row["chunk_id"] for row in rows) == sorted(c.id for c in index.chunks_of_case(case.id))


def test_a_publication_that_is_cut_off(shop: Shop) -> None:
    first = shop.build()
    shop.publish(take_over=True)
    second = shop.add("faq.md", FAQ)

    def cut(stage: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_version(shop.root, shop.milvus, cut)
    assert shop.index().version == first
    # half of a segment is there: it is written anew, not twice
    seen: list[tuple[str, int, int]] = []
    assert publish_version(shop.root, shop.milvus, lambda *state: seen.append(state))
    index = shop.index()
    assert index.version == second
    assert {stage for stage, _, _ in seen} == {"publishing"}
    assert seen[-1][1] == seen[-1][2] > 0
    for name, segment in index.segments.items():
        assert shop.rows("vectors_8", name) == len(segment.records)


def test_rows_that_are_seen_late(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that came back from a crash counts what it took only after a while; what does not come is said."""
    first = shop.build()
    shop.publish(take_over=True)
    second = shop.add("faq.md", FAQ)
    count, wrong = shop.milvus.count, [0]
    times = 1_000

    def counted(collection: str, condition: str) -> int:
        nonlocal times
        times -= 1
        return count(collection, condition) + (wrong[0] if times >= 0 else 0)

    monkeypatch.setattr(shop.milvus, "count", counted)
    monkeypatch.setattr(milvus_publish, "SETTLED_S", 1)
    for wrong[0] in (-1, 1):  # one that never comes, and one too many
        with pytest.raises(StoreUnavailableError, match="行が揃いません"):
            shop.publish()
        assert shop.index().version == first
    wrong[0], times = -1, 1
    assert shop.publish()
    assert shop.index().version == second


def test_a_version_of_another_folder_is_not_replaced(shop: Shop, tmp_path: Path) -> None:
    first = shop.build()
    shop.publish(take_over=True)
    other = tmp_path / "elsewhere"
    build(shop.documents, other, shop.encoder)
    with pytest.raises(ForeignVersionError, match="作ったものではありません"):
        publish_version(other, shop.milvus)
    assert shop.index().version == first
    publish_version(other, shop.milvus, take_over=True)
    assert shop.index().version == current_version(other)


def test_a_page_that_was_changed_is_not_shown(shop: Shop) -> None:
    shop.build()
    shop.publish(take_over=True)
    index = shop.index()
    name = next(iter(index.segments))
    pages = shop.milvus.collection("pages")
    key = f"{name}/texts.utf8/0"
    (row,) = shop.milvus.query(pages, f"id in {quoted([key])}", ["data"])
    letter = "B" if row["data"][40] != "B" else "C"
    spoiled = row["data"][:40] + letter + row["data"][41:]
    written = {"id": key, "segment": name, "role": PAGE, "data": spoiled, "vector": [0.0, 0.0]}
    shop.milvus.call("upsert", pages, [written], timeout_s=30)
    shop.milvus.count(pages, 'id == "x"')
    with pytest.raises(PageDamagedError, match=r"texts\.utf8/0"):
        next(iter(index.documents.values()))
    with pytest.raises(PageDamagedError, match="nothing/0"):
        Pages(shop.milvus, pages).get(["nothing/0"])


def test_another_layout_and_another_model_are_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.build()
    shop.publish(take_over=True)
    current = CurrentMilvus(MilvusStore(shop.milvus), shop.root, model_record(FakeEncoder("other", "f9")))
    assert current.get() is None
    assert current.problem is not None
    assert "other" in current.problem
    monkeypatch.setattr(milvus_index, "LAYOUT", 99)
    late = shop.current()
    assert late.get() is None
    assert late.problem is not None
    assert "形式が違います" in late.problem


# ---------------------------------------------------------------- a server that fails


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StoreUnavailableError, match="つながりません"):
        Milvus(Address.read(f"milvus://127.0.0.1:{port}/dxqa"), timeout_s=1).check()


def test_somebody_else_is_there() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            with pytest.raises(StoreUnavailableError, match="つながりません"):
                Milvus(Address.read(f"milvus://127.0.0.1:{other.server_port}/dxqa"), timeout_s=1).check()
        finally:
            other.shutdown()
            thread.join()


def test_a_server_that_is_too_old(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.milvus.check()
    monkeypatch.setattr(milvus_module, "OLDEST", (9, 9))
    with pytest.raises(StoreUnavailableError, match=r"版「v2\.3\.5-lite」では使えません。9\.9 以降"):
        shop.milvus.check()


def test_a_server_that_hangs_and_comes_back(shop: Shop, milvus: MilvusServer) -> None:
    shop.build()
    shop.publish(take_over=True)
    current = shop.current()
    index = current.get()
    assert index is not None
    app = server.create_app(current=current, encoder=shop.encoder, rebuild=lambda _: None)  # type: ignore[arg-type, return-value]
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        asked = {"question": "若草市の担当部署の電話番号は"}
        assert client.post("/api/ask", json=asked).status_code == 200
        milvus.hold()
        try:
            started = time.monotonic()
            reply = client.post("/api/ask", json={"question": "車で回る窓口は何回ですか"})
            wait_for(lambda: client.get("/readyz").status_code == 503)
            assert reply.status_code == 503
            assert "時間内に応えません" in reply.json()["detail"]
            assert reply.headers["retry-after"] == "10"
            assert time.monotonic() - started < 15
            assert "時間内に応えません" in client.get("/readyz").json()["detail"]
            assert "時間内に応えません" in client.get("/?q=電話番号").text
            assert client.get("/healthz").status_code == 200
        finally:
            milvus.go_on()
        wait_for(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/api/ask", json=asked).status_code == 200


@pytest.mark.usefixtures("milvus")  # where none can be started, it says so
def test_a_server_that_crashes_and_comes_back(tmp_path: Path) -> None:
    """On a server of its own: in what it finds again after a crash, the one of the wheel (2.3.5) at times never shows what is written anew,
    until it is started once more."""
    with MilvusServer(tmp_path / "milvus") as milvus:
        shop = Shop(tmp_path, f"milvus://{milvus.address}/crash")
        first = shop.build()
        shop.publish()
        current = shop.current()
        assert version_of(current) == first
        milvus.stop()
        wait_for(lambda: current.get() is None)
        assert current.problem is not None
        assert "つながりません" in current.problem or "途切れました" in current.problem
        # a build loses nothing: it is published when the server is back
        second = shop.add("faq.md", FAQ)
        with pytest.raises(StoreUnavailableError):
            shop.publish()
        assert not current.is_empty
        for again in range(3):
            milvus.start()
            wait_for(lambda: version_of(current) == first, RECOVERY_S)
            # ready means that all of it can be asked
            assert shop.index().search(probe(shop.encoder, "窓口"), 5)
            try:
                assert shop.publish()
            except StoreUnavailableError:
                if again == 2:
                    raise
                assert version_of(current) == first  # what is in use stays so
                milvus.stop()
                wait_for(lambda: current.get() is None)
            else:
                break
        wait_for(lambda: version_of(current) == second, RECOVERY_S)


# ---------------------------------------------------------------- servers that share a store


def test_two_servers_share_a_store(shop: Shop, tmp_path: Path) -> None:
    shop.build()
    shop.publish(take_over=True)
    builder = server.create_app(
        current=(own := shop.current()),
        encoder=shop.encoder,
        rebuild=lambda progress: _rebuilt(shop, own, progress),
    )
    reader = CurrentMilvus(
        MilvusStore(Milvus(Address.read(shop.address))), tmp_path / "nothing", model_record(shop.encoder)
    )
    other = server.create_app(
        current=reader, encoder=shop.encoder, rebuild=lambda _: pytest.fail("it does not build")
    )
    with (
        TestClient(builder, base_url="http://localhost", client=("127.0.0.1", 1)) as one,
        TestClient(other, base_url="http://localhost", client=("127.0.0.1", 2)) as two,
    ):
        before = two.get("/readyz").json()["index_version"]
        assert one.get("/readyz").json()["index_version"] == before
        (shop.documents / "faq.md").write_text(FAQ, encoding="utf-8")
        job = one.post("/api/index/rebuild").json()
        wait_for(lambda: one.get(f"/api/index/jobs/{job['job_id']}").json()["status"] == "succeeded", 60)
        wait_for(lambda: two.get("/readyz").json()["index_version"] != before)
        assert len(two.get("/api/documents").json()["documents"]) == 2
        question = {"question": "若草市の担当部署の電話番号は", "top_k": 10}
        replies = [client.post("/api/ask", json=question).json() for client in (one, two)]
        for reply in replies:
            del reply["took_ms"]
        assert replies[0] == replies[1]
        assert replies[0]["answer"]["sentences"]


def _rebuilt(shop: Shop, current: CurrentMilvus, progress: Callable[[str, int, int], None]):  # type: ignore[no-untyped-def]
    report = build(shop.documents, shop.root, shop.encoder, progress=progress)
    current.publish(progress)
    return report


def test_both_programs_with_a_store(
    tiny_folder: Path, new_shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`build_index.py --store` in this process, and `server.py --store` as a process that has no index of its own."""
    shop = new_shop
    options = ["--documents", str(shop.documents), "--model", str(tiny_folder), "--precision", "fp32"]
    arguments = [*options, "--index", str(shop.root), "--store", shop.address]
    assert build_index.main(arguments) == 0
    assert "に登録しました" in capsys.readouterr().out
    assert build_index.main(arguments) == 0
    assert "は最新です" in capsys.readouterr().out
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "server.py",
        *options,
        "--index",
        str(tmp_path / "none"),
        "--store",
        shop.address,
    ]
    command += ["--port", str(port), "--usage", str(tmp_path / "usage.sqlite3")]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=HOME, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: _ready(address), 60)
        assert httpx2.get(f"{address}/readyz").json()["index_version"] == current_version(shop.root)
        reply = httpx2.post(f"{address}/api/ask", json={"question": "若草市の電話番号は"}, timeout=30).json()
        assert reply["index_version"] == current_version(shop.root)
        assert not (tmp_path / "none").exists()  # nothing was built here
    finally:
        process.terminate()
        process.wait(30)
    assert json.loads(json.dumps(reply))["citations"]


def _ready(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/readyz").status_code == 200
    except httpx2.HTTPError:
        return False


def test_a_service_without_a_store_loads_no_client(tmp_path: Path) -> None:
    """What only some need costs the others nothing."""
    code = "import server, sys; sys.exit(any(name in sys.modules for name in ('pymilvus', 'grpc')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=HOME).returncode == 0
