"""The upper bound of a run of SQLite, where one connection writes at a time.

Commits happen in the order of writing, so later rows are not older than the visible ones, except those of the one
transaction that may be open now: SQLite's write lock shows whether there is one.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import adbc_driver_sqlite.dbapi as driver
from adbc_driver_manager import Error as AdbcError

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Horizon, Position, UnitSpec
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import AxisColumn, Dialect, Session
from ingest_strategies.jdbc.planning.counters import value_earlier
from ingest_strategies.jdbc.planning.lookback import read_source_clock
from ingest_strategies.jdbc.planning.wall_times import earliest_wall_time, latest_wall_time
from ingest_strategies.jdbc.sqlite.config import SqliteConfig
from ingest_strategies.jdbc.values.text_times import TimeShape, moment_of, now_utc, shape_of

LOCK_WAIT_MS = 500  # other units hold the lock for less than a millisecond each


def find_horizon(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    """Never below the watermark. The clock is read before the lock, the lock before the newest row."""
    moment = now_utc()
    is_writing = has_writer(spec)
    floor = watermark[0] if watermark is not None else dialect.lowest(column)
    newest = read_newest_value(dialect, session, column, table)
    if newest is None:
        return Horizon(value=(floor,), method="the table has no row with a cursor yet")
    shape = shape_of(newest) if isinstance(newest, str) and column.kind in ("text", "date", "timestamp") else None
    note, clock = None, None
    if shape is not None:
        clock_s = moment.replace(tzinfo=UTC).timestamp()
        clock = read_source_clock(None if is_writing else clock_s - (spec.policy.lag or 0), clock_s)
    if is_writing:
        top, method = newest, "newest row, while a transaction is open"
        note = "rows that tie with the newest one belong to a later run"
    elif shape is not None and isinstance(newest, str):
        latest = shape.write(latest_wall_time(moment.replace(tzinfo=UTC)))
        top, method = time_horizon(spec, shape, read_newest_until(dialect, session, column, table, latest), moment)
    else:
        top, method, note = counter_horizon(dialect, session, spec, column, newest)
    if watermark is not None and not is_above(dialect, session, column, top, floor):
        top = floor
    return Horizon(value=(top,), method=method, note=note, clock=clock)


def time_horizon(spec: UnitSpec, shape: TimeShape, newest: str | None, moment: datetime) -> tuple[str, str]:
    """The clock in the shape of the stored text, but just above the newest row at most; of text without a zone not above the earliest
    wall time that the newest row allows for, because an application that writes local time may be behind UTC. Text of one shape
    orders as time does."""
    lag = timedelta(seconds=spec.policy.lag or 0)
    clock, last = shape.write(moment - lag), moment_of(newest) if newest is not None else None
    tick = shape.step if shape.separator else timedelta()
    if last is None:
        bound = datetime.min
    else:
        bound = last + tick if shape.zone else earliest_wall_time(last, moment.replace(tzinfo=UTC), lag, tick)
    after = shape.write(bound)
    if after < clock:
        return after, "just above the newest row, or the earliest wall time after it; no transaction is open"
    seconds = int(lag.total_seconds())
    return clock, f"clock (UTC) minus {seconds} s" if seconds else "clock (UTC); no transaction is open"


def counter_horizon(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, newest: int | str
) -> tuple[int | str, str, str | None]:
    """Just above the newest value of a unique whole number; else the newest value itself, whose ties wait."""
    method = "newest value; no transaction is open"
    if spec.policy.lag:
        return value_earlier(dialect, session, column, newest, spec.policy.lag), method, f"lag: {spec.policy.lag}"
    is_unique = (column.name,) in (spec.dataset.primary_key, *spec.dataset.unique_keys)
    is_rowid = column.name == spec.dataset.facts.get("rowid")
    if isinstance(newest, int) and (is_unique or is_rowid) and newest < 2**63 - 1:
        return newest + 1, method, None
    return newest, method, f"rows that tie at {newest} belong to a later run until it is passed"


def read_newest_value(dialect: Dialect, session: Session, column: AxisColumn, table: str) -> int | str | None:
    """The largest cursor. Text among numbers, or two forms of a time, have no common order: they are refused."""
    ends = []
    for direction in ("", " DESC"):
        rows = session.rows(
            f"SELECT {dialect.position(column, column.sql)}, typeof({column.sql}) FROM {table}"
            f" WHERE {column.sql} IS NOT NULL ORDER BY {column.sql}{direction} LIMIT 1"
        )
        if not rows:
            return None
        ends.append(rows[0])
    classes = {"number" if kind in ("integer", "real") else kind for _, kind in ends}
    if len(classes) > 1 or ends[1][0] is None:
        raise ConfigError(
            f"cursor '{column.name}' holds values of several kinds ({', '.join(sorted(classes))}), which have no common order",
            hint="choose another cursor",
        )
    return dialect.decode(column, ends[1][0])


def read_newest_until(dialect: Dialect, session: Session, column: AxisColumn, table: str, latest: str) -> str | None:
    rows = session.rows(
        f"SELECT {dialect.position(column, column.sql)} FROM {table} WHERE {column.sql} <= {dialect.literal(column, latest)}"
        f" ORDER BY {column.sql} DESC LIMIT 1"
    )
    return str(dialect.decode(column, rows[0][0])) if rows else None


def is_above(dialect: Dialect, session: Session, column: AxisColumn, value: int | str, floor: int | str) -> bool:
    left, right = dialect.literal(column, value), dialect.literal(column, floor)
    return bool(session.rows(f"SELECT {left} > {right} COLLATE BINARY")[0][0])


def has_writer(spec: UnitSpec) -> bool:
    """Whether the file's one write lock stays held, tested by acquiring it and releasing it at once. A writer that ends meanwhile has
    committed before the newest row is read; so do other units that test the lock.

    A file that cannot be opened for writing counts as locked: that is the safe answer.
    """
    config = parse_config(SqliteConfig, spec.endpoint)
    target = f"file:{quote(str(Path(config.path).absolute()))}?mode=rw"
    try:
        with driver.connect(target, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_MS}")
            cursor.fetchall()
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
    except AdbcError:
        return True
    return False
