"""Merges prepared rows into an Iceberg table by key, and erases rows by key; only files that have one of the keys are copied.

The newer version wins, in whatever order versions arrive. NULLs in a key equal each other. A NULL version is older than any other; of
equal versions, and without a version column, the later row wins. A row of the table that is newer than the prepared row stays, and
the prepared row counts as deduplicated. Updated rows stay in the copy of their file, so that its bounds stay as narrow as they were.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table

from ingest_ray.sdk.scratch_database import open_scratch
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.columns import internal_name
from ingest_ray.sinks.history.columns import IS_CURRENT, VALID_FROM, VALID_TO, keeps_history
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.field_ids import arrow_schema
from ingest_ray.sinks.iceberg.key_pruning import KeyPruning
from ingest_ray.sinks.iceberg.layout.partition_pruning import PartitionPruning
from ingest_ray.sinks.iceberg.manifests import list_files
from ingest_ray.sinks.iceberg.rewrites import completed, copy_rows, edited_rows, write_rows
from ingest_ray.sinks.iceberg.table_reads import quoted, read_file
from ingest_ray.sinks.provenance import DELETED_AT

ORDER = "_ingest_order"
NEW, DROPPED = -1, -2  # where a prepared row goes, beside the number of a file


@dataclass
class MergeResult:
    added: list[DataFile] = field(default_factory=list)
    removed: list[DataFile] = field(default_factory=list)
    dropped: int = 0
    """Prepared rows that are superseded, by each other or by the table."""
    is_as_prepared: bool = False
    """No prepared row meets another: the prepared files can be added as they are."""
    moved: list[pa.RecordBatch] = field(default_factory=list)
    """Rows of copied files that are in another partition now."""


@dataclass(frozen=True)
class Match:
    """Rows of the table with a prepared key: the file's number, the row's position in it, the prepared row, and which one is newer."""

    file: np.ndarray
    row: np.ndarray
    prepared: np.ndarray
    is_newer: np.ndarray


def merge_rows(
    table: Table, files: TableFiles, names: Sequence[str], columns: pa.Schema, target: Target
) -> MergeResult:
    """`columns`: those of the prepared files `names`."""
    version = [target.version_column] if target.version_column else []
    narrow = list(dict.fromkeys([*target.key, *version]))
    keys = prepared_rows(files, names, pa.schema([columns.field(name) for name in narrow]))
    tasks = tasks_of_keys(table, keys.select(list(target.key)))
    destinations = np.full(keys.num_rows, NEW, dtype=np.int64)
    match = match_rows(table, tasks, keys, target, destinations)
    destinations[match.prepared[~match.is_newer]] = DROPPED  # the table has a newer row
    wins = destinations[match.prepared] != DROPPED
    destinations[match.prepared[wins]] = match.file[wins]
    result = MergeResult(dropped=int((destinations == DROPPED).sum()))
    if not match.row.size and not result.dropped:
        result.is_as_prepared = True
        return result
    rows = PreparedRows(table, files, names, columns, destinations)
    for number in np.unique(match.file[wins]).tolist():
        replaced = match.row[wins & (match.file == number)]
        result.removed.append(tasks[number].file)
        merged = _merged(table, tasks[number], replaced, rows.at(number))
        result.added += copy_rows(table, files, tasks[number], merged, target, result.moved)
    if (destinations == NEW).any() or result.moved:
        result.added += write_rows(table, files, itertools.chain(rows.at(NEW), result.moved), target)
    return result


def erase_rows(
    table: Table, files: TableFiles, keys: Iterable[pa.RecordBatch], target: Target, how: Literal["tombstone", "delete"]
) -> tuple[MergeResult, int]:
    """Returns the number of rows that were marked or removed, too. `keys`: in the table's types."""
    erased = pa.Table.from_batches(keys)
    tasks = tasks_of_keys(table, erased)
    destinations = np.full(erased.num_rows, NEW, dtype=np.int64)
    match = match_rows(table, tasks, erased, target.model_copy(update={"version_column": None}), destinations)
    result, count, now = MergeResult(), 0, datetime.now(UTC)
    for number in np.unique(match.file).tolist():
        rows = np.unique(match.row[match.file == number])
        if how == "tombstone":
            rows = _living(table, tasks[number], rows, keeps_history(target))
        if not rows.size:
            continue
        count += rows.size
        result.removed.append(tasks[number].file)
        kept = (
            _marked(table, tasks[number], rows, now, keeps_history(target))
            if how == "tombstone"
            else without_rows(table, tasks[number], rows)
        )
        result.added += copy_rows(table, files, tasks[number], kept, target, result.moved)
    if result.moved:
        result.added += write_rows(table, files, result.moved, target)
    return result, count


class PreparedRows:
    """The prepared rows by the destination that they go to, in the table's columns."""

    def __init__(
        self, table: Table, files: TableFiles, names: Sequence[str], columns: pa.Schema, destinations: np.ndarray
    ) -> None:
        self._columns = arrow_schema(table.schema())
        self._rows = prepared_rows(files, names, columns)
        self._order = np.argsort(destinations, kind="stable")
        self._sorted = destinations[self._order]

    def at(self, destination: int) -> Iterator[pa.RecordBatch]:
        first, last = np.searchsorted(self._sorted, [destination, destination + 1])
        if first == last:
            return
        chosen = self._rows.take(pa.array(self._order[first:last]))
        for batch in chosen.combine_chunks().to_batches():
            yield completed(batch, self._columns)


def tasks_of_keys(table: Table, keys: pa.Table) -> list[FileScanTask]:
    """The files that may have rows with the keys, by their partitions and by the bounds of the key."""
    partitions, bounds = PartitionPruning(table, keys), KeyPruning(table, keys)
    return list_files(table, lambda file: partitions.may_have(file) and bounds.may_have(file))


def match_rows(
    table: Table, tasks: Sequence[FileScanTask], keys: pa.Table, target: Target, destinations: np.ndarray
) -> Match:
    """Marks prepared rows that another one supersedes as dropped in `destinations`, and finds the rows of the table with the other keys."""
    order = internal_name(ORDER, keys.column_names)
    numbered = keys.append_column(order, pa.array(range(keys.num_rows), pa.int64()))
    key = ", ".join(quoted(name) for name in target.key)
    version = quoted(target.version_column) if target.version_column else None
    newest = f"{version} desc nulls last, " if version else ""
    is_newer = f"(t.{version} is null or p.{version} >= t.{version}) is true" if version else "true"
    same = " and ".join(f"p.{quoted(name)} is not distinct from t.{quoted(name)}" for name in target.key)
    found: list[tuple[int, pa.Table]] = []
    connection = open_scratch()
    try:
        connection.register("prepared", numbered)
        connection.execute(
            f"create temp table p as select * from (select *, row_number() over (partition by {key} order by"
            f" {newest}{order} desc) as rank from prepared)"
        )
        superseded = connection.sql(f"select {order} from p where rank > 1").to_arrow_table().column(0)
        destinations[superseded.to_numpy()] = DROPPED
        for number, task in enumerate(tasks):
            stored = pa.Table.from_batches(read_file(table, task, keys.column_names))
            connection.register("t", stored.append_column(order, pa.array(range(stored.num_rows), pa.int64())))
            rows = connection.sql(
                f"select t.{order} as r, p.{order} as p, {is_newer} as n from t join p on {same} where p.rank = 1"
            ).to_arrow_table()
            connection.unregister("t")
            if rows.num_rows:
                found.append((number, rows))
    finally:
        connection.execute("drop table if exists p")
        connection.close()
    return Match(
        file=_joined([np.full(rows.num_rows, number, dtype=np.int64) for number, rows in found]),
        row=_joined([rows.column("r").to_numpy() for _, rows in found]),
        prepared=_joined([rows.column("p").to_numpy() for _, rows in found]),
        is_newer=_joined([rows.column("n").to_numpy() for _, rows in found]).astype(bool),
    )


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def prepared_rows(files: TableFiles, names: Sequence[str], columns: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(files.read(names, columns), columns)


def _merged(
    table: Table, task: FileScanTask, replaced: np.ndarray, more: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    yield from without_rows(table, task, replaced)
    yield from more


def without_rows(table: Table, task: FileScanTask, rows: np.ndarray) -> Iterator[pa.RecordBatch]:
    return edited_rows(table, task, lambda batch, start: batch.filter(pc.invert(row_mask(batch, start, rows))))


def _marked(
    table: Table, task: FileScanTask, rows: np.ndarray, now: datetime, is_history: bool
) -> Iterator[pa.RecordBatch]:
    def mark(batch: pa.RecordBatch, start: int) -> pa.RecordBatch:
        mask = row_mask(batch, start, rows)
        gone = pa.scalar(now, batch.schema.field(DELETED_AT).type)
        values: dict[str, pa.Scalar | pa.Array] = {DELETED_AT: gone}
        if is_history:
            begin = batch.column(VALID_FROM)
            values |= {VALID_TO: pc.if_else(pc.greater(begin, gone), begin, gone), IS_CURRENT: pa.scalar(False)}
        for name, value in values.items():
            index = batch.schema.names.index(name)
            marked = pc.if_else(mask, value, batch.column(index))
            batch = batch.set_column(index, batch.schema.field(index), marked)
        return batch

    return edited_rows(table, task, mark)


def _living(table: Table, task: FileScanTask, rows: np.ndarray, is_history: bool) -> np.ndarray:
    """Those of the rows that are no tombstones, or current ones of a history."""
    marks = pa.Table.from_batches(read_file(table, task, [IS_CURRENT if is_history else DELETED_AT])).column(0)
    alive = marks if is_history else marks.is_null()
    living: np.ndarray = rows[alive.to_numpy()[rows]]
    return living


def row_mask(batch: pa.RecordBatch, start: int, rows: np.ndarray) -> pa.Array:
    mask = np.zeros(batch.num_rows, dtype=bool)
    inside = rows[(rows >= start) & (rows < start + batch.num_rows)]
    mask[inside - start] = True
    return pa.array(mask)
