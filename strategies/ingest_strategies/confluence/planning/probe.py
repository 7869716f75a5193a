"""One cheap look at a site before a run: who we are, what time and zone it is there, which spaces have anything to read.

Spaces that have not changed are told by one count for many of them; of the others, and of new ones, each is counted. For pages the
tree of every space is listed. A space that cannot be looked at keeps its
fault to itself: it gets a slice, and that slice fails.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import SourceError
from ingest_ray.sdk.types import Axis, Horizon, Interval, RunMode, SegmentState, UnitSpec
from ingest_strategies.atlassian.segment_progress import Course, SegmentLook, Window, counted, next_lower, quiet
from ingest_strategies.confluence.api.client import Api, Space, Suspect, count, newest
from ingest_strategies.confluence.api.cql import CREATED, MODIFIED, any_of, literal, quoted, speakable, window
from ingest_strategies.confluence.api.deployment import known as opened
from ingest_strategies.confluence.api.responses import Ref, decoder
from ingest_strategies.confluence.filters import ConfluenceFilter, filter_of
from ingest_strategies.confluence.planning import timezone
from ingest_strategies.confluence.planning.page_tree import Tree, tree_of
from ingest_strategies.confluence.tables import ACLS, PAGES, TABLES, Table

MARGIN_S = 60  # an edit may be written a little after the time that it bears
LOOKBACK_S = 30 * 60  # the index was seen to lag 25 minutes
INDEX_LAG_S = 24 * 3600  # before a first run, how far back the index is checked against the truth
MOST_NAMED = 20
PAGE_BYTES = 10_000  # before anything was learned
COUNTED_TOGETHER = 20  # spaces: some 3 KB of CQL, in the address of a request
CURSOR = Axis(kind="cursor", columns=(MODIFIED,))
KEY = Axis(kind="key", columns=(CREATED,))
TREE = Axis(kind="cursor", columns=("tree",))
IDS = Axis(kind="key", columns=("id",))
TREE_SUFFIX = "/tree"
"""Of a segment beside a space's own; no key of a space has a slash."""
_ref = decoder(Ref)


@dataclass(frozen=True)
class SpaceLook:
    space: Space
    counts: SegmentLook
    fault: str | None = None
    tree: Tree | None = None
    tree_state: SegmentState = field(default_factory=lambda: SegmentState(segment=""))
    missed: tuple[str, ...] = ()
    """Pages that the truth has and search has not, as `p1` or `b1`."""


@dataclass(frozen=True)
class Look:
    api: Api
    spec: UnitSpec
    zone_name: str
    now_ms: int
    horizon_ms: int
    lookback_ms: int
    is_full: bool
    start_ms: int | None
    spaces: Sequence[SpaceLook] = ()

    @property
    def table(self) -> Table:
        return TABLES[self.spec.dataset.name]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone_name)

    @property
    def axis(self) -> str:
        """Full runs go along the time of creation: what is changed meanwhile keeps its place. So do readers of ACLs."""
        return CREATED if self.is_full or self.table is ACLS else MODIFIED

    @property
    def course(self) -> Course:
        return Course(CURSOR, self.horizon_ms, self.lookback_ms)

    def where(self, space: str, interval: Interval) -> str:
        return window(space, self.table.content, self.axis, interval, self.zone, *started_from(self))

    def count(self, space: str, interval: Interval) -> int:
        return count(self.api.web, self.where(space, interval))

    def of(self, segment: str) -> SpaceLook:
        key = segment.removesuffix(TREE_SUFFIX)
        return next(one for one in self.spaces if one.space.key == key)


def started_from(look: Look) -> list[str]:
    """`updatedFrom` where the axis is another one."""
    if look.start_ms is None or look.axis == MODIFIED:
        return []
    return [f"{MODIFIED} >= {literal(look.start_ms, look.zone)}"]


def row_bytes(spec: UnitSpec) -> float:
    return max(1.0, spec.learned.bytes_per_row or PAGE_BYTES)


def slice_items(spec: UnitSpec, look: Look) -> int:
    return max(1, min(look.api.web.config.slice_pages, int(spec.policy.target_slice_bytes / row_bytes(spec))))


@contextmanager
def probed(spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
    with opened(spec.endpoint, spec.dataset) as api:
        account, now_ms = api.web.arrived()
        look = begun(api, spec, now_ms)
        chosen = chosen_spaces(api, filter_of(spec))
        if look.table.content:
            recent = recently_changed(look, chosen, known) if look.table is PAGES and not look.is_full else {}
            resting = quiet_spaces(look, {one.key: known[one.key] for one in chosen if one.key in known})
            found = api.web.spread(lambda space: looked_at(look, space, known, recent, resting), iter(chosen))
            look = replace(look, spaces=tuple(found))
        rows = sum(one.counts.rows for one in look.spaces) if look.table.content else len(chosen)
        failing = [f"{one.space.key}: {one.fault}" for one in look.spaces if one.fault]
        facts: dict[str, JsonValue] = {
            "account": account.id,
            "deployment": api.deployment,
            "zone": look.zone_name,
            "spaces": len(chosen),
            "spaces_changed": sum(bool(one.counts.rows) for one in look.spaces),
            "spaces_failing": list(failing[:MOST_NAMED]),
            "missed_by_search": sum(len(one.missed) for one in look.spaces),
            "lookback_s": look.lookback_ms // 1000,
            "items_per_slice": slice_items(spec, look),
        }
        yield Probe(
            strategy=f"confluence.{api.deployment.lower()}",
            rows=rows,
            bytes=int(rows * row_bytes(spec)),
            horizon=None
            if look.is_full
            else Horizon(value=(look.horizon_ms,), method="server clock", note="with a lag, at a whole minute"),
            facts=facts,
            live=look,
        )


def begun(api: Api, spec: UnitSpec, now_ms: int) -> Look:
    lag_s = MARGIN_S if spec.policy.lag is None else spec.policy.lag
    name = proved_zone(api, spec, now_ms) if TABLES[spec.dataset.name].content else "UTC"
    start_ms = filter_of(spec).updated_from_ms
    return Look(
        api=api,
        spec=spec,
        zone_name=name,
        now_ms=now_ms,
        horizon_ms=speakable(now_ms - 1000 * lag_s, ZoneInfo(name)),
        lookback_ms=1000 * (spec.policy.lookback or LOOKBACK_S),
        is_full=spec.config.run_mode is RunMode.FULL,
        start_ms=speakable(start_ms, ZoneInfo(name)) if start_ms is not None else None,
    )


def proved_zone(api: Api, spec: UnitSpec, now_ms: int) -> str:
    """The zone that metadata collection found, where it is still the one; else it is found again."""

    def find(where: str) -> timezone.Sample | None:
        return newest(api.web, where)

    def holds(where: str) -> bool:
        return count(api.web, where) > 0

    name = spec.dataset.facts.get("zone")
    if isinstance(name, str) and timezone.is_proved(name, timezone.samples(find, now_ms, timezone.PROVED), holds):
        return name
    return timezone.calibrated(find, holds, now_ms)


def chosen_spaces(api: Api, chosen: ConfluenceFilter) -> list[Space]:
    """Spaces that exist, that the endpoint reads, and that the unit's filter keeps."""
    return [
        space
        for space in api.spaces()
        if is_read(api, space) and (not chosen.spaceKeys or space.key in chosen.spaceKeys)
    ]


def is_read(api: Api, space: Space) -> bool:
    """A space that is named is read, whatever it is."""
    config = api.web.config
    if config.space_keys:
        return space.key in config.space_keys
    if space.is_archived and not config.include_archived:
        return False
    return space.type != "personal" or config.include_personal


def check_from(look: Look, state: SegmentState | None) -> int:
    """From when on the index is checked against the truth."""
    lower = next_lower(state) if state is not None else None
    return lower - look.lookback_ms if lower is not None else look.horizon_ms - 1000 * INDEX_LAG_S


def recently_changed(look: Look, chosen: Sequence[Space], known: Mapping[str, SegmentState]) -> dict[str, list[str]]:
    """By space: pages that the truth has changed lately and that search does not find. Empty where there is no such listing.

    https://jira.atlassian.com/browse/CONFCLOUD-70966 and the lag of the index: search alone may miss an edit.
    """
    since_ms = min((check_from(look, known.get(space.key)) for space in chosen), default=look.horizon_ms)
    by_id = {space.id: space.key for space in chosen}
    truth = {
        (f"{kind[0]}{number}", by_id[space])
        for page in look.api.changed(since_ms)
        for kind, number, space, _ in page
        if space in by_id
    }
    return missed(look, truth, since_ms)


def missed(look: Look, truth: set[tuple[str, str]], since_ms: int) -> dict[str, list[str]]:
    """Of pages that were changed lately, those that search does not know to be, by space."""
    if not truth:
        return {}
    suspects: list[Suspect] = []
    types = ", ".join(PAGES.content)
    spaces = ", ".join(quoted(key) for key in sorted({key for _, key in truth}))
    where = f"space in ({spaces}) AND type in ({types}) AND {MODIFIED} >= {literal(since_ms, look.zone)}"
    found = {_ref(body).id for body in look.api.hits(where, (), suspects)}
    left = sorted(one for one in truth if one[0][1:] not in found)
    by_space: dict[str, list[str]] = {}
    for name, key in left:
        by_space.setdefault(key, []).append(name)
    return by_space


def quiet_spaces(look: Look, known: Mapping[str, SegmentState]) -> set[str]:
    def count_any(windows: Sequence[Window]) -> int:
        return count(look.api.web, any_of([look.where(key, part) for key, part in windows]))

    if look.is_full or look.table is ACLS:
        return set()
    try:
        return quiet(known, look.course, COUNTED_TOGETHER, count_any)
    except SourceError:  # one of them may be the reason: each is asked for by itself, and keeps its fault to itself
        return set()


def looked_at(
    look: Look,
    space: Space,
    known: Mapping[str, SegmentState],
    recent: Mapping[str, Sequence[str]],
    resting: Collection[str],
) -> SpaceLook:
    state = known.get(space.key, SegmentState(segment=space.key))
    tree_state = known.get(space.key + TREE_SUFFIX, SegmentState(segment=space.key + TREE_SUFFIX))
    try:
        is_quiet = space.key in resting
        counts = SegmentLook(space.key, state, next_lower(state)) if is_quiet else counts_of(look, space, state)
        is_swept = look.table is PAGES and look.api.web.config.sweep
        since_ms = check_from(look, known.get(space.key))
        tree = tree_of(look.api.tree(space), since_ms) if is_swept else None
        lost = list(recent.get(space.key, ()))
        if tree is not None and not look.api.tells_changes and not look.is_full:
            lost = missed(look, {(name, space.key) for name in tree.recent}, since_ms).get(space.key, [])
        if tree is None and not counts.total and state.watermark is None:
            look.api.check(space)
    except SourceError as error:
        return SpaceLook(space, SegmentLook(space.key, state, next_lower(state)), error.message, None, tree_state)
    return SpaceLook(space, counts, None, tree, tree_state, tuple(lost))


def counts_of(look: Look, space: Space, state: SegmentState) -> SegmentLook:
    if look.is_full or look.table is ACLS:
        total = look.count(space.key, Interval())
        return SegmentLook(space.key, state, total=total, new=total)
    return counted(space.key, state, look.course, look.start_ms, lambda interval: look.count(space.key, interval))
