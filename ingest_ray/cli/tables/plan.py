"""The plan of a unit's next run: what `plan` shows."""

from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from ingest_ray.cli.format import format_bytes, format_count
from ingest_ray.cli.tables.layout import console_on, estimate_text, position_text, table_of, table_without_header
from ingest_ray.engine.reports import PlanPreview
from ingest_ray.sdk.types import Horizon

_FIDELITY_STYLES = {"exact": "green", "widened": "", "lossy": "yellow", "refused": "red"}


def show_plan(plan: PlanPreview, most_slices: int, out: TextIO) -> None:
    console = console_on(out)
    console.print(f"{plan.ref} -> {plan.sink_id}", style="bold", soft_wrap=True)
    _show_facts(console, plan)
    _show_segments(console, plan)
    _show_slices(console, plan, most_slices)
    _show_certificate(console, plan)


def _show_facts(console: Console, plan: PlanPreview) -> None:
    rows = estimate_text(plan.estimated_rows, format_count)
    size = estimate_text(plan.estimated_bytes, format_bytes)
    facts = {
        "strategy": plan.strategy,
        "mode": f"{plan.run_mode}, write {plan.write}, executor {plan.executor}",
        "horizon": _horizon_text(plan.horizon),
        "slices": f"{plan.slice_count}, about {rows} rows, {size}",
    } | {name.replace("_", " "): _fact_text(value) for name, value in plan.facts.items()}
    table = table_without_header()
    for name, value in facts.items():
        table.add_row(name, str(value))
    console.print(table)


def _horizon_text(horizon: Horizon | None) -> str:
    if horizon is None:
        return "none"
    return f"{position_text(list(horizon.value))} ({horizon.method})" + (f"; {horizon.note}" if horizon.note else "")


def _fact_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _show_segments(console: Console, plan: PlanPreview) -> None:
    if not plan.segments:
        return
    table = table_of("segment", "watermark", "slices", "rows", "bytes", right=("slices", "rows", "bytes"))
    for segment in plan.segments:
        table.add_row(
            segment.segment,
            position_text(segment.watermark),
            str(segment.slices),
            estimate_text(segment.estimated_rows, format_count),
            estimate_text(segment.estimated_bytes, format_bytes),
        )
    console.print()
    console.print(table)


def _show_slices(console: Console, plan: PlanPreview, most_slices: int) -> None:
    if not plan.slices or not most_slices:
        return
    table = table_of("slice", "axis", "from", "to (excluded)", "rows", right=("rows",))
    for piece in plan.slices[:most_slices]:
        nulls = "NULLs" if piece.nulls else None
        table.add_row(
            piece.slice_id,
            f"{piece.axis.kind} {', '.join(piece.axis.columns)}".strip(),
            nulls or position_text(piece.interval.lower),
            nulls or position_text(piece.interval.upper),
            estimate_text(piece.estimated_rows, format_count),
        )
    console.print()
    console.print(table)
    if plan.slice_count > most_slices:
        console.print(f"... and {plan.slice_count - most_slices} more (--slices)")


def _show_certificate(console: Console, plan: PlanPreview) -> None:
    if not plan.certificate:
        return
    table = table_of("column", "source", "staged", "sink", "fidelity")
    for line in plan.certificate:
        fidelity = Text(str(line.fidelity), style=_FIDELITY_STYLES[str(line.fidelity)])
        if line.note:
            fidelity.append(f": {line.note}", style="")
        table.add_row(line.column, line.source_type, line.arrow, line.sink_type, fidelity)
    console.print()
    console.print(table)
