"""The stages of a commit: their names in the prepared payloads, their provenance, and the check that no row of them is lost.

A stage of a unit's table has no provenance columns: the values are the same for all of its rows and are added when the rows move
into the table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.errors import LedgerMismatch, StagingLost
from ingest_ray.sdk.types import Prepared, Target
from ingest_ray.sinks.databases.database import Database, Session
from ingest_ray.sinks.databases.table_names import run_stage_prefix, unit_stage_prefix
from ingest_ray.sinks.provenance import INGESTED_AT, RUN_ID, SLICE, Provenance

STAGE_PROVENANCE = (RUN_ID, SLICE, INGESTED_AT)
FILE, FILE_BYTES = "file", "file_bytes"


@dataclass(frozen=True)
class StagedFile:
    path: str
    bytes: int

    @classmethod
    def of(cls, prepared: Prepared) -> "StagedFile | None":
        path, size = prepared.payload.get(FILE), prepared.payload.get(FILE_BYTES)
        return None if path is None else cls(str(path), int(str(size)))


class StageFiles(Protocol):
    """Stages in files, of which a commit takes the rows. Loads and drops them as a database does its stages."""

    def takes(self, columns: pa.Schema) -> bool:
        """True where the database will take every value of these types: files are not searched for rows that it refuses."""
        ...

    def load_stage(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None: ...

    def drop_stages(self, stages: Sequence[str]) -> None: ...

    def payload(self, stage: str) -> dict[str, JsonValue]:
        """What the commit needs to find the file, and to see whether it is whole."""
        ...


@dataclass(frozen=True)
class PreparedStage:
    """A stage whose rows a commit moves into a unit's table."""

    stage: str
    slice_id: str
    run_id: str
    ingested_at: datetime
    rows: int
    is_numbered: bool
    file: StagedFile | None = None
    """Where the rows are, if not in the database."""

    @classmethod
    def of(cls, target: Target, prepared: Prepared) -> "PreparedStage":
        return cls(
            stage=str(prepared.payload["stage"]),
            slice_id=prepared.slice_id,
            run_id=str(prepared.payload["run"]),
            ingested_at=datetime.fromisoformat(str(prepared.payload["at"])),
            rows=prepared.rows,
            is_numbered=is_numbered(target, is_insert_only=prepared.is_insert_only),
            file=StagedFile.of(prepared),
        )

    def provenance(self, db: Database) -> list[str]:
        """The SQL literals of `STAGE_PROVENANCE`."""
        return [
            db.text_literal(self.run_id),
            db.text_literal(self.slice_id),
            db.timestamp_literal(self.ingested_at),
        ]

    def order(self, order: str) -> str:
        """The SQL term of a row's position in its slice; `order` is the column that has it."""
        return order if self.is_numbered else "0"


def is_numbered(target: Target, *, is_insert_only: bool) -> bool:
    """Which of two rows came later matters only where both may have the same key."""
    return target.write.merges and not is_insert_only


def stage_payload(stage: str, provenance: Provenance) -> dict[str, str]:
    return {"stage": stage, "run": provenance.run_id, "at": provenance.ingested_at.isoformat()}


def stages_of(group: Sequence[Prepared]) -> list[str]:
    """The names of those that are in the database."""
    return [str(prepared.payload["stage"]) for prepared in group if FILE not in prepared.payload]


def refuse_lost_stages(db: Database, session: Session, loaded: Mapping[str, int]) -> None:
    """`loaded`: the rows that each stage was loaded with. A server that crashed may have emptied a stage.

    Raises:
        StagingLost: nothing was committed, and no later commit of a group with such a stage can succeed: stage names are unique.
    """
    if not loaded:
        return
    counts = [f"(select count(*) from {db.stage_source(stage)}) as c{index}" for index, stage in enumerate(loaded)]
    (stored,) = session.execute(f"select {', '.join(counts)}")
    for (stage, rows), stored_rows in zip(loaded.items(), stored, strict=True):
        refuse_short_stage(db, stage, rows, int(stored_rows))


def refuse_short_stage(db: Database, stage: str, rows: int, stored_rows: int) -> None:
    """As `refuse_lost_stages`, for a stage whose rows are counted already."""
    if stored_rows != rows:
        raise StagingLost(
            f"stage '{db.location(stage)}' has {stored_rows} rows instead of {rows}: the server has lost them, as after a crash",
            hint="what is committed stays, and this is read again",
        )


def refuse_uncounted_rows(db: Database, table: str, rows: int, written: int) -> None:
    """`written`: what the database reports for statements that had to insert, update or delete `rows` rows of the table."""
    if written != rows:
        raise LedgerMismatch(
            f"table '{db.location(table)}' took {written} rows instead of {rows}: nothing was committed",
            hint="a trigger or a rule of the table drops rows or adds some: remove it, or let it write to other tables",
        )


def refuse_remaining_rows(db: Database, session: Session, table: str, where: str = "", *values: str | int) -> None:
    """After rows were deleted of which none may be left."""
    if session.execute(f"select 1 from {db.quoted_table(table)} {where} limit 1", *values):
        raise LedgerMismatch(
            f"table '{db.location(table)}' kept rows that had to be deleted: nothing was committed",
            hint="a trigger or a rule of the table keeps them: remove it",
        )


def drop_stages_of_run(db: Database, target: Target, run_id: str) -> int:
    """Returns how many there were."""
    found = db.list_stages(run_stage_prefix(target.model_copy(update={"run_id": run_id})))
    db.drop_stages(found)
    return len(found)


def drop_stages_of_older_runs(db: Database, target: Target) -> None:
    """Called when a newer epoch has taken the unit over: older runs can commit nothing any more."""
    own = run_stage_prefix(target)
    db.drop_stages([name for name in db.list_stages(unit_stage_prefix(target)) if not name.startswith(own)])
