"""The results of `compact` and `vacuum`."""

from collections.abc import Sequence
from typing import TextIO

from ingest_ray.cli.format import format_bytes
from ingest_ray.cli.tables.layout import console_on, table_of
from ingest_ray.service.units.table_maintenance import MaintenanceResult


def show_maintained(maintained: Sequence[MaintenanceResult], out: TextIO) -> None:
    table = table_of("unit", "files added", "files removed", "bytes freed", right=("files added", "files removed"))
    for entry in maintained:
        report = entry.report
        freed = format_bytes(max(0, report.bytes_removed - report.bytes_added))
        name = str(entry.ref) + (" (would be)" if report.is_rehearsal else "")
        table.add_row(name, str(report.files_added), str(report.files_removed), freed)
    console_on(out).print(table)
