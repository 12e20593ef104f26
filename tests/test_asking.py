"""The page on which people ask: its states and their addresses, what it shows of a reply, and that it says what the API says."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import FakeEncoder
from playwright.sync_api import Browser, Page, expect
from served import screenshot, serving, violations
from test_server import Service

from benchmarks.judging import read_gold
from benchmarks.pages import _BETWEEN as BETWEEN
from benchmarks.pages import MOST_BYTES, differences, main, page_of, reply_of
from benchmarks.questions import GOLD
from build_index import SAMPLES
from index.build import build
from index.current import CurrentIndex
from index.encoder import SentenceEncoder
from index.passages import model_record
from index.store import load_current
from qa.answer import AnswerSentence, ask
from qa.understand import Filters
from server import create_app
from web.asking import _BETWEEN, CONTEXT_CHARS, VALUES, chips, conversation, groups, kept, scope, surroundings
from web.contract import Asked, FilterRequest, asked
from web.examples import Examples


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(tmp_path_factory.mktemp("asking"))


@pytest.fixture(scope="module")
def address(service: Service) -> Any:
    with serving(service.app) as found:
        yield found


def state_of(address: str) -> Asked:
    """The state that a browser would ask for at an address."""
    query = parse_qs(urlsplit(address).query, keep_blank_values=True)
    given_filters = {
        f.name: query[f.name] if f.name not in {"population_min", "population_max"} else query[f.name][0]
        for f in fields(Filters)
        if f.name in query
    }
    return asked(
        FilterRequest.model_validate(given_filters),
        query.get("q", [""])[0],
        query.get("h"),
        query.get("without"),
    )


# ---------------------------------------------------------------- states

words = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: text == text.strip()
)
states = st.builds(
    Asked,
    question=words,
    history=st.lists(words, max_size=4).map(tuple),
    filters=st.builds(
        Filters,
        organizations=st.lists(words, max_size=3).map(tuple),
        regions=st.lists(words, max_size=2).map(tuple),
        document_ids=st.lists(words, max_size=2).map(tuple),
        population_min=st.none() | st.integers(0, 10**7),
    ),
    without=st.sampled_from([(), ("regions",), ("regions", "population_max")]),
)


@given(states)
def test_an_address_gives_the_same_state_to_whoever_opens_it(state: Asked) -> None:
    assert state_of(state.address()) == state
    assert state_of(state.address("/documents/d?start=1&end=2")) == state


def test_a_chip_takes_out_its_own_value_and_nothing_else(service: Service) -> None:
    index = service.app.state.current.get()
    state = Asked(
        "窓口は？",
        ("前の質問",),
        Filters(organizations=("若草市", "小石原村"), population_min=1000),
        ("regions",),
    )
    shown = chips(index, None, state)
    assert [(c.label, c.value, c.from_question) for c in shown] == [
        ("団体", "若草市", False),
        ("団体", "小石原村", False),
        ("人口（以上）", "1,000人", False),
    ]
    assert [state_of(c.url or "").filters for c in shown] == [
        Filters(organizations=("小石原村",), population_min=1000),
        Filters(organizations=("若草市",), population_min=1000),
        Filters(organizations=("若草市", "小石原村")),
    ]
    assert all(replace(state_of(c.url or ""), filters=state.filters) == state for c in shown)


def test_documents_and_cases_are_called_by_their_titles(service: Service) -> None:
    index = service.app.state.current.get()
    case = next(iter(index.cases.values()))
    document = index.documents[case.document_id]
    state = Asked("？", filters=Filters(document_ids=(document.id, "消えた"), case_ids=(case.id,)))
    assert [c.value for c in chips(index, None, state)] == [document.title, "消えた", case.title]


def test_a_follow_up_carries_the_conversation_and_the_filters(service: Service) -> None:
    state = Asked("二つ目", ("一つ目",), Filters(regions=("東北",)), ("population_min",))
    # what was taken back of this question is none of the next one's business
    assert kept(state) == [("h", "一つ目"), ("h", "二つ目"), ("regions", "東北")]
    before = conversation(state)
    assert [item["text"] for item in before] == ["一つ目"]
    assert state_of(before[0]["url"]) == Asked("一つ目", (), Filters(regions=("東北",)))


def test_every_facet_of_the_scope_leads_to_what_it_counts(service: Service) -> None:
    index = service.app.state.current.get()
    state = Asked("窓口の手続", filters=Filters(organization_kinds=("村",)))
    shown = scope(index, None, state)
    assert {group["name"] for group in shown} >= {"organization_kinds", "organizations", "document_ids"}
    for group in shown:
        for value in group["values"]:
            there = state_of(value["url"])
            chosen = getattr(there.filters, group["name"])
            assert value["selected"] == (len(chosen) < len(getattr(state.filters, group["name"])))
            if group["name"] in {"document_ids", "organization_kinds"} or value["selected"]:
                continue
            listed = service.client.get(f"/api/cases?{urlsplit(value['url']).query}").json()["cases"]
            assert len(listed) == value["count"], value


# ---------------------------------------------------------------- what is shown of a reply


def test_the_text_around_a_passage_stands_around_it_in_the_document(service: Service) -> None:
    index = service.app.state.current.get()
    reply = service.app.state.site.ask(index, "若草市の総合窓口", top_k=10)
    assert len(reply.citations) > 3
    for citation in reply.citations:
        text = index.documents[citation.document_id].text
        before, after = surroundings(index.documents[citation.document_id], citation)
        assert len(before) <= CONTEXT_CHARS
        assert len(after) <= CONTEXT_CHARS
        assert text[: citation.char_start].rstrip("\n\f").endswith(before)
        assert text[citation.char_end :].lstrip("\n\f").startswith(after)


def test_rows_that_follow_each_other_are_one_table(service: Service) -> None:
    index = service.app.state.current.get()
    reply = service.app.state.site.ask(index, "若草市の総合窓口", top_k=3)
    passage = "費用は次のとおりです。\n| 区分 | 額 |\n|---|---|\n| 窓口 | 300円 |\n| 郵送 | 400円 |\n- 一つ目\n- 二つ目\n終わりです。"
    first = replace(reply.citations[0], text=passage, case=None)
    said = ["区分 | 額", "窓口 | 300円", "郵送 | 400円", "二つ目", "費用は次のとおりです。"]
    sentences = tuple(AnswerSentence(text, (1,)) for text in said)
    answer = replace(reply.answer, sentences=sentences)
    shown = groups(replace(reply, answer=answer, citations=(first, *reply.citations[1:])))
    assert [item["text"] for item in shown[0]["items"]] == [
        "| 区分 | 額 |\n|---|---|\n| 窓口 | 300円 |\n| 郵送 | 400円 |",
        "- 二つ目",
        "費用は次のとおりです。",
    ]
    assert [block.kind for item in shown[0]["items"] for block in item["blocks"]] == [
        "table",
        "list",
        "paragraph",
    ]


def test_every_kind_of_value_has_a_name() -> None:
    from qa.understand import VALUES as ASKED_FOR

    assert set(VALUES) == set(ASKED_FOR)


# ---------------------------------------------------------------- the page says what the API says


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder) -> Any:
    root = tmp_path_factory.mktemp("samples") / "index"
    build(SAMPLES, root, encoder)
    app = create_app(
        current=CurrentIndex(root, model_record(encoder)),
        encoder=encoder,
        rebuild=lambda progress: build(SAMPLES, root, encoder, progress=progress),
    )
    with serving(app) as found:
        yield found


def test_the_page_shows_the_words_of_the_api(samples: str) -> None:
    items = read_gold(GOLD)[::4]
    assert len(items) > 80
    assert {item["type"] for item in items} >= {"list", "compare", "followup", "unanswerable"}
    for item in items:
        assert differences(page_of(samples, item)[1], reply_of(samples, item)) == [], item["question"]


def test_the_judge_sees_a_changed_word(samples: str) -> None:
    item = {"question": "青葉野市の担当部署の電話番号は？"}
    page, reply = page_of(samples, item)[1], reply_of(samples, item)
    assert differences(page, reply) == []
    number = reply["answer"]["contact"]["phone"]
    assert differences(page.replace(number, number[::-1]), reply) != []
    assert differences(page.replace('id="c2"', 'id="c9"'), reply) != []
    assert differences(page.replace("<mark>", "").replace("</mark>", ""), reply) != []
    said = reply["answer"]["sentences"][0]["text"]
    longer = {**reply, "answer": {**reply["answer"], "sentences": [{"text": f"{said}。", "citations": [1]}]}}
    assert differences(page, longer) != []


def test_pages_are_light_and_ask_nobody_else(samples: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base-url", samples, "--paints", "3"]) == 0
    out = capsys.readouterr().out
    assert '"outside_requests": 0' in out
    assert MOST_BYTES == 150_000


def test_every_example_is_answered_from_what_is_indexed(samples: str) -> None:
    import urllib.request

    with urllib.request.urlopen(f"{samples}/") as response:
        home = lxml.html.document_fromstring(response.read().decode())
    questions = [link.text_content() for link in home.xpath('//section[@class="examples"]//a')]
    assert len(questions) >= 4
    for question in questions:
        reply = reply_of(samples, {"question": question})
        assert reply["answerable"], question
        assert reply["citations"][0]["highlights"], question


def test_a_question_of_a_table_is_an_example_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    table = "質問,回答\n粗大ごみの出し方を教えてください,処理券を貼り、三日前までに申し込みます。\n"
    (tmp_path / "documents" / "よくある質問.csv").write_text(table, encoding="utf-8")
    build(tmp_path / "documents", tmp_path / "index", FakeEncoder())
    index = load_current(tmp_path / "index", model_record(FakeEncoder()))
    assert Examples(lambda own, text: ask(own, FakeEncoder(), text)).of(index) == (
        "粗大ごみの出し方を教えてください",
    )


# ---------------------------------------------------------------- in a browser


def test_filters_are_chosen_and_taken_back(browser: Browser, address: str) -> None:
    page = browser.new_page(locale="ja-JP", java_script_enabled=False)
    page.goto(f"{address}/?q=窓口の手続")
    page.get_by_text("探す範囲を絞り込む").click()
    group = page.get_by_role("region", name="団体の種類")
    group.get_by_role("link", name="村").click()
    chip = page.locator(".chip", has_text="団体の種類")
    expect(chip).to_contain_text("村")
    assert all("小石原村" in text for text in page.locator(".card__org").all_inner_texts())
    page.fill("#q", "電話番号は？")
    page.get_by_role("button", name="質問する").click()
    expect(page.locator(".chip", has_text="団体の種類")).to_contain_text("村")  # kept for what follows
    page.locator(".chip", has_text="団体の種類").get_by_role("link").click()
    expect(page.locator(".chip", has_text="団体の種類")).to_have_count(0)
    assert "電話番号は？" in page.locator("h1").inner_text()
    page.close()


def test_what_was_read_from_the_question_is_taken_back(browser: Browser, address: str) -> None:
    page = browser.new_page(locale="ja-JP")
    page.goto(f"{address}/?q=人口1万人未満の団体の事例を見せて")
    chip = page.locator(".chip--read")
    expect(chip).to_contain_text("人口（以下）")
    assert "若草市" not in page.locator(".cards").first.inner_text()
    chip.get_by_role("link").click()
    expect(page.locator(".chip--read")).to_have_count(0)
    assert "若草市" in page.locator("main").inner_text()
    page.get_by_role("link", name="条件を戻す").click()
    expect(page.locator(".chip--read")).to_have_count(1)
    page.close()


def test_lists_and_comparisons_are_tables(browser: Browser, address: str) -> None:
    page = browser.new_page(locale="ja-JP")
    page.goto(f"{address}/?q=若草市と小石原村の窓口を比べて")
    rows = page.locator(".answer__table tbody tr")
    assert rows.count() == 2
    sides = page.locator(".answer__table tbody th").all_inner_texts()
    assert sorted(sides) == ["つくし県小石原村", "つくし県若草市"]
    screenshot(page, "ask-compare")
    page.close()


def test_the_text_around_a_passage_opens_on_demand(browser: Browser, address: str) -> None:
    page = browser.new_page(locale="ja-JP", java_script_enabled=False)
    page.goto(f"{address}/?q=若草市の担当部署の電話番号は？")
    before = page.locator("#c1 .context__text").first
    expect(before).to_be_hidden()
    page.locator("#c1 .context summary").first.click()
    expect(before).to_be_visible()
    page.close()


def test_a_quotation_is_copied_with_its_source(browser: Browser, address: str) -> None:
    context = browser.new_context(locale="ja-JP", permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{address}/?q=若草市の担当部署の電話番号は？")
    quote = page.locator("#c1 blockquote").evaluate("element => element.textContent")
    page.locator("#c1").get_by_role("button", name="引用をコピー").click()
    expect(page.get_by_role("button", name="コピーしました")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"{quote}\n\n出典：窓口の事例集")
    assert "p.4" in copied
    context.close()


def test_a_slow_answer_says_that_it_is_coming(browser: Browser, address: str) -> None:
    page = browser.new_page(locale="ja-JP")
    page.goto(address)
    # what is shown while a page is on its way can only be seen by the page itself
    page.evaluate(
        "let asked = 0; addEventListener('submit', () => { asked = performance.now(); });"
        "new MutationObserver(() => { const sign = document.querySelector('.waiting');"
        " if (sign && sign.textContent) { sessionStorage.sign = sign.textContent + sign.getAttribute('role');"
        " sessionStorage.after = performance.now() - asked; } })"
        ".observe(document.body, {childList: true, subtree: true})"
    )

    def late(route: Any) -> None:
        time.sleep(0.9)
        route.continue_()

    page.route("**/?q=*", late)
    page.fill("#q", "窓口の手続")
    page.locator("#q").press("Enter", no_wait_after=True)
    expect(page.locator("#answer")).to_be_visible()
    assert page.evaluate("sessionStorage.sign") == "探しています…status"
    assert float(page.evaluate("sessionStorage.after")) >= 299  # not at once: a sign that flashes disturbs
    expect(page.locator(".waiting")).to_have_count(0)
    page.close()


PATHS = {
    "ask-home": "/",
    "ask-value": "/?q=若草市の担当部署の電話番号は？",
    "ask-list": "/?q=人口1万人未満の団体の事例を見せて",
    "ask-no": "/?q=火星市の予算は？",
    "ask-follow-up": "/?h=小石原村の車で回る窓口について教えて&q=そこの電話番号は？&organization_kinds=村",
    "help": "/help",
}


@pytest.mark.parametrize(("name", "path"), PATHS.items(), ids=PATHS)
def test_pages_of_asking_have_no_barrier(browser: Browser, address: str, name: str, path: str) -> None:
    page = browser.new_page(locale="ja-JP")
    page.goto(address + path)
    screenshot(page, name)
    page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    screenshot(page, f"{name}-phone")
    assert _width(page) <= 390
    page.set_viewport_size({"width": 640, "height": 480})  # 1280 at 200 %
    assert _width(page) <= 640
    page.close()


def _width(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


def test_a_long_rule_between_two_sentences_takes_no_time() -> None:
    dashes = "-" * 5_000
    assert _BETWEEN.fullmatch(f"\n{dashes}\n記\n") is None
    assert _BETWEEN.fullmatch(f"|{'|'.join(['-' * 40] * 8)}|\n|") is not None
    assert BETWEEN.fullmatch(f"\n{dashes} x") is None


def test_an_address_holds_only_so_much(service: Service) -> None:
    many = [("document_ids", str(n)) for n in range(51)]
    for path in ("/", "/cases"):
        refused = service.client.get(path, params=many)
        assert refused.status_code == 422
        assert "絞り込みの条件が多すぎます（いま51個、上限50個）" in refused.text
        assert service.client.get(path, params=many[:50]).status_code == 200
    long = [("h", f"{n}" + "あ" * 490) for n in range(9)]
    page = service.client.get("/", params=[*long, ("q", "窓口は？")])
    assert "0" + "あ" * 490 not in page.text
    assert "8" + "あ" * 490 in page.text  # the last ones are kept
    assert "あ" * 400 not in service.client.get("/", params=[("h", "短い"), ("q", "窓口は？")]).text
