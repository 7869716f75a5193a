"""How far a unit has read its log: the position that it needs next, what is left, and what the server keeps for it."""

from ingest_ray.sdk.errors import LogRetained
from ingest_ray.sdk.types import SegmentState, UnitSpec
from ingest_strategies.jdbc.changes.checkpoint import begun_position
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.log_reader import peek_sql
from ingest_strategies.jdbc.postgres.changes.lsn import number_of
from ingest_strategies.jdbc.postgres.changes.messages import EPOCH_US
from ingest_strategies.jdbc.postgres.changes.slot import Slot

NO_EMPTY_SINCE = 150_000  # older servers publish transactions without a change of the table
MB = 1_000_000


def begun_at(state: SegmentState | None, spec: UnitSpec) -> int | None:
    """See `begun_position`."""
    return begun_position(state, spec, number_of)


def has_changes_below(session: Session, spec: UnitSpec, upper: int, version: int) -> bool:
    is_change = "WHERE get_byte(data, 0) IN (73, 85, 68, 84)"  # I, U, D, T
    most = 1 if version >= NO_EMPTY_SINCE else None
    return bool(session.rows(peek_sql(spec, upper, "count(*)::bigint", is_change, most))[0][0])


def lag_s(session: Session, spec: UnitSpec, slot: Slot) -> float | None:
    """How long ago the oldest transaction was committed that is not read yet; 0 where there is none."""
    is_begin = "WHERE get_byte(data, 0) = 66 LIMIT 1"
    at = "('x' || encode(substring(data FROM 10 FOR 8), 'hex'))::bit(64)::bigint"
    columns = f"(extract(epoch FROM clock_timestamp()) - ({at} + {EPOCH_US}) / 1e6)::float8"
    if slot.active_pid:
        return None
    rows = session.rows(peek_sql(spec, slot.end, columns, is_begin, 1))
    return max(0.0, round(float(rows[0][0]), 1)) if rows else 0.0


def refuse_retained(spec: UnitSpec, slot: Slot | None) -> None:
    """Raises `LogRetained` above `policy.max_retained_mb`."""
    most, retained = spec.policy.max_retained_mb, slot.retained_bytes if slot is not None else None
    if most is None or retained is None or slot is None or retained <= most * MB:
        return
    raise LogRetained(
        f"{spec.unit_id}: the server retains {retained / MB:.0f} MB of its log for replication slot '{slot.name}', and"
        f" policy.max_retained_mb is {most}",
        hint="raise the bound and run, which reads the changes and lets the log go; or `ingest-ray changes drop`, which gives them up:"
        " the unit must be loaded again",
    )
