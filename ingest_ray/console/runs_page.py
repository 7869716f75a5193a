"""The page of all runs, the newest first, of every endpoint or of one unit."""

from nicegui import ui

from ingest_ray.console.elements import (
    State,
    button,
    cell,
    cell_with,
    format_count,
    format_seconds,
    format_time,
    heading,
    link_to,
    row,
    table,
    text_of,
)
from ingest_ray.console.page_context import PageContext
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.runs.history import list_runs

PAGE = 50  # runs
ALL = "all states"
COLUMNS = ("run", "unit", "task", "state", "read", "committed", "quarantined", "time", "began (UTC)", "by")
NUMBERS = ("read", "committed", "quarantined", "time")


async def show_runs(context: PageContext) -> None:
    endpoint_id, unit_id = context.query.get("endpoint"), context.query.get("unit")
    heading(f"Runs of {unit_id or endpoint_id}" if endpoint_id else "Runs", 1)
    await RunsPage(context, endpoint_id, unit_id).show()


class RunsPage:
    def __init__(self, context: PageContext, endpoint_id: str | None, unit_id: str | None) -> None:
        self._context, self._endpoint_id, self._unit_id = context, endpoint_id, unit_id
        self._state: RunState | None = None
        self._last: str | None = None

    async def show(self) -> None:
        with ui.element("div").classes("bar"):
            states = [ALL, *(state.value for state in RunState if state is not RunState.IDLE)]
            ui.select(states, value=ALL, label="State", on_change=lambda change: self._choose(change.value)).props(
                "dense outlined"
            ).style("min-width: 9rem")
            if self._endpoint_id is not None:
                link_to("Runs of all units", "/runs")
        with table("Runs", COLUMNS, NUMBERS) as body:
            self._body = body
        self._none = text_of("No run yet.", "p", "soft")
        self._more = button("Show more", self.show_more)
        await self.show_more()

    async def show_more(self) -> None:
        await show_run_rows(self._context, self._body, await self._read())

    async def _read(self) -> list[RunSummary]:
        context = self._context
        within = await context.visible_endpoints()
        page = await context.call(
            list_runs,
            context.installation,
            endpoint_id=self._endpoint_id,
            unit_id=self._unit_id,
            within=within,
            state=self._state,
            after=self._last,
            first=PAGE,
        )
        runs = list(page.runs) if page is not None else []
        self._more.set_visibility(page is not None and page.has_next)
        self._none.set_visibility(not runs and self._last is None)
        self._last = runs[-1].run_id if runs else self._last
        return runs

    async def _choose(self, state: str) -> None:
        self._state = None if state == ALL else RunState(state)
        self._last = None
        self._body.clear()
        await self.show_more()


async def show_run_rows(context: PageContext, body: ui.element, runs: list[RunSummary]) -> None:
    with body:
        for run in runs:
            _show(run)


def _show(run: RunSummary) -> None:
    with row():
        with cell_with("mono"):
            link_to(run.run_id, f"/run/{run.run_id}")
        with cell_with("mono"):
            link_to(f"{run.endpoint_id}:{run.unit_id}", "/unit", endpoint=run.endpoint_id, unit=run.unit_id)
        cell(run.task)
        State(run.state.value, "td")
        cell(format_count(run.rows.read), "number")
        cell(format_count(run.rows.committed), "number")
        cell(format_count(run.rows.quarantined), "number")
        cell(format_seconds(run.seconds), "number")
        cell(format_time(run.started_at))
        cell(run.requested_by or "-")
