"""Whether passages bear out what a sentence states, without any model: each thing that `qa.claims` finds in it must stand in a passage
that it cites.

In: a sentence and the passages it cites. Out: the claims that none of them bears out; none where the sentence may be shown as checked.

To stand there is not enough for a number: 「昨年度300万円、今年度500万円」 does not bear out 「今年度300万円」. Where another value of the same kind
stands among more of the sentence's own words, in its clause and in its sentence, the one that was given is not borne out. And where a
sentence names a municipality, its values must stand in a passage of, or about, that one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property, lru_cache

from corpus.municipalities import municipalities
from index.tokenizer import tokenize, words
from qa.claims import TITLES, Amount, Claim, Moment, claims_in, folded, measured, readable

_VALUES = frozenset({"number", "date", "time", "code", "email", "url"})
"""Kinds of claims that are looked at among the words around them."""
_CLAUSE = re.compile(r"[、。,;()「」『』\[\]|・!?/]|(?<=\D)[.](?=\D)|\n")
_SENTENCE = re.compile(r"[。!?]|\n")
_HEADING = re.compile(r"^[ 　]*(?:#+ |[■◆◇□●○▼▶]).*$", re.MULTILINE)
MOST_BESIDE = 8
"""Claims of its clause that a value is told by, the nearest ones."""
_DECLARED = re.compile(
    r"\((?:単位 ?: ?)?([百千万億]*)(円|人|件|%|世帯|時間|台|か所|校|社|回|団体)\)|単位 ?: ?([百千万億]*)(円|人|件|%|世帯|時間|台|か所|校|社|回|団体)"
)
_TIMES = {
    "": 1,
    "百": 10**2,
    "千": 10**3,
    "万": 10**4,
    "十万": 10**5,
    "百万": 10**6,
    "千万": 10**7,
    "億": 10**8,
}
_THINGS = frozenset({"か所", "件", "課", "種", "市", "町", "村", "つ"})
"""What is counted with 「つ」 as well: two offices are 「2か所」 and 「2つ」."""
_MUNICIPALITY = re.compile(r".+[都道府県市区町村]")
_KATAKANA = re.compile(r"[ァ-ヴー]+")


@dataclass(frozen=True)
class Evidence:
    """A passage, to the letter, and what stands around it in its document: titles, headings, the organization."""

    text: str
    around: tuple[str, ...] = ()

    @cached_property
    def folded(self) -> str:
        """The passage without its blanks, as quotations are compared."""
        return folded(self.text)

    @cached_property
    def plain(self) -> str:
        """The passage with its blanks."""
        return unicodedata.normalize("NFKC", self.text)

    @cached_property
    def names(self) -> str:
        """Passage and surroundings as names are compared."""
        return "\n".join(folded(part) for part in (self.text, *self.around)).lower()

    @cached_property
    def spaced(self) -> str:
        """The same with their blanks."""
        return "\n".join(readable(part) for part in (self.text, *self.around)).lower()

    @cached_property
    def lines(self) -> str:
        """The same as names are compared, in the lines that it is written in."""
        return "\n".join(
            folded(line) for part in (self.text, *self.around) for line in part.splitlines()
        ).lower()

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of passage and surroundings, as they are written."""
        return frozenset(word.text for word in words(self.spaced))

    @cached_property
    def stated(self) -> tuple[_Stated, ...]:
        """The values that the passage and its surroundings state, each with the words around it."""
        found = _stated(self.text)
        for part in self.around:
            found += _stated(part)
        return tuple(found)


@dataclass(frozen=True)
class _Stated:
    """A value where it stands, with the words of its clause and of its sentence."""

    claim: Claim
    clause: frozenset[str]
    sentence: frozenset[str]
    beside: tuple[Claim, ...] = ()
    """Claims in its clause, at the head of its column and in its row's label that count something else, the nearest first."""
    near: frozenset[str] = frozenset()
    """The words between it and the value before it in its clause; in a table, those of its row's label and its column's head."""
    label: frozenset[str] = frozenset()
    """In a table, the words of its row's label: the next cell to the left that is no value."""


def unsupported(sentence: str, cited: Sequence[Evidence]) -> list[Claim]:
    """The claims of a sentence that no passage bears out which it cites, in their order."""
    own = _stated(sentence, quoting=True)
    bodies = [one.claim for one in own if one.claim.kind == "name" and _is_body(str(one.claim.value))]
    return [one.claim for one in own if not _borne_out(one, bodies, cited)]


def _is_body(name: str) -> bool:
    """Whether a name is that of a municipality or a prefecture, 「酒田」 for 「酒田市」 too."""
    return _MUNICIPALITY.fullmatch(name) is not None or any(
        name + end in municipalities() for end in "市区町村"
    )


def _borne_out(one: _Stated, bodies: Sequence[Claim], cited: Sequence[Evidence]) -> bool:
    claim = one.claim
    if claim.kind == "quotation":
        return any(_quotes(evidence, str(claim.value)) for evidence in cited)
    if claim.kind == "weekday":
        # 「月～金」「(火)」「土・日」, and not 「(金額)」
        day = re.compile(
            rf"{claim.value}曜|\({claim.value}\)|(?<=[・、,~〜/-]){claim.value}(?![一-龠])|(?<![一-龠]){claim.value}(?=[・、,~〜/-])"
        )
        return any(day.search(evidence.folded) for evidence in cited)
    if claim.kind == "name":
        return any(_names(evidence, str(claim.value)) for evidence in cited)
    if claim.kind == "title":
        person, title = str(claim.value).split()
        return any(_has_title(evidence.lines, person, title) for evidence in cited)
    before = [body for body in bodies if body.start < claim.start]
    body = before[-1] if before else bodies[0] if bodies else None
    fitting = [evidence for evidence in cited if body is None or str(body.value) in evidence.names]
    if body is not None:  # one that is about it comes before one that names it on the way
        about = [
            one for one in fitting if any(str(body.value) in folded(part).lower() for part in one.around)
        ]
        fitting = about or fitting
    candidates = [
        stated for evidence in fitting for stated in evidence.stated if stated.claim.kind == claim.kind
    ]
    candidates += [
        stated for evidence in fitting for stated in evidence.stated
        if claim.kind == "number" and stated.claim.kind == "date" and _part_of_date(claim, stated.claim)
    ]  # fmt: skip
    right = [
        stated
        for stated in candidates
        # what is said to count nothing counts what it does where its words are found too
        if _same(claim, stated.claim) and (_counts_alike(claim, stated.claim) or one.clause & stated.sentence)
    ]
    others = [
        stated
        for stated in candidates
        # 「令和7年」 is none beside 「令和7年1月1日」
        if not _same(claim, stated.claim)
        and not _same(stated.claim, claim)
        and _counts_alike(claim, stated.claim)
    ]
    return any(
        not any(_nearer(one, other, own) or _is_row_of(one, other, own) for other in others) for own in right
    )


def _is_row_of(one: _Stated, other: _Stated, own: _Stated) -> bool:
    """Whether a sentence speaks of the row of a table that another value stands in, and neither of the row nor in words of the right one:
    「転居は48分」, where a row 「転居」 says 31 and 48 is said of something else."""
    named = bool(other.label) and other.label <= one.sentence and not other.label <= own.sentence
    return named and not (own.label and own.label <= one.sentence)


def _quotes(evidence: Evidence, quoted: str) -> bool:
    """Whether a passage has a quotation, wherever either of them has blanks: words that these part begin and end at them."""
    if quoted not in evidence.folded:
        return False
    return _whole(quoted, r"\s*").search(evidence.plain) is not None


def _names(evidence: Evidence, name: str) -> bool:
    """Whether a passage, or what stands around it, has a name."""
    if len(name) == 1:  # 「森さん」, and no 「森林」
        return name in evidence.words
    # words of Latin letters end at blanks, which are nothing in Japanese
    if _whole(name).search(evidence.spaced if name.isascii() else evidence.names):
        return True
    # 「オンラインフォーム」 may be a form that is online
    parts = [word.text for word in words(name)] if _KATAKANA.fullmatch(name) else []
    return len(parts) > 1 and all(part in evidence.words for part in parts)


def _has_title(text: str, person: str, title: str) -> bool:
    """Whether a person stands beside a title, in either order, with no other title and no other person's place between them."""
    before, after = (rf"(?<!副){title}(?!補佐|代理)", re.escape(person))
    for first, second in ((before, after), (after, before)):
        for found in re.finditer(rf"{first}(?P<between>[^、。,と・\n]{{0,12}}?){second}", text):
            if not any(other in found["between"] for other in TITLES):
                return True
    return False


@lru_cache(maxsize=1 << 10)
def _whole(words: str, between: str = "") -> re.Pattern[str]:
    """Where words stand as they are, with `between` between their letters: 「12人」 is not in 「112人」, and 「IT」 not in 「security」."""
    begin = r"(?<!\d)(?<!\d[,.])" if words[:1].isdigit() else r"(?<![A-Za-z0-9])" if words.isascii() else ""
    end = r"(?!\d)(?![,.]\d)" if words[-1:].isdigit() else r"(?![A-Za-z])" if words.isascii() else ""
    return re.compile(begin + between.join(map(re.escape, words)) + end)


def _nearer(one: _Stated, other: _Stated, own: _Stated) -> bool:
    """Whether another value stands among more of a claim's words than the right one: in its clause, in its sentence or next to it, and in
    none of these among fewer."""

    def shared(stated: _Stated) -> tuple[int, int, int]:
        # 「210種から130種に」: nothing stands next to the second
        near = len(one.near & stated.near) if own.near else 0
        return len(one.clause & stated.clause), len(one.sentence & stated.sentence), near

    # 「令和5年度は1,850件」: what is said together with the one and not with the other decides
    with_own, with_other = _together(one, own), _together(one, other)
    if with_own != with_other:
        return with_own < with_other
    theirs, ours = shared(other), shared(own)
    return theirs != ours and all(a >= b for a, b in zip(theirs, ours, strict=True))


def _together(one: _Stated, stated: _Stated) -> set[Claim]:
    """The claims beside a claim that stand beside a value of a passage too."""
    return {
        claim
        for claim in one.beside
        if any(claim.kind == other.kind and _same(claim, other) for other in stated.beside)
    }


def _same(claim: Claim, stated: Claim) -> bool:
    """Whether one value is the other, as exactly as the claim says it."""
    a, b = claim.value, stated.value
    if isinstance(a, Amount) and isinstance(b, Amount):
        counted = a.unit in {"", b.unit} or (a.unit == "つ" and b.unit in _THINGS)
        return a.value == b.value and counted and a.bound == b.bound
    if isinstance(a, Amount) and isinstance(b, Moment):
        return _part_of_date(claim, stated)
    if isinstance(a, Moment) and isinstance(b, Moment):
        return _covers(a, b)
    if claim.kind == "code":
        return _digits(str(a)) == _digits(str(b))
    if claim.kind == "name":  # 「酒田」 is 「酒田市」
        return a == b or (
            str(b).startswith(str(a)) and str(b)[len(str(a)) :] in {"市", "区", "町", "村", "県", "都", "府"}
        )
    return a == b


def _covers(a: Moment, b: Moment) -> bool:
    """Whether a date says of another one nothing that it is not."""
    same_year = a.year is None or a.year == b.year
    if a.bare_year is not None:  # 「6年度」 is 「令和6年度」, of whatever era
        same_year = b.bare_year == a.bare_year or (
            b.year is not None and a.bare_year in {b.year - 2018, b.year - 1988}
        )
    has_year = a.year is not None or a.bare_year is not None
    return (
        same_year
        and (a.fiscal == b.fiscal if has_year else True)
        and a.month in {None, b.month}
        and a.day in {None, b.day}
        and a.part in {"", b.part}
        and (not a.edge or not b.edge or a.edge == b.edge)
    )


def _part_of_date(claim: Claim, stated: Claim) -> bool:
    """「15日」 stands in 「4月15日」."""
    a, b = claim.value, stated.value
    assert isinstance(a, Amount)
    return isinstance(b, Moment) and not a.bound and a.unit == "日" and a.value == b.day


def _counts_alike(claim: Claim, stated: Claim) -> bool:
    """Whether two values of a kind could be taken for each other: numbers only where they count the same."""
    a, b = claim.value, stated.value
    return not isinstance(a, Amount) or not isinstance(b, Amount) or a.unit == b.unit


def _digits(code: str) -> str:
    """A telephone number is its digits, however they are grouped; shorter groups are what they are."""
    digits = code.replace("-", "")
    return digits if len(digits) >= 9 else code


def _stated(text: str, quoting: bool = False) -> list[_Stated]:
    """The claims of a text with the words around them; in a table whose unit is declared, its bare numbers count that.

    `quoting` says whether what it quotes is to be compared to the letter; else it is read as the rest is.
    """
    plain = "\n".join(readable(line) for line in text.splitlines())
    clauses, sentences = _spans(_CLAUSE, plain), _spans(_SENTENCE, plain)
    # as it is written: in digits 「千円」 would be 「1000円」
    written = unicodedata.normalize("NFKC", text)
    declared = [(found[1] or found[3] or "", found[2] or found[4]) for found in _DECLARED.finditer(written)]
    found: list[_Stated] = []
    every = list(claims_in(plain, text if quoting else None))
    # other values, and what they count, are no words around this one; a column may have a year at its head
    bare = _without(plain, [claim for claim in every if claim.kind in _VALUES])
    with_dates = _without(plain, [claim for claim in every if claim.kind == "number"])
    known: dict[tuple[int, int, str], frozenset[str]] = {}

    def content(span: tuple[int, int], read: str = bare) -> frozenset[str]:
        """The content words of a part of the text."""
        key = (*span, "" if read is bare else "dates")
        if key not in known:
            words = tokenize(read[slice(*span)])
            known[key] = frozenset(word for word in words if not word[:1].isdigit())
        return known[key]

    rows = _rows(plain)
    heads = {claim: _head(rows, plain, claim) for claim in every}
    headings = [match.span() for match in _HEADING.finditer(plain)]
    before = 0  # where the value before ended
    for claim in every:
        clause = sentence = near = label = frozenset[str]()
        places = _parts(claim, clauses)
        if claim.kind in _VALUES:
            head, cell = heads[claim], _label(bare, claim)
            label, headed = content(cell), content(head, with_dates)
            start, end = _whole_of(places, claim)
            near = headed | label | content((max(start, min(before, claim.start)), claim.start))
            clause = content((start, end)) | headed | label
            sentence = content(_whole_of(_parts(claim, sentences), claim)) | headed
            above = [span for span in headings if span[1] <= claim.start]
            sentence |= content(above[-1]) if above else frozenset()
            before = claim.end
            places += [head, cell]
        beside = [
            other
            for other in every
            if other.kind in {"date", "number", "name"}
            and not _alike(claim, other)
            # of a year at the head of a column, its values are said
            and (any(_stands_in(other, span) for span in places) or _stands_in(claim, heads[other]))
        ]
        beside.sort(key=lambda other: abs(other.start - claim.start))
        found.append(_Stated(claim, clause, sentence, tuple(beside[:MOST_BESIDE]), near, label))
        value = claim.value
        if isinstance(value, Amount) and not value.unit:
            for times, unit in declared:
                amount = measured(value.value * Decimal(_TIMES.get(times, 1)), unit, value.bound)
                found.append(replace(found[-1], claim=replace(claim, value=amount)))
    return found


def _alike(claim: Claim, other: Claim) -> bool:
    """Whether two claims of a text are values of one thing, so that one says nothing of which the other is."""
    return claim.kind == other.kind and _counts_alike(claim, other)


def _stands_in(claim: Claim, span: tuple[int, int]) -> bool:
    return span[0] <= claim.start < span[1]


def _without(text: str, claims: Sequence[Claim]) -> str:
    """A text with blanks in the place of claims."""
    for claim in claims:
        text = text[: claim.start] + " " * (claim.end - claim.start) + text[claim.end :]
    return text


def _rows(text: str) -> dict[int, list[tuple[int, int]]]:
    """Of each line of a table but its first one, by where it begins: where the cells of the first one stand."""
    found: dict[int, list[tuple[int, int]]] = {}
    head: list[tuple[int, int]] = []
    at = 0
    for line in text.split("\n"):
        if line.count("|") < 2:
            head = []
        elif not head:
            start = at
            for cell in line.split("|"):
                head.append((start, start + len(cell)))
                start += len(cell) + 1
        else:
            found[at] = head
        at += len(line) + 1
    return found


def _head(rows: Mapping[int, list[tuple[int, int]]], text: str, claim: Claim) -> tuple[int, int]:
    """Where the head of the column stands that a claim is in; else nowhere."""
    begin = text.rfind("\n", 0, claim.start) + 1
    column = text.count("|", begin, claim.start)
    head = rows.get(begin, [])
    return head[column] if column < len(head) else (0, 0)


def _label(text: str, claim: Claim) -> tuple[int, int]:
    """Where the label of a table's row stands: the next cell to the left of a claim's own that has words; else nowhere.

    Of the text, values are left out.
    """
    begin = text.rfind("\n", 0, claim.start) + 1
    end = text.rfind("|", begin, claim.start)
    while end > begin:
        start = text.rfind("|", begin, end) + 1 or begin
        if len(re.findall(r"[^\W\d]", text[start:end])) > 1:
            return start, end
        end = start - 1
    return claim.start, claim.start


def _spans(border: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    found, at = [], 0
    for match in border.finditer(text):
        # a comma or a dot within a number is no border
        if match[0] in {",", "/", "-"} and text[match.start() - 1 : match.start()].isdigit():
            continue
        found.append((at, match.start()))
        at = match.end()
    return [*found, (at, len(text))]


def _parts(claim: Claim, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of a text that a claim stands in."""
    return [span for span in spans if span[0] < claim.end and claim.start < span[1]]


def _whole_of(parts: Sequence[tuple[int, int]], claim: Claim) -> tuple[int, int]:
    """From the first to the last of the parts of a text that a claim stands in."""
    return (parts[0][0], parts[-1][1]) if parts else (claim.start, claim.start)
