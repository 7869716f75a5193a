"""The page of one endpoint: its units, their statuses, and the actions on them."""

from nicegui import ui

from ingest_ray.console.configure_drawer import configure_drawer
from ingest_ray.console.elements import (
    State,
    button,
    cell,
    cell_with,
    confirm,
    format_age,
    format_count,
    format_time,
    heading,
    readable,
    row,
    table,
    text_of,
)
from ingest_ray.console.endpoints_page import collect_now
from ingest_ray.console.page_context import Action, PageContext, show_message
from ingest_ray.console.plan_dialog import plan_dialog
from ingest_ray.sdk.types import RunState
from ingest_ray.service.access.roles import Role
from ingest_ray.service.runs import control
from ingest_ray.service.units import reset
from ingest_ray.service.units.listing import EndpointUnits, UnitView, list_units
from ingest_ray.service.units.unit_status import UnitStatus, list_statuses

EVERY_S = 2.0
MOST_SHOWN = 100  # units on one page; the search finds the others
COLUMNS = ("unit", "state", "mode", "schedule", "sink", "last run", "rows", "lag", "actions")


async def show_units(context: PageContext, endpoint_id: str) -> None:
    heading(endpoint_id, 1)
    is_visible = context.principal.is_for(endpoint_id)
    listed = await context.call(list_units, context.installation, endpoint_id) if is_visible else None
    if listed is None:
        text_of("There is no such endpoint, or it cannot be read.", "p", "error").props('role="alert"')
        return
    text_of(f"metadata collected: {format_time(listed.collected_at)} UTC" if listed.is_collected else "", "p", "soft")
    if not listed.is_collected:
        _show_nothing_yet(context, endpoint_id)
        return
    page = UnitsPage(context, listed)
    await page.show()


def _show_nothing_yet(context: PageContext, endpoint_id: str) -> None:
    with ui.element("div").classes("empty"):
        text_of("Nothing is collected yet: the catalog does not know what this endpoint has.", "p")
        if context.is_admin:
            button("Collect metadata", lambda: collect_now(context, endpoint_id), is_main=True)
        else:
            text_of("An administrator can collect its metadata.", "p", "soft")


class UnitsPage:
    """The table of units. A refresh changes only the texts of its rows, so that the focus stays."""

    def __init__(self, context: PageContext, listed: EndpointUnits) -> None:
        self._context = context
        self._endpoint_id = listed.endpoint_id
        self._units = {view.unit_id: view for view in listed.units}
        self._rows: dict[str, UnitRow] = {}
        self._search = ""

    async def show(self) -> None:
        with ui.element("div").classes("bar"):
            ui.input("Search units", on_change=lambda change: self._find(change.value or "")).props(
                "dense outlined clearable"
            )
            if self._context.is_operator:
                button("Run all", self.run_all, self._endpoint_id)
            if self._context.is_admin:
                button("Collect again", lambda: collect_now(self._context, self._endpoint_id), self._endpoint_id)
        self._count = text_of("", "p", "soft").props('role="status"')
        with table(f"Units of {self._endpoint_id}", COLUMNS, ("rows",)) as body:
            self._body = body
        self._find("")
        await self.refresh()
        ui.timer(EVERY_S, self.refresh, immediate=False)

    async def refresh(self) -> None:
        statuses = await self._context.call(list_statuses, self._context.installation, self._endpoint_id)
        for status in statuses or ():
            if status.unit_id in self._rows:
                self._rows[status.unit_id].show(status)

    async def reload(self) -> None:
        """Reads the units again, after a configuration was changed."""
        listed = await self._context.call(list_units, self._context.installation, self._endpoint_id)
        if listed is not None:
            self._units = {view.unit_id: view for view in listed.units}
            self._find(self._search)
            await self.refresh()

    def _find(self, text: str) -> None:
        self._search = text
        wanted = [view for view in self._units.values() if text.lower() in view.unit_id.lower()]
        shown = wanted[:MOST_SHOWN]
        more = f", the first {len(shown)} are shown" if len(shown) < len(wanted) else ""
        self._count.set_text(f"{len(wanted)} unit(s){more}")
        self._body.clear()
        with self._body:
            self._rows = {view.unit_id: UnitRow(self._context, view, self) for view in shown}

    async def run_all(self) -> None:
        enabled = [view.unit_id for view in self._units.values() if view.enabled]
        if not enabled or not await confirm(
            f"Run {len(enabled)} units?", "Some of them run at once, the others wait for their turn.", "Run now"
        ):
            return
        done = await self._context.act(
            Action("startIngestionUnits", self._endpoint_id, Role.OPERATOR),
            control.start_units,
            self._context.installation,
            self._endpoint_id,
            enabled,
            requested_by=self._context.principal.name,
        )
        if done is not None:
            refused = [f"{unit.unit_id}: {one.message}" for unit, one in done if not one.ok]
            show_message("; ".join([f"{len(done) - len(refused)} of {len(done)} units are started", *refused[:3]]))
        await self.refresh()


class UnitRow:
    def __init__(self, context: PageContext, view: UnitView, page: UnitsPage) -> None:
        self._context = context
        self._view = view
        self._page = page
        name = str(view.ref)
        with row():
            cell(view.unit_id, "mono")
            self._state = State("IDLE" if view.enabled else "not enabled", "td")
            cell(view.run_mode.value.lower() + ("" if view.data_mode == "raw" else f", {view.data_mode}"))
            cell(f"every {view.schedule_minutes} min" if view.schedule_minutes else "manual")
            cell(view.sink_id or "-")
            with cell_with():
                self._last = ui.link("", "#")
                self._last.set_visibility(False)
            self._rows = cell("-", "number")
            self._lag = cell("-")
            with cell_with("actions"):
                if context.is_operator:
                    self._buttons(name)

    def _buttons(self, name: str) -> None:
        if self._view.enabled:
            self._run = button("Run", self.run, name, is_main=True)
            self._pause = button("Pause", self.pause, name)
            button("Plan", lambda: plan_dialog(self._context, self._view), name)
        if self._context.is_admin:
            self._buttons_of_admins(name)

    def _buttons_of_admins(self, name: str) -> None:
        if self._view.enabled:
            button("Reset", self.reset, name)
        button("Configure", lambda: configure_drawer(self._context, self._view, self._page.reload), name)

    def show(self, status: UnitStatus) -> None:
        if self._view.enabled:
            self._state.show(status.state.value)
        last = status.last_run
        if last is not None:
            self._last.set_visibility(True)
            self._last.set_text(format_time(last.started_at))
            self._last.props["href"] = f"/run/{last.run_id}"
            self._rows.set_text(format_count(last.rows.committed))
            self._lag.set_text(format_age(last.started_at) if last.state is RunState.SUCCEEDED else "-")
        if self._context.is_operator and self._view.enabled:
            is_running = status.state is RunState.RUNNING
            self._run.set_enabled(not is_running)
            self._run.set_text("Resume" if status.state is RunState.PAUSED else "Run")
            self._pause.set_enabled(is_running or bool(self._view.schedule_minutes))

    async def run(self) -> None:
        view = self._view
        if not await confirm(
            f"Run {view.unit_id}?", f"It reads what is new and commits it to {view.sink_id}.", "Run now"
        ):
            return
        done = await self._context.act(
            Action("startIngestion", view.endpoint_id, Role.OPERATOR),
            control.start,
            self._context.installation,
            view.ref,
            requested_by=self._context.principal.name,
        )
        if done is not None:
            ui.navigate.to(f"/run/{done.run_id}")

    async def pause(self) -> None:
        view = self._view
        if not await confirm(f"Pause {view.unit_id}?", "The commit under way is finished first.", "Pause now"):
            return
        done = await self._context.act(
            Action("pauseIngestion", view.endpoint_id, Role.OPERATOR),
            control.pause,
            self._context.installation,
            view.ref,
            requested_by=self._context.principal.name,
        )
        if done is not None and done.message:
            ui.notify(readable(done.message))
        await self._page.refresh()

    async def reset(self) -> None:
        view = self._view
        consequence = "Its checkpoint is forgotten: the next run reads everything again. Rows in the sink stay."
        asking = Action("resetIngestionCheckpoint", view.endpoint_id, is_audited=False)
        warning = await self._context.act(asking, reset.append_warning, self._context.installation, view.ref)
        if warning:
            consequence = f"Its checkpoint is forgotten. Rows in the sink stay. Warning: {warning}."
        if not await confirm(f"Reset {view.unit_id}?", consequence, "Forget the checkpoint"):
            return
        action = Action("resetIngestionCheckpoint", view.endpoint_id)
        done = await self._context.act(action, reset.reset, self._context.installation, view.ref)
        if done is not None:
            show_message(f"{view.unit_id}: forgot {done.segments} segment(s)")
