"""Finds pages whose latest change the search index does not have yet.

https://jira.atlassian.com/browse/CONFCLOUD-70966 and the lag of the index: search alone may miss an edit. Cloud has a listing by date
that does not depend on the index; on Data Center the page tree has the times of change.
"""

from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

from ingest_ray.sdk.types import SegmentState
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.segment_progress import RunBounds, next_lower_ms
from ingest_strategies.confluence.api.contract import Api, Space, UnreadableContent
from ingest_strategies.confluence.api.cql import groups_of_spaces, in_spaces, modified_since
from ingest_strategies.confluence.api.responses import ContentRef
from ingest_strategies.confluence.planning.page_tree import page_name
from ingest_strategies.confluence.tables import PAGES

INDEX_LAG_S = 24 * 3600  # how far back the index is checked before a first run
_ref = decoder(ContentRef)


def check_since_ms(bounds: RunBounds, state: SegmentState | None) -> int:
    """From when on the index is checked."""
    lower = next_lower_ms(state) if state is not None else None
    return lower - bounds.lookback_ms if lower is not None else bounds.horizon_ms - 1000 * INDEX_LAG_S


def find_unindexed_changes(
    api: Api, zone: ZoneInfo, bounds: RunBounds, spaces: Sequence[Space], known: Mapping[str, SegmentState]
) -> dict[str, list[str]]:
    """Names of changed pages that search lacks, by space. Empty where there is no listing by date."""
    since_ms = min((check_since_ms(bounds, known.get(space.key)) for space in spaces), default=bounds.horizon_ms)
    key_by_id = {space.id: space.key for space in spaces}
    changed = {
        (page_name(kind, number), key_by_id[space])
        for page in api.list_changed(since_ms)
        for kind, number, space, _ in page
        if space in key_by_id
    }
    return find_unindexed(api, zone, changed, since_ms)


def find_unindexed(api: Api, zone: ZoneInfo, changed: Iterable[tuple[str, str]], since_ms: int) -> dict[str, list[str]]:
    """Of (page name, space key) changed since, those that search lacks, by space."""
    changed = set(changed)
    if not changed:
        return {}
    unreadable: list[UnreadableContent] = []
    spaces = sorted({key for _, key in changed})
    indexed: set[str] = set()
    for group in groups_of_spaces(spaces):
        where = f"{in_spaces(group, PAGES.content)} AND {modified_since(since_ms, zone)}"
        indexed.update(
            ref.id for body in api.search(where, (), unreadable) if (ref := attempted(_ref, body)) is not None
        )
    by_space: dict[str, list[str]] = {}
    for name, key in sorted(page for page in changed if page[0][1:] not in indexed):
        by_space.setdefault(key, []).append(name)
    return by_space
