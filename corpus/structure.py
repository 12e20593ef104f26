"""The structure of a text: its lines grouped into blocks, each block's kind, and what is furniture.

In: a canonical text. Out: blocks in order (headings, paragraphs, lists, tables), each a span, and for each
whether it is part of what the document says or furniture of the page: a contents list, a caption of a lost
picture, a screenshot's text. What the file's format says of a line (a heading style, a record) comes before any rule.
Nothing here knows about case books, minutes or decks; the rules speak of the form of lines only. One example line
stands with each rule.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from corpus.records import Mark
from corpus.text import letters, squeeze

# ---------------------------------------------------------------- the form of a line

# 「# 見出し」, which is no endless line
MARKDOWN = re.compile(r"^(?=.{1,1000}$)(#{1,6})\s+\S")
# 「第3章 推進体制」「第２節　方針」「Ⅱ 現状」
CHAPTER = re.compile(
    r"^(?:第\s*[0-9０-９一二三四五六七八九十]+\s*(?P<unit>[編部章節款])|[ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ])(?:[\s.．　:：、]|$)"
)
# 「第3条　利用の申請」
ARTICLE = re.compile(r"^第\s*[0-9０-９一二三四五六七八九十百]+\s*条")
# 「2. ありたい姿」「1.2 現状」「（3）方法」
NUMBERED = re.compile(
    r"^(?P<number>[0-9０-９]{1,2}(?:[.．-][0-9０-９]{1,2})*)(?:[.．、)）]\s*|\s+)(?=\S)(?![0-9０-９])"
)
NUMBERED_PAREN = re.compile(r"^[（(][0-9０-９]{1,2}[)）]\s*[^\s0-9０-９]")
# 「一、町民のために」「二．方針」
NUMBERED_KANJI = re.compile(r"^[一二三四五六七八九十]{1,3}[、.．]\s*\S")
# 「■広域連携の必要性」
MARKED = re.compile(r"^(?P<mark>[■◆□◇▼▽])\s*\S")
# 「【推進体制の全体像】」「＜先進地視察＞」「[体制図]」
BRACKETED = re.compile(
    r"^(?:【[^【】]{1,60}】|[<＜〈《][^<>＜＞〈〉《》]{1,60}[>＞〉》]|[\[［〔][^\[\]［］〔〕]{1,60}[\]］〕])$"
)
# 「（兵庫県）」「(システム標準化支援)」
PARENTHESISED = re.compile(r"^[（(][^（）()]{1,40}[)）]$")
# 「【担当部署】 企画課（電話：…）」 a label and its value on one line
LABELLED = re.compile(r"^【(?P<label>[^【】]{1,20})】\s*(?=\S)")
# 「関連URL：…」「受賞歴等：…」
COLON_LABEL = re.compile(r"^[^\s：:。、（(]{2,12}[：:]\s*\S")
# 「担当部署 企画課」「☆担当：企画課☆」「問合せ先：総務課」
CONTACT_LABEL = re.compile(
    r"^(?:[☆★※◎]\s*)?(?:担当|所管)(?:部署|課|部局|部課|窓口)?(?:[:：]|(?<=[署課局口])\s)\s*\S|^(?:お?問い?合わ?せ|連絡)先[\s:：]+\S"
)
# 「今後の展望を教えてください。」「取組にコストはかかりましたか。」「費用は？」
QUESTION_END = re.compile(
    r"(?:教え|聞かせ|説明し|述べ|話し|示し)て?(?:みて)?(?:ください|下さい|ほしい|欲しい)[。！!]*+$|か[。？?]*+$|(?<![？?])[？?]++$"
)
# 「石田委員：利用はどうですか。」「佐伯委員　件数は何件ですか。」 who speaks, unless it is the question's own label: 「質問：…」
SPEAKER = re.compile(
    r"^(?!(?:ご?質問|問い?|設問)[0-9０-９]*\s*[：:])[^\s：:。、！？!?]{1,20}"
    r"(?:[：:]|(?:(?<=[員長事氏])|(?<=さん)|(?<=事務局)|(?<=[)）]))\u3000)\s*\S"
)
QUESTION_MARK = re.compile(
    r"^(?:[QＱ][0-9０-９]*\s*[.．:：、)）]?\s*|[問質][0-9０-９]+\s*[.．:：、)）]?\s*)(?=\S)"
)
# 「１　日時　令和7年7月8日」「■ 導入費用 1,320万円」 a label and its value after a number or a mark
VALUED = re.compile(
    r"^(?:[0-9０-９]{1,2}+[.．、)）]?+|[■◆□◇▼▽])[\s\u3000]*+[^\s：:。、，]{1,12}(?:[ \u3000]+|[：:])\s*\S"
)
# 「・項目」「- 項目」「① 項目」「1. 項目」「➤ 要点」「※注」
BULLET = re.compile(
    r"^\s*(?:[-–—•・○●◎◇◆□■▪▶➤➢►✓✔☑★☆※→⇒●*+]|[①-⑳❶-❿]|[0-9０-９]{1,2}[.．)）]|[（(][0-9０-９a-zA-Zア-ンｱ-ﾝ]{1,2}[)）])\s*(?=\S)"
)
CIRCLED = re.compile(r"^\s*(?:[-・]\s*)?([①-⑳])")
# 「| 列 | 列 |」
TABLE_ROW = re.compile(r"^\s*(?:-\s*)?\|.*\|?\s*$")
# 「… 16」「‥‥12」「...... 3」 at the end of a line, bars and spaces apart
LEADER = re.compile(
    r"(?:[…‥]|(?<![・.．])[・.．]{3,}+|(?<![-ー─])[-ー─]{3,}+)[\s|]*+(?:p\.?\s*+)?[0-9０-９]{1,4}[\s|]*+$"
)
CONTENTS_WORD = re.compile(r"(?:目\s*次|もくじ|CONTENTS|Contents)\s*$")
# 「…を導入した」「…が必要である」: a sentence that lost its full stop
PREDICATE_END = re.compile(r"(?:する|した|です|ます|ました|ない|いる|ある|れる|せる|った|いく|だ|い)$")
# 「令和6年4月24日」「2023年9月12日（火）」
DATE_ONLY = re.compile(
    r"^(?:(?:令和|平成|昭和|[RHS])\s*[0-9０-９元]{1,2}|[0-9０-９]{4})\s*年[\s0-9０-９年月日度版（）()月火水木金土日]*$"
)
SENTENCE_END = re.compile(r"[。！？!?」』）)】：:；;]$")
# 「---」「title: 計画」「tags:」「  - 窓口」「---」 at the head of Markdown: keys with values, and lists of them
FRONT_MATTER = re.compile(
    r"---[ \t]*\n(?:(?:[A-Za-z_][\w-]*[ \t]*:.*|[ \t]+\S.*|-[ \t]+\S.*|#.*|[ \t]*)\n){1,60}?---[ \t]*(?:\n|$)"
)
# 「Copyright(c) …」
COPYRIGHT = re.compile(r"^(?:copyright|©|\(c\)\s)", re.IGNORECASE)
# 「- 3 -」「12 / 40」「P.5」 a page number printed on a line of its own
PAGE_NUMBER = re.compile(
    r"^(?:[-–—―－]\s*[0-9０-９]{1,4}\s*[-–—―－]|[pPｐＰ][.．]?\s*[0-9０-９]{1,4}|[0-9０-９]{1,4}\s*/\s*[0-9０-９]{1,4})$"
)
# 「● 未 ● 作業中 ● 完了済み」 the options of a form on a screen, the last two of them
WIDGETS = re.compile(r"(?:[●○◉□☐☑▽]\s*+[^\s●○◉□☐☑▽]{1,8}+\s*+){2}[●○◉□☐☑]?$")
# 「https://example.jp/k/109/show#record=85&id=1」 an address bar: a bare address with a query or fragment
ADDRESS_BAR = re.compile(r"^https?://\S[^\s?#&]*+[?#&][^\s=]*+=\S*+(?:\s.{0,8})?$")
# 「担当者一覧 - 青葉野市 x +」 a browser's tabs
TAB_BAR = re.compile(r"\s[x×✕]\s*[+＋]$")

RANK: dict[str, int] = {
    "chapter": 10,
    "numbered": 20,
    "part": 25,
    "marked": 30,
    "plain": 40,
    "question": 45,
    "bracketed": 50,
    "numbered item": 60,
    "parenthesised": 80,
}
"""Which form of heading stands over which: the smaller number is the outer one. a heading that the format itself gives has its
level, and stands over all of these."""
PICTURE_GAP = 3
"""Blank lines in a row from which a lost picture is assumed; a paragraph break is one blank line."""
HEADING_CHARS = 60
"""Longest heading, in characters: interview questions of two sentences reach 50."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line break; `number` counts from 0."""

    number: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring lines of one kind.

    `kind` is heading, paragraph, list, table, label (a 【label】 with its value) or record (a row of a list, with its
    `row` and `title`). `form` says by which rule a heading was seen: "styled" where the format gives it, with its
    `level`; an item that was written as a heading keeps its form. `gap` and `gap_after` are the blank lines before and
    after. `searched` is False for furniture, with `why`.
    """

    kind: str
    start: int
    end: int
    lines: tuple[Line, ...]
    gap: int
    gap_after: int = 0
    form: str = ""
    searched: bool = True
    why: str = ""
    level: int = 0
    row: int = 0
    title: str = ""

    @property
    def text(self) -> str:
        """The block's words: its lines, without those between them that are blank."""
        return "\n".join(line.text for line in self.lines)


def split_lines(text: str) -> list[Line]:
    """The lines of a text with their offsets; a last line without a break counts too."""
    lines, start = [], 0
    for number, piece in enumerate(text.split("\n")):
        lines.append(Line(number, start, start + len(piece), piece))
        start += len(piece) + 1
    return lines


def plain(line: str) -> str:
    """A line without emphasis marks and outer space: the form that the rules above look at."""
    return line.replace("**", "").strip()


def split_blocks(text: str, marks: Sequence[Mark] = ()) -> list[Block]:
    """The blocks of a text in order, headings recognised, furniture marked; `marks` are what the format says of it."""
    blocks = _group(split_lines(text), marks)
    blocks = _numbered_openings(blocks)
    blocks = _headings(blocks)
    blocks = _furniture(blocks)
    front = FRONT_MATTER.match(text)
    return [
        replace(block, kind="paragraph", form="", searched=False, why="front matter")
        if front and block.end <= front.end()
        else block
        for block in blocks
    ]


def rank(block: Block) -> int:
    """A heading's depth as a number to compare: the smaller is the outer one.

    「第1章」 stands over 「1.2 現状」 stands over 「■目的」; a dotted number is as deep as it has parts.
    """
    words = plain(block.text)
    if block.form == "styled":
        return block.level
    if block.form == "chapter":
        found = CHAPTER.match(words)
        return RANK["chapter"] + "編部章節款".find((found["unit"] if found else "") or "章")
    if block.form == "numbered":
        found = NUMBERED.match(words)
        return RANK["numbered"] + (len(re.findall(r"[.．-][0-9０-９]", found["number"])) if found else 0)
    return RANK[block.form]


# ---------------------------------------------------------------- grouping


def _group(lines: list[Line], marks: Sequence[Mark]) -> list[Block]:
    levels = {mark.start: mark.level for mark in marks if mark.kind == "heading"}
    records = [mark for mark in marks if mark.kind == "record"]
    blocks: list[Block] = []
    run: list[Line] = []
    members: dict[int, list[Line]] = {}  # the lines of records, by the place of their block
    gap, record = 0, 0
    for line in [*lines, Line(len(lines), 0, 0, "")]:
        while record < len(records) and line.start >= records[record].end:
            record += 1
        inside = record < len(records) and records[record].start <= line.start < line.end
        if line.text.strip() and not inside:
            if not run and blocks:
                blocks[-1] = replace(blocks[-1], gap_after=gap)
            run.append(line)
            continue
        if run:
            blocks.extend(_split_run(run, gap, levels))
            run, gap = [], 0
        if inside and line.text.strip():
            if line.start == records[record].start:
                if blocks:
                    blocks[-1] = replace(blocks[-1], gap_after=gap)
                blocks.append(_record(records[record], gap))
            members.setdefault(len(blocks) - 1, []).append(line)
            gap = 0
        else:
            gap += 1
    if blocks:
        blocks[-1] = replace(blocks[-1], gap_after=gap)
    for place, held in members.items():
        blocks[place] = replace(blocks[place], lines=(*blocks[place].lines, *held))
    return blocks


def _record(mark: Mark, gap: int) -> Block:
    return Block("record", mark.start, mark.end, (), gap, row=mark.row, title=mark.title)


def _split_run(run: list[Line], gap: int, levels: dict[int, int]) -> list[Block]:
    """Lines without a blank line between them, cut where the kind changes; `levels` are those of headings by place."""
    tabs = sum("\t" in line.text for line in run)
    as_table = tabs >= 2 and tabs * 3 >= len(run)
    pieces: list[tuple[str, str, list[Line]]] = []
    for index, line in enumerate(run):
        following = run[index + 1] if index + 1 < len(run) else None
        if line.start in levels:
            kind, form = "heading", "styled"
        else:
            kind, form = _line_kind(line, following, alone=len(run) == 1, first=index == 0, as_table=as_table)
        # A line that goes on under a bullet belongs to it: 「※講師は、\n県の補佐官」
        if (kind == "paragraph" and pieces and pieces[-1][0] in {"list", "label"} and not as_table) or (
            pieces and pieces[-1][0] == kind and kind != "heading"
        ):
            pieces[-1][2].append(line)
        else:
            pieces.append((kind, form, [line]))
    blocks = []
    for number, (kind, form, members) in enumerate(pieces):
        found = MARKDOWN.match(members[0].text) if form == "styled" else None
        level = levels.get(members[0].start) or (len(found[1]) if found else 0)
        blocks.append(
            Block(
                kind,
                members[0].start,
                members[-1].end,
                tuple(members),
                gap if number == 0 else 0,
                form=form,
                level=level,
            )
        )
    return blocks


def _line_kind(
    line: Line, following: Line | None, *, alone: bool, first: bool, as_table: bool
) -> tuple[str, str]:
    words = plain(line.text)
    if MARKDOWN.match(line.text):
        return "heading", "styled"
    if TABLE_ROW.match(line.text) and words.count("|") >= 2:
        return "table", ""
    if as_table or line.text.count("\t") >= 2:
        return "table", ""
    if MARKED.match(words) and len(words) <= HEADING_CHARS and not words.endswith("。"):
        return "heading", "marked"
    if BRACKETED.match(words) and "://" not in words and letters(words) > 1:
        return "heading", "bracketed"
    # In the middle of a list it heads the bullets after it, else it goes on with the line before it.
    opens = first or (following is not None and BULLET.match(following.text))
    if (
        opens
        and PARENTHESISED.match(words)
        and letters(words) > 1
        and not re.search(r"[。、：:…]|https?", words)
    ):
        return "heading", "parenthesised"
    if LABELLED.match(words):
        return "label", ""
    if QUESTION_MARK.match(words) and len(words) <= 2 * HEADING_CHARS and (alone or first):
        return "heading", "question"
    if CHAPTER.match(words) and len(words) <= HEADING_CHARS and not words.endswith("。") and (alone or first):
        return "heading", "chapter"
    if alone and len(words) <= 2 * HEADING_CHARS and not words.endswith("。"):
        if NUMBERED.match(words):
            return "heading", "numbered"
        if len(words) <= 40 and (
            NUMBERED_PAREN.match(words) or NUMBERED_KANJI.match(words) or CIRCLED.match(words)
        ):
            return "heading", "numbered item"
    if (COLON_LABEL.match(words) and "http" in words) or CONTACT_LABEL.match(words):
        return "label", ""
    if BULLET.match(words):
        return "list", ""
    return "paragraph", ""


# ---------------------------------------------------------------- headings


def _numbered_openings(blocks: list[Block]) -> list[Block]:
    """The blocks, the first line of some cut off as a heading: 「２　議題」 right above its 「（１）…」, after the heading 「１　開会」.

    It goes on with the numbers of the headings, or is the first of them over items of another form; no line below it goes on
    with its own number.
    """
    out: list[Block] = []
    last: dict[str, int] = {}  # the number of the last heading, by what stands before it: 「2.」 of 「2.3」
    for index, block in enumerate(blocks):
        words = plain(block.lines[0].text) if block.lines else ""
        level, number = _number(words) if block.kind in {"heading", "list", "paragraph"} else ("", 0)
        if number and block.form == "numbered":
            last[level] = number
        elif number and (block.gap > 0 or index == 0) and _opens(words):
            below = list(block.lines[1:])
            for place in range(index + 1, len(blocks)):
                if blocks[place].gap > 0:
                    break
                below += blocks[place].lines
            first = plain(below[0].text) if below else ""
            over_items = bool(NUMBERED_PAREN.match(first) or CIRCLED.match(first))
            goes_on = last.get(level) == number - 1 if number > 1 else over_items
            if first and goes_on and all(_number(plain(line.text)) != (level, number + 1) for line in below):
                line, *rest = block.lines
                out.append(Block("heading", line.start, line.end, (line,), block.gap, form="numbered"))
                out.extend(_split_run(rest, 0, {}) if rest else ())
                out[-1] = replace(out[-1], gap_after=block.gap_after)
                last[level] = number
                continue
        out.append(block)
    return out


def _number(words: str) -> tuple[str, int]:
    """What a line's number begins with, and its last part, 0 without a number: ("2.", 3) of 「2.3 現状」."""
    found = NUMBERED.match(words)
    if not found:
        return "", 0
    before, last = re.fullmatch(r"(.*?)([0-9０-９]+)", found["number"]).groups()  # type: ignore[union-attr]
    return before, int(last)


def _opens(words: str) -> bool:
    """Whether a numbered line is as short and bare as a heading: 「３　議題」."""
    if re.match(r"[0-9０-９]+\s*[年月日時分人件名円回%％]", words):
        return False  # 「4 月1日から」
    return len(words) <= HEADING_CHARS // 2 and not re.search(r"[。、，：:；;|\t]", words)


def _headings(blocks: list[Block]) -> list[Block]:
    """Standalone lines that head what follows: interview questions and short lines without a full stop."""
    found, deck = list(blocks), is_deck(blocks)
    for index, block in enumerate(blocks[:-1]):
        if block.kind != "paragraph" or len(block.lines) != 1 or (block.gap == 0 and index > 0):
            continue
        words, following = plain(block.text), blocks[index + 1]
        # 「(青葉野市)」 「利用料を教えてほしい。」: what a speaker asks heads nothing, the speaker does
        before = blocks[index - 1] if index > 0 else None
        spoken = (
            before is not None
            and before.form == "parenthesised"
            and max(before.gap, before.gap_after) < PICTURE_GAP
        )
        if (
            not spoken
            and len(words) <= 2 * HEADING_CHARS
            and not SPEAKER.match(words)
            and QUESTION_END.search(words)
            and _is_question(words, following)
        ):
            found[index] = replace(block, kind="heading", form="question")
        elif _is_short_heading(words, following, titles_slide=deck and block.gap >= PICTURE_GAP):
            found[index] = replace(block, kind="heading", form="plain")
    if sum(b.form == "marked" for b in found) >= 3:
        # Where headings carry marks (■), a standalone line without one names a part: 「意見交換」
        found = [replace(b, form="part") if b.form == "plain" else b for b in found]
    items: set[int] = set()
    # From the end, so that a heading that heads nothing is seen before the one above it is judged.
    for index in range(len(found) - 1, -1, -1):
        block = found[index]
        weak = block.form in {"part", "plain", "parenthesised", "numbered item"} or (
            # a question right before 「■次の議題」 has no answer, and must not be lost
            block.form == "question"
            and not QUESTION_MARK.match(plain(block.text))
            and found[index + 1 : index + 2]
            and found[index + 1].kind == "heading"
            and rank(found[index + 1]) <= RANK["marked"]
        )
        # 「（1）課長」 over 「（2）係長」 heads no more than that does
        over_item = index + 1 in items and bool(NUMBERED_PAREN.match(plain(block.text)))
        if weak and (over_item or not _has_body(found, index)):
            if NUMBERED_PAREN.match(plain(block.text)):
                items.add(index)
            found[index] = replace(block, kind="paragraph", form="")
    return _items(found)


def _items(blocks: list[Block]) -> list[Block]:
    """Headings with nothing under them that are items of a list become lists, and keep their form.

    「１　日時　7月8日」 before 「２　場所　大会議室」, 「■書かない窓口」 right above 「■オンライン申請」. One whose words come back as a
    heading announces it: such a list is one of contents.
    """
    found = list(blocks)
    recurring = Counter(squeeze(b.text) for b in blocks if b.kind == "heading")
    before: Block | None = None  # the last heading of this form, with its kind as it is now
    for index, block in enumerate(blocks):
        if block.kind != "heading" or block.form not in {"numbered", "marked"}:
            before = before if block.form not in {"chapter", "styled"} else None
            continue
        after = blocks[index + 1] if index + 1 < len(blocks) else None
        valued = bool(VALUED.match(plain(block.text)))
        in_row = (before is not None and _follows(before, block)) or (
            after is not None and _follows(block, after)
        )
        if recurring[squeeze(block.text)] == 1 and (
            (
                not _has_body(blocks, index)
                and (in_row if block.form == "numbered" else valued or _touches(blocks, index))
            )
            # 「４　内容　（１）基礎」 over 「（２）書き方」 is of one kind with the items above it
            or (valued and before is not None and before.kind == "list" and _follows(before, block))
        ):
            found[index] = replace(block, kind="list")
        before = found[index]
    return found


def _follows(one: Block, other: Block) -> bool:
    """Whether a numbered heading or item has the number after another's."""
    if not one.form == other.form == "numbered":
        return False
    (level, number), following = _number(plain(one.text)), _number(plain(other.text))
    return following == (level, number + 1)


def _touches(blocks: list[Block], index: int) -> bool:
    """Whether a line stands right under or over another with the same mark (■), without a blank line between them."""
    mark = plain(blocks[index].text)[0]
    pairs = ((index, index + 1), (index - 1, index))
    return any(
        one >= 0
        and other < len(blocks)
        and blocks[other].gap == 0
        and all(b.form == "marked" and plain(b.text)[0] == mark for b in (blocks[one], blocks[other]))
        for one, other in pairs
    )


def _has_body(blocks: list[Block], index: int) -> bool:
    """Whether something stands under a heading before the next heading of its rank."""
    if index + 1 == len(blocks):
        return False
    block, following = blocks[index], blocks[index + 1]
    if block.form == "parenthesised":
        return following.kind != "heading" and letters(re.sub(r"https?://\S+", "", following.text)) >= 15
    if following.kind != "heading":
        return letters(following.text) > 0
    if block.form == following.form == "plain":
        return True  # 「参考資料」「共同宣言」 one under the other: the first heads the second
    if block.form == "plain" and index > 0 and blocks[index - 1].form == following.form:
        return False  # the one line between two numbered items is what the first says
    return rank(following) > rank(block)


def _is_question(words: str, following: Block) -> bool:
    # A question heads what is not another lone question; an answer is longer than a word.
    return following.kind in {"list", "table", "label", "heading"} or not (
        len(following.lines) == 1 and QUESTION_END.search(plain(following.text))
    )


def _is_short_heading(words: str, following: Block, titles_slide: bool = False) -> bool:
    """「事業の概要」「意見交換」: short, no punctuation inside or at the end, with something under it.

    A slide's title may hold a comma where a list or a table stands under it: 「やめたもの、続けているもの」.
    """
    if letters(words) < 2 or len(words) > HEADING_CHARS - 5 or "://" in words or "@" in words or "※" in words:
        return False
    outside = re.sub(r"[（(][^（）()]*[)）]", "", words)
    if titles_slide and following.kind in {"list", "table"} and following.gap < PICTURE_GAP:
        outside = outside.replace("、", "")
    if re.search(r"[。、，,：:；;=＝→⇒←↑↓|]", outside) or (
        len(outside) > 14 and PREDICATE_END.search(outside)
    ):
        return False
    if DATE_ONLY.match(words) or following.kind == "label":
        return False
    if re.match(r"^[-－―ー※☆★×+\d]", words) or re.search(r"\d{2,4}-\d{2,4}-\d{3,4}", words):
        return False
    if letters(re.sub(r"[A-Za-z0-9０-９]", "", words)) < 2:
        return False
    if following.gap >= PICTURE_GAP and following.kind == "paragraph" and len(following.text) < 40:
        return False  # a caption between two pictures
    return following.kind in {"list", "table", "heading"} or len(following.text) > len(words)


# ---------------------------------------------------------------- furniture


def _furniture(blocks: list[Block]) -> list[Block]:
    """Marks what is not an answer; nothing is removed from the text."""
    out = list(blocks)

    def drop(index: int, why: str) -> None:
        if out[index].searched:
            out[index] = replace(out[index], searched=False, why=why)

    for index in contents_blocks(blocks):
        drop(index, "contents")
    heading_keys = sorted(squeeze(b.text) for b in blocks if b.kind == "heading")
    for index, block in enumerate(blocks):
        if block.kind == "record":
            continue
        words = plain(block.text)
        if all(PAGE_NUMBER.match(plain(line.text)) for line in block.lines):
            drop(index, "page number")
        elif COPYRIGHT.match(words) and len(block.lines) == 1:
            drop(index, "copyright")
        elif (
            block.form == "bracketed"
            and not re.match(r"【\s*\d", words)
            and block.gap_after >= PICTURE_GAP
            and blocks[index + 1 : index + 2]
            and blocks[index + 1].kind == "heading"
        ):
            drop(index, "picture label")  # 「＜先進地視察＞」 over a photograph
        elif (
            len(block.lines) == 1
            and PARENTHESISED.match(words)
            and max(block.gap, block.gap_after) >= PICTURE_GAP
        ):
            drop(index, "picture label")  # 「(総務省)」 under a portrait
        elif block.kind == "list" and len(block.lines) >= 3 and _announces(block, heading_keys):
            drop(index, "contents")
    for first, last in _screenshots(blocks):
        for index in range(first, last + 1):
            drop(index, "screenshot")
    return out


def is_deck(blocks: list[Block]) -> bool:
    """Whether a text is the text of slides: lost pictures stand between a good part of its blocks."""
    gaps = sum(block.gap >= PICTURE_GAP for block in blocks)
    return gaps >= 5 and gaps * 12 >= len(blocks)


def contents_blocks(blocks: list[Block]) -> list[int]:
    """The blocks of a table of contents: rows that end in a leader and a page number, what heads them, and
    what stands between them (a legend, category lines)."""
    rows = [
        index
        for index, block in enumerate(blocks)
        if block.kind != "record"
        and sum(bool(LEADER.search(line.text)) for line in block.lines) * 2
        > sum(1 for line in block.lines if letters(line.text)) - 1
        and any(LEADER.search(line.text) for line in block.lines)
        and (block.kind == "table" or len(block.lines) >= 2 or block.kind == "list" or len(block.text) < 80)
    ]
    titles = [
        i
        for i, b in enumerate(blocks)
        if len(b.lines) <= 2 and CONTENTS_WORD.search(plain(b.text)) and len(b.text) < 60
    ]
    found: set[int] = set()
    for number, title in enumerate(titles):
        limit = titles[number + 1] if number + 1 < len(titles) else len(blocks)
        inside = rows[bisect_right(rows, title) : bisect_left(rows, limit)]
        # rows that stand together; a far one belongs to something else
        last = title
        for row in inside:
            if row - last > 12:
                break
            last = row
        found.update(range(title, last + 1))
    if not titles and len(rows) >= 1:
        found.update(rows if sum(len(blocks[r].lines) for r in rows) >= 3 else [])
    return sorted(found)


def _announces(block: Block, heading_keys: list[str]) -> bool:
    """Whether most lines of a list come back as headings: a slide of contents without page numbers.

    `heading_keys` are in ascending order: the first that is not before a line begins with it, if any does.
    """
    lines = [squeeze(line.text)[:12] for line in block.lines]
    places = [bisect_left(heading_keys, line) for line in lines]
    hits = sum(
        len(line) >= 4 and place < len(heading_keys) and heading_keys[place].startswith(line)
        for line, place in zip(lines, places, strict=True)
    )
    return hits * 10 >= len(lines) * 6 and all(NUMBERED.match(plain(line.text)) for line in block.lines)


def _screenshots(blocks: list[Block]) -> list[tuple[int, int]]:
    """Runs of blocks that are the text of a picture of a screen: an address bar or tabs, then widgets."""
    regions, index = [], 0
    while index < len(blocks):
        if any(
            ADDRESS_BAR.match(plain(line.text)) or TAB_BAR.search(plain(line.text))
            for line in blocks[index].lines
        ):
            last, signs = index, 1
            for later in range(index + 1, len(blocks)):
                if blocks[later].form in {"styled", "chapter", "numbered"}:
                    # the short lines before it are the picture's too
                    if later - last <= 3 and all(len(b.text) < 30 for b in blocks[last + 1 : later]):
                        last = later - 1
                    break
                if any(
                    WIDGETS.search(plain(line.text))
                    or ADDRESS_BAR.match(plain(line.text))
                    or TAB_BAR.search(plain(line.text))
                    for line in blocks[later].lines
                ):
                    last, signs = later, signs + 1
                elif later - last > 4:
                    break
            if signs >= 2:
                regions.append((index, last))
                index = last
        index += 1
    return regions
