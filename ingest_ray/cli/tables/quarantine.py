"""What `quarantine list` and `quarantine show` show."""

from typing import Any, TextIO

from ingest_ray.cli.format import moment
from ingest_ray.cli.tables.layout import cell_text, console_on, table_of
from ingest_ray.sdk.refs import UnitRef


def show_entries(found: Any, out: TextIO) -> None:
    console = console_on(out)
    if not found.entries:
        console.print("nothing is in quarantine")
        return
    table = table_of("unit", "at (UTC)", "rows", "first reason", right=("rows",), narrow=("rows",))
    for entry in found.entries:
        name = str(entry.ref)
        table.add_row(name, moment(entry.at.isoformat()), str(entry.rows), entry.first_reason)
    console.print(table)
    console.print(f"{found.rows} rows")


def show_rejected(found: Any, out: TextIO) -> None:
    console = console_on(out)
    for row in found.rows:
        where = f"column '{row.column}': " if row.column else ""
        console.print(f"{UnitRef(found.endpoint_id, row.unit_id)} {moment(row.at)} UTC", style="bold", soft_wrap=True)
        console.print(f"  {where}{row.reason}", style="yellow", soft_wrap=True)
        table = table_of("column", "value")
        table.show_header = False
        for name, value in row.raw.items():
            table.add_row(f"  {name}", cell_text(value))
        console.print(table)
    console.print(f"{len(found.rows)} of {found.total} rows" if found.total else "nothing is in quarantine")
