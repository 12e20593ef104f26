"""What a question asks: the words to search for, the organizations it names, the conditions it sets.

In: a question, the earlier questions of the conversation, and the organizations that the index knows. Out: a
`Query`. Conditions on cases (region, kind of municipality, population) become filters; an organization that is
named only prefers its case, because other documents speak of it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal

from corpus.municipalities import PREFECTURES, REGIONS, parse_organization
from corpus.text import normalize


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on what may be searched, joined with AND; within one condition any value will do."""

    document_ids: tuple[str, ...] = ()
    case_ids: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    prefectures: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    organization_kinds: tuple[str, ...] = ()
    population_bands: tuple[str, ...] = ()
    population_min: int | None = None
    population_max: int | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) not in ((), None) for f in fields(self))


@dataclass(frozen=True, slots=True)
class Query:
    """A question understood. `text` is what is searched for; `organizations` are the indexed ones it names.

    `lists` where several cases answer; `values` are the kinds of value asked for (names of VALUES).
    """

    question: str
    text: str
    organizations: tuple[str, ...] = ()
    filters: Filters = field(default_factory=Filters)
    lists: bool = False
    values: tuple[str, ...] = ()


# 「どこの団体」「一覧がほしい」「事例を見せて」: several cases answer, so each should be seen once
_LISTS = re.compile(
    r"一覧|リスト|すべて|全て|全部|どこ(?!で|に|へ|まで)|(?:団体|自治体|市町村|都道府県|県|市|町|村)は[?？]?$|(?:事例|取組|団体|自治体)(?:を|が|は|の例)"
)
_KINDS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"政令(?:指定都)?市|指定都市"), ("政令指定都市",)),
    (re.compile(r"(?<![市区])町村(?!議|長|会|部)"), ("町", "村")),
)
# 「中国・四国」「東北地方」「九州の」; 中国 alone may be the country
_REGION_WORDS: dict[str, re.Pattern[str]] = {
    "北海道": re.compile(r"北海道地方"),
    "東北": re.compile(r"東北(?!大)"),
    "関東": re.compile(r"関東"),
    "中部": re.compile(r"中部(?:地方)|北陸|東海地方|甲信越"),
    "近畿": re.compile(r"近畿|関西"),
    "中国": re.compile(r"中国(?:地方|[・、]?四国)|中四国"),
    "四国": re.compile(r"四国"),
    "九州": re.compile(r"(?<!北)九州(?!市|大)"),
}
# 「3万5千人」 has a second part
_NUMBER = r"(?P<number>\d[\d,]*(?:\.\d+)?)\s*(?P<unit>万|千)?(?:(?P<thousands>\d)千)?\s*人"
_POPULATION = re.compile(
    rf"(?:人口[がはの約]*)?{_NUMBER}\s*(?P<relation>未満|以下|以内|まで|以上|超え?|を超える|前後|程度|くらい|ぐらい|規模|台|の(?:町|村|市|自治体|団体)|から)?"
)
# 「5万人以上10万人未満」「5万～10万人」
_RANGE = re.compile(
    rf"{_NUMBER[:-1]}(?P<persons>人)?\s*(?:以上で?|から|[~〜～-])\s*"
    r"(?P<number2>\d[\d,]*(?:\.\d+)?)\s*(?:(?P<unit2>万|千)(?:(?P<thousands2>\d)千)?\s*人?|人)\s*(?P<below>未満)?"
)
# A condition chooses cases only where cases are asked for, and not one value: 「人口5万人までの団体は月額いくら」 asks for
# a price that a table gives by population.
_ASKS_CASES = re.compile(r"事例|取組|取り組|団体|自治体|市町村|ところ|(?:町|村|市|県)(?:は|を|が|の例|$)")
_ASKS_VALUE = re.compile(
    r"いくら|いつ|いくつ|何[人名件円年月日割%倍回課]|だれ|誰|電話|メール|割合|どのくらい|どれくらい|金額|料金|費用"
)
_OUR_OWN = re.compile(r"うち|当[市町村県]|本[市町村県]|私(?:たち|ども)|わが|我が|同じ(?:くらい|規模)")
NEAR = Decimal("0.5")
"""A population 「くらい」 is between this part of it and its reciprocal multiple."""


# A kind of value: the words that ask for it, and what one looks like.
VALUES: dict[str, tuple[re.Pattern[str], re.Pattern[str]]] = {
    "phone": (re.compile(r"電話|TEL|内線|連絡先|問い?合わ?せ先"), re.compile(r"\d{2,5}-\d{1,4}-\d{3,4}")),
    "email": (
        re.compile(r"メール|mail|アドレス|宛先|連絡先|問い?合わ?せ先", re.IGNORECASE),
        re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    ),
    "date": (
        re.compile(r"いつ|何年|何月|日付|時期|期限|日程"),
        re.compile(r"\d+\s*[年月]|元年|[RH]\d+\.\d+"),
    ),
    "amount": (
        re.compile(r"いくら|費用|金額|コスト|料金|利用料|予算|価格|単価"),
        re.compile(r"\d[\d,.]*\s*(?:億|万|千|百)*円"),
    ),
    "persons": (re.compile(r"何人|人数|人口|何名"), re.compile(r"\d[\d,.]*\s*[万千]?[人名]")),
    "share": (re.compile(r"割合|何割|何%|何パーセント|率は"), re.compile(r"\d[\d.]*\s*[%割]")),
    "count": (re.compile(r"何[件回課団市町社時日分倍]|いくつ|件数|数は"), re.compile(r"\d")),
    "address": (re.compile(r"URL|ホームページ|サイト|リンク", re.IGNORECASE), re.compile(r"https?://")),
}


def states_value(text: str, kinds: Iterable[str]) -> bool:
    """Whether a text holds a value of one of the kinds.

    >>> states_value("改造費は約420万円です。", ["amount"])
    True
    """
    words = normalize(text)
    return any(VALUES[kind][1].search(words) for kind in kinds)


def understand(question: str, history: Sequence[str] = (), organizations: Iterable[str] = ()) -> Query:
    """The query of a question; `history` are earlier questions, oldest first, `organizations` the indexed ones.

    >>> understand("政令指定都市の取組を知りたい").filters.organization_kinds
    ('政令指定都市',)
    """
    question = normalize(question)
    known = list(dict.fromkeys(organizations))
    named = named_organizations(question, known)
    text = question
    if history:
        # A follow-up names its subject only in what was asked before: 「そこの人口は？」
        previous = normalize(history[-1])
        text = f"{previous} {question}"
        named = named or next(
            (n for n in (named_organizations(normalize(h), known) for h in reversed(history)) if n), ()
        )
    values = tuple(kind for kind, (asks, _) in VALUES.items() if asks.search(question))
    chooses = _ASKS_CASES.search(question) and not _ASKS_VALUE.search(question)
    filters = _conditions(question) if chooses else Filters()
    return Query(
        question, text, named, filters, lists=bool(_LISTS.search(question)) or bool(filters), values=values
    )


def named_organizations(text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Which of the known organizations a text names, with or without prefecture and suffix.

    >>> named_organizations("酒田の担当は？", ["山形県酒田市", "山形県舟形町"])
    ('山形県酒田市',)
    """
    found: list[tuple[int, str]] = []
    for name in known:
        own = parse_organization(normalize(name))
        short = own.municipality or own.prefecture or own.name
        # 「酒田市」 and 「酒田」, but not inside another name: 「福島」 in 「東福島駅」, 「津市」 in 「草津市」
        hits = [m.start() for m in re.finditer(re.escape(short), text)]
        stem = short[:-1]
        if len(stem) >= 2:
            hits.extend(
                m.start()
                for m in re.finditer(re.escape(stem), text)
                if not _other_name(text, m.end(), own.kind)
            )
        hits = [place for place in hits if not _longer_name(text, place, short)]
        if hits:
            found.append((min(hits), name))
    return tuple(name for _, name in sorted(found))


def _other_name(text: str, end: int, kind: str | None) -> bool:
    """Whether what follows a stem makes another name of it: 「福島」 followed by 「市」 where the 県 is meant."""
    following = text[end : end + 1]
    own = "市" if kind == "政令指定都市" else kind
    return following in {"市", "町", "村", "区", "県", "府", "都"} and following != own


def _longer_name(text: str, start: int, short: str) -> bool:
    """Whether what stands before a name makes another name of it: 「北」 of 「北広島市」, 「草」 of 「草津市」."""
    before = text[start - 1 : start]
    if len(short) > 2:
        return before in set("東西南北新")
    return "\u4e00" <= before <= "\u9fff" and before not in "都道府県郡"


def _conditions(question: str) -> Filters:
    filters = Filters()
    kinds = tuple(kind for pattern, values in _KINDS if pattern.search(question) for kind in values)
    regions = tuple(region for region, pattern in _REGION_WORDS.items() if pattern.search(question))
    if kinds:
        filters = replace(filters, organization_kinds=kinds)
    if regions:
        filters = replace(filters, regions=regions)
    return _population(question, filters)


def _population(question: str, filters: Filters) -> Filters:
    if "人口" not in question and not _OUR_OWN.search(question):
        return filters
    between = _RANGE.search(question)
    if between:
        # 「5～10万人」 says its unit once; 「5000人以上1万人未満」 and 「5000～1万人」 do not
        full = between["persons"] or len(between["number"]) >= 4
        unit = between["unit"] or (None if full else between["unit2"])
        low = _persons(between["number"], unit, between["thousands"])
        high = _persons(between["number2"], between["unit2"], between["thousands2"])
        return replace(filters, population_min=low, population_max=high - bool(between["below"]))
    stated = [found for found in _POPULATION.finditer(question) if found["unit"] or len(found["number"]) >= 4]
    compared = [
        found
        for found in stated
        if found["relation"] in {"未満", "以下", "以内", "まで", "以上", "超", "超え", "を超える"}
    ]
    for found in compared[:2]:
        persons = _persons(found["number"], found["unit"], found["thousands"])
        if found["relation"] in {"未満", "以下", "以内", "まで"}:
            filters = replace(filters, population_max=persons - (found["relation"] == "未満"))
        else:
            filters = replace(filters, population_min=persons)
    if not compared and stated:
        persons = _persons(stated[0]["number"], stated[0]["unit"], stated[0]["thousands"])
        filters = replace(filters, population_min=int(persons * NEAR), population_max=int(persons / NEAR))
    return filters


def _persons(number: str, unit: str | None, thousands: str | None = None) -> int:
    whole = Decimal(number.replace(",", "")) * {"万": 10_000, "千": 1_000}.get(unit or "", 1)
    return int(whole) + 1_000 * int(thousands or 0)


def regions_of(prefecture: str | None) -> str | None:
    """The region of a prefecture, None for one that is not in the table."""
    return next((region for region, names in REGIONS.items() if prefecture in names), None)


__all__ = ["PREFECTURES", "Filters", "Query", "named_organizations", "regions_of", "understand"]
