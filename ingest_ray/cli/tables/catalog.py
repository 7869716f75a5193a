"""What `apply`, `collect`, `units` and `preview` show."""

from typing import Any, TextIO

from rich.text import Text

from ingest_ray.catalog.dataset_versions import Differences
from ingest_ray.cli.format import amount, moment
from ingest_ray.cli.tables.layout import cell_text, console_on, table_of


def show_changes(done: Any, out: TextIO) -> None:
    styles = {"+": "green", "~": "yellow", "-": "red"}
    console = console_on(out)
    for change in done.changes:
        fields = f" ({', '.join(change.fields)})" if change.fields else ""
        console.print(
            Text(f"{change.action} {change.kind} {change.id}{fields}", style=styles[change.action]), soft_wrap=True
        )
    count = len(done.changes)
    said = "nothing changed" if not count else f"{count} change{'s' if count > 1 else ''}"
    console.print(f"{said}{', none made (dry run)' if done.is_dry_run and count else ''}")


def show_collected(done: Any, out: TextIO) -> None:
    console, found = console_on(out), done.differences
    for action, names in (("+", found.added), ("~", found.changed), ("-", found.gone)):
        for name in names:
            console.print(f"{action} {name}", soft_wrap=True)
    console.print(_collected_line(done.endpoint_id, found))
    for line in done.configured:
        console.print(f"unit {line}", soft_wrap=True)
    for warning in done.warnings:
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)


def _collected_line(endpoint_id: str, found: Differences) -> str:
    return f"{endpoint_id}: {found.found} datasets, {len(found.added)} new, {len(found.changed)} changed, {len(found.gone)} gone"


def show_units(found: Any, out: TextIO) -> None:
    console = console_on(out)
    if not found.is_collected:
        console.print(f"{found.endpoint_id} has no metadata yet: ingest-ray collect {found.endpoint_id}")
        return
    table = table_of(
        "unit", "kind", "enabled", "mode", "key", "rows", "sink", right=("rows",), narrow=("enabled", "mode", "rows")
    )
    for unit in found.units:
        rows = "-" if unit.estimated_rows is None else f"~{amount(unit.estimated_rows)}"
        enabled = Text("yes", style="green") if unit.enabled else Text("no")
        table.add_row(
            unit.unit_id,
            unit.kind,
            enabled,
            unit.run_mode,
            ", ".join(unit.primary_key) or "-",
            rows,
            unit.sink_id or "-",
        )
    console.print(table)
    console.print(
        f"{len(found.units)} units, {sum(unit.enabled for unit in found.units)} enabled; collected {moment(found.collected_at)} UTC"
    )


def show_rows(found: Any, out: TextIO) -> None:
    console = console_on(out)
    if len(found.columns) <= 6:
        table = table_of(*found.columns)
        for row in found.rows:
            table.add_row(*(cell_text(row[name]) for name in found.columns))
        console.print(table)
    else:  # a wide row is read from top to bottom
        for n, row in enumerate(found.rows, start=1):
            table = table_of(f"row {n}", "")
            for name in found.columns:
                table.add_row(name, cell_text(row[name]))
            console.print(table)
    console.print(f"{len(found.rows)} rows")
