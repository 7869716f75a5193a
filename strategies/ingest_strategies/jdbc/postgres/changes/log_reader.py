"""Reads one interval of the log: the net changes of a table for an upsert, or every change for an append.

The slot's transactions are read without being consumed, up to the end of the interval; those below it are left out here. So the
interval can be read again, with the same result.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from ingest_ray.sdk.changes import table_columns
from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceUnavailable
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
from ingest_strategies.jdbc.changes.net_changes import ColumnOrder, NetChanges, NetRow
from ingest_strategies.jdbc.dialect import Dialect, Session
from ingest_strategies.jdbc.postgres.catalog import read_column_types
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_text, number_of
from ingest_strategies.jdbc.postgres.changes.messages import decode_changes
from ingest_strategies.jdbc.postgres.changes.publication import publication_name, table_literal
from ingest_strategies.jdbc.postgres.changes.slot import read_slot, require_slot, slot_name, wait_until_visible
from ingest_strategies.jdbc.postgres.changes.values import text_converter
from ingest_strategies.jdbc.standard_sql import quoted, quoted_text
from ingest_strategies.jdbc.values.convert import Convert

MONEY_DIGITS = "SELECT scale(0::money::numeric)::bigint"


def peek_sql(spec: UnitSpec, upto: int, columns: str, where: str = "", most_changes: int | None = None) -> str:
    """A query over the slot's messages up to a position, which consumes none of them."""
    most = "NULL" if most_changes is None else str(most_changes)
    return (
        f"SELECT {columns} FROM pg_logical_slot_peek_binary_changes({quoted_text(slot_name(spec))}, {quoted_text(lsn_text(upto))}::pg_lsn,"
        f" {most}, 'proto_version', '1', 'publication_names', {quoted_text(quoted(publication_name(spec)))}) {where}"
    )


def read_relation_oid(session: Session, spec: UnitSpec) -> int:
    return int(session.rows(f"SELECT {table_literal(spec)}::regclass::oid::bigint")[0][0])


def read_changes(session: Session, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[Change]:
    """The table's changes whose commits are in the slice's interval.

    Raises:
        LogGone: the slot was moved on, lost or made again, so that changes may be missing; none that were yielded count.
    """
    assert piece.interval.lower is not None
    assert piece.interval.upper is not None
    lower, upper = number_of(piece.interval.lower), number_of(piece.interval.upper)
    oid = read_relation_oid(session, spec)

    def messages() -> Iterator[bytes]:
        options = {"adbc.postgresql.batch_size_hint_bytes": str(context.page_bytes)}
        for batch in session.batches(peek_sql(spec, upper, "data"), options):
            if context.is_stopping():
                raise SourceUnavailable(f"{spec.unit_id}: reading was stopped")
            yield from batch.column(0).to_pylist()

    for change in decode_changes(messages()):
        if change.relation.oid == oid and lower <= change.lsn < upper:
            yield change
    # A slot only moves forward: it had everything while it was read, if it has it now.
    require_slot(read_slot(session, slot_name(spec)), slot_name(spec), lower)


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
        changes = read_changes(session, spec, piece, context)
        if spec.write_mode is WriteMode.APPEND:
            rows = (change_row(order, change) for change in changes)
            for part in in_batches(rows):
                yield writer.batch(part)
            refuse_changed_table(dialect, session, spec, order, columns.names)
            return
        net = NetChanges(order)
        for change in changes:
            net.apply(change)
        refuse_changed_table(dialect, session, spec, order, columns.names)
    moved: list[NetRow] = []
    for part in in_batches(unmoved(net.rows(), moved)):
        yield writer.batch(part)
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
