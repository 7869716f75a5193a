"""Merges prepared files of one CDM model into its Delta table: rows, and what their source rows do not make any more, in one commit.

The rules are those of a database (`databases.model_moves`): the newest of each id stays, a source row of which the unit's tables know a
newer version changes nothing, and what else a source row made before is stale.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable

from ingest_ray.cdm.models import ENDPOINT, KEY, SOURCE_KEY, UNIT, VERSION
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.merge import ORDER, batches_of, quoted
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.sinks.read_ahead import ReadAhead

GONE = "_ingest_gone"
NARROW = pa.schema([(KEY, pa.string()), (SOURCE_KEY, pa.string()), (VERSION, pa.int64())])


@dataclass(frozen=True)
class Chosen:
    """`dropped`: places, in order of arrival, of markers and of rows that do not count. `stale`: ids to erase."""

    kept: int
    dropped: pa.Array
    stale: list[str]


class ModelMerge:
    def __init__(
        self, table: DeltaTable, files: TableFiles, target: Target, shape: pa.Schema, siblings: Sequence[DeltaTable]
    ) -> None:
        self._table = table
        self._files = files
        self._target = target
        self._shape = shape
        self._siblings = [table, *siblings]

    def choose(self, names: Sequence[str]) -> Chosen:
        """What of the prepared rows counts, and what becomes stale by them."""
        with self._connected() as door:
            door.register("arrivals", self._numbered(names))
            door.execute("create table a as select * from arrivals")
            is_replace = self._target.write is WriteMode.REPLACE
            door.execute(f"create table known as {self._known(door) if not is_replace else _NOTHING_KNOWN}")
            door.execute(
                f"create table sources as select s.k, s.v from (select {SOURCE_KEY} as k, max({VERSION}) as v from a"
                f" where {SOURCE_KEY} is not null group by 1) s left join known n on n.k = s.k"
                " where n.v is null or s.v is null or n.v <= s.v"
            )
            newest = "" if is_replace else f"and (n.v is null or a.{VERSION} is null or n.v <= a.{VERSION})"
            id_newest = (
                "" if is_replace else f"and (t.{VERSION} is null or a.{VERSION} is null or t.{VERSION} <= a.{VERSION})"
            )
            door.execute(
                f"create table winners as select {KEY}, {ORDER} from (select a.{KEY}, a.{ORDER}, row_number() over (partition by"
                f" a.{KEY} order by a.{VERSION} desc nulls last, a.{ORDER} desc) as place from a"
                f" left join (select {SOURCE_KEY} as k, max({VERSION}) as v from a group by 1) s on s.k = a.{SOURCE_KEY}"
                f" left join known n on n.k = a.{SOURCE_KEY} left join there t on t.{KEY} = a.{KEY}"
                f" where a.{KEY} is not null and (s.v is null or a.{VERSION} >= s.v) {newest} {id_newest}) where place = 1"
            )
            mine = f"t.{ENDPOINT} = $1 and t.{UNIT} = $2"
            alive = "" if is_replace else f"and t.{DELETED_AT} is null and t.{SOURCE_KEY} in (select k from sources)"
            stale = door.execute(
                f"select t.{KEY} from there t where {mine} {alive} and t.{KEY} not in (select {KEY} from winners)",
                [self._target.endpoint_id, self._target.unit_id],
            ).fetchall()
            dropped = door.sql(
                f"select {ORDER} from a where {ORDER} not in (select {ORDER} from winners) order by 1"
            ).to_arrow_table()
            ((kept,),) = door.execute("select count(*) from winners").fetchall()
        return Chosen(
            int(kept), pa.table(dropped).column(0).combine_chunks().cast(pa.int64()), [str(key) for (key,) in stale]
        )

    def of_keys(self, keys: pa.ChunkedArray) -> Chosen:
        """Nothing new; stale are the ids of living rows that were made of these source rows."""
        with self._connected() as door:
            door.register("wanted", pa.table({"k": keys}))
            found = door.execute(
                f"select t.{KEY} from there t where t.{ENDPOINT} = $1 and t.{UNIT} = $2 and t.{DELETED_AT} is null"
                f" and t.{SOURCE_KEY} in (select k from wanted)",
                [self._target.endpoint_id, self._target.unit_id],
            ).fetchall()
        return Chosen(0, pa.array([], pa.int64()), [str(key) for (key,) in found])

    def run(
        self,
        names: Sequence[str],
        chosen: Chosen,
        how: Literal["tombstone", "delete"],
        properties: CommitProperties,
    ) -> None:
        """One commit, also where there is nothing to do: its number must be in the table, and an empty merge writes none."""
        if not chosen.kept and not chosen.stale:
            self._table.create_write_transaction([], "append", self._table.schema(), commit_properties=properties)
            return
        schema = pa.schema([*self._shape, pa.field(GONE, pa.bool_())])
        values = {quoted(name): f"s.{quoted(name)}" for name in self._shape.names}
        with ReadAhead(self._source(names, chosen, schema)) as batches:
            source = pa.RecordBatchReader.from_batches(schema, batches)
            merger = self._table.merge(
                source,
                f"s.{quoted(KEY)} = t.{quoted(KEY)}",
                source_alias="s",
                target_alias="t",
                streamed_exec=True,
                commit_properties=properties,
            )
            merger = merger.when_matched_update(values, predicate=f"NOT s.{quoted(GONE)}")
            if how == "delete":
                merger = merger.when_matched_delete(predicate=f"s.{quoted(GONE)}")
            else:
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                merger = merger.when_matched_update(
                    {quoted(DELETED_AT): f"CAST('{now}' AS TIMESTAMP)"}, predicate=f"s.{quoted(GONE)}"
                )
            merger.when_not_matched_insert(values, predicate=f"NOT s.{quoted(GONE)}").execute()

    # --- pieces

    def _connected(self) -> duckdb.DuckDBPyConnection:
        door = duckdb.connect(config={"threads": 1})
        door.register("stored", _reader(self._table, (KEY, SOURCE_KEY, VERSION, ENDPOINT, UNIT, DELETED_AT)))
        door.execute("create table there as select * from stored")
        return door

    def _known(self, door: duckdb.DuckDBPyConnection) -> str:
        """The newest version that the unit's tables have of each source row."""
        parts = []
        for number, table in enumerate(self._siblings):
            door.register(f"sibling{number}", _reader(table, (SOURCE_KEY, VERSION, ENDPOINT, UNIT)))
            endpoint, unit = (v.replace("'", "''") for v in (self._target.endpoint_id, self._target.unit_id))
            parts.append(
                f"select {SOURCE_KEY} as k, {VERSION} as v from sibling{number} where {ENDPOINT} = '{endpoint}'"
                f" and {UNIT} = '{unit}' and {SOURCE_KEY} is not null and {SOURCE_KEY} in (select {SOURCE_KEY} from a)"
            )
        return f"select k, max(v) as v from ({' union all '.join(parts)}) group by k"

    def _numbered(self, names: Sequence[str]) -> pa.Table:
        found = [batch.cast(NARROW) for batch in batches_of(self._files, names, NARROW.names)]
        table = pa.Table.from_batches(found, NARROW)
        return table.append_column(ORDER, pa.array(range(table.num_rows), pa.int64()))

    def _source(self, names: Sequence[str], chosen: Chosen, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in batches_of(self._files, names, self._shape.names):
            numbers = pa.array(range(start, start + batch.num_rows), pa.int64())
            start += batch.num_rows
            kept = batch.filter(pc.invert(pc.is_in(numbers, value_set=chosen.dropped))).cast(self._shape)
            yield pa.RecordBatch.from_arrays([*kept.columns, pa.repeat(False, kept.num_rows)], schema=schema)
        count = len(chosen.stale)
        if count:
            columns = [
                pa.array(chosen.stale, pa.string()) if field.name == KEY else pa.nulls(count, field.type)
                for field in self._shape
            ]
            yield pa.RecordBatch.from_arrays([*columns, pa.repeat(True, count)], schema=schema)


def _reader(table: DeltaTable, columns: Sequence[str]) -> pa.RecordBatchReader:
    """A stream, not the dataset itself: DuckDB would push filters into it that Arrow does not know."""
    return table.to_pyarrow_dataset().scanner(columns=list(columns)).to_reader()


_NOTHING_KNOWN = "select null::varchar as k, null::bigint as v where false"
