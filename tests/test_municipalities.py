"""Names of public bodies: their parts, their kinds, and what is no name at all."""

from __future__ import annotations

import pytest

from corpus.municipalities import (
    DESIGNATED_CITIES,
    PREFECTURES,
    REGION_OF,
    REGIONS,
    looks_like_organization,
    parse_organization,
)


def test_the_tables_are_those_of_the_national_code():
    assert len(PREFECTURES) == len(set(PREFECTURES)) == 47
    assert len(REGIONS) == 8
    assert len(DESIGNATED_CITIES) == 20
    assert PREFECTURES[0] == "北海道"
    assert PREFECTURES[12] == "東京都"  # code 13
    assert PREFECTURES[46] == "沖縄県"
    assert REGION_OF["三重県"] == "近畿"
    assert REGION_OF["山梨県"] == "中部"


@pytest.mark.parametrize(
    ("name", "prefecture", "municipality", "kind"),
    [
        ("山形県酒田市", "山形県", "酒田市", "市"),
        ("神奈川県横浜市", "神奈川県", "横浜市", "政令指定都市"),
        ("横浜市", None, "横浜市", "政令指定都市"),
        ("東京都北区", "東京都", "北区", "特別区"),
        ("大阪府大阪市北区", "大阪府", "大阪市北区", None),
        ("京都市中京区", None, "京都市中京区", None),
        ("埼玉県上里町", "埼玉県", "上里町", "町"),
        ("南都留郡道志村", None, "南都留郡道志村", "村"),
        ("北海道", "北海道", None, "道"),
        ("東京都", "東京都", None, "都"),
        ("京都府", "京都府", None, "府"),
        ("京都府京都市", "京都府", "京都市", "政令指定都市"),
        ("京都市", None, "京都市", "政令指定都市"),
        ("宮崎県都城市", "宮崎県", "都城市", "市"),
        ("宇都宮市", None, "宇都宮市", "市"),
        ("甲府市", None, "甲府市", "市"),
        ("四日市市", None, "四日市市", "市"),
        ("岐阜県山県市", "岐阜県", "山県市", "市"),
        ("山県市", None, "山県市", "市"),
        ("山県郡北広島町", None, "山県郡北広島町", "町"),
        ("みずほ県", "みずほ県", None, "県"),
        ("みずほ県青葉野市", "みずほ県", "青葉野市", "市"),
        (" 山形県酒田市 ", "山形県", "酒田市", "市"),
        ("山形県酒田市ほか", "山形県", None, None),
        ("青葉広域行政組合", None, None, None),
        ("総務省", None, None, None),
        ("", None, None, None),
    ],
)
def test_the_parts_of_a_name(name, prefecture, municipality, kind):
    found = parse_organization(name)
    assert (found.prefecture, found.municipality, found.kind) == (prefecture, municipality, kind)


@pytest.mark.parametrize("prefecture", PREFECTURES)
def test_every_prefecture_is_read_alone_and_before_a_municipality(prefecture):
    assert parse_organization(prefecture).municipality is None
    assert parse_organization(prefecture).kind == prefecture[-1]
    found = parse_organization(f"{prefecture}宇都野市")
    assert (found.prefecture, found.municipality) == (prefecture, "宇都野市")


@pytest.mark.parametrize(
    "name",
    [
        "山形県酒田市",
        "大分県",
        "山形県酒田市ほか",
        "兵庫県（神戸市）",
        "酒田市・鶴岡市",
        "青葉広域行政組合",
        "総務省",
        "国立市",
        "四国中央市",
        "府中市",
        "各務原市",
        "市川市",
        "町田市",
        "村山市",
    ],
)
def test_names_of_public_bodies(name):
    assert looks_like_organization(name)


@pytest.mark.parametrize(
    "name",
    [
        "第2.0版",
        "1.体制整備",
        "別紙",
        "",
        "市町村",
        "都道府県",
        "各市区町村",
        "都道府県・市町村",
        "関係府省庁",
    ],
)
def test_what_is_no_name_of_a_public_body(name):
    assert not looks_like_organization(name)
