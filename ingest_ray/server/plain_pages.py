"""Pages without scripts: the login, and what is shown where there is no page or where one failed."""

import html
import logging

from fastapi import Request
from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

log = logging.getLogger(__name__)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - ingest-ray</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1d2733; background: #f5f6f8; margin: 0; padding: 0 1rem; }}
main {{ max-width: 24rem; margin: 12vh auto; padding: 2rem; background: #fff; border: 1px solid #d9dde3; border-radius: 6px; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.25rem; margin: 0 0 1rem; }} a {{ color: #1f5fa8; }}
label {{ display: block; font-weight: 600; margin-bottom: .25rem; }}
input {{ box-sizing: border-box; width: 100%; padding: .5rem; font: inherit; border: 1px solid #8a94a3; border-radius: 4px; }}
button {{ margin-top: 1rem; padding: .5rem 1rem; font: inherit; color: #fff; background: #1f5fa8; border: 0; border-radius: 4px; }}
p.hint {{ color: #566273; font-size: .875rem; }} p.error {{ color: #a61b1b; }}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def plain_page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """`body`: HTML, with every text from elsewhere escaped."""
    return HTMLResponse(_PAGE.format(title=html.escape(title), body=body), status_code=status)


async def answer_missing(request: Request, error: Exception) -> Response:
    """A browser gets a page with a way back, other clients JSON."""
    if "text/html" not in request.headers.get("accept", "") and isinstance(error, HTTPException):
        return await http_exception_handler(request, error)
    body = (
        "<h1>There is no such page</h1><p>The address is wrong, or what it was about is gone.</p>"
        '<p><a href="/console/">To the overview</a></p>'
    )
    return plain_page("There is no such page", body, 404)


async def answer_defect(request: Request, error: Exception) -> Response:
    """Says nothing about the error: its text may have what the visitor must not see. The log has it."""
    log.error("a page failed: %s", request.url.path, exc_info=error)
    body = (
        "<h1>This page could not be shown</h1><p>This is a defect of ingest-ray; the log of the server has the details.</p>"
        '<p><a href="/console/">To the overview</a></p>'
    )
    return plain_page("This page could not be shown", body, 500)
