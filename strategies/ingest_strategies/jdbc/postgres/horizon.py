"""The upper bound of a run of PostgreSQL: nothing can be committed below it any more. Captured before the snapshot."""

import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Horizon, Position, SourceClock, UnitSpec
from ingest_strategies.jdbc.dialect import TIME_KINDS, AxisColumn, Dialect, Session
from ingest_strategies.jdbc.planning.counters import NO_ROW, above_newest, wait_for_writers
from ingest_strategies.jdbc.planning.lookback import read_source_clock
from ingest_strategies.jdbc.planning.wall_times import earliest_wall_time, latest_wall_time
from ingest_strategies.jdbc.postgres.session import MARK
from ingest_strategies.jdbc.standard_sql import quoted_text

DEFAULT_LAG_S = (
    300  # where other transactions are not visible: longer than an interactive application usually holds one open
)
SETTLE_S = 0.05  # a backend has a start time some microseconds before pg_stat_activity shows it
LOCK_WAIT_S = 5.0  # how long writers of the table may take to end before a counter's horizon is held
LOCK_POLL_S = 0.05
GRANT = "GRANT pg_read_all_stats TO the role of this endpoint, for an exact horizon"

REPLAYED = "SELECT pg_last_xact_replay_timestamp()::text"

# Statements of this project only read, so their transactions hold no horizon back; a pooler leaves our application's name to
# sessions of others, which do not write our mark. Autovacuum writes no rows.
_OTHERS = f"""FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()
 AND coalesce(backend_type, '') <> 'autovacuum worker'
 AND NOT (application_name = current_setting('application_name') AND usename = current_user AND query LIKE '%{MARK}%')"""
_OPEN_TRANSACTIONS = f"""SELECT pg_is_in_recovery(),
 (SELECT count(*) {_OTHERS} AND state IS NULL AND xact_start IS NULL AND usename <> current_user
  AND query = '<insufficient privilege>')::bigint,
 (SELECT min(xact_start)::text {_OTHERS}), (SELECT count(*) {_OTHERS} AND xact_start IS NOT NULL)::bigint,
 (SELECT min(prepared)::text FROM pg_prepared_xacts WHERE database = current_database())"""
# A session with track_activities = off shows no start, but every transaction holds the lock of its virtual id.
# https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
_UNTRACKED = f"""SELECT virtualtransaction, 'process ' || pid FROM pg_locks
 WHERE locktype = 'virtualxid' AND granted AND mode = 'ExclusiveLock' AND pid IN (SELECT pid {_OTHERS} AND state = 'disabled')"""


def find_horizon(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    if column.kind in TIME_KINDS:
        return time_horizon(dialect, session, spec, column, table, watermark)
    return counter_horizon(dialect, session, spec, column, table, watermark)


def time_horizon(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    """The oldest open transaction, else the server's clock; never below the watermark.

    On a standby, the last transaction that it has replayed, minus a lag for those that are open on the primary.
    """
    clock = session.rows("SELECT clock_timestamp()::text")[0][0]
    time.sleep(SETTLE_S)
    others = _Others(*session.rows(_OPEN_TRANSACTIONS)[0])
    unsettled = read_source_clock(None, datetime.fromisoformat(clock).timestamp(), is_own=not others.in_recovery)
    notes = subscription_notes(session, spec, column, table)
    untracked = wait_for_writers(lambda: dict(session.rows(_UNTRACKED)), LOCK_WAIT_S, LOCK_POLL_S)
    if untracked and spec.policy.lag is None:
        names = f"{', '.join(untracked)}: track_activities is off there, so the start of the transaction is unknown"
        note = f"{names}; policy lag"
        return held(dialect, column, watermark, "transactions whose start is unknown", note, unsettled)
    replayed = session.rows(REPLAYED)[0][0] if others.in_recovery else None
    if others.in_recovery and replayed is None:
        note = "no transaction was replayed since the standby was started"
        reason = "a standby that does not say how far it has replayed"
        return held(dialect, column, watermark, reason, note, unsettled)
    bound = _bound(others, clock, replayed, list(untracked), spec.policy.lag)
    notes += bound.notes
    moment = f"least({', '.join(bound.moments)})"
    settled = f"extract(epoch FROM {moment})::float8"
    if column.kind != "timestamptz":
        moment, note = _local(session, spec, column, table, moment, bound.clock_and_lag_s)
        notes.append(note)
    if column.kind != "date":
        # A column of fewer digits rounds written values; the horizon is rounded alike, so that no later value lies below it.
        moment = f"({moment})::{column.kind}({digits(spec, column)})"
    if watermark is not None:
        moment = f"greatest({dialect.literal(column, watermark[0])}, {moment})"
    value, settled_s = session.rows(f"SELECT {dialect.position(column, f'({moment})')}, {settled}")[0]
    looked_at = unsettled.model_copy(update={"settled_s": float(settled_s)})
    return Horizon(
        value=(dialect.decode(column, value),), method=bound.method, note="; ".join(notes) or None, clock=looked_at
    )


@dataclass(frozen=True)
class _Others:
    """A row of `_OPEN_TRANSACTIONS`: sessions whose state is hidden, and the open and the prepared transactions."""

    in_recovery: bool
    hidden: int
    oldest: str | None
    open_transactions: int
    prepared: str | None


@dataclass(frozen=True)
class _Bound:
    """The horizon is the least of `moments`, which are SQL. `clock_and_lag_s` is None while transactions may be open."""

    moments: list[str]
    method: str
    notes: list[str]
    clock_and_lag_s: tuple[str, int] | None


def _bound(others: _Others, clock: str, replayed: str | None, untracked: list[str], lag: int | None) -> _Bound:
    moments, method, notes = [f"'{clock}'::timestamptz"], "server clock", []
    if others.oldest:
        moments.append(f"'{others.oldest}'::timestamptz")
        method = f"start of the oldest of {others.open_transactions} open transactions"
    if others.prepared:
        margin = DEFAULT_LAG_S if lag is None else lag
        moments.append(f"'{others.prepared}'::timestamptz - interval '{margin} seconds'")
        notes.append(
            f"a prepared transaction holds the horizon {margin} s before it was prepared ('{others.prepared}')"
        )
    lag_s, counted_from = lag or 0, replayed or clock
    if replayed is not None:
        lag_s = DEFAULT_LAG_S if lag is None else lag
        method = f"last transaction that the standby has replayed, minus a lag of {lag_s} s"
        notes.append(f"replayed to '{replayed}'; a standby does not see the primary's open transactions")
    elif others.hidden or untracked:
        lag_s = DEFAULT_LAG_S if lag is None else lag
        method = f"server clock minus a declared lag of {lag_s} s"
        notes.append(GRANT if others.hidden else f"unknown start of a transaction: {', '.join(untracked)}")
    if lag_s or replayed is not None:
        moments.append(f"'{counted_from}'::timestamptz - interval '{lag_s} seconds'")
        notes.append(f"lag: {lag_s} s")
    is_open = bool(others.oldest or others.prepared or untracked or others.in_recovery or others.hidden)
    return _Bound(moments, method, notes, None if is_open else (clock, lag_s))


def subscription_notes(session: Session, spec: UnitSpec, column: AxisColumn, table: str) -> list[str]:
    """A note where a logical subscription writes the table (of a view: any table): the transactions and clocks of its
    publisher are elsewhere. https://www.postgresql.org/docs/current/catalog-pg-subscription-rel.html

    Raises:
        ConfigError: no lag is declared.
    """
    tables = "" if is_indirect(spec) else f"WHERE srrelid {_family(table)}"
    if not session.rows(f"SELECT EXISTS (SELECT FROM pg_subscription_rel {tables})")[0][0]:
        return []
    if spec.policy.lag is None:
        raise ConfigError(
            f"{spec.unit_id}: a logical subscription writes the table, and does not say how far behind its publisher it is,"
            f" so cursor '{column.name}' has no safe horizon",
            hint="policy lag: longer than the subscription's delay and the publisher's transactions; or read the publisher",
        )
    return ["a logical subscription writes the table: the lag has to cover its delay"]


def is_indirect(spec: UnitSpec) -> bool:
    """Whether other tables hold the rows: of a view, a materialized view or a foreign table."""
    return spec.dataset.facts.get("relkind") in ("v", "m", "f")


def _family(table: str) -> str:
    """A condition for the table and all that inherit from it, partitions among them."""
    return (
        f"IN (WITH RECURSIVE family(oid) AS (SELECT {quoted_text(table)}::regclass::oid UNION"
        " SELECT i.inhrelid FROM pg_inherits i JOIN family f ON i.inhparent = f.oid) SELECT oid FROM family)"
    )


def digits(spec: UnitSpec, column: AxisColumn) -> int:
    """How many digits of a second the column stores: `timestamp(3)` three, `timestamp` six."""
    declared = spec.dataset.column(column.name)
    precision = re.search(r"\((\d)\)", declared.source_type) if declared else None
    return int(precision.group(1)) if precision else 6


def _local(
    session: Session,
    spec: UnitSpec,
    column: AxisColumn,
    table: str,
    moment: str,
    clock_and_lag_s: tuple[str, int] | None,
) -> tuple[str, str]:
    """A horizon for times without a zone: no later value can lie below it, not even when clocks are set back.

    The wall clock of a zone repeats an hour in autumn, so the horizon is the least wall time from now on. The zone is the
    policy's. Without one it is the server's, but an application may write the wall time of another: so the horizon is not above
    the earliest wall time that the newest row allows for (`wall_times`), and while transactions may be open
    (`clock_and_lag_s`: None), whose rows can lie below that, not above the wall time of UTC-12.
    """
    declared = spec.policy.cursor_zone
    zone = declared or session.rows("SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'")[0][0]
    literal = quoted_text(str(zone))
    wall = (
        f"(SELECT least(m AT TIME ZONE {literal}, (SELECT min(u AT TIME ZONE {literal}) FROM generate_series("
        f"date_trunc('hour', m), m + interval '3 hours', interval '15 minutes') u WHERE u > m)) FROM (SELECT {moment} AS m) x)"
    )
    is_date = column.kind == "date"
    notes = ["the day of the horizon itself belongs to a later run"] if is_date else []
    if declared:
        return f"{wall}{'::date' if is_date else ''}", "; ".join(
            [f"times are taken as '{zone}', policy cursor_zone", *notes]
        )
    notes.insert(0, f"times without a zone are taken as '{zone}', the server's; not above the newest row")
    if clock_and_lag_s is None:
        notes.append(
            "transactions are open, so not above the time of UTC-12 at their start: policy cursor_zone says the zone"
        )
        bound = f"(({moment}) AT TIME ZONE 'UTC' - interval '12 hours')"
    else:
        bound = f"'{_earliest(session, spec, column, table, *clock_and_lag_s)}'::timestamp"
    return f"least({wall}, {bound}){'::date' if is_date else ''}", "; ".join(notes)


def _earliest(session: Session, spec: UnitSpec, column: AxisColumn, table: str, clock_text: str, lag_s: int) -> str:
    """The earliest wall time of later rows."""
    clock = datetime.fromisoformat(clock_text)
    rows = session.rows(
        f"SELECT {column.sql}::text FROM {table} WHERE {column.sql} >= '0002-01-01'"
        f" AND {column.sql} <= '{latest_wall_time(clock).isoformat(' ')}' ORDER BY {column.sql} DESC LIMIT 1"
    )
    if not rows:
        return "-infinity"
    tick = timedelta() if column.kind == "date" else timedelta(seconds=10.0 ** -digits(spec, column))
    newest = datetime.fromisoformat(rows[0][0])
    return earliest_wall_time(newest, clock, timedelta(seconds=lag_s), tick).isoformat(" ")


def read_newest_value(dialect: Dialect, session: Session, column: AxisColumn, table: str) -> int | str | None:
    """The largest value that is a number; NaN and infinity are above every counter and can hold no horizon."""
    finite = {"decimal": f"AND {column.sql} < 'Infinity'", "float": f"AND {column.sql} < 'Infinity'"}.get(
        column.kind, ""
    )
    newest = session.rows(
        f"SELECT {dialect.position(column, column.sql)} FROM {table} WHERE {column.sql} IS NOT NULL {finite}"
        f" ORDER BY {column.sql} DESC LIMIT 1"
    )
    return dialect.decode(column, newest[0][0]) if newest else None


def counter_horizon(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    """Just above the newest value, once every transaction that could still commit a smaller one has ended."""
    if session.rows("SELECT pg_is_in_recovery()")[0][0]:
        raise ConfigError(
            f"{spec.unit_id}: a standby does not show who writes, so the counter '{column.name}' has no safe horizon there",
            hint="read from the primary, or choose a cursor of time",
        )
    notes = subscription_notes(session, spec, column, table)
    floor = watermark[0] if watermark is not None else dialect.lowest(column)
    newest = read_newest_value(dialect, session, column, table)
    if newest is None:
        return Horizon(value=(floor,), method=NO_ROW)
    open_writers = wait_for_writers(lambda: read_writers(session, table, column, spec), LOCK_WAIT_S, LOCK_POLL_S)
    if open_writers:
        names = f"open writers of the table after {LOCK_WAIT_S:g} s: {', '.join(open_writers)}"
        return held(dialect, column, watermark, "open writers", names)
    lag, note = counter_lag(session, spec, column, table)
    notes.append(note)
    top, note_of_ties = above_newest(dialect, session, spec, column, newest, greatest=2**63 - 1, lag=lag)
    notes.extend([note_of_ties] if note_of_ties else [])
    higher = (
        f"SELECT {dialect.literal(column, top)}{_collate(column)} > {dialect.literal(column, floor)}{_collate(column)}"
    )
    value = top if session.rows(higher)[0][0] else floor
    return Horizon(value=(value,), method="newest value after all its writers ended", note="; ".join(notes))


def counter_lag(session: Session, spec: UnitSpec, column: AxisColumn, table: str) -> tuple[int, str]:
    """The declared lag, else one block of values for each session where a sequence gives them out in blocks. With a note.

    A session keeps the rest of its block while others pass it (https://www.postgresql.org/docs/current/sql-createsequence.html,
    CACHE); with an increment above 1 applications number the rows of a block by themselves.
    """
    if spec.policy.lag is not None:
        return spec.policy.lag, f"lag: {spec.policy.lag}"
    block = session.rows(
        f"SELECT coalesce(max(abs(seqcache * seqincrement)), 1)::bigint FROM pg_sequence WHERE seqrelid {_sequences(table, column)}"
    )[0][0]
    if block <= 1 or column.kind not in ("int", "decimal", "float"):
        return (
            0,
            "assumed: values are taken in the transaction that inserts them; else declare policy lag, in units of the counter",
        )
    sessions = max(2, session.rows("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")[0][0])
    lag = block * sessions
    return (
        lag,
        f"lag: {lag}, because a sequence gives blocks of {block} values to {sessions} sessions; policy lag changes it",
    )


def _sequences(table: str, column: AxisColumn) -> str:
    """A condition for the sequences that the column, or the same column of an inheriting table, owns or has as its default."""
    return (
        "IN (SELECT d.objid FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
        f" WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')"
        f" AND a.attname = {quoted_text(column.name)} AND a.attrelid {_family(table)}"
        " UNION SELECT d.refobjid FROM pg_attrdef v JOIN pg_attribute a ON a.attrelid = v.adrelid AND a.attnum = v.adnum"
        " JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = v.oid AND d.refclassid = 'pg_class'::regclass"
        f" WHERE a.attname = {quoted_text(column.name)} AND a.attrelid {_family(table)})"
    )


def held(
    dialect: Dialect,
    column: AxisColumn,
    watermark: Position | None,
    reason: str,
    note: str,
    clock: SourceClock | None = None,
) -> Horizon:
    """A horizon at the watermark: nothing above it is known to be complete."""
    floor = watermark[0] if watermark is not None else dialect.lowest(column)
    return Horizon(value=(floor,), method=f"held at the watermark by {reason}", note=note, clock=clock)


def _collate(column: AxisColumn) -> str:
    return f" COLLATE {column.collation}" if column.collation else ""


def read_writers(session: Session, table: str, column: AxisColumn, spec: UnitSpec) -> dict[str, str]:
    """Other transactions that hold a writing lock on the table, on one that inherits from it, or on the sequence of the
    cursor, from which a value was taken before its row is inserted (of a view: on any relation): id -> name."""
    relations = f"(relation {_family(table)} OR relation {_sequences(table, column)})"
    locks: list[tuple[Any, ...]] = session.rows(
        "SELECT virtualtransaction, coalesce('process ' || pid, 'a prepared transaction') FROM pg_locks"
        " WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_backend_pid()"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
        f" AND {'relation >= 16384' if is_indirect(spec) else relations}"
    )
    return dict(locks)
