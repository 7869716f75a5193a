"""Documents that a plan preview and a reconciliation return: statistics and identifiers, never rows."""

from datetime import datetime
from typing import Literal

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
    missing_in_sink: int = 0
    repaired: int = 0
    """Rows that were missing in the sink, and were read and committed again."""
    erased: int = 0
    how: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    error: RunFault | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class ComparisonProgress(Model):
    """The progress of a comparison in one of its steps. `blocks` is 0 where the step has none."""

    step: str
    rows: int = 0
    blocks_done: int = 0
    blocks: int = 0
    seconds: float = 0.0


class VerifyReport(Model):
    """The result of comparing all rows of a unit with its sink. Counts are of all keys; the keys that are named are the first ones."""

    run_id: str
    endpoint_id: str
    unit_id: str
    sink_id: str
    state: RunState
    """SUCCEEDED: equal, or repaired; PAUSED: stopped, goes on with the next call; FAILED: they differ, or see `error`."""
    compared: Literal["keys", "versions", "rows"] = "keys"
    is_by_sums: bool = False
    """True where keys were compared by sums over ranges, and only the ranges that differ by key."""
    rows_at_source: int = 0
    rows_in_sink: int = 0
    missing: int = 0
    surplus: int = 0
    different: int = 0
    doubled: int = 0
    """Keys of which the sink has more rows than the source."""
    newer: int = 0
    """Keys that differ, and whose rows at the source are above the watermark, or changed while they were compared."""
    missing_keys: tuple[dict[str, JsonValue], ...] = ()
    surplus_keys: tuple[dict[str, JsonValue], ...] = ()
    different_keys: tuple[dict[str, JsonValue], ...] = ()
    doubled_keys: tuple[dict[str, JsonValue], ...] = ()
    not_compared: tuple[str, ...] = ()
    """Columns whose values the sink cannot return exactly."""
    is_resumed: bool = False
    repaired: int | None = None
    """Rows that a repair committed again; None where no repair was requested."""
    erased: int | None = None
    remaining: int | None = None
    """Keys that still differ after the repair."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    error: RunFault | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)

    @property
    def differences(self) -> int:
        return self.missing + self.surplus + self.different + self.doubled
