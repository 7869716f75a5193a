"""The span of one request: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client.

Queries of URLs have values of cursors and names, and paths have ids of records: a span has the path with its fixed parts only.
"""

import re

from ingest_ray.http.request import PORTS, Request
from ingest_ray.sdk import tracing

_FIXED = re.compile(r"v?\d|[a-z][A-Za-z_-]{0,39}")
SHOWN_PARTS = 12


def request_span(request: Request, parent: object | None, send_count: int = 0) -> tracing.Span:
    """For `with`. `parent`: the work that the request is for, where another thread sends it."""
    if not tracing.is_on():
        return tracing.span("")
    origin, template = request.origin, url_template(request.path)
    return tracing.span(
        f"{request.method} {template}",
        {
            "http.request.method": request.method,
            "url.template": template,
            "url.full": f"{origin.url}{template}",
            "server.address": origin.host,
            "server.port": origin.port or PORTS.get(origin.scheme),
            "http.request.resend_count": send_count or None,
        },
        kind="client",
        parent=parent,
    )


def note_answer(span: tracing.Span, status: int, size: int) -> None:
    """`size`: bytes of the decoded body."""
    span.set({"http.response.status_code": status, "http.response.body.size": size})
    if status >= 400:
        span.fail(str(status))


def url_template(path: str) -> str:
    """`/rest/api/3/issue/{id}/comment`: a part that is no plain word of an API is an id or a name."""
    parts = path.split("/")[: SHOWN_PARTS + 1]
    return "/".join(part if not part or _FIXED.fullmatch(part) else "{id}" for part in parts)
