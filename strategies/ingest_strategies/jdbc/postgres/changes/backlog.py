"""How far a unit has read its log: the position that it needs next, what is left, and what the server keeps for it."""

from ingest_ray.sdk.contracts import LogStatus
from ingest_ray.sdk.errors import LogRetained
from ingest_ray.sdk.types import SegmentState, UnitSpec
from ingest_strategies.jdbc.changes.checkpoint import begun_position
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.log_parts import peek_sql
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_text, number_of
from ingest_strategies.jdbc.postgres.changes.messages import EPOCH_US
from ingest_strategies.jdbc.postgres.changes.slot import Slot
from ingest_strategies.jdbc.postgres.changes.unit_slot import find_unit_slot

MB = 1_000_000


def begun_at(state: SegmentState | None, spec: UnitSpec) -> int | None:
    """See `begun_position`."""
    return begun_position(state, spec, number_of)


def read_status(session: Session, spec: UnitSpec, state: SegmentState | None) -> LogStatus:
    found, begun = find_unit_slot(session, spec), begun_at(state, spec)
    slot = found.slot
    if slot is None or (begun is None and not found.is_own):
        return LogStatus(name=found.name, state="none")
    if slot.is_lost or begun is None or slot.confirmed is None or slot.confirmed > begun:
        kind = "new" if begun is None and not slot.is_lost else "lost"
        return LogStatus(name=slot.name, state=kind, retained_bytes=slot.retained_bytes)
    return LogStatus(
        name=slot.name,
        state=slot.wal_status,
        position=lsn_text(begun),
        end=lsn_text(slot.end),
        lag_bytes=max(0, slot.end - begun),
        lag_s=lag_s(session, slot, found.publication, begun),
        retained_bytes=retained_for(slot, begun, is_own=found.is_own),
    )


def lag_s(session: Session, slot: Slot, publication: str, begun: int) -> float | None:
    """How long ago the oldest transaction was committed that is not read yet; 0 where there is none. None: the slot is in use."""
    if slot.active_pid:
        return None
    number = "('x' || encode(substring(data FROM {} FOR 8), 'hex'))::bit(64)::bigint"
    is_next = f"WHERE get_byte(data, 0) = 66 AND {number.format(2)} >= {begun} LIMIT 1"
    columns = f"(extract(epoch FROM clock_timestamp()) - ({number.format(10)} + {EPOCH_US}) / 1e6)::float8"
    rows = session.rows(peek_sql(slot.name, publication, slot.end, columns, is_next))
    return max(0.0, round(float(rows[0][0]), 1)) if rows else 0.0


def retained_for(slot: Slot, begun: int, *, is_own: bool) -> int | None:
    """What the server keeps because of this unit: of a slot that it shares, only what lies above its own checkpoint, if another unit
    needs more."""
    if slot.retained_bytes is None or slot.confirmed is None or is_own or begun <= slot.confirmed:
        return slot.retained_bytes
    return max(0, slot.end - begun)


def refuse_retained(spec: UnitSpec, slot: Slot, begun: int, *, is_own: bool) -> None:
    """Raises `LogRetained` above `policy.max_retained_mb`."""
    most, retained = spec.policy.max_retained_mb, retained_for(slot, begun, is_own=is_own)
    if most is None or retained is None or retained <= most * MB:
        return
    raise LogRetained(
        f"{spec.unit_id}: the server retains {retained / MB:.0f} MB of its log for replication slot '{slot.name}', and"
        f" policy.max_retained_mb is {most}",
        hint="raise the bound and run, which reads the changes and lets the log go; or `ingest-ray changes drop`, which gives them up:"
        " the unit must be loaded again",
    )
