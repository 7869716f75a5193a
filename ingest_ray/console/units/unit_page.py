"""The page of one unit: its state, its checkpoint, its last runs, and everything that can be done with it."""

from nicegui import ui

from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.console.elements import (
    button,
    cell,
    counted,
    facts,
    format_span,
    format_time,
    heading,
    link_to,
    note,
    row,
    table,
    text_of,
)
from ingest_ray.console.page_context import Action, PageContext, show_message
from ingest_ray.console.runs_page import COLUMNS, NUMBERS, show_run_rows
from ingest_ray.console.units.configure_drawer import configure_drawer
from ingest_ray.console.units.plan_dialog import plan_dialog
from ingest_ray.console.units.unit_actions import pause_unit, reset_unit, run_unit
from ingest_ray.console.units.unit_tasks import backfill_dialog, reconcile_dialog, verify_dialog
from ingest_ray.sdk.errors import UnitNotFound
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunFault, RunMode, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.freshness import UnitFreshness
from ingest_ray.service.runs import quarantine
from ingest_ray.service.units.configure import UnitChange, configure, find_config
from ingest_ray.service.units.listing import UnitView, find_unit
from ingest_ray.service.units.status import UnitReport, read_status

MOST_SEGMENTS = 50


async def show_unit(context: PageContext) -> None:
    endpoint_id, unit_id = context.query.get("endpoint", ""), context.query.get("unit", "")
    stored = await context.find("unit", endpoint_id, find_unit_or_config, context.installation, endpoint_id, unit_id)
    if stored is None:
        return
    view, config = stored
    if view is None:
        _show_gone(context, UnitRef(endpoint_id, unit_id), is_enabled=config is not None and config.config.enabled)
        return
    heading(unit_id, 1)
    await UnitPage(context, view).show()


def find_unit_or_config(
    installation: Installation, endpoint_id: str, unit_id: str
) -> tuple[UnitView | None, Configured | None]:
    """Raises `EndpointNotFound`, `UnitNotFound` where there is neither."""
    config = find_config(installation, UnitRef(endpoint_id, unit_id))
    try:
        return find_unit(installation, endpoint_id, unit_id), config
    except UnitNotFound:
        if config is None:
            raise
        return None, config


def _show_gone(context: PageContext, unit: UnitRef, *, is_enabled: bool) -> None:
    heading(unit.unit_id, 1)
    with ui.element("div").classes("warning"):
        text_of(
            "Its dataset is no longer at the source: no run can begin. When it comes back, collect the metadata.", "p"
        )
        link_to("History of the dataset", "/dataset", endpoint=unit.endpoint_id, name=unit.unit_id)
    if is_enabled and context.is_admin:

        async def disable() -> None:
            action = Action(
                "configureIngestionUnit", unit.endpoint_id, details={"unit": unit.unit_id, "enabled": False}
            )
            if await context.act(action, configure, context.installation, unit, UnitChange(enabled=False)) is not None:
                show_message(f"{unit.unit_id} is disabled")

        with ui.element("div").classes("bar"):
            button("Disable", disable, str(unit))


class UnitPage:
    def __init__(self, context: PageContext, view: UnitView) -> None:
        self._context, self._view = context, view
        self._content = ui.element("div")

    async def reload(self) -> None:
        """Reads the unit again, after something was changed."""
        view = self._view
        found = await self._context.call(find_unit, self._context.installation, view.endpoint_id, view.unit_id)
        if found is not None:
            self._view = found
            self._content.clear()
            await self.show()

    async def show(self) -> None:
        with self._content:
            await self._show()

    async def _show(self) -> None:
        context, view = self._context, self._view
        with ui.element("p").classes("soft"):
            text_of("unit of ")
            link_to(view.endpoint_id, f"/endpoint/{view.endpoint_id}")
            text_of("; ")
            link_to("dataset", "/dataset", endpoint=view.endpoint_id, name=view.unit_id)
            text_of("; ")
            link_to("all runs", "/runs", endpoint=view.endpoint_id, unit=view.unit_id)
        report = None
        if view.origin is not None:
            status = await context.call(read_status, context.installation, view.endpoint_id, view.unit_id)
            report = status.units[0] if status is not None and status.units else None
        if context.is_operator:
            self._show_buttons(report)
        self._show_faults(report)
        self._show_facts(report)
        await self._show_quarantine()
        if report is not None:
            _show_segments(report)
            await self._show_runs(report)

    def _show_buttons(self, report: UnitReport | None) -> None:
        context, view, name = self._context, self._view, str(self._view.ref)
        is_running = report is not None and report.state is RunState.RUNNING
        with ui.element("div").classes("bar"):
            if view.enabled:
                is_paused = report is not None and report.state is RunState.PAUSED
                run = button("Resume" if is_paused else "Run", lambda: run_unit(context, view), name, is_main=True)
                run.set_enabled(not is_running)
                pause = button("Pause", lambda: pause_unit(context, view.ref, self.reload), name)
                pause.set_enabled(is_running or bool(view.schedule))
                button("Plan", lambda: plan_dialog(context, view), name)
                if view.run_mode is RunMode.INCREMENTAL:
                    button("Backfill", lambda: backfill_dialog(context, view), name)
                    button("Reconcile", lambda: reconcile_dialog(context, view), name)
            if context.is_admin and view.enabled:
                button("Verify", lambda: verify_dialog(context, view), name)
                button("Reset", lambda: reset_unit(context, view.ref, self.reload), name)
            if context.is_admin:
                button("Configure", lambda: configure_drawer(context, view, self.reload), name)

    def _show_faults(self, report: UnitReport | None) -> None:
        faults = [self._view.fault, report.error if report is not None else None]
        for fault in dict.fromkeys(fault for fault in faults if fault is not None):
            show_fault(fault)

    def _show_facts(self, report: UnitReport | None) -> None:
        view = self._view
        last = report.last_run if report is not None else None
        facts(
            [
                ("state", report.state.value.lower() if report is not None and view.enabled else "not enabled"),
                ("mode", view.run_mode.value.lower() + ("" if view.data_mode == "raw" else f", {view.data_mode}")),
                ("sink", view.sink_id or "-"),
                ("schedule", view.schedule or "manual"),
                ("cursor", view.cursor or "none"),
                ("key", ", ".join(view.primary_key) or "none"),
                ("last run (UTC)", format_time(last.started_at) if last is not None else "never"),
                *(freshness_facts(report.freshness) if report is not None and report.freshness is not None else ()),
                ("commits", str(report.commits) if report is not None else "0"),
            ]
        )

    async def _show_quarantine(self) -> None:
        view = self._view
        found = await self._context.call(
            quarantine.list_rejected, self._context.installation, view.endpoint_id, view.unit_id
        )
        if found is not None and found.rows:
            with ui.element("p").classes("warning"):
                text_of(f"{counted(found.rows, 'row')} did not fit: ")
                link_to("quarantine", "/quarantine", endpoint=view.endpoint_id, unit=view.unit_id)

    async def _show_runs(self, report: UnitReport) -> None:
        heading("Last runs")
        if not report.history:
            note("It has not run yet.", "empty")
            return
        with table("Last runs", COLUMNS, NUMBERS) as body:
            pass
        await show_run_rows(self._context, body, list(report.history))


def freshness_facts(fresh: UnitFreshness) -> list[tuple[str, str]]:
    late = f", late since {format_time(fresh.late_since)}" if fresh.is_late else ""
    promise = f"at most {format_span(fresh.fresh_within_s)} behind" if fresh.fresh_within_s else "none"
    newest = format_time(fresh.newest_row_at) if fresh.newest_row_at else "unknown: the cursor is no time"
    return [
        ("rows as of (UTC)", f"{format_time(fresh.as_of)}, {format_span(fresh.lag_s)} ago" if fresh.as_of else "never"),
        ("promise", promise + late),
        ("newest row (UTC)", newest),
        ("failures in a row", str(fresh.failures_in_row)),
    ]


def show_fault(fault: RunFault) -> None:
    with ui.element("div").classes("error").props('role="alert"'):
        text_of(f"{fault.message} [{fault.code}]", "p")
        if fault.hint:
            text_of(fault.hint, "p")


def _show_segments(report: UnitReport) -> None:
    if not report.segments:
        return
    heading("Checkpoint")
    with table("Checkpoint", ("segment", "watermark", "first load", "generation", "open parts"), ("generation",)):
        for segment in report.segments[:MOST_SEGMENTS]:
            with row():
                cell(segment.segment, "mono")
                cell("-" if segment.watermark is None else str(segment.watermark), "mono")
                cell("complete" if segment.is_loaded else "not complete")
                cell(str(segment.generation), "number")
                cell(str(segment.open_scopes))
    if len(report.segments) > MOST_SEGMENTS:
        text_of(f"and {len(report.segments) - MOST_SEGMENTS} more", "p", "soft")
