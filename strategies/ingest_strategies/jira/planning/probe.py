"""Probes a site before a run: the account, the server's clock, and which projects have anything to read.

One count covers many projects that have not changed; each changed or new project is counted by itself.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from pydantic import JsonValue

from ingest_ray.http.errors import BadRequest, BrokenAnswer
from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Axis, Dataset, Horizon, Interval, RunMode, SegmentState, UnitSpec
from ingest_strategies.atlassian.estimates import lag_s, lookback_ms, row_bytes, slice_rows
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.query_text import any_of
from ingest_strategies.atlassian.segment_progress import (
    RunBounds,
    SegmentCounts,
    SegmentWindow,
    count_segment,
    find_unchanged,
    next_lower_ms,
    whole_minute,
)
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.deployment import open_api
from ingest_strategies.jira.api.jql import BY_UPDATED, filter_conditions, updated_from_conditions, window
from ingest_strategies.jira.discovery import custom_fields
from ingest_strategies.jira.filters import JiraFilter, filter_of
from ingest_strategies.jira.issue_tables import REQUESTS
from ingest_strategies.jira.planning.id_lists import IdLists
from ingest_strategies.jira.reading.site_lists import list_segments
from ingest_strategies.jira.reading.value_types import Project, schema_text
from ingest_strategies.jira.tables import CHANGELOGS, COMMENTS, ISSUES, TABLES, WORKLOGS, reads_issues

COUNTED_TOGETHER = 50  # projects: some 4 KB of JQL, sent as a body
CURSOR = Axis(kind="cursor", columns=(BY_UPDATED,))
SERVICE_PROJECT = "service_desk"
READ_TOGETHER = frozenset({ISSUES.name, COMMENTS.name, WORKLOGS.name, CHANGELOGS.name})
DELETED_WORKLOGS = "deleted worklogs"
"""A segment that is no project: project keys are upper case, without blanks."""
_project = decoder(Project)


@dataclass(frozen=True)
class SiteProbe:
    api: Api
    spec: UnitSpec
    conditions: Sequence[str]
    horizon_ms: int
    lookback_ms: int
    projects: Sequence[SegmentCounts]
    is_full: bool
    segments: Sequence[str] = ()
    """Of a list, which is read whole."""

    @property
    def has_issues(self) -> bool:
        return reads_issues(self.spec.dataset.name)

    @property
    def kind(self) -> str | None:
        """The type of project to which the rows are confined."""
        return SERVICE_PROJECT if self.spec.dataset.name == REQUESTS.name else None

    @property
    def bounds(self) -> RunBounds:
        return RunBounds(CURSOR, self.horizon_ms, self.lookback_ms)

    @cached_property
    def id_lists(self) -> IdLists:
        conditions = [*self.conditions, *updated_from_conditions(filter_of(self.spec))]
        counts = {project.key: project.total for project in self.projects}
        return IdLists(self.api, conditions, counts, since_ms=self.horizon_ms)

    @property
    def rows(self) -> int:
        return sum(project.rows for project in self.projects)

    def slice_issues(self, spec: UnitSpec) -> int:
        """How many issues a slice holds at most. `spec` is the current one: the engine learns bytes per row during the run."""
        is_read_together = spec.dataset.name in READ_TOGETHER
        return slice_rows(spec, self.api.client.config.slice_issues, is_read_together=is_read_together)


@contextmanager
def open_probe(spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
    with open_api(spec.endpoint, spec.dataset) as api:
        account = api.client.read_account()
        now_ms = api.client.read_clock_ms()
        check_fields(api, spec)
        unit_filter = filter_of(spec)
        site_probe = SiteProbe(
            api=api,
            spec=spec,
            conditions=filter_conditions(api.client.config, unit_filter),
            horizon_ms=whole_minute(now_ms - 1000 * lag_s(spec)),
            lookback_ms=lookback_ms(spec),
            projects=(),
            is_full=spec.config.run_mode is RunMode.FULL,
        )
        if site_probe.has_issues:
            site_probe = replace(site_probe, projects=probe_projects(site_probe, unit_filter, known))
        else:
            site_probe = replace(site_probe, segments=segments_of(api, spec))
        rows = site_probe.rows if site_probe.has_issues else spec.dataset.estimated_rows
        facts: dict[str, JsonValue] = {
            "account": account.id,
            "deployment": api.deployment,
            "projects": len(site_probe.projects),
            "projects_changed": sum(bool(project.rows) for project in site_probe.projects),
            "lookback_s": site_probe.lookback_ms // 1000,
            "issues_per_slice": site_probe.slice_issues(spec),
        }
        horizon = Horizon(
            value=(site_probe.horizon_ms,), method="server clock", note=f"less {lag_s(spec)} s, at a whole minute"
        )
        yield Probe(
            strategy=f"jira.{api.deployment.lower()}",
            rows=rows,
            bytes=int(rows * row_bytes(spec)) if rows is not None else None,
            horizon=None if site_probe.is_full else horizon,
            facts=facts,
            live=site_probe,
        )


def check_fields(api: Api, spec: UnitSpec) -> None:
    """Compares custom fields with the catalog. A new name is fine; a new type or a lost field is not.

    Raises:
        SourceChanged: names the fields.
    """
    if spec.dataset.name != ISSUES.name:
        return
    recorded = spec.dataset.facts.get("types")
    current = {field.id: schema_text(field) for field in custom_fields(api.client.list_fields())}
    columns = spec.policy.columns
    changed = [
        f"'{name}' was {old}, is {current.get(name, 'gone')}"
        for name, old in (recorded if isinstance(recorded, dict) else {}).items()
        if current.get(name) != old and (not columns or name in columns)
    ]
    if changed:
        raise SourceChanged(f"{spec.unit_id}: fields changed: {'; '.join(changed)}", hint="collect metadata again")


def select_project_keys(api: Api, unit_filter: JiraFilter, kind: str | None = None) -> list[str]:
    """The site's projects that the endpoint and the unit's filter select; `kind`: those of one type only.

    Raises `BrokenAnswer` for one without a key: its issues cannot be found, and must not be taken for none.
    """
    config = api.client.config
    keys: list[str] = []
    for body in api.list_projects():
        project = attempted(_project, body)
        if project is None or not project.key:
            raise BrokenAnswer(f"a project without a key: {bytes(body)[:80].decode(errors='replace')}")
        if kind is None or project.projectTypeKey in (kind, None):
            keys.append(project.key)
    return [
        key
        for key in keys
        if (not config.project_keys or key in config.project_keys)
        and (not unit_filter.projectKeys or key in unit_filter.projectKeys)
    ]


def segments_of(api: Api, spec: UnitSpec) -> list[str]:
    """Of a list: all of it, or one segment for each project, board or field."""
    return preview_segments(api, spec.dataset, filter_of(spec))


def preview_segments(api: Api, dataset: Dataset, unit_filter: JiraFilter | None = None) -> list[str]:
    fields = dataset.facts.get("fields")
    return list_segments(
        api,
        TABLES[dataset.name].reads,
        lambda: select_project_keys(api, unit_filter or JiraFilter()),
        [str(field) for field in fields] if isinstance(fields, list) else [],
    )


def probe_projects(
    site_probe: SiteProbe, unit_filter: JiraFilter, known: Mapping[str, SegmentState]
) -> tuple[SegmentCounts, ...]:
    keys = select_project_keys(site_probe.api, unit_filter, site_probe.kind)
    unchanged = find_unchanged_projects(site_probe, {key: known[key] for key in keys if key in known})

    def probe(key: str) -> SegmentCounts:
        return probe_project(site_probe, key, known.get(key), unit_filter, unchanged)

    return tuple(site_probe.api.client.map_concurrently(probe, iter(keys)))


def find_unchanged_projects(site_probe: SiteProbe, known: Mapping[str, SegmentState]) -> set[str]:
    def count(windows: Sequence[SegmentWindow]) -> int:
        conditions = [window(key, BY_UPDATED, part, site_probe.conditions) for key, part in windows]
        return site_probe.api.count(any_of(conditions))

    try:
        return set() if site_probe.is_full else find_unchanged(known, site_probe.bounds, COUNTED_TOGETHER, count)
    except BadRequest:  # one project may be the reason: each is then counted by itself
        return set()


def probe_project(
    site_probe: SiteProbe,
    key: str,
    state: SegmentState | None,
    unit_filter: JiraFilter,
    unchanged: Collection[str],
) -> SegmentCounts:
    state = state or SegmentState(segment=key)
    if key in unchanged:
        return SegmentCounts(key, state, next_lower_ms(state))

    def count(interval: Interval) -> int:
        return site_probe.api.count(window(key, BY_UPDATED, interval, site_probe.conditions))

    updated_from_ms = unit_filter.updated_from_ms
    start_ms = whole_minute(updated_from_ms) if updated_from_ms is not None else None
    if site_probe.is_full:
        total = count(Interval(lower=(start_ms,) if start_ms is not None else None))
        return SegmentCounts(key, state, total=total, new=total)
    return count_segment(key, state, site_probe.bounds, start_ms, count)
