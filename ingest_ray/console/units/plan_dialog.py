"""The dialog with the plan of a unit's next run."""

from nicegui import ui

from ingest_ray.console.elements import button, cell, counted, facts, format_count, heading, row, table, text_of
from ingest_ray.console.page_context import Action, PageContext
from ingest_ray.console.units.plan_words import facts_of, fidelity_of, sentence_of
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
        text_of(sentence_of(preview), "p")
        facts(list(facts_of(preview)))
        _show_slices(preview)
        _show_columns(preview)
        button("Close", dialog.close)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _show_slices(preview: PlanPreview) -> None:
    if not preview.slices:
        return
    heading(counted(preview.slice_count, "slice"), 2)
    with table("Slices", ("segment", "part", "from", "to (excluded)", "rows"), ("rows",)):
        for piece in preview.slices[:MOST_SLICES]:
            with row():
                cell(piece.segment, "mono")
                cell("rows without a cursor" if piece.nulls else piece.scope_id)
                cell(_end(display_value(piece.interval.lower), "the beginning"), "mono")
                cell(_end(display_value(piece.interval.upper), "the end"), "mono")
                cell(format_count(piece.estimated_rows) if piece.estimated_rows is not None else "unknown", "number")
    if preview.slice_count > MOST_SLICES:
        text_of(f"and {preview.slice_count - MOST_SLICES} more", "p", "soft")


def _show_columns(preview: PlanPreview) -> None:
    heading("Columns", 2)
    with table("Columns", ("column", "type at the source", "staged as", "type in the sink", "fidelity")):
        for line in preview.certificate:
            with row():
                cell(line.column, "mono")
                for text in (line.source_type, line.arrow, line.sink_type, fidelity_of(line)):
                    cell(text)


def _end(value: object, none: str) -> str:
    return none if value is None else str(value)
