"""Moves staged rows of one CDM model into its table, inside the transaction that also notes it in the ledger.

A stage has rows with an id, and markers without one: source rows of which nothing is made (any more). `SOURCES` are the source rows
of a commit with their newest version, `WINNERS` the row that stays of each id. A source row of which the unit's tables know a
newer version, in any of them, changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from ingest_ray.cdm.models import ENDPOINT, KEY, SOURCE_KEY, UNIT, VERSION
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.databases.database import ORDER, WINNERS, Database, Session
from ingest_ray.sinks.provenance import DELETED_AT

SOURCES, STALE = "_ingest_sources", "_ingest_stale"


class ModelMove:
    """`siblings`: the tables of all models that the unit feeds."""

    def __init__(
        self, db: Database, session: Session, target: Target, table: str, shape: pa.Schema, siblings: Sequence[str]
    ) -> None:
        self._db = db
        self._session = session
        self._target = target
        self._goal = db.table(table)
        self._names = list(shape.names)
        self._siblings = [db.table(name) for name in siblings]
        self._id, self._key, self._version = db.quoted(KEY), db.quoted(SOURCE_KEY), db.quoted(VERSION)
        self.owner = (target.endpoint_id, target.unit_id)

    def clear(self) -> None:
        """Takes out all rows of the unit."""
        self._session.run(f"delete from {self._goal} where {self._owned('', 1)}", *self.owner)

    def keys(self) -> str:
        alive = f"{self._db.quoted(DELETED_AT)} is null and {self._key} is not null"
        return f"select distinct {self._key} from {self._goal} where {alive} and {self._owned('', 1)}"

    def upsert(self, stages: Sequence[str]) -> tuple[int, int]:
        """Returns how many rows are in the table now, and how many were erased."""
        is_ordered = self._target.version_column is not None and self._target.write is WriteMode.UPSERT
        self._choose(stages)
        if is_ordered:
            self._leave_newer()
        ((committed,),) = self._session.run(f"select count(*) from {WINNERS}")
        names = ", ".join(self._db.quoted(name) for name in self._names)
        values = {self._db.quoted(name): f"w.{self._db.quoted(name)}" for name in self._names if name != KEY}
        self._session.run(self._db.update_from(self._goal, WINNERS, values, f"t.{self._id} = w.{self._id}"))
        self._session.run(
            f"insert into {self._goal} ({names}) select {names} from {WINNERS} w where"
            f" not exists (select 1 from {self._goal} t where t.{self._id} = w.{self._id})"
        )
        erased = self._erase_stale(self._target.deletes) if self._target.write is WriteMode.UPSERT else 0
        self._forget()
        return int(committed), erased

    def erase(self, stage: str, how: str) -> int:
        """All that was made of source rows whose keys are staged."""
        query = f"select {self._key} from {self._db.staged(stage)}"
        self._db.make_temporary(self._session, SOURCES, query, self._key)
        query = (
            f"select t.{self._id} from {SOURCES} s join {self._goal} t on t.{self._key} = s.{self._key}"
            f" where {self._owned('t.', 1)} and t.{self._db.quoted(DELETED_AT)} is null"
        )
        erased = self._erase(query, how)
        self._forget()
        return erased

    # --- steps

    def _choose(self, stages: Sequence[str]) -> None:
        """The newest of each id, without what an older version of a source row made."""
        rows = " union all ".join(
            f"select {self._key}, {self._version} from {self._db.staged(stage)}" for stage in stages
        )
        sources = (
            f"select {self._key}, max({self._version}) as {self._version} from ({rows}) r"
            f" where {self._key} is not null group by {self._key}"
        )
        self._db.make_temporary(self._session, SOURCES, sources, self._key)
        names = ", ".join(self._db.quoted(name) for name in self._names)
        listed = ", ".join(f"a.{self._db.quoted(name)}" for name in self._names)
        arrivals = " union all ".join(
            f"select {names}, {place} as _ingest_place, {ORDER} from {self._db.staged(stage)}"
            for place, stage in enumerate(stages)
        )
        newest = f"case when a.{self._version} is null then 1 else 0 end, a.{self._version} desc, "
        query = (
            f"select {names} from (select {listed}, row_number() over (partition by a.{self._id} order by"
            f" {newest}a._ingest_place desc, a.{ORDER} desc) as _ingest_rank from ({arrivals}) a"
            f" left join {SOURCES} s on s.{self._key} = a.{self._key} where a.{self._id} is not null"
            f" and (s.{self._version} is null or a.{self._version} >= s.{self._version})) r where _ingest_rank = 1"
        )
        self._db.make_temporary(self._session, WINNERS, query, self._id)

    def _leave_newer(self) -> None:
        self._session.run(
            f"delete from {WINNERS} where exists (select 1 from {self._goal} t where t.{self._id} = {WINNERS}.{self._id}"
            f" and t.{self._version} > {WINNERS}.{self._version})"
        )
        for table in self._siblings:
            for chosen in (WINNERS, SOURCES):
                self._session.run(
                    f"delete from {chosen} where exists (select 1 from {table} t where t.{self._key} = {chosen}.{self._key}"
                    f" and {self._owned('t.', 1)} and t.{self._version} > {chosen}.{self._version})",
                    *self.owner,
                )

    def _erase_stale(self, how: str) -> int:
        query = (
            f"select t.{self._id} from {SOURCES} s join {self._goal} t on t.{self._key} = s.{self._key}"
            f" left join {WINNERS} w on w.{self._id} = t.{self._id}"
            f" where w.{self._id} is null and {self._owned('t.', 1)} and t.{self._db.quoted(DELETED_AT)} is null"
        )
        return self._erase(query, how)

    def _erase(self, query: str, how: str) -> int:
        """Of the rows that a query with the owner's two marks names."""
        empty = f"select {self._id} from {self._goal} where 1 = 0"
        self._db.make_temporary(self._session, STALE, empty, self._id)
        self._session.run(f"insert into {STALE} {query}", *self.owner)
        ((count,),) = self._session.run(f"select count(*) from {STALE}")
        if count and how == "delete":
            self._session.run(f"delete from {self._goal} where {self._id} in (select {self._id} from {STALE})")
        elif count:
            now = {self._db.quoted(DELETED_AT): self._db.moment(datetime.now(UTC))}
            self._session.run(self._db.update_from(self._goal, STALE, now, f"t.{self._id} = w.{self._id}"))
        return int(count)

    def _owned(self, alias: str, first: int) -> str:
        marks = (self._db.mark.format(first), self._db.mark.format(first + 1))
        names = (self._db.quoted(ENDPOINT), self._db.quoted(UNIT))
        return " and ".join(f"{alias}{name} = {mark}" for name, mark in zip(names, marks, strict=True))

    def _forget(self) -> None:
        for name in (WINNERS, SOURCES, STALE):
            self._session.run(f"{self._db.drop_temporary} {name}")
