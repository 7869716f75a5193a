"""A few rows of a unit: what `preview` shows."""

from typing import TextIO

from ingest_ray.cli.tables.layout import cell_text, console_on, table_of
from ingest_ray.service.units.preview import PreviewRows

MOST_COLUMNS = 6  # of a table with one line for each row


def show_rows(preview: PreviewRows, out: TextIO) -> None:
    console = console_on(out)
    if len(preview.columns) <= MOST_COLUMNS:
        table = table_of(*preview.columns)
        for row in preview.rows:
            table.add_row(*(cell_text(row[name]) for name in preview.columns))
        console.print(table)
    else:  # a wide row is read from top to bottom
        for n, row in enumerate(preview.rows, start=1):
            table = table_of(f"row {n}", "")
            for name in preview.columns:
                table.add_row(name, cell_text(row[name]))
            console.print(table)
    console.print(f"{len(preview.rows)} rows")
