"""Whether a run whose record has no end goes on, or its process died."""

import os
from datetime import datetime

import sqlalchemy as sa

from ingest_ray.catalog import endpoints
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.kv.keys import unit_key
from ingest_ray.sdk.types import RunFault, RunState, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.state import UnitState, read_states
from ingest_ray.state.documents import LeaseDocument, Owner
from ingest_ray.state.lease import TTL_S, is_live, this_process

INTERRUPTED = RunFault(
    code="E_RUN_INTERRUPTED",
    message="interrupted: the process of the run is gone",
    hint="run it again: it goes on where it stopped",
)


def this_owner() -> str:
    """This process, as a run record names it."""
    return this_process(os.getpid()).model_dump_json()


def is_run_alive(connection: sa.Connection, installation: Installation, record: RunRecord) -> bool:
    summary = record.summary
    vendor = endpoints.vendor_of(connection, summary.endpoint_id)
    if vendor is None:
        return False
    key = unit_key(vendor, summary.ref, summary.sink_id)
    return is_alive(record, read_states(installation.kv, key))


def is_alive(record: RunRecord, state: UnitState | None) -> bool:
    """By its lease; before it has one, and after it gave it back, by the process that wrote the record."""
    lease = state.lease if state is not None else None
    if lease is not None and lease.run_id == record.summary.run_id and is_live(lease):
        return True
    if lease is not None and is_live(lease):  # somebody else's: two runs of a unit cannot be
        return False
    return is_owner_alive(record.owner, record.started_at)


def is_owner_alive(this_owner: str, started_at: str) -> bool:
    """A process of this host is looked at; one of another host is believed for as long as a lease lives."""
    owner = Owner.model_validate_json(this_owner)
    is_here = owner.host == this_process().host
    expires_at = float("inf") if is_here else datetime.fromisoformat(started_at).timestamp() + TTL_S
    # A process is asked for in the way that a lease asks: as if it had one that just now was renewed.
    return is_live(LeaseDocument(epoch=0, run_id="", owner=owner, expires_at=expires_at))


def current_summary(record: RunRecord, state: UnitState | None) -> RunSummary:
    """The record as it is to be read now."""
    if record.summary.state is not RunState.RUNNING or is_alive(record, state):
        return record.summary
    return record.summary.model_copy(update={"state": RunState.FAILED, "error": INTERRUPTED})
