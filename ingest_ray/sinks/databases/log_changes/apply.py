"""Applies the changes of a table that a database's log has to the unit's table, in the transaction that also records the commit.

The stage has one row for each key. Columns that the log does not repeat keep the value of the table's row.
"""

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.sdk.changes import DELETE, INSERT, OP, TRUNCATE, UNCHANGED, UPDATE
from ingest_ray.sdk.types import Prepared, Target
from ingest_ray.sinks.databases.database import WINNERS, Database, Session
from ingest_ray.sinks.databases.dml import KeyMatch, erase, source_columns
from ingest_ray.sinks.databases.stages import (
    STAGE_PROVENANCE,
    PreparedStage,
    refuse_lost_stages,
    refuse_remaining_rows,
    refuse_uncounted_rows,
)
from ingest_ray.sinks.prepared_changes import CHANGES, TRUNCATES
from ingest_ray.sinks.provenance import DELETED_AT

log = logging.getLogger(__name__)

STAGED_FIELDS = (pa.field(OP, pa.string()), pa.field(UNCHANGED, pa.string()))


class ChangeBatches:
    """Notices on the way whether the rows say that no older row is left."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.truncates = False
        self._batches = batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            if batch.num_rows and pc.any(pc.equal(batch.column(OP), TRUNCATE)).as_py():
                self.truncates = True
            yield batch

    @property
    def payload(self) -> dict[str, bool]:
        return {CHANGES: True, TRUNCATES: self.truncates}


def apply_changes(
    db: Database, session: Session, target: Target, table: str, prepared: Prepared, schema: pa.Schema
) -> int:
    """Returns how many of the staged rows were applied: all, but those updates without a row whose other values they keep."""
    stage = PreparedStage.of(target, prepared)
    if not prepared.rows:
        return 0
    refuse_lost_stages(db, session, {stage.stage: stage.rows})
    if prepared.payload.get(TRUNCATES):
        _remove_all(db, session, target, table)
    keys = ", ".join(db.quoted(name) for name in target.key)
    deleted = f"(select {keys} from {db.stage_source(stage.stage)} where {db.quoted(OP)} = '{DELETE}')"
    erase(db, session, target, table, deleted, target.deletes)
    orphans = _write_rows(db, session, target, table, stage, schema)
    if orphans:
        log.warning("%s: %d updates have no row in '%s' whose other values they keep", target.unit_id, orphans, table)
    return stage.rows - orphans


def _remove_all(db: Database, session: Session, target: Target, table: str) -> None:
    quoted_table, deleted_at = db.quoted_table(table), db.quoted(DELETED_AT)
    if target.deletes == "delete":
        session.execute(f"delete from {quoted_table}")
        refuse_remaining_rows(db, session, table)
        return
    now = db.timestamp_literal(datetime.now(UTC))
    session.execute(f"update {quoted_table} set {deleted_at} = {now} where {deleted_at} is null")


def _write_rows(
    db: Database, session: Session, target: Target, table: str, stage: PreparedStage, schema: pa.Schema
) -> int:
    """Updates the rows that the table has and inserts the others; returns the number of updates without a row."""
    op, unchanged = db.quoted(OP), db.quoted(UNCHANGED)
    _create_winners(db, session, stage, schema)
    db.prepare_merge(session, table, target.key)
    db.make_room_for_keys(session, table, target.key, WINNERS)
    matches = [KeyMatch(db, target, is_null=False)]
    if session.execute(f"select 1 from {WINNERS} w where {matches[0].has_null} limit 1"):
        matches.append(KeyMatch(db, target, is_null=True))
    quoted_table = db.quoted_table(table)
    ((rows, partial),) = session.execute(f"select count(*), count(w.{unchanged}) from {WINNERS} w")
    values = _values(db, schema, has_partial=bool(partial))
    names = ", ".join(name for name in values if name != db.quoted(DELETED_AT))
    written = 0
    for match in matches:
        written += session.execute_update(db.update_from_sql(quoted_table, WINNERS, values, match.condition("w")))
        written += session.execute_update(
            f"insert into {quoted_table} ({names}) select {names} from {WINNERS} w where {match.applies('w')}"
            f" and (w.{unchanged} is null or w.{op} = '{INSERT}')"
            f" and not exists (select 1 from {quoted_table} t where {match.condition('w')})"
        )
    present = sum(match.count_present(session, quoted_table, WINNERS) for match in matches)
    if written != present:  # the table has keys more than once, as after appends
        refuse_uncounted_rows(db, table, present, sum(match.count_written(session, quoted_table) for match in matches))
    session.execute(f"{db.drop_temporary_sql} {WINNERS}")
    return int(rows) - present


def _create_winners(db: Database, session: Session, stage: PreparedStage, schema: pa.Schema) -> None:
    columns = source_columns(db, schema)
    provenance = [
        f"{term} as {db.quoted(name)}" for term, name in zip(stage.provenance(db), STAGE_PROVENANCE, strict=True)
    ]
    op, unchanged = db.quoted(OP), db.quoted(UNCHANGED)
    session.execute(f"{db.drop_temporary_sql} {WINNERS}")
    session.execute(
        f"create temporary table {WINNERS}{db.table_options} as select {', '.join([*columns, *provenance, op, unchanged])}"
        f" from {db.stage_source(stage.stage)} where {op} in ('{INSERT}', '{UPDATE}')"
    )


def _values(db: Database, schema: pa.Schema, *, has_partial: bool) -> dict[str, str]:
    """What each column of a row of the table becomes."""
    values: dict[str, str] = {}
    unchanged = f"w.{db.quoted(UNCHANGED)}"
    for number, name in enumerate(source_columns(db, schema), 1):
        values[name] = (
            f"case when substr({unchanged}, {number}, 1) = '1' then t.{name} else w.{name} end"
            if has_partial
            else f"w.{name}"
        )
    values |= {db.quoted(name): f"w.{db.quoted(name)}" for name in STAGE_PROVENANCE}
    values[db.quoted(DELETED_AT)] = "null"
    return values
