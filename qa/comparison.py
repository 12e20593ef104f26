"""Cases side by side: for each thing that a case may state, what each of them states and where.

In: an index and the ids of two to five cases. Out: a table whose cells are words of the documents with their spans; what a
case does not state is None, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.store import Index
from qa.catalog import CaseEntry, case_entry

LEAST, MOST = 2, 5
"""Cases in a comparison: more columns than five cannot be read on paper or on a screen."""
FIELD_LABELS = {
    "organization": "団体",
    "prefecture": "都道府県",
    "organization_kind": "団体の種類",
    "population": "人口",
    "population_as_of": "人口の時点",
    "category": "分類",
    "department": "担当部署",
    "phone": "電話",
    "email": "メール",
}
"""The names of a case's fields in the order of the pages; fields of other names follow under their own."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Words of a document: its text at `[char_start:char_end]` is where `value` was read."""

    value: str
    document_id: str
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class Row:
    """One thing, and what each case states of it, in the order of the cases; None where it states nothing."""

    label: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two to five cases, in the order asked for, and the rows in which at least one of them states something."""

    cases: tuple[CaseEntry, ...]
    rows: tuple[Row, ...]


def compare(index: Index, case_ids: Sequence[str]) -> Comparison:
    """The comparison of cases; KeyError where an id is not in the index."""
    cases = tuple(case_entry(index.cases[case_id]) for case_id in case_ids)
    names = dict.fromkeys(name for case in cases for name in case.fields)
    known = [name for name in FIELD_LABELS if name in names]
    other = [name for name in names if name not in FIELD_LABELS and name not in {"title", "number"}]
    rows = [
        Row(
            FIELD_LABELS.get(name, name),
            tuple(_cell(case, name) for case in cases),
        )
        for name in (*known, *other)
    ]
    return Comparison(cases, tuple(rows))


def _cell(case: CaseEntry, name: str) -> Cell | None:
    field = case.fields.get(name)
    if field is None:
        return None
    return Cell(field.value, case.document_id, field.char_start, field.char_end)
