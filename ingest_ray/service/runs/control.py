"""Starts and pauses units, for a person or a schedule. Resuming is starting again."""

from collections.abc import Sequence

from ingest_ray import logs
from ingest_ray.catalog import comparisons, run_records, schedule_slots
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching import launcher_for
from ingest_ray.service.launching.lifecycle import end_dead_runs, request_stop
from ingest_ray.service.runs.admission import RunOptions, RunRequest, enabled_units
from ingest_ray.service.runs.run_liveness import is_run_alive
from ingest_ray.service.units.listing import configured_unit
from ingest_ray.service.units.policies.unfit_units import UNFIT


class ActionResult(Model):
    """The result of a request about a unit. `ok` False: there was nothing to do, and `message` says why."""

    ok: bool
    run_id: str | None = None
    state: RunState | None = None
    message: str | None = None


def start(
    installation: Installation,
    unit: UnitRef,
    *,
    sink_id: str | None = None,
    sink_endpoint_id: str | None = None,
    options: RunOptions | None = None,
    requested_by: str | None = None,
) -> ActionResult:
    """Starts a run in the background, and releases the unit's schedule if it is held.

    Raises:
        GateError, ConfigError, StateError: nothing was started, and there is no record.
    """
    request = RunRequest(
        endpoint_id=unit.endpoint_id,
        unit_id=unit.unit_id,
        sink_id=sink_id,
        sink_endpoint_id=sink_endpoint_id,
        options=options or RunOptions(),
        requested_by=requested_by,
    )
    run_id = launcher_for(installation).start(installation, request)
    with installation.catalog.begin() as connection:
        schedule_slots.release(connection, unit)
    return ActionResult(ok=True, run_id=run_id, state=RunState.RUNNING)


def start_units(
    installation: Installation, endpoint_id: str, unit_ids: Sequence[str] = (), *, requested_by: str | None = None
) -> list[tuple[UnitRef, ActionResult]]:
    """Starts a run of each unit, of all enabled ones by default, in the background. A unit that may not run fails by itself.

    Raises:
        EndpointNotFound, UnitNotFound, UnitDisabled: nothing was started.
    """
    wanted = list(dict.fromkeys(unit_ids)) or enabled_units(installation, endpoint_id)
    with installation.catalog.read() as connection:
        for unit_id in wanted:
            configured_unit(connection, UnitRef(endpoint_id, unit_id))
    return [
        (unit, _started(installation, unit, requested_by)) for unit in (UnitRef(endpoint_id, one) for one in wanted)
    ]


def _started(installation: Installation, unit: UnitRef, requested_by: str | None) -> ActionResult:
    try:
        return start(installation, unit, requested_by=requested_by)
    except UNFIT as error:
        return ActionResult(ok=False, message=logs.scrub(f"{error.message} [{error.code}]"))


def pause(
    installation: Installation,
    unit: UnitRef,
    *,
    sink_id: str | None = None,
    requested_by: str | None = None,
) -> ActionResult:
    """Requests that a live run stops after the commit under way, and comparisons of the unit after the block under way; holds the
    unit's schedule until the unit is started again.

    The record of a run whose process is gone is ended.

    Raises:
        EndpointNotFound, UnitNotFound
    """
    with installation.catalog.begin() as connection:
        is_scheduled = configured_unit(connection, unit).config.is_scheduled
        if is_scheduled:
            schedule_slots.hold(connection, unit, requested_by)
        live = [
            record
            for record in (
                *run_records.running(connection, unit.endpoint_id),
                *comparisons.running(connection, unit),
            )
            if _is_of(record, unit, sink_id) and is_run_alive(connection, installation, record)
        ]
    for record in live:
        stop = request_stop if record.summary.task == "verify" else launcher_for(installation).pause
        stop(installation, record.summary.run_id, requested_by)
    dead = end_dead_runs(installation, unit, sink_id)
    held = "; its schedule is held until it is started again" if is_scheduled else ""
    if live:
        under_way = "block" if live[0].summary.task == "verify" else "commit"
        message = f"the run stops after the {under_way} under way{held}"
        return ActionResult(ok=True, run_id=live[0].summary.run_id, state=RunState.RUNNING, message=message)
    gone = "; the process of its last run was gone: the record of the run is ended" if dead else ""
    return ActionResult(ok=is_scheduled or dead > 0, state=None, message=f"the unit has no live run{gone}{held}")


def _is_of(record: RunRecord, unit: UnitRef, sink_id: str | None) -> bool:
    return record.summary.ref == unit and sink_id in (None, record.summary.sink_id)
