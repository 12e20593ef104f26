"""The pages of cases in a real browser: with and without scripts, by keyboard, on a phone, printed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import pypdf
import pytest
from playwright.sync_api import Browser, Page
from served import screenshot, serving, violations, watched
from test_server import Service


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(Service(tmp_path_factory.mktemp("cases-browser")).app) as found:
        yield found


@pytest.fixture(scope="module")
def ids(address: str) -> list[str]:
    cases: list[dict[str, Any]] = httpx2.get(f"{address}/api/cases").json()["cases"]
    return [case["id"] for case in cases]


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, address, scripts=request.param, width=1280, height=900) as opened:
        yield opened


@pytest.fixture
def scripted(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(locale="ja-JP", viewport={"width": 1280, "height": 900})
    yield opened
    opened.close()


def pages_of(ids: list[str]) -> dict[str, str]:
    return {
        "cases": "/cases",
        "cases-narrowed": f"/cases?{urlencode({'organization_kinds': '村', 'find': '窓口', 'case': ids[0]})}",
        "cases-none": "/cases?find=xyz",
        "case": f"/cases/{ids[0]}",
        "case-unstated": f"/cases/{ids[2]}",
        "similar": "/similar",
        "similar-found": f"/similar?{urlencode({'organization': '若草市'})}",
        "similar-choose": f"/similar?{urlencode({'organization': '府中市', 'population': '多い'})}",
        "compare": f"/compare?{urlencode([('case', name) for name in ids])}",
        "compare-few": f"/compare?case={ids[0]}",
    }


def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    browser: Browser, address: str, ids: list[str]
) -> None:
    for name, path in pages_of(ids).items():
        page = browser.new_page(locale="ja-JP", viewport={"width": 1280, "height": 900})
        page.goto(address + path)
        assert violations(page) == [], name
        screenshot(page, f"cases-{name}-light")
        page.emulate_media(color_scheme="dark")
        screenshot(page, f"cases-{name}-dark")
        page.emulate_media(color_scheme="light")
        # 390 px, and 1280 px at 200 %
        for width in (390, 640):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(address + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            assert violations(page) == [], (name, width)
            screenshot(page, f"cases-{name}-{width}")
        page.close()


def test_choosing_two_cases_and_comparing_them(page: Page, address: str) -> None:
    page.goto(f"{address}/cases")
    for words in ("事例1 つくし県若草市を比べる事例に選ぶ", "事例2 つくし県小石原村を比べる事例に選ぶ"):
        box = page.get_by_role("checkbox", name=words)
        box.focus()
        page.keyboard.press("Space")
        assert box.is_checked()
    page.get_by_role("button", name="選んだ事例を並べて比べる").press("Enter")
    page.wait_for_url("**/compare?**")
    row = page.get_by_role("row", name="電話")
    assert "0000-11-2222" in row.inner_text()
    assert "0000-22-3333" in row.inner_text()
    assert "記載なし" in page.get_by_role("row", name="メール").inner_text()
    # a cell leads to its words in the document
    row.get_by_role("link", name="原文で").first.click()
    page.wait_for_url("**/documents/**")
    assert page.locator("mark#passage").inner_text() == "0000-11-2222"
    page.go_back()
    page.get_by_role("link", name="違うところだけ").click()
    page.wait_for_url("**differences=1**")
    assert page.get_by_role("row", name="都道府県").count() == 0
    assert page.get_by_role("link", name="すべての項目を表示").count() == 1
    page.get_by_role("link", name="一覧から選び直す").click()
    page.wait_for_url("**/cases?**")
    assert [box.is_checked() for box in page.get_by_role("checkbox").all()] == [True, True, False]


def test_one_case_alone_is_not_compared(page: Page, address: str) -> None:
    page.goto(f"{address}/cases")
    page.get_by_role("checkbox").first.check()
    button = page.get_by_role("button", name="選んだ事例を並べて比べる")
    if button.get_attribute("aria-disabled") == "true":  # a script says it at once
        assert page.locator("#choice-state").inner_text() == "1件を選びました。あと1件選んでください。"
        button.click(force=True)
        assert "/compare" not in page.url
    else:
        button.click()
        page.wait_for_url("**/compare?**")
        assert "いま1件" in page.locator("main").inner_text()
        page.get_by_role("link", name="一覧から選ぶ").click()
        page.wait_for_load_state()
        assert page.get_by_role("checkbox").first.is_checked()


def test_the_choice_outlives_narrowing(scripted: Page, address: str) -> None:
    scripted.goto(f"{address}/cases")
    scripted.get_by_role("checkbox").first.check()
    scripted.locator(".facets").get_by_role("link", name="村").first.click()
    scripted.wait_for_url("**organization_kinds**")
    assert scripted.locator(".choice__elsewhere").inner_text().strip() == "事例1 つくし県若草市"
    scripted.get_by_role("checkbox", name="小石原村").check()
    scripted.get_by_role("button", name="選んだ事例を並べて比べる").click()
    scripted.wait_for_url("**/compare?**")
    assert scripted.locator(".picked__case").count() == 2


def test_narrowing_with_the_form_and_taking_it_back(page: Page, address: str) -> None:
    page.goto(f"{address}/cases")
    page.get_by_label("言葉で絞り込む").fill("ＷＥＢ")
    page.get_by_label("人口（人以下）").fill("五万")
    page.get_by_role("button", name="絞り込む").click()
    page.wait_for_url("**/cases?find**")
    assert page.locator("tbody tr").count() == 1
    assert "人口（以下）：50,000人" in page.locator(".chips").inner_text()
    page.get_by_role("link", name="条件をすべて外す").click()
    page.wait_for_url("**/cases")
    assert page.locator("tbody tr").count() == 3
    page.get_by_role("link", name="人口の多い順").click()
    page.wait_for_url("**sort=**")
    assert page.locator("tbody tr").first.inner_text().count("若草市")
    assert page.get_by_role("link", name="人口の多い順").get_attribute("aria-current") == "true"


def test_an_officer_looks_for_towns_alike(page: Page, address: str) -> None:
    page.goto(f"{address}/cases")
    page.get_by_role("link", name="人口や種類の近い団体から探す").click()
    page.wait_for_url("**/similar")
    page.get_by_label("団体の名前").fill("若草市")
    page.keyboard.press("Enter")
    page.wait_for_url("**/similar?**")
    assert "人口が約0.13倍・種類は村" in page.locator("main").inner_text()
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="選んだ事例を並べて比べる").click()
    page.wait_for_url("**/compare?**")  # with one's own case
    assert page.locator(".picked__case").count() == 2


def test_a_case_leads_to_its_neighbours_and_headings(page: Page, address: str, ids: list[str]) -> None:
    page.goto(f"{address}/cases/{ids[0]}")
    page.locator(".jumps a").last.click()
    target = page.locator(page.evaluate("location.hash"))
    box = target.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900
    page.get_by_role("link", name="次の事例").click()
    page.wait_for_url(f"**/cases/{ids[1]}")
    assert "車で回る窓口" in page.locator("h1").inner_text()


def test_the_first_column_stands_still_where_the_table_scrolls(
    browser: Browser, address: str, ids: list[str]
) -> None:
    page = browser.new_page(locale="ja-JP", viewport={"width": 800, "height": 700})
    page.goto(f"{address}{pages_of(ids)['compare']}")
    # the made-up book has three cases: what five would do is seen by the class alone
    page.evaluate("document.querySelector('.compare-box').className = 'compare-box compare-box--5'")
    box = page.locator(".compare-box")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth")
    box.evaluate("e => { e.scrollLeft = 200; e.scrollTop = 300; }")
    left = box.bounding_box()
    column = page.locator(".compare tbody th[scope=row]").nth(5).bounding_box()
    head = page.locator(".compare__case").first.bounding_box()
    assert left
    assert column
    assert head
    assert abs(column["x"] - left["x"]) < 3
    assert abs(head["y"] - left["y"]) < 3
    assert page.evaluate("document.documentElement.scrollWidth") <= 800
    page.close()


def test_a_comparison_is_printed_on_wide_paper(browser: Browser, address: str, ids: list[str]) -> None:
    page = browser.new_page(locale="ja-JP")
    page.goto(f"{address}{pages_of(ids)['compare']}")
    printed = pypdf.PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    first = printed.pages[0]
    assert first.mediabox.width > first.mediabox.height
    words = "".join(sheet.extract_text() for sheet in printed.pages)
    assert "0000-11-2222" in words
    assert "p.4" in words
    assert "一覧から選び直す" not in words
    page.close()
