"""The order for one run and its progress: ids and statistics, never rows."""

import time
from typing import Literal

from pydantic import Field

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


def _now_us() -> int:
    return time.time_ns() // 1000


class RunOrder(Model):
    """One unit and one sink that passed the gate. Secrets in it are references or ciphertext."""

    run_id: str
    settings: Settings
    spec: UnitSpec
    sink: Endpoint
    task: Literal["ingest", "backfill", "replay", "remap", "repair"] = "ingest"
    """`backfill` reads `[lower, upper)` of the cursor again, `replay` the quarantined rows, `remap` the kept staging, `repair` the
    rows of the keys in `keys_uri`. None of these moves a watermark."""
    lower: str | None = None
    upper: str | None = None
    read_at: int = Field(default_factory=_now_us)
    """Microseconds since 1970: orders the versions of rows in CDM models that have no other order. Grows from run to run of a unit."""
    keys_uri: str | None = None
    """The folder with the keys that a repair reads."""
    follow_s: float | None = None
    """CHANGES: the run goes on until it is stopped, and looks for changes so many seconds after it had none; None: it ends there."""
    source_dataset: Dataset | None = None
    """The dataset as the source has it now, where its types differ from the staged ones; see `engine.readers.drifted_schema`."""
    trace: dict[str, str] = Field(default_factory=dict)
    """The span that the work of other processes belongs to, as headers; empty where no traces are recorded."""

    @property
    def ref(self) -> UnitRef:
        return self.spec.ref


class Progress(Model):
    """The progress of a run at one moment; counts only grow."""

    run_id: str
    endpoint_id: str
    unit_id: str
    phase: str
    """`planning`, `reading`, `committing` or `done`; of a comparison with the sink, its step."""
    rows: RowCounts = RowCounts()
    bytes_staged: int = 0
    slices: SliceCounts = SliceCounts()
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    seconds: float = 0.0
    waiting: str | None = None
    """What the run waits for, where it can do nothing else: the quota of a site."""

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)
