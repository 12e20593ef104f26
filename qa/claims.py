"""What a text states that can be looked up: quotations, addresses, dates, times of day, numbers with what they count, names, and the
titles of persons.

In: a text. Out: `Claim`s in the order in which they stand, each with a value that two spellings of one thing share: 「令和6年4月」 and
「2024年4月」, 「8,000千円」 and 「八百万円」. Whether another text bears one out is known by `qa.support`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Literal

from corpus.municipalities import municipalities
from index.tokenizer import Word, in_digits, words

Kind = Literal["quotation", "email", "url", "code", "date", "weekday", "time", "number", "name", "title"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A date as far as it is stated: a western year, else what stands before 年 without an era; `fiscal` where it is a 年度."""

    year: int | None = None
    bare_year: int | None = None
    fiscal: bool = False
    month: int | None = None
    day: int | None = None
    part: str = ""
    """「上旬」, where it is said."""
    edge: str = ""
    """「から」 or 「まで」, where it is one."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A number, what it counts (empty where nothing says it), and how it is bounded (「以上」)."""

    value: Decimal
    unit: str = ""
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something stated, where it stands in the text as `readable` gives it, and its value."""

    kind: Kind
    text: str
    start: int
    end: int
    value: str | int | Moment | Amount


def readable(text: str) -> str:
    """The form in which claims are read: NFKC, one blank for white space, numbers in kanji in digits.

    >>> readable("令和六年　四月に三万五千人")
    '令和6年 4月に3万5000人'
    """
    plain = _hyphens(_plain(text))
    plain = _YEARS.sub(r"\g<era>\g<from>年\g<fiscal>から\g<era>\g<to>年\g<fiscal>", plain)
    plain = _MONTHS.sub(r"\g<year>.\g<from>から\g<year>.\g<to>", plain)
    plain = _MONTHS_ALONE.sub(r"\1月から\2月", plain)
    plain = _FORMAL.sub(lambda found: in_digits(found[0].translate(_PLAIN)), plain)
    if not _KANJI_NUMBER.search(plain):
        return plain
    numerals: set[int] = set()
    names: set[int] = set()
    for word in words(plain):
        (numerals if word.pos2 == "数詞" else names if word.pos2 == "固有名詞" else set()).update(
            range(word.start, word.end)
        )

    def digits(found: re.Match[str]) -> str:
        before = plain[found.start() - 1 : found.start()]
        # the dictionary has 「一日」 and 「一人」 as one word
        counts = _COUNTED.match(plain, found.end()) is not None and found.start() not in names
        is_number = counts or numerals.issuperset(range(*found.span()))
        if not is_number or before.isdigit() or before in {".", "数", "何"}:
            return found[0]
        return in_digits(found[0])

    return _KANJI_NUMBER.sub(digits, plain)


def folded(text: str) -> str:
    """The form in which quotations and names are compared: NFKC without white space, and nothing else.

    >>> folded("Ｃ Ｄ Ｏ\\nの")
    'CDOの'
    """
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


def claims(text: str) -> list[Claim]:
    """What a text states; it may be in any form."""
    return list(claims_in(readable(text), text))


def claims_in(text: str, written: str | None = None) -> Iterator[Claim]:
    """What a text states that `readable` has made of `written`; without that, what is quoted in it is not read as quotations but as
    the rest of it is, as befits a passage: there 「予算は5万円」 states an amount."""
    found: list[Claim] = []
    free = text  # what was read is blanked, so that it is not read again as something else

    def take(kind: Kind, match: re.Match[str], value: str | int | Moment | Amount, group: int = 0) -> None:
        nonlocal free
        start, end = match.span(group)
        found.append(Claim(kind, text[start:end], start, end, value))
        free = free[:start] + "\x00" * (end - start) + free[end:]

    # a quotation is compared as it is written, in kanji numerals where it has such; both forms have the same marks
    marked = [] if written is None else zip(_quotations(text), _quotations(_plain(written)), strict=True)
    for (start, end, quoted), (_, _, words_of_it) in marked:
        found.append(Claim("quotation", text[start:end], start, end, folded(words_of_it)))
        if not _VALUE_ALONE.fullmatch(quoted):  # 「12人」 in such marks is a number all the same
            free = free[:start] + "\x00" * (end - start) + free[end:]
    for match in _IDIOM.finditer(free):
        free = free[: match.start()] + "\x00" * len(match[0]) + free[match.end() :]
    for match in _URL.finditer(free):
        take("url", match, match[0].rstrip("/.,").lower())
    for match in _EMAIL.finditer(free):
        take("email", match, match[0].lower())
    for match in _CODE.finditer(free):
        if not _DATE.fullmatch(match[0]):
            take("code", match, re.sub(r"\D+", "-", match[0]).strip("-"))
    for match in _ABOUT.finditer(free):
        take("name", match, folded(match[0]))
    for match in _RELATIVE.finditer(free):
        take("name", match, folded(match[0]))
    for match in _DATE.finditer(free):
        moment = _moment(match)
        if moment is not None:
            take("date", match, moment)
    for match in _WEEKDAY.finditer(free):
        take("weekday", match, match[1] or match[2])
    for match in _LATIN.finditer(free):
        if match[0].lower() not in _LABELS:
            take("name", match, folded(match[0]).lower())
    before: tuple[int, int] | None = None  # where the last 「午後」 ended, and its hour
    for match in _TIME.finditer(free):
        value = _minutes(match)
        if (
            value is not None
            and not match["half"]
            and before is not None
            and before[1] - 12 * 60 < value < 12 * 60
            and _RANGE.fullmatch(free[before[0] : match.start()])
        ):
            value += 12 * 60  # 「午後1時から3時まで」
        if value is not None:
            before = (match.end(), value) if value >= 12 * 60 and (match["half"] or before) else None
            take("time", match, value)
    for match in _PART_OF.finditer(free):
        whole, part = (match[1], match[2]) if match[1] else (match[4], match[3])
        take("number", match, Amount(Decimal(part), f"/{whole}"))
    numbers = _numbers(text, free)
    for claim in numbers:
        free = free[: claim.start] + "\x00" * (claim.end - claim.start) + free[claim.end :]
    found += [*numbers, *_names(free)]
    yield from sorted(found, key=lambda claim: (claim.start, claim.end))


# ---------------------------------------------------------------- forms

# 「令和4～6年度」 names two years, and the mark between them may be one of those that stand for a hyphen
_YEARS = re.compile(
    r"(?P<era>令和|平成|昭和|(?<![A-Za-z])[RHS](?=\d)|(?<!\d)(?=(?:19|20)\d\d)) ?(?P<from>\d{1,4}|元)(?:年度?)? ?[~〜-] ?(?P<to>\d{1,4}) ?年(?P<fiscal>度)?"
)
# 「R4.8～12」「4～6月」 two months
_MONTHS = re.compile(
    r"(?P<year>(?<![A-Za-z])[RHSTM]\d{1,2}|(?<!\d)(?:19|20)\d\d)[./](?P<from>\d{1,2}) ?[~〜-] ?(?P<to>1[0-2]|0?[1-9])(?![\d./年月日])"
)
_MONTHS_ALONE = re.compile(r"(?<![\d./])(\d{1,2}) ?[~〜] ?(\d{1,2}) ?月(?!間)")
_HYPHEN = re.compile(r"(?<=\d)[‐‑‒–—―−ーｰ﹣](?=\d)")
_KANJI_NUMBER = re.compile(r"[〇一二三四五六七八九十百千]+")
_COUNTED = re.compile(r"[年月日]|人(?!ひとり|一人|暮らし|親)")
# 大字, as they stand in contracts: 「金壱百万円」
_PLAIN = str.maketrans("壱弐参伍肆陸漆捌玖拾佰仟阡萬零", "一二三五四六七八九十百千千万〇")
_FORMAL = re.compile(
    r"[〇一二三四五六七八九十百千]*[壱弐参伍肆陸漆捌玖拾佰仟阡零][〇一二三四五六七八九十百千壱弐参伍肆陸漆捌玖拾佰仟阡萬零]*(?=[万億円人名件台回か割%年月日時分])"
)
_OPENS = {
    "「": "」",
    "『": "』",
    "“": "”",
    '"': '"',
    "〈": "〉",
    "《": "》",
    "〝": "〟",
    "‘": "’",
    "«": "»",
    "【": "】",
    "`": "`",
    "<": ">",
}
_CLOSED = frozenset("`<")
"""Of these, one that is never closed quotes nothing: 「<」 compares, too."""
_VALUE_ALONE = re.compile(
    r"[\d,.:/年月日時分円万億千百人件%か所つ台校社回名割 -]*\d[\d,.:/年月日時分円万億千百人件%か所つ台校社回名割 -]*"
)
_IDIOM = re.compile(
    r"第1に|\d+[つ点]目|[1一]度に|[1一]人(?:ひとり|一人)"
)  # they count the sentence's own points, or nothing
_RELATIVE = re.compile(
    r"(?:一昨|再来|[来昨翌今前])年度?|(?<![一-龠])[来今昨翌][春夏秋冬]|[来先翌今]週|[来先翌今]月(?!曜)|[来今前次]期(?![一-龠])|[上下]半期|(?<![0-9元])年度?[末内]|年度当初|翌(?:営業)?日"
    r"|半額|半数|半分|半減|倍増|無料|無償|有料|有償|全額|隔[日週月年]|毎[日週月年]"
)
"""What is a date or an amount only where it is said: it has to be said in the passage too."""
_WEEKDAY = re.compile(r"([月火水木金土日])曜日?|(?<=[日\d\x00])\(([月火水木金土日])(?=[)・])")
_URL = re.compile(r"https?://[!-'*-~]+?(?=[()>\]}\"']|[^!-~]|$)", re.IGNORECASE)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
# 「023-123-4567」「(023)123-4567」「〒990-8560」: groups of digits with a hyphen or brackets between them
_CODE = re.compile(
    r"(?<![\d.])(?:\(\d{2,5}\) ?\d{1,4}-\d{3,4}|\d{2,6}(?:[-(]\d{1,4}\)?)*-?[-)]\d{1,6}(?:-\d{1,6})*)(?![\d.])"
)
# 「kintone」「Windows11」「GovTech」「A4」: a word of Latin letters, with its digits; units of measure are none. Letters of other
# alphabets look like them (the Cyrillic 「К」), and a word may have some
_FOREIGN = "A-Za-zÀ-ɏͰ-῿"
_LATIN = re.compile(
    rf"(?<![{_FOREIGN}0-9])(?!(?:[A-Za-z]|km|cm|mm|kg|ha|GB|MB|TB|KB|kW|kWh)(?![{_FOREIGN}0-9]))(?:\d{{1,4}}(?=[A-Z][a-z]?(?![A-Za-z])))?[{_FOREIGN}][{_FOREIGN}0-9+#&_]*(?:[-.][{_FOREIGN}0-9]+)*"
)
_LABELS = frozenset({"mail", "e-mail", "email", "tel", "fax", "url", "web", "http", "https", "www"})
_ABOUT = re.compile(r"[数何][十百千万億]+(?:[一-龠々つ]|か月|か所)?")  # 「数十人」 is only itself
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867} | {
    "R": 2018, "H": 1988, "S": 1925, "T": 1911, "M": 1867
}  # fmt: skip
"""The western year before the first of an era."""
_DATE = re.compile(
    r"(?:(?:(?P<era>令和|平成|昭和|大正|明治|(?<![A-Za-z])[RHSTM]) ?(?P<number>\d{1,2}|元)|(?<!\d)(?P<western>(?:19|20)\d\d)|(?<![\d.])(?P<bare>\d{1,2}|元))"
    r" ?年(?P<fiscal>度)?(?!間|[^度月]{0,1}生)(?: ?(?P<month>\d{1,2}) ?月(?!間)(?: ?(?P<day>\d{1,2}) ?日(?!間))?)?"
    r"|(?<![A-Za-z\d])(?:(?P<era2>[RHSTM])(?P<number2>\d{1,2})|(?P<western2>(?:19|20)\d\d))(?P<sep>[./-])(?P<month2>\d{1,2})(?:(?P=sep)(?P<day2>\d{1,2}))?(?![\d.])"
    r"|(?<![\d.])(?P<month3>\d{1,2}) ?月(?!間)(?: ?(?P<day3>\d{1,2}) ?日(?!間))?)(?P<part> ?(?:上旬|中旬|下旬|末))?(?=(?: ?\([月火水木金土日]\))? ?(?P<edge>から|以降|まで|以前)?)"
    r"|(?<![\d/.])(?P<month4>1[0-2]|[1-9])/(?P<day4>[12]\d|3[01]|[1-9])(?=\([月火水木金土日]|から|まで|に|~)"
)
_TIME = re.compile(
    r"(?P<half>午前|午後)? ?(?<![\d.])(?<!\d:)(?P<hour>\d{1,2}) ?(?:時(?!間|代|期|点|速)(?: ?(?:(?P<minute>\d{1,2}) ?分|(?P<thirty>半)))?|:(?P<digits>[0-5]\d)(?![\d:]))"
)
_PART_OF = re.compile(
    r"(?<![\d.])(\d{1,4}) ?分の ?(\d{1,4})(?![\d.])|(?<![\d/.])(\d{1,3})/(\d{1,3})(?![\d/])"
)
_GROUP = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?[百千]?(?:万|億|兆)?"
_NUMBER = re.compile(
    rf"(?P<sign>マイナス|[▲△−-](?=\d))?(?P<yen>[¥￥] ?)?(?<![\d.])(?P<number>{_GROUP}(?:(?<=[百千万億兆]){_GROUP})*)"
    r"(?:(?P<percent> ?(?:%|パーセント|割(?![引り当])(?:(?P<bu>\d)分)?))|(?P<unit> ?(?:{units})|[一-龠ァ-ヴ々])?)".replace(
        "{units}",
        r"[ヶケカヵか箇個]月間?|[ヶケカヵか箇]所|[ヶケカヵか]国|年間?|日間?|週間?|時間|分間?|秒間?|名様?|人[月日](?![曜々])|人|世帯|団体|市町村|自治体|職員|回目|[つ]|ポイント|歳|才|km|cm|mm|m|kg|g|ha|GB|MB|TB|KB|kWh?|円|件|社|台|部署|校|名|倍",
    )
    + r"(?P<and_half>(?<=[間年月])半(?!ば))?(?P<bound> ?(?:以上|以下|以内|以降|未満|に満たな|超(?!過)|を(?:超|越)え|を(?:上|下)回|[をが](?:上限|限度|下限)))?"
)
_UNITS = (
    (re.compile(r"[ヶケカヵか箇個]月"), "か月"),
    (re.compile(r"[ヶケカヵか箇]所"), "か所"),
    (re.compile(r"[ヶケカヵか]国"), "か国"),
    (re.compile(r"名"), "人"),
    (re.compile(r"才"), "歳"),
    (re.compile(r"回目"), "第回"),
    (re.compile(r"度$"), "回"),  # 「月に一度」
    (re.compile(r"番$"), ""),  # 「内線415番」
)
_BOUNDS = (
    ("以内", "以下"),
    ("に満", "未満"),
    ("を超", "超"),
    ("を越", "超"),
    ("を上回", "超"),
    ("を下回", "未満"),
    ("を上限", "以下"),
    ("が上限", "以下"),
    ("を限度", "以下"),
    ("が限度", "以下"),
    ("を下限", "以上"),
    ("が下限", "以上"),
)
# 「上限は300万円」「最大で20人」「少なくとも3社」
_BOUND_BEFORE = re.compile(
    r"(?:(?P<most>(?:上限|限度)額?|最大|最高|最長|多くとも)|(?P<least>下限額?|最低|最短|少なくとも))(?:額|数|人数|件数|期間)?(?:は|が|を|で|でも)?[、:]? ?$"
)
_RANGE = re.compile(r" ?(?:[~〜～-]|から|ないし) ?$")
_RANGE_END = re.compile(r"から ?\d")


def _plain(text: str) -> str:
    """NFKC, with one blank for white space."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text))


def _hyphens(text: str) -> str:
    """The marks that stand for a hyphen between digits, as one."""
    return _HYPHEN.sub("-", text)


def _quotations(text: str) -> Iterator[tuple[int, int, str]]:
    """Where quotations stand, with their words: the outermost ones, and one that is never closed up to the end.

    What stands after 「>」 at the beginning is one as a whole, as in Markdown.
    """
    at = 0
    if text.lstrip().startswith(">"):
        yield 0, len(text), text.lstrip("> ").rstrip("。 ")
        return
    while at < len(text):
        closing = _OPENS.get(text[at])
        if closing is None or (text[at] in _CLOSED and closing not in text[at + 1 :]):
            at += 1
            continue
        end, depth = at + 1, 1
        while end < len(text) and depth:
            if text[end] == closing:
                depth -= 1
            elif text[end] == text[at]:
                depth += 1
            end += 1
        quoted = text[at + 1 : end - 1] if not depth else text[at + 1 : end].rstrip("。 ")
        if folded(quoted):
            yield at, end, quoted
        at = end


def _number(text: str | None) -> int | None:
    return None if text is None else 1 if text == "元" else int(text)


def _moment(match: re.Match[str]) -> Moment | None:
    era, number = match["era"] or match["era2"], match["number"] or match["number2"]
    western, bare = match["western"] or match["western2"], match["bare"]
    month = _number(match["month"] or match["month2"] or match["month3"] or match["month4"])
    day = _number(match["day"] or match["day2"] or match["day3"] or match["day4"])
    if bare is not None and not match["fiscal"] and month is None:
        return None  # 「3年」 is how long it takes
    if not (month is None or 1 <= month <= 12) or not (day is None or 1 <= day <= 31):
        return None
    year = int(western) if western else _ERAS[era] + (_number(number) or 0) if era else None
    edge = {"以降": "から", "以前": "まで"}.get(match["edge"] or "", match["edge"] or "")
    part = (match["part"] or "").strip()
    return Moment(
        year, _number(bare) if year is None else None, bool(match["fiscal"]), month, day, part, edge
    )


def _minutes(match: re.Match[str]) -> int | None:
    hour, minute = (
        int(match["hour"]),
        int(match["minute"] or match["digits"] or (30 if match["thirty"] else 0)),
    )
    if match["half"] == "午後" and hour < 12:
        hour += 12
    return hour * 60 + minute if hour <= 30 and minute < 60 else None


def _numbers(text: str, free: str) -> list[Claim]:
    found: list[tuple[re.Match[str], Amount]] = []
    for match in _NUMBER.finditer(free):
        value = Decimal(in_digits(match["number"].replace(",", "")))
        if match["and_half"]:
            value += Decimal("0.5")
        unit = (match["unit"] or "").strip()
        if free[max(0, match.start() - 1) : match.start()] == "第":
            unit = f"第{unit}"
        if match["yen"]:
            unit = "円"
        if match["percent"]:
            tenths = "割" in match["percent"]
            value = value * 10 + int(match["bu"] or 0) if tenths else value
            unit = "%"
        for form, name in _UNITS:
            if form.match(unit):
                unit = name
        if unit.endswith("間") and unit not in {"時間"}:
            unit = unit.removesuffix("間")
        bound = (match["bound"] or "").strip()
        bound = next((name for begin, name in _BOUNDS if bound.startswith(begin)), bound)
        before = _BOUND_BEFORE.search(text, max(0, match.start() - 12), match.start())
        if before is not None and not bound:
            bound = "以下" if before["most"] else "以上"
        if unit == "歳" and text.startswith("から", match.end()) and not _RANGE_END.match(text, match.end()):
            bound = bound or "以上"  # 「65歳から」
        if match["sign"] and match["sign"] != "-":
            value = -value
        found.append((match, measured(value, unit, bound)))
    made: list[Claim] = []
    last: tuple[re.Match[str], Amount] | None = None
    for place, (match, amount) in enumerate(found):
        if last is not None and last[0].end() == match.start() and _hours(last) and amount.unit == "分":
            whole = replace(amount, value=last[1].value + amount.value)  # 「1時間30分」
            begin = made.pop().start
            made.append(Claim("number", text[begin : match.end()], begin, match.end(), whole))
            last = None
            continue
        last = match, amount
        if not amount.unit and place + 1 < len(found):  # 「5～10人」: what the second counts, the first does
            after, other = found[place + 1]
            if _RANGE.fullmatch(free[match.end() : after.start()]):
                amount = Amount(amount.value, other.unit, amount.bound)
        made.append(Claim("number", text[match.start() : match.end()], match.start(), match.end(), amount))
    return made


def measured(value: Decimal, unit: str, bound: str = "") -> Amount:
    """A number and what it counts; hours are minutes, so that 「1時間半」 is 「90分」."""
    return Amount(value * 60, "分", bound) if unit == "時間" else Amount(value, unit, bound)


def _hours(one: tuple[re.Match[str], Amount]) -> bool:
    match, amount = one
    return not amount.bound and not match["and_half"] and (match["unit"] or "").strip() == "時間"


# ---------------------------------------------------------------- names

_PLACE_ENDS = ("都", "道", "府", "県", "市", "区", "町", "村", "郡")
_TOWN_ENDS = frozenset({"市", "区", "町", "村"})
_BODY_ENDS = (
    "課", "室", "係", "部", "局", "署", "センター", "会社", "協会", "大学", "銀行", "組合", "機構", "法人", "財団", "社団",
    "委員会", "協議会", "本部", "庁", "省", "研究所", "事務所",
)  # fmt: skip
_NAMED_ENDS = (
    "図書館", "公民館", "体育館", "会館", "博物館", "美術館", "児童館", "資料館", "記念館", "交流館", "病院", "診療所", "保健所", "支所", "出張所", "学校", "高校",
    "保育園", "保育所", "幼稚園", "公園", "駅", "ホール", "プラザ", "会議", "部会", "チーム", "プロジェクト", "条例", "要綱", "規則", "憲章", "宣言",
)  # fmt: skip
"""What a facility, a group or a rule is called; alone, or after a word that says nothing, it names none."""
_GENERIC = re.compile(
    r"(?:担当|各|関係|関連|当該|同|本|当|他|全|両|主管|所管|原|庁内|市|町|村|区|県|府|道|都|役所|役場|部|課|室|係|局|部署|自|他|窓口|民間|事業|地方|公共|公|新|旧|一|外|内|別|業務|システム|行政|情報|国|自治体|市町村|都道府県|専門|支援|相談|[0-9]+)*"
)
# 「行政課」 is the name of one, 「担当課」 of none
_OFFICE = re.compile(r"(?:業務|システム|行政|情報|専門|支援|相談|事業|窓口)+[課室係部局]")
_COMPANIES = ("株式会社", "有限会社", "合同会社", "一般社団法人", "一般財団法人", "公益財団法人", "NPO法人")
TITLES = (
    "課長補佐", "副市長", "副町長", "副村長", "副知事", "市長", "町長", "村長", "区長", "知事", "課長", "部長", "係長", "室長", "局長", "所長", "次長",
    "主査", "主任", "主事", "主幹", "参事", "理事", "顧問", "教授", "委員長", "会長", "社長",
)  # fmt: skip
"""Of persons, as they follow a name; the longer ones first."""
_OF_PLACES = frozenset({"副市長", "副町長", "副村長", "副知事", "市長", "町長", "村長", "区長", "知事"})
_HONORIFICS = ("氏", "さん", "様", "先生", *TITLES)
_KATAKANA = re.compile(r"[ァ-ヴー]{4,}")
_PLAIN_KATAKANA = frozenset({
    "オンライン", "ホームページ", "スマートフォン", "メールアドレス", "チャットボット", "ワンストップ", "ログイン", "ウェブサイト", "ウェブページ", "デジタルトランスフォーメーション",
    "オープンデータ", "ワークショップ", "フロントヤード", "バックヤード", "デジタルデータ", "デジタルサービス", "オンラインサービス", "オンラインシステム",
})  # fmt: skip
"""Words of several words that name no product."""


# 「近隣市」「中核市」「城下町」: some towns, and the name of none
_KIND = re.compile(
    r"(?:政令|指定|中核|特例|施行時|先進|先行|近隣|周辺|隣接|参加|参画|構成|関係|加盟|連携|対象|被災|同規模|小規模|大規模|中小|人口|過疎|離島|山間|沿岸"
    r"|県庁所在|城下|門前|宿場|温泉|観光|田舎|港|下|両|数|多く|一部|地元|自|我|[0-9一二三四五六七八九十]+)+"
)


@cache
def _municipalities() -> re.Pattern[str]:
    """The names of all municipalities: some are words besides (「光市」「みどり市」「北区」)."""
    return re.compile("|".join(sorted(municipalities(), key=len, reverse=True)))


def _names(text: str) -> list[Claim]:
    found = [_name(text, *match.span()) for match in _municipalities().finditer(text)]
    titles: list[Claim] = []
    # 「ロゴフォーム」: words that everybody knows, and together a name
    for match in _KATAKANA.finditer(text):
        if match[0] not in _PLAIN_KATAKANA and len(words(match[0])) > 1:
            found.append(_name(text, *match.span()))
    for run in _runs(words(text)):
        own = "".join(word.text for word in run)
        for place, word in enumerate(run):
            if word.pos2 != "固有名詞" and not _is_product(word):
                continue
            if len(word.text) == 1 and text[word.start - 1 : word.start] == "\x00":
                continue  # what is left of 「2業務」
            after = run[place + 1] if place + 1 < len(run) else None
            last = after if word.pos3 == "地名" and after is not None and after.text in _PLACE_ENDS else word
            found.append(_name(text, word.start, last.end))
        for place, word in enumerate(run):
            # a town that no list and no dictionary has: 「渚市」, a former one, a district
            if word.text in _TOWN_ENDS and place and word.start > max((c.end for c in found), default=-1):
                start = _begin(found, run, word.start)
                own_name = text[start : word.start]
                # 「構成市町村」
                several = not _TOWN_ENDS.isdisjoint({own_name[-1:], text[word.end : word.end + 1]})
                if not several and not _GENERIC.fullmatch(own_name) and not _KIND.fullmatch(own_name):
                    found.append(_name(text, start, word.end))
        for place, word in enumerate(run):
            ends = word.text in _BODY_ENDS or (place + 1 == len(run) and own.endswith(_BODY_ENDS))
            if not ends:
                continue
            start = _begin(found, run, word.start)
            office = text[start : word.end]
            if not _GENERIC.fullmatch(office) or _OFFICE.fullmatch(office):
                found.append(_name(text, start, word.end))
        kind = next((kind for kind in _NAMED_ENDS if own.endswith(kind)), "")
        start = _begin(found, run, run[-1].end)
        if kind and not _GENERIC.fullmatch(text[start : max(start, run[-1].end - len(kind))]):
            found.append(_name(text, start, run[-1].end))
        if own.startswith(_COMPANIES):
            found.append(_name(text, run[0].start, run[-1].end))
        if run[-1].pos1 == "接頭辞":  # 「副市長」 is no mayor by the name of 「副」
            continue
        honoured = next((end for end in _HONORIFICS if text.startswith(end, run[-1].end)), None)
        if honoured is not None and not _GENERIC.fullmatch(own):
            found.append(_name(text, run[0].start, run[-1].end))
        # the dictionary has 「課長」 as one word, and 「係長」 as two, which end the run
        title = honoured or next((end for end in TITLES if own.endswith(end)), "")
        named = [word for word in run if honoured or word.end <= run[-1].end - len(title)]
        if title in TITLES and named and not _GENERIC.fullmatch("".join(word.text for word in named)):
            titles += _title(text, named, title, bool(honoured))
    return [*{(claim.start, claim.end): claim for claim in found}.values(), *titles]


def _title(text: str, run: list[Word], title: str, follows: bool) -> Iterator[Claim]:
    """The title of the person whose name a run of nouns is, or ends with; `follows` says that it is not of their own run: 「東課長」."""
    last = run[-1]
    # 「酒田市長」 is no person by the name of 酒田, 「春日係長」 is one, and 「推進係長」 has no name
    if (not follows and last.pos2 != "固有名詞") or (last.pos3 == "地名" and title in _OF_PLACES):
        return
    person = next((word for word in run if word.pos3 == "人名"), last)
    end = last.end + len(title)
    yield Claim(
        "title", text[person.start : end], person.start, end, f"{folded(person.text).lower()} {title}"
    )


def _begin(found: list[Claim], run: list[Word], end: int) -> int:
    """Where a name in a run begins that has something of its own up to `end`: after the one before it, 「酒田市デジタル推進課」."""
    return max([run[0].start, *(claim.end for claim in found if claim.end <= end)])


def _name(text: str, start: int, end: int) -> Claim:
    return Claim("name", text[start:end], start, end, folded(text[start:end]).lower())


def _is_product(word: Word) -> bool:
    """Whether a word is one that no dictionary has, in katakana: the name of something."""
    return not word.known and re.fullmatch(r"[ァ-ヴー]{3,}", word.text) is not None


def _runs(found: list[Word]) -> Iterator[list[Word]]:
    """Nouns that stand together without anything between them."""
    run: list[Word] = []
    for word in found:
        is_noun = (word.pos1 in {"名詞", "接尾辞", "接頭辞"} and word.pos2 != "数詞") or not word.known
        is_noun = is_noun and word.text not in _HONORIFICS and any(c.isalnum() for c in word.text)
        if run and (not is_noun or word.start != run[-1].end):
            yield run
            run = []
        if is_noun:
            run.append(word)
    if run:
        yield run
