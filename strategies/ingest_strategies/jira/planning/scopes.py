"""Which scopes to read, given what is committed. Pure: the probe has made all requests."""

from collections.abc import Iterator, Mapping

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Interval, Scope, SegmentState
from ingest_strategies.atlassian.segment_progress import (
    incremental_scopes,
    interval_scopes,
    load_scopes,
    next_lower_ms,
)
from ingest_strategies.jira.api.jql import BY_CREATED, BY_ID
from ingest_strategies.jira.planning.probe import CURSOR, DELETED_WORKLOGS, SiteProbe
from ingest_strategies.jira.tables import WORKLOGS

ID_LISTS = Axis(kind="key", columns=(BY_ID,))
"""Of FULL runs on Cloud: lists of ids."""
CREATED = Axis(kind="key", columns=(BY_CREATED,))
"""Of FULL runs on Data Center: an issue that changes during the run stays at its time of creation."""
WHOLE = Axis(kind="whole")
DELETION_FEED = Axis(kind="cursor", columns=("deleted_at",))


def plan_scopes(site_probe: SiteProbe, known: Mapping[str, SegmentState]) -> Iterator[Scope]:
    if not site_probe.has_issues:
        for segment in site_probe.segments:
            yield Scope(scope_id="load", segment=segment, axis=WHOLE, effect=Effect.LOAD, is_resumable=False)
        return
    key = ID_LISTS if site_probe.api.lists_ids else CREATED
    for project in site_probe.projects:
        if site_probe.is_full:
            yield from load_scopes(project.key, key, project.total)
        else:
            yield from incremental_scopes(site_probe.bounds, project)
    if site_probe.spec.dataset.name == WORKLOGS.name and not site_probe.is_full:
        yield deletion_scope(site_probe, known.get(DELETED_WORKLOGS, SegmentState(segment=DELETED_WORKLOGS)))


def plan_interval(site_probe: SiteProbe, lower: str | None, upper: str | None) -> Iterator[Scope]:
    name = site_probe.spec.unit_id
    if not site_probe.has_issues:
        raise ConfigError(f"{name} has no time of change to choose an interval of")
    yield from interval_scopes(name, CURSOR, [project.key for project in site_probe.projects], lower, upper)


def deletion_scope(site_probe: SiteProbe, state: SegmentState) -> Scope:
    """The feed of deleted worklogs, of the whole site. It begins one look-back before the first run: worklogs that were deleted
    earlier were never read."""
    lower = next_lower_ms(state)
    for scope in state.scopes:
        return scope
    start = site_probe.horizon_ms - site_probe.lookback_ms if lower is None else lower
    return Scope(
        scope_id=f"since-{start}",
        segment=DELETED_WORKLOGS,
        axis=DELETION_FEED,
        target=Interval(lower=(start,), upper=(max(start, site_probe.horizon_ms),)),
        effect=Effect.ADVANCE,
        horizon=(site_probe.horizon_ms,),
        estimated_rows=0,
    )
