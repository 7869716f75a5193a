"""Reads rows and sums of keys back from a unit's table in a database, for a comparison with the source."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import pyarrow as pa

from ingest_ray.sdk.key_sums import KeyRange, KeySum, literal, sums_sql
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.canonical_json import comparable_back, comparable_field
from ingest_ray.sinks.databases.commit_ledger import RecordedColumns
from ingest_ray.sinks.databases.database import Database, Session
from ingest_ray.sinks.databases.dml import is_alive
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.sinks.databases.table_schema import stage_schema
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS


def comparable_schema(db: Database, target: Target, schema: pa.Schema, recorded: RecordedColumns) -> pa.Schema:
    """By the source's names. JSON and nested values are in one form; without those that a database returns in a form of its own."""
    names = {db.column_limits.sink_name(name): name for name in schema.names}
    stored = stage_schema(db, unit_table_name(target), db.column_limits.renamed_schema(schema), recorded)
    fields = [field for field in stored if field.name not in PROVENANCE_COLUMNS]
    forms = [comparable_field(field.with_name(names[field.name])) for field in fields]
    return pa.schema([form for form in forms if form is not None])


def read_rows(
    db: Database,
    session: Session,
    target: Target,
    columns: Sequence[pa.Field],
    stored: Sequence[pa.Field],
    bounds: tuple[int | None, int | None] | None,
) -> Iterator[pa.RecordBatch]:
    wanted = [*columns, *stored]
    conditions = [is_alive(db, target)]
    if bounds is not None:
        key = _quoted(db, columns[0].name)
        conditions += [f"{key} >= {literal(bounds[0])}"] if bounds[0] is not None else []
        conditions += [f"{key} < {literal(bounds[1])}"] if bounds[1] is not None else []
    listed = ", ".join(_quoted(db, field.name) for field in wanted)
    table = db.quoted_table(unit_table_name(target))
    schema = pa.schema([field.with_nullable(True) for field in wanted])
    for batch in session.stream(f"select {listed} from {table} where {' and '.join(conditions)}"):
        arrays = [comparable_back(column, field) for column, field in zip(batch.columns, wanted, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def sum_keys(
    db: Database, session: Session, target: Target, key: str, keys: KeyRange
) -> tuple[Mapping[int, KeySum], int]:
    column, table = _quoted(db, key), db.quoted_table(unit_table_name(target))
    source = f"from {table} where {is_alive(db, target)}"
    sums = {
        _number(block) // keys.step: KeySum(*map(_number, numbers))
        for block, *numbers in session.execute(sums_sql(column, keys, source))
    }
    is_outside = f"({column} < {literal(keys.lower)} or {column} >= {literal(keys.upper)} or {column} is null)"
    ((outside,),) = session.execute(f"select count(*) {source} and {is_outside}")
    return sums, int(outside)


def _quoted(db: Database, name: str) -> str:
    """The column of the table for a column of the source."""
    return db.quoted(db.column_limits.sink_name(name))


def _number(value: object) -> int:
    """Sums arrive as integers, decimals or text."""
    return value if isinstance(value, int) else int(Decimal(str(value)))
