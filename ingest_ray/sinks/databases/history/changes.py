"""Applies the changes of a table that a database's log has to a history: deletes close rows, other changes open them.

A row begins and ends when its transaction was committed. The stage has one row for each key; columns that the log does not repeat keep
the value of the current row.
"""

import pyarrow as pa

from ingest_ray.sdk.changes import DELETE, INSERT, OP, TRUNCATE, UNCHANGED, UPDATE
from ingest_ray.sdk.types import Prepared, Target
from ingest_ray.sinks.databases.database import WINNERS, Database, Session
from ingest_ray.sinks.databases.dml import FALSE
from ingest_ray.sinks.databases.history.merge import CHANGED, HistoryMerge
from ingest_ray.sinks.databases.stages import STAGE_PROVENANCE, PreparedStage, refuse_lost_stages, refuse_uncounted_rows
from ingest_ray.sinks.history.columns import IS_CURRENT, VALID_FROM, VALID_TO
from ingest_ray.sinks.prepared_changes import TRUNCATES
from ingest_ray.sinks.provenance import DELETED_AT


def apply_history_changes(
    db: Database, session: Session, target: Target, table: str, prepared: Prepared, schema: pa.Schema
) -> int:
    """Returns how many of the staged rows changed the table; updates of unknown rows whose other values they keep are left out."""
    stage = PreparedStage.of(target, prepared)
    if not prepared.rows:
        return 0
    refuse_lost_stages(db, session, {stage.stage: stage.rows})
    merge = _ChangesMerge(db, session, target, table, schema)
    others = merge.close(stage, truncates=bool(prepared.payload.get(TRUNCATES)))
    merge.create_changed_rows(stage)
    return others + merge.run()


class _ChangesMerge(HistoryMerge):
    is_ordered = True

    def close(self, stage: PreparedStage, *, truncates: bool) -> int:
        """Ends the current rows of deleted keys, or of all; returns the number of staged rows that say so."""
        db, source = self._db, self._db.stage_source(stage.stage)
        keys = ", ".join(map(self._quoted, self._target.key))
        op, begin = self._quoted(OP), self._quoted(VALID_FROM)
        if truncates:
            self._create(CHANGED, f"select max({begin}) as {self.begin} from {source} where {op} = '{TRUNCATE}'")
            self._end_rows([f"t.{self._quoted(IS_CURRENT)}"])
        self._create(CHANGED, f"select {keys}, {begin} as {self.begin} from {source} where {op} = '{DELETE}'")
        db.prepare_merge(self._session, self._table, self._target.key)
        self._find_nulls(CHANGED)
        self._end_rows(
            [
                f"{match.condition('w')} and {match.applies('w')} and t.{self._quoted(IS_CURRENT)}"
                for match in self._matches
            ]
        )
        query = f"select count(*) from {source} where {op} in ('{DELETE}', '{TRUNCATE}')"
        return int(self._session.execute(query)[0][0])

    def create_changed_rows(self, stage: PreparedStage) -> None:
        """The rows to be written, each whole: with the values of the current row that the log does not repeat."""
        op, unchanged, current = self._quoted(OP), self._quoted(UNCHANGED), self._quoted(IS_CURRENT)
        provenance = zip(stage.provenance(self._db), STAGE_PROVENANCE, strict=True)
        terms = [*self._columns, *(f"{term} as {self._quoted(name)}" for term, name in provenance)]
        number = f"row_number() over (order by {', '.join(map(self._quoted, self._target.key))})"
        terms += [self._quoted(VALID_FROM), op, unchanged, f"{number} as {self.id}", f"0 as {self.same}"]
        self._create(
            WINNERS,
            f"select {', '.join(terms)} from {self._db.stage_source(stage.stage)} where {op} in ('{INSERT}', '{UPDATE}')",
        )
        self._find_nulls(WINNERS)
        partial = f"{WINNERS}.{unchanged} is not null"
        known = " or ".join(
            f"exists (select 1 from {self._quoted_table} t where {match.condition(WINNERS)} and t.{current})"
            for match in self._matches
        )
        self._session.execute(f"delete from {WINNERS} where {partial} and {op} <> '{INSERT}' and not ({known})")
        values = {
            name: f"case when substr(t.{unchanged}, {position}, 1) = '1' then w.{name} else t.{name} end"
            for position, name in enumerate(self._columns, 1)
            if name not in map(self._quoted, self._target.key)
        }
        for match in self._matches if values else ():
            where = f"{match.condition('w')} and {match.applies('w')} and w.{current} and t.{unchanged} is not null"
            self._session.execute(self._db.update_from_sql(WINNERS, self._quoted_table, values, where))
        self._mark_equal_rows()

    def _end_rows(self, conditions: list[str]) -> None:
        """Every current row that meets one ends at the time of `CHANGED`."""
        begin = f"t.{self._quoted(VALID_FROM)}"
        values = {
            self._quoted(VALID_TO): f"case when {begin} > w.{self.begin} then {begin} else w.{self.begin} end",
            self._quoted(IS_CURRENT): FALSE,
            self._quoted(DELETED_AT): f"w.{self.begin}",
        }
        for condition in conditions:
            query = f"select count(*) from {CHANGED} w, {self._quoted_table} t where {condition}"
            ((count,),) = self._session.execute(query)
            statement = self._db.update_from_sql(self._quoted_table, CHANGED, values, condition)
            refuse_uncounted_rows(self._db, self._table, int(count), self._session.execute_update(statement))
