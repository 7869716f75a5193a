"""Rows in quarantine: what `quarantine list` and `quarantine show` show."""

from typing import TextIO

from ingest_ray.cli.format import format_time
from ingest_ray.cli.tables.layout import cell_text, console_on, table_of, table_without_header
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.runs.quarantine import QuarantineListing, RejectedRows


def show_entries(listed: QuarantineListing, out: TextIO) -> None:
    console = console_on(out)
    if not listed.entries:
        console.print("nothing is in quarantine")
        return
    table = table_of("unit", "at (UTC)", "rows", "first reason", right=("rows",), narrow=("rows",))
    for entry in listed.entries:
        name = str(entry.ref)
        table.add_row(name, format_time(entry.at.isoformat()), str(entry.rows), entry.first_reason)
    console.print(table)
    console.print(f"{listed.rows} rows")


def show_rejected(rejected: RejectedRows, out: TextIO) -> None:
    console = console_on(out)
    for row in rejected.rows:
        column = f"column '{row.column}': " if row.column else ""
        console.print(
            f"{UnitRef(rejected.endpoint_id, row.unit_id)} {format_time(row.at)} UTC", style="bold", soft_wrap=True
        )
        console.print(f"  {column}{row.reason}", style="yellow", soft_wrap=True)
        table = table_without_header()
        for name, value in row.raw.items():
            table.add_row(f"  {name}", cell_text(value))
        console.print(table)
    shown = f"{len(rejected.rows)} of {rejected.total} rows"
    console.print(shown if rejected.total else "nothing is in quarantine")
