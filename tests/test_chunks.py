"""Chunks: the invariant over generated documents, and the rules by hand."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from made import CASE_BOOK, FAQ, MINUTES

from corpus.chunks import LONGEST_UNIT, MAX_CHARS, TAIL, passage_of
from corpus.documents import Parsed, parse
from corpus.text import searchable

LINES = st.sampled_from(
    [
        "# 大きな見出し",
        "## 小さな見出し",
        "■ねらい",
        "【背景】",
        "（A町）",
        "意見交換",
        "1. はじめに",
        "今後の展望を教えてください。",
        "1 窓口をなくした例【つくし県若草市】",
        "2 車で回る例【つくし県小石原村】",
        "窓口の手続を一つにまとめ、待つ時間を短くしました。次の年は、来庁しなくて済むようにします。",
        "- 職員が聞き取りながら申請書を作り、住民は内容を確かめるだけです。",
        "・費用は年に120万円です",
        "| 年度 | 件数 |",
        "|---|---|",
        "| 令和5年度 | 120 |",
        "区分\t令和5年度\t令和6年度",
        "寄附\t1,200\t3,400",
        "【担当部署】 窓口課（電話：0000-11-2222）",
        "(写真)",
        "… 12",
        "　",
        "",
        "",
        "\t",
        "あ" * 700,
    ]
)


def parsed(text: str) -> Parsed:
    return parse("a.txt", text.encode())


@settings(max_examples=120, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=60))
def test_a_chunk_is_a_slice_in_order_and_alone(lines: list[str]) -> None:
    text = "\n".join(lines)
    if not text.strip():
        return
    found = parsed(text)
    chunks = found.chunks
    assert found.document.text == text
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip()
        assert chunk.line_start == text.count("\n", 0, chunk.start) + 1
        assert chunk.line_end == text.count("\n", 0, chunk.end - 1) + 1
        assert len(searchable(chunk.text)) <= MAX_CHARS * TAIL + LONGEST_UNIT
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    for one, other in itertools.pairwise(chunks):
        assert one.end <= other.start
    starts = [case.start for case in found.cases]
    for chunk in chunks:
        assert not [start for start in starts if chunk.start < start < chunk.end]


def test_an_answer_goes_with_its_question() -> None:
    chunk = next(c for c in parsed(MINUTES).chunks if "四半期ごと" in c.text)
    assert "途中から参加できるのか" in chunk.text
    assert chunk.heading_path[-1] == "(つくし県)"
    assert not [c for c in parsed(MINUTES).chunks if c.text.endswith("教えてほしい。")]


def test_a_sentence_over_a_page_break_stays_whole() -> None:
    chunk = next(c for c in parsed(MINUTES).chunks if "違約金" in c.text)
    assert "設けな\n\nいこととします。" in chunk.text


def test_a_faq_answer_carries_its_question() -> None:
    chunk = next(c for c in parse("faq.md", FAQ.encode()).chunks if "50円安く" in c.text)
    assert chunk.heading_path == ("申請するとき", "手数料はどのように払いますか？")
    # the headings right above belong to the first passage under them
    assert chunk.text.startswith("# 電子申請のよくある質問\n\n## 申請するとき\n\n### 手数料は")
    second = next(c for c in parse("faq.md", FAQ.encode()).chunks if "24時間" in c.text)
    assert second.text.startswith("### 受付の時間を")


def test_rows_keep_their_header() -> None:
    rows = "\n".join(f"| 第{i}の取組の名前と内容 | {i}00千円 | 担当は企画課です |" for i in range(40))
    chunks = parsed(f"# 費用\n\n| 取組 | 金額 | 備考 |\n|---|---|---|\n{rows}\n").chunks
    assert len(chunks) > 2
    for chunk in chunks[1:]:
        assert chunk.context == "取組 金額 備考"
        assert chunk.text.startswith("| 第")
        assert "取組 金額 備考" in passage_of("題", chunk, None).words


def test_furniture_is_not_searched() -> None:
    words = "\n".join(chunk.text for chunk in parsed(CASE_BOOK).chunks)
    assert "目次" not in words
    assert "年に99回" not in words
    assert "(若草市)" not in words
    assert "年に24回" in words


def test_case_chunks_carry_the_whole_way() -> None:
    chunk = next(c for c in parsed(CASE_BOOK).chunks if "来庁の前に予約" in c.text)
    assert chunk.heading_path == (
        "1.窓口",
        "① 待たせない窓口",
        "1 用紙をなくした総合窓口(WEB予約)【つくし県若草市】",
        "インタビュー",
        "工夫している点を教えてください。",
    )
    assert chunk.page == 4
    passage = passage_of("窓口の事例集", chunk, "つくし県若草市")
    assert passage.near == "つくし県若草市 > インタビュー > 工夫している点を教えてください。"
    assert passage.where.startswith("窓口の事例集 > 1.窓口 > ")


def test_an_unchanged_chunk_keeps_its_id() -> None:
    before = {c.id: c.text for c in parsed(MINUTES).chunks}
    after = {c.id: c.text for c in parsed(MINUTES.replace("月額8千円", "月額9千円")).chunks}
    changed = set(before) ^ set(after)
    assert [before[i] for i in changed if i in before] == [t for t in before.values() if "月額8千円" in t]
    assert len(changed) == 2


def test_the_worse_copy_of_a_slide_is_left_out() -> None:
    good = "専門家の顔ぶれ\n\n町では、県と分担して三つの分野の専門家に助言をお願いしています。月に一度、半日の相談日を設けます。\n\n分野\t専門家\n広報\t緋山こうた 放送局で住民への説明を担当\n安全\t黒部大和 銀行の安全部門で規程づくりを担当\n"
    bad = (
        good.replace("緋山こうた 放送局", "排山こラた 放送届")
        .replace("黒部大和 銀行", "黒郡犬和 銀汀")
        .replace("規程づくり", "規程づくリ")
    )
    other = "ほかの話\n\n黒部大和さんは銀行の安全部門にいました。緋山こうたさんは放送局で働き、規程づくりも手伝いました。\n"
    words = "\n".join(c.text for c in parsed(f"講演の題\n\n{bad}\n\n\n\n{other}\n\n\n\n{good}").chunks)
    assert "緋山こうた" in words
    assert "排山こラた" not in words
