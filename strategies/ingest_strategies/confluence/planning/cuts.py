"""Cuts one gap into slices: windows of time by counts, and lists of ids."""

from collections.abc import Iterator

from pydantic import JsonValue

from ingest_ray.sdk.errors import SourceError
from ingest_ray.sdk.types import Effect, Interval, Piece, Position, Scope, UnitSpec
from ingest_strategies.atlassian.estimates import sized_piece
from ingest_strategies.atlassian.windows import WindowCutter
from ingest_strategies.confluence.api.contract import Space
from ingest_strategies.confluence.api.cql import unambiguous_minute
from ingest_strategies.confluence.api.search import find_edge_ms
from ingest_strategies.confluence.planning import page_tree
from ingest_strategies.confluence.planning.probe import TREE_SUFFIX, UNLISTED, SiteProbe
from ingest_strategies.confluence.planning.scopes import UNINDEXED

MOST_IDS = 250  # in one slice: what one request can ask for, in less than 4 KiB


def cut_gap(site_probe: SiteProbe, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[Piece]:
    if scope.axis.kind == "whole":
        of_space = site_probe.table.extent == "space"
        space = site_probe.space_probe_of(scope.segment).space if of_space else None
        hint: dict[str, JsonValue] = {"space": space_hint(space)} if space is not None else {}
        yield Piece(interval=gap, estimated_rows=scope.estimated_rows, hints=hint)
        return
    space_probe = site_probe.space_probe_of(scope.segment)
    space = space_probe.space
    hints: dict[str, JsonValue] = {
        "zone": site_probe.zone_name,
        "space": space_hint(space),
        "now_ms": site_probe.now_ms,
    }
    lower = gap.lower
    most = site_probe.slice_items(spec)
    if scope.segment.endswith(TREE_SUFFIX) or scope.scope_id == UNINDEXED:
        try:
            tree = space_probe.tree if scope.scope_id != UNINDEXED else None
            is_unlisted = space_probe.fault is not None
        except SourceError:
            is_unlisted = True
        if is_unlisted:  # the other spaces are read; the reader of this slice lists the tree again
            yield sized_piece(spec, gap, 0, hints | {UNLISTED: True})
            return
        if tree is not None:
            lists = page_tree.cut_by_buckets(tree, scope.target.lower, gap, min(most, MOST_IDS))
        else:
            lists = cut_list(space_probe.unindexed, gap, min(most, MOST_IDS))
        for upper, names in lists:
            interval = Interval(lower=lower, upper=upper)
            yield sized_piece(spec, interval, len(names), hints | {"ids": " ".join(names)})
            lower = upper
        return
    if space_probe.fault is not None:
        yield sized_piece(spec, gap, 0, hints | {"fault": True})
        return
    for upper, items in cut_by_counts(site_probe, space, scope, gap, most):
        yield sized_piece(spec, Interval(lower=lower, upper=upper), items, hints | {"items": items})
        lower = upper


def space_hint(space: Space) -> JsonValue:
    """What a reader needs of the space, so that it need not request it."""
    return [space.id, space.key, space.name, space.type, space.status]


def cut_list(names: tuple[str, ...], gap: Interval, most: int) -> Iterator[tuple[Position | None, list[str]]]:
    """Positions are indexes into the list."""
    low = int(gap.lower[0]) if gap.lower else 0
    high = int(gap.upper[0]) if gap.upper else len(names)
    while high - low > most:
        yield (low + most,), list(names[low : low + most])
        low += most
    yield gap.upper, list(names[low:high])


def cut_by_counts(
    site_probe: SiteProbe, space: Space, scope: Scope, gap: Interval, most: int
) -> Iterator[tuple[Position | None, int]]:
    """Ends windows only at unambiguous minutes of the instance's clock.

    A space whose counts fail is one slice; its reader reports where that must be cut.
    """

    def find_edge(interval: Interval, *, last: bool) -> int | None:
        return find_edge_ms(site_probe.api.client, site_probe.where(space.key, interval), site_probe.axis, last=last)

    cutter = WindowCutter(
        client=site_probe.api.client,
        count=lambda interval: site_probe.count(space.key, interval),
        first=lambda interval: find_edge(interval, last=False),
        last=lambda interval: find_edge(interval, last=True),
        most=most,
        has_ends=scope.effect is Effect.LOAD,
    )
    pending, lower = 0, gap.lower
    try:
        for upper, items in cutter.windows(gap):
            pending += items
            if upper is None or upper == gap.upper:
                break
            position = (unambiguous_minute(int(upper[0]), site_probe.zone),)
            if lower is None or position[0] > int(lower[0]):
                yield position, pending
                pending, lower = 0, position
    except SourceError:
        pending = scope.estimated_rows or 0
    yield gap.upper, pending
