"""The status of many units in a fixed number of statements, for lists and dashboards.

Checkpoints cost a scan of the KV, so `read_checkpoints` reads them separately, for the units that need them.
"""

from collections.abc import Collection

import sqlalchemy as sa

from ingest_ray.catalog import endpoints, run_records, unit_configs
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.kv.keys import quoted, unit_key
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import StateUnreadable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunFault, RunState, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.run_liveness import current_summary
from ingest_ray.state import UnitState, read_states
from ingest_ray.state.unit_state import read_unit_states

SCAN_ENDPOINT_ABOVE = 20  # units of one endpoint: below, one short scan for each is cheaper than one over the endpoint


class UnitStatus(Model):
    """`last_run`: the last ordinary run; FAILED where its process is gone."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    state: RunState = RunState.IDLE
    last_run: RunSummary | None = None
    error: RunFault | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class UnitLog(Model):
    """`state`: `none` (not made yet), `new` (nothing is loaded yet), `lost`, or the source's own word. `lag_s`: the age of the oldest
    transaction that is not read yet. `retained_bytes`: what the source keeps of its log for the unit."""

    endpoint_id: str
    unit_id: str
    name: str = ""
    state: str = "none"
    position: str | None = None
    end: str | None = None
    lag_bytes: int | None = None
    lag_s: float | None = None
    retained_bytes: int | None = None
    max_retained_mb: int | None = None
    error: RunFault | None = None

    @property
    def is_alarming(self) -> bool:
        """More than half of `policy.max_retained_mb` is kept, or the log is lost."""
        most, retained = self.max_retained_mb, self.retained_bytes
        return self.state == "lost" or (most is not None and retained is not None and retained > most * 500_000)


def list_statuses(
    installation: Installation, endpoint_id: str, *, after: str | None = None, first: int | None = None
) -> list[UnitStatus]:
    """The statuses of an endpoint's configured units, by unit id. Raises `EndpointNotFound`."""
    with installation.catalog.read() as connection:
        endpoints.source(connection, endpoint_id)
        configured = unit_configs.listed(connection, endpoint_id, after=after, first=first)
        return statuses_of(connection, installation, configured)


def list_all_statuses(installation: Installation) -> list[UnitStatus]:
    """The statuses of all configured units, by endpoint and unit id."""
    with installation.catalog.read() as connection:
        return statuses_of(connection, installation, unit_configs.listed(connection))


def find_statuses(installation: Installation, wanted: Collection[UnitRef]) -> dict[UnitRef, UnitStatus]:
    """The statuses of those units that are configured."""
    with installation.catalog.read() as connection:
        configured = unit_configs.find_many(connection, wanted)
        found = statuses_of(connection, installation, configured)
    return {status.ref: status for status in found}


def statuses_of(
    connection: sa.Connection, installation: Installation, configured: list[Configured]
) -> list[UnitStatus]:
    refs = [item.config.ref for item in configured]
    latest = run_records.latest_of(connection, refs)
    running = {run.summary.ref: run for run in run_records.running(connection)}
    entries = endpoints.known(connection, {ref.endpoint_id for ref in refs})
    vendors = {name: entry.vendor for name, entry in entries.items()}
    return [
        _status_of(installation.kv, vendors.get(ref.endpoint_id, ""), item, latest.get(ref), running.get(ref))
        for ref, item in zip(refs, configured, strict=True)
    ]


def _status_of(
    kv: KV, vendor: str, item: Configured, record: RunRecord | None, running: RunRecord | None
) -> UnitStatus:
    """Reads the unit's state only where a run has no end in its record."""
    config = item.config
    checkpoint, fault = None, None
    if running is not None:
        checkpoint, fault = read_checkpoint(kv, unit_key(vendor, config.ref, running.summary.sink_id))
    state, last, error = current_state(record, running, checkpoint, fault)
    return UnitStatus(
        endpoint_id=config.endpoint_id,
        unit_id=config.unit_id,
        sink_id=config.sink_id,
        state=state,
        last_run=last,
        error=error,
    )


def current_state(
    record: RunRecord | None, running: RunRecord | None, checkpoint: UnitState | None, fault: RunFault | None
) -> tuple[RunState, RunSummary | None, RunFault | None]:
    """The state of a unit, its last ordinary run, and its error.

    The last ordinary run decides the state, unless another run, such as a backfill, is live. `fault`: the checkpoint cannot
    be read.
    """
    last = current_summary(record, checkpoint) if record is not None else None
    if fault is not None:
        state = RunState.FAILED
    elif running is not None and current_summary(running, checkpoint).state is RunState.RUNNING:
        state = RunState.RUNNING
    else:
        state = last.state if last is not None else RunState.IDLE
    return state, last, fault or (last.error if last is not None else None)


def read_checkpoint(kv: KV, key: str) -> tuple[UnitState | None, RunFault | None]:
    """The state under a unit's key, or the fault that makes it unreadable."""
    try:
        return read_states(kv, key), None
    except StateUnreadable as error:
        return None, RunFault(code=error.code, message=error.message, hint=error.hint)


def read_checkpoints(
    installation: Installation, wanted: Collection[tuple[UnitRef, str]]
) -> dict[tuple[UnitRef, str], UnitState]:
    """The checkpoints by unit and sink, without those that cannot be read."""
    with installation.catalog.read() as connection:
        entries = endpoints.known(connection, {unit.endpoint_id for unit, _ in wanted})
    found: dict[tuple[UnitRef, str], UnitState] = {}
    for endpoint_id, entry in entries.items():
        keys = {
            unit_key(entry.vendor, unit, sink_id): (unit, sink_id)
            for unit, sink_id in wanted
            if unit.endpoint_id == endpoint_id
        }
        if len(keys) > SCAN_ENDPOINT_ABOVE:
            whole = f"ingest::{quoted(entry.vendor)}::endpoint::{quoted(endpoint_id)}::"
            states = read_unit_states(installation.kv, whole, keys)
        else:
            states = {
                name: state for key in keys for name, state in read_unit_states(installation.kv, key, [key]).items()
            }
        found |= {keys[key]: state for key, state in states.items()}
    return found
