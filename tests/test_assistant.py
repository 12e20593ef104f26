"""The product in a program of one's own: the same replies as over HTTP, from whichever version of the index is in use.

The judge is the service itself, over the same index.
"""

from __future__ import annotations

import doctest
import json
import re
import secrets
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from made import CASE_BOOK, FAQ, MINUTES, FakeEncoder
from milvus_server import MilvusServer

import qa
import qa.assistant
from build_index import SAMPLES
from index.build import build
from index.current import CurrentIndex
from index.encoder import SentenceEncoder
from index.milvus import Address, Milvus
from index.milvus_publish import publish_version
from index.passages import model_record
from options import HOME
from qa import Assistant, AssistantError, Filters, NotFoundError, NotReadyError, WrongRequestError
from qa import names as names_module
from qa.synonyms import SynonymsFile
from server import create_app

QUESTION = "若草市の担当部署の電話番号は？"


@dataclass
class Both:
    """An assistant and a service over one index."""

    documents: Path
    root: Path
    encoder: FakeEncoder
    assistant: Assistant
    client: TestClient

    def built(self) -> str:
        """The version of a build of the documents as they are now."""
        return build(self.documents, self.root, self.encoder).version


@pytest.fixture
def both(tmp_path: Path) -> Both:
    documents, root, encoder = tmp_path / "documents", tmp_path / "index", FakeEncoder()
    documents.mkdir()
    for name, text in (("事例集.txt", CASE_BOOK), ("議事録.txt", MINUTES), ("faq.md", FAQ)):
        (documents / name).write_text(text, encoding="utf-8")
    build(documents, root, encoder)
    (tmp_path / "synonyms.csv").write_text("巡回,移動窓口\n", encoding="utf-8")
    app = create_app(
        current=CurrentIndex(root, model_record(encoder)),
        encoder=encoder,
        rebuild=lambda progress: build(documents, root, encoder, progress=progress),
        synonyms=SynonymsFile(tmp_path / "synonyms.csv"),
    )
    assistant = Assistant(
        CurrentIndex(root, model_record(encoder)),
        encoder,
        synonyms=SynonymsFile(tmp_path / "synonyms.csv"),
    )
    return Both(documents, root, encoder, assistant, TestClient(app, base_url="http://127.0.0.1:8000"))


def plain(record: Any) -> Any:
    """A record as JSON has it, without the time that it took."""
    if isinstance(record, list):
        return [plain(one) for one in record]
    content = json.loads(json.dumps(record if isinstance(record, dict) else asdict(record)))
    content.pop("took_ms", None)
    return content


# ---------------------------------------------------------------- the same as over HTTP


@pytest.mark.parametrize(
    "asked",
    [
        {"question": QUESTION},
        {"question": f"　{QUESTION}\n", "top_k": 2},
        {"question": "そこの人口は？", "history": ["若草市の窓口について教えて", " "]},
        {"question": "市の事例を一覧で"},
        {"question": "市の事例を一覧で", "top_k": 1},
        {"question": "市の事例を一覧で", "without": ["organization_kinds"]},
        {"question": "窓口", "filters": {"organization_kinds": ["村"], "population_max": 10000}},
        {"question": "移動窓口の回数は"},
        {"question": "火星市の人口は？"},
    ],
)
def test_a_reply_is_that_of_the_service(both: Both, asked: dict[str, Any]) -> None:
    over_http = plain(both.client.post("/api/ask", json=asked).json())
    given = {**asked, "filters": Filters(**asked.get("filters", {}))}
    assert plain(both.assistant.ask(**given)) == over_http
    assert over_http["index_version"] == both.assistant.version


def test_all_cases_that_meet_conditions_come_unless_a_number_is_given(both: Both) -> None:
    shutil.copy(SAMPLES / "01_事例集_窓口とデータ.txt", both.documents)
    both.built()
    for more, count in (({}, 6), ({"top_k": 5}, 5), ({"top_k": 1}, 1)):
        asked = {"question": "人口50万人未満の団体の事例を見せて", **more}
        over_http = plain(both.client.post("/api/ask", json=asked).json())
        assert plain(both.assistant.ask(**asked)) == over_http
        assert len(over_http["citations"]) == count


@pytest.mark.parametrize("filters", [{}, {"regions": ["東北"]}, {"prefectures": ["つくし県"]}])
def test_what_is_searched_and_listed_is_that_of_the_service(both: Both, filters: dict[str, Any]) -> None:
    own = Filters(**filters)
    for query in ({"q": "窓口の研修"}, {"q": "窓口の研修", "top_k": 3}):
        over_http = both.client.get("/api/search", params={**query, **filters}).json()
        found = both.assistant.search(query["q"], own, **{k: v for k, v in query.items() if k != "q"})
        assert plain(found) == plain(over_http)
        assert len(found.citations) == 0 or found.citations[0].rank == 1
    cases = both.client.get("/api/cases", params=filters).json()["cases"]
    assert plain(both.assistant.cases(own)) == cases
    assert len(cases) == {"regions": 0}.get(next(iter(filters), ""), 3)


def test_cases_and_documents_are_those_of_the_service(both: Both) -> None:
    for case in both.assistant.cases():
        over_http = both.client.get(f"/api/cases/{case.id}")
        assert plain(both.assistant.case(case.id)) == over_http.json()
        similar = both.client.get(f"/api/cases/{case.id}/similar").json()["similar"]
        assert plain(both.assistant.similar(case.id)) == similar
    listed = both.assistant.documents()
    assert plain(listed) == both.client.get("/api/documents").json()["documents"]
    assert sorted(one.path for one in listed) == ["faq.md", "事例集.txt", "議事録.txt"]
    for one in listed:
        assert plain(both.assistant.document(one.id)) == both.client.get(f"/api/documents/{one.id}").json()
        text = both.assistant.text(one.id)
        assert text == (both.documents / one.path).read_text(encoding="utf-8")
        assert both.assistant.text(one.id, 3, 8) == text[3:8]
        assert both.assistant.text(one.id, 10**9) == ""


def test_a_mistake_in_the_table_of_synonyms_is_said_in_the_reply(both: Both) -> None:
    assert both.assistant.ask(QUESTION).notes == ()
    (both.root.parent / "synonyms.csv").write_text("巡回\n", encoding="utf-8")
    assert "1行目" in both.assistant.ask(QUESTION).notes[0]
    assert "1行目" in both.assistant.search(QUESTION).notes[0]


# ---------------------------------------------------------------- versions


def test_a_new_version_is_followed_while_threads_ask(both: Both) -> None:
    first = both.assistant.version
    expected = {first: plain(both.assistant.ask(QUESTION))}
    replies: list[Any] = []
    stop = threading.Event()

    def asks() -> None:
        while not stop.is_set():
            replies.append(plain(both.assistant.ask(QUESTION)))

    with ThreadPoolExecutor(4) as pool:
        threads = [pool.submit(asks) for _ in range(4)]
        changed = CASE_BOOK.replace("0000-11-2222", "0000-44-5555")
        (both.documents / "事例集.txt").write_text(changed, encoding="utf-8")
        second = both.built()
        while not any(reply["index_version"] == second for reply in replies[-4:]):
            assert not any(thread.done() for thread in threads)
        stop.set()
        for thread in threads:
            thread.result()
    expected[second] = plain(both.assistant.ask(QUESTION))
    assert "0000-11-2222" in expected[first]["answer"]["text"]
    assert "0000-44-5555" in expected[second]["answer"]["text"]
    assert {reply["index_version"] for reply in replies} == {first, second}
    assert all(reply == expected[reply["index_version"]] for reply in replies)


def test_a_damaged_new_version_is_told_and_the_old_one_answers_on(both: Both) -> None:
    before = both.assistant.version
    assert both.assistant.problem is None
    (both.documents / "追加.md").write_text(
        "# 新しい計画\n\n窓口を夜の八時まで開けます。\n", encoding="utf-8"
    )
    after = both.built()
    (both.root / "versions" / after / "manifest.json").write_text("{", encoding="utf-8")
    assert both.assistant.ask(QUESTION).index_version == before
    assert after in (both.assistant.problem or "")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("question", ["", "　\n", "あ" * 501, "窓口\x00", "窓口\ud800", 5, None])
def test_a_question_that_the_service_refuses_is_refused(both: Both, question: Any) -> None:
    for call in (both.assistant.ask, both.assistant.search):
        with pytest.raises(WrongRequestError, match=r"質問.*。"):
            call(question)
    if isinstance(question, str) and question.isprintable():
        assert both.client.post("/api/ask", json={"question": question}).status_code == 422


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"history": "若草市は？"}, "history"),
        ({"history": ["あ"] * 21}, "20件以内"),
        ({"history": ["あ" * 501]}, "500文字"),
        ({"history": [1]}, "history"),
        ({"history": None}, "history"),
        ({"filters": {"organizations": ["若草市"]}}, r"Filters\(organizations="),
        ({"top_k": 0}, "1から50"),
        ({"top_k": 51}, "1から50"),
        ({"top_k": True}, "1から50"),
        ({"top_k": "3"}, "1から50"),
        ({"filters": Filters(regions="東北")}, "regions"),  # type: ignore[arg-type]
        ({"filters": Filters(regions=[1])}, "regions"),  # type: ignore[arg-type]
        ({"filters": Filters(regions=None)}, "regions"),  # type: ignore[arg-type]
        ({"filters": Filters(population_min="3万")}, "population_min"),  # type: ignore[arg-type]
        ({"filters": Filters(population_min=True)}, "population_min"),
        ({"without": "regions"}, "without"),
        ({"without": ["region"]}, "near_population"),
    ],
)
def test_settings_that_mean_nothing_are_refused(both: Both, more: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongRequestError, match=said) as caught:
        both.assistant.ask(QUESTION, **more)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, AssistantError)


def test_lists_do_for_conditions(both: Both) -> None:
    as_lists = Filters(organization_kinds=["村"])  # type: ignore[arg-type]
    assert [case.organization for case in both.assistant.cases(as_lists)] == ["つくし県小石原村"]


def test_what_is_not_there_is_not_found(both: Both) -> None:
    for call in (both.assistant.case, both.assistant.similar, both.assistant.document, both.assistant.text):
        with pytest.raises(NotFoundError, match="見つかりません（nothing）") as caught:
            call("nothing")
        assert isinstance(caught.value, LookupError)
    wrong: tuple[tuple[Any, Any], ...] = ((-1, None), (0, -1), ("0", None), (0, 1.5))
    for start, end in wrong:
        with pytest.raises(WrongRequestError, match="0以上"):
            both.assistant.text(both.assistant.documents()[0].id, start, end)


def test_where_there_is_no_index_it_says_where_it_looked(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    assistant = Assistant(CurrentIndex(tmp_path / "nowhere", model_record(encoder)), encoder)
    for call in (lambda: assistant.ask(QUESTION), assistant.cases, lambda: assistant.version):
        with pytest.raises(NotReadyError, match=rf"{re.escape(str(tmp_path))}.*build_index\.py"):
            call()


# ---------------------------------------------------------------- made from an index folder, with the real model


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder) -> Path:
    root = tmp_path_factory.mktemp("samples") / "index"
    build(SAMPLES, root, encoder)
    return root


@pytest.fixture
def _settings(index: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXQA_INDEX", str(index))
    monkeypatch.setenv("DXQA_MODELS", str(models_dir))
    monkeypatch.setattr(names_module, "_readings", names_module.Readings())


def state(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*"))


@pytest.mark.usefixtures("_settings")
def test_the_example_of_the_class(index: Path) -> None:
    before = state(index)
    example = doctest.DocTestFinder(recurse=False).find(
        Assistant, "Assistant", globs={"Assistant": Assistant}
    )
    said: list[str] = []
    result = doctest.DocTestRunner().run(example[0], out=said.append)
    assert (result.attempted, result.failed) == (5, 0), "".join(said)
    assert state(index) == before, "the index is only read"


@pytest.mark.usefixtures("_settings")
def test_settings_given_go_before_those_of_the_environment(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DXQA_INDEX", str(tmp_path / "nowhere"))
    monkeypatch.setenv("DXQA_SYNONYMS", str(tmp_path / "wrong.csv"))
    (tmp_path / "wrong.csv").write_text("一つだけ\n", encoding="utf-8")
    (tmp_path / "right.csv").write_text("夜間窓口,イブニング窓口\n", encoding="utf-8")
    assistant = Assistant.load(index, synonyms=tmp_path / "right.csv")
    assert assistant.ask("青葉野市の担当部署の電話番号は？").answerable
    with pytest.raises(NotReadyError, match=r"wrong\.csv の1行目"):
        Assistant.load(index)
    with pytest.raises(NotReadyError, match="nowhere"):
        Assistant.load(synonyms=tmp_path / "right.csv")


@pytest.mark.usefixtures("_settings")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "no-such-model"}, "no-such-model"),
        ({"precision": "int3"}, "int3"),
        ({"reranker": "/no/such/reranker"}, "再順位付けのモデル"),
        ({"store": "http://192.0.2.1"}, "milvus://"),
        ({"synonyms": "/no/such/table.csv"}, r"同義語の表がありません（/no/such/table\.csv）"),
    ],
)
def test_what_cannot_be_loaded_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(NotReadyError, match=said):
        Assistant.load(**given)


@pytest.mark.usefixtures("_settings")
def test_an_index_of_another_model_is_refused(both: Both) -> None:
    with pytest.raises(NotReadyError, match=r"fake.*multilingual-e5-small|multilingual-e5-small.*fake"):
        Assistant.load(both.root)


@pytest.mark.usefixtures("_settings")
def test_an_index_on_a_store_gives_the_same_answers(index: Path, milvus: MilvusServer) -> None:
    address = f"milvus://{milvus.address}/a{secrets.token_hex(4)}"
    publish_version(index, Milvus(Address.read(address)))
    here, there = Assistant.load(), Assistant.load(store=address)
    for question in ("青葉野市の担当部署の電話番号は？", "書かない窓口とは"):
        assert plain(here.ask(question)) == plain(there.ask(question))


def test_what_a_server_has_read_is_taken_and_left_as_it_is(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`names.json` spares the first question the reading of every document; an assistant writes none."""
    monkeypatch.setattr(names_module, "_readings", names_module.Readings())
    file = both.root / "names.json"
    names_module.take_readings(file)
    both.assistant.ask(QUESTION)
    assert not file.exists()
    names_module.keep_readings(file)
    names_module.take_readings(file)  # who keeps them in this process goes on with it
    both.built()
    fresh = Assistant(CurrentIndex(both.root, model_record(both.encoder)), both.encoder)
    fresh.ask(QUESTION)
    kept = file.read_bytes()
    monkeypatch.setattr(names_module, "_readings", names_module.Readings())
    names_module.take_readings(file)
    read: list[str] = []
    monkeypatch.setattr(names_module, "organizations_of", lambda *_, **__: read.append("read") or ())
    again = Assistant(CurrentIndex(both.root, model_record(both.encoder)), both.encoder)
    assert plain(again.ask(QUESTION)) == plain(fresh.ask(QUESTION))
    assert (read, file.read_bytes()) == ([], kept)


# ---------------------------------------------------------------- the package


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads in a new Python."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HOME, capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_package_alone_loads_nothing_else() -> None:
    assert loaded_by("import qa") == {"qa"}
    with_table = loaded_by("import qa.synonyms")
    assert {name for name in with_table if name.startswith(("qa", "index", "options"))} == {
        "qa",
        "qa.synonyms",
    }
    assert not with_table & {"numpy", "torch", "faiss"}


def test_every_name_is_there() -> None:
    assert {getattr(qa, name).__name__ for name in qa.__all__} == set(qa.__all__)
    assert set(qa.__all__) <= set(dir(qa))
    assert all(getattr(qa, name).__doc__ for name in qa.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        qa.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from qa import nothing  # type: ignore[attr-defined]  # noqa: F401
