"""Reads one slice of any database."""

import time
from collections.abc import Iterator

import pyarrow as pa

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SliceTooLarge, SnapshotLost, SourceLocked, SourceUnavailable
from ingest_ray.sdk.types import Interval, Position, Slice, UnitSpec
from ingest_strategies.jdbc.dialect import Dialect, Session
from ingest_strategies.jdbc.planning.cuts import next_boundary
from ingest_strategies.jdbc.planning.probe import DEFAULT_ROW_BYTES
from ingest_strategies.jdbc.sessions.lock_waits import LOCK_PATIENCE_S
from ingest_strategies.jdbc.table_view import TableView

TOLERANCE = 2.0
"""Rows may be this many times larger than planned before a slice over its budget is returned for another cut: one huge row among
small ones then does not return a slice again and again."""


def read(dialect: Dialect, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
    """Yields the slice's rows. A table that another session has locked is asked for again and again, without holding any lock.

    Raises:
        SnapshotLost: it stayed locked; the planner may be what the other session waits for.
    """
    deadline = time.monotonic() + LOCK_PATIENCE_S
    is_first = True
    while True:
        try:
            for batch in read_once(dialect, spec, piece, context):
                is_first = False
                yield batch
            return
        except SourceLocked as error:
            if not is_first or context.is_stopping():
                raise
            if time.monotonic() > deadline:
                raise SnapshotLost(f"{spec.unit_id}: {error.message}", hint=error.hint) from None


def read_once(dialect: Dialect, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
    """Where the table may have grown since it was cut, the database first returns the position up to which the budget
    reaches; without a snapshot that is the only bound."""
    view = TableView(dialect, spec)
    with dialect.open_reader(spec) as session:
        dialect.check_columns(session, spec.dataset, view.columns)
        dialect.enter_snapshot(session, spec, piece.snapshot)
        if spec.policy.where:
            dialect.prepare_filter(session)
        end = budget_end(session, view, piece, context)
        interval = piece.interval if end is None else Interval(lower=piece.interval.lower, upper=end)
        yield from stream_rows(dialect, session, view, piece, interval, context)
        dialect.leave_snapshot(session, spec, piece.snapshot)
    if end is not None:
        raise SliceTooLarge(f"{spec.unit_id}: slice '{piece.slice_id}' grew beyond its budget", position=end)


def budget_end(session: Session, view: TableView, piece: Slice, context: ReadContext) -> Position | None:
    """The position at which a slice that has grown must stop; None: it has not grown."""
    if (
        piece.snapshot is not None
        or piece.nulls
        or piece.hints.get("is_exact")
        or piece.axis.kind not in ("key", "cursor")
    ):
        return None
    rows = max(
        int(numeric_hint(piece, "max_rows", 1)),
        int(context.budget_bytes / numeric_hint(piece, "row_bytes", DEFAULT_ROW_BYTES)),
    )
    return next_boundary(session, view, view.axis(piece.axis), piece.interval, rows)


def stream_rows(
    dialect: Dialect, session: Session, view: TableView, piece: Slice, interval: Interval, context: ReadContext
) -> Iterator[pa.RecordBatch]:
    rows = total = 0
    planned = numeric_hint(piece, "row_bytes", DEFAULT_ROW_BYTES)
    for fetched in dialect.read(session, view.spec, piece, source_of(view, piece, interval), context):
        if context.is_stopping():
            raise SourceUnavailable(f"{view.spec.unit_id}: reading was stopped")
        rows += fetched.rows_read
        total += fetched.batch.nbytes
        row_bytes = total / rows
        if (
            total > context.budget_bytes
            and rows > 1
            and row_bytes > TOLERANCE * planned
            and not piece.hints.get("is_atom")
        ):
            raise SliceTooLarge(
                f"{view.spec.unit_id}: slice '{piece.slice_id}' has {row_bytes:.0f} bytes a row, not {planned:.0f}",
                bytes_per_row=row_bytes,
            )
        if fetched.batch.num_rows:
            yield fetched.batch


def source_of(view: TableView, piece: Slice, interval: Interval) -> str:
    below = piece.hints.get("below")
    position = tuple(item for item in below if isinstance(item, int | str)) if isinstance(below, list) else None
    conditions = view.axis(piece.axis).within(interval, piece.nulls)
    return view.source([*conditions, *view.load_filters(piece.effect, position)])


def numeric_hint(piece: Slice, name: str, default: float) -> float:
    value = piece.hints.get(name)
    return float(value) if isinstance(value, int | float) and value > 0 else default
