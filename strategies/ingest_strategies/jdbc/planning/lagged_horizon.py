"""The upper bound of a run where a server tells little of what others do: its clock or its newest counter, minus a lag
that is declared, and never above the start of a transaction that can be seen.

Wall times repeat an hour in autumn. So a time without a zone has an hour more of lag, and a transaction counts as an hour
older than its start, which servers tell as wall time, says.
"""

from dataclasses import dataclass

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Horizon, Position, UnitSpec
from ingest_strategies.jdbc.dialect import TIME_KINDS, AxisColumn, Dialect, Session

LAG_S = 300  # longer than what an interactive application holds a transaction open
REPEATED_HOUR_S = 3600


@dataclass(frozen=True)
class Clock:
    """What the server told: an SQL expression for its clock in the cursor's type, and how long ago, in seconds, the
    oldest open transaction began (None: there is none; `note`: why it is not known)."""

    sql: str
    oldest_s: int | None = None
    note: str | None = None


def of_time(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, clock: Clock, watermark: Position | None
) -> Horizon:
    has_zone = column.kind == "timestamptz"
    lag = spec.policy.lag
    if lag is None:
        lag = LAG_S if has_zone else LAG_S + REPEATED_HOUR_S
    notes = [f"lag: {lag} s", *([clock.note] if clock.note else [])]
    method, back = f"server clock minus a declared lag of {lag} s", lag
    if clock.oldest_s is not None and clock.oldest_s + REPEATED_HOUR_S > lag:
        back = clock.oldest_s + REPEATED_HOUR_S
        method = "an hour before the start of the oldest open transaction"
    if not has_zone:
        notes.append("times without a zone are taken as the server's or as UTC, whichever is earlier")
    now = dialect.decode(column, session.rows(dialect.scalar(clock.sql))[0][0])
    value = moved(dialect, session, column, now, back)
    if watermark is not None and not is_above(dialect, session, column, value, watermark[0]):
        value = watermark[0]
    return Horizon(value=(value,), method=method, note="; ".join(notes))


def of_counter(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
) -> Horizon:
    floor = watermark[0] if watermark is not None else dialect.lowest(column)
    lag = spec.policy.lag
    if not lag:
        raise ConfigError(
            f"{spec.unit_id}: it cannot be seen who writes, so the counter '{column.name}' has no safe horizon",
            hint="declare policy lag, in units of the counter; or a cursor of time",
        )
    end = dialect.page(1, order=f"ORDER BY {column.sql} DESC")
    newest = session.rows(
        f"SELECT {dialect.position(column, column.sql)} FROM {table} WHERE {column.sql} IS NOT NULL {end}"
    )
    if not newest:
        return Horizon(value=(floor,), method="the table has no counted row yet")
    value = moved(dialect, session, column, dialect.decode(column, newest[0][0]), lag)
    if not is_above(dialect, session, column, value, floor):
        value = floor
    return Horizon(value=(value,), method=f"newest value minus a declared lag of {lag}")


def moved(dialect: Dialect, session: Session, column: AxisColumn, value: int | str, span: int) -> int | str:
    expression = dialect.position(column, dialect.earlier(column, value, span))
    return dialect.decode(column, session.rows(dialect.scalar(expression))[0][0])


def is_above(dialect: Dialect, session: Session, column: AxisColumn, value: int | str, floor: int | str) -> bool:
    left, right = (dialect.literal(column, item) for item in (value, floor))
    left = f"{left} COLLATE {column.collation}" if column.collation else left
    return bool(session.rows(dialect.scalar(f"CASE WHEN {left} > {right} THEN 1 ELSE 0 END"))[0][0])


def is_time(column: AxisColumn) -> bool:
    return column.kind in TIME_KINDS
