"""The page of one endpoint: its units, their statuses, and the actions on them."""

from dataclasses import dataclass

from nicegui import ui

from ingest_ray.console.elements import (
    State,
    button,
    cell,
    cell_with,
    format_count,
    format_span,
    format_time,
    heading,
    link_to,
    named,
    row,
    text_of,
)
from ingest_ray.console.endpoints_page import collect_now
from ingest_ray.console.listing import Column, Listing
from ingest_ray.console.page_context import PageContext
from ingest_ray.console.units.configure_drawer import configure_drawer
from ingest_ray.console.units.plan_dialog import plan_dialog
from ingest_ray.console.units.unit_actions import pause_unit, pause_units, reset_unit, run_unit, start_units
from ingest_ray.sdk.types import RunState
from ingest_ray.service.monitoring.freshness import UnitFreshness, read_freshness
from ingest_ray.service.units.listing import EndpointUnits, UnitView, list_units
from ingest_ray.service.units.unit_status import UnitStatus, list_statuses

EVERY_S = 2.0
ALL = "all states"
NOT_ENABLED = "not enabled"


async def show_units(context: PageContext, endpoint_id: str) -> None:
    listed = await context.find("endpoint", endpoint_id, list_units, context.installation, endpoint_id)
    if listed is None:
        return
    heading(endpoint_id, 1)
    if not listed.is_collected:
        _show_nothing_yet(context, endpoint_id)
        return
    text_of(f"metadata collected: {format_time(listed.collected_at)} UTC", "p", "soft")
    await UnitsPage(context, listed).show()


def _show_nothing_yet(context: PageContext, endpoint_id: str) -> None:
    with ui.element("div").classes("empty"):
        text_of("Nothing is collected yet: the catalog does not know what this endpoint has.", "p")
        if context.is_admin:
            button("Collect metadata", lambda: collect_now(context, endpoint_id), is_main=True)
        else:
            text_of("An administrator can collect its metadata.", "p", "soft")


@dataclass
class UnitLine:
    """A unit with its status, which changes while the page is open; None: it is not configured."""

    view: UnitView
    status: UnitStatus | None = None
    freshness: UnitFreshness | None = None

    @property
    def state(self) -> str:
        if not self.view.enabled:
            return NOT_ENABLED
        return self.status.state.value if self.status is not None else RunState.IDLE.value

    @property
    def rows(self) -> int | None:
        last = self.status.last_run if self.status is not None else None
        return last.rows.committed if last is not None else None

    @property
    def began(self) -> str | None:
        last = self.status.last_run if self.status is not None else None
        return last.started_at.isoformat() if last is not None and last.started_at is not None else None


class UnitsPage:
    """The table of units. A refresh changes only the texts of its rows, so that the focus stays."""

    def __init__(self, context: PageContext, listed: EndpointUnits) -> None:
        self._context = context
        self._endpoint_id = listed.endpoint_id
        self._lines = {view.unit_id: UnitLine(view) for view in listed.units}
        self._rows: dict[str, UnitRow] = {}
        self._state = ALL
        self.selected: set[str] = set()
        columns: list[Column[UnitLine]] = [
            Column("unit", lambda line: line.view.unit_id),
            Column("state", lambda line: line.state),
            Column("mode", lambda line: line.view.run_mode.value),
            Column("schedule", lambda line: line.view.schedule),
            Column("sink", lambda line: line.view.sink_id),
            Column("last run", lambda line: line.began),
            Column("rows", lambda line: line.rows, is_number=True),
            Column("lag", lambda line: line.freshness.lag_s if line.freshness is not None else None, is_number=True),
            Column("actions"),
        ]
        if context.is_operator:
            columns.insert(0, Column("select"))
        self._listing = Listing(
            f"Units of {self._endpoint_id}",
            "unit",
            columns,
            lambda line: line.view.unit_id,
            self._show_line,
            is_wanted=lambda line: self._state in (ALL, line.state),
        )

    async def show(self) -> None:
        with ui.element("div").classes("bar"):
            self._listing.search_field()
            states = [ALL, *(state.value for state in RunState), NOT_ENABLED]
            ui.select(states, value=ALL, label="State", on_change=lambda change: self._choose(change.value)).props(
                "dense outlined"
            ).style("min-width: 9rem")
            if self._context.is_operator:
                button("Run all", self.run_all, self._endpoint_id)
            if self._context.is_admin:
                button("Collect again", lambda: collect_now(self._context, self._endpoint_id), self._endpoint_id)
        if self._context.is_operator:
            self._show_selection()
        await self._read_statuses()
        self._listing.make(self._lines.values())
        ui.timer(EVERY_S, self.refresh, immediate=False)

    def _show_selection(self) -> None:
        with ui.element("div").classes("bar"):
            self._all = ui.checkbox("Select what is shown", on_change=lambda change: self._select_all(change.value))
            self._start = button("Run selected", self.run_selected)
            self._pause = button("Pause selected", self.pause_selected)
            self._count_selected()

    async def refresh(self) -> None:
        await self._read_statuses()
        for line in self._listing.shown:
            self._rows[line.view.unit_id].refresh()

    async def reload(self) -> None:
        """Reads the units again, after a configuration was changed."""
        listed = await self._context.call(list_units, self._context.installation, self._endpoint_id)
        if listed is not None:
            self._lines = {view.unit_id: UnitLine(view) for view in listed.units}
            await self._read_statuses()
            self._listing.put(self._lines.values())

    async def _read_statuses(self) -> None:
        statuses = await self._context.call(list_statuses, self._context.installation, self._endpoint_id)
        for status in statuses or ():
            if status.unit_id in self._lines:
                self._lines[status.unit_id].status = status
        fresh = await self._context.call(read_freshness, self._context.installation, self._endpoint_id)
        for unit in fresh or ():
            if unit.unit_id in self._lines:
                self._lines[unit.unit_id].freshness = unit

    def _show_line(self, line: UnitLine) -> None:
        self._rows[line.view.unit_id] = UnitRow(self._context, line, self)

    def _choose(self, state: str) -> None:
        self._state = state
        self._listing.show()

    def select(self, unit_id: str, is_selected: bool) -> None:
        (self.selected.add if is_selected else self.selected.discard)(unit_id)
        self._count_selected()

    def _select_all(self, is_selected: bool) -> None:
        shown = {line.view.unit_id for line in self._listing.found if line.view.enabled}
        self.selected = self.selected | shown if is_selected else self.selected - shown
        self._listing.show()
        self._count_selected()

    def _count_selected(self) -> None:
        for made, text in ((self._start, "Run"), (self._pause, "Pause")):
            made.set_text(f"{text} {len(self.selected)} selected")
            made.set_enabled(bool(self.selected))

    async def run_all(self) -> None:
        enabled = [line.view.unit_id for line in self._lines.values() if line.view.enabled]
        await start_units(self._context, self._endpoint_id, enabled, self.refresh)

    async def run_selected(self) -> None:
        await start_units(self._context, self._endpoint_id, sorted(self.selected), self.refresh)

    async def pause_selected(self) -> None:
        await pause_units(self._context, self._endpoint_id, sorted(self.selected), self.refresh)


class UnitRow:
    def __init__(self, context: PageContext, line: UnitLine, page: UnitsPage) -> None:
        self._context, self._line, self._page = context, line, page
        view = line.view
        with row():
            if context.is_operator:
                with cell_with():
                    self._show_checkbox(view)
            with cell_with("mono"):
                link_to(view.unit_id, "/unit", endpoint=view.endpoint_id, unit=view.unit_id)
            self._state = State(line.state, "td")
            cell(view.run_mode.value.lower() + ("" if view.data_mode == "raw" else f", {view.data_mode}"))
            cell(view.schedule or "manual")
            cell(view.sink_id or "-")
            with cell_with():
                self._last = link_to("", "#")
            self._rows = cell("-", "number")
            self._lag = cell("-", "number")
            with cell_with("actions"):
                if context.is_operator:
                    self._buttons(str(view.ref))
        self.refresh()

    def _show_checkbox(self, view: UnitView) -> None:
        if view.enabled:
            made = ui.checkbox(
                value=view.unit_id in self._page.selected,
                on_change=lambda change: self._page.select(view.unit_id, change.value),
            ).props("dense")
            named(made, f"Select {view.ref}")

    def _buttons(self, name: str) -> None:
        context, view = self._context, self._line.view
        if view.enabled:
            self._run = button("Run", lambda: run_unit(context, view), name, is_main=True)
            self._pause = button("Pause", lambda: pause_unit(context, view.ref, self._page.refresh), name)
            button("Plan", lambda: plan_dialog(context, view), name)
        if context.is_admin:
            if view.enabled:
                button("Reset", lambda: reset_unit(context, view.ref, self._page.refresh), name)
            button("Configure", lambda: configure_drawer(context, view, self._page.reload), name)

    def refresh(self) -> None:
        status, view = self._line.status, self._line.view
        self._state.show(self._line.state)
        last = status.last_run if status is not None else None
        self._last.set_visibility(last is not None)
        if last is not None:
            self._last.set_text(format_time(last.started_at))
            self._last.props["href"] = f"/run/{last.run_id}"
            self._rows.set_text(format_count(last.rows.committed))
        fresh = self._line.freshness
        if fresh is not None and view.enabled:
            self._lag.set_text(f"{format_span(fresh.lag_s)}{', late' if fresh.is_late else ''}")
            (self._lag.classes(add="late") if fresh.is_late else self._lag.classes(remove="late"))
        if self._context.is_operator and view.enabled:
            is_running = status is not None and status.state is RunState.RUNNING
            self._run.set_enabled(not is_running)
            self._run.set_text("Resume" if status is not None and status.state is RunState.PAUSED else "Run")
            self._pause.set_enabled(is_running or bool(view.schedule))
