"""Lists runs page by page, the newest first, and shows one run with its progress."""

from collections.abc import Collection

import sqlalchemy as sa

from ingest_ray.catalog import comparisons, run_channel, run_records, unit_configs
from ingest_ray.sdk.errors import ConfigError, UnitNotFound
from ingest_ray.sdk.types import Model, RunState, RunSummary
from ingest_ray.service.access.roles import LOCAL, Principal
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.run_liveness import INTERRUPTED, is_run_alive
from ingest_ray.service.runs.run_observer import ProgressReport
from ingest_ray.service.units.rules import is_match, is_pattern
from ingest_ray.service.units.selection import similar_units

MOST_RUNS = 500
MOST_LIVE = 100


class RunPage(Model):
    runs: tuple[RunSummary, ...] = ()
    has_next: bool = False


class RunView(Model):
    """`progress`: the last report of the run; None: there is none yet."""

    summary: RunSummary
    progress: ProgressReport | None = None
    is_stop_requested: bool = False


def list_runs(
    installation: Installation,
    *,
    endpoint_id: str | None = None,
    within: Collection[str] | None = None,
    unit_id: str | None = None,
    state: RunState | None = None,
    after: str | None = None,
    first: int = 50,
) -> RunPage:
    """The page that follows the run `after`. `within`: of these endpoints only. `unit_id`: an id or a pattern.

    Raises:
        UnitNotFound: a pattern that no unit of the endpoint matches.
    """
    limit = max(1, min(first, MOST_RUNS))
    with installation.catalog.read() as connection:
        unit_ids = None if unit_id is None else _units_of(connection, endpoint_id, unit_id)
        records = run_records.page(
            connection,
            endpoint_id=endpoint_id,
            within=within,
            unit_ids=unit_ids,
            state=state,
            before=after,
            limit=limit + 1,
        )
        shown = [
            record.summary
            if record.summary.state is not RunState.RUNNING or is_run_alive(connection, installation, record)
            else _interrupted(record.summary)
            for record in records[:limit]
        ]
    return RunPage(runs=tuple(shown), has_next=len(records) > limit)


def _units_of(connection: sa.Connection, endpoint_id: str | None, name: str) -> list[str]:
    if endpoint_id is None or not is_pattern(name):
        return [name]
    configured = [item.config.unit_id for item in unit_configs.listed(connection, endpoint_id)]
    known = sorted({*configured, *run_records.units_of(connection, endpoint_id)})
    if name in known:
        return [name]
    if not (found := [each for each in known if is_match(name, each)]):
        raise UnitNotFound(
            f"no unit of endpoint '{endpoint_id}' matches '{name}'", hint=similar_units(name, known, endpoint_id)
        )
    return found


def view_run(installation: Installation, run_id: str, principal: Principal = LOCAL) -> RunView:
    """Raises `ConfigError` for an id that no run of an endpoint of the principal has."""
    with installation.catalog.read() as connection:
        record, line = run_records.find(connection, run_id), run_channel.find(connection, run_id)
        if record is None or not principal.is_for(record.summary.endpoint_id):
            raise ConfigError(f"there is no run '{run_id}'")
        summary = record.summary
        if summary.state is RunState.RUNNING and not is_run_alive(connection, installation, record):
            summary = _interrupted(summary)
    progress = ProgressReport.model_validate_json(line.progress) if line is not None and line.progress else None
    return RunView(
        summary=summary, progress=progress, is_stop_requested=line is not None and line.stop_requested_at is not None
    )


def list_live_runs(installation: Installation, within: Collection[str] | None = None) -> list[RunView]:
    """Runs and comparisons that go on now, the oldest first, with their progress. `within`: of these endpoints only."""
    with installation.catalog.read() as connection:
        records = (*run_records.running(connection), *comparisons.running(connection))
        wanted = [record for record in records if within is None or record.summary.endpoint_id in within]
        live = [record for record in wanted if is_run_alive(connection, installation, record)][:MOST_LIVE]
        lines = {record.summary.run_id: run_channel.find(connection, record.summary.run_id) for record in live}
    return [
        RunView(
            summary=record.summary,
            progress=ProgressReport.model_validate_json(line.progress) if line is not None and line.progress else None,
            is_stop_requested=line is not None and line.stop_requested_at is not None,
        )
        for record in live
        for line in [lines[record.summary.run_id]]
    ]


def find_run(installation: Installation, run_id: str) -> RunSummary | None:
    """The run as its record has it, whether its process lives or not."""
    with installation.catalog.read() as connection:
        record = run_records.find(connection, run_id)
    return record.summary if record is not None else None


def _interrupted(summary: RunSummary) -> RunSummary:
    return summary.model_copy(update={"state": RunState.FAILED, "error": INTERRUPTED})
