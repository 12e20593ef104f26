"""The administrator's page of who may see which documents, as a program and in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from served import screenshot, serving, violations, watched
from test_door import HERE, PASSWORD, House

from access.labels import Labels


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path, admin_token="ひみつ")
    made.accounts.add("tanaka", PASSWORD, groups=["人事課", "DX推進課"])
    return made


def test_a_label_from_the_page(house: House) -> None:
    client = house.client()
    chief = {"Authorization": "Bearer ひみつ".encode()}
    assert client.get("/admin/visibility").headers["location"] == "/admin/login"
    assert (
        client.post("/admin/visibility", data={"path": "x", "who": "groups"}, headers=HERE).status_code == 303
    )
    labels: Labels = house.app.state.site.visibility._labels
    assert labels.table().labels == {}
    page = client.get("/admin/visibility?path=人事/事例集.txt", headers=chief).text
    for part in ("DX推進課", "人事課", 'href="/admin/visibility?path=%E4%BA%BA%E4%BA%8B"', "書き間違い"):
        assert part in page

    def change(**form: object) -> int:
        return client.post("/admin/visibility", data=form, headers=chief).status_code

    assert change(path="事例集.txt", who="groups", group=["人事課"], more=" 総務課 ,,") == 303
    assert labels.table().labels == {"事例集.txt": {"人事課", "総務課"}}
    assert client.get("/api/documents").json() == {"documents": []}
    listed = client.get("/admin", headers=chief).text
    assert "閲覧：人事課・総務課" in listed
    page = client.get("/admin/visibility?path=事例集.txt", headers=chief).text
    assert re.search(r'value="人事課" checked', page)
    assert 'value="DX推進課"' in page
    assert 'value="DX推進課" checked' not in page
    # as it is spelt it is shown, however the other one spells it
    assert change(path="事例集.txt", who="groups", group=["DX推進課"], more="dx推進課, ｄｘ推進課") == 303
    assert labels.table().labels == {"事例集.txt": {"dx推進課"}}
    assert "閲覧：DX推進課<" in client.get("/admin", headers=chief).text
    assert 'value="DX推進課" checked' in client.get("/admin/visibility?path=事例集.txt", headers=chief).text
    assert change(path="事例集.txt", who="groups", group=["人事課"], more=" 総務課 ,,") == 303
    for form in (
        {"path": "事例集.txt", "who": "groups"},
        {"path": "事例集.txt", "who": "groups", "more": "a|b"},
        {"path": "事例集.txt", "who": ""},
        {"path": "../x", "who": "everybody"},
        {"path": "", "who": "everybody"},
        {},
    ):
        assert change(**form) == 422, form
    assert labels.table().labels == {"事例集.txt": {"人事課", "総務課"}}
    assert change(path="事例集.txt", who="administrators") == 303
    assert labels.table().labels == {"事例集.txt": frozenset()}
    assert change(path="事例集.txt", who="everybody") == 303
    assert len(client.get("/api/documents").json()["documents"]) == 1
    hostile = "<img src=x onerror=alert(1)>\"'"
    assert change(path=hostile, who="groups", more="<b>x") == 303
    page = client.get(f"/admin/visibility?path={hostile}", headers=chief).text
    assert "<img src=x" not in page
    assert "<b>x" not in page


def test_an_upload_is_labelled_before_anybody_can_see_it(house: House) -> None:
    client = house.client()
    chief = {"Authorization": "Bearer ひみつ".encode()}
    files = [("files", ("評価.md", "# 評価\n\n面談は十二月に行います。紅葉の会議室です。\n".encode()))]
    upload = client.post("/api/uploads", files=files, headers=chief).json()["uploads"][0]["id"]
    page = client.get(f"/admin/uploads/{upload}", headers=chief).text
    assert "登録したあとに読める人：限らない" in page
    client.post(
        "/admin/visibility", data={"path": "評価.md", "who": "groups", "more": "人事課"}, headers=chief
    )
    assert "登録したあとに読める人：人事課" in client.get(f"/admin/uploads/{upload}", headers=chief).text
    assert "閲覧：人事課" in client.get("/admin", headers=chief).text


def test_in_a_browser(house: House, browser: Browser) -> None:
    house.accounts.add("係長", PASSWORD, administrator=True)
    with serving(house.app) as address, watched(browser, address) as page:
        page.goto(f"{address}/")
        page.get_by_role("link", name="ログイン").click()
        assert violations(page) == []
        page.get_by_label("名前").fill("係長")
        page.get_by_label("パスワード").fill("ちがうパスワードです")
        page.get_by_role("button", name="ログインする").click()
        assert "名前かパスワードが違います" in page.inner_text("main")
        assert page.get_by_label("名前").input_value() == "係長"
        assert violations(page) == []
        screenshot(page, "login")
        page.get_by_label("パスワード").fill(PASSWORD)
        page.get_by_role("button", name="ログインする").click()
        page.wait_for_url(f"{address}/")
        assert "係長" in page.inner_text("header")
        page.get_by_role("link", name="管理").click()
        page.locator("#registered").get_by_role("link", name="閲覧の範囲").click()
        page.get_by_label("次のグループと管理者だけ").check()
        page.get_by_label("人事課").check()
        assert violations(page) == []
        screenshot(page, "visibility")
        page.get_by_role("button", name="この範囲にする").click()
        assert "人事課" in page.inner_text("#labels")
        page.get_by_role("link", name="管理", exact=True).first.click()
        assert "閲覧：人事課" in page.inner_text("#registered")
        assert violations(page) == []
        page.get_by_role("button", name="ログアウト").click()
        page.wait_for_url(f"{address}/")
        page.goto(f"{address}/documents")
        assert "資料はまだありません" in page.inner_text("main")


def test_without_scripts_and_on_a_telephone(house: House, browser: Browser) -> None:
    with serving(house.app) as address, watched(browser, address, scripts=False, width=360) as page:
        page.goto(f"{address}/login")
        page.get_by_label("名前").fill("tanaka")
        page.get_by_label("パスワード").fill(PASSWORD)
        page.get_by_role("button", name="ログインする").click()
        assert "tanaka" in page.inner_text("header")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        screenshot(page, "signed-in-narrow")
