"""The plain data that every part passes to the next: small, frozen, JSON-serializable.

Nothing here holds rows. Words are those of the glossary in `docs/glossary.md`.
"""

from ingest_ray.sdk.types.commit import ColumnFit, ModelCounts, Prepared, Provisioned, Receipt, Target
from ingest_ray.sdk.types.dataset import Column, Dataset, Fidelity, worst_fidelity
from ingest_ray.sdk.types.endpoint import ConnectionReport, Diagnostic, Endpoint
from ingest_ray.sdk.types.interval import Axis, Horizon, Interval, LoggedTable, LogHistory, Position, SourceClock
from ingest_ray.sdk.types.layout import Layout, Partition
from ingest_ray.sdk.types.model import Model
from ingest_ray.sdk.types.plan import Effect, Island, Piece, Scope, SegmentState, Slice
from ingest_ray.sdk.types.run_summary import RowCounts, RunFault, RunState, RunSummary, SliceCounts
from ingest_ray.sdk.types.schedule import CronSchedule, TaskSchedule
from ingest_ray.sdk.types.stage import ADOPTED, Handle, Mapped, MappedModel, PageInfo, Staged
from ingest_ray.sdk.types.unit import (
    CdmSettings,
    DataMode,
    Learned,
    Policy,
    RunMode,
    Span,
    Unit,
    UnitConfig,
    UnitSpec,
    WriteMode,
    parse_lookback,
)

__all__ = [
    "ADOPTED",
    "Axis",
    "CdmSettings",
    "Column",
    "ColumnFit",
    "ConnectionReport",
    "CronSchedule",
    "DataMode",
    "Dataset",
    "Diagnostic",
    "Effect",
    "Endpoint",
    "Fidelity",
    "Handle",
    "Horizon",
    "Interval",
    "Island",
    "Layout",
    "Learned",
    "LogHistory",
    "LoggedTable",
    "Mapped",
    "MappedModel",
    "Model",
    "ModelCounts",
    "PageInfo",
    "Partition",
    "Piece",
    "Policy",
    "Position",
    "Prepared",
    "Provisioned",
    "Receipt",
    "RowCounts",
    "RunFault",
    "RunMode",
    "RunState",
    "RunSummary",
    "Scope",
    "SegmentState",
    "Slice",
    "SliceCounts",
    "SourceClock",
    "Span",
    "Staged",
    "Target",
    "TaskSchedule",
    "Unit",
    "UnitConfig",
    "UnitSpec",
    "WriteMode",
    "parse_lookback",
    "worst_fidelity",
]
