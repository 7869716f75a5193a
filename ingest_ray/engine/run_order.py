"""The order for one run and its progress: ids and statistics, never rows."""

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
    """One unit and one sink that passed the gate. Secrets in it are references or ciphertext."""

    run_id: str
    settings: Settings
    spec: UnitSpec
    sink: Endpoint
    task: Literal["ingest", "backfill", "replay", "remap"] = "ingest"
    """`backfill` reads `[lower, upper)` of the cursor again, `replay` the quarantined rows, `remap` the kept staging. None of
    these moves a watermark."""
    lower: str | None = None
    upper: str | None = None
    source_dataset: Dataset | None = None
    """The dataset as the source has it now, where its types differ from the staged ones; see `engine.readers.drifted_schema`."""

    @property
    def ref(self) -> UnitRef:
        return self.spec.ref


class Progress(Model):
    """The progress of a run at one moment; counts only grow."""

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
