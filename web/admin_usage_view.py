"""What the page of the usage records shows: the plot of questions by day, and the lists in words.

In: a report of `qa.usage_report`. Out: plain dictionaries for the template, and rows for files. The plot is a drawing with a
width and height of its own; which colours it has is the style sheet's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from qa.catalog import DocumentEntry
from qa.dossier import CONDITION_LABELS
from qa.usage_report import Asking, Day, UsageReport
from web.sheets import Cell

SHOWN = 20
"""Rows of each list on the page; files have all."""
REASONS = {
    "no_match": "当たる記述がない",
    "unknown_organization": "資料にない団体",
    "value_not_stated": "値が書かれていない",
    "filtered_out": "条件に合う事例がない",
    "empty_index": "索引が空",
}
WAYS = {"page": "画面", "api": "API", "mcp": "MCP"}
WIDTH, HEIGHT = 960, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 28, 44, 12, 32
_WIDEST = 56.0
_BY_DAY_MOST, _BY_WEEK_MOST = 92, 731


# ---------------------------------------------------------------- the plot


@dataclass(frozen=True, slots=True)
class Span:
    """A day, week or month with its counts."""

    label: str
    answered: int
    unanswered: int


def spans(days: Sequence[Day], first: date, last: date) -> tuple[str, list[Span]]:
    """The counts from `first` to `last` by day, week or month (whichever shows the period), with those that have none."""
    length = (last - first).days + 1
    unit, begin, after, label = _unit(length)
    counts: dict[date, list[int]] = {}
    at = begin(first)
    while at <= last:
        counts[at] = [0, 0]
        at = after(at)
    for day in days:
        on = date.fromisoformat(day.day)
        if first <= on <= last:
            counts[begin(on)][0] += day.answered
            counts[begin(on)][1] += day.unanswered
    return unit, [Span(label(at), *both) for at, both in counts.items()]


def _unit(
    length: int,
) -> tuple[str, Callable[[date], date], Callable[[date], date], Callable[[date], str]]:
    if length <= _BY_DAY_MOST:
        return "日", lambda at: at, lambda at: at + timedelta(1), lambda at: f"{at.month}月{at.day}日"
    if length <= _BY_WEEK_MOST:
        return (
            "週",
            lambda at: at - timedelta(at.weekday()),
            lambda at: at + timedelta(7),
            lambda at: f"{at.month}月{at.day}日からの週",
        )
    return (
        "月",
        lambda at: at.replace(day=1),
        lambda at: (at.replace(day=1) + timedelta(32)).replace(day=1),
        lambda at: f"{at.year}年{at.month}月",
    )


def ticks(most: int) -> list[int]:
    """Whole numbers from 0 for an axis that holds `most`, at most six of them, evenly apart.

    >>> ticks(7), ticks(3), ticks(0), ticks(240)
    ([0, 2, 4, 6, 8], [0, 1, 2, 3], [0, 1], [0, 50, 100, 150, 200, 250])
    """
    step = 1
    for factor in (2, 2.5, 2) * 12:
        if max(most, 1) <= step * 5:
            break
        step = int(step * factor)
    return list(range(0, -(-max(most, 1) // step) * step + 1, step))


def plot(unit: str, shown: Sequence[Span]) -> dict[str, Any]:
    """The drawing: bars of what was answered with what was not on top, lines and labels, and what it says in words."""
    most = max((span.answered + span.unanswered for span in shown), default=0)
    lines = ticks(most)
    deep = HEIGHT - _TOP - _BOTTOM
    step = (WIDTH - _LEFT - _RIGHT) / max(len(shown), 1)
    width = min(step * 0.72, _WIDEST)
    every = -(-len(shown) // max(int((WIDTH - _LEFT - _RIGHT) / 92), 1))  # a label takes 92 units

    def high(count: int) -> float:
        return round(deep * count / lines[-1], 2)

    bars = []
    for number, span in enumerate(shown):
        middle = _LEFT + step * (number + 0.5)
        answered, unanswered = high(span.answered), high(span.unanswered)
        bars.append(
            {
                "x": round(middle - width / 2, 2),
                "middle": round(middle, 2),
                "width": round(width, 2),
                "answered": {"y": round(HEIGHT - _BOTTOM - answered, 2), "height": answered},
                "unanswered": {"y": round(HEIGHT - _BOTTOM - answered - unanswered, 2), "height": unanswered},
                "label": span.label.removesuffix("からの週"),
                "labelled": number % every == 0,
                "words": f"{span.label}：{span.answered + span.unanswered}件（答えなし{span.unanswered}件）",
            }
        )
    total = sum(span.answered + span.unanswered for span in shown)
    without = sum(span.unanswered for span in shown)
    words = f"{unit}ごとの質問の数。全部で{total:,}件、そのうち答えなし{without:,}件。"
    if most:
        top = max(shown, key=lambda span: span.answered + span.unanswered)
        words += f"最も多いのは{top.label}の{most:,}件。"
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": _LEFT,
        "right": WIDTH - _RIGHT,
        "bottom": HEIGHT - _BOTTOM,
        "bars": bars,
        "lines": [{"value": value, "y": round(HEIGHT - _BOTTOM - high(value), 2)} for value in lines],
        "words": words,
        "unit": unit,
        "spans": [asdict(span) for span in shown if span.answered + span.unanswered],
    }


# ---------------------------------------------------------------- lists


def address(pairs: Iterable[tuple[str, str]]) -> str:
    """The page on which a question can be asked again."""
    return f"/?{urlencode(list(pairs))}"


def earlier(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The questions before this one, oldest first."""
    return [text for name, text in pairs if name == "h"]


def conditions(pairs: Iterable[tuple[str, str]]) -> str:
    """The conditions that a person had set, in words."""
    counted = Counter(name for name, _ in pairs)
    return "、".join(words for name, words in CONDITION_LABELS.items() if counted[name])


def percent(part: int, whole: int) -> str | None:
    """A share in whole percent; None of nothing."""
    return f"{round(100 * part / whole)}%" if whole else None


def never_quoted(found: UsageReport, documents: Sequence[DocumentEntry]) -> list[DocumentEntry]:
    """Documents of the index whose words stood in no answer of the period."""
    quoted = {entry.path for entry in found.quoted}
    return [document for document in documents if not quoted.intersection({document.path, *document.paths})]


def lists(
    found: UsageReport, documents: Sequence[DocumentEntry], asked: Callable[[], Iterator[Asking]]
) -> dict[str, tuple[str, Sequence[str], Iterable[Sequence[Cell]]]]:
    """Every list as a file has it, by its name in an address: title, head and rows."""
    return {
        "days": (
            "日ごとの数",
            ("日付", "質問", "答えあり", "答えなし"),
            [(d.day, d.answered + d.unanswered, d.answered, d.unanswered) for d in found.days],
        ),
        "often": (
            "よくある質問",
            (
                "質問",
                "前の質問",
                "回数",
                "答えなし",
                "役に立った",
                "役に立たなかった",
                "最後の日時",
                "アドレス",
            ),
            [
                (
                    q.question,
                    "\n".join(earlier(q.pairs)),
                    q.times,
                    q.unanswered,
                    q.useful,
                    q.not_useful,
                    q.last_at,
                    address(q.pairs),
                )
                for q in found.often
            ],
        ),
        "unanswered": (
            "答えのなかった質問",
            ("質問", "前の質問", "回数", "理由", "最後の日時", "その後", "アドレス"),
            [
                (
                    q.question,
                    "\n".join(earlier(q.pairs)),
                    q.times,
                    REASONS.get(q.reason or "", q.reason),
                    q.last_at,
                    "答えあり" if q.answered_since else "",
                    address(q.pairs),
                )
                for q in found.unanswered
            ],
        ),
        "ratings": (
            "評価",
            ("日時", "質問", "評価", "ひとこと", "答え", "索引の版", "示した記述", "アドレス"),
            [
                (
                    r.at,
                    r.question,
                    "役に立った" if r.useful else "役に立たなかった",
                    r.comment,
                    "" if r.answerable is None else "あり" if r.answerable else "なし",
                    r.index_version,
                    " ".join(r.citations),
                    address(r.pairs),
                )
                for r in found.rated
            ],
        ),
        "documents": (
            "引用された資料",
            ("資料", "ファイル", "回数"),
            [(d.title, d.path, d.times) for d in found.quoted],
        ),
        "never": (
            "引用されていない資料",
            ("資料", "ファイル"),
            [(d.title, d.path) for d in never_quoted(found, documents)],
        ),
        "questions": (
            "すべての質問",
            (
                "日時",
                "質問",
                "前の質問",
                "入口",
                "答え",
                "理由",
                "条件",
                "索引の版",
                "時間（ミリ秒）",
                "示した記述",
                "最初の資料",
            ),
            (
                (
                    q.at,
                    q.question,
                    "\n".join(earlier(q.pairs)),
                    WAYS.get(q.way, q.way),
                    "あり" if q.answerable else "なし",
                    REASONS.get(q.reason or "", q.reason),
                    "、".join(CONDITION_LABELS.get(name, name) for name in q.filters.split(",") if name),
                    q.index_version,
                    q.took_ms,
                    q.citations,
                    q.top_document,
                )
                for q in asked()
            ),
        ),
    }


def usage_page(
    found: UsageReport, documents: Sequence[DocumentEntry], first: date, last: date
) -> dict[str, Any]:
    """All that the page shows of a period from `first` to `last`."""
    numbers = found.numbers
    never = never_quoted(found, documents)
    ids = {path: document.id for document in documents for path in (document.path, *document.paths)}
    often = max((q.times for q in found.often), default=1)
    quoted = max((d.times for d in found.quoted), default=1)
    not_useful = [r for r in found.rated if not r.useful]
    useful = [r for r in found.rated if r.useful and r.comment]
    return {
        "numbers": {
            **asdict(numbers),
            "answered_share": percent(numbers.answered, numbers.questions),
            "useful_share": percent(numbers.useful, numbers.ratings),
            "by_api": numbers.questions - numbers.by_page,
        },
        "plot": plot(*spans(found.days, first, last)),
        "often": [{**_asked(q), "share": round(100 * q.times / often, 1)} for q in found.often[:SHOWN]],
        "unanswered": [
            {**_asked(q), "reason_words": REASONS.get(q.reason or "", q.reason)}
            for q in found.unanswered[:SHOWN]
        ],
        "not_useful": [_asked(r) for r in not_useful[:SHOWN]],
        "praised": [_asked(r) for r in useful[:SHOWN]],
        "quoted": [
            {**asdict(d), "now": ids.get(d.path), "share": round(100 * d.times / quoted, 1)}
            for d in found.quoted[:SHOWN]
        ],
        "never": [asdict(d) for d in never[:SHOWN]],
        "counts": {
            "often": len(found.often),
            "unanswered": len(found.unanswered),
            "not_useful": len(not_useful),
            "praised": len(useful),
            "quoted": len(found.quoted),
            "never": len(never),
        },
    }


def _asked(entry: Any) -> dict[str, Any]:
    """A question of a list, with its page and what came before it."""
    return {
        **asdict(entry),
        "address": address(entry.pairs),
        "earlier": earlier(entry.pairs),
        "conditions": conditions(entry.pairs),
    }
