"""The pages in a real browser: by keyboard alone, without JavaScript, and without another host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from served import serving, violations, watched
from test_server import Service


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(Service(tmp_path_factory.mktemp("pages")).app) as found:
        yield found


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, address, scripts=request.param) as opened:
        yield opened


def test_a_question_from_the_keyboard_to_the_words_in_the_document(page: Page, address: str) -> None:
    page.goto(address)
    page.keyboard.press("Tab")
    for _ in range(30):
        if page.locator("#q:focus").count():
            break
        page.keyboard.press("Tab")
    assert page.locator("#q:focus").count() == 1
    page.keyboard.type("若草市の担当部署の電話番号は？")
    page.keyboard.press("Enter")
    page.wait_for_load_state()
    answer = page.locator("#answer")
    assert "0000-11-2222" in answer.inner_text()
    assert "つくし県若草市" in answer.inner_text()
    answer.get_by_role("link", name="出典1を見る").first.press("Enter")
    card = page.locator("#c1")
    assert "p.4" in card.inner_text()
    assert "0000-11-2222" in " ".join(card.locator("mark").all_inner_texts())
    card.get_by_role("link", name="原文で確認する").press("Enter")
    page.wait_for_url("**/documents/**")
    mark = page.locator("mark#passage")
    assert "0000-11-2222" in "".join(page.locator("mark").all_inner_texts())
    box = mark.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 800  # what was cited is in view, not somewhere on the page


def test_a_follow_up_keeps_the_conversation(page: Page, address: str) -> None:
    page.goto(f"{address}/?q=小石原村の車で回る窓口について教えて")
    page.fill("#q", "そこの電話番号は？")
    page.get_by_role("button", name="質問する").click()
    page.wait_for_load_state()
    assert "0000-22-3333" in page.locator("#answer").inner_text()
    assert "小石原村の車で回る窓口について教えて" in page.locator(".history").inner_text()


def test_the_catalogue(page: Page, address: str) -> None:
    page.goto(f"{address}/cases")
    assert page.get_by_text("車で回る窓口").count() >= 1
    page.get_by_role("link", name="村").first.click()
    page.wait_for_load_state()
    assert page.get_by_text("用紙をなくした総合窓口").count() == 0
    page.get_by_role("link", name="車で回る窓口").first.click()
    page.wait_for_load_state()
    body = page.locator("main").inner_text()
    assert "0000-22-3333" in body
    assert "記載なし" in body  # this case states no mail address
    page.goto(f"{address}/documents")
    assert page.get_by_role("link", name="窓口の事例集").count() >= 1


def test_an_example_question_answers(page: Page, address: str) -> None:
    page.goto(address)
    page.locator(".examples").get_by_role("link").first.click()
    page.wait_for_load_state()
    assert page.locator("#answer").count() == 1
    assert page.locator("#c1").count() == 1


def test_a_narrow_screen_does_not_scroll_sideways(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    for path in ("/", "/?q=窓口の手続", "/cases", "/documents"):
        page.goto(address + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, path
    page.close()


def test_the_static_files_are_small(address: str) -> None:
    folder = Path(__file__).resolve().parents[1] / "web" / "static"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000
    assert address.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?q=若草市の担当部署の電話番号は？",
        "/?q=火星市の予算は？",
        "/cases",
        "/documents",
        "/admin",
        "/nowhere",
    ],
)
def test_axe_finds_nothing(browser: Browser, address: str, path: str) -> None:
    page = browser.new_page(locale="ja-JP")
    page.goto(address + path)
    assert violations(page) == []
    page.close()


def test_axe_itself_finds_faults(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.evaluate(
        "document.querySelector('label').remove(); document.querySelector('h1').style.color = '#ccc'"
    )
    found = " ".join(violations(page))
    assert " label:" in found
    assert "color-contrast" in found
    page.close()
