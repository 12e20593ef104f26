"""Scripts in every text that people or documents bring, in a real browser: nothing runs, nothing is fetched, no policy is needed.

Each page is opened with hostile words in it; a script that ran would say so (`alert`, a changed title, a request to another host). The
pages' own policy must have had nothing to stop either: a report of it would mean that only the browser stood between.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from fire import BEARER, REPOSITORY, TOKEN, Server, measured, multipart, size
from hostile import PLACES, XSS, placed
from playwright.sync_api import Browser, Page

_WATCH = """
window.__reports = [];
document.addEventListener('securitypolicyviolation', e => window.__reports.push(e.violatedDirective + ' ' + e.blockedURI));
"""
_HELD = "<script>document.title='ran'</script>"
_TITLE = "窓口の事例集"


def _book() -> str:
    """A case book whose titles, headings, cells and contacts hold scripts."""
    from made import CASE_BOOK

    marked = CASE_BOOK.replace("用紙をなくした総合窓口", f"用紙をなくした総合窓口{XSS[3]}").replace(
        "待ち時間が", f"{XSS[0]}待ち時間が"
    )
    return marked.replace("若草市市民部窓口課", f"若草市市民部窓口課{XSS[2]}").replace(
        "https://www.city.example.jp/window/", "javascript:alert(1)"
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("browser")
    documents = folder / "documents"
    documents.mkdir()
    (documents / "事例集.txt").write_text(_book(), encoding="utf-8")
    (documents / "<img src=x onerror=alert(1)>.md").write_text(
        f"# {_HELD}{XSS[0]}\n\n"
        + "".join(
            f"## {text}\n\n窓口の{text}手数料は{n}円です。\n\n| 区分 | {text.replace('|', '')} |\n|---|---|\n| {n} | {text.replace('|', '')} |\n\n- {text}\n\n[窓口](javascript:alert({n}))\n\n"
            for n, text in enumerate(XSS)
        ),
        encoding="utf-8",
    )
    (documents / "頁.html").write_text(
        f"<title>{quote(XSS[0])}&lt;script&gt;alert(1)&lt;/script&gt;</title><h1>&lt;img src=x onerror=alert(1)&gt;</h1><p>窓口は九時からです。&lt;svg onload=alert(1)&gt;",
        encoding="utf-8",
    )
    shutil.copy(REPOSITORY / "corpus" / "samples" / "05_よくある質問_電子申請.md", documents)
    synonyms = folder / "synonyms.csv"
    synonyms.write_text(
        '手数料,<script>alert(1)</script>,"\'><img src=x onerror=alert(1)>"\n', encoding="utf-8"
    )
    with Server(folder, environment={"DXQA_SYNONYMS": str(synonyms)}) as started:
        for text in XSS:
            started.ask(f"{text} 窓口")
            started.post("/api/feedback", {"question": f"窓口{text}", "useful": False, "comment": text})
        body, kind = multipart(
            [("files", "確認待ち.md", f"# {XSS[1]}\n\n{XSS[0]} 窓口は九時からです。\n".encode())]
        )
        assert started.call("POST", "/api/uploads", body, {"Content-Type": kind, **BEARER}).status == 201
        time.sleep(1.5)
        yield started


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page that is watched: what ran, what was fetched from elsewhere, what the policy had to stop, what the console said."""
    context = browser.new_context(locale="ja-JP")
    context.set_default_timeout(15_000)
    context.add_init_script(_WATCH)
    opened = context.new_page()
    yield opened
    context.close()


class Watched:
    """What must not have happened on a page."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page, self.address = page, f"http://127.0.0.1:{server.port}"
        self.found: list[str] = []
        page.on("dialog", lambda dialog: (self.found.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda sent: (
                None
                if sent.url.startswith((self.address, "data:"))
                else self.found.append(f"fetched {sent.url}")
            ),
        )
        page.on(
            "console",
            lambda said: self.found.append(said.text) if "Content Security Policy" in said.text else None,
        )
        page.on("pageerror", lambda error: self.found.append(str(error)))

    def opened(self, path: str) -> None:
        """Opens a page and looks at it."""
        before = len(self.found)
        self.page.goto(self.address + path, wait_until="load")
        self.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        self.found += [f"policy: {report}" for report in self.page.evaluate("window.__reports || []")]
        if self.page.title() == "ran" or self.page.evaluate(
            "document.querySelectorAll('main script:not([src]), base, main iframe, main [onerror], main [onload], main [onfocus], main [onmouseover], meta[http-equiv]').length"
        ):
            self.found.append("an element of the text is one of the page")
        if self.page.evaluate(
            "[...document.links].filter(a => !/^https?:$|^tel:$|^mailto:$/.test(a.protocol)).length"
        ):
            self.found.append("a link runs a script")
        assert self.found[before:] == [], f"{path[:200]}: {self.found[before:]}"


def test_no_script_of_a_text_runs(server: Server, page: Page) -> None:
    watched = Watched(page, server)
    listed = server.call("GET", "/api/documents").json()["documents"]
    cases = [case["id"] for case in server.call("GET", "/api/cases").json()["cases"]]
    version = server.call("GET", "/api/index").json()["version"]
    document = next(d["id"] for d in listed if d["path"].endswith(".md") and "img" in d["path"])
    paths = [
        "/",
        "/documents",
        "/cases",
        "/similar",
        "/help",
        "/feedback",
        f"/compare?{urlencode([('case', c) for c in cases[:3]])}",
    ]
    paths += [f"/documents/{d['id']}" for d in listed] + [f"/cases/{case}" for case in cases]
    paths += [
        "/?" + urlencode({"q": "手数料はいくらですか"}),
        "/?" + urlencode({"q": "電話番号は？", "h": XSS[0]}),
    ]
    # in the ordinary run each text at one place, each place with several texts
    for number, text in enumerate(XSS):
        for place in list(PLACES) if size(0, 1) else [list(PLACES)[number % len(PLACES)]]:
            paths.append(placed(text, place).replace("{document}", document))
    with measured("scripts in texts, in a real browser") as told:
        for path in paths:
            watched.opened(path)
        # the administrator's pages show the same texts: names of files, what is asked, comments
        page.goto(f"{watched.address}/admin/login")
        page.fill("input[name=token]", TOKEN)
        page.press("input[name=token]", "Enter")
        page.wait_for_url("**/admin")
        upload = server.call("GET", "/api/uploads", headers=BEARER).json()["uploads"][0]["id"]
        inside = [
            "/admin",
            "/admin/usage?days=all",
            f"/admin/uploads/{upload}",
            f"/admin/versions/{version}",
            f"/admin/documents/{document}/remove",
            "/admin/unreadable?" + urlencode({"path": XSS[0]}),
        ]
        for path in inside:
            watched.opened(path)
        assert "alert(1)" in page.goto(f"{watched.address}/admin/usage?days=all").text()
        told |= {
            "count": len(paths) + len(inside),
            "result": "nothing ran, nothing fetched, no report of the policy",
        }


def test_a_script_that_did_run_would_be_seen(server: Server, page: Page) -> None:
    """The judge itself: a page that lets a script in is noticed."""
    watched = Watched(page, server)
    page.route(
        "**/help",
        lambda route: route.fulfill(
            body="<!doctype html><title>x</title><main><img src=x onerror=alert(1)></main>",
            content_type="text/html",
        ),
    )
    with pytest.raises(AssertionError, match=r"dialog|element"):
        watched.opened("/help")


def test_a_policy_that_had_to_stop_something_would_be_seen(server: Server, page: Page) -> None:
    watched = Watched(page, server)
    page.route(
        "**/help",
        lambda route: route.fulfill(
            body="<!doctype html><title>x</title><script>alert(1)</script>",
            content_type="text/html",
            headers={"Content-Security-Policy": "default-src 'none'", "Content-Type": "text/html"},
        ),
    )
    with pytest.raises(AssertionError, match="olicy"):
        watched.opened("/help")
