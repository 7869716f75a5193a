"""The units of an endpoint: what `units` shows."""

from typing import TextIO

from rich.text import Text

from ingest_ray.cli.format import format_count, format_time
from ingest_ray.cli.tables.layout import console_on, show_fault, table_of
from ingest_ray.service.units.listing import EndpointUnits, UnitView


def show_units(listed: EndpointUnits, out: TextIO) -> None:
    console = console_on(out)
    if not listed.is_collected:
        console.print(f"{listed.endpoint_id} has no metadata yet: ingest-ray collect {listed.endpoint_id}")
        return
    table = table_of(
        "unit", "kind", "enabled", "mode", "key", "rows", "sink", right=("rows",), narrow=("enabled", "mode", "rows")
    )
    for unit in listed.units:
        table.add_row(
            unit.unit_id,
            unit.kind,
            _enabled_text(unit),
            unit.effective_run_mode or unit.run_mode,
            ", ".join(unit.primary_key) or "-",
            "-" if unit.estimated_rows is None else f"~{format_count(unit.estimated_rows)}",
            unit.sink_id or "-",
        )
    console.print(table)
    for unit in listed.units:
        if unit.effective_run_mode not in (None, unit.run_mode):
            console.print(f"{unit.unit_id} is configured {unit.run_mode}: {unit.choice}", soft_wrap=True)
    for unit in listed.units:
        if unit.fault is not None:
            console.print(f"{unit.unit_id} cannot run:", soft_wrap=True)
            show_fault(console, unit.fault)
    enabled = sum(unit.enabled for unit in listed.units)
    console.print(f"{len(listed.units)} units, {enabled} enabled; collected {format_time(listed.collected_at)} UTC")


def _enabled_text(unit: UnitView) -> Text:
    if unit.fault is not None:
        return Text("unfit", style="red")
    return Text("yes", style="green") if unit.enabled else Text("no")
