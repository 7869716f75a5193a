"""The columns and the layout of a table, against those that a unit needs."""

from collections.abc import Sequence

import pyarrow as pa

from ingest_ray.sdk.errors import SinkRejected, TargetChanged
from ingest_ray.sdk.types import Partition, Target
from ingest_ray.sinks.columns import NEW_COLUMN, sink_schema, wider_type
from ingest_ray.sinks.layout.partitions import is_derived, partitions_of, with_partitions
from ingest_ray.sinks.parquet_tables.manifest import Manifest
from ingest_ray.sinks.parquet_tables.types import PARQUET_TYPES
from ingest_ray.sinks.widening import is_wider


def wanted_partitions(target: Target) -> tuple[Partition, ...] | None:
    """None: as the table is."""
    return target.layout.partitions if target.layout is not None else None


def is_laid_out_otherwise(target: Target, manifest: Manifest) -> bool:
    wanted = wanted_partitions(target)
    return wanted is not None and tuple(one.name for one in wanted) != manifest.partition_by


def refuse_other_layout(uri: str, target: Target, manifest: Manifest) -> None:
    """Raises `TargetChanged` where the table has rows in another layout."""
    if not is_laid_out_otherwise(target, manifest):
        return
    wanted = ", ".join(map(str, wanted_partitions(target) or ())) or "nothing"
    raise TargetChanged(
        f"table '{uri}' is partitioned by {', '.join(manifest.partition_by) or 'nothing'}, and unit '{target.unit_id}' wants {wanted}",
        hint=f"ingest-ray relayout {target.endpoint_id} {target.unit_id} rewrites it in one commit; or set layout.partition_by back",
    )


def needed_columns(uri: str, target: Target, schema: pa.Schema, manifest: Manifest) -> tuple[pa.Schema, bool]:
    """The table's columns with those of the unit, and whether one of them is wider than before.

    Raises:
        SinkRejected: a column of the table and the unit's do not hold each other's values.
    """
    stored = manifest.schema
    own = [field for field in stored if not is_derived(field)]
    wider: dict[str, pa.DataType] = {}
    added = []
    for field in sink_schema(schema, PARQUET_TYPES):
        if field.name not in stored.names:
            added.append(field)
            continue
        needed = wider_type(field, stored.field(field.name).type, schema, PARQUET_TYPES, uri, target.key)
        wider |= {field.name: needed} if needed is not None else {}
    columns = pa.schema([*(field.with_type(wider.get(field.name, field.type)) for field in own), *added])
    return with_partitions(columns, partitions_of(stored)), bool(wider)


def file_columns(uri: str, schema: pa.Schema, manifest: Manifest) -> pa.Schema:
    """The columns of a new file of a table that is appended to. Raises `SinkRejected` for one that the table lacks."""
    stored = manifest.schema
    wanted = sink_schema(schema, PARQUET_TYPES)
    for field in wanted:
        if field.name not in stored.names:
            raise SinkRejected(f"column '{field.name}' is not in table '{uri}'", hint=NEW_COLUMN)
        kind = stored.field(field.name).type
        if kind != field.type and not is_wider(kind, field.type) and not pa.types.is_string(kind):
            raise SinkRejected(f"column '{field.name}' is {kind} in table '{uri}', and {field.type} now")
    return with_partitions(as_stored(wanted, stored), partitions_of(stored))


def as_stored(wanted: pa.Schema, stored: pa.Schema) -> pa.Schema:
    """The columns in the table's types."""
    return pa.schema(
        [field.with_type(stored.field(field.name).type) if field.name in stored.names else field for field in wanted]
    )


def replaced_columns(target: Target, schema: pa.Schema, manifest: Manifest) -> tuple[pa.Schema, tuple[str, ...]]:
    """The columns and partitions after a full refresh: the unit's, and columns that only the table had, as NULLs."""
    wanted = wanted_partitions(target)
    derived: Sequence[Partition] = partitions_of(manifest.schema) if wanted is None else wanted
    names = manifest.partition_by if wanted is None else tuple(one.name for one in wanted)
    own = sink_schema(schema, PARQUET_TYPES)
    extra = [field for field in manifest.schema if field.name not in own.names and not is_derived(field)]
    return with_partitions(pa.schema([*own, *extra]), derived), names
