"""Loads batches into a stage table: counts, hashes, converts and numbers their rows on the way."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from ingest_ray.sdk.errors import CommitUnknown, SinkRejected, SinkUnavailable
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sinks.databases.database import ORDER, Database
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS, Provenance
from ingest_ray.sinks.value_conversion import convert_batch


class StageLoader:
    """Loads one stage. `schema` is the table's.

    Without `provenance` the rows are staged without those columns. `is_numbered`: each row gets its position in the slice.
    """

    def __init__(self, schema: pa.Schema, provenance: Provenance | None = None, *, is_numbered: bool = True) -> None:
        self.hash = RowHash()
        self.bytes = 0
        self._error: BaseException | None = None
        self._source_schema = pa.schema([field for field in schema if field.name not in PROVENANCE_COLUMNS])
        self._provenance = provenance
        self._is_numbered = is_numbered
        columns = schema if provenance else self._source_schema
        self._stage_schema = columns.append(pa.field(ORDER, pa.int64())) if is_numbered else columns

    def load(self, db: Database, stage: str, batches: Iterable[pa.RecordBatch]) -> None:
        """Drops the stage where loading fails. Raises the error of `batches` itself, not what a driver made of it."""
        try:
            db.load_stage(stage, self._stage_schema, self._convert(batches))
        except CommitUnknown as error:  # no handle names this stage: a later run drops it
            raise SinkUnavailable(error.message, hint=error.hint) from error
        except BaseException as error:
            db.drop_stages([stage])
            if self._error is not None and self._error is not error:
                raise self._error from error
            raise

    def _convert(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                if batch.num_rows:
                    yield self._convert_batch(batch)
        except BaseException as error:
            self._error = error
            raise

    def _convert_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        first = self.hash.rows
        self.hash.update(batch)
        self.bytes += batch.nbytes
        try:
            converted = convert_batch(batch, self._source_schema)
        except pa.ArrowInvalid as error:
            raise SinkRejected(f"a value does not fit its column: {error}") from error
        if self._provenance is not None:
            converted = self._provenance.add_to(converted)
        numbers = [pa.arange(first, first + batch.num_rows)] if self._is_numbered else []
        return pa.RecordBatch.from_arrays([*converted.columns, *numbers], schema=self._stage_schema)


class CountedBatches:
    """Counts the rows of batches while they are iterated."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.rows = 0
        self._batches = batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch
