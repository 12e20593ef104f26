"""From a file's bytes to a document with its cases and chunks: the whole of the corpus for one file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path, PurePath

from corpus.cases import CaseBook, case_id, find_cases
from corpus.chunks import MAX_CHARS, make_chunks, with_ids
from corpus.garbled import garbled
from corpus.municipalities import is_public_body, looks_like_organization
from corpus.readers import LIBRARIES, Source, read
from corpus.records import Case, Chunk, Document, Heading
from corpus.repeats import repeated_blocks
from corpus.sections import COVER_BLOCKS, Section, find_sections, heading_words
from corpus.structure import (
    ARTICLE,
    CHAPTER,
    DATE_ONLY,
    NUMBERED,
    NUMBERED_PAREN,
    QUESTION_MARK,
    Block,
    plain,
    rank,
    split_blocks,
)
from corpus.text import letters

# 「令和6年4月24日」「2025年7月23日(水)」
_DATE = re.compile(
    r"(?:令和|平成|昭和|[RHS])\s*(?:[0-9０-９]{1,2}|元)\s*年\s*[0-9０-９]{1,2}\s*月(?:\s*[0-9０-９]{1,2}\s*日)?|[0-9０-９]{4}\s*年\s*[0-9０-９]{1,2}\s*月(?:\s*[0-9０-９]{1,2}\s*日)?|(?<![\d.])(?:19|20)\d\d([./])\d{1,2}\1\d{1,2}(?![\d.])"
)
SEPARATE_PAGES = frozenset({"pptx", "xlsx"})
"""Formats whose slides or sheets each stand for themselves; the sentences of a PDF go on over its pages."""
# 「７企第１２３号」「事務連絡」「令和７年６月２日」「各所属長　様」「資料１」 what stands over the subject of a letter or a paper
_LETTER_HEAD = re.compile(
    r"^(?:(?!広報|会報|館報)[0-9０-９\u4e00-\u9fff々]{0,8}第\s*[0-9０-９]+\s*号(?:の\s*[0-9０-９]+)?|事\s*務\s*連\s*絡|.{1,30}[\s\u3000]*(?:様|殿|御中|各位)|"
    r"[（(]?公\s*印\s*省\s*略[）)]?|[（(【［\[]?(?:資料|別紙|別添|別記|参考(?:資料)?)\s*+(?:(?:No\.?|第)?\s*[0-9０-９]+(?:[-－‐][0-9０-９]+)?号?)?[）)】］\]]?)$|"
    + DATE_ONLY.pattern
)
# 「生成ＡＩ研修の開催について（通知）」
_SUBJECT = re.compile(r"(?:について|に関する件|の件)(?:[（(][^（）()]{1,12}[）)])?$")
_LETTER_LINES = 15
# 「title: 情報化推進計画」 in the front matter of Markdown
_FRONT_TITLE = re.compile(r"^(?=.{1,500}$)title\s*:\s*([\"']?)(?P<title>\S.*?)\1\s*$")
# 「| 電子決裁 | ### | 7,920,000 |」 what a spreadsheet prints for a value that its column has no room for
_NO_ROOM = re.compile(r"(?<![^\s|])#{2,}(?![^\s|])")
_TITLE_LINES = 4
_TITLE_CHARS = 80


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document with all that was recognised in it."""

    document: Document
    cases: tuple[Case, ...]
    chunks: tuple[Chunk, ...]


def parse(path: str, data: bytes, *, max_chars: int = MAX_CHARS) -> Parsed:
    """The document, cases and chunks of a file; `path` is relative to the documents folder.

    Raises corpus.readers.ReadError, whose message is for people, where the file cannot be read.
    """
    return recognise(path, read(path, data), hashlib.sha256(data).hexdigest(), max_chars=max_chars)


def recognise(path: str, source: Source, sha256: str, *, max_chars: int = MAX_CHARS) -> Parsed:
    """The document, cases and chunks of what a reader gave; `sha256` is that of the file's bytes, in hexadecimal."""
    document_id = sha256[:16]
    text = source.text
    blocks = split_blocks(text, source.marks)
    title = source.title or _title(blocks, path)
    book = find_cases(text, blocks, path, source.pages)
    breaks = [page.start for page in source.pages] if source.format in SEPARATE_PAGES else []
    sections = find_sections(blocks, book, title, breaks)
    chunks = make_chunks(
        text,
        sections,
        book,
        document_id=document_id,
        path=path,
        repeated=repeated_blocks(text, sections),
        pages=source.pages,
        tables=[mark for mark in source.marks if mark.kind == "table"],
        max_chars=max_chars,
    )
    cases = tuple(replace(case, document_id=document_id) for case in book.cases)
    printed = max((case.page_end for case in cases if case.page_end), default=None)
    pages = source.pages[-1].number if source.pages else printed
    warnings = [*source.warnings, *book.warnings]
    strange = garbled(text)
    if strange is not None:
        warnings.append(strange)
    hidden = len(_NO_ROOM.findall(text)) if source.format == "pdf" else 0
    if hidden:
        warnings.append(
            f"列の幅が足りず「###」と印刷された値が{hidden}か所あり、読めません。表計算の元のファイルを入れてください。"
        )
    if not chunks:
        warnings.append("検索できる本文が見つかりませんでした。")
    document = Document(
        id=document_id,
        path=path,
        title=title,
        format=source.format,
        sha256=sha256,
        text=text,
        headings=_outline(blocks, sections, book),
        publisher=_publisher(blocks),
        date=_date(blocks),
        pages=pages,
        warnings=tuple(warnings),
        page_starts=source.pages or book.printed_pages(),
    )
    return Parsed(document, cases, tuple(chunks))


def renamed(parsed: Parsed, path: str) -> Parsed:
    """What `recognise` would give for the same content under another path of the same format."""
    ids = {case.id: case_id(path, case.number, case.organization) for case in parsed.cases}
    old = parsed.document
    title = (
        PurePath(path).stem
        if old.title == PurePath(old.path).stem
        else path
        if old.title == old.path
        else old.title
    )
    return Parsed(
        replace(old, path=path, title=title),
        tuple(replace(case, id=ids[case.id]) for case in parsed.cases),
        tuple(
            with_ids(path, (replace(chunk, case_id=ids.get(chunk.case_id or "")) for chunk in parsed.chunks))
        ),
    )


def rules() -> str:
    """A fingerprint of all that a parse depends on: this package, its data, and the libraries that read files.

    Documents that were recognised under other rules are read again.
    """
    digest = hashlib.sha256()
    home = Path(__file__).parent
    for file in sorted([*home.glob("*.py"), *home.glob("readers/*.py"), *home.glob("data/*")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()[:16]


def _title(blocks: list[Block], path: str) -> str:
    """A document's title: what its front matter says, its first heading, or the lines of its first block where these are short.

    A number, an office's file number or a question heads a part: then the file's name says what the whole is.
    """
    name = PurePath(path).stem
    front = [block for block in blocks if block.why == "front matter"]
    if front:
        named = next((m for b in front for line in b.lines if (m := _FRONT_TITLE.match(line.text))), None)
        if named:
            return named["title"][:_TITLE_CHARS]
    blocks = [block for block in blocks if block.why != "front matter" and letters(block.text)]
    if not blocks:
        return path
    first = blocks[0]
    if any(block.kind == "record" for block in blocks) or first.kind == "table":
        return name  # a list's first words are a sheet's name or a cell
    opening = [line.text for block in blocks[:COVER_BLOCKS] for line in block.lines if letters(line.text)]
    if _LETTER_HEAD.match(plain(opening[0])):
        return _subject([plain(line) for line in opening[:_LETTER_LINES]]) or name
    words = heading_words(first)
    if any(form.match(words) for form in (NUMBERED, NUMBERED_PAREN, CHAPTER, QUESTION_MARK, ARTICLE)):
        return name
    if first.kind == "heading" or len(first.lines) == 1:
        return words[:_TITLE_CHARS]
    lines = [plain(line.text) for line in first.lines]
    if len(lines) <= _TITLE_LINES and all(len(line) <= 40 for line in lines):
        return " ".join(lines)[:_TITLE_CHARS]
    return lines[0][:_TITLE_CHARS]


def _subject(lines: list[str]) -> str | None:
    """What a letter is about, 「研修の開催について（通知）」; else its first line that is no part of its head."""
    rest = [line for line in lines if not _LETTER_HEAD.match(line)]
    chosen = next((line for line in rest if _SUBJECT.search(line)), rest[0] if rest else None)
    return re.sub(r"^#{1,6}\s+", "", chosen)[:_TITLE_CHARS] if chosen else None


def _publisher(blocks: list[Block]) -> str | None:
    """A line of the cover that is the name of a public body and nothing else (「総務省」), or of the head of a list (「団体名：…」)."""
    if len(blocks) > 1 and blocks[0].kind == "paragraph" and blocks[1].kind == "record":
        values = [line.text.partition("：")[2].strip() for line in blocks[0].lines]
        bodies = [value for value in values if is_public_body(value)]
        # 「都道府県名」「市区町村名」: the nearer one
        return next((b for b in bodies if b[-1] not in "都道府県"), bodies[0] if bodies else None)
    for block in blocks[1:COVER_BLOCKS]:
        words = plain(block.text)
        if (
            len(block.lines) == 1
            and len(words) <= 20
            and not re.search(r"[\s、。（(]", words)
            and looks_like_organization(words)
        ):
            return words
    return None


def _date(blocks: list[Block]) -> str | None:
    """The first full date of the cover, as it is written there."""
    for block in blocks[:COVER_BLOCKS]:
        if block.kind == "record":
            break  # what a row says is not of the whole
        found = _DATE.search(block.text)
        if found:
            return found[0]
    return None


def _outline(blocks: list[Block], sections: list[Section], book: CaseBook) -> tuple[Heading, ...]:
    """Headings in order; a level is the number of headings of outer rank that are open above, plus one.

    Lines of the cover, pictured pages, and the title that every further page of a case repeats are left out.
    """
    cover = sections[0].end if sections and sections[0].form == "cover" else 0
    first_title: dict[int, int] = {}
    for start, place in book.title_lines:
        first_title.setdefault(place, start)
    repeated = {start for start, place in book.title_lines if start != first_title[place]}
    outline: list[Heading] = []
    open_ranks: list[int] = []
    for number, block in enumerate(blocks):
        if block.kind == "record" and block.title:
            outline.append(Heading(block.title, len(open_ranks) + 1, block.start, block.end))
        if block.kind != "heading" or not block.searched or (number > 0 and block.end <= cover):
            continue
        if block.start in repeated or any(start <= block.start < end for start, end in book.examples):
            continue
        own = rank(block)
        while open_ranks and open_ranks[-1] >= own:
            open_ranks.pop()
        open_ranks.append(own)
        outline.append(Heading(heading_words(block), len(open_ranks), block.start, block.end))
    return tuple(outline)
