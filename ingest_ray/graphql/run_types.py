"""GraphQL types of runs and their progress. They are not part of the shared contract."""

from datetime import datetime
from itertools import islice
from typing import Self

import strawberry
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.core.positions import display_value
from ingest_ray.engine.run_order import Progress
from ingest_ray.graphql.conversions import PageInfo, json_document
from ingest_ray.graphql.ingestion_types import IngestionState
from ingest_ray.sdk.types import RunSummary
from ingest_ray.service.runs.history import RunPage, RunView
from ingest_ray.service.runs.run_observer import Sample

MOST_WATERMARKS = 200


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
    degraded: int
    """Committed slices with rows in quarantine."""


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
            horizon=json_document({"value": display_value(horizon.value), "method": horizon.method})
            if horizon
            else None,
            watermarks=json_document(dict(islice(summary.watermarks.items(), MOST_WATERMARKS))) or JSON({}),
            schema_changes=list(summary.schema_changes),
            facts=json_document(summary.facts) or JSON({}),
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
class RunThrottle:
    """The rate of requests that a host allows now; `reason` is the last cause of a lower rate."""

    host: str
    endpoint_class: str
    rate: float
    in_flight: int
    requests: float
    refusals: float
    paused_s: float
    reason: str | None


@strawberry.type
class RunProgress:
    """The progress of a run. Counts never decrease; `isFinished` is true in the last message only."""

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
    throttles: list[RunThrottle]

    @classmethod
    def of(cls, view: RunView) -> Self:
        summary = view.summary
        is_finished = summary.state.value != "RUNNING"
        moment = view.progress.moment if view.progress is not None and not is_finished else _last(summary)
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
            samples=[RunSample.of(sample) for sample in (view.progress.samples if view.progress is not None else ())],
            throttles=[
                RunThrottle(**throttle.model_dump())
                for throttle in (view.progress.throttles if view.progress is not None else ())
            ],
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
