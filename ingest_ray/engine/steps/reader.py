"""Reads one slice into staging. Stateless: any process may read any slice, more than once, in any order."""

import time
from collections.abc import Callable, Iterator

import pyarrow as pa

from ingest_ray.engine.masking.layout import layout_of
from ingest_ray.engine.open_slices import NoteRows, note_nothing
from ingest_ray.engine.readers.quarantine import strategy_of
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import opened_spec, slice_schema
from ingest_ray.http.permits import counting_points
from ingest_ray.process.failpoints import reached
from ingest_ray.quarantine.writer import QuarantineWriter
from ingest_ray.sdk.contracts import ReadContext, StageWriter, Staging
from ingest_ray.sdk.errors import SliceTooLarge
from ingest_ray.sdk.types import Interval, Slice, Staged
from ingest_ray.sinks.provenance import READ_AT

BUDGET_FACTOR = 4  # a slice may exceed its target size by this factor before its reader stops and returns the rest


def read_slice(
    order: RunOrder,
    piece: Slice,
    attempt: int,
    staging: Staging,
    is_stopping: Callable[[], bool] = lambda: False,
    note: NoteRows = note_nothing,
) -> Staged:
    """Streams the slice's rows into pages; returns the manifest and the counts. Calls `note` after each batch.

    Raises:
        SliceTooLarge: without a position; nothing was staged.
        SourceError, StagingError: nothing was staged.
    """
    started = time.monotonic()
    with counting_points() as spending:
        staged = _stage_slice(order, piece, attempt, staging, is_stopping, note)
    return staged.model_copy(update={"points": spending.points, "seconds": time.monotonic() - started})


def _stage_slice(
    order: RunOrder, piece: Slice, attempt: int, staging: Staging, is_stopping: Callable[[], bool], note: NoteRows
) -> Staged:
    spec = opened_spec(order)
    schema = slice_schema(spec, piece)
    rejects = open_quarantine(order, piece, attempt)
    context = ReadContext(
        schema=schema,
        page_bytes=order.settings.staging.page_bytes,
        budget_bytes=BUDGET_FACTOR * spec.policy.target_slice_bytes,
        reject=rejects.reject,
        is_stopping=is_stopping,
    )
    writer = staging.open(order.run_id, piece.slice_id, attempt, schema)
    try:
        batches = strategy_of(order).read(spec, piece, context)
        stopped = write_batches(batches, writer, lambda rows: note(rows + rejects.rows, rows))
        reached("read:after-read")
        quarantine_uri = rejects.close()
        handle = writer.close()
        reached("read:after-stage")
    except BaseException:
        writer.abort()
        rejects.abort()
        raise
    covered = piece.interval if stopped is None else Interval(lower=piece.interval.lower, upper=stopped.position)
    return Staged(
        handle=handle,
        covered=covered,
        is_complete=stopped is None,
        rows_read=handle.rows + rejects.rows,
        rows_quarantined=rejects.rows,
        quarantine_uri=quarantine_uri,
        first_rejection=rejects.first_reason,
        bytes_per_row=stopped.bytes_per_row if stopped else None,
    )


def open_quarantine(order: RunOrder, piece: Slice, attempt: int | str) -> QuarantineWriter:
    spec = order.spec
    return QuarantineWriter(
        order.settings.quarantine_uri,
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


def write_batches(
    batches: Iterator[pa.RecordBatch], writer: StageWriter, note: Callable[[int], None] = lambda rows: None
) -> SliceTooLarge | None:
    """Writes batch by batch; returns the position where the source stopped, None at the end of the slice.

    Calls `note` after each batch, with the rows that are written so far.
    """
    rows = 0
    try:
        for batch in batches:
            writer.write(batch)
            reached("read:after-batch")
            rows += batch.num_rows
            note(rows)
    except SliceTooLarge as stopped:
        if stopped.position is None:
            raise
        return stopped
    return None
