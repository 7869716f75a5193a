"""Moves staged rows into a unit's table, inside the transaction that also records the commit in the ledger."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from ingest_ray.sdk.types import Target
from ingest_ray.sinks.columns import internal_name
from ingest_ray.sinks.databases.database import ORDER, WINNERS, Database, Session
from ingest_ray.sinks.databases.stages import (
    STAGE_PROVENANCE,
    PreparedStage,
    refuse_lost_stages,
    refuse_uncounted_rows,
)
from ingest_ray.sinks.history.columns import IS_CURRENT, VALID_FROM, VALID_TO, keeps_history, without_history
from ingest_ray.sinks.provenance import DELETED_AT, PROVENANCE_COLUMNS

TRUE, FALSE = "(1 = 1)", "(1 = 0)"
GROUP_INDEX, RANK = "_ingest_place", "_ingest_rank"


def insert(
    db: Database, session: Session, target: Target, table: str, stages: Sequence[PreparedStage], schema: pa.Schema
) -> None:
    key = [name for name in target.key if name in schema.names]
    columns = source_columns(db, without_history(schema, target))
    current: list[str] = []
    if keeps_history(target):
        columns, current = [*columns, db.quoted(VALID_FROM)], [db.quoted(IS_CURRENT)]
    listed = ", ".join([*columns, *map(db.quoted, STAGE_PROVENANCE), *current])
    for stage in stages:
        if key:
            db.make_room_for_keys(session, table, key, db.stage_source(stage.stage))
        values = ", ".join([*columns, *stage.provenance(db), *(TRUE for _ in current)])
        inserted = session.execute_update(
            f"insert into {db.quoted_table(table)} ({listed}) select {values} from {db.stage_source(stage.stage)}"
        )
        if inserted != stage.rows:
            refuse_lost_stages(db, session, {stage.stage: stage.rows})
            refuse_uncounted_rows(db, table, stage.rows, inserted)


def upsert(
    db: Database, session: Session, target: Target, table: str, stages: Sequence[PreparedStage], schema: pa.Schema
) -> int:
    """Returns how many of the staged rows are in the table now: the newest of each key, unless the table has a newer one.

    NULLs in a key equal each other. A NULL version is older than any other; of equal versions, and without a version column, the
    later row wins: later in the group, later in its slice.
    """
    refuse_lost_stages(db, session, {stage.stage: stage.rows for stage in stages})
    session.execute(f"{db.drop_temporary_sql} {WINNERS}")
    session.execute(_create_winners_sql(db, target, stages, schema))
    db.prepare_merge(session, table, target.key)
    db.make_room_for_keys(session, table, target.key, WINNERS)
    matches = [KeyMatch(db, target, is_null=False)]
    if session.execute(f"select 1 from {WINNERS} w where {matches[0].has_null} limit 1"):
        matches.append(KeyMatch(db, target, is_null=True))
    quoted_table = db.quoted_table(table)
    for match in matches:
        if target.version_column:
            session.execute(
                f"delete from {WINNERS} where exists (select 1 from {quoted_table} t where {match.condition(WINNERS)}"
                f" and {_is_newer_in_table(db, target, WINNERS, schema)})"
            )
    ((committed,),) = session.execute(f"select count(*) from {WINNERS}")
    columns = [db.quoted(name) for name in schema.names if name != DELETED_AT]
    names, values = ", ".join(columns), {name: f"w.{name}" for name in columns}
    values[db.quoted(DELETED_AT)] = "null"
    written = 0
    for match in matches:
        written += session.execute_update(db.update_from_sql(quoted_table, WINNERS, values, match.condition("w")))
        written += session.execute_update(
            f"insert into {quoted_table} ({names}) select {names} from {WINNERS} w where {match.applies('w')}"
            f" and not exists (select 1 from {quoted_table} t where {match.condition('w')})"
        )
    if written > committed:  # the table has keys more than once, as after appends
        written = sum(match.count_written(session, quoted_table) for match in matches)
    refuse_uncounted_rows(db, table, int(committed), written)
    session.execute(f"{db.drop_temporary_sql} {WINNERS}")
    return int(committed)


def select_keys_sql(db: Database, target: Target, table: str) -> str:
    keys = ", ".join(db.quoted(name) for name in target.key)
    return f"select {keys} from {db.quoted_table(table)} where {is_alive(db, target)}"


def is_alive(db: Database, target: Target) -> str:
    """The condition of rows that are no tombstones; of a history, of current rows."""
    return db.quoted(IS_CURRENT) if keeps_history(target) else f"{db.quoted(DELETED_AT)} is null"


def erase(db: Database, session: Session, target: Target, table: str, source: str, how: str) -> int:
    """Marks or removes the rows whose keys are in `source`, an item of FROM; returns how many. Of a history, closes the current ones."""
    quoted_table, keys = db.quoted_table(table), [db.quoted(name) for name in target.key]
    db.prepare_merge(session, table, target.key)
    listed = ", ".join(keys)
    nulls = KeyMatch(db, target, is_null=True)
    is_staged = f"{f'({listed})' if len(keys) > 1 else listed} in (select {listed} from {source} w)"
    is_staged_null = f"exists (select 1 from {source} w where {nulls.null_condition('w', quoted_table)})"
    is_kept = how == "tombstone" or keeps_history(target)
    alive = is_alive(db, target) if is_kept else "1 = 1"
    now = db.timestamp_literal(datetime.now(UTC))
    settings = f"{db.quoted(DELETED_AT)} = {now}"
    if keeps_history(target):
        begin = db.quoted(VALID_FROM)
        ended = f"case when {begin} > {now} then {begin} else {now} end"
        settings += f", {db.quoted(VALID_TO)} = {ended}, {db.quoted(IS_CURRENT)} = {FALSE}"
    erased = 0
    for is_chosen in (is_staged, is_staged_null):
        where = f"where {is_chosen} and {alive}"
        ((count,),) = session.execute(f"select count(*) from {quoted_table} {where}")
        if not is_kept:
            written = session.execute_update(f"delete from {quoted_table} {where}")
        else:
            written = session.execute_update(f"update {quoted_table} set {settings} {where}")
        refuse_uncounted_rows(db, table, int(count), written)
        erased += int(count)
    return erased


class KeyMatch:
    """The SQL conditions under which a winner and a row of the table have the same key.

    Keys without NULLs are compared by `=`, which can use an index.
    """

    def __init__(self, db: Database, target: Target, *, is_null: bool) -> None:
        self._db = db
        self._keys = [db.quoted(name) for name in target.key]
        self._is_null = is_null
        self.has_null = self._has_null("w")

    def applies(self, source: str) -> str:
        """True for the rows of `source` that this match compares: those with, or those without a NULL in the key."""
        return f"({self._has_null(source)})" if self._is_null else f"not ({self._has_null(source)})"

    def condition(self, source: str) -> str:
        """Compares the table `t` with `source`."""
        if not self._is_null:
            return " and ".join(f"t.{key} = {source}.{key}" for key in self._keys)
        return self.null_condition(source, "t")

    def null_condition(self, source: str, table: str) -> str:
        """For keys with NULLs."""
        equal = " and ".join(self._db.null_safe_equal(f"{table}.{key}", f"{source}.{key}") for key in self._keys)
        return f"{self.applies(source)} and {equal}"

    def count_present(self, session: Session, quoted_table: str, source: str) -> int:
        """The rows of `source` whose key the table has."""
        ((count,),) = session.execute(
            f"select count(*) from {source} w where {self.applies('w')}"
            f" and exists (select 1 from {quoted_table} t where {self.condition('w')})"
        )
        return int(count)

    def count_written(self, session: Session, quoted_table: str) -> int:
        """The winners that are in the table."""
        same = " and ".join(f"t.{name} = w.{name}" for name in map(self._db.quoted, STAGE_PROVENANCE))
        ((count,),) = session.execute(
            f"select count(*) from {WINNERS} w where {self.applies('w')}"
            f" and exists (select 1 from {quoted_table} t where {self.condition('w')} and {same})"
        )
        return int(count)

    def _has_null(self, source: str) -> str:
        return " or ".join(f"{source}.{key} is null" for key in self._keys)


def source_columns(db: Database, schema: pa.Schema) -> list[str]:
    return [db.quoted(name) for name in schema.names if name not in PROVENANCE_COLUMNS]


def _create_winners_sql(db: Database, target: Target, stages: Sequence[PreparedStage], schema: pa.Schema) -> str:
    version, newest = target.version_column, ""
    if version:
        term = db.binary_ordered(db.quoted(version), schema.field(version).type)
        newest = f"case when {term} is null then 1 else 0 end, {term} desc, "
    query = last_rows_sql(
        db, stages, schema, source_columns(db, schema), [db.quoted(name) for name in target.key], newest
    )
    return f"create temporary table {WINNERS}{db.table_options} as {query}"


def last_rows_sql(
    db: Database,
    stages: Sequence[PreparedStage],
    schema: pa.Schema,
    columns: Sequence[str],
    parts: Sequence[str],
    newest: str = "",
    more: str = "",
) -> str:
    """Of the staged rows with equal `parts` the first by `newest`, else the last that came. `more`: further terms of the result."""
    names = ", ".join([*columns, *(db.quoted(name) for name in STAGE_PROVENANCE)])
    order, group_index, rank = (internal_name(name, schema.names) for name in (ORDER, GROUP_INDEX, RANK))
    rows = " union all ".join(
        _stage_query(db, stage, columns, f"{index} as {group_index}, {stage.order(order)} as {order}")
        for index, stage in enumerate(stages)
    )
    return (
        f"select {names}{more} from (select a.*, row_number() over"
        f" (partition by {', '.join(parts)} order by {newest}{group_index} desc, {order} desc) as {rank}"
        f" from ({rows}) a) r where {rank} = 1"
    )


def _stage_query(db: Database, stage: PreparedStage, source_columns: Sequence[str], positions: str) -> str:
    """A stage's rows with their provenance; `positions`: the terms of the stage's index in the group, and of a row's position in its slice."""
    provenance = [
        f"{term} as {db.quoted(name)}" for term, name in zip(stage.provenance(db), STAGE_PROVENANCE, strict=True)
    ]
    terms = ", ".join([*source_columns, *provenance, positions])
    return f"select {terms} from {db.stage_source(stage.stage)}"


def _is_newer_in_table(db: Database, target: Target, source: str, schema: pa.Schema) -> str:
    name = db.quoted(str(target.version_column))
    kind = schema.field(str(target.version_column)).type
    stored, incoming = db.binary_ordered(f"t.{name}", kind), db.binary_ordered(f"{source}.{name}", kind)
    return f"{stored} is not null and ({incoming} is null or {incoming} < {stored})"
