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
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction
from pydantic import JsonValue

from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import SinkProgress
from ingest_ray.sdk.errors import CommitUnknown, Fenced, IngestError, SinkRejected
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.delta.errors import translate_error, translate_errors
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.merge import CHANGES_NOTHING
from ingest_ray.sinks.delta.restored_version import restored_sequence

HISTORY_COMMITS = 100  # how far back the log is searched for the counts of an earlier commit


@dataclass(frozen=True)
class CommitCounts:
    committed: int
    deduplicated: int = 0


def load_table(files: TableFiles) -> DeltaTable | None:
    with translate_errors(files.uri):
        try:
            return DeltaTable(files.uri, storage_options=files.options or None)
        except TableNotFoundError:
            return None


def read_progress(files: TableFiles, target: Target) -> SinkProgress:
    """Lists the log and reads its last checkpoint and what follows it, and the newest commit once more for a `RESTORE`."""
    table = load_table(files)
    if table is None:
        return SinkProgress(exists=False)
    epoch, sequence = table.transaction_version(_epoch_id(target)) or 0, last_sequence(table, target)
    if not sequence:
        return SinkProgress(epoch, sequence)
    with translate_errors(files.uri):
        return SinkProgress(epoch, sequence, restored_to=restored_sequence(table, files, target.app_id))


def last_sequence(table: DeltaTable, target: Target) -> int:
    return table.transaction_version(target.app_id) or 0


def refuse_older_epoch(table: DeltaTable, target: Target, epoch: int) -> int:
    """Returns the table's epoch, which is at most `epoch`."""
    table_epoch = table.transaction_version(_epoch_id(target)) or 0
    if table_epoch > epoch:
        raise Fenced(
            f"unit '{target.unit_id}' belongs to epoch {table_epoch} in '{table.table_uri}', and this is epoch {epoch}",
            newer_epoch=int(table_epoch),
        )
    return int(table_epoch)


def take_over(table: DeltaTable, files: TableFiles, target: Target, epoch: int) -> DeltaTable:
    """Makes `epoch` the table's owner; returns a snapshot that has it. Refuses an epoch older than the table's."""
    if refuse_older_epoch(table, target, epoch) == epoch:
        return table
    table.create_write_transaction([], "append", table.schema(), commit_properties=commit_properties(target, epoch))
    return load_table(files) or table


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
    table = load_table(files)
    if table is None:
        raise SinkRejected(f"table '{files.uri}' is gone", hint="reset the unit to load it again")
    refuse_older_epoch(table, target, epoch)
    if last_sequence(table, target) >= sequence:
        return recorded_counts(table, target, sequence)
    reached("sink:in-commit")
    try:
        return apply(table)
    except Exception as error:
        return _resolve_failure(files, target, epoch, sequence, error)


def _resolve_failure(files: TableFiles, target: Target, epoch: int, sequence: int, error: Exception) -> CommitCounts:
    """Looks into the log, because the commit may have happened nevertheless, e.g. when only the checkpoint after it failed."""
    unknown = f"whether commit {sequence} of '{files.uri}' happened is not known"
    try:
        table = load_table(files)
    except IngestError as unreachable:
        raise CommitUnknown(f"{unknown}: {unreachable}") from error
    if table is None:
        raise CommitUnknown(f"{unknown}: the table cannot be found") from error
    refuse_older_epoch(table, target, epoch)
    if last_sequence(table, target) >= sequence:
        return recorded_counts(table, target, sequence)
    if isinstance(error, IngestError):
        raise error
    raise translate_error(files.uri, error) from error


def recorded_counts(table: DeltaTable, target: Target, sequence: int) -> CommitCounts:
    """The counts of an earlier commit; zero where it is too old for the table's history."""
    entry = find_commit(table, target, sequence)
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


def find_commit(table: DeltaTable, target: Target, sequence: int) -> dict[str, Any] | None:
    """The log's entry of a commit; None where it is too old for the table's history."""
    for entry in table.history(HISTORY_COMMITS):
        if entry.get("ingestAppId") == target.app_id and entry.get("ingestSequence") == sequence:
            return dict(entry)
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
