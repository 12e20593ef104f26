"""A real server for tests on a free port of this computer, and what is looked at of the pages that a browser shows."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import axe_playwright_python
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

SCREENSHOTS = Path(__file__).resolve().parents[1] / "var" / "screenshots"
# a page that waits for an index to be built, on a machine that does other things too
expect.set_options(timeout=15_000)
_AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serves an application from a thread while the block runs; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            end = time.monotonic() + 20
            while not server.started:
                assert time.monotonic() < end, "the server did not start"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(20)


@contextmanager
def watched(
    browser: Browser, address: str, *, scripts: bool = True, width: int = 1200, height: int = 800
) -> Iterator[Page]:
    """A page that must ask no host but the one of `address`, and whose console must stay empty.

    A page that is itself an error (with its status) is an entry of the console too; such a page may be what a test looks at.
    """
    context = browser.new_context(
        java_script_enabled=scripts, locale="ja-JP", viewport={"width": width, "height": height}
    )
    context.set_default_timeout(15_000)
    page = context.new_page()
    outside: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda sent: None if sent.url.startswith(address) else outside.append(sent.url))

    def heard(said: ConsoleMessage) -> None:
        refused = said.text.startswith("Failed to load resource") and said.location["url"] == page.url
        if said.type in {"error", "warning"} and not refused:
            complaints.append(said.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        assert outside == []
        assert complaints == []
    finally:
        context.close()


def screenshot(page: Page, name: str) -> None:
    """Leaves a picture of the whole page for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page under WCAG 2.2 AA and its best practices, in light and in dark."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(_AXE.read_text(encoding="utf-8"))
        result: dict[str, Any] = page.evaluate(
            "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})",
            _TAGS,
        )
        found += [
            f"{scheme} {page.url} {v['id']}: {json.dumps([n['html'][:200] for n in v['nodes'][:3]], ensure_ascii=False)}"
            for v in result["violations"]
        ]
    page.emulate_media(color_scheme="light")
    return found
