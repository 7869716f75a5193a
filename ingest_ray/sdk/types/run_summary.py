"""The summary of a run, which is also its run record."""

from datetime import datetime
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, JsonValue

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types.commit import ModelCounts
from ingest_ray.sdk.types.interval import Horizon
from ingest_ray.sdk.types.model import Model


class RunState(StrEnum):
    IDLE = "IDLE"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    FAILED = "FAILED"
    SUCCEEDED = "SUCCEEDED"


class RowCounts(Model):
    read: int = 0
    staged: int = 0
    committed: int = 0
    quarantined: int = 0
    deduplicated: int = 0

    def plus(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class SliceCounts(Model):
    """`degraded`: committed slices of which rows are in quarantine. No deletes are derived from slices."""

    planned: int = 0
    committed: int = 0
    failed: int = 0
    degraded: int = 0

    def plus(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class RunFault(Model):
    code: str
    message: str
    hint: str | None = None


class RunSummary(Model):
    """The result of a run, for people and clients; the same document is the run record."""

    run_id: str
    endpoint_id: str
    unit_id: str
    sink_id: str
    state: RunState
    task: Literal["ingest", "backfill", "replay", "remap", "reconcile", "verify", "repair", "upkeep"] = "ingest"
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    """Of a backfill: `from` and `to`; of a reconciliation: the counts of keys, and how rows were erased; of a
    verification: its counts."""
    schema_changes: tuple[str, ...] = ()
    """Changes at the source since the unit's last run that this run followed."""
    rows: RowCounts = RowCounts()
    models: dict[str, ModelCounts] = Field(default_factory=dict)
    """In CDM mode: rows of each model; `rows` counts source rows."""
    bytes_staged: int = 0
    slices: SliceCounts = SliceCounts()
    watermarks: dict[str, JsonValue] = Field(default_factory=dict)
    target: str | None = None
    strategy: str | None = None
    horizon: Horizon | None = None
    phases: dict[str, float] = Field(default_factory=dict)
    """Seconds spent per phase, summed over parallel workers: plan, read, prepare, commit, state."""
    retries: int = 0
    seconds: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    executor: str | None = None
    is_at_least: bool = False
    """The counts are those of the run's last report: it goes on, or its process is gone and may have done more."""
    requested_by: str | None = None
    """The person or trigger that started it, where it is known: a name, or `schedule`."""
    error: RunFault | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)
