"""The samples that ship with the product, end to end with the real model: what a newcomer sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_index import SAMPLES
from corpus.documents import parse
from corpus.municipalities import PREFECTURES
from index.build import build
from index.encoder import SentenceEncoder
from index.plan import find_files
from index.store import Index, load_current
from qa.answer import ask

# question, file, words that a shown passage must hold
QUESTIONS = [
    ("青葉野市の転入手続の待ち時間はどれくらい短くなった？", "01", "平均48分から平均23分"),
    ("窓口改革課に電話したい", "01", "0000-11-2345"),
    ("山の中の集落に住むお年寄りのために車で出向いているのはどこ？", "01", "移動窓口車で集落を巡回している"),
    ("道路の補修の順番はどうやって決めている？", "01", "点数の高い順に補修する"),
    ("統計データの統合で最初の年にうまくいかなかったことは？", "01", "提出されたのは19市町村のうち5団体"),
    ("共同調達に途中から参加できますか", "02", "参加の時期を四半期ごとに設ける"),
    ("生成AIを使うときの決まりで県が求めていることは", "02", "個人の情報を入力しないこと"),
    ("紙でしか受け付けられないと決められていた手続はいくつ？", "03", "54のうち9だけ"),
    ("予約システムをやめた理由は？", "04", "運転手との会話を楽しみに来ていた"),
    ("証明書の手数料は窓口とどう違う？", "05", "窓口より50円安く"),
    ("申請の途中で保存したものはいつ消える？", "05", "30日を過ぎると自動で消えます"),
    ("紙の文書の保管にかかる費用", "06", "年96万円"),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder) -> Index:
    root = tmp_path_factory.mktemp("samples") / "index"
    report = build(SAMPLES, root, encoder)
    assert report.errors == ()
    return load_current(root)


def test_every_sample_says_that_it_is_fictional_and_names_no_real_place() -> None:
    files = find_files(SAMPLES)
    assert 4 <= len(files) <= 6
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "架空の見本です" in text[:200], file.name
        assert not [name for name in PREFECTURES if name in text], file.name


@pytest.mark.parametrize(("question", "prefix", "words"), QUESTIONS)
def test_the_samples_answer(
    index: Index, encoder: SentenceEncoder, question: str, prefix: str, words: str
) -> None:
    reply = ask(index, encoder, question)
    shown = [c for c in reply.citations if Path(c.path).name.startswith(prefix) and words in c.text]
    assert shown, [c.text[:40] for c in reply.citations]
    for citation in reply.citations:
        source = parse(citation.path, (SAMPLES / citation.path).read_bytes()).document.text
        assert source[citation.char_start : citation.char_end] == citation.text


def test_the_pictured_page_and_the_misread_slide_are_never_shown(index: Index) -> None:
    words = "\n".join(chunk.text for chunk in index.chunks)
    assert "平均42分" not in words
    assert "0000-11-0000" not in words
    assert "排山" not in words
    assert "緋山 こうた" in words


def test_conditions_show_each_case_once(index: Index, encoder: SentenceEncoder) -> None:
    reply = ask(index, encoder, "人口5万人未満の団体の事例を見せて")
    assert reply.filters.from_question == ("population_max",)
    organizations = [c.case.organization for c in reply.citations[:2] if c.case]
    assert sorted(organizations) == ["みずほ県月見坂町", "みずほ県霧ヶ沢村"]
