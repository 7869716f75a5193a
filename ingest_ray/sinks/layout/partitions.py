"""The partition columns of a table: those that are derived from other columns, and their place among the table's columns."""

from collections.abc import Sequence

import pyarrow as pa

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Partition
from ingest_ray.sdk.types.layout import parse_partition
from ingest_ray.sinks.layout.transforms import partition_type, partition_values
from ingest_ray.sinks.provenance import INGESTED_AT, PROVENANCE_COLUMNS

PARTITION = "ingest.partition"  # in the metadata of a derived column: the transform that makes its values


def with_partitions(columns: pa.Schema, partitions: Sequence[Partition]) -> pa.Schema:
    """`columns`: those of the table, with provenance, whose types are the table's own; derived columns come before provenance.

    Raises:
        SinkRejected: a column is missing, has the name of a derived one, or a type that the transform does not take.
    """
    derived = []
    taken = {name.lower(): name for name in columns.names}
    for partition in partitions:
        kind = _type_of(columns, partition)
        if not partition.is_derived:
            continue
        name = partition.name
        if name.lower() in taken:
            raise SinkRejected(
                f"layout.partition_by: column '{taken[name.lower()]}' has the name of the partition {partition}",
                hint="give the column another name: policy.rename; or partition by something else",
            )
        derived.append(pa.field(name, kind, metadata={PARTITION: str(partition)}))
    own = [field for field in columns if field.name not in PROVENANCE_COLUMNS]
    provenance = [field for field in columns if field.name in PROVENANCE_COLUMNS]
    return pa.schema([*own, *derived, *provenance])


def add_partitions(rows: pa.RecordBatch, schema: pa.Schema, endpoint_id: str) -> pa.RecordBatch:
    """The rows as `schema`, which `with_partitions` made: in its order. Derived columns that they have already are derived again."""
    derived = {one.name: one for one in partitions_of(schema)}
    if not derived and rows.schema.names == schema.names:
        return rows
    arrays = [
        partition_values(derived[field.name], rows, endpoint_id).cast(field.type)
        if field.name in derived
        else rows.column(field.name)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def is_derived(field: pa.Field) -> bool:
    """True for a column that `with_partitions` added."""
    return PARTITION.encode() in (field.metadata or {})


def partitions_of(schema: pa.Schema) -> list[Partition]:
    """The derived partitions of a schema that `with_partitions` made."""
    return [
        parse_partition((field.metadata or {})[PARTITION.encode()].decode()) for field in schema if is_derived(field)
    ]


def _type_of(columns: pa.Schema, partition: Partition) -> pa.DataType:
    allowed = [*(name for name in columns.names if name not in PROVENANCE_COLUMNS), INGESTED_AT]
    if partition.column and partition.column not in allowed:
        raise SinkRejected(
            f"layout.partition_by: {partition} names column '{partition.column}', which the table does not have",
            hint=f"columns: {', '.join(allowed[:30])}",
        )
    kind = columns.field(partition.column).type if partition.column else pa.null()
    found = partition_type(partition, kind)
    if found is None:
        raise SinkRejected(f"layout.partition_by: {partition} does not take column '{partition.column}' of type {kind}")
    return found
