"""Reads the feed of deleted worklogs, the only deletions that Jira publishes.

A row of the feed has the worklog's id, and the time of its deletion as `deleted_at` and `updated`, so it is newer than any version of
the worklog. https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-worklogs/
"""

from collections.abc import Iterator

from msgspec import Raw

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Slice
from ingest_strategies.atlassian.instants import instant_of_ms
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.responses import DeletedWorklogPage
from ingest_strategies.jira.reading.rows import Item

_page = decoder(DeletedWorklogPage)
_NO_BODY = Raw(b"")


def read_deletions(api: Api, piece: Slice) -> Iterator[list[Item]]:
    """In [lower, upper). The feed omits its last minute; the horizon is at least that far back."""
    assert piece.interval.lower is not None
    assert piece.interval.upper is not None
    since, upper = int(piece.interval.lower[0]), int(piece.interval.upper[0])
    while since < upper:
        page = api.client.get("worklog/deleted", _page, {"since": since})
        yield [
            deletion_item(worklog.worklogId, worklog.updatedTime)
            for worklog in page.values
            if since <= worklog.updatedTime < upper
        ]
        if page.lastPage:
            return
        newest = max((worklog.updatedTime for worklog in page.values), default=page.until or 0)
        if newest < since:
            raise SourceUnavailable("the feed of deleted worklogs makes no progress")
        since = newest + 1


def deletion_item(worklog_id: int, deleted_ms: int) -> Item:
    deleted_at = instant_of_ms(deleted_ms)
    return Item(_NO_BODY, {"id": str(worklog_id), "updated": deleted_at, "log.deleted": deleted_at})
