"""The dialog with the plan of a unit's next run."""

from nicegui import ui

from ingest_ray.console.elements import button, cell, facts, format_count, heading, row, table, text_of
from ingest_ray.console.page_context import Action, PageContext
from ingest_ray.core.positions import display_value
from ingest_ray.engine.reports import PlanPreview
from ingest_ray.service.access.roles import Role
from ingest_ray.service.runs.execution import plan
from ingest_ray.service.units.listing import UnitView

MOST_SLICES = 20


async def plan_dialog(context: PageContext, view: UnitView) -> None:
    action = Action("ingestionPlan", view.endpoint_id, Role.OPERATOR, is_audited=False)
    preview = await context.act(action, plan, context.installation, view.ref)
    if preview is None:
        return
    with ui.dialog().props('aria-label="Plan"') as dialog, ui.card().classes("wide"):
        heading(f"Plan of {view.unit_id}", 2)
        if preview.slice_count == 0:
            text_of("There is nothing to read: everything up to the horizon is committed.", "p")
        _show(preview)
        button("Close", dialog.close)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _show(preview: PlanPreview) -> None:
    horizon = preview.horizon
    facts(
        [
            ("strategy", preview.strategy),
            ("mode", f"{preview.run_mode.lower()}, {preview.write}"),
            ("horizon", f"{display_value(horizon.value)} ({horizon.method})" if horizon else "-"),
            (
                "rows",
                f"about {format_count(preview.estimated_rows)}" if preview.estimated_rows is not None else "unknown",
            ),
            ("where", preview.executor),
            *((name, str(value)) for name, value in list(preview.facts.items())[:8]),
        ]
    )
    if preview.slices:
        heading(f"{preview.slice_count} slices", 2)
        with table("Slices", ("segment", "part", "from", "to", "rows"), ("rows",)):
            for piece in preview.slices[:MOST_SLICES]:
                with row():
                    cell(piece.segment, "mono")
                    cell(piece.scope_id)
                    cell(_end(display_value(piece.interval.lower)), "mono")
                    cell(_end(display_value(piece.interval.upper)), "mono")
                    cell(format_count(piece.estimated_rows) if piece.estimated_rows is not None else "-", "number")
        if preview.slice_count > MOST_SLICES:
            text_of(f"and {preview.slice_count - MOST_SLICES} more", "p", "soft")
    heading("Columns", 2)
    with table("Columns", ("column", "source", "staged", "sink", "fidelity")):
        for line in preview.certificate:
            with row():
                for text in (line.column, line.source_type, line.arrow, line.sink_type, line.fidelity.value):
                    cell(text)


def _end(value: object) -> str:
    return "open" if value is None else str(value)
