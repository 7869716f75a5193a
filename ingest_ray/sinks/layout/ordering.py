"""The order of rows inside files: `cluster_by`."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from ingest_ray.sdk.errors import SinkRejected

SORTED_BYTES = 256 * 1024 * 1024  # rows that are sorted at once, in memory


def sorted_rows(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, columns: Sequence[str], most_bytes: int = SORTED_BYTES
) -> Iterator[pa.RecordBatch]:
    """The rows in the order of `columns`, NULLs last; of more than `most_bytes`, each part of that size by itself."""
    order = [(name, "ascending") for name in columns if name in schema.names]
    if not order:
        yield from batches
        return
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.nbytes
        if size >= most_bytes:
            yield from pa.Table.from_batches(waiting, schema).sort_by(order).to_batches(max_chunksize=64 * 1024)
            waiting, size = [], 0
    if waiting:
        yield from pa.Table.from_batches(waiting, schema).sort_by(order).to_batches(max_chunksize=64 * 1024)


def refuse_unordered_columns(columns: pa.Schema, cluster_by: Sequence[str]) -> None:
    """Raises `SinkRejected` for a column whose values have no order."""
    for name in cluster_by:
        kind = columns.field(name).type
        if pa.types.is_nested(kind):
            raise SinkRejected(f"layout.cluster_by: column '{name}' is {kind}, whose values have no order")
