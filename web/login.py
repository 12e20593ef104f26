"""The pages on which people sign in and out: with an account, or with the administrator's token.

In: forms from pages of this server. Out: cookies, and the way to where somebody wanted to go. Who may sign in is known by `web.gate`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException as StarletteHTTPException

from access.people import account_key
from web.gate import TOKEN_HOLDER, Gate, person_of
from web.logs import audit
from web.metrics import Metrics
from web.site import Site


def pages(site: Site, gate: Gate) -> APIRouter:
    """The routes."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/login")
    def login_page(request: Request, next: str = "/") -> Response:
        if person_of(request).name is not None:
            return RedirectResponse(own_path(next), 303)
        return _form(request, "login.html", next=own_path(next))

    @routes.post("/login")
    async def login(request: Request) -> Response:
        async def signed_in(form: FormData) -> Response:
            name, password = str(form.get("name", "")), str(form.get("password", ""))
            secret = await gate.sign_in_account(request, name, password)
            response = RedirectResponse(own_path(str(form.get("next", "/"))), 303)
            gate.keep(request, response, account=secret)
            _said(request, account_key(name))  # one account is one name in the log, however it was typed
            return response

        return await _taken(request, "login.html", "名前とパスワードを入力してください。", signed_in)

    @routes.get("/admin/login")
    def token_page(request: Request) -> Response:
        if person_of(request).administrator or not gate.needs_token:
            return RedirectResponse("/admin", 303)
        return _form(request, "admin_login.html")

    @routes.post("/admin/login")
    async def token_login(request: Request) -> Response:
        async def signed_in(form: FormData) -> Response:
            token = await gate.sign_in(request, str(form.get("token", "")))
            response = RedirectResponse("/admin", 303)
            gate.keep(request, response, token=token)
            _said(request, TOKEN_HOLDER.name or "")
            return response

        return await _taken(request, "admin_login.html", "合言葉を入力してください。", signed_in)

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        gate.check_origin(request, needed=True)
        to = "/admin/login" if gate.signed_in(request) else "/"
        await gate.sign_out(request)
        response = RedirectResponse(to, 303)
        gate.keep(request, response)
        audit("sign-out")
        # what this browser kept of pages that only its last user may see
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    def _form(request: Request, template: str, status: int = 200, **more: Any) -> HTMLResponse:
        shown = {"message": None, "next": "/", "account": "", "needs_token": gate.needs_token, **more}
        return site.page(request, template, status, **shown)

    async def _taken(
        request: Request, template: str, empty: str, use: Callable[[FormData], Awaitable[Response]]
    ) -> Response:
        """What a form leads to: the page itself again, with a message, where it is wrong."""
        gate.check_origin(request, needed=True)
        given: dict[str, str] = {}
        try:
            async with request.form(max_fields=5, max_files=0) as form:
                given = {"next": own_path(str(form.get("next", "/"))), "account": str(form.get("name", ""))}
                return await use(form)
        except (StarletteHTTPException, HTTPException) as error:
            if error.status_code not in {400, 401, 429}:
                raise
            message = str(error.detail) if error.status_code != 400 else empty
            status = 401 if error.status_code == 400 else error.status_code
            page = await run_in_threadpool(_form, request, template, status, message=message, **given)
            page.headers.update(error.headers or {})
            return page

    return routes


def _said(request: Request, name: str) -> None:
    """Notes that somebody signed in."""
    audit("sign-in", account=name)
    metrics: Metrics = request.app.state.metrics
    metrics.sign_in("right")


def own_path(address: str) -> str:
    """An address of this server, as its path; anything else is the first page.

    >>> own_path("/documents/1?start=2"), own_path("//elsewhere"), own_path("https://elsewhere/"), own_path("/\\\\elsewhere")
    ('/documents/1?start=2', '/', '/', '/')
    """
    # browsers read 「\\」 as 「/」, and leave control characters out before they look
    is_own = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if is_own and not address.startswith(("/login", "/logout")) else "/"
