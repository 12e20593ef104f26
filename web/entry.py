"""How people come in: who may read, which proxies are believed, and how much each may ask. One record, made of the options."""

from __future__ import annotations

from dataclasses import dataclass, field

from web.deadlines import Limits
from web.peers import Proxies
from web.sign_on import SignOn

QUESTIONS_A_MINUTE = 120
"""Of one address or account: nobody types so fast, and programs that do have the administrator's token."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where `closed`, nobody reads who is not recognised; `questions_a_minute` of one address or account, 0 is any number."""

    closed: bool = False
    proxies: Proxies = field(default_factory=Proxies)
    sign_on: SignOn | None = None
    questions_a_minute: int = QUESTIONS_A_MINUTE
    limits: Limits = field(default_factory=Limits)
