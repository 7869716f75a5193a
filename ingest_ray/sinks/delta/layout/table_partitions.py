"""The partitions that a Delta table has, and those that a unit wants.

A derived partition is a column of the table whose metadata names its transform, so that every writer of the unit computes it, also after
the layout was taken out of the configuration.
"""

from collections.abc import Sequence

from deltalake import DeltaTable

from ingest_ray.sdk.errors import TargetChanged
from ingest_ray.sdk.types import Partition, Target, WriteMode
from ingest_ray.sdk.types.layout import parse_partition
from ingest_ray.sinks.layout.partitions import PARTITION


def table_partitions(table: DeltaTable) -> tuple[Partition, ...]:
    marks = {field.name: field.metadata.get(PARTITION) for field in table.schema().fields}
    return tuple(
        parse_partition(str(marks[name])) if marks.get(name) else Partition("identity", name)
        for name in table.metadata().partition_columns
    )


def wanted_partitions(table: DeltaTable | None, target: Target) -> tuple[Partition, ...]:
    """Of the rows that are written now: the unit's, where it names some; else the table's."""
    wanted = target.layout.partitions if target.layout is not None else None
    if wanted is not None:
        return wanted
    return () if table is None else table_partitions(table)


def is_laid_out_otherwise(table: DeltaTable, target: Target) -> bool:
    wanted = wanted_partitions(table, target)
    return tuple(wanted) != table_partitions(table)


def refuse_other_layout(table: DeltaTable, target: Target) -> None:
    """A replacement brings its layout with its rows; others need all rows of the table in one layout.

    Raises:
        TargetChanged: the table has rows in another layout.
    """
    if target.write is WriteMode.REPLACE or not is_laid_out_otherwise(table, target):
        return
    raise TargetChanged(
        f"table '{table.table_uri}' is partitioned by {described(table_partitions(table))}, and unit '{target.unit_id}' wants"
        f" {described(wanted_partitions(table, target))}",
        hint=f"ingest-ray relayout {target.endpoint_id} {target.unit_id} rewrites it in one commit; or set layout.partition_by back",
    )


def described(partitions: Sequence[Partition]) -> str:
    return ", ".join(map(str, partitions)) or "nothing"
