"""The dialogs of a unit's rarer tasks: backfill, reconciliation, comparison with the sink."""

from nicegui import ui

from ingest_ray.console.elements import button, heading, text_of
from ingest_ray.console.page_context import Action, PageContext, show_error
from ingest_ray.console.units.unit_actions import start_unit
from ingest_ray.run import VerifyOptions
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.runs.verification import start_comparison
from ingest_ray.service.units.listing import UnitView


async def backfill_dialog(context: PageContext, view: UnitView) -> None:
    with ui.dialog().props('aria-label="Backfill"') as dialog, ui.card():
        heading(f"Backfill {view.unit_id}")
        cursor = (
            f"The part is bounded by '{view.cursor}'."
            if view.cursor
            else "The unit has no cursor: it cannot be bounded."
        )
        text_of(f"Reads a part again and upserts it; the watermark stays where it is. {cursor}", "p")
        lower = ui.input("From (empty: from the beginning)", placeholder="2026-01-01").props("outlined dense")
        upper = ui.input("To, not read (empty: the watermark)", placeholder="2026-02-01")
        upper.props("outlined dense")
        for field in (lower, upper):
            field.style("width: 24rem; max-width: 100%")
        _show_buttons(dialog, "Backfill now")
    if await dialog:
        if lower.value or upper.value:
            options = RunOptions(task="backfill", lower=lower.value or None, upper=upper.value or None)
            await start_unit(context, view.ref, options)
        else:
            show_error(ConfigError("a backfill has a bound: give From or To", hint="Reset reads everything again"))
    dialog.delete()


async def reconcile_dialog(context: PageContext, view: UnitView) -> None:
    with ui.dialog().props('aria-label="Reconcile"') as dialog, ui.card():
        heading(f"Reconcile {view.unit_id}")
        text_of(
            "Runs the unit, then compares all keys of the source with those in the sink: rows that were deleted at the "
            "source are marked or deleted in the sink, as policy.deletes says.",
            "p",
        )
        consent = ui.checkbox("Delete also more than policy.max_delete_fraction allows")
        _show_buttons(dialog, "Reconcile now")
    if await dialog:
        await start_unit(context, view.ref, RunOptions(reconcile=True, allow_deletes=bool(consent.value)))
    dialog.delete()


async def verify_dialog(context: PageContext, view: UnitView) -> None:
    with ui.dialog().props('aria-label="Verify"') as dialog, ui.card():
        heading(f"Verify {view.unit_id}")
        text_of(
            "Compares all rows at the source with those in the sink, in both directions. It changes nothing, unless it repairs. "
            "Runs of the unit need not wait for it.",
            "p",
        )
        values = ui.checkbox("Compare the values of rows, too, not only keys")
        repair = ui.checkbox("Repair: read missing and different rows again, and erase what is gone")
        consent = ui.checkbox("Erase also more than policy.max_delete_fraction allows")
        _show_buttons(dialog, "Verify now")
    if await dialog:
        options = VerifyOptions(
            with_values=bool(values.value), repair=bool(repair.value), allow_deletes=bool(consent.value), limit=0
        )
        details = {"unit": view.unit_id, "rows": options.with_values, "repair": options.repair}
        action = Action("verifyIngestionUnit", view.endpoint_id, details=details)
        run_id = await context.act(
            action, start_comparison, context.installation, view.ref, options, context.principal.name
        )
        if run_id is not None:
            ui.navigate.to(f"/run/{run_id}")
    dialog.delete()


def _show_buttons(dialog: ui.dialog, yes: str) -> None:
    with ui.element("div").classes("bar"):
        button(yes, lambda: dialog.submit(True), is_main=True)
        button("Cancel", lambda: dialog.submit(False))
