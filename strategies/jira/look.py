"""One cheap look at a site before a run: who we are, what time it is there, which projects have anything to read.

A project that has not changed costs one count.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import JsonValue

from ingest_ray.contracts import Probe
from ingest_ray.errors import SourceChanged
from ingest_ray.models import Effect, Horizon, Interval, RunMode, SegmentState, UnitSpec
from strategies.jira.api import Api
from strategies.jira.datasets import custom_fields
from strategies.jira.filters import JiraFilter, filter_of
from strategies.jira.jql import BY_ID, BY_UPDATED, kept, window
from strategies.jira.opened import known as opened
from strategies.jira.shapes import Project, schema_text
from strategies.jira.tables import ISSUES, TABLES
from strategies.jira.wire import decoder

MINUTE_MS = 60_000
MARGIN_S = 60  # an edit may be written a little after the time that it bears
LOOKBACK_S = 30 * 60  # the index was seen to lag 25 minutes
ISSUE_BYTES = 10_000  # with its comments, before anything was learned
DELETED = "deleted worklogs"
"""A segment that is no project: project keys are upper case, without blanks."""
_project = decoder(Project)


@dataclass(frozen=True)
class ProjectLook:
    """What search says about one project. Counts are approximate on Cloud; they decide where to cut, not what is read."""

    key: str
    state: SegmentState
    lower_ms: int | None = None
    """Where the next advance begins."""
    total: int = 0
    new: int = 0
    again: int = 0
    ahead: int = 0


@dataclass(frozen=True)
class Look:
    api: Api
    spec: UnitSpec
    conditions: Sequence[str]
    horizon_ms: int
    lookback_ms: int
    projects: Sequence[ProjectLook]
    is_full: bool

    @property
    def has_issues(self) -> bool:
        return TABLES[self.spec.dataset.name].cursor is not None

    @property
    def axis(self) -> str:
        return BY_ID if self.is_full else BY_UPDATED

    @property
    def rows(self) -> int:
        return sum(one.new + one.again + one.ahead for one in self.projects)


def minute(ms: int) -> int:
    """The minute that an instant is in: search may cut instants to that, so all boundaries are whole minutes."""
    return ms // MINUTE_MS * MINUTE_MS


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
            found = api.web.spread(lambda key: looked_at(look, key, known.get(key), chosen), iter(keys))
            look = Look(**{**vars(look), "projects": tuple(found)})
        rows = look.rows if look.has_issues else spec.dataset.estimated_rows
        facts: dict[str, JsonValue] = {
            "account": account.id,
            "deployment": api.deployment,
            "projects": len(look.projects),
            "projects_changed": sum(bool(one.new or one.again or one.ahead) for one in look.projects),
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


def looked_at(look: Look, key: str, state: SegmentState | None, chosen: JiraFilter) -> ProjectLook:
    found = state or SegmentState(segment=key)

    def count(interval: Interval) -> int:
        return look.api.count(window(key, BY_UPDATED, interval, look.conditions))

    start = (minute(chosen.updated_from_ms),) if chosen.updated_from_ms is not None else None
    if look.is_full:
        total = count(Interval(lower=start))
        return ProjectLook(key, found, total=total, new=total)
    lower = next_lower(found)
    horizon = (look.horizon_ms,)
    if lower is None:
        total = count(Interval(lower=start))
        if not total:
            return ProjectLook(key, found)
        ahead = count(Interval(lower=horizon))
        lower_ms = start[0] if start is not None else None
        return ProjectLook(key, found, lower_ms, total=total, new=total - min(total, ahead), ahead=ahead)
    window_start = (lower - look.lookback_ms,)
    total = count(Interval(lower=window_start))
    if not total:
        return ProjectLook(key, found, lower)
    again = count(Interval(lower=window_start, upper=(lower,)))
    ahead = count(Interval(lower=horizon)) if total > again else 0
    return ProjectLook(key, found, lower, total, max(0, total - again - ahead), again, ahead)


def next_lower(state: SegmentState) -> int | None:
    """The end of everything that was planned before."""
    advances = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
    position = advances[-1].target.upper if advances else state.watermark
    return int(position[0]) if position is not None else None
