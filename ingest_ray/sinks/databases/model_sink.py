"""The common data model in a database: one table per model, and all tables of a commit in the transaction of its ledger rows.

Many units write to one table. Each has a row in the ledger for every table that it writes to, all with the same number; the columns
of a table are remembered once, under the table's own name.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import pyarrow as pa

from ingest_ray.cdm.models import KEY, SOURCE_KEY, model_of
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import ModelTable
from ingest_ray.sdk.errors import CommitUnknown, SinkRejected, SinkUnavailable
from ingest_ray.sdk.types import ColumnFit, ModelCounts, Prepared, Provisioned, Slice, Target, WriteMode
from ingest_ray.sinks.columns import wanted_schema
from ingest_ray.sinks.databases.commit_ledger import Entry, Ledger, Shape
from ingest_ray.sinks.databases.database import Database, Session
from ingest_ray.sinks.databases.model_dml import ModelMove
from ingest_ray.sinks.databases.stage_loader import Counted, Intake
from ingest_ray.sinks.databases.stages import refuse_lost, stages_of
from ingest_ray.sinks.databases.table_names import stage_of, stages_of_run, stages_of_unit
from ingest_ray.sinks.databases.table_schema import grow, refuse_changes_by_hand, sink_type_of, staged_schema
from ingest_ray.sinks.provenance import Stamp
from ingest_ray.sinks.type_mapping import fit_schema, is_list


class SqlModels:
    """`prefix` stands before every table's name. `makes_tables`: on first use; else they must have been provisioned."""

    def __init__(self, database: Database, *, prefix: str = "", makes_tables: bool = True) -> None:
        self._db = database
        self._ledger = Ledger(database)
        self._prefix = prefix
        self._makes_tables = makes_tables

    def location(self, target: Target) -> str:
        return self._db.location(self._table(target))

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return fit_schema(schema, self._db.rules)

    def provision(self, table: ModelTable) -> Provisioned:
        name = self._table(table.target)
        with self._db.transaction() as session:
            self._ledger.make(session)
        with self._db.transaction() as session:
            self._make_or_grow(session, table)
        schema, dot, plain = name.rpartition(".")
        return Provisioned(
            model_id=str(table.target.model),
            schema_name=schema if dot else "",
            table_name=plain,
            location=self._db.location(name),
        )

    def open(self, tables: Sequence[ModelTable], epoch: int) -> int:
        try:
            with self._db.transaction() as session:
                self._ledger.make(session)
            with self._db.transaction() as session:
                entries = [self._opened(session, table, epoch) for table in tables]
            if any(entry.epoch < epoch for entry in entries):
                self._sweep(tables)
        except CommitUnknown as error:  # opening again is always right
            raise SinkUnavailable(error.message, hint=error.hint) from error
        return max((entry.sequence for entry in entries), default=0)

    def prepare(self, table: ModelTable, piece: Slice, batches: Iterable[pa.RecordBatch]) -> Prepared:
        target, stage = table.target, stage_of(table.target)
        with self._db.transaction() as session:
            shape = staged_schema(self._db, self._table(target), table.schema, self._shape(session, target))
        intake = Intake(shape, Stamp(target.run_id, piece.slice_id))
        markers = _Markers()
        try:
            self._db.load(stage, intake.schema, intake.rows(markers.counted(batches)))
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
            models={str(target.model): intake.hash.rows - markers.count},
            payload={"stage": stage},
        )

    def commit(
        self, tables: Sequence[ModelTable], epoch: int, sequence: int, groups: Sequence[Sequence[Prepared]]
    ) -> Sequence[ModelCounts]:
        with self._db.transaction() as session:
            entries = [self._locked(session, table, epoch) for table in tables]
            counts = [
                self._committed(session, table, entry, sequence, group, tables)
                for table, entry, group in zip(tables, entries, groups, strict=True)
            ]
            self._db.drop_in(session, _stages(groups))
        self.abort(groups)
        return counts

    def abort(self, groups: Sequence[Sequence[Prepared]]) -> None:
        """A stage is never part of a table: dropping it is always safe."""
        self._db.drop(_stages(groups))

    def keys(self, tables: Sequence[ModelTable]) -> Iterator[pa.RecordBatch]:
        wanted = pa.schema([(SOURCE_KEY, pa.string())])
        for table in tables:
            with self._db.transaction() as session:
                move = self._move(session, table, tables)
                found = [str(key) for (key,) in session.run(move.keys(), *move.owner)]
            yield pa.RecordBatch.from_arrays([pa.array(found, pa.string())], schema=wanted)

    def erase(
        self,
        tables: Sequence[ModelTable],
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Sequence[ModelCounts]:
        stage = stage_of(tables[0].target)
        counted = Counted(keys)
        self._db.load(stage, pa.schema([(SOURCE_KEY, pa.string())]), counted)
        counts: list[ModelCounts] = []
        try:
            with self._db.transaction() as session:
                for table in tables:
                    entry = self._locked(session, table, epoch)
                    erased = entry.committed if entry.sequence == sequence else 0
                    if entry.sequence < sequence:
                        refuse_lost(self._db, session, {stage: counted.rows})
                        erased = self._move(session, table, tables).erase(stage, how)
                        self._ledger.note(session, _ledger_target(table.target), sequence, erased, 0)
                    counts.append(ModelCounts(erased=erased))
        finally:
            self._db.drop([stage])
        return counts

    # --- one table

    def _table(self, target: Target) -> str:
        model = model_of(str(target.model))
        return self._db.model_table(model.family, self._prefix + model.table)

    def _opened(self, session: Session, table: ModelTable, epoch: int) -> Entry:
        if self._makes_tables:
            self._make_or_grow(session, table)
        elif not self._db.columns(session, self._table(table.target)):
            raise SinkRejected(
                f"table '{self.location(table.target)}' of model '{table.target.model}' is not there",
                hint="ingest-ray provision SINK MODEL makes it",
            )
        else:
            self._shape(session, table.target)
        entry = self._locked(session, table, epoch)
        self._ledger.claim(session, _ledger_target(table.target), _ledger_place(table.target), epoch)
        return entry

    def _locked(self, session: Session, table: ModelTable, epoch: int) -> Entry:
        return self._ledger.lock(session, _ledger_target(table.target), _ledger_place(table.target), epoch)

    def _make_or_grow(self, session: Session, table: ModelTable) -> None:
        name, of_table = self._table(table.target), self._of_table(table.target)
        entry = self._ledger.lock(session, of_table, name, 0)
        wanted = wanted_schema(table.schema, self._db.rules)
        kinds = {
            field: self._db.column_type(wanted.field(field).type, sink_type_of(self._db, table.schema, field, wanted))
            for field in wanted.names
        }
        if self._db.json_type is not None:
            kinds |= {field.name: self._db.json_type for field in table.schema if _is_json(field.type)}
        found = self._db.columns(session, name)
        if not found:
            self._db.make_schema(session, name)
            columns = {self._db.quoted(field): kind for field, kind in kinds.items()}
            self._db.create_model_table(session, name, columns, self._db.quoted(KEY), self._db.quoted(SOURCE_KEY))
            self._ledger.remember(session, of_table, Shape(wanted, self._db.columns(session, name)))
            return
        if not entry.shape.reported:
            raise SinkRejected(
                f"table '{self._db.location(name)}' is there already, and this sink did not make it",
                hint="remove or rename the table, or choose another prefix or schema",
            )
        refuse_changes_by_hand(self._db, name, entry.shape, found)
        grown = grow(self._db, session, name, wanted, kinds, entry.shape)
        if grown != entry.shape:
            self._ledger.remember(session, of_table, grown)

    def _shape(self, session: Session, target: Target) -> Shape:
        entry = self._ledger.peek(session, self._of_table(target))
        if entry is None or not entry.shape.reported:
            raise SinkRejected(
                f"table '{self.location(target)}' was not made by this sink", hint="ingest-ray provision SINK MODEL"
            )
        return entry.shape

    def _of_table(self, target: Target) -> Target:
        """Under which the ledger remembers the columns of a table."""
        return target.model_copy(update={"app_id": f"cdm-table:{self._table(target)}"})

    def _move(self, session: Session, table: ModelTable, tables: Sequence[ModelTable]) -> ModelMove:
        shape = staged_schema(self._db, self._table(table.target), table.schema, self._shape(session, table.target))
        siblings = [self._table(one.target) for one in tables]
        return ModelMove(self._db, session, table.target, self._table(table.target), shape, siblings)

    def _committed(
        self,
        session: Session,
        table: ModelTable,
        entry: Entry,
        sequence: int,
        group: Sequence[Prepared],
        tables: Sequence[ModelTable],
    ) -> ModelCounts:
        mapped = sum(one.models[str(table.target.model)] for one in group)
        if entry.sequence >= sequence:
            committed = entry.committed if entry.sequence == sequence else 0
            return ModelCounts(mapped=mapped, committed=committed, deduplicated=mapped - committed)
        move = self._move(session, table, tables)
        stages = stages_of([one for one in group if one.rows])
        refuse_lost(self._db, session, dict(zip(stages, (one.rows for one in group if one.rows), strict=True)))
        if table.target.write is WriteMode.REPLACE:
            move.clear()
        committed, erased = move.upsert(stages) if stages else (0, 0)
        self._ledger.note(session, _ledger_target(table.target), sequence, committed, mapped - committed)
        reached("sink:between-models")
        return ModelCounts(mapped=mapped, committed=committed, deduplicated=mapped - committed, erased=erased)

    def _sweep(self, tables: Sequence[ModelTable]) -> None:
        """What runs of older epochs left; they can commit nothing any more."""
        target = tables[0].target
        mine = stages_of_run(target)
        self._db.drop([name for name in self._db.stages(stages_of_unit(target)) if not name.startswith(mine)])


class _Markers:
    """Counts rows without an id on their way."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.count += batch.column(KEY).null_count
            yield batch


def _stages(groups: Sequence[Sequence[Prepared]]) -> list[str]:
    return [stage for group in groups for stage in stages_of(group)]


def _ledger_target(target: Target) -> Target:
    return target.model_copy(update={"app_id": f"{target.app_id}#{target.model}"})


def _ledger_place(target: Target) -> str:
    """Tables are shared: each unit's place in one is its own."""
    return f"{target.model}#{target.app_id}"


def _is_json(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) or is_list(kind)
