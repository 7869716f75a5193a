"""The sink contract on any database of `database`."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import pyarrow as pa

from ingest_ray.sdk.errors import CommitUnknown, SinkRejected, SinkUnavailable
from ingest_ray.sdk.types import ColumnFit, Prepared, Receipt, Slice, Target, WriteMode
from ingest_ray.sinks.columns import refuse_unordered
from ingest_ray.sinks.databases.commit_ledger import Ledger
from ingest_ray.sinks.databases.database import Database
from ingest_ray.sinks.databases.dml import erase, insert, select_keys, upsert
from ingest_ray.sinks.databases.stage_loader import Counted, Intake
from ingest_ray.sinks.databases.stages import Arrival, is_numbered, payload_of, refuse_lost, stages_of
from ingest_ray.sinks.databases.table_names import stage_of, stages_of_run, stages_of_unit, table_of
from ingest_ray.sinks.databases.table_schema import make_or_grow, staged_schema
from ingest_ray.sinks.provenance import Stamp
from ingest_ray.sinks.type_mapping import fit_schema
from ingest_ray.sinks.value_conversion import convert_back, convert_batch


class SqlSink:
    def __init__(self, database: Database) -> None:
        self._db = database
        self._ledger = Ledger(database)

    def location(self, target: Target) -> str:
        return self._db.location(table_of(target))

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return fit_schema(schema, self._db.rules)

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        refuse_unordered(target, schema, self._db.rules)
        table = table_of(target)
        try:
            with self._db.transaction() as session:
                self._ledger.make(session)
            with self._db.transaction() as session:
                entry = self._ledger.lock(session, target, table, epoch)
                self._ledger.claim(session, target, table, epoch)
                shape = make_or_grow(self._db, session, target, table, schema, entry.shape)
                self._ledger.remember(session, target, shape)
            if entry.epoch < epoch:
                self._sweep(target)
        except CommitUnknown as error:  # opening again is always right
            raise SinkUnavailable(error.message, hint=error.hint) from error
        return entry.sequence

    def is_empty(self, target: Target) -> bool:
        table = table_of(target)
        with self._db.transaction() as session:
            if not self._db.columns(session, table):
                return True
            return not session.run(f"select 1 from {self._db.table(table)} limit 1")

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        started = time.monotonic()
        table, stage = table_of(target), stage_of(target)
        with self._db.transaction() as session:
            entry = self._ledger.peek(session, target)
        if entry is None or not entry.shape.reported:
            raise SinkRejected(f"unit '{target.unit_id}' was not opened in its sink")
        shape = staged_schema(self._db, table, schema, entry.shape)
        intake = Intake(shape, is_numbered=is_numbered(target, is_insert_only=piece.is_insert_only))
        try:
            self._db.load(stage, intake.schema, intake.rows(batches))
        except CommitUnknown as error:  # a stage that nobody names is swept
            raise SinkUnavailable(error.message, hint=error.hint) from error
        except BaseException as error:
            self._db.drop([stage])
            if intake.error is not None and intake.error is not error:  # a driver made its own of it
                raise intake.error from error
            raise
        return Prepared(
            slice_id=piece.slice_id,
            rows=intake.hash.rows,
            bytes=intake.bytes,
            row_hash=intake.hash.hexdigest(),
            is_insert_only=piece.is_insert_only,
            payload=payload_of(stage, Stamp(target.run_id, piece.slice_id)),
            seconds=time.monotonic() - started,
        )

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        started = time.monotonic()
        table, rows = table_of(target), sum(one.rows for one in group)
        arrivals = [Arrival.of(target, one) for one in group if one.rows]
        is_merge = target.write is WriteMode.UPSERT and not all(one.is_insert_only or one.rows == 0 for one in group)
        is_dropped = False
        with self._db.transaction() as session:
            entry = self._ledger.lock(session, target, table, epoch)
            if entry.sequence >= sequence:
                is_this = entry.sequence == sequence
                committed, deduplicated = (entry.committed, entry.deduplicated) if is_this else (0, 0)
            else:
                shape = staged_schema(self._db, table, schema, entry.shape)
                if target.write is WriteMode.REPLACE:
                    session.run(f"delete from {self._db.table(table)}")
                committed = rows
                if is_merge:
                    committed = upsert(self._db, session, target, table, arrivals, shape)
                else:
                    insert(self._db, session, table, arrivals, shape)
                deduplicated = rows - committed
                self._ledger.note(session, target, sequence, committed, deduplicated)
                is_dropped = self._db.drop_in(session, stages_of(group))
        if not is_dropped:
            self.abort(group)
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=committed,
            rows_deduplicated=deduplicated,
            location=self._db.location(table),
            seconds=time.monotonic() - started,
        )

    def abort(self, group: Sequence[Prepared]) -> None:
        """A stage is never part of a table: dropping it is always safe."""
        self._db.drop(stages_of(group))

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        table, wanted = table_of(target), pa.schema([schema.field(name) for name in target.key])
        with self._db.transaction() as session:
            if not self._db.columns(session, table):
                return
            for batch in session.stream(select_keys(self._db, target, table)):
                columns = [
                    convert_back(column, field.type) for column, field in zip(batch.columns, wanted, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=wanted)

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
        table, stage = table_of(target), stage_of(target)
        with self._db.transaction() as session:
            entry = self._ledger.lock(session, target, table, epoch)
        stored = staged_schema(self._db, table, schema, entry.shape)
        key_schema = pa.schema([stored.field(name) for name in target.key])
        counted = Counted(convert_batch(batch, key_schema) for batch in keys)
        try:
            self._db.load(stage, key_schema, counted)
            with self._db.transaction() as session:
                entry = self._ledger.lock(session, target, table, epoch)
                erased = entry.committed if entry.sequence == sequence else 0
                if entry.sequence < sequence:
                    refuse_lost(self._db, session, {stage: counted.rows})
                    erased = erase(self._db, session, target, table, stage, how)
                    self._ledger.note(session, target, sequence, erased, 0)
        finally:
            self._db.drop([stage])
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=erased,
            location=self._db.location(table),
            seconds=time.monotonic() - started,
        )

    def _sweep(self, target: Target) -> None:
        """What runs of older epochs left; they can commit nothing any more."""
        mine = stages_of_run(target)
        self._db.drop([name for name in self._db.stages(stages_of_unit(target)) if not name.startswith(mine)])
