"""The upper bound of a run where the server hardly shows other transactions: its clock or its newest counter, minus a
declared lag, and never above the start of a transaction that is visible.

Wall times repeat an hour in autumn. So a time without a zone has an hour more of lag, and a transaction counts as an hour
older than its start, because servers report the start as wall time.
"""

from dataclasses import dataclass

from ingest_ray.sdk.errors import ConfigError, SourceError
from ingest_ray.sdk.types import Horizon, Position, UnitSpec
from ingest_strategies.jdbc.dialect import TIME_KINDS, AxisColumn, Dialect, Session
from ingest_strategies.jdbc.planning.counters import NO_ROW, value_earlier

LAG_S = 300  # longer than an interactive application usually holds a transaction open
REPEATED_HOUR_S = 3600


@dataclass(frozen=True)
class ServerClock:
    """`sql` is the server's clock in the cursor's type; `oldest_s` how many seconds ago the oldest open transaction began
    (None: there is none; `note`: why it is unknown)."""

    sql: str
    oldest_s: int | None = None
    note: str | None = None


def read_oldest_transaction(
    session: Session, query: str, grant: str, *denied: type[SourceError]
) -> tuple[int | None, str | None]:
    """The age in seconds of the oldest open transaction, and `grant` as a note where the server raises `denied`."""
    try:
        age = session.rows(query)[0][0]
    except denied:
        return None, grant
    return (None if age is None else max(0, int(age))), None


def time_horizon(
    dialect: Dialect,
    session: Session,
    spec: UnitSpec,
    column: AxisColumn,
    clock: ServerClock,
    watermark: Position | None,
) -> Horizon:
    has_zone = column.kind == "timestamptz"
    lag = spec.policy.lag
    if lag is None:
        lag = LAG_S if has_zone else LAG_S + REPEATED_HOUR_S
    notes = [f"lag: {lag} s", *([clock.note] if clock.note else [])]
    method, distance_s = f"server clock minus a declared lag of {lag} s", lag
    if clock.oldest_s is not None and clock.oldest_s + REPEATED_HOUR_S > lag:
        distance_s = clock.oldest_s + REPEATED_HOUR_S
        method = "an hour before the start of the oldest open transaction"
    if not has_zone:
        notes.append("times without a zone are taken as the server's or as UTC, whichever is earlier")
    now = dialect.decode(column, session.rows(dialect.select_value(clock.sql))[0][0])
    value = value_earlier(dialect, session, column, now, distance_s)
    if watermark is not None and not is_above(dialect, session, column, value, watermark[0]):
        value = watermark[0]
    return Horizon(value=(value,), method=method, note="; ".join(notes))


def counter_horizon(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    floor = watermark[0] if watermark is not None else dialect.lowest(column)
    lag = spec.policy.lag
    if not lag:
        raise ConfigError(
            f"{spec.unit_id}: it cannot be seen who writes, so the counter '{column.name}' has no safe horizon",
            hint="declare policy lag, in units of the counter; or a cursor of time",
        )
    end = dialect.limit_clause(1, order=f"ORDER BY {column.sql} DESC")
    newest = session.rows(
        f"SELECT {dialect.position(column, column.sql)} FROM {table} WHERE {column.sql} IS NOT NULL {end}"
    )
    if not newest:
        return Horizon(value=(floor,), method=NO_ROW)
    value = value_earlier(dialect, session, column, dialect.decode(column, newest[0][0]), lag)
    if not is_above(dialect, session, column, value, floor):
        value = floor
    return Horizon(value=(value,), method=f"newest value minus a declared lag of {lag}")


def is_above(dialect: Dialect, session: Session, column: AxisColumn, value: int | str, floor: int | str) -> bool:
    left, right = (dialect.literal(column, item) for item in (value, floor))
    left = f"{left} COLLATE {column.collation}" if column.collation else left
    return bool(session.rows(dialect.select_value(f"CASE WHEN {left} > {right} THEN 1 ELSE 0 END"))[0][0])


def is_time(column: AxisColumn) -> bool:
    return column.kind in TIME_KINDS
