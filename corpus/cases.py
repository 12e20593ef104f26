"""Cases of a case book: where each begins and ends, on which printed pages, and what it says of itself.

In: a canonical text and its blocks. Out: the cases in order with their fields, each field with the span it
was read from, and the spans that show a case only as an example. The rules, by form:

1. A case has a title line (`corpus.case_titles`): a number, a title and an organization, as in
   「9 外部人材の下に…を設置【山形県酒田市】」. It may open every printed page of its case.
2. The contents give each case's first page, its category (the line above its rows) and, as a mark, its
   population band, which a legend explains: 「⑩ : 人口5万人以上10万人未満の団体」.
3. Cases follow one another in the order of the contents. A title that stands out of that order, while the
   same case also stands in it, heads a picture of a page (「本書の見方」), an example and not the case. So do
   the first case's title lines beyond the pages that the contents give it.
4. Contact data and population stand after labels: 「【担当部署】 企画課（電話：…、メール：…）」,
   「担当部署」 as a heading, 「酒田市人口：9.6万人（令和6年2月29日現在）」, or in the cells of a table (`corpus.labels`).

Other documents than case books have no such lines, and get no cases.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from corpus.case_titles import NARROW, CaseTitle, bracketed_titles, headed_titles
from corpus.labels import Labelled, labelled
from corpus.municipalities import looks_like_organization, parse_organization
from corpus.records import Case, Field, Page
from corpus.structure import CIRCLED, Block, Line, contents_blocks, plain
from corpus.text import letters, squeeze

# 「| 9 外部人材の下に…を設置 | 【山形県酒田市】 | ⑩ | … | 26 |」, also without the bars
CONTENTS_ROW = re.compile(
    r"^\W*(?:New|NEW)?\W*(?P<number>\d{1,3})[\s|.．]*(?P<title>\S.*?)[\s|]*【(?P<organization>[^【】]+)】"
    r"(?P<mark>[^…‥]*?)[…‥・.\s|]+(?:p\.?\s*)?(?P<page>\d{1,4})[\s|]*$"
)
# 「⑩ : 人口5万人以上10万人未満の団体」
LEGEND = re.compile(r"^\W{0,2}?(?P<mark>[^\s:：]{1,4})\s*[:：]\s*人口(?P<band>.*?\d.*?[上下満]\S*)$")
MOST_TITLES = 2_000
"""Title lines of a case book: a book of a hundred cases has two hundred; a list of more is no book."""
MOST_PERSONS = 10**10
"""A greater number is no population."""
# 「酒田市人口：9.6万人（令和6年2月29日現在）」
POPULATION = re.compile(
    r"(?P<who>[^\s：:、。（）()】]{0,60})人口\s*+(?:[:：]\s*+)?約?(?P<number>\d[\d,]{0,20}(?:\.\d+)?)\s*(?:(?P<unit>万|千)(?:(?P<thousands>\d)千|(?P<rest>\d{1,4}|\d,\d{3}))?)?\s*人"
    r"(?:\s*[（(](?P<as_of>[^（）()]*?)(?:現在|時点)?[)）])?"
)
_BOUND = r"(\d[\d,]{0,20}(?:\.\d{1,9})?)(万|千)?人"
PHONE = re.compile(
    r"(?:電話(?:番号)?|TEL|Tel|℡|☎)\s*+(?:[:：]\s*+)?(?P<phone>\d{2,5}[-‐－(]\d{1,4}[-‐－)]\d{3,4}(?:[（(]内線[^（）()]*[)）])?)"
)
# 「0000-11-0001」「0599(21)3456」 in a cell of its own
_NUMBER = re.compile(r"(?<!\d)(?P<phone>0\d{1,4}[-‐－(]\d{1,4}[-‐－)]\d{3,4}(?:\(内線[^()]*\))?)(?!\d)")
# 「0000-11-0001」「mado@example.jp」「https://…」: no name of a department
_REACH = re.compile(r"[\d(+]|\S*@|https?:")
_POPULATION_CELL = re.compile(
    r"(?P<all>約?(?P<number>\d[\d,]{0,20}(?:\.\d+)?)\s*(?:(?P<unit>万|千)(?:(?P<thousands>\d)千|(?P<rest>\d,?\d{0,3}))?)?\s*人?)"
    r"(?:\s*\((?P<as_of>[^()]*?)(?:現在|時点)?\))?$"
)
_DATED = re.compile(r"\((?P<as_of>[^()]*\d[^()]*?)(?:現在|時点)\)")
EMAIL = re.compile(r"(?P<email>[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+)")
URL = re.compile(r"https?://[A-Za-z0-9\-._~:/?#\[\]@!$&'*+,;=%]+")
_DEPARTMENT_WORD = r"(?:担当(?:部署|課|部局|部課|窓口)|所管(?:部署|課|部局)|(?:お?問い?合わ?せ|連絡)先)"
# 「【担当部署】 企画課（電話：…」「担当部署 企画課 電話 …」「☆担当：企画課☆」 in this order of trust
DEPARTMENT_LABEL = re.compile(rf"^【{_DEPARTMENT_WORD}】\s*(?P<department>[^\s].*)$")
DEPARTMENT_LINE = re.compile(rf"^{_DEPARTMENT_WORD}[\s:：]+(?P<department>\S.*)$")
DEPARTMENT_HEADING = re.compile(rf"^[【<＜■◆]?{_DEPARTMENT_WORD}[】>＞]?$")
DEPARTMENT_NOTE = re.compile(r"^[☆★※◎]?\s*担当(?:課|部署)?\s*[:：]\s*(?P<department>.+?)\s*[☆★◎]?$")
LONGEST_LINE = 1000
"""Characters of a line above which it is no row of a contents list, no legend and names no department: patterns that try each
place of a line are kept off lines without end."""
CONTACT_REACH = 300
"""Characters after a department's name within which its telephone and mail stand, on lines of their own too."""
_CONTACT_FOLLOWS = re.compile(r"(?<!\s)\s*+(?:[（(]\s*+)?(?:電話|TEL|Tel|℡|☎|メール|E-?mail|FAX).*$")
# 「受賞歴等：…」「関連URL：…」 in the closing lines of a case
COLON_FIELD = re.compile(
    r"^(?:【[^【】]*】\s*)?(?P<label>[^\s:：、。（）()0-9]{2,14})[:：]\s*(?P<value>\S.*)$"
)
# 【2.人材確保】 or 「2. … 目次」: the next part of a book begins
NEXT_PART = re.compile(r"^【\s*\d+\s*[.．].*】$|目次$|^奥付$|^索引$")


@dataclass(frozen=True, slots=True)
class CaseBook:
    """What was found: cases in order, their title lines as (offset, index into cases), spans of examples."""

    cases: tuple[Case, ...] = ()
    title_lines: tuple[tuple[int, int], ...] = ()
    examples: tuple[tuple[int, int], ...] = ()
    warnings: tuple[str, ...] = ()

    def case_at(self, offset: int) -> Case | None:
        """The case that an offset of the text lies in."""
        place = bisect_right(self.cases, offset, key=lambda case: case.start) - 1
        return self.cases[place] if place >= 0 and offset < self.cases[place].end else None

    def page_at(self, offset: int) -> int | None:
        """The printed page of an offset: the case's first page, and one more for every repeated title line."""
        case = self.case_at(offset)
        if case is None or case.page_start is None:
            return None
        own = [start for start, index in self.title_lines if self.cases[index].id == case.id]
        return case.page_start + max(0, bisect_right(own, offset) - 1)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of the contents, with what the contents say of the case."""

    number: int
    organization: str
    page: Field
    category: Field | None
    band: Field | None


def find_cases(text: str, blocks: list[Block], path: str, pages: Sequence[Page] = ()) -> CaseBook:
    """The cases of a text; an empty CaseBook for a document of another form.

    `path` names the document and goes into the ids of its cases. Where the file has `pages`, the cases' are those;
    else they are the printed ones that the contents give.
    """
    blocks = [block for block in blocks if block.kind != "record"]
    contents = set(contents_blocks(blocks))
    titles = [t for i, block in enumerate(blocks) if i not in contents for t in bracketed_titles(block)]
    entries = _contents(text, [blocks[i] for i in sorted(contents)])
    listed = {(entry.number, squeeze(entry.organization)): entry for entry in entries}
    titles = [t for t in titles if t.key in listed or looks_like_organization(t.organization)]
    if len(titles) > MOST_TITLES:
        return CaseBook()
    examples: tuple[tuple[int, int], ...] = ()
    if len({t.key for t in titles}) >= 2 or any(t.key in listed for t in titles):
        runs = _without_pictures(_runs(titles), entries, blocks)
        order = {key: place for place, key in enumerate(listed)}
        chain = _longest_increasing([order.get(run[0].key, run[0].number - 1) for run in runs])
        in_order = [runs[i] for i in chain]
        keys = {run[0].key for run in in_order}
        out_of_order = [run for i, run in enumerate(runs) if i not in set(chain) and run[0].key in keys]
        examples = tuple(_example(blocks, run, in_order, len(text)) for run in out_of_order)
    else:
        runs = _runs(headed_titles(blocks, contents)[:MOST_TITLES])
        latest = {run[0].key: run for run in runs}  # one that stands again was announced before
        in_order = [run for run in runs if latest[run[0].key] is run]

    cases: list[Case] = []
    marks: list[tuple[int, int]] = []
    warnings: list[str] = []
    places = [block.start for block in blocks]
    for place, run in enumerate(in_order):
        start = run[0].line.start
        limit = (
            in_order[place + 1][0].line.start
            if place + 1 < len(in_order)
            else _end_of_book(blocks, [title for run in in_order for title in run], len(text))
        )
        inside = [t for t in run if start <= t.line.start < limit]
        marks.extend((t.line.start, place) for t in inside)
        own = blocks[bisect_left(places, start) : bisect_left(places, limit)]
        case = _read_case(text, own, run[0], start, limit, path)
        case = _with_contents(text, case, listed.get(run[0].key), len(inside))
        cases.append(case)
    if pages:
        cases = [_on_pages(text, case, pages) for case in cases]
        return CaseBook(tuple(cases), tuple(marks), examples, tuple(_band_warnings(cases)))
    for place, case in enumerate(cases[:-1]):
        following = cases[place + 1].page_start
        if case.page_end is not None and following is not None and case.page_end != following - 1:
            warnings.append(
                f"事例{case.number}のページ数（見出し行の数では{case.page_end}ページまで）が、目次の次の事例（{following}ページから）と合いません。"
            )
            if case.page_end >= following > (case.page_start or 0):
                cases[place] = replace(case, page_end=following - 1)
    warnings.extend(_band_warnings(cases))
    return CaseBook(tuple(cases), tuple(marks), examples, tuple(warnings))


def case_id(path: str, number: int, organization: str) -> str:
    """A case's id: made of its document's path, its number and its organization."""
    return hashlib.sha256(f"{path}\n{number}\n{organization}".encode("utf-8", "surrogatepass")).hexdigest()[
        :16
    ]


def _runs(titles: list[CaseTitle]) -> list[list[CaseTitle]]:
    """Title lines of one case that follow one another without another case's between them."""
    runs: list[list[CaseTitle]] = []
    for title in titles:
        if runs and runs[-1][0].key == title.key:
            runs[-1].append(title)
        else:
            runs.append([title])
    return runs


def _without_pictures(
    runs: list[list[CaseTitle]], entries: list[_Entry], blocks: list[Block]
) -> list[list[CaseTitle]]:
    """The runs, the first case's cut in two where it has more title lines than the contents give it pages.

    A picture of the first case's pages stands right before the case itself, with no other case between them; a
    list ① ② ③ between them explains it. Without such a list, a page number in the contents was misread.
    """
    if (
        len(entries) < 2
        or not runs
        or runs[0][0].key != (entries[0].number, squeeze(entries[0].organization))
    ):
        return runs
    first, second = (int(entry.page.value.translate(NARROW)) for entry in entries[:2])
    surplus = len(runs[0]) - (second - first)
    if second <= first or not 0 < surplus < len(runs[0]):
        return runs
    last, opening = runs[0][surplus - 1].line.start, runs[0][surplus].line.start
    explained = any(
        len(b.lines) == 1 and (mark := CIRCLED.match(plain(b.text))) and mark[1] == "①"
        for b in blocks
        if last < b.start < opening
    )
    return [runs[0][:surplus], runs[0][surplus:], *runs[1:]] if explained else runs


def _longest_increasing(values: list[int]) -> list[int]:
    """Indexes of a longest strictly increasing subsequence; of equal values the later, for pictures come first."""
    best: list[tuple[int, int]] = []  # (length, previous)
    for i, value in enumerate(values):
        length, previous = 1, -1
        for j in range(i):
            if values[j] < value and best[j][0] + 1 >= length:
                length, previous = best[j][0] + 1, j
        best.append((length, previous))
    if not best:
        return []
    at = max(range(len(best)), key=lambda i: best[i][0])
    chain = []
    while at >= 0:
        chain.append(at)
        at = best[at][1]
    return chain[::-1]


def _example(
    blocks: list[Block], run: list[CaseTitle], in_order: list[list[CaseTitle]], size: int
) -> tuple[int, int]:
    """The span of a pictured page: from its first title line (or the label above it) to where the book speaks
    again: a list ① ② ③ that explains it, or after the closing labels, or the next case."""
    start = run[0].line.start
    limit = min((r[0].line.start for r in in_order if r[0].line.start > start), default=size)
    inside = [b for b in blocks if run[-1].line.start < b.start < limit]
    circled = [(b, CIRCLED.match(plain(b.lines[0].text))) for b in inside]
    ones = [b for b, m in circled if m and m[1] == "①" and len(b.lines) == 1]
    twos = [b for b, m in circled if m and m[1] == "②" and len(b.lines) == 1]
    labels = [b for b in inside if b.kind == "label"]
    if ones and twos and ones[-1].start < twos[-1].start:
        end = ones[-1].start
    elif labels:
        end = labels[-1].end
    else:
        end = limit
    # the lines right above the title that belong to the picture: 「<事業概要>」「<1. 体制整備> ① …」
    before = [b for b in blocks if b.end <= start]
    while before and before[-1].text.lstrip().startswith(("<", "＜", "〈")):
        start = before.pop().start
    return start, end


def _end_of_book(blocks: list[Block], titles: list[CaseTitle], size: int) -> int:
    """Where the last case ends: at the next part, or at a heading as high as the titles, where no other case has one."""
    starts = {title.line.start for title in titles}
    first, last = titles[0].line.start, titles[-1].line.start
    own = next((b for b in blocks if b.kind == "heading" and b.start <= last < b.end), None)
    high: set[int] = set()
    if own is not None and (own.form == "styled" or titles[0].bracket == "("):
        alike = (b for b in blocks if b.kind == "heading" and b.form == own.form and b.level <= own.level)
        high = {b.start for b in alike if b.start > first} - starts
    apart = not any(start < last for start in high)
    for block in blocks:
        if block.start > last and (
            (apart and block.start in high) or (len(block.lines) == 1 and NEXT_PART.search(plain(block.text)))
        ):
            return block.start
    return size


# ---------------------------------------------------------------- contents


def _contents(text: str, blocks: list[Block]) -> list[_Entry]:
    bands: dict[str, Field] = {}
    entries: list[_Entry] = []
    category: Field | None = None
    for block in blocks:
        for line in block.lines:
            words = line.text.translate(NARROW)
            if len(words) > LONGEST_LINE:
                continue
            legend = LEGEND.match(words.strip())
            row = CONTENTS_ROW.match(words)
            if row:
                mark = row["mark"].strip(" |")
                band = bands.get(squeeze(mark) if mark else "無し")
                page = _field(text, line.start + row.start("page"), line.start + row.end("page"))
                entries.append(_Entry(int(row["number"]), row["organization"], page, category, band))
            elif legend:
                start = line.start + words.index(legend["band"])
                key = squeeze(legend["mark"])
                bands.setdefault(
                    "無し" if key in {"無し", "なし", "無印", "空欄"} else key,
                    _field(text, start, start + len(legend["band"])),
                )
            elif (
                block.kind != "table"
                and letters(words) > 3
                and not line.text.strip().startswith(("【", "["))
                and "目次" not in words
            ):
                category = _trimmed(text, line.start, line.end)
    return entries


def _with_contents(text: str, case: Case, entry: _Entry | None, pages: int) -> Case:
    if entry is None:
        return case
    fields = dict(case.fields)
    fields["page_start"] = entry.page
    band = category = None
    if entry.category is not None:
        fields["category"], category = entry.category, entry.category.value
    if entry.band is not None:
        fields["population_band"] = entry.band
        band = re.sub(r"の団体$", "", entry.band.value)
    first = int(entry.page.value.translate(NARROW))
    return replace(
        case,
        page_start=first,
        page_end=first + pages - 1,
        category=category,
        population_band=band,
        fields=fields,
    )


def _on_pages(text: str, case: Case, pages: Sequence[Page]) -> Case:
    starts = [page.start for page in pages]
    last = case.start + len(text[case.start : case.end].rstrip()) - 1
    first, end = (pages[max(0, bisect_right(starts, place) - 1)].number for place in (case.start, last))
    return replace(case, page_start=first, page_end=end)


def _band_warnings(cases: list[Case]) -> Iterator[str]:
    for case in cases:
        if (
            case.population is None
            or case.population_band is None
            or case.organization_kind in {"都", "道", "府", "県"}
        ):
            continue
        low, high = band_limits(case.population_band)
        # the text rounds to 0.1万人, so a population may stand 500 persons beyond its band
        if not low - 500 <= case.population < high + 500:
            yield f"事例{case.number}（{case.organization}）の人口{case.population:,}人が、目次の区分「{case.population_band}」と合いません。"


def band_limits(band: str) -> tuple[int, int]:
    """Lower limit (inclusive) and upper limit (exclusive) of a band, in persons.

    >>> band_limits("5万人以上10万人未満")
    (50000, 100000)
    """
    band = band.translate(NARROW)
    low = re.search(_BOUND + "以上", band)
    high = re.search(_BOUND + "未満", band)
    return (
        _persons(low[1], low[2]) if low else 0,
        _persons(high[1], high[2]) if high else 10**10,
    )


# ---------------------------------------------------------------- fields


def _field(text: str, start: int, end: int) -> Field:
    return Field(text[start:end], start, end)


def _words_in(text: str, line: str, words: str, base: int, at: int) -> Field:
    """Where a line that begins at `base` has these words from `at` on, with the emphasis marks between them.

    「窓口の改善」 is found in 「窓口の**改善**」.
    """
    found = re.compile(r"\**".join(map(re.escape, words))).search(line, at)
    if found is None:
        raise ValueError(f"title line without its own words: {words!r} is not in {line!r}")
    return _field(text, base + found.start(), base + found.end())


def _trimmed(text: str, start: int, end: int) -> Field:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return _field(text, start, end)


def _persons(number: str, unit: str | None) -> int:
    factor = {"万": 10_000, "千": 1_000}.get(unit or "", 1)
    return int(Decimal(number.replace(",", "")) * factor)


def _all_persons(found: re.Match[str], unit: str | None = None) -> int:
    """「5万7千人」「5万7,330人」 in persons; `unit` where the words give none."""
    rest = int((found["rest"] or "0").replace(",", ""))
    return _persons(found["number"], found["unit"] or unit) + 1_000 * int(found["thousands"] or 0) + rest


def _read_case(text: str, blocks: list[Block], title: CaseTitle, start: int, end: int, path: str) -> Case:
    organization = parse_organization(title.organization)
    fields: dict[str, Field] = {}
    line_text = text[title.line.start : title.line.end]
    narrow = line_text.translate(NARROW)
    base = title.line.start
    if title.below is not None:
        fields["organization"] = _field(text, *title.below)
    else:
        opening = narrow.rindex(title.bracket)
        fields["organization"] = _words_in(text, narrow, title.organization, base, opening)
    fields["title"] = _words_in(text, narrow, title.title, base, 0)
    number = re.search(r"\d+|[①-⑳]", narrow)
    if number:
        fields["number"] = _field(text, base + number.start(), base + number.end())
    name = fields["organization"]
    if organization.prefecture and name.value.startswith(organization.prefecture):
        fields["prefecture"] = _field(text, name.start, name.start + len(organization.prefecture))
    if organization.kind and name.value:
        fields["organization_kind"] = _field(text, name.end - 1, name.end)

    inside = [b for b in blocks if start <= b.start < end]
    lines = [line for b in inside for line in b.lines]
    pairs = list(labelled([block for block in inside if block.searched]))
    population, as_of = _population(text, lines, organization.municipality or organization.name, fields)
    if population is None:
        population, as_of = _labelled_population(text, pairs, fields)
    _department(text, inside, fields)
    _labelled_contact(text, pairs, fields, ("department",))
    _contact(text, inside, fields)
    _labelled_contact(text, pairs, fields, ("phone", "email"))
    for line in lines:
        found = COLON_FIELD.match(line.text)
        if found and re.search(r"URL|受賞|関連|参考", found["label"]) and found["label"] not in fields:
            fields[found["label"]] = _field(
                text, line.start + found.start("value"), line.start + found.end("value")
            )
    urls: dict[str, None] = {}
    for block in inside:
        if block.searched:
            for found in URL.finditer(block.text):
                urls.setdefault(found[0].rstrip(".,;:!?'"))
    return Case(
        id=case_id(path, title.number, plain(name.value)),
        document_id="",
        number=title.number,
        title=plain(fields["title"].value),
        organization=plain(name.value),
        start=start,
        end=end,
        prefecture=organization.prefecture,
        organization_kind=organization.kind,
        population=population,
        population_as_of=as_of,
        department=fields["department"].value if "department" in fields else None,
        phone=fields["phone"].value if "phone" in fields else None,
        email=fields["email"].value if "email" in fields else None,
        urls=tuple(urls),
        fields=fields,
    )


def _population(
    text: str, lines: list[Line], own_name: str, fields: dict[str, Field]
) -> tuple[int | None, str | None]:
    """Population in persons and its date, as the case states it for its own organization."""
    for line in lines:
        for found in POPULATION.finditer(line.text.translate(NARROW)):
            who = found["who"].removesuffix("の").removesuffix("の総")
            if who and not (own_name.endswith(who) or who.endswith(own_name)):
                continue
            if not who and not line.text.strip().startswith(("【", "人口")):
                continue
            last = max(found.end(name) for name in ("number", "unit", "thousands", "rest"))
            end = text.index("人", line.start + last) + 1
            fields["population"] = _field(text, line.start + found.start("number"), end)
            if found["as_of"]:
                fields["population_as_of"] = _field(
                    text, line.start + found.start("as_of"), line.start + found.end("as_of")
                )
            as_of = fields["population_as_of"].value if "population_as_of" in fields else None
            persons = _all_persons(found)
            return (persons if persons <= MOST_PERSONS else None), as_of
    return None, None


def _department(text: str, blocks: list[Block], fields: dict[str, Field]) -> None:
    lines = [(block, line) for block in blocks for line in block.lines]
    for pattern in (DEPARTMENT_LABEL, DEPARTMENT_LINE, DEPARTMENT_HEADING, DEPARTMENT_NOTE):
        for place, (_, line) in enumerate(lines):
            words = line.text.strip()
            found = pattern.match(words) if len(words) <= LONGEST_LINE else None
            if not found:
                continue
            if pattern is DEPARTMENT_HEADING:
                if place + 1 == len(lines) or lines[place + 1][0].form == "numbered":
                    continue
                line = lines[place + 1][1]
                value = line.text
            else:
                value = found["department"]
            value = _CONTACT_FOLLOWS.sub("", value).strip()
            if letters(value) >= 2 and not _REACH.match(value.translate(NARROW)):
                start = line.start + line.text.index(value)
                fields["department"] = _field(text, start, start + len(value))
                return


def _labelled_population(
    text: str, pairs: Sequence[Labelled], fields: dict[str, Field]
) -> tuple[int | None, str | None]:
    """Population and its date beside a label: 「| 人口 | 5万7,330人 |」「人口（令和6年4月1日現在）：9,874」."""
    for pair in pairs:
        found = _POPULATION_CELL.match(pair.value.translate(NARROW)) if pair.asks("population") else None
        if not found:
            continue
        fields["population"] = _field(text, pair.start + found.start("number"), pair.start + found.end("all"))
        dated = found if found["as_of"] else _DATED.search(pair.label.translate(NARROW))
        if dated:
            at = pair.start if dated is found else pair.place
            fields["population_as_of"] = _field(text, at + dated.start("as_of"), at + dated.end("as_of"))
        unit = next((u for u in "万千" if f"({u}人)" in pair.label.translate(NARROW)), None)
        persons = _all_persons(found, unit)
        as_of = fields["population_as_of"].value if "population_as_of" in fields else None
        return (persons if persons <= MOST_PERSONS else None), as_of
    return None, None


def _labelled_contact(
    text: str, pairs: Sequence[Labelled], fields: dict[str, Field], names: Sequence[str]
) -> None:
    """Department, telephone and mail beside their labels, where nothing else said them: 「| 連絡先 | 0000-11-0001 |」."""
    for name in names:
        for pair in pairs if name not in fields else ():
            if not pair.asks(name):
                continue
            if name == "department":
                value = _CONTACT_FOLLOWS.sub("", pair.value).strip()
                start, end = pair.start, pair.start + len(value)
                if letters(value) < 2 or _REACH.match(value.translate(NARROW)):
                    continue
            else:
                pattern = _NUMBER if name == "phone" else EMAIL
                found = pattern.search(pair.value.translate(NARROW))
                if not found:
                    continue
                start, end = pair.start + found.start(name), pair.start + found.end(name)
            fields[name] = _field(text, start, end)
            break


def _contact(text: str, blocks: list[Block], fields: dict[str, Field]) -> None:
    """Telephone and mail of the case's own office: nearest after the department's words, or in a closing label.

    A number in the running text belongs to somebody else: 「受付の電話 0000-…」 of a call centre.
    """
    anchor = fields["department"].start if "department" in fields else None
    for name, pattern in (("phone", PHONE), ("email", EMAIL)):
        spans = [
            (line.start + found.start(name), line.start + found.end(name))
            for block in blocks
            for line in block.lines
            for found in pattern.finditer(line.text.translate(NARROW))
            if block.kind == "label" or (anchor is not None and 0 <= line.end - anchor <= CONTACT_REACH)
        ]
        if spans:
            near = anchor or 0
            start, end = min(spans, key=lambda span: (span[0] < near, abs(span[0] - near)))
            fields[name] = _field(text, start, end)
