"""Comparison: every cell is a slice; rows for shared headings worked by hand on a made-up book."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import FakeEncoder

from index.build import build
from index.store import Index, load_current
from qa.comparison import LEAST, LONGEST, SHORT, Comparison, Row, compare, heading_key
from qa.places import places

LONG = "係ごとに手順をそろえ、毎月の集まりで困りごとを出し合い、翌月までに直しました。" * 12
BOOK = f"""窓口の事例集

1 書かない窓口【つくし県若草市】

事業の概要

- 職員が聞き取って申請書を作ります。

コスト

導入に年120万円かかりました。

苦労した点

窓口の職員が足りませんでした。

今後の展望を教えてください。

{LONG}

【参考情報】 若草市人口：３．２万人（令和7年1月1日現在）

【担当部署】 若草市市民部窓口課（電話：0000-11-2222、メール：window@city.example.jp）

2 車で回る窓口【つくし県小石原村】

事業の概要

- 役場の車が集落を回ります。

(1) コスト

車の購入に400万円かかりました。

苦労話の記録

訪ねた先で聞いた話を日誌に書きました。

今後の展望を教えてください。

集落を増やします。

【参考情報】 小石原村人口：4,210人（令和7年1月1日現在）

【担当部署】 小石原村住民課（電話：0000-22-3333）

3 夜の窓口【つくし県花田町】

事業の概要

- 週に一度、夜八時まで開きます。

取組にコストはかかりましたか。

残業代が月に8万円かかりました。

苦労した点は何ですか。

当番を決めるのに時間がかかりました。

【参考情報】 花田町人口：1.2万人（令和7年1月1日現在）

【担当部署】 花田町町民課（電話：0000-33-4444）
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("comparison")
    (folder / "documents").mkdir()
    (folder / "documents" / "事例集.txt").write_text(BOOK, encoding="utf-8")
    build(folder / "documents", folder / "index", FakeEncoder())
    return load_current(folder / "index")


def ids(index: Index) -> list[str]:
    return [case.id for case in sorted(index.cases.values(), key=lambda case: case.number)]


def row(comparison: Comparison, label: str) -> Row:
    return next(row for row in comparison.rows if row.label == label)


def values(row: Row) -> list[str | None]:
    return [None if cell is None else cell.value for cell in row.cells]


def test_the_fields_side_by_side(index: Index) -> None:
    found = compare(index, ids(index))
    fields = [r.label for r in found.rows if r.kind == "field"]
    assert fields == ["団体", "都道府県", "団体の種類", "人口", "人口の時点", "担当部署", "電話", "メール"]
    assert values(row(found, "人口")) == ["３．２万人", "4,210人", "1.2万人"]
    assert [c.reading for c in row(found, "人口").cells if c] == ["32,000人", "4,210人", "12,000人"]
    assert values(row(found, "メール")) == ["window@city.example.jp", None, None]
    same = {r.label for r in found.rows if not r.differs}
    assert same == {"都道府県", "人口の時点"}
    assert row(found, "団体の種類").differs


def test_what_stands_under_the_same_heading(index: Index) -> None:
    found = compare(index, ids(index))
    assert [r.label for r in found.rows if r.kind == "section"] == [
        "事業の概要",
        "コスト",
        "苦労した点",
        "今後の展望を教えてください。",
    ]
    # 「(1) コスト」 and the question about it stand beside 「コスト」, each with its own heading
    cost = row(found, "コスト")
    assert values(cost) == [
        "導入に年120万円かかりました。",
        "車の購入に400万円かかりました。",
        "残業代が月に8万円かかりました。",
    ]
    assert [c.heading for c in cost.cells if c] == ["コスト", "(1) コスト", "取組にコストはかかりましたか。"]
    assert values(row(found, "苦労した点")) == [
        "窓口の職員が足りませんでした。",
        None,
        "当番を決めるのに時間がかかりました。",
    ]


def test_a_long_passage_is_opened_by_its_first_sentences(index: Index) -> None:
    cell = row(compare(index, ids(index)), "今後の展望を教えてください。").cells[0]
    assert cell is not None
    assert not cell.complete
    assert LONG.startswith(cell.value)
    assert cell.value.endswith("。")
    assert len(cell.value) <= SHORT
    start = BOOK.index(LONG)
    whole = places(index).of(cell.document_id, start, start + len(LONG))
    assert (cell.url, cell.place) == (whole.url, whole.words)
    assert row(compare(index, ids(index)), "今後の展望を教えてください。").cells[1].complete  # type: ignore[union-attr]


def test_a_heading_of_one_case_only_makes_no_row(index: Index) -> None:
    one, two, _ = ids(index)
    assert "苦労した点" not in [r.label for r in compare(index, [one, two]).rows]


def test_the_order_is_that_asked_for(index: Index) -> None:
    turned = list(reversed(ids(index)))
    assert [case.id for case in compare(index, turned).cases] == turned
    straight, back = compare(index, ids(index)), compare(index, turned)
    assert {r.label: values(r) for r in straight.rows if r.kind == "field"} == {
        r.label: values(r)[::-1] for r in back.rows if r.kind == "field"
    }
    with pytest.raises(KeyError):
        compare(index, ["nothing", turned[0]])


def check(index: Index, case_ids: list[str]) -> None:
    found = compare(index, case_ids)
    assert [case.id for case in found.cases] == case_ids
    for r in found.rows:
        assert len(r.cells) == len(case_ids)
        stated = [c for c in r.cells if c is not None]
        assert len(stated) >= (LEAST if r.kind == "section" else 1)
        for case_id, cell in zip(case_ids, r.cells, strict=True):
            if cell is None:
                continue
            case = index.cases[case_id]
            document = index.documents[cell.document_id]
            assert cell.document_id == case.document_id
            assert document.text[cell.char_start : cell.char_end] == cell.value
            assert cell.value.strip() == cell.value != ""
            assert len(cell.value) <= max(SHORT, LONGEST) or r.kind == "field"
            assert cell.place
            assert cell.url.startswith(f"/documents/{document.id}?start=")
            if r.kind == "section":
                assert case.start <= cell.char_start < cell.char_end <= case.end
                chunk = next(
                    c
                    for c in index.chunks
                    if c.document_id == document.id and c.start <= cell.char_start < c.end
                )
                assert chunk.case_id == case_id
                assert chunk.heading_path[-1] == cell.heading


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_every_cell_is_a_slice_of_its_own_case(index: Index, data: st.DataObject) -> None:
    check(index, data.draw(st.lists(st.sampled_from(ids(index)), min_size=2, max_size=3, unique=True)))


def test_the_samples_that_ship(tmp_path: Path) -> None:
    samples = Path(__file__).resolve().parents[1] / "corpus" / "samples"
    build(samples, tmp_path / "index", FakeEncoder())
    index = load_current(tmp_path / "index")
    own = ids(index)
    assert len(own) >= 4
    check(index, own[:5])
    assert any(r.kind == "section" for r in compare(index, own[:5]).rows)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("事業の概要", "概要", True),
        ("(2) 工夫した点", "工夫している点を教えてください。", True),
        ("① 費用", "費用", True),
        ("第3章 費用", "費用", True),
        ("【費用】", "＜費用＞", True),
        ("費用", "効果", False),
        ("今後の展望", "今後の課題", False),
        ("取組", "事業", False),
    ],
)
def test_what_a_heading_is_about(one: str, other: str, same: bool) -> None:
    assert (heading_key(one) == heading_key(other)) is same
