"""The `ModelSink` contract on any `Database`: one table per CDM model, and all tables of a commit in one transaction.

Many units write to one table. Each unit has a row in the ledger for every table that it writes to, all with the same sequence
number.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa

from ingest_ray.cdm.models import KEY, SOURCE_KEY
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import Misfit, ModelTable, SinkProgress
from ingest_ray.sdk.errors import CommitUnknown, SinkUnavailable
from ingest_ray.sdk.types import ColumnFit, ModelCounts, Prepared, Provisioned, Slice, Target, WriteMode
from ingest_ray.sinks.databases.commit_ledger import CommitLedger, LedgerEntry
from ingest_ray.sinks.databases.conflicts import execute_transaction, read_transaction
from ingest_ray.sinks.databases.database import Database, Session, check_reach
from ingest_ray.sinks.databases.model_dml import ModelDml
from ingest_ray.sinks.databases.model_tables import ModelTables
from ingest_ray.sinks.databases.stage_loader import CountedBatches, StageLoader, find_misfits_in
from ingest_ray.sinks.databases.stages import drop_stages_of_older_runs, refuse_lost_stages, stages_of
from ingest_ray.sinks.databases.table_names import new_stage_name
from ingest_ray.sinks.progress import newest_progress
from ingest_ray.sinks.provenance import Provenance
from ingest_ray.sinks.type_mapping import map_schema


class SqlModelSink:
    """`prefix` stands before every table's name. `creates_tables`: on first use; else they must have been provisioned."""

    def __init__(self, database: Database, *, prefix: str = "", creates_tables: bool = True) -> None:
        self._db = database
        self._ledger = CommitLedger(database)
        self._tables = ModelTables(database, self._ledger, prefix)
        self._creates_tables = creates_tables

    def location(self, target: Target) -> str:
        return self._db.location(self._tables.name(target))

    def check_reach(self) -> None:
        check_reach(self._db)

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return map_schema(schema, self._db.rules)

    def find_misfits(self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False) -> Mapping[int, Misfit]:
        return find_misfits_in(self._db, schema, batch, converts=converts)

    def provision(self, table: ModelTable) -> Provisioned:
        name = self._tables.name(table.target)
        execute_transaction(self._db, self._ledger.create)
        execute_transaction(self._db, lambda session: self._tables.create_or_evolve(session, table))
        schema, dot, table_name = name.rpartition(".")
        return Provisioned(
            model_id=str(table.target.model),
            schema_name=schema if dot else "",
            table_name=table_name,
            location=self._db.location(name),
        )

    def read_progress(self, tables: Sequence[ModelTable]) -> SinkProgress:
        with read_transaction(self._db) as session:
            parts = {
                str(table.target.model): self._ledger.read_progress(
                    session, _ledger_target(table.target), self._tables.name(table.target)
                )
                for table in tables
            }
        return newest_progress(parts)

    def open(self, tables: Sequence[ModelTable], epoch: int) -> int:
        try:
            execute_transaction(self._db, self._ledger.create)
            entries = execute_transaction(
                self._db, lambda session: [self._open_table(session, table, epoch) for table in tables]
            )
            if any(entry.epoch < epoch for entry in entries):
                drop_stages_of_older_runs(self._db, tables[0].target)
        except CommitUnknown as error:  # it is always safe to open again
            raise SinkUnavailable(error.message, hint=error.hint) from error
        return max((entry.sequence for entry in entries), default=0)

    def prepare(self, table: ModelTable, piece: Slice, batches: Iterable[pa.RecordBatch]) -> Prepared:
        target, stage = table.target, new_stage_name(table.target)
        with read_transaction(self._db) as session:
            columns = self._tables.stage_schema(session, table)
        loader = StageLoader(columns, Provenance(target.run_id, piece))
        markers = _MarkerCount()
        loader.load(self._db, stage, markers.count_in(batches))
        return Prepared(
            slice_id=piece.slice_id,
            rows=loader.hash.rows,
            bytes=loader.bytes,
            row_hash=loader.hash.hexdigest(),
            models={str(target.model): loader.hash.rows - markers.count},
            payload={"stage": stage},
        )

    def commit(
        self, tables: Sequence[ModelTable], epoch: int, sequence: int, groups: Sequence[Sequence[Prepared]]
    ) -> Sequence[ModelCounts]:
        counts = execute_transaction(
            self._db, lambda session: self._commit_tables(session, tables, epoch, sequence, groups)
        )
        self.abort(groups)
        return counts

    def abort(self, groups: Sequence[Sequence[Prepared]]) -> None:
        """A stage is never part of a table: it is always safe to drop one."""
        self._db.drop_stages(_all_stages(groups))

    def keys(self, tables: Sequence[ModelTable]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([(SOURCE_KEY, pa.string())])
        for table in tables:
            with self._db.transaction() as session:
                dml = self._dml(session, table, tables)
                keys = [str(key) for (key,) in session.execute(dml.select_keys_sql(), *dml.owner)]
            yield pa.RecordBatch.from_arrays([pa.array(keys, pa.string())], schema=schema)

    def erase(
        self,
        tables: Sequence[ModelTable],
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Sequence[ModelCounts]:
        stage = new_stage_name(tables[0].target)
        counted = CountedBatches(keys)
        self._db.load_stage(stage, pa.schema([(SOURCE_KEY, pa.string())]), counted)
        counts: list[ModelCounts] = []
        try:
            with self._db.transaction() as session:
                for table in tables:
                    entry = self._lock_entry(session, table, epoch)
                    erased = entry.committed if entry.sequence == sequence else 0
                    if entry.sequence < sequence:
                        refuse_lost_stages(self._db, session, {stage: counted.rows})
                        erased = self._dml(session, table, tables).erase(stage, how)
                        self._ledger.record_commit(session, _ledger_target(table.target), sequence, erased, 0)
                    counts.append(ModelCounts(erased=erased))
        finally:
            self._db.drop_stages([stage])
        return counts

    def _commit_tables(
        self,
        session: Session,
        tables: Sequence[ModelTable],
        epoch: int,
        sequence: int,
        groups: Sequence[Sequence[Prepared]],
    ) -> list[ModelCounts]:
        """In the order of their names: units that share tables lock them in one order."""
        entries = [self._lock_entry(session, table, epoch) for table in tables]
        counts: dict[int, ModelCounts] = {}
        for index in sorted(range(len(tables)), key=lambda index: self._tables.name(tables[index].target)):
            counts[index] = self._commit_table(session, tables[index], entries[index], sequence, groups[index], tables)
        self._db.drop_stages_in(session, _all_stages(groups))
        return [counts[index] for index in range(len(tables))]

    # --- one table

    def _open_table(self, session: Session, table: ModelTable, epoch: int) -> LedgerEntry:
        if self._creates_tables:
            self._tables.create_or_evolve(session, table)
        else:
            self._tables.require(session, table.target)
        entry = self._lock_entry(session, table, epoch)
        self._ledger.take_over(session, _ledger_target(table.target), _ledger_table(table.target), epoch)
        return entry

    def _lock_entry(self, session: Session, table: ModelTable, epoch: int) -> LedgerEntry:
        return self._ledger.lock_entry(session, _ledger_target(table.target), _ledger_table(table.target), epoch)

    def _dml(self, session: Session, table: ModelTable, tables: Sequence[ModelTable]) -> ModelDml:
        columns = self._tables.stage_schema(session, table)
        siblings = [self._tables.name(sibling.target) for sibling in tables]
        return ModelDml(self._db, session, table.target, self._tables.name(table.target), columns, siblings)

    def _commit_table(
        self,
        session: Session,
        table: ModelTable,
        entry: LedgerEntry,
        sequence: int,
        group: Sequence[Prepared],
        tables: Sequence[ModelTable],
    ) -> ModelCounts:
        mapped = sum(prepared.models[str(table.target.model)] for prepared in group)
        if entry.sequence >= sequence:
            committed = entry.committed if entry.sequence == sequence else 0
            return ModelCounts(mapped=mapped, committed=committed, deduplicated=mapped - committed)
        dml = self._dml(session, table, tables)
        filled = [prepared for prepared in group if prepared.rows]
        stages = stages_of(filled)
        loaded = {stage: prepared.rows for stage, prepared in zip(stages, filled, strict=True)}
        refuse_lost_stages(self._db, session, loaded)
        if table.target.write is WriteMode.REPLACE:
            dml.delete_all()
        committed, erased = dml.upsert(stages) if stages else (0, 0)
        self._ledger.record_commit(session, _ledger_target(table.target), sequence, committed, mapped - committed)
        reached("sink:between-models")
        return ModelCounts(mapped=mapped, committed=committed, deduplicated=mapped - committed, erased=erased)


class _MarkerCount:
    """Counts rows without an id while their batches are iterated."""

    def __init__(self) -> None:
        self.count = 0

    def count_in(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.count += batch.column(KEY).null_count
            yield batch


def _all_stages(groups: Sequence[Sequence[Prepared]]) -> list[str]:
    return [stage for group in groups for stage in stages_of(group)]


def _ledger_target(target: Target) -> Target:
    """The application id of one unit's row for one table."""
    return target.model_copy(update={"app_id": f"{target.app_id}#{target.model}"})


def _ledger_table(target: Target) -> str:
    """Model tables are shared: the ledger gets a table name per unit, because it allows one unit per table."""
    return f"{target.model}#{target.app_id}"
