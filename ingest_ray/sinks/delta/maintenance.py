"""Compacts and vacuums one Delta table."""

import json

from deltalake import DeltaTable

from ingest_ray.sdk.errors import ConfigError, SinkRejected
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.delta.errors import translate_errors
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.layout.compaction import can_compact, compact_table, compaction_properties
from ingest_ray.sinks.delta.log.snapshot import load_table
from ingest_ray.sinks.delta.statistics import writer_properties
from ingest_ray.sinks.delta.table_features import refuse_unsupported_features
from ingest_ray.sinks.delta.table_schema import table_schema
from ingest_ray.sinks.maintenance import MaintenanceReport
from ingest_ray.sinks.parquet import FILE_BYTES

LEAST_KEEP_H = 24  # files that a run has prepared are in no version yet


def compact(files: TableFiles, target: Target | None = None) -> MaintenanceReport:
    table = _table(files)
    if target is not None and target.layout is not None and can_compact(table):
        with translate_errors(files.uri):
            return compact_table(files, target.layout, compaction_properties)
    with translate_errors(files.uri):
        properties = writer_properties(table, table_schema(table))
        metrics = table.optimize.compact(target_size=FILE_BYTES, writer_properties=properties)
    return MaintenanceReport(
        location=files.uri,
        files_added=int(metrics["numFilesAdded"]),
        files_removed=int(metrics["numFilesRemoved"]),
        bytes_added=_bytes(metrics["filesAdded"]),
        bytes_removed=_bytes(metrics["filesRemoved"]),
    )


def vacuum(files: TableFiles, keep_h: int, rehearse: bool) -> MaintenanceReport:
    if keep_h < LEAST_KEEP_H:
        raise ConfigError(f"vacuum must keep at least {LEAST_KEEP_H} hours: a run that is going on may need its files")
    table = _table(files)
    with translate_errors(files.uri):
        # full: also the files that dead runs prepared, which the log never named.
        removed = table.vacuum(keep_h, dry_run=rehearse, enforce_retention_duration=False, full=True)
    return MaintenanceReport(location=files.uri, files_removed=len(removed), is_rehearsal=rehearse)


def _table(files: TableFiles) -> DeltaTable:
    table = load_table(files)
    if table is None:
        raise SinkRejected(f"there is no table at '{files.uri}'")
    refuse_unsupported_features(table)
    return table


def _bytes(metrics: object) -> int:
    """The library returns the totals as an object or as JSON text, depending on its version."""
    totals = json.loads(metrics) if isinstance(metrics, str) else metrics
    return int(totals.get("totalSize") or 0) if isinstance(totals, dict) else 0
