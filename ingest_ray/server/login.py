"""Login with a browser: exchanges a token for a session cookie that scripts cannot read and other sites cannot send."""

import asyncio
import html
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ingest_ray import logs
from ingest_ray.sdk.errors import Unauthenticated
from ingest_ray.server.identity import COOKIE, Authenticator
from ingest_ray.server.plain_pages import plain_page

_FORM = """<h1>ingest-ray</h1>
{error}
<form method="post" action="/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="off" required autofocus>
<button type="submit">Log in</button>
</form>
<p class="hint">An administrator makes one with <code>ingest-ray token create</code>.</p>"""


def login_router(authenticator: Authenticator) -> APIRouter:
    router = APIRouter()

    @router.get("/login")
    async def show() -> HTMLResponse:
        return plain_page("Log in", _FORM.format(error=""))

    @router.post("/login")
    async def login(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        token = form.get("token", [""])[0].strip()
        try:
            principal = await asyncio.to_thread(authenticator.principal_of_secret, token)
        except Unauthenticated as error:
            markup = f'<p class="error" role="alert">{html.escape(logs.scrub(error.message))}</p>'
            return plain_page("Log in", _FORM.format(error=markup), 401)
        request.state.principal = principal.name
        answer = RedirectResponse("/console/", status_code=303)
        cookie, seconds = authenticator.new_session(principal)
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=int(seconds),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        authenticator.end_session(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    return router
