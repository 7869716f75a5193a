"""Reads links of pages: which lead to the same site, and to what there.

Addresses of one page: `/wiki/spaces/X/pages/123/Title`, `viewpage.action?pageId=123`, the tiny link `/wiki/x/ewAB` (the id's bytes in
base64: https://support.atlassian.com/confluence/kb/how-to-programmatically-generate-the-tiny-link-of-a-confluence-page/), and, without an
id, `/display/X/Title` and `viewpage.action?spaceKey=X&title=Title`. Of an issue of the site's Jira: `/browse/X-1`, `.../issues/X-1`,
`?selectedIssue=X-1` of boards and backlogs, and `/servicedesk/customer/portal/1/X-1`.
"""

import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, unquote_plus, urlsplit

_PAGE = re.compile(r"/(?:pages|blog(?:/\d{4}/\d{2}/\d{2})?)/(\d+)(?:/|$)")
_TINY = re.compile(r"/x/([A-Za-z0-9_-]{1,11})/?$")
_DISPLAY = re.compile(r"/display/([^/]+)/([^/]+)/?$")
_KEY = r"([A-Za-z][A-Za-z0-9_]+-\d+)"
_ISSUE = re.compile(rf"/(?:browse|issues|portal/\d+)/{_KEY}/?$")
_ISSUE_KEY = re.compile(_KEY)
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class LinkTarget:
    """What a link to the same site leads to, as far as its address tells."""

    content_id: str | None = None
    space_key: str | None = None
    title: str | None = None
    issue_key: str | None = None


def target_of(url: str, sites: Iterable[str]) -> LinkTarget | None:
    """None for a link to another site, within the same page, or that is no address. `sites`: addresses of the site itself."""
    try:
        parts = urlsplit(url.strip())
        is_here = not parts.netloc or _authority(parts) in {_authority(urlsplit(site)) for site in sites if site}
    except ValueError:
        return None
    if not is_here or parts.scheme not in ("", "http", "https") or not (parts.path or parts.query):
        return None
    if not parts.netloc and not parts.path.startswith("/") and not parts.query:
        return None
    return _target(parts)


def _authority(parts: SplitResult) -> tuple[str, int]:
    """Host and port; the port that a scheme has anyway need not be written."""
    return (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 443)


def _target(parts: SplitResult) -> LinkTarget:
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if match := _PAGE.search(parts.path):
        return LinkTarget(content_id=match[1])
    if query.get("pageId", "").isdecimal():
        return LinkTarget(content_id=query["pageId"])
    if match := _TINY.search(parts.path):
        return LinkTarget(content_id=_tiny_id(match[1]))
    if match := _DISPLAY.search(parts.path):
        return LinkTarget(space_key=unquote(match[1]), title=unquote_plus(match[2]))
    if query.get("spaceKey") and query.get("title"):
        return LinkTarget(space_key=query["spaceKey"], title=query["title"])
    if match := _ISSUE.search(parts.path) or _ISSUE_KEY.fullmatch(query.get("selectedIssue", "")):
        return LinkTarget(issue_key=match[1].upper())
    return LinkTarget()


def _tiny_id(text: str) -> str | None:
    """Little-endian bytes in base64, with `-` for `/`, `_` for `+`, and without the zeros at the end."""
    padded = text.replace("-", "/").replace("_", "+").ljust(11, "A") + "="
    return str(int.from_bytes(b64decode(padded), "little")) or None
