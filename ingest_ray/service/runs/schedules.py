"""Starts the units that are due, once per slot for any number of servers: the server that claims a slot starts the run."""

import logging
import time
from collections.abc import Collection, Mapping

from ingest_ray import logs
from ingest_ray.catalog import run_records, schedule_slots, unit_configs
from ingest_ray.catalog.schedule_slots import ScheduleRow
from ingest_ray.core.schedule import Decision, Schedule, ScheduleState, decide, jitter_of, next_due
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, UnitConfig
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching import launcher_for
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.service.runs.run_liveness import is_run_alive

log = logging.getLogger(__name__)

TICK_S = 5.0
REQUESTED_BY = "schedule"


class ScheduleView(Model):
    """`next_due_at`: seconds since 1970; None: not by interval, or held."""

    next_due_at: int | None = None
    is_held: bool = False
    held_by: str | None = None
    last_error: str | None = None


def start_due_runs(installation: Installation, now: float | None = None) -> list[str]:
    """Starts the units that are due now; returns the ids of the runs. A refusal of the gate is recorded; the unit waits for its next slot."""
    moment = int(time.time() if now is None else now)
    with installation.catalog.read() as connection:
        wanted = [item.config for item in unit_configs.by_interval(connection)]
        if not wanted:
            return []
        rows = schedule_slots.listed(connection)
        live = [record for record in run_records.running(connection) if is_run_alive(connection, installation, record)]
    running = {record.summary.ref for record in live}
    due = _claim_due_slots(installation, wanted, rows, running, moment)
    return [run_id for config in due if (run_id := _start(installation, config)) is not None]


def _claim_due_slots(
    installation: Installation,
    wanted: list[UnitConfig],
    rows: Mapping[UnitRef, ScheduleRow],
    running: Collection[UnitRef],
    moment: int,
) -> list[UnitConfig]:
    """Claims all slots that are due, in one transaction; returns the units whose runs this server must start."""
    moves: list[tuple[UnitConfig, int | None, Decision]] = []
    starting = 0
    for config in wanted:
        row = rows.get(config.ref) or ScheduleRow(endpoint_id=config.endpoint_id, unit_id=config.unit_id)
        known = ScheduleState(
            last_due=row.last_due,
            is_running=config.ref in running,
            is_held=row.held_at is not None,
            is_full=len(running) + starting >= installation.settings.serve.schedules.max_runs,
        )
        decision = decide(schedule_of(installation, config), known, moment)
        if decision.last_due is not None and decision.last_due != row.last_due:
            moves.append((config, row.last_due, decision))
            starting += decision.starts
    if not moves:
        return []
    with installation.catalog.begin(is_alone=True) as connection:
        claimed = [
            (config, decision)
            for config, before, decision in moves
            if schedule_slots.claim(connection, config.ref, before, decision.last_due or 0)
        ]
    return [config for config, decision in claimed if decision.starts]


def _start(installation: Installation, config: UnitConfig) -> str | None:
    try:
        request = RunRequest(endpoint_id=config.endpoint_id, unit_id=config.unit_id, requested_by=REQUESTED_BY)
        return launcher_for(installation).start(installation, request)
    except IngestError as error:
        reason = logs.scrub(f"{error.message} [{error.code}]")
        log.warning("scheduled unit '%s' could not start: %s", config.ref, reason)
        with installation.catalog.begin() as connection:
            schedule_slots.record_start_failure(connection, config.ref, reason)
        return None


def find_schedules(installation: Installation, units: Collection[UnitRef]) -> Mapping[UnitRef, ScheduleRow]:
    """At least those of `units` that have a row."""
    endpoint_ids = {unit.endpoint_id for unit in units}
    with installation.catalog.read() as connection:
        return schedule_slots.listed(connection, endpoint_ids.pop() if len(endpoint_ids) == 1 else None)


class NextRun(Model):
    """`next_due_at`: seconds since 1970; None: the schedule is held."""

    endpoint_id: str
    unit_id: str
    every_minutes: int
    next_due_at: int | None = None
    held_by: str | None = None


def list_next_runs(installation: Installation, within: Collection[str] | None = None) -> list[NextRun]:
    """Of every enabled unit with a schedule, the next first; those that are held come last. `within`: of these endpoints only."""
    with installation.catalog.read() as connection:
        configs = [item.config for item in unit_configs.by_interval(connection)]
        rows = schedule_slots.listed(connection)
    found = []
    for config in configs:
        if within is None or config.endpoint_id in within:
            view = schedule_view(installation, config, rows.get(config.ref))
            found.append(
                NextRun(
                    endpoint_id=config.endpoint_id,
                    unit_id=config.unit_id,
                    every_minutes=config.schedule_interval_minutes or 0,
                    next_due_at=view.next_due_at,
                    held_by=(view.held_by or "a person") if view.is_held else None,
                )
            )
    return sorted(found, key=lambda run: (run.next_due_at is None, run.next_due_at or 0))


def schedule_of(installation: Installation, config: UnitConfig) -> Schedule:
    interval_s = (config.schedule_interval_minutes or 1) * 60
    settings = installation.settings.serve.schedules
    return Schedule(
        interval_s=interval_s,
        jitter_s=jitter_of(config.ref, interval_s, settings.max_jitter_s),
        catch_up=settings.catch_up,
    )


def schedule_view(
    installation: Installation, config: UnitConfig, row: ScheduleRow | None, now: float | None = None
) -> ScheduleView:
    if config.schedule_kind != "INTERVAL":
        return ScheduleView()
    moment = int(time.time() if now is None else now)
    is_held = row is not None and row.held_at is not None
    return ScheduleView(
        next_due_at=None if is_held or not config.enabled else next_due(schedule_of(installation, config), moment),
        is_held=is_held,
        held_by=row.held_by if row is not None else None,
        last_error=row.last_error if row is not None else None,
    )
