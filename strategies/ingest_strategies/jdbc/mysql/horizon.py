"""The upper bound of a run of MySQL: nothing can be committed below it any more. Captured before the snapshot.

Other transactions are read from `information_schema.innodb_trx` (https://mariadb.com/kb/en/information-schema-innodb_trx-table/)
and the list of processes; both need the right PROCESS. InnoDB caches the former for 100 ms.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ingest_ray.sdk.errors import ConfigError, SourceDenied
from ingest_ray.sdk.types import Horizon, Position, UnitSpec
from ingest_strategies.jdbc.dialect import TIME_KINDS, AxisColumn, Dialect, Session
from ingest_strategies.jdbc.mysql.lock_waits import MARK
from ingest_strategies.jdbc.mysql.row_origin import read_row_origin
from ingest_strategies.jdbc.planning.counters import NO_ROW, above_newest, wait_for_writers
from ingest_strategies.jdbc.planning.lookback import read_source_clock
from ingest_strategies.jdbc.planning.wall_times import WESTERNMOST, earliest_wall_time, latest_wall_time

DEFAULT_LAG_S = (
    300  # where other transactions are not visible: longer than an interactive application usually holds one open
)
SETTLE_S = 0.15  # InnoDB answers with a state of up to 100 ms ago
LOCK_WAIT_S = 5.0  # how long writers may take to end before a counter's horizon is held
LOCK_POLL_S = 0.15
GRANT = "GRANT PROCESS ON *.* TO the user of this endpoint, for an exact horizon"
ZERO = "0000-00-00 00:00:00"
QUARTER_S = 900
STAMP = "%Y-%m-%d %H:%M:%S.%f"

# A transaction that was started READ ONLY, as this project's are, holds no horizon back.
_TRANSACTIONS = (
    "FROM information_schema.innodb_trx WHERE trx_mysql_thread_id <> connection_id() AND trx_is_read_only = 0"
)
# A waiting statement has no transaction yet, but its `now()` is already fixed.
_STATEMENTS = (
    "FROM information_schema.processlist WHERE id <> connection_id() AND command IN ('Query', 'Execute')"
    f" AND coalesce(info, '') NOT LIKE '{MARK}%'"
)


def find_horizon(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    if column.kind in TIME_KINDS:
        return time_horizon(dialect, session, spec, column, table, watermark)
    return counter_horizon(dialect, session, spec, column, table, watermark)


def query_in_zone(session: Session, zone: str, sql: str) -> list[tuple[Any, ...]]:
    """One query in another time zone than the session's own."""
    session.run(f"SET SESSION time_zone = {zone}")
    try:
        return session.rows(sql)
    finally:
        session.run("SET SESSION time_zone = '+00:00'")


def read_clock(session: Session) -> Decimal:
    return Decimal(session.rows("SELECT unix_timestamp(sysdate(6))")[0][0])


def read_oldest_transaction(session: Session) -> tuple[Decimal | None, int]:
    """When the oldest open transaction or running statement began, in seconds since 1970, and how many there are.

    InnoDB reports the server's wall time in whole seconds; in the hour that repeats in autumn the earlier one is taken.
    """
    started = "min(unix_timestamp(trx_started))"
    transaction, hour_earlier, is_repeated, count = query_in_zone(
        session,
        "'SYSTEM'",
        f"SELECT {started}, {started} - 3600, CASE WHEN from_unixtime({started} - 3600) = min(trx_started) THEN 1 ELSE 0 END,"
        f" count(*) {_TRANSACTIONS}",
    )[0]
    seconds, statements = session.rows(f"SELECT unix_timestamp(sysdate(6)) - max(time) - 1, count(*) {_STATEMENTS}")[0]
    starts = [Decimal(value) for value in (hour_earlier if is_repeated else transaction, seconds) if value is not None]
    return (min(starts) if starts else None), int(count) + int(statements)


def time_horizon(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    """The oldest open transaction, else the server's clock; never below the watermark.

    Where other servers write, what has been applied of them, minus a lag for their open transactions.
    """
    clock = server_clock = read_clock(session)
    time.sleep(SETTLE_S)
    lag, method, notes, is_open = spec.policy.lag, "server clock", [], True
    moments = [clock]
    try:
        oldest, count = read_oldest_transaction(session)
        is_open = oldest is not None
        if oldest is not None:
            moments.append(oldest)
            method = f"start of the oldest of {count} open transactions and statements"
    except SourceDenied:
        lag = DEFAULT_LAG_S if lag is None else lag
        method = f"server clock minus a declared lag of {lag} s"
        notes.append(GRANT)
    origin = read_row_origin(session)
    notes.extend([origin.note] if origin.note else [])
    if origin.has_other_writers and origin.behind_s is None:
        floor = watermark[0] if watermark is not None else dialect.lowest(column)
        reason = f"held at the watermark: a {origin.name} that does not say how far it has replayed"
        unsettled = read_source_clock(None, float(server_clock), is_own=False)
        return Horizon(value=(floor,), method=reason, note="; ".join(notes) or None, clock=unsettled)
    if origin.has_other_writers:
        lag = DEFAULT_LAG_S if lag is None else lag
        clock -= (origin.behind_s or 0) + 1  # whole seconds
        method = f"clock of the rows that the {origin.name} has replayed, minus a lag of {lag} s"
        notes.append(f"a {origin.name} does not see the transactions of other servers")
        moments.append(clock)
    if lag:
        moments.append(clock - lag)
        notes.append(f"lag: {lag} s")
    is_open = is_open or origin.has_other_writers
    value, note = column_time(session, column, table, min(moments), spec.policy.cursor_zone, clock, is_open=is_open)
    notes.extend([note] if note else [])
    if watermark is not None and not is_above(dialect, session, column, value, watermark[0]):
        value = str(watermark[0])
    looked_at = read_source_clock(float(min(moments)), float(server_clock), is_own=not origin.has_other_writers)
    return Horizon(value=(value,), method=method, note="; ".join(notes) or None, clock=looked_at)


def column_time(
    session: Session,
    column: AxisColumn,
    table: str,
    moment: Decimal,
    cursor_zone: str | None = None,
    clock: Decimal | None = None,
    *,
    is_open: bool = False,
) -> tuple[str, str | None]:
    """The moment in the column's type: TIMESTAMP in UTC; DATETIME and DATE as the wall time of `cursor_zone`, else the server's.

    Wall times repeat an hour in autumn, so the horizon is the least wall time from that moment on. An application that
    writes another zone's wall time can be behind the server's: so without a declared zone the horizon is not above the earliest
    wall time that the newest row allows for either (`wall_times`; `moment` is a lag before `clock`), and while transactions are
    open, whose rows can lie below that, not above the wall time of UTC-12.
    """
    utc = utc_time(moment)
    if column.kind == "timestamptz":
        return rounded_down(utc.strftime(STAMP), column), None
    days = "; the day of the horizon itself belongs to a later run" if column.kind == "date" else ""
    if cursor_zone is not None:
        wall = min(local_times(moment, cursor_zone))
        note = f"times are taken as '{cursor_zone}', policy cursor_zone{days}"
        return (wall[:10] if column.kind == "date" else rounded_down(wall, column)), note
    walls = ", ".join(f"from_unixtime({later:f})" for later in (moment, *quarter_hours_after(moment)))
    zone, wall = query_in_zone(
        session, "@@global.time_zone", f"SELECT @@session.time_zone, CAST(CAST(least({walls}) AS DATETIME(6)) AS CHAR)"
    )[0]
    note = f"times without a zone are taken as '{zone}', the server's; not above the newest row{days}"
    if is_open:
        note += (
            "; transactions are open, so not above the time of UTC-12 at their start: policy cursor_zone says the zone"
        )
        bound = (utc - WESTERNMOST).strftime(STAMP)
    else:
        bound = _earliest(session, column, table, utc_time(clock or moment), utc)
    wall = min(str(wall), bound)
    return (wall[:10] if column.kind == "date" else rounded_down(wall, column)), note


def utc_time(moment: Decimal) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(moment * 1_000_000))


def _earliest(session: Session, column: AxisColumn, table: str, clock: datetime, since: datetime) -> str:
    """The earliest wall time of later rows."""
    rows = session.rows(
        f"SELECT CAST(CAST({column.sql} AS DATETIME(6)) AS CHAR) FROM {table} WHERE {column.sql} >= '1000-01-01'"
        f" AND {column.sql} <= '{latest_wall_time(clock).strftime(STAMP)}' ORDER BY {column.sql} DESC LIMIT 1"
    )
    if not rows:
        return ZERO
    tick = timedelta() if column.kind == "date" else timedelta(seconds=10.0 ** -stored_digits(column))
    return earliest_wall_time(datetime.strptime(str(rows[0][0]), STAMP), clock, clock - since, tick).strftime(STAMP)


def quarter_hours_after(moment: Decimal) -> list[Decimal]:
    """The quarters of an hour within three hours after a moment, at which clocks may change."""
    first = moment // QUARTER_S * QUARTER_S
    return [first + QUARTER_S * number for number in range(1, 13)]


def local_times(moment: Decimal, zone: str) -> list[str]:
    """The wall times of a zone at a moment, and at the quarters of an hour after it."""
    return [
        utc_time(later).astimezone(ZoneInfo(zone)).strftime(STAMP) for later in (moment, *quarter_hours_after(moment))
    ]


def stored_digits(column: AxisColumn) -> int:
    size = re.search(r"\((\d)\)", column.cast)
    return int(size[1]) if size else 0


def rounded_down(text: str, column: AxisColumn) -> str:
    """The time in the digits that the column stores: otherwise a later write of the same second would lie below it."""
    digits = stored_digits(column)
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction[:digits].ljust(6, '0')}"


def is_above(dialect: Dialect, session: Session, column: AxisColumn, value: int | str, floor: int | str) -> bool:
    left, right = (dialect.literal(column, item) for item in (value, floor))
    if column.kind in TIME_KINDS:
        left, right = (f"CAST({item} AS DATETIME(6))" for item in (left, right))
    collation = " COLLATE utf8mb4_bin" if column.kind == "text" else ""
    return bool(session.rows(f"SELECT CASE WHEN {left}{collation} > {right} THEN 1 ELSE 0 END")[0][0])


def read_newest_value(dialect: Dialect, session: Session, column: AxisColumn, table: str) -> int | str | None:
    newest = session.rows(
        f"SELECT {dialect.position(column, column.sql)} FROM {table} WHERE {column.sql} IS NOT NULL"
        f" ORDER BY {column.sql} DESC LIMIT 1"
    )
    return dialect.decode(column, newest[0][0]) if newest else None


def counter_horizon(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    """Just above the newest value, once every transaction that could still commit a smaller one has ended."""
    floor = watermark[0] if watermark is not None else dialect.lowest(column)
    newest = read_newest_value(dialect, session, column, table)
    if newest is None:
        return Horizon(value=(floor,), method=NO_ROW)
    method, note = "newest value after all writers ended", None
    try:
        time.sleep(SETTLE_S)
        open_writers = wait_for_writers(lambda: read_writers(session), LOCK_WAIT_S, LOCK_POLL_S)
        is_blind = read_row_origin(session).has_other_writers
    except SourceDenied:
        open_writers, is_blind = [], True
    if is_blind and not spec.policy.lag:
        raise ConfigError(
            f"{spec.unit_id}: it cannot be seen who writes, so the counter '{column.name}' has no safe horizon",
            hint=f"{GRANT} (not on a replica or in a cluster); or declare policy lag, in units of the counter; or a cursor of time",
        )
    if is_blind:
        method, note = f"newest value minus a declared lag of {spec.policy.lag}", GRANT
    if open_writers:
        names = f"open writers after {LOCK_WAIT_S:g} s: {', '.join(open_writers)}"
        return Horizon(value=(floor,), method="held at the watermark by open writers", note=names)
    top, ties = above_newest(dialect, session, spec, column, newest, greatest=2**64 - 1, lag=spec.policy.lag or 0)
    note = ties or note
    value = top if is_above(dialect, session, column, top, floor) else floor
    return Horizon(value=(value,), method=method, note=note)


def read_writers(session: Session) -> dict[str, str]:
    """Transactions that hold locks or have changed rows, of any table, and running statements: id -> name."""
    transactions = session.rows(
        "SELECT concat('t', trx_id), concat('connection ', trx_mysql_thread_id)"
        f" {_TRANSACTIONS} AND (trx_rows_modified > 0 OR trx_lock_structs > 0 OR trx_tables_locked > 0)"
    )
    statements = session.rows(
        f"SELECT concat('s', id), concat('connection ', id) {_STATEMENTS} AND info NOT LIKE 'SELECT%'"
    )
    return dict([*transactions, *statements])
