"""Reads one interval of the log: the net changes of a table for an upsert, or every change for an append.

The slot's transactions are read without being consumed, up to the end of the interval or of a part that another unit has read; those outside
of the interval are left out here. So the interval can be read again, with the same result.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from ingest_ray.sdk.changes import table_columns
from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.types import Slice, UnitSpec, WriteMode
from ingest_strategies.jdbc.changes.change import Change
from ingest_strategies.jdbc.changes.change_rows import (
    RowWriter,
    change_row,
    in_batches,
    read_moved,
    refuse_added_columns,
    unmoved,
)
from ingest_strategies.jdbc.changes.net_changes import ColumnOrder, NetChanges
from ingest_strategies.jdbc.dialect import Dialect, Session
from ingest_strategies.jdbc.postgres.catalog import read_column_types
from ingest_strategies.jdbc.postgres.changes.applied_messages import MOST_BYTES, AppliedMessages
from ingest_strategies.jdbc.postgres.changes.log_parts import COMPILED_BYTES, LogPart
from ingest_strategies.jdbc.postgres.changes.lsn import number_of
from ingest_strategies.jdbc.postgres.changes.messages import decode_changes
from ingest_strategies.jdbc.postgres.changes.published_table import require_planned
from ingest_strategies.jdbc.postgres.changes.slot import wait_until_visible
from ingest_strategies.jdbc.postgres.changes.unit_slot import find_or_read, find_unit_slot, read_relation_oid
from ingest_strategies.jdbc.postgres.changes.values import text_converter
from ingest_strategies.jdbc.values.convert import Convert

MONEY_DIGITS = "SELECT scale(0::money::numeric)::bigint"


def read_slice_part(session: Session, spec: UnitSpec, piece: Slice, context: ReadContext) -> LogPart:
    """One that has the slice's interval. Raises what `find_or_read` raises."""
    lower, upper = bounds_of(piece)
    return find_or_read(session, spec, lower, upper, is_exact=True, is_stopping=context.is_stopping)


def bounds_of(piece: Slice) -> tuple[int, int]:
    assert piece.interval.lower is not None
    assert piece.interval.upper is not None
    return number_of(piece.interval.lower), number_of(piece.interval.upper)


def read_changes(session: Session, spec: UnitSpec, piece: Slice, part: LogPart, oid: int) -> Iterator[Change]:
    """The table's changes whose commits are in the slice's interval. See `require_still_there`."""
    lower, upper = bounds_of(piece)
    for change in decode_changes(part.messages(oid)):
        if lower <= change.lsn < upper:
            yield change
    require_still_there(session, spec, piece)


def require_still_there(session: Session, spec: UnitSpec, piece: Slice) -> None:
    """After the messages were read.

    Raises:
        LogGone: the slot was moved on, lost or made again, so that changes may be missing; none that were yielded count.
        SnapshotLost: the server has another history of the log than the plan was made of.
    """
    lower, upper = bounds_of(piece)
    find_unit_slot(session, spec).require(lower)
    require_planned(session, spec, piece, upper)


def read_log(dialect: Dialect, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
    columns = table_columns(context.schema)
    order = ColumnOrder(columns.names, spec.key)
    with dialect.open(spec.endpoint) as session:
        dialect.check_columns(session, spec.dataset, columns.names)
        money_digits = _money_digits(session, spec)
        forms = spec.dataset.facts.get("select")

        def converter(field: pa.Field) -> Convert:
            form = str(forms.get(field.name, "")) if isinstance(forms, dict) else ""
            return text_converter(form, money_digits)

        writer = RowWriter(spec, context, columns, converter)
        part, oid = read_slice_part(session, spec, piece, context), read_relation_oid(session, spec)
        is_append = spec.write_mode is WriteMode.APPEND
        batches: Iterator[pa.RecordBatch]
        if COMPILED_BYTES <= part.size_of(oid) <= MOST_BYTES:
            applied = AppliedMessages(part.framed(oid), order, *bounds_of(piece), is_append=is_append)
            require_still_there(session, spec, piece)
            refuse_changed_table(dialect, session, spec, order, columns.names)
            batches = applied.batches(writer)
            moved = applied.moved_rows()
        elif is_append:
            rows = (change_row(order, change) for change in read_changes(session, spec, piece, part, oid))
            for some in in_batches(rows):
                yield writer.batch(some)
            refuse_changed_table(dialect, session, spec, order, columns.names)
            return
        else:
            net = NetChanges(order)
            for change in read_changes(session, spec, piece, part, oid):
                net.apply(change)
            refuse_changed_table(dialect, session, spec, order, columns.names)
            moved = []
            batches = map(writer.batch, in_batches(list(unmoved(net.rows(), moved))))
    yield from batches
    if moved:  # the log has their commits before other sessions see them
        with dialect.open(spec.endpoint) as session:
            wait_until_visible(session, {row.change.xid for row in moved})
    yield from read_moved(dialect, spec, moved, writer)


def refuse_changed_table(
    dialect: Dialect, session: Session, spec: UnitSpec, order: ColumnOrder, names: Sequence[str]
) -> None:
    """After the log was read; see `refuse_added_columns`."""
    dialect.check_columns(session, spec.dataset, names)
    refuse_added_columns(spec, order, lambda: read_column_types(session, spec.dataset))


def _money_digits(session: Session, spec: UnitSpec) -> int:
    forms = spec.dataset.facts.get("select")
    has_money = isinstance(forms, dict) and "money" in forms.values()
    return int(session.rows(MONEY_DIGITS)[0][0]) if has_money else 2
