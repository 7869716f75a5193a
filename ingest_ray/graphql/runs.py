"""Runs, plans, segments, quarantine and progress: what the schema has beyond the contract."""

from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Self

import strawberry
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.graphql.ingestion import IngestionState
from ingest_ray.graphql.words import document
from ingest_ray.models import RunSummary, SegmentState
from ingest_ray.orders import PlanPreview, Progress
from ingest_ray.quarantine import QuarantineEntry
from ingest_ray.service.access import Principal
from ingest_ray.service.history import RunPage, RunView
from ingest_ray.service.watching import Sample
from ingest_ray.state.reading import shown

MOST_WATERMARKS = 200


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class RowCounts:
    """Counts may be larger than GraphQL's Int."""

    read: float
    staged: float
    committed: float
    quarantined: float
    deduplicated: float


@strawberry.type
class SliceCounts:
    planned: int
    committed: int
    failed: int


@strawberry.type
class RunFault:
    code: str
    message: str
    hint: str | None


@strawberry.type
class PhaseSeconds:
    phase: str
    seconds: float


@strawberry.type
class IngestionRun:
    id: ID
    endpoint_id: ID
    unit_id: ID
    sink_id: str
    state: IngestionState
    task: str
    requested_by: str | None
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float
    rows: RowCounts
    slices: SliceCounts
    bytes_staged: float
    phases: list[PhaseSeconds]
    retries: int
    strategy: str | None
    executor: str | None
    target: str | None
    horizon: JSON | None
    watermarks: JSON
    schema_changes: list[str]
    facts: JSON
    error: RunFault | None

    @classmethod
    def of(cls, summary: RunSummary) -> Self:
        horizon = summary.horizon
        return cls(
            id=ID(summary.run_id),
            endpoint_id=ID(summary.endpoint_id),
            unit_id=ID(summary.unit_id),
            sink_id=summary.sink_id,
            state=IngestionState(summary.state.value),
            task=summary.task,
            requested_by=summary.requested_by,
            started_at=summary.started_at,
            finished_at=summary.finished_at,
            seconds=summary.seconds,
            rows=RowCounts(**summary.rows.model_dump()),
            slices=SliceCounts(**summary.slices.model_dump()),
            bytes_staged=summary.bytes_staged,
            phases=[PhaseSeconds(phase=name, seconds=spent) for name, spent in summary.phases.items()],
            retries=summary.retries,
            strategy=summary.strategy,
            executor=summary.executor,
            target=summary.target,
            horizon=document({"value": shown(horizon.value), "method": horizon.method}) if horizon else None,
            watermarks=document(dict(islice(summary.watermarks.items(), MOST_WATERMARKS))) or JSON({}),
            schema_changes=list(summary.schema_changes),
            facts=document(summary.facts) or JSON({}),
            error=RunFault(**summary.error.model_dump()) if summary.error is not None else None,
        )


@strawberry.type
class IngestionRunEdge:
    cursor: str
    node: IngestionRun


@strawberry.type
class IngestionRunConnection:
    edges: list[IngestionRunEdge]
    page_info: PageInfo

    @classmethod
    def of(cls, page: RunPage) -> Self:
        edges = [IngestionRunEdge(cursor=run.run_id, node=IngestionRun.of(run)) for run in page.runs]
        return cls(
            edges=edges,
            page_info=PageInfo(has_next_page=page.has_next, end_cursor=edges[-1].cursor if edges else None),
        )


@strawberry.type
class RunSample:
    seconds: float
    rows: float
    bytes_staged: float
    slices: int

    @classmethod
    def of(cls, sample: Sample) -> Self:
        return cls(**sample.model_dump())


@strawberry.type
class RunProgress:
    """How far a run is. The counts only grow; `isFinished` comes last."""

    run_id: ID
    state: IngestionState
    phase: str
    rows: RowCounts
    slices: SliceCounts
    bytes_staged: float
    estimated_rows: float | None
    seconds: float
    is_stop_requested: bool
    is_finished: bool
    samples: list[RunSample]

    @classmethod
    def of(cls, view: RunView) -> Self:
        summary = view.summary
        is_finished = summary.state.value != "RUNNING"
        moment = view.told.moment if view.told is not None and not is_finished else _last(summary)
        return cls(
            run_id=ID(summary.run_id),
            state=IngestionState(summary.state.value),
            phase=moment.phase,
            rows=RowCounts(**moment.rows.model_dump()),
            slices=SliceCounts(**moment.slices.model_dump()),
            bytes_staged=moment.bytes_staged,
            estimated_rows=moment.estimated_rows,
            seconds=moment.seconds,
            is_stop_requested=view.is_stop_requested,
            is_finished=is_finished,
            samples=[RunSample.of(sample) for sample in (view.told.samples if view.told is not None else ())],
        )


def _last(summary: RunSummary) -> Progress:
    return Progress(
        run_id=summary.run_id,
        endpoint_id=summary.endpoint_id,
        unit_id=summary.unit_id,
        phase="planning" if summary.state.value == "RUNNING" else "done",
        rows=summary.rows,
        bytes_staged=summary.bytes_staged,
        slices=summary.slices,
        seconds=summary.seconds,
    )


@strawberry.type
class IngestionSegment:
    """`intervals`: the parts that are begun or owed, each with what of it is durably in the sink."""

    segment: str
    watermark: JSON | None
    is_loaded: bool
    generation: int
    intervals: list[JSON]

    @classmethod
    def of(cls, state: SegmentState) -> Self:
        intervals = [
            JSON(
                {
                    "scope": scope.scope_id,
                    "axis": scope.axis.kind,
                    "effect": scope.effect.value,
                    "target": scope.target.model_dump(mode="json"),
                    "done": [island.interval.model_dump(mode="json") for island in scope.done[:20]],
                }
            )
            for scope in state.scopes[:20]
        ]
        return cls(
            segment=state.segment,
            watermark=document_of(shown(state.watermark)),
            is_loaded=state.is_loaded,
            generation=state.generation,
            intervals=intervals,
        )


def document_of(value: object) -> JSON | None:
    return None if value is None else JSON(value)


@strawberry.type
class IngestionSegmentEdge:
    cursor: str
    node: IngestionSegment


@strawberry.type
class IngestionSegmentConnection:
    edges: list[IngestionSegmentEdge]
    page_info: PageInfo
    total: int


@strawberry.type
class QuarantinedSlice:
    """One committed slice that had rows which do not fit. The rows themselves stay where they are."""

    endpoint_id: ID
    unit_id: ID
    sink_id: str
    run_id: ID
    slice_id: str
    rows: int
    first_reason: str

    @classmethod
    def of(cls, entry: QuarantineEntry) -> Self:
        return cls(
            endpoint_id=ID(entry.endpoint_id),
            unit_id=ID(entry.unit_id),
            sink_id=entry.sink_id,
            run_id=ID(entry.run_id),
            slice_id=entry.slice_id,
            rows=entry.rows,
            first_reason=entry.first_reason,
        )


@strawberry.enum
class AccessRole(Enum):
    ADMIN = "admin"
    VIEWER = "viewer"


@strawberry.type
class Viewer:
    name: str
    role: AccessRole

    @classmethod
    def of(cls, principal: Principal) -> Self:
        return cls(name=principal.name, role=AccessRole(principal.role.value))


@strawberry.type
class PlannedSlice:
    id: str
    segment: str
    scope: str
    axis: str
    lower: JSON | None
    upper: JSON | None
    estimated_rows: float | None
    estimated_bytes: float | None


@strawberry.type
class PlannedColumn:
    column: str
    source_type: str
    arrow: str
    sink_type: str
    fidelity: str
    note: str | None


@strawberry.type
class IngestionPlan:
    """What a run would read now; `slices` may be cut, `sliceCount` is not."""

    endpoint_id: ID
    unit_id: ID
    sink_id: str
    strategy: str
    run_mode: str
    write: str
    horizon: JSON | None
    facts: JSON
    segments: list[JSON]
    slices: list[PlannedSlice]
    slice_count: int
    estimated_rows: float | None
    estimated_bytes: float | None
    certificate: list[PlannedColumn]
    executor: str
    planned_at: datetime

    @classmethod
    def of(cls, plan: PlanPreview, most_slices: int) -> Self:
        horizon = plan.horizon
        return cls(
            endpoint_id=ID(plan.endpoint_id),
            unit_id=ID(plan.unit_id),
            sink_id=plan.sink_id,
            strategy=plan.strategy,
            run_mode=plan.run_mode,
            write=plan.write,
            horizon=document({"value": shown(horizon.value), "method": horizon.method}) if horizon else None,
            facts=JSON(plan.facts),
            segments=[JSON(segment.model_dump(mode="json")) for segment in plan.segments[:most_slices]],
            slices=[
                PlannedSlice(
                    id=piece.slice_id,
                    segment=piece.segment,
                    scope=piece.scope_id,
                    axis=piece.axis.kind,
                    lower=document_of(shown(piece.interval.lower)),
                    upper=document_of(shown(piece.interval.upper)),
                    estimated_rows=piece.estimated_rows,
                    estimated_bytes=piece.estimated_bytes,
                )
                for piece in plan.slices[:most_slices]
            ],
            slice_count=plan.slice_count,
            estimated_rows=plan.estimated_rows,
            estimated_bytes=plan.estimated_bytes,
            certificate=[
                PlannedColumn(**{**line.model_dump(), "fidelity": line.fidelity.value}) for line in plan.certificate
            ],
            executor=plan.executor,
            planned_at=plan.planned_at,
        )
