"""Loads batches into a stage table: counts, hashes, converts and numbers their rows on the way."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from ingest_ray.sdk.contracts import Misfit
from ingest_ray.sdk.errors import CommitUnknown, SinkUnavailable
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sinks.columns import internal_name
from ingest_ray.sinks.databases.database import ORDER, Database
from ingest_ray.sinks.history.columns import INSTANT, VALID_FROM
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS, Provenance
from ingest_ray.sinks.value_limits import convert_rows, find_unconvertible, wanted_schema


class StageStore(Protocol):
    """Where stages are: a database, or files."""

    def load_stage(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None: ...

    def drop_stages(self, stages: Sequence[str]) -> None: ...


class StageLoader:
    """Loads one stage. `schema` is the table's.

    Without `provenance` the rows are staged without those columns. `is_numbered`: each row gets its position in the slice.
    `indices`: of the columns of each batch that are staged; None: all. `begins`: `_valid_from` of each row, which is staged, too.
    """

    def __init__(
        self,
        schema: pa.Schema,
        provenance: Provenance | None = None,
        *,
        is_numbered: bool = True,
        indices: Sequence[int] | None = None,
        begins: Callable[[pa.RecordBatch], pa.Array] | None = None,
    ) -> None:
        self.hash = RowHash()
        self.bytes = 0
        self._error: BaseException | None = None
        self._source_schema = pa.schema([field for field in schema if field.name not in PROVENANCE_COLUMNS])
        self._provenance = provenance
        self._is_numbered = is_numbered
        self._indices = None if indices is None else list(indices)
        columns = schema if provenance else self._source_schema
        self._begins = begins
        if begins is not None:
            columns = columns.append(pa.field(VALID_FROM, INSTANT))
        self._stage_schema = (
            columns.append(pa.field(internal_name(ORDER, columns.names), pa.int64())) if is_numbered else columns
        )

    def load(self, store: StageStore, stage: str, batches: Iterable[pa.RecordBatch]) -> None:
        """Drops the stage where loading fails. Raises the error of `batches` itself, not what a driver made of it."""
        try:
            store.load_stage(stage, self._stage_schema, self._convert(batches))
        except CommitUnknown as error:  # no handle names this stage: a later run drops it
            raise SinkUnavailable(error.message, hint=error.hint) from error
        except BaseException as error:
            store.drop_stages([stage])
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
        staged = batch if self._indices is None else batch.select(self._indices)
        converted = convert_rows(staged, self._source_schema)
        if self._provenance is not None:
            converted = self._provenance.add_to(converted)
        begins = [] if self._begins is None else [self._begins(batch)]
        numbers = [pa.arange(first, first + batch.num_rows)] if self._is_numbered else []
        return pa.RecordBatch.from_arrays([*converted.columns, *begins, *numbers], schema=self._stage_schema)


def find_misfits_in(
    db: Database, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False
) -> Mapping[int, Misfit]:
    """`MisfitFinder.find_misfits` of the sinks of one database."""
    wanted = wanted_schema(schema, db.rules)
    found = dict(db.find_misfits(batch, wanted))
    return {**find_unconvertible(batch, wanted), **found} if converts else found


class CountedBatches:
    """Counts the rows of batches while they are iterated."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.rows = 0
        self._batches = batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch
