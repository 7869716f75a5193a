"""The page of the quarantine: rows that did not fit, of every unit; they are shown, ingested again, or deleted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui

from ingest_ray.console.elements import (
    button,
    cell,
    cell_with,
    confirm,
    counted,
    format_count,
    format_time,
    heading,
    link_to,
    note,
    row,
    table,
    text_of,
)
from ingest_ray.console.listing import Column, Listing
from ingest_ray.console.page_context import Action, PageContext, show_message
from ingest_ray.console.units.unit_actions import start_unit
from ingest_ray.quarantine.rejected_rows import QuarantineEntry
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.runs import quarantine
from ingest_ray.service.runs.admission import RunOptions

MOST_ROWS = 20  # of one unit


@dataclass
class RejectedUnit:
    """The quarantine of one unit."""

    ref: UnitRef
    rows: int
    slices: int
    newest: str
    reason: str


async def show_quarantine(context: PageContext) -> None:
    endpoint_id, unit_id = context.query.get("endpoint"), context.query.get("unit")
    if endpoint_id is not None and unit_id is not None:
        await show_rejected_unit(context, UnitRef(endpoint_id, unit_id))
        return
    heading("Quarantine", 1)
    text_of(
        "Rows that did not fit their columns. They are in no sink; the other rows of their slices are.", "p", "soft"
    )
    found = await context.call(quarantine.list_rejected, context.installation)
    units = units_of([entry for entry in found.entries if context.principal.is_for(entry.endpoint_id)] if found else [])
    if not units:
        note("No row is in quarantine.", "empty")
        return
    columns: list[Column[RejectedUnit]] = [
        Column("unit", lambda unit: str(unit.ref)),
        Column("rows", lambda unit: unit.rows, is_number=True),
        Column("slices", lambda unit: unit.slices, is_number=True),
        Column("newest (UTC)", lambda unit: unit.newest),
        Column("first reason"),
    ]
    listing = Listing("Quarantine", "unit", columns, lambda unit: f"{unit.ref} {unit.reason}", _show_unit)
    with ui.element("div").classes("bar"):
        listing.search_field()
    listing.make(units)


def units_of(entries: Sequence[QuarantineEntry]) -> list[RejectedUnit]:
    found: dict[UnitRef, RejectedUnit] = {}
    for entry in entries:
        at = entry.at.isoformat()
        unit = found.setdefault(entry.ref, RejectedUnit(entry.ref, 0, 0, at, entry.first_reason))
        unit.rows, unit.slices, unit.newest = unit.rows + entry.rows, unit.slices + 1, max(unit.newest, at)
    return list(found.values())


def _show_unit(unit: RejectedUnit) -> None:
    with row():
        with cell_with("mono"):
            link_to(str(unit.ref), "/quarantine", endpoint=unit.ref.endpoint_id, unit=unit.ref.unit_id)
        cell(format_count(unit.rows), "number")
        cell(format_count(unit.slices), "number")
        cell(format_time(unit.newest))
        cell(unit.reason)


async def show_rejected_unit(context: PageContext, unit: UnitRef) -> None:
    found = await context.find(
        "unit", unit.endpoint_id, quarantine.list_rejected, context.installation, unit.endpoint_id, unit.unit_id
    )
    if found is None:
        return
    heading(f"Quarantine of {unit}", 1)
    link_to("To the unit", "/unit", endpoint=unit.endpoint_id, unit=unit.unit_id)
    if not found.rows:
        note("No row of this unit is in quarantine.", "empty")
        return
    text_of(f"{counted(found.rows, 'row')} did not fit.", "p")
    with ui.element("div").classes("bar"):
        if context.is_operator:
            button("Replay", lambda: _replay(context, unit, found.rows), str(unit), is_main=True)
        if context.is_admin:
            button("Discard", lambda: _discard(context, unit, found.rows), str(unit))
    with table("Slices", ("run", "slice", "rows", "when (UTC)", "first reason"), ("rows",)):
        for entry in found.entries:
            _show_entry(entry)
    if context.is_admin:
        await _show_rows(context, unit)
    else:
        text_of("The rows themselves are shown to administrators.", "p", "soft")


def _show_entry(entry: QuarantineEntry) -> None:
    with row():
        with cell_with("mono"):
            link_to(entry.run_id, f"/run/{entry.run_id}")
        cell(entry.slice_id, "mono")
        cell(format_count(entry.rows), "number")
        cell(format_time(entry.at))
        cell(entry.first_reason)


async def _show_rows(context: PageContext, unit: UnitRef) -> None:
    action = Action("showQuarantine", unit.endpoint_id, details={"unit": unit.unit_id})
    shown = await context.act(
        action, quarantine.show_rejected, context.installation, unit.endpoint_id, unit.unit_id, MOST_ROWS
    )
    if shown is None:
        return
    heading("Rows" if shown.total <= MOST_ROWS else f"The first {MOST_ROWS} of {format_count(shown.total)} rows")
    with table("Rows", ("column", "reason", "row as it was read")):
        for one in shown.rows:
            with row():
                cell(one.column or "-", "mono")
                cell(one.reason)
                cell(json.dumps(one.raw, ensure_ascii=False), "mono")


async def _replay(context: PageContext, unit: UnitRef, rows: int) -> None:
    consequence = f"{counted(rows, 'row')} are ingested again. Those that still do not fit stay in quarantine."
    if await confirm(f"Replay {unit.unit_id}?", consequence, "Replay now"):
        await start_unit(context, unit, RunOptions(task="replay"))


async def _discard(context: PageContext, unit: UnitRef, rows: int) -> None:
    consequence = f"{counted(rows, 'row')} that are only in quarantine are deleted for good."
    if not await confirm(f"Discard {unit.unit_id}?", consequence, "Delete the rows"):
        return
    action = Action("discardQuarantine", unit.endpoint_id, details={"unit": unit.unit_id})
    done = await context.act(action, quarantine.discard_rejected, context.installation, unit.endpoint_id, unit.unit_id)
    if done is not None:
        show_message(f"{counted(done.rows, 'row')} of {unit.unit_id} are deleted")
        ui.navigate.reload()
