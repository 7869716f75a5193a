"""What `endpoints` and `validate` show."""

from collections.abc import Sequence
from typing import TextIO

from ingest_ray.cli.format import format_time
from ingest_ray.cli.tables.layout import console_on, show_unfit, table_of
from ingest_ray.service.endpoints.overview import EndpointOverview
from ingest_ray.service.endpoints.validate import ValidationResult


def show_endpoints(listed: Sequence[EndpointOverview], out: TextIO) -> None:
    console = console_on(out)
    if not listed:
        console.print("no source is registered: ingest-ray apply, or ingest-ray copy")
        return
    numbers = ("units", "enabled", "running", "failed")
    table = table_of("endpoint", "template", "collected (UTC)", *numbers, right=numbers)
    for each in listed:
        counts = (str(getattr(each, name)) for name in numbers)
        table.add_row(each.endpoint_id, each.template, format_time(each.collected_at), *counts)
    console.print(table)


def show_validation(result: ValidationResult, out: TextIO) -> None:
    console = console_on(out)
    for fault in result.faults:
        console.print(fault, style="red", soft_wrap=True)
    for warning in result.warnings:
        console.print(warning, style="yellow", soft_wrap=True)
    for note in result.notes:
        console.print(f"note: {note}", soft_wrap=True)
    show_unfit(console, result.unfit)
    if result.uncollected:
        names = ", ".join(result.uncollected)
        console.print(f"not collected yet, so their units are not checked: {names}", style="yellow", soft_wrap=True)
    if not result.faults and not result.unfit:
        console.print(f"{result.file} is valid", soft_wrap=True)
