"""What is quoted: lists and tables whole, rows with their heads, speakers by name, contacts together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import FakeEncoder
from made import CASE_BOOK

from corpus.records import Chunk, Field
from index.build import build
from index.store import Index, load_current
from qa.answer import Reply, ask
from qa.quote import (
    LIST_CASES,
    Quotation,
    all_sentences,
    speaker,
    with_contact,
    with_heads,
    with_whole_lists,
)
from qa.understand import understand

PLAN = """# 小石原村の計画

## 守ること

会議で決めた四つの約束を守ります。

1 用紙を増やさない。増やすときは、同じ数だけほかの用紙を減らし、減らした用紙の名前を住民課に届ける
2 説明は一枚にする。一枚に収まらないときは、読む人が誰かをもう一度考え、要らない言葉を消す
3 やめる日を先に決める。半年たっても使う人が増えないときは、その日を待たずに話し合う
4 数えてから話す。件数と時間を二週間だけ記録し、記録したものを会議の前の日までに配る

## 寄附の使いみち

金額の単位は千円です。

| 使いみち | 令和5年度 | 令和6年度 | 決め方 |
|---|---|---|---|
| 子育て | 1,200 | 1,450 | 保護者の会と話し合い、遊具の修理から順に決める |
| 山の手入れ | 380 | 410 | 森林組合の見回りの結果から、急ぐ場所を選ぶ |
| 移動窓口 | 95 | 130 | 集落ごとの利用の数を半年ごとに見て決める |
| 図書館 | 210 | 190 | 利用する人の投票で、買う本の分野を選ぶ |
"""
TALK = """第3回つくし県人材会議議事録

日時	2025年8月4日(月) 10:00~11:00

意見交換

■採用の工夫

(A市)

- ・面接で過去の仕事を話してもらい、応募が増えた。

(B町)

- ・採用の時期を秋に変えて、応募が2倍になった。

(C村)

- ・隣の町と一緒に採用の試験を行った。
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("quote")
    (folder / "documents").mkdir()
    for name, text in (("1_計画.md", PLAN), ("2_議事録.txt", TALK), ("3_事例集.txt", CASE_BOOK)):
        (folder / "documents" / name).write_text(text, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    return load_current(folder / "index")


def quoted(index: Index, question: str, **options: object) -> list[str]:
    reply = ask(index, FakeEncoder(), question, **options)  # type: ignore[arg-type]
    for sentence in reply.answer.sentences:
        assert sentence.text in reply.citations[sentence.citations[0] - 1].text
    return [sentence.text for sentence in reply.answer.sentences]


def test_a_list_is_quoted_whole(index: Index) -> None:
    told = quoted(index, "守る約束を四つとも一覧にして")
    for item in ("用紙を増やさない", "説明は一枚にする", "やめる日を先に決める", "数えてから話す"):
        assert any(item in sentence for sentence in told), item
    assert told.index("会議で決めた四つの約束を守ります。") < next(
        i for i, s in enumerate(told) if "用紙を" in s
    )


def lines_of(index: Index, words: str) -> list[Quotation]:
    """The lines of the passage that holds some words."""
    return all_sentences(next(chunk for chunk in index.chunks if words in chunk.text))


def one(lines: list[Quotation], words: str) -> Quotation:
    return next(line for line in lines if words in line.text)


def test_a_row_comes_with_its_unit_and_the_names_of_its_columns(index: Index) -> None:
    lines = lines_of(index, "移動窓口 | 95")
    unit, head, row = (one(lines, words) for words in ("単位は千円", "使いみち | 令和5", "移動窓口 | 95"))
    assert with_heads(index, [row]) == [unit, head, row]
    assert with_heads(index, [head, row]) == [unit, head, row]  # what is quoted is not quoted twice
    other = one(lines_of(index, "会議で決めた"), "会議で決めた")
    assert with_heads(index, [other]) == [other]


def test_a_list_and_a_part_of_a_list(index: Index) -> None:
    lines = lines_of(index, "会議で決めた")
    lead, items = (
        one(lines, "会議で決めた"),
        [one(lines, words) for words in ("1 用紙", "2 説明", "3 やめる", "4 数えて")],
    )
    listed, told = understand("約束を全部挙げて"), understand("約束はなぜできましたか")
    assert (listed.shape, told.shape) == ("list", "text")
    between = [
        line for line in lines if lead.start <= line.start <= items[-1].end
    ]  # an item of two sentences
    assert with_whole_lists(index, listed, [items[2]]) == between
    assert with_whole_lists(index, told, [items[2]]) == [items[2]]
    assert with_whole_lists(index, told, [items[0], items[2]]) == [line for line in between if line != lead]


def test_a_contact_leaves_out_what_was_not_asked_for(index: Index) -> None:
    call = one(lines_of(index, "0000-22-3333"), "0000-22-3333")
    other = one(lines_of(index, "会議で決めた"), "会議で決めた")
    assert call.text == "電話 0000-22-3333"
    only = with_contact(index, understand("電話番号は？"), [other, call])
    assert [line.text for line in only] == ["小石原村住民課くらし係", "電話 0000-22-3333"]
    both = with_contact(index, understand("電話番号と費用はいくら？"), [other, call])
    assert both == [*only, other]
    assert with_contact(index, understand("電話番号は？"), [other]) == [other]


def test_who_said_what_is_shown(index: Index) -> None:
    reply = ask(index, FakeEncoder(), "採用の工夫を話した団体はどこ？")
    said = {
        s.label: [t.text for t in reply.answer.sentences if t.label == s.label]
        for s in reply.answer.sentences
    }
    assert said["A市"][0] == "(A市)"
    assert "応募が増えた。" in said["A市"][1]
    assert "応募が2倍になった。" in said["B町"][1]
    assert "採用の試験を行った。" in said["C村"][1]


def test_a_contact_is_one_card_of_what_the_case_states(index: Index) -> None:
    reply = ask(index, FakeEncoder(), "若草市の窓口の問い合わせ先は？")
    contact = reply.answer.contact
    assert contact is not None
    assert (contact.organization, contact.department) == ("つくし県若草市", "若草市市民部窓口課")
    assert (contact.phone, contact.email) == ("0000-11-2222", "window@city.example.jp")
    held = reply.citations[contact.citation - 1].text
    assert all(value in held for value in (contact.department, contact.phone, contact.email))


def test_what_a_contact_does_not_state_is_none(index: Index) -> None:
    reply = ask(index, FakeEncoder(), "小石原村の電話番号は？")
    contact = reply.answer.contact
    assert contact is not None
    assert (contact.phone, contact.email) == ("0000-22-3333", None)
    assert {"小石原村住民課くらし係", "電話 0000-22-3333"} <= {s.text for s in reply.answer.sentences}


def test_a_card_holds_only_what_its_citation_shows(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in index.cases.values() if case.organization == "つくし県若草市")
    elsewhere = {**case.fields, "department": Field("窓口の事例集", 0, 6)}
    monkeypatch.setitem(index.cases, case.id, replace(case, fields=elsewhere))
    contact = ask(index, FakeEncoder(), "若草市の窓口の問い合わせ先は？").answer.contact
    assert contact is not None
    assert (contact.department, contact.phone) == (None, "0000-11-2222")


def test_no_card_where_no_contact_is_asked_for_or_stated(index: Index) -> None:
    assert ask(index, FakeEncoder(), "若草市の待ち時間は？").answer.contact is None
    assert ask(index, FakeEncoder(), "つくし県の電話番号は？").answer.contact is None


@pytest.mark.parametrize(
    ("question", "phone"),
    [
        ("来庁の前に予約を受ける取組に電話したい", "0000-11-2222"),
        ("集落を回って証明書を交付する車のことは何番に電話する？", "0000-22-3333"),
    ],
)
def test_the_contact_of_the_case_that_a_thing_belongs_to(index: Index, question: str, phone: str) -> None:
    contact = ask(index, FakeEncoder(), question).answer.contact
    assert contact is not None
    assert contact.phone == phone


def all_cases(tmp_path: Path, count: int) -> Index:
    rows = "".join(
        f"| {n} 窓口の改革その{n} | 【つくし県第{n}村】 | ① | … | {n + 2} |\n" for n in range(1, count + 1)
    )
    cases = "".join(
        f"{n} 窓口の改革その{n}【つくし県第{n}村】\n\n事業の概要\n\n- 窓口の数を{n}つにした。\n\n"
        f"【参考情報】 第{n}村人口：{1000 + n}人（令和7年1月1日現在）\n\n"
        for n in range(1, count + 1)
    )
    text = f"窓口の事例集\n\n事例集 目次\n\n【凡例】\n① : 人口1万人未満の団体\n\n① 窓口\n\n{rows}\n{cases}"
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "事例集.txt").write_text(text, encoding="utf-8")
    build(tmp_path / "documents", tmp_path / "index", FakeEncoder())
    return load_current(tmp_path / "index")


def test_all_cases_that_meet_a_condition_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qa.select.POOL", 7)  # what is near enough to be looked at
    count = LIST_CASES + 3
    index = all_cases(tmp_path, count)
    assert len(index.cases) == count

    def labels(reply: Reply) -> set[str | None]:
        return {sentence.label for sentence in reply.answer.sentences}

    question = "人口1005人以上の団体の事例を見せて"
    few = ask(index, FakeEncoder(), question, top_k=5)
    assert len(few.citations) == len(labels(few)) == 5
    assert few.notes == (
        f"当てはまる事例は{count - 4}件あり、そのうち5件を示しています。条件を足すと絞り込めます。",
    )
    whole = ask(index, FakeEncoder(), question, top_k=5, most=LIST_CASES)
    assert labels(whole) == {f"つくし県第{n}村" for n in range(5, count + 1)}
    assert whole.notes == ()
    more = ask(index, FakeEncoder(), "事例集に載っている団体の一覧", most=LIST_CASES)
    assert len(labels(more)) == LIST_CASES
    assert f"{count}件あり、そのうち{LIST_CASES}件" in more.notes[0]
    one = ask(index, FakeEncoder(), "窓口の数を7つにしたのは？", top_k=5, most=LIST_CASES)
    assert len(one.citations) == 5


@pytest.mark.parametrize(
    ("line", "quoted_as"),
    [
        ("- 早く着いた", "早く着いた"),
        ("・早く着いた", "早く着いた"),
        ("# 見出しの文", "見出しの文"),
        ("> 引いた文", "引いた文"),
        ("| 甲 | 1 |", "| 甲 | 1 |"),  # a row
        ("|  | 5 | 8 |", "|  | 5 | 8 |"),  # its first cell is empty
        ("\t5\t6", "\t5\t6"),
        ("-3.2%の減少となった。", "-3.2%の減少となった。"),
        ("● 図書館の予約", "● 図書館の予約"),  # done, or planned
        ("※ 税抜の額", "※ 税抜の額"),
    ],
)
def test_marks_that_mean_something_stay(line: str, quoted_as: str) -> None:
    text = f"前の行です。\n{line}\n後の行です。"
    chunk = Chunk("c", "d", None, ("見出し",), None, 1, 3, 100, 100 + len(text), text)
    (found,) = [s for s in all_sentences(chunk) if s.text.strip("|\t ") in line and "行です" not in s.text]
    assert found.text == quoted_as
    assert text[found.start - 100 : found.end - 100] == quoted_as


def test_each_table_has_its_own_unit_and_head(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    one = "単位：千円\n\n課\t令和6年度\n窓口課\t120\n税務課\t90"
    two = "単位：人\n\n課\t令和6年度\n窓口課\t12\n税務課\t9"
    chunk = Chunk("c", "d", None, ("表",), None, 1, 9, 0, len(f"{one}\n\n{two}"), f"{one}\n\n{two}")
    monkeypatch.setattr(Index, "chunk", lambda self, chunk_id: chunk)
    money, people = (s for s in all_sentences(chunk) if s.text.startswith("窓口課"))
    assert [s.text for s in with_heads(index, [money])] == ["単位：千円", "課\t令和6年度", "窓口課\t120"]
    assert [s.text for s in with_heads(index, [people])] == ["単位：人", "課\t令和6年度", "窓口課\t12"]
    rest = replace(chunk, text="税務課\t90\n住民課\t70\n福祉課\t60", context="課 令和6年度")
    monkeypatch.setattr(Index, "chunk", lambda self, chunk_id: rest)
    last = all_sentences(rest)[-1]
    assert with_heads(index, [last]) == [last]  # the head stands in the passage before


def test_several_speakers_in_one_passage() -> None:
    text = "(赤山市)\n- 早く始めたい。\n(黒谷町)\n- 利用料は高い。"
    chunk = Chunk("c", "d", None, ("意見交換", "(赤山市)"), None, 1, 4, 10, 10 + len(text), text)
    said = {s.text: speaker(chunk, s.start) for s in all_sentences(chunk)}
    assert (said["早く始めたい。"], said["利用料は高い。"]) == ("赤山市", "黒谷町")
    assert speaker(chunk) == "赤山市"
    assert speaker(replace(chunk, heading_path=("意見交換",)), 12) is None


def test_of_a_named_organization_no_other_is_listed(index: Index) -> None:
    reply = ask(index, FakeEncoder(), "若草市の事例を見せて。連絡先を教えて")
    assert {s.label for s in reply.answer.sentences} == {"つくし県若草市"}
    assert reply.answer.contact is None or reply.answer.contact.organization == "つくし県若草市"


def test_a_sentence_that_stands_twice_is_quoted_once(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    text = "# 案内\n\n## 受付の時間\n\n" + "窓口の受付は9時からです。\n\n" * 4
    (tmp_path / "documents" / "a.md").write_text(text, encoding="utf-8")
    build(tmp_path / "documents", tmp_path / "index", FakeEncoder())
    told = quoted(load_current(tmp_path / "index"), "窓口の受付は何時から？")
    assert told.count("窓口の受付は9時からです。") == 1


def test_whom_to_call_is_not_answered_by_whoever_is_nearest(index: Index) -> None:
    nobody = ask(index, FakeEncoder(), "山田さんに相談したいのですが電話番号は？")
    assert (nobody.answerable, nobody.answer.contact) == (False, None)


def test_municipalities_of_a_prefecture_that_has_a_case_itself(index: Index) -> None:
    reply = ask(index, FakeEncoder(), "つくし県の町村の事例を見せて")
    assert {s.label for s in reply.answer.sentences} == {"つくし県小石原村"}


def test_a_summary_keeps_to_its_case(index: Index) -> None:
    reply = ask(index, FakeEncoder(), "小石原村の事例を要約して", top_k=20)
    assert {s.label for s in reply.answer.sentences} == {"つくし県小石原村"}


def test_of_a_record_its_line_is_quoted_and_not_its_title(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    rows = ["件名,担当,本文"]
    rows += [f"第{n}回 木工の会,公民館,集まりの{n}回目です。" for n in range(1, 4)]
    rows.append(
        '落ち葉の回収!秋の部,環境課,"集めた落ち葉は堆肥になります。\n回収の日は11月9日です。\n袋は市役所で配ります。\n雨の日は翌週に延びます。"'
    )
    (tmp_path / "documents" / "知らせ.csv").write_text("\n".join(rows), encoding="utf-8")
    build(tmp_path / "documents", tmp_path / "index", FakeEncoder())
    index = load_current(tmp_path / "index")
    reply = ask(index, FakeEncoder(), "落ち葉の回収の日はいつですか")
    assert reply.answerable
    quoted = [s.text for s in reply.answer.sentences]
    assert "回収の日は11月9日です。" in quoted
    assert not any("件名" in line or line == "秋の部" for line in quoted)
    assert reply.citations[0].heading_path == ("落ち葉の回収!秋の部",)


LONG_TABLE = "\n".join(
    f"| {n} | 機器{n:02}号（型式K{n * 7}） | {n % 3 + 2}分の1 | {n * 3}万円 |" for n in range(1, 46)
)
RULES = f"""# 整備の要綱

補助金の額は1件につき80万円までとする。

## 第2条 対象者

1. 市内に住む個人
2. 市内に事業所のある法人

## 第3条 補助の対象となる機器

| 番号 | 機器の種類 | 補助率 | 上限額 |
|---|---|---|---|
{LONG_TABLE}
"""
OFFICES = "# 電話の一覧\n\n## 総務課\n\n0000-25-1101\n\n## 税務課\n\n0000-25-1131\n"
ROOMS = "施設,室,料金（円）,予約率\n会館,大ホール,32000,81%\n会館,練習室,1500,64%\n市民の家,会議室1,800,92%\n"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "documents").mkdir()
    for name, text in (("1_要綱.md", RULES), ("2_電話.md", OFFICES)):
        (folder / "documents" / name).write_text(text, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    return load_current(folder / "index")


@pytest.mark.parametrize(
    ("question", "row"),
    [
        (
            "機器03号の補助率は",
            "| 3 | 機器03号（型式K21） | 2分の1 | 9万円 |",
        ),  # with its head in one passage
        ("機器23号の補助率は", "| 23 | 機器23号（型式K161） | 4分の1 | 69万円 |"),
        ("機器30号の上限額はいくら", "| 30 | 機器30号（型式K210） | 2分の1 | 90万円 |"),
    ],
)
def test_of_a_long_table_the_row_that_is_named_is_quoted_with_its_head(
    rules: Index, question: str, row: str
) -> None:
    told = quoted(rules, question)
    assert [line for line in told if line.startswith("|")] == ["| 番号 | 機器の種類 | 補助率 | 上限額 |", row]


def test_of_a_long_table_no_row_is_singled_out_where_none_is_named(rules: Index) -> None:
    assert len([line for line in quoted(rules, "機器の補助率は") if line.startswith("|")]) > 2


def test_a_question_that_ends_in_a_heading_asks_for_what_stands_under_it(rules: Index) -> None:
    assert quoted(rules, "整備の要綱の補助の対象者は") == ["1. 市内に住む個人", "2. 市内に事業所のある法人"]


def test_a_value_stands_with_what_it_is_of(rules: Index) -> None:
    assert quoted(rules, "税務課の電話番号は") == ["税務課", "0000-25-1131"]


def test_a_record_stands_with_its_name_and_without_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "予約.csv").write_text(ROOMS, encoding="utf-8")
    build(tmp_path / "documents", tmp_path / "index", FakeEncoder())
    index = load_current(tmp_path / "index")
    told = quoted(index, "予約率が92%の部屋は")
    assert told.index("室：会議室1") < told.index("予約率：92%")
    assert not any("81%" in line or "64%" in line for line in told)
    # who names the room need not be told its name
    assert "室：練習室" not in quoted(index, "練習室の料金はいくら")
