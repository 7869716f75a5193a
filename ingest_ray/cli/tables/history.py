"""What `history` shows."""

from typing import Any, TextIO

from ingest_ray.cli.format import amount, duration, moment
from ingest_ray.cli.tables.layout import console_on, state_text, table_of


def show_history(found: Any, out: TextIO) -> None:
    console = console_on(out)
    if not found.runs:
        console.print("no run yet")
        return
    table = table_of("run", "unit", "task", "state", "rows", "time", "began (UTC)", "by", right=("rows", "time"))
    for run in found.runs:
        began = run.started_at.isoformat() if run.started_at else None
        table.add_row(
            run.run_id,
            str(run.ref),
            run.task,
            state_text(run.state.value),
            amount(run.rows.committed),
            duration(run.seconds),
            moment(began),
            run.requested_by or "-",
        )
    console.print(table)
    if found.has_next:
        console.print(f"more: --after {found.runs[-1].run_id}")
