"""The columns of an Iceberg table by field ids, and how they are recorded.

The table property `ingest.columns` records the columns that were written: a recorded column that is missing or has another type was
changed by hand. Types are promoted as the format allows (https://iceberg.apache.org/spec/#schema-evolution); other wider types become
new columns under new field ids, with the files rewritten in the same commit.
"""

import itertools
import json
from collections.abc import Iterator

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.columns import NEW_COLUMN, sink_schema
from ingest_ray.sinks.iceberg.field_ids import arrow_schema, arrow_type, iceberg_type, without_ids
from ingest_ray.sinks.iceberg.types import ICEBERG_TYPES
from ingest_ray.sinks.widening import is_wider

COLUMNS = "ingest.columns"


def table_columns(table: Table) -> pa.Schema:
    """The table's columns in Arrow's types, without ids."""
    return pa.schema([(field.name, without_ids(arrow_type(field.field_type))) for field in table.schema().fields])


def file_schema(table: Table, target: Target, schema: pa.Schema) -> pa.Schema:
    """The columns of new files, with field ids: those of the unit, in the table's types where they are wider.

    Of a full refresh, the columns that the table gets with the commit.
    """
    wanted = sink_schema(schema, ICEBERG_TYPES)
    if target.write is WriteMode.REPLACE:
        replaced = arrow_schema(replaced_schema(table, schema) or table.schema())
        return pa.schema([replaced.field(name) for name in wanted.names])
    stored, with_ids = table_columns(table), arrow_schema(table.schema())
    for field in wanted:
        if field.name not in stored.names:
            raise SinkRejected(f"column '{field.name}' is not in table '{'.'.join(table.name())}'", hint=NEW_COLUMN)
        kind = stored.field(field.name).type
        if kind != field.type and not is_wider(kind, field.type):
            raise SinkRejected(
                f"column '{field.name}' is {kind} in table '{'.'.join(table.name())}', and {field.type} now"
            )
    return pa.schema([with_ids.field(name) for name in wanted.names])


def replaced_schema(table: Table, schema: pa.Schema) -> Schema | None:
    """The columns after a full refresh: the source's, and those that only the table has. None where they are the table's."""
    wanted = sink_schema(schema, ICEBERG_TYPES)
    stored = table_columns(table)
    kinds = {field.name: field.type for field in stored} | {field.name: field.type for field in wanted}
    return changed_schema(table, kinds)


def replaced_columns(table: Table, schema: pa.Schema) -> str:
    """The value of `ingest.columns` after a full refresh."""
    return json.dumps(recorded(table) | json.loads(described(sink_schema(schema, ICEBERG_TYPES))))


def refuse_unsupported_table(table: Table, schema: pa.Schema) -> None:
    """Refuses a table that another program made in a way which this sink does not write."""
    name = ".".join(table.name())
    if table.format_version != 2:
        raise SinkRejected(f"table '{name}' has format version {table.format_version}, and this sink writes version 2")
    names = {column.lower() for column in sink_schema(schema, ICEBERG_TYPES).names}
    for field in table.schema().fields:
        if field.required and field.name.lower() not in names:
            raise SinkRejected(f"column '{field.name}' of table '{name}' is required, and the unit has no such column")


def changed_schema(table: Table, kinds: dict[str, pa.DataType]) -> Schema | None:
    """The table's columns in the types `kinds`; a type that the format does not promote gets a new field id."""
    current = table.schema()
    numbers = itertools.count(table.metadata.last_column_id + 1)
    fields: list[NestedField] = []
    is_changed = False
    for name, kind in kinds.items():
        known = next((field for field in current.fields if field.name == name), None)
        stored = without_ids(arrow_type(known.field_type)) if known is not None else None
        if known is not None and stored == kind:
            fields.append(known)
            continue
        is_changed = True
        number = known.field_id if known is not None and _is_promotion(stored, kind) else next(numbers)
        fields.append(NestedField(number, name, iceberg_type(kind, lambda: next(numbers)), required=False))
    if not is_changed:
        return None
    return Schema(*fields, schema_id=max(one.schema_id for one in table.metadata.schemas) + 1)


def needs_rewrite(stored: pa.Schema, kinds: dict[str, pa.DataType]) -> bool:
    return any(field.type != kinds[field.name] and not _is_promotion(field.type, kinds[field.name]) for field in stored)


def _is_promotion(stored: pa.DataType | None, wanted: pa.DataType) -> bool:
    if stored is None:
        return False
    if pa.types.is_decimal(stored) and pa.types.is_decimal(wanted):
        return bool(stored.scale == wanted.scale and stored.precision < wanted.precision)
    return (stored, wanted) in ((pa.int32(), pa.int64()), (pa.float32(), pa.float64()))


def recorded(table: Table) -> dict[str, str]:
    columns: dict[str, str] = json.loads(table.properties.get(COLUMNS, "{}"))
    return columns


def described(columns: pa.Schema) -> str:
    return json.dumps({field.name: str(field.type) for field in columns})


def refuse_changes_by_hand(table: Table) -> None:
    found = dict(_names_and_types(table_columns(table)))
    for name, kind in recorded(table).items():
        if found.get(name) != kind:
            state = "gone from" if name not in found else f"{found[name]} instead of {kind} in"
            raise SinkRejected(
                f"column '{name}' is {state} table '{'.'.join(table.name())}': it was changed by hand",
                hint="restore the column, or reset the unit and remove the table to load it again",
            )


def _names_and_types(columns: pa.Schema) -> Iterator[tuple[str, str]]:
    for field in columns:
        yield field.name, str(field.type)
