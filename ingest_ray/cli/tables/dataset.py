"""A dataset and the history of its schema: what `datasets show` shows."""

from collections.abc import Sequence
from typing import TextIO

from ingest_ray.cli.format import format_count, format_time
from ingest_ray.cli.tables.layout import console_on, table_of
from ingest_ray.service.endpoints.datasets import DatasetView
from ingest_ray.service.units.dataset_history import DatasetHistory


def show_datasets(listed: Sequence[DatasetView], out: TextIO) -> None:
    table = table_of("dataset", "kind", "columns", "key", "rows", "schema", right=("columns", "rows"))
    for each in listed:
        rows = "-" if each.estimated_rows is None else f"~{format_count(each.estimated_rows)}"
        key = ", ".join(each.primary_key) or "-"
        table.add_row(each.name, each.kind, str(each.columns), key, rows, f"version {each.version}")
    console = console_on(out)
    console.print(table)
    console.print(f"{len(listed)} datasets")


def show_dataset(history: DatasetHistory, out: TextIO) -> None:
    console, dataset = console_on(out), history.dataset
    console.print(f"{dataset.dataset_id} ({dataset.kind})", style="bold", soft_wrap=True)
    columns = table_of("column", "source type", "staged as", "null", "fidelity")
    for column in dataset.columns:
        name = column.name + (" (key)" if column.name in dataset.primary_key else "")
        columns.add_row(
            name, column.source_type, column.arrow, "yes" if column.nullable else "no", str(column.fidelity)
        )
    console.print(columns)
    console.print()
    versions = table_of("version", "from (UTC)", "last seen (UTC)", "changes")
    for version in history.versions:
        changes = list(version.changes) or (["first seen"] if version.version == 1 else [])
        if version.gone_at:
            changes.append(f"gone since {format_time(version.gone_at)}")
        first_seen, last_seen = format_time(version.first_seen_at), format_time(version.last_seen_at)
        versions.add_row(str(version.version), first_seen, last_seen, "\n".join(changes))
    console.print(versions)
