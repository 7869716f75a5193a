"""Run liveness: whether a run without an end in its record goes on, or its process died.

waits for a process    the server or worker that will start it vouches for it, again and again
has a process          that process is the owner; on another host it counts as alive for as long as a lease would last
holds its lease        the lease decides
"""

import os
import time
from datetime import datetime

import sqlalchemy as sa

from ingest_ray.catalog import endpoints, run_channel
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

VOUCH_S = 60.0  # a run without a process counts as lost when no server has vouched for it for this long
VOUCH_EVERY_S = 15.0


class RecordOwner(Owner):
    """`vouched_until`: the run has no process yet, and counts as alive until then. `taken_at`: when its process took it over. Both in
    seconds since 1970; records of older versions have neither."""

    vouched_until: float | None = None
    taken_at: float | None = None


def this_owner() -> str:
    """This process, which carries the run out, as the owner in a run record."""
    return RecordOwner(**this_process(os.getpid()).model_dump(), taken_at=time.time()).model_dump_json()


def vouching_owner() -> str:
    """This process, which is about to start a process for the run, as the owner in a run record."""
    until = time.time() + VOUCH_S
    return RecordOwner(**this_process(os.getpid()).model_dump(), vouched_until=until).model_dump_json()


def owner_of(record: RunRecord) -> RecordOwner:
    return RecordOwner.model_validate_json(record.owner)


def is_owned_here(record: RunRecord) -> bool:
    """True where this very process is the owner."""
    owner, this = owner_of(record), this_process()
    return (owner.host, owner.pid, owner.started) == (this.host, this.pid, this.started)


def is_run_alive(connection: sa.Connection, installation: Installation, record: RunRecord) -> bool:
    summary = record.summary
    vendor = endpoints.vendor_of(connection, summary.endpoint_id)
    if vendor is None:
        return False
    if summary.task == "verify":
        line = run_channel.find(connection, summary.run_id)
        seen_at = line.progressed_at if line is not None else None
        return is_owner_alive(record.owner, seen_at or record.started_at)
    key = unit_key(vendor, summary.ref, summary.sink_id)
    return is_alive(record, read_states(installation.kv, key))


def is_alive(record: RunRecord, state: UnitState | None) -> bool:
    """Decides by the run's lease; before the run has one, and after it released it, by the process that owns the record."""
    if record.summary.task == "verify":  # it has no lease
        return is_owner_alive(record.owner, record.started_at)
    lease = state.lease if state is not None else None
    if lease is not None and lease.run_id == record.summary.run_id and is_live(lease):
        return True
    if lease is not None and is_live(lease):  # another run's: a unit has one live run
        return False
    return is_owner_alive(record.owner, record.started_at)


def is_owner_alive(owner_text: str, started_at: str) -> bool:
    """Checks a process of this host. One of another host counts as alive for as long as a lease would last; a process that vouches for a
    run, nowhere longer than it vouched."""
    owner = RecordOwner.model_validate_json(owner_text)
    is_here = owner.host == this_process().host
    since = owner.taken_at or datetime.fromisoformat(started_at).timestamp()
    expires_at = owner.vouched_until or (float("inf") if is_here else since + TTL_S)
    # The check is that of a lease, as if the process had just renewed one.
    return is_live(LeaseDocument(epoch=0, run_id="", owner=owner, expires_at=expires_at))


def current_summary(record: RunRecord, state: UnitState | None) -> RunSummary:
    """The summary in the record; FAILED where the record has no end and its process is gone."""
    if record.summary.state is not RunState.RUNNING or is_alive(record, state):
        return record.summary
    return record.summary.model_copy(update={"state": RunState.FAILED, "error": INTERRUPTED})
