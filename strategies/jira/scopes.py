"""What has to be read now, given what is committed. Pure: the look has already asked Jira everything.

First run of a project: everything up to the horizon is one advance, from `updatedFrom` or the beginning, so there is no
separate load. Then: what is unfinished, the next advance, the look-back below it, and what lies above the horizon.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from ingest_ray.errors import ConfigError
from ingest_ray.models import Axis, Effect, Interval, Scope, SegmentState
from strategies.jira.jql import BY_ID, BY_UPDATED
from strategies.jira.look import DELETED, Look, ProjectLook, minute, next_lower
from strategies.jira.tables import WORKLOGS

CURSOR = Axis(kind="cursor", columns=(BY_UPDATED,))
KEY = Axis(kind="key", columns=(BY_ID,))
WHOLE = Axis(kind="whole")
FEED = Axis(kind="cursor", columns=("deleted_at",))
ALL = "all"
"""The segment of projects and of users."""


def planned(look: Look, known: Mapping[str, SegmentState]) -> Iterator[Scope]:
    if not look.has_issues:
        yield Scope(scope_id="load", segment=ALL, axis=WHOLE, effect=Effect.LOAD, is_resumable=False)
        return
    for project in look.projects:
        yield from full(project) if look.is_full else since(look, project)
    if look.spec.dataset.name == WORKLOGS.name and not look.is_full:
        yield deleted(look, known.get(DELETED, SegmentState(segment=DELETED)))


def full(project: ProjectLook) -> Iterator[Scope]:
    """Along the issues' numbers: an issue that is changed meanwhile keeps its place."""
    if project.total:
        yield Scope(
            scope_id="load",
            segment=project.key,
            axis=KEY,
            effect=Effect.LOAD,
            is_resumable=False,
            estimated_rows=project.total,
        )


def since(look: Look, project: ProjectLook) -> Iterator[Scope]:
    owed = project.state.scopes
    yield from (scope for scope in owed if scope.effect is Effect.ADVANCE)
    lower = (project.lower_ms,) if project.lower_ms is not None else None
    if project.total and project.lower_ms != look.horizon_ms and is_below(project.lower_ms, look.horizon_ms):
        # Even where nothing is new: the watermark moves on, and the look-back of the next runs with it.
        yield Scope(
            scope_id=f"since-{'start' if lower is None else lower[0]}",
            segment=project.key,
            axis=CURSOR,
            target=Interval(lower=lower, upper=(look.horizon_ms,)),
            effect=Effect.ADVANCE,
            horizon=(look.horizon_ms,),
            estimated_rows=project.new,
        )
    yield from again(look, project)
    if project.ahead:
        yield Scope(
            scope_id="ahead",
            segment=project.key,
            axis=CURSOR,
            target=Interval(lower=(look.horizon_ms,)),
            effect=Effect.AHEAD,
            estimated_rows=project.ahead,
        )


def between(look: Look, lower: str | None, upper: str | None) -> Iterator[Scope]:
    """A person's own interval: read again, and nothing is remembered. Its ends are widened to whole minutes."""
    name = look.spec.unit_id
    if not look.has_issues:
        raise ConfigError(f"{name} has no time of change to choose an interval of")
    low, high = moment_ms(name, lower), moment_ms(name, upper)
    ends = (minute(low),) if low is not None else None, (-minute(-high),) if high is not None else None
    for project in look.projects:
        yield Scope(
            scope_id="between",
            segment=project.key,
            axis=CURSOR,
            target=Interval(lower=ends[0], upper=ends[1]),
            effect=Effect.AHEAD,
        )


def moment_ms(name: str, text: str | None) -> int | None:
    """ISO 8601, in UTC where it names no zone, or epoch milliseconds."""
    if text is None:
        return None
    if text.lstrip("-").isdecimal():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{name}: '{text}' is no time", hint="such as 2026-03-01T00:00:00Z") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def is_below(lower_ms: int | None, upper_ms: int) -> bool:
    return lower_ms is None or lower_ms < upper_ms


def again(look: Look, project: ProjectLook) -> Iterator[Scope]:
    """Look-backs that are owed, but for those inside of the new one; then the new one."""
    lower_ms = next_lower(project.state)
    new: Interval | None = None
    if project.again and lower_ms is not None:
        new = Interval(lower=(lower_ms - look.lookback_ms,), upper=(lower_ms,))
    for scope in project.state.scopes:
        if scope.effect is Effect.REPEAT and (new is None or not is_inside(scope.target, new)):
            yield scope
    if new is not None and new.lower is not None and new.upper is not None:
        yield Scope(
            scope_id=f"again-{new.lower[0]}-{new.upper[0]}",
            segment=project.key,
            axis=CURSOR,
            target=new,
            effect=Effect.REPEAT,
            estimated_rows=project.again,
        )


def is_inside(small: Interval, large: Interval) -> bool:
    """Whole numbers; both ends are given."""
    bounds = (small.lower, large.lower, small.upper, large.upper)
    if any(bound is None for bound in bounds):
        return False
    low, large_low, high, large_high = (int(bound[0]) for bound in bounds if bound is not None)
    return large_low <= low and high <= large_high


def deleted(look: Look, state: SegmentState) -> Scope:
    """The feed of deleted worklogs, of the whole site. It begins a look-back before the first run: what was deleted
    earlier was never read."""
    lower = next_lower(state)
    for scope in state.scopes:
        return scope
    start = look.horizon_ms - look.lookback_ms if lower is None else lower
    return Scope(
        scope_id=f"since-{start}",
        segment=DELETED,
        axis=FEED,
        target=Interval(lower=(start,), upper=(max(start, look.horizon_ms),)),
        effect=Effect.ADVANCE,
        horizon=(look.horizon_ms,),
        estimated_rows=0,
    )
