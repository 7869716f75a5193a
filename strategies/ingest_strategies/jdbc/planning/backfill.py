"""The backfill of a requested interval of the cursor: it is read again and moves no watermark."""

from datetime import datetime
from decimal import Decimal

from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.types import Axis, Effect, Interval, Position, Scope
from ingest_strategies.jdbc.dialect import TIME_KINDS
from ingest_strategies.jdbc.planning.probe import SEGMENT, TableProbe, count_rows, exact_count


def backfill_scopes(probe: TableProbe, lower: str | None, upper: str | None) -> list[Scope]:
    """One scope over `[lower, upper)`; the database converts the bounds to the cursor's type."""
    if probe.cursor is None:
        raise ConfigError(
            f"{probe.view.spec.unit_id}: only a unit that follows a cursor can be backfilled",
            hint="set run_mode to INCREMENTAL and policy.cursor",
        )
    target = Interval(lower=parse_bound(probe, lower), upper=parse_bound(probe, upper))
    rows = count_rows(probe.session, probe.view, probe.view.cursor.within(target))
    return [
        Scope(
            scope_id="backfill",
            segment=SEGMENT,
            axis=Axis(kind="cursor", columns=tuple(column.name for column in probe.view.cursor.columns)),
            target=target,
            effect=Effect.AHEAD,
            estimated_rows=exact_count(rows),
        )
    ]


def parse_bound(probe: TableProbe, text: str | None) -> Position | None:
    if text is None:
        return None
    dialect, column = probe.view.dialect, probe.view.cursor.columns[0]
    try:
        value: int | str = int(text) if column.kind == "int" else text
        if column.kind in TIME_KINDS:
            datetime.fromisoformat(text)  # SQLite would accept any text
        if column.kind in ("decimal", "float"):
            Decimal(text)
        literal = dialect.position(column, dialect.literal(column, value))
        return (dialect.decode(column, probe.session.rows(dialect.select_value(literal))[0][0]),)
    except (ValueError, ArithmeticError, IngestError):
        raise ConfigError(
            f"{probe.view.spec.unit_id}: '{text}' is no value of cursor '{column.name}' ({column.kind})",
            hint="for example 2026-01-31, or 2026-01-31T12:00:00+00:00, or a number",
        ) from None
