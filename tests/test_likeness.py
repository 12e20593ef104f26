"""Likeness: shares against a second, plain implementation, and editions told apart by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.records import Document
from corpus.text import squeeze
from index.likeness import RUN, date_of, fingerprints, relation, share

BODY = "".join(
    f"第{n}条 窓口は{n}時に開き、{n * 13}人を順に案内する。手続は{n + 3}課が受け持つ。\n" for n in range(90)
)
OTHER = "".join(f"議題{n}：予算は前の年度から{n * 7}万円増やし、{n}月の会で決める。\n" for n in range(90))
PLAN = Document("1", "計画.txt", "窓口計画", "txt", "0", BODY)


def common(one: str, other: str) -> float:
    own, others = fingerprints(one), fingerprints(other)
    return share(len(np.intersect1d(own, others)), len(own), len(others))


def runs(text: str) -> set[str]:
    squeezed = squeeze(text)
    return {squeezed[i : i + RUN] for i in range(len(squeezed) - RUN + 1)}


def test_the_same_words_are_the_same_whatever_their_lines() -> None:
    assert common(BODY, BODY) == 1.0
    assert common(BODY, BODY.replace("\n", "").replace("、", "、\n")) == 1.0
    assert common(BODY, OTHER) == 0.0
    assert common(BODY, BODY + OTHER) == 1.0  # the shorter one stands whole in the longer
    assert common("", BODY) == common("短い文", BODY) == 0.0


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_a_share_is_near_that_of_all_runs(part: float) -> None:
    mixed = BODY[: int(len(BODY) * part)] + OTHER[: int(len(OTHER) * (1 - part))]
    one, other = runs(BODY), runs(mixed)
    assert common(BODY, mixed) == pytest.approx(len(one & other) / min(len(one), len(other)), abs=0.12)


@given(st.text(max_size=300))
def test_any_text_has_fingerprints(text: str) -> None:
    found = fingerprints(text)
    assert found.dtype == np.uint64
    assert (np.diff(found.astype(object)) > 0).all()


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("令和6年4月24日", (2024, 4, 24)),
        ("平成30年度", (2018,)),
        ("令和元年12月", (2019, 12)),
        ("r6.4.1版", (2024, 4, 1)),
        ("2024.04.15", (2024, 4, 15)),
        ("20240415_計画", (2024, 4, 15)),
        ("2024年度", (2024,)),
        ("広報 第1421号", ()),
        ("令和6年13月", (2024,)),
        ("", ()),
    ],
)
def test_dates(text: str, date: tuple[int, ...]) -> None:
    assert date_of(text) == date


@pytest.mark.parametrize(
    ("own", "other", "told"),
    [
        ({}, {"path": "写し.txt"}, "same"),
        ({"title": "窓口計画 第2版"}, {"title": "窓口計画 第1版"}, "newer"),
        ({"title": "窓口計画 第9版"}, {"title": "窓口計画 第10版"}, "older"),
        ({"path": "計画_20240401.txt"}, {"path": "計画_20230401.txt"}, "newer"),
        ({"title": "令和5年度窓口計画"}, {"title": "令和6年度窓口計画"}, "older"),
        ({"date": "令和6年4月1日"}, {"date": "令和6年3月1日"}, "newer"),
        # the version in the name says more than the day on the cover
        (
            {"title": "計画 v2", "date": "令和6年4月1日"},
            {"title": "計画 v1", "date": "令和6年5月1日"},
            "newer",
        ),
    ],
)
def test_which_edition_is_older(own: dict[str, str], other: dict[str, str], told: str) -> None:
    one, two = replace(PLAN, **own), replace(PLAN, **other)
    assert relation(one, two, 0.95) == told
    opposite = {"older": "newer", "newer": "older"}
    assert relation(two, one, 0.95) == opposite.get(told, told)


def test_how_much_must_be_common() -> None:
    longer = replace(PLAN, text=BODY + OTHER)
    assert relation(PLAN, longer, 1.0) == "edition"  # one stands in the other: not the same
    assert relation(PLAN, longer, 0.4) == "edition"  # of one title
    named = replace(longer, title="予算の説明")
    assert relation(PLAN, named, 0.4) is None
    assert relation(PLAN, named, 0.7) == "edition"
    assert relation(PLAN, longer, 0.2) is None
