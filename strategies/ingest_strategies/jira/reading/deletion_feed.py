"""The feed of deleted worklogs: the only deletions that Jira tells.

A trace has the worklog's id and the time of its deletion as `deleted_at` and `updated`, so it is newer than any version of
the worklog. https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-worklogs/
"""

from collections.abc import Iterator

from msgspec import Raw

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Slice
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.responses import FeedPage, decoder, instant_of_ms
from ingest_strategies.jira.reading.rows import Item

_page = decoder(FeedPage)
_NOTHING = Raw(b"")


def deletions(api: Api, piece: Slice) -> Iterator[list[Item]]:
    """In [lower, upper). The feed leaves its last minute out; the horizon is at least that far back."""
    assert piece.interval.lower is not None
    assert piece.interval.upper is not None
    since, upper = int(piece.interval.lower[0]), int(piece.interval.upper[0])
    while since < upper:
        page = api.web.get("worklog/deleted", _page, {"since": since})
        yield [trace(one.worklogId, one.updatedTime) for one in page.values if since <= one.updatedTime < upper]
        if page.lastPage:
            return
        newest = max((one.updatedTime for one in page.values), default=page.until)
        if newest < since:
            raise SourceUnavailable("the feed of deleted worklogs does not go on")
        since = newest + 1


def trace(number: int, deleted_ms: int) -> Item:
    moment = instant_of_ms(deleted_ms)
    return Item(_NOTHING, {"id": str(number), "updated": moment, "log.deleted": moment})
