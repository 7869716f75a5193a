"""Where units stand: what `status` shows."""

from typing import TextIO

from rich.console import Console

from ingest_ray.cli.format import format_time
from ingest_ray.cli.tables.layout import console_on, position_text, show_fault, state_text, table_of
from ingest_ray.service.units.status import StatusReport, UnitReport


def show_status(status: StatusReport, is_one_unit: bool, out: TextIO) -> None:
    console = console_on(out)
    if not status.units:
        console.print("no unit is configured: write rules under units: in ingest.yaml, apply, collect")
    else:
        _show_units(console, status)
    for endpoint_id, collected_at in status.collections.items():
        if collected_at is None:
            console.print(f"{endpoint_id} has no metadata yet: ingest-ray collect {endpoint_id}")
    for unit in status.units:
        if unit.error:
            console.print(str(unit.ref), style="bold", soft_wrap=True)
            show_fault(console, unit.error)
    if is_one_unit:
        for unit in status.units:
            _show_segments(console, unit)
            _show_history(console, unit)


def _show_units(console: Console, status: StatusReport) -> None:
    table = table_of("unit", "state", "watermark", "rows", "last run (UTC)", right=("rows",), narrow=("state", "rows"))
    for unit in status.units:
        last = unit.last_run
        started_at = last.started_at.isoformat() if last and last.started_at else None
        table.add_row(
            str(unit.ref) + ("" if unit.enabled else " (not enabled)"),
            state_text(unit.state.value),
            _watermark_text(unit),
            str(last.rows.committed) if last else "-",
            format_time(started_at),
        )
    console.print(table)


def _watermark_text(unit: UnitReport) -> str:
    if len(unit.segments) == 1:
        return position_text(unit.segments[0].watermark)
    return f"{len(unit.segments)} segments" if unit.segments else "-"


def _show_segments(console: Console, unit: UnitReport) -> None:
    if not unit.segments:
        return
    table = table_of("segment", "watermark", "loaded", "generation", "open", right=("generation", "open"))
    for segment in unit.segments:
        table.add_row(
            segment.segment,
            position_text(segment.watermark),
            "yes" if segment.is_loaded else "no",
            str(segment.generation),
            str(segment.open_scopes),
        )
    console.print()
    console.print(table)


def _show_history(console: Console, unit: UnitReport) -> None:
    if not unit.history:
        return
    table = table_of(
        "run", "task", "state", "read", "committed", "error", right=("read", "committed"), narrow=("task",)
    )
    for run in unit.history:
        table.add_row(
            run.run_id,
            run.task,
            state_text(run.state.value),
            str(run.rows.read),
            str(run.rows.committed),
            run.error.code if run.error else "",
        )
    console.print()
    console.print(table)
