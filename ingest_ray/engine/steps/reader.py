"""Reads one slice into staging: pages, or files that the sink adopts. Stateless: any process may read any slice, more than once, in
any order.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from ingest_ray.engine.masking.layout import layout_of
from ingest_ray.engine.open_slices import NoteRows, note_nothing
from ingest_ray.engine.readers.quarantine import strategy_of
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.adoption import FileAdopter
from ingest_ray.engine.steps.unit_layout import opened_spec, slice_schema
from ingest_ray.http.permits import counting_points
from ingest_ray.process.failpoints import reached
from ingest_ray.quarantine.writer import QuarantineWriter
from ingest_ray.sdk.contracts import ReadContext, Staging
from ingest_ray.sdk.errors import RowsRejected, SliceTooLarge
from ingest_ray.sdk.types import Handle, Interval, Prepared, Slice, Staged
from ingest_ray.secrets.locations import quarantine_location
from ingest_ray.sinks.provenance import READ_AT

log = logging.getLogger(__name__)

BUDGET_FACTOR = 4  # a slice may exceed its target size by this factor before its reader stops and returns the rest


def read_slice(
    order: RunOrder,
    piece: Slice,
    attempt: int,
    staging: Staging,
    is_stopping: Callable[[], bool] = lambda: False,
    note: NoteRows = note_nothing,
    adopter: FileAdopter | None = None,
) -> Staged:
    """Streams the slice's rows into pages, or into files of the sink where `adopter` has them adopted; returns the handle and the
    counts. Calls `note` after each batch.

    Raises:
        SliceTooLarge: without a position; nothing was staged.
        SourceError, StagingError, SinkError: nothing was staged.
    """
    started = time.monotonic()
    with counting_points() as spending:
        reading = _Reading(order, piece, attempt, is_stopping, note)
        staged = _adopted(reading, adopter) or _paged(reading, staging)
    return staged.model_copy(update={"points": spending.points, "seconds": time.monotonic() - started})


@dataclass
class _Reading:
    """One attempt of one slice, whatever its rows are staged in."""

    order: RunOrder
    piece: Slice
    attempt: int
    is_stopping: Callable[[], bool]
    note: NoteRows
    schema: pa.Schema = field(init=False)
    rejects: QuarantineWriter = field(init=False)
    stopped: SliceTooLarge | None = None
    """Where the source stopped; None at the end of the slice."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Reads the rows; with its own quarantine, because an attempt that pages follow begins again.

        Raises:
            SliceTooLarge: without a position.
        """
        spec = opened_spec(self.order)
        context = ReadContext(
            schema=self.schema,
            page_bytes=self.order.settings.staging.page_bytes,
            budget_bytes=BUDGET_FACTOR * spec.policy.target_slice_bytes,
            reject=self.rejects.reject,
            is_stopping=self.is_stopping,
        )
        rows = 0
        try:
            for batch in strategy_of(self.order).read(spec, self.piece, context):
                yield batch
                reached("read:after-batch")
                rows += batch.num_rows
                self.note(rows + self.rejects.rows, rows)
        except SliceTooLarge as stopped:
            if stopped.position is None:
                raise
            self.stopped = stopped

    def begin(self) -> None:
        self.schema = slice_schema(self.order.spec, self.piece)
        self.rejects = open_quarantine(self.order, self.piece, self.attempt)
        self.stopped = None

    def staged(self, handle: Handle, quarantine_uri: str | None, prepared: Prepared | None = None) -> Staged:
        interval, stopped, rejects = self.piece.interval, self.stopped, self.rejects
        covered = interval if stopped is None else Interval(lower=interval.lower, upper=stopped.position)
        return Staged(
            handle=handle,
            covered=covered,
            is_complete=stopped is None,
            rows_read=handle.rows + rejects.rows,
            rows_quarantined=rejects.rows,
            quarantine_uri=quarantine_uri,
            first_rejection=rejects.first_reason,
            bytes_per_row=stopped.bytes_per_row if stopped else None,
            prepared=prepared,
        )


def _paged(reading: _Reading, staging: Staging) -> Staged:
    reading.begin()
    writer = staging.open(reading.order.run_id, reading.piece.slice_id, reading.attempt, reading.schema)
    try:
        for batch in reading.batches():
            writer.write(batch)
        reached("read:after-read")
        quarantine_uri = reading.rejects.close()
        handle = writer.close()
        reached("read:after-stage")
    except BaseException:
        writer.abort()
        reading.rejects.abort()
        raise
    return reading.staged(handle, quarantine_uri)


def _adopted(reading: _Reading, adopter: FileAdopter | None) -> Staged | None:
    """None where the slice needs pages: its rows are not adopted, or the sink refuses some, which are found in pages."""
    piece = reading.piece
    if adopter is None or not adopter.adopts(piece):
        return None
    reading.begin()
    try:
        handle, prepared = adopter.stage(piece, reading.attempt, reading.schema, reading.batches(), reading.rejects)
    except RowsRejected as error:
        reading.rejects.abort()
        log.info("the sink refuses rows, which are searched for in pages: %s", error.message)
        return None
    except BaseException:
        reading.rejects.abort()
        raise
    try:
        reached("read:after-read")
        quarantine_uri = reading.rejects.close()
        reached("read:after-stage")
    except BaseException:
        adopter.sink.abort([prepared])
        reading.rejects.abort()
        raise
    return reading.staged(handle, quarantine_uri, prepared)


def open_quarantine(order: RunOrder, piece: Slice, attempt: int | str) -> QuarantineWriter:
    spec = order.spec
    return QuarantineWriter(
        quarantine_location(order.settings),
        spec.endpoint.endpoint_id,
        spec.unit_id,
        spec.config.sink_id,
        order.run_id,
        piece.slice_id,
        attempt,
        read_at=read_at_of(order, piece),
        layout=layout_of(spec.config, order.settings),
    )


def read_at_of(order: RunOrder, piece: Slice) -> int:
    """When the run began that read the slice's rows from the source: an earlier run, where they come from quarantine or kept staging."""
    return int(str(piece.hints.get(READ_AT, order.read_at)))
