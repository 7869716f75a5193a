"""Prepares the rows of a slice that the sink can hold, and puts the others into quarantine, before anything is committed.

First the sink names the rows beyond the limits that it declares. Where it refuses a value nevertheless, the rows are searched for, and
the slice is prepared again without them.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.reader import open_quarantine
from ingest_ray.engine.steps.refused_rows import RefusedRowSearch, misfits_of, without_rows
from ingest_ray.quarantine.raw_rows import raw_row
from ingest_ray.quarantine.writer import QuarantineWriter
from ingest_ray.sdk.contracts import Misfit, Sink, Staging
from ingest_ray.sdk.errors import RowsRejected
from ingest_ray.sdk.row_hash import RowHash, sum_of_hashes
from ingest_ray.sdk.types import Handle, Prepared, Slice, Target


def open_sink_quarantine(order: RunOrder, piece: Slice) -> QuarantineWriter:
    """A file of its own, because a slice may be prepared twice at once."""
    part = piece.model_copy(update={"scope_id": f"{piece.scope_id}.sink"})
    return open_quarantine(order, part, uuid.uuid4().hex)


@dataclass
class SliceOfRows:
    """One staged slice, and the sink that it is prepared for."""

    order: RunOrder
    sink: Sink
    target: Target
    schema: pa.Schema
    staging: Staging
    piece: Slice
    handle: Handle
    _refused: dict[int, Misfit] = field(default_factory=dict)
    """By the row's index in the slice."""

    def prepare(self) -> Prepared:
        """Raises what `Sink.prepare` raises.

        Raises:
            QuarantineLimit: more rows are refused than the policy allows.
        """
        try:
            return self._prepare_fitting_rows()
        except RowsRejected as error:
            search = RefusedRowSearch(
                self.sink,
                self.schema,
                lambda batch: self.sink.prepare(self.target, self.piece, self.schema, [batch]),
                lambda prepared: self.sink.abort([prepared]),
                self.order.spec.policy.max_quarantined_rows,
            )
            self._refused = search.find(self.staging.read(self.handle), error)
        return self._prepare_fitting_rows()

    def _prepare_fitting_rows(self) -> Prepared:
        rejects, rejected = open_sink_quarantine(self.order, self.piece), RowHash()
        try:
            batches = self._fitting_batches(rejects, rejected)
            prepared = self.sink.prepare(self.target, self.piece, self.schema, batches)
            uri = rejects.close()
        except BaseException:
            if rejects.rows:
                rejects.abort()
            raise
        if uri is None:
            return prepared
        return prepared.model_copy(
            update={
                "rows_quarantined": rejects.rows,
                "quarantine_uri": uri,
                "first_rejection": rejects.first_reason,
                "row_hash": prepared.row_hash and sum_of_hashes(prepared.row_hash, rejected.hexdigest()),
            }
        )

    def _fitting_batches(self, rejects: QuarantineWriter, rejected: RowHash) -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in self.staging.read(self.handle):
            end = first + batch.num_rows
            misfits = {row - first: misfit for row, misfit in self._refused.items() if first <= row < end}
            misfits |= misfits_of(self.sink, self.schema, batch)
            first = end
            for row, misfit in sorted(misfits.items()):
                rejects.reject(raw_row(batch, row), misfit.reason, misfit.column)
                rejected.update(batch.slice(row, 1))
            yield without_rows(batch, misfits) if misfits else batch
