"""One cheap look at a site before a run: who we are, what time it is there, which projects have anything to read.

Projects that have not changed are told by one count for many of them; of the others, and of new ones, each is counted.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import JsonValue

from ingest_ray.http.errors import BadRequest
from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Axis, Horizon, Interval, RunMode, SegmentState, UnitSpec
from ingest_strategies.atlassian.segment_progress import Course, SegmentLook, Window, counted, minute, next_lower, quiet
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.deployment import known as opened
from ingest_strategies.jira.api.jql import BY_ID, BY_UPDATED, any_of, kept, window
from ingest_strategies.jira.api.responses import decoder
from ingest_strategies.jira.discovery import custom_fields
from ingest_strategies.jira.filters import JiraFilter, filter_of
from ingest_strategies.jira.reading.value_types import Project, schema_text
from ingest_strategies.jira.tables import ISSUES, TABLES

MARGIN_S = 60  # an edit may be written a little after the time that it bears
LOOKBACK_S = 30 * 60  # the index was seen to lag 25 minutes
ISSUE_BYTES = 10_000  # with its comments, before anything was learned
COUNTED_TOGETHER = 50  # projects: some 4 KB of JQL, sent as a body
CURSOR = Axis(kind="cursor", columns=(BY_UPDATED,))
DELETED = "deleted worklogs"
"""A segment that is no project: project keys are upper case, without blanks."""
_project = decoder(Project)


@dataclass(frozen=True)
class Look:
    api: Api
    spec: UnitSpec
    conditions: Sequence[str]
    horizon_ms: int
    lookback_ms: int
    projects: Sequence[SegmentLook]
    is_full: bool

    @property
    def has_issues(self) -> bool:
        return TABLES[self.spec.dataset.name].cursor is not None

    @property
    def axis(self) -> str:
        return BY_ID if self.is_full else BY_UPDATED

    @property
    def course(self) -> Course:
        return Course(CURSOR, self.horizon_ms, self.lookback_ms)

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.projects)


def row_bytes(spec: UnitSpec) -> float:
    return max(1.0, spec.learned.bytes_per_row or ISSUE_BYTES)


@contextmanager
def probed(spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
    with opened(spec.endpoint, spec.dataset) as api:
        account = api.web.myself()
        now_ms = api.web.now_ms()
        check_fields(api, spec)
        is_full = spec.config.run_mode is RunMode.FULL
        lag_s = MARGIN_S if spec.policy.lag is None else spec.policy.lag
        chosen = filter_of(spec)
        look = Look(
            api=api,
            spec=spec,
            conditions=kept(api.web.config, chosen),
            horizon_ms=minute(now_ms - 1000 * lag_s),
            lookback_ms=1000 * (spec.policy.lookback or LOOKBACK_S),
            projects=(),
            is_full=is_full,
        )
        if look.has_issues:
            keys = project_keys(api, chosen)
            resting = quiet_projects(look, {key: known[key] for key in keys if key in known})
            found = api.web.spread(lambda key: looked_at(look, key, known.get(key), chosen, resting), iter(keys))
            look = Look(**{**vars(look), "projects": tuple(found)})
        rows = look.rows if look.has_issues else spec.dataset.estimated_rows
        facts: dict[str, JsonValue] = {
            "account": account.id,
            "deployment": api.deployment,
            "projects": len(look.projects),
            "projects_changed": sum(bool(one.rows) for one in look.projects),
            "lookback_s": look.lookback_ms // 1000,
            "issues_per_slice": slice_issues(spec, look),
        }
        yield Probe(
            strategy=f"jira.{api.deployment.lower()}",
            rows=rows,
            bytes=int(rows * row_bytes(spec)) if rows is not None else None,
            horizon=None
            if is_full
            else Horizon(value=(look.horizon_ms,), method="server clock", note=f"less {lag_s} s, at a whole minute"),
            facts=facts,
            live=look,
        )


def slice_issues(spec: UnitSpec, look: Look) -> int:
    return max(1, min(look.api.web.config.slice_issues, int(spec.policy.target_slice_bytes / row_bytes(spec))))


def check_fields(api: Api, spec: UnitSpec) -> None:
    """Custom fields must still be what the catalog says. A new name is fine; a new type or a lost field is not.

    Raises:
        SourceChanged: names the fields.
    """
    if spec.dataset.name != ISSUES.name:
        return
    before = spec.dataset.facts.get("types")
    now = {field.id: schema_text(field) for field in custom_fields(api.web.fields())}
    wanted = spec.policy.columns
    changed = [
        f"'{name}' was {old}, is {now.get(name, 'gone')}"
        for name, old in (before if isinstance(before, dict) else {}).items()
        if now.get(name) != old and (not wanted or name in wanted)
    ]
    if changed:
        raise SourceChanged(f"{spec.unit_id}: fields changed: {'; '.join(changed)}", hint="collect metadata again")


def project_keys(api: Api, chosen: JiraFilter) -> list[str]:
    """Projects that exist, that the endpoint reads, and that the unit's filter keeps."""
    config = api.web.config
    keys = [_project(body).key for body in api.projects()]
    return [
        key
        for key in keys
        if (not config.project_keys or key in config.project_keys)
        and (not chosen.projectKeys or key in chosen.projectKeys)
    ]


def quiet_projects(look: Look, known: Mapping[str, SegmentState]) -> set[str]:
    def count(windows: Sequence[Window]) -> int:
        return look.api.count(any_of([window(key, BY_UPDATED, part, look.conditions) for key, part in windows]))

    try:
        return set() if look.is_full else quiet(known, look.course, COUNTED_TOGETHER, count)
    except BadRequest:  # one of them may be the reason: each is asked for by itself
        return set()


def looked_at(
    look: Look, key: str, state: SegmentState | None, chosen: JiraFilter, resting: Collection[str]
) -> SegmentLook:
    found = state or SegmentState(segment=key)
    if key in resting:
        return SegmentLook(key, found, next_lower(found))

    def count(interval: Interval) -> int:
        return look.api.count(window(key, BY_UPDATED, interval, look.conditions))

    start_ms = minute(chosen.updated_from_ms) if chosen.updated_from_ms is not None else None
    if look.is_full:
        total = count(Interval(lower=(start_ms,) if start_ms is not None else None))
        return SegmentLook(key, found, total=total, new=total)
    return counted(key, found, look.course, start_ms, count)
