"""The backfill of a requested interval of the cursor: it is read again and moves no watermark."""

from datetime import UTC, datetime
from decimal import Decimal

from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.types import Axis, Effect, Interval, Position, Scope
from ingest_strategies.jdbc.dialect import TIME_KINDS
from ingest_strategies.jdbc.planning.probe import SEGMENT, TableProbe, count_rows, exact_count
from ingest_strategies.jdbc.values.text_times import moment_of, shape_of

EXAMPLES = "for example 2026-01-31, or 2026-01-31T12:00:00+00:00, or a number"


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
    """Raises `ConfigError` for a text that is no value of the cursor."""
    if text is None:
        return None
    dialect, column = probe.view.dialect, probe.view.cursor.columns[0]
    newest = probe.cursor.horizon.value[0] if probe.cursor is not None else None
    are_numbers = column.kind == "int" or (column.kind in TIME_KINDS and isinstance(newest, int))
    try:
        value: int | str = int(text) if are_numbers else text
        if column.kind in TIME_KINDS and not are_numbers:
            datetime.fromisoformat(text)  # SQLite would accept any text
        if column.kind in ("decimal", "float"):
            Decimal(text)
        if column.kind == "text" or (column.kind in TIME_KINDS and dialect.are_times_text):
            value = written_as(newest, value)
        literal = dialect.position(column, dialect.literal(column, value))
        return (dialect.decode(column, probe.session.rows(dialect.select_value(literal))[0][0]),)
    except (ValueError, ArithmeticError, IngestError):
        example = f"for example {newest}, as the column holds it" if are_numbers else EXAMPLES
        raise ConfigError(
            f"{probe.view.spec.unit_id}: '{text}' is no value of cursor '{column.name}' ({column.kind})", hint=example
        ) from None


def written_as(stored: int | str | None, bound: int | str) -> int | str:
    """A bound of time as the source writes its times: `2026-01-02T00:00Z` sorts after all texts of that day that have a blank.

    Unchanged where one of both is no time. A moment that the stored shape cannot show becomes the next one that it can.
    """
    shape = shape_of(stored) if isinstance(stored, str) else None
    if shape is None or not isinstance(bound, str):
        return bound
    try:
        moment = datetime.fromisoformat(bound)
    except ValueError:
        return bound
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo is not None else moment
    written = shape.write(moment)
    return written if moment_of(written) == moment else shape.write(moment + shape.step)
