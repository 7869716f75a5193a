"""Finds the data files that may have rows with given keys, by the partitions that follow from the key."""

from typing import Any

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from ingest_ray.sinks.iceberg.layout.partition_spec import partitions_of_spec
from ingest_ray.sinks.iceberg.layout.partition_values import stored_values


class PartitionPruning:
    """`keys`: one column for each part of the key, in the table's types. Files of an older spec are told by that spec."""

    def __init__(self, table: Table, keys: pa.Table) -> None:
        self._wanted: dict[int, list[tuple[int, set[Any]]]] = {}
        whole = keys.combine_chunks()
        rows = whole.to_batches()[0] if whole.num_rows else pa.RecordBatch.from_pylist([], schema=keys.schema)
        for spec in table.metadata.partition_specs:
            found = self._wanted.setdefault(spec.spec_id, [])
            for position, partition in enumerate(partitions_of_spec(table, spec)):
                if partition is None or partition.column not in keys.column_names:
                    continue
                values = stored_values(partition, rows, "")
                if not pa.types.is_floating(values.type):  # NaN is not itself
                    found.append((position, set(values.unique().to_pylist())))

    def may_have(self, file: DataFile) -> bool:
        wanted = self._wanted.get(file.spec_id, [])
        return all(file.partition[position] in values for position, values in wanted)
