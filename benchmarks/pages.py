"""Whether the page shows what the API says, what it weighs, and how soon it is painted, in a real browser.

    python benchmarks/pages.py --base-url http://127.0.0.1:8000 [--questions FILE.jsonl] [--paints N] [--json]

The service runs already. Each question of the file ({"question": …, "history": […]} a line; without a file the examples of
the page) is asked on the page and over `POST /api/ask`, and every word of the answer, every citation and its marks are
compared, to the letter. The browser then opens N of the pages, the heaviest among them: bytes of all that was loaded,
requests to other hosts, and the time from the reply's last byte to the first paint with content (the browser's own Paint
Timing), once by an address with nothing in its cache, once by the question typed on the first page, as most are asked. Exit
status 1 where anything differs, a page is heavier than 150 kB or another host was asked.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import sys
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lxml.html
from playwright.sync_api import Response, sync_playwright

MOST_BYTES = 150_000


def differences(page: str, reply: dict[str, Any]) -> list[str]:
    """What of a reply of `POST /api/ask` the page does not show to the letter, or shows beside it; empty where they agree."""
    tree = lxml.html.document_fromstring(page)
    found: list[str] = []

    def differs(what: str, shown: Any, said: Any) -> None:
        if shown != said:
            found.append(f"{what}: page {shown!r}, API {said!r}")

    cards = {card.get("id"): card for card in tree.xpath('//li[contains(@class, "card")][@id]')}
    differs("citations", sorted(cards), sorted(f"c{c['id']}" for c in reply["citations"]))
    for citation in reply["citations"]:
        card = cards.get(f"c{citation['id']}")
        if card is None:
            continue
        quote = card.xpath(".//blockquote")[0]
        start = citation["char_start"]
        marks = [
            citation["text"][h["char_start"] - start : h["char_end"] - start] for h in citation["highlights"]
        ]
        differs(f"text of {citation['id']}", quote.text_content(), citation["text"])
        marked = "".join(mark.text_content() for mark in quote.xpath(".//mark"))
        differs(f"marks of {citation['id']}", marked, "".join(marks))
        differs(f"address of {citation['id']}", quote.get("cite"), citation["url"])
        shown = card.text_content()
        for name in ("document_title", "place"):
            if citation[name] not in shown:
                found.append(f"{name} of {citation['id']}: {citation[name]!r} is not on the card")
        if citation["case"] is not None and citation["case"]["organization"] not in shown:
            found.append(f"organization of {citation['id']} is not on the card")
    answer = tree.xpath('//*[@id="answer"]')[0]
    if reply["answerable"]:
        quotes = [quote.text_content() for quote in answer.xpath('.//*[contains(@class, "answer__quote")]')]
        said = [sentence["text"] for sentence in reply["answer"]["sentences"]]
        if not _said("\n".join(quotes), said):
            differs("sentences", quotes, said)
        numbers = [re.sub(r"\D", "", a.text_content()) for a in answer.xpath('.//a[@class="cite"]')]
        differs(
            "numbers",
            set(map(int, numbers)),
            {n for s in reply["answer"]["sentences"] for n in s["citations"]},
        )
    elif reply["answer"]["text"] not in answer.text_content():
        found.append("the refusal is not on the page")
    return found


_BETWEEN = re.compile(r"(?:\s|\||[-・*](?=\s)|:?-{2,}+:?)*+")


def _said(shown: str, sentences: list[str]) -> bool:
    """Whether a text is these sentences in their order, with nothing between them but white space, bullets, bars and rules."""
    at = 0
    for sentence in sentences:
        found = shown.find(sentence, at)
        if found < 0 or not _BETWEEN.fullmatch(shown, at, found):
            return False
        at = found + len(sentence)
    return _BETWEEN.fullmatch(shown, at) is not None


def page_of(base: str, item: dict[str, Any]) -> tuple[str, str]:
    """The address of a question's page, and the page."""
    pairs = [("h", text) for text in item.get("history") or []] + [("q", item["question"])]
    address = f"{base}/?{urllib.parse.urlencode(pairs)}"
    with urllib.request.urlopen(address, timeout=60) as response:
        return address, response.read().decode()


def reply_of(base: str, item: dict[str, Any]) -> dict[str, Any]:
    """What `POST /api/ask` says to a question."""
    body = {"question": item["question"], "history": item.get("history") or []}
    request = urllib.request.Request(
        f"{base}/api/ask", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        reply: dict[str, Any] = json.load(response)
        return reply


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all pages agree and are light, 1 not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--questions", type=Path, default=None)
    parser.add_argument("--paints", type=int, default=20, help="ブラウザーで開くページの数")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    if args.questions is None:
        with urllib.request.urlopen(f"{args.base_url}/", timeout=60) as response:
            home = lxml.html.document_fromstring(response.read().decode())
        items = [{"question": link.text_content()} for link in home.xpath('//section[@class="examples"]//a')]
    else:
        lines = args.questions.read_text(encoding="utf-8").splitlines()
        items = [json.loads(line) for line in lines if line.strip()]
    differing, sizes, addresses = [], [], []
    for item in items:
        address, page = page_of(args.base_url, item)
        found = differences(page, reply_of(args.base_url, item))
        differing += [{"question": item["question"], "differences": found}] if found else []
        sizes.append(len(page.encode()))
        addresses.append(address)
    heaviest = sorted(range(len(sizes)), key=lambda row: -sizes[row])
    chosen = heaviest[:: max(1, len(heaviest) // args.paints)][: args.paints]
    opened = _opened(args.base_url, [(addresses[row], items[row]["question"]) for row in chosen])
    figures = {
        "questions": len(items),
        "differing": len(differing),
        "heaviest_page_bytes": max(page.bytes for page in opened),
        "outside_requests": sum(page.outside for page in opened),
        "paints": len(opened),
        "first_paint_by_address_p50_ms": round(statistics.median(page.by_address_ms for page in opened), 1),
        "first_paint_by_address_max_ms": round(max(page.by_address_ms for page in opened), 1),
        "first_paint_when_asked_p50_ms": round(statistics.median(page.asked_ms for page in opened), 1),
        "first_paint_when_asked_max_ms": round(max(page.asked_ms for page in opened), 1),
    }
    if not args.json:
        for difference in differing:
            print(json.dumps(difference, ensure_ascii=False)[:600])
        for name, value in figures.items():
            print(f"{name:36}{value}")
    print(json.dumps(figures))
    return int(
        bool(differing) or figures["outside_requests"] > 0 or figures["heaviest_page_bytes"] > MOST_BYTES
    )


@dataclass(frozen=True)
class Opened:
    """What the browser says of one page: ms from the reply's last byte to the first paint, bytes of all that it loaded,
    requests to other hosts."""

    by_address_ms: float
    asked_ms: float
    bytes: int
    outside: int


_PAINTED = (
    "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    " - performance.getEntriesByType('navigation')[0].responseEnd"
)


def _opened(base: str, pages: list[tuple[str, str]]) -> list[Opened]:
    """Each page, by its address and by its question, in a browser that has nothing of it in its cache."""
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for address, question in pages:
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            responses: list[Response] = []

            def keep(response: Response, kept: list[Response] = responses) -> None:
                kept.append(response)

            page.on("response", keep)
            page.goto(address, wait_until="networkidle")
            by_address = float(page.evaluate(_PAINTED))
            loaded = [*responses]
            sizes = sum(len(response.body()) for response in loaded)
            page.goto(base, wait_until="networkidle")
            page.locator("#q").fill(question)
            with page.expect_navigation(wait_until="networkidle"):
                page.locator("#q").press("Enter")
            asked = float(page.evaluate(_PAINTED))
            outside = sum(not response.url.startswith(base) for response in responses)
            found.append(Opened(by_address, asked, sizes, outside))
            context.close()
        browser.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
