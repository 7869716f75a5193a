"""Shows what a run would do now: the same probe, scopes and cuts, without a lease. Of state and sink it only reads."""

from datetime import UTC, datetime
from itertools import islice

from pydantic import JsonValue

from ingest_ray.core.checkpoint import opened
from ingest_ray.core.positions import display_value
from ingest_ray.engine.masking.masked_dataset import masked_dataset
from ingest_ray.engine.reports import CertificateLine, PlanPreview, SegmentPlan
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.mapper import mapper_of
from ingest_ray.engine.steps.model_tables import tables_of
from ingest_ray.engine.steps.planner import Planner, PlanSummary
from ingest_ray.engine.steps.renamed_sink import renamed_sink
from ingest_ray.engine.steps.unit_layout import opened_sink, staged_schema, unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv import open_state
from ingest_ray.registry import open_models, open_sink
from ingest_ray.run.placement import is_inline
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.contracts import ReachChecker, Sink
from ingest_ray.sdk.types import ColumnFit, Scope, SegmentState, Slice, worst_fidelity
from ingest_ray.staging.reach import check_places
from ingest_ray.state import UnitState, read_states

MOST_SLICES = 1_000  # shown; all are counted


def preview_plan(order: RunOrder, most_slices: int = MOST_SLICES) -> PlanPreview:
    """Plans and cuts everything, reads no rows, writes nothing."""
    known = read_states(open_state(order.settings), unit_key_of(order))
    check_sink(order)
    planner = Planner(order)
    try:
        plan_summary = planner.begin(known.segments, known.learned)
        scopes = merged(known, plan_summary.scopes)
        planner.open(scopes)
        slices, counts = collect(planner, most_slices)
    finally:
        planner.close()
    return PlanPreview(
        endpoint_id=order.spec.endpoint.endpoint_id,
        unit_id=order.spec.unit_id,
        sink_id=order.spec.config.sink_id,
        strategy=plan_summary.strategy,
        run_mode=order.spec.config.run_mode,
        write=order.spec.write_mode,
        horizon=plan_summary.horizon,
        facts={**plan_summary.facts, **mask_facts(order), **layout_facts(order)},
        segments=tuple(segment_plans(known, scopes, counts)),
        slices=tuple(slices),
        slice_count=sum(count for count, _, _ in counts.values()),
        is_truncated=sum(count for count, _, _ in counts.values()) > len(slices),
        estimated_rows=plan_summary.estimated_rows if plan_summary.scopes else 0,
        estimated_bytes=plan_summary.estimated_bytes,
        certificate=certificate(order),
        executor="inline" if is_inline(order, plan_summary) else "ray",
        planned_at=datetime.now(UTC),
    )


def check_sink(order: RunOrder) -> None:
    """Raises `SinkError` or `StagingUnavailable` where a run could not reach the unit's sink, staging or quarantine: before the source
    is asked."""
    check_places(order.settings)
    sink = open_models(opened_sink(order)) if order.spec.is_cdm else open_sink(opened_sink(order))
    if isinstance(sink, ReachChecker):
        sink.check_reach()
    writer_for(order, staging_for(order)).read_progress()


def mask_facts(order: RunOrder) -> dict[str, JsonValue]:
    masks = order.spec.policy.masks
    return {"masked": ", ".join(f"{name}: {mask}" for name, mask in sorted(masks.items()))} if masks else {}


def layout_facts(order: RunOrder) -> dict[str, JsonValue]:
    layout = order.spec.policy.layout
    return {} if layout is None else {"layout": str(layout)}


def merged(known: UnitState, planned: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """The scopes as a run would open them, with what is already done."""
    out: list[Scope] = []
    for segment in dict.fromkeys(scope.segment for scope in planned):
        state = known.segments.get(segment, SegmentState(segment=segment))
        out += opened(state, [scope for scope in planned if scope.segment == segment], is_target_empty=True)[1]
    return tuple(out)


Counts = dict[str, tuple[int, int, int]]


def collect(planner: Planner, most_slices: int) -> tuple[list[Slice], Counts]:
    slices: list[Slice] = []
    counts: Counts = {}
    while True:
        planned = planner.next(256)
        for piece in planned.slices:
            count, rows, size = counts.get(piece.segment, (0, 0, 0))
            counts[piece.segment] = (
                count + 1,
                rows + (piece.estimated_rows or 0),
                size + (piece.estimated_bytes or 0),
            )
        slices += islice(planned.slices, max(0, most_slices - len(slices)))
        if planned.is_done:
            return slices, counts


def segment_plans(known: UnitState, scopes: tuple[Scope, ...], counts: Counts) -> list[SegmentPlan]:
    names = dict.fromkeys([*known.segments, *(scope.segment for scope in scopes)])
    plans = []
    for name in names:
        count, rows, size = counts.get(name, (0, 0, 0))
        state = known.segments.get(name)
        plans.append(
            SegmentPlan(
                segment=name,
                watermark=display_value(state.watermark) if state else None,
                scopes=tuple(scope.scope_id for scope in scopes if scope.segment == name),
                slices=count,
                estimated_rows=rows,
                estimated_bytes=size,
            )
        )
    return plans


def certificate(order: RunOrder, sink: Sink | None = None) -> tuple[CertificateLine, ...]:
    """Column by column, the worse of what staging and what the sink makes of it; in CDM mode, the columns of the models.

    `sink`: the order's, where it is open already.
    """
    if order.spec.is_cdm:
        return model_certificate(order)
    renames = order.spec.policy.renames
    sink = renamed_sink(sink or open_sink(opened_sink(order)), renames)
    fits: dict[str, ColumnFit] = {fit.column: fit for fit in sink.fit(staged_schema(order.spec))}
    lines = []
    wanted = order.spec.policy.columns
    for column in masked_dataset(order.spec).columns:
        fit = fits.get(column.name)
        if wanted and column.name not in wanted:
            continue
        named = f"lands as {renames[column.name]}" if column.name in renames else None
        notes = [note for note in (column.note, named, fit.note if fit else None) if note]
        lines.append(
            CertificateLine(
                column=column.name,
                source_type=column.source_type,
                arrow=column.arrow,
                sink_type=fit.sink_type if fit else "-",
                fidelity=worst_fidelity(column.fidelity, fit.fidelity) if fit else column.fidelity,
                note="; ".join(dict.fromkeys(notes)) or None,
            )
        )
    return tuple(lines)


def model_certificate(order: RunOrder) -> tuple[CertificateLine, ...]:
    sink = open_models(opened_sink(order))
    return tuple(
        CertificateLine(
            column=f"{table.target.model}.{fit.column}",
            source_type=str(mapper_of(order.spec).version),
            arrow=fit.arrow,
            sink_type=fit.sink_type,
            fidelity=fit.fidelity,
            note=fit.note,
        )
        for table in tables_of(order.spec)
        for fit in sink.fit(table.schema)
    )


__all__ = ["PlanSummary", "preview_plan"]
