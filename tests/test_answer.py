"""Answers: which sentences are quoted, for every form of question; on made-up cases and minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import FakeEncoder
from made import CASE_BOOK, FAQ, MINUTES

from index.build import build
from index.store import Index, load_current
from qa.answer import Reply, ask, conditions_text, refused_text
from qa.evidence import Refusal
from qa.quote import ANSWER_CHARS, SENTENCES
from qa.select import corrections
from qa.understand import Filters

CITY, VILLAGE = "つくし県若草市", "つくし県小石原村"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("answer")
    (folder / "documents").mkdir()
    for name, text in (("1_事例集.txt", CASE_BOOK), ("2_議事録.txt", MINUTES), ("3_FAQ.md", FAQ)):
        (folder / "documents" / name).write_text(text, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    return load_current(folder / "index")


def answer(index: Index, question: str, *history: str, **options: object) -> Reply:
    reply = ask(index, FakeEncoder(), question, history=history, **options)  # type: ignore[arg-type]
    for sentence in reply.answer.sentences:
        assert sentence.citations
        for number in sentence.citations:
            assert sentence.text in reply.citations[number - 1].text
    for citation in reply.citations:
        text = index.documents[citation.document_id].text
        assert text[citation.char_start : citation.char_end] == citation.text
        quoted = [text[h.char_start : h.char_end] for h in citation.highlights]
        assert quoted == [s for s in quoted if s in [t.text for t in reply.answer.sentences]]
    return reply


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("若草市の電話番号は？", ["0000-11-2222"]),
        ("若草市の担当の連絡先は？", ["若草市市民部窓口課", "0000-11-2222", "window@city.example.jp"]),
        ("小石原村の人口は？", ["4,210人"]),
        ("利用料は月額いくら？", ["月額8千円"]),
        ("手数料はどのように払いますか？", ["クレジットカードか電子マネーで払えます。"]),
        ("途中から参加できますか", ["四半期ごとに参加の時期を設けるので"]),
        ("若草市の待ち時間は短くなりましたか", ["平均40分から平均15分"]),
    ],
)
def test_a_value_with_the_sentence_it_stands_in(index: Index, question: str, told: list[str]) -> None:
    reply = answer(index, question)
    assert reply.answerable
    assert [words for words in told if words not in reply.answer.text] == []


def test_an_answer_is_short(index: Index) -> None:
    for question in ("窓口で工夫している点", "会議で話し合ったこと", "若草市の取組"):
        reply = answer(index, question)
        assert 1 <= len(reply.answer.sentences) <= 2 * SENTENCES
        assert sum(len(s.text) for s in reply.answer.sentences) <= max(
            ANSWER_CHARS, max(len(s.text) for s in reply.answer.sentences)
        )


def test_one_entry_a_case_with_the_reason_it_matches(index: Index) -> None:
    reply = answer(index, "人口5万人未満の団体の事例を見せて")
    assert {(s.label, s.why) for s in reply.answer.sentences} == {
        (CITY, "人口32,000人"),
        (VILLAGE, "人口4,210人"),
    }
    kinds = answer(index, "村の事例を見せて")
    assert [(s.label, s.why) for s in kinds.answer.sentences] == [(VILLAGE, "村")]
    near = answer(index, "うちは5千人の村です。近い団体は？")
    assert near.answer.sentences[0].label == VILLAGE
    assert near.answer.sentences[0].why == "人口4,210人"
    assert (near.filters.near_population, near.filters.from_question) == (5_000, ("near_population",))


def test_no_reason_where_nothing_was_asked_for(index: Index) -> None:
    assert all(s.why is None for s in answer(index, "若草市の電話番号は？").answer.sentences)


def test_both_sides_of_a_comparison(index: Index) -> None:
    reply = answer(index, "若草市と小石原村の人口の違いは？")
    labels = [s.label for s in reply.answer.sentences]
    assert set(labels) == {CITY, VILLAGE}
    assert labels == sorted(labels, key=labels.index)  # one side after the other
    assert "３．２万人" in reply.answer.text
    assert "4,210人" in reply.answer.text


def test_a_follow_up_is_about_the_same_organization(index: Index) -> None:
    reply = answer(index, "担当の電話番号は？", "小石原村の車で回る窓口について")
    assert "0000-22-3333" in reply.answer.text
    assert reply.answer.sentences[0].label == VILLAGE


def test_a_follow_up_to_a_question_that_names_nobody(index: Index) -> None:
    reply = answer(
        index, "そこの電話番号は？", "役場の車が11の集落を回り、証明書を交付しているのはどこの村？"
    )
    assert "0000-22-3333" in reply.answer.text


def test_conditions_that_are_taken_back_are_not_applied(index: Index) -> None:
    question = "人口5万人未満の団体の事例を見せて"
    assert answer(index, question).filters.population_max == 49_999
    free = answer(index, question, without=["population_max"])
    assert (free.filters.population_max, free.filters.from_question) == (None, ())


def test_notes_come_with_the_reply(index: Index) -> None:
    assert answer(index, "窓口", notes=["表を読めません"]).notes == ("表を読めません",)


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (Refusal("no_match", ""), "この質問に当たる記述は見当たりませんでした"),
        (Refusal("no_match", "「それ」が何を指すか"), "「それ」が何を指すかが分かりませんでした"),
        (Refusal("unknown_organization", "浜市についての資料"), "浜市についての資料は"),
        (Refusal("value_not_stated", "金額の記載"), "金額の記載は"),
        (Refusal("filtered_out", "東北"), "条件（東北）"),
    ],
)
def test_a_no_in_words(refused: Refusal, said: str) -> None:
    assert said in refused_text(refused, False)
    assert "お答えではありません" in refused_text(refused, True)
    assert "お答えではありません" not in refused_text(refused, False)


def test_conditions_in_words() -> None:
    assert conditions_text(Filters(regions=("東北",), population_min=10_000, population_max=49_999)) == (
        "東北・人口10,000人以上・人口49,999人以下"
    )
    assert conditions_text(Filters(document_ids=("d",))) == "指定された条件"


CORRECTED = """# 文書整理の計画

## 1 目標

### 1.1 箱の数

紙の文書の箱の数の目標は、令和10年度に500箱とします。

### 1.2 場所

倉庫は庁舎の地下に置きます。

## 2 記録

### 2.1 改めた記録

令和7年7月に、紙の文書の箱の数の目標の誤りを訂正しました（500箱から400箱に）。

### 2.2 ほかの記録

倉庫の鍵の記載を修正しました。
"""


def test_a_later_correction_is_shown_with_what_it_corrects(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "計画.md").write_text(CORRECTED, encoding="utf-8")
    build(tmp_path / "documents", tmp_path / "index", FakeEncoder())
    index = load_current(tmp_path / "index")
    reply = answer(index, "紙の文書の箱の数の目標は令和10年度に何箱ですか")
    assert "令和10年度に500箱" in reply.citations[0].text
    assert "500箱から400箱に" in reply.citations[1].text
    told = [sentence.text for sentence in reply.answer.sentences]
    assert any("500箱とします" in words for words in told)
    assert any("500箱から400箱に" in words for words in told)
    # of something else nothing is corrected: the storeroom has another record
    other = answer(index, "倉庫は庁舎のどこに置きますか")
    assert "地下" in other.citations[0].text
    assert not any("訂正" in sentence.text for sentence in other.answer.sentences)


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("表の誤りを訂正した。", ["表の誤りを訂正した。"]),
        ("前回の回答を取り消します。次に進みます。", ["前回の回答を取り消します。"]),
        ("正しくは12名です。", ["正しくは12名です。"]),
        ("申請を取り消す手続です。", []),
        ("計画を改めて考える。", []),
    ],
)
def test_sentences_that_correct(text: str, corrected: list[str]) -> None:
    assert [text[start:end] for start, end in corrections(text)] == corrected


TOWNS = """# 窓口の例

## 例1 書かない窓口（三重県鳥羽市）

待ち時間が60分を超え、苦情は年40件あった。東金市も待ち時間への苦情を見に来た。

## 例2 道路の通報（千葉県東金市）

通報が年1,145件に増えた。
"""
NOTICE = "# 説明会\n\n東金市 市民課\n\n待ち時間への苦情は213件だった。\n"
UNION = "# 東山広域連合の報告\n\n電算の共同化で4,300万円を節減した。\n"


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("towns")
    (folder / "documents").mkdir()
    for name, text in (("1_例.md", TOWNS), ("2_説明会.md", NOTICE), ("3_報告.md", UNION)):
        (folder / "documents" / name).write_text(text, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    index = load_current(folder / "index")
    assert not index.cases
    return index


def test_what_stands_under_the_name_of_one_town_is_not_anothers(towns: Index) -> None:
    told = answer(towns, "東金市で待ち時間への苦情は何件").answer.sentences
    assert any("213件" in sentence.text for sentence in told)
    assert not any("60分" in sentence.text or "40件" in sentence.text for sentence in told)
    own = answer(towns, "鳥羽市で待ち時間への苦情は何件").answer.sentences
    assert any("40件" in sentence.text for sentence in own)
    # the label says whose section it is; the notice is all of one town's
    assert {sentence.label for sentence in own} == {"三重県鳥羽市"}
    assert {s.label for s in told if s.text == "待ち時間への苦情は213件だった。"} == {None}


def test_a_union_is_not_answered_by_another_one(towns: Index) -> None:
    assert "4,300万円" in answer(towns, "東山広域連合の節減額は").answer.text
    assert answer(towns, "西山広域連合の節減額は").reason == "unknown_organization"
    assert answer(towns, "東山広域連合の人口は何人").reason == "value_not_stated"
