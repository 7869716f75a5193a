"""What the control plane hands to a run, and what it hears from it: ids, statistics, never rows."""

from typing import Literal

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import (
    Dataset,
    Endpoint,
    Model,
    RowCounts,
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

    @property
    def ref(self) -> UnitRef:
        return self.spec.ref


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

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)
