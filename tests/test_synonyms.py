"""The table of synonyms: what it adds to a question, and what a mistake in the file says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options import HOME
from qa.synonyms import MOST_GROUPS, Synonyms, SynonymsError, SynonymsFile

TABLE = Synonyms.parse(
    "# 見本\n書かない窓口,窓口DX,ワンストップ窓口\n\nテレワーク,在宅勤務\n窓口,カウンター\n"
)


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("窓口DXの事例", ["書かない窓口", "ワンストップ窓口"]),  # and not 窓口, which is inside it
        ("窓口の混雑", ["カウンター"]),
        ("ＷＩＮＤＯＷと窓口ＤＸ", ["書かない窓口", "ワンストップ窓口"]),
        ("窓口DXと窓口", ["書かない窓口", "ワンストップ窓口", "カウンター"]),
        ("書かない窓口は窓口DXですか", ["ワンストップ窓口"]),  # what it says already is not added
        ("テレワークと窓口", ["在宅勤務", "カウンター"]),
        ("予算", []),
        ("", []),
    ],
)
def test_words_of_the_same_meaning(text: str, others: list[str]) -> None:
    assert list(TABLE.others(text)) == [word.lower() for word in others]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("窓口,カウンター\n受付,窓口", "2行目：「窓口」は1行目にもあります"),
        ("窓口", "1行目：「窓口」だけでは同義語になりません"),
        ("窓口,窓口", "1行目：「窓口」だけでは"),
        ("窓口,窓", "「窓」は短すぎます"),
        ("ＤＸ,デジタル変革\ndx,電子化", "「dx」は1行目にもあります"),  # one word in two widths
        ("\n".join(f"語{i}い,語{i}ろ" for i in range(MOST_GROUPS + 1)), "行が多すぎます"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(SynonymsError, match=said):
        Synonyms.parse(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_files_as_they_are_saved(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "表.csv"
    file.write_bytes("書かない窓口,総合窓口\r\n".encode(encoding))
    assert Synonyms.load(file).groups == (("書かない窓口", "総合窓口"),)


def test_no_file_and_an_empty_one_are_no_synonyms(tmp_path: Path) -> None:
    assert Synonyms.load(tmp_path / "none.csv") == Synonyms()
    (tmp_path / "empty.csv").write_bytes(b" \r\n")
    assert Synonyms.load(tmp_path / "empty.csv") == Synonyms()


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "表.csv"
    file.write_bytes(b"PK\x03\x04\x00")
    with pytest.raises(SynonymsError, match=r"表\.csv"):
        Synonyms.load(file)


def test_an_edited_file_is_read_again_and_a_mistake_keeps_the_last_good_table(tmp_path: Path) -> None:
    file = tmp_path / "表.csv"
    file.write_text("窓口,カウンター\n", encoding="utf-8")
    held = SynonymsFile(file)
    assert held.get().others("窓口") == ["カウンター"]
    edit(file, "窓口,受付\n", 1)
    assert held.get().others("窓口") == ["受付"]
    edit(file, "窓口\n", 2)
    assert held.get().others("窓口") == ["受付"]
    assert held.problem is not None
    assert "1行目" in held.problem
    edit(file, "窓口,フロント\n", 3)
    assert (held.get().others("窓口"), held.problem) == (["フロント"], None)
    file.unlink()
    assert held.get() == Synonyms()


def edit(file: Path, text: str, seconds: int) -> None:
    file.write_text(text, encoding="utf-8")
    os.utime(file, (10**9 + seconds, 10**9 + seconds))


def test_the_table_that_ships_is_good() -> None:
    assert len(Synonyms.load(HOME / "synonyms.csv").groups) >= 5


@given(st.text(max_size=60))
def test_any_question(text: str) -> None:
    others = TABLE.others(text)
    assert len(others) == len(set(others))
