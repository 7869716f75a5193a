"""Probes a site before a run: the account, the server's clock and zone, and which spaces have anything to read.

One count covers many spaces that have not changed; each changed or new space is counted by itself. For pages, the tree of every space
is listed. A space whose probe fails gets one slice that fails with the same error; the other spaces are read.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import SourceError
from ingest_ray.sdk.types import Axis, Horizon, Interval, RunMode, SegmentState, UnitSpec
from ingest_strategies.atlassian.estimates import lag_s, lookback_ms, row_bytes, slice_rows
from ingest_strategies.atlassian.query_text import any_of
from ingest_strategies.atlassian.segment_progress import (
    RunBounds,
    SegmentCounts,
    SegmentWindow,
    count_segment,
    find_unchanged,
    next_lower_ms,
)
from ingest_strategies.confluence.api.contract import Api, Space
from ingest_strategies.confluence.api.cql import CREATED, MODIFIED, modified_since, unambiguous_minute, window
from ingest_strategies.confluence.api.deployment import open_api
from ingest_strategies.confluence.api.search import count_content
from ingest_strategies.confluence.filters import filter_of
from ingest_strategies.confluence.planning.index_check import (
    check_since_ms,
    find_unindexed,
    find_unindexed_changes,
)
from ingest_strategies.confluence.planning.page_tree import PageTree
from ingest_strategies.confluence.planning.spaces import select_spaces
from ingest_strategies.confluence.planning.timezone import confirm_zone
from ingest_strategies.confluence.planning.tree_listings import LISTED_MEANWHILE, TreeListings
from ingest_strategies.confluence.tables import ACLS, COMMENTS, PAGES, SPACES, TABLES, ContentTable

MOST_NAMED = 20
MOST_SIGNS = 4_500  # of CQL in an address: about 20 spaces are counted together
CONDITION_SIGNS = 220  # of one space, without its key
CURSOR = Axis(kind="cursor", columns=(MODIFIED,))
TREE_SUFFIX = "/tree"
"""Of the segment of a space's tree; no key of a space has a slash."""
UNLISTED = "unlisted"
"""The hint of a slice of the tree that could not be listed."""


@dataclass(frozen=True)
class SpaceProbe:
    space: Space
    counts: SegmentCounts
    fault: str | None = None
    listing: "Future[PageTree] | None" = None
    tree_state: SegmentState = field(default_factory=lambda: SegmentState(segment=""))
    unindexed: tuple[str, ...] = ()
    """Names of changed pages that search lacks."""
    is_listed_meanwhile: bool = False
    """Its tree is listed while what search finds is read."""

    @property
    def tree(self) -> PageTree | None:
        """Waits for the listing. Raises `SourceError` where that failed."""
        return self.listing.result() if self.listing is not None else None


@dataclass(frozen=True)
class SiteProbe:
    api: Api
    spec: UnitSpec
    zone_name: str
    now_ms: int
    horizon_ms: int
    lookback_ms: int
    is_full: bool
    start_ms: int | None
    listings: TreeListings
    spaces: Sequence[SpaceProbe] = ()

    @property
    def table(self) -> ContentTable:
        return TABLES[self.spec.dataset.name]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone_name)

    @property
    def axis(self) -> str:
        """FULL runs read along the time of creation, which a change during the run does not move. So do runs of ACLs."""
        return CREATED if self.is_full or self.table.is_reread else MODIFIED

    @property
    def bounds(self) -> RunBounds:
        return RunBounds(CURSOR, self.horizon_ms, self.lookback_ms)

    def where(self, space: str, interval: Interval) -> str:
        more = []
        if self.start_ms is not None and self.axis != MODIFIED:
            more.append(modified_since(self.start_ms, self.zone))
        return window(space, self.table.content, self.axis, interval, self.zone, *more)

    def count(self, space: str, interval: Interval) -> int:
        return count_content(self.api.client, self.where(space, interval))

    @property
    def has_trees(self) -> bool:
        """Whether the trees of spaces are compared: they have what search does not find."""
        return self.table in (PAGES, ACLS) and self.api.client.config.sweep

    def slice_items(self, spec: UnitSpec) -> int:
        """How many items a slice holds at most. `spec` is the current one: the engine learns bytes per row during the run."""
        config = self.api.client.config
        is_read_together = self.table in (PAGES, COMMENTS) and config.acl == "none" and config.body_format != "view"
        return slice_rows(spec, config.slice_pages, is_read_together=is_read_together)

    def space_probe_of(self, segment: str) -> SpaceProbe:
        key = segment.removesuffix(TREE_SUFFIX)
        return next(probe for probe in self.spaces if probe.space.key == key)


@contextmanager
def open_probe(spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
    with open_api(spec.endpoint, spec.dataset) as api, TreeListings(api) as listings:
        account, now_ms = api.client.read_account_and_clock()
        site_probe = start_probe(api, spec, now_ms, listings)
        spaces = select_spaces(api, filter_of(spec))
        if site_probe.table.content:
            site_probe = replace(site_probe, spaces=probe_spaces(site_probe, spaces, known))
            rows = sum(probe.counts.rows for probe in site_probe.spaces)
        elif site_probe.table.extent == "space":
            listed = (SpaceProbe(space, SegmentCounts(space.key, SegmentState(segment=space.key))) for space in spaces)
            site_probe, rows = replace(site_probe, spaces=tuple(listed)), 0  # no API counts them
        else:
            rows = len(spaces) if site_probe.table is SPACES else 0
        failing = [f"{probe.space.key}: {probe.fault}" for probe in site_probe.spaces if probe.fault]
        facts: dict[str, JsonValue] = {
            "account": account.id,
            "deployment": api.deployment,
            "zone": site_probe.zone_name,
            "spaces": len(spaces),
            "spaces_changed": sum(bool(probe.counts.rows) for probe in site_probe.spaces),
            "spaces_failing": list(failing[:MOST_NAMED]),
            "missed_by_search": sum(len(probe.unindexed) for probe in site_probe.spaces),
            "lookback_s": site_probe.lookback_ms // 1000,
            "items_per_slice": site_probe.slice_items(spec),
        }
        horizon = Horizon(value=(site_probe.horizon_ms,), method="server clock", note="with a lag, at a whole minute")
        yield Probe(
            strategy=f"confluence.{api.deployment.lower()}",
            rows=rows,
            bytes=int(rows * row_bytes(spec)),
            horizon=None if site_probe.is_full else horizon,
            facts=facts,
            live=site_probe,
        )


def start_probe(api: Api, spec: UnitSpec, now_ms: int, listings: TreeListings) -> SiteProbe:
    """The probe without its spaces."""
    recorded_zone = spec.dataset.facts.get("zone")
    name = confirm_zone(api.client, recorded_zone, now_ms) if TABLES[spec.dataset.name].content else "UTC"
    start_ms = filter_of(spec).updated_from_ms
    return SiteProbe(
        api=api,
        spec=spec,
        zone_name=name,
        now_ms=now_ms,
        horizon_ms=unambiguous_minute(now_ms - 1000 * lag_s(spec), ZoneInfo(name)),
        lookback_ms=lookback_ms(spec),
        is_full=spec.config.run_mode is RunMode.FULL,
        start_ms=unambiguous_minute(start_ms, ZoneInfo(name)) if start_ms is not None else None,
        listings=listings,
    )


def probe_spaces(
    site_probe: SiteProbe, spaces: Sequence[Space], known: Mapping[str, SegmentState]
) -> tuple[SpaceProbe, ...]:
    api = site_probe.api
    unindexed: Mapping[str, Sequence[str]] = {}
    if site_probe.table is PAGES and not site_probe.is_full:
        unindexed = find_unindexed_changes(api, site_probe.zone, site_probe.bounds, spaces, known)
    unchanged = find_unchanged_spaces(
        site_probe, {space.key: known[space.key] for space in spaces if space.key in known}
    )

    def probe(space: Space) -> SpaceProbe:
        return probe_space(site_probe, space, known, unindexed.get(space.key, ()), unchanged)

    return tuple(api.client.map_concurrently(probe, iter(spaces)))


def find_unchanged_spaces(site_probe: SiteProbe, known: Mapping[str, SegmentState]) -> set[str]:
    def count(windows: Sequence[SegmentWindow]) -> int:
        return count_content(site_probe.api.client, any_of([site_probe.where(key, part) for key, part in windows]))

    if site_probe.is_full or site_probe.table.is_reread:
        return set()
    longest = max((len(quote(key, safe="")) for key in known), default=0)
    try:
        return find_unchanged(known, site_probe.bounds, max(1, MOST_SIGNS // (CONDITION_SIGNS + longest)), count)
    except SourceError:  # one space may be the reason: each is then probed by itself, and only that one fails
        return set()


def probe_space(
    site_probe: SiteProbe,
    space: Space,
    known: Mapping[str, SegmentState],
    unindexed: Sequence[str],
    unchanged: Collection[str],
) -> SpaceProbe:
    api = site_probe.api
    state = known.get(space.key, SegmentState(segment=space.key))
    tree_state = known.get(space.key + TREE_SUFFIX, SegmentState(segment=space.key + TREE_SUFFIX))
    unchanged_counts = SegmentCounts(space.key, state, next_lower_ms(state))
    try:
        counts = unchanged_counts if space.key in unchanged else count_space(site_probe, space, state)
        since_ms = check_since_ms(site_probe.bounds, known.get(space.key))
        listing = site_probe.listings.begin(space, since_ms) if site_probe.has_trees else None
        if listing is not None and lists_meanwhile(site_probe, counts):
            return SpaceProbe(space, counts, None, listing, tree_state, is_listed_meanwhile=True)
        tree = listing.result() if listing is not None else None
        is_paged = site_probe.table is PAGES and not site_probe.is_full
        if tree is not None and not api.can_list_changes and is_paged:
            recent = ((name, space.key) for name in tree.recent)
            unindexed = find_unindexed(api, site_probe.zone, recent, since_ms).get(space.key, [])
        if tree is None and not counts.total and state.watermark is None:
            api.check_space(space)
    except SourceError as error:
        return SpaceProbe(space, unchanged_counts, error.message, None, tree_state)
    return SpaceProbe(space, counts, None, listing, tree_state, tuple(unindexed))


def lists_meanwhile(site_probe: SiteProbe, counts: SegmentCounts) -> bool:
    """Where the tree is no digest for the next run. Under a quota the points of the plan include those of the listing."""
    keeps_digest = not (site_probe.is_full or site_probe.table.is_reread)
    return not keeps_digest and counts.total >= LISTED_MEANWHILE and not site_probe.api.client.http.has_quota


def count_space(site_probe: SiteProbe, space: Space, state: SegmentState) -> SegmentCounts:
    if site_probe.is_full or site_probe.table.is_reread:
        total = site_probe.count(space.key, Interval())
        return SegmentCounts(space.key, state, total=total, new=total)
    return count_segment(
        space.key,
        state,
        site_probe.bounds,
        site_probe.start_ms,
        lambda interval: site_probe.count(space.key, interval),
    )
