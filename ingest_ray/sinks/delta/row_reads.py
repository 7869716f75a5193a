"""Reads rows and sums of keys back from a Delta table, for a comparison with the source."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from ingest_ray.sdk.key_sums import KeyRange, KeySum, literal, sums_sql
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.columns import sink_schema
from ingest_ray.sinks.delta.erase import is_alive
from ingest_ray.sinks.delta.merge import quoted
from ingest_ray.sinks.delta.table_schema import file_schema
from ingest_ray.sinks.delta.types import DELTA_TYPES
from ingest_ray.sinks.layout.partitions import is_derived
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS
from ingest_ray.sinks.value_conversion import convert_back


def comparable_schema(table: DeltaTable | None, target: Target, schema: pa.Schema) -> pa.Schema:
    """Every column: a Delta table keeps Arrow's types as they were written."""
    stored = sink_schema(schema, DELTA_TYPES) if table is None else file_schema(table, target, schema)
    return pa.schema([field for field in stored if field.name not in PROVENANCE_COLUMNS and not is_derived(field)])


def read_rows(
    table: DeltaTable,
    target: Target,
    schema: pa.Schema,
    columns: Sequence[str],
    stored: Sequence[str],
    bounds: tuple[int | None, int | None] | None,
) -> Iterator[pa.RecordBatch]:
    types = comparable_schema(table, target, schema)
    wanted = [*(schema.field(name) for name in columns), *(types.field(name) for name in stored)]
    conditions = [is_alive(table, target)]
    if bounds is not None:
        key = f"t.{quoted(columns[0])}"
        conditions += [f"{key} >= {literal(bounds[0])}"] if bounds[0] is not None else []
        conditions += [f"{key} < {literal(bounds[1])}"] if bounds[1] is not None else []
    listed = ", ".join(f"t.{quoted(field.name)} AS c{index}" for index, field in enumerate(wanted))
    query = f"SELECT {listed} FROM t WHERE {' AND '.join(conditions)}"
    for batch in QueryBuilder().register("t", table).execute(query):
        arrays = [
            convert_back(column, field.type)
            for column, field in zip(pa.record_batch(batch).columns, wanted, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=pa.schema([field.with_nullable(True) for field in wanted]))


def sum_keys(table: DeltaTable, target: Target, key: str, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]:
    column = f"t.{quoted(key)}"
    alive = is_alive(table, target)
    sums: dict[int, KeySum] = {}
    builder = QueryBuilder().register("t", table)
    for batch in builder.execute(sums_sql(column, keys, f"FROM t WHERE {alive}")):
        for block, *numbers in zip(*(values.to_pylist() for values in pa.record_batch(batch).columns), strict=True):
            sums[int(block) // keys.step] = KeySum(*map(int, numbers))
    is_outside = f"({column} < {literal(keys.lower)} OR {column} >= {literal(keys.upper)} OR {column} IS NULL)"
    outside = 0
    for batch in builder.execute(f"SELECT count(*) AS n FROM t WHERE {alive} AND {is_outside}"):
        outside += sum(pa.record_batch(batch).column(0).to_pylist())
    return sums, outside
