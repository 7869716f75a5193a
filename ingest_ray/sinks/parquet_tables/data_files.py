"""Writes and reads the data files of a table: each has all columns, and lies in the folder of its partition, hive style."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest_ray.sinks.layout.ordering import sorted_rows
from ingest_ray.sinks.parquet import RollingParquetWriter
from ingest_ray.sinks.parquet_tables.manifest import DATA, DataFile
from ingest_ray.sinks.parquet_tables.table_folder import TableFolder

NULL = "__HIVE_DEFAULT_PARTITION__"  # as Hive, Spark and DuckDB name the partition of NULL


class DataWriter:
    """Divides rows by the values of `partition_by`; `schema` has these columns, too."""

    def __init__(self, folder: TableFolder, schema: pa.Schema, partition_by: Sequence[str], file_bytes: int) -> None:
        self._folder = folder
        self._schema = schema
        self._partition_by = list(partition_by)
        self._file_bytes = file_bytes
        self._writers: dict[str, RollingParquetWriter] = {}

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        for path, rows in self._divided(batch):
            self._writer(path).write(rows)

    def close(self) -> list[DataFile]:
        files = [
            DataFile(path=f"{path}/{file.name}", bytes=file.bytes, rows=file.rows)
            for path, writer in self._writers.items()
            for file in writer.close()
        ]
        self._folder.make_durable([file.path for file in files])
        return files

    def abort(self) -> None:
        for path, writer in self._writers.items():
            writer.abort()
            self._folder.delete_all([f"{path}/{name}" for name in writer.names])

    def _writer(self, path: str) -> RollingParquetWriter:
        if path not in self._writers:
            folder = self._folder
            self._writers[path] = RollingParquetWriter(
                self._schema,
                lambda name: folder.create(f"{path}/{name}"),
                describe=lambda metadata, schema: "",
                file_bytes=self._file_bytes,
            )
        return self._writers[path]

    def _divided(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        if not self._partition_by:
            yield DATA, batch
            return
        columns = [pc.dictionary_encode(batch.column(name), null_encoding="encode") for name in self._partition_by]
        numbers = pa.table([column.indices for column in columns], names=[f"p{n}" for n in range(len(columns))])
        numbers = numbers.append_column("row", pa.array(range(batch.num_rows), pa.int64()))
        groups = numbers.group_by(numbers.column_names[:-1], use_threads=False).aggregate([("row", "list")])
        for group in groups.to_pylist():
            values = [column.dictionary[group[f"p{n}"]].as_py() for n, column in enumerate(columns)]
            yield partition_path(self._partition_by, values), batch.take(pa.array(group["row_list"], pa.int64()))


def partition_path(names: Sequence[str], values: Sequence[Any]) -> str:
    parts = [f"{quote(name, safe=' ')}={_path_text(value)}" for name, value in zip(names, values, strict=True)]
    return "/".join([DATA, *parts])


def _path_text(value: Any) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(value.isoformat(" ") if hasattr(value, "hour") else str(value), safe=" ")


def write_all(
    folder: TableFolder,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    partition_by: Sequence[str],
    cluster_by: Sequence[str],
    file_bytes: int,
) -> list[DataFile]:
    writer = DataWriter(folder, schema, partition_by, file_bytes)
    try:
        for batch in sorted_rows(batches, schema, cluster_by):
            writer.write(batch)
        return writer.close()
    except BaseException:
        writer.abort()
        raise


def write_empty(folder: TableFolder, schema: pa.Schema) -> DataFile:
    """A file without rows: a table without rows can be read by its columns."""
    name = f"{DATA}/empty-{uuid.uuid4()}.parquet"
    with folder.create(name) as out:
        pq.write_table(schema.empty_table(), out)
        size = out.tell()
    folder.make_durable([name])
    return DataFile(path=name, bytes=size, rows=0)


def read_files(folder: TableFolder, files: Iterable[DataFile], columns: Sequence[pa.Field]) -> Iterator[pa.RecordBatch]:
    """NULL in columns that were added after a file was written."""
    schema = pa.schema(list(columns))
    for file in files:
        with folder.open(file.path) as source:
            parquet = pq.ParquetFile(source)
            present = [name for name in schema.names if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(columns=present, use_threads=False):
                arrays = [
                    batch.column(field.name).cast(field.type)
                    if field.name in present
                    else pa.nulls(batch.num_rows, field.type)
                    for field in schema
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema) if arrays else batch
