"""Rows in quarantine: what `quarantine list` and `quarantine show` show."""

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console

from ingest_ray.cli.format import format_time
from ingest_ray.cli.tables.layout import cell_text, console_on, table_of, table_without_header
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.runs.quarantine import QuarantineListing, RejectedRows
from ingest_ray.service.units.policies.replay import NoReplay


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
    _show_no_replay(console, listed.not_replayable)


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
    _show_no_replay(console, rejected.not_replayable)


def _show_no_replay(console: Console, units: Sequence[NoReplay]) -> None:
    for unit in units:
        console.print(f"{unit.ref} cannot be replayed, because {unit.reason}", style="yellow", soft_wrap=True)
        console.print(f"  hint: {unit.hint}", soft_wrap=True)
