"""The page of one run: its progress while it runs, and its result afterwards."""

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from ingest_ray.console.comparison_facts import show_comparison
from ingest_ray.console.elements import (
    State,
    button,
    cell,
    confirm,
    counted,
    facts,
    format_count,
    format_seconds,
    format_time,
    heading,
    link_to,
    row,
    table,
    text_of,
)
from ingest_ray.console.page_context import Action, PageContext
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.access.roles import Role
from ingest_ray.service.runs import control, quarantine
from ingest_ray.service.runs.history import RunView, view_run
from ingest_ray.service.runs.run_log import last_lines
from ingest_ray.service.runs.run_observer import Sample, Throttle

EVERY_S = 1.0
MOST_LINES = 500  # of the log; ingest-ray logs has all of them
COUNTS = ("seconds", "rows", "slices")
THROTTLE_NUMBERS = ("requests/s", "requests", "refused")


async def show_run(context: PageContext, run_id: str) -> None:
    view = await context.find("run", None, view_run, context.installation, run_id, context.principal)
    if view is None:
        return
    page = RunPage(context, view)
    page.show()
    await page.refresh()
    if view.summary.state is RunState.RUNNING:
        page.timer = ui.timer(EVERY_S, page.refresh, immediate=False)


class RunPage:
    timer: ui.timer | None = None

    def __init__(self, context: PageContext, view: RunView) -> None:
        self._context = context
        self._summary = view.summary
        self._is_comparison = view.summary.task == "verify"
        self._is_ended = False

    def show(self) -> None:
        summary = self._summary
        heading(f"Run of {summary.unit_id}", 1)
        with ui.element("p").classes("soft"):
            link_to(summary.endpoint_id, f"/endpoint/{summary.endpoint_id}")
            text_of(" ")
            link_to(summary.unit_id, "/unit", endpoint=summary.endpoint_id, unit=summary.unit_id)
            preposition = "with" if self._is_comparison else "into"
            text_of(f" {preposition} {summary.sink_id}, {summary.task}, run {summary.run_id}")
        with ui.element("div").classes("bar").props('role="status" aria-live="polite"'):
            self._state = State(summary.state.value)
            self._summary_text = text_of("", classes="soft")
        self._bar = ui.linear_progress(0, show_value=False).props('aria-label="Rows committed" instant-feedback')
        if self._context.is_operator and summary.state is RunState.RUNNING:
            with ui.element("div").classes("bar"):
                self._pause = button("Pause", self.pause, summary.unit_id)
        self._error = ui.element("div").props('role="alert"')
        self._over_time = ui.element("div")
        with self._over_time:
            self._make_chart()
        self._over_time.set_visibility(not self._is_comparison)
        self._throttles = ui.element("div")
        self._end = ui.element("div")
        if self._context.is_operator:
            heading("Log")
            self._log = text_of("", "pre", "log").props('tabindex="0" role="region" aria-label="Log"')

    def _make_chart(self) -> None:
        heading("Over time")
        self._chart = ui.echart(chart_of([])).classes("w-full").style("height: 16rem")
        self._chart.props('role="img" aria-label="Rows per second and slices over time"')
        self._table = ui.expansion("The same as a table").classes("w-full")

    async def refresh(self) -> None:
        view = await self._context.call(view_run, self._context.installation, self._summary.run_id)
        if view is None or self._is_ended:
            return
        self._show_progress(view)
        await self._show_log()
        if view.summary.state is not RunState.RUNNING:
            self._is_ended = True
            if self.timer is not None:
                self.timer.deactivate()
            await self._show_end(view)

    def _show_progress(self, view: RunView) -> None:
        summary, report = view.summary, view.progress
        is_running = summary.state is RunState.RUNNING
        self._state.show(summary.state.value)
        rows = report.moment.rows if report is not None and is_running else summary.rows
        seconds = report.moment.seconds if report is not None and is_running else summary.seconds
        rate = f", {format_count(rows.committed / seconds)} rows/s" if seconds > 0 and rows.committed else ""
        stop = ", stopping after the commit under way" if view.is_stop_requested and is_running else ""
        phase = f"{report.moment.phase}: " if report is not None and is_running else ""
        if self._is_comparison:
            self._show_comparison(view)
        else:
            self._summary_text.set_text(
                f"{phase}{counted(rows.read, 'row')} read, {format_count(rows.staged)} staged, "
                f"{counted(rows.committed, 'row')} committed in {format_seconds(seconds)}{rate}{stop}"
            )
            estimate = report.moment.estimated_rows if report is not None else None
            self._bar.set_value(min(1.0, rows.committed / estimate) if estimate else 0.0)
        self._bar.set_visibility(is_running)
        samples = list(report.samples) if report is not None else []
        self._chart.options.clear()
        self._chart.options.update(chart_of(samples))
        self._chart.update()
        self._show_table(samples)
        self._show_throttles(report.throttles if report is not None else ())

    def _show_comparison(self, view: RunView) -> None:
        summary, report = view.summary, view.progress
        if summary.state is not RunState.RUNNING or report is None:
            rows = counted(summary.rows.read, "row")
            self._summary_text.set_text(f"{rows} compared in {format_seconds(summary.seconds)}")
            return
        moment = report.moment
        done, blocks = moment.slices.committed, moment.slices.planned
        block = f", block {done} of {blocks}" if blocks else ""
        stop = ", stopping after the block under way" if view.is_stop_requested else ""
        self._summary_text.set_text(f"{moment.phase}: {counted(moment.rows.read, 'row')}{block}{stop}")
        self._bar.set_value(done / blocks if blocks else 0.0)

    def _show_throttles(self, throttles: Sequence[Throttle]) -> None:
        self._throttles.clear()
        if not throttles:
            return
        with self._throttles:
            heading("Throttle")
            with table(
                "Throttle", ("host", "kind", "requests/s", "requests", "refused", "slowed by"), THROTTLE_NUMBERS
            ):
                for throttle in throttles:
                    with row():
                        cell(throttle.host, "mono")
                        cell(throttle.endpoint_class)
                        cell(f"{throttle.rate:.1f}", "number")
                        cell(format_count(throttle.requests), "number")
                        cell(format_count(throttle.refusals), "number")
                        cell(throttle.reason or "-")

    def _show_table(self, samples: list[Sample]) -> None:
        self._table.clear()
        with self._table, table("Progress over time", COUNTS, COUNTS, is_narrow=True):
            for sample in samples[-20:]:
                with row():
                    cell(f"{sample.seconds:.1f}", "number")
                    cell(format_count(sample.rows), "number")
                    cell(str(sample.slices), "number")

    async def _show_log(self) -> None:
        if not self._context.is_operator:
            return
        lines = await self._context.call(last_lines, self._context.installation, self._summary.run_id, MOST_LINES)
        if lines is None:
            return
        if not lines:
            lines = ["There is no log of this run on this machine: runs of the command line log to its terminal."]
        self._log.set_text("\n".join(lines))

    async def _show_end(self, view: RunView) -> None:
        summary = view.summary
        if self._context.is_operator and hasattr(self, "_pause"):
            self._pause.set_visibility(False)
        if summary.error is not None:
            with self._error.classes("error"):
                text_of(f"{summary.error.message} [{summary.error.code}]", "p")
                if summary.error.hint:
                    text_of(summary.error.hint, "p")
        self._end.clear()
        with self._end:
            if self._is_comparison:
                show_comparison(summary)
            else:
                _show_facts(summary)
            await self._show_quarantine(summary)

    async def _show_quarantine(self, summary: RunSummary) -> None:
        if not summary.rows.quarantined:
            return
        heading("Quarantine")
        with ui.element("p"):
            text_of(f"{counted(summary.rows.quarantined, 'row')} did not fit: ")
            link_to("show, replay or discard", "/quarantine", endpoint=summary.endpoint_id, unit=summary.unit_id)
        listed = await self._context.call(
            quarantine.list_rejected, self._context.installation, summary.endpoint_id, summary.unit_id
        )
        with table("Quarantine", ("slice", "rows", "first reason"), ("rows",)):
            for entry in listed.entries if listed is not None else ():
                if entry.run_id == summary.run_id:
                    with row():
                        cell(entry.slice_id, "mono")
                        cell(format_count(entry.rows), "number")
                        cell(entry.first_reason)

    async def pause(self) -> None:
        summary = self._summary
        if not await confirm(f"Pause {summary.unit_id}?", "What is under way is finished first.", "Pause now"):
            return
        await self._context.act(
            Action("pauseIngestion", summary.endpoint_id, Role.OPERATOR),
            control.pause,
            self._context.installation,
            summary.ref,
            sink_id=summary.sink_id,
            requested_by=self._context.principal.name,
        )
        await self.refresh()


def _show_facts(summary: RunSummary) -> None:
    rows, slices = summary.rows, summary.slices
    heading("What it did")
    facts(
        [
            (
                "rows",
                f"{format_count(rows.read)} read, {format_count(rows.staged)} staged, {format_count(rows.committed)} committed",
            ),
            (
                "set aside",
                f"{format_count(rows.quarantined)} quarantined, {format_count(rows.deduplicated)} deduplicated",
            ),
            ("slices", f"{slices.planned} planned, {slices.committed} committed, {slices.failed} failed"),
            ("retries", str(summary.retries)),
            ("began (UTC)", format_time(summary.started_at)),
            ("ended (UTC)", format_time(summary.finished_at)),
            ("by", summary.requested_by or "-"),
            ("where", f"{summary.executor or '-'}; {summary.strategy or '-'}"),
            ("target", summary.target or "-"),
            (
                "watermarks",
                ", ".join(f"{name}: {value}" for name, value in list(summary.watermarks.items())[:5]) or "-",
            ),
            *((("schema", "; ".join(summary.schema_changes)),) if summary.schema_changes else ()),
        ]
    )
    if summary.phases:
        heading("Phases")
        with table("Seconds by phase", ("phase", "seconds"), ("seconds",), is_narrow=True):
            for name, spent in summary.phases.items():
                with row():
                    cell(name)
                    cell(f"{spent:.2f}", "number")


def chart_of(samples: list[Sample]) -> dict[str, Any]:
    """The options of the chart: rows per second between samples, and committed slices."""
    before = Sample(seconds=0, rows=0, bytes_staged=0, slices=0)
    rates = [[0.0, 0.0]]
    for sample in samples:
        span = sample.seconds - before.seconds
        rates.append([sample.seconds, round((sample.rows - before.rows) / span, 1) if span > 0 else 0.0])
        before = sample
    return {
        "animation": False,
        "grid": {"left": 60, "right": 60, "top": 30, "bottom": 60},
        "legend": {"bottom": 5},
        "xAxis": {"type": "value", "name": "s", "min": 0},
        "yAxis": [
            {"type": "value", "name": "rows/s", "minInterval": 1},
            {"type": "value", "name": "slices", "minInterval": 1, "splitLine": {"show": False}},
        ],
        "series": [
            {"name": "rows per second", "type": "line", "showSymbol": False, "data": rates, "color": "#1f5fa8"},
            {
                "name": "slices committed",
                "type": "line",
                "step": "end",
                "showSymbol": False,
                "yAxisIndex": 1,
                "data": [[0.0, 0], *([sample.seconds, sample.slices] for sample in samples)],
                "color": "#8a5a00",
            },
        ],
    }
