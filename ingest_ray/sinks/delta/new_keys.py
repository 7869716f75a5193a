"""Prepared rows with new keys only: they are added to a Delta table as a file, without a merge.

A merge would only insert them, but it would read every column of the table, not only the key. The keys are compared with the snapshot
from which the commit is made. Tables that were given partitions, rules for their rows or other columns are left to the merge, which
respects those.
"""

from collections.abc import Sequence

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from ingest_ray.sdk.scratch_database import open_scratch
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.merge import quoted, read_batches
from ingest_ray.sinks.delta.table_features import has_demands
from ingest_ray.sinks.delta.table_schema import table_schema
from ingest_ray.sinks.parquet import FILE_BYTES, RollingParquetWriter, WrittenFile


def has_only_new_keys(
    table: DeltaTable, files: TableFiles, names: Sequence[str], schema: pa.Schema, target: Target
) -> bool:
    """True where no row of the table has a key of the prepared files `names`; NULLs in a key equal each other, as in a merge."""
    if has_demands(table) or set(table_schema(table).names) != set(schema.names):
        return False
    narrow = pa.schema([schema.field(name) for name in target.key])
    prepared = pa.Table.from_batches((batch.cast(narrow) for batch in read_batches(files, names, narrow.names)), narrow)
    columns = ", ".join(f"t.{quoted(name)}" for name in narrow.names)
    is_same_key = " and ".join(f"a.{quoted(name)} is not distinct from t.{quoted(name)}" for name in narrow.names)
    connection = open_scratch()
    try:
        connection.register("prepared", prepared)
        for batch in QueryBuilder().register("t", table).execute(f"SELECT {columns} FROM t"):
            connection.register("stored", pa.Table.from_batches([pa.record_batch(batch)]).cast(narrow))
            if connection.execute(f"select 1 from stored t semi join prepared a on {is_same_key} limit 1").fetchall():
                return False
        return True
    finally:
        connection.close()


def rewrite_as_one_file(
    files: TableFiles, names: Sequence[str], written_bytes: int, schema: pa.Schema
) -> Sequence[WrittenFile] | None:
    """Writes several small files again as one, as a merge would; None where one file or large files need no rewrite.

    `vacuum` removes the new file where no commit names it, like the files of a failed merge.
    """
    if len(names) < 2 or written_bytes > FILE_BYTES:
        return None
    writer = RollingParquetWriter(schema, files.create)
    try:
        for batch in read_batches(files, names, schema.names):
            writer.write(batch.cast(schema))
        written = writer.close()
        files.make_durable([file.name for file in written])
        return written
    except BaseException:
        writer.abort()
        for name in writer.names:
            files.delete(name)
        raise
