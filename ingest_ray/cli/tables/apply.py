"""The result of `apply`."""

from typing import TextIO

from rich.text import Text

from ingest_ray.cli.tables.layout import console_on, show_unfit
from ingest_ray.logs import escape_controls
from ingest_ray.service.endpoints.apply import ApplyResult

_STYLES = {"+": "green", "~": "yellow", "-": "red"}


def show_changes(applied: ApplyResult, out: TextIO) -> None:
    console = console_on(out)
    for change in applied.changes:
        fields = f" ({', '.join(change.fields)})" if change.fields else ""
        console.print(
            Text(escape_controls(f"{change.action} {change.kind} {change.id}{fields}"), style=_STYLES[change.action]),
            soft_wrap=True,
        )
    count = len(applied.changes)
    summary = "nothing changed" if not count else f"{count} change{'s' if count > 1 else ''}"
    console.print(f"{summary}{', none made (dry run)' if applied.is_dry_run and count else ''}")
    for moved in applied.displaced:
        text = f"unit {moved.ref}: sink {moved.sink_id} is at {moved.location}, and it was loaded at {moved.loaded}"
        console.print(Text(escape_controls(text), style="yellow"), soft_wrap=True)
    for warning in applied.warnings:
        console.print(Text(escape_controls(warning), style="yellow"), soft_wrap=True)
    for unit in applied.set_by_hand:
        text = f"unit {unit} was saved in the console or through the service: the file does not apply to it"
        console.print(Text(escape_controls(text), style="yellow"), soft_wrap=True)
    if applied.set_by_hand:
        console.print("hint: ingest-ray apply --take-back applies the file to them again")
    show_unfit(console, applied.unfit)
