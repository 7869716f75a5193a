"""Reads an interval of the binary log: the net changes of a table for an upsert, or every change for an append."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.sdk.changes import table_columns
from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import LogGone
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
from ingest_strategies.jdbc.mysql.catalog import read_column_types
from ingest_strategies.jdbc.mysql.changes.character_sets import CharacterSets
from ingest_strategies.jdbc.mysql.changes.event_stream import RELOAD_HINT
from ingest_strategies.jdbc.mysql.changes.intervals import (
    is_at_end,
    part_from,
    read_log_table,
    transactions_between,
    transactions_of,
)
from ingest_strategies.jdbc.mysql.changes.part_reader import LogTable
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.changes.rows import FULL_METADATA, RowDecoder
from ingest_strategies.jdbc.mysql.changes.server import read_server
from ingest_strategies.jdbc.values.wire_text import parse_text


def read_log(dialect: Dialect, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
    columns = table_columns(context.schema)
    order = ColumnOrder(columns.names, spec.key)
    writer = RowWriter(spec, context, columns, lambda field: parse_text)
    with dialect.open(spec.endpoint) as session:
        dialect.check_columns(session, spec.dataset, columns.names)
        log = TableChanges(
            read_log_table(session, spec, read_server(session)), RowDecoder(spec.dataset, CharacterSets(session))
        )
        changes = log.between(piece, context)
        if spec.write_mode is WriteMode.APPEND:
            for part in in_batches(change_row(order, change) for change in changes):
                yield writer.batch(part)
            refuse_changed_table(dialect, session, log, order, columns.names)
            return
        net = NetChanges(order)
        for change in changes:
            net.apply(change)
        refuse_changed_table(dialect, session, log, order, columns.names)
    moved: list[NetRow] = []
    for part in in_batches(unmoved(net.rows(), moved)):
        yield writer.batch(part)
    yield from read_moved(dialect, spec, moved, writer)


@dataclass
class TableChanges:
    """The changes of one table, and whether it was altered behind rows whose columns the log does not name."""

    table: LogTable
    decoder: RowDecoder
    is_altered: bool = False

    def between(self, piece: Slice, context: ReadContext) -> Iterator[Change]:
        assert piece.interval.lower is not None
        assert piece.interval.upper is not None
        lower, self.upper = LogPosition.parse(piece.interval.lower), LogPosition.parse(piece.interval.upper)
        for transaction in transactions_between(self.table, lower, self.upper, context.is_stopping):
            yield from self.decoder.changes(transaction)
            self._note(transaction.is_altered)

    def _note(self, is_altered: bool) -> None:
        self.is_altered = self.is_altered or (is_altered and self.decoder.is_unnamed)

    def follow(self, table: LogTable) -> None:
        """What was altered after the interval: the catalog's columns are those of now. `table`: the log as it ends now."""
        at = self.upper
        while not is_at_end(table, at):
            part = part_from(table, at)
            for transaction in transactions_of(part, table, at):
                self._note(transaction.is_altered or "truncate" in transaction.items)
            at = part.upper_from(at)


def refuse_changed_table(
    dialect: Dialect, session: Session, log: TableChanges, order: ColumnOrder, names: Sequence[str]
) -> None:
    """After the log was read.

    Raises:
        SourceChanged: the table was altered since the run described it.
        LogGone: the log does not name the columns, and the table was altered since: which columns its rows had is not known.
    """
    spec = log.table.spec
    dialect.check_columns(session, spec.dataset, names)
    if log.decoder.is_unnamed:
        log.follow(read_log_table(session, spec, log.table.server))
    if log.is_altered:
        raise LogGone(
            f"{spec.unit_id}: the log is gone: the table was altered, and the log does not name the columns of the rows before that",
            hint=f"{FULL_METADATA}: {RELOAD_HINT}",
        )
    refuse_added_columns(spec, order, lambda: read_column_types(session, spec.dataset))
