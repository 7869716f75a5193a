"""Applies the changes of a table that a database's log has: files with rows of their keys are copied, in one commit.

The prepared rows have one row for each key, with the columns of a change. Columns that the log does not repeat keep the value of the
table's row. After a truncation no older row is left.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import FileScanTask, Table

from ingest_ray.sdk.changes import DELETE, INSERT, OP, TRUNCATE, UNCHANGED
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.field_ids import arrow_schema
from ingest_ray.sinks.iceberg.manifests import list_files
from ingest_ray.sinks.iceberg.merge import NEW, MergeResult, match_rows, row_mask, tasks_of_keys
from ingest_ray.sinks.iceberg.rewrites import completed, copy_rows, edited_rows, write_rows
from ingest_ray.sinks.iceberg.table_reads import read_file
from ingest_ray.sinks.prepared_changes import changes_schema
from ingest_ray.sinks.provenance import DELETED_AT, PROVENANCE_COLUMNS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Changes:
    """The prepared rows; `is_delete` and `is_whole`, for each: it removes a row, it has every value."""

    rows: pa.Table
    is_delete: np.ndarray
    is_whole: np.ndarray
    names: Sequence[str]
    """The columns of the source, in the order that `_unchanged` has."""


def apply_changes(
    table: Table, files: TableFiles, names: Sequence[str], columns: pa.Schema, target: Target, *, truncates: bool
) -> MergeResult:
    """`columns`: those of the unit in the table's types. `dropped` of the result: updates without a row whose other values they keep."""
    changes = _read_changes(files, names, columns)
    keys = changes.rows.select(list(target.key))
    tasks = list_files(table) if truncates else tasks_of_keys(table, keys)
    destinations = np.full(keys.num_rows, NEW, dtype=np.int64)
    match = match_rows(table, tasks, keys, target.model_copy(update={"version_column": None}), destinations)
    result, now = MergeResult(), datetime.now(UTC)
    destinations[match.prepared] = match.file
    touched = range(len(tasks)) if truncates else np.unique(match.file).tolist()
    for number in touched:
        inside = match.file == number
        old, new = match.row[inside], match.prepared[inside]
        is_gone = changes.is_delete[new]
        removed = old[~is_gone] if target.deletes == "tombstone" else old
        rewritten = _Rewrite(
            removes=removed,
            marks=old[is_gone] if target.deletes == "tombstone" else np.empty(0, dtype=np.int64),
            removes_all=truncates and target.deletes == "delete",
            marks_all=truncates and target.deletes == "tombstone",
        )
        more = _with_kept_values(table, tasks[number], changes, old[~is_gone], new[~is_gone])
        result.removed.append(tasks[number].file)
        rows = _joined(rewritten.rows(table, tasks[number], now), more)
        result.added += copy_rows(table, files, tasks[number], rows, target, result.moved)
    is_new = (destinations == NEW) & ~changes.is_delete
    result.dropped = int((is_new & ~changes.is_whole).sum())
    if result.dropped:
        log.warning("%s: %d updates have no row whose other values they keep", target.unit_id, result.dropped)
    if (is_new & changes.is_whole).any() or result.moved:
        fresh = changes.rows.filter(pa.array(is_new & changes.is_whole))
        result.added += write_rows(table, files, _joined(_in_columns_of(table, fresh), iter(result.moved)), target)
    return result


def _read_changes(files: TableFiles, names: Sequence[str], columns: pa.Schema) -> _Changes:
    wide = changes_schema(columns)
    rows = pa.Table.from_batches(files.read(names, wide), wide)
    rows = rows.filter(pc.not_equal(rows.column(OP), TRUNCATE)).combine_chunks()
    op = rows.column(OP)
    is_whole = pc.or_(pc.is_null(rows.column(UNCHANGED)), pc.equal(op, INSERT))
    source = [name for name in columns.names if name not in PROVENANCE_COLUMNS]
    return _Changes(rows, _flags(pc.equal(op, DELETE)), _flags(is_whole), source)


def _flags(column: pa.ChunkedArray) -> np.ndarray:
    flags: np.ndarray = column.to_numpy().astype(bool)
    return flags


@dataclass(frozen=True)
class _Rewrite:
    """What becomes of the rows of one file."""

    removes: np.ndarray
    marks: np.ndarray
    removes_all: bool
    marks_all: bool

    def rows(self, table: Table, task: FileScanTask, now: datetime) -> Iterator[pa.RecordBatch]:
        if self.removes_all:
            return iter(())
        return edited_rows(table, task, lambda batch, start: self._edited(batch, start, now))

    def _edited(self, batch: pa.RecordBatch, start: int, now: datetime) -> pa.RecordBatch:
        if self.marks_all or self.marks.size:
            index = batch.schema.names.index(DELETED_AT)
            stored = batch.column(index)
            chosen = row_mask(batch, start, self.marks)
            gone = pc.is_null(stored) if self.marks_all else pc.and_(chosen, pc.is_null(stored))
            field = batch.schema.field(index)
            batch = batch.set_column(index, field, pc.if_else(gone, pa.scalar(now, field.type), stored))
        return batch.filter(pc.invert(row_mask(batch, start, self.removes)))


def _with_kept_values(
    table: Table, task: FileScanTask, changes: _Changes, old: np.ndarray, new: np.ndarray
) -> Iterator[pa.RecordBatch]:
    """The new rows at the place of old ones of a file. A key that the file has twice gets one row."""
    new, first = np.unique(new, return_index=True)
    if not new.size:
        return
    rows = changes.rows.take(pa.array(new)).combine_chunks()
    if not changes.is_whole[new].all():
        before = pa.Table.from_batches(read_file(table, task)).take(pa.array(old[first]))
        for number, name in enumerate(changes.names):
            is_kept = pc.equal(pc.utf8_slice_codeunits(rows.column(UNCHANGED), number, number + 1), "1")
            kept = pc.if_else(pc.fill_null(is_kept, False), before.column(name), rows.column(name))
            rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), kept)
    yield from _in_columns_of(table, rows)


def _in_columns_of(table: Table, rows: pa.Table) -> Iterator[pa.RecordBatch]:
    columns = arrow_schema(table.schema())
    for batch in rows.combine_chunks().to_batches():
        yield completed(batch, columns)


def _joined(*parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        yield from part
