"""Who comes in, and how: accounts, programs, single sign-on, and what is refused to everybody else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from made import CASE_BOOK, FakeEncoder
from starlette.requests import Request

import web.gate
import web.rates
from access.accounts import Accounts
from access.file import AccessFile
from index.build import build
from index.current import CurrentIndex
from index.library import Library
from index.passages import model_record
from server import create_app
from web.entry import Entry
from web.login import own_path
from web.peers import Proxies
from web.rates import Rate
from web.sign_on import SignOn

PASSWORD = "かえるの池に三つの石がある"
HERE = {"Origin": "http://dx.example.jp"}
PROXY = "192.0.2.10"


class House:
    """A service with accounts; `client` comes from an address of the town hall unless told otherwise."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.documents = folder / "documents"
        self.documents.mkdir()
        (self.documents / "事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
        encoder, root = FakeEncoder(), folder / "index"
        build(self.documents, root, encoder)
        access = AccessFile(folder / "access.sqlite3")
        self.accounts = Accounts(access)
        self.app = create_app(
            current=CurrentIndex(root, model_record(encoder)),
            encoder=encoder,
            rebuild=lambda progress: build(self.documents, root, encoder, progress=progress),
            library=Library(self.documents),
            hosts=("dx.example.jp",),
            access=access,
            **more,
        )

    def client(self, host: str = "10.0.0.7", scheme: str = "http") -> TestClient:
        return TestClient(
            self.app,
            base_url=f"{scheme}://dx.example.jp",
            client=(host, 1),
            raise_server_exceptions=False,
            follow_redirects=False,
        )


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.gate, "WRONG_DELAY_S", 0.0)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> House:
    """One that only those read who are signed in."""
    house = House(tmp_path_factory.mktemp("closed"), entry=Entry(closed=True), admin_token="ひみつ")
    house.accounts.add("tanaka", PASSWORD, groups=["人事課"])
    house.accounts.add("chief", PASSWORD, administrator=True)
    return house


def sign_in(client: TestClient, name: str, password: str = PASSWORD, **more: str) -> Any:
    return client.post("/login", data={"name": name, "password": password, **more}, headers=HERE)


# ---------------------------------------------------------------- reading behind a sign-in


def test_nothing_is_read_without_a_sign_in(closed: House) -> None:
    client = closed.client()
    for path in (
        "/",
        "/?q=窓口",
        "/cases",
        "/documents",
        "/documents/x",
        "/help",
        "/similar",
        "/compare",
        "/export/answer.md?q=x",
        "/nowhere",
    ):
        refused = client.get(path)
        assert (refused.status_code, refused.headers["location"].split("?")[0]) == (303, "/login"), path
    for path in (
        "/api/documents",
        "/api/cases",
        "/api/index",
        "/api/search?q=x",
        "/openapi.json",
        "/api/nowhere",
    ):
        refused = client.get(path)
        assert refused.status_code in {401, 303}, path
        assert "若草市" not in refused.text
    asked = client.post("/api/ask", json={"question": "窓口"})
    assert (asked.status_code, asked.json()["detail"], asked.headers["www-authenticate"]) == (
        401, "ログインが必要です。", "Bearer",
    )  # fmt: skip
    assert client.post("/feedback", data={"q": "x"}).status_code == 401
    for path in ("/healthz", "/readyz", "/login", "/admin/login", "/static/style.css"):
        assert client.get(path).status_code == 200, path
    page = client.get("/login").text
    assert "索引の版" not in page  # nothing of what there is
    assert "資料一覧" not in page


def test_signing_in_and_out_with_an_account(closed: House) -> None:
    client = closed.client()
    for name, password in (
        ("tanaka", "wrong"),
        ("nobody", PASSWORD),
        ("", ""),
        ("tanaka", ""),
        ("\x00", "x"),
    ):
        wrong = sign_in(client, name, password)
        assert wrong.status_code == 401
        assert "名前かパスワードが違います" in wrong.text
        assert PASSWORD not in wrong.text
    assert client.post("/login", data={"name": "tanaka", "password": PASSWORD}).status_code == 403
    foreign = {"Origin": "https://elsewhere.example.jp"}
    assert (
        client.post("/login", data={"name": "tanaka", "password": PASSWORD}, headers=foreign).status_code
        == 403
    )
    assert client.post("/login", content=b"\xff", headers=HERE).status_code == 401
    entered = sign_in(client, " Tanaka ", next="/documents?x=1")
    assert (entered.status_code, entered.headers["location"]) == (303, "/documents?x=1")
    cookie = entered.headers["set-cookie"]
    for part in ("dxqa_session=", "HttpOnly", "SameSite=lax", "Max-Age=43200", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie
    page = client.get("/documents")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert "tanaka" in page.text
    assert "ログアウト" in page.text
    assert client.get("/login").headers["location"] == "/"
    assert client.get("/admin").status_code == 403
    assert "管理者ではない" in client.get("/admin").text
    assert client.post("/api/index/rebuild", headers=HERE).status_code == 403
    assert client.post("/logout").status_code == 403  # not without saying where from
    assert client.get("/documents").status_code == 200
    out = client.post("/logout", headers=HERE)
    assert (out.status_code, out.headers["location"], out.headers["clear-site-data"]) == (303, "/", '"cache"')
    assert client.get("/documents").status_code == 303
    stolen = {"Cookie": cookie.split(";")[0]}
    assert closed.client().get("/documents", headers=stolen).status_code == 303


def test_over_https_the_cookie_is_for_https_only(closed: House) -> None:
    secure = closed.client(scheme="https")
    data = {"name": "tanaka", "password": PASSWORD}
    entered = secure.post("/login", data=data, headers={"Origin": "https://dx.example.jp"})
    assert "Secure" in entered.headers["set-cookie"]


def test_an_account_that_administers(closed: House) -> None:
    client = closed.client()
    sign_in(client, "chief")
    assert client.get("/admin").status_code == 200
    assert client.post("/api/index/rebuild", headers=HERE).status_code == 202
    # its cookie alone is not enough: a page elsewhere could send it along
    for headers in (
        {},
        {"Origin": "null"},
        {"Origin": "http://elsewhere.example.jp"},
        HERE | {"Sec-Fetch-Site": "cross-site"},
    ):
        assert client.post("/api/index/rebuild", headers=headers).status_code == 403
    closed.accounts.set_administrator("chief", False)
    assert client.get("/admin").status_code == 403
    closed.accounts.set_administrator("chief", True)
    closed.accounts.set_disabled("chief", True)
    assert client.get("/admin").status_code == 303
    closed.accounts.set_disabled("chief", False)


def test_programs(closed: House) -> None:
    client = closed.client()
    reader, chief = (
        {"Authorization": f"Bearer {closed.accounts.open_program(name, 1)}"} for name in ("tanaka", "chief")
    )
    assert client.get("/api/documents", headers=reader).status_code == 200
    assert client.post("/api/index/rebuild", headers=reader).status_code == 403
    assert (
        client.post("/api/index/rebuild", headers=chief).status_code == 202
    )  # no Origin: no browser does that
    assert (
        client.get("/api/documents", headers={"Authorization": "Bearer ひみつ".encode()}).status_code == 200
    )
    for wrong in ("Bearer dxqa_x", "Bearer x", "Bearer "):
        refused = client.get("/api/documents", headers={"Authorization": wrong})
        assert (refused.status_code, refused.json()["detail"]) == (
            401,
            "この合言葉（トークン）は使えません。書き間違いか、期限が切れたか、無効にされています。",
        )
    assert client.get("/api/documents", headers={"Authorization": "Basic eDp5"}).status_code == 401


def test_guessing_is_closed_whatever_it_guesses_with(closed: House) -> None:
    guesser = closed.client("10.6.6.6")
    statuses = []
    for number in range(web.gate.WRONG_MOST):
        if number % 2:
            statuses.append(
                guesser.get("/api/documents", headers={"Authorization": f"Bearer {number}"}).status_code
            )
        else:
            statuses.append(sign_in(guesser, "tanaka", f"wrong{number}").status_code)
    assert statuses == [401] * web.gate.WRONG_MOST
    assert sign_in(guesser, "tanaka").status_code == 429
    assert guesser.post("/admin/login", data={"token": "ひみつ"}, headers=HERE).status_code == 429
    assert sign_in(closed.client("10.6.6.7"), "tanaka").status_code == 303


def test_one_name_is_not_guessed_from_many_computers(closed: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed.app.state.gate, "_wrong_names", Rate(5, 600))
    for number in range(5):
        assert sign_in(closed.client(f"10.7.0.{number}"), "chief", "wrong").status_code == 401
    assert sign_in(closed.client("10.7.1.1"), "CHIEF").status_code == 429
    assert sign_in(closed.client("10.7.1.1"), "tanaka").status_code == 303


def test_strangers_who_guess_do_not_keep_the_owner_of_a_name_out(
    closed: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody signed in before, tries count for that computer alone; and what strangers tried is not forgiven for it."""
    monkeypatch.setattr(closed.app.state.gate, "_wrong_names", Rate(5, 600))
    assert sign_in(closed.client("10.7.5.1"), "chief").status_code == 303
    for number in range(5):
        assert sign_in(closed.client(f"10.7.4.{number}"), "chief", "wrong").status_code == 401
    late = sign_in(closed.client("10.7.4.9"), "chief")
    assert (late.status_code, 590 < int(late.headers["retry-after"]) <= 600) == (429, True)
    assert "間違いが続いているため、いまは確かめられません。10分ほど待ってから" in late.text
    assert sign_in(closed.client("10.7.5.1"), "chief").status_code == 303
    assert sign_in(closed.client("10.7.4.9"), "chief").status_code == 429
    for _ in range(5):
        assert sign_in(closed.client("10.7.5.1"), "chief", "wrong").status_code == 401
    assert sign_in(closed.client("10.7.5.1"), "chief").status_code == 429


def test_computers_that_are_known_are_forgotten_the_oldest_first(
    closed: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.gate, "MOST_KNOWN", 2)
    closed.app.state.gate._known.clear()
    for number in (1, 2, 1, 3):
        assert sign_in(closed.client(f"10.7.6.{number}"), "chief").status_code == 303
    assert list(closed.app.state.gate._known) == ["chief 10.7.6.1", "chief 10.7.6.3"]


def test_one_name_is_not_guessed_under_many_spellings(closed: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is the same account; counted apart, a name of n letters would have 3^n times as many tries."""
    monkeypatch.setattr(closed.app.state.gate, "_wrong_names", Rate(5, 600))
    spellings = ("chief", "ｃhief", "cｈief", "Ｃhief", "\u3000chief")
    for number, name in enumerate(spellings):
        assert sign_in(closed.client(f"10.7.2.{number}"), name, "wrong").status_code == 401
    assert sign_in(closed.client("10.7.3.1"), "ｃｈｉｅｆ").status_code == 429


def test_who_has_an_account_does_not_guess_without_end_between_his_own_sign_ins(closed: House) -> None:
    guesser = closed.client("10.6.7.6")
    for number in range(web.gate.WRONG_MOST - 1):
        assert guesser.post("/admin/login", data={"token": str(number)}, headers=HERE).status_code == 401
    assert sign_in(guesser, "tanaka").status_code == 303
    again = closed.client("10.6.7.6")  # without the cookie
    assert again.post("/admin/login", data={"token": "x"}, headers=HERE).status_code == 401
    assert again.post("/admin/login", data={"token": "x"}, headers=HERE).status_code == 429
    assert sign_in(again, "chief", "wrong").status_code == 429


def test_right_passwords_are_not_hashed_without_end(closed: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed.app.state.gate, "_right_names", Rate(2, 60))
    statuses = [sign_in(closed.client("10.6.8.6"), "tanaka").status_code for _ in range(3)]
    assert statuses == [303, 303, 429]
    assert (
        sign_in(closed.client("10.6.8.6"), "chief").status_code == 303
    )  # a right one is no wrong try of the address


@pytest.mark.parametrize(
    "address",
    [
        "//elsewhere",
        "https://elsewhere/",
        "/\\elsewhere",
        "javascript:alert(1)",
        "",
        "/\n/elsewhere",
        "/login",
        "x",
    ],
)
def test_after_a_sign_in_nobody_is_led_elsewhere(closed: House, address: str) -> None:
    assert own_path(address) == "/"
    assert sign_in(closed.client("10.8.0.1"), "tanaka", next=address).headers["location"] == "/"


def test_where_one_wanted_to_go(closed: House) -> None:
    client = closed.client()
    led = client.get("/documents/abc?start=1&end=2&q=窓口").headers["location"]
    page = client.get(led).text
    wanted = re.search(r'name="next" value="([^"]*)"', page)
    assert wanted
    assert sign_in(client, "tanaka", next=wanted[1].replace("&amp;", "&")).headers["location"] == (
        "/documents/abc?start=1&end=2&q=%E7%AA%93%E5%8F%A3"
    )


# ---------------------------------------------------------------- this computer, and proxies


def test_who_administers_without_a_token_and_without_accounts(tmp_path: Path) -> None:
    house = House(tmp_path, entry=Entry(proxies=Proxies("192.0.2.0/24")))
    here = {"Host": "localhost"}
    assert house.client("127.0.0.1").get("/admin", headers=here).status_code == 200
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"):
        # a proxy on this computer passes on what comes from elsewhere
        refused = house.client("127.0.0.1").get("/admin", headers=here | {header: "10.0.0.7"})
        assert refused.status_code == 403, header
    for client, forwarded in (("10.0.0.7", "127.0.0.1"), (PROXY, "127.0.0.1"), (PROXY, "10.0.0.7")):
        refused = house.client(client).get("/admin", headers=here | {"X-Forwarded-For": forwarded})
        assert refused.status_code == 403
    house.accounts.add("chief", PASSWORD, administrator=True)
    led = house.client("127.0.0.1").get("/admin", headers=here)
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=%2Fadmin")
    assert house.client("127.0.0.1").post("/api/index/rebuild", headers=here).status_code == 401


def test_addresses_that_a_proxy_tells(tmp_path: Path) -> None:
    house = House(tmp_path, entry=Entry(proxies=Proxies(f"127.0.0.1, {PROXY}")), admin_token="ひみつ")

    def guess(peer: str, forwarded: str) -> int:
        headers = {"Authorization": "Bearer x", "X-Forwarded-For": forwarded}
        status: int = house.client(peer).get("/api/uploads", headers=headers).status_code
        return status

    assert {guess(PROXY, "10.1.0.1") for _ in range(20)} == {401}
    assert [guess(PROXY, "10.1.0.1"), guess(PROXY, "10.1.0.1")] == [401, 429]  # one more is looked at
    assert guess(PROXY, "10.1.0.2") == 401
    # one who is no proxy cannot be another one
    assert {guess("10.9.0.1", f"10.2.0.{number}") for number in range(20)} == {401}
    assert 429 in {guess("10.9.0.1", "10.3.0.1") for _ in range(2)}
    # what a client wrote before the proxy's own entry is not believed
    assert 429 in {guess(PROXY, "10.250.0.1, 10.1.0.1") for _ in range(2)}


@pytest.mark.parametrize("wrong", ["proxy.example.jp", "*", "10.0.0.0/33", "127.0.0.1:80"])
def test_what_is_no_proxy(wrong: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        Proxies(wrong)


# ---------------------------------------------------------------- single sign-on


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> House:
    proxies = Proxies(PROXY)
    sign_on = SignOn(proxies, "x-remote-user", "x-remote-groups", frozenset({"dx推進課"}))
    return House(
        tmp_path_factory.mktemp("proxied"), entry=Entry(closed=True, proxies=proxies, sign_on=sign_on)
    )


def named(user: str, groups: str | None = None) -> dict[str, Any]:
    headers = {"X-Remote-User": user.encode(), "X-Forwarded-For": "10.0.0.7", "X-Forwarded-Proto": "https"}
    return headers | ({} if groups is None else {"X-Remote-Groups": groups.encode()})


def test_the_proxy_says_who_asks(proxied: House) -> None:
    client = proxied.client(PROXY)
    page = client.get("/documents", headers=named("田中 太郎", "人事課, 総務課"))
    assert (page.status_code, "田中 太郎" in page.text, "ログアウト" in page.text) == (200, True, False)
    assert client.get("/documents", headers=named("tanaka")).status_code == 200
    assert client.get("/admin", headers=named("tanaka", "人事課")).status_code == 403
    assert client.get("/admin", headers=named("tanaka", "人事課;ＤＸ推進課")).status_code == 200
    change = named("tanaka", "DX推進課")
    assert client.post("/api/index/rebuild", headers=change).status_code == 403  # from which page?
    assert (
        client.post("/api/index/rebuild", headers=change | {"Origin": "https://dx.example.jp"}).status_code
        == 202
    )


def test_nobody_else_says_who_asks(proxied: House) -> None:
    for address in ("10.0.0.7", "127.0.0.1", "192.0.2.11", "testclient"):
        for headers in (
            named("chief", "dx推進課"),
            {"X-Remote-Groups": "dx推進課".encode()},
            {"x-REMOTE-user": ""},
        ):
            refused = proxied.client(address).get("/admin", headers=headers | {"Host": "localhost"})
            assert refused.status_code == 403, (address, headers)
            assert "リバースプロキシ" in refused.text
            assert proxied.client(address).get("/api/documents", headers=headers).status_code == 403
        assert proxied.client(address).get("/documents").status_code == 303
        assert proxied.client(address).get("/healthz").status_code == 200


def test_what_the_proxy_must_not_say(proxied: House) -> None:
    client = proxied.client(PROXY)
    twice = [("X-Remote-User", "chief"), ("X-Remote-User", "tanaka"), ("X-Remote-Groups", "x")]
    assert client.get("/documents", headers=twice).status_code == 403
    groups = [("X-Remote-User", "a"), ("X-Remote-Groups", "x"), ("X-Remote-Groups", "dx推進課".encode())]
    assert client.get("/admin", headers=groups).status_code == 403
    scope = {"type": "http", "headers": [(b"x-remote-user", b"\xff\xfe")], "client": (PROXY, 1)}
    with pytest.raises(HTTPException) as unreadable:  # httpx would write it as UTF-8
        SignOn(Proxies(PROXY), "x-remote-user").person(Request(scope))
    assert unreadable.value.status_code == 403
    assert client.get("/documents", headers={"X-Remote-User": "x" * 5000}).status_code == 403
    assert client.get("/documents", headers={"X-Remote-User": ""}).status_code == 303  # known to nobody
    assert client.get("/documents").status_code == 303
    odd = client.get("/documents", headers=named("<script>alert(1)</script>", "<b>,人事課"))
    assert (odd.status_code, "<script>alert" in odd.text) == (200, False)


# ---------------------------------------------------------------- how much one asks


def test_one_who_asks_too_much(tmp_path: Path) -> None:
    house = House(tmp_path, entry=Entry(questions_a_minute=3, proxies=Proxies(PROXY)), admin_token="ひみつ")
    house.accounts.add("tanaka", PASSWORD)

    def asks(host: str, times: int, **headers: Any) -> list[int]:
        client = house.client(host)
        return [client.get("/api/search?q=窓口", headers=headers).status_code for _ in range(times)]

    assert asks("10.0.0.1", 4) == [200, 200, 200, 429]
    page = house.client("10.0.0.1").get("/?q=窓口")
    assert (page.status_code, int(page.headers["retry-after"]) in range(1, 61)) == (429, True)
    assert "もう一度お試しください" in page.text
    assert house.client("10.0.0.1").get("/").status_code == 200  # nothing is asked
    assert house.client("10.0.0.1").get("/documents").status_code == 200
    assert asks("10.0.0.2", 1) == [200]
    assert asks("2001:db8::1", 3) + asks("2001:db8::2", 1) == [200, 200, 200, 429]  # one network
    assert asks(PROXY, 4, **{"X-Forwarded-For": "10.0.0.3"}) == [200, 200, 200, 429]
    assert asks(PROXY, 1, **{"X-Forwarded-For": "10.0.0.4"}) == [200]
    program = {"Authorization": f"Bearer {house.accounts.open_program('tanaka', 1)}"}
    assert asks("10.0.0.1", 2, **program) + asks("10.0.0.9", 2, **program) == [200, 200, 200, 429]
    # the administrator and this computer are not counted; whoever says that he comes through a proxy is
    assert asks("10.0.0.1", 5, Authorization="Bearer ひみつ".encode()) == [200] * 5
    assert asks("127.0.0.1", 5, Host="localhost") == [200] * 5
    forwarded = [asks("10.0.0.5", 1, **{"X-Forwarded-For": f"10.0.0.{n}"}) for n in range(4)]
    assert forwarded == [[200], [200], [200], [429]]


def test_a_question_that_is_taken_to_a_document_is_one(tmp_path: Path) -> None:
    """The page of a document answers it too, to show its passages."""
    client = House(tmp_path, entry=Entry(questions_a_minute=2)).client()
    page = f"/documents/{client.get('/api/documents').json()['documents'][0]['id']}"
    assert [client.get(f"{page}?q=窓口{n}").status_code for n in range(3)] == [200, 200, 429]
    assert client.get(f"{page}?start=0&end=5").status_code == 200  # nothing is asked


def test_counting_survives_a_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    rate, jump = Rate(2, 60), 0.0
    now = web.rates.time.time
    monkeypatch.setattr(web.rates.time, "time", lambda: now() + jump)
    assert [rate.hit("a") for _ in range(3)] == [True, True, False]
    assert rate.used("a") == 2
    jump = -365 * 86400.0
    assert rate.hit("a")  # not closed for a year
    jump = 0.0
    assert rate.is_open("a")
    rate.clear("a")
    assert rate.used("a") == 0


def test_keys_that_nothing_counts_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    rate, later = Rate(2, 60), 0.0
    for clock in ("time", "monotonic"):
        now = getattr(web.rates.time, clock)
        monkeypatch.setattr(web.rates.time, clock, lambda now=now: now() + later)
    for number in range(1000):
        assert rate.hit(f"guessed {number}")
    later = 40.0
    assert rate.hit("still there")
    later = 61.0
    assert rate.is_open("another")
    assert [key for key in rate._storage.events if "still there" not in key] == []
    assert rate.used("still there") == 1


def test_a_place_is_kept_while_it_is_not_known_whether_one_counts() -> None:
    rate = Rate(2, 60)
    assert [rate.begin("a"), rate.begin("a"), rate.begin("a"), rate.begin("b")] == [True, True, False, True]
    rate.end("a", counts=False)
    assert (rate.used("a"), rate.is_open("a")) == (0, True)
    rate.end("a", counts=True)
    assert [rate.begin("a"), rate.begin("a")] == [True, False]
    assert rate.used("a") == 1


def test_only_who_may_administer_is_led_to_administration(closed: House) -> None:
    link = 'href="/admin"'
    reader, chief = closed.client("10.9.9.1"), closed.client("10.9.9.2")
    for client, name, led in ((reader, "tanaka", False), (chief, "chief", True)):
        assert sign_in(client, name).status_code == 303
        assert (link in client.get("/").text) == led
