"""Deletes what a lost run staged in an Iceberg table and no snapshot names.

A file that a snapshot names stays, also when the newest one does not name it any more: readers of older snapshots need it, until
`vacuum` expires them.
"""

from collections.abc import Sequence

from pyarrow import fs
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from ingest_ray.sinks.iceberg.commits import RUN_ID
from ingest_ray.sinks.iceberg.file_io import arrow_io, file_system_of
from ingest_ray.sinks.iceberg.manifests import live_entries
from ingest_ray.sinks.parquet import run_prefix


def sweep_staged(table: Table, run_id: str) -> int:
    """The table belongs to a newer epoch than the run's."""
    io = arrow_io(table)
    system, folder = file_system_of(io, f"{table.location()}/data")
    prefix = run_prefix(run_id)
    found = system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    left = {info.path for info in found if info.type == fs.FileType.File and info.base_name.startswith(prefix)}
    seen: set[str] = set()
    for snapshot in _snapshots_since(table, run_id):
        if not left:
            break
        new = [one for one in snapshot.manifests(io) if one.manifest_path not in seen]
        seen |= {manifest.manifest_path for manifest in new}
        named = (entry.data_file.file_path for manifest in new for entry in live_entries(io, manifest))
        left -= {file_system_of(io, path)[1] for path in named if prefix in path}
    for path in left:
        system.delete_file(path)
    return len(left)


def _snapshots_since(table: Table, run_id: str) -> Sequence[Snapshot]:
    """From the run's first snapshot on, the newest first: others, such as a compaction, may lie between its own. All where these are expired."""
    found = sorted(table.metadata.snapshots, key=lambda one: one.sequence_number or 0, reverse=True)
    own = [number for number, one in enumerate(found) if _run_of(one) == run_id]
    return found[: max(own) + 1] if own else found


def _run_of(snapshot: Snapshot) -> str | None:
    return snapshot.summary.additional_properties.get(RUN_ID) if snapshot.summary is not None else None
