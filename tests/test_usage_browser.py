"""Rating, and the page of the records, in a real browser: with scripts and without, on a phone, in the dark, on paper."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from served import screenshot, serving, violations, watched
from test_server import Service
from test_usage import Clock, ask, rate, read

from qa.usage import Usage

QUESTION = "若草市の担当部署の電話番号は？"
NOW = datetime(2026, 11, 21, 15, 0)
QUESTIONS = (
    ("若草市の担当部署の電話番号は？", None),
    ("ＷＥＢ予約の費用はいくらですか", None),
    ("車で回る窓口の一日の流れ", None),
    ("火星市の予算は？", "unknown_organization"),
    ("小石原村の庁舎の建設費はいくらですか", "value_not_stated"),
    ("研修を一緒に開いている県はどこ？", None),
    ("人口100万人以上の村の事例を見せて", "filtered_out"),
    (
        "電子申請で本人確認をどうしているか、添付書類を減らした団体の工夫と、職員の研修の進め方も合わせて教えてください",
        None,
    ),
)


def lived_in(path: Path) -> Usage:
    """Records of a month and a half as a town hall would leave them; the same in every run."""
    clock, dice = Clock(NOW), random.Random(7)
    usage = Usage(path, 180, clock=clock)
    for back in range(45, -1, -1):
        day = NOW - timedelta(days=back)
        for number in range(0 if day.weekday() >= 5 else dice.randrange(4, 18)):
            clock.now = day.replace(hour=9) + timedelta(minutes=11 * number)
            question, reason = QUESTIONS[min(int(dice.expovariate(0.5)), len(QUESTIONS) - 1)]
            quoted = ("事例集",) if dice.random() < 0.7 else ("議事録", "古い計画")
            ask(usage, question, reason=reason, quoted=quoted, took_ms=dice.uniform(8, 60))
        usage.flush(10)
    clock.now = NOW
    ask(usage, "そこの人口は？", "若草市の窓口について教えて")
    rate(usage, QUESTIONS[0][0], True, "すぐに分かりました")
    rate(usage, QUESTIONS[0][0], False, "番号が古いようです。\n代表番号につながりました。")
    rate(usage, QUESTIONS[4][0], False, "契約書の一覧が資料に入っていません")
    rate(usage, QUESTIONS[7][0], False)
    usage.flush(10)
    return usage


@pytest.fixture
def usage(tmp_path: Path) -> Iterator[Usage]:
    made = lived_in(tmp_path / "usage.sqlite3")
    yield made
    made.close()


@pytest.fixture
def address(tmp_path: Path, usage: Usage) -> Iterator[str]:
    with serving(Service(tmp_path / "service", usage=usage).app) as found:
        yield found


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, address, scripts=request.param) as opened:
        yield opened


def latest(usage: Usage) -> tuple[str, bool, str]:
    rating = max(read(usage).rated, key=lambda rating: rating.id)
    return rating.question, rating.useful, rating.comment


def scripted(page: Page) -> bool:
    return bool(page.locator("#q[aria-keyshortcuts]").count())


def test_a_word_with_a_rating(page: Page, address: str, usage: Usage) -> None:
    before = len(read(usage).rated)
    page.goto(f"{address}/?q={QUESTION}")
    with_scripts = scripted(page)
    page.get_by_text("ひとことを添える（任意）").click()
    page.get_by_label("よかったところ、足りなかったところ").fill("番号が\n古い")
    page.get_by_role("button", name="「役に立たなかった」と送る").click()
    if with_scripts:
        expect(page.locator("#feedback-said")).to_have_text(
            "ありがとうございました。ひとことも受け取りました。"
        )
        assert page.url.endswith(page.url.split("/")[-1])
        assert "?q=" in page.url  # the answer is still there
    else:
        page.wait_for_url("**/feedback?**")
        expect(page.get_by_role("heading", level=1)).to_have_text("ありがとうございました")
        assert violations_without_scripts(page)
        page.get_by_role("link", name="答えに戻る").click()
        assert "0000-11-2222" in page.locator("#answer").inner_text()
    assert latest(usage) == (QUESTION, False, "番号が\n古い")
    assert len(read(usage).rated) == before + 1


def violations_without_scripts(page: Page) -> bool:
    """What can be seen without axe, which is a script: one heading, one main part, no sideways scrolling."""
    return page.locator("h1").count() == 1 and page.locator("main").count() == 1


def test_one_press_is_a_rating_and_another_changes_it(page: Page, address: str, usage: Usage) -> None:
    before = len(read(usage).rated)
    page.goto(f"{address}/?q={QUESTION}")
    with_scripts = scripted(page)
    page.get_by_role("button", name="役に立った", exact=True).press("Enter")
    if not with_scripts:
        page.wait_for_url("**/feedback?**")
        assert latest(usage) == (QUESTION, True, "")
        return
    expect(page.locator("#feedback-said")).to_contain_text("ありがとうございました")
    expect(page.locator("[aria-pressed=true]")).to_have_text("役に立った")
    assert latest(usage) == (QUESTION, True, "")
    assert violations(page) == []
    screenshot(page, "feedback-given")
    page.get_by_role("button", name="役に立たなかった", exact=True).press("Enter")
    expect(page.locator("[aria-pressed=true]")).to_have_text("役に立たなかった")
    page.get_by_label("よかったところ、足りなかったところ").fill("やはり違いました")
    page.get_by_role("button", name="ひとことを送る").press("Enter")
    expect(page.locator("#feedback-said")).to_have_text("ありがとうございました。ひとことも受け取りました。")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"  # and not lost with the folded part
    assert latest(usage) == (QUESTION, False, "やはり違いました")
    assert len(read(usage).rated) == before + 1


def test_conditions_and_earlier_questions_go_with_a_rating(page: Page, address: str, usage: Usage) -> None:
    page.goto(f"{address}/?h=若草市について&q=そこの電話番号は？&organization_kinds=市&population_max=100000")
    page.get_by_role("button", name="役に立った", exact=True).click()
    if scripted(page):
        expect(page.locator("#feedback-said")).to_contain_text("ありがとうございました")
    else:
        page.wait_for_url("**/feedback?**")
    rating = max(read(usage).rated, key=lambda rating: rating.id)
    assert dict(rating.pairs) == {
        "h": "若草市について",
        "q": "そこの電話番号は？",
        "organization_kinds": "市",
        "population_max": "100000",
    }


def test_a_rating_that_cannot_be_kept_is_said(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    own = Service(tmp_path / "service", usage=Usage(tmp_path / "file" / "u", 30))
    with serving(own.app) as where:
        page = browser.new_page(locale="ja-JP")
        page.goto(f"{where}/?q={QUESTION}")
        assert "0000-11-2222" in page.locator("#answer").inner_text()
        page.get_by_role("button", name="役に立った", exact=True).click()
        expect(page.locator("#feedback-said")).to_have_text(
            "いまは評価を記録できません。答えはそのままご覧になれます。"
        )
        assert violations(page) == []
        page.close()


def test_the_administrator_looks_and_removes(page: Page, address: str, usage: Usage) -> None:
    page.goto(f"{address}/admin")
    page.get_by_role("link", name="利用の記録（質問と評価）").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("利用の記録")
    page.get_by_role("link", name="7日間").click()
    assert "days=7" in page.url
    page.get_by_role("link", name="すべて", exact=True).click()
    section = page.locator("#not-useful")
    assert "代表番号につながりました。" in section.inner_text()
    section.get_by_role("link", name=re.compile("消す.*若草市")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("この評価を消しますか")
    page.get_by_role("button", name="消す").click()
    page.wait_for_url("**/admin/usage#not-useful")
    assert "代表番号" not in page.locator("main").inner_text()
    with page.expect_download() as saved:
        page.get_by_role("link", name="すべての一覧をExcelで保存").click()
    assert saved.value.suggested_filename == "usage-30days.xlsx"
    page.locator("#unanswered").get_by_role("link", name="火星市の予算は？").first.click()
    assert page.locator("#answer").count() == 1  # the question is asked again
    page.goto(f"{address}/admin/usage")
    page.get_by_role("link", name="すべての記録を消す").click()
    page.get_by_role("link", name="やめる").click()
    assert read(usage).numbers.questions > 100
    page.get_by_role("link", name="すべての記録を消す").click()
    page.get_by_role("button", name="すべての記録を消す").click()
    page.wait_for_url("**/admin/usage")
    assert read(usage).numbers.questions == 0


PATHS = (
    "/admin/usage?days=all",
    "/admin/usage?days=7",
    "/admin/usage/clear",
    f"/?q={QUESTION}",
    "/?q=火星市の予算は？",
    f"/feedback?q={QUESTION}",
)


@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing(browser: Browser, address: str, path: str) -> None:
    page = browser.new_page(locale="ja-JP")
    page.goto(address + path)
    page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert violations(page) == []
    page.close()


def test_axe_finds_nothing_where_nothing_is_recorded(browser: Browser, tmp_path: Path) -> None:
    with serving(Service(tmp_path).app) as where:
        page = browser.new_page(locale="ja-JP")
        page.goto(f"{where}/admin/usage")
        assert violations(page) == []
        screenshot(page, "usage-off")
        page.close()


@pytest.mark.parametrize("width", [390, 640])
def test_nothing_scrolls_sideways(browser: Browser, address: str, width: int) -> None:
    page = browser.new_page(locale="ja-JP", viewport={"width": width, "height": 800})
    for path in PATHS:
        page.goto(address + path)
        page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.close()


def test_targets_are_large_enough(browser: Browser, address: str) -> None:
    page = browser.new_page(locale="ja-JP", viewport={"width": 390, "height": 800})
    page.goto(f"{address}/?q={QUESTION}")
    page.get_by_text("ひとことを添える（任意）").click()
    for target in page.locator("#feedback button, #feedback summary, #feedback textarea").all():
        box = target.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    page.close()


def test_pictures_to_look_at(browser: Browser, address: str) -> None:
    for name, width, scheme, media in (
        ("light", 1200, "light", "screen"),
        ("dark", 1200, "dark", "screen"),
        ("phone", 390, "light", "screen"),
        ("print", 800, "light", "print"),
    ):
        page = browser.new_page(locale="ja-JP", viewport={"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme, media=media)  # type: ignore[arg-type]
        page.goto(f"{address}/admin/usage")
        screenshot(page, f"usage-{name}")
        page.goto(f"{address}/?q={QUESTION}")
        if media == "screen":
            page.get_by_text("ひとことを添える（任意）").click()
        else:
            assert not page.locator("#feedback").is_visible()
        screenshot(page, f"feedback-{name}")
        page.close()
    page = browser.new_page(locale="ja-JP")
    page.goto(f"{address}/feedback?q={QUESTION}")
    screenshot(page, "feedback-thanks")
    page.close()
