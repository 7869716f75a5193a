"""Which columns have bounds in the statistics of the files that the library writes: those whose bounds are exact in JSON.

The library writes NaN, decimals and years beyond 9999 into bounds in forms that readers round or cannot parse, and a wrong bound
hides rows (https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics). A column without bounds hides nothing.
"""

from collections.abc import Iterable

import pyarrow as pa
from deltalake import ColumnProperties, DeltaTable, WriterProperties

from ingest_ray.sinks.parquet import has_exact_bounds

UNBOUNDED = "ingest.unbounded"  # in the metadata of a column


def writer_properties(table: DeltaTable, columns: Iterable[pa.Field]) -> WriterProperties:
    """For merges, rewrites and compactions. The files that are rewritten may have values that this commit does not bring."""
    unbounded = recorded_unbounded(table)
    exact = [field.name for field in columns if _is_exact(field.type) and field.name not in unbounded]
    return WriterProperties(
        compression="SNAPPY",
        default_column_properties=ColumnProperties(statistics_enabled="NONE"),
        column_properties={name: ColumnProperties(statistics_enabled="CHUNK") for name in exact},
    )


def recorded_unbounded(table: DeltaTable) -> set[str]:
    """The columns that have had a date or time outside the years 1 to 9999."""
    return {field.name for field in table.schema().fields if UNBOUNDED in field.metadata}


def _is_exact(kind: pa.DataType) -> bool:
    return has_exact_bounds(kind) or bool(pa.types.is_timestamp(kind))
