"""Writes prepared rows to a table that has partitions, or rules for its rows, through the library.

The library splits the rows by the values of the partition columns
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md#partition-value-serialization) and checks every row against CHECK
constraints, invariants and NOT NULL. Files that are added as they are would pass by both.
"""

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake
from deltalake.exceptions import DeltaError

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Layout, Target
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.layout.table_partitions import is_laid_out_otherwise, wanted_partitions
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.merge import read_batches
from ingest_ray.sinks.delta.statistics import writer_properties
from ingest_ray.sinks.delta.table_features import RowRule, row_rules
from ingest_ray.sinks.layout.ordering import sorted_rows
from ingest_ray.sinks.parquet import FIRST_DAY, LAST_DAY, units_per_day
from ingest_ray.sinks.read_ahead import ReadAhead

_BROKEN_RULE = ("failed validation check", "declared as non-nullable")


def write_rows(
    table: DeltaTable,
    files: TableFiles,
    names: Sequence[str],
    columns: pa.Schema,
    replaced: pa.Schema | None,
    properties: CommitProperties,
    target: Target,
) -> None:
    """One commit. `columns`: those of the prepared files. `replaced`: the table's columns afterwards, where its rows are replaced."""
    stored = pa.schema(table.schema().to_arrow()) if replaced is None else replaced
    is_changed = replaced is not None and Schema.from_arrow(replaced) != table.schema()
    schema = stored if is_changed else pa.schema([field.with_nullable(True) for field in stored])
    # in a thread of its own: a file of an object store cannot be read in the thread in which the library writes
    layout = target.layout or Layout()
    is_laid_out_anew = replaced is not None and is_laid_out_otherwise(table, target)
    rows = sorted_rows(_complete_rows(files, names, columns, schema), schema, layout.cluster_by)
    with ReadAhead(rows) as batches:
        write_deltalake(
            table,
            read_batches_as(schema, batches),
            mode="append" if replaced is None else "overwrite",
            schema_mode="overwrite" if is_changed or is_laid_out_anew else None,
            partition_by=[one.name for one in wanted_partitions(table, target)] if is_laid_out_anew else None,
            target_file_size=layout.target_file_bytes,
            writer_properties=writer_properties(table, schema),
            commit_properties=properties,
            post_commithook_properties=AFTER_COMMIT,
        )


def refuse_unfit_partition_values(
    table: DeltaTable, files: TableFiles, names: Sequence[str], columns: pa.Schema, target: Target
) -> None:
    """Refuses values that a partition cannot have: readers take an empty text for NULL, and years have four digits."""
    partitions = [
        one.name for one in wanted_partitions(table, target) if not one.is_derived and one.name in columns.names
    ]
    if not partitions:
        return
    for batch in read_batches(files, names, partitions):
        refuse_unfit_values(table.table_uri, batch, partitions)


def refuse_unfit_values(uri: str, batch: pa.RecordBatch, partitions: Sequence[str]) -> None:
    for name in partitions:
        reason = _unfit_value(batch.column(name))
        if reason is not None:
            raise SinkRejected(
                f"a row has {reason} in column '{name}', by which table '{uri}' is partitioned: a partition of Delta has no such value",
                hint="correct the rows at the source, or partition the table by another column",
            )


def explain_broken_rule(
    table: DeltaTable, files: TableFiles, names: Sequence[str], columns: pa.Schema, target: Target, error: Exception
) -> Exception:
    """The error that names the rule which prepared rows break; `error` itself where it is another one."""
    if not isinstance(error, DeltaError | pa.ArrowException) or not any(sign in str(error) for sign in _BROKEN_RULE):
        return error
    rules = row_rules(table)
    broken = [rule for rule in rules if _breaks(table, files, names, columns, rule)] or rules
    rule_texts = "; ".join(f"{rule.name}: {rule.condition}" for rule in broken)
    return SinkRejected(
        f"rows of unit '{target.unit_id}' break a rule of table '{table.table_uri}': {rule_texts}",
        hint="correct the rows at the source, or drop the rule from the table; nothing of this commit was written",
    )


def _breaks(table: DeltaTable, files: TableFiles, names: Sequence[str], columns: pa.Schema, rule: RowRule) -> bool:
    """Whether a row makes the rule false or NULL; False where that cannot be evaluated over the prepared rows alone."""
    connection = duckdb.connect(config={"threads": 1})
    try:
        rows = read_batches_as(columns, (batch.cast(columns) for batch in read_batches(files, names, columns.names)))
        connection.register("prepared", rows)
        query = f"select 1 from prepared where ({rule.condition}) is not true limit 1"
        return bool(connection.execute(query).fetchall())
    except duckdb.Error:
        return False
    finally:
        connection.close()


def _complete_rows(
    files: TableFiles, names: Sequence[str], columns: pa.Schema, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """In the order and types of `schema`; NULL in columns that only the table has."""
    for batch in read_batches(files, names, columns.names):
        arrays = [
            batch.column(field.name).cast(field.type)
            if field.name in columns.names
            else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _unfit_value(column: pa.Array) -> str | None:
    if pa.types.is_string(column.type):
        return "an empty text" if pc.any(pc.equal(column, "")).as_py() else None
    units = units_per_day(column.type)
    if not units or column.null_count == len(column):
        return None
    numbers = pc.min_max(column.cast(pa.int32() if pa.types.is_date32(column.type) else pa.int64()))
    is_fit = numbers["min"].as_py() >= FIRST_DAY * units and numbers["max"].as_py() < (LAST_DAY + 1) * units
    return None if is_fit else "a date or time outside the years 1 to 9999"
