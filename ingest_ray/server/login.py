"""Login with a browser: exchanges a token for a session cookie that scripts cannot read and other sites cannot send."""

import asyncio
import html
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ingest_ray import logs
from ingest_ray.sdk.errors import Unauthenticated
from ingest_ray.server.identity import COOKIE, Authenticator

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in - ingest-ray</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1d2733; background: #f5f6f8; margin: 0; }}
main {{ max-width: 24rem; margin: 12vh auto; padding: 2rem; background: #fff; border: 1px solid #d9dde3; border-radius: 6px; }}
h1 {{ font-size: 1.25rem; margin: 0 0 1rem; }}
label {{ display: block; font-weight: 600; margin-bottom: .25rem; }}
input {{ box-sizing: border-box; width: 100%; padding: .5rem; font: inherit; border: 1px solid #8a94a3; border-radius: 4px; }}
button {{ margin-top: 1rem; padding: .5rem 1rem; font: inherit; color: #fff; background: #1f5fa8; border: 0; border-radius: 4px; }}
p.hint {{ color: #566273; font-size: .875rem; }} p.error {{ color: #a61b1b; }}
</style>
</head>
<body>
<main>
<h1>ingest-ray</h1>
{error}
<form method="post" action="/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="off" required autofocus>
<button type="submit">Log in</button>
</form>
<p class="hint">An administrator makes one with <code>ingest-ray token create</code>.</p>
</main>
</body>
</html>
"""


def login_router(authenticator: Authenticator) -> APIRouter:
    router = APIRouter()

    @router.get("/login")
    async def show() -> HTMLResponse:
        return HTMLResponse(_PAGE.format(error=""))

    @router.post("/login")
    async def login(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        token = form.get("token", [""])[0].strip()
        try:
            principal = await asyncio.to_thread(authenticator.principal_of_secret, token)
        except Unauthenticated as error:
            markup = f'<p class="error" role="alert">{html.escape(logs.scrub(error.message))}</p>'
            return HTMLResponse(_PAGE.format(error=markup), status_code=401)
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
