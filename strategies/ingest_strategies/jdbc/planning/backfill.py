"""A person's own interval of the cursor: read again, moving no watermark."""

from datetime import datetime
from decimal import Decimal

from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.types import Axis, Effect, Interval, Position, Scope
from ingest_strategies.jdbc.dialect import TIME_KINDS
from ingest_strategies.jdbc.planning.probe import SEGMENT, Look, counted, estimate


def between(look: Look, lower: str | None, upper: str | None) -> list[Scope]:
    """One scope over `[lower, upper)`; the database says what the bounds mean in the cursor's type."""
    if look.cursor is None:
        raise ConfigError(
            f"{look.view.spec.unit_id}: only a unit that follows a cursor can be backfilled",
            hint="set run_mode to INCREMENTAL and policy.cursor",
        )
    target = Interval(lower=bound(look, lower), upper=bound(look, upper))
    rows = counted(look.session, look.view, look.view.cursor.within(target))
    return [
        Scope(
            scope_id="backfill",
            segment=SEGMENT,
            axis=Axis(kind="cursor", columns=tuple(column.name for column in look.view.cursor.columns)),
            target=target,
            effect=Effect.AHEAD,
            estimated_rows=estimate(rows),
        )
    ]


def bound(look: Look, text: str | None) -> Position | None:
    if text is None:
        return None
    dialect, column = look.view.dialect, look.view.cursor.columns[0]
    try:
        value: int | str = int(text) if column.kind == "int" else text
        if column.kind in TIME_KINDS:
            datetime.fromisoformat(text)  # SQLite would compare any text at all
        if column.kind in ("decimal", "float"):
            Decimal(text)
        literal = dialect.position(column, dialect.literal(column, value))
        return (dialect.decode(column, look.session.rows(dialect.scalar(literal))[0][0]),)
    except (ValueError, ArithmeticError, IngestError):
        raise ConfigError(
            f"{look.view.spec.unit_id}: '{text}' is no value of cursor '{column.name}' ({column.kind})",
            hint="for example 2026-01-31, or 2026-01-31T12:00:00+00:00, or a number",
        ) from None
