"""Arrivals of which a Delta table has no key: they are added as a file, without a merge.

A merge would only insert them, but to find that out it reads every column of the table, not only the key. What decides is the very snapshot
that the commit is made from. Tables that somebody gave partitions, constraints, other columns or other names in their files are left to the
merge, which knows what those ask for.
"""

from collections.abc import Sequence

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from ingest_ray.sdk.types import Target
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.merge import batches_of, quoted
from ingest_ray.sinks.delta.table_schema import table_schema
from ingest_ray.sinks.parquet import FILE_BYTES, FileRoll, WrittenFile

_NOT_PLAIN = ("delta.constraints.", "delta.columnMapping.")


def is_fresh(table: DeltaTable, files: TableFiles, names: Sequence[str], schema: pa.Schema, target: Target) -> bool:
    """No row of the table has a key of the prepared files `names`; NULLs in a key equal each other, as in a merge."""
    if not _is_plain(table, schema):
        return False
    narrow = pa.schema([schema.field(name) for name in target.key])
    arriving = pa.Table.from_batches((batch.cast(narrow) for batch in batches_of(files, names, narrow.names)), narrow)
    columns = ", ".join(f"t.{quoted(name)}" for name in narrow.names)
    same = " and ".join(f"a.{quoted(name)} is not distinct from t.{quoted(name)}" for name in narrow.names)
    connection = duckdb.connect(config={"threads": 1})
    try:
        connection.register("arriving", arriving)
        for batch in QueryBuilder().register("t", table).execute(f"SELECT {columns} FROM t"):
            connection.register("there", pa.Table.from_batches([pa.record_batch(batch)]).cast(narrow))
            if connection.execute(f"select 1 from there t semi join arriving a on {same} limit 1").fetchall():
                return False
        return True
    finally:
        connection.close()


def _is_plain(table: DeltaTable, schema: pa.Schema) -> bool:
    known = table.metadata()
    has_rules = any(name.startswith(_NOT_PLAIN) for name in known.configuration)
    return not known.partition_columns and not has_rules and set(table_schema(table).names) == set(schema.names)


def as_one_file(
    files: TableFiles, names: Sequence[str], written_bytes: int, schema: pa.Schema
) -> Sequence[WrittenFile] | None:
    """Many small files written as one, as a merge would have done; None where they are good as they are.

    What it writes and no commit names is removed by `vacuum`, as what a merge leaves that fails.
    """
    if len(names) < 2 or written_bytes > FILE_BYTES:
        return None
    roll = FileRoll(schema, files.create)
    try:
        for batch in batches_of(files, names, schema.names):
            roll.write(batch.cast(schema))
        written = roll.close()
        files.make_durable([file.name for file in written])
        return written
    except BaseException:
        roll.abandon()
        for name in roll.names:
            files.delete(name)
        raise
