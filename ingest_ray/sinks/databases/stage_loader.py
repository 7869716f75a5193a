"""Rows on their way into a stage: counted, hashed, converted, numbered."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sinks.databases.database import ORDER
from ingest_ray.sinks.provenance import NAMES, Stamp
from ingest_ray.sinks.value_conversion import convert_batch


class Intake:
    """`shape` is that of the table. Without a `stamp` rows are staged without provenance. `is_numbered`: with their place in the slice."""

    def __init__(self, shape: pa.Schema, stamp: Stamp | None = None, *, is_numbered: bool = True) -> None:
        self.hash = RowHash()
        self.bytes = 0
        self.error: BaseException | None = None
        self._plain = pa.schema([field for field in shape if field.name not in NAMES])
        self._stamp = stamp
        self._is_numbered = is_numbered
        columns = shape if stamp else self._plain
        self.schema = columns.append(pa.field(ORDER, pa.int64())) if is_numbered else columns

    def rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                if batch.num_rows:
                    yield self._taken(batch)
        except BaseException as error:
            self.error = error
            raise

    def _taken(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        first = self.hash.rows
        self.hash.update(batch)
        self.bytes += batch.nbytes
        try:
            taken = convert_batch(batch, self._plain)
        except pa.ArrowInvalid as error:
            raise SinkRejected(f"a value does not fit its column: {error}") from error
        if self._stamp is not None:
            taken = self._stamp.put(taken)
        numbers = [pa.arange(first, first + batch.num_rows)] if self._is_numbered else []
        return pa.RecordBatch.from_arrays([*taken.columns, *numbers], schema=self.schema)


class Counted:
    """Batches that pass are counted."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.rows = 0
        self._batches = batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch
