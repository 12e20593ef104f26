"""From grids of cells to text: lists of records, tables of numbers, titles, notes and forms.

In: the cells of a CSV file or of the sheets of a workbook, as a spreadsheet shows them. Out: the canonical text with a page a sheet
and a mark a record. A list (each row is about one thing) becomes one record a row, each cell after its column's name; a table
of numbers (a figure means something only beside its row's head and under its column's) becomes rows `| a | b |` under their header. What
stands in no table becomes lines. All of it is decided by the form of cells; nothing here knows about files, encodings or formats.
"""

from __future__ import annotations

import itertools
import re
import statistics
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from corpus.municipalities import is_public_body
from corpus.readers.source import ReadError
from corpus.records import Mark, Page
from corpus.text import letters, normalize

MAX_ROWS = 200_000
"""Rows of a file: the largest lists that offices publish (all postal codes) have 125,000."""
MAX_CELLS = 1_500_000
"""Cells of a file, empty ones between others too: 40 seconds with openpyxl (24 µs each), 100,000 rows of 15 columns."""
MAX_AREA = 6_000_000
"""Cells of a file's tables, those that are not there too: 16,000 columns over rows of one cell each are looked through row by row."""
HEADER_CHARS, HEADER_LEVELS = 40, 3
"""Longest name of a column, and how many rows may name the columns together."""
TITLE_CHARS = 100
"""A record's title goes into the heading path of its chunk: a question of a FAQ has up to 80 characters."""
HEADING_CHARS = 60
TITLE_LINES = 3
"""Lines over a table that may be its title and what is said of all of it (「令和6年4月1日現在」)."""
LEAST_ROWS = 3
"""A column names the rows, or all of the list, where there are at least so many."""
HEAD_ROWS = 10
"""From so many rows what a column says of the whole list (whose, from which issue, of which day) stands once before them."""

# ---------------------------------------------------------------- the form of a cell

# 「1,234」「-5.2」「△3」「12%」「1,200千円」「¥500」
_NUMBER = re.compile(
    r"[(]?[+\-−▲△]?\s*[¥$]?\s*[\d,]*\d(?:\.\d+)?[)]?\s*(?:%|[千万百億]*円|人|件|世帯|か所|箇所|回|名|戸|台|点|ha|㎡|m2|km2)?"
)
# 「-」「…」「***」「x」: a figure that is not there
_NO_FIGURE = re.compile(r"[-−ー―–—…‥*＊.xX]{1,4}|皆[増減]|n/?a|N/?A")
# 「2024/4/15」「令和6年4月15日」「R6.4.1」「2024-04-15 10:30」「9:00」
_DATE = re.compile(
    r"(?:\d{4}|(?:令和|平成|昭和|[RHS])\.?\s*(?:\d{1,2}|元))\s*[年/.\-]\s*\d{1,2}\s*(?:[月/.\-]\s*\d{1,2}\s*日?|月)?"
    r"(?:\s*[(（]?[月火水木金土日][)）]?)?(?:[T\s]*\d{1,2}[:時]\d{2}.*)?|\d{1,2}月\d{1,2}日(?:[(（].[)）])?|\d{1,2}:\d{2}(?::\d{2})?"
)
# 「2024」「2024年度」「令和6年」「R6」「4月」「第1四半期」: what heads a column of figures, though it is one itself
_PERIOD = re.compile(
    r"(?:(?:19|20)\d\d|(?:令和|平成|昭和|[RHS])\.?\s*(?:\d{1,2}|元))(?:年度?)?(?:[(（].*[)）])?|\d{1,2}月|第?\d四半期"
)
_REACH = re.compile(
    r"(?:https?://|www\.)\S+|\S[^\s@]*+@\S[^\s.]*+\.\S+|[(（]?0\d{1,4}[)）\-ー－]\d{1,4}[)）\-ー－]\d{3,4}.*|〒?\d{3}-\d{4}"
)
# 「名称」「担当課」「備考」: words that stand over columns
_COLUMN_WORD = re.compile(
    r"(?i:no\.?|id|url|e-?mail|name|title|subject|question|answer|date|category|address|phone)|番号|連番|#|"
    r".*(?:名|名称|氏名|住所|所在地|電話|電話番号|FAX|メール|日付|年月日?|日時|日|期間|区分|分類|種別|種類|項目|内容|概要|本文|備考|質問|回答|"
    r"件名|タイトル|見出し|担当|担当課|所管|部署|金額|予算額?|対象|条件|URL|ホームページ|緯度|経度|コード|年度|数|率|割合|合計|計)"
)
# what a row is about, the surest first
_TITLE_WORDS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(rf"(?i:{words})")
    for words in (
        r"(?:ご|お)?(?:質問|問い?|問い合わせ)(?:内容|事項|文)?|Q|Ｑ|questions?|(?:よくある)?(?:ご)?質問",
        r".*(?:タイトル|件名|題名|題目|表題|標題|見出し|議題|テーマ)|title|subject|heading|topic|theme",
        r".*(?:名称|事業名|施設名|制度名|手続名|取組名|事例名|業務名|講座名|イベント名|会議名|サービス名)|name",
        r".*(?:題|名|項目|事項|手続き?|取組|取り組み|事業|業務)|item",
    )
)
# 「自治体名」「担当課名」「氏名」: names that recur, or that tell whose a row is and not what it is about
_NOT_ABOUT = re.compile(
    r".*(?:自治体|団体|都道府県|市区?町村|市|町|村|県|国|部|課|局|係|部署|組織|担当者?|所属|会社|法人|分類|カテゴリー?|種別|区分|曜日|ファイル|シート|町字|大字|地区|路線|発行号)名?称?|.*(?:題数|名数|件数)"
)
# a column that says the same in all rows and names what the rows are taken from
_WHOLE = re.compile(r"(?i:.*(?:タイトル|題名|表題|標題|資料名|文書名|誌名|冊子名|発行号)|title)")
_NOTE = re.compile(r"[※＊*]|[(（]?(?:注|備考|出典|資料|出所|参考)(?:[\d０-９一二三])?[)）:：\s]|[(（]注")
_TOTAL = re.compile(r"\s*(?:総\s*数|総\s*計|合\s*計|小\s*計|計|全\s*国|全\s*体|total)\s*", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\u3000\xa0]+")


@dataclass(frozen=True, slots=True)
class Area:
    """Merged cells: first and last row, first and last column, all from 0 and inclusive."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(slots=True)
class Grid:
    """The cells of a sheet as shown: `cells[i]` is the row that a spreadsheet counts as `numbers[i]` (from 1, ascending).

    A row may be shorter than others; an empty cell is "". `merged` counts rows as `numbers` does, less one; the value stands in the
    top left cell. `name` is the sheet's, `place` its place in the workbook (from 1).
    """

    cells: list[list[str]]
    numbers: list[int]
    merged: Sequence[Area] = ()
    name: str = ""
    place: int = 1


@dataclass(frozen=True, slots=True)
class Laid:
    """The text of grids with what their form says of it; `title` only where a list has one for the whole of it."""

    text: str
    pages: tuple[Page, ...]
    marks: tuple[Mark, ...]
    title: str | None


def lay_out(grids: Sequence[Grid], *, paged: bool) -> Laid:
    """The text of the sheets of a file in order; `paged` where each is a page.

    Raises ReadError where no cell holds a letter or a digit.
    """
    writer = _Writer()
    room = [MAX_AREA]
    filled = [sheet for grid in grids if (sheet := _Sheet(grid, room)).top is not None]
    if not any(letters(cell) for sheet in filled for row in sheet.cells for cell in row):
        raise ReadError("文字情報がありません（どのセルも空です）。内容のあるファイルか確かめてください。")
    titles: list[str] = []
    for sheet in filled:
        if paged:
            writer.page(sheet.grid.place, sheet.grid.name)
        if len(filled) > 1 and _one_line(sheet.grid.name):
            writer.heading(sheet.grid.name, 1)
        titles += sheet.write(writer)
    title = titles[0] if len(filled) == 1 and len(titles) == 1 else None
    return Laid(writer.text(), tuple(writer.pages), tuple(writer.marks), title)


class _Writer:
    """Puts blocks together with a blank line between them, and marks where they stand."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0
        self.pages: list[Page] = []
        self.marks: list[Mark] = []

    def page(self, number: int, label: str) -> None:
        """A page begins with the next block."""
        self.pages.append(Page(self._size + (2 if self._parts else 0), number, label))

    def block(self, words: str) -> tuple[int, int]:
        """Adds a block; where it stands."""
        start = self._size + (2 if self._parts else 0)
        self._parts.append(words)
        self._size = start + len(words)
        return start, self._size

    def heading(self, words: str, level: int) -> None:
        """Adds a line that the form makes a heading."""
        start, end = self.block(_one_line(words))
        self.marks.append(Mark("heading", start, end, level=level))

    def record(self, lines: Iterable[str], row: int, title: str) -> None:
        """Adds the lines of a row."""
        start, end = self.block("\n".join(lines))
        self.marks.append(Mark("record", start, end, row=row, title=title))

    def table(self, lines: Iterable[str], row: int) -> None:
        """Adds the lines of a table, of which the first is `row`."""
        start, end = self.block("\n".join(lines))
        self.marks.append(Mark("table", start, end, row=row))

    def text(self) -> str:
        """All blocks."""
        return "\n\n".join(self._parts)


@dataclass(slots=True)
class _Columns:
    """The columns of a table: their names, and what kind of values stand in each."""

    names: list[str]
    left: int
    right: int
    kinds: list[str] = field(default_factory=list)

    @property
    def places(self) -> range:
        return range(self.left, self.right + 1)


class _Sheet:
    """One grid: its values with those of merged cells repeated downwards, and how its rows fall into tables.

    `room` is how many cells the tables of the file may still have.
    """

    def __init__(self, grid: Grid, room: list[int]) -> None:
        self.grid = grid
        self.room = room
        self.cells = [[_trim(cell) for cell in row] for row in grid.cells]
        self.copies: set[tuple[int, int]] = set()
        index = {number - 1: place for place, number in enumerate(grid.numbers)}
        self.merged = _areas(grid.merged, index, self.cells)
        self.starting: dict[int, list[Area]] = {}  # merged cells with a value, by their first row
        if sum((a.bottom - a.top + 1) * (a.right + 1) for a in self.merged) > MAX_CELLS:
            raise ReadError("結合されたセルが多すぎます。結合を減らして保存し直してください。")
        for area in self.merged:
            value = self._at(area.top, area.left)
            if value:
                self.starting.setdefault(area.top, []).append(area)
            for row in range(area.top + 1, area.bottom + 1 if value else 0):
                if not self._at(row, area.left):
                    self.cells[row].extend([""] * (area.left + 1 - len(self.cells[row])))
                    self.cells[row][area.left] = value
                    self.copies.add((row, area.left))
        used = [place for place, row in enumerate(self.cells) if any(row)]
        self.top = used[0] if used else None

    def _at(self, row: int, column: int) -> str:
        cells = self.cells[row]
        return cells[column] if column < len(cells) else ""

    def _own(self, row: int) -> list[int]:
        """Columns of a row that hold a value which is not repeated from above."""
        return [c for c, value in enumerate(self.cells[row]) if value and (row, c) not in self.copies]

    def write(self, writer: _Writer) -> list[str]:
        """Writes all regions; returns what names each table as a whole: its title line, or a column that says so."""
        titles: list[str] = []
        before: _Columns | None = None
        waiting: list[int] = []  # lines on their own, which are a table's titles where one follows
        for rows in self._regions():
            if len(waiting) + len(rows) <= TITLE_LINES and all(len(self._own(row)) <= 1 for row in rows):
                waiting += rows
                continue
            before = self._region(rows, writer, before, titles, waiting)
            waiting = []
        self._free(waiting, writer)
        return titles

    def _regions(self) -> list[list[int]]:
        """Rows with values, cut where a row is empty."""
        regions: list[list[int]] = []
        last = -2
        for place, row in enumerate(self.cells):
            if not any(row):
                continue
            number = self.grid.numbers[place]
            if number != last + 1:
                regions.append([])
            regions[-1].append(place)
            last = number
        return regions

    def _region(
        self,
        rows: list[int],
        writer: _Writer,
        before: _Columns | None,
        titles: list[str],
        waiting: list[int],
    ) -> _Columns | None:
        """Writes the titles, the table and the notes of neighbouring rows; its columns, for a table that goes on.

        `waiting` are the lines before them that may be its titles.
        """
        spans = self._spans(rows)
        wide = max((len(span) for span in spans), default=0)
        width = max((max(span) for span in spans if span), default=0) + 1
        first = 0
        while first < len(rows) and wide >= 2 and self._is_title(rows[first], spans[first], wide, width):
            first += 1
        last = len(rows)
        usual = statistics.median(len(span) for span in spans[first:]) if first < last else 0
        while last > first + 1 and self._is_note(rows[last - 1], usual):
            last -= 1
        table = rows[first:last]
        columns, body = self._columns(table, before if first == 0 and not waiting else None)
        if columns is None:
            self._free([*waiting, *rows], writer)
            return None
        heads = [self._line(row) for row in (*waiting, *rows[:first])]
        shape = "records" if not _is_matrix(self, columns, body) else "matrix"
        named = self._named(columns, body) if shape == "records" else None
        if named:
            titles.append(named)
        self._titles(heads, writer, titles if not named else [])
        if shape == "matrix":
            self._matrix(columns, body, writer)
        else:
            self._records(columns, body, writer)
        for row in rows[last:]:
            if self._own(row):
                writer.block(self._line(row))
        return columns

    def _spans(self, rows: list[int]) -> list[set[int]]:
        """The columns that the values of each row cover, those of merged cells all of theirs."""
        place = {row: number for number, row in enumerate(rows)}
        spans = [{c for c, value in enumerate(self.cells[row]) if value} for row in rows]
        for area in (area for row in rows for area in self.starting.get(row, ()) if area.right > area.left):
            for row in range(area.top, area.bottom + 1):
                if row in place:
                    spans[place[row]].update(range(area.left, area.right + 1))
        return spans

    def _is_title(self, row: int, span: set[int], wide: int, width: int) -> bool:
        own = [c for c, value in enumerate(self.cells[row]) if value]
        if len(own) == 1:
            return True
        return len(span) * 3 <= wide and len(own) <= 2 and width >= 4

    def _is_note(self, row: int, usual: float) -> bool:
        own = self._own(row)
        if len(own) > 1:
            return False
        return not own or bool(_NOTE.match(self._at(row, own[0]))) or (usual >= 3 and own[0] == 0)

    # ------------------------------------------------------------ columns

    def _columns(self, rows: list[int], before: _Columns | None) -> tuple[_Columns | None, list[int]]:
        """The columns of a table and its rows of data; None where the rows have no columns."""
        used = sorted({c for row in rows for c, value in enumerate(self.cells[row]) if value})
        if len(used) < 2 or not rows:
            return None, []
        left, right = used[0], used[-1]
        if before is not None and before.left <= left and right <= before.right:
            self._take(rows, before.right - before.left + 1)
            again = [self._at(rows[0], c) for c in before.places] == before.names
            if again or not self._heads(rows, 1, left, right, surely=True):
                body = rows[1:] if again else rows
                return _Columns(before.names, before.left, before.right, before.kinds), body
        self._take(rows, right - left + 1)
        levels = self._levels(rows, left, right)
        if len(rows) > levels and self._heads(rows, levels, left, right, surely=False):
            wide = {
                (row, c): self._at(area.top, area.left)
                for top in rows[:levels]
                for area in self.starting.get(top, ())
                for row in range(area.top, area.bottom + 1)
                for c in range(area.left, area.right + 1)
            }
            names = [self._name(rows[:levels], c, wide) for c in range(left, right + 1)]
            columns, body = _Columns(names, left, right), rows[levels:]
        elif len(rows) >= LEAST_ROWS and len(used) >= 3:
            columns, body = _Columns([""] * (right - left + 1), left, right), rows
        else:
            return None, []
        filled = sum(1 for row in body for c in columns.places if self._at(row, c))
        if filled * 3 < len(body) * len(used):
            return None, []  # a form: values here and there
        columns.kinds = [_kind([self._at(row, c) for row in body]) for c in columns.places]
        return columns, body

    def _take(self, rows: list[int], width: int) -> None:
        self.room[0] -= len(rows) * width
        if self.room[0] < 0:
            raise ReadError(
                f"表が大きすぎます（{self.grid.numbers[rows[0]]:,}行目からの表は{len(rows):,}行、{width:,}列）。離れた列に値が残っていないか確かめ、使っていない列を消すか、ファイルを分けてください。"
            )

    def _levels(self, rows: list[int], left: int, right: int) -> int:
        """How many rows name the columns: as far as merged cells of the first ones reach, and one more under a wide one."""
        levels, most = 1, min(HEADER_LEVELS, len(rows) - 1)
        grown = True
        while grown and levels < most:
            grown = False
            for area in [area for row in rows[:levels] for area in self.starting.get(row, ())]:
                if area.bottom > rows[most]:
                    continue
                need = rows.index(area.bottom) + (2 if area.right > area.left else 1)
                if levels < need <= most:
                    levels, grown = need, True
        if levels == 1 and len(rows) > 2:
            upper, lower = ([self._at(row, c) for c in range(left, right + 1)] for row in rows[:2])
            gaps = [place for place, name in enumerate(upper) if not name]
            below = [_kind([self._at(row, c) for row in rows[2:]]) for c in range(left, right + 1)]
            if (
                gaps
                and upper[0]
                and all(a or b for a, b in zip(upper, lower, strict=True))
                and all(lower[place] for place in gaps)
                and not all(lower)
                and all(_may_head(name) for name in lower if name)
                and any(
                    name and not _is_figure(name) and kind == "number"
                    for name, kind in zip(lower, below, strict=True)
                )
            ):
                levels = (
                    2  # without merged cells, as a CSV file has them: 「区分,人口,,世帯」 over 「,男,女,」
                )
        return levels

    def _name(self, rows: list[int], column: int, wide: dict[tuple[int, int], str]) -> str:
        """The name of a column: those of its levels from above, 「上位／下位」; `wide` are the values of merged cells."""
        parts: list[str] = []
        for place, row in enumerate(rows):
            value = self._at(row, column) or wide.get((row, column), "")
            if not value and place < len(rows) - 1 and not self.merged and self._at(rows[-1], column):
                value = next((v for c in range(column, -1, -1) if (v := self._at(row, c))), "")
            value = _column_name(value)
            if value and (not parts or parts[-1] != value):
                parts.append(value)
        return "／".join(parts)

    def _heads(self, rows: list[int], levels: int, left: int, right: int, *, surely: bool) -> bool:
        """Whether the first rows name the columns. In doubt they do, since few lists have no header; `surely`: in doubt not."""
        body = rows[levels:]
        if not body:
            return False
        # of a column's names the nearest to its values
        names = [
            next((name for row in reversed(rows[:levels]) if (name := self._at(row, c))), "")
            for c in range(left, right + 1)
        ]
        said = [name for name in names if name]
        if len(said) * 2 < len([c for c in range(left, right + 1) if any(self._at(row, c) for row in body)]):
            return False
        figures = [name for name in said if _is_figure(name)]
        periods = figures and (all(_PERIOD.fullmatch(normalize(f)) for f in figures) or _counts_up(figures))
        if any(not _may_head(name) for name in said) or (figures and not periods):
            return False
        if len(figures) == len(said):
            return False
        signs = 0
        for place, name in enumerate(names):
            if not name:
                continue
            values = [value for row in body if (value := self._at(row, left + place))]
            if name in values[:50]:
                return False
            kind = _kind(values)
            lengths = [len(value) for value in values] or [0]
            if (
                (kind != "text" and not _is_figure(name))
                or _COLUMN_WORD.fullmatch(normalize(name))
                or statistics.median(lengths) > max(20, 3 * len(name))
            ):
                signs += 1
        if len(said) <= 2:
            # 「氏名 | 青葉花子」 over 「住所 | …」 is a form: what stands on the left are names of values
            on_the_left = [self._at(row, left) for row in body[:20]]
            if any(_COLUMN_WORD.fullmatch(normalize(value)) for value in on_the_left if value):
                return False
        return signs > 0 or not (surely or len(said) <= 2 or len(body) == 1)

    def _named(self, columns: _Columns, body: list[int]) -> str | None:
        """What names a list as a whole: a column for it that says the same in all rows."""
        if len(body) < LEAST_ROWS:
            return None
        for place, name in enumerate(columns.names):
            if _WHOLE.fullmatch(normalize(name)):
                values = {self._at(row, columns.left + place) for row in body}
                if len(values) == 1 and 2 <= len(value := _one_line(values.pop())) <= TITLE_CHARS:
                    return value
        return None

    def _head(self, columns: _Columns, body: list[int]) -> list[int]:
        """Columns that say the same in all rows, and say it of the whole list: its title, a public body, a day."""
        found = []
        for c, name in zip(columns.places, columns.names, strict=True):
            value = self._at(body[0], c)
            if not name or not value or "\n" in value or len(value) > TITLE_CHARS or len(body) < HEAD_ROWS:
                continue
            of_all = (
                _WHOLE.fullmatch(normalize(name))
                or is_public_body(value)
                or _DATE.fullmatch(normalize(value))
            )
            if of_all and all(self._at(row, c) == value for row in body):
                found.append(c)
        return found if len(found) < len([n for n in columns.names if n]) else []

    # ------------------------------------------------------------ writing

    def _line(self, row: int) -> str:
        return _one_line(" ".join(self._at(row, c) for c in self._own(row)))

    def _titles(self, lines: list[str], writer: _Writer, titles: list[str]) -> None:
        """Lines over a table: the first is its heading where it is short, what follows says more of it."""
        lines = [line for line in lines if line]
        if lines and len(lines[0]) <= HEADING_CHARS and not re.search(r"。|^[※(（]", lines[0]):
            titles.append(lines[0])
            writer.heading(lines.pop(0), 2)
        if lines:
            writer.block("\n".join(lines))

    def _records(self, columns: _Columns, body: list[int], writer: _Writer) -> None:
        about = _title_column(self, columns, body)
        head = self._head(columns, body)
        if head:
            writer.block(
                "\n".join(f"{columns.names[c - columns.left]}：{self._at(body[0], c)}" for c in head)
            )
        usual = statistics.median(len([1 for c in columns.places if self._at(row, c)]) for row in body)
        for row in body:
            own = self._own(row)
            if (
                len(own) == 1
                and own[0] == columns.left
                and usual >= 3
                and len(self._line(row)) <= HEADING_CHARS
            ) and sum(1 for c in columns.places if self._at(row, c)) == 1:
                writer.heading(self._line(row), 3)  # 「福祉課」 over the rows that are its own
                continue
            lines, totals = [], 0
            for c, name, kind in zip(columns.places, columns.names, columns.kinds, strict=True):
                value = self._at(row, c)
                if value and c not in head:
                    # 「合計」 under 「契約満了日」 is none
                    total = _TOTAL.fullmatch(value) and kind not in {"text", "empty"}
                    totals += bool(total)
                    lines.append(f"{name}：{value}" if name and not total else value)
            if len(lines) > totals:
                title = _one_line(self._at(row, about))[:TITLE_CHARS] if about is not None else ""
                writer.record(lines, self.grid.numbers[row], title)

    def _matrix(self, columns: _Columns, body: list[int], writer: _Writer) -> None:
        kept = [
            c
            for c, name in zip(columns.places, columns.names, strict=True)
            if name or any(self._at(row, c) for row in body)
        ]
        lines = [_row(columns.names[c - columns.left] for c in kept)] if any(columns.names) else []
        first = self.grid.numbers[body[0]] - len(lines)  # the header's last row stands right above
        lines += [_row(self._at(row, c) for c in kept) for row in body]
        writer.table(lines, first)

    def _free(self, rows: list[int], writer: _Writer) -> None:
        """Rows that are no table: those of several cells as rows, the others as lines."""
        run: list[str] = []
        for row in rows:
            own = self._own(row)
            if len(own) >= 2:
                run.append(_row(self._at(row, c) for c in own))
                continue
            if run:
                writer.block("\n".join(run))
                run = []
            if own:
                writer.block(self._at(row, own[0]))
        if run:
            writer.block("\n".join(run))


# ---------------------------------------------------------------- what stands in columns


def _areas(merged: Sequence[Area], index: dict[int, int], cells: list[list[str]]) -> list[Area]:
    """Merged cells in places of rows that are there; one beyond the last row or column is cut to what there is."""
    rows = sorted(index)
    if not rows:
        return []
    width = max(len(row) for row in cells)
    areas = []
    for area in merged:
        if area.top not in index or area.left >= width:
            continue
        bottom = rows[bisect_right(rows, area.bottom) - 1]  # ends at the top at the latest
        areas.append(Area(index[area.top], index[bottom], area.left, min(area.right, width - 1)))
    return areas


def _kind(values: Sequence[str]) -> str:
    """What most values of a column are: number, date, reach (addresses, telephones), text; "empty" without any."""
    said = [value for value in values if value]
    if not said:
        return "empty"
    sample = said if len(said) <= 200 else said[:: len(said) // 200]
    counts = {"number": 0, "date": 0, "reach": 0, "text": 0}
    for value in sample:
        counts[_kind_of(value)] += 1
    most = max(counts, key=lambda kind: counts[kind])
    return most if counts[most] * 10 >= 7 * len(sample) else "text"


def _kind_of(value: str) -> str:
    if len(value) > HEADER_CHARS:
        return "reach" if _REACH.fullmatch(value) else "text"
    words = normalize(value)
    if _REACH.fullmatch(words):
        return "reach"
    if _NUMBER.fullmatch(words) or _NO_FIGURE.fullmatch(words):
        return "number"
    return "date" if _DATE.fullmatch(words) else "text"


def _is_figure(name: str) -> bool:
    words = normalize(name)
    return bool(_NUMBER.fullmatch(words) or _PERIOD.fullmatch(words))


def _may_head(name: str) -> bool:
    """Whether a cell may be the name of a column: no date, address or sentence."""
    words = normalize(name)
    if len(words) > HEADER_CHARS or words.endswith("。") or _REACH.fullmatch(words):
        return False
    return (
        not _DATE.fullmatch(words)
        or bool(_PERIOD.fullmatch(words))
        or bool(re.fullmatch(r"\d{4}年\d{1,2}月", words))
    )


def _counts_up(figures: Sequence[str]) -> bool:
    """「1」「2」「3」: columns that are counted and not named."""
    values = [normalize(figure) for figure in figures]
    if len(values) < 2 or not all(value.isdecimal() and len(value) < 10 for value in values):
        return False
    steps = {int(b) - int(a) for a, b in itertools.pairwise(values)}
    return steps == {1}


def _is_matrix(sheet: _Sheet, columns: _Columns, body: list[int]) -> bool:
    """Whether a table is one of figures: heads of rows on the left, then at least three columns of numbers and nothing else.

    Two columns of numbers are enough where a column is headed by a period or a row is a total.
    """
    kinds = list(columns.kinds)
    first = [sheet._at(row, columns.left) for row in body]
    if kinds and kinds[0] == "number" and (_counts_up(first) or len(body) == 1):
        kinds[0] = "text"  # rows that are numbered
    figures = [place for place, kind in enumerate(kinds) if kind == "number"]
    heads = [place for place, kind in enumerate(kinds) if kind not in {"number", "empty"}]
    if len(figures) < 2 or not heads or len(heads) > 2 or max(heads) > min(figures):
        return False
    if any(len(sheet._at(row, columns.left + place)) > HEADER_CHARS for row in body for place in heads):
        return False
    if len(heads) == 2 and len(set(first)) == len(first):
        return False  # 「名称」「所在地」 before figures: each row is about one thing
    periods = any(_PERIOD.fullmatch(normalize(name)) for name in columns.names)
    totals = any(_TOTAL.fullmatch(sheet._at(row, columns.left + place)) for row in body for place in heads)
    return len(figures) >= 3 or periods or totals


def _title_column(sheet: _Sheet, columns: _Columns, body: list[int]) -> int | None:
    """The column that says what each row is about: by its name, else by the form of its values."""
    values = {c: [sheet._at(row, c) for row in body] for c in columns.places}
    for words in _TITLE_WORDS:
        for c, name in zip(columns.places, columns.names, strict=True):
            last = normalize(name).rsplit("/", 1)[-1]
            if not words.fullmatch(last) or _NOT_ABOUT.fullmatch(last):
                continue
            said = [value for value in values[c] if value]
            different = len(set(said))
            if said and (
                different * 2 > len(said) or (words is not _TITLE_WORDS[-1] and different >= LEAST_ROWS)
            ):
                return c
    for c, kind in zip(columns.places, columns.kinds or ["text"] * len(columns.names), strict=True):
        said = [value for value in values[c] if value]
        if (
            kind == "text"
            and len(said) * 10 >= 8 * len(body)
            and len(set(said)) * 10 >= 8 * len(said)
            and 2 <= statistics.median(map(len, said)) <= HEADING_CHARS
            and max(map(len, said)) <= 2 * HEADING_CHARS
        ):
            return c
    return None


def _trim(value: str) -> str:
    return value.strip() if value else ""


def _column_name(value: str) -> str:
    """A column's name on one line: 「公開\\n年月」 is 「公開年月」."""
    return _SPACE.sub(
        " ", re.sub(r"(?<=[^\x00-\x7f])\s*\n\s*(?=[^\x00-\x7f])", "", value).replace("\n", " ")
    ).strip()


def _one_line(value: str) -> str:
    return _SPACE.sub(" ", value.replace("\n", " ")).strip()


def _row(values: Iterable[str]) -> str:
    """A row of a table; a bar inside a cell would end it, and becomes a full-width one."""
    return "| " + " | ".join(_one_line(value).replace("|", "｜") for value in values) + " |"
