"""Writes rows as data files that have rows of one partition each."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
from pydantic import JsonValue
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from ingest_ray.sdk.types import Layout, Partition, Target
from ingest_ray.sdk.types.layout import ENDPOINT_COLUMN
from ingest_ray.sinks.iceberg.data_files import TableFiles, describe_columns
from ingest_ray.sinks.iceberg.layout.partition_spec import has_endpoint_column, new_spec, table_partitions
from ingest_ray.sinks.iceberg.layout.partition_values import Encoded, divided, value_types
from ingest_ray.sinks.parquet import RollingParquetWriter, WrittenFile

HELD_BYTES = 256 * 1024 * 1024  # rows of all partitions that wait for their files
OPEN_FILES = 200  # a process may have about a thousand


@dataclass(frozen=True)
class RowLayout:
    """How rows are written: `fills_endpoint` where the constant column is not among those of the source."""

    spec: PartitionSpec
    schema: Schema
    partitions: tuple[Partition, ...]
    endpoint_id: str
    fills_endpoint: bool
    file_bytes: int
    cluster_by: tuple[str, ...]

    def undivided(self) -> "RowLayout":
        """For files that are not the table's: without partitions, order and the constant column."""
        return replace(self, spec=PartitionSpec(), partitions=(), fills_endpoint=False, cluster_by=())

    def with_endpoint(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with the constant column, where the table has it."""
        if not self.fills_endpoint:
            return rows
        column = pa.repeat(pa.scalar(self.endpoint_id, pa.string()), rows.num_rows)
        index = rows.schema.get_field_index(ENDPOINT_COLUMN)
        if index < 0:
            return rows.append_column(ENDPOINT_COLUMN, column)
        return rows.set_column(index, rows.schema.field(index), column)


def table_layout(table: Table, target: Target, schema: Schema | None = None) -> RowLayout:
    """The table's own partitions, with the unit's sizes and order. `schema`: the columns after the commit, where it changes them."""
    layout = target.layout or Layout()
    return RowLayout(
        spec=table.spec(),
        schema=schema or table.schema(),
        partitions=table_partitions(table),
        endpoint_id=target.endpoint_id,
        fills_endpoint=has_endpoint_column(table),
        file_bytes=layout.target_file_bytes,
        cluster_by=layout.cluster_by,
    )


def new_layout(table: Table, target: Target, schema: Schema, partitions: tuple[Partition, ...]) -> RowLayout:
    """Of rows in partitions that the table gets with the commit. `schema`: its columns then."""
    layout = target.layout or Layout()
    names = [field.name for field in schema.fields]
    is_new = ENDPOINT_COLUMN in names and ENDPOINT_COLUMN not in table.schema().column_names
    return RowLayout(
        spec=new_spec(schema, partitions, table),
        schema=schema,
        partitions=partitions,
        endpoint_id=target.endpoint_id,
        fills_endpoint=has_endpoint_column(table) or is_new,
        file_bytes=layout.target_file_bytes,
        cluster_by=layout.cluster_by,
    )


@dataclass(frozen=True)
class DividedFile:
    file: WrittenFile
    partition: Encoded

    @property
    def fields(self) -> dict[str, JsonValue]:
        """As a handle has them."""
        found: dict[str, JsonValue] = asdict(self.file)
        return {**found, "partition": list(self.partition)} if self.partition else found


class DividedWriter:
    """`columns`: those of the files, with the constant column where the layout fills it."""

    def __init__(self, files: TableFiles, columns: pa.Schema, layout: RowLayout, prefix: str | None = None) -> None:
        self._files = files
        self._prefix = prefix or "part-"
        self._columns = columns
        self._layout = layout
        self._kinds = value_types(layout.spec, layout.schema)
        self._writers: dict[Encoded, RollingParquetWriter] = {}

    def write(self, rows: pa.RecordBatch) -> None:
        whole = self._layout.with_endpoint(rows)
        whole = pa.RecordBatch.from_arrays(whole.columns, schema=self._columns)
        for partition, part in divided(whole, self._layout.partitions, self._kinds, self._layout.endpoint_id):
            self._writer(partition).write(part)
        self._spill()

    def divided(self, rows: pa.RecordBatch) -> Iterable[tuple[Encoded, pa.RecordBatch]]:
        """The rows of each partition, in the table's columns."""
        return divided(rows, self._layout.partitions, self._kinds, self._layout.endpoint_id)

    def close(self, *, is_durable: bool) -> list[DividedFile]:
        found = [DividedFile(file, partition) for partition, writer in self._writers.items() for file in writer.close()]
        if is_durable:
            self._files.make_durable([one.file.name for one in found])
        return found

    def abort(self) -> None:
        for writer in self._writers.values():
            writer.abort()
            for name in writer.names:
                self._files.delete(name)

    def _writer(self, partition: Encoded) -> RollingParquetWriter:
        if partition not in self._writers:
            self._writers[partition] = RollingParquetWriter(
                self._columns, self._files.create, describe_columns, self._layout.file_bytes, self._prefix
            )
        return self._writers[partition]

    def _spill(self) -> None:
        """Many partitions may hold more rows together than a process can: the largest go to their files."""
        if sum(writer.waiting_bytes for writer in self._writers.values()) < HELD_BYTES:
            return
        ordered = sorted(self._writers.values(), key=lambda one: one.waiting_bytes, reverse=True)
        held = sum(writer.waiting_bytes for writer in ordered)
        for writer in ordered:
            if held < HELD_BYTES // 2:
                return
            held -= writer.waiting_bytes
            if writer.is_open or sum(one.is_open for one in ordered) < OPEN_FILES:
                writer.flush()
            else:
                writer.close()


def write_divided(
    files: TableFiles,
    columns: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    layout: RowLayout,
    *,
    is_durable: bool = True,
    prefix: str | None = None,
) -> list[DividedFile]:
    """Writes rows as files that nothing names yet; leaves none behind where that fails. `prefix`: how their names begin."""
    writer = DividedWriter(files, columns, layout, prefix)
    try:
        for batch in batches:
            writer.write(batch)
        return writer.close(is_durable=is_durable)
    except BaseException:
        writer.abort()
        raise


def written_columns(columns: pa.Schema, layout: RowLayout, with_ids: pa.Schema) -> pa.Schema:
    """`columns` with the constant column, where the table has it. `with_ids`: all columns of the table."""
    if not layout.fills_endpoint or ENDPOINT_COLUMN in columns.names:
        return columns
    return columns.append(with_ids.field(ENDPOINT_COLUMN))


def partition_texts(layout: RowLayout) -> list[Any]:
    """As a handle names the partitions that its files are divided by."""
    return [str(one) for one in layout.partitions]
