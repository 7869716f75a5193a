"""The first page: what is wrong now, what runs, what runs next, and how fresh every unit is."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from nicegui import ui

from ingest_ray.console.elements import (
    State,
    cell,
    cell_with,
    counted,
    format_age,
    format_count,
    format_seconds,
    format_span,
    format_time,
    heading,
    link_to,
    note,
    row,
    table,
    text_of,
)
from ingest_ray.console.endpoints_page import show_endpoint_table
from ingest_ray.console.listing import Column, Listing
from ingest_ray.console.page_context import PageContext
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.monitoring.freshness import UnitFreshness
from ingest_ray.service.monitoring.problems import Problem, Situation, read_situation
from ingest_ray.service.runs.history import RunView, list_live_runs
from ingest_ray.service.runs.quarantine import list_rejected
from ingest_ray.service.runs.schedule_views import NextRun, list_next_runs

LIVE_EVERY_S = 2.0
EVERY_S = 30.0  # it looks at every unit
MOST_NEXT = 10
MOST_PROBLEMS = 50
LIVE = ("unit", "task", "phase", "read", "staged", "committed", "time", "by")


async def show_overview(context: PageContext) -> None:
    heading("Overview", 1)
    page = OverviewPage(context)
    page.show()
    await page.refresh()
    await page.refresh_live()
    await page.show_quarantine()
    ui.timer(LIVE_EVERY_S, page.refresh_live, immediate=False)
    ui.timer(EVERY_S, page.refresh, immediate=False)
    await show_endpoint_table(context)


class OverviewPage:
    """Each part is made again only where what it shows has changed, so that the focus stays."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._problems: tuple[Problem, ...] | None = None
        self._next: Sequence[NextRun] | None = None
        self._live: Sequence[RunView] | None = None
        columns: list[Column[UnitFreshness]] = [
            Column("unit", lambda unit: unit.unit_id),
            Column("endpoint", lambda unit: unit.endpoint_id),
            Column("state", lambda unit: unit.state.value),
            Column("rows as of (UTC)", lambda unit: unit.as_of),
            Column("lag", lambda unit: unit.lag_s, is_number=True),
            Column("promise", lambda unit: unit.fresh_within_s, is_number=True),
            Column("newest row (UTC)", lambda unit: unit.newest_row_at),
            Column("failures in a row", lambda unit: unit.failures_in_row, is_number=True),
        ]
        self._units = Listing(
            "Freshness", "unit", columns, lambda unit: f"{unit.unit_id} {unit.endpoint_id}", _show_unit
        )

    def show(self) -> None:
        self._summary = text_of("", "p", "soft").props('role="status"')
        heading("What is wrong now")
        self._wrong = ui.element("div")
        self._quarantine = ui.element("div")
        heading("Running")
        self._running = ui.element("div")
        heading("Next runs")
        self._schedules = ui.element("div")
        heading("Freshness")
        text_of(
            "Rows as of: when the last successful run began; what the source had then is in the sink. Lag: the time since then. "
            "Newest row: the watermark, where the cursor is a time.",
            "p",
            "soft",
        )
        with ui.element("div").classes("bar"):
            self._units.search_field()
        self._units.make(())

    async def refresh(self) -> None:
        context = self._context
        within = await context.visible_endpoints()
        situation = await context.call(read_situation, context.installation, within)
        following = await context.call(list_next_runs, context.installation, within)
        if situation is None or following is None:
            return
        self._summary.set_text(summary_of(situation))
        if situation.problems != self._problems:
            self._problems = situation.problems
            self._show_problems(situation.problems)
        if following != self._next:
            self._next = following
            self._show_next(following)
        self._units.put(sorted((unit for unit in situation.units if unit.enabled), key=_urgency))

    async def refresh_live(self) -> None:
        context = self._context
        within = await context.visible_endpoints()
        live = await context.call(list_live_runs, context.installation, within)
        if live is not None and live != self._live:
            self._live = live
            self._show_live(live)

    async def show_quarantine(self) -> None:
        """Once: it reads the folder of the quarantine."""
        found = await self._context.call(list_rejected, self._context.installation)
        entries = (
            [entry for entry in found.entries if self._context.principal.is_for(entry.endpoint_id)] if found else []
        )
        if entries:
            with self._quarantine, ui.element("p").classes("warning"):
                rows = counted(sum(entry.rows for entry in entries), "row")
                units = counted(len({entry.ref for entry in entries}), "unit")
                text_of(f"{rows} of {units} did not fit: ")
                link_to("show them", "/quarantine")

    def _show_problems(self, problems: Sequence[Problem]) -> None:
        self._wrong.clear()
        with self._wrong:
            if not problems:
                note("Nothing: every enabled unit succeeded, in time.", "empty")
                return
            with table("What is wrong now", ("unit", "endpoint", "what", "why", "since (UTC)")):
                for problem in problems[:MOST_PROBLEMS]:
                    _show_problem(problem)
            if len(problems) > MOST_PROBLEMS:
                text_of(f"and {len(problems) - MOST_PROBLEMS} more", "p", "soft")

    def _show_live(self, live: Sequence[RunView]) -> None:
        self._running.clear()
        with self._running:
            if not live:
                note("No run goes on.", "empty")
                return
            with table("Running", LIVE, ("read", "staged", "committed", "time")) as body:
                _show_live_runs(body, live)

    def _show_next(self, following: Sequence[NextRun]) -> None:
        self._schedules.clear()
        with self._schedules:
            if not following:
                note("No unit has a schedule: units run when a person starts them.", "empty")
                return
            with table("Next runs", ("unit", "endpoint", "next (UTC)", "schedule")):
                for run in following[:MOST_NEXT]:
                    _show_next_run(run)
            if len(following) > MOST_NEXT:
                text_of(f"and {len(following) - MOST_NEXT} more", "p", "soft")


def summary_of(situation: Situation) -> str:
    enabled = [unit for unit in situation.units if unit.enabled]
    states = Counter(unit.state.value.lower() for unit in enabled)
    late = sum(unit.is_late for unit in enabled)
    wrong = len({problem.ref for problem in situation.problems})
    parts = [
        f"{counted(wrong, 'unit')} with a problem",
        f"{late} late",
        *(f"{n} {state}" for state, n in states.items()),
    ]
    return f"{counted(len(enabled), 'enabled unit')}: {', '.join(parts)}"


def _urgency(unit: UnitFreshness) -> tuple[bool, bool, float]:
    """Late and failing units first, then by lag."""
    return not unit.is_late, unit.failures_in_row == 0, -(unit.lag_s if unit.lag_s is not None else float("inf"))


def _unit_cells(unit: UnitRef) -> None:
    with cell_with("mono"):
        link_to(unit.unit_id, "/unit", endpoint=unit.endpoint_id, unit=unit.unit_id)
    cell(unit.endpoint_id)


def _show_problem(problem: Problem) -> None:
    with row():
        _unit_cells(problem.ref)
        with cell_with("late"):
            if problem.run_id:
                link_to(problem.what, f"/run/{problem.run_id}")
            else:
                text_of(problem.what)
        code = f" [{problem.code}]" if problem.code else ""
        hint = f" {problem.hint}" if problem.hint else ""
        cell(f"{problem.message}{code}{hint}")
        cell(format_time(problem.since))


def _show_live_runs(body: ui.element, live: Sequence[RunView]) -> None:
    with body:
        for view in live:
            summary, moment = view.summary, view.progress.moment if view.progress is not None else None
            rows = moment.rows if moment is not None else summary.rows
            with row():
                with cell_with("mono"):
                    link_to(summary.unit_id, f"/run/{summary.run_id}")
                cell(summary.task)
                cell(moment.phase if moment is not None else "starting")
                cell(format_count(rows.read), "number")
                cell(format_count(rows.staged), "number")
                cell(format_count(rows.committed), "number")
                cell(format_age(summary.started_at), "number")
                cell(summary.requested_by or "-")


def _show_next_run(run: NextRun) -> None:
    with row():
        _unit_cells(UnitRef(run.endpoint_id, run.unit_id))
        if run.next_due_at is None:
            cell(f"held by {run.held_by}" if run.held_by else "-")
        else:
            due = datetime.fromtimestamp(run.next_due_at, UTC)
            left_s = max(0.0, (due - datetime.now(UTC)).total_seconds())
            cell(f"{format_time(due)}, in {format_seconds(left_s)}")
        cell(run.schedule if run.task == "ingest" else f"{run.task} {run.schedule}")


def _show_unit(unit: UnitFreshness) -> None:
    with row():
        _unit_cells(unit.ref)
        State(unit.state.value, "td")
        cell(format_time(unit.as_of) if unit.as_of else "never")
        late = "late" if unit.is_late else ""
        cell(format_span(unit.lag_s), f"number {late}")
        cell(format_span(unit.fresh_within_s), "number")
        cell(format_time(unit.newest_row_at))
        cell(str(unit.failures_in_row), "number")
