"""What is publicly known about Japanese local governments, and how their names are read.

In: a name such as 「山形県酒田市」. Out: prefecture, name and kind. The tables are facts of public record:
the 47 prefectures in the order of the national code (全国地方公共団体コード, JIS X 0401), the eight regions
of the usual school division, the twenty cities designated under article 252-19 and the sixty-two core cities under
article 252-22 of the Local Autonomy Act (地方自治法第252条の19, 第252条の22, as of 2024), and in
`data/municipalities.csv` the 1,741 municipalities and special wards with their readings (names as in the national
code, readings as in Japan Post's table of postal codes, October 2026). This module knows nothing about documents.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

REGIONS: dict[str, tuple[str, ...]] = {
    "北海道": ("北海道",),
    "東北": ("青森県", "岩手県", "宮城県", "秋田県", "山形県", "福島県"),
    "関東": ("茨城県", "栃木県", "群馬県", "埼玉県", "千葉県", "東京都", "神奈川県"),
    "中部": (
        "新潟県",
        "富山県",
        "石川県",
        "福井県",
        "山梨県",
        "長野県",
        "岐阜県",
        "静岡県",
        "愛知県",
    ),
    "近畿": ("三重県", "滋賀県", "京都府", "大阪府", "兵庫県", "奈良県", "和歌山県"),
    "中国": ("鳥取県", "島根県", "岡山県", "広島県", "山口県"),
    "四国": ("徳島県", "香川県", "愛媛県", "高知県"),
    "九州": (
        "福岡県",
        "佐賀県",
        "長崎県",
        "熊本県",
        "大分県",
        "宮崎県",
        "鹿児島県",
        "沖縄県",
    ),
}
PREFECTURES: tuple[str, ...] = tuple(name for names in REGIONS.values() for name in names)
REGION_OF: dict[str, str] = {name: region for region, names in REGIONS.items() for name in names}

DESIGNATED_CITIES: frozenset[str] = frozenset(
    [
        "札幌市",
        "仙台市",
        "さいたま市",
        "千葉市",
        "横浜市",
        "川崎市",
        "相模原市",
        "新潟市",
        "静岡市",
        "浜松市",
        "名古屋市",
        "京都市",
        "大阪市",
        "堺市",
        "神戸市",
        "岡山市",
        "広島市",
        "北九州市",
        "福岡市",
        "熊本市",
    ]
)

CORE_CITIES: frozenset[str] = frozenset(
    [
        "函館市",
        "旭川市",
        "青森市",
        "八戸市",
        "盛岡市",
        "秋田市",
        "山形市",
        "福島市",
        "郡山市",
        "いわき市",
        "水戸市",
        "宇都宮市",
        "前橋市",
        "高崎市",
        "川越市",
        "越谷市",
        "川口市",
        "船橋市",
        "柏市",
        "八王子市",
        "横須賀市",
        "富山市",
        "金沢市",
        "福井市",
        "甲府市",
        "長野市",
        "松本市",
        "岐阜市",
        "豊橋市",
        "岡崎市",
        "一宮市",
        "豊田市",
        "大津市",
        "豊中市",
        "高槻市",
        "枚方市",
        "八尾市",
        "寝屋川市",
        "吹田市",
        "東大阪市",
        "姫路市",
        "尼崎市",
        "明石市",
        "西宮市",
        "奈良市",
        "和歌山市",
        "鳥取市",
        "松江市",
        "倉敷市",
        "呉市",
        "福山市",
        "下関市",
        "高松市",
        "松山市",
        "高知市",
        "久留米市",
        "佐世保市",
        "長崎市",
        "大分市",
        "宮崎市",
        "鹿児島市",
        "那覇市",
    ]
)


@dataclass(frozen=True, slots=True)
class Municipality:
    """A municipality or special ward; the reading is in katakana and holds シ, チョウ, マチ, ソン or ムラ."""

    prefecture: str
    name: str
    reading: str


@lru_cache(maxsize=1)
def municipalities() -> dict[str, tuple[Municipality, ...]]:
    """All municipalities by their name; several prefectures have a 府中市, 伊達市 or 川崎町."""
    found: dict[str, list[Municipality]] = {}
    with (files("corpus") / "data" / "municipalities.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["name"], []).append(Municipality(**row))
    return {name: tuple(rows) for name, rows in found.items()}


# 「山形県酒田市」: the prefecture is as short as it can be, what follows ends in the kind of municipality.
# A 県 that is not in the table (a fictional one in a sample) is still read by this form; 「宇都宮市」 and
# 「京都市中京区」 show why 都, 道 and 府 are not, 「山県郡…」 why no 郡 may follow.
_MUNICIPALITY = re.compile(r"^(?P<prefecture>.{1,4}?県(?!郡))?(?P<name>.+?(?P<kind>[市区町村]))$")
# 「市町村」「各都道府県」: a class of bodies and not the name of one
_CLASS_OF_BODIES = re.compile(r"^(?:[各全国県市区町村及び・の]|関[係連]|都?道府県|府省庁?|省庁)+$")
_PREFECTURE = re.compile(r"^.{1,3}(?P<kind>[都道府県])$")


@dataclass(frozen=True, slots=True)
class Organization:
    """A name read into its parts; `kind` is 都, 道, 府, 県, 政令指定都市, 特別区, 市, 町, 村 or None."""

    name: str
    prefecture: str | None
    municipality: str | None
    kind: str | None


def parse_organization(name: str) -> Organization:
    """The parts of an organization's name; parts that the name does not show are None.

    >>> parse_organization("山形県酒田市").prefecture
    '山形県'
    >>> parse_organization("神奈川県横浜市").kind
    '政令指定都市'
    """
    name = name.strip()
    if name in REGION_OF or (name not in {"京都"} and _PREFECTURE.match(name)):
        return Organization(name, name, None, name[-1])
    prefecture = next((p for p in PREFECTURES if name.startswith(p)), None)
    rest = name[len(prefecture) :] if prefecture else name
    if prefecture is None:
        found = _MUNICIPALITY.match(name)
        if found is None:
            return Organization(name, None, None, None)
        prefecture = found["prefecture"]
        rest = found["name"]
    if not rest or rest[-1] not in "市区町村":
        return Organization(name, prefecture, None, None)
    kind: str | None = rest[-1]
    if rest in DESIGNATED_CITIES:
        kind = "政令指定都市"
    elif kind == "区":
        # 「大阪市北区」 is a part of a city and no body of its own
        kind = None if "市" in rest[1:-1] else "特別区"
    return Organization(name, prefecture, rest, kind)


def short_name(name: str) -> str:
    """An organization's name without its prefecture, where it is a municipality's.

    >>> short_name("山形県酒田市"), short_name("山形県")
    ('酒田市', '山形県')
    """
    own = parse_organization(name)
    return own.municipality or own.prefecture or own.name


def is_public_body(name: str) -> bool:
    """Whether a name has the form of one municipality, prefecture or ministry, and is no name of a place or a group.

    >>> is_public_body("山形県酒田市"), is_public_body("福祉センター"), is_public_body("中央地区")
    (True, False, False)
    """
    return bool(re.fullmatch(r"\S{1,15}(?<!地)[都道府県市区町村省庁]", name)) and looks_like_organization(
        name
    )


def looks_like_organization(name: str) -> bool:
    """Whether a name has the form of a public body: a prefecture, a municipality, a union, an agency.

    >>> looks_like_organization("山形県酒田市"), looks_like_organization("第2.0版")
    (True, False)
    """
    name = re.sub(r"[（(].*?[)）]|ほか|等$|など$", "", name).strip()
    if _CLASS_OF_BODIES.match(name):
        return False
    parts = re.split(r"[・、,\s]+", name)
    return bool(parts) and all(
        re.search(r"[都道府県市区町村]$|組合$|連合$|機構$|協議会$|[省庁]$|センター$", p) for p in parts
    )
