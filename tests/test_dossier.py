"""Dossiers: what is taken along of an answer, a case and a comparison; on made-up cases, minutes and a FAQ."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from conftest import FakeEncoder
from made import CASE_BOOK, FAQ, MINUTES

from index.build import build
from index.store import Index, load_current
from qa import dossier
from qa.answer import ask
from qa.catalog import case_entry
from qa.comparison import compare
from qa.dossier import Dossier, Occasion, Source, of_case, of_comparison, of_reply
from qa.understand import Filters

WHEN = datetime(2026, 11, 21, 9, 5, tzinfo=timezone(timedelta(hours=9)))
OCCASION = Occasion(WHEN, "http://10.0.0.1:8000/?q=x", "http://10.0.0.1:8000")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("dossier")
    (folder / "documents").mkdir()
    for name, text in (("1_事例集.txt", CASE_BOOK), ("2_議事録.txt", MINUTES), ("3_FAQ.md", FAQ)):
        (folder / "documents" / name).write_text(text, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    return load_current(folder / "index")


def answered(index: Index, question: str, *history: str, **more: object) -> Dossier:
    reply = ask(index, FakeEncoder(), question, history=history, top_k=8, most=20, **more)  # type: ignore[arg-type]
    made = of_reply(index, reply, OCCASION, history=history)
    assert {s.number: s.quotation for s in made.sources} == {c.id: c.text for c in reply.citations}
    return checked(index, made)


def checked(index: Index, made: Dossier) -> Dossier:
    """A dossier of which every quotation is a slice, and every number leads to a source."""
    for source in made.sources:
        assert (
            index.documents[source.document_id].text[source.char_start : source.char_end] == source.quotation
        )
        assert f"start={source.char_start}&end={source.char_end}" in said(source)["アドレス"]
        lines = index.documents[source.document_id].text.split("\n")
        first, _, last = said(source)["本文の行"].replace("行目", "").partition("～")
        assert source.quotation in "\n".join(lines[int(first) - 1 : int(last or first)])
    assert sorted(s.number for s in made.sources) == list(range(1, len(made.sources) + 1))
    quoted = {s.number: s.quotation for s in made.sources}
    for section in made.sections:
        for sentence in section.sentences:
            assert all(sentence.text in quoted[number] for number in sentence.numbers)
        for row in section.rows:
            for value in row.values:
                assert value.number is None or value.number in quoted
                assert len(row.values) == len(section.columns)
    return made


def said(source: Source) -> dict[str, str]:
    return {fact.label: fact.value for fact in source.facts}


def facts(made: Dossier) -> dict[str, str]:
    return {fact.label: fact.value for fact in made.facts}


def case_of(index: Index, organization: str) -> str:
    return next(case.id for case in index.cases.values() if case.organization == organization)


def test_an_answer_with_its_sources_and_how_to_repeat_it(index: Index) -> None:
    made = answered(index, "そこの担当部署の電話番号は？", "若草市の窓口について教えて")
    assert (made.kind, made.title, made.reference) == ("回答", "そこの担当部署の電話番号は？", False)
    answer, contact = made.sections
    assert answer.heading == "回答"
    assert "0000-11-2222" in " ".join(s.text for s in answer.sentences)
    assert answer.sentences[0].label == "つくし県若草市"
    assert [(row.label, row.values[0].words) for row in contact.rows] == [
        ("団体", "つくし県若草市"),
        ("担当部署", "若草市市民部窓口課"),
        ("電話", "0000-11-2222"),
        ("メール", "window@city.example.jp"),
    ]
    first = said(made.sources[0])
    assert {k: first[k] for k in ("資料", "ファイル", "形式", "箇所", "参照日", "扱い")} == {
        "資料": "窓口の事例集",
        "ファイル": "1_事例集.txt",
        "形式": "テキスト",
        "箇所": "p.4",
        "参照日": "2026年11月21日",
        "扱い": "回答に引用した記述",
    }
    assert "事例1　用紙をなくした総合窓口" in first["事例"]
    assert first["見出し"].startswith("【1.窓口】 ＞ ") or " ＞ " in first["見出し"]
    assert first["アドレス"].startswith("http://10.0.0.1:8000/documents/")
    spans = [made.sources[0].quotation[start:end] for start, end in made.sources[0].quoted]
    assert sorted(spans) == sorted(s.text for s in answer.sentences if 1 in s.numbers)
    told = facts(made)
    assert told["質問"] == "そこの担当部署の電話番号は？"
    assert told["これまでの質問"] == "1. 若草市の窓口について教えて"
    assert told["取り出した日時"] == "2026年11月21日 9時05分"
    assert told["索引の版"] == index.version
    assert told["埋め込みモデル"] == "fake"
    assert told["アドレス"] == OCCASION.address
    assert list(told)[-1] == "再現のしかた"
    cited = {number for sentence in answer.sentences for number in sentence.numbers}
    assert [part for part, _ in made.parts()] == ["出典", "そのほかの近い記述"]
    assert {source.number for source in made.parts()[0][1]} == cited
    assert {said(source)["扱い"] for source in made.parts()[1][1]} == {"近い記述（回答には引用していません）"}


def test_the_moment_an_index_was_built_is_told_in_the_time_of_the_place(index: Index) -> None:
    manifest = {**index.manifest, "built_at": "2026-11-20T15:30:00+00:00"}
    reply = ask(index, FakeEncoder(), "若草市の電話番号は？")
    moved = of_reply(_with(index, manifest), reply, OCCASION)
    assert facts(moved)["索引の作成日時"] == "2026年11月21日 0時30分"


def _with(index: Index, manifest: dict[str, object]) -> Index:
    class Moved:
        def __getattr__(self, name: str) -> object:
            return manifest if name == "manifest" else getattr(index, name)

    return Moved()  # type: ignore[return-value]


def test_what_is_cited_comes_first_and_keeps_its_number(index: Index) -> None:
    reply = ask(index, FakeEncoder(), "手数料はどのように払いますか？", top_k=4)
    third = replace(reply.answer.sentences[0], text=reply.citations[2].text, citations=(3,))
    made = of_reply(index, replace(reply, answer=replace(reply.answer, sentences=(third,))), OCCASION)
    assert [source.number for source in made.sources] == [3, 1, 2, 4]
    assert [(part, len(sources)) for part, sources in made.parts()] == [
        ("出典", 1),
        ("そのほかの近い記述", 3),
    ]


def test_blanks_around_a_quotation_belong_to_it(index: Index) -> None:
    reply = ask(index, FakeEncoder(), "手数料はどのように払いますか？", top_k=8)
    citation = next(c for c in reply.citations if c.char_start > 2)
    text = index.documents[citation.document_id].text
    wider = replace(citation, id=1, char_start=text.rindex("\n", 0, citation.char_start), highlights=())
    (source,) = of_reply(index, replace(reply, citations=(wider,)), OCCASION).sources
    assert source.quotation == text[wider.char_start : wider.char_end]
    assert source.quotation.startswith("\n")


def test_no_says_no_and_calls_the_nearest_passages_a_reference(index: Index) -> None:
    made = answered(index, "札幌市の予算は？")
    assert made.reference
    assert made.sections[0].heading == "資料の中に答えが見つかりませんでした"
    assert "札幌市" in made.sections[0].lines[0]
    assert made.sections[0].sentences == ()
    assert [part for part, _ in made.parts()] == ["参考：近い記述（答えではありません）"]
    assert made.mark(2) == "参考2"
    assert {said(source)["扱い"] for source in made.sources} == {"参考（答えではありません）"}


def test_conditions_in_words(index: Index) -> None:
    document = next(d for d in index.documents.values() if d.title == "窓口の事例集")
    village = case_of(index, "つくし県小石原村")
    filters = Filters(
        document_ids=(document.id,), case_ids=(village, "なくなった事例"), population_max=50_000
    )
    made = answered(index, "村の事例を見せて", filters=filters)
    assert facts(made)["探した条件"].split("\n") == [
        "団体の種類：村（質問から読み取り）",
        "人口（以下）：50,000人",
        "資料：窓口の事例集",
        "事例：事例2　車で回る窓口（つくし県小石原村）、なくなった事例",
    ]
    none = answered(index, "手数料はどのように払いますか？")
    assert facts(none)["探した条件"] == "なし（すべての資料から探しました）"
    reply = ask(index, FakeEncoder(), "村の事例を見せて", without=("organization_kinds",))
    without = of_reply(index, reply, OCCASION, without=("organization_kinds",))
    assert facts(without)["質問から読み取らなかった条件"] == "団体の種類"


def test_what_the_service_could_not_do_is_taken_along(index: Index) -> None:
    reply = ask(
        index, FakeEncoder(), "手数料はどのように払いますか？", notes=("同義語の表に誤りがあります。",)
    )
    assert "同義語の表に誤りがあります。" in of_reply(index, reply, OCCASION).sections[0].lines


def test_a_case_with_every_field_and_every_passage(index: Index) -> None:
    entry = case_entry(index.cases[case_of(index, "つくし県若草市")])
    made = checked(index, of_case(index, entry, OCCASION))
    assert made.title == "事例1　用紙をなくした総合窓口(WEB予約)（つくし県若草市）"
    rows = {row.label: row.values[0] for row in made.sections[0].rows}
    assert (rows["人口"].words, rows["人口"].note) == ("32,000人", "原文：３．２万人")
    assert rows["電話"].words == "0000-11-2222"
    assert rows["関連URL"].words == "https://www.city.example.jp/window/"
    quoted = {source.number: source for source in made.sources}
    for label, words in (("電話", "0000-11-2222"), ("人口", "３．２万人"), ("関連URL", "https://www")):
        number = rows[label].number
        assert number is not None
        assert words in quoted[number].quotation
    passages = [chunk for chunk in index.chunks if chunk.case_id == entry.id]
    assert [s.quotation for s in made.sources][: len(passages)] == [chunk.text for chunk in passages]
    assert len({(s.document_id, s.char_start, s.char_end) for s in made.sources}) == len(made.sources)
    # the range of population stands in the legend, which belongs to no passage of the case
    band = quoted[rows["人口規模"].number or 0]
    assert band.quotation.strip() == "⑤ : 人口1万人以上5万人未満の団体"
    assert "事例" not in said(band)


def test_what_a_case_does_not_state_is_none(index: Index) -> None:
    made = of_case(index, case_entry(index.cases[case_of(index, "つくし県小石原村")]), OCCASION)
    rows = {row.label: row.values[0] for row in made.sections[0].rows}
    assert rows["メール"].words is None
    assert rows["メール"].number is None


def test_a_case_of_many_passages_says_what_it_leaves_out(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dossier, "MOST_SOURCES", 2)
    made = checked(index, of_case(index, case_entry(index.cases[case_of(index, "つくし県若草市")]), OCCASION))
    assert len(made.sources) == 2
    assert "はじめの2件" in made.sections[0].lines[0]
    assert "残りの" in made.sections[0].lines[0]


def test_a_comparison_has_a_column_a_case_and_the_places_of_its_cells(index: Index) -> None:
    ids = [case_of(index, name) for name in ("つくし県小石原村", "つくし県若草市")]
    comparison = compare(index, ids)
    made = checked(index, of_comparison(index, comparison, OCCASION))
    (section,) = made.sections
    assert section.columns == ("つくし県小石原村（事例2）", "つくし県若草市（事例1）")
    rows = {row.label: row.values for row in section.rows}
    assert [value.words for value in rows["事例名"]] == ["車で回る窓口", "用紙をなくした総合窓口(WEB予約)"]
    assert [value.words for value in rows["電話"]] == ["0000-22-3333", "0000-11-2222"]
    assert rows["メール"][0].words is None
    assert not [label for label in rows if label.isascii()], "names of fields are Japanese"
    quoted = {source.number: source.quotation for source in made.sources}
    for row in section.rows[1:]:
        for value in row.values:
            if value.words is not None:
                assert value.words in quoted[value.number or 0]
    assert len(facts(made)["比べた事例"].split("\n")) == 2


def test_a_field_in_a_long_line_is_quoted_with_what_is_near(index: Index) -> None:
    text = "あ" * 3_000 + "0000-11-2222" + "い" * 3_000 + "\n次の行"
    begin, end = dossier._line(text, 3_000, 3_012)
    assert (begin, end) == (3_000 - dossier.LINE_CHARS, 3_012 + dossier.LINE_CHARS)
    assert dossier._line("前\n中の行\n後", 3, 4) == (2, 5)
    assert dossier._line("前\n中の\n二行\n後", 3, 6) == (2, 7)
    assert dossier._line("前\n中の行", 3, 4) == (2, 5)


def test_an_answer_without_sentences_still_says_it(index: Index) -> None:
    reply = ask(index, FakeEncoder(), "手数料はどのように払いますか？")
    bare = replace(reply, answer=replace(reply.answer, sentences=(), text="払えます。", contact=None))
    made = of_reply(index, bare, OCCASION)
    assert [s.text for s in made.sections[0].sentences] == ["払えます。"]


def test_days_and_moments_in_words() -> None:
    assert dossier.day_words(WHEN) == "2026年11月21日"
    assert dossier.moment_words(WHEN) == "2026年11月21日 9時05分"
