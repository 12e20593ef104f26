"""One morning of an officer, in a real browser over the samples and the real model; its pictures are those of the README."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from served import SCREENSHOTS, serving

from build_index import SAMPLES
from index.build import build
from index.current import CurrentIndex
from index.encoder import SentenceEncoder
from index.library import Library
from index.passages import model_record
from server import create_app

WATER = "# 水道の手引き\n\n## 検針\n\n水道の検針は二か月に一度、係員がご自宅に伺って行います。\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tour")
    documents, root = folder / "documents", folder / "index"
    shutil.copytree(SAMPLES, documents)
    build(documents, root, encoder)
    app = create_app(
        current=CurrentIndex(root, model_record(encoder)),
        encoder=encoder,
        rebuild=lambda progress: build(documents, root, encoder, progress=progress),
        library=Library(documents),
    )
    with serving(app) as found:
        yield found


def picture(page: Page, name: str) -> None:
    """A picture of what is in view, for the README (`make images`)."""
    folder = Path(os.environ.get("DXQA_IMAGES") or SCREENSHOTS)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"readme-{name}.png")


def test_a_morning(browser: Browser, address: str, tmp_path: Path) -> None:
    context = browser.new_context(locale="ja-JP", viewport={"width": 1200, "height": 860})
    page = context.new_page()
    outside: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda sent: None if sent.url.startswith(address) else outside.append(sent.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(address)
    assert page.locator(".examples a").count() >= 4
    page.fill("#q", "青葉野市の担当部署の電話番号は？")
    page.keyboard.press("Enter")
    expect(page.locator(".contact a[href^='tel:']")).to_be_visible()
    picture(page, "answer")

    page.fill("#q", "じゃあ月見坂町は？")  # a follow-up
    page.get_by_role("button", name="質問する").click()
    expect(page.locator(".history")).to_contain_text("青葉野市の担当部署の電話番号は？")
    expect(page.locator("#answer")).to_contain_text("月見坂町")

    page.goto(f"{address}/?q=人口5万人未満の団体の事例を見せて")  # a condition, taken back
    expect(page.locator(".chip--read")).to_contain_text("人口（以下）")
    picture(page, "list")
    page.locator(".chip--read .chip__remove").click()
    expect(page.locator(".chip--read")).to_have_count(0)

    page.goto(f"{address}/?q=青葉野市の担当部署の電話番号は？")  # the evidence in its document
    said = page.locator("#c1 blockquote mark").first.inner_text()
    page.locator("#c1").get_by_role("link", name="原文で確認する").click()
    expect(page.locator("mark#passage").first).to_be_in_viewport()
    assert said in "".join(page.locator("#canonical mark").all_inner_texts())
    picture(page, "document")

    page.goto(f"{address}/cases")  # two cases side by side
    boxes = page.locator("input[type=checkbox][name=case]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="比べる").first.click()
    expect(page.locator("table.compare")).to_be_visible()
    picture(page, "compare")

    with page.expect_download() as download:  # taken along
        page.locator(".export a[href*='.docx']").click()
    file = tmp_path / "比較.docx"
    download.value.save_as(file)
    assert "word/document.xml" in zipfile.ZipFile(file).namelist()

    page.goto(f"{address}/?q=雪見川市の予算額は？")  # nobody has indexed it
    expect(page.locator("#answer")).to_contain_text("答えが見つかりませんでした")
    expect(page.get_by_role("heading", name="参考：近い記述（答えではありません）")).to_be_visible()

    page.goto(f"{address}/admin")  # a document that arrives
    page.set_input_files(
        "#files", files=[{"name": "水道.md", "mimeType": "text/markdown", "buffer": WATER.encode()}]
    )
    expect(page.locator("#waiting")).to_contain_text("水道の手引き", timeout=60_000)
    picture(page, "admin")
    page.locator("#waiting button[id^=approve-]").first.click()
    expect(page.locator("#progress")).to_contain_text("追加 1件", timeout=120_000)
    page.goto(f"{address}/?q=水道の検針はどのくらいの間隔で来ますか")
    expect(page.locator("#answer")).to_contain_text("二か月に一度")

    assert outside == []
    assert complaints == []
    context.close()
