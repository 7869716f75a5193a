"""Moves staged rows into a table, inside the transaction that also notes it in the ledger."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from ingest_ray.sdk.types import Target
from ingest_ray.sinks.databases.database import ORDER, WINNERS, Database, Session
from ingest_ray.sinks.databases.stages import CARRIED, Arrival, refuse_less, refuse_lost
from ingest_ray.sinks.provenance import DELETED_AT, NAMES


def insert(db: Database, session: Session, table: str, arrivals: Sequence[Arrival], schema: pa.Schema) -> None:
    plain = [db.quoted(name) for name in schema.names if name not in NAMES]
    listed = ", ".join([*plain, *map(db.quoted, CARRIED)])
    for one in arrivals:
        values = ", ".join([*plain, *one.provenance(db)])
        moved = session.change(f"insert into {db.table(table)} ({listed}) select {values} from {db.staged(one.stage)}")
        refuse_less(db, one.stage, one.rows, moved)


def upsert(
    db: Database, session: Session, target: Target, table: str, arrivals: Sequence[Arrival], schema: pa.Schema
) -> int:
    """Returns how many of the staged rows are in the table now: the newest of each key, unless the table has a newer one.

    NULLs in a key equal each other. A NULL version is older than any other; of equal versions, and without a
    version column, the later arrival wins: later in the group, later in its slice.
    """
    refuse_lost(db, session, {one.stage: one.rows for one in arrivals})
    session.run(f"{db.drop_temporary} {WINNERS}")
    session.run(_winners(db, target, arrivals, schema))
    db.ready_to_merge(session, table, target.key)
    passes = [_Match(db, target, is_null=False)]
    if session.run(f"select 1 from {WINNERS} w where {passes[0].has_null} limit 1"):
        passes.append(_Match(db, target, is_null=True))
    goal = db.table(table)
    for one in passes:
        if target.version_column:
            session.run(
                f"delete from {WINNERS} where exists (select 1 from {goal} t where {one.of(WINNERS)}"
                f" and {_is_newer_than(db, target, WINNERS, schema)})"
            )
    ((committed,),) = session.run(f"select count(*) from {WINNERS}")
    columns = [db.quoted(name) for name in schema.names if name != DELETED_AT]
    names, values = ", ".join(columns), {name: f"w.{name}" for name in columns}
    values[db.quoted(DELETED_AT)] = "null"
    for one in passes:
        session.run(db.update_from(goal, WINNERS, values, one.of("w")))
        session.run(
            f"insert into {goal} ({names}) select {names} from {WINNERS} w where {one.kind('w')}"
            f" and not exists (select 1 from {goal} t where {one.of('w')})"
        )
    session.run(f"{db.drop_temporary} {WINNERS}")
    return int(committed)


def select_keys(db: Database, target: Target, table: str) -> str:
    keys = ", ".join(db.quoted(name) for name in target.key)
    return f"select {keys} from {db.table(table)} where {db.quoted(DELETED_AT)} is null"


def erase(db: Database, session: Session, target: Target, table: str, stage: str, how: str) -> int:
    """Marks or removes the rows whose keys are staged; returns how many."""
    goal, keys = db.table(table), [db.quoted(name) for name in target.key]
    db.ready_to_merge(session, table, target.key)
    listed = ", ".join(keys)
    nulls = _Match(db, target, is_null=True)
    among = f"{f'({listed})' if len(keys) > 1 else listed} in (select {listed} from {db.staged(stage)})"
    among_nulls = f"exists (select 1 from {db.staged(stage)} w where {nulls.beside('w', goal)})"
    alive = f"{db.quoted(DELETED_AT)} is null" if how == "tombstone" else "1 = 1"
    now = db.moment(datetime.now(UTC))
    erased = 0
    for chosen in (among, among_nulls):
        where = f"where {chosen} and {alive}"
        ((count,),) = session.run(f"select count(*) from {goal} {where}")
        if how == "delete":
            session.run(f"delete from {goal} {where}")
        else:
            session.run(f"update {goal} set {db.quoted(DELETED_AT)} = {now} {where}")
        erased += int(count)
    return erased


class _Match:
    """How a winner finds its row in the table. Keys without NULLs are compared by `=`, which can use an index."""

    def __init__(self, db: Database, target: Target, *, is_null: bool) -> None:
        self._db = db
        self._keys = [db.quoted(name) for name in target.key]
        self._is_null = is_null
        self.has_null = self._nulls("w")

    def kind(self, source: str) -> str:
        return f"({self._nulls(source)})" if self._is_null else f"not ({self._nulls(source)})"

    def of(self, source: str) -> str:
        if not self._is_null:
            return " and ".join(f"t.{key} = {source}.{key}" for key in self._keys)
        same = " and ".join(self._db.same(f"t.{key}", f"{source}.{key}") for key in self._keys)
        return f"{self.kind(source)} and {same}"

    def beside(self, source: str, table: str) -> str:
        """For NULL keys only, and where the table has no other name."""
        same = " and ".join(self._db.same(f"{table}.{key}", f"{source}.{key}") for key in self._keys)
        return f"{self.kind(source)} and {same}"

    def _nulls(self, source: str) -> str:
        return " or ".join(f"{source}.{key} is null" for key in self._keys)


def _winners(db: Database, target: Target, arrivals: Sequence[Arrival], schema: pa.Schema) -> str:
    plain = [db.quoted(name) for name in schema.names if name not in NAMES]
    carried = [db.quoted(name) for name in CARRIED]
    names = ", ".join([*plain, *carried])
    keys = ", ".join(db.quoted(name) for name in target.key)
    newest = ""
    if target.version_column:
        version = db.ordered(db.quoted(target.version_column), schema.field(target.version_column).type)
        newest = f"case when {version} is null then 1 else 0 end, {version} desc, "
    rows = " union all ".join(_rows(db, place, one, plain) for place, one in enumerate(arrivals))
    return (
        f"create temporary table {WINNERS} as select {names} from (select a.*, row_number() over"
        f" (partition by {keys} order by {newest}_ingest_place desc, {ORDER} desc) as _ingest_rank"
        f" from ({rows}) a) r where _ingest_rank = 1"
    )


def _rows(db: Database, place: int, one: Arrival, plain: Sequence[str]) -> str:
    carried = [f"{term} as {db.quoted(name)}" for term, name in zip(one.provenance(db), CARRIED, strict=True)]
    terms = ", ".join([*plain, *carried, f"{place} as _ingest_place", f"{one.order} as {ORDER}"])
    return f"select {terms} from {db.staged(one.stage)}"


def _is_newer_than(db: Database, target: Target, source: str, schema: pa.Schema) -> str:
    name = db.quoted(str(target.version_column))
    kind = schema.field(str(target.version_column)).type
    there, here = db.ordered(f"t.{name}", kind), db.ordered(f"{source}.{name}", kind)
    return f"{there} is not null and ({here} is null or {here} < {there})"
