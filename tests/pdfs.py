"""PDF files for tests, printed by a real browser."""

from __future__ import annotations

from playwright.sync_api import Browser

FONT_FAMILY = '"Noto Sans CJK JP", "Noto Sans JP"'


def printed(browser: Browser, body: str, style: str = "") -> bytes:
    """A page of HTML as a browser prints it; `<div class='page'></div>` begins a new page."""
    page = browser.new_page()
    page.set_content(
        f"<!doctype html><html lang='ja'><style>body{{font:11pt/1.7 {FONT_FAMILY}}} table{{border-collapse:collapse}}"
        f"td{{border:1px solid;padding:2px 6px}} .page{{break-after:page}} {style}</style>{body}"
    )
    made = page.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "20mm"))
    page.close()
    return made
