"""The doors at which programs of others come in as they are: where those are, what key is shown there, what a refusal looks like.

In: requests, and refusals as the rest of the service says them. Out: the key that a request shows, and the body that such a program reads.
What stands behind the doors is known by `web.openai_door` and `web.gennai_door`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import HTTPException
from starlette.requests import Request

Door = Literal["openai", "gennai"]
OPENAI, GENNAI = "/v1", "/gennai"
KEY_HEADER = "x-api-key"
"""In which programs of 源内 show their key; it is looked at there only: elsewhere proxies put something of their own into it."""
NO_KEYS = frozenset({"", "none", "dummy", "no-key"})
"""What programs show that must show some key and have none, in small letters. Only these words: any other key that is not known is refused, so
that a mistyped one does not quietly read less, and guesses at these doors are counted as they are everywhere."""
CONVERSATIONS = frozenset({"/v1/chat/completions", "/gennai", "/gennai/requests", "/gennai/requests/"})
"""Paths to which programs post whole conversations, answers included (`web.guard` lets them be longer)."""


@dataclass(frozen=True, slots=True)
class About:
    """What a refusal is about: a short name for programs, and the parameter that is wrong."""

    code: str | None = None
    param: str | None = None


class RefusedError(HTTPException):
    """A refusal at one of these doors, with what it is about; the message is a Japanese sentence."""

    def __init__(
        self, status: int, message: str, about: About, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.about = about


def door_of(path: str) -> Door | None:
    """The door that a path belongs to, None where it is a page or our own API."""
    if path == OPENAI or path.startswith(f"{OPENAI}/"):
        return "openai"
    return "gennai" if path == GENNAI or path.startswith(f"{GENNAI}/") else None


def key_of(request: Request) -> str | None:
    """The key that a request shows, None where it shows none.

    A bearer token, and for 源内 also what stands in its own header; at these doors a word that means 「no key」 is none.
    """
    door = door_of(request.url.path)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    shown = [given.strip()] if scheme.lower() == "bearer" else []
    if door == "gennai" and KEY_HEADER in request.headers:
        shown.append(request.headers[KEY_HEADER].strip())
    if door is not None:
        shown = [key for key in shown if key.lower() not in NO_KEYS]
    return shown[0] if shown else None


# ---------------------------------------------------------------- refusals

_CODES: Mapping[int, str] = {
    400: "invalid_value",
    401: "invalid_api_key",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    421: "misdirected_request",
    429: "rate_limit_exceeded",
    503: "service_unavailable",
}
"""What a status is called in OpenAI's form, where nothing says it more exactly."""


def status_of(door: Door, status: int) -> int:
    """The status as it is known there: what is wrong with a request is 400 to clients of OpenAI."""
    return 400 if door == "openai" and status == 422 else status


def refusal(door: Door, status: int, detail: Any, message: str) -> dict[str, Any]:
    """The body of a refusal.

    `detail` is an `About`, FastAPI's list of wrong fields, or anything else, of which nothing more is known.
    """
    if door == "gennai":  # `outputs` is what 源内 shows to its user
        return {
            "outputs": message,
            "status": "ERROR",
            "error": {"message": message, "details": _fields(detail)},
        }
    status = status_of(door, status)
    about = detail if isinstance(detail, About) else _about(status, detail)
    kind = {429: "rate_limit_error"}.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": about.param, "code": about.code}}


def _about(status: int, detail: Any) -> About:
    code = _CODES.get(status, "server_error" if status >= 500 else "invalid_value")
    if not isinstance(detail, list) or not detail:
        return About(code)
    missing = detail[0]["type"] == "missing"
    return About("missing_required_parameter" if missing else code, _field(detail[0]) or None)


def _field(wrong: Mapping[str, Any]) -> str:
    """Where a wrong field is: 「messages[0].content」."""
    named = ""
    for step in wrong["loc"][1:]:
        named += f"[{step}]" if isinstance(step, int) else f".{step}"
    return named.removeprefix(".")


def _fields(detail: Any) -> str:
    """The wrong fields in words, empty where nothing is known of them."""
    if not isinstance(detail, list):
        return ""
    return " ".join(f"{_field(wrong) or 'inputs'}：{wrong['msg']}" for wrong in detail)
