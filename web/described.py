"""What the service says of itself to programs: the errors that each call may end in, and the methods that an address takes.

In: an application with its routes. Out: its OpenAPI description with every error that can come, and the shape of its body. A
status that a route declares by itself stays as it says it. Nothing is decided here about when an error comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Match

from web.program_doors import door_of, status_of

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REFUSAL = {
    "title": "Refusal",
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "string", "description": "何が問題で、どうすればよいか"}},
}
_TEXT: dict[str, Any] = {"type": "string"}
_OPENAI = {
    "title": "OpenAIError",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "何が問題で、どうすればよいか"},
                "type": _TEXT,
                "param": {"anyOf": [_TEXT, {"type": "null"}]},
                "code": {"anyOf": [_TEXT, {"type": "null"}]},
            },
        }
    },
    "example": {
        "error": {
            "message": "質問は500文字以内で入力してください（いま612文字）。",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "question_too_long",
        }
    },
}
_GENNAI = {
    "title": "GennaiError",
    "type": "object",
    "required": ["outputs", "status", "error"],
    "properties": {
        "outputs": {"type": "string", "description": "利用者に示す文"},
        "status": {"type": "string", "enum": ["ERROR"]},
        "error": {
            "type": "object",
            "required": ["message", "details"],
            "properties": {"message": _TEXT, "details": _TEXT},
        },
    },
}
_DOORS = {"openai": "OpenAIError", "gennai": "GennaiError"}
"""The shapes of refusals at the doors of other programs (`web.program_doors`)."""
_SAID = {
    400: "指定が正しくないか、送信された内容の長さが二通りに書かれている",
    401: "ログインか、正しい合言葉（トークン）が必要",
    403: "この人や、この経路からは利用できない",
    404: "その番号のものはない",
    408: "送信に時間がかかりすぎた",
    409: "いまはこの操作ができない",
    413: "送信された内容が大きすぎる",
    421: "この名前（ホスト名）では利用できない",
    422: "指定が正しくない",
    429: "間違いや質問が続いている（Retry-After 秒後に）",
    503: "索引がまだない、または混み合っている（Retry-After 秒後に）",
    507: "資料のフォルダーに保存できない",
}


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """A function in the place of `app.openapi`: the description, made once, with its errors."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        made = app.openapi_schema is None
        description = plain()
        if made:
            _complete(description)
        return description

    return complete


def _complete(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    schemas |= {"Refusal": _REFUSAL, "OpenAIError": _OPENAI, "GennaiError": _GENNAI}
    # one sentence where the whole request is wrong, a list of fields where some are
    fields = schemas["HTTPValidationError"]["properties"]["detail"]
    schemas["HTTPValidationError"]["properties"]["detail"] = {"anyOf": [fields, {"type": "string"}]}
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            replies, door = operation["responses"], door_of(path)
            errors = _errors(path, method, operation)
            if door is not None and 422 in errors:
                replies.pop("422", None)  # FastAPI's own, whose shape is ours
                errors = errors - {422} | {status_of(door, 422)}
            for status in errors:
                replies.setdefault(str(status), {"description": _SAID[status]})
            for status, reply in replies.items():
                if status.startswith(("4", "5")):
                    ours = "HTTPValidationError" if status == "422" else "Refusal"
                    _shape(reply, path, ours if door is None else _DOORS[door], status)


def _errors(path: str, method: str, operation: dict[str, Any]) -> set[int]:
    """The errors that may come of what a call takes and where it leads."""
    changes_documents = method != "get" and path.startswith(("/api/documents", "/api/uploads"))
    found = {401, 403, 421, 429}  # the way in (web.door) is before every call
    found |= {404} if "{" in path.replace("{form}", "") else set()
    found |= {400, 408, 413} if "requestBody" in operation else set()
    found |= {422} if "requestBody" in operation or operation.get("parameters") else set()
    found |= {409} if changes_documents or path.startswith("/api/uploads") else set()
    found |= {507} if changes_documents else set()
    found |= {503} if path != "/healthz" else set()
    return found


def _shape(reply: dict[str, Any], path: str, name: str, status: str) -> None:
    """Says what an error's body looks like: a page where people follow a link, one object of JSON else."""
    if path.startswith("/export/"):
        reply["content"] = {"text/html": {"schema": {"type": "string"}}}
        if status == "421":
            reply["content"] = {"text/plain": {"schema": {"type": "string"}}}
        return
    content = reply.setdefault("content", {}).setdefault("application/json", {})
    content.setdefault("schema", {"$ref": f"#/components/schemas/{name}"})


def methods_of(request: Request) -> str:
    """What an address takes, as the Allow header says it: 「GET, POST」."""
    routes = request.app.router.routes
    taken = [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    return ", ".join(taken)
