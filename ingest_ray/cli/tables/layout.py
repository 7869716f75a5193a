"""The parts that tables share: a console, cells, errors."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest_ray.logs import escape_controls
from ingest_ray.sdk.types import RunFault

if TYPE_CHECKING:
    from ingest_ray.service.units.policies.unfit_units import UnfitUnit

_STYLES = {"SUCCEEDED": "green", "FAILED": "red", "RUNNING": "cyan", "PAUSED": "yellow"}


UNBOUNDED_COLUMNS = 100_000  # a file or a pipe has no width: one row of a table is one line there, for grep and awk


def console_on(out: TextIO) -> Console:
    """Wraps at the width of a terminal (or of `COLUMNS`), and nowhere else."""
    is_bounded = out.isatty() or os.environ.get("COLUMNS", "").isdigit()
    width = None if is_bounded else UNBOUNDED_COLUMNS
    return _SafeConsole(
        file=out,
        width=width,
        highlight=False,
        emoji=False,
        markup=False,
        soft_wrap=not is_bounded,
        force_jupyter=False,  # in a kernel it would show the text by itself, and write nothing to `out`
    )


class _SafeConsole(Console):
    """Shows control characters as escapes: names and values of a source must not command the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(escape_controls(text, keep="\n\t"), **options)


def table_of(*columns: str, right: tuple[str, ...] = (), narrow: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=name in narrow)
    return table


def table_without_header() -> Table:
    """Two columns: a name and a value."""
    table = table_of("name", "value")
    table.show_header = False
    return table


def state_text(state: str) -> Text:
    return Text(state, style=_STYLES.get(state, ""))


def show_fault(console: Console, fault: RunFault | None) -> None:
    if fault is None:
        return
    console.print(f"  error: {fault.message} [{fault.code}]", style="red")
    if fault.hint:
        console.print(f"  hint: {fault.hint}")


def show_unfit(console: Console, unfit: Sequence["UnfitUnit"]) -> None:
    """The units that a run would refuse."""
    for unit in unfit:
        console.print(f"unit {unit.ref} cannot run: {unit.message} [{unit.code}]", style="yellow", soft_wrap=True)
        if unit.hint:
            console.print(f"  hint: {unit.hint}", soft_wrap=True)
    if unfit:
        console.print(f"{len(unfit)} of the enabled units cannot run as configured; the others can")


def position_text(value: object) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def estimate_text(value: float | None, format_: Callable[[float], str]) -> str:
    return "?" if value is None else format_(value)


def cell_text(value: object) -> str:
    return "NULL" if value is None else escape_controls(str(value))
