"""One Delta table's log: who owns it, what was committed last, and the one way to commit.

Delta's log keeps a version number per application id
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers), and two commits that name one
application id from the same snapshot conflict. Every commit of this sink names `<app id>` with its sequence number and `<app id>::epoch`
with its epoch, after comparing both on the very snapshot that it is made from. The library's own retries are off: they
would take a newer snapshot and compare nothing.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction
from pydantic import JsonValue

from ingest_ray.sdk.errors import CommitUnknown, Fenced, IngestError, SinkRejected
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.delta.errors import translate, translated
from ingest_ray.sinks.delta.files import TableFiles

HISTORY_COMMITS = 100  # how far back the counts of a commit are looked for that is already there


@dataclass(frozen=True)
class Counts:
    committed: int
    deduplicated: int = 0


def load(files: TableFiles) -> DeltaTable | None:
    with translated(files.uri):
        try:
            return DeltaTable(files.uri, storage_options=files.options or None)
        except TableNotFoundError:
            return None


def sequence_of(table: DeltaTable, target: Target) -> int:
    return table.transaction_version(target.app_id) or 0


def refuse_older(table: DeltaTable, target: Target, epoch: int) -> int:
    """Returns the table's epoch, which is at most `epoch`."""
    found = table.transaction_version(_epoch_id(target)) or 0
    if found > epoch:
        raise Fenced(
            f"unit '{target.unit_id}' belongs to epoch {found} in '{table.table_uri}', and this is epoch {epoch}",
            newer_epoch=int(found),
        )
    return int(found)


def marks(target: Target, epoch: int, sequence: int | None = None, **facts: JsonValue) -> CommitProperties:
    transactions = [Transaction(_epoch_id(target), epoch)]
    if sequence is not None:
        transactions.append(Transaction(target.app_id, sequence))
        facts = {"ingestAppId": target.app_id, "ingestSequence": sequence, **facts}
    return CommitProperties(custom_metadata=facts or None, max_commit_retries=0, app_transactions=transactions)


def commit_once(
    files: TableFiles, target: Target, epoch: int, sequence: int, apply: Callable[[DeltaTable], Counts]
) -> Counts:
    """Calls `apply` with a snapshot that has neither this sequence number nor a newer epoch; else says what is there."""
    table = load(files)
    if table is None:
        raise SinkRejected(f"table '{files.uri}' is gone", hint="reset the unit to load it again")
    refuse_older(table, target, epoch)
    if sequence_of(table, target) >= sequence:
        return recorded(table, target, sequence)
    try:
        return apply(table)
    except Exception as error:
        return _after_failure(files, target, epoch, sequence, error)


def _after_failure(files: TableFiles, target: Target, epoch: int, sequence: int, error: Exception) -> Counts:
    """The commit may have happened all the same, e.g. when the checkpoint after it failed: the log knows."""
    unknown = f"whether commit {sequence} of '{files.uri}' happened is not known"
    try:
        table = load(files)
    except IngestError as unreachable:
        raise CommitUnknown(f"{unknown}: {unreachable}") from error
    if table is None:
        raise CommitUnknown(f"{unknown}: the table cannot be found") from error
    refuse_older(table, target, epoch)
    if sequence_of(table, target) >= sequence:
        return recorded(table, target, sequence)
    if isinstance(error, IngestError):
        raise error
    raise translate(files.uri, error) from error


def recorded(table: DeltaTable, target: Target, sequence: int) -> Counts:
    """What a commit that is already there did; zero where it is too old for the table's history."""
    entry = history_of(table, target, sequence)
    if entry is None or "ingestRowsCommitted" in entry or "ingestErased" in entry:
        return Counts(0)
    if entry.get("ingestErases"):
        metrics = entry["operationMetrics"]
        return Counts(int(metrics["num_target_rows_deleted"]) + int(metrics["num_target_rows_updated"]))
    dropped = int(entry["ingestRowsDropped"])
    prepared = int(entry["ingestRowsPrepared"])
    return counts_of(prepared, dropped, entry.get("operationMetrics") if entry["operation"] == "MERGE" else None)


def history_of(table: DeltaTable, target: Target, sequence: int) -> dict[str, Any] | None:
    """What the log says of a commit; None where it is too old for the table's history."""
    for entry in table.history(HISTORY_COMMITS):
        if entry.get("ingestAppId") == target.app_id and entry.get("ingestSequence") == sequence:
            return dict(entry)
    return None


def counts_of(prepared: int, dropped: int, metrics: dict[str, int] | None) -> Counts:
    """`dropped`: duplicates that were taken out before the merge. Every prepared row is committed or deduplicated."""
    if metrics is None:
        return Counts(prepared - dropped, dropped)
    written = int(metrics["num_target_rows_inserted"]) + int(metrics["num_target_rows_updated"])
    # A table that had its key twice before gets two updates for one row; the row is still one.
    committed = min(written, prepared - dropped)
    return Counts(committed, prepared - committed)


def add_actions(written: Iterable[Mapping[str, JsonValue]]) -> list[AddAction | RemoveAction]:
    """Files as the log names them, from what a `WrittenFile` says of each."""
    return [
        AddAction(str(file["name"]), int(str(file["bytes"])), {}, int(time.time() * 1000), True, str(file["stats"]))
        for file in written
    ]


def _epoch_id(target: Target) -> str:
    return f"{target.app_id}::epoch"
