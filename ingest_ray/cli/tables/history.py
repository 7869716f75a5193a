"""Runs, the newest first: what `history` shows."""

from typing import TextIO

from ingest_ray.cli.format import format_count, format_duration, format_time
from ingest_ray.cli.tables.layout import console_on, state_text, table_of
from ingest_ray.service.runs.history import RunPage


def show_history(page: RunPage, out: TextIO) -> None:
    console = console_on(out)
    if not page.runs:
        console.print("no run yet")
        return
    table = table_of("run", "unit", "task", "state", "rows", "time", "began (UTC)", "by", right=("rows", "time"))
    for run in page.runs:
        table.add_row(
            run.run_id,
            str(run.ref),
            run.task,
            state_text(run.state.value),
            format_count(run.rows.committed),
            format_duration(run.seconds),
            format_time(run.started_at.isoformat() if run.started_at else None),
            run.requested_by or "-",
        )
    console.print(table)
    if page.has_next:
        console.print(f"more: --after {page.runs[-1].run_id}")
