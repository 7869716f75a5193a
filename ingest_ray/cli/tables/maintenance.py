"""What `compact` and `vacuum` show."""

from typing import Any, TextIO

from ingest_ray.cli.format import size
from ingest_ray.cli.tables.layout import console_on, table_of


def show_care(done: Any, out: TextIO) -> None:
    console = console_on(out)
    table = table_of("unit", "files added", "files removed", "bytes freed", right=("files added", "files removed"))
    for one in done:
        report = one.report
        freed = size(max(0, report.bytes_removed - report.bytes_added))
        name = str(one.ref) + (" (would be)" if report.is_rehearsal else "")
        table.add_row(name, str(report.files_added), str(report.files_removed), freed)
    console.print(table)
