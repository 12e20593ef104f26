"""Single sign-on: what a proxy that has asked for a sign-in says of who asks.

In: requests. Out: a `Person`, None where the proxy says nothing, or an HTTPException where somebody else than the configured proxy
says it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastapi import HTTPException
from starlette.requests import Request

from access.people import Person, WrongNameError, group_key
from web.peers import Proxies, peer

MAX_CHARS = 4000
"""Of a header's value: a person in some hundred groups."""
_SEPARATORS = re.compile(r"[,;|]")


@dataclass(frozen=True, slots=True)
class SignOn:
    """The headers that name a person and the groups, the proxies that may send them, and the groups that administer."""

    proxies: Proxies
    user_header: str
    groups_header: str = ""
    administrators: frozenset[str] = frozenset()

    def person(self, request: Request) -> Person | None:
        """Whom the proxy names; raises an HTTPException where another one names somebody, or where two are named."""
        users = self._values(request, self.user_header)
        groups = self._values(request, self.groups_header)
        if not users and not groups:
            return None
        if peer(request) not in self.proxies:
            raise HTTPException(
                403, "利用者を知らせる見出し（ヘッダー）は、設定されたリバースプロキシからだけ受け付けます。"
            )
        if len(users) != 1 or len(groups) > 1:
            raise HTTPException(403, "利用者を知らせる見出し（ヘッダー）が、ないか、重なっています。")
        name = " ".join(_decoded(users[0]).split())
        if not name:
            return None  # whom it does not know, the proxy lets through with an empty name
        own = frozenset(_keys(_decoded(groups[0]))) if groups else frozenset()
        return Person(name, own, not own.isdisjoint(self.administrators))

    @staticmethod
    def _values(request: Request, header: str) -> list[str]:
        return request.headers.getlist(header) if header else []


def _decoded(value: str) -> str:
    """A header's value, which is UTF-8, as text."""
    try:
        text = value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        text = ""
    if len(value) > MAX_CHARS or not (text or not value) or not text.isprintable():
        raise HTTPException(
            403, "利用者を知らせる見出し（ヘッダー）を読み取れません（UTF-8 ではないか、長すぎます）。"
        )
    return text


def _keys(value: str) -> list[str]:
    found = []
    for name in _SEPARATORS.split(value):
        try:
            found.append(group_key(name))
        except WrongNameError:
            continue  # no label can have such a name
    return found
