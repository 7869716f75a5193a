"""Finds the rows of a slice that a sink refuses, beyond the limits that it declares: the slice is prepared in halves of halves."""

from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa

from ingest_ray.sdk.contracts import Misfit, MisfitFinder
from ingest_ray.sdk.errors import QuarantineLimit, RowsRejected
from ingest_ray.sdk.types import Prepared


def misfits_of(
    sink: object, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False
) -> Mapping[int, Misfit]:
    """None for a sink that declares no limits."""
    return sink.find_misfits(schema, batch, converts=converts) if isinstance(sink, MisfitFinder) else {}


def without_rows(batch: pa.RecordBatch, rows: Iterable[int]) -> pa.RecordBatch:
    left_out = set(rows)
    return batch.take(pa.array([row for row in range(batch.num_rows) if row not in left_out], pa.int64()))


class RefusedRowSearch:
    """`prepare` prepares one batch, and `abort` takes it back. More than `allowed` refused rows end the search."""

    def __init__(
        self,
        sink: object,
        schema: pa.Schema,
        prepare: Callable[[pa.RecordBatch], Prepared],
        abort: Callable[[Prepared], None],
        allowed: int,
    ) -> None:
        self._sink = sink
        self._schema = schema
        self._prepare = prepare
        self._abort = abort
        self._allowed = allowed
        self._found: dict[int, Misfit] = {}

    def find(self, batches: Iterable[pa.RecordBatch], error: RowsRejected) -> dict[int, Misfit]:
        """The refused rows by their index over all batches.

        Raises:
            RowsRejected: `error`, where no single row is its cause.
            QuarantineLimit: too many rows are refused.
        """
        if self._error_of(pa.RecordBatch.from_pylist([], schema=self._schema)) is not None:
            raise error
        first = 0
        for batch in batches:
            misfits = misfits_of(self._sink, self._schema, batch, converts=True)
            self._found |= {first + row: misfit for row, misfit in misfits.items()}
            rows = [first + row for row in range(batch.num_rows) if row not in misfits]
            self._bisect(without_rows(batch, misfits), rows)
            first += batch.num_rows
        if not self._found:
            raise error
        return self._found

    def _bisect(self, batch: pa.RecordBatch, rows: list[int]) -> None:
        """`rows`: the index of each row of the batch."""
        error = self._error_of(batch) if rows else None
        if error is None:
            return
        if len(rows) == 1:
            self._found[rows[0]] = Misfit(None, error.message)
            self._refuse_too_many(error)
            return
        middle = len(rows) // 2
        self._bisect(batch.slice(0, middle), rows[:middle])
        self._bisect(batch.slice(middle), rows[middle:])

    def _error_of(self, batch: pa.RecordBatch) -> RowsRejected | None:
        try:
            prepared = self._prepare(batch)
        except RowsRejected as error:
            return error
        self._abort(prepared)
        return None

    def _refuse_too_many(self, error: RowsRejected) -> None:
        if len(self._found) > self._allowed:
            raise QuarantineLimit(
                f"the sink refuses more than {self._allowed} rows of one slice; one of them: {error.message}",
                hint="raise policy.max_quarantined_rows, or mend the rows at the source",
            )
