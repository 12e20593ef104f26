"""A long text in parts: cut by hand, and for any text that nothing is lost or too long."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.records import Document, Heading, Page
from web.parts import Part, part_of, parts


def document(text: str, headings: tuple[Heading, ...] = (), pages: tuple[int, ...] = ()) -> Document:
    starts = tuple(Page(start, number) for number, start in enumerate(pages, 1))
    return Document("d", "a.txt", "題", "txt", "0" * 64, text, headings, page_starts=starts)


def spans(found: tuple[Part, ...]) -> list[tuple[int, int]]:
    return [(part.start, part.end) for part in found]


def test_a_text_that_fits_is_one_part() -> None:
    assert parts(document("あ" * 20), whole=20, most=10) == (Part(1, 0, 20),)


def test_the_outermost_of_the_last_headings_begins_a_part() -> None:
    text = "あ" * 30
    headings = tuple(
        Heading(f"見出し{at}", level, at, at + 1) for at, level in ((0, 1), (6, 1), (7, 1), (9, 2), (12, 2))
    )
    found = parts(document(text, headings), whole=20, most=10)
    assert spans(found)[:2] == [(0, 7), (7, 17)]
    assert [part.title for part in found][:2] == ["見出し0", "見出し7"]
    assert found[2].title == "見出し12"  # which is still open there


def test_else_a_page_a_line_or_any_place() -> None:
    assert spans(parts(document("あ" * 30, pages=(0, 8, 15)), whole=20, most=10))[:2] == [(0, 8), (8, 15)]
    assert spans(parts(document("あ" * 7 + "\n" + "あ" * 22), whole=20, most=10))[0] == (0, 8)
    assert spans(parts(document("あ" * 25), whole=20, most=10)) == [(0, 10), (10, 20), (20, 25)]


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet="あ\n", max_size=120),
    st.lists(st.tuples(st.integers(0, 119), st.integers(1, 3)), max_size=8),
    st.lists(st.integers(0, 119), max_size=8),
)
def test_parts_are_the_text(text: str, marks: list[tuple[int, int]], pages: list[int]) -> None:
    headings = tuple(Heading("題", level, at, at + 1) for at, level in sorted(marks) if at < len(text))
    found = parts(
        document(text, headings, tuple(sorted(p for p in pages if p < len(text)))), whole=20, most=10
    )
    assert "".join(text[part.start : part.end] for part in found) == text
    assert [part.number for part in found] == list(range(1, len(found) + 1))
    assert all(part.end - part.start <= (20 if len(found) == 1 else 10) for part in found)
    for offset in range(len(text)):
        part = part_of(found, offset)
        assert part.start <= offset < part.end
    assert part_of(found, len(text)) == found[-1]
