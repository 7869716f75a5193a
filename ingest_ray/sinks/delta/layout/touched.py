"""Which partitions of a Delta table have rows of given keys, so that a merge reads no other files.

Where all partitions follow from the key, they follow from the given keys. Otherwise a row may be in any partition, because the column
that decides may have changed: files are left out by the bounds of the key in the log, then the keys alone of the others are read.
"""

import bisect
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder

from ingest_ray.sdk.key_sums import literal
from ingest_ray.sdk.scratch_database import open_scratch
from ingest_ray.sdk.types import Partition, Target
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.layout.table_partitions import table_partitions
from ingest_ray.sinks.delta.merge import quoted, read_batches
from ingest_ray.sinks.layout.transforms import partition_values
from ingest_ray.sinks.value_conversion import convert_batch

MOST_LISTED = 2_000  # values of one column in a condition; with more, that column leaves nothing out
NO_ROW = "1 = 0"  # the condition where no row has one of the keys

Values = tuple[Any, ...]


def touched_partitions(table: DeltaTable, keys: pa.Table, target: Target) -> str | None:
    """A condition on columns of the table `t` that every row with one of `keys` meets; empty where it cannot be narrowed.

    None: no row has one of the keys. `keys`: the key's columns, in the types of the table.
    """
    kinds = pa.schema(table.schema().to_arrow())
    partitions = [one for one in table_partitions(table) if _is_compared_exactly(kinds.field(one.name).type)]
    if not partitions or not target.key:
        return ""
    files = pa.table(table.get_add_actions(flatten=True))
    if {one.column for one in partitions if one.column} <= set(target.key):
        found = _partitions_of(keys, partitions, target) & _partitions_in(files, partitions)
    else:
        candidates = _with_keys_in_bounds(files, keys, target.key[0])
        found = _partitions_in(candidates, partitions)
        if found:
            found = _partitions_with_keys(table, keys, partitions, found, target)
    if not found:
        return None
    return " AND ".join([*_conditions(partitions, found), *_key_bounds(keys, target.key[0])])


def prepared_partitions(
    table: DeltaTable, files: TableFiles, names: Sequence[str], schema: pa.Schema, target: Target
) -> str | None:
    """`touched_partitions` for the keys of prepared files."""
    if not table.metadata().partition_columns:
        return ""
    narrow = pa.schema([schema.field(name) for name in target.key])
    batches = (batch.cast(narrow) for batch in read_batches(files, names, narrow.names))
    return touched_partitions(table, pa.Table.from_batches(batches, narrow), target)


def erased_partitions(
    table: DeltaTable, target: Target, stored: pa.Schema, keys: Iterable[pa.RecordBatch]
) -> tuple[Iterable[pa.RecordBatch], str]:
    """The keys, which may be read only once, and `touched_partitions` for them."""
    if not table.metadata().partition_columns:
        return keys, ""
    narrow = pa.schema([stored.field(name) for name in target.key])
    given = pa.Table.from_batches((convert_batch(batch, narrow) for batch in keys), narrow)
    within = touched_partitions(table, given, target)
    return given.to_batches(), NO_ROW if within is None else within


def _partitions_of(keys: pa.Table, partitions: Sequence[Partition], target: Target) -> set[Values]:
    found: set[Values] = set()
    for batch in keys.to_batches():
        found |= set(
            zip(*(partition_values(one, batch, target.endpoint_id).to_pylist() for one in partitions), strict=True)
        )
    return found


def _partitions_in(files: pa.Table, partitions: Sequence[Partition]) -> set[Values]:
    return set(zip(*(files.column(f"partition.{one.name}").to_pylist() for one in partitions), strict=True))


def _with_keys_in_bounds(files: pa.Table, keys: pa.Table, name: str) -> pa.Table:
    """The files that may have a row whose first part of the key is among the given ones."""
    bounds = [f"min.{name}", f"max.{name}", f"null_count.{name}"]
    if not set(bounds) <= set(files.column_names) or not _is_compared_exactly(keys.schema.field(name).type):
        return files
    wanted = pc.unique(keys.column(name))
    has_null = wanted.null_count > 0
    ordered = sorted(value for value in wanted.to_pylist() if value is not None)
    rows = zip(*(files.column(bound).to_pylist() for bound in bounds), strict=True)
    return files.filter(pa.array([_may_have(ordered, has_null, *row) for row in rows], pa.bool_()))


def _may_have(ordered: Sequence[Any], has_null: bool, least: Any, most: Any, nulls: int | None) -> bool:
    if nulls is None or (has_null and nulls > 0):
        return True
    if least is None or most is None:
        return True
    try:
        at = bisect.bisect_left(ordered, least)
    except TypeError:  # the log has its bounds in another type
        return True
    return at < len(ordered) and bool(ordered[at] <= most)


def _partitions_with_keys(
    table: DeltaTable, keys: pa.Table, partitions: Sequence[Partition], candidates: set[Values], target: Target
) -> set[Values]:
    names = [quoted(one.name) for one in partitions]
    listed = [f"t.{name} AS p{number}" for number, name in enumerate(names)]
    listed += [f"t.{quoted(name)} AS k{number}" for number, name in enumerate(target.key)]
    conditions = [*_conditions(partitions, candidates), *_key_bounds(keys, target.key[0])] or ["1 = 1"]
    is_same = " and ".join(f"a.k{number} is not distinct from s.k{number}" for number in range(len(target.key)))
    narrow = keys.select(list(target.key)).rename_columns([f"k{number}" for number in range(len(target.key))])
    shown = ", ".join(f"s.p{number}" for number in range(len(names)))
    found: set[Values] = set()
    connection = open_scratch()
    try:
        connection.register("given", narrow)
        query = f"SELECT {', '.join(listed)} FROM t WHERE {' AND '.join(conditions)}"
        for batch in QueryBuilder().register("t", table).execute(query):
            connection.register("stored", pa.Table.from_batches([pa.record_batch(batch)]))
            rows = connection.execute(
                f"select distinct {shown} from stored s semi join given a on {is_same}"
            ).fetchall()
            found |= set(rows)
        return found
    finally:
        connection.close()


def _conditions(partitions: Sequence[Partition], found: Iterable[Values]) -> list[str]:
    conditions = []
    for number, partition in enumerate(partitions):
        values = {row[number] for row in found}
        filled = [_literal(value) for value in values if value is not None]
        if len(filled) > MOST_LISTED:
            continue
        column = f"t.{quoted(partition.name)}"
        within = [f"{column} IN ({', '.join(sorted(filled))})"] if filled else []
        within += [f"{column} IS NULL"] if None in values else []
        conditions.append(f"({' OR '.join(within)})")
    return conditions


def _key_bounds(keys: pa.Table, name: str) -> list[str]:
    column = keys.column(name)
    if not pa.types.is_integer(column.type) or column.null_count or not keys.num_rows:
        return []
    least, most = pc.min_max(column).as_py().values()
    return [f"t.{quoted(name)} >= {literal(least)}", f"t.{quoted(name)} <= {literal(most)}"]


def _is_compared_exactly(kind: pa.DataType) -> bool:
    """Not floats (NaN), and not times, whose bounds some writers round to milliseconds."""
    is_number = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    return bool(is_number or pa.types.is_string(kind) or pa.types.is_date32(kind))


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return literal(value)
    if isinstance(value, dt.date):
        return f"CAST('{value.isoformat()}' AS DATE)"
    return "'" + str(value).replace("'", "''") + "'"
