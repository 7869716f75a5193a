"""Starting, pausing and resuming units: what a person or a schedule does with them. Resuming is starting again."""

from ingest_ray.catalog import endpoints, run_records, schedule_slots, unit_configs
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.sdk.errors import UnitNotFound
from ingest_ray.sdk.types import Model, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching import launcher_for
from ingest_ray.service.runs.admission import RunOptions, RunRequest
from ingest_ray.service.runs.run_liveness import is_going_on


class ActionResult(Model):
    """What became of a request about a unit. `ok` False: there was nothing to do, and `message` says why."""

    ok: bool
    run_id: str | None = None
    state: RunState | None = None
    message: str | None = None


def start(
    installation: Installation,
    endpoint_id: str,
    unit_id: str,
    *,
    sink_id: str | None = None,
    sink_endpoint_id: str | None = None,
    options: RunOptions | None = None,
    requested_by: str | None = None,
) -> ActionResult:
    """Starts a run in the background; a schedule that was held goes on.

    Raises:
        GateError, ConfigError, StateError: nothing was started, and there is no record.
    """
    request = RunRequest(
        endpoint_id=endpoint_id,
        unit_id=unit_id,
        sink_id=sink_id,
        sink_endpoint_id=sink_endpoint_id,
        options=options or RunOptions(),
        requested_by=requested_by,
    )
    run_id = launcher_for(installation).start(installation, request)
    with installation.catalog.begin() as connection:
        schedule_slots.release(connection, endpoint_id, unit_id)
    return ActionResult(ok=True, run_id=run_id, state=RunState.RUNNING)


def pause(
    installation: Installation,
    endpoint_id: str,
    unit_id: str,
    *,
    sink_id: str | None = None,
    requested_by: str | None = None,
) -> ActionResult:
    """Asks a live run to stop after the commit under way, and holds the unit's schedule until it is started again.

    Raises:
        EndpointNotFound, UnitNotFound
    """
    with installation.catalog.begin() as connection:
        endpoints.source(connection, endpoint_id)
        stored = unit_configs.find(connection, endpoint_id, unit_id)
        if stored is None:
            raise UnitNotFound(
                f"endpoint '{endpoint_id}' has no configured unit '{unit_id}'", hint=f"ingest-ray units {endpoint_id}"
            )
        is_scheduled = stored.config.schedule_kind == "INTERVAL"
        if is_scheduled:
            schedule_slots.hold(connection, endpoint_id, unit_id, requested_by)
        live = [
            record
            for record in run_records.running(connection, endpoint_id)
            if _is_of(record, unit_id, sink_id) and is_going_on(connection, installation, record)
        ]
    for record in live:
        launcher_for(installation).pause(installation, record.summary.run_id, requested_by)
    held = "; its schedule is held until it is started again" if is_scheduled else ""
    if live:
        said = f"the run stops after the commit under way{held}"
        return ActionResult(ok=True, run_id=live[0].summary.run_id, state=RunState.RUNNING, message=said)
    return ActionResult(ok=is_scheduled, state=None, message=f"the unit has no live run{held}")


def _is_of(record: RunRecord, unit_id: str, sink_id: str | None) -> bool:
    return record.summary.unit_id == unit_id and sink_id in (None, record.summary.sink_id)
