"""Web pages (.html): the main content, as a browser would show it, without what leads to other pages.

In: the bytes of a file. Out: a Source with h1 to h6 as headings, lists with their numbers or 「・」, tables with merged cells filled
in. Left out, by form only: navigation, headers and footers of the page, widgets of forms, scripts, hidden parts, texts of pictures.
Nothing that a page refers to is fetched. Knows nothing about what the words mean.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from itertools import islice

import lxml.html
from lxml import etree

from corpus.readers.assembly import REPEATED_CHARS, Assembly, one_line
from corpus.readers.decoding import decode
from corpus.readers.drawings import Element
from corpus.readers.numerals import numeral
from corpus.readers.source import ReadError, Source
from corpus.text import letters

MAX_BYTES = 128 * 1024 * 1024
"""Longest page: a table of 100,000 rows takes about 10 MB."""
MAX_NODES = 16_000_000
"""Most tags and attributes (counted by their signs), at about 100 bytes each: 1 to 2 GB at worst."""
MAX_SPAN = 1000
"""Most columns that a cell may span, as in browsers."""
MAX_FILLED = 2_000_000
"""Most cells of a table that merged cells may fill in, above which they stand where they begin only."""
_DEEPEST = 150
"""Elements inside one another, below which only the words are read."""
_ADVICE = "画像だけのページや、表示するときに内容を読み込むページの場合は、ブラウザーで開き、本文を含む形で保存し直してください。"

# fmt: off
_SKIPPED = frozenset({
    "title", "script", "style", "noscript", "template", "nav", "aside", "svg", "math", "iframe", "object", "embed",
    "audio", "video", "canvas", "map", "img", "picture", "dialog", "select", "option", "datalist", "input", "textarea",
    "output", "progress", "meter", "rt", "rp", "frameset", "noframes",
})
_SKIPPED_ROLES = frozenset({
    "navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar", "tablist", "toolbar", "dialog",
    "alertdialog",
})
_BLOCKS = frozenset({
    "html", "body", "main", "article", "section", "div", "p", "header", "footer", "hgroup", "h1", "h2", "h3", "h4",
    "h5", "h6", "ul", "ol", "li", "menu", "dl", "dt", "dd", "dir", "table", "caption", "thead", "tbody", "tfoot", "tr",
    "td", "th", "pre", "blockquote", "figure", "figcaption", "details", "summary", "address", "fieldset", "legend",
    "form", "center", "hr", "search",
})
# fmt: on
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)\b[^>]{0,300}?\b(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]{2,40})""",
    re.IGNORECASE,
)
# what may stand in a text and not in a tree of lxml, which refuses it when words are moved
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x7f\ufffe\uffff]")
_SEPARATORS = re.compile("[\x0b\x0c\x1c-\x1f]")
_REFERENCE = re.compile(
    r"&#(?:[xX](?=[0-9A-Fa-f])0*+(?P<hex>[0-9A-Fa-f]{0,4})(?![0-9A-Fa-f])|(?=[0-9])0*+(?P<decimal>[0-9]{0,5})(?![0-9]));?"
)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,200}\?>")
# labels of the encodings that Japanese pages declare; what a browser takes for Shift_JIS is CP932
_CODECS = {
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "ms_kanji": "cp932",
    "windows-31j": "cp932",
    "x-euc-jp": "euc_jp",
}
_JAPANESE = frozenset({"utf-8", "cp932", "euc_jp", "iso2022_jp", "utf-16"})
# white space that a line break of the source makes between two Japanese characters: no space is meant
_WRAP = re.compile(
    r"(?<=[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef])[ \t\f]*+[\r\n][ \t\r\n\f]*+(?=[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef])"
)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_BREAK = "\x00"
"""Stands for a <br> until white space is folded; no page can hold it."""
# 「ホーム ＞ 暮らし ＞ 手続」 the way to the page
_CRUMB = re.compile(r"[>＞›»/／]")
_LIST_SYSTEMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_MOST_IN_A_LINE = 60
"""Elements in a block above which it is no single line of links."""
_SHORT_LINK = 20
"""Mean length, in characters, up to which a list of nothing but links is a menu; titles of documents are longer."""


def read(data: bytes) -> Source:
    """The canonical text of a web page's bytes; raises ReadError for what cannot be read as one."""
    if len(data) > MAX_BYTES or data.count(b"<") + data.count(b"=") > MAX_NODES:
        raise ReadError("ページが大きすぎます。分けて保存し直してください。")
    text, encoding, warnings = _decoded(data)
    # libxml2 would silently stop at a depth of 256, which unclosed tags reach; memory is bounded by the limits above
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    page = _REFERENCE.sub(_referred, _without_codes(_DECLARATION.sub("", text))).encode("utf-8", "replace")
    try:
        root = lxml.html.document_fromstring(page, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise ReadError(f"文字情報がありません。{_ADVICE}") from error
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise ReadError("タグの入れ子が深すぎて読めません。ブラウザーで開き、保存し直してください。")
    reader = _Reader()
    title = root.find(".//title")
    name = one_line(title.text_content()) if title is not None else ""
    _prune(root)
    for scope in _scopes(root):
        reader.flow(scope, 0)
        reader.flush()
    return reader.out.source(
        format="html",
        encoding=encoding,
        title=_title(name, reader.headings),
        warnings=tuple(warnings),
        advice=_ADVICE,
    )


def _without_codes(text: str) -> str:
    """A text without control codes; those that separate are a space."""
    return _SEPARATORS.sub(" ", _CONTROLS.sub("", text))


def _referred(reference: re.Match[str]) -> str:
    """A numeric reference as it is, or what stands for a control code that it names."""
    if reference["decimal"] is None:
        char = chr(int(reference["hex"] or "0", 16))
    else:
        char = chr(int(reference["decimal"] or "0"))
    clean = _without_codes(char)
    return reference[0] if clean == char else clean


def _decoded(data: bytes) -> tuple[str, str, list[str]]:
    """A page's text, its encoding, warnings: the byte order mark decides, then what the page declares, then a trial."""
    declared = _declared(data)
    if declared and not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode(declared), declared, []
        except UnicodeDecodeError:
            pass
    try:
        text, encoding = decode(data)
    except ReadError:
        if not declared:
            raise
        text = data.decode(declared, errors="replace")
        if text.count("\ufffd") * 100 > len(text):
            raise
        return text, declared, ["文字コードに合わない部分があり、「\ufffd」に置き換えました。"]
    return text, encoding, []


def _declared(data: bytes) -> str | None:
    """The Python codec of the Japanese encoding that a page declares in its first bytes."""
    found = _CHARSET.search(data[:4096])
    if not found:
        return None
    name = found[1].decode("ascii").lower()
    try:
        codec = codecs.lookup(_CODECS.get(name, name)).name
    except LookupError:
        return None
    # a declaration that can be read as ASCII does not stand in UTF-16
    return codec if codec in _JAPANESE and codec != "utf-16" else None


# ---------------------------------------------------------------- the main content


def _prune(root: Element) -> None:
    """Takes out of the tree what is not part of the content or not seen; the words after it stay."""
    # what a button opens is seen by whoever presses it: the answers of a folded list of questions
    opened = {
        name for button in root.iter() if (named := button.get("aria-controls")) for name in named.split()
    }
    waiting: list[tuple[Element, frozenset[str]]] = [(root, frozenset())]
    while waiting:
        element, above = waiting.pop()
        inside = above | _ROOMS.get("main" if element.get("role") == "main" else element.tag, frozenset())
        before: Element | None = None
        after: list[str] = []  # words that follow what was taken out after `before`
        for child in [*element, None]:
            if child is not None and _is_left_out(child, inside, opened):
                after.append(child.tail or "")
                element.remove(child)
                continue
            words = "".join(after)
            if words and before is None:
                element.text = (element.text or "") + words
            elif words and before is not None:
                before.tail = (before.tail or "") + words
            before, after = child, []
            if child is not None:
                waiting.append((child, inside))


def _is_left_out(element: Element, inside: frozenset[str], opened: set[str]) -> bool:
    """Whether an element is no content; `inside` says what it stands in, `opened` are the ids of folded parts."""
    tag = element.tag
    if not isinstance(tag, str) or tag in _SKIPPED or element.get("role") in _SKIPPED_ROLES:
        return True
    if element.get("id") not in opened and (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or _HIDDEN.search(element.get("style", ""))
    ):
        return True
    if tag == "button":  # in a heading it folds what stands under it
        return "heading" not in inside
    if tag == "label":
        return "form" in inside
    # the header and footer of the page, not of an article in it
    return (tag in {"header", "footer"} and "content" not in inside) or "BreadcrumbList" in element.get(
        "itemtype", ""
    )


_ROOMS = {
    "main": frozenset({"content"}),
    "article": frozenset({"content"}),
    "form": frozenset({"form"}),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6", "dt", "summary"), frozenset({"heading"})),
}
"""What an element is to those inside it."""


def _scopes(root: Element) -> list[Element]:
    """The elements to read: <main>, else the articles where most words stand in them, else the whole page."""
    mains = root.xpath("//*[self::main or @role='main'][not(ancestor::*[self::main or @role='main'])]")
    if sum(letters(main.text_content()) for main in mains):
        return list(mains)
    articles = root.xpath("//article[not(ancestor::article)]")
    if articles and 2 * sum(letters(a.text_content()) for a in articles) >= letters(root.text_content()):
        return list(articles)
    return [root]


def _leads_elsewhere(element: Element, opening: bool) -> bool:
    """Whether a block is nothing but short links: a menu, the way to the page, 「本文へ」.

    `opening`: before the first heading of the page two links are a menu, 「トップ」「市政」; below one they may be its matter.
    """
    lists = element.tag in {"ul", "ol", "menu", "dir"}
    if not lists and sum(1 for _ in islice(element.iter(), _MOST_IN_A_LINE + 1)) > _MOST_IN_A_LINE:
        return False
    links = [link for link in element.iter("a") if link.get("href") is not None]
    if not links:
        return False
    all_words, linked = one_line(element.text_content()), [one_line(link.text_content()) for link in links]
    if lists:
        return (
            len(links) >= (2 if opening else 3)
            and sum(map(len, linked)) >= 0.9 * len(all_words)
            and sum(map(len, linked)) <= _SHORT_LINK * len(links)
            and element.find(".//table") is None
        )
    if len(all_words) > 200:
        return False
    if len(links) == 1 and links[0].get("href", "").startswith("#") and linked[0] == all_words:
        return True
    steps = _CRUMB.split(all_words)
    return (
        len(links) >= 2
        and len(steps) >= 2
        and all(step.strip() for step in steps)
        and 2 * sum(map(letters, linked)) >= letters(all_words)
    )


def _title(title: str, headings: list[tuple[int, str]]) -> str | None:
    """The first h1, else the page's title: without the site's name where what is left is a heading of the page."""
    first = next((words for level, words in headings if level == 1), None)
    if first:
        return first
    named = {words for _, words in headings}
    pieces = re.split(r"\s*[|｜]\s*|\s+[-–—]\s+", title)
    return next((piece for piece in pieces if piece in named), title) or None


# ---------------------------------------------------------------- the flow


@dataclass(slots=True)
class _Item:
    """A list item that is open: its number or sign until it is written, whether it was, whether it begins a list, and whether
    it is no item but a card with a heading."""

    sign: str
    written: bool = False
    first: bool = False
    card: bool = False


class _Reader:
    """Reads elements into an assembly; words wait in a buffer until a block begins or ends."""

    def __init__(self) -> None:
        self.out = Assembly()
        self.headings: list[tuple[int, str]] = []
        self.buffer: list[str] = []
        self.items: list[_Item] = []
        self.term = False  # a dt is written, and its dd follows it without an empty line
        self.above = 1  # the level of the heading that folded parts stand under
        self.folds: list[int] = []  # the levels of the open parts whose summary is a heading

    def flow(self, element: Element, depth: int) -> None:
        """An element's content, in order."""
        if depth > _DEEPEST:
            self.buffer.append(element.text_content())
            return
        self.buffer.append(element.text or "")
        for child in element:
            self._child(child, depth + 1)
            self.buffer.append(child.tail or "")

    def flush(self) -> None:
        """Writes the words that wait, as the block they are."""
        words = _folded("".join(self.buffer))
        self.buffer.clear()
        if not words.strip(" \u3000\n\xa0"):
            return
        item = self.items[-1] if self.items else None
        if item is not None and not item.written and not item.card:
            item.written = True
            self.out.item(item.sign + words.lstrip(), first=item.first)
        elif (item is not None and not item.card) or self.term:
            for line in words.split("\n"):
                self.out.line(line)
        else:
            self.out.paragraph(words)
        self.term = False

    def _child(self, element: Element, depth: int) -> None:
        tag = element.tag
        if tag == "br":
            self.buffer.append(_BREAK)
        elif tag not in _BLOCKS:
            self.flow(element, depth)
        elif _leads_elsewhere(element, not self.headings):
            self.flush()
        else:
            self.flush()
            self._block(element, tag, depth)
            self.flush()

    def _block(self, element: Element, tag: str, depth: int) -> None:
        if re.fullmatch("h[1-6]", tag):
            words = one_line(_cell_words(element))
            if words:
                level = max(int(tag[1]), self.folds[-1] + 1 if self.folds else 1)
                self.headings.append((level, words))
                self.out.heading(words, level)
                if self.items:
                    # a card and no item: what follows stands under the heading
                    self.items[-1] = _Item("", card=True)
        elif tag in {"ul", "ol", "menu", "dir"}:
            self._list(element, depth)
        elif tag == "table":
            self._table(element, depth)
        elif tag == "details":
            self._details(element, depth)
        elif tag == "pre":
            held, self.items = self.items, []
            self.out.paragraph(_preformatted(element))
            self.items = held
        elif tag == "dt":
            self.flow(element, depth)
            self.flush()
            self.term = True
        else:
            if tag != "dd" and tag not in {"p", "div"}:
                self.term = False
            self.flow(element, depth)

    def _details(self, element: Element, depth: int) -> None:
        """A folded part: its summary is a heading of what is in it, where no words after it would come under it too."""
        summary = next((child for child in element if child.tag == "summary"), None)
        words = one_line(_cell_words(summary)) if summary is not None else ""
        if summary is None or not words or self.items or not _ends_a_section(element):
            self.flow(element, depth)
            return
        level = self.folds[-1] + 1 if self.folds else self._level(element) + 1
        self.out.heading(words, min(9, level))
        self.folds.append(level)
        tail, summary.tail = summary.tail or "", ""
        element.remove(summary)
        self.buffer.append(tail)
        self.flow(element, depth)
        self.flush()
        self.folds.pop()

    def _level(self, element: Element) -> int:
        """The level of the heading that a folded part stands under: that of the first of those that follow one another."""
        before = element.getprevious()
        if before is None or before.tag != "details":
            self.above = self.headings[-1][0] if self.headings else 1
        return self.above

    def _list(self, element: Element, depth: int) -> None:
        items = [child for child in element if child.tag == "li"]
        step = -1 if element.get("reversed") is not None else 1
        at = _whole(element.get("start"), len(items) if step < 0 else 1)
        system = _LIST_SYSTEMS.get(element.get("type", ""), "decimal")
        for child in element:
            if child.tag != "li":
                self._child(child, depth + 1)
                continue
            at = _whole(child.get("value"), at)
            sign = f"{numeral(at, system)}. " if element.tag == "ol" else "・"
            self.items.append(_Item(sign, first=child is items[0] and not self.items))
            self.flow(child, depth + 1)
            self.flush()
            self.items.pop()
            at += step

    # ------------------------------------------------------------ tables

    def _table(self, table: Element, depth: int) -> None:
        caption = next((child for child in table if child.tag == "caption"), None)
        if caption is not None:
            self.flow(caption, depth + 1)
            self.flush()
        rows = [[cell for cell in row if cell.tag in {"td", "th"}] for row in _rows(table)]
        if _is_layout(table, rows):
            for row in rows:
                for cell in row:
                    self.flow(cell, depth + 1)
                    self.flush()
        else:
            self.out.table(_grid(rows))


def _ends_a_section(element: Element) -> bool:
    """Whether a heading, another folded part or nothing follows an element."""
    while element is not None:
        if (element.tail or "").strip():
            return False
        following = element.getnext()
        if following is not None:
            return following.tag == "details" or bool(
                re.fullmatch("h[1-6]|section|article|footer", following.tag)
            )
        element = element.getparent()
    return True


def _rows(table: Element) -> list[Element]:
    """The rows of a table: its head first, its foot last, wherever they stand."""
    parts: dict[str, list[Element]] = {"thead": [], "tbody": [], "tfoot": []}
    for child in table:
        if child.tag == "tr":
            parts["tbody"].append(child)
        elif child.tag in parts:
            parts[child.tag].extend(child.iterchildren("tr"))
    return [*parts["thead"], *parts["tbody"], *parts["tfoot"]]


def _is_layout(table: Element, rows: list[list[Element]]) -> bool:
    """Whether a table only places things: one cell a row, or headings or other tables in its cells."""
    if table.get("role") in {"presentation", "none"} or all(len(row) <= 1 for row in rows):
        return True
    return any(True for _ in table.iter("h1", "h2", "h3", "h4", "h5", "h6")) or any(
        inner is not table for inner in table.iter("table")
    )


def _grid(rows: list[list[Element]]) -> list[list[str]]:
    """The texts of a table's rows, the columns in line: a cell over several rows in each of them, a value over several columns in
    each of them (「300円」 under 「窓口」 and 「コンビニ」), a head or a row's name over several once."""
    held: dict[int, tuple[int, str]] = {}  # column → (rows it goes on for, its words)
    grid: list[list[str]] = []
    values: list[
        tuple[int, int, str]
    ] = []  # row, column and words of values over several columns, but for their first
    filled = 0
    for row in rows:
        texts: list[str] = []
        below: dict[int, tuple[int, str]] = {}
        for cell in row:
            _fill(texts, held, below)
            words = one_line(_cell_words(cell))
            columns = min(MAX_SPAN, max(1, _whole(cell.get("colspan"), 1)))
            down = _whole(cell.get("rowspan"), 1)
            down = len(rows) if down == 0 else max(1, min(down, len(rows)))
            filled += columns * down - 1
            if filled > MAX_FILLED:
                columns = down = 1
            at_side = bool(texts) and cell.tag == "td"
            for column in range(columns):
                if down > 1:
                    below[len(texts)] = (
                        down - 1,
                        words if not column and len(words) <= REPEATED_CHARS else "",
                    )
                if column and at_side and len(words) <= REPEATED_CHARS:
                    values.append((len(grid), len(texts), words))
                texts.append("" if column else words)
        _fill(texts, held, below)
        held = below
        grid.append(texts)
    # a span beyond every cell (colspan="100") fills columns that are not there
    width = max(
        (max(len(row), len(texts) - _trailing(texts)) for row, texts in zip(rows, grid, strict=True)),
        default=0,
    )
    for number, column, words in values:
        if column < width:
            grid[number][column] = words
    return [texts[:width] for texts in grid]


def _fill(texts: list[str], held: dict[int, tuple[int, str]], below: dict[int, tuple[int, str]]) -> None:
    """Puts the cells that go on from the row above where a row has come to their column."""
    while (at := len(texts)) in held:
        left, words = held.pop(at)
        texts.append(words)
        if left > 1:
            below[at] = (left - 1, words)


def _trailing(texts: list[str]) -> int:
    """How many empty cells a row ends with."""
    return next((count for count, words in enumerate(reversed(texts)) if words), len(texts))


# ---------------------------------------------------------------- words


def _cell_words(element: Element) -> str:
    """The words of a cell or heading: lines and blocks in it apart by a space, list items with their sign."""
    if not len(element):
        return _folded(element.text or "")
    parts: list[str] = []
    waiting: list[Element | str] = [element]
    while waiting:
        now = waiting.pop()
        if isinstance(now, str):
            parts.append(now)
            continue
        if now.tag == "br":
            parts.append(_BREAK)
            continue
        edge = _BREAK if now.tag in _BLOCKS and now is not element else ""
        sign = "・" if now.tag == "li" and now.getparent() is not None and now.getparent().tag == "ul" else ""
        inside: list[Element | str] = [edge + sign + (now.text or "")]
        for child in now:
            inside += [child, child.tail or ""]
        inside.append(edge)
        waiting.extend(reversed(inside))
    return _folded("".join(parts))


def _folded(words: str) -> str:
    """Words with the source's white space folded as a browser does, and a line break for each <br>."""
    folded = _SPACE.sub(" ", _WRAP.sub("", words))
    return "\n".join(line.strip(" ") for line in folded.split(_BREAK))


def _preformatted(element: Element) -> str:
    for br in element.iter("br"):
        br.tail = "\n" + (br.tail or "")
    return str(element.text_content()).replace("\r\n", "\n").strip("\n")


def _whole(text: str | None, default: int) -> int:
    found = re.match(r"\s*(-?[0-9]{1,6})(?![0-9])", text or "")
    return int(found[1]) if found else default
