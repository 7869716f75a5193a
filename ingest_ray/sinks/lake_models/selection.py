"""Which rows of a commit the table of a CDM model takes, and which of its rows they make stale.

The rules are those of a database (`databases.model_dml`): the newest row of each id stays; a source row of which the unit's tables
hold a newer version changes nothing; rows that a source row made before and does not make any more are stale.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from ingest_ray.cdm.models import ENDPOINT, KEY, READ_VERSIONS_END, SOURCE_KEY, UNIT, VERSION
from ingest_ray.sdk.scratch_database import open_scratch
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.provenance import DELETED_AT

ORDER = "_ingest_order"
NARROW = pa.schema([(KEY, pa.string()), (SOURCE_KEY, pa.string()), (VERSION, pa.int64())])
"""The columns of prepared rows that decide."""

StoredRows = Callable[[Sequence[str]], pa.RecordBatchReader]
"""All rows of a table, in the columns that are named."""


@dataclass(frozen=True)
class MergeSelection:
    """`winners`: the number of rows to merge. `dropped`: positions, over all prepared files, of markers and of superseded rows.
    `stale`: ids to erase."""

    winners: int
    dropped: pa.Array
    stale: list[str]


class ModelSelection:
    """`siblings`: the other tables of the unit, whose versions of a source row count, too."""

    def __init__(self, target: Target, stored: StoredRows, siblings: Sequence[StoredRows] = ()) -> None:
        self._target = target
        self._stored = stored
        self._siblings = [stored, *siblings]

    def select(self, prepared: pa.Table) -> MergeSelection:
        """Which of the prepared rows to merge, and which stored rows they make stale. `prepared`: `NARROW`."""
        with self._connect() as connection:
            numbers = pa.array(range(prepared.num_rows), pa.int64())
            connection.register("prepared", prepared.append_column(ORDER, numbers))
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

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = open_scratch()
        connection.register("table_rows", self._stored((KEY, SOURCE_KEY, VERSION, ENDPOINT, UNIT, DELETED_AT)))
        connection.execute("create temp table stored as select * from table_rows")
        return connection

    def _newest_versions_sql(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Selects the newest version that the unit's tables hold of each source row of the prepared ones."""
        parts = []
        for number, sibling in enumerate(self._siblings):
            connection.register(f"sibling{number}", sibling((SOURCE_KEY, VERSION, ENDPOINT, UNIT)))
            endpoint, unit = (v.replace("'", "''") for v in (self._target.endpoint_id, self._target.unit_id))
            parts.append(
                f"select {SOURCE_KEY} as k, {VERSION} as v from sibling{number} where {ENDPOINT} = '{endpoint}'"
                f" and {UNIT} = '{unit}' and {SOURCE_KEY} is not null and {SOURCE_KEY} in (select {SOURCE_KEY} from a)"
            )
        return f"select k, max(v) as v from ({' union all '.join(parts)}) group by k"


def _may_replace(old: str, new: str) -> str:
    """Versions by cursor and versions by reading are not compared with each other: of them the later arrival wins."""
    return f"({old} is null or {new} is null or {old} <= {new} or ({old} < {READ_VERSIONS_END}) <> ({new} < {READ_VERSIONS_END}))"


_NO_VERSIONS = "select null::varchar as k, null::bigint as v where false"
