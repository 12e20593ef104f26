"""Which organizations a text names, known ones and others; every name here was read by hand."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import CASE_BOOK, FakeEncoder

from corpus.municipalities import PREFECTURES, municipalities
from corpus.records import Chunk, Document
from corpus.text import normalize
from index.build import build
from index.store import Index, load_current
from qa import names as names_module
from qa.names import Directory, Readings, bodies_in, organizations_of, sections_of

NAMES = (
    "山形県酒田市",
    "山形県舟形町",
    "三重県津市",
    "広島県広島市",
    "福島県",
    "福島県福島市",
    "大分県",
    "宮崎県都城市",
    "神奈川県横浜市",
    "みずほ県霧ヶ沢村",
)


class Texts:
    """Documents that are their texts."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def documents_saying(self, words: str) -> list[str]:
        return [name for name, text in self._texts.items() if words in text]

    def document_says(self, document_id: str, words: str) -> bool:
        return words in self._texts.get(document_id, "")


KNOWN = Directory(
    {f"c{number}": name for number, name in enumerate(NAMES)},
    said=Texts({"d": "磐梯町は横瀬町に職員を送る。北九州市。"}),
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("山形県酒田市の担当は？", ["山形県酒田市"]),
        ("酒田市の担当は？", ["山形県酒田市"]),
        ("酒田の担当は？", ["山形県酒田市"]),
        ("霧ヶ沢の車", ["みずほ県霧ヶ沢村"]),
        ("横浜の取組", ["神奈川県横浜市"]),
        ("津市は？", ["三重県津市"]),
        ("三重県津市は？", ["三重県津市"]),
        ("横浜市と酒田市を比べたい", ["神奈川県横浜市", "山形県酒田市"]),
        ("酒田市と横浜市を比べたい", ["山形県酒田市", "神奈川県横浜市"]),
        ("福島市の窓口", ["福島県福島市"]),
        ("福島県の支援", ["福島県"]),
        ("窓口の取組は？", []),
        ("", []),
        # misspelt: read alike, one character wrong, in kana
        ("坂田市の窓口", ["山形県酒田市"]),
        ("船形町の窓口", ["山形県舟形町"]),
        ("みやこのじょう市の窓口", ["宮崎県都城市"]),
        ("ｵｵｲﾀ県の計画", ["大分県"]),
    ],
)
def test_known_organizations(text: str, named: list[str]) -> None:
    assert list(KNOWN.named(normalize(text)).known) == named


@pytest.mark.parametrize(
    "text",
    [
        "草津市の窓口",
        "木更津市は",
        "北広島市の件",
        "東広島市",
        "東福島駅",
        "酒田町",
        "津の取組",
        "だいぶ良くなった",
    ],
)
def test_a_name_inside_another_name_is_not_named(text: str) -> None:
    assert KNOWN.named(text).known == ()


def test_of_a_city_and_its_namesake_prefecture_the_stem_names_both() -> None:
    assert set(KNOWN.named("福島の取組").known) == {"福島県", "福島県福島市"}


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("会津若松市のCDOは？", ["会津若松市"]),
        ("青森県横浜町の体制", ["青森県横浜町"]),  # not 横浜市
        ("岡山県真庭市の事例", ["岡山県真庭市"]),
        ("山県郡北広島町の事例", ["北広島町"]),
        ("広島県山県郡北広島町の事例", ["広島県北広島町"]),
        ("宮崎県庁の本部長", ["宮崎県"]),  # 都城市 is indexed, its prefecture is not
        ("福島県会津若松市の窓口", ["福島県会津若松市"]),  # not 福島県
        ("白樺台市の窓口", ["白樺台市"]),  # by its form
        ("A市とB町の試行", ["A市", "B町"]),
        ("磐悌町の議会", ["磐梯町"]),  # misspelt, and the documents speak of it
        ("北九洲市の時間", ["北九州市"]),
        ("他市の事例と近隣市町村の取組", []),
        ("政令市や中核市の団体", []),
        ("岩手県立大学の講座", []),
        ("全市で始めた", []),
    ],
)
def test_bodies_that_are_not_indexed(text: str, unknown: list[str]) -> None:
    named = KNOWN.named(normalize(text))
    assert list(named.unknown) == unknown
    assert named.known == ()


def test_what_is_left_is_what_is_asked() -> None:
    assert KNOWN.named("酒田市と横浜市の窓口の違いは").rest == "と の窓口の違い"
    assert KNOWN.named("窓口の違い").rest == "窓口の違い"


def test_full_width_and_half_width_are_one() -> None:
    assert Directory({"c": "みずほ県ABC市"}).named(normalize("ＡＢＣ市の電話")).known == ("みずほ県ABC市",)


def test_every_prefecture_and_every_municipality_is_named_by_its_own_name() -> None:
    everyone = Directory({name: name for name in PREFECTURES})
    for name in PREFECTURES:
        assert everyone.named(f"{name}の取組").known == (name,), name
    nobody = Directory({})
    for name, rows in municipalities().items():
        full = rows[0].prefecture + name
        assert nobody.named(f"{full}の取組").unknown == (full,), full


def chunk(document_id: str, case_id: str | None = None, *path: str, text: str = "", number: int = 0) -> Chunk:
    return Chunk(f"{document_id}-{number}", document_id, case_id, path, None, 1, 1, 0, len(text), text)


def test_whose_passage_it_is() -> None:
    names = Directory({"c1": "山形県酒田市"}, {"d1": (), "d2": ("福島県磐梯町",)})
    assert names.of(chunk("d1", "c1")) == ("山形県酒田市",)
    assert names.of(chunk("d1", None)) == ()
    assert names.of(chunk("d2", None)) == ("福島県磐梯町",)
    assert names.organizations == ("山形県酒田市", "福島県磐梯町")
    assert names.of(chunk("d9", None)) == ()


def test_what_the_documents_say() -> None:
    assert KNOWN.mentions("磐梯町")
    assert not KNOWN.mentions("会津若松市")


def document(title: str, text: str = "", publisher: str | None = None, path: str = "a.txt") -> Document:
    return Document("d", path, title, "txt", "0", text, publisher=publisher)


@pytest.mark.parametrize(
    ("given", "organizations"),
    [
        (document("磐梯町の挑戦"), ("福島県磐梯町",)),
        (document("電子申請のよくある質問（酒田市）"), ("山形県酒田市",)),
        (document("情報化推進計画", publisher="霧ヶ沢村"), ("みずほ県霧ヶ沢村",)),
        (document("第1回ひょうご地域DX推進検討会"), ("兵庫県",)),
        (document("岩手県立大学の講座", "磐梯町。" * 6 + "横瀬町。" * 3), ("福島県磐梯町",)),
        (document("講座", "磐梯町。" * 6 + "横瀬町。" * 4), ()),  # of neither
        (document("講座", "磐梯町。" * 4 + "窓口の話。" * 1_000), ()),  # too seldom
        (document("講座", "磐梯町は窓口を変えた。磐梯町の話です。"), ("福島県磐梯町",)),  # of no other
        (document("講座", "磐梯町は窓口を変えた。"), ()),
        # by its path
        (document("パスワードの管理", path="情報課/手順_磐梯町.docx"), ("福島県磐梯町",)),
        (document("パスワードの管理", path="磐梯町/手順.docx"), ("福島県磐梯町",)),
        (document("酒田市の計画", path="磐梯町/計画.docx"), ("山形県酒田市",)),  # the title first
        # by its cover
        (document("窓口の説明会", "窓口の説明会\n\n磐梯町 町民課\n令和7年5月"), ("福島県磐梯町",)),
        (document("通知", "7企第1号\n福島県磐梯町長\n通知します。"), ("福島県磐梯町",)),
        (document("通知", "7企第1号\n磐梯町にお住まいの方へ"), ()),
        (document("通知", "磐梯町長\n横瀬町長\n協定を結ぶ。"), ()),  # of two
        # bodies that no table has, by their form
        (document("東山広域連合の報告", "節減した。"), ("東山広域連合",)),
        (document("ミドリ市の取組", "ミドリ市では窓口を変えた。"), ("ミドリ市",)),
        (document("田園都市の取組", "田園都市の話。"), ()),
        (document("業務改革市民調査", "市民に聞いた。"), ()),
        (document("講座"), ()),
    ],
)
def test_whose_document_it_is(given: Document, organizations: tuple[str, ...]) -> None:
    assert organizations_of(given, ["山形県酒田市", "みずほ県霧ヶ沢村"]) == organizations


def test_a_document_of_several_is_of_none() -> None:
    compares = document("事例集", "磐梯町の例。" * 6)
    assert organizations_of(compares) == ("福島県磐梯町",)
    assert organizations_of(compares, several=True) == ()


@pytest.mark.parametrize(
    ("chunks", "owners"),
    [
        ([chunk("d", None, "事例1 窓口の改革（福島県磐梯町）", "効果")], ["福島県磐梯町"]),
        ([chunk("d", None, "磐梯町の取組")], ["福島県磐梯町"]),
        ([chunk("d", None, "磐梯町の取組", "横瀬町の取組")], ["埼玉県横瀬町"]),  # the innermost
        ([chunk("d", None, "磐梯町との連携")], [None]),
        ([chunk("d", None, "磐梯町・横瀬町の連携")], [None]),
        ([chunk("d", None, "（磐梯町）")], [None]),  # who speaks
        ([chunk("d", None, "千葉県の補助金")], [None]),
        (
            [
                chunk("d", None, "事例1", text="| 団体名 | 福島県磐梯町 | 人口 | 3千人 |"),
                chunk("d", None, "事例1", "効果", text="半分になった。", number=1),
                chunk("d", None, "事例2", "効果", text="横瀬町に倣った。", number=2),
            ],
            ["福島県磐梯町", "福島県磐梯町", None],
        ),
        ([chunk("d", None, text="市町村名：磐梯町\n件数：3")], ["福島県磐梯町"]),
        ([chunk("d", None, text="| 団体名 | 件数 |\n| 磐梯町 | 3 |")], [None]),  # names of columns
    ],
)
def test_whose_section_it_is(chunks: list[Chunk], owners: list[str | None]) -> None:
    own = sections_of(chunks)
    assert [own.get(one.id) for one in chunks] == owners


def test_a_section_is_of_the_one_its_heading_names() -> None:
    names = Directory({}, {"d": ("山形県酒田市",)}, of_section={"d-1": "福島県磐梯町"})
    assert names.of(chunk("d", number=1)) == ("福島県磐梯町",)
    assert names.own(chunk("d", number=1)) == "福島県磐梯町"
    assert names.of(chunk("d", number=2)) == ("山形県酒田市",)
    assert names.own(chunk("d", number=2)) is None
    # whose sections there are is known, by the whole name alone
    assert names.named("磐梯町の件数は").known == ("福島県磐梯町",)
    assert names.named("磐梯の件数は").known == ()


def test_bodies_that_no_table_has_are_named_by_their_form() -> None:
    names = Directory({}, {"d": ("東山広域連合",), "e": ("テスト市",)})
    assert names.named("東山広域連合の節減額は").known == ("東山広域連合",)
    assert names.named("西山広域連合の節減額は").unknown == ("西山広域連合",)
    assert names.named("愛知県北部衛生組合の節減額は").unknown == ("愛知県北部衛生組合",)
    assert names.named("テスト市の電話番号は").known == ("テスト市",)
    assert names.named("カラー市の電話番号は").unknown == ("カラー市",)
    assert names.named("システムテストの件数は").known == ()  # 「テスト」 is a word


@pytest.mark.parametrize(
    "question",
    [
        "各都道府県の予算は",
        "スマート農村の事例は",
        "東北六県の合計は",
        "合併市町村の例は",
        "企業団地の数は",
        "衛星都市の例は",
    ],
)
def test_words_that_end_like_a_name_are_none(question: str) -> None:
    named = Directory({}).named(question)
    assert (named.known, named.unknown) == ((), ())


def test_bodies_in_a_text() -> None:
    assert bodies_in("広島県と愛媛県、福島県磐梯町の例") == {"広島県", "愛媛県", "福島県磐梯町"}
    assert bodies_in("市町村の例") == set()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.text(alphabet="酒田市町村県福島横浜A北東のはとが津磐梯", max_size=30))
def test_any_text(text: str) -> None:
    named = KNOWN.named(normalize(text))
    assert set(named.known) <= set(NAMES)
    assert len(named.rest) <= len(normalize(text))


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("福島県の研修", "福島県", True),
        ("福島県福島市の研修", "福島県", False),  # the city alone
        ("福島県福島市と福島県の研修", "福島県", True),
        ("福島市の研修", "福島県福島市", True),
        ("つくし県若草市の窓口", "つくし県", False),  # also where no table has it
        ("つくし県と若草市の窓口", "つくし県", True),
        ("つくし県\n若草市の窓口", "若草市", True),
        ("若草の窓口", "若草市", False),
        ("大津市の利用料", "三重県津市", False),
        ("津市の利用料", "三重県津市", True),
        ("三重県津市の利用料", "津市", True),  # whichever prefecture it has
        ("東大阪市の職員", "大阪市", False),
        ("東京都府中市の費用", "広島県府中市", False),
        ("府中市の費用", "広島県府中市", True),
        ("兵庫県養父市の交付率", "養父市", True),
    ],
)
def test_a_name_is_said_on_its_own(text: str, name: str, said: bool) -> None:
    names = Directory({"a": "福島県", "b": "福島県福島市", "c": "つくし県", "d": "つくし県若草市"})
    assert names.says(text, name) is said


@pytest.mark.parametrize("question", ["完了見込みは何市町ですか", "幾町村ですか", "何町の話ですか"])
def test_what_asks_for_a_number_of_municipalities_names_none(question: str) -> None:
    named = Directory({"a": "つくし県若草市"}, None, Texts({"d": "上市町の取組"})).named(question)
    assert (named.known, named.unknown) == ((), ())


def test_a_name_in_hiragana_does_not_begin_within_a_word() -> None:
    names = Directory({"c": "山形県舟形町"})
    assert names.named("人口3万人くらいの町は？").unknown == ()
    assert "いの町" in names.named("高知県のいの町の人口は？").unknown
    assert names.named("いの町の人口は？").unknown[0].endswith("いの町")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    for name in ("鳥羽市", "東金市"):
        text = f"# {name}の計画\n\n## 受付\n\n{name}の受付は平日の午前九時からです。\n"
        (tmp_path / "documents" / f"{name}.md").write_text(text, encoding="utf-8")
    return tmp_path


def indexed(folder: Path) -> Index:
    build(folder / "documents", folder / "index", FakeEncoder())
    return load_current(folder / "index")


def test_what_was_read_in_documents_lasts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version, and a server that is started again, read what is new; any other doubt reads everything."""
    read: list[str] = []
    real = names_module.organizations_of

    def watched(document: Document, *arguments: Any, **options: Any) -> tuple[str, ...]:
        read.append(document.path)
        return real(document, *arguments, **options)

    monkeypatch.setattr(names_module, "organizations_of", watched)
    file = folder / "index" / "names.json"

    def asked(index: Index, readings: Readings | None = None) -> list[str]:
        read.clear()
        directory = Directory.of_index(index, readings or Readings(file))
        owners = {info.path: directory.of_document(info.id) for info in index.listing.values()}
        assert owners["鳥羽市.md"] == ("三重県鳥羽市",)
        assert directory.saying("三重県鳥羽市") == [
            i.id for i in index.listing.values() if i.path == "鳥羽市.md"
        ]
        assert (directory.mentions("鳥羽市"), directory.mentions("那覇市")) == (True, False)
        return sorted(read)

    index, kept = indexed(folder), Readings(file)
    assert asked(index, kept) == ["東金市.md", "鳥羽市.md"]
    assert asked(index, kept) == asked(index) == []
    (folder / "documents" / "新しい.md").write_text(
        "# 飯島町の計画\n\n受付は平日の午前九時からです。\n", encoding="utf-8"
    )
    index = indexed(folder)
    assert asked(index, kept) == ["新しい.md"]
    assert asked(index) == []
    (folder / "documents" / "新しい.md").rename(folder / "documents" / "千葉県.md")
    index = indexed(folder)
    assert asked(index) == ["千葉県.md"]  # a path may say whose a document is
    (folder / "documents" / "事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
    index = indexed(folder)
    assert len(asked(index)) == 4  # other organizations are known now
    for damage in ("", "[]", "{}", file.read_text(encoding="ascii").replace('"rules": "', '"rules": "0')):
        file.write_text(damage, encoding="ascii")
        assert len(asked(index)) == 4
        assert asked(index) == []
    file.unlink()
    file.mkdir()  # nor can it be written: then it is read, and nothing else happens
    assert len(asked(index)) == 4


def test_a_directory_is_made_once_and_goes_with_its_index(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = Directory.of_index

    def slow(index: Index, readings: Readings | None = None) -> Directory:
        made.append(1)
        time.sleep(0.05)
        return real(index, readings)

    monkeypatch.setattr(Directory, "of_index", slow)
    index = indexed(folder)
    found: list[Directory] = []
    threads = [
        threading.Thread(target=lambda index: found.append(names_module.directory(index)), args=(index,))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(made), len(found), len(set(map(id, found)))) == (1, 4, 1)
    gone = weakref.ref(index)
    del index, threads
    gc.collect()
    assert gone() is None
