"""Chunks: slices in order over generated documents, and by hand what stays whole and what goes with what."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.chunks import LEAST_LETTERS, MAX_CHARS, MAX_CONTEXT, TAIL, passage_of
from corpus.documents import parse
from corpus.text import searchable

ONE = "1 書かない窓口を始める【みずほ県青葉野市】"
TWO = "2 移動窓口車で集落を巡回【みずほ県霧ヶ沢村】"
SENTENCE = "住民が窓口で書く用紙をなくし、職員が聞き取って手続を進めるようにしました。"
LONGEST = 90  # characters of the longest line below
LINES = [
    "",
    "",
    "",
    "　",
    "# 計画の全体",
    "## 窓口の方針",
    "第1章 体制",
    "1. 目的",
    "■ねらい",
    "【全体像】",
    "事業の概要",
    "今後の展望を教えてください。",
    "(青葉野市)",
    "(みずほ県)",
    ONE,
    TWO,
    "3 県と市町村でデータを共有【みずほ県】",
    SENTENCE,
    f"{SENTENCE}待つ時間は半分（三十分から十五分）になりました。",
    "県としてはどのように市町村を支える考えなのか、教えてほしい。",
    "- 窓口を一つにまとめ、手続を職員が案内します",
    "・研修は年に三回、全ての職員が受けます",
    "① 申請を受け付ける課を決めます",
    "| 年度 | 件数 | 担当 |",
    "|---|---|---|",
    "| 令和5年度 | 1,200件 | 窓口課の職員が受けた数 |",
    "区分\t令和5年度\t令和6年度",
    "寄附の件数\t1,200\t3,400",
    "【担当部署】 窓口課（電話：000-000-0000、メール：mado@example.jp）",
    "関連URL：窓口の改善（<https://www.example.jp/mado/>）",
    "- 3 -",
    "目次",
    "1. 目的 …… 3",
    "都道府県がある程度の専門人材を確保し、市町村の窓口を助ける仕組みづくりを県の予算で（人",
]


def chunks_of(text, path="a.txt", **options):
    return parse(path, text.encode(), **options).chunks


def chunk_with(text, words, path="a.txt"):
    """The one chunk that holds these words."""
    (found,) = [chunk for chunk in chunks_of(text, path) if words in chunk.text]
    return found


# ---------------------------------------------------------------- what holds for every document


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(LINES), min_size=1, max_size=60).filter(lambda lines: "".join(lines).strip()),
    st.sampled_from([80, 200, MAX_CHARS]),
)
def test_chunks_are_slices_in_order(lines, max_chars):
    text = "\n".join(lines)
    found = parse("a.txt", text.encode(), max_chars=max_chars)
    assert found.document.text == text
    titles = {case.start for case in found.cases}
    for chunk in found.chunks:
        assert text[chunk.start : chunk.end] == chunk.text == chunk.text.strip() != ""
        assert chunk.line_start == text[: chunk.start].count("\n") + 1
        assert chunk.line_end == chunk.line_start + chunk.text.count("\n")
        assert not [start for start in titles if chunk.start < start < chunk.end]
        # a case's title and two headings may stand before the first unit
        assert len(searchable(chunk.text)) <= max_chars * TAIL + 5 * LONGEST
        assert len(chunk.context) <= 2 * MAX_CONTEXT + 1
    for before, after in pairwise(found.chunks):
        assert before.end <= after.start
    assert len({chunk.id for chunk in found.chunks}) == len(found.chunks)
    by_id = {case.id: case for case in found.cases}
    for chunk in found.chunks:
        if chunk.case_id is not None:
            assert by_id[chunk.case_id].start <= chunk.start < chunk.end <= by_id[chunk.case_id].end
        else:
            assert not [case for case in found.cases if case.start <= chunk.start < case.end]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.sampled_from([100, MAX_CHARS]))
def test_no_sentence_is_cut_or_lost(lengths, max_chars):
    sentences = [f"第{i}の文は" + "長く" * length + "続きます。" for i, length in enumerate(lengths)]
    text = "# 計画\n\n## 方針\n\n" + "".join(sentences) + "\n"
    chunks = chunks_of(text, max_chars=max_chars)
    for sentence in sentences:
        assert sum(sentence in chunk.text for chunk in chunks) == 1
    longest = max(map(len, sentences))
    fragment = 2 * LEAST_LETTERS  # a last sentence too short to be a chunk stays with the one before it
    for chunk in chunks:
        assert len(searchable(chunk.text)) <= max(max_chars * TAIL, max_chars / 4 + longest) + 10 + fragment


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.sampled_from(["| {} |", "{}"]))
def test_no_row_is_cut_and_every_piece_knows_its_header(count, form):
    separator = " | " if "|" in form else "\t"

    def row(*cells):
        return form.format(separator.join(cells))

    rows = [row(f"第{i}の事業の名前", f"{i},000千円", "担当は窓口課の職員です") for i in range(count)]
    header = row("事業", "金額", "担当")
    chunks = chunks_of("\n".join(["# 費用", "", header, *rows, ""]))
    for line in rows:
        assert sum(line in chunk.text for chunk in chunks) == 1
    first, *others = chunks
    assert header in first.text
    assert rows[0] in first.text
    assert first.context == ""
    for chunk in others:
        assert chunk.context == "事業 金額 担当"
        assert header not in chunk.text


# ---------------------------------------------------------------- what stays whole


def test_a_full_stop_inside_brackets_ends_no_sentence():
    quoted = "町長は「まず一年やってみる。だめなら戻す。それでよい。」と述べ（議会でも同じ話をした。）、始めました。"
    text = "# 計画\n\n" + (SENTENCE * 4 + quoted) * 5 + "\n"
    chunks = chunks_of(text)
    assert len(chunks) > 1
    assert sum(chunk.text.count(quoted) for chunk in chunks) == 5


def test_a_bullet_keeps_the_lines_under_it():
    item = "- 窓口を一つにまとめ、手続の案内を\n  職員が行うようにして、待つ時間を半分に減らす"
    chunks = chunks_of("# 計画\n\n" + "\n".join([item] * 20) + "\n")
    assert len(chunks) > 1
    assert sum(chunk.text.count(item) for chunk in chunks) == 20


def test_a_sentence_broken_over_a_page_stays_whole():
    first = "都道府県がある程度の専門人材を確保し（人"
    text = f"# 議事の録\n\n■人材\n\n{SENTENCE * 9}県と市町村が連携した体制をつくるために、{first}\n\n材プール）、市町村を助ける仕組みをつくる。\n\n{SENTENCE * 9}\n"
    assert "（人\n\n材プール）、市町村を" in chunk_with(text, first).text


def test_a_paragraph_that_ends_is_no_broken_sentence():
    text = f"# 録\n\n■人材\n\n{SENTENCE * 10}\n\n{SENTENCE * 10}\n"
    assert all(chunk.text.endswith("。") for chunk in chunks_of(text))


def test_a_short_rest_joins_the_piece_before_it():
    text = f"# 計画\n\n{SENTENCE * 10}これで終わりです。\n"
    assert len(searchable(SENTENCE * 10)) < MAX_CHARS * TAIL - 30
    (chunk,) = chunks_of(text)
    assert chunk.text.endswith("これで終わりです。")


def test_no_sentence_is_so_long_that_it_makes_an_endless_chunk():
    text = "# 計画\n\n" + "長い一覧、" * 2000 + "\n"
    chunks = chunks_of(text)
    assert max(len(chunk.text) for chunk in chunks) <= 1300
    assert sum(chunk.text.count("長い一覧、") for chunk in chunks) == 2000


# ---------------------------------------------------------------- questions and answers

TALK = f"# 議事の録\n\n■費用\n\n(青葉野市)\n\n{SENTENCE}利用料はいくらになるのか教えてほしい。\n\n(みずほ県)\n\n月に八千円です。県が半分を持ちます。\n"


def test_a_speakers_question_goes_with_its_answer():
    chunk = chunk_with(TALK, "月に八千円")
    assert "利用料はいくらになるのか" in chunk.text
    assert chunk.heading_path[-1] == "(みずほ県)"
    assert chunk.text.index("(青葉野市)") < chunk.text.index("(みずほ県)")


def test_the_later_pieces_of_a_long_answer_have_the_question_as_context():
    text = TALK.replace("月に八千円です。", SENTENCE * 30)
    first, *others = [chunk for chunk in chunks_of(text) if SENTENCE in chunk.text]
    assert "利用料はいくら" in first.text
    assert others
    assert all("利用料はいくらになるのか" in chunk.context for chunk in others)


def test_only_the_end_of_a_long_speech_goes_with_the_answer():
    speech = "".join(
        f"本市では第{i}の事業を進めており、職員が足りないという悩みがあります。" for i in range(60)
    )
    text = TALK.replace(SENTENCE, speech)
    chunks = chunks_of(text)
    assert all(len(searchable(chunk.text)) <= MAX_CHARS * TAIL + 100 for chunk in chunks)
    answer = chunk_with(text, "月に八千円")
    assert "利用料はいくらになるのか" in answer.text
    assert [chunk for chunk in chunks if "第0の事業" in chunk.text and "(青葉野市)" in chunk.text]
    assert all(sum(f"第{i}の事業" in chunk.text for chunk in chunks) == 1 for i in range(60))


def test_a_question_under_another_heading_does_not_wait():
    text = TALK.replace("(みずほ県)\n", "■時期\n\n(みずほ県)\n")
    assert chunk_with(text, "利用料はいくら").heading_path[-1] == "(青葉野市)"
    assert chunk_with(text, "月に八千円").heading_path[-2:] == ("■時期", "(みずほ県)")


def test_a_question_that_nobody_answers_is_kept():
    text = TALK.split("(みずほ県)")[0]
    assert chunk_with(text, "利用料はいくら").heading_path[-1] == "(青葉野市)"


# ---------------------------------------------------------------- identity

PLAN = "# 計画\n\n" + "".join(
    f"## {name}\n\n{words}\n\n"
    for name, words in (
        ("窓口", f"窓口のために、{SENTENCE}"),
        ("研修", "研修のために、全ての課から一人ずつ集まり、隣の課の仕事を二週間にわたって経験します。"),
        ("費用", "費用のために、県の補助を使い、残りは三年に分けて市の予算に載せることとしています。"),
        ("体制", "体制のために、副市長の下に係を置き、外から招いた専門の人が月に一度助言をします。"),
    )
)


def test_changing_one_paragraph_keeps_the_ids_of_the_others():
    before, after = chunks_of(PLAN), chunks_of(PLAN.replace("研修のために", "職員の研修のために"))
    assert len(before) == len(after) == 4
    assert [one.id == other.id for one, other in zip(before, after, strict=True)] == [True, False, True, True]


def test_a_new_section_between_them_keeps_the_ids():
    longer = PLAN.replace("## 研修", f"## はじめに\n\n{SENTENCE[::-1]}\n\n## 研修")
    assert {chunk.id for chunk in chunks_of(PLAN)} <= {chunk.id for chunk in chunks_of(longer)}


def test_ids_depend_on_file_and_heading():
    ids = {chunk.id for chunk in chunks_of(PLAN)}
    assert ids.isdisjoint(chunk.id for chunk in chunks_of(PLAN, "b.txt"))
    assert len(ids & {chunk.id for chunk in chunks_of(PLAN.replace("## 費用", "## 予算"))}) == 3


def test_equal_words_in_equal_places_have_their_own_ids():
    one, two = f"{ONE}\n\n【全体像】\n\n{SENTENCE}\n\n", f"{TWO}\n\n【全体像】\n\n{SENTENCE}\n\n"
    twice = f"事例集\n\n{one}{one}{two}"
    same = [chunk for chunk in chunks_of(twice) if chunk.heading_path[0] == ONE and SENTENCE in chunk.text]
    assert len(same) == 2
    assert same[0].id != same[1].id


# ---------------------------------------------------------------- what is left out, and what is embedded


@pytest.mark.parametrize("words", ["→ 効果", "(2割)", "－円"])
def test_a_fragment_of_a_picture_is_no_chunk(words):
    text = f"# 計画\n\n{SENTENCE}\n\n- 3 -\n\n{words}\n\n- 4 -\n\n{SENTENCE}\n"
    assert [chunk.text for chunk in chunks_of(text) if words in chunk.text] == []


def test_a_short_section_is_a_passage_of_its_own():
    text = f"# 計画\n\n## 概要\n\n{SENTENCE}\n\n## 導入費用\n\n1,320万円\n\n## 担当課\n\n企画課\n\n## 利用率\n\n45%\n\n## 備考\n\n---\n\n## 資料\n"
    assert [(chunk.heading_path, chunk.text) for chunk in chunks_of(text)[1:]] == [
        (("導入費用",), "## 導入費用\n\n1,320万円"),
        (("担当課",), "## 担当課\n\n企画課"),
        (("利用率",), "## 利用率\n\n45%"),
    ]


@pytest.mark.parametrize("words", ["約45%", "中止します。"])
def test_a_value_or_a_sentence_after_a_page_number_is_kept(words):
    text = f"# 計画\n\n{SENTENCE}\n\n- 3 -\n\n{words}\n\n- 4 -\n\n{SENTENCE}\n"
    assert [chunk.text for chunk in chunks_of(text) if words in chunk.text] == [words]


def test_the_items_of_a_notice_stand_in_a_passage():
    text = f"研修の開催について\n\n{SENTENCE}{SENTENCE}\n\n記\n\n１　日時　7月8日（火）\n\n２　場所　大会議室\n\n３　内容　（１）基礎\n\n（２）書き方\n\n４　対象　主任級\n"
    last = chunks_of(text)[-1]
    assert last.text == text[text.index("１　日時") :].rstrip()
    assert last.heading_path == ()


def test_pages_cases_and_paths_travel_with_the_chunk():
    text = f"事例集\n\n目次\n\n{ONE} …… 3\n{TWO} …… 5\n\n{ONE}\n\n事業の概要\n\n一{SENTENCE}\n\n{ONE}\n\n事業の効果\n\n二{SENTENCE}\n\n{TWO}\n\n事業の概要\n\n三{SENTENCE}\n"
    assert [chunk_with(text, f"{n}住民").page for n in "一二三"] == [3, 4, 5]
    assert chunk_with(text, "二住民").heading_path == (ONE, "事業の効果")
    assert chunk_with(text, "三住民").text.startswith(TWO)


def test_a_passage_says_where_it_stands_and_what_it_answers():
    text = f"# 事例集\n\n## {ONE}\n\n### 費用\n\n| 区分 | 金額 |\n|---|---|\n" + "".join(
        f"| 第{i}の費用の名前と内容の説明 | **{i}**千円 |\n" for i in range(40)
    )
    parsed = parse("a.md", f"{text}\n## {TWO}\n\n{SENTENCE}\n".encode())
    chunk = next(c for c in parsed.chunks if "第39の" in c.text)
    passage = passage_of("事例集", chunk, "みずほ県青葉野市")
    assert passage.near == "みずほ県青葉野市 > 費用".replace(">", searchable("＞"))
    assert passage.where.startswith(searchable("事例集 ＞ 1 書かない窓口"))
    assert passage.words.startswith("区分 金額\n")
    assert "39千円" in passage.words
    assert "|" not in passage.words
    assert "区分" not in chunk.text
