"""Cuts one gap into windows that hold at most a slice's worth of issues.

`updated`: counted windows.
`id`: every so many numbers of the list that Jira gives in order.
"""

from collections.abc import Iterator

from ingest_ray.sdk.types import Effect, Interval, Piece, Position, Scope, UnitSpec
from ingest_strategies.atlassian.segment_progress import minute
from ingest_strategies.atlassian.windows import Counted
from ingest_strategies.jira.api.jql import BY_UPDATED, window
from ingest_strategies.jira.filters import filter_of
from ingest_strategies.jira.planning.probe import CURSOR, Look, row_bytes, slice_issues
from ingest_strategies.jira.planning.scopes import KEY


def pieces(look: Look, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[Piece]:
    match scope.axis:
        case axis if axis == KEY:
            cuts = by_numbers(look, spec, scope, gap)
        case axis if axis == CURSOR:
            cuts = by_counts(look, spec, scope, gap)
        case _:
            yield Piece(interval=gap, estimated_rows=scope.estimated_rows)
            return
    lower = gap.lower
    for upper, issues in cuts:
        yield piece(spec, Interval(lower=lower, upper=upper), issues)
        lower = upper


def piece(spec: UnitSpec, interval: Interval, issues: int) -> Piece:
    return Piece(
        interval=interval,
        estimated_rows=issues,
        estimated_bytes=int(issues * row_bytes(spec)),
        hints={"issues": issues},
    )


def by_numbers(look: Look, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[tuple[Position | None, int]]:
    most = slice_issues(spec, look)
    held: list[int] = []
    conditions = [*look.conditions, *started_from(spec)]
    for page in look.api.ids(window(scope.segment, "id", gap, conditions)):
        held += page
        while len(held) > most:
            yield (held[most],), most
            held = held[most:]
    yield gap.upper, len(held)


def started_from(spec: UnitSpec) -> list[str]:
    start = filter_of(spec).updated_from_ms
    return [f"{BY_UPDATED} >= {minute(start)}"] if start is not None else []


def by_counts(look: Look, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[tuple[Position | None, int]]:
    def where(interval: Interval) -> str:
        return window(scope.segment, BY_UPDATED, interval, look.conditions)

    counted = Counted(
        web=look.api.web,
        count=lambda interval: look.api.count(where(interval)),
        first=lambda interval: look.api.edge(where(interval), BY_UPDATED),
        last=lambda interval: look.api.edge(where(interval), BY_UPDATED, last=True),
        most=slice_issues(spec, look),
        has_ends=scope.effect is Effect.LOAD,
    )
    return counted.windows(gap)
