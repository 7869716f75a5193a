"""Compacts, vacuums and lays out a table of plain Parquet files."""

import logging
import time

from ingest_ray.sdk.errors import ConfigError, Fenced, IngestError, SinkRejected, SinkUnavailable
from ingest_ray.sdk.types import Layout, Target
from ingest_ray.sinks.maintenance import MaintenanceReport
from ingest_ray.sinks.parquet_tables.manifest import DATA, MANIFESTS, Manifest, manifest_name, next_manifest
from ingest_ray.sinks.parquet_tables.rewrites import compacted_files
from ingest_ray.sinks.parquet_tables.table_folder import TableFolder
from ingest_ray.sinks.parquet_tables.versions import TRIES, make_version, read_newest, translate_errors

log = logging.getLogger(__name__)

LEAST_KEEP_H = 24  # files that a run has prepared are in no version yet


def compact(folder: TableFolder, target: Target) -> MaintenanceReport:
    """Until nothing is to be done; each commit begins again where another process made a version first."""
    layout = target.layout or Layout()
    total, failures = MaintenanceReport(location=folder.uri), 0
    while failures < TRIES:
        done = _compact_once(folder, _newest(folder), layout, 2)
        if done is None:
            return total
        failures += not done.files_removed
        counts = ("files_added", "files_removed", "bytes_added", "bytes_removed")
        total = total.model_copy(update={name: getattr(total, name) + getattr(done, name) for name in counts})
    raise SinkUnavailable(f"table '{folder.uri}' was changed by other commits all the time")


def compact_if_due(folder: TableFolder, target: Target, manifest: Manifest) -> None:
    """Before the first commit of a run, under its epoch, which the manifest has; a failure is logged only."""
    layout = target.layout
    if layout is None or not layout.compact_after:
        return
    try:
        with translate_errors(folder.uri):
            _compact_once(folder, manifest, layout, layout.compact_after + 1)
    except Fenced:
        raise
    except IngestError as error:
        log.warning("the small files of '%s' were not compacted: %s", folder.uri, error)


def _compact_once(folder: TableFolder, manifest: Manifest, layout: Layout, least: int) -> MaintenanceReport | None:
    """None where nothing is to be done. Where another process was first, what was written is deleted, and nothing counts."""
    found = compacted_files(folder, manifest, layout, least)
    if found is None:
        return None
    removed, added = found
    gone = {file.path for file in removed}
    kept = [file for file in manifest.files if file.path not in gone]
    if not make_version(folder, next_manifest(manifest, files=[*kept, *added])):
        folder.delete_all([file.path for file in added])
        return MaintenanceReport(location=folder.uri)
    return MaintenanceReport(
        location=folder.uri,
        files_added=len(added),
        files_removed=len(removed),
        bytes_added=sum(file.bytes for file in added),
        bytes_removed=sum(file.bytes for file in removed),
    )


def vacuum(folder: TableFolder, keep_h: int, rehearse: bool) -> MaintenanceReport:
    """Deletes older manifests, and data files that no remaining one names and that were written before."""
    if keep_h < LEAST_KEEP_H:
        raise ConfigError(f"vacuum must keep at least {LEAST_KEEP_H} hours: a run that is going on may need its files")
    before = time.time() - keep_h * 3600
    newest = _newest(folder)
    manifests = folder.list_times(MANIFESTS)
    named = {file.path for file in newest.files}
    old = []
    for name, written in manifests.items():
        if name == manifest_name(newest.version):
            continue
        if written < before:
            old.append(name)
        elif name.endswith(".json"):
            named |= {file.path for file in Manifest.model_validate_json(folder.conditional.read(name)).files}
    old += [name for name, written in folder.list_times(DATA).items() if written < before and name not in named]
    old += [name for name, written in folder.list_times("_prepared").items() if written < before]
    if not rehearse:
        folder.delete_all(old)
    return MaintenanceReport(location=folder.uri, files_removed=len(old), is_rehearsal=rehearse)


def _newest(folder: TableFolder) -> Manifest:
    found = read_newest(folder)
    if found is None:
        raise SinkRejected(f"there is no table at '{folder.uri}'")
    return found
