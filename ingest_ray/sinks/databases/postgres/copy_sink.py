"""PostgreSQL tables into which a commit copies rows from files of their readers, in the transaction of the ledger: no stage in the
database, which would be written and read once more.

Where a table takes a COPY otherwise than an INSERT (triggers, rules, row security, columns of other types), and where rows have to be
merged, the rows of a file go through a stage after all.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from ingest_ray.sdk.errors import StagingLost
from ingest_ray.sdk.types import Prepared, Receipt, Slice, Target
from ingest_ray.sinks.databases.database import Session
from ingest_ray.sinks.databases.postgres.copy_encoder import is_encoded
from ingest_ray.sinks.databases.postgres.database import PostgresDatabase
from ingest_ray.sinks.databases.postgres.row_files import RowFiles, delete_file, opened_rows, reported_type
from ingest_ray.sinks.databases.stages import PreparedStage, StagedFile, drop_stages_of_run
from ingest_ray.sinks.databases.table_names import new_stage_name
from ingest_ray.sinks.databases.table_sink import SqlSink
from ingest_ray.sinks.history.columns import IS_CURRENT, keeps_history
from ingest_ray.sinks.provenance import INGESTED_AT, PROVENANCE_FIELDS, RUN_ID, SLICE

LARGE_BYTES = 16 * 1024 * 1024  # below, the login of another connection (0.04 s of CPU) costs what the encoding saves


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

    def _commit_transaction(self, target: Target, group: Sequence[Prepared]) -> AbstractContextManager[Session]:
        """Over a connection of our own where many rows are copied, of types that machine code encodes, and none are merged."""
        files = [StagedFile.of(prepared) for prepared in group if prepared.rows]
        are_copied = all(file is not None for file in files) and (
            not target.write.merges or all(prepared.is_insert_only or not prepared.rows for prepared in group)
        )
        if are_copied and sum(file.bytes for file in files if file) >= LARGE_BYTES and all(map(is_encodable, files)):
            return self._postgres.copying_transaction()
        return super()._commit_transaction(target, group)

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
            schema = [*rows.schema, *(field for field, _ in added)]
            types = {field.name: reported_type(field.type) or "" for field in schema}
            if not self._postgres.takes_copies(session, table, types, [name for name in target.key if name in types]):
                return False
            copied = self._postgres.copy_rows(session, table, rows, added)
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


def is_encodable(file: StagedFile | None) -> bool:
    """False for a file that is gone, too: its commit may have happened already."""
    if file is None:
        return False
    with suppress(OSError, pa.ArrowInvalid), pa.memory_map(file.path) as source, pa.ipc.open_stream(source) as rows:
        return all(is_encoded(field.type) for field in rows.schema)
    return False


def _delete_files(group: Sequence[Prepared]) -> None:
    for prepared in group:
        file = StagedFile.of(prepared)
        if file is not None:
            delete_file(file.path)
