"""The report of a launch: what `run`, `quarantine replay` and `remap` show."""

from typing import TextIO

from rich.console import Console
from rich.text import Text

from ingest_ray.cli.format import format_count
from ingest_ray.cli.tables.layout import console_on, position_text, show_fault, state_text, table_without_header
from ingest_ray.cli.tables.verification import show_comparison
from ingest_ray.engine.reports import ReconcileReport
from ingest_ray.logs import escape_controls
from ingest_ray.sdk.types import ModelCounts, RunSummary
from ingest_ray.service.launching.launched_runs import DetachedRuns
from ingest_ray.service.runs.execution import RunReport


def show_report(report: RunReport, out: TextIO) -> None:
    console = console_on(out)
    show_unit = _show_unit if len(report.units) == 1 else _show_unit_line
    for summary in report.units:
        show_unit(console, summary)
    for reconciled in report.reconciled:
        _show_reconciled(console, reconciled)
    for verified in report.verified:
        show_comparison(console, verified)
    if not report.units:
        console.print("nothing to do")
    if len(report.units) > 1:
        states = [summary.state.value for summary in report.units]
        counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        console.print(
            f"{len(states)} units: {counted}; {report.rows.committed} rows committed{_quarantined_text(report)} in "
            f"{report.seconds:.1f} s"
        )
        if report.state == "PAUSED":
            console.print(f"to go on: ingest-ray run {report.units[0].endpoint_id}")
    if report.rows.quarantined:
        console.print(f"look at them: ingest-ray quarantine show {report.units[0].endpoint_id}")


def show_detached(found: DetachedRuns, out: TextIO) -> None:
    console = console_on(out)
    for summary in found.units:
        if summary.error is not None:
            _show_unit_line(console, summary)
        else:
            console.print(Text(escape_controls(f"{summary.ref} started: run {summary.run_id}")), soft_wrap=True)
    endpoint_id = found.units[0].endpoint_id if found.units else ""
    console.print(
        f"where they stand: ingest-ray status {endpoint_id}; to stop one: ingest-ray pause {endpoint_id} UNIT"
    )


def _quarantined_text(report: RunReport) -> str:
    return f", {report.rows.quarantined} in quarantine" if report.rows.quarantined else ""


def _show_unit(console: Console, summary: RunSummary) -> None:
    head = Text(escape_controls(f"{summary.ref} "), style="bold")
    task = "" if summary.task == "ingest" else f" ({summary.task})"
    console.print(head + state_text(summary.state.value) + task, soft_wrap=True)
    for change in summary.schema_changes:
        console.print(f"  the dataset changed: {change}", style="yellow", soft_wrap=True)
    table = table_without_header()
    for name, value in _run_facts(summary).items():
        table.add_row(f"  {name}", value)
    console.print(table)
    show_fault(console, summary.error)
    if summary.state == "PAUSED":
        console.print(f"  to go on: ingest-ray run {summary.endpoint_id} {summary.unit_id}", soft_wrap=True)


def _show_unit_line(console: Console, summary: RunSummary) -> None:
    """One line; of a unit that changed or failed, the change and the error below it."""
    task = "" if summary.task == "ingest" else f" ({summary.task})"
    state = state_text(summary.state.value)
    counts = f"  {_rows_text(summary)}, {summary.seconds:.1f} s" if summary.run_id else ""
    console.print(Text(f"{summary.ref} ", style="bold") + state + task + counts, soft_wrap=True)
    for change in summary.schema_changes:
        console.print(f"  the dataset changed: {change}", style="yellow", soft_wrap=True)
    show_fault(console, summary.error)


def _run_facts(summary: RunSummary) -> dict[str, str]:
    slices = summary.slices
    rate = f", {format_count(summary.rows.committed / summary.seconds)} rows/s" if summary.seconds else ""
    facts = {
        "rows": _rows_text(summary),
        **{f"of {name}": _model_text(counts) for name, counts in summary.models.items()},
        "slices": f"{slices.planned} planned, {slices.committed} committed, {slices.failed} failed",
        "time": f"{summary.seconds:.1f} s{rate}",
        "target": summary.target or "-",
    }
    for segment, value in summary.watermarks.items():
        if value is not None:  # of a repair there is none
            facts[f"watermark {segment}"] = position_text(value)
    return facts | {"run": summary.run_id}


def _rows_text(summary: RunSummary) -> str:
    rows = summary.rows
    others = [f"{getattr(rows, name)} {name}" for name in ("quarantined", "deduplicated") if getattr(rows, name)]
    at_least = "at least " if summary.is_at_least else ""
    return at_least + ", ".join([f"{rows.read} read", f"{rows.committed} committed", *others])


def _model_text(counts: ModelCounts) -> str:
    others = {"deduplicated": counts.deduplicated, "erased": counts.erased}
    return ", ".join([f"{counts.committed} committed", *(f"{count} {name}" for name, count in others.items() if count)])


def _show_reconciled(console: Console, report: ReconcileReport) -> None:
    head = Text(escape_controls(f"{report.ref} reconciled "), style="bold")
    console.print(head + state_text(report.state.value), soft_wrap=True)
    table = table_without_header()
    outcome = {"tombstone": "marked as deleted", "delete": "deleted"}.get(report.how, report.how)
    if report.error is None:
        table.add_row("  keys", f"{report.keys_at_source} at the source, {report.keys_in_sink} in the sink")
        if report.missing_in_sink:
            missing = f"{report.missing_in_sink} not in the sink, {report.repaired} read again and committed"
            table.add_row("  missing", missing)
        table.add_row("  gone", f"{report.missing_at_source} not at the source any more, {report.erased} {outcome}")
    for note in report.notes:
        table.add_row("  note", note)
    table.add_row("  time", f"{report.seconds:.1f} s")
    console.print(table)
    show_fault(console, report.error)
