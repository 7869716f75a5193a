"""The `Sink` contract on any `Database`: one table per unit, and each commit one transaction."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import pyarrow as pa

from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.changes import OP, UNCHANGED, has_changes, table_columns
from ingest_ray.sdk.contracts import Misfit, SinkProgress
from ingest_ray.sdk.errors import CommitUnknown, SinkRejected, SinkUnavailable
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import ColumnFit, Prepared, Receipt, Slice, Target, WriteMode
from ingest_ray.sinks.columns import refuse_unordered_keys, sink_schema
from ingest_ray.sinks.databases.column_names import refuse_too_many_columns
from ingest_ray.sinks.databases.commit_ledger import CommitLedger, LedgerEntry
from ingest_ray.sinks.databases.conflicts import execute_transaction, read_transaction
from ingest_ray.sinks.databases.database import Database, Session, check_reach
from ingest_ray.sinks.databases.dml import erase, insert, select_keys_sql, upsert
from ingest_ray.sinks.databases.history.changes import apply_history_changes
from ingest_ray.sinks.databases.history.merge import merge_history
from ingest_ray.sinks.databases.log_changes.apply import STAGED_FIELDS, ChangeBatches, apply_changes
from ingest_ray.sinks.databases.row_reads import comparable_schema, read_rows, sum_keys
from ingest_ray.sinks.databases.stage_loader import CountedBatches, StageLoader, find_misfits_in
from ingest_ray.sinks.databases.stages import (
    PreparedStage,
    StageFiles,
    drop_stages_of_older_runs,
    is_numbered,
    refuse_lost_stages,
    refuse_remaining_rows,
    stage_payload,
    stages_of,
)
from ingest_ray.sinks.databases.table_names import new_stage_name, unit_table_name
from ingest_ray.sinks.databases.table_schema import TableDefinition, column_types, create_or_evolve, stage_schema
from ingest_ray.sinks.history.columns import (
    begins_of,
    keeps_history,
    refuse_other_writing,
    table_columns_of,
    without_history,
)
from ingest_ray.sinks.prepared_changes import only_changes
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS, Provenance
from ingest_ray.sinks.type_mapping import map_schema
from ingest_ray.sinks.value_conversion import convert_back, convert_batch


class SqlSink:
    applies_changes = True
    keeps_history = True
    keeps_history_of_changes = True

    def __init__(self, database: Database) -> None:
        self._db = database
        self._ledger = CommitLedger(database)

    def location(self, target: Target) -> str:
        return self._db.location(unit_table_name(target))

    def check_reach(self) -> None:
        check_reach(self._db)

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return self._db.column_limits.fit(map_schema(schema, self._db.rules))

    def _in_sink(self, target: Target, schema: pa.Schema) -> tuple[Target, pa.Schema]:
        """With the names that the columns have in the database."""
        limits = self._db.column_limits
        return limits.renamed_target(target), limits.renamed_schema(schema)

    def find_misfits(self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False) -> Mapping[int, Misfit]:
        return find_misfits_in(self._db, schema, batch, converts=converts)

    def read_progress(self, target: Target) -> SinkProgress:
        with read_transaction(self._db) as session:
            return self._ledger.read_progress(session, target, unit_table_name(target))

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        refuse_unordered_keys(target, schema, self._db.rules)
        refuse_too_many_columns(self.fit(schema))
        target, schema = self._in_sink(target, schema)
        try:
            execute_transaction(self._db, self._ledger.create)
            entry = execute_transaction(self._db, lambda session: self._take_over(session, target, schema, epoch))
            if entry.epoch < epoch:
                drop_stages_of_older_runs(self._db, target)
        except CommitUnknown as error:  # it is always safe to open again
            raise SinkUnavailable(error.message, hint=error.hint) from error
        return entry.sequence

    def is_empty(self, target: Target) -> bool:
        table = unit_table_name(target)
        with read_transaction(self._db) as session:
            if not self._db.read_columns(session, table):
                return True
            return not session.execute(f"select 1 from {self._db.quoted_table(table)} limit 1")

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        return self._stage(target, piece, schema, batches)

    def _stage(
        self,
        target: Target,
        piece: Slice,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        files: StageFiles | None = None,
    ) -> Prepared:
        """In a table of the database, or in one of `files`, where these can have the types of all columns."""
        started = time.monotonic()
        target, schema = self._in_sink(target, schema)
        table, stage = unit_table_name(target), new_stage_name(target)
        with read_transaction(self._db) as session:
            entry = self._ledger.read_entry(session, target)
        if entry is None or not entry.columns.reported:
            raise SinkRejected(f"unit '{target.unit_id}' was not opened in its sink")
        is_change = target.write.merges and has_changes(schema)
        wanted = table_columns(schema) if is_change else table_columns_of(target, schema)
        columns = stage_schema(self._db, table, wanted, entry.columns)
        provenance = Provenance(target.run_id, piece)
        changes = ChangeBatches(batches) if is_change else None
        if changes is not None:
            names = [*range(len(table_columns(schema))), *map(schema.get_field_index, (OP, UNCHANGED))]
            stored = pa.schema([*(field for field in columns if field.name not in PROVENANCE_COLUMNS), *STAGED_FIELDS])
            loader = StageLoader(stored, is_numbered=False, indices=names, begins=self._begins(target, provenance))
        else:
            numbered = is_numbered(target, is_insert_only=piece.is_insert_only)
            begins = self._begins(target, provenance)
            loader = StageLoader(without_history(columns, target), is_numbered=numbered, begins=begins)
        if files is not None and (changes is not None or not files.takes(columns)):
            files = None
        loader.load(files or self._db, stage, batches if changes is None else changes)
        return Prepared(
            slice_id=piece.slice_id,
            rows=loader.hash.rows,
            bytes=loader.bytes,
            row_hash=loader.hash.hexdigest(),
            is_insert_only=piece.is_insert_only,
            payload={
                **stage_payload(stage, provenance),
                **(changes.payload if changes else {}),
                **(files.payload(stage) if files else {}),
            },
            seconds=time.monotonic() - started,
        )

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        started = time.monotonic()
        target, schema = self._in_sink(target, schema)
        table, rows = unit_table_name(target), sum(prepared.rows for prepared in group)
        are_stages_dropped = False
        with self._commit_transaction(target, group) as session:
            entry = self._ledger.lock_entry(session, target, table, epoch)
            if entry.sequence >= sequence:
                is_this = entry.sequence == sequence
                committed, deduplicated = (entry.committed, entry.deduplicated) if is_this else (0, 0)
            else:
                columns = stage_schema(self._db, table, table_columns_of(target, schema), entry.columns)
                committed = self._move(session, target, columns, group)
                deduplicated = rows - committed
                self._ledger.record_commit(session, target, sequence, committed, deduplicated)
                are_stages_dropped = self._db.drop_stages_in(session, stages_of(group))
                reached("sink:in-commit")
        if not are_stages_dropped:
            self.abort(group)
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=committed,
            rows_deduplicated=deduplicated,
            location=self._db.location(table),
            seconds=time.monotonic() - started,
        )

    def _commit_transaction(self, target: Target, group: Sequence[Prepared]) -> AbstractContextManager[Session]:
        return self._db.transaction()

    def abort(self, group: Sequence[Prepared]) -> None:
        """A stage is never part of a table: it is always safe to drop one."""
        self._db.drop_stages(stages_of(group))

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        table, wanted = unit_table_name(target), pa.schema([schema.field(name) for name in target.key])
        target, _ = self._in_sink(target, schema)
        with self._db.transaction() as session:
            if not self._db.read_columns(session, table):
                return
            for batch in session.stream(select_keys_sql(self._db, target, table)):
                columns = [
                    convert_back(column, field.type) for column, field in zip(batch.columns, wanted, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=wanted)

    def comparable_schema(self, target: Target, schema: pa.Schema) -> pa.Schema:
        with self._db.transaction() as session:
            entry = self._ledger.read_entry(session, target)
        if entry is None or not entry.columns.reported:
            raise SinkRejected(f"unit '{target.unit_id}' was not opened in its sink", hint="run the unit first")
        return comparable_schema(self._db, target, schema, entry.columns)

    def read_rows(
        self,
        target: Target,
        schema: pa.Schema,
        columns: Sequence[str],
        stored: Sequence[str],
        bounds: tuple[int | None, int | None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        types = self.comparable_schema(target, schema) if stored else schema
        keys, values = [schema.field(name) for name in columns], [types.field(name) for name in stored]
        with self._db.transaction() as session:
            if self._db.read_columns(session, unit_table_name(target)):
                yield from read_rows(self._db, session, target, keys, values, bounds)

    def sum_keys(self, target: Target, schema: pa.Schema, key: str, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]:
        with self._db.transaction() as session:
            if not self._db.read_columns(session, unit_table_name(target)):
                return {}, 0
            return sum_keys(self._db, session, target, key, keys)

    def erase(
        self,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Receipt:
        started = time.monotonic()
        target, schema = self._in_sink(target, schema)
        table, stage = unit_table_name(target), new_stage_name(target)
        with self._db.transaction() as session:
            entry = self._ledger.lock_entry(session, target, table, epoch)
        stored = stage_schema(self._db, table, schema, entry.columns)
        key_schema = pa.schema([stored.field(name) for name in target.key])
        counted = CountedBatches(convert_batch(batch, key_schema) for batch in keys)
        try:
            self._db.load_stage(stage, key_schema, counted)
            with self._db.transaction() as session:
                entry = self._ledger.lock_entry(session, target, table, epoch)
                erased = entry.committed if entry.sequence == sequence else 0
                if entry.sequence < sequence:
                    refuse_lost_stages(self._db, session, {stage: counted.rows})
                    erased = erase(self._db, session, target, table, self._db.stage_source(stage), how)
                    self._ledger.record_commit(session, target, sequence, erased, 0)
        finally:
            self._db.drop_stages([stage])
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=erased,
            location=self._db.location(table),
            seconds=time.monotonic() - started,
        )

    def _begins(self, target: Target, provenance: Provenance) -> Callable[[pa.RecordBatch], pa.Array] | None:
        if not keeps_history(target):
            return None
        return lambda batch: begins_of(target, batch, provenance.ingested_at)

    def _take_over(self, session: Session, target: Target, schema: pa.Schema, epoch: int) -> LedgerEntry:
        table = unit_table_name(target)
        entry = self._ledger.lock_entry(session, target, table, epoch)
        if entry.columns.reported:
            location = self._db.location(table)
            refuse_other_writing(target, location, list(self._db.read_columns(session, table)), schema)
        self._ledger.take_over(session, target, table, epoch)
        record = self._ledger.column_record(session, target, table, epoch)
        columns = table_columns_of(target, schema)
        create_or_evolve(self._db, session, self._definition(session, target, columns), record)
        return entry

    def _definition(self, session: Session, target: Target, schema: pa.Schema) -> TableDefinition:
        table, wanted = unit_table_name(target), sink_schema(schema, self._db.rules)
        kinds = column_types(self._db, schema, wanted)
        columns = {self._db.quoted(name): kind for name, kind in kinds.items()}
        key = [self._db.quoted(name) for name in target.key] if target.write.merges else []
        return TableDefinition(
            table,
            schema,
            wanted,
            kinds,
            create=lambda: self._db.create_table(session, table, columns, key),
            foreign_hint="remove or rename the table, or choose another schema",
            keys=target.key,
        )

    def _move(self, session: Session, target: Target, columns: pa.Schema, group: Sequence[Prepared]) -> int:
        """Moves the rows of a group into the table; returns how many of them are in it now."""
        table = unit_table_name(target)
        if target.write.merges and (changes := only_changes(group)) is not None:
            apply = apply_history_changes if keeps_history(target) else apply_changes
            return apply(self._db, session, target, table, changes, columns)
        stages = [PreparedStage.of(target, prepared) for prepared in group if prepared.rows]
        if target.write is WriteMode.REPLACE:
            session.execute(f"delete from {self._db.quoted_table(table)}")
            refuse_remaining_rows(self._db, session, table)
        has_only_inserts = all(prepared.is_insert_only or prepared.rows == 0 for prepared in group)
        if target.write.merges and not has_only_inserts:
            merge = merge_history if keeps_history(target) else upsert
            with self._in_database(session, target, stages) as in_database:
                return merge(self._db, session, target, table, in_database, columns)
        self._insert(session, target, table, stages, columns)
        return sum(prepared.rows for prepared in group)

    @contextmanager
    def _in_database(
        self, session: Session, target: Target, stages: Sequence[PreparedStage]
    ) -> Iterator[Sequence[PreparedStage]]:
        """The stages, each as one that statements can read."""
        yield stages

    def _insert(
        self, session: Session, target: Target, table: str, stages: Sequence[PreparedStage], columns: pa.Schema
    ) -> None:
        insert(self._db, session, target, table, stages, columns)
