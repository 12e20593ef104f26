"""How many questions are answered at once, how many one may ask, and who is asked to come again.

In: requests that are about to be answered. Out: they go on in the order in which they came, few at a time; where those ahead would
take longer than people wait, the request is refused at once (503, with when to come again), and so is the one of somebody who asks far more
than a person can (429). A question is mostly Python, which
computes one thing at a time: forty at once would each take forty times as long, and pages that cost nothing would wait among them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator

from fastapi import HTTPException, Request

from web.gate import person_of
from web.peers import address, is_loopback
from web.rates import Rate

AT_ONCE = 3
"""Questions under way: while one computes in Python, another is in a library that does without it (benchmarks/README.md)."""
PATIENCE_S = 8.0
"""Longest time that a question may expect to wait for the others."""
USUAL_S = 0.05
"""What an answer takes, before any was timed."""
WEIGHT = 0.05
"""Of the last answer, in the mean."""
BUSY = "ただいま質問が混み合っています。{}秒ほど待ってから、もう一度お試しください。"


class Place:
    """The place of a question that is being answered; it is given back once, in the event loop."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free, self._loop = free, asyncio.get_running_loop()
        self.held = True

    def leave(self) -> None:
        """Gives the place back; may be done again."""
        if self.held:
            self.held = False
            self._free.release()

    def leave_soon(self) -> None:
        """The same from another thread: what is still to come takes time, but none of this computer's."""
        self._loop.call_soon_threadsafe(self.leave)


class Admission:
    """Lets questions in, in their order."""

    def __init__(self, at_once: int = AT_ONCE, patience_s: float = PATIENCE_S) -> None:
        self._at_once, self.patience_s = at_once, patience_s
        self._free = asyncio.Semaphore(at_once)
        self._mean_s = USUAL_S
        self.waiting = 0
        """Requests that wait now."""
        self.refused = 0
        """Requests that were asked to come again."""

    @property
    def expected_s(self) -> float:
        """How long a request that comes now would wait."""
        return self.waiting * self._mean_s / self._at_once

    async def __call__(self, request: Request) -> AsyncIterator[None]:
        """A route's dependency; raises an HTTPException where too many wait."""
        if asks_nothing(request):
            yield
            return
        expected = self.expected_s
        if expected > self.patience_s:
            self.refused += 1
            seconds = math.ceil(expected)
            raise HTTPException(503, BUSY.format(seconds), headers={"Retry-After": str(seconds)})
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        started = time.monotonic()
        place = request.state.place = Place(self._free)
        try:
            yield
        finally:
            if place.held:  # else others have come in meanwhile, and what it took then was no computing
                self._mean_s += WEIGHT * (time.monotonic() - started - self._mean_s)
            place.leave()


TOO_MANY = (
    "質問が続けて届いているため、いまは受け付けられません。{}秒ほど待ってから、もう一度お試しください。"
)


class Share:
    """At most so many questions a minute from one account or address; an administrator and this computer itself ask without limit.

    What a request says of proxies is not looked at: whoever says it would not be counted. Behind one that is not configured, all people
    are one.
    """

    def __init__(self, questions_a_minute: int) -> None:
        """0 is any number."""
        self._rate = Rate(questions_a_minute, 60) if questions_a_minute else None

    async def __call__(self, request: Request) -> None:
        """A route's dependency; raises an HTTPException where somebody asks too much."""
        if self._rate is None or asks_nothing(request):
            return
        person = person_of(request)
        if person.administrator:
            return
        if person.name is None and is_loopback(address(request)):
            return
        key = f"account {person.name}" if person.name is not None else f"address {address(request)}"
        if not self._rate.hit(key):
            seconds = self._rate.wait_s(key)
            raise HTTPException(429, TOO_MANY.format(seconds), headers={"Retry-After": str(seconds)})


def asks_nothing(request: Request) -> bool:
    """Whether a request is for a page on which people ask or read, and nothing is asked: that of a document answers the question that
    it was come to from, and nothing else."""
    given = request.query_params
    if "document_id" in request.path_params:
        return not given.get("q", "").strip()
    return request.method == "GET" and not any(given.values())
