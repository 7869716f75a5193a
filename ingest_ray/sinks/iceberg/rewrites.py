"""Copies data files with other rows or columns (copy-on-write): the old file leaves the table in the commit that adds the new one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table

from ingest_ray.sinks.iceberg.data_files import TableFiles, data_file, write_files
from ingest_ray.sinks.iceberg.field_ids import arrow_schema
from ingest_ray.sinks.iceberg.manifests import list_files
from ingest_ray.sinks.iceberg.table_reads import read_file
from ingest_ray.sinks.parquet import WrittenFile
from ingest_ray.sinks.value_conversion import convert_batch

Edit = Callable[[pa.RecordBatch, int], pa.RecordBatch]
"""Gets a batch and the position of its first row in the file; returns the rows that stay."""


def edited_rows(table: Table, task: FileScanTask, edit: Edit) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in read_file(table, task):
        yield edit(batch, start)
        start += batch.num_rows


def write_rows(table: Table, files: TableFiles, batches: Iterable[pa.RecordBatch]) -> list[DataFile]:
    """Rows in all of the table's columns, as new files; the commit makes them durable."""
    return described_files(table, files, write_files(files, arrow_schema(table.schema()), batches, is_durable=False))


def described_files(table: Table, files: TableFiles, written: Sequence[WrittenFile]) -> list[DataFile]:
    return [data_file(table, files, asdict(file)) for file in written]


def rewrite_as(table: Table, files: TableFiles, schema: Schema) -> tuple[list[DataFile], list[DataFile]]:
    """Every file of the table in the columns of `schema`: the new files and the old ones."""
    columns = arrow_schema(schema)
    tasks = list_files(table)

    def rows() -> Iterator[pa.RecordBatch]:
        for task in tasks:
            for batch in read_file(table, task):
                yield completed(batch, columns)

    return described_files(table, files, write_files(files, columns, rows())), [task.file for task in tasks]


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
