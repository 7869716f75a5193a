"""The result of `test`."""

from typing import TextIO

from ingest_ray.cli.tables.layout import console_on
from ingest_ray.service.endpoints.connection_test import TestedEndpoint


def show_connection(tested: TestedEndpoint, out: TextIO) -> None:
    console = console_on(out)
    console.print(f"{tested.endpoint_id}: can be used{f', {tested.version}' if tested.version else ''}", soft_wrap=True)
    for item in tested.diagnostics:
        style = "yellow" if item.level == "warning" else None
        prefix = f"{item.level}: " if item.level != "info" else ""
        console.print(f"  {prefix}{item.message}", style=style, soft_wrap=True)
        if item.hint:
            console.print(f"  hint: {item.hint}", soft_wrap=True)
