"""What `run` and `status` show."""

from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from ingest_ray.cli.format import amount, moment
from ingest_ray.cli.tables.layout import console_on, position_text, show_fault, state_text, table_of
from ingest_ray.engine.reports import ReconcileReport
from ingest_ray.sdk.types import ModelCounts, RowCounts, RunSummary


def show_report(report: Any, out: TextIO) -> None:
    console = console_on(out)
    for summary in report.units:
        head = Text(f"{summary.ref} ", style="bold")
        task = "" if summary.task == "ingest" else f" ({summary.task})"
        console.print(head + state_text(summary.state.value) + task, soft_wrap=True)
        for change in summary.schema_changes:
            console.print(f"  the dataset changed: {change}", style="yellow", soft_wrap=True)
        table = table_of("what", "value")
        table.show_header = False
        for name, value in _run_facts(summary).items():
            table.add_row(f"  {name}", value)
        console.print(table)
        show_fault(console, summary.error)
        if summary.state == "PAUSED":
            console.print(f"  to go on: ingest-ray run {summary.endpoint_id} {summary.unit_id}", soft_wrap=True)
    for found in report.reconciled:
        _show_reconciled(console, found)
    if not report.units:
        console.print("nothing to do")
    if len(report.units) > 1:
        states = [summary.state.value for summary in report.units]
        counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        console.print(
            f"{len(states)} units: {counted}; {report.rows.committed} rows committed in {report.seconds:.1f} s"
        )


def _show_reconciled(console: Console, found: ReconcileReport) -> None:
    head = Text(f"{found.ref} reconciled ", style="bold")
    console.print(head + state_text(found.state.value), soft_wrap=True)
    table = table_of("what", "value")
    table.show_header = False
    done = {"tombstone": "marked as deleted", "delete": "deleted"}.get(found.how, found.how)
    if found.error is None:
        table.add_row("  keys", f"{found.keys_at_source} at the source, {found.keys_in_sink} in the sink")
        table.add_row("  gone", f"{found.missing_at_source} not at the source any more, {found.erased} {done}")
    table.add_row("  time", f"{found.seconds:.1f} s")
    console.print(table)
    show_fault(console, found.error)


def _run_facts(summary: RunSummary) -> dict[str, str]:
    slices = summary.slices
    facts = {
        "rows": _rows(summary.rows),
        **{f"of {name}": _model(counts) for name, counts in summary.models.items()},
        "slices": f"{slices.planned} planned, {slices.committed} committed, {slices.failed} failed",
        "time": f"{summary.seconds:.1f} s"
        + (f", {amount(summary.rows.committed / summary.seconds)} rows/s" if summary.seconds else ""),
        "target": summary.target or "-",
    }
    for segment, value in summary.watermarks.items():
        facts[f"watermark {segment}"] = position_text(value)
    return facts | {"run": summary.run_id}


def _model(counts: ModelCounts) -> str:
    more = {"deduplicated": counts.deduplicated, "erased": counts.erased}
    return ", ".join([f"{counts.committed} committed", *(f"{count} {name}" for name, count in more.items() if count)])


def _rows(rows: RowCounts) -> str:
    more = [f"{getattr(rows, name)} {name}" for name in ("quarantined", "deduplicated") if getattr(rows, name)]
    return ", ".join([f"{rows.read} read", f"{rows.committed} committed", *more])


def show_status(found: Any, is_one_unit: bool, out: TextIO) -> None:
    console = console_on(out)
    table = table_of("unit", "state", "watermark", "rows", "last run (UTC)", right=("rows",), narrow=("state", "rows"))
    for unit in found.units:
        last = unit.last_run
        marks = [
            position_text(segment.watermark) if segment.watermark is not None else "-" for segment in unit.segments
        ]
        shown = marks[0] if len(marks) == 1 else f"{len(marks)} segments" if marks else "-"
        name = str(unit.ref) + ("" if unit.enabled else " (not enabled)")
        ended = last.started_at.isoformat() if last and last.started_at else None
        table.add_row(
            name, state_text(unit.state.value), shown, str(last.rows.committed) if last else "-", moment(ended)
        )
    if not found.units:
        console.print("no unit is configured: write rules under units: in ingest.yaml, apply, collect")
    else:
        console.print(table)
    for endpoint_id, at in found.collections.items():
        if at is None:
            console.print(f"{endpoint_id} has no metadata yet: ingest-ray collect {endpoint_id}")
    for unit in found.units:
        if unit.error:
            console.print(str(unit.ref), style="bold", soft_wrap=True)
            show_fault(console, unit.error)
    if is_one_unit:
        for unit in found.units:
            _show_unit(console, unit)


def _show_unit(console: Console, unit: Any) -> None:
    segments = table_of("segment", "watermark", "loaded", "generation", "open", right=("generation", "open"))
    for segment in unit.segments:
        loaded = "yes" if segment.is_loaded else "no"
        segments.add_row(
            segment.segment, position_text(segment.watermark), loaded, str(segment.generation), str(segment.open_scopes)
        )
    if unit.segments:
        console.print()
        console.print(segments)
    history = table_of(
        "run", "task", "state", "read", "committed", "error", right=("read", "committed"), narrow=("task",)
    )
    for run in unit.history:
        error = run.error.code if run.error else ""
        history.add_row(
            run.run_id,
            run.task,
            state_text(run.state.value),
            str(run.rows.read),
            str(run.rows.committed),
            error,
        )
    if unit.history:
        console.print()
        console.print(history)
