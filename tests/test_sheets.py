"""Files for a spreadsheet: what was put in is what the spreadsheet shows, and nothing in it is a formula."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path
from shutil import which

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from qa.masking import cleaned
from web.sheets import CSV, attachment, csv_file, guarded, workbook

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "＠x", " =1", "　=cmd|' /C calc'!A0", "-"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_looks_like_a_formula_gets_a_guard(text: str) -> None:
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("value", ["窓口", "", "1-2", "a=b", "'=1", 5, -5, 1.5, None])
def test_everything_else_stays(value: str | float | None) -> None:
    assert guarded(value) == value


@given(st.lists(st.tuples(TEXT, st.integers(), TEXT), max_size=5))
def test_csv_there_and_back(rows: list[tuple[str, int, str]]) -> None:
    made = csv_file(("甲", "乙", "丙"), rows)
    assert made.startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(io.StringIO(made.decode("utf-8-sig"), newline="")))
    assert read == [["甲", "乙", "丙"], *[[str(guarded(cell)) for cell in row] for row in rows]]
    for row in read[1:]:
        for cell in (row[0], row[2]):
            assert not cell.lstrip(" \u3000").startswith(("=", "+", "-", "@", "\t", "\r"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(TEXT, st.none() | st.integers(-(2**40), 2**40)), min_size=1, max_size=5))
def test_a_workbook_there_and_back(rows: list[tuple[str, int | None]]) -> None:
    book = load_workbook(io.BytesIO(workbook({"一つ目": (("言葉", "数"), rows), "二つ目": (("空",), [])})))
    assert book.sheetnames == ["一つ目", "二つ目"]
    sheet = book["一つ目"]
    assert [cell.value for cell in sheet[1]] == ["言葉", "数"]
    assert sheet.freeze_panes == "A2"
    for shown, (text, number) in zip(sheet.iter_rows(min_row=2), rows, strict=True):
        assert shown[0].data_type != "f"
        assert (shown[0].value or "").replace("\r", "") == cleaned(text)
        assert shown[1].value == number


def test_a_formula_is_a_text_in_a_workbook() -> None:
    book = load_workbook(io.BytesIO(workbook({"x": (("a",), [(text,) for text in HOSTILE])})))
    found = [(row[0].data_type, row[0].value) for row in book["x"].iter_rows(min_row=2)]
    assert found == [("s", cleaned(text)) for text in HOSTILE]


@pytest.mark.skipif(which("soffice") is None, reason="LibreOffice is not installed (make tools)")
def test_a_real_spreadsheet_opens_both(tmp_path: Path) -> None:
    rows = [(text, 3) for text in ("=1+1", "窓口の「費用」,と\n改行", "@SUM(A1)")]
    (tmp_path / "a.csv").write_bytes(csv_file(("質問", "数"), rows))
    (tmp_path / "b.xlsx").write_bytes(workbook({"質問": (("質問", "数"), rows)}))
    for name in ("a.csv", "b.xlsx"):
        out = tmp_path / name[0]
        subprocess.run(
            [
                "soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless",
                "--convert-to", "html", "--outdir", str(out), *(["--infilter=CSV:44,34,76"] if name == "a.csv" else []),
                str(tmp_path / name),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        shown = (out / f"{name[0]}.html").read_text(encoding="utf-8")
        assert "窓口の「費用」,と" in shown
        assert "=1+1" in shown  # and not 2
        assert "@SUM(A1)" in shown


def test_an_attachment_has_a_plain_and_a_full_name() -> None:
    reply = attachment(b"x", '質問"\n;.csv', CSV)
    value = reply.headers["content-disposition"]
    assert "\n" not in value
    assert value.startswith("attachment; filename=usage.csv; ")
    assert value.endswith("filename*=UTF-8''%E8%B3%AA%E5%95%8F%22%0A%3B.csv")
