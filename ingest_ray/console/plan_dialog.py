"""The dialog with the plan of a unit's next run."""

from nicegui import ui

from ingest_ray.console.elements import button, cell, facts, format_count, heading, row, table, text_of
from ingest_ray.console.page_context import PageContext
from ingest_ray.core.positions import display_value
from ingest_ray.engine.reports import PlanPreview
from ingest_ray.service.runs.execution import plan
from ingest_ray.service.units.listing import UnitView

MOST_SLICES = 20


async def plan_dialog(context: PageContext, view: UnitView) -> None:
    found = await context.call_as_admin("preview a plan", plan, context.installation, view.ref)
    if found is None:
        return
    with ui.dialog().props('aria-label="Plan"') as dialog, ui.card().classes("wide"):
        heading(f"Plan of {view.unit_id}", 2)
        if found.slice_count == 0:
            text_of("There is nothing to read: everything up to the horizon is committed.", "p")
        _show(found)
        button("Close", dialog.close)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _show(found: PlanPreview) -> None:
    horizon = found.horizon
    facts(
        [
            ("strategy", found.strategy),
            ("mode", f"{found.run_mode.lower()}, {found.write}"),
            ("horizon", f"{display_value(horizon.value)} ({horizon.method})" if horizon else "-"),
            ("rows", f"about {format_count(found.estimated_rows)}" if found.estimated_rows is not None else "unknown"),
            ("where", found.executor),
            *((name, str(value)) for name, value in list(found.facts.items())[:8]),
        ]
    )
    if found.slices:
        heading(f"{found.slice_count} slices", 2)
        with table("Slices", ("segment", "part", "from", "to", "rows"), ("rows",)):
            for piece in found.slices[:MOST_SLICES]:
                with row():
                    cell(piece.segment, "mono")
                    cell(piece.scope_id)
                    cell(_end(display_value(piece.interval.lower)), "mono")
                    cell(_end(display_value(piece.interval.upper)), "mono")
                    cell(format_count(piece.estimated_rows) if piece.estimated_rows is not None else "-", "number")
        if found.slice_count > MOST_SLICES:
            text_of(f"and {found.slice_count - MOST_SLICES} more", "p", "soft")
    heading("Columns", 2)
    with table("Columns", ("column", "source", "staged", "sink", "fidelity")):
        for line in found.certificate:
            with row():
                for text in (line.column, line.source_type, line.arrow, line.sink_type, line.fidelity.value):
                    cell(text)


def _end(value: object) -> str:
    return "open" if value is None else str(value)
