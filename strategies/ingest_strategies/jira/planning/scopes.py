"""What has to be read now, given what is committed. Pure: the look has already asked Jira everything."""

from collections.abc import Iterator, Mapping

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Interval, Scope, SegmentState
from ingest_strategies.atlassian import segment_progress
from ingest_strategies.atlassian.segment_progress import SegmentLook, next_lower, since
from ingest_strategies.jira.api.jql import BY_ID
from ingest_strategies.jira.planning.probe import CURSOR, DELETED, Look
from ingest_strategies.jira.tables import WORKLOGS

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
        yield from full(project) if look.is_full else since(look.course, project)
    if look.spec.dataset.name == WORKLOGS.name and not look.is_full:
        yield deleted(look, known.get(DELETED, SegmentState(segment=DELETED)))


def full(project: SegmentLook) -> Iterator[Scope]:
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


def between(look: Look, lower: str | None, upper: str | None) -> Iterator[Scope]:
    name = look.spec.unit_id
    if not look.has_issues:
        raise ConfigError(f"{name} has no time of change to choose an interval of")
    yield from segment_progress.between(name, CURSOR, [project.key for project in look.projects], lower, upper)


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
