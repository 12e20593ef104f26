"""Whether what was found holds what was asked: the one place that decides to say no.

In: a query and the selected hits. Out: None, or the reason why they do not answer. Nearness does not tell the two apart: the
passages nearest to a question that the documents leave open are as near as those that answer (docs/decisions.md). What tells
is what the question demands and a passage can show: the organization, the year, the number of a meeting, a value of
the kind asked for. Each is a check of form; a question that demands nothing of the kind is never refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from corpus.text import letters, normalize, sentence_spans, squeeze
from index.store import Hit, Index
from index.tokenizer import READING, grams, holds_person, tokenize
from qa.names import Directory, bodies_in, short
from qa.select import NEAREST
from qa.understand import ASKING_WORDS, CALLED, CALLS, CONTACT, Filters, Query, states_value, years_of

CHECKED = ("phone", "email", "amount", "share", "persons", "person", "company", "address")
"""Kinds of value that a text without one cannot answer. A count or a date can be said in too many ways."""
NEARLY = 0.4
"""A question is misspelt, and not about something else, where its passages share this part of its grams."""
REMEMBERED = 1 << 10
"""Passages whose words are kept, 10 MB: other questions come to them again."""
NAMED = 2
"""Words that name what a question is about; more of them describe it."""
GENERAL = frozenset(
    tokenize(
        "予算 費用 料金 金額 電話 番号 連絡 先 人数 時期 期間 方法 手順 場所 理由 効果 課題 目的 目標 数 名前 担当 部署 使う 始める 作る "
        "行う 進める 導入 利用 活用 実施 団体 自治体 市町村 市 町 村 県 都道府県 役場 役所 人 者 何 事 物 時 所 ある ない する できる "
        "良い 多い 少ない 一番 最も 必要 屋 店 点 件 回 年 月 日 どれ 現在 今 最近 状況 結果 "
        "説明 詳しい 見せる もらう 全部 おすすめ お 結局"
    )
)
"""Words that go with any subject: what is asked of it, who does it, and how one asks."""
# Words for money that stand for one another: a salary is not answered by the price of a licence.
_MONEY = (
    ("報酬", "給料", "給与", "年収", "月給", "謝金", "謝礼", "日当", "手当", "賃金"),
    ("保険料", "掛け金", "掛金", "特約"),
    ("寄附", "寄付", "納税"),
)
# 「町長の名前」 「CDOは誰」: the office whose holder is asked for
_OFFICE = re.compile(
    r"(?P<office>[一-龥]{1,6}[長官]|[A-Z]{3})(?:の(?:お?名前|氏名)|って誰|は(?:どなた|何という))"
)
# 「情報企画課長 春日」「志賀 様」: a name that the dictionary has as a word or a place
_NAMED = re.compile(r"[長官監]\s+[一-龥]{1,4}(?=[\s()、。]|$)|[一-龥]{1,4}\s*(?:様|氏|さん)(?=[\s()、。]|$)")
# a cell that is a number and nothing else: 「| 1,200 |」
_CELL = re.compile(r"[|\t][^\S\n]*[\d,.，．]+[^\S\n]*(?:[|\t\n]|$)")
# 「架空情報サービス株式会社」「一般社団法人…」
_COMPANY = re.compile(
    r"[一-龥ァ-ヶーA-Za-z]+(?:株式会社|有限会社)|(?:株式会社|有限会社|[一-龥]{2}法人)[一-龥ァ-ヶーA-Za-z]+"
)
# 「こんにちは」「ありがとうございました。」: nothing is asked, though some passage is always near (people begin a chat so)
_GREETING = re.compile(
    r"(?:こんにち[はわ]|こんばん[はわ]|おはよう(?:ございます)?|は[じし]めまして|(?:どうも)?ありがとう(?:ございま(?:す|した))?"
    r"|お世話に(?:なります|なっております)|お疲れ(?:様|さま)(?:です|でした)?|(?:どうぞ)?よろしくお願い(?:いた|致)?します"
    r"|はい|いいえ|了解(?:です|しました)?|[わ分]かりました|hello|hi){1,3}"
)
# 「第2回」「第6次」: what a series counts
_ORDINAL = re.compile(r"第\s*(\d+)\s*(回|次|版|期|号)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the passages do not answer: a reason of the HTTP contract, and what was looked for, in words for people."""

    reason: str
    missing: str


@dataclass(frozen=True, slots=True)
class _Passage:
    """A hit with what stands above it (title, headings, organization).

    `others` where it names several municipalities, `rows` are those of its tables that have a cell with a number alone, whose
    unit may stand elsewhere.
    """

    text: str
    above: str
    sentences: tuple[str, ...]
    others: bool
    rows: tuple[str, ...]


def refusal(index: Index, names: Directory, query: Query, hits: Sequence[Hit]) -> Refusal | None:
    """The reason to say no, None where the passages may answer."""
    if not letters(query.question) or _GREETING.fullmatch(re.sub(r"[\W_]+", "", squeeze(query.question))):
        return Refusal("no_match", "お尋ねの内容")
    if query.points_nowhere:
        return Refusal("no_match", "「それ」「そこ」が何を指すか")
    unheard = [name for name in query.unknown if not names.mentions(short(name))]
    if unheard and not query.organizations and len(unheard) == len(query.unknown):
        return Refusal("unknown_organization", f"{'・'.join(unheard)}についての資料")
    if _unheard_of(index, query):
        return Refusal("no_match", "")
    if query.shape in {"list", "compare", "summary"} and not query.unknown:
        return None
    passages = [_passage(index, hit) for hit in hits[:NEAREST] if is_about(names, query, hit)]
    who = "・".join((*query.organizations, *query.unknown))
    if not passages:
        return Refusal("value_not_stated", f"{who}についての記述") if who else None
    companies = {squeeze(name) for name in _COMPANY.findall(query.question)}
    for demanded, found in (
        (companies, [p for p in passages if any(name in squeeze(p.text + p.above) for name in companies)]),
        (query.years, [p for p in passages if set(years_of(p.text + p.above)) & set(query.years)]),
        (
            _ordinals(query.question),
            [p for p in passages if _ordinals(query.question) <= _ordinals(p.text + p.above)],
        ),
    ):
        if demanded and not found:
            return Refusal("value_not_stated", f"{_said(query)}についてのお尋ねの記述")
        passages = found if demanded else passages
    if CALLED & set(query.values) and not who:
        # a number that stands somewhere is not the one of the thing that is asked about
        words = set(tokenize(CALLS.sub(" ", query.topic))) - ASKING_WORDS
        passages = [p for p in passages if words & _words_in(p.text + p.above)] if words else passages
        if not passages:
            return Refusal("value_not_stated", "お尋ねの連絡先")
    # of a body that is only spoken of, what a passage says of others must not be taken for its own
    only_spoken_of = query.unknown if not query.organizations else ()
    numbers = _NUMBERS & set(query.values)
    in_cells = numbers and _in_cells(query, passages)
    kinds = set(query.values) & (set(CHECKED) | ({"count", "date"} if only_spoken_of else set()))
    if kinds >= CALLED and any(states_value(p.text, CALLED) for p in passages):
        kinds -= CALLED  # who asks for both is answered by what there is
    for kind in sorted(kinds):
        if in_cells and kind in _NUMBERS:
            continue
        if not any(_states(passage, kind, query, only_spoken_of) for passage in passages):
            return Refusal("value_not_stated", f"{who}の{_NAMES[kind]}" if who else f"お尋ねの{_NAMES[kind]}")
    if query.counters and numbers and not in_cells and not any(query.states(p.text) == 1.0 for p in passages):
        return Refusal("value_not_stated", f"{who}についてのお尋ねの数" if who else "お尋ねの数")
    if query.organizations and not CONTACT & set(query.values) and not _touched(query, passages):
        return Refusal("value_not_stated", f"{'・'.join(query.organizations)}についてのお尋ねの記述")
    return None


_NUMBERS = frozenset({"amount", "share", "persons", "count"})
_NAMES = {
    "phone": "電話番号",
    "email": "メールアドレス",
    "amount": "金額",
    "share": "割合",
    "persons": "人数",
    "person": "氏名",
    "company": "会社の名前",
    "count": "数",
    "date": "時期",
    "address": "ホームページのアドレス",
}


def _said(query: Query) -> str:
    found = _COMPANY.search(query.question) or _ORDINAL.search(query.question)
    return found[0] if found else "・".join(f"{year}年" for year in query.years)


def _passage(index: Index, hit: Hit) -> _Passage:
    chunk = hit.chunk
    case = index.cases.get(chunk.case_id or "")
    document = index.documents[chunk.document_id]
    above = " ".join(
        [
            document.title,
            document.publisher or "",
            document.date or "",
            *chunk.heading_path,
            chunk.context,
            case.organization if case else "",
        ]
    )
    sentences = tuple(chunk.text[s:e] for s, e in sentence_spans(chunk.text))
    rows = tuple(line for line in chunk.text.split("\n") if _CELL.search(line))
    return _Passage(chunk.text, normalize(above), sentences, len(bodies_in(chunk.text)) > 1, rows)


def is_about(names: Directory, query: Query, hit: Hit) -> bool:
    """Whether a hit is of a named organization, or says the names of those that have no documents."""
    if set(names.of(hit.chunk)) & set(query.organizations):
        return True
    bodies = (*query.organizations, *query.unknown)
    own = names.own(hit.chunk) if hit.chunk.case_id is None else None
    if bodies and own is not None:
        return short(own) in map(short, bodies)  # what stands under the name of one is not another's
    said = "\n".join([hit.chunk.text, *hit.chunk.heading_path])
    return not bodies or any(
        names.says(said, name) or names.is_spoken_of(name, hit.chunk.document_id) for name in bodies
    )


def _ordinals(text: str) -> set[tuple[str, str]]:
    return set(_ORDINAL.findall(normalize(text)))


def _states(passage: _Passage, kind: str, query: Query, named: Sequence[str] = ()) -> bool:
    """Whether a sentence states a value of a kind for what is asked: the year, the office, the body that is `named`."""
    families = (
        [family for family in _MONEY if any(word in query.question for word in family)]
        if kind == "amount"
        else []
    )
    if families and not any(word in passage.text + passage.above for family in families for word in family):
        return False
    office = _OFFICE.search(query.question) if kind == "person" else None
    around = normalize(passage.text) + passage.above
    for sentence in (*passage.sentences, *([passage.above] if kind == "person" else [])):
        words = normalize(sentence)
        years = set(years_of(words))
        if years and query.years and not years & set(query.years):
            continue
        if named and not any(short(name) in words + passage.above for name in named) and passage.others:
            continue
        if office is not None and office["office"] not in (around if office["office"][-1] == "官" else words):
            continue
        if kind == "persons" and ("人口" in query.question) != ("人口" in words):
            continue
        if (holds_person(words) or _NAMED.search(words)) if kind == "person" else states_value(words, [kind]):
            return True
    return False


def _in_cells(query: Query, passages: Sequence[_Passage]) -> bool:
    """Whether a table has a row for what is asked: one that says a word of the question."""
    words = _asked_words(query.topic)
    return any(words & set(tokenize(row)) for passage in passages for row in passage.rows)


@lru_cache(maxsize=REMEMBERED)
def _words_in(text: str) -> frozenset[str]:
    """The content words of a passage with what stands above it."""
    return frozenset(tokenize(text))


def _asked_words(text: str) -> set[str]:
    """The words of a question that say what it is about."""
    return {word for word in tokenize(text) if not word.isdigit() and word not in ASKING_WORDS}


def _unheard_of(index: Index, query: Query) -> bool:
    """Whether a question that names no body and sets no condition is about something that no document has a word of.

    Nor a word like it. Other words for what the documents say are no reason to say no: who describes a thing needs several, and
    one known word among them is enough. A question of one or two words has named it.
    """
    if query.organizations or query.filters != Filters() or query.near_population is not None:
        return False
    words = _asked_words(query.topic)
    subject = words - GENERAL
    words = subject if 0 < len(subject) <= NAMED else words
    if not words or any(index.holds_word(word) for word in words):
        return False
    spoken = {gram for word in words for gram in grams(word)}
    spoken = {gram for gram in spoken if len(gram) == READING} or spoken  # the longer, the less by chance
    return sum(map(index.holds_gram, spoken)) < NEARLY * len(spoken)


def _touched(query: Query, passages: Sequence[_Passage]) -> bool:
    """Whether the passages of the organization say any of the question's words, or read alike."""
    asked = query.focus or query.topic
    words = _asked_words(asked)
    if query.focus is not None or not words:
        return True
    said = [f"{passage.text} {passage.above}" for passage in passages]
    if any(words & _words_in(text) for text in said):
        return True
    heard = {gram for text in said for gram in grams(text)}
    spoken = {gram for word in words for gram in grams(word)}
    return len(spoken & heard) >= NEARLY * len(spoken)
