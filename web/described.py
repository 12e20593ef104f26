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

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REFUSAL = {
    "title": "Refusal",
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "string", "description": "何が問題で、どうすればよいか"}},
}
_SAID = {
    400: "送信された内容の長さが二通りに書かれている",
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
    schemas["Refusal"] = _REFUSAL
    # one sentence where the whole request is wrong, a list of fields where some are
    fields = schemas["HTTPValidationError"]["properties"]["detail"]
    schemas["HTTPValidationError"]["properties"]["detail"] = {"anyOf": [fields, {"type": "string"}]}
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            replies = operation["responses"]
            for status in _errors(path, method, operation):
                replies.setdefault(str(status), {"description": _SAID[status]})
            for status, reply in replies.items():
                if status.startswith(("4", "5")):
                    _shape(reply, path, "HTTPValidationError" if status == "422" else "Refusal", status)


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
