"""Plans a commit to a history in a lake: the rows that come, and the table's rows of their keys, are compared in memory.

Keys and values compare as they are stored; NULLs equal each other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from ingest_ray.sdk.scratch_database import open_scratch
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.history.columns import (
    INSTANT,
    IS_CURRENT,
    VALID_FROM,
    VALID_TO,
    is_replay_without_versions,
    version_of,
)
from ingest_ray.sinks.history.plan import LATEST, HistoryPlan, HistoryRow, Validity, keys_of, plan_history
from ingest_ray.sinks.provenance import DELETED_AT, INGESTED_AT

NUMBER = "_ingest_number"
"""The column of a row's number: among the rows that come, or in the table as the caller counts them."""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def rows_of_keys(coming: pa.Table, key: Sequence[str], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of the batches, which may have more columns, the rows with a key of `coming`."""
    same = " and ".join(f"t.{quoted(name)} is not distinct from p.{quoted(name)}" for name in key)
    connection = open_scratch()
    try:
        connection.register("p", coming.select(list(key)))
        for batch in batches:
            numbers = pa.array(range(batch.num_rows), pa.int64())
            keys = pa.Table.from_batches([batch]).select(list(key)).append_column(NUMBER, numbers)
            connection.register("t", keys)
            found = connection.sql(f"select t.{NUMBER} from t semi join p on {same} order by 1").to_arrow_table()
            connection.unregister("t")
            if found.num_rows:
                yield batch.take(found.column(0).combine_chunks())
    finally:
        connection.close()


def current_rows_of(rows: pa.Table, stored: pa.Table, key: Sequence[str]) -> list[int | None]:
    """For each row the `NUMBER` of the current row of its key in `stored`; None: the table has none."""
    same = " and ".join(f"t.{quoted(name)} is not distinct from p.{quoted(name)}" for name in key)
    numbers = pa.array(range(rows.num_rows), pa.int64())
    connection = open_scratch()
    try:
        connection.register("p", rows.select(list(key)).append_column(NUMBER, numbers))
        connection.register("t", stored.select([*key, IS_CURRENT, NUMBER]))
        found = connection.sql(
            f"select p.{NUMBER}, max(t.{NUMBER}) from p left join t on {same} and t.{quoted(IS_CURRENT)} group by 1 order by 1"
        ).to_arrow_table()
    finally:
        connection.close()
    known: list[int | None] = found.column(1).to_pylist()
    return known


def close_before(stored: pa.Table, ends: Mapping[int, int]) -> tuple[pa.Table, list[Validity]]:
    """The stored rows as they are once those with the numbers `ends` were deleted at these times (microseconds), and what changed."""
    begins = stored.column(VALID_FROM).cast(INSTANT).cast(pa.int64()).to_pylist()
    closes = [Validity(row, begins[row], max(begins[row], time), time) for row, time in ends.items()]
    if not closes:
        return stored, []
    numbers = stored.column(NUMBER).to_pylist()
    by_row = {one.id: one for one in closes}
    for name, value in ((VALID_TO, "end"), (DELETED_AT, "deleted")):
        index = stored.schema.get_field_index(name)
        kind = stored.schema.field(index).type
        before = stored.column(name).cast(INSTANT).cast(pa.int64()).to_pylist()
        after = [
            getattr(by_row[row], value) if row in by_row else old for row, old in zip(numbers, before, strict=True)
        ]
        column = pa.array(after, pa.int64()).cast(INSTANT).cast(kind)
        stored = stored.set_column(index, stored.schema.field(index), column)
    index = stored.schema.get_field_index(IS_CURRENT)
    current = [
        row not in by_row and bool(old) for row, old in zip(numbers, stored.column(IS_CURRENT).to_pylist(), strict=True)
    ]
    return stored.set_column(index, stored.schema.field(index), pa.array(current, pa.bool_())), closes


def plan_commit(
    coming: pa.Table, stored: pa.Table, values: Sequence[str], target: Target, *, is_ordered: bool = False
) -> HistoryPlan:
    """`coming` and `stored` have `values` (the columns of the source), those of a history and of provenance, and `NUMBER`.

    Ids of the plan are those numbers. `stored`: all rows of the table with keys of `coming`, perhaps others. `is_ordered`: the rows
    that come are newer than all of them, whenever they were read.
    """
    version = version_of(target)
    found = _numbered_rows(coming, stored, values, target, version)
    if is_ordered:
        found = ((key, row if row.is_stored else replace(row, read_at=LATEST)) for key, row in found)
    plan_rows = keys_of(found)
    return plan_history(plan_rows, has_versions=version is not None, is_replay=is_replay_without_versions(target))


def _numbered_rows(
    coming: pa.Table, stored: pa.Table, values: Sequence[str], target: Target, version: str | None
) -> Iterator[tuple[int, HistoryRow]]:
    connection = open_scratch()
    try:
        connection.register("p", coming)
        connection.register("t", stored)
        found = connection.sql(_rows_sql(values, target, version)).to_arrow_table()
    finally:
        connection.close()
    plain = [found.column(index).to_pylist() for index in range(5)]
    times = [found.column(index).cast(INSTANT).cast(pa.int64()).to_pylist() for index in range(5, 9)]
    for key, number, row, is_stored, is_equal, read_at, begin, end, deleted in zip(*plain, *times, strict=True):
        yield key, HistoryRow(row, number, read_at or 0, begin or 0, is_stored, end, deleted, bool(is_equal))


def _rows_sql(values: Sequence[str], target: Target, version: str | None) -> str:
    """Of the rows that come, the last of each key and version; `dense_rank` numbers keys and versions."""
    key = [quoted(name) for name in target.key]
    parts = key if version is None else [*key, quoted(version)]
    keys = ", ".join(f"k{index}" for index in range(len(key)))
    ordered = "1" if version is None else "v is not null, v"
    terms = [*key, "null" if version is None else quoted(version)]
    listed = ", ".join(f"{term} as {alias}" for term, alias in zip(terms, [*keys.split(", "), "v"], strict=True))
    same_key = " and ".join(f"p.{name} is not distinct from t.{name}" for name in key)
    equal = " and ".join(f"p.{quoted(name)} is not distinct from t.{quoted(name)}" for name in values)
    read_at, begin, end, gone = (quoted(name) for name in (INGESTED_AT, VALID_FROM, VALID_TO, DELETED_AT))
    is_same = f"exists (select 1 from t where t.{quoted(IS_CURRENT)} and {same_key} and {equal})"
    return (
        f"with coming as (select {listed}, {NUMBER} as row_id, {read_at} as read_at, {begin} as begins, false as is_stored,"
        f" null::timestamptz as ends, null::timestamptz as gone, {is_same} as is_same, row_number() over (partition by"
        f" {', '.join(parts)} order by {read_at} desc, {NUMBER} desc) as nth from p),"
        f" known as (select {keys}, v, row_id, read_at, begins, is_stored, ends, gone, is_same from coming where nth = 1"
        f" union all select {listed}, {NUMBER}, {read_at}, {begin}, true, {end}, {gone}, false from t)"
        f" select dense_rank() over (order by {keys}) as key_number, dense_rank() over (partition by {keys}"
        f" order by {ordered}) as version_number, row_id, is_stored, is_same, read_at, begins, ends, gone from known order by 1"
    )


@dataclass(frozen=True)
class ChangedRows:
    """What a commit writes: `opened` are new rows, `updated` the rows that the stored ones with the numbers `positions` become."""

    opened: pa.Table
    updated: pa.Table
    positions: Sequence[int]


def changed_rows(plan: HistoryPlan, coming: pa.Table, stored: pa.Table) -> ChangedRows:
    """In the columns of `coming`, without `NUMBER`. The numbers of both are positions."""
    columns = pa.schema([field for field in coming.schema if field.name != NUMBER])
    rows, known = coming.select(columns.names), stored.select(columns.names).cast(columns)
    opened = _with_validities(rows.take(_positions(row.id for row in plan.opens)), plan.opens)
    closes = {row.id: row for row in plan.closes}
    values = {position: number for number, position in plan.replaces}
    ends = [known.column(name).cast(INSTANT).cast(pa.int64()) for name in (VALID_FROM, VALID_TO, DELETED_AT)]

    def validity(position: int) -> Validity:
        begin, end, deleted = (column[position].as_py() for column in ends)
        return closes.get(position, Validity(position, begin, end, deleted))

    closed = [position for position in closes if position not in values]
    parts = [
        _with_validities(known.take(_positions(closed)), [closes[position] for position in closed]),
        _with_validities(rows.take(_positions(values.values())), [validity(position) for position in values]),
    ]
    return ChangedRows(opened, pa.concat_tables(parts), [*closed, *values])


def _positions(numbers: Iterable[int]) -> pa.Array:
    return pa.array(list(numbers), pa.int64())


def _with_validities(rows: pa.Table, validities: Sequence[Validity]) -> pa.Table:
    columns = {
        VALID_FROM: pa.array([row.begin for row in validities], pa.int64()),
        VALID_TO: pa.array([row.end for row in validities], pa.int64()),
        IS_CURRENT: pa.array([row.end is None for row in validities], pa.bool_()),
        DELETED_AT: pa.array([row.deleted for row in validities], pa.int64()),
    }
    for name, column in columns.items():
        index = rows.schema.get_field_index(name)
        kind = rows.schema.field(index).type
        cast = column if name == IS_CURRENT else column.cast(pa.timestamp("us", "UTC")).cast(kind)
        rows = rows.set_column(index, rows.schema.field(index), cast)
    return rows
