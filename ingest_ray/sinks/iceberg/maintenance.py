"""Compacts an Iceberg table, expires its snapshots, and removes the files that no snapshot names.

The numbers of commits stay: they are a property of the table, and the newest snapshot is never expired.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from pyarrow import fs
from pyiceberg.table import Table

from ingest_ray.sdk.errors import ConfigError, SinkRejected
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.iceberg.catalog import Identifier, TableCatalog
from ingest_ray.sinks.iceberg.errors import translate_errors
from ingest_ray.sinks.iceberg.file_io import arrow_io, file_system_of
from ingest_ray.sinks.iceberg.layout.compaction import compact_once
from ingest_ray.sinks.iceberg.manifests import list_files, live_entries
from ingest_ray.sinks.maintenance import MaintenanceReport

LEAST_KEEP_H = 24  # files that a run has prepared are in no snapshot yet


def compact(catalog: TableCatalog, name: Identifier, target: Target, location: str) -> MaintenanceReport:
    total = MaintenanceReport(location=location)
    files_before: int | None = None
    with translate_errors(".".join(name)):
        while True:
            table = _table(catalog, name)
            files = len(list_files(table))
            if files_before is not None and files >= files_before:
                return total  # what is left cannot be fewer files
            files_before = files
            done = compact_once(table, target, location)
            if done is None:
                return total
            counts = ("files_added", "files_removed", "bytes_added", "bytes_removed")
            total = total.model_copy(update={one: getattr(total, one) + getattr(done, one) for one in counts})


def vacuum(catalog: TableCatalog, name: Identifier, location: str, keep_h: int, rehearse: bool) -> MaintenanceReport:
    """Expires snapshots older than `keep_h`, and deletes older files that no remaining snapshot names."""
    if keep_h < LEAST_KEEP_H:
        raise ConfigError(f"vacuum must keep at least {LEAST_KEEP_H} hours: a run that is going on may need its files")
    with translate_errors(".".join(name)):
        table = _table(catalog, name)
        before = now() - timedelta(hours=keep_h)
        kept = _kept_snapshots(table, before)
        if not rehearse and len(kept) < len(table.metadata.snapshots):
            table.maintenance.expire_snapshots().older_than(before.replace(tzinfo=None)).commit()
            table = _table(catalog, name)
            kept = {snapshot.snapshot_id for snapshot in table.metadata.snapshots}
        named = set(_named_files(table, kept))
        old = [info for info in _old_files(table, before.timestamp()) if info.path not in named]
        system, _ = file_system_of(arrow_io(table), table.location())
        for info in old if not rehearse else []:
            system.delete_file(info.path)
    return MaintenanceReport(
        location=location,
        files_removed=len(old),
        bytes_removed=sum(int(info.size or 0) for info in old),
        is_rehearsal=rehearse,
    )


def now() -> datetime:
    return datetime.now(UTC)


def _kept_snapshots(table: Table, before: datetime) -> set[int]:
    referred = {reference.snapshot_id for reference in table.metadata.refs.values()}
    recent = {one.snapshot_id for one in table.metadata.snapshots if one.timestamp_ms >= before.timestamp() * 1000}
    return referred | recent


def _named_files(table: Table, kept: Iterable[int]) -> Iterator[str]:
    """The paths, as the file system has them, of every file that the table's metadata or a kept snapshot names."""
    io = arrow_io(table)
    yield file_system_of(io, table.metadata_location)[1]
    for entry in table.metadata.metadata_log:
        yield file_system_of(io, entry.metadata_file)[1]
    seen: set[str] = set()
    for number in kept:
        snapshot = table.snapshot_by_id(number)
        if snapshot is None:
            continue
        yield file_system_of(io, snapshot.manifest_list)[1]
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield file_system_of(io, manifest.manifest_path)[1]
            for one in live_entries(table.io, manifest):
                yield file_system_of(io, one.data_file.file_path)[1]


def _old_files(table: Table, changed_before: float) -> list[fs.FileInfo]:
    system, root = file_system_of(arrow_io(table), table.location())
    found: list[fs.FileInfo] = []
    for folder in ("data", "metadata"):
        selector = fs.FileSelector(f"{root}/{folder}", allow_not_found=True, recursive=True)
        infos = system.get_file_info(selector)
        found += [info for info in infos if info.type == fs.FileType.File and _changed_at(info) < changed_before]
    return found


def _changed_at(info: fs.FileInfo) -> float:
    return info.mtime_ns / 1e9 if info.mtime_ns else now().timestamp()


def _table(catalog: TableCatalog, name: Identifier) -> Table:
    table = catalog.load(name)
    if table is None:
        raise SinkRejected(f"there is no table '{'.'.join(name)}'")
    return table
