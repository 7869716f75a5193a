"""Delta Lake: a table per unit, its files written in parallel, each commit one transaction of the table's log.

Prepared rows are Parquet files in the table's directory that the log does not name yet. Appends, full refreshes and first loads add
them to the log unchanged; an upsert merges them, or writes them as one file where all of their keys are new, and then deletes them.
`vacuum` removes the files that dead processes leave.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from pydantic import JsonValue

from ingest_ray.sdk.changes import CHANGE_COLUMNS, has_changes, table_columns
from ingest_ray.sdk.contracts import Misfit, SinkProgress
from ingest_ray.sdk.errors import SinkRejected, StagingLost
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import ColumnFit, Prepared, Receipt, Slice, Target, WriteMode
from ingest_ray.sinks.columns import refuse_unordered_keys, sink_schema
from ingest_ray.sinks.delta.adoption.sweep import sweep_staged
from ingest_ray.sinks.delta.erase import erase, read_keys
from ingest_ray.sinks.delta.errors import translate_errors
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.history.changes import apply_history_changes
from ingest_ray.sinks.delta.history.merge import close_rows, merge_history
from ingest_ray.sinks.delta.layout.compaction import compact_if_due
from ingest_ray.sinks.delta.layout.relayout import relayout
from ingest_ray.sinks.delta.layout.table_partitions import refuse_other_layout, wanted_partitions
from ingest_ray.sinks.delta.layout.touched import NO_ROW, erased_partitions, prepared_partitions
from ingest_ray.sinks.delta.log.commits import (
    CommitCounts,
    add_actions,
    commit_once,
    commit_properties,
    count_rows,
    last_sequence,
    read_progress,
    take_over,
)
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.log.snapshot import load_table, newest_table
from ingest_ray.sinks.delta.maintenance import compact, vacuum
from ingest_ray.sinks.delta.merge import find_superseded_rows, merge
from ingest_ray.sinks.delta.new_keys import has_only_new_keys, rewrite_as_one_file
from ingest_ray.sinks.delta.row_changes import apply_changes
from ingest_ray.sinks.delta.row_reads import comparable_schema, read_rows, sum_keys
from ingest_ray.sinks.delta.row_writer import explain_broken_rule, refuse_unfit_partition_values, write_rows
from ingest_ray.sinks.delta.table_features import (
    has_demands,
    refuse_append_only,
    refuse_partitions,
    refuse_unsupported_features,
    refuse_unsupported_table,
)
from ingest_ray.sinks.delta.table_schema import (
    create_table,
    evolve_table,
    file_schema,
    record_unbounded,
    replaced_schema,
)
from ingest_ray.sinks.delta.types import DELTA_LIMITS, DELTA_TYPES
from ingest_ray.sinks.history.columns import (
    HISTORY_COLUMNS,
    keeps_history,
    refuse_other_writing,
    table_columns_of,
    with_validity,
)
from ingest_ray.sinks.lake_reach import check_reach
from ingest_ray.sinks.layout.ordering import refuse_unordered_columns, sorted_rows
from ingest_ray.sinks.layout.partitions import add_partitions, is_derived, with_partitions
from ingest_ray.sinks.maintenance import KEEP_H, MaintenanceReport
from ingest_ray.sinks.parquet import RollingParquetWriter, WrittenFile, staged_prefix
from ingest_ray.sinks.prepared_changes import TRUNCATES, ChangeCounter, changes_schema, only_changes
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS, Provenance
from ingest_ray.sinks.templates import DeltaConfig
from ingest_ray.sinks.type_mapping import map_schema
from ingest_ray.sinks.value_limits import convert_rows, find_all_misfits

PAYLOAD_BYTES = 48 * 1024  # a handle stays under 64 KiB: beyond this, files lose the bounds of their columns


class DeltaSink:
    payload_bytes = PAYLOAD_BYTES
    applies_changes = True
    keeps_history = True
    keeps_history_of_changes = True

    def __init__(self, config: DeltaConfig) -> None:
        self._root = config.uri
        self._options = {name: value.get_secret_value() for name, value in config.storage_options.items()}
        self._file_schema: tuple[object, pa.Schema] | None = None
        self._tables: dict[str, TableFiles] = {}

    def location(self, target: Target) -> str:
        return self.table_files(target).uri

    def check_reach(self) -> None:
        check_reach(self._root, self._options)

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return map_schema(schema, DELTA_TYPES)

    def find_misfits(self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False) -> Mapping[int, Misfit]:
        return find_all_misfits(batch, schema, DELTA_TYPES, DELTA_LIMITS, converts=converts)

    def read_progress(self, target: Target) -> SinkProgress:
        return read_progress(self.table_files(target), target)

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        files = self.table_files(target)
        refuse_unordered_keys(target, schema, DELTA_TYPES)
        columns = table_columns_of(target, schema)
        with files.lock, translate_errors(files.uri):
            table = newest_table(files) or create_table(files, target, columns, epoch)
            refuse_other_writing(target, files.uri, [field.name for field in table.schema().fields], schema)
            refuse_unsupported_table(table, target, columns)
            refuse_other_layout(table, target)
            table = take_over(table, files, target, epoch)
            table = evolve_table(table, files, target, columns, epoch)
            table = compact_if_due(table, files, target, epoch)
            return last_sequence(table, files, target)

    def is_empty(self, target: Target) -> bool:
        files = self.table_files(target)
        table = load_table(files)
        if table is None:
            return True
        with translate_errors(files.uri):
            return int(table.count()) == 0

    def adopts(self, target: Target, piece: Slice) -> bool:
        """As `commit` decides: what it does not merge, it adds as it is, or, where a table has rules for its rows, checks first."""
        return piece.is_insert_only or not target.write.merges

    def stage_files(
        self, target: Target, piece: Slice, attempt: int, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
    ) -> Prepared:
        return self._write_slice(target, piece, schema, batches, staged_prefix(target.run_id, attempt))

    def sweep_files(self, target: Target, run_id: str) -> int:
        files = self.table_files(target)
        with files.lock, translate_errors(files.uri):
            return sweep_staged(files, run_id)

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        return self._write_slice(target, piece, schema, batches, "part-")

    def _write_slice(
        self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch], prefix: str
    ) -> Prepared:
        started = time.monotonic()
        files = self.table_files(target)
        is_change = target.write.merges and has_changes(schema)
        columns = self._cached_file_schema(
            files, target, table_columns(schema) if is_change else table_columns_of(target, schema)
        )
        changes = ChangeCounter() if is_change else None
        columns = changes_schema(columns) if is_change else columns
        with translate_errors(files.uri):
            added = (*PROVENANCE_COLUMNS, *(HISTORY_COLUMNS if keeps_history(target) else ()))
            source_columns = pa.schema(
                [field for field in columns if field.name not in added and not is_derived(field)]
            )
            provenance = Provenance(target.run_id, piece)
            writer = RollingParquetWriter(columns, files.create, prefix=prefix)

            def rows_of() -> Iterator[pa.RecordBatch]:
                for batch in batches:
                    if changes is not None:
                        changes.count(batch)
                    rows = convert_rows(batch, source_columns)
                    if keeps_history(target) and not is_change:
                        rows = with_validity(target, rows, batch, provenance.ingested_at)
                    yield add_partitions(provenance.add_to(rows), columns, target.endpoint_id)

            cluster_by = _order_of(target, piece)
            try:
                for rows in sorted_rows(rows_of(), columns, cluster_by):
                    writer.write(rows)
                written = writer.close()
                files.make_durable([file.name for file in written])
            except BaseException:
                writer.abort()
                for name in writer.names:
                    files.delete(name)
                raise
        return Prepared(
            slice_id=piece.slice_id,
            rows=sum(file.rows for file in written),  # as the files themselves say
            bytes=sum(file.bytes for file in written),
            is_insert_only=piece.is_insert_only,
            payload={
                "uri": files.uri,
                "files": _describe_files(written, self.payload_bytes),
                "unbounded": sorted(writer.unbounded - set(CHANGE_COLUMNS)) if is_change else sorted(writer.unbounded),
                **(changes.payload if changes is not None else {}),
            },
            seconds=time.monotonic() - started,
        )

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        started = time.monotonic()
        files = self.table_files(target)
        has_only_inserts = all(prepared.is_insert_only or prepared.rows == 0 for prepared in group)
        commit = _GroupCommit(files, target, table_columns_of(target, schema), epoch, sequence, group)
        is_merge = target.write.merges and not has_only_inserts
        record_unbounded(files, target, epoch, group)
        counts = commit_once(files, target, epoch, sequence, lambda table: commit.apply(table, merges=is_merge))
        if commit.is_merged:
            files.delete_all(commit.names)  # the rows are in the table's own files now
        elif (is_merge or commit.is_rewritten) and not commit.is_added:
            self.abort(group)  # the table had the number already: a file that is one of its own stays
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=counts.committed,
            rows_deduplicated=counts.deduplicated,
            location=files.uri,
            seconds=time.monotonic() - started,
        )

    def abort(self, group: Sequence[Prepared]) -> None:
        """Deletes the prepared files that are not in a table."""
        names_by_uri: dict[str, list[str]] = {}
        for prepared in group:
            names = [str(file["name"]) for file in prepared_files(prepared)]
            names_by_uri.setdefault(str(prepared.payload["uri"]), []).extend(names)
        for uri, names in names_by_uri.items():
            files = self._tables.get(uri) or TableFiles(uri, self._options)
            with files.lock, translate_errors(uri):
                table = newest_table(files) if names else None
                in_table = {path.rsplit("/", 1)[-1] for path in table.file_uris()} if table else set()
                files.delete_all([name for name in names if name not in in_table])

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        files = self.table_files(target)
        table = load_table(files)
        if table is None:
            return
        with translate_errors(files.uri):
            yield from read_keys(table, target, schema)

    def comparable_schema(self, target: Target, schema: pa.Schema) -> pa.Schema:
        return comparable_schema(load_table(self.table_files(target)), target, schema)

    def read_rows(
        self,
        target: Target,
        schema: pa.Schema,
        columns: Sequence[str],
        stored: Sequence[str],
        bounds: tuple[int | None, int | None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        files = self.table_files(target)
        table = load_table(files)
        if table is None:
            return
        with translate_errors(files.uri):
            yield from read_rows(table, target, schema, columns, stored, bounds)

    def sum_keys(self, target: Target, schema: pa.Schema, key: str, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]:
        files = self.table_files(target)
        table = load_table(files)
        if table is None:
            return {}, 0
        with translate_errors(files.uri):
            return sum_keys(table, target, key, keys)

    def erase(
        self,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Receipt:
        started = time.monotonic()
        files = self.table_files(target)

        def erase_keys(table: DeltaTable) -> CommitCounts:
            facts: dict[str, JsonValue] = {"ingestErases": True}
            stored = file_schema(table, target, table_columns_of(target, schema))
            properties = commit_properties(target, epoch, sequence, **facts)
            given, within = erased_partitions(table, target, stored, keys)
            if keeps_history(target):
                return CommitCounts(close_rows(table, target, stored, given, properties, within))
            return CommitCounts(erase(table, target, stored, given, how, properties, within))

        counts = commit_once(files, target, epoch, sequence, erase_keys)
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=counts.committed,
            location=files.uri,
            seconds=time.monotonic() - started,
        )

    def compact(self, target: Target) -> MaintenanceReport:
        return compact(self.table_files(target), target)

    def check_layout(self, target: Target, schema: pa.Schema) -> None:
        partitions = wanted_partitions(None, target)
        columns = with_partitions(sink_schema(table_columns_of(target, schema), DELTA_TYPES), partitions)
        refuse_partitions(self.location(target), columns, [one.name for one in partitions])
        refuse_unordered_columns(columns, target.layout.cluster_by if target.layout is not None else ())

    def relayout(self, target: Target, schema: pa.Schema, epoch: int) -> MaintenanceReport:
        files = self.table_files(target)
        with files.lock, translate_errors(files.uri):
            return relayout(files, target, epoch)

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> MaintenanceReport:
        return vacuum(self.table_files(target), keep_h, rehearse)

    def table_files(self, target: Target) -> TableFiles:
        names = target.table.split("/") if target.table else [target.endpoint_id, target.unit_id]
        return self._kept(TableFiles.of(self._root, names, self._options))

    def _kept(self, files: TableFiles) -> TableFiles:
        """One object for each table, which has its snapshot."""
        return self._tables.setdefault(files.uri, files)

    def _cached_file_schema(self, files: TableFiles, target: Target, schema: pa.Schema) -> pa.Schema:
        """Read once per run: reading the log again for each slice would cost more than writing it.

        Only the opening of a run changes the columns; the commit refuses columns that were changed by hand meanwhile.
        """
        cached, key = self._file_schema, _schema_key(files, target, schema)
        if cached is not None and cached[0] == key:
            return cached[1]
        table = load_table(files)
        if table is None:
            raise SinkRejected(f"table '{files.uri}' is gone", hint="reset the unit to load it again")
        with translate_errors(files.uri):
            columns = file_schema(table, target, schema)
        self._file_schema = (key, columns)
        return columns


def _order_of(target: Target, piece: Slice) -> tuple[str, ...]:
    """The order of prepared rows. Of rows that are merged the later one wins, so they stay in the order in which they come."""
    is_merged = target.write.merges and not piece.is_insert_only
    return () if target.layout is None or is_merged else target.layout.cluster_by


def _schema_key(files: TableFiles, target: Target, schema: pa.Schema) -> object:
    return files.uri, target.run_id, target.write, schema, target.layout


class _GroupCommit:
    """Commits one group to the snapshot of a table, by a merge or by adding its files."""

    def __init__(
        self,
        files: TableFiles,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        group: Sequence[Prepared],
    ) -> None:
        self._files = files
        self._target = target
        self._schema = schema
        self._epoch = epoch
        self._sequence = sequence
        self._prepared_files = [file for prepared in group for file in prepared_files(prepared)]
        self._rows = sum(prepared.rows for prepared in group)
        self._bytes = sum(prepared.bytes for prepared in group)
        self.names = [str(file["name"]) for file in self._prepared_files]
        self._changes = only_changes(group)
        self.is_rewritten = False
        """True where the table has the rows in other files than the prepared ones."""
        self.is_added = False
        """True where the table has the prepared files themselves."""
        self.is_merged = False
        """True where a merge took the rows over."""

    def apply(self, table: DeltaTable, *, merges: bool) -> CommitCounts:
        sizes = {str(file["name"]): int(str(file["bytes"])) for file in self._prepared_files}
        damaged = self._files.find_damaged(sizes)
        if damaged:
            raise StagingLost(
                f"{len(damaged)} prepared files of '{self._files.uri}' are gone or damaged, such as '{damaged[0]}'"
            )
        return self.merge(table) if merges else self.add(table)

    def merge(self, table: DeltaTable) -> CommitCounts:
        columns, names = file_schema(table, self._target, self._schema), self.names
        truncates = self._changes is not None and self._changes.payload.get(TRUNCATES)
        within = "" if truncates else prepared_partitions(table, self._files, names, columns, self._target)
        if self._changes is not None:
            return self._apply(table, columns, NO_ROW if within is None else within)
        dropped = find_superseded_rows(self._files, names, columns, self._target)
        if within is None and not len(dropped):
            return self._write(table)
        if not len(dropped) and has_only_new_keys(table, self._files, names, columns, self._target):
            rewritten = rewrite_as_one_file(self._files, names, self._bytes, columns)
            self.is_rewritten = rewritten is not None
            return self._add(table, None if rewritten is None else [asdict(file) for file in rewritten])
        if keeps_history(self._target):
            with self._checked_rows(table, columns):
                return merge_history(
                    table,
                    self._files,
                    names,
                    columns,
                    self._target,
                    self._properties,
                    NO_ROW if within is None else within,
                )
        properties = self._properties(len(dropped))
        with self._checked_rows(table, columns):
            metrics = merge(
                table,
                self._files,
                names,
                columns,
                self._target,
                dropped,
                properties,
                NO_ROW if within is None else within,
            )
        self.is_merged = True
        return count_rows(self._rows, len(dropped), metrics)

    def _apply(self, table: DeltaTable, columns: pa.Schema, within: str) -> CommitCounts:
        """Changes of a log."""
        changes = self._changes
        assert changes is not None
        if keeps_history(self._target):
            return apply_history_changes(
                table, self._files, self.names, columns, self._target, self._properties, within
            )
        properties = self._properties(dropped=0)
        counts = apply_changes(table, self._files, self.names, columns, self._target, changes, properties, within)
        self.is_merged = True
        return counts

    def add(self, table: DeltaTable) -> CommitCounts:
        refuse_unsupported_features(table)
        if (has_demands(table) or wanted_partitions(table, self._target)) and self._rows:
            return self._write(table)
        return self._add(table, None)

    def _write(self, table: DeltaTable) -> CommitCounts:
        is_replace = self._target.write is WriteMode.REPLACE
        if is_replace:
            refuse_append_only(table, self._target)
        columns = file_schema(table, self._target, self._schema)
        replaced = replaced_schema(table, self._target, self._schema) if is_replace else None
        with self._checked_rows(table, columns):
            properties = self._properties(dropped=0)
            write_rows(table, self._files, self.names, columns, replaced, properties, self._target)
        self.is_rewritten = True
        return CommitCounts(self._rows)

    @contextmanager
    def _checked_rows(self, table: DeltaTable, columns: pa.Schema) -> Iterator[None]:
        """Refuses rows that the table cannot have, with the name of the rule that they break."""
        refuse_unfit_partition_values(table, self._files, self.names, columns, self._target)
        try:
            yield
        except Exception as error:
            cause = explain_broken_rule(table, self._files, self.names, columns, self._target, error)
            if cause is error:
                raise
            raise cause from error

    def _add(self, table: DeltaTable, rewritten: Sequence[Mapping[str, JsonValue]] | None) -> CommitCounts:
        is_replace = self._target.write is WriteMode.REPLACE
        if not is_replace:
            file_schema(table, self._target, self._schema)  # refuses columns that were changed by hand meanwhile
        as_it_is = self._target.model_copy(update={"layout": None})  # without rows there is no new layout
        columns = replaced_schema(table, as_it_is, self._schema) if is_replace else table.schema()
        table.create_write_transaction(
            add_actions(self._prepared_files if rewritten is None else rewritten),
            "overwrite" if is_replace else "append",
            Schema.from_arrow(columns) if is_replace else columns,
            commit_properties=self._properties(dropped=0),
            post_commithook_properties=AFTER_COMMIT,
        )
        self.is_added = rewritten is None
        return CommitCounts(self._rows)

    def _properties(self, dropped: int) -> CommitProperties:
        facts: dict[str, JsonValue] = {"ingestRowsPrepared": self._rows, "ingestRowsDropped": dropped}
        return commit_properties(self._target, self._epoch, self._sequence, **facts)


def prepared_files(prepared: Prepared) -> list[dict[str, JsonValue]]:
    """Each file as the fields of a `WrittenFile`."""
    files = prepared.payload.get("files")
    return [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []


def _describe_files(written: Sequence[WrittenFile], most_bytes: int) -> list[JsonValue]:
    """Without the bounds of columns where those would exceed `most_bytes`."""
    if sum(len(file.stats) for file in written) > most_bytes:
        return [{**asdict(file), "stats": f'{{"numRecords": {file.rows}}}'} for file in written]
    return [asdict(file) for file in written]
