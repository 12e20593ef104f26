"""The administrator's page in a real browser: with scripts and without, and nothing from another host."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from made import CASE_BOOK
from playwright.sync_api import Browser, Page, Route, expect
from served import screenshot, serving, watched
from test_server import Service

expect.set_options(timeout=15_000)
WATER = "# 水道の手引き\n\n## 検針\n\n水道の検針は二か月に一度、係員がご自宅に伺って行います。\n"
ROADS = "# 道路の手引き\n\n## 穴\n\n道路の穴を見つけたら、土木係に電話で知らせてください。\n"
LONG = "とても長い名前の資料" * 5 + ".md"
# what drops files on an element: a page cannot make them out of the disk by itself
DROP = """([element, files]) => {
  const data = new DataTransfer();
  for (const [name, text] of files) data.items.add(new File([text], name));
  for (const kind of ["dragenter", "dragover", "drop"])
    element.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with serving(Service(tmp_path).app) as where:
        yield where


def settled(page: Page) -> None:
    """Waits until nothing is being done, reloading where no script does it."""
    busy = page.locator("[data-busy]")
    end = time.monotonic() + 60
    while busy.count() and time.monotonic() < end:
        if page.get_by_role("link", name="画面を更新する").is_visible():
            page.get_by_role("link", name="画面を更新する").click()
        page.wait_for_timeout(100)
    assert busy.count() == 0


def asked(page: Page, address: str, question: str) -> str:
    page.goto(f"{address}/?q={question}")
    return page.locator("main").inner_text()


def test_from_two_files_to_an_answer_and_back(browser: Browser, address: str) -> None:
    with watched(browser, address, scripts=True) as page:
        page.goto(address)
        page.get_by_role("link", name="管理").click()
        expect(page.get_by_role("heading", name="使用中の索引")).to_be_visible()
        expect(page.get_by_role("button", name="送る")).to_be_hidden()  # choosing sends
        page.get_by_label("ファイルを選ぶ").set_input_files(
            [
                {"name": "水道.md", "mimeType": "text/markdown", "buffer": WATER.encode()},
                {
                    "name": "事例集.txt",
                    "mimeType": "text/plain",
                    "buffer": CASE_BOOK.replace("平均40分", "平均50分").encode(),
                },
            ]
        )
        waiting = page.locator("#waiting")
        expect(waiting.locator("tbody tr")).to_have_count(2)
        page.evaluate(
            DROP,
            [
                page.locator("#upload").element_handle(),
                [["道路.md", ROADS], [LONG, "(cid:12)(cid:34)の案内です。" * 9]],
            ],
        )
        expect(waiting.locator("tbody tr")).to_have_count(4)
        expect(page.locator("#sending li")).to_have_count(0)
        expect(page.locator("#waiting[data-reading='0']")).to_be_visible()
        row = waiting.get_by_role("row", name=re.compile("事例集"))
        expect(row).to_contain_text("同じ名前の資料を置き換えます")
        expect(row).to_contain_text("とほぼ同じ内容です")
        expect(waiting.get_by_role("row", name=re.compile("長い名前"))).to_contain_text("文字化け")
        expect(page.locator("#live")).to_contain_text(re.compile("確認待ち"))
        screenshot(page, "admin-waiting")

        row.get_by_role("link", name="事例集.txt").click()
        expect(page.get_by_role("heading", name="本文と、検索される単位")).to_be_visible()
        pair = page.locator(".pair", has_text="平均50分から")
        expect(pair.locator("mark")).to_contain_text("平均50分から平均15分")
        expect(pair.locator(".pair__unit")).to_contain_text("p.3")
        expect(pair.locator(".pair__unit")).to_contain_text("事業効果")
        expect(page.get_by_role("table").get_by_role("row", name=re.compile("車で回る窓口"))).to_contain_text(
            "4,210人"
        )
        expect(page.locator(".pair--rest", has_text="(若草市)")).to_contain_text("検索しない部分")
        screenshot(page, "admin-preview")
        page.get_by_role("link", name="車で回る窓口").first.click()  # the outline leads into the text
        page.get_by_role("button", name="登録する").click()
        expect(page.locator("#progress")).to_contain_text("索引を作り直しました")
        expect(page.locator("#progress")).to_contain_text("変更 1件")

        waiting.get_by_role("row", name=re.compile("長い名前")).get_by_role("button", name="取り消す").click()
        page.get_by_role("button", name="すべて登録する（2件）").click()
        expect(page.locator("#registered tbody tr")).to_have_count(6)
        settled(page)
        expect(page.locator("#footer")).to_contain_text("6件")
        screenshot(page, "admin-registered")
        answer = asked(page, address, "水道の検針は何か月に一度？")
        assert "水道の検針は二か月に一度、係員がご自宅に伺って行います。" in answer
        assert "水道の手引き" in answer
        assert "平均50分から平均15分" in asked(page, address, "若草市の待ち時間は？")
        page.goto(f"{address}/documents")
        expect(page.get_by_role("heading", name="最近の変更")).to_be_visible()

        page.goto(f"{address}/admin")
        page.locator("#registered").get_by_role("row", name=re.compile("水道")).get_by_role(
            "link", name="取り除く"
        ).click()
        screenshot(page, "admin-confirm")
        page.get_by_role("button", name="取り除く").click()
        expect(page.locator("#registered tbody tr")).to_have_count(5)
        assert "水道の手引き" not in asked(page, address, "水道の検針は何か月に一度？")
        page.goto(f"{address}/admin")
        page.locator("#versions").get_by_role("link", name="この版に戻す").first.click()
        page.get_by_role("button", name="この版に戻す").click()
        expect(page.locator("#registered tbody tr")).to_have_count(6)
        assert "水道の手引き" in asked(page, address, "水道の検針は何か月に一度？")


def test_the_same_without_scripts(browser: Browser, address: str) -> None:
    with watched(browser, address, scripts=False) as page:
        page.goto(f"{address}/admin")
        page.get_by_label("ファイルを選ぶ").set_input_files(
            [
                {"name": "水道.md", "mimeType": "text/markdown", "buffer": WATER.encode()},
                {"name": "道路.md", "mimeType": "text/markdown", "buffer": ROADS.encode()},
            ]
        )
        page.get_by_role("button", name="送る").click()
        expect(page.locator("#waiting tbody tr")).to_have_count(2)
        end = time.monotonic() + 60
        while page.get_by_text("読み取っています").count() and time.monotonic() < end:
            page.goto(f"{address}/admin")
        page.get_by_role("link", name="水道.md").click()
        expect(page.locator("main")).to_contain_text("水道の検針は二か月に一度")
        page.get_by_role("button", name="登録する").click()
        settled(page)
        page.goto(f"{address}/admin")
        expect(page.locator("#registered tbody tr")).to_have_count(5)
        assert "水道の手引き" in asked(page, address, "水道の検針は何か月に一度？")
        page.goto(f"{address}/admin")
        page.locator("#registered").get_by_role("row", name=re.compile("水道")).get_by_role(
            "link", name="取り除く"
        ).click()
        page.get_by_role("button", name="取り除く").click()
        settled(page)
        page.goto(f"{address}/admin")
        expect(page.locator("#registered tbody tr")).to_have_count(4)
        page.locator("#versions").get_by_role("link", name="この版に戻す").first.click()
        page.get_by_role("button", name="この版に戻す").click()
        expect(page.locator("#registered tbody tr")).to_have_count(5)


def test_what_is_refused_is_said_beside_the_file(browser: Browser, address: str) -> None:
    with watched(browser, address, scripts=True) as page:
        page.goto(f"{address}/admin")
        page.evaluate(DROP, [page.locator("#upload").element_handle(), [["空.txt", ""]]])
        expect(page.locator("#sending")).to_contain_text("フォルダー")
        expect(page.locator("#live")).to_contain_text("空.txt")
    context = browser.new_context(locale="ja-JP")
    page = context.new_page()  # a refusal by the server is also an entry of the console
    page.goto(f"{address}/admin")
    page.get_by_label("ファイルを選ぶ").set_input_files(
        [{"name": "古い.doc", "mimeType": "application/msword", "buffer": b"x"}]
    )
    expect(page.locator("#sending")).to_contain_text("Wordで開き")
    expect(page.locator("#waiting")).to_contain_text("確認待ちのファイルはありません")
    screenshot(page, "admin-refused")
    context.close()


def test_by_keyboard_alone(browser: Browser, address: str) -> None:
    with watched(browser, address, scripts=True) as page:
        page.goto(f"{address}/admin")
        page.get_by_label("ファイルを選ぶ").set_input_files(
            [{"name": "水道.md", "mimeType": "text/markdown", "buffer": WATER.encode()}]
        )
        expect(page.locator("#waiting[data-reading='0'] tbody tr")).to_have_count(1)
        order = []
        for _ in range(40):
            page.keyboard.press("Tab")
            order.append(page.evaluate("document.activeElement.id.split('-')[0]"))
            if order[-1] == "approve":
                break
        assert order[-2:] == ["name", "approve"]  # the name first, then what to do with it
        # a part of the page that is replaced leaves the focus where it was
        page.evaluate(DROP, [page.locator("#upload").element_handle(), [["道路.md", ROADS]]])
        expect(page.locator("#waiting[data-reading='0'] tbody tr")).to_have_count(2)
        assert page.evaluate("document.activeElement.id").startswith("approve-")
        page.keyboard.press("Enter")
        expect(page.locator("#registered tbody tr")).to_have_count(5)


def test_files_chosen_before_the_script_is_there(browser: Browser, tmp_path: Path) -> None:
    with serving(Service(tmp_path).app) as address:
        context = browser.new_context(locale="ja-JP")
        page = context.new_page()
        held: list[Route] = []
        page.route("**/admin.js*", lambda route: held.append(route))
        page.goto(f"{address}/admin", wait_until="commit")
        page.get_by_label("ファイルを選ぶ").set_input_files(
            [{"name": "水道.md", "mimeType": "text/markdown", "buffer": WATER.encode()}]
        )
        assert page.locator("#waiting").get_by_role("button", name="登録する").count() == 0
        held[0].continue_()
        expect(page.locator("#waiting").get_by_role("button", name="登録する")).to_be_visible()
        context.close()


def test_signing_in(browser: Browser, tmp_path: Path) -> None:
    with serving(Service(tmp_path, token="ひみつの合言葉").app) as address:
        context = browser.new_context(locale="ja-JP")
        page = context.new_page()
        page.goto(f"{address}/admin")
        page.get_by_label("管理者の合言葉").fill("まちがい")
        page.get_by_role("button", name="入る").click()
        expect(page.get_by_role("alert")).to_contain_text("合言葉が違います")
        screenshot(page, "admin-login")
        page.get_by_label("管理者の合言葉").fill("ひみつの合言葉")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="使用中の索引")).to_be_visible()
        page.get_by_label("ファイルを選ぶ").set_input_files(
            [{"name": "水道.md", "mimeType": "text/markdown", "buffer": WATER.encode()}]
        )
        page.locator("#waiting").get_by_role("button", name="登録する").click()
        expect(page.locator("#registered tbody tr")).to_have_count(5)
        page.get_by_role("button", name="ログアウト").click()
        expect(page.get_by_label("管理者の合言葉")).to_be_visible()
        context.close()


def test_a_narrow_screen_and_long_names(browser: Browser, address: str) -> None:
    with watched(browser, address, scripts=True, width=390) as page:
        page.goto(f"{address}/admin")
        page.get_by_label("ファイルを選ぶ").set_input_files(
            [
                {"name": name, "mimeType": "text/markdown", "buffer": WATER.encode()}
                for name in (LONG, "a" * 190 + ".md")
            ]
        )
        expect(page.locator("#waiting[data-reading='0'] tbody tr")).to_have_count(2)
        screenshot(page, "admin-narrow")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator("#waiting").get_by_role("link").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.set_viewport_size({"width": 1200, "height": 800})
        page.goto(f"{address}/admin")
        assert page.evaluate("document.documentElement.scrollWidth") <= 1200
        screenshot(page, "admin-long")
