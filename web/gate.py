"""Who asks, who may change something, and how people sign in.

In: requests. Out: a `Person`, or an HTTPException with a Japanese sentence. Nothing is known of documents or of the index.

Somebody is known by what the configured proxy says (single sign-on), by a bearer token (the administrator's, or a program's secret of an
account; `web.program_doors` says where else programs show one), or by the cookie of a browser that signed in, with the administrator's token or with an account. Where there is none of
these, whoever sits at this computer administers. Cookies of the token are good until their owner signs out or this process ends,
those of accounts are kept with them.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import secrets
import time
from collections import OrderedDict
from typing import Literal

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from access.accounts import BROWSER_S, PROGRAM_MARK, Accounts
from access.people import ANYBODY, Person, WrongNameError, account_key
from web.peers import address, is_this_computer
from web.program_doors import door_of, key_of
from web.rates import Rate
from web.sign_on import SignOn

TOKEN_COOKIE, ACCOUNT_COOKIE = "dxqa_admin", "dxqa_session"
"""Of a browser that signed in with the administrator's token, and with an account."""
TOKEN_S = BROWSER_S
"""For how long the first one is good, in seconds; the second one's end is kept with the account."""
TOKEN_HOLDER = Person("管理者（合言葉）", administrator=True)
WRONG_WINDOW_S, WRONG_DELAY_S, WRONG_LONGEST_S, WRONG_MOST = 60, 0.5, 2, 20
"""Wrong tries of one address within the window: each makes the next answer later, and the last of them closes the door. A
closed door opens for one bearer token every `WRONG_LONGEST_S`: whoever has the right one gets in beside a stranger who guesses
from the same address (a common proxy), and guessing stays below one a second."""
WRONG_NAME_WINDOW_S, WRONG_NAME_MOST = 600, 50
"""Wrong passwords for one name, whoever sends them: who guesses from many computers gets no further. Where somebody has signed in with
the name since the start, that computer counts for itself: strangers who guess do not keep the name's owner out there."""
MOST_KNOWN = 10_000
"""Names with a computer on which they signed in, the last ones."""
RIGHT_NAME_WINDOW_S, RIGHT_NAME_MOST = 60, 30
"""Right passwords for one name: each costs as much as a wrong one, and nobody needs more."""
HASHED_AT_ONCE = 2
"""Passwords: each takes 64 MB and a tenth of a second."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """Tells who asks, and administrators from others; `token` may be empty."""

    def __init__(self, token: str, accounts: Accounts | None = None, sign_on: SignOn | None = None) -> None:
        self._token, self.accounts, self._sign_on = token, accounts, sign_on
        self._key = secrets.token_bytes(
            32
        )  # of this process: what was signed out before a restart is not good after it
        self._wrong = Rate(WRONG_MOST, WRONG_WINDOW_S)
        self._looks = Rate(1, WRONG_LONGEST_S)
        """Bearer tokens that are looked at behind a closed door."""
        self._wrong_names = Rate(WRONG_NAME_MOST, WRONG_NAME_WINDOW_S)
        self._right_names = Rate(RIGHT_NAME_MOST, RIGHT_NAME_WINDOW_S)
        self._known: OrderedDict[str, None] = OrderedDict()
        """Names with the address from which somebody signed in with them."""
        self._hashing = asyncio.Semaphore(HASHED_AT_ONCE)
        self._ended: dict[str, int] = {}
        """Sessions that were signed out, and when they would have ended."""

    @property
    def needs_token(self) -> bool:
        """Whether a token is set."""
        return bool(self._token)

    def needs_sign_in(self) -> bool:
        """Whether administrators are known by something: else it is this computer that administers."""
        return (
            bool(self._token)
            or (self._sign_on is not None and bool(self._sign_on.administrators))
            or (self.accounts is not None and self.accounts.has_administrator())
        )

    @property
    def has_accounts(self) -> bool:
        """Whether people could sign in with an account."""
        return self.accounts is not None and self.accounts.is_there

    @property
    def has_sign_on(self) -> bool:
        """Whether a proxy says who asks."""
        return self._sign_on is not None

    # ---- who asks

    async def person(self, request: Request) -> Person:
        """Who asks: ANYBODY where nothing says it. Raises an HTTPException where something is claimed that is not so."""
        if self._sign_on is not None:
            person = self._sign_on.person(request)
            if person is not None:
                return person
        given = key_of(request)
        if given is not None and (self._token or self.accounts is not None):
            person = await self._bearer(request, given)
            if person is not None:
                request.state.by_program = True
                return person
        if self.signed_in(request):
            request.state.by_cookie = True
            return TOKEN_HOLDER
        secret = request.cookies.get(ACCOUNT_COOKIE, "")
        if secret and self.accounts is not None:
            person = await run_in_threadpool(self.accounts.recognised, secret, "browser")
            if person is not None:
                request.state.by_cookie = True
                return person
        return ANYBODY

    async def _bearer(self, request: Request, given: str) -> Person | None:
        """Whose a bearer token is, None where there is nothing that one could belong to; a wrong one is counted and refused."""
        tries = address(request)
        if not self._wrong.is_open(tries) and not self._looks.hit(tries):
            raise _too_many(TOO_MANY_WRONG, WRONG_LONGEST_S)
        # a right one does not forgive the wrong ones: they may be somebody else's
        if self._is_token(given.encode("latin-1", "replace")):
            return TOKEN_HOLDER
        if self.accounts is not None and given.startswith(PROGRAM_MARK):
            person = await run_in_threadpool(self.accounts.recognised, given, "program")
            if person is not None:
                return person
        # where there is a token, nothing is waited for between the look at the door and the count: many at once would get in together
        guesses = bool(self._token) or given.startswith(PROGRAM_MARK) or door_of(request.url.path) is not None
        if not guesses and not await run_in_threadpool(self.needs_sign_in):
            return None
        await self._count(tries)
        raise _no_token(
            "この合言葉（トークン）は使えません。書き間違いか、期限が切れたか、無効にされています。"
        )

    async def check(self, request: Request) -> None:
        """Lets an administrator through; raises an HTTPException for others and for what another site sends."""
        person = person_of(request)
        if not person.administrator:
            if person.name is not None:
                raise HTTPException(403, f"「{person.name}」は管理者ではないので、この操作はできません。")
            if await run_in_threadpool(self.needs_sign_in):
                raise _no_token()
            if not is_this_computer(request):
                raise HTTPException(
                    403,
                    "この操作は、管理者の合言葉（DXQA_ADMIN_TOKEN）も管理者のアカウントもない間は、このコンピューターからだけ行えます。",
                )
        if getattr(request.state, "by_program", False):
            return  # no browser sends this by itself
        if request.method not in SAFE_METHODS:
            self.check_origin(request, needed=person.administrator)

    def check_origin(self, request: Request, *, needed: bool) -> None:
        """Raises an HTTPException where a page of another site sends; `needed` where a request must say where it is from."""
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        site = request.headers.get("sec-fetch-site")
        foreign = (
            origin not in {f"http://{host}", f"https://{host}"}
            if origin is not None
            else needed and site is None
        )
        if foreign or site not in {None, "same-origin", "none"}:
            raise HTTPException(403, "ほかのサイトからの操作は受け付けません。")

    # ---- signing in

    async def sign_in(self, request: Request, given: str) -> str:
        """The cookie for the right token; raises an HTTPException, a little later each time, for a wrong one."""
        tries = self._tries(request)
        # a right one forgives no wrong ones: whoever has an account would sign in between his guesses
        if self._is_token(given.strip().encode("utf-8", "replace")):
            return self.session(time.time())
        await self._count(tries)
        raise HTTPException(401, "合言葉が違います。大文字・小文字や前後の空白も確かめてください。")

    async def sign_in_account(self, request: Request, name: str, password: str) -> str:
        """The cookie for a name and its password; raises an HTTPException, a little later each time, where they do not belong
        together."""
        tries, asked = self._tries(request), _asked(name)
        here = f"{asked} {tries}"  # no name has a blank in it
        guessed = here if here in self._known else asked
        if not self._wrong_names.is_open(guessed):
            raise _too_many(TOO_MANY_WRONG, self._wrong_names.wait_s(guessed))
        if not self._right_names.is_open(asked):
            raise _too_many(TOO_MANY_RIGHT, self._right_names.wait_s(asked))
        # before it is known to be wrong: many that come at once would else all be looked at
        self._wrong.begin(tries)
        self._wrong_names.begin(guessed)
        secret = None
        try:
            if self.accounts is not None:
                async with self._hashing:
                    secret = await run_in_threadpool(self.accounts.sign_in, name, password)
        finally:
            self._wrong.end(tries, counts=secret is None)
            self._wrong_names.end(guessed, counts=secret is None)
        if secret is None:
            await self._delay(tries)
            raise HTTPException(401, "名前かパスワードが違います。大文字・小文字も確かめてください。")
        self._wrong_names.clear(guessed)
        self._right_names.hit(asked)
        self._known[here] = None
        self._known.move_to_end(here)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return secret

    async def sign_out(self, request: Request) -> None:
        """Ends what a request's cookies are, wherever a copy of them may be."""
        words, now = self._session_of(request), time.time()
        self._ended = {other: end for other, end in self._ended.items() if end > now}
        if words is not None:
            self._ended[words] = int(words.split(".")[0])
        secret = request.cookies.get(ACCOUNT_COOKIE, "")
        if secret and self.accounts is not None:
            await run_in_threadpool(self.accounts.end, secret)

    def _tries(self, request: Request) -> str:
        """The key of an address; raises an HTTPException where its door is closed."""
        tries = address(request)
        if not self._wrong.is_open(tries):
            raise _too_many(TOO_MANY_WRONG, self._wrong.wait_s(tries))
        return tries

    async def _count(self, tries: str) -> None:
        """Counts a wrong try, and waits a little longer each time; a closed door stays closed no longer for it."""
        self._wrong.hit(tries)
        await self._delay(tries)

    async def _delay(self, tries: str) -> None:
        await asyncio.sleep(min(WRONG_DELAY_S * self._wrong.used(tries), WRONG_LONGEST_S))

    def _is_token(self, given: bytes) -> bool:
        return bool(self._token) and hmac.compare_digest(given, self._token.encode())

    def session(self, now: float) -> str:
        """A cookie's value that is good for `TOKEN_S` seconds from `now` (seconds since 1970)."""
        words = f"{int(now) + TOKEN_S}.{secrets.token_hex(8)}"
        return f"{words}.{self._sign(words)}"

    def signed_in(self, request: Request) -> bool:
        """Whether a request's cookie is ours and still good."""
        words = self._session_of(request)
        return words is not None and words not in self._ended

    def _session_of(self, request: Request) -> str | None:
        """The signed words of a request's cookie, None where they are not ours or too old."""
        words, _, signature = request.cookies.get(TOKEN_COOKIE, "").rpartition(".")
        if not self._token or not hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._sign(words).encode()
        ):
            return None
        return words if int(words.split(".")[0]) > time.time() else None

    def _sign(self, words: str) -> str:
        return hmac.new(self._key, words.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def keep(self, request: Request, response: Response, *, token: str = "", account: str = "") -> None:
        """Gives a browser its cookies; an empty one is taken away."""
        # a link to a passage in a mail shall find its reader signed in; what changes something asks where it comes from anyway
        same_site: Literal["strict", "lax"]
        for name, value, same_site in ((TOKEN_COOKIE, token, "strict"), (ACCOUNT_COOKIE, account, "lax")):
            if value or name in request.cookies:
                response.set_cookie(
                    name,
                    value,
                    max_age=TOKEN_S if value else 0,
                    httponly=True,
                    samesite=same_site,
                    secure=request.url.scheme == "https",
                )


async def administrator(request: Request) -> None:
    """A route's dependency: lets through who may change something."""
    gate: Gate = request.app.state.gate
    await gate.check(request)


def person_of(request: Request) -> Person:
    """Who asks, as `web.door` found; ANYBODY before it did."""
    person = getattr(request.state, "person", ANYBODY)
    return person if isinstance(person, Person) else ANYBODY


def _asked(name: str) -> str:
    """The key of a name, however it is spelt; empty for all that no account can have."""
    try:
        return account_key(name)
    except WrongNameError:
        return ""


def _no_token(words: str = "管理者の合言葉（トークン）が必要です。") -> HTTPException:
    return HTTPException(401, words, headers={"WWW-Authenticate": "Bearer"})


TOO_MANY_WRONG = "間違いが続いているため、いまは確かめられません。{}ほど待ってから、もう一度お試しください。"
TOO_MANY_RIGHT = "同じ名前でのログインが続いています。{}ほど待ってから、もう一度お試しください。"


def _too_many(words: str, seconds: int) -> HTTPException:
    wait = f"{seconds}秒" if seconds < 60 else f"{math.ceil(seconds / 60)}分"
    return HTTPException(429, words.format(wait), headers={"Retry-After": str(seconds)})
