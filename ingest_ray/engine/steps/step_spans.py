"""The span of one step, with counts and ids; never with an interval, whose bounds are values of keys or cursors."""

from ingest_ray.core.messages import (
    Committed,
    Event,
    Failed,
    IntentRecorded,
    Planned,
    SliceMapped,
    SlicePrepared,
    SliceReplanned,
    SliceStaged,
    Stage,
)
from ingest_ray.sdk import tracing
from ingest_ray.sdk.tracing import Attributes, Span
from ingest_ray.sdk.types import Slice

NAMES = {
    Stage.PLAN: "cut slices",
    Stage.READ: "read slice",
    Stage.MAP: "map slice",
    Stage.OPEN: "open sink",
    Stage.PREPARE: "prepare slice",
    Stage.INTEND: "record intent",
    Stage.COMMIT: "commit",
    Stage.FOLD: "fold commit",
}


def step_span(stage: Stage, piece: Slice | None, attempt: int) -> Span:
    """For `with`."""
    if not tracing.is_on():
        return tracing.span("")
    of_slice: Attributes = {}
    if piece is not None:
        of_slice = {"ingest.slice.id": piece.slice_id, "ingest.attempt": attempt}
    return tracing.span(NAMES[stage], of_slice)


def note_outcome(span: Span, event: Event) -> None:
    if not tracing.is_on():
        return
    match event:
        case Failed(_, fault):
            span.fail(fault.code)
            span.set({"ingest.recovery": str(fault.recovery)})
        case Planned(slices, is_done):
            span.set({"ingest.slices": len(slices), "ingest.plan.is_done": is_done})
        case SliceReplanned(_, slices):
            span.set({"ingest.slices": len(slices)})
        case SliceStaged(_, _, staged):
            span.set(
                {
                    "ingest.rows.read": staged.rows_read,
                    "ingest.rows.quarantined": staged.rows_quarantined,
                    "ingest.bytes.staged": staged.handle.bytes,
                }
            )
        case SliceMapped(_, _, mapped):
            span.set({"ingest.rows.mapped": mapped.rows, "ingest.rows.quarantined": mapped.rows_quarantined})
        case SlicePrepared(_, _, prepared):
            span.set({"ingest.rows.prepared": prepared.rows})
        case IntentRecorded(sequence):
            span.set({"ingest.commit.sequence": sequence})
        case Committed(receipt):
            span.set({"ingest.commit.sequence": receipt.sequence, "ingest.rows.committed": receipt.rows_committed})
        case _:
            pass
