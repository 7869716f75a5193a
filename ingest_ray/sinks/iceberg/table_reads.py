"""Reads rows of an Iceberg table: by file for rewrites, and by column for keys and comparisons with the source."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, Table

from ingest_ray.sdk.key_sums import KeyRange, KeySum, literal, sums_sql
from ingest_ray.sdk.scratch_database import open_scratch
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.columns import sink_schema
from ingest_ray.sinks.history.columns import IS_CURRENT, keeps_history
from ingest_ray.sinks.iceberg.field_ids import arrow_schema
from ingest_ray.sinks.iceberg.table_schema import file_schema, table_columns
from ingest_ray.sinks.iceberg.types import ICEBERG_TYPES
from ingest_ray.sinks.provenance import DELETED_AT, PROVENANCE_COLUMNS
from ingest_ray.sinks.value_conversion import convert_back

_BOUND = pa.decimal128(38, 0)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def read_file(table: Table, task: FileScanTask, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of one file in order, without deleted ones, in the table's types; columns that the file has not are NULL."""
    whole = arrow_schema(table.schema())
    schema = whole if columns is None else pa.schema([whole.field(name) for name in columns])
    projection = table.schema() if columns is None else table.schema().select(*columns)
    plain = None if task.delete_files else _open_plain(table, task, schema)
    if plain is not None:
        try:
            for batch in plain.iter_batches(columns=schema.names):
                yield pa.RecordBatch.from_arrays([batch.column(name) for name in schema.names], schema=schema)
        finally:
            plain.close(force=True)
        return
    scan = ArrowScan(table.metadata, table.io, projection, AlwaysTrue())
    for batch in scan.to_record_batches([task]):
        arrays = [as_type(batch.column(field.name), field.type) for field in schema]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _open_plain(table: Table, task: FileScanTask, schema: pa.Schema) -> pq.ParquetFile | None:
    """The file, where it has every column under its id in the table's own type: without pyiceberg's 5 ms for each file. Else None."""
    opened = pq.ParquetFile(table.io.new_input(task.file.file_path).open(), pre_buffer=True)
    stored = opened.schema_arrow
    for field in schema:
        index = stored.get_field_index(field.name)
        if index < 0 or not stored.field(index).with_nullable(True).equals(field, check_metadata=True):
            opened.close(force=True)
            return None
    return opened


def as_type(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """pyiceberg reads texts and lists in Arrow's large types."""
    return column if column.type == kind else column.cast(kind)


def read_columns(table: Table, target: Target, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Columns of the rows that are no tombstones, of a history of the current rows, in the table's types, named by their numbers."""
    if table.current_snapshot() is None:
        return
    has_tombstones = DELETED_AT in table.schema().column_names
    alive: str | BooleanExpression = f"{DELETED_AT} is null" if has_tombstones else AlwaysTrue()
    if keeps_history(target):
        alive = f"{IS_CURRENT} = true"
    known = table_columns(table)
    names = list(dict.fromkeys(columns))
    for batch in table.scan(row_filter=alive, selected_fields=tuple(names)).to_arrow_batch_reader():
        arrays = [as_type(batch.column(name), known.field(name).type) for name in columns]
        yield pa.RecordBatch.from_arrays(arrays, names=[str(index) for index in range(len(arrays))])


def read_keys(table: Table, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    wanted = pa.schema([schema.field(name) for name in target.key])
    for batch in read_columns(table, target, target.key):
        arrays = [convert_back(column, field.type) for column, field in zip(batch.columns, wanted, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=wanted)


def comparable_schema(table: Table | None, target: Target, schema: pa.Schema) -> pa.Schema:
    """Every column: an Iceberg table keeps Arrow's types as they were written."""
    wanted = sink_schema(schema, ICEBERG_TYPES)
    if table is not None:
        file_schema(table, target, schema)  # refuses columns that were changed by hand
        known = table_columns(table)
        wanted = pa.schema([known.field(name) if name in known.names else wanted.field(name) for name in wanted.names])
    return pa.schema([field for field in wanted if field.name not in PROVENANCE_COLUMNS])


def read_rows(
    table: Table,
    target: Target,
    schema: pa.Schema,
    columns: Sequence[str],
    stored: Sequence[str],
    bounds: tuple[int | None, int | None] | None,
) -> Iterator[pa.RecordBatch]:
    types = comparable_schema(table, target, schema)
    wanted = pa.schema(
        [
            *(schema.field(name).with_nullable(True) for name in columns),
            *(types.field(name).with_nullable(True) for name in stored),
        ]
    )
    for batch in read_columns(table, target, [*columns, *stored]):
        kept = batch if bounds is None else batch.filter(_is_within(batch.column(0), bounds))
        arrays = [convert_back(column, field.type) for column, field in zip(kept.columns, wanted, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=wanted)


def sum_keys(table: Table, target: Target, key: str, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]:
    sums: dict[int, list[int]] = {}
    outside = 0
    connection = open_scratch()
    try:
        for batch in read_columns(table, target, [key]):
            connection.register("t", pa.Table.from_batches([batch]))
            column = 't."0"'
            for block, *numbers in connection.execute(sums_sql(column, keys, "FROM t WHERE true")).fetchall():
                total = sums.setdefault(int(block) // keys.step, [0, 0, 0])
                for index, number in enumerate(numbers):
                    total[index] += int(number)
            is_outside = f"({column} < {literal(keys.lower)} OR {column} >= {literal(keys.upper)} OR {column} IS NULL)"
            outside += int(connection.execute(f"SELECT count(*) FROM t WHERE {is_outside}").fetchall()[0][0])
    finally:
        connection.close()
    return {block: KeySum(*numbers) for block, numbers in sums.items()}, outside


def _is_within(column: pa.Array, bounds: tuple[int | None, int | None]) -> pa.Array:
    numbers = column.cast(_BOUND)
    mask = pc.is_valid(numbers)
    if bounds[0] is not None:
        mask = pc.and_(mask, pc.fill_null(pc.greater_equal(numbers, pa.scalar(Decimal(bounds[0]), _BOUND)), False))
    if bounds[1] is not None:
        mask = pc.and_(mask, pc.fill_null(pc.less(numbers, pa.scalar(Decimal(bounds[1]), _BOUND)), False))
    return mask
