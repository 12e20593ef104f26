"""What every store must do, on each of them: an index over local files, and one on a real Milvus server.

Both hold the same documents: three builds, so that there are several segments and rows that no longer count.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder
from made import CASE_BOOK
from milvus_server import MilvusServer, refusal

from corpus.text import searchable
from index.build import build
from index.encoder import Encoder, SentenceEncoder
from index.engines import Probe, probe
from index.likeness import fingerprints
from index.milvus import Address, Milvus
from index.milvus_index import MilvusStore
from index.milvus_publish import _Publication, publish_version
from index.milvus_words import SparseIndex
from index.scope import Scope
from index.store import Index, load_current
from qa.answer import Reply, ask

MINUTES = "# 推進本部会議\n\n## 決まったこと\n\n" + "".join(
    f"第{number}の議題は、{subject}を進めることです。\n\n"
    for number, subject in enumerate(
        ["庁内の無線化", "職員の研修", "電子決裁", "標準化", "防災の情報共有"], 1
    )
)
FAQ = "質問,回答\n" + "".join(
    f"{subject}はどこでできますか,{subject}は{place}でできます。\n"
    for subject, place in [("住民票の申請", "一階の窓口"), ("印鑑の登録", "二階の窓口"), ("転入の届", "支所")]
)
QUESTIONS = [
    "若草市の担当部署の電話番号は",
    "車で回る窓口は何回ですか",
    "住民票の申請はどこでできますか",
    "待ち時間が短くなった",
    "電子決裁",
    "決まったこと",
    "研修",
    "宇宙旅行",
]


def filled(folder: Path, encoder: Encoder) -> Path:
    """An index of three builds; a document was changed, one is gone, one has another name."""
    documents, root = folder / "documents", folder / "index"
    documents.mkdir(parents=True)
    (documents / "事例.txt").write_text(CASE_BOOK, encoding="utf-8")
    (documents / "古い.md").write_text("# 古い計画\n\n" + MINUTES, encoding="utf-8")
    (documents / "会議.md").write_text(MINUTES, encoding="utf-8")
    build(documents, root, encoder)
    (documents / "よくある質問.csv").write_text(FAQ, encoding="utf-8")
    # a heading that another document has, too: it says nothing of either
    twin = "# 住民の集い\n\n## 決まったこと\n\n夏祭りを八月の第一土曜に開くことにしました。\n"
    (documents / "集い.md").write_text(twin, encoding="utf-8")
    changed = CASE_BOOK.replace("平均40分", "平均50分")
    (documents / "事例.txt").write_text(changed, encoding="utf-8")
    build(documents, root, encoder)
    (documents / "古い.md").unlink()
    (documents / "会議.md").rename(documents / "本部会議.md")
    build(documents, root, encoder)
    return root


@dataclass(frozen=True)
class Stores:
    """The same index twice, and how to make a question for it."""

    root: Path
    folder: Index
    milvus: Index | None
    encoder: Encoder

    def probe(self, text: str) -> Probe:
        return probe(self.encoder, text)


def published(root: Path, server: MilvusServer) -> Index:
    """The version in use of a folder, read from a server."""
    milvus = Milvus(Address.read(f"milvus://{server.address}/t{secrets.token_hex(4)}"))
    assert publish_version(root, milvus)
    store = MilvusStore(milvus)
    return store.load(store.head())


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Stores:
    encoder = FakeEncoder()
    root = filled(tmp_path_factory.mktemp("stores"), encoder)
    remote = None
    if refusal() is None:
        remote = published(root, request.getfixturevalue("milvus"))
    return Stores(root, load_current(root), remote, encoder)


@pytest.fixture(params=["folder", "milvus"])
def store(stores: Stores, request: pytest.FixtureRequest) -> Index:
    found: Index | None = getattr(stores, request.param)
    if found is None:
        pytest.skip(str(refusal()))
    return found


@pytest.fixture
def both(stores: Stores) -> tuple[Index, Index]:
    if stores.milvus is None:
        pytest.skip(str(refusal()))
    return stores.folder, stores.milvus


def test_documents_and_cases(store: Index) -> None:
    assert {info.path for info in store.listing.values()} == {
        "事例.txt",
        "本部会議.md",
        "よくある質問.csv",
        "集い.md",
    }
    for identity, document in store.documents.items():
        assert document.id == identity
        for chunk in store.chunks_of_document(identity):
            assert document.text[chunk.start : chunk.end] == chunk.text
            assert store.chunk(chunk.id) == chunk
    assert {case.organization for case in store.cases.values()} >= {"つくし県若草市", "つくし県小石原村"}
    for identity, case in store.cases.items():
        own = store.chunks_of_case(identity)
        assert own
        assert {chunk.case_id for chunk in own} == {identity}
        assert all(case.start <= chunk.start and chunk.end <= case.end for chunk in own)
    assert sum(store.chunk_counts.values()) == store.manifest["counts"]["chunks"]
    assert store.chunk("nothing") is None
    assert store.chunks_of_document("nothing") == store.chunks_of_case("nothing") == ()


def test_what_no_longer_counts_is_not_found(store: Index, stores: Stores) -> None:
    found = store.search(stores.probe("第1の議題"), 50)
    assert found
    assert {hit.chunk.document_id for hit in found} <= set(store.listing)
    assert store.holds_word("窓口")
    assert store.holds_gram("窓口")
    assert not store.holds_word("古い")  # only in the document that is gone
    assert not store.holds_gram("宇宙")


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_scope_lets_through_only_its_own(store: Index, stores: Stores, question: str) -> None:
    asked = stores.probe(question)
    everything = store.search(asked, 100)
    case = next(case for case in store.cases.values() if case.organization == "つくし県小石原村")
    document = next(info.id for info in store.listing.values() if info.path == "本部会議.md")
    single = everything[-1].chunk.id
    for scope in (
        Scope(cases=[case.id]),
        Scope(documents=[document]),
        Scope(chunks=[single]),
        Scope(cases=[case.id], documents=[document], chunks=[single]),
    ):
        found = store.search(asked, 100, scope)
        assert found
        assert all(scope.holds(hit.chunk) for hit in found)
    assert store.search(asked, 100, Scope()) == []
    assert store.search(asked, 100, Scope(cases=["nothing"], chunks=['a"b\\'])) == []


def test_an_own_row_is_found_by_what_it_says(store: Index, stores: Stores) -> None:
    for document in store.listing:
        for chunk in store.chunks_of_document(document):
            hits = store.search(stores.probe(searchable(chunk.text)), 5)
            assert chunk.text in [hit.chunk.text for hit in hits]
            near = store.sentences(stores.probe(chunk.text), chunk.id)
            assert near
            assert all(-1.001 <= cosine <= 1.001 for _, cosine in near.values())


def test_both_answer_the_same(both: tuple[Index, Index], stores: Stores) -> None:
    folder, milvus = both
    assert folder.manifest == milvus.manifest
    assert list(folder.listing.values()) == list(milvus.listing.values())
    assert folder.cases == milvus.cases
    assert folder.chunks == milvus.chunks
    for words in ("夏祭り", "電子決裁", "古い計画", "宇宙", ""):
        assert folder.documents_saying(words) == milvus.documents_saying(words)
        assert {name for name in folder.listing if milvus.document_says(name, words)} == {
            name for name in folder.listing if folder.document_says(name, words)
        }
    prints = fingerprints(MINUTES)
    assert sorted(folder.sharing(prints)) == sorted(milvus.sharing(prints)) != []
    for question in QUESTIONS:
        asked = stores.probe(question)
        for scope in (None, Scope(documents=list(folder.listing)[:2]), Scope(cases=list(folder.cases)[:1])):
            one, other = folder.search(asked, 50, scope), milvus.search(asked, 50, scope)
            assert [hit.chunk.id for hit in one] == [hit.chunk.id for hit in other], question
            for name in ("score", "dense", "lexical", "late"):
                values = [[getattr(hit, name) or 0.0 for hit in hits] for hits in (one, other)]
                assert np.allclose(*values, atol=2e-6), (question, name)
        for chunk in folder.chunks:
            assert folder.sentences(asked, chunk.id) == milvus.sentences(asked, chunk.id)


def test_an_engine_with_sparse_vectors_answers_the_same(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words and grams are found by the server, with the scores of our own postings, over several segments with rows that are gone."""
    pytest.importorskip("milvus_lite")
    milvus = Milvus(Address.read(f"milvus://{tmp_path}/store.db"), timeout_s=60)
    # first as a server would hold it that has no such vectors yet
    monkeypatch.setattr(Milvus, "has_sparse", lambda _: False)
    publish_version(stores.root, milvus)
    assert not MilvusStore(milvus).head().sparse
    monkeypatch.undo()
    name = json.loads((stores.root / "PUBLISHED").read_text(encoding="utf-8"))[milvus.address.shown]
    milvus.call("drop_alias", milvus.address.name)
    milvus.call("drop_collection", milvus.version_collection(name))

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    # cut off while the vectors are added: what may be in use is not taken for half written, and not removed
    monkeypatch.setattr(_Publication, "_complete", cut_off)
    with pytest.raises(KeyboardInterrupt):
        publish_version(stores.root, milvus)
    monkeypatch.undo()
    monkeypatch.setattr(_Publication, "_remove", lambda _, segments: pytest.fail(f"removed {segments}"))
    publish_version(stores.root, milvus)
    monkeypatch.undo()
    store = MilvusStore(milvus)
    head = store.head()
    assert head.sparse
    index = store.load(head)
    for one, other in zip(stores.folder._collections, index._collections, strict=True):
        assert isinstance(other.engines._words, SparseIndex)
        for question in QUESTIONS:
            asked = stores.probe(question)
            for name, tokens in (("_words", asked.words), ("_grams", asked.grams)):
                for k in (1, 200):
                    exact = getattr(one.engines, name).search(tokens, k)
                    found = getattr(other.engines, name).search(tokens, k)
                    assert [row for row, _ in exact] == [row for row, _ in found], question
                    assert np.allclose([s for _, s in exact], [s for _, s in found], rtol=1e-5)
    asked = stores.probe(QUESTIONS[0])
    scope = Scope(cases=list(stores.folder.cases)[:1])
    for own in (None, scope):
        hits = [[hit.chunk.id for hit in some.search(asked, 20, own)] for some in (stores.folder, index)]
        assert hits[0] == hits[1]


@pytest.fixture(scope="module")
def samples(
    tmp_path_factory: pytest.TempPathFactory, milvus: MilvusServer, encoder: SentenceEncoder
) -> Callable[[str], tuple[Reply, Reply]]:
    """Asks a question over the samples of both stores, with the real model."""
    from build_index import SAMPLES

    root = tmp_path_factory.mktemp("samples") / "index"
    build(SAMPLES, root, encoder)
    folder, remote = load_current(root), published(root, milvus)
    return lambda question: (ask(folder, encoder, question), ask(remote, encoder, question))


@pytest.mark.parametrize(
    "question",
    [
        "青葉野市の担当部署の電話番号は？",
        "人口5万人未満の町の事例を一覧で",
        "窓口の待ち時間を減らした事例は",
        "議事録で決まったことは何ですか",
        "宇宙旅行の補助金はいくらですか",
    ],
)
def test_whole_replies_are_the_same(samples: Callable[[str], tuple[Reply, Reply]], question: str) -> None:
    folder, remote = samples(question)
    # scores are sums of floats in another order
    assert _rounded(folder) == _rounded(remote)


def _rounded(reply: Reply) -> object:
    def bare(value: object) -> object:
        if isinstance(value, dict):
            return {key: bare(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [bare(inner) for inner in value]
        return round(value, 4) if isinstance(value, float) else value

    return bare(asdict(replace(reply, took_ms=0.0)))
