"""Finds the data files that may have rows with given keys, by the bounds that the manifests record for their columns."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from ingest_ray.sinks.iceberg.data_files import comparable_values, decoded_bound


class KeyPruning:
    """`keys`: one column for each part of the key, in the table's types."""

    def __init__(self, table: Table, keys: pa.Table) -> None:
        self._parts: list[tuple[int, pa.DataType, Sequence[Any], bool]] = []
        for name in keys.column_names:
            column = keys.column(name).combine_chunks()
            column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
            values = comparable_values(column)
            if values is not None:
                field_id = table.schema().find_field(name).field_id
                self._parts.append((field_id, column.type, values, column.null_count > 0))

    def may_have(self, file: DataFile) -> bool:
        """True where no column of the key shows that the file has none of the keys."""
        return all(_may_have(file, *part) for part in self._parts)


def _may_have(file: DataFile, field_id: int, kind: pa.DataType, values: Sequence[Any], has_null: bool) -> bool:
    if has_null and (file.null_value_counts or {}).get(field_id, 1):
        return True
    lower, upper = (file.lower_bounds or {}).get(field_id), (file.upper_bounds or {}).get(field_id)
    if lower is None:
        nulls = (file.null_value_counts or {}).get(field_id)
        return nulls is None or nulls < file.record_count  # a file of NULLs only has no bounds
    first = bisect_left(values, decoded_bound(kind, lower))
    if first == len(values):
        return False
    return upper is None or bool(values[first] <= decoded_bound(kind, upper))
