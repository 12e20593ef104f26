"""Whether the service can answer now: the parts that it takes, each looked at beside the work and remembered.

In: the parts of the service. Out: what each of them said last. A look never waits for a part that does not come back (an index that is being
loaded, a store that does not answer): it says what was known before, and only of a part that was never heard of that it is not known.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from index.current import Current
from index.encoder import Encoder
from index.store import Index
from web.admission import Admission
from web.site import NO_INDEX

State = Literal["ok", "warning", "failed"]
WAIT_S = 0.02
"""Time that a look gives to checks that are under way: nearly all end in it, and a probe is answered in 50 ms."""
FIRST_WAIT_S = 1.0
"""Of the first look at a part, of which nothing is known."""
STUCK_S = 10.0
"""A model that has not encoded two short texts by then does not work: under full load it takes a second."""
INDEX_EVERY_S, STORE_EVERY_S, ENCODER_EVERY_S = 0.2, 5.0, 60.0
WORDS = {"index": "索引", "encoder": "埋め込みモデル", "store": "索引の保存先"}
TEXTS = ("窓口の電話番号", "予算の内訳")
_log = logging.getLogger("dxqa.health")


class NotWellError(Exception):
    """What a check found, in Japanese, with what to do."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a part said: "ok", "warning" (it answers, but somebody should look), or "failed"; the message says what and what to do."""

    status: State
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What is said of all parts; `problem` is the first that keeps the service from answering."""

    index_version: str | None
    checks: dict[str, Checked]

    @property
    def problem(self) -> str | None:
        """Why nothing can be answered, None where it can."""
        return next((one.message for one in self.checks.values() if one.status == "failed"), None)


class _Part:
    """A check with what it said last; it runs in a thread of its own, one at a time."""

    def __init__(
        self, name: str, check: Callable[[], str | None], every_s: float, stuck_s: float | None
    ) -> None:
        """`check` gives a warning or None, or raises; its result is good for `every_s`. Where it takes longer than `stuck_s`, it failed."""
        self.name, self._check, self._every_s, self._stuck_s = name, check, every_s, stuck_s
        self.last: Checked | None = None
        self._ended = float("-inf")
        self._begun: float | None = None
        self._doubted = False
        self._lock = threading.Lock()

    @property
    def busy(self) -> bool:
        return self._begun is not None

    def wake(self) -> None:
        """Begins a check where one is due."""
        with self._lock:
            due = self._doubted or time.monotonic() >= self._ended + self._every_s
            if self._begun is not None or not due:
                return
            self._begun, self._doubted = time.monotonic(), False
        threading.Thread(target=self._run, name=f"health-{self.name}", daemon=True).start()

    def doubt(self) -> None:
        """Has the next look check again."""
        self._doubted = True

    def _run(self) -> None:
        try:
            warning = self._check()
            found = Checked("ok") if warning is None else Checked("warning", warning)
        except NotWellError as error:
            found = Checked("failed", str(error))
        except Exception as error:  # whatever a part raises, it does not work
            _log.exception("check of %s failed", self.name)
            found = Checked(
                "failed",
                f"{WORDS[self.name]}の点検でエラーが起きました（{type(error).__name__}）。記録（ログ）を確かめてください。",
            )
        with self._lock:
            before, self.last = self.last, found
            self._ended, self._begun = time.monotonic(), None
        if found.status != (before.status if before is not None else "ok"):
            level = logging.INFO if found.status == "ok" else logging.WARNING
            _log.log(level, "%s is %s: %s", self.name, found.status, found.message or "")

    def said(self) -> Checked:
        """What is known now."""
        begun = self._begun
        if self._stuck_s is not None and begun is not None and time.monotonic() > begun + self._stuck_s:
            return Checked(
                "failed",
                f"{WORDS[self.name]}の点検が{self._stuck_s:.0f}秒たっても終わりません。続くなら、サーバーを起動し直してください。",
            )
        return self.last or Checked(
            "failed", f"{WORDS[self.name]}を確かめている途中です。少し待ってください。"
        )


class Health:
    """The checks of one application."""

    def __init__(self, current: Current, encoder: Encoder, admission: Admission) -> None:
        self._current, self._encoder, self._admission = current, encoder, admission
        self._turn = 0
        self.index: Index | None = None
        """The version that was in use at the last look; asking for it takes no lock."""
        self._parts = (
            _Part("index", self._check_index, INDEX_EVERY_S, None),  # a large one takes minutes to load
            _Part("encoder", self._check_encoder, ENCODER_EVERY_S, STUCK_S),
            _Part("store", self._check_store, STORE_EVERY_S, STUCK_S),
        )

    def begin(self) -> None:
        """Begins the first checks, before anybody looks."""
        for part in self._parts:
            part.wake()

    def doubt(self) -> None:
        """An answer failed: the next look checks everything again."""
        for part in self._parts:
            part.doubt()

    async def look(self) -> Readiness:
        """What all parts say; takes at most `WAIT_S`, the first time `FIRST_WAIT_S`."""
        for part in self._parts:
            part.wake()
        now = time.monotonic()
        while any(
            part.busy and time.monotonic() < now + (WAIT_S if part.last is not None else FIRST_WAIT_S)
            for part in self._parts
        ):
            await asyncio.sleep(0.002)
        return self.known()

    def known(self) -> Readiness:
        """What was said last, without looking."""
        index = self.index
        checks = {part.name: part.said() for part in self._parts}
        checks["questions"] = self._check_questions()
        return Readiness(index.version if index is not None else None, checks)

    # ---- the checks

    def _check_index(self) -> str | None:
        index = self.index = self._current.get()
        problem = self._current.problem
        if index is None:
            raise NotWellError(problem or NO_INDEX)
        if problem is None and self._current.is_empty:
            return (
                f"索引のフォルダー {self._current.root} の中身がなくなっています。いまは読み込み済みの索引で答えていますが、"
                "止めると失われます。build_index.py で作り直してください。"
            )
        return problem

    def _check_store(self) -> str | None:
        """Reads a passage where it is kept, another one each time: what was read before may be remembered."""
        index = self.index or self._current.get()
        if index is None:
            raise NotWellError(self._current.problem or NO_INDEX)
        documents = [name for name, chunks in index.chunk_counts.items() if chunks]
        chunks = index.chunks_of_document(documents[self._turn % len(documents)]) if documents else []
        if chunks and not chunks[self._turn % len(chunks)].text:
            raise NotWellError("索引から本文を読み出せません。build_index.py --full で作り直してください。")
        self._turn += 1  # one that cannot be read is asked for again
        return None

    def _check_encoder(self) -> str | None:
        """Encodes two texts, which must become two directions of unit length."""
        advice = "サーバーを起動し直し、続くなら、モデルのフォルダー（--models）を確かめてください。"
        try:
            vectors = self._encoder.encode_queries(TEXTS)
        except Exception as error:
            _log.exception("the model does not encode")
            raise NotWellError(
                f"埋め込みモデルが計算できません（{type(error).__name__}）。{advice}"
            ) from error
        lengths = np.linalg.norm(vectors, axis=1)
        if vectors.shape != (2, self._encoder.dimension) or not np.allclose(lengths, 1.0, atol=1e-3):
            raise NotWellError(f"埋め込みモデルの結果が正しくありません（ベクトルの長さ）。{advice}")
        if float(vectors[0] @ vectors[1]) > 0.99999:
            raise NotWellError(f"埋め込みモデルが、違う文に同じ結果を返しています。{advice}")
        return None

    def _check_questions(self) -> Checked:
        """Too many questions at once are refused by themselves and pass: a warning, and no reason to take the service away."""
        seconds = self._admission.expected_s
        if seconds <= self._admission.patience_s:
            return Checked("ok")
        return Checked(
            "warning", f"質問が混み合っていて、新しい質問を断っています（待ち時間 約{seconds:.0f}秒）。"
        )
