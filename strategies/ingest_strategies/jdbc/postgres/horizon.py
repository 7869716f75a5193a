"""The upper bound of a run at PostgreSQL: below it nothing can be committed any more. Captured before the snapshot."""

import re
import time
from typing import TYPE_CHECKING, Any

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Horizon, Position, UnitSpec
from ingest_strategies.jdbc.dialect import TIME_KINDS, AxisColumn, Session

if TYPE_CHECKING:
    from ingest_strategies.jdbc.postgres.dialect import Postgres

DEFAULT_LAG_S = 300  # where other transactions cannot be seen: longer than what an interactive application holds open
SETTLE_S = 0.05  # a backend has a start time some microseconds before pg_stat_activity shows it
LOCK_WAIT_S = 5.0  # how long writers of the table may take to end before a counter's horizon is held
LOCK_POLL_S = 0.05
TICKS = [f"{10.0**-digits:.6f} seconds" for digits in range(7)]  # the smallest step of a time with so many digits
GRANT = "GRANT pg_read_all_stats TO the role of this endpoint, so that the horizon can be told exactly"

# Sessions of this project only read, so they hold nothing back; autovacuum writes no rows.
_OTHERS = """FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()
 AND coalesce(backend_type, '') <> 'autovacuum worker'
 AND NOT (application_name = current_setting('application_name') AND usename = current_user)"""
_STANDING = f"""SELECT pg_is_in_recovery(),
 (SELECT count(*) {_OTHERS} AND state IS NULL AND xact_start IS NULL AND usename <> current_user
  AND query = '<insufficient privilege>')::bigint,
 (SELECT min(xact_start)::text {_OTHERS}), (SELECT count(*) {_OTHERS} AND xact_start IS NOT NULL)::bigint,
 (SELECT min(prepared)::text FROM pg_prepared_xacts WHERE database = current_database())"""


def horizon_of(
    dialect: "Postgres", session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    if column.kind in TIME_KINDS:
        return of_time(dialect, session, spec, column, table, watermark)
    return of_counter(dialect, session, spec, column, table, watermark)


def of_time(
    dialect: "Postgres", session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    """The oldest open transaction, else the server's clock; never below the watermark."""
    clock = session.rows("SELECT clock_timestamp()::text")[0][0]
    time.sleep(SETTLE_S)
    in_recovery, hidden, oldest, count, prepared = session.rows(_STANDING)[0]
    lag = spec.policy.lag
    moments = [f"'{clock}'::timestamptz"]
    method, notes = "server clock", []
    if oldest:
        moments.append(f"'{oldest}'::timestamptz")
        method = f"start of the oldest of {count} open transactions"
    if prepared:
        margin = DEFAULT_LAG_S if lag is None else lag
        moments.append(f"'{prepared}'::timestamptz - interval '{margin} seconds'")
        notes.append(f"a prepared transaction holds the horizon {margin} s before it was prepared ('{prepared}')")
    if in_recovery or hidden:
        lag = DEFAULT_LAG_S if lag is None else lag
        method = f"server clock minus a declared lag of {lag} s"
        notes.append("a standby does not see the primary's transactions" if in_recovery else GRANT)
    if lag:
        moments.append(f"'{clock}'::timestamptz - interval '{lag} seconds'")
        notes.append(f"lag: {lag} s")
    moment = f"least({', '.join(moments)})"
    if column.kind != "timestamptz":
        moment, note = _local(session, column, table, moment, TICKS[digits(spec, column)])
        notes.append(note)
    if column.kind != "date":
        # A column of fewer digits rounds what is written; the horizon is rounded alike, so that nothing lands below it.
        moment = f"({moment})::{column.kind}({digits(spec, column)})"
    if watermark is not None:
        moment = f"greatest({dialect.literal(column, watermark[0])}, {moment})"
    value = session.rows(f"SELECT {dialect.position(column, f'({moment})')}")[0][0]
    return Horizon(value=(dialect.decode(column, value),), method=method, note="; ".join(notes) or None)


def digits(spec: UnitSpec, column: AxisColumn) -> int:
    """How many digits of a second the column keeps: `timestamp(3)` three, `timestamp` six."""
    found = spec.dataset.column(column.name)
    given = re.search(r"\((\d)\)", found.source_type) if found else None
    return int(given.group(1)) if given else 6


def _local(session: Session, column: AxisColumn, table: str, moment: str, tick: str) -> tuple[str, str]:
    """A horizon for times without a zone: nothing later can be written below it, not even when clocks are set back.

    The wall clock of the server's zone repeats an hour in autumn, so the horizon is the least wall time from now on.
    An application that writes another zone's wall time can be behind the server's: hence also not above the newest row.
    """
    zone = session.rows("SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'")[0][0]
    quoted = "'" + str(zone).replace("'", "''") + "'"
    wall = (
        f"(SELECT least(m AT TIME ZONE {quoted}, (SELECT min(u AT TIME ZONE {quoted}) FROM generate_series("
        f"date_trunc('hour', m), m + interval '3 hours', interval '15 minutes') u WHERE u > m)) FROM (SELECT {moment} AS m) x)"
    )
    note = f"times without a zone are taken as '{zone}', the server's"
    if column.kind == "date":
        return f"{wall}::date", f"{note}; the day of the horizon itself belongs to a later run"
    newest = (
        f"(SELECT {column.sql} + interval '{tick}' FROM {table} WHERE {column.sql} < 'infinity'"
        f" ORDER BY {column.sql} DESC LIMIT 1)"
    )
    return f"least({wall}, coalesce({newest}, '-infinity'::timestamp))", f"{note}; not above the newest row"


def newest_of(dialect: "Postgres", session: Session, column: AxisColumn, table: str) -> int | str | None:
    """The largest value that is a number; NaN and infinity are above every counter and can hold no horizon."""
    finite = {"decimal": f"AND {column.sql} < 'Infinity'", "float": f"AND {column.sql} < 'Infinity'"}.get(
        column.kind, ""
    )
    found = session.rows(
        f"SELECT {dialect.position(column, column.sql)} FROM {table} WHERE {column.sql} IS NOT NULL {finite}"
        f" ORDER BY {column.sql} DESC LIMIT 1"
    )
    return dialect.decode(column, found[0][0]) if found else None


def of_counter(
    dialect: "Postgres", session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    """Just above the newest value, once every transaction that could still commit a smaller one has ended."""
    if session.rows("SELECT pg_is_in_recovery()")[0][0]:
        raise ConfigError(
            f"{spec.unit_id}: a standby does not show who writes, so the counter '{column.name}' has no safe horizon there",
            hint="read from the primary, or choose a cursor of time",
        )
    floor = watermark[0] if watermark is not None else dialect.lowest(column)
    newest = newest_of(dialect, session, column, table)
    if newest is None:
        return Horizon(value=(floor,), method="the table has no counted row yet")
    still = wait_for_writers(session, table, str(spec.dataset.facts.get("relkind")))
    if still:
        who = f"open writers of the table after {LOCK_WAIT_S:g} s: {', '.join(still)}"
        return Horizon(value=(floor,), method="held at the watermark by open writers", note=who)
    is_unique = (column.name,) in (spec.dataset.primary_key, *spec.dataset.unique_keys)
    top: int | str = newest
    note: str | None = None
    if spec.policy.lag:
        shifted = dialect.earlier(column, newest, spec.policy.lag)
        top = dialect.decode(column, session.rows(f"SELECT {dialect.position(column, shifted)}")[0][0])
    elif column.kind == "int" and is_unique and int(newest) < 2**63 - 1:
        top = int(newest) + 1
    else:
        note = f"'{column.name}' is not unique: rows that tie at {newest} belong to a later run until it is passed"
    higher = f"SELECT {dialect.literal(column, top)}{_c(column)} > {dialect.literal(column, floor)}{_c(column)}"
    value = top if session.rows(higher)[0][0] else floor
    return Horizon(value=(value,), method="newest value after all its writers ended", note=note)


def _c(column: AxisColumn) -> str:
    return f" COLLATE {column.collation}" if column.collation else ""


def writers(session: Session, table: str, relkind: str) -> dict[str, str]:
    """Other transactions that hold a writing lock on the table or a partition of it (of a view: on any table)."""
    literal = "'" + table.replace("'", "''") + "'::regclass"
    tables = f"IN (SELECT {literal}::oid UNION SELECT relid FROM pg_partition_tree({literal}))"
    found: list[tuple[Any, ...]] = session.rows(
        "SELECT virtualtransaction, coalesce('process ' || pid, 'a prepared transaction') FROM pg_locks"
        " WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_backend_pid()"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
        f" AND relation {tables if relkind not in ('v', 'm', 'f') else '>= 16384'}"
    )
    return dict(found)


def wait_for_writers(session: Session, table: str, relkind: str) -> list[str]:
    """Waits for exactly those that write now; returns who has not ended in time."""
    first = writers(session, table, relkind)
    deadline = time.monotonic() + LOCK_WAIT_S
    while first and time.monotonic() < deadline:
        time.sleep(LOCK_POLL_S)
        now = writers(session, table, relkind)
        first = {key: who for key, who in first.items() if key in now}
    return sorted(first.values())
