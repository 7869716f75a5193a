"""Moves staged rows of one CDM model into its table, inside the transaction that also records the commit in the ledger.

A stage has rows with an id, and markers without one: source rows that make no row of the model (any more). `SOURCES` holds the
source rows of a commit with their newest version, `WINNERS` the row that stays of each id. A source row of which any of the unit's
tables holds a newer version changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from ingest_ray.cdm.models import ENDPOINT, KEY, READ_VERSIONS_END, SOURCE_KEY, UNIT, VERSION
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.databases.database import ORDER, WINNERS, Database, Session
from ingest_ray.sinks.databases.stages import refuse_remaining_rows, refuse_uncounted_rows
from ingest_ray.sinks.provenance import DELETED_AT

SOURCES, STALE = "_ingest_sources", "_ingest_stale"


class ModelDml:
    """`siblings`: the tables of all models that the unit feeds."""

    def __init__(
        self, db: Database, session: Session, target: Target, table: str, columns: pa.Schema, siblings: Sequence[str]
    ) -> None:
        self._db = db
        self._session = session
        self._target = target
        self._table_name = table
        self._table = db.quoted_table(table)
        self._names = list(columns.names)
        self._siblings = [db.quoted_table(name) for name in siblings]
        self._id, self._key, self._version = db.quoted(KEY), db.quoted(SOURCE_KEY), db.quoted(VERSION)
        self.owner = (target.endpoint_id, target.unit_id)

    def delete_all(self) -> None:
        """Deletes all rows of the unit."""
        is_owned = f"where {self._is_owned('')}"
        self._session.execute(f"delete from {self._table} {is_owned}", *self.owner)
        refuse_remaining_rows(self._db, self._session, self._table_name, is_owned, *self.owner)

    def select_keys_sql(self) -> str:
        """`owner` holds its values."""
        is_alive = f"{self._db.quoted(DELETED_AT)} is null and {self._key} is not null"
        return f"select distinct {self._key} from {self._table} where {is_alive} and {self._is_owned('')}"

    def upsert(self, stages: Sequence[str]) -> tuple[int, int]:
        """Returns how many rows are in the table now, and how many were erased.

        Raises:
            LedgerMismatch: a trigger dropped rows, or another unit inserted the same ids since `lock_rows`, which found none to
            lock. The transaction may succeed when it is executed again.
        """
        is_ordered = self._target.version_column is not None and self._target.write is WriteMode.UPSERT
        self._select_winners(stages)
        self._db.lock_rows(self._session, self._table_name, WINNERS, self._id)
        if is_ordered:
            self._drop_outdated()
        ((committed,),) = self._session.execute(f"select count(*) from {WINNERS}")
        names = ", ".join(self._db.quoted(name) for name in self._names)
        values = {self._db.quoted(name): f"w.{self._db.quoted(name)}" for name in self._names if name != KEY}
        is_changed = f"t.{self._id} = w.{self._id}"
        if is_ordered:
            old, new = f"t.{self._version}", f"w.{self._version}"
            is_changed += f" and ({old} is null or {new} is null or {old} <= {new} or {self._differ_in_kind(old, new)})"
        written = self._session.execute_update(self._db.update_from_sql(self._table, WINNERS, values, is_changed))
        written += self._session.execute_update(
            f"insert into {self._table} ({names}) select {names} from {WINNERS} w where"
            f" not exists (select 1 from {self._table} t where t.{self._id} = w.{self._id}) order by w.{self._id}"
        )
        refuse_uncounted_rows(self._db, self._table_name, int(committed), written)
        erased = self._erase_stale(self._target.deletes) if self._target.write is WriteMode.UPSERT else 0
        self._drop_temporary_tables()
        return int(committed), erased

    def erase(self, stage: str, how: str) -> int:
        """Erases the rows that were made from the source rows whose keys are staged; returns how many."""
        query = f"select distinct {self._key} from {self._db.stage_source(stage)}"
        self._db.create_temporary_table(self._session, SOURCES, query, self._key)
        query = (
            f"select t.{self._id} from {SOURCES} s join {self._table} t on t.{self._key} = s.{self._key}"
            f" where {self._is_owned('t.')} and t.{self._db.quoted(DELETED_AT)} is null"
        )
        erased = self._erase(query, how)
        self._drop_temporary_tables()
        return erased

    # --- steps

    def _select_winners(self, stages: Sequence[str]) -> None:
        """The newest row of each id, without the rows that an older version of a source row made."""
        rows = " union all ".join(
            f"select {self._key}, {self._version} from {self._db.stage_source(stage)}" for stage in stages
        )
        sources = (
            f"select {self._key}, max({self._version}) as {self._version} from ({rows}) r"
            f" where {self._key} is not null group by {self._key}"
        )
        self._db.create_temporary_table(self._session, SOURCES, sources, self._key)
        names = ", ".join(self._db.quoted(name) for name in self._names)
        listed = ", ".join(f"a.{self._db.quoted(name)}" for name in self._names)
        staged = " union all ".join(
            f"select {names}, {index} as _ingest_place, {ORDER} from {self._db.stage_source(stage)}"
            for index, stage in enumerate(stages)
        )
        newest = f"case when a.{self._version} is null then 1 else 0 end, a.{self._version} desc, "
        query = (
            f"select {names} from (select {listed}, row_number() over (partition by a.{self._id} order by"
            f" {newest}a._ingest_place desc, a.{ORDER} desc) as _ingest_rank from ({staged}) a"
            f" left join {SOURCES} s on s.{self._key} = a.{self._key} where a.{self._id} is not null"
            f" and (s.{self._version} is null or a.{self._version} >= s.{self._version})) r where _ingest_rank = 1"
        )
        self._db.create_temporary_table(self._session, WINNERS, query, self._id)

    def _drop_outdated(self) -> None:
        """Drops winners and sources of which the tables hold a newer version."""
        self._session.execute(
            f"delete from {WINNERS} where exists (select 1 from {self._table} t where t.{self._id} = {WINNERS}.{self._id}"
            f" and {self._is_newer(f't.{self._version}', f'{WINNERS}.{self._version}')})"
        )
        for table in self._siblings:
            for changed in (WINNERS, SOURCES):
                self._session.execute(
                    f"delete from {changed} where exists (select 1 from {table} t where t.{self._key} = {changed}.{self._key}"
                    f" and {self._is_owned('t.')} and {self._is_newer(f't.{self._version}', f'{changed}.{self._version}')})",
                    *self.owner,
                )

    def _is_newer(self, old: str, new: str) -> str:
        """Versions by cursor and versions by reading are not compared with each other: of them the later arrival wins."""
        return f"{old} > {new} and not {self._differ_in_kind(old, new)}"

    def _differ_in_kind(self, old: str, new: str) -> str:
        end = READ_VERSIONS_END
        return f"(({old} < {end} and {new} >= {end}) or ({old} >= {end} and {new} < {end}))"

    def _erase_stale(self, how: str) -> int:
        query = (
            f"select t.{self._id} from {SOURCES} s join {self._table} t on t.{self._key} = s.{self._key}"
            f" left join {WINNERS} w on w.{self._id} = t.{self._id}"
            f" where w.{self._id} is null and {self._is_owned('t.')} and t.{self._db.quoted(DELETED_AT)} is null"
        )
        return self._erase(query, how)

    def _erase(self, query: str, how: str) -> int:
        """Erases the rows whose ids `query` selects; it has two placeholders for the owner."""
        empty = f"select {self._id} from {self._table} where 1 = 0"
        self._db.create_temporary_table(self._session, STALE, empty, self._id)
        self._session.execute(f"insert into {STALE} {query}", *self.owner)
        ((count,),) = self._session.execute(f"select count(*) from {STALE}")
        if not count:
            return 0
        if how == "delete":
            statement = f"delete from {self._table} where {self._id} in (select {self._id} from {STALE})"
        else:
            now = {self._db.quoted(DELETED_AT): self._db.timestamp_literal(datetime.now(UTC))}
            statement = self._db.update_from_sql(self._table, STALE, now, f"t.{self._id} = w.{self._id}")
        refuse_uncounted_rows(self._db, self._table_name, int(count), self._session.execute_update(statement))
        return int(count)

    def _is_owned(self, alias: str) -> str:
        """The rows of this unit; `owner` holds the values."""
        first, second = self._db.placeholder.format(1), self._db.placeholder.format(2)
        return f"{alias}{self._db.quoted(ENDPOINT)} = {first} and {alias}{self._db.quoted(UNIT)} = {second}"

    def _drop_temporary_tables(self) -> None:
        for name in (WINNERS, SOURCES, STALE):
            self._session.execute(f"{self._db.drop_temporary_sql} {name}")
