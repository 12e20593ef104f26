"""The page of a document as a program and as a visitor see it: the text, its outline, hits, words to find, and the original."""

from __future__ import annotations

import hashlib
import html
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from fastapi.testclient import TestClient
from made import CASE_BOOK
from openpyxl import Workbook
from pdfs import printed
from PIL import Image
from playwright.sync_api import Browser, Page
from served import screenshot, serving, violations, watched
from test_server import Page as Parsed
from test_server import Service

from index.build import build
from index.current import CurrentIndex
from index.passages import model_record
from server import create_app
from web import parts

BOOK = [
    "<h1>窓口の手引</h1><h2>手続</h2><p>転入の手続をする人が窓口で待つ時間を減らすため、職員が話を聞きながら申請書を作り、住民は署名するだけにした。</p>",
    "<h2>車の窓口</h2><p>車で集落を回る窓口を始め、月に二回、証明書を渡している。雨の日は家を訪ねて用事を聞いている。</p>"
    "<table><tr><td>区分</td><td>手数料</td></tr><tr><td>窓口</td><td>300円</td></tr><tr><td>郵送</td><td>350円</td></tr></table>",
    "<h2>費用</h2><p>手数料は一件三百円で、郵送のときは返信の切手をもらう。口座からの引き落としもできる。</p>",
]
LONG = "".join(
    f"# 第{number}巻\n\n" + f"窓口{number}の手続を一つずつ書き留めた長い記録です。\n\n" * 300
    for number in range(1, 41)
)


class Library(Service):
    """The service with a PDF, a workbook and a very long text among its documents."""

    def __init__(self, folder: Path, pdf: bytes) -> None:
        super().__init__(folder, built=False)
        (self.documents / "計画").mkdir()
        (self.documents / "計画" / "手引 第1版.pdf").write_bytes(pdf)
        (self.documents / "長い記録.md").write_text(LONG, encoding="utf-8")
        book = Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.title = "一覧"
        for row in [
            ["番号", "事業名", "担当課"],
            *([n, f"事業{n}の取組を進める仕組み", "企画課"] for n in range(1, 6)),
        ]:
            sheet.append(row)
        book.create_sheet("空でない").append(["区分", "件数"])
        book["空でない"].append(["窓口", 12])
        book["空でない"].append(["郵送", 3])
        book.save(self.documents / "一覧.xlsx")
        build(self.documents, self.root, self.encoder)
        listed = self.client.get("/api/documents").json()["documents"]
        self.ids = {d["path"]: d["id"] for d in listed}

    def text(self, path: str) -> str:
        found: str = self.client.get(f"/api/documents/{self.ids[path]}/text").json()["text"]
        return found

    def get(self, path: str, **query: Any) -> str:
        response = self.client.get(f"/documents/{self.ids[path]}", params=query)
        assert response.status_code == 200, response.text
        return response.text


PDF = "計画/手引 第1版.pdf"


@pytest.fixture(scope="module")
def pdf(browser: Browser) -> bytes:
    return printed(browser, "<div class='page'></div>".join(BOOK))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, pdf: bytes) -> Library:
    return Library(tmp_path_factory.mktemp("library"), pdf)


@pytest.fixture
def own(tmp_path: Path, pdf: bytes) -> Library:
    return Library(tmp_path, pdf)


def canonical(body: str) -> Parsed:
    page = Parsed()
    page.feed(body)
    return page


def hrefs(body: str, words: str) -> list[str]:
    """The addresses of links whose words begin so."""
    found = re.findall(r'<a [^>]*href="([^"]*)"[^>]*>\s*' + re.escape(words), body)
    return [html.unescape(address) for address in found]


# ---------------------------------------------------------------- the text


def test_the_text_stands_there_with_its_headings_pages_and_tables(library: Library) -> None:
    body = library.get(PDF)
    assert canonical(body).text == library.text(PDF)
    for words in (
        'id="p2"',
        'data-label="2ページ"',
        'role="separator"',
        '<th scope="col">',
        'role="heading" aria-level="3"',
    ):
        assert words in body, words
    outline = re.findall(
        r'outline__text">([^<]*)</span> <span class="outline__page">.*?</span>(\d+)</span>', body
    )
    assert outline == [("窓口の手引", "1"), ("手続", "1"), ("車の窓口", "2"), ("費用", "3")]
    for name in re.findall(r'href="#(h\d+)"', body):
        assert f'id="{name}"' in body


def test_pages_of_a_text_and_sheets_of_a_workbook_are_shown(library: Library) -> None:
    assert 'data-label="p.4"' in library.get("事例集.txt")
    body = library.get("一覧.xlsx")
    assert 'data-label="シート「一覧」"' in body
    assert canonical(body).text == library.text("一覧.xlsx")
    text = library.text("一覧.xlsx")
    start = text.index("事業3の")
    shown = library.get("一覧.xlsx", start=start, end=start + 5)
    assert re.search(r"引用された箇所（シート「一覧」の\d+行目）", shown)
    assert "元の紙面" not in shown


def test_a_very_long_text_is_shown_in_parts(library: Library) -> None:
    text = library.text("長い記録.md")
    assert len(text) > parts.WHOLE_CHARS
    first = library.get("長い記録.md")
    count = len(re.findall(r"<li>.*?</li>", first.split('class="parts"')[1].split("</ol>")[0]))
    bodies = [library.get("長い記録.md", part=number) for number in range(1, count + 1)]
    assert "".join(canonical(body).text for body in bodies) == text
    assert canonical(bodies[0]).text == canonical(first).text
    assert all(canonical(body).text.startswith("# 第") for body in bodies)
    start = text.index("窓口30の手続")
    body = library.get("長い記録.md", start=start, end=start + 7)
    assert canonical(body).marked == "窓口30の手続"
    # the outline leads into other parts
    (address,) = list(re.findall(r'href="([^"]+)"><span class="outline__text">第40巻', body))
    other = urlsplit(html.unescape(address))
    assert canonical(library.client.get(f"{other.path}?{other.query}").text).text.count("窓口40の") == 300
    assert f'id="{other.fragment}"' in library.client.get(f"{other.path}?{other.query}").text
    assert library.get("長い記録.md", part=999) == library.get("長い記録.md", part=count).replace(
        f"part={count}", "part=999"
    )


# ---------------------------------------------------------------- what the question found


def test_hits_of_a_question_are_gone_through_in_the_order_of_the_text(library: Library) -> None:
    question = "小石原村の窓口について教えて"
    reply = library.ask(question, history=["前の質問"])
    book = library.ids["事例集.txt"]
    spans = sorted({(c["char_start"], c["char_end"]) for c in reply["citations"] if c["document_id"] == book})
    assert len(spans) >= 2
    for number, (start, end) in enumerate(spans, 1):
        body = library.get("事例集.txt", start=start, end=end, q=question, h=["前の質問"])
        assert f"該当箇所 {number}/{len(spans)}" in body
        before, after = hrefs(body, "前の該当箇所"), hrefs(body, "次の該当箇所")
        for found, to in ((before, number - 1), (after, number + 1)):
            if 1 <= to <= len(spans):
                query = parse_qs(urlsplit(found[0]).query)
                assert (int(query["start"][0]), int(query["end"][0])) == spans[to - 1]
                assert (query["q"], query["h"]) == ([question], ["前の質問"])
                assert urlsplit(found[0]).fragment == "passage"
            else:
                assert found == []
        assert canonical(body).text == CASE_BOOK
        assert body.count('<mark class="hit') >= 1


def test_the_way_back_leads_to_the_citation_on_the_answer(library: Library) -> None:
    question = "若草市の担当部署の電話番号は？"
    reply = library.ask(question, top_k=8, filters={"organizations": ["つくし県若草市"]})
    cited = reply["citations"][0]
    body = library.client.get(f"{cited['url']}&q={question}&organizations=つくし県若草市").text
    (back,) = hrefs(body, "回答に戻る")
    assert urlsplit(back).path == "/"
    assert parse_qs(urlsplit(back).query) == {"q": [question], "organizations": ["つくし県若草市"]}
    assert urlsplit(back).fragment == "c1"
    answer = library.client.get(back)
    assert 'id="c1"' in answer.text
    assert hrefs(library.get("事例集.txt"), "回答に戻る") == []
    assert hrefs(library.get("事例集.txt", q="あ" * 501), "回答に戻る") == []


# ---------------------------------------------------------------- words to find


def test_words_are_found_counted_and_gone_through(library: Library) -> None:
    count = CASE_BOOK.count("窓口")
    body = library.get("事例集.txt", find="窓口")
    assert f"「窓口」 {count}件中 1件目" in body
    assert canonical(body).text == CASE_BOOK
    assert canonical(body).marked == "窓口" * count
    assert body.count('id="found"') == 1
    (after,) = hrefs(body, "次の一致")
    assert parse_qs(urlsplit(after).query)["at"] == ["2"]
    last = library.client.get(hrefs(body, "前の一致")[0].split("#")[0]).text
    assert f"{count}件中 {count}件目" in last
    wide = library.get("事例集.txt", find="ｗｅｂ予約")
    assert "3件中" in wide  # ＷＥＢ予約, and WEB予約 twice


def test_what_is_not_there_is_said(library: Library) -> None:
    body = library.get("事例集.txt", find="<b>存在しない</b>")
    assert "「&lt;b&gt;存在しない&lt;/b&gt;」は、この資料にはありません。" in body
    assert canonical(body).marked == ""
    assert "200文字以内" in library.get("事例集.txt", find="あ" * 201)
    assert "件目" not in library.get("事例集.txt", find="　 ")


def test_the_form_keeps_the_passage_and_the_question(library: Library) -> None:
    body = library.get(
        "事例集.txt", start=10, end=20, q="窓口は？", h="前の質問", organizations="つくし県", find="車", at=2
    )
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', body)
    assert hidden == [
        ("start", "10"),
        ("end", "20"),
        ("h", "前の質問"),
        ("q", "窓口は？"),
        ("organizations", "つくし県"),
    ]


def test_finding_goes_over_all_parts(library: Library) -> None:
    text = library.text("長い記録.md")
    body = library.get("長い記録.md", find="窓口40の")
    assert "300件中 1件目" in body
    assert "窓口40の" in canonical(body).text
    assert canonical(body).marked == "窓口40の" * 300
    many = library.get("長い記録.md", find="長い記録", at=9000)
    assert f"{text.count('長い記録'):,}件以上中" not in many
    assert "10,000件以上中 9,000件目" in many
    assert canonical(many).marked == "長い記録" * 1000  # so many are marked at once
    part = library.get("長い記録.md", find="長い記録", part=2)
    assert 'id="found"' in part


# ---------------------------------------------------------------- the original


def test_the_page_beside_the_text_is_that_of_the_passage(library: Library) -> None:
    text = library.text(PDF)
    start = text.index("月に二回")
    body = library.get(PDF, start=start, end=start + 4)
    assert "引用された箇所（2ページ）" in body
    address = html.unescape(re.search(r'<img src="(/documents[^"]+)"', body)[1])  # type: ignore[index]
    assert address == f"/documents/{library.ids[PDF]}/pages/2.png?start={start}&end={start + 4}"
    assert 'alt="2ページの紙面。' in body
    response = library.client.get(address)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert "private" in response.headers["cache-control"]
    plain = library.client.get(address.split("?")[0])
    assert plain.content != response.content  # one is marked
    large = Image.open(io.BytesIO(library.client.get(address + "&size=large").content))
    assert large.width in {1800, 1801}
    turned = hrefs(body, "次のページ")[0]
    assert urlsplit(turned).fragment == "p3"
    assert "/pages/3.png" in library.client.get(turned.split("#")[0]).text
    found = library.get(PDF, find="引き落とし")
    assert "/pages/3.png?start=" in found


@pytest.mark.parametrize("number", ["0", "4", "-1", "99999999999999999999", "x"])
def test_pages_that_there_are_not(library: Library, number: str) -> None:
    response = library.client.get(f"/documents/{library.ids[PDF]}/pages/{number}.png")
    assert response.status_code in {404, 422}
    assert re.search("[ぁ-ん]", response.text)
    assert library.client.get(f"/documents/{library.ids['事例集.txt']}/pages/1.png").status_code == 404
    assert library.client.get(f"/documents/{library.ids[PDF]}/pages/1.png?size=huge").status_code == 422
    assert library.client.get("/documents/x/pages/1.png").status_code == 404


@pytest.mark.parametrize("path", [PDF, "a'<b>.txt", "faq.md", "一覧.xlsx"])
def test_a_file_is_saved_as_it_is_and_never_shown(library: Library, path: str) -> None:
    response = library.client.get(f"/documents/{library.ids[path]}/file")
    assert response.status_code == 200
    assert response.content == (library.documents / path).read_bytes()
    kept = response.headers["content-disposition"]
    assert kept.startswith("attachment;")
    assert kept.endswith(f"filename*=UTF-8''{quote(Path(path).name, safe='')}")
    assert re.fullmatch(r"[\x20-\x7e]+", kept)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"].startswith("sandbox;")
    assert "html" not in response.headers["content-type"]
    assert hrefs(library.get(path), "元のファイルを保存する") == [f"/documents/{library.ids[path]}/file"]


def test_a_file_that_was_replaced_is_not_given_out(own: Library) -> None:
    (own.documents / PDF).write_bytes(b"%PDF-1.4 other")
    body = own.get(PDF)
    assert "資料が差し替えられています" in body
    assert "元の紙面" not in body
    assert canonical(body).text == own.text(PDF)
    for path in (f"/documents/{own.ids[PDF]}/file", f"/documents/{own.ids[PDF]}/pages/1.png"):
        response = own.client.get(path)
        assert (response.status_code, "差し替えられています" in response.text) == (409, True)


def test_without_the_folder_the_text_is_still_there(own: Library) -> None:
    shutil.rmtree(own.documents)
    body = own.get(PDF)
    assert canonical(body).text == own.text(PDF)
    assert "差し替え" not in body
    assert "元のファイルを保存する" not in body
    for path in (f"/documents/{own.ids[PDF]}/file", f"/documents/{own.ids[PDF]}/pages/1.png"):
        assert own.client.get(path).status_code == 404
    # a service that knows no folder at all, and one that has the samples' folder only
    for samples in (None, own.root):
        app = create_app(
            current=CurrentIndex(own.root, model_record(own.encoder)),
            encoder=own.encoder,
            rebuild=lambda progress: pytest.fail("no build is asked for"),
            samples=samples,
        )
        assert (
            TestClient(app, base_url="http://127.0.0.1").get(f"/documents/{own.ids[PDF]}").status_code == 200
        )


def test_a_damaged_pdf_under_its_own_hash_is_an_error_for_people(own: Library, pdf: bytes) -> None:
    """A file whose bytes are those of the index, and that PDFium does not draw, is refused with a sentence."""
    document = own.ids[PDF]
    index = own.app.state.current.get()
    broken = b"%PDF-1.4\nnothing\n%%EOF"
    (own.documents / PDF).write_bytes(broken)
    object.__setattr__(index.documents[document], "sha256", hashlib.sha256(broken).hexdigest())
    response = own.client.get(f"/documents/{document}/pages/1.png")
    assert (response.status_code, "描けません" in response.text) == (422, True)


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def address(library: Library) -> Iterator[str]:
    with serving(library.app) as found:
        yield found


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, address, scripts=request.param, width=1400, height=900) as opened:
        yield opened


def passage(library: Library, words: str) -> str:
    start = library.text(PDF).index(words)
    return f"/documents/{library.ids[PDF]}?start={start}&end={start + len(words)}"


def test_a_browser_holds_the_text_to_the_letter(browser: Browser, address: str, library: Library) -> None:
    opened = browser.new_page()
    for path, document in library.ids.items():
        opened.goto(f"{address}/documents/{document}?start=3&end=40&find=窓口")
        held = opened.evaluate("document.getElementById('canonical').textContent")
        assert held == library.text(path)[: len(held)]
        assert len(held) == len(library.text(path)) or path == "長い記録.md"
    opened.close()


def test_reading_the_evidence(page: Page, address: str, library: Library) -> None:
    page.goto(f"{address}{passage(library, '車で集落を回る窓口を始め')}&q=車の窓口#passage")
    mark = page.locator("mark#passage")
    box = mark.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900
    picture = page.get_by_role("img", name="2ページの紙面")
    picture.wait_for()
    shown = picture.bounding_box()
    assert shown is not None
    assert shown["x"] > box["x"] + 300  # beside the text
    assert 0 <= shown["y"] < 300  # and in view
    page.get_by_role("link", name="次のページ").click()
    page.wait_for_url("**page=3**")
    assert page.get_by_role("img", name="3ページの紙面").count() == 1
    page.get_by_role("searchbox", name="この資料の中を探す").fill("手数料")
    page.keyboard.press("Enter")
    page.wait_for_url("**find=**")
    assert "1件目" in page.get_by_role("status").inner_text()
    found = page.locator("#found").bounding_box()
    assert found is not None
    assert 0 <= found["y"] < 900  # the form's address leads to the match
    page.get_by_role("link", name="次の一致").click()
    page.wait_for_url("**at=2**")
    assert "2件目" in page.get_by_role("status").inner_text()
    page.get_by_role("link", name="回答に戻る").click()
    page.wait_for_load_state()
    assert page.locator("#answer").count() == 1


def test_the_outline_and_the_page_follow_the_reader(browser: Browser, address: str, library: Library) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 700})
    page.goto(f"{address}/documents/{library.ids[PDF]}")
    assert "/pages/1.png" in str(page.locator(".sheet-view img").get_attribute("src"))
    page.evaluate(
        "document.body.style.paddingBottom = '2000px'; document.getElementById('p2').scrollIntoView()"
    )
    page.locator(".sheet-view img[src$='/pages/2.png']").wait_for()
    assert page.locator(".sheet-view__name").inner_text() == "2ページ"
    assert "page=3" in str(page.get_by_role("link", name="次のページ").get_attribute("href"))
    page.evaluate("window.scrollBy(0, 120)")
    page.locator(".outline a[aria-current]", has_text="車の窓口").wait_for()
    page.close()


def test_a_picture_that_cannot_be_had_is_said(browser: Browser, address: str, library: Library) -> None:
    page = browser.new_page()
    page.route("**/pages/*.png*", lambda route: route.abort())
    page.goto(f"{address}/documents/{library.ids[PDF]}")
    page.get_by_text("この紙面は表示できません").wait_for()
    page.close()


def test_axe_finds_nothing_on_a_document(browser: Browser, address: str, library: Library) -> None:
    page = browser.new_page(locale="ja-JP", viewport={"width": 1400, "height": 1000})
    for name, path in {
        "document": f"{passage(library, '車で集落を回る窓口を始め')}&q=車の窓口",
        "document-find": f"/documents/{library.ids['事例集.txt']}?find=窓口&q=若草市の窓口&start=20&end=40",
        "document-none": f"/documents/{library.ids['議事録.txt']}?find=火星",
        "document-parts": f"/documents/{library.ids['長い記録.md']}?part=3",
        "document-sheet": f"/documents/{library.ids['一覧.xlsx']}",
    }.items():
        page.goto(address + path)
        if name == "document-parts":
            # of the text, which is long, a look at its beginning is enough
            page.evaluate(
                "document.querySelectorAll('#canonical > :nth-child(n+40)').forEach(e => e.remove())"
            )
        assert violations(page) == []
        if name != "document-parts":
            screenshot(page, name)
            page.emulate_media(color_scheme="dark")
            screenshot(page, f"{name}-dark")
            page.emulate_media(color_scheme="light")
    page.close()


def test_a_phone_shows_the_passage_without_scrolling_sideways(
    browser: Browser, address: str, library: Library
) -> None:
    for scripts in (True, False):
        context = browser.new_context(java_script_enabled=scripts, viewport={"width": 390, "height": 800})
        page = context.new_page()
        for path in (
            f"{passage(library, '車で集落を回る窓口を始め')}&q=車の窓口&find=窓口#passage",
            f"/documents/{library.ids['事例集.txt']}?find=窓口",
            f"/documents/{library.ids['長い記録.md']}?part=2",
            f"/documents/{library.ids['一覧.xlsx']}",
        ):
            page.goto(address + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        page.goto(f"{address}{passage(library, '車で集落を回る窓口を始め')}#passage")
        box = page.locator("mark#passage").bounding_box()
        assert box is not None
        assert 0 <= box["y"] < 800
        assert page.locator(".sheet-view details").get_attribute("open") == (None if scripts else "")
        screenshot(page, f"document-phone{'' if scripts else '-without-scripts'}")
        context.close()


def test_on_paper_there_is_the_text_with_the_passage_underlined(
    browser: Browser, address: str, library: Library, tmp_path: Path
) -> None:
    page = browser.new_page()
    page.goto(f"{address}{passage(library, '車で集落を回る窓口を始め')}&q=車の窓口&find=窓口")
    page.emulate_media(media="print")
    for part in (
        ".finder",
        ".sheet-view",
        ".reader__outline",
        ".site-nav",
        ".back",
        ".reading-bar .passage-bar",
    ):
        assert not page.locator(part).first.is_visible(), part
    style = "e => getComputedStyle(e).textDecorationLine"
    assert page.locator("mark#passage").evaluate(style) == "underline"
    assert page.locator("mark.find:not(.passage)").first.evaluate(style) == "none"
    screenshot(page, "document-print")
    made = tmp_path / "print.pdf"
    made.write_bytes(page.pdf(format="A4"))
    assert b"%PDF" in made.read_bytes()[:8]
    page.close()


def test_large_letters_do_not_scroll_sideways(browser: Browser, address: str, library: Library) -> None:
    page = browser.new_page(viewport={"width": 640, "height": 512})  # 1280 by 1024 at 200 %
    page.goto(f"{address}{passage(library, '車で集落を回る窓口を始め')}&q=車の窓口&find=窓口")
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    page.close()
