"""What tables are made of: a console, cells, faults."""

from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest_ray.sdk.types import RunFault

_STYLES = {"SUCCEEDED": "green", "FAILED": "red", "RUNNING": "cyan", "PAUSED": "yellow"}


def console_on(out: TextIO) -> Console:
    return Console(file=out, highlight=False, emoji=False, markup=False, soft_wrap=False)


def table_of(*columns: str, right: tuple[str, ...] = (), narrow: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=name in narrow)
    return table


def state_text(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def show_fault(console: Console, fault: RunFault | None) -> None:
    if fault is None:
        return
    console.print(f"  error: {fault.message} [{fault.code}]", style="red")
    if fault.hint:
        console.print(f"  hint: {fault.hint}")


def position_text(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def maybe(value: float | None, words: Any) -> str:
    return "?" if value is None else words(value)


def cell_text(value: Any) -> str:
    return "NULL" if value is None else str(value)
