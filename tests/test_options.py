"""The parser of all command lines: what argparse says of wrong use, in Japanese, on the Python that runs."""

from __future__ import annotations

import argparse
import re

import pytest

from options import Parser, setting, whole


def parser() -> Parser:
    made = Parser(prog="試し", description="説明です。")
    commands = made.add_subparsers(dest="command", required=True, metavar="操作")
    add = commands.add_parser("add")
    add.add_argument("name", metavar="名前")
    add.add_argument("--form", choices=("text", "json"))
    add.add_argument("--days", type=whole(1, 30, "日数"), default="7")
    add.add_argument("--quiet", action="store_true")
    one = add.add_mutually_exclusive_group(required=True)
    one.add_argument("--here", action="store_true")
    one.add_argument("--there", action="store_true")
    return made


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "操作 を指定してください"),
        ("lose", "操作 に 'lose' は使えません。使えるもの：add"),
        ("add --here", "名前 を指定してください"),
        ("add a", "--here --there のどれか一つを指定してください"),
        ("add a --here --there", "--there と --here は一緒に使えません"),
        ("add a --here --form", "--form の後に値がありません"),
        ("add a --here --form xml", "--form に 'xml' は使えません。使えるもの：text, json"),
        ("add a --here --quiet=3", "--quiet に値は付けられません：'3'"),
        ("add a --here --days 31", "--days：1から30までの日数で指定してください：31"),
        ("add a --here --days x", "--days：1から30までの日数で指定してください：x"),
        ("add a --here --fo text", "--fo text は使えません"),
    ],
)
def test_wrong_use_is_one_japanese_sentence(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words.split())
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    # some versions of Python put choices into quotation marks
    told = re.sub(r"(?<=使えるもの：).*(?=）)", lambda found: found[0].replace("'", ""), err)
    assert told == f"指定が正しくありません（{said}）。--help で使い方を確かめてください。\n"


@pytest.mark.parametrize("words", [["--help"], ["add", "-h"]])
def test_help_has_no_english_but_names(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert told.startswith("使い方: 試し")
    assert set(re.findall(r"[A-Za-z]{2,}", told)) <= {
        "add", "form", "text", "json", "days", "DAYS", "quiet", "here", "there", "help"
    }  # fmt: skip


def test_a_right_use_is_parsed() -> None:
    given = parser().parse_args(["add", "田中", "--here", "--form", "json"])
    assert (given.name, given.form, given.days, given.here) == ("田中", "json", 7, True)


def test_a_setting_stands_for_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXQA_SOMETHING", "値")
    assert setting("SOMETHING", "既定") == "値"
    monkeypatch.setenv("DXQA_SOMETHING", "")
    assert setting("SOMETHING", "既定") == "既定"


@pytest.mark.parametrize("text", ["-1", "1.5", "", "٣x", "99999999999999999999"])
def test_what_is_no_number_in_between_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="0から10までの数で"):
        whole(0, 10, "数")(text)
