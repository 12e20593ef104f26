"""The administrator's page of the records: its numbers, plot, lists, files, and what it removes."""

from __future__ import annotations

import csv
import html
import io
import itertools
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from test_server import Service
from test_usage import Clock, ask, everything, rate, read, rows

from qa.usage import Rating, Usage
from qa.usage_report import Day
from web.admin_usage_view import HEIGHT, WIDTH, Span, conditions, percent, plot, spans, ticks

NOW = datetime(2026, 11, 21, 12, 0)
HOSTILE = "<script>alert(1)</script>\"'{{ 7*7 }}"


def filled(usage: Usage, clock: Clock) -> None:
    """Questions and ratings of five weeks, worked by hand: see the numbers of the tests."""
    for days, question, reason, quoted in (
        (40, "窓口は？", None, ("事例集",)),
        (10, "窓口は？", None, ("事例集",)),
        (9, "窓口は", None, ("事例集", "議事録")),
        (9, "火星市の予算は？", "unknown_organization", ()),
        (3, "火星市の予算は", "unknown_organization", ()),
        (3, "直した資料の費用は", "value_not_stated", ()),
        (2, "直した資料の費用は", None, ("議事録",)),
        (1, "=HYPERLINK(1)", None, ("消えた資料",)),
        (0, HOSTILE, "no_match", ()),
    ):
        clock.now = NOW - timedelta(days=days)
        ask(usage, question, reason=reason, quoted=quoted, took_ms=10.0 + days)
    clock.now = NOW
    rate(usage, "窓口は", True, "よい\n改行")
    rate(usage, "窓口は", False, HOSTILE)
    usage.rate(Rating("続き", (("h", "前の問い"), ("q", "続き"), ("organization_kinds", "市")), False))
    usage.flush(10)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    clock = Clock(NOW)
    usage = Usage(tmp_path / "u" / "usage.sqlite3", 180, clock=clock)
    filled(usage, clock)
    made = Service(tmp_path / "service", usage=usage)
    yield made
    usage.close()


def used(service: Service) -> Usage:
    found = service.app.state.usage
    assert isinstance(found, Usage)
    return found


def words(page: str) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def listed(service: Service, name: str, days: str = "30") -> list[list[str]]:
    reply = service.client.get(f"/admin/usage/{name}.csv?days={days}")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"usage-{name}-" in reply.headers["content-disposition"]
    assert reply.content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(reply.content.decode("utf-8-sig"), newline="")))[1:]


def test_the_page(service: Service) -> None:
    page = service.client.get("/admin/usage").text
    said = words(page)
    assert "質問 8 件 画面 8・API 0" in said
    assert "答えのあった割合 50%" in said  # 4 of 8
    assert "役に立った割合 33% 評価 3件" in said
    assert "（中央値） 13 ミリ秒" in said  # of 10, 11, 12, 13, 13, 19, 19, 20
    assert "<script>alert(1)</script>" not in page
    assert HOSTILE in html.unescape(page)
    assert 'style="' not in page
    assert "<style" not in page
    assert "180日より前の記録は" in said
    assert 'href="/admin/usage/clear"' in page
    assert (
        'href="/?h=%E5%89%8D%E3%81%AE%E5%95%8F%E3%81%84&amp;q=%E7%B6%9A%E3%81%8D&amp;organization_kinds=%E5%B8%82"'
        in page
    )
    assert "条件：団体の種類" in said
    assert 'href="/admin/usage"' in service.client.get("/admin").text


@pytest.mark.parametrize(("days", "questions"), [("7", 5), ("30", 8), ("90", 9), ("all", 9)])
def test_periods(service: Service, days: str, questions: int) -> None:
    page = service.client.get(f"/admin/usage?days={days}").text
    assert f"質問 {questions} 件" in words(page)
    assert re.search(rf'href="/admin/usage\?days={days}" aria-current="page"', page)
    assert len(listed(service, "questions", days)) == questions


@pytest.mark.parametrize("days", ["5", "", "0", "x", "-1", "7;"])
def test_periods_that_are_none(service: Service, days: str) -> None:
    for path in ("", "/often.csv", "/records.xlsx"):
        assert service.client.get(f"/admin/usage{path}?days={days}").status_code == 422


def test_the_lists(service: Service) -> None:
    often = listed(service, "often")
    assert [(row[0], *row[2:6]) for row in often] == [
        ("直した資料の費用は", "2", "1", "0", "0"),
        ("火星市の予算は", "2", "2", "0", "0"),
        ("窓口は", "2", "0", "1", "1"),
        (HOSTILE, "1", "1", "0", "0"),
        ("'=HYPERLINK(1)", "1", "0", "0", "0"),
    ]
    assert [(row[0], *row[2:4], row[5]) for row in listed(service, "unanswered")] == [
        ("火星市の予算は", "2", "資料にない団体", ""),
        (HOSTILE, "1", "当たる記述がない", ""),
        ("直した資料の費用は", "1", "値が書かれていない", "答えあり"),
    ]
    assert [(row[1], row[2], row[3]) for row in listed(service, "ratings")] == [
        ("続き", "役に立たなかった", ""),
        ("窓口は", "役に立たなかった", HOSTILE),
        ("窓口は", "役に立った", "よい\n改行"),
    ]
    assert listed(service, "documents") == [
        ["資料事例集", "事例集.txt", "2"],
        ["資料議事録", "議事録.txt", "2"],
        ["資料消えた資料", "消えた資料.txt", "1"],
    ]
    assert sorted(row[1] for row in listed(service, "never")) == ["a'<b>.txt", "faq.md"]
    assert listed(service, "days", "7") == [
        ["2026-11-18", "2", "0", "2"],
        ["2026-11-19", "1", "1", "0"],
        ["2026-11-20", "1", "1", "0"],
        ["2026-11-21", "1", "0", "1"],
    ]
    assert service.client.get("/admin/usage/nothing.csv").status_code == 404


def test_the_workbook_has_what_the_files_have(service: Service) -> None:
    reply = service.client.get("/admin/usage/records.xlsx?days=all")
    book = load_workbook(io.BytesIO(reply.content))
    names = {
        "日ごとの数": "days", "よくある質問": "often", "答えのなかった質問": "unanswered", "評価": "ratings",
        "引用された資料": "documents", "引用されていない資料": "never", "すべての質問": "questions",
    }  # fmt: skip
    assert book.sheetnames == list(names)
    for title, name in names.items():
        shown = [
            ["" if cell is None else str(cell) for cell in row]
            for row in book[title].iter_rows(min_row=2, values_only=True)
        ]
        plain = [[cell.removeprefix("'") for cell in row] for row in listed(service, name, "all")]
        assert [[cell.removesuffix(".0") for cell in row] for row in shown] == [
            [cell.removesuffix(".0") for cell in row] for row in plain
        ]


def test_removing_asks_first(service: Service, tmp_path: Path) -> None:
    client = service.client
    row = next(q.id for q in read(used(service)).often if q.question == HOSTILE)
    asked = client.get(f"/admin/usage/questions/{row}/remove")
    assert "この質問の記録を消しますか" in asked.text
    assert "同じ質問の記録1件" in asked.text
    assert "<script>alert" not in asked.text
    assert 'href="/admin/usage">やめる' in asked.text
    assert len(rows(used(service))) == 9  # nothing was removed by looking
    done = client.post(f"/admin/usage/questions/{row}/remove", follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/admin/usage#often")
    assert client.post(f"/admin/usage/questions/{row}/remove").status_code == 404
    assert client.get(f"/admin/usage/questions/{row}/remove").status_code == 404

    rating = next(r for r in read(used(service)).rated if r.comment == HOSTILE)
    assert "ひとこと：" in client.get(f"/admin/usage/ratings/{rating.id}/remove").text
    client.post(f"/admin/usage/ratings/{rating.id}/remove")
    assert client.get(f"/admin/usage/ratings/{rating.id}/remove").status_code == 404
    assert HOSTILE.encode() not in everything(tmp_path / "u")

    assert "質問 8件・評価 2件" in words(client.get("/admin/usage/clear").text)
    assert client.post("/admin/usage/clear", follow_redirects=True).status_code == 200
    assert rows(used(service)) == rows(used(service), "ratings") == []
    assert "この期間に、質問の記録はありません。" in client.get("/admin/usage").text
    assert "窓口".encode() not in everything(tmp_path / "u")
    assert client.post("/admin/usage/set-aside").status_code == 409  # a good file keeps its name


@pytest.mark.parametrize("path", ["questions/1/remove", "ratings/1/remove", "clear", "set-aside"])
def test_another_site_removes_nothing(service: Service, path: str) -> None:
    refused = service.client.post(f"/admin/usage/{path}", headers={"Origin": "http://evil.example"})
    assert refused.status_code == 403
    assert (len(rows(used(service))), len(rows(used(service), "ratings"))) == (9, 3)
    assert service.from_address("10.0.0.5").post(f"/admin/usage/{path}").status_code == 403


def test_switched_off_with_records_left(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "u" / "usage.sqlite3"
    off = Service(tmp_path / "off", usage=Usage(path, 0, clock=Clock(NOW)))
    page = off.client.get("/admin/usage")
    assert "前の記録" in page.text
    assert "質問 8 件" in words(page.text)
    assert off.client.post("/admin/usage/clear", follow_redirects=True).status_code == 200
    assert rows(used(service)) == []


def test_off_without_records(tmp_path: Path) -> None:
    off = Service(tmp_path)
    page = off.client.get("/admin/usage")
    assert (page.status_code, "記録していません" in page.text) == (200, True)
    for path in ("often.csv", "records.xlsx", "clear"):
        assert off.client.get(f"/admin/usage/{path}").status_code == 404
    for path in ("clear", "set-aside", "questions/1/remove"):
        assert off.client.post(f"/admin/usage/{path}").status_code == 404


def test_without_an_index(tmp_path: Path) -> None:
    own = Service(tmp_path, built=False, usage=Usage(tmp_path / "u", 30))
    assert own.client.get("/admin/usage").status_code == 200
    used(own).close()


# ---------------------------------------------------------------- the plot


def test_days_weeks_and_months() -> None:
    days = [Day("2026-11-01", 1, 2), Day("2026-11-03", 4, 0)]
    assert spans(days, date(2026, 11, 1), date(2026, 11, 3)) == (
        "日",
        [Span("11月1日", 1, 2), Span("11月2日", 0, 0), Span("11月3日", 4, 0)],
    )
    unit, weeks = spans(days, date(2026, 7, 1), date(2026, 11, 3))
    assert (unit, weeks[-2:]) == ("週", [Span("10月26日からの週", 1, 2), Span("11月2日からの週", 4, 0)])
    unit, months = spans(days, date(2024, 1, 31), date(2026, 11, 3))
    assert (unit, len(months), months[0].label, months[-1]) == (
        "月",
        35,
        "2024年1月",
        Span("2026年11月", 5, 2),
    )


@given(
    st.lists(
        st.tuples(st.dates(date(2020, 1, 1), date(2026, 12, 31)), st.integers(0, 5000), st.integers(0, 5000)),
        unique_by=lambda day: day[0],
    )
)
def test_every_question_stands_in_the_plot(given_days: list[tuple[date, int, int]]) -> None:
    days = [Day(day.isoformat(), one, other) for day, one, other in sorted(given_days)]
    first = min((day for day, *_ in given_days), default=date(2026, 1, 1))
    last = max((day for day, *_ in given_days), default=date(2026, 1, 1))
    unit, shown = spans(days, first, last)
    assert sum(span.answered for span in shown) == sum(day.answered for day in days)
    assert sum(span.unanswered for span in shown) == sum(day.unanswered for day in days)
    assert len({span.label for span in shown}) == len(shown) or unit == "週"
    drawn = plot(unit, shown)
    top, bottom = drawn["lines"][-1], drawn["bottom"]
    for bar, span in zip(drawn["bars"], shown, strict=True):
        low, high = bar["answered"], bar["unanswered"]
        assert low["y"] + low["height"] == pytest.approx(bottom, abs=0.02)
        assert high["y"] + high["height"] == pytest.approx(low["y"], abs=0.02)  # one stands on the other
        count = span.answered + span.unanswered
        assert (low["height"] + high["height"]) / (bottom - top["y"]) == pytest.approx(
            count / top["value"], abs=0.001
        )
        assert 0 <= high["y"] <= HEIGHT
        assert drawn["left"] <= bar["x"] <= bar["x"] + bar["width"] <= WIDTH
    assert str(f"{sum(s.answered + s.unanswered for s in shown):,}件") in drawn["words"]


@given(st.integers(0, 10**7))
def test_an_axis_holds_what_is_shown(most: int) -> None:
    found = ticks(most)
    steps = {right - left for left, right in itertools.pairwise(found)}
    assert found[0] == 0
    assert len(steps) == 1
    assert found[-2] < max(most, 1) <= found[-1]
    assert 2 <= len(found) <= 6


def test_small_words() -> None:
    assert (percent(1, 3), percent(0, 5), percent(0, 0)) == ("33%", "0%", None)
    assert (
        conditions([("q", "x"), ("regions", "東北"), ("regions", "関東"), ("population_min", "5")])
        == "地方、人口（以上）"
    )
