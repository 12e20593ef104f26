"""Web pages: encodings, the main content without navigation, headings, lists, tables, and what a hostile page cannot do."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from office_made import (
    PIECES,
    SAMPLES,
    Convert,
    Piece,
    cases,
    converter,
    expected,
    needs_soffice,
    outline,
    pieces,
    without_pictures,
)
from test_reader_fuzz import in_time

from corpus.documents import parse
from corpus.readers import ReadError, Source, read
from corpus.readers import html as reader


def page(body: str, head: str = "<meta charset='utf-8'>") -> Source:
    return reader.read(
        f"<!DOCTYPE html><html lang='ja'><head>{head}</head><body>{body}</body></html>".encode()
    )


def text(body: str) -> str:
    return page(body).text


def headings(source: Source):
    return [(source.text[mark.start : mark.end], mark.level) for mark in source.marks]


# ---------------------------------------------------------------- made of the pieces of a text


def made_of(found: Sequence[Piece], *, deepest: int = 6) -> bytes:
    out = [
        "<!DOCTYPE html><meta charset='utf-8'><title>資料｜みずほ県</title><nav><ul><li><a href='/'>戻る</a></ul></nav><main>"
    ]
    for place, piece in enumerate(found):
        words = html.escape(piece.words)
        if piece.kind == "heading":
            level = min(deepest, piece.level)
            out.append(f"<h{level}>{words}</h{level}>")
        elif piece.kind == "table":
            rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in piece.rows)
            out.append("<table>" + "".join(f"<tr>{row}</tr>\n" for row in rows) + "</table>")
        elif piece.kind == "item":
            first = place == 0 or found[place - 1].kind != "item"
            last = place == len(found) - 1 or found[place + 1].kind != "item"
            out.append(f"{'<ul>' if first else ''}<li>{words}</li>{'</ul>' if last else ''}")
        else:
            out.append(f"<p>{words}</p>")
    return "\n".join(out).encode()


@pytest.mark.parametrize("file", sorted(SAMPLES.iterdir()), ids=lambda file: file.name[:2])
def test_a_sample_as_web_page_gives_the_same(file):
    words = file.read_text(encoding="utf-8")
    original = parse(file.name, words.encode())
    data = made_of(pieces(file.name, words))
    assert cases(parse("made.html", data)) == cases(original)
    assert headings(reader.read(data)) == outline(original)


@pytest.mark.parametrize("name", ["02", "05", "06"])
def test_a_sample_without_pictures_gives_the_same_outline(name):
    (file,) = SAMPLES.glob(f"{name}*")
    words = without_pictures(file.read_text(encoding="utf-8"))
    assert outline(parse("a.htm", made_of(pieces(file.name, words)))) == outline(
        parse(file.name, words.encode())
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8))
def test_any_pieces_come_back(found):
    source = reader.read(made_of(found))
    assert source.text == expected(found)
    assert headings(source) == [(p.words, min(6, p.level)) for p in found if p.kind == "heading"]


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    return converter(tmp_path_factory.mktemp("office"))


@needs_soffice
def test_a_page_that_libreoffice_writes_gives_the_same(convert):
    (file,) = SAMPLES.glob("01*")
    words = file.read_text(encoding="utf-8")
    again = convert(made_of(pieces(file.name, words)), "html", "html:HTML (StarWriter)")
    original = parse(file.name, words.encode())
    assert cases(parse("a.html", again)) == cases(original)
    assert headings(reader.read(again)) == outline(original)


# ---------------------------------------------------------------- encodings


@pytest.mark.parametrize(
    ("label", "codec", "name"),
    [
        ("UTF-8", "utf-8", "utf-8"),
        ("Shift_JIS", "cp932", "cp932"),
        ("x-sjis", "cp932", "cp932"),
        ("windows-31j", "cp932", "cp932"),
        ("EUC-JP", "euc_jp", "euc_jp"),
        ("ISO-2022-JP", "iso2022_jp", "iso2022_jp"),
        ("unknown-x", "cp932", "cp932"),
        ("iso-8859-1", "cp932", "cp932"),
        ("utf-8", "euc_jp", "euc_jp"),
        ("utf-16", "utf-8", "utf-8"),
        ("", "cp932", "cp932"),
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        "<meta charset='{}'>",
        '<meta http-equiv="Content-Type" content="text/html; charset={}">',
        '<?xml version="1.0" encoding="{}"?>',
    ],
)
def test_declared_and_undeclared_encodings(form, label, codec, name):
    words = "移動窓口車が月に2回、11の集落を回ります～①"
    if codec in {"euc_jp", "iso2022_jp"}:
        words = words.rstrip("～①")
    source = reader.read(f"{form.format(label) if label else ''}<p>{words}</p>".encode(codec))
    assert (source.text, source.encoding) == (f"{words}\n", name)


@pytest.mark.parametrize(
    ("mark", "codec"), [(b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")]
)
def test_a_byte_order_mark_goes_before_what_the_page_says(mark, codec):
    assert (
        reader.read(mark + "<meta charset='Shift_JIS'><p>青葉野市の窓口</p>".encode(codec)).text
        == "青葉野市の窓口\n"
    )


def test_a_few_broken_bytes_are_replaced_and_said():
    data = ("<meta charset='utf-8'><p>" + "窓口の手続。" * 100).encode()
    source = reader.read(data[:300] + b"\xff" + data[300:])
    assert source.text.count("\ufffd") >= 1
    assert "文字コード" in source.warnings[0]


# ---------------------------------------------------------------- the main content


ARTICLE = "<h1>手数料</h1><p>証明書の手数料は、窓口より50円安く、1通250円です。</p>"


@pytest.mark.parametrize(
    "body",
    [
        f"<header><p>青葉野市</p></header><nav><a href='/'>戻る</a></nav><main>{ARTICLE}</main><aside>関連</aside><footer>市役所</footer>",
        f"<div role='banner'>青葉野市</div><div role='navigation'>案内</div><div role='main'>{ARTICLE}</div><div>外</div>",
        f"<div>案内</div><article><header>{ARTICLE}</header></article><div>外の言葉</div>",
        f"<header>市</header><div>{ARTICLE}</div><footer>市役所</footer>",
        f"<ul><li><a href='a'>暮らし</a><li><a href='b'>産業</a><li><a href='c'>観光</a></ul>{ARTICLE}",
        f"<p><a href='/'>ホーム</a> &gt; <a href='/k'>暮らし</a> &gt; 手数料</p>{ARTICLE}",
        f"<ol itemtype='https://schema.org/BreadcrumbList'><li>ホーム<li>手数料</ol>{ARTICLE}",
        f"<p><a href='#main'>本文へ移動</a></p>{ARTICLE}<div><a href='#top'>ページの先頭へ</a></div>",
        f"{ARTICLE}<p hidden>隠した</p><p style='display: none'>隠した</p><span aria-hidden='true'>★</span><div style='visibility:hidden'>隠した</div>",
        f"<script>var a='<p>だめ</p>'</script><style>p{{}}</style><noscript>必要です</noscript><template><p>型</p></template>{ARTICLE}<!-- 注 --><svg><text>絵</text></svg>",
        f"{ARTICLE}<form><label>検索<input value='x'></label><select><option>甲</select><textarea>乙</textarea><button>送る</button></form>",
        f"{ARTICLE}<img src='http://127.0.0.1:9/x.png' alt='写真'><iframe src='http://127.0.0.1:9/'>枠</iframe>",
    ],
)  # fmt: skip
def test_the_content_without_what_leads_elsewhere(body):
    source = page(body)
    assert source.text == "手数料\n\n証明書の手数料は、窓口より50円安く、1通250円です。\n"
    assert headings(source) == [("手数料", 1)]
    assert source.title == "手数料"


def test_lists_of_documents_and_links_in_sentences_stay():
    links = "".join(
        f"<li><a href='{i}.pdf'>令和{i}年度 霧ヶ沢村情報化推進計画の進み具合（資料{i}）</a>"
        for i in range(5, 8)
    )
    found = text(
        f"<h2>資料</h2><ul>{links}</ul><p>詳しくは<a href='x'>手引</a>を見てください。</p><p><a href='y.pdf'>申請書</a></p>"
    )
    assert found.count("情報化推進計画の進み具合") == 3
    table = "<table><tr><td><a href=a>甲</a><td><a href=b>乙</a></table>"
    assert "| 甲 | 乙 |" in text(f"<ul><li><a href=c>丙</a>{table}</ul>")
    assert "詳しくは手引を見てください。\n\n申請書" in found


def test_a_folded_answer_is_read():
    assert text(
        "<h3><button aria-controls='a1'>手数料は？</button></h3><div id='a1' hidden>250円です。</div>"
        "<details><summary>受付の時間は？</summary>24時間です。</details>"
        "<input type='checkbox' id='q'><label for='q'>登録は要りますか。</label><p>要りません。</p>"
    ) == (
        "手数料は？\n\n250円です。\n\n受付の時間は？\n\n24時間です。\n\n登録は要りますか。\n\n要りません。\n"
    )


def test_a_summary_heads_what_is_folded_under_it():
    one = "<details><summary>受付の時間は</summary><p>24時間です。</p></details>"
    two = "<details><summary>そのほか</summary><h3>休みの日</h3><p>点検の日です。</p></details>"
    source = page(f"<h2>窓口</h2><p>市民課です。</p>{one}{two}<h2>電話</h2><p>市民課です。</p>")
    assert headings(source) == [
        ("窓口", 2),
        ("受付の時間は", 3),
        ("そのほか", 3),
        ("休みの日", 4),
        ("電話", 2),
    ]
    # what comes after it is not folded
    assert headings(page(f"<h2>窓口</h2>{one}<p>市民課です。</p>")) == [("窓口", 2)]
    assert headings(page(f"<ul><li>{one}</ul>")) == []


def test_two_links_before_the_first_heading_are_a_menu():
    links = "<ul><li><a href='/'>トップ</a><li><a href='/shisei'>市政</a></ul>"
    assert text(f"<div id='header'>{links}</div><h2>手数料</h2><p>250円です。") == "手数料\n\n250円です。\n"
    assert "・トップ\n・市政" in text(f"<h2>手数料</h2><p>250円です。{links}")


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        ("<title>手数料｜青葉野市</title>", "<h1>手続の\n手数料</h1><p>文", "手続の手数料"),
        ("<title>手数料｜青葉野市</title>", "<h2>手数料</h2><p>文", "手数料"),
        ("<title>青葉野市 | 手数料</title>", "<h2>手数料</h2><p>文", "手数料"),
        ("<title>手数料｜青葉野市</title>", "<p>文", "手数料｜青葉野市"),
        ("<title> 手数料 - 青葉野市 </title>", "<h2>費用</h2><p>文", "手数料 - 青葉野市"),
        ("", "<p>文", None),
    ],
)
def test_the_title(head, body, title):
    assert page(body, head + "<meta charset='utf-8'>").title == title


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>改行は\n  つながり、\nEnglish words\nstay apart。", "改行はつながり、 English words stay apart。\n"),
        ("<p>一行目<br>二行目<br/><br>次の段落", "一行目\n二行目\n\n次の段落\n"),
        ("<p>一つ目<p>二つ目<div>三つ目<div>四つ目</div>五つ目</div>", "一つ目\n\n二つ目\n\n三つ目\n\n四つ目\n\n五つ目\n"),
        ("<p><ruby>霧<rp>（</rp><rt>きり</rt><rp>）</rp></ruby>ヶ沢<b>村</b>の<a href=x>窓口</a>", "霧ヶ沢村の窓口\n"),
        ("<p>A&amp;B &lt;費用&gt;&nbsp;50&yen; &#x20BB7;野&shy;家", "A&B <費用> 50¥ 𠮷野家\n"),
        ("<ul><li>一つ<li><p>二つ</p><p>続き</p></ul>", "・一つ\n・二つ\n続き\n"),
        ("<ul><li>外<ul><li>内</ul><li>外の次</ul><p>文", "・外\n・内\n・外の次\n\n文\n"),
        ("<ol start=3><li>三<li>四<li value=9>九<li>十</ol>", "3. 三\n4. 四\n9. 九\n10. 十\n"),
        ("<ol type=a><li>甲<li>乙</ol><ol reversed><li>丙<li>丁</ol>", "a. 甲\nb. 乙\n\n2. 丙\n1. 丁\n"),
        ("<ul><li><h3>札</h3><p>札の文</p></ul>", "札\n\n札の文\n"),
        ("<dl><dt>手数料</dt><dd>250円です。</dd><dt>時間</dt><dd><p>24時間です。</p><p>点検の日を除きます。</p></dd></dl>", "手数料\n250円です。\n\n時間\n24時間です。\n\n点検の日を除きます。\n"),
        ("<pre>一行  目\n  二行目</pre><p>文", "一行  目\n二行目\n\n文\n"),
        ("<blockquote>引用<p>文</blockquote><address>住所</address>", "引用\n\n文\n\n住所\n"),
        ("<h2>第1章<br>目的<small>（案）</small></h2>文", "第1章 目的（案）\n\n文\n"),
        ("<h2> </h2><h2><img alt=x></h2><p>文", "文\n"),
        ("<p>閉じない<b>太字<p>次</b>の<i>段落", "閉じない太字\n\n次の段落\n"),
        ("文だけ", "文だけ\n"),
    ],
)  # fmt: skip
def test_blocks_and_words(body, expected):
    assert text(body) == expected


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("<tr><th>区分<th>費用<tr><td>窓口<td>5万円<br>税抜", ["| 区分 | 費用 |", "| 窓口 | 5万円 税抜 |"]),
        ("<tr><th rowspan=2>区分<th colspan=2>費用<tr><th>初期<th>運用<tr><td>窓口<td>5<td>1", ["| 区分 | 費用 | |", "| 区分 | 初期 | 運用 |", "| 窓口 | 5 | 1 |"]),
        ("<tr><td rowspan=0>一<td>甲<tr><td>乙<tr><td>丙", ["| 一 | 甲 |", "| 一 | 乙 |", "| 一 | 丙 |"]),
        ("<tr><td>一<td rowspan=2>共通<td>甲<tr><td>二<td>乙", ["| 一 | 共通 | 甲 |", "| 二 | 共通 | 乙 |"]),
        ("<tr><th>区分<th>窓口<th>郵送<tr><td>写し<td colspan=2>300円<tr><td colspan=3>計は別に示す", ["| 区分 | 窓口 | 郵送 |", "| 写し | 300円 | 300円 |", "| 計は別に示す | | |"]),
        ("<tr><td>甲<td>乙<tr><td>丙<td colspan=100>全部", ["| 甲 | 乙 |", "| 丙 | 全部 |"]),
        ("<tr><td colspan=100>全部<tr><td>甲<td>乙", ["| 全部 | |", "| 甲 | 乙 |"]),
        ("<tfoot><tr><td>計<td>3</tfoot><tbody><tr><td>甲<td>3</tbody><thead><tr><th>名<th>数</thead>", ["| 名 | 数 |", "| 甲 | 3 |", "| 計 | 3 |"]),
        ("<tr><td>空<td></td></tr><tr><td> <td>&nbsp;</tr>", ["| 空 | |"]),
        ("<tr><td><ul><li>一<li>二</ul><td><p>甲</p><p>乙</p>", ["| ・一 ・二 | 甲 乙 |"]),
    ],
)  # fmt: skip
def test_tables(table, rows):
    assert text(f"<table>{table}</table>") == "\n".join(rows) + "\n"


def test_the_caption_stands_before_its_table():
    assert text("<table><caption>表1 費用</caption><tr><td>a<td>b</table>") == "表1 費用\n\n| a | b |\n"


def test_tables_that_only_place_things_are_no_tables():
    assert text("<table><tr><td><p>一つ目</p><tr><td>二つ目</table>") == "一つ目\n\n二つ目\n"
    layout = "<table><tr><td>左の欄<td><h2>見出し</h2><table><tr><td>甲<td>乙</table></table>"
    source = page(layout)
    assert source.text == "左の欄\n\n見出し\n\n| 甲 | 乙 |\n"
    assert headings(source) == [("見出し", 2)]


# ---------------------------------------------------------------- what cannot be read, and size


@pytest.mark.parametrize(
    "data",
    [
        b"<html></html>",
        b"<!-- a -->",
        b"<p>&nbsp;</p>",
        b"<img src=a.png alt='x'>",
        b"<script>a()</script>",
        b" <p> ",
    ],
)
def test_a_page_without_words_is_refused(data):
    with pytest.raises(ReadError) as error:
        read("a.html", data)
    assert "文字情報がありません" in str(error.value)
    assert str(error.value).endswith("。")


@pytest.mark.parametrize("data", [b"%PDF-1.7 a", b"PK\x03\x04 a", bytes(range(256)), b""])
def test_what_is_no_page_is_refused(data):
    with pytest.raises(ReadError):
        read("a.htm", data)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *"<>/=\"'& ",
                "<table>",
                "<tr>",
                "<td rowspan=3>",
                "<ul>",
                "<li>",
                "</ul>",
                "<h1>",
                "</h1>",
                "<p>",
                "窓口",
                "a",
                "<br>",
                "<main>",
                "</div>",
                "<div>",
                "<dl><dt>",
                "<dd>",
                "<pre>",
                "\n",
            ]
        ),
        max_size=40,
    )
)
def test_any_markup_is_a_text_or_a_sentence(parts):
    try:
        source = reader.read(("窓口" + "".join(parts)).encode())
    except ReadError as error:
        assert str(error).endswith("。")  # noqa: PT017
        return
    assert source.text.strip()
    for words, _ in headings(source):
        assert "\n" not in words
        assert words == words.strip()


@pytest.mark.parametrize(
    "body",
    [
        "<table>" + "<tr><td>甲<td>乙<td>丙" * 100_000 + "</table>",
        "<div>" * 1900 + "深い" + "</div>" * 1900,
        "<b>" * 1500 + "深い",
        "<p>" + "あ " * 2_000_000,
        "<p>あ" + "\n" * 3_000_000 + "い",
        "<table>" + "<tr>" + "<td rowspan=65534 colspan=1000>甲" * 50 + "<tr><td>乙" * 20_000 + "</table>",
        "<ul><li>" * 200 + "深い",
        "<p>a" + " &gt; " * 300_000 + "<a href=a>b</a><a href=b>c</a>",
        "<a href=x>あ</a>" * 100_000,
        "<p><a href='#a'>あ</a></p>" * 50_000,
    ],
    ids=range(10),
)
def test_large_and_hostile_pages_in_bounded_time(body):
    start = time.process_time()
    try:
        assert reader.read(f"<meta charset='utf-8'>{body}".encode()).text
    except ReadError as error:
        assert re.search("[ぁ-ん]", str(error))  # noqa: PT017
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    "sign",
    ["\x01", "\x0b", "\x0c", "\x1c", "\x7f", "\uffff", "&#1;", "&#0;", "&#x00c", "&#xffff;", "&#65535;"],
)
def test_codes_that_are_no_characters_disturb_nothing(sign):
    page = f"<meta charset=utf-8><p>窓<nav>左</nav>口{sign} の<pre>一<br>{sign}二</pre>{sign}{'案内です。' * 400}"
    assert reader.read(page.encode()).text.startswith("窓口 の\n\n一\n二\n\n案内です。")


def test_too_deep_a_page_is_refused():
    with pytest.raises(ReadError, match="入れ子"):
        reader.read(("<div>" * 5000 + "深い").encode())


@pytest.mark.parametrize("piece", ["<img>あ", "<nav>x</nav>あ"])
def test_words_between_what_is_left_out_stay_and_are_read_in_time(piece):
    count = 120_000
    page = (
        f"<!doctype html><meta charset=utf-8><body><p>始め{piece * count}<b>中</b>{piece * 2}終わり".encode()
    )
    with in_time(8):
        assert reader.read(page).text.replace("\n", "") == f"始め{'あ' * count}中ああ終わり"


def test_empty_lines_between_two_letters_are_seen_through():
    with in_time(8):
        assert (
            reader.read(("<!doctype html><meta charset=utf-8><p>窓口" + "\n" * 100_000 + "a").encode()).text
            == "窓口 a\n"
        )
