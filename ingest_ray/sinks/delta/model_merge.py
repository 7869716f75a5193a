"""Merges prepared files of one CDM model into its Delta table: new rows, and the erasure of stale ones, in one commit.

The rules are those of a database (`databases.model_dml`): the newest row of each id stays; a source row of which the unit's tables
hold a newer version changes nothing; rows that a source row made before and does not make any more are stale.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, QueryBuilder

from ingest_ray.cdm.models import ENDPOINT, KEY, READ_VERSIONS_END, SOURCE_KEY, UNIT, VERSION
from ingest_ray.sdk.scratch_database import open_scratch
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.delta.erase import EraseMode
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.merge import ORDER, quoted, read_batches
from ingest_ray.sinks.delta.statistics import writer_properties
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.sinks.read_ahead import ReadAhead

IS_STALE = "_ingest_gone"
NARROW = pa.schema([(KEY, pa.string()), (SOURCE_KEY, pa.string()), (VERSION, pa.int64())])


@dataclass(frozen=True)
class MergeSelection:
    """`winners`: the number of rows to merge. `dropped`: positions, over all prepared files, of markers and of superseded rows.
    `stale`: ids to erase."""

    winners: int
    dropped: pa.Array
    stale: list[str]


class ModelMerge:
    def __init__(
        self, table: DeltaTable, files: TableFiles, target: Target, columns: pa.Schema, siblings: Sequence[DeltaTable]
    ) -> None:
        self._table = table
        self._files = files
        self._target = target
        self._columns = columns
        self._siblings = [table, *siblings]

    def select(self, names: Sequence[str]) -> MergeSelection:
        """Which of the prepared rows to merge, and which stored rows they make stale."""
        with self._connect() as connection:
            connection.register("prepared", self._number_rows(names))
            connection.execute("create temp table a as select * from prepared")
            is_replace = self._target.write is WriteMode.REPLACE
            newest_versions = _NO_VERSIONS if is_replace else self._newest_versions_sql(connection)
            connection.execute(f"create temp table known as {newest_versions}")
            connection.execute(
                f"create temp table sources as select s.k, s.v from (select {SOURCE_KEY} as k, max({VERSION}) as v from a"
                f" where {SOURCE_KEY} is not null group by 1) s left join known n on n.k = s.k"
                f" where {_may_replace('n.v', 's.v')}"
            )
            newest = "" if is_replace else f"and {_may_replace('n.v', f'a.{VERSION}')}"
            id_newest = "" if is_replace else f"and {_may_replace(f't.{VERSION}', f'a.{VERSION}')}"
            connection.execute(
                f"create temp table winners as select {KEY}, {ORDER} from (select a.{KEY}, a.{ORDER}, row_number() over (partition by"
                f" a.{KEY} order by a.{VERSION} desc nulls last, a.{ORDER} desc) as rank from a"
                f" left join (select {SOURCE_KEY} as k, max({VERSION}) as v from a group by 1) s on s.k = a.{SOURCE_KEY}"
                f" left join known n on n.k = a.{SOURCE_KEY} left join stored t on t.{KEY} = a.{KEY}"
                f" where a.{KEY} is not null and (s.v is null or a.{VERSION} >= s.v) {newest} {id_newest}) where rank = 1"
            )
            is_owned = f"t.{ENDPOINT} = $1 and t.{UNIT} = $2"
            is_alive = "" if is_replace else f"and t.{DELETED_AT} is null and t.{SOURCE_KEY} in (select k from sources)"
            stale = connection.execute(
                f"select t.{KEY} from stored t where {is_owned} {is_alive} and t.{KEY} not in (select {KEY} from winners)",
                [self._target.endpoint_id, self._target.unit_id],
            ).fetchall()
            dropped = connection.sql(
                f"select {ORDER} from a where {ORDER} not in (select {ORDER} from winners) order by 1"
            ).to_arrow_table()
            ((winners,),) = connection.execute("select count(*) from winners").fetchall()
        return MergeSelection(
            int(winners), pa.table(dropped).column(0).combine_chunks().cast(pa.int64()), [str(key) for (key,) in stale]
        )

    def select_by_source_keys(self, source_keys: pa.ChunkedArray) -> MergeSelection:
        """No winners; the rows that were made from these source rows are stale."""
        with self._connect() as connection:
            connection.register("wanted", pa.table({"k": source_keys}))
            rows = connection.execute(
                f"select t.{KEY} from stored t where t.{ENDPOINT} = $1 and t.{UNIT} = $2 and t.{DELETED_AT} is null"
                f" and t.{SOURCE_KEY} in (select k from wanted)",
                [self._target.endpoint_id, self._target.unit_id],
            ).fetchall()
        return MergeSelection(0, pa.array([], pa.int64()), [str(key) for (key,) in rows])

    def commit(
        self,
        names: Sequence[str],
        selection: MergeSelection,
        how: EraseMode,
        properties: CommitProperties,
    ) -> None:
        """One commit, also where nothing changes: its number must be in the table, and an empty merge writes no commit."""
        if not selection.winners and not selection.stale:
            self._table.create_write_transaction(
                [],
                "append",
                self._table.schema(),
                commit_properties=properties,
                post_commithook_properties=AFTER_COMMIT,
            )
            return
        schema = pa.schema([*self._columns, pa.field(IS_STALE, pa.bool_())])
        values = {quoted(name): f"s.{quoted(name)}" for name in self._columns.names}
        with ReadAhead(self._merge_source(names, selection, schema)) as batches:
            source = read_batches_as(schema, batches)
            merger = self._table.merge(
                source,
                f"s.{quoted(KEY)} = t.{quoted(KEY)}",
                source_alias="s",
                target_alias="t",
                streamed_exec=True,
                commit_properties=properties,
                post_commithook_properties=AFTER_COMMIT,
                writer_properties=writer_properties(self._table, pa.schema(self._table.schema().to_arrow())),
            )
            merger = merger.when_matched_update(values, predicate=f"NOT s.{quoted(IS_STALE)}")
            if how == "delete":
                merger = merger.when_matched_delete(predicate=f"s.{quoted(IS_STALE)}")
            else:
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                merger = merger.when_matched_update(
                    {quoted(DELETED_AT): f"CAST('{now}' AS TIMESTAMP)"}, predicate=f"s.{quoted(IS_STALE)}"
                )
            merger.when_not_matched_insert(values, predicate=f"NOT s.{quoted(IS_STALE)}").execute()

    # --- steps

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = open_scratch()
        connection.register("table_rows", _reader(self._table, (KEY, SOURCE_KEY, VERSION, ENDPOINT, UNIT, DELETED_AT)))
        connection.execute("create temp table stored as select * from table_rows")
        return connection

    def _newest_versions_sql(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Selects the newest version that the unit's tables hold of each source row of the prepared ones."""
        parts = []
        for number, table in enumerate(self._siblings):
            connection.register(f"sibling{number}", _reader(table, (SOURCE_KEY, VERSION, ENDPOINT, UNIT)))
            endpoint, unit = (v.replace("'", "''") for v in (self._target.endpoint_id, self._target.unit_id))
            parts.append(
                f"select {SOURCE_KEY} as k, {VERSION} as v from sibling{number} where {ENDPOINT} = '{endpoint}'"
                f" and {UNIT} = '{unit}' and {SOURCE_KEY} is not null and {SOURCE_KEY} in (select {SOURCE_KEY} from a)"
            )
        return f"select k, max(v) as v from ({' union all '.join(parts)}) group by k"

    def _number_rows(self, names: Sequence[str]) -> pa.Table:
        batches = [batch.cast(NARROW) for batch in read_batches(self._files, names, NARROW.names)]
        table = pa.Table.from_batches(batches, NARROW)
        return table.append_column(ORDER, pa.array(range(table.num_rows), pa.int64()))

    def _merge_source(
        self, names: Sequence[str], selection: MergeSelection, schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in read_batches(self._files, names, self._columns.names):
            numbers = pa.array(range(start, start + batch.num_rows), pa.int64())
            start += batch.num_rows
            winners = batch.filter(pc.invert(pc.is_in(numbers, value_set=selection.dropped))).cast(self._columns)
            yield pa.RecordBatch.from_arrays([*winners.columns, pa.repeat(False, winners.num_rows)], schema=schema)
        count = len(selection.stale)
        if count:
            columns = [
                pa.array(selection.stale, pa.string()) if field.name == KEY else pa.nulls(count, field.type)
                for field in self._columns
            ]
            yield pa.RecordBatch.from_arrays([*columns, pa.repeat(True, count)], schema=schema)


def _may_replace(old: str, new: str) -> str:
    """Versions by cursor and versions by reading are not compared with each other: of them the later arrival wins."""
    return f"({old} is null or {new} is null or {old} <= {new} or ({old} < {READ_VERSIONS_END}) <> ({new} < {READ_VERSIONS_END}))"


def _reader(table: DeltaTable, columns: Sequence[str]) -> pa.RecordBatchReader:
    """A stream through Delta's own engine, which reads statistics and features that Arrow's dataset does not know."""
    stored = pa.schema(table.schema().to_arrow())
    schema = pa.schema([stored.field(name) for name in columns])
    selected = ", ".join(f"t.{quoted(name)}" for name in columns)
    rows = QueryBuilder().register("t", table).execute(f"SELECT {selected} FROM t")
    return read_batches_as(schema, (pa.record_batch(batch).cast(schema) for batch in rows))


_NO_VERSIONS = "select null::varchar as k, null::bigint as v where false"
