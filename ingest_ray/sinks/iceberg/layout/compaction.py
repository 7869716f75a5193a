"""Compacts the small files of an Iceberg table by partition, with rows in the order of `cluster_by`.

Each commit takes a bounded part of the work, and names the snapshot that it read: one that another commit came before is refused as a
whole.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from pyiceberg.table import FileScanTask, Table

from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.errors import Fenced, IngestError
from ingest_ray.sdk.types import Layout, Target
from ingest_ray.sinks.iceberg.catalog import TableCatalog
from ingest_ray.sinks.iceberg.commits import LedgerEntry, TableChange, apply_change, ledger_entry, reload
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.errors import translate_error
from ingest_ray.sinks.iceberg.field_ids import arrow_schema
from ingest_ray.sinks.iceberg.layout.partition_values import partition_of
from ingest_ray.sinks.iceberg.manifests import list_files
from ingest_ray.sinks.iceberg.rewrites import write_rows
from ingest_ray.sinks.iceberg.table_reads import read_file
from ingest_ray.sinks.layout.ordering import sorted_rows
from ingest_ray.sinks.maintenance import MaintenanceReport

log = logging.getLogger(__name__)

COMMIT_BYTES = 1024 * 1024 * 1024  # what one commit reads: more is the work of the next one
SMALL = (
    4  # without a layout: a file is small below a quarter of the usual size, because a copy costs more than it saves
)


def compact_once(
    table: Table, target: Target, location: str, entry: LedgerEntry | None = None
) -> MaintenanceReport | None:
    """One commit, whose rows are those of the one before it; None where there is nothing to do. `entry`: of a run, which owns the table."""
    small = _next_files(table, target)
    if not small:
        return None
    clustered = target.layout.cluster_by if target.layout is not None else ()
    rows = (batch for task in small for batch in read_file(table, task))
    ordered = sorted_rows(rows, arrow_schema(table.schema()), clustered)
    added = write_rows(table, TableFiles.of(table), ordered, target)
    removed = [task.file for task in small]
    reached("compact:before-commit")
    apply_change(table, target if entry is not None else None, entry, TableChange(added, removed))
    return MaintenanceReport(
        location=location,
        files_added=len(added),
        files_removed=len(removed),
        bytes_added=sum(file.file_size_in_bytes for file in added),
        bytes_removed=sum(file.file_size_in_bytes for file in removed),
    )


def compact_if_due(catalog: TableCatalog, table: Table, target: Target, epoch: int) -> None:
    """Before the first commit of a run, under its epoch; a failure is logged only, and the next run tries it again."""
    layout = target.layout
    if layout is None or not layout.compact_after:
        return
    if max(map(len, _small_files(table, target).values()), default=0) <= layout.compact_after:
        return
    name = ".".join(table.name())
    known = ledger_entry(table, target)
    entry = replace(known, epoch=epoch)
    try:
        compact_once(table, target, name, entry)
    except Exception as error:
        found = error if isinstance(error, IngestError) else translate_error(name, error)
        if isinstance(found, Fenced):
            raise
        log.warning("the small files of '%s' were not compacted: %s", name, found)
        reload(catalog, table, target, epoch)  # refuses where the reason is a newer epoch


def _small_files(table: Table, target: Target) -> dict[tuple[object, ...], list[FileScanTask]]:
    """By partition: those that are worth a copy."""
    layout = target.layout
    most = (layout.target_file_bytes // 2) if layout is not None else Layout().target_file_bytes // SMALL
    found: dict[tuple[object, ...], list[FileScanTask]] = defaultdict(list)
    for task in list_files(table):
        if task.delete_files or task.file.file_size_in_bytes < most:
            found[(task.file.spec_id, *map(repr, partition_of(task.file)))].append(task)
    return found


def _next_files(table: Table, target: Target) -> Sequence[FileScanTask]:
    """Files of which each partition gets fewer; at most `COMMIT_BYTES`, and at least one partition."""
    chosen: list[FileScanTask] = []
    size = 0
    for group in sorted(_small_files(table, target).values(), key=len, reverse=True):
        taken: list[FileScanTask] = []
        for task in group:
            if size + task.file.file_size_in_bytes > COMMIT_BYTES and (chosen or len(taken) > 1):
                break
            taken.append(task)
            size += task.file.file_size_in_bytes
        if len(taken) > 1 or any(task.delete_files for task in taken):
            chosen += taken
        if size >= COMMIT_BYTES:
            break
    return chosen
