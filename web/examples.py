"""Questions that a visitor may try: made from the forms of what is indexed, and asked before they are shown.

In: an index and a way to ask it. Out: up to MOST questions, each of which the indexed documents answer. They are made once for
a version of the index, and once for what those may see of it who do not see all.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from corpus.records import Case
from index.store import Index
from qa.answer import Reply

MOST = 5
TRIED = 3
"""Questions of one kind that are asked before the kind is left out: asking costs a tenth of a second."""
_ASKED = ("ください。", "か。", "？", "?")
# 「粗大ごみの出し方を教えてください」, of a table of questions and answers
_ASKED_THERE = ("？", "?", "ください", "ください。", "下さい", "ですか", "ですか。", "ますか", "ますか。")
_LONGEST = 40
_LOOKED_AT = 50
"""Documents whose headings are looked at."""


class Examples:
    """The examples of the version in use; `ask` answers a question from an index."""

    def __init__(self, ask: Callable[[Index, str], Reply]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._made: WeakKeyDictionary[Index, tuple[str, ...]] = WeakKeyDictionary()

    def of(self, index: Index | None) -> tuple[str, ...]:
        """Questions that this index answers."""
        if index is None:
            return ()
        with self._lock:
            if index not in self._made:
                self._made[index] = tuple(self._works(index))
            return self._made[index]

    def _works(self, index: Index) -> list[str]:
        made: list[str] = []
        for kind in (_values, _interviews, _lists, _comparisons, _headings):
            for question, organizations in _first(kind(index), TRIED):
                reply = self._ask(index, question)
                own = {c.case.organization for c in reply.citations if c.case is not None}
                if reply.answerable and reply.citations[0].highlights and own.issuperset(organizations):
                    made.append(question)
                    break
        return made[:MOST]


_Candidates = Iterator[tuple[str, tuple[str, ...]]]


def _first(candidates: _Candidates, count: int) -> _Candidates:
    for _, candidate in zip(range(count), candidates, strict=False):
        yield candidate


def _short(case: Case) -> str:
    return case.organization.removeprefix(case.prefecture or "") or case.organization


def _values(index: Index) -> _Candidates:
    """「青葉野市の担当部署の電話番号は？」."""
    for case in index.cases.values():
        if case.phone:
            yield f"{_short(case)}の担当部署の電話番号は？", (case.organization,)


def _interviews(index: Index) -> _Candidates:
    """A question that a case book asks, with the name of who answers it: 「月見坂町：費用はどれくらいですか。」."""
    for case in index.cases.values():
        for chunk in index.chunks_of_case(case.id):
            heading = chunk.heading_path[-1] if chunk.heading_path else ""
            if heading.endswith(_ASKED) and len(heading) <= _LONGEST:
                yield f"{_short(case)}：{heading}", (case.organization,)


def _lists(index: Index) -> _Candidates:
    """「人口5万人未満の団体の事例を見せて」 where at least two are, and else a kind that several cases are of."""
    cases = list(index.cases.values())
    if sum(case.population is not None and case.population < 50_000 for case in cases) >= 2:
        yield "人口5万人未満の団体の事例を見せて", ()
    kinds = [case.organization_kind for case in cases if case.organization_kind in {"市", "町", "村"}]
    for kind in ("町", "村", "市"):
        if kinds.count(kind) >= 2:
            yield f"{kind}の事例を一覧で", ()


def _comparisons(index: Index) -> _Candidates:
    """「青葉野市と月見坂町の取組を比べて」 for cases of one book that differ in kind or size."""
    cases = sorted(index.cases.values(), key=lambda case: case.population or 0)
    for small, large in zip(cases, reversed(cases), strict=True):
        if small.organization != large.organization:
            yield (
                f"{_short(small)}と{_short(large)}の取組を比べて",
                (small.organization, large.organization),
            )


def _headings(index: Index) -> _Candidates:
    """A question that a list of questions and answers asks; without one, a heading of a text without cases."""
    plain: list[str] = []
    for document in itertools.islice(index.documents.values(), _LOOKED_AT):
        headings = [h.text for h in document.headings if 4 <= len(h.text) <= _LONGEST]
        asked = [text for text in headings if text.endswith(_ASKED_THERE)]
        if asked:
            yield asked[len(asked) // 2], ()
        elif headings:
            plain.append(headings[len(headings) // 2])
    for text in plain:
        yield f"{text}について教えて", ()
