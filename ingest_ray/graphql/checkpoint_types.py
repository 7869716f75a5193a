"""GraphQL types of checkpoints, segment by segment, and of quarantined slices."""

from typing import Self

import strawberry
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.core.positions import display_value
from ingest_ray.graphql.conversions import PageInfo, json_value
from ingest_ray.quarantine.rejected_rows import QuarantineEntry
from ingest_ray.sdk.types import SegmentState


@strawberry.type
class IngestionSegment:
    """`intervals`: the open scopes, each with its intervals that are durably in the sink."""

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
            watermark=json_value(display_value(state.watermark)),
            is_loaded=state.is_loaded,
            generation=state.generation,
            intervals=intervals,
        )


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
    """One committed slice with rows in quarantine. The rows themselves are not part of it."""

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
