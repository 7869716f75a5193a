"""Steps of every counter's horizon: the value above the newest one, and the wait for open writers."""

import time
from collections.abc import Callable

from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.jdbc.dialect import AxisColumn, Dialect, Session

NO_ROW = "the table has no counted row yet"


def value_earlier(dialect: Dialect, session: Session, column: AxisColumn, value: int | str, span: int) -> int | str:
    """The value that lies `span` below another, computed by the database."""
    expression = dialect.position(column, dialect.earlier(column, value, span))
    return dialect.decode(column, session.rows(dialect.select_value(expression))[0][0])


def above_newest(
    dialect: Dialect, session: Session, spec: UnitSpec, column: AxisColumn, newest: int | str, greatest: int, lag: int
) -> tuple[int | str, str | None]:
    """Just above the newest value of a unique whole number (up to `greatest`), else the newest value, whose ties wait; or
    the newest value minus a lag. With a note."""
    if lag:
        return value_earlier(dialect, session, column, newest, lag), None
    is_unique = (column.name,) in (spec.dataset.primary_key, *spec.dataset.unique_keys)
    if column.kind == "int" and is_unique and int(newest) < greatest:
        return int(newest) + 1, None
    return newest, f"'{column.name}' is not unique: rows that tie at {newest} belong to a later run until it is passed"


def wait_for_writers(read_writers: Callable[[], dict[str, str]], limit_s: float, poll_s: float) -> list[str]:
    """Waits until the present writers have ended; returns the names of those that have not within `limit_s`.

    `read_writers` gives the open transactions: id -> name. Those that begin later are not waited for.
    """
    remaining = read_writers()
    deadline = time.monotonic() + limit_s
    while remaining and time.monotonic() < deadline:
        time.sleep(poll_s)
        current = read_writers()
        remaining = {key: name for key, name in remaining.items() if key in current}
    return sorted(remaining.values())
