"""Where units stand: what `status` shows."""

from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console
from rich.text import Text

from ingest_ray.cli.format import format_age, format_bytes, format_time
from ingest_ray.cli.tables.layout import (
    console_on,
    position_text,
    show_fault,
    state_text,
    table_of,
    table_without_header,
)
from ingest_ray.service.monitoring.freshness import UnitFreshness
from ingest_ray.service.runs.kept_logs import EndpointLogs
from ingest_ray.service.runs.schedule_views import NextRun
from ingest_ray.service.units.status import StatusReport, UnitReport
from ingest_ray.service.units.unit_status import UnitLog


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
            _show_freshness(console, unit)
            _show_segments(console, unit)
            if unit.log is not None:
                console.print()
                print_log(console, unit.log)
            _show_history(console, unit)


def _show_units(console: Console, status: StatusReport) -> None:
    titles = ("unit", "state", "lag", "watermark", "rows", "last run (UTC)")
    table = table_of(*titles, right=("lag", "rows"), narrow=("state", "lag", "rows"))
    for unit in status.units:
        last = unit.last_run
        started_at = last.started_at.isoformat() if last and last.started_at else None
        table.add_row(
            str(unit.ref) + ("" if unit.enabled else " (not enabled)"),
            state_text(unit.state.value),
            _lag_text(unit.freshness),
            _watermark_text(unit),
            str(last.rows.committed) if last else "-",
            format_time(started_at),
        )
    console.print(table)


def _lag_text(freshness: UnitFreshness | None) -> Text:
    """The seconds since the last successful run began; red where the unit breaks its promise."""
    if freshness is None:
        return Text("-")
    shown = format_age(freshness.lag_s)
    return Text(f"{shown} late", style="red") if freshness.is_late else Text(shown)


def _show_freshness(console: Console, unit: UnitReport) -> None:
    found = unit.freshness
    if found is None:
        return
    last = found.last_run
    promise = "-" if found.fresh_within_s is None else format_age(found.fresh_within_s)
    table = table_without_header()
    for name, value in (
        ("last success (UTC)", format_time(found.last_success_at.isoformat() if found.last_success_at else None)),
        ("lag", f"{format_age(found.lag_s)}, late" if found.is_late else format_age(found.lag_s)),
        ("promised (fresh_within)", promise),
        ("age of the newest row", format_age(found.newest_row_age_s)),
        ("failures in a row", str(found.failures_in_row)),
        (
            "rows of the last run",
            "-"
            if last is None
            else f"{'at least ' if last.is_at_least else ''}{last.rows.committed} of {last.rows.read}",
        ),
        ("in quarantine of these", "-" if last is None else str(last.rows.quarantined)),
        ("bytes of the last run", "-" if last is None else format_bytes(last.bytes_staged)),
        ("not started", found.start_error or "-"),
        ("schedule", unit.schedule or "-"),
        *((f"next {run.task} (UTC)", _next_text(run)) for run in unit.next_runs),
        ("layout", unit.layout or "-"),
    ):
        table.add_row(name, value)
    console.print()
    console.print(table)


def _next_text(run: NextRun) -> str:
    if run.next_due_at is None:
        return f"held by {run.held_by}"
    return format_time(datetime.fromtimestamp(run.next_due_at, UTC).isoformat())


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


def show_log(log: UnitLog, out: TextIO) -> None:
    print_log(console_on(out), log)


def print_log(console: Console, log: UnitLog) -> None:
    table = table_without_header()
    for name, value in _log_facts(log).items():
        table.add_row(name, value)
    console.print(table)
    if log.is_alarming:
        console.print(
            "the source keeps much of its log for this unit: run it soon, or see docs/changes.md", style="yellow"
        )
    show_fault(console, log.error)


def _log_facts(log: UnitLog) -> dict[str, str]:
    facts = {"log": f"{log.name or '-'} ({log.state})"}
    if log.position is not None:
        facts["read up to"] = f"{log.position} of {log.end}"
    if log.lag_bytes is not None:
        age = "" if log.lag_s is None else f", {log.lag_s:.1f} s"
        facts["lag"] = f"{log.lag_bytes} bytes{age}"
    if log.retained_bytes is not None:
        bound = "" if log.max_retained_mb is None else f" of at most {log.max_retained_mb} MB"
        facts["kept by the source"] = f"{log.retained_bytes / 1_000_000:.1f} MB{bound}"
    return facts


def show_kept_logs(found: EndpointLogs, out: TextIO) -> None:
    console = console_on(out)
    if not found.logs:
        console.print("the source keeps no log for this installation")
        return
    table = table_of("log", "unit", "state", "kept", right=("kept",))
    for log in found.logs:
        kept = "-" if log.retained_bytes is None else f"{log.retained_bytes / 1_000_000:.1f} MB"
        table.add_row(log.name, f"{log.endpoint_id} {log.unit_id}" if log.unit_id else "-", log.state, kept)
    console.print(table)
    for log in found.logs:
        if log.reason is not None:
            console.print(f"{log.name}: {log.reason}", style="yellow", soft_wrap=True)
            console.print(f"  hint: {log.remedy}", soft_wrap=True)
