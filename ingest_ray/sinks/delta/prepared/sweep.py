"""Deletes what a lost run staged in a Delta table and no commit named.

A file that was named once stays, also when no row of it is in the table any more: readers of older versions need it, until `vacuum`
takes it. The log keeps such files as removed ones (https://github.com/delta-io/delta/blob/master/PROTOCOL.md#add-file-and-remove-file).
"""

from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.snapshot import newest_table
from ingest_ray.sinks.parquet import run_prefix


def sweep_staged(files: TableFiles, run_id: str) -> int:
    """The caller holds `files.lock`, and the table belongs to a newer epoch than the run's."""
    prefix = run_prefix(run_id)
    staged = [name for name in files.list_names() if name.startswith(prefix)]
    table = newest_table(files) if staged else None
    if table is None:
        return 0
    removed = table.vacuum(0, dry_run=True, enforce_retention_duration=False)
    named = {path.rsplit("/", 1)[-1] for path in (*table.file_uris(), *removed)}
    left = [name for name in staged if name not in named]
    files.delete_all(left)
    return len(left)
