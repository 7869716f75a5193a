"""One Iceberg table's commits: which epoch owns the table, which commit was the last, and how every commit is made.

The property `ingest.commit.<app id>` holds epoch, number and counts; it survives the expiry of snapshots. Every snapshot has them in its
summary, too, so that a table whose rows were rolled back is noticed. A new epoch makes a snapshot of its own, without rows: every commit
names the snapshot that it was compared with (`assert-ref-snapshot-id`, https://iceberg.apache.org/spec/#optimistic-concurrency), and the
catalog refuses it once the table has another. pyiceberg's own retries would take the newer snapshot without comparing, so commits go
to the catalog directly, once.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

from pydantic import JsonValue
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortOrder
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AddSortOrderUpdate,
    AssertCurrentSchemaId,
    AssertDefaultSpecId,
    AssertLastAssignedPartitionId,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    SetPropertiesUpdate,
    TableRequirement,
    TableUpdate,
)

from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import SinkProgress
from ingest_ray.sdk.errors import CommitUnknown, Fenced, IngestError, SinkRejected, StagingLost
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.iceberg.catalog import TableCatalog
from ingest_ray.sinks.iceberg.errors import translate_error
from ingest_ray.sinks.iceberg.file_io import make_files_durable
from ingest_ray.sinks.iceberg.snapshots import stage_snapshot

LEDGER = "ingest.commit."
SUMMARY = "ingest.sequence."
RUN_ID = "ingest.run-id"
MAIN = "main"
SEARCHED_SNAPSHOTS = (
    1_000  # of others above the unit's last one; usually the newest snapshot of a table is the unit's own
)


@dataclass(frozen=True)
class LedgerEntry:
    epoch: int = 0
    sequence: int = 0
    committed: int = 0
    deduplicated: int = 0
    erased: int = 0
    """Of a commit to the table of a model."""


@dataclass(frozen=True)
class TableChange:
    """What one commit changes: data files, columns, properties; nothing of it or all."""

    added: Sequence[DataFile] = ()
    removed: Sequence[DataFile] = ()
    schema: Schema | None = None
    spec: PartitionSpec | None = None
    """The partitions from now on, where they change."""
    order: SortOrder | None = None
    """The order of rows in files from now on, where it changes."""
    properties: dict[str, str] = field(default_factory=dict)
    has_snapshot: bool = True
    """False for columns and properties only."""


def ledger_entry(table: Table, target: Target) -> LedgerEntry:
    text = table.properties.get(LEDGER + target.app_id)
    if text is None:
        return LedgerEntry()
    document = json.loads(text)
    return LedgerEntry(**{name: int(document.get(name, 0)) for name in LedgerEntry.__dataclass_fields__})


def refuse_other_owner(table: Table, target: Target) -> None:
    owners = [name.removeprefix(LEDGER) for name in table.properties if name.startswith(LEDGER)]
    if owners and target.app_id not in owners:
        raise SinkRejected(
            f"table '{_name(table)}' belongs to '{owners[0]}', and unit '{target.unit_id}' has the same table name",
            hint="give the unit a table of its own: table in its rule",
        )


def refuse_older_epoch(table: Table, target: Target, epoch: int) -> LedgerEntry:
    """Returns the table's entry, whose epoch is at most `epoch`."""
    entry = ledger_entry(table, target)
    if entry.epoch > epoch:
        raise Fenced(
            f"unit '{target.unit_id}' belongs to epoch {entry.epoch} in '{_name(table)}', and this is epoch {epoch}",
            newer_epoch=entry.epoch,
        )
    return entry


def take_over(catalog: TableCatalog, table: Table, target: Target, epoch: int) -> Table:
    """Makes `epoch` the table's owner; returns a table that has it. Refuses an epoch older than the table's."""
    entry = refuse_older_epoch(table, target, epoch)
    if entry.epoch == epoch and table.properties.get(LEDGER + target.app_id):
        return table
    owned = replace(entry, epoch=epoch)
    apply_change(table, target, owned, TableChange())
    return reload(catalog, table, target, epoch)


def reload(catalog: TableCatalog, table: Table, target: Target, epoch: int) -> Table:
    found = catalog.load(table.name())
    if found is None:
        raise SinkRejected(f"table '{_name(table)}' is gone", hint="reset the unit to load it again")
    refuse_older_epoch(found, target, epoch)
    return found


def apply_change(table: Table, target: Target | None, entry: LedgerEntry | None, change: TableChange) -> None:
    """One commit against the very metadata that `table` has. Raises pyiceberg's errors; `CommitFailedException`: nothing happened, or
    an answer was lost on the way."""
    transaction = table.transaction()
    current = table.metadata.current_snapshot_id
    requirements: list[TableRequirement] = [
        AssertTableUUID(uuid=table.metadata.table_uuid),
        AssertRefSnapshotId(ref=MAIN, snapshot_id=current),
        AssertCurrentSchemaId(current_schema_id=table.metadata.current_schema_id),
        AssertDefaultSpecId(default_spec_id=table.metadata.default_spec_id),
    ]
    if change.schema is not None:
        transaction._stage((AddSchemaUpdate(schema_=change.schema), SetCurrentSchemaUpdate(schema_id=-1)))
    transaction._stage(tuple(_spec_updates(table, change.spec) + _order_updates(table, change.order)))
    if change.spec is not None:
        last = table.metadata.last_partition_id
        requirements.append(AssertLastAssignedPartitionId(last_assigned_partition_id=last))
    properties = dict(change.properties)
    if target is not None and entry is not None:
        properties[LEDGER + target.app_id] = json.dumps(asdict(entry))
    if change.has_snapshot:
        try:
            make_files_durable([file.file_path for file in change.added])
        except FileNotFoundError as error:
            raise StagingLost(
                f"file '{error.filename}' of a commit is gone", hint="its rows are prepared again"
            ) from error
        stage_snapshot(transaction, table, _summary(table, target, entry), MAIN, change.added, change.removed)
    if properties:
        transaction._stage((SetPropertiesUpdate(updates=properties),))
    reached("sink:before-catalog")
    response = table.catalog.commit_table(table, tuple(requirements), transaction._updates)
    table.catalog._delete_old_metadata(table.io, table.metadata, response.metadata)


def _spec_updates(table: Table, spec: PartitionSpec | None) -> list[TableUpdate]:
    if spec is None or spec.spec_id == table.metadata.default_spec_id:
        return []
    is_known = any(one.spec_id == spec.spec_id for one in table.metadata.partition_specs)
    added: list[TableUpdate] = [] if is_known else [AddPartitionSpecUpdate(spec=spec)]
    return [*added, SetDefaultSpecUpdate(spec_id=spec.spec_id)]


def _order_updates(table: Table, order: SortOrder | None) -> list[TableUpdate]:
    if order is None or order.order_id == table.metadata.default_sort_order_id:
        return []
    is_known = any(one.order_id == order.order_id for one in table.metadata.sort_orders)
    added: list[TableUpdate] = [] if is_known else [AddSortOrderUpdate(sort_order=order)]
    return [*added, SetDefaultSortOrderUpdate(sort_order_id=order.order_id)]


def commit_once(
    catalog: TableCatalog,
    name: tuple[str, ...],
    target: Target,
    epoch: int,
    sequence: int,
    apply: Callable[[Table], LedgerEntry],
) -> LedgerEntry:
    """Calls `apply` with a snapshot that has neither this sequence number nor a newer epoch.

    Where the table has the number already, returns the counts that it records.
    """
    table = catalog.load(name)
    if table is None:
        raise SinkRejected(f"table '{'.'.join(name)}' is gone", hint="reset the unit to load it again")
    entry = refuse_older_epoch(table, target, epoch)
    if entry.sequence >= sequence:
        return recorded_counts(entry, sequence)
    reached("sink:in-commit")
    try:
        return apply(table)
    except Exception as error:
        return _resolve_failure(catalog, name, target, epoch, sequence, error)


def recorded_counts(entry: LedgerEntry, sequence: int) -> LedgerEntry:
    """The counts of the last commit; zero of an earlier one."""
    return entry if entry.sequence == sequence else LedgerEntry(entry.epoch, entry.sequence)


def read_progress(catalog: TableCatalog, name: tuple[str, ...], target: Target) -> SinkProgress:
    table = catalog.load(name)
    if table is None:
        return SinkProgress(exists=False)
    entry = ledger_entry(table, target)
    return SinkProgress(entry.epoch, entry.sequence, restored_to=_restored_sequence(table, target, entry.sequence))


def _restored_sequence(table: Table, target: Target, sequence: int) -> int | None:
    """The commit whose rows the table has, where it was rolled back to an earlier snapshot; else None."""
    if not sequence:
        return None
    number = table.metadata.current_snapshot_id
    if number is None:
        return 0
    for _ in range(SEARCHED_SNAPSHOTS):
        snapshot = table.snapshot_by_id(number) if number is not None else None
        if snapshot is None:
            return None  # the unit's snapshots are expired, and others were added since
        summary = snapshot.summary.additional_properties if snapshot.summary is not None else {}
        found = summary.get(SUMMARY + target.app_id)
        if found is not None:
            return int(found) if int(found) < sequence else None
        number = snapshot.parent_snapshot_id
    return None


def _summary(table: Table, target: Target | None, entry: LedgerEntry | None) -> dict[str, str]:
    """A snapshot of maintenance has the numbers of the one before it."""
    before = table.current_snapshot()
    kept = before.summary.additional_properties if before is not None and before.summary is not None else {}
    summary: dict[str, JsonValue] = {name: text for name, text in kept.items() if name.startswith("ingest.")}
    if target is not None and entry is not None:
        summary[SUMMARY + target.app_id] = str(entry.sequence)
        summary["ingest.epoch"] = str(entry.epoch)
        summary[RUN_ID] = target.run_id
    return {name: str(text) for name, text in summary.items()}


def _resolve_failure(
    catalog: TableCatalog, name: tuple[str, ...], target: Target, epoch: int, sequence: int, error: Exception
) -> LedgerEntry:
    """Looks at the table, because the commit may have happened nevertheless, e.g. when only its answer was lost."""
    unknown = f"whether commit {sequence} of '{'.'.join(name)}' happened is not known"
    try:
        table = catalog.load(name)
    except IngestError as unreachable:
        raise CommitUnknown(f"{unknown}: {unreachable}") from error
    if table is None:
        raise CommitUnknown(f"{unknown}: the table cannot be found") from error
    entry = refuse_older_epoch(table, target, epoch)
    if entry.sequence >= sequence:
        return recorded_counts(entry, sequence)
    if isinstance(error, IngestError):
        raise error
    raise translate_error(".".join(name), error) from error


def _name(table: Table) -> str:
    return ".".join(table.name())
