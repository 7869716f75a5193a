"""The report of `verify`."""

from typing import TextIO

from rich.console import Console
from rich.text import Text

from ingest_ray.cli.tables.layout import console_on, show_fault, state_text, table_without_header
from ingest_ray.engine.reports import VerifyReport
from ingest_ray.service.runs.verification import Verification

KINDS = {
    "missing": "only at the source",
    "surplus": "only in the sink",
    "different": "with other values in the sink",
    "doubled": "more than once in the sink",
}


def show_verification(found: Verification, out: TextIO) -> None:
    console = console_on(out)
    for report in found.units:
        show_comparison(console, report)
    if not found.units:
        console.print("nothing was compared")


def show_comparison(console: Console, report: VerifyReport) -> None:
    head = Text(f"{report.ref} ", style="bold")
    console.print(head + state_text(report.state.value) + f" ({report.compared} compared)", soft_wrap=True)
    table = table_without_header()
    if report.state != "PAUSED" and (report.error is None or report.differences):
        table.add_row("  rows", f"{report.rows_at_source} at the source, {report.rows_in_sink} in the sink")
        for kind, meaning in KINDS.items():
            count = getattr(report, kind)
            if count:
                table.add_row(f"  {kind}", f"{count} {meaning}")
                table.add_row("", _keys_text(getattr(report, f"{kind}_keys"), count))
        if not report.differences:
            table.add_row("  result", "equal")
        if report.newer:
            table.add_row("  newer", f"{report.newer} differ and belong to a later run")
        if report.repaired is not None:
            table.add_row("  repaired", f"{report.repaired} rows committed, {report.erased or 0} erased")
            table.add_row("  remaining", f"{report.remaining} keys differ")
        if report.not_compared:
            table.add_row("  not compared", ", ".join(report.not_compared))
        for note in report.notes:
            table.add_row("  note", note)
    table.add_row("  time", f"{report.seconds:.1f} s")
    console.print(table)
    show_fault(console, report.error)
    if report.state == "PAUSED":
        console.print(f"  to go on: ingest-ray verify {report.endpoint_id} {report.unit_id}", soft_wrap=True)


def _keys_text(keys: tuple[dict[str, object], ...], count: int) -> str:
    """One line of keys: the values of a key of several columns are separated by slashes."""
    texts = ["/".join("NULL" if value is None else str(value) for value in key.values()) for key in keys]
    return ", ".join([*texts, "..."] if count > len(texts) else texts)
