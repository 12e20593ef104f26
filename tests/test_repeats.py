"""What a document holds twice: the worse copy is left out, and what only looks alike is kept."""

from __future__ import annotations

import time

from corpus.cases import find_cases
from corpus.documents import parse
from corpus.repeats import repeated_blocks
from corpus.sections import find_sections
from corpus.structure import split_blocks

GAP = "\n\n\n\n\n"
GOOD = (
    "町では、県と分担して三つの分野の専門家に助言をお願いし、官民共創の窓口を設けました。"
    "広報は緋山こうたさん、安全は黒部大和さんが受け持ち、月に一度の相談日に役場を訪れます。"
)
GARBLED = (
    "町では、県と分担して三っの分野の専門家に助言をお願いし、協働推進の窓□を設けました。"
    "広報は排山こラたさん、安全は黒郡犬和さんが受け持ち、月に一度の相談曰に役場を訪れます。"
)
OTHER = (
    "会計の仕組みを入れ替え、伝票を紙で回すことをやめました。監査の資料も一日で用意できるようになっています。"
)
ELSEWHERE = "官民共創の中心になった緋山こうたさんと黒部大和さんは、次の年も窓口を続けると話しています。"


def dropped_words(text):
    blocks = split_blocks(text)
    book = find_cases(text, blocks, "a.txt")
    dropped = repeated_blocks(text, find_sections(blocks, book, ""))
    return [block.text for block in blocks if block.start in dropped]


def document(*slides):
    """A talk with a cover that is none of the slides."""
    return "講演の題\n\nみずほ町 講師の名\n\n令和6年4月24日\n\n" + GAP.join(slides) + "\n"


def test_of_a_slide_and_its_garbled_copy_the_garbled_one_is_left_out():
    for first, second in ((GOOD, GARBLED), (GARBLED, GOOD)):
        text = document(
            f"# 専門家\n\n{first}", f"# 会計\n\n{OTHER}", f"# 専門家\n\n{second}", f"# 結び\n\n{ELSEWHERE}"
        )
        assert dropped_words(text) == [GARBLED]


def test_a_garbled_copy_under_another_heading_is_left_out_too():
    misread = GOOD.replace("緋山こうた", "排山こラた").replace("黒部大和", "黒郡犬和")
    for first, second in ((GOOD, misread), (misread, GOOD)):
        text = document(f"# 専門家\n\n{first}", f"# 導入の例\n\n{second}", f"# 結び\n\n{ELSEWHERE}")
        assert dropped_words(text) == [misread]


def test_two_different_slides_under_a_recurring_heading_are_both_kept():
    text = document(f"# 事例\n\n{GOOD}", f"# 途中\n\n{ELSEWHERE}", f"# 事例\n\n{OTHER}")
    assert dropped_words(text) == []


def test_an_identical_block_is_kept_once_and_it_is_the_first():
    text = document(f"# 一\n\n{GOOD}", f"# 二\n\n{OTHER}", f"# 三\n\n{GOOD}", f"# 四\n\n{GOOD}")
    chunks = parse("a.txt", text.encode()).chunks
    (kept,) = [chunk for chunk in chunks if "三つの分野" in chunk.text]
    assert kept.start == text.index("# 一")
    assert dropped_words(text) == [GOOD, GOOD]


def test_the_fuller_of_two_copies_is_kept():
    text = document(f"# 一\n\n{GOOD}", f"# 二\n\n{OTHER}", f"# 三\n\n{GOOD}{ELSEWHERE}")
    assert dropped_words(text) == [GOOD]


def test_short_blocks_may_recur():
    text = document("# 一\n\n担当は窓口課です。", f"# 二\n\n{OTHER}", "# 三\n\n担当は窓口課です。")
    assert dropped_words(text) == []


def test_a_summary_and_its_text_are_both_kept():
    summary = (
        "三つの分野の専門家に助言をお願いし、月に一度の相談日を設けて、広報と安全の二人が町を支えています。"
    )
    assert dropped_words(document(f"# 要約\n\n{summary}", f"# 専門家\n\n{GOOD}")) == []


def test_repeats_inside_cases_are_left_alone():
    one, two = "1 窓口を改める【みずほ県青葉野市】", "2 車で回る【みずほ県霧ヶ沢村】"
    text = f"事例集\n\n{one}\n\n{GOOD}\n\n{two}\n\n{GOOD}\n"
    assert dropped_words(text) == []


def test_a_long_document_is_compared_in_seconds():
    text = document(
        *(f"# 議題{i}\n\n{i}番目の{OTHER}{i * 7919}件を{i * 31}回話し合いました。" for i in range(1500))
    )
    blocks = split_blocks(text)
    sections = find_sections(blocks, find_cases(text, blocks, "a.txt"), "")
    started = time.perf_counter()
    repeated_blocks(text, sections)
    assert time.perf_counter() - started < 10
