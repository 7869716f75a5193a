"""Where many units stand, in a handful of statements however many they are: what lists and dashboards ask for.

The checkpoint costs a walk over the KV, so it is read apart, and only for those that are asked about it.
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

SCAN_ENDPOINT_ABOVE = 20  # units of one endpoint: below, one short walk for each is cheaper than one over all


class UnitStatus(Model):
    """`last_run`: the last ordinary run, as it is to be read now."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    state: RunState = RunState.IDLE
    last_run: RunSummary | None = None
    error: RunFault | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


def list_statuses(
    installation: Installation, endpoint_id: str, *, after: str | None = None, first: int | None = None
) -> list[UnitStatus]:
    """Of the configured units of an endpoint, by unit id. Raises `EndpointNotFound`."""
    with installation.catalog.read() as connection:
        endpoints.source(connection, endpoint_id)
        configured = unit_configs.listed(connection, endpoint_id, after=after, first=first)
        return statuses_of(connection, installation, configured)


def find_statuses(installation: Installation, wanted: Collection[UnitRef]) -> dict[UnitRef, UnitStatus]:
    """Of those that are configured."""
    with installation.catalog.read() as connection:
        configured = unit_configs.find_many(connection, wanted)
        found = statuses_of(connection, installation, configured)
    return {one.ref: one for one in found}


def statuses_of(
    connection: sa.Connection, installation: Installation, configured: list[Configured]
) -> list[UnitStatus]:
    refs = [item.config.ref for item in configured]
    latest = run_records.latest_of(connection, refs)
    going_on = {run.summary.ref: run for run in run_records.running(connection)}
    vendors = {
        name: entry.vendor for name, entry in endpoints.known(connection, {ref.endpoint_id for ref in refs}).items()
    }
    return [
        _standing(installation.kv, vendors.get(ref.endpoint_id, ""), item, latest.get(ref), going_on.get(ref))
        for ref, item in zip(refs, configured, strict=True)
    ]


def _standing(
    kv: KV, vendor: str, item: Configured, record: RunRecord | None, going_on: RunRecord | None
) -> UnitStatus:
    """The last ordinary run tells the state, unless another one (a backfill, say) is going on."""
    config = item.config
    last, state, fault = record.summary if record is not None else None, None, None
    if going_on is not None:
        try:
            known = read_states(kv, unit_key(vendor, config.ref, going_on.summary.sink_id))
        except StateUnreadable as error:
            known, fault = None, RunFault(code=error.code, message=error.message, hint=error.hint)
        if record is not None:
            last = current_summary(record, known)
        if current_summary(going_on, known).state is RunState.RUNNING:
            state = RunState.RUNNING
    return UnitStatus(
        endpoint_id=config.endpoint_id,
        unit_id=config.unit_id,
        sink_id=config.sink_id,
        state=RunState.FAILED if fault else state or (last.state if last is not None else RunState.IDLE),
        last_run=last,
        error=fault or (last.error if last is not None else None),
    )


def read_checkpoints(
    installation: Installation, wanted: Collection[tuple[UnitRef, str]]
) -> dict[tuple[UnitRef, str], UnitState]:
    """By unit and sink; one that cannot be read is left out."""
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
