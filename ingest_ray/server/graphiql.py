"""GraphiQL for admins: an editor for GraphQL queries with the documentation of the schema, served from files of this package.

Its content security policy lets the page load nothing from elsewhere, and run no script but those files.
"""

import asyncio
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from ingest_ray.sdk.errors import RoleForbidden, Unauthenticated
from ingest_ray.server.identity import Authenticator
from ingest_ray.server.plain_pages import answer_missing, plain_page
from ingest_ray.service.access.roles import Role, require_role

FILES = Path(__file__).with_name("graphiql_files")
SERVED = {
    "react.js": "text/javascript",
    "react-dom.js": "text/javascript",
    "graphiql.js": "text/javascript",
    "start.js": "text/javascript",
    "graphiql.css": "text/css",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src data:; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>GraphQL - ingest-ray</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/graphiql/graphiql.css">
<style>html, body { margin: 0; } body { height: 100vh; display: flex; flex-direction: column; } #graphiql { flex: 1; min-height: 0; }
nav { font: 15px/1.5 system-ui, sans-serif; padding: .4rem 1rem; } nav a { color: #1f5fa8; }
@media (max-width: 700px) {  /* a phone: buttons, query and answer below each other; the documentation in their place while it is open */
  body { height: 100dvh; }
  .graphiql-container, .graphiql-container .graphiql-main, .graphiql-container .graphiql-session { flex-direction: column; }
  .graphiql-container .graphiql-sidebar, .graphiql-container .graphiql-sidebar .graphiql-sidebar-section { flex-direction: row; }
  .graphiql-container .graphiql-sidebar { width: auto; padding: 0 8px; }
  .graphiql-container .graphiql-sidebar button:not(:first-child) { margin-top: 0; }
  .graphiql-container .graphiql-main { min-height: 0; }
  .graphiql-container .graphiql-main > div:has(> .graphiql-plugin) { flex: 1 1 0% !important; min-width: 0 !important; min-height: 0; }
  .graphiql-container .graphiql-main > div:not([style*="-1000px"]):has(> .graphiql-plugin) ~ .graphiql-sessions { display: none !important; }
  .graphiql-container .graphiql-sessions { margin: 0 8px 8px; min-width: 0 !important; min-height: 0; }
  .graphiql-container .graphiql-session { min-height: 0; }
  .graphiql-container .graphiql-session > div { min-width: 0 !important; min-height: 0; }
  .graphiql-container .graphiql-editors { margin-top: 0 !important; }
  .graphiql-container .graphiql-horizontal-drag-bar { display: none; }
}</style>
</head>
<body>
<nav><a href="/console/">To the console</a></nav>
<main id="graphiql"></main>
<script src="/graphiql/react.js"></script>
<script src="/graphiql/react-dom.js"></script>
<script src="/graphiql/graphiql.js"></script>
<script src="/graphiql/start.js"></script>
</body>
</html>
"""


def graphiql_router(authenticator: Authenticator) -> APIRouter:
    router = APIRouter()

    @router.get("/graphiql")
    async def show(request: Request) -> Response:
        try:
            principal = await asyncio.to_thread(authenticator.principal_of, request)
            require_role(principal, Role.ADMIN, "use GraphiQL")
        except Unauthenticated:
            return RedirectResponse("/login")
        except RoleForbidden:
            body = '<h1>Only for admins</h1><p><a href="/console/">To the overview</a></p>'
            return plain_page("Only for admins", body, 403)
        return Response(PAGE, media_type="text/html", headers={"Content-Security-Policy": POLICY})

    @router.get("/graphiql/{name}")
    async def send_file(request: Request, name: str) -> Response:
        kind = SERVED.get(name)
        if kind is None:
            return await answer_missing(request, FileNotFoundError(name))
        headers = {"Cache-Control": "max-age=86400"}
        path = FILES / name
        if not path.exists():
            path, headers = FILES / f"{name}.gz", {**headers, "Content-Encoding": "gzip"}
        return Response(await asyncio.to_thread(path.read_bytes), media_type=kind, headers=headers)

    return router
