"""The snapshot of a table that a sink's commits are made from: loaded once, then brought up to date by what is new in the log.

Loading a table reads its log's last checkpoint and everything after it. So the sink writes checkpoints, too, and without the library's
own housekeeping after each commit, which lists the whole log.
"""

import json
import logging

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from ingest_ray.sinks.delta.errors import translate_errors
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.entries import read_commit

log = logging.getLogger(__name__)

CHECKPOINT_COMMITS = 10  # as Spark does; the library's own default is 100
INTERVAL = "delta.checkpointInterval"


def load_table(files: TableFiles) -> DeltaTable | None:
    with translate_errors(files.uri):
        try:
            return DeltaTable(files.uri, storage_options=files.options or None)
        except TableNotFoundError:
            return None


def newest_table(files: TableFiles) -> DeltaTable | None:
    """The kept snapshot with what was committed since; the caller holds `files.lock` while it uses it. None: there is no table."""
    table = files.kept
    files.last_read = None  # what was read of a table that is gone, or was made again, counts no more
    if table is not None:
        try:
            table.update_incremental()
            if read_commit(files, int(table.version())) is not None:
                return table
        except Exception as error:  # a log that does not follow from what is kept: it was made again, or cleaned up
            log.debug("the snapshot of '%s' is read again: %s", files.uri, error)
    files.checkpoint = None
    files.kept = load_table(files)
    return files.kept


def forget_table(files: TableFiles) -> None:
    """After a failure: what is kept may not be what the log has."""
    files.kept = None


def write_checkpoint_if_due(files: TableFiles, table: DeltaTable) -> None:
    """A failure is logged only: the log is complete without checkpoints."""
    try:
        version = int(table.version())
        if version < CHECKPOINT_COMMITS:
            return
        if files.checkpoint is None:
            files.checkpoint = _last_checkpoint(files)
        interval = int(table.metadata().configuration.get(INTERVAL) or CHECKPOINT_COMMITS)
        if version - files.checkpoint < interval:
            return
        files.checkpoint = version
        table.create_checkpoint()
        table.cleanup_metadata()
    except Exception as error:
        log.warning("no checkpoint of the log of '%s' was written: %s", files.uri, error)


def _last_checkpoint(files: TableFiles) -> int:
    """https://github.com/delta-io/delta/blob/master/PROTOCOL.md#last-checkpoint-file"""
    try:
        return int(json.loads(files.read("_delta_log/_last_checkpoint"))["version"])
    except FileNotFoundError:
        return -1
