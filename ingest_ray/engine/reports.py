"""Documents that a plan preview and a reconciliation return: statistics and identifiers, never rows."""

from datetime import datetime

from pydantic import Field, JsonValue

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Fidelity, Horizon, Model, RunFault, RunState, Slice


class CertificateLine(Model):
    """One column from source to sink."""

    column: str
    source_type: str
    arrow: str
    sink_type: str
    fidelity: Fidelity
    note: str | None = None


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

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class ReconcileReport(Model):
    """The result of comparing a complete key scan of the source with the sink."""

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

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)
