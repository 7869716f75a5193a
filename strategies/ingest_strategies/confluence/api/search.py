"""Questions to search: how much content meets a condition, and which is first, last or newest."""

from dataclasses import dataclass
from typing import Any

from ingest_strategies.atlassian.instants import instant_ms
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.confluence.api.client import ConfluenceClient
from ingest_strategies.confluence.api.responses import ContentV1, SearchCount

_count, _content = decoder(SearchCount), decoder(ContentV1)


@dataclass(frozen=True)
class DatedContent:
    """Content that search knows, and the instant of its last change."""

    id: str
    changed_ms: int


def search_params(where: str, **more: Any) -> dict[str, Any]:
    return {"cql": where, "includeArchivedSpaces": "true", **more}


def count_content(client: ConfluenceClient, where: str) -> int:
    return client.get("rest/api/search", _count, search_params(where, limit=0)).totalSize


def find_newest(client: ConfluenceClient, where: str) -> DatedContent | None:
    """The page that was changed last, of those that meet a condition."""
    condition = " AND ".join(part for part in ("type = page", where) if part)
    params = search_params(f"{condition} ORDER BY lastmodified DESC", limit=1, expand="version")
    for body in client.read_page("rest/api/content/search", params).results:
        content = _content(body)
        if content.version is not None and content.version.when is not None:
            return DatedContent(content.id, instant_ms(content.version.when))
    return None


def find_edge_ms(client: ConfluenceClient, where: str, axis: str, *, last: bool) -> int | None:
    """The instant of the first or last content on an axis; None: there is none."""
    order = "DESC" if last else "ASC"
    params = search_params(f"{where} ORDER BY {axis} {order}", limit=1, expand="version,history")
    results = client.read_page("rest/api/content/search", params).results
    if not results:
        return None
    content = _content(results[0])
    when = content.version.when if content.version else None
    if axis == "created" and content.history is not None and content.history.createdDate:
        when = content.history.createdDate
    return instant_ms(when) if when else None
