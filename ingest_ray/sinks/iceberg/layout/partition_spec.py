"""The partition spec that an Iceberg table has, and the one that a unit wants.

Partitions are the format's own (https://iceberg.apache.org/spec/#partitioning): hidden, without columns. Only `endpoint` is a column,
`_ingest_endpoint`, which the format has no constant for; it stays in the table when a later layout leaves it out, because snapshots and
specs that are still there name it.
"""

from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)

from ingest_ray.sdk.errors import SinkRejected, TargetChanged
from ingest_ray.sdk.types import Partition, Target, WriteMode
from ingest_ray.sdk.types.layout import ENDPOINT, ENDPOINT_COLUMN
from ingest_ray.sinks.iceberg.table_schema import recorded, table_columns
from ingest_ray.sinks.layout.ordering import refuse_unordered_columns
from ingest_ray.sinks.layout.partitions import with_partitions
from ingest_ray.sinks.layout.transforms import partition_type

_TIMES: dict[str, Transform] = {  # type: ignore[type-arg]
    "year": YearTransform(),
    "month": MonthTransform(),
    "day": DayTransform(),
    "hour": HourTransform(),
}


def table_partitions(table: Table) -> tuple[Partition, ...]:
    """Raises `SinkRejected` for a partition of another program that this sink does not compute."""
    return tuple(_partition(table, field) for field in table.spec().fields)


def partitions_of_spec(table: Table, spec: PartitionSpec) -> list[Partition | None]:
    """Of an older spec; None for one of another program that this sink does not compute."""
    names = {field.field_id: field.name for field in table.schema().fields}
    kinds = table_columns(table)
    found = [_as_partition(field.transform, names.get(field.source_id, "")) for field in spec.fields]
    return [
        one if one is not None and one.column and _has_partitions(one, kinds.field(one.column).type) else None
        for one in found
    ]


def wanted_partitions(table: Table | None, target: Target) -> tuple[Partition, ...]:
    """The unit's, where it names some; else the table's."""
    wanted = target.layout.partitions if target.layout is not None else None
    if wanted is not None:
        return wanted
    return () if table is None else table_partitions(table)


def wanted_layout(target: Target) -> tuple[Partition, ...]:
    """The partitions that the unit names."""
    return wanted_partitions(None, target)


def clustered_by(target: Target) -> tuple[str, ...]:
    return target.layout.cluster_by if target.layout is not None else ()


def is_laid_out_otherwise(table: Table, target: Target) -> bool:
    return wanted_partitions(table, target) != table_partitions(table)


def refuse_other_layout(table: Table, target: Target) -> None:
    """Raises `TargetChanged` where the table has rows in another layout."""
    if target.write is WriteMode.REPLACE or not is_laid_out_otherwise(table, target):
        return
    raise TargetChanged(
        f"table '{'.'.join(table.name())}' is partitioned by {described(table_partitions(table))}, and unit '{target.unit_id}'"
        f" wants {described(wanted_partitions(table, target))}",
        hint=f"ingest-ray relayout {target.endpoint_id} {target.unit_id} rewrites it in one commit; or set layout.partition_by back",
    )


def described(partitions: Sequence[Partition]) -> str:
    return ", ".join(map(str, partitions)) or "nothing"


def refuse_unfit_layout(columns: pa.Schema, partitions: Sequence[Partition], cluster_by: Sequence[str] = ()) -> None:
    """Raises `SinkRejected` for a layout that a table of these columns cannot have. `columns`: in the table's types, with provenance."""
    with_partitions(columns, partitions)
    for partition in partitions:
        kind = columns.field(partition.column).type if partition.column else pa.string()
        if not _has_partitions(partition, kind):
            raise SinkRejected(
                f"layout.partition_by: {partition} does not take column '{partition.column}' of type {kind}"
            )
    refuse_unordered_columns(columns, [name for name in cluster_by if name in columns.names])


def refuse_names_of_partitions(table: Table, columns: pa.Schema) -> None:
    """Refuses a new column with the name of a partition: readers could not tell one from the other."""
    known = {field.name for field in table.schema().fields}
    named = {field.name.lower(): partition for field, partition in _fields_and_partitions(table)}
    own = recorded(table)
    for name in (name for name in columns.names if name not in own):
        is_constant = name.lower() == ENDPOINT_COLUMN and has_endpoint_column(table)
        if is_constant or (name.lower() in named and name not in known):
            raise SinkRejected(
                f"layout.partition_by: column '{name}' has the name of the partition {named.get(name.lower(), ENDPOINT)}",
                hint="give the column another name: policy.rename; or partition by something else",
            )


def has_endpoint_column(table: Table) -> bool:
    """True where the table has the constant column, which is none of the source's."""
    return ENDPOINT_COLUMN in table.schema().column_names and ENDPOINT_COLUMN not in recorded(table)


def needs_endpoint_column(partitions: Sequence[Partition]) -> bool:
    return any(one.transform == ENDPOINT for one in partitions)


def new_spec(schema: Schema, partitions: Sequence[Partition], table: Table | None = None) -> PartitionSpec:
    """The spec with these partitions: the table's own where it had one once; else one with new numbers, as a catalog gives them."""
    specs = table.metadata.partition_specs if table is not None else []
    known = {_identity(field): field.field_id for spec in specs for field in spec.fields}
    last = (table.metadata.last_partition_id if table is not None else None) or PARTITION_FIELD_ID_START - 1
    fields: list[PartitionField] = []
    for partition in partitions:
        source = schema.find_field(partition.column or ENDPOINT_COLUMN).field_id
        field = PartitionField(source, 0, _transform(partition), partition.name)
        number = known.get(_identity(field))
        if number is None:
            last = number = last + 1
        fields.append(PartitionField(source, number, field.transform, field.name))
    same = [spec for spec in specs if list(map(_identity, spec.fields)) == list(map(_identity, fields))]
    if same:
        return same[0]
    return PartitionSpec(*fields, spec_id=max((spec.spec_id for spec in specs), default=-1) + 1)


def refuse_other_ids(table: Table, schema: Schema) -> None:
    """A column that partitions the table, or did, cannot become another one: specs name it by its id."""
    ids = {field.field_id for field in schema.fields}
    for spec in table.metadata.partition_specs:
        for field in spec.fields:
            known = next((one for one in table.schema().fields if one.field_id == field.source_id), None)
            if known is not None and field.source_id not in ids:
                kind = next((one.field_type for one in schema.fields if one.name == known.name), "nothing")
                raise SinkRejected(
                    f"column '{known.name}' of table '{'.'.join(table.name())}' is {known.field_type} and {kind} now, and partitions"
                    f" by it ({field.name}) cannot follow",
                    hint="reset the unit and remove the table to load it again",
                )


def _has_partitions(partition: Partition, kind: pa.DataType) -> bool:
    """Not of types that readers compare differently as a partition: bytes, uuids, nested ones."""
    is_other = pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) or not _is_flat(kind)
    if partition.transform == "identity":
        return not is_other
    return partition_type(partition, kind) is not None


def _is_flat(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType))


def _fields_and_partitions(table: Table) -> list[tuple[PartitionField, Partition]]:
    return [(field, _partition(table, field)) for field in table.spec().fields]


def _partition(table: Table, field: PartitionField) -> Partition:
    source = next((one for one in table.schema().fields if one.field_id == field.source_id), None)
    found = _as_partition(field.transform, source.name) if source is not None else None
    if source is not None and found == Partition("identity", ENDPOINT_COLUMN) and has_endpoint_column(table):
        return Partition(ENDPOINT, "")
    kind = table_columns(table).field(source.name).type if source is not None else pa.null()
    if found is None or not _has_partitions(found, kind):
        raise SinkRejected(
            f"table '{'.'.join(table.name())}' is partitioned by {field.transform} of column"
            f" '{source.name if source is not None else field.source_id}' ({field.name}), which this sink does not write",
            hint="load the unit into a table of its own: table in its rule",
        )
    return found


def _as_partition(transform: object, column: str) -> Partition | None:
    if isinstance(transform, BucketTransform):
        return Partition("bucket", column, transform.num_buckets)
    if isinstance(transform, TruncateTransform):
        return Partition("truncate", column, transform.width)
    if isinstance(transform, IdentityTransform):
        return Partition("identity", column)
    return next((Partition(name, column) for name, kind in _TIMES.items() if transform == kind), None)


def _transform(partition: Partition) -> Transform:  # type: ignore[type-arg]
    if partition.transform == "bucket":
        return BucketTransform(partition.parameter or 1)
    if partition.transform == "truncate":
        return TruncateTransform(partition.parameter or 1)
    return _TIMES.get(partition.transform, IdentityTransform())


def _identity(field: PartitionField) -> tuple[int, str, str]:
    return field.source_id, str(field.transform), field.name
