"""Passwords: whether one is good enough, how it is kept (Argon2id), and whether a given one is the kept one.

In: words that people type. Out: hashes in the form of the argon2 library, with their parameters in them. To hash takes 64 MB and some
100 ms of processor time: whoever is asked from outside lets few be hashed at once.
"""

from __future__ import annotations

import secrets
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LEAST, MOST = 12, 200
"""Characters of a password."""
_hasher = PasswordHasher()  # the library's defaults: the second choice of RFC 9106 (64 MiB, three passes)
_COMMON = ("password", "passw0rd", "qwerty", "asdfgh", "letmein", "welcome", "admin")
"""Beginnings and parts of what is guessed first, beside runs like 「123456」 and the account's own name."""
_RUNS = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")


class WeakPasswordError(ValueError):
    """A password that is not good enough; the message is a Japanese sentence."""


def checked(password: str, account: str) -> str:
    """The password itself; raises WeakPasswordError where it is too short or what is guessed first."""
    if not LEAST <= len(password) <= MOST:
        raise WeakPasswordError(f"パスワードは{LEAST}文字以上{MOST}文字以内にしてください。")
    if not password.isprintable():
        raise WeakPasswordError("パスワードに、改行などの見えない文字は使えません。")
    rest = password.casefold()
    for words in (account, *_COMMON):
        if len(words) >= 3:
            rest = rest.replace(words, "")
    for run in _RUNS:
        for begin in range(len(run) - 3):
            rest = rest.replace(run[begin : begin + 4], "")
    if len(set(rest)) < 5:
        raise WeakPasswordError(
            "推測されやすいパスワードです。アカウントの名前・並んだ数字・同じ文字の繰り返しを避けてください。"
        )
    return password


def hashed(password: str) -> str:
    """What is kept of a password."""
    return _hasher.hash(password)


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """What is compared where there is no such account, so that an unknown name takes as long as a known one."""
    return _hasher.hash(secrets.token_hex(16))


def is_right(kept: str | None, given: str) -> bool:
    """Whether a given password is the kept one; None is that of no account, which no password is, in the same time."""
    try:
        return _hasher.verify(kept or _nobodys(), given[:MOST]) and kept is not None
    except (VerificationError, InvalidHashError, UnicodeError):
        return False


def is_outdated(kept: str) -> bool:
    """Whether a kept password was hashed with weaker parameters than today's."""
    return _hasher.check_needs_rehash(kept)
