"""Compacts and vacuums one Delta table."""

import json

from deltalake import DeltaTable

from ingest_ray.sdk.errors import ConfigError, SinkRejected
from ingest_ray.sinks.delta.errors import translated
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log import load
from ingest_ray.sinks.maintenance import CareReport
from ingest_ray.sinks.parquet import FILE_BYTES

LEAST_KEEP_H = 24  # rows that a run has prepared are files that no version has yet


def compact(files: TableFiles) -> CareReport:
    table = _table(files)
    with translated(files.uri):
        metrics = table.optimize.compact(target_size=FILE_BYTES)
    return CareReport(
        location=files.uri,
        files_added=int(metrics["numFilesAdded"]),
        files_removed=int(metrics["numFilesRemoved"]),
        bytes_added=_bytes(metrics["filesAdded"]),
        bytes_removed=_bytes(metrics["filesRemoved"]),
    )


def vacuum(files: TableFiles, keep_h: int, rehearse: bool) -> CareReport:
    if keep_h < LEAST_KEEP_H:
        raise ConfigError(f"vacuum must keep at least {LEAST_KEEP_H} hours: a run that is going on may need its files")
    table = _table(files)
    with translated(files.uri):
        # full: also files that the log never named, which dead runs prepared.
        removed = table.vacuum(keep_h, dry_run=rehearse, enforce_retention_duration=False, full=True)
    return CareReport(location=files.uri, files_removed=len(removed), is_rehearsal=rehearse)


def _table(files: TableFiles) -> DeltaTable:
    table = load(files)
    if table is None:
        raise SinkRejected(f"there is no table at '{files.uri}'")
    return table


def _bytes(metrics: object) -> int:
    """The library has given the totals as an object and as JSON text."""
    found = json.loads(metrics) if isinstance(metrics, str) else metrics
    return int(found.get("totalSize") or 0) if isinstance(found, dict) else 0
