"""Cuts one gap into windows that hold at most one slice's worth of issues.

Along `updated` the windows are cut by counts; along `id`, after every so many ids of Jira's ordered list.
"""

from collections.abc import Iterator

from ingest_ray.sdk.types import Effect, Interval, Piece, Position, Scope, UnitSpec
from ingest_strategies.atlassian.estimates import sized_piece
from ingest_strategies.atlassian.windows import WindowCutter
from ingest_strategies.jira.api.jql import BY_ID, BY_UPDATED, updated_from_conditions, window
from ingest_strategies.jira.filters import filter_of
from ingest_strategies.jira.planning.probe import CURSOR, SiteProbe
from ingest_strategies.jira.planning.scopes import KEY


def cut_gap(site_probe: SiteProbe, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[Piece]:
    match scope.axis:
        case axis if axis == KEY:
            windows = cut_by_ids(site_probe, spec, scope, gap)
        case axis if axis == CURSOR:
            windows = cut_by_counts(site_probe, spec, scope, gap)
        case _:
            yield Piece(interval=gap, estimated_rows=scope.estimated_rows)
            return
    lower = gap.lower
    for upper, issues in windows:
        yield sized_piece(spec, Interval(lower=lower, upper=upper), issues, {"issues": issues})
        lower = upper


def cut_by_ids(
    site_probe: SiteProbe, spec: UnitSpec, scope: Scope, gap: Interval
) -> Iterator[tuple[Position | None, int]]:
    most = site_probe.slice_issues(spec)
    pending: list[int] = []
    conditions = [*site_probe.conditions, *updated_from_conditions(filter_of(spec))]
    for page in site_probe.api.list_ids(window(scope.segment, BY_ID, gap, conditions)):
        pending += page
        while len(pending) > most:
            yield (pending[most],), most
            pending = pending[most:]
    yield gap.upper, len(pending)


def cut_by_counts(
    site_probe: SiteProbe, spec: UnitSpec, scope: Scope, gap: Interval
) -> Iterator[tuple[Position | None, int]]:
    api = site_probe.api

    def where(interval: Interval) -> str:
        return window(scope.segment, BY_UPDATED, interval, site_probe.conditions)

    cutter = WindowCutter(
        client=api.client,
        count=lambda interval: api.count(where(interval)),
        first=lambda interval: api.find_edge(where(interval), BY_UPDATED),
        last=lambda interval: api.find_edge(where(interval), BY_UPDATED, last=True),
        most=site_probe.slice_issues(spec),
        has_ends=scope.effect is Effect.LOAD,
    )
    return cutter.windows(gap)
