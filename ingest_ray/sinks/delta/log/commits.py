"""One Delta table's log: which epoch owns the table, which commit was the last, and how every commit is made.

Delta's log keeps a version number per application id
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers), and two commits that name one
application id from the same snapshot conflict. Every commit of this sink names `<app id>` with its sequence number and `<app id>::epoch`
with its epoch, after comparing both on the snapshot from which the commit is made. The library's own retries are off: they
would take a newer snapshot without comparing.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction, RemoveAction
from pydantic import JsonValue

from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import SinkProgress
from ingest_ray.sdk.errors import CommitUnknown, Fenced, IngestError, SinkRejected
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.delta.errors import translate_error, translate_errors
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT, application_versions, commit_info, read_commit
from ingest_ray.sinks.delta.log.restored_version import restored_sequence
from ingest_ray.sinks.delta.log.snapshot import forget_table, newest_table, write_checkpoint_if_due
from ingest_ray.sinks.delta.merge import CHANGES_NOTHING

HISTORY_COMMITS = 100  # how far back the log is searched for the counts of an earlier commit


@dataclass(frozen=True)
class CommitCounts:
    committed: int
    deduplicated: int = 0


def read_progress(files: TableFiles, target: Target) -> SinkProgress:
    """Lists the log and reads its last checkpoint and what follows it, and the newest commit once more for a `RESTORE`."""
    with files.lock:
        table = newest_table(files)
        if table is None:
            return SinkProgress(exists=False)
        epoch, sequence = _numbers(table, files, target)
        if not sequence:
            return SinkProgress(epoch, sequence)
        with translate_errors(files.uri):
            return SinkProgress(epoch, sequence, restored_to=restored_sequence(table, files, target.app_id))


def last_sequence(table: DeltaTable, files: TableFiles, target: Target) -> int:
    return application_versions(table, files, [target.app_id])[target.app_id]


def _numbers(table: DeltaTable, files: TableFiles, target: Target) -> tuple[int, int]:
    """The epoch and the last sequence number of the snapshot."""
    with translate_errors(files.uri):
        found = application_versions(table, files, [_epoch_id(target), target.app_id])
    return found[_epoch_id(target)], found[target.app_id]


def refuse_older_epoch(table: DeltaTable, files: TableFiles, target: Target, epoch: int) -> int:
    """Returns the table's epoch, which is at most `epoch`."""
    table_epoch = application_versions(table, files, [_epoch_id(target)])[_epoch_id(target)]
    _refuse(table, target, epoch, table_epoch)
    return table_epoch


def _refuse(table: DeltaTable, target: Target, epoch: int, table_epoch: int) -> None:
    if table_epoch > epoch:
        raise Fenced(
            f"unit '{target.unit_id}' belongs to epoch {table_epoch} in '{table.table_uri}', and this is epoch {epoch}",
            newer_epoch=table_epoch,
        )


def take_over(table: DeltaTable, files: TableFiles, target: Target, epoch: int) -> DeltaTable:
    """Makes `epoch` the table's owner; returns a snapshot that has it. Refuses an epoch older than the table's."""
    if refuse_older_epoch(table, files, target, epoch) == epoch:
        return table
    properties = commit_properties(target, epoch)
    table.create_write_transaction(
        [], "append", table.schema(), commit_properties=properties, post_commithook_properties=AFTER_COMMIT
    )
    return newest_table(files) or table


def commit_properties(target: Target, epoch: int, sequence: int | None = None, **facts: JsonValue) -> CommitProperties:
    transactions = [Transaction(_epoch_id(target), epoch)]
    if sequence is not None:
        transactions.append(Transaction(target.app_id, sequence))
        facts = {"ingestAppId": target.app_id, "ingestSequence": sequence, **facts}
    return CommitProperties(custom_metadata=facts or None, max_commit_retries=0, app_transactions=transactions)


def commit_once(
    files: TableFiles, target: Target, epoch: int, sequence: int, apply: Callable[[DeltaTable], CommitCounts]
) -> CommitCounts:
    """Calls `apply` with a snapshot that has neither this sequence number nor a newer epoch.

    Where the table has the number already, returns the counts that its log records.
    """
    with files.lock:
        table = newest_table(files)
        if table is None:
            raise SinkRejected(f"table '{files.uri}' is gone", hint="reset the unit to load it again")
        table_epoch, table_sequence = _numbers(table, files, target)
        _refuse(table, target, epoch, table_epoch)
        if table_sequence >= sequence:
            return recorded_counts(table, files, target, sequence)
        write_checkpoint_if_due(files, table)
        reached("sink:in-commit")
        try:
            return apply(table)
        except Exception as error:
            forget_table(files)
            return _resolve_failure(files, target, epoch, sequence, error)


def _resolve_failure(files: TableFiles, target: Target, epoch: int, sequence: int, error: Exception) -> CommitCounts:
    """Looks into the log, because the commit may have happened nevertheless, e.g. when its answer was lost."""
    unknown = f"whether commit {sequence} of '{files.uri}' happened is not known"
    try:
        table = newest_table(files)
        numbers = (0, 0) if table is None else _numbers(table, files, target)
    except IngestError as unreachable:
        raise CommitUnknown(f"{unknown}: {unreachable}") from error
    if table is None:
        raise CommitUnknown(f"{unknown}: the table cannot be found") from error
    _refuse(table, target, epoch, numbers[0])
    if numbers[1] >= sequence:
        return recorded_counts(table, files, target, sequence)
    if isinstance(error, IngestError):
        raise error
    raise translate_error(files.uri, error) from error


def recorded_counts(table: DeltaTable, files: TableFiles, target: Target, sequence: int) -> CommitCounts:
    """The counts of an earlier commit; zero where it is too old for the table's history."""
    entry = find_commit(table, files, target, sequence)
    if entry is None or "ingestRowsCommitted" in entry or "ingestErased" in entry:
        return CommitCounts(0)
    if entry.get(CHANGES_NOTHING):
        return CommitCounts(0, int(entry.get("ingestRowsPrepared", 0)))
    if entry.get("ingestErases"):
        metrics = entry["operationMetrics"]
        return CommitCounts(int(metrics["num_target_rows_deleted"]) + int(metrics["num_target_rows_updated"]))
    dropped = int(entry["ingestRowsDropped"])
    prepared = int(entry["ingestRowsPrepared"])
    return count_rows(prepared, dropped, entry.get("operationMetrics") if entry["operation"] == "MERGE" else None)


def find_commit(table: DeltaTable, files: TableFiles, target: Target, sequence: int) -> dict[str, Any] | None:
    """What the log says of a commit; None where it is too old for the table's history."""
    version = int(table.version())
    for number in range(version, max(version - HISTORY_COMMITS, -1), -1):
        actions = read_commit(files, number)
        if actions is None:
            return None
        entry = commit_info(actions)
        if entry.get("ingestAppId") == target.app_id and entry.get("ingestSequence") == sequence:
            return entry
    return None


def count_rows(prepared: int, dropped: int, metrics: dict[str, int] | None) -> CommitCounts:
    """`dropped`: duplicates that were removed before the merge. Every prepared row counts as committed or deduplicated."""
    if metrics is None:
        return CommitCounts(prepared - dropped, dropped)
    written = int(metrics["num_target_rows_inserted"]) + int(metrics["num_target_rows_updated"])
    # Where the table had a key twice already, one row updates two; it still counts once.
    committed = min(written, prepared - dropped)
    return CommitCounts(committed, prepared - committed)


def add_actions(written: Iterable[Mapping[str, JsonValue]]) -> list[AddAction | RemoveAction]:
    """The log's actions for new files, each given as the fields of a `WrittenFile`."""
    return [
        AddAction(str(file["name"]), int(str(file["bytes"])), {}, int(time.time() * 1000), True, str(file["stats"]))
        for file in written
    ]


def _epoch_id(target: Target) -> str:
    return f"{target.app_id}::epoch"
