"""Merges staged rows into a history, in the transaction that also records the commit.

The database compares keys, versions and values, as it stores them; `plan_history` decides; then three statements close rows, replace
values and open rows. Each temporary table stands once in a statement: MySQL opens none twice
(https://dev.mysql.com/doc/refman/8.4/en/temporary-table-problems.html).
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from ingest_ray.sdk.types import Target
from ingest_ray.sinks.columns import internal_name
from ingest_ray.sinks.databases.database import WINNERS, Database, Session
from ingest_ray.sinks.databases.dml import FALSE, TRUE, KeyMatch, last_rows_sql, source_columns
from ingest_ray.sinks.databases.stages import (
    STAGE_PROVENANCE,
    PreparedStage,
    refuse_lost_stages,
    refuse_uncounted_rows,
)
from ingest_ray.sinks.history.columns import (
    INSTANT,
    IS_CURRENT,
    VALID_FROM,
    VALID_TO,
    is_replay_without_versions,
    version_of,
    without_history,
)
from ingest_ray.sinks.history.plan import LATEST, HistoryPlan, HistoryRow, Validity, keys_of, plan_history
from ingest_ray.sinks.provenance import DELETED_AT, INGESTED_AT
from ingest_ray.sinks.value_conversion import convert_back

KNOWN, VALIDITY, CHANGED = "_ingest_known", "_ingest_validity", "_ingest_changed"
STORED, COMING, REPLACING = 1, 0, 2


def merge_history(
    db: Database, session: Session, target: Target, table: str, stages: Sequence[PreparedStage], schema: pa.Schema
) -> int:
    """Returns how many of the staged rows are in the table now."""
    refuse_lost_stages(db, session, {stage.stage: stage.rows for stage in stages})
    merge = HistoryMerge(db, session, target, table, schema)
    merge.create_winners(stages)
    return merge.run()


class HistoryMerge:
    is_ordered = False
    """The rows that come are newer than all that the table has, whenever they were read."""

    def __init__(self, db: Database, session: Session, target: Target, table: str, schema: pa.Schema) -> None:
        self._db = db
        self._session = session
        self._target = target
        self._table = table
        self._quoted_table = db.quoted_table(table)
        self._schema = schema
        self._version = version_of(target)
        self._columns = source_columns(db, without_history(schema, target))
        self._matches = [KeyMatch(db, target, is_null=False)]
        names = (
            "_ingest_id",
            "_ingest_same",
            "_ingest_kind",
            "_ingest_read",
            "_ingest_begin",
            "_ingest_end",
            "_ingest_gone",
        )
        self.id, self.same, self.kind, self.read, self.begin, self.end, self.gone = (
            internal_name(name, schema.names) for name in names
        )

    def run(self) -> int:
        """After the winners are there; returns how many of them are in the table now."""
        self.create_known_rows()
        plan = self.plan()
        self.load(plan)
        self.apply(plan)
        for name in (WINNERS, KNOWN, VALIDITY, CHANGED):
            self._session.execute(f"{self._db.drop_temporary_sql} {name}")
        return plan.rows

    def create_winners(self, stages: Sequence[PreparedStage]) -> None:
        """Of the rows that come, the last one of each key and version, with its number and whether the current row is equal."""
        parts = [self._quoted(name) for name in self._target.key]
        if self._version is not None:
            parts.append(self._ordered(self._version))
        columns = [*self._columns, self._quoted(VALID_FROM)]
        more = f", row_number() over (order by {', '.join(parts)}) as {self.id}, 0 as {self.same}"
        query = last_rows_sql(self._db, stages, self._schema, columns, parts, more=more)
        self._create(WINNERS, query)
        self._find_nulls(WINNERS)
        self._mark_equal_rows()

    def _find_nulls(self, source: str) -> None:
        self._matches = [KeyMatch(self._db, self._target, is_null=False)]
        if self._session.execute(f"select 1 from {source} w where {self._matches[0].has_null} limit 1"):
            self._matches.append(KeyMatch(self._db, self._target, is_null=True))

    def _mark_equal_rows(self) -> None:
        self._db.prepare_merge(self._session, self._table, self._target.key)
        self._db.make_room_for_keys(self._session, self._table, self._target.key, WINNERS)
        equal = " and ".join(
            self._db.null_safe_equal(self._compared(f"t.{name}", name), self._compared(f"{WINNERS}.{name}", name))
            for name in self._columns
        )
        for match in self._matches:
            self._session.execute(
                f"update {WINNERS} set {self.same} = 1 where exists (select 1 from {self._quoted_table} t"
                f" where {match.condition(WINNERS)} and t.{self._quoted(IS_CURRENT)} and {equal})"
            )

    def create_known_rows(self) -> None:
        """The table's rows of the keys that come, and the rows that come, without their values."""
        times = [f"t.{self._quoted(name)}" for name in (INGESTED_AT, VALID_FROM, VALID_TO, DELETED_AT)]
        narrow = [self._quoted(name) for name in self._narrow]
        for index, match in enumerate(self._matches):
            sign = "-" if index else ""  # keys with NULLs have numbers of their own
            terms = [*(f"t.{name}" for name in narrow), f"{sign}row_number() over (order by {times[1]}) as {self.id}"]
            terms += [f"{STORED} as {self.kind}", f"0 as {self.same}"]
            aliases = (self.read, self.begin, self.end, self.gone)
            terms += [f"{term} as {alias}" for term, alias in zip(times, aliases, strict=True)]
            query = (
                f"select {', '.join(terms)} from {self._quoted_table} t"
                f" where {self._is_coming(match, is_null=index > 0)}"
            )
            if index:
                self._session.execute(f"insert into {KNOWN} {query}")
            else:
                self._create(KNOWN, query)
        terms = [*narrow, self.id, str(COMING), self.same, self._quoted(INGESTED_AT), self._quoted(VALID_FROM)]
        self._session.execute(f"insert into {KNOWN} select {', '.join(terms)}, null, null from {WINNERS}")

    def _is_coming(self, match: KeyMatch, *, is_null: bool) -> str:
        """Whether a row of the table has a key that comes. IN is quick without an index of the temporary table, EXISTS is not."""
        if is_null:
            return f"exists (select 1 from {WINNERS} w where {match.condition('w')})"
        keys = [self._quoted(name) for name in self._target.key]
        terms, listed = ", ".join(f"t.{key}" for key in keys), ", ".join(keys)
        return f"{f'({terms})' if len(keys) > 1 else terms} in (select {listed} from {WINNERS})"

    def plan(self) -> HistoryPlan:
        return plan_history(
            keys_of(self._rows()),
            has_versions=self._version is not None,
            is_replay=is_replay_without_versions(self._target),
        )

    def load(self, plan: HistoryPlan) -> None:
        """The plan as a temporary table."""
        names = (self.id, self.kind, self.begin, self.end, self.gone)
        query = f"select {', '.join(names)} from {KNOWN} where 1 = 0"
        self._create(VALIDITY, query, self._db.index_clause(self.id))
        replaced = [Validity(row, self._begins[position], None, None) for row, position in plan.replaces]
        kinds = [COMING] * len(plan.opens) + [STORED] * len(plan.closes) + [REPLACING] * len(replaced)
        found = [*plan.opens, *plan.closes, *replaced]
        if not found:
            return
        numbers = [[row.id for row in found], kinds]
        times = [[row.begin for row in found], [row.end for row in found], [row.deleted for row in found]]
        columns = [pa.array(values, pa.int64()) for values in (*numbers, *times)]
        rows = pa.table([*columns[:2], *(column.cast(INSTANT) for column in columns[2:])], names=list(names))
        self._db.insert_rows(self._session, VALIDITY, rows)

    def apply(self, plan: HistoryPlan) -> None:
        self._close(len(plan.closes))
        self._replace(len(plan.replaces))
        self._open(len(plan.opens))

    def _close(self, count: int) -> None:
        if not count:
            return
        keys = ", ".join(f"k.{self._quoted(name)}" for name in self._target.key)
        ended = f"p.{self.end} as {self.end}, p.{self.gone} as {self.gone}"
        self._create(
            CHANGED,
            f"select {keys}, k.{self.begin} as {self.begin}, {ended} from {KNOWN} k join {VALIDITY} p"
            f" on k.{self.id} = p.{self.id} and k.{self.kind} = p.{self.kind} where p.{self.kind} = {STORED}",
        )
        values = {
            self._quoted(VALID_TO): f"w.{self.end}",
            self._quoted(IS_CURRENT): FALSE,
            self._quoted(DELETED_AT): f"w.{self.gone}",
        }
        self._update(values, count)

    def _replace(self, count: int) -> None:
        if not count:
            return
        names = [*self._columns, *map(self._quoted, STAGE_PROVENANCE)]
        listed = ", ".join(f"w.{name}" for name in names)
        self._create(
            CHANGED,
            f"select {listed}, p.{self.begin} as {self.begin} from {WINNERS} w join {VALIDITY} p"
            f" on w.{self.id} = p.{self.id} where p.{self.kind} = {REPLACING}",
        )
        self._update({name: f"w.{name}" for name in names}, count)

    def _open(self, count: int) -> None:
        names = [*self._columns, *map(self._quoted, STAGE_PROVENANCE)]
        added = [self._quoted(name) for name in (VALID_FROM, VALID_TO, DELETED_AT, IS_CURRENT)]
        terms = [*(f"w.{name}" for name in names), *(f"p.{name}" for name in (self.begin, self.end, self.gone))]
        terms.append(f"case when p.{self.end} is null then {TRUE} else {FALSE} end")
        written = self._session.execute_update(
            f"insert into {self._quoted_table} ({', '.join([*names, *added])}) select {', '.join(terms)}"
            f" from {WINNERS} w join {VALIDITY} p on w.{self.id} = p.{self.id} where p.{self.kind} = {COMING}"
        )
        refuse_uncounted_rows(self._db, self._table, count, written)

    def _update(self, values: dict[str, str], count: int) -> None:
        """Each row of `CHANGED` changes the stored row of its key and begin."""
        written = 0
        for match in self._matches:
            where = f"{match.condition('w')} and {match.applies('w')} and t.{self._quoted(VALID_FROM)} = w.{self.begin}"
            statement = self._db.update_from_sql(self._quoted_table, CHANGED, values, where)
            written += self._session.execute_update(statement)
        refuse_uncounted_rows(self._db, self._table, count, written)

    def _rows(self) -> Iterator[tuple[int, HistoryRow]]:
        keys = ", ".join(self._quoted(name) for name in self._target.key)
        version = "1"
        if self._version is not None:
            term = self._ordered(self._version)
            version = f"case when {term} is null then 0 else 1 end, {term}"
        self._begins: dict[int, int] = {}
        query = (
            f"select dense_rank() over (order by {keys}) as k, dense_rank() over (partition by {keys} order by {version}) as v,"
            f" {self.id}, {self.kind}, {self.same}, {self.read}, {self.begin}, {self.end}, {self.gone} from {KNOWN} order by 1"
        )
        for batch in self._session.stream(query):
            plain = [[int(value) for value in column.to_pylist()] for column in batch.columns[:5]]
            times = [convert_back(column, INSTANT).cast(pa.int64()).to_pylist() for column in batch.columns[5:]]
            for key, number, row, kind, same, read, begin, end, gone in zip(*plain, *times, strict=True):
                if kind == STORED:
                    self._begins[row] = begin
                if self.is_ordered and kind == COMING:
                    read = LATEST
                yield key, HistoryRow(row, number, read or 0, begin, kind == STORED, end, gone, bool(same))

    @property
    def _narrow(self) -> list[str]:
        return list(dict.fromkeys([*self._target.key, *([self._version] if self._version is not None else [])]))

    def _ordered(self, name: str) -> str:
        return self._db.binary_ordered(self._quoted(name), self._schema.field(name).type)

    def _compared(self, term: str, quoted_name: str) -> str:
        name = next(name for name in self._schema.names if self._quoted(name) == quoted_name)
        return self._db.exact(term, self._schema.field(name).type)

    def _create(self, name: str, query: str, index: str = "") -> None:
        self._session.execute(f"{self._db.drop_temporary_sql} {name}")
        self._session.execute(f"create temporary table {name}{index}{self._db.table_options} as {query}")

    def _quoted(self, name: str) -> str:
        return self._db.quoted(name)
