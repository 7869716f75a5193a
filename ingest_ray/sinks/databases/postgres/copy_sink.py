"""PostgreSQL tables into which a commit copies rows from files of their readers, in the transaction of the ledger: no stage in the
database, which would be written and read once more.

Where a table takes a COPY otherwise than an INSERT (triggers, rules, row security, columns of other types), and where rows have to be
merged, the rows of a file go through a stage after all.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from ingest_ray.sdk.errors import StagingLost
from ingest_ray.sdk.types import Prepared, Receipt, Slice, Target
from ingest_ray.sinks.databases.database import Session
from ingest_ray.sinks.databases.postgres.database import PostgresDatabase
from ingest_ray.sinks.databases.postgres.row_files import RowFiles, delete_file, opened_rows, reported_type
from ingest_ray.sinks.databases.stages import PreparedStage, StagedFile, drop_stages_of_run
from ingest_ray.sinks.databases.table_names import new_stage_name
from ingest_ray.sinks.databases.table_sink import SqlSink
from ingest_ray.sinks.history.columns import IS_CURRENT, keeps_history
from ingest_ray.sinks.provenance import INGESTED_AT, PROVENANCE_FIELDS, RUN_ID, SLICE


class CopySink(SqlSink):
    def __init__(self, database: PostgresDatabase) -> None:
        super().__init__(database)
        self._postgres = database
        self._folder: str | None = None

    def stage_in(self, folder: str) -> None:
        self._folder = folder

    def adopts(self, target: Target, piece: Slice) -> bool:
        return piece.is_insert_only or not target.write.merges

    def stage_files(
        self, target: Target, piece: Slice, attempt: int, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
    ) -> Prepared:
        """Each call has a stage of its own name, whatever its attempt. Rows of types that files do not take go into a stage of the
        database at once."""
        if self._folder is None or not self._postgres.has_every_character:
            return self._stage(target, piece, schema, batches)
        return self._stage(target, piece, schema, batches, RowFiles(self._folder))

    def sweep_files(self, target: Target, run_id: str) -> int:
        """Files are swept with the run's staging, and `open` has dropped the stages of older epochs."""
        return drop_stages_of_run(self._db, target, run_id)

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        receipt = super().commit(target, schema, epoch, sequence, group)
        _delete_files(group)
        return receipt

    def abort(self, group: Sequence[Prepared]) -> None:
        _delete_files(group)
        super().abort(group)

    @contextmanager
    def _in_database(
        self, session: Session, target: Target, stages: Sequence[PreparedStage]
    ) -> Iterator[Sequence[PreparedStage]]:
        """What a failed commit leaves of them is dropped when the next run opens the table."""
        found = [stage if stage.file is None else self._loaded(target, stage, stage.file) for stage in stages]
        yield found
        if loaded := [new.stage for old, new in zip(stages, found, strict=True) if new.stage != old.stage]:
            self._db.drop_stages_in(session, loaded)

    def _loaded(self, target: Target, stage: PreparedStage, file: StagedFile) -> PreparedStage:
        name = new_stage_name(target)
        with opened_rows(stage, file) as rows:
            self._db.load_stage(name, rows.schema, rows)
        return replace(stage, stage=name, file=None)

    def _insert(
        self, session: Session, target: Target, table: str, stages: Sequence[PreparedStage], columns: pa.Schema
    ) -> None:
        for stage in stages:
            if stage.file is None or not self._copy(session, target, table, stage, stage.file):
                with self._in_database(session, target, [stage]) as in_database:
                    super()._insert(session, target, table, in_database, columns)

    def _copy(self, session: Session, target: Target, table: str, stage: PreparedStage, file: StagedFile) -> bool:
        """False where the table does not take its rows so: nothing was copied."""
        added = constants_of(target, stage)
        with opened_rows(stage, file) as rows:
            schema = pa.schema([*rows.schema, *(field for field, _ in added)])
            types = {field.name: reported_type(field.type) or "" for field in schema}
            if not self._postgres.takes_copies(session, table, types, [name for name in target.key if name in types]):
                return False
            batches = (with_constants(batch, schema, [value for _, value in added]) for batch in rows)
            copied = self._postgres.copy_rows(session, table, pa.RecordBatchReader.from_batches(schema, batches))
        if copied != stage.rows:
            raise StagingLost(f"'{file.path}' has {copied} rows instead of {stage.rows}")
        return True


def constants_of(target: Target, stage: PreparedStage) -> list[tuple[pa.Field, pa.Scalar]]:
    """The columns that a table has and a stage has not, with their value."""
    values: dict[str, str | datetime] = {RUN_ID: stage.run_id, SLICE: stage.slice_id, INGESTED_AT: stage.ingested_at}
    added = [(field, pa.scalar(values[field.name], field.type)) for field in PROVENANCE_FIELDS if field.name in values]
    if keeps_history(target):
        added.append((pa.field(IS_CURRENT, pa.bool_()), pa.scalar(True)))
    return added


def with_constants(batch: pa.RecordBatch, schema: pa.Schema, values: Sequence[pa.Scalar]) -> pa.RecordBatch:
    added = [pa.repeat(value, batch.num_rows) for value in values]
    return pa.RecordBatch.from_arrays([*batch.columns, *added], schema=schema)


def _delete_files(group: Sequence[Prepared]) -> None:
    for prepared in group:
        file = StagedFile.of(prepared)
        if file is not None:
            delete_file(file.path)
