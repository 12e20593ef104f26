"""Which organizations a text names: those that the index knows, and public bodies that it does not know.

In: a text in normalized form, and the organizations of an index (`Directory`). Out: names in the order of the text. An
organization is named with or without its prefecture and its 市, 町, 村; misspelt, if the reading is the same or one character is
wrong; or in kana. What the index does not know is recognised by the table of all municipalities and by its form.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import weakref
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

from corpus.documents import rules
from corpus.municipalities import PREFECTURES, REGION_OF, municipalities, parse_organization, short_name
from corpus.records import Chunk, Document
from corpus.text import normalize, remembered, squeeze
from index.store import Index
from index.tokenizer import readings

_log = logging.getLogger("dxqa.names")
_KATAKANA = {code: code + 0x60 for code in range(ord("ぁ"), ord("ん") + 1)}
_SUFFIXES = "都道府県市区町村"
# 「白樺台市の…」「ミドリ市は」: a name by its form, where a particle or the end follows
_BY_FORM = re.compile(
    r"(?<![一-龥ァ-ヶー々A-Za-z])(?P<name>[一-龥ァ-ヶー々]{2,6}?[市町村県]|[A-Z]市?[市町村])(?=[のはでがにをとへも、。?？ 　(「』」)]|って|から|役所|役場|$)"
)
# 「東山広域連合」「北部衛生組合」: bodies that several municipalities make, which no table has
_UNION = re.compile(
    r"(?<![一-龥ァ-ヶー々])[一-龥ァ-ヶー々]{2,14}?(?:広域連合|事務組合|(?:広域|衛生|消防|環境|水道|病院|清掃|斎場|施設)組合|企業団)(?![立地])"
)
# 「ミドリ市総合計画」: in a title other words may follow; the text must say it with a particle
_BY_FORM_IN_TITLE = re.compile(r"(?<![一-龥ァ-ヶー々A-Za-z])(?P<name>[一-龥ァ-ヶー々]{2,6}?[市町村県])")
# Words before 市, 町, 村 that make no name: 「他市」 「近隣町村」 「政令市」
_NO_NAME = re.compile(
    r"^(?:[他同各全本当両某何幾]|近隣|周辺|隣接|政令|指定都?|中核|特例|県内|管内|参加|対象|小規模|合併|大規模|地方|先進|連携|モデル|パイロット|スマート|デジタル|コンパクト|被災|出身|居住|転入|転出|上記|同一|中心|構成|加入|該当|当該|"
    r"一部|多く|都道府県|府県|県|都|市区?町?|町|区|自治体|全国|協力|関係|担当|実施|農山漁?|山間|過疎|離島|先行|導入|同規模|同程度|人口)+(?:[市区町村]*)$"
    r"|.*(?:[各他全両都農漁朝]|[二三四五六七八九十]か?)$"
)
# 「岩手県立大学」 is no word about the prefecture, nor is 「県民」
_GOES_ON = re.compile(r"立|民|道|産|外|内外")
DOMINANT, FEWEST = 2, 5
"""A municipality is what a document is about where it is named so many times as often as the next, and at least so often."""
ALONE, ALONE_PER = 2, 1_000
"""One that is the only one named is, where that is at least so often, and once in so many characters."""
COVER = 12
"""Lines at the beginning of a document that may say whose it is."""
# after a name at the beginning of a line of the cover: 「鳥羽市長」「東金市 市民課」「飯島町役場」, or nothing
_SIGNS = re.compile(
    r"\s*(?:$|長(?:\s|$)|役[場所]|[^\s、。はがをに]{1,12}(?:[課室部局係]|センター|委員会)(?:\s|$))"
)
# after a name in a heading: 「鳥羽市の取組」「…（三重県鳥羽市）」, but not 「鳥羽市との連携」
_HEADS = re.compile(r"$|[の\s()（）「」【】\[\]:|/・、～-]|は(?:$|\s)")
# before a name on the cover: 「# 三重県」, or nothing
_BEFORE_COVER = re.compile(r"[#\s]*(?:[一-龥ぁ-んァ-ヶ]{2,3}[都道府県])?")
# 「団体名 | 鳥羽市 |」「市町村名：鳥羽市」
_BODY_LINE = re.compile(
    r"(?m)^[^\S\n]*\|?[^\S\n]*(?:団体|自治体|市区?町村|地方公共団体)(?:の?名称?)?[^\S\n]*[|:：\t][^\S\n|:：]*(?P<name>[^\n|:：]{2,20}?)[^\S\n]*(?=[|\n]|$)"
)


@dataclass(frozen=True, slots=True)
class Named:
    """Organizations that a text names: `known` ones by their full name, `unknown` ones as they are written.

    `rest` is the text without their names, what is asked about them.
    """

    known: tuple[str, ...]
    unknown: tuple[str, ...]
    rest: str


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read in a document: whose it is and its passages are; `known` stands for the organizations known then."""

    title: str
    path: str
    known: str
    organizations: tuple[str, ...]
    sections: Mapping[str, str]


class Said(Protocol):
    """What knows which documents say words, both without spaces (`corpus.text.squeeze`); an `Index` does."""

    def documents_saying(self, words: str) -> list[str]:
        """The documents that do, in the order of their paths."""
        ...

    def document_says(self, document_id: str, words: str) -> bool:
        """Whether one does."""
        ...


class Readings:
    """What was read in the documents of the index that was looked at last: the next version reads only what is new in it.

    Where there is a file, this lasts beyond the end of the program; whatever is wrong with that, documents are read again.
    """

    def __init__(self, file: Path | None = None, *, writes: bool = True) -> None:
        self._file, self._writes = file, writes
        self._read: dict[str, _Read] | None = None

    @property
    def lasts(self) -> bool:
        """Whether what is read is written down."""
        return self._file is not None and self._writes

    def of(self, index: Index, known: tuple[str, ...]) -> dict[str, _Read]:
        """What was read in each document of an index, where these organizations are known."""
        held = self._load() if self._read is None else self._read
        digest = hashlib.sha256("\n".join(known).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        found, fresh = {}, False
        for info in index.listing.values():
            one = held.get(info.id)
            if one is None or (one.title, one.path, one.known) != (info.title, info.path, digest):
                one, fresh = _read_one(index, index.documents[info.id], known, digest), True
            found[info.id] = one
        self._read = found
        if fresh:
            self._save()
        return found

    def _load(self) -> dict[str, _Read]:
        try:
            if self._file is None:
                return {}
            content = json.loads(self._file.read_text(encoding="ascii"))
            if content["rules"] != _rules():
                return {}
            return {
                name: _Read(title, path, known, tuple(organizations), sections)
                for name, (title, path, known, organizations, sections) in content["documents"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _save(self) -> None:
        if self._file is None or not self._writes:
            return
        documents = {
            name: [one.title, one.path, one.known, one.organizations, one.sections]
            for name, one in (self._read or {}).items()
        }
        temporary = self._file.with_name(f".{self._file.name}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"rules": _rules(), "documents": documents}), encoding="ascii")
            temporary.replace(self._file)
        except OSError as error:
            _log.warning("names of documents cannot be kept: %s", error)


def _read_one(index: Index, document: Document, known: tuple[str, ...], digest: str) -> _Read:
    """What the names in a document are."""
    chunks = [chunk for chunk in index.chunks_of_document(document.id) if chunk.case_id is None]
    sections = sections_of(chunks, known)
    owners = organizations_of(document, known, several=len(set(sections.values())) > 1)
    return _Read(document.title, document.path, digest, owners, sections)


def _rules() -> str:
    """A fingerprint of all that what is read depends on: the corpus package, and this module."""
    return rules() + hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


class Directory:
    """The organizations of one index: whose cases and documents it holds."""

    def __init__(
        self,
        of_case: Mapping[str, str],
        of_document: Mapping[str, tuple[str, ...]] | None = None,
        said: Said | None = None,
        populations: Mapping[str, int] | None = None,
        categories: Iterable[str] = (),
        of_section: Mapping[str, str] | None = None,
        documents_of: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """`of_case` by case id, `of_document` by document id; `said` knows what they say.

        `of_section` is whose a passage is by its id, where its heading says it. `categories` are the parts into which the case
        books sort their cases. `documents_of` are the documents that hold something of an organization.
        """
        self._of_case, self._of_document, self._said = of_case, of_document or {}, said
        self._populations = populations or {}
        self.categories = tuple(dict.fromkeys(categories))
        self._of_section = of_section or {}
        self._documents_of = documents_of or {}
        documents = [name for names in self._of_document.values() for name in names]
        self.organizations: tuple[str, ...] = tuple(dict.fromkeys([*of_case.values(), *documents]))
        self._forms = {name: _Forms.of(name) for name in self.organizations}
        for name in set(documents) - set(of_case.values()):
            if not in_table(name):
                # 「テスト」 of 「テスト市」 may be a word
                self._forms[name] = replace(self._forms[name], stem="", reading="")
        self._sections = frozenset(self._of_section.values())
        self._mentioned: dict[str, bool] = {}

    @classmethod
    def of_index(cls, index: Index, readings: Readings | None = None) -> Directory:
        """The directory of an index. A case book is of nobody, its cases are."""
        of_case = {case.id: case.organization for case in index.cases.values()}
        with_cases = {case.document_id for case in index.cases.values()}
        read = (readings or Readings()).of(index, tuple(dict.fromkeys(of_case.values())))
        holding: dict[str, set[str]] = {}
        for case in index.cases.values():
            holding.setdefault(case.organization, set()).add(case.document_id)
        for document_id, one in read.items():
            owners = () if document_id in with_cases else one.organizations
            for name in (*owners, *one.sections.values()):
                holding.setdefault(name, set()).add(document_id)
        return cls(
            of_case,
            {i: () if i in with_cases else one.organizations for i, one in read.items()},
            weakref.proxy(index),  # it is kept as long as the index, and must not keep it
            {case.organization: case.population for case in index.cases.values() if case.population},
            [case.category for case in index.cases.values() if case.category],
            {i: name for one in read.values() for i, name in one.sections.items()},
            holding,
        )

    @property
    def has_cases(self) -> bool:
        """Whether there are cases that conditions can choose from."""
        return bool(self._of_case)

    def population(self, name: str) -> int | None:
        """The population that the case of an organization states."""
        return self._populations.get(name)

    def of(self, chunk: Chunk) -> tuple[str, ...]:
        """The organizations that a passage is about: of its case, of its section, of its document."""
        own = self.own(chunk)
        return self.of_document(chunk.document_id) if own is None else (own,)

    def own(self, chunk: Chunk) -> str | None:
        """The one that a passage is about, where its case or its headings say it: what it states is nobody else's."""
        return self._of_section.get(chunk.id) if chunk.case_id is None else self._of_case[chunk.case_id]

    def of_document(self, document_id: str) -> tuple[str, ...]:
        """The organizations that a document is about."""
        return self._of_document.get(document_id, ())

    def documents_of(self, names: Iterable[str]) -> list[str]:
        """The documents that hold something of some organizations, each once."""
        return list(
            dict.fromkeys(found for name in names for found in sorted(self._documents_of.get(name, ())))
        )

    def saying(self, name: str) -> list[str]:
        """The documents that say a name, with or without its prefecture."""
        return [] if self._said is None else self._said.documents_saying(squeeze(short(name)))

    def mentions(self, name: str) -> bool:
        """Whether any document says a name."""
        if name not in self._mentioned:
            self._mentioned[name] = self._said is not None and bool(
                self._said.documents_saying(squeeze(name))
            )
        return self._mentioned[name]

    def is_spoken_of(self, union: str, document_id: str) -> bool:
        """Whether a document says the name of a union, which a passage of it need not say again."""
        return (
            _UNION.fullmatch(union) is not None
            and self._said is not None
            and self._said.document_says(document_id, squeeze(union))
        )

    def says(self, text: str, name: str) -> bool:
        """Whether a text says a name, with or without its prefecture, on its own: 「福島県福島市」 does not say 「福島県」."""
        own = squeeze(short(name))
        said = squeeze(text)
        if own not in said:
            return False
        if own in REGION_OF or own in municipalities():
            # 「大津市」 does not say 「津市」, nor 「東京都府中市」 the one of 広島県
            whole = squeeze(name)
            return any(
                body in {own, whole} or (whole == own and squeeze(short(body)) == own)
                for body in map(squeeze, bodies_in(text))
            )
        for other in self.organizations:
            if own in squeeze(other) and squeeze(short(other)) != own:
                said = said.replace(squeeze(other), " ")
        return own in said

    def named(self, text: str) -> Named:
        """The organizations that a text names; a name inside another one is not named."""
        found: list[tuple[int, int, str, bool]] = []  # start, end, name, known

        def add(start: int, end: int, name: str, known: bool) -> None:
            if all(end <= s or start >= e for s, e, _, _ in found):
                found.append((start, end, name, known))

        for match in _UNION.finditer(text):
            if not _NO_NAME.match(match[0]):
                add(match.start(), match.end(), match[0], match[0] in self._forms)
        table = list(_in_table(text))
        for start, end, name in sorted(self._known(text), key=lambda hit: (hit[0] - hit[1], hit[0])):
            # 「愛媛県西条市」 is not 「愛媛県」
            longer = any(s <= start and end <= e and end - start < e - s for s, e, _ in table)
            if not (longer and self._forms[name].suffix in "都道府県") and all(
                end <= s or start >= e or (start, end) == (s, e) for s, e, _, _ in found
            ):
                found.append((start, end, name, True))
        for start, end, name in table:
            if not (name.endswith("区") and found):  # a ward of the city that is named
                add(start, end, *self._with_section(name))
        for match in _BY_FORM.finditer(text):
            name = match["name"]
            if _NO_NAME.match(name[:-1]) or _NO_NAME.match(name):
                continue
            meant = self._misspelt(name) or name
            known = (meant, True) if meant in self._forms else self._with_section(meant)
            add(match.start(), match.end(), *known)
        rest = list(text)
        for start, end, _, _ in found:
            rest[start:end] = " " * (end - start)
        found.sort()
        return Named(
            tuple(dict.fromkeys(name for _, _, name, known in found if known)),
            tuple(dict.fromkeys(name for _, _, name, known in found if not known)),
            re.sub(r" +", " ", "".join(rest)).strip(" のはがをに、"),
        )

    def _with_section(self, name: str) -> tuple[str, bool]:
        """A name in full, and whether there are sections of it; else as it is written."""
        full = _with_prefecture(name)
        return (full, True) if full in self._sections else (name, False)

    def _known(self, text: str) -> Iterator[tuple[int, int, str]]:
        spoken = text.translate(_KATAKANA)
        for name, forms in self._forms.items():
            for form in (forms.full, forms.short):
                for hit in re.finditer(re.escape(form), text):
                    if not _longer_name(text, hit.start(), form):
                        yield hit.start(), hit.end(), name
            if len(forms.stem) >= 2:
                for hit in re.finditer(re.escape(forms.stem), text):
                    if not _other_name(text, hit.end(), forms.suffix) and not _longer_name(
                        text, hit.start(), forms.short
                    ):
                        yield hit.start(), hit.end(), name
            if len(forms.reading) >= 3:
                for hit in re.finditer(rf"(?<![ァ-ヶー]){re.escape(forms.reading)}", spoken):
                    if (
                        not _other_name(text, hit.end(), forms.suffix)
                        and text[hit.start() : hit.end()] != forms.stem
                    ):
                        yield hit.start(), hit.end() + (text[hit.end() : hit.end() + 1] == forms.suffix), name

    def _misspelt(self, name: str) -> str | None:
        """The one organization that a name is written for: read alike, or of the same length with one character wrong."""
        read = "".join(readings(name))
        kana = re.fullmatch(r"[ァ-ヶー]+", name[:-1]) is not None
        alike = [
            full
            for full, forms in self._forms.items()
            if forms.suffix == name[-1]
            and (
                read == forms.reading_with_suffix
                or _one_wrong(name, forms.short)
                or (kana and _one_wrong(read, forms.reading_with_suffix))
            )
        ]
        # else one that the documents speak of
        alike = alike or [
            other
            for other, rows in municipalities().items()
            if other[-1] == name[-1]
            and (read == rows[0].reading or _one_wrong(name, other))
            and self.mentions(other)
        ]
        return alike[0] if len(alike) == 1 else None


_directories: WeakKeyDictionary[Index, Directory] = WeakKeyDictionary()
_making = threading.Lock()
_readings = Readings()


def directory(index: Index) -> Directory:
    """The directory of an index, made once: who asks meanwhile waits for it, and not who asks another index."""
    found = _directories.get(index)
    if found is None:
        with _making:
            found = _directories.get(index)
            if found is None:
                # a part of a version is read by itself: what else there is must not show in it, nor be forgotten for it
                kept = Readings() if index.is_narrowed else _readings
                found = _directories[index] = Directory.of_index(index, kept)
    return found


def keep_readings(file: Path) -> None:
    """Keeps what is read in documents in a file, so that a server which is started again need not read them again."""
    global _readings
    with _making:
        _readings = Readings(file)


def take_readings(file: Path) -> None:
    """Takes what a server has read in documents from its file, and leaves the file as it is; nothing where this process keeps its own."""
    global _readings
    with _making:
        if not _readings.lasts:
            _readings = Readings(file, writes=False)


@dataclass(frozen=True, slots=True)
class _Forms:
    """The forms of a name: 「山形県酒田市」, 「酒田市」, 「酒田」, its reading without and with 「市」."""

    full: str
    short: str
    stem: str
    suffix: str
    reading: str
    reading_with_suffix: str

    @classmethod
    def of(cls, name: str) -> _Forms:
        own = short(normalize(name))
        stem, suffix = (own[:-1], own[-1]) if own[-1] in _SUFFIXES and own != "北海道" else (own, "")
        rows = municipalities().get(own, ())
        if rows:
            whole = rows[0].reading
            reading = re.sub(r"(?:シ|ク|チョウ|マチ|ソン|ムラ)$", "", whole)
        else:
            reading = "".join(readings(stem))
            whole = "".join(readings(own))
        return cls(
            normalize(name),
            own,
            stem,
            suffix,
            reading if re.fullmatch(r"[ァ-ヶー]+", reading) else "",
            whole,
        )


def organizations_of(document: Document, known: Iterable[str] = (), several: bool = False) -> tuple[str, ...]:
    """Whose document it is: the bodies in its title and its publisher, in its path, on its cover, else the one it speaks of most.

    `known` are full names of organizations that are found by their short ones; where `several` have sections of their own in it,
    it is not of the one it speaks of most.
    """
    full = {short(name): name for name in known}
    text = normalize(document.text)
    title = normalize(f"{document.title} {document.publisher or ''}")
    path = normalize(re.sub(r"[/_]", " ", document.path))
    named = [*_names_in(title, full), *_prefectures_in_kana(title), *_by_form(title, text)]
    named = named or [*_names_in(path, full), *_by_form(path, text)] or _on_cover(document.text, full)
    if not named and not several:
        counted = Counter(_names_in(text, full))
        (first, times), (_, next_times) = (*counted.most_common(2), ("", 0), ("", 0))[:2]
        dominates = times >= FEWEST and times >= DOMINANT * next_times
        alone = times >= ALONE and len(counted) == 1 and times * ALONE_PER >= len(text)
        if dominates or alone:
            named = [first]
    return tuple(dict.fromkeys(_with_prefecture(full.get(name, name)) for name in named))


def _on_cover(text: str, known: Iterable[str]) -> list[str]:
    """The one body that stands alone, or before its office, at the beginning of one of the first lines."""
    lines = [normalize(line) for line in text[: COVER * 200].split("\n") if line.strip()][:COVER]
    found = set()
    for line in lines:
        for start, end, name in _spans_in(line, known):
            if _BEFORE_COVER.fullmatch(line, 0, start) and _SIGNS.match(line, end):
                found.add(name)
    return list(found) if len(found) == 1 else []


def sections_of(chunks: Sequence[Chunk], known: Iterable[str] = ()) -> dict[str, str]:
    """Whose the passages of one document are, by their ids: the one municipality that a heading above them names.

    A line for the name of an organization (「団体名 | 鳥羽市」) says it for all under the same heading.
    """
    full = {short(name): name for name in known}
    by_line: dict[tuple[str, ...], set[str]] = {}
    own: dict[str, str] = {}
    for chunk in chunks:
        named = {
            name
            for line in _BODY_LINE.finditer(chunk.text)
            for name in _names_in(normalize(line["name"]), full)
        }
        if len(named) == 1:
            own[chunk.id] = next(iter(named))
            if chunk.row is None and chunk.heading_path:
                by_line.setdefault(chunk.heading_path, set()).update(named)
    for chunk in chunks:
        if chunk.id in own:
            continue
        for depth in range(len(chunk.heading_path), 0, -1):
            said = by_line.get(chunk.heading_path[:depth]) or _in_heading(chunk.heading_path[depth - 1], full)
            if said:
                if len(said) == 1:
                    own[chunk.id] = next(iter(said))
                break
    return {i: _with_prefecture(full.get(name, name)) for i, name in own.items()}


def _in_heading(heading: str, known: Mapping[str, str]) -> set[str]:
    """The municipalities whose section a heading opens: 「事例1 …（鳥羽市）」; 「（鳥羽市）」 alone is who speaks."""
    words = normalize(heading)
    if re.fullmatch(r"\([^()]*\)", words):
        return set()
    return {
        name for _, end, name in _spans_in(words, known) if name not in REGION_OF and _HEADS.match(words, end)
    }


def _by_form(title: str, text: str) -> list[str]:
    """Bodies that no table has, told by their form in a title, where the text goes on to speak of them."""
    unions = [found[0] for found in _UNION.finditer(title) if not _NO_NAME.match(found[0])]
    others = [
        found["name"]
        for found in _BY_FORM_IN_TITLE.finditer(title)
        if not _NO_NAME.match(found["name"][:-1])
        and not _NO_NAME.match(found["name"])
        and not in_table(found["name"])
        and re.search(rf"{found['name']}(?:[のはでがにをとへ、]|役所|役場|長)", text)
    ]
    return unions or others


def in_table(name: str) -> bool:
    """Whether a name, with or without its prefecture, is one of the table of municipalities and prefectures."""
    return name in REGION_OF or (parse_organization(name).municipality or name) in municipalities()


def short(name: str) -> str:
    """An organization's name without its prefecture, where it is a municipality's; a union keeps the whole of its own."""
    return name if _UNION.fullmatch(name) else short_name(name)


def _names_in(text: str, known: Iterable[str]) -> list[str]:
    return [name for _, _, name in _spans_in(text, known)]


def _spans_in(text: str, known: Iterable[str]) -> list[tuple[int, int, str]]:
    """Where the names of the table and of known organizations stand in a text, and the names without their prefecture."""
    found = [(start, end, name) for start, end, name in _in_table(text)]
    taken = {start for start, _, _ in found}
    for name in known:
        found += [
            (hit.start(), hit.end(), name)
            for hit in re.finditer(re.escape(name), text)
            if hit.start() not in taken and not _GOES_ON.match(text, hit.end())
        ]
    return [
        (start, end, parse_organization(name).municipality or name) for start, end, name in sorted(set(found))
    ]


def _prefectures_in_kana(text: str) -> list[str]:
    """「ひょうご」 in a title is 兵庫県."""
    parts = {part.translate(_KATAKANA) for part in re.findall(r"[ぁ-ん]{3,}", text)}
    return [name for reading, name in _prefecture_readings() if reading in parts]


@lru_cache(maxsize=1)
def _prefecture_readings() -> tuple[tuple[str, str], ...]:
    return tuple(("".join(readings(name[:-1])), name) for name in PREFECTURES if name != "北海道")


def _with_prefecture(name: str) -> str:
    rows = municipalities().get(name, ())
    return rows[0].prefecture + name if len(rows) == 1 else name


@lru_cache(maxsize=1)
def _by_beginning() -> dict[str, list[str]]:
    """Names of municipalities and prefectures by their first two characters, longest first."""
    table: dict[str, list[str]] = {}
    for name in (*municipalities(), *PREFECTURES):
        table.setdefault(name[:2], []).append(name)
    return {key: sorted(names, key=len, reverse=True) for key, names in table.items()}


@remembered
def bodies_in(text: str) -> frozenset[str]:
    """The names of the prefectures and municipalities that a text says."""
    return frozenset(name for _, _, name in _in_table(normalize(text)))


def _in_table(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, name) of the public bodies of the table in a text; a prefecture before its municipality belongs to it."""
    table, at = _by_beginning(), 0
    while at < len(text) - 1:
        name = next((n for n in table.get(text[at : at + 2], ()) if text.startswith(n, at)), None)
        if name is None or _longer_name(text, at, name):
            at += 1
            continue
        end = at + len(name)
        inner = _municipality_after(text, end) if name in REGION_OF else None
        if inner is not None:
            name, end = name + inner[1], inner[0]
        elif _GOES_ON.match(text, end):
            at += 1
            continue
        yield at, end, name
        at = end


def _municipality_after(text: str, at: int) -> tuple[int, str] | None:
    """Where the municipality that follows its prefecture ends, with or without its 郡, and its name."""
    gun = re.compile(r"[一-龥ぁ-んァ-ヶ]{1,4}郡(?=[一-龥ぁ-んァ-ヶ]{1,5}[町村])").match(text, at)
    for start in (at, *([gun.end()] if gun else [])):
        names = _by_beginning().get(text[start : start + 2], ())
        found = next((n for n in names if n not in REGION_OF and text.startswith(n, start)), None)
        if found is not None:
            return start + len(found), found
    return None


def _one_wrong(one: str, other: str) -> bool:
    """Whether two names of three characters or more differ in one: 「磐悌町」 and 「磐梯町」."""
    return 3 <= len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1


def _other_name(text: str, end: int, own: str) -> bool:
    """Whether what follows a stem makes another name of it: 「福島」 followed by 「市」 where the 県 is meant."""
    following = text[end : end + 1]
    return following in set("市町村区県府都") and following != own


_PARTICLES = frozenset("のはがをにとやもでへ")


def _longer_name(text: str, start: int, short: str) -> bool:
    """Whether what stands before a name makes another name of it: 「北」 of 「北広島市」, 「草」 of 「草津市」."""
    before = text[start - 1 : start]
    if "\u3041" <= short[0] <= "\u3096" and "\u3041" <= before <= "\u3096" and before not in _PARTICLES:
        return True  # 「くらいの町」 is not 「いの町」
    if len(short) > 2:
        return before in set("東西南北新")
    return "\u4e00" <= before <= "\u9fff" and before not in "都道府県郡"
