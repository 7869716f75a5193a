"""Merges prepared files of one CDM model into its Iceberg table: new rows, and the erasure of stale ones, in one commit.

Which rows those are: `lake_models.selection`. Only files that have one of the ids are copied.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import FileScanTask, Table

from ingest_ray.cdm.models import KEY
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.field_ids import arrow_schema
from ingest_ray.sinks.iceberg.manifests import list_files
from ingest_ray.sinks.iceberg.merge import (
    DROPPED,
    NEW,
    MergeResult,
    PreparedRows,
    match_rows,
    prepared_rows,
    row_mask,
    tasks_of_keys,
)
from ingest_ray.sinks.iceberg.rewrites import copy_rows, edited_rows, write_rows
from ingest_ray.sinks.iceberg.table_reads import read_file
from ingest_ray.sinks.lake_models.selection import NARROW, MergeSelection, StoredRows
from ingest_ray.sinks.provenance import DELETED_AT


def rows_of(table: Table) -> StoredRows:
    def read(columns: Sequence[str]) -> pa.RecordBatchReader:
        whole = arrow_schema(table.schema())
        schema = pa.schema([pa.field(name, whole.field(name).type) for name in columns])
        batches = (batch.cast(schema) for task in list_files(table) for batch in read_file(table, task, columns))
        return pa.RecordBatchReader.from_batches(schema, batches)

    return read


def narrow_rows(files: TableFiles, names: Sequence[str]) -> pa.Table:
    """The columns of prepared rows that decide."""
    return prepared_rows(files, names, NARROW)


def merge_models(
    table: Table,
    files: TableFiles,
    names: Sequence[str],
    columns: pa.Schema,
    target: Target,
    selection: MergeSelection,
    *,
    removes: bool,
) -> MergeResult:
    """`columns`: those of the prepared files. `removes`: stale rows are taken out; else they become tombstones."""
    keys = prepared_rows(files, names, pa.schema([columns.field(KEY)])).column(KEY)
    destinations = np.full(len(keys), NEW, dtype=np.int64)
    destinations[selection.dropped.to_numpy()] = DROPPED
    winners = np.flatnonzero(destinations != DROPPED)
    kind = arrow_schema(table.schema()).field(KEY).type
    wanted = pa.chunked_array([*keys.take(pa.array(winners)).cast(kind).chunks, pa.array(selection.stale, kind)], kind)
    by_id = pa.table({KEY: wanted})
    tasks = tasks_of_keys(table, by_id)
    unversioned = target.model_copy(update={"version_column": None, "key": (KEY,)})
    match = match_rows(table, tasks, by_id, unversioned, np.full(len(wanted), NEW, dtype=np.int64))
    is_winner = match.prepared < winners.size
    destinations[winners[match.prepared[is_winner]]] = match.file[is_winner]
    rows = PreparedRows(table, files, names, columns, destinations)
    result, now = MergeResult(), datetime.now(UTC)
    for number in np.unique(match.file).tolist():
        is_here = match.file == number
        stale = match.row[is_here & ~is_winner]
        replaced = match.row[is_here & is_winner]
        gone, marked = (np.concatenate([replaced, stale]), stale[:0]) if removes else (replaced, stale)
        kept = _edited(table, tasks[number], gone, marked, now)
        result.removed.append(tasks[number].file)
        result.added += copy_rows(table, files, tasks[number], chain(kept, rows.at(number)), target, result.moved)
    if (destinations == NEW).any() or result.moved:
        result.added += write_rows(table, files, chain(rows.at(NEW), result.moved), target)
    return result


def _edited(
    table: Table, task: FileScanTask, gone: np.ndarray, marked: np.ndarray, now: datetime
) -> Iterator[pa.RecordBatch]:
    """The rows of a file without `gone`; `marked` as tombstones."""

    def edit(batch: pa.RecordBatch, start: int) -> pa.RecordBatch:
        index = batch.schema.names.index(DELETED_AT)
        moment = pa.scalar(now, batch.schema.field(DELETED_AT).type)
        times = pc.if_else(row_mask(batch, start, marked), moment, batch.column(index))
        batch = batch.set_column(index, batch.schema.field(index), times)
        return batch.filter(pc.invert(row_mask(batch, start, gone)))

    return edited_rows(table, task, edit)
