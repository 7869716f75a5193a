"""Incidents, test messages and dead letters: what `alert` shows."""

from collections.abc import Mapping, Sequence
from typing import TextIO

from ingest_ray.cli.format import format_time
from ingest_ray.cli.tables.layout import cell_text, console_on, table_of
from ingest_ray.service.monitoring.delivery import AlertState, Delivered


def show_delivered(delivered: Sequence[Delivered], out: TextIO) -> None:
    table = table_of("receiver", "form", "result")
    for each in delivered:
        table.add_row(each.receiver, each.form, each.error or "taken")
    console_on(out).print(table)


def show_incidents(state: AlertState, out: TextIO) -> None:
    console = console_on(out)
    table = table_of("condition", "about", "code", "since (UTC)", "over (UTC)")
    for found in state.incidents:
        about = f"{found.endpoint_id}:{found.subject}" if found.endpoint_id else found.subject
        table.add_row(
            found.condition, about, found.code or "-", format_time(found.opened_at), format_time(found.closed_at)
        )
    console.print(table if state.incidents else "no open incident")
    if state.waiting or state.dead:
        console.print(f"messages: {state.waiting} wait, {state.dead} are dead letters (ingest-ray alert dead)")


def show_dead(letters: Sequence[Mapping[str, object]], out: TextIO) -> None:
    console = console_on(out)
    if not letters:
        console.print("no dead letter")
        return
    table = table_of("message", "receiver", "attempts", "error", right=("attempts",))
    for letter in letters:
        table.add_row(*(cell_text(letter[name]) for name in ("message", "receiver", "attempts", "last_error")))
    console.print(table)
