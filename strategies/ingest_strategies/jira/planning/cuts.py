"""Cuts one gap into slices that hold at most one slice's worth of issues.

Along `updated` and `created` the gap is cut by counts, along `id` into lists of ids. In a FULL run each slice names its ids.
"""

from collections.abc import Iterator
from itertools import pairwise

from pydantic import JsonValue

from ingest_ray.sdk.types import Effect, Interval, Piece, Position, Scope, UnitSpec
from ingest_strategies.atlassian.estimates import sized_piece
from ingest_strategies.atlassian.id_lists import encode_ids
from ingest_strategies.atlassian.windows import WindowCutter
from ingest_strategies.jira.api.jql import BY_CREATED, BY_ID, updated_from_conditions, window
from ingest_strategies.jira.filters import filter_of
from ingest_strategies.jira.planning.probe import SiteProbe

MOST_LISTED = 400  # ids of one slice: a slice is a small document
MOST_LIST_SIGNS = 16_000  # of ids that share one minute; a longer list is left to the reader


def cut_gap(site_probe: SiteProbe, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[Piece]:
    if scope.axis.kind == "whole" or scope.axis.columns == ("deleted_at",):
        yield Piece(interval=gap, estimated_rows=scope.estimated_rows)
        return
    axis = scope.axis.columns[0]
    if axis == BY_ID:
        yield from cut_by_ids(site_probe, spec, scope, gap)
        return
    lower = gap.lower
    for upper, issues in cut_by_counts(site_probe, spec, scope, gap):
        interval = Interval(lower=lower, upper=upper)
        hints: dict[str, JsonValue] = {"issues": issues}
        if axis == BY_CREATED:
            hints |= list_window_ids(site_probe, spec, scope, interval)
        yield sized_piece(spec, interval, issues, hints)
        lower = upper


def cut_by_ids(site_probe: SiteProbe, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[Piece]:
    low = int(gap.lower[0]) if gap.lower else -1
    high = int(gap.upper[0]) if gap.upper else 1 << 62
    ids = [number for number in site_probe.id_lists.ids_of(scope.segment) if low <= number < high]
    most = min(site_probe.slice_issues(spec), MOST_LISTED)
    bounds = [gap.lower, *((number,) for number in ids[most::most]), gap.upper]
    for index, (lower, upper) in enumerate(pairwise(bounds)):
        part = ids[index * most : (index + 1) * most]
        yield sized_piece(spec, Interval(lower=lower, upper=upper), len(part), {"ids": encode_ids(part)})


def list_window_ids(site_probe: SiteProbe, spec: UnitSpec, scope: Scope, interval: Interval) -> dict[str, JsonValue]:
    conditions = [*site_probe.conditions, *updated_from_conditions(filter_of(spec))]
    where = window(scope.segment, BY_CREATED, interval, conditions)
    text = encode_ids(site_probe.id_lists.claim(scope.segment, site_probe.api.list_ids(where)))
    return {"ids": text} if len(text) <= MOST_LIST_SIGNS else {}


def cut_by_counts(
    site_probe: SiteProbe, spec: UnitSpec, scope: Scope, gap: Interval
) -> Iterator[tuple[Position | None, int]]:
    api, axis = site_probe.api, scope.axis.columns[0]
    conditions = [*site_probe.conditions, *(updated_from_conditions(filter_of(spec)) if axis == BY_CREATED else ())]

    def where(interval: Interval) -> str:
        return window(scope.segment, axis, interval, conditions)

    most = site_probe.slice_issues(spec)
    if axis == BY_CREATED:
        most = min(most, MOST_LISTED)
    cutter = WindowCutter(
        client=api.client,
        count=lambda interval: api.count(where(interval)),
        first=lambda interval: api.find_edge(where(interval), axis),
        last=lambda interval: api.find_edge(where(interval), axis, last=True),
        most=most,
        has_ends=scope.effect is Effect.LOAD,
    )
    return cutter.windows(gap)
