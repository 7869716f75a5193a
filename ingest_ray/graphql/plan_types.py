"""GraphQL types of a plan: what a run would read now."""

from datetime import datetime
from typing import Self

import strawberry
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.core.positions import display_value
from ingest_ray.engine.reports import PlanPreview
from ingest_ray.graphql.conversions import json_document, json_value


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
            horizon=json_document({"value": display_value(horizon.value), "method": horizon.method})
            if horizon
            else None,
            facts=JSON(plan.facts),
            segments=[JSON(segment.model_dump(mode="json")) for segment in plan.segments[:most_slices]],
            slices=[
                PlannedSlice(
                    id=piece.slice_id,
                    segment=piece.segment,
                    scope=piece.scope_id,
                    axis=piece.axis.kind,
                    lower=json_value(display_value(piece.interval.lower)),
                    upper=json_value(display_value(piece.interval.upper)),
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
