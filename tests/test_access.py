"""Accounts, passwords, secrets and labels, as the command line makes them and as they are recognised."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import database
from access import __main__ as command_line
from access import people
from access.accounts import BROWSER_S, DAY_S, MAX_SECRETS, PROGRAM_MARK, Accounts, NoAccountError, TakenError
from access.file import AccessFile
from access.labels import FRESH_S, Labels, Table, WrongPathError, label_path, matching
from access.passwords import WeakPasswordError, checked, hashed, is_right
from access.people import (
    ANYBODY,
    Person,
    WrongNameError,
    account_key,
    group_key,
    group_keys,
    group_name,
    group_names,
)
from database import DatabaseUnavailableError

PASSWORD, OTHER = "かえるの池に三つの石がある", "みずうみの底にある青い鍵"


class Clock:
    """Seconds that a test moves."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> AccessFile:
    return AccessFile(tmp_path / "access.sqlite3")


@pytest.fixture
def accounts(file: AccessFile, clock: Clock) -> Accounts:
    return Accounts(file, clock)


# ---------------------------------------------------------------- passwords and names


@pytest.mark.parametrize(
    ("password", "account"),
    [
        ("short", "tanaka"),
        ("aaaaaaaaaaaaaaaa", "tanaka"),
        ("1234567890123456", "tanaka"),
        ("password123456", "tanaka"),
        ("tanakatanaka12", "tanaka"),
        ("qwertyuiop123456", "tanaka"),
        ("改行\nのある長いパスワード文字列", "tanaka"),
        ("x" * 201, "tanaka"),
    ],
)
def test_weak_passwords(password: str, account: str) -> None:
    with pytest.raises(WeakPasswordError):
        checked(password, account)


@pytest.mark.parametrize("password", [PASSWORD, OTHER, "correct horse battery", "gK7-pq2_Zx9Lw4"])
def test_passwords_that_will_do(password: str) -> None:
    assert checked(password, "tanaka") == password


def test_a_password_is_kept_as_argon2id_and_compared_with_it() -> None:
    kept = hashed(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in kept
    assert hashed(PASSWORD) != kept  # salted
    assert is_right(kept, PASSWORD)
    for wrong in (PASSWORD + "。", PASSWORD[:-1], "", "\ud800" * 12):
        assert not is_right(kept, wrong)
    assert not is_right(None, PASSWORD)
    assert not is_right("not a hash", PASSWORD)


def test_names_in_one_form() -> None:
    assert account_key(" Ｔａｎａｋａ ") == "tanaka"
    assert group_key("ＤＸ推進課") == "dx推進課"
    assert group_key("Domain  Users") == "domain users"
    assert group_keys(["人事課", "", " ", "人事課"]) == {"人事課"}
    assert group_name(" ＤＸ  推進課") == "DX 推進課"
    assert group_names(["dx", "ＤＸ", "", "総務課"]) == {"dx": "dx", "総務課": "総務課"}
    for wrong in ("", " ", "a" * 65, "a b", "a,b", "a/b", "a\x00b", "\u202etanaka", "a:b", "\ud800"):
        with pytest.raises(WrongNameError):
            account_key(wrong)


@given(st.text(max_size=80))
def test_a_key_is_its_own_key(text: str) -> None:
    for key in (account_key, group_key):
        try:
            made = key(text)
        except WrongNameError:
            continue
        assert key(made) == made


# ---------------------------------------------------------------- accounts


def test_a_name_without_end_is_refused_before_it_is_brought_into_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sign-in may send a quarter of a megabyte, of letters that become eighteen each."""
    looked_at: list[int] = []
    normalize = people.unicodedata.normalize
    monkeypatch.setattr(
        people.unicodedata,
        "normalize",
        lambda form, text: looked_at.append(len(text)) or normalize(form, text),
    )
    for name in ("\ufdfa" * 80_000, " " * 250_000):
        with pytest.raises(WrongNameError):
            account_key(name)
    assert looked_at == []
    assert account_key(f"  tanaka{' ' * 900}") == "tanaka"


def test_nothing_is_made_by_looking(accounts: Accounts, file: AccessFile) -> None:
    assert accounts.all() == []
    assert not accounts.has_administrator()
    assert accounts.recognised("x", "browser") is None
    assert accounts.sign_in("tanaka", PASSWORD) is None
    accounts.end("x")
    assert Labels(file).table() == Table({})
    assert not file.path.exists()


def test_an_account_from_beginning_to_end(accounts: Accounts, clock: Clock, file: AccessFile) -> None:
    assert accounts.add("Tanaka", PASSWORD, groups=["人事課", "ＤＸ推進課"]) == "tanaka"
    with pytest.raises(TakenError):
        accounts.add("ＴＡＮＡＫＡ", OTHER)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD.encode() not in file.path.read_bytes()
    for name, password in (
        ("tanaka", OTHER),
        ("suzuki", PASSWORD),
        ("", PASSWORD),
        ("a b", ""),
        ("tanaka", ""),
    ):
        assert accounts.sign_in(name, password) is None
    secret = accounts.sign_in(" TANAKA", PASSWORD)
    assert secret is not None
    assert len(secret) == 43  # 256 bits
    assert accounts.recognised(secret, "browser") == Person("tanaka", frozenset({"人事課", "dx推進課"}))
    assert accounts.recognised(secret, "program") is None
    assert accounts.recognised(secret + "x", "browser") is None
    with sqlite3.connect(file.path) as connection:
        dump = "\n".join(connection.iterdump())
    assert secret not in dump
    accounts.set_groups("tanaka", ["総務課"])
    accounts.set_administrator("tanaka", True)
    assert accounts.recognised(secret, "browser") == Person("tanaka", frozenset({"総務課"}), True)
    clock.now += BROWSER_S - 1
    assert accounts.recognised(secret, "browser") is not None
    clock.now += 1
    assert accounts.recognised(secret, "browser") is None


def test_what_ends_a_sign_in(accounts: Accounts, clock: Clock) -> None:
    accounts.add("tanaka", PASSWORD)

    def signed_in() -> str:
        secret = accounts.sign_in("tanaka", PASSWORD)
        assert secret is not None
        return secret

    first, second = signed_in(), signed_in()
    program = accounts.open_program("tanaka", 30, "集計")
    assert program.startswith(PROGRAM_MARK)
    accounts.end(first)
    assert [accounts.recognised(secret, "browser") is not None for secret in (first, second)] == [False, True]
    accounts.set_password("tanaka", OTHER)
    assert accounts.recognised(second, "browser") is None
    assert accounts.recognised(program, "program") is not None  # programs do not know the password
    assert accounts.sign_in("tanaka", PASSWORD) is None
    third = accounts.sign_in("tanaka", OTHER)
    assert third is not None
    accounts.set_disabled("tanaka", True)
    assert accounts.recognised(third, "browser") is None
    assert accounts.recognised(program, "program") is None
    assert accounts.sign_in("tanaka", OTHER) is None
    with pytest.raises(NoAccountError):
        accounts.open_program("tanaka", 30)
    accounts.set_disabled("tanaka", False)
    assert accounts.recognised(third, "browser") is None  # it is over, not suspended
    fourth = accounts.sign_in("tanaka", OTHER)
    accounts.remove("tanaka")
    assert accounts.recognised(fourth or "", "browser") is None
    for change in (accounts.remove, lambda name: accounts.set_groups(name, [])):
        with pytest.raises(NoAccountError):
            change("tanaka")


def test_a_clock_that_jumps(accounts: Accounts, clock: Clock) -> None:
    accounts.add("tanaka", PASSWORD)
    secret = accounts.sign_in("tanaka", PASSWORD)
    assert secret is not None
    clock.now -= 3600
    assert accounts.recognised(secret, "browser") is not None  # an hour back, nobody is thrown out
    clock.now -= 365 * DAY_S
    assert accounts.recognised(secret, "browser") is None  # and it is not good for a year longer
    again = accounts.sign_in("tanaka", PASSWORD)
    assert accounts.recognised(again or "", "browser") is not None


def test_programs(accounts: Accounts, clock: Clock) -> None:
    accounts.add("tanaka", PASSWORD, groups=["人事課"])
    first, second = (
        accounts.open_program("tanaka", days, note) for days, note in ((1, "一日"), (30, "集計"))
    )
    assert [(p.account, p.note) for p in accounts.programs()] == [("tanaka", "一日"), ("tanaka", "集計")]
    assert accounts.recognised(first, "browser") is None
    clock.now += DAY_S
    assert accounts.recognised(first, "program") is None
    assert accounts.recognised(second, "program") == Person("tanaka", frozenset({"人事課"}))
    (left,) = accounts.programs()
    assert not accounts.end_program("00000000")
    assert accounts.end_program(left.mark)
    assert accounts.recognised(second, "program") is None


def test_sign_ins_do_not_pile_up(accounts: Accounts, clock: Clock, file: AccessFile) -> None:
    accounts.add("tanaka", PASSWORD)
    row, kept = 1, ""
    with file.reading() as connection:
        row, kept = connection.execute("SELECT id, password FROM accounts").fetchone()
    made = []
    for _ in range(MAX_SECRETS + 3):
        clock.now += 1
        made.append(accounts._open(row, kept, "browser", BROWSER_S, "") or "")
    good = [accounts.recognised(secret, "browser") is not None for secret in made]
    assert good == [False] * 3 + [True] * MAX_SECRETS


def test_a_sign_in_that_crosses_a_lock_out_gets_nothing(accounts: Accounts, file: AccessFile) -> None:
    accounts.add("tanaka", PASSWORD)
    with file.reading() as connection:
        row, kept = connection.execute("SELECT id, password FROM accounts").fetchone()
    accounts.set_disabled("tanaka", True)  # while the password was being compared
    assert accounts._open(row, kept, "browser", BROWSER_S, "") is None


def test_many_at_once(accounts: Accounts) -> None:
    accounts.add("tanaka", PASSWORD)
    secrets: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: secrets.append(accounts.sign_in("tanaka", PASSWORD)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*secrets} - {None}) == 6


# ---------------------------------------------------------------- labels


def test_groups_are_told_apart_by_their_keys_and_shown_as_they_are_spelt(file: AccessFile) -> None:
    accounts, labels = Accounts(file), Labels(file)
    accounts.add("tanaka", PASSWORD, groups=["ＤＸ推進課", "dx推進課", "IT係"])
    assert accounts.all()[0].groups == ("DX推進課", "IT係")
    labels.set("計画", ["dx推進課", "It係"])
    labels.set("計画/案", ["DX推進課"])
    table = labels.table()
    secret = accounts.sign_in("tanaka", PASSWORD)
    person = accounts.recognised(secret or "", "browser")
    assert person == Person("tanaka", frozenset({"dx推進課", "it係"}))
    assert person.may_see(table.of("計画/案/一.txt"))
    assert table.words(table.of("計画/案/一.txt")) == "DX推進課"
    assert table.words(table.of("計画/一.txt")) == "DX推進課・It係"
    assert (table.words(None), table.words(frozenset())) == ("", "管理者だけ")


def test_the_nearest_label_counts() -> None:
    table = Table(
        {
            "人事": frozenset({"人事課"}),
            "人事/公開/案内.txt": frozenset({"人事課", "総務課"}),
            "人事/給与": frozenset(),
        }
    )
    assert table.of("窓口.txt") is None
    assert table.of("人事課の案内.txt") is None  # a name that begins alike is no folder
    assert table.of("人事/評価.txt") == {"人事課"}
    assert table.of("人事/公開/案内.txt") == {"人事課", "総務課"}
    assert table.of("人事/公開/他.txt") == {"人事課"}
    assert table.of("人事/給与/表.xlsx") == frozenset()
    assert Table({".": frozenset({"職員"})}).of("何か.txt") == {"職員"}
    # some systems keep 「が」 as two characters
    assert Table({"かがみ": frozenset({"a"})}).of("か\u304b\u3099み/x.txt") == {"a"}
    assert table.groups == {"人事課", "総務課"}


def test_who_may_see() -> None:
    worker, chief = Person("t", frozenset({"人事課"})), Person("c", administrator=True)
    for label, seen in (
        (None, (True, True, True)),
        (frozenset({"人事課"}), (False, True, True)),
        (frozenset({"総務課"}), (False, False, True)),
        (frozenset(), (False, False, True)),
    ):
        assert tuple(who.may_see(label) for who in (ANYBODY, worker, chief)) == seen


def test_labels_are_kept_and_seen_by_others_within_a_second(file: AccessFile) -> None:
    clock = Clock(0.0)
    here, there = Labels(file, clock), Labels(file, clock)
    assert not there.table()
    here.set("./人事/", ["人事課"])
    assert here.table().labels == {"人事": {"人事課"}}  # at once where it was set
    clock.now += FRESH_S
    assert there.table().of("人事/x.txt") == {"人事課"}
    unchanged = there.table()
    clock.now += FRESH_S
    assert there.table() is unchanged  # what is made of it need not be made anew
    here.set("人事", [])
    assert here.table().of("人事/x.txt") == frozenset()
    assert here.remove("人事")
    assert not here.remove("人事")
    assert here.table().of("人事/x.txt") is None


def test_what_no_label_can_be_over(file: AccessFile) -> None:
    for wrong in ("", " ", "/etc", "../x", "a/../../x", "a\x00b", "x" * 1001, "\ud800"):
        with pytest.raises(WrongPathError):
            label_path(wrong)
    assert [label_path(path) for path in ("a/b/", "./a", "a//b", ".")] == ["a/b", "a", "a/b", "."]
    assert matching("人事", ["人事/a.txt", "人事", "人事b/a.txt", "x/人事/a.txt"]) == ["人事/a.txt", "人事"]
    with pytest.raises(WrongNameError):
        Labels(file).set("人事", ["a|b"])
    assert not file.path.exists()


def test_a_file_that_was_cut_to_nothing_is_not_taken_for_a_new_one(
    file: AccessFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_MADE_S", 0.02)
    labels, accounts = Labels(file), Accounts(file)
    labels.set("人事", ["人事課"])
    accounts.add("tanaka", PASSWORD)
    file.path.write_bytes(b"")
    for look in (
        Labels(file).table,  # of a server that starts now
        labels.table,
        accounts.all,
        accounts.has_administrator,
        lambda: accounts.end("x"),  # of whoever signs out, known or not
        lambda: accounts.add("suzuki", PASSWORD),
    ):
        with pytest.raises(DatabaseUnavailableError) as emptied:
            look()
        assert ("空" in str(emptied.value), emptied.value.kind) == (True, "damaged")
    assert file.path.stat().st_size == 0


def test_labels_that_cannot_be_read_are_not_as_none(file: AccessFile) -> None:
    clock = Clock(0.0)
    labels = Labels(file, clock)
    labels.set("人事", ["人事課"])
    labels.table()
    clock.now += FRESH_S
    for path in file._paths():
        path.unlink(missing_ok=True)
    with pytest.raises(DatabaseUnavailableError) as gone:
        labels.table()
    assert "見つかりません" in str(gone.value)
    file.path.write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(DatabaseUnavailableError) as damaged:
        labels.table()
    assert "控え" in str(damaged.value)


# ---------------------------------------------------------------- the command line


def run(folder: Path, *words: str, given: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "access", "--access", str(folder / "access.sqlite3"), *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[1],
        env=os.environ | {"DXQA_DOCUMENTS": str(folder / "documents")},
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "documents" / "人事").mkdir(parents=True)
    (tmp_path / "documents" / "人事" / "評価.txt").write_text("x")
    assert run(tmp_path, "list")[:2] == (
        0,
        "アカウントはまだありません。「python -m access add 名前」で作れます。\n",
    )
    assert run(tmp_path, "add", "田中", "--groups", "人事課", "--stdin", given=PASSWORD + "\n")[0] == 0
    assert "田中\t利用者\t所属：人事課" in run(tmp_path, "list")[1]
    accounts = Accounts(AccessFile(tmp_path / "access.sqlite3"))
    assert accounts.sign_in("田中", PASSWORD)
    status, said, _ = run(tmp_path, "add", "係長", "--administrator", "--generate")
    made = said.split("パスワード：")[1].split("\n")[0]
    assert (status, bool(accounts.sign_in("係長", made)), accounts.has_administrator()) == (0, True, True)
    status, secret, _ = run(tmp_path, "token", "田中", "--days", "2", "--note", "集計")
    assert (status, accounts.recognised(secret.strip(), "program")) == (
        0,
        Person("田中", frozenset({"人事課"})),
    )
    assert "集計" in run(tmp_path, "tokens")[1]
    status, said, _ = run(tmp_path, "label", "人事", "人事課")
    assert (status, "資料：1件（人事/評価.txt）" in said) == (0, True)
    status, _, warned = run(tmp_path, "label", "人時", "人事課")
    assert (status, "当てはまる資料はありません" in warned) == (0, True)
    assert "人事\t人事課\t資料 1件" in run(tmp_path, "labels")[1]


def test_the_command_line_in_this_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*words: str) -> tuple[int, str]:
        status = command_line.main(["--access", str(tmp_path / "access.sqlite3"), *words])
        out = capsys.readouterr()
        return status, out.out + out.err

    assert said("add", "tanaka") == (
        2,
        "パスワードを入力する端末がありません。--stdin か --generate を付けてください。\n",
    )
    typed = iter([PASSWORD, OTHER, PASSWORD, PASSWORD])
    monkeypatch.setattr(command_line.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(command_line.getpass, "getpass", lambda _: next(typed))
    assert said("add", "tanaka") == (2, "二つのパスワードが違います。もう一度やり直してください。\n")
    assert said("add", "tanaka")[0] == 0
    for words, status, part in (
        (("add", "tanaka", "--generate"), 2, "すでにあります"),
        (("add", "a/b", "--generate"), 2, "使えない文字"),
        (("password", "nobody", "--generate"), 2, "ありません"),
        (("password", "tanaka", "--generate"), 0, "パスワード："),
        (("groups", "tanaka", "人事課,総務課"), 0, "所属を変えました"),
        (("administrator", "tanaka", "on"), 0, "管理者にしました"),
        (("list",), 0, "管理者"),
        (("list",), 0, "年"),
        (("disable", "tanaka"), 0, "ほかにありません"),
        (("list",), 0, "停止中"),
        (("token", "tanaka"), 2, "使えません"),
        (("enable", "tanaka"), 0, "使えるように"),
        (("token", "tanaka"), 0, "365日間"),
        (("password", "tanaka", "--generate"), 0, "プログラムの合言葉1件は、そのまま使えます"),
        (("revoke", "00000000"), 2, "ありません"),
        (("label", "../x", "a"), 2, "指定できません"),
        (("unlabel", "x"), 2, "範囲の指定はありません"),
        (("label", "x", ""), 0, "管理者だけ"),
        (("unlabel", "x"), 0, "限らずに示す"),
        (("remove", "tanaka"), 0, "消しました"),
        (("remove", "tanaka"), 2, "ありません"),
    ):
        found = said(*words)
        assert (found[0], part in found[1]) == (status, True), (words, found)
    (tmp_path / "access.sqlite3").write_bytes(b"x" * 5000)
    found = said("list")
    assert (found[0], "控え" in found[1]) == (1, True)
    for wrong in (["nothing"], ["token", "tanaka", "--days", "0"]):
        with pytest.raises(SystemExit) as ended:
            said(*wrong)
        assert ended.value.code == 2


def test_root_makes_no_file_that_the_server_could_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder = tmp_path / "var"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    words = ["--access", str(folder / "access.sqlite3"), "list"]
    assert command_line.main(words) == 2
    assert "runuser -u nobody" in capsys.readouterr().err
    assert list(folder.iterdir()) == []
    os.chown(folder, 12345, 12345)  # of an account that is gone
    assert command_line.main(words) == 2
    os.chown(folder, 0, 0)
    assert command_line.main(words) == 0
