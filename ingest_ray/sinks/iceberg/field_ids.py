"""Columns as Iceberg knows them, by field ids, and as Arrow writes them: https://iceberg.apache.org/spec/#column-projection

Field ids stand in the Parquet files (`PARQUET:field_id`), so that readers find columns that were renamed, and take no dropped column
for a new one of the same name.
"""

from collections.abc import Callable

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from ingest_ray.sdk.errors import SinkRejected

FIELD_ID = b"PARQUET:field_id"
_LEAVES: list[tuple[pa.DataType, IcebergType]] = [
    (pa.bool_(), BooleanType()),
    (pa.int32(), IntegerType()),
    (pa.int64(), LongType()),
    (pa.float32(), FloatType()),
    (pa.float64(), DoubleType()),
    (pa.date32(), DateType()),
    (pa.time64("us"), TimeType()),
    (pa.timestamp("us"), TimestampType()),
    (pa.timestamp("us", "UTC"), TimestamptzType()),
    (pa.string(), StringType()),
    (pa.binary(), BinaryType()),
    (pa.uuid(), UUIDType()),
]
_ARROW_LEAVES = {iceberg: arrow for arrow, iceberg in _LEAVES}


def arrow_schema(schema: Schema) -> pa.Schema:
    """The columns of files of a table, with their field ids. Every column is nullable."""
    return pa.schema([_arrow_field(field) for field in schema.fields])


def arrow_type(kind: IcebergType) -> pa.DataType:
    known = _ARROW_LEAVES.get(kind)
    if known is not None:
        return known
    if isinstance(kind, DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    if isinstance(kind, FixedType):
        return pa.binary(len(kind))
    if isinstance(kind, StructType):
        return pa.struct([_arrow_field(field) for field in kind.fields])
    if isinstance(kind, ListType):
        return pa.list_(_arrow_field(kind.element_field))
    if isinstance(kind, MapType):
        return pa.map_(_arrow_field(kind.key_field).with_nullable(False), _arrow_field(kind.value_field))
    raise SinkRejected(f"type '{kind}' of Iceberg is none that this sink writes")


def iceberg_type(kind: pa.DataType, new_id: Callable[[], int]) -> IcebergType:
    """`new_id` gives the ids of fields within lists, maps and structs."""
    for arrow, iceberg in _LEAVES:
        if arrow == kind:
            return iceberg
    if pa.types.is_decimal(kind):
        return DecimalType(kind.precision, kind.scale)
    if pa.types.is_fixed_size_binary(kind):
        return FixedType(kind.byte_width)
    if pa.types.is_struct(kind):
        fields = [NestedField(new_id(), part.name, iceberg_type(part.type, new_id), required=False) for part in kind]
        return StructType(*fields)
    if pa.types.is_map(kind):
        key_id, value_id = new_id(), new_id()
        key, value = iceberg_type(kind.key_type, new_id), iceberg_type(kind.item_type, new_id)
        return MapType(key_id=key_id, key_type=key, value_id=value_id, value_type=value, value_required=False)
    if pa.types.is_list(kind):
        element_id = new_id()
        return ListType(
            element_id=element_id, element_type=iceberg_type(kind.value_type, new_id), element_required=False
        )
    raise SinkRejected(f"Iceberg has no type for '{kind}'")


def without_ids(kind: pa.DataType) -> pa.DataType:
    """The type as sources have it: without the ids that its inner fields carry."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, without_ids(part.type)) for part in kind])
    if pa.types.is_map(kind):
        return pa.map_(without_ids(kind.key_type), without_ids(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(without_ids(kind.value_type))
    return kind


def ids_of(schema: pa.Schema) -> dict[str, int]:
    """The field id of every column of the table; columns of a change have none."""
    found = {field.name: (field.metadata or {}).get(FIELD_ID) for field in schema}
    return {name: int(number) for name, number in found.items() if number is not None}


def _arrow_field(field: NestedField) -> pa.Field:
    return pa.field(field.name, arrow_type(field.field_type), metadata={FIELD_ID: str(field.field_id).encode()})
