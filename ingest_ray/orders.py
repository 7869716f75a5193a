"""What the control plane hands to a run, and what it hears from it: ids, statistics, never rows."""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from ingest_ray.models import (
    ColumnFit,
    Dataset,
    Endpoint,
    Fidelity,
    Horizon,
    Model,
    RowCounts,
    RunFault,
    RunState,
    Slice,
    SliceCounts,
    UnitSpec,
)
from ingest_ray.settings import Settings


class RunOrder(Model):
    """One unit into one sink, already through the gate. Secrets in it are references or ciphertext."""

    run_id: str
    settings: Settings
    spec: UnitSpec
    sink: Endpoint
    task: Literal["ingest", "backfill", "replay", "remap"] = "ingest"
    """`backfill` reads `[lower, upper)` of the cursor again, `replay` what is in quarantine, `remap` what staging keeps: none
    of them moves a watermark."""
    lower: str | None = None
    upper: str | None = None
    source_dataset: Dataset | None = None
    """The dataset as the source has it now, where its types are not those that are staged: see `work.fitted`."""


class Progress(Model):
    """A moment of a run; the counts only grow."""

    run_id: str
    endpoint_id: str
    unit_id: str
    phase: Literal["planning", "reading", "committing", "done"]
    rows: RowCounts = RowCounts()
    bytes_staged: int = 0
    slices: SliceCounts = SliceCounts()
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    seconds: float = 0.0


class CertificateLine(Model):
    """One column from source to sink."""

    column: str
    source_type: str
    arrow: str
    sink_type: str
    fidelity: Fidelity
    note: str | None = None

    @staticmethod
    def worst(first: Fidelity, second: Fidelity) -> Fidelity:
        order = list(Fidelity)
        return max(first, second, key=order.index)


class SegmentPlan(Model):
    segment: str
    watermark: JsonValue = None
    scopes: tuple[str, ...] = ()
    slices: int = 0
    estimated_rows: int | None = None
    estimated_bytes: int | None = None


class PlanPreview(Model):
    """What `plan` shows: the same slices in the same order that `run` would read now. `slices` may be cut; `slice_count` is not."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    strategy: str
    run_mode: str
    write: str
    horizon: Horizon | None = None
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    segments: tuple[SegmentPlan, ...] = ()
    slices: tuple[Slice, ...] = ()
    slice_count: int = 0
    is_truncated: bool = False
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    certificate: tuple[CertificateLine, ...] = ()
    executor: str = "inline"
    planned_at: datetime


class ReconcileReport(Model):
    """What the comparison of a complete census of the source with the sink found and did."""

    run_id: str
    endpoint_id: str
    unit_id: str
    sink_id: str
    state: RunState
    keys_at_source: int = 0
    keys_in_sink: int = 0
    missing_at_source: int = 0
    erased: int = 0
    how: str = ""
    seconds: float = 0.0
    error: RunFault | None = None


__all__ = ["CertificateLine", "ColumnFit", "PlanPreview", "Progress", "ReconcileReport", "RunOrder", "SegmentPlan"]
