"""Copies data files with other rows or columns (copy-on-write): the old file leaves the table in the commit that adds the new one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
from pydantic import JsonValue
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table

from ingest_ray.sdk.errors import LedgerMismatch
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.iceberg.data_files import TableFiles, data_file
from ingest_ray.sinks.iceberg.field_ids import arrow_schema
from ingest_ray.sinks.iceberg.layout.divided_files import (
    DividedFile,
    DividedWriter,
    RowLayout,
    table_layout,
    write_divided,
)
from ingest_ray.sinks.iceberg.layout.partition_values import decoded, encoded, partition_of, value_types
from ingest_ray.sinks.iceberg.manifests import list_files
from ingest_ray.sinks.iceberg.table_reads import read_file
from ingest_ray.sinks.layout.ordering import sorted_rows
from ingest_ray.sinks.value_conversion import convert_batch

Edit = Callable[[pa.RecordBatch, int], pa.RecordBatch]
"""Gets a batch and the position of its first row in the file; returns the rows that stay."""


def edited_rows(table: Table, task: FileScanTask, edit: Edit) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in read_file(table, task):
        yield edit(batch, start)
        start += batch.num_rows


def write_rows(table: Table, files: TableFiles, batches: Iterable[pa.RecordBatch], target: Target) -> list[DataFile]:
    """Rows in all of the table's columns, as new files of its partitions; the commit makes them durable."""
    layout = table_layout(table, target)
    written = write_divided(files, arrow_schema(table.schema()), batches, layout, is_durable=False)
    return described_files(table, files, written, layout)


def copy_rows(
    table: Table,
    files: TableFiles,
    task: FileScanTask,
    batches: Iterable[pa.RecordBatch],
    target: Target,
    moved: list[pa.RecordBatch],
) -> list[DataFile]:
    """The rows of a file as they are now. Those that are in another partition now are added to `moved`, to be written together."""
    layout = table_layout(table, target)
    columns = arrow_schema(table.schema())
    if not layout.partitions or task.file.spec_id != layout.spec.spec_id:
        return write_rows(table, files, batches, target)
    own_partition = encoded(partition_of(task.file), value_types(layout.spec, layout.schema))
    writer = DividedWriter(files, columns, layout)

    def staying() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for partition, rows in writer.divided(layout.with_endpoint(batch)):
                if partition == own_partition:
                    yield rows
                else:
                    moved.append(rows)

    try:
        for rows in staying():
            writer.write(rows)
        written = writer.close(is_durable=False)
    except BaseException:
        writer.abort()
        raise
    return described_files(table, files, written, layout)


def described_files(
    table: Table, files: TableFiles, written: Sequence[DividedFile], layout: RowLayout
) -> list[DataFile]:
    return files_of_handle(table, files, [one.fields for one in written], layout)


def files_of_handle(
    table: Table, files: TableFiles, described: Iterable[Mapping[str, JsonValue]], layout: RowLayout
) -> list[DataFile]:
    """`described`: each file as `DividedFile.fields`."""
    kinds = value_types(layout.spec, layout.schema)
    found = []
    for file in described:
        values = file.get("partition") or []
        texts = [None if one is None else str(one) for one in values] if isinstance(values, list) else []
        found.append(data_file(table, files, file, decoded(texts, kinds), layout.spec.spec_id))
    return found


def rewrite_as(
    table: Table, files: TableFiles, schema: Schema, layout: RowLayout
) -> tuple[list[DataFile], list[DataFile]]:
    """Every file of the table in the columns of `schema` and in `layout`: the new files and the old ones.

    Raises `LedgerMismatch` instead where these are not all rows of the files.
    """
    columns = arrow_schema(schema)
    tasks = list_files(table)

    def rows() -> Iterator[pa.RecordBatch]:
        for task in tasks:
            found = 0
            for batch in read_file(table, task):
                found += batch.num_rows
                yield completed(batch, columns)
            if found != task.file.record_count and not task.delete_files:
                raise LedgerMismatch(
                    f"file '{task.file.file_path}' has {task.file.record_count} rows, and {found} were read"
                )

    written = write_divided(files, columns, sorted_rows(rows(), columns, layout.cluster_by), layout, is_durable=False)
    return described_files(table, files, written, layout), [task.file for task in tasks]


def completed(batch: pa.RecordBatch, columns: pa.Schema) -> pa.RecordBatch:
    """The batch in the order and types of `columns`; NULL in those that it has not."""
    arrays = []
    for field in columns:
        if field.name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, field.type))
            continue
        single = pa.record_batch([batch.column(field.name)], names=[field.name])
        arrays.append(convert_batch(single, pa.schema([field])).column(0))
    return pa.RecordBatch.from_arrays(arrays, schema=columns)
