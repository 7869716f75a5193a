"""Merges prepared rows, or the changes of a database's log, into a history in an Iceberg table: only files that have rows to close are
copied; new rows are new files."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyiceberg.table import FileScanTask, Table

from ingest_ray.sdk.types import Target
from ingest_ray.sinks.history.columns import HISTORY_COLUMNS, without_history
from ingest_ray.sinks.history.log_changes import numbered_rows, plan_changes
from ingest_ray.sinks.history.match import ChangedRows, changed_rows, plan_commit, rows_of_keys
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.field_ids import arrow_schema
from ingest_ray.sinks.iceberg.manifests import list_files
from ingest_ray.sinks.iceberg.merge import MergeResult, prepared_rows, tasks_of_keys, without_rows
from ingest_ray.sinks.iceberg.rewrites import completed, copy_rows, write_rows
from ingest_ray.sinks.iceberg.table_reads import read_file
from ingest_ray.sinks.prepared_changes import changes_schema
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS

FILE, ROW = "_ingest_file", "_ingest_row"


def merge_history(
    table: Table, files: TableFiles, names: Sequence[str], columns: pa.Schema, target: Target
) -> MergeResult:
    """`columns`: those of the prepared files `names`."""
    coming = prepared_rows(files, names, columns)
    tasks = tasks_of_keys(table, coming.select(list(target.key)))
    found = _all_known_rows(table, tasks, coming, target)
    numbered, stored = numbered_rows(coming), numbered_rows(found)
    values = [name for name in columns.names if name not in (*PROVENANCE_COLUMNS, *HISTORY_COLUMNS)]
    plan = plan_commit(numbered, stored, values, target)
    result = MergeResult(dropped=coming.num_rows - plan.rows)
    if not found.num_rows and not result.dropped:
        result.is_as_prepared = all(row.end is None for row in plan.opens)
        if result.is_as_prepared:
            return result
    return _write_planned(table, files, tasks, found, changed_rows(plan, numbered, stored), result, target)


def apply_history_changes(
    table: Table, files: TableFiles, names: Sequence[str], columns: pa.Schema, target: Target, *, truncates: bool
) -> MergeResult:
    """`columns`: those of the unit's table, in its types. After a truncate every current row is closed."""
    wide = changes_schema(without_history(columns, target))
    changes = prepared_rows(files, names, wide)
    keys = changes.select(list(target.key))
    tasks = list_files(table) if truncates else tasks_of_keys(table, keys)
    found = _all_known_rows(table, tasks, None if truncates else keys, target)
    stored = numbered_rows(found)
    planned = plan_changes(changes, stored, columns, target)
    result = MergeResult(dropped=changes.num_rows - planned.committed)
    changed = changed_rows(planned.plan, planned.coming, stored)
    return _write_planned(table, files, tasks, found, changed, result, target)


def _write_planned(
    table: Table,
    files: TableFiles,
    tasks: Sequence[FileScanTask],
    found: pa.Table,
    changed: ChangedRows,
    result: MergeResult,
    target: Target,
) -> MergeResult:
    _copy_files(table, files, tasks, found, changed, result, target)
    if changed.opened.num_rows or result.moved:
        opened = _both(_completed(table, changed.opened), iter(result.moved))
        result.added += write_rows(table, files, opened, target)
    return result


def _copy_files(
    table: Table,
    files: TableFiles,
    tasks: Sequence[FileScanTask],
    found: pa.Table,
    changed: ChangedRows,
    result: MergeResult,
    target: Target,
) -> None:
    """Each file with changed rows leaves the table; its copy has the rows as they are now. Columns that the unit has not any more stay."""
    positions = np.asarray(changed.positions, dtype=np.int64)
    if not positions.size:
        return
    kept = found.take(pa.array(positions))
    for name in changed.updated.column_names:
        index = kept.schema.get_field_index(name)
        kind = kept.schema.field(index).type
        kept = kept.set_column(index, kept.schema.field(index), changed.updated.column(name).cast(kind))
    numbers, rows = (kept.column(name).to_numpy() for name in (FILE, ROW))
    for number in np.unique(numbers).tolist():
        mask = numbers == number
        rest = without_rows(table, tasks[number], rows[mask])
        updated = _completed(table, kept.filter(pa.array(mask)))
        result.removed.append(tasks[number].file)
        result.added += copy_rows(table, files, tasks[number], _both(rest, updated), target, result.moved)


def _all_known_rows(table: Table, tasks: Sequence[FileScanTask], coming: pa.Table | None, target: Target) -> pa.Table:
    found = [_known_rows(table, task, number, coming, target) for number, task in enumerate(tasks)]
    return pa.concat_tables(found or [_known_schema(table).empty_table()])


def _known_rows(table: Table, task: FileScanTask, number: int, coming: pa.Table | None, target: Target) -> pa.Table:
    """The rows of a file with keys of `coming`, or all, in all columns of the table, with the file's number and their positions in it."""
    schema = _known_schema(table)

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in read_file(table, task):
            rows = pa.array(range(start, start + batch.num_rows), pa.int64())
            start += batch.num_rows
            file = pa.repeat(pa.scalar(number, pa.int64()), batch.num_rows)
            yield pa.RecordBatch.from_arrays([*batch.columns, file, rows], schema=schema)

    found = batches() if coming is None else rows_of_keys(coming, target.key, batches())
    return pa.Table.from_batches(found, schema)


def _known_schema(table: Table) -> pa.Schema:
    return pa.schema([*arrow_schema(table.schema()), (FILE, pa.int64()), (ROW, pa.int64())])


def _completed(table: Table, rows: pa.Table) -> Iterator[pa.RecordBatch]:
    for batch in rows.combine_chunks().to_batches():
        yield completed(batch, arrow_schema(table.schema()))


def _both(first: Iterator[pa.RecordBatch], more: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from first
    yield from more
