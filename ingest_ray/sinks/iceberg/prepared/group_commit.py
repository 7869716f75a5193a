"""Commits a group of prepared slices to a table: by a merge, or by adding their files."""

from collections.abc import Sequence

import pyarrow as pa
from pydantic import JsonValue
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from ingest_ray.sdk.errors import StagingLost
from ingest_ray.sdk.types import Prepared, Target, WriteMode
from ingest_ray.sinks.history.columns import (
    keeps_history,
)
from ingest_ray.sinks.iceberg.commits import (
    LedgerEntry,
    TableChange,
    apply_change,
)
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.field_ids import arrow_schema, ids_of
from ingest_ray.sinks.iceberg.history_merge import apply_history_changes, merge_history
from ingest_ray.sinks.iceberg.layout.creation import changed_order
from ingest_ray.sinks.iceberg.layout.divided_files import RowLayout, partition_texts, write_divided, written_columns
from ingest_ray.sinks.iceberg.layout.handles import has_prepared_files, prepared_files
from ingest_ray.sinks.iceberg.layout.relayout import written_layout
from ingest_ray.sinks.iceberg.manifests import list_files
from ingest_ray.sinks.iceberg.merge import merge_rows
from ingest_ray.sinks.iceberg.rewrites import described_files, files_of_handle
from ingest_ray.sinks.iceberg.row_changes import apply_changes
from ingest_ray.sinks.iceberg.table_schema import (
    COLUMNS,
    file_schema,
    replaced_columns,
)
from ingest_ray.sinks.layout.ordering import sorted_rows
from ingest_ray.sinks.parquet import FILE_BYTES
from ingest_ray.sinks.prepared_changes import TRUNCATES, only_changes


class GroupCommit:
    """`changes`: those of a log; None: rows. `is_applied`: the table has the group."""

    files: TableFiles
    layout: RowLayout

    def __init__(self, target: Target, schema: pa.Schema, entry: LedgerEntry, group: Sequence[Prepared]) -> None:
        self._target = target
        self._schema = schema
        self._entry = entry
        self._group = group
        self.is_applied = False
        self._prepared_files: list[dict[str, JsonValue]] = []
        self._names: list[str] = []
        self._rows = sum(prepared.rows for prepared in group)
        self.changes = only_changes(group)
        self.unneeded: list[str] = []
        """Prepared files whose rows the table has in other files, after the commit."""

    def merge(self, table: Table) -> LedgerEntry:
        columns = self._checked_columns(table)
        if self.changes is not None:
            truncates = bool(self.changes.payload.get(TRUNCATES))
            apply = apply_history_changes if keeps_history(self._target) else apply_changes
            result = apply(table, self.files, self._names, columns, self._target, truncates=truncates)
        else:
            merge = merge_history if keeps_history(self._target) else merge_rows
            result = merge(table, self.files, self._names, columns, self._target)
        if result.is_as_prepared:
            return self._add(table, self._as_one_file(table, columns))
        entry = self._counted(self._rows - result.dropped, result.dropped)
        apply_change(table, self._target, entry, TableChange(result.added, result.removed))
        self.unneeded = self._names
        self.is_applied = True
        return entry

    def add_as_prepared(self, table: Table) -> LedgerEntry:
        self._checked_columns(table)
        return self._add(table, None)

    def _add(self, table: Table, rewritten: list[DataFile] | None) -> LedgerEntry:
        entry = self._counted(self._rows, 0)
        added = rewritten
        if added is None:
            added = files_of_handle(table, self.files, self._prepared_files, self.layout)
        change = TableChange(added)
        if self._target.write is WriteMode.REPLACE:
            removed = [task.file for task in list_files(table)]
            properties = {COLUMNS: replaced_columns(table, self._schema)}
            change = self._replacement(table, added, removed, properties)
        apply_change(table, self._target, entry, change)
        self.unneeded = [] if rewritten is None else self._names
        self.is_applied = True
        return entry

    def _replacement(
        self, table: Table, added: list[DataFile], removed: list[DataFile], properties: dict[str, str]
    ) -> TableChange:
        schema = self.layout.schema
        is_same = schema.schema_id == table.metadata.current_schema_id
        return TableChange(
            added,
            removed,
            None if is_same else schema,
            spec=self.layout.spec,
            order=changed_order(table, self._target, schema),
            properties=properties,
        )

    def _as_one_file(self, table: Table, columns: pa.Schema) -> list[DataFile] | None:
        """Several small files again as one, and files that are not divided yet; None where one file or large files need no rewrite."""
        is_divided = all(prepared.payload.get("partition_by", []) is not None for prepared in self._group)
        must_divide = not is_divided and bool(self.layout.partitions or self.layout.fills_endpoint)
        is_large = sum(prepared.bytes for prepared in self._group) > FILE_BYTES
        if not must_divide and (len(self._names) < 2 or is_large):
            return None
        to_write = written_columns(columns, self.layout, arrow_schema(table.schema()))
        rows = sorted_rows(self.files.read(self._names, columns), columns, self.layout.cluster_by)
        written = write_divided(self.files, to_write, rows, self.layout)
        if must_divide or len(written) < len(self._names):
            return described_files(table, self.files, written, self.layout)
        for one in written:
            self.files.delete(one.file.name)
        return None

    def _checked_columns(self, table: Table) -> pa.Schema:
        """The columns of the prepared files. Refuses files whose field ids are not the table's any more."""
        self.files = TableFiles.of(table)
        self.layout = written_layout(table, self._target, self._schema)
        self._prepared_files = [file for one in self._group for file in prepared_files(self.files, one)]
        self._names = [str(file["name"]) for file in self._prepared_files]
        columns = file_schema(table, self._target, self._schema)
        for prepared in self._group:
            has_files = has_prepared_files(prepared)
            is_other = prepared.payload.get("partition_by", []) not in (None, partition_texts(self.layout))
            if has_files and (is_other or prepared.payload.get("ids") != ids_of(columns)):
                raise StagingLost(
                    f"the columns or the layout of table '{'.'.join(table.name())}' were changed after rows were prepared for it",
                    hint="the rows are prepared again",
                )
        return columns

    def _counted(self, committed: int, deduplicated: int) -> LedgerEntry:
        return LedgerEntry(self._entry.epoch, self._entry.sequence, committed, deduplicated)
