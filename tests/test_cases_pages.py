"""The pages of cases as a visitor and a program see them: catalogue, case, municipalities alike, comparison."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from made import CASE_BOOK
from test_server import Service

from index.build import build
from qa.understand import Filters
from web.cases import PAGE, Listing, _numbers
from web.contract import FilterRequest

HOSTILE_BOOK = """悪い事例集

1 <script>alert(1)</script>と"引用'【つくし県若草市】

事業の概要

- <img src=x onerror=alert(2)>{{ 7*7 }}を配りました。

コスト<b>

- 年に120万円です。

【担当部署】 <b>窓口課</b>（電話：0000-11-2222、メール：window@city.example.jp）

2 車で回る窓口【つくし県小石原村】

事業の概要

- 役場の車が集落を回ります。

コスト<b>

- 車に400万円です。

【担当部署】 小石原村住民課（電話：0000-22-3333）
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return service.client


@pytest.fixture(scope="module")
def ids(client: TestClient) -> list[str]:
    return [case["id"] for case in client.get("/api/cases").json()["cases"]]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service over 120 cases: three pages of the catalogue."""
    made = Service(tmp_path_factory.mktemp("crowd"), built=False)
    for path in made.documents.iterdir():
        path.unlink()
    lines = ["大きな事例集", ""]
    for number in range(1, 121):
        lines += [
            f"{number} 取組その{number}【つくし県{'あいうえおかきくけこさしすせそ'[number % 15]}{'なにぬねの'[number % 5]}{'町村'[number % 2]}】",
            "",
            "事業の概要",
            "",
            f"- 役場の職員が{number}番目の窓口を開きました。",
            "",
        ]
    (made.documents / "大.txt").write_text("\n".join(lines), encoding="utf-8")
    build(made.documents, made.root, made.encoder)
    return made


def text(body: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", body))


def links(body: str, beginning: str) -> list[str]:
    return [
        html.unescape(found) for found in re.findall(r'href="([^"]+)"', body) if found.startswith(beginning)
    ]


def listed(body: str) -> list[str]:
    return re.findall(
        r'<th scope="row" role="rowheader" class="table__main">\s*<a href="/cases/([^"]+)"', body
    )


# ---------------------------------------------------------------- the catalogue


def test_the_catalogue_names_what_can_be_chosen(client: TestClient, ids: list[str]) -> None:
    body = client.get("/cases").text
    assert listed(body) == ids
    assert "すべての事例 3件" in text(body)
    facet = body[body.index('id="facet-organization_kinds"') :]
    assert re.findall(
        r'facets__value">([^<]+)</span><span class="facets__count">(\d+)', facet[: facet.index("</ul>")]
    ) == [
        ("市", "1"),
        ("村", "1"),
        ("県", "1"),
    ]
    # one prefecture and one document: choosing them changes nothing
    assert 'id="facet-prefectures"' not in body
    assert 'id="facet-document_ids"' not in body


def test_following_the_links_narrows_and_widens(client: TestClient, ids: list[str]) -> None:
    body = client.get("/cases").text
    address = next(
        link for link in links(body, "/cases?") if "organization_kinds=" in link and "%E6%9D%91" in link
    )
    narrowed = client.get(address).text
    assert listed(narrowed) == [ids[1]]
    assert "条件に合う事例 1件" in text(narrowed)
    chip = re.search(
        r'<li class="chip"><span class="chip__label">団体の種類</span> 村 <a class="chip__remove" href="([^"]+)"',
        narrowed,
    )
    assert chip
    assert chip[1] == "/cases"
    # another value of the same facet widens
    wider = next(link for link in links(narrowed, "/cases?") if "%E5%B8%82" in link and "%E6%9D%91" in link)
    assert listed(client.get(wider).text) == ids[:2]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("find=ＷＥＢ　総合", [1]),
        ("find=web", [1]),
        ("find=住民課", [2]),
        ("find=住民課&organization_kinds=市", []),
        ("population_max=3.2万", [1, 2]),
        ("population_max=３万", [2]),
        ("population_min=&population_max=", [1, 2, 3]),
        ("population_min=一万", [1, 3]),  # of the prefecture, the contents state a band
        ("organizations=小石原村", [2]),
        ("sort=population_desc", [1, 2, 3]),
        ("sort=population", [2, 1, 3]),
        ("sort=organization", [3, 2, 1]),
        ("prefectures=つくし県&prefectures=山形県", [1, 2, 3]),
        ("regions=東北", []),
        ("page=9", [1, 2, 3]),
    ],
)
def test_an_address_is_a_state(client: TestClient, ids: list[str], query: str, numbers: list[int]) -> None:
    response = client.get(f"/cases?{query}")
    assert response.status_code == 200
    assert listed(response.text) == [ids[n - 1] for n in numbers]
    assert ("条件に合う事例はありません" in response.text) is (not numbers)


def test_the_form_keeps_the_facets_and_starts_at_the_first_page(client: TestClient, ids: list[str]) -> None:
    body = client.get(f"/cases?organization_kinds=村&sort=population&page=2&find=窓口&case={ids[0]}").text
    form = body[body.index('class="finder"') : body.index("</form>")]
    assert re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', form) == [
        ("organization_kinds", "村"),
        ("sort", "population"),
        ("case", ids[0]),
    ]
    assert 'value="窓口"' in form


def test_many_cases_have_pages(crowd: Service) -> None:
    first = crowd.client.get("/cases").text
    assert len(listed(first)) == PAGE == 50
    assert "120件中の1～50件目" in text(first)
    address = next(link for link in links(first, "/cases?page=") if link.endswith("=3"))
    last = crowd.client.get(address).text
    assert len(listed(last)) == 20
    assert "120件中の101～120件目" in text(last)
    everything = [case for n in (1, 2, 3) for case in listed(crowd.client.get(f"/cases?page={n}").text)]
    assert len(set(everything)) == 120
    beyond = crowd.client.get("/cases?page=4").text
    assert "4ページ目はありません" in beyond
    assert listed(beyond) == listed(last)
    # a chosen case of another page goes with the form
    elsewhere = crowd.client.get(f"/cases?page=3&case={everything[0]}").text
    assert f'value="{everything[0]}" checked' in elsewhere
    # a facet with many values folds the rest of them
    assert "ほか" in first
    chosen = links(first, "/cases?organizations=")[-1]
    shown = crowd.client.get(chosen).text
    facet = shown[shown.index('id="facet-organizations"') :]
    assert 'aria-current="true"' in facet[: facet.index("</ul>")]


@pytest.mark.parametrize(
    ("page", "pages", "numbers"),
    [
        (1, 1, []),
        (1, 2, [1, 2]),
        (1, 9, [1, 2, 3, None, 9]),
        (5, 9, [1, None, 3, 4, 5, 6, 7, None, 9]),
        (9, 9, [1, None, 7, 8, 9]),
    ],
)
def test_the_pages_to_go_to(page: int, pages: int, numbers: list[int | None]) -> None:
    assert _numbers(page, pages) == numbers


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sort=random", "次のいずれか"),
        ("page=0", "1以上"),
        ("page=x", "整数"),
        ("find=" + "あ" * 101, "100文字以内"),
        ("population_min=たくさん", "「30000」「3万」「三万五千」のように"),
        ("population_min=3万5", "「30000」「3万」「三万五千」のように"),
    ],
)
def test_a_state_that_cannot_be_is_said(client: TestClient, query: str, words: str) -> None:
    response = client.get(f"/cases?{query}")
    assert response.status_code == 422
    assert words in response.text


STATES = st.builds(
    Listing,
    filters=st.builds(
        Filters,
        organizations=st.lists(st.text(min_size=1, max_size=5), max_size=2).map(tuple),
        regions=st.lists(st.sampled_from(["東北", "a&b=c", "<b>"]), max_size=2, unique=True).map(tuple),
        population_min=st.none() | st.integers(0, 10**6),
    ),
    find=st.text(max_size=20).map(str.strip),
    order=st.sampled_from(["document", "number", "organization", "population", "population_desc"]),
    page=st.integers(1, 5),
    chosen=st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3).map(tuple),
)


@settings(max_examples=50, deadline=None)
@given(state=STATES)
def test_an_address_says_all_of_a_state(service: Service, state: Listing) -> None:
    address = state.address()
    pairs = parse_qsl(urlsplit(address).query, keep_blank_values=True)
    given_filters = FilterRequest(
        organizations=[v for k, v in pairs if k == "organizations"],
        regions=[v for k, v in pairs if k == "regions"],
        population_min=next((v for k, v in pairs if k == "population_min"), None),
    )
    values = dict(pairs)
    again = Listing(
        given_filters.filters(),
        values.get("find", ""),
        values.get("sort", "document"),
        int(values.get("page", 1)),
        tuple(v for k, v in pairs if k == "case"),
    )
    assert again == state
    assert service.client.get(address).status_code == 200
    assert state.filtered(Filters()) == replace(state, filters=Filters(), page=1)


def test_without_an_index_the_catalogue_says_so(tmp_path: Path) -> None:
    empty = Service(tmp_path, built=False)
    assert "事例はまだありません" in empty.client.get("/cases").text
    for path in ("/similar", "/compare", "/api/similar?kind=町", "/api/compare?case=a&case=b"):
        assert empty.client.get(path).status_code == 503


# ---------------------------------------------------------------- one case


def test_a_case_has_every_field_with_its_place(client: TestClient, ids: list[str]) -> None:
    body = client.get(f"/cases/{ids[0]}").text
    sheet = dict(re.findall(r"<dt>([^<]+)</dt>\s*<dd>(.*?)</dd>", body, re.DOTALL))
    assert set(sheet) >= {
        *("担当部署", "電話", "メール", "団体", "都道府県", "地方", "団体の種類"),
        *("人口", "人口の時点", "人口規模", "分類", "掲載ページ", "関連URL"),
    }
    assert "32,000人" in sheet["人口"]
    assert "原文「３．２万人」" in sheet["人口"]
    line = CASE_BOOK[: CASE_BOOK.index("３．２万人")].count("\n") + 1
    assert f"p.4・{line}行目" in sheet["人口"]
    start = CASE_BOOK.index("３．２万人")
    assert f"start={start}&amp;end={start + 5}#passage" in sheet["人口"]
    assert 'href="tel:0000112222"' in sheet["電話"]
    assert 'href="mailto:window@city.example.jp"' in sheet["メール"]
    assert 'href="https://www.city.example.jp/window/"' in sheet["関連URL"]
    assert "記載なし" in sheet["地方"]  # a made-up prefecture lies in no region
    assert "記載なし" not in sheet["人口"]


def test_a_case_leads_on(client: TestClient, ids: list[str]) -> None:
    first, second, third = (client.get(f"/cases/{name}").text for name in ids)
    assert f'href="/?case_ids={ids[1]}"' in second
    assert f'href="/cases?case={ids[1]}"' in second
    assert f'href="/cases/{ids[0]}"><span class="turn__label">前の事例' in second
    assert f'href="/cases/{ids[2]}"><span class="turn__label">次の事例' in second
    assert "前の事例" not in first
    assert "次の事例" not in third
    assert "/similar?organization=" in second
    for body in (first, second, third):
        for anchor in re.findall(r'href="#(s\d+)"', body):
            assert f'id="{anchor}"' in body
    # every passage of the case stands on its page, to the letter
    chunks = re.findall(r'<blockquote class="quote rich"[^>]*>(.*?)</blockquote>', second, re.DOTALL)
    assert chunks
    assert all(html.unescape(re.sub(r"<[^>]+>", "", c)) in CASE_BOOK for c in chunks)


# ---------------------------------------------------------------- municipalities alike


def test_alike_as_json(client: TestClient) -> None:
    reply = client.get("/api/similar", params={"population": "３万", "kind": "市"}).json()
    assert [(s["case"]["organization"], s["reason"]) for s in reply["similar"]] == [
        ("つくし県若草市", "人口がほぼ同じ・同じ市"),
        ("つくし県小石原村", "人口が約0.14倍・種類は村"),
    ]
    assert reply["profile"]["population"] == 30_000
    own = client.get("/api/similar", params={"organization": "若草市", "limit": 1}).json()
    assert own["profile"]["population"] == 32_000
    assert [s["case"]["organization"] for s in own["similar"]] == ["つくし県小石原村"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "人口か団体の種類を入れてください"),
        ("prefecture=山形県", "人口か団体の種類を入れてください"),
        ("population=0", "1人以上"),
        ("population=many", "3万"),
        ("population=99億", "3万"),
        ("kind=国", "都道府県、政令指定都市"),
        ("kind=町&prefecture=山形", "名前を最後まで"),
        ("kind=町&region=関西", "近畿"),
        ("organization=火星市", "見つかりません"),
        ("organization=府中市", "2つあります"),
        ("population=" + "1" * 101, "100文字以内"),
    ],
)
def test_what_cannot_be_compared_with_is_said(client: TestClient, query: str, words: str) -> None:
    reply = client.get(f"/api/similar?{query}")
    assert reply.status_code == 422
    assert words in "".join(d["msg"] for d in reply.json()["detail"])
    page = client.get(f"/similar?{query}")
    assert page.status_code == (422 if query else 200)
    assert not query or words in page.text


def test_the_form_of_an_officer(client: TestClient, ids: list[str]) -> None:
    body = client.get("/similar", params={"organization": "若草市"}).text
    assert "つくし県若草市" in body
    assert "32,000人（令和7年1月1日）" in body
    assert "事例の記載：p.4" in body
    assert "人口が約0.13倍・種類は村" in body
    assert f'type="hidden" name="case" value="{ids[0]}"' in body
    # a real municipality without a case: its kind is known, its population is not
    known = client.get("/similar", params={"organization": "鶴岡市"}).text
    assert "山形県鶴岡市" in known
    assert "資料に記載がないため" in known
    ambiguous = client.get("/similar", params={"organization": "府中市"}).text
    for full in links(ambiguous, "/similar?organization="):
        assert client.get(full).status_code == 200
    assert len(links(ambiguous, "/similar?organization=")) == 2


# ---------------------------------------------------------------- side by side


def test_side_by_side_as_json(client: TestClient, ids: list[str]) -> None:
    reply = client.get("/api/compare", params={"case": [ids[1], ids[0]]}).json()
    assert [case["id"] for case in reply["cases"]] == [ids[1], ids[0]]
    rows = {row["label"]: row for row in reply["rows"]}
    assert [cell and cell["value"] for cell in rows["電話"]["cells"]] == ["0000-22-3333", "0000-11-2222"]
    assert [cell and cell["value"] for cell in rows["メール"]["cells"]] == [None, "window@city.example.jp"]
    for row in reply["rows"]:
        for cell in row["cells"]:
            if cell is not None:
                assert CASE_BOOK[cell["char_start"] : cell["char_end"]] == cell["value"]
                assert cell["place"]
    fewer = client.get("/api/compare", params={"case": ids[:2], "differences": "1"}).json()
    assert (
        {row["label"] for row in reply["rows"]} - {row["label"] for row in fewer["rows"]}
        == {row["label"] for row in reply["rows"] if not row["differs"]}
        != set()
    )


@pytest.mark.parametrize(
    ("cases", "status", "words"),
    [
        ([], 422, "2件から5件選んでください"),
        ([0], 422, "いま1件"),
        ([0, 0], 422, "いま1件"),
        (["x", "y"], 404, "見つかりません"),
        ([0, "x"], 404, "見つかりません"),
        ([0, 1, "x"], 404, "見つかりません"),
        (["a", "b", "c", "d", "e", "f"], 422, "5件までです"),
        (["<script>alert(1)</script>", "'\""], 404, "見つかりません"),
    ],
)
def test_what_cannot_be_compared_is_said(
    client: TestClient, ids: list[str], cases: list[Any], status: int, words: str
) -> None:
    query = {"case": [ids[c] if isinstance(c, int) else c for c in cases]}
    reply = client.get("/api/compare", params=query)
    assert reply.status_code == status
    page = client.get("/compare", params=query)
    assert page.status_code in {status, 404}
    assert words in page.text or "見つかりません" in page.text
    assert "<script>alert" not in page.text
    # the way on keeps what can be kept
    kept = [ids[c] for c in dict.fromkeys(cases) if isinstance(c, int)]
    for name in kept:
        assert f"case={name}" in "".join(links(page.text, "/cases?"))
    assert ("見つかった事例だけで比べる" in page.text) is (len(kept) >= 2)


def test_a_comparison_can_grow_and_shrink(client: TestClient, ids: list[str]) -> None:
    two = client.get("/compare", params={"case": [ids[0], ids[1], ids[0]]}).text
    assert two.count("picked__case") == 2  # twins fold
    assert "外す" not in two  # two is the least
    assert "記載なし" in two
    (switch,) = [link for link in links(two, "/compare?") if "differences=1" in link]
    assert "同じ内容の" in client.get(switch).text
    three = client.get("/compare", params={"case": ids}).text
    without = links(three, "/compare?")[0]
    assert listed_in(client.get(without).text) == ids[1:]
    added = client.get("/compare", params={"case": [ids[0], ids[1]], "differences": "1"}).text
    assert all("differences=1" in link for link in links(added, "/compare?") if link.count("case=") > 2)


def listed_in(body: str) -> list[str]:
    part = body[body.index('class="picked"') : body.index('class="deeds"')]
    return [link.removeprefix("/cases/") for link in links(part, "/cases/")]


# ---------------------------------------------------------------- hostile words, and the description


def test_hostile_words_of_a_case_are_shown_and_never_run(tmp_path: Path) -> None:
    made = Service(tmp_path, built=False)
    (made.documents / "悪.txt").write_text(HOSTILE_BOOK, encoding="utf-8")
    build(made.documents, made.root, made.encoder)
    cases = made.client.get("/api/cases").json()["cases"]
    own = [c["id"] for c in cases if c["document_id"] == cases[-1]["document_id"]] or [c["id"] for c in cases]
    evil = next(c["id"] for c in cases if "<script>" in c["title"])
    other = next(name for name in own if name != evil)
    for path in (
        "/cases",
        "/cases?find=<script>alert(3)</script>&organizations=<b>x</b>",
        f"/cases/{evil}",
        f"/compare?case={evil}&case={other}",
        f"/compare?case={evil}",
        "/similar?kind=町&organization=<script>alert(4)</script>",
        "/similar?kind=<b>&region=<b>&prefecture=<b>&population=<b>",
        "/similar?population=3万",
    ):
        body = made.client.get(path).text
        assert "<script>alert" not in body, path
        assert "<img src=x" not in body, path
        assert "<b>" not in body, path
        assert "49を配り" not in body, path


def test_the_new_calls_are_described_with_examples(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]
    for path in ("/api/similar", "/api/compare"):
        call = described[path]["get"]
        assert call["summary"]
        example = call["responses"]["200"]["content"]["application/json"]["example"]
        assert example
    assert {p["name"] for p in described["/api/similar"]["get"]["parameters"]} == {
        *("organization", "population", "kind", "prefecture", "region", "limit")
    }


def test_the_examples_have_the_shape_of_the_replies(client: TestClient, ids: list[str]) -> None:
    described = client.get("/openapi.json").json()["paths"]

    def example(path: str) -> dict[str, Any]:
        found: dict[str, Any] = described[path]["get"]["responses"]["200"]["content"]["application/json"][
            "example"
        ]
        return found

    # FastAPI leaves what is null out of an example
    real = client.get("/api/compare", params={"case": ids[:2]}).json()
    shown = example("/api/compare")
    assert shown.keys() <= real.keys()
    assert shown["rows"][0].keys() <= real["rows"][0].keys()
    assert shown["rows"][0]["cells"][0].keys() <= real["rows"][0]["cells"][0].keys()
    real = client.get("/api/similar", params={"kind": "市"}).json()
    shown = example("/api/similar")
    assert shown.keys() <= real.keys()
    assert shown["profile"].keys() <= real["profile"].keys()
    assert shown["similar"][0].keys() <= real["similar"][0].keys()
