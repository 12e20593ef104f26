"""Taking along over HTTP and in a browser: the files say what the page says, and the paper too."""

from __future__ import annotations

import html
import io
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import docx
import openpyxl
import pypdf
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from hypothesis import given
from hypothesis import strategies as st
from office_made import converter, needs_soffice
from playwright.sync_api import Browser, Page
from served import screenshot, serving, violations, watched
from test_server import Service
from test_writers import WRITERS, squeezed

from qa.answer import Reply
from web.contract import Asked
from web.export import NAME_BYTES, NAME_CHARS, base_of, file_name
from web.site import Site

PHONE = "若草市の担当部署の電話番号は？"
FORMS = tuple(WRITERS)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(tmp_path_factory.mktemp("export"))


def reply_of(service: Service, question: str) -> Reply:
    site: Site = service.app.state.site
    index = site.current.get()
    assert index is not None
    return site.answered(index, Asked(question))


def fetched(service: Service, path: str, **query: str | list[str]) -> Response:
    response = service.client.get(path, params=query)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    return response


def case_ids(service: Service) -> list[str]:
    return [case["id"] for case in service.client.get("/api/cases").json()["cases"]]


# ---------------------------------------------------------------- the same words as the page


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "question", [PHONE, "人口5万人未満の団体の事例を見せて", "札幌市の予算は？", "危ない文章の説明"]
)
def test_a_file_says_what_the_page_says(service: Service, question: str, form: str) -> None:
    reply = reply_of(service, question)
    told = WRITERS[form][1](fetched(service, f"/export/answer.{form}", q=question).content)
    assert sorted(told.quotations) == sorted(c.text for c in reply.citations)
    assert told.sentences == [s.text for s in reply.answer.sentences]
    whole = squeezed("\n".join(told.texts))
    for words in (
        question,
        reply.index_version,
        *(c.document_title for c in reply.citations),
        *(c.path for c in reply.citations),
        *("" if reply.answerable else reply.answer.text for _ in [0]),
        *("" if reply.answerable else "参考（答えではありません）" for _ in [0]),
    ):
        assert squeezed(words) in whole
    page = service.client.get("/", params={"q": question})
    shown = squeezed(html.unescape(re.sub(r"<[^>]*>", "", page.text)))
    for text in told.quotations:
        assert squeezed(text) in shown


@pytest.mark.parametrize("form", FORMS)
def test_conditions_and_the_conversation_are_in_the_file(service: Service, form: str) -> None:
    response = fetched(
        service,
        f"/export/answer.{form}",
        h=["窓口について教えて", "村の事例は？"],
        q="電話番号は？",
        organization_kinds="市",
        without="regions",
    )
    whole = "\n".join(WRITERS[form][1](response.content).texts)
    assert "1. 窓口について教えて\n2. 村の事例は？" in whole
    assert "団体の種類：市" in whole
    assert "地方" in whole
    (address,) = set(re.findall(r"http://127\.0\.0\.1:8000/\?[^\s>]+", whole))
    again = service.client.get(address)
    assert again.status_code == 200
    assert "窓口について教えて" in again.text


@pytest.mark.parametrize("form", FORMS)
def test_a_case_and_a_comparison(service: Service, form: str) -> None:
    ids = case_ids(service)
    one = WRITERS[form][1](fetched(service, f"/export/case.{form}", case=ids[0]).content)
    entry = service.client.get(f"/api/cases/{ids[0]}").json()
    whole = squeezed("\n".join(one.texts))
    for name in ("title", "organization", "department", "phone", "email"):
        assert squeezed(entry[name]) in whole
    two = WRITERS[form][1](fetched(service, f"/export/compare.{form}", case=ids[:2]).content)
    whole = squeezed("\n".join(two.texts))
    for case_id in ids[:2]:
        assert squeezed(service.client.get(f"/api/cases/{case_id}").json()["title"]) in whole
    assert f"/compare?case={ids[0]}&case={ids[1]}" in whole
    text = {
        d["id"]: service.client.get(f"/api/documents/{d['id']}/text").json()["text"]
        for d in service.client.get("/api/documents").json()["documents"]
    }
    for quotation in (*one.quotations, *two.quotations):
        assert any(quotation in words for words in text.values())


@needs_soffice
def test_libreoffice_finds_the_words_of_the_reply_in_the_file(service: Service, tmp_path: Path) -> None:
    reply = reply_of(service, PHONE)
    data = fetched(service, "/export/answer.docx", q=PHONE).content
    text = squeezed(converter(tmp_path)(data, "docx", "txt:Text (encoded):UTF8").decode("utf-8-sig"))
    for words in (
        PHONE,
        *(s.text for s in reply.answer.sentences),
        *(c.text for c in reply.citations),
        *(c.document_title for c in reply.citations),
        *(f"[{c.id}]" for c in reply.citations),
        *(c.url for c in reply.citations),
        reply.index_version,
    ):
        assert squeezed(words) in text


# ---------------------------------------------------------------- how it is sent


def test_media_types_and_names(service: Service) -> None:
    media = {}
    for form in FORMS:
        response = fetched(service, f"/export/answer.{form}", q=PHONE)
        media[form] = response.headers["content-type"]
        disposition = response.headers["content-disposition"]
        found = re.fullmatch(
            r"attachment; filename=answer-\d{4}-\d\d-\d\d\.(\w+); filename\*=UTF-8''(\S+)", disposition
        )
        assert found
        assert found[1] == form
        assert re.fullmatch(
            rf"回答_若草市の担当部署の電話番号は？_\d{{4}}-\d\d-\d\d\.{form}", unquote(found[2])
        )
    assert media == {
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "md": "text/markdown; charset=utf-8",
    }


@given(st.text(max_size=600), st.sampled_from(FORMS))
def test_a_name_that_every_file_system_takes(title: str, form: str) -> None:
    name = file_name("回答", title, "2026-11-21", form)
    assert name.startswith("回答_")
    assert name.endswith(f"_2026-11-21.{form}")
    assert len(name) <= NAME_CHARS
    assert len(name.encode("utf-8", "surrogatepass")) <= NAME_BYTES
    assert not set(name) & set('\\/:*?"<>|\n\r\t\0\u202e\u200f')
    assert name.encode()


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("", "回答_2026-11-21.md"),
        ("...", "回答_2026-11-21.md"),
        ("../../etc/passwd", "回答_etc_passwd_2026-11-21.md"),
        ("\u202egpj.exe\u200f\x00", "回答_gpj.exe_2026-11-21.md"),
        ("CON", "回答_CON_2026-11-21.md"),
        ("一 行\r\nX-Evil: 1", "回答_一 行 X-Evil_ 1_2026-11-21.md"),
        ("あ" * 100, "回答_" + "あ" * 63 + "_2026-11-21.md"),
        ("😀" * 100, "回答_" + "😀" * 54 + "_2026-11-21.md"),
    ],
)
def test_names_by_hand(title: str, name: str) -> None:
    assert file_name("回答", title, "2026-11-21", "md") == name


def test_a_question_cannot_add_a_header(service: Service) -> None:
    response = fetched(service, "/export/answer.md", q='窓口\r\nX-Evil: 1"; filename="a.exe')
    assert "x-evil" not in response.headers
    assert response.headers["content-disposition"].count("filename=") == 1
    assert "a.exe" not in response.headers["content-disposition"].split("filename*")[0]


def test_an_unclear_host_is_not_written_down(tmp_path: Path) -> None:
    service = Service(tmp_path, hosts=None)  # a server that may be called by any name
    for host in ("evil.example/<script>", "a b", "x\\y", '"'):
        response = service.client.get("/export/answer.md", params={"q": PHONE}, headers={"Host": host})
        assert response.status_code == 200
        assert "evil" not in response.text
        assert "script" not in response.text
        assert "/?q=%E8%8B%A5" in response.text
    for base in (
        "http://evil.example/<script>/",
        "http://a b/",
        "javascript://x/",
        "http://[::1",
        "http:///",
    ):
        assert base_of(SimpleNamespace(base_url=base)) == ""  # type: ignore[arg-type]
    for base in ("http://10.0.0.1:8000/", "https://dx.example.jp/qa/", "http://[::1]:8000/"):
        assert base_of(SimpleNamespace(base_url=base)) == base.rstrip("/")  # type: ignore[arg-type]


def test_the_names_of_documents_cannot_hurt(service: Service) -> None:
    """A document named a'<b>.txt with a script for its title."""
    for form in FORMS:
        told = WRITERS[form][1](fetched(service, f"/export/answer.{form}", q="危ない文章の説明").content)
        assert any("<script>alert(1)</script>" in text for text in (*told.texts, *told.quotations))


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/export/answer.docx", 422, "質問がありません"),
        ("/export/answer.docx?q=" + "あ" * 501, 422, "500文字以内"),
        ("/export/answer.docx?q=%00", 422, "制御文字"),
        ("/export/answer.docx?q=a&population_min=x", 422, "てください"),
        ("/export/answer.exe?q=a", 422, "docx"),
        ("/export/case.docx", 422, "必要な項目"),
        ("/export/case.docx?case=no", 404, "この事例は見つかりません"),
        ("/export/case.docx?case=" + "a" * 300, 422, "200文字以内"),
        ("/export/compare.docx", 422, "必要な項目"),
        ("/export/compare.docx?case=a", 422, "2件から5件"),
        ("/export/compare.docx?case=a&case=a", 422, "2件から5件"),
        ("/export/compare.docx?case=a&case=b", 404, "この事例は見つかりません"),
        ("/export/compare.docx?" + "&".join(f"case={n}" for n in range(6)), 422, "2件から5件"),
        ("/export/compare.docx?" + "&".join(f"case={n}" for n in range(60)), 422, "50件以内"),
        ("/export/", 404, "ページはありません"),
    ],
)
def test_bad_requests_get_a_page_in_japanese(service: Service, path: str, status: int, words: str) -> None:
    response = service.client.get(path)
    assert response.status_code == status
    assert words in response.text
    assert "content-disposition" not in response.headers


def test_without_an_index(tmp_path: Path) -> None:
    client: TestClient = Service(tmp_path, built=False).client
    for path in ("answer.md?q=a", "case.md?case=a", "compare.md?case=a&case=b"):
        assert client.get(f"/export/{path}").status_code == 503


def test_the_schema_tells_of_the_files(service: Service) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    for kind in ("answer", "case", "compare"):
        told = paths[f"/export/{kind}.{{form}}"]["get"]
        assert told["summary"]
        assert told["description"]
        assert len(told["responses"]["200"]["content"]) == 3
        names = {p["name"] for p in told["parameters"]}
        assert {"answer": "q", "case": "case", "compare": "case"}[kind] in names


def test_the_libraries_that_write_are_not_loaded_at_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import server, sys; print(sorted({'docx', 'openpyxl'} & set(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def address(service: Service) -> Iterator[str]:
    with serving(service.app) as found:
        yield found


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, address) as opened:
        yield opened


@pytest.mark.parametrize(("words", "ending"), [("Word", "docx"), ("Excel", "xlsx"), ("Markdown", "md")])
def test_a_link_downloads_the_file(
    page: Page, service: Service, address: str, words: str, ending: str
) -> None:
    page.goto(f"{address}/cases/{case_ids(service)[0]}")
    with page.expect_download() as waiting:
        page.locator(".export").get_by_role("link", name=words).click()
    name = waiting.value.suggested_filename
    assert name.startswith("事例_事例1 用紙をなくした総合窓口")
    assert name.endswith(f".{ending}")
    data = Path(waiting.value.path()).read_bytes()
    assert "0000-11-2222" in "".join(WRITERS[ending][1](data).texts)
    {"docx": docx.Document, "xlsx": openpyxl.load_workbook, "md": lambda file: file.read().decode()}[ending](
        io.BytesIO(data)
    )


def test_the_button_prints(page: Page, service: Service, address: str) -> None:
    page.goto(f"{address}/cases/{case_ids(service)[0]}")
    page.evaluate("window.print = () => { document.title = '印刷した'; }")
    page.get_by_role("button", name="印刷").click()
    assert page.title() == "印刷した"


def test_without_scripts_there_are_links_and_no_dead_button(
    browser: Browser, service: Service, address: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/cases/{case_ids(service)[0]}")
    assert page.locator(".export a").count() == 3
    assert page.get_by_role("button", name="印刷").count() == 0
    with page.expect_download():
        page.locator(".export a").first.click()
    context.close()


def test_the_links_are_for_everybody_and_every_width(page: Page, service: Service, address: str) -> None:
    page.goto(f"{address}/cases/{case_ids(service)[0]}")
    assert violations(page) == []
    screenshot(page, "export_case")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for box in page.locator(".export a, .export button").all():
        size = box.bounding_box()
        assert size is not None
        assert size["height"] >= 44
    screenshot(page, "export_case_phone")


def on_paper(page: Page) -> str:
    """What stands on the paper; the fonts give some characters as radicals (⽉ for 月)."""
    pages = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4"))).pages
    return squeezed(unicodedata.normalize("NFKC", "".join(p.extract_text() for p in pages)))


def test_a_case_on_paper_says_where_it_is_from(page: Page, service: Service, address: str) -> None:
    case = case_ids(service)[0]
    page.goto(f"{address}/cases/{case}")
    text = on_paper(page)
    version = service.client.get("/api/index").json()["version"]
    for words in (f"/cases/{case}", "した日時", version, "0000-11-2222", "出典:", "基本情報"):
        assert words in text, words
    for words in ("持ち出す", "原文で確認する", "引用をコピー"):
        assert words not in text
