"""Findings and what was swept: what `doctor` and `sweep` show."""

from typing import TextIO

from rich.text import Text

from ingest_ray.cli.format import format_bytes
from ingest_ray.cli.tables.layout import console_on, table_of
from ingest_ray.service.upkeep.doctor import Diagnosis
from ingest_ray.service.upkeep.retention import SweepReport

_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


def show_diagnosis(diagnosis: Diagnosis, out: TextIO) -> None:
    console = console_on(out)
    for finding in diagnosis.findings:
        status = Text(f"{finding.status:8}", style=_STYLES[finding.status])
        console.print(status + Text(f"{finding.check}: {finding.message}"), soft_wrap=True)
        if finding.hint:
            console.print(f"          hint: {finding.hint}", soft_wrap=True)


def show_swept(report: SweepReport, out: TextIO) -> None:
    console = console_on(out)
    table = table_of("what", "would be deleted" if report.is_dry_run else "deleted", right=("deleted",))
    for name, count in report.model_dump(exclude={"is_dry_run", "staged_bytes"}).items():
        table.add_row(name.replace("_", " "), str(count))
    if not report.is_dry_run:
        table.add_row("staged pages of dead runs", format_bytes(report.staged_bytes))
    console.print(table)
