"""What a question asks: the words to search for, the organizations it names, the conditions it sets, the form of an answer.

In: a question, the earlier questions of the conversation, and the directory of an index. Out: a `Query`. Conditions on
cases (region, prefecture, kind of municipality, population) become filters where cases are asked for; an organization
that is named only prefers its passages, because other documents speak of it too.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from functools import lru_cache

from corpus.municipalities import PREFECTURES, REGION_OF
from corpus.text import normalize
from index.tokenizer import tokenize
from qa.names import Directory, short


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
    categories: tuple[str, ...] = ()
    population_min: int | None = None
    population_max: int | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) not in ((), None) for f in fields(self))


@dataclass(frozen=True, slots=True)
class Query:
    """A question understood.

    `text` is what is searched for, `topic` the same without the names of organizations, `focus` the question itself where
    `text` also holds what was asked before it. `organizations` are the indexed
    ones it names, `unknown` the others. `shape` is the form of the answer: "value", "list", "compare", "summary" or
    "text"; `values` are the kinds of value asked for (names of VALUES); `kinds` the kinds of municipality that the answer is
    one of (「どこの県」); `counters` what a number asked for counts (人 and 名 for 「何人」). `near_population` orders cases by how near their population is. `years` are the years it names.
    `asks_bodies` where the answer is one or several municipalities (「…している団体は？」「どこの町？」);
    `everything` where it asks for cases and says nothing of what they did; `points_nowhere` where it says 「そこ」 or 「それ」
    and nothing was asked before.
    """

    question: str
    text: str
    topic: str = ""
    focus: str | None = None
    organizations: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    filters: Filters = field(default_factory=Filters)
    shape: str = "text"
    values: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    near_population: int | None = None
    counters: tuple[str, ...] = ()
    years: tuple[int, ...] = ()
    asks_bodies: bool = False
    everything: bool = False
    points_nowhere: bool = False

    def without(self, names: Collection[str]) -> Query:
        """The same without the conditions of these names, which a person took back."""
        empty = {f.name: getattr(Filters(), f.name) for f in fields(Filters) if f.name in names}
        near = None if "near_population" in names else self.near_population
        return replace(self, filters=replace(self.filters, **empty), near_population=near)

    def states(self, text: str) -> float:
        """How well a text states a value of a kind asked for: 1, PARTLY where it counts something else, or 0."""
        if not self.values:
            return 0.0
        # whom to call is not answered by a department alone
        without = {"department"} if CALLED & set(self.values) else set()
        text = normalize(text)
        if not any(VALUES[kind][1].search(text) for kind in self.values if kind not in without):
            return 0.0
        return 1.0 if not self.counters or _counted(self.counters).search(text) else PARTLY

    @property
    def lists(self) -> bool:
        """Whether several passages answer."""
        return self.shape == "list"


PREFECTURE_KINDS = ("都", "道", "府", "県")
CITY_KINDS = ("市", "政令指定都市")

# 「どこの団体」「一覧がほしい」「事例を見せて」: several cases answer
_LISTS = re.compile(
    r"一覧|リスト|すべて|全て|全部|列挙|挙げて|どんな(?:もの|種類)|何と何|どこどこ|それぞれどこ|"
    r"(?:どの|どんな|ほかの|他の)(?:団体|自治体|市町村)|どこ(?!で|に|へ|まで|から|の)|"
    r"(?:団体|自治体|市町村|都道府県|県|市|町|村)は(?:ある|あります|あるの|ない|どこ)?(?:か|でしょうか|ですか)?[?？]?$|"
    r"(?:事例|取組|取り組み|団体|自治体)(?:を|が|は|の例|だけ|ある|あります)"
)
_ASKS_BODIES = re.compile(
    r"団体|自治体|市町村|事例|どこ(?!で|に|へ|まで|から|の[^県市町村自団役話])|(?:県|市|町|村)は[?？]?$|取組を|取り組みを|取組だけ"
)
_COMPARES = re.compile(r"違|比べ|比較|それぞれ|どちら|どっち|両方|並べ|見比べ|差は|対比|双方")
_SUMS_UP = re.compile(
    r"要約|まとめて|まとめると|ざっくり|かいつまんで|要するに|一言で|概要[をはが]|(?:簡単|手短|ざっと)に(?:教え|説明|言)|\d行くらい|どんな(?:研修|事業|事例|会議|計画|話)(?:なの|です|でしょう|か)"
)
# 「どこの県?」「どの町ですか」: the answer is one of these
_WHICH = re.compile(r"(?:どこ|どち?ら|どの|何)の?(?P<kind>都道府県|県|市町村|市|町|村|自治体|団体|役場|役所)")
_WHICH_ENDS = re.compile(r"(?P<kind>県|市|町|村)(?:は|って)?(?:どこ|[?？]?$)")
_KIND_OF: dict[str, tuple[str, ...]] = {
    "都道府県": PREFECTURE_KINDS,
    "県": PREFECTURE_KINDS,
    "市": CITY_KINDS,
    "町": ("町",),
    "村": ("村",),
    "町村": ("町", "村"),
}
_KINDS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"政令(?:指定都)?市|指定都市"), ("政令指定都市",)),
    (re.compile(r"中核市"), ("中核市",)),
    (re.compile(r"(?<![市区])町村(?!議|長|会|部)"), ("町", "村")),
    (
        re.compile(
            r"都道府県の|(?:^|[^一-龥])県(?:レベル|単位|庁)?(?:の|による|がやってる?いる|がやって|が行)(?:取組|取り組み|事例)?"
        ),
        PREFECTURE_KINDS,
    ),
    (re.compile(r"(?:^|[^一-龥])市(?:レベル)?の(?:取組|取り組み|事例)"), CITY_KINDS),
    (re.compile(r"(?:^|[^一-龥])(?:小さな|小規模な)?町の(?:取組|取り組み|事例)"), ("町",)),
    (re.compile(r"(?:^|[^一-龥])村の(?:取組|取り組み|事例)"), ("村",)),
)
# 「中国・四国」「東北地方」「九州の」; 中国 alone may be the country
_REGION_WORDS: dict[str, re.Pattern[str]] = {
    "北海道": re.compile(r"北海道地方"),
    "東北": re.compile(r"東北(?!大)"),
    "関東": re.compile(r"関東|首都圏"),
    "中部": re.compile(r"中部(?:地方)|北陸|東海地方|甲信越"),
    "近畿": re.compile(r"近畿|関西"),
    "中国": re.compile(r"中国(?:地方|[・、]?四国)|中四国"),
    "四国": re.compile(r"四国"),
    "九州": re.compile(r"(?<!北)九州(?!市|大)"),
}
# 「3万5千人」 has a second part
_NUMBER = r"(?<!\d)(?P<number>\d[\d,]{0,20}(?:\.\d+)?)\s*(?P<unit>万|千)?(?:(?P<thousands>\d)千)?\s*人"
_POPULATION = re.compile(
    rf"(?:人口[がはの約]*)?{_NUMBER}\s*(?P<relation>未満|以下|以内|まで|以上|超え?|を超える|を下回る|前後|程度|くらい|ぐらい|規模|台|の(?:町|村|市|自治体|団体)|から)?"
)
# 「5万人以上10万人未満」「5万～10万人」
_RANGE = re.compile(
    rf"{_NUMBER[:-1]}(?P<persons>人)?\s*(?:以上で?|から|[~〜～-])\s*"
    r"(?P<number2>\d[\d,]*(?:\.\d+)?)\s*(?:(?P<unit2>万|千)(?:(?P<thousands2>\d)千)?\s*人?|人)\s*(?P<below>未満)?"
)
# A condition chooses cases only where cases are asked for, and not one value: 「人口5万人までの団体は月額いくら」 asks for
# a price that a table gives by population.
_ASKS_CASES = re.compile(
    r"どこ(?:です|でしょう|か|[?？]|$)|事例|取組|取り組|団体|自治体|市町村|ところ|(?:町|村|市|県)(?:は|を|が|の例|$)"
)
# 「埼玉県の町の担当部署」: whose value is asked for is said by a condition
_WITHIN = re.compile(r"(?:都|道|府|県)内?の(?:自治体|団体|市町村|町村|市|町|村)(?![一-龥])")
_ASKS_VALUE = re.compile(
    r"いくら|いつ|いくつ|何[人名件円年月日割%倍回課時分歳個台枚]|だれ|誰|電話|メール|割合|どのくらい|どれくらい|金額|料金|費用"
)
_OUR_OWN = re.compile(r"うち|当[市町村県]|本[市町村県]|私(?:たち|ども)|わが|我が|同じ(?:くらい|規模)")

# ---- a conversation
# 「話は変わりますが」: what was asked before is left
_NEW_TOPIC = re.compile(r"^(?:話は変わ|話が変わ|ところで|別の(?:話|件|質問)|別件|全然関係)")
_POINTS_BACK = re.compile(
    r"そこ|そちら|その|それ|これ|この(?!資料|事例集)|あれ|あの|同じ|ほかに|他に|じゃあ|では[、,]|ちなみに|ついでに|前の年|翌年"
)
REMEMBERED = 8
"""Earlier questions that are looked at."""
STANDS_ALONE, WITH_NAME = 7, 3
"""Inside a conversation, a question with so many content words of its own (beside a name) says what it is about."""
_YEAR_BEFORE, _YEAR_AFTER = re.compile(r"前の年|前年|その前"), re.compile(r"次の年|翌年|その次")

# A kind of value: the words that ask for it, and what one looks like.
VALUES: dict[str, tuple[re.Pattern[str], re.Pattern[str]]] = {
    "phone": (
        re.compile(
            r"電話(?:番号|した|す[るれ]|でき|を(?:かけ|し)|で[問聞]|は[?？]?$)|何番|TEL|内線|連絡(?:先|した|す[るれ]|でき)|問い?合わ?せ(?:先|た|る|す|でき)|電話番号",
            re.IGNORECASE,
        ),
        re.compile(r"\d{2,5}[-‐‑−―ー(]\d{1,4}[-‐‑−―ー)]\d{3,4}|内線"),
    ),
    "email": (
        re.compile(
            r"メール(?:アドレス|先|は|を送|した|す[るれ]|でき|で[問聞])|e-?mail|アドレス|宛先|連絡(?:先|した|す[るれ]|でき)|問い?合わ?せ(?:先|た|る|す|でき)",
            re.IGNORECASE,
        ),
        re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    ),
    "person": (
        re.compile(
            r"(?:氏名|お名前|フルネーム)|(?:長|員|者|官|CDO|CIO|CXO|講師|担当)の名前|(?:長|官|CDO|CIO|CXO)は(?:どなた|何という人)"
        ),
        re.compile(r"(?!)"),  # what a name is, the dictionary knows (qa/evidence.py)
    ),
    "company": (
        re.compile(
            r"(?:会社|業者|企業|メーカー|ベンダー)(?:の名前|名|はどこ|は何|を教え)|どこの会社|何という会社"
        ),
        re.compile(r"会社|\(株\)|㈱|法人|[ァ-ヶーA-Za-z]{3,}社|センター|大学|NTT"),
    ),
    "department": (
        re.compile(
            r"担当(?:部署|課|係)?(?:は|を|が|って|の(?:電話|連絡|メール)|[?？]?$)|どこの(?:課|部署|係)|何課|部署(?:は|を|が|名)|問い?合わ?せ先"
        ),
        re.compile(r"[一-龥ァ-ヶー](?:課|室|係|班|局)"),
    ),
    "date": (
        re.compile(r"いつ|何年|何月|何曜|何日(?:に|から|まで|です|$)|日付|日取り|時期|期限|締切|日程"),
        re.compile(r"\d\s*+[年月日]|元年|[月火水木金土日]曜|[RHS]\d+\.\d+|\d{4}[/.-]\d"),
    ),
    "amount": (
        re.compile(
            r"いくら|費用(?:は|って|の額|を知|が知|どの|と|や|[?？]?$)|金額|何[百千万億]*円|料金|利用料|謝金|報酬|単価|予算額|手数料|総額|[附付金]額|掛け金|給料|年収|運営費"
        ),
        re.compile(r"\d[,.]*+\s*+(?:億|万|千|百)*+\s*+円|無料|無償|ゼロ予算|円"),
    ),
    "persons": (
        re.compile(r"何(?:[千万百]*)(?:人|名)|人数|人口(?:は|って|を|が|[?？]?$)|何世帯"),
        re.compile(r"(?:\d[,.]*+\s*+[万千]?|[二三四五六七八九十百])\s*+(?:人|名|世帯)"),
    ),
    "share": (
        re.compile(r"割合|何割|何%|何パーセント|率(?:は|って|を|が|[?？]?$)"),
        re.compile(r"\d\.*+\s*+[%割]|\d\.\d|\d分の\d|半数|半分"),
    ),
    "count": (
        re.compile(r"何[件回課団市町社時日分倍個台枚歳か箇点軒店本冊箱種つ]|いくつ|件数|回数|時間数|数は"),
        re.compile(
            r"\d|[一二三四五六七八九十]つ|[一二三四五六七八九十百千]+(?:[件回団台枚歳店本冊箱校社]|か所|箇所)"
        ),
    ),
    "address": (re.compile(r"URL|ホームページ|リンク先", re.IGNORECASE), re.compile(r"https?://")),
}
# the words of a question about a contact that say nothing of what it is about
CALLS = re.compile(
    r"(?:お?電話|メール|問い?合わ?せ|連絡)(?:番号|アドレス|先)?|番号|宛先|[何どこ]+番?に?[^、。]{1,6}ば|教えて"
)
CALLED = frozenset({"phone", "email"})
"""What one calls or writes to; CONTACT with whose it is."""
CONTACT = CALLED | {"department"}
# What is counted, with the words that count the same; those that begin with another one stand before it.
_COUNTERS = (
    ("市町村", "市町"), ("団体", "自治体"), ("世帯", "軒", "戸"), ("種類", "種"), ("か所", "箇所", "ヶ所", "カ所", "個", "つ"), ("事業",),
    ("時間",), ("曜日", "曜"), ("人", "名"), ("割", "%", "パーセント"), ("件",), ("回",), ("課",), ("社",), ("日",), ("分",), ("倍",),
    ("台",), ("枚",), ("歳",), ("店",), ("本",), ("冊",), ("箱",), ("校",), ("問",), ("時",),
)  # fmt: skip
# 「四千八百冊」: a number as a text in columns writes it
_DIGITS = "〇一二三四五六七八九十百千万億"
# 「何個のシステム」 is answered by 「14の業務システム」 too
_COUNTED_NOUN = re.compile(r"何[十百千万億]*(?:個|つ|件|か所|種類?)の(?P<noun>[一-龥ァ-ヶーA-Za-z]{2,})")
_COUNTED = re.compile(
    r"(?:何[十百千万億]*(?P<asked>{0})|(?P<noun>{0})(?:の?数|(?:の数)?[はが]?いくつ))".format(
        "|".join(word for words in _COUNTERS for word in words)
    )
)
PARTLY = 0.2
"""What a number counts that is not one of what was asked for: 「3社」 for 「何件」."""
# 西暦 of the first year of an era, less one
_ERAS = {"令和": 2018, "R": 2018, "平成": 1988, "H": 1988, "昭和": 1925, "S": 1925}
_YEAR = re.compile(
    r"(?P<era>令和|平成|昭和|(?<![A-Za-z])[RHS])\s*(?P<number>\d{1,2}|元)(?:年度?|(?=[.年]))|(?P<western>(?:19|20)\d\d)(?=年|年度|[/.-])"
)


def states_value(text: str, kinds: Iterable[str]) -> bool:
    """Whether a text holds a value of one of the kinds.

    >>> states_value("改造費は約420万円です。", ["amount"])
    True
    """
    return any(VALUES[kind][1].search(normalize(text)) for kind in kinds)


@lru_cache(maxsize=128)
def _counted(counters: tuple[str, ...]) -> re.Pattern[str]:
    """A number with one of the words for what it counts."""
    if "曜" in counters:
        return re.compile("[月火水木金土日]曜")
    return re.compile(rf"(?:\d|[{_DIGITS}半])[\d,.{_DIGITS}]*\s*(?:つ?の)?\s*(?:{'|'.join(counters)})")


def years_of(text: str) -> tuple[int, ...]:
    """The years that a text names, as western years, in order: 令和6年, R6, 2024年 and 令和元年 are years.

    >>> years_of("令和元年度と2024年")
    (2019, 2024)
    """
    years = []
    for found in _YEAR.finditer(normalize(text)):
        if found["western"]:
            years.append(int(found["western"]))
        else:
            number = 1 if found["number"] == "元" else int(found["number"])
            years.append(_ERAS[found["era"]] + number)
    return tuple(dict.fromkeys(years))


def understand(
    question: str,
    history: Sequence[str] = (),
    directory: Directory | None = None,
    answered_by: Callable[[str, bool], tuple[str, ...]] | None = None,
) -> Query:
    """The query of a question; `history` are earlier questions, oldest first.

    `answered_by` gives the organization whose passage is nearest to a question, for 「そこの人口は？」 after 「どこの町ですか」; where
    its second argument is true, only that of a case.

    >>> understand("政令指定都市の取組を知りたい").filters.organization_kinds
    ('政令指定都市',)
    """
    names = directory or Directory({})
    question = normalize(question)
    named = names.named(question)
    known, unknown, topic, text = named.known, named.unknown, named.rest, question
    another = bool(known or unknown) and not _own_words(named.rest)
    earlier = _earlier_topic([normalize(h) for h in history[-REMEMBERED:]], names, another)
    focus: str | None = None
    if earlier is not None and _follows(question, named.rest, bool(known or unknown)):
        earlier, focus = _shifted(earlier, question), question
        before = names.named(earlier)
        topic = f"{before.rest} {_without_pointing(named.rest)}"
        if not known and not unknown:
            known, unknown = before.known, before.unknown
            if not known and not unknown and answered_by is not None:
                known = answered_by(earlier, False)
        text = f"{' '.join(short(name) for name in known)} {topic}" if known else f"{earlier} {question}"
        if named.known or named.unknown:
            text = f"{before.rest} {question}"
    asked = earlier if another and focus is not None and earlier is not None else question
    values = tuple(kind for kind, (asks, _) in VALUES.items() if asks.search(asked))
    if CALLED & set(values) and not known and not unknown and answered_by is not None:
        # 「移動窓口の電話番号は？」: the number stands where the organization is described, not the thing
        known = answered_by(CALLS.sub(" ", topic), True)
    chooses = _ASKS_CASES.search(question) and not _ASKS_VALUE.search(question)
    filters, near = Filters(), None
    if chooses or _WITHIN.search(question):
        filters, near = _conditions(question, named.rest, names, known)
    if directory is not None and not directory.has_cases:
        filters, near = Filters(), None
    if filters.prefectures:
        # 「福井の自治体」 is a condition, not the prefecture itself
        known = tuple(name for name in known if name not in filters.prefectures)
        unknown = tuple(name for name in unknown if name not in filters.prefectures)
    return Query(
        question=question,
        text=_with_years(text),
        focus=focus,
        topic=_with_years(topic or text),
        organizations=known,
        unknown=unknown,
        filters=filters,
        shape=_shape(
            question,
            named.rest,
            known + unknown,
            values,
            bool(chooses) and (bool(filters) or near is not None),
        ),
        # 「酒田市は？」 ends in the name of one
        asks_bodies=bool(_ASKS_BODIES.search(named.rest)),
        everything=not _says_more(question, filters),
        points_nowhere=not history and _points_nowhere(question, named.rest, bool(known or unknown)),
        values=values,
        kinds=_asked_kinds(question),
        counters=_counters(question),
        near_population=near,
        years=years_of(question),
    )


def _shape(question: str, rest: str, named: Sequence[str], values: Sequence[str], chooses: bool) -> str:
    if len(named) >= 2 and _COMPARES.search(question):
        return "compare"
    if _SUMS_UP.search(question):
        return "summary"
    if chooses or (_LISTS.search(rest) and not _ASKS_VALUE.search(question)):
        return "list"
    return "value" if values else "text"


def _counters(question: str) -> tuple[str, ...]:
    """The words for what a number asked for counts."""
    asked = {found["asked"] or found["noun"] for found in _COUNTED.finditer(question)}
    nouns = [f"[一-龥ァ-ヶー]*{found['noun']}" for found in _COUNTED_NOUN.finditer(question)]
    return tuple(word for words in _COUNTERS if asked & set(words) for word in (*words, *nouns))


def _asked_kinds(question: str) -> tuple[str, ...]:
    found = _WHICH.search(question) or _WHICH_ENDS.search(question)
    return _KIND_OF.get(found["kind"], ()) if found else ()


# words that set a condition or ask for cases, and say nothing of what the cases did
_ASKING = re.compile(
    r"人口|[\d,.]+\s*[万千]?\s*人(?:以上|未満|以下|超え?|前後|程度|くらい|規模|台)?|政令(?:指定都)?市|指定都市|中核市|町村|市町村|自治体|団体|都道府県|"
    r"(?:北海道|東北|関東|中部|北陸|近畿|関西|中国|四国|九州)(?:地方)?|事例集?|資料|取組|取り組み|一覧|リスト|全部|すべて|見せ|教え|知り|ほしい|欲しい|探し|参考|"
    r"載っ|紹介|掲載|うち|同じ|くらい|ぐらい|規模|[市町村県](?=[のはがを])|ください|ある|レベル|内"
)


def _says_more(question: str, filters: Filters) -> bool:
    for prefecture in filters.prefectures:
        question = question.replace(prefecture, "").replace(prefecture[:-1], "")
    return any(len(word) > 1 for word in tokenize(_ASKING.sub(" ", question)))


# ---------------------------------------------------------------- a conversation


def _earlier_topic(history: Sequence[str], names: Directory, another: bool) -> str | None:
    """What the conversation is about before this question: its last question that stands alone, and what follows it names.

    Where the question only names another organization, also what was asked last.
    """
    topic: str | None = None
    for place, question in enumerate(history):
        last = another and place == len(history) - 1
        named = names.named(question)
        if topic is None or not _follows(question, named.rest, bool(named.known or named.unknown)):
            topic = question
        elif named.known or named.unknown:
            topic = f"{names.named(topic).rest} {question}"
        elif last:
            # 「そこの人口は？」 right before 「では舟形町は？」
            topic = f"{topic} {_without_pointing(question)}"
    return topic


_POINTS_FIRST = re.compile(r"^(?:そこ|そちら|その|それ|これ|あれ|あの|例の)")


def _points_nowhere(question: str, rest: str, names_one: bool) -> bool:
    words = {word for word in tokenize(_POINTS_FIRST.sub("", rest)) if word not in ASKING_WORDS}
    return bool(_POINTS_FIRST.search(question)) and not names_one and len(words) <= WITH_NAME


def _own_words(rest: str) -> set[str]:
    """The words of a question without names that say what it asks."""
    return {word for word in tokenize(_without_pointing(rest)) if word not in ASKING_WORDS}


def _follows(question: str, rest: str, names_one: bool) -> bool:
    """Whether a question needs what was asked before it; `rest` is it without names."""
    if _NEW_TOPIC.search(question):
        return False
    words = _own_words(rest)
    if _POINTS_BACK.search(question):
        return len(words) <= 2 * STANDS_ALONE
    return len(words) < (WITH_NAME if names_one else STANDS_ALONE)


ASKING_WORDS = frozenset(
    tokenize(
        "どう どのくらい いくら いつ 誰 教える 知る ほう ほしい お願い 下さる 何年 何月 何人 明日 今日 昨日 資料 載る 書く "
        "取組 取り組み 事例 概要 内容 特徴 紹介"
    )
)


def _shifted(text: str, question: str) -> str:
    """The earlier topic with its year moved, where 「その前の年は？」 is asked."""
    step = -1 if _YEAR_BEFORE.search(question) else 1 if _YEAR_AFTER.search(question) else 0
    if not step:
        return text

    def moved(found: re.Match[str]) -> str:
        if found["western"]:
            return str(int(found["western"]) + step)
        number = (1 if found["number"] == "元" else int(found["number"])) + step
        return f"{found['era']}{number}{found[0][found.end('number') - found.start() :]}"

    return _YEAR.sub(moved, text)


def _without_pointing(text: str) -> str:
    return _POINTS_BACK.sub("", text)


# ---------------------------------------------------------------- years


def _with_years(text: str) -> str:
    """A text with the years it names in the other way of counting too: 「2024年度」 is 「令和6年度」."""
    added = []
    for year in years_of(text):
        for form in (f"{year}年", f"令和{year - 2018}年" if year > 2018 else f"平成{year - 1988}年"):
            if form not in text:
                added.append(form)
    return " ".join([text, *added])


# ---------------------------------------------------------------- conditions


def _conditions(
    question: str, rest: str, names: Directory, known: Sequence[str]
) -> tuple[Filters, int | None]:
    """The conditions on cases, and the population that cases should be near to; `rest` is the question without names."""
    filters = Filters()
    # 「さいたま市の事例」 is about one city, 「市の事例」 about cities
    kinds = tuple(kind for pattern, values in _KINDS if pattern.search(rest) for kind in values)
    regions = tuple(region for region, pattern in _REGION_WORDS.items() if pattern.search(question))
    # of a prefecture's own case the prefecture is meant; 「東京都」 does not say 「京都」
    prefectures = tuple(
        name
        for name in PREFECTURES
        if re.search(
            rf"(?<!東){re.escape(name[:-1])}{name[-1]}?内?の(?:自治体|団体|市町村?|町村?|村|事例|取組)",
            question,
        )
    )
    if kinds:
        filters = replace(filters, organization_kinds=kinds)
    if not known and _ASKS_BODIES.search(question):
        filters = replace(filters, categories=_categories(question, names.categories))
    if regions:
        filters = replace(filters, regions=regions)
    if found := re.search(r"より(?:も)?(?:人口|規模)?[のがも]?(?P<sign>多|大き|少な|小さ)", question):
        than = [names.population(name) for name in known if names.population(name)]
        if than and than[0] and found["sign"] in {"多", "大き"}:
            filters = replace(filters, population_min=than[0] + 1)
        elif than and than[0]:
            filters = replace(filters, population_max=than[0] - 1)
    if prefectures and not (
        set(prefectures) & set(known) and not re.search("内の|の(?:自治体|団体|市|町|村)", question)
    ):
        filters = replace(filters, prefectures=prefectures)
    filters, near = _population(question, filters)
    sized = filters.population_min is not None or filters.population_max is not None
    if sized and not kinds and not known and (found := _WHICH_ENDS.search(question)):
        # 「人口10万人以上の市は？」
        filters = replace(filters, organization_kinds=_KIND_OF[found["kind"]])
    return filters, near


# 「分類2」「カテゴリー2」, as a case book numbers its parts
_CATEGORY_NUMBER = re.compile(r"(?:分類|カテゴリー?|区分)の?\s*(\d+)")
# who does something is said with any of these
_BODIES = frozenset(tokenize("都道府県 県 市町村 市 町 村 団体 自治体"))
ALIKE, ALIKE_WORDS = 0.4, 2
"""A category is meant where a question says this part of what tells it from the others, and so many words of it."""


def _categories(question: str, categories: Sequence[str]) -> tuple[str, ...]:
    """The categories that a question means, by number or by the words that tell one from the others."""
    numbers = set(_CATEGORY_NUMBER.findall(question))
    if numbers:
        return tuple(
            name for name in categories if (re.findall(r"\d+", normalize(name)) or [""])[0] in numbers
        )
    asked = set(tokenize(question))
    words = [
        {word for word in tokenize(name) if not (word.isdigit() or word in _BODIES)} for name in categories
    ]
    in_how_many = Counter(word for own in words for word in own)
    worth = {word: math.log(len(categories) / count) for word, count in in_how_many.items()}
    meant: dict[str, float] = {}
    for name, own in zip(categories, words, strict=True):
        said = [word for word in own & asked if worth[word]]
        whole = sum(worth[word] for word in own)
        if len(said) >= ALIKE_WORDS and sum(worth[word] for word in said) >= ALIKE * whole:
            meant[name] = sum(worth[word] for word in said) / whole
    return tuple(name for name, share in meant.items() if share == max(meant.values()))


def _population(question: str, filters: Filters) -> tuple[Filters, int | None]:
    if "人口" not in question and not _OUR_OWN.search(question):
        return filters, None
    between = _RANGE.search(question)
    if between:
        # 「5～10万人」 says its unit once; 「5000人以上1万人未満」 and 「5000～1万人」 do not
        full = between["persons"] or len(between["number"]) >= 4
        unit = between["unit"] or (None if full else between["unit2"])
        low = _persons(between["number"], unit, between["thousands"])
        high = _persons(between["number2"], between["unit2"], between["thousands2"])
        return replace(filters, population_min=low, population_max=high - bool(between["below"])), None
    stated = [found for found in _POPULATION.finditer(question) if found["unit"] or len(found["number"]) >= 4]
    below, above = {"未満", "以下", "以内", "まで", "を下回る"}, {"以上", "超", "超え", "を超える"}
    compared = [found for found in stated if found["relation"] in below | above]
    for found in compared[:2]:
        persons = _persons(found["number"], found["unit"], found["thousands"])
        if found["relation"] in below:
            filters = replace(filters, population_max=persons - (found["relation"] in {"未満", "を下回る"}))
        else:
            filters = replace(filters, population_min=persons)
    if not compared and stated:
        return filters, _persons(stated[0]["number"], stated[0]["unit"], stated[0]["thousands"])
    return filters, None


def _persons(number: str, unit: str | None, thousands: str | None = None) -> int:
    whole = Decimal(number.replace(",", "")) * {"万": 10_000, "千": 1_000}.get(unit or "", 1)
    return int(whole) + 1_000 * int(thousands or 0)


def regions_of(prefecture: str | None) -> str | None:
    """The region of a prefecture, None for one that is not in the table."""
    return REGION_OF.get(prefecture or "")
